//! The lines of `virtual_rules` and `static_rules`: judged word by word. Not served yet.

use super::instance::Instance;
use super::line::{Found, Need, Words};
use super::root::Root;
use crate::conf::diagnostic::Diagnostic;
use crate::conf::directive::{Arity, Contexts, Directive};
use crate::conf::module::Module;
use crate::conf::tree::Statement;
use crate::conf::walk::Setting;
use crate::keepalived::contexts::{STATIC_RULE, TRACK_GROUP, VIRTUAL_RULE};
use crate::keepalived::slot::complain;

/// The words of rule lines.
pub const MODULE: Module = Module { name: "rules", directives: DIRECTIVES, scopes: &[] };

const LINES: Contexts = VIRTUAL_RULE.or(STATIC_RULE);

const fn word(name: &'static str) -> Directive {
    Directive::missing(name, LINES, Arity::AtLeast(0))
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
    Directive::missing("track_group", STATIC_RULE, Arity::AtLeast(0)).doc("The group it is tracked with."),
];

/// `virtual_rules {`.
///
/// # Errors
/// None; complaints are about single lines.
pub fn virtual_rules(cx: &mut Setting<'_>, instance: &mut Instance, statement: &Statement) -> Result<(), Diagnostic> {
    read(cx, statement, &mut instance.needs);
    Ok(())
}

/// `static_rules {`.
///
/// # Errors
/// None; complaints are about single lines.
pub fn static_rules(cx: &mut Setting<'_>, root: &mut Root, statement: &Statement) -> Result<(), Diagnostic> {
    read(cx, statement, &mut root.needs);
    Ok(())
}

/// The preference of the first rule that names none; each further one gets one less.
const PREFERENCE: u32 = 16_384;

fn read(cx: &mut Setting<'_>, statement: &Statement, needs: &mut Vec<Need>) {
    let fixed = cx.row.name == "static_rules";
    let mut next = PREFERENCE;
    for line in super::track::lines(cx, statement) {
        let mut rule = Rule { fixed, ..Rule::default() };
        let mut words = Words::of(&line);
        let mut outcome = Ok(());
        while let (Ok(()), Some(word)) = (&outcome, words.next()) {
            outcome = rule.word(&word, &mut words);
        }
        let outcome = outcome.and_then(|()| rule.finish());
        rule.said.into_iter().for_each(|complaint| cx.report(complaint.at(line.span)));
        match outcome {
            Ok(()) => {
                if rule.preference.is_none() {
                    let text = format!(
                        "Rule has no preference specified - setting to {next}. This is probably not what you want."
                    );
                    next -= 1;
                    cx.report(complain(text).at(line.span));
                }
                needs.extend(rule.devs.into_iter().map(|dev| Need::vital(dev, "rule", line.span)));
            }
            Err(found) => found.report(cx, line.span),
        }
        if let Some(group) = rule.group
            && !super::track::defined(cx, TRACK_GROUP, &group)
        {
            cx.report(complain(format!("track_group {group} not found")).at(line.span));
        }
    }
}

/// What a line has said so far.
#[derive(Default)]
struct Rule {
    /// In `static_rules`.
    fixed: bool,
    ipv6: Option<bool>,
    action: bool,
    target: Option<u32>,
    preference: Option<u32>,
    devs: Vec<String>,
    group: Option<String>,
    said: Vec<Diagnostic>,
}

const ACTIONS: [&str; 4] = ["unicast", "blackhole", "unreachable", "prohibit"];

impl Rule {
    fn act(&mut self) -> Result<(), Found> {
        let text = "Cannot specify more than one of table/nop/goto/blackhole/prohibit/unreachable for rule";
        if std::mem::replace(&mut self.action, true) { Err(text.into()) } else { Ok(()) }
    }

    fn end(&mut self, words: &mut Words<'_>, what: &str) -> Result<(), Found> {
        let text = words.need()?;
        if matches!(text.as_str(), "all" | "any" | "default") {
            return Ok(());
        }
        let Some((ip, _)) = super::address::ip_and_prefix(&text, &mut self.said) else {
            self.said.push(complain(format!("VRRP parsed invalid IP {text}. skipping IP...")));
            return Err(format!("Invalid rule {what} address {text}").into());
        };
        match self.ipv6.replace(ip.is_ipv6()) {
            Some(other) if other != ip.is_ipv6() => Err("rule specification has mixed IPv4 and IPv6".into()),
            _ => Ok(()),
        }
    }

    fn word(&mut self, word: &str, words: &mut Words<'_>) -> Result<(), Found> {
        const WIDE: i64 = u32::MAX as i64;
        match word {
            "inet" | "inet6" => self.ipv6 = Some(word == "inet6"),
            "not" | "type" | "no_track" => {}
            "from" | "to" => return self.end(words, word),
            "table" | "lookup" => {
                let text = words.need()?;
                super::line::table(&text, "rule")?;
                if text == "0" || text == "unspec" {
                    return Err("Table 0 is not valid".into());
                }
                return self.act();
            }
            "preference" | "order" | "priority" => {
                let text = words.need()?;
                super::line::number(&text, WIDE, || format!("Invalid rule preference {word} specified"))?;
                self.preference = text.parse().ok();
            }
            "tos" | "dsfield" => super::line::tos(&words.need()?)?,
            "fwmark" => mark(&words.need()?)?,
            "realms" => {
                let text = words.need()?;
                if !super::line::realms(&text) {
                    return Err(format!("invalid realms {text} for rule").into());
                }
            }
            "suppress_prefixlength" | "sup_pl" => {
                let most = if self.ipv6 == Some(true) { 128 } else { 32 };
                super::line::number(&words.need()?, most, || {
                    format!("Invalid suppress_prefixlength {word} specified")
                })?;
            }
            "suppress_ifgroup" | "sup_group" => {
                let text = words.need()?;
                if text != "default" && text.parse::<u32>().is_err() {
                    return Err(format!("suppress_group {text} is invalid").into());
                }
            }
            "dev" | "iif" | "oif" => self.devs.push(words.need()?),
            "tunnel-id" => super::line::number(&words.need()?, WIDE, || format!("Invalid tunnel-id {word} specified"))?,
            "uidrange" => {
                if !super::line::range(&words.need()?) {
                    return Err(format!("Invalid uidrange {word} specified").into());
                }
            }
            "l3mdev" => return self.act(),
            "protocol" => {
                let text = words.need()?;
                if super::line::named(&text, &super::line::PROTOCOLS).is_none() {
                    super::line::number(&text, 255, || format!("Invalid protocol {text}"))?;
                }
            }
            "ipproto" => {
                let text = words.need()?;
                let names = [("icmp", 1), ("tcp", 6), ("udp", 17), ("ipv6-icmp", 58), ("sctp", 132)];
                super::line::named(&text, &names).ok_or_else(|| Found::from(format!("Invalid ipproto {text}")))?;
            }
            "sport" | "dport" => {
                let text = words.need()?;
                if !super::line::range(&text) {
                    return Err(format!("invalid {word} range {text}").into());
                }
            }
            "goto" => {
                let text = words.need()?;
                let target = text.parse().map_err(|_| Found::from(format!("Invalid target {text} specified")))?;
                self.target = Some(target);
                return self.act();
            }
            "nop" => return self.act(),
            "track_group" if self.fixed => self.group = Some(words.need()?),
            action if ACTIONS.contains(&action) => return self.act(),
            other => return Err(format!("Unknown rule option {other}").into()),
        }
        Ok(())
    }

    fn finish(&self) -> Result<(), Found> {
        if !self.action {
            return Err("No action specified for rule - ignoring".into());
        }
        match (self.target, self.preference) {
            (Some(target), None) => {
                Err(format!("Invalid rule - goto target {target} specified without preference").into())
            }
            (Some(target), Some(preference)) if preference >= target => {
                Err(format!("Invalid rule - preference {preference} >= goto target {target}").into())
            }
            _ => Ok(()),
        }
    }
}

/// `MARK[/MASK]`.
fn mark(text: &str) -> Result<(), Found> {
    let number = |part: &str| match part.strip_prefix("0x") {
        Some(digits) => u32::from_str_radix(digits, 16).is_ok(),
        None => part.parse::<u32>().is_ok(),
    };
    if text.split('/').all(number) { Ok(()) } else { Err(format!("Invalid rule fwmark {text} specified").into()) }
}
