//! Two hosts and an ear on one wire, each host with a VRRP daemon of either make.

use std::fs;
use std::io;
use std::net::Ipv4Addr;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use compat_tests::net::{Host, Switch};
use compat_tests::process::Running;
use compat_tests::program::Program;
use compat_tests::wire::Sniffer;
use compat_tests::{link, mount, wait_for};
use nix::sys::signal::{Signal, kill};

/// The address that moves.
pub const VIRTUAL: Ipv4Addr = Ipv4Addr::new(192, 168, 110, 10);
/// Longer than anything here takes.
pub const LIMIT: Duration = Duration::from_secs(20);
/// The interface of both hosts.
pub const PORT: &str = "ens33";

/// One of the two hosts.
pub struct Side {
    /// The host.
    pub host: Host,
    /// Its own address.
    pub address: Ipv4Addr,
    program: Program,
    daemon: Option<Running>,
}

/// Both, and what they say to each other.
pub struct Pair {
    /// The host that should be master.
    pub a: Side,
    /// The other.
    pub b: Side,
    /// What goes over the wire.
    pub sniffer: Sniffer,
    /// Keeps the wire.
    pub switch: Switch,
    _listener: Host,
}

/// An instance with everything the article's has; `more` stands inside it.
pub fn configuration(state: &str, priority: u8, more: &str) -> String {
    format!(
        "global_defs {{\n router_id x\n vrrp_skip_check_adv_addr\n script_user root\n enable_script_security\n}}\n\
         vrrp_script check {{\n script \"/usr/bin/test ! -e /tmp/broken\"\n interval 1\n}}\n\
         vrrp_instance nginx {{\n state {state}\n interface {PORT}\n virtual_router_id 51\n priority {priority}\n \
         advert_int 1\n authentication {{\n auth_type PASS\n auth_pass 123456\n }}\n virtual_ipaddress {{\n {VIRTUAL} dev {PORT} \
         scope global\n }}\n{more}\n}}\n"
    )
}

impl Pair {
    /// Two hosts without daemons.
    pub fn new(a: Program, b: Program) -> io::Result<Self> {
        let switch = Switch::new()?;
        let listener = Host::new("ear")?;
        switch.plug(&listener, PORT, Ipv4Addr::new(192, 168, 110, 99), 24)?;
        let side = |name: &str, number: u8, program| -> io::Result<Side> {
            let host = Host::new(name)?;
            host.run(|| mount::replace("/etc/keepalived"))??;
            let address = Ipv4Addr::new(192, 168, 110, number);
            switch.plug(&host, PORT, address, 24)?;
            Ok(Side { host, address, program, daemon: None })
        };
        let (a, b) = (side("a", 11, a)?, side("b", 12, b)?);
        let sniffer = Sniffer::open(&listener)?;
        Ok(Self { a, b, sniffer, switch, _listener: listener })
    }

    /// Both started, the first with priority 120 and master.
    pub fn started(a: Program, b: Program, more: &str) -> io::Result<Self> {
        let mut pair = Self::new(a, b)?;
        pair.a.start(&configuration("BACKUP", 120, more))?;
        pair.b.start(&configuration("BACKUP", 100, more))?;
        pair.a.becomes_master()?;
        wait_for("one master", LIMIT, || (!pair.b.is_master()).then_some(()))?;
        Ok(pair)
    }
}

impl Side {
    /// Starts the daemon with this configuration.
    pub fn start(&mut self, text: &str) -> io::Result<()> {
        self.start_with(text, &[])
    }

    /// Starts the daemon with this configuration and these options beside the usual ones.
    pub fn start_with(&mut self, text: &str, options: &[&str]) -> io::Result<()> {
        self.configure(text)?;
        let mut command = Command::new(self.program.keepalived()?);
        command.args(["-n", "-l", "-D", "-f", "/etc/keepalived/keepalived.conf"]).args(options);
        self.daemon = Some(self.host.start(command)?);
        Ok(())
    }

    /// Starts the daemon with this configuration and no IPVS: ours keeps virtual servers in memory, the original is told that
    /// the kernel did what it asked for.
    pub fn start_without_ipvs(&mut self, text: &str) -> io::Result<()> {
        if self.program == Program::Ours {
            return self.start_with(text, &["--simulate-ipvs"]);
        }
        self.start_original(&self.program.keepalived()?, text)
    }

    /// The same for the original at this path.
    pub fn start_original(&mut self, keepalived: &Path, text: &str) -> io::Result<()> {
        let library = compat_tests::ipvs::library()?;
        self.host.run(move || fs::write("/tmp/ipvs.so", library))??;
        self.configure(text)?;
        let mut command = Command::new(keepalived);
        command.args(["-n", "-l", "-D", "-f", "/etc/keepalived/keepalived.conf"]).env("LD_PRELOAD", "/tmp/ipvs.so");
        self.daemon = Some(self.host.start(command)?);
        Ok(())
    }

    /// Starts ours with this configuration, and has it record to `/tmp/recording`.
    pub fn record(&mut self, text: &str) -> io::Result<()> {
        self.start_with(text, &["--record", "/tmp/recording"])
    }

    /// Starts it as it was.
    pub fn restart(&mut self) -> io::Result<()> {
        let text = self.host.run(|| fs::read_to_string("/etc/keepalived/keepalived.conf"))??;
        self.host.run(|| for_each_pid_file(|path| drop(fs::remove_file(path))))?;
        self.start(&text)
    }

    /// Writes the configuration.
    pub fn configure(&self, text: &str) -> io::Result<()> {
        let text = text.to_owned();
        self.host.run(move || fs::write("/etc/keepalived/keepalived.conf", text))?
    }

    /// Whether it holds the address.
    pub fn is_master(&self) -> bool {
        self.host.addresses(PORT).is_ok_and(|all| all.contains(&VIRTUAL))
    }

    /// Waits until it holds the address.
    pub fn becomes_master(&self) -> io::Result<Instant> {
        wait_for("the address", LIMIT, || self.is_master().then(Instant::now))
            .map_err(|error| io::Error::other(format!("{error}; {}", self.log())))
    }

    /// Waits until it does not hold the address.
    pub fn lets_go(&self) -> io::Result<Instant> {
        wait_for("the address to go", LIMIT, || (!self.is_master()).then(Instant::now))
            .map_err(|error| io::Error::other(format!("{error}; {}", self.log())))
    }

    /// What the daemon has said.
    pub fn log(&self) -> String {
        self.daemon.as_ref().map_or_else(String::new, Running::output)
    }

    /// Waits for a line.
    pub fn says(&self, line: &str) -> io::Result<()> {
        wait_for(line, LIMIT, || self.log().contains(line).then_some(()))
            .map_err(|error| io::Error::other(format!("{error}; {}", self.log())))
    }

    /// Sends a signal to the daemon's parent.
    pub fn signal(&self, signal: Signal) {
        if let Some(daemon) = &self.daemon {
            daemon.signal(signal);
        }
    }

    /// SIGTERM, and its end.
    pub fn stop(&mut self) -> io::Result<()> {
        if let Some(daemon) = self.daemon.take() {
            daemon.stop(LIMIT)?;
        }
        Ok(())
    }

    /// SIGKILL for every process of the host; all are stopped first, so that none sees another's end.
    pub fn kill(&self) -> io::Result<()> {
        for signal in [Signal::SIGSTOP, Signal::SIGKILL] {
            for pid in self.host.processes("")? {
                let _ = kill(pid, signal);
            }
        }
        Ok(())
    }

    /// Sets the interface up or down.
    pub fn set_up(&self, up: bool) -> io::Result<()> {
        self.host.run(move || link::set_up(PORT, up))?
    }
}

fn for_each_pid_file(see: impl Fn(&Path)) {
    for name in ["keepalived.pid", "vrrp.pid", "keepalived/keepalived.pid", "keepalived/vrrp.pid"] {
        see(&Path::new("/run").join(name));
    }
}
