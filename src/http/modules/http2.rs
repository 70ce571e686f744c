//! `ngx_http_v2_module`: the settings of HTTP/2.
//!
//! Differs from nginx: without TLS a connection that does not begin as HTTP/2 does is served as HTTP/1, as nginx does since 1.25.1. [test: an_address_without_tls_speaks_both_versions]
//!
//! Differs from nginx: nothing is pushed: browsers do not take it any more (RFC 9113 §8.4 leaves it to the server). [test: nothing_is_pushed]

use crate::conf::diagnostic::Diagnostic;
use crate::conf::directive::{Arity, Directive, Support};
use crate::conf::module::{Conf, Merged as _, Scope, inherit};
use crate::conf::slot::{Custom, Flag, Number};
use crate::conf::tree::{Statement, Word};
use crate::conf::value;
use crate::conf::walk::{Levels, Setting};
use crate::http::heart::module::Module;
use crate::http::heart::request::Request;
use crate::http::heart::site;
use crate::script::variable::Variable;
use crate::session::contexts::{HTTP, HTTP_ANY, HTTP_LEVELS, HTTP_SERVER};
use crate::session::slot::{Obsolete, PowerOfTwo, free};
use crate::session::used;

/// The module.
pub fn modules() -> Vec<Module> {
    vec![Module::new(MODULE).variables(VARIABLES)]
}

const MODULE: crate::conf::module::Module = crate::conf::module::Module {
    name: "ngx_http_v2_module",
    directives: DIRECTIVES,
    scopes: &[Scope::of::<Http2>(HTTP_LEVELS)],
};

const UNSIZED: Support = Support::Inert("memory is taken as it is needed");
const UNPUSHED: Support = Support::Inert("nothing is pushed: browsers do not take it any more");

const DIRECTIVES: &[Directive] = &[
    Directive::new("http2", HTTP_SERVER, Arity::Flag, &Flag(|c: &mut Http2| &mut c.enabled))
        .default("off")
        .since("1.25.1")
        .doc("Speaks HTTP/2 with clients that ask for it, on every address of the server."),
    Directive::new("http2_recv_buffer_size", HTTP, Arity::Exactly(1), &Custom(recv_buffer_size))
        .support(UNSIZED)
        .doc("Sets the size of a loop's input buffer."),
    Directive::new("http2_pool_size", HTTP_SERVER, Arity::Exactly(1), &Custom(pool_size))
        .support(UNSIZED)
        .doc("Sizes nginx's memory for a connection."),
    Directive::new(
        "http2_max_concurrent_streams",
        HTTP_SERVER,
        Arity::Exactly(1),
        &Number(|c: &mut Http2| &mut c.max_concurrent_streams, 0..=u64::MAX),
    )
    .default("128")
    .doc("Sets how many streams a connection may have."),
    Directive::new(
        "http2_max_concurrent_pushes",
        HTTP_SERVER,
        Arity::Exactly(1),
        &Number(|c: &mut Http2| &mut c.max_concurrent_pushes, 0..=u64::MAX),
    )
    .since("1.13.9")
    .support(UNPUSHED)
    .doc("Sets how many pushed requests a connection may have."),
    Directive::new("http2_max_requests", HTTP_SERVER, Arity::Exactly(1), &Obsolete("keepalive_requests"))
        .doc("Is not read any more."),
    Directive::new("http2_max_field_size", HTTP_SERVER, Arity::Exactly(1), &Obsolete("large_client_header_buffers"))
        .doc("Is not read any more."),
    Directive::new("http2_max_header_size", HTTP_SERVER, Arity::Exactly(1), &Obsolete("large_client_header_buffers"))
        .doc("Is not read any more."),
    Directive::new("http2_body_preread_size", HTTP_SERVER, Arity::Exactly(1), &Custom(body_preread_size))
        .doc("Sets the buffer for a body before it is asked for."),
    Directive::new(
        "http2_streams_index_size",
        HTTP_SERVER,
        Arity::Exactly(1),
        &PowerOfTwo(|c: &mut Http2| &mut c.streams_index_size),
    )
    .support(UNSIZED)
    .doc("Sizes nginx's table of streams."),
    Directive::new("http2_recv_timeout", HTTP_SERVER, Arity::Exactly(1), &Obsolete("client_header_timeout"))
        .doc("Is not read any more."),
    Directive::new("http2_idle_timeout", HTTP_SERVER, Arity::Exactly(1), &Obsolete("keepalive_timeout"))
        .doc("Is not read any more."),
    Directive::new("http2_chunk_size", HTTP_ANY, Arity::Exactly(1), &Custom(chunk_size))
        .support(Support::Inert("a frame holds what the client takes, 16 KB at most"))
        .doc("Sets the largest piece a body is sent in."),
    Directive::new("http2_push_preload", HTTP_ANY, Arity::Flag, &Flag(|c: &mut Http2| &mut c.push_preload))
        .since("1.13.9")
        .support(UNPUSHED)
        .doc("Pushes what Link headers name."),
    Directive::new("http2_push", HTTP_ANY, Arity::Exactly(1), &Custom(http2_push))
        .since("1.13.9")
        .support(UNPUSHED)
        .doc("Pushes a request with responses."),
];

/// Settings of the module.
#[derive(Default)]
struct Http2 {
    enabled: Option<bool>,
    max_concurrent_streams: Option<u64>,
    max_concurrent_pushes: Option<u64>,
    streams_index_size: Option<u64>,
    push_preload: Option<bool>,
    recv_buffer_size: Option<u64>,
    pool_size: Option<u64>,
    body_preread_size: Option<u64>,
    chunk_size: Option<u64>,
    pushes: Option<Vec<Word>>,
}

impl Conf for Http2 {
    fn inherit(&mut self, outer: &Self) {
        inherit!(self, outer; enabled, max_concurrent_streams, max_concurrent_pushes, streams_index_size, push_preload);
        inherit!(self, outer; recv_buffer_size, pool_size, body_preread_size, chunk_size, pushes);
    }
}

/// How a server speaks HTTP/2.
///
/// # Errors
/// Settings that were not merged.
pub fn settings(levels: &Levels<'_>) -> Result<site::Http2, Diagnostic> {
    let conf = levels.get::<Http2>().merged()?;
    let fit = |number: u64| u32::try_from(number).unwrap_or(u32::MAX);
    Ok(site::Http2 {
        enabled: conf.enabled.merged()?,
        streams: fit(conf.max_concurrent_streams.merged()?),
        window: conf.body_preread_size.map_or(65_536, fit).min((1 << 31) - 1),
    })
}

const VARIABLES: &[Variable<Request>] = &[Variable::new("http2", http2)];

/// `h2` over TLS, `h2c` without.
fn http2(request: &Request, _: u32, out: &mut Vec<u8>) -> bool {
    if request.version() < 2000 {
        return true;
    }
    out.extend_from_slice(if request.connection.secure.get() { b"h2" } else { b"h2c" });
    true
}

/// A size that is given once.
fn size(cx: &Setting<'_>, slot: &Option<u64>, statement: &Statement) -> Result<u64, Diagnostic> {
    free(cx, slot)?;
    let size = statement.arguments().first().and_then(|word| value::size(&word.bytes, false));
    size.ok_or_else(|| cx.complain("invalid value"))
}

fn recv_buffer_size(cx: &mut Setting<'_>, conf: &mut Http2, statement: &Statement) -> Result<(), Diagnostic> {
    let size = size(cx, &conf.recv_buffer_size, statement)?;
    if size < 32 {
        return Err(cx.complain("value is too small"));
    }
    conf.recv_buffer_size = Some(size);
    Ok(())
}

fn pool_size(cx: &mut Setting<'_>, conf: &mut Http2, statement: &Statement) -> Result<(), Diagnostic> {
    let size = size(cx, &conf.pool_size, statement)?;
    if size < 112 {
        return Err(Diagnostic::emerg("the pool size must be no less than 112"));
    }
    if size % 16 != 0 {
        return Err(Diagnostic::emerg("the pool size must be a multiple of 16"));
    }
    conf.pool_size = Some(size);
    Ok(())
}

fn body_preread_size(cx: &mut Setting<'_>, conf: &mut Http2, statement: &Statement) -> Result<(), Diagnostic> {
    let size = size(cx, &conf.body_preread_size, statement)?;
    if size > (1 << 31) - 1 {
        return Err(Diagnostic::emerg("the maximum body preread buffer size is 2147483647"));
    }
    conf.body_preread_size = Some(size);
    Ok(())
}

fn chunk_size(cx: &mut Setting<'_>, conf: &mut Http2, statement: &Statement) -> Result<(), Diagnostic> {
    let size = size(cx, &conf.chunk_size, statement)?;
    if size == 0 {
        return Err(Diagnostic::emerg("the http2 chunk size cannot be zero"));
    }
    conf.chunk_size = Some(size);
    Ok(())
}

fn http2_push(cx: &mut Setting<'_>, conf: &mut Http2, statement: &Statement) -> Result<(), Diagnostic> {
    let Some(word) = statement.arguments().first() else { return Ok(()) };
    if word.is("off") {
        if conf.pushes.as_ref().is_some_and(|pushes| !pushes.is_empty()) {
            return Err(cx.complain("\"off\" parameter cannot be used with URI"));
        }
        free(cx, &conf.pushes)?;
        conf.pushes = Some(Vec::new());
        return Ok(());
    }
    if conf.pushes.as_ref().is_some_and(Vec::is_empty) {
        return Err(cx.complain("URI cannot be used with \"off\" parameter"));
    }
    used::word(cx, word)?;
    conf.pushes.get_or_insert_default().push(word.clone());
    Ok(())
}
