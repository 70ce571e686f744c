//! Blocks about interfaces: `garp_group`, `linkbeat_interfaces` and `interface_up_down_delays`.

use super::line::Need;
use super::root::Root;
use crate::conf::diagnostic::{Diagnostic, Severity};
use crate::conf::directive::{Arity, Directive, Opens};
use crate::conf::module::{Conf, Module, Scope};
use crate::conf::slot::Custom;
use crate::conf::tree::{Statement, Word};
use crate::conf::walk::Setting;
use crate::keepalived::contexts::GARP_GROUP;
use crate::keepalived::slot::{Seconds, at_end, complain, first, seconds};
use std::fmt;
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

/// How a driver is asked for the state of its link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// By the registers of its transceiver.
    Mii,
    /// As ethtool(8) does.
    Ethtool,
    /// By the flags of the interface alone.
    Ioctl,
}

impl Method {
    /// The method of this name.
    fn named(word: &Word) -> Option<Self> {
        let all = [("MII", Self::Mii), ("ETHTOOL", Self::Ethtool), ("IOCTL", Self::Ioctl)];
        all.into_iter().find(|(name, _)| word.is(name)).map(|(_, method)| method)
    }
}

impl fmt::Display for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Mii => "MII",
            Self::Ethtool => "ETHTOOL",
            Self::Ioctl => "IOCTL",
        })
    }
}

/// `linkbeat_interfaces {`.
///
/// # Errors
/// None; complaints are about single lines.
pub fn linkbeat(cx: &mut Setting<'_>, root: &mut Root, statement: &Statement) -> Result<(), Diagnostic> {
    for line in super::track::lines(cx, statement) {
        root.needs.push(Need::wanted(line.name().into_owned(), "linkbeat interface", line.span));
        let mut words = line.arguments().iter();
        let method = line.arguments().first().and_then(Method::named);
        root.linkbeat.push((line.name().into_owned(), method));
        let kind = words.next().filter(|_| method.is_none());
        let extra = kind.or_else(|| words.next().and_then(|_| line.arguments().first()));
        if let Some(word) = extra {
            let text = format!("extra characters {} in linkbeat interface", word.text());
            cx.report(complain(text).at(line.span));
        }
    }
    Ok(())
}

/// How long the state of a link must last before it counts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LinkDelay {
    /// The interface.
    pub name: String,
    /// Before it counts as down.
    pub down: Duration,
    /// Before it counts as up.
    pub up: Duration,
}

impl LinkDelay {
    /// The delay on the interface of a router with these timers: a backup must not miss so many adverts that it would be
    /// master.
    pub fn bounded(&self, down_timer_adverts: u32, interval: Duration) -> Self {
        let limit = limit(down_timer_adverts, interval);
        let up = match () {
            () if limit.is_zero() => Duration::ZERO,
            () if self.up == self.down => self.up.min(limit),
            () => self.up,
        };
        Self { name: self.name.clone(), down: self.down.min(limit), up }
    }

    /// What is said where it is too long for the router called `name`.
    pub fn complaint(&self, name: &str, (down_timer_adverts, interval): (u32, Duration)) -> Option<String> {
        if self.bounded(down_timer_adverts, interval) == *self {
            return None;
        }
        if down_timer_adverts == 1 {
            return Some(format!("{name}: cannot use debounce timers with down_timer_adverts = 1 - resetting"));
        }
        let (interface, adverts) = (&self.name, down_timer_adverts.saturating_sub(1));
        let bound = format!("not less that {adverts} * advert_int - resetting");
        Some(format!("{name}: interface {interface} debounce timer(s) {bound}"))
    }
}

/// The longest delay of a router's interface: a bit less than the adverts that a backup may miss.
fn limit(down_timer_adverts: u32, interval: Duration) -> Duration {
    (interval * down_timer_adverts.saturating_sub(1)).saturating_sub(interval / 256)
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
        let mut notice = |text: String| cx.report(Diagnostic::new(Severity::Notice, text));
        if words.is_empty() {
            notice(format!("No timeouts specified for {name} up/down delays"));
            continue;
        }
        if words.len() > 2 {
            notice(format!("Too many parameters for {name} up/down delays"));
        }
        let mut delay = LinkDelay { name, down: Duration::ZERO, up: Duration::ZERO };
        let mut valid = true;
        for (word, which) in words.iter().zip(["down", "up"]) {
            let text = word.text();
            match seconds(&text, &(0.0..=255.0)) {
                Ok(time) if which == "down" => delay.down = time,
                Ok(time) => delay.up = time,
                Err(complaint) => {
                    cx.report(complaint.at(line.span));
                    // As in keepalived, what is no number is zero, and what is out of range leaves the line out.
                    if text.trim().parse::<f64>().is_ok() {
                        let line = format!("Invalid {which} delay {text} for {}", delay.name);
                        cx.report(Diagnostic::new(Severity::Notice, line));
                        valid = false;
                        break;
                    }
                }
            }
        }
        if valid {
            root.delays.push(delay);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_delay_is_shorter_than_the_adverts_a_backup_may_miss() {
        let delay = |down, up| LinkDelay {
            name: "eth0".to_owned(),
            down: Duration::from_millis(down),
            up: Duration::from_millis(up),
        };
        let second = Duration::from_secs(1);
        assert_eq!(delay(1900, 9000).bounded(3, second), delay(1900, 9000));
        let limit = Duration::from_nanos(1_996_093_750);
        let LinkDelay { down, up, .. } = delay(2000, 9000).bounded(3, second);
        assert_eq!((down, up), (limit, Duration::from_secs(9)));
        assert_eq!(delay(2000, 2000).bounded(3, second).up, limit);
        assert_eq!(delay(2, 2).bounded(1, second), delay(0, 0));
        let said = |adverts, down, up| delay(down, up).complaint("V", (adverts, second));
        assert_eq!((said(3, 1900, 9000), said(1, 0, 0)), (None, None));
        let line = "V: interface eth0 debounce timer(s) not less that 2 * advert_int - resetting";
        assert_eq!(said(3, 2000, 0).as_deref(), Some(line));
        let line = "V: cannot use debounce timers with down_timer_adverts = 1 - resetting";
        assert_eq!(said(1, 0, 5).as_deref(), Some(line));
    }
}
