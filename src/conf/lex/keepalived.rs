//! keepalived's dialect: a line is a statement; `{` and `}` make blocks wherever they stand outside quotes.
//!
//! What comes in are lines that `expand` made: comments gone, variables put in. A broken place becomes a node where it
//! stands, and reading goes on. Words are quoted with `"` alone; the line of a keyword that takes a command is read
//! again with `'` and backslashes ([`super::command`]).
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use super::command;
use crate::conf::diagnostic::{Diagnostic, Kind, Severity};
use crate::conf::expand::Line;
use crate::conf::source::Span;
use crate::conf::tree::{Block, Node, Statement, Word};

/// Blocks inside blocks: more is refused, so that nothing that walks the tree can run out of stack.
const DEPTH: usize = 64;

/// How the lines of keywords are read, by the keyword's name.
pub struct Keywords<'a> {
    /// Whether it may open a block; after one that may not, a brace has no meaning.
    pub opens: &'a dyn Fn(&[u8]) -> bool,
    /// Whether it takes a command.
    pub command: &'a dyn Fn(&[u8]) -> bool,
}

/// One piece of a line; a text lies between two places of it.
enum Piece {
    Text(usize, usize),
    Open(usize),
    Close(usize),
}

/// Lines made into blocks.
struct Builder<'a> {
    keywords: &'a Keywords<'a>,
    block: Block,
    /// Enclosing blocks, and the statements that opened what is inside them.
    around: Vec<(Block, Statement)>,
    /// A statement whose `{` may still follow.
    last: Option<Statement>,
    /// Braces opened deeper than [`DEPTH`], whose `}` is not ours.
    skipped: usize,
    /// All braces that are open, whether or not they mean anything.
    braces: usize,
    /// What is wrong with quotes and braces, whatever they belong to.
    shape: Vec<Diagnostic>,
}

/// Reads lines into a tree; what is wrong with their quotes and braces comes beside it, in order.
///
/// Differs from keepalived: a missing `}` is an error, never a crash. [test: a_missing_brace_is_an_error_and_no_crash]
/// Differs from keepalived: an unknown block is skipped as a block. [test: an_unknown_block_is_skipped_as_a_block]
pub fn tree(lines: &[Line], keywords: &Keywords<'_>) -> (Block, Vec<Diagnostic>) {
    let mut builder = Builder {
        keywords,
        block: Block::default(),
        around: Vec::new(),
        last: None,
        skipped: 0,
        braces: 0,
        shape: Vec::new(),
    };
    for line in lines {
        for piece in (Pieces { text: &line.bytes, at: 0 }) {
            match piece {
                Piece::Text(start, end) => builder.text(line, start, end),
                Piece::Open(at) => builder.open(line.part(at, at + 1)),
                Piece::Close(at) => builder.close(line.part(at, at + 1)),
            }
        }
    }
    builder.finish(lines.last())
}

impl Builder<'_> {
    /// The text up to a brace or the end of the line is a statement, whose block the next line may open.
    fn text(&mut self, line: &Line, start: usize, end: usize) {
        self.flush();
        let text = line.bytes.get(start..end).unwrap_or_default();
        let word = |bytes: &[u8], quoted: bool, (from, to): (usize, usize)| Word {
            bytes: bytes.into(),
            span: line.part(start + from, start + to),
            quoted,
        };
        let mut words = Vec::new();
        let mut plain = Plain { text, at: 0 };
        for (bytes, quoted, place) in plain.by_ref() {
            words.push(word(bytes, quoted, place));
        }
        if plain.at < text.len() {
            let message = format!("Unmatched quote: '{}'", crate::conf::bytes::text(text));
            let quote = line.bytes.iter().take(end).rposition(|byte| *byte == b'"').unwrap_or(start);
            let complaint = Diagnostic::new(Severity::Error, message).kind(Kind::Quote).at(line.span);
            self.shape.push(complaint.opened(Some(line.part(quote, quote + 1))));
        }
        if words.first().is_some_and(|name| (self.keywords.command)(&name.bytes)) {
            match command::words(text) {
                Ok(read) => words = read.iter().map(|read| word(&read.bytes, read.quoted, read.place)).collect(),
                Err(missing) => {
                    let complaint = command::unterminated(&crate::conf::bytes::text(text), missing);
                    return self.block.nodes.push(Node::Broken(complaint.at(line.span)));
                }
            }
        }
        self.last = statement(words);
    }

    fn flush(&mut self) {
        if let Some(last) = self.last.take() {
            self.block.nodes.push(Node::Statement(last));
        }
    }

    fn open(&mut self, span: Span) {
        self.braces += 1;
        let named = |opener: &Statement| opener.words.first().is_some_and(|word| (self.keywords.opens)(&word.bytes));
        let means = self.last.as_ref().is_some_and(named);
        match self.last.take() {
            Some(opener) if means && self.around.len() < DEPTH => {
                let inside = Block { start: Some(span), ..Block::default() };
                self.around.push((std::mem::replace(&mut self.block, inside), opener));
            }
            opener => {
                self.block.nodes.extend(opener.map(Node::Statement));
                self.skipped += usize::from(means);
                self.broken(Kind::Brace, "Unexpected '{' - ignoring", span);
            }
        }
    }

    fn close(&mut self, span: Span) {
        self.flush();
        if self.braces == 0 {
            self.shape(Kind::Syntax, "Extra '}' found", span);
            self.shape(Kind::Keyword, "Unknown keyword '}'", span);
            return;
        }
        self.braces -= 1;
        if self.skipped > 0 {
            self.skipped -= 1;
            return;
        }
        // Otherwise it closes a brace without meaning.
        if let Some((around, mut opener)) = self.around.pop() {
            let mut inside = std::mem::replace(&mut self.block, around);
            inside.end = Some(span);
            opener.block = Some(inside);
            self.block.nodes.push(Node::Statement(opener));
        }
    }

    fn shape(&mut self, kind: Kind, message: impl Into<String>, span: Span) {
        self.shape.push(Diagnostic::new(Severity::Error, message).kind(kind).at(span));
    }

    fn broken(&mut self, kind: Kind, message: &str, span: Span) {
        self.block.nodes.push(Node::Broken(Diagnostic::new(Severity::Error, message).kind(kind).at(span)));
    }

    fn finish(mut self, last: Option<&Line>) -> (Block, Vec<Diagnostic>) {
        self.flush();
        let missing = self.braces;
        let innermost = self.block.start;
        while let Some((around, mut opener)) = self.around.pop() {
            opener.block = Some(std::mem::replace(&mut self.block, around));
            self.block.nodes.push(Node::Statement(opener));
        }
        if missing > 0 {
            let message = format!("There are {missing} missing '}}'s or extra '{{'s");
            self.shape.push(Diagnostic::new(Severity::Error, message).kind(Kind::Syntax).opened(innermost));
        }
        self.block.end = last.map(|line| line.span);
        (self.block, self.shape)
    }
}

fn statement(words: Vec<Word>) -> Option<Statement> {
    let (first, last) = (words.first()?.span, words.last()?.span);
    let span = Span { source: first.source, start: first.start, end: last.end.max(first.start) };
    Some(Statement { words, block: None, span })
}

/// The pieces of a line: braces outside quotes, and what lies between them.
struct Pieces<'a> {
    text: &'a [u8],
    at: usize,
}

impl Iterator for Pieces<'_> {
    type Item = Piece;

    fn next(&mut self) -> Option<Piece> {
        let rest = self.text.get(self.at..)?;
        let start = self.at + rest.iter().take_while(|byte| byte.is_ascii_whitespace()).count();
        self.at = start + 1;
        match self.text.get(start)? {
            b'{' => return Some(Piece::Open(start)),
            b'}' => return Some(Piece::Close(start)),
            _ => {}
        }
        let mut inside = false;
        let brace = |byte: &u8| {
            inside ^= *byte == b'"';
            !inside && matches!(byte, b'{' | b'}')
        };
        self.at = start + self.text.get(start..)?.iter().position(brace).unwrap_or(self.text.len() - start);
        let text = self.text.get(start..self.at)?.trim_ascii_end();
        Some(Piece::Text(start, start + text.len()))
    }
}

/// The words of ordinary keywords, whether they are quoted, and where they are: a quote begins and ends a word.
struct Plain<'a> {
    text: &'a [u8],
    /// Where the next word is looked for; before the end when a quote is not closed.
    at: usize,
}

impl<'a> Iterator for Plain<'a> {
    type Item = (&'a [u8], bool, (usize, usize));

    fn next(&mut self) -> Option<Self::Item> {
        let rest = self.text.get(self.at..)?;
        self.at += rest.iter().take_while(|byte| byte.is_ascii_whitespace()).count();
        let (start, rest) = (self.at, self.text.get(self.at..)?);
        if let Some(inside) = rest.strip_prefix(b"\"") {
            let length = inside.iter().position(|byte| *byte == b'"')?;
            self.at += length + 2;
            return Some((inside.get(..length)?, true, (start, self.at)));
        }
        let ends = |byte: &u8| byte.is_ascii_whitespace() || *byte == b'"';
        let length = rest.iter().position(ends).unwrap_or(rest.len());
        self.at += length;
        (length > 0).then_some((rest.get(..length)?, false, (start, self.at)))
    }
}

#[cfg(test)]
mod tests;
