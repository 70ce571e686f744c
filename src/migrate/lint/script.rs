//! Check scripts: whether they can fail, and whether keepalived would run them.

use super::node::Node;
use super::vrrp::{Script, Set};
use super::{Found, Rule};
use crate::conf::source::Loader;
use crate::migrate::report::Severity;
use std::os::unix::fs::MetadataExt;
use std::path::{Component, Path, PathBuf};

/// The rules.
pub const RULES: [Rule; 8] = [
    rule("script-never-fails", Severity::Error, "a check script ends well whatever it finds", never_fails),
    rule("script-restarts", Severity::Warning, "a check script starts what it should only watch", restarts),
    rule("script-missing", Severity::Error, "a check script does not exist", missing),
    rule(
        "script-unsafe",
        Severity::Error,
        "keepalived disables a script others may write, or that nobody may run",
        unsafe_path,
    ),
    rule("script-relative", Severity::Warning, "a script has no full path", relative),
    rule("script-unwatched", Severity::Warning, "scripts run as root without enable_script_security", unwatched),
    rule("script-user", Severity::Warning, "with enable_script_security a script needs a user", user),
    rule("script-slow", Severity::Note, "a failure is noticed later than a dead host", slow),
];

const fn rule(id: &'static str, severity: Severity, title: &'static str, check: fn(&[Node], &mut Found<'_>)) -> Rule {
    Rule { id, severity, title, check }
}

/// The scripts that have a command, with the node they are on.
fn commands(nodes: &[Node]) -> impl Iterator<Item = (&Node, &Script, &Set)> {
    nodes.iter().flat_map(|node| {
        node.keepalived
            .iter()
            .flat_map(|file| &file.scripts)
            .filter_map(move |script| script.command.as_ref().map(|command| (node, script, command)))
    })
}

/// The program of a command.
fn program(command: &Set) -> &str {
    command.value.split_whitespace().next().unwrap_or_default()
}

/// A script's file and text: as it was given, or else as it lies on the machine.
fn text(node: &Node, command: &Set) -> Option<(String, String)> {
    let words: Vec<&str> = command.value.split_whitespace().collect();
    let shell = words.first().is_some_and(|word| ["sh", "bash", "dash"].contains(&base(word)));
    let path = if shell { words.iter().skip(1).find(|word| word.starts_with('/'))? } else { words.first()? };
    if let Some((name, text)) = node.scripts.iter().find(|(name, _)| base(name) == base(path)) {
        return Some((name.clone(), text.clone()));
    }
    if !on_machine(node) || !path.starts_with('/') {
        return None;
    }
    let bytes = node.given.load(path).ok()?;
    let is_script = bytes.starts_with(b"#!");
    is_script.then(|| ((*path).to_owned(), String::from_utf8_lossy(&bytes).into_owned()))
}

/// Whether the paths of the configuration can be looked up: those of another machine lie below --root.
fn on_machine(node: &Node) -> bool {
    node.given.root.is_some() || node.name.is_empty()
}

fn base(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

fn never_fails(nodes: &[Node], found: &mut Found<'_>) {
    for (node, script, command) in commands(nodes) {
        let Some((name, text)) = text(node, command) else { continue };
        if !can_fail(&text) {
            let also = if starts(&text).is_some() { "; it starts the service instead" } else { "" };
            let said = format!(
                "vrrp_script {}: {} exits with 0 whatever it finds{also}: the addresses never move because of it",
                script.name,
                base(&name)
            );
            found.add(&[name, command.place.clone()], said, "end it with exit 1 where the service is not well");
        }
    }
}

fn restarts(nodes: &[Node], found: &mut Found<'_>) {
    for (node, script, command) in commands(nodes) {
        let Some((name, text)) = text(node, command) else { continue };
        if let Some(line) = starts(&text) {
            let said = format!(
                "vrrp_script {}: {} starts what it checks, every {} s while it is down, also when an operator stopped it",
                script.name,
                base(&name),
                script.interval
            );
            let help = "a check reports and the service manager restarts (Restart=always)";
            found.add(&[format!("{name}:{line}"), command.place.clone()], said, help);
        }
    }
}

fn user(nodes: &[Node], found: &mut Found<'_>) {
    for file in nodes.iter().flat_map(|node| &node.keepalived).filter(|file| file.security && file.user.is_none()) {
        for script in file.scripts.iter().filter(|script| !script.has_user) {
            let said = format!(
                "vrrp_script {}: nobody is named to run it: keepalived takes keepalived_script, and where there is no such \
                 user it drops the check, and the addresses stay where nginx is down",
                script.name
            );
            found.add(std::slice::from_ref(&script.place), said, "name one with script_user");
        }
    }
}

fn missing(nodes: &[Node], found: &mut Found<'_>) {
    for (node, script, command) in commands(nodes).filter(|(node, ..)| node.given.root.is_some()) {
        let path = program(command);
        let given = node.scripts.iter().any(|(name, _)| base(name) == base(path));
        if path.starts_with('/') && !given && std::fs::metadata(below(node, path)).is_err() {
            let said = format!(
                "vrrp_script {}: there is no {path}: keepalived drops the check, and the addresses stay where nginx is down",
                script.name
            );
            found.add(std::slice::from_ref(&command.place), said, "");
        }
    }
}

fn below(node: &Node, path: &str) -> PathBuf {
    let root = node.given.root.as_deref().unwrap_or_default().trim_end_matches('/');
    PathBuf::from(format!("{root}{path}"))
}

fn unsafe_path(nodes: &[Node], found: &mut Found<'_>) {
    for (node, script, command) in commands(nodes).filter(|(node, ..)| on_machine(node)) {
        let path = program(command);
        let file = node.keepalived.iter().find(|file| file.scripts.iter().any(|one| one.name == script.name));
        let security = file.is_some_and(|file| file.security);
        let Some(meta) = path.starts_with('/').then(|| std::fs::metadata(below(node, path)).ok()).flatten() else {
            continue;
        };
        let says = |what: &str| {
            format!(
                "vrrp_script {}: {what}: keepalived drops the check, and the addresses stay where nginx is down",
                script.name
            )
        };
        let places = std::slice::from_ref(&command.place);
        if meta.mode() & 0o111 == 0 {
            found.add(places, says(&format!("{path} is not executable")), "chmod 755");
        }
        let root = file.and_then(|file| file.user.as_deref()) == Some("root");
        if let Some(what) = writable(node, path).filter(|_| security && root) {
            found.add(
                places,
                says(&what),
                "root must own it and all folders above it, and nobody else may write there",
            );
        }
    }
}

/// The first part of a path that others than root may change.
fn writable(node: &Node, path: &str) -> Option<String> {
    let root = node.given.root.as_deref().unwrap_or("/");
    // Files that were copied here belong to whoever copied them.
    let copied = std::fs::metadata(root).is_ok_and(|meta| meta.uid() != 0);
    let mut at = PathBuf::from("/");
    for part in Path::new(path).components() {
        if let Component::Normal(name) = part {
            at.push(name);
        }
        let shown = at.to_string_lossy().into_owned();
        let meta = std::fs::metadata(below(node, &shown)).ok()?;
        let sticky = meta.is_dir() && meta.mode() & 0o1000 != 0;
        let group = meta.mode() & 0o020 != 0 && meta.gid() != 0;
        if !sticky && (meta.mode() & 0o002 != 0 || group) {
            return Some(format!("others may write {shown}"));
        }
        if !copied && meta.uid() != 0 {
            return Some(format!("{shown} is not root's"));
        }
    }
    None
}

fn relative(nodes: &[Node], found: &mut Found<'_>) {
    for (_, script, command) in commands(nodes) {
        let path = program(command);
        if !path.is_empty() && !path.starts_with(['/', '$', '<']) {
            let text = format!("vrrp_script {}: {path} is looked for in PATH", script.name);
            found.add(std::slice::from_ref(&command.place), text, "write its full path");
        }
    }
}

fn unwatched(nodes: &[Node], found: &mut Found<'_>) {
    for file in nodes.iter().flat_map(|node| &node.keepalived) {
        let root = file.user.as_deref().is_none_or(|user| user == "root");
        if let Some(script) = file.scripts.first().filter(|_| root && !file.security) {
            let text = "scripts run as root, and nothing keeps others from changing them";
            found.add(
                std::slice::from_ref(&script.place),
                text,
                "enable_script_security, and a script_user of their own",
            );
        }
    }
}

/// Past this a client has given up.
const PATIENCE: f64 = 10.0;

fn slow(nodes: &[Node], found: &mut Found<'_>) {
    for (_, script, _) in commands(nodes) {
        let time = script.interval * script.fall;
        if time > PATIENCE {
            let text =
                format!("vrrp_script {}: a failure is noticed after up to {time} s (interval × fall)", script.name);
            found.add(std::slice::from_ref(&script.place), text, "a dead host is noticed in less than four seconds");
        }
    }
}

/// The lines of a shell script without comments, with their numbers.
fn rows(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let numbered = text.lines().enumerate().map(|(at, row)| (at + 1, row.trim()));
    numbered.filter(|(_, row)| !row.is_empty() && !row.starts_with('#'))
}

/// The commands of a line, split where the shell splits them.
fn parts(row: &str) -> impl Iterator<Item = &str> {
    row.split([';', '&', '|', '(', '`']).map(str::trim).map(|part| {
        let heads = ["if ", "then ", "else ", "elif ", "! ", "do ", "while ", "until ", "sudo "];
        heads.iter().fold(part, |part, head| part.strip_prefix(head).unwrap_or(part).trim())
    })
}

/// The line that starts a service, if one does.
fn starts(text: &str) -> Option<usize> {
    let starting = |part: &str| {
        let words: Vec<&str> = part.split_whitespace().collect();
        let [first, rest @ ..] = words.as_slice() else { return false };
        let has = |wanted: &[&str]| rest.iter().any(|word| wanted.contains(word));
        match base(first) {
            "nginx" | "rnginx" => !has(&["-t", "-T", "-v", "-V", "-s", "-h"]),
            "systemctl" | "service" => has(&["start", "restart"]) && !has(&["keepalived", "keepalived.service"]),
            _ => first.starts_with("/etc/init.d/") && !first.ends_with("keepalived") && has(&["start", "restart"]),
        }
    };
    rows(text).find(|(_, row)| parts(row).any(starting)).map(|(line, _)| line)
}

/// Commands that never fail in a script that works.
const HARMLESS: [&str; 12] =
    ["echo", "printf", "logger", "true", ":", "sleep", "date", "fi", "done", "esac", "then", "else"];

/// Whether a shell script has a way to say that something is wrong. What cannot be told is taken for a yes.
fn can_fail(text: &str) -> bool {
    let all: Vec<(usize, &str)> = rows(text).collect();
    let words = |part: &str| part.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
    let says = |part: &str| match words(part).as_slice() {
        [first, code, ..] if first == "exit" || first == "return" => code != "0",
        [first] => first == "exit",
        [first, rest @ ..] => {
            // The old way to give the address up: to end keepalived itself.
            let ends = ["killall", "pkill", "systemctl", "service", "kill"].contains(&base(first));
            let set = first == "set" && rest.iter().any(|word| word.starts_with("-e"));
            set || first == "exec" || first == "trap" || ends && part.contains("keepalived")
        }
        [] => false,
    };
    if all.iter().any(|(_, row)| parts(row).any(says)) {
        return true;
    }
    let last_fails = |row: &str| {
        let last = parts(row).filter(|part| !part.is_empty()).last().unwrap_or_default();
        let first = words(last).first().cloned().unwrap_or_default();
        !HARMLESS.contains(&first.as_str()) && !first.contains('=') && last != "exit 0" && first != "}"
    };
    // What a script ends with is what it says; of an `if`, that is what each of its branches ends with.
    let Some((_, last)) = all.last() else { return false };
    if *last != "fi" {
        return last_fails(last) || last.contains('}') || *last == "esac" || last.starts_with("done");
    }
    let closes = |row: &str| row == "fi" || row.starts_with("else") || row.starts_with("elif");
    all.windows(2).any(|two| matches!(two, [(_, before), (_, after)] if closes(after) && last_fails(before)))
}

#[cfg(test)]
mod tests {
    use super::{can_fail, starts};

    #[test]
    fn a_script_fails_where_it_can_say_so() {
        let fails = |text: &str| can_fail(&format!("#!/bin/sh\n{text}\n"));
        assert!(fails("pidof nginx"));
        assert!(fails("if ! pidof nginx; then\n exit 1\nfi"));
        assert!(fails("ps -C nginx >/dev/null || exit 2\nexit 0"));
        assert!(fails("n=`ps -C nginx | wc -l`\nif [ $n -eq 0 ]; then\n systemctl stop keepalived\nfi"));
        assert!(fails("if [ -f x ]; then\n curl -f http://127.0.0.1/\nelse\n echo no\nfi"));
        assert!(fails("set -e\ncurl -f http://127.0.0.1/\necho ok"));
        assert!(!fails("pidof nginx\nexit 0"));
        assert!(!fails("# exit 1\nif [ 1 -eq 0 ]; then\n nginx\n echo started\nfi"));
        assert!(!fails("if pidof nginx\nthen\n echo up\nelse\n echo down\nfi"));
        assert!(!fails("curl http://127.0.0.1/\necho done"));
    }

    #[test]
    fn starting_is_told_from_asking() {
        assert_eq!(starts("#!/bin/sh\nps -C nginx || /usr/sbin/nginx\n"), Some(2));
        assert_eq!(starts("#!/bin/sh\nif x; then systemctl restart nginx; fi\n"), Some(2));
        assert_eq!(starts("#!/bin/sh\nps -C nginx --no-header|wc -l\nnginx -t\necho nginx\nkillall -0 nginx\n"), None);
    }
}
