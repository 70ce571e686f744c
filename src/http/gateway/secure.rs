//! TLS towards backends: the rows of the gateways that speak it, and what connections are made of.

use crate::conf::diagnostic::{At, Diagnostic};
use crate::conf::module::{Conf, inherit};
use crate::conf::tree::{Statement, Word};
use crate::conf::walk::{Levels, Setting};
use crate::http::heart::module::Compile;
use crate::http::heart::secure::ServerSide;
use crate::session::slot::free;
use crate::session::tls::Named;
use crate::session::used;
use crate::tls::check::{self, Files};
use crate::tls::ciphers;
use crate::tls::directives::read_passwords;
use crate::tls::files::{self, CacheText};
use crate::tls::kept::Kept;
use crate::tls::key::Passwords;
use crate::tls::upstream::{ClientContext, ClientSettings};

/// Settings of a gateway that speaks TLS.
#[derive(Default)]
pub struct SecureConf<const P: u8> {
    /// `*_ssl_certificate`.
    pub certificate: Option<Word>,
    /// `*_ssl_certificate_key`.
    pub key: Option<Word>,
    /// `*_ssl_ciphers`.
    pub ciphers: Option<Word>,
    /// `*_ssl_conf_command`.
    pub commands: Vec<(Word, Word)>,
    /// `*_ssl_crl`.
    pub crl: Option<Word>,
    /// `*_ssl_name`.
    pub name: Option<Word>,
    /// `*_ssl_password_file`.
    pub passwords: Option<Passwords>,
    /// `*_ssl_protocols`.
    pub protocols: Option<u32>,
    /// `*_ssl_server_name`.
    pub server_name: Option<bool>,
    /// `*_ssl_session_reuse`.
    pub session_reuse: Option<bool>,
    /// `*_ssl_trusted_certificate`.
    pub trusted: Option<Word>,
    /// `*_ssl_verify`.
    pub verify: Option<bool>,
    /// `*_ssl_verify_depth`.
    pub verify_depth: Option<u64>,
    /// `*_ssl_certificate_cache`.
    pub certificate_cache: Option<CacheText>,
}

impl<const P: u8> Conf for SecureConf<P> {
    fn inherit(&mut self, outer: &Self) {
        inherit!(self, outer; list commands; certificate, key, ciphers, crl, name, passwords, protocols);
        inherit!(self, outer; server_name, session_reuse, trusted, verify, verify_depth, certificate_cache);
    }
}

/// What merged settings of a gateway come to; with `http2` connections ask for HTTP/2 (ALPN, RFC 7301).
///
/// # Errors
/// nginx's and OpenSSL's words, or what is not supported.
pub fn side<const P: u8>(
    conf: &SecureConf<P>,
    prefix: &str,
    levels: &Levels<'_>,
    (http2, cx): (bool, &mut Compile<'_, '_>),
) -> Result<ServerSide, Diagnostic> {
    let prefix = format!("{prefix}_ssl");
    let given = |word: &Option<Word>| word.clone().filter(|word| !word.bytes.is_empty());
    let pair = given(&conf.certificate).zip(given(&conf.key));
    let varies = pair.as_ref().is_some_and(|(one, two)| used::varies(&one.bytes) || used::varies(&two.bytes));
    let fixed = pair.as_ref().filter(|_| !varies).map(|(certificate, key)| (certificate, key));
    let settings = ClientSettings {
        prefix: &prefix,
        protocols: conf.protocols,
        ciphers: conf.ciphers.as_ref(),
        commands: &conf.commands,
        pair: fixed,
        passwords: conf.passwords.as_ref(),
        trusted: conf.trusted.as_ref(),
        crl: conf.crl.as_ref(),
        verify: conf.verify == Some(true),
        depth: conf.verify_depth.unwrap_or(1),
        server_name: conf.server_name == Some(true),
        session_reuse: conf.session_reuse != Some(false),
    };
    let resolver = cx.build.resolver;
    let resolve = |host: &str| resolver.resolve(host);
    let files =
        Files { loader: cx.build.files, folder: cx.build.folder, resolve: &resolve, merged_at: levels.level.end };
    let kept = cx.build.zones.kept::<Kept>();
    let mut context = ClientContext::new(&settings, &files, &kept, &mut |warning| cx.build.complaints.push(warning))?;
    if http2 {
        context = context.protocols(&[b"h2"]);
    }
    let pairs = match pair.filter(|_| varies) {
        Some((one, two)) => vec![[(cx.text(&one)?, one), (cx.text(&two)?, two)]],
        None => Vec::new(),
    };
    let named = Named::new(pairs, conf.passwords.clone(), conf.certificate_cache.clone().flatten(), cx.build);
    let name = conf.name.as_ref().map(|word| cx.text(word)).transpose()?;
    Ok(ServerSide::new(context, name, named))
}

/// The setter of `*_ssl_certificate_cache`.
pub fn certificate_cache<const P: u8>(
    cx: &mut Setting<'_>,
    conf: &mut SecureConf<P>,
    statement: &Statement,
) -> Result<(), Diagnostic> {
    files::parse(cx, &mut conf.certificate_cache, statement)
}

/// The setter of `*_ssl_password_file`.
pub fn password_file<const P: u8>(
    cx: &mut Setting<'_>,
    conf: &mut SecureConf<P>,
    statement: &Statement,
) -> Result<(), Diagnostic> {
    free(cx, &conf.passwords)?;
    conf.passwords = read_passwords(cx, statement)?;
    Ok(())
}

/// Checks what the context of a gateway that speaks TLS is made of.
///
/// # Errors
/// nginx's and OpenSSL's words.
pub fn check<const P: u8>(levels: &Levels<'_>, prefix: &str, cx: &mut Compile<'_, '_>) -> Result<(), Diagnostic> {
    let none = SecureConf::<P>::default();
    let conf = levels.get::<SecureConf<P>>().unwrap_or(&none);
    let resolver = cx.build.resolver;
    let resolve = |host: &str| resolver.resolve(host);
    let files =
        Files { loader: cx.build.files, folder: cx.build.folder, resolve: &resolve, merged_at: levels.level.end };
    context(conf, prefix, &files).map_err(|complaint| match complaint.at {
        At::Nowhere => complaint.unlined(),
        At::Unlined | At::Span(_) => complaint,
    })
}

fn context<const P: u8>(conf: &SecureConf<P>, prefix: &str, files: &Files<'_>) -> Result<(), Diagnostic> {
    check::cipher_list(conf.ciphers.as_ref())?;
    let given = |word: &Option<Word>| word.clone().filter(|word| !word.bytes.is_empty());
    if let Some(certificate) = given(&conf.certificate) {
        let Some(key) = &conf.key else {
            let shown = certificate.text();
            let text = format!("no \"{prefix}_ssl_certificate_key\" is defined for certificate \"{shown}\"");
            return Err(Diagnostic::emerg(text));
        };
        if !used::varies(&certificate.bytes) && !used::varies(&key.bytes) {
            let text = conf.ciphers.as_ref().map(Word::text);
            files.pair(&certificate, key, conf.passwords.as_ref(), ciphers::level(text.as_deref()))?;
        }
    }
    if conf.verify == Some(true) {
        let Some(trusted) = given(&conf.trusted) else {
            return Err(Diagnostic::emerg(format!("no {prefix}_ssl_trusted_certificate for {prefix}_ssl_verify")));
        };
        files.trusted("SSL_CTX_load_verify_locations", &trusted)?;
        files.revoked(conf.crl.as_ref())?;
    }
    check::commands(&conf.commands)
}

/// The rows of a gateway that speaks TLS.
macro_rules! secure_rows {
    ($prefix:literal, $gateway:expr) => {{
        use crate::conf::directive::{Arity, Directive};
        use crate::conf::slot::{Custom, Flag, Mask, Number, Pairs, Text};
        use crate::http::gateway::secure::{SecureConf as S, certificate_cache, password_file};
        use crate::session::contexts::HTTP_ANY as ANY;
        use crate::session::slot::Value;
        use crate::tls::directives::PROTOCOLS;
        [
            Directive::new(
                concat!($prefix, "_ssl_certificate"),
                ANY,
                Arity::Exactly(1),
                &Value(|c: &mut S<{ $gateway }>| &mut c.certificate),
            )
            .doc("Names the file with the certificate backends are shown."),
            Directive::new(
                concat!($prefix, "_ssl_certificate_cache"),
                ANY,
                Arity::Between(1, 3),
                &Custom(certificate_cache::<{ $gateway }>),
            )
            .words(crate::tls::files::WORDS)
            .default("off")
            .since("1.27.4")
            .doc("Keeps the files of certificates and keys whose names have variables."),
            Directive::new(
                concat!($prefix, "_ssl_certificate_key"),
                ANY,
                Arity::Exactly(1),
                &Value(|c: &mut S<{ $gateway }>| &mut c.key),
            )
            .doc("Names the file with its secret key."),
            Directive::new(
                concat!($prefix, "_ssl_ciphers"),
                ANY,
                Arity::Exactly(1),
                &Text(|c: &mut S<{ $gateway }>| &mut c.ciphers),
            )
            .default("DEFAULT")
            .doc("Sets the ciphers that may be used, in OpenSSL's words."),
            Directive::new(
                concat!($prefix, "_ssl_conf_command"),
                ANY,
                Arity::Exactly(2),
                &Pairs(|c: &mut S<{ $gateway }>| &mut c.commands),
            )
            .since("1.19.4")
            .doc("Hands a setting to OpenSSL."),
            Directive::new(
                concat!($prefix, "_ssl_crl"),
                ANY,
                Arity::Exactly(1),
                &Text(|c: &mut S<{ $gateway }>| &mut c.crl),
            )
            .doc("Names the file with revoked certificates of backends."),
            Directive::new(
                concat!($prefix, "_ssl_name"),
                ANY,
                Arity::Exactly(1),
                &Value(|c: &mut S<{ $gateway }>| &mut c.name),
            )
            .doc("Sets the name a backend's certificate must have."),
            Directive::new(
                concat!($prefix, "_ssl_password_file"),
                ANY,
                Arity::Exactly(1),
                &Custom(password_file::<{ $gateway }>),
            )
            .doc("Names the file with passphrases for the secret key, one a line."),
            Directive::new(
                concat!($prefix, "_ssl_protocols"),
                ANY,
                Arity::AtLeast(1),
                &Mask(|c: &mut S<{ $gateway }>| &mut c.protocols, PROTOCOLS),
            )
            .default("TLSv1 TLSv1.1 TLSv1.2 TLSv1.3")
            .doc("Sets the versions of TLS that are spoken."),
            Directive::new(
                concat!($prefix, "_ssl_server_name"),
                ANY,
                Arity::Flag,
                &Flag(|c: &mut S<{ $gateway }>| &mut c.server_name),
            )
            .default("off")
            .doc("Tells backends the name in the handshake."),
            Directive::new(
                concat!($prefix, "_ssl_session_reuse"),
                ANY,
                Arity::Flag,
                &Flag(|c: &mut S<{ $gateway }>| &mut c.session_reuse),
            )
            .default("on")
            .doc("Resumes sessions with backends."),
            Directive::new(
                concat!($prefix, "_ssl_trusted_certificate"),
                ANY,
                Arity::Exactly(1),
                &Text(|c: &mut S<{ $gateway }>| &mut c.trusted),
            )
            .doc("Names the file with the issuers backends may have."),
            Directive::new(
                concat!($prefix, "_ssl_verify"),
                ANY,
                Arity::Flag,
                &Flag(|c: &mut S<{ $gateway }>| &mut c.verify),
            )
            .default("off")
            .doc("Verifies backends' certificates."),
            Directive::new(
                concat!($prefix, "_ssl_verify_depth"),
                ANY,
                Arity::Exactly(1),
                &Number(|c: &mut S<{ $gateway }>| &mut c.verify_depth, 0..=u64::MAX),
            )
            .default("1")
            .doc("Sets how long a backend's chain may be."),
        ]
    }};
}
pub(crate) use secure_rows;
