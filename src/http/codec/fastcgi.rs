//! FastCGI records (FastCGI Specification 1.0 §3.3): requests into records, records into what a server answers.
//!
//! A request has the number 1: a connection carries one request at a time.

#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

/// Kinds of records.
mod kind {
    pub const BEGIN_REQUEST: u8 = 1;
    pub const END_REQUEST: u8 = 3;
    pub const PARAMS: u8 = 4;
    pub const STDIN: u8 = 5;
    pub const STDOUT: u8 = 6;
    pub const STDERR: u8 = 7;
}

/// The most one record carries here, as in nginx.
pub const PIECE: usize = 32 * 1024;

/// The most a record can carry.
pub const MOST: usize = 65_535;

/// Appends the record that begins a request to a responder; `keep` where the server is to leave the connection open.
pub fn begin(keep: bool, out: &mut Vec<u8>) {
    header(kind::BEGIN_REQUEST, 8, 0, out);
    out.extend_from_slice(&[0, 1, u8::from(keep), 0, 0, 0, 0, 0]);
}

/// Appends a parameter, as a record of parameters holds it.
pub fn param(name: &[u8], value: &[u8], out: &mut Vec<u8>) {
    for length in [name.len(), value.len()] {
        match u8::try_from(length) {
            Ok(short @ 0..=127) => out.push(short),
            _ => out.extend_from_slice(&(length as u32 | 1 << 31).to_be_bytes()),
        }
    }
    out.extend_from_slice(name);
    out.extend_from_slice(value);
}

/// Appends the parameters of a request and their end.
pub fn params(bytes: &[u8], out: &mut Vec<u8>) {
    record(kind::PARAMS, bytes, out);
    header(kind::PARAMS, 0, 0, out);
}

/// Appends a piece of a request's body.
pub fn stdin(bytes: &[u8], out: &mut Vec<u8>) {
    for piece in bytes.chunks(PIECE) {
        record(kind::STDIN, piece, out);
    }
}

/// Appends the end of a request's body.
pub fn stdin_end(out: &mut Vec<u8>) {
    header(kind::STDIN, 0, 0, out);
}

fn record(kind: u8, bytes: &[u8], out: &mut Vec<u8>) {
    let padding = (8 - bytes.len() % 8) % 8;
    header(kind, bytes.len(), padding as u8, out);
    out.extend_from_slice(bytes);
    out.resize(out.len() + padding, 0);
}

/// The head of a record that holds so many bytes of an answer, if it can.
pub fn record_of(length: usize) -> Option<[u8; 8]> {
    let [high, low] = u16::try_from(length).ok()?.to_be_bytes();
    Some([1, kind::STDOUT, 0, 1, high, low, 0, 0])
}

fn header(kind: u8, length: usize, padding: u8, out: &mut Vec<u8>) {
    let [high, low] = u16::try_from(length).unwrap_or(u16::MAX).to_be_bytes();
    out.extend_from_slice(&[1, kind, 0, 1, high, low, padding, 0]);
}

/// Takes a server's records apart.
#[derive(Debug, Default)]
pub struct Records {
    head: [u8; 8],
    /// Bytes of the head that are there.
    known: usize,
    kind: u8,
    /// Bytes of the record's content still to come.
    left: usize,
    padding: usize,
    /// Whether the answer has ended (an empty record of it).
    pub is_closed: bool,
    /// Whether the request has.
    pub is_ended: bool,
    /// Whether something came behind the end.
    pub has_more: bool,
    /// Bytes of the answer so far, and of all that came.
    answered: u64,
    taken: u64,
    /// Where pieces of the answer begin in what came: their place in the answer, and there.
    pieces: Vec<(u64, u64)>,
}

/// What a piece of input held.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Found {
    /// Bytes of the answer, now at the beginning of the input.
    pub answer: usize,
    /// What was said on the error stream, in pieces as they came, and how much of the answer came before.
    pub errors: Vec<(u64, Vec<u8>)>,
}

impl Records {
    /// Takes `bytes` in, and moves what they hold of the answer to their beginning.
    ///
    /// # Errors
    /// nginx's words for a record that cannot be.
    pub fn take(&mut self, bytes: &mut [u8]) -> Result<Found, String> {
        let mut found = Found::default();
        let mut at = 0;
        while at < bytes.len() {
            if self.is_over() {
                self.has_more = true;
                break;
            }
            if self.left == 0 && self.padding == 0 {
                let Some(byte) = bytes.get(at) else { break };
                at += 1;
                self.head_byte(*byte)?;
                continue;
            }
            let rest = bytes.len() - at;
            if self.left == 0 {
                let skipped = self.padding.min(rest);
                self.padding -= skipped;
                at += skipped;
                continue;
            }
            let count = self.left.min(rest);
            match self.kind {
                kind::STDOUT => {
                    self.pieces.push((self.answered, self.taken + at as u64));
                    self.answered += count as u64;
                    bytes.copy_within(at..at + count, found.answer);
                    found.answer += count;
                }
                kind::STDERR => {
                    found.errors.push((self.answered, bytes.get(at..at + count).unwrap_or_default().to_vec()));
                }
                _ => {}
            }
            self.left -= count;
            at += count;
        }
        self.taken += bytes.len() as u64;
        Ok(found)
    }

    /// Takes a byte of a record's head.
    fn head_byte(&mut self, byte: u8) -> Result<(), String> {
        let wrong = |what: &str| Err(format!("upstream sent {what}: {byte}"));
        match self.known {
            0 if byte != 1 => return wrong("unsupported FastCGI protocol version"),
            1 if !matches!(byte, kind::STDOUT | kind::STDERR | kind::END_REQUEST) => {
                return wrong("invalid FastCGI record type");
            }
            2 if byte != 0 => return wrong("unexpected FastCGI request id high byte"),
            3 if byte != 1 => return wrong("unexpected FastCGI request id low byte"),
            _ => {}
        }
        if let Some(place) = self.head.get_mut(self.known) {
            *place = byte;
        }
        self.known += 1;
        if self.known == self.head.len() {
            let [_, kind, _, _, high, low, padding, _] = self.head;
            self.known = 0;
            self.kind = kind;
            self.left = usize::from(u16::from_be_bytes([high, low]));
            self.padding = usize::from(padding);
            self.is_closed |= kind == kind::STDOUT && self.left == 0;
            self.is_ended |= kind == kind::END_REQUEST;
        }
        Ok(())
    }

    /// Where the byte of the answer at `place` was in all that came; that can be asked once.
    pub fn place(&mut self, place: u64) -> u64 {
        let pieces = std::mem::take(&mut self.pieces);
        let piece = pieces.iter().rfind(|(answered, _)| *answered < place);
        piece.map_or(0, |(answered, taken)| taken + (place - answered))
    }

    /// Forgets where pieces of the answer began.
    pub fn forget(&mut self) {
        self.pieces.clear();
    }

    /// Whether the record that ends the request has come to its own end.
    pub const fn is_over(&self) -> bool {
        self.is_ended && self.left == 0 && self.padding == 0
    }

    /// Whether the request ended and nothing of it is still to come: the connection may carry another.
    pub const fn is_clean(&self) -> bool {
        self.is_over() && !self.has_more
    }
}

/// What is shown of a piece of the error stream: without the ends of lines and sentences behind it.
pub fn shown(error: &[u8]) -> &[u8] {
    let end = error.iter().rposition(|byte| !matches!(byte, b'\n' | b'\r' | b'.' | b' ')).unwrap_or(0);
    error.get(..=end).unwrap_or_default()
}

#[cfg(test)]
mod tests;
