//! One event loop: its listeners, the sites they belong to, and how both are replaced and retired.

use super::generation::{Process, Service};
use crate::http::{self, LoopState};
use crate::log::file::File;
use crate::log::{Level, Log};
use crate::net::address::Address;
use crate::net::transport::Transport;
use crate::stream::{self, Unreceived};
use crate::sys::socket::Watched;
use crate::upstream::watch::Running;
use socket2::{SockAddr, Socket};
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::io;
use std::os::fd::OwnedFd;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender};
use tokio::task::JoinHandle;

/// What all loops of the worker share.
pub struct Shared {
    /// What the worker counts.
    pub counters: Arc<http::Counters>,
    /// Event loops.
    pub loops: usize,
    /// Whether the worker ends when its connections do.
    pub quitting: AtomicBool,
}

/// A socket on its way to a loop.
pub type ListenSocket = (String, OwnedFd, Service);

/// A command to an event loop.
pub enum LoopCommand {
    /// Serve these from now on.
    Serve(Box<Sites>),
    /// Open the logs again.
    Reopen,
    /// Finish what is under way, then end.
    Quit,
    /// End now.
    Stop,
    /// Say that the loop has turns.
    Report(UnboundedSender<()>),
}

/// What a loop serves.
pub struct Sites {
    /// The http server.
    pub http: Option<Arc<http::Site>>,
    /// The stream server.
    pub stream: Option<Arc<stream::Site>>,
    /// The main log.
    pub log: Log,
    /// Log files.
    pub logs: Vec<Arc<File>>,
    /// The loop's sockets.
    pub sockets: Vec<ListenSocket>,
    /// Settings of the process.
    pub process: Process,
}

/// The server of a listener's new connections.
#[derive(Clone)]
enum Served {
    Http(Arc<http::Site>, Arc<http::Port>),
    Stream(Arc<stream::Site>, Arc<stream::Port>),
}

struct Listener {
    served: Rc<RefCell<Served>>,
    task: JoinHandle<()>,
}

/// The counts http's status page shows are those of all connections.
impl stream::Ledger for http::Counters {
    fn opened(&self) -> u64 {
        self.accepted.fetch_add(1, Ordering::Relaxed);
        self.active.fetch_add(1, Ordering::Relaxed);
        self.serial.fetch_add(1, Ordering::Relaxed) + 1
    }

    fn numbered(&self) {
        self.serial.fetch_add(1, Ordering::Relaxed);
    }

    fn closed(&self) {
        self.active.fetch_sub(1, Ordering::Relaxed);
    }
}

/// The state of both servers in a loop.
#[derive(Clone)]
struct LoopStates {
    http: Rc<LoopState>,
    stream: Rc<stream::LoopState>,
}

/// A running event loop.
pub struct Loop {
    loop_state: Rc<LoopState>,
    streams: Rc<stream::LoopState>,
    shared: Arc<Shared>,
    listeners: BTreeMap<String, Listener>,
    site: Option<Arc<http::Site>>,
    /// The checks of the sites' servers, on the first loop.
    checks: Vec<Running>,
    serves: bool,
    process: Option<Process>,
    log: Log,
    logs: Vec<Arc<File>>,
}

impl Loop {
    /// A loop that serves nothing yet.
    pub fn new(loop_state: Rc<LoopState>, shared: Arc<Shared>) -> Self {
        let streams = stream::LoopState::new(loop_state.event_loop.clone(), shared.counters.clone());
        Self {
            loop_state,
            streams,
            shared,
            listeners: BTreeMap::new(),
            site: None,
            checks: Vec::new(),
            serves: false,
            process: None,
            log: Log::default(),
            logs: Vec::new(),
        }
    }

    /// Takes orders until told to end.
    pub async fn run(mut self, mut orders: UnboundedReceiver<LoopCommand>) {
        loop {
            let patience = self.flush_time().unwrap_or(Duration::from_secs(3600));
            match tokio::time::timeout(patience, orders.recv()).await {
                Err(_) => self.flush(),
                Ok(Some(LoopCommand::Serve(sites))) => self.serve(*sites),
                // Who asked may be gone.
                Ok(Some(LoopCommand::Report(turn))) => drop(turn.send(())),
                Ok(Some(LoopCommand::Reopen)) => {
                    // What was logged before belongs into the files that were open then.
                    self.flush();
                    if self.loop_state.event_loop.number == 0 {
                        self.reopen();
                    }
                }
                Ok(Some(LoopCommand::Quit)) => {
                    self.quit().await;
                    break;
                }
                Ok(Some(LoopCommand::Stop) | None) => break,
            }
        }
        self.flush();
    }

    fn flush_time(&self) -> Option<Duration> {
        self.logs.iter().filter_map(|log| log.flush_time()).min()
    }

    fn flush(&self) {
        for log in &self.logs {
            log.flush(self.loop_state.event_loop.number, true, &self.log);
        }
    }

    fn reopen(&self) {
        for log in &self.logs {
            if let Err(error) = log.open() {
                let text = crate::conf::walk::errno(&error);
                self.log.write(Level::Emerg, None, &format!("open() \"{}\" failed ({text})", log.name()));
            }
        }
    }

    /// Puts new sites to work; connections of earlier ones finish under them.
    fn serve(&mut self, sites: Sites) {
        let mut kept = BTreeMap::new();
        for (name, fd, service) in sites.sockets {
            let served = match (service, &sites.http, &sites.stream) {
                (Service::Http(port), Some(site), _) => Served::Http(site.clone(), port),
                (Service::Stream(port), _, Some(site)) => Served::Stream(site.clone(), port),
                _ => continue,
            };
            if let Some(listener) = self.listeners.remove(&name) {
                *listener.served.borrow_mut() = served;
                kept.insert(name, listener);
            } else if let Some(listener) = self.listen(fd, served, &sites.log) {
                kept.insert(name, listener);
            }
        }
        for (_, gone) in std::mem::replace(&mut self.listeners, kept) {
            gone.task.abort();
        }
        // Listening sockets and the line to the parent count, as in nginx.
        let taken = self.listeners.len() + usize::from(sites.process.master);
        let connections = usize::try_from(sites.process.connections).unwrap_or(usize::MAX);
        self.loop_state.event_loop.connections.set(connections);
        self.loop_state.event_loop.listening.set(taken);
        self.process = Some(sites.process);
        self.flush();
        *self.loop_state.event_loop.errors.borrow_mut() = sites.log.clone();
        self.log = sites.log;
        self.logs = sites.logs;
        let again = std::mem::replace(&mut self.serves, true);
        self.site = sites.http;
        if self.loop_state.event_loop.number == 0 {
            self.site.iter().for_each(|site| site.upstreams.follow(&self.loop_state.event_loop));
            sites.stream.iter().for_each(|site| site.upstreams.follow(&self.loop_state.event_loop));
            // Those of an earlier configuration end before others begin.
            self.checks.clear();
            self.loop_state.counters.generation.fetch_add(1, Ordering::Relaxed);
            self.check(sites.stream.as_ref());
        }
        if again {
            self.loop_state.idle.clear();
            self.loop_state.retire(self.site.as_ref());
            self.streams.retire(sites.stream.as_ref());
            self.end_later();
        }
    }

    /// Begins to check the servers.
    fn check(&mut self, streams: Option<&Arc<stream::Site>>) {
        let event_loop = &self.loop_state.event_loop;
        self.checks.extend(self.site.iter().flat_map(|site| site.upstreams.check(event_loop)));
        self.checks.extend(streams.iter().flat_map(|site| site.upstreams.check(event_loop)));
        let http = self.site.as_ref().map(|site| http::start_checks(&self.loop_state, site));
        let stream = streams.map(|site| stream::start_checks(&self.streams, site));
        for started in http.into_iter().chain(stream) {
            match started {
                Ok(checks) => self.checks.extend(checks),
                Err(error) => {
                    let error = crate::conf::walk::errno(&error);
                    self.log.write(Level::Alert, None, &format!("socketpair() for health checks failed ({error})"));
                }
            }
        }
    }

    /// `worker_shutdown_timeout`: what still runs under earlier sites then is closed.
    fn end_later(&self) {
        let Some(time) = self.process.as_ref().and_then(|process| process.shutdown_timeout) else { return };
        let (loop_state, streams) = (self.loop_state.clone(), self.streams.clone());
        let by = std::time::Instant::now();
        crate::net::event_loop::spawn(async move {
            tokio::time::sleep(time).await;
            loop_state.close_retired(by);
            streams.close_retired(by);
        });
    }

    fn listen(&self, fd: OwnedFd, served: Served, log: &Log) -> Option<Listener> {
        let datagrams = match &served {
            Served::Stream(_, port) if port.options.udp => Some(port.address.clone()),
            Served::Stream(..) | Served::Http(..) => None,
        };
        let served = Rc::new(RefCell::new(served));
        if let Some(address) = datagrams {
            let receiver = match stream::Receiver::new(self.streams.clone(), fd, &address) {
                Ok(receiver) => receiver,
                Err(error) => {
                    let error = crate::conf::walk::errno(&error);
                    log.write(Level::Alert, None, &format!("recvmsg() on {address} failed ({error})"));
                    return None;
                }
            };
            let receiving = receive(self.loop_state.clone(), receiver, served.clone(), log.clone());
            return Some(Listener { served, task: crate::net::event_loop::spawn(receiving) });
        }
        let socket = Socket::from(fd);
        let waker = ListenerWaker::new(&socket, self.shared.loops > 1);
        let waker = match waker {
            Ok(waker) => waker,
            Err(error) => {
                let error = crate::conf::walk::errno(&error);
                log.write(Level::Alert, None, &format!("epoll_ctl() failed ({error})"));
                return None;
            }
        };
        let loop_states = LoopStates { http: self.loop_state.clone(), stream: self.streams.clone() };
        let accepting = accept(loop_states, (socket, waker), served.clone(), log.clone());
        Some(Listener { served, task: crate::net::event_loop::spawn(accepting) })
    }

    /// Stops listening and waits for connections to finish.
    async fn quit(&mut self) {
        for (_, listener) in std::mem::take(&mut self.listeners) {
            listener.task.abort();
        }
        self.checks.clear();
        self.loop_state.idle.clear();
        self.loop_state.retire(None);
        self.streams.retire(None);
        self.end_later();
        while !(self.loop_state.open.borrow().is_empty() && self.streams.is_idle()) {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

/// What a loop waits for to learn of connections: the listener, or where loops share it a descriptor of which the kernel
/// wakes one loop for each connection.
struct ListenerWaker(Watched<OwnedFd>);

impl ListenerWaker {
    fn new(socket: &Socket, shared: bool) -> io::Result<Self> {
        use std::os::fd::AsFd as _;
        let fd = if shared { crate::sys::socket::exclusive(socket)? } else { socket.as_fd().try_clone_to_owned()? };
        Ok(Self(crate::sys::socket::watch(fd)?))
    }
}

/// Accepts connections for as long as the listener is wanted.
async fn accept(
    loop_states: LoopStates,
    (socket, waker): (Socket, ListenerWaker),
    served: Rc<RefCell<Served>>,
    log: Log,
) {
    loop {
        let Ok(mut ready) = waker.0.readable().await else { return };
        for _ in 0..64 {
            match crate::sys::socket::accept(&socket) {
                Ok((stream, peer)) => {
                    if !loop_states.http.has_room(&log) {
                        let most = loop_states.http.event_loop.connections.get();
                        log.write(Level::Alert, None, &format!("{most} worker_connections are not enough"));
                        continue;
                    }
                    begin(&loop_states, &served, stream, &peer);
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    ready.clear_ready();
                    break;
                }
                Err(error) if matches!(error.raw_os_error(), Some(libc::EMFILE | libc::ENFILE)) => {
                    let text = crate::conf::walk::errno(&error);
                    log.write(Level::Crit, None, &format!("accept4() failed ({text})"));
                    tokio::time::sleep(Duration::from_millis(500)).await;
                    break;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => {
                    let text = crate::conf::walk::errno(&error);
                    log.write(Level::Error, None, &format!("accept4() failed ({text})"));
                }
                Err(error) => {
                    let text = crate::conf::walk::errno(&error);
                    log.write(Level::Alert, None, &format!("accept4() failed ({text})"));
                    // Whatever it is, it is not over at once.
                    tokio::time::sleep(Duration::from_millis(500)).await;
                    break;
                }
            }
        }
    }
}

/// Begins sessions of datagrams for as long as the listener is wanted.
///
/// Differs from nginx: datagrams that find no connection free are told of once a second. [test: a_flood_of_clients_is_told_of_once_a_second]
async fn receive(loop_state: Rc<LoopState>, receiver: stream::Receiver, served: Rc<RefCell<Served>>, log: Log) {
    let mut told = None;
    loop {
        match receiver.first().await {
            Ok(first) => {
                if !loop_state.has_room(&log) {
                    let second = loop_state.event_loop.clock.now().as_secs();
                    if told.replace(second) != Some(second) {
                        let most = loop_state.event_loop.connections.get();
                        log.write(Level::Alert, None, &format!("{most} worker_connections are not enough"));
                    }
                    continue;
                }
                let served = served.borrow().clone();
                if let Served::Stream(site, port) = served {
                    receiver.begin(site, &port, first);
                }
            }
            Err(Unreceived::Cut) => log.write(Level::Alert, None, "recvmsg() truncated data"),
            Err(Unreceived::Failed(error)) => {
                let text = crate::conf::walk::errno(&error);
                log.write(Level::Alert, None, &format!("recvmsg() failed ({text})"));
                // Whatever it is, it is not over at once.
                tokio::time::sleep(Duration::from_millis(500)).await;
            }
        }
    }
}

fn begin(loop_states: &LoopStates, served: &Rc<RefCell<Served>>, socket: Socket, peer: &SockAddr) {
    let peer = match peer.as_socket() {
        Some(address) => Address::Ip(address),
        None => Address::Unix(String::new()),
    };
    let Ok(stream) = Transport::new(socket) else { return };
    match served.borrow().clone() {
        Served::Http(site, port) => {
            if let Some(serving) = http::serve(&loop_states.http, site, &port, (stream, peer)) {
                crate::net::event_loop::spawn(serving);
            }
        }
        Served::Stream(site, port) => {
            crate::net::event_loop::spawn(stream::serve(loop_states.stream.clone(), site, port, (stream, peer)));
        }
    }
}
