//! Whole configurations and broken ones made of them: what `-t` says of each, asked of the installed keepalived and of ours.
//!
//! keepalived 2.2.7 reads a file once for each of its processes, so it says some things several times, and its first
//! reading leaves the file's name out. Where a later reading says the same with its place, that is what counts.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::process::Command;

use compat_tests::net::{Host, Switch};
use compat_tests::program::Program;
use compat_tests::spoil::spoil;
use compat_tests::{mount, root};

/// Where the files lie in the host.
const FOLDER: &str = "/etc/keepalived";

/// What a test of a configuration comes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verdict {
    Fine,
    Mistakes,
    /// A keyword lacks its argument.
    Lacks,
    /// Scripts run as root, unwatched.
    Insecure,
    /// The program died; that is nobody's model.
    Died,
}

impl Verdict {
    /// The codes changed after 2.1.5, whose numbers ours has.
    fn of(program: Program, code: Option<i32>) -> Self {
        match (program, code) {
            (_, Some(0)) => Self::Fine,
            (Program::Original, Some(5)) | (Program::Ours, Some(4)) => Self::Mistakes,
            (Program::Original, Some(2)) | (Program::Ours, Some(3)) => Self::Lacks,
            (Program::Original, Some(6)) | (Program::Ours, Some(5)) => Self::Insecure,
            _ => Self::Died,
        }
    }
}

#[derive(Debug, PartialEq, Eq)]
struct Said {
    verdict: Verdict,
    /// In order, each once.
    lines: Vec<String>,
}

struct Lab {
    host: Host,
    _switches: Vec<Switch>,
}

impl Lab {
    /// A host with the interfaces the files name, and the files.
    fn new() -> io::Result<Self> {
        let host = Host::new("reader")?;
        let mut switches = Vec::new();
        for (number, interface) in (0..).zip(["ens33", "eth0", "eth1", "eth2", "bond0", "br0"]) {
            let switch = Switch::new()?;
            switch.plug(&host, interface, Ipv4Addr::new(192, 168, 100 + number, 11), 24)?;
            switches.push(switch);
        }
        let mut files = Vec::new();
        collect(&root().join("fixtures/keepalived/corpus"), "", &mut files)?;
        host.run(move || -> io::Result<()> {
            mount::replace(FOLDER)?;
            for (name, text) in files {
                let path = PathBuf::from(format!("{FOLDER}/{name}"));
                fs::create_dir_all(path.parent().unwrap_or(&path))?;
                fs::write(path, text)?;
            }
            Ok(())
        })??;
        Ok(Self { host, _switches: switches })
    }

    fn said(&self, program: Program, name: &str) -> io::Result<Said> {
        let (path, file) = (program.keepalived()?, format!("{FOLDER}/{name}"));
        let wanted = file.clone();
        let output = self.host.run(move || Command::new(path).args(["-t", "-f", &wanted]).output())??;
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        let lines = placed(text.lines().filter(|line| !is_own(program, line)), &file);
        Ok(Said { verdict: Verdict::of(program, output.status.code()), lines })
    }
}

/// What only one of the two can say: what is not served, and braces once more as keywords.
fn is_own(program: Program, line: &str) -> bool {
    match program {
        Program::Ours => line.starts_with("rkeepalived: not served: "),
        // 2.1.5 says nothing of unicast keywords without peers.
        Program::Original => {
            line.contains("Unknown keyword '}'") || line.contains("A unicast keyword has been specified without any")
        }
    }
}

/// Each line once, with its place if any reading tells it.
fn placed<'a>(lines: impl Iterator<Item = &'a str>, file: &str) -> Vec<String> {
    let all: Vec<&str> = lines.collect();
    let full = format!("({file}: Line ");
    let mut found: Vec<String> = Vec::new();
    for line in &all {
        let bare = line.strip_prefix("(Line ").and_then(|rest| rest.split_once(") "));
        let line = match bare {
            Some((number, text)) => {
                let same = |other: &&&str| other.starts_with(&full) && other.ends_with(&format!(") {text}"));
                let here = format!("{full}{number}) {text}");
                let others: Vec<_> = all.iter().filter(same).collect();
                match others.first() {
                    Some(other) if !others.iter().any(|other| **other == here) => (**other).to_owned(),
                    _ => here,
                }
            }
            None => (*line).to_owned(),
        };
        if !found.contains(&line) {
            found.push(line);
        }
    }
    found
}

fn collect(folder: &std::path::Path, prefix: &str, files: &mut Vec<(String, Vec<u8>)>) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let name = format!("{prefix}{}", entry.file_name().to_string_lossy());
        if entry.file_type()?.is_dir() {
            collect(&entry.path(), &format!("{name}/"), files)?;
        } else {
            files.push((name, fs::read(entry.path())?));
        }
    }
    files.sort();
    Ok(())
}

/// The whole configurations, in order, without the parts they include.
fn corpus() -> io::Result<Vec<(String, String)>> {
    let mut files = Vec::new();
    collect(&root().join("fixtures/keepalived/corpus"), "", &mut files)?;
    let whole = files.into_iter().filter(|(name, _)| !name.contains('/'));
    Ok(whole.map(|(name, text)| (name, String::from_utf8_lossy(&text).into_owned())).collect())
}

#[test]
fn whole_configurations_are_judged_as_keepalived_judges_them() -> io::Result<()> {
    if Program::Original.keepalived().is_err() {
        return Ok(());
    }
    let (lab, corpus) = (Lab::new()?, corpus()?);
    assert!(corpus.len() >= 60, "only {} files", corpus.len());
    let mut wrong = Vec::new();
    for (name, _) in corpus {
        let (mut theirs, mut ours) = (lab.said(Program::Original, &name)?, lab.said(Program::Ours, &name)?);
        let first = theirs.lines.first() == ours.lines.first();
        theirs.lines.sort();
        ours.lines.sort();
        if !first || theirs != ours {
            wrong.push(format!("{name}\ntheirs {theirs:#?}\nours {ours:#?}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n----\n"));
    Ok(())
}

/// How many broken configurations are made.
const BROKEN: u64 = 790;

/// Numbers of broken configurations whose first lines differ, and why.
const DIFFERENT: &[(u64, &str)] =
    &[(520, "an unknown block is skipped as a block"), (718, "a line with a password is quoted without it")];

#[test]
fn broken_configurations_get_keepaliveds_first_word() -> io::Result<()> {
    if Program::Original.keepalived().is_err() {
        return Ok(());
    }
    let (lab, corpus) = (Lab::new()?, corpus()?);
    let known: BTreeMap<u64, &str> = DIFFERENT.iter().copied().collect();
    let (mut wrong, mut died, mut compared) = (Vec::new(), 0, 0);
    for seed in 0..BROKEN {
        let (name, text) = &corpus[seed as usize % corpus.len()];
        let broken = spoil(text, seed);
        lab.host.run(move || fs::write(format!("{FOLDER}/broken"), broken))??;
        let (theirs, ours) = (lab.said(Program::Original, "broken")?, lab.said(Program::Ours, "broken")?);
        if theirs.verdict == Verdict::Died {
            // Where keepalived dies of a file, ours at least must not take it for fine.
            died += 1;
            if matches!(ours.verdict, Verdict::Fine | Verdict::Died) {
                wrong.push(format!("{seed} {name}: keepalived dies of it, ours says {ours:#?}"));
            }
            continue;
        }
        compared += 1;
        let same = theirs.verdict == ours.verdict && theirs.lines.first() == ours.lines.first();
        match (same, known.get(&seed)) {
            (false, None) => wrong.push(format!("{seed} {name}\ntheirs {theirs:#?}\nours {ours:#?}")),
            (true, Some(why)) => wrong.push(format!("{seed} {name}: no longer different ({why})")),
            _ => {}
        }
        if theirs.verdict != ours.verdict && same == known.contains_key(&seed) {
            wrong.push(format!("{seed} {name}: verdicts {:?} and {:?}", theirs.verdict, ours.verdict));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n----\n"));
    assert!(compared >= 400 && died * 20 < compared, "{compared} compared, {died} times keepalived died");
    assert!(DIFFERENT.len() * 100 <= compared, "{} of {compared} differ", DIFFERENT.len());
    Ok(())
}
