//! `ngx_http_v2_module`: HTTP/2. Checked, not served yet.

use crate::conf::diagnostic::Diagnostic;
use crate::conf::directive::{Arity, Directive};
use crate::conf::effect::Need;
use crate::conf::module::{Conf, Scope, inherit};
use crate::conf::slot::{Custom, Flag, Number};
use crate::conf::tree::{Statement, Word};
use crate::conf::value;
use crate::conf::walk::Setting;
use crate::http::module::Module;
use crate::session::contexts::{HTTP, HTTP_ANY, HTTP_LEVELS, HTTP_SERVER};
use crate::session::slot::{Obsolete, PowerOfTwo, free};
use crate::session::used;

/// The module.
pub fn modules() -> Vec<Module> {
    vec![Module::new(MODULE)]
}

const MODULE: crate::conf::module::Module = crate::conf::module::Module {
    name: "ngx_http_v2_module",
    directives: DIRECTIVES,
    scopes: &[Scope::of::<Http2>(HTTP_LEVELS)],
};

/// What uses the rows.
const HTTP2: Need = Need::AnyOf(&["listen"], "no address with HTTP/2 is listened on");

const DIRECTIVES: &[Directive] = &[
    Directive::checked("http2_recv_buffer_size", HTTP, Arity::Exactly(1), &Custom(recv_buffer_size))
        .needs(HTTP2)
        .doc("Sets the size of a loop's input buffer."),
    Directive::checked("http2_pool_size", HTTP_SERVER, Arity::Exactly(1), &Custom(pool_size))
        .needs(HTTP2)
        .doc("Sizes nginx's memory for a connection."),
    Directive::checked(
        "http2_max_concurrent_streams",
        HTTP_SERVER,
        Arity::Exactly(1),
        &Number(|c: &mut Http2| &mut c.max_concurrent_streams, 0..=u64::MAX),
    )
    .needs(HTTP2)
    .doc("Sets how many streams a connection may have."),
    Directive::checked(
        "http2_max_concurrent_pushes",
        HTTP_SERVER,
        Arity::Exactly(1),
        &Number(|c: &mut Http2| &mut c.max_concurrent_pushes, 0..=u64::MAX),
    )
    .since("1.13.9")
    .needs(HTTP2)
    .doc("Sets how many pushed requests a connection may have."),
    Directive::checked("http2_max_requests", HTTP_SERVER, Arity::Exactly(1), &Obsolete("keepalive_requests"))
        .needs(HTTP2)
        .doc("Is not read any more."),
    Directive::checked(
        "http2_max_field_size",
        HTTP_SERVER,
        Arity::Exactly(1),
        &Obsolete("large_client_header_buffers"),
    )
    .needs(HTTP2)
    .doc("Is not read any more."),
    Directive::checked(
        "http2_max_header_size",
        HTTP_SERVER,
        Arity::Exactly(1),
        &Obsolete("large_client_header_buffers"),
    )
    .needs(HTTP2)
    .doc("Is not read any more."),
    Directive::checked("http2_body_preread_size", HTTP_SERVER, Arity::Exactly(1), &Custom(body_preread_size))
        .needs(HTTP2)
        .doc("Sets the buffer for a body before it is asked for."),
    Directive::checked(
        "http2_streams_index_size",
        HTTP_SERVER,
        Arity::Exactly(1),
        &PowerOfTwo(|c: &mut Http2| &mut c.streams_index_size),
    )
    .needs(HTTP2)
    .doc("Sizes nginx's table of streams."),
    Directive::checked("http2_recv_timeout", HTTP_SERVER, Arity::Exactly(1), &Obsolete("client_header_timeout"))
        .needs(HTTP2)
        .doc("Is not read any more."),
    Directive::checked("http2_idle_timeout", HTTP_SERVER, Arity::Exactly(1), &Obsolete("keepalive_timeout"))
        .needs(HTTP2)
        .doc("Is not read any more."),
    Directive::checked("http2_chunk_size", HTTP_ANY, Arity::Exactly(1), &Custom(chunk_size))
        .needs(HTTP2)
        .doc("Sets the largest piece a body is sent in."),
    Directive::checked("http2_push_preload", HTTP_ANY, Arity::Flag, &Flag(|c: &mut Http2| &mut c.push_preload))
        .since("1.13.9")
        .needs(HTTP2)
        .doc("Pushes what Link headers name."),
    Directive::checked("http2_push", HTTP_ANY, Arity::Exactly(1), &Custom(http2_push))
        .since("1.13.9")
        .needs(HTTP2)
        .doc("Pushes a request with responses."),
];

/// Settings of the module.
#[derive(Default)]
struct Http2 {
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
        inherit!(self, outer; max_concurrent_streams, max_concurrent_pushes, streams_index_size, push_preload);
        inherit!(self, outer; recv_buffer_size, pool_size, body_preread_size, chunk_size, pushes);
    }
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
