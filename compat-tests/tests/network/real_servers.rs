//! Health checks beside keepalived's: the same real servers, the same transitions and lines.

use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::process::Command;
use std::thread;
use std::time::Duration;

use super::pair::{LIMIT, Pair, Side};
use compat_tests::net::Host;
use compat_tests::process::Running;
use compat_tests::program::Program;
use compat_tests::wait_for;
use nix::sys::socket::{setsockopt, sockopt};

/// What a real server does with a connection or packet.
#[derive(Clone, Copy)]
enum Manner {
    /// Nobody listens.
    Absent,
    /// Once a request has come: each part, a moment after the other; then the end.
    Answers(&'static [&'static str]),
    /// The connection is never answered.
    Silent,
    /// It is reset once a request has come.
    Resets,
    /// Each packet is answered with this.
    Packet(&'static [u8]),
    /// `openssl s_server` with these options.
    Tls(&'static str),
}

/// The end of a check, as both say it.
struct Case {
    port: u16,
    check: &'static str,
    manner: Manner,
    /// What is said last.
    end: &'static str,
}

const fn case(port: u16, manner: Manner, check: &'static str, end: &'static str) -> Case {
    Case { port, check, manner, end }
}

const UP: &str = "succeed on service";
const DOWN: &str = "Removing service";
const HEAD: &str = "HTTP/1.0 200 OK\r\n\r\n";
const GOOD: Manner = Manner::Answers(&[HEAD, "hello world\n"]);

const CASES: &[Case] = &[
    case(8001, GOOD, "HTTP_GET {\n url {\n path /\n }\n", UP),
    case(8002, Manner::Absent, "HTTP_GET {\n url {\n path /\n }\n", DOWN),
    case(8003, Manner::Silent, "HTTP_GET {\n url {\n path /\n }\n", DOWN),
    case(8004, Manner::Resets, "HTTP_GET {\n url {\n path /\n }\n", DOWN),
    case(8005, Manner::Answers(&[]), "HTTP_GET {\n url {\n path /\n }\n", DOWN),
    case(8006, Manner::Answers(&["HTTP/1.0 500 No\r\n\r\n"]), "HTTP_GET {\n url {\n path /\n }\n", DOWN),
    case(
        8007,
        Manner::Answers(&["HTTP/1.0 500 No\r\n\r\n"]),
        "HTTP_GET {\n url {\n path /\n status_code 500\n }\n",
        UP,
    ),
    case(8008, GOOD, "HTTP_GET {\n url {\n path /\n digest 00000000000000000000000000000000\n }\n", DOWN),
    // The digest of "hello world\n".
    case(8009, GOOD, "HTTP_GET {\n url {\n path /\n digest 6f5902ac237024bdd0c176cb93063dc4\n }\n", UP),
    case(8010, GOOD, "HTTP_GET {\n url {\n path /\n regex \"wor[kl]d\"\n }\n", UP),
    case(
        8011,
        Manner::Answers(&[HEAD, "hello wor", "ld\n"]),
        "HTTP_GET {\n url {\n path /\n regex \"hello world\"\n }\n",
        UP,
    ),
    case(8012, GOOD, "HTTP_GET {\n url {\n path /\n regex \"world\"\n regex_no_match\n }\n", DOWN),
    case(
        8013,
        GOOD,
        "HTTP_GET {\n url {\n path /\n regex \"WORLD\"\n regex_options caseless\n regex_stack 1024 65536\n }\n",
        UP,
    ),
    case(8014, GOOD, "HTTP_GET {\n url {\n path /\n regex \"world\"\n regex_max_offset 5\n }\n", DOWN),
    case(
        8015,
        GOOD,
        "HTTP_GET {\n url {\n path /\n regex \"world\"\n regex_min_offset 6\n regex_max_offset 6\n }\n",
        UP,
    ),
    // What reaches the end of the page may go on, and is no match.
    case(8016, GOOD, "HTTP_GET {\n url {\n path /\n regex \"world.*\\\\n$\"\n }\n", DOWN),
    case(8017, GOOD, "HTTP_GET {\n url {\n path /\n regex \"absent\"\n regex_no_match\n }\n", UP),
    case(8020, Manner::Tls("-www"), "SSL_GET {\n url {\n path /\n status_code 200\n }\n", UP),
    case(8021, GOOD, "SSL_GET {\n url {\n path /\n }\n", DOWN),
    case(8022, Manner::Silent, "SSL_GET {\n url {\n path /\n }\n", DOWN),
    case(8023, Manner::Resets, "SSL_GET {\n url {\n path /\n }\n", DOWN),
    case(8024, Manner::Absent, "SSL_GET {\n url {\n path /\n }\n", DOWN),
    case(8025, Manner::Tls("-www"), "SSL_GET {\n url {\n path /\n digest 00000000000000000000000000000000\n }\n", DOWN),
    // A client without a certificate is refused.
    case(
        8026,
        Manner::Tls("-www -Verify 1 -verify_return_error -CAfile /tmp/ca.pem"),
        "SSL_GET {\n url {\n path /\n }\n",
        DOWN,
    ),
    case(8030, Manner::Packet(b"\x12\x34\x56"), "UDP_CHECK {\n payload 01 02 0a\n require_reply 12 3x\n", "success."),
    case(8031, Manner::Packet(b"\x12\x44\x56"), "UDP_CHECK {\n require_reply 12 34\n", DOWN),
    case(8032, Manner::Packet(b"\x12\x34\x56"), "UDP_CHECK {\n require_reply 1234\n min_reply_length 4\n", DOWN),
    case(8033, Manner::Packet(b"\x12\x34\x56"), "UDP_CHECK {\n require_reply 1234\n max_reply_length 2\n", DOWN),
    case(8034, Manner::Packet(b"\x12\x34\x56"), "UDP_CHECK {\n require_reply\n max_reply_length 2\n", "success."),
    case(8035, Manner::Absent, "UDP_CHECK {\n", DOWN),
    case(8040, Manner::Absent, "TCP_CHECK {\n", DOWN),
    case(8041, Manner::Silent, "TCP_CHECK {\n", "success."),
];

/// Starts a real server on a host; what must be kept.
fn serve(host: &Host, case: &Case) -> io::Result<Option<Running>> {
    let port = case.port;
    match case.manner {
        Manner::Absent => Ok(None),
        Manner::Tls(options) => tls_server(host, port, options).map(Some),
        Manner::Packet(reply) => {
            let socket = host.run(move || UdpSocket::bind(("127.0.0.1", port)))??;
            thread::spawn(move || {
                let mut packet = [0; 512];
                while let Ok((_, from)) = socket.recv_from(&mut packet) {
                    let _ = socket.send_to(reply, from);
                }
            });
            Ok(None)
        }
        manner => {
            let listener = host.run(move || TcpListener::bind(("127.0.0.1", port)))??;
            thread::spawn(move || {
                for stream in listener.incoming().flatten() {
                    thread::spawn(move || answer(stream, manner));
                }
            });
            Ok(None)
        }
    }
}

fn answer(mut stream: TcpStream, manner: Manner) -> io::Result<()> {
    let mut heard = [0; 4096];
    let _ = stream.read(&mut heard)?;
    match manner {
        Manner::Answers(parts) => {
            for part in parts {
                stream.write_all(part.as_bytes())?;
                thread::sleep(Duration::from_millis(50));
            }
        }
        Manner::Resets => {
            setsockopt(&stream, sockopt::Linger, &nix::libc::linger { l_onoff: 1, l_linger: 0 })?;
        }
        _ => while stream.read(&mut heard)? > 0 {},
    }
    Ok(())
}

/// A virtual server with a real server for each case.
fn configuration() -> String {
    let mut text = "global_defs {\n script_user root\n}\nvirtual_server 10.9.9.1 80 {\n delay_loop 2\n warmup 0\n delay_before_retry 1\n \
                    lb_algo rr\n lb_kind NAT\n protocol TCP\n"
        .to_owned();
    for Case { port, check, .. } in CASES {
        text.push_str(&format!(
            " real_server 127.0.0.1 {port} {{\n weight 1\n{check} log_all_failures\n connect_timeout 1\n }}\n }}\n"
        ));
    }
    text.push_str("}\n");
    text
}

/// What a host says of a real server, with the words of 2.1.5 where later versions have others.
fn about(side: &Side, port: u16) -> Vec<String> {
    let name = format!("[127.0.0.1]:tcp:{port}");
    let log = side.log();
    let lines = log.lines().filter_map(|line| line.get("Mon Nov 30 18:28:36 2026: ".len()..));
    let about = lines.filter(|line| line.contains(&name));
    // Only later versions compare the length of a page with what its head says, and speak of more than one retry.
    let spoken = about.filter(|line| !line.starts_with("http_check for"));
    spoken.map(|line| line.replace(" from VS ", " to VS ").replace("1 retries.", "1 retry.")).collect()
}

#[test]
fn checks_come_to_what_keepaliveds_come_to() -> io::Result<()> {
    let text = configuration();
    let mut said = Vec::new();
    for program in [Program::Original, Program::Ours] {
        let mut pair = Pair::new(program, Program::Ours)?;
        certificates(&pair.a.host)?;
        let mut kept = Vec::new();
        for case in CASES {
            kept.push(serve(&pair.a.host, case)?);
        }
        pair.a.start_without_ipvs(&text)?;
        let mut all = Vec::new();
        for case in CASES {
            let lines = wait_for("the end of a check", LIMIT, || {
                let lines = about(&pair.a, case.port);
                lines.last().is_some_and(|line| line.contains(case.end)).then_some(lines)
            });
            all.push(lines.map_err(|error| {
                io::Error::other(format!("{error}: {} of {}: {}", case.check, case.port, pair.a.log()))
            })?);
        }
        said.push(all);
    }
    let (ours, theirs) = (said.pop().unwrap_or_default(), said.pop().unwrap_or_default());
    for ((case, ours), theirs) in CASES.iter().zip(ours).zip(theirs) {
        assert_eq!(ours, theirs, "{} of {}", case.check, case.port);
    }
    Ok(())
}

/// Real servers at these ports, each with its check.
fn servers(reals: &[(u16, &str)]) -> String {
    let reals = reals.iter().map(|(port, check)| format!(" real_server 127.0.0.1 {port} {{\n weight 10\n{check} }}\n"));
    let reals: String = reals.collect();
    format!(
        "virtual_server 10.9.9.1 80 {{\n delay_loop 1\n warmup 0\n delay_before_retry 1\n lb_algo rr\n lb_kind NAT\n protocol TCP\n{reals}}}\n"
    )
}

/// Puts the certificates into `/tmp`.
fn certificates(host: &Host) -> io::Result<()> {
    for (name, bytes) in compat_tests::certificates::all()? {
        let path = format!("/tmp/{name}");
        host.run(move || std::fs::write(path, bytes))??;
    }
    Ok(())
}

/// Starts `openssl s_server`, and waits for it.
fn tls_server(host: &Host, port: u16, options: &str) -> io::Result<Running> {
    let mut server = Command::new("openssl");
    server.args(["s_server", "-accept", &format!("127.0.0.1:{port}"), "-cert", "/tmp/ec.pem", "-key", "/tmp/ec.key"]);
    server.args(options.split(' '));
    let server = host.start(server)?;
    wait_for("a TLS server", LIMIT, || host.run(move || TcpStream::connect(("127.0.0.1", port))).ok()?.ok())?;
    Ok(server)
}

const SECURE: &str = " SSL_GET {\n connect_timeout 1\n log_all_failures\n url {\n path /\n status_code 200\n }\n }\n";

#[test]
fn files_of_ssl_that_cannot_be_read_end_the_checks() -> io::Result<()> {
    for program in [Program::Original, Program::Ours] {
        let mut pair = Pair::new(program, Program::Ours)?;
        certificates(&pair.a.host)?;
        let ssl = "SSL {\n password secret\n certificate /tmp/cert.pem\n key /tmp/absent.pem\n}\n";
        pair.a.start_without_ipvs(&format!("{ssl}{}", servers(&[(8081, SECURE)])))?;
        for line in [
            "SSL error : Cant load key file...",
            "  SSL  keyfile:/tmp/absent.pem",
            "  SSL   cafile:(null)",
            "Terminate...",
        ] {
            pair.a.says(line)?;
        }
        pair.a.says("exited with permanent error FATAL. Terminating")?;
        assert_eq!(pair.a.log().contains("password:secret"), program == Program::Original, "{}", pair.a.log());
    }
    Ok(())
}

#[test]
fn a_certificate_is_shown_to_servers_that_ask_for_one() -> io::Result<()> {
    for program in [Program::Original, Program::Ours] {
        let mut pair = Pair::new(program, Program::Ours)?;
        certificates(&pair.a.host)?;
        let _server = tls_server(&pair.a.host, 8081, "-www -Verify 1")?;
        let ssl = "SSL {\n password secret\n ca /tmp/ca.pem\n certificate /tmp/cert.pem\n key /tmp/sealed.key\n}\n";
        pair.a.start_without_ipvs(&format!("{ssl}{}", servers(&[(8081, SECURE)])))?;
        pair.a.says("Remote Web server [127.0.0.1]:tcp:8081 succeed on service.")?;
    }
    Ok(())
}

#[test]
fn the_name_and_the_end_are_told_where_that_is_asked_for() -> io::Result<()> {
    let mut pair = Pair::new(Program::Ours, Program::Ours)?;
    certificates(&pair.a.host)?;
    let options = "-www -msg -tlsextdebug";
    let (plain, compliant) = (tls_server(&pair.a.host, 8081, options)?, tls_server(&pair.a.host, 8082, options)?);
    let more = SECURE.replace(" connect_timeout", " sni_name sni.example.org\n tls_compliant\n connect_timeout");
    pair.a.start_without_ipvs(&servers(&[(8081, SECURE), (8082, &more)]))?;
    pair.a.says("Remote Web server [127.0.0.1]:tcp:8081 succeed on service.")?;
    pair.a.says("Remote Web server [127.0.0.1]:tcp:8082 succeed on service.")?;
    let told =
        |server: &Running| server.output().lines().any(|line| line.starts_with("<<<") && line.contains("close_notify"));
    wait_for("close_notify", LIMIT, || told(&compliant).then_some(()))?;
    assert!(!told(&plain), "{}", plain.output());
    let named = |server: &Running| server.output().contains("\"server name\"");
    assert_eq!((named(&plain), named(&compliant)), (false, true), "{}", compliant.output());
    Ok(())
}

#[test]
fn numbers_in_files_change_weights_and_take_servers_out() -> io::Result<()> {
    let check = |name: &str, more: &str| format!(" FILE_CHECK {{\n track_file {name}\n{more} }}\n");
    let checks = [check("a", ""), check("b", " weight 2\n"), check("c", " weight -3 reverse\n")];
    let files = ["a", "b", "c"].map(|name| format!("track_file {name} {{\n file /tmp/{name}\n}}\n")).concat();
    let mut pair = Pair::new(Program::Ours, Program::Ours)?;
    let write = |host: &Host, name: &'static str, text: &'static str| {
        host.run(move || std::fs::write(format!("/tmp/{name}"), text))
    };
    for (name, text) in [("a", "0"), ("b", "3"), ("c", "1")] {
        write(&pair.a.host, name, text)??;
    }
    let reals = [(8081, checks[0].as_str()), (8082, checks[1].as_str()), (8083, checks[2].as_str())];
    pair.a.start_without_ipvs(&format!("{files}{}", servers(&reals)))?;
    // As recorded with 2.1.5.
    pair.a.says("Gained quorum 1+0=1 <= 27 for VS [10.9.9.1]:tcp:80")?;
    for (name, text, line) in [
        ("a", "5", "([127.0.0.1]:tcp:8081): tracked file a now FAULT state"),
        ("a", "", "([127.0.0.1]:tcp:8081): tracked file a leaving FAULT state"),
        ("b", "5", "Changing weight from 10 to 14 for active service [127.0.0.1]:tcp:8082 of VS [10.9.9.1]:tcp:80"),
        ("b", "-90", "Changing weight from 14 to 1 for active service [127.0.0.1]:tcp:8082 of VS [10.9.9.1]:tcp:80"),
        ("b", "4", "Changing weight from 1 to 12 for active service [127.0.0.1]:tcp:8082 of VS [10.9.9.1]:tcp:80"),
        ("c", "2", "Changing weight from 7 to 10 for active service [127.0.0.1]:tcp:8083 of VS [10.9.9.1]:tcp:80"),
    ] {
        write(&pair.a.host, name, text)??;
        pair.a.says(line)?;
    }
    pair.a.says("Adding service [127.0.0.1]:tcp:8081 to VS [10.9.9.1]:tcp:80")?;
    write(&pair.a.host, "a", "1")??;
    wait_for("its end", LIMIT, || {
        (pair.a.log().matches("Removing service [127.0.0.1]:tcp:8081").count() > 1).then_some(())
    })?;
    pair.a.signal(nix::sys::signal::Signal::SIGHUP);
    pair.a.says("Reloading")?;
    write(&pair.a.host, "a", "0")??;
    wait_for("its return", LIMIT, || {
        (pair.a.log().matches("Adding service [127.0.0.1]:tcp:8081").count() > 1).then_some(())
    })?;
    Ok(())
}

#[test]
fn a_bfd_session_takes_a_server_out() -> io::Result<()> {
    let session = |own: u8, other: u8| {
        format!("bfd_instance session {{\n neighbor_ip 192.168.110.{other}\n source_ip 192.168.110.{own}\n}}\n")
    };
    let check = " BFD_CHECK {\n name session\n }\n";
    for program in [Program::Original, Program::Ours] {
        let mut pair = Pair::new(program, Program::Ours)?;
        pair.b.start(&format!("{}{}", session(12, 11), super::pair::configuration("BACKUP", 100, "")))?;
        pair.a.start_without_ipvs(&format!("{}{}", session(11, 12), servers(&[(8081, check)])))?;
        pair.a.says("BFD check of [session] RS([127.0.0.1]:tcp:8081) is UP")?;
        pair.b.stop()?;
        pair.a.says("BFD check of [session] RS([127.0.0.1]:tcp:8081) is DOWN")?;
        pair.a.says("Removing service [127.0.0.1]:tcp:8081 ")?;
    }
    Ok(())
}

#[test]
fn genhash_prints_what_keepaliveds_prints() -> io::Result<()> {
    const DIGEST: &str = "6f5902ac237024bdd0c176cb93063dc4";
    let pair = Pair::new(Program::Ours, Program::Ours)?;
    let host = &pair.a.host;
    certificates(host)?;
    serve(host, &case(8001, GOOD, "", ""))?;
    let _server = tls_server(host, 8002, "-www")?;
    let run = |program: std::path::PathBuf, words: &[&str]| {
        let mut command = Command::new(program);
        command.args(words);
        host.run(move || command.output())?
    };
    let installed = compat_tests::program::installed("genhash")?;
    let ours = Program::Ours.keepalived()?;
    let asked = ["genhash", "-s", "127.0.0.1", "-p", "8001", "-u", "/"];
    let theirs = run(installed, &asked[1..])?;
    assert_eq!(String::from_utf8_lossy(&theirs.stdout).trim(), DIGEST);
    // Version 2.1.5 says which digest it is.
    let own = run(ours.clone(), &asked)?;
    assert_eq!(String::from_utf8_lossy(&own.stdout), format!("MD5SUM = {DIGEST}\n\n"));
    let link = |own: &std::path::Path| std::os::unix::fs::symlink(own, "/tmp/genhash");
    let program = ours.clone();
    host.run(move || link(&program))??;
    assert_eq!(run("/tmp/genhash".into(), &asked[1..])?.stdout, own.stdout);
    let secure = run(ours.clone(), &["genhash", "-S", "-s", "127.0.0.1", "-p", "8002"])?;
    assert!(secure.status.success() && secure.stdout.starts_with(b"MD5SUM = "), "{secure:?}");
    let absent = run(ours, &["genhash", "-s", "127.0.0.1", "-p", "8999"])?;
    assert_eq!(absent.status.code(), Some(1));
    assert!(
        String::from_utf8_lossy(&absent.stderr).starts_with("genhash: no page from 127.0.0.1:8999: "),
        "{absent:?}"
    );
    Ok(())
}

#[test]
fn a_tls_server_that_stalls_fails_the_check() -> io::Result<()> {
    // Version 2.2.7 does not wait without end either.
    for program in [Program::Original, Program::Ours] {
        let mut pair = Pair::new(program, Program::Ours)?;
        certificates(&pair.a.host)?;
        let answer = "(printf 'HTTP/1.0 200 OK\\r\\n\\r\\nhello'; sleep 60)";
        let server = "openssl s_server -quiet -accept 127.0.0.1:8081 -cert /tmp/ec.pem -key /tmp/ec.key";
        let mut command = Command::new("sh");
        command.args(["-c", &format!("{answer} | {server}")]);
        let _server = pair.a.host.start(command)?;
        // A connection would take the answer.
        wait_for("a TLS server", LIMIT, || {
            let sockets = pair.a.host.run(|| Command::new("ss").arg("-Hltn").output()).ok()?.ok()?;
            String::from_utf8_lossy(&sockets.stdout).contains("127.0.0.1:8081").then_some(())
        })?;
        pair.a.start_without_ipvs(&servers(&[(8081, SECURE)]))?;
        pair.a.says("Timeout SSL read server [127.0.0.1]:tcp:8081.")?;
        pair.a.says("Removing service [127.0.0.1]:tcp:8081 ")?;
    }
    Ok(())
}

#[test]
fn servers_that_are_routed_to_are_checked_at_the_port_they_were_given() -> io::Result<()> {
    for method in ["DR", "TUN"] {
        for program in [Program::Original, Program::Ours] {
            let mut pair = Pair::new(program, Program::Ours)?;
            let _listener = pair.a.host.run(|| TcpListener::bind("127.0.0.1:8081"))??;
            let check = " alpha\n TCP_CHECK {\n connect_timeout 1\n }\n";
            let text = servers(&[(8081, check)]).replace("lb_kind NAT", &format!("lb_kind {method}"));
            pair.a.start_without_ipvs(&text)?;
            // Packets reach it at the virtual server's port.
            pair.a.says("and real server [127.0.0.1]:tcp:8081 ports don't match - resetting")?;
            pair.a.says("Adding service [127.0.0.1]:tcp:80 to VS [10.9.9.1]:tcp:80")?;
        }
    }
    Ok(())
}

#[test]
fn the_virtualhost_of_a_real_server_is_asked_for_and_not_named_in_the_handshake() -> io::Result<()> {
    let mut pair = Pair::new(Program::Ours, Program::Ours)?;
    certificates(&pair.a.host)?;
    let options = "-www -msg -tlsextdebug";
    let (own, other) = (tls_server(&pair.a.host, 8081, options)?, tls_server(&pair.a.host, 8082, options)?);
    let check = SECURE.replace(" connect_timeout", " enable_sni\n connect_timeout");
    let real = format!(" virtualhost real.example.org\n{check}");
    let named = check.replace(" connect_timeout", " virtualhost check.example.org\n connect_timeout");
    pair.a.start_without_ipvs(&servers(&[(8081, &real), (8082, &named)]))?;
    pair.a.says("Remote Web server [127.0.0.1]:tcp:8081 succeed on service.")?;
    pair.a.says("Remote Web server [127.0.0.1]:tcp:8082 succeed on service.")?;
    let named = |server: &Running| server.output().contains("\"server name\"");
    wait_for("the name", LIMIT, || named(&other).then_some(()))?;
    assert!(!named(&own), "{}", own.output());
    Ok(())
}
