//! `include` and its variants: what they name, and what is said when that is not there.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use crate::conf::diagnostic::{Diagnostic, Kind, Severity};
use crate::conf::source::Span;

/// What a variant of `include` insists on: a plain name's file, a match of a pattern, one for each of the braces.
#[derive(Clone, Copy, Debug)]
struct Must {
    name: bool,
    pattern: bool,
    braces: bool,
}

/// What every `include` insists on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Checks {
    readable: bool,
    name: bool,
    pattern: bool,
    braces: bool,
}

impl Checks {
    const ALL: Self = Self { readable: true, name: true, pattern: true, braces: true };

    /// What holds behind a line of these words: all without any; the first without a sign replaces what was, one with a
    /// sign is added or taken away.
    pub fn after(self, words: &[u8]) -> Self {
        let mut words = words.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty()).peekable();
        if words.peek().is_none() {
            return Self::ALL;
        }
        let mut checks = self;
        for (at, word) in words.enumerate() {
            let (sign, name) = match word {
                [sign @ (b'+' | b'-'), name @ ..] => (Some(*sign), name),
                name => (None, name),
            };
            if sign.is_none() {
                if at > 0 {
                    continue;
                }
                checks = Self::default();
            }
            let Some(slot) = checks.slot(name) else { continue };
            *slot = sign != Some(b'-');
            checks.readable |= sign.is_none();
        }
        checks
    }

    fn slot(&mut self, name: &[u8]) -> Option<&mut bool> {
        match name {
            b"read" | b"readable" => Some(&mut self.readable),
            b"match" => Some(&mut self.name),
            b"wildcard_match" => Some(&mut self.pattern),
            b"brace_match" => Some(&mut self.braces),
            _ => None,
        }
    }
}

/// The variants of newer versions.
const VARIANTS: [(&[u8], Must); 5] = [
    (b"includer", Must { name: false, pattern: false, braces: false }),
    (b"includem", Must { name: true, pattern: false, braces: false }),
    (b"includew", Must { name: true, pattern: true, braces: false }),
    (b"includeb", Must { name: false, pattern: false, braces: true }),
    (b"includea", Must { name: true, pattern: true, braces: true }),
];

/// A line that includes files.
#[derive(Debug)]
pub struct Include {
    /// The names, as a pattern of glob(3).
    pub pattern: Vec<u8>,
    /// `None` for `include` itself.
    must: Option<Must>,
    /// A file that is there and cannot be read is an error.
    readable: bool,
}

/// The include a line is. What follows `include` is the name, quotes and blanks and all; its variants know quotes.
pub fn find(line: &[u8]) -> Option<Include> {
    if let Some(rest) = after(line, b"include") {
        return Some(Include { pattern: rest.to_vec(), must: None, readable: false });
    }
    let (rest, must) = VARIANTS.iter().find_map(|(word, must)| Some((after(line, word)?, *must)))?;
    let pattern = rest.strip_prefix(b"\"").and_then(|rest| rest.strip_suffix(b"\"")).unwrap_or(rest).to_vec();
    Some(Include { pattern, must: Some(must), readable: must.name })
}

/// What a line says of the checks of all includes: what follows `keyword`.
pub fn checks<'a>(line: &'a [u8], keyword: &str) -> Option<&'a [u8]> {
    let bare = line == keyword.as_bytes();
    if bare { Some(&[]) } else { after(line, keyword.as_bytes()) }
}

/// What follows `keyword` and a blank.
fn after<'a>(line: &'a [u8], keyword: &[u8]) -> Option<&'a [u8]> {
    let rest = line.strip_prefix(keyword)?;
    rest.first()?.is_ascii_whitespace().then(|| rest.trim_ascii())
}

impl Include {
    /// It insists on this as well.
    pub fn checked(mut self, checks: Checks) -> Self {
        if checks != Checks::default() {
            let own = self.must.unwrap_or(Must { name: false, pattern: false, braces: false });
            self.must = Some(Must {
                name: own.name | checks.name,
                pattern: own.pattern | checks.pattern,
                braces: own.braces | checks.braces,
            });
            self.readable |= checks.readable;
        }
        self
    }

    /// What is said when nothing has the name. For `include` that is no fault.
    pub fn missing(&self, span: Span) -> Option<Diagnostic> {
        let pattern = crate::conf::bytes::text(&self.pattern);
        let Some(must) = self.must else {
            return Some(log_line(format!("No config files matched '{pattern}'.")));
        };
        let braces = self.pattern.contains(&b'{');
        let wild = self.pattern.iter().any(|byte| matches!(byte, b'*' | b'?' | b'['));
        let needed = match (braces, wild) {
            (true, _) => must.braces,
            (false, true) => must.pattern,
            (false, false) => must.name,
        };
        let message = match (wild && !braces, must.pattern) {
            (true, false) => return None,
            (true, true) => format!("No config files matched '{pattern}'."),
            (false, _) => format!("Config files missing '{pattern}'."),
        };
        Some(if needed { required(message, span) } else { Diagnostic::new(Severity::Warn, message).at(span) })
    }

    /// What is said of a file that is not read.
    pub fn skipped(&self, message: String, span: Span) -> Diagnostic {
        match self.must {
            Some(_) if self.readable => required(message, span),
            Some(_) => Diagnostic::new(Severity::Warn, message).at(span),
            None => log_line(message),
        }
    }
}

/// What is said of a file that must be there.
fn required(message: String, span: Span) -> Diagnostic {
    Diagnostic::new(Severity::Error, message).kind(Kind::File).at(span)
}

/// A line of the log, which names no place.
fn log_line(message: String) -> Diagnostic {
    Diagnostic::new(Severity::Notice, message).unlined()
}
