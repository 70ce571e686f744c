//! The worker process: event loops on threads, each with the same site; reloads are taken between events.

use super::bundle::Bundle;
use super::channel::{self, Channel, Kind};
use super::generation::{self, Generation, Process};
use super::liveness;
use super::open::{self, Listeners};
use super::parent;
use super::serve::{self, Loop, LoopCommand, Shared};
use crate::http;
use crate::log::{Level, Log};
use crate::net::event_loop::{EventLoop, Unwritten, spawn, woken, write_logs};
use crate::run::service::ServiceManager;
use crate::session::tls;
use crate::sys::signal::{Arrived, SignalQueue};
use crate::zone::cache::Keeper;
use crate::zone::registry::Registry as Zones;
use nix::sys::signal::Signal;
use std::io;
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::net::UnixListener;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

/// Ends the process without unwinding into the parent's code.
#[expect(clippy::exit, reason = "a forked worker must not return into its parent's stack")]
pub fn leave(code: u8) -> ! {
    std::process::exit(i32::from(code))
}

/// Runs the worker over a generation inherited from the parent, with the line to it and the socket of liveness. The result
/// is the exit status. A worker without a parent speaks with the service manager itself.
pub fn run(
    generation: &Generation,
    listeners: Listeners,
    (parent, liveness): (Option<Channel>, Option<UnixListener>),
    manager: ServiceManager,
) -> u8 {
    let log = generation.log.clone();
    let watch = [
        Signal::SIGTERM,
        Signal::SIGINT,
        Signal::SIGQUIT,
        Signal::SIGUSR1,
        Signal::SIGHUP,
        Signal::SIGCHLD,
        Signal::SIGUSR2,
        Signal::SIGWINCH,
    ];
    let Ok(signals) = SignalQueue::new(&watch.map(|signal| signal as i32)) else { return 2 };
    if let Err(text) = settle(&generation.process, parent.is_some(), &log) {
        log.write(Level::Emerg, None, &text);
        return 2;
    }
    let panics = log.clone();
    std::panic::set_hook(Box::new(move |panic| {
        panics.write(Level::Alert, None, &format!("a connection was ended by an internal error: {panic}"));
    }));
    let shared = Arc::new(Shared {
        counters: Arc::default(),
        loops: generation.process.loops,
        quitting: AtomicBool::new(false),
    });
    let loops = generation.process.loops;
    let mut orders = Vec::new();
    let mut threads = Vec::new();
    let mut first = None;
    for number in 0..loops {
        let (sender, receiver) = unbounded_channel();
        orders.push(sender);
        let shared = shared.clone();
        if number == 0 {
            first = Some(receiver);
            continue;
        }
        let builder = std::thread::Builder::new().name(format!("loop {number}"));
        let own = log.clone();
        match builder.spawn(move || event_loop(number, receiver, &shared, &own, None)) {
            Ok(thread) => threads.push(thread),
            // Its sockets are closed with the orders it will not take; the other loops serve.
            Err(error) => {
                let error = crate::conf::walk::errno(&error);
                log.write(Level::Alert, None, &format!("pthread_create() of event loop {number} failed ({error})"));
            }
        }
    }
    let last = log.clone();
    let sites = (generation.http.clone(), generation.stream.clone());
    let control = Control {
        shared: shared.clone(),
        signals,
        master: parent.as_ref().map(|_| std::os::unix::process::parent_id()),
        parent,
        liveness,
        orders,
        zones: generation.zones.clone(),
        _keeper: keeper(generation),
        sites,
        generation: None,
        loops,
        log,
        manager,
    };
    // Each loop has copies: a socket is closed when the last of them is.
    control.begin(generation, &listeners);
    control.manager.ready("Serving");
    drop(listeners);
    if let Some(receiver) = first {
        event_loop(0, receiver, &shared, &last, Some(control));
    }
    for thread in threads {
        let _ = thread.join();
    }
    if shared.quitting.load(Ordering::Relaxed) {
        last.write(Level::Notice, None, "exiting");
    }
    last.write(Level::Notice, None, "exit");
    0
}

/// Limits, priority, user and folder. nginx goes on without limits and priority it is refused, and so do we.
fn settle(process: &Process, forked: bool, log: &Log) -> Result<(), String> {
    use nix::sys::resource::{Resource, setrlimit};
    if let Some(most) = process.rlimit_nofile
        && let Err(error) = setrlimit(Resource::RLIMIT_NOFILE, most, most)
    {
        let error = crate::conf::walk::errno(&error.into());
        log.write(Level::Alert, None, &format!("setrlimit(RLIMIT_NOFILE, {most}) failed ({error})"));
    }
    if let Some(value) = process.priority
        && let Err(error) = crate::sys::process::nice(value)
    {
        let error = crate::conf::walk::errno(&error);
        log.write(Level::Alert, None, &format!("setpriority({value}) failed ({error})"));
    }
    if forked && nix::unistd::geteuid().is_root() {
        become_user(process, log)?;
    }
    if let Some(folder) = &process.working_directory {
        nix::unistd::chdir(folder.as_str())
            .map_err(|error| format!("chdir(\"{folder}\") failed ({})", crate::conf::walk::errno(&error.into())))?;
    }
    Ok(())
}

fn become_user(process: &Process, log: &Log) -> Result<(), String> {
    use crate::sys::process::{keep_capabilities, only_net_raw};
    use nix::unistd::{Group, User, initgroups, setgid, setuid};
    let errno = |error: nix::Error| crate::conf::walk::errno(&error.into());
    let name = process.user.as_ref().map_or("nobody", |(user, _)| user.as_str());
    let Ok(Some(user)) = User::from_name(name) else { return Err(format!("getpwnam(\"{name}\") failed")) };
    let group = match process.user.as_ref().and_then(|(_, group)| group.as_ref()) {
        Some(group) => match Group::from_name(group) {
            Ok(Some(group)) => group.gid,
            _ => return Err(format!("getgrnam(\"{group}\") failed")),
        },
        None => user.gid,
    };
    setgid(group).map_err(|error| format!("setgid({group}) failed ({})", errno(error)))?;
    let name = std::ffi::CString::new(name).map_err(|_| "a user's name with a zero byte".to_owned())?;
    // nginx goes on here, and in a user namespace of one user nobody may set groups.
    if let Err(error) = initgroups(&name, group) {
        log.write(Level::Emerg, None, &format!("initgroups({}, {group}) failed ({})", user.name, errno(error)));
    }
    // Root keeps all it may do.
    let keeps = process.transparent && !user.uid.is_root();
    let system = |call: &str, error: io::Error| format!("{call} failed ({})", crate::conf::walk::errno(&error));
    if keeps {
        keep_capabilities().map_err(|error| system("prctl(PR_SET_KEEPCAPS, 1)", error))?;
    }
    setuid(user.uid).map_err(|error| format!("setuid({}) failed ({})", user.uid, errno(error)))?;
    if keeps {
        only_net_raw().map_err(|error| system("capset()", error))?;
    }
    Ok(())
}

/// Threads of a loop for what would hold up its other requests, such as hashes of passwords.
const BLOCKING: usize = 4;

/// Runs one event loop until it is told to stop and its connections are done.
fn event_loop(
    number: usize,
    orders: UnboundedReceiver<LoopCommand>,
    shared: &Arc<Shared>,
    log: &Log,
    control: Option<Control>,
) {
    let unwritten = Unwritten::default();
    let to_write = unwritten.clone();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .max_blocking_threads(BLOCKING)
        .on_thread_park(move || write_logs(number, &to_write))
        .on_thread_unpark(woken)
        .build();
    let runtime = match runtime {
        Ok(runtime) => runtime,
        Err(error) => {
            let error = crate::conf::walk::errno(&error);
            log.write(Level::Alert, None, &format!("epoll_create() of event loop {number} failed ({error})"));
            return;
        }
    };
    let event_loop = Rc::new(EventLoop::new(number, unwritten.clone()));
    event_loop.enter();
    let loop_state = http::LoopState::new(event_loop, shared.counters.clone());
    let shared = shared.clone();
    runtime.block_on(async move {
        if let Some(control) = control {
            spawn(control.run());
        }
        let _ = spawn(Loop::new(loop_state, shared).run(orders)).await;
    });
    write_logs(number, &unwritten);
}

/// Begins to look after the caches of a configuration.
fn keeper(generation: &Generation) -> Keeper {
    let caches = generation.http.as_ref().map(|site| site.caches.as_slice()).unwrap_or_default();
    Keeper::start(caches, &generation.log)
}

/// What the first loop does beside serving: signals and the parent's messages.
struct Control {
    shared: Arc<Shared>,
    signals: SignalQueue,
    /// The master's process id, where there is one.
    master: Option<u32>,
    parent: Option<Channel>,
    /// Where it says that it is alive, until it serves there.
    liveness: Option<UnixListener>,
    orders: Vec<UnboundedSender<LoopCommand>>,
    zones: Arc<Zones>,
    sites: (Option<Arc<http::Site>>, Option<Arc<crate::stream::Site>>),
    /// Looks after the caches of the configuration.
    _keeper: Keeper,
    generation: Option<Arc<Generation>>,
    loops: usize,
    log: Log,
    manager: ServiceManager,
}

impl Control {
    /// Hands the inherited generation to the loops.
    fn begin(&self, generation: &Generation, listeners: &Listeners) {
        self.spread(generation, |name| listeners.get(name).and_then(|fd| fd.try_clone().ok()));
    }

    /// Gives every loop the sites and its sockets.
    fn spread(&self, generation: &Generation, mut socket: impl FnMut(&str) -> Option<OwnedFd>) {
        for (number, order) in self.orders.iter().enumerate() {
            let mut given = Vec::new();
            for wanted in &generation.sockets {
                let copies = open::copies(wanted.options.reuseport, self.loops);
                let index = if copies > 1 { number } else { 0 };
                let name = open::name(&wanted.address, wanted.options.udp, index);
                if copies == 1 && wanted.options.udp && !open::receives(&name, (number, self.loops)) {
                    continue;
                }
                if let Some(fd) = socket(&name) {
                    given.push((name, fd, wanted.service.clone()));
                }
            }
            let sites = serve::Sites {
                http: generation.http.clone(),
                stream: generation.stream.clone(),
                log: generation.log.clone(),
                logs: generation.logs.clone(),
                sockets: given,
                process: generation.process.clone(),
            };
            let _ = order.send(LoopCommand::Serve(Box::new(sites)));
        }
    }

    /// Hands on what is known of the groups' servers, and the caches.
    fn carry_over(&mut self, next: &Generation) {
        self._keeper = keeper(next);
        let (http, stream) = std::mem::replace(&mut self.sites, (next.http.clone(), next.stream.clone()));
        if let (Some(next), Some(old)) = (&next.http, http) {
            next.upstreams.carry_over(&old.upstreams);
        }
        if let (Some(next), Some(old)) = (&next.stream, stream) {
            next.upstreams.carry_over(&old.upstreams);
        }
    }

    fn all(&self, order: impl Fn() -> LoopCommand) {
        for loop_ in &self.orders {
            let _ = loop_.send(order());
        }
    }

    /// Differs from nginx: a worker whose master is gone says so. [test: workers_serve_on_when_their_master_is_killed]
    async fn run(mut self) {
        let Ok(signals) =
            crate::sys::socket::watch(self.signals.as_fd().try_clone_to_owned().unwrap_or_else(|_| leave(2)))
        else {
            return;
        };
        let mut parent = self.parent.take();
        let liveness = self.liveness.take().map(|listener| spawn(liveness::serve(listener, self.orders.clone())));
        let mut compiling = None;
        let mut line = match &parent {
            Some(channel) => {
                let flags = nix::fcntl::OFlag::O_NONBLOCK;
                let _ = nix::fcntl::fcntl(&channel.0, nix::fcntl::FcntlArg::F_SETFL(flags));
                channel.0.try_clone().ok().and_then(|fd| crate::sys::socket::watch(fd).ok())
            }
            None => None,
        };
        loop {
            let busy = compiling.is_some();
            let from_parent = async {
                match line.as_ref().filter(|_| !busy) {
                    Some(line) => line.readable().await.map(|mut guard| guard.clear_ready()).is_ok(),
                    None => std::future::pending().await,
                }
            };
            let due = self.manager.poll_timeout();
            let watchdog = async {
                match due {
                    Some(due) => tokio::time::sleep_until(due.into()).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = watchdog => self.manager.sign_of_life(std::time::Instant::now()),
                ready = signals.readable() => {
                    if let Ok(mut guard) = ready {
                        guard.clear_ready();
                    }
                    if self.signals_came() {
                        // What asks whether the worker is alive looks elsewhere from now on.
                        liveness.iter().for_each(tokio::task::JoinHandle::abort);
                    }
                }
                alive = from_parent => {
                    let heard = parent.as_ref().filter(|_| alive).map(|channel| self.message(channel));
                    match heard {
                        Some(Heard::Nothing) => {}
                        Some(Heard::Bundle(bundle)) => compiling = Some(Compiling::start(*bundle, &self.zones)),
                        Some(Heard::End) | None => {
                            // Connections must not end with the parent; signals are obeyed as before.
                            let text = "the master process is gone: this worker serves on until it is told to end";
                            self.log.write(Level::Alert, None, text);
                            (parent, line) = (None, None);
                        }
                    }
                }
                compiled = Compiling::done(&mut compiling) => {
                    let outcome = compiled.map(|compiled| self.swap(compiled));
                    if let Some(channel) = &parent {
                        let _ = channel.send_verdict(&outcome.err().unwrap_or_default());
                    }
                }
            }
        }
    }

    /// Acts on signals; whether the worker is to end.
    fn signals_came(&self) -> bool {
        let mut ends = false;
        while let Some(arrived) = self.signals.next() {
            self.tell_of(&arrived);
            match Signal::try_from(arrived.number) {
                Ok(Signal::SIGTERM | Signal::SIGINT) => {
                    ends = true;
                    self.manager.stopping();
                    self.log.write(Level::Notice, None, "exiting");
                    self.shared.quitting.store(false, Ordering::Relaxed);
                    self.all(|| LoopCommand::Stop);
                }
                Ok(Signal::SIGQUIT) => {
                    ends = true;
                    self.manager.stopping();
                    self.shared.quitting.store(true, Ordering::Relaxed);
                    self.log.write(Level::Notice, None, "gracefully shutting down");
                    self.all(|| LoopCommand::Quit);
                }
                Ok(Signal::SIGUSR1) => {
                    self.log.write(Level::Notice, None, "reopening logs");
                    self.all(|| LoopCommand::Reopen);
                }
                _ => {}
            }
        }
        ends
    }

    /// Logs a signal that the parent did not send: what the parent does has lines of its own.
    ///
    /// Differs from nginx: a process without a master ignores a reload, and says so. [test: a_single_process_serves_on_when_it_is_asked_to_reload]
    fn tell_of(&self, arrived: &Arrived) {
        let Ok(signal) = Signal::try_from(arrived.number) else { return };
        if self.master == Some(arrived.pid) {
            return;
        }
        let action = match signal {
            Signal::SIGQUIT => ", shutting down",
            Signal::SIGTERM | Signal::SIGINT => ", exiting",
            Signal::SIGUSR1 => ", reopening logs",
            Signal::SIGHUP | Signal::SIGUSR2 => ", ignoring",
            _ => "",
        };
        self.log.write(Level::Notice, None, &parent::received(signal, arrived.pid, action));
    }

    /// Takes what the parent sent.
    fn message(&self, channel: &Channel) -> Heard {
        let first = match channel.receive() {
            Ok(Some(message)) if message.kind == Kind::Bundle => message,
            Ok(Some(_)) => return Heard::Nothing,
            Ok(None) => return Heard::End,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Heard::Nothing,
            Err(_) => return Heard::End,
        };
        match received(channel, first) {
            Ok(bundle) => Heard::Bundle(Box::new(bundle)),
            Err(text) if channel.send_verdict(&text).is_ok() => Heard::Nothing,
            Err(_) => Heard::End,
        }
    }

    /// Puts a compiled generation to work.
    fn swap(&mut self, compiled: Compiled) {
        let Compiled { next, sockets, mark } = compiled;
        self.carry_over(&next);
        self.spread(&next, |name| sockets.get(name).and_then(|fd| fd.try_clone().ok()));
        self.zones.retain(&next.named_zones);
        tls::drop_unused_since(&self.zones, mark);
        self.log = next.log.clone();
        let old = self.generation.replace(Arc::new(next));
        // A large generation takes a while to free. Where no thread can be had it is freed here: the swap is done.
        let _ = std::thread::Builder::new().spawn(move || drop(old));
    }
}

/// What the parent sent.
enum Heard {
    /// Nothing to act upon.
    Nothing,
    /// A generation to compile.
    Bundle(Box<Received>),
    /// It is gone.
    End,
}

/// A bundle with its descriptors.
struct Received {
    bundle: Bundle,
    descriptors: Vec<OwnedFd>,
}

/// Takes in the rest of a bundle.
fn received(channel: &Channel, first: channel::Message) -> Result<Received, String> {
    let broken = |error: io::Error| format!("a bundle could not be received ({})", crate::conf::walk::errno(&error));
    let Some(memory) = first.descriptors.into_iter().next() else {
        return Err("a bundle without contents".to_owned());
    };
    let count = first.text.first_chunk::<8>().map_or(0, |bytes| u64::from_le_bytes(*bytes)) as usize;
    let bytes = channel::contents(memory).map_err(broken)?;
    let bundle = Bundle::decode(&bytes).ok_or("a bundle that cannot be understood")?;
    let mut descriptors = Vec::with_capacity(count);
    while descriptors.len() < count {
        match channel.receive() {
            Ok(Some(message)) => descriptors.extend(message.descriptors),
            Ok(None) => return Err("the parent ended".to_owned()),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => std::thread::yield_now(),
            Err(error) => return Err(broken(error)),
        }
    }
    Ok(Received { bundle, descriptors })
}

/// A generation ready to serve, and its sockets.
struct Compiled {
    next: Generation,
    sockets: Listeners,
    /// When it was begun, by the certificates that are kept.
    mark: tls::Mark,
}

/// A generation that a thread of its own compiles: no request waits for it.
struct Compiling(tokio::sync::oneshot::Receiver<Result<Compiled, String>>);

impl Compiling {
    fn start(received: Received, zones: &Arc<Zones>) -> Self {
        let (sender, receiver) = tokio::sync::oneshot::channel();
        let zones = zones.clone();
        let work = move || {
            let _ = sender.send(compiled(received, &zones));
        };
        // Where no thread is to be had the sender is gone, which is said as the verdict.
        let _ = std::thread::Builder::new().name("compile".to_owned()).spawn(work);
        Self(receiver)
    }

    /// What came of it; never where nothing is compiled.
    async fn done(compiling: &mut Option<Self>) -> Result<Compiled, String> {
        let outcome = match compiling {
            Some(Self(receiver)) => receiver.await,
            None => std::future::pending().await,
        };
        *compiling = None;
        outcome.unwrap_or_else(|_| Err("the configuration could not be compiled in the worker process".to_owned()))
    }
}

/// Compiles what the parent sent: the same input gives the same result as there.
fn compiled(received: Received, zones: &Arc<Zones>) -> Result<Compiled, String> {
    let Received { bundle, descriptors } = received;
    let mut sockets = Listeners::new();
    let mut files = std::collections::BTreeMap::new();
    for (name, fd) in bundle.descriptors.iter().zip(descriptors) {
        if let Some(name) = name.strip_prefix("listen ") {
            sockets.insert(name.to_owned(), fd);
        } else if let Some(path) = name.strip_prefix("log ") {
            files.insert(path.to_owned(), fd);
        }
    }
    let mark = tls::mark(zones);
    let reading = generation::compile(&bundle.inputs, &bundle.memory, &bundle, zones);
    let next = reading.outcome.map_err(|(complaint, _)| crate::conf::print::nginx(&complaint, &reading.sources))?;
    for log in &next.logs {
        if let Some(fd) = files.remove(log.name()) {
            log.adopt(fd.into());
        }
    }
    Ok(Compiled { next, sockets, mark })
}
