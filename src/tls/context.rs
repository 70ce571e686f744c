//! A server's TLS context: everything `ssl_*` sets, as rustls takes it.
//!
//! The caller builds one [`ServerContext`] for each server of a configuration, reads the ClientHello with
//! `rustls::server::Acceptor`, finds the server its name selects and goes on with [`ServerContext::config`]:
//!
//! ```text
//! let context = ServerContext::new(&conf, &setup, &mut warn)?.protocols(&[b"h2", b"http/1.1"]);
//! let connection = accepted.into_connection(context.config(&accepted.client_hello()))?;
//! ```
//!
//! A server whose certificates have variables in their names has none of its own: the caller evaluates the names, asks
//! [`Kept::named`] for the pairs and calls [`ServerContext::with_pairs`].

use super::certificate::Certificate;
use super::check::{Files, failed, given};
use super::clients::Clients;
use super::directives::{SessionCache, TlsConf, Verify};
use super::facts::Facts;
use super::kept::Kept;
use super::pairs::{self, Certificates, Wanted};
use super::policy::{self, Asked, Policy};
use super::responder::Responder;
use super::revocation::Revocation;
use super::sessions::{ContextId, ContextStore, NoTickets, SessionZone, Store, TicketKeys, Tickets};
use super::stapling::Staple;
use super::{check, ciphers, suites};
use crate::conf::diagnostic::Diagnostic;
use crate::conf::source::Span;
use crate::conf::tree::Word;
use crate::zone::registry::Registry;
use rustls::crypto::CryptoProvider;
use rustls::server::{ClientHello, NoClientAuth, ServerConfig};
use rustls::sign::CertifiedKey;
use std::sync::Arc;
use std::time::Duration;

/// Which module a context serves; sessions of one are none of another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// http.
    Http,
    /// stream.
    Stream,
    /// mail.
    Mail,
}

impl Purpose {
    /// The name sessions are bound to.
    const fn session_name(self) -> &'static str {
        match self {
            Self::Http => "HTTP",
            Self::Stream => "STREAM",
            Self::Mail => "MAIL",
        }
    }

    /// The kind under which zones of session caches are declared.
    pub const fn zone_kind(self) -> &'static str {
        match self {
            Self::Http => "http ssl",
            Self::Stream => "stream ssl",
            Self::Mail => "mail ssl",
        }
    }
}

/// What a context is made with.
pub struct Setup<'a> {
    /// Reads files.
    pub files: &'a Files<'a>,
    /// What earlier configurations left.
    pub kept: &'a Kept,
    /// The zones of the process.
    pub zones: &'a Registry,
    /// Who serves.
    pub purpose: Purpose,
    /// The server, for warnings.
    pub at: Option<Span>,
    /// Whether certificates' names may have variables.
    pub variables: bool,
    /// `ssl_early_data`.
    pub early_data: bool,
}

/// Bytes for the sessions of servers that take early data without a zone.
const EARLY_BYTES: usize = 4 << 20;

/// How much may be read of early data, which is OpenSSL's number.
const EARLY_DATA: u32 = 16_384;

/// `TLS_FALLBACK_SCSV` (RFC 7507 §2).
const FALLBACK_SCSV: u16 = 0x5600;

/// `inappropriate_fallback` (RFC 7507 §2).
pub const INAPPROPRIATE_FALLBACK: u8 = 86;

/// A server's context.
#[derive(Clone, Debug)]
pub struct ServerContext {
    config: Arc<ServerConfig>,
    /// The same with ChaCha20 first, where `Options PrioritizeChaCha` asks for it.
    chacha: Option<Arc<ServerConfig>>,
    clients: Arc<Clients>,
    staples: Arc<[Arc<Staple>]>,
    revocation: Option<Arc<Revocation>>,
    /// Whether TLS 1.3 is spoken.
    newest: bool,
}

impl ServerContext {
    /// The context of a server.
    ///
    /// # Errors
    /// nginx's and OpenSSL's words, or what is not supported.
    pub fn new(conf: &TlsConf, setup: &Setup<'_>, warn: &mut dyn FnMut(Diagnostic)) -> Result<Self, Diagnostic> {
        check::server(conf, setup.files, setup.variables, warn)?;
        let asked = Asked {
            prefix: "ssl",
            protocols: conf.protocols,
            ciphers: conf.ciphers.as_ref(),
            groups: given(conf.ecdh_curve.as_ref()),
            commands: &conf.commands,
        };
        let mut policy =
            Policy::new(&asked, suites::default_groups()).map_err(|complaint| placed(complaint, setup.at))?;
        if given(conf.dhparam.as_ref()).is_some() {
            policy.unspoken.push("ssl_dhparam".to_owned());
        }
        if let Some(warning) = policy::warning("ssl", &policy.unspoken) {
            warn(placed(warning, setup.at));
        }
        let loaded = load(conf, setup)?;
        let certificates = Arc::new(Certificates::new(loaded));
        let clients = Clients::new(conf, setup.files, setup.kept)?;
        let id = context_id(conf, setup, &certificates);
        let parts = Parts { conf, setup, policy: &policy, certificates: &certificates, clients: &clients, id };
        let config = parts.config(&policy.provider)?;
        let chacha = policy.chacha_first.then(|| {
            let mut provider = (*policy.provider).clone();
            provider.cipher_suites.sort_by_key(|suite| !suites::is_chacha(suite.suite()));
            parts.config(&Arc::new(provider)).map(Arc::new)
        });
        let chacha = chacha.transpose()?;
        let staples = staples(conf, setup.files, &certificates, &clients).into();
        let revocation = Revocation::new(conf, setup).map(Arc::new);
        let newest = policy.versions.contains(&&rustls::version::TLS13);
        Ok(Self { config: Arc::new(config), chacha, clients: Arc::new(clients), staples, revocation, newest })
    }

    /// The same context with these ALPN protocols, most preferred first; clients that offer others only are refused.
    pub fn protocols(mut self, names: &[&[u8]]) -> Self {
        self.change(|config| config.alpn_protocols = names.iter().map(|name| name.to_vec()).collect());
        self
    }

    /// The same context with at most that many bytes in a record: `ssl_buffer_size`.
    pub fn record_size(mut self, bytes: usize) -> Self {
        // rustls counts the record's header, and allows no less than 32 bytes.
        self.change(|config| config.max_fragment_size = Some(bytes.clamp(32, 16_384) + 5));
        self
    }

    fn change(&mut self, work: impl Fn(&mut ServerConfig)) {
        work(Arc::make_mut(&mut self.config));
        if let Some(config) = &mut self.chacha {
            work(Arc::make_mut(config));
        }
    }

    /// The configuration for a client.
    pub fn config(&self, hello: &ClientHello<'_>) -> Arc<ServerConfig> {
        let chacha = hello.cipher_suites().iter().find(|suite| u16::from(**suite) & 0x0f0f != 0x0a0a);
        match &self.chacha {
            Some(config) if chacha.is_some_and(|suite| suites::is_chacha(*suite)) => config.clone(),
            _ => self.config.clone(),
        }
    }

    /// Whether a client says that it comes back with an older version than it speaks (RFC 7507 §3), though the newest is
    /// spoken here: somebody may have kept it from being agreed on.
    pub fn is_fallback(&self, hello: &ClientHello<'_>) -> bool {
        let suites = || hello.cipher_suites().iter().map(|suite| u16::from(*suite));
        // Who speaks TLS 1.3 has suites of it.
        self.newest && suites().any(|suite| suite == FALLBACK_SCSV) && !suites().any(|suite| suite >> 8 == 0x13)
    }

    /// The configuration for a client, with certificates of its own.
    pub fn with_pairs(&self, hello: &ClientHello<'_>, pairs: Vec<Arc<CertifiedKey>>) -> Arc<ServerConfig> {
        let mut config = (*self.config(hello)).clone();
        config.cert_resolver = Arc::new(Certificates::new(pairs));
        Arc::new(config)
    }

    /// What is asked of clients' certificates.
    pub fn clients(&self) -> &Clients {
        &self.clients
    }

    /// The certificates whose status is to be asked for and stapled.
    pub fn staples(&self) -> &[Arc<Staple>] {
        &self.staples
    }

    /// How clients' certificates are asked about.
    pub const fn revocation(&self) -> Option<&Arc<Revocation>> {
        self.revocation.as_ref()
    }
}

/// The record of a fatal alert: what a client is told that is refused before the handshake, as by
/// `ssl_reject_handshake` (112, unrecognized_name).
pub const fn alert(description: u8) -> [u8; 7] {
    [21, 3, 3, 0, 2, 2, description]
}

fn placed(complaint: Diagnostic, at: Option<Span>) -> Diagnostic {
    match (complaint.at, at) {
        (crate::conf::diagnostic::At::Nowhere, Some(at)) => complaint.at(at),
        _ => complaint,
    }
}

/// The pairs of a server; none where their names have variables.
fn load(conf: &TlsConf, setup: &Setup<'_>) -> Result<Vec<Arc<CertifiedKey>>, Diagnostic> {
    if setup.variables && check::by_name(conf) {
        return Ok(Vec::new());
    }
    let text = conf.ciphers.as_ref().map(Word::text);
    let level = ciphers::level(text.as_deref());
    let response = stapled(conf, setup.files)?;
    let pairs = conf.certificates.iter().zip(&conf.keys);
    let load = |(certificate, key)| {
        let wanted = Wanted { certificate, key, passwords: conf.password_file.as_ref(), level };
        let pair = pairs::load(&wanted, setup.files, &setup.kept.pairs)?;
        let Some(response) = &response else { return Ok(pair) };
        let mut stapled = CertifiedKey::clone(&pair);
        stapled.ocsp = Some(response.clone());
        Ok(Arc::new(stapled))
    };
    pairs.map(load).collect()
}

/// The response of `ssl_stapling_file`.
fn stapled(conf: &TlsConf, files: &Files<'_>) -> Result<Option<Vec<u8>>, Diagnostic> {
    let file = given(conf.stapling_file.as_ref()).filter(|_| conf.stapling == Some(true));
    let Some(path) = file.map(|file| files.path(file)) else { return Ok(None) };
    files.read(&path, "rb").map(Some).map_err(|words| failed("BIO_new_file", &path, &words))
}

/// What `ssl_stapling` asks for; those that lack an issuer or a responder were warned about.
fn staples(conf: &TlsConf, files: &Files<'_>, certificates: &Arc<Certificates>, clients: &Clients) -> Vec<Arc<Staple>> {
    if conf.stapling != Some(true) || given(conf.stapling_file.as_ref()).is_some() {
        return Vec::new();
    }
    let fixed = given(conf.stapling_responder.as_ref()).map(|word| word.text().into_owned());
    let names: Vec<String> = conf.certificates.iter().map(|word| files.path(word)).collect();
    let chains = certificates.chains();
    let whole = names.len() == chains.len();
    let staple = |(number, chain): (usize, Vec<Vec<u8>>)| {
        let chain: Vec<Facts> = chain.iter().filter_map(|one| Facts::read(one)).collect();
        let (certificate, behind) = chain.split_first()?;
        let mut issuers = behind.iter().chain(clients.trusted());
        let issuer = issuers.find(|issuer| certificate.may_be_issued_by(issuer))?;
        let responder = fixed.clone().or_else(|| Certificate::responder_of(&certificate.der))?;
        let verify = conf.stapling_verify == Some(true);
        Some(Arc::new(Staple {
            certificate: certificate.clone(),
            issuer: issuer.clone(),
            responder: Responder::parse(&responder)?.found(files.resolve),
            verify,
            name: names.get(number).filter(|_| whole).cloned().unwrap_or_default(),
            certificates: certificates.clone(),
            state: parking_lot::Mutex::default(),
        }))
    };
    chains.into_iter().enumerate().filter_map(staple).collect()
}

fn context_id(conf: &TlsConf, setup: &Setup<'_>, certificates: &Certificates) -> ContextId {
    let mut parts: Vec<Vec<u8>> = vec![setup.purpose.session_name().into()];
    parts.extend(certificates.leaves());
    if parts.len() == 1 {
        parts.extend(conf.certificates.iter().map(|word| word.bytes.to_vec()));
    }
    let verify = conf.verify.unwrap_or(Verify::Off);
    parts.push(vec![verify as u8]);
    if verify != Verify::Off {
        parts.push(conf.verify_depth.unwrap_or(1).to_be_bytes().to_vec());
        for file in [&conf.client_certificate, &conf.trusted_certificate, &conf.crl].into_iter().flatten() {
            parts.push(setup.files.loader.load(&setup.files.path(file)).unwrap_or_default());
        }
    }
    let parts: Vec<&[u8]> = parts.iter().map(Vec::as_slice).collect();
    ContextId::new(&parts)
}

/// `ssl_session_timeout` in seconds.
fn timeout(conf: &TlsConf) -> u32 {
    let timeout = conf.session_timeout.unwrap_or(Duration::from_mins(5));
    u32::try_from(timeout.as_secs()).unwrap_or(u32::MAX)
}

/// What rustls's configurations of one context are made of.
struct Parts<'a> {
    conf: &'a TlsConf,
    setup: &'a Setup<'a>,
    policy: &'a Policy,
    certificates: &'a Arc<Certificates>,
    clients: &'a Clients,
    id: ContextId,
}

impl Parts<'_> {
    /// The configuration with the suites and groups of that provider.
    fn config(&self, provider: &Arc<CryptoProvider>) -> Result<ServerConfig, Diagnostic> {
        let verifier = self.clients.verifier(provider).unwrap_or_else(|| Arc::new(NoClientAuth));
        let mut config = ServerConfig::builder_with_provider(provider.clone())
            .with_protocol_versions(&self.policy.versions)
            .map_err(|error| Diagnostic::emerg(format!("TLS cannot be set up: {error}")))?
            .with_client_cert_verifier(verifier)
            .with_cert_resolver(self.certificates.clone());
        config.ignore_client_order = self.policy.server_order.or(self.conf.prefer_server_ciphers).unwrap_or(false);
        resume(&mut config, self.conf, self.setup, self.policy, self.id)?;
        Ok(config)
    }
}

/// Sets what resumes sessions: tickets and the store.
fn resume(
    config: &mut ServerConfig,
    conf: &TlsConf,
    setup: &Setup<'_>,
    policy: &Policy,
    context: ContextId,
) -> Result<(), Diagnostic> {
    let timeout = timeout(conf);
    let mut keys = setup.kept.tickets.clone();
    let mut store = match &conf.session_cache {
        Some(SessionCache::Off) => Store::Off,
        None | Some(SessionCache::Pretend) => Store::Pretend,
        Some(SessionCache::Builtin(most)) => {
            Store::Zone(Arc::new(SessionZone::new(usize::MAX, usize::try_from(*most).unwrap_or(usize::MAX))))
        }
        Some(SessionCache::Shared(zone)) => {
            let bytes = usize::try_from(zone.size).unwrap_or(usize::MAX);
            let make = || SessionZone::new(bytes, usize::MAX);
            let zone = setup.zones.open(&zone.name, zone.size, setup.purpose.zone_kind(), make);
            keys = zone.tickets.clone();
            Store::Zone(zone)
        }
    };
    if !conf.ticket_keys.is_empty() {
        let load = |file: &Word| setup.files.loader.load(&setup.files.path(file)).unwrap_or_default();
        let files: Vec<_> = conf.ticket_keys.iter().map(load).collect();
        let fixed = TicketKeys::from_files(&files);
        keys =
            Arc::new(fixed.ok_or_else(|| Diagnostic::emerg("\"ssl_session_ticket_key\" changed while it was read"))?);
    }
    let tickets = policy.tickets.or(conf.session_tickets).unwrap_or(true);
    if setup.early_data {
        // Differs from nginx: with `ssl_early_data` no session is kept in tickets. [test: early_data_needs_stored_sessions]
        // rustls takes early data of stored sessions only, each of which is used once: that is what stops replays.
        if !matches!(store, Store::Zone(_)) {
            let make = || Arc::new(SessionZone::new(EARLY_BYTES, usize::MAX));
            store = Store::Zone(setup.kept.early.get_or_init(make).clone());
        }
        config.max_early_data_size = EARLY_DATA;
    }
    config.ticketer =
        if tickets && !setup.early_data { Arc::new(Tickets::new(keys, context, timeout)) } else { Arc::new(NoTickets) };
    config.session_storage = Arc::new(ContextStore { store, context, timeout });
    config.send_tls13_tickets = policy.ticket_count.unwrap_or(2);
    Ok(())
}

#[cfg(test)]
mod tests;
