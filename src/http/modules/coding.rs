//! The modules of third parties for other content codings than gzip, and what they have in common.

use crate::http::heart::filter::{BodyFilter, Failed, Filter, Pieces, Slot, Then};
use crate::http::heart::head::Known;
use crate::http::heart::module::Module;
use crate::http::heart::request::Request;
use crate::http::heart::response::{Coding, Compressed};
use crate::http::modules::gzip::{Clients, find_caseless};
use crate::log::Level;
use crate::session::slot::is_among;
use std::io;
use std::io::Write as _;
use std::sync::Arc;

mod brotli;
mod brotli_static;
mod zstd;
mod zstd_static;

/// The modules.
pub fn modules() -> Vec<Module> {
    [zstd_static::modules(), brotli_static::modules(), zstd::modules(), brotli::modules()].concat()
}

/// An encoder of one response.
pub trait Encode {
    /// Compresses `bytes` and appends what comes out: all of it where `then` asks for a flush or the end.
    ///
    /// # Errors
    /// The library's word for what failed.
    fn encode(&mut self, bytes: &[u8], then: Then, out: &mut Vec<u8>) -> io::Result<()>;
}

/// Makes the encoder of a response whose length may be known.
pub type Make = Box<dyn Fn(Option<u64>) -> io::Result<Box<dyn Encode>> + Send + Sync>;

/// `brotli on` or `zstd on` at a place.
pub struct Encoder {
    /// The coding.
    pub coding: Coding,
    /// The MIME types beside text/html.
    pub types: Vec<Box<[u8]>>,
    /// The least length of a response.
    pub min_length: u64,
    /// Whether gzip_vary is on.
    pub clients: Arc<Clients>,
    /// Makes encoders.
    pub make: Make,
}

impl Filter for Encoder {
    fn slot(&self) -> Slot {
        match self.coding {
            Coding::Gzip => Slot::Gzip,
            Coding::Brotli => Slot::Brotli,
            Coding::Zstd => Slot::Zstd,
        }
    }

    fn head(&self, request: &mut Request) -> Option<Box<dyn BodyFilter>> {
        let response = &request.response;
        let length = response.length;
        if !matches!(response.status, 200 | 403 | 404)
            || length.is_some_and(|length| length < self.min_length)
            || response.header(b"Content-Encoding").is_some()
            || !is_among(&self.types, "text/html", &response.content_type)
        {
            return None;
        }
        request.response.vary |= self.clients.vary;
        if !suits(request, self.coding) {
            return None;
        }
        let encoder = match (self.make)(length) {
            Ok(encoder) => encoder,
            Err(error) => {
                request.log_filter(Level::Alert, &format!("{} encoder failed: {error}", self.name()));
                return None;
            }
        };
        let response = &mut request.response;
        response.may_gzip = Some(false);
        response.headers.add(b"Content-Encoding", self.coding.name());
        response.change_body();
        response.weaken_etag();
        Some(Box::new(Stream { coding: self.coding, encoder, before: 0, after: 0 }))
    }
}

impl Encoder {
    fn name(&self) -> std::borrow::Cow<'_, str> {
        String::from_utf8_lossy(self.coding.name())
    }
}

/// A response on its way through an encoder.
struct Stream {
    coding: Coding,
    encoder: Box<dyn Encode>,
    before: u64,
    after: u64,
}

impl BodyFilter for Stream {
    fn body(&mut self, request: &mut Request, bytes: &[u8], then: Then, out: &mut Pieces<'_>) -> Result<(), Failed> {
        if bytes.is_empty() && then == Then::More {
            return Ok(());
        }
        let out = out.bytes();
        let begun = out.len();
        if let Err(error) = self.encoder.encode(bytes, then, out) {
            let name = String::from_utf8_lossy(self.coding.name());
            request.log_filter(Level::Alert, &format!("{name} encoder failed: {error}"));
            return Err(Failed);
        }
        self.before += bytes.len() as u64;
        self.after += (out.len() - begun) as u64;
        if then == Then::Last {
            let Self { coding, before, after, .. } = *self;
            request.response.compressed = Some(Compressed { coding, before, after });
        }
        Ok(())
    }
}

/// Whether the request's client takes a coding of a third party's module.
pub fn suits(request: &Request, coding: Coding) -> bool {
    !request.is_subrequest()
        && request.header(Known::AcceptEncoding).is_some_and(|header| accepts(header, coding.name()))
}

/// Whether an Accept-Encoding header takes a coding, as the brotli module reads it: anything but `q=0` is a yes.
fn accepts(header: &[u8], name: &[u8]) -> bool {
    let mut at = 0;
    while let Some(found) = header.get(at..).and_then(|rest| find_caseless(rest, name)) {
        let start = at + found;
        at = start + name.len();
        let before = start.checked_sub(1).and_then(|before| header.get(before));
        let rest = header.get(at..).unwrap_or_default();
        if matches!(before, None | Some(b',' | b' ')) && matches!(rest.first(), None | Some(b',' | b' ' | b';')) {
            return !is_zero(rest);
        }
    }
    false
}

/// Whether what follows a coding is a quality of 0.
fn is_zero(text: &[u8]) -> bool {
    let mut text = text;
    for byte in b";q=" {
        match text.trim_ascii_start().split_first() {
            Some((first, rest)) if first == byte => text = rest,
            _ => return false,
        }
    }
    match text.trim_ascii_start() {
        [b'0', b'.', digits @ ..] => {
            !digits.iter().take(3).take_while(|byte| byte.is_ascii_digit()).any(|byte| *byte > b'0')
        }
        text => text.first() == Some(&b'0'),
    }
}

/// Bytes before and after the compression by a coding; nothing where there was none.
pub fn ratio(request: &Request, coding: Coding) -> Option<(u64, u64)> {
    let done = request.response.compressed.filter(|done| done.coding == coding && done.after > 0)?;
    Some((done.before, done.after))
}

/// Writes a ratio with two digits, rounded.
pub fn write_hundredths((before, after): (u64, u64), out: &mut Vec<u8>) -> bool {
    let hundredths = (before * 1000 / after + 5) / 10;
    write!(out, "{}.{:02}", hundredths / 100, hundredths % 100).is_ok()
}

#[cfg(test)]
mod tests;
