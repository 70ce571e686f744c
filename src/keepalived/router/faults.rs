//! Why a router is in fault: in keepalived's lines for the log, in plain words for the status.

use super::{InstanceState, Process};
use crate::keepalived::site::What;
use crate::vrrp::weight::{Verdict, is_fault};
use nix::errno::Errno;
use std::fmt;

/// What a tracked thing comes to that is a fault at every weight.
const LEAST: i64 = -254;

/// One reason.
pub(super) enum Fault<'a> {
    /// It asks for something that is not served and must not be left out.
    NotServed,
    /// It is for unicast and has no peers.
    NoPeers,
    /// There is no address its adverts could carry.
    NoAddress {
        /// Of this family.
        ipv6: bool,
    },
    /// The configured address is on no interface.
    NoSource,
    /// The system refused its sockets.
    Refused(i32),
    /// A script failed.
    Script(&'a str),
    /// An interface is down.
    Interface(&'a str),
    /// Too few or too many processes run.
    Process(&'a str),
    /// A file holds this number, which comes to that.
    File(&'a str, i64, i64),
    /// A BFD session is down.
    Session(&'a str),
}

impl Fault<'_> {
    /// keepalived's line; it has none for some.
    fn line(&self, name: &str) -> Option<String> {
        let enters = "entering FAULT state";
        Some(match self {
            Self::NotServed => format!("({name}) {enters} (what it asks for is not served)"),
            Self::NoAddress { ipv6 } => {
                format!("({name}) {enters} (no {} address for interface)", if *ipv6 { "IPv6" } else { "IPv4" })
            }
            Self::NoSource => format!("({name}): {enters} (src address not configured)"),
            Self::Script(script) => format!("({name}): {enters} due to script {script}"),
            Self::Interface(interface) => format!("({name}): {enters} (interface {interface} down)"),
            Self::Process(process) => format!("({name}) {enters} (tracked process {process} quorum not achieved)"),
            Self::File(file, _, status) => format!("({name}): {enters} (tracked file {file} has status {status})"),
            Self::NoPeers | Self::Refused(_) | Self::Session(_) => return None,
        })
    }
}

impl fmt::Display for Fault<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotServed => write!(f, "it asks for something that is not served"),
            Self::NoPeers => write!(f, "it is for unicast and has no peers"),
            Self::NoAddress { ipv6: false } => write!(f, "its interface has no IPv4 address"),
            Self::NoAddress { ipv6: true } => write!(f, "its interface has no IPv6 address"),
            Self::NoSource => write!(f, "its source address is on no interface"),
            Self::Refused(code) => write!(f, "its sockets cannot be opened: {}", Errno::from_raw(*code).desc()),
            Self::Script(script) => write!(f, "script {script} failed"),
            Self::Interface(interface) => write!(f, "interface {interface} is down"),
            Self::Process(process) => write!(f, "the quorum of process {process} is not reached"),
            Self::Session(session) => write!(f, "BFD session {session} is down"),
            Self::File(file, status, _) => write!(f, "file {file} has status {status}"),
        }
    }
}

impl Process {
    /// Logs why an instance is in fault.
    pub(super) fn explain_fault(&self, seat: &InstanceState) {
        let name = &seat.instance.name;
        self.faults(seat).iter().filter_map(|fault| fault.line(name)).for_each(|line| self.log.say(line));
    }

    /// Why an instance is in fault by itself; its group may be the reason as well.
    pub(super) fn faults<'a>(&self, seat: &'a InstanceState) -> Vec<Fault<'a>> {
        let instance = &seat.instance;
        let mut faults = Vec::new();
        if instance.closed {
            faults.push(Fault::NotServed);
        }
        if instance.lacks_peers {
            faults.push(Fault::NoPeers);
        }
        if seat.source.is_none() && self.interfaces.is_up(&instance.interface) {
            faults.push(Fault::NoAddress { ipv6: instance.router.is_ipv6() });
        }
        match seat.refused {
            Some(code) if code == Errno::EADDRNOTAVAIL as i32 => faults.push(Fault::NoSource),
            Some(code) => faults.push(Fault::Refused(code)),
            None => {}
        }
        for tracking in &instance.tracking {
            let Some(tracked) = self.tracked(tracking).filter(|tracked| is_fault(*tracked)) else { continue };
            match &tracking.what {
                What::Script(_) if tracked.verdict == Verdict::Unknown => {}
                What::Script(script) => faults.push(Fault::Script(script)),
                What::Interface(interface) => faults.push(Fault::Interface(interface)),
                What::Process(process) => faults.push(Fault::Process(process)),
                What::Session(session) => faults.push(Fault::Session(session)),
                What::File(file) => {
                    let status = self.files.iter().find(|one| one.name == *file).map_or(0, |one| one.value());
                    let sign = if tracking.reverse { -1 } else { 1 };
                    // Without a weight keepalived tells the least there is.
                    let sum = match tracking.weight {
                        0 => LEAST,
                        weight => status.saturating_mul(i64::from(weight)).saturating_mul(sign),
                    };
                    faults.push(Fault::File(file, status, sum));
                }
            }
        }
        faults
    }
}
