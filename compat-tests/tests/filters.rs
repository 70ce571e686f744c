//! What the body filters make of a response, beside the installed nginx: over HTTP/1.1 and over HTTP/2, with the lines of
//! the logs.

use std::io::{self, Write};
use std::process::{Command, Stdio};
use std::time::{Duration, SystemTime};

use compat_tests::compare::both;
use compat_tests::http2::{Request, exchange};
use compat_tests::peer::PREFIX;
use compat_tests::program::Program;
use compat_tests::testbed::{LIMIT, TestBed, local};
use compat_tests::{client, mount, wait_for};

const CONF: &str = r#"worker_processes 1;
events { }
http {
    server_tokens off;
    log_format all "$request_method $request_uri|$status|$gzip_ratio|$sent_http_content_encoding|$sent_http_content_length|$sent_trailer_x_sum|$sent_trailer_x_always";
    access_log logs/access.log all;
    types { text/html html; text/plain txt; }
    root html;
    charset_map koi8-r utf-8 { C1 D0B0; C2 D0B1; F0 D09F; D2 D180; C9 D0B8; D7 D0B2; }
    charset_map koi8-r windows-1251 { C1 E0; C2 E1; }
    server {
        listen 127.0.0.1:8080;
        listen 127.0.0.1:8082 http2;
        location /level1/ { gzip on; gzip_vary on; alias html/; }
        location /level6/ { gzip on; gzip_comp_level 6; gzip_min_length 1000; gzip_types *; alias html/; }
        location /level9/ { gzip on; gzip_comp_level 9; gzip_window 4k; gzip_hash 8k; gzip_vary on; gzip_disable Foo; gzip_proxied auth no_etag; alias html/; }
        location /postponed/ { gzip on; gzip_http_version 1.0; postpone_gzipping 100; proxy_pass http://127.0.0.1:8081/plain/; }
        location /static/ { gzip_static on; gzip_vary on; alias html/; }
        location /quiet/ { gzip_static on; alias html/; }
        location /gunzip/ { gunzip on; gzip_vary on; gzip_static always; alias html/; }
        location /unzipped/ { gunzip on; gzip on; proxy_pass http://127.0.0.1:8081/packed/; }
        location /sub/ { sub_filter text "[$uri]"; sub_filter "<B>" "<strong>"; alias html/; }
        location /subs/ { sub_filter "$arg_q" "($arg_r)"; sub_filter "line" "LINE"; sub_filter_once off; sub_filter_last_modified on; sub_filter_types *; alias html/; }
        location /all/ { gzip on; gunzip on; sub_filter "</p>" "<br></p>"; sub_filter_once off; add_before_body /sub/short.html; add_after_body /none; proxy_pass http://127.0.0.1:8081/packed/; }
        location /both/ { gzip on; gzip_vary on; sub_filter line X; add_before_body /unzipped/z.html; add_after_body /subs/short.html?q=short&r=long; proxy_pass http://127.0.0.1:8081/plain/; }
        location /added/ { add_before_body /level1/z.html; add_after_body /level1/empty.html; addition_types text/plain; alias html/; }
        location /failing/ { add_before_body /none; add_after_body /moved/; alias html/; }
        location /nested/ { add_before_body /added/short.html; add_after_body /failing/z.html; alias html/; }
        location /trailers/ { add_trailer X-Sum "$uri"; add_trailer X-None ""; gzip on; alias html/; }
        location /always/ { add_trailer X-Always $status always; proxy_pass http://127.0.0.1:8081/plain/; }
        location /once/ { add_trailer X-Once $status; add_after_body /z.html; alias html/; }
        location /named/ { charset koi8-r; alias html/; }
        location /koi/ { charset koi8-r; source_charset utf-8; charset_types text/plain; alias html/; }
        location /utf/ { charset UTF-8; source_charset koi8-r; gzip on; alias html/; }
        location /windows/ { charset windows-1251; source_charset koi8-r; alias html/; }
        location /variable/ { charset $arg_c; source_charset utf-8; alias html/; }
        location /over/ { charset utf-8; override_charset on; proxy_pass http://127.0.0.1:8081/typed/; }
        location /kept/ { charset utf-8; proxy_pass http://127.0.0.1:8081/typed/; }
        location /other/ { charset utf-8; source_charset koi8-r; proxy_pass http://127.0.0.1:8081/other/; }
        location /accel/ { source_charset utf-8; proxy_pass http://127.0.0.1:8081/accel/; }
        location /unknown/ { source_charset utf-8; proxy_pass http://127.0.0.1:8081/unknown/; }
        location /moved/ { charset koi8-r; return 301 /named/; }
        location /around/ { charset utf-8; source_charset utf-8; add_before_body /windows/koi.html; add_after_body /over/koi.html; alias html/; }
    }
    server {
        listen 127.0.0.1:8081;
        access_log off;
        location /typed/ { types { } default_type "text/html; charset=koi8-r"; alias html/; }
        location /other/ { types { } default_type "text/html; version=1"; alias html/; }
        location /accel/ { add_header X-Accel-Charset koi8-r; alias html/; }
        location /unknown/ { add_header X-Accel-Charset nothing; alias html/; }
        location /plain/ { alias html/; }
        location /packed/ { gzip_static always; alias html/; }
    }
}
"#;

/// Places, by test.
const GZIP: &[&str] = &["level1", "level6", "level9", "postponed"];
const FILES_OF_GZIP: &[&str] = &["static", "quiet", "gunzip", "unzipped"];
const SUBS: &[&str] = &["sub", "subs"];
const SEVERAL: &[&str] = &["all", "both"];
const ADDITIONS: &[&str] = &["added", "failing", "nested"];
const TRAILERS: &[&str] = &["trailers", "always"];
const CHARSETS: &[&str] =
    &["named", "koi", "utf", "windows", "variable", "over", "kept", "other", "accel", "unknown", "moved", "around"];

const FILES: &[&str] = &[
    "long.html",
    "short.html",
    "tiny.html",
    "z.html",
    "packed.html",
    "empty.html",
    "a.txt",
    "utf.html",
    "koi.html",
    "none.html",
];

const HEADERS: &[&[(&str, &str)]] = &[
    &[],
    &[("Accept-Encoding", "gzip")],
    &[("Accept-Encoding", "gzip"), ("Via", "1.1 x")],
    &[("Accept-Encoding", "br, gzip;q=0.5"), ("User-Agent", "Foo"), ("Range", "bytes=2-9")],
];

/// Whether a response is made of a compressed file: of those nginx 1.22 sends no ranges, 1.23 does.
fn is_of_compressed(target: &str) -> bool {
    FILES_OF_GZIP.iter().chain(SEVERAL).any(|place| target.starts_with(&format!("/{place}/")))
}

/// The headers a file is asked for with. Of an empty file there is no range: what is said then is not a filter's.
fn headers_of(target: &str) -> &'static [&'static [(&'static str, &'static str)]] {
    if target.contains("empty") || is_of_compressed(target) || target.starts_with("/over/") {
        HEADERS.get(..3).unwrap_or_default()
    } else {
        HEADERS
    }
}

/// gzip's own file of a text.
pub fn packed(text: &[u8]) -> io::Result<Vec<u8>> {
    let mut gzip = Command::new("gzip").arg("-nc").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
    gzip.stdin.take().ok_or(io::ErrorKind::BrokenPipe)?.write_all(text)?;
    Ok(gzip.wait_with_output()?.stdout)
}

fn files() -> io::Result<Vec<(&'static str, Vec<u8>)>> {
    let line =
        |number: u32| format!("<p>Line {number} of <b>text</b>: {}</p>\n", number.wrapping_mul(2_654_435_761) >> 16);
    let long: String = (0..3000).map(line).collect();
    let short: String = (0..20).map(line).collect();
    Ok(vec![
        ("long.html", long.clone().into_bytes()),
        ("short.html", short.clone().into_bytes()),
        ("tiny.html", b"tiny".to_vec()),
        ("a.txt", short.clone().into_bytes()),
        ("z.html", b"plain\n".to_vec()),
        ("empty.html", Vec::new()),
        ("utf.html", "Привет, аб €😀 \n".repeat(900).into_bytes()),
        ("koi.html", b"\xf0\xd2\xc9\xd7, \xc1\xc2\xff\n".repeat(900)),
        ("z.html.gz", packed(short.as_bytes())?),
        ("packed.html.gz", [packed(long.as_bytes())?, packed(b"and more\n")?].concat()),
    ])
}

/// What a client and the logs saw.
#[derive(Debug, PartialEq, Eq)]
struct Seen {
    what: String,
    status: u16,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
}

/// The texts of an error log without what differs from run to run.
pub fn texts(log: &str) -> Vec<String> {
    let text = |line: &str| Some(line.split_once(": *")?.1.split_once(' ')?.1.split(", client: ").next()?.to_owned());
    let mut texts: Vec<String> = log.lines().filter_map(text).filter(|text| !text.contains("temporary file")).collect();
    texts.sort();
    texts
}

fn started(program: Program) -> io::Result<TestBed> {
    let testbed = TestBed::new(program)?;
    testbed.write(CONF)?;
    let files = files()?;
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

fn targets(places: &[&str]) -> Vec<String> {
    places
        .iter()
        .flat_map(|place| FILES.iter().map(move |file| format!("/{place}/{file}?q=text&r=TEXT&c=koi8-r")))
        .collect()
}

/// One after the other over HTTP/1.1: GET and HEAD.
fn over_http1(testbed: &TestBed, places: &[&str]) -> io::Result<Vec<Seen>> {
    let targets = targets(places);
    testbed.host().run(move || {
        let mut all = Vec::new();
        for target in targets {
            for headers in headers_of(&target) {
                let what = format!("{target} {headers:?}");
                // A response that fails before its head is nothing.
                let mut answer = client::get(local(8080), &target, headers, LIMIT).unwrap_or_default();
                answer.headers.retain(|(name, _)| !matches!(name.as_str(), "Date" | "Server"));
                all.push(Seen { what, status: answer.status, headers: answer.headers, body: answer.body });
                let lines: String = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
                let head = format!("HEAD {target} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{lines}\r\n");
                let answer = client::raw(local(8080), head.as_bytes(), LIMIT)?;
                let text = String::from_utf8_lossy(&answer).into_owned();
                let kept =
                    text.split("\r\n").filter(|line| !line.starts_with("Date: ") && !line.starts_with("Server: "));
                all.push(Seen {
                    what: head,
                    status: 0,
                    headers: Vec::new(),
                    body: kept.collect::<Vec<_>>().join("\n").into(),
                });
            }
        }
        Ok(all)
    })?
}

/// The same GETs over HTTP/2.
fn over_http2(testbed: &TestBed, places: &[&str]) -> io::Result<Vec<Seen>> {
    let targets = targets(places);
    testbed.host().run(move || {
        let mut all = Vec::new();
        for target in targets {
            for headers in headers_of(&target) {
                let mut request = Request::get(&target);
                for (name, value) in *headers {
                    request = request.header(&name.to_lowercase(), value);
                }
                let answer = exchange(local(8082), &[request], LIMIT)?.pop().unwrap_or_default();
                let what = format!("{target} {headers:?}");
                let headers = [answer.headers, answer.trailers].concat();
                all.push(Seen { what, status: answer.status, headers, body: answer.body });
            }
        }
        Ok(all)
    })?
}

fn outcome(program: Program, places: &[&str]) -> io::Result<(Vec<Seen>, Vec<String>, Vec<String>)> {
    let testbed = started(program)?;
    let mut seen = over_http1(&testbed, places)?;
    seen.extend(over_http2(&testbed, places)?);
    for seen in seen.iter_mut().filter(|seen| is_of_compressed(seen.what.trim_start_matches("HEAD "))) {
        seen.headers.retain(|(name, _)| !name.eq_ignore_ascii_case("Accept-Ranges"));
        if seen.what.starts_with("HEAD ") {
            seen.body = String::from_utf8_lossy(&seen.body).replace("Accept-Ranges: bytes\n", "").into();
        }
    }
    let lines = wait_for("a line for each request", LIMIT, || {
        let log = testbed.file("logs/access.log").ok()?;
        (log.lines().count() == seen.len()).then(|| log.lines().map(str::to_owned).collect())
    })?;
    Ok((seen, lines, texts(&testbed.file("logs/error.log")?)))
}

/// Compares both programs.
fn same(places: &[&str]) {
    let [original, ours] = both(|program| outcome(program, places));
    for (original, ours) in original.0.iter().zip(&ours.0) {
        assert_eq!(original.what, ours.what);
        let about = |seen: &Seen| (seen.status, seen.headers.clone(), seen.body.len());
        assert_eq!(about(original), about(ours), "{}", ours.what);
        assert!(original.body == ours.body, "{}: other bytes", ours.what);
    }
    assert_eq!(original.1, ours.1);
    assert_eq!(original.2, ours.2);
}

#[test]
fn gzip_makes_nginxs_bytes() {
    same(GZIP);
}

#[test]
fn compressed_files_are_sent_and_decompressed_as_by_nginx() {
    same(FILES_OF_GZIP);
}

#[test]
fn texts_are_replaced_as_by_nginx() {
    same(SUBS);
}

#[test]
fn filters_follow_each_other_as_in_nginx() {
    same(SEVERAL);
}

#[test]
fn charsets_are_named_and_converted_as_by_nginx() {
    same(CHARSETS);
}

#[test]
fn responses_are_added_as_by_nginx() {
    same(ADDITIONS);
}

#[test]
fn trailers_follow_as_by_nginx() {
    same(TRAILERS);
    let [original, ours] = [Program::Original, Program::Ours].map(|program| {
        let testbed = started(program).expect("a host");
        let ask = || {
            let paths = ["/trailers/short.html", "/trailers/empty.html", "/always/z.html", "/always/none.html"];
            paths.map(|path| {
                let text = format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
                let answer = client::raw(local(8080), text.as_bytes(), LIMIT).expect("an answer");
                let text = String::from_utf8_lossy(&answer).replace("nginx/1.22.1", "nginx/1.23.4");
                let kept = text.lines().filter(|line| !line.starts_with("Date: ") && !line.starts_with("Server: "));
                kept.collect::<Vec<_>>().join("\n")
            })
        };
        testbed.host().run(ask).expect("a host")
    });
    assert_eq!(original, ours);
    assert!(ours[0].ends_with("0\nX-Sum: /trailers/short.html\n"), "{}", ours[0]);
}

#[test]
fn trailers_are_sent_once() {
    let testbed = started(Program::Ours).expect("a host");
    let ask = || exchange(local(8082), &[Request::get("/once/short.html")], LIMIT);
    let answers = testbed.host().run(ask).expect("a host").expect("an answer");
    assert_eq!(answers[0].trailers, [("x-once".to_owned(), "200".to_owned())]);
}
