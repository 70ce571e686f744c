//! Whole configurations and broken ones made of them: the installed nginx and ours agree on verdict, first message and
//! warnings, but for a list of differences that says why.
//!
//! `RHA_REPORT=file` writes every difference there; `RHA_CASE=name` asks about one and shows it.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::io;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use compat_tests::mutate::mutate;
use compat_tests::net::Host;
use compat_tests::program::Program;
use compat_tests::verdict::{self, Verdict};

const FOLDER: &str = "fixtures/nginx/corpus";

/// How many broken files are made.
const MUTANTS: usize = 1100;

/// A configuration and its name.
type Item = (String, Vec<u8>);

fn corpus() -> io::Result<Vec<Item>> {
    let mut items = Vec::new();
    for entry in fs::read_dir(compat_tests::root().join(FOLDER))? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "conf") {
            let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
            items.push((name, fs::read(&path)?));
        }
    }
    items.sort();
    Ok(items)
}

fn mutants(whole: &[Item]) -> Vec<Item> {
    let short: Vec<&Item> = whole.iter().filter(|(_, text)| text.len() < 12_000).collect();
    let name = |number: usize, of: &str| format!("mutant {number} of {of}");
    (0..MUTANTS)
        .filter_map(|number| {
            short.get(number % short.len()).map(|(of, text)| (name(number, of), mutate(text, number as u64)))
        })
        .collect()
}

/// The listed differences: an item's name to the reason.
fn known() -> io::Result<BTreeMap<String, String>> {
    let text = fs::read_to_string(compat_tests::root().join(FOLDER).join("differences.txt"))?;
    let rows = text.lines().filter(|line| !line.starts_with('#') && !line.is_empty());
    Ok(rows.filter_map(|line| line.split_once(": ")).map(|(name, why)| (name.to_owned(), why.to_owned())).collect())
}

/// The messages at a level.
fn at(verdict: &Verdict, warning: bool) -> Vec<&str> {
    let is = |line: &&str| line.contains("[warn] ") == warning && line.starts_with("nginx: [");
    verdict.lines.iter().map(String::as_str).filter(is).collect()
}

/// In what two verdicts differ, if in anything.
fn difference(theirs: &Verdict, ours: &Verdict) -> Option<&'static str> {
    if theirs.status != ours.status {
        Some("verdict")
    } else if at(theirs, false).first() != at(ours, false).first() {
        Some("message")
    } else if at(theirs, true) != at(ours, true) {
        Some("warnings")
    } else {
        None
    }
}

/// Asks about all items on two hosts at once; the differing ones, with what they differ in and a report.
fn compare(items: &[Item]) -> io::Result<BTreeMap<String, (&'static str, String)>> {
    let next = AtomicUsize::new(0);
    let found = Mutex::new(BTreeMap::new());
    let work = |host: Host| -> io::Result<()> {
        while let Some((name, text)) = items.get(next.fetch_add(1, Ordering::Relaxed)) {
            if items.len() == 1 {
                eprintln!("{}", String::from_utf8_lossy(text));
            }
            let theirs = verdict::ask(&host, Program::Original, text)?;
            let ours = verdict::ask(&host, Program::Ours, text)?;
            if let Some(kind) = difference(&theirs, &ours) {
                let mut report = format!("{name}: {kind}\n");
                for (whose, verdict) in [("nginx", &theirs), ("ours", &ours)] {
                    for line in &verdict.lines {
                        let _ = writeln!(report, "  {whose} {line}");
                    }
                }
                if let Ok(mut found) = found.lock() {
                    found.insert(name.clone(), (kind, report));
                }
            }
        }
        Ok(())
    };
    let hosts = [Host::new("judge")?, Host::new("second")?];
    std::thread::scope(|scope| {
        let threads: Vec<_> = hosts.into_iter().map(|host| scope.spawn(|| work(host))).collect();
        threads
            .into_iter()
            .try_for_each(|thread| thread.join().map_err(|_| io::Error::other("a comparison ended early"))?)
    })?;
    Ok(found.into_inner().unwrap_or_default())
}

fn judge(items: &[Item], most_listed: usize) -> io::Result<()> {
    let only = std::env::var("RHA_CASE").ok();
    let items: Vec<Item> =
        items.iter().filter(|(name, _)| only.as_ref().is_none_or(|only| name == only)).cloned().collect();
    let found = compare(&items)?;
    if let Some(path) = std::env::var_os("RHA_REPORT") {
        let text: String = found.values().map(|(_, report)| report.as_str()).collect();
        let mut file = fs::OpenOptions::new().create(true).append(true).open(path)?;
        io::Write::write_all(&mut file, text.as_bytes())?;
    }
    let known = known()?;
    let fresh: Vec<&str> =
        found.iter().filter(|(name, _)| !known.contains_key(*name)).map(|(_, (_, report))| report.as_str()).collect();
    let stale: Vec<&String> = items
        .iter()
        .map(|(name, _)| name)
        .filter(|name| known.contains_key(*name) && !found.contains_key(*name))
        .collect();
    assert!(fresh.is_empty(), "{} of {} differ and are not listed\n{}", fresh.len(), items.len(), fresh.concat());
    assert!(stale.is_empty(), "listed, and no longer different: {stale:#?}");
    assert!(found.len() <= most_listed, "{} listed differences are too many", found.len());
    Ok(())
}

#[test]
fn whole_configurations_are_judged_as_nginx_judges_them() -> io::Result<()> {
    if Program::Original.nginx().is_err() {
        return Ok(());
    }
    let items = corpus()?;
    assert!(items.len() >= 150, "{} files", items.len());
    judge(&items, items.len() / 50)
}

#[test]
fn broken_configurations_are_judged_as_nginx_judges_them() -> io::Result<()> {
    if Program::Original.nginx().is_err() {
        return Ok(());
    }
    let items = mutants(&corpus()?);
    assert!(items.len() >= 1000, "{} mutants", items.len());
    judge(&items, items.len() / 100)
}
