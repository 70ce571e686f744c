//! `ngx_stream_proxy_module`: connect to a server of a group, relay, try the next one when it cannot be reached.

mod conf;
mod datagrams;
mod health;

use self::conf::{MODULE, ProxyConf};
use crate::conf::diagnostic::Diagnostic;
use crate::conf::module::Merged as _;
use crate::conf::module::Scope;
use crate::conf::tree::Word;
use crate::conf::value;
use crate::conf::walk::{Levels, errno};
use crate::log::Level;
use crate::net::address::{self, Address, Host};
use crate::net::deadline::Deadline;
use crate::net::outgoing::{BufferSizes, Local, Unconnected, severity};
use crate::net::proxy_protocol;
use crate::net::resolver::Lookup;
use crate::net::transport::{Outgoing, Transport, connect};
use crate::net::udp::Udp;
use crate::session::contexts::STREAM_ANY;
use crate::session::tls::{Named, ServerSide, failed};
use crate::session::{listening, used};
use crate::stream::module::{Compile, Module, ServerBuilder};
use crate::stream::relay::{End, Relay, RelayOptions};
use crate::stream::session::{Attempt, Session, Text, Wire};
use crate::stream::site::{Checkable, Content, Ending, Work};
use crate::stream::upstream::Pool;
use crate::tls::check::Files;
use crate::tls::kept::Kept;
use crate::tls::upstream::ClientContext;
use crate::tls::{self, ClientConf};
use crate::upstream::group::Choice;
use crate::upstream::measured::Measured;
use crate::upstream::names::Changing as _;
use crate::upstream::{Group, PeerRef, Pick};
use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::task::Poll;
use std::time::{Duration, Instant};

/// The module.
pub fn modules() -> Vec<Module> {
    vec![Module::new(MODULE).install(install), Module::new(TLS).install(tls)]
}

const TLS: crate::conf::module::Module = crate::conf::module::Module {
    name: "ngx_stream_proxy_module",
    directives: &tls::client::rows(STREAM_ANY),
    scopes: &[Scope::of::<ClientConf>(STREAM_ANY)],
};

/// Checks what TLS towards servers needs.
fn tls(levels: &Levels<'_>, _: &mut ServerBuilder, cx: &mut Compile<'_, '_>) -> Result<(), Diagnostic> {
    let Some(conf) = levels.get::<ClientConf>() else { return Ok(()) };
    if let Some(name) = &conf.name {
        cx.text(name)?;
    }
    if conf.enabled != Some(true) {
        return Ok(());
    }
    for word in conf.certificate.iter().chain(&conf.key).filter(|word| word.bytes.contains(&b'$')) {
        cx.text(word)?;
    }
    let resolver = cx.build.resolver;
    let resolve = |host: &str| resolver.resolve(host);
    let (loader, folder) = (cx.build.files, cx.build.folder);
    let files = Files { loader, folder, resolve: &resolve, merged_at: None };
    tls::client::check(conf, &files).map_err(Diagnostic::unlined)
}

/// Whom a connection is for.
enum Target {
    Pool(Arc<Pool>),
    Text(Text),
}

/// A setting that may have variables.
enum Value<T> {
    Fixed(T),
    Text(Text),
}

struct Proxy {
    target: Target,
    bind: Option<(Value<SocketAddr>, bool)>,
    socket_keepalive: bool,
    buffers: BufferSizes,
    connect_timeout: Duration,
    timeout: Duration,
    upload: Value<u64>,
    download: Value<u64>,
    next: bool,
    tries: u32,
    next_timeout: Duration,
    protocol: bool,
    half_close: bool,
    /// Datagrams of a client in a session; 0 is no limit.
    requests: u64,
    /// Datagrams of a server that answer one.
    responses: Option<u64>,
    /// TLS towards the servers.
    tls: Option<ServerSide<Session>>,
}

fn install(levels: &Levels<'_>, place: &mut ServerBuilder, cx: &mut Compile<'_, '_>) -> Result<(), Diagnostic> {
    let Some(conf) = levels.level.own::<ProxyConf>() else { return Ok(()) };
    let Some(pass) = &conf.pass else { return Ok(()) };
    let bind = match conf.bind.as_ref().and_then(Option::as_ref) {
        None => None,
        Some((word, transparent)) => {
            cx.build.transparent |= transparent;
            let value = match word.bytes.contains(&b'$') {
                true => Some(Value::Text(cx.text(word)?)),
                false => listening::local(&word.text()).map(Value::Fixed),
            };
            value.map(|value| (value, *transparent))
        }
    };
    let tries = conf.tries.merged()?;
    place.content(Proxy {
        target: target(pass, cx)?,
        bind,
        socket_keepalive: conf.socket_keepalive.merged()?,
        buffers: BufferSizes::new(conf.socket_rcvbuf, conf.socket_sndbuf),
        connect_timeout: conf.connect_timeout.merged()?,
        timeout: conf.timeout.merged()?,
        upload: limit(conf.upload.as_ref(), cx)?,
        download: limit(conf.download.as_ref(), cx)?,
        next: conf.next.merged()?,
        tries: u32::try_from(tries).unwrap_or(u32::MAX),
        next_timeout: conf.next_timeout.merged()?,
        protocol: conf.protocol.merged()?,
        half_close: conf.half_close.merged()?,
        requests: conf.requests.unwrap_or(0),
        responses: conf.responses,
        tls: side(levels, cx)?,
    });
    Ok(())
}

/// `proxy_buffer_size` of a server.
pub fn buffer_size(levels: &Levels<'_>) -> usize {
    let size = levels.get::<ProxyConf>().and_then(|conf| conf.buffer_size).unwrap_or(16 * 1024);
    usize::try_from(size).unwrap_or(usize::MAX)
}

/// TLS towards the servers of a place, where that is on.
fn side(levels: &Levels<'_>, cx: &mut Compile<'_, '_>) -> Result<Option<ServerSide<Session>>, Diagnostic> {
    let Some(conf) = levels.get::<ClientConf>().filter(|conf| conf.enabled == Some(true)) else { return Ok(None) };
    let resolver = cx.build.resolver;
    let resolve = |host: &str| resolver.resolve(host);
    let (loader, folder) = (cx.build.files, cx.build.folder);
    let files = Files { loader, folder, resolve: &resolve, merged_at: None };
    let kept = cx.build.zones.kept::<Kept>();
    let context =
        ClientContext::new(&conf.settings(), &files, &kept, &mut |warning| cx.build.complaints.push(warning))?;
    let mut pairs = Vec::new();
    if let Some((certificate, key)) = conf.certificate.as_ref().zip(conf.key.as_ref())
        && (used::varies(&certificate.bytes) || used::varies(&key.bytes))
    {
        pairs.push([(cx.text(certificate)?, certificate.clone()), (cx.text(key)?, key.clone())]);
    }
    let named = Named::new(pairs, conf.password_file.clone(), conf.certificate_cache.clone().flatten(), cx.build);
    let name = conf.name.as_ref().map(|word| cx.text(word)).transpose()?;
    Ok(Some(ServerSide::new(context, name, named)))
}

fn target(pass: &Word, cx: &mut Compile<'_, '_>) -> Result<Target, Diagnostic> {
    if pass.bytes.contains(&b'$') {
        return Ok(Target::Text(cx.text(pass)?));
    }
    let text = pass.text();
    if let Some(pool) = cx.upstreams.get(&text) {
        return Ok(Target::Pool(pool.clone()));
    }
    let fail = |text: String| Diagnostic::emerg(text).at(pass.span);
    let endpoint = address::parse(&text, false).map_err(|what| fail(format!("{what} in upstream \"{text}\"")))?;
    if let (Host::Name(name), Some(port)) = (&endpoint.host, endpoint.port)
        && cx.upstreams.get(name).is_some()
    {
        return Err(fail(format!("upstream \"{name}\" may not have port {port}")));
    }
    if endpoint.port.is_none() && !matches!(endpoint.host, Host::Unix(_)) {
        return Err(fail(format!("no port in upstream \"{text}\"")));
    }
    let pool = cx.upstreams.implicit(&text, &endpoint, cx.build).map_err(|complaint| complaint.at(pass.span))?;
    Ok(Target::Pool(pool))
}

fn limit(word: Option<&Word>, cx: &mut Compile<'_, '_>) -> Result<Value<u64>, Diagnostic> {
    match word {
        None => Ok(Value::Fixed(0)),
        Some(word) if word.bytes.contains(&b'$') => Ok(Value::Text(cx.text(word)?)),
        Some(word) => Ok(Value::Fixed(value::size(&word.bytes, false).unwrap_or(0))),
    }
}

/// Why there is no connection.
enum Unreached {
    /// The server cannot be reached: another may be.
    Server,
    /// This side is not able to connect.
    Local,
}

/// A connection counted as in use until it is dropped, or said to have failed.
struct InUse {
    pool: Arc<Pool>,
    at: PeerRef,
    pick: Option<Pick>,
}

impl InUse {
    /// Ends it as a failure: the way on, and whether the server is now out.
    fn failed(mut self, now: u64) -> (Option<Pick>, bool) {
        let mut pick = self.pick.take();
        let out = pick.as_mut().is_some_and(|pick| self.pool.group.free(self.at, true, pick, now));
        (pick, out)
    }
}

impl Drop for InUse {
    fn drop(&mut self) {
        if let Some(pick) = &mut self.pick {
            self.pool.group.free(self.at, false, pick, 0);
        }
    }
}

impl Content for Proxy {
    fn checks(&self) -> Option<&dyn Checkable> {
        Some(self)
    }

    fn explain(&self, session: &Session) -> Ending {
        let (group, choice) = match self.servers(session) {
            Ok(Servers::Known(pool)) => (pool.group.name.clone(), pool.explain(session, self.tries)),
            Ok(Servers::Host { name, port }) if session.server.resolver.is_some() => {
                let order = vec![format!("{name}:{port}")];
                (name, Choice { method: "round robin", order, turns: Vec::new(), key: None })
            }
            Ok(Servers::Host { name, .. }) => return Ending::Fails(unresolved(&name)),
            Err(complaint) => return Ending::Fails(complaint),
        };
        Ending::Passes { group, choice, announces: self.protocol }
    }

    fn datagrams(&self) -> u64 {
        self.requests
    }

    fn run<'s>(&'s self, session: &'s mut Session) -> Work<'s> {
        Box::pin(async move {
            let pool = match find(self.servers(session), session).await {
                Ok(pool) => pool,
                Err(complaint) => {
                    log(session, Level::Error, &complaint);
                    return 500;
                }
            };
            // One timer a connection: what guards connecting guards the relay afterwards.
            let mut deadline = Deadline::new();
            match self.reach(session, &pool, &mut deadline).await {
                Ok((Server::Stream(server), in_use)) => {
                    self.relay(session, &server, deadline).await;
                    drop(in_use);
                    200
                }
                Ok((Server::Datagrams(server), in_use)) => self.exchange(session, &server, in_use).await,
                Err(status) => status,
            }
        })
    }
}

/// A server that was reached.
enum Server {
    /// Over a connection.
    Stream(Transport),
    /// By datagrams.
    Datagrams(Udp),
}

/// Who is asked.
enum Servers {
    /// A group that is known.
    Known(Arc<Pool>),
    /// Whatever addresses a host has when the connection is passed on.
    Host { name: String, port: u16 },
}

fn unresolved(name: &str) -> String {
    format!("no resolver defined to resolve {name}")
}

/// The group, with the addresses a host has now.
async fn find(servers: Result<Servers, String>, session: &Session) -> Result<Arc<Pool>, String> {
    let (name, port) = match servers? {
        Servers::Known(pool) => return Ok(pool.now()),
        Servers::Host { name, port } => (name, port),
    };
    let lookup = session.server.resolver.as_ref().ok_or_else(|| unresolved(&name))?;
    let found = lookup.find(&name, session.event_loop()).await.map_err(|unknown| Lookup::complaint(&name, unknown))?;
    let addresses = found.all.iter().map(|ip| Address::Ip(SocketAddr::new(*ip, port)));
    Ok(Arc::new(Pool::of(Group::implicit(&name, addresses))))
}

/// The servers of a text that variables gave.
fn resolve(session: &Session, text: &str) -> Result<Servers, String> {
    if let Some(pool) = session.site.upstreams.get(text) {
        return Ok(Servers::Known(pool.clone()));
    }
    let endpoint = address::parse(text, false).map_err(|what| format!("{what} in upstream \"{text}\""))?;
    let address = match (endpoint.host, endpoint.port) {
        (Host::Unix(path), _) => Address::Unix(path),
        (Host::Ip(ip), Some(port)) => Address::Ip(SocketAddr::new(ip, port)),
        (Host::Name(name), Some(port)) => return Ok(Servers::Host { name, port }),
        (_, None) => return Err(format!("no port in upstream \"{text}\"")),
        (Host::Any, _) => return Err(format!("no host in upstream \"{text}\"")),
    };
    Ok(Servers::Known(Arc::new(Pool::of(Group::implicit(text, std::iter::once(address))))))
}

impl Proxy {
    /// Whom this connection is for.
    fn servers(&self, session: &Session) -> Result<Servers, String> {
        match &self.target {
            Target::Pool(pool) => Ok(Servers::Known(pool.clone())),
            Target::Text(text) => resolve(session, &String::from_utf8_lossy(&text.text(session))),
        }
    }

    /// Connects to a server of the group, trying others as configured; the status of the session where none is reached.
    async fn reach(
        &self,
        session: &mut Session,
        pool: &Arc<Pool>,
        deadline: &mut Deadline,
    ) -> Result<(Server, InUse), u16> {
        let mut pick = pool.pick(session);
        pick.limit(self.tries);
        let began = Instant::now();
        loop {
            session.event_loop().clock.update();
            let now = session.event_loop().clock.now().as_secs();
            begin(session, &pool.group.host);
            let chosen = pool.group.select(&mut pick, now);
            let Some((at, peer)) = chosen.and_then(|at| Some((at, pool.group.peer(at)?))) else {
                finish(session, true);
                log(session, Level::Error, "no live upstreams while connecting to upstream");
                return Err(502);
            };
            if let Some(attempt) = session.attempts.last_mut() {
                attempt.peer.clear();
                attempt.peer.push_str(&peer.name);
                attempt.measured = Measured::new(pool, at, attempt.began);
            }
            let in_use = InUse { pool: pool.clone(), at, pick: Some(pick) };
            match self.connect(session, &peer.address, deadline).await {
                Ok(server) => {
                    pool.group.connected(at);
                    return Ok((server, in_use));
                }
                Err(Unreached::Server) => finish(session, true),
                Err(Unreached::Local) => {
                    finish(session, true);
                    // Nobody was asked.
                    session.attempts.last_mut().into_iter().for_each(|attempt| attempt.peer.clear());
                    return Err(500);
                }
            }
            session.event_loop().clock.update();
            let (left, out) = in_use.failed(session.event_loop().clock.now().as_secs());
            pick = left.ok_or(502_u16)?;
            if out {
                log(session, Level::Warn, "upstream server temporarily disabled while connecting to upstream");
            }
            let late = !self.next_timeout.is_zero() && began.elapsed() >= self.next_timeout;
            if pick.left() == 0 || !self.next || late {
                return Err(502);
            }
        }
    }

    /// The address that connections to servers come from, where one is set.
    fn local(&self, session: &Session) -> Option<Local> {
        let (value, transparent) = self.bind.as_ref()?;
        let address = match value {
            Value::Fixed(address) => Some(*address),
            Value::Text(text) => {
                let text = text.text(session);
                let local = listening::local(&String::from_utf8_lossy(&text));
                if local.is_none() && !text.is_empty() {
                    let shown = String::from_utf8_lossy(&text);
                    log(
                        session,
                        Level::Error,
                        &format!("invalid local address \"{shown}\" while connecting to upstream"),
                    );
                }
                local
            }
        };
        address.map(|address| Local { address, transparent: *transparent })
    }

    async fn connect(
        &self,
        session: &mut Session,
        address: &Address,
        deadline: &mut Deadline,
    ) -> Result<Server, Unreached> {
        let bind = self.local(session);
        if let Wire::Datagrams(_) = session.wire {
            return datagrams::connect(session, address, bind.as_ref(), self.buffers).map(Server::Datagrams);
        }
        let how = Outgoing {
            bind,
            buffers: self.buffers,
            keepalive: self.socket_keepalive,
            nodelay: session.server.tcp_nodelay,
            speaks: self.protocol,
        };
        session.loop_state.ledger.numbered();
        let server = match connect(address, &how) {
            Ok((server, false)) => server,
            Ok((server, true)) => match self.wait(&server, deadline).await {
                Ok(()) => server,
                Err(error) => {
                    let text = match error.kind() {
                        io::ErrorKind::TimedOut if error.raw_os_error().is_none() => {
                            "upstream timed out (110: Connection timed out)".to_owned()
                        }
                        _ => format!("connect() failed ({})", errno(&error)),
                    };
                    log(session, Level::Error, &format!("{text} while connecting to upstream"));
                    return Err(Unreached::Server);
                }
            },
            Err(unconnected) => return Err(complain(session, address, unconnected)),
        };
        if let Some(side) = &self.tls
            && let Err(text) = self.secure(session, &server, (side, address), deadline).await
        {
            log(session, Level::Error, &format!("{text} while SSL handshaking to upstream"));
            return Err(Unreached::Server);
        }
        if let Some(attempt) = session.attempts.last_mut() {
            attempt.note_connect();
        }
        if session.logs(Level::Info) && session.check.is_none() {
            let local = server.socket().local_addr().ok().and_then(|name| name.as_socket());
            let local = local.map_or_else(|| "unix:".to_owned(), |local| local.to_string());
            session.log_bare(Level::Info, &format!("proxy {local} connected to {address}"));
        }
        Ok(Server::Stream(server))
    }

    /// Shakes hands with a server, behind a PROXY protocol head where there is one.
    async fn secure(
        &self,
        session: &mut Session,
        server: &Transport,
        (side, address): (&ServerSide<Session>, &Address),
        deadline: &mut Deadline,
    ) -> Result<(), String> {
        deadline.set(Instant::now(), self.connect_timeout);
        let mut rest = &*self.head(session);
        while !rest.is_empty() {
            match server.try_write(rest) {
                Ok(count) => rest = rest.get(count..).unwrap_or_default(),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    let ready = poll_fn(|cx| match server.poll_writable(cx) {
                        Poll::Ready(()) => Poll::Ready(true),
                        Poll::Pending => deadline.poll(cx).map(|()| false),
                    });
                    if !ready.await {
                        return Err(TIMED_OUT.to_owned());
                    }
                }
                Err(error) => return Err(format!("send() failed ({})", errno(&error))),
            }
        }
        let group = session.attempts.last().map(|attempt| attempt.peer.clone()).unwrap_or_default();
        let group = self.group(session).unwrap_or(group);
        let name = side.name(session, group.as_bytes());
        server.secure(side.connect(session, address, &name)?, b"");
        let outcome = poll_fn(|cx| match server.poll_handshake(cx) {
            Poll::Ready(outcome) => Poll::Ready(Some(outcome)),
            Poll::Pending => deadline.poll(cx).map(|()| None),
        });
        match outcome.await {
            None => return Err(TIMED_OUT.to_owned()),
            Some(Err(error)) => return Err(failed(&error)),
            Some(Ok(())) => {}
        }
        let now = session.event_loop().clock.now().as_secs() as i64;
        server.tls().map_or(Ok(()), |tls| tls.look(|state| side.verify(state, &name, now)))
    }

    /// The name of the group a session goes to.
    fn group(&self, session: &Session) -> Option<String> {
        match &self.target {
            Target::Pool(pool) => Some(pool.group.name.clone()),
            Target::Text(text) => Some(String::from_utf8_lossy(&text.text(session)).into_owned()),
        }
    }

    /// The PROXY protocol head a server is sent; empty where it is sent none.
    fn head(&self, session: &Session) -> Vec<u8> {
        let mut head = Vec::new();
        if self.protocol {
            let client = match session.client_address() {
                Address::Ip(client) => Some(*client),
                Address::Unix(_) => None,
            };
            proxy_protocol::write(client, session.local(), &mut head);
        }
        head
    }

    /// Waits until a connection is made.
    async fn wait(&self, server: &Transport, deadline: &mut Deadline) -> io::Result<()> {
        if server.is_connected() {
            return Ok(());
        }
        deadline.set(Instant::now(), self.connect_timeout);
        poll_fn(|cx| match server.poll_writable(cx) {
            Poll::Ready(()) => Poll::Ready(io::Result::Ok(())),
            Poll::Pending => deadline.poll(cx).map(|()| Err(io::ErrorKind::TimedOut.into())),
        })
        .await?;
        server.socket().take_error()?.map_or(Ok(()), Err)
    }

    async fn relay(&self, session: &mut Session, server: &Transport, deadline: Deadline) {
        let Some(client) = session.stream().cloned() else { return };
        // With TLS the head has gone before the handshake.
        let mut first = if self.tls.is_some() { Vec::new() } else { self.head(session) };
        first.append(&mut session.preread);
        let manner = RelayOptions {
            timeout: self.timeout,
            half_close: self.half_close,
            upload: rate_of(&self.upload, session),
            download: rate_of(&self.download, session),
        };
        let end = Relay::new(session, (&client, server), manner, &first).run(deadline).await;
        finish(session, false);
        match end {
            End::Client | End::Server => {
                let side = if end == End::Client { "client" } else { "upstream" };
                if session.logs(Level::Info) {
                    session.log_bare(Level::Info, &format!("{side} disconnected{}", counts(session)));
                }
            }
            End::TimedOut => {
                log(session, Level::Info, "connection timed out (110: Connection timed out) while proxying connection")
            }
            End::Failed => {}
        }
    }
}

const TIMED_OUT: &str = "upstream timed out (110: Connection timed out)";

fn rate_of(rate: &Value<u64>, session: &Session) -> u64 {
    match rate {
        Value::Fixed(rate) => *rate,
        Value::Text(text) => {
            let text = text.text(session);
            value::size(&text, false).unwrap_or_else(|| {
                log(session, Level::Error, &format!("invalid size \"{}\"", String::from_utf8_lossy(&text)));
                0
            })
        }
    }
}

fn begin(session: &mut Session, name: &str) {
    // Most sessions need one, and keep it for as long as they are idle.
    session.attempts.reserve_exact(1);
    session.attempts.push(Attempt {
        peer: name.to_owned(),
        sent: 0,
        received: 0,
        connect: None,
        first_byte: None,
        session: None,
        began: Instant::now(),
        measured: None,
    });
}

fn finish(session: &mut Session, failed: bool) {
    if let Some(attempt) = session.attempts.last_mut() {
        attempt.session = Some(attempt.began.elapsed());
        if let Some(mut measured) = attempt.measured.take()
            && failed
        {
            measured.failed();
        }
    }
}

fn counts(session: &Session) -> String {
    let (received, sent) = session.attempts.last().map_or((0, 0), |attempt| (attempt.received, attempt.sent));
    format!(", bytes from/to client:{}/{}, bytes from/to upstream:{received}/{sent}", session.received, session.sent)
}

/// Writes a line with all that nginx adds while it proxies.
pub fn log(session: &Session, level: Level, text: &str) {
    if session.check.is_some() {
        return session.log(level, text, "");
    }
    if session.logs(level) {
        let peer = session.attempts.last().map(|attempt| format!(", upstream: \"{}\"", attempt.peer));
        session.log(level, text, &format!("{}{}", peer.unwrap_or_default(), counts(session)));
    }
}

/// Logs why a connection could not begin.
fn complain(session: &Session, address: &Address, unconnected: Unconnected) -> Unreached {
    let (level, call, error, unreached) = match unconnected {
        Unconnected::Local { call, level, error } => (level, call, error, Unreached::Local),
        Unconnected::Server(error) => (severity(&error), format!("connect() to {address}"), error, Unreached::Server),
    };
    log(session, level, &format!("{call} failed ({}) while connecting to upstream", errno(&error)));
    unreached
}
