//! Copies virtual servers for the process that checks them: settings that are equal are kept once.

use super::server::{Check, ConnectOptions, Connection, Probe, RealServer, VirtualServer};
use super::stated::Stated;
use crate::check::http::Get;
use crate::check::schedule::Timing;
use crate::check::server::{Config, RealConfig};
use std::sync::Arc;

/// How many different settings of one kind are looked through.
const RECENT: usize = 16;

/// Settings of one kind: those that were asked for last.
struct Pool<T: ?Sized>(Vec<Arc<T>>);

impl<T: ?Sized + PartialEq> Pool<T> {
    /// Settings equal to `wanted`; a copy made by `copy` where there are none.
    fn share(&mut self, wanted: &T, copy: impl FnOnce(&T) -> Arc<T>) -> Arc<T> {
        if let Some(known) = self.0.iter().rev().find(|known| ***known == *wanted) {
            return known.clone();
        }
        if self.0.len() == RECENT {
            self.0.remove(0);
        }
        let new = copy(wanted);
        self.0.push(new.clone());
        new
    }
}

/// All settings that checks share.
struct Pools {
    timings: Pool<Timing>,
    options: Pool<ConnectOptions>,
    gets: Pool<Get>,
    alphas: Pool<[bool]>,
    stated: Pool<Stated>,
}

/// Copies that share memory with each other, and none with the originals.
pub fn compact(servers: &[VirtualServer]) -> Vec<VirtualServer> {
    let mut pools = Pools {
        timings: Pool(Vec::new()),
        options: Pool(Vec::new()),
        gets: Pool(Vec::new()),
        alphas: Pool(Vec::new()),
        stated: Pool(Vec::new()),
    };
    servers.iter().map(|server| pools.server(server)).collect()
}

impl Pools {
    // Each field by itself: what a copy of the whole would leave behind is spread over the heap.
    fn server(&mut self, server: &VirtualServer) -> VirtualServer {
        let Config { name, group, quorum, hysteresis, omega, init_notifies, reals, sorry } = &*server.config;
        let config = Config {
            name: name.clone(),
            group: *group,
            quorum: *quorum,
            hysteresis: *hysteresis,
            omega: *omega,
            init_notifies: *init_notifies,
            reals: reals.iter().map(|real| self.named(real)).collect(),
            sorry: sorry.clone(),
        };
        VirtualServer {
            config: Arc::new(config),
            identity: server.identity.clone(),
            service: server.service.clone(),
            entries: server.entries.clone(),
            protocol: server.protocol,
            reals: server.reals.iter().map(|real| self.real(real)).collect(),
            sorry: server.sorry.clone(),
            up: server.up.clone(),
            down: server.down.clone(),
            mails: server.mails,
            suspend: server.suspend,
            stated: server.stated.clone(),
        }
    }

    fn named(&mut self, real: &RealConfig) -> RealConfig {
        let alphas = self.alphas.share(&real.alphas, |alphas| alphas.into());
        RealConfig { name: real.name.clone(), weight: real.weight, inhibit: real.inhibit, alphas }
    }

    fn real(&mut self, real: &RealServer) -> RealServer {
        RealServer {
            destination: real.destination.clone(),
            up: real.up.clone(),
            down: real.down.clone(),
            mails: real.mails,
            checks: real.checks.iter().map(|check| self.check(check)).collect(),
            stated: self.stated.share(&real.stated, |stated| Arc::new(stated.clone())),
        }
    }

    fn check(&mut self, check: &Check) -> Check {
        let timing = self.timings.share(&check.timing, |timing| Arc::new(*timing));
        let probe = match &check.probe {
            Probe::Tcp(to) => Probe::Tcp(self.connection(to)),
            Probe::Http(to, get) => Probe::Http(self.connection(to), self.gets.share(get, |get| Arc::new(get.clone()))),
            Probe::Udp(to, exchange) => Probe::Udp(self.connection(to), exchange.clone()),
            Probe::Dns(to, kind, name) => Probe::Dns(self.connection(to), *kind, name.clone()),
            Probe::Ping(to) => Probe::Ping(self.connection(to)),
            Probe::Smtp(to, helo) => Probe::Smtp(self.connection(to), helo.clone()),
            Probe::Misc(misc) => Probe::Misc(misc.clone()),
            Probe::File(name, factor) => Probe::File(name.clone(), *factor),
            Probe::Session(name) => Probe::Session(name.clone()),
        };
        Check { timing, probe, ..*check }
    }

    fn connection(&mut self, connection: &Connection) -> Connection {
        let options = self.options.share(&connection.options, |options| Arc::new(options.clone()));
        Connection { to: connection.to, options }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conf::expand::Environment;
    use crate::conf::source::Memory;
    use crate::keepalived::read::read;
    use crate::keepalived::slot::Machine;

    const SERVER: &str = "virtual_server 10.0.0.1 80 {\n lb_algo rr\n lb_kind NAT\n protocol TCP\n";

    fn real(last: u8, path: &str) -> String {
        format!(" real_server 10.0.0.{last} 80 {{\n HTTP_GET {{\n url {{\n path {path}\n }}\n }}\n }}\n")
    }

    #[test]
    fn settings_that_are_equal_are_kept_once() {
        let text = format!("{SERVER}{}{}{}}}\n", real(2, "/a"), real(3, "/a"), real(4, "/b"));
        let machine = Machine { has_interface: &|_| true, has_user: &|_, _| true, read_secret: &|_| None };
        let reading = read(&Memory::of("/k.conf", &text), "/k.conf", &Environment::default(), &machine).unwrap();
        let given = reading.into_site().servers;
        let copies = compact(&given);
        let check = |at: usize| &copies[0].reals[at].checks[0];
        let get = |at: usize| match &check(at).probe {
            Probe::Http(connection, get) => (connection, get),
            other => panic!("{other:?}"),
        };
        assert!(Arc::ptr_eq(&check(0).timing, &check(2).timing));
        assert!(Arc::ptr_eq(&get(0).0.options, &get(2).0.options));
        assert!(Arc::ptr_eq(get(0).1, get(1).1) && !Arc::ptr_eq(get(0).1, get(2).1));
        assert!(Arc::ptr_eq(&copies[0].reals[0].stated, &copies[0].reals[2].stated));
        assert!(Arc::ptr_eq(&copies[0].config.reals[0].alphas, &copies[0].config.reals[2].alphas));
        for (copy, given) in copies[0].reals.iter().zip(&given[0].reals) {
            assert_eq!((&copy.destination, &copy.checks[0].probe), (&given.destination, &given.checks[0].probe));
            assert_eq!(copy.checks[0].timing, given.checks[0].timing);
            assert!(!Arc::ptr_eq(&copy.checks[0].timing, &given.checks[0].timing));
        }
        assert_eq!(copies[0].config, given[0].config);
    }

    #[test]
    fn a_real_server_with_a_check_is_small() {
        let each = size_of::<RealServer>() + size_of::<Check>() + size_of::<RealConfig>();
        assert!(each <= 256, "{each}");
    }
}
