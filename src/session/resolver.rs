//! `resolver` and `resolver_timeout`: the name servers of http, mail and stream.
//!
//! Differs from nginx: a name server behind a socket in the file system, which could not answer, is refused. [test: a_name_server_is_no_file]

use crate::conf::diagnostic::Diagnostic;
use crate::conf::directive::{Arity, Contexts, Directive};
use crate::conf::module::{Conf, inherit};
use crate::conf::slot::{Custom, Time};
use crate::conf::source::Span;
use crate::conf::tree::{Statement, Word};
use crate::conf::value;
use crate::conf::walk::{Levels, Setting};
use crate::net::address::{self, Host};
use crate::net::resolver::{Lookup, NameServers};
use crate::session::build::Build;
use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

/// The port of name servers that are given without one.
const PORT: u16 = 53;

/// Settings of `resolver` and `resolver_timeout`.
#[derive(Default)]
pub struct ResolverConf {
    resolver: Option<ResolverText>,
    timeout: Option<Duration>,
}

impl Conf for ResolverConf {
    fn inherit(&mut self, outer: &Self) {
        inherit!(self, outer; resolver, timeout);
    }
}

/// The rows of these contexts, and the version of nginx they came with.
pub const fn rows(contexts: Contexts, since: Option<&'static str>) -> [Directive; 2] {
    let rows = [
        Directive::new("resolver", contexts, Arity::AtLeast(1), &Custom(resolver))
            .words(&["valid=", "ipv4=", "ipv6="])
            .doc("Sets the name servers that look up hosts while serving."),
        Directive::new("resolver_timeout", contexts, Arity::Exactly(1), &Time(|c: &mut ResolverConf| &mut c.timeout))
            .default("30s")
            .doc("Sets how long a look-up may take."),
    ];
    match (since, rows) {
        (Some(version), [one, other]) => [one.since(version), other.since(version)],
        (None, rows) => rows,
    }
}

fn resolver(cx: &mut Setting<'_>, conf: &mut ResolverConf, statement: &Statement) -> Result<(), Diagnostic> {
    if conf.resolver.is_some() {
        return Err(cx.duplicate());
    }
    conf.resolver = Some(parse(statement)?);
    Ok(())
}

/// Looks up the hosts among the name servers a level names itself.
///
/// # Errors
/// One that is not found.
pub fn declare(levels: &Levels<'_>, build: &Build<'_>) -> Result<(), Diagnostic> {
    let own = levels.level.own::<ResolverConf>().and_then(|conf| conf.resolver.as_ref());
    own.map_or(Ok(()), |resolver| resolver.servers(build).map(drop))
}

/// How names are looked up at a level; nothing where no name server is named.
///
/// # Errors
/// A name server that is not found.
pub fn lookup(levels: &Levels<'_>, build: &Build<'_>) -> Result<Option<Lookup>, Diagnostic> {
    let Some(conf) = levels.get::<ResolverConf>() else { return Ok(None) };
    let Some(resolver) = &conf.resolver else { return Ok(None) };
    let timeout = conf.timeout.unwrap_or(Duration::from_secs(30));
    Ok(Some(Lookup::new(resolver.servers(build)?, timeout)))
}

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
}

#[cfg(test)]
mod tests;
