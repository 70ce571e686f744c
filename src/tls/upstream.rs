//! TLS towards servers: everything `proxy_ssl_*` and its kin set, as rustls takes it.
//!
//! ```text
//! let context = ClientContext::new(&conf.settings(), &files, &kept, &mut warn)?;
//! let connection = context.connect(name, Some(&peer.sessions))?;       // shake hands, then
//! context.verify(connection.peer_certificates(), name, now)?;          // the error's text is nginx's
//! ```
//!
//! `name` is the value of `proxy_ssl_name`; a port behind it is cut off, as nginx does.

use super::check::{Files, given};
use super::ciphers;
use super::client::ClientConf;
use super::clients::{anchors, crls};
use super::facts::Facts;
use super::kept::Kept;
use super::key::Passwords;
use super::pairs::{self, Wanted};
use super::policy::{self, Asked, Policy};
use super::signature;
use super::suites;
use super::verify::{Failure, Role, Trust};
use crate::conf::diagnostic::Diagnostic;
use crate::conf::tree::Word;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{ClientSessionMemoryCache, ClientSessionStore, ResolvesClientCert, Resumption};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::{ClientConfig, ClientConnection, DigitallySignedStruct, Error, SignatureScheme};
use std::fmt::{self, Display};
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

/// The settings a context is made of; every gateway has its own rows for them.
#[derive(Clone, Copy)]
pub struct ClientSettings<'a> {
    /// What the rows' names begin with: `proxy_ssl`.
    pub prefix: &'a str,
    /// `*_ssl_protocols`.
    pub protocols: Option<u32>,
    /// `*_ssl_ciphers`.
    pub ciphers: Option<&'a Word>,
    /// `*_ssl_conf_command`.
    pub commands: &'a [(Word, Word)],
    /// `*_ssl_certificate` with its key, unless they have variables.
    pub pair: Option<(&'a Word, &'a Word)>,
    /// `*_ssl_password_file`.
    pub passwords: Option<&'a Passwords>,
    /// `*_ssl_trusted_certificate`.
    pub trusted: Option<&'a Word>,
    /// `*_ssl_crl`.
    pub crl: Option<&'a Word>,
    /// `*_ssl_verify`.
    pub verify: bool,
    /// `*_ssl_verify_depth`.
    pub depth: u64,
    /// `*_ssl_server_name`.
    pub server_name: bool,
    /// `*_ssl_session_reuse`.
    pub session_reuse: bool,
}

impl ClientConf {
    /// The settings of stream's proxy.
    pub fn settings(&self) -> ClientSettings<'_> {
        let fixed = |word: &&Word| !word.bytes.is_empty() && !word.bytes.contains(&b'$');
        let pair = self.certificate.as_ref().filter(fixed).zip(self.key.as_ref().filter(fixed));
        ClientSettings {
            prefix: "proxy_ssl",
            protocols: self.protocols,
            ciphers: self.ciphers.as_ref(),
            commands: &self.commands,
            pair,
            passwords: self.password_file.as_ref(),
            trusted: self.trusted_certificate.as_ref(),
            crl: self.crl.as_ref(),
            verify: self.verify == Some(true),
            depth: self.verify_depth.unwrap_or(1),
            server_name: self.server_name == Some(true),
            session_reuse: self.session_reuse != Some(false),
        }
    }
}

/// The sessions with one server, kept beside it.
#[derive(Clone, Debug)]
pub struct PeerSessions(Arc<ClientSessionMemoryCache>);

impl Default for PeerSessions {
    /// Room for the sessions of a few names.
    fn default() -> Self {
        Self(Arc::new(ClientSessionMemoryCache::new(8)))
    }
}

/// What is wrong with a server's certificate, in nginx's words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The chain is not accepted.
    Chain(Failure),
    /// It is for another name.
    Name(String),
}

impl Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Chain(failure) => {
                write!(f, "upstream SSL certificate verify error: ({}:{})", failure.0, failure.text())
            }
            Self::Name(name) => write!(f, "upstream SSL certificate does not match \"{name}\""),
        }
    }
}

/// A context towards servers.
#[derive(Debug)]
pub struct ClientContext {
    config: ClientConfig,
    trust: Option<Trust>,
    reuse: bool,
}

/// A name without the port behind it: `[::1]:443` is `[::1]`.
pub fn without_port(name: &str) -> &str {
    let start = if name.starts_with('[') { name.find(']').unwrap_or(0) } else { 0 };
    let port = name.get(start..).and_then(|rest| rest.find(':'));
    port.and_then(|at| name.get(..start + at)).unwrap_or(name)
}

impl ClientContext {
    /// The context of a gateway.
    ///
    /// # Errors
    /// nginx's and OpenSSL's words, or what is not supported.
    pub fn new(
        settings: &ClientSettings<'_>,
        files: &Files<'_>,
        kept: &Kept,
        warn: &mut dyn FnMut(Diagnostic),
    ) -> Result<Self, Diagnostic> {
        let prefix = settings.prefix;
        let asked = Asked {
            prefix,
            protocols: settings.protocols,
            ciphers: settings.ciphers,
            groups: None,
            commands: settings.commands,
        };
        let policy = Policy::new(&asked, suites::client_groups())?;
        if let Some(warning) = policy::warning(prefix, &policy.unspoken) {
            warn(warning);
        }
        let text = settings.ciphers.map(Word::text);
        let level = ciphers::level(text.as_deref());
        let pair = match settings.pair {
            Some((certificate, key)) => {
                let wanted = Wanted { certificate, key, passwords: settings.passwords, level };
                Some(pairs::load(&wanted, files, &kept.pairs)?)
            }
            None => None,
        };
        let trust = if settings.verify {
            let Some(trusted) = given(settings.trusted) else {
                return Err(Diagnostic::emerg(format!("no {prefix}_trusted_certificate for {prefix}_verify")));
            };
            let depth = usize::try_from(settings.depth).unwrap_or(usize::MAX);
            let anchors = anchors(Some(trusted), files, kept)?.into_iter().collect();
            let crls = crls(settings.crl, files, kept)?;
            Some(Trust { anchors, crls, depth, role: Role::Server, level })
        } else {
            None
        };
        let mut config = config(&policy, pair)?;
        config.enable_sni = settings.server_name;
        Ok(Self { config, trust, reuse: settings.session_reuse })
    }

    /// The same context with these ALPN protocols, most preferred first.
    pub fn protocols(mut self, names: &[&[u8]]) -> Self {
        self.config.alpn_protocols = names.iter().map(|name| name.to_vec()).collect();
        self
    }

    /// A connection to a server, about to shake hands; `sessions` are those of earlier connections to it.
    ///
    /// # Errors
    /// The settings do not fit together.
    pub fn connect(&self, name: &str, sessions: Option<&PeerSessions>) -> Result<ClientConnection, Error> {
        self.begin(self.config.clone(), name, sessions)
    }

    /// As [`Self::connect`], with a certificate whose name had variables.
    ///
    /// # Errors
    /// The settings do not fit together.
    pub fn connect_with(&self, name: &str, pair: Arc<CertifiedKey>) -> Result<ClientConnection, Error> {
        let mut config = self.config.clone();
        config.client_auth_cert_resolver = shown(pair);
        // Sessions belong to the certificate that was shown.
        self.begin(config, name, None)
    }

    fn begin(
        &self,
        mut config: ClientConfig,
        name: &str,
        sessions: Option<&PeerSessions>,
    ) -> Result<ClientConnection, Error> {
        if let Some(PeerSessions(store)) = sessions.filter(|_| self.reuse) {
            let store: Arc<dyn ClientSessionStore> = store.clone();
            config.resumption = Resumption::store(store);
        }
        let name = without_port(name);
        let host = ServerName::try_from(name.to_owned()).unwrap_or_else(|_| {
            // A name that cannot be told to a server: an address is not.
            ServerName::IpAddress(IpAddr::V4(Ipv4Addr::UNSPECIFIED).into())
        });
        ClientConnection::new(Arc::new(config), host)
    }

    /// Judges what a server has shown, where certificates are verified, at that time (in seconds since 1970).
    ///
    /// # Errors
    /// What is wrong.
    pub fn verify(&self, shown: Option<&[CertificateDer<'_>]>, name: &str, now: i64) -> Result<(), Fault> {
        let Some(trust) = &self.trust else { return Ok(()) };
        let chain = shown.unwrap_or_default();
        trust.verify(chain, now).map_err(Fault::Chain)?;
        let name = without_port(name);
        let leaf = chain.first().and_then(|leaf| Facts::read(leaf));
        if leaf.is_some_and(|leaf| leaf.is_for_host(name)) { Ok(()) } else { Err(Fault::Name(name.to_owned())) }
    }
}

fn shown(pair: Arc<CertifiedKey>) -> Arc<dyn ResolvesClientCert> {
    Arc::new(SingleCertAndKey::from(pair))
}

fn config(policy: &Policy, pair: Option<Arc<CertifiedKey>>) -> Result<ClientConfig, Diagnostic> {
    let builder = ClientConfig::builder_with_provider(policy.provider.clone())
        .with_protocol_versions(&policy.versions)
        .map_err(|error| Diagnostic::emerg(format!("TLS cannot be set up: {error}")))?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(AnyCertificate(policy.provider.clone())));
    let mut config = match pair {
        Some(pair) => builder.with_client_cert_resolver(shown(pair)),
        None => builder.with_no_client_auth(),
    };
    config.resumption = Resumption::disabled();
    Ok(config)
}

/// Takes every certificate whose key signs the handshake; [`ClientContext::verify`] judges it afterwards.
#[derive(Debug)]
struct AnyCertificate(Arc<CryptoProvider>);

impl ServerCertVerifier for AnyCertificate {
    fn verify_server_cert(
        &self,
        leaf: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        signature::key(leaf).map(|_| ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        signature::tls12(message, certificate, signed, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        signature::tls13(message, certificate, signed, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests;
