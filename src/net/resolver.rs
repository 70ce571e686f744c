//! A loop's resolver: asks name servers over UDP, over TCP where an answer does not fit, and remembers answers.
//!
//! Each loop has a resolver of its own for each `resolver` of the configuration, as each worker of nginx has. Sockets are
//! opened with the first query and closed when no name is known any more; responses are taken from the server that was
//! asked alone, as the sockets are connected.

mod machine;

use self::machine::{Answer, Key, Link, Machine, Records, Rules};
use super::dns::Code;
use super::event_loop::{EventLoop, spawn};
use crate::conf::bytes::raw;
use crate::conf::walk::errno;
use crate::log::{Level, Log};
use aws_lc_rs::rand::{SecureRandom as _, SystemRandom};
use hashbrown::HashMap;
use socket2::SockRef;
use std::cell::RefCell;
use std::fmt::{self, Display};
use std::future::poll_fn;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::rc::{Rc, Weak};
use std::sync::{Arc, Weak as ArcWeak};
use std::task::{Poll, Waker};
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpStream, UdpSocket};
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio::time::Instant;

/// The most a response over UDP has (nginx's number).
const DATAGRAM: usize = 4096;
/// The most that waits to be sent over TCP (nginx's number).
const UNSENT: usize = 8192;
/// How long a connection over TCP is kept after it was last written to (nginx's number).
const TCP: Duration = Duration::from_secs(5);

/// Name servers, and how they are asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NameServers {
    /// Their addresses, in the order of the configuration.
    pub addresses: Box<[SocketAddr]>,
    /// Seconds for which answers hold; 0 for as long as they say.
    pub valid: u64,
    /// Whether IPv4 addresses are asked for.
    pub ipv4: bool,
    /// Whether IPv6 addresses are asked for.
    pub ipv6: bool,
}

/// Why a name has no address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unknown {
    /// The reason.
    pub code: Code,
    /// For how long that holds, from now on.
    pub holds: Duration,
}

impl Display for Unknown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.code.fmt(f)
    }
}

/// Addresses of a name, and for how long they hold.
#[derive(Clone, Debug)]
pub struct Addresses {
    /// In the order they are to be used.
    pub all: Rc<[IpAddr]>,
    /// For how long, from now on.
    pub holds: Duration,
}

/// A server of a service.
#[derive(Clone, Debug)]
pub struct Located {
    /// Its address and port.
    pub address: SocketAddr,
    /// Its name.
    pub name: String,
    /// The lower, the earlier it is asked.
    pub priority: u16,
    /// Its share among those of its priority.
    pub weight: u16,
}

/// The servers of a service, and for how long they hold.
#[derive(Clone, Debug)]
pub struct Services {
    /// In the order of their priorities.
    pub all: Vec<Located>,
    /// For how long, from now on.
    pub holds: Duration,
}

/// Names that a service gives and that have no address.
pub type Missing = Vec<(String, Unknown)>;

/// A loop's resolvers, by the configuration they belong to.
#[derive(Default)]
pub struct Resolvers {
    made: RefCell<Vec<(ArcWeak<NameServers>, Rc<Resolver>)>>,
}

impl Resolvers {
    /// The resolver that asks these servers; its errors go to `errors`.
    pub fn of(&self, servers: &Arc<NameServers>, errors: &Log) -> Rc<Resolver> {
        let mut made = self.made.borrow_mut();
        if let Some((_, resolver)) = made.iter().find(|(of, _)| std::ptr::eq(of.as_ptr(), Arc::as_ptr(servers))) {
            return resolver.clone();
        }
        // Those of earlier configurations go with them.
        made.retain(|(of, _)| of.strong_count() > 0);
        let resolver = Resolver::new(servers, errors);
        made.push((Arc::downgrade(servers), resolver.clone()));
        resolver
    }
}

/// How names are looked up while serving.
#[derive(Clone, Debug)]
pub struct Lookup {
    servers: Arc<NameServers>,
    timeout: Duration,
}

impl Lookup {
    /// A look-up with these name servers and this timeout.
    pub const fn new(servers: Arc<NameServers>, timeout: Duration) -> Self {
        Self { servers, timeout }
    }

    fn resolver(&self, event_loop: &EventLoop) -> Rc<Resolver> {
        let errors: Log = event_loop.errors.borrow().clone();
        event_loop.resolvers.of(&self.servers, &errors)
    }

    /// `resolver_timeout`.
    pub const fn timeout(&self) -> Duration {
        self.timeout
    }

    /// The addresses of a host.
    ///
    /// # Errors
    /// Why there are none.
    pub async fn find(&self, host: &str, event_loop: &EventLoop) -> Result<Addresses, Unknown> {
        self.resolver(event_loop).addresses(host.as_bytes(), self.timeout).await
    }

    /// The servers of a service of a domain, and its names that have no address.
    pub async fn find_service(
        &self,
        service: &str,
        domain: &str,
        event_loop: &EventLoop,
    ) -> (Result<Services, Unknown>, Missing) {
        self.resolver(event_loop).services(service, domain, self.timeout).await
    }

    /// What nginx says where there are none.
    pub fn complaint(host: &str, unknown: Unknown) -> String {
        let host = host.strip_suffix('.').unwrap_or(host).to_ascii_lowercase();
        format!("{host} could not be resolved ({unknown})")
    }
}

/// Asks a list of name servers.
pub struct Resolver {
    begun: Instant,
    machine: RefCell<Machine>,
    wires: RefCell<Wires>,
    /// A name is asked for that was not before.
    changed: Notify,
}

impl Resolver {
    fn new(servers: &NameServers, errors: &Log) -> Rc<Self> {
        let rules =
            Rules { servers: servers.addresses.len(), valid: servers.valid, ipv4: servers.ipv4, ipv6: servers.ipv6 };
        Rc::new_cyclic(|me| Self {
            begun: Instant::now(),
            machine: RefCell::new(Machine::new(rules)),
            wires: RefCell::new(Wires {
                resolver: me.clone(),
                errors: errors.clone(),
                random: SystemRandom::new(),
                waits: HashMap::new(),
                servers: servers
                    .addresses
                    .iter()
                    .map(|address| Wire { address: *address, udp: None, tcp: None })
                    .collect(),
                keeps_time: false,
            }),
            changed: Notify::new(),
        })
    }

    fn now(&self) -> Duration {
        self.begun.elapsed()
    }

    /// Finds the addresses of a name; without a `timeout` there is no end to the wait.
    ///
    /// # Errors
    /// Why there are none.
    pub async fn addresses(self: &Rc<Self>, name: &[u8], timeout: Duration) -> Result<Addresses, Unknown> {
        let wait = self.ask(false, name);
        self.hosts(&wait, end_of(timeout)).await
    }

    async fn hosts(&self, wait: &Wait<'_>, end: Option<Instant>) -> Result<Addresses, Unknown> {
        let answer = wait.answer(end).await?;
        match answer.records {
            Records::Addresses(all) => Ok(Addresses { all, holds: self.left(answer.valid) }),
            Records::Services(_) => Err(NOTHING),
        }
    }

    /// Finds the servers of a service of a domain, and their addresses; a service without a dot is one over TCP.
    pub async fn services(
        self: &Rc<Self>,
        service: &str,
        domain: &str,
        timeout: Duration,
    ) -> (Result<Services, Unknown>, Missing) {
        let name =
            if service.contains('.') { format!("{service}.{domain}") } else { format!("_{service}._tcp.{domain}") };
        let mut missing = Vec::new();
        let answer = match self.ask(true, name.as_bytes()).answer(end_of(timeout)).await {
            Ok(answer) => answer,
            Err(unknown) => return (Err(unknown), missing),
        };
        let Records::Services(servers) = answer.records else { return (Err(NOTHING), missing) };
        // All are asked for before the first is waited for.
        let waits: Vec<_> = servers.iter().map(|server| (server, self.ask(false, &server.name))).collect();
        let end = end_of(timeout);
        let (mut all, mut holds) = (Vec::new(), self.left(answer.valid));
        for (server, wait) in &waits {
            let name = String::from_utf8_lossy(&server.name).into_owned();
            match self.hosts(wait, end).await {
                Ok(found) => {
                    holds = holds.min(found.holds);
                    all.extend(found.all.iter().map(|ip| Located {
                        address: SocketAddr::new(*ip, server.port),
                        name: name.clone(),
                        priority: server.priority,
                        weight: server.weight,
                    }));
                }
                Err(unknown) => missing.push((name, unknown)),
            }
        }
        if !all.is_empty() {
            return (Ok(Services { all, holds }), missing);
        }
        let codes = || missing.iter().map(|(_, unknown)| *unknown);
        let unknown = codes().find(|unknown| unknown.code == Code::NOT_FOUND).or_else(|| codes().next());
        (Err(unknown.unwrap_or(NOTHING)), missing)
    }

    fn left(&self, valid: u64) -> Duration {
        Duration::from_secs(valid.saturating_sub(self.now().as_secs()))
    }

    /// Asks for a name.
    fn ask(&self, service: bool, name: &[u8]) -> Wait<'_> {
        let name = name.strip_suffix(b".").unwrap_or(name).to_ascii_lowercase();
        let wires = &mut *self.wires.borrow_mut();
        let waiter = self.machine.borrow_mut().ask(Key { service, name }, self.now(), wires);
        wires.keep_time();
        self.changed.notify_one();
        Wait { resolver: self, waiter }
    }

    fn receive(&self, message: &[u8], tcp: bool) {
        self.machine.borrow_mut().receive(message, tcp, self.now(), &mut *self.wires.borrow_mut());
        self.changed.notify_one();
    }

    /// Does what is due; how long until something is due next, or nothing where no name is known or asked for: then the
    /// sockets are closed.
    fn tick(&self) -> Option<Duration> {
        let wires = &mut *self.wires.borrow_mut();
        let now = self.now();
        let next = self.machine.borrow_mut().tick(now, wires);
        if next.is_none() {
            for wire in &mut wires.servers {
                (wire.udp, wire.tcp) = (None, None);
            }
            wires.keeps_time = false;
        }
        next.map(|at| at.saturating_sub(now))
    }
}

const TIMED_OUT: Unknown = Unknown { code: Code::TIMED_OUT, holds: Duration::ZERO };
const NOTHING: Unknown = Unknown { code: Code::NOT_FOUND, holds: Duration::ZERO };

/// When a wait ends; never where there is no timeout.
fn end_of(timeout: Duration) -> Option<Instant> {
    (!timeout.is_zero()).then(|| Instant::now().checked_add(timeout)).flatten()
}

/// A wait for an answer; it ends when this is dropped.
struct Wait<'a> {
    resolver: &'a Resolver,
    waiter: usize,
}

impl Wait<'_> {
    /// The answer, or [`Code::TIMED_OUT`] where there is none at `end`.
    async fn answer(&self, end: Option<Instant>) -> Result<Answer, Unknown> {
        let answer = poll_fn(|cx| {
            let waits = &mut self.resolver.wires.borrow_mut().waits;
            if let Some(Outcome::Answer(answer)) = waits.get(&self.waiter) {
                return Poll::Ready(answer.clone());
            }
            waits.insert(self.waiter, Outcome::Waker(cx.waker().clone()));
            Poll::Pending
        });
        match end {
            None => answer.await,
            Some(end) => tokio::time::timeout_at(end, answer).await.unwrap_or(Err(TIMED_OUT)),
        }
    }
}

impl Drop for Wait<'_> {
    fn drop(&mut self) {
        self.resolver.machine.borrow_mut().cancel(self.waiter);
        self.resolver.wires.borrow_mut().waits.remove(&self.waiter);
    }
}

/// What a wait is at.
enum Outcome {
    Waker(Waker),
    Answer(Result<Answer, Unknown>),
}

/// A task that ends when this is dropped.
struct Task(JoinHandle<()>);

impl Drop for Task {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// A socket over which queries are sent, and the task that reads responses from it.
struct Datagrams {
    socket: Rc<UdpSocket>,
    _reader: Task,
}

/// A connection for queries whose answers are too long for a datagram.
struct Connection {
    unsent: Rc<Unsent>,
    _task: Task,
}

/// Messages to be sent over a connection, each behind its length.
#[derive(Default)]
struct Unsent {
    bytes: RefCell<Vec<u8>>,
    added: Notify,
}

/// A name server and the sockets to it.
struct Wire {
    address: SocketAddr,
    udp: Option<Datagrams>,
    tcp: Option<Connection>,
}

/// The sockets of a resolver, and those who wait.
struct Wires {
    resolver: Weak<Resolver>,
    errors: Log,
    random: SystemRandom,
    waits: HashMap<usize, Outcome>,
    servers: Vec<Wire>,
    keeps_time: bool,
}

impl Link for Wires {
    fn send(&mut self, server: usize, tcp: bool, query: &[u8]) -> bool {
        let Some(wire) = self.servers.get_mut(server) else { return false };
        let address = wire.address;
        if tcp {
            let resolver = &self.resolver;
            let connection = wire.tcp.get_or_insert_with(|| Connection::open(resolver.clone(), (server, address)));
            let sent = connection.add(query);
            if !sent {
                failed(&self.errors, Level::Crit, "buffer overflow", address);
            }
            return sent;
        }
        let datagrams = match wire.udp.take() {
            Some(datagrams) => Ok(datagrams),
            None => Datagrams::open(self.resolver.clone(), (server, address)),
        };
        let datagrams = match datagrams {
            Ok(datagrams) => datagrams,
            Err(error) => {
                failed(&self.errors, Level::Crit, &format!("connect() failed ({})", errno(&error)), address);
                return false;
            }
        };
        match SockRef::from(&*datagrams.socket).send(query) {
            Ok(_) => {
                wire.udp = Some(datagrams);
                true
            }
            Err(error) => {
                failed(&self.errors, severity(&error), &format!("send() failed ({})", errno(&error)), address);
                false
            }
        }
    }

    fn answer(&mut self, waiter: usize, answer: Result<Answer, Unknown>) {
        if let Some(Outcome::Waker(waker)) = self.waits.insert(waiter, Outcome::Answer(answer)) {
            waker.wake();
        }
    }

    fn log(&mut self, text: &str) {
        self.errors.write(Level::Error, None, &raw(text));
    }

    fn random(&mut self) -> u32 {
        let mut bytes = [0; 4];
        // The system's generator does not fail once it has been seeded.
        let _ = self.random.fill(&mut bytes);
        u32::from_ne_bytes(bytes)
    }
}

impl Wires {
    /// Starts the task that repeats queries and forgets names, unless it runs.
    fn keep_time(&mut self) {
        if std::mem::replace(&mut self.keeps_time, true) {
            return;
        }
        let weak = self.resolver.clone();
        spawn(async move {
            while let Some(resolver) = weak.upgrade() {
                let Some(next) = resolver.tick() else { return };
                let changed = resolver.changed.notified();
                let _ = tokio::time::timeout(next, changed).await;
            }
        });
    }
}

/// Logs what went wrong with a server.
fn failed(errors: &Log, level: Level, text: &str, address: SocketAddr) {
    errors.write(level, None, &format!("{text} while resolving, resolver: {address}"));
}

/// How bad nginx takes an error of a socket.
fn severity(error: &io::Error) -> Level {
    const USUAL: [i32; 8] = [
        libc::ECONNRESET,
        libc::EPIPE,
        libc::ENOTCONN,
        libc::ETIMEDOUT,
        libc::ECONNREFUSED,
        libc::ENETUNREACH,
        libc::EHOSTUNREACH,
        libc::ENETDOWN,
    ];
    if error.raw_os_error().is_some_and(|code| USUAL.contains(&code)) { Level::Error } else { Level::Alert }
}

impl Datagrams {
    fn open(resolver: Weak<Resolver>, (server, address): (usize, SocketAddr)) -> io::Result<Self> {
        let any = if address.is_ipv4() { IpAddr::from(Ipv4Addr::UNSPECIFIED) } else { Ipv6Addr::UNSPECIFIED.into() };
        let socket = std::net::UdpSocket::bind((any, 0))?;
        socket.connect(address)?;
        socket.set_nonblocking(true)?;
        let socket = Rc::new(UdpSocket::from_std(socket)?);
        let reader = Self::read(socket.clone(), resolver, (server, address));
        Ok(Self { socket, _reader: Task(spawn(reader)) })
    }

    /// Reads responses until an error; then the socket is closed, and the next query opens another.
    async fn read(socket: Rc<UdpSocket>, resolver: Weak<Resolver>, (server, address): (usize, SocketAddr)) {
        let mut buffer = vec![0; DATAGRAM];
        loop {
            let outcome = socket.recv(&mut buffer).await;
            let Some(resolver) = resolver.upgrade() else { return };
            match outcome {
                Ok(count) => resolver.receive(buffer.get(..count).unwrap_or_default(), false),
                Err(error) => {
                    let wires = &mut *resolver.wires.borrow_mut();
                    failed(&wires.errors, severity(&error), &format!("recv() failed ({})", errno(&error)), address);
                    if let Some(wire) = wires.servers.get_mut(server) {
                        wire.udp = None;
                    }
                    return;
                }
            }
        }
    }
}

impl Connection {
    fn open(resolver: Weak<Resolver>, (server, address): (usize, SocketAddr)) -> Self {
        let unsent = Rc::<Unsent>::default();
        let task = Self::run(unsent.clone(), resolver, (server, address));
        Self { unsent, _task: Task(spawn(task)) }
    }

    /// Appends a query; false where too much waits already.
    fn add(&self, query: &[u8]) -> bool {
        let mut bytes = self.unsent.bytes.borrow_mut();
        let Some(length) = u16::try_from(query.len()).ok().filter(|_| bytes.len() + 2 + query.len() <= UNSENT) else {
            return false;
        };
        bytes.extend_from_slice(&length.to_be_bytes());
        bytes.extend_from_slice(query);
        self.unsent.added.notify_one();
        true
    }

    async fn run(unsent: Rc<Unsent>, resolver: Weak<Resolver>, (server, address): (usize, SocketAddr)) {
        let outcome = Self::exchange(&unsent, &resolver, address).await;
        let Some(resolver) = resolver.upgrade() else { return };
        let wires = &mut *resolver.wires.borrow_mut();
        if let Err(error) = outcome {
            failed(&wires.errors, severity(&error), &format!("recv() failed ({})", errno(&error)), address);
        }
        if let Some(wire) = wires.servers.get_mut(server) {
            wire.tcp = None;
        }
    }

    /// Sends queries and reads responses until the server closes, or nothing was sent for a while.
    async fn exchange(unsent: &Unsent, resolver: &Weak<Resolver>, address: SocketAddr) -> io::Result<()> {
        let Ok(socket) = tokio::time::timeout(TCP, TcpStream::connect(address)).await else { return Ok(()) };
        let (mut reader, mut writer) = socket?.into_split();
        let mut end = Instant::now() + TCP;
        let mut input = Vec::new();
        loop {
            let bytes = std::mem::take(&mut *unsent.bytes.borrow_mut());
            if !bytes.is_empty() {
                let Ok(sent) = tokio::time::timeout(TCP, writer.write_all(&bytes)).await else { return Ok(()) };
                sent?;
                end = Instant::now() + TCP;
            }
            tokio::select! {
                () = tokio::time::sleep_until(end) => return Ok(()),
                () = unsent.added.notified() => {}
                count = reader.read_buf(&mut input) => {
                    if count? == 0 {
                        return Ok(());
                    }
                    let Some(resolver) = resolver.upgrade() else { return Ok(()) };
                    while let Some(message) = first(&input) {
                        resolver.receive(message, true);
                        let taken = 2 + message.len();
                        input.drain(..taken);
                    }
                }
            }
        }
    }
}

/// The first whole message of what came over TCP.
fn first(input: &[u8]) -> Option<&[u8]> {
    let (length, rest) = input.split_first_chunk::<2>()?;
    rest.get(..usize::from(u16::from_be_bytes(*length)))
}
