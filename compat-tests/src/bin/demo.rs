//! `cargo demo`: the article's cluster, live, in namespaces of this machine: web, MQTT and WebSocket through the virtual
//! address, a killed nginx, a dead master, its return. Needs cargo, cc, and root or a kernel that lets users make namespaces.

use std::io;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use compat_tests::cluster::{Backends, Cluster, KEEPALIVED, NGINX, VIRTUAL, address, virtual_socket};
use compat_tests::mqtt::Client;
use compat_tests::program::Program;
use compat_tests::watch::Watch;
use compat_tests::{client, net, wait_for};
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{WaitPidFlag, waitpid};

const USAGE: &str = "usage: cargo demo [-- [--original|--original-nginx|--original-keepalived] [--hold]]
  --original             run the installed nginx and keepalived instead of rnginx and rkeepalived
  --original-nginx       ... only nginx, beside rkeepalived
  --original-keepalived  ... only keepalived, beside rnginx
  --hold                 keep the cluster up until Enter is pressed, and say how to look inside";

const LIMIT: Duration = Duration::from_secs(2);

/// What the command line asks for.
#[derive(Debug, Clone, Copy)]
struct Options {
    nginx: Program,
    keepalived: Program,
    hold: bool,
}

fn main() -> ExitCode {
    let mut options = Options { nginx: Program::Ours, keepalived: Program::Ours, hold: false };
    for argument in std::env::args().skip(1) {
        match argument.as_str() {
            "--original" => (options.nginx, options.keepalived) = (Program::Original, Program::Original),
            "--original-nginx" => options.nginx = Program::Original,
            "--original-keepalived" => options.keepalived = Program::Original,
            "--hold" => options.hold = true,
            _ => {
                eprintln!("{USAGE}");
                return ExitCode::FAILURE;
            }
        }
    }
    match play(options) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("demo: {error}");
            ExitCode::FAILURE
        }
    }
}

/// What became of a step.
#[derive(Debug)]
struct Row {
    /// How long each user was without an answer: web, MQTT, WebSocket.
    cut: Option<[Duration; 3]>,
    fine: bool,
}

/// The show: a cluster, three restless users, and what has happened so far.
struct Demo {
    cluster: Cluster,
    users: Vec<Watch>,
    rows: Vec<Row>,
}

/// What happens in a step; the text says how it went.
type Step = fn(&mut Demo) -> io::Result<String>;

fn play(options: Options) -> io::Result<bool> {
    // Built before the process changes its place, and before any thread is started.
    let programs = [options.nginx.nginx()?, options.keepalived.keepalived()?];
    if !nix::unistd::geteuid().is_root() {
        net::become_root().map_err(|error| {
            let text = "the cluster needs root (sudo -E cargo demo) or a kernel that lets users make namespaces (sysctl \
                        user.max_user_namespaces, kernel.apparmor_restrict_unprivileged_userns)";
            io::Error::other(format!("{text}: {error}"))
        })?;
    }
    let before = interfaces()?;
    println!("the article's cluster on {} and {}", programs[0].display(), programs[1].display());
    println!(
        "  client .100   hosts .57 (broker)   .58 (web, BACKUP)   .60 (web, broker, MASTER)   virtual address {VIRTUAL}\n"
    );
    let mut demo = Demo {
        cluster: Cluster::new(options.nginx, options.keepalived, Backends::Embedded)?,
        users: Vec::new(),
        rows: Vec::new(),
    };
    let steps: [(&'static str, Step); 7] = [
        ("start both daemons on .60 and .58", start),
        ("web: 5 requests, port 8880", web),
        ("MQTT: port 6183", mqtt),
        ("WebSocket: port 6683", websocket),
        ("kill -9 nginx on .60", kill_nginx),
        ("power failure of .60", power_failure),
        (".60 comes back", come_back),
    ];
    println!("{:35}{:8}{:>9}{:>9}{:>11}  result", "step", "holder", "web", "MQTT", "WebSocket");
    println!("{:35}{:8}{:>29}", "", "", "longest time without answer");
    for (what, step) in steps {
        if !demo.step(what, step) {
            break;
        }
    }
    if options.hold {
        hold(&demo.cluster)?;
    }
    let fine = demo.rows.iter().filter(|row| row.fine).count();
    let longest = demo.rows.iter().filter_map(|row| row.cut).flatten().max().unwrap_or_default();
    let counts = demo.users.iter().map(Watch::attempts);
    let (answered, lost) = counts.fold((0, 0), |all, one| (all.0 + one.0, all.1 + one.1));
    drop(demo);
    let left = left_behind(&before)?;
    let behind =
        if left.is_empty() { "nothing left behind".to_owned() } else { format!("LEFT BEHIND: {}", left.join(", ")) };
    println!(
        "\n{fine} of {} steps, longest outage {}, {lost} of {} requests lost, {behind}",
        steps.len(),
        seconds(longest),
        answered + lost
    );
    Ok(fine == steps.len() && left.is_empty())
}

/// The interfaces of this machine.
fn interfaces() -> io::Result<Vec<String>> {
    let interfaces = nix::net::if_::if_nameindex()?;
    Ok(interfaces.iter().map(|interface| interface.name().to_string_lossy().into_owned()).collect())
}

/// What the show left on this machine: interfaces, processes, files.
fn left_behind(before: &[String]) -> io::Result<Vec<String>> {
    let mut left: Vec<String> = interfaces()?.into_iter().filter(|name| !before.contains(name)).collect();
    // A process that is still there is a child of this one.
    if !matches!(waitpid(None, Some(WaitPidFlag::WNOHANG)), Err(nix::errno::Errno::ECHILD)) {
        left.push("a process".to_owned());
    }
    let own = format!("-{}-", std::process::id());
    for entry in std::fs::read_dir(std::env::temp_dir())? {
        let name = entry?.file_name().to_string_lossy().into_owned();
        if name.starts_with("rha-") && name.contains(&own) {
            left.push(name);
        }
    }
    Ok(left)
}

impl Demo {
    /// Plays one step and notes what the users saw meanwhile.
    fn step(&mut self, what: &'static str, act: Step) -> bool {
        print!("{what:35}");
        let _ = io::Write::flush(&mut io::stdout());
        let (begin, watched) = (Instant::now(), !self.users.is_empty());
        let result = act(self).and_then(|said| {
            self.users_are_served()?;
            Ok(said)
        });
        let end = Instant::now();
        let cut =
            (watched && self.users.len() == 3).then(|| [0, 1, 2].map(|user| self.users[user].cut_off(begin, end)));
        let holder: Vec<String> = self.cluster.holders().iter().map(|number| format!(".{number}")).collect();
        let fine = result.is_ok();
        let shown = cut.map_or_else(|| [const { String::new() }; 3], |cut| cut.map(seconds));
        let result = match result {
            Ok(said) => format!("ok: {said}"),
            Err(error) => format!("FAILED: {error}"),
        };
        println!("{:8}{:>9}{:>9}{:>11}  {result}", holder.join(" "), shown[0], shown[1], shown[2]);
        if !fine {
            self.journals();
        }
        self.rows.push(Row { cut, fine });
        fine
    }

    /// Waits until every user had an answer from now on.
    fn users_are_served(&self) -> io::Result<()> {
        let now = Instant::now();
        for user in &self.users {
            wait_for("every user to be served again", Duration::from_secs(30), || {
                user.last().filter(|last| *last > now)
            })?;
        }
        Ok(())
    }

    /// What the hosts logged, for whoever wants to know why a step failed.
    fn journals(&self) {
        for number in [58, 60] {
            if let Ok(node) = self.cluster.node(number) {
                println!("  --- log of .{number}");
                node.journal().iter().for_each(|(_, line)| println!("  {line}"));
            }
        }
    }
}

fn start(demo: &mut Demo) -> io::Result<String> {
    for number in [57, 58, 60] {
        demo.cluster.boot(number)?;
    }
    let begin = Instant::now();
    demo.cluster.start_daemons(60)?;
    demo.cluster.start_daemons(58)?;
    demo.cluster.wait_for_holder(60, Duration::from_secs(12))?;
    Ok(format!(".60 is master after {}", seconds(begin.elapsed())))
}

fn web(demo: &mut Demo) -> io::Result<String> {
    let answers = demo.cluster.client().run(|| {
        let mut answers: Vec<client::Response> = Vec::new();
        for _ in 0..5 {
            let cookie = answers.first().and_then(|first| first.header("set-cookie")?.split(';').next());
            let headers: Vec<_> = cookie.iter().map(|cookie| ("Cookie", *cookie)).collect();
            let answer = client::get(virtual_socket(8880), "/ACS/index.jsp", &headers, LIMIT)?;
            answers.push(answer);
        }
        io::Result::Ok(answers)
    })??;
    let last = answers.last().map_or_else(String::new, client::Response::text);
    demo.users.push(Watch::web(demo.cluster.client(), virtual_socket(8880))?);
    if answers.iter().all(|answer| answer.status == 200) && last.contains("count=5 ") {
        let host = last.split(' ').next().unwrap_or("");
        return Ok(format!("one session, 5 requests, {host} (ip_hash)"));
    }
    Err(io::Error::other(format!("the session was not kept: {last}")))
}

fn mqtt(demo: &mut Demo) -> io::Result<String> {
    let received = demo.cluster.client().run(|| {
        let mut device = Client::tcp(client::connect(virtual_socket(6183), LIMIT)?, "device")?;
        let mut system = Client::tcp(client::connect(virtual_socket(6183), LIMIT)?, "system")?;
        device.subscribe("door/1")?;
        system.publish("door/1", b"open")?;
        device.message()
    })??;
    demo.users.push(Watch::mqtt(demo.cluster.client(), virtual_socket(6183), false)?);
    announced(demo, &["device", "system"], received)
}

fn websocket(demo: &mut Demo) -> io::Result<String> {
    let received = demo.cluster.client().run(|| {
        let mut page = Client::websocket(client::connect(virtual_socket(6683), LIMIT)?, "localhost", "page")?;
        let mut device = Client::tcp(client::connect(virtual_socket(6183), LIMIT)?, "device")?;
        page.subscribe("door/1")?;
        device.publish("door/1", b"open")?;
        page.message()
    })??;
    demo.users.push(Watch::mqtt(demo.cluster.client(), virtual_socket(6683), true)?);
    announced(demo, &["page"], received)
}

/// Whether the message came, and whether the brokers know who their clients really are.
fn announced(demo: &Demo, clients: &[&str], message: (String, Vec<u8>)) -> io::Result<String> {
    if message != ("door/1".to_owned(), b"open".to_vec()) {
        return Err(io::Error::other(format!("another message came: {message:?}")));
    }
    let mut brokers = Vec::new();
    for name in clients {
        let visits = demo.cluster.exchange().visits();
        let visit = visits.iter().rev().find(|visit| visit.client == *name);
        let visit = visit.ok_or_else(|| io::Error::other(format!("no broker saw {name}")))?;
        if visit.announced != Some(address(100).into()) {
            return Err(io::Error::other(format!("{name} was announced as {:?}", visit.announced)));
        }
        brokers.push(visit.broker.clone());
    }
    Ok(format!("delivered, broker {}, told the client's own address", brokers.join(" and ")))
}

fn kill_nginx(demo: &mut Demo) -> io::Result<String> {
    let node = demo.cluster.node(60)?;
    let old = node.nginx();
    for pid in &old {
        kill(*pid, Signal::SIGKILL)?;
    }
    let begin = Instant::now();
    wait_for("nginx_check.sh to bring nginx back", Duration::from_secs(10), || {
        node.nginx().iter().any(|pid| !old.contains(pid)).then_some(())
    })?;
    Ok(format!("nginx_check.sh started it after {}", seconds(begin.elapsed())))
}

fn power_failure(demo: &mut Demo) -> io::Result<String> {
    let begin = Instant::now();
    demo.cluster.power_off(60)?;
    demo.cluster.wait_for_holder(58, Duration::from_secs(10))?;
    Ok(format!(".58 took over after {}", seconds(begin.elapsed())))
}

fn come_back(demo: &mut Demo) -> io::Result<String> {
    demo.cluster.boot(60)?;
    let begin = Instant::now();
    demo.cluster.start_daemons(60)?;
    demo.cluster.wait_for_holder(60, Duration::from_secs(12))?;
    Ok(format!(".60 is master again after {}", seconds(begin.elapsed())))
}

fn seconds(time: Duration) -> String {
    format!("{:.2} s", time.as_secs_f64())
}

fn hold(cluster: &Cluster) -> io::Result<()> {
    println!(
        "\nThe cluster stays up. nginx is {NGINX}/sbin/nginx, keepalived is {KEEPALIVED}. To look inside, as root:"
    );
    for number in [57, 58, 60] {
        if let Ok(node) = cluster.node(number) {
            println!("  nsenter -a -t {}   # host .{number}", node.host().init());
        }
    }
    println!("  nsenter -a -t {}   # client\nEnter ends it.", cluster.client().init());
    io::stdin().read_line(&mut String::new()).map(|_| ())
}
