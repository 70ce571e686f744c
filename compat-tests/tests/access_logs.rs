//! Access logs whose paths have variables, and those that are compressed, beside the installed nginx.

use std::io::{self, Write};
use std::process::{Command, Stdio};

use compat_tests::compare::{alike, both};
use compat_tests::peer::PREFIX;
use compat_tests::program::Program;
use compat_tests::testbed::{LIMIT, TestBed, local};
use compat_tests::{client, mount, wait_for};

use crate::filters::texts;

const CONF: &str = r#"worker_processes 1;
events { }
http {
    server_tokens off;
    log_format short "$request_uri $status";
    access_log off;
    root html;
    server {
        listen 127.0.0.1:8080;
        access_log html/logs/$arg_name.log short if=$arg_name;
        location /rootless/ { root $arg_root; return 200 x; }
        location /packed/ { access_log logs/packed.gz short gzip=9 flush=1h; }
        location /many/ {
            OTHERS
            access_log html/logs/now.log short;
        }
    }
}
"#;

const TARGETS: &[&str] = &[
    "/a?name=one",
    "/b?name=two",
    "/c?name=one",
    "/d",
    "/e?name=no/folder",
    "/rootless/f?name=root&root=/none",
    "/rootless/g?name=root&root=/etc/passwd",
    "/rootless/h?name=root&root=/etc",
    "/packed/i",
    "/packed/j",
];

fn seen(program: Program) -> io::Result<(Vec<String>, Vec<u8>, Vec<String>)> {
    let testbed = TestBed::new(program)?;
    testbed.write(&CONF.replace("OTHERS", ""))?;
    testbed.host().run(|| {
        let folder = format!("{PREFIX}/html/logs");
        std::fs::create_dir_all(&folder)?;
        std::fs::set_permissions(folder, std::os::unix::fs::PermissionsExt::from_mode(0o777))?;
        mount::file(&format!("{PREFIX}/html/index.html"), b"x", 0o644)
    })??;
    testbed.command(&[])?;
    testbed
        .host()
        .run(|| TARGETS.iter().try_for_each(|target| client::get(local(8080), target, &[], LIMIT).map(|_| ())))??;
    let files = ["one", "two", "root"].map(|name| testbed.file(&format!("html/logs/{name}.log")).unwrap_or_default());
    let master = testbed.master()?;
    testbed.command(&["-s", "quit"])?;
    testbed.wait_for_end(master)?;
    let packed = testbed.host().run(|| std::fs::read(format!("{PREFIX}/logs/packed.gz")))??;
    Ok((files.to_vec(), packed, texts(&testbed.file("logs/error.log")?)))
}

/// What gzip makes of its own format.
fn unpacked(bytes: &[u8]) -> io::Result<Vec<u8>> {
    let mut gzip = Command::new("gzip").arg("-dc").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
    gzip.stdin.take().ok_or(io::ErrorKind::BrokenPipe)?.write_all(bytes)?;
    Ok(gzip.wait_with_output()?.stdout)
}

#[test]
fn logs_with_variables_and_compressed_logs_are_nginxs() {
    let [original, ours] = [Program::Original, Program::Ours].map(|program| seen(program).expect("logs"));
    assert_eq!(original.0, ours.0);
    assert_eq!(
        ours.0,
        ["/a?name=one 404\n/c?name=one 404\n", "/b?name=two 404\n", "/rootless/h?name=root&root=/etc 200\n"]
    );
    assert_eq!(unpacked(&ours.1).expect("gzip"), b"/packed/i 404\n/packed/j 404\n");
    assert!(original.1 == ours.1, "other bytes");
    assert_eq!(original.2, ours.2);
}

#[test]
fn a_client_that_sees_its_connection_end_finds_its_line() {
    for program in [Program::Original, Program::Ours] {
        let testbed = TestBed::new(program).expect("a host");
        // All before it are written first.
        let others: String = (0..100).map(|number| format!("access_log html/logs/{number}.log short; ")).collect();
        testbed.write(&CONF.replace("OTHERS", &others)).expect("a configuration");
        let folder = || std::fs::create_dir_all(format!("{PREFIX}/html/logs"));
        testbed.host().run(folder).expect("a host").expect("a folder");
        testbed.command(&[]).expect("a start");
        let asked = || -> io::Result<Vec<usize>> {
            let text = b"GET /many/ HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
            let count = |_| {
                client::raw(local(8080), text, LIMIT)?;
                std::fs::read_to_string(format!("{PREFIX}/html/logs/now.log")).map(|text| text.lines().count())
            };
            (0..200).map(count).collect()
        };
        let counts = testbed.host().run(asked).expect("a host").expect("answers");
        assert_eq!(counts, (1..=200).collect::<Vec<_>>(), "{program:?}");
    }
}

/// Logs that stay open: `lru` is the one that is closed, `once` was not used often enough.
const KEPT: &str = r#"worker_processes 1;
events { }
http {
    log_format short "$request_uri $status";
    open_log_file_cache max=3 inactive=20s valid=1s min_uses=2;
    server {
        listen 127.0.0.1:8080;
        root html;
        access_log html/logs/$arg_name.log short;
        location /each/ { open_log_file_cache off; access_log html/logs/each_$arg_name.log short; }
    }
}
"#;

fn kept(program: Program) -> io::Result<(Vec<String>, Vec<String>)> {
    let testbed = TestBed::new(program)?;
    testbed.write(KEPT)?;
    let (folder, moved) = (format!("{PREFIX}/html/logs"), format!("{PREFIX}/html/moved"));
    let ask = |names: &'static [&'static str]| {
        testbed
            .host()
            .run(move || names.iter().try_for_each(|name| client::get(local(8080), name, &[], LIMIT).map(|_| ())))
    };
    testbed.host().run({
        let folder = folder.clone();
        move || {
            std::fs::create_dir_all(&folder)?;
            std::fs::set_permissions(folder, std::os::unix::fs::PermissionsExt::from_mode(0o777))
        }
    })??;
    testbed.command(&[])?;
    ask(&[
        "/?name=lru",
        "/?name=lru",
        "/?name=once",
        "/?name=first",
        "/?name=first",
        "/?name=second",
        "/?name=second",
    ])??;
    ask(&["/each/?name=a", "/each/?name=a"])??;
    wait_for("the lines", LIMIT, || {
        let log = testbed.file("html/logs/each_a.log").ok()?;
        (log.lines().count() == 2).then_some(())
    })?;
    let rename = |from: &String, to: &String| {
        let (from, to) = (from.clone(), to.clone());
        testbed.host().run(move || std::fs::rename(from, to))
    };
    rename(&folder, &moved)??;
    ask(&["/?name=lru", "/?name=once", "/?name=first", "/?name=second", "/each/?name=a"])??;
    // Once a name is no longer valid, it is found missing, and forgotten.
    std::thread::sleep(std::time::Duration::from_secs(2));
    ask(&["/?name=first", "/?name=first"])??;
    rename(&moved, &folder)??;
    ask(&["/?name=first", "/?name=second"])??;
    let names = ["lru", "once", "first", "second", "each_a"];
    let files = names.map(|name| testbed.file(&format!("html/logs/{name}.log")).unwrap_or_default());
    Ok((files.to_vec(), texts(&testbed.file("logs/error.log")?)))
}

#[test]
fn logs_with_variables_stay_open_as_in_nginx() {
    let [original, ours] = [Program::Original, Program::Ours].map(|program| kept(program).expect("logs"));
    assert_eq!(original.0, ours.0);
    assert_eq!(original.1, ours.1);
    let lines: Vec<usize> = ours.0.iter().map(|text| text.lines().count()).collect();
    assert_eq!(lines, [2, 1, 4, 4, 2], "{:?}", ours.0);
}

const FACTS: &str = r#"worker_processes 1;
events { }
http {
    access_log off;
    log_format facts "$tcpinfo_rtt|$tcpinfo_rttvar|$tcpinfo_snd_cwnd|$tcpinfo_rcv_space";
    log_format bodies "$request_method|$proxy_internal_body_length|$proxy_internal_chunked";
    server {
        listen 127.0.0.1:8080;
        listen unix:PREFIX/logs/facts.sock;
        location / { access_log logs/facts.log facts; return 200 ok; }
        location /passed { access_log logs/bodies.log bodies; proxy_pass http://127.0.0.1:8080/; }
        location /passed/new { access_log logs/bodies.log bodies; proxy_http_version 1.1; proxy_pass http://127.0.0.1:8080/; }
    }
}
"#;

#[test]
fn what_the_kernel_knows_of_a_connection_is_logged() {
    let [original, ours] = both(|program| {
        let testbed = TestBed::new(program)?;
        testbed.write(&FACTS.replace("PREFIX", PREFIX))?;
        testbed.command(&[])?;
        testbed.wait_for_listener()?;
        testbed.get(8080, "/")?;
        testbed.host().run(|| -> io::Result<()> {
            let mut socket = std::os::unix::net::UnixStream::connect(format!("{PREFIX}/logs/facts.sock"))?;
            socket.write_all(b"GET / HTTP/1.0\r\n\r\n")?;
            io::copy(&mut socket, &mut io::sink()).map(drop)
        })??;
        for target in ["/passed", "/passed/new"] {
            for rest in ["GET / HTTP/1.1", "Content-Length: 5", "Transfer-Encoding: chunked"] {
                let body = if rest.starts_with('T') { "5\r\nhello\r\n0\r\n\r\n" } else { "hello" };
                let head = if rest.starts_with('G') { "" } else { rest };
                let method = if head.is_empty() { "GET" } else { "POST" };
                let (line, body) = if head.is_empty() { (String::new(), "") } else { (format!("{head}\r\n"), body) };
                let text = format!("{method} {target} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{line}\r\n{body}");
                testbed.host().run(move || client::raw(local(8080), text.as_bytes(), LIMIT))??;
            }
        }
        let read = |file: &str, count: usize| {
            wait_for("the lines", LIMIT, || testbed.file(file).ok().filter(|log| log.lines().count() >= count))
        };
        let shape = |value: &str| match value.parse::<u64>() {
            Ok(0) => "zero",
            Ok(_) => "a number",
            Err(_) => "none",
        };
        let facts = read("logs/facts.log", 2)?;
        let mut lines: Vec<String> =
            facts.lines().take(2).map(|line| line.split('|').map(shape).collect::<Vec<_>>().join("|")).collect();
        lines.extend(read("logs/bodies.log", 6)?.lines().map(str::to_owned));
        Ok(lines)
    });
    alike("lines", &original, &ours);
    assert_eq!(ours[0], "a number|a number|a number|a number");
    assert_eq!(ours[1], "none|none|none|none");
}
