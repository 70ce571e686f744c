//! Backends that keep what they were sent: the other side of a comparison.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crate::client;
use crate::service::Service;

/// One request as it arrived.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Seen {
    /// The backend's port.
    pub port: u16,
    /// Which request of its connection it was.
    pub turn: usize,
    /// Every byte, head and body.
    pub bytes: Vec<u8>,
}

/// What all backends of a host share.
#[derive(Debug, Default)]
pub struct Record {
    seen: Mutex<Vec<Seen>>,
    reply: Mutex<Option<(Option<u16>, Vec<u8>)>>,
}

impl Record {
    /// Takes what was seen since the last time.
    pub fn take(&self) -> Vec<Seen> {
        std::mem::take(&mut *self.seen.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Sets what the backends (or only the one on this port) answer from now on.
    pub fn set_reply(&self, from: Option<u16>, reply: Option<Vec<u8>>) {
        *self.reply.lock().unwrap_or_else(PoisonError::into_inner) = reply.map(|reply| (from, reply));
    }

    fn reply(&self, port: u16) -> Option<Vec<u8>> {
        let reply = self.reply.lock().unwrap_or_else(PoisonError::into_inner);
        reply.as_ref().filter(|(from, _)| from.is_none_or(|from| from == port)).map(|(_, reply)| reply.clone())
    }

    fn note(&self, port: u16, turn: usize, bytes: Vec<u8>) {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).push(Seen { port, turn, bytes });
    }

    /// An HTTP backend. Its own answer names its port; a reply of the case is sent as it is, and the connection closed
    /// after it unless it carries a length.
    pub fn serve_http(self: &Arc<Self>, listener: TcpListener) -> io::Result<Service> {
        let (record, port) = (Arc::clone(self), listener.local_addr()?.port());
        Service::start(listener, move |stream, _| {
            let _ = record.converse(stream, port);
        })
    }

    fn converse(&self, mut stream: TcpStream, port: u16) -> io::Result<()> {
        let mut reader = BufReader::new(stream.try_clone()?);
        for turn in 1.. {
            let Some((bytes, keep)) = request(&mut reader)? else { return Ok(()) };
            let upgrade = String::from_utf8_lossy(&bytes).to_ascii_lowercase().contains("\r\nupgrade: echo");
            self.note(port, turn, bytes);
            match self.reply(port) {
                Some(reply) if reply.starts_with(b"close") => return Ok(()),
                Some(reply) if reply.starts_with(b"silence") => std::thread::sleep(Duration::from_secs(3)),
                Some(reply) => {
                    stream.write_all(&reply)?;
                    let head = String::from_utf8_lossy(&reply).to_ascii_lowercase();
                    if upgrade {
                        return echo(reader, stream);
                    }
                    if !keep || !(head.contains("content-length:") || head.contains("chunked")) {
                        return Ok(());
                    }
                }
                None => {
                    let body = format!("backend {port}\n");
                    let connection = if keep { "keep-alive" } else { "close" };
                    write!(
                        stream,
                        "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: {}\r\nConnection: {connection}\r\n\r\n{body}",
                        body.len()
                    )?;
                }
            }
            if !keep {
                return Ok(());
            }
        }
        Ok(())
    }

    /// A TCP backend: waits for a line end, answers with its port and everything it got, and closes.
    pub fn serve_tcp(self: &Arc<Self>, listener: TcpListener) -> io::Result<Service> {
        let (record, port) = (Arc::clone(self), listener.local_addr()?.port());
        Service::start(listener, move |mut stream, _| {
            let mut converse = || {
                let mut bytes = Vec::new();
                let mut reader = BufReader::new(stream.try_clone()?);
                stream.set_read_timeout(Some(Duration::from_secs(3)))?;
                while !bytes.ends_with(b".\n") && reader.read_until(b'\n', &mut bytes)? > 0 {}
                record.note(port, 1, bytes.clone());
                let answer = record.reply(port).unwrap_or_else(|| [format!("{port} got ").as_bytes(), &bytes].concat());
                stream.write_all(&answer)
            };
            let _: io::Result<()> = converse();
        })
    }
}

fn echo(mut reader: impl Read, mut stream: TcpStream) -> io::Result<()> {
    io::copy(&mut reader, &mut stream).map(|_| ())
}

/// Reads one request; says its bytes and whether the sender wants to keep the connection.
fn request(reader: &mut impl BufRead) -> io::Result<Option<(Vec<u8>, bool)>> {
    let mut bytes = Vec::new();
    loop {
        let from = bytes.len();
        if reader.read_until(b'\n', &mut bytes)? == 0 {
            return Ok(None);
        }
        if bytes[from..] == *b"\r\n" {
            break;
        }
    }
    let head = String::from_utf8_lossy(&bytes).to_ascii_lowercase();
    let value = |name: &str| head.split("\r\n").find_map(|line| line.strip_prefix(name)).map(str::trim);
    if let Some(length) = value("content-length:").and_then(|text| text.parse().ok()) {
        bytes.extend(client::exactly(reader, length)?);
    } else if value("transfer-encoding:") == Some("chunked") {
        bytes.extend(b"(chunked) ");
        bytes.extend(client::chunked(reader)?);
    }
    let keep = match value("connection:") {
        Some(value) => value != "close",
        None => !head.lines().next().is_some_and(|line| line.ends_with("http/1.0")),
    };
    Ok(Some((bytes, keep)))
}
