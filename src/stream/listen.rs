//! The `listen` row of stream.

use super::core::{Listens, Main};
use super::modules::ssl::StreamTls;
use crate::conf::diagnostic::Diagnostic;
use crate::conf::source::Span;
use crate::conf::tree::{Statement, Word};
use crate::conf::walk::Setting;
use crate::net::address::{self, Address, Endpoint, Host};
use crate::net::listen::Options;
use crate::session::listening;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

/// One `listen` of a server.
#[derive(Clone, Debug)]
pub struct Listening {
    /// The address it names.
    pub endpoint: Endpoint,
    /// As written.
    pub text: String,
    /// Socket options.
    pub options: Options,
    /// Whether the address must have a socket of its own.
    pub bind: bool,
    /// `proxy_protocol`.
    pub proxy_protocol: bool,
    /// `ssl`.
    pub ssl: bool,
    /// Where it is written.
    pub span: Span,
}

impl Listening {
    /// The addresses it names.
    ///
    /// # Errors
    /// A host that is not found.
    pub fn addresses(&self, resolve: impl Fn(&str) -> Vec<IpAddr>) -> Result<Vec<Address>, Diagnostic> {
        let first = self.endpoint.port.unwrap_or(0);
        let hosts = match &self.endpoint.host {
            Host::Unix(path) => return Ok(vec![Address::Unix(path.clone())]),
            Host::Any => vec![IpAddr::V4(Ipv4Addr::UNSPECIFIED)],
            Host::Ip(ip) => vec![*ip],
            Host::Name(name) => resolve(name),
        };
        if hosts.is_empty() {
            let text = format!("host not found in \"{}\" of the \"listen\" directive", self.text);
            return Err(Diagnostic::emerg(text).at(self.span).early());
        }
        let ports = first..=self.endpoint.last_port.unwrap_or(first);
        let of = |ip: IpAddr| ports.clone().map(move |port| Address::Ip(SocketAddr::new(ip, port)));
        Ok(hosts.into_iter().flat_map(of).collect())
    }
}

/// What `listen` takes beside the address.
pub const WORDS: &[&str] = &[
    "ssl",
    "udp",
    "proxy_protocol",
    "bind",
    "reuseport",
    "fastopen=",
    "backlog=",
    "rcvbuf=",
    "sndbuf=",
    "so_keepalive=",
    "ipv6only=on",
    "ipv6only=off",
];

/// The setter of `listen`.
pub fn listen(cx: &mut Setting<'_>, conf: &mut Listens, statement: &Statement) -> Result<(), Diagnostic> {
    let Some((first, parameters)) = statement.arguments().split_first() else { return Ok(()) };
    let text = first.text().into_owned();
    let refused =
        |what| Diagnostic::emerg(format!("{what} in \"{text}\" of the \"listen\" directive")).point(first.span);
    let endpoint = address::parse(&text, true).map_err(refused)?;
    let mut listening = Listening {
        endpoint,
        text: text.clone(),
        options: Options::default(),
        bind: false,
        proxy_protocol: false,
        ssl: false,
        span: statement.span,
    };
    for word in parameters {
        if word.is("ssl")
            && let Some(tls) = cx.conf::<StreamTls>()
        {
            tls.listen = Some(statement.span);
        }
        parameter(&mut listening, word).map_err(|complaint| complaint.point(word.span))?;
    }
    if listening.options.udp {
        datagrams(cx, parameters)?;
    }
    // Names are resolved when the sockets are opened; literal addresses are compared at once, as nginx does.
    for address in listening.addresses(|_| Vec::new()).unwrap_or_default() {
        let shown = address.to_string();
        let key = format!("{}{shown}", if listening.options.udp { "udp " } else { "" });
        let first = cx.first("stream address", key.as_bytes(), statement.span);
        let Some(main) = cx.conf::<Main>() else { continue };
        if main.taken.contains(&key) {
            return Err(Diagnostic::emerg(format!("duplicate \"{shown}\" address and port pair")).earlier(first));
        }
        main.taken.push(key);
    }
    conf.listens.push(listening);
    Ok(())
}

/// What makes no sense for datagrams.
fn datagrams(cx: &Setting<'_>, parameters: &[Word]) -> Result<(), Diagnostic> {
    for name in ["backlog", "ssl", "so_keepalive", "proxy_protocol", "fastopen"] {
        let given = |word: &Word| word.is(name) || word.after(name).is_some_and(|rest| rest.starts_with(b"="));
        if parameters.iter().any(given) {
            return Err(cx.complain(&format!("\"{name}\" parameter is incompatible with \"udp\"")));
        }
    }
    Ok(())
}

fn parameter(listening: &mut Listening, word: &Word) -> Result<(), Diagnostic> {
    match &*word.bytes {
        b"bind" => listening.bind = true,
        b"proxy_protocol" => listening.proxy_protocol = true,
        b"ssl" => listening.ssl = true,
        b"udp" => listening.options.udp = true,
        b"deferred" => return Err(invalid(word)),
        bytes if bytes.starts_with(b"accept_filter=") || bytes.starts_with(b"setfib=") => return Err(invalid(word)),
        _ => {
            if !listening::option(&mut listening.options, word)? {
                return Err(invalid(word));
            }
            listening.bind = true;
        }
    }
    Ok(())
}

fn invalid(word: &Word) -> Diagnostic {
    Diagnostic::emerg(format!("the invalid \"{}\" parameter", word.text()))
}
