//! Pairs of every kind, ours and both ways round beside the original: the wire is cut and mended, and the master ends and
//! comes back.

use std::io;

use compat_tests::program::Program;
use compat_tests::wait_for;

use super::pair::{LIMIT, PORT, Pair, Side, VIRTUAL};
use super::pairs;

/// The configuration of a side: its priority, and whether it is the second.
type Text = fn(u8, bool) -> String;

/// An instance of this number that holds `addresses`.
fn instance(name: &str, vrid: u8, priority: u8, words: &str, addresses: &str) -> String {
    format!(
        "vrrp_instance {name} {{\n state BACKUP\n interface {PORT}\n virtual_router_id {vrid}\n priority {priority}\n\
         {words}\n{addresses}\n}}\n"
    )
}

fn held() -> String {
    format!(" virtual_ipaddress {{\n {VIRTUAL} dev {PORT}\n }}")
}

fn holds(side: &Side, count: usize) -> io::Result<()> {
    wait_for(&format!("{count} virtual addresses"), LIMIT, || {
        let found = side.host.addresses(PORT).ok()?;
        (found.iter().filter(|ip| **ip != side.address).count() == count).then_some(())
    })
}

/// Lives through it all. With equal priorities the higher address, that of the second, wins; where the second does not
/// take over, it is a backup as long as it hears the first.
fn lives(text: Text, (a, b): (Program, Program), count: usize, equal: bool) -> io::Result<()> {
    let mut pair = Pair::new(a, b)?;
    pair.a.start(&text(120, false))?;
    pair.a.becomes_master()?;
    holds(&pair.a, count)?;
    pair.b.start(&text(if equal { 120 } else { 100 }, true))?;
    pair.b.says("(nginx) Entering BACKUP STATE")?;
    // At a hundredth of a second a busy machine is late now and then.
    pair.b.lets_go()?;
    pair.switch.separate([&pair.a.host, &pair.b.host], true)?;
    pair.b.becomes_master()?;
    holds(&pair.b, count)?;
    assert!(pair.a.is_master(), "the first has given up");
    pair.switch.separate([&pair.a.host, &pair.b.host], false)?;
    let (master, backup) = if equal { (&mut pair.b, &mut pair.a) } else { (&mut pair.a, &mut pair.b) };
    backup.lets_go()?;
    holds(backup, 0)?;
    holds(master, count)?;
    master.stop()?;
    backup.becomes_master()?;
    holds(backup, count)?;
    master.restart()?;
    if !equal {
        master.becomes_master()?;
        backup.lets_go()?;
        holds(master, count)?;
    }
    Ok(())
}

fn live(text: Text, count: usize, equal: bool) -> io::Result<()> {
    pairs().into_iter().try_for_each(|programs| lives(text, programs, count, equal))
}

#[test]
fn a_pair_of_version_3_at_a_tenth_of_a_second() -> io::Result<()> {
    live(|priority, _| instance("nginx", 51, priority, " version 3\n advert_int 0.1", &held()), 1, false)
}

#[test]
fn a_pair_of_version_3_at_a_hundredth_of_a_second() -> io::Result<()> {
    live(|priority, _| instance("nginx", 51, priority, " version 3\n advert_int 0.01", &held()), 1, false)
}

#[test]
fn a_pair_of_unicast_peers() -> io::Result<()> {
    let text = |priority, second| {
        let peer = if second { 11 } else { 12 };
        let words = format!(" advert_int 1\n unicast_peer {{\n 192.168.110.{peer}\n }}");
        instance("nginx", 51, priority, &words, &held())
    };
    live(text, 1, false)
}

#[test]
fn a_pair_of_equal_priorities() -> io::Result<()> {
    live(|priority, _| instance("nginx", 51, priority, " advert_int 1", &held()), 1, true)
}

#[test]
fn a_pair_of_255_instances() -> io::Result<()> {
    let text = |priority, _| {
        let more = (1..=255_u8).filter(|vrid| *vrid != 51).map(|vrid| {
            let addresses = format!(" virtual_ipaddress {{\n 10.51.0.{vrid}/32\n }}");
            instance(&format!("i{vrid}"), vrid, priority, " advert_int 1", &addresses)
        });
        instance("nginx", 51, priority, " advert_int 1", &held()) + &more.collect::<String>()
    };
    live(text, 255, false)
}

#[test]
fn a_pair_that_advertises_over_ipv6() -> io::Result<()> {
    let text = |priority, _| {
        let addresses = format!(
            " virtual_ipaddress {{\n fe80::51 dev {PORT}\n }}\n virtual_ipaddress_excluded {{\n {VIRTUAL} dev {PORT}\n }}"
        );
        instance("nginx", 51, priority, " advert_int 1", &addresses)
    };
    live(text, 1, false)
}

/// The first waits before it preempts the second: its lines are those of the original, and it does not wait for a master
/// that has ended.
fn waits(programs: (Program, Program), over: bool) -> io::Result<()> {
    let mut pair = Pair::new(programs.0, programs.1)?;
    let text = |priority, words: &str| instance("nginx", 51, priority, words, &held());
    pair.b.start(&text(100, " advert_int 1"))?;
    pair.b.becomes_master()?;
    let delay = if over { "2" } else { "500" };
    pair.a.start(&text(120, &format!(" advert_int 1\n preempt_delay {delay}")))?;
    pair.a.says("(nginx) Entering BACKUP STATE")?;
    pair.a.says(&format!("(nginx) start preempt delay ({delay}.000000)"))?;
    assert!(!pair.a.is_master() && pair.b.is_master(), "it did not wait: {}", pair.a.log());
    if over {
        pair.b.lets_go()?;
        pair.b.says("Master received advert from 192.168.110.11 with higher priority 120, ours 100")?;
    } else {
        let heard = |side: &Side| pair.sniffer.last_advert(side.address, std::time::Instant::now());
        let first = heard(&pair.b);
        // The delay goes on while the master advertises.
        wait_for("two more adverts", LIMIT, || {
            heard(&pair.b).zip(first).filter(|(now, first)| now.duration_since(*first).as_millis() > 1500)
        })?;
        assert!(!pair.a.is_master(), "it did not wait: {}", pair.a.log());
        pair.b.stop()?;
    }
    pair.a.becomes_master()?;
    holds(&pair.a, 1)
}

#[test]
fn a_backup_with_a_preempt_delay_takes_over_after_it() -> io::Result<()> {
    pairs().into_iter().try_for_each(|programs| waits(programs, true))
}

#[test]
fn a_preempt_delay_does_not_outlast_the_master() -> io::Result<()> {
    pairs().into_iter().try_for_each(|programs| waits(programs, false))
}
