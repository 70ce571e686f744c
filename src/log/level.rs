//! How bad a line is, and the words for it.

/// How bad a line is; the order is nginx's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// The system is unusable.
    Emerg = 1,
    /// Action must be taken at once.
    Alert,
    /// Critical conditions.
    Crit,
    /// Errors.
    Error,
    /// Warnings.
    Warn,
    /// Normal but significant.
    Notice,
    /// Information.
    Info,
    /// For development.
    Debug,
}

/// The words `error_log` takes, with their levels.
pub const LEVELS: &[(&str, Level)] = &[
    ("emerg", Level::Emerg),
    ("alert", Level::Alert),
    ("crit", Level::Crit),
    ("error", Level::Error),
    ("warn", Level::Warn),
    ("notice", Level::Notice),
    ("info", Level::Info),
    ("debug", Level::Debug),
];

impl Level {
    /// The word in square brackets.
    pub fn word(self) -> &'static str {
        LEVELS.iter().find(|(_, level)| *level == self).map_or("", |(word, _)| word)
    }

    /// The level with this number.
    pub fn of(number: u64) -> Option<Self> {
        LEVELS.iter().map(|(_, level)| *level).find(|level| *level as u64 == number)
    }
}
