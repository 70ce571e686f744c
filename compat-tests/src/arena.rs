//! Where servers are measured: one host, the contestants on one processor, the load and the backends on another.

use std::fs;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread::JoinHandle;
use std::time::Duration;

use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::unistd::Pid;

use crate::net::{Host, pin};
use crate::process::{Running, listens};
use crate::program::{Program, installed};
use crate::reflect::{Manner, Reflector};
use crate::{Scratch, certificates, measure, mount, root, wait_for};

/// The folder all servers work in.
pub const PREFIX: &str = "/usr/local/bench";
/// The processor of the contestants.
const SERVER: usize = 0;
/// The processor of everything else.
const LOAD: usize = 1;
/// How many bytes the fountain gives for each line.
pub const FOUNTAIN: usize = 64 << 20;

/// Who takes part.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Contestant {
    /// The installed nginx.
    Nginx,
    /// rnginx.
    Ours,
    /// The installed nginx once more, to see what the measurement itself is worth.
    NginxAgain,
    /// An rnginx built before, to see what a change costs.
    Earlier,
    /// The installed HAProxy.
    Haproxy,
}

impl Contestant {
    /// The head of its column.
    pub fn name(self) -> &'static str {
        match self {
            Self::Nginx => "nginx",
            Self::Ours => "rnginx",
            Self::NginxAgain => "nginx again",
            Self::Earlier => "earlier",
            Self::Haproxy => "HAProxy",
        }
    }

    /// The number its ports begin with.
    pub fn base(self) -> u16 {
        match self {
            Self::Nginx => 2110,
            Self::Ours => 2120,
            Self::NginxAgain => 2140,
            Self::Earlier => 2150,
            Self::Haproxy => 2130,
        }
    }

    /// Where one of its services listens.
    pub fn address(self, service: u16) -> SocketAddr {
        SocketAddr::from((Ipv4Addr::LOCALHOST, self.base() * 10 + service))
    }

    fn original(self) -> bool {
        matches!(self, Self::Nginx | Self::NginxAgain)
    }

    /// The program inside the host.
    fn program(self) -> String {
        let name = match self {
            Self::Nginx | Self::NginxAgain => "nginx",
            Self::Ours | Self::Haproxy => "rnginx",
            Self::Earlier => "earlier",
        };
        format!("{PREFIX}/sbin/{name}")
    }
}

/// How a server is set up.
#[derive(Debug, Clone, Copy)]
pub struct Size {
    /// Workers (or loops, or threads).
    pub workers: usize,
    /// Connections of each.
    pub connections: usize,
    /// Whether it stays on its one processor.
    pub pinned: bool,
}

impl Size {
    /// For speed.
    pub const FAST: Self = Self { workers: 1, connections: 4096, pinned: true };
    /// For ten thousand tunnels.
    pub const WIDE: Self = Self { workers: 1, connections: 20500, pinned: true };
    /// Two workers wherever they like.
    pub const TWO: Self = Self { workers: 2, connections: 4096, pinned: false };
    /// One worker wherever it likes.
    pub const FREE: Self = Self { workers: 1, connections: 4096, pinned: false };
}

/// Ten thousand tunnels have two ends in this process and two in the server; says how many the machine allows.
pub fn raise_limit() -> io::Result<usize> {
    const WANTED: u64 = 21_000;
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE)?;
    let limit = if hard >= WANTED || setrlimit(Resource::RLIMIT_NOFILE, WANTED, WANTED).is_err() {
        setrlimit(Resource::RLIMIT_NOFILE, hard.min(WANTED), hard)?;
        hard.min(WANTED)
    } else {
        WANTED
    };
    Ok(((limit - 400) / 2) as usize)
}

/// The host with the backends.
#[derive(Debug)]
pub struct Arena {
    host: Host,
    earlier: Option<PathBuf>,
    plain: bool,
    _upstream: Running,
    _reflector: Reflector,
    _disk: Scratch,
}

/// A started contestant.
#[derive(Debug)]
pub struct Server {
    contestant: Contestant,
    running: Running,
}

const CONGESTION: &str = "/proc/sys/net/ipv4/tcp_congestion_control";

impl Arena {
    /// Sets up the host, the files and the backends; `earlier` is the program of [`Contestant::Earlier`]; `plain` leaves
    /// the servers with TLS, HTTP/2 and gzip out of the file, for an earlier program that cannot read them.
    pub fn new(earlier: Option<PathBuf>, plain: bool) -> io::Result<Self> {
        raise_limit()?;
        let host = Host::new("bench")?;
        let disk = Scratch::within(Path::new("/var/tmp"), "bench")?;
        let below = disk.path().to_owned();
        host.run(move || on_disk(&below))??;
        // Debian's own choice: under BBR, which paces by timers, a program's figures for large files depend on which side
        // happens to wait for the other. Where the kernel has no other, its own stays.
        let _ = host.run(|| fs::write(CONGESTION, "cubic"))?;
        let nginx = fs::read(installed("nginx")?)?;
        let article = fs::read(root().join("fixtures/site/article/nginx.conf"))?;
        let upstream = fs::read(root().join("fixtures/bench/upstream.conf"))?;
        host.run(move || install(&nginx, &article, &upstream))??;
        let mut command = Command::new(format!("{PREFIX}/sbin/nginx"));
        command.args(["-p", PREFIX, "-c", "conf/upstream.conf", "-g", "daemon off;"]);
        let upstream = host.start_pinned(command, LOAD)?;
        let listen = |port: u16, manner| {
            let listener = host.run(move || TcpListener::bind((Ipv4Addr::LOCALHOST, port)))??;
            // More than the standard library asks for: thousands connect at once.
            nix::sys::socket::listen(&listener, nix::sys::socket::Backlog::new(4095)?)?;
            io::Result::Ok((listener, manner))
        };
        let listeners = vec![
            listen(20011, Manner::Echo)?,
            listen(20012, Manner::Fountain(FOUNTAIN))?,
            listen(20013, Manner::Upgrade)?,
        ];
        let reflector = Reflector::start(listeners, || {
            let _ = pin(LOAD);
        })?;
        wait_for("the backend", Duration::from_secs(5), || listens(upstream.pid(), 20001).then_some(()))?;
        Ok(Self { host, earlier, plain, _upstream: upstream, _reflector: reflector, _disk: disk })
    }

    /// The congestion control of the host's connections.
    pub fn congestion_control(&self) -> io::Result<String> {
        Ok(self.host.run(|| fs::read_to_string(CONGESTION))??.trim().to_owned())
    }

    /// Does something in the host's network, in a thread on the processor of the load.
    pub fn load<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> io::Result<T> {
        let thread = self.host.spawn(move || {
            let _ = pin(LOAD);
            work()
        })?;
        thread.join().map_err(|_| io::Error::other("the load generator panicked"))
    }

    /// Does something in the host's network, in a thread of its own.
    pub fn spawn<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> io::Result<JoinHandle<T>> {
        self.host.spawn(work)
    }

    /// Starts a contestant and waits until it listens.
    pub fn start(&self, contestant: Contestant, size: Size) -> io::Result<Server> {
        self.listening(self.launch(contestant, size)?)
    }

    /// Starts nginx or rnginx on another file of fixtures/bench.
    pub fn start_with(&self, contestant: Contestant, size: Size, template: &str) -> io::Result<Server> {
        let command = self.prepare_with(contestant, size, "daemon off;", template)?;
        self.listening(Server { contestant, running: self.host.start(command)? })
    }

    /// Waits until a server listens.
    fn listening(&self, server: Server) -> io::Result<Server> {
        let contestant = server.contestant;
        wait_for(contestant.name(), Duration::from_secs(10), || {
            if server.running.ended().is_some() {
                return Some(Err(io::Error::other(format!(
                    "{} ended: {}",
                    contestant.name(),
                    server.running.output()
                ))));
            }
            listens(server.pid(), contestant.address(1).port()).then_some(Ok(()))
        })??;
        Ok(server)
    }

    /// Starts a contestant and waits for nothing.
    pub fn launch(&self, contestant: Contestant, size: Size) -> io::Result<Server> {
        let command = self.prepare(contestant, size, "daemon off;")?;
        let running = if size.pinned { self.host.start_pinned(command, SERVER)? } else { self.host.start(command)? };
        Ok(Server { contestant, running })
    }

    /// Starts a contestant as one process below another program, as valgrind, and waits until it listens.
    pub fn start_under(&self, contestant: Contestant, size: Size, above: &[String]) -> io::Result<Server> {
        let command = self.prepare(contestant, size, "daemon off; master_process off;")?;
        let mut whole = Command::new(&above[0]);
        whole.args(&above[1..]).arg(command.get_program()).args(command.get_args());
        let server = Server { contestant, running: self.host.start_pinned(whole, SERVER)? };
        wait_for(contestant.name(), Duration::from_secs(30), || {
            let pids = server.processes().ok()?;
            pids.iter().any(|pid| listens(*pid, contestant.address(1).port())).then_some(())
        })?;
        Ok(server)
    }

    /// Does something in the host.
    pub fn run<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> io::Result<T> {
        self.host.run(work)
    }

    fn prepare(&self, contestant: Contestant, size: Size, settings: &str) -> io::Result<Command> {
        let template = if contestant == Contestant::Haproxy { "haproxy.cfg" } else { "nginx.conf" };
        self.prepare_with(contestant, size, settings, template)
    }

    fn prepare_with(&self, contestant: Contestant, size: Size, settings: &str, template: &str) -> io::Result<Command> {
        let file = match contestant {
            Contestant::Haproxy => "haproxy.cfg".to_owned(),
            _ => format!("{}.conf", contestant.base()),
        };
        let fixture = |name: &str| fs::read_to_string(root().join("fixtures/bench").join(name));
        let part = |name: &str| if self.plain { Ok(String::new()) } else { fixture(name) };
        let text = fixture(template)?
            .replace("%TLS%", &part("tls.conf")?)
            .replace("%TLS_STREAM%", &part("tls-stream.conf")?)
            .replace("%BASE%", &contestant.base().to_string())
            .replace("%WORKERS%", &size.workers.to_string())
            .replace("%CONNECTIONS%", &size.connections.to_string())
            .replace("%PREFIX%", PREFIX)
            .replace("logs/nginx.pid", &format!("logs/{}.pid", contestant.base()));
        let path = format!("{PREFIX}/conf/{file}");
        let program = contestant.program();
        let bytes = match contestant {
            Contestant::Ours => Some(fs::read(Program::Ours.nginx()?)?),
            Contestant::Earlier => self.earlier.as_ref().map(fs::read).transpose()?,
            Contestant::Nginx | Contestant::NginxAgain | Contestant::Haproxy => None,
        };
        self.host.run(move || {
            if let Some(bytes) = bytes.filter(|_| !Path::new(&program).exists()) {
                mount::file(&program, &bytes, 0o755)?;
            }
            mount::file(&path, text.as_bytes(), 0o644)
        })??;
        if contestant == Contestant::Haproxy {
            let mut command = Command::new(installed("haproxy")?);
            command.args(["-f", &format!("{PREFIX}/conf/{file}"), "-db"]);
            return Ok(command);
        }
        let mut command = Command::new(contestant.program());
        command.args(["-p", PREFIX, "-c", &format!("conf/{file}"), "-g", &globals(contestant, settings)]);
        Ok(command)
    }

    /// Asks a running nginx or rnginx to reload and waits for the command to end.
    pub fn reload(&self, server: &Server) -> io::Result<()> {
        let file = format!("conf/{}.conf", server.contestant.base());
        let mut command = Command::new(server.contestant.program());
        command.args(["-p", PREFIX, "-c", &file, "-g", &globals(server.contestant, ""), "-s", "reload"]);
        self.host.start(command)?.success(Duration::from_secs(10))
    }

    /// `-t` on the article's configuration.
    pub fn test_article(&self, contestant: Contestant) -> io::Result<Duration> {
        let mut command = Command::new(contestant.program());
        let settings = globals(contestant, "pid logs/article.pid; error_log stderr;");
        command.args(["-p", PREFIX, "-c", "conf/article.conf", "-g", &settings, "-t"]);
        let begin = std::time::Instant::now();
        let running = self.host.start_pinned(command, SERVER)?;
        running.success(Duration::from_secs(10))?;
        Ok(begin.elapsed())
    }
}

/// What the installed nginx has to be told and ours has built in.
fn globals(contestant: Contestant, settings: &str) -> String {
    if contestant.original() {
        return format!("{settings} load_module /usr/lib/nginx/modules/ngx_stream_module.so;");
    }
    settings.to_owned()
}

impl Server {
    /// Who it is.
    pub fn contestant(&self) -> Contestant {
        self.contestant
    }

    /// Its first process.
    pub fn pid(&self) -> Pid {
        self.running.pid()
    }

    /// All its processes.
    pub fn processes(&self) -> io::Result<Vec<Pid>> {
        measure::tree(self.pid())
    }

    /// Ends it.
    pub fn stop(self) -> io::Result<()> {
        self.running.stop(Duration::from_secs(5)).map(|_| ())
    }
}

/// Puts what servers read and write on a file system of the machine, as where they are installed: a host's own is memory.
fn on_disk(below: &Path) -> io::Result<()> {
    for (name, path) in [("prefix", PREFIX), ("logs", "/var/log/nginx"), ("state", "/var/lib/nginx")] {
        let from = below.join(name);
        for folder in [from.to_str().unwrap_or_default(), path] {
            mount::folder(folder)?;
        }
        mount::bind(&from, Path::new(path))?;
    }
    Ok(())
}

fn install(nginx: &[u8], article: &[u8], upstream: &[u8]) -> io::Result<()> {
    for folder in [format!("{PREFIX}/logs"), format!("{PREFIX}/conf")] {
        mount::folder(&folder)?;
    }
    mount::file(&format!("{PREFIX}/sbin/nginx"), nginx, 0o755)?;
    mount::file(&format!("{PREFIX}/conf/article.conf"), article, 0o644)?;
    mount::file(&format!("{PREFIX}/conf/upstream.conf"), upstream, 0o644)?;
    let files = certificates::all()?;
    let file = |name: &str| files.iter().find(|(known, _)| known == name).map_or(&[][..], |(_, bytes)| bytes);
    for (both, certificate, key) in [("ec.both", "ec.pem", "ec.key"), ("rsa.both", "cert.pem", "key.pem")] {
        for name in [certificate, key] {
            mount::file(&format!("{PREFIX}/conf/{name}"), file(name), 0o644)?;
        }
        mount::file(&format!("{PREFIX}/conf/{both}"), &[file(certificate), file(key)].concat(), 0o644)?;
    }
    for (name, size) in [("1k.bin", 1024), ("100k.bin", 100 * 1024), ("1m.bin", 1024 * 1024)] {
        mount::file(&format!("{PREFIX}/html/{name}"), &pattern(size), 0o644)?;
    }
    mount::file(&format!("{PREFIX}/html/100k.txt"), &text(100 * 1024), 0o644)?;
    // A connection per request leaves thousands of closed ones behind.
    fs::write("/proc/sys/net/ipv4/ip_local_port_range", "22000 65000")?;
    fs::write("/proc/sys/net/ipv4/tcp_tw_reuse", "1")?;
    fs::write("/proc/sys/net/core/somaxconn", "4096")
}

/// The content of the files.
pub fn pattern(size: usize) -> Vec<u8> {
    (0..size).map(|place| (place % 251) as u8).collect()
}

/// Text of so many bytes: words of a small language in no order, which gzip makes about a third of.
fn text(size: usize) -> Vec<u8> {
    let mut state = 1_u64;
    let mut next = |below: u64| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) % below
    };
    let mut word = || (0..2 + next(7)).map(|_| b'a' + next(26) as u8).collect::<Vec<u8>>();
    let words: Vec<_> = (0..800).map(|_| word()).collect();
    let mut text = Vec::with_capacity(size + 16);
    while text.len() < size {
        text.extend_from_slice(&words[next(800) as usize]);
        text.push(b' ');
    }
    text.truncate(size);
    text
}
