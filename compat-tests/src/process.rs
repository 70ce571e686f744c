//! Programs under test: started with their output captured, waited for, stopped by number.

use std::fs::File;
use std::io;
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::Scratch;

/// A program that was started; killed when dropped unless it ended before.
#[derive(Debug)]
pub struct Running {
    name: String,
    pid: Pid,
    ended: Arc<(Mutex<Option<ExitStatus>>, Condvar)>,
    output: Output,
}

/// The file that takes a program's standard output and error.
#[derive(Debug)]
pub struct Output {
    path: PathBuf,
    _folder: Scratch,
}

impl Running {
    /// Starts a program on the machine itself.
    pub fn start(command: Command) -> io::Result<Self> {
        let (name, mut command, output) = Self::prepare(command)?;
        Ok(Self::adopt(name, command.spawn()?, output))
    }

    /// Points the program's output into a file of its own.
    pub fn prepare(mut command: Command) -> io::Result<(String, Command, Output)> {
        let program = PathBuf::from(command.get_program());
        let name = program.file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned());
        let folder = Scratch::new("output")?;
        let path = folder.path().join(&name);
        let file = File::create(&path)?;
        command.stdin(Stdio::null()).stdout(file.try_clone()?).stderr(file);
        Ok((name, command, Output { path, _folder: folder }))
    }

    /// Takes over a started child and reaps it as soon as it ends.
    pub fn adopt(name: String, mut child: Child, output: Output) -> Self {
        let pid = Pid::from_raw(child.id() as i32);
        let ended = Arc::new((Mutex::new(None), Condvar::new()));
        let told = Arc::clone(&ended);
        std::thread::spawn(move || {
            let status = child.wait().unwrap_or_else(|_| ExitStatus::from_raw(255 << 8));
            *told.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(status);
            told.1.notify_all();
        });
        Self { name, pid, ended, output }
    }

    /// Its number.
    pub fn pid(&self) -> Pid {
        self.pid
    }

    /// How it ended, if it did.
    pub fn ended(&self) -> Option<ExitStatus> {
        *self.ended.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until it ends.
    pub fn wait(&self, limit: Duration) -> io::Result<ExitStatus> {
        let guard = self.ended.0.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = self.ended.1.wait_timeout_while(guard, limit, |status| status.is_none());
        let (guard, _) = waited.unwrap_or_else(PoisonError::into_inner);
        guard.ok_or_else(|| {
            io::Error::new(io::ErrorKind::TimedOut, format!("{} did not end within {limit:?}", self.name))
        })
    }

    /// Waits until it ends and says so if it did not end well.
    pub fn success(&self, limit: Duration) -> io::Result<()> {
        let status = self.wait(limit)?;
        if status.success() {
            return Ok(());
        }
        Err(io::Error::other(format!("{} ended with {status}: {}", self.name, self.output())))
    }

    /// What it has printed so far.
    pub fn output(&self) -> String {
        std::fs::read(&self.output.path).map_or_else(|_| String::new(), |text| String::from_utf8_lossy(&text).into())
    }

    /// Sends it a signal, unless it has ended.
    pub fn signal(&self, signal: Signal) {
        if self.ended().is_none() {
            let _ = kill(self.pid, signal);
        }
    }

    /// SIGTERM, and SIGKILL if that does not end it in time.
    pub fn stop(&self, limit: Duration) -> io::Result<ExitStatus> {
        self.signal(Signal::SIGTERM);
        self.wait(limit).or_else(|_| {
            self.signal(Signal::SIGKILL);
            self.wait(limit)
        })
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.signal(Signal::SIGKILL);
        let _ = self.wait(Duration::from_secs(5));
    }
}

/// Whether someone in the process's network listens on this TCP port.
pub fn listens(pid: Pid, port: u16) -> bool {
    ["tcp", "tcp6"].iter().any(|table| {
        let text = std::fs::read_to_string(format!("/proc/{pid}/net/{table}")).unwrap_or_default();
        text.lines().skip(1).any(|line| {
            let mut words = line.split_whitespace().skip(1);
            let local = words.next().unwrap_or("");
            let here = local.rsplit(':').next().and_then(|text| u16::from_str_radix(text, 16).ok()) == Some(port);
            here && words.nth(1) == Some("0A")
        })
    })
}
