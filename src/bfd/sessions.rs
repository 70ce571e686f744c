//! All sessions of a host: which one a packet is for, and whether it came from near enough.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use super::packet::{Invalid, Packet};
use super::session::{Action, Config, Facts, Session};
use std::fmt;
use std::net::IpAddr;
use std::time::Instant;

/// The two ends of a session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ends {
    /// The other end.
    pub neighbour: IpAddr,
    /// This end, if its address is configured.
    pub source: Option<IpAddr>,
    /// The TTL or hop limit packets leave with.
    pub hops: u8,
    /// The routers packets may cross; nothing is checked without.
    pub max_hops: Option<u8>,
    /// Routers may lie between them: packets go to the port for that.
    pub multihop: bool,
}

/// A packet that came in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Datagram {
    /// Its sender.
    pub source: IpAddr,
    /// The address of this host it came to, where it is known.
    pub destination: Option<IpAddr>,
    /// Its TTL or hop limit, where it is known.
    pub hops: Option<u8>,
    /// It came to the port of sessions over several hops.
    pub multihop: bool,
    /// The bytes.
    pub bytes: Vec<u8>,
}

/// Why a packet was dropped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Dropped {
    /// It is invalid.
    Invalid(Invalid),
    /// There is no session for it.
    NoSession(u32),
    /// It has crossed too many routers.
    Far {
        /// Over IPv6.
        ipv6: bool,
        /// The TTL it had.
        received: u8,
        /// The least.
        least: u8,
    },
    /// It is authenticated, which no session is.
    Authenticated,
}

impl Dropped {
    /// The lines about it; `from` is its sender.
    pub fn lines(&self, from: &str) -> Vec<String> {
        match self {
            Self::Invalid(why) => vec![why.to_string(), format!("Discarding bogus packet from {from}")],
            other => vec![format!("{}", Told(other, from))],
        }
    }
}

/// A reason and a sender.
///
/// Differs from keepalived: the number of a session that is not found is shown as the sender has it, not with its bytes swapped. [test: a_packet_finds_its_session_by_both_ends_or_by_number]
struct Told<'a>(&'a Dropped, &'a str);

impl fmt::Display for Told<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(dropped, from) = self;
        match dropped {
            Dropped::Invalid(why) => why.fmt(f),
            Dropped::NoSession(number) => {
                write!(f, "Discarding packet from {from} (session is not found - your discriminator field is {number})")
            }
            Dropped::Far { ipv6, received, least } => {
                let field = if *ipv6 { "hop_limit" } else { "ttl" };
                write!(f, "Packet {field}({received}) < {least} - discarding")
            }
            Dropped::Authenticated => {
                write!(f, "Discarding packet from {from} (auth bit is set, but no authentication  is in use)")
            }
        }
    }
}

/// One session and its ends.
#[derive(Debug)]
struct Member {
    name: String,
    ends: Ends,
    session: Session,
}

/// The sessions of a host, by name.
#[derive(Debug, Default)]
pub struct Sessions {
    members: Vec<Member>,
}

impl Sessions {
    /// Takes the sessions of a configuration; those whose name and ends stay go on as they are. `seed` makes numbers.
    pub fn replace(&mut self, now: Instant, wanted: Vec<(String, Ends, Config)>, mut seed: impl FnMut() -> u64) {
        let mut before = std::mem::take(&mut self.members);
        for (name, ends, config) in wanted {
            let both = |ends: &Ends| (ends.neighbour, ends.source, ends.multihop);
            let same = |one: &Member| one.name == name && both(&one.ends) == both(&ends);
            let session = match before.iter().position(same).map(|at| before.swap_remove(at)) {
                Some(mut member) => {
                    member.session.reconfigure(now, config);
                    member.session
                }
                None => Session::new(config, now, seed()),
            };
            self.members.push(Member { name, ends, session });
        }
    }

    /// Each session, in order.
    #[cfg(test)]
    fn each(&self) -> impl Iterator<Item = (&str, &Session)> {
        self.members.iter().map(|member| (member.name.as_str(), &member.session))
    }

    /// What each session knows, in order.
    pub fn facts(&self) -> impl Iterator<Item = Facts> {
        self.members.iter().map(|member| member.session.facts())
    }

    /// Takes a packet.
    ///
    /// # Errors
    /// Why it was dropped.
    pub fn receive(&mut self, now: Instant, datagram: &Datagram) -> Result<(), Dropped> {
        let packet = Packet::parse(&datagram.bytes).map_err(Dropped::Invalid)?;
        let same_ends = |ends: &Ends| {
            let here = ends.source.is_none() || datagram.destination.is_none() || ends.source == datagram.destination;
            ends.neighbour == datagram.source && ends.multihop == datagram.multihop && here
        };
        // Once it is known, the number alone decides (RFC 5880 §6.8.6).
        let wanted = |member: &&mut Member| match packet.yours {
            0 => same_ends(&member.ends),
            yours => member.session.number() == yours,
        };
        let member = self.members.iter_mut().find(wanted).ok_or(Dropped::NoSession(packet.yours))?;
        if let (Some(most), Some(received)) = (member.ends.max_hops, datagram.hops) {
            let least = member.ends.hops.saturating_sub(most);
            if received < least {
                return Err(Dropped::Far { ipv6: datagram.source.is_ipv6(), received, least });
            }
        }
        if packet.authenticated {
            return Err(Dropped::Authenticated);
        }
        member.session.handle(now, &packet);
        Ok(())
    }

    /// When [`Sessions::handle_timeout`] has something to do.
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.members.iter().filter_map(|member| member.session.poll_timeout()).min()
    }

    /// Does what is due at `now`.
    pub fn handle_timeout(&mut self, now: Instant) {
        self.members.iter_mut().for_each(|member| member.session.handle_timeout(now));
    }

    /// The next thing to do, and the place of its session.
    pub fn poll_action(&mut self) -> Option<(usize, Action)> {
        self.members.iter_mut().enumerate().find_map(|(at, member)| Some((at, member.session.poll_action()?)))
    }
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "a test starts its clock somewhere")]
mod tests;
