//! One event loop: its listeners, the sites they belong to, and how both are replaced and retired.

use super::generation::{Process, Service};
use super::worker::{Given, Shared};
use crate::http::{self, Front};
use crate::log::file::File;
use crate::log::{Level, Log};
use crate::net::address::Address;
use crate::net::transport::Transport;
use crate::stream;
use crate::sys::socket::Watched;
use socket2::{SockAddr, Socket};
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::io;
use std::os::fd::OwnedFd;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::task::JoinHandle;

/// What a loop may be told.
pub enum Order {
    /// Serve these from now on.
    Serve(Box<Sites>),
    /// Open the logs again.
    Reopen,
    /// Finish what is under way, then end.
    Quit,
    /// End now.
    Stop,
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
    pub sockets: Vec<Given>,
    /// Settings of the process.
    pub process: Process,
}

/// Who serves new connections of a listener.
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

/// Both servers' shares of a loop.
#[derive(Clone)]
struct Fronts {
    http: Rc<Front>,
    stream: Rc<stream::Front>,
}

/// A loop at work.
pub struct Loop {
    front: Rc<Front>,
    streams: Rc<stream::Front>,
    shared: Arc<Shared>,
    listeners: BTreeMap<String, Listener>,
    site: Option<Arc<http::Site>>,
    serves: bool,
    process: Option<Process>,
    log: Log,
    logs: Vec<Arc<File>>,
}

impl Loop {
    /// A loop that serves nothing yet.
    pub fn new(front: Rc<Front>, shared: Arc<Shared>) -> Self {
        let streams = stream::Front::new(front.turn.clone(), shared.counters.clone());
        Self {
            front,
            streams,
            shared,
            listeners: BTreeMap::new(),
            site: None,
            serves: false,
            process: None,
            log: Log::default(),
            logs: Vec::new(),
        }
    }

    /// Takes orders until told to end.
    pub async fn run(mut self, mut orders: UnboundedReceiver<Order>) {
        loop {
            let patience = self.flush_time().unwrap_or(Duration::from_secs(3600));
            match tokio::time::timeout(patience, orders.recv()).await {
                Err(_) => self.flush(),
                Ok(Some(Order::Serve(sites))) => self.serve(*sites),
                Ok(Some(Order::Reopen)) => {
                    // What was logged before belongs into the files that were open then.
                    self.flush();
                    if self.front.turn.number == 0 {
                        self.reopen();
                    }
                }
                Ok(Some(Order::Quit)) => {
                    self.quit().await;
                    break;
                }
                Ok(Some(Order::Stop) | None) => break,
            }
        }
        self.flush();
    }

    fn flush_time(&self) -> Option<Duration> {
        self.logs.iter().filter_map(|log| log.flush_time()).min()
    }

    fn flush(&self) {
        for log in &self.logs {
            log.flush(self.front.turn.number, true, &self.log);
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
        self.front.turn.connections.set(connections);
        self.front.turn.listening.set(taken);
        self.process = Some(sites.process);
        self.flush();
        *self.front.turn.errors.borrow_mut() = sites.log.clone();
        self.log = sites.log;
        self.logs = sites.logs;
        let again = std::mem::replace(&mut self.serves, true);
        self.site = sites.http;
        if self.front.turn.number == 0 {
            self.site.iter().for_each(|site| site.upstreams.follow(&self.front.turn));
            sites.stream.iter().for_each(|site| site.upstreams.follow(&self.front.turn));
        }
        if again {
            self.front.idle.clear();
            self.front.retire(self.site.as_ref());
            self.streams.retire(sites.stream.as_ref());
            self.end_later();
        }
    }

    /// `worker_shutdown_timeout`: what still runs under earlier sites then is closed.
    fn end_later(&self) {
        let Some(time) = self.process.as_ref().and_then(|process| process.shutdown_timeout) else { return };
        let (front, streams) = (self.front.clone(), self.streams.clone());
        let by = std::time::Instant::now();
        crate::net::turn::spawn(async move {
            tokio::time::sleep(time).await;
            front.close_retired(by);
            streams.close_retired(by);
        });
    }

    fn listen(&self, fd: OwnedFd, served: Served, log: &Log) -> Option<Listener> {
        let socket = Socket::from(fd);
        let served = Rc::new(RefCell::new(served));
        let waited = Waited::new(&socket, self.shared.loops > 1);
        let waited = match waited {
            Ok(waited) => waited,
            Err(error) => {
                let error = crate::conf::walk::errno(&error);
                log.write(Level::Alert, None, &format!("epoll_ctl() failed ({error})"));
                return None;
            }
        };
        let fronts = Fronts { http: self.front.clone(), stream: self.streams.clone() };
        let accepting = accept(fronts, (socket, waited), served.clone(), log.clone());
        Some(Listener { served, task: crate::net::turn::spawn(accepting) })
    }

    /// Stops listening and waits for connections to finish.
    async fn quit(&mut self) {
        for (_, listener) in std::mem::take(&mut self.listeners) {
            listener.task.abort();
        }
        self.front.idle.clear();
        self.front.retire(None);
        self.streams.retire(None);
        self.end_later();
        while !(self.front.open.borrow().is_empty() && self.streams.is_idle()) {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

/// What a loop waits for to learn of connections: the listener, or where loops share it a descriptor of which the kernel
/// wakes one loop for each connection.
struct Waited(Watched<OwnedFd>);

impl Waited {
    fn new(socket: &Socket, shared: bool) -> io::Result<Self> {
        use std::os::fd::AsFd as _;
        let fd = if shared { crate::sys::socket::exclusive(socket)? } else { socket.as_fd().try_clone_to_owned()? };
        Ok(Self(crate::sys::socket::watch(fd)?))
    }
}

/// Accepts connections for as long as the listener is wanted.
async fn accept(fronts: Fronts, (socket, waited): (Socket, Waited), served: Rc<RefCell<Served>>, log: Log) {
    loop {
        let Ok(mut ready) = waited.0.readable().await else { return };
        for _ in 0..64 {
            match crate::sys::socket::accept(&socket) {
                Ok((stream, peer)) => {
                    if !fronts.http.has_room(&log) {
                        let most = fronts.http.turn.connections.get();
                        log.write(Level::Alert, None, &format!("{most} worker_connections are not enough"));
                        continue;
                    }
                    begin(&fronts, &served, stream, &peer);
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

fn begin(fronts: &Fronts, served: &Rc<RefCell<Served>>, socket: Socket, peer: &SockAddr) {
    let peer = match peer.as_socket() {
        Some(address) => Address::Ip(address),
        None => Address::Unix(String::new()),
    };
    let Ok(stream) = Transport::new(socket) else { return };
    match served.borrow().clone() {
        Served::Http(site, port) => {
            if let Some(serving) = http::serve(&fronts.http, site, &port, (stream, peer)) {
                crate::net::turn::spawn(serving);
            }
        }
        Served::Stream(site, port) => {
            crate::net::turn::spawn(stream::serve(fronts.stream.clone(), site, port, (stream, peer)));
        }
    }
}
