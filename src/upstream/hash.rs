//! `hash key`: by position, as Cache::Memcached does it, or on a ring of points, as Cache::Memcached::Fast does.

use super::group::Method;
use super::peer::Peer;
use super::view::{HashState, Inputs, Pick, View};
use super::{ip_hash, round_robin};
use crc32fast::Hasher;

impl HashState {
    /// The state a request begins with.
    pub fn new(method: &Method, inputs: Inputs<'_>) -> Self {
        match method {
            Method::IpHash => Self { value: ip_hash::SEED, address: ip_hash::bytes(inputs.client), ..Self::default() },
            Method::Hash => Self { key: (crc32fast::hash(inputs.key), inputs.key.len() as u64), ..Self::default() },
            Method::Consistent(points) => {
                let crc = crc32fast::hash(inputs.key);
                Self { value: points.find(crc), key: (crc, inputs.key.len() as u64), ..Self::default() }
            }
            Method::RoundRobin | Method::LeastConn | Method::LeastTime(_) | Method::Random | Method::RandomTwo => {
                Self::default()
            }
        }
    }

    /// The next value of `((crc32([REHASH] KEY) >> 16) & 0x7fff) + PREV_HASH`; REHASH is left out of the first.
    fn again(&mut self) -> u32 {
        let (crc, length) = self.key;
        let mut hasher = Hasher::new();
        if self.rounds > 0 {
            hasher.update(itoa::Buffer::new().format(self.rounds).as_bytes());
        }
        hasher.combine(&Hasher::new_with_initial_len(crc, length));
        self.value = self.value.wrapping_add((hasher.finalize() >> 16) & 0x7fff);
        self.rounds += 1;
        self.value
    }
}

/// The next peer of the set, by position.
pub fn choose(view: &mut View<'_>, pick: &mut Pick) -> Option<usize> {
    if pick.hash.tries > 20 || view.set.single || pick.hash.key.1 == 0 || view.set.total_weight == 0 {
        return round_robin::choose(view, &mut pick.tried);
    }
    loop {
        let index = view.set.at_weight(u64::from(pick.hash.again()) % view.set.total_weight);
        if view.is_free(index, &pick.tried) {
            view.ask(index, &mut pick.tried);
            return Some(index);
        }
        pick.hash.tries += 1;
        if pick.hash.tries > 20 {
            return round_robin::choose(view, &mut pick.tried);
        }
    }
}

/// A ring of points, 160 for each unit of weight.
pub struct Points {
    /// Hash and index of the server it stands for.
    ring: Box<[(u32, u32)]>,
    /// The peers of each server, as written in the configuration.
    servers: Box<[Box<[usize]>]>,
}

impl Points {
    /// The ring of these peers; addresses of one host name share their points.
    pub fn new(peers: &[Peer]) -> Self {
        let mut names: Vec<&str> = Vec::new();
        let mut servers: Vec<Vec<usize>> = Vec::new();
        let mut ring = Vec::new();
        for (index, peer) in peers.iter().enumerate() {
            let server = names.iter().position(|name| *name == peer.server).unwrap_or_else(|| {
                names.push(&peer.server);
                servers.push(Vec::new());
                names.len() - 1
            });
            if let Some(members) = servers.get_mut(server) {
                members.push(index);
            }
            let (host, port) = host_and_port(&peer.server);
            let mut base = Hasher::new();
            base.update(host.as_bytes());
            base.update(&[0]);
            base.update(port.as_bytes());
            let mut previous = 0_u32;
            for _ in 0..peer.weight.saturating_mul(160) {
                let mut hasher = base.clone();
                hasher.update(&previous.to_le_bytes());
                previous = hasher.finalize();
                ring.push((previous, server as u32));
            }
        }
        ring.sort_by_key(|(hash, _)| *hash);
        ring.dedup_by_key(|(hash, _)| *hash);
        Self { ring: ring.into(), servers: servers.into_iter().map(Vec::into_boxed_slice).collect() }
    }

    /// The place on the ring of a key's crc.
    fn find(&self, crc: u32) -> u32 {
        self.ring.partition_point(|(hash, _)| *hash < crc) as u32
    }

    /// The next peer of the set, along the ring.
    pub fn choose(&self, view: &mut View<'_>, pick: &mut Pick) -> Option<usize> {
        if pick.hash.tries > 20 || view.set.single || pick.hash.key.1 == 0 || self.ring.is_empty() {
            return round_robin::choose(view, &mut pick.tried);
        }
        loop {
            let place = pick.hash.value as usize % self.ring.len();
            let (_, server) = self.ring.get(place)?;
            let members = self.servers.get(*server as usize)?;
            let tried = &pick.tried;
            let free = match &**members {
                [only] => view.is_free(*only, tried).then_some(*only).and_then(|only| view.rotate([only].into_iter())),
                members => {
                    let free: Vec<usize> =
                        members.iter().copied().filter(|index| view.is_free(*index, tried)).collect();
                    view.rotate(free.into_iter())
                }
            };
            if let Some(index) = free {
                view.ask(index, &mut pick.tried);
                return Some(index);
            }
            pick.hash.value = pick.hash.value.wrapping_add(1);
            pick.hash.tries += 1;
            if pick.hash.tries > 20 {
                return round_robin::choose(view, &mut pick.tried);
            }
        }
    }
}

/// A `server` as written, cut for the ring: the port is what digits follow the last colon.
fn host_and_port(server: &str) -> (&str, &str) {
    if server.get(..5).is_some_and(|head| head.eq_ignore_ascii_case("unix:")) {
        return (server.get(5..).unwrap_or_default(), "");
    }
    match server.rsplit_once(':') {
        Some((host, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => (host, port),
        _ => (server, ""),
    }
}
