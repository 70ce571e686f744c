use super::*;
use std::fs;

#[test]
fn files_that_are_written_moved_or_deleted_are_noticed() {
    let folder = std::env::temp_dir().join(format!("rha-inotify-{}", std::process::id()));
    fs::create_dir_all(&folder).expect("a folder");
    let watched = Inotify::new().expect("inotify");
    watched.watch(&folder).expect("watched");
    assert!(!watched.drain());
    let (file, other) = (folder.join("a"), folder.join("b"));
    fs::write(&file, b"x").expect("written");
    assert!(watched.drain() && !watched.drain());
    fs::rename(&file, &other).expect("moved");
    assert!(watched.drain());
    fs::remove_file(&other).expect("removed");
    assert!(watched.drain());
    assert!(watched.watch(&folder.join("missing")).is_err());
    let _ = fs::remove_dir(folder);
}
