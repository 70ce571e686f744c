//! The `listen` row of mail.

use super::protocol::Protocol;
use super::settings::{Listening, Main, Server};
use super::ssl::MailTls;
use crate::conf::diagnostic::Diagnostic;
use crate::conf::tree::{Statement, Word};
use crate::conf::walk::Setting;
use crate::net::address::{self, Endpoint, Host};
use crate::net::listen::Options;
use crate::session::listening;

/// What `listen` takes beside the address.
pub const WORDS: &[&str] = &[
    "ssl",
    "proxy_protocol",
    "bind",
    "backlog=",
    "rcvbuf=",
    "sndbuf=",
    "so_keepalive=",
    "ipv6only=on",
    "ipv6only=off",
];

/// The setter of `listen`.
pub fn listen(cx: &mut Setting<'_>, conf: &mut Server, statement: &Statement) -> Result<(), Diagnostic> {
    let Some((first, parameters)) = statement.arguments().split_first() else { return Ok(()) };
    let text = first.text().into_owned();
    let refused =
        |what| Diagnostic::emerg(format!("{what} in \"{text}\" of the \"listen\" directive")).point(first.span);
    let endpoint = address::parse(&text, true).map_err(refused)?;
    let port = endpoint.port;
    if conf.protocol.is_none() {
        conf.protocol = port.and_then(Protocol::on);
    }
    let mut options = Options::default();
    for word in parameters {
        parameter(cx, &mut options, word, statement).map_err(|complaint| complaint.point(word.span))?;
    }
    for shown in shown(&endpoint) {
        let first = cx.first("mail address", shown.as_bytes(), statement.span);
        let Some(main) = cx.conf::<Main>() else { continue };
        if main.taken.contains(&shown) {
            return Err(Diagnostic::emerg(format!("duplicate \"{shown}\" address and port pair")).earlier(first));
        }
        main.taken.push(shown);
    }
    conf.listens.push(Listening { endpoint, text, span: statement.span });
    Ok(())
}

fn parameter(
    cx: &mut Setting<'_>,
    options: &mut Options,
    word: &Word,
    statement: &Statement,
) -> Result<(), Diagnostic> {
    let invalid = || Diagnostic::emerg(format!("the invalid \"{}\" parameter", word.text()));
    match &*word.bytes {
        b"bind" | b"proxy_protocol" => Ok(()),
        b"ssl" => {
            if let Some(tls) = cx.conf::<MailTls>() {
                tls.listen = Some(statement.span);
            }
            Ok(())
        }
        _ if ["backlog=", "rcvbuf=", "sndbuf=", "ipv6only=", "so_keepalive="]
            .iter()
            .all(|key| word.after(key).is_none()) =>
        {
            Err(invalid())
        }
        _ => listening::option(options, word)?.then_some(()).ok_or_else(invalid),
    }
}

/// The addresses as nginx shows them; host names are left to be found later.
fn shown(endpoint: &Endpoint) -> Vec<String> {
    let first = endpoint.port.unwrap_or_default();
    let host = match &endpoint.host {
        Host::Unix(path) => return vec![format!("unix:{path}")],
        Host::Name(_) => return Vec::new(),
        Host::Any => "0.0.0.0".to_owned(),
        Host::Ip(ip) if ip.is_ipv6() => format!("[{ip}]"),
        Host::Ip(ip) => ip.to_string(),
    };
    (first..=endpoint.last_port.unwrap_or(first)).map(|port| format!("{host}:{port}")).collect()
}
