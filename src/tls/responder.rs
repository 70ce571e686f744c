//! OCSP responders: asked over plain HTTP (RFC 6960, appendix A), at the addresses that `resolver` finds.

use super::ocsp;
use crate::conf::walk::errno;
use crate::net::address::{self, Endpoint, Host};
use crate::net::event_loop::EventLoop;
use crate::net::resolver::Lookup;
use std::fmt::{self, Display};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// Time in which a responder answers (nginx's number).
const TIMEOUT: Duration = Duration::from_mins(1);
/// The most a responder may send (nginx's number).
const MOST: usize = 16_384;

/// Who is asked.
#[derive(Clone, Debug)]
pub struct Responder {
    endpoint: Endpoint,
    host: String,
    uri: String,
    /// The addresses the host had when the configuration was read.
    known: Vec<IpAddr>,
}

/// How a responder's host is found.
#[derive(Clone, Copy)]
pub struct Via<'a> {
    /// `resolver`, where there is one.
    pub lookup: Option<&'a Lookup>,
    /// The loop that asks.
    pub event_loop: &'a EventLoop,
    /// Is given what a failed answer does not say.
    pub warn: &'a dyn Fn(&str),
}

/// Why there is no response, in nginx's words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    text: String,
    host: String,
    peer: Option<SocketAddr>,
}

impl Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} while requesting certificate status, responder: {}", self.text, self.host)?;
        self.peer.iter().try_for_each(|peer| write!(f, ", peer: {peer}"))
    }
}

impl Responder {
    /// The responder of a URL; nothing where it is not of plain HTTP.
    pub fn parse(url: &str) -> Option<Self> {
        let rest = url.get(..7).filter(|scheme| scheme.eq_ignore_ascii_case("http://")).and_then(|_| url.get(7..))?;
        let end = rest.find(['/', '?']).unwrap_or(rest.len());
        let (place, path) = rest.split_at(end);
        let endpoint = address::parse(place, false).ok()?;
        let host = match &endpoint.host {
            Host::Ip(address) => address.to_string(),
            Host::Name(name) => name.clone(),
            Host::Any | Host::Unix(_) => return None,
        };
        let uri = if path.starts_with('/') { path.to_owned() } else { format!("/{path}") };
        Some(Self { endpoint, host, uri, known: Vec::new() })
    }

    /// The same with the addresses its host has now, for where there is no `resolver`.
    pub fn found(mut self, resolve: &dyn Fn(&str) -> Vec<IpAddr>) -> Self {
        if let Host::Name(name) = &self.endpoint.host {
            self.known = resolve(name);
        }
        self
    }

    /// A failure of this responder's, at an address of it.
    pub fn failure(&self, text: &str, peer: Option<SocketAddr>) -> Failure {
        Failure { text: text.to_owned(), host: self.host.clone(), peer }
    }

    /// Sends a request; the response's body, and who sent it.
    ///
    /// Differs from nginx: a refused connection is logged once, as what it is. [test: responses_are_stapled_as_by_nginx]
    ///
    /// # Errors
    /// The failure of the last address.
    pub async fn ask(&self, request: &[u8], via: Via<'_>) -> Result<(Vec<u8>, SocketAddr), Failure> {
        let mut failure = self.failure("no address to connect to", None);
        for peer in self.addresses(via).await? {
            let outcome = tokio::time::timeout(TIMEOUT, self.exchange(peer, request)).await;
            match outcome.unwrap_or_else(|_| Err("OCSP responder timed out (110: Connection timed out)".to_owned())) {
                Ok(body) => return Ok((body, peer)),
                Err(text) => failure = self.failure(&text, Some(peer)),
            }
        }
        Err(failure)
    }

    async fn addresses(&self, via: Via<'_>) -> Result<Vec<SocketAddr>, Failure> {
        let port = self.endpoint.port.unwrap_or(80);
        let all = |found: &[IpAddr]| found.iter().map(|address| SocketAddr::new(*address, port)).collect();
        if let Host::Ip(address) = &self.endpoint.host {
            return Ok(all(&[*address]));
        }
        let Some(lookup) = via.lookup else {
            let failure = self.failure(&format!("no resolver defined to resolve {}", self.host), None);
            if self.known.is_empty() {
                return Err(failure);
            }
            (via.warn)(&failure.to_string());
            return Ok(all(&self.known));
        };
        match lookup.find(&self.host, via.event_loop).await {
            Ok(found) => Ok(all(&found.all)),
            Err(unknown) => Err(self.failure(&Lookup::complaint(&self.host, unknown), None)),
        }
    }

    async fn exchange(&self, peer: SocketAddr, request: &[u8]) -> Result<Vec<u8>, String> {
        let failed = |what: &str, error: &io::Error| format!("{what} failed ({})", errno(error));
        let mut socket = TcpStream::connect(peer).await.map_err(|error| failed("connect()", &error))?;
        let text = ocsp::http_request(&self.uri, &self.host, request);
        socket.write_all(text.as_bytes()).await.map_err(|error| failed("send()", &error))?;
        let mut bytes = Vec::new();
        loop {
            let mut piece = [0; 4096];
            let count = socket.read(&mut piece).await.map_err(|error| failed("recv()", &error))?;
            bytes.extend_from_slice(piece.get(..count).unwrap_or_default());
            if bytes.len() > MOST {
                return Err("OCSP responder sent invalid response".to_owned());
            }
            match body(&bytes, count == 0)? {
                Some(body) => return Ok(body.to_vec()),
                None if count == 0 => return Err("OCSP responder prematurely closed connection".to_owned()),
                None => {}
            }
        }
    }
}

/// Where a head ends, behind its empty line; a line may end without a carriage return.
fn head_end(bytes: &[u8]) -> Option<usize> {
    memchr::memchr_iter(b'\n', bytes).map(|at| at + 1).find_map(|next| match bytes.get(next..)? {
        [b'\n', ..] => Some(next + 1),
        [b'\r', b'\n', ..] => Some(next + 2),
        _ => None,
    })
}

/// The body of a response as far as it was read; nothing while it is incomplete.
fn body(bytes: &[u8], ended: bool) -> Result<Option<&[u8]>, String> {
    let invalid = || "OCSP responder sent invalid response".to_owned();
    let Some(end) = head_end(bytes) else { return Ok(None) };
    let (head, body) = bytes.split_at(end);
    let head = std::str::from_utf8(head).map_err(|_| invalid())?;
    let mut lines = head.lines();
    let mut words = lines.next().unwrap_or_default().split(' ');
    if !words.next().is_some_and(|version| version.starts_with("HTTP/1.")) || words.next() != Some("200") {
        return Err(invalid());
    }
    let mut length = None;
    for (name, value) in lines.filter_map(|line| line.split_once(':')) {
        let value = value.trim();
        if name.eq_ignore_ascii_case("content-type") && !value.eq_ignore_ascii_case("application/ocsp-response") {
            return Err(format!("OCSP responder sent invalid \"Content-Type\" header: \"{value}\""));
        }
        if name.eq_ignore_ascii_case("content-length") {
            length = Some(value.parse::<usize>().map_err(|_| invalid())?);
        }
    }
    Ok(match length {
        Some(length) => body.get(..length),
        None => Some(body).filter(|_| ended),
    })
}

#[cfg(test)]
mod tests;
