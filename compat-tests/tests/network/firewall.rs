//! `no_accept` and strict mode: packets to and from the addresses are dropped.

use std::io;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::time::Duration;

use compat_tests::program::Program;
use compat_tests::wait_for;
use nix::sys::signal::Signal;

use super::pair::{LIMIT, PORT, Pair, Side, VIRTUAL};
use super::vmac::{instance, shell, shows};

/// The rules of keepalived 2.1.5.
const IPV4: &str = "table ip keepalived {
	set vips {
		type ipv4_addr
		elements = { 192.168.110.10, 192.168.110.20 }
	}

	chain out {
		type filter hook output priority filter - 1; policy accept;
		ip saddr @vips drop
	}

	chain in {
		type filter hook input priority filter - 1; policy accept;
		ip daddr @vips drop
	}
}
";
/// The same for IPv6, with numbers of interfaces.
const IPV6: &str = "table ip6 foo {
	set vips {
		type ipv6_addr
		elements = { 2001:db8::11 }
	}

	set neighbor-discovery {
		type icmpv6_type
		flags constant
		elements = { nd-neighbor-solicit,
			     nd-neighbor-advert }
	}

	set vips_link_local {
		type ipv6_addr . iface_index
		elements = { fe80::10 . \"ens33\" }
	}

	chain out {
		type filter hook output priority filter + 5; policy accept;
		icmpv6 type @neighbor-discovery counter accept
		ip6 saddr fe80::/10 counter goto out_link_local
		ip6 saddr @vips counter drop
	}

	chain in {
		type filter hook input priority filter + 5; policy accept;
		icmpv6 type @neighbor-discovery counter accept
		ip6 daddr fe80::/10 counter goto in_link_local
		ip6 daddr @vips counter drop
	}

	chain in_link_local {
		ip6 daddr . iif @vips_link_local counter drop
	}

	chain out_link_local {
		ip6 saddr . oif @vips_link_local counter drop
	}
}
";
/// The address of a host that has it only as master.
const ACCEPTED: &str =
    " virtual_ipaddress {\n 192.168.110.10/24\n }\n virtual_ipaddress_excluded {\n 192.168.110.20/24\n }";

/// Whether a connection from one host to the virtual address of the other is opened.
fn reaches(from: &Side, to: &Side) -> io::Result<bool> {
    let listener = to.host.run(|| TcpListener::bind(("0.0.0.0", 7000)))??;
    let address = SocketAddr::from((VIRTUAL, 7000));
    let outcome = from.host.run(move || TcpStream::connect_timeout(&address, Duration::from_secs(1)))?;
    drop(listener);
    Ok(outcome.is_ok())
}

fn becomes_reachable(pair: &Pair) -> io::Result<()> {
    wait_for("a connection", LIMIT, || reaches(&pair.b, &pair.a).ok().filter(|reached| *reached)).map(drop)
}

#[test]
fn addresses_that_are_not_accepted_are_unreachable() -> io::Result<()> {
    for program in [Program::Ours, Program::Original] {
        let mut pair = Pair::new(program, Program::Ours)?;
        pair.a.start(&instance("nginx", 51, &format!(" no_accept\n{ACCEPTED}")))?;
        pair.a.becomes_master()?;
        assert!(!reaches(&pair.b, &pair.a)?, "{}: {}", program.name(), pair.a.log());
        if program == Program::Ours {
            assert_eq!(shell(&pair.a, "nft list table ip keepalived")?, IPV4);
        }
        pair.a.stop()?;
        shows(&pair.a, "nft list ruleset", false)?;
    }
    let mut pair = Pair::new(Program::Ours, Program::Ours)?;
    let globals = "global_defs {\n nftables foo\n nftables_priority 5\n nftables_counters\n}\n";
    let six = instance("six", 51, " strict_mode\n virtual_ipaddress {\n fe80::10\n 2001:db8::11/64\n }");
    pair.a.start(&format!("{globals}{six}"))?;
    shows(&pair.a, "nft list table ip6 foo | grep fe80::10", true)?;
    let rules = "nft list table ip6 foo | sed 's/ packets [0-9]* bytes [0-9]*//'";
    assert_eq!(shell(&pair.a, rules)?, IPV6);
    pair.a.stop()?;
    // An interface that is not tracked may change its number.
    pair.a.start(&six.replace("strict_mode", "strict_mode\n dont_track_primary"))?;
    shows(&pair.a, "nft list set ip6 keepalived vips_link_local_name | grep 'fe80::10 . \"ens33\"'", true)?;
    shows(&pair.a, "nft list chain ip6 keepalived in_link_local | grep 'iifname @vips_link_local_name drop'", true)?;
    pair.a.stop()?;
    // Unless numbers are asked for in any case.
    let by_number = six.replace("strict_mode", "strict_mode\n dont_track_primary");
    pair.a.start(&format!("global_defs {{\n nftables_ifindex\n}}\n{by_number}"))?;
    shows(&pair.a, "nft list set ip6 keepalived vips_link_local | grep 'fe80::10 . '", true)?;
    shows(&pair.a, "nft list table ip6 keepalived | grep vips_link_local_name", false)
}

#[test]
fn owners_and_those_who_accept_are_reachable() -> io::Result<()> {
    let mut pair = Pair::new(Program::Ours, Program::Ours)?;
    let owner = instance("nginx", 51, &format!(" strict_mode\n{ACCEPTED}")).replace("priority 120", "priority 255");
    let owner = owner.replace("BACKUP", "MASTER");
    let version3 = instance("nginx", 51, &format!(" strict_mode\n version 3\n accept\n{ACCEPTED}"));
    for text in [owner, version3] {
        pair.a.start(&text)?;
        pair.a.becomes_master()?;
        becomes_reachable(&pair)?;
        pair.a.stop()?;
    }
    // Version 2 knows no accept mode.
    pair.a.start(&instance("nginx", 51, &format!(" strict_mode\n accept\n{ACCEPTED}")))?;
    pair.a.says("(nginx) warning - accept mode for VRRP version 2 does not comply with RFC3768 - resetting")?;
    pair.a.becomes_master()?;
    assert!(!reaches(&pair.b, &pair.a)?, "{}", pair.a.log());
    Ok(())
}

#[test]
fn a_reload_changes_what_is_accepted() -> io::Result<()> {
    let mut pair = Pair::new(Program::Ours, Program::Ours)?;
    let text = instance("nginx", 51, &format!(" no_accept\n{ACCEPTED}"));
    pair.a.start(&text)?;
    pair.a.becomes_master()?;
    shows(&pair.a, "nft list set ip keepalived vips | grep 192.168.110.20", true)?;
    pair.a.configure(&text.replace("110.20", "110.21"))?;
    pair.a.signal(Signal::SIGHUP);
    shows(&pair.a, "nft list set ip keepalived vips | grep '192.168.110.10, 192.168.110.21'", true)?;
    pair.a.configure(&format!("global_defs {{\n nftables foo\n}}\n{text}"))?;
    pair.a.signal(Signal::SIGHUP);
    // The table stays what it is until a start.
    pair.a.says("Cannot change nftables table name at a reload - please restart keepalived")?;
    shows(&pair.a, "nft list table ip foo", false)?;
    assert!(!reaches(&pair.b, &pair.a)?, "{}", pair.a.log());
    pair.a.configure(&text.replace("no_accept", ""))?;
    pair.a.signal(Signal::SIGHUP);
    becomes_reachable(&pair)?;
    pair.a.configure(&text)?;
    pair.a.signal(Signal::SIGHUP);
    shows(&pair.a, "nft list set ip keepalived vips | grep 192.168.110.10", true)?;
    assert!(!reaches(&pair.b, &pair.a)?, "{}", pair.a.log());
    shows(&pair.a, &format!("ip -o addr show dev {PORT} | grep 192.168.110.20"), true)
}

#[test]
fn tables_that_somebody_removes_are_made_again() -> io::Result<()> {
    let mut pair = Pair::new(Program::Ours, Program::Ours)?;
    let other = instance("other", 52, " no_accept\n use_vmac\n virtual_ipaddress {\n 192.168.110.30/24\n }");
    pair.a.start(&(instance("nginx", 51, &format!(" no_accept\n{ACCEPTED}")) + &other))?;
    pair.a.becomes_master()?;
    shows(&pair.a, "nft list set ip keepalived vips | grep 192.168.110.30", true)?;
    shell(&pair.a, "nft flush ruleset")?;
    // One comes back from a fault: the rules of all are there again.
    shell(&pair.a, "ip link set vrrp.52 down")?;
    pair.a.says("(other) Entering FAULT STATE")?;
    shell(&pair.a, "ip link set vrrp.52 up")?;
    for ip in ["192.168.110.10", "192.168.110.20", "192.168.110.30"] {
        shows(&pair.a, &format!("nft list set ip keepalived vips | grep {ip}"), true)?;
    }
    shows(&pair.a, "nft list map ip keepalived vmac_map | grep vrrp.52", true)?;
    assert!(!reaches(&pair.b, &pair.a)?, "{}", pair.a.log());
    Ok(())
}
