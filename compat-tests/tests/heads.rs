//! What is asked for, made by a generator and sent to the installed nginx and to ours: paths of all segments with and
//! without `merge_slashes`, texts an expression gives up, lines of the chunked coding.

use std::io;

use compat_tests::client;
use compat_tests::compare::both;
use compat_tests::program::Program;
use compat_tests::testbed::{LIMIT, TestBed, local};
use compat_tests::wait_for;

const CONF: &str = r#"worker_processes 1;
events { }
http {
    log_format status "$status";
    access_log logs/access.log status;
    map $arg_text $mapped { ~^(x+x+)+y matches; default none; }
    server { listen 127.0.0.1:8080; location / { return 200 "[$uri]"; } location /adm/ { return 403; } }
    server { listen 127.0.0.1:8081; merge_slashes off; location / { return 200 "[$uri]"; } location /adm/ { return 403; } }
    server {
        listen 127.0.0.1:8082;
        location /find/ { location ~ ^/find/(x+x+)+y { return 403; } return 200 found; }
        location /if/ { if ($uri ~ ^/if/(x+x+)+y) { return 403; } return 200 found; }
        location /unless/ { if ($arg_text !~ ^(x+x+)+y) { return 200 found; } return 403; }
        location /rewrite/ { rewrite ^/rewrite/(x+x+)+y /other; return 200 found; }
        location /page/ { error_page 500 /other; if ($uri ~ ^/page/(x+x+)+y) { return 403; } return 200 found; }
        location /map/ { return 200 "[$mapped]"; }
        location /other { return 200 other; }
        location /upload { client_max_body_size 10; proxy_pass http://127.0.0.1:8083; }
    }
    server { listen 127.0.0.1:8082; server_name ~^(x+x+)+y; return 200 named; }
    server {
        listen 127.0.0.1:8083;
        location / { return 200 taken; }
        location /arguments { return 200 "[$args]"; }
        location /cookies { add_header Set-Cookie "x=1; Domain=.A.com"; return 200 taken; }
        location /challenge {
            add_header WWW-Authenticate "Basic a" always;
            add_header WWW-Authenticate "Digest b" always;
            return 401;
        }
    }
    server {
        listen 127.0.0.1:8084;
        location /implicit { proxy_pass http://localhost:8083; }
        location /named { set $to localhost:8083; proxy_pass http://$to; }
        location /unknown { set $to localhost:8085; proxy_pass http://$to; }
        location /cookie { return 200 "[$cookie_foo][$cookie_qux]"; }
        location /cookies { proxy_pass http://127.0.0.1:8083; proxy_cookie_domain a.com .b.com; }
        location /cookies/expression { proxy_pass http://127.0.0.1:8083; proxy_cookie_domain ~a\.com$ b.com; }
        location /auth { auth_request /ask; }
        location = /ask { proxy_pass http://127.0.0.1:8083/challenge; }
        location /twice { return 200 "[$http_user_agent][$http_referer][$content_type][$http_accept]"; }
        location /alias/ { alias conf/; try_files $uri /alias/nginx.conf nginx.conf =404; }
        location ~ ^/regex/(.*)$ { alias conf/; try_files $1 nginx.conf =404; }
        location /outer/ { location /outer/inner/ { alias conf/; try_files $uri $uri.conf =404; } }
        location ~ ^/folder/ { alias conf; try_files / =404; }
        location /arguments {
            auth_request /ask/ok;
            auth_request_set $args "set=$request_method";
            proxy_pass http://127.0.0.1:8083;
        }
        location = /ask/ok { return 204; }
        location /browser { keepalive_disable none; keepalive_timeout 1; return 200 kept; }
        location /expires { expires modified $arg_time; return 200 expires; }
    }
    server {
        listen 127.0.0.1:8088;
        error_page 400 414 494 501 505 = /page;
        location = /page { return 200 "[$uri][$http_x][$status]"; }
    }
    server {
        listen 127.0.0.1:8089;
        error_page 400 414 494 501 505 = @named;
        location @named { return 200 "[$uri][$http_x][$status]"; }
    }
}
stream {
    map $remote_addr $mapped { default "mapped "; }
    server { listen 127.0.0.1:8086; set $mapped "set "; return $mapped; }
    server { listen 127.0.0.1:8087; return $mapped; }
}
"#;

/// A text that `(x+x+)+y` gives up.
const GIVEN_UP: &str = "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxzy";

/// Every path of up to five of these segments.
fn paths() -> Vec<String> {
    let segments = ["", ".", "..", "a", "%2e", "%2e%2e", "adm"];
    let mut paths = vec![String::new()];
    let mut shorter = 0..1;
    for _ in 0..5 {
        let start = paths.len();
        for index in shorter {
            let made: Vec<String> = segments.iter().map(|segment| format!("{}/{segment}", paths[index])).collect();
            paths.extend(made);
        }
        shorter = start..paths.len();
    }
    paths.split_off(1)
}

/// The status of an answer and its last line, without what names the server.
fn outcome(answer: &[u8]) -> String {
    let text = String::from_utf8_lossy(answer);
    let status = text.split(' ').nth(1).unwrap_or("none").to_owned();
    let body = text.split_once("\r\n\r\n").map_or(&*text, |(_, body)| body);
    // Where the original has modules to load, its configuration has a line more.
    let body = if body.contains("events {") { "the configuration" } else { body };
    if body.starts_with("<html>") { status } else { format!("{status} {body}") }
}

/// Sends what belongs to one connection at a time; the answers.
fn ask(testbed: &TestBed, port: u16, sent: Vec<String>) -> io::Result<Vec<String>> {
    testbed.host().run(move || {
        let answer = |text: &String| client::raw(local(port), text.as_bytes(), LIMIT).map(|answer| outcome(&answer));
        sent.iter().map(answer).collect()
    })?
}

fn started(program: Program) -> TestBed {
    let testbed = TestBed::new(program).expect("a host");
    testbed.write(CONF).expect("a configuration");
    testbed.command(&[]).unwrap_or_else(|error| panic!("{program:?} starts: {error}"));
    testbed.wait_for_text(8080, "/", "[/]").expect("an answer");
    testbed
}

fn same(port: u16, sent: &[String]) {
    let [original, ours] = both(|program| ask(&started(program), port, sent.to_vec()));
    let different = sent.iter().zip(original.iter().zip(&ours)).filter(|(_, (original, ours))| original != ours);
    let different: Vec<String> = different.map(|(sent, pair)| format!("{sent:?}: {pair:?}")).collect();
    assert!(
        different.is_empty(),
        "{} of {}: {:#?}",
        different.len(),
        sent.len(),
        different.get(..20.min(different.len()))
    );
}

#[test]
fn paths_of_all_segments_are_nginxs_with_and_without_merge_slashes() {
    let sent: Vec<String> = paths().iter().map(|path| format!("GET {path} HTTP/1.0\r\n\r\n")).collect();
    for port in [8080, 8081] {
        same(port, &sent);
    }
}

#[test]
fn an_expression_that_reaches_a_limit_refuses_as_in_nginx() {
    let paths = ["/find/@", "/if/@", "/unless/?text=@", "/rewrite/@", "/page/@", "/map/?text=@"];
    let [original, ours] = [Program::Original, Program::Ours].map(|program| {
        let testbed = started(program);
        let mut sent: Vec<String> =
            paths.iter().map(|path| format!("GET {} HTTP/1.0\r\n\r\n", path.replace('@', GIVEN_UP))).collect();
        sent.push(format!("GET /find/ HTTP/1.0\r\nHost: {GIVEN_UP}\r\n\r\n"));
        let answers = ask(&testbed, 8082, sent).expect("answers");
        let log = testbed.file("logs/error.log").expect("a log");
        // nginx 1.22 names the expression of a map wrongly.
        let alerts = log.lines().filter_map(|line| line.split_once("pcre2_match() failed")?.1.split_once(" using "));
        let alerts: Vec<(String, bool)> = alerts
            .map(|(text, rest)| (text.to_owned(), rest.contains("\" while reading client request headers, client: ")))
            .collect();
        let refused = || testbed.file("logs/access.log").ok().filter(|log| log.matches("500\n").count() == 6);
        wait_for("lines of refused requests", LIMIT, refused).expect("lines of refused requests");
        (answers, alerts)
    });
    assert_eq!(original, ours);
    assert_eq!(ours.1.len(), 7);
}

#[test]
fn an_address_made_of_variables_finds_the_group_of_another_location() {
    let sent = ["/implicit", "/named", "/unknown"].map(|path| format!("GET {path} HTTP/1.0\r\n\r\n"));
    same(8084, &sent);
}

/// What ours answers on 8084 to what 1.22 reads otherwise.
fn answers(sent: Vec<String>) -> Vec<String> {
    ask(&started(Program::Ours), 8084, sent).expect("answers")
}

#[test]
fn headers_given_twice_are_joined_or_refused_as_in_nginx_1_23() {
    let pairs = [
        ("User-Agent", "200 [a, b][][][]"),
        ("Referer", "200 [][a, b][][]"),
        ("Content-Type", "200 [][][a, b][]"),
        ("Accept", "200 [][][][a, b]"),
        ("Content-Range", "400"),
        ("If-Range", "400"),
        ("Upgrade", "200 [][][][]"),
        ("Keep-Alive", "200 [][][][]"),
    ];
    let sent = pairs.map(|(name, _)| format!("GET /twice HTTP/1.0\r\n{name}: a\r\nX: y\r\n{name}: b\r\n\r\n"));
    assert_eq!(answers(sent.into()), pairs.map(|(_, answer)| answer));
}

#[test]
fn cookies_are_found_as_in_nginx_1_23() {
    let cookies = [
        ("foo=1, qux=0", "200 [1, qux=0][0]"),
        ("foo = 1 ; qux=0", "200 [1 ][0]"),
        ("a=foo=1;foo=2", "200 [2][]"),
        ("food=1; foo=2", "200 [2][]"),
        ("foo=; qux=1,foo=2", "200 [][1,foo=2]"),
        ("foo;foo=3", "200 [][]"),
        (" foo=1", "200 [1][]"),
    ];
    let sent = cookies.map(|(cookie, _)| format!("GET /cookie HTTP/1.0\r\nCookie: {cookie}\r\n\r\n"));
    assert_eq!(answers(sent.into()), cookies.map(|(_, answer)| answer));
}

#[test]
fn domains_of_cookies_and_challenges_pass_as_in_nginx_1_23() {
    let testbed = started(Program::Ours);
    for (path, wanted) in [
        ("/cookies", "Set-Cookie: x=1; Domain=.b.com\r\n"),
        ("/cookies/expression", "Set-Cookie: x=1; Domain=b.com\r\n"),
        ("/auth", "WWW-Authenticate: Basic a\r\nWWW-Authenticate: Digest b\r\n"),
    ] {
        let sent = format!("GET {path} HTTP/1.0\r\n\r\n");
        let answer = testbed.host().run(move || client::raw(local(8084), sent.as_bytes(), LIMIT)).expect("a host");
        let answer = String::from_utf8_lossy(&answer.expect("an answer")).into_owned();
        assert!(answer.contains(wanted), "{path}: {answer}");
    }
}

#[test]
fn a_refused_head_is_answered_by_its_error_page() {
    let long = "a".repeat(9000);
    let heads = [
        "GET / HTTP/1.1\r\nHost: .\r\nConnection: close\r\n\r\n".to_owned(),
        "GET / HTTP/1.1\r\n\r\n".to_owned(),
        "GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n".to_owned(),
        "GET / HTTP/1.1\r\nHost: a\r\nX: y\r\nTransfer-Encoding: gzip\r\n\r\n".to_owned(),
        "POST / HTTP/1.0\r\nX: y\r\nContent-Length: z\r\n\r\n".to_owned(),
        "G\u{1}T / HTTP/1.0\r\n\r\n".to_owned(),
        "GET / HTTP/3.0\r\n\r\n".to_owned(),
        "GET /../x HTTP/1.0\r\n\r\n".to_owned(),
        "CONNECT a:1 HTTP/1.0\r\n\r\n".to_owned(),
        "GET http://. HTTP/1.0\r\n\r\n".to_owned(),
        format!("GET /{long} HTTP/1.0\r\n\r\n"),
        format!("GET / HTTP/1.0\r\nX: {long}\r\n\r\n"),
    ];
    for port in [8088, 8089] {
        same(port, &heads);
    }
}

#[test]
fn settings_of_the_location_decide_what_a_response_says() {
    let testbed = started(Program::Ours);
    let post = "POST /browser HTTP/1.1\r\nHost: x\r\nUser-Agent: MSIE 5.0\r\nContent-Length: 0\r\n\r\n";
    for (sent, wanted, there) in [
        (post, "Connection: keep-alive\r\n", true),
        ("GET /arguments?x HTTP/1.0\r\n\r\n", "[set=GET]", true),
        ("GET /expires?time=1h HTTP/1.0\r\n\r\n", "Cache-Control: max-age=3600\r\n", true),
        ("GET /expires?time=epoch HTTP/1.0\r\n\r\n", "Expires:", false),
        ("GET /expires?time=max HTTP/1.0\r\n\r\n", "Expires:", false),
    ] {
        let answer = testbed.host().run(move || client::raw(local(8084), sent.as_bytes(), LIMIT)).expect("a host");
        let answer = String::from_utf8_lossy(&answer.expect("an answer")).into_owned();
        assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{sent}: {answer}");
        assert_eq!(answer.contains(wanted), there, "{sent}: {answer}");
    }
}

#[test]
fn try_files_finds_what_is_below_an_alias_as_in_nginx() {
    let paths = [
        "/alias/nginx.conf",
        "/alias/none",
        "/regex/nginx.conf",
        "/regex/none",
        "/outer/inner/nginx.conf",
        "/outer/inner/nginx",
        "/outer/inner/none",
        "/folder/x",
    ];
    same(8084, &paths.map(|path| format!("GET {path} HTTP/1.0\r\n\r\n")));
}

#[test]
fn a_variable_of_a_map_that_one_stream_server_sets_keeps_its_value_in_others() {
    for port in [8086, 8087] {
        same(port, &[String::new()]);
    }
}

#[test]
fn lines_of_chunked_bodies_end_as_in_nginx() {
    let bodies = [
        "5\r\nhello\r\n0\r\n\r\n",
        "5\nhello\n0\n\n",
        "5;a=\"b\"\r\nhello\r\n0;c\r\nA: b\r\n\r\n",
        "5\r\r\nhello\r\n0\r\n\r\n",
        "5\rXYZ\nhello\r\n0\r\n\r\n",
        "5;a\rb\nhello\r\n0\r\n\r\n",
        "5\r\nhello\r\r\n0\r\n\r\n",
        "0\r\r\n\r\n",
        "0;x\ry\n\r\n",
        "0\r\n\r\r\n",
        "0\r\n\rX\n\n",
        "0\r\nA: b\rc\r\n\r\n",
        "0\r\nA: b\r\r\n\r\n",
        "b\r\nhello world\r\n0\r\n\r\n",
        "x\r\n",
        "fffffffffffffffff\r\n",
    ];
    let head = "POST /upload HTTP/1.1\r\nHost: x\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n";
    let sent: Vec<String> = bodies.iter().map(|body| format!("{head}{body}")).collect();
    same(8082, &sent);
}

#[test]
fn versions_and_request_lines_are_nginxs() {
    let versions = [
        "1.0", "1.1", "1.9", "1.999", "1.1000", "01.1", "1.01", "1.0001", "2.0", "11.1", "0.9", "1.", "1", "1.1x",
        "1.1 x",
    ];
    let mut sent: Vec<String> = versions
        .iter()
        .map(|version| format!("GET / HTTP/{version}\r\nHost: x\r\nConnection: close\r\n\r\n"))
        .collect();
    sent.push("GET /  HTTP/1.0  \r\n\r\n".to_owned());
    same(8080, &sent);
}
