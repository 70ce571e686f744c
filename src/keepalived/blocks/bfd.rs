//! `bfd_instance`: a BFD session. Not served yet.

use crate::conf::diagnostic::{Diagnostic, Kind};
use crate::conf::directive::{Arity, Directive};
use crate::conf::module::{Conf, Module, Scope};
use crate::conf::slot::Custom;
use crate::conf::tree::Statement;
use crate::conf::walk::{Level, Setting};
use crate::keepalived::contexts::BFD;
use crate::keepalived::slot::{Present, Signed, Unsigned, also, complain, count, first, whole, worded};
use std::net::IpAddr;

/// The keywords of BFD sessions.
pub const MODULE: Module = Module { name: "bfd_instance", directives: DIRECTIVES, scopes: &[Scope::of::<Bfd>(BFD)] };

const BARE: Arity = Arity::AtLeast(0);
const ONE: Arity = Arity::AtLeast(1);
const HOPS: &str =
    "Configuration error: BFD instance {n} ttl/hoplimit value {v} not valid (must be in range [1-255]), ignoring";

const DIRECTIVES: &[Directive] = &[
    Directive::missing("source_ip", BFD, ONE).judged(&Custom(source)).doc("The address packets are sent from."),
    Directive::missing("neighbor_ip", BFD, ONE).judged(&Custom(neighbor)).doc("The address of the other end."),
    Directive::missing("neighbour_ip", BFD, ONE)
        .judged(&Custom(neighbor))
        .doc("The address of the other end, in the other spelling."),
    Directive::missing("min_rx", BFD, ONE)
        .judged(&Custom(min_rx))
        .doc("The shortest time between packets this end can receive, in milliseconds."),
    Directive::missing("min_tx", BFD, ONE)
        .judged(&Custom(min_tx))
        .doc("The shortest time between packets this end sends while the session is up, in milliseconds."),
    Directive::missing("idle_tx", BFD, ONE)
        .judged(&Custom(idle_tx))
        .doc("The time between packets while the session is down, in milliseconds."),
    Directive::missing("multiplier", BFD, ONE)
        .judged(&Unsigned(
            |c: &mut Bfd| &mut c.multiplier,
            1..=255,
            "Configuration error: BFD instance {n} {k} value {v} not valid (must be in range [1-255]), ignoring",
        ))
        .doc("How many packets may be lost before the session counts as down."),
    Directive::missing("passive", BFD, BARE)
        .judged(&Present(|c: &mut Bfd| &mut c.passive, true))
        .doc("Sends nothing until the other end does."),
    Directive::missing("ttl", BFD, ONE)
        .judged(&Unsigned(|c: &mut Bfd| &mut c.hops, 1..=255, HOPS))
        .doc("The time to live of sent packets over IPv4."),
    Directive::missing("hoplimit", BFD, ONE)
        .judged(&Unsigned(|c: &mut Bfd| &mut c.hops, 1..=255, HOPS))
        .doc("The hop limit of sent packets over IPv6."),
    Directive::missing("max_hops", BFD, ONE)
        .judged(&Signed(
            |c: &mut Bfd| &mut c.max_hops,
            -1..=255,
            "Configuration error: BFD instance {n} {k} value {v} not valid (must be in range [-1-255]), ignoring",
        ))
        .doc("How many routers may lie between the two ends."),
    Directive::missing("weight", BFD, ONE)
        .judged(&Custom(weight))
        .doc("What is added to priorities that track the session."),
    Directive::missing("vrrp", BFD, BARE).doc("Only virtual routers hear of the session."),
    Directive::missing("checker", BFD, BARE).doc("Only health checks hear of the session."),
    Directive::missing("multihop", BFD, BARE).doc("The other end need not be on the same link."),
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
    /// `min_rx`, in microseconds.
    pub min_rx: Option<i64>,
    /// `min_tx`, in microseconds.
    pub min_tx: Option<i64>,
    /// `idle_tx`, in microseconds.
    pub idle_tx: Option<i64>,
    /// `multiplier`.
    pub multiplier: Option<i64>,
    /// `passive`.
    pub passive: Option<bool>,
    /// `ttl`.
    pub hops: Option<i64>,
    /// `max_hops`.
    pub max_hops: Option<i64>,
    /// `weight`, and whether it is reversed.
    pub weight: Option<(i64, bool)>,
    /// `neighbor_ip` was no address, so that its absence is not complained about once more.
    pub spoilt: bool,
}

impl Conf for Bfd {
    fn inherit(&mut self, _: &Self) {}
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
