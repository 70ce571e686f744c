use super::*;
use std::cell::Cell;
use std::fs::OpenOptions;
use std::io::Write as _;
use std::path::PathBuf;

/// Files in a folder, and how often one was opened.
struct Folder {
    path: PathBuf,
    opened: Cell<usize>,
}

impl Folder {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("rha-open-logs-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&path).expect("a folder");
        Self { path, opened: Cell::new(0) }
    }

    fn at(&self, path: &[u8]) -> PathBuf {
        self.path.join(String::from_utf8_lossy(path).as_ref())
    }

    fn write(&self, logs: &OpenLogs, name: &str, now: Instant) -> Result<(), Failed> {
        let file = logs.file(name.as_bytes(), now, self)?;
        (&*file).write_all(b"x").map_err(|error| Failed { call: "write()", error })
    }

    fn size(&self, name: &str) -> u64 {
        std::fs::metadata(self.path.join(name)).map_or(0, |about| about.len())
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.path);
    }
}

impl Files for Folder {
    fn open(&self, path: &[u8]) -> Result<File, Failed> {
        self.opened.set(self.opened.get() + 1);
        let file = OpenOptions::new().append(true).create(true).open(self.at(path));
        file.map_err(|error| Failed { call: "open()", error })
    }

    fn info(&self, path: &[u8]) -> Result<Metadata, Failed> {
        std::fs::metadata(self.at(path)).map_err(|error| Failed { call: "stat()", error })
    }
}

fn logs(most: usize, min_uses: u64) -> OpenLogs {
    let seconds = Duration::from_secs;
    OpenLogs::new(Limits { most, inactive: seconds(20), valid: seconds(60), min_uses })
}

#[test]
fn a_file_stays_open_once_it_was_used_often_enough() {
    let (folder, logs, now) = (Folder::new("uses"), logs(3, 2), Instant::now());
    for opened in [1, 2, 2, 2] {
        folder.write(&logs, "a", now).expect("a line");
        assert_eq!(folder.opened.get(), opened);
    }
    assert_eq!(folder.size("a"), 4);
}

#[test]
fn a_full_table_loses_its_oldest_name() {
    let (folder, logs, now) = (Folder::new("full"), logs(2, 1), Instant::now());
    for name in ["a", "b", "a", "c"] {
        folder.write(&logs, name, now).expect("a line");
    }
    assert_eq!(folder.opened.get(), 3);
    folder.write(&logs, "a", now).expect("a line");
    assert_eq!(folder.opened.get(), 3);
    folder.write(&logs, "b", now).expect("a line");
    assert_eq!(folder.opened.get(), 4);
    let names = logs.names.lock().expect("the names");
    assert_eq!((names.by_name.len(), names.by_age.len()), (2, 2));
}

#[test]
fn a_name_is_looked_at_when_it_is_no_longer_valid() {
    let (folder, logs, now) = (Folder::new("valid"), logs(3, 1), Instant::now());
    folder.write(&logs, "a", now).expect("a line");
    std::fs::rename(folder.path.join("a"), folder.path.join("a.1")).expect("a rotated log");
    folder.write(&logs, "a", now + Duration::from_secs(59)).expect("a line");
    assert_eq!((folder.size("a"), folder.size("a.1")), (0, 2));
    // As in nginx, the line of the moment in which the name is found missing is lost, and the next one makes a new file.
    let lost = folder.write(&logs, "a", now + Duration::from_secs(60)).expect_err("no file");
    assert_eq!(lost.call, "stat()");
    folder.write(&logs, "a", now + Duration::from_secs(60)).expect("a line");
    assert_eq!((folder.size("a"), folder.size("a.1")), (1, 2));
}

#[test]
fn files_that_nobody_uses_are_closed() {
    let (folder, logs, now) = (Folder::new("inactive"), logs(9, 1), Instant::now());
    folder.write(&logs, "a", now).expect("a line");
    folder.write(&logs, "b", now + Duration::from_secs(20)).expect("a line");
    assert_eq!(logs.names.lock().expect("the names").by_name.len(), 2);
    folder.write(&logs, "b", now + Duration::from_secs(21)).expect("a line");
    assert_eq!(logs.names.lock().expect("the names").by_name.len(), 1);
}
