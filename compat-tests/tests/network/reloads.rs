//! What a configuration says about reloads: a test before, a file meanwhile, and copies of what was known.

use std::fs;
use std::io;

use super::pair::{LIMIT, PORT, Pair, Side, VIRTUAL};
use compat_tests::program::Program;
use compat_tests::wait_for;
use nix::sys::signal::Signal;

/// An instance and a session, with `words` for the whole daemon.
fn configuration(words: &str, priority: u8) -> String {
    format!(
        "global_defs {{\n router_id x\n{words}\n}}\nbfd_instance session {{\n neighbor_ip 192.168.110.12\n source_ip \
         192.168.110.11\n}}\nvrrp_instance V {{\n interface {PORT}\n virtual_router_id 51\n priority {priority}\n \
         advert_int 0.1\n version 3\n virtual_ipaddress {{\n {VIRTUAL}\n }}\n}}\n"
    )
}

fn reload(side: &Side, text: &str) -> io::Result<()> {
    side.configure(text)?;
    side.signal(Signal::SIGHUP);
    Ok(())
}

#[test]
fn a_configuration_that_fails_its_test_is_not_reloaded() -> io::Result<()> {
    let words = " reload_check_config /tmp/check";
    let mut pair = Pair::new(Program::Ours, Program::Ours)?;
    pair.a.start(&configuration(words, 100))?;
    pair.a.becomes_master()?;
    reload(&pair.a, &configuration(words, 100).replace("version 3", "nonsense 3"))?;
    pair.a.says("New config failed validation, see /tmp/check for details")?;
    let found = pair.a.host.run(|| fs::read_to_string("/tmp/check"))??;
    assert!(found.contains("Unknown keyword 'nonsense'"), "{found}");
    assert!(!pair.a.log().contains("Reloading") && pair.a.is_master(), "{}", pair.a.log());
    reload(&pair.a, &configuration(words, 120))?;
    pair.a.says("Reloading ...")?;
    wait_for("an empty file", LIMIT, || {
        pair.a.host.run(|| fs::read_to_string("/tmp/check")).ok()?.ok().filter(String::is_empty).map(|_| ())
    })
}

#[test]
fn the_file_of_a_reload_is_removed_when_all_have_read() -> io::Result<()> {
    for (words, path) in [(" reload_file", "/run/keepalived.reload"), (" reload_file /tmp/busy", "/tmp/busy")] {
        let mut pair = Pair::new(Program::Ours, Program::Ours)?;
        pair.a.start(&configuration(words, 100))?;
        pair.a.becomes_master()?;
        pair.a.host.run(move || fs::write(path, "changing"))??;
        reload(&pair.a, &configuration(words, 120))?;
        wait_for(path, LIMIT, || pair.a.host.run(move || !fs::exists(path).unwrap_or(true)).ok()?.then_some(()))?;
        // The parent, and the processes of virtual routers and of sessions.
        let log = pair.a.log();
        assert_eq!(log.matches("Opening file").count(), 6, "{log}");
        assert_eq!(log.matches("Reloading").count(), 3, "{log}");
    }
    Ok(())
}

#[test]
fn configurations_and_what_was_known_are_kept() -> io::Result<()> {
    let words = " config_save_dir /tmp/kept/";
    let mut pair = Pair::new(Program::Ours, Program::Ours)?;
    pair.a.start(&configuration(words, 100))?;
    pair.a.becomes_master()?;
    reload(&pair.a, &configuration(words, 120))?;
    let names = || -> io::Result<Vec<String>> {
        pair.a.host.run(|| {
            let entries = fs::read_dir("/tmp/kept")?.flatten();
            let mut names: Vec<String> =
                entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
            names.sort();
            Ok(names)
        })?
    };
    let without_pid = |name: &String| {
        let parts: Vec<&str> = name.split('.').filter(|part| part.parse::<u32>().is_err() || part.len() == 1).collect();
        parts.join(".")
    };
    wait_for("six files", LIMIT, || names().ok().filter(|names| names.len() == 6).map(|_| ()))?;
    let kept = names()?;
    let read = |end: &'static str| -> io::Result<String> {
        let name = kept.iter().find(|name| name.ends_with(end)).cloned().unwrap_or_default();
        pair.a.host.run(move || fs::read_to_string(format!("/tmp/kept/{name}")))?
    };
    let shown: Vec<String> = kept.iter().map(without_pid).collect();
    assert!(shown.iter().any(|name| name.starts_with("keepalived_bfd")), "{shown:?}");
    assert!(read(".0")?.contains("priority 100") && read("pre")?.contains("------<"), "{shown:?}");
    let vrrp = |when: &str| -> io::Result<String> {
        let name = kept.iter().find(|name| name.starts_with("keepalived_vrrp") && name.ends_with(when)).cloned();
        pair.a.host.run(move || fs::read_to_string(format!("/tmp/kept/{}", name.unwrap_or_default())))?
    };
    assert!(vrrp(".1.pre")?.contains("   Priority = 100\n") && vrrp(".1.post")?.contains("   Priority = 120\n"));
    Ok(())
}

#[test]
fn every_process_says_what_is_wrong_with_its_part() -> io::Result<()> {
    let routers = format!(
        "foo bar\nvrrp_instance V {{\n interface {PORT}\n virtual_router_id 51\n baz 1\n virtual_ipaddress {{\n {VIRTUAL}\n \
         }}\n}}\n"
    );
    for (text, ready) in [("foo bar\n", "no configuration to run"), (routers.as_str(), "Entering BACKUP STATE")] {
        let [theirs, ours] = [Program::Original, Program::Ours].map(|program| -> io::Result<_> {
            let mut pair = Pair::new(program, Program::Ours)?;
            pair.a.start(text)?;
            pair.a.says(ready)?;
            let lines =
                || ["Unknown keyword 'foo'", "Unknown keyword 'baz'"].map(|line| pair.a.log().matches(line).count());
            let before = lines();
            if ready.contains("BACKUP") {
                reload(&pair.a, text)?;
                wait_for("what is wrong", LIMIT, || (lines() == before.map(|count| 2 * count)).then_some(()))?;
            }
            if program == Program::Ours {
                // As 2.1.5; in later versions one process opens the file for all.
                let log = pair.a.log();
                assert_eq!(log.matches("Opening file").count(), lines()[0], "{log}");
                assert!(!log.contains("NOTICE"), "{log}");
            }
            Ok(before)
        });
        assert_eq!(ours?, theirs?, "{text}");
    }
    Ok(())
}
