//! Every variable about a request, its response and its backends, logged behind every internal jump to every kind of end,
//! by the installed nginx and by ours.

use std::collections::BTreeMap;
use std::io::{self, Read as _, Write as _};
use std::net::{Shutdown, TcpListener};
use std::time::{Duration, SystemTime};

use compat_tests::client;
use compat_tests::mount;
use compat_tests::peer::PREFIX;
use compat_tests::program::Program;
use compat_tests::testbed::{LIMIT, TestBed, local};
use compat_tests::wait_for;

/// How a request gets from one location to another; `@E@` is where.
const JUMPS: &[(&str, &str)] = &[
    ("error_uri", "error_page 404 /end/@E@?b=2; root missing;"),
    ("error_uri_eq", "error_page 404 = /end/@E@; root missing;"),
    ("error_uri_200", "error_page 404 =200 /end/@E@; root missing;"),
    ("error_named", "error_page 404 @@E@; root missing;"),
    ("error_named_eq", "error_page 404 = @@E@; root missing;"),
    ("accel_uri", "proxy_pass http://127.0.0.1:8083/accel/end/@E@;"),
    ("accel_named", "proxy_pass http://127.0.0.1:8083/accel-named/@E@;"),
    ("intercept_uri", "proxy_intercept_errors on; error_page 404 /end/@E@; proxy_pass http://127.0.0.1:8083/404;"),
    ("intercept_named", "proxy_intercept_errors on; error_page 404 = @@E@; proxy_pass http://127.0.0.1:8083/404;"),
    ("intercept_302", "proxy_intercept_errors on; error_page 302 = @@E@; proxy_pass http://127.0.0.1:8083/302;"),
    ("upstream_502", "error_page 502 @@E@; proxy_pass http://127.0.0.1:8089;"),
    ("try_uri", "try_files /missing /end/@E@?$args;"),
    ("try_named", "try_files /missing @@E@;"),
    ("auth_ok", "auth_request /ask/200; auth_request_set $own $upstream_status; rewrite ^ /end/@E@ last;"),
    (
        "auth_ok2",
        "auth_request /ask/200; auth_request_set $own $upstream_http_x_name; error_page 404 @@E@; root missing;",
    ),
    ("auth_401", "auth_request /ask/401; error_page 401 @@E@; root html;"),
    ("auth_403", "auth_request /ask/403; error_page 403 = /end/@E@; root html;"),
    ("rewrite_last", "rewrite ^/(rewrite)_last /end/@E@?c=3 last;"),
    ("rewrite_break", "rewrite ^ /end/@E@ break; proxy_pass http://127.0.0.1:8083;"),
    ("limit", "return 404; error_page 404 /end/@E@;"),
    (
        "intercept_twice",
        "recursive_error_pages on; proxy_intercept_errors on; error_page 404 = /hop/@E@; proxy_pass http://127.0.0.1:8083/404;",
    ),
    ("post_413", "client_max_body_size 1; error_page 413 @@E@; proxy_pass http://127.0.0.1:8083/ok;"),
    ("direct", "rewrite ^/direct/(.*) /end/$1 last;"),
];

/// What makes the response there.
const ENDS: &[(&str, &str)] = &[
    ("file", "root html; try_files /file.html =500;"),
    ("text", r#"return 200 "text $upstream_http_x_name $status $uri\n";"#),
    ("text_header", r#"add_header X-Page $upstream_status always; add_header Set-Cookie p=1; return 200 "text\n";"#),
    ("moved", "return 301 /moved;"),
    ("four", "return 404;"),
    ("proxy", "proxy_pass http://127.0.0.1:8083;"),
    ("proxy_404", "rewrite ^ /404 break; proxy_pass http://127.0.0.1:8083;"),
    ("again", "try_files /nothing @proxy;"),
    ("gone", "return 410;"),
    ("null", "return 204;"),
    ("chunked", "proxy_http_version 1.1; rewrite ^ /chunked break; proxy_pass http://127.0.0.1:8083;"),
    (
        TUNNEL,
        "proxy_http_version 1.1; proxy_set_header Upgrade x; proxy_set_header Connection upgrade; add_header X-Page $uri always;
         proxy_pass http://127.0.0.1:8084;",
    ),
];

/// The end at which a server changes the protocol.
const TUNNEL: &str = "tunnel";

/// The jumps after which the status is that of the server's answer.
const TO_TUNNELS: &[&str] = &[
    "error_uri_eq",
    "error_named_eq",
    "accel_uri",
    "accel_named",
    "try_uri",
    "try_named",
    "auth_ok",
    "auth_403",
    "rewrite_last",
    "rewrite_break",
    "direct",
];

/// `$upstream_...`
const UPSTREAM: &[&str] = &[
    "addr",
    "status",
    "response_length",
    "bytes_sent",
    "bytes_received",
    "http_x_name",
    "http_content_type",
    "http_content_length",
    "http_set_cookie",
    "http_location",
    "http_etag",
    "cookie_c",
    "response_time",
    "header_time",
    "connect_time",
];

/// `$sent_http_...`
const SENT: &[&str] = &[
    "content_type",
    "content_length",
    "location",
    "last_modified",
    "connection",
    "upgrade",
    "keep_alive",
    "transfer_encoding",
    "cache_control",
    "link",
    "etag",
    "x_name",
    "x_page",
    "set_cookie",
    "expires",
    "www_authenticate",
    "content_disposition",
    "accept_ranges",
    "date",
];

/// Those without a family.
const OTHER: &[&str] = &[
    "request",
    "request_method",
    "request_uri",
    "request_filename",
    "request_body",
    "request_length",
    "request_completion",
    "uri",
    "document_uri",
    "args",
    "is_args",
    "query_string",
    "status",
    "bytes_sent",
    "body_bytes_sent",
    "document_root",
    "realpath_root",
    "host",
    "server_name",
    "http_host",
    "http_x_b",
    "http_upgrade",
    "cookie_c",
    "connection_requests",
    "content_length",
    "content_type",
    "proxy_host",
    "proxy_port",
    "pipe",
    "arg_a",
    "limit_conn_status",
    "own",
];

/// The servers behind the jumps.
const BACKEND: &str = r#"
    server {
        listen 127.0.0.1:8083;
        access_log off;
        default_type text/up;
        location /accel/ {
            add_header X-Accel-Redirect $end;
            add_header X-Name accel;
            add_header Set-Cookie "c=accel; Path=/";
            add_header Cache-Control private;
            add_header Expires never;
            add_header Content-Disposition inline;
            return 200 "accel\n";
        }
        location /accel-named/ {
            add_header X-Accel-Redirect @$end;
            add_header X-Name accel;
            add_header Set-Cookie "c=accel; Path=/";
            return 200 "accel\n";
        }
        location /404 { add_header X-Name four always; add_header Set-Cookie "c=four" always; return 404 "four\n"; }
        location /302 { add_header X-Name three always; return 302 /elsewhere; }
        location /503 { add_header X-Name five always; return 503 "five\n"; }
        location /401 {
            add_header WWW-Authenticate "Basic realm=x" always;
            add_header X-Name ask always;
            return 401;
        }
        location /403 { add_header X-Name ask always; return 403; }
        location /200 { add_header X-Name ask; add_header Set-Cookie "c=ask"; return 200; }
        location / {
            add_header X-Name plain;
            add_header Set-Cookie "c=plain";
            return 200 "plain $request_method $request_uri $http_x_a\n";
        }
    }
    map $uri $end { ~^/accel(?<path>/.*)$ $path; ~^/accel-named/(?<name>.*)$ $name; }
"#;

/// What is not the same: how its request begins, the names, and why.
const KNOWN: &[(&str, &[&str], &str)] =
    &[("", &["sent_http_set_cookie"], "nginx 1.22 shows the first of several headers, 1.23 all of them")];

/// All names, in the order of the log.
fn names() -> Vec<String> {
    let families = UPSTREAM.iter().map(|name| format!("upstream_{name}"));
    let families = families.chain(SENT.iter().map(|name| format!("sent_http_{name}")));
    families.chain(OTHER.iter().map(|name| (*name).to_owned())).collect()
}

fn conf() -> String {
    let format: String = names().iter().map(|name| format!("${{{name}}}|")).collect();
    let mut locations = String::new();
    for (end, body) in ENDS {
        locations += &format!("location /end/{end} {{ {body} }}\nlocation @{end} {{ {body} }}\n");
        for (jump, body) in JUMPS {
            locations += &format!("location /{jump}/{end} {{ {} }}\n", body.replace("@E@", end));
        }
        locations += &format!(
            "location /hop/{end} {{
                recursive_error_pages on;
                proxy_intercept_errors on;
                error_page 503 = /end/{end};
                proxy_pass http://127.0.0.1:8083/503;
            }}\n"
        );
    }
    format!(
        "worker_processes 1;
events {{ }}
http {{
    client_body_in_single_buffer on;
    variables_hash_max_size 4096;
    log_format all '{format}';
    access_log logs/access.log all;
    server {{
        listen 127.0.0.1:8080;
        server_name one;
        proxy_set_header X-A $uri;
        set $own none;
        {locations}
        location /ask/ {{ proxy_pass http://127.0.0.1:8083/; }}
        location /index/ {{ alias html/; index file.html; }}
        location = /index/file.html {{ proxy_pass http://127.0.0.1:8083; }}
    }}
    {BACKEND}
}}
"
    )
}

/// Every jump to every end, by GET, HEAD and POST.
fn requests() -> Vec<String> {
    // An error page keeps the error's status, and a tunnel behind another status than 101 is no HTTP in either program.
    let keeps = |jump: &str, end: &str| end != TUNNEL || TO_TUNNELS.contains(&jump);
    let mut paths: Vec<String> = JUMPS
        .iter()
        .flat_map(|(jump, _)| ENDS.iter().map(move |(end, _)| (jump, end)))
        .filter(|(jump, end)| keeps(jump, end))
        .map(|(jump, end)| format!("/{jump}/{end}"))
        .collect();
    paths.push("/index/".to_owned());
    let mut all = Vec::new();
    for path in paths {
        for (method, rest) in
            [("GET", "\r\n"), ("HEAD", "\r\n"), ("POST", "Content-Type: text/x\r\nContent-Length: 4\r\n\r\nbody")]
        {
            let upgrade = if path.ends_with(TUNNEL) { "Upgrade: x\r\nX-B: y\r\nCookie: c=1\r\n" } else { "" };
            all.push(format!("{method} {path}?a=1 HTTP/1.1\r\nHost: one\r\n{upgrade}Connection: close\r\n{rest}"));
        }
    }
    all
}

/// Answers every request with a 101 and a line behind it, then closes.
fn change_protocols(listener: &TcpListener) {
    while let Ok((mut stream, _)) = listener.accept() {
        let mut seen = Vec::new();
        let mut piece = [0; 1024];
        while !seen.windows(4).any(|end| end == b"\r\n\r\n") {
            match stream.read(&mut piece) {
                Ok(count) if count > 0 => seen.extend_from_slice(&piece[..count]),
                _ => break,
            }
        }
        let head = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\nX-Name: up\r\nSet-Cookie: c=up\r\n";
        let _ = stream.write_all(format!("{head}\r\nfirst\n").as_bytes());
        let _ = stream.shutdown(Shutdown::Write);
        let _ = stream.read_to_end(&mut seen);
    }
}

/// The answers without their dates, and the lines of the access log.
fn outcome(program: Program, requests: &[String]) -> io::Result<(Vec<String>, Vec<String>)> {
    let testbed = TestBed::new(program)?;
    testbed.write(&conf())?;
    testbed.host().run(|| {
        let path = format!("{PREFIX}/html/file.html");
        mount::file(&path, b"file\n", 0o644)?;
        let file = std::fs::File::options().write(true).open(path)?;
        file.set_modified(SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000_000))
    })??;
    let listener = testbed.host().run(|| TcpListener::bind(local(8084)))??;
    testbed.host().spawn(move || change_protocols(&listener))?;
    testbed.command(&[])?;
    let sent = requests.to_vec();
    let answers = testbed.host().run(move || {
        let ask = |text: &String| client::raw(local(8080), text.as_bytes(), LIMIT);
        sent.iter().map(ask).collect::<io::Result<Vec<_>>>()
    })??;
    let answers = answers.iter().map(|bytes| {
        let text = String::from_utf8_lossy(bytes).into_owned();
        let kept =
            text.split_inclusive('\n').filter(|line| !line.starts_with("Date: ") && !line.starts_with("Server: "));
        kept.collect::<String>().replace(" (Ubuntu)", "").replace("nginx/1.22.1", "nginx/1.23.4")
    });
    let answers = answers.collect();
    let lines = || {
        let log = testbed.file("logs/access.log").ok()?;
        (log.lines().count() == requests.len()).then(|| log.lines().map(str::to_owned).collect())
    };
    let lines: Vec<String> = wait_for("a line for each request", LIMIT, lines)?;
    // The line of a request whose body is awaited comes late.
    let of = |request: &String| {
        let first = request.lines().next().unwrap_or_default();
        let line = lines.iter().find(|line| line.split('|').any(|value| value == first));
        line.cloned().ok_or_else(|| io::Error::other(format!("no line for {first}")))
    };
    Ok((answers, requests.iter().map(of).collect::<io::Result<_>>()?))
}

/// A value as it is compared: of times only whether there are any.
fn comparable(name: &str, value: &str) -> String {
    if name.ends_with("_time") {
        let digits = |text: &str| text.contains(|c: char| c.is_ascii_digit());
        return value.split_inclusive(' ').map(|part| if digits(part) { "T " } else { part }).collect();
    }
    if name == "sent_http_date" {
        value.get(..3).map(|_| "date").unwrap_or_default().to_owned()
    } else {
        value.to_owned()
    }
}

#[test]
fn variables_behind_internal_jumps_are_nginxs() {
    let requests = requests();
    let [original, ours] = [Program::Original, Program::Ours]
        .map(|program| outcome(program, &requests).unwrap_or_else(|error| panic!("{program:?}: {error}")));
    let mut different: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let mut excused = [0; KNOWN.len()];
    for (at, request) in requests.iter().enumerate() {
        let title = request.split('?').next().unwrap_or_default();
        if original.0[at] != ours.0[at] {
            let pair = format!("{title}: {:?}, ours {:?}", original.0[at], ours.0[at]);
            different.entry("the answer".to_owned()).or_default().push(pair);
        }
        for (name, (theirs, own)) in names().iter().zip(original.1[at].split('|').zip(ours.1[at].split('|'))) {
            let (theirs, own) = (comparable(name, theirs), comparable(name, own));
            if theirs == own {
                continue;
            }
            let known =
                |(start, names, _): &(&str, &[&str], &str)| title.starts_with(start) && names.contains(&name.as_str());
            if let Some(row) = KNOWN.iter().position(known) {
                excused[row] += 1;
                continue;
            }
            different.entry(name.clone()).or_default().push(format!("{title}: {theirs:?}, ours {own:?}"));
        }
    }
    for list in different.values_mut() {
        list.truncate(5);
    }
    assert!(different.is_empty(), "{different:#?}");
    for ((start, names, reason), count) in KNOWN.iter().zip(excused) {
        assert!(count > 0, "{start} {names:?} is the same by now: {reason}");
    }
}
