//! `rmigrate probe`: the installed nginx and ours behind one configuration; a difference that is there is seen, and
//! nothing is written outside the sandbox.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use compat_tests::program::Program;
use compat_tests::{Scratch, root};
use rha::migrate::cli::answer;

/// What probe says, and its exit code; nothing where there is no nginx to compare with.
fn probe(nginx: Option<&str>, words: &[&str]) -> Option<(String, u8)> {
    let original = Program::Original.nginx().ok()?.to_string_lossy().into_owned();
    let ours = Program::Ours.nginx().expect("ours is built").to_string_lossy().into_owned();
    let programs = ["--nginx", nginx.unwrap_or(&original), "--rnginx", &ours];
    Some(answer(&[&["rmigrate", "probe"][..], &programs, words].concat()))
}

fn fixture(name: &str) -> String {
    root().join("fixtures/migrate/probe").join(name).to_string_lossy().into_owned()
}

/// The site where workers that gave up root can read it, wherever the sources are.
fn site() -> (Scratch, String) {
    let scratch = Scratch::new("probe").expect("a folder");
    fs::create_dir(scratch.path().join("html")).expect("a folder");
    for name in ["nginx.conf", "html/index.html"] {
        fs::copy(fixture(name), scratch.path().join(name)).expect("a copy");
    }
    let conf = scratch.path().join("nginx.conf").to_string_lossy().into_owned();
    (scratch, conf)
}

#[test]
fn both_programs_answer_a_site_the_same() {
    let ((_site, conf), requests) = (site(), fixture("requests.txt"));
    let Some((said, code)) = probe(None, &[&conf, "--requests", &requests]) else { return };
    assert_eq!(code, 0, "{said}");
    assert!(said.contains("28 requests, no difference"), "{said}");
    for status in [
        "200",
        "206",
        "301",
        "403",
        "404",
        "nobody listens on port 99",
        "closed",
        "nobody listens on port 80",
        "1 datagrams",
    ] {
        assert!(said.contains(status), "{status}: {said}");
    }
    for path in ["/run/probe.pid", "/var/log/probe"] {
        assert!(fs::metadata(path).is_err(), "{path} was made");
    }
}

#[test]
fn a_log_and_the_configuration_itself_give_requests() {
    let ((_site, conf), log) = (site(), fixture("access.log"));
    let Some((said, code)) = probe(None, &[&conf, "--log", &log, "--host", "a.example"]) else { return };
    assert_eq!(code, 0, "{said}");
    assert!(said.contains("2 requests, no difference"), "{said}");
    let Some((said, code)) = probe(None, &[&conf]) else { return };
    assert_eq!(code, 0, "{said}");
    assert!(!said.contains("\n0 requests"), "{said}");
}

/// Writes a program that starts the installed nginx with a configuration in which `from` is `to`.
fn deceiver(scratch: &Scratch, from: &str, to: &str) -> String {
    let path = scratch.path().join("nginx");
    let original = Program::Original.nginx().expect("it is installed");
    let script = format!(
        "#!/bin/sh\n[ \"$1\" != -V ] || exec {0} -V\n\
         sed 's|{from}|{to}|' \"$4\" > \"$4.changed\"\nexec {0} -p \"$2\" -c \"$4.changed\" -e \"$6\"\n",
        original.display()
    );
    fs::write(&path, script).expect("the script can be written");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("it can be made executable");
    path.to_string_lossy().into_owned()
}

#[test]
fn what_is_answered_or_asked_otherwise_is_told() {
    if Program::Original.nginx().is_err() {
        return;
    }
    let ((_site, conf), requests) = (site(), fixture("requests.txt"));
    let words = [conf.as_str(), "--requests", &requests];
    for (from, to, told) in [
        ("X-Real-IP", "X-False-IP", "request to the server behind"),
        ("deny all", "allow all", "status"),
        ("X-Upstream-Status", "X-Other", "header x-other"),
        ("proxy_protocol on", "proxy_protocol off", "10.9.9.7:1883 was told hello behind a header"),
        ("came to", "went to", "127.0.0.1 went to TCP"),
        (" sent ", " gave ", "127.0.0.1 gave UDP"),
    ] {
        let scratch = Scratch::new("probe").expect("a folder");
        let program = deceiver(&scratch, from, to);
        let (said, code) = probe(Some(&program), &words).expect("nginx is installed");
        assert_eq!(code, 1, "{said}");
        assert!(said.contains(told), "{told}: {said}");
    }
    let scratch = Scratch::new("probe").expect("a folder");
    let program = deceiver(&scratch, "worker_connections", "no_such_thing");
    let (said, code) = probe(Some(&program), &words).expect("nginx is installed");
    assert!(code == 1 && said.contains("does-not-start") && said.contains("no_such_thing"), "{said}");
    assert_eq!(answer(&["rmigrate", "probe", &conf, "--nginx", "/no/such/program"]).1, 2);
}

#[test]
fn files_of_the_corpus_are_probed() {
    let corpus = root().join("fixtures/nginx/corpus");
    let scratch = Scratch::new("probe").expect("a folder");
    fs::write(scratch.path().join("mime.types"), "types { text/html html; image/png png; }")
        .expect("it can be written");
    fs::create_dir(scratch.path().join("snippets")).expect("a folder");
    for entry in fs::read_dir(corpus.join("include/snippets")).expect("the snippets").flatten() {
        fs::copy(entry.path(), scratch.path().join("snippets").join(entry.file_name())).expect("it can be copied");
    }
    // The first are served as a whole; what the others need and ours does not serve is told, and nothing falls over.
    let whole = ["balancer-3", "vhosts-2", "websocket-2", "odd-quotes", "odd-unicode", "odd-many-maps", "cors-1"];
    for name in whole.into_iter().chain(["rewrites-1", "limits-1", "static-files-1"]) {
        let conf = scratch.path().join(format!("{name}.conf"));
        fs::copy(corpus.join(format!("{name}.conf")), &conf).expect("it can be copied");
        let Some((said, code)) = probe(None, &[&conf.to_string_lossy()]) else { return };
        let refused = said.contains("does-not-start") && said.contains("rnginx does not start");
        assert!(code == 0 || code == 1 && refused && !whole.contains(&name), "{name}: {said}");
    }
}
