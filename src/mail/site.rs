//! What nginx finds at the end of `mail {}`: protocols, certificates and hosts of every server.

use super::auth::{Auth, place};
use super::proxy::From;
use super::settings::{MailConf, Server};
use super::ssl::MailTls;
use crate::conf::diagnostic::Diagnostic;
use crate::conf::walk::Levels;
use crate::net::address::{self, Host};
use crate::session::build::Build;
use crate::session::contexts::MAIL_SERVER;
use crate::session::{errorlog, tls};
use crate::tls::TlsConf;
use crate::tls::check::lacking;
use crate::tls::context::Purpose;

/// Checks a `mail {}` level.
///
/// # Errors
/// The first fatal complaint.
pub fn check(levels: &Levels<'_>, build: &mut Build<'_>) -> Result<(), Diagnostic> {
    tls::declare(levels, "mail ssl", build)?;
    hosts(levels, build)?;
    for child in levels.level.children.iter().filter(|child| child.context == MAIL_SERVER) {
        server(&levels.inside(child), build)?;
    }
    Ok(())
}

fn server(levels: &Levels<'_>, build: &mut Build<'_>) -> Result<(), Diagnostic> {
    tls::declare(levels, "mail ssl", build)?;
    let here = |text: &str| match levels.level.span {
        Some(span) => Diagnostic::emerg(text).at(span),
        None => Diagnostic::emerg(text),
    };
    hosts(levels, build)?;
    if levels.get::<Server>().is_none_or(|server| server.protocol.is_none()) {
        return Err(here("unknown mail protocol for server"));
    }
    if let Some(conf) = levels.get::<MailConf>() {
        if !conf.error_logs.is_empty() {
            errorlog::log(&conf.error_logs, build)?;
        }
        if let Some(Some(resolver)) = &conf.resolver {
            resolver.servers(build)?;
        }
    }
    context(levels, build)?;
    if levels.get::<Auth>().is_none_or(|auth| auth.url.is_none()) {
        return Err(here("no \"auth_http\" is defined for server"));
    }
    Ok(())
}

fn context(levels: &Levels<'_>, build: &mut Build<'_>) -> Result<(), Diagnostic> {
    let (Some(conf), Some(own)) = (levels.get::<TlsConf>(), levels.get::<MailTls>()) else { return Ok(()) };
    let Some((mode, at)) = own.mode() else { return Ok(()) };
    match (lacking(conf, mode), at) {
        (Some(complaint), Some(at)) => Err(complaint.at(at)),
        (Some(complaint), None) => Err(complaint),
        (None, _) => tls::server(levels, conf, (Purpose::Mail, false), build).map(drop),
    }
}

/// Host names nginx looks up while it reads.
fn hosts(levels: &Levels<'_>, build: &Build<'_>) -> Result<(), Diagnostic> {
    let missing = |name: &str| build.resolver.resolve(name).is_empty();
    for listening in levels.level.own::<Server>().map(|server| server.listens.as_slice()).unwrap_or_default() {
        if let Host::Name(name) = &listening.endpoint.host
            && missing(name)
        {
            let text = format!("host not found in \"{}\" of the \"listen\" directive", listening.text);
            return Err(Diagnostic::emerg(text).at(listening.span));
        }
    }
    for word in levels.get::<From>().map(|conf| conf.hosts.as_slice()).unwrap_or_default() {
        if missing(&word.text()) {
            let text = format!("host not found in set_real_ip_from \"{}\"", word.text());
            return Err(Diagnostic::emerg(text).at(word.span));
        }
    }
    if let Some(word) = levels.get::<Auth>().and_then(|auth| auth.url.as_ref()) {
        let text = word.text();
        let (rest, host) = place(&text);
        if let Ok(Host::Name(name)) = address::parse(host, false).map(|endpoint| endpoint.host)
            && missing(&name)
        {
            return Err(Diagnostic::emerg(format!("host not found in auth_http \"{rest}\"")).at(word.span));
        }
    }
    Ok(())
}
