//! `TCP_CHECK`: a server that accepts a connection is up.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use super::report::Words;

/// What is said of its results.
pub const WORDS: Words = Words {
    good: "TCP connection to {rs} success.",
    bad: "TCP_CHECK on service {rs} failed.",
    bad_after: "TCP_CHECK on service {rs} failed after {n} retries.",
    good_mail: "=> TCP CHECK succeed on service <=",
    bad_mail: "=> TCP CHECK failed on service <=",
    retries_when_down: true,
};

/// What connecting came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Connected {
    /// There is a connection.
    Yes,
    /// The system knew at once that the server cannot be reached.
    Unreachable,
    /// The server refused it, or cannot be reached.
    Refused,
    /// It did not answer in time.
    TimedOut,
}

impl Connected {
    /// What is said of an attempt that failed.
    pub const fn failure(self) -> Option<&'static str> {
        match self {
            Self::Yes | Self::Unreachable => None,
            Self::Refused => Some("TCP connection to {rs} failed."),
            Self::TimedOut => Some("TCP connection to {rs} timeout."),
        }
    }
}
