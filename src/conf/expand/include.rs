//! `include` and its variants: what they name, and what is said when that is not there.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use crate::conf::diagnostic::{Diagnostic, Severity};
use crate::conf::source::Span;

/// What a variant of `include` insists on: a plain name's file, a match of a pattern, one for each of the braces.
#[derive(Clone, Copy, Debug)]
struct Must {
    name: bool,
    pattern: bool,
    braces: bool,
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
}

/// The include a line is. What follows `include` is the name, quotes and blanks and all; its variants know quotes.
pub fn find(line: &[u8]) -> Option<Include> {
    if let Some(rest) = after(line, b"include") {
        return Some(Include { pattern: rest.to_vec(), must: None });
    }
    let (rest, must) = VARIANTS.iter().find_map(|(word, must)| Some((after(line, word)?, *must)))?;
    let pattern = rest.strip_prefix(b"\"").and_then(|rest| rest.strip_suffix(b"\"")).unwrap_or(rest).to_vec();
    Some(Include { pattern, must: Some(must) })
}

/// What follows `keyword` and a blank.
fn after<'a>(line: &'a [u8], keyword: &[u8]) -> Option<&'a [u8]> {
    let rest = line.strip_prefix(keyword)?;
    rest.first()?.is_ascii_whitespace().then(|| rest.trim_ascii())
}

impl Include {
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
        Some(Diagnostic::new(if needed { Severity::Error } else { Severity::Warn }, message).at(span))
    }

    /// What is said of a file that is not read.
    pub fn skipped(&self, message: String, span: Span) -> Diagnostic {
        match self.must {
            Some(must) if must.name => Diagnostic::new(Severity::Error, message).at(span),
            Some(_) => Diagnostic::new(Severity::Warn, message).at(span),
            None => log_line(message),
        }
    }
}

/// A line of the log, which names no place.
fn log_line(message: String) -> Diagnostic {
    Diagnostic::new(Severity::Notice, message).unlined()
}
