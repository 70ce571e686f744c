//! A daemon on a host: started as an operator starts it, told by signals and `-s`, asked who it is.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::process::Command;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::client::{self, Response};
use crate::measure::tree;
use crate::net::Host;
use crate::peer::{Bench, PREFIX};
use crate::program::Program;
use crate::{mount, wait_for};

/// How long anything may take.
pub const LIMIT: Duration = Duration::from_secs(10);

/// The host and the configuration it runs.
#[derive(Debug)]
pub struct TestBed {
    bench: Bench,
}

impl TestBed {
    /// A host with this program, its backends and nothing running.
    pub fn new(program: Program) -> io::Result<Self> {
        Ok(Self { bench: Bench::new(program)? })
    }

    /// The machine.
    pub fn host(&self) -> &Host {
        self.bench.host()
    }

    /// The backends.
    pub fn bench(&self) -> &Bench {
        &self.bench
    }

    /// Writes the configuration file.
    pub fn write(&self, text: &str) -> io::Result<()> {
        let stream = self.bench.program() == Program::Original && text.contains("stream {");
        let module = if stream { "load_module /usr/lib/nginx/modules/ngx_stream_module.so;\n" } else { "" };
        let text = format!("{module}pid logs/nginx.pid;\nerror_log logs/error.log;\n{text}");
        self.host().run(move || mount::file(&format!("{PREFIX}/conf/nginx.conf"), text.as_bytes(), 0o644))?
    }

    /// Runs the program with these words behind the usual ones; what it printed.
    pub fn command(&self, words: &[&str]) -> io::Result<String> {
        let mut command = Command::new(format!("{PREFIX}/sbin/nginx"));
        command.args(["-p", PREFIX, "-c", "conf/nginx.conf"]).args(words);
        let running = self.host().start(command)?;
        running.success(LIMIT)?;
        if words.is_empty() {
            self.wait_for_start();
        }
        Ok(running.output())
    }

    /// Waits until a master that was started has a worker, or is gone: before that nginx notes a signal and forgets it.
    fn wait_for_start(&self) {
        if self.file("conf/nginx.conf").is_ok_and(|text| text.contains("master_process off")) {
            return;
        }
        let _ = wait_for("a worker", LIMIT, || {
            let master = self.master().ok()?;
            (kill(master, None).is_err() || self.workers(master).is_ok_and(|workers| !workers.is_empty())).then_some(())
        });
    }

    /// Waits until somebody listens on 8080.
    pub fn wait_for_listener(&self) -> io::Result<()> {
        let connects = move || client::connect(local(8080), LIMIT).is_ok();
        wait_for("the server to listen", LIMIT, || self.host().run(connects).ok()?.then_some(()))
    }

    /// The lines of the access log, when there are so many.
    pub fn access_lines(&self, count: usize) -> io::Result<Vec<String>> {
        wait_for("a line for each request", LIMIT, || {
            let log = self.file("logs/access.log").ok()?;
            (log.lines().count() >= count).then(|| log.lines().map(str::to_owned).collect())
        })
    }

    /// A file below the prefix.
    pub fn file(&self, path: &str) -> io::Result<String> {
        let path = format!("{PREFIX}/{path}");
        self.host().run(move || std::fs::read(&path))?.map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
    }

    /// Renames a file below the prefix.
    pub fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        let (from, to) = (format!("{PREFIX}/{from}"), format!("{PREFIX}/{to}"));
        self.host().run(move || std::fs::rename(from, to))?
    }

    /// The master that a pid file names, as the machine numbers it.
    pub fn named(&self, file: &str) -> io::Result<Pid> {
        let number = self.file(file)?.trim().parse::<i32>().map_err(io::Error::other)?;
        self.host().outer(number)
    }

    /// The master.
    pub fn master(&self) -> io::Result<Pid> {
        self.named("logs/nginx.pid")
    }

    /// The processes below a master.
    pub fn workers(&self, master: Pid) -> io::Result<Vec<Pid>> {
        Ok(tree(master)?.split_off(1))
    }

    /// Sends the master a signal.
    pub fn signal(&self, signal: Signal) -> io::Result<()> {
        Ok(kill(self.master()?, signal)?)
    }

    /// One request on a connection of its own.
    pub fn get(&self, port: u16, target: &str) -> io::Result<Response> {
        let target = target.to_owned();
        self.host().run(move || client::get(local(port), &target, &[], LIMIT))?
    }

    /// Waits until a request gives this text.
    pub fn wait_for_text(&self, port: u16, target: &str, text: &str) -> io::Result<()> {
        wait_for(&format!("{target} on {port} to say {text:?}"), LIMIT, || {
            self.get(port, target).ok().filter(|answer| answer.text().contains(text)).map(|_| ())
        })
    }

    /// Waits until a process is gone.
    pub fn wait_for_end(&self, pid: Pid) -> io::Result<()> {
        wait_for(&format!("process {pid} to end"), LIMIT, || kill(pid, None).is_err().then_some(()))
    }
}

/// A port of the host itself.
pub fn local(port: u16) -> SocketAddr {
    SocketAddr::from((Ipv4Addr::LOCALHOST, port))
}
