//! An HTTP/2 client: whole exchanges through the h2 crate, and bare frames for what no client would send.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use bytes::Bytes;

use crate::client;

/// A request.
#[derive(Debug, Clone, Default)]
pub struct Request {
    /// `GET`, …
    pub method: String,
    /// Path and arguments.
    pub target: String,
    /// Names and values.
    pub headers: Vec<(String, String)>,
    /// The body, if there is one.
    pub body: Option<Vec<u8>>,
}

impl Request {
    /// A GET.
    pub fn get(target: &str) -> Self {
        Self { method: "GET".to_owned(), target: target.to_owned(), ..Self::default() }
    }

    /// The same with a header.
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// The same with a body and another method.
    pub fn body(mut self, method: &str, body: Vec<u8>) -> Self {
        method.clone_into(&mut self.method);
        self.body = Some(body);
        self
    }
}

/// What came back.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Answer {
    /// The status; 0 where none came.
    pub status: u16,
    /// Names and values, without `date` and `server`.
    pub headers: Vec<(String, String)>,
    /// The body as far as it came.
    pub body: Vec<u8>,
    /// Names and values behind the body.
    pub trailers: Vec<(String, String)>,
    /// How the stream was broken, if it was.
    pub broken: Option<String>,
}

/// Sends requests at once on one connection without TLS; their answers in the same order.
pub fn exchange(address: SocketAddr, requests: &[Request], limit: Duration) -> io::Result<Vec<Answer>> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let work = async {
        let stream = tokio::net::TcpStream::connect(address).await?;
        let (mut sender, connection) = h2::client::handshake(stream).await.map_err(io::Error::other)?;
        let connection = tokio::spawn(connection);
        let mut tasks = Vec::new();
        for request in requests {
            sender = sender.ready().await.map_err(io::Error::other)?;
            let mut head = http::Request::builder()
                .method(request.method.as_str())
                .uri(format!("http://localhost{}", request.target));
            for (name, value) in &request.headers {
                head = head.header(name, value);
            }
            let head = head.body(()).map_err(io::Error::other)?;
            let (response, mut body) = sender.send_request(head, request.body.is_none()).map_err(io::Error::other)?;
            if let Some(bytes) = request.body.clone() {
                let _ = body.send_data(Bytes::from(bytes), true);
            }
            tasks.push(tokio::spawn(answer(response)));
        }
        let mut answers = Vec::new();
        for task in tasks {
            answers.push(task.await.map_err(io::Error::other)?);
        }
        drop(sender);
        connection.abort();
        Ok(answers)
    };
    runtime.block_on(async { tokio::time::timeout(limit, work).await.map_err(|_| io::ErrorKind::TimedOut)? })
}

async fn answer(response: h2::client::ResponseFuture) -> Answer {
    let mut answer = Answer::default();
    let response = match response.await {
        Ok(response) => response,
        Err(error) => return Answer { broken: Some(error.to_string()), ..answer },
    };
    answer.status = response.status().as_u16();
    for (name, value) in response.headers() {
        if !matches!(name.as_str(), "date" | "server") {
            answer.headers.push((name.to_string(), String::from_utf8_lossy(value.as_bytes()).into_owned()));
        }
    }
    let mut body = response.into_body();
    while let Some(piece) = body.data().await {
        match piece {
            Ok(bytes) => {
                let _ = body.flow_control().release_capacity(bytes.len());
                answer.body.extend_from_slice(&bytes);
            }
            Err(error) => {
                answer.broken = Some(error.to_string());
                break;
            }
        }
    }
    if let Ok(Some(trailers)) = body.trailers().await {
        let text = |value: &http::HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
        answer.trailers.extend(trailers.iter().map(|(name, value)| (name.to_string(), text(value))));
    }
    answer
}

/// A frame as it came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    /// DATA is 0, HEADERS 1, RST_STREAM 3, SETTINGS 4, PUSH_PROMISE 5, PING 6, GOAWAY 7, WINDOW_UPDATE 8, CONTINUATION 9.
    pub kind: u8,
    /// The flags.
    pub flags: u8,
    /// The stream; 0 for the connection.
    pub stream: u32,
    /// What it holds.
    pub payload: Vec<u8>,
}

/// A connection on which frames are sent as they are given.
#[derive(Debug)]
pub struct RawConnection(TcpStream);

impl RawConnection {
    /// Connects, says the preface and empty settings.
    pub fn new(address: SocketAddr, limit: Duration) -> io::Result<Self> {
        let mut stream = client::connect(address, limit)?;
        stream.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")?;
        let mut bare = Self(stream);
        bare.send(4, 0, 0, &[])?;
        Ok(bare)
    }

    /// The server's side of a connection whose preface is still to come.
    pub fn accept(mut stream: TcpStream) -> io::Result<Self> {
        let mut preface = [0; 24];
        stream.read_exact(&mut preface)?;
        Ok(Self(stream))
    }

    /// Closes the connection when the other side does; it reads the end at once.
    pub fn finish(&mut self) -> io::Result<()> {
        self.0.shutdown(std::net::Shutdown::Write)?;
        io::copy(&mut self.0, &mut io::sink()).map(drop)
    }

    /// The same connection, to be read while the other is written.
    pub fn reader(&self) -> io::Result<Self> {
        self.0.try_clone().map(Self)
    }

    /// Sends these bytes.
    pub fn raw(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.0.write_all(bytes)
    }

    /// Reads to the connection's end; the error of its GOAWAY, if one came.
    pub fn goaway(&mut self) -> io::Result<Option<u32>> {
        let frame = self.wait_for(7)?;
        let code = frame.and_then(|frame| frame.payload.get(4..8)?.try_into().ok());
        Ok(code.map(u32::from_be_bytes))
    }

    /// Sends a frame.
    pub fn send(&mut self, kind: u8, flags: u8, stream: u32, payload: &[u8]) -> io::Result<()> {
        self.0.write_all(&frame(kind, flags, stream, payload))
    }

    /// Sends a whole HEADERS frame, its fields without compression.
    pub fn headers(&mut self, stream: u32, fields: &[(&str, &str)], ends: bool) -> io::Result<()> {
        self.send(1, if ends { 5 } else { 4 }, stream, &block(fields))
    }

    /// The next frame; none when the connection was closed.
    pub fn frame(&mut self) -> io::Result<Option<Frame>> {
        let mut head = [0; 9];
        match self.0.read_exact(&mut head) {
            Ok(()) => {}
            Err(error) if matches!(error.kind(), io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionReset) => {
                return Ok(None);
            }
            Err(error) => return Err(error),
        }
        let [a, b, c, kind, flags, stream @ ..] = head;
        let mut payload = vec![0; u32::from_be_bytes([0, a, b, c]) as usize];
        self.0.read_exact(&mut payload)?;
        Ok(Some(Frame { kind, flags, stream: u32::from_be_bytes(stream), payload }))
    }

    /// Reads until a frame of this kind; none when the connection was closed before.
    pub fn wait_for(&mut self, kind: u8) -> io::Result<Option<Frame>> {
        loop {
            match self.frame()? {
                Some(frame) if frame.kind == kind => return Ok(Some(frame)),
                Some(_) => {}
                None => return Ok(None),
            }
        }
    }
}

/// A frame's bytes.
pub fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap_or(u32::MAX).to_be_bytes();
    let mut frame = length[1..].to_vec();
    frame.extend([kind, flags]);
    frame.extend(stream.to_be_bytes());
    frame.extend_from_slice(payload);
    frame
}

/// Fields as literals without indexing (RFC 7541 §6.2.2).
pub fn block(fields: &[(&str, &str)]) -> Vec<u8> {
    let mut block = Vec::new();
    for (name, value) in fields {
        block.push(0);
        for text in [name, value] {
            string(text.as_bytes(), &mut block);
        }
    }
    block
}

fn string(text: &[u8], out: &mut Vec<u8>) {
    let mut length = text.len();
    if length < 127 {
        out.push(length as u8);
    } else {
        out.push(127);
        length -= 127;
        while length >= 128 {
            out.push((length % 128 + 128) as u8);
            length /= 128;
        }
        out.push(length as u8);
    }
    out.extend_from_slice(text);
}

/// The status in a block of fields, where it comes first and is in no table of the connection's own; 0 elsewhere.
pub fn status(block: &[u8]) -> u16 {
    // A change of the table's size comes before the fields (RFC 7541 §6.3).
    let resized = block.iter().take_while(|byte| **byte & 0xe0 == 0x20).count();
    let (first, rest) = match block.get(resized..) {
        Some([first, rest @ ..]) => (*first, rest),
        Some([]) | None => return 0,
    };
    match first {
        0x88..=0x8e => [200, 204, 206, 304, 400, 404, 500][usize::from(first - 0x88)],
        0x08 | 0x18 | 0x48 => match rest {
            [3, digits @ ..] => {
                digits.iter().take(3).fold(0, |sum, digit| sum * 10 + u16::from(digit.wrapping_sub(b'0')))
            }
            [coded, bytes @ ..] if coded & 0x80 != 0 => {
                digits(bytes.get(..usize::from(coded & 0x7f)).unwrap_or_default())
            }
            _ => 0,
        },
        _ => 0,
    }
}

/// Three digits in Huffman's code (RFC 7541, appendix B): 0 to 2 have five bits, the others six.
fn digits(bytes: &[u8]) -> u16 {
    let bits = bytes.iter().take(4).fold(0_u32, |bits, byte| bits << 8 | u32::from(*byte))
        << (32 - 8 * bytes.len().clamp(1, 4));
    let (mut at, mut number) = (0, 0);
    for _ in 0..3 {
        let five = bits << at >> 27;
        let (digit, length) = if five < 3 { (five, 5) } else { ((bits << at >> 26).wrapping_sub(0x16), 6) };
        number = number * 10 + digit as u16;
        at += length;
    }
    number
}
