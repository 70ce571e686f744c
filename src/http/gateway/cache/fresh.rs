//! How long an answer may be kept, by its headers: X-Accel-Expires, Cache-Control, Expires, Set-Cookie and Vary, in nginx's
//! manner, which depends on their order.

use crate::http::codec::cached::VARY;
use crate::log::clock::parse_http_date;

/// Headers that are ignored, as bits of `*_ignore_headers`.
mod ignored {
    pub const ACCEL_EXPIRES: u32 = 2;
    pub const EXPIRES: u32 = 32;
    pub const CACHE_CONTROL: u32 = 64;
    pub const SET_COOKIE: u32 = 128;
    pub const VARY: u32 = 256;
}

/// What headers say. Times are seconds since 1970.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Fresh {
    /// Whether they forbid to keep the answer.
    pub refused: bool,
    /// Cache-Control forbids it, unless X-Accel-Expires follows.
    no_cache: bool,
    /// So does Expires.
    expired: bool,
    accel_expires: bool,
    /// Until when it is fresh; 0 where they do not say.
    pub valid: i64,
    /// For how many seconds behind that it may be given while it is fetched anew.
    pub updating: i64,
    /// For how many seconds behind that it may be given when it cannot be fetched.
    pub error: i64,
    /// Vary.
    pub vary: Vec<u8>,
    /// ETag.
    pub etag: Vec<u8>,
    /// Last-Modified.
    pub last_modified: Option<i64>,
}

impl Fresh {
    /// What these headers say at `now`; `valid` is what was known before, 0 for nothing.
    pub fn new<'h>(headers: impl Iterator<Item = (&'h [u8], &'h [u8])>, ignore: u32, valid: i64, now: i64) -> Self {
        let mut fresh = Self { valid, ..Self::default() };
        for (name, value) in headers {
            let is = |known: &[u8]| name.eq_ignore_ascii_case(known);
            let heeds = |bit: u32| ignore & bit == 0;
            match name.len() {
                15 if is(b"x-accel-expires") => fresh.accel_expires(value, heeds(ignored::ACCEL_EXPIRES), now),
                13 if is(b"cache-control") && heeds(ignored::CACHE_CONTROL) => fresh.cache_control(value, now),
                7 if is(b"expires") && heeds(ignored::EXPIRES) => fresh.expires(value, now),
                10 if is(b"set-cookie") && heeds(ignored::SET_COOKIE) => fresh.refused = true,
                4 if is(b"vary") && heeds(ignored::VARY) => fresh.vary(value),
                4 if is(b"etag") => fresh.etag = value.to_vec(),
                13 if is(b"last-modified") => fresh.last_modified = parse_http_date(value),
                _ => {}
            }
        }
        fresh.refused |= fresh.no_cache || fresh.expired;
        fresh
    }

    fn accel_expires(&mut self, value: &[u8], heeded: bool, now: i64) {
        self.accel_expires = true;
        let number = |text: &[u8]| crate::conf::value::number(text).and_then(|number| i64::try_from(number).ok());
        let valid = match value.strip_prefix(b"@") {
            _ if !heeded => None,
            Some(moment) => number(moment),
            None => match number(value) {
                Some(0) => {
                    self.refused = true;
                    None
                }
                seconds => seconds.map(|seconds| now.saturating_add(seconds)),
            },
        };
        if let Some(valid) = valid {
            (self.valid, self.no_cache, self.expired) = (valid, false, false);
        }
    }

    fn cache_control(&mut self, value: &[u8], now: i64) {
        let value = value.to_ascii_lowercase();
        let has = |word: &[u8]| memchr::memmem::find(&value, word).is_some();
        if !(self.valid != 0 && self.accel_expires) {
            if has(b"no-cache") || has(b"no-store") || has(b"private") {
                self.no_cache = true;
                return;
            }
            match seconds(&value, b"s-maxage=").or_else(|| seconds(&value, b"max-age=")) {
                None => {}
                Some(Err(())) => return self.refused = true,
                Some(Ok(0)) => return self.no_cache = true,
                Some(Ok(age)) => (self.valid, self.expired) = (now.saturating_add(age), false),
            }
        }
        match seconds(&value, b"stale-while-revalidate=") {
            None => {}
            Some(Err(())) => return self.refused = true,
            Some(Ok(time)) => (self.updating, self.error) = (time, time),
        }
        match seconds(&value, b"stale-if-error=") {
            None => {}
            Some(Err(())) => self.refused = true,
            Some(Ok(time)) => self.error = time,
        }
    }

    fn expires(&mut self, value: &[u8], now: i64) {
        if self.valid != 0 {
            return;
        }
        match parse_http_date(value) {
            Some(time) if time >= now => self.valid = time,
            _ => self.expired = true,
        }
    }

    fn vary(&mut self, value: &[u8]) {
        if self.refused {
            return;
        }
        if value == b"*" {
            self.refused = true;
            return;
        }
        if !self.vary.is_empty() {
            self.vary.extend_from_slice(b", ");
        }
        self.vary.extend_from_slice(value);
        self.refused |= self.vary.len() > VARY;
    }
}

/// The number behind a word, up to a comma, a semicolon or a blank.
fn seconds(value: &[u8], word: &[u8]) -> Option<Result<i64, ()>> {
    let at = memchr::memmem::find(value, word)?;
    let rest = value.get(at + word.len()..).unwrap_or_default();
    let text = rest.split(|byte| matches!(byte, b',' | b';' | b' ')).next().unwrap_or_default();
    let digit = |number: i64, byte: &u8| {
        byte.is_ascii_digit().then(|| number.saturating_mul(10).saturating_add(i64::from(byte - b'0')))
    };
    Some(text.iter().try_fold(0, digit).ok_or(()))
}

#[cfg(test)]
mod tests;
