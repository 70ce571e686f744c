//! nginx's dialect: words end at white space, `;` and `{`; quotes keep everything but escapes together.
//!
//! The rules are nginx's own, byte for byte, including what it accepts by accident (`${` inside a word opens no block,
//! `)` may follow a closing quote). A broken place becomes a node where it stands, so that complaints about what comes
//! before it are found first, as in nginx, which reads and judges one statement at a time.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use crate::conf::diagnostic::{Diagnostic, Kind, MOST};
use crate::conf::source::{SourceId, Span};
use crate::conf::tree::{Block, Node, Statement, Word};

/// nginx reads through a buffer of this size; a word must fit.
const BUFFER: usize = 4096;

/// Blocks inside blocks: more is refused, so that nothing that walks the tree can run out of stack.
///
/// Differs from nginx: it has no limit, and crashes. [test: blocks_nested_without_end_are_refused]
const DEPTH: usize = 512;

/// Reads a file.
pub fn file(text: &[u8], source: SourceId) -> Block {
    Reader::new(text, source, false).read()
}

/// Reads a file to its end, whatever is broken in it: what follows a broken place is read from behind the next `;`,
/// the block that opens there, or from the next `}`.
pub fn every(text: &[u8], source: SourceId) -> Block {
    Reader { every: true, ..Reader::new(text, source, false) }.read()
}

/// Reads the argument of `-g`, where no blocks are allowed and the last `;` must be there.
pub fn parameters(text: &[u8], source: SourceId) -> Block {
    Reader::new(text, source, true).read()
}

/// How a run of words ended.
enum End {
    Semicolon,
    Open,
    Close,
    Eof,
}

struct Reader<'a> {
    text: &'a [u8],
    at: usize,
    source: SourceId,
    parameters: bool,
    every: bool,
}

impl<'a> Reader<'a> {
    const fn new(text: &'a [u8], source: SourceId, parameters: bool) -> Self {
        Self { text, at: 0, source, parameters, every: false }
    }

    const fn span(&self, start: usize, end: usize) -> Span {
        Span { source: self.source, start: start as u32, end: end as u32 }
    }

    /// The byte just read, where nginx counts its line.
    fn here(&self) -> Span {
        self.span(self.at.saturating_sub(1), self.at)
    }

    /// Behind the last byte: after a last line end nginx counts one more line.
    const fn end(&self) -> Span {
        self.span(self.text.len(), self.text.len())
    }

    fn read(mut self) -> Block {
        let mut open: Vec<(Block, Statement)> = Vec::new();
        // The brace that opened each block that was closed, and where that was: kept where every complaint is wanted.
        let mut closed: Vec<(Span, usize)> = Vec::new();
        let mut block = Block::default();
        let mut left = MOST;
        let broken = loop {
            let mut words = Vec::new();
            match self.words(&mut words) {
                Err(complaint) if self.every && self.at < self.text.len() && left > 0 => {
                    left -= 1;
                    block.nodes.push(Node::Broken(complaint));
                    self.recover();
                }
                Err(complaint) => break Some(complaint),
                Ok(End::Semicolon) => {
                    let statement = self.statement(words);
                    block.nodes.push(Node::Statement(statement));
                }
                Ok(End::Open) => {
                    if self.parameters {
                        let text = "block directives are not supported in -g option";
                        break Some(Diagnostic::emerg(text).at(self.here()));
                    }
                    if open.len() >= DEPTH {
                        break Some(syntax("blocks are nested too deeply").at(self.here()));
                    }
                    let statement = self.statement(words);
                    open.push((std::mem::take(&mut block), statement));
                }
                Ok(End::Close) => match open.pop() {
                    Some(around) => {
                        if self.every {
                            closed.push((brace(&around.1), self.at.saturating_sub(1)));
                        }
                        block = Self::closed(around, block, Some(self.here()));
                    }
                    None => {
                        let complaint = syntax("unexpected \"}\"").at(self.here());
                        if !self.every || left == 0 {
                            break Some(complaint);
                        }
                        left -= 1;
                        block.nodes.push(Node::Broken(complaint));
                    }
                },
                Ok(End::Eof) if open.is_empty() => break None,
                Ok(End::Eof) => {
                    let innermost = open.last().map(|(_, statement)| brace(statement));
                    let complaint = syntax("unexpected end of file, expecting \"}\"").at(self.end());
                    break Some(complaint.opened(self.unclosed(&closed).or(innermost)));
                }
            }
        };
        block.nodes.extend(broken.map(Node::Broken));
        while let Some(around) = open.pop() {
            block = Self::closed(around, block, None);
        }
        block.end = Some(self.span(self.text.len(), self.text.len()));
        block
    }

    /// Goes on behind a broken place: behind its `;`, behind the block it opens, or at the `}` of the block around it.
    fn recover(&mut self) {
        let mut depth = 0_usize;
        self.at = self.at.saturating_sub(1);
        while let Some(byte) = self.next() {
            match byte {
                b'#' => self.at += memchr::memchr(b'\n', self.rest()).unwrap_or_else(|| self.rest().len()),
                b';' if depth == 0 => return,
                b'{' => depth += 1,
                b'}' if depth == 0 => {
                    self.at -= 1;
                    return;
                }
                b'}' => {
                    depth -= 1;
                    if depth == 0 {
                        return;
                    }
                }
                _ => {}
            }
        }
    }

    fn closed((mut around, mut statement): (Block, Statement), mut inner: Block, end: Option<Span>) -> Block {
        inner.end = end;
        statement.block = Some(inner);
        around.nodes.push(Node::Statement(statement));
        around
    }

    fn statement(&self, words: Vec<Word>) -> Statement {
        let start = words.first().map_or(self.at, |word| word.span.start as usize);
        Statement { words, block: None, span: self.span(start, self.at) }
    }

    fn next(&mut self) -> Option<u8> {
        let byte = self.text.get(self.at).copied()?;
        self.at += 1;
        Some(byte)
    }

    fn unexpected(&self, byte: u8) -> Diagnostic {
        syntax(format!("unexpected \"{}\"", char::from(byte))).at(self.here())
    }

    /// Of pairs of what opened a block and where it was closed, the first whose `}` begins a line and stands farther left
    /// than the line that opened it: its own `}` is probably missing.
    fn unclosed(&self, pairs: &[(Span, usize)]) -> Option<Span> {
        let lines: Vec<usize> =
            std::iter::once(0).chain(memchr::memchr_iter(b'\n', self.text).map(|at| at + 1)).collect();
        let start =
            |at: usize| lines.partition_point(|line| *line <= at).checked_sub(1).and_then(|line| lines.get(line));
        let indent = |at: usize| {
            let line = self.text.get(*start(at)?..)?;
            Some(line.iter().take_while(|byte| matches!(byte, b' ' | b'\t')).count())
        };
        let farther_left = |(opened, closed): &&(Span, usize)| {
            let column = start(*closed).map(|line| closed - line);
            column.is_some() && column == indent(*closed) && column < indent(opened.start as usize)
        };
        pairs.iter().find(farther_left).map(|(opened, _)| *opened)
    }

    /// The complaint with the place where a `;` is probably missing: behind the last word.
    fn unended(&self, complaint: Diagnostic, words: &[Word]) -> Diagnostic {
        let Some(last) = words.last().filter(|_| !self.parameters) else { return complaint };
        let (before, after) = self.text.split_at(self.text.len().min(last.span.end as usize));
        let between = after.get(..self.at.saturating_sub(before.len() + 1)).unwrap_or_default();
        if memchr::memchr(b'\n', between).is_none() && self.at < self.text.len() {
            return complaint.help("is a \";\" missing before it?");
        }
        let line = memchr::memchr_iter(b'\n', before).count() + 1;
        complaint.help(format!("is a \";\" missing at the end of line {line}?"))
    }

    fn eof(&self) -> Diagnostic {
        let text = if self.parameters {
            "unexpected end of parameter, expecting \";\""
        } else {
            "unexpected end of file, expecting \";\" or \"}\""
        };
        syntax(text).at(self.end())
    }

    /// Reads words up to what ends them.
    fn words(&mut self, words: &mut Vec<Word>) -> Result<End, Diagnostic> {
        loop {
            let Some(byte) = self.next() else {
                return if words.is_empty() { Ok(End::Eof) } else { Err(self.unended(self.eof(), words)) };
            };
            match byte {
                b' ' | b'\t' | b'\r' | b'\n' => {}
                b'#' => self.comment()?,
                b';' | b'{' if words.is_empty() => return Err(self.unexpected(byte)),
                b';' => return Ok(End::Semicolon),
                b'{' => return Ok(End::Open),
                b'}' if words.is_empty() => return Ok(End::Close),
                b'}' => return Err(self.unended(self.unexpected(byte), words)),
                b'"' | b'\'' => {
                    let (word, end) = self.quoted(byte)?;
                    words.push(word);
                    match end {
                        Some(end) => return Ok(end),
                        None => continue,
                    }
                }
                first => {
                    let (word, end) = self.plain(first)?;
                    words.push(word);
                    if let Some(end) = end {
                        return Ok(end);
                    }
                }
            }
        }
    }

    /// Passes over a comment, up to its line end; even that must fit into nginx's buffer.
    fn comment(&mut self) -> Result<(), Diagnostic> {
        let start = self.at - 1;
        let end = memchr::memchr(b'\n', self.rest());
        self.at += end.map_or_else(|| self.rest().len(), |end| end + 1);
        let too_long = self.too_long(start, None);
        self.at -= usize::from(end.is_some());
        too_long.map_or(Ok(()), Err)
    }

    fn rest(&self) -> &'a [u8] {
        self.text.get(self.at..).unwrap_or_default()
    }

    /// A quoted word, and what comes right behind its closing quote.
    fn quoted(&mut self, quote: u8) -> Result<(Word, Option<End>), Diagnostic> {
        let start = self.at;
        loop {
            match self.next() {
                None => {
                    let complaint = self.too_long(start, Some(quote)).unwrap_or_else(|| self.eof());
                    return Err(complaint.opened(Some(self.span(start - 1, start))));
                }
                Some(b'\\') => self.at = (self.at + 1).min(self.text.len()),
                Some(byte) if byte == quote => break,
                Some(_) => {}
            }
        }
        if let Some(complaint) = self.too_long(start, Some(quote)) {
            return Err(complaint);
        }
        let word = self.word(start, self.at - 1, true);
        match self.next() {
            None => Err(self.eof()),
            Some(b' ' | b'\t' | b'\r' | b'\n') => Ok((word, None)),
            Some(b';') => Ok((word, Some(End::Semicolon))),
            Some(b'{') => Ok((word, Some(End::Open))),
            Some(b')') => {
                self.at -= 1;
                Ok((word, None))
            }
            Some(byte) => Err(self.unexpected(byte)),
        }
    }

    /// A word without quotes; `{` right behind `$` belongs to it.
    fn plain(&mut self, first: u8) -> Result<(Word, Option<End>), Diagnostic> {
        let start = self.at - 1;
        let mut variable = first == b'$';
        if first == b'\\' {
            self.at = (self.at + 1).min(self.text.len());
        }
        loop {
            let Some(byte) = self.next() else {
                return Err(self.too_long(start, None).unwrap_or_else(|| self.eof()));
            };
            let was_variable = std::mem::replace(&mut variable, byte == b'$');
            let end = match byte {
                b'{' if was_variable => continue,
                b'\\' => {
                    self.at = (self.at + 1).min(self.text.len());
                    continue;
                }
                b' ' | b'\t' | b'\r' | b'\n' => None,
                b';' => Some(End::Semicolon),
                b'{' => Some(End::Open),
                _ => continue,
            };
            if let Some(complaint) = self.too_long(start, None) {
                return Err(complaint);
            }
            return Ok((self.word(start, self.at - 1, false), end));
        }
    }

    /// nginx's complaint about a word that outgrows its buffer.
    fn too_long(&self, start: usize, quote: Option<u8>) -> Option<Diagnostic> {
        if self.parameters || self.at.saturating_sub(start) <= BUFFER {
            return None;
        }
        let message = match quote {
            Some(quote) => {
                format!("too long parameter, probably missing terminating \"{}\" character", char::from(quote))
            }
            None => {
                let shown = self.text.get(start..start + 10).unwrap_or_default();
                format!("too long parameter \"{}...\" started", crate::conf::bytes::text(shown))
            }
        };
        Some(syntax(message).at(self.span(start, start + 1)))
    }

    fn word(&self, start: usize, end: usize, quoted: bool) -> Word {
        let raw = self.text.get(start..end).unwrap_or_default();
        let bytes = if memchr::memchr(b'\\', raw).is_some() { unescaped(raw).into() } else { raw.into() };
        Word { bytes, span: self.span(start, end), quoted }
    }
}

/// A complaint about the text itself.
fn syntax(message: impl Into<String>) -> Diagnostic {
    Diagnostic::emerg(message).kind(Kind::Syntax)
}

/// The `{` that ends a statement.
const fn brace(statement: &Statement) -> Span {
    Span { start: statement.span.end.saturating_sub(1), ..statement.span }
}

/// Resolves nginx's escapes: `\"` `\'` `\\` `\t` `\r` `\n`; any other backslash stays.
fn unescaped(raw: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(raw.len());
    let mut rest = raw;
    while let [first, tail @ ..] = rest {
        let (byte, next) = match (first, tail) {
            (b'\\', [b't', after @ ..]) => (b'\t', after),
            (b'\\', [b'r', after @ ..]) => (b'\r', after),
            (b'\\', [b'n', after @ ..]) => (b'\n', after),
            (b'\\', [quoted @ (b'"' | b'\'' | b'\\'), after @ ..]) => (*quoted, after),
            (byte, after) => (*byte, after),
        };
        out.push(byte);
        rest = next;
    }
    out
}

#[cfg(test)]
mod tests;
