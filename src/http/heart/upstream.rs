//! http's view of backends: groups by name, idle connections of a loop, and what was tried for a request.

use crate::conf::diagnostic::{Diagnostic, Kind};
use crate::conf::walk::Levels;
use crate::http::codec::grpc::Link;
use crate::http::heart::head::{set_cookie_of, variable_name_is};
use crate::http::heart::module::Text;
use crate::http::heart::request::Request;
use crate::http::heart::response::Headers;
use crate::http::heart::secure::ServerSide;
use crate::http::heart::sticky::Sticky;
use crate::net::address::{Endpoint, Host};
use crate::net::event_loop::EventLoop;
use crate::net::transport::Transport;
use crate::script::template::Template;
use crate::script::variable::Names;
use crate::session::build::Build;
use crate::session::contexts::UPSTREAM;
use crate::upstream::Pick;
use crate::upstream::checks::{ChecksConf, GroupCheck};
use crate::upstream::measured::Measured;
use crate::upstream::names::{self, Changing, Live};
use crate::upstream::queue::Queue;
use crate::upstream::settings::{self, Upstream, placed};
use crate::upstream::sticky::{self, StickyText};
use crate::upstream::times::Point;
use crate::upstream::watch::{self, Running};
use crate::upstream::{Group, PeerRef};
use hashbrown::HashMap;
use std::cell::{Cell, RefCell};
use std::io;
use std::net::IpAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// A group with what http adds to it.
pub struct Pool {
    /// The servers and who is next.
    pub group: Group,
    /// The key of `hash`.
    pub key: Option<Arc<Text>>,
    /// `keepalive`; nothing where connections are not kept.
    pub keep: Option<Keep>,
    /// Whether it is an `upstream {}` block.
    pub named: bool,
    /// Whether the group has a `zone`.
    pub zoned: bool,
    /// Host and port of the address a gateway names.
    pub origin: Option<(String, u16)>,
    /// `sticky`.
    pub sticky: Option<Arc<Sticky>>,
    /// What changes its servers while it serves.
    pub live: Option<Live<Self>>,
    /// `queue`.
    pub queue: Option<Arc<Queue>>,
    /// `check`.
    pub group_check: Option<GroupCheck>,
}

impl Pool {
    /// The pool of a group that no configuration names.
    pub const fn of(group: Group) -> Self {
        Self {
            group,
            key: None,
            keep: None,
            named: false,
            zoned: false,
            origin: None,
            sticky: None,
            live: None,
            queue: None,
            group_check: None,
        }
    }
}

impl Changing for Pool {
    fn group(&self) -> &Group {
        &self.group
    }

    fn live(&self) -> Option<&Live<Self>> {
        self.live.as_ref()
    }

    fn with(&self, group: Group) -> Self {
        let (key, sticky, queue) = (self.key.clone(), self.sticky.clone(), self.queue.clone());
        Self { key, keep: self.keep, named: self.named, zoned: self.zoned, sticky, queue, ..Self::of(group) }
    }
}

/// How idle connections are kept.
#[derive(Clone, Copy, Debug)]
pub struct Keep {
    /// How many a loop keeps.
    pub most: usize,
    /// Requests a connection serves.
    pub requests: u64,
    /// How old it may get.
    pub time: Duration,
    /// How long it may be idle.
    pub timeout: Duration,
    /// Whether a location reuses its own connections only.
    pub local: bool,
}

fn origin(endpoint: &Endpoint, port: u16) -> Option<(String, u16)> {
    let host = match &endpoint.host {
        Host::Name(name) => name.to_ascii_lowercase(),
        Host::Ip(ip) => ip.to_string(),
        _ => return None,
    };
    Some((host, endpoint.port.unwrap_or(port)))
}

/// All groups of a site by name.
#[derive(Default)]
pub struct Upstreams {
    pools: HashMap<String, Arc<Pool>>,
    /// The groups with `check`, in order.
    pub checked: Vec<Arc<Pool>>,
}

impl Upstreams {
    /// The groups of the upstream blocks of an http level.
    ///
    /// # Errors
    /// A server that is not found, a group without servers.
    pub fn new(levels: &Levels<'_>, variables: &mut Names<Request>, build: &mut Build<'_>) -> Result<Self, Diagnostic> {
        let mut all = Self::default();
        let mut taken: HashMap<String, String> = HashMap::new();
        for level in levels.level.children.iter().filter(|level| level.context == UPSTREAM) {
            let name = level.words.get(1).map(|word| word.text().into_owned()).unwrap_or_default();
            let Some(conf) = level.own::<Upstream>() else { continue };
            let group_check = level.own::<ChecksConf>().and_then(ChecksConf::group_check);
            let declared = conf.declare(&mut build.declared, level.span);
            build.part(declared)?;
            let group = conf.groups(&name, level.span, 80, build)?;
            let key = conf.key().map(|word| {
                Template::compile(&word.bytes, variables).map_err(|text| Diagnostic::emerg(text).at(word.span))
            });
            let key = build.part(key.transpose())?.flatten().map(Arc::new);
            let zones = build.zones;
            if let Some(StickyText::Learn(learn)) = &conf.sticky {
                let taken = taken.insert(learn.zone.clone(), name.clone());
                let declared = taken.map_or_else(
                    || build.declare(&learn.zone, learn.size, sticky::KIND, learn.at),
                    |by| {
                        let text = format!("sticky zone \"{}\" is already used in upstream \"{by}\"", learn.zone);
                        Err(Diagnostic::emerg(text).at(learn.at))
                    },
                );
                build.part(declared)?;
            }
            let sticky = conf.sticky.as_ref().map(|text| Sticky::new(text, variables, zones));
            let sticky = sticky.transpose().map_err(|text| placed(Diagnostic::emerg(text), level.span));
            let sticky = build.part(sticky)?.flatten().map(Arc::new);
            let names = conf.names(&name, level.span, 80, &levels.inside(level), build);
            let live = build.part(names)?.flatten().map(Live::new);
            let keep = conf.keepalive.filter(|most| *most > 0).map(|most| Keep {
                most: most as usize,
                requests: conf.keepalive_requests.unwrap_or(1000),
                time: conf.keepalive_time.unwrap_or(Duration::from_secs(3600)),
                timeout: conf.keepalive_timeout.unwrap_or(Duration::from_secs(60)),
                local: conf.keepalive_local,
            });
            let zoned = conf.zone.is_some();
            let queue = conf.queue.map(|(most, timeout)| Arc::new(Queue::new(most, timeout)));
            let pool = Pool { key, keep, named: true, zoned, sticky, live, queue, group_check, ..Pool::of(group) };
            let pool = Arc::new(pool);
            if let Some(group_check) = &pool.group_check {
                pool.group.add_check(&group_check.check);
                all.checked.push(pool.clone());
            }
            all.pools.insert(name, pool);
        }
        Ok(all)
    }

    /// The group called `name`.
    pub fn get(&self, name: &str) -> Option<&Arc<Pool>> {
        self.pools.get(name).filter(|pool| pool.named)
    }

    /// The group of an address made of variables that a gateway without variables names as well.
    pub fn of_address(&self, endpoint: &Endpoint, port: u16) -> Option<&Arc<Pool>> {
        let wanted = origin(endpoint, port)?;
        self.pools.values().find(|pool| pool.origin.as_ref() == Some(&wanted))
    }

    /// The groups that a configuration names, where every complaint is wanted.
    fn names(&self, build: &Build<'_>) -> Vec<&str> {
        let named = self.pools.iter().filter(|(_, pool)| build.every && pool.origin.is_none());
        let mut names: Vec<&str> = named.map(|(name, _)| name.as_str()).collect();
        names.sort_unstable();
        names
    }

    /// The group of an address that a gateway names.
    ///
    /// # Errors
    /// `host not found` for a name without addresses.
    pub fn implicit(
        &mut self,
        text: &str,
        endpoint: &Endpoint,
        port: u16,
        build: &Build<'_>,
    ) -> Result<Arc<Pool>, Diagnostic> {
        if let Some(pool) = self.pools.get(text) {
            return Ok(pool.clone());
        }
        let found = settings::addresses(endpoint, port, &mut |host| resolve(build, host)).map_err(|_| {
            let host = match &endpoint.host {
                Host::Name(name) => name,
                _ => text,
            };
            let complaint = Diagnostic::emerg(format!("host not found in upstream \"{host}\"")).kind(Kind::Host);
            complaint.among("upstreams", host, &self.names(build))
        })?;
        let group = Group::implicit(text, found.into_iter());
        let pool = Arc::new(Pool { origin: origin(endpoint, port), ..Pool::of(group) });
        self.pools.insert(text.to_owned(), pool.clone());
        Ok(pool)
    }

    /// Takes over what an earlier site knew of its servers.
    pub fn carry_over(&self, old: &Self) {
        for (name, pool) in &self.pools {
            if let Some(old) = old.pools.get(name) {
                pool.carry_over(old);
            }
        }
    }

    /// Makes the checks of `check` for as long as the results are held; to be called on one loop.
    pub fn check(&self, event_loop: &Rc<EventLoop>) -> Vec<Running> {
        let checks = self.checked.iter().filter_map(|pool| Some((pool, pool.group_check.as_ref()?)));
        checks.map(|(pool, own)| watch::watch(pool, &own.check, own.asker(event_loop), event_loop)).collect()
    }

    /// Looks up the names of servers for as long as the groups are there; to be called on one loop.
    pub fn follow(&self, event_loop: &Rc<EventLoop>) {
        self.pools.values().for_each(|pool| names::follow(pool, event_loop));
    }
}

fn resolve(build: &Build<'_>, host: &str) -> io::Result<Vec<IpAddr>> {
    Ok(build.resolver.resolve(host))
}

/// A server in use: its connections are counted until this is dropped.
pub struct InUse {
    /// The group.
    pub pool: Arc<Pool>,
    /// Which of its servers.
    pub peer: PeerRef,
    /// When it was chosen.
    pub since: Instant,
    /// Who asks it.
    asker: Asker,
    /// Its times, where the group balances by them.
    measured: Option<Box<Measured<Pool>>>,
    released: bool,
}

/// The gateway of a location, told from the others of its site: with `keepalive … local` it reuses its own connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Asker(usize);

impl Asker {
    /// The gateway at an address, where it stays for as long as its site.
    pub fn of<T>(gateway: &T) -> Self {
        Self(std::ptr::from_ref(gateway).addr())
    }
}

impl InUse {
    /// The next server of a group; none when all are out.
    pub fn select(pool: &Arc<Pool>, pick: &mut Pick, (now, seconds): (Instant, u64), asker: Asker) -> Option<Self> {
        let peer = pool.group.select(pick, seconds)?;
        let measured = Measured::new(pool, peer, now);
        Some(Self { pool: pool.clone(), peer, since: now, asker, measured, released: false })
    }

    /// Notes that the response's head has come, after `time`.
    pub fn answered(&mut self, time: Duration) {
        if let Some(measured) = &mut self.measured {
            measured.reached(Point::Header, time);
        }
    }

    /// Ends the attempt so that another can be made; true when a failure took the server out.
    pub fn end(mut self, failed: bool, pick: &mut Pick, seconds: u64) -> bool {
        self.released = true;
        if let Some(mut measured) = self.measured.take() {
            measured.failed();
        }
        let out = self.pool.group.free(self.peer, failed, pick, seconds);
        self.pool.queue.iter().for_each(|queue| queue.freed_one());
        out
    }
}

impl Drop for InUse {
    fn drop(&mut self) {
        if !self.released {
            self.pool.group.release(self.peer);
            self.pool.queue.iter().for_each(|queue| queue.freed_one());
        }
    }
}

/// Whose settings a connection with TLS was made with, and for which name: another request may use it only if its own are
/// the same.
#[derive(Clone)]
pub struct Secured {
    /// The settings.
    pub side: Arc<ServerSide>,
    /// The name.
    pub name: Box<str>,
}

impl Secured {
    fn is(one: Option<&Self>, other: Option<&Self>) -> bool {
        match (one, other) {
            (None, None) => true,
            (Some(one), Some(other)) => Arc::ptr_eq(&one.side, &other.side) && one.name == other.name,
            _ => false,
        }
    }
}

/// A connection that has served a request, and may serve another.
pub struct Reusable {
    /// The connection.
    pub stream: Transport,
    /// Requests it has served.
    pub requests: u64,
    /// When it was opened.
    pub opened: Instant,
    /// Its state where it speaks HTTP/2.
    pub link: Option<Link>,
}

/// An idle connection to a server.
pub struct IdleConnection {
    /// The connection.
    pub stream: Transport,
    /// What secures it.
    secured: Option<Secured>,
    peer: PeerRef,
    /// Whose request it served.
    asker: Asker,
    /// Requests it has served.
    pub requests: u64,
    /// When it was opened.
    pub opened: Instant,
    /// Its state where it speaks HTTP/2.
    pub link: Option<Link>,
    idle_connection: Instant,
}

/// The idle connections of a loop, a stack for each group.
#[derive(Default)]
pub struct Idle {
    stacks: RefCell<Vec<(Arc<Pool>, Vec<IdleConnection>)>>,
    sweeping: Cell<bool>,
    trimming: Cell<bool>,
}

/// How long a connection beyond what `keepalive` says may be idle: bursts then need not connect again.
const GRACE: Duration = Duration::from_millis(10);

impl Idle {
    /// An idle connection to a peer of a group that is still usable; `http2` where it has to speak HTTP/2.
    ///
    /// Differs from nginx: a group that serves both `proxy_pass` and `grpc_pass` keeps their connections apart. [test: connections_of_a_group_are_kept_by_protocol]
    pub fn take(&self, used: &InUse, secured: Option<&Secured>, http2: bool) -> Option<IdleConnection> {
        let InUse { pool, peer, asker, .. } = used;
        let mut stacks = self.stacks.borrow_mut();
        let (_, stack) = stacks.iter_mut().find(|(of, _)| Arc::ptr_eq(of, pool))?;
        let any = !pool.keep.is_some_and(|keep| keep.local);
        let fits = |idle_connection: &IdleConnection| {
            idle_connection.peer == *peer
                && (any || idle_connection.asker == *asker)
                && idle_connection.link.is_some() == http2
                && Secured::is(idle_connection.secured.as_ref(), secured)
        };
        while let Some(at) = stack.iter().rposition(fits) {
            let idle_connection = stack.remove(at);
            let timeout = pool.keep.map_or(Duration::ZERO, |keep| keep.timeout);
            // Input means closed, or out of step: either way it is of no use.
            if idle_connection.idle_connection.elapsed() < timeout && !idle_connection.stream.has_input() {
                return Some(idle_connection);
            }
        }
        None
    }

    /// Keeps a connection for the next request.
    pub fn put_idle(
        self: &Rc<Self>,
        InUse { pool, peer, asker, .. }: &InUse,
        Reusable { stream, requests, opened, link }: Reusable,
        secured: Option<Secured>,
        now: Instant,
    ) {
        let Some(keep) = pool.keep else { return };
        if requests >= keep.requests || now.saturating_duration_since(opened) > keep.time {
            return;
        }
        let mut stacks = self.stacks.borrow_mut();
        let at = match stacks.iter().position(|(of, _)| Arc::ptr_eq(of, pool)) {
            Some(at) => at,
            None => {
                stacks.push((pool.clone(), Vec::new()));
                stacks.len() - 1
            }
        };
        let Some((_, stack)) = stacks.get_mut(at) else { return };
        stack.push(IdleConnection {
            stream,
            secured,
            peer: *peer,
            asker: *asker,
            requests,
            opened,
            link,
            idle_connection: now,
        });
        let surplus = stack.len() > keep.most;
        drop(stacks);
        if surplus {
            self.trim_later();
        }
        self.sweep_later();
    }

    /// Closes what a stack holds beyond its size and nobody took for the grace time, until no stack is too large.
    fn trim_later(self: &Rc<Self>) {
        if self.trimming.replace(true) {
            return;
        }
        let idle = Rc::downgrade(self);
        crate::net::event_loop::spawn(async move {
            loop {
                tokio::time::sleep(GRACE).await;
                let Some(idle) = idle.upgrade() else { return };
                let mut large = false;
                for (pool, stack) in idle.stacks.borrow_mut().iter_mut() {
                    let most = pool.keep.map_or(0, |keep| keep.most);
                    let surplus = stack.len().saturating_sub(most);
                    // The newest are taken first, so that what is not needed gathers at the front.
                    let unused = stack
                        .iter()
                        .take(surplus)
                        .take_while(|idle_connection| idle_connection.idle_connection.elapsed() >= GRACE);
                    let unused = unused.count();
                    stack.drain(..unused);
                    large |= unused < surplus;
                }
                if !large {
                    idle.trimming.set(false);
                    return;
                }
            }
        });
    }

    /// Closes connections that servers closed, or that were idle too long, once a second while there are any.
    fn sweep_later(self: &Rc<Self>) {
        if self.sweeping.replace(true) {
            return;
        }
        let idle = Rc::downgrade(self);
        crate::net::event_loop::spawn(async move {
            loop {
                tokio::time::sleep(Duration::from_secs(1)).await;
                let Some(idle) = idle.upgrade() else { return };
                let mut stacks = idle.stacks.borrow_mut();
                for (pool, stack) in stacks.iter_mut() {
                    let timeout = pool.keep.map_or(Duration::ZERO, |keep| keep.timeout);
                    stack.retain(|idle_connection| {
                        !idle_connection.stream.is_spent() && idle_connection.idle_connection.elapsed() < timeout
                    });
                }
                stacks.retain(|(_, stack)| !stack.is_empty());
                if stacks.is_empty() {
                    idle.sweeping.set(false);
                    return;
                }
            }
        });
    }

    /// Closes all connections.
    pub fn clear(&self) {
        self.stacks.borrow_mut().clear();
    }
}

/// One attempt at a backend.
#[derive(Clone, Debug, Default)]
pub struct Attempt {
    /// The server's address, or the group's name when no server was live.
    pub peer: Arc<str>,
    /// The status it answered with, or the one of its failure.
    pub status: u16,
    /// Time to connect.
    pub connect: Option<Duration>,
    /// Time to the response's head.
    pub header: Option<Duration>,
    /// Time to the end.
    pub response: Option<Duration>,
    /// Bytes of the response's body.
    pub length: u64,
    /// Bytes sent.
    pub sent: u64,
    /// Bytes received.
    pub received: u64,
}

/// What a cache is to a request that is passed on.
#[derive(Default)]
pub struct CacheUse {
    /// `$upstream_cache_status`; empty where no cache was asked.
    pub status: &'static str,
    /// Whether the answer may be kept: conditions and ranges of the client are then not passed on.
    pub keeps: bool,
    /// Whether the answer becomes a file for good.
    pub stores: bool,
    /// Whether GET is sent although the client sent HEAD.
    pub as_get: bool,
    /// Last-Modified of an expired answer the server is asked about.
    pub last_modified: Option<i64>,
    /// Its ETag.
    pub etag: Vec<u8>,
    /// Whether the request is the server's own, to fetch anew what the client got already.
    pub background: bool,
}

impl CacheUse {
    /// Whether no cache was asked.
    pub const fn is_unused(&self) -> bool {
        let Self { status, keeps, stores, as_get, last_modified, etag, background } = self;
        let plain = !*keeps && !*stores && !*as_get && !*background;
        plain && status.is_empty() && last_modified.is_none() && etag.is_empty()
    }

    fn clear(&mut self) {
        let Self { status, keeps, stores, as_get, last_modified, etag, background: _ } = self;
        (*status, *keeps, *stores, *as_get, *last_modified) = ("", false, false, false, None);
        etag.clear();
    }
}

/// What was tried for a request.
#[derive(Default)]
pub struct Attempts {
    /// In order.
    pub list: Vec<Attempt>,
    /// `scheme://` and URI of the backend request, while one is at work.
    pub url: Option<(&'static str, Vec<u8>)>,
    /// `$proxy_host`.
    pub host: Vec<u8>,
    /// Whether the backend is spoken to over TLS.
    pub secure: bool,
    /// The length of the body that is passed on, where it is known.
    pub body_length: Option<u64>,
    /// Whether the body is passed on in chunks.
    pub in_chunks: bool,
    /// What a cache is to it.
    pub cache: CacheUse,
    /// The fields behind the body of the last answer.
    pub trailers: Headers,
    head: Vec<u8>,
    entries: Vec<(std::ops::Range<u32>, std::ops::Range<u32>)>,
}

/// An attempt whose times are milliseconds, as they are shown; `NEVER` for none.
struct EndedAttempt {
    peer: Arc<str>,
    status: u16,
    times: [u32; 3],
    bytes: [u64; 3],
}

/// No time.
const NEVER: u32 = u32::MAX;

impl From<Attempt> for EndedAttempt {
    fn from(attempt: Attempt) -> Self {
        let Attempt { peer, status, connect, header, response, length, sent, received } = attempt;
        let millis =
            |time: Option<Duration>| time.map_or(NEVER, |time| time.as_millis().min(u128::from(NEVER - 1)) as u32);
        Self { peer, status, times: [connect, header, response].map(millis), bytes: [length, sent, received] }
    }
}

impl From<EndedAttempt> for Attempt {
    fn from(ended: EndedAttempt) -> Self {
        let EndedAttempt { peer, status, times, bytes: [length, sent, received] } = ended;
        let time = |millis: u32| (millis != NEVER).then(|| Duration::from_millis(millis.into()));
        let [connect, header, response] = times.map(time);
        Self { peer, status, connect, header, response, length, sent, received }
    }
}

/// What is left of attempts that have ended, beside texts.
pub struct EndedAttempts {
    list: Box<[EndedAttempt]>,
    scheme: Option<&'static str>,
    secure: bool,
    body_length: Option<u64>,
    in_chunks: bool,
    kept: Option<Box<KeptHead>>,
}

/// The head of a response, for the variables that show it, and where its headers are.
type KeptHead = (Vec<u8>, Vec<(std::ops::Range<u32>, std::ops::Range<u32>)>);

impl Attempts {
    /// Changes the current attempt.
    pub fn update(&mut self, change: impl FnOnce(&mut Attempt)) {
        if let Some(attempt) = self.list.last_mut() {
            change(attempt);
        }
    }

    /// What is left of them, with `$proxy_host` and the URI of the backend request; a cache has no part in it, and nothing
    /// comes behind a body.
    pub fn ended(&mut self) -> (EndedAttempts, Vec<u8>, Vec<u8>) {
        let Self { list, url, host, secure, body_length, in_chunks, cache: _, trailers: _, head, entries } = self;
        let (scheme, url) = url.take().map_or((None, Vec::new()), |(scheme, uri)| (Some(scheme), uri));
        let kept = (!entries.is_empty()).then(|| Box::new((head.as_slice().into(), std::mem::take(entries))));
        let list = std::mem::take(list).into_iter().map(EndedAttempt::from).collect();
        let (secure, body_length, in_chunks) = (*secure, *body_length, *in_chunks);
        (EndedAttempts { list, scheme, secure, body_length, in_chunks, kept }, std::mem::take(host), url)
    }

    /// Makes them what they were.
    pub fn restore(&mut self, ended: EndedAttempts, host: Vec<u8>, url: Vec<u8>) {
        self.list = ended.list.into_iter().map(Attempt::from).collect();
        self.url = ended.scheme.map(|scheme| (scheme, url));
        (self.host, self.secure) = (host, ended.secure);
        (self.body_length, self.in_chunks) = (ended.body_length, ended.in_chunks);
        if let Some(kept) = ended.kept {
            (self.head, self.entries) = *kept;
        }
    }

    /// Forgets everything.
    pub fn clear(&mut self) {
        self.list.clear();
        self.trailers.clear();
        self.url = None;
        self.host.clear();
        self.secure = false;
        (self.body_length, self.in_chunks) = (None, false);
        self.head.clear();
        self.entries.clear();
        self.cache.clear();
        self.cache.background = false;
    }

    /// Lets go of memory that is not filled.
    pub fn shrink(&mut self) {
        self.list.shrink_to_fit();
        self.host.shrink_to_fit();
        self.head.shrink_to_fit();
        self.entries.shrink_to_fit();
    }

    /// Forgets what an earlier answer for the same request told of itself.
    pub fn renew(&mut self) {
        self.trailers.clear();
        self.head.clear();
        self.entries.clear();
        self.cache.clear();
    }

    /// Begins another use of backends for the same request: in `$upstream_…` a colon separates the two.
    pub fn begin(&mut self) {
        if !self.list.is_empty() {
            self.list.push(Attempt::default());
        }
    }

    /// The backend a log line names.
    pub fn current_url(&self) -> Option<Vec<u8>> {
        let (scheme, uri) = self.url.as_ref()?;
        let peer = self.list.last().map(|attempt| &*attempt.peer).unwrap_or_default();
        let mut text = scheme.as_bytes().to_vec();
        text.extend_from_slice(peer.as_bytes());
        if peer.starts_with("unix:") {
            text.push(b':');
        }
        text.extend_from_slice(uri);
        Some(text)
    }

    /// Keeps a response's head for the variables that show it.
    pub fn keep(&mut self, head: &[u8], entries: Vec<(std::ops::Range<u32>, std::ops::Range<u32>)>) {
        self.head.clear();
        self.head.extend_from_slice(head);
        self.entries = entries;
    }

    fn named<'a>(&'a self, name: &'a [u8]) -> impl Iterator<Item = &'a [u8]> {
        let at =
            |range: &std::ops::Range<u32>| self.head.get(range.start as usize..range.end as usize).unwrap_or_default();
        self.entries
            .iter()
            .filter(move |(header, _)| variable_name_is(at(header), name))
            .map(move |(_, value)| at(value))
    }

    /// Appends the values of a response header.
    pub fn header(&self, name: &[u8], out: &mut Vec<u8>) -> bool {
        let mut found = false;
        for value in self.named(name) {
            if found {
                out.extend_from_slice(b", ");
            }
            out.extend_from_slice(value);
            found = true;
        }
        found
    }

    /// Appends the value of a response's cookie.
    pub fn cookie(&self, name: &[u8], out: &mut Vec<u8>) -> bool {
        for value in self.named(b"set_cookie") {
            if let Some(value) = set_cookie_of(value, name) {
                out.extend_from_slice(value);
                return true;
            }
        }
        false
    }

    /// Appends one value an attempt, as `$upstream_…` show them.
    pub fn each(&self, out: &mut Vec<u8>, write: impl Fn(&Attempt, &mut Vec<u8>) -> bool) -> bool {
        let mut between: &[u8] = b"";
        for attempt in &self.list {
            if attempt.peer.is_empty() {
                between = b" : ";
                continue;
            }
            out.extend_from_slice(between);
            between = b", ";
            if !write(attempt, out) {
                out.push(b'-');
            }
        }
        !self.list.is_empty()
    }
}
