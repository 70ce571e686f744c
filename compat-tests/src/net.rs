//! Hosts: each has its own network, file system view, process numbers and name; a switch is the wire between them.

use std::fs::File;
use std::io;
use std::net::Ipv4Addr;
use std::os::fd::{AsFd, OwnedFd};
use std::process::Command;
use std::sync::mpsc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use nix::sched::{CloneFlags, unshare};
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::waitpid;
use nix::unistd::Pid;

use crate::link;
use crate::mount;
use crate::process::Running;

type Job = Box<dyn FnOnce() + Send>;

/// A thread that lives in namespaces of its own and does there what it is told.
#[derive(Debug)]
struct Agent {
    jobs: Option<mpsc::Sender<Job>>,
    thread: Option<JoinHandle<()>>,
}

impl Agent {
    /// Starts the thread from wherever the caller lives; `enter` takes it to its own place.
    fn start(name: &str, enter: impl FnOnce() -> io::Result<()> + Send + 'static) -> io::Result<Self> {
        let (jobs, inbox) = mpsc::channel::<Job>();
        let (entered, verdict) = mpsc::channel();
        let thread = thread::Builder::new().name(name.to_owned()).spawn(move || {
            let result = enter();
            let fine = result.is_ok();
            let _ = entered.send(result);
            if fine {
                inbox.into_iter().for_each(|job| job());
            }
        })?;
        verdict.recv().map_err(io::Error::other)??;
        Ok(Self { jobs: Some(jobs), thread: Some(thread) })
    }

    /// Runs `work` in the thread and waits for it.
    fn run<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> io::Result<T> {
        let (done, result) = mpsc::channel();
        let job: Job = Box::new(move || {
            let _ = done.send(work());
        });
        let gone = || io::Error::other("the host is gone");
        self.jobs.as_ref().ok_or_else(gone)?.send(job).map_err(|_| gone())?;
        result.recv().map_err(|_| gone())
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        self.jobs = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// One machine of the lab.
#[derive(Debug)]
pub struct Host {
    name: String,
    init: Pid,
    namespace: OwnedFd,
    /// Starts programs: its children get the host's process numbers.
    starter: Agent,
    /// Does work and starts threads in the host's network.
    agent: Agent,
}

impl Host {
    /// A host with nothing but a loopback link and the machine's files.
    pub fn new(name: &str) -> io::Result<Self> {
        let own = name.to_owned();
        let (tell, told) = mpsc::channel();
        let agent = Agent::start(name, move || {
            unshare(CloneFlags::CLONE_NEWNET | CloneFlags::CLONE_NEWNS | CloneFlags::CLONE_NEWUTS)?;
            let _ = tell.send(File::open("/proc/thread-self/ns/net")?);
            nix::unistd::sethostname(&own)?;
            mount::machine()?;
            link::set_up("lo", true)
        })?;
        let namespace = told.recv().map_err(io::Error::other)?.into();
        let starter = agent.run(|| Agent::start("starter", || Ok(unshare(CloneFlags::CLONE_NEWPID)?)))??;
        let init = starter.run(first_process)??;
        let host = Self { name: name.to_owned(), init, namespace, starter, agent };
        // `ps` looks there, and a program may not start before it is.
        crate::wait_for("the host's own /proc: this user may not mount one", Duration::from_secs(5), || {
            host.run(|| std::path::Path::new("/proc/1/stat").exists()).ok().filter(|there| *there)
        })?;
        Ok(host)
    }

    /// What it is called.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The host's process 1 as the machine numbers it (`nsenter -t PID -a` looks inside).
    pub fn init(&self) -> Pid {
        self.init
    }

    /// Runs `work` in the host's network and file system and waits for it.
    pub fn run<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> io::Result<T> {
        self.agent.run(work)
    }

    /// Starts a thread that lives in the host's network and file system.
    pub fn spawn<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> io::Result<JoinHandle<T>> {
        self.agent.run(move || thread::Builder::new().spawn(work))?
    }

    /// Starts a program in the host; see [`Running`].
    pub fn start(&self, command: Command) -> io::Result<Running> {
        let (name, command, output) = Running::prepare(command)?;
        let child = self.starter.run(move || {
            let mut command = command;
            // A child of another thread may hold the program's file open for writing, until it is another program.
            for _ in 0..200 {
                match command.spawn() {
                    Err(error) if error.kind() == io::ErrorKind::ExecutableFileBusy => {
                        thread::sleep(Duration::from_millis(10));
                    }
                    outcome => return outcome,
                }
            }
            command.spawn()
        })??;
        Ok(Running::adopt(name, child, output))
    }

    /// Starts a program that stays on one processor.
    pub fn start_pinned(&self, command: Command, processor: usize) -> io::Result<Running> {
        let everywhere = nix::sched::sched_getaffinity(Pid::from_raw(0))?;
        self.starter.run(move || pin(processor))??;
        let running = self.start(command);
        self.starter.run(move || nix::sched::sched_setaffinity(Pid::from_raw(0), &everywhere))??;
        running
    }

    /// The addresses of one of the host's links.
    pub fn addresses(&self, interface: &str) -> io::Result<Vec<Ipv4Addr>> {
        let interface = interface.to_owned();
        self.run(move || link::addresses(&interface))?
    }

    /// The numbers (as the machine counts) of the host's processes with this command name, as `ps -C` would find them.
    pub fn processes(&self, name: &str) -> io::Result<Vec<Pid>> {
        let ours = std::fs::read_link(format!("/proc/{}/ns/pid", self.init))?;
        let mut found = Vec::new();
        for entry in std::fs::read_dir("/proc")?.flatten() {
            let Some(number) = entry.file_name().to_str().and_then(|text| text.parse::<i32>().ok()) else { continue };
            let same = std::fs::read_link(entry.path().join("ns/pid")).is_ok_and(|namespace| namespace == ours);
            let comm = std::fs::read_to_string(entry.path().join("comm")).unwrap_or_default();
            if same && number != self.init.as_raw() && (name.is_empty() || comm.trim_end() == name) {
                found.push(Pid::from_raw(number));
            }
        }
        Ok(found)
    }

    /// The machine's number of the process that has this number inside the host.
    pub fn outer(&self, inner: i32) -> io::Result<Pid> {
        let same = |pid: &Pid| {
            let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
            let numbers = status.lines().find_map(|line| line.strip_prefix("NSpid:"));
            numbers.and_then(|line| line.split_whitespace().last()?.parse::<i32>().ok()) == Some(inner)
        };
        let found = self.processes("")?.into_iter().find(same);
        found.ok_or_else(|| io::Error::other(format!("no process {inner} on {}", self.name)))
    }

    /// SIGKILL for everything that runs in the host, at once. Nothing can be started in it afterwards.
    pub fn kill_everything(&self) {
        if kill(self.init, Signal::SIGKILL).is_ok() {
            let _ = waitpid(self.init, None);
        }
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        self.kill_everything();
    }
}

/// Keeps the calling thread, and what it starts, on one processor.
pub fn pin(processor: usize) -> io::Result<()> {
    let mut set = nix::sched::CpuSet::new();
    set.set(processor)?;
    Ok(nix::sched::sched_setaffinity(Pid::from_raw(0), &set)?)
}

/// Forks the process number 1 of a fresh process namespace. It keeps the namespace alive and leaves no zombies behind.
#[expect(unsafe_code, reason = "fork has no safe form; the child calls nothing but system calls")]
fn first_process() -> io::Result<Pid> {
    use nix::libc;
    use nix::unistd::ForkResult;
    // SAFETY: the child makes system calls only, never returns and never allocates.
    match unsafe { nix::unistd::fork() }? {
        ForkResult::Parent { child } => Ok(child),
        // SAFETY: plain system calls with valid constant arguments.
        ForkResult::Child => unsafe {
            // Dies with the thread that made it, so that nothing outlives the lab; children are reaped by ignoring them.
            libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL);
            libc::setsid();
            libc::signal(libc::SIGCHLD, libc::SIG_IGN);
            libc::close_range(0, u32::MAX, 0);
            let flags = libc::MS_NOSUID | libc::MS_NODEV | libc::MS_NOEXEC;
            libc::mount(c"proc".as_ptr(), c"/proc".as_ptr(), c"proc".as_ptr(), flags, std::ptr::null());
            loop {
                libc::pause();
            }
        },
    }
}

/// A bridge in a namespace of its own; hosts are plugged into it.
#[derive(Debug)]
pub struct Switch {
    agent: Agent,
}

const BRIDGE: &str = "switch";

impl Switch {
    /// A switch without ports.
    pub fn new() -> io::Result<Self> {
        let agent = Agent::start("switch", || {
            unshare(CloneFlags::CLONE_NEWNET)?;
            link::add_bridge(BRIDGE)
        })?;
        Ok(Self { agent })
    }

    /// Connects a host: `interface` appears in it, up and with this address.
    pub fn plug(&self, host: &Host, interface: &str, address: Ipv4Addr, length: u8) -> io::Result<()> {
        let namespace = host.namespace.try_clone()?;
        let (port, inside) = (port(host), interface.to_owned());
        self.agent.run(move || {
            // A port of a host of this name that was destroyed a moment ago may still be there.
            let _ = link::remove(&port);
            link::add_veth(&port, BRIDGE, &inside, namespace.as_fd())
        })??;
        let inside = interface.to_owned();
        host.run(move || {
            link::add_address(&inside, address, length)?;
            link::set_up(&inside, true)
        })?
    }

    /// Cuts a host off, or connects it again: the wire at the switch's side goes down or up.
    pub fn connect(&self, host: &Host, connected: bool) -> io::Result<()> {
        let port = port(host);
        self.agent.run(move || link::set_up(&port, connected))?
    }

    /// Keeps two hosts from hearing each other, or lets them: their links stay up, and others hear both.
    pub fn separate(&self, hosts: [&Host; 2], apart: bool) -> io::Result<()> {
        let isolated = if apart { "on" } else { "off" };
        for port in hosts.map(port) {
            let set = move || {
                let words = ["link", "set", "dev", &port, "type", "bridge_slave", "isolated", isolated];
                Command::new("ip").args(words).status()
            };
            let status = self.agent.run(set)??;
            if !status.success() {
                return Err(io::Error::other(format!("ip link set isolated {isolated}: {status}")));
            }
        }
        Ok(())
    }
}

/// The switch's name for a host's wire.
fn port(host: &Host) -> String {
    format!("p-{}", host.name).chars().take(15).collect()
}

/// Moves the whole process into a user namespace where it is root. To be called before any thread is started.
pub fn become_root() -> io::Result<()> {
    let (user, group) = (nix::unistd::geteuid(), nix::unistd::getegid());
    unshare(CloneFlags::CLONE_NEWUSER | CloneFlags::CLONE_NEWNET | CloneFlags::CLONE_NEWNS)?;
    std::fs::write("/proc/self/setgroups", "deny")?;
    std::fs::write("/proc/self/uid_map", format!("0 {user} 1"))?;
    std::fs::write("/proc/self/gid_map", format!("0 {group} 1"))
}
