//! How `-s reload` learns what became of the reload: it asks before it signals, and the parent answers when it knows.

use nix::sys::socket::{
    AddressFamily, Backlog, SockFlag, SockType, UnixAddr, accept4, bind, connect, getsockopt, listen as start, socket,
    sockopt,
};
use std::fs::File;
use std::io::{Read as _, Write as _};
use std::os::fd::{AsRawFd as _, OwnedFd};

fn address(pid: u32) -> Option<UnixAddr> {
    UnixAddr::new_abstract(format!("rnginx/{pid}").as_bytes()).ok()
}

/// Somebody who waits for a verdict.
pub struct Asker(File);

impl Asker {
    /// Tells the verdict: nothing when all went well.
    pub fn answer(mut self, text: &str) {
        let _ = self.0.write_all(format!("{text}\n").as_bytes());
    }
}

/// Opens the place where verdicts are asked for.
pub fn listen() -> Option<OwnedFd> {
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    let fd = socket(AddressFamily::Unix, SockType::Stream, flags, None).ok()?;
    bind(fd.as_raw_fd(), &address(std::process::id())?).ok()?;
    start(&fd, Backlog::new(8).ok()?).ok()?;
    Some(fd)
}

/// Those who came to ask, if they are who we are.
pub fn accept(listener: &OwnedFd) -> Vec<Asker> {
    let mut askers = Vec::new();
    while let Ok(raw) = accept4(listener.as_raw_fd(), SockFlag::SOCK_CLOEXEC) {
        let fd = crate::sys::socket::own(raw);
        let own = nix::unistd::geteuid().as_raw();
        if getsockopt(&fd, sockopt::PeerCredentials).is_ok_and(|peer| peer.uid() == own || peer.uid() == 0) {
            askers.push(Asker(File::from(fd)));
        }
    }
    askers
}

/// A question to the parent `pid`; nothing when it does not answer questions (as real nginx does not).
pub fn ask(pid: u32) -> Option<Question> {
    let fd = socket(AddressFamily::Unix, SockType::Stream, SockFlag::SOCK_CLOEXEC, None).ok()?;
    connect(fd.as_raw_fd(), &address(pid)?).ok()?;
    Some(Question(File::from(fd)))
}

/// An open question.
pub struct Question(File);

impl Question {
    /// Waits for the verdict; nothing when the parent ended without one.
    pub fn answer(mut self) -> Option<String> {
        let mut text = String::new();
        self.0.read_to_string(&mut text).ok()?;
        text.strip_suffix('\n').map(str::to_owned)
    }
}
