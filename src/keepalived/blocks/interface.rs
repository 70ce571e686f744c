//! Blocks about interfaces: `garp_group`, and `linkbeat_interfaces`, `interface_up_down_delays`, which are not served yet.

use super::line::Need;
use super::root::Root;
use crate::conf::diagnostic::{Diagnostic, Severity};
use crate::conf::directive::{Arity, Directive, Opens};
use crate::conf::module::{Conf, Module, Scope};
use crate::conf::slot::Custom;
use crate::conf::tree::Statement;
use crate::conf::walk::Setting;
use crate::keepalived::contexts::GARP_GROUP;
use crate::keepalived::slot::{Seconds, at_end, complain, first, seconds};
use std::time::Duration;

/// The keywords of `garp_group`.
pub const MODULE: Module =
    Module { name: "garp_group", directives: DIRECTIVES, scopes: &[Scope::of::<Pace>(GARP_GROUP)] };

const LONGEST: f64 = 2147.0;

const DIRECTIVES: &[Directive] = &[
    Directive::new(
        "garp_interval",
        GARP_GROUP,
        Arity::AtLeast(1),
        &Seconds(|c: &mut Pace| &mut c.arp, 0.0..=LONGEST, "garp_group {k} '{v}' invalid"),
    )
    .doc("Sets the seconds between two announcements of IPv4 addresses by interfaces of the group."),
    Directive::new(
        "gna_interval",
        GARP_GROUP,
        Arity::AtLeast(1),
        &Seconds(|c: &mut Pace| &mut c.na, 0.0..=LONGEST, "garp_group {k} '{v}' invalid"),
    )
    .doc("Sets the seconds between two announcements of IPv6 addresses by interfaces of the group."),
    Directive::new("interface", GARP_GROUP, Arity::AtLeast(1), &Custom(interface))
        .doc("Adds an interface to the group."),
    Directive::new("interfaces", GARP_GROUP, Arity::Block(0, 255, Opens::Rows), &Custom(interfaces))
        .doc("Lists the interfaces of the group."),
];

/// How fast interfaces may announce.
#[derive(Clone, Debug, Default)]
pub struct Pace {
    /// `garp_interval`.
    pub arp: Option<Duration>,
    /// `gna_interval`.
    pub na: Option<Duration>,
    /// The interfaces.
    pub needs: Vec<Need>,
}

impl Conf for Pace {
    fn inherit(&mut self, _: &Self) {}
}

/// `garp_group {`.
///
/// # Errors
/// None; it is judged at its end.
pub fn open(_: &mut Setting<'_>, _: &mut Root, _: &Statement) -> Result<(), Diagnostic> {
    Ok(())
}

/// `}` of a `garp_group`.
///
/// # Errors
/// It sets no pace.
pub fn close(cx: &mut Setting<'_>) -> Result<(), Diagnostic> {
    let number =
        cx.around().map_or(0, |around| around.children.iter().filter(|level| level.context == GARP_GROUP).count());
    match cx.seen::<Pace>() {
        Some(pace) if pace.arp.is_some() || pace.na.is_some() => {
            let large = [("garp_interval", pace.arp), ("gna_interval", pace.na)];
            let large = large.into_iter().filter_map(|(name, time)| Some((name, time?)));
            let texts: Vec<String> = large
                .filter(|(_, time)| time.as_secs() >= 1)
                .map(|(name, time)| format!("The {name} is very large - {} seconds", time.as_secs_f64()))
                .collect();
            texts.into_iter().for_each(|text| cx.report(Diagnostic::new(Severity::Notice, text)));
            Ok(())
        }
        _ => Err(complain(format!("garp group {number} does not have any delay set - removing"))),
    }
}

fn need(name: String, statement: &Statement) -> Need {
    let text = format!("WARNING - interface {name} specified for garp_group doesn't exist");
    Need { dev: name, text, vital: true, span: statement.span }
}

fn interface(_: &mut Setting<'_>, pace: &mut Pace, statement: &Statement) -> Result<(), Diagnostic> {
    pace.needs.push(need(first(statement), statement));
    Ok(())
}

fn interfaces(cx: &mut Setting<'_>, pace: &mut Pace, statement: &Statement) -> Result<(), Diagnostic> {
    let lines = super::track::lines(cx, statement);
    if lines.is_empty() {
        return Err(at_end(statement, "Warning - empty garp_group interfaces block"));
    }
    for line in lines {
        pace.needs.extend(line.words.iter().map(|word| need(word.text().into_owned(), &line)));
    }
    Ok(())
}

/// `linkbeat_interfaces {`.
///
/// # Errors
/// None; complaints are about single lines.
pub fn linkbeat(cx: &mut Setting<'_>, root: &mut Root, statement: &Statement) -> Result<(), Diagnostic> {
    for line in super::track::lines(cx, statement) {
        root.needs.push(Need::wanted(line.name().into_owned(), "linkbeat interface", line.span));
        let mut words = line.arguments().iter();
        let kind = words.next().filter(|word| !["MII", "ETHTOOL", "IOCTL"].iter().any(|kind| word.is(kind)));
        let extra = kind.or_else(|| words.next().and_then(|_| line.arguments().first()));
        if let Some(word) = extra {
            let text = format!("extra characters {} in linkbeat interface", word.text());
            cx.report(complain(text).at(line.span));
        }
    }
    Ok(())
}

/// `interface_up_down_delays {`.
///
/// # Errors
/// None; complaints are about single lines.
pub fn delays(cx: &mut Setting<'_>, root: &mut Root, statement: &Statement) -> Result<(), Diagnostic> {
    for line in super::track::lines(cx, statement) {
        let name = line.name().into_owned();
        root.needs.push(Need::wanted(name.clone(), "up/down delay", line.span));
        let words = line.arguments();
        let complaint = if words.is_empty() {
            Some(complain(format!("No timeouts specified for {name} up/down delays")))
        } else if words.len() > 2 {
            Some(complain(format!("Too many parameters for {name} up/down delays")))
        } else {
            None
        };
        if let Some(complaint) = complaint {
            cx.report(complaint.at(line.span));
            continue;
        }
        for (word, which) in words.iter().zip(["down", "up"]) {
            if let Err(complaint) = seconds(&word.text(), &(0.0..=255.0)) {
                cx.report(complaint.at(line.span));
                let text = format!("Invalid {which} delay {} for {name}", word.text());
                cx.report(complain(text).at(line.span));
            }
        }
    }
    Ok(())
}
