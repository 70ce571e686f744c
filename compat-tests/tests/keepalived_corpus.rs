//! Whole configurations and broken ones made of them: what `-t` says of each, as keepalived 2.1.5 does.
//!
//! Its words are recorded in `fixtures/keepalived/whole.tsv` and `broken.tsv` (see `recorded`).

use std::fs;
use std::io;
use std::net::Ipv4Addr;
use std::path::PathBuf;

use compat_tests::net::{Host, Switch};
use compat_tests::program::Program;
use compat_tests::spoil::spoil;
use compat_tests::{mount, recorded, root};

/// Where the files lie in the host.
const FOLDER: &str = "/etc/keepalived";

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
        collect(&root().join("fixtures/keepalived/bad"), "bad-", &mut files)?;
        collect(&root().join("fixtures/keepalived/stock"), "stock-", &mut files)?;
        host.run(move || -> io::Result<()> {
            mount::replace(FOLDER)?;
            files.iter().try_for_each(|(name, text)| mount::file(&format!("{FOLDER}/{name}"), text, 0o644))
        })??;
        Ok(Self { host, _switches: switches })
    }

    /// What a keepalived says of a file, as a row.
    fn row(&self, keepalived: &std::path::Path, key: &str, file: &str) -> io::Result<Vec<String>> {
        Ok(vec![key.to_owned(), recorded::told(&self.host, keepalived, &format!("{FOLDER}/{file}"))?])
    }
}

fn collect(folder: &std::path::Path, prefix: &str, files: &mut Vec<(String, Vec<u8>)>) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let name = format!("{prefix}{}", entry.file_name().to_string_lossy());
        if entry.file_type()?.is_dir() {
            collect(&entry.path(), &format!("{name}/"), files)?;
        } else if name.contains('/') || PathBuf::from(&name).extension().is_some_and(|extension| extension == "conf") {
            files.push((name, fs::read(entry.path())?));
        }
    }
    files.sort();
    Ok(())
}

/// The whole configurations of a folder, in order, without the parts they include.
fn whole(folder: &str, prefix: &str) -> io::Result<Vec<(String, String)>> {
    let mut files = Vec::new();
    collect(&root().join("fixtures/keepalived").join(folder), prefix, &mut files)?;
    let whole = files.into_iter().filter(|(name, _)| !name.contains('/') && !UNKNOWN_THERE.contains(&name.as_str()));
    Ok(whole.map(|(name, text)| (name, String::from_utf8_lossy(&text).into_owned())).collect())
}

/// Files with keywords the recorded keepalived does not know: of newer versions, BFD, SNMP, D-Bus, iptables.
const UNKNOWN_THERE: [&str; 11] = [
    "bad-again-bfd.conf",
    "bfd-incomplete.conf",
    "bfd.conf",
    "garp-tuning.conf",
    "kubernetes.conf",
    "link-delays.conf",
    "lvs-all-checks.conf",
    "processes.conf",
    "snmp-dbus.conf",
    "track-everything.conf",
    "vmac.conf",
];

/// Whole configurations that are judged otherwise, and why.
const WHOLE: &[(&[&str], &str)] = &[
    (&["bad-missing-brace.conf"], "keepalived dies of it"),
    (&["bad-again-many.conf"], "a second list of a group's members is skipped as a block"),
];

#[test]
fn whole_configurations_are_judged_as_keepalived_judges_them() -> io::Result<()> {
    let lab = Lab::new()?;
    let files = [whole("corpus", "")?, whole("bad", "bad-")?, whole("stock", "stock-")?].concat();
    assert!(files.len() >= 108, "only {} files", files.len());
    let table = |keepalived: PathBuf| -> io::Result<Vec<Vec<String>>> {
        files.iter().map(|(name, _)| lab.row(&keepalived, name, name)).collect()
    };
    if let Some(path) = recorded::recorder() {
        return recorded::write("whole.tsv", &table(path)?);
    }
    let (theirs, ours) = (recorded::read("whole.tsv")?, table(Program::Ours.keepalived()?)?);
    let wrong = recorded::differences(&theirs, &ours, WHOLE);
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), ours.len(), wrong.join("\n"));
    Ok(())
}

/// How many broken configurations are made.
const BROKEN: usize = 790;

const SKIPPED: &str = "an unknown block is skipped as a block";
const FINISH: &str = "an instance is judged as a whole in another order";
const SEQUENCE: &str = "a broken sequence is named without its reason";
const SHAPE: &str = "an extra brace is named in another order";
const INTERFACE: &str = "an address's interface that is not there is named later";
const NEGATIVE: &str = "a negative granularity is named once";
const DYNAMIC: &str = "two dynamic checkers are not warned of";

/// A file that came after the table of broken ones was recorded: which file a row breaks depends on their number.
const NOT_BROKEN: &str = "unicast-without-peers.conf";

/// Broken configurations whose first lines or codes differ, and why.
const BROKEN_OTHERWISE: &[(&[&str], &str)] = &[
    (&["40 not-secure.conf"], SKIPPED),
    (&["288 ipvlan.conf"], FINISH),
    (&["306 mixed-families.conf"], FINISH),
    (&["317 sequence-blocks.conf"], SEQUENCE),
    (&["318 sequence.conf"], SEQUENCE),
    (&["319 smtp.conf"], SHAPE),
    (&["374 mixed-families.conf"], FINISH),
    (&["475 web-master.conf"], INTERFACE),
    (&["568 lvs-ipv6.conf"], NEGATIVE),
    (&["589 sequence-blocks.conf"], SHAPE),
    (&["597 sync-group-lonely.conf"], FINISH),
    (&["672 unicast-ipv6.conf"], FINISH),
    (&["773 lvs-misc.conf"], DYNAMIC),
];

#[test]
fn broken_configurations_get_keepaliveds_first_word() -> io::Result<()> {
    let (lab, mut files) = (Lab::new()?, whole("corpus", "")?);
    files.retain(|(name, _)| name != NOT_BROKEN);
    let table = |keepalived: PathBuf| -> io::Result<Vec<Vec<String>>> {
        let row = |seed: usize| {
            let (name, text) = &files[seed % files.len()];
            let broken = spoil(text, seed as u64);
            lab.host.run(move || mount::file(&format!("{FOLDER}/broken"), broken.as_ref(), 0o644))??;
            let [key, told] = &lab.row(&keepalived, &format!("{seed} {name}"), "broken")?[..] else {
                return Err(io::Error::other("no row"));
            };
            // The code and the first line.
            Ok(vec![key.clone(), told.split(" | ").take(2).collect::<Vec<_>>().join(" | ")])
        };
        (0..BROKEN).map(row).collect()
    };
    if let Some(path) = recorded::recorder() {
        return recorded::write("broken.tsv", &table(path)?);
    }
    let (mut theirs, ours) = (recorded::read("broken.tsv")?, table(Program::Ours.keepalived()?)?);
    // Where keepalived dies of a file, ours at least must not take it for fine.
    let (mut died, mut wrong) = (0, Vec::new());
    for (seed, (theirs, ours)) in theirs.iter_mut().zip(&ours).enumerate() {
        if theirs[1].starts_with("died") {
            died += 1;
            let (name, text) = &files[seed % files.len()];
            // What is wrong with virtual servers alone fails no test.
            if ours[1].starts_with("died") || ours[1] == "0" && !name.starts_with("lvs-") {
                wrong.push(format!("keepalived dies of {name}, ours says {}:\n{}", ours[1], spoil(text, seed as u64)));
            }
            theirs.clone_from(ours);
        }
    }
    wrong.extend(recorded::differences(&theirs, &ours, BROKEN_OTHERWISE));
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), ours.len(), wrong.join("\n"));
    assert!(BROKEN_OTHERWISE.len() * 40 <= BROKEN);
    assert!(died * 6 < BROKEN, "{died} times keepalived died");
    Ok(())
}
