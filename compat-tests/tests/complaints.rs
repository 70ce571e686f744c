//! What `-t` says of a file: the lines of keepalived 2.1.5, recorded in `fixtures/keepalived/complaints.tsv`.

use std::io;
use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use compat_tests::net::{Host, Switch};
use compat_tests::program::Program;
use compat_tests::{mount, recorded};

/// The beginning of a fine instance, six lines; what is wrong comes behind it.
const INSTANCE: &str = "vrrp_instance V {\n interface ens33\n virtual_router_id 5\n virtual_ipaddress {\n 1.2.3.4\n}\n";

/// Files with mistakes: what is theirs, whether it stands inside [`INSTANCE`].
const FILES: &[(bool, &str)] = &[
    (true, "}\nfoo bar\n"),
    (true, ""),
    (true, " priority\n}\n"),
    (true, " priority 300\n}\n"),
    (true, " state FOO\n advert_int x\n advert_int 0.5\n preempt_delay 2000\n}\n"),
    (true, " authentication {\n auth_type FOO\n auth_pass 1234567890\n}\n}\n"),
    (true, " priority 255\n nopreempt\n}\n"),
    (true, " state MASTER\n priority 120\n nopreempt\n}\n"),
    (true, " virtual_router_id 300\n}\n"),
    (true, " state MASTER\n preempt_delay 5\n}\n"),
    (true, " nopreempt\n preempt_delay 5\n}\n"),
    (true, " version 3\n authentication {\n auth_type PASS\n auth_pass x\n}\n}\n"),
    (true, " track_interface {\n zz9\n}\n}\n"),
    (true, " track_script {\n nope\n}\n}\n"),
    (true, " unicast_peer {\n 1.2.3\n 1.2.3.9 foo 3\n}\n}\n"),
    (true, " skip_check_adv_addr maybe\n}\n"),
    (true, " strict_mode on\n nopreempt extra words\n}\n"),
    (true, "}\nvrrp_sync_group G {\n group {\n V\n nope\n }\n}\n"),
    (true, "}\nvrrp_instance W {\n interface ens33\n virtual_router_id 5\n virtual_ipaddress {\n 1.2.3.4\n}\n}\n"),
    (true, "}\nvrrp_instance V {\n interface ens33\n virtual_router_id 6\n}\n"),
    (false, ""),
    (false, "vrrp_instance {\n}\n"),
    (false, "vrrp_instance V {\n interface ens33\n}\n"),
    (false, "vrrp_instance V {\n interface foo0\n virtual_router_id 5\n}\n"),
    (
        false,
        "vrrp_instance V {\n interface ens33\n virtual_router_id 5\n virtual_ipaddress {\n 1.2.3.400\n 1.2.3.4 dev\n 1.2.3.5 \
         foo\n 1.2.3.6/99\n }\n}\n",
    ),
    (
        false,
        "vrrp_instance V {\n interface ens33\n virtual_router_id 5\n virtual_ipaddress {\n fe80::1\n 1.2.3.4\n}\n}\n",
    ),
    (false, "vrrp_script s {\n interval 0.5\n weight 300\n}\n"),
    (false, "include /etc/keepalived/nothing*.conf\n"),
    (false, "include /etc/keepalived/nothing.conf\ninclude /etc/keepalived\n"),
    (false, "foo\nglobal_defs {\n vrrp_version 9\n router_id\n}\nbar\n"),
    (false, "global_defs {\n smtp_server localhost 25\n smtp_server mail 70000\n vrrp_garp_interval 0\n}\n"),
    (true, " track_interface {\n ens33 weight 5\n}\n}\n}\n"),
    (true, " advert_int 0.001\n advert_int -1\n advert_int 1s\n preempt_delay 1e9\n preempt_delay inf\n}\n"),
    (true, " notify_master \"/bin/true\n notify '/bin/true\n}\n"),
    (true, "}\nvrrp_script s {\n script /bin/true\n user nobody-here\n}\n"),
    (true, "}\nvrrp_sync_group G {\n group {\n V\n}\n}\n"),
    (
        false,
        "vrrp_instance V {\n interface ens33\n virtual_router_id 5\n virtual_ipaddress {\n 1.2.3.4/31 brd +\n 1.2.3.5/32 \
         brd -\n 1.2.3.6 peer 1.2.3.7/32\n 1.2.3.8/24 peer 1.2.3.9\n 1.2.3.10 peer 1.2.3.11 brd 1.2.3.255\n 1.2.3.12 \
         label\n 1.2.3.13 dev ens33 dev ens33\n 1.2.3.14/24 brd x\n fe80::1 brd +\n}\n}\n",
    ),
];

const FILE: &str = "/etc/keepalived/keepalived.conf";

/// Files that are judged otherwise, and why.
const DIFFERENT: &[(&[&str], &str)] = &[
    (&["…"], "keepalived dies of it"),
    (
        &["global_defs {\\n smtp_server localhost 25\\n smtp_server mail 70000\\n vrrp_garp_interval 0\\n}\\n"],
        "a port is read once",
    ),
];

#[test]
fn mistakes_are_complained_about_in_keepaliveds_words() -> io::Result<()> {
    let (switch, host) = (Switch::new()?, Host::new("reader")?);
    switch.plug(&host, "ens33", Ipv4Addr::new(192, 168, 110, 11), 24)?;
    host.run(|| mount::replace("/etc/keepalived"))??;
    let table = |keepalived: PathBuf| -> io::Result<Vec<Vec<String>>> {
        let row = |(inside, text): &(bool, &str)| {
            let file = if *inside { format!("{INSTANCE}{text}") } else { (*text).to_owned() };
            host.run(move || mount::file(FILE, file.as_bytes(), 0o644))??;
            let key = format!("{}{text}", if *inside { "…" } else { "" });
            Ok(vec![key.replace('\n', "\\n"), recorded::told(&host, &keepalived, FILE)?])
        };
        FILES.iter().map(row).collect()
    };
    if let Some(path) = recorded::recorder() {
        return recorded::write("complaints.tsv", &table(path)?);
    }
    let (theirs, ours) = (recorded::read("complaints.tsv")?, table(Program::Ours.keepalived()?)?);
    let wrong = recorded::differences(&theirs, &ours, DIFFERENT);
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), ours.len(), wrong.join("\n"));
    Ok(())
}

#[test]
fn a_file_that_cannot_be_read_fails_the_test() -> io::Result<()> {
    let host = Host::new("reader")?;
    host.run(|| mount::replace("/etc/keepalived"))??;
    host.run(|| mount::file(FILE, b"global_defs {\n}\n", 0o755))??;
    let ours = Program::Ours.keepalived()?;
    let refused = "3 | Configuration file 'FILE' is not a regular non-executable file";
    assert_eq!(recorded::told(&host, &ours, FILE)?, refused);
    // The others are said as keepalived says them.
    let missing = "3 | Unable to find configuration file FILE (glob returned 3)";
    assert_eq!(recorded::told(&host, &ours, "/etc/keepalived/no*.conf")?, missing);
    assert_eq!(recorded::told(&host, &ours, "/etc/keepalived")?, "3 | Unable to find configuration file FILE");
    host.run(|| mount::file("/etc/keepalived/a.conf", b"foo\n", 0o644))??;
    host.run(|| mount::file("/etc/keepalived/b.conf", b"bar\n", 0o644))??;
    let both = recorded::told(&host, &ours, "/etc/keepalived/{a,b}.conf")?;
    let warning = "4 | WARNING, more than one file matches configuration file FILE, using /etc/keepalived/a.conf | ";
    let lines = "(/etc/keepalived/a.conf: Line 1) Unknown keyword 'foo' | (/etc/keepalived/b.conf: Line 1) Unknown \
                 keyword 'bar'";
    assert_eq!(both, format!("{warning}{lines} | {lines} | {lines}"));
    Ok(())
}

#[test]
fn a_file_that_must_be_there_fails_the_test_and_the_start() -> io::Result<()> {
    let host = Host::new("reader")?;
    host.run(|| mount::replace("/etc/keepalived"))??;
    for program in [Program::Original, Program::Ours] {
        let keepalived = program.keepalived()?;
        let told = |text: &'static str| -> io::Result<String> {
            host.run(move || mount::file(FILE, text.as_bytes(), 0o644))??;
            recorded::told(&host, &keepalived, FILE)
        };
        let missing = told("global_defs {\n}\nincludem none.conf\nfoo\n")?;
        assert!(missing.starts_with("6 | "), "{}: {missing}", program.name());
        assert_eq!(missing.matches("Config files missing 'none.conf'.").count(), 1, "{}: {missing}", program.name());
        assert!(told("global_defs {\n}\nincluder none.conf\n")?.starts_with("0 | "), "{}", program.name());
        let mut start = Command::new(&keepalived);
        host.run(|| mount::file(FILE, b"global_defs {\n}\nincludem none.conf\n", 0o644))??;
        start.args(["-n", "-l", "-f", FILE]);
        let ended = host.start(start)?.wait(Duration::from_secs(20))?;
        assert_eq!(ended.code(), Some(6), "{}", program.name());
    }
    let ours = Program::Ours.keepalived()?;
    host.run(|| mount::file(FILE, b"global_defs {\n include_check\n}\ninclude none.conf\n", 0o644))??;
    assert!(recorded::told(&host, &ours, FILE)?.starts_with("6 | "));
    Ok(())
}
