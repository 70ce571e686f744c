//! Reloads with TLS: certificates that changed are served, others keep their sessions, and no request is lost.

use compat_tests::peer::PREFIX;
use compat_tests::program::Program;
use compat_tests::testbed::{LIMIT, TestBed};
use compat_tests::{mount, wait_for};

use crate::tls::{curl, prepared, shell};

const CONF: &str = r#"worker_processes 2;
events { }
http {
    access_log off;
    ssl_session_cache shared:sessions:1m;
    server { listen 127.0.0.1:8443 ssl http2; ssl_certificate ec.pem; ssl_certificate_key ec.key; root html; location = / { return 200 "[$ssl_session_reused]\n"; } }
    server { listen 127.0.0.1:8444 ssl; ssl_certificate new.pem; ssl_certificate_key new.key; location / { return 200 "[$ssl_session_reused]\n"; } }
    server { listen 127.0.0.1:8080; location / { return 200 "generation 1\n"; } }
}
"#;

fn started(program: Program) -> TestBed {
    let testbed = prepared(program, CONF);
    let text =
        shell(&testbed, &format!("cd {PREFIX}/conf && cp client.pem new.pem && cp client.key new.key && echo put"));
    assert_eq!(text, "put\n");
    testbed.command(&[]).expect("a start");
    testbed
}

/// The subject of the certificate at a port.
fn subject(testbed: &TestBed, port: u16) -> String {
    let text = shell(testbed, &format!("echo | openssl s_client -connect 127.0.0.1:{port} 2>&1"));
    text.lines().find_map(|line| line.strip_prefix("subject=")).unwrap_or_default().to_owned()
}

/// Whether a request resumes a session; it is kept in a file, or taken from there.
fn resumes(testbed: &TestBed, port: u16, words: &str) -> bool {
    let get = "printf 'GET / HTTP/1.0\\r\\n\\r\\n'; sleep 0.5";
    let said =
        shell(testbed, &format!("cd /tmp; ({get}) | openssl s_client -connect 127.0.0.1:{port} -ign_eof {words} 2>&1"));
    assert!(said.contains("\n[r]") || said.contains("\n[.]"), "{said}");
    said.contains("\n[r]")
}

fn reload(testbed: &TestBed, generation: usize) {
    testbed.write(&CONF.replace("generation 1", &format!("generation {generation}"))).expect("a configuration");
    testbed.command(&["-s", "reload"]).expect("-s reload");
    testbed.wait_for_text(8080, "/", &format!("generation {generation}")).expect("the new configuration");
}

#[test]
fn a_reload_serves_new_certificates_and_keeps_the_sessions_of_others() {
    let testbed = started(Program::Ours);
    for version in ["-tls1_2", "-tls1_3"] {
        assert!(!resumes(&testbed, 8443, &format!("{version} -sess_out kept{version}")));
    }
    assert_eq!(subject(&testbed, 8444), "C = DE, CN = client");
    shell(&testbed, &format!("cd {PREFIX}/conf; cp cert.pem new.pem; cp key.pem new.key"));
    // Until then the old one is shown.
    assert_eq!(subject(&testbed, 8444), "C = DE, CN = client");
    reload(&testbed, 2);
    assert_eq!(subject(&testbed, 8444), "CN = example.com");
    for version in ["-tls1_2", "-tls1_3"] {
        assert!(resumes(&testbed, 8443, &format!("{version} -sess_in kept{version}")), "{version}");
    }
}

#[test]
fn a_broken_certificate_leaves_the_old_configuration_in_place_as_in_nginx() {
    let told = [Program::Original, Program::Ours].map(|program| {
        let testbed = started(program);
        shell(&testbed, &format!("cd {PREFIX}/conf; cp junk.pem ec.pem"));
        let text = CONF.replace("generation 1", "generation 2");
        testbed.write(&text).expect("a configuration");
        let master = testbed.master().expect("a master");
        nix::sys::signal::kill(master, nix::sys::signal::Signal::SIGHUP).expect("a signal");
        let line = || {
            let log = testbed.file("logs/error.log").ok()?;
            log.lines().find_map(|line| line.split_once("cannot load certificate")).map(|(_, rest)| rest.to_owned())
        };
        let line = wait_for("a complaint", LIMIT, line).expect("a line");
        let answer = curl(&testbed, "https://127.0.0.1:8443/");
        let plain = testbed.get(8080, "/").expect("an answer").text();
        (line, subject(&testbed, 8443), answer, plain)
    });
    assert_eq!(told[0], told[1]);
    assert_eq!(told[1].3, "generation 1\n");
}

/// Requests one after the other and at once, on connections that last, while the configuration is replaced.
#[test]
fn no_request_over_tls_is_lost_in_a_reload() {
    let testbed = started(Program::Ours);
    let put = || mount::file(&format!("{PREFIX}/html/part.bin"), &vec![b'x'; 300_000], 0o644);
    testbed.host().run(put).expect("a host").expect("a file");
    let one = |words: &str, name: &str| {
        let ask =
            format!("curl -sk -m 60 {words} -o /dev/null -w '%{{http_code}} %{{size_download}} %{{errormsg}}\\n'");
        format!("(while [ ! -e end ]; do {ask} 'https://127.0.0.1:8443/part.bin?[1-100]'; done > {name}) &")
    };
    let kinds = ["--http1.1", "--http2", "--http2 --parallel --parallel-max 8", "--http2 --limit-rate 10M"];
    let clients: String = kinds.iter().enumerate().map(|(at, words)| one(words, &format!("told{at}"))).collect();
    shell(&testbed, &format!("mkdir -p /tmp/load; cd /tmp/load; {clients}"));
    for generation in 2..22 {
        reload(&testbed, generation);
    }
    let told = shell(&testbed, "cd /tmp/load; touch end; sleep 3; cat told0 told1 told2 told3");
    let lines: Vec<&str> = told.lines().collect();
    let lost: Vec<_> = lines.iter().filter(|line| **line != "200 300000 ").collect();
    assert!(lost.is_empty(), "{} of {} were lost: {:?}", lost.len(), lines.len(), lost.first());
    assert!(lines.len() > 400, "{} requests were made", lines.len());
}
