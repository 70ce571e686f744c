//! `ngx_stream_core_module`: the rows every stream configuration uses, and their settings.

use super::listen::{self, Listening};
use crate::conf::diagnostic::Diagnostic;
use crate::conf::directive::{Arity, Directive, Opens, Support};
use crate::conf::module::{Conf, Module, Scope, inherit};
use crate::conf::slot::{Block, Custom, Flag, Number, Size, Time};
use crate::conf::source::Span;
use crate::conf::tree::Statement;
use crate::conf::walk::Setting;
use crate::session::contexts::{MAIN, STREAM, STREAM_ANY, STREAM_SERVER};
use crate::session::errorlog::{self, Target};
use std::time::Duration;

/// What the front end must know of the module.
pub const MODULE: Module = Module {
    name: "ngx_stream_core_module",
    directives: DIRECTIVES,
    scopes: &[Scope::of::<Main>(STREAM), Scope::of::<ServerConf>(STREAM_ANY), Scope::of::<Listens>(STREAM_SERVER)],
};

const UNTUNED: Support = Support::Inert("hash tables here grow by themselves");

const DIRECTIVES: &[Directive] = &[
    Directive::new("stream", MAIN, Arity::Block(0, 0, Opens::Context(STREAM)), &Block(stream, |_| Ok(())))
        .since("1.9.0")
        .doc("Opens the block of stream settings and servers."),
    Directive::new("server", STREAM, Arity::Block(0, 0, Opens::Context(STREAM_SERVER)), &Block(server, close))
        .doc("Opens a server of connections."),
    Directive::new("listen", STREAM_SERVER, Arity::AtLeast(1), &Custom(listen::listen))
        .words(listen::WORDS)
        .doc("Sets an address and port, or a socket path, on which the server takes connections, with its options."),
    Directive::new("error_log", STREAM_ANY, Arity::AtLeast(1), &Custom(error_log))
        .words(errorlog::WORDS)
        .since("1.9.0")
        .doc("Sets where errors are logged, and from which level on."),
    Directive::new(
        "proxy_protocol_timeout",
        STREAM_ANY,
        Arity::Exactly(1),
        &Time(|c: &mut ServerConf| &mut c.proxy_protocol_timeout),
    )
    .default("30s")
    .since("1.11.4")
    .doc("Sets how long a client may take for its PROXY protocol head."),
    Directive::new("tcp_nodelay", STREAM_ANY, Arity::Flag, &Flag(|c: &mut ServerConf| &mut c.tcp_nodelay))
        .default("on")
        .since("1.9.4")
        .doc("Sends small pieces at once, to clients and to servers."),
    Directive::new(
        "preread_buffer_size",
        STREAM_ANY,
        Arity::Exactly(1),
        &Size(|c: &mut ServerConf| &mut c.preread_buffer_size),
    )
    .default("16k")
    .since("1.11.5")
    .doc("Sets how much may be read ahead of the proxy."),
    Directive::new(
        "preread_timeout",
        STREAM_ANY,
        Arity::Exactly(1),
        &Time(|c: &mut ServerConf| &mut c.preread_timeout),
    )
    .default("30s")
    .since("1.11.5")
    .doc("Sets how long reading ahead may take."),
    Directive::new(
        "variables_hash_max_size",
        STREAM,
        Arity::Exactly(1),
        &Number(|c: &mut Main| &mut c.max, 0..=u64::MAX),
    )
    .default("1024")
    .support(UNTUNED)
    .doc("Sizes nginx's table of variables."),
    Directive::new(
        "variables_hash_bucket_size",
        STREAM,
        Arity::Exactly(1),
        &Number(|c: &mut Main| &mut c.bucket, 0..=u64::MAX),
    )
    .default("64")
    .support(UNTUNED)
    .doc("Sizes nginx's table of variables."),
];

/// Settings of the stream block itself.
#[derive(Default)]
pub struct Main {
    max: Option<u64>,
    bucket: Option<u64>,
    /// Every address and port listened on so far.
    pub taken: Vec<String>,
}

impl Conf for Main {
    fn inherit(&mut self, _: &Self) {}
}

/// Settings of a server that `stream` may hold too.
#[derive(Default)]
pub struct ServerConf {
    /// `error_log`.
    pub error_logs: Vec<Target>,
    /// `proxy_protocol_timeout`.
    pub proxy_protocol_timeout: Option<Duration>,
    /// `tcp_nodelay`.
    pub tcp_nodelay: Option<bool>,
    /// `preread_buffer_size`.
    pub preread_buffer_size: Option<u64>,
    /// `preread_timeout`.
    pub preread_timeout: Option<Duration>,
}

impl Conf for ServerConf {
    fn inherit(&mut self, outer: &Self) {
        inherit!(self, outer; list error_logs; proxy_protocol_timeout, tcp_nodelay, preread_buffer_size, preread_timeout);
    }
}

/// What a server listens on, and where it is written.
#[derive(Default)]
pub struct Listens {
    /// In order.
    pub listens: Vec<Listening>,
    /// The line nginx names when the server has no handler.
    pub at: Option<Span>,
}

impl Conf for Listens {
    fn inherit(&mut self, _: &Self) {}
}

fn stream(cx: &mut Setting<'_>, _: &mut Main, _: &Statement) -> Result<(), Diagnostic> {
    let again = cx.around().is_some_and(|main| main.children.iter().any(|level| level.context == STREAM));
    if again { Err(cx.duplicate()) } else { Ok(()) }
}

fn server(_: &mut Setting<'_>, conf: &mut Listens, statement: &Statement) -> Result<(), Diagnostic> {
    conf.at = Some(statement.span);
    Ok(())
}

fn close(cx: &mut Setting<'_>) -> Result<(), Diagnostic> {
    match cx.conf::<Listens>() {
        Some(conf) if conf.listens.is_empty() => {
            let complaint = Diagnostic::emerg("no \"listen\" is defined for server");
            Err(match conf.at {
                Some(at) => complaint.at(at),
                None => complaint,
            })
        }
        _ => Ok(()),
    }
}

fn error_log(cx: &mut Setting<'_>, conf: &mut ServerConf, statement: &Statement) -> Result<(), Diagnostic> {
    let target = errorlog::parse(cx, statement)?;
    conf.error_logs.push(target);
    Ok(())
}
