//! `ha_suspend`: the checks of a virtual server are made only while this host has its address.

use super::{Running, State};
use crate::conf::diagnostic::reason;
use crate::keepalived::log::Log;
use crate::kernel::monitor::{Change, Monitor};
use crate::kernel::netlink::Commands;
use std::collections::HashSet;
use std::io;
use std::net::IpAddr;
use std::os::fd::{AsFd, OwnedFd};

/// The addresses of this host, by interface.
pub struct Addresses {
    monitor: Monitor,
    held: HashSet<(u32, IpAddr)>,
}

impl Addresses {
    /// Reads them, and subscribes to changes.
    fn open() -> io::Result<Self> {
        let mut own = Self { monitor: Monitor::open()?, held: HashSet::new() };
        own.held = current()?;
        Ok(own)
    }

    /// What has changed: addresses, and whether they came.
    fn changes(&mut self) -> Vec<(IpAddr, bool)> {
        let (mut told, mut changes) = (Vec::new(), Vec::new());
        self.monitor.read(&mut told);
        for change in told {
            match change {
                // The kernel tells of an address again when its state changes.
                Change::Address(one) if self.held.insert((one.index, one.ip)) => changes.push((one.ip, true)),
                Change::AddressGone(one) if self.held.remove(&(one.index, one.ip)) => changes.push((one.ip, false)),
                Change::Lost => {
                    let Ok(now) = current() else { continue };
                    changes.extend(self.held.difference(&now).map(|(_, ip)| (*ip, false)));
                    changes.extend(now.difference(&self.held).map(|(_, ip)| (*ip, true)));
                    self.held = now;
                }
                _ => {}
            }
        }
        changes
    }
}

fn current() -> io::Result<HashSet<(u32, IpAddr)>> {
    Ok(Commands::open()?.addresses()?.into_iter().map(|one| (one.index, one.ip)).collect())
}

impl Running {
    /// Whether its checks are made.
    pub(super) fn is_enabled(&self) -> bool {
        !self.given.suspend || self.held > 0
    }
}

impl State {
    /// Looks which addresses of virtual servers this host has, where a server asks for it.
    pub(super) fn watch_addresses(&mut self) {
        if !self.servers.iter().any(|running| running.given.suspend) {
            self.addresses = None;
            return;
        }
        if self.addresses.is_none() {
            match Addresses::open() {
                Ok(addresses) => self.addresses = Some(addresses),
                Err(error) => return self.log.say(format!("Unable to read addresses - {}", reason(&error))),
            }
        }
        let Some(addresses) = &self.addresses else { return };
        for running in &mut self.servers {
            running.held = addresses.held.iter().filter(|(_, ip)| running.given.has_address(*ip)).count();
        }
    }

    /// A descriptor that is readable when addresses have changed.
    pub(super) fn changes_of_addresses(&self) -> Option<OwnedFd> {
        self.addresses.as_ref()?.monitor.as_fd().try_clone_to_owned().ok()
    }

    /// Takes up and suspends checks as addresses come and go.
    pub(super) fn follow_addresses(&mut self) {
        let changes = self.addresses.as_mut().map(Addresses::changes).unwrap_or_default();
        let mut switched = Vec::new();
        for (ip, came) in changes {
            let Self { servers, log, .. } = self;
            let concerned =
                |(_, running): &(usize, &mut Running)| running.given.suspend && running.given.has_address(ip);
            for (number, (at, running)) in servers.iter_mut().enumerate().filter(concerned).enumerate() {
                if number == 0 {
                    let how = if came { "added" } else { "removed" };
                    log.detail(format!("Netlink reflector reports IP {ip} {how}"));
                }
                let before = running.is_enabled();
                running.held = if came { running.held + 1 } else { running.held.saturating_sub(1) };
                if before != running.is_enabled() {
                    say(running, log);
                    switched.push(at);
                }
            }
        }
        switched.into_iter().for_each(|at| self.mark_server(at));
    }
}

/// Says of each check whether it is made now.
fn say(running: &Running, log: &Log) {
    let how = if running.is_enabled() { "Activating" } else { "Suspending" };
    let config = running.machine.config();
    for (named, check_states) in config.reals.iter().zip(&running.check_states) {
        for _ in check_states {
            log.say(format!("{how} healthchecker for service {} for VS {}", named.name, config.name));
        }
    }
}
