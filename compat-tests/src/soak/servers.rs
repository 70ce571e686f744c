//! Servers that die and return: refused connections, resets before and inside an answer, silence.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::arena::{Arena, pattern};
use crate::client;
use crate::service::Service;

/// The HTTP servers' ports; the last one is the backup and never dies.
pub const PORTS: [u16; 3] = [20021, 20022, 20023];
/// The port of the tunnels' other end.
pub const TUNNELS: u16 = 20024;

/// Requests that all servers have taken: every so many fail in a way of their own.
static TAKEN: AtomicU64 = AtomicU64::new(0);

fn listener(arena: &Arena, port: u16) -> io::Result<TcpListener> {
    arena.run(move || TcpListener::bind((Ipv4Addr::LOCALHOST, port)))?
}

/// Starts the server of a port.
pub fn start(arena: &Arena, port: u16) -> io::Result<Service> {
    let fails = port != PORTS[2];
    Service::start(listener(arena, port)?, move |stream, _| {
        let _ = if port == TUNNELS { tunnel(stream) } else { serve(stream, fails) };
    })
}

/// What a server does with a request.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Manner {
    Answers,
    Resets,
    CutsTheHead,
    CutsTheBody,
    SaysNothing,
}

impl Manner {
    fn next() -> Self {
        match TAKEN.fetch_add(1, Ordering::Relaxed) {
            number if number % 197 == 0 => Self::SaysNothing,
            number if number % 61 == 0 => Self::CutsTheBody,
            number if number % 43 == 0 => Self::CutsTheHead,
            number if number % 29 == 0 => Self::Resets,
            _ => Self::Answers,
        }
    }
}

/// Answers requests for /bytes/N, /chunks/N and /slowly/N; a body that comes is read first.
fn serve(stream: TcpStream, fails: bool) -> io::Result<()> {
    stream.set_read_timeout(Some(Duration::from_secs(30)))?;
    stream.set_write_timeout(Some(Duration::from_secs(30)))?;
    let mut reader = BufReader::new(stream.try_clone()?);
    let mut stream = stream;
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line)? == 0 {
            return Ok(());
        }
        let target = line.split(' ').nth(1).unwrap_or("/").to_owned();
        let headers = client::headers(&mut reader)?;
        let value = |name: &str| headers.iter().find(|(own, _)| own.eq_ignore_ascii_case(name)).map(|(_, value)| value);
        if let Some(length) = value("content-length").and_then(|text| text.parse::<u64>().ok()) {
            io::copy(&mut (&mut reader).take(length), &mut io::sink())?;
        } else if value("transfer-encoding").is_some() {
            client::chunked(&mut reader)?;
        }
        let mut parts = target.rsplit('/');
        let length = parts.next().and_then(|text| text.parse().ok()).unwrap_or(0);
        let kind = parts.next().unwrap_or("");
        let body = pattern(length);
        match if fails { Manner::next() } else { Manner::Answers } {
            Manner::Answers => {}
            Manner::Resets => {
                return nix::sys::socket::setsockopt(&stream, nix::sys::socket::sockopt::Linger, &RESET)
                    .map_err(io::Error::from);
            }
            Manner::CutsTheHead => return stream.write_all(b"HTTP/1.1 200 OK\r\nContent-"),
            Manner::CutsTheBody => {
                write!(stream, "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", length + 1)?;
                return stream.write_all(&body);
            }
            Manner::SaysNothing => {
                std::thread::sleep(Duration::from_secs(3));
                return Ok(());
            }
        }
        if kind == "chunks" {
            stream.write_all(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")?;
            for chunk in body.chunks(3000) {
                write!(stream, "{:x}\r\n", chunk.len())?;
                stream.write_all(chunk)?;
                stream.write_all(b"\r\n")?;
            }
            stream.write_all(b"0\r\n\r\n")?;
            continue;
        }
        write!(stream, "HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n")?;
        let pieces = if kind == "slowly" { length / 20 + 1 } else { length + 1 };
        for piece in body.chunks(pieces) {
            stream.write_all(piece)?;
            if kind == "slowly" {
                std::thread::sleep(Duration::from_millis(50));
            }
        }
    }
}

/// Closing sends a reset.
const RESET: nix::libc::linger = nix::libc::linger { l_onoff: 1, l_linger: 0 };

/// Takes an upgrade and echoes.
fn tunnel(stream: TcpStream) -> io::Result<()> {
    let mut reader = BufReader::new(stream.try_clone()?);
    let mut line = String::new();
    reader.read_line(&mut line)?;
    client::headers(&mut reader)?;
    let mut stream = stream;
    stream.write_all(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n")?;
    io::copy(&mut reader, &mut stream).map(|_| ())
}
