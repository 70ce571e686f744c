//! The original and ours, asked the same.

use std::fmt::Debug;
use std::io;

use crate::program::Program;

/// What both came to: the original's first.
///
/// # Panics
/// One of them cannot be asked.
pub fn both<T>(ask: impl Fn(Program) -> io::Result<T>) -> [T; 2] {
    [Program::Original, Program::Ours]
        .map(|program| ask(program).unwrap_or_else(|error| panic!("{program:?}: {error}")))
}

/// Compares one after the other, so that what differs is shown alone; then how many there are.
///
/// # Panics
/// They differ.
pub fn alike<T: PartialEq + Debug>(what: &str, original: &[T], ours: &[T]) {
    for (at, (original, ours)) in original.iter().zip(ours).enumerate() {
        assert_eq!(original, ours, "{what} {at}");
    }
    assert_eq!(original.len(), ours.len(), "{what}");
}

/// The lines of an answer without those that name the server or the time.
pub fn steady(answer: &str) -> String {
    let changes = |line: &&str| line.starts_with("Date: ") || line.starts_with("Server: ");
    answer.lines().filter(|line| !changes(line)).collect::<Vec<_>>().join("\n")
}
