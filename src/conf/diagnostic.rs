//! What is wrong with a configuration, where, in the original's words, and what would help.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use super::source::Span;

/// Where every complaint is wanted, a reading ends after so many all the same.
pub const MOST: usize = 1000;

/// How bad a complaint is, in nginx's words.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// The configuration cannot be used.
    Emerg,
    /// As `Emerg`, for a system call nginx reports at this level.
    Crit,
    /// Serious, but the run goes on.
    Alert,
    /// An error that does not stop the reading (keepalived's usual manner).
    Error,
    /// Accepted, but probably not what was meant.
    Warn,
    /// For information.
    Notice,
}

impl Severity {
    /// The word in square brackets.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Emerg => "emerg",
            Self::Crit => "crit",
            Self::Alert => "alert",
            Self::Error => "error",
            Self::Warn => "warn",
            Self::Notice => "notice",
        }
    }
}

/// Where a complaint points.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum At {
    /// Nowhere: the original prints no file and line.
    Nowhere,
    /// Nowhere, whoever passes the complaint on: the original names no place for it.
    Unlined,
    /// A place in a text. The line printed is the line of the span's last byte, as nginx counts.
    Span(Span),
}

/// What a complaint is about, for programs that read them and for those who go on differently because of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Kind {
    /// A value, or what values come to together.
    #[default]
    Other,
    /// The text itself: a word, a brace or an end that cannot stand there.
    Syntax,
    /// A name no row has.
    Keyword,
    /// A name that rows have, but not here.
    Misplaced,
    /// A variable nobody defines.
    Variable,
    /// A regular expression that cannot be compiled.
    Pattern,
    /// A file that cannot be read.
    File,
    /// A host name without addresses.
    Host,
    /// Something that is known and not served.
    Unserved,
    /// A `{` where no block begins.
    Brace,
    /// A `"` without its end; the message quotes the whole line.
    Quote,
    /// A keyword without an argument it needs.
    Argument,
    /// Something that was given before.
    Again,
    /// A variable that is defined already and cannot be defined anew.
    Redefined,
    /// The name of a block, which is wrong or taken.
    Name,
    /// A user or a group that does not exist.
    User,
    /// An interface that does not exist, without which nothing runs.
    Interface,
}

impl Kind {
    /// The name programs know it by; it stays the same from version to version.
    pub const fn code(self) -> &'static str {
        match self {
            Self::Other => "value",
            Self::Syntax => "syntax",
            Self::Keyword => "unknown-directive",
            Self::Misplaced => "misplaced-directive",
            Self::Variable => "unknown-variable",
            Self::Pattern => "expression",
            Self::File => "file",
            Self::Host => "unknown-host",
            Self::Unserved => "not-served",
            Self::Brace => "brace",
            Self::Quote => "quote",
            Self::Argument => "arguments",
            Self::Again | Self::Redefined => "duplicate",
            Self::Name => "block-name",
            Self::User => "user",
            Self::Interface => "interface",
        }
    }
}

/// What the system said, without the error's number.
pub fn reason(error: &std::io::Error) -> String {
    let text = error.to_string();
    text.split(" (os error").next().unwrap_or_default().to_owned()
}

/// A second place of a complaint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Beside {
    /// Where it is.
    pub span: Span,
    /// What it is.
    pub mark: Mark,
}

/// What a second place is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mark {
    /// In a conflict, what was there first.
    First,
    /// The brace or quote that has no end.
    Opened,
}

impl Mark {
    /// What the place is called.
    pub const fn label(self) -> &'static str {
        match self {
            Self::First => "first defined here",
            Self::Opened => "opened here",
        }
    }
}

/// One complaint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostic {
    /// How bad it is.
    pub severity: Severity,
    /// What it is about.
    pub kind: Kind,
    /// The original's words, byte for byte, without file and line.
    pub message: String,
    /// Where, as the original counts: the statement.
    pub at: At,
    /// The word the long form points at, when it is narrower than `at`.
    pub point: Option<Span>,
    /// Another place that belongs to it.
    pub beside: Option<Box<Beside>>,
    /// It is about something that may be given elsewhere: where that was left out, nothing is wrong here.
    pub depends: bool,
    /// The original finds it as soon as it reads the line.
    pub early: bool,
    /// It is about the machine the configuration is read on: a file or a user that another machine may have.
    pub machine: bool,
    /// What the long form adds: where a directive is allowed, how many arguments it takes.
    pub notes: Vec<String>,
    /// What would help.
    pub help: Option<Box<str>>,
}

impl Diagnostic {
    /// A fatal complaint whose place the walk fills in.
    pub fn emerg(message: impl Into<String>) -> Self {
        Self::new(Severity::Emerg, message)
    }

    /// A fatal complaint the original has no words for.
    pub fn silent() -> Self {
        Self::new(Severity::Emerg, "").unlined()
    }

    /// A warning whose place the walk fills in.
    pub fn warn(message: impl Into<String>) -> Self {
        Self::new(Severity::Warn, message)
    }

    /// A complaint of any severity, pointing nowhere yet.
    pub fn new(severity: Severity, message: impl Into<String>) -> Self {
        Self {
            severity,
            kind: Kind::Other,
            message: message.into(),
            at: At::Nowhere,
            point: None,
            beside: None,
            depends: false,
            early: false,
            machine: false,
            notes: Vec::new(),
            help: None,
        }
    }

    /// The same complaint, about this.
    pub const fn kind(mut self, kind: Kind) -> Self {
        self.kind = kind;
        self
    }

    /// The same complaint, pointing at `span`.
    pub fn at(mut self, span: Span) -> Self {
        self.at = At::Span(span);
        self
    }

    /// The same complaint, for which the original names no place.
    pub fn unlined(mut self) -> Self {
        self.at = At::Unlined;
        self
    }

    /// The same complaint, with the word it is about.
    pub fn point(mut self, span: Span) -> Self {
        self.point = Some(span);
        self
    }

    /// The same complaint, with what was there first.
    pub fn earlier(mut self, span: Option<Span>) -> Self {
        self.beside = span.map(|span| Box::new(Beside { span, mark: Mark::First }));
        self
    }

    /// The same complaint, with the brace or quote that has no end.
    pub fn opened(mut self, span: Option<Span>) -> Self {
        self.beside = span.map(|span| Box::new(Beside { span, mark: Mark::Opened }));
        self
    }

    /// Whether two that are both there do not go together.
    pub fn is_conflict(&self) -> bool {
        self.beside.as_ref().is_some_and(|beside| beside.mark == Mark::First)
    }

    /// The name of what it is about, for programs.
    pub fn code(&self) -> &'static str {
        match self.kind {
            Kind::Other if self.is_conflict() => "conflict",
            kind => kind.code(),
        }
    }

    /// The same complaint of a conflict the original names no place for: of the second one, and of the first.
    pub fn beside(mut self, second: Option<Span>, first: Option<Span>) -> Self {
        self.point = second;
        self.earlier(first)
    }

    /// The same complaint, about something that may be given elsewhere.
    pub const fn depends(mut self) -> Self {
        self.depends = true;
        self
    }

    /// The same complaint, which the original makes as soon as it reads the line.
    pub const fn early(mut self) -> Self {
        self.early = true;
        self
    }

    /// The same complaint, about the machine the configuration is read on.
    pub const fn machine(mut self) -> Self {
        self.machine = true;
        self
    }

    /// The same complaint, with one more thing to know.
    pub fn note(mut self, text: impl Into<String>) -> Self {
        self.notes.push(text.into());
        self
    }

    /// The place the long form points at: the word, or the statement.
    pub fn place(&self) -> Option<Span> {
        self.point.or(match self.at {
            At::Span(span) => Some(span),
            At::Nowhere | At::Unlined => None,
        })
    }

    /// Whether the configuration is wrong, and not only odd.
    pub const fn is_error(&self) -> bool {
        match self.severity {
            Severity::Emerg | Severity::Crit | Severity::Alert | Severity::Error => true,
            Severity::Warn | Severity::Notice => false,
        }
    }

    /// The same complaint with a hint.
    pub fn help(mut self, text: impl Into<String>) -> Self {
        self.help = Some(text.into().into_boxed_str());
        self
    }
}
