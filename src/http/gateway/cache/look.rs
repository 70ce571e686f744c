//! Asking a cache before a server is asked, and giving what it has.

use super::fetch::Fetch;
use super::settings::Caching;
use crate::http::codec::cached::{Header, Key, Unusable};
use crate::http::codec::fastcgi::Records;
use crate::http::codec::h1::Method;
use crate::http::gateway::conf::{Dialect, Gateway, next};
use crate::http::gateway::engine::Engine;
use crate::http::gateway::protocol::{Protocol, Target};
use crate::http::gateway::upstream_response::{self, UpstreamResponse};
use crate::http::heart::handler::Flow;
use crate::http::heart::request::Request;
use crate::http::heart::response::Content;
use crate::log::Level;
use crate::log::clock::http_date;
use crate::net::event_loop;
use crate::net::open_file::Opened;
use crate::zone::cache::{Cache, Found, Visit, files};
use std::future::poll_fn;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Instant;
use tokio::sync::Notify;

/// `$upstream_cache_status`.
pub mod status {
    /// It is not in the cache.
    pub const MISS: &str = "MISS";
    /// The cache was not asked.
    pub const BYPASS: &str = "BYPASS";
    /// It is too old.
    pub const EXPIRED: &str = "EXPIRED";
    /// It is too old and given all the same.
    pub const STALE: &str = "STALE";
    /// The same, while another request fetches it.
    pub const UPDATING: &str = "UPDATING";
    /// It was too old, and has not changed.
    pub const REVALIDATED: &str = "REVALIDATED";
    /// It is given.
    pub const HIT: &str = "HIT";
}

/// An answer in a cache.
pub struct Stored {
    file: Rc<Opened>,
    /// Its name.
    pub path: String,
    /// What its file tells of it.
    pub header: Header,
    head: Vec<u8>,
}

/// What came of asking a cache.
pub enum Looked {
    /// The request is answered.
    Answered(Flow<'static>),
    /// A server is asked; and what becomes of the answer, where a cache takes part in it.
    Asks(Option<Box<Fetch>>),
}

/// What opening the file of an entry came to.
enum Open {
    /// The answer, whose file had not been known.
    Here(Box<Stored>),
    /// There is none.
    Absent,
    /// The file is not used.
    Unusable,
    /// Another file has the answer to a request with these headers.
    Elsewhere([u8; 16]),
}

/// One request and the cache it asks.
struct Look<'a> {
    caching: &'a Arc<Caching>,
    gateway: &'a Gateway,
    cache: Arc<Cache>,
    key: Key,
    /// Whose headers an answer depends on, once that is known.
    variant: Option<[u8; 16]>,
    /// When waiting for another request ends.
    deadline: Option<Instant>,
}

/// Asks the cache of a place.
///
/// # Errors
/// The status to answer with.
pub async fn look<P: Protocol>(engine: &Engine<P>, request: &mut Request, target: &Target) -> Result<Looked, u16> {
    let Some(caching) = engine.caching.as_ref().filter(|caching| caching.takes(request.method)) else {
        return Ok(Looked::Asks(None));
    };
    let Some(cache) = caching.cache(request)? else { return Ok(Looked::Asks(None)) };
    request.attempts.cache.as_get = request.method == Method::Head && caching.convert_head;
    let text = match &caching.key {
        Some(key) => key.text(request),
        None => engine.protocol.cache_key(target),
    };
    let key = Key::new(text);
    let (needed, size) = (key.head_start() + 256, engine.gateway.buffer_size);
    if needed > size {
        let (prefix, least) = (caching.prefix, needed.next_multiple_of(1024));
        let text = format!(
            "{prefix}_buffer_size {size} is not enough for cache key, it should be increased to at least {least}"
        );
        request.log(Level::Error, &text);
        return Ok(Looked::Asks(None));
    }
    request.attempts.cache.keeps = true;
    if caching.bypasses(request) {
        request.attempts.cache.status = status::BYPASS;
        let fetch = Fetch::new(caching.clone(), cache, key, None);
        return Ok(Looked::Asks(Some(Box::new(fetch))));
    }
    request.attempts.cache.status = status::MISS;
    let mut look = Look { caching, gateway: &engine.gateway, cache, key, variant: None, deadline: None };
    look.run(engine, request).await
}

/// What the next step of a look is.
enum Step {
    Again,
    /// A server is asked, and the answer not kept.
    Past,
    /// A server is asked.
    Fetch(Visit),
    Have(Visit, Box<Stored>),
}

impl Look<'_> {
    async fn run<P: Protocol>(&mut self, engine: &Engine<P>, request: &mut Request) -> Result<Looked, u16> {
        loop {
            match self.step(request).await? {
                Step::Again => {}
                Step::Past => {
                    request.attempts.cache.keeps = false;
                    return Ok(Looked::Asks(None));
                }
                Step::Fetch(visit) => return Ok(self.asks(request, visit, None)),
                Step::Have(visit, stored) => return self.judge(engine, request, visit, stored),
            }
        }
    }

    fn asks(&self, request: &mut Request, visit: Visit, stale: Option<Box<Stored>>) -> Looked {
        let mut fetch = Fetch::new(self.caching.clone(), self.cache.clone(), self.key.clone(), Some(visit));
        fetch.variant = self.variant;
        fetch.stale = stale;
        Looked::Asks(Some(Box::new(fetch.within_range(request))))
    }

    /// Asks for the entry once, and waits while another request fetches its response.
    async fn step(&mut self, request: &mut Request) -> Result<Step, u16> {
        let digest = self.variant.unwrap_or(self.key.digest);
        let now = now(request);
        let log = &request.location.settings.error_log;
        let entered = self.cache.enter(digest, self.caching.min_uses, now, log);
        let (visit, found) = entered.map_err(|_| 500_u16)?;
        let opens = match found {
            Found::Failed(failed) => {
                request.attempts.cache.status = status::HIT;
                return Err(failed);
            }
            Found::Scarce => return Ok(Step::Past),
            Found::Known { exists } => exists,
            Found::New => self.cache.is_cold(),
        };
        if opens {
            match self.open(request, &visit)? {
                Open::Here(stored) => return Ok(Step::Have(visit, stored)),
                Open::Unusable => return Ok(Step::Fetch(visit)),
                Open::Elsewhere(variant) => {
                    self.variant = Some(variant);
                    return Ok(Step::Again);
                }
                Open::Absent => {}
            }
        }
        if found == Found::New && self.caching.min_uses > 1 {
            return Ok(Step::Past);
        }
        self.lock(request, visit, now.0).await
    }

    /// Takes the lock of an entry whose answer is not there, or waits for who has it.
    async fn lock(&mut self, request: &mut Request, mut visit: Visit, now: Instant) -> Result<Step, u16> {
        let Some((age, timeout)) = self.caching.lock else { return Ok(Step::Fetch(visit)) };
        let Some(unlocked) = visit.lock(now, age) else { return Ok(Step::Fetch(visit)) };
        let deadline = *self.deadline.get_or_insert(now + timeout);
        if deadline <= now {
            return Ok(Step::Past);
        }
        let changed = wait(request, &visit, &unlocked, deadline).await?;
        if !changed {
            request.log(Level::Info, "cache lock timeout");
        }
        Ok(Step::Again)
    }

    /// Opens the file of an entry.
    fn open(&self, request: &Request, visit: &Visit) -> Result<Open, u16> {
        let path = visit.path();
        let opened = match Opened::open(path.as_bytes()) {
            Ok(opened) => Rc::new(opened),
            Err(error) if matches!(error.raw_os_error(), Some(libc::ENOENT | libc::ENOTDIR)) => {
                return Ok(Open::Absent);
            }
            Err(error) => {
                let text = crate::conf::walk::errno(&error);
                request.log(Level::Crit, &format!("open() \"{path}\" failed ({text})"));
                return Err(500);
            }
        };
        let most = self.gateway.buffer_size;
        let mut bytes = vec![0; most];
        let read = read(&opened, &mut bytes).map_err(|error| {
            let text = crate::conf::walk::errno(&error);
            request.log(Level::Crit, &format!("pread() \"{path}\" failed ({text})"));
            500_u16
        })?;
        bytes.truncate(read);
        let complain = |level: Level, what: &str| {
            request.log(level, &format!("cache file \"{path}\" {what}"));
            Ok(Open::Unusable)
        };
        let header = match Header::decode(&bytes, &self.key, most) {
            Ok(header) => header,
            Err(Unusable::Version) => return complain(Level::Info, Unusable::Version.text()),
            Err(unusable) => return complain(Level::Crit, unusable.text()),
        };
        if !header.vary.is_empty() {
            let variant = variant(request, &self.key, &header.vary);
            if variant != header.variant {
                if self.variant.is_some() {
                    return complain(Level::Crit, "has incorrect vary hash");
                }
                return Ok(Open::Elsewhere(variant));
            }
        }
        if self.cache.is_cold() {
            let block = files::block_size(&self.cache.settings.folder);
            visit.found(files::blocks(&opened.about, block));
        }
        let mut head = bytes.get(self.key.head_start()..usize::from(header.body_start)).unwrap_or_default().to_vec();
        if self.gateway.dialect == Dialect::FastCgi {
            // It is kept as it came, in records; without them where they cannot be.
            let found = Records::default().take(&mut head).unwrap_or_default();
            head.truncate(found.answer);
        }
        Ok(Open::Here(Box::new(Stored { file: opened, path, header, head })))
    }

    /// Whether an answer is given, as it is or while it is fetched anew.
    fn judge<P: Protocol>(
        &self,
        engine: &Engine<P>,
        request: &mut Request,
        mut visit: Visit,
        stored: Box<Stored>,
    ) -> Result<Looked, u16> {
        let (now, second) = now(request);
        let header = &stored.header;
        if header.valid >= second {
            return self.give(engine, request, (visit, stored), status::HIT);
        }
        let background = request.attempts.cache.background;
        let tolerated = self.caching.use_stale & next::UPDATING != 0 || header.is_within(header.updating, second);
        let renews = visit.renew(now);
        if tolerated && !background && !renews {
            return self.give(engine, request, (visit, stored), status::UPDATING);
        }
        if tolerated && !background && self.caching.background {
            update_later(request, visit);
            let visit = None;
            return self.give_with(engine, request, (visit, stored), status::STALE);
        }
        request.attempts.cache.status = status::EXPIRED;
        if self.caching.revalidate {
            request.attempts.cache.last_modified = Some(header.last_modified).filter(|time| *time != -1);
            request.attempts.cache.etag.clone_from(&header.etag);
        }
        Ok(self.asks(request, visit, Some(stored)))
    }

    fn give<P: Protocol>(
        &self,
        engine: &Engine<P>,
        request: &mut Request,
        (visit, stored): (Visit, Box<Stored>),
        status: &'static str,
    ) -> Result<Looked, u16> {
        self.give_with(engine, request, (Some(visit), stored), status)
    }

    /// Gives an answer; where its head cannot be read a server is asked.
    fn give_with<P: Protocol>(
        &self,
        engine: &Engine<P>,
        request: &mut Request,
        (visit, stored): (Option<Visit>, Box<Stored>),
        given: &'static str,
    ) -> Result<Looked, u16> {
        request.attempts.cache.status = given;
        if let Some(flow) = stored.give(engine, request) {
            return Ok(Looked::Answered(flow));
        }
        request.attempts.cache.status = status::MISS;
        Ok(match visit {
            Some(visit) => self.asks(request, visit, None),
            None => Looked::Asks(None),
        })
    }
}

/// The loop's moment, and the second since 1970.
pub fn now(request: &Request) -> (Instant, i64) {
    let clock = &request.event_loop().clock;
    (clock.instant(), i64::try_from(clock.now().as_secs()).unwrap_or(i64::MAX))
}

/// The digest of an answer that depends on the headers `vary` names.
pub fn variant(request: &Request, key: &Key, vary: &[u8]) -> [u8; 16] {
    key.variant(vary, |wanted| {
        let same = |name: &[u8]| name.eq_ignore_ascii_case(wanted);
        request.head.iter().filter(|(name, ..)| same(name)).map(|(_, value, _)| value).collect()
    })
}

fn read(opened: &Opened, bytes: &mut [u8]) -> io::Result<usize> {
    let mut at = 0;
    while let Some(room) = bytes.get_mut(at..).filter(|room| !room.is_empty()) {
        match opened.file.read_at(room, at as u64) {
            Ok(0) => break,
            Ok(count) => at += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(at)
}

/// Waits until another request has given up the lock of an entry, or held it for too long; false after `deadline`.
async fn wait(request: &mut Request, visit: &Visit, unlocked: &Notify, deadline: Instant) -> Result<bool, u16> {
    let mut notified = std::pin::pin!(unlocked.notified());
    notified.as_mut().enable();
    let now = Instant::now();
    let Some(left) = visit.locked(now) else { return Ok(true) };
    let rest = deadline.saturating_duration_since(now);
    let mut timer = std::pin::pin!(tokio::time::sleep(left.min(rest)));
    let gone = poll_fn(|cx| {
        use std::task::Poll;
        if notified.as_mut().poll(cx).is_ready() || timer.as_mut().poll(cx).is_ready() {
            return Poll::Ready(false);
        }
        request.poll_gone(cx).map(|()| true)
    })
    .await;
    if gone {
        request.log(Level::Info, "client prematurely closed connection");
        request.response.broken = true;
        return Err(499);
    }
    Ok(rest > left || Instant::now() < deadline)
}

/// Fetches an answer anew while the old one is given; the lock is held until then.
///
/// Differs from nginx: the next request of a connection does not wait for it. [test: an_update_in_the_background_holds_nobody_up]
fn update_later(request: &Request, visit: Visit) {
    let Some(handler) = request.location.content.clone() else { return };
    let mut copy = request.repeated();
    copy.attempts.cache.background = true;
    event_loop::spawn(async move {
        let _visit = visit;
        let _ = handler.run(&mut copy).settled().await;
    });
}

impl Stored {
    /// Makes it the response; nothing where its head cannot be read, which is logged.
    pub fn give<P: Protocol>(&self, engine: &Engine<P>, request: &mut Request) -> Option<Flow<'static>> {
        let gateway = &engine.gateway;
        let bytes = &*self.head;
        let reply = match upstream_response::parse(request, gateway.dialect, b"GET ", bytes) {
            Ok(Some(reply)) if reply.head > 0 => reply,
            _ => {
                request.log(Level::Crit, &format!("cache file \"{}\" contains invalid header", self.path));
                return None;
            }
        };
        if request.site.kept.upstream {
            upstream_response::keep(request, bytes, &reply);
        }
        if let Some(flow) = upstream_response::redirect(request, gateway, bytes, &reply) {
            return Some(flow);
        }
        upstream_response::head(request, gateway, &engine.protocol, bytes, &reply);
        let fresh = self.fresh(request, gateway, &reply, self.header.valid);
        ranges(request, gateway, !fresh.refused, true);
        request.response.unconditional = fresh.refused;
        let (start, end) = (u64::from(self.header.body_start), self.file.about.len());
        request.response.content = if start < end {
            Content::File(self.file.clone(), vec![(Vec::new(), start..end)], Vec::new())
        } else {
            Content::None
        };
        Some(Flow::Done)
    }

    fn fresh(&self, request: &Request, gateway: &Gateway, reply: &UpstreamResponse, valid: i64) -> super::fresh::Fresh {
        super::fresh::Fresh::new(reply.named(&self.head), gateway.ignore_headers, valid, now(request).1)
    }

    /// What the headers of the answer say, read anew.
    pub fn reread(&self, request: &Request, gateway: &Gateway) -> Option<super::fresh::Fresh> {
        let reply = upstream_response::parse(request, gateway.dialect, b"GET ", &self.head).ok().flatten()?;
        Some(self.fresh(request, gateway, &reply, 0))
    }

    /// The status of the answer.
    pub fn status(&self, request: &Request, gateway: &Gateway) -> u16 {
        let reply = upstream_response::parse(request, gateway.dialect, b"GET ", &self.head).ok().flatten();
        reply.map_or(0, |reply| reply.status)
    }

    /// The file's inode and length, by which it is recognized.
    pub fn identity(&self) -> (u64, u64) {
        use std::os::unix::fs::MetadataExt as _;
        (self.file.about.ino(), self.file.about.len())
    }
}

/// Whether ranges of an answer may be asked for: always with `*_force_ranges`, else where the server allows it and the whole
/// is in a cache or being written into one.
pub fn ranges(request: &mut Request, gateway: &Gateway, kept: bool, stored: bool) {
    let allowed = request.response.header(b"Accept-Ranges").is_some();
    if gateway.force_ranges || allowed && (kept || stored) {
        request.response.headers.remove(b"Accept-Ranges");
        request.response.ranges = true;
        request.response.single_range = !stored;
    }
}

/// The getter of `$upstream_cache_last_modified`.
pub fn last_modified(request: &Request, _: u32, out: &mut Vec<u8>) -> bool {
    let asked = request.attempts.cache.last_modified.filter(|_| request.attempts.cache.status == status::EXPIRED);
    out.extend_from_slice(asked.map(http_date).unwrap_or_default().as_bytes());
    asked.is_some()
}

/// The getter of `$upstream_cache_etag`.
pub fn etag(request: &Request, _: u32, out: &mut Vec<u8>) -> bool {
    let cache = &request.attempts.cache;
    let asked = cache.status == status::EXPIRED && !cache.etag.is_empty();
    out.extend_from_slice(if asked { &cache.etag } else { b"" });
    asked
}
