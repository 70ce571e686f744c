//! Fetching what a cache has not, or not any more: what the answer's head means for it.

use super::fresh::Fresh;
use super::look::{Stored, now, status, variant};
use super::save::Saving;
use super::settings::Caching;
use crate::http::codec::cached::{HEADER, Header, Key};
use crate::http::codec::fastcgi;
use crate::http::gateway::conf::{Dialect, Gateway};
use crate::http::gateway::engine::Engine;
use crate::http::gateway::exchange::status_bit;
use crate::http::gateway::protocol::Protocol;
use crate::http::gateway::upstream_response::UpstreamResponse;
use crate::http::heart::handler::Flow;
use crate::http::heart::head::Known;
use crate::http::heart::request::Request;
use crate::log::Level;
use crate::zone::cache::{Cache, Visit};
use std::io;
use std::os::unix::fs::{FileExt as _, MetadataExt as _};
use std::sync::Arc;

/// A request on its way to a server, whose answer a cache may keep.
pub struct Fetch {
    caching: Arc<Caching>,
    cache: Arc<Cache>,
    key: Key,
    visit: Option<Visit>,
    /// The digest of the entry, where it is not the key's.
    pub variant: Option<[u8; 16]>,
    /// The answer that has expired.
    pub stale: Option<Box<Stored>>,
    /// Whether the answer may be kept.
    keeps: bool,
    /// What the headers of the answer say.
    fresh: Fresh,
    /// The condition of `*_next_upstream` that the last attempt failed with.
    failed: u32,
}

/// Why the answer that has expired is given.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Instead {
    /// The server could not answer.
    Stale,
    /// It has not changed.
    Revalidated,
}

impl Fetch {
    /// Nothing is known of the answer yet.
    pub fn new(caching: Arc<Caching>, cache: Arc<Cache>, key: Key, visit: Option<Visit>) -> Self {
        let fresh = Fresh::default();
        Self { caching, cache, key, visit, variant: None, stale: None, keeps: true, fresh, failed: 0 }
    }

    /// Does not keep the answer where the client asks for a range that begins beyond `*_cache_max_range_offset`.
    pub fn within_range(mut self, request: &mut Request) -> Self {
        if request.header(Known::Range).is_some_and(|range| self.caching.is_beyond(range)) {
            self.keeps = false;
            request.attempts.cache.keeps = false;
        }
        self
    }

    /// Notes how an attempt failed.
    pub const fn note_failure(&mut self, bit: u32) {
        self.failed = bit;
    }

    /// Takes in what the headers of an answer say.
    pub fn heed(&mut self, request: &Request, gateway: &Gateway, bytes: &[u8], reply: &UpstreamResponse) {
        self.fresh = Fresh::new(reply.named(bytes), gateway.ignore_headers, 0, now(request).1);
    }

    /// Whether the answer may be kept, as far as its head tells.
    pub const fn may_keep(&self) -> bool {
        self.keeps && !self.fresh.refused
    }

    /// Whether the expired answer is given instead of this one.
    pub fn instead(&self, request: &Request, reply: &UpstreamResponse) -> Option<Instead> {
        self.stale.as_ref().filter(|_| request.attempts.cache.status == status::EXPIRED)?;
        if self.caching.use_stale & status_bit(reply.status) != 0 {
            return Some(Instead::Stale);
        }
        (reply.status == 304 && self.caching.revalidate).then_some(Instead::Revalidated)
    }

    /// Gives the expired answer.
    pub fn give<P: Protocol>(self, engine: &Engine<P>, request: &mut Request, instead: Instead) -> Flow<'static> {
        let Some(stored) = &self.stale else { return Flow::Finish(500) };
        request.attempts.url = None;
        request.attempts.cache.status = match instead {
            Instead::Stale => status::STALE,
            Instead::Revalidated => {
                self.revalidate(request, &engine.gateway, stored);
                status::REVALIDATED
            }
        };
        stored.give(engine, request).unwrap_or(Flow::Finish(500))
    }

    /// The expired answer has not changed: it is fresh again for a time.
    fn revalidate(&self, request: &Request, gateway: &Gateway, stored: &Stored) {
        let second = now(request).1;
        let said = Some(&self.fresh).filter(|fresh| fresh.valid != 0).cloned();
        let fresh = said.or_else(|| stored.reread(request, gateway)).unwrap_or_default();
        let valid = match (fresh.valid, self.caching.valid(stored.status(request, gateway))) {
            (0, 0) => return,
            (0, seconds) => second.saturating_add(seconds),
            (valid, _) => valid,
        };
        let header =
            Header { valid, updating: fresh.updating, error: fresh.error, date: second, ..stored.header.clone() };
        if let Err(error) = self.rewrite(&stored.path, stored, &header)
            && error.kind() != io::ErrorKind::NotFound
        {
            let text = crate::conf::walk::errno(&error);
            request.log(Level::Crit, &format!("pwrite() \"{}\" failed ({text})", stored.path));
        }
    }

    /// Replaces the header of a file, unless another file has its name now.
    fn rewrite(&self, path: &str, stored: &Stored, header: &Header) -> io::Result<()> {
        let file = std::fs::OpenOptions::new().read(true).write(true).open(crate::conf::bytes::path(path))?;
        let about = file.metadata()?;
        let mut bytes = vec![0; self.key.head_start()];
        file.read_exact_at(&mut bytes, 0)?;
        let now = Header::decode(&bytes, &self.key, usize::MAX).ok();
        let same = now.is_some_and(|now| {
            (now.last_modified, now.body_start) == (stored.header.last_modified, stored.header.body_start)
        });
        if (about.ino(), about.len()) != stored.identity() || !same {
            return Ok(());
        }
        file.write_all_at(header.encode(&self.key).get(..HEADER).unwrap_or_default(), 0)
    }

    /// No server answered: gives the expired answer where it may, and remembers the failure where that is asked for.
    ///
    /// # Errors
    /// The status to answer with.
    pub fn missed<P: Protocol>(
        self: Box<Self>,
        engine: &Engine<P>,
        request: &mut Request,
        status: u16,
    ) -> Result<Flow<'static>, u16> {
        let expired = request.attempts.cache.status == status::EXPIRED;
        let second = now(request).1;
        let tolerated = self.caching.use_stale & self.failed != 0
            || self.stale.as_ref().is_some_and(|stale| stale.header.is_within(stale.header.error, second));
        if expired && self.failed != 0 && tolerated && self.stale.is_some() {
            return Ok(self.give(engine, request, Instead::Stale));
        }
        if matches!(status, 502 | 504) {
            let seconds = self.caching.valid(status);
            self.remember_for(request, status, seconds);
        }
        Err(status)
    }

    /// Remembers the status of an answer whose error page is shown.
    pub fn remember(self: Box<Self>, request: &Request, status: u16) {
        if self.fresh.refused {
            return;
        }
        let second = now(request).1;
        let seconds = match self.fresh.valid {
            0 => self.caching.valid(status),
            valid => valid.saturating_sub(second),
        };
        self.remember_for(request, status, seconds);
    }

    fn remember_for(self: Box<Self>, request: &Request, status: u16, seconds: i64) {
        if let Some(visit) = self.visit.filter(|_| self.keeps && seconds > 0) {
            visit.failed(status, now(request).1.saturating_add(seconds));
        }
    }

    /// Begins to keep an answer, whose head is `head`; nothing where it is not to be kept.
    pub fn save(
        mut self: Box<Self>,
        request: &Request,
        gateway: &Gateway,
        reply: &UpstreamResponse,
        head: &[u8],
    ) -> Option<Saving> {
        if self.caching.refuses(request) || !self.may_keep() || head.is_empty() {
            return None;
        }
        let second = now(request).1;
        let valid = match (self.fresh.valid, self.caching.valid(reply.status)) {
            (0, 0) => return None,
            (0, seconds) => second.saturating_add(seconds),
            (valid, _) => valid,
        };
        let record = match gateway.dialect {
            Dialect::FastCgi => fastcgi::record_of(head.len())?.to_vec(),
            _ => Vec::new(),
        };
        let end = self.key.head_start() + record.len() + head.len();
        let body_start = u16::try_from(end).ok().filter(|_| end <= gateway.buffer_size)?;
        let whole = matches!(reply.status, 200 | 206);
        let vary = std::mem::take(&mut self.fresh.vary);
        let variant = if vary.is_empty() { [0; 16] } else { variant(request, &self.key, &vary) };
        let header = Header {
            valid,
            updating: self.fresh.updating,
            error: self.fresh.error,
            last_modified: self.fresh.last_modified.filter(|_| whole).unwrap_or(-1),
            date: second,
            body_start,
            etag: if whole { std::mem::take(&mut self.fresh.etag) } else { Vec::new() },
            vary,
            variant,
        };
        let visit = self.place(request, &header)?;
        let mut saving = Saving::new(request, gateway, &self.cache, visit)?;
        saving.write(request, &header.encode(&self.key));
        saving.write(request, &record);
        saving.write(request, head);
        Some(saving)
    }

    /// The entry an answer is kept in: the key's own, unless it is the variant that was asked for.
    fn place(&mut self, request: &Request, header: &Header) -> Option<Visit> {
        let differs = self.variant.is_some_and(|asked| header.vary.is_empty() || asked != header.variant);
        if let Some(visit) = self.visit.take().filter(|_| !differs) {
            return Some(visit);
        }
        let log = &request.location.settings.error_log;
        let entered = self.cache.enter(self.key.digest, self.caching.min_uses, now(request), log);
        entered.ok().map(|(visit, _)| visit)
    }
}
