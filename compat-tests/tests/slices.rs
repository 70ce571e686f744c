//! Responses fetched in slices, beside the installed nginx.

use std::io;

use compat_tests::client;
use compat_tests::program::Program;
use compat_tests::testbed::{LIMIT, TestBed, local};

const CONF: &str = r#"worker_processes 1;
error_log logs/error.log info;
events { }
http {
    server_tokens off;
    log_format all "$request|$http_range|$status|$body_bytes_sent|$upstream_status|$upstream_cache_status|$slice_range";
    access_log off;
    proxy_cache_path cache keys_zone=kept:1m;
    proxy_cache_key $uri$is_args$args$slice_range;
    proxy_cache_valid 200 206 1h;
    map $http_range $range { ~bytes=(.+) $1; }
    server {
        listen 127.0.0.1:8080;
        access_log logs/access.log all;
        slice 4;
        proxy_set_header Range $slice_range;
        location / { proxy_pass http://127.0.0.1:8090; }
        location /cached/ { proxy_pass http://127.0.0.1:8090/; proxy_cache kept; add_header X-Cache $upstream_cache_status; }
        location /large/ { slice 100k; proxy_pass http://127.0.0.1:8090/; proxy_cache kept; }
        location /off/ { slice 0; proxy_pass http://127.0.0.1:8090/; }
        location /named { error_page 404 = @named; root none; }
        location @named { proxy_pass http://127.0.0.1:8090/text.txt$is_args$args; }
        location /sub/ { proxy_pass http://127.0.0.1:8090/; sub_filter_types *; sub_filter 5 five; sub_filter_once off; }
        location /value { return 200 "$slice_range\n"; }
    }
    server {
        listen 127.0.0.1:8090;
        root data;
        location /status { add_header Content-Range "bytes 0-3/8"; return 206 text; }
        location /crange { add_header Content-Range "bytes"; return 206 text; }
        location /length { add_header Content-Range "bytes 0-3/*"; return 206 text; }
        location /longer { add_header Content-Range "bytes 0-4/8"; return 206 text5; }
        location /later { add_header Content-Range "bytes 1-3/8"; return 206 tex; }
        location /etag {
            add_header Content-Range "bytes $range/8";
            add_header ETag $http_range;
            return 206 text;
        }
    }
}
"#;

/// Answers, lines of the access log, lines of the error log.
type Outcome = (Vec<(String, String)>, Vec<String>, Vec<String>);

fn outcome(program: Program, asked: Vec<String>) -> io::Result<Outcome> {
    let testbed = TestBed::new(program)?;
    testbed.write(CONF)?;
    testbed.host().run(|| {
        let file = |name: &str, bytes: &[u8]| {
            compat_tests::mount::file(&format!("{}/data/{name}", compat_tests::peer::PREFIX), bytes, 0o644)
        };
        file("text.txt", b"0123456789abcdefg")?;
        file("even.txt", b"01234567")?;
        file("none.txt", b"")?;
        file("large.bin", &compat_tests::arena::pattern(1_000_000))
    })??;
    testbed.command(&[])?;
    testbed.wait_for_listener()?;
    let count = asked.len();
    let answers = testbed.host().run(move || {
        asked
            .into_iter()
            .map(|text| Ok((text.clone(), steady(&client::raw(local(8080), text.as_bytes(), LIMIT)?))))
            .collect::<io::Result<Vec<_>>>()
    })??;
    let lines = testbed.access_lines(count)?;
    let text = |line: &str| Some(line.split_once(": *")?.1.split_once(' ')?.1.to_owned());
    let log = testbed.file("logs/error.log")?;
    let mut errors: Vec<String> = log.lines().filter(|line| line.contains("slice response")).filter_map(text).collect();
    // The original logs errors a second time, into its file of the command line.
    errors.dedup();
    Ok((answers, lines, errors))
}

fn steady(answer: &[u8]) -> String {
    let text = answer.escape_ascii().to_string().replace("\\r\\n", "\n");
    let is_time =
        |line: &&str| ["Date: ", "Server: ", "Last-Modified: ", "ETag: "].iter().any(|name| line.starts_with(name));
    text.lines().filter(|line| !is_time(line)).collect::<Vec<_>>().join("\n")
}

fn get(method: &str, target: &str, headers: &str) -> String {
    format!("{method} {target} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{headers}\r\n")
}

#[test]
fn slices_come_as_from_nginx() {
    let ranges =
        ["0-0", "0-3", "3-4", "4-", "7-9", "16-", "17-", "99-", "-0", "-1", "-6", "-99", "0-1,5-6", "5-4", "x", " 5-6"];
    let mut asked = Vec::new();
    for target in ["/text.txt", "/cached/text.txt", "/even.txt", "/cached/even.txt", "/off/text.txt"] {
        asked.push(get("GET", target, ""));
        asked.push(get("HEAD", target, ""));
        for range in ranges {
            asked.push(get("GET", target, &format!("Range: bytes={range}\r\n")));
        }
        asked.push(get("HEAD", target, "Range: bytes=5-6\r\n"));
        asked.push(get("GET", target, "Range: bytes=5-6\r\nIf-Range: \"x\"\r\n"));
    }
    for target in ["/large/large.bin", "/large/large.bin?again"] {
        for range in ["0-", "102399-102400", "250000-750000", "-150000", "999999-"] {
            asked.push(get("GET", target, &format!("Range: bytes={range}\r\n")));
        }
    }
    for target in
        ["/sub/text.txt", "/none.txt", "/missing", "/named", "/value", "/crange", "/length", "/longer", "/later"]
    {
        asked.push(get("GET", target, ""));
    }
    asked.push(get("GET", "/value", "Range: bytes=11-\r\n"));
    asked.push("GET /text.txt HTTP/1.0\r\n\r\n".to_owned());
    let [original, ours] = [Program::Original, Program::Ours]
        .map(|program| outcome(program, asked.clone()).unwrap_or_else(|error| panic!("{program:?}: {error}")));
    let mut wrong = Vec::new();
    for (original, ours) in original.0.iter().zip(&ours.0).filter(|(original, ours)| original != ours) {
        let cut = |text: &str| text.chars().take(600).collect::<String>();
        wrong.push(format!("{}{}\n---\n{}", original.0, cut(&original.1), cut(&ours.1)));
    }
    for (original, ours) in [(&original.1, &ours.1), (&original.2, &ours.2)] {
        wrong.extend(original.iter().zip(ours).filter(|(one, other)| one != other).map(|(a, b)| format!("{a}\n{b}")));
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert_eq!((original.1.len(), original.2.len()), (ours.1.len(), ours.2.len()));
    assert!(ours.0[0].1.ends_with("\n\n0123456789abcdefg"), "{}", ours.0[0].1);
}

#[test]
fn what_came_is_sent_before_the_next_slice_is_asked_for() {
    let asked = ["/status", "/etag"].map(|target| get("GET", target, "")).to_vec();
    let (answers, _, errors) = outcome(Program::Ours, asked).expect("answers");
    for (_, text) in &answers {
        assert!(text.contains("Content-Length: 8\n") && text.ends_with("\n\ntext"), "{text}");
    }
    let ends = |error: &str, what: &str| {
        let end = format!("{what} while reading response header from upstream, client: 127.0.0.1");
        assert!(error.starts_with(&end), "{error}");
    };
    ends(&errors[0], "unexpected range in slice response: 0-4");
    ends(&errors[1], "etag mismatch in slice response");
}

#[test]
fn ranges_of_a_changed_body_are_ignored() {
    let asked = vec![get("GET", "/sub/text.txt", "Range: bytes=0-0\r\n")];
    let (answers, ..) = outcome(Program::Ours, asked).expect("an answer");
    assert!(answers[0].1.starts_with("HTTP/1.1 200 OK\n") && answers[0].1.contains("five67"), "{}", answers[0].1);
}
