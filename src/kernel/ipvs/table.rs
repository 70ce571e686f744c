//! IPVS in memory: services and destinations are kept, nothing is forwarded, and requests are answered as the kernel does.

use super::{Destination, Ipvs, Key, Request, Service, SyncState, Timeouts};
use nix::errno::Errno;
use std::collections::BTreeMap;
use std::io;
use std::net::IpAddr;

/// A service and its destinations.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Entry {
    service: Service,
    destinations: BTreeMap<(IpAddr, u16), Destination>,
}

/// The services.
#[derive(Debug, Default)]
pub struct Table {
    services: BTreeMap<Key, Entry>,
    timeouts: Timeouts,
    daemons: Vec<SyncState>,
}

impl Table {
    fn entry(&mut self, service: &Service) -> Result<&mut Entry, Errno> {
        self.services.get_mut(&service.key).ok_or(Errno::ESRCH)
    }

    fn change(&mut self, request: &Request) -> Result<(), Errno> {
        match request {
            Request::AddService(service) => {
                if self.services.contains_key(&service.key) {
                    return Err(Errno::EEXIST);
                }
                let entry = Entry { service: service.clone(), destinations: BTreeMap::new() };
                self.services.insert(service.key.clone(), entry);
            }
            Request::EditService(service) => self.entry(service)?.service = service.clone(),
            Request::DeleteService(service) => {
                self.services.remove(&service.key).ok_or(Errno::ESRCH)?;
            }
            Request::AddDestination(service, destination) => {
                let destinations = &mut self.entry(service)?.destinations;
                let place = (destination.ip, destination.port);
                if destinations.contains_key(&place) {
                    return Err(Errno::EEXIST);
                }
                destinations.insert(place, destination.clone());
            }
            Request::EditDestination(service, destination) => {
                let destinations = &mut self.entry(service)?.destinations;
                let known = destinations.get_mut(&(destination.ip, destination.port)).ok_or(Errno::ENOENT)?;
                *known = destination.clone();
            }
            Request::DeleteDestination(service, destination) => {
                let destinations = &mut self.entry(service)?.destinations;
                destinations.remove(&(destination.ip, destination.port)).ok_or(Errno::ENOENT)?;
            }
            Request::Flush => self.services.clear(),
            Request::SetTimeouts(timeouts) => self.timeouts = *timeouts,
            Request::StartDaemon(state, _) => {
                if self.daemons.contains(state) {
                    return Err(Errno::EEXIST);
                }
                self.daemons.push(*state);
            }
            Request::StopDaemon(state, _) => {
                let at = self.daemons.iter().position(|known| known == state).ok_or(Errno::ESRCH)?;
                self.daemons.swap_remove(at);
            }
        }
        Ok(())
    }

    /// The weights of a service's destinations by address and port.
    #[cfg(test)]
    pub fn weights(&self, key: &Key) -> Option<Vec<(IpAddr, u16, i32)>> {
        let entry = self.services.get(key)?;
        Some(entry.destinations.iter().map(|((ip, port), one)| (*ip, *port, one.weight)).collect())
    }
}

impl Ipvs for Table {
    fn request(&mut self, request: &Request) -> io::Result<()> {
        self.change(request).map_err(io::Error::from)
    }

    fn timeouts(&mut self) -> io::Result<Timeouts> {
        Ok(self.timeouts)
    }
}
