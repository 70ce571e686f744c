//! What is held in the kernel: what a master puts there, and what is there from start to stop.
//!
//! A holder remembers what it put, interfaces by number, and takes away exactly that: rules, routes, addresses.

use super::act::part;
use super::firewall::{Blocked, Settings};
use super::{Process, wanted};
use crate::conf::diagnostic::reason;
use crate::keepalived::blocks::address::Address;
use crate::keepalived::blocks::{route, rule};
use crate::keepalived::log::{Log, cause};
use crate::keepalived::site::Instance;
use crate::kernel::address::Wanted;
use crate::kernel::netlink::Request;
use crate::kernel::nftables::Family;
use crate::kernel::route::Route;
use crate::kernel::rule::Rule;
use crate::kernel::{route as kernel_route, rule as kernel_rule};
use crate::vrrp::machine::StateKind;
use crate::vrrp::node::{Fact, RouterId};
use std::io;
use std::time::Instant;

/// What one holder has put into the kernel.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Held {
    /// Addresses.
    pub(super) addresses: Vec<Wanted>,
    /// Routes.
    pub(super) routes: Vec<Route<u32>>,
    /// Rules.
    pub(super) rules: Vec<Rule>,
    /// Addresses whose packets are dropped.
    pub(super) blocked: Vec<Blocked>,
}

/// Routes and rules to be held.
#[derive(Clone, Copy)]
struct Ways<'a> {
    routes: &'a [route::Given],
    rules: &'a [rule::Given],
}

impl Process {
    /// Puts what the instance at `at` holds as master into the kernel.
    pub(super) fn hold(&mut self, at: usize) {
        self.block(at);
        let Some(seat) = self.seats.get_mut(at) else { return };
        seat.held.addresses.reserve_exact(seat.instance.addresses.len().saturating_sub(seat.held.addresses.len()));
        for address in &seat.instance.addresses {
            let Some(wanted) = wanted(&self.interfaces, seat.instance.device(), address) else { continue };
            match wanted.add(&mut self.commands) {
                Ok(()) if !seat.held.addresses.contains(&wanted) => seat.held.addresses.push(wanted),
                Ok(()) => {}
                Err(error) => {
                    let (code, words) = cause(&error);
                    let (sequence, pid) = (self.commands.sequence(), std::process::id());
                    let text = format!("type=RTM_NEWADDR(20), seq={sequence}, pid={pid}");
                    self.log.say(format!("Netlink: error: {words}({code}), {text}"));
                }
            }
        }
        let (instance, mut held) = (seat.instance.clone(), std::mem::take(&mut seat.held));
        self.hold_ways(Ways { routes: &instance.routes, rules: &instance.rules }, &mut held);
        if let Some(seat) = self.seats.get_mut(at) {
            seat.held = held;
        }
    }

    /// Puts routes and rules that are not held yet.
    fn hold_ways(&mut self, ways: Ways<'_>, held: &mut Held) {
        for given in ways.routes {
            let index = |name: &str| self.interfaces.link(name).map(|link| link.index);
            let Some(route) = given.route.resolve(&index).filter(|route| !held.routes.contains(route)) else {
                continue;
            };
            match route.add(&mut self.commands) {
                Ok(()) => held.routes.push(route),
                Err(error) => self.refused_request(Request::NewRoute, &error),
            }
        }
        for given in ways.rules.iter().filter(|given| !held.rules.contains(&given.rule)).collect::<Vec<_>>() {
            match given.rule.add(&mut self.commands) {
                Ok(()) => held.rules.push(given.rule.clone()),
                Err(error) => self.refused_request(Request::NewRule, &error),
            }
        }
    }

    /// Takes away rules and routes.
    fn release_ways(&mut self, rules: Vec<Rule>, routes: Vec<Route<u32>>) {
        for rule in rules {
            if let Err(error) = rule.remove(&mut self.commands) {
                self.refused_request(Request::DeleteRule, &error);
            }
        }
        for route in routes {
            if let Err(error) = route.remove(&mut self.commands) {
                self.refused_request(Request::DeleteRoute, &error);
            }
        }
    }

    /// keepalived's line about a request the kernel refused.
    pub(super) fn refused_request(&self, request: Request, error: &io::Error) {
        let ((code, words), (name, number)) = (cause(error), request.shown());
        let (sequence, pid) = (self.commands.sequence(), std::process::id());
        self.log.say(format!("Netlink: error: {words}({code}), type={name}({number}), seq={sequence}, pid={pid}"));
    }

    /// Takes away what was put, whatever its interface is called by now.
    pub(super) fn release(&mut self, at: usize) {
        let ends = self.node.router(RouterId(at)).is_some_and(|router| router.state() == StateKind::Initialise);
        if self.start.keep_addresses && ends {
            return;
        }
        let Some(seat) = self.seats.get_mut(at) else { return };
        let Held { addresses, routes, rules, blocked } = std::mem::take(&mut seat.held);
        self.release_ways(rules, routes);
        let Some(seat) = self.seats.get(at) else { return };
        for held in addresses {
            part(&mut self.parting, held.ip);
            if let Err(error) = held.remove(&mut self.commands) {
                let (name, words) = (&seat.instance.name, reason(&error));
                self.log.say_of(name, format_args!("Unable to remove {} - {words}", held.ip));
            }
        }
        let outcome = self.firewall.unblock(&blocked);
        self.firewall_refused(outcome);
    }

    /// Drops packets to the addresses of the instance at `at`, if they are not to be accepted.
    fn block(&mut self, at: usize) {
        let Some(seat) = self.seats.get(at) else { return };
        let new: Vec<Blocked> =
            self.all_blocked(&seat.instance).into_iter().filter(|one| !seat.held.blocked.contains(one)).collect();
        let outcome = self.firewall.block(&new, &mut |family, table| old_table(&self.log, family, table));
        if let Some(seat) = self.seats.get_mut(at).filter(|_| outcome.is_ok()) {
            seat.held.blocked.extend(new);
        }
        self.rules_changed(outcome);
    }

    /// Makes all rules again where the tables were gone; says what the kernel refused.
    pub(super) fn rules_changed(&mut self, outcome: io::Result<bool>) {
        if let Ok(true) = outcome {
            self.redirect_again();
            for seat in &self.seats {
                let mut old = |family: Family, table: &str| old_table(&self.log, family, table);
                let outcome = self.firewall.block(&seat.held.blocked, &mut old);
                self.firewall_refused(outcome.map(|_| ()));
            }
        }
        self.firewall_refused(outcome.map(|_| ()));
    }

    /// What blocks the addresses of an instance.
    fn all_blocked(&self, instance: &Instance) -> Vec<Blocked> {
        let addresses = instance.addresses.iter().filter(|_| instance.router.no_accept);
        addresses.filter_map(|address| self.firewall.blocked(instance, address, &self.interfaces)).collect()
    }

    /// Accepts, at a reload, packets to what `instance` does not block any more.
    pub(super) fn forget_blocked(&mut self, held: &mut Held, instance: &Instance) {
        let all = self.all_blocked(instance);
        let gone: Vec<Blocked> = held.blocked.extract_if(.., |one| !all.contains(one)).collect();
        let outcome = self.firewall.unblock(&gone);
        self.firewall_refused(outcome);
    }

    /// Takes the settings of the firewall rules; at a reload the rules are made anew if they changed.
    pub(super) fn configure_firewall(&mut self) {
        match self.firewall.configure(Settings::of(&self.site.global)) {
            Ok(false) => {}
            Ok(true) => {
                self.redirect_again();
                self.seats.iter_mut().for_each(|seat| seat.held.blocked.clear());
                for at in 0..self.seats.len() {
                    if self.is_master(at) {
                        self.block(at);
                    }
                }
            }
            Err(error) => self.firewall_refused(Err(error)),
        }
    }

    /// Takes away, at a reload, the routes and rules that are not among the new ones any more.
    pub(super) fn forget_ways(&mut self, held: &mut Held, routes: &[route::Given], rules: &[rule::Given]) {
        let index = |name: &str| self.interfaces.link(name).map(|link| link.index);
        let new: Vec<Route<u32>> = routes.iter().filter_map(|given| given.route.resolve(&index)).collect();
        let stays = |rule: &Rule| rules.iter().any(|given| given.rule == *rule);
        let gone_rules: Vec<Rule> = held.rules.extract_if(.., |rule| !stays(rule)).collect();
        let gone_routes: Vec<Route<u32>> = held.routes.extract_if(.., |route| !new.contains(route)).collect();
        if rules.is_empty() && !gone_rules.is_empty() {
            self.log.say("Removing a VirtualRule block");
        }
        for rule in gone_rules.iter().filter(|_| !rules.is_empty()) {
            let shown = |network: Option<(std::net::IpAddr, u8)>| network.map(|(ip, length)| format!("{ip}/{length}"));
            let from = shown(rule.from).unwrap_or_else(|| "all".to_owned());
            let to = shown(rule.to).map(|to| format!(" to {to}")).unwrap_or_default();
            self.log.detail(format!("ip rule from {from}{to} removed"));
        }
        if routes.is_empty() && !gone_routes.is_empty() {
            self.log.say("Removing a VirtualRoute block");
        }
        for route in gone_routes.iter().filter(|_| !routes.is_empty()) {
            let (ip, length) = route.destination;
            // keepalived shows the length twice, unless it is a host's.
            let host = if ip.is_ipv6() { 128 } else { 32 };
            let shown = if length == host { ip.to_string() } else { format!("{ip}/{length}") };
            self.log.say(format!("ip route {shown}/{length} ... , no longer exist"));
        }
        self.release_ways(gone_rules, gone_routes);
    }

    /// Static addresses, routes and rules, held from start to stop.
    pub(super) fn hold_static_all(&mut self) {
        let addresses = self.site.root.addresses.clone();
        self.hold_static(&addresses, true);
        let (routes, rules) = (self.site.root.routes.clone(), self.site.root.rules.clone());
        let mut held = std::mem::take(&mut self.static_held);
        self.hold_ways(Ways { routes: &routes, rules: &rules }, &mut held);
        self.static_held = held;
    }

    /// Takes them all away, in the order keepalived does.
    pub(super) fn release_static_all(&mut self) {
        let Held { routes, rules, .. } = std::mem::take(&mut self.static_held);
        self.release_ways(rules, routes);
        let addresses = self.site.root.addresses.clone();
        self.hold_static(&addresses, false);
    }

    /// Takes away the static routes and rules that the new site has not got.
    pub(super) fn forget_static_ways(&mut self) {
        let (routes, rules) = (self.site.root.routes.clone(), self.site.root.rules.clone());
        let mut held = std::mem::take(&mut self.static_held);
        self.forget_ways(&mut held, &routes, &rules);
        self.static_held = held;
    }

    /// Puts some static addresses on their interfaces, or takes them away.
    pub(super) fn hold_static(&mut self, addresses: &[Address], add: bool) {
        let default = self.site.static_device();
        for address in addresses {
            let outcome = match wanted(&self.interfaces, &default, address) {
                Some(wanted) if add => wanted.add(&mut self.commands),
                Some(wanted) => {
                    part(&mut self.parting, wanted.ip);
                    wanted.remove(&mut self.commands)
                }
                None => Err(io::Error::from_raw_os_error(nix::errno::Errno::ENODEV as i32)),
            };
            if let Err(error) = outcome {
                self.log.say(format!("Static address {}: {}", address.ip, reason(&error)));
            }
        }
    }

    /// Receives the loss of routes and rules that are tracked.
    pub(super) fn watch_ways(&mut self) {
        let instances = self.site.instances.iter();
        let routes = instances.clone().flat_map(|one| &one.routes).chain(&self.site.root.routes);
        let rules = instances.flat_map(|one| &one.rules).chain(&self.site.root.rules);
        let matters = routes.map(|given| given.tracked).chain(rules.map(|given| given.tracked)).any(|tracked| tracked);
        if matters && !std::mem::replace(&mut self.watches_ways, true) {
            let outcome = self.monitor.watch_routes();
            self.refused("the watch on routes", outcome);
        }
    }

    /// The kernel drops the routes through a link that goes down, without a word.
    pub(super) fn link_down(&mut self, index: u32) {
        let all = self.seats.iter_mut().map(|seat| &mut seat.held).chain(std::iter::once(&mut self.static_held));
        all.for_each(|held| held.routes.retain(|route| route.dev != Some(index)));
    }

    /// A route was put. keepalived remarks on those without an interface.
    pub(super) fn route_came(&self, seen: &kernel_route::Seen) {
        let mut held = self.seats.iter().map(|seat| &seat.held).chain(std::iter::once(&self.static_held));
        if seen.dev.is_none() && held.any(|held| held.routes.iter().any(|route| route.is(seen))) {
            self.log.say("New route doesn't have i/f index");
        }
    }

    /// A route was removed: a master that has it ends being master, as after a removed address; a static route is added again.
    pub(super) fn route_gone(&mut self, seen: &kernel_route::Seen) {
        let lost = |held: &mut Held| held.routes.extract_if(.., |route| route.is(seen)).next();
        let index = |name: &str| self.interfaces.link(name).map(|link| link.index);
        let tracked = |all: &[route::Given], route: &Route<u32>| {
            let given = all.iter().find(|one| one.route.resolve(&index).as_ref() == Some(route));
            given.filter(|given| given.tracked).map(ToString::to_string)
        };
        let mut losers = Vec::new();
        for (at, seat) in self.seats.iter_mut().enumerate() {
            let route = lost(&mut seat.held);
            if route.is_some_and(|route| tracked(&seat.instance.routes, &route).is_some()) {
                losers.push(at);
            }
        }
        let fixed = lost(&mut self.static_held).and_then(|route| tracked(&self.site.root.routes, &route));
        self.ways_lost(&losers);
        if let Some(shown) = fixed {
            self.hold_static_all();
            self.log.say(format!("Restoring deleted static route {shown}"));
        }
    }

    /// The same for a rule.
    pub(super) fn rule_gone(&mut self, seen: &kernel_rule::Seen) {
        let lost = |held: &mut Held| held.rules.extract_if(.., |rule| rule.is(seen)).next();
        let tracked = |all: &[rule::Given], rule: &Rule| {
            let given = all.iter().find(|one| one.rule == *rule);
            given.filter(|given| given.tracked).map(ToString::to_string)
        };
        let mut losers = Vec::new();
        for (at, seat) in self.seats.iter_mut().enumerate() {
            let rule = lost(&mut seat.held);
            if rule.is_some_and(|rule| tracked(&seat.instance.rules, &rule).is_some()) {
                losers.push(at);
            }
        }
        let fixed = lost(&mut self.static_held).and_then(|rule| tracked(&self.site.root.rules, &rule));
        self.ways_lost(&losers);
        if let Some(shown) = fixed {
            self.hold_static_all();
            self.log.say(format!("Restoring deleted static rule {shown}"));
        }
    }

    fn ways_lost(&mut self, losers: &[usize]) {
        let now = Instant::now();
        for at in losers.iter().copied() {
            if self.is_master(at) {
                self.node.tell(now, Fact::AddressLost(RouterId(at)));
                self.perform_acts();
            }
        }
    }
}

/// keepalived's line about a table an earlier process left behind.
pub(super) fn old_table(log: &Log, family: Family, table: &str) {
    let family = if family == Family::Ipv6 { "6" } else { "" };
    log.say(format!("Deleting old ip{family} {table} table"));
}
