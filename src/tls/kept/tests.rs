use super::*;
use crate::tls::pairs::{self, Wanted};
use crate::tls::testing::{FOLDER, files, fixture, word};
use std::path::PathBuf;

/// A folder of its own with the pair `a`.
fn folder(name: &str) -> PathBuf {
    let folder = std::env::temp_dir().join(format!("rha-pairs-{name}-{}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("a folder");
    for end in ["crt", "key"] {
        std::fs::copy(format!("{FOLDER}server.{end}"), folder.join(format!("a.{end}"))).expect("a copy");
    }
    folder
}

fn get(pairs: &Cache<CertifiedKey>, certificate: &str, key: &str) -> Arc<CertifiedKey> {
    let (certificate, key) = (word(certificate), word(key));
    let wanted = Wanted { certificate: &certificate, key: &key, passwords: None, level: 2 };
    pairs::load(&wanted, &files(), pairs).unwrap_or_else(|error| panic!("{}", error.message))
}

#[test]
fn a_pair_is_read_again_when_a_file_has_changed() {
    let folder = folder("changed");
    let path = |end: &str| folder.join(format!("a.{end}")).to_string_lossy().into_owned();
    let pairs = Cache::new(10);
    let first = get(&pairs, &path("crt"), &path("key"));
    assert!(Arc::ptr_eq(&first, &get(&pairs, &path("crt"), &path("key"))));
    // Another file under the name, as renewals make it.
    for end in ["crt", "key"] {
        std::fs::copy(format!("{FOLDER}rsa.{end}"), folder.join("new")).expect("a copy");
        std::fs::rename(folder.join("new"), path(end)).expect("a rename");
    }
    let second = get(&pairs, &path("crt"), &path("key"));
    assert_ne!(first.cert, second.cert);
    std::fs::remove_dir_all(folder).expect("the folder");
}

#[test]
fn texts_are_kept_and_the_least_used_go() {
    let pairs = Cache::new(2);
    let data = |name: &str| format!("data:{}", String::from_utf8(fixture(name)).expect("PEM"));
    let first = get(&pairs, &data("server.crt"), &data("server.key"));
    let self_signed = get(&pairs, "self.crt", "self.key");
    assert!(Arc::ptr_eq(&first, &get(&pairs, &data("server.crt"), &data("server.key"))));
    get(&pairs, "rsa.crt", "rsa.key");
    assert!(Arc::ptr_eq(&first, &get(&pairs, &data("server.crt"), &data("server.key"))));
    assert!(!Arc::ptr_eq(&self_signed, &get(&pairs, "self.crt", "self.key")));
}

#[test]
fn what_a_new_configuration_does_not_use_is_dropped() {
    let kept = Kept::default();
    let first = get(&kept.pairs, "self.crt", "self.key");
    get(&kept.pairs, "rsa.crt", "rsa.key");
    let before = kept.mark();
    assert!(Arc::ptr_eq(&first, &get(&kept.pairs, "self.crt", "self.key")));
    kept.drop_unused_since(before);
    assert_eq!(kept.pairs.entries.lock().len(), 1);
}

#[test]
fn faults_are_told_each_time() {
    let pairs = Cache::new(10);
    let (certificate, key) = (word("server.crt"), word("missing.key"));
    let wanted = Wanted { certificate: &certificate, key: &key, passwords: None, level: 2 };
    for _ in 0..2 {
        let said = pairs::load(&wanted, &files(), &pairs).map(|_| ()).map_err(|error| error.message);
        assert!(said.is_err_and(|text| text.starts_with("cannot load certificate key")));
    }
    assert!(pairs.entries.lock().is_empty());
}
