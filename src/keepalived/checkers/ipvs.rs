//! What a virtual server decides, as requests to IPVS: one for a server of its own, one for each entry of a group.

use crate::check::server::{Change, Member, Verb};
use crate::conf::diagnostic::reason;
use crate::keepalived::blocks::lvs::FlushOnStop;
use crate::keepalived::blocks::server::Entry;
use crate::keepalived::log::Log;
use crate::keepalived::site::server::{Identity, VirtualServer};
use crate::kernel::ipvs::table::Table;
use crate::kernel::ipvs::{
    Destination, Ipvs, Key, Method, Netlink, ONE_PACKET, PERSISTENT, Protocol, Request, SCHEDULER_FLAGS, Service,
    SyncState, Timeouts, WHOLE_ADDRESS,
};
use nix::errno::Errno;
use std::collections::{HashMap, HashSet};
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// An entry of a group, for one protocol or family: several virtual servers may share its service.
type Shared = (String, Entry, Option<Protocol>, bool);

/// The kernel's IPVS, or one in memory.
pub struct Kernel {
    ipvs: Option<Box<dyn Ipvs>>,
    /// How many destinations shared services have.
    alive: HashMap<Shared, u32>,
    /// While a reload is carried out, the entries of groups that stay.
    kept: Option<HashSet<(String, Entry)>>,
    /// Entries that do not stay yet have no service.
    carrying: bool,
    /// The timeouts before they were changed.
    timeouts: Option<Timeouts>,
}

/// The module that the kernel's IPVS is in.
const MODULE: &str = "ip_vs";

impl Kernel {
    /// Finds the kernel's IPVS, loading it where it must be.
    ///
    /// # Errors
    /// There is none.
    pub fn open(simulate: bool) -> io::Result<Self> {
        if simulate {
            return Ok(Self::of(Some(Box::new(Table::default()))));
        }
        let found = Netlink::open().or_else(|_| {
            // A kernel without modules has it or not; the second attempt says which.
            let _ = std::process::Command::new("modprobe").args(["-s", "--", MODULE]).status();
            Netlink::open()
        });
        Ok(Self::of(Some(Box::new(found?))))
    }

    /// No IPVS: nothing is changed, and nothing is said of it.
    pub fn absent() -> Self {
        Self::of(None)
    }

    fn of(ipvs: Option<Box<dyn Ipvs>>) -> Self {
        Self { ipvs, alive: HashMap::new(), kept: None, carrying: false, timeouts: None }
    }

    /// Sets the timeouts of a configuration; those that were there before are put back where it has none.
    pub fn set_timeouts(&mut self, wanted: Timeouts, log: &Log) {
        let Some(ipvs) = &mut self.ipvs else { return };
        if wanted == Timeouts::default() && self.timeouts.is_none() {
            return;
        }
        let before = match self.timeouts.map_or_else(|| ipvs.timeouts(), Ok) {
            Ok(before) => *self.timeouts.insert(before),
            Err(_) => return log.say("Failed to get IPVS timeouts"),
        };
        let or = |wanted: u32, before: u32| if wanted == 0 { before } else { wanted };
        let timeouts = Timeouts {
            tcp: or(wanted.tcp, before.tcp),
            tcp_fin: or(wanted.tcp_fin, before.tcp_fin),
            udp: or(wanted.udp, before.udp),
        };
        if ipvs.request(&Request::SetTimeouts(timeouts)).is_err() {
            log.say("Failed to set ipvs timeouts");
        }
    }

    /// Stops both halves of the sync daemon; one that does not run is as good.
    pub fn stop_sync(&mut self) {
        let Some(ipvs) = &mut self.ipvs else { return };
        for state in [SyncState::Master, SyncState::Backup] {
            let _ = ipvs.request(&Request::StopDaemon(state, 0));
        }
    }

    /// Starts or stops half of the sync daemon.
    pub fn sync(&mut self, request: Request, log: &Log) {
        // What the kernel refuses is said.
        self.talk(request, log);
    }

    /// Removes everything.
    pub fn flush(&mut self, log: &Log) {
        self.talk(Request::Flush, log);
    }

    /// How many destinations the services of a group's entry have, for one protocol; for a firewall mark by family.
    pub fn alive(&self, group: &str, entry: Entry, protocol: Option<Protocol>, ipv6: bool) -> u32 {
        self.alive.get(&(group.to_owned(), entry, protocol, ipv6)).copied().unwrap_or_default()
    }

    /// Begins a reload from these virtual servers to those: until [`Kernel::set_carrying`] only the entries of groups
    /// that are in both have services.
    pub fn carry<'a>(
        &mut self,
        old: impl Iterator<Item = &'a VirtualServer>,
        new: impl Iterator<Item = &'a VirtualServer>,
    ) {
        let before: HashSet<(String, Entry)> = old.flat_map(entries).collect();
        self.kept = Some(new.flat_map(entries).filter(|entry| before.contains(entry)).collect());
        self.carrying = true;
    }

    /// Leaves entries alone that do not stay, or no longer.
    pub const fn set_carrying(&mut self, carrying: bool) {
        self.carrying = carrying;
    }

    /// Ends the reload.
    pub fn settle(&mut self) {
        self.kept = None;
    }

    /// Whether an entry of a group was there before the reload, and stays.
    pub fn was_there(&self, group: &str, entry: &Entry) -> bool {
        self.kept.as_ref().is_some_and(|kept| kept.contains(&(group.to_owned(), *entry)))
    }

    /// Carries out a change; false where the kernel refused.
    pub fn apply(&mut self, server: &VirtualServer, change: Change, log: &Log) -> bool {
        match &server.identity {
            Identity::Key(_) => {
                let request = request(server, server.service.key.clone(), change);
                request.is_some_and(|request| self.talk(request, log))
            }
            Identity::Group(name, _) => self.apply_to_group(server, name, change, log),
        }
    }

    /// Carries out a change for each entry of a group; false where the kernel refused one.
    ///
    /// Differs from keepalived: an entry the kernel refuses does not keep the change from those behind it. [test: an_entry_the_kernel_refuses_does_not_stop_the_others]
    fn apply_to_group(&mut self, server: &VirtualServer, name: &str, change: Change, log: &Log) -> bool {
        let is_mark = |entry: &&Entry| matches!(entry, Entry::Mark(..));
        let addresses = server.entries.iter().filter(|entry| !is_mark(entry));
        let mut taken = true;
        for entry in addresses.chain(server.entries.iter().filter(is_mark)) {
            if self.carrying && !self.was_there(name, entry) {
                continue;
            }
            let shared = shared(server, name, entry);
            let alive = self.alive.get(&shared).copied().unwrap_or_default();
            let needed = match change {
                Change::Service(Verb::Add) => alive == 0 && !self.was_there(name, entry),
                Change::Service(Verb::Delete) => alive == 0,
                Change::Member { verb: Verb::Add, alive, .. } => !alive,
                Change::Member { verb: Verb::Delete, alive, .. } => alive,
                Change::Service(Verb::Edit) | Change::Member { verb: Verb::Edit, .. } => true,
            };
            taken &= !needed || self.apply_to_entry(server, entry, change, log);
            match change {
                Change::Member { verb: Verb::Add, .. } => *self.alive.entry(shared).or_default() += 1,
                Change::Member { verb: Verb::Delete, .. } => {
                    let alive = self.alive.entry(shared).or_default();
                    *alive = alive.saturating_sub(1);
                }
                _ => {}
            }
        }
        taken
    }

    fn apply_to_entry(&mut self, server: &VirtualServer, entry: &Entry, change: Change, log: &Log) -> bool {
        keys(server, entry)
            .into_iter()
            .all(|key| request(server, key, change).is_some_and(|request| self.talk(request, log)))
    }

    /// Gives a new entry of a group its service, and the destinations that are there already.
    pub fn fill_entry(&mut self, server: &VirtualServer, entry: &Entry, members: &[Change], log: &Log) {
        let Identity::Group(name, _) = &server.identity else { return };
        let shared = shared(server, name, entry);
        // Without destinations it gets its service like those of a start.
        if !members.is_empty() && self.alive.get(&shared).copied().unwrap_or_default() == 0 {
            self.apply_to_entry(server, entry, Change::Service(Verb::Add), log);
        }
        for change in members {
            // What the kernel refuses is said.
            self.apply_to_entry(server, entry, *change, log);
        }
        *self.alive.entry(shared).or_default() += u32::try_from(members.len()).unwrap_or(u32::MAX);
    }

    /// Takes an entry of a group away.
    ///
    /// Differs from keepalived: its service goes too, unless another virtual server uses it; there it stays without destinations. [test: an_entry_that_leaves_its_group_takes_its_service_along]
    pub fn drop_entry(&mut self, server: &VirtualServer, entry: &Entry, members: &[Change], log: &Log) {
        let Identity::Group(name, _) = &server.identity else { return };
        for change in members {
            let Change::Member { member, weight, .. } = *change else { continue };
            let change = Change::Member { verb: Verb::Delete, member, weight, alive: true };
            self.apply_to_entry(server, entry, change, log);
        }
        let alive = self.alive.entry(shared(server, name, entry)).or_default();
        *alive = alive.saturating_sub(u32::try_from(members.len()).unwrap_or(u32::MAX));
        if *alive == 0 {
            self.apply_to_entry(server, entry, Change::Service(Verb::Delete), log);
        }
    }

    /// Sends a request; what is as it should be already counts as done.
    fn talk(&mut self, mut request: Request, log: &Log) -> bool {
        let Some(ipvs) = &mut self.ipvs else { return false };
        let mut outcome = ipvs.request(&request);
        let code = |error: &io::Error| error.raw_os_error().map_or(Errno::EIO, Errno::from_raw);
        if let (Request::EditDestination(service, destination), Err(error)) = (&request, &outcome)
            && code(error) == Errno::ENOENT
        {
            request = Request::AddDestination(service.clone(), destination.clone());
            outcome = ipvs.request(&request);
        }
        let Err(error) = outcome else { return true };
        let (name, number) = request.shown();
        let (code, words) = (code(&error), reason(&error));
        let words = if error.raw_os_error().is_some() { request.words(code).to_owned() } else { words };
        log.say(format!("IPVS cmd {name}({number}) error: {words}({})", code as i32));
        matches!(
            (&request, code),
            (Request::AddService(_) | Request::AddDestination(..), Errno::EEXIST)
                | (Request::DeleteService(_) | Request::DeleteDestination(..), Errno::ENOENT)
        )
    }

    /// Takes down what `lvs_flush_on_stop` says at once; whether that was everything.
    pub fn flush_at_end(&mut self, how: Option<FlushOnStop>, log: &Log) -> bool {
        let whole = how == Some(FlushOnStop::Everything);
        if whole {
            log.say("Flushing lvs on shutdown in oneshot");
            self.flush(log);
        }
        whole
    }
}

/// The entries of a virtual server's group.
fn entries(server: &VirtualServer) -> Vec<(String, Entry)> {
    match &server.identity {
        Identity::Group(name, _) => server.entries.iter().map(|entry| (name.clone(), *entry)).collect(),
        Identity::Key(_) => Vec::new(),
    }
}

/// Which service of an entry a virtual server uses.
fn shared(server: &VirtualServer, name: &str, entry: &Entry) -> Shared {
    let ipv6 = matches!(server.service.key, Key::Mark(_, true));
    match entry {
        Entry::Mark(..) => (name.to_owned(), *entry, None, ipv6),
        Entry::Addresses(..) => (name.to_owned(), *entry, server.protocol, false),
    }
}

/// The services of an entry.
fn keys(server: &VirtualServer, entry: &Entry) -> Vec<Key> {
    match *entry {
        Entry::Mark(mark, family) => {
            let own = matches!(server.service.key, Key::Mark(_, true));
            vec![Key::Mark(mark, family.unwrap_or(own))]
        }
        Entry::Addresses(ip, more, port) => {
            let protocol = server.protocol.unwrap_or(Protocol::Udp);
            (0..=more).map(|step| Key::Address(protocol, later(ip, step), port)).collect()
        }
    }
}

/// An address further on.
fn later(ip: IpAddr, step: u32) -> IpAddr {
    match ip {
        IpAddr::V4(ip) => IpAddr::V4(Ipv4Addr::from_bits(ip.to_bits().wrapping_add(step))),
        IpAddr::V6(ip) => IpAddr::V6(Ipv6Addr::from_bits(ip.to_bits().wrapping_add(u128::from(step)))),
    }
}

/// The request for a change of a service.
fn request(server: &VirtualServer, key: Key, change: Change) -> Option<Request> {
    let service = Service { key, ..server.service.clone() };
    let (verb, member, weight) = match change {
        Change::Service(Verb::Add) => return Some(Request::AddService(service)),
        Change::Service(Verb::Edit) => return Some(Request::EditService(service)),
        Change::Service(Verb::Delete) => return Some(Request::DeleteService(service)),
        Change::Member { verb, member, weight, .. } => (verb, member, weight),
    };
    let destination = match member {
        Member::Real(at) => &server.reals.get(at)?.destination,
        Member::Sorry => server.sorry.as_ref()?,
    };
    let port = match (destination.method, &service.key) {
        (Method::Nat, _) => destination.port,
        (_, Key::Address(_, _, port)) => *port,
        (_, Key::Mark(..)) => 0,
    };
    let weight = i32::try_from(weight).unwrap_or(i32::MAX);
    let destination = Destination { port, weight, ..destination.clone() };
    // The service is only named: persistence plays no part.
    let ipv6 = match &service.key {
        Key::Address(_, ip, _) => ip.is_ipv6(),
        Key::Mark(_, ipv6) => *ipv6,
    };
    let flags = SCHEDULER_FLAGS.iter().fold(ONE_PACKET, |flags, flag| flags | flag) & service.flags & !PERSISTENT;
    let netmask = if ipv6 { 128 } else { WHOLE_ADDRESS };
    let service = Service { engine: String::new(), flags, timeout: 0, netmask, ..service };
    Some(match verb {
        Verb::Add => Request::AddDestination(service, destination),
        Verb::Edit => Request::EditDestination(service, destination),
        Verb::Delete => Request::DeleteDestination(service, destination),
    })
}

#[cfg(test)]
mod tests;
