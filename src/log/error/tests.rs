use super::*;
use crate::log::level::LEVELS;
use std::path::{Path, PathBuf};

/// A path of this test's own.
fn scratch(name: &str) -> PathBuf {
    std::env::temp_dir().join(format!("rha-log-{}-{name}", std::process::id()))
}

/// Lines behind the time stamp and the numbers of process and thread.
fn lines(path: &Path) -> Vec<String> {
    let text = String::from_utf8_lossy(&std::fs::read(path).expect("a log")).into_owned();
    let _ = std::fs::remove_file(path);
    let stamped = |line: &str| {
        let (head, rest) = line.split_once(" [").expect("a level");
        assert_eq!(head.len(), "2026/01/01 00:00:00".len(), "{line}");
        let (level, rest) = rest.split_once("] ").expect("a level");
        let (numbers, message) = rest.split_once(": ").expect("numbers");
        let (pid, tid) = numbers.split_once('#').expect("two numbers");
        assert_eq!((pid.parse(), tid.parse::<i32>().is_ok()), (Ok(std::process::id()), true));
        format!("{level}: {message}")
    };
    text.lines().map(stamped).collect()
}

fn opened(name: &str) -> (PathBuf, Arc<File>) {
    let path = scratch(name);
    let file = File::new(&path.display().to_string(), path.clone(), 0);
    file.open().expect("a file");
    (path, Arc::new(file))
}

#[test]
fn each_sink_takes_what_is_as_bad_as_its_level() {
    let ((low_path, low), (high_path, high)) = (opened("low"), opened("high"));
    let log = Log::new(vec![(Level::Info, Sink::File(low)), (Level::Error, Sink::File(high))]);
    assert!(log.takes(Level::Emerg) && log.takes(Level::Info) && !log.takes(Level::Debug));
    log.write(Level::Warn, None, "a warning");
    log.write(Level::Error, Some(7), "an error");
    log.write(Level::Debug, Some(7), "nothing");
    assert_eq!(lines(&low_path), ["warn: a warning", "error: *7 an error"]);
    assert_eq!(lines(&high_path), ["error: *7 an error"]);
}

#[test]
fn a_log_goes_on_without_its_terminal_or_one_of_its_files() {
    let ((path, file), (other_path, other)) = (opened("first"), opened("other"));
    let log = Log::new(vec![
        (Level::Error, Sink::Stderr),
        (Level::Error, Sink::File(file.clone())),
        (Level::Error, Sink::File(other)),
    ]);
    assert!(log.on_stderr(Level::Error) && !log.on_stderr(Level::Warn));
    let quiet = log.without_stderr();
    assert!(!quiet.on_stderr(Level::Emerg) && quiet.takes(Level::Error));
    quiet.without(file.name()).write(Level::Alert, None, "to the other");
    assert_eq!(lines(&path), Vec::<String>::new());
    assert_eq!(lines(&other_path), ["alert: to the other"]);
    assert!(!Log::default().takes(Level::Emerg));
}

#[test]
fn names_that_are_no_utf_8_are_written_as_they_are() {
    let (path, file) = opened("bytes");
    Log::new(vec![(Level::Error, Sink::File(file))]).write(Level::Error, None, b"\"/\xd6\xd0\" failed");
    let written = std::fs::read(&path).expect("a log");
    assert!(written.ends_with(b": \"/\xd6\xd0\" failed\n"), "{written:?}");
    let _ = std::fs::remove_file(path);
}

#[test]
fn the_words_are_in_nginxs_order() {
    assert!(LEVELS.windows(2).all(|pair| pair[0].1 < pair[1].1));
    assert!(LEVELS.iter().all(|(word, level)| level.word() == *word));
}
