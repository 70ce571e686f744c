//! A program started in the sandbox, asked, and ended.

use super::backend::Backends;
use super::client::{Answer, ask};
use super::requests::{Ask, TCP, UDP};
use super::sandbox::Sandbox;
use crate::conf::diagnostic::reason;
use crate::migrate::report::Failure;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::fs::File;
use std::net::UdpSocket;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep};

/// What became of a program.
pub struct Trial {
    /// Its answers in the order of the requests, or what it said instead of starting.
    pub answers: Result<Vec<Answer>, String>,
}

/// How long a program may take to listen, and to end.
const PATIENCE: Duration = Duration::from_secs(20);

/// A program that runs; ended when dropped.
struct Running {
    child: Child,
}

/// Starts a program that serves certain directives, asks it everything, ends it.
///
/// # Errors
/// There is no such program.
pub async fn trial(
    (program, served): (&str, &dyn Fn(&str) -> bool),
    sandbox: &Sandbox,
    asks: &[Ask],
    backends: &Backends,
) -> Result<Trial, Failure> {
    let said = sandbox.prefix.join("logs/said");
    let log = |error: std::io::Error| Failure::file(&said.to_string_lossy(), &error);
    let modules = if sandbox.wants_stream { stream_module(program) } else { Vec::new() };
    sandbox.prepare(served, &modules).map_err(log)?;
    let output = File::create(&said).map_err(log)?;
    let child = Command::new(program)
        .arg("-p")
        .arg(format!("{}/", sandbox.prefix.display()))
        .arg("-c")
        .arg(&sandbox.conf)
        .arg("-e")
        .arg(sandbox.prefix.join("logs/error.log"))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(output)
        .env_remove("NGINX")
        .spawn()
        .map_err(|error| Failure(format!("{program} cannot be started: {}", reason(&error))))?;
    let mut running = Running { child };
    if !running.listens(sandbox).await {
        running.end().await;
        let words = std::fs::read_to_string(&said).unwrap_or_default();
        // The last thing it says is why.
        let last = words.lines().rev().find(|line| line.contains("[emerg]") || line.contains("[alert]"));
        let last = last.or_else(|| words.lines().last()).unwrap_or("it says nothing").to_owned();
        return Ok(Trial { answers: Err(last) });
    }
    backends.take();
    let mut answers = Vec::new();
    for one in asks {
        let ports = match one.method.as_str() {
            TCP => &sandbox.streams,
            UDP => &sandbox.datagrams,
            _ => &sandbox.ports,
        };
        let mut answer = match ports.get(&one.port) {
            Some(place) => ask(one, *place).await,
            None => Answer {
                request: one.title(),
                status: format!("nobody listens on port {}", one.port),
                headers: Vec::new(),
                body: Vec::new(),
                asked: Vec::new(),
                own: None,
            },
        };
        answer.asked = backends.take();
        answers.push(answer);
    }
    running.end().await;
    Ok(Trial { answers: Ok(answers) })
}

/// The stream module of a program that was built to load it, where it is installed.
fn stream_module(program: &str) -> Vec<String> {
    let said = Command::new(program).arg("-V").stdin(Stdio::null()).output();
    let said = said.map(|output| String::from_utf8_lossy(&output.stderr).into_owned()).unwrap_or_default();
    let mut words = said.split_whitespace();
    if !words.clone().any(|word| word == "--with-stream=dynamic") {
        return Vec::new();
    }
    let folder = words.find_map(|word| word.strip_prefix("--modules-path="));
    let module = folder.map(|folder| format!("{folder}/ngx_stream_module.so"));
    module.into_iter().filter(|path| Path::new(path).is_file()).collect()
}

impl Running {
    /// Waits until every port is open; false when the program ends before.
    async fn listens(&mut self, sandbox: &Sandbox) -> bool {
        let end = Instant::now() + PATIENCE;
        while Instant::now() < end {
            if !matches!(self.child.try_wait(), Ok(None)) {
                return false;
            }
            let mut open = true;
            for place in sandbox.ports.values().chain(sandbox.streams.values()) {
                open = open && TcpStream::connect(place.address).await.is_ok();
            }
            // Who listens for datagrams has the address.
            open &= sandbox.datagrams.values().all(|place| UdpSocket::bind(place.address).is_err());
            if open {
                return true;
            }
            sleep(Duration::from_millis(20)).await;
        }
        false
    }

    async fn end(&mut self) {
        self.signal(Signal::SIGTERM);
        let end = Instant::now() + PATIENCE;
        while Instant::now() < end && matches!(self.child.try_wait(), Ok(None)) {
            sleep(Duration::from_millis(5)).await;
        }
    }

    fn signal(&mut self, signal: Signal) {
        // A child that was not waited for keeps its number.
        if let (Ok(None), Ok(pid)) = (self.child.try_wait(), i32::try_from(self.child.id())) {
            let _ = kill(Pid::from_raw(pid), signal);
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.signal(Signal::SIGKILL);
        let _ = self.child.wait();
    }
}
