//! brotli beside Debian's module, and zstd, of which no original is installed: who is given which coding, and what comes
//! out when it is decoded.

use std::io::{self, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::mpsc;
use std::time::Duration;

use compat_tests::compare::{alike, both};
use compat_tests::http2::{Request, exchange};
use compat_tests::peer::PREFIX;
use compat_tests::program::Program;
use compat_tests::testbed::{LIMIT, TestBed, local};
use compat_tests::{client, mount, wait_for};

use crate::filters::packed;

const BROTLI: &str = r#"worker_processes 1;
load_module /usr/lib/nginx/modules/ngx_http_brotli_filter_module.so;
load_module /usr/lib/nginx/modules/ngx_http_brotli_static_module.so;
events { }
http {
    log_format all "$request|$gzip_ratio";
    access_log logs/access.log all;
    types { text/html html; text/plain txt; }
    root html;
    gzip_vary on;
    server {
        listen 127.0.0.1:8080;
        listen 127.0.0.1:8082 http2;
        location /plain/ { brotli on; brotli_buffers 4 8k; alias html/; }
        location /hard/ { brotli on; brotli_comp_level 11; brotli_window 1k; brotli_types text/plain; brotli_min_length 1000; alias html/; }
        location /fast/ { brotli on; brotli_comp_level 0; brotli_window 16m; brotli_types *; gzip on; gzip_types *; alias html/; }
        location /quiet/ { gzip_vary off; brotli on; alias html/; }
        location /both/ { brotli on; gzip on; gzip_static on; alias html/; }
        location /proxied/ { brotli on; gzip on; sub_filter text TEXT; add_after_body /plain/short.html; proxy_pass http://127.0.0.1:8080/off/; }
        location /off/ { alias html/; }
        location /static/ { brotli_static on; gzip_static on; gzip_vary on; alias html/; }
        location /always/ { brotli_static always; alias html/; }
        location /mixed/ { brotli_static on; brotli on; gzip on; alias html/; }
        location /none/ { brotli on; return 404; }
    }
}
"#;

const TARGETS: &[&str] = &[
    "/plain/long.html",
    "/plain/short.html",
    "/plain/tiny.html",
    "/plain/empty.html",
    "/plain/a.txt",
    "/plain/none.html",
    "/hard/long.html",
    "/hard/tiny.html",
    "/hard/a.txt",
    "/fast/long.html",
    "/fast/a.txt",
    "/quiet/short.html",
    "/both/long.html",
    "/both/z.html",
    "/proxied/long.html",
    "/static/z.html",
    "/static/b.html",
    "/static/none.html",
    "/always/b.html",
    "/always/z.html",
    "/mixed/b.html",
    "/none/x.html",
];

const ACCEPTED: &[&str] =
    &["", "br", "gzip", "gzip, deflate, br", "BR", "br;q=0, gzip", "br;q=0.5, gzip;q=1", "xbr", "brx, br", "identity"];

fn files() -> io::Result<Vec<(&'static str, Vec<u8>)>> {
    let line =
        |number: u32| format!("<p>Line {number} of <b>text</b>: {}</p>\n", number.wrapping_mul(2_654_435_761) >> 16);
    let long: String = (0..3000).map(line).collect();
    let short: String = (0..20).map(line).collect();
    Ok(vec![
        ("long.html", long.into_bytes()),
        ("short.html", short.clone().into_bytes()),
        ("a.txt", short.clone().into_bytes()),
        ("tiny.html", b"tiny".to_vec()),
        ("empty.html", Vec::new()),
        ("z.html", b"plain z, which is longer\n".to_vec()),
        ("z.html.gz", packed(short.as_bytes())?),
        ("b.html", b"plain b, which is longer\n".to_vec()),
        ("b.html.br", encoded(short.as_bytes())?),
        ("b.html.gz", packed(short.as_bytes())?),
    ])
}

fn encoded(text: &[u8]) -> io::Result<Vec<u8>> {
    let mut stream = brotli::CompressorWriter::new(Vec::new(), 4096, 5, 18);
    stream.write_all(text)?;
    Ok(stream.into_inner())
}

/// A body without its content coding, and a mark where there was one.
fn decoded(coding: Option<&str>, body: &[u8]) -> io::Result<Vec<u8>> {
    match coding {
        Some("br") => {
            let mut plain = Vec::new();
            brotli::Decompressor::new(body, 4096).read_to_end(&mut plain)?;
            Ok(plain)
        }
        Some("zstd") => zstd::decode_all(body),
        _ => Ok(body.to_vec()),
    }
}

fn started(program: Program, conf: &str, files: Vec<(&'static str, Vec<u8>)>) -> io::Result<TestBed> {
    let testbed = TestBed::new(program)?;
    testbed.write(conf)?;
    testbed.host().run(move || {
        for (name, bytes) in files {
            let path = format!("{PREFIX}/html/{name}");
            mount::file(&path, &bytes, 0o644)?;
            std::fs::File::options()
                .write(true)
                .open(path)?
                .set_modified(std::time::SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000_000))?;
        }
        io::Result::Ok(())
    })??;
    testbed.command(&[])?;
    Ok(testbed)
}

/// Headers that are not compared: of files that were compressed with gzip nginx 1.22 sends no ranges, 1.23 does.
fn is_left_out(name: &str) -> bool {
    ["Date", "Server", "Accept-Ranges"].iter().any(|left_out| left_out.eq_ignore_ascii_case(name))
}

/// Status, headers and decoded body of each target with each Accept-Encoding, for GET and HEAD.
fn answers(program: Program) -> io::Result<Vec<String>> {
    let testbed = started(program, BROTLI, files()?)?;
    let seen = testbed.host().run(|| {
        let mut all = Vec::new();
        for (target, accepted) in TARGETS.iter().flat_map(|target| ACCEPTED.iter().map(move |one| (target, one))) {
            let header = [("Accept-Encoding", *accepted)];
            let headers = if accepted.is_empty() { &[][..] } else { &header[..] };
            let answer = client::get(local(8080), target, headers, LIMIT)?;
            let body = decoded(answer.header("Content-Encoding"), &answer.body)?;
            let kept: Vec<_> = answer.headers.iter().filter(|(name, _)| !is_left_out(name)).collect();
            // gzip's own bytes are compared elsewhere; the page of an error names the version.
            let length = if answer.status == 404 { 0 } else { body.len() };
            all.push(format!("{target} {accepted:?}: {} {kept:?} {length}", answer.status));
            let line = if accepted.is_empty() { String::new() } else { format!("Accept-Encoding: {accepted}\r\n") };
            let text = format!("HEAD {target} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{line}\r\n");
            let head = String::from_utf8_lossy(&client::raw(local(8080), text.as_bytes(), LIMIT)?).into_owned();
            let kept: Vec<_> =
                head.lines().filter(|line| !is_left_out(line.split(':').next().unwrap_or_default())).collect();
            all.push(format!("HEAD {target} {accepted:?}: {kept:?}"));
            let mut request = Request::get(target);
            if !accepted.is_empty() {
                request = request.header("accept-encoding", accepted);
            }
            let answer = exchange(local(8082), &[request], LIMIT)?.pop().unwrap_or_default();
            let coding = answer.headers.iter().find(|(name, _)| name == "content-encoding");
            let body = decoded(coding.map(|(_, value)| value.as_str()), &answer.body)?;
            let kept: Vec<_> = answer.headers.iter().filter(|(name, _)| !is_left_out(name)).collect();
            let length = if answer.status == 404 { 0 } else { body.len() };
            all.push(format!("HTTP/2 {target} {accepted:?}: {} {kept:?} {length}", answer.status));
        }
        io::Result::Ok(all)
    })??;
    let mut all = seen;
    all.push(wait_for("a line for each request", LIMIT, || {
        testbed.file("logs/access.log").ok().filter(|log| log.lines().count() >= all.len())
    })?);
    Ok(all)
}

#[test]
fn brotli_is_given_to_whom_the_module_gives_it() {
    let [original, ours] = both(answers);
    alike("answer", &original, &ours);
    assert!(ours.iter().any(|text| text.contains("\"Content-Encoding\", \"br\"")), "{ours:#?}");
}

const ZSTD: &str = r#"worker_processes 1;
load_module modules/ngx_http_zstd_filter_module.so;
load_module modules/ngx_http_zstd_static_module.so;
events { }
http {
    log_format all "$uri|$gzip_ratio|$brotli_ratio|$zstd_ratio";
    access_log logs/access.log all;
    types { text/html html; text/plain txt; }
    root html;
    gzip_vary on;
    server {
        listen 127.0.0.1:8080;
        zstd_static on;
        brotli_static on;
        gzip_static on;
        location / { }
        location /off/ { alias html/; brotli_static off; zstd_static off; }
        location /always/ { alias html/; brotli_static off; gzip_static off; zstd_static always; gzip_vary off; }
        location /gzip/ { alias html/; gzip on; gzip_min_length 1; }
        location /all/ { alias html/; zstd on; zstd_buffers 4 8k; brotli on; gzip on; }
        location /hard/ { alias html/; zstd on; zstd_comp_level 19; zstd_types *; zstd_min_length 4; }
        location /fast/ { alias html/; zstd on; zstd_comp_level -5; }
    }
}
"#;

/// The coding and the decoded text of an answer, with Vary.
fn coding(testbed: &TestBed, target: &str, accepted: &str) -> (String, String, bool) {
    let (target, accepted) = (target.to_owned(), accepted.to_owned());
    let ask = move || client::get(local(8080), &target, &[("Accept-Encoding", &accepted)], LIMIT);
    let answer = testbed.host().run(ask).expect("a host").expect("an answer");
    assert_eq!(answer.status, 200);
    let name = answer.header("Content-Encoding").unwrap_or("-").to_owned();
    let text = decoded(answer.header("Content-Encoding"), &answer.body).expect("a body that can be decoded");
    (name, String::from_utf8_lossy(&text).into_owned(), answer.header("Vary").is_some())
}

#[test]
fn codings_are_chosen_by_accept_encoding() {
    let mut files = files().expect("files");
    let zstd = |text: &str| zstd::encode_all(text.as_bytes(), 3).expect("a file");
    files.push(("b.html.zst", zstd("from zstd")));
    let long = String::from_utf8_lossy(&files[0].1).into_owned();
    let testbed = started(Program::Ours, ZSTD, files).expect("a host");
    for (accepted, name) in [
        ("zstd", "zstd"),
        ("gzip, deflate, br, zstd", "zstd"),
        ("zstd;q=0, br", "br"),
        ("brotli, zstd", "zstd"),
        ("br", "br"),
        ("gzip;q=0.1, BR ; q=1", "br"),
        ("xbr, brx, gzip", "gzip"),
        ("identity", "-"),
    ] {
        let (given, _, vary) = coding(&testbed, "/b.html", accepted);
        assert_eq!((given.as_str(), vary), (name, true), "of files: {accepted}");
        let (given, text, vary) = coding(&testbed, "/all/long.html", accepted);
        assert_eq!((given.as_str(), vary), (name, true), "filtered: {accepted}");
        assert!(given == "gzip" || text == long, "filtered: {accepted}");
    }
    assert_eq!(coding(&testbed, "/off/b.html", "br, zstd").0, "-");
    assert_eq!(coding(&testbed, "/always/b.html", "x"), ("zstd".to_owned(), "from zstd".to_owned(), false));
    assert_eq!(coding(&testbed, "/gzip/long.html", "gzip, br").0, "gzip");
    assert_eq!(coding(&testbed, "/hard/tiny.html", "zstd"), ("zstd".to_owned(), "tiny".to_owned(), true));
    assert_eq!(coding(&testbed, "/fast/long.html", "zstd"), ("zstd".to_owned(), long, true));
    let log = wait_for("the last line", LIMIT, || {
        testbed.file("logs/access.log").ok().filter(|log| log.contains("/fast/long.html"))
    });
    let log = log.expect("a log");
    let ratios: Vec<&str> = log.lines().filter(|line| line.starts_with("/all/")).collect();
    let is_ratio = |text: &str, digits: usize| {
        text.split_once('.').is_some_and(|(_, rest)| rest.len() == digits && !text.starts_with("0."))
    };
    for (line, which) in ratios.iter().zip([2, 2, 1, 2, 1, 1, 0]) {
        let cells: Vec<&str> = line.split('|').skip(1).collect();
        for (at, cell) in cells.iter().enumerate() {
            let digits = if at == 2 { 3 } else { 2 };
            assert!(if at == which { is_ratio(cell, digits) } else { *cell == "-" }, "{line}");
        }
    }
    assert_eq!(ratios.len(), 8, "{log}");
}

const FLUSHED: &str = r#"worker_processes 1;
events { }
http {
    default_type text/html;
    server {
        listen 127.0.0.1:8080;
        proxy_buffering off;
        location /br { brotli on; proxy_pass http://127.0.0.1:8081; }
        location /zstd { zstd on; proxy_pass http://127.0.0.1:8081; }
    }
}
"#;

/// Reads from a client's connection until the decoded body has `text`; the bytes of the body so far.
fn read_until(client: &mut TcpStream, seen: &mut Vec<u8>, coding: &str, text: &str) -> io::Result<()> {
    let mut room = [0; 4096];
    loop {
        let body = seen.windows(4).position(|part| part == b"\r\n\r\n").map(|at| at + 4);
        let body = seen.get(body.unwrap_or(seen.len())..).unwrap_or_default();
        let mut plain = Vec::new();
        // What is not complete ends in an error, behind what could be decoded.
        match coding {
            "br" => drop(brotli::Decompressor::new(body, 4096).read_to_end(&mut plain)),
            _ => drop(zstd::Decoder::new(body).and_then(|mut decoder| decoder.read_to_end(&mut plain))),
        }
        if plain == text.as_bytes() {
            return Ok(());
        }
        let count = client.read(&mut room)?;
        if count == 0 {
            return Err(io::Error::other(format!("the end before {text:?}: {:?}", String::from_utf8_lossy(seen))));
        }
        seen.extend_from_slice(&room[..count]);
    }
}

#[test]
fn what_a_backend_sends_unbuffered_can_be_decoded_at_once() {
    let testbed = started(Program::Ours, FLUSHED, Vec::new()).expect("a host");
    for coding in ["br", "zstd"] {
        let outcome = testbed.host().run(move || {
            let listener = TcpListener::bind(local(8081))?;
            let (go, wait) = mpsc::channel();
            let backend = std::thread::spawn(move || -> io::Result<()> {
                let (mut peer, _) = listener.accept()?;
                let _ = peer.read(&mut [0; 4096])?;
                peer.write_all(b"HTTP/1.0 200 OK\r\nContent-Type: text/html\r\n\r\nfirst part")?;
                wait.recv().map_err(io::Error::other)?;
                peer.write_all(b", second part")
            });
            let mut client = client::connect(local(8080), LIMIT)?;
            let text = format!("GET /{coding} HTTP/1.0\r\nAccept-Encoding: {coding}\r\n\r\n");
            client.write_all(text.as_bytes())?;
            let mut seen = Vec::new();
            read_until(&mut client, &mut seen, coding, "first part")?;
            go.send(()).map_err(io::Error::other)?;
            read_until(&mut client, &mut seen, coding, "first part, second part")?;
            backend.join().map_err(|_| io::Error::other("the backend panicked"))?
        });
        outcome.expect("a host").unwrap_or_else(|error| panic!("{coding}: {error}"));
    }
}

const ZSTD_ALONE: &str = r#"worker_processes 1;
events { }
http {
    access_log off;
    types { text/html html; text/plain txt; }
    root html;
    gzip_vary on;
    server {
        listen 127.0.0.1:8080;
        listen 127.0.0.1:8082 http2;
        location / { zstd_static on; }
        location /always/ { alias html/; zstd_static always; }
        location /off/ { alias html/; }
        location /filter/ { alias html/; zstd on; }
        location /hard/ { alias html/; zstd on; zstd_comp_level 19; zstd_types text/plain; zstd_min_length 1000; }
        location /fast/ { alias html/; zstd on; zstd_comp_level 1; }
        location /proxied/ { zstd on; sub_filter text TEXT; proxy_pass http://127.0.0.1:8080/off/; }
        location /teapot { zstd on; default_type text/html; return 418 "a text that is longer than twenty bytes"; }
    }
}
"#;

/// A response over either version: its status, headers in lower case, and the body as it was sent.
type Given = (u16, Vec<(String, String)>, Vec<u8>);

fn over_both(testbed: &TestBed, target: &str, headers: &[(&str, &str)]) -> [Given; 2] {
    let owned = |text: &str| text.to_owned();
    let headers: Vec<_> = headers.iter().map(|(name, value)| (name.to_lowercase(), owned(value))).collect();
    let target = target.to_owned();
    let ask = move || -> io::Result<[Given; 2]> {
        let pairs: Vec<_> = headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        let first = client::get(local(8080), &target, &pairs, LIMIT)?;
        let lower = |(name, value): (String, String)| (name.to_lowercase(), value);
        let fields = first.headers.clone().into_iter().map(lower).collect();
        let request = pairs.iter().fold(Request::get(&target), |request, (name, value)| request.header(name, value));
        let second = exchange(local(8082), &[request], LIMIT)?.pop().unwrap_or_default();
        Ok([(first.status, fields, first.body), (second.status, second.headers, second.body)])
    };
    testbed.host().run(ask).expect("a host").expect("an answer")
}

fn field<'a>(given: &'a Given, name: &str) -> Option<&'a str> {
    given.1.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
}

#[test]
fn zstd_static_sends_the_compressed_file() {
    let mut files = files().expect("files");
    let packed = zstd::encode_all(&b"from zstd"[..], 3).expect("a file");
    files.push(("b.html.zst", packed.clone()));
    let testbed = started(Program::Ours, ZSTD_ALONE, files).expect("a host");
    let accepted = [("Accept-Encoding", "gzip, zstd")];
    for (target, headers) in [("/b.html", &accepted[..]), ("/always/b.html", &[][..])] {
        for given in over_both(&testbed, target, headers) {
            assert_eq!((given.0, &given.2), (200, &packed), "{target}");
            assert_eq!(field(&given, "content-encoding"), Some("zstd"), "{target}");
            assert_eq!(field(&given, "content-type"), Some("text/html"), "{target}");
            assert_eq!(field(&given, "content-length"), Some(packed.len().to_string().as_str()), "{target}");
        }
    }
    for (target, headers) in [
        ("/b.html", &[("Accept-Encoding", "gzip")][..]),
        ("/b.html", &[("Accept-Encoding", "zstd;q=0")]),
        ("/z.html", &accepted),
        ("/off/b.html", &accepted),
    ] {
        for given in over_both(&testbed, target, headers) {
            assert!(given.0 == 200 && given.2.starts_with(b"plain "), "{target}: {given:?}");
            assert_eq!(field(&given, "content-encoding"), None, "{target}");
            // Of a file that has no other form there is nothing to tell.
            assert_eq!(field(&given, "vary"), (target == "/b.html").then_some("Accept-Encoding"), "{target}");
        }
    }
}

#[test]
fn the_zstd_filter_compresses_responses() {
    let files = files().expect("files");
    let long = files[0].1.clone();
    let testbed = started(Program::Ours, ZSTD_ALONE, files).expect("a host");
    let accepted = [("Accept-Encoding", "zstd")];
    let mut sizes = Vec::new();
    for target in ["/fast/long.html", "/filter/long.html", "/hard/long.html", "/proxied/long.html"] {
        for given in over_both(&testbed, target, &accepted) {
            assert_eq!((given.0, field(&given, "content-encoding")), (200, Some("zstd")), "{target}");
            assert_eq!(field(&given, "vary"), Some("Accept-Encoding"), "{target}");
            assert_eq!(field(&given, "content-length"), None, "{target}");
            assert!(field(&given, "etag").is_none_or(|tag| tag.starts_with("W/")), "{target}: {given:?}");
            let plain = zstd::decode_all(given.2.as_slice()).expect("zstd");
            let text = String::from_utf8_lossy(&long).into_owned();
            let wanted = if target.starts_with("/proxied/") { text.replacen("text", "TEXT", 1) } else { text };
            assert!(plain == wanted.as_bytes(), "{target}");
            sizes.push(given.2.len());
        }
    }
    assert!(sizes[0] > sizes[4] && sizes[4] < long.len() / 2, "{sizes:?}");
    for (target, headers) in [
        ("/filter/long.html", &[("Accept-Encoding", "gzip")][..]),
        ("/filter/a.txt", &accepted),
        ("/filter/tiny.html", &accepted),
        ("/off/long.html", &accepted),
        ("/teapot", &accepted),
    ] {
        for given in over_both(&testbed, target, headers) {
            assert_eq!(field(&given, "content-encoding"), None, "{target}");
        }
    }
}
