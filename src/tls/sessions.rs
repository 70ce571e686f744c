//! Resumption: session tickets and the stored sessions of a zone, both bound to the context that made them.
//!
//! OpenSSL compares a session's id context with the server's before it resumes. Here the context's id is part of every
//! ticket's key and of every stored session's name, so that a session made where no certificate was asked for, or where
//! another issuer was trusted, is none elsewhere (CVE-2025-23419).

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use aws_lc_rs::{digest, hmac, rand};
use hashbrown::HashMap;
use parking_lot::{Mutex, RwLock};
use rustls::pki_types::UnixTime;
use rustls::server::{ProducesTickets, StoresServerSessions};
use std::collections::VecDeque;
use std::fmt::{self, Debug};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// What a session is bound to: a hash over the server's certificates and everything that decides about clients.
///
/// Differs from nginx: a server that has other certificates, or judges clients otherwise, shakes hands anew; nginx resumes the session, and refuses the request where certificates are asked for. [test: sessions_do_not_pass_between_servers_that_ask_for_certificates]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ContextId([u8; 32]);

impl ContextId {
    /// The id of a context described by `parts`.
    pub fn new(parts: &[&[u8]]) -> Self {
        let mut hash = digest::Context::new(&digest::SHA256);
        for part in parts {
            hash.update(&(part.len() as u64).to_be_bytes());
            hash.update(part);
        }
        let mut id = [0; 32];
        id.copy_from_slice(hash.finish().as_ref());
        Self(id)
    }
}

/// A key of tickets.
struct TicketKey {
    name: [u8; 16],
    secret: hmac::Key,
    made: u64,
}

impl Debug for TicketKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TicketKey").field("made", &self.made).finish_non_exhaustive()
    }
}

const SALT: usize = 16;

impl TicketKey {
    /// The key in a file of `ssl_session_ticket_key`: a name, then secrets.
    fn from_file(bytes: &[u8]) -> Option<Self> {
        let (name, secret) = bytes.split_first_chunk::<16>()?;
        matches!(bytes.len(), 48 | 80).then(|| Self {
            name: *name,
            secret: hmac::Key::new(hmac::HMAC_SHA256, secret),
            made: 0,
        })
    }

    /// A new one; nothing without random numbers.
    fn random(now: u64) -> Option<Self> {
        let mut bytes = [0; 80];
        rand::fill(&mut bytes).ok()?;
        Self::from_file(&bytes).map(|key| Self { made: now, ..key })
    }

    /// The key of one ticket: no two tickets share one, however long a file stays in use.
    fn of_ticket(&self, salt: &[u8], context: &ContextId) -> Option<LessSafeKey> {
        let mut tag = hmac::Context::with_key(&self.secret);
        tag.update(salt);
        tag.update(&context.0);
        UnboundKey::new(&AES_256_GCM, tag.sign().as_ref()).ok().map(LessSafeKey::new)
    }

    /// name, salt, nonce, then the sealed text.
    fn seal(&self, context: &ContextId, text: &[u8]) -> Option<Vec<u8>> {
        let mut random = [0; SALT + NONCE_LEN];
        rand::fill(&mut random).ok()?;
        let (salt, nonce) = random.split_first_chunk::<SALT>()?;
        let key = self.of_ticket(salt, context)?;
        let mut sealed = text.to_vec();
        let nonce = Nonce::try_assume_unique_for_key(nonce).ok()?;
        key.seal_in_place_append_tag(nonce, Aad::from(self.name), &mut sealed).ok()?;
        Some([&self.name[..], &random, &sealed].concat())
    }

    /// The text behind the name.
    fn open(&self, context: &ContextId, ticket: &[u8]) -> Option<Vec<u8>> {
        let (salt, rest) = ticket.split_first_chunk::<SALT>()?;
        let (nonce, sealed) = rest.split_first_chunk::<NONCE_LEN>()?;
        let mut text = sealed.to_vec();
        let key = self.of_ticket(salt, context)?;
        let length = key.open_in_place(Nonce::from(nonce), Aad::from(self.name), &mut text).ok()?.len();
        text.truncate(length);
        Some(text)
    }
}

/// The keys of tickets, newest first: from files, or made here and replaced as they age.
#[derive(Debug, Default)]
pub struct TicketKeys {
    keys: RwLock<Vec<TicketKey>>,
    fixed: bool,
    /// The longest time a ticket of any context may be used, which keys outlive.
    longest: AtomicU64,
}

impl TicketKeys {
    /// The keys in files: the first encrypts, all decrypt. Nothing where a file has another size than 48 or 80 bytes.
    pub fn from_files(files: &[Vec<u8>]) -> Option<Self> {
        let keys = files.iter().map(|bytes| TicketKey::from_file(bytes)).collect::<Option<_>>()?;
        Some(Self { keys: RwLock::new(keys), fixed: true, longest: AtomicU64::new(0) })
    }

    fn seal(&self, now: u64, context: &ContextId, text: &[u8]) -> Option<Vec<u8>> {
        self.rotate(now);
        self.keys.read().first()?.seal(context, text)
    }

    fn open(&self, context: &ContextId, ticket: &[u8]) -> Option<Vec<u8>> {
        let (name, rest) = ticket.split_first_chunk::<16>()?;
        self.keys.read().iter().find(|key| key.name == *name)?.open(context, rest)
    }

    /// Makes a key when the newest has been in use for as long as a ticket may be, and drops those no ticket needs.
    fn rotate(&self, now: u64) {
        let period = self.longest.load(Ordering::Relaxed).max(1);
        let fresh = |keys: &[TicketKey]| keys.first().is_some_and(|key| now < key.made.saturating_add(period));
        if self.fixed || fresh(&self.keys.read()) {
            return;
        }
        let mut keys = self.keys.write();
        if fresh(&keys) {
            return;
        }
        if let Some(key) = TicketKey::random(now) {
            keys.insert(0, key);
        }
        keys.retain(|key| now <= key.made.saturating_add(period.saturating_mul(2)));
    }
}

/// Tickets of one context.
#[derive(Debug)]
pub struct Tickets {
    /// The keys.
    pub keys: Arc<TicketKeys>,
    /// What tickets are bound to.
    pub context: ContextId,
    /// How many seconds a ticket may be used.
    pub timeout: u32,
}

impl Tickets {
    /// Tickets of a context whose sessions live that long.
    pub fn new(keys: Arc<TicketKeys>, context: ContextId, timeout: u32) -> Self {
        keys.longest.fetch_max(u64::from(timeout), Ordering::Relaxed);
        Self { keys, context, timeout }
    }

    fn seal(&self, now: u64, plain: &[u8]) -> Option<Vec<u8>> {
        let ends = now.saturating_add(u64::from(self.timeout)).to_be_bytes();
        self.keys.seal(now, &self.context, &[&ends, plain].concat())
    }

    fn open(&self, now: u64, ticket: &[u8]) -> Option<Vec<u8>> {
        let text = self.keys.open(&self.context, ticket)?;
        let (ends, plain) = text.split_first_chunk::<8>()?;
        (now < u64::from_be_bytes(*ends)).then(|| plain.to_vec())
    }
}

impl ProducesTickets for Tickets {
    fn enabled(&self) -> bool {
        true
    }

    fn lifetime(&self) -> u32 {
        self.timeout
    }

    fn encrypt(&self, plain: &[u8]) -> Option<Vec<u8>> {
        self.seal(UnixTime::now().as_secs(), plain)
    }

    fn decrypt(&self, cipher: &[u8]) -> Option<Vec<u8>> {
        self.open(UnixTime::now().as_secs(), cipher)
    }
}

/// No tickets: `ssl_session_tickets off`.
#[derive(Debug)]
pub struct NoTickets;

impl ProducesTickets for NoTickets {
    fn enabled(&self) -> bool {
        false
    }

    fn lifetime(&self) -> u32 {
        0
    }

    fn encrypt(&self, _: &[u8]) -> Option<Vec<u8>> {
        None
    }

    fn decrypt(&self, _: &[u8]) -> Option<Vec<u8>> {
        None
    }
}

struct Session {
    value: Vec<u8>,
    ends: u64,
    /// Which entry of the queue is this session's.
    number: u64,
}

#[derive(Default)]
struct Sessions {
    by_name: HashMap<Box<[u8]>, Session>,
    /// Oldest first; entries of sessions that are gone or newer are skipped.
    queue: VecDeque<(u64, Box<[u8]>)>,
    used: usize,
    next: u64,
}

/// What a session takes beside its name and value.
const OVERHEAD: usize = 144;

impl Sessions {
    fn remove(&mut self, name: &[u8]) -> Option<Session> {
        let session = self.by_name.remove(name)?;
        self.used -= OVERHEAD + 2 * name.len() + session.value.len();
        Some(session)
    }

    /// Removes the oldest; false when there is none.
    fn drop_oldest(&mut self) -> bool {
        let Some((number, name)) = self.queue.pop_front() else { return false };
        if self.by_name.get(&name).is_some_and(|session| session.number == number) {
            self.remove(&name);
        }
        true
    }

    /// Removes entries of the queue whose session is gone or has ended.
    fn clean(&mut self, now: u64) {
        while let Some((number, name)) = self.queue.front() {
            let held = self.by_name.get(name).filter(|session| session.number == *number);
            if held.is_some_and(|session| now < session.ends) {
                break;
            }
            self.drop_oldest();
        }
    }
}

/// Stored sessions: bounded by bytes and number, the oldest goes first. Zones are kept over reloads with their ticket keys.
pub struct SessionZone {
    sessions: Mutex<Sessions>,
    bytes: usize,
    most: usize,
    /// The keys of tickets of the contexts that use the zone.
    pub tickets: Arc<TicketKeys>,
}

impl Debug for SessionZone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SessionZone").field("bytes", &self.bytes).finish_non_exhaustive()
    }
}

impl SessionZone {
    /// A zone of that many bytes and sessions.
    pub fn new(bytes: usize, most: usize) -> Self {
        Self { sessions: Mutex::default(), bytes, most, tickets: Arc::default() }
    }

    fn put(&self, now: u64, name: Vec<u8>, value: Vec<u8>, ends: u64) -> bool {
        let cost = OVERHEAD + 2 * name.len() + value.len();
        if cost > self.bytes || self.most == 0 {
            return false;
        }
        let mut sessions = self.sessions.lock();
        sessions.clean(now);
        sessions.remove(&name);
        while sessions.used + cost > self.bytes || sessions.by_name.len() >= self.most {
            if !sessions.drop_oldest() {
                break;
            }
        }
        if sessions.queue.len() > 2 * sessions.by_name.len() + 64 {
            let Sessions { by_name, queue, .. } = &mut *sessions;
            queue.retain(|(number, name)| by_name.get(name).is_some_and(|session| session.number == *number));
        }
        let number = sessions.next;
        sessions.next += 1;
        let name = name.into_boxed_slice();
        sessions.queue.push_back((number, name.clone()));
        sessions.by_name.insert(name, Session { value, ends, number });
        sessions.used += cost;
        true
    }

    fn get(&self, now: u64, name: &[u8], take: bool) -> Option<Vec<u8>> {
        let mut sessions = self.sessions.lock();
        if sessions.by_name.get(name)?.ends <= now {
            sessions.remove(name);
            return None;
        }
        if take {
            sessions.remove(name).map(|session| session.value)
        } else {
            Some(sessions.by_name.get(name)?.value.clone())
        }
    }

    /// How many sessions there are.
    #[cfg(test)]
    pub fn len(&self) -> usize {
        self.sessions.lock().by_name.len()
    }
}

/// What a context does with sessions.
#[derive(Clone, Debug)]
pub enum Store {
    /// `ssl_session_cache off`: clients are told that sessions cannot be resumed.
    Off,
    /// `ssl_session_cache none`: clients get an id, and nothing is stored.
    Pretend,
    /// Sessions are stored.
    Zone(Arc<SessionZone>),
}

/// The store of one context.
#[derive(Debug)]
pub struct ContextStore {
    /// Where sessions are.
    pub store: Store,
    /// What they are bound to.
    pub context: ContextId,
    /// How many seconds they may be resumed.
    pub timeout: u32,
}

impl ContextStore {
    fn name(&self, key: &[u8]) -> Vec<u8> {
        [&self.context.0, key].concat()
    }

    fn find(&self, key: &[u8], take: bool) -> Option<Vec<u8>> {
        match &self.store {
            Store::Zone(zone) => zone.get(UnixTime::now().as_secs(), &self.name(key), take),
            Store::Off | Store::Pretend => None,
        }
    }
}

impl StoresServerSessions for ContextStore {
    fn put(&self, key: Vec<u8>, value: Vec<u8>) -> bool {
        let Store::Zone(zone) = &self.store else { return false };
        let now = UnixTime::now().as_secs();
        zone.put(now, self.name(&key), value, now.saturating_add(u64::from(self.timeout)))
    }

    fn get(&self, key: &[u8]) -> Option<Vec<u8>> {
        self.find(key, false)
    }

    fn take(&self, key: &[u8]) -> Option<Vec<u8>> {
        self.find(key, true)
    }

    fn can_cache(&self) -> bool {
        !matches!(self.store, Store::Off)
    }
}

#[cfg(test)]
mod tests;
