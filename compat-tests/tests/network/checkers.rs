//! Health checks of real servers, with the virtual servers kept in memory.

use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::thread;

use super::pair::{Pair, Side};
use compat_tests::program::Program;
use nix::sys::signal::Signal;

/// A virtual server whose real servers are on this host, each at a port with its check.
fn configuration(reals: &[(u16, &str)], more: &str) -> String {
    let mut text = format!(
        "virtual_server 10.9.9.1 80 {{\n delay_loop 1\n warmup 0\n lb_algo rr\n lb_kind NAT\n protocol TCP\n{more}\n"
    );
    for (port, check) in reals {
        text.push_str(&format!(" real_server 127.0.0.1 {port} {{\n weight 1\n{check}\n }}\n"));
    }
    text.push_str("}\n");
    text
}

const TCP: &str = " TCP_CHECK {\n connect_timeout 1\n }";

/// A host that runs these checks.
fn started(text: &str) -> io::Result<Pair> {
    let mut pair = Pair::new(Program::Ours, Program::Ours)?;
    pair.a.start_with(text, &["--simulate-ipvs"])?;
    Ok(pair)
}

/// The lines of a host that are about servers, without their time and process.
fn about_servers(side: &Side) -> Vec<String> {
    let log = side.log();
    // Each line begins with a time of one length.
    let lines = log.lines().filter_map(|line| line.get("Mon Nov 30 18:28:36 2026: ".len()..));
    let about = lines.filter(|line| line.contains("[10.9.9.1]:tcp:80") || line.contains("[127.0.0.1]:tcp:"));
    about.map(str::to_owned).collect()
}

#[test]
fn a_server_that_comes_and_goes_is_told_of_in_keepaliveds_lines() -> io::Result<()> {
    let pair = started(&configuration(&[(8081, TCP)], ""))?;
    pair.a.says("TCP_CHECK on service [127.0.0.1]:tcp:8081 failed.")?;
    let listener = pair.a.host.run(|| TcpListener::bind("127.0.0.1:8081"))??;
    pair.a.says("TCP connection to [127.0.0.1]:tcp:8081 success.")?;
    drop(listener);
    pair.a.says("TCP_CHECK on service [127.0.0.1]:tcp:8081 failed after 1 retries.")?;
    let recorded = [
        "Gained quorum 1+0=1 <= 1 for VS [10.9.9.1]:tcp:80",
        "Activating healthchecker for service [127.0.0.1]:tcp:8081 for VS [10.9.9.1]:tcp:80",
        "TCP_CHECK on service [127.0.0.1]:tcp:8081 failed.",
        "Removing service [127.0.0.1]:tcp:8081 to VS [10.9.9.1]:tcp:80",
        "Lost quorum 1-0=1 > 0 for VS [10.9.9.1]:tcp:80",
        "TCP connection to [127.0.0.1]:tcp:8081 success.",
        "Adding service [127.0.0.1]:tcp:8081 to VS [10.9.9.1]:tcp:80",
        "Gained quorum 1+0=1 <= 1 for VS [10.9.9.1]:tcp:80",
        "TCP_CHECK on service [127.0.0.1]:tcp:8081 failed after 1 retries.",
        "Removing service [127.0.0.1]:tcp:8081 to VS [10.9.9.1]:tcp:80",
        "Lost quorum 1-0=1 > 0 for VS [10.9.9.1]:tcp:80",
    ];
    pair.a.says(recorded[10])?;
    assert_eq!(about_servers(&pair.a), recorded);
    Ok(())
}

#[test]
fn a_host_without_ipvs_ends_as_keepalived_does() -> io::Result<()> {
    for program in [Program::Original, Program::Ours] {
        let mut pair = Pair::new(program, Program::Ours)?;
        pair.a.start_with(&configuration(&[(8081, TCP)], ""), &[])?;
        pair.a.says("IPVS: Can't initialize ipvs: ")?;
        pair.a.says("Shutting down service [127.0.0.1]:tcp:8081 from VS [10.9.9.1]:tcp:80")?;
        pair.a.says("exited with permanent error FATAL. Terminating")?;
    }
    Ok(())
}

#[test]
fn a_reload_that_cannot_be_run_keeps_the_virtual_servers() -> io::Result<()> {
    let pair = started(&configuration(&[(8081, TCP)], ""))?;
    pair.a.says("TCP_CHECK on service [127.0.0.1]:tcp:8081 failed.")?;
    let secure = " SSL_GET {\n url {\n path /\n }\n }";
    let both = configuration(&[(8081, TCP), (8082, secure)], "");
    pair.a.configure(&format!("{both}SSL {{\n certificate /tmp/absent\n}}\n"))?;
    pair.a.signal(Signal::SIGHUP);
    pair.a.says("The configuration cannot be run - keeping the old one")?;
    let _listener = pair.a.host.run(|| TcpListener::bind("127.0.0.1:8081"))??;
    pair.a.says("TCP connection to [127.0.0.1]:tcp:8081 success.")?;
    Ok(())
}

#[test]
fn a_reload_without_ipvs_is_refused_and_routers_go_on() -> io::Result<()> {
    let mut pair = Pair::new(Program::Ours, Program::Ours)?;
    let routers = super::pair::configuration("BACKUP", 120, "");
    pair.a.start_with(&routers, &["--all"])?;
    pair.a.becomes_master()?;
    pair.a.configure(&format!("{routers}{}", configuration(&[(8081, TCP)], "")))?;
    pair.a.signal(Signal::SIGHUP);
    pair.a.says("IPVS: Can't initialize ipvs: ")?;
    pair.a.says("The configuration cannot be run - keeping the old one")?;
    // Both processes answer.
    pair.a.signal(Signal::SIGUSR1);
    pair.a.says("Printing checker data for process(")?;
    pair.a.says("Printing VRRP data for process(")?;
    assert!(pair.a.is_master() && !pair.a.log().contains("Terminating"), "{}", pair.a.log());
    Ok(())
}

#[test]
fn a_reload_changes_only_what_changed_in_the_kernel() -> io::Result<()> {
    let text = |entries: &str, scheduler: &str, sorry: &str, port: u16| {
        let real = |port: u16| format!(" real_server 127.0.0.1 {port} {{\n{TCP}\n }}\n");
        format!(
            "global_defs {{\n lvs_sync_daemon lo id 7\n}}\nvirtual_server_group g {{\n{entries} fwmark 5\n}}\nvirtual_server group g {{\n delay_loop 1\n warmup 0\n \
             lb_algo {scheduler}\n lb_kind NAT\n protocol TCP\n sorry_server {sorry} 80\n{}{}}}\n",
            real(8081),
            real(port)
        )
    };
    let pair = started(&text(" 10.9.9.1-2 80\n", "rr", "10.0.0.9", 8082))?;
    pair.a.says("Adding sorry server [10.0.0.9]:tcp:80 to VS [g]:0")?;
    let _listener = pair.a.host.run(|| TcpListener::bind("127.0.0.1:8081"))??;
    pair.a.says("Adding service [127.0.0.1]:tcp:8081 to VS [g]:0")?;
    pair.a.configure(&text(" 10.9.9.1 80\n 10.9.9.5 80\n", "wrr", "10.0.0.8", 8083))?;
    pair.a.signal(Signal::SIGHUP);
    for line in [
        "Reinitializing ipvs",
        "VS [[10.9.9.1]:tcp:80:1] in group g no longer exists",
        "service [127.0.0.1]:tcp:8082 no longer exist",
        "VS [[10.9.9.5]:tcp:80:0:0] added into group g",
        "Activating healthchecker for service [127.0.0.1]:tcp:8083 for VS [g]:0",
        "TCP_CHECK on service [127.0.0.1]:tcp:8083 failed after 1 retries.",
    ] {
        pair.a.says(line)?;
    }
    // Nothing was asked for that the kernel refuses.
    assert!(!pair.a.log().contains("IPVS cmd"), "{}", pair.a.log());
    Ok(())
}

#[test]
fn scripts_and_fifos_are_told_of_servers() -> io::Result<()> {
    let check = " notify_down \"/bin/sh -c 'echo $0 >> /tmp/told' down\"\n TCP_CHECK {\n connect_timeout 1\n }";
    let servers = configuration(&[(8081, check)], " quorum_down \"/bin/sh -c 'echo $0 >> /tmp/told' lost\"");
    let pair = started(&format!(
        "global_defs {{\n lvs_notify_fifo /tmp/fifo\n lvs_notify_fifo_script \"/bin/sh -c 'cat $0 > /tmp/lines'\"\n \
         script_user root\n}}\n{servers}"
    ))?;
    pair.a.says("Lost quorum 1-0=1 > 0 for VS [10.9.9.1]:tcp:80")?;
    let read = |path: &'static str, lines: usize| {
        compat_tests::wait_for(path, super::pair::LIMIT, || {
            let text = pair.a.host.run(move || std::fs::read_to_string(path)).ok()?.ok()?;
            (text.lines().count() >= lines).then_some(text)
        })
    };
    let mut told: Vec<String> = read("/tmp/told", 2)?.lines().map(str::to_owned).collect();
    told.sort();
    assert_eq!(told, ["down", "lost"]);
    assert_eq!(
        read("/tmp/lines", 3)?,
        "VS [10.9.9.1]:tcp:80 UP\nRS [127.0.0.1]:tcp:8081 [10.9.9.1]:tcp:80 DOWN\nVS [10.9.9.1]:tcp:80 DOWN\n"
    );
    Ok(())
}

/// Answers each connection to a port of this host with these parts: the first at once, each other one after something was
/// heard.
fn serve(pair: &Pair, port: u16, parts: &'static [&'static str]) -> io::Result<()> {
    let listener = pair.a.host.run(move || TcpListener::bind(("127.0.0.1", port)))??;
    let answer = move |mut stream: TcpStream| -> io::Result<()> {
        let mut heard = [0; 4096];
        for (at, part) in parts.iter().enumerate() {
            stream.write_all(part.as_bytes())?;
            // The connection closes behind the last part.
            if at + 1 < parts.len() {
                let _ = stream.read(&mut heard)?;
            }
        }
        Ok(())
    };
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            thread::spawn(move || answer(stream));
        }
    });
    Ok(())
}

/// Answers each UDP packet with its first two bytes and these.
fn answer(pair: &Pair, port: u16, rest: &'static [u8]) -> io::Result<()> {
    let socket = pair.a.host.run(move || UdpSocket::bind(("127.0.0.1", port)))??;
    thread::spawn(move || {
        let mut packet = [0; 512];
        while let Ok((_, from)) = socket.recv_from(&mut packet) {
            let _ = socket.send_to(&[&packet[..2], rest].concat(), from);
        }
    });
    Ok(())
}

/// What is checked, how, and what keepalived 2.1.5 says of it.
const KINDS: &[(u16, &str, &str)] = &[
    (8001, "HTTP_GET {\n url {\n path /\n }\n", "Remote Web server [127.0.0.1]:tcp:8001 succeed on service."),
    (
        8002,
        "HTTP_GET {\n url {\n path /a\n status_code 200\n }\n",
        "HTTP_CHECK on service [127.0.0.1]:tcp:8002 failed after 1 retry.",
    ),
    (
        8003,
        "HTTP_GET {\n log_all_failures\n url {\n path /\n digest 00000000000000000000000000000000\n }\n",
        "MD5 digest error to server [127.0.0.1]:tcp:8003.",
    ),
    (8004, "HTTP_GET {\n log_all_failures\n url {\n path /\n }\n", "Connection failed server [127.0.0.1]:tcp:8004."),
    (
        8005,
        "SSL_GET {\n log_all_failures\n url {\n path /\n }\n",
        "SSL handshake/communication error connecting to server [127.0.0.1]:tcp:8005.",
    ),
    (8025, "SMTP_CHECK {\n", "Remote SMTP server [127.0.0.1]:tcp:8025 succeed on service."),
    (8026, "SMTP_CHECK {\n", "SMTP_CHECK Bad greeting banner from server [127.0.0.1]:8026"),
    (8027, "SMTP_CHECK {\n", "SMTP_CHECK Could not connect to server [127.0.0.1]:8027"),
    (8053, "DNS_CHECK {\n alpha\n", "Adding service [127.0.0.1]:tcp:8053 to VS [10.9.9.1]:tcp:80"),
    (8054, "DNS_CHECK {\n", "DNS_CHECK ([127.0.0.1]:tcp:8054) read error occurred. (rcode = 3)"),
    (8055, "DNS_CHECK {\n", "DNS_CHECK ([127.0.0.1]:tcp:8055) failed to read socket; errno 111 (Connection refused)"),
    (8056, "UDP_CHECK {\n require_reply\n", "UDP connection to [127.0.0.1]:tcp:8056 success."),
    (8057, "UDP_CHECK {\n", "UDP_CHECK on service [127.0.0.1]:tcp:8057 failed."),
    (8100, "PING_CHECK {\n", "ICMP connection to [127.0.0.1]:tcp:8100 success."),
    (
        8101,
        "MISC_CHECK {\n misc_path /bin/true\n",
        "Misc check for [[127.0.0.1]:tcp:8101 VS [10.9.9.1]:tcp:80] by [/usr/bin/true] succeeded.",
    ),
    (
        8102,
        "MISC_CHECK {\n misc_path \"/bin/sh -c 'exit 12'\"\n misc_dynamic\n",
        "Changing weight from 1 to 10 for active service [127.0.0.1]:tcp:8102 of VS [10.9.9.1]:tcp:80",
    ),
    (
        8103,
        "MISC_CHECK {\n misc_path \"/bin/sleep 9\"\n misc_timeout 1\n",
        "Misc check for [[127.0.0.1]:tcp:8103 VS [10.9.9.1]:tcp:80] by [/usr/bin/sleep] timed out with retry disabled.",
    ),
];

#[test]
fn every_kind_of_check_says_what_keepaliveds_does() -> io::Result<()> {
    const PAGE: &[&str] = &["", "HTTP/1.0 200 OK\r\n\r\nhello"];
    let checks: Vec<(u16, String)> = KINDS
        .iter()
        .map(|(port, check, _)| {
            let connects = if check.starts_with("MISC") { "" } else { " connect_timeout 1\n" };
            (*port, format!("{check}{connects} }}"))
        })
        .collect();
    let reals: Vec<(u16, &str)> = checks.iter().map(|(port, check)| (*port, check.as_str())).collect();
    let mut pair = Pair::new(Program::Ours, Program::Ours)?;
    serve(&pair, 8001, PAGE)?;
    serve(&pair, 8002, &["", "HTTP/1.0 404 Not Found\r\n\r\n"])?;
    serve(&pair, 8003, PAGE)?;
    serve(&pair, 8005, PAGE)?;
    serve(&pair, 8025, &["220 hi\r\n", "250 ok\r\n", "221 bye\r\n"])?;
    serve(&pair, 8026, &["554 no\r\n"])?;
    answer(&pair, 8053, &[0x81, 0x80, 0, 1, 0, 0, 0, 0, 0, 0])?;
    answer(&pair, 8054, &[0x81, 0x83, 0, 1, 0, 0, 0, 0, 0, 0])?;
    answer(&pair, 8056, b"x")?;
    let text = format!("global_defs {{\n script_user root\n}}\n{}", configuration(&reals, " delay_before_retry 1"));
    pair.a.start_with(&text, &["--simulate-ipvs"])?;
    for (_, _, line) in KINDS {
        pair.a.says(line)?;
    }
    Ok(())
}

#[test]
fn checks_that_are_suspended_wait_for_the_address() -> io::Result<()> {
    let pair = started(&configuration(&[(8081, TCP)], " ha_suspend"))?;
    pair.a.says("Deactivating healthchecker for service [127.0.0.1]:tcp:8081 for VS [10.9.9.1]:tcp:80")?;
    let address = |verb: &'static str| {
        let mut command = std::process::Command::new("ip");
        command.args(["address", verb, "10.9.9.1/32", "dev", "lo"]);
        pair.a.host.start(command)
    };
    let _adding = address("add")?;
    pair.a.says("Netlink reflector reports IP 10.9.9.1 added")?;
    pair.a.says("Activating healthchecker for service [127.0.0.1]:tcp:8081 for VS [10.9.9.1]:tcp:80")?;
    pair.a.says("TCP_CHECK on service [127.0.0.1]:tcp:8081 failed.")?;
    let _removing = address("delete")?;
    pair.a.says("Suspending healthchecker for service [127.0.0.1]:tcp:8081 for VS [10.9.9.1]:tcp:80")?;
    Ok(())
}

#[test]
fn the_sync_daemon_follows_its_virtual_router() -> io::Result<()> {
    let router = super::pair::configuration("BACKUP", 120, "");
    let global = router.replacen("global_defs {\n", "global_defs {\n lvs_sync_daemon ens33 nginx\n", 1);
    let own = router.replacen(" interface ens33\n", " interface ens33\n lvs_sync_daemon_interface ens33\n", 1);
    assert_ne!(own, router);
    for text in [global, own] {
        let mut pair = Pair::new(Program::Ours, Program::Ours)?;
        pair.a.start_with(&text, &["--simulate-ipvs"])?;
        pair.a.becomes_master()?;
        pair.a.signal(Signal::SIGTERM);
        pair.a.says("Stopped Keepalived")?;
        // Each half that was stopped ran.
        assert!(!pair.a.log().contains("IPVS cmd"), "{}", pair.a.log());
        let mut pair = Pair::new(Program::Ours, Program::Ours)?;
        pair.a.start_with(&text, &[])?;
        pair.a.says("IPVS: Can't initialize ipvs: ")?;
        pair.a.says("exited with permanent error FATAL. Terminating")?;
    }
    Ok(())
}

#[test]
fn a_page_is_checked_over_tls() -> io::Result<()> {
    let check = |path: &str| {
        format!(
            " SSL_GET {{\n log_all_failures\n enable_sni\n url {{\n path {path}\n virtualhost www.example.org\n status_code 200\n }}\n connect_timeout 1\n }}"
        )
    };
    let mut pair = Pair::new(Program::Ours, Program::Ours)?;
    for (name, bytes) in compat_tests::certificates::all()? {
        let (path, bytes) = (format!("/tmp/{name}"), bytes.clone());
        pair.a.host.run(move || std::fs::write(path, bytes))??;
    }
    // Answers GET / with a page over TLS.
    let mut server = std::process::Command::new("openssl");
    server.args(["s_server", "-accept", "127.0.0.1:8006", "-www", "-cert", "/tmp/ec.pem", "-key", "/tmp/ec.key"]);
    let _server = pair.a.host.start(server)?;
    let checks = [check("/"), check("/")];
    // Nobody listens at the second's port.
    pair.a.start_with(
        &configuration(&[(8006, &checks[0]), (8007, &checks[1])], " delay_before_retry 1\n alpha"),
        &["--simulate-ipvs"],
    )?;
    pair.a.says("Remote Web server [127.0.0.1]:tcp:8006 succeed on service.")?;
    pair.a.says("Adding service [127.0.0.1]:tcp:8006 to VS [10.9.9.1]:tcp:80")?;
    pair.a.says("Connection failed server [127.0.0.1]:tcp:8007.")?;
    assert!(!pair.a.log().contains("Adding service [127.0.0.1]:tcp:8007"), "{}", pair.a.log());
    Ok(())
}

#[test]
fn the_process_of_health_checks_has_its_own_name_priority_memory_and_processors() -> io::Result<()> {
    let words =
        "global_defs {\n lvs_process_name checks\n checker_priority -5\n checker_no_swap\n checker_cpu_affinity 1\n}\n";
    let servers = configuration(&[(8081, TCP)], "");
    let pair = started(&format!("{words}{servers}"))?;
    pair.a.says("TCP_CHECK on service [127.0.0.1]:tcp:8081 failed.")?;
    let text = pair.a.host.run(|| std::fs::read_to_string("/run/checkers.pid"))??;
    let pid = pair.a.host.outer(text.trim().parse().map_err(io::Error::other)?)?;
    let about = |file: &str| std::fs::read_to_string(format!("/proc/{pid}/{file}")).unwrap_or_default();
    let niceness = || about("stat").rsplit_once(") ").and_then(|(_, rest)| rest.split(' ').nth(16).map(str::to_owned));
    let status = |name: &str| {
        about("status").lines().find_map(|line| line.strip_prefix(name)).map(|text| text.trim().to_owned())
    };
    assert_eq!(about("comm").trim(), "checks");
    assert_eq!(niceness().as_deref(), Some("-5"));
    assert_eq!(status("Cpus_allowed_list:").as_deref(), Some("1"));
    assert!(status("VmLck:").is_some_and(|text| text != "0 kB"), "{}", about("status"));
    pair.a.configure(&servers)?;
    pair.a.signal(Signal::SIGHUP);
    let limit = super::pair::LIMIT;
    compat_tests::wait_for("the niceness of before", limit, || (niceness().as_deref() == Some("0")).then_some(()))?;
    compat_tests::wait_for("the processors of before", limit, || {
        status("Cpus_allowed_list:").filter(|list| list != "1").map(|_| ())
    })?;
    assert_eq!(status("VmLck:").as_deref(), Some("0 kB"));
    Ok(())
}

#[test]
fn real_servers_are_told_of_at_the_start_where_that_is_asked_for() -> io::Result<()> {
    let check = " notify_up \"/bin/sh -c 'echo $0 >> /tmp/told' up\"\n TCP_CHECK {\n connect_timeout 1\n }";
    let servers = configuration(&[(8081, check)], "");
    let words = |more: &str| format!("global_defs {{\n script_user root\n{more}}}\n{servers}");
    for (more, told) in [(" rs_init_notifies\n", true), ("", false)] {
        let mut pair = Pair::new(Program::Ours, Program::Ours)?;
        let _listener = pair.a.host.run(|| TcpListener::bind("127.0.0.1:8081"))??;
        pair.a.start_with(&words(more), &["--simulate-ipvs"])?;
        pair.a.says("TCP connection to [127.0.0.1]:tcp:8081 success.")?;
        pair.a.stop()?;
        let text = pair.a.host.run(|| std::fs::read_to_string("/tmp/told"))?;
        assert_eq!(text.is_ok_and(|text| text == "up\n"), told, "{more}");
    }
    Ok(())
}
