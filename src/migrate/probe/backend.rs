//! The stand-ins for the servers behind nginx: each says who it is and what it was asked.

use super::sandbox::free;
use crate::conf::diagnostic::reason;
use crate::migrate::report::Failure;
use http_body_util::{BodyExt as _, Full};
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::convert::Infallible;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream, UdpSocket};

/// All stand-ins; they live as long as the event loop.
pub struct Backends {
    known: RefCell<BTreeMap<(Speech, String), SocketAddr>>,
    nowhere: RefCell<Option<SocketAddr>>,
    seen: Seen,
}

/// What a stand-in understands.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Speech {
    /// Requests.
    Http,
    /// A line, maybe behind a PROXY header, or a datagram.
    Line,
}

/// What was asked of the stand-ins since it was last taken.
type Seen = Arc<Mutex<Vec<String>>>;

impl Backends {
    /// None yet.
    pub fn new() -> Self {
        Self { known: RefCell::default(), nowhere: RefCell::default(), seen: Arc::default() }
    }

    /// The stand-in for a server of this name.
    ///
    /// # Errors
    /// No port is free.
    pub fn of(&self, speech: Speech, name: &str) -> Result<SocketAddr, Failure> {
        let key = (speech, name.to_owned());
        if let Some(address) = self.known.borrow().get(&key) {
            return Ok(*address);
        }
        let failed = |error: io::Error| Failure(format!("no stand-in for {name}: {}", reason(&error)));
        let (listener, datagrams) = bind().map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        let listener = TcpListener::from_std(listener).map_err(failed)?;
        let (name, seen) = (name.to_owned(), Arc::clone(&self.seen));
        match speech {
            Speech::Http => drop(tokio::spawn(serve(listener, name, seen))),
            Speech::Line => {
                let datagrams = UdpSocket::from_std(datagrams).map_err(failed)?;
                drop(tokio::spawn(serve_datagrams(datagrams, name.clone(), Arc::clone(&seen))));
                drop(tokio::spawn(serve_lines(listener, name, seen)));
            }
        }
        self.known.borrow_mut().insert(key, address);
        Ok(address)
    }

    /// An address at which nobody answers.
    ///
    /// # Errors
    /// No port is free.
    pub fn nowhere(&self) -> Result<SocketAddr, Failure> {
        let mut nowhere = self.nowhere.borrow_mut();
        if let Some(address) = *nowhere {
            return Ok(address);
        }
        let address = free().map_err(|error| Failure(format!("no port is free: {}", reason(&error))))?;
        *nowhere = Some(address);
        Ok(address)
    }

    /// What the stand-ins were asked since the last time.
    pub fn take(&self) -> Vec<String> {
        std::mem::take(&mut *self.seen.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

async fn serve(listener: TcpListener, name: String, seen: Seen) {
    while let Ok((socket, _)) = listener.accept().await {
        let (name, seen) = (name.clone(), Arc::clone(&seen));
        let answer = move |request| answer(request, name.clone(), Arc::clone(&seen));
        tokio::spawn(async move {
            let served = hyper::server::conn::http1::Builder::new();
            // What goes wrong on a connection is seen by nginx, whose answer is compared.
            let _ = served.serve_connection(TokioIo::new(socket), service_fn(answer)).await;
        });
    }
}

/// Two sockets of one port: for connections, and for datagrams.
fn bind() -> io::Result<(std::net::TcpListener, std::net::UdpSocket)> {
    let mut tries = 0;
    loop {
        let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        match std::net::UdpSocket::bind(listener.local_addr()?) {
            Ok(datagrams) => {
                listener.set_nonblocking(true)?;
                datagrams.set_nonblocking(true)?;
                return Ok((listener, datagrams));
            }
            Err(error) if error.kind() == io::ErrorKind::AddrInUse && tries < TRIES => tries += 1,
            Err(error) => return Err(error),
        }
    }
}

/// Ports that are tried for both.
const TRIES: u32 = 100;

/// Says to each datagram who it is and what it was told.
async fn serve_datagrams(socket: UdpSocket, name: String, seen: Seen) {
    let mut told = vec![0; 65_536];
    while let Ok((length, from)) = socket.recv_from(&mut told).await {
        let shown = String::from_utf8_lossy(told.get(..length).unwrap_or_default()).escape_debug().to_string();
        let text = format!("{name} was told {shown}\n");
        seen.lock().unwrap_or_else(PoisonError::into_inner).push(text.clone());
        let _ = socket.send_to(text.as_bytes(), from).await;
    }
}

async fn serve_lines(listener: TcpListener, name: String, seen: Seen) {
    while let Ok((socket, _)) = listener.accept().await {
        tokio::spawn(answer_line(socket, name.clone(), Arc::clone(&seen)));
    }
}

/// Takes a line, says who it is and what it was told, and closes.
async fn answer_line(mut socket: TcpStream, name: String, seen: Seen) {
    let (mut told, mut piece) = (Vec::new(), [0; 4096]);
    while !is_whole(&told) {
        match socket.read(&mut piece).await {
            Ok(count) if count > 0 => told.extend_from_slice(piece.get(..count).unwrap_or_default()),
            // A connection that was only tried.
            _ => return,
        }
    }
    let text = format!("{name} was told {}\n", String::from_utf8_lossy(&told).escape_debug());
    seen.lock().unwrap_or_else(PoisonError::into_inner).push(text.clone());
    // Who does not wait for the answer is seen where he asked.
    let _ = socket.write_all(text.as_bytes()).await;
    let _ = socket.shutdown().await;
}

/// Whether a line has ended that is not a PROXY header's.
fn is_whole(told: &[u8]) -> bool {
    let end = |text: &[u8]| text.iter().position(|byte| *byte == b'\n');
    match end(told) {
        Some(first) if told.starts_with(b"PROXY ") => end(told.get(first + 1..).unwrap_or_default()).is_some(),
        first => first.is_some(),
    }
}

/// Says who it is and what it was asked; the same question has the same answer.
async fn answer(request: Request<Incoming>, name: String, seen: Seen) -> Result<Response<Full<Bytes>>, Infallible> {
    let (head, body) = request.into_parts();
    let body = body.collect().await.map(|all| all.to_bytes()).unwrap_or_default();
    let mut text = format!("{name} was asked {} {} {:?}\n", head.method, head.uri, head.version);
    let mut headers: Vec<String> = head
        .headers
        .iter()
        .map(|(name, value)| format!("{}: {}\n", name.as_str(), String::from_utf8_lossy(value.as_bytes())))
        .collect();
    headers.sort();
    text.extend(headers);
    text.push_str(&format!("{} bytes: {}\n", body.len(), String::from_utf8_lossy(&body)));
    seen.lock().unwrap_or_else(PoisonError::into_inner).push(text.clone());
    let mut response = Response::new(Full::new(Bytes::from(text)));
    let headers = response.headers_mut();
    headers.insert("content-type", hyper::header::HeaderValue::from_static("text/plain"));
    headers.insert("server", hyper::header::HeaderValue::from_static("stand-in"));
    Ok(response)
}
