//! The `listen` and `server_name` rows.

use crate::conf::diagnostic::Diagnostic;
use crate::conf::source::Span;
use crate::conf::tree::{Statement, Word};
use crate::conf::walk::Setting;
use crate::http::modules::core::ServerConf;
use crate::net::address::{self, Address, Host};
use crate::net::listen::Options;
use crate::session::listening;
use std::net::{IpAddr, SocketAddr};

/// One `listen` of a server.
#[derive(Clone, Debug)]
pub struct Listening {
    /// The addresses it names (several for a range of ports or a host with several addresses).
    pub endpoint: address::Endpoint,
    /// As written.
    pub text: String,
    /// Socket options.
    pub options: Options,
    /// Whether any socket option was given.
    pub set: bool,
    /// Whether the address must have a socket of its own.
    pub bind: bool,
    /// `default_server`.
    pub default_server: bool,
    /// `proxy_protocol`.
    pub proxy_protocol: bool,
    /// `ssl`.
    pub ssl: bool,
    /// `http2`.
    pub http2: bool,
    /// Where it is written.
    pub span: Span,
}

/// The setter of `listen`.
pub fn listen(cx: &mut Setting<'_>, conf: &mut ServerConf, statement: &Statement) -> Result<(), Diagnostic> {
    let Some((first, parameters)) = statement.arguments().split_first() else { return Ok(()) };
    let text = first.text().into_owned();
    let endpoint = address::parse(&text, true).map_err(|what| {
        Diagnostic::emerg(format!("{what} in \"{text}\" of the \"listen\" directive")).point(first.span)
    })?;
    let mut listening = Listening {
        endpoint,
        text,
        options: Options::default(),
        set: false,
        bind: false,
        default_server: false,
        proxy_protocol: false,
        ssl: false,
        http2: false,
        span: statement.span,
    };
    for word in parameters {
        match &*word.bytes {
            b"ssl" => listening.ssl = true,
            b"http2" => listening.http2 = true,
            bytes if bytes.starts_with(b"accept_filter=") => {
                // An emergency after which nginx goes on.
                let text = format!("accept filters \"{}\" are not supported on this platform, ignored", word.text());
                cx.report(Diagnostic::emerg(text).at(statement.span));
            }
            _ => parameter(&mut listening, word).map_err(|complaint| complaint.point(word.span))?,
        }
    }
    conf.listens.push(listening);
    Ok(())
}

fn parameter(listening: &mut Listening, word: &Word) -> Result<(), Diagnostic> {
    match &*word.bytes {
        b"default_server" | b"default" => listening.default_server = true,
        b"bind" => {
            listening.set = true;
            listening.bind = true;
        }
        b"proxy_protocol" => listening.proxy_protocol = true,
        _ => {
            if !listening::option(&mut listening.options, word)? {
                return Err(Diagnostic::emerg(format!("invalid parameter \"{}\"", word.text())));
            }
            listening.set = true;
            listening.bind = true;
        }
    }
    Ok(())
}

/// What `listen` takes beside the address.
pub const WORDS: &[&str] = &[
    "default_server",
    "ssl",
    "http2",
    "proxy_protocol",
    "bind",
    "reuseport",
    "deferred",
    "setfib=",
    "fastopen=",
    "accept_filter=",
    "backlog=",
    "rcvbuf=",
    "sndbuf=",
    "so_keepalive=",
    "ipv6only=on",
    "ipv6only=off",
];

/// The setter of `server_name`.
pub fn server_name(cx: &mut Setting<'_>, conf: &mut ServerConf, statement: &Statement) -> Result<(), Diagnostic> {
    for word in statement.arguments() {
        let name = &*word.bytes;
        let bad = match name {
            [b'*', rest @ ..] => rest.len() < 2 || rest.first() != Some(&b'.'),
            [b'.'] => true,
            _ => false,
        };
        if bad {
            return Err(Diagnostic::emerg(format!("server name \"{}\" is invalid", word.text())).point(word.span));
        }
        if name.contains(&b'/') && !name.starts_with(b"~") {
            cx.warn(statement, format!("server name \"{}\" has suspicious symbols", word.text()));
        }
        if let Some(pattern) = word.after("~") {
            if pattern.is_empty() {
                return Err(
                    Diagnostic::emerg(format!("empty regex in server name \"{}\"", word.text())).point(word.span)
                );
            }
            expression(pattern).map_err(|invalid| crate::session::pattern::complaint(word, invalid))?;
        }
        conf.names.push(word.clone());
    }
    Ok(())
}

/// A server name's expression; nginx ignores case only where the text has capitals.
pub fn expression(pattern: &[u8]) -> Result<crate::script::regex::Expression, crate::script::regex::Invalid> {
    let caseless = pattern.iter().any(u8::is_ascii_uppercase);
    crate::script::regex::Expression::compile(&String::from_utf8_lossy(pattern), caseless)
}

/// The addresses a `listen` names; `resolve` looks up host names.
pub fn addresses(
    listening: &Listening,
    resolve: impl Fn(&str) -> Option<Vec<IpAddr>>,
) -> Result<Vec<Address>, Diagnostic> {
    let port = listening.endpoint.port.unwrap_or(80);
    let last = listening.endpoint.last_port.unwrap_or(port);
    let hosts = match &listening.endpoint.host {
        Host::Unix(path) => return Ok(vec![Address::Unix(path.clone())]),
        Host::Ip(ip) => vec![*ip],
        Host::Any => vec![IpAddr::from([0, 0, 0, 0])],
        Host::Name(name) => resolve(name).filter(|found| !found.is_empty()).ok_or_else(|| {
            let text = format!("host not found in \"{}\" of the \"listen\" directive", listening.text);
            Diagnostic::emerg(text).at(listening.span).early()
        })?,
    };
    Ok((port..=last).flat_map(|port| hosts.iter().map(move |ip| Address::Ip(SocketAddr::new(*ip, port)))).collect())
}
