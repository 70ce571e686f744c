//! The rows of TLS termination for http, stream and mail, and the one conf they write to.

use crate::conf::diagnostic::{At, Diagnostic};
use crate::conf::effect::Unserved;
use crate::conf::module::{Module, Scope};
use crate::conf::walk::Levels;
use crate::session::build::Build;
use crate::session::contexts::{HTTP_SERVER, MAIL_ANY, STREAM_ANY};
use crate::tls::TlsConf;
use crate::tls::check::Files;
use crate::tls::context::{Kept, Purpose, ServerContext, Setup};
use crate::tls::directives::{rows, unserved_rows};

/// The rows of all three.
pub const MODULES: [Module; 3] = [
    Module {
        name: "ngx_http_ssl_module",
        directives: &rows(HTTP_SERVER),
        scopes: &[Scope::of::<TlsConf>(HTTP_SERVER.or(STREAM_ANY).or(MAIL_ANY))],
    },
    Module { name: "ngx_stream_ssl_module", directives: &unserved_rows(STREAM_ANY), scopes: &[] },
    Module { name: "ngx_mail_ssl_module", directives: &unserved_rows(MAIL_ANY), scopes: &[] },
];

/// Declares the zones a level's session caches live in; `kind` is the server that uses them.
///
/// # Errors
/// A name that is taken.
pub fn declare(levels: &Levels<'_>, kind: &'static str, build: &mut Build<'_>) -> Result<(), Diagnostic> {
    let Some(conf) = levels.level.own::<TlsConf>() else { return Ok(()) };
    let ocsp = conf.ocsp_zone.iter().flatten().map(|zone| (zone, "ssl_ocsp_cache"));
    let mut zones: Vec<_> = conf.session_zones.iter().map(|zone| (zone, kind)).chain(ocsp).collect();
    zones.sort_by_key(|(zone, _)| zone.span.start);
    for (zone, kind) in zones {
        let declared = build.declare(&zone.name, zone.size, kind, zone.span);
        build.part(declared)?;
    }
    Ok(())
}

/// What a server's handshakes are made of; nothing for another machine's files, which need not be here.
///
/// # Errors
/// nginx's and OpenSSL's words, or what is not supported.
pub fn server(
    levels: &Levels<'_>,
    conf: &TlsConf,
    (purpose, early_data): (Purpose, bool),
    build: &mut Build<'_>,
) -> Result<Option<ServerContext>, Diagnostic> {
    let mut outermost = levels;
    while let Some(outer) = outermost.outer.filter(|outer| outer.level.span.is_some()) {
        outermost = outer;
    }
    let resolver = build.resolver;
    let resolve = |host: &str| resolver.resolve(host);
    let files = Files { loader: build.files, folder: build.folder, resolve: &resolve, merged_at: outermost.level.end };
    let kept = build.zones.kept::<Kept>();
    let setup = Setup {
        files: &files,
        kept: &kept,
        zones: build.zones,
        purpose,
        at: levels.level.span,
        variables: purpose != Purpose::Mail,
        early_data,
    };
    let outcome = ServerContext::new(conf, &setup, &mut |warning| build.complaints.push(warning));
    let outcome =
        outcome.map_err(|complaint| if complaint.at == At::Nowhere { complaint.unlined() } else { complaint });
    match outcome {
        Err(complaint) if resolver.is_elsewhere() => {
            build.unserved.push(Unserved::refused(complaint.message.clone(), complaint));
            Ok(None)
        }
        outcome => outcome.map(Some),
    }
}
