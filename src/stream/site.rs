//! What is served, immutable and shared by all loops: servers, their steps, content, TLS and checks.

use super::session::Session;
use super::upstream::{Pool, Upstreams};
use crate::log::Log;
use crate::net::address::Address;
use crate::net::listen::Options;
use crate::net::resolver::Lookup;
use crate::script::regex::Expression;
use crate::script::variable::Definitions;
use crate::session::tls::Named;
use crate::tls::context::ServerContext;
use crate::tls::directives::Verify;
use crate::upstream::group::Choice;
use crate::upstream::health::Check;
use crate::upstream::peer::Peer;
use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

/// One stream configuration, ready to serve.
pub struct Site {
    /// The sockets and who is served on them.
    pub ports: Vec<Arc<Port>>,
    /// What the configuration's own variables mean.
    pub definitions: Definitions<Session>,
    /// The groups of backends.
    pub upstreams: Upstreams,
    /// The servers whose groups are checked.
    pub checked: Vec<Arc<Server>>,
}

/// A server.
pub struct Server {
    /// The steps of each phase.
    pub steps: [Box<[Box<dyn Handler>]>; PHASES],
    /// TLS, where an address of the server has it.
    pub tls: Option<Secure>,
    /// `preread_buffer_size`.
    pub preread_size: usize,
    /// `preread_timeout`.
    pub preread_timeout: Duration,
    /// What it does in the end.
    pub content: Box<dyn Content>,
    /// `error_log`.
    pub error_log: Log,
    /// `resolver` and `resolver_timeout`.
    pub resolver: Option<Lookup>,
    /// `tcp_nodelay`.
    pub tcp_nodelay: bool,
    /// `proxy_protocol_timeout`.
    pub proxy_protocol_timeout: Duration,
    /// `health_check`.
    pub health: Option<HealthCheck>,
}

/// The server of one address.
pub struct Virtual {
    /// The address.
    pub address: Address,
    /// Who is served there.
    pub server: Arc<Server>,
    /// Whether connections begin with a PROXY protocol head.
    pub proxy_protocol: bool,
    /// Whether they speak TLS.
    pub secure: bool,
}

/// One listening socket and what is served on it.
pub struct Port {
    /// What it is bound to.
    pub address: Address,
    /// Its options.
    pub options: Options,
    /// Addresses served on it, the bound one last; several when a wildcard socket serves specific addresses too.
    pub virtuals: Vec<Virtual>,
}

impl Port {
    /// The server for a connection to `local`.
    pub fn of(&self, local: Option<SocketAddr>) -> Option<&Virtual> {
        let local = local.map(|local| local.ip().to_canonical());
        let specific = self.virtuals.iter().find(|entry| entry.address.ip() == local && local.is_some());
        specific.or_else(|| self.virtuals.last())
    }
}

/// nginx's phases, in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Right after accept: who the client really is.
    PostAccept,
    /// Limits.
    Preaccess,
    /// Who may come in.
    Access,
    /// What is known of the first bytes.
    Preread,
    /// When all is over.
    Log,
}

/// How many phases there are.
pub const PHASES: usize = 5;

/// What a step says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flow {
    /// The next step of this phase.
    Next,
    /// The next phase.
    Pass,
    /// More of the client's first bytes is wanted; in the preread phase alone.
    More,
    /// The session ends with this status.
    Finish(u16),
}

/// A step of a phase.
pub trait Handler: Send + Sync {
    /// Runs it.
    fn run(&self, session: &mut Session) -> Flow;
}

/// What a content handler does with a session; it yields the status.
pub type Work<'s> = Pin<Box<dyn Future<Output = u16> + 's>>;

/// The end of the way: a proxy, a fixed answer.
pub trait Content: Send + Sync {
    /// Runs it to its end.
    fn run<'s>(&'s self, session: &'s mut Session) -> Work<'s>;

    /// How many datagrams of a client are one session's; 0 is no limit.
    fn datagrams(&self) -> u64;

    /// How its servers are checked; nothing where it has none.
    fn checks(&self) -> Option<&dyn Checkable> {
        None
    }

    /// Tells what running would come to.
    fn explain(&self, session: &Session) -> Ending;
}

/// How a connection ends, or goes on.
#[derive(Clone, Debug)]
pub enum Ending {
    /// A phase ends it with this status.
    Refused(u16),
    /// It is answered with a text.
    Answers(String),
    /// It is passed on.
    Passes {
        /// The group.
        group: String,
        /// Who is asked.
        choice: Choice,
        /// Whether the server is sent a PROXY protocol head.
        announces: bool,
    },
    /// Nobody can be asked; why.
    Fails(String),
}

/// TLS of a server.
pub struct Secure {
    /// What handshakes are made of.
    pub context: ServerContext,
    /// Certificates that variables name.
    pub named: Option<Named<Session>>,
    /// `ssl_verify_client`.
    pub verify: Verify,
    /// `ssl_handshake_timeout`.
    pub timeout: Duration,
}

/// A server's check of its group's servers.
pub struct HealthCheck {
    /// When it is made, and what its results come to.
    pub check: Arc<Check>,
    /// Whose servers are asked.
    pub pool: Arc<Pool>,
    /// `health_check_timeout`.
    pub timeout: Duration,
    /// Bytes of an answer that are examined.
    pub most: usize,
    /// What is asked.
    pub question: Question,
}

/// What a server is asked.
pub enum Question {
    /// To take a connection, and what `match` says.
    Tcp(Tests),
    /// To answer a datagram, or not to refuse it.
    Udp(Tests),
    /// To answer an MQTT CONNECT with a CONNACK of code 0, or of this one.
    Mqtt(Option<u8>),
}

/// A `match` block; empty where there is none.
#[derive(Default)]
pub struct Tests {
    /// Its name.
    pub name: String,
    /// `send`.
    pub send: Vec<u8>,
    /// `expect`.
    pub expect: Option<Expect>,
}

/// What an answer must be.
pub enum Expect {
    /// It begins with this.
    Literal(Vec<u8>),
    /// It matches.
    Matches(Expression),
}

impl HealthCheck {
    /// What log lines add.
    pub fn context(&self, peer: &Peer) -> String {
        let name = match &self.question {
            Question::Tcp(tests) | Question::Udp(tests) => &*tests.name,
            Question::Mqtt(_) => "",
        };
        let port = self.check.port.map(|port| format!(", port {port}")).unwrap_or_default();
        let (peer, group) = (&peer.name, &self.pool.group.name);
        format!(", health check \"{name}\" of peer {peer} in upstream \"{group}\"{port}")
    }
}

/// What a check of a server came to.
pub struct Asked {
    /// Whether it passed; nothing where this side could not ask.
    pub passed: Option<bool>,
    /// What it was at, in the words of log lines.
    pub action: &'static str,
}

/// The future of a check.
pub type Asking<'s> = Pin<Box<dyn Future<Output = Asked> + 's>>;

/// A content whose servers can be checked.
pub trait Checkable {
    /// The group that is known beforehand.
    fn pool(&self) -> Option<&Arc<Pool>>;

    /// Asks a server; `session` has no client.
    fn check<'s>(&'s self, session: &'s mut Session, health: &'s HealthCheck, peer: &'s Peer) -> Asking<'s>;
}
