//! Backends for many connections in one thread: an echo, a fountain of bytes, and an endpoint that upgrades.

use std::collections::HashMap;
use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::fd::{AsFd, AsRawFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};

/// What a listener's connections get.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Manner {
    /// What they send.
    Echo,
    /// So many bytes for each line they send.
    Fountain(usize),
    /// `101 Switching Protocols`, then what they send.
    Upgrade,
}

struct Peer {
    stream: TcpStream,
    manner: Manner,
    upgraded: bool,
    left: usize,
}

/// The thread; ends when dropped.
#[derive(Debug)]
pub struct Reflector {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

/// The answer to the one key everybody sends.
const SWITCH: &[u8] = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
    Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";

impl Reflector {
    /// Serves these listeners; `settle` is called in the thread first (to pin it).
    pub fn start(listeners: Vec<(TcpListener, Manner)>, settle: impl FnOnce() + Send + 'static) -> io::Result<Self> {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let thread = std::thread::Builder::new().name("reflector".to_owned()).spawn(move || {
            settle();
            let _ = serve(&listeners, &stopped);
        })?;
        Ok(Self { stop, thread: Some(thread) })
    }
}

impl Drop for Reflector {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn serve(listeners: &[(TcpListener, Manner)], stop: &AtomicBool) -> io::Result<()> {
    let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?;
    for (place, (listener, _)) in listeners.iter().enumerate() {
        listener.set_nonblocking(true)?;
        epoll.add(listener.as_fd(), EpollEvent::new(EpollFlags::EPOLLIN, place as u64))?;
    }
    let mut peers: HashMap<u64, Peer> = HashMap::new();
    let mut events = vec![EpollEvent::empty(); 256];
    let buffer = vec![b'.'; 256 * 1024];
    while !stop.load(Ordering::Relaxed) {
        let count = epoll.wait(&mut events, EpollTimeout::from(100_u8)).unwrap_or(0);
        for event in &events[..count] {
            let key = event.data();
            if let Some((listener, manner)) = listeners.get(key as usize) {
                while let Ok((stream, _)) = listener.accept() {
                    stream.set_nonblocking(true)?;
                    stream.set_nodelay(true)?;
                    let key = listeners.len() as u64 + stream.as_raw_fd() as u64;
                    epoll.add(stream.as_fd(), EpollEvent::new(EpollFlags::EPOLLIN, key))?;
                    peers.insert(key, Peer { stream, manner: *manner, upgraded: false, left: 0 });
                }
            } else if let Some(peer) = peers.get_mut(&key) {
                if peer.serve(&buffer).is_err() {
                    peers.remove(&key);
                } else {
                    let out = if peer.left > 0 { EpollFlags::EPOLLOUT } else { EpollFlags::empty() };
                    if matches!(peer.manner, Manner::Fountain(_)) {
                        epoll.modify(peer.stream.as_fd(), &mut EpollEvent::new(EpollFlags::EPOLLIN | out, key))?;
                    }
                }
            }
        }
    }
    Ok(())
}

impl Peer {
    /// Does what can be done now; an error ends the connection.
    fn serve(&mut self, buffer: &[u8]) -> io::Result<()> {
        let mut small = [0; 16 * 1024];
        match self.stream.read(&mut small) {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(length) => match self.manner {
                Manner::Fountain(size) => self.left += size * small[..length].iter().filter(|b| **b == b'\n').count(),
                Manner::Upgrade if !self.upgraded => {
                    self.upgraded = true;
                    self.stream.write_all(SWITCH)?;
                }
                Manner::Echo | Manner::Upgrade => self.stream.write_all(&small[..length])?,
            },
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
        while self.left > 0 {
            let length = self.left.min(buffer.len());
            match self.stream.write(&buffer[..length]) {
                Ok(length) => self.left -= length,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}
