//! What is not served: refused alike by a start, a test and a reload, or left out so that nothing is open that was not.

use compat_tests::mount;
use compat_tests::net::{Host, Switch};
use compat_tests::peer::PREFIX;
use compat_tests::program::Program;
use compat_tests::testbed::{LIMIT, TestBed, local};
use compat_tests::{certificates, client, wait_for};

const PROTECTED: &str = "worker_processes 1; error_log logs/warn.log warn;
events { }
http {
    server {
        listen 127.0.0.1:8080;
        root html;
        location / { return 200 \"open\\n\"; }
        location /script/ { perl a::handler; if ($arg_a) { add_header X-A a; } }
        location /except/ { root html; limit_except GET { perl a::handler; } }
    }
}
stream {
    server { listen 127.0.0.1:8447 udp; proxy_pass 127.0.0.1:9001; }
}
";

/// Every place that must stay closed.
const CLOSED: [&str; 2] = ["/script/a.txt", "/script/a.txt?a=1"];

fn prepared() -> TestBed {
    let testbed = TestBed::new(Program::Ours).expect("a host");
    let put = || -> std::io::Result<()> {
        for folder in ["except", "script"] {
            mount::file(&format!("{PREFIX}/html/{folder}/a.txt"), b"within\n", 0o644)?;
        }
        for (name, bytes) in certificates::all()? {
            mount::file(&format!("{PREFIX}/conf/{name}"), bytes, 0o644)?;
        }
        Ok(())
    };
    testbed.host().run(put).expect("a host").expect("files");
    testbed
}

#[test]
fn what_protects_is_not_left_open() {
    let testbed = prepared();
    testbed.write(PROTECTED).expect("a configuration");
    let said = testbed.command(&["--allow-unserved"]).expect("it starts");
    testbed.wait_for_text(8080, "/", "open").expect("an answer");
    for target in CLOSED {
        let answer = testbed.get(8080, target).expect("an answer");
        assert_eq!(answer.status, 503, "{target}: {}", answer.text());
        assert!(!answer.text().contains("within"), "{target}");
    }
    assert_eq!(testbed.get(8080, "/except/a.txt").expect("an answer").text(), "within\n");
    let post = || client::raw(local(8080), b"POST /except/a.txt HTTP/1.0\r\nContent-Length: 0\r\n\r\n", LIMIT);
    let answer = testbed.host().run(post).expect("a host").expect("an answer");
    assert!(answer.starts_with(b"HTTP/1.1 503 "), "{}", answer.escape_ascii());
    let connected = testbed.host().run(|| client::connect(local(8447), LIMIT).is_ok()).expect("a host");
    assert!(!connected, "somebody listens on 8447");
    for line in [10, 11] {
        let line = format!(
            "[warn] \"perl\" is not served, left out: requests are answered with 503 in {PREFIX}/conf/nginx.conf:{line}"
        );
        assert!(said.contains(&line), "{line}\n{said}");
    }
    let warned = |log: &str| log.matches("\"perl\" is not served, left out").count();
    assert_eq!(warned(&testbed.file("logs/warn.log").expect("a log")), 2, "a start says it once");
    testbed.command(&["-s", "reload"]).expect("-s reload");
    wait_for("the line of the reload", LIMIT, || {
        testbed.file("logs/warn.log").ok().filter(|log| warned(log) == 4).map(|_| ())
    })
    .expect("a reload says it once more");
    assert_eq!(testbed.get(8080, "/script/a.txt").expect("an answer").status, 503);
}

#[test]
fn a_test_fails_where_a_start_fails() {
    let testbed = prepared();
    testbed.write(PROTECTED).expect("a configuration");
    let start = testbed.command(&[]).expect_err("a start is refused").to_string();
    let test = testbed.command(&["-t"]).expect_err("a test fails").to_string();
    let lines = |text: &str| -> Vec<String> {
        text.lines().filter_map(|line| line.split_once("[emerg] ")).map(|(_, line)| line.to_owned()).collect()
    };
    assert_eq!(lines(&start), lines(&test), "{start}\n{test}");
    let last = lines(&test).pop().unwrap_or_default();
    let end = "directives are not served; --allow-unserved leaves them out";
    assert!(last.contains("will not start: ") && last.ends_with(end), "{last}");
    assert!(test.contains("test failed"), "{test}");
    let allowed = testbed.command(&["-t", "--allow-unserved"]).expect("a test with --allow-unserved");
    assert!(allowed.contains("test is successful"), "{allowed}");
}

#[test]
fn a_reload_to_what_is_not_served_is_refused() {
    let testbed = prepared();
    let plain = "events { } http { server { listen 127.0.0.1:8080; return 200 first; } }";
    testbed.write(plain).expect("a configuration");
    testbed.command(&[]).expect("it starts");
    testbed.wait_for_text(8080, "/", "first").expect("an answer");
    testbed.write(PROTECTED).expect("a configuration");
    let said = testbed.command(&["-s", "reload"]).expect_err("-s reload fails").to_string();
    assert!(said.contains("directives are not served"), "{said}");
    assert_eq!(testbed.get(8080, "/").expect("an answer").text(), "first");
}

#[test]
fn a_test_of_keepalived_fails_where_a_start_fails() {
    let (switch, host) = (Switch::new().expect("a switch"), Host::new("reader").expect("a host"));
    switch.plug(&host, "ens33", std::net::Ipv4Addr::new(192, 0, 2, 11), 24).expect("a link");
    let name = "/etc/keepalived/keepalived.conf";
    let text =
        b"vrrp_instance V {\n interface ens33\n virtual_router_id 5\n use_ipvlan 192.0.2.9\n virtual_ipaddress {\n 192.0.2.1\n }\n}\n";
    host.run(move || mount::file(name, text, 0o644)).expect("a host").expect("a file");
    let run = |words: &'static [&'static str]| {
        let path = Program::Ours.keepalived().expect("the program");
        let output = host.run(move || std::process::Command::new(path).args(words).output()).expect("a host");
        let output = output.expect("an answer");
        (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    let start = run(&["-n", "-f", "/etc/keepalived/keepalived.conf"]);
    let test = run(&["-t", "-f", "/etc/keepalived/keepalived.conf"]);
    assert_eq!(start.0, test.0, "{start:?} {test:?}");
    assert!(test.0 != Some(0), "{test:?}");
    for (_, said) in [&start, &test] {
        assert!(said.contains("keyword \"use_ipvlan\""), "{said}");
        assert!(said.contains("will not start: 1 keyword is not served; --allow-unserved leaves it out"), "{said}");
    }
    let allowed = run(&["-t", "--allow-unserved", "-f", "/etc/keepalived/keepalived.conf"]);
    assert_eq!(allowed.0, Some(0), "{allowed:?}");
    assert!(allowed.1.contains("left out"), "{allowed:?}");
}
