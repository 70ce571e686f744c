//! `ngx_http_ssl_module`: what http's servers need for TLS, checked as nginx checks it.

use crate::conf::diagnostic::Diagnostic;
use crate::conf::directive::{Arity, Directive, Set as _, Support};
use crate::conf::module::{Conf, Merged as _, Scope, inherit};
use crate::conf::slot::{Custom, Flag, Size};
use crate::conf::source::Span;
use crate::conf::tree::Statement;
use crate::conf::walk::{Levels, Setting};
use crate::http::module::{Compile, Module, Place};
use crate::http::request::Request;
use crate::http::secure::{Contexts, Named, ServerTls};
use crate::script::variable::Variable;
use crate::session::contexts::{HTTP_SERVER, SERVER};
use crate::session::tls;
use crate::tls::TlsConf;
use crate::tls::check::{by_name, lacking};
use crate::tls::context::Purpose;
use crate::tls::directives::{Verify, http_rows};
use std::sync::Arc;

/// The module.
pub fn modules() -> Vec<Module> {
    let shared = Module::new(tls::MODULES[0]).declare(declare).install(install);
    vec![shared, Module::new(OCSP), Module::new(MODULE).variables(VARIABLES)]
}

const OCSP: crate::conf::module::Module =
    crate::conf::module::Module { name: "ngx_http_ssl_module", directives: &http_rows(HTTP_SERVER), scopes: &[] };

const MODULE: crate::conf::module::Module = crate::conf::module::Module {
    name: "ngx_http_ssl_module",
    directives: &[
        Directive::new("ssl", HTTP_SERVER, Arity::Flag, &Custom(ssl))
            .doc("Speaks TLS on every address of the server; the ssl parameter of listen has taken its place."),
        Directive::new("ssl_buffer_size", HTTP_SERVER, Arity::Exactly(1), &Size(|c: &mut HttpTls| &mut c.buffer_size))
            .default("16k")
            .since("1.5.9")
            .doc("Sets how much is put into one TLS record."),
        Directive::new("ssl_early_data", HTTP_SERVER, Arity::Flag, &Flag(|c: &mut HttpTls| &mut c.early_data))
            .default("off")
            .since("1.15.3")
            .support(Support::Missing)
            .doc("Takes requests that come with the first bytes of a resumed session."),
        Directive::new(
            "ssl_reject_handshake",
            HTTP_SERVER,
            Arity::Flag,
            &Flag(|c: &mut HttpTls| &mut c.reject_handshake),
        )
        .default("off")
        .since("1.19.4")
        .doc("Refuses handshakes for the server's names."),
    ],
    scopes: &[Scope::of::<HttpTls>(HTTP_SERVER)],
};

/// What is known of a connection's TLS: nothing, while none is served.
const VARIABLES: &[Variable<Request>] = &[
    Variable::new("ssl_protocol", |_, _, _| false).changeable(),
    Variable::new("ssl_cipher", |_, _, _| false).changeable(),
    Variable::new("ssl_ciphers", |_, _, _| false).changeable(),
    Variable::new("ssl_curve", |_, _, _| false).changeable(),
    Variable::new("ssl_curves", |_, _, _| false).changeable(),
    Variable::new("ssl_session_id", |_, _, _| false).changeable(),
    Variable::new("ssl_session_reused", |_, _, _| false).changeable(),
    Variable::new("ssl_early_data", |_, _, _| false).changeable(),
    Variable::new("ssl_server_name", |_, _, _| false).changeable(),
    Variable::new("ssl_alpn_protocol", |_, _, _| false).changeable(),
    Variable::new("ssl_client_cert", |_, _, _| false).changeable(),
    Variable::new("ssl_client_raw_cert", |_, _, _| false).changeable(),
    Variable::new("ssl_client_escaped_cert", |_, _, _| false).changeable(),
    Variable::new("ssl_client_s_dn", |_, _, _| false).changeable(),
    Variable::new("ssl_client_i_dn", |_, _, _| false).changeable(),
    Variable::new("ssl_client_s_dn_legacy", |_, _, _| false).changeable(),
    Variable::new("ssl_client_i_dn_legacy", |_, _, _| false).changeable(),
    Variable::new("ssl_client_serial", |_, _, _| false).changeable(),
    Variable::new("ssl_client_fingerprint", |_, _, _| false).changeable(),
    Variable::new("ssl_client_verify", |_, _, _| false).changeable(),
    Variable::new("ssl_client_v_start", |_, _, _| false).changeable(),
    Variable::new("ssl_client_v_end", |_, _, _| false).changeable(),
    Variable::new("ssl_client_v_remain", |_, _, _| false).changeable(),
];

/// Settings of TLS that http alone has.
#[derive(Default)]
pub struct HttpTls {
    enabled: Option<bool>,
    enabled_at: Option<Span>,
    buffer_size: Option<u64>,
    early_data: Option<bool>,
    /// `ssl_reject_handshake`.
    pub reject_handshake: Option<bool>,
}

impl Conf for HttpTls {
    fn inherit(&mut self, outer: &Self) {
        inherit!(self, outer; enabled, enabled_at, buffer_size, early_data, reject_handshake);
    }
}

fn ssl(cx: &mut Setting<'_>, conf: &mut HttpTls, statement: &Statement) -> Result<(), Diagnostic> {
    Flag(|c: &mut HttpTls| &mut c.enabled).set(cx, conf, statement)?;
    conf.enabled_at = Some(statement.span);
    cx.warn(statement, "the \"ssl\" directive is deprecated, use the \"listen ... ssl\" directive instead");
    Ok(())
}

fn declare(levels: &Levels<'_>, cx: &mut Compile<'_, '_>) -> Result<(), Diagnostic> {
    tls::declare(levels, "http ssl", cx.build)
}

fn install(levels: &Levels<'_>, place: &mut Place, cx: &mut Compile<'_, '_>) -> Result<(), Diagnostic> {
    let (Some(conf), Some(http)) = (levels.get::<TlsConf>(), levels.get::<HttpTls>()) else { return Ok(()) };
    if place.context != SERVER {
        return Ok(());
    }
    if http.enabled == Some(true) {
        if let (Some(complaint), Some(at)) = (lacking(conf, "ssl"), http.enabled_at) {
            return Err(complaint.at(at));
        }
    } else if http.reject_handshake != Some(true) {
        let Some(last) = conf.certificates.last() else { return Ok(()) };
        if conf.keys.len() < conf.certificates.len() {
            let text = format!("no \"ssl_certificate_key\" is defined for certificate \"{}\"", last.text());
            return Err(Diagnostic::emerg(text).unlined());
        }
    }
    let mut pairs = Vec::new();
    if by_name(conf) {
        for (certificate, key) in conf.certificates.iter().zip(&conf.keys) {
            pairs.push([(cx.text(certificate)?, certificate.clone()), (cx.text(key)?, key.clone())]);
        }
    }
    let early_data = http.early_data.merged()?;
    let context = tls::server(levels, conf, (Purpose::Http, early_data), cx.build)?;
    let rejects = http.reject_handshake == Some(true);
    let size = http.buffer_size.map_or(16_384, |size| usize::try_from(size).unwrap_or(usize::MAX));
    let context = context.filter(|_| !conf.certificates.is_empty()).map(|context| {
        let passwords = conf.password_file.clone();
        let folder = cx.build.folder.to_owned();
        let named = (!pairs.is_empty()).then_some(Named { pairs, passwords, folder });
        Contexts::new(context.record_size(size), named)
    });
    let verify = conf.verify.unwrap_or(Verify::Off);
    place.tls = Some(Arc::new(ServerTls { context, verify, rejects }));
    Ok(())
}

/// Whether a server speaks TLS on all of its addresses.
pub fn is_on(levels: &Levels<'_>) -> bool {
    levels.get::<HttpTls>().is_some_and(|conf| conf.enabled == Some(true))
}

/// Whether a server has no certificate.
pub fn is_bare(levels: &Levels<'_>) -> bool {
    levels.get::<TlsConf>().is_none_or(|conf| conf.certificates.is_empty())
}

/// What is wrong with a server that is the default of an address with TLS; nginx looks when all is merged.
pub fn lacks_certificate(levels: &Levels<'_>) -> Option<Diagnostic> {
    let rejects = levels.get::<HttpTls>().is_some_and(|conf| conf.reject_handshake == Some(true));
    if !is_bare(levels) || rejects {
        return None;
    }
    let complaint = Diagnostic::emerg("no \"ssl_certificate\" is defined for the \"listen ... ssl\" directive");
    Some(match levels.level.span {
        Some(span) => complaint.at(span),
        None => complaint,
    })
}
