//! The interfaces of `use_vmac`, beside those of the original.

use std::io;
use std::process::Command;

use compat_tests::program::Program;
use compat_tests::wait_for;
use nix::sys::signal::Signal;

use super::pair::{LIMIT, PORT, Pair, Side, VIRTUAL};

/// An instance on a VMAC; `more` stands inside it.
pub fn instance(name: &str, vrid: u8, more: &str) -> String {
    format!(
        "vrrp_instance {name} {{\n state BACKUP\n interface {PORT}\n virtual_router_id {vrid}\n priority 120\n \
         advert_int 1\n{more}\n}}\n"
    )
}

fn simple(vmac: &str) -> String {
    instance("nginx", 51, &format!(" {vmac}\n virtual_ipaddress {{\n {VIRTUAL}/24\n }}"))
}

/// What a command of the shell prints on a host.
pub fn shell(side: &Side, line: &str) -> io::Result<String> {
    let line = line.to_owned();
    let output = side.host.run(move || Command::new("sh").arg("-c").arg(line).output())??;
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Waits until a command of the shell prints something, or nothing.
pub fn shows(side: &Side, line: &str, something: bool) -> io::Result<()> {
    let told = || shell(side, line).ok().filter(|text| text.trim().is_empty() != something);
    wait_for(line, LIMIT, told).map(drop).map_err(|error| io::Error::other(format!("{error}; {}", side.log())))
}

/// Links, addresses and settings, without what two hosts cannot have in common, and what 2.2.7 does otherwise than 2.1.5.
fn state(side: &Side) -> io::Result<String> {
    let text = shell(
        side,
        "ip -d link show type macvlan | sed 's/addrgenmode [a-z0-9]*//'; ip -o addr; \
         for c in all default ens33 vv vrrp.51 vrrp.53; do for s in arp_ignore arp_filter rp_filter accept_local promote_secondaries; do \
         echo $c $s $(cat /proc/sys/net/ipv4/conf/$c/$s); done; echo $c $(cat /proc/sys/net/ipv6/conf/$c/disable_ipv6); done",
    )?;
    let varies = |word: &str| {
        word.starts_with("fe80::") || word.strip_suffix(':').is_some_and(|number| number.parse::<u32>().is_ok())
    };
    let words = |line: &str| line.split_whitespace().filter(|word| !varies(word)).collect::<Vec<_>>().join(" ");
    Ok(text.replace("192.168.110.12/24", "192.168.110.11/24").lines().map(words).collect::<Vec<_>>().join("\n"))
}

/// The rules of keepalived 2.1.5.
const RULES: &str = r#"table ip keepalived {
	map vmac_map {
		type iface_index : iface_index
		elements = { "vv" : "ens33", "vrrp.53" : "ens33" }
	}

	chain out {
		type filter hook output priority filter - 1; policy accept;
		ip daddr 224.0.0.22 dup to 224.0.0.22 device oif map @vmac_map drop
	}
}
table ip6 keepalived {
	map vmac_map {
		type iface_index : iface_index
		elements = { "vrrp.51" : "ens33" }
	}

	chain out {
		type filter hook output priority filter - 1; policy accept;
		ip6 daddr ff02::16 dup to ff02::16 device oif map @vmac_map drop
	}
}
"#;

#[test]
fn a_master_with_a_vmac_holds_what_keepalived_holds() -> io::Result<()> {
    let mut pair = Pair::new(Program::Ours, Program::Original)?;
    let text = [
        simple("use_vmac vv"),
        instance("six", 51, " use_vmac\n virtual_ipaddress {\n fe80::10\n 2001:db8::11/64\n }"),
        instance("base", 53, " use_vmac\n vmac_xmit_base\n virtual_ipaddress {\n 192.168.110.14/24\n }"),
    ]
    .concat();
    let (mut seen, mut rules) = (Vec::new(), Vec::new());
    for side in [&mut pair.a, &mut pair.b] {
        side.start(&text)?;
        for device in ["vv", "vrrp.51", "vrrp.53"] {
            shows(side, &format!("ip -o addr show dev {device} | grep -v 'fe80::.*:'"), true)?;
        }
        shows(side, "ip -o addr show | grep tentative", false)?;
        seen.push(state(side)?);
        rules.push(shell(side, "nft list ruleset")?);
        side.stop()?;
        shows(side, "nft list ruleset; ip link show type macvlan", false)?;
    }
    assert_eq!(shell(&pair.a, "cat /proc/sys/net/ipv4/conf/ens33/arp_ignore")?.trim(), "0");
    assert!(seen.iter().all(|state| state.contains("00:00:5e:00:02:33")), "{seen:#?}");
    assert_eq!(seen.first(), seen.last());
    assert_eq!(rules.first().map(String::as_str), Some(RULES));
    Ok(())
}

#[test]
fn an_excluded_address_of_the_other_family_is_on_the_vmac() -> io::Result<()> {
    let mut pair = Pair::new(Program::Ours, Program::Ours)?;
    let more = format!(
        " use_vmac\n virtual_ipaddress {{\n {VIRTUAL}/24\n }}\n virtual_ipaddress_excluded {{\n 2001:db8::10/64\n }}"
    );
    pair.a.start(&instance("nginx", 51, &more))?;
    shows(&pair.a, "ip -o addr show dev vrrp.51 | grep 2001:db8::10", true)?;
    shows(&pair.a, "nft list table ip6 keepalived | grep '\"vrrp.51\" : \"ens33\"'", true)?;
    // None is made from the Ethernet address.
    shows(&pair.a, "ip -o addr show dev vrrp.51 | grep fe80", false)
}

#[test]
fn a_vmac_that_is_removed_is_made_again() -> io::Result<()> {
    let mut pair = Pair::new(Program::Ours, Program::Ours)?;
    let vip = "ip -o addr show dev vrrp.51 | grep 192.168.110.10";
    let rule = "nft list ruleset | grep '\"vrrp.51\" : \"ens33\"'";
    pair.a.start(&simple("use_vmac"))?;
    shows(&pair.a, vip, true)?;
    shell(&pair.a, "ip link del vrrp.51")?;
    pair.a.says("Interface vrrp.51 deleted")?;
    shows(&pair.a, vip, true)?;
    shows(&pair.a, rule, true)?;
    pair.a.set_up(false)?;
    shows(&pair.a, vip, false)?;
    pair.a.set_up(true)?;
    shows(&pair.a, vip, true)?;
    shell(&pair.a, "ip link del ens33")?;
    pair.a.says("Interface ens33 deleted")?;
    shell(
        &pair.a,
        "ip link add other type veth peer name ens33; ip link set other up; ip link set ens33 up; \
         ip addr add 192.168.110.11/24 dev ens33",
    )?;
    shows(&pair.a, vip, true)?;
    shows(&pair.a, rule, true)?;
    assert_eq!(shell(&pair.a, "cat /proc/sys/net/ipv4/conf/ens33/arp_ignore")?.trim(), "1");
    Ok(())
}

#[test]
fn a_vmac_that_was_left_behind_is_used() -> io::Result<()> {
    let mut pair = Pair::new(Program::Ours, Program::Ours)?;
    let vip = "ip -o addr show dev vrrp.51 | grep 192.168.110.10";
    pair.a.start(&simple("use_vmac"))?;
    shows(&pair.a, vip, true)?;
    pair.a.kill()?;
    shell(&pair.a, "nft delete table ip keepalived")?;
    pair.a.restart()?;
    pair.a.says("(nginx) Found matching interface vrrp.51")?;
    shows(&pair.a, "nft list ruleset | grep '\"vrrp.51\" : \"ens33\"'", true)?;
    pair.a.says("Sending gratuitous ARP on vrrp.51 for 192.168.110.10")?;
    shows(&pair.a, vip, true)?;
    pair.a.stop()?;
    shows(&pair.a, "nft list ruleset; ip link show type macvlan", false)?;
    // An interface of another address has the name.
    shell(&pair.a, "ip link add vv link ens33 address 00:00:5e:00:01:34 type macvlan mode private")?;
    pair.a.start(&simple("use_vmac vv"))?;
    pair.a.says("(nginx) VMAC vv already exists but is incompatible. It will be deleted")?;
    shows(&pair.a, "ip -o addr show dev vv | grep 192.168.110.10", true)?;
    pair.a.stop()?;
    shell(&pair.a, "ip link add vv type bridge")?;
    pair.a.start(&simple("use_vmac vv"))?;
    pair.a.says("(nginx) interface vv already exists and is not a private macvlan; ignoring vmac if_name")?;
    shows(&pair.a, vip, true)
}

#[test]
fn two_instances_cannot_have_one_vmac() -> io::Result<()> {
    let mut pair = Pair::new(Program::Ours, Program::Ours)?;
    let other = instance("other", 52, " use_vmac vv\n virtual_ipaddress {\n 192.168.110.14/24\n }");
    pair.a.start(&(simple("use_vmac vv") + &other))?;
    pair.a.says("(other) VMAC vv is another instance's; ignoring vmac if_name")?;
    shows(&pair.a, "ip -o addr show dev vv | grep 192.168.110.10", true)?;
    shows(&pair.a, "ip -o addr show dev vrrp.52 | grep 192.168.110.14", true)
}

#[test]
fn a_reload_adds_and_removes_vmacs() -> io::Result<()> {
    let mut pair = Pair::new(Program::Ours, Program::Ours)?;
    let vip = |device: &str| format!("ip -o addr show dev {device} | grep 192.168.110.10");
    pair.a.start(&simple("use_vmac"))?;
    shows(&pair.a, &vip("vrrp.51"), true)?;
    let index = shell(&pair.a, "cat /sys/class/net/vrrp.51/ifindex")?;
    // A VMAC keeps its name and its addresses.
    pair.a.configure(&simple("use_vmac vv"))?;
    pair.a.signal(Signal::SIGHUP);
    pair.a.says("(nginx) vmac name mismatch vv <=> vrrp.51. changing to vrrp.51.")?;
    assert_eq!(shell(&pair.a, "cat /sys/class/net/vrrp.51/ifindex")?, index);
    shows(&pair.a, &vip("vrrp.51"), true)?;
    pair.a.configure(&simple(""))?;
    pair.a.signal(Signal::SIGHUP);
    shows(&pair.a, &vip(PORT), true)?;
    shows(&pair.a, "ip link show type macvlan; nft list ruleset | grep elements", false)?;
    assert_eq!(shell(&pair.a, "cat /proc/sys/net/ipv4/conf/ens33/arp_ignore")?.trim(), "0");
    pair.a.configure(&simple("use_vmac"))?;
    pair.a.signal(Signal::SIGHUP);
    shows(&pair.a, &vip("vrrp.51"), true)?;
    shows(&pair.a, &vip(PORT), false)
}

#[test]
fn reverse_path_filters_are_moved_to_the_interfaces_for_as_long_as_there_are_vmacs() -> io::Result<()> {
    let mut pair = Pair::new(Program::Ours, Program::Original)?;
    let values = "for c in all default lo ens33 vrrp.51; do cat /proc/sys/net/ipv4/conf/$c/rp_filter; done 2>/dev/null";
    let mut seen = Vec::new();
    for side in [&mut pair.a, &mut pair.b] {
        shell(side, "echo 1 >/proc/sys/net/ipv4/conf/all/rp_filter; echo 2 >/proc/sys/net/ipv4/conf/lo/rp_filter")?;
        let before = shell(side, values)?;
        side.start(&simple("use_vmac"))?;
        shows(side, "ip -o addr show dev vrrp.51 | grep 192.168.110.10", true)?;
        let during = shell(side, values)?;
        side.stop()?;
        seen.push((before, during, shell(side, values)?));
    }
    assert_eq!(seen.first(), seen.last());
    assert!(seen.iter().all(|(before, _, after)| before == after), "{seen:?}");
    Ok(())
}

#[test]
fn unicast_goes_by_the_interface_below() -> io::Result<()> {
    let mut pair = Pair::new(Program::Ours, Program::Ours)?;
    let text = |peer: &str, priority: &str| {
        let more =
            format!(" use_vmac\n unicast_peer {{\n 192.168.110.{peer}\n }}\n virtual_ipaddress {{\n {VIRTUAL}/24\n }}");
        instance("nginx", 51, &more).replace("priority 120", priority)
    };
    let vip = "ip -o addr show dev vrrp.51 | grep 192.168.110.10";
    pair.a.start(&text("12", "priority 120"))?;
    shows(&pair.a, vip, true)?;
    pair.b.start(&text("11", "priority 100"))?;
    pair.b.says("(nginx) unicast with use_vmac requires vmac_xmit_base - setting")?;
    pair.a.stop()?;
    shows(&pair.b, vip, true)?;
    pair.a.start(&text("12", "priority 120"))?;
    shows(&pair.b, vip, false)?;
    shows(&pair.a, vip, true)
}

#[test]
fn a_vmac_that_loses_its_address_gets_it_back() -> io::Result<()> {
    let mut pair = Pair::new(Program::Ours, Program::Ours)?;
    let text = instance("six", 51, " use_vmac\n virtual_ipaddress {\n fe80::10\n 2001:db8::11/64\n }");
    let vip = "ip -o addr show dev vrrp.51 | grep 2001:db8::11";
    pair.a.start(&text)?;
    shows(&pair.a, vip, true)?;
    shell(&pair.a, "ip addr flush dev vrrp.51")?;
    pair.a.says("(six) Entering FAULT STATE")?;
    shows(&pair.a, vip, true)?;
    // As well one that is found at the start.
    pair.a.kill()?;
    shell(&pair.a, "ip addr flush dev vrrp.51")?;
    pair.a.restart()?;
    shows(&pair.a, vip, true)
}
