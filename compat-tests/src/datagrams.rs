//! A stand-in server of datagrams, and clients that ask over them.

use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

/// How long an answer that must come may take.
pub const LIMIT: Duration = Duration::from_secs(10);
/// The longest datagram over IPv4.
pub const LONGEST: usize = 65_507;

/// A server that answers `who` with a letter for each socket that ever asked, `#n …` with n datagrams, `late` when it is
/// told to, and everything else with itself.
#[derive(Debug)]
pub struct Answerer {
    address: SocketAddr,
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug)]
struct Shared {
    socket: UdpSocket,
    stopped: AtomicBool,
    /// Who waits for a late answer.
    late: Mutex<Vec<SocketAddr>>,
}

impl Answerer {
    /// Serves a socket that may belong to any host's network.
    pub fn start(socket: UdpSocket) -> io::Result<Self> {
        let address = socket.local_addr()?;
        let shared = Arc::new(Shared { socket, stopped: AtomicBool::new(false), late: Mutex::default() });
        let serving = Arc::clone(&shared);
        let thread = std::thread::spawn(move || serving.serve());
        Ok(Self { address, shared, thread: Some(thread) })
    }

    /// How many wait for a late answer.
    pub fn waiting(&self) -> usize {
        self.shared.late.lock().unwrap_or_else(PoisonError::into_inner).len()
    }

    /// Answers those that wait.
    pub fn answer(&self) -> io::Result<()> {
        let mut late = self.shared.late.lock().unwrap_or_else(PoisonError::into_inner);
        late.drain(..).try_for_each(|from| self.shared.socket.send_to(b"late", from).map(|_| ()))
    }
}

impl Shared {
    fn serve(&self) {
        let mut known: Vec<SocketAddr> = Vec::new();
        let mut bytes = vec![0; LONGEST];
        while let Ok((length, from)) = self.socket.recv_from(&mut bytes) {
            if self.stopped.load(Ordering::Acquire) {
                return;
            }
            let index = known.iter().position(|other| *other == from).unwrap_or_else(|| {
                known.push(from);
                known.len() - 1
            });
            let datagram = bytes.get(..length).unwrap_or_default();
            let text = std::str::from_utf8(datagram).unwrap_or_default();
            let count = text.strip_prefix('#').and_then(|rest| rest.split(' ').next()?.parse().ok()).unwrap_or(1);
            let letter = [b'a' + (index % 26) as u8];
            let answer: &[u8] = if text.ends_with("who") { &letter } else { datagram };
            if text == "late" {
                self.late.lock().unwrap_or_else(PoisonError::into_inner).push(from);
                continue;
            }
            for _ in 0..count {
                let _ = self.socket.send_to(answer, from);
            }
        }
    }
}

impl Drop for Answerer {
    fn drop(&mut self) {
        self.shared.stopped.store(true, Ordering::Release);
        // The host's network may be another one: its own socket is always in reach.
        let _ = self.shared.socket.send_to(b"", self.address);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Receives so many datagrams, or as many as come while `patience` lasts.
pub fn receive(socket: &UdpSocket, count: usize, patience: Duration) -> io::Result<Vec<Vec<u8>>> {
    socket.set_read_timeout(Some(patience))?;
    let mut all = Vec::new();
    let mut bytes = vec![0; LONGEST];
    while all.len() < count {
        match socket.recv(&mut bytes) {
            Ok(length) => all.push(bytes.get(..length).unwrap_or_default().to_vec()),
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => break,
            Err(error) => return Err(error),
        }
    }
    Ok(all)
}

/// A socket that is connected to a port of the host it is made on.
pub fn client(to: SocketAddr) -> io::Result<UdpSocket> {
    let socket = UdpSocket::bind((if to.is_ipv4() { "127.0.0.1" } else { "::1" }, 0))?;
    socket.connect(to)?;
    Ok(socket)
}
