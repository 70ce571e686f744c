//! One request, one answer.

use super::requests::Ask;
use http_body_util::{BodyExt as _, Full};
use hyper::Request;
use hyper::body::Bytes;
use hyper_util::rt::TokioIo;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::net::TcpStream;

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
}

/// Longer than any answer may take.
const PATIENCE: Duration = Duration::from_secs(70);

/// Asks on a connection of its own.
pub async fn ask(ask: &Ask, address: SocketAddr) -> Answer {
    let none = |said: String| Answer {
        request: ask.title(),
        status: said,
        headers: Vec::new(),
        body: Vec::new(),
        asked: Vec::new(),
    };
    match tokio::time::timeout(PATIENCE, exchange(ask, address)).await {
        Ok(Ok(answer)) => answer,
        Ok(Err(said)) => none(said),
        Err(_) => none("no answer".to_owned()),
    }
}

async fn exchange(ask: &Ask, address: SocketAddr) -> Result<Answer, String> {
    let socket = TcpStream::connect(address).await.map_err(|_| "no connection".to_owned())?;
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
    })
}
