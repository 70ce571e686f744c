//! Lines to systemd's journal with fields of their own (the journal's native protocol: `KEY=value` lines in a datagram).

use super::level::Level;
use std::ffi::OsStr;
use std::fs;
use std::io;
use std::os::unix::net::UnixDatagram;
use std::path::Path;

/// Where the journal takes such datagrams.
const SOCKET: &str = "/run/systemd/journal/socket";
/// What `/dev/log` leads to where the journal takes syslog's lines.
const DEV_LOG: &str = "/run/systemd/journal/dev-log";

/// The journal of this machine.
pub struct Journal {
    socket: UnixDatagram,
    ident: String,
    facility: u8,
}

impl Journal {
    /// The journal, where it is who receives what is sent to `/dev/log`. `facility` is an index into
    /// [`FACILITIES`](super::syslog::FACILITIES).
    pub fn open(ident: &str, facility: u8) -> Option<Self> {
        let heard = fs::read_link("/dev/log").is_ok_and(|path| Path::new("/dev").join(path) == Path::new(DEV_LOG));
        if !heard || fs::symlink_metadata(SOCKET).is_err() {
            return None;
        }
        let socket = UnixDatagram::unbound().ok()?;
        socket.set_nonblocking(true).ok()?;
        Some(Self { socket, ident: ident.to_owned(), facility })
    }

    /// Sends one line with the fields that tell what it is about.
    ///
    /// # Errors
    /// The journal is not there, is full, or does not take a line of this length in a datagram.
    pub fn send(&self, level: Level, message: &[u8], fields: &[(&str, &str)]) -> io::Result<()> {
        let (priority, facility) = ((level as u8 - 1).to_string(), self.facility.to_string());
        let own = [("PRIORITY", priority.as_str()), ("SYSLOG_FACILITY", &facility), ("SYSLOG_IDENTIFIER", &self.ident)];
        let mut packet = Vec::with_capacity(message.len() + 128);
        add(&mut packet, "MESSAGE", message);
        for (key, value) in own.iter().chain(fields) {
            add(&mut packet, key, OsStr::new(value).as_encoded_bytes());
        }
        self.socket.send_to(&packet, SOCKET).map(|_| ())
    }
}

/// A field; a value with a line's end is preceded by its length.
fn add(packet: &mut Vec<u8>, key: &str, value: &[u8]) {
    packet.extend_from_slice(key.as_bytes());
    if value.contains(&b'\n') {
        packet.push(b'\n');
        packet.extend_from_slice(&(value.len() as u64).to_le_bytes());
    } else {
        packet.push(b'=');
    }
    packet.extend_from_slice(value);
    packet.push(b'\n');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_cannot_make_a_field_of_its_own() {
        let mut packet = Vec::new();
        add(&mut packet, "MESSAGE", b"plain = text");
        add(&mut packet, "VRRP_INSTANCE", b"a\nPRIORITY=0");
        assert_eq!(packet, b"MESSAGE=plain = text\nVRRP_INSTANCE\n\x0c\0\0\0\0\0\0\0a\nPRIORITY=0\n");
    }
}
