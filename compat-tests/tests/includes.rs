//! Server side includes beside the installed nginx: the bytes of pages over HTTP/1.0, 1.1 and 2, and the lines of the logs.

use std::io;
use std::time::{Duration, SystemTime};

use compat_tests::http2::{Request, exchange};
use compat_tests::peer::PREFIX;
use compat_tests::program::Program;
use compat_tests::testbed::{LIMIT, TestBed, local};
use compat_tests::{client, mount, wait_for};

use nix::unistd::Pid;

use crate::filters::{packed, texts};

const CONF: &str = r#"worker_processes 1;
events { }
http {
    server_tokens off;
    log_format all "$request_method $request_uri|$status|$sent_http_content_length|$date_gmt";
    access_log logs/access.log all;
    types { text/html html; text/plain txt; }
    root html;
    map $arg_m $mapped { default "map:$arg_m"; }
    server {
        listen 127.0.0.1:8080;
        listen 127.0.0.1:8082 http2;
        set $own "own & <value>";
        location / { ssi on; }
        location /plain/ { alias html/; }
        location /text/ { ssi on; ssi_types text/plain; alias html/; }
        location /quiet/ { ssi on; ssi_silent_errors on; ssi_value_length 20; alias html/; }
        location /dated/ { ssi on; ssi_last_modified on; alias html/; }
        location /packed/ { ssi on; gzip on; gzip_min_length 1; alias html/; }
        location /proxied/ { ssi on; proxy_pass http://127.0.0.1:8081/; }
        location /piped/ { ssi on; proxy_buffering off; proxy_pass http://127.0.0.1:8081/; }
        location /sub/ { ssi on; sub_filter "<!--#echo var='own' -->" "[was echo]"; alias html/; }
        location /unzipped/ { ssi on; gunzip on; gzip_static always; alias html/; }
        location /around/ { ssi on; add_before_body /plain/part.html; add_after_body /vars.html; alias html/; }
        location /small/ { ssi on; subrequest_output_buffer_size 10; alias html/; }
        location /gone/ { return 404; }
        location /empty/ { return 200; }
        location /down/ { proxy_pass http://127.0.0.1:8089; }
        location /logged/ { log_subrequest on; ssi on; alias html/; }
        location /seen { return 200 "[$uri?$args $request_uri $is_args $request_method]"; }
        location /bomb/ { gunzip on; gzip_static always; alias html/; }
    }
    server {
        listen 127.0.0.1:8081;
        access_log off;
        location / { root html; }
    }
}
"#;

const PAGES: &[(&str, &str)] = &[
    ("part.html", "[part <!--#echo var='own' -->]"),
    ("a.txt", "text <!--#echo var='uri' -->\n"),
    (
        "vars.html",
        r#"<!--#echo var="own" -->|<!--#echo var="OWN" encoding="none" -->|<!--#echo var="own" encoding="url" -->|<!--#echo var="arg_q" -->|<!--#echo var="arg_none" -->|<!--#echo var="nothing" default="&<" -->|<!--#echo var="nothing" default="" -->|<!--#echo var="mapped" -->|<!--#echo var="http_host" -->|<!--#echo var="own" encoding="bad" -->|<!--#echo var="uri" encoding="entity"-->"#,
    ),
    (
        "set.html",
        r#"<!--#set var="a" value="1$arg_q \"x\" \$y ${own}\z" --><!--#echo var="A" encoding="none" -->|<!--#set var="b" value="<$a>" --><!--#echo var="b" -->|<!--#set var="own" value="mine" --><!--#echo var="own" -->|<!--#set var="c" value="${a" -->|<!--#set var="c" value="$" -->|<!--#set var="c" value="${}" -->|<!--#set var="c" value="a$-" -->"#,
    ),
    (
        "if.html",
        r#"<!--#if expr="$arg_q" -->yes<!--#else -->no<!--#endif --> <!--#if expr="$arg_q = long" -->a<!--#elif expr="$arg_q = text" -->b<!--#else -->c<!--#endif --> <!--#if expr="$arg_q!=text" -->d<!--#else -->e<!--#endif --> <!--#if expr="$arg_q = /^(T)?t(?<Rest>e)(x)(y)?/" -->f<!--#echo var="0" -->,<!--#echo var="1" -->,<!--#echo var="3" -->,<!--#echo var="4" -->,<!--#echo var="rest" --><!--#endif --> <!--#if expr="$arg_q != /(/" -->g<!--#endif --> <!--#if expr="$arg_q = /x" -->h<!--#endif -->i<!--#endif --> <!--#if expr="$arg_q = \/x" -->j<!--#else -->k<!--#endif --> <!--#if expr="a b" -->l<!--#endif --> <!--#if expr="ABC = abc" -->m<!--#endif -->"#,
    ),
    (
        "wrong.html",
        r#"<!--#if expr="1" --><!--#if expr="1" -->a<!--#endif --><!--#endif --> <!--#else --> <!--#elif expr="" --> <!--#nothing --> <!--#echo --> <!--#echo var="a" var="b" --> <!--#echo no="x" --> <!--#echo var= --> <!--#echo var="x"x --> <!--#echo var-x --> <!--#echo var x --> <!--#echo - --> <!--#aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa --> <!--#echo aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa="" --> <!--#echo var="aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa" --> <!--#if expr="" --> <!--#nothing --> <!--#echo var= --> <!--#else -->e<!--#else -->f<!--#endif --> <!-- no --> <!--# --> <!- - <!--"#,
    ),
    (
        "config.html",
        r#"<!--#config errmsg="[oops]" --><!--#bad --><!--#config timefmt="%s" -->|<!--#config timefmt="year %Y" --><!--#echo var="date_gmt" -->|<!--#echo var="date_local" -->|<!--#config -->"#,
    ),
    (
        "includes.html",
        r#"a<!--#include virtual="part.html" -->b<!--#include virtual="/vars.html?q=own&m=2" -->c<!--#include virtual="/seen/x%20y?a=b" -->d<!--#include file="part.html" -->e<!--#include virtual="/none.html" -->f<!--#include virtual="../secret" -->g<!--#include -->h<!--#include virtual="/a" file="b" -->i<!--#include virtual="/proxied/part.html" -->j<!--#include virtual="$uri/../x" -->k<!--#include virtual="" -->l<!--#include virtual="/plain/empty.html" -->m"#,
    ),
    (
        "waits.html",
        r#"<!--#include virtual="/proxied/setter.html" --><!--#echo var="late" default="no" -->|<!--#include virtual="/proxied/setter.html" wait="yes" --><!--#echo var="late" default="no" -->|<!--#include virtual="/piped/part.html" set="kept" --><!--#echo var="kept" encoding="none" -->|<!--#include virtual="/gone/" set="lost" --><!--#echo var="lost" -->.|<!--#include virtual="/a" wait="maybe" -->|<!--#include file="part.html" wait="no" -->|<!--#include virtual="part.html" wait="NO" -->end"#,
    ),
    ("setter.html", r#"<!--#set var="late" value="$uri" -->set"#),
    (
        "stubs.html",
        r#"<!--#block name="one" -->stub <!--#echo var="own" --> one<!--#include virtual="/none" stub="x"--><!--#endblock -->[<!--#include virtual="/gone/" stub="one" -->][<!--#include virtual="/empty/" stub="one" -->][<!--#include virtual="/plain/empty.html" stub="one" -->][<!--#include virtual="/down/" stub="one" -->][<!--#include virtual="/part.html" stub="one" -->][<!--#include virtual="/part.html" stub="two" -->][<!--#include virtual="/a" stub="one" set="x" -->][<!--#block name="e" --><!--#endblock --><!--#include virtual="/gone/" stub="e" -->]"#,
    ),
    ("cycle.html", r#"<!--#include virtual="/cycle.html" -->."#),
    ("last.html", "end<"),
    (
        "nested.html",
        r#"1<!--#include virtual="/includes.html" -->2<!--#include virtual="/packed/set.html?q=q" -->3<!--#include virtual="/text/a.txt" -->4"#,
    ),
    ("empty.html", ""),
    ("secret.html", "x"),
];

const TARGETS: &[&str] = &[
    "/vars.html?q=text&m=m%20m",
    "/set.html?q=q",
    "/if.html?q=text",
    "/if.html?q=long",
    "/if.html",
    "/wrong.html",
    "/quiet/wrong.html",
    "/config.html",
    "/includes.html",
    "/waits.html",
    "/stubs.html",
    "/cycle.html",
    "/nested.html",
    "/plain/vars.html",
    "/text/a.txt",
    "/text/vars.html",
    "/dated/vars.html",
    "/packed/includes.html",
    "/proxied/includes.html",
    "/piped/waits.html",
    "/proxied/long.html",
    "/piped/long.html",
    "/sub/part.html",
    "/unzipped/zipped.html",
    "/around/part.html",
    "/logged/nested.html",
    "/small/vars.html",
    "/empty.html",
    "/a.txt",
    "/none.html",
];

fn long() -> String {
    let line = |number: u32| {
        let command = if number.is_multiple_of(40) { r#"<!--#include virtual="/part.html" -->"# } else { "<!-- -->" };
        format!("<p>{number} {command} <b>{}</p>\n", number.wrapping_mul(2_654_435_761))
    };
    (0..6000).map(line).collect()
}

fn started(program: Program) -> io::Result<TestBed> {
    let testbed = TestBed::new(program)?;
    testbed.write(CONF)?;
    let mut files: Vec<(&str, Vec<u8>)> = PAGES.iter().map(|(name, text)| (*name, text.as_bytes().to_vec())).collect();
    files.push(("long.html", long().into_bytes()));
    files.push(("zipped.html.gz", packed(long().as_bytes())?));
    files.push(("bomb.html.gz", packed(&vec![b' '; 55 << 20])?));
    testbed.host().run(move || {
        for (name, bytes) in files {
            let path = format!("{PREFIX}/html/{name}");
            mount::file(&path, &bytes, 0o644)?;
            let file = std::fs::File::options().write(true).open(path)?;
            file.set_modified(SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000_000))?;
        }
        io::Result::Ok(())
    })??;
    testbed.command(&[])?;
    Ok(testbed)
}

/// What a client saw of each page: over HTTP/1.0 and 1.1, GET and HEAD, and over HTTP/2.
type Seen = Vec<(String, Vec<u8>)>;

fn seen(testbed: &TestBed) -> io::Result<Seen> {
    testbed.host().run(|| {
        let mut seen = Vec::new();
        for target in TARGETS {
            for (method, version) in [("GET", "1.0"), ("GET", "1.1"), ("HEAD", "1.1")] {
                let head = format!(
                    "{method} {target} HTTP/{version}\r\nHost: localhost\r\nConnection: close\r\nAccept-Encoding: gzip\r\n\r\n"
                );
                let mut answer = client::raw(local(8080), head.as_bytes(), LIMIT)?;
                let end = answer.windows(4).position(|four| four == b"\r\n\r\n").map_or(answer.len(), |at| at + 2);
                let text = String::from_utf8_lossy(&answer[..end]).into_owned();
                let kept = text.lines().filter(|line| !line.starts_with("Date: ")).collect::<Vec<_>>().join("\r\n");
                // Where chunks end depends on how fast bytes come.
                let body = if version == "1.1" && method == "GET" {
                    client::get(local(8080), target, &[("Accept-Encoding", "gzip")], LIMIT).unwrap_or_default().body
                } else {
                    answer.split_off(end)
                };
                seen.push((head, [kept.into_bytes(), body].concat()));
            }
            let request = Request::get(target).header("accept-encoding", "gzip");
            let answer = exchange(local(8082), &[request], LIMIT)?.pop().unwrap_or_default();
            let kept = answer.headers.into_iter().filter(|(name, _)| name != "date");
            let head = format!("{} {:?}\n", answer.status, kept.collect::<Vec<_>>());
            seen.push((format!("{target} over HTTP/2"), [head.into_bytes(), answer.body].concat()));
        }
        Ok(seen)
    })?
}

#[test]
fn pages_with_commands_are_nginxs_pages() {
    let [original, ours] = [Program::Original, Program::Ours].map(|program| {
        let testbed = started(program).expect("a host");
        let seen = seen(&testbed).expect("answers");
        let log = texts(&testbed.file("logs/error.log").expect("a log"));
        // Lines are written after their responses: the last one tells that all are there.
        testbed.get(8080, "/seen?last").expect("an answer");
        let lines = wait_for("the last line", LIMIT, || {
            let log = testbed.file("logs/access.log").ok()?;
            log.contains("/seen?last").then_some(log)
        })
        .expect("a log");
        let lines: Vec<String> =
            lines.lines().map(|line| line.rsplit_once('|').map_or("", |(line, _)| line).to_owned()).collect();
        (seen, log, lines)
    });
    for ((what, original), (_, ours)) in original.0.iter().zip(&ours.0) {
        let shown = |bytes: &[u8]| String::from_utf8_lossy(bytes.get(..4000).unwrap_or(bytes)).into_owned();
        assert!(
            original == ours,
            "{what}: {} bytes\n{}\nours: {} bytes\n{}",
            original.len(),
            shown(original),
            ours.len(),
            shown(ours)
        );
    }
    // Where nginx has begun to send it adds so, which depends on what the socket took by then.
    let plain = |texts: &[String]| -> Vec<String> {
        let cut = |text: &String| text.split(" while sending ").next().unwrap_or_default().to_owned();
        let mut texts: Vec<String> = texts.iter().map(cut).collect();
        texts.sort();
        texts
    };
    assert_eq!(plain(&original.1), plain(&ours.1));
    for (original, ours) in original.2.iter().zip(&ours.2) {
        assert_eq!(original, ours);
    }
    assert_eq!(original.2.len(), ours.2.len());
}

/// The end of a page that looks like the begin of a command is text.
#[test]
fn the_end_of_a_page_is_sent() {
    let testbed = started(Program::Ours).expect("a host");
    assert_eq!(testbed.get(8080, "/last.html").expect("an answer").text(), "end<");
}

/// The most memory any of these processes has had.
fn peak(pids: &[Pid]) -> u64 {
    let of = |pid: &Pid| {
        let text = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("a process");
        let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("a line");
        line.split_whitespace().next().and_then(|word| word.parse::<u64>().ok()).expect("a number") * 1024
    };
    pids.iter().map(of).max().expect("a process")
}

/// A response that grows a thousandfold when it is decompressed is never in memory as a whole, nor is a large part of it.
#[test]
fn decompression_takes_no_more_memory_than_a_piece() {
    let testbed = started(Program::Ours).expect("a host");
    let workers = testbed.workers(testbed.master().expect("a master")).expect("workers");
    let before = peak(&workers);
    let answer = testbed.get(8080, "/bomb/bomb.html").expect("an answer");
    assert_eq!(answer.body.len(), 55 << 20);
    let after = peak(&workers);
    assert!(after < before + (16 << 20), "{before} bytes before, {after} after");
}

/// A response for a variable that does not fit ends the page: nginx has not sent its head by then.
#[test]
fn a_response_that_does_not_fit_into_a_variable_ends_the_page() {
    let [theirs, ours] = [Program::Original, Program::Ours].map(|program| {
        let testbed = TestBed::new(program).expect("a host");
        let places = "location / { ssi on; root html; } \
                      location /long { subrequest_output_buffer_size 42; proxy_pass http://127.0.0.1:8081/; }";
        let text = "x".repeat(400);
        let servers = format!(
            "server {{ listen 127.0.0.1:8080; {places} }} server {{ listen 127.0.0.1:8081; return 200 {text}; }}"
        );
        let types = "types { text/html html; }";
        let conf = format!("error_log logs/error.log; events {{ }}\nhttp {{ access_log off; {types} {servers} }}\n");
        testbed.write(&conf).expect("a configuration");
        let page = b"<!--#include virtual=\"/long\" set=\"x\" --><!--#echo var=\"x\" -->";
        let written = testbed.host().run(|| mount::file(&format!("{PREFIX}/html/page.html"), page, 0o644));
        written.expect("a host").expect("a page");
        testbed.command(&[]).expect("a start");
        let request = b"GET /page.html HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
        let answer = testbed.host().run(move || client::raw(local(8080), request, LIMIT));
        let answer = String::from_utf8_lossy(&answer.expect("a host").expect("an answer")).into_owned();
        (answer, testbed.file("logs/error.log").expect("a log").contains("too big subrequest response: 400"))
    });
    assert_eq!(theirs, (String::new(), true));
    assert!(
        ours.1 && (ours.0.is_empty() || ours.0.starts_with("HTTP/1.1 200") && !ours.0.ends_with("0\r\n\r\n")),
        "{ours:?}"
    );
    assert!(!ours.0.contains("xx"), "{ours:?}");
}
