//! The terminal a program was started from.

use std::ffi::OsStr;
use std::io::IsTerminal as _;

/// Whether standard error takes colours: it is a terminal, and `NO_COLOR` is not set or empty.
pub fn takes_colours() -> bool {
    wanted(std::io::stderr().is_terminal(), std::env::var_os("NO_COLOR").as_deref())
}

fn wanted(terminal: bool, no_color: Option<&OsStr>) -> bool {
    terminal && no_color.is_none_or(OsStr::is_empty)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_are_for_terminals_whose_user_wants_them() {
        assert!(wanted(true, None) && wanted(true, Some(OsStr::new(""))));
        assert!(!wanted(true, Some(OsStr::new("1"))) && !wanted(false, None));
    }
}
