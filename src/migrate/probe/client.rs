//! One request, one answer.

use super::requests::Ask;
use super::sandbox::Place;
use http_body_util::{BodyExt as _, Full};
use hyper::Request;
use hyper::body::Bytes;
use hyper_util::rt::TokioIo;
use std::io;
use std::net::Ipv4Addr;
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpStream, UdpSocket};

/// An answer, or what went wrong instead.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The request it answers.
    pub request: String,
    /// The status, or why there is none.
    pub status: String,
    /// Header names and values, sorted.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Vec<u8>,
    /// What the stand-ins were asked meanwhile.
    pub asked: Vec<String>,
    /// The port it was asked from, which is another one each time.
    pub own: Option<u16>,
}

/// Longer than any answer may take.
const PATIENCE: Duration = Duration::from_secs(70);

/// Asks on a connection of its own.
pub async fn ask(ask: &Ask, place: Place) -> Answer {
    let none = |said: String| Answer {
        request: ask.title(),
        status: said,
        headers: Vec::new(),
        body: Vec::new(),
        asked: Vec::new(),
        own: None,
    };
    let asked = async {
        if ask.is_datagram() {
            return datagram(ask, place).await;
        }
        let socket = connect(place).await.map_err(|_| "no connection".to_owned())?;
        if ask.is_line() { line(ask, socket).await } else { exchange(ask, socket).await }
    };
    match tokio::time::timeout(PATIENCE, asked).await {
        Ok(Ok(answer)) => answer,
        Ok(Err(said)) => none(said),
        Err(_) => none("no answer".to_owned()),
    }
}

/// A connection; where a PROXY header is expected it begins with one.
async fn connect(place: Place) -> io::Result<TcpStream> {
    let mut socket = TcpStream::connect(place.address).await?;
    if place.proxied {
        socket.write_all(b"PROXY TCP4 192.0.2.10 192.0.2.20 40000 50000\r\n").await?;
    }
    Ok(socket)
}

/// How long a server may take to speak, or close, before it is spoken to: what it leaves unread would cost its answer.
const FIRST: Duration = Duration::from_millis(200);

/// Says a line to a server that waits for one, and reads what comes until the connection is closed.
async fn line(ask: &Ask, mut socket: TcpStream) -> Result<Answer, String> {
    let own = socket.local_addr().ok().map(|address| address.port());
    if tokio::time::timeout(FIRST, socket.readable()).await.is_err() {
        // Who is not listened to learns that from what he reads.
        let _ = socket.write_all(format!("{}\n", ask.body).as_bytes()).await;
    }
    let mut body = Vec::new();
    let status = if socket.read_to_end(&mut body).await.is_ok() { "closed" } else { "reset" }.to_owned();
    Ok(Answer { request: ask.title(), status, headers: Vec::new(), body, asked: Vec::new(), own })
}

/// How long the first datagram of an answer may take, and each that follows.
const SILENCE: [Duration; 2] = [Duration::from_secs(3), Duration::from_millis(300)];

/// Sends a datagram, and receives what comes until nothing does.
async fn datagram(ask: &Ask, place: Place) -> Result<Answer, String> {
    let open = async {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        socket.connect(place.address).await?;
        socket.send(ask.body.as_bytes()).await?;
        io::Result::Ok(socket)
    };
    let socket = open.await.map_err(|_| "no connection".to_owned())?;
    let own = socket.local_addr().ok().map(|address| address.port());
    let (mut body, mut count, mut bytes) = (Vec::new(), 0_usize, vec![0; 65_536]);
    let [first, next] = SILENCE;
    while let Ok(received) = tokio::time::timeout(if count == 0 { first } else { next }, socket.recv(&mut bytes)).await
    {
        let Ok(length) = received else {
            body.extend_from_slice(b"(refused)");
            break;
        };
        count += 1;
        body.extend_from_slice(bytes.get(..length).unwrap_or_default());
    }
    let status = format!("{count} datagrams");
    Ok(Answer { request: ask.title(), status, headers: Vec::new(), body, asked: Vec::new(), own })
}

async fn exchange(ask: &Ask, socket: TcpStream) -> Result<Answer, String> {
    let closed = |error: hyper::Error| if error.is_parse() { "no HTTP".to_owned() } else { "closed".to_owned() };
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(socket)).await.map_err(closed)?;
    let driver = tokio::spawn(connection);
    let port = if ask.port == 80 { String::new() } else { format!(":{}", ask.port) };
    let mut request = Request::builder().method(ask.method.as_str()).uri(ask.target.as_str());
    if !ask.headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("host")) {
        request = request.header("Host", format!("{}{port}", ask.host));
    }
    for (name, value) in &ask.headers {
        request = request.header(name.as_str(), value.as_str());
    }
    if !ask.headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("connection")) {
        request = request.header("Connection", "close");
    }
    let request = request.body(Full::new(Bytes::from(ask.body.clone()))).map_err(|_| "cannot be asked".to_owned())?;
    let response = sender.send_request(request).await.map_err(closed)?;
    let (head, body) = response.into_parts();
    let body = body.collect().await.map_err(|_| format!("{}, cut off", head.status.as_u16()))?.to_bytes();
    driver.abort();
    let text = |value: &hyper::header::HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
    let mut headers: Vec<(String, String)> =
        head.headers.iter().map(|(name, value)| (name.as_str().to_owned(), text(value))).collect();
    headers.sort();
    Ok(Answer {
        request: ask.title(),
        status: head.status.as_u16().to_string(),
        headers,
        body: body.to_vec(),
        asked: Vec::new(),
        own: None,
    })
}
