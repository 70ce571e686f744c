//! A process that had no processor for a while: what came meanwhile is heard before anything is claimed.

use std::fs;
use std::io;
use std::time::Instant;

use super::pair::{LIMIT, Pair, Side, configuration};
use compat_tests::program::Program;
use compat_tests::wait_for;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// The VRRP process of a host.
fn vrrp(side: &Side) -> io::Result<Pid> {
    let text = side.host.run(|| fs::read_to_string("/run/vrrp.pid"))??;
    side.host.outer(text.trim().parse().map_err(io::Error::other)?)
}

/// Waits for so many adverts of a host from now on, each in its second.
fn adverts(pair: &Pair, side: &Side, count: usize) -> io::Result<()> {
    let mut since = Instant::now();
    for _ in 0..count {
        let heard = |priority| priority > 0;
        since = wait_for("an advert", LIMIT, || pair.sniffer.advert(side.address, since, heard))?.0;
        since += std::time::Duration::from_millis(1);
    }
    Ok(())
}

#[test]
fn a_backup_that_was_stopped_listens_before_it_claims_anything() -> io::Result<()> {
    let pair = Pair::started(Program::Ours, Program::Ours, "")?;
    let process = vrrp(&pair.b)?;
    kill(process, Signal::SIGSTOP)?;
    // Longer than it takes to miss a master: its deadline is over when it goes on.
    adverts(&pair, &pair.a, 6)?;
    kill(process, Signal::SIGCONT)?;
    adverts(&pair, &pair.a, 3)?;
    let log = pair.b.log();
    assert!(!log.contains("Entering MASTER STATE") && !log.contains("Receive advertisement timeout"), "{log}");
    assert!(pair.a.is_master() && !pair.b.is_master());
    Ok(())
}

#[test]
fn a_master_that_was_stopped_gives_way_where_the_file_says_so() -> io::Result<()> {
    let mut pair = Pair::new(Program::Ours, Program::Ours)?;
    let more = " nopreempt\n timer_expired_backup 100\n";
    pair.a.start(&configuration("BACKUP", 120, more))?;
    pair.a.becomes_master()?;
    pair.b.start(&configuration("BACKUP", 100, more))?;
    pair.b.says("Entering BACKUP STATE")?;
    let process = vrrp(&pair.a)?;
    kill(process, Signal::SIGSTOP)?;
    pair.b.becomes_master()?;
    adverts(&pair, &pair.b, 3)?;
    let resumed = Instant::now();
    kill(process, Signal::SIGCONT)?;
    pair.a.says("Entering BACKUP STATE")?;
    pair.a.lets_go()?;
    adverts(&pair, &pair.b, 2)?;
    assert!(pair.b.is_master(), "{}", pair.b.log());
    assert!(pair.sniffer.advert(pair.a.address, resumed, |priority| priority > 0).is_none(), "{}", pair.a.log());
    Ok(())
}
