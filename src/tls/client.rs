//! TLS towards a server: the rows of stream's proxy, and what nginx finds while it makes such a context.

use super::check::{self, Files, Outcome};
use super::ciphers;
use super::directives::{ANY, PROTOCOLS, SPOKEN_CIPHERS, SPOKEN_COMMANDS, SPOKEN_VERSIONS, read_passwords};
use super::files::{self, CacheText};
use super::key::Passwords;
use crate::conf::diagnostic::Diagnostic;
use crate::conf::directive::{Arity, Contexts, Directive, Set};
use crate::conf::module::{Conf, inherit};
use crate::conf::slot::{Custom, Flag, Mask, Number, Pairs, Text};
use crate::conf::tree::{Statement, Word};
use crate::conf::walk::Setting;

/// Settings of a proxy that speaks TLS to its servers.
#[derive(Default)]
pub struct ClientConf {
    /// `proxy_ssl`.
    pub enabled: Option<bool>,
    /// `proxy_ssl_certificate`.
    pub certificate: Option<Word>,
    /// `proxy_ssl_certificate_key`.
    pub key: Option<Word>,
    /// `proxy_ssl_ciphers`.
    pub ciphers: Option<Word>,
    /// `proxy_ssl_conf_command`.
    pub commands: Vec<(Word, Word)>,
    /// `proxy_ssl_crl`.
    pub crl: Option<Word>,
    /// `proxy_ssl_name`.
    pub name: Option<Word>,
    /// `proxy_ssl_password_file`.
    pub password_file: Option<Passwords>,
    /// `proxy_ssl_protocols`.
    pub protocols: Option<u32>,
    /// `proxy_ssl_server_name`.
    pub server_name: Option<bool>,
    /// `proxy_ssl_session_reuse`.
    pub session_reuse: Option<bool>,
    /// `proxy_ssl_trusted_certificate`.
    pub trusted_certificate: Option<Word>,
    /// `proxy_ssl_verify`.
    pub verify: Option<bool>,
    /// `proxy_ssl_verify_depth`.
    pub verify_depth: Option<u64>,
    /// `proxy_ssl_certificate_cache`.
    pub certificate_cache: Option<CacheText>,
}

impl Conf for ClientConf {
    fn inherit(&mut self, outer: &Self) {
        inherit!(self, outer; list commands; enabled, certificate, key, ciphers, crl, name, password_file, protocols);
        inherit!(self, outer; server_name, session_reuse, trusted_certificate, verify, verify_depth, certificate_cache);
    }
}

const fn row(name: &'static str, contexts: Contexts, arity: Arity, set: &'static dyn Set) -> Directive {
    Directive::new(name, contexts, arity, set)
}

const ONE: Arity = Arity::Exactly(1);

/// The rows of a proxy whose rows begin with `proxy_`.
pub const fn rows(contexts: Contexts) -> [Directive; 15] {
    [
        row("proxy_ssl", contexts, Arity::Flag, &Flag(|c: &mut ClientConf| &mut c.enabled))
            .default("off")
            .doc("Speaks TLS to servers."),
        row("proxy_ssl_certificate", contexts, ONE, &Text(|c: &mut ClientConf| &mut c.certificate))
            .doc("Names a file with the certificate servers are shown."),
        row("proxy_ssl_certificate_key", contexts, ONE, &Text(|c: &mut ClientConf| &mut c.key))
            .doc("Names a file with its secret key."),
        row("proxy_ssl_certificate_cache", contexts, Arity::Between(1, 3), &Custom(certificate_cache))
            .words(files::WORDS)
            .default("off")
            .since("1.27.4")
            .doc("Keeps the files of certificates and keys whose names have variables."),
        row("proxy_ssl_ciphers", contexts, ONE, &Text(|c: &mut ClientConf| &mut c.ciphers))
            .default("DEFAULT")
            .support(SPOKEN_CIPHERS)
            .doc("Sets the ciphers that may be used, in OpenSSL's words."),
        row("proxy_ssl_conf_command", contexts, Arity::Exactly(2), &Pairs(|c: &mut ClientConf| &mut c.commands))
            .since("1.19.4")
            .support(SPOKEN_COMMANDS)
            .doc("Hands a setting to OpenSSL."),
        row("proxy_ssl_crl", contexts, ONE, &Text(|c: &mut ClientConf| &mut c.crl))
            .doc("Names a file with revoked certificates of servers."),
        row("proxy_ssl_name", contexts, ONE, &Text(|c: &mut ClientConf| &mut c.name))
            .doc("Sets the name a server's certificate must have."),
        row("proxy_ssl_password_file", contexts, ONE, &Custom(password_file))
            .doc("Names a file with passphrases for the secret key, one a line."),
        row(
            "proxy_ssl_protocols",
            contexts,
            Arity::AtLeast(1),
            &Mask(|c: &mut ClientConf| &mut c.protocols, PROTOCOLS),
        )
        .default("TLSv1 TLSv1.1 TLSv1.2 TLSv1.3")
        .support(SPOKEN_VERSIONS)
        .doc("Sets the versions of TLS that are spoken."),
        row("proxy_ssl_server_name", contexts, Arity::Flag, &Flag(|c: &mut ClientConf| &mut c.server_name))
            .default("off")
            .doc("Tells servers the name in the handshake."),
        row("proxy_ssl_session_reuse", contexts, Arity::Flag, &Flag(|c: &mut ClientConf| &mut c.session_reuse))
            .default("on")
            .doc("Resumes sessions with servers."),
        row("proxy_ssl_trusted_certificate", contexts, ONE, &Text(|c: &mut ClientConf| &mut c.trusted_certificate))
            .doc("Names a file with the issuers servers may have."),
        row("proxy_ssl_verify", contexts, Arity::Flag, &Flag(|c: &mut ClientConf| &mut c.verify))
            .default("off")
            .doc("Verifies servers' certificates."),
        row("proxy_ssl_verify_depth", contexts, ONE, &Number(|c: &mut ClientConf| &mut c.verify_depth, ANY))
            .default("1")
            .doc("Sets how long a server's chain may be."),
    ]
}

fn certificate_cache(cx: &mut Setting<'_>, conf: &mut ClientConf, statement: &Statement) -> Result<(), Diagnostic> {
    files::parse(cx, &mut conf.certificate_cache, statement)
}

fn password_file(cx: &mut Setting<'_>, conf: &mut ClientConf, statement: &Statement) -> Result<(), Diagnostic> {
    if conf.password_file.is_some() {
        return Err(cx.duplicate());
    }
    conf.password_file = read_passwords(cx, statement)?;
    Ok(())
}

/// Everything the context of a proxy that speaks TLS is made of.
///
/// # Errors
/// nginx's and OpenSSL's words.
pub fn check(conf: &ClientConf, files: &Files<'_>) -> Outcome {
    let given = |word: &Option<Word>| word.clone().filter(|word| !word.bytes.is_empty());
    check::cipher_list(conf.ciphers.as_ref())?;
    if let Some(certificate) = given(&conf.certificate) {
        let Some(key) = &conf.key else {
            let text =
                format!("no \"proxy_ssl_certificate_key\" is defined for certificate \"{}\"", certificate.text());
            return Err(Diagnostic::emerg(text));
        };
        if !certificate.bytes.contains(&b'$') && !key.bytes.contains(&b'$') {
            let text = conf.ciphers.as_ref().map(Word::text);
            let level = ciphers::level(text.as_deref());
            files.pair(&certificate, key, conf.password_file.as_ref(), level)?;
        }
    }
    if conf.verify == Some(true) {
        let Some(trusted) = given(&conf.trusted_certificate) else {
            return Err(Diagnostic::emerg("no proxy_ssl_trusted_certificate for proxy_ssl_verify"));
        };
        files.trusted("SSL_CTX_load_verify_locations", &trusted)?;
        files.revoked(conf.crl.as_ref())?;
    }
    check::commands(&conf.commands)
}
