use super::*;

/// A folder of a test's own, which goes with it.
struct Folder(std::path::PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("rha-certificate-files-{}-{name}", std::process::id()));
        fs::create_dir_all(&path).expect("a folder");
        Self(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn write(folder: &Folder, name: &str, text: &str) -> String {
    let path = folder.0.join(name);
    fs::write(&path, text).expect("a file");
    path.to_str().expect("UTF-8").to_owned()
}

fn cache(max: usize, inactive: u64, valid: u64) -> FileTexts {
    FileTexts::new(Limits { max, inactive, valid })
}

fn read(cache: &FileTexts, path: &str, now: u64) -> String {
    cache.at(path, now).map_or_else(|_| "gone".to_owned(), |bytes| String::from_utf8_lossy(&bytes).into_owned())
}

#[test]
fn a_file_is_looked_at_again_when_it_was_kept_for_its_time() {
    let folder = Folder::new("again");
    let path = write(&folder, "a", "one");
    let cache = cache(4, 100, 10);
    assert_eq!(read(&cache, &path, 0), "one");
    fs::remove_file(&path).expect("a file");
    assert_eq!(read(&cache, &path, 10), "one");
    assert_eq!(read(&cache, &path, 11), "gone");
    let path = write(&folder, "a", "two");
    assert_eq!(read(&cache, &path, 12), "two");
}

#[test]
fn a_file_that_was_not_changed_is_not_read_again() {
    let folder = Folder::new("unchanged");
    let path = write(&folder, "a", "one");
    let cache = cache(4, 100, 0);
    assert_eq!(read(&cache, &path, 0), "one");
    let before = Version::of(&path);
    let when = fs::metadata(&path).expect("a file").modified().expect("a time");
    fs::write(&path, "two").expect("a file");
    fs::File::options().write(true).open(&path).and_then(|file| file.set_modified(when)).expect("a time");
    assert_eq!(Version::of(&path), before);
    assert_eq!(read(&cache, &path, 5), "one", "by its number and time it is as it was");
}

#[test]
fn the_file_nobody_asked_for_goes_first() {
    let folder = Folder::new("first");
    let [a, b, c] = ["a", "b", "c"].map(|name| write(&folder, name, name));
    let cache = cache(2, 100, 100);
    for path in [&a, &b, &a, &c] {
        read(&cache, path, 0);
    }
    for path in [&a, &b, &c] {
        fs::remove_file(path).expect("a file");
    }
    assert_eq!([&a, &b, &c].map(|path| read(&cache, path, 1)), ["a", "gone", "c"]);
}

#[test]
fn inactive_files_go_when_another_comes() {
    let folder = Folder::new("inactive");
    let [a, b] = ["a", "b"].map(|name| write(&folder, name, name));
    let cache = cache(8, 5, 100);
    read(&cache, &a, 0);
    read(&cache, &b, 6);
    fs::remove_file(&a).expect("a file");
    assert_eq!(read(&cache, &a, 6), "gone");
}

#[test]
fn keys_under_a_passphrase_are_not_kept() {
    let folder = Folder::new("encrypted");
    let path = write(&folder, "key", "-----BEGIN ENCRYPTED PRIVATE KEY-----\n");
    let cache = cache(4, 100, 100);
    read(&cache, &path, 0);
    fs::remove_file(&path).expect("a file");
    assert_eq!(read(&cache, &path, 0), "gone");
}

#[test]
fn a_file_that_is_forgotten_is_read_again() {
    let folder = Folder::new("forgotten");
    let path = write(&folder, "a", "one");
    let cache = cache(4, 100, 100);
    read(&cache, &path, 0);
    write(&folder, "a", "two");
    cache.forget(&path);
    assert_eq!(read(&cache, &path, 0), "two");
}

#[test]
fn what_is_kept_is_not_shown() {
    let folder = Folder::new("shown");
    let path = write(&folder, "key", "PRIVATE");
    let cache = FileTexts::new(Limits { max: 2, inactive: 10, valid: 60 });
    assert_eq!(read(&cache, &path, 0), "PRIVATE");
    let shown = format!("{cache:?}");
    let bytes = format!("{:?}", b"PRIVATE");
    assert!(shown.contains("Text") && !shown.contains("PRIVATE") && !shown.contains(&bytes), "{shown}");
}
