//! The article with what it really runs: two Tomcats, two brokers that understand the PROXY protocol, MQTT clients, on three
//! hosts, behind the two daemons. A missing package skips it, except where CI=true.

use std::fs;
use std::io;
use std::process::Command;
use std::time::Duration;

use compat_tests::cluster::{Backends, Cluster, NGINX, address, virtual_socket};
use compat_tests::mqtt::Client;
use compat_tests::process::{Running, listens};
use compat_tests::program::{Program, installed};
use compat_tests::{client, mount, wait_for};
use nix::sys::signal::{Signal, kill};

/// Who runs the article's files. RHA_ORIGINAL=1 runs the installed nginx and keepalived instead.
fn program() -> Program {
    if std::env::var_os("RHA_ORIGINAL").is_some() || !READY { Program::Original } else { Program::Ours }
}

/// Whether ours can.
const READY: bool = true;

const LIMIT: Duration = Duration::from_secs(5);
const TOMCAT: &str = "/usr/share/tomcat10/bin/catalina.sh";
const BROKERS: [u8; 2] = [57, 60];

/// The application: counts a session's requests and says who answered.
const PAGE: &str = r#"<%@ page contentType="text/plain" session="true" %><% Integer n = (Integer) session.getAttribute("n");
n = n == null ? 1 : n + 1; session.setAttribute("n", n); %>host=<%= request.getLocalAddr() %> count=<%= n %>."#;

/// The broker as the article's EMQX is: MQTT behind PROXY headers, WebSocket at /mqtt. The two stay apart: this broker's
/// MQTT stops when one of two clustered nodes dies, which EMQX's does not.
const BROKER: &str = "loopback_users = none
mqtt.listeners.tcp.1 = 0.0.0.0:1883
mqtt.proxy_protocol = true
mqtt.allow_anonymous = true
web_mqtt.tcp.ip = 0.0.0.0
web_mqtt.tcp.port = 8083
web_mqtt.ws_path = /mqtt
log.console = true
log.console.level = info
log.file = false
";

/// What is not installed.
fn missing() -> Option<&'static str> {
    let programs = ["java", "rabbitmq-server", "mosquitto_sub", "mosquitto_pub", "bash", "ps"];
    programs
        .into_iter()
        .find(|name| installed(name).is_err())
        .or((!fs::exists(TOMCAT).is_ok_and(|is| is)).then_some("tomcat10"))
}

/// The folder with the broker's own scripts (those in the path change the user).
fn broker_scripts() -> io::Result<std::path::PathBuf> {
    let all = fs::read_dir("/usr/lib/rabbitmq/lib")?.flatten().map(|entry| entry.path().join("sbin"));
    all.into_iter()
        .find(|path| path.join("rabbitmq-server").is_file())
        .ok_or_else(|| io::Error::other("no rabbitmq-server"))
}

/// Starts the Tomcat of a host.
fn start_tomcat(cluster: &Cluster, number: u8) -> io::Result<Running> {
    let port = if number == 60 { 18080 } else { 18081 };
    let host = cluster.node(number)?.host();
    host.run(move || {
        for folder in ["conf", "logs", "temp", "work", "webapps/ACS"] {
            mount::folder(&format!("/run/tomcat/{folder}"))?;
        }
        for entry in fs::read_dir("/etc/tomcat10/")?.flatten().filter(|entry| entry.path().is_file()) {
            fs::copy(entry.path(), format!("/run/tomcat/conf/{}", entry.file_name().to_string_lossy()))?;
        }
        let server = fs::read_to_string("/run/tomcat/conf/server.xml")?;
        let server =
            server.replace("port=\"8080\"", &format!("port=\"{port}\"")).replace("port=\"8005\"", "port=\"-1\"");
        fs::write("/run/tomcat/conf/server.xml", server)?;
        fs::write("/run/tomcat/webapps/ACS/index.jsp", PAGE)
    })??;
    let mut command = Command::new(TOMCAT);
    command.arg("run").env("CATALINA_HOME", "/usr/share/tomcat10").env("CATALINA_BASE", "/run/tomcat");
    command.env("JAVA_OPTS", "-Xmx96m -XX:+UseSerialGC -XX:TieredStopAtLevel=1 -Djava.security.egd=file:/dev/urandom");
    host.start(command)
}

/// Starts the broker of a host.
fn start_broker(cluster: &Cluster, number: u8) -> io::Result<Running> {
    let host = cluster.node(number)?.host();
    host.run(move || {
        let hosts = "127.0.0.1 localhost\n192.168.110.57 host-57\n192.168.110.60 host-60\n";
        mount::file("/etc/hosts", hosts.as_bytes(), 0o644)?;
        mount::folder("/run/broker/data")?;
        mount::file("/run/broker/rabbitmq.conf", BROKER.as_bytes(), 0o644)?;
        mount::file("/run/broker/plugins", b"[rabbitmq_mqtt,rabbitmq_web_mqtt].", 0o644)?;
        mount::file("/run/broker/.erlang.cookie", b"emqxsecretcookie", 0o400)
    })??;
    let mut command = Command::new(broker_scripts()?.join("rabbitmq-server"));
    command.env("HOME", "/run/broker").env("RABBITMQ_NODENAME", format!("rabbit@host-{number}"));
    command.env("RABBITMQ_MNESIA_BASE", "/run/broker/data").env("RABBITMQ_LOG_BASE", "/run/broker");
    command
        .env("RABBITMQ_CONFIG_FILE", "/run/broker/rabbitmq.conf")
        .env("RABBITMQ_ENABLED_PLUGINS_FILE", "/run/broker/plugins");
    command.env("RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS", "+S 1:1 +sbwt none").env("RABBITMQ_LOGS", "-");
    host.start(command)
}

/// Waits until everything real listens.
fn wait_for_parts(parts: &[(&Running, u16)]) -> io::Result<()> {
    for (part, port) in parts {
        let what = format!("port {port}: {}", part.output());
        wait_for(&what, Duration::from_secs(120), || {
            (listens(part.pid(), *port) || part.ended().is_some()).then_some(())
        })?;
        if let Some(status) = part.ended() {
            return Err(io::Error::other(format!("port {port}: {status}: {}", part.output())));
        }
    }
    Ok(())
}

/// Five requests of one user; the last answer.
fn browse(cluster: &Cluster) -> io::Result<String> {
    cluster.client().run(|| {
        let mut cookie: Option<String> = None;
        let mut text = String::new();
        for _ in 0..5 {
            let headers: Vec<_> = cookie.iter().map(|cookie| ("Cookie", cookie.as_str())).collect();
            // The first request of a Tomcat compiles the page.
            let answer = client::get(virtual_socket(8880), "/ACS/", &headers, Duration::from_secs(30))?;
            let set = answer.header("set-cookie").and_then(|text| text.split(';').next()).map(str::to_owned);
            text = format!("{} {}", answer.line, answer.text());
            cookie = cookie.or(set);
        }
        Ok(text)
    })?
}

/// A message from mosquitto_pub to mosquitto_sub through port 6183.
fn exchange(cluster: &Cluster) -> io::Result<()> {
    let arguments = ["-h", "192.168.110.10", "-p", "6183", "-t", "door/1", "-V", "mqttv311", "-q", "0"];
    let mut subscribe = Command::new(installed("mosquitto_sub")?);
    subscribe.args(arguments).args(["-i", "device", "-C", "1", "-W", "60", "-d"]);
    let device = cluster.run_at_client(subscribe)?;
    // The two brokers are asked in turn, and the device is at one of them, sooner or later.
    for _ in 0..20 {
        let mut publish = Command::new(installed("mosquitto_pub")?);
        publish.args(arguments).args(["-i", "system", "-m", "open"]);
        cluster.run_at_client(publish)?.success(Duration::from_secs(50))?;
        if device.wait(Duration::from_secs(1)).is_ok() {
            break;
        }
    }
    device.success(Duration::from_secs(1))?;
    if device.output().lines().any(|line| line == "open") { Ok(()) } else { Err(io::Error::other(device.output())) }
}

/// A message over WebSocket, from a page to another page.
fn exchange_over_websocket(cluster: &Cluster) -> io::Result<()> {
    let message = cluster.client().run(|| {
        let open = |name| Client::websocket(client::connect(virtual_socket(6683), LIMIT)?, "localhost", name);
        let (mut page, mut others) = (open("page")?, [open("other")?, open("another")?]);
        page.subscribe("door/2")?;
        others.iter_mut().try_for_each(|other| other.publish("door/2", b"shut"))?;
        page.message()
    })??;
    if message == ("door/2".to_owned(), b"shut".to_vec()) {
        Ok(())
    } else {
        Err(io::Error::other(format!("{message:?}")))
    }
}

#[test]
fn the_article_runs_with_tomcat_a_real_broker_and_mqtt_clients() {
    if let Some(name) = missing() {
        assert!(std::env::var_os("CI").is_none(), "{name} is not installed");
        compat_tests::skipped("the article with Tomcat and a real broker", &format!("{name} is not installed"));
        return;
    }
    let mut cluster = Cluster::new(program(), program(), Backends::None).expect("a network");
    for number in [57, 58, 60] {
        cluster.boot(number).expect("a host");
    }
    let brokers = BROKERS.map(|number| start_broker(&cluster, number).expect("a broker"));
    let tomcats = [58, 60].map(|number| start_tomcat(&cluster, number).expect("a Tomcat"));
    let ports = [
        (&tomcats[0], 18081),
        (&tomcats[1], 18080),
        (&brokers[0], 1883),
        (&brokers[1], 1883),
        (&brokers[0], 8083),
        (&brokers[1], 8083),
    ];
    wait_for_parts(&ports).expect("everything real runs");
    cluster.start_daemons(60).expect("nginx and keepalived on .60");
    cluster.start_daemons(58).expect("nginx and keepalived on .58");
    cluster.wait_for_holder(60, Duration::from_secs(15)).expect("the master holds the virtual address");

    let page = browse(&cluster).expect("the web application answers");
    assert!(page.contains(" 200 ") && page.contains("count=5."), "{page}");
    exchange(&cluster).expect("MQTT through 6183");
    let seen = brokers.iter().any(|broker| broker.output().contains(&format!("({}:", address(100))));
    assert!(seen, "a broker knows the client's own address: {}", brokers[0].output());
    exchange_over_websocket(&cluster).expect("MQTT over WebSocket through 6683");

    let node = cluster.node(60).expect("the master");
    let killed = node.nginx();
    // The worker may already have followed its parent.
    let gone = killed.iter().filter(|pid| kill(**pid, Signal::SIGKILL).is_ok()).count();
    assert!(gone > 0, "nginx ran");
    wait_for("nginx_check.sh", Duration::from_secs(15), || {
        node.nginx().iter().any(|pid| !killed.contains(pid)).then_some(())
    })
    .expect("the check script brings nginx back");
    wait_for("the web application", Duration::from_secs(10), || browse(&cluster).ok()).expect("it is served again");

    cluster.power_off(60).expect("the master dies");
    cluster.wait_for_holder(58, Duration::from_secs(15)).expect("the backup takes over");
    let page = browse(&cluster).expect("the web application answers");
    assert!(page.contains("count=5."), "{page}");
    exchange(&cluster).expect("MQTT through 6183");

    cluster.boot(60).expect("the master comes back");
    cluster.start_daemons(60).expect("nginx and keepalived on .60");
    cluster.wait_for_holder(60, Duration::from_secs(15)).expect("the master holds the virtual address again");
    let page = browse(&cluster).expect("the web application answers");
    assert!(page.contains("count=5."), "{page}");
    assert!(fs::exists(NGINX).is_ok_and(|is| !is), "the machine itself was not touched");
}
