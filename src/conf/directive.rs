//! What a directive is: one row of name, contexts, arity, setter, default, support and doc.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use super::diagnostic::Diagnostic;
use super::omission::{Need, Omission};
use super::setting::Setting;
use super::tree::Statement;
use std::any::{Any, TypeId};

pub use super::contexts::Contexts;

/// How many arguments a directive takes, and whether a block follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arity {
    /// One argument, `on` or `off`.
    Flag,
    /// Exactly so many.
    Exactly(u8),
    /// From, to.
    Between(u8, u8),
    /// So many or more.
    AtLeast(u8),
    /// Any of the counts whose bit is set (bit 0: no argument).
    OneOf(u8),
    /// Arguments from, to, then a block that opens the given thing.
    Block(u8, u8, Opens),
    /// Arguments from, any number, then a block.
    BlockAtLeast(u8, Opens),
    /// A block is optional after from..=to arguments (keepalived).
    MaybeBlock(u8, u8, Opens),
}

/// What a block opens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Opens {
    /// A context of its own, walked row by row.
    Context(Contexts),
    /// Rows the setter reads itself (`map`, `types`, keepalived's address lists).
    Rows,
}

impl Arity {
    /// Whether `count` arguments are right.
    pub const fn takes(self, count: usize) -> bool {
        match self {
            Self::Flag => count == 1,
            Self::Exactly(n) => count == n as usize,
            Self::Between(from, to) | Self::Block(from, to, _) | Self::MaybeBlock(from, to, _) => {
                count >= from as usize && count <= to as usize
            }
            Self::AtLeast(from) | Self::BlockAtLeast(from, _) => count >= from as usize,
            Self::OneOf(counts) => count < 8 && counts & (1 << count) != 0,
        }
    }

    /// The arguments, in words.
    pub fn words(self) -> String {
        let plural = |count: u8| if count == 1 { "argument" } else { "arguments" };
        match self {
            Self::Flag => "\"on\" or \"off\"".to_owned(),
            Self::Exactly(0) | Self::Block(0, 0, _) | Self::MaybeBlock(0, 0, _) => "no arguments".to_owned(),
            Self::Exactly(n) => format!("{n} {}", plural(n)),
            Self::Between(from, to) | Self::Block(from, to, _) | Self::MaybeBlock(from, to, _) if from == to => {
                format!("{from} {}", plural(from))
            }
            Self::Between(from, to) | Self::Block(from, to, _) | Self::MaybeBlock(from, to, _) if to == u8::MAX => {
                format!("at least {from} {}", plural(from))
            }
            Self::Between(from, to) | Self::Block(from, to, _) | Self::MaybeBlock(from, to, _) => {
                format!("{from} to {to} arguments")
            }
            Self::AtLeast(from) | Self::BlockAtLeast(from, _) => format!("at least {from} {}", plural(from)),
            Self::OneOf(counts) => {
                let each: Vec<String> =
                    (0..8_u8).filter(|count| counts & (1 << count) != 0).map(|count| count.to_string()).collect();
                format!("{} arguments", each.join(" or "))
            }
        }
    }

    /// What its block opens, if it may have one.
    pub const fn opens(self) -> Option<Opens> {
        match self {
            Self::Block(_, _, opens) | Self::BlockAtLeast(_, opens) | Self::MaybeBlock(_, _, opens) => Some(opens),
            Self::Flag | Self::Exactly(_) | Self::Between(..) | Self::AtLeast(_) | Self::OneOf(_) => None,
        }
    }

    /// Whether a block must follow.
    pub const fn needs_block(self) -> bool {
        matches!(self, Self::Block(..) | Self::BlockAtLeast(..))
    }
}

/// How much of a directive is served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Support {
    /// As the original.
    Full,
    /// With a difference, which is named.
    Partial(&'static str),
    /// As the original, but for parts that are named where a file has them; which.
    Parts(&'static str),
    /// Accepted because it cannot matter here; why.
    Inert(&'static str),
    /// Known, checked for place and arity, and refused.
    Missing,
    /// The same, for good; why, and what to use instead.
    Refused(&'static str),
}

impl Support {
    /// Whether it has its effect, or needs none.
    pub const fn is_served(self) -> bool {
        !matches!(self, Self::Missing | Self::Refused(_))
    }
}

/// A directive's whole definition.
#[derive(Clone, Copy)]
pub struct Directive {
    /// As written.
    pub name: &'static str,
    /// Where it may stand.
    pub contexts: Contexts,
    /// Its arguments.
    pub arity: Arity,
    /// The value at the outermost level where it is not given, in the configuration's own words.
    pub default: Option<&'static str>,
    /// What holds where it is not given and the completed configuration decides that: documented, never applied.
    pub implied: Option<&'static str>,
    /// How much of it is served.
    pub support: Support,
    /// Of a row that is not served, what happens where it is left out.
    pub omission: Omission,
    /// Of a row that is not served, what it works on.
    pub need: Need,
    /// Of a row that is not served, the values beside the default that ask for what is done without it.
    pub neutral: &'static [&'static str],
    /// First version of the original that has it, when the reference says so.
    pub since: &'static str,
    /// One paragraph.
    pub doc: &'static str,
    /// The words its arguments may be, or begin with (those end in `=`), for hints at near misses.
    pub words: &'static [&'static str],
    /// What it does with its arguments.
    pub set: &'static dyn Set,
}

impl Directive {
    /// A row that is served in full.
    pub const fn new(name: &'static str, contexts: Contexts, arity: Arity, set: &'static dyn Set) -> Self {
        Self {
            name,
            contexts,
            arity,
            default: None,
            implied: None,
            support: Support::Full,
            omission: Omission::Changes,
            need: Need::Nothing,
            neutral: &[],
            since: "",
            doc: "",
            words: &[],
            set,
        }
    }

    /// A row that is known and not served.
    pub const fn missing(name: &'static str, contexts: Contexts, arity: Arity) -> Self {
        let row = Self::new(name, contexts, arity, &Unserved);
        Self { support: Support::Missing, ..row }
    }

    /// A row that is checked like any other and not served.
    pub const fn checked(name: &'static str, contexts: Contexts, arity: Arity, set: &'static dyn Set) -> Self {
        Self::new(name, contexts, arity, set).support(Support::Missing)
    }

    /// Sets the default, as the manual prints it.
    pub const fn default(mut self, text: &'static str) -> Self {
        self.default = Some(text);
        self
    }

    /// Sets what holds where it is not given; a keyword without arguments that is on anyway has its own name here.
    pub const fn implied(mut self, text: &'static str) -> Self {
        self.implied = Some(text);
        self
    }

    /// Sets the level of support.
    pub const fn support(mut self, support: Support) -> Self {
        self.support = support;
        self
    }

    /// Says why a row that is not served never will be, and what to use instead.
    pub const fn refused(mut self, why: &'static str) -> Self {
        self.support = Support::Refused(why);
        self
    }

    /// Sets what judges the arguments of a row that is known and not served.
    pub const fn judged(mut self, set: &'static dyn Set) -> Self {
        self.set = set;
        self
    }

    /// Sets what happens where a row that is not served is left out.
    pub const fn omitted(mut self, omission: Omission) -> Self {
        self.omission = omission;
        self
    }

    /// Sets what a row that is not served works on.
    pub const fn needs(mut self, need: Need) -> Self {
        self.need = need;
        self
    }

    /// Sets the values of a row that is not served, beside its default, that ask for what is done without it.
    pub const fn neutral(mut self, values: &'static [&'static str]) -> Self {
        self.neutral = values;
        self
    }

    /// Names the version that brought it.
    pub const fn since(mut self, version: &'static str) -> Self {
        self.since = version;
        self
    }

    /// Names the words its arguments may be; one that takes a value ends in `=`.
    pub const fn words(mut self, words: &'static [&'static str]) -> Self {
        self.words = words;
        self
    }

    /// Sets the manual's paragraph.
    pub const fn doc(mut self, text: &'static str) -> Self {
        self.doc = text;
        self
    }
}

/// Puts a directive's arguments where they belong.
///
/// A setter validates and stores. It never opens, resolves or logs, and never puts the file or line into its message:
/// the walk adds them. The statement is whole, so that a complaint can point at a word.
pub trait Set: Sync {
    /// The conf this setter writes to; `()` for one that writes nowhere.
    fn target(&self) -> TypeId;

    /// Stores the statement's arguments.
    ///
    /// # Errors
    /// The original's words for what is wrong.
    fn set(&self, cx: &mut Setting<'_>, conf: &mut dyn Any, statement: &Statement) -> Result<(), Diagnostic>;

    /// Called at the `}` of a block this row opened, with the block's level still in place.
    ///
    /// # Errors
    /// The original's words for what is wrong with the block as a whole.
    fn close(&self, _cx: &mut Setting<'_>) -> Result<(), Diagnostic> {
        Ok(())
    }

    /// Whether the row reads other files in its place.
    fn includes(&self) -> bool {
        false
    }

    /// Whether the row's arguments are a command's, with quotes and escapes of their own (keepalived).
    fn is_command(&self) -> bool {
        false
    }
}

/// The setter of rows that are not served: the walk reports them before it is asked.
struct Unserved;

impl Set for Unserved {
    fn target(&self) -> TypeId {
        TypeId::of::<()>()
    }

    fn set(&self, _: &mut Setting<'_>, _: &mut dyn Any, _: &Statement) -> Result<(), Diagnostic> {
        Ok(())
    }
}
