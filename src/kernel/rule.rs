//! Routing rules.

use super::message::Body;
use super::netlink::{Attributes, Commands, Request};
use super::route::{KEEPALIVED, MAIN_TABLE};
use netlink_packet_core::{NLM_F_CREATE, NLM_F_EXCL};
use nix::errno::Errno;
use std::io;
use std::net::IpAddr;

const FRA_DST: u16 = 1;
const FRA_SRC: u16 = 2;
const FRA_IIFNAME: u16 = 3;
const FRA_GOTO: u16 = 4;
const FRA_PRIORITY: u16 = 6;
const FRA_FWMARK: u16 = 10;
const FRA_FLOW: u16 = 11;
const FRA_TUN_ID: u16 = 12;
const FRA_SUPPRESS_IFGROUP: u16 = 13;
const FRA_SUPPRESS_PREFIXLEN: u16 = 14;
const FRA_TABLE: u16 = 15;
const FRA_FWMASK: u16 = 16;
const FRA_OIFNAME: u16 = 17;
const FRA_L3MDEV: u16 = 19;
const FRA_UID_RANGE: u16 = 20;
const FRA_PROTOCOL: u16 = 21;
const FRA_IP_PROTO: u16 = 22;
const FRA_SPORT_RANGE: u16 = 23;
const FRA_DPORT_RANGE: u16 = 24;

const INVERT: u32 = 2;

/// What a rule does with a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// It is looked up in a table.
    Table(u32),
    /// It is looked up in the table of its VRF.
    L3mdev,
    /// The rule of this priority is next.
    Goto(u32),
    /// The next rule is next.
    Nop,
    /// It is dropped.
    Blackhole,
    /// Its sender is told that there is no way.
    Unreachable,
    /// Its sender is told that it may not pass.
    Prohibit,
}

impl Action {
    const fn number(self) -> u8 {
        match self {
            Self::Table(_) | Self::L3mdev => 1,
            Self::Goto(_) => 2,
            Self::Nop => 3,
            Self::Blackhole => 6,
            Self::Unreachable => 7,
            Self::Prohibit => 8,
        }
    }
}

/// A rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    /// It is for IPv6.
    pub ipv6: bool,
    /// What it does.
    pub action: Action,
    /// It is for packets that do not match.
    pub invert: bool,
    /// The source network.
    pub from: Option<(IpAddr, u8)>,
    /// The destination network.
    pub to: Option<(IpAddr, u8)>,
    /// The priority among rules.
    pub priority: Option<u32>,
    /// The type of service.
    pub tos: u8,
    /// The firewall mark, and its mask.
    pub mark: Option<(u32, Option<u32>)>,
    /// The realms.
    pub realms: Option<u32>,
    /// Routes with prefixes as short as this do not count.
    pub suppress_prefix: Option<u32>,
    /// Routes through interfaces of this group do not count.
    pub suppress_group: Option<u32>,
    /// The interface packets come in by.
    pub input: Option<String>,
    /// The interface packets of this machine go out by.
    pub output: Option<String>,
    /// The tunnel packets come from.
    pub tunnel: Option<u64>,
    /// The users whose packets are meant.
    pub users: Option<(u32, u32)>,
    /// Who made it.
    pub protocol: Option<u8>,
    /// The protocol of the packets.
    pub ip_protocol: Option<u8>,
    /// The source ports.
    pub source_ports: Option<(u16, u16)>,
    /// The destination ports.
    pub destination_ports: Option<(u16, u16)>,
}

impl Rule {
    /// A rule of one action, with every default.
    pub const fn new(action: Action) -> Self {
        Self {
            ipv6: false,
            action,
            invert: false,
            from: None,
            to: None,
            priority: None,
            tos: 0,
            mark: None,
            realms: None,
            suppress_prefix: None,
            suppress_group: None,
            input: None,
            output: None,
            tunnel: None,
            users: None,
            protocol: Some(KEEPALIVED),
            ip_protocol: None,
            source_ports: None,
            destination_ports: None,
        }
    }

    fn body(&self) -> Body {
        let length = |network: Option<(IpAddr, u8)>| network.map_or(0, |(_, length)| length);
        let table = match self.action {
            Action::Table(0) => MAIN_TABLE,
            Action::Table(table) => table,
            _ => 0,
        };
        let family = if self.ipv6 { 10 } else { 2 };
        let short = u8::try_from(table).unwrap_or(0);
        let mut fixed = vec![family, length(self.to), length(self.from), self.tos, short, 0, 0, self.action.number()];
        fixed.extend(if self.invert { INVERT } else { 0 }.to_ne_bytes());
        let mut body = Body::new(&fixed);
        if table != 0 && short == 0 {
            body.number(FRA_TABLE, table);
        }
        for (kind, network) in [(FRA_SRC, self.from), (FRA_DST, self.to)] {
            if let Some((ip, _)) = network {
                body.address(kind, ip);
            }
        }
        let target = if let Action::Goto(target) = self.action { Some(target) } else { None };
        let numbers = [
            (FRA_PRIORITY, self.priority),
            (FRA_FWMARK, self.mark.map(|(mark, _)| mark)),
            (FRA_FWMASK, self.mark.and_then(|(_, mask)| mask)),
            (FRA_FLOW, self.realms),
            (FRA_SUPPRESS_PREFIXLEN, self.suppress_prefix),
            (FRA_SUPPRESS_IFGROUP, self.suppress_group),
            (FRA_GOTO, target),
        ];
        for (kind, number) in numbers {
            if let Some(number) = number {
                body.number(kind, number);
            }
        }
        self.add_selectors(&mut body);
        body
    }

    fn add_selectors(&self, body: &mut Body) {
        for (kind, name) in [(FRA_IIFNAME, &self.input), (FRA_OIFNAME, &self.output)] {
            if let Some(name) = name {
                body.name(kind, name);
            }
        }
        if let Some(tunnel) = self.tunnel {
            body.attribute(FRA_TUN_ID, &tunnel.to_be_bytes());
        }
        if let Some((first, last)) = self.users {
            body.attribute(FRA_UID_RANGE, &[first.to_ne_bytes(), last.to_ne_bytes()].concat());
        }
        if self.action == Action::L3mdev {
            body.attribute(FRA_L3MDEV, &[1]);
        }
        for (kind, number) in [(FRA_PROTOCOL, self.protocol), (FRA_IP_PROTO, self.ip_protocol)] {
            if let Some(number) = number {
                body.attribute(kind, &[number]);
            }
        }
        for (kind, ports) in [(FRA_SPORT_RANGE, self.source_ports), (FRA_DPORT_RANGE, self.destination_ports)] {
            if let Some((first, last)) = ports {
                body.attribute(kind, &[first.to_ne_bytes(), last.to_ne_bytes()].concat());
            }
        }
    }

    /// Puts the rule into the kernel.
    ///
    /// # Errors
    /// What the kernel answered.
    pub fn add(&self, commands: &mut Commands) -> io::Result<()> {
        commands.ask(Request::NewRule, self.body().bytes(), NLM_F_CREATE | NLM_F_EXCL)
    }

    /// Takes the rule away. One that is not there is fine.
    ///
    /// # Errors
    /// What the kernel answered.
    pub fn remove(&self, commands: &mut Commands) -> io::Result<()> {
        match commands.ask(Request::DeleteRule, self.body().bytes(), 0) {
            Err(error) if error.raw_os_error() == Some(Errno::ENOENT as i32) => Ok(()),
            outcome => outcome,
        }
    }

    /// Whether what the kernel says is about this rule.
    pub fn is(&self, seen: &Seen) -> bool {
        let networks = (self.from, self.to) == (seen.from, seen.to);
        let numbers = (self.ipv6, self.action.number(), self.tos) == (seen.ipv6, seen.action, seen.tos);
        let table = if let Action::Table(table) = self.action { table == seen.table } else { true };
        networks
            && numbers
            && table
            && self.priority.is_none_or(|priority| priority == seen.priority)
            && self.mark.map_or(0, |(mark, _)| mark) == seen.mark
    }
}

/// What the kernel says of a rule of ours.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    /// It is for IPv6.
    pub ipv6: bool,
    /// What it does, as the kernel numbers it.
    pub action: u8,
    /// The type of service.
    pub tos: u8,
    /// The table.
    pub table: u32,
    /// The source network.
    pub from: Option<(IpAddr, u8)>,
    /// The destination network.
    pub to: Option<(IpAddr, u8)>,
    /// The priority.
    pub priority: u32,
    /// The firewall mark.
    pub mark: u32,
}

impl Seen {
    /// The body of a rule message; `None` for those of other makers.
    pub fn read(body: &[u8]) -> Option<Self> {
        let [family, to, from, tos, table, _, _, action] = *body.first_chunk::<8>()?;
        let ipv6 = match family {
            2 => false,
            10 => true,
            _ => return None,
        };
        let mut seen = Self { ipv6, action, tos, table: u32::from(table), from: None, to: None, priority: 0, mark: 0 };
        for (kind, value) in Attributes(body.get(12..)?) {
            let number = || value.try_into().map(u32::from_ne_bytes).ok();
            match kind {
                FRA_PROTOCOL if value != [KEEPALIVED] => return None,
                FRA_SRC => seen.from = Some((super::address::ip(value)?, from)),
                FRA_DST => seen.to = Some((super::address::ip(value)?, to)),
                FRA_PRIORITY => seen.priority = number()?,
                FRA_FWMARK => seen.mark = number()?,
                FRA_TABLE => seen.table = number()?,
                _ => {}
            }
        }
        Some(seen)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_kernel_says_of_a_rule_is_known_again() {
        let mut rule = Rule::new(Action::Table(1000));
        (rule.from, rule.priority) = (Some(("192.0.2.0".parse().unwrap(), 24)), Some(77));
        let seen = Seen::read(rule.body().bytes()).unwrap();
        assert!(rule.is(&seen), "{seen:?}");
        assert!(!rule.is(&Seen { priority: 78, ..seen.clone() }));
        assert!(!rule.is(&Seen { table: 254, ..seen }));
        rule.protocol = Some(3);
        assert_eq!(Seen::read(rule.body().bytes()), None);
    }
}
