//! The article's cluster: three hosts and a client on one wire, the article's files at the article's paths.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::os::unix::net::UnixDatagram;
use std::process::Command;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use nix::unistd::Pid;

use crate::mount;
use crate::mqtt::Exchange;
use crate::net::{Host, Switch};
use crate::process::Running;
use crate::program::{Program, installed};
use crate::service::Service;
use crate::{root, wait_for, web};

/// The interface every host of the article has.
pub const INTERFACE: &str = "ens33";
/// The virtual address.
pub const VIRTUAL: Ipv4Addr = Ipv4Addr::new(192, 168, 110, 10);
/// Where the article installs nginx.
pub const NGINX: &str = "/usr/local/nginx-1.23.4";
/// Where the article installs keepalived.
pub const KEEPALIVED: &str = "/usr/local/keepalived/sbin/keepalived";

/// The address of a host by its last number.
pub fn address(number: u8) -> Ipv4Addr {
    Ipv4Addr::new(192, 168, 110, number)
}

/// Who plays the web application and the broker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Backends {
    /// The embedded stand-ins.
    Embedded,
    /// Nobody: the test brings its own.
    None,
}

/// The whole cluster.
#[derive(Debug)]
pub struct Cluster {
    nginx: Program,
    parts: Backends,
    files: Files,
    switch: Switch,
    nodes: BTreeMap<u8, Node>,
    client: Host,
    exchange: Arc<Exchange>,
}

/// The contents of the files a node gets.
#[derive(Debug, Clone)]
struct Files {
    nginx: Vec<u8>,
    keepalived: Vec<u8>,
    conf: Vec<u8>,
    master: Vec<u8>,
    backup: Vec<u8>,
    check: Vec<u8>,
    /// Whether the machine has no `ps`, and the hosts get a small one for the article's script.
    without_ps: bool,
}

/// Where hosts find programs that the machine does not have.
const PROGRAMS: &str = "/usr/local/sbin";

/// `ps -C NAME --no-header`, all that nginx_check.sh asks of it.
const PS: &[u8] = br#"#!/bin/sh
for folder in /proc/[0-9]*; do
    read -r name < "$folder/comm" || continue
    [ "$name" != "$2" ] || echo "${folder#/proc/} ? 00:00:00 $name"
done 2>/dev/null
"#;

impl Files {
    fn read(nginx: Program, keepalived: Program) -> io::Result<Self> {
        let article = root().join("fixtures/site/article");
        let read = |name: &str| {
            fs::read(article.join(name))
                .map_err(|error| io::Error::other(format!("fixtures/site/article/{name}: {error}")))
        };
        Ok(Self {
            nginx: fs::read(nginx.nginx()?)?,
            keepalived: fs::read(keepalived.keepalived()?)?,
            conf: read("nginx.conf")?,
            master: read("keepalived.conf")?,
            backup: read("keepalived.backup.conf")?,
            check: read("nginx_check.sh")?,
            without_ps: installed("ps").is_err(),
        })
    }

    /// Lays the files out as the article's reader would have them after its steps.
    fn install(&self, program: Program, number: u8) -> io::Result<()> {
        for folder in ["html", "logs", "conf"] {
            mount::folder(&format!("{NGINX}/{folder}"))?;
        }
        mount::file(&format!("{NGINX}/conf/nginx.conf"), &self.conf, 0o644)?;
        mount::file(&format!("{NGINX}/html/index.html"), b"Welcome to nginx!\n", 0o644)?;
        mount::file(&format!("{NGINX}/html/50x.html"), b"An error occurred.\n", 0o644)?;
        if program == Program::Original {
            // The installed nginx was built for other paths; the name by which `ps -C` finds it stays.
            for folder in ["/var/log/nginx", "/var/lib/nginx"] {
                mount::folder(folder)?;
            }
            let settings = "load_module /usr/lib/nginx/modules/ngx_stream_module.so; pid logs/nginx.pid; error_log logs/error.log;";
            let script = format!(
                "#!/bin/sh\nexec {NGINX}/original/nginx -p {NGINX} -c {NGINX}/conf/nginx.conf -g '{settings}' \"$@\"\n"
            );
            mount::file(&format!("{NGINX}/original/nginx"), &self.nginx, 0o755)?;
            mount::file(&format!("{NGINX}/sbin/nginx"), script.as_bytes(), 0o755)?;
        } else {
            mount::file(&format!("{NGINX}/sbin/nginx"), &self.nginx, 0o755)?;
        }
        mount::file(KEEPALIVED, &self.keepalived, 0o755)?;
        mount::replace("/etc/keepalived")?;
        let conf = if number == 60 { &self.master } else { &self.backup };
        mount::file("/etc/keepalived/keepalived.conf", conf, 0o644)?;
        mount::file("/etc/keepalived/nginx_check.sh", &self.check, 0o755)?;
        if self.without_ps {
            mount::unfold(PROGRAMS)?;
            mount::file(&format!("{PROGRAMS}/ps"), PS, 0o755)?;
        }
        Ok(())
    }
}

/// What a host wrote to its `/dev/log`: when, and the line.
type Journal = Arc<Mutex<Vec<(Instant, String)>>>;

/// One host of the article.
#[derive(Debug)]
pub struct Node {
    host: Host,
    journal: Journal,
    services: Vec<Service>,
}

impl Node {
    /// The machine.
    pub fn host(&self) -> &Host {
        &self.host
    }

    /// Whether it holds the virtual address.
    pub fn holds_virtual(&self) -> bool {
        self.host.addresses(INTERFACE).is_ok_and(|all| all.contains(&VIRTUAL))
    }

    /// What its programs logged.
    pub fn journal(&self) -> Vec<(Instant, String)> {
        self.journal.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Starts a program and waits for it to end well, as an operator who types it.
    pub fn operator(&self, program: &str, arguments: &[&str]) -> io::Result<()> {
        let mut command = Command::new(program);
        command.args(arguments);
        self.host.start(command)?.success(Duration::from_secs(20))
    }

    /// The processes called nginx.
    pub fn nginx(&self) -> Vec<Pid> {
        self.host.processes("nginx").unwrap_or_default()
    }

    /// Gives the node one more service; it ends with the node.
    pub fn keep(&mut self, service: Service) {
        self.services.push(service);
    }

    /// A listener on the node.
    pub fn listen(&self, port: u16) -> io::Result<TcpListener> {
        self.host.run(move || TcpListener::bind((Ipv4Addr::UNSPECIFIED, port)))?
    }
}

impl Cluster {
    /// The wire and the client; the three hosts are booted one by one.
    pub fn new(nginx: Program, keepalived: Program, parts: Backends) -> io::Result<Self> {
        installed("bash").map_err(|_| io::Error::other("the article's nginx_check.sh needs bash"))?;
        let files = Files::read(nginx, keepalived)?;
        let switch = Switch::new()?;
        let client = Host::new("client")?;
        switch.plug(&client, INTERFACE, address(100), 24)?;
        Ok(Self { nginx, parts, files, switch, nodes: BTreeMap::new(), client, exchange: Arc::default() })
    }

    /// The machine the users sit at.
    pub fn client(&self) -> &Host {
        &self.client
    }

    /// A booted host.
    pub fn node(&self, number: u8) -> io::Result<&Node> {
        self.nodes.get(&number).ok_or_else(|| io::Error::other(format!("host .{number} is off")))
    }

    /// A booted host, to be given more services.
    pub fn node_mut(&mut self, number: u8) -> io::Result<&mut Node> {
        self.nodes.get_mut(&number).ok_or_else(|| io::Error::other(format!("host .{number} is off")))
    }

    /// What the embedded brokers share.
    pub fn exchange(&self) -> &Arc<Exchange> {
        &self.exchange
    }

    /// The hosts that hold the virtual address.
    pub fn holders(&self) -> Vec<u8> {
        self.nodes.iter().filter(|(_, node)| node.holds_virtual()).map(|(number, _)| *number).collect()
    }

    /// Switches a host on: the machine, its files, and the stand-ins the article places on it.
    pub fn boot(&mut self, number: u8) -> io::Result<()> {
        let host = Host::new(&format!("host-{number}"))?;
        self.switch.plug(&host, INTERFACE, address(number), 24)?;
        let journal = host.run(journal)??;
        if number != 57 {
            let (files, program) = (self.files.clone(), self.nginx);
            host.run(move || files.install(program, number))??;
        }
        let mut node = Node { host, journal, services: Vec::new() };
        if self.parts == Backends::Embedded {
            self.furnish(&mut node, number)?;
        }
        self.nodes.insert(number, node);
        Ok(())
    }

    fn furnish(&self, node: &mut Node, number: u8) -> io::Result<()> {
        let name = address(number).to_string();
        if number != 57 {
            let port = if number == 60 { 18080 } else { 18081 };
            node.services.push(web::start(node.listen(port)?, &name)?);
        }
        if number != 58 {
            node.services.push(self.exchange.serve_tcp(node.listen(1883)?, &name, true)?);
            node.services.push(self.exchange.serve_websocket(node.listen(8083)?, &name)?);
        }
        Ok(())
    }

    /// The operator's two commands on .58 and .60: nginx, then keepalived as its unit file starts it.
    pub fn start_daemons(&self, number: u8) -> io::Result<()> {
        let node = self.node(number)?;
        node.operator(&format!("{NGINX}/sbin/nginx"), &[])?;
        node.operator(KEEPALIVED, &["-D"])
    }

    /// Cuts a host off the wire and kills everything that runs on it, as a power failure does.
    pub fn power_off(&mut self, number: u8) -> io::Result<()> {
        if let Some(mut node) = self.nodes.remove(&number) {
            self.switch.connect(&node.host, false)?;
            node.host.kill_everything();
            node.services.iter_mut().for_each(Service::stop);
        }
        Ok(())
    }

    /// Waits until exactly this host holds the virtual address.
    pub fn wait_for_holder(&self, number: u8, limit: Duration) -> io::Result<()> {
        wait_for(&format!("host .{number} to hold {VIRTUAL} alone"), limit, || {
            (self.holders() == [number]).then_some(())
        })
    }

    /// Starts a program at the client's.
    pub fn run_at_client(&self, command: Command) -> io::Result<Running> {
        self.client.start(command)
    }
}

/// Opens the host's `/dev/log` and keeps what comes.
fn journal() -> io::Result<Journal> {
    let socket = UnixDatagram::bind("/dev/log")?;
    socket.set_read_timeout(Some(Duration::from_millis(100)))?;
    let journal = Journal::default();
    let kept = Arc::clone(&journal);
    std::thread::spawn(move || {
        let mut line = vec![0; 8192];
        // The socket holds the host's network alive: the thread leaves with the last who may read the journal.
        while Arc::strong_count(&kept) > 1 {
            let Ok(length) = socket.recv(&mut line) else { continue };
            let text = String::from_utf8_lossy(&line[..length]).into_owned();
            kept.lock().unwrap_or_else(PoisonError::into_inner).push((Instant::now(), text));
        }
    });
    Ok(journal)
}

/// The virtual address with a port.
pub fn virtual_socket(port: u16) -> SocketAddr {
    SocketAddr::from((VIRTUAL, port))
}
