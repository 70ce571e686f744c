//! Requests passed on to programs, beside the installed nginx: real PHP over FastCGI, a real uwsgi server, and servers that
//! answer as they should not.

use std::io::{self, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, mpsc};
use std::time::Duration;

use compat_tests::compare::{self, alike, both};
use compat_tests::peer::PREFIX;
use compat_tests::process::Running;
use compat_tests::program::Program;
use compat_tests::service::Service;
use compat_tests::testbed::{LIMIT, TestBed, local};
use compat_tests::{certificates, client, mount, wait_for};

const CONF: &str = r#"worker_processes 1;
events { }
http {
    server_tokens off;
    log_format all "$request|$status|$upstream_status|$upstream_response_length|$upstream_bytes_received";
    access_log logs/access.log all;
    uwsgi_modifier1 5;
    upstream kept { server 127.0.0.1:9104; keepalive 2; }
    upstream php { server 127.0.0.1:9100; keepalive 2; }
    fastcgi_param QUERY_STRING $query_string;
    fastcgi_param REQUEST_METHOD $request_method;
    fastcgi_param CONTENT_TYPE $content_type;
    fastcgi_param CONTENT_LENGTH $content_length;
    uwsgi_param QUERY_STRING $query_string;
    uwsgi_param REQUEST_METHOD $request_method;
    uwsgi_param CONTENT_LENGTH $content_length;
    uwsgi_param PATH_INFO $document_uri;
    scgi_param QUERY_STRING $query_string;
    scgi_param SCGI 1;
    server {
        listen 127.0.0.1:8080;
        root html;
        index index.php;
        location / { try_files $uri $uri/ /index.php?$args; }
        location ~ \.php(/|$) {
            fastcgi_split_path_info ^(.+\.php)(/.+)$;
            fastcgi_index index.php;
            fastcgi_pass 127.0.0.1:9100;
            fastcgi_param QUERY_STRING $query_string;
            fastcgi_param REQUEST_METHOD $request_method;
            fastcgi_param CONTENT_TYPE $content_type;
            fastcgi_param CONTENT_LENGTH $content_length;
            fastcgi_param SCRIPT_FILENAME $document_root$fastcgi_script_name;
            fastcgi_param SCRIPT_NAME $fastcgi_script_name;
            fastcgi_param PATH_INFO $fastcgi_path_info;
            fastcgi_param FOO $arg_foo if_not_empty;
        }
        location /keep/ {
            fastcgi_pass php;
            fastcgi_keep_conn on;
            fastcgi_param QUERY_STRING $query_string;
            fastcgi_param REQUEST_METHOD $request_method;
            fastcgi_param SCRIPT_FILENAME $document_root/index.php;
            fastcgi_param CONTENT_TYPE $content_type;
            fastcgi_param CONTENT_LENGTH $content_length;
            fastcgi_param HTTP_X_A mine;
        }
        location /through/ {
            set $to 127.0.0.1:9100;
            fastcgi_pass $to;
            fastcgi_request_buffering off;
            fastcgi_buffering off;
            fastcgi_catch_stderr "caught";
            fastcgi_intercept_errors on;
            error_page 418 /keep/teapot;
            fastcgi_param QUERY_STRING $query_string;
            fastcgi_param REQUEST_METHOD $request_method;
            fastcgi_param CONTENT_LENGTH $content_length;
            fastcgi_param SCRIPT_FILENAME $document_root/index.php;
        }
        location /uwsgi/ { uwsgi_modifier1 0; uwsgi_pass 127.0.0.1:9101; }
        location /secure/ { uwsgi_modifier1 0; uwsgi_pass suwsgi://127.0.0.1:9105; uwsgi_ssl_name a.example; }
        location /packet/ { uwsgi_string tail; uwsgi_modifier2 7; location /packet/in/ { uwsgi_pass 127.0.0.1:9106; } }
        location /named/ { uwsgi_modifier1 0; set $to uwsgi://127.0.0.1:9101; uwsgi_pass $to; uwsgi_pass_request_headers off; }
        location /scgi/ { scgi_pass 127.0.0.1:9102; }
        location /bad/ { fastcgi_pass 127.0.0.1:9103; }
        location /bad/kept/ { fastcgi_pass 127.0.0.1:9103; fastcgi_keep_conn on; }
        location /large/ { fastcgi_pass 127.0.0.1:9103; fastcgi_param LARGE $args$args$args$args$args$args$args$args$args$args; }
        location /kept/ { fastcgi_pass kept; fastcgi_keep_conn on; }
        location /flood/ { fastcgi_pass 127.0.0.1:9107; }
        location /parts/ { fastcgi_pass 127.0.0.1:9108; }
        location /nobody/ { fastcgi_pass 127.0.0.1:9; }
    }
}
stream { server { listen 127.0.0.1:9105 ssl; ssl_certificate ec.pem; ssl_certificate_key ec.key; proxy_pass 127.0.0.1:9101; } }
"#;

const PHP: &str = r#"<?php
header('X-Php: yes');
if (isset($_GET['to'])) { header('Location: ' . $_GET['to']); exit; }
if (isset($_GET['accel'])) { header('X-Accel-Redirect: /keep/accel'); exit; }
if (isset($_GET['status'])) http_response_code((int)$_GET['status']);
if (isset($_GET['say'])) error_log($_GET['say']);
if (isset($_GET['length'])) header('Content-Length: ' . $_GET['length']);
ksort($_SERVER);
foreach ($_SERVER as $name => $value)
    if (preg_match('/^(SCRIPT_N|PATH_|QUERY|REQUEST_M|CONTENT|HTTP_|FOO)/', $name)) echo "$name=$value\n";
$body = file_get_contents('php://input');
echo strlen($body), ' ', md5($body), "\n";
if (isset($_GET['many'])) echo str_repeat('x', (int)$_GET['many']);
"#;

const WSGI: &str = r"
def application(env, start):
    body = env['wsgi.input'].read() if env.get('CONTENT_LENGTH') else b''
    names = [name for name in sorted(env) if name.startswith(('HTTP_', 'CONTENT', 'REQUEST_M', 'QUERY', 'PATH'))]
    text = ''.join('%s=%s\n' % (name, env[name]) for name in names) + '%d\n' % len(body)
    status = '404 Nope' if 'missing' in env.get('QUERY_STRING', '') else '200 OK'
    start(status, [('Content-Type', 'text/plain'), ('Content-Length', str(len(text)))])
    return [text.encode()]
";

const FPM: &str = "[global]
error_log = /tmp/fpm.log
[www]
user = nobody
group = nogroup
listen = 127.0.0.1:9100
pm = static
pm.max_children = 4
";

/// A FastCGI record.
fn record(kind: u8, content: &[u8]) -> Vec<u8> {
    let [high, low] = u16::try_from(content.len()).expect("a short record").to_be_bytes();
    [&[1, kind, 0, 1, high, low, 0, 0], content].concat()
}

/// What a FastCGI server sends that means no good.
fn bad(query: &str) -> Vec<u8> {
    let head = |text: &str| record(6, text.as_bytes());
    let end = [record(6, b""), record(3, &[0; 8])].concat();
    let good = head("Content-Type: a/b\r\n\r\n0123456789");
    match query {
        "nothing" => Vec::new(),
        "version" => [&[7], &good[..]].concat(),
        "kind" => record(9, b"x"),
        "number" => [1, 6, 0, 9, 0, 0, 0, 0].to_vec(),
        "closed" => end,
        "ended" => record(3, &[0; 8]),
        "status" => [head("Status: good\r\n\r\n"), end].concat(),
        "line" => [head("Na\x01me: x\r\n\r\n"), end].concat(),
        "cut" => head("Content-Type: a/b\r\n"),
        "split" => [head("Content-"), head("Type: a/b\r\nX: "), head("y\r\n\r"), head("\nbody"), end].concat(),
        "error" => [record(7, b"one. \n"), head("X: y\r\n\r\n"), record(7, b"two"), end].concat(),
        "short" => [head("Content-Length: 20\r\n\r\n0123456789"), end].concat(),
        "half" => [head("Content-Length: 20\r\n\r\n0123456789"), record(3, &[0; 8])].concat(),
        "long" => [head("Content-Length: 5\r\n\r\n0123456789"), end].concat(),
        "open" => good,
        "more" => [good, end, record(6, b"and more")].concat(),
        "none" => [head("Status: 204 None\r\n\r\n"), end].concat(),
        _ => [good, end].concat(),
    }
}

const BAD: &[&str] = &[
    "nothing", "version", "kind", "number", "closed", "ended", "status", "line", "cut", "split", "error", "long",
    "open", "more", "none", "good",
];

/// What an SCGI server sends.
fn scgi(query: &str) -> Vec<u8> {
    let text: &str = match query {
        "line" => "HTTP/1.1 201 Made\r\nX: y\r\n\r\nbody",
        "status" => "Status: 404 Not here\nX: y\n\nbody",
        "bad" => "Status: bad\r\n\r\n",
        "place" => "Location: /else\r\n\r\nbody",
        "length" => "Content-Length: 4\r\n\r\nbody",
        "empty" => "",
        _ => "X: y\r\n\r\nbody",
    };
    text.as_bytes().to_vec()
}

const SCGI: &[&str] = &["line", "status", "bad", "place", "length", "empty", "plain"];

/// Reads until the query string is there, and answers. Whatever else is sent is read until the other side closes.
fn answer(mut stream: TcpStream, make: fn(&str) -> Vec<u8>, ends: &[u8]) -> io::Result<()> {
    let (mut text, mut piece) = (Vec::new(), [0; 4096]);
    loop {
        let count = stream.read(&mut piece)?;
        text.extend_from_slice(&piece[..count]);
        if count == 0 || text.ends_with(ends) {
            break;
        }
    }
    let at = text.windows(12).position(|window| window == b"QUERY_STRING").map_or(0, |at| at + 12);
    let rest = text[at..].iter().copied().skip_while(|byte| !byte.is_ascii_alphabetic());
    let query: Vec<u8> = rest.take_while(u8::is_ascii_lowercase).collect();
    stream.write_all(&make(&String::from_utf8_lossy(&query)))
}

/// Tells which connection, and which request on it, it answers.
fn counts(mut stream: TcpStream, number: usize) -> io::Result<()> {
    for turn in 1.. {
        let (mut text, mut piece) = (Vec::new(), [0; 4096]);
        while !text.ends_with(&[1, 5, 0, 1, 0, 0, 0, 0]) {
            let count = stream.read(&mut piece)?;
            if count == 0 {
                return Ok(());
            }
            text.extend_from_slice(&piece[..count]);
        }
        let answer = format!("X: y\r\n\r\nconnection {number}, request {turn}\n");
        let answer = [record(6, answer.as_bytes()), record(6, b""), record(3, &[0; 8])].concat();
        // The last bytes of a request may come late.
        let (first, last) = answer.split_at(answer.len() - 3);
        stream.write_all(first)?;
        stream.write_all(last)?;
    }
    Ok(())
}

/// Tells the head of an uwsgi packet, and how the packet ends.
fn tells(mut stream: TcpStream) -> io::Result<()> {
    let mut head = [0; 4];
    stream.read_exact(&mut head)?;
    let mut packet = vec![0; usize::from(u16::from_le_bytes([head[1], head[2]]))];
    stream.read_exact(&mut packet)?;
    let end = String::from_utf8_lossy(&packet[packet.len().saturating_sub(4)..]).into_owned();
    let answer = format!("X: y\r\n\r\nmodifiers {} and {}, end {end}\n", head[0], head[3]);
    stream.write_all(answer.as_bytes())
}

/// Requests: method, target, headers, body.
fn requests(target: &str) -> Vec<Vec<u8>> {
    let body = "0123456789".repeat(5000);
    let chunks = format!("{:x}\r\n{body}\r\n3\r\nend\r\n0\r\n\r\n", body.len());
    let mark = if target.contains('?') { "&" } else { "?" };
    [
        format!(
            "GET {target}{mark}foo=bar HTTP/1.1\r\nHost: x\r\nConnection: close\r\nX-A: 1\r\nCookie: a=1; b=2\r\n\r\n"
        ),
        format!("HEAD {target} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"),
        format!(
            "POST {target} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        ),
        format!("POST {target} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n{chunks}"),
    ]
    .map(String::into_bytes)
    .to_vec()
}

/// What differs from run to run; and a body without its chunks, whose borders are those of what was read.
fn steady(answer: &[u8]) -> String {
    let end = answer.windows(4).position(|four| four == b"\r\n\r\n").map_or(answer.len(), |at| at + 4);
    let (head, mut body) = answer.split_at(end);
    let is_chunked = head.windows(7).any(|window| window == b"chunked") && !body.is_empty();
    let body = if is_chunked {
        client::chunked(&mut body).unwrap_or_else(|error| error.to_string().into())
    } else {
        body.to_vec()
    };
    compare::steady(&String::from_utf8_lossy(&[head, &body].concat()))
}

/// Answers and log lines.
type Outcome = (Vec<(String, String)>, Vec<String>, Vec<String>);

/// A host with its servers.
struct Stage {
    testbed: TestBed,
    _servers: Vec<Running>,
    _services: Vec<Service>,
}

fn stage(program: Program) -> io::Result<Stage> {
    let testbed = TestBed::new(program)?;
    testbed.write(CONF)?;
    testbed.host().run(|| {
        mount::file(&format!("{PREFIX}/html/index.php"), PHP.as_bytes(), 0o644)?;
        mount::file("/tmp/fpm.conf", FPM.as_bytes(), 0o644)?;
        for (name, bytes) in certificates::all()? {
            mount::file(&format!("{PREFIX}/conf/{name}"), bytes, 0o600)?;
        }
        mount::file("/tmp/app.py", WSGI.as_bytes(), 0o644)
    })??;
    let mut services = Vec::new();
    for (port, make, ends) in [(9102, scgi as fn(&str) -> Vec<u8>, &b","[..]), (9103, bad, &[1, 5, 0, 1, 0, 0, 0, 0])] {
        let listener = testbed.host().run(move || TcpListener::bind(local(port)))??;
        services.push(Service::start(listener, move |stream, _| drop(answer(stream, make, ends)))?);
    }
    let listener = testbed.host().run(|| TcpListener::bind(local(9104)))??;
    let number = AtomicUsize::new(0);
    services.push(Service::start(listener, move |stream, _| {
        let number = number.fetch_add(1, Ordering::Relaxed);
        drop(counts(stream, number));
    })?);
    let listener = testbed.host().run(|| TcpListener::bind(local(9106)))??;
    services.push(Service::start(listener, |stream, _| drop(tells(stream)))?);
    let listener = testbed.host().run(|| TcpListener::bind(local(9107)))??;
    services.push(Service::start(listener, |mut stream, _| {
        let errors = record(7, &[b'x'; 8192]).repeat(32);
        while stream.write_all(&errors).is_ok() {}
    })?);
    let fpm = std::fs::read_dir("/usr/sbin")?
        .filter_map(|entry| Some(entry.ok()?.path()))
        .find(|path| path.to_string_lossy().starts_with("/usr/sbin/php-fpm"))
        .ok_or_else(|| io::Error::other("php-fpm is not installed"))?;
    let mut php = Command::new(fpm);
    php.args(["-F", "-n", "-y", "/tmp/fpm.conf"]);
    let mut uwsgi = Command::new("uwsgi");
    uwsgi.args(["--plugin", "python3", "--socket", "127.0.0.1:9101", "--wsgi-file", "/tmp/app.py", "--die-on-term"]);
    let servers = vec![testbed.host().start(php)?, testbed.host().start(uwsgi)?];
    testbed.command(&[])?;
    for port in [9100, 9101] {
        let connects = move || client::connect(local(port), LIMIT).is_ok();
        wait_for("the servers to listen", LIMIT, || testbed.host().run(connects).ok()?.then_some(()))?;
    }
    Ok(Stage { testbed, _servers: servers, _services: services })
}

fn outcome(program: Program, asked: Vec<Vec<u8>>) -> io::Result<Outcome> {
    let stage = stage(program)?;
    let count = asked.len();
    let answers = stage.testbed.host().run(move || {
        asked
            .into_iter()
            .map(|bytes| {
                let what = String::from_utf8_lossy(&bytes[..bytes.len().min(120)]).into_owned();
                let answer = client::raw(local(8080), &bytes, LIMIT)?;
                Ok((what, steady(&answer)))
            })
            .collect::<io::Result<Vec<_>>>()
    })??;
    let mut lines = stage.testbed.access_lines(count)?;
    // nginx writes a line when the connection has lingered, which the next request need not await.
    lines.sort();
    let text = |line: &str| Some(line.split_once(": *")?.1.split_once(' ')?.1.split(", host: ").next()?.to_owned());
    let log = stage.testbed.file("logs/error.log")?;
    // nginx cuts lines off.
    let short = |text: String| text.chars().take(200).collect();
    let errors = log.lines().filter_map(text).filter(|text| !text.contains("temporary file")).map(short).collect();
    Ok((answers, lines, errors))
}

/// Compares both programs.
fn same(asked: &[Vec<u8>]) -> Outcome {
    let [original, ours] = both(|program| outcome(program, asked.to_vec()));
    alike("answer", &original.0, &ours.0);
    alike("access log", &original.1, &ours.1);
    alike("error log", &original.2, &ours.2);
    ours
}

#[test]
fn php_is_asked_and_answers_as_behind_nginx() {
    let targets = [
        "/",
        "/index.php/a/b",
        "/pretty?status=404",
        "/index.php?to=/else",
        "/index.php?accel=1",
        "/index.php?say=something.",
        "/index.php?many=100000",
        "/keep/",
        "/keep/?many=70000",
        "/keep/?status=304",
    ];
    // Chunks to PHP on a kept connection are a race: it reads none of them.
    let kept =
        |request: &Vec<u8>| request.starts_with(b"POST /keep/") && request.windows(7).any(|part| part == b"chunked");
    let asked: Vec<Vec<u8>> =
        targets.iter().flat_map(|target| requests(target)).filter(|request| !kept(request)).collect();
    let (answers, ..) = same(&asked);
    assert!(answers[0].1.contains("FOO=bar\n"), "{}", answers[0].1);
    assert!(answers[4].1.contains("PATH_INFO=/a/b\n"), "{}", answers[4].1);
}

/// nginx joins them since 1.23.0, which is not the one that is installed.
#[test]
fn headers_that_come_twice_are_one_parameter() {
    let text =
        "GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\nX-A: 1\r\nX-A: 2\r\nCookie: a=1\r\nCookie: b=2\r\n\r\n";
    let (answers, ..) = outcome(Program::Ours, vec![text.into()]).expect("an outcome");
    let answer = &answers[0].1;
    assert!(answer.contains("HTTP_X_A=1, 2\n") && answer.contains("HTTP_COOKIE=a=1; b=2\n"), "{answer}");
}

#[test]
fn php_is_passed_bodies_as_they_come() {
    let asked: Vec<Vec<u8>> = ["/through/", "/through/?status=418", "/through/?say=caught"]
        .iter()
        .flat_map(|target| requests(target))
        .filter(|request| !request.windows(7).any(|window| window == b"chunked"))
        // What was passed on as it came is nobody else's.
        .filter(|request| !request.starts_with(b"POST /through/?status"))
        .collect();
    let [original, ours] =
        [Program::Original, Program::Ours].map(|program| outcome(program, asked.clone()).expect("an outcome"));
    for (original, ours) in original.0.iter().zip(&ours.0) {
        assert_eq!(original, ours);
    }
    assert_eq!(original.2, ours.2);
}

#[test]
fn uwsgi_and_scgi_are_spoken_as_by_nginx() {
    let short = |request: &Vec<u8>| !request.starts_with(b"POST /named/");
    let mut asked: Vec<Vec<u8>> = ["/uwsgi/a", "/uwsgi/?missing", "/secure/a", "/named/a"]
        .iter()
        .flat_map(|target| requests(target))
        .filter(short)
        .collect();
    for query in SCGI {
        asked.extend(requests(&format!("/scgi/?{query}")).into_iter().take(2));
    }
    asked.extend(requests("/packet/in/a").into_iter().take(2));
    let (answers, ..) = same(&asked);
    assert!(answers.iter().any(|(_, answer)| answer.ends_with("modifiers 5 and 7, end tail")), "{answers:?}");
}

#[test]
fn a_program_that_only_complains_does_not_hold_up_others() {
    let stage = stage(Program::Ours).expect("a host");
    let answer = stage.testbed.host().run(|| {
        let mut flooded = client::connect(local(8080), LIMIT)?;
        flooded.write_all(b"GET /flood/ HTTP/1.1\r\nHost: x\r\n\r\n")?;
        let text = b"GET /index.php HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
        let answers: io::Result<Vec<Vec<u8>>> = (0..5).map(|_| client::raw(local(8080), text, LIMIT)).collect();
        drop(flooded);
        answers
    });
    let answers = answer.expect("a host").expect("answers");
    assert!(answers.iter().all(|answer| answer.starts_with(b"HTTP/1.1 200 ")), "{answers:?}");
}

/// A FastCGI server of our own, and what it says of each connection.
fn answering<T: Send + 'static>(
    stage: &Stage,
    work: impl Fn(TcpStream) -> T + Send + Sync + 'static,
) -> (Service, mpsc::Receiver<T>) {
    let listener = stage.testbed.host().run(|| TcpListener::bind(local(9108))).expect("a host").expect("a port");
    let (tell, told) = mpsc::channel();
    let tell = Mutex::new(tell);
    let service = Service::start(listener, move |stream, _| drop(tell.lock().map(|tell| tell.send(work(stream)))));
    (service.expect("a server"), told)
}

/// Answers, closes its output, and ends the request later in two parts; whether all of that could be written.
fn ends_in_parts(mut stream: TcpStream) -> io::Result<()> {
    let (mut text, mut piece) = (Vec::new(), [0; 4096]);
    while !text.ends_with(&[1, 5, 0, 1, 0, 0, 0, 0]) {
        let count = stream.read(&mut piece)?;
        text.extend_from_slice(&piece[..count]);
    }
    stream.write_all(&[record(6, b"X: y\r\n\r\nanswer\n"), record(6, b"")].concat())?;
    let end = record(3, &[0; 8]);
    for part in [&end[..8], &end[8..]] {
        std::thread::sleep(Duration::from_millis(100));
        stream.write_all(part)?;
    }
    Ok(())
}

#[test]
fn a_request_ends_where_the_fastcgi_server_ends_it() {
    for program in [Program::Original, Program::Ours] {
        let stage = stage(program).expect("a host");
        let (_service, told) = answering(&stage, |stream| ends_in_parts(stream).map_err(|error| error.to_string()));
        let text = b"GET /parts/ HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
        let answer = stage.testbed.host().run(|| client::raw(local(8080), text, LIMIT)).expect("a host");
        assert!(steady(&answer.expect("an answer")).ends_with("answer"), "{program:?}");
        assert_eq!(told.recv_timeout(LIMIT).expect("an end"), Ok(()), "{program:?}");
    }
}

#[test]
fn records_that_mean_no_good_are_nginxs_errors() {
    let mut asked = Vec::new();
    for query in BAD {
        for place in ["/bad/", "/bad/kept/"] {
            asked.extend(requests(&format!("{place}?{query}")).into_iter().take(2));
        }
    }
    asked.extend(requests(&format!("/large/?{}", "x".repeat(7000))).into_iter().take(1));
    asked.extend(requests("/nobody/").into_iter().take(1));
    same(&asked);
}

#[test]
fn connections_to_fastcgi_servers_are_kept() {
    let asked: Vec<Vec<u8>> = (0..2).flat_map(|_| requests("/kept/")).collect();
    let [original, answers] =
        [Program::Original, Program::Ours].map(|program| outcome(program, asked.clone()).expect("an outcome").0);
    assert_eq!(original, answers);
    assert!(answers[4].1.ends_with("connection 1, request 3"), "{answers:?}");
}

/// Reads once, as simple servers do; whether that was the whole request.
fn reads_once(mut stream: TcpStream) -> bool {
    let mut piece = [0; 65_536];
    let Ok(count) = stream.read(&mut piece) else { return false };
    let whole = piece[..count].ends_with(&[1, 5, 0, 1, 0, 0, 0, 0]);
    let answer = [record(6, b"X: y\r\n\r\nanswer\n"), record(6, b""), record(3, &[0; 8])].concat();
    whole && stream.write_all(&answer).is_ok()
}

#[test]
fn a_small_request_comes_to_a_fastcgi_server_at_once() {
    for program in [Program::Original, Program::Ours] {
        let stage = stage(program).expect("a host");
        let (_service, told) = answering(&stage, reads_once);
        for body in ["", "Content-Length: 5\r\n\r\nhello", "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"]
        {
            let end = if body.is_empty() { "\r\n" } else { "" };
            let text = format!("POST /parts/ HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{body}{end}");
            let answer = stage.testbed.host().run(move || client::raw(local(8080), text.as_bytes(), LIMIT));
            assert!(steady(&answer.expect("a host").expect("an answer")).ends_with("answer"), "{program:?} {body}");
            assert_eq!(told.recv_timeout(LIMIT), Ok(true), "{program:?} {body}");
        }
    }
}
