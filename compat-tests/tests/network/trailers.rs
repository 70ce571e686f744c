//! Adverts with the trailer of `auth_hmac`: one key, its rotation, and adverts without a trailer.

use std::io;

use super::pair::{LIMIT, Pair, Side, VIRTUAL};
use compat_tests::program::Program;
use compat_tests::wait_for;
use nix::sys::signal::Signal;

/// Instances over IPv4 in version 2 and over IPv6 in version 3; `words` are inside their `auth_hmac`.
fn configuration(priority: u8, words: &str) -> String {
    let keys = "key 1 hex:000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f\n \
                key 2 0123456789abcdef0123456789abcdef0123";
    let instance = |name: &str, vrid: u8, addresses: &str| {
        format!(
            "vrrp_instance {name} {{\n interface ens33\n virtual_router_id {vrid}\n priority {priority}\n \
             virtual_ipaddress {{\n {addresses}\n }}\n auth_hmac {{\n {keys}\n {words}\n }}\n}}\n"
        )
    };
    [instance("V", 51, &VIRTUAL.to_string()), instance("W", 52, "fe80::110")].concat()
}

/// The counters of keepalived.stats by instance and name.
fn counter(side: &Side, instance: &str, name: &str) -> io::Result<u64> {
    side.signal(Signal::SIGUSR2);
    let text = side.host.run(|| std::fs::read_to_string("/tmp/keepalived.stats").unwrap_or_default())?;
    let part = text.split("VRRP Instance: ").find(|part| part.starts_with(&format!("{instance}\n")));
    let line = part.unwrap_or_default().lines().find_map(|line| line.trim().strip_prefix(name));
    Ok(line.and_then(|rest| rest.trim_start_matches(':').trim().parse().ok()).unwrap_or_default())
}

/// Waits until both instances of a host have accepted adverts.
fn accepts(side: &Side) -> io::Result<()> {
    let before = ["V", "W"].map(|name| counter(side, name, "Received"));
    for (name, before) in ["V", "W"].into_iter().zip(before) {
        let before = before?;
        wait_for(name, LIMIT, || counter(side, name, "Received").ok().filter(|count| *count > before + 1).map(|_| ()))
            .map_err(|error| io::Error::other(format!("{error}; {}", side.log())))?;
    }
    Ok(())
}

/// Waits until the first instance has counted this.
fn counts(side: &Side, name: &str) -> io::Result<()> {
    wait_for(name, LIMIT, || counter(side, "V", name).ok().filter(|count| *count > 0).map(|_| ()))
}

fn reconfigure(side: &Side, words: &str) -> io::Result<()> {
    side.configure(&configuration(100, words))?;
    side.signal(Signal::SIGHUP);
    Ok(())
}

#[test]
fn adverts_are_accepted_with_a_key_that_is_known() -> io::Result<()> {
    let mut pair = Pair::new(Program::Ours, Program::Ours)?;
    pair.a.start(&configuration(120, "active_key 1"))?;
    pair.b.start(&configuration(100, "active_key 2"))?;
    pair.a.becomes_master()?;
    pair.a.says("(W) Entering MASTER STATE")?;
    accepts(&pair.b)?;
    let log = pair.b.log();
    assert!(!log.contains("MASTER STATE") && !log.contains("authentication"), "{log}");
    Ok(())
}

#[test]
fn trailers_are_introduced_and_demanded_step_by_step() -> io::Result<()> {
    let mut pair = Pair::new(Program::Ours, Program::Ours)?;
    pair.a.start(&configuration(120, "active_key 1\n mode receive-only"))?;
    pair.b.start(&configuration(100, "active_key 1\n mode permissive"))?;
    pair.a.becomes_master()?;
    pair.a.says("(W) Entering MASTER STATE")?;
    accepts(&pair.b)?;
    reconfigure(&pair.b, "active_key 1\n mode enforce")?;
    pair.b.says("(V) missing authentication trailer from 192.168.110.11")?;
    pair.b.says("(W) missing authentication trailer from fe80::")?;
    pair.b.becomes_master()?;
    counts(&pair.b, "Missing")
}

#[test]
fn a_key_that_is_not_known_makes_two_masters_and_says_so() -> io::Result<()> {
    let mut pair = Pair::new(Program::Ours, Program::Ours)?;
    pair.a.start(&configuration(120, "active_key 2"))?;
    pair.b.start(&configuration(100, "active_key 1").replace("key 2 ", "key 3 "))?;
    pair.a.becomes_master()?;
    pair.b.says("(V) unknown authentication key id 2 from 192.168.110.11")?;
    pair.b.becomes_master()?;
    counts(&pair.b, "Unknown Key")
}
