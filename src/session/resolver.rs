//! `resolver`: the name servers of http, mail and stream, checked where a product compiles.

use crate::conf::diagnostic::Diagnostic;
use crate::conf::source::Span;
use crate::conf::tree::{Statement, Word};
use crate::conf::value;
use crate::net::address::{self, Host};
use crate::session::build::Build;

/// The name servers of a level, as written.
#[derive(Clone, Debug)]
pub struct ResolverText {
    servers: Vec<Word>,
    span: Span,
}

/// Reads the words of a `resolver` row.
///
/// # Errors
/// nginx's words.
pub fn parse(statement: &Statement) -> Result<ResolverText, Diagnostic> {
    let mut servers = Vec::new();
    let (mut four, mut six) = (true, true);
    for word in statement.arguments() {
        let invalid = || Diagnostic::emerg(format!("invalid parameter: {}", word.text())).point(word.span);
        let switch = |value: &[u8]| match value {
            b"on" => Ok(true),
            b"off" => Ok(false),
            _ => Err(invalid()),
        };
        if let Some(time) = word.after("valid=") {
            value::time(time, true).ok_or_else(invalid)?;
        } else if let Some(value) = word.after("ipv4=") {
            four = switch(value)?;
        } else if let Some(value) = word.after("ipv6=") {
            six = switch(value)?;
        } else {
            let text = word.text();
            address::parse(&text, false)
                .map_err(|what| Diagnostic::emerg(format!("{what} in resolver \"{text}\"")).point(word.span))?;
            servers.push(word.clone());
        }
    }
    if !four && !six {
        return Err(Diagnostic::emerg("\"ipv4\" and \"ipv6\" cannot both be \"off\""));
    }
    if servers.is_empty() {
        return Err(Diagnostic::emerg("no name servers defined"));
    }
    Ok(ResolverText { servers, span: statement.span })
}

impl ResolverText {
    /// Looks up the hosts among the name servers.
    ///
    /// # Errors
    /// One that is not found.
    pub fn check(&self, build: &Build<'_>) -> Result<(), Diagnostic> {
        for word in &self.servers {
            let text = word.text();
            let endpoint = address::parse(&text, false);
            if let Ok(Host::Name(name)) = endpoint.map(|endpoint| endpoint.host)
                && build.resolver.resolve(&name).is_empty()
            {
                return Err(Diagnostic::emerg(format!("host not found in resolver \"{text}\"")).at(self.span));
            }
        }
        Ok(())
    }
}
