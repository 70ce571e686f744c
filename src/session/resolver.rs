//! `resolver` and `resolver_timeout`: the name servers of http, mail and stream.
//!
//! Differs from nginx: a name server behind a socket in the file system, which could not answer, is refused. [test: a_name_server_is_no_file]

use crate::conf::diagnostic::Diagnostic;
use crate::conf::source::Span;
use crate::conf::tree::{Statement, Word};
use crate::conf::value;
use crate::log::Log;
use crate::net::address::{self, Host};
use crate::net::resolver::{Addresses, NameServers, Unknown};
use crate::net::turn::Turn;
use crate::session::build::Build;
use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

/// The port of name servers that are given without one.
const PORT: u16 = 53;

/// The name servers of a level, as written; those that inherit them share what is made of them.
#[derive(Clone, Debug)]
pub struct ResolverText(Arc<Written>);

#[derive(Debug)]
struct Written {
    servers: Vec<Word>,
    valid: u64,
    ipv4: bool,
    ipv6: bool,
    span: Span,
    made: OnceLock<Arc<NameServers>>,
}

/// Reads the words of a `resolver` row.
///
/// # Errors
/// nginx's words.
pub fn parse(statement: &Statement) -> Result<ResolverText, Diagnostic> {
    let mut servers = Vec::new();
    let (mut ipv4, mut ipv6, mut valid) = (true, true, 0);
    for word in statement.arguments() {
        let invalid = || Diagnostic::emerg(format!("invalid parameter: {}", word.text())).point(word.span);
        let switch = |value: &[u8]| match value {
            b"on" => Ok(true),
            b"off" => Ok(false),
            _ => Err(invalid()),
        };
        if let Some(time) = word.after("valid=") {
            valid = value::time(time, true).ok_or_else(invalid)?.as_secs();
        } else if let Some(value) = word.after("ipv4=") {
            ipv4 = switch(value)?;
        } else if let Some(value) = word.after("ipv6=") {
            ipv6 = switch(value)?;
        } else {
            let text = word.text();
            let refused = |what: &str| Diagnostic::emerg(format!("{what} in resolver \"{text}\"")).point(word.span);
            let endpoint = address::parse(&text, false).map_err(refused)?;
            if matches!(endpoint.host, Host::Unix(_)) {
                return Err(refused("unix domain socket"));
            }
            servers.push(word.clone());
        }
    }
    if !ipv4 && !ipv6 {
        return Err(Diagnostic::emerg("\"ipv4\" and \"ipv6\" cannot both be \"off\""));
    }
    if servers.is_empty() {
        return Err(Diagnostic::emerg("no name servers defined"));
    }
    let made = OnceLock::new();
    Ok(ResolverText(Arc::new(Written { servers, valid, ipv4, ipv6, span: statement.span, made })))
}

impl ResolverText {
    /// The name servers, whose own names are looked up with the system's resolver.
    ///
    /// # Errors
    /// One that is not found.
    pub fn servers(&self, build: &Build<'_>) -> Result<Arc<NameServers>, Diagnostic> {
        let written = &*self.0;
        if let Some(made) = written.made.get() {
            return Ok(made.clone());
        }
        let mut addresses = Vec::new();
        for word in &written.servers {
            let text = word.text();
            let refused = |what: &str| Diagnostic::emerg(format!("{what} in resolver \"{text}\"")).at(written.span);
            let endpoint = address::parse(&text, false).map_err(refused)?;
            let port = endpoint.port.unwrap_or(PORT);
            let found = match &endpoint.host {
                Host::Ip(ip) => vec![*ip],
                Host::Name(name) => build.resolver.resolve(name),
                Host::Any | Host::Unix(_) => Vec::new(),
            };
            if found.is_empty() {
                return Err(refused("host not found"));
            }
            addresses.extend(found.into_iter().map(|ip| SocketAddr::new(ip, port)));
        }
        let Written { valid, ipv4, ipv6, .. } = *written;
        let made = Arc::new(NameServers { addresses: addresses.into(), valid, ipv4, ipv6 });
        Ok(written.made.get_or_init(|| made).clone())
    }

    /// How names are looked up where this and `resolver_timeout` hold.
    ///
    /// # Errors
    /// A name server that is not found.
    pub fn lookup(&self, timeout: Option<Duration>, build: &Build<'_>) -> Result<Lookup, Diagnostic> {
        Ok(Lookup { servers: self.servers(build)?, timeout: timeout.unwrap_or(Duration::from_secs(30)) })
    }
}

/// How names are looked up while serving.
#[derive(Clone, Debug)]
pub struct Lookup {
    servers: Arc<NameServers>,
    timeout: Duration,
}

impl Lookup {
    /// The addresses of a host.
    ///
    /// # Errors
    /// Why there are none.
    pub async fn find(&self, host: &str, turn: &Turn) -> Result<Addresses, Unknown> {
        let errors: Log = turn.errors.borrow().clone();
        let resolver = turn.resolvers.of(&self.servers, &errors);
        resolver.addresses(host.as_bytes(), self.timeout).await
    }

    /// What nginx says where there are none.
    pub fn complaint(host: &str, unknown: Unknown) -> String {
        let host = host.strip_suffix('.').unwrap_or(host).to_ascii_lowercase();
        format!("{host} could not be resolved ({unknown})")
    }
}

#[cfg(test)]
mod tests;
