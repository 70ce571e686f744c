//! Keywords of `global_defs` whose arguments have rules of their own.

use super::global::Global;
use crate::conf::diagnostic::Diagnostic;
use crate::conf::source::Span;
use crate::conf::tree::Statement;
use crate::conf::walk::Setting;
use crate::keepalived::slot::{
    Command, Kind, again, also, at_end, command, complain, count, first, number, whole, worded,
};
use std::net::IpAddr;
use std::time::Duration;

type Outcome = Result<(), Diagnostic>;

/// `smtp_server ADDRESS [PORT]`.
///
/// # Errors
/// The port is none, or the address.
pub fn smtp_server(cx: &mut Setting<'_>, global: &mut Global, statement: &Statement) -> Outcome {
    let host = first(statement);
    let port = statement.arguments().get(1).map_or_else(|| "25".to_owned(), |word| word.text().into_owned());
    let wrong = || complain(format!("Invalid smtp server {host} {port}"));
    let number = match count(&port, &(1..=65_535)) {
        Ok(number) => u16::try_from(number).unwrap_or(u16::MAX),
        Err(complaint) => {
            cx.report(complaint.at(statement.span));
            return Err(wrong());
        }
    };
    // A name is looked up when mail is sent; `-` and `/` make a name of what looks like an address.
    let name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | ':');
    if host.is_empty() || !host.chars().all(name) {
        return Err(wrong());
    }
    global.smtp_server = Some((host, number));
    Ok(())
}

/// `smtp_helo_name NAME`; without a name nothing changes.
///
/// # Errors
/// None.
pub fn smtp_helo(_: &mut Setting<'_>, global: &mut Global, statement: &Statement) -> Outcome {
    if !statement.arguments().is_empty() {
        global.smtp_helo = Some(first(statement));
    }
    Ok(())
}

/// `smtp_connect_timeout SECONDS`.
///
/// # Errors
/// It is no number of seconds.
pub fn smtp_timeout(cx: &mut Setting<'_>, global: &mut Global, statement: &Statement) -> Outcome {
    let judged = count(&first(statement), &(0..=4294));
    let seconds = judged.map_err(|wrong| also(cx, statement, wrong, "{k} '{v}' must be in [0, 4294] - ignoring"))?;
    global.smtp_timeout = Some(Duration::from_secs(seconds.max(1) as u64));
    match seconds {
        0 => Err(complain("smtp_conect_timeout must be greater than 0, setting to 1")),
        _ => Ok(()),
    }
}

/// `notification_email { ... }`.
///
/// # Errors
/// Nobody is named.
pub fn notification_email(cx: &mut Setting<'_>, global: &mut Global, statement: &Statement) -> Outcome {
    let words = super::track::words(cx, statement);
    if words.is_empty() {
        return Err(at_end(statement, "Warning - empty notification_email block"));
    }
    global.mail_to.extend(words.iter().map(|word| word.text().into_owned()));
    Ok(())
}

/// `startup_script COMMAND [USER [GROUP]]`.
///
/// # Errors
/// There is none.
pub fn startup_script(cx: &mut Setting<'_>, global: &mut Global, statement: &Statement) -> Outcome {
    process_script((cx, "startup"), (&mut global.startup_script, &mut global.startup_script_span), statement)
}

/// `shutdown_script COMMAND [USER [GROUP]]`.
///
/// # Errors
/// There is none.
pub fn shutdown_script(cx: &mut Setting<'_>, global: &mut Global, statement: &Statement) -> Outcome {
    process_script((cx, "shutdown"), (&mut global.shutdown_script, &mut global.shutdown_script_span), statement)
}

fn process_script(
    (cx, which): (&mut Setting<'_>, &'static str),
    (slot, span): (&mut Option<Command>, &mut Option<Span>),
    statement: &Statement,
) -> Outcome {
    if slot.is_some() {
        return Err(again(format!("{which} script already specified")));
    }
    if statement.arguments().is_empty() {
        return Err(complain(format!("{which} script missing")));
    }
    *span = Some(statement.span);
    *slot = command(statement.arguments()).unwrap_or_else(|complaint| {
        cx.report(complaint.at(statement.span));
        None
    });
    if slot.is_none() { Err(complain(format!("Invalid {which} script"))) } else { Ok(()) }
}

/// `startup_script_timeout SECONDS`.
///
/// # Errors
/// No number from 1 to 1000.
pub fn startup_script_timeout(cx: &mut Setting<'_>, global: &mut Global, statement: &Statement) -> Outcome {
    global.startup_script_timeout = Some(process_script_timeout(cx, statement)?);
    Ok(())
}

/// `shutdown_script_timeout SECONDS`.
///
/// # Errors
/// No number from 1 to 1000.
pub fn shutdown_script_timeout(cx: &mut Setting<'_>, global: &mut Global, statement: &Statement) -> Outcome {
    global.shutdown_script_timeout = Some(process_script_timeout(cx, statement)?);
    Ok(())
}

fn process_script_timeout(cx: &mut Setting<'_>, statement: &Statement) -> Result<Duration, Diagnostic> {
    if statement.arguments().is_empty() {
        return Err(complain(worded("{k} requires value", cx, "")));
    }
    let seconds = number(Kind::Unsigned, &first(statement), &(1..=1000))
        .map_err(|complaint| also(cx, statement, complaint, "{k} '{v}' must be in [1, 1000] - ignoring"))?;
    Ok(Duration::from_secs(seconds.unsigned_abs()))
}

/// `notify_fifo_script COMMAND [USER [GROUP]]`.
///
/// # Errors
/// There is none.
pub fn fifo_script(cx: &mut Setting<'_>, global: &mut Global, statement: &Statement) -> Outcome {
    if statement.arguments().is_empty() {
        return Err(complain(worded("No {k} specified", cx, "")));
    }
    if global.fifo_scripts_given.contains(&cx.row.name) {
        return Err(again(worded("{k} already specified - ignoring {v}", cx, &first(statement))));
    }
    global.fifo_scripts_given.push(cx.row.name);
    let name = cx.row.name;
    global.fifo_scripts.extend(command(statement.arguments())?.map(|command| (name, command)));
    Ok(())
}

/// A process's name, of which the kernel keeps fifteen bytes.
fn process_name(cx: &mut Setting<'_>, statement: &Statement) -> String {
    const MOST: usize = 15;
    let mut name = first(statement);
    if name.len() > MOST {
        let text = format!("Process name {name} more than {MOST} characters, truncating");
        cx.report(complain(text).at(statement.span));
        name = name.chars().take(MOST).collect();
    }
    name
}

/// `process_name NAME`.
///
/// # Errors
/// None; a long one is cut with a complaint.
pub fn parent_name(cx: &mut Setting<'_>, global: &mut Global, statement: &Statement) -> Outcome {
    global.process_name = Some(process_name(cx, statement));
    Ok(())
}

/// `process_names`: the usual name of each process but the parent.
///
/// # Errors
/// None.
pub fn process_names(_: &mut Setting<'_>, global: &mut Global, _: &Statement) -> Outcome {
    global.vrrp_process_name = Some("keepalived_vrrp".to_owned());
    Ok(())
}

/// `vrrp_process_name NAME`.
///
/// # Errors
/// None; a long one is cut with a complaint.
pub fn vrrp_name(cx: &mut Setting<'_>, global: &mut Global, statement: &Statement) -> Outcome {
    global.vrrp_process_name = Some(process_name(cx, statement));
    Ok(())
}

/// The name of a process there is not.
///
/// # Errors
/// None; a long one is cut with a complaint.
pub fn other_name(cx: &mut Setting<'_>, _: &mut Global, statement: &Statement) -> Outcome {
    process_name(cx, statement);
    Ok(())
}

/// `notify_fifo PATH`.
///
/// # Errors
/// There is none, or one already.
pub fn notify_fifo(cx: &mut Setting<'_>, global: &mut Global, statement: &Statement) -> Outcome {
    fifo(cx, &mut global.notify_fifo, statement)
}

/// `vrrp_notify_fifo PATH`.
///
/// # Errors
/// There is none, or one already.
pub fn vrrp_fifo(cx: &mut Setting<'_>, global: &mut Global, statement: &Statement) -> Outcome {
    fifo(cx, &mut global.vrrp_notify_fifo, statement)
}

fn fifo(cx: &Setting<'_>, slot: &mut Option<String>, statement: &Statement) -> Outcome {
    if statement.arguments().is_empty() {
        return Err(complain(worded("No {k} name specified", cx, "")));
    }
    if slot.is_some() {
        return Err(again(worded("{k} already specified - ignoring {v}", cx, &first(statement))));
    }
    *slot = Some(first(statement));
    Ok(())
}

/// `max_auto_priority [PRIORITY]`.
///
/// # Errors
/// It is no priority.
pub fn max_auto_priority(cx: &mut Setting<'_>, _: &mut Global, statement: &Statement) -> Outcome {
    if statement.arguments().is_empty() {
        return Ok(());
    }
    let judged = whole(&first(statement), &(-1..=99));
    let template = "{k} '{v}' must be in [0, 99] (or -1 to disable) - ignoring";
    judged.map(|_| ()).map_err(|wrong| also(cx, statement, wrong, template))
}

/// `dynamic_interfaces [allow_if_changes]`.
///
/// # Errors
/// Another word.
pub fn dynamic_interfaces(_: &mut Setting<'_>, global: &mut Global, statement: &Statement) -> Outcome {
    global.dynamic_interfaces = Some(true);
    match statement.arguments().first() {
        Some(word) if !word.is("allow_if_changes") => {
            Err(complain(format!("Unknown dynamic_interfaces option '{}'", word.text())))
        }
        _ => Ok(()),
    }
}

/// `lvs_timeouts [tcp S] [tcpfin S] [udp S]`.
///
/// # Errors
/// Nothing is named, or no time.
pub fn lvs_timeouts(cx: &mut Setting<'_>, _: &mut Global, statement: &Statement) -> Outcome {
    if statement.arguments().len() < 2 {
        return Err(complain("lvs_timeouts requires at least one option"));
    }
    let mut words = statement.arguments().iter();
    while let Some(word) = words.next() {
        let name = word.text();
        if !matches!(&*name, "tcp" | "tcpfin" | "udp") {
            cx.report(complain(format!("Unknown option {name} specified for lvs_timeouts")).at(statement.span));
            continue;
        }
        let Some(value) = words.next() else {
            return Err(complain(format!("No value specified for lvs_timeout {name} - ignoring")));
        };
        if let Err(complaint) = count(&value.text(), &(0..=2_678_400)) {
            cx.report(complaint.at(statement.span));
            let text = format!("Invalid lvs_timeout {name} ({}) - ignoring", value.text());
            cx.report(complain(text).at(statement.span));
        }
    }
    Ok(())
}

/// `lvs_flush_on_stop [VS]`.
///
/// # Errors
/// Another word.
pub fn lvs_flush_on_stop(_: &mut Setting<'_>, _: &mut Global, statement: &Statement) -> Outcome {
    match statement.arguments().first() {
        Some(word) if !word.is("VS") => Err(complain(format!("Unknown lvs_flush_on_stop type {}", word.text()))),
        _ => Ok(()),
    }
}

/// `lvs_sync_daemon INTERFACE [[inst] NAME] [id N] [maxlen N] [port N] [ttl N] [group ADDRESS]`.
///
/// # Errors
/// There is no interface, or an option is wrong.
pub fn lvs_sync_daemon(cx: &mut Setting<'_>, _: &mut Global, statement: &Statement) -> Outcome {
    let mut words = statement.arguments().iter().peekable();
    let Some(interface) = words.next() else { return Err(complain("lvs_sync_daemon requires interface")) };
    if interface.bytes.len() > 15 {
        let text = format!("lvs_sync_daemon interface name '{}' too long - ignoring", interface.text());
        return Err(complain(text));
    }
    const OPTIONS: [&str; 6] = ["id", "maxlen", "port", "ttl", "group", "inst"];
    if words.peek().is_some_and(|word| !OPTIONS.iter().any(|option| word.is(option))) {
        words.next();
        if words.peek().is_some_and(|word| !OPTIONS.iter().any(|option| word.is(option))) {
            let text = words.next().map(|word| word.text().into_owned()).unwrap_or_default();
            return match count(&text, &(0..=255)) {
                Ok(_) => Err(complain("Please use keyword \"id\" before lvs_sync_daemon SYNCID")),
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
        if let Err(complaint) = sync_option(cx, statement, &name, value) {
            cx.report(complaint.at(statement.span));
        }
    }
    Ok(())
}

fn sync_option(cx: &mut Setting<'_>, statement: &Statement, name: &str, value: Option<String>) -> Outcome {
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
        "inst" => Ok(()),
        "group" => match value.parse::<IpAddr>() {
            Err(_) => Err(complain(format!("Invalid lvs_sync_daemon group ({value}) - ignoring"))),
            Ok(address) if !address.is_multicast() => {
                Err(complain(format!("lvs_sync_daemon group address {value} is not multicast - ignoring")))
            }
            Ok(_) => Ok(()),
        },
        _ => count(&value, &range).map(|_| ()).map_err(|complaint| {
            cx.report(complaint.at(statement.span));
            complain(format!("Invalid {known} ({value}) - {otherwise}"))
        }),
    }
}

/// `vrrp_iptables` of builds without them.
///
/// # Errors
/// Always: the keyword is for another build.
pub fn iptables(_: &mut Setting<'_>, _: &mut Global, _: &Statement) -> Outcome {
    let text = "iptables not supported, using nftables instead. Please replace 'vrrp_iptables and 'vrrp_ipsets' with \
                'nftables' config option";
    Err(complain(text))
}

/// `vrrp_priority NICE`.
///
/// # Errors
/// It is no niceness.
pub fn vrrp_priority(cx: &mut Setting<'_>, global: &mut Global, statement: &Statement) -> Outcome {
    if statement.arguments().is_empty() {
        return Err(complain("No vrrp process priority specified"));
    }
    let judged = whole(&first(statement), &(-20..=19));
    global.nice = Some(judged.map_err(|wrong| also(cx, statement, wrong, "Invalid vrrp process priority specified"))?);
    Ok(())
}

/// `vrrp_rt_priority PRIORITY`.
///
/// # Errors
/// It is no priority.
pub fn vrrp_rt_priority(cx: &mut Setting<'_>, global: &mut Global, statement: &Statement) -> Outcome {
    global.realtime = Some(realtime(cx, statement)?);
    Ok(())
}

/// The real-time priority of a process there is not.
///
/// # Errors
/// It is no priority.
pub fn rt_priority(cx: &mut Setting<'_>, _: &mut Global, statement: &Statement) -> Outcome {
    realtime(cx, statement).map(|_| ())
}

/// Which process a keyword is about.
fn process<'a>(cx: &Setting<'a>) -> &'static str {
    cx.row.name.split('_').next().unwrap_or_default()
}

fn realtime(cx: &mut Setting<'_>, statement: &Statement) -> Result<i64, Diagnostic> {
    let process = process(cx);
    if statement.arguments().is_empty() {
        return Err(complain(format!("No {process} process real-time priority specified")));
    }
    let any = i64::from(i32::MIN)..=i64::from(i32::MAX);
    let template = format!("{process} process real-time priority '{{v}}' invalid");
    let value = whole(&first(statement), &any).map_err(|wrong| also(cx, statement, wrong, &template))?;
    let clamped = value.clamp(1, 99);
    if value != clamped {
        let (side, end) = if value < clamped { ("less", "minimum") } else { ("greater", "maximum") };
        let text =
            format!("{process} process real-time priority {value} {side} than {end} {clamped} - setting to {end}");
        cx.report(complain(text).at(statement.span));
    }
    Ok(clamped)
}

/// `…_cpu_affinity CPU...`.
///
/// # Errors
/// There is no such processor.
pub fn cpu_affinity(cx: &mut Setting<'_>, _: &mut Global, statement: &Statement) -> Outcome {
    let process = process(cx);
    if statement.arguments().is_empty() {
        return Err(complain(format!("No {process} cpu_id set specified")));
    }
    let processors = std::thread::available_parallelism().map_or(1, |count| count.get() as i64);
    for word in statement.arguments() {
        let text = word.text();
        if let Err(complaint) = whole(&text, &(0..=processors - 1)) {
            cx.report(complaint.at(statement.span));
            let read: String = text
                .char_indices()
                .take_while(|(at, c)| c.is_ascii_digit() || (*at == 0 && *c == '-'))
                .map(|(_, c)| c)
                .collect();
            let read = read.parse::<i64>().unwrap_or(0) as i32;
            return Err(complain(format!("Invalid cpu_id:{read} specified for {process} process")));
        }
    }
    Ok(())
}

/// The misspelling of `…_rlimit_rttime`.
///
/// # Errors
/// It is no time.
pub fn old_rlimit(cx: &mut Setting<'_>, _: &mut Global, statement: &Statement) -> Outcome {
    let process = process(cx);
    let template = format!("Invalid {process} real-time limit - {{v}}");
    let judged = count(&first(statement), &(1..=i64::from(u32::MAX)));
    judged.map(|_| ()).map_err(|wrong| also(cx, statement, wrong, &template))
}

/// `snmp_socket ADDRESS`.
///
/// # Errors
/// There is none, or more.
pub fn snmp_socket(_: &mut Setting<'_>, _: &mut Global, statement: &Statement) -> Outcome {
    match statement.arguments() {
        [] => Err(complain("SNMP error : snmp socket name missing")),
        [_] => Ok(()),
        _ => Err(complain("Too many parameters specified for snmp_socket - ignoring")),
    }
}

/// `vrrp_rx_bufs_policy [MTU] [ADVERT] [BYTES]`.
///
/// # Errors
/// Something else.
pub fn rx_policy(cx: &mut Setting<'_>, _: &mut Global, statement: &Statement) -> Outcome {
    if statement.arguments().is_empty() {
        return Err(complain("vrrp_rx_bufs_policy missing"));
    }
    for word in statement.arguments().iter().filter(|word| !word.is("MTU") && !word.is("ADVERT")) {
        // keepalived judges the first word for each of them.
        if let Err(complaint) = count(&first(statement), &(0..=i64::from(u32::MAX))) {
            cx.report(complaint.at(statement.span));
            cx.report(complain(worded("Invalid {k} {v}", cx, &word.text())).at(statement.span));
        }
    }
    Ok(())
}

/// `vrrp_rx_bufs_multiplier COUNT`.
///
/// # Errors
/// It is no count.
pub fn rx_multiplier(cx: &mut Setting<'_>, _: &mut Global, statement: &Statement) -> Outcome {
    if statement.arguments().len() != 1 {
        return Err(complain("Invalid vrrp_rx_bufs_multiplier"));
    }
    let judged = number(Kind::Unsigned, &first(statement), &(1..=i64::from(u32::MAX)));
    judged.map(|_| ()).map_err(|wrong| also(cx, statement, wrong, "Invalid {k} {v}"))
}

/// `umask OCTAL` or `umask BIT [| BIT]...`.
///
/// # Errors
/// It is no mask.
pub fn umask(_: &mut Setting<'_>, _: &mut Global, statement: &Statement) -> Outcome {
    const BITS: [&str; 9] = ["IRUSR", "IWUSR", "IXUSR", "IRGRP", "IWGRP", "IXGRP", "IROTH", "IWOTH", "IXOTH"];
    let text = first(statement);
    if text.starts_with(|c: char| c.is_ascii_digit()) {
        let value = u32::from_str_radix(&text, 8).ok().filter(|value| *value <= 0o777);
        return value.map(|_| ()).ok_or_else(|| complain(format!("invalid umask value {text}")));
    }
    let all: Vec<String> = statement.arguments().iter().map(|word| word.text().into_owned()).collect();
    for bit in all.join(" ").split('|').flat_map(str::split_whitespace) {
        if !BITS.contains(&bit) {
            return Err(complain(format!("Unknown umask bit {bit}")));
        }
    }
    Ok(())
}

/// `reload_time_file PATH`.
///
/// # Errors
/// There is no path, or more than one.
pub fn reload_time_file(_: &mut Setting<'_>, _: &mut Global, statement: &Statement) -> Outcome {
    if statement.arguments().len() == 1 { Ok(()) } else { Err(complain("reload_time_file invalid")) }
}

/// `include_check [readable] [match] ...`.
///
/// # Errors
/// An unknown word.
pub fn include_check(cx: &mut Setting<'_>, _: &mut Global, statement: &Statement) -> Outcome {
    const KINDS: [&str; 5] = ["all", "readable", "match", "wildcard_match", "brace_match"];
    for word in statement.arguments() {
        let text = word.text();
        let name = text.trim_start_matches(['+', '-']);
        if !KINDS.contains(&name) {
            cx.report(complain(format!("Unknown include_check type '{name}' - ignoring")).at(statement.span));
        }
    }
    Ok(())
}

/// The older name of `vrrp_garp_extra_if`.
///
/// # Errors
/// Always at least that it is old.
pub fn vmac_garp(cx: &mut Setting<'_>, _: &mut Global, statement: &Statement) -> Outcome {
    let old = "Keyword \"vrrp_vmac_garp_intvl\" is deprecated - please use \"vrrp_garp_extra_if\"";
    cx.report(complain(old).at(statement.span));
    let words = statement.arguments();
    let Some(value) = words.iter().find(|word| !word.is("all")) else {
        return Err(complain(worded("{k} specified without time - ignoring", cx, "")));
    };
    let judged = count(&value.text(), &(1..=86_400));
    judged.map(|_| ()).map_err(|wrong| also(cx, statement, wrong, "{k} '{v}' invalid - ignoring"))
}
