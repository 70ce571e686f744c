//! Files of a cache as nginx writes them: a header of fixed size, a line with the key, the response's head, its body.
//!
//! The header is a structure of nginx's in the machine's byte order, version 5, as 64-bit systems lay it out.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use md5::{Digest as _, Md5};

/// The version of the header.
const VERSION: u64 = 5;
/// Bytes of the header.
pub const HEADER: usize = 336;
/// The bytes before the key.
const MARK: &[u8] = b"\nKEY: ";
/// The longest ETag that is kept.
const ETAG: usize = 128;
/// The longest Vary that is kept.
pub const VARY: usize = 128;

/// A digest of a key, or of a key and the headers a response depends on; files are named after it.
pub type Digest = [u8; 16];

/// What a response is kept by.
#[derive(Clone, Debug)]
pub struct Key {
    /// Its text.
    pub text: Vec<u8>,
    /// Its digest.
    pub digest: Digest,
    crc32: u32,
}

impl Key {
    /// The key with this text.
    pub fn new(text: Vec<u8>) -> Self {
        Self { digest: Md5::digest(&text).into(), crc32: crc32fast::hash(&text), text }
    }

    /// Where the response's head begins in a file.
    pub fn head_start(&self) -> usize {
        HEADER + MARK.len() + self.text.len() + 1
    }

    /// The digest under which a response is kept that depends on the request headers that `vary` names; `values` appends
    /// the values of a header.
    pub fn variant<'v>(&self, vary: &[u8], values: impl Fn(&[u8]) -> Vec<&'v [u8]>) -> Digest {
        let mut digest = Md5::new();
        digest.update(self.digest);
        for name in words(&vary.to_ascii_lowercase()) {
            digest.update(name);
            digest.update(b":");
            let lists: [&[u8]; 3] = [b"accept-charset", b"accept-encoding", b"accept-language"];
            let values = values(name);
            let values: Vec<&[u8]> =
                if lists.contains(&name) { values.iter().flat_map(|value| words(value)).collect() } else { values };
            digest.update(values.join(&b','));
            digest.update(b"\r\n");
        }
        digest.finalize().into()
    }
}

/// The words of a list with commas or blanks between them.
fn words(list: &[u8]) -> impl Iterator<Item = &[u8]> {
    list.split(|byte| matches!(byte, b' ' | b',')).filter(|word| !word.is_empty())
}

/// What a file tells beside key and response. Times are seconds since 1970.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Header {
    /// Until when the response is fresh; 0 for unknown.
    pub valid: i64,
    /// For how many seconds behind that it may be given while it is fetched anew.
    pub updating: i64,
    /// For how many seconds behind that it may be given when it cannot be fetched.
    pub error: i64,
    /// Last-Modified; -1 for none.
    pub last_modified: i64,
    /// When it was fetched.
    pub date: i64,
    /// Where the body begins.
    pub body_start: u16,
    /// ETag; empty for none.
    pub etag: Vec<u8>,
    /// Vary.
    pub vary: Vec<u8>,
    /// The digest of the key and of the headers Vary names.
    pub variant: Digest,
}

/// Why a file cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unusable {
    /// It ends within header or key.
    TooSmall,
    /// It has the header of another version.
    Version,
    /// It is another key's.
    Collision,
    /// The response's head is longer than may be.
    TooLongHeader,
    /// Its Vary cannot be.
    Vary,
}

impl Unusable {
    /// nginx's words, behind the file's name.
    pub const fn text(self) -> &'static str {
        match self {
            Self::TooSmall => "is too small",
            Self::Version => "version mismatch",
            Self::Collision => "has md5 collision",
            Self::TooLongHeader => "has too long header",
            Self::Vary => "has incorrect vary length",
        }
    }
}

/// Writes the structure's fields one after the other.
struct Fields(Vec<u8>);

impl Fields {
    fn put(&mut self, bytes: &[u8]) -> &mut Self {
        self.0.extend_from_slice(bytes);
        self
    }

    /// A text of up to `most` bytes: its length, and room for the longest.
    fn text(&mut self, text: &[u8], most: usize) -> &mut Self {
        let end = self.0.len() + 1 + most;
        self.0.push(u8::try_from(text.len()).unwrap_or(u8::MAX));
        self.0.extend_from_slice(text);
        self.0.resize(end, 0);
        self
    }
}

impl Header {
    /// Whether the response may still be given at `now` when so many seconds are added to its time.
    pub const fn is_within(&self, seconds: i64, now: i64) -> bool {
        self.valid.saturating_add(seconds) >= now
    }

    /// The bytes of a file before the response's head.
    pub fn encode(&self, key: &Key) -> Vec<u8> {
        let mut fields = Fields(Vec::with_capacity(key.head_start()));
        fields.put(&VERSION.to_ne_bytes());
        for time in [self.valid, self.updating, self.error, self.last_modified, self.date] {
            fields.put(&time.to_ne_bytes());
        }
        let head_start = u16::try_from(key.head_start()).unwrap_or(u16::MAX);
        fields.put(&key.crc32.to_ne_bytes()).put(&0_u16.to_ne_bytes());
        fields.put(&head_start.to_ne_bytes()).put(&self.body_start.to_ne_bytes());
        let etag = if self.etag.len() <= ETAG { &*self.etag } else { &[] };
        fields.text(etag, ETAG).text(self.vary.get(..VARY).unwrap_or(&self.vary), VARY).put(&self.variant);
        fields.0.resize(HEADER, 0);
        fields.put(MARK).put(&key.text).put(b"\n");
        fields.0
    }

    /// Reads what a file begins with; `most` is how far the response's head may reach.
    ///
    /// # Errors
    /// Why the file is not one of this key.
    pub fn decode(bytes: &[u8], key: &Key, most: usize) -> Result<Self, Unusable> {
        if bytes.len() < key.head_start() {
            return Err(Unusable::TooSmall);
        }
        let at = |from: usize, to: usize| bytes.get(from..to).unwrap_or_default();
        let long = |from: usize| at(from, from + 8).try_into().map_or(0, i64::from_ne_bytes);
        let short = |from: usize| at(from, from + 2).try_into().map_or(0, u16::from_ne_bytes);
        if long(0) != VERSION as i64 {
            return Err(Unusable::Version);
        }
        let crc32 = at(48, 52).try_into().map_or(0, u32::from_ne_bytes);
        let text = at(HEADER + MARK.len(), key.head_start() - 1);
        if crc32 != key.crc32 || usize::from(short(54)) != key.head_start() || text != key.text {
            return Err(Unusable::Collision);
        }
        let body_start = short(56);
        if usize::from(body_start) > most {
            return Err(Unusable::TooLongHeader);
        }
        let length = |from: usize| bytes.get(from).copied().map_or(0, usize::from);
        let (etag, vary) = (length(58), length(187));
        if vary > VARY {
            return Err(Unusable::Vary);
        }
        Ok(Self {
            valid: long(8),
            updating: long(16),
            error: long(24),
            last_modified: long(32),
            date: long(40),
            body_start,
            etag: at(59, 59 + etag.min(ETAG)).to_vec(),
            vary: at(188, 188 + vary).to_vec(),
            variant: at(316, 332).try_into().unwrap_or_default(),
        })
    }
}

#[cfg(test)]
mod tests;
