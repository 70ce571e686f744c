//! What comes before a connection to a server: a socket, the local address it comes from, and why there is none.

use super::listen::sock_addr;
use crate::log::Level;
use crate::sys::socket::{bind_without_port, set_transparent};
use socket2::Socket;
use std::fmt;
use std::io;
use std::net::SocketAddr;

use super::address::Address;

/// The sizes of a socket's buffers (`*_socket_rcvbuf`, `*_socket_sndbuf`); the system's where there is none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BufferSizes {
    /// `SO_RCVBUF`.
    pub receive: Option<usize>,
    /// `SO_SNDBUF`.
    pub send: Option<usize>,
}

impl BufferSizes {
    /// The sizes of a configuration, where 0 is the system's.
    pub fn new(receive: Option<u64>, send: Option<u64>) -> Self {
        let size = |size: Option<u64>| size.and_then(|size| usize::try_from(size).ok()).filter(|size| *size > 0);
        Self { receive: size(receive), send: size(send) }
    }

    /// Sets them. The system cuts what is too large for it.
    pub fn set(self, socket: &Socket) {
        if let Some(size) = self.receive {
            let _ = socket.set_recv_buffer_size(size);
        }
        if let Some(size) = self.send {
            let _ = socket.set_send_buffer_size(size);
        }
    }
}

/// A local address to connect from (`*_bind`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Local {
    /// The address; port 0 for any.
    pub address: SocketAddr,
    /// Whether the address need not be one of this machine's (`transparent`).
    pub transparent: bool,
}

impl fmt::Display for Local {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.address.port() {
            0 => self.address.ip().fmt(f),
            _ => self.address.fmt(f),
        }
    }
}

impl Local {
    /// Gives a socket the address.
    ///
    /// # Errors
    /// The call that failed, and what the system said.
    pub fn bind(&self, socket: &Socket, is_datagram: bool) -> Result<(), Unconnected> {
        if self.transparent {
            let is_ipv4 = self.address.is_ipv4();
            let name = if is_ipv4 { "IP_TRANSPARENT" } else { "IPV6_TRANSPARENT" };
            set_transparent(socket, is_ipv4).map_err(|error| Unconnected::Local {
                call: format!("setsockopt({name})"),
                level: Level::Alert,
                error,
            })?;
        }
        let bind = || {
            if self.address.port() == 0 {
                bind_without_port(socket);
            } else if is_datagram {
                // Several sessions may have one local port, as their servers differ.
                socket.set_reuse_address(true)?;
            }
            socket.bind(&sock_addr(&Address::Ip(self.address))?)
        };
        bind().map_err(|error| Unconnected::Local { call: format!("bind({self})"), level: Level::Crit, error })
    }
}

/// Why a connection could not begin.
#[derive(Debug)]
pub enum Unconnected {
    /// This side cannot: no other server is asked.
    Local {
        /// The call that failed.
        call: String,
        /// How bad nginx takes it.
        level: Level,
        /// What the system said.
        error: io::Error,
    },
    /// The server cannot be reached.
    Server(io::Error),
}

impl Unconnected {
    /// A call without which there is no socket.
    pub fn socket(call: &str, error: io::Error) -> Self {
        Self::Local { call: call.to_owned(), level: Level::Alert, error }
    }
}

/// How bad nginx takes a connect(2) that failed at once.
pub fn severity(error: &io::Error) -> Level {
    const USUAL: [i32; 8] = [
        libc::ECONNREFUSED,
        libc::EAGAIN,
        libc::ECONNRESET,
        libc::ENETDOWN,
        libc::ENETUNREACH,
        libc::EHOSTDOWN,
        libc::EHOSTUNREACH,
        libc::ETIMEDOUT,
    ];
    if error.raw_os_error().is_some_and(|code| USUAL.contains(&code)) { Level::Error } else { Level::Crit }
}

#[cfg(test)]
mod tests;
