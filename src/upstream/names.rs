//! Servers whose names are looked up while serving (`server … resolve`, `service=`): their addresses now, and the group
//! that these make. A changed answer makes another group; requests in progress keep the one they began with.

use super::group::Group;
use super::peer::Peer;
use super::settings::{Balancer, Server};
use crate::conf::bytes::raw;
use crate::log::{Level, Log};
use crate::net::address::{Address, Host};
use crate::net::dns::Code;
use crate::net::event_loop::{EventLoop, spawn};
use crate::net::resolver::{Located, Lookup, Unknown};
use parking_lot::{Mutex, RwLock};
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;
use std::sync::{Arc, Weak};
use std::time::Duration;
use tokio::time::Instant;

/// An address that a name has.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Found {
    address: SocketAddr,
    /// The server as it is called: that of the configuration, or the name a service gives.
    server: String,
    /// The weight a service gives; 1 for hosts.
    weight: u32,
    /// Whether a service names it after others.
    backup: bool,
}

/// The servers of a group whose names are looked up.
pub struct Names {
    group: String,
    /// Servers with addresses of their own, and backups.
    fixed: [Vec<Peer>; 2],
    servers: Vec<Server>,
    balancer: Option<Balancer>,
    port: u16,
    lookup: Lookup,
    /// The addresses of each server, in the order they were first found.
    found: Mutex<Vec<Vec<Found>>>,
}

/// A pool whose group may change.
pub trait Changing: Sized + Send + Sync + 'static {
    /// The group it has.
    fn group(&self) -> &Group;

    /// What changes it.
    fn live(&self) -> Option<&Live<Self>>;

    /// The same pool with another group, which does not change.
    fn with(&self, group: Group) -> Self;

    /// The pool as it is now: for a whole request, as its peers are numbered.
    fn now(self: &Arc<Self>) -> Arc<Self> {
        let now = self.live().and_then(|live| live.now.read().clone());
        now.unwrap_or_else(|| self.clone())
    }

    /// Makes `group` the group of the requests that come; what is known of its peers stays known.
    fn change(self: &Arc<Self>, group: Group) {
        let Some(live) = self.live() else { return };
        group.add_checks_of(self.group());
        group.carry_over(self.now().group());
        *live.now.write() = Some(Arc::new(self.with(group)));
    }

    /// Takes over what an earlier configuration knew of the pool.
    fn carry_over(self: &Arc<Self>, old: &Arc<Self>) {
        self.group().carry_over(old.now().group());
        let (Some(live), Some(before)) = (self.live(), old.live()) else { return };
        live.names.adopt(&before.names);
        let group = live.names.now();
        group.add_checks_of(self.group());
        group.carry_over(old.now().group());
        *live.now.write() = Some(Arc::new(self.with(group)));
    }
}

/// What changes a pool: servers with names, and the pool they make now.
pub struct Live<P> {
    names: Names,
    now: RwLock<Option<Arc<P>>>,
}

impl<P> Live<P> {
    /// Before the first answer.
    pub const fn new(names: Names) -> Self {
        Self { names, now: RwLock::new(None) }
    }

    /// The servers as written, for a reader.
    pub fn texts(&self) -> impl Iterator<Item = &str> {
        self.names.servers.iter().map(|server| server.text.as_str())
    }
}

impl Names {
    /// The servers of a group, none of which has an address yet.
    pub fn new(
        group: &str,
        fixed: [Vec<Peer>; 2],
        servers: Vec<Server>,
        balancer: Option<Balancer>,
        (port, lookup): (u16, Lookup),
    ) -> Self {
        let found = Mutex::new(vec![Vec::new(); servers.len()]);
        Self { group: group.to_owned(), fixed, servers, balancer, port, lookup, found }
    }

    /// The group as it is now.
    fn now(&self) -> Group {
        self.group(&self.found.lock())
    }

    fn group(&self, found: &[Vec<Found>]) -> Group {
        let [mut peers, mut backups] = self.fixed.clone();
        for (server, found) in self.servers.iter().zip(found) {
            for one in found {
                let weight = if server.weight == 1 { one.weight } else { server.weight };
                let address = Address::Ip(one.address);
                let peer = Peer { weight, server: one.server.clone(), ..server.peer(address) };
                if server.backup || one.backup { &mut backups } else { &mut peers }.push(peer);
            }
        }
        let method = Balancer::method(self.balancer.as_ref(), &peers);
        Group::new(&self.group, peers, backups, method)
    }

    /// Takes the addresses server `at` has now; the group they make, if it is another one. What stays keeps its place.
    fn set(&self, at: usize, mut now: Vec<Found>) -> Option<Group> {
        let mut all = self.found.lock();
        let known = all.get_mut(at)?;
        let mut next = Vec::with_capacity(now.len());
        for old in known.iter() {
            if let Some(same) = now.iter().position(|one| one == old) {
                next.push(now.remove(same));
            }
        }
        next.append(&mut now);
        if next == *known {
            return None;
        }
        *known = next;
        Some(self.group(&all))
    }

    /// Takes over the addresses of the same names in an earlier configuration.
    fn adopt(&self, old: &Self) {
        let before = old.found.lock();
        let mut now = self.found.lock();
        for (server, found) in self.servers.iter().zip(now.iter_mut()) {
            let same = |was: &Server| was.endpoint.host == server.endpoint.host && was.service == server.service;
            let Some(at) = old.servers.iter().position(same) else { continue };
            let known = before.get(at).map(Vec::as_slice).unwrap_or_default();
            *found = known
                .iter()
                .map(|one| match server.service {
                    Some(_) => one.clone(),
                    None => of_host(server, one.address.ip(), self.port),
                })
                .collect();
        }
    }

    fn queries(&self) -> Vec<Query> {
        let named = self.servers.iter().map(|server| {
            let host = match &server.endpoint.host {
                Host::Name(host) => host.strip_suffix('.').unwrap_or(host).to_ascii_lowercase(),
                Host::Ip(ip) => ip.to_string(),
                Host::Any | Host::Unix(_) => String::new(),
            };
            Query { server: server.clone(), host, lookup: self.lookup.clone(), port: self.port }
        });
        named.collect()
    }
}

/// Looks the name of server `at` up once: its addresses, or nothing where those known stay, and when to ask again.
async fn look_up(names: &Query, event_loop: &EventLoop) -> (Option<Vec<Found>>, Duration) {
    let Query { server, host, lookup, port } = names;
    let errors: Log = event_loop.errors.borrow().clone();
    let say = |text: &str| errors.write(Level::Error, None, &raw(text));
    let failed = |unknown: Unknown, text: String| {
        say(&text);
        // Without an answer it is not known whether the name is gone.
        match unknown.code {
            Code::NOT_FOUND => (Some(Vec::new()), unknown.holds + PAUSE),
            _ => (None, lookup.timeout().max(PAUSE)),
        }
    };
    let Some(service) = &server.service else {
        return match lookup.find(host, event_loop).await {
            Ok(found) => (Some(found.all.iter().map(|ip| of_host(server, *ip, *port)).collect()), found.holds + PAUSE),
            Err(unknown) => failed(unknown, Lookup::complaint(host, unknown)),
        };
    };
    let (located, missing) = lookup.find_service(service, host, event_loop).await;
    for (name, unknown) in missing {
        let name = Lookup::complaint(&name, unknown);
        say(&format!("{name} while resolving service {service} of {host}"));
    }
    match located {
        Ok(located) => (Some(of_service(server, &located.all)), located.holds + PAUSE),
        Err(unknown) => failed(unknown, format!("service {service} of {host} could not be resolved ({unknown})")),
    }
}

/// What is asked for a server.
struct Query {
    server: Server,
    host: String,
    lookup: Lookup,
    port: u16,
}

/// The least time between two look-ups of a name.
const PAUSE: Duration = Duration::from_secs(1);
/// The longest time between two look-ups of a name.
const LONGEST: Duration = Duration::from_hours(24 * 365);
/// How often a wait looks whether the pool is still there.
const WATCH: Duration = Duration::from_secs(30);

/// Keeps the group of a pool up to date, for as long as there is the pool; to be called on one loop.
pub fn follow<P: Changing>(pool: &Arc<P>, event_loop: &Rc<EventLoop>) {
    for query in pool.live().into_iter().flat_map(|live| live.names.queries()).enumerate() {
        let (pool, event_loop) = (Arc::downgrade(pool), event_loop.clone());
        spawn(keep(pool, query, event_loop));
    }
}

async fn keep<P: Changing>(pool: Weak<P>, (at, query): (usize, Query), event_loop: Rc<EventLoop>) {
    while pool.strong_count() > 0 {
        let (found, wait) = look_up(&query, &event_loop).await;
        let Some(now) = pool.upgrade() else { return };
        if let Some(group) = now.live().zip(found).and_then(|(live, found)| live.names.set(at, found)) {
            now.change(group);
        }
        drop(now);
        let end = Instant::now() + wait.min(LONGEST);
        // A pool that is gone is not slept for, whatever the answer's time to live.
        while pool.strong_count() > 0 && Instant::now() < end {
            tokio::time::sleep_until(end.min(Instant::now() + WATCH)).await;
        }
    }
}

fn of_host(server: &Server, ip: IpAddr, port: u16) -> Found {
    let address = SocketAddr::new(ip, server.endpoint.port.unwrap_or(port));
    Found { address, server: server.text.clone(), weight: 1, backup: false }
}

/// The addresses of a service: those of the least priority, and the others as backups where these can be added.
fn of_service(server: &Server, located: &[Located]) -> Vec<Found> {
    let least = located.iter().map(|one| one.priority).min().unwrap_or_default();
    let found = located.iter().map(|one| Found {
        address: one.address,
        server: one.name.clone(),
        weight: u32::from(one.weight),
        backup: one.priority != least,
    });
    found.filter(|one| !(one.backup && server.backup)).collect()
}

#[cfg(test)]
mod tests;
