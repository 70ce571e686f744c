//! Every keyword that takes a command x every form of quoting: what the command is given, and what `-t` says of it.
//!
//! `fixtures/keepalived/commands.tsv` was recorded from keepalived 2.1.5 (see `recorded`). A daemon runs all keywords and
//! forms at once, each with a script of its own name, which writes down its arguments.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs;
use std::io;
use std::net::Ipv4Addr;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use compat_tests::net::{Host, Switch};
use compat_tests::program::Program;
use nix::sys::signal::Signal;

use compat_tests::{link, mount, recorded, wait_for};

/// The forms; `PATH` is the command's program.
const FORMS: &[&str] = &[
    "PATH",
    "PATH a b",
    r#""PATH a b""#,
    "'PATH a b'",
    r#""PATH 'a b' c""#,
    r#""PATH \"a b\" c""#,
    r#"'PATH "a b" c'"#,
    r#"'PATH \'a b\' c'"#,
    r#""PATH a\ b""#,
    r#""PATH a\\ b""#,
    r#""PATH a\tb""#,
    r#""PATH 'a\\tb' \\x41\\102""#,
    r#""PATH \x41 \101 \cA""#,
    r"PATH\ a\ b",
    r#""PATH" "a b""#,
    r#"PATH "a b" root"#,
    r#""PATH a" root"#,
    r#""PATH a" root root"#,
    r#""PATH a" nobody-here"#,
    r#""PATH a"root"#,
    r#"PA"TH a"'b c'"#,
    r#""PATH '' x \"\"""#,
    r#""PATH a#b !c""#,
    "PATH a # comment",
    r#""PATH a" ! comment"#,
    r#""PATH $HOME ${HOME} ~ *""#,
    r#""PATH $KNOWN ${KNOWN} $KNOWN""#,
    r#""PATH a | cat > /x; b && c""#,
    r#""/bin/sh -c 'PATH q \"r s\"'""#,
    r#""/bin/sh -c \"PATH q\"""#,
    r#""PATH a   b""#,
    r#""PATH {a} b}""#,
    r#""PATH é \xc3\xbc""#,
    r#""PATH a'b""#,
    r#"'PATH a"b'"#,
    r#""PATH unterminated"#,
    "'PATH unterminated",
    "</dev/null PATH",
];

/// Keywords whose commands are run here, and where they are written.
const RUN: &[&str] = &[
    "script",
    "notify",
    "notify_backup",
    "notify_master",
    "notify_stop",
    "notify_fault",
    "group:notify",
    "group:notify_backup",
    "group:notify_master",
    "group:notify_stop",
];

/// Keywords whose commands the daemon itself runs, once: each form has a daemon of its own.
const ENDS: &[&str] = &["startup_script", "shutdown_script"];

/// Keywords that are judged; those above are run too.
const JUDGED: &[&str] = &[
    "startup_script",
    "shutdown_script",
    "notify_fifo_script",
    "vrrp_notify_fifo_script",
    "lvs_notify_fifo_script",
    "quorum_up",
    "quorum_down",
    "notify_up",
    "notify_down",
    "misc_path",
    "notify_master_rx_lower_pri",
];

/// The table of the outcomes.
const TABLE: &str = "commands.tsv";

/// Where the scripts are and what they write.
const FOLDER: &str = "/run/commands";
const FILE: &str = "/etc/keepalived/keepalived.conf";

const SCRIPT: &str = "#!/bin/sh
x=\"$#:\"
for a in \"$@\"; do x=\"$x[$a]\"; done
printf '%s\\n' \"$x\" >> \"/run/commands/out/${0##*/}\"
";

fn form(number: usize, keyword: &str) -> String {
    let name = format!("{FOLDER}/bin/{}", name(keyword, number));
    // One form quotes only a part of the path.
    let split = FORMS[number].replace("PA\"TH", &name.replacen("/bin/", "/b\"in/", 1));
    split.replace("PATH", &name)
}

/// An instance; its first lines, and what more it has.
fn instance(name: &str, interface: &str, router: usize, more: &str) -> String {
    format!(
        "vrrp_instance {name} {{\n interface {interface}\n virtual_router_id {router}\n priority 254\n \
         virtual_ipaddress {{\n 10.8.{}.{router}\n }}\n{more}}}\n",
        u8::from(interface == "eth9")
    )
}

/// Everything that is run, in one configuration.
fn configuration() -> String {
    let mut text = "$KNOWN=known\nglobal_defs {\n script_user root\n}\n".to_owned();
    for (at, unpathed) in FORMS.iter().enumerate() {
        let lines = |prefix: &str, keywords: &[&str]| -> String {
            keywords.iter().map(|word| format!(" {word} {}\n", form(at, &format!("{prefix}{word}")))).collect()
        };
        // keepalived dies of a script whose quote stays open.
        let script = if unpathed.ends_with("unterminated") { "/bin/true".to_owned() } else { form(at, "script") };
        let _ = write!(text, "vrrp_script script{at} {{\n script {script}\n interval 1\n weight 1\n}}\n");
        let own = lines("", &["notify", "notify_backup", "notify_master", "notify_stop"]);
        let own = format!(" track_script {{\n script{at}\n }}\n{own}");
        text += &instance(&format!("V{at}"), "eth0", 1 + at, &own);
        text += &instance(&format!("F{at}"), "eth9", 51 + at, &lines("", &["notify_fault"]));
        text += &instance(&format!("A{at}"), "eth0", 101 + at, "");
        text += &instance(&format!("B{at}"), "eth0", 151 + at, "");
        let group = lines("group:", &["notify", "notify_backup", "notify_master", "notify_stop"]);
        let _ = write!(text, "vrrp_sync_group G{at} {{\n group {{\n A{at}\n B{at}\n }}\n{group}}}\n");
    }
    text
}

/// A configuration with one form of the commands of the start and the end.
fn ends(at: usize) -> String {
    let lines: String = ENDS.iter().map(|word| format!(" {word} {}\n", form(at, word))).collect();
    format!("$KNOWN=known\nglobal_defs {{\n script_user root\n{lines}}}\n{}", instance("V", "eth0", 201 + at, ""))
}

/// A configuration with one keyword that is only judged.
fn judged(keyword: &str, at: usize) -> String {
    let line = format!("{keyword} {}\n", FORMS[at].replace("PA\"TH", "/bin/t\"rue").replace("PATH", "/bin/true"));
    let servers = |real: &str, own: &str| {
        format!("virtual_server 10.8.0.1 80 {{\n real_server 10.8.0.2 80 {{\n{real}}}\n{own}}}\n")
    };
    match keyword {
        "quorum_up" | "quorum_down" => servers("", &line),
        "notify_up" | "notify_down" => servers(&line, ""),
        "misc_path" => servers(&format!("MISC_CHECK {{\n{line}}}\n"), ""),
        "notify_master_rx_lower_pri" => instance("V", "eth0", 5, &line),
        _ => format!("global_defs {{\n{line}}}\n"),
    }
}

struct Lab {
    host: Host,
    _switches: [Switch; 2],
}

impl Lab {
    fn new() -> io::Result<Self> {
        let host = Host::new("commands")?;
        let switches = [Switch::new()?, Switch::new()?];
        switches[0].plug(&host, "eth0", Ipv4Addr::new(10, 8, 0, 200), 24)?;
        switches[1].plug(&host, "eth9", Ipv4Addr::new(10, 8, 1, 200), 24)?;
        host.run(|| -> io::Result<()> {
            link::set_up("eth9", false)?;
            mount::replace("/etc/keepalived")?;
            mount::folder(&format!("{FOLDER}/bin"))?;
            for keyword in RUN.iter().chain(ENDS) {
                for at in 0..FORMS.len() {
                    mount::file(&format!("{FOLDER}/bin/{}", name(keyword, at)), SCRIPT.as_bytes(), 0o755)?;
                }
            }
            Ok(())
        })??;
        Ok(Self { host, _switches: switches })
    }

    /// What each command was given first; `expected` are the commands to wait for.
    fn run(&self, keepalived: &Path, expected: &BTreeSet<String>) -> io::Result<BTreeMap<String, String>> {
        self.host.run(|| -> io::Result<()> {
            let _ = fs::remove_dir_all(format!("{FOLDER}/out"));
            mount::folder(&format!("{FOLDER}/out"))?;
            mount::file(FILE, configuration().as_bytes(), 0o644)
        })??;
        let mut command = Command::new(keepalived);
        command.args(["-n", "-l", "-f", FILE, "-p", "/run/commands.pid", "-r", "/run/commands.vrrp"]);
        let running = self.host.start(command)?;
        let have = || -> io::Result<BTreeMap<String, String>> { self.host.run(outputs)? };
        let there = |stop: bool| {
            let have = have().ok()?;
            expected
                .iter()
                .filter(|name| stop || !name.contains("notify_stop"))
                .all(|name| have.contains_key(name))
                .then_some(())
        };
        // A command that is missing is shown by the comparison.
        let _ = wait_for("the commands", Duration::from_secs(30), || there(false));
        running.stop(Duration::from_secs(10))?;
        let _ = wait_for("the commands of the end", Duration::from_secs(10), || there(true));
        have()
    }

    /// The same of the commands that daemons run as they start and stop.
    fn run_ends(&self, keepalived: &Path) -> io::Result<BTreeMap<String, String>> {
        let mut daemons = Vec::new();
        for at in 0..FORMS.len() {
            let file = format!("/run/commands/ends{at}.conf");
            let (text, put) = (ends(at), file.clone());
            self.host.run(move || mount::file(&put, text.as_bytes(), 0o644))??;
            let mut command = Command::new(keepalived);
            command.args(["-n", "-l", "-f", &file]);
            command.args([("-p", "parent"), ("-r", "vrrp")].map(|(flag, name)| format!("{flag}/run/{name}{at}.pid")));
            daemons.push((at, self.host.start(command)?));
        }
        for (at, daemon) in &daemons {
            let vrrp = format!("/run/vrrp{at}.pid");
            let begun = || {
                let name = vrrp.clone();
                let there = self.host.run(move || Path::new(&name).exists()).ok()?;
                (there || daemon.output().contains("Terminating")).then_some(())
            };
            let _ = wait_for("a daemon", Duration::from_secs(10), begun);
        }
        for (_, daemon) in &daemons {
            daemon.signal(Signal::SIGTERM);
        }
        for (_, daemon) in &daemons {
            daemon.wait(Duration::from_secs(20))?;
        }
        self.host.run(outputs)?
    }

    /// The code and the lines of a test.
    fn told(&self, keepalived: &Path, text: String) -> io::Result<String> {
        self.host.run(move || mount::file(FILE, text.as_bytes(), 0o644))??;
        recorded::told(&self.host, keepalived, FILE)
    }
}

/// The first line of each script's output.
fn outputs() -> io::Result<BTreeMap<String, String>> {
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(format!("{FOLDER}/out"))? {
        let entry = entry?;
        let text = String::from_utf8_lossy(&fs::read(entry.path())?).into_owned();
        if let Some((first, _)) = text.split_once('\n') {
            found.insert(entry.file_name().to_string_lossy().into_owned(), first.to_owned());
        }
    }
    Ok(found)
}

/// A table of what a program makes of every keyword and form.
fn table(lab: &Lab, keepalived: &Path, expected: &BTreeSet<String>) -> io::Result<Vec<Vec<String>>> {
    let mut ran = lab.run(keepalived, expected)?;
    ran.extend(lab.run_ends(keepalived)?);
    let mut rows = Vec::new();
    let row = |keyword: &str, form: &str, outcome: String| {
        vec![keyword.to_owned(), form.to_owned(), outcome.replace('\t', "<tab>")]
    };
    for keyword in RUN.iter().chain(ENDS) {
        for (at, form) in FORMS.iter().enumerate() {
            let outcome = ran.get(&name(keyword, at)).cloned().unwrap_or_else(|| "not run".to_owned());
            rows.push(row(&format!("{keyword}{}", if ENDS.contains(keyword) { ":run" } else { "" }), form, outcome));
        }
    }
    for keyword in JUDGED {
        for (at, form) in FORMS.iter().enumerate() {
            rows.push(row(keyword, form, lab.told(keepalived, judged(keyword, at))?));
        }
    }
    Ok(rows)
}

/// The script of a keyword and a form.
fn name(keyword: &str, at: usize) -> String {
    format!("{}.{at}", keyword.replace(':', "-"))
}

/// The commands that print something according to the table.
fn expected(rows: &[Vec<String>]) -> BTreeSet<String> {
    let ran = |row: &Vec<String>| {
        let at = FORMS.iter().position(|form| *form == row[1])?;
        (RUN.contains(&row[0].as_str()) && row[2] != "not run").then(|| name(&row[0], at))
    };
    rows.iter().filter_map(ran).collect()
}

const MISSING: &str = "a quote that stays open is named, where keepalived misses the argument";

/// Rows that differ, and why.
const DIFFERENT: &[(&[&str], &str)] = &[
    (&["startup_script", r#""PATH unterminated"#], MISSING),
    (&["shutdown_script", r#""PATH unterminated"#], MISSING),
    (&["startup_script", "'PATH unterminated"], MISSING),
    (&["shutdown_script", "'PATH unterminated"], MISSING),
    (&["notify_fifo_script", r#""PATH unterminated"#], MISSING),
    (&["vrrp_notify_fifo_script", r#""PATH unterminated"#], MISSING),
    (&["lvs_notify_fifo_script", r#""PATH unterminated"#], MISSING),
    (&["misc_path", r#""PATH unterminated"#], "keepalived dies of it"),
    (&["misc_path", "'PATH unterminated"], "keepalived dies of it"),
];

#[test]
fn commands_get_the_arguments_keepalived_gives_them() -> io::Result<()> {
    let lab = Lab::new()?;
    if let Some(path) = recorded::recorder() {
        // What cannot be known beforehand is waited for as long as anything comes.
        let everything = RUN.iter().flat_map(|keyword| (0..FORMS.len()).map(move |at| name(keyword, at)));
        return recorded::write(TABLE, &table(&lab, &path, &everything.collect())?);
    }
    let theirs = recorded::read(TABLE)?;
    let ours = table(&lab, &Program::Ours.keepalived()?, &expected(&theirs))?;
    let wrong = recorded::differences(&theirs, &ours, DIFFERENT);
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), ours.len(), wrong.join("\n"));
    assert!(expected(&theirs).len() > 200, "{} commands are run", expected(&theirs).len());
    Ok(())
}
