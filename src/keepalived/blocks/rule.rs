//! The lines of `virtual_rules` and `static_rules`: judged word by word, and made into rules.

use super::instance::Instance;
use super::line::{Found, Need, Words};
use super::root::Root;
use crate::conf::diagnostic::Diagnostic;
use crate::conf::directive::{Arity, Contexts, Directive};
use crate::conf::module::Module;
use crate::conf::tree::Statement;
use crate::conf::walk::Setting;
use crate::keepalived::contexts::{STATIC_RULE, TRACK_GROUP, VIRTUAL_RULE};
use crate::keepalived::slot::{Nothing, complain};
use crate::kernel::route::KEEPALIVED;
use crate::kernel::rule::{Action, Rule};
use std::net::IpAddr;

/// The words of rule lines.
pub const MODULE: Module = Module { name: "rules", directives: DIRECTIVES, scopes: &[] };

const LINES: Contexts = VIRTUAL_RULE.or(STATIC_RULE);

const fn word(name: &'static str) -> Directive {
    Directive::new(name, LINES, Arity::AtLeast(0), &Nothing)
}

const DIRECTIVES: &[Directive] = &[
    word("inet inet6").doc("The family of addresses."),
    word("not").doc("Turns the match round."),
    word("from").doc("The source network."),
    word("to").doc("The destination network."),
    word("table").doc("The routing table."),
    word("lookup").doc("The routing table, in another word."),
    word("preference").doc("The preference, as priority says it."),
    word("order").doc("The priority, in another word."),
    word("priority").doc("The priority among others."),
    word("tos").doc("The type of service, in the older spelling."),
    word("dsfield").doc("The type of service."),
    word("fwmark").doc("The firewall mark, with a mask."),
    word("realms").doc("The realms traffic is counted by."),
    word("suppress_prefixlength").doc("Ignores routes with prefixes as short as this."),
    word("sup_pl").doc("Short for suppress_prefixlength."),
    word("suppress_ifgroup").doc("Ignores routes through interfaces of a group."),
    word("sup_group").doc("Short for suppress_ifgroup."),
    word("dev").doc("The interface packets come in by."),
    word("iif").doc("The interface packets come in by."),
    word("oif").doc("The interface packets of this machine go out by."),
    word("tunnel-id").doc("The identity of the tunnel packets come from."),
    word("uidrange").doc("The users whose packets are meant."),
    word("l3mdev").doc("Looks up in the table of the VRF."),
    word("protocol").doc("Which routing protocol made the rule."),
    word("ipproto").doc("The protocol of the packets."),
    word("sport").doc("The source ports."),
    word("dport").doc("The destination ports."),
    word("type").doc("What becomes of the packet: blackhole, unreachable or prohibit."),
    word("goto").doc("Goes on at the rule of another priority."),
    word("nop").doc("Does nothing."),
    word("no_track").doc("The loss of it does not matter to the router."),
    Directive::new("track_group", STATIC_RULE, Arity::AtLeast(0), &Nothing)
        .doc("Names the group of instances that track its interface."),
];

/// `virtual_rules {`.
///
/// # Errors
/// None; complaints are about single lines.
pub fn virtual_rules(cx: &mut Setting<'_>, instance: &mut Instance, statement: &Statement) -> Result<(), Diagnostic> {
    let mut next = cx.conf::<Root>().map_or_else(Preferences::default, |root| root.preferences);
    instance.rules.extend(read(cx, statement, &mut instance.needs, &mut next));
    if let Some(root) = cx.conf::<Root>() {
        root.preferences = next;
    }
    Ok(())
}

/// `static_rules {`.
///
/// # Errors
/// None; complaints are about single lines.
pub fn static_rules(cx: &mut Setting<'_>, root: &mut Root, statement: &Statement) -> Result<(), Diagnostic> {
    root.rules.extend(read(cx, statement, &mut root.needs, &mut root.preferences));
    Ok(())
}

/// The preferences of the next rules of the file that name none: 16384 for the first, one less for each further one.
#[derive(Clone, Copy, Debug)]
pub struct Preferences {
    ipv4: u32,
    ipv6: u32,
}

impl Default for Preferences {
    fn default() -> Self {
        Self { ipv4: 16_384, ipv6: 16_384 }
    }
}

impl Preferences {
    const fn next(&mut self, ipv6: bool) -> u32 {
        let next = if ipv6 { &mut self.ipv6 } else { &mut self.ipv4 };
        let given = *next;
        *next = given.wrapping_sub(1);
        given
    }
}

/// A rule as it is configured.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Given {
    /// The rule.
    pub rule: Rule,
    /// Its loss matters.
    pub tracked: bool,
    /// `track_group`.
    pub group: Option<String>,
}

fn read(cx: &mut Setting<'_>, statement: &Statement, needs: &mut Vec<Need>, next: &mut Preferences) -> Vec<Given> {
    let fixed = cx.row.name == "static_rules";
    let mut rules = Vec::new();
    for line in super::track::lines(cx, statement) {
        let mut reader = Reader::new(fixed);
        let mut words = Words::of(&line);
        let mut outcome = Ok(());
        while let (Ok(()), Some(word)) = (&outcome, words.next()) {
            outcome = reader.word(&word, &mut words);
        }
        let unknown = reader.group.take_if(|group| !super::track::defined(cx, TRACK_GROUP, group));
        let outcome = outcome.and_then(|()| reader.finish());
        reader.said.into_iter().for_each(|complaint| cx.report(complaint.at(line.span)));
        match outcome {
            Ok(mut given) => {
                if given.rule.priority.is_none() {
                    let preference = next.next(given.rule.ipv6);
                    let text = format!(
                        "Rule has no preference specified - setting to {preference}. This is probably not what you want."
                    );
                    given.rule.priority = Some(preference);
                    cx.report(complain(text).at(line.span));
                }
                let devs = [&given.rule.input, &given.rule.output].into_iter().flatten().cloned();
                needs.extend(devs.map(|dev| Need::vital(dev, "rule", line.span)));
                rules.push(given);
            }
            Err(found) => found.report(cx, line.span),
        }
        if let Some(group) = unknown {
            cx.report(complain(format!("track_group {group} not found")).at(line.span));
        }
    }
    rules
}

/// What a line has said so far.
struct Reader {
    /// In `static_rules`.
    fixed: bool,
    ipv6: Option<bool>,
    action: Option<Action>,
    rule: Rule,
    untracked: bool,
    /// Another protocol's.
    foreign: bool,
    group: Option<String>,
    said: Vec<Diagnostic>,
}

impl Reader {
    const fn new(fixed: bool) -> Self {
        Self {
            fixed,
            ipv6: None,
            action: None,
            rule: Rule::new(Action::Nop),
            untracked: false,
            foreign: false,
            group: None,
            said: Vec::new(),
        }
    }

    fn act(&mut self, action: Action) -> Result<(), Found> {
        let text = "Cannot specify more than one of table/nop/goto/blackhole/prohibit/unreachable for rule";
        if self.action.replace(action).is_some() { Err(text.into()) } else { Ok(()) }
    }

    fn end(&mut self, words: &mut Words<'_>, what: &str) -> Result<Option<(IpAddr, u8)>, Found> {
        let text = words.need()?;
        if matches!(text.as_str(), "all" | "any" | "default") {
            return Ok(None);
        }
        let Some((ip, length)) = super::address::ip_and_prefix(&text, &mut self.said) else {
            self.said.push(complain(format!("VRRP parsed invalid IP {text}. skipping IP...")));
            return Err(format!("Invalid rule {what} address {text}").into());
        };
        match self.ipv6.replace(ip.is_ipv6()) {
            Some(other) if other != ip.is_ipv6() => Err("rule specification has mixed IPv4 and IPv6".into()),
            _ => Ok((length > 0).then_some((ip, length))),
        }
    }

    fn word(&mut self, word: &str, words: &mut Words<'_>) -> Result<(), Found> {
        const WIDE: i64 = u32::MAX as i64;
        match word {
            "inet" | "inet6" => {
                // As in keepalived, which does not look at the word that follows.
                words.next();
                self.ipv6 = Some(word == "inet6");
            }
            "not" => self.rule.invert = true,
            "type" => {}
            "no_track" => self.untracked = true,
            "from" => self.rule.from = self.end(words, word)?,
            "to" => self.rule.to = self.end(words, word)?,
            "table" | "lookup" => {
                let table = super::line::table(&words.need()?, "rule")?;
                if table == 0 {
                    return Err("Table 0 is not valid".into());
                }
                return self.act(Action::Table(table));
            }
            "preference" | "order" | "priority" => {
                let text = words.need()?;
                let wrong = || format!("Invalid rule preference {word} specified");
                self.rule.priority = Some(super::line::number(&text, WIDE, wrong)?);
            }
            "tos" | "dsfield" => self.rule.tos = super::line::tos(&words.need()?)?,
            "fwmark" => self.rule.mark = Some(mark(&words.need()?)?),
            "realms" => {
                let text = words.need()?;
                let realms = super::line::realms(&text);
                self.rule.realms = Some(realms.ok_or_else(|| Found::from(format!("invalid realms {text} for rule")))?);
            }
            "dev" | "iif" => self.rule.input = Some(words.need()?),
            "oif" => self.rule.output = Some(words.need()?),
            "goto" => {
                let text = words.need()?;
                let target = text.parse().map_err(|_| Found::from(format!("Invalid target {text} specified")))?;
                return self.act(Action::Goto(target));
            }
            "nop" => return self.act(Action::Nop),
            "blackhole" => return self.act(Action::Blackhole),
            "unreachable" => return self.act(Action::Unreachable),
            "prohibit" => return self.act(Action::Prohibit),
            "l3mdev" => return self.act(Action::L3mdev),
            "track_group" if self.fixed => self.group = Some(words.need()?),
            _ => return self.rarer(word, words),
        }
        Ok(())
    }

    /// Words that are seldom seen, and whatever is no word.
    fn rarer(&mut self, word: &str, words: &mut Words<'_>) -> Result<(), Found> {
        const WIDE: i64 = u32::MAX as i64;
        match word {
            "suppress_prefixlength" | "sup_pl" => {
                let most = if self.ipv6 == Some(true) { 128 } else { 32 };
                let wrong = || format!("Invalid suppress_prefixlength {word} specified");
                self.rule.suppress_prefix = Some(super::line::number(&words.need()?, most, wrong)?);
            }
            "suppress_ifgroup" | "sup_group" => {
                let text = words.need()?;
                let group = if text == "default" { Some(0) } else { text.parse().ok() };
                self.rule.suppress_group =
                    Some(group.ok_or_else(|| Found::from(format!("suppress_group {text} is invalid")))?);
            }
            "tunnel-id" => {
                let wrong = || format!("Invalid tunnel-id {word} specified");
                self.rule.tunnel = Some(u64::from(super::line::number(&words.need()?, WIDE, wrong)?));
            }
            "uidrange" => {
                let range = super::line::range(&words.need()?);
                self.rule.users = Some(range.ok_or_else(|| Found::from(format!("Invalid uidrange {word} specified")))?);
            }
            "protocol" => {
                let text = words.need()?;
                let number = match super::line::named(&text, &super::line::PROTOCOLS) {
                    Some(number) => number,
                    None => super::line::number(&text, 255, || format!("Invalid protocol {text}"))? as u8,
                };
                self.foreign = number != KEEPALIVED;
                self.rule.protocol = Some(number);
            }
            "ipproto" => {
                let text = words.need()?;
                let names = [("icmp", 1), ("tcp", 6), ("udp", 17), ("ipv6-icmp", 58), ("sctp", 132)];
                let number = super::line::named(&text, &names);
                self.rule.ip_protocol = Some(number.ok_or_else(|| Found::from(format!("Invalid ipproto {text}")))?);
            }
            "sport" | "dport" => {
                let text = words.need()?;
                let wrong = || Found::from(format!("invalid {word} range {text}"));
                let (first, last) = super::line::range(&text).ok_or_else(wrong)?;
                let ports = (u16::try_from(first).map_err(|_| wrong())?, u16::try_from(last).map_err(|_| wrong())?);
                if word == "sport" {
                    self.rule.source_ports = Some(ports);
                } else {
                    self.rule.destination_ports = Some(ports);
                }
            }
            "unicast" => return Err(format!("Invalid rule action {word}").into()),
            other => return Err(format!("Unknown rule option {other}").into()),
        }
        Ok(())
    }

    fn finish(&mut self) -> Result<Given, Found> {
        let Some(action) = self.action else { return Err("No action specified for rule - ignoring".into()) };
        match (action, self.rule.priority) {
            (Action::Goto(target), None) => {
                return Err(format!("Invalid rule - goto target {target} specified without preference").into());
            }
            (Action::Goto(target), Some(preference)) if preference >= target => {
                return Err(format!("Invalid rule - preference {preference} >= goto target {target}").into());
            }
            _ => {}
        }
        let about_tables =
            self.rule.realms.is_some() || self.rule.suppress_prefix.is_some() || self.rule.suppress_group.is_some();
        if about_tables && !matches!(action, Action::Table(_) | Action::L3mdev) {
            return Err("suppressor/realm specified for non table action - skipping".into());
        }
        if self.group.is_some() && self.rule.input.is_none() {
            self.said.push(complain("Static rule cannot have track_group if dev/iif not specified"));
        }
        if self.foreign && !self.untracked {
            let text = format!(
                "Rule cannot be tracked if protocol is not RTPROT_KEEPALIVED({KEEPALIVED}), resetting protocol"
            );
            self.said.push(complain(text));
        }
        let foreign = self.rule.protocol.filter(|_| self.untracked && self.foreign);
        let protocol = if self.untracked { foreign } else { Some(KEEPALIVED) };
        let rule = Rule { ipv6: self.ipv6 == Some(true), action, protocol, ..self.rule.clone() };
        Ok(Given { rule, tracked: !self.untracked, group: self.group.clone() })
    }
}

/// `MARK[/MASK]`.
fn mark(text: &str) -> Result<(u32, Option<u32>), Found> {
    let number = |part: &str| match part.strip_prefix("0x") {
        Some(digits) => u32::from_str_radix(digits, 16).ok(),
        None => part.parse::<u32>().ok(),
    };
    let wrong = || Found::from(format!("Invalid rule fwmark {text} specified"));
    let (mark, mask) = text.split_once('/').map_or((text, None), |(mark, mask)| (mark, Some(mask)));
    let mask = mask.map(|mask| number(mask).ok_or_else(wrong)).transpose()?;
    Ok((number(mark).ok_or_else(wrong)?, mask))
}
