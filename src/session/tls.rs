//! The rows of TLS termination for http, stream and mail, and the one conf they write to.

use crate::conf::diagnostic::{At, Diagnostic};
use crate::conf::disk::Disk;
use crate::conf::effect::Unserved;
use crate::conf::module::{Module, Scope};
use crate::conf::source::Loader;
use crate::conf::tree::Word;
use crate::conf::walk::Levels;
use crate::net::address::Address;
use crate::net::tls_session::{Session, TlsError};
use crate::script::template::Template;
use crate::script::variable::Subject;
use crate::session::build::Build;
use crate::session::contexts::{HTTP_SERVER, MAIL_ANY, STREAM_ANY};
use crate::tls::TlsConf;
use crate::tls::check::Files;
use crate::tls::clients::Verdict;
use crate::tls::context::{Purpose, ServerContext, Setup};
use crate::tls::directives::{cache_row, rows, unserved_rows};
use crate::tls::files::FileTexts;
use crate::tls::info::{self, ClientCertificate, Offer};
use crate::tls::kept::Kept;
pub use crate::tls::kept::Mark;
use crate::tls::key::Passwords;
use crate::tls::pairs::{self, Wanted};
use crate::tls::upstream::{ClientContext, PeerSessions};
use crate::zone::registry::Registry;
use hashbrown::HashMap;
use parking_lot::Mutex;
use rustls::sign::CertifiedKey;
use rustls::{CommonState, Connection};
use std::cell::{Cell, OnceCell};
use std::sync::Arc;

/// The rows of all three.
pub const MODULES: [Module; 5] = [
    Module {
        name: "ngx_http_ssl_module",
        directives: &rows(HTTP_SERVER),
        scopes: &[Scope::of::<TlsConf>(HTTP_SERVER.or(STREAM_ANY).or(MAIL_ANY))],
    },
    Module { name: "ngx_stream_ssl_module", directives: &rows(STREAM_ANY), scopes: &[] },
    Module { name: "ngx_mail_ssl_module", directives: &unserved_rows(MAIL_ANY), scopes: &[] },
    Module { name: "ngx_http_ssl_module", directives: &cache_row(HTTP_SERVER), scopes: &[] },
    Module { name: "ngx_stream_ssl_module", directives: &cache_row(STREAM_ANY), scopes: &[] },
];

/// A point in time, to be taken before a configuration is compiled.
pub fn mark(zones: &Registry) -> Mark {
    zones.kept::<Kept>().mark()
}

/// Drops the certificates that no configuration has used since; to be called when the new one serves.
pub fn drop_unused_since(zones: &Registry, mark: Mark) {
    zones.kept::<Kept>().drop_unused_since(mark);
}

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

/// Certificates that are loaded for a handshake, as variables are in their names.
pub struct Named<S: 'static> {
    /// Certificates and keys, with the words they were made of.
    pairs: Vec<[(Template<S>, Word); 2]>,
    /// What may open the keys.
    passwords: Option<Passwords>,
    /// Where relative paths start.
    folder: String,
    /// What was loaded before.
    kept: Arc<Kept>,
    /// The files that were read, where they are kept.
    texts: Option<Arc<FileTexts>>,
}

impl<S: Subject> Named<S> {
    /// Those pairs; nothing where there are none.
    pub fn new(
        pairs: Vec<[(Template<S>, Word); 2]>,
        passwords: Option<Passwords>,
        texts: Option<Arc<FileTexts>>,
        build: &Build<'_>,
    ) -> Option<Self> {
        let (folder, kept) = (build.folder.to_owned(), build.zones.kept::<Kept>());
        (!pairs.is_empty()).then(|| Self { pairs, passwords, folder, kept, texts })
    }

    /// The certificate servers are shown, if its name comes to anything now.
    ///
    /// # Errors
    /// Why it cannot be loaded.
    fn shown(&self, subject: &S) -> Result<Option<Arc<CertifiedKey>>, String> {
        let is_named = self.pairs.first().is_some_and(|[(certificate, _), _]| !certificate.text(subject).is_empty());
        Ok(if is_named { self.load(subject)?.into_iter().next() } else { None })
    }

    /// What the names come to now, loaded unless the files are as they were.
    ///
    /// # Errors
    /// Why one cannot be loaded.
    pub fn load(&self, subject: &S) -> Result<Vec<Arc<CertifiedKey>>, String> {
        let loader = self.texts.as_deref().map_or(&Disk as &dyn Loader, |texts| texts);
        let files = Files { loader, folder: &self.folder, resolve: &|_| Vec::new(), merged_at: None };
        let load = |pair: &[(Template<S>, Word); 2]| {
            let [certificate, key] =
                pair.each_ref().map(|(text, word)| Word { bytes: text.text(subject).into(), ..word.clone() });
            let passwords = self.passwords.as_ref();
            let wanted = Wanted { certificate: &certificate, key: &key, passwords, level: 1 };
            let loaded = pairs::load(&wanted, &files, &self.kept.named);
            let Some(texts) = self.texts.as_deref().filter(|_| loaded.is_err()) else { return loaded };
            // One of the two may have been kept longer than the other.
            [&certificate, &key].iter().for_each(|word| texts.forget(&files.path(word)));
            pairs::load(&wanted, &files, &self.kept.named)
        };
        self.pairs.iter().map(load).collect::<Result<_, _>>().map_err(|complaint: Diagnostic| complaint.message)
    }
}

/// TLS towards servers, with everything that is kept beside its context.
pub struct ServerSide<S: 'static> {
    context: ClientContext,
    /// `*_ssl_name`.
    name: Option<Template<S>>,
    /// The certificate to show, where variables name it.
    named: Option<Named<S>>,
    /// The sessions with each server.
    ///
    /// Differs from nginx: each location has its own, so that none is resumed whose server another location verified. [test: sessions_with_servers_belong_to_their_location]
    sessions: Mutex<HashMap<Address, PeerSessions>>,
}

/// Servers whose sessions are kept; addresses made of variables have no end.
const SERVERS: usize = 1024;

impl<S: Subject> ServerSide<S> {
    /// TLS with this context; `name` is what servers are asked for and must have.
    pub fn new(context: ClientContext, name: Option<Template<S>>, named: Option<Named<S>>) -> Self {
        Self { context, name, named, sessions: Mutex::default() }
    }

    /// The name servers are asked for, and must have: that of the settings, else `host`.
    pub fn name(&self, subject: &S, host: &[u8]) -> String {
        let text = self.name.as_ref().map(|name| name.text(subject));
        String::from_utf8_lossy(text.as_deref().unwrap_or(host)).into_owned()
    }

    /// A session with a server, about to shake hands.
    ///
    /// # Errors
    /// Why there is none.
    pub fn connect(&self, subject: &S, address: &Address, name: &str) -> Result<Connection, String> {
        let shown = match &self.named {
            Some(named) => named.shown(subject)?,
            None => None,
        };
        let connection = match shown {
            Some(pair) => self.context.connect_with(name, pair),
            None => {
                let sessions = {
                    let mut known = self.sessions.lock();
                    if known.len() >= SERVERS && !known.contains_key(address) {
                        known.clear();
                    }
                    known.entry(address.clone()).or_default().clone()
                };
                self.context.connect(name, Some(&sessions))
            }
        };
        connection.map(Connection::from).map_err(|error| error.to_string())
    }

    /// Judges the certificate a server has shown.
    ///
    /// # Errors
    /// What is wrong with it, in nginx's words.
    pub fn verify(&self, state: &CommonState, name: &str, now: i64) -> Result<(), String> {
        self.context.verify(state.peer_certificates(), name, now).map_err(|fault| fault.to_string())
    }
}

/// What is known of a client's connection beside its session.
pub struct Shaken {
    /// The name the client asked for.
    pub asked: Option<Box<str>>,
    /// Whether a server has that name.
    pub is_known: bool,
    /// What it offered.
    pub offer: Offer,
    /// `$ssl_session_id`.
    pub session_id: OnceCell<String>,
    /// What its certificate is.
    pub verdict: Cell<Verdict>,
}

impl Shaken {
    /// What a client's first message says, before it is answered.
    pub fn new(asked: Option<Box<str>>, is_known: bool, offer: Offer) -> Self {
        let verdict = Cell::new(Verdict::Absent);
        Self { asked, is_known, offer, session_id: OnceCell::new(), verdict }
    }
}

/// What is logged of a client that comes back with an older version than it speaks.
pub const FALLBACK: &str = "SSL_do_handshake() failed (SSL: inappropriate fallback)";

/// Why a handshake failed, in nginx's words; the reasons are rustls'.
pub fn failed(error: &TlsError) -> String {
    match error {
        TlsError::Closed => "peer closed connection in SSL handshake".to_owned(),
        TlsError::Io(error) => {
            format!("peer closed connection in SSL handshake ({})", crate::conf::walk::errno(error))
        }
        TlsError::Protocol(error) => format!("SSL_do_handshake() failed (SSL: {error})"),
    }
}

/// A variable of a connection with TLS, by its name without `ssl_`; false where it has no value.
pub fn value(name: &str, session: Option<&Session>, shaken: Option<&Shaken>, now: i64, out: &mut Vec<u8>) -> bool {
    let Some(shaken) = shaken else { return false };
    // The names of certificates are evaluated before there is a session.
    let (Some(session), false) = (session, name == "server_name") else {
        let asked = shaken.asked.as_deref().filter(|_| name == "server_name").unwrap_or_default();
        out.extend_from_slice(asked.as_bytes());
        return !asked.is_empty();
    };
    let agreed = |of: &dyn Fn(&CommonState) -> String| session.look(|state| of(state));
    let shown = |of: &dyn Fn(&ClientCertificate<'_>) -> String| {
        session.look(|state| ClientCertificate::of(state).map(|shown| of(&shown))).unwrap_or_default()
    };
    let text = match name {
        "protocol" => agreed(&|state| info::protocol(state).to_owned()),
        "cipher" => agreed(&info::cipher),
        "ciphers" => shaken.offer.ciphers(),
        "curve" => agreed(&info::curve),
        "curves" => shaken.offer.curves(),
        "session_id" => shaken.session_id.get().cloned().unwrap_or_default(),
        "session_reused" => agreed(&|state| info::session_reused(state).to_owned()),
        "early_data" => agreed(&|state| if state.is_handshaking() { "1".to_owned() } else { String::new() }),
        "alpn_protocol" => agreed(&|state| {
            state.alpn_protocol().map(|name| String::from_utf8_lossy(name).into_owned()).unwrap_or_default()
        }),
        "client_cert" => shown(&|shown| shown.tabbed()),
        "client_raw_cert" => shown(&|shown| shown.raw()),
        "client_escaped_cert" => shown(&|shown| shown.escaped()),
        "client_s_dn" => shown(&|shown| shown.subject()),
        "client_i_dn" => shown(&|shown| shown.issuer()),
        "client_s_dn_legacy" => shown(&|shown| shown.subject_legacy()),
        "client_i_dn_legacy" => shown(&|shown| shown.issuer_legacy()),
        "client_serial" => shown(&|shown| shown.serial()),
        "client_fingerprint" => shown(&|shown| shown.fingerprint()),
        "client_verify" => shaken.verdict.get().text(),
        "client_v_start" => shown(&|shown| shown.starts()),
        "client_v_end" => shown(&|shown| shown.ends()),
        "client_v_remain" => shown(&|shown| shown.remains(now)),
        _ => String::new(),
    };
    out.extend_from_slice(text.as_bytes());
    !text.is_empty()
}
