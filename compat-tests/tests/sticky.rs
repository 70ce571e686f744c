//! Sessions that stay with their server: `sticky cookie`, `sticky route`, `route=` and `drain`, as of nginx 1.29.6.

use std::io;

use compat_tests::client::{self, Response};
use compat_tests::program::Program;
use compat_tests::testbed::{LIMIT, TestBed, local};
use compat_tests::wait_for;

const CONF: &str = r#"worker_processes 2;
events { }
http {
    access_log off;
    upstream cookie {
        zone cookie 64k;
        server 127.0.0.1:9101;
        server 127.0.0.1:9102;
        sticky cookie srv expires=1h domain=$arg_domain path=/ httponly secure samesite=$arg_same;
    }
    upstream route {
        zone route 64k;
        server 127.0.0.1:9101 route=a;
        server 127.0.0.1:9102 route=b drain;
        server 127.0.0.1:9103 route=c backup;
        sticky route $arg_first $cookie_second;
    }
    upstream learn {
        server 127.0.0.1:9101;
        server 127.0.0.1:9102;
        server 127.0.0.1:9103;
        sticky learn create=$upstream_cookie_session lookup=$cookie_session zone=sessions:1m;
    }
    upstream next { server 127.0.0.1:9 route=dead; server 127.0.0.1:9102 route=b; sticky cookie srv expires=max; }
    server {
        listen 127.0.0.1:8080;
        location / { proxy_pass http://cookie; }
        location /route { proxy_pass http://route; }
        location /next { proxy_pass http://next; }
        location /learn { proxy_pass http://learn; }
        location /page { proxy_pass http://127.0.0.1:9; error_page 502 /next; }
    }
    server {
        listen 127.0.0.1:9101;
        listen 127.0.0.1:9102;
        listen 127.0.0.1:9103;
        location = /learn/begin { add_header Set-Cookie session=s$server_port; return 200 "$server_port\n"; }
        location / { add_header Set-Cookie own=1; return 200 "$server_port\n"; }
    }
}
"#;

fn testbed() -> io::Result<TestBed> {
    stand_with(CONF)
}

fn stand_with(conf: &str) -> io::Result<TestBed> {
    let testbed = TestBed::new(Program::Ours)?;
    testbed.write(conf)?;
    testbed.command(&[])?;
    testbed.wait_for_text(8080, "/", "910")?;
    Ok(testbed)
}

fn get(testbed: &TestBed, target: &str, cookie: &str) -> io::Result<Response> {
    let (target, cookie) = (target.to_owned(), cookie.to_owned());
    testbed.host().run(move || client::get(local(8080), &target, &[("Cookie", &cookie)], LIMIT))?
}

/// The cookies of a response, in order.
fn cookies(response: &Response) -> Vec<&str> {
    let named = response.headers.iter().filter(|(name, _)| name.eq_ignore_ascii_case("set-cookie"));
    named.map(|(_, value)| value.as_str()).collect()
}

#[test]
fn a_cookie_names_the_server_of_a_session() {
    let testbed = testbed().expect("a server");
    let first = get(&testbed, "/?same=lax&domain=x.ex", "").expect("an answer");
    let [ours, own] = cookies(&first)[..] else { panic!("two cookies: {first:?}") };
    assert_eq!(own, "own=1");
    let (pair, attributes) = ours.split_once("; ").expect("attributes");
    let (expires, rest) = attributes.split_once(" GMT; ").expect("a date");
    assert!(expires.starts_with("expires="), "{ours}");
    assert_eq!(rest, "max-age=3600; domain=x.ex; httponly; secure; samesite=lax; path=/");
    for _ in 0..6 {
        let answer = get(&testbed, "/?same=odd", &format!("a=b; {pair}")).expect("an answer");
        assert_eq!(answer.text(), first.text());
        assert!(cookies(&answer)[0].starts_with(pair) && cookies(&answer)[0].contains("samesite=strict"), "{answer:?}");
    }
    let others: Vec<String> = (0..4).map(|_| get(&testbed, "/", "srv=unknown").expect("an answer").text()).collect();
    assert!(others.iter().any(|text| *text != first.text()), "{others:?}");
}

#[test]
fn variables_name_the_server_and_one_that_drains_has_its_sessions_alone() {
    let testbed = testbed().expect("a server");
    for (target, cookie, expected) in [
        ("/route?first=b", "", "9102\n"),
        ("/route?first=a", "second=b", "9101\n"),
        ("/route", "second=b", "9102\n"),
        ("/route", "", "9101\n"),
        // Primary servers are asked before backups, whatever the session.
        ("/route?first=c", "", "9101\n"),
    ] {
        for _ in 0..4 {
            let answer = get(&testbed, target, cookie).expect("an answer");
            assert_eq!((answer.text().as_str(), cookies(&answer)), (expected, vec!["own=1"]), "{target} {cookie}");
        }
    }
}

#[test]
fn the_cookie_is_that_of_the_server_that_answered() {
    let testbed = testbed().expect("a server");
    let forever = "expires=Thu, 31-Dec-37 23:55:55 GMT; max-age=315360000";
    for target in ["/next", "/page"] {
        let answer = get(&testbed, target, "srv=dead").expect("an answer");
        assert_eq!(cookies(&answer), [&*format!("srv=b; {forever}"), "own=1"], "{target}");
    }
    wait_for("the server", LIMIT, || (get(&testbed, "/next", "srv=b").ok()?.text() == "9102\n").then_some(()))
        .expect("an answer");
}

#[test]
fn a_session_that_a_server_begins_stays_with_it() {
    // It is known when its response has ended: another worker might have the next request before.
    let testbed = stand_with(&CONF.replace("worker_processes 2", "worker_processes 1")).expect("a server");
    for _ in 0..4 {
        let first = get(&testbed, "/learn/begin", "").expect("an answer");
        let [session] = cookies(&first)[..] else { panic!("one cookie: {first:?}") };
        for _ in 0..4 {
            assert_eq!(get(&testbed, "/learn/on", session).expect("an answer").text(), first.text());
        }
        // It outlives a reload.
        testbed.command(&["-s", "reload"]).expect("a reload");
        assert_eq!(get(&testbed, "/learn/on", session).expect("an answer").text(), first.text());
    }
    let strangers: Vec<String> =
        (0..6).map(|_| get(&testbed, "/learn/on", "session=other").expect("an answer").text()).collect();
    assert!(strangers.iter().any(|text| *text != strangers[0]), "{strangers:?}");
}
