//! `bfd_instance`: a BFD session.

use crate::bfd::session::Config;
use crate::bfd::sessions::Ends;
use crate::conf::diagnostic::{Diagnostic, Kind};
use crate::conf::directive::{Arity, Directive};
use crate::conf::module::{Conf, Module, Scope};
use crate::conf::slot::Custom;
use crate::conf::tree::Statement;
use crate::conf::walk::{Level, Setting};
use crate::keepalived::bfd::Session;
use crate::keepalived::contexts::BFD;
use crate::keepalived::slot::{Present, Signed, Switch, Unsigned, also, complain, count, first, whole, worded};
use std::net::IpAddr;

/// The keywords of BFD sessions.
pub const MODULE: Module = Module { name: "bfd_instance", directives: DIRECTIVES, scopes: &[Scope::of::<Bfd>(BFD)] };

const BARE: Arity = Arity::AtLeast(0);
const ONE: Arity = Arity::AtLeast(1);
const HOPS: &str =
    "Configuration error: BFD instance {n} ttl/hoplimit value {v} not valid (must be in range [1-255]), ignoring";

const DIRECTIVES: &[Directive] = &[
    Directive::new("source_ip", BFD, ONE, &Custom(source)).doc("Sets the address packets are sent from."),
    Directive::new("neighbor_ip", BFD, ONE, &Custom(neighbor)).doc("Sets the address of the other end."),
    Directive::new("neighbour_ip", BFD, ONE, &Custom(neighbor))
        .doc("Sets the address of the other end, in the other spelling."),
    Directive::new("min_rx", BFD, ONE, &Custom(min_rx))
        .doc("Sets the shortest time between packets this end can receive, in milliseconds."),
    Directive::new("min_tx", BFD, ONE, &Custom(min_tx))
        .doc("Sets the shortest time between packets this end sends while the session is up, in milliseconds."),
    Directive::new("idle_tx", BFD, ONE, &Custom(idle_tx))
        .doc("Sets the time between packets while the session is down, in milliseconds."),
    Directive::new(
        "multiplier",
        BFD,
        ONE,
        &Unsigned(
            |c: &mut Bfd| &mut c.multiplier,
            1..=255,
            "Configuration error: BFD instance {n} {k} value {v} not valid (must be in range [1-255]), ignoring",
        ),
    )
    .doc("How many packets may be lost before the session counts as down."),
    Directive::new("passive", BFD, BARE, &Present(|c: &mut Bfd| &mut c.passive, true))
        .doc("Sends nothing until the other end does."),
    Directive::new("ttl", BFD, ONE, &Unsigned(|c: &mut Bfd| &mut c.hops, 1..=255, HOPS))
        .doc("The time to live of sent packets over IPv4."),
    Directive::new("hoplimit", BFD, ONE, &Unsigned(|c: &mut Bfd| &mut c.hops, 1..=255, HOPS))
        .doc("The hop limit of sent packets over IPv6."),
    Directive::new(
        "max_hops",
        BFD,
        ONE,
        &Signed(
            |c: &mut Bfd| &mut c.max_hops,
            -1..=255,
            "Configuration error: BFD instance {n} {k} value {v} not valid (must be in range [-1-255]), ignoring",
        ),
    )
    .doc("How many routers may lie between the two ends."),
    Directive::new("weight", BFD, ONE, &Custom(weight)).doc("What is added to priorities that track the session."),
    Directive::new("vrrp", BFD, BARE, &Present(|c: &mut Bfd| &mut c.vrrp, true))
        .doc("Tells virtual routers of the session; unless checker is given alone, they hear of it anyway."),
    Directive::new("checker", BFD, BARE, &Present(|c: &mut Bfd| &mut c.checker, true))
        .doc("Tells health checks of the session; alone it keeps virtual routers from hearing of it."),
    Directive::new(
        "multihop",
        BFD,
        BARE,
        &Switch(|c: &mut Bfd| &mut c.multihop, "Configuration error: BFD instance {n} {k} setting not valid - {v}"),
    )
    .doc("Uses the port of sessions whose ends are not on one link (RFC 5883); max_hops says how many routers may lie between."),
];

/// A session as configured.
#[derive(Clone, Debug, Default)]
pub struct Bfd {
    /// Its name.
    pub name: String,
    /// `source_ip`.
    pub source: Option<IpAddr>,
    /// `neighbor_ip`.
    pub neighbor: Option<IpAddr>,
    /// `min_rx`, in milliseconds.
    pub min_rx: Option<i64>,
    /// `min_tx`, in milliseconds.
    pub min_tx: Option<i64>,
    /// `idle_tx`, in milliseconds.
    pub idle_tx: Option<i64>,
    /// `multiplier`.
    pub multiplier: Option<i64>,
    /// `passive`.
    pub passive: Option<bool>,
    /// `ttl`.
    pub hops: Option<i64>,
    /// `max_hops`.
    pub max_hops: Option<i64>,
    /// `multihop`.
    pub multihop: Option<bool>,
    /// `weight`, and whether it is reversed.
    pub weight: Option<(i64, bool)>,
    /// `vrrp`.
    pub vrrp: Option<bool>,
    /// `checker`.
    pub checker: Option<bool>,
    /// `neighbor_ip` was no address, so that its absence is not complained about once more.
    pub spoilt: bool,
}

impl Conf for Bfd {
    fn inherit(&mut self, _: &Self) {}
}

/// Microseconds of so many milliseconds.
fn micros(millis: Option<i64>, default: i64) -> u32 {
    u32::try_from(millis.unwrap_or(default) * 1000).unwrap_or(u32::MAX)
}

/// The shortest time between packets unless another is given, in milliseconds.
const INTERVAL: i64 = 10;
/// The same while a session is not up.
const IDLE: i64 = 1000;
/// Packets that may be lost unless another number is given.
const MULTIPLIER: u8 = 5;
/// The hop limit of IPv6 unless another is given, as keepalived has it.
const HOP_LIMIT: u8 = 64;

impl Bfd {
    /// Virtual routers hear of it: unless only health checks are to.
    pub fn is_for_checkers(&self) -> bool {
        self.checker == Some(true) || self.vrrp != Some(true)
    }

    /// Whether virtual routers hear of it.
    pub fn is_for_routers(&self) -> bool {
        self.vrrp == Some(true) || self.checker != Some(true)
    }

    /// What it weighs, and whether good and bad change places.
    pub fn weight(&self) -> (i32, bool) {
        self.weight.map_or((0, false), |(weight, reverse)| (weight as i32, reverse))
    }

    /// The session, if it has two ends of one family.
    pub fn session(&self) -> Option<Session> {
        let neighbour = self.neighbor?;
        if self.source.is_some_and(|source| source.is_ipv6() != neighbour.is_ipv6()) {
            return None;
        }
        let byte = |value: Option<i64>| value.and_then(|value| u8::try_from(value).ok());
        let default = if neighbour.is_ipv6() { HOP_LIMIT } else { u8::MAX };
        let hops = byte(self.hops).unwrap_or(default);
        let max_hops = match self.max_hops {
            // As in keepalived, the greatest number is no limit either.
            Some(-1 | 255) => None,
            given => Some(byte(given).unwrap_or_default().min(hops)),
        };
        Some(Session {
            name: self.name.clone(),
            ends: Ends { neighbour, source: self.source, hops, max_hops, multihop: self.multihop == Some(true) },
            config: Config {
                min_rx: micros(self.min_rx, INTERVAL),
                min_tx: micros(self.min_tx, INTERVAL),
                idle_tx: micros(self.idle_tx, IDLE),
                multiplier: byte(self.multiplier).unwrap_or(MULTIPLIER),
                passive: self.passive == Some(true),
            },
            for_routers: self.is_for_routers(),
            for_checkers: self.is_for_checkers(),
        })
    }
}

/// The sessions that can be run: of those with the same two ends the first.
pub fn sessions(given: &[Bfd]) -> Vec<Session> {
    let mut sessions: Vec<Session> = Vec::new();
    for session in given.iter().filter(|one| !one.name.is_empty()).filter_map(Bfd::session) {
        let same = |other: &Session| {
            let (one, other) = (&session.ends, &other.ends);
            let sources = one.source.is_none() || other.source.is_none() || one.source == other.source;
            one.neighbour == other.neighbour && one.multihop == other.multihop && sources
        };
        if !sessions.iter().any(same) {
            sessions.push(session);
        }
    }
    sessions
}

/// The longest name.
const LONGEST: usize = 31;

/// `bfd_instance NAME {`.
///
/// # Errors
/// The name is too long or taken.
pub fn open(cx: &mut Setting<'_>, bfd: &mut Bfd, statement: &Statement) -> Result<(), Diagnostic> {
    let name = first(statement);
    if name.len() > LONGEST {
        return Err(complain(format!("BFD name {name} too long")).kind(Kind::Name));
    }
    if let Some(first) = super::track::definition(cx, BFD, &name) {
        return Err(complain(format!("BFD {name} already specified")).kind(Kind::Name).earlier(first.span));
    }
    bfd.name = name;
    Ok(())
}

/// `}` of a session.
///
/// # Errors
/// It has no neighbour, or one of another family than its source.
pub fn close(cx: &mut Setting<'_>) -> Result<(), Diagnostic> {
    let Some(bfd) = cx.seen::<Bfd>() else { return Ok(()) };
    let prefix = format!("Configuration error: BFD instance {}", bfd.name);
    match (bfd.neighbor, bfd.source) {
        (None, _) if bfd.spoilt => Ok(()),
        (None, _) => Err(complain(format!("{prefix} has no neighbor address set, disabling instance"))),
        (Some(neighbor), Some(source)) if neighbor.is_ipv6() != source.is_ipv6() => {
            // keepalived writes both into one buffer, so it shows the source twice.
            let text = "are not of the same family, disabling instance";
            Err(complain(format!("{prefix} source address {source} and neighbor address {source} {text}")))
        }
        (Some(neighbor), _) => match twin(cx, neighbor) {
            Some(first) => {
                let text = format!("{prefix} has duplicate neighbor address {neighbor}, ignoring instance");
                Err(complain(text).earlier(first.span))
            }
            None => Ok(()),
        },
    }
}

/// Whether another session has the same neighbour.
fn twin<'a>(cx: &'a Setting<'_>, neighbor: IpAddr) -> Option<&'a Level> {
    let same = |level: &&Level| level.own::<Bfd>().is_some_and(|other| other.neighbor == Some(neighbor));
    cx.outermost()?.children.iter().find(same)
}

type Outcome = Result<(), Diagnostic>;

fn source(cx: &mut Setting<'_>, bfd: &mut Bfd, statement: &Statement) -> Outcome {
    let template = "Configuration error: BFD instance {n} has malformed source address {v}, ignoring";
    let text = first(statement);
    bfd.source = Some(text.parse().map_err(|_| complain(worded(template, cx, &text)))?);
    Ok(())
}

fn neighbor(cx: &mut Setting<'_>, bfd: &mut Bfd, statement: &Statement) -> Outcome {
    let template = "Configuration error: BFD instance {n} has malformed neighbor address {v}, ignoring instance";
    let text = first(statement);
    bfd.spoilt = true;
    bfd.neighbor = Some(text.parse().map_err(|_| complain(worded(template, cx, &text)))?);
    Ok(())
}

/// Whole milliseconds, from so many on.
fn interval(cx: &mut Setting<'_>, statement: &Statement, least: i64) -> Result<i64, Diagnostic> {
    const MOST: i64 = 4_294_967;
    count(&first(statement), &(least..=MOST)).map_err(|complaint| {
        let template = format!(
            "Configuration error: BFD instance {{n}} {{k}} value {{v}} is not valid (must be in range [{least}-{MOST}]), ignoring"
        );
        also(cx, statement, complaint, &template)
    })
}

fn min_rx(cx: &mut Setting<'_>, bfd: &mut Bfd, statement: &Statement) -> Outcome {
    bfd.min_rx = Some(interval(cx, statement, 1)?);
    Ok(())
}

fn min_tx(cx: &mut Setting<'_>, bfd: &mut Bfd, statement: &Statement) -> Outcome {
    bfd.min_tx = Some(interval(cx, statement, 1)?);
    Ok(())
}

fn idle_tx(cx: &mut Setting<'_>, bfd: &mut Bfd, statement: &Statement) -> Outcome {
    bfd.idle_tx = Some(interval(cx, statement, 1000)?);
    Ok(())
}

fn weight(cx: &mut Setting<'_>, bfd: &mut Bfd, statement: &Statement) -> Outcome {
    let template =
        "Configuration error: BFD instance {n} weight value {v} not valid (must be in range [-253-253]), ignoring";
    let option = statement.arguments().get(1);
    match whole(&first(statement), &(-253..=253)) {
        Ok(weight) => bfd.weight = Some((weight, option.is_some_and(|word| word.is("reverse")))),
        Err(wrong) => {
            let complaint = also(cx, statement, wrong, template);
            cx.report(complaint.at(statement.span));
        }
    }
    match option {
        Some(word) if !word.is("reverse") => {
            let text = format!("Configuration error: BFD instance {} unknown weight option {}", bfd.name, word.text());
            Err(complain(text))
        }
        _ => Ok(()),
    }
}
