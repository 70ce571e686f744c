//! `ngx_http_ssl_module`: what http's servers need for TLS, checked as nginx checks it.

use crate::conf::diagnostic::Diagnostic;
use crate::conf::directive::{Arity, Directive, Set as _};
use crate::conf::module::{Conf, Merged as _, Scope, inherit};
use crate::conf::slot::{Custom, Flag, Size};
use crate::conf::source::Span;
use crate::conf::tree::Statement;
use crate::conf::walk::{Levels, Setting};
use crate::http::heart::module::{Compile, LocationBuilder, Module};
use crate::http::heart::request::Request;
use crate::http::heart::secure::{Contexts, ServerTls};
use crate::script::variable::Variable;
use crate::session::contexts::{HTTP_SERVER, SERVER};
use crate::session::tls::{self, Named};
use crate::tls::TlsConf;
use crate::tls::check::{by_name, lacking};
use crate::tls::context::Purpose;
use crate::tls::directives::{Verify, http_rows};
use std::sync::Arc;

/// The module.
pub fn modules() -> Vec<Module> {
    let shared = Module::new(tls::MODULES[0]).declare(declare).install(install);
    vec![shared, Module::new(tls::MODULES[3]), Module::new(OCSP), Module::new(MODULE).variables(VARIABLES)]
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

/// What is known of a connection's TLS.
const VARIABLES: &[Variable<Request>] = &[
    Variable::new("ssl_protocol", |r, _, out| value(r, "protocol", out)).changeable(),
    Variable::new("ssl_cipher", |r, _, out| value(r, "cipher", out)).changeable(),
    Variable::new("ssl_ciphers", |r, _, out| value(r, "ciphers", out)).changeable(),
    Variable::new("ssl_curve", |r, _, out| value(r, "curve", out)).changeable(),
    Variable::new("ssl_curves", |r, _, out| value(r, "curves", out)).changeable(),
    Variable::new("ssl_session_id", |r, _, out| value(r, "session_id", out)).changeable(),
    Variable::new("ssl_session_reused", |r, _, out| value(r, "session_reused", out)).changeable(),
    Variable::new("ssl_early_data", |r, _, out| value(r, "early_data", out)).changeable(),
    Variable::new("ssl_server_name", |r, _, out| value(r, "server_name", out)).changeable(),
    Variable::new("ssl_alpn_protocol", |r, _, out| value(r, "alpn_protocol", out)).changeable(),
    Variable::new("ssl_client_cert", |r, _, out| value(r, "client_cert", out)).changeable(),
    Variable::new("ssl_client_raw_cert", |r, _, out| value(r, "client_raw_cert", out)).changeable(),
    Variable::new("ssl_client_escaped_cert", |r, _, out| value(r, "client_escaped_cert", out)).changeable(),
    Variable::new("ssl_client_s_dn", |r, _, out| value(r, "client_s_dn", out)).changeable(),
    Variable::new("ssl_client_i_dn", |r, _, out| value(r, "client_i_dn", out)).changeable(),
    Variable::new("ssl_client_s_dn_legacy", |r, _, out| value(r, "client_s_dn_legacy", out)).changeable(),
    Variable::new("ssl_client_i_dn_legacy", |r, _, out| value(r, "client_i_dn_legacy", out)).changeable(),
    Variable::new("ssl_client_serial", |r, _, out| value(r, "client_serial", out)).changeable(),
    Variable::new("ssl_client_fingerprint", |r, _, out| value(r, "client_fingerprint", out)).changeable(),
    Variable::new("ssl_client_verify", |r, _, out| value(r, "client_verify", out)).changeable(),
    Variable::new("ssl_client_v_start", |r, _, out| value(r, "client_v_start", out)).changeable(),
    Variable::new("ssl_client_v_end", |r, _, out| value(r, "client_v_end", out)).changeable(),
    Variable::new("ssl_client_v_remain", |r, _, out| value(r, "client_v_remain", out)).changeable(),
];

fn value(request: &Request, name: &str, out: &mut Vec<u8>) -> bool {
    let connection = &request.connection;
    let now = request.event_loop().clock.now().as_secs() as i64;
    tls::value(name, connection.stream.tls(), connection.shaken.get().map(|shaken| &**shaken), now, out)
}

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

fn install(levels: &Levels<'_>, place: &mut LocationBuilder, cx: &mut Compile<'_, '_>) -> Result<(), Diagnostic> {
    let (Some(conf), Some(http)) = (levels.get::<TlsConf>(), levels.get::<HttpTls>()) else { return Ok(()) };
    if place.context != SERVER {
        return Ok(());
    }
    if http.enabled == Some(true) {
        if let (Some(complaint), Some(at)) = (lacking(conf, "ssl"), http.enabled_at) {
            return Err(complaint.at(at));
        }
    } else if http.reject_handshake != Some(true) {
        let Some(last) = conf.certificates.last() else {
            // The handshake is the one of the address's first server; requests are still refused by this one's rule.
            let verify = conf.verify.unwrap_or(Verify::Off);
            place.tls = Some(Arc::new(ServerTls { context: None, verify, rejects: false }));
            return Ok(());
        };
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
        let named = Named::new(pairs, conf.password_file.clone(), conf.certificate_cache.clone().flatten(), cx.build);
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
