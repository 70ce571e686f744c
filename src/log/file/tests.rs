use super::*;

fn opened(name: &str, keep: usize) -> File {
    let path = std::env::temp_dir().join(format!("rha-file-{}-{name}", std::process::id()));
    let _ = fs::remove_file(&path);
    let file = File::new("the name", path, keep);
    file.open().expect("a file");
    file
}

fn text(file: &File) -> String {
    String::from_utf8(fs::read(file.path()).expect("a file")).expect("a text")
}

#[test]
fn lines_wait_for_their_loop_to_flush_them() {
    let (file, errors) = (opened("lines", 0), Log::default());
    assert!(file.append(0, b"a\n", &errors) && !file.append(0, b"b\n", &errors) && file.append(1, b"c\n", &errors));
    assert_eq!(text(&file), "");
    file.flush(1, false, &errors);
    file.flush(0, false, &errors);
    assert_eq!(text(&file), "c\na\nb\n");
    assert!(file.append(0, b"d\n", &errors));
    let _ = fs::remove_file(file.path());
}

#[test]
fn a_buffer_is_written_when_the_next_line_does_not_fit() {
    let (file, errors) = (opened("buffer", 5), Log::default());
    file.append(0, b"aa\n", &errors);
    file.flush(0, false, &errors);
    assert_eq!(text(&file), "");
    file.append(0, b"bb\n", &errors);
    assert_eq!(text(&file), "aa\n");
    file.flush(0, true, &errors);
    assert_eq!(text(&file), "aa\nbb\n");
    let _ = fs::remove_file(file.path());
}

#[test]
fn a_file_that_was_renamed_is_opened_again() {
    let (file, errors) = (opened("renamed", 0), Log::default());
    let moved = file.path().with_extension("1");
    file.write_now(b"old\n").expect("written");
    fs::rename(file.path(), &moved).expect("renamed");
    file.write_now(b"still old\n").expect("written");
    file.open().expect("a file");
    file.append(0, b"new\n", &errors);
    file.flush(0, false, &errors);
    assert_eq!(
        (fs::read(&moved).expect("the old").as_slice(), text(&file).as_str()),
        (&b"old\nstill old\n"[..], "new\n")
    );
    let _ = (fs::remove_file(file.path()), fs::remove_file(moved));
}

#[test]
fn a_failed_write_is_reported_once_a_while() {
    let (full, errors) = (File::new("/dev/full", PathBuf::from("/dev/full"), 0), opened("errors", 0));
    full.open().expect("a file");
    let errors = std::sync::Arc::new(errors);
    let log = Log::new(vec![(Level::Error, crate::log::Sink::File(errors.clone()))]);
    for _ in 0..3 {
        full.append(0, b"line\n", &log);
        full.flush(0, false, &log);
    }
    let line = "write() to \"/dev/full\" failed (28: No space left on device) while logging request\n";
    assert_eq!((text(&errors).matches(line).count(), text(&errors).lines().count()), (1, 1));
    let _ = fs::remove_file(errors.path());
}
