//! What lines of routes and rules have in common: words one after the other, numbers, names of tables and protocols.

use crate::conf::diagnostic::{Diagnostic, Kind};
use crate::conf::source::Span;
use crate::conf::tree::Statement;
use crate::conf::walk::Setting;
use crate::keepalived::slot::{complain, count};
use std::net::IpAddr;

/// An interface a line names; whether it is there is looked up once all is read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Need {
    /// Its name.
    pub dev: String,
    /// What is said when it is not there.
    pub text: String,
    /// Whether nothing runs without it.
    pub vital: bool,
    /// Where it is named.
    pub span: Span,
}

impl Need {
    /// An interface without which nothing runs.
    pub fn vital(dev: String, what: &str, span: Span) -> Self {
        let text = format!("WARNING - interface {dev} for {what} doesn't exist");
        Self { dev, text, vital: true, span }
    }

    /// An interface that would be nice to have.
    pub fn wanted(dev: String, what: &str, span: Span) -> Self {
        let text = format!("unknown interface {dev} specified for {what}");
        Self { dev, text, vital: false, span }
    }
}

/// What ends the reading of a line.
pub struct Found {
    /// What is said before it.
    pub before: Option<String>,
    /// What is wrong.
    pub text: String,
    /// What that is about.
    pub kind: Kind,
}

impl From<String> for Found {
    fn from(text: String) -> Self {
        Self { before: None, text, kind: Kind::Other }
    }
}

impl From<&str> for Found {
    fn from(text: &str) -> Self {
        text.to_owned().into()
    }
}

impl Found {
    /// Reports both.
    pub fn report(self, cx: &mut Setting<'_>, span: Span) {
        if let Some(before) = self.before {
            cx.report(complain(before).at(span));
        }
        cx.report(complain(self.text).kind(self.kind).at(span));
    }
}

/// The words of a line, one after the other.
pub struct Words<'a> {
    line: &'a Statement,
    at: usize,
}

impl<'a> Words<'a> {
    /// All words, the first one included.
    pub const fn of(line: &'a Statement) -> Self {
        Self { line, at: 0 }
    }

    /// The next word.
    pub fn next(&mut self) -> Option<String> {
        let word = self.peek()?;
        self.at += 1;
        Some(word)
    }

    /// The next word, which stays.
    pub fn peek(&self) -> Option<String> {
        self.line.words.get(self.at).map(|word| word.text().into_owned())
    }

    /// The next two words, which stay.
    pub fn peek_two(&self) -> Option<(String, String)> {
        let value = self.line.words.get(self.at + 1)?;
        Some((self.peek()?, value.text().into_owned()))
    }

    /// The word a keyword needs.
    ///
    /// # Errors
    /// The line ends.
    pub fn need(&mut self) -> Result<String, Found> {
        if let Some(word) = self.next() {
            return Ok(word);
        }
        let text = |at: usize| self.line.words.get(at).map(|word| word.text().into_owned()).unwrap_or_default();
        let keyword = text(self.at.saturating_sub(1));
        let position = self.at + 1;
        let text = format!(
            "*** Configuration line starting `{}` is missing a parameter after keyword `{keyword}` at word position {position}",
            text(0),
        );
        Err(Found { kind: Kind::Argument, ..text.into() })
    }
}

/// An address, or keepalived's words about what is none.
pub fn address(text: &str, said: &mut Vec<Diagnostic>) -> Option<IpAddr> {
    let address = text.parse().ok();
    if address.is_none() {
        said.push(complain(format!("VRRP parsed invalid IP {text}. skipping IP...")));
    }
    address
}

/// A number of a route or rule.
///
/// # Errors
/// It is none, or too large.
pub fn number(text: &str, most: i64, wrong: impl FnOnce() -> String) -> Result<u32, Found> {
    match count(text, &(0..=most)) {
        Ok(value) => Ok(u32::try_from(value).unwrap_or(u32::MAX)),
        Err(complaint) => Err(Found { before: Some(complaint.message), ..wrong().into() }),
    }
}

/// A number of eight bits, also in hexadecimal, or one of the names.
pub fn named(text: &str, names: &[(&str, u8)]) -> Option<u8> {
    let hexadecimal = text.strip_prefix("0x").and_then(|digits| u8::from_str_radix(digits, 16).ok());
    let known = || names.iter().find(|(name, _)| *name == text).map(|(_, number)| *number);
    hexadecimal.or_else(|| text.parse().ok()).or_else(known)
}

/// The kernel's names of scopes.
pub const SCOPES: [(&str, u8); 5] = [("global", 0), ("site", 200), ("link", 253), ("host", 254), ("nowhere", 255)];

/// The names of routing protocols.
pub const PROTOCOLS: [(&str, u8); 17] = [
    ("unspec", 0),
    ("redirect", 1),
    ("kernel", 2),
    ("boot", 3),
    ("static", 4),
    ("gated", 8),
    ("ra", 9),
    ("mrt", 10),
    ("zebra", 11),
    ("bird", 12),
    ("dnrouted", 13),
    ("xorp", 14),
    ("ntk", 15),
    ("dhcp", 16),
    ("keepalived", 18),
    ("babel", 42),
    ("bgp", 186),
];

/// A type of service.
///
/// # Errors
/// It is none.
pub fn tos(text: &str) -> Result<u8, Found> {
    named(text, &[]).ok_or_else(|| format!("TOS value {text} is invalid").into())
}

/// A routing table, by number or one of the names every system has.
///
/// # Errors
/// It is neither.
pub fn table(text: &str, of: &str) -> Result<u32, Found> {
    match text {
        "unspec" => Ok(0),
        "default" => Ok(253),
        "main" => Ok(254),
        "local" => Ok(255),
        _ => text.parse().map_err(|_| format!("Routing table {text} not found for {of}").into()),
    }
}

/// `[SOURCE/]DESTINATION`, as one number.
pub fn realms(text: &str) -> Option<u32> {
    let (source, destination) = text.split_once('/').unwrap_or(("0", text));
    let part = |part: &str| part.parse::<u16>().ok().map(u32::from);
    Some(part(source)? << 16 | part(destination)?)
}

/// `FROM-TO`; one number alone is none, as in keepalived.
pub fn range(text: &str) -> Option<(u32, u32)> {
    let (from, to) = text.split_once('-')?;
    Some((from.parse().ok()?, to.parse().ok()?))
}
