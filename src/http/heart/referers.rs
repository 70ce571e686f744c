//! The pages requests may come from (`valid_referers`).

use crate::script::hash::Wildcards;
use crate::script::regex::{Expression, MatchError};
use std::sync::Arc;

/// The pages requests may come from.
pub struct Referers {
    /// Whether no page is one.
    pub none: bool,
    /// Whether a header is that is no URL any more.
    pub blocked: bool,
    /// Hosts, and how the path must begin.
    pub names: Wildcards<Arc<[u8]>>,
    /// Expressions of the host.
    pub hosts: Vec<Expression>,
    /// Expressions of all behind the scheme.
    pub expressions: Vec<Expression>,
}

/// Whether one of `expressions` matches.
fn any(expressions: &[Expression], text: &[u8]) -> Result<bool, MatchError> {
    for expression in expressions {
        if expression.matches(text)? {
            return Ok(true);
        }
    }
    Ok(false)
}

impl Referers {
    /// Whether a request may come from the page its header names.
    ///
    /// # Errors
    /// When PCRE2 gives up an expression.
    pub fn take(&self, referer: Option<&[u8]>) -> Result<bool, MatchError> {
        let Some(referer) = referer else { return Ok(self.none) };
        let scheme = |name: &[u8]| {
            let (head, rest) = referer.split_at_checked(name.len())?;
            (referer.len() >= b"http://i.ru".len() && head.eq_ignore_ascii_case(name)).then_some(rest)
        };
        let Some(rest) = scheme(b"http://").or_else(|| scheme(b"https://")) else { return Ok(self.blocked) };
        let end = memchr::memchr2(b'/', b':', rest).unwrap_or(rest.len());
        let host = rest.get(..end).unwrap_or_default().to_ascii_lowercase();
        if host.len() > 256 {
            return Ok(false);
        }
        if let Some(path) = self.names.find_name(&host) {
            let start = memchr::memchr(b'/', rest).unwrap_or(rest.len());
            return Ok(rest.get(start..).unwrap_or_default().starts_with(path));
        }
        Ok(any(&self.hosts, &host)? || any(&self.expressions, rest)?)
    }
}
