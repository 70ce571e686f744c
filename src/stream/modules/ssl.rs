//! `ngx_stream_ssl_module`: what stream's servers need for TLS, checked as nginx checks it.

use crate::conf::diagnostic::Diagnostic;
use crate::conf::directive::{Arity, Directive};
use crate::conf::module::{Conf, Merged as _, Scope, inherit};
use crate::conf::slot::{Custom, Time};
use crate::conf::source::Span;
use crate::conf::tree::{Statement, Word};
use crate::conf::walk::{Levels, Setting};
use crate::session::contexts::STREAM_ANY;
use crate::session::tls::{self, Named};
use crate::stream::module::{Compile, Module, ServerBuilder};
use crate::stream::site::Secure;
use crate::tls::TlsConf;
use crate::tls::check::{by_name, lacking};
use crate::tls::context::Purpose;
use crate::tls::directives::Verify;
use std::time::Duration;

/// The module.
pub fn modules() -> Vec<Module> {
    vec![
        Module::new(tls::MODULES[1]).declare(declare).install(install),
        Module::new(tls::MODULES[4]),
        Module::new(MODULE),
    ]
}

const MODULE: crate::conf::module::Module = crate::conf::module::Module {
    name: "ngx_stream_ssl_module",
    directives: &[
        Directive::new(
            "ssl_handshake_timeout",
            STREAM_ANY,
            Arity::Exactly(1),
            &Time(|c: &mut StreamTls| &mut c.handshake_timeout),
        )
        .default("60s")
        .doc("Sets how long a handshake may take."),
        Directive::new("ssl_alpn", STREAM_ANY, Arity::AtLeast(1), &Custom(ssl_alpn))
            .since("1.21.4")
            .doc("Sets the protocols clients may choose in the handshake."),
    ],
    scopes: &[Scope::of::<StreamTls>(STREAM_ANY)],
};

/// Settings of TLS that stream alone has.
#[derive(Default)]
pub struct StreamTls {
    handshake_timeout: Option<Duration>,
    alpn: Vec<Word>,
    /// The last `listen … ssl` of the server.
    pub listen: Option<Span>,
}

impl Conf for StreamTls {
    fn inherit(&mut self, outer: &Self) {
        inherit!(self, outer; list alpn; handshake_timeout);
    }
}

fn ssl_alpn(cx: &mut Setting<'_>, conf: &mut StreamTls, statement: &Statement) -> Result<(), Diagnostic> {
    if !conf.alpn.is_empty() {
        return Err(cx.duplicate());
    }
    if statement.arguments().iter().any(|word| word.bytes.len() > 255) {
        return Err(cx.complain("protocol too long"));
    }
    conf.alpn = statement.arguments().to_vec();
    Ok(())
}

fn declare(levels: &Levels<'_>, cx: &mut Compile<'_, '_>) -> Result<(), Diagnostic> {
    tls::declare(levels, "stream ssl", cx.build)
}

fn install(levels: &Levels<'_>, place: &mut ServerBuilder, cx: &mut Compile<'_, '_>) -> Result<(), Diagnostic> {
    let at = levels.level.own::<StreamTls>().and_then(|own| own.listen);
    let (Some(at), Some(conf)) = (at, levels.get::<TlsConf>()) else { return Ok(()) };
    if let Some(complaint) = lacking(conf, "listen ... ssl") {
        return Err(complaint.at(at));
    }
    let mut pairs = Vec::new();
    if by_name(conf) {
        for (certificate, key) in conf.certificates.iter().zip(&conf.keys) {
            pairs.push([(cx.text(certificate)?, certificate.clone()), (cx.text(key)?, key.clone())]);
        }
    }
    let none = StreamTls::default();
    let own = levels.get::<StreamTls>().unwrap_or(&none);
    let Some(context) = tls::server(levels, conf, (Purpose::Stream, false), cx.build)? else { return Ok(()) };
    let protocols: Vec<&[u8]> = own.alpn.iter().map(|word| &*word.bytes).collect();
    place.tls = Some(Secure {
        context: context.protocols(&protocols),
        named: Named::new(pairs, conf.password_file.clone(), conf.certificate_cache.clone().flatten(), cx.build),
        verify: conf.verify.unwrap_or(Verify::Off),
        timeout: own.handshake_timeout.merged()?,
    });
    Ok(())
}
