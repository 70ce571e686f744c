//! Where clients come in.

use super::connection::Kind;
use crate::sys::socket;
use nix::sys::stat::{Mode, umask};
use socket2::{Domain, SockAddr, Socket, Type};
use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::FileTypeExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// How long nobody is accepted when the system has no descriptor left.
const PAUSE: Duration = Duration::from_secs(1);
/// Clients that wait to be accepted.
const QUEUE: i32 = 64;

/// A listening socket.
pub struct Listener {
    socket: Socket,
    kind: Kind,
    paused: Option<Instant>,
    /// The socket's file, and the process that made it.
    file: Option<(PathBuf, u32)>,
}

impl Listener {
    /// Listens at `path`, with permissions for the owner alone. The file of a daemon that is gone is replaced.
    ///
    /// # Errors
    /// What the system said; `AddrInUse` if somebody listens there, or the file is no socket.
    pub fn unix(path: &Path) -> io::Result<Self> {
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder)?;
        }
        let address = SockAddr::unix(path)?;
        let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
        socket.set_nonblocking(true)?;
        let before = umask(Mode::from_bits_truncate(0o177));
        let outcome = socket.bind(&address).or_else(|error| {
            if error.kind() != io::ErrorKind::AddrInUse || !is_left_over(path, &address) {
                return Err(error);
            }
            std::fs::remove_file(path)?;
            socket.bind(&address)
        });
        umask(before);
        outcome?;
        socket.listen(QUEUE)?;
        Ok(Self { socket, kind: Kind::Control, paused: None, file: Some((path.to_owned(), std::process::id())) })
    }

    /// Listens at a TCP address, for those who ask for numbers.
    ///
    /// # Errors
    /// What the system said.
    pub fn tcp(address: SocketAddr) -> io::Result<Self> {
        let socket = Socket::new(Domain::for_address(address), Type::STREAM, None)?;
        socket.set_nonblocking(true)?;
        socket.set_reuse_address(true)?;
        if address.is_ipv6() {
            socket.set_only_v6(true)?;
        }
        socket.bind(&address.into())?;
        socket.listen(QUEUE)?;
        Ok(Self { socket, kind: Kind::Metrics, paused: None, file: None })
    }

    /// Its TCP address.
    #[cfg(test)]
    pub fn address(&self) -> Option<SocketAddr> {
        self.socket.local_addr().ok()?.as_socket()
    }

    /// What its clients may ask for.
    pub const fn kind(&self) -> Kind {
        self.kind
    }

    /// Until when nobody is accepted.
    pub fn paused_until(&self, now: Instant) -> Option<Instant> {
        self.paused.filter(|until| *until > now)
    }

    /// Whether nobody is accepted now.
    pub fn is_paused(&self, now: Instant) -> bool {
        self.paused_until(now).is_some()
    }

    /// The next client, if one waits.
    pub fn accept(&mut self, now: Instant) -> Option<Socket> {
        match socket::accept(&self.socket) {
            Ok((stream, _)) => Some(stream),
            Err(error) => {
                if error.kind() != io::ErrorKind::WouldBlock {
                    self.paused = Some(now + PAUSE);
                }
                None
            }
        }
    }
}

impl AsFd for Listener {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        // A forked child has a copy of this, and the file is not its own.
        if let Some((path, owner)) = self.file.take()
            && owner == std::process::id()
        {
            // One that is gone already is as good.
            let _ = std::fs::remove_file(path);
        }
    }
}

/// Whether `path` is a socket at which nobody listens. One whose queue is full has a listener.
fn is_left_over(path: &Path, address: &SockAddr) -> bool {
    let is_socket = std::fs::symlink_metadata(path).is_ok_and(|file| file.file_type().is_socket());
    let refused = || {
        let probe = Socket::new(Domain::UNIX, Type::STREAM, None)?;
        probe.set_nonblocking(true)?;
        probe.connect(address)
    };
    is_socket && refused().is_err_and(|error| error.kind() == io::ErrorKind::ConnectionRefused)
}
