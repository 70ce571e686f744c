//! `sd_notify(3)`: what both daemons send the service manager at start, reload, change of binary and stop.

use std::fs;
use std::io;
use std::net::Ipv4Addr;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::process::Command;

use compat_tests::net::{Host, Switch};
use compat_tests::peer::PREFIX;
use compat_tests::process::Running;
use compat_tests::program::Program;
use compat_tests::testbed::{LIMIT, TestBed};
use compat_tests::wait_for;
use nix::sys::signal::{Signal, kill};

/// The manager's address in the abstract namespace, which each host has for itself.
const NAME: &str = "service-manager";

/// A service manager of the host.
struct Manager(UnixDatagram);

impl Manager {
    fn listen(host: &Host) -> io::Result<Self> {
        let socket = host.run(|| UnixDatagram::bind_addr(&SocketAddr::from_abstract_name(NAME)?))??;
        socket.set_read_timeout(Some(LIMIT))?;
        Ok(Self(socket))
    }

    /// The next message, without signs of life.
    fn next(&self) -> io::Result<String> {
        let mut buffer = [0; 1000];
        loop {
            let length = self.0.recv(&mut buffer)?;
            let text = String::from_utf8_lossy(&buffer[..length]).into_owned();
            if text != "WATCHDOG=1" {
                return Ok(text);
            }
        }
    }

    /// Takes a message that has these lines.
    fn expect(&self, lines: &[&str]) {
        let text = self.next().unwrap_or_else(|error| panic!("no message with {lines:?}: {error}"));
        for line in lines {
            assert!(text.lines().any(|one| one.starts_with(line)), "{line} is missing in {text:?}");
        }
    }

    fn hears_signs_of_life(&self, count: usize) {
        let mut buffer = [0; 1000];
        for _ in 0..count {
            let length = self.0.recv(&mut buffer).expect("a sign of life");
            assert_eq!(&buffer[..length], b"WATCHDOG=1");
        }
    }
}

/// Starts a program as a manager that wants two signs of life in two tenths of a second.
fn start(host: &Host, mut command: Command) -> io::Result<Running> {
    host.start({
        command.env("NOTIFY_SOCKET", format!("@{NAME}")).env("WATCHDOG_USEC", "200000").env_remove("WATCHDOG_PID");
        command
    })
}

const CONF: &str = "events { }
http { access_log off; server { listen 127.0.0.1:8080; } }
";

fn nginx(testbed: &TestBed, words: &[&str]) -> io::Result<Running> {
    let mut command = Command::new(format!("{PREFIX}/sbin/nginx"));
    command.args(["-p", PREFIX, "-c", "conf/nginx.conf"]).args(words);
    start(testbed.host(), command)
}

#[test]
fn rnginx_says_when_it_serves_reloads_changes_its_binary_and_stops() -> io::Result<()> {
    let testbed = TestBed::new(Program::Ours)?;
    let manager = Manager::listen(testbed.host())?;
    testbed.write(CONF)?;
    nginx(&testbed, &[])?.success(LIMIT)?;
    let main = |file: &str| Ok::<_, io::Error>(format!("MAINPID={}", testbed.file(file)?.trim()));
    manager.expect(&["READY=1", &main("logs/nginx.pid")?, "STATUS=Serving"]);
    manager.hears_signs_of_life(2);
    testbed.signal(Signal::SIGHUP)?;
    manager.expect(&["RELOADING=1", "MONOTONIC_USEC="]);
    manager.expect(&["READY=1", "STATUS=Serving"]);
    testbed.write("nonsense;")?;
    testbed.signal(Signal::SIGHUP)?;
    manager.expect(&["RELOADING=1"]);
    manager.expect(&["READY=1", "STATUS=Serving the previous configuration; the reload failed: unknown directive"]);
    testbed.write(CONF)?;
    let old = testbed.master()?;
    kill(old, Signal::SIGUSR2)?;
    assert_eq!(manager.next()?, "READY=1", "the new binary serves beside the main process");
    let new = main("logs/nginx.pid")?;
    kill(old, Signal::SIGQUIT)?;
    assert_eq!(manager.next()?, new, "the old binary names its successor");
    testbed.wait_for_end(old)?;
    testbed.signal(Signal::SIGHUP)?;
    manager.expect(&["RELOADING=1"]);
    manager.expect(&["READY=1", &new]);
    testbed.signal(Signal::SIGTERM)?;
    manager.expect(&["STOPPING=1"]);
    Ok(())
}

#[test]
fn rnginx_without_a_master_speaks_with_the_manager_itself() -> io::Result<()> {
    let testbed = TestBed::new(Program::Ours)?;
    let manager = Manager::listen(testbed.host())?;
    testbed.write(CONF)?;
    let running = nginx(&testbed, &["-g", "daemon off; master_process off;"])?;
    manager.expect(&["READY=1", "MAINPID="]);
    manager.hears_signs_of_life(2);
    running.signal(Signal::SIGQUIT);
    manager.expect(&["STOPPING=1"]);
    running.success(LIMIT)
}

/// One router whose script says what its environment is.
const ROUTER: &str = "global_defs {
    enable_script_security
    script_user root
}
vrrp_script look {
    script /run/look
    interval 1
}
vrrp_instance one {
    interface eth0
    virtual_router_id 7
    priority 100
    virtual_ipaddress {
        192.168.110.99
    }
    track_script {
        look
    }
}
";

#[test]
fn rkeepalived_says_when_it_runs_reloads_and_stops_and_its_scripts_do_not_know() -> io::Result<()> {
    let host = Host::new("service")?;
    let switch = Switch::new()?;
    switch.plug(&host, "eth0", Ipv4Addr::new(192, 168, 110, 11), 24)?;
    let manager = Manager::listen(&host)?;
    let write = |text: &'static str| host.run(move || fs::write("/tmp/keepalived.conf", text));
    host.run(|| {
        fs::write("/run/look", "#!/bin/sh\nenv > /run/environment.new\nmv /run/environment.new /run/environment\n")?;
        fs::set_permissions("/run/look", fs::Permissions::from_mode(0o755))
    })??;
    write(ROUTER)??;
    let mut command = Command::new(Program::Ours.keepalived()?);
    command.args(["-n", "-l", "-G", "-f", "/tmp/keepalived.conf", "-p", "/tmp/k.pid", "-r", "/tmp/v.pid"]);
    let running = start(&host, command)?;
    manager.expect(&["READY=1", "MAINPID=", "STATUS=Running"]);
    manager.hears_signs_of_life(2);
    let seen =
        wait_for("the script", LIMIT, || host.run(|| fs::read_to_string("/run/environment").ok()).ok().flatten())?;
    assert!(seen.contains("PATH=") || seen.contains("PWD="), "{seen}");
    assert!(!seen.contains("NOTIFY_SOCKET") && !seen.contains("WATCHDOG"), "{seen}");
    running.signal(Signal::SIGHUP);
    manager.expect(&["RELOADING=1", "MONOTONIC_USEC="]);
    manager.expect(&["READY=1", "STATUS=Running"]);

    write("vrrp_instance one {\n interface eth0\n virtual_router_id 900\n}\n")??;
    running.signal(Signal::SIGHUP);
    manager.expect(&["RELOADING=1"]);
    manager.expect(&["READY=1", "STATUS=Running with the previous configuration"]);
    running.signal(Signal::SIGTERM);
    manager.expect(&["STOPPING=1"]);
    running.success(LIMIT)
}
