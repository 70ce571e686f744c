//! The `ssl_*` rows of every server that terminates TLS, and their settings.

use super::files::{self, CacheText, certificate_cache};
use super::key::Passwords;
use crate::conf::diagnostic::Diagnostic;
use crate::conf::directive::{Arity, Contexts, Directive, Support};
use crate::conf::effect::Need;
use crate::conf::module::{Conf, inherit};
use crate::conf::slot::{Choice, Custom, Flag, List, Mask, Number, Pairs, Seconds, Text};
use crate::conf::source::Span;
use crate::conf::tree::{Statement, Word};
use crate::conf::value;
use crate::conf::walk::Setting;
use std::ops::RangeInclusive;
use std::time::Duration;

/// `ssl_verify_client`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verify {
    /// No certificate is asked for.
    Off,
    /// One must be shown.
    On,
    /// One may be shown.
    Optional,
    /// One may be shown, of whatever issuer.
    OptionalNoCa,
}

/// `ssl_session_cache`.
#[derive(Clone, Debug)]
pub enum SessionCache {
    /// Clients are told that sessions cannot be resumed.
    Off,
    /// Clients are given ids; nothing is stored.
    Pretend,
    /// So many sessions are stored by each process.
    Builtin(u64),
    /// Sessions are stored in a zone.
    Shared(ZoneText),
}

/// How many sessions `builtin` stores, which is OpenSSL's number.
const BUILTIN: u64 = 20 * 1024;

/// A zone that a setting names.
#[derive(Clone, Debug)]
pub struct ZoneText {
    /// Its name.
    pub name: String,
    /// Its size.
    pub size: u64,
    /// Where it is written.
    pub span: Span,
}

/// Settings of a server that terminates TLS; http alone has those of OCSP and below.
#[derive(Default)]
pub struct TlsConf {
    /// `ssl_certificate`.
    pub certificates: Vec<Word>,
    /// `ssl_certificate_key`.
    pub keys: Vec<Word>,
    /// `ssl_ciphers`.
    pub ciphers: Option<Word>,
    /// `ssl_client_certificate`.
    pub client_certificate: Option<Word>,
    /// `ssl_conf_command`.
    pub commands: Vec<(Word, Word)>,
    /// `ssl_crl`.
    pub crl: Option<Word>,
    /// `ssl_dhparam`.
    pub dhparam: Option<Word>,
    /// `ssl_ecdh_curve`.
    pub ecdh_curve: Option<Word>,
    /// `ssl_password_file`.
    pub password_file: Option<Passwords>,
    /// `ssl_prefer_server_ciphers`.
    pub prefer_server_ciphers: Option<bool>,
    /// `ssl_protocols`.
    pub protocols: Option<u32>,
    /// `ssl_session_cache`.
    pub session_cache: Option<SessionCache>,
    /// The zones of `ssl_session_cache`, all that were named.
    pub session_zones: Vec<ZoneText>,
    /// `ssl_session_ticket_key`.
    pub ticket_keys: Vec<Word>,
    /// `ssl_session_tickets`.
    pub session_tickets: Option<bool>,
    /// `ssl_session_timeout`.
    pub session_timeout: Option<Duration>,
    /// `ssl_trusted_certificate`.
    pub trusted_certificate: Option<Word>,
    /// `ssl_verify_client`.
    pub verify: Option<Verify>,
    /// `ssl_verify_depth`.
    pub verify_depth: Option<u64>,
    /// `ssl_ocsp`.
    pub ocsp: Option<u64>,
    /// `ssl_ocsp_responder`.
    pub ocsp_responder: Option<Word>,
    /// `ssl_ocsp_cache`, if it is a zone.
    pub ocsp_zone: Option<Option<ZoneText>>,
    /// `ssl_stapling`.
    pub stapling: Option<bool>,
    /// `ssl_stapling_file`.
    pub stapling_file: Option<Word>,
    /// `ssl_stapling_responder`.
    pub stapling_responder: Option<Word>,
    /// `ssl_stapling_verify`.
    pub stapling_verify: Option<bool>,
    /// `ssl_certificate_cache`.
    pub certificate_cache: Option<CacheText>,
}

impl Conf for TlsConf {
    fn inherit(&mut self, outer: &Self) {
        inherit!(self, outer; list certificates, keys, commands, ticket_keys; ciphers, client_certificate, crl, dhparam);
        inherit!(self, outer; ecdh_curve, password_file, prefer_server_ciphers, protocols, session_cache, session_tickets);
        inherit!(self, outer; session_timeout, trusted_certificate, verify, verify_depth, ocsp, ocsp_responder, ocsp_zone);
        inherit!(self, outer; stapling, stapling_file, stapling_responder, stapling_verify, certificate_cache);
    }
}

/// The versions `ssl_protocols` knows.
pub const PROTOCOLS: &[(&str, u32)] =
    &[("SSLv2", 2), ("SSLv3", 4), ("TLSv1", 8), ("TLSv1.1", 16), ("TLSv1.2", 32), ("TLSv1.3", 64)];

/// Every number there is.
pub const ANY: RangeInclusive<u64> = 0..=u64::MAX;

/// What `*_protocols` is worth.
pub const SPOKEN_VERSIONS: Support = Support::Partial(
    "TLSv1.2 and TLSv1.3 are spoken; others are named in a warning, and refused where nothing is left",
);

/// What `*_ciphers` is worth.
pub const SPOKEN_CIPHERS: Support = Support::Partial(
    "OpenSSL's words and order; ECDHE with AES-GCM or ChaCha20-Poly1305 is spoken, others are named in a warning, and \
     refused where nothing is left",
);

/// What `*_conf_command` is worth.
pub const SPOKEN_COMMANDS: Support =
    Support::Parts("commands of OpenSSL that have no counterpart in rustls are refused by name");

const fn row(
    name: &'static str,
    contexts: Contexts,
    arity: Arity,
    set: &'static dyn crate::conf::directive::Set,
) -> Directive {
    Directive::new(name, contexts, arity, set)
}

const ONE: Arity = Arity::Exactly(1);

/// The rows that http, mail and stream share, where connections with TLS are not served.
pub const fn unserved_rows(contexts: Contexts) -> [Directive; 18] {
    let mut rows = rows(contexts);
    let mut at = 0;
    while at < rows.len() {
        let row = rows[at].support(Support::Missing);
        rows[at] = row.needs(Need::AnyOf(&["listen", "ssl"], "no address with TLS is listened on"));
        at += 1;
    }
    rows
}

/// The rows that http, mail and stream share.
pub const fn rows(contexts: Contexts) -> [Directive; 18] {
    [
        row("ssl_certificate", contexts, ONE, &List(|c: &mut TlsConf| &mut c.certificates))
            .doc("Names a file with the server's certificate and its chain; one for each kind of key."),
        row("ssl_certificate_key", contexts, ONE, &List(|c: &mut TlsConf| &mut c.keys))
            .support(Support::Parts("keys of engines and keys under scrypt are refused"))
            .doc("Names a file with the certificate's secret key."),
        row("ssl_ciphers", contexts, ONE, &Text(|c: &mut TlsConf| &mut c.ciphers))
            .default("HIGH:!aNULL:!MD5")
            .support(SPOKEN_CIPHERS)
            .doc("Sets the ciphers that may be used, in OpenSSL's words."),
        row("ssl_client_certificate", contexts, ONE, &Text(|c: &mut TlsConf| &mut c.client_certificate))
            .doc("Names a file with the issuers clients may have, which are told to them."),
        row("ssl_conf_command", contexts, Arity::Exactly(2), &Pairs(|c: &mut TlsConf| &mut c.commands))
            .since("1.19.4")
            .support(SPOKEN_COMMANDS)
            .doc("Hands a setting to OpenSSL."),
        row("ssl_crl", contexts, ONE, &Text(|c: &mut TlsConf| &mut c.crl))
            .doc("Names a file with revoked certificates of clients."),
        row("ssl_dhparam", contexts, ONE, &Text(|c: &mut TlsConf| &mut c.dhparam))
            .support(Support::Inert("no cipher with DHE is spoken"))
            .doc("Names a file with parameters for DHE ciphers."),
        row("ssl_ecdh_curve", contexts, ONE, &Text(|c: &mut TlsConf| &mut c.ecdh_curve))
            .default("auto")
            .support(Support::Partial(
                "X25519, prime256v1, secp384r1 and their hybrids with ML-KEM; others are named in a warning",
            ))
            .doc("Sets the groups keys may be agreed on."),
        row("ssl_password_file", contexts, ONE, &Custom(password_file))
            .since("1.7.3")
            .doc("Names a file with passphrases for secret keys, one a line."),
        row("ssl_prefer_server_ciphers", contexts, Arity::Flag, &Flag(|c: &mut TlsConf| &mut c.prefer_server_ciphers))
            .default("off")
            .doc("Prefers the server's order of ciphers to the client's."),
        row("ssl_protocols", contexts, Arity::AtLeast(1), &Mask(|c: &mut TlsConf| &mut c.protocols, PROTOCOLS))
            .default("TLSv1 TLSv1.1 TLSv1.2 TLSv1.3")
            .support(SPOKEN_VERSIONS)
            .doc("Sets the versions of TLS that are spoken."),
        row("ssl_session_cache", contexts, Arity::Between(1, 2), &Custom(session_cache))
            .words(&["off", "none", "builtin", "builtin:", "shared:"])
            .default("none")
            .doc("Sets where sessions that may be resumed are kept."),
        row("ssl_session_ticket_key", contexts, ONE, &List(|c: &mut TlsConf| &mut c.ticket_keys))
            .since("1.5.7")
            .doc("Names a file with the key of session tickets."),
        row("ssl_session_tickets", contexts, Arity::Flag, &Flag(|c: &mut TlsConf| &mut c.session_tickets))
            .default("on")
            .since("1.5.9")
            .doc("Lets clients resume by tickets."),
        row("ssl_session_timeout", contexts, ONE, &Seconds(|c: &mut TlsConf| &mut c.session_timeout))
            .default("5m")
            .doc("Sets how long a session may be resumed."),
        row("ssl_trusted_certificate", contexts, ONE, &Text(|c: &mut TlsConf| &mut c.trusted_certificate))
            .doc("Names a file with issuers that are trusted and not told to clients."),
        row(
            "ssl_verify_client",
            contexts,
            ONE,
            &Choice(
                |c: &mut TlsConf| &mut c.verify,
                &[
                    ("off", Verify::Off),
                    ("on", Verify::On),
                    ("optional", Verify::Optional),
                    ("optional_no_ca", Verify::OptionalNoCa),
                ],
            ),
        )
        .default("off")
        .doc("Asks clients for certificates."),
        row("ssl_verify_depth", contexts, ONE, &Number(|c: &mut TlsConf| &mut c.verify_depth, ANY))
            .default("1")
            .doc("Sets how long a client's chain may be."),
    ]
}

/// The row that http and stream share, and mail does not have.
pub const fn cache_row(contexts: Contexts) -> [Directive; 1] {
    [row("ssl_certificate_cache", contexts, Arity::Between(1, 3), &Custom(certificate_cache))
        .words(files::WORDS)
        .default("off")
        .since("1.27.4")
        .doc("Keeps the files of certificates and keys whose names have variables.")]
}

/// The rows of OCSP, which http alone has.
pub const fn http_rows(contexts: Contexts) -> [Directive; 7] {
    [
        row(
            "ssl_ocsp",
            contexts,
            Arity::Flag,
            &Choice(|c: &mut TlsConf| &mut c.ocsp, &[("off", 0), ("on", 1), ("leaf", 2)]),
        )
        .default("off")
        .since("1.19.0")
        .doc("Asks an OCSP responder whether clients' certificates are revoked."),
        row("ssl_ocsp_cache", contexts, ONE, &Custom(ocsp_cache))
            .since("1.19.0")
            .doc("Sets where such answers are kept."),
        row("ssl_ocsp_responder", contexts, ONE, &Text(|c: &mut TlsConf| &mut c.ocsp_responder))
            .since("1.19.0")
            .doc("Sets which responder is asked."),
        row("ssl_stapling", contexts, Arity::Flag, &Flag(|c: &mut TlsConf| &mut c.stapling))
            .default("off")
            .since("1.3.7")
            .doc("Shows clients an OCSP response with the certificate."),
        row("ssl_stapling_file", contexts, ONE, &Text(|c: &mut TlsConf| &mut c.stapling_file))
            .since("1.3.7")
            .doc("Takes that response from a file."),
        row("ssl_stapling_responder", contexts, ONE, &Text(|c: &mut TlsConf| &mut c.stapling_responder))
            .since("1.3.7")
            .doc("Sets which responder is asked for it."),
        row("ssl_stapling_verify", contexts, Arity::Flag, &Flag(|c: &mut TlsConf| &mut c.stapling_verify))
            .default("off")
            .since("1.3.7")
            .doc("Verifies such responses."),
    ]
}

/// The setter of `ssl_password_file` and its kin; the file is read at once, as nginx does.
pub fn password_file(cx: &mut Setting<'_>, conf: &mut TlsConf, statement: &Statement) -> Result<(), Diagnostic> {
    if conf.password_file.is_some() {
        return Err(cx.duplicate());
    }
    conf.password_file = read_passwords(cx, statement)?;
    Ok(())
}

/// The passwords in the file of a row like `ssl_password_file`.
///
/// # Errors
/// nginx's words for one that cannot be read.
pub fn read_passwords(cx: &Setting<'_>, statement: &Statement) -> Result<Option<Passwords>, Diagnostic> {
    let Some(word) = statement.arguments().first() else { return Ok(None) };
    let bytes = cx.read(&cx.full(&word.text())).map_err(|complaint| complaint.point(word.span))?;
    Ok(Some(Passwords::read(&bytes)))
}

/// The least size of a session cache: eight pages.
const LEAST: u64 = 8 * 4096;

/// `shared:name:size`, or nothing where it is not that.
fn shared(word: &Word, span: Span) -> Option<ZoneText> {
    let text = word.text();
    let (name, size) = text.strip_prefix("shared:")?.split_once(':')?;
    let size = value::size(size.as_bytes(), false)?;
    (!name.is_empty()).then(|| ZoneText { name: name.to_owned(), size, span })
}

fn session_cache(_: &mut Setting<'_>, conf: &mut TlsConf, statement: &Statement) -> Result<(), Diagnostic> {
    for word in statement.arguments() {
        let text = word.text();
        let invalid = || Diagnostic::emerg(format!("invalid session cache \"{text}\"")).point(word.span);
        let builtin = match word.after("builtin:") {
            Some(count) => Some(value::number(count).ok_or_else(invalid)?),
            None => word.is("builtin").then_some(BUILTIN),
        };
        let own = match &*text {
            "off" => Some(SessionCache::Off),
            "none" => Some(SessionCache::Pretend),
            _ => builtin.map(SessionCache::Builtin),
        };
        if let Some(own) = own {
            // A zone is used whether or not the process stores sessions too.
            let zone = matches!(conf.session_cache, Some(SessionCache::Shared(_)));
            if !(zone && matches!(own, SessionCache::Builtin(_))) {
                conf.session_cache = Some(own);
            }
            continue;
        }
        let zone = shared(word, statement.span).ok_or_else(invalid)?;
        if zone.size < LEAST {
            return Err(Diagnostic::emerg(format!("session cache \"{text}\" is too small")).point(word.span));
        }
        if !matches!(conf.session_cache, Some(SessionCache::Off | SessionCache::Pretend)) {
            conf.session_cache = Some(SessionCache::Shared(zone.clone()));
        }
        conf.session_zones.push(zone);
    }
    Ok(())
}

fn ocsp_cache(cx: &mut Setting<'_>, conf: &mut TlsConf, statement: &Statement) -> Result<(), Diagnostic> {
    if conf.ocsp_zone.is_some() {
        return Err(cx.duplicate());
    }
    let Some(word) = statement.arguments().first() else { return Ok(()) };
    if word.is("off") {
        conf.ocsp_zone = Some(None);
        return Ok(());
    }
    let text = word.text();
    let zone = shared(word, statement.span)
        .ok_or_else(|| Diagnostic::emerg(format!("invalid OCSP cache \"{text}\"")).point(word.span))?;
    if zone.size < LEAST {
        return Err(Diagnostic::emerg(format!("OCSP cache \"{text}\" is too small")).point(word.span));
    }
    conf.ocsp_zone = Some(Some(zone));
    Ok(())
}
