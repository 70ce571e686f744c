//! MQTT 3.1.1: a broker stand-in that understands the PROXY protocol, and a client, both over TCP and WebSocket.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crate::client;
use crate::service::Service;
use crate::websocket::{self, Frames};

const CONNECT: u8 = 1;
const CONNACK: u8 = 2;
const PUBLISH: u8 = 3;
const SUBSCRIBE: u8 = 8;
const SUBACK: u8 = 9;
const PINGREQ: u8 = 12;
const PINGRESP: u8 = 13;
const DISCONNECT: u8 = 14;

/// One control packet: its kind and what follows the length.
type Packet = (u8, Vec<u8>);

fn read_packet(from: &mut impl Read) -> io::Result<Packet> {
    let kind = client::exactly(from, 1)?[0] >> 4;
    let (mut length, mut shift) = (0_usize, 0);
    loop {
        let byte = client::exactly(from, 1)?[0];
        length |= usize::from(byte & 0x7f) << shift;
        shift += 7;
        if byte & 0x80 == 0 {
            break;
        }
        if shift > 21 {
            return Err(io::Error::other("a length of more than four bytes"));
        }
    }
    Ok((kind, client::exactly(from, length)?))
}

fn packet(kind: u8, flags: u8, body: &[u8]) -> Vec<u8> {
    let mut bytes = vec![kind << 4 | flags];
    let mut length = body.len();
    loop {
        let low = (length & 0x7f) as u8;
        length >>= 7;
        bytes.push(if length == 0 { low } else { low | 0x80 });
        if length == 0 {
            break;
        }
    }
    bytes.extend(body);
    bytes
}

fn text(value: &str) -> Vec<u8> {
    [&(value.len() as u16).to_be_bytes(), value.as_bytes()].concat()
}

/// The text at the start of `bytes` and what follows it.
fn split_text(bytes: &[u8]) -> io::Result<(String, &[u8])> {
    let short = || io::Error::other("a packet ends inside a text");
    let (length, rest) = bytes.split_first_chunk::<2>().ok_or_else(short)?;
    let (value, rest) = rest.split_at_checked(usize::from(u16::from_be_bytes(*length))).ok_or_else(short)?;
    Ok((String::from_utf8_lossy(value).into_owned(), rest))
}

/// One client's visit as a broker saw it.
#[derive(Debug, Clone)]
pub struct Session {
    /// The broker's name.
    pub broker: String,
    /// The client's own name from its CONNECT.
    pub client: String,
    /// Who connected to the broker.
    pub from: IpAddr,
    /// Whom the PROXY header or `X-Real-IP` announced.
    pub announced: Option<IpAddr>,
}

type Writer = Arc<Mutex<Box<dyn Write + Send>>>;

/// What the brokers of one cluster share: subscriptions, and a record of who was there.
#[derive(Default)]
pub struct Exchange {
    subscribers: Mutex<Vec<(u64, String, Writer)>>,
    visits: Mutex<Vec<Session>>,
    next: AtomicU64,
}

impl std::fmt::Debug for Exchange {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Exchange").field("visits", &self.visits).finish_non_exhaustive()
    }
}

impl Exchange {
    /// Everyone who has connected so far.
    pub fn visits(&self) -> Vec<Session> {
        self.visits.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Serves MQTT over TCP; with `proxied` every connection must open with a PROXY header, v1 or v2.
    pub fn serve_tcp(self: &Arc<Self>, listener: TcpListener, name: &str, proxied: bool) -> io::Result<Service> {
        let (exchange, name) = (Arc::clone(self), name.to_owned());
        Service::start(listener, move |stream, from| {
            let converse = || {
                let announced = if proxied { proxy_header(&stream)? } else { None };
                exchange.converse(&name, from, announced, stream.try_clone()?, stream.try_clone()?)
            };
            let _ = converse();
        })
    }

    /// Serves MQTT over WebSocket at `/mqtt`.
    pub fn serve_websocket(self: &Arc<Self>, listener: TcpListener, name: &str) -> io::Result<Service> {
        let (exchange, name) = (Arc::clone(self), name.to_owned());
        Service::start(listener, move |stream, from| {
            let converse = || {
                let opening = websocket::accept(&stream, "/mqtt")?;
                let announced = opening.header("x-real-ip").and_then(|text| text.parse().ok());
                let (reader, writer) =
                    (Frames::new(stream.try_clone()?, false), Frames::new(stream.try_clone()?, false));
                exchange.converse(&name, from, announced, reader, writer)
            };
            let _ = converse();
        })
    }

    fn converse(
        &self,
        broker: &str,
        from: SocketAddr,
        announced: Option<IpAddr>,
        mut reader: impl Read,
        writer: impl Write + Send + 'static,
    ) -> io::Result<()> {
        let me = self.next.fetch_add(1, Ordering::Relaxed);
        let outlet: Writer = Arc::new(Mutex::new(Box::new(writer)));
        let result = loop {
            match read_packet(&mut reader).and_then(|packet| self.answer(me, packet, &outlet)) {
                Ok(Step::Connected(client)) => {
                    let visit = Session { broker: broker.to_owned(), client, from: from.ip(), announced };
                    self.visits.lock().unwrap_or_else(PoisonError::into_inner).push(visit);
                    send(&outlet, &packet(CONNACK, 0, &[0, 0]))?;
                }
                Ok(Step::Goes) => {}
                Ok(Step::Leaves) => break Ok(()),
                Err(error) => break Err(error),
            }
        };
        self.subscribers.lock().unwrap_or_else(PoisonError::into_inner).retain(|(number, _, _)| *number != me);
        result
    }

    fn answer(&self, me: u64, (kind, body): Packet, outlet: &Writer) -> io::Result<Step> {
        match kind {
            CONNECT => {
                let (protocol, rest) = split_text(&body)?;
                if protocol != "MQTT" {
                    return Err(io::Error::other("not MQTT 3.1.1"));
                }
                let (client, _) = split_text(rest.get(4..).unwrap_or_default())?;
                return Ok(Step::Connected(client));
            }
            SUBSCRIBE => {
                let (topic, _) = split_text(body.get(2..).unwrap_or_default())?;
                let subscriber = (me, topic, Arc::clone(outlet));
                self.subscribers.lock().unwrap_or_else(PoisonError::into_inner).push(subscriber);
                send(outlet, &packet(SUBACK, 0, &[body[0], body[1], 0]))?;
            }
            PUBLISH => {
                let (topic, _) = split_text(&body)?;
                let bytes = packet(PUBLISH, 0, &body);
                let subscribers = self.subscribers.lock().unwrap_or_else(PoisonError::into_inner).clone();
                for (_, wanted, outlet) in subscribers {
                    if wanted == topic || wanted == "#" {
                        let _ = send(&outlet, &bytes);
                    }
                }
            }
            PINGREQ => send(outlet, &packet(PINGRESP, 0, &[]))?,
            DISCONNECT => return Ok(Step::Leaves),
            other => return Err(io::Error::other(format!("packet type {other}"))),
        }
        Ok(Step::Goes)
    }
}

enum Step {
    Connected(String),
    Goes,
    Leaves,
}

fn send(outlet: &Writer, bytes: &[u8]) -> io::Result<()> {
    outlet.lock().unwrap_or_else(PoisonError::into_inner).write_all(bytes)
}

/// Reads the PROXY header in front of a connection, byte by byte: what follows is not ours.
fn proxy_header(stream: &TcpStream) -> io::Result<Option<IpAddr>> {
    let mut stream = BufReader::with_capacity(1, stream);
    let bad = || io::Error::other("no PROXY header");
    let first = client::exactly(&mut stream, 1)?[0];
    if first == b'P' {
        let mut line = Vec::new();
        stream.by_ref().take(106).read_until(b'\n', &mut line)?;
        let line = String::from_utf8_lossy(&line).into_owned();
        let mut words = line.strip_prefix("ROXY ").ok_or_else(bad)?.split_whitespace();
        return match words.next() {
            Some("TCP4" | "TCP6") => words.next().and_then(|word| word.parse().ok()).map(Some).ok_or_else(bad),
            Some("UNKNOWN") => Ok(None),
            _ => Err(bad()),
        };
    }
    let rest = client::exactly(&mut stream, 15)?;
    if first != 0x0d || rest[..11] != *b"\n\r\n\0\r\nQUIT\n" {
        return Err(bad());
    }
    let body = client::exactly(&mut stream, usize::from(u16::from_be_bytes([rest[13], rest[14]])))?;
    Ok(match rest[12] >> 4 {
        1 => body.first_chunk::<4>().map(|bytes| IpAddr::V4(Ipv4Addr::from(*bytes))),
        2 => body.first_chunk::<16>().map(|bytes| IpAddr::V6(Ipv6Addr::from(*bytes))),
        _ => None,
    })
}

/// A connected MQTT client.
pub struct Client {
    reader: Box<dyn Read + Send>,
    writer: Box<dyn Write + Send>,
    stream: TcpStream,
    messages: Vec<(String, Vec<u8>)>,
}

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Client").field("stream", &self.stream).finish_non_exhaustive()
    }
}

impl Client {
    /// Over TCP.
    pub fn tcp(stream: TcpStream, name: &str) -> io::Result<Self> {
        let (reader, writer) = (Box::new(stream.try_clone()?), Box::new(stream.try_clone()?));
        Self { reader, writer, stream, messages: Vec::new() }.connected(name)
    }

    /// Over WebSocket at `/mqtt`.
    pub fn websocket(stream: TcpStream, host: &str, name: &str) -> io::Result<Self> {
        websocket::open(&stream, host, "/mqtt", "mqtt")?;
        let reader = Box::new(Frames::new(stream.try_clone()?, true));
        let writer = Box::new(Frames::new(stream.try_clone()?, true));
        Self { reader, writer, stream, messages: Vec::new() }.connected(name)
    }

    fn connected(mut self, name: &str) -> io::Result<Self> {
        let body = [text("MQTT"), vec![4, 2, 0, 60], text(name)].concat();
        self.writer.write_all(&packet(CONNECT, 0, &body))?;
        match self.expect(CONNACK)?.as_slice() {
            [_, 0] => Ok(self),
            other => Err(io::Error::other(format!("CONNACK {other:?}"))),
        }
    }

    /// Waits for a packet of this kind; messages that come before it are kept.
    fn expect(&mut self, kind: u8) -> io::Result<Vec<u8>> {
        loop {
            let (came, body) = read_packet(&mut self.reader)?;
            if came == PUBLISH {
                let (topic, rest) = split_text(&body)?;
                self.messages.push((topic, rest.to_vec()));
            }
            if came == kind {
                return Ok(body);
            }
        }
    }

    /// Asks for a topic's messages.
    pub fn subscribe(&mut self, topic: &str) -> io::Result<()> {
        let body = [vec![0, 1], text(topic), vec![0]].concat();
        self.writer.write_all(&packet(SUBSCRIBE, 2, &body))?;
        self.expect(SUBACK).map(|_| ())
    }

    /// Sends a message, QoS 0.
    pub fn publish(&mut self, topic: &str, message: &[u8]) -> io::Result<()> {
        let body = [&text(topic), message].concat();
        self.writer.write_all(&packet(PUBLISH, 0, &body))
    }

    /// Sends PINGREQ and waits for its answer.
    pub fn ping(&mut self) -> io::Result<()> {
        self.writer.write_all(&packet(PINGREQ, 0, &[]))?;
        self.expect(PINGRESP).map(|_| ())
    }

    /// The next message: its topic and content.
    pub fn message(&mut self) -> io::Result<(String, Vec<u8>)> {
        if self.messages.is_empty() {
            self.expect(PUBLISH)?;
        }
        Ok(self.messages.remove(0))
    }

    /// How long reads may take from now on.
    pub fn set_limit(&self, limit: Duration) -> io::Result<()> {
        self.stream.set_read_timeout(Some(limit))
    }
}
