//! Which names are known, asked for and waited for: time and responses are arguments, queries and answers go to a [`Link`].
//!
//! One query is in flight for a name, however many wait. A query is repeated to the next server after five seconds. Known
//! names are kept for thirty seconds after their last use, so that memory is bounded in time.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use super::Unknown;
use crate::net::dns::{self, Code, Kind, Response, Service};
use hashbrown::HashMap;
use slab::Slab;
use std::collections::{BTreeSet, VecDeque};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::rc::Rc;
use std::time::Duration;

/// Time between two queries for a name (nginx's number).
const RESEND: Duration = Duration::from_secs(5);
/// How long a known name is kept after its last use (nginx's number).
const KEEP: Duration = Duration::from_secs(30);
/// Time between two looks at what is not kept any more.
const SWEEP: Duration = Duration::from_secs(10);
/// Seconds for which a name without an answer counts as unknown (nginx's number).
const UNKNOWN: u64 = 10;
/// Aliases followed at most (nginx's number).
const ALIASES: u8 = 50;

/// What a machine needs of its surroundings.
pub trait Link {
    /// Sends a query to a server; whether that was possible.
    fn send(&mut self, server: usize, tcp: bool, query: &[u8]) -> bool;
    /// Ends the wait of a waiter.
    fn answer(&mut self, waiter: usize, answer: Result<Answer, Unknown>);
    /// Logs an error.
    fn log(&mut self, text: &str);
    /// An unpredictable number.
    fn random(&mut self) -> u32;
}

/// What is known of a name.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The records.
    pub records: Records,
    /// The second until which they hold.
    pub valid: u64,
}

/// The records of a name.
#[derive(Clone, Debug)]
pub enum Records {
    /// Addresses, in the order they are to be used.
    Addresses(Rc<[IpAddr]>),
    /// Servers of a service.
    Services(Rc<[Service]>),
}

/// What is looked up.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Key {
    /// Whether it is a service.
    pub service: bool,
    /// The name, in lower case and without a final dot.
    pub name: Vec<u8>,
}

/// How a machine asks.
#[derive(Clone, Copy, Debug)]
pub struct Rules {
    /// How many servers there are.
    pub servers: usize,
    /// Seconds for which answers hold; 0 for as long as they say.
    pub valid: u64,
    /// Whether IPv4 addresses are asked for.
    pub ipv4: bool,
    /// Whether IPv6 addresses are asked for.
    pub ipv6: bool,
}

/// A query in flight.
struct Query {
    kind: Kind,
    message: Vec<u8>,
    tcp: bool,
    answered: bool,
}

impl Query {
    fn id(&self) -> Option<u16> {
        self.message.get(..2)?.try_into().ok().map(u16::from_be_bytes)
    }
}

/// A name that is asked for.
struct Pending {
    queries: Vec<Query>,
    waiting: BTreeSet<usize>,
    server: usize,
    resend: Duration,
    code: u16,
    ttl: u32,
    four: Vec<Ipv4Addr>,
    six: Vec<Ipv6Addr>,
}

impl Pending {
    fn send(&self, link: &mut dyn Link) -> bool {
        let mut unanswered = self.queries.iter().filter(|query| !query.answered);
        unanswered.all(|query| link.send(self.server, query.tcp, &query.message))
    }

    fn is_answered(&self) -> bool {
        self.queries.iter().all(|query| query.answered)
    }
}

/// A name with an answer.
struct Known {
    found: Found,
    valid: u64,
    keep: Duration,
}

#[derive(Clone)]
enum Found {
    Addresses(Rc<[Ipv4Addr]>, Rc<[Ipv6Addr]>),
    Services(Rc<[Service]>),
    Alias(Vec<u8>),
}

enum Node {
    Pending(Pending),
    Known(Known),
}

struct Waiter {
    key: Key,
    aliases: u8,
}

/// The names of one resolver.
pub struct Machine {
    rules: Rules,
    nodes: HashMap<Key, Node>,
    waiters: Slab<Waiter>,
    resends: VecDeque<(Duration, Key)>,
    server: usize,
    sweep: Duration,
}

impl Machine {
    /// A machine that knows nothing.
    pub fn new(rules: Rules) -> Self {
        let nodes = HashMap::new();
        Self { rules, nodes, waiters: Slab::new(), resends: VecDeque::new(), server: 0, sweep: Duration::ZERO }
    }

    /// Looks up a name; the answer comes through `link`, at once where it is known. The waiter's number is in use until
    /// [`Self::cancel`].
    pub fn ask(&mut self, key: Key, now: Duration, link: &mut dyn Link) -> usize {
        let waiter = self.waiters.insert(Waiter { key: key.clone(), aliases: 0 });
        self.look_up(BTreeSet::from([waiter]), key, now, link);
        waiter
    }

    /// Ends the use of a waiter, answered or not.
    pub fn cancel(&mut self, waiter: usize) {
        if let Some(Waiter { key, .. }) = self.waiters.try_remove(waiter)
            && let Some(Node::Pending(pending)) = self.nodes.get_mut(&key)
        {
            pending.waiting.remove(&waiter);
        }
    }

    /// Whether nothing is known or asked for.
    #[cfg(test)]
    pub fn is_empty(&self) -> bool {
        self.nodes.is_empty()
    }

    /// Does what is due, and says when something is due next; nothing where no name is known or asked for.
    pub fn tick(&mut self, now: Duration, link: &mut dyn Link) -> Option<Duration> {
        while self.resends.front().is_some_and(|(at, _)| *at <= now) {
            let Some((_, key)) = self.resends.pop_front() else { break };
            let Some(Node::Pending(pending)) = self.nodes.get_mut(&key) else { continue };
            if pending.resend > now {
                continue;
            }
            if pending.waiting.is_empty() {
                self.nodes.remove(&key);
                continue;
            }
            pending.server = (pending.server + 1) % self.rules.servers.max(1);
            pending.send(link);
            pending.resend = now + RESEND;
            self.resends.push_back((pending.resend, key));
        }
        if self.sweep <= now {
            self.sweep = now + SWEEP;
            self.nodes.retain(|_, node| match node {
                Node::Pending(_) => true,
                Node::Known(known) => known.keep >= now,
            });
            self.nodes.shrink_to(self.nodes.len() * 2);
        }
        let resend = self.resends.front().map_or(self.sweep, |(at, _)| (*at).min(self.sweep));
        (!self.nodes.is_empty()).then_some(resend)
    }

    fn look_up(&mut self, mut waiting: BTreeSet<usize>, mut key: Key, now: Duration, link: &mut dyn Link) {
        loop {
            match self.nodes.get_mut(&key) {
                Some(Node::Known(known)) if known.valid >= now.as_secs() => {
                    known.keep = now + KEEP;
                    let (found, valid) = (known.found.clone(), known.valid);
                    let Found::Alias(name) = found else {
                        let records = records(&found, Some(&mut || link.random()));
                        return self.finish(&waiting, &Ok(Answer { records, valid }), link);
                    };
                    key = Key { service: key.service, name };
                    waiting = self.follow(waiting, link);
                }
                Some(Node::Pending(pending)) if !pending.waiting.is_empty() => {
                    pending.waiting.extend(&waiting);
                    return self.moved(&waiting, &key);
                }
                _ => return self.query(waiting, key, now, link),
            }
            if waiting.is_empty() {
                return;
            }
        }
    }

    /// Counts an alias for those who follow it; those who followed too many are told that there is no such name.
    fn follow(&mut self, waiting: BTreeSet<usize>, link: &mut dyn Link) -> BTreeSet<usize> {
        let (mut going, mut lost) = (BTreeSet::new(), BTreeSet::new());
        for waiter in waiting {
            let Some(known) = self.waiters.get_mut(waiter) else { continue };
            known.aliases = known.aliases.saturating_add(1);
            if known.aliases > ALIASES { &mut lost } else { &mut going }.insert(waiter);
        }
        self.finish(&lost, &Err(self.unknown(Code::NOT_FOUND)), link);
        going
    }

    fn moved(&mut self, waiting: &BTreeSet<usize>, key: &Key) {
        for waiter in waiting {
            if let Some(known) = self.waiters.get_mut(*waiter) {
                known.key.clone_from(key);
            }
        }
    }

    fn query(&mut self, waiting: BTreeSet<usize>, key: Key, now: Duration, link: &mut dyn Link) {
        let kinds: &[Kind] = match (key.service, self.rules.ipv4, self.rules.ipv6) {
            (true, ..) => &[Kind::Srv],
            (false, true, false) => &[Kind::A],
            (false, false, true) => &[Kind::Aaaa],
            (false, ..) => &[Kind::A, Kind::Aaaa],
        };
        let mut queries = Vec::with_capacity(kinds.len());
        for kind in kinds {
            let Some(message) = dns::query(link.random() as u16, *kind, &key.name) else {
                self.nodes.remove(&key);
                return self.finish(&waiting, &Err(self.unknown(Code::NOT_FOUND)), link);
            };
            queries.push(Query { kind: *kind, message, tcp: false, answered: false });
        }
        self.moved(&waiting, &key);
        let servers = self.rules.servers.max(1);
        let server = self.server % servers;
        self.server = (server + 1) % servers;
        let (four, six) = (Vec::new(), Vec::new());
        let resend = now + RESEND;
        let mut pending = Pending { queries, waiting, server, resend, code: 0, ttl: u32::MAX, four, six };
        if !pending.send(link) {
            pending.server = (server + 1) % servers;
            pending.send(link);
        }
        self.resends.push_back((pending.resend, key.clone()));
        self.nodes.insert(key, Node::Pending(pending));
    }

    /// Ends waits.
    fn finish(&mut self, waiting: &BTreeSet<usize>, answer: &Result<Answer, Unknown>, link: &mut dyn Link) {
        for waiter in waiting {
            if self.waiters.contains(*waiter) {
                link.answer(*waiter, answer.clone());
            }
        }
    }

    fn unknown(&self, code: Code) -> Unknown {
        let seconds = if self.rules.valid > 0 { self.rules.valid } else { UNKNOWN };
        Unknown { code, holds: Duration::from_secs(seconds) }
    }

    /// Takes a message that came from a server.
    pub fn receive(&mut self, message: &[u8], tcp: bool, now: Duration, link: &mut dyn Link) {
        match Response::parse(message, tcp) {
            Ok(response) => self.response(&response, now, link),
            Err(fault) => {
                let name = match &fault {
                    dns::Fault::Code(Code::FORMAT_ERROR, id) => self.name_of(*id),
                    _ => None,
                };
                let name = name.map(|name| format!(", name:\"{}\"", crate::conf::bytes::text(name)));
                link.log(&format!("{fault}{}", name.unwrap_or_default()));
            }
        }
    }

    /// The name that is asked for with this id.
    fn name_of(&self, id: u16) -> Option<&[u8]> {
        let named = self.nodes.iter().filter(|(key, _)| !key.service);
        let mut pending = named.filter_map(|(key, node)| match node {
            Node::Pending(pending) => Some((key, pending)),
            Node::Known(_) => None,
        });
        let asked = pending.find(|(_, pending)| pending.queries.iter().any(|query| query.id() == Some(id)));
        asked.map(|(key, _)| &*key.name)
    }

    fn response(&mut self, response: &Response<'_>, now: Duration, link: &mut dyn Link) {
        let key = Key { service: response.kind == Kind::Srv, name: response.name.clone() };
        let shown = crate::conf::bytes::text(&key.name).into_owned();
        let pending = match self.nodes.get_mut(&key) {
            Some(Node::Pending(pending)) => Some(pending),
            _ => None,
        };
        let found = pending.and_then(|pending| {
            let at = pending.queries.iter().position(|query| query.kind == response.kind && !query.answered)?;
            Some((pending, at))
        });
        let Some((pending, at)) = found else {
            return link.log(&format!("unexpected DNS response for {shown}"));
        };
        let Some(query) = pending.queries.get_mut(at) else { return };
        if response.truncated && query.tcp {
            return;
        }
        let id = query.id().unwrap_or_default();
        if response.id != id {
            let text = format!("wrong ident {} in DNS response for {shown}, expect {id}", response.id);
            return link.log(&text);
        }
        if response.truncated {
            if pending.waiting.is_empty() {
                self.nodes.remove(&key);
                return;
            }
            query.tcp = true;
            link.send(pending.server, true, &query.message);
            pending.resend = now + RESEND;
            self.resends.push_back((pending.resend, key));
            return;
        }
        let code = if response.code == 0 { pending.code } else { response.code };
        if code != 0 || response.count == 0 {
            query.answered = true;
            return self.empty(key, code, now, link);
        }
        self.records(key, at, response, now, link);
    }

    /// A response without records, or with a code.
    fn empty(&mut self, key: Key, code: u16, now: Duration, link: &mut dyn Link) {
        let Some(Node::Pending(pending)) = self.nodes.get_mut(&key) else { return };
        if !pending.is_answered() {
            pending.code = code;
            return;
        }
        if code == 0 && !(pending.four.is_empty() && pending.six.is_empty()) {
            return self.known(key, None, now, link);
        }
        let code = if code == 0 { Code::NOT_FOUND } else { Code(code) };
        let waiting = std::mem::take(&mut pending.waiting);
        self.nodes.remove(&key);
        self.finish(&waiting, &Err(self.unknown(code)), link);
    }

    fn records(&mut self, key: Key, at: usize, response: &Response<'_>, now: Duration, link: &mut dyn Link) {
        let Some(Node::Pending(pending)) = self.nodes.get_mut(&key) else { return };
        let records = match response.records(&mut |fault| link.log(&fault.to_string())) {
            Ok(records) => records,
            Err(fault) => return link.log(&fault.to_string()),
        };
        pending.ttl = pending.ttl.min(records.ttl);
        if !records.services.is_empty() {
            return self.known(key, Some(Found::Services(records.services.into())), now, link);
        }
        let any = !records.addresses.is_empty();
        for address in &records.addresses {
            match address {
                IpAddr::V4(address) => pending.four.push(*address),
                IpAddr::V6(address) => pending.six.push(*address),
            }
        }
        let alias = response.alias(&records);
        // A service's query stays open until there is a record of it.
        if let Some(query) = pending.queries.get_mut(at).filter(|_| !key.service) {
            query.answered = true;
        }
        if any && !pending.is_answered() {
            return;
        }
        if pending.is_answered() && !(pending.four.is_empty() && pending.six.is_empty()) {
            return self.known(key, None, now, link);
        }
        match alias {
            Some(_) if !key.service && !pending.is_answered() => {}
            Some(Ok(name)) => self.known(key, Some(Found::Alias(name)), now, link),
            Some(Err(fault)) => link.log(&fault.to_string()),
            None if key.service => link.log("no SRV type in DNS response"),
            None => link.log("no A or CNAME types in DNS response"),
        }
    }

    /// A name has its answer: the one given, or the addresses that were gathered.
    fn known(&mut self, key: Key, found: Option<Found>, now: Duration, link: &mut dyn Link) {
        let Some(Node::Pending(pending)) = self.nodes.get_mut(&key) else { return };
        let waiting = std::mem::take(&mut pending.waiting);
        let gathered = || Found::Addresses(pending.four.as_slice().into(), pending.six.as_slice().into());
        let found = found.unwrap_or_else(gathered);
        let seconds = if self.rules.valid > 0 { self.rules.valid } else { u64::from(pending.ttl) };
        let valid = now.as_secs() + seconds;
        let known = Known { found: found.clone(), valid, keep: now + KEEP };
        let service = key.service;
        self.nodes.insert(key, Node::Known(known));
        match found {
            Found::Alias(name) => {
                let waiting = self.follow(waiting, link);
                if !waiting.is_empty() {
                    self.look_up(waiting, Key { service, name }, now, link);
                }
            }
            found => self.finish(&waiting, &Ok(Answer { records: records(&found, None), valid }), link),
        }
    }
}

/// The records of an answer that is no alias, in the order they are to be used.
fn records(found: &Found, random: Option<&mut dyn FnMut() -> u32>) -> Records {
    match found {
        Found::Addresses(four, six) => Records::Addresses(dns::order(four, six, random).into()),
        Found::Services(services) => Records::Services(services.clone()),
        Found::Alias(_) => Records::Addresses(Rc::default()),
    }
}

#[cfg(test)]
mod tests;
