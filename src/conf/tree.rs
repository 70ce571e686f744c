//! What both dialects become: statements with words, blocks and spans.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use super::diagnostic::{At, Diagnostic};
use super::source::Span;
use std::borrow::Cow;
use std::fmt;

/// One word of a statement, quotes and escapes resolved.
#[derive(Clone, PartialEq, Eq)]
pub struct Word {
    /// The bytes; configurations need not be UTF-8.
    pub bytes: Box<[u8]>,
    /// Where it stands.
    pub span: Span,
    /// Whether it was quoted.
    pub quoted: bool,
}

impl Word {
    /// The word for a message or a name; bytes that are not UTF-8 are kept ([`super::bytes`]).
    pub fn text(&self) -> Cow<'_, str> {
        super::bytes::text(&self.bytes)
    }

    /// Whether the word is exactly `text`.
    pub fn is(&self, text: &str) -> bool {
        *self.bytes == *text.as_bytes()
    }

    /// What follows `prefix` in the word.
    pub fn after(&self, prefix: &str) -> Option<&[u8]> {
        self.bytes.strip_prefix(prefix.as_bytes())
    }
}

impl fmt::Debug for Word {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.text())
    }
}

/// One directive or keyword as written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Statement {
    /// Its name and arguments; never empty.
    pub words: Vec<Word>,
    /// What stands between its braces.
    pub block: Option<Block>,
    /// From its first word to its `;` or `{` (or the end of its line).
    pub span: Span,
}

impl Statement {
    /// The first word.
    pub fn name(&self) -> Cow<'_, str> {
        self.words.first().map_or(Cow::Borrowed(""), Word::text)
    }

    /// The words after the name.
    pub fn arguments(&self) -> &[Word] {
        self.words.get(1..).unwrap_or_default()
    }
}

/// The inside of a pair of braces, or a whole file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Block {
    /// What stands inside, in order.
    pub nodes: Vec<Node>,
    /// The opening brace, where the dialect keeps it.
    pub start: Option<Span>,
    /// The closing brace, or the end of the file.
    pub end: Option<Span>,
}

impl Block {
    /// The statements, without the broken places.
    pub fn statements(&self) -> impl Iterator<Item = &Statement> {
        self.nodes.iter().filter_map(|node| match node {
            Node::Statement(statement) => Some(statement),
            Node::Broken(_) => None,
        })
    }
}

/// One thing in a block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Node {
    /// A well-formed statement.
    Statement(Statement),
    /// A place that could not be read; found in order, so that complaints about earlier statements come first.
    Broken(Diagnostic),
}

impl Node {
    /// Where it stands.
    pub fn place(&self) -> Option<Span> {
        match self {
            Self::Statement(statement) => Some(statement.span),
            Self::Broken(complaint) => match complaint.at {
                At::Span(span) => Some(span),
                At::Nowhere | At::Unlined => None,
            },
        }
    }
}
