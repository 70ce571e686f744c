//! The rows of the stream proxy and their settings.

use crate::conf::diagnostic::Diagnostic;
use crate::conf::directive::{Arity, Contexts, Directive, Support};
use crate::conf::module::{Conf, Module, Scope, inherit};
use crate::conf::slot::{Custom, Flag, Number, Size, Time};
use crate::conf::tree::{Statement, Word};
use crate::conf::value;
use crate::conf::walk::Setting;
use crate::net::address;
use crate::session::contexts::{STREAM_ANY, STREAM_SERVER};
use crate::session::listening;
use std::time::Duration;

/// What the front end must know of the module.
pub const MODULE: Module =
    Module { name: "ngx_stream_proxy_module", directives: DIRECTIVES, scopes: &[Scope::of::<ProxyConf>(STREAM_ANY)] };

const SELF_SIZED: Support =
    Support::Inert("buffers here size themselves; health checks examine so many bytes of an answer");
const ONE: Arity = Arity::Exactly(1);

const fn time(name: &'static str, slot: &'static Time<ProxyConf>) -> Directive {
    Directive::new(name, STREAM_ANY, ONE, slot)
}

const fn size(name: &'static str, contexts: Contexts) -> Directive {
    Directive::new(name, contexts, ONE, &Size(|c: &mut ProxyConf| &mut c.buffer_size)).support(SELF_SIZED)
}

const DIRECTIVES: &[Directive] = &[
    Directive::new("proxy_pass", STREAM_SERVER, ONE, &Custom(proxy_pass))
        .doc("Sets the server or group that connections are relayed to."),
    Directive::new("proxy_bind", STREAM_ANY, Arity::Between(1, 2), &Custom(proxy_bind))
        .words(&["transparent"])
        .since("1.9.2")
        .doc("Sets the local address of connections to servers; with transparent it need not be this machine's."),
    Directive::new(
        "proxy_socket_keepalive",
        STREAM_ANY,
        Arity::Flag,
        &Flag(|c: &mut ProxyConf| &mut c.socket_keepalive),
    )
    .default("off")
    .since("1.15.6")
    .doc("Turns TCP keepalive on for connections to servers."),
    Directive::new("proxy_socket_rcvbuf", STREAM_ANY, ONE, &Size(|c: &mut ProxyConf| &mut c.socket_rcvbuf))
        .default("0")
        .since("1.31.3")
        .doc("Sets SO_RCVBUF on connections to servers; 0 leaves it to the system."),
    Directive::new("proxy_socket_sndbuf", STREAM_ANY, ONE, &Size(|c: &mut ProxyConf| &mut c.socket_sndbuf))
        .default("0")
        .since("1.31.3")
        .doc("Sets SO_SNDBUF on connections to servers; 0 leaves it to the system."),
    time("proxy_connect_timeout", &Time(|c: &mut ProxyConf| &mut c.connect_timeout))
        .default("60s")
        .doc("Sets how long connecting to a server may take."),
    time("proxy_timeout", &Time(|c: &mut ProxyConf| &mut c.timeout))
        .default("10m")
        .doc("Closes a connection on which nothing has moved for so long."),
    size("proxy_buffer_size", STREAM_ANY)
        .default("16k")
        .since("1.9.4")
        .doc("Sizes nginx's two buffers of a connection."),
    Directive::new("proxy_downstream_buffer", STREAM_ANY, ONE, &Custom(old_buffer))
        .support(SELF_SIZED)
        .doc("Is the old name of proxy_buffer_size."),
    Directive::new("proxy_upstream_buffer", STREAM_ANY, ONE, &Custom(old_buffer))
        .support(SELF_SIZED)
        .doc("Is the old name of proxy_buffer_size."),
    Directive::new("proxy_upload_rate", STREAM_ANY, ONE, &Custom(rate))
        .since("1.9.3")
        .doc("Limits how many bytes a second are read from a client; 0 does not."),
    Directive::new("proxy_download_rate", STREAM_ANY, ONE, &Custom(rate))
        .since("1.9.3")
        .doc("Limits how many bytes a second are read from a server; 0 does not."),
    Directive::new("proxy_requests", STREAM_ANY, ONE, &Number(|c: &mut ProxyConf| &mut c.requests, 0..=u64::MAX))
        .since("1.15.7")
        .doc("Sets how many datagrams of a client are one session's; the next one begins another."),
    Directive::new("proxy_responses", STREAM_ANY, ONE, &Number(|c: &mut ProxyConf| &mut c.responses, 0..=u64::MAX))
        .since("1.9.13")
        .doc("Sets how many datagrams of a server answer one of a client: a session ends with the last."),
    Directive::new("proxy_next_upstream", STREAM_ANY, Arity::Flag, &Flag(|c: &mut ProxyConf| &mut c.next))
        .default("on")
        .doc("Tries the next server when one cannot be reached."),
    Directive::new(
        "proxy_next_upstream_tries",
        STREAM_ANY,
        ONE,
        &Number(|c: &mut ProxyConf| &mut c.tries, 0..=u64::MAX),
    )
    .default("0")
    .doc("Limits how many servers are tried; 0 does not."),
    time("proxy_next_upstream_timeout", &Time(|c: &mut ProxyConf| &mut c.next_timeout))
        .default("0")
        .doc("Limits the time in which servers are tried; 0 does not."),
    Directive::new("proxy_protocol", STREAM_ANY, Arity::Flag, &Flag(|c: &mut ProxyConf| &mut c.protocol))
        .default("off")
        .since("1.9.2")
        .doc("Sends servers a PROXY protocol head that names the client."),
    Directive::new("proxy_half_close", STREAM_ANY, Arity::Flag, &Flag(|c: &mut ProxyConf| &mut c.half_close))
        .default("off")
        .since("1.21.4")
        .doc("Lets one side go on sending when the other has ended."),
];

/// Settings of the proxy.
#[derive(Default)]
pub struct ProxyConf {
    /// `proxy_pass`.
    pub pass: Option<Word>,
    /// `proxy_bind`, and whether it is transparent; `off` is nothing.
    pub bind: Option<Option<(Word, bool)>>,
    /// `proxy_socket_keepalive`.
    pub socket_keepalive: Option<bool>,
    /// `proxy_socket_rcvbuf`.
    pub socket_rcvbuf: Option<u64>,
    /// `proxy_socket_sndbuf`.
    pub socket_sndbuf: Option<u64>,
    /// `proxy_connect_timeout`.
    pub connect_timeout: Option<Duration>,
    /// `proxy_timeout`.
    pub timeout: Option<Duration>,
    /// `proxy_buffer_size`.
    pub buffer_size: Option<u64>,
    /// `proxy_upload_rate`.
    pub upload: Option<Word>,
    /// `proxy_download_rate`.
    pub download: Option<Word>,
    /// `proxy_requests`.
    pub requests: Option<u64>,
    /// `proxy_responses`.
    pub responses: Option<u64>,
    /// `proxy_next_upstream`.
    pub next: Option<bool>,
    /// `proxy_next_upstream_tries`.
    pub tries: Option<u64>,
    /// `proxy_next_upstream_timeout`.
    pub next_timeout: Option<Duration>,
    /// `proxy_protocol`.
    pub protocol: Option<bool>,
    /// `proxy_half_close`.
    pub half_close: Option<bool>,
}

impl Conf for ProxyConf {
    fn inherit(&mut self, outer: &Self) {
        inherit!(self, outer; bind, socket_keepalive, connect_timeout, timeout, buffer_size, upload, download);
        inherit!(self, outer; socket_rcvbuf, socket_sndbuf);
        inherit!(self, outer; requests, responses, next, tries, next_timeout, protocol, half_close);
    }
}

fn proxy_pass(cx: &mut Setting<'_>, conf: &mut ProxyConf, statement: &Statement) -> Result<(), Diagnostic> {
    let Some(word) = statement.arguments().first() else { return Ok(()) };
    if conf.pass.is_some() {
        return Err(cx.duplicate());
    }
    if !word.bytes.contains(&b'$') {
        let text = word.text();
        address::parse(&text, false)
            .map_err(|what| Diagnostic::emerg(format!("{what} in upstream \"{text}\"")).point(word.span))?;
    }
    conf.pass = Some(word.clone());
    Ok(())
}

fn proxy_bind(cx: &mut Setting<'_>, conf: &mut ProxyConf, statement: &Statement) -> Result<(), Diagnostic> {
    let [word, rest @ ..] = statement.arguments() else { return Ok(()) };
    if conf.bind.is_some() {
        return Err(cx.duplicate());
    }
    if word.is("off") && rest.is_empty() {
        conf.bind = Some(None);
        return Ok(());
    }
    if !word.bytes.contains(&b'$') && listening::local(&word.text()).is_none() {
        return Err(Diagnostic::emerg(format!("invalid address \"{}\"", word.text())).point(word.span));
    }
    if let Some(word) = rest.first().filter(|word| !word.is("transparent")) {
        return Err(Diagnostic::emerg(format!("invalid parameter \"{}\"", word.text())).point(word.span));
    }
    conf.bind = Some(Some((word.clone(), !rest.is_empty())));
    Ok(())
}

fn rate(cx: &mut Setting<'_>, conf: &mut ProxyConf, statement: &Statement) -> Result<(), Diagnostic> {
    let Some(word) = statement.arguments().first() else { return Ok(()) };
    let slot = if cx.row.name == "proxy_upload_rate" { &mut conf.upload } else { &mut conf.download };
    if slot.is_some() {
        return Err(cx.duplicate());
    }
    if !word.bytes.contains(&b'$') && value::size(&word.bytes, false).is_none() {
        return Err(cx.complain("invalid value").point(word.span));
    }
    *slot = Some(word.clone());
    Ok(())
}

fn old_buffer(cx: &mut Setting<'_>, conf: &mut ProxyConf, statement: &Statement) -> Result<(), Diagnostic> {
    let Some(word) = statement.arguments().first() else { return Ok(()) };
    if conf.buffer_size.is_some() {
        return Err(cx.duplicate());
    }
    let size = value::size(&word.bytes, false).ok_or_else(|| cx.complain("invalid value").point(word.span))?;
    conf.buffer_size = Some(size);
    cx.gives("proxy_buffer_size");
    let text =
        format!("the \"{}\" directive is deprecated, use the \"proxy_buffer_size\" directive instead", cx.row.name);
    cx.warn(statement, text);
    Ok(())
}
