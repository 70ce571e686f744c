//! keepalived's dialect: a line is a statement; `{` and `}` make blocks wherever they stand outside quotes.
//!
//! What comes in are lines that `expand` made: comments gone, variables put in. A broken place becomes a node where it
//! stands, and reading goes on.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use crate::conf::diagnostic::{Diagnostic, Severity};
use crate::conf::expand::Line;
use crate::conf::source::Span;
use crate::conf::tree::{Block, Node, Statement, Word};

/// Blocks inside blocks: more is refused, so that nothing that walks the tree can run out of stack.
const DEPTH: usize = 64;

/// One piece of a line.
enum Token {
    Word(Word),
    Open(Span),
    Close(Span),
    Unterminated(Line),
}

/// Lines made into blocks.
struct Builder<'a> {
    /// Whether a keyword may open a block; one that may not leaves a brace behind it without meaning.
    opens: &'a dyn Fn(&[u8]) -> bool,
    block: Block,
    /// Enclosing blocks, and the statements that opened what is inside them.
    around: Vec<(Block, Statement)>,
    /// A statement whose `{` may still follow.
    last: Option<Statement>,
    words: Vec<Word>,
    /// Braces opened deeper than [`DEPTH`], whose `}` is not ours.
    skipped: usize,
    /// All braces that are open, whether or not they mean anything.
    braces: usize,
}

/// Reads lines into a tree.
///
/// Differs from keepalived: a missing `}` is an error, never a crash. [test: a_missing_brace_is_an_error_and_no_crash]
/// Differs from keepalived: an unknown block is skipped as a block. [test: an_unknown_block_is_skipped_as_a_block]
pub fn tree(lines: &[Line], opens: &dyn Fn(&[u8]) -> bool) -> Block {
    let mut builder = Builder {
        opens,
        block: Block::default(),
        around: Vec::new(),
        last: None,
        words: Vec::new(),
        skipped: 0,
        braces: 0,
    };
    for line in lines {
        for token in (Tokens { line, at: 0 }) {
            builder.take(token);
        }
        builder.end_of_line();
    }
    builder.finish(lines.last())
}

impl Builder<'_> {
    fn take(&mut self, token: Token) {
        match token {
            Token::Word(word) => {
                if self.words.is_empty() {
                    self.flush();
                }
                self.words.push(word);
            }
            Token::Open(span) => self.open(span),
            Token::Close(span) => self.close(span),
            Token::Unterminated(line) => {
                // What stands before the quote is read all the same.
                self.end_of_line();
                self.flush();
                let text = crate::conf::bytes::text(&line.bytes);
                self.broken(&format!("Unterminated quote '{text}'"), line.span);
                self.broken(&format!("Unmatched quote: '{text}'"), line.span);
            }
        }
    }

    /// A line's words are a statement, unless the next line opens a block for them.
    fn end_of_line(&mut self) {
        if let Some(statement) = statement(std::mem::take(&mut self.words)) {
            self.last = Some(statement);
        }
    }

    fn flush(&mut self) {
        if let Some(last) = self.last.take() {
            self.block.nodes.push(Node::Statement(last));
        }
    }

    fn open(&mut self, span: Span) {
        self.end_of_line();
        self.braces += 1;
        let named = |opener: &Statement| opener.words.first().is_some_and(|word| (self.opens)(&word.bytes));
        let means = self.last.as_ref().is_some_and(named);
        match self.last.take() {
            Some(opener) if means && self.around.len() < DEPTH => {
                let inside = Block { start: Some(span), ..Block::default() };
                self.around.push((std::mem::replace(&mut self.block, inside), opener));
            }
            opener => {
                self.block.nodes.extend(opener.map(Node::Statement));
                self.skipped += usize::from(means);
                self.broken("Unexpected '{' - ignoring", span);
            }
        }
    }

    fn close(&mut self, span: Span) {
        self.end_of_line();
        self.flush();
        if self.braces == 0 {
            self.broken("Extra '}' found", span);
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

    fn broken(&mut self, message: &str, span: Span) {
        self.block.nodes.push(Node::Broken(Diagnostic::new(Severity::Error, message).at(span)));
    }

    fn finish(mut self, last: Option<&Line>) -> Block {
        self.end_of_line();
        self.flush();
        let missing = self.braces;
        while let Some((around, mut opener)) = self.around.pop() {
            opener.block = Some(std::mem::replace(&mut self.block, around));
            self.block.nodes.push(Node::Statement(opener));
        }
        if missing > 0 {
            let message = format!("There are {missing} missing '}}'s or extra '{{'s");
            self.block.nodes.push(Node::Broken(Diagnostic::new(Severity::Error, message)));
        }
        self.block.end = last.map(|line| line.span);
        self.block
    }
}

fn statement(words: Vec<Word>) -> Option<Statement> {
    let (first, last) = (words.first()?.span, words.last()?.span);
    let span = Span { source: first.source, start: first.start, end: last.end.max(first.start) };
    Some(Statement { words, block: None, span })
}

/// The pieces of a line.
struct Tokens<'a> {
    line: &'a Line,
    at: usize,
}

impl Iterator for Tokens<'_> {
    type Item = Token;

    fn next(&mut self) -> Option<Token> {
        let text = &self.line.bytes;
        let blank = text.get(self.at..)?.iter().take_while(|byte| byte.is_ascii_whitespace()).count();
        self.at += blank;
        let start = self.at;
        match *text.get(start)? {
            b'{' => {
                self.at += 1;
                return Some(Token::Open(self.line.part(start, start + 1)));
            }
            b'}' => {
                self.at += 1;
                return Some(Token::Close(self.line.part(start, start + 1)));
            }
            _ => {}
        }
        let quoted = text.get(start) == Some(&b'"');
        let mut bytes = Vec::new();
        let mut inside = false;
        while let Some(&byte) = text.get(self.at) {
            match byte {
                b'"' => inside = !inside,
                b'{' | b'}' if !inside => break,
                byte if byte.is_ascii_whitespace() && !inside => break,
                byte => bytes.push(byte),
            }
            self.at += 1;
        }
        let span = self.line.part(start, self.at);
        if inside {
            return Some(Token::Unterminated(self.line.clone()));
        }
        Some(Token::Word(Word { bytes: bytes.into(), span, quoted }))
    }
}

#[cfg(test)]
mod tests;
