//! `linkbeat_interfaces`: interfaces whose driver is asked once a second whether there is a link, for those whose driver does
//! not tell the kernel by itself.

use super::Process;
use crate::conf::diagnostic::reason;
use crate::keepalived::blocks::interface::Method;
use crate::keepalived::log::Log;
use crate::kernel::link::Kind;
use crate::sys::linkbeat::LinkQuery;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// Between two queries.
const INTERVAL: Duration = Duration::from_secs(1);
/// The registers of a transceiver: control and status (IEEE 802.3 §22.2.4).
const CONTROL: u16 = 0;
const STATUS: u16 = 1;
/// There is a link, by the status register.
const LINK: u16 = 0x0004;

/// The interfaces that are asked.
#[derive(Debug, Default)]
pub(super) struct Linkbeat {
    query: Option<LinkQuery>,
    /// How each is asked, once that is known.
    methods: BTreeMap<String, Option<Method>>,
    due: Option<Instant>,
}

impl Linkbeat {
    /// When the next query is due.
    pub(super) const fn poll_timeout(&self) -> Option<Instant> {
        self.due
    }
}

/// Whether a transceiver sees a link; the status is read twice, for a lost link stays in it until it is read.
fn transceiver(query: &LinkQuery, name: &str, log: &Log) -> Option<bool> {
    let number = query.transceiver(name).ok()?;
    let read = |register| query.register(name, number, register).unwrap_or(u16::MAX);
    query.register(name, number, STATUS).ok()?;
    let status = read(STATUS);
    if read(CONTROL) == u16::MAX || status == 0 {
        log.say(format!("No MII transceiver present for {name} !!!"));
        return None;
    }
    Some((status | read(STATUS)) & LINK != 0)
}

/// Whether the interface runs by its flags; one that cannot be asked does, unless it is gone.
fn runs(query: &LinkQuery, name: &str) -> bool {
    query.runs(name).unwrap_or_else(|error| error.raw_os_error() != Some(nix::errno::Errno::ENODEV as i32))
}

/// Finds how an interface can be asked, the configured way first; whether it has a link, and the way.
fn find(query: &LinkQuery, name: &str, wanted: Option<Method>, log: &Log) -> (bool, Method) {
    let mii = || transceiver(query, name, log).map(|up| (up, Method::Mii));
    let ethtool = || query.ethtool(name).ok().map(|up| (up, Method::Ethtool));
    let found = match wanted {
        None | Some(Method::Mii) => mii().or_else(ethtool),
        Some(Method::Ethtool) => ethtool().or_else(mii),
        Some(Method::Ioctl) => None,
    };
    let (up, method) = found.unwrap_or((true, Method::Ioctl));
    if let Some(wanted) = wanted.filter(|wanted| *wanted != method) {
        log.say(format!("({name}): Configured linkbeat type {wanted} not supported, using {method}"));
    }
    (up && runs(query, name), method)
}

impl Process {
    /// Asks the interfaces of the configuration from now on.
    pub(super) fn start_linkbeat(&mut self, now: Instant) {
        let mut wanted: BTreeMap<String, Option<Method>> = self.site.root.linkbeat.iter().cloned().collect();
        let everywhere = self.site.root.linkbeat_everywhere == Some(true);
        for instance in self.site.instances.iter().filter(|instance| everywhere || instance.linkbeat) {
            wanted.entry(instance.interface.clone()).or_default();
        }
        wanted.retain(|name, _| {
            let why = match self.interfaces.link(name).map(|link| link.kind) {
                _ if !self.uses(name) => "not used for tracking",
                Some(Kind::PrivateMacvlan | Kind::OtherVlan) => "netlink works for vmacs/ipvlans",
                _ => return true,
            };
            self.log.say(format!("Turning off linkbeat for {name} since {why}"));
            false
        });
        self.linkbeat = Linkbeat::default();
        self.interfaces.forget_polled();
        if wanted.is_empty() {
            return;
        }
        match LinkQuery::open() {
            Ok(query) => {
                let states: Vec<(String, bool, Option<Method>)> = wanted
                    .into_iter()
                    .map(|(name, method)| match self.interfaces.link(&name) {
                        None => (name, false, method),
                        Some(_) => {
                            let (up, method) = find(&query, &name, method, &self.log);
                            (name, up, Some(method))
                        }
                    })
                    .collect();
                for (name, up, method) in states {
                    self.interfaces.set_polled(&name, up);
                    self.linkbeat.methods.insert(name, method);
                }
                self.linkbeat.query = Some(query);
                self.linkbeat.due = Some(now + INTERVAL);
                self.log.say("Using MII-BMSR/ETHTOOL NIC polling thread(s)...");
            }
            Err(error) => {
                let errno = error.raw_os_error().unwrap_or_default();
                self.log.say(format!("open linkbeat init socket failed - errno {errno} - {}", reason(&error)));
            }
        }
        self.changed = true;
    }

    /// Asks the interfaces, when it is time to.
    pub(super) fn run_linkbeat(&mut self, now: Instant) {
        if self.linkbeat.due.is_none_or(|due| due > now) {
            return;
        }
        self.linkbeat.due = Some(now + INTERVAL);
        let names: Vec<String> = self.linkbeat.methods.keys().cloned().collect();
        for name in names {
            let index = self.interfaces.link(&name).map(|link| link.index);
            let Some(query) = &self.linkbeat.query else { return };
            let up = match (index, self.linkbeat.methods.get_mut(&name)) {
                (Some(_), Some(method)) => {
                    let found = match *method {
                        Some(Method::Mii) => transceiver(query, &name, &self.log).unwrap_or(true),
                        Some(Method::Ethtool) => query.ethtool(&name).unwrap_or(true),
                        Some(Method::Ioctl) => true,
                        None => {
                            let (up, way) = find(query, &name, None, &self.log);
                            *method = Some(way);
                            up
                        }
                    };
                    found && runs(query, &name)
                }
                _ => false,
            };
            if self.interfaces.set_polled(&name, up) == Some(!up) {
                self.log.say(format!("Linkbeat reports {name} {}", if up { "up" } else { "down" }));
                self.changed = true;
                if let Some(index) = index.filter(|_| !up) {
                    self.link_down(index);
                }
            }
        }
    }
}
