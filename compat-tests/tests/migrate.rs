//! rmigrate: golden answers of every subcommand and format, the corpus, and explanations held against a running rnginx.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::os::fd::AsRawFd;
use std::time::Duration;

use compat_tests::program::Program;
use compat_tests::root;
use compat_tests::testbed::{LIMIT, TestBed, local};
use nix::sys::socket::{AddressFamily, SockFlag, SockType, SockaddrIn, bind, connect, socket};
use rha::migrate::cli::answer;

/// Asks rmigrate about files below `fixtures`, so that what it prints names no machine's paths.
fn asked(words: &[&str]) -> (String, u8) {
    let fixtures = root().join("fixtures");
    let fixtures = fixtures.to_string_lossy();
    answer(&[&["rmigrate", "--root", &*fixtures][..], words].concat())
}

const ARTICLE: [&str; 3] =
    ["/site/article/nginx.conf", "/site/article/keepalived.conf", "/site/article/keepalived.backup.conf"];
const OLD: &str = "/migrate/old/nginx.conf";
const NEW: &str = "/migrate/new/nginx.conf";
const NODES: [&str; 2] = ["/migrate/old/keepalived.conf", "/migrate/new/keepalived.conf"];

/// BLESS=1 writes what came out; whoever does so reads the difference.
fn golden(name: &str, words: &[&str], code: u8) {
    let path = root().join("fixtures/migrate/golden").join(name);
    let (now, exit) = asked(words);
    assert_eq!(exit, code, "{name}: {now}");
    if std::env::var_os("BLESS").is_some() {
        std::fs::write(&path, &now).expect("the fixture can be written");
    }
    let then = std::fs::read_to_string(&path).unwrap_or_default();
    let place = now.lines().zip(then.lines()).find(|(now, then)| now != then);
    assert!(now == then, "{name}: {place:?}");
}

#[test]
fn surveys_are_as_they_were() {
    let all = [&["survey"][..], &ARTICLE].concat();
    golden("survey.txt", &all, 0);
    golden("survey.json", &[&all[..], &["--format", "json"]].concat(), 0);
    golden("survey.md", &[&all[..], &["--format", "markdown"]].concat(), 0);
    golden("survey.html", &[&all[..], &["--format", "html"]].concat(), 0);
    golden("survey-unserved.txt", &["survey", "/migrate/unserved.conf"], 1);
}

#[test]
fn differences_are_as_they_were() {
    golden("diff-nginx.txt", &["diff", OLD, NEW], 1);
    golden("diff-nginx.json", &["diff", OLD, NEW, "--format", "json"], 1);
    golden("diff-nginx.md", &["diff", OLD, NEW, "--text", "--format", "markdown"], 1);
    golden("diff-nginx.html", &["diff", OLD, NEW, "--text", "--format", "html"], 1);
    golden("diff-nodes.txt", &[&["diff", "--nodes", "--text"][..], &NODES].concat(), 1);
    golden("diff-article.txt", &["diff", "--nodes", ARTICLE[1], ARTICLE[2]], 0);
}

#[test]
fn explanations_are_as_they_were() {
    let site = ["-c", ARTICLE[0], "--from", "192.168.110.77"];
    golden("explain-acs.txt", &[&["explain", "http://192.168.110.10:8880/ACS/login?x=1"][..], &site].concat(), 0);
    golden("explain-acs.json", &[&["--format", "json", "explain", "http://h:8880/ACS/"][..], &site].concat(), 0);
    golden(
        "explain-mqtt.md",
        &[&["--format", "markdown", "explain", "tcp://192.168.110.10:6183"][..], &site].concat(),
        0,
    );
    let rules = ["-c", "/migrate/rewrites.conf", "--from", "192.0.2.7"];
    let beta = ["explain", "https://shop.example/old/42?x=1", "--header", "Cookie: beta=1"];
    golden("explain-rewrite.txt", &[&beta[..], &rules].concat(), 0);
    golden("explain-redirect.txt", &[&["explain", "http://www.shop.example/a%20b"][..], &rules].concat(), 0);
    golden("explain-plain.txt", &[&["explain", "http://shop.example:443/items/1"][..], &rules].concat(), 0);
    let program = ["explain", "http://shop.example/a.php?x=1", "-c", "/migrate/programs.conf", "--from", "192.0.2.7"];
    golden("explain-program.txt", &program, 0);
    golden("explain-vrrp.txt", &["explain", "--vrrp", ARTICLE[1], ARTICLE[2]], 0);
    golden("explain-vrrp.html", &["explain", "--vrrp", ARTICLE[1], ARTICLE[2], "--format", "html"], 0);
    // Different passwords and intervals: both nodes are master, and that is found.
    golden("explain-vrrp-wrong.txt", &["explain", "--vrrp", NODES[0], NODES[1]], 1);
}

#[test]
fn json_is_as_its_schema_has_it() {
    let schema = super::diagnostics::schema("report").expect("a schema");
    let site = ["-c", ARTICLE[0], "--from", "192.168.110.77"];
    let all: [Vec<&str>; 6] = [
        [&["survey"][..], &ARTICLE].concat(),
        vec!["survey", "/migrate/unserved.conf"],
        vec!["diff", "--text", OLD, NEW],
        [&["explain", "http://h:8880/ACS/"][..], &site].concat(),
        vec!["explain", "--vrrp", NODES[0], NODES[1]],
        [&["lint"][..], &ARTICLE].concat(),
    ];
    for words in all {
        let (text, _) = asked(&[&["--format", "json"][..], &words].concat());
        let value: serde_json::Value = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"));
        let wrong: Vec<String> =
            schema.iter_errors(&value).map(|error| format!("{error} at {}", error.instance_path())).collect();
        assert!(wrong.is_empty(), "{words:?}: {wrong:?}");
        let (sarif, _) = asked(&[&["--format", "sarif"][..], &words].concat());
        let sarif: serde_json::Value = serde_json::from_str(&sarif).unwrap_or_else(|error| panic!("{error}: {sarif}"));
        let count: u64 =
            value["counts"].as_object().into_iter().flat_map(|all| all.values()).filter_map(|n| n.as_u64()).sum();
        let results = sarif["runs"][0]["results"].as_array().map_or(0, Vec::len);
        assert_eq!(results as u64, count, "{words:?}");
    }
}

#[test]
fn what_the_original_refuses_is_never_all_clear() {
    let mut count = 0;
    for dialect in ["nginx", "keepalived"] {
        let folder = root().join("fixtures").join(dialect).join("bad");
        for entry in std::fs::read_dir(folder).expect("the folder") {
            let path = entry.expect("an entry").path();
            let told = std::fs::read_to_string(path.with_extension("json")).unwrap_or_default();
            let json: serde_json::Value = serde_json::from_str(&told).unwrap_or_default();
            // What only this machine lacks, and what keepalived starts with all the same, is not refused.
            let refused = dialect == "nginx"
                && json["verdict"] == "failed"
                && !told.contains("\"open() \\\"/no/such")
                && !told.contains("not-served");
            if path.extension().is_none_or(|extension| extension != "conf") || !refused {
                continue;
            }
            count += 1;
            for command in ["survey", "lint"] {
                let (text, code) = answer(&["rmigrate", command, &path.to_string_lossy()]);
                assert_eq!(code, 1, "{command} {}: {text}", path.display());
            }
        }
    }
    assert!(count > 60, "{count} files");
}

#[test]
fn a_page_shows_the_lines_of_a_finding_without_their_secrets() {
    let (page, _) = asked(&[&["--format", "html", "lint"][..], &ARTICLE].concat());
    assert!(page.contains("auth_pass (secret 1)") && page.contains("virtual_router_id 51"), "{page}");
    assert!(!page.contains("auth_pass 123456"), "{page}");
}

#[test]
fn a_part_of_a_configuration_is_explained_in_its_place() {
    let folder = compat_tests::Scratch::new("part").expect("a folder");
    let path = folder.path().join("site.conf");
    let text = "server { listen 8081; server_name a;\n  location /x { proxy_pass http://127.0.0.1:99; } }\n";
    std::fs::write(&path, text).expect("the file can be written");
    let path = path.to_string_lossy();
    for context in [&[][..], &["--context", "http"][..]] {
        let (text, code) = answer(&[&["rmigrate", "explain", "http://a:8081/x", "-c", &*path][..], context].concat());
        let place = format!("location /x ({path}:2)");
        assert!(code == 0 && text.contains(&place) && text.contains("127.0.0.1:99"), "{text}");
    }
    let (text, code) = answer(&["rmigrate", "explain", "http://a:8081/x", "-c", &*path, "--context", "stream"]);
    assert!(code == 2 && text.contains("site.conf") && !text.contains("around"), "{text}");
}

#[test]
fn what_differs_can_fail_a_build_and_usage_ends_with_2() {
    assert_eq!(asked(&["survey", ARTICLE[0]]).1, 0);
    let stock = "/nginx/stock/nginx.org/etc/nginx/nginx.conf";
    assert_eq!(asked(&["survey", stock]).1, 0);
    assert_eq!(asked(&["survey", "--fail-on", "differs", stock]).1, 1);
    assert_eq!(asked(&["survey", "/none.conf"]).1, 2);
    assert_eq!(asked(&["survey"]).1, 2);
    assert_eq!(asked(&["diff", ARTICLE[0], ARTICLE[1]]).1, 2);
    assert_eq!(asked(&["explain", "http://h:1/", "-c", ARTICLE[0]]).1, 2);
    assert_eq!(asked(&["explain", "nonsense", "-c", ARTICLE[0]]).1, 2);
    // A listener without ssl does not speak TLS.
    let (text, code) = asked(&["explain", "https://shop.example:80/", "-c", "/migrate/rewrites.conf"]);
    assert!(code == 2 && text.contains("does not speak TLS"), "{text}");
}

#[test]
fn moved_is_not_changed_and_equal_values_are_equal() {
    let (text, _) = asked(&["diff", OLD, NEW]);
    for same in
        ["client_max_body_size", "keepalive_timeout", "worker_connections", "listen", "max_fails", "proxy_read_timeout"]
    {
        assert!(!text.contains(same), "{same} is told:\n{text}");
    }
    for told in ["worker_processes", "order of expressions", "order of peers", "location = /old", "location = /health"]
    {
        assert!(text.contains(told), "{told} is not told:\n{text}");
    }
}

/// What `diff` says of two virtual routers that differ in these lines.
fn routers(old: &str, new: &str) -> (String, u8) {
    let folder = compat_tests::Scratch::new("diff").expect("a folder");
    let files = [("old", old), ("new", new)].map(|(name, lines)| {
        let path = folder.path().join(name);
        let text = format!("vrrp_instance V {{\n interface eth0\n virtual_router_id 5\n{lines}}}\n");
        std::fs::write(&path, text).expect("the file can be written");
        path.to_string_lossy().into_owned()
    });
    answer(&["rmigrate", "diff", &files[0], &files[1]])
}

#[test]
fn a_value_that_is_served_does_not_differ_because_another_one_is_not() {
    let survey = |inside: &str| {
        let folder = compat_tests::Scratch::new("survey").expect("a folder");
        let path = folder.path().join("keepalived.conf");
        let text = format!(
            "vrrp_instance V {{\n interface eth0\n virtual_router_id 5\n virtual_ipaddress {{\n 10.0.0.1\n }}\n{inside}}}\n"
        );
        std::fs::write(&path, text).expect("the file can be written");
        answer(&["rmigrate", "survey", &path.to_string_lossy()])
    };
    let (text, code) = survey(" authentication {\n auth_type PASS\n auth_pass 1234\n }\n");
    assert!(code == 0 && text.contains(" 0 served with a difference"), "{text}");
    let (text, code) = survey(" virtual_routes {\n 192.0.2.0/24 via 10.0.0.2 dev eth0\n }\n");
    assert!(code == 0 && text.contains(" 0 served with a difference"), "{text}");
    let (text, code) = survey(" virtual_routes {\n 192.0.2.0/24 via 10.0.0.2 dev eth0 encap mpls 100\n }\n");
    assert!(code == 0 && text.contains(" 0 served with a difference"), "{text}");
    let (text, code) = survey(" use_ipvlan\n");
    assert!(code == 1 && text.contains("use_ipvlan"), "{text}");
}

#[test]
fn parameters_of_what_nobody_asks_for_have_no_effect() {
    let survey = |words: &str| {
        let folder = compat_tests::Scratch::new("survey").expect("a folder");
        let path = folder.path().join("keepalived.conf");
        std::fs::write(&path, format!("global_defs {{\n{words}}}\n")).expect("the file can be written");
        answer(&["rmigrate", "survey", &path.to_string_lossy()])
    };
    for (parameters, asked) in [
        (" snmp_socket udp:192.0.2.1:705\n enable_traps\n", " enable_snmp_vrrp\n"),
        (" dbus_service_name a.b\n", " enable_dbus\n"),
    ] {
        let (text, code) = survey(parameters);
        assert!(code == 0 && text.contains("has no effect"), "{text}");
        let (text, code) = survey(&format!("{parameters}{asked}"));
        assert!(code == 1 && text.contains(asked.trim()), "{text}");
    }
}

#[test]
fn the_family_of_a_router_is_its_first_address_and_written_defaults_are_no_change() {
    let addresses = |list: &str| format!(" virtual_ipaddress {{\n{list} }}\n");
    let (both, other) = (addresses("10.0.0.1\nfe80::1\n"), addresses("fe80::1\n10.0.0.1\n"));
    let (text, code) = routers(&both, &other);
    assert!(code == 1 && text.contains("family of the first address") && text.contains("IPv6"), "{text}");
    let written = " state BACKUP\n advert_int 1\n preempt\n preempt_delay 0\n";
    assert_eq!(routers(&both, &format!("{written}{both}")).1, 0);
    assert_eq!(routers(&both, &format!(" state MASTER\n{both}")).1, 1);
    assert_eq!(routers(&both, &addresses("10.0.0.1\nfe80::2\n")).1, 1);
}

#[test]
fn secrets_are_compared_and_never_shown() {
    let secrets = ["hunter2", "hunter3", "c2VjcmV0OnNlY3JldA", "b3RoZXI6b3RoZXI"];
    for format in ["text", "json", "markdown", "html"] {
        let nginx = asked(&["diff", OLD, NEW, "--text", "--format", format]).0;
        let keepalived = asked(&[&["diff", "--text", "--format", format][..], &NODES].concat()).0;
        let survey = asked(&[&["survey", OLD, NEW, "--format", format][..], &NODES].concat()).0;
        for text in [&nginx, &keepalived, &survey] {
            assert!(!secrets.iter().any(|secret| text.contains(secret)), "{text}");
        }
        assert!(nginx.contains("Authorization") && keepalived.contains("auth"), "{format}: the difference is not told");
    }
}

/// Files below a folder of the fixtures that end in `.conf`.
fn corpus(folder: &str) -> Vec<String> {
    let path = root().join("fixtures").join(folder);
    let names = std::fs::read_dir(path).expect("a corpus").flatten().map(|entry| entry.file_name());
    let mut names: Vec<String> = names.map(|name| format!("/{folder}/{}", name.to_string_lossy())).collect();
    names.retain(|name| name.ends_with(".conf"));
    names.sort();
    names
}

#[test]
fn every_file_of_the_corpus_is_surveyed_and_equals_itself() {
    let mut wrong = Vec::new();
    for (kind, folder, least) in [("nginx", "nginx/corpus", 100), ("keepalived", "keepalived/corpus", 50)] {
        let files = corpus(folder);
        assert!(files.len() >= least, "only {} files in {folder}", files.len());
        for file in &files {
            let (survey, code) = asked(&["survey", "--kind", kind, file]);
            if code == 2 || !survey.contains("directives: ") {
                wrong.push(format!("{file}: {survey}"));
            }
            let (difference, code) = asked(&["diff", "--kind", kind, "--text", file, file]);
            if code != 0 {
                wrong.push(format!("{file}: differs from itself: {difference}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn files_of_the_corpus_are_told_apart_by_their_content() {
    let mut wrong = Vec::new();
    for (kind, folder) in [("nginx", "nginx/corpus"), ("keepalived", "keepalived/corpus")] {
        for file in corpus(folder) {
            let (text, code) = asked(&["survey", &file]);
            let right = code != 2 && text.contains(&format!("({kind})"));
            let empty = code == 2 && text.contains("nothing in it tells");
            if !right && !empty {
                wrong.push(format!("{file}: {}", text.lines().next().unwrap_or_default()));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// Bytes sent from an address of the host's own, and everything that came back.
fn from(source: Ipv4Addr, port: u16, bytes: &[u8]) -> std::io::Result<String> {
    let socket = socket(AddressFamily::Inet, SockType::Stream, SockFlag::SOCK_CLOEXEC, None)?;
    let [a, b, c, d] = source.octets();
    bind(socket.as_raw_fd(), &SockaddrIn::new(a, b, c, d, 0))?;
    connect(socket.as_raw_fd(), &SockaddrIn::new(127, 0, 0, 1, port))?;
    let mut stream = TcpStream::from(socket);
    stream.set_read_timeout(Some(LIMIT))?;
    stream.write_all(bytes)?;
    let mut answer = Vec::new();
    let end = stream.read_to_end(&mut answer);
    // A refused connection is closed, perhaps with what was sent unread.
    if answer.is_empty() {
        end.map(|_| String::new()).or(Ok(String::new()))
    } else {
        Ok(String::from_utf8_lossy(&answer).into_owned())
    }
}

/// What the last line of an explanation says of a request.
fn verdict(words: &[&str]) -> String {
    let (text, code) = asked(words);
    assert_eq!(code, 0, "{words:?}: {text}");
    text.lines().last().unwrap_or_default().to_owned()
}

#[test]
fn explanations_are_what_a_running_rnginx_does() {
    explanations_hold(Program::Ours);
}

#[test]
fn explanations_are_what_nginx_does() {
    explanations_hold(Program::Original);
}

/// What is asked of the servers of `explain.conf`.
const PATHS: [&str; 38] = [
    "/",
    "/x",
    "/a",
    "/a/b/c",
    "/a/x.in",
    "/a/b.in",
    "/fixed/x.png",
    "/y.png",
    "/z.GIF",
    "/moved/b/1",
    "/loop/1",
    "/closed",
    "/gone",
    "/address/1",
    "/key",
    "/key/a?k=1",
    "/key/b?k=2",
    "/ring?k=1",
    "/ring?k=2",
    "/ring?k=33",
    "/tier?k=5",
    "/%61/b",
    "/srv/b/x",
    "/srv/x.in",
    "/srvlast/x",
    "/rw/last/x",
    "/rw/again/x?k=1",
    "/rw/cycle/x",
    "/rw/away/x?k=1",
    "/rw/other%20x?k=1",
    "/if/x?k=5",
    "/if/x?k=2",
    "/if/x?k=33",
    "/if/word/3",
    "/if/word/4?k=1",
    "/guard/x",
    "/auth",
    "/authed",
];

fn explanations_hold(program: Program) {
    const CONF: &str = "/migrate/explain.conf";
    let testbed = TestBed::new(program).expect("a host");
    let text = std::fs::read_to_string(root().join("fixtures").join(&CONF[1..])).expect("a configuration");
    testbed.write(&text).expect("a configuration");
    testbed.command(&[]).expect("a start");
    testbed.wait_for_text(8080, "/", "default").expect("an answer");
    assert_eq!(local(8080).port(), 8080);
    let sources = ["127.0.0.1", "127.0.5.9", "127.0.77.3", "127.1.2.3", "127.9.8.7", "127.200.31.4"];
    let hosts = ["exact.example", "a.wild.example", "re12.example", "rex.example", "other.example"];
    let (mut wrong, mut count, mut peers) = (Vec::new(), 0, std::collections::BTreeSet::new());
    for source in sources {
        for host in hosts {
            for path in PATHS {
                let tier = if source.ends_with('3') { "gold" } else { "tin" };
                let request =
                    format!("GET {path} HTTP/1.1\r\nHost: {host}:8080\r\nX-Tier: {tier}\r\nConnection: close\r\n\r\n");
                let address: Ipv4Addr = source.parse().expect("an address");
                let real = testbed.host().run(move || from(address, 8080, request.as_bytes())).expect("a host");
                let real = real.expect("an answer");
                let (head, body) = real.split_once("\r\n\r\n").unwrap_or((&real, ""));
                let status = head.split(' ').nth(1).unwrap_or_default().to_owned();
                let url = format!("http://{host}:8080{path}");
                let header = format!("X-Tier: {tier}");
                let told = verdict(&[
                    "explain",
                    &url,
                    "-c",
                    CONF,
                    "--from",
                    source,
                    "--header",
                    &header,
                    "--header",
                    "Connection: close",
                ]);
                count += 1;
                let right = match body.strip_prefix("backend ") {
                    Some(port) => {
                        peers.insert(port.trim().to_owned());
                        told.ends_with(&format!(": 127.0.0.1:{}", port.trim()))
                    }
                    // A dollar would be a variable in an answer.
                    None if status == "200" && body != "default" => {
                        told.replace('$', "") == format!("location {body} answers with 200")
                    }
                    None if body == "default" => told == "location / answers with 200",
                    None => told.ends_with(&format!("answers with {status}")),
                };
                if !right {
                    wrong.push(format!("{url} from {source}: {status} {body:?}, explained as: {told}"));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{} of {count}:\n{}", wrong.len(), wrong.join("\n"));
    assert_eq!(peers.len(), 4, "not every backend was asked: {peers:?}");
    streams(&testbed, CONF);
}

fn streams(testbed: &TestBed, conf: &str) {
    let mut peers = std::collections::BTreeSet::new();
    for third in 0..24 {
        let source = Ipv4Addr::new(127, 0, third, 7);
        let real = testbed.host().run(move || from(source, 8081, b"hello.\n")).expect("a host").expect("an answer");
        let told = verdict(&["explain", "tcp://127.0.0.1:8081", "-c", conf, "--from", &source.to_string()]);
        match real.split_once(" got ") {
            Some((port, _)) => {
                assert!(told.ends_with(&format!(": 127.0.0.1:{port}")), "{source}: {port}, explained as: {told}");
                peers.insert(port.to_owned());
            }
            None => assert_eq!((real.as_str(), told.as_str()), ("", "the connection is refused with 403"), "{source}"),
        }
    }
    assert_eq!(peers.len(), 3, "not every server was asked: {peers:?}");
    datagrams(conf);
}

/// Datagrams meet the servers that connections of the same client meet, and those that listen for datagrams alone.
fn datagrams(conf: &str) {
    for third in 0..8 {
        let source = Ipv4Addr::new(127, 0, third, 7).to_string();
        let told = |url: &str| verdict(&["explain", url, "-c", conf, "--from", &source]);
        let connection = told("tcp://127.0.0.1:8081").replace("the connection is", "the session is");
        assert_eq!(told("udp://127.0.0.1:8082"), connection, "{source}");
        assert_eq!(told("udp://127.0.0.1:8083"), format!("it is answered with \"UDP from {source}\""));
    }
    for url in ["tcp://127.0.0.1:8082", "udp://127.0.0.1:8081"] {
        let (said, code) = asked(&["explain", url, "-c", conf]);
        assert!(code == 2 && said.contains("nobody listens on 127.0.0.1:808"), "{url}: {said}");
    }
}

#[test]
fn an_explanation_asks_nobody() {
    let testbed = TestBed::new(Program::Ours).expect("a host");
    let words = ["explain", "http://exact.example:8080/address", "-c", "/migrate/explain.conf"];
    let (text, code) = testbed.host().run(move || asked(&words)).expect("a host");
    assert_eq!(code, 0, "{text}");
    assert!(text.contains("X-From: 127.0.0.1") && text.contains("X-Answer"), "{text}");
    std::thread::sleep(Duration::from_millis(50));
    assert!(testbed.bench().record().take().is_empty(), "a backend was asked");
}
