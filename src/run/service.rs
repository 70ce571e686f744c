//! The service manager, as `sd_notify(3)` speaks with it: datagrams that say when the program serves, reloads, stops and
//! is alive.

use crate::sys::process::take_variable;
use crate::sys::time::monotonic;
use std::ffi::OsString;
use std::io;
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::{Duration, Instant};

/// The variable with the socket's address: a path, or `@` and a name in the abstract namespace.
const SOCKET: &str = "NOTIFY_SOCKET";
/// The variable with the microseconds after which a silent program is taken for dead.
const WATCHDOG: &str = "WATCHDOG_USEC";
/// The variable with the process [`WATCHDOG`] is meant for.
const WATCHDOG_PROCESS: &str = "WATCHDOG_PID";
/// How long a manager that does not read may hold a message up.
const PATIENCE: Duration = Duration::from_secs(1);

/// The service manager this program was started by, if it listens.
#[derive(Debug, Default)]
pub struct ServiceManager {
    channel: Option<(UnixDatagram, SocketAddr)>,
    /// Half of what [`WATCHDOG`] says.
    interval: Option<Duration>,
    /// When the next sign of life is sent.
    due: Option<Instant>,
    /// What a program that follows this one gets of the variables.
    variables: Vec<(&'static str, OsString)>,
}

impl ServiceManager {
    /// Takes the manager's variables out of the environment, so that no script gets them.
    pub fn take() -> Self {
        let [socket, watchdog, process] = [SOCKET, WATCHDOG, WATCHDOG_PROCESS].map(take_variable);
        let own = process.is_none_or(|process| process.to_str() == Some(std::process::id().to_string().as_str()));
        Self::new(socket, watchdog.filter(|_| own), Instant::now())
    }

    fn new(socket: Option<OsString>, watchdog: Option<OsString>, now: Instant) -> Self {
        let channel = socket.as_ref().and_then(|address| open(address.as_bytes()).ok());
        let micros = watchdog.as_ref().and_then(|micros| micros.to_str()?.parse().ok()).filter(|micros| *micros > 0);
        let interval = micros.filter(|_| channel.is_some()).map(|micros| Duration::from_micros(micros) / 2);
        let variables = [(SOCKET, socket), (WATCHDOG, watchdog)];
        Self {
            channel,
            interval,
            due: interval.map(|_| now),
            variables: variables.into_iter().filter_map(|(name, value)| Some((name, value?))).collect(),
        }
    }

    /// What the environment of a program that follows this one needs.
    pub fn variables(&self) -> impl Iterator<Item = (&'static str, &OsString)> {
        self.variables.iter().map(|(name, value)| (*name, value))
    }

    /// The program serves, and this process is its main one.
    pub fn ready(&self, status: &str) {
        self.send(&format!("READY=1\nMAINPID={}\nSTATUS={}", std::process::id(), line(status)));
    }

    /// The program serves beside the main process, which it follows.
    pub fn ready_beside(&self) {
        self.send("READY=1");
    }

    /// A reload begins; [`ServiceManager::ready`] ends it.
    pub fn reloading(&self) {
        self.send(&format!("RELOADING=1\nMONOTONIC_USEC={}\nSTATUS=Reloading", monotonic().as_micros()));
    }

    /// The program ends.
    pub fn stopping(&self) {
        self.send("STOPPING=1\nSTATUS=Stopping");
    }

    /// Another process is the main one from now on.
    pub fn hand_over(&self, pid: i32) {
        self.send(&format!("MAINPID={pid}"));
    }

    /// When [`ServiceManager::sign_of_life`] has something to do next.
    pub const fn poll_timeout(&self) -> Option<Instant> {
        self.due
    }

    /// Says that this process is alive, when it is time to.
    pub fn sign_of_life(&mut self, now: Instant) {
        if let (Some(due), Some(interval)) = (self.due, self.interval)
            && due <= now
        {
            self.send("WATCHDOG=1");
            self.due = Some(now + interval);
        }
    }

    fn send(&self, text: &str) {
        if let Some((socket, address)) = &self.channel {
            // A manager that is restarted listens at the same address again; until then there is nobody to tell.
            let _ = socket.send_to_addr(text.as_bytes(), address);
        }
    }
}

/// A status is one line.
fn line(text: &str) -> String {
    text.replace('\n', " ")
}

fn open(address: &[u8]) -> io::Result<(UnixDatagram, SocketAddr)> {
    let address = match address {
        [b'@', name @ ..] => SocketAddr::from_abstract_name(name)?,
        [b'/', ..] => SocketAddr::from_pathname(std::ffi::OsStr::from_bytes(address))?,
        _ => return Err(io::ErrorKind::Unsupported.into()),
    };
    let socket = UnixDatagram::unbound()?;
    socket.set_write_timeout(Some(PATIENCE))?;
    Ok((socket, address))
}

#[cfg(test)]
mod tests;
