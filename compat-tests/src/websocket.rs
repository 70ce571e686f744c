//! WebSocket (RFC 6455): both handshakes and frames, enough to carry MQTT.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::TcpStream;

use crate::client;

const GUID: &str = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";

/// What a client asked for when it opened the connection.
#[derive(Debug, Clone, Default)]
pub struct Opening {
    /// The request target.
    pub target: String,
    /// Its headers in order.
    pub headers: Vec<(String, String)>,
}

impl Opening {
    /// The first value of a header.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(own, _)| own.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }
}

/// Answers a client's handshake for this path, or refuses it with 400 or 404.
pub fn accept(stream: &TcpStream, path: &str) -> io::Result<Opening> {
    let mut reader = BufReader::new(stream);
    let mut line = String::new();
    reader.read_line(&mut line)?;
    let opening =
        Opening { target: line.split(' ').nth(1).unwrap_or("").to_owned(), headers: client::headers(&mut reader)? };
    let mut writer = stream;
    let upgrades = opening.header("upgrade").is_some_and(|value| value.eq_ignore_ascii_case("websocket"));
    let Some(key) = opening.header("sec-websocket-key").filter(|_| upgrades && opening.target == path) else {
        let status = if opening.target == path { "400 Bad Request" } else { "404 Not Found" };
        write!(writer, "HTTP/1.1 {status}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")?;
        return Err(io::Error::other("no WebSocket handshake"));
    };
    let protocol = opening
        .header("sec-websocket-protocol")
        .map_or_else(String::new, |name| format!("Sec-WebSocket-Protocol: {name}\r\n"));
    write!(
        writer,
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n{protocol}Sec-WebSocket-Accept: {}\r\n\r\n",
        answer(key)
    )?;
    Ok(opening)
}

/// Opens a WebSocket as a client.
pub fn open(stream: &TcpStream, host: &str, path: &str, protocol: &str) -> io::Result<()> {
    let mut writer = stream;
    write!(
        writer,
        "GET {path} HTTP/1.1\r\nHost: {host}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: {KEY}\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: {protocol}\r\n\r\n"
    )?;
    // One byte at a time: what follows the head belongs to the frames.
    let mut reader = BufReader::with_capacity(1, stream);
    let mut line = String::new();
    reader.read_line(&mut line)?;
    let headers = client::headers(&mut reader)?;
    let accepted =
        headers.iter().any(|(name, value)| name.eq_ignore_ascii_case("sec-websocket-accept") && *value == answer(KEY));
    if line.split(' ').nth(1) == Some("101") && accepted {
        return Ok(());
    }
    Err(io::Error::other(format!("no WebSocket: {}", line.trim_end())))
}

/// The frames of one direction as a plain stream of bytes.
#[derive(Debug)]
pub struct Frames<S> {
    stream: S,
    /// A client masks what it sends.
    masks: bool,
    left: Vec<u8>,
}

impl<S> Frames<S> {
    /// `masks` is true for a client.
    pub fn new(stream: S, masks: bool) -> Self {
        Self { stream, masks, left: Vec::new() }
    }
}

/// Encodes one binary frame.
pub fn frame(payload: &[u8], masks: bool) -> Vec<u8> {
    let mask = if masks { 0x80 } else { 0 };
    let mut bytes = vec![0x82];
    match payload.len() {
        length @ 0..=125 => bytes.push(mask | length as u8),
        length @ 126..=0xffff => {
            bytes.push(mask | 126);
            bytes.extend((length as u16).to_be_bytes());
        }
        length => {
            bytes.push(mask | 127);
            bytes.extend((length as u64).to_be_bytes());
        }
    }
    if masks {
        let key = [0x12, 0x34, 0x56, 0x78];
        bytes.extend(key);
        bytes.extend(payload.iter().zip(key.iter().cycle()).map(|(byte, key)| byte ^ key));
    } else {
        bytes.extend(payload);
    }
    bytes
}

impl<S: Read> Frames<S> {
    /// The next data frame's payload; `None` when the peer closes.
    fn next(&mut self) -> io::Result<Option<Vec<u8>>> {
        loop {
            let mut head = [0; 2];
            match self.stream.read(&mut head[..1])? {
                0 => return Ok(None),
                _ => self.stream.read_exact(&mut head[1..])?,
            }
            let length = match head[1] & 0x7f {
                126 => u64::from(u16::from_be_bytes(array(&mut self.stream)?)),
                127 => u64::from_be_bytes(array(&mut self.stream)?),
                short => u64::from(short),
            };
            if length > 16 << 20 {
                return Err(io::Error::other("a frame of more than 16 MiB"));
            }
            let key = if head[1] & 0x80 == 0 { [0; 4] } else { array(&mut self.stream)? };
            let mut payload = client::exactly(&mut self.stream, length as usize)?;
            payload.iter_mut().zip(key.iter().cycle()).for_each(|(byte, key)| *byte ^= key);
            match head[0] & 0x0f {
                8 => return Ok(None),
                0..=2 => return Ok(Some(payload)),
                _ => {}
            }
        }
    }
}

fn array<const N: usize>(stream: &mut impl Read) -> io::Result<[u8; N]> {
    let mut bytes = [0; N];
    stream.read_exact(&mut bytes)?;
    Ok(bytes)
}

impl<S: Read> Read for Frames<S> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        while self.left.is_empty() {
            match self.next()? {
                Some(payload) => self.left = payload,
                None => return Ok(0),
            }
        }
        let length = into.len().min(self.left.len());
        into[..length].copy_from_slice(&self.left[..length]);
        self.left.drain(..length);
        Ok(length)
    }
}

impl<S: Write> Write for Frames<S> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.stream.write_all(&frame(bytes, self.masks))?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.stream.flush()
    }
}

/// The `Sec-WebSocket-Accept` for a key (RFC 6455 section 4.2.2).
pub fn answer(key: &str) -> String {
    base64(&sha1(format!("{key}{GUID}").as_bytes()))
}

fn base64(bytes: &[u8]) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for group in bytes.chunks(3) {
        let bits = group.iter().fold(0_u32, |bits, byte| bits << 8 | u32::from(*byte)) << (8 * (3 - group.len()));
        for place in 0..4 {
            let letter = LETTERS[(bits >> (18 - 6 * place) & 63) as usize];
            text.push(if place > group.len() { '=' } else { letter as char });
        }
    }
    text
}

/// SHA-1 (FIPS 180-4), only because the handshake demands it.
fn sha1(message: &[u8]) -> [u8; 20] {
    let mut state = [0x6745_2301_u32, 0xefcd_ab89, 0x98ba_dcfe, 0x1032_5476, 0xc3d2_e1f0];
    let mut padded = message.to_vec();
    padded.push(0x80);
    padded.resize(padded.len().next_multiple_of(64) + if padded.len() % 64 > 56 { 64 } else { 0 } - 8, 0);
    padded.extend((message.len() as u64 * 8).to_be_bytes());
    for block in padded.chunks_exact(64) {
        let mut words = [0_u32; 80];
        for (word, bytes) in words.iter_mut().zip(block.chunks_exact(4)) {
            *word = bytes.iter().fold(0, |word, byte| word << 8 | u32::from(*byte));
        }
        for i in 16..80 {
            words[i] = (words[i - 3] ^ words[i - 8] ^ words[i - 14] ^ words[i - 16]).rotate_left(1);
        }
        let [mut a, mut b, mut c, mut d, mut e] = state;
        for (i, word) in words.iter().enumerate() {
            let (mixed, constant) = match i / 20 {
                0 => (b & c | !b & d, 0x5a82_7999),
                1 => (b ^ c ^ d, 0x6ed9_eba1),
                2 => (b & c | b & d | c & d, 0x8f1b_bcdc),
                _ => (b ^ c ^ d, 0xca62_c1d6_u32),
            };
            let next = a.rotate_left(5).wrapping_add(mixed).wrapping_add(e).wrapping_add(constant).wrapping_add(*word);
            (e, d, c, b, a) = (d, c, b.rotate_left(30), a, next);
        }
        for (own, new) in state.iter_mut().zip([a, b, c, d, e]) {
            *own = own.wrapping_add(new);
        }
    }
    let mut digest = [0; 20];
    for (place, word) in digest.chunks_exact_mut(4).zip(state) {
        place.copy_from_slice(&word.to_be_bytes());
    }
    digest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_handshake_answers_as_the_rfc_prints_it() {
        assert_eq!(answer(KEY), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    }

    #[test]
    fn a_masked_frame_is_read_back() {
        for length in [0, 5, 125, 126, 70_000] {
            let payload = vec![7; length];
            let mut frames = Frames::new(io::Cursor::new(frame(&payload, true)), false);
            assert_eq!(frames.next().expect("a frame"), Some(payload));
        }
    }
}
