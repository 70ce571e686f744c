//! Keywords of `global_defs` whose arguments have rules of their own.

use super::global::{Global, Runtime};
use super::vmac::ExtraGarp;
use crate::conf::diagnostic::Diagnostic;
use crate::conf::source::Span;
use crate::conf::tree::Statement;
use crate::conf::walk::Setting;
use crate::keepalived::slot::{
    Command, Kind, again, also, at_end, command, complain, count, first, number, whole, worded,
};
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
    global.checkers.name = Some("keepalived_lvs".to_owned());
    global.bfd.name = Some("keepalived_bfd".to_owned());
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

/// `bfd_process_name NAME`, `lvs_process_name NAME`.
///
/// # Errors
/// None; a long one is cut with a complaint.
pub fn own_name(cx: &mut Setting<'_>, global: &mut Global, statement: &Statement) -> Outcome {
    runtime(cx, global).name = Some(process_name(cx, statement));
    Ok(())
}

/// `bfd_priority PRIORITY`, `checker_priority PRIORITY`.
///
/// # Errors
/// It is no niceness.
pub fn own_priority(cx: &mut Setting<'_>, global: &mut Global, statement: &Statement) -> Outcome {
    let process = process(cx);
    if statement.arguments().is_empty() {
        return Err(complain(format!("No {process} process priority specified")));
    }
    let judged = whole(&first(statement), &(-20..=19));
    let template = format!("Invalid {process} process priority specified");
    let nice = judged.map_err(|wrong| also(cx, statement, wrong, &template))?;
    runtime(cx, global).nice = Some(nice);
    Ok(())
}

/// `bfd_no_swap`, `checker_no_swap`.
///
/// # Errors
/// None.
pub fn own_memory(cx: &mut Setting<'_>, global: &mut Global, _: &Statement) -> Outcome {
    runtime(cx, global).no_swap = Some(true);
    Ok(())
}

/// `bfd_rt_priority PRIORITY`, `checker_rt_priority PRIORITY`.
///
/// # Errors
/// It is no priority.
pub fn own_rt_priority(cx: &mut Setting<'_>, global: &mut Global, statement: &Statement) -> Outcome {
    let priority = realtime(cx, statement)?;
    runtime(cx, global).realtime = Some(priority);
    Ok(())
}

/// `bfd_cpu_affinity NUMBER ...`, `checker_cpu_affinity NUMBER ...`.
///
/// # Errors
/// There is no such processor.
pub fn own_cpu_affinity(cx: &mut Setting<'_>, global: &mut Global, statement: &Statement) -> Outcome {
    runtime(cx, global).processors.clear();
    cpu_affinity(cx, global, statement)?;
    runtime(cx, global).processors = statement.arguments().iter().filter_map(|word| word.text().parse().ok()).collect();
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
/// Differs from keepalived: a start without it does not advise it. [test: every_process_says_what_is_wrong_with_its_part]
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

/// `vrrp_iptables` of builds without them.
///
/// # Errors
/// Always: the keyword is for another build.
pub fn iptables(_: &mut Setting<'_>, _: &mut Global, _: &Statement) -> Outcome {
    let text = "iptables not supported, using nftables instead. Please replace 'vrrp_iptables and 'vrrp_ipsets' with \
                'nftables' config option";
    Err(complain(text))
}

/// `nftables [TABLE]`. A priority that was given before is forgotten.
///
/// # Errors
/// It was given before, or the name is too long.
pub fn nftables(_: &mut Setting<'_>, global: &mut Global, statement: &Statement) -> Outcome {
    const LONGEST: usize = 255;
    if global.nftables.is_some() {
        return Err(again("nftables already specified - ignoring"));
    }
    let name = statement.arguments().first().map_or_else(|| "keepalived".to_owned(), |word| word.text().into_owned());
    if name.len() > LONGEST {
        return Err(complain("nftables table name too long - ignoring"));
    }
    (global.nftables, global.nftables_priority) = (Some(name), None);
    Ok(())
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

/// The settings of the process a keyword is about.
fn runtime<'a>(cx: &Setting<'_>, global: &'a mut Global) -> &'a mut Runtime {
    if process(cx) == "bfd" { &mut global.bfd } else { &mut global.checkers }
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
fn cpu_affinity(cx: &mut Setting<'_>, _: &mut Global, statement: &Statement) -> Outcome {
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
pub fn umask(_: &mut Setting<'_>, global: &mut Global, statement: &Statement) -> Outcome {
    const BITS: [&str; 9] = ["IRUSR", "IWUSR", "IXUSR", "IRGRP", "IWGRP", "IXGRP", "IROTH", "IWOTH", "IXOTH"];
    let text = first(statement);
    if text.starts_with(|c: char| c.is_ascii_digit()) {
        if statement.arguments().len() != 1 {
            return Err(complain("Extra parameter(s) to umask option"));
        }
        let value = match text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")) {
            Some(digits) => u32::from_str_radix(digits, 16),
            None if text.starts_with('0') => u32::from_str_radix(&text, 8),
            None => text.parse(),
        };
        let value = value.ok().filter(|value| *value <= 0o777);
        global.umask = Some(value.ok_or_else(|| complain(format!("invalid umask value {text}")))?);
        return Ok(());
    }
    let (mut mask, mut needs_or) = (0, false);
    for word in statement.arguments() {
        let text = word.text();
        let mut rest: &str = &text;
        while !rest.is_empty() {
            if needs_or {
                let next = rest.strip_prefix('|').ok_or_else(|| complain(format!("Invalid umask syntax {text}")));
                (rest, needs_or) = (next?, false);
                continue;
            }
            let found = BITS.iter().zip((0..9).rev()).find_map(|(bit, at)| Some((rest.strip_prefix(bit)?, at)));
            let (next, at) = found.ok_or_else(|| complain(format!("Unknown umask bit {rest}")))?;
            mask |= 1 << at;
            (rest, needs_or) = (next, true);
        }
    }
    if !needs_or {
        return Err(complain("umask missing bit value"));
    }
    global.umask = Some(mask);
    Ok(())
}

/// `reload_time_file PATH`.
///
/// # Errors
/// There is no path, or more than one.
pub fn reload_time_file(_: &mut Setting<'_>, global: &mut Global, statement: &Statement) -> Outcome {
    if statement.arguments().len() != 1 {
        return Err(complain("reload_time_file invalid"));
    }
    global.reload_time_file = Some(first(statement));
    Ok(())
}

/// The file that is there during a reload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ReloadFile {
    /// The one beside the pid file.
    Usual,
    /// This one.
    At(String),
}

/// `reload_file [PATH]`.
///
/// # Errors
/// None.
#[expect(clippy::unnecessary_wraps, reason = "the shape of every keyword")]
pub fn reload_file(_: &mut Setting<'_>, global: &mut Global, statement: &Statement) -> Outcome {
    let given = !statement.arguments().is_empty();
    global.reload_file = Some(if given { ReloadFile::At(first(statement)) } else { ReloadFile::Usual });
    Ok(())
}

/// `reload_check_config [PATH]`.
///
/// # Errors
/// None.
#[expect(clippy::unnecessary_wraps, reason = "the shape of every keyword")]
pub fn reload_check(_: &mut Setting<'_>, global: &mut Global, statement: &Statement) -> Outcome {
    let given = !statement.arguments().is_empty();
    global.reload_check = Some(if given { first(statement) } else { "/dev/null".to_owned() });
    Ok(())
}

/// The keyword that says what includes insist on. It takes effect where it is read, before there are blocks.
pub const INCLUDE_CHECK: &str = "include_check";

/// `include_check [readable] [match] ...`.
///
/// Differs from keepalived: it knows `read` alone, though its manual says `readable`. [test: checks_of_includes_are_named_as_the_manual_names_them]
///
/// # Errors
/// An unknown word.
pub fn include_check(cx: &mut Setting<'_>, _: &mut Global, statement: &Statement) -> Outcome {
    const KINDS: [&str; 5] = ["read", "readable", "match", "wildcard_match", "brace_match"];
    for (at, word) in statement.arguments().iter().enumerate() {
        let text = word.text();
        let name = text.strip_prefix(['+', '-']);
        if at > 0 && name.is_none() {
            let text = format!("Duplicate include_check '{text}' specified - ignoring");
            cx.report(complain(text).at(statement.span));
            continue;
        }
        let name = name.unwrap_or(&text);
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
pub fn vmac_garp(cx: &mut Setting<'_>, global: &mut Global, statement: &Statement) -> Outcome {
    let old = "Keyword \"vrrp_vmac_garp_intvl\" is deprecated - please use \"vrrp_garp_extra_if\"";
    cx.report(complain(old).at(statement.span));
    extra_garp(cx, global, statement)
}

/// `vrrp_garp_extra_if [all] SECONDS`.
///
/// # Errors
/// There are no seconds, or too many.
pub fn extra_garp(cx: &mut Setting<'_>, global: &mut Global, statement: &Statement) -> Outcome {
    let words = statement.arguments();
    let Some(value) = words.iter().find(|word| !word.is("all")) else {
        return Err(complain(worded("{k} specified without time - ignoring", cx, "")));
    };
    let judged = count(&value.text(), &(1..=86_400));
    let seconds = judged.map_err(|wrong| also(cx, statement, wrong, "{k} '{v}' invalid - ignoring"))?;
    let interval = Duration::from_secs(seconds.unsigned_abs());
    global.extra_garp = Some(ExtraGarp { all: words.iter().any(|word| word.is("all")), interval });
    Ok(())
}

/// `vrrp_cpu_affinity NUMBER…`.
///
/// # Errors
/// There is no number, or no such processor.
pub fn vrrp_cpu_affinity(cx: &mut Setting<'_>, global: &mut Global, statement: &Statement) -> Outcome {
    global.processors.clear();
    cpu_affinity(cx, global, statement)?;
    global.processors = statement.arguments().iter().filter_map(|word| word.text().parse().ok()).collect();
    Ok(())
}

/// `vmac_prefix PREFIX`.
///
/// # Errors
/// It leaves no room for the rest of the name.
pub fn vmac_prefix(_: &mut Setting<'_>, global: &mut Global, statement: &Statement) -> Outcome {
    /// An interface's name has 15 bytes: a dot and three digits follow, and perhaps a number before the dot.
    const LONGEST: usize = 10;
    let prefix = first(statement);
    if prefix.len() > LONGEST || prefix.contains('/') {
        return Err(complain(format!("vmac_prefix '{prefix}' too long or invalid characters - ignoring")));
    }
    global.vmac_prefix = Some(prefix);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conf::expand::Environment;
    use crate::conf::source::Memory;
    use crate::keepalived::read::read;
    use crate::keepalived::slot::Machine;

    #[test]
    fn checks_of_includes_are_named_as_the_manual_names_them() {
        let lines = |words: &str| -> Vec<String> {
            let text = format!("global_defs {{\n {INCLUDE_CHECK} {words}\n}}\n");
            let machine = Machine { has_interface: &|_| true, has_user: &|_, _| true, read_secret: &|_| None };
            let reading = read(&Memory::of("k", &text), "k", &Environment::default(), &machine).unwrap();
            reading.complaints.into_iter().map(|complaint| complaint.text).collect()
        };
        assert_eq!(lines(""), [""; 0]);
        assert_eq!(lines("readable +match -brace_match"), [""; 0]);
        let said = lines("read wildcard_match -some");
        assert!(said[0].ends_with("Duplicate include_check 'wildcard_match' specified - ignoring"), "{said:?}");
        assert!(said[1].ends_with("Unknown include_check type 'some' - ignoring"), "{said:?}");
    }
}
