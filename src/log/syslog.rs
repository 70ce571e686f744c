//! Lines to a syslog server over UDP or a local socket (RFC 3164), as nginx's `syslog:` sends them.

use super::clock;
use super::level::Level;
use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::os::unix::net::UnixDatagram;
use std::sync::OnceLock;

/// The facilities by nginx's words, in code order.
pub const FACILITIES: &[&str] = &[
    "kern", "user", "mail", "daemon", "auth", "intern", "lpr", "news", "uucp", "clock", "authpriv", "ftp", "ntp",
    "audit", "alert", "cron", "local0", "local1", "local2", "local3", "local4", "local5", "local6", "local7",
];

/// Where the server listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Server {
    /// An address and port.
    Udp(SocketAddr),
    /// A socket in the file system.
    Unix(String),
}

/// A syslog sink.
pub struct Syslog {
    server: Server,
    facility: u8,
    /// The level lines are sent as, where it does not follow the line (access logs).
    pub severity: Level,
    tag: String,
    host: Option<String>,
    /// Not connected: each line is sent to the address or path anew, so that a server may be restarted.
    socket: OnceLock<Socket>,
}

/// A socket lines are sent from.
enum Socket {
    Udp(UdpSocket, SocketAddr),
    Unix(UnixDatagram, String),
}

impl Socket {
    fn open(server: &Server) -> io::Result<Self> {
        match server {
            Server::Udp(address) => {
                let socket = UdpSocket::bind(if address.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" })?;
                socket.set_nonblocking(true)?;
                Ok(Self::Udp(socket, *address))
            }
            Server::Unix(path) => {
                let socket = UnixDatagram::unbound()?;
                socket.set_nonblocking(true)?;
                Ok(Self::Unix(socket, path.clone()))
            }
        }
    }

    fn send(&self, packet: &[u8]) -> io::Result<usize> {
        match self {
            Self::Udp(socket, address) => socket.send_to(packet, address),
            Self::Unix(socket, path) => socket.send_to(packet, path),
        }
    }
}

impl Syslog {
    /// A sink; `facility` is an index into [`FACILITIES`], `host` is left out with `nohostname`.
    pub const fn new(server: Server, facility: u8, severity: Level, tag: String, host: Option<String>) -> Self {
        Self { server, facility, severity, tag, host, socket: OnceLock::new() }
    }

    /// Sends one line; losses are not reported, as with any datagram.
    pub fn send(&self, level: Level, body: &[u8]) {
        let priority = u32::from(self.facility) * 8 + (level as u32 - 1);
        let host = self.host.as_ref().map(|host| format!("{host} ")).unwrap_or_default();
        let mut packet = format!("<{priority}>{} {host}{}: ", clock::syslog_stamp(), self.tag).into_bytes();
        packet.extend_from_slice(body);
        if let Ok(socket) = self.socket() {
            let _ = socket.send(&packet);
        }
    }

    /// The socket, made with the first line.
    fn socket(&self) -> io::Result<&Socket> {
        match self.socket.get() {
            Some(socket) => Ok(socket),
            None => {
                let made = Socket::open(&self.server)?;
                Ok(self.socket.get_or_init(|| made))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_lines_come_from_one_socket() -> io::Result<()> {
        let server = UdpSocket::bind("127.0.0.1:0")?;
        let sink = Syslog::new(Server::Udp(server.local_addr()?), 3, Level::Info, "tag".to_owned(), None);
        let mut senders = Vec::new();
        for _ in 0..3 {
            sink.send(Level::Info, b"line");
            let mut packet = [0; 128];
            let (length, from) = server.recv_from(&mut packet)?;
            assert!(packet[..length].ends_with(b"tag: line"));
            senders.push(from);
        }
        assert!(senders.windows(2).all(|pair| pair[0] == pair[1]), "{senders:?}");
        Ok(())
    }
}
