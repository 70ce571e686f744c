//! `lvs_sync_daemon` of `global_defs`, and the older `lvs_sync_daemon_interface` of virtual routers.

use super::instance::Instance;
use super::lvs::Lvs;
use crate::conf::diagnostic::Diagnostic;
use crate::conf::tree::Statement;
use crate::conf::walk::{Level, Setting};
use crate::keepalived::slot::{again, complain, count};
use crate::kernel::ipvs::SyncDaemon;
use std::net::IpAddr;

/// What `lvs_sync_daemon` says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sync {
    /// How it works; its number is 0 where none is given.
    pub daemon: SyncDaemon,
    /// A number was given.
    pub has_id: bool,
    /// The virtual router whose state it has; without one it is master and backup.
    pub instance: Option<String>,
}

type Outcome = Result<(), Diagnostic>;

/// The interface that an instance before has named.
fn of_instances(cx: &Setting<'_>) -> Option<String> {
    let named = |level: &Level| Some(level.own::<Instance>()?.sync.as_ref()?.daemon.interface.clone());
    cx.outermost()?.children.iter().find_map(named)
}

/// `lvs_sync_daemon_interface INTERFACE` of an instance, whose number does not count.
///
/// # Errors
/// It is deprecated; what is said of that, and of an interface that was named before.
pub fn of_instance(cx: &mut Setting<'_>, instance: &mut Instance, statement: &Statement) -> Outcome {
    let name = &instance.name;
    let text = format!("({name}) Specifying lvs_sync_daemon_interface against a vrrp is deprecated.");
    cx.report(complain(text).at(statement.span));
    // The second line is indented by the name's length.
    let indent = 6 + name.len().abs_diff(2);
    let newer = complain(format!("{:indent$}Please use global lvs_sync_daemon", ""));
    let global = |level: &Level| Some(level.own::<Lvs>()?.sync.as_ref()?.daemon.interface.clone());
    let known = cx.outermost().and_then(|level| level.children.iter().find_map(global));
    let own = instance.sync.as_ref().map(|sync| sync.daemon.interface.clone());
    if let Some(known) = known.or_else(|| of_instances(cx)).or(own) {
        cx.report(newer.at(statement.span));
        let text = format!("lvs_sync_daemon_interface has already been specified as {known} - ignoring");
        return Err(again(format!("({name}) {text}")));
    }
    if let Some(interface) = statement.arguments().first() {
        let daemon = SyncDaemon { interface: interface.text().into_owned(), ..SyncDaemon::default() };
        instance.sync = Some(Sync { daemon, has_id: true, instance: Some(name.clone()) });
    }
    Err(newer)
}

/// `lvs_sync_daemon INTERFACE [[inst] NAME] [id N] [maxlen N] [port N] [ttl N] [group ADDRESS]`.
///
/// # Errors
/// There is no interface, or an option is wrong.
pub fn lvs_sync_daemon(cx: &mut Setting<'_>, lvs: &mut Lvs, statement: &Statement) -> Outcome {
    const OPTIONS: [&str; 6] = ["id", "maxlen", "port", "ttl", "group", "inst"];
    if let Some(known) = &lvs.sync {
        let (interface, instance) = (&known.daemon.interface, known.instance.as_deref().unwrap_or_default());
        let text = format!("lvs_sync_daemon has already been specified as {interface} {instance} - ignoring");
        return Err(again(text));
    }
    if let Some(interface) = of_instances(cx) {
        return Err(again(format!("lvs_sync_daemon has already been specified as {interface} (null) - ignoring")));
    }
    let mut words = statement.arguments().iter().peekable();
    let Some(interface) = words.next() else { return Err(complain("lvs_sync_daemon requires interface")) };
    if interface.bytes.len() > 15 {
        let text = format!("lvs_sync_daemon interface name '{}' too long - ignoring", interface.text());
        return Err(complain(text));
    }
    let sync = lvs.sync.insert(Sync::default());
    sync.daemon.interface = interface.text().into_owned();
    if words.peek().is_some_and(|word| !OPTIONS.iter().any(|option| word.is(option))) {
        sync.instance = words.next().map(|word| word.text().into_owned());
        if words.peek().is_some_and(|word| !OPTIONS.iter().any(|option| word.is(option))) {
            let text = words.next().map(|word| word.text().into_owned()).unwrap_or_default();
            return match count(&text, &(0..=255)) {
                Ok(id) => {
                    (sync.daemon.id, sync.has_id) = (id as u32, true);
                    Err(complain("Please use keyword \"id\" before lvs_sync_daemon SYNCID"))
                }
                Err(complaint) => {
                    cx.report(complaint.at(statement.span));
                    Err(complain(format!("Invalid syncid ({text}) - defaulting to vrid")))
                }
            };
        }
    }
    while let Some(word) = words.next() {
        let name = word.text().into_owned();
        let value = words.next().map(|word| word.text().into_owned());
        if let Err(complaint) = option(cx, statement, sync, (&name, value)) {
            cx.report(complaint.at(statement.span));
        }
    }
    Ok(())
}

fn option(
    cx: &mut Setting<'_>,
    statement: &Statement,
    sync: &mut Sync,
    (name, value): (&str, Option<String>),
) -> Outcome {
    let (range, otherwise) = match name {
        "id" => (0..=255, "defaulting to vrid"),
        "maxlen" => (1..=65_507, "ignoring"),
        "port" => (1..=65_535, "ignoring"),
        "ttl" => (1..=255, "ignoring"),
        "group" | "inst" => (0..=0, "ignoring"),
        _ => return Err(complain(format!("Unknown option {name} specified for lvs_sync_daemon"))),
    };
    let Some(value) = value else {
        let dash = if name == "id" { "," } else { " -" };
        return Err(complain(format!("No value specified for lvs_sync_daemon {name}{dash} {otherwise}")));
    };
    let known = if name == "id" { "syncid".to_owned() } else { format!("lvs_sync_daemon {name}") };
    match name {
        "inst" => sync.instance = Some(value),
        "group" => match value.parse::<IpAddr>() {
            Err(_) => return Err(complain(format!("Invalid lvs_sync_daemon group ({value}) - ignoring"))),
            Ok(address) if !address.is_multicast() => {
                return Err(complain(format!("lvs_sync_daemon group address {value} is not multicast - ignoring")));
            }
            Ok(address) => sync.daemon.group = Some(address),
        },
        _ => {
            let number = count(&value, &range).map_err(|complaint| {
                cx.report(complaint.at(statement.span));
                complain(format!("Invalid {known} ({value}) - {otherwise}"))
            })?;
            match name {
                "id" => (sync.daemon.id, sync.has_id) = (number as u32, true),
                "maxlen" => sync.daemon.longest = Some(number as u16),
                "port" => sync.daemon.port = Some(number as u16),
                _ => sync.daemon.ttl = Some(number as u8),
            }
        }
    }
    Ok(())
}
