use super::{Capacity, FileCaches, Found, Look, Rules};
use std::fs;
use std::io::{self, Read as _};
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;

/// A folder of files, and a cache for them.
struct Bench {
    folder: PathBuf,
    caches: FileCaches,
    rules: Rules,
}

impl Bench {
    fn new(name: &str, most: u64) -> io::Result<Self> {
        let folder = std::env::temp_dir().join(format!("rha-file-cache-{name}-{}", std::process::id()));
        fs::create_dir_all(folder.join("folder"))?;
        let capacity = Arc::new(Capacity { most, inactive: 10 });
        let rules = Rules { capacity, valid: 5, min_uses: 1, errors: false };
        Ok(Self { folder, caches: FileCaches::default(), rules })
    }

    fn put(&self, name: &str, text: &str) -> io::Result<()> {
        fs::write(self.folder.join("new"), text)?;
        fs::rename(self.folder.join("new"), self.folder.join(name))
    }

    /// What is read at a path at this second, after as many bytes as `stat(2)` said; or the error.
    fn at(&self, second: u64, name: &str) -> String {
        let path = self.folder.join(name);
        let look = Look { walk: None, is_folder: false };
        match self.caches.find(path.as_os_str().as_encoded_bytes(), look, &self.rules, second) {
            Ok(Found::File(opened)) => {
                let mut text = String::new();
                let read = (&opened.file).read_to_string(&mut text);
                let _ = io::Seek::rewind(&mut &opened.file);
                read.map_or_else(|error| error.to_string(), |_| format!("{}:{text}", opened.about.len()))
            }
            Ok(Found::Folder(_)) => "folder".to_owned(),
            Err(failed) => format!("{} {}", failed.call, failed.error.raw_os_error().unwrap_or_default()),
        }
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.folder);
    }
}

#[test]
fn what_changes_is_seen_when_the_time_is_over() -> io::Result<()> {
    let bench = Bench::new("changes", 10)?;
    bench.put("a", "one")?;
    assert_eq!(bench.at(100, "a"), "3:one");
    bench.put("a", "other")?;
    assert_eq!((bench.at(104, "a"), bench.at(105, "a")), ("3:one".to_owned(), "5:other".to_owned()));
    fs::write(bench.folder.join("a"), "in place")?;
    assert_eq!((bench.at(106, "a"), bench.at(110, "a")), ("5:in place".to_owned(), "8:in place".to_owned()));
    fs::remove_file(bench.folder.join("a"))?;
    assert_eq!(bench.at(114, "a"), "8:in place");
    assert_eq!(bench.at(115, "a"), format!("stat() {}", libc::ENOENT));
    assert_eq!(bench.at(115, "a"), format!("open() {}", libc::ENOENT));
    bench.put("a", "again")?;
    assert_eq!(bench.at(116, "a"), "5:again", "an error was kept");
    fs::remove_file(bench.folder.join("a"))?;
    fs::create_dir(bench.folder.join("a"))?;
    assert_eq!((bench.at(120, "a"), bench.at(121, "a")), ("5:again".to_owned(), "folder".to_owned()));
    Ok(())
}

#[test]
fn errors_are_kept_where_that_is_asked_for() -> io::Result<()> {
    let mut bench = Bench::new("errors", 10)?;
    bench.rules.errors = true;
    let absent = format!("open() {}", libc::ENOENT);
    assert_eq!(bench.at(100, "a"), absent);
    bench.put("a", "one")?;
    assert_eq!((bench.at(104, "a"), bench.at(105, "a")), (absent, "3:one".to_owned()));
    Ok(())
}

#[test]
fn a_file_stays_open_when_it_was_used_often_enough() -> io::Result<()> {
    let mut bench = Bench::new("uses", 10)?;
    bench.rules.min_uses = 3;
    for text in ["first", "second", "third"] {
        bench.put("a", text)?;
        assert_eq!(bench.at(100, "a"), format!("{}:{text}", text.len()));
    }
    bench.put("a", "fourth")?;
    assert_eq!(bench.at(100, "a"), "5:third");
    Ok(())
}

#[test]
fn the_one_used_longest_ago_makes_room() -> io::Result<()> {
    let bench = Bench::new("room", 2)?;
    for name in ["a", "b", "c"] {
        bench.put(name, "old")?;
    }
    for name in ["a", "b", "a", "c"] {
        bench.at(100, name);
    }
    for name in ["a", "b", "c"] {
        bench.put(name, "newer")?;
    }
    assert_eq!(["c", "a", "b"].map(|name| bench.at(100, name)), ["3:old", "3:old", "5:newer"]);
    Ok(())
}

#[test]
fn what_nobody_uses_is_dropped_when_another_file_is_asked_for() -> io::Result<()> {
    let mut bench = Bench::new("inactive", 10)?;
    bench.rules.valid = 1000;
    bench.put("a", "old")?;
    bench.put("b", "old")?;
    bench.at(100, "a");
    bench.put("a", "newer")?;
    bench.at(110, "b");
    assert_eq!(bench.at(110, "a"), "3:old", "10 seconds are not too many");
    bench.at(121, "folder");
    assert_eq!(bench.at(121, "a"), "3:old", "a folder drops nothing");
    bench.at(132, "b");
    assert_eq!(bench.at(132, "a"), "5:newer");
    Ok(())
}

#[test]
fn a_cache_ends_with_its_configuration() -> io::Result<()> {
    let bench = Bench::new("ends", 10)?;
    bench.put("a", "one")?;
    let look = Look { walk: None, is_folder: false };
    let path = bench.folder.join("a");
    let rules = Rules { capacity: Arc::new(Capacity { most: 1, inactive: 1 }), ..bench.rules.clone() };
    let found =
        bench.caches.find(path.as_os_str().as_encoded_bytes(), look, &rules, 1).map_err(|failed| failed.error)?;
    let Found::File(opened) = found else { panic!("a folder") };
    assert_eq!(Rc::strong_count(&opened), 2);
    bench.caches.forget();
    assert_eq!(Rc::strong_count(&opened), 2);
    drop(rules);
    bench.caches.forget();
    assert_eq!(Rc::strong_count(&opened), 1);
    Ok(())
}
