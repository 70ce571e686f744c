//! How `-s reload` learns whether the reload succeeded: it asks before it signals, and the parent answers when it knows.

use nix::sys::socket::{getsockopt, sockopt};
use std::io::{Read as _, Write as _};
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::net::{SocketAddr, UnixListener, UnixStream};

fn address(pid: u32) -> Option<SocketAddr> {
    SocketAddr::from_abstract_name(format!("rnginx/{pid}")).ok()
}

/// Somebody who waits for a verdict.
pub struct Asker(UnixStream);

impl Asker {
    /// Tells the verdict: nothing when all went well.
    pub fn answer(mut self, text: &str) {
        let _ = self.0.write_all(format!("{text}\n").as_bytes());
    }
}

/// Opens the place where verdicts are asked for.
pub fn listen() -> Option<UnixListener> {
    let listener = UnixListener::bind_addr(&address(std::process::id())?).ok()?;
    listener.set_nonblocking(true).ok()?;
    Some(listener)
}

/// Those who came to ask, if they are who we are.
pub fn accept(listener: &UnixListener) -> Vec<Asker> {
    let own = nix::unistd::geteuid().as_raw();
    let mut askers = Vec::new();
    while let Ok((stream, _)) = listener.accept() {
        if getsockopt(&stream, sockopt::PeerCredentials).is_ok_and(|peer| peer.uid() == own || peer.uid() == 0) {
            askers.push(Asker(stream));
        }
    }
    askers
}

/// A question to the parent `pid`; nothing when it does not answer questions (as real nginx does not).
pub fn ask(pid: u32) -> Option<Question> {
    UnixStream::connect_addr(&address(pid)?).ok().map(Question)
}

/// An open question.
pub struct Question(UnixStream);

impl Question {
    /// Waits for the verdict; nothing when the parent ended without one.
    pub fn answer(mut self) -> Option<String> {
        let mut text = String::new();
        self.0.read_to_string(&mut text).ok()?;
        text.strip_suffix('\n').map(str::to_owned)
    }
}
