//! `linkbeat_interfaces`: a driver is asked for the state of its link.

use std::io;

use super::pair::{Pair, configuration};
use super::vmac::shows;
use compat_tests::program::Program;

#[test]
fn a_link_that_is_asked_for_faults_and_frees_its_instance() -> io::Result<()> {
    for program in [Program::Original, Program::Ours] {
        for (block, method) in [(" ens33 ETHTOOL", ""), (" ens33 MII", "MII"), (" ens33", "")] {
            let mut pair = Pair::new(program, Program::Ours)?;
            pair.a.start(&format!("linkbeat_interfaces {{\n{block}\n}}\n{}", configuration("BACKUP", 120, "")))?;
            pair.a.becomes_master()?;
            pair.a.says("Using MII-BMSR/ETHTOOL NIC polling thread(s)...")?;
            if !method.is_empty() {
                pair.a.says("(ens33): Configured linkbeat type MII not supported, using ETHTOOL")?;
            }
            pair.a.set_up(false)?;
            pair.a.says("Linkbeat reports ens33 down")?;
            pair.a.says("(nginx) Entering FAULT STATE")?;
            pair.a.lets_go()?;
            pair.a.set_up(true)?;
            pair.a.says("Linkbeat reports ens33 up")?;
            pair.a.becomes_master()?;
            pair.a.stop()?;
        }
    }
    Ok(())
}

#[test]
fn a_link_nobody_uses_is_not_asked_for() -> io::Result<()> {
    for program in [Program::Original, Program::Ours] {
        let mut pair = Pair::new(program, Program::Ours)?;
        pair.a.start(&format!("linkbeat_interfaces {{\n lo\n}}\n{}", configuration("BACKUP", 120, "")))?;
        pair.a.says("Turning off linkbeat for lo since not used for tracking")?;
        pair.a.becomes_master()?;
        assert!(!pair.a.log().contains("NIC polling"), "{}", pair.a.log());
    }
    Ok(())
}

#[test]
fn a_link_that_comes_back_within_its_delay_has_not_been_away() -> io::Result<()> {
    for program in [Program::Original, Program::Ours] {
        let mut pair = Pair::new(program, Program::Ours)?;
        pair.a
            .start(&format!("interface_up_down_delays {{\n ens33 1.9 0.5\n}}\n{}", configuration("BACKUP", 120, "")))?;
        pair.a.becomes_master()?;
        pair.a.set_up(false)?;
        pair.a.set_up(true)?;
        // The kernel tells of it a while later, and only then was it up in between.
        shows(&pair.a, "ip link show dev ens33 | grep 'state UP'", true)?;
        pair.a.says("ens33: Adding flags change from 0x")?;
        assert!(pair.a.log().contains(" delay by 1900000"), "{}: {}", program.name(), pair.a.log());
        pair.a.set_up(false)?;
        pair.a.says("Netlink reports ens33 down")?;
        pair.a.says("Entering FAULT STATE")?;
        let log = pair.a.log();
        let (first, delayed) = (log.find("Adding flags change"), log.rfind("Adding flags change"));
        assert!(first < delayed && delayed < log.find("Entering FAULT STATE"), "{}: {log}", program.name());
        pair.a.set_up(true)?;
        pair.a.says(" delay by 500000")?;
        pair.a.says("Netlink reports ens33 up")?;
        pair.a.becomes_master()?;
    }
    Ok(())
}
