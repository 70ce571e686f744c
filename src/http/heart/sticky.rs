//! `sticky`: which server a request's session belongs to, and the cookie that says so.

use crate::conf::tree::Word;
use crate::http::heart::module::Text;
use crate::http::heart::request::Request;
use crate::log::clock;
use crate::script::template::Template;
use crate::script::variable::Names;
use crate::upstream::sticky::{CookieText, Expires, KIND, StickyText, is_samesite};
use crate::zone::registry::Registry;
use crate::zone::table::{Oldest, Table};
use md5::{Digest as _, Md5};
use std::sync::Arc;

/// The `sticky` of a group.
pub struct Sticky {
    /// The first that is not empty names the server.
    lookups: Vec<Text>,
    cookie: Option<Cookie>,
    learn: Option<Learn>,
}

/// Sessions that servers begin.
struct Learn {
    sessions: Arc<Table<Session>>,
    /// The first that is not empty is the session a response begins or goes on with.
    creates: Vec<Text>,
    timeout: u64,
    header: bool,
}

/// A session that is remembered.
struct Session {
    /// The id of its server.
    server: Box<str>,
    /// When it was used last, in milliseconds.
    last: u64,
}

/// What a session takes in a zone beside its key, as 1m is said to hold 8,000.
const SESSION: usize = 112;

/// The session of a request that is passed on.
pub struct Passing {
    sticky: Arc<Sticky>,
    /// The session the request named; empty for none.
    id: Vec<u8>,
    /// The id of the server that answers.
    pub server: Box<str>,
}

/// The cookie clients are given.
struct Cookie {
    /// The name and `=`.
    start: Vec<u8>,
    expires: Option<Expires>,
    domain: Option<Text>,
    /// `httponly` and `secure`.
    flags: &'static [u8],
    samesite: Option<Text>,
    /// `; path=…`, or nothing.
    path: Vec<u8>,
}

impl Sticky {
    /// What a row asks for.
    ///
    /// # Errors
    /// A text that does not compile.
    pub fn new(text: &StickyText, variables: &mut Names<Request>, zones: &Registry) -> Result<Self, String> {
        match text {
            StickyText::Route(words) => {
                let lookups = words.iter().map(|word| Template::compile(&word.bytes, variables));
                Ok(Self { lookups: lookups.collect::<Result<_, _>>()?, cookie: None, learn: None })
            }
            StickyText::Cookie(text) => {
                let lookup = [b"$cookie_", &*text.name.bytes].concat();
                let lookups = vec![Template::compile(&lookup, variables)?];
                Ok(Self { lookups, cookie: Some(Cookie::new(text, variables)?), learn: None })
            }
            StickyText::Learn(text) => {
                let mut texts = |words: &[Word]| {
                    words.iter().map(|word| Template::compile(&word.bytes, variables)).collect::<Result<Vec<_>, _>>()
                };
                let (lookups, creates) = (texts(&text.lookups)?, texts(&text.creates)?);
                let sessions = zones.open(&text.zone, text.size, KIND, || Table::new(text.size, SESSION));
                let timeout = u64::try_from(text.timeout.as_millis()).unwrap_or(u64::MAX);
                let learn = Learn { sessions, creates, timeout, header: text.header };
                Ok(Self { lookups, cookie: None, learn: Some(learn) })
            }
        }
    }

    /// What a request says of its session; empty where it says nothing.
    pub fn id(&self, request: &Request) -> Vec<u8> {
        first(&self.lookups, request)
    }

    /// The id of the server of a session; empty where none is known.
    pub fn server(&self, id: &[u8], request: &Request) -> Vec<u8> {
        let Some(learn) = &self.learn else { return id.to_vec() };
        let now = now(request);
        let mut server = Vec::new();
        learn.sessions.release(&key(id), |session| {
            let is_old = learn.is_old(session, now);
            if !is_old {
                server.extend_from_slice(session.server.as_bytes());
            }
            is_old
        });
        server
    }

    /// A request's session on its way to a server.
    pub fn passing(self: &Arc<Self>, id: &[u8], server: &str) -> Passing {
        Passing { sticky: self.clone(), id: id.to_vec(), server: server.into() }
    }

    /// Gives the client the cookie of the server that is asked; of those of several attempts the last counts.
    pub fn mark(&self, request: &mut Request, id: &str, is_marked: bool) {
        let Some(cookie) = &self.cookie else { return };
        let value = cookie.value(request, id);
        if is_marked {
            request.response.headers.replace(b"Set-Cookie", &value);
        } else {
            request.response.headers.add(b"Set-Cookie", &value);
        }
    }
}

impl Passing {
    /// Remembers the session, with the response's head or at its end.
    pub fn learn(&self, request: &Request, with_head: bool) {
        let Some(learn) = self.sticky.learn.as_ref().filter(|learn| learn.header == with_head) else { return };
        let begun = first(&learn.creates, request);
        let key = match (begun.as_slice(), self.id.as_slice()) {
            ([], []) => return,
            ([], id) => {
                let key = key(id);
                let mut is_known = false;
                learn.sessions.release(&key, |_| {
                    is_known = true;
                    false
                });
                if !is_known {
                    return;
                }
                key
            }
            (begun, _) => key(begun),
        };
        let now = now(request);
        let judge = |lacks_room: bool, removed: usize, session: &Session| {
            let goes = learn.is_old(session, now) || lacks_room && removed == 0;
            if goes { Oldest::Remove } else { Oldest::Keep }
        };
        let make = || Session { server: self.server.clone(), last: now };
        let update = |session: &mut Session| {
            session.server.clone_from(&self.server);
            session.last = now;
        };
        // A zone has room for hundreds of sessions: one that was removed makes room for another.
        let _ = learn.sessions.update_evicting(&key, judge, make, update);
    }
}

impl Learn {
    const fn is_old(&self, session: &Session, now: u64) -> bool {
        now.saturating_sub(session.last) >= self.timeout
    }
}

fn first(texts: &[Text], request: &Request) -> Vec<u8> {
    texts.iter().map(|text| text.text(request)).find(|id| !id.is_empty()).unwrap_or_default()
}

fn key(id: &[u8]) -> [u8; 16] {
    Md5::digest(id).into()
}

fn now(request: &Request) -> u64 {
    u64::try_from(request.event_loop().clock.now().as_millis()).unwrap_or(u64::MAX)
}

impl Cookie {
    fn new(text: &CookieText, variables: &mut Names<Request>) -> Result<Self, String> {
        let domain = text.domain.as_ref().map(|word| Template::compile(&word.bytes, variables)).transpose()?;
        let samesite = text.samesite.as_ref().map(|word| Template::compile(&word.bytes, variables)).transpose()?;
        let path = text.path.as_ref().map(|word| [b"; path=", &*word.bytes].concat()).unwrap_or_default();
        let flags: &[u8] = match (text.httponly, text.secure) {
            (true, true) => b"; httponly; secure",
            (true, false) => b"; httponly",
            (false, true) => b"; secure",
            (false, false) => b"",
        };
        let start = [&*text.name.bytes, b"="].concat();
        Ok(Self { start, expires: text.expires, domain, flags, samesite, path })
    }

    fn value(&self, request: &Request, id: &str) -> Vec<u8> {
        let mut out = [&self.start, id.as_bytes()].concat();
        match self.expires {
            None => {}
            Some(Expires::Max) => {
                out.extend_from_slice(b"; expires=Thu, 31-Dec-37 23:55:55 GMT; max-age=315360000");
            }
            Some(Expires::After(seconds)) => {
                let now = request.event_loop().clock.now().as_secs();
                let date = clock::cookie_date(now.saturating_add(seconds) as i64);
                out.extend_from_slice(format!("; expires={date}; max-age={seconds}").as_bytes());
            }
        }
        let domain = self.domain.as_ref().map(|text| text.text(request)).unwrap_or_default();
        if !domain.is_empty() {
            out.extend_from_slice(b"; domain=");
            out.extend_from_slice(&domain);
        }
        out.extend_from_slice(self.flags);
        let samesite = self.samesite.as_ref().map(|text| text.text(request)).unwrap_or_default();
        if !samesite.is_empty() {
            out.extend_from_slice(b"; samesite=");
            out.extend_from_slice(if is_samesite(&samesite) { &samesite } else { b"strict" });
        }
        out.extend_from_slice(&self.path);
        out
    }
}
