//! Active health checks in stream: `health_check` and `match` of NGINX Plus by their description on nginx.org, and rnginx's
//! own `health_check mqtt`.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use compat_tests::datagrams::Answerer;
use compat_tests::mqtt::Exchange;
use compat_tests::program::Program;
use compat_tests::service::Service;
use compat_tests::testbed::{LIMIT, TestBed, local};
use compat_tests::{certificates, client, mount, peer, wait_for};

/// One check: the server, the words of `health_check`, the `match` block, and what it comes to.
struct Case {
    port: u16,
    words: &'static str,
    tests: &'static str,
    good: bool,
    /// What log lines name.
    action: &'static str,
    /// More of its server.
    more: &'static str,
}

const fn case(port: u16, words: &'static str, tests: &'static str, good: bool, action: &'static str) -> Case {
    Case { port, words, tests, good, action, more: "" }
}

const CONNECTING: &str = "connecting to upstream";
const READING: &str = "reading from upstream";
const CHECKING: &str = "checking response";

/// Answers every PING with +PONG, in two parts.
const REDIS: u16 = 9161;
/// Says nothing.
const SILENT: u16 = 9162;
/// Closes at once.
const CLOSES: u16 = 9163;
/// Sends without end.
const FLOODS: u16 = 9164;
/// A broker.
const MQTT: u16 = 9165;
/// A broker that wants a password.
const CLOSED_MQTT: u16 = 9166;
/// Bytes that are not MQTT.
const NOT_MQTT: u16 = 9167;
/// Nobody.
const NOBODY: u16 = 9169;
/// TLS.
const SECURE: u16 = 8443;
/// Datagrams that come back.
const ECHO: u16 = 9168;
/// Datagrams that do not.
const SWALLOWS: u16 = 9170;

const CASES: &[Case] = &[
    case(SILENT, "", "", true, CONNECTING),
    case(CLOSES, "", "", true, CONNECTING),
    case(NOBODY, "", "", false, CONNECTING),
    case(REDIS, "port=9169", "", false, CONNECTING),
    case(NOBODY, "port=9161", "", true, CONNECTING),
    case(REDIS, "", "send \"PING\\r\\n\";", true, "sending to upstream"),
    case(REDIS, "", "send \"PING\\r\\n\"; expect \"+PONG\";", true, CHECKING),
    case(REDIS, "", "send \"\\x50ING\\r\\n\"; expect \"\\x2bPON\\x47\";", true, CHECKING),
    case(REDIS, "", "send \"PING\\r\\n\"; expect \"PONG\";", false, CHECKING),
    case(REDIS, "", "send \"PING\\r\\n\"; expect ~ \"PONG\";", true, CHECKING),
    case(REDIS, "", "send \"PING\\r\\n\"; expect ~ \"pong\";", false, READING),
    case(REDIS, "", "send \"PING\\r\\n\"; expect ~* \"pong\";", true, CHECKING),
    case(REDIS, "", "send \"PONG\\r\\n\"; expect \"+PONG\";", false, READING),
    case(SILENT, "", "expect hello;", false, READING),
    case(CLOSES, "", "expect hello;", false, CHECKING),
    case(FLOODS, "", "expect ~ never;", false, CHECKING),
    case(FLOODS, "", "expect ~ x$;", true, CHECKING),
    case(MQTT, "mqtt", "", true, CHECKING),
    case(CLOSED_MQTT, "mqtt", "", false, CHECKING),
    case(CLOSED_MQTT, "mqtt mqtt_code=5", "", true, CHECKING),
    case(NOT_MQTT, "mqtt", "", false, CHECKING),
    case(SILENT, "mqtt", "", false, READING),
    case(ECHO, "udp", "", true, READING),
    case(SWALLOWS, "udp", "", true, READING),
    case(NOBODY, "udp", "", false, READING),
    case(ECHO, "udp", "send hello; expect hello;", true, CHECKING),
    case(ECHO, "udp", "send hello; expect other;", false, CHECKING),
    case(SWALLOWS, "udp", "send hello; expect hello;", false, READING),
    Case {
        more: "proxy_ssl on;",
        ..case(SECURE, "", "send \"GET / HTTP/1.0\\r\\n\\r\\n\"; expect ~ secure;", true, CHECKING)
    },
    Case {
        more: "proxy_ssl on; proxy_ssl_verify on; proxy_ssl_trusted_certificate ec.pem; proxy_ssl_name other;",
        ..case(SECURE, "", "", false, CONNECTING)
    },
    Case { more: "proxy_ssl on;", ..case(CLOSES, "", "", false, CONNECTING) },
];

/// Serves a port of the testbed.
fn serve(
    testbed: &TestBed,
    port: u16,
    work: impl Fn(TcpStream) -> std::io::Result<()> + Send + Sync + 'static,
) -> Service {
    let listener = testbed.host().run(move || TcpListener::bind(local(port))).expect("a host").expect("a listener");
    Service::start(listener, move |stream, _| drop(work(stream))).expect("a server")
}

fn services(testbed: &TestBed) -> Vec<Service> {
    let wait = |mut stream: TcpStream| {
        let mut bytes = [0; 64];
        while stream.read(&mut bytes)? > 0 {}
        Ok(())
    };
    vec![
        serve(testbed, REDIS, |mut stream| {
            let mut bytes = [0; 64];
            loop {
                let count = stream.read(&mut bytes)?;
                if count == 0 {
                    return Ok(());
                }
                if bytes[..count] == *b"PING\r\n" {
                    stream.write_all(b"+PO")?;
                    std::thread::sleep(Duration::from_millis(20));
                    stream.write_all(b"NG\r\n")?;
                }
            }
        }),
        serve(testbed, SILENT, wait),
        serve(testbed, CLOSES, |_| Ok(())),
        serve(testbed, FLOODS, |mut stream| {
            loop {
                stream.write_all(&[b'x'; 4096])?;
            }
        }),
        serve(testbed, CLOSED_MQTT, move |mut stream| {
            stream.write_all(&[0x20, 2])?;
            std::thread::sleep(Duration::from_millis(20));
            stream.write_all(&[0, 5])?;
            wait(stream)
        }),
        serve(testbed, NOT_MQTT, move |mut stream| {
            stream.write_all(b"220 mail\r\n")?;
            wait(stream)
        }),
    ]
}

fn logged(testbed: &TestBed, what: &str) -> Vec<String> {
    let log = testbed.file("logs/error.log").unwrap_or_default();
    let lines = log.lines().filter(|line| line.contains(what));
    lines.map(|line| line.split_once(" [").map_or(line, |(_, rest)| rest).to_owned()).collect()
}

/// A log line without the numbers of its process.
fn plain(line: &str) -> String {
    let (level, rest) = line.split_once("] ").unwrap_or_default();
    format!("[{level}] {}", rest.split_once(": ").unwrap_or_default().1)
}

fn write(testbed: &TestBed, stream: &str) {
    let conf = format!(
        "worker_processes 2;\nerror_log logs/error.log notice;\nevents {{ }}\nhttp {{ access_log off; server {{ listen 127.0.0.1:8443 ssl; \
         ssl_certificate ec.pem; ssl_certificate_key ec.key; return 200 secure; }}\n server {{ listen 127.0.0.1:8080; return 204; }} }}\n\
         stream {{\nhealth_check_timeout 400ms;\n{stream}\n}}\n"
    );
    testbed.write(&conf).expect("a file");
}

fn testbed() -> TestBed {
    let testbed = TestBed::new(Program::Ours).expect("a testbed");
    let files = certificates::all().expect("certificates");
    let put = move || {
        files.iter().for_each(|(name, bytes)| {
            mount::file(&format!("{}/conf/{name}", peer::PREFIX), bytes, 0o644).expect("a file");
        });
    };
    testbed.host().run(put).expect("files");
    testbed
}

fn start(testbed: &TestBed) {
    testbed.command(&[]).expect("a start");
    testbed.wait_for_listener().expect("a listener");
}

#[test]
fn every_kind_of_check_judges_servers() {
    let testbed = testbed();
    let _services = services(&testbed);
    let exchange = Arc::new(Exchange::default());
    let listener = testbed.host().run(|| TcpListener::bind(local(MQTT))).expect("a host").expect("a listener");
    let _broker = exchange.serve_tcp(listener, "broker", false).expect("a broker");
    let udp = |port: u16| testbed.host().run(move || UdpSocket::bind(local(port))).expect("a host").expect("a socket");
    let _echo = Answerer::start(udp(ECHO)).expect("a server of datagrams");
    let _swallows = udp(SWALLOWS);
    let mut conf = String::new();
    for (number, case) in CASES.iter().enumerate() {
        let Case { port, words, tests, more, .. } = case;
        let mandatory = if case.good { "mandatory" } else { "" };
        let mut matching = String::new();
        if !tests.is_empty() {
            conf += &format!("match m{number} {{ {tests} }}\n");
            matching = format!("match=m{number}");
        }
        conf += &format!(
            "upstream u{number} {{ zone u{number} 64k; server 127.0.0.1:{port}; }}\nserver {{ listen 127.0.0.1:{}; proxy_pass u{number}; \
             {more} health_check interval=50ms {words} {matching} {mandatory}; }}\n",
            7000 + number
        );
    }
    write(&testbed, &conf);
    start(&testbed);
    for (number, case) in CASES.iter().enumerate() {
        let of_group = format!("in upstream \"u{number}\"");
        let line = || logged(&testbed, &of_group).into_iter().find(|line| line.contains("peer is "));
        let found = wait_for("the change", LIMIT, line);
        let name = if case.tests.is_empty() { String::new() } else { format!("m{number}") };
        let (level, what) = if case.good { ("notice", "healthy") } else { ("warn", "unhealthy") };
        let port = case.words.strip_prefix("port=").map(|port| format!(", port {port}")).unwrap_or_default();
        let expected = format!(
            "[{level}] peer is {what} while {}, health check \"{name}\" of peer 127.0.0.1:{} {of_group}{port}",
            case.action, case.port
        );
        assert_eq!(found.map(|line| plain(&line)).unwrap_or_default(), expected, "{:?}", logged(&testbed, &of_group));
    }
    assert!(exchange.visits().iter().all(|visit| visit.client.is_empty()), "{:?}", exchange.visits());
}

#[test]
fn connections_go_to_healthy_servers_and_come_back_to_one_that_recovers() {
    let testbed = testbed();
    let well = Arc::new(AtomicBool::new(true));
    let answers = [9171, 9172].map(|port: u16| {
        let well = Arc::clone(&well);
        serve(&testbed, port, move |mut stream| {
            let mut bytes = [0; 16];
            let count = stream.read(&mut bytes)?;
            let is_well = port == 9171 || well.load(Ordering::Relaxed);
            let word = if bytes[..count] == *b"health" && !is_well { "bad".to_owned() } else { format!("{port}") };
            stream.write_all(word.as_bytes())
        })
    });
    let group = |more: &str| {
        format!(
            "upstream group {{ zone group 64k; server 127.0.0.1:9171; server 127.0.0.1:9172; }}\nmatch well {{ send health; expect 917; }}\n\
             server {{ listen 127.0.0.1:8081; proxy_pass group; health_check match=well {more}; }}"
        )
    };
    write(&testbed, &group("interval=50ms"));
    start(&testbed);
    let ask = || {
        let raw = || client::raw(local(8081), b"who", LIMIT).unwrap_or_default();
        let answers = (0..6).map(|_| testbed.host().run(raw).unwrap_or_default());
        let mut answers: Vec<String> = answers.map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).collect();
        answers.sort();
        answers.dedup();
        answers
    };
    let wait_for_answers = |expected: &[&str]| {
        let found = wait_for("the answers", LIMIT, || (ask() == expected).then_some(()));
        assert!(found.is_ok(), "{:?}, not {expected:?}", ask());
    };
    wait_for_answers(&["9171", "9172"]);
    well.store(false, Ordering::Relaxed);
    wait_for_answers(&["9171"]);
    // What is known stays known over a reload, before the next check.
    write(&testbed, &group("interval=1h passes=9"));
    testbed.command(&["-s", "reload"]).expect("a reload");
    well.store(true, Ordering::Relaxed);
    assert_eq!(ask(), ["9171"]);
    write(&testbed, &group("interval=50ms"));
    testbed.command(&["-s", "reload"]).expect("a reload");
    wait_for_answers(&["9171", "9172"]);
    drop(answers);
}

#[test]
fn mistakes_of_checks_are_found() {
    let testbed = testbed();
    let group = "upstream g { zone g 64k; server 127.0.0.1:1; } upstream bare { server 127.0.0.1:1; }";
    let refused = |stream: &str| {
        write(&testbed, stream);
        let mut command = std::process::Command::new(format!("{}/sbin/nginx", peer::PREFIX));
        command.args(["-p", peer::PREFIX, "-c", "conf/nginx.conf", "-t"]);
        let running = testbed.host().start(command).expect("a start");
        let _ = running.wait(LIMIT);
        running.output()
    };
    for (words, expected) in [
        ("proxy_pass g; health_check interval=0;", "invalid parameter \"interval=0\""),
        ("proxy_pass g; health_check fails=0;", "invalid parameter \"fails=0\""),
        ("proxy_pass g; health_check port=65536;", "invalid parameter \"port=65536\""),
        ("proxy_pass g; health_check udp mqtt;", "invalid parameter \"mqtt\""),
        ("proxy_pass g; health_check mqtt_code=5;", "\"mqtt_code\" requires \"mqtt\""),
        ("proxy_pass g; health_check persistent;", "\"persistent\" requires \"mandatory\""),
        ("proxy_pass g; health_check match=none;", "unknown match \"none\""),
        ("proxy_pass g; health_check; health_check;", "\"health_check\" directive is duplicate"),
        ("proxy_pass bare; health_check;", "health checks require upstream \"bare\" to be in shared memory"),
        ("return x; health_check;", "\"health_check\" directive requires a group of servers"),
    ] {
        let output = refused(&format!("{group} server {{ listen 127.0.0.1:1; {words} }}"));
        assert!(output.contains(&format!("[emerg] {expected}")), "{words}: {output}");
    }
    for (rows, expected) in [
        ("expect ~ \"a(\";", "pcre2_compile() failed"),
        ("expect !~ a;", "invalid parameter \"!~\""),
        ("send \"\\xzz\";", "invalid hexadecimal literal"),
        ("send a; send b;", "\"send\" directive is duplicate"),
        ("status 200;", "unknown directive \"status\""),
    ] {
        let output = refused(&format!("match m {{ {rows} }} {group} server {{ listen 127.0.0.1:1; proxy_pass g; }}"));
        assert!(output.contains(&format!("[emerg] {expected}")), "{rows}: {output}");
    }
}
