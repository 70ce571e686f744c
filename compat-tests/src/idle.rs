//! What an idle connection costs the server's memory.

use std::io::{self, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::aws_lc_rs::default_provider;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, ClientConnection, DigitallySignedStruct, SignatureScheme, StreamOwned};

use crate::arena::{Arena, Contestant, Size, raise_limit};
use crate::client;
use crate::measure::memory;
use crate::wide::{Cell, LIMIT, mib};

/// A request for a WebSocket.
pub const UPGRADE: &[u8] = b"GET /mqtt HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
    Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";

const GET: &[u8] = b"GET /ret HTTP/1.1\r\nHost: localhost\r\n\r\n";

/// The preface, empty SETTINGS, and a GET of /ret on stream 1 (RFC 9113, RFC 7541).
const HTTP2: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0\
    \0\0\x13\x01\x05\0\0\0\x01\x82\x86\x44\x04/ret\x41\x09localhost";
/// What acknowledges the server's SETTINGS.
pub const ACKNOWLEDGED: &[u8] = b"\0\0\0\x04\x01\0\0\0\0";

/// Connections without TLS, each after one exchange.
pub fn open(address: SocketAddr, count: usize, request: &'static [u8]) -> io::Result<Vec<TcpStream>> {
    many(count, |_| {
        let mut stream = client::connect(address, LIMIT)?;
        answered(&mut stream, request)?;
        Ok(stream)
    })
}

fn many<T>(count: usize, one: impl Fn(usize) -> io::Result<T>) -> io::Result<Vec<T>> {
    (0..count)
        .map(|number| one(number).map_err(|error| io::Error::other(format!("connection {number}: {error}"))))
        .collect()
}

/// One exchange over HTTP/1.1.
pub fn answered(stream: &mut (impl Read + Write), request: &[u8]) -> io::Result<()> {
    stream.write_all(request)?;
    let answer = client::response(&mut BufReader::with_capacity(512, stream), false)?;
    if answer.status == 200 || answer.status == 101 { Ok(()) } else { Err(io::Error::other(answer.line)) }
}

/// The memory of so many open connections: of the server's processes with them, less that without.
fn measured<T: Send + 'static>(
    arena: &Arena,
    contestant: Contestant,
    count: usize,
    open: impl Fn(usize) -> io::Result<Vec<T>> + Clone + Send + 'static,
) -> Cell {
    let count = count.min(raise_limit()?);
    let server = arena.start(contestant, Size::WIDE)?;
    // The first connections fill caches and code pages, which are not the price of a connection.
    let first = open.clone();
    drop(arena.load(move || first(50))??);
    std::thread::sleep(Duration::from_millis(100));
    let before = memory(&server.processes()?);
    let streams = arena.load(move || open(count))??;
    std::thread::sleep(Duration::from_millis(300));
    let after = memory(&server.processes()?);
    drop(streams);
    server.stop()?;
    let each = after.saturating_sub(before) / count as u64;
    Ok(format!("{count}: {} in all, {} before, {each} bytes each", mib(after), mib(before)))
}

/// Connections kept after a response.
pub fn keepalive(arena: &Arena, contestant: Contestant, count: usize, _: usize) -> Cell {
    let address = contestant.address(1);
    measured(arena, contestant, count, move |count| open(address, count, GET))
}

/// WebSockets that say nothing.
pub fn tunnels(arena: &Arena, contestant: Contestant, count: usize, _: usize) -> Cell {
    let address = contestant.address(1);
    measured(arena, contestant, count, move |count| open(address, count, UPGRADE))
}

/// A connection over TLS.
pub type Secure = StreamOwned<ClientConnection, TcpStream>;

/// Connections over TLS, each after `exchange`.
pub fn open_secure(
    address: SocketAddr,
    count: usize,
    protocol: &[u8],
    exchange: impl Fn(&mut Secure) -> io::Result<()>,
) -> io::Result<Vec<Secure>> {
    let mut config = trusting()?;
    config.alpn_protocols = vec![protocol.to_vec()];
    let config = Arc::new(config);
    many(count, |_| {
        let name = ServerName::try_from("localhost").map_err(io::Error::other)?;
        let session = ClientConnection::new(Arc::clone(&config), name).map_err(io::Error::other)?;
        let mut stream = StreamOwned::new(session, client::connect(address, LIMIT)?);
        exchange(&mut stream)?;
        Ok(stream)
    })
}

/// The same over TLS.
pub fn secure_tunnels(arena: &Arena, contestant: Contestant, count: usize, _: usize) -> Cell {
    let address = contestant.address(5);
    measured(arena, contestant, count, move |count| {
        open_secure(address, count, b"http/1.1", |stream| answered(stream, UPGRADE))
    })
}

/// Connections of HTTP/2 without TLS after one response.
pub fn http2(arena: &Arena, contestant: Contestant, count: usize, _: usize) -> Cell {
    if contestant == Contestant::Haproxy {
        return Ok("-".to_owned());
    }
    let address = contestant.address(8);
    measured(arena, contestant, count, move |count| {
        many(count, |_| {
            let mut stream = client::connect(address, LIMIT)?;
            stream.write_all(HTTP2)?;
            end_of_stream(&mut stream)?;
            stream.write_all(ACKNOWLEDGED)?;
            Ok(stream)
        })
    })
}

/// Reads frames to the end of a stream.
pub fn end_of_stream(stream: &mut impl Read) -> io::Result<()> {
    loop {
        let mut head = [0; 9];
        stream.read_exact(&mut head)?;
        let [high, middle, low, kind, flags, ..] = head;
        let mut payload = vec![0; usize::from(high) << 16 | usize::from(middle) << 8 | usize::from(low)];
        stream.read_exact(&mut payload)?;
        match (kind, flags & 1) {
            (0 | 1, 1) => return Ok(()),
            (3 | 7, _) => return Err(io::Error::other("the stream was not answered")),
            _ => {}
        }
    }
}

/// A client that takes every certificate.
fn trusting() -> io::Result<ClientConfig> {
    let config = ClientConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(io::Error::other)?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(AcceptAnyCertificate))
        .with_no_client_auth();
    Ok(config)
}

#[derive(Debug)]
struct AcceptAnyCertificate;

impl ServerCertVerifier for AcceptAnyCertificate {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        default_provider().signature_verification_algorithms.supported_schemes()
    }
}
