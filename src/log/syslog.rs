//! Lines to a syslog server over UDP or a local socket (RFC 3164), as nginx's `syslog:` sends them.

use super::clock;
use super::error::Level;
use std::net::{SocketAddr, UdpSocket};
use std::os::unix::net::UnixDatagram;

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
}

impl Syslog {
    /// A sink; `facility` is an index into [`FACILITIES`], `host` is left out with `nohostname`.
    pub const fn new(server: Server, facility: u8, severity: Level, tag: String, host: Option<String>) -> Self {
        Self { server, facility, severity, tag, host }
    }

    /// Sends one line; losses are not reported, as with any datagram.
    pub fn send(&self, level: Level, body: &[u8]) {
        let priority = u32::from(self.facility) * 8 + (level as u32 - 1);
        let host = self.host.as_ref().map(|host| format!("{host} ")).unwrap_or_default();
        let mut packet = format!("<{priority}>{} {host}{}: ", clock::syslog_stamp(), self.tag).into_bytes();
        packet.extend_from_slice(body);
        match &self.server {
            Server::Udp(address) => {
                let any = if address.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
                if let Ok(socket) = UdpSocket::bind(any) {
                    let _ = socket.set_nonblocking(true).and_then(|()| socket.send_to(&packet, address));
                }
            }
            Server::Unix(path) => {
                if let Ok(socket) = UnixDatagram::unbound() {
                    let _ = socket.set_nonblocking(true).and_then(|()| socket.send_to(&packet, path));
                }
            }
        }
    }
}
