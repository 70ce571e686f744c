use super::*;
use std::sync::{Arc, Mutex};

/// Keeps what it is asked to print.
#[derive(Clone, Default)]
struct Kept(Arc<Mutex<Vec<String>>>);

impl Prints for Kept {
    fn print(&self, line: Line<'_>) {
        let text = format!("{:?} {:?} {:?} {:?}", line.level, line.connection, line.instance, line.message);
        self.0.lock().expect("no panic").push(text);
    }
}

#[test]
fn a_line_arrives_as_it_was_sent_and_only_where_it_was_sent() {
    let (one, other) = (Kept::default(), Kept::default());
    let (to_one, to_other) = (to(one.clone()), to(other.clone()));
    send(&to_one, Line { level: Level::Crit, connection: Some(7), instance: Some("one"), message: b"\xff" });
    send(&to_other, Line { level: Level::Debug, connection: None, instance: None, message: b"" });
    assert_eq!(*one.0.lock().expect("no panic"), ["Crit Some(7) Some(\"one\") [255]"]);
    assert_eq!(*other.0.lock().expect("no panic"), ["Debug None None []"]);
}

#[test]
fn every_level_comes_back() {
    for (word, level) in crate::log::level::LEVELS {
        let kept = Kept::default();
        send(&to(kept.clone()), Line { level: *level, connection: None, instance: None, message: word.as_bytes() });
        assert_eq!(kept.0.lock().expect("no panic").len(), 1, "{word}");
        assert_eq!(Level::of(*level as u64), Some(*level));
    }
    assert_eq!((Level::of(0), Level::of(9)), (None, None));
}

#[test]
fn lines_of_libraries_are_not_printed() {
    let kept = Kept::default();
    tracing::dispatcher::with_default(&to(kept.clone()), || {
        tracing::error!(target: "h2", "something");
        let _span = tracing::error_span!(target: "rha", "a span").entered();
    });
    assert!(kept.0.lock().expect("no panic").is_empty());
}
