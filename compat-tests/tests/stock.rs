//! The configurations that distributions ship, as `fixtures/nginx/stock` has them, where their packages put them: they
//! start without a warning, and answer and log as the original does.

use std::io;
use std::net::Ipv4Addr;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use compat_tests::client::Response;
use compat_tests::net::{Host, Switch};
use compat_tests::peer::PREFIX;
use compat_tests::process::Running;
use compat_tests::program::Program;
use compat_tests::testbed::{LIMIT, TestBed};
use compat_tests::{certificates, mount, root, wait_for};
use nix::sys::signal::Signal;

use crate::tls::curl;

/// What a package has beside its files.
struct Stock {
    name: &'static str,
    /// Links: where they are, and what they lead to.
    links: &'static [(&'static str, &'static str)],
    /// Pages: where they lie.
    pages: &'static [&'static str],
    /// What is asked for, and the answers' codes.
    asked: &'static [(&'static str, u16)],
}

const DEBIAN: &[(&str, &str)] = &[
    ("/etc/nginx/sites-enabled/default", "/etc/nginx/sites-available/default"),
    ("/usr/share/nginx/modules", "/usr/lib/nginx/modules"),
];
const DEBIANS: &[&str] = &["/var/www/html/index.nginx-debian.html", "/var/www/html/folder/index.html"];
const USUAL: &[(&str, u16)] = &[("/", 200), ("/folder", 301), ("/folder/", 200), ("/none", 404)];
const PAGES: &[&str] =
    &["/usr/share/nginx/html/index.html", "/usr/share/nginx/html/50x.html", "/usr/share/nginx/html/404.html"];

const STOCK: &[Stock] = &[
    Stock { name: "debian-12", links: DEBIAN, pages: DEBIANS, asked: USUAL },
    Stock { name: "debian-13", links: DEBIAN, pages: DEBIANS, asked: USUAL },
    Stock { name: "ubuntu-24.04", links: DEBIAN, pages: DEBIANS, asked: USUAL },
    Stock {
        name: "rhel-9",
        links: &[("/usr/lib64/nginx/modules", "/usr/lib/nginx/modules")],
        pages: &[PAGES[0], PAGES[1], PAGES[2], "/usr/share/nginx/html/page.php"],
        // Nobody runs PHP: its errors have their page.
        asked: &[("/", 200), ("/none", 404), ("/page.php", 502), ("/none.php", 404)],
    },
    Stock {
        name: "alpine",
        links: &[("/usr/share/nginx/modules", "/usr/lib/nginx/modules")],
        pages: &[],
        asked: &[("/", 404), ("/404.html", 404), ("/any", 404)],
    },
    Stock { name: "nginx.org", links: &[], pages: PAGES, asked: &[("/", 200), ("/index.html", 200), ("/none", 404)] },
    Stock {
        name: "docker",
        links: &[("/var/log/nginx/access.log", "/dev/stdout"), ("/var/log/nginx/error.log", "/dev/stderr")],
        pages: PAGES,
        asked: &[("/", 200), ("/50x.html", 200), ("/none", 404)],
    },
];

const WORDS: [&str; 4] = ["-p", "/usr/share/nginx/", "-c", "/etc/nginx/nginx.conf"];

/// The files of a folder, with the places they have in a root.
fn files(below: &Path) -> io::Result<Vec<(String, Vec<u8>)>> {
    let (mut found, mut folders) = (Vec::new(), vec![below.to_owned()]);
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder)? {
            let path = entry?.path();
            if path.is_dir() {
                folders.push(path);
            } else {
                let name = path.strip_prefix(below).map_err(io::Error::other)?;
                found.push((format!("/{}", name.display()), std::fs::read(&path)?));
            }
        }
    }
    Ok(found)
}

/// What a package installs, with the places.
fn installed(name: &str) -> io::Result<Vec<(String, Vec<u8>)>> {
    let all = root().join("fixtures/nginx/stock");
    let mut everything = files(&all.join(name))?;
    for (at, from) in [("mime.types", "nginx.org/etc/nginx/mime.types"), ("fastcgi_params", "fastcgi_params")] {
        everything.push((format!("/etc/nginx/{at}"), std::fs::read(all.join(from))?));
    }
    Ok(everything)
}

/// A folder of our own in the place of one of the machine's, with the links that are in it.
fn links_only(path: &str) -> io::Result<()> {
    let entries = std::fs::read_dir(path)?.collect::<io::Result<Vec<_>>>()?;
    let links: Vec<_> =
        entries.iter().filter_map(|entry| Some((entry.file_name(), std::fs::read_link(entry.path()).ok()?))).collect();
    mount::tmpfs(path, "0755")?;
    links.iter().try_for_each(|(name, target)| symlink(target, Path::new(path).join(name)))
}

/// The account that most distributions make: another name of Debian's.
fn account() -> io::Result<()> {
    for path in ["/etc/passwd", "/etc/group"] {
        let text = std::fs::read_to_string(path)?;
        let line = text.lines().find_map(|line| line.strip_prefix("www-data:")).unwrap_or_default();
        mount::file(path, format!("{text}nginx:{line}\n").as_bytes(), 0o644)?;
    }
    Ok(())
}

/// The machine after this package was installed.
fn install(stock: &Stock, everything: &[(String, Vec<u8>)]) -> io::Result<()> {
    account()?;
    mount::replace("/etc/nginx")?;
    mount::tmpfs("/usr/share/nginx", "0755")?;
    mount::tmpfs("/var", "0755")?;
    if stock.links.iter().any(|(link, _)| link.starts_with("/usr/lib64/")) {
        links_only("/usr/lib64")?;
    }
    // Alpine's and nginx.org's paths are relative to a prefix that has logs.
    for folder in ["/var/log/nginx", "/var/lib/nginx", "/usr/share/nginx/logs"] {
        mount::folder(folder)?;
    }
    for (name, text) in everything {
        mount::file(name, text, 0o644)?;
    }
    for page in stock.pages {
        mount::file(page, format!("the page {page}\n").as_bytes(), 0o644)?;
    }
    for (name, descriptor) in [("stdout", 1), ("stderr", 2)] {
        symlink(format!("/proc/self/fd/{descriptor}"), format!("/dev/{name}"))?;
    }
    for (link, target) in stock.links {
        if let Some(folder) = Path::new(link).parent().and_then(Path::to_str) {
            mount::folder(folder)?;
        }
        symlink(target, link)?;
    }
    Ok(())
}

/// What there is to see of an answer: its status, where it leads, its type and its text.
type Seen = (u16, Option<String>, Option<String>, String);

fn seen(answer: &Response) -> Seen {
    let header = |name: &str| answer.header(name).map(str::to_owned);
    // The versions differ, which is all that the pages of errors and `Server` say of a program.
    let without = |text: &str| text.split("nginx/").next().unwrap_or_default().to_owned();
    (answer.status, header("Location"), header("Content-Type"), without(&answer.text()))
}

/// The lines of a log without what is different each time, and without the length of pages that name the program.
fn told(log: &str) -> Vec<String> {
    log.lines()
        .filter(|line| line.starts_with("127.0.0.1 "))
        .map(|line| {
            let (head, tail) = line.split_once('[').unwrap_or((line, ""));
            let tail = tail.split_once(']').map_or("", |(_, rest)| rest);
            let own = |word: &str| word.parse().is_ok_and(|length: u32| (140..200).contains(&length));
            let tail: Vec<&str> = tail.split(' ').map(|word| if own(word) { "(a page)" } else { word }).collect();
            format!("{head}{}", tail.join(" "))
        })
        .collect()
}

/// What a program does with a stock configuration: its answers, and the lines of its access log.
fn outcome(program: Program, stock: &'static Stock) -> io::Result<(Vec<Seen>, Vec<String>)> {
    let testbed = TestBed::new(program)?;
    let everything = installed(stock.name)?;
    testbed.host().run(move || install(stock, &everything))??;
    let test = testbed.command(&[&WORDS[..], &["-t"]].concat())?;
    // nginx 1.22.1's own pages are not what is asked here: what it warns of, ours may too.
    assert!(!test.contains("[warn]"), "{} {}: {test}", program.name(), stock.name);
    let mut command = Command::new(format!("{PREFIX}/sbin/nginx"));
    command.args(WORDS).args(["-g", "daemon off;"]);
    let running = testbed.host().start(command)?;
    wait_for("an answer", LIMIT, || testbed.get(80, "/").ok().map(|_| ()))
        .map_err(|error| io::Error::other(format!("{error}: {}", running.output())))?;
    let mut answers = Vec::new();
    for (target, status) in stock.asked {
        let answer = testbed.get(80, target)?;
        assert_eq!(answer.status, *status, "{} {} {target}: {answer:?}", program.name(), stock.name);
        answers.push(seen(&answer));
    }
    let lines = || -> io::Result<Vec<String>> {
        let file = || std::fs::read_to_string("/usr/share/nginx/logs/access.log");
        let kept = move || std::fs::read_to_string("/var/log/nginx/access.log").or_else(|_| file());
        let piped = stock.links.iter().any(|(link, _)| link.ends_with("access.log"));
        Ok(told(&if piped { running.output() } else { testbed.host().run(kept)?? }))
    };
    // The first request, which asked whether somebody is there, and these.
    let expected = stock.asked.len() + 1;
    let lines = wait_for("the lines", LIMIT, || lines().ok().filter(|lines| lines.len() == expected))?;
    running.signal(Signal::SIGQUIT);
    running.wait(LIMIT)?;
    Ok((answers, lines))
}

#[test]
fn stock_configurations_start() -> io::Result<()> {
    for stock in STOCK {
        let [theirs, ours] = [Program::Original, Program::Ours].map(|program| outcome(program, stock));
        assert_eq!(theirs?, ours?, "{}", stock.name);
    }
    Ok(())
}

/// What RHEL's nginx.conf has for TLS, behind `#`, as an operator uncomments it.
fn with_tls(text: &str) -> String {
    let (plain, tls) = text.split_once("# with TLS\n").expect("a server with TLS");
    let lines: Vec<&str> = tls.lines().map(|line| line.strip_prefix('#').unwrap_or(line)).collect();
    format!("{plain}{}\n", lines.join("\n"))
}

#[test]
fn rhels_server_with_tls_starts_with_the_systems_policy() -> io::Result<()> {
    let testbed = TestBed::new(Program::Ours)?;
    let stock = STOCK.iter().find(|stock| stock.name == "rhel-9").expect("a stock configuration");
    let everything = installed(stock.name)?;
    let made = |name: &str| {
        certificates::all().map(|all| all.iter().find(|(file, _)| file == name).map(|(_, file)| file.clone()))
    };
    let (certificate, key) = (made("cert.pem")?.unwrap_or_default(), made("key.pem")?.unwrap_or_default());
    testbed.host().run(move || -> io::Result<()> {
        install(stock, &everything)?;
        let text = with_tls(&std::fs::read_to_string("/etc/nginx/nginx.conf")?);
        mount::file("/etc/nginx/nginx.conf", text.as_bytes(), 0o644)?;
        mount::file("/etc/pki/nginx/server.crt", &certificate, 0o644)?;
        mount::file("/etc/pki/nginx/private/server.key", &key, 0o600)
    })??;
    // Debian's OpenSSL does not know the word, and Debian has no policy.
    let refused = testbed.command(&[&WORDS[..], &["-t"]].concat()).expect_err("no policy").to_string();
    assert!(refused.contains("SSL_CTX_set_cipher_list(\"PROFILE=SYSTEM\") failed"), "{refused}");
    let policy = b"@SECLEVEL=2:kEECDH:kEDH:kPSK:kRSA:-aDSS:-3DES:!DES:!RC4:!SEED:!eNULL:!aNULL:!MD5\n";
    testbed.host().run(|| mount::file("/etc/crypto-policies/back-ends/openssl.config", policy, 0o644))??;
    let mut command = Command::new(format!("{PREFIX}/sbin/nginx"));
    command.args(WORDS).args(["-g", "daemon off;"]);
    let _running = testbed.host().start(command)?;
    let told = wait_for("an answer", LIMIT, || {
        let told = curl(&testbed, "https://127.0.0.1/");
        told.contains("|200|2").then_some(told)
    })?;
    assert!(told.starts_with("the page /usr/share/nginx/html/index.html"), "{told}");
    Ok(())
}

/// keepalived's samples that need no virtual server: how many instances they have, which all become MASTER.
const SAMPLES: &[(&str, usize)] =
    &[("vrrp", 4), ("sync", 5), ("scripts", 3), ("static", 1), ("routes", 1), ("rules", 1), ("localcheck", 1)];

/// What a host's kernel holds: addresses, routes and rules, in order.
fn held(host: &Host) -> io::Result<Vec<String>> {
    let mut all = Vec::new();
    for words in [&["-o", "-4", "addr"][..], &["-4", "route", "show", "table", "all"], &["rule"]] {
        let output = host.run(move || Command::new("ip").args(words).output())??;
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        // The numbers of interfaces are their order.
        all.extend(text.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")));
    }
    all.sort();
    Ok(all)
}

/// A machine with two networks, this file and this keepalived.
fn with_sample(program: Program, name: &str, words: &[&str]) -> io::Result<(Host, Vec<Switch>, Running)> {
    let host = Host::new(program.name())?;
    let mut switches = Vec::new();
    for (number, interface) in (0..).zip(["eth0", "eth1", "eth2", "eth3"]) {
        let switch = Switch::new()?;
        switch.plug(&host, interface, Ipv4Addr::new(192, 168, 101 + number, 11), 24)?;
        switches.push(switch);
    }
    let text = std::fs::read(root().join(format!("fixtures/keepalived/stock/{name}.conf")))?;
    host.run(move || -> io::Result<()> {
        mount::replace("/etc/keepalived")?;
        mount::file("/etc/keepalived/keepalived.conf", &text, 0o644)
    })??;
    let mut command = Command::new(program.keepalived()?);
    command.args(["-n", "-l", "-f", "/etc/keepalived/keepalived.conf"]).args(words);
    let running = host.start(command)?;
    Ok((host, switches, running))
}

fn masters(running: &Running, count: usize) -> io::Result<()> {
    wait_for("the masters", LIMIT, || {
        (running.output().matches("Entering MASTER STATE").count() >= count).then_some(())
    })
    .map_err(|error| io::Error::other(format!("{error}: {}", running.output())))
}

/// What this keepalived's kernel holds with a sample when all its instances are MASTER.
fn held_with(program: Program, name: &str, count: usize) -> io::Result<Vec<String>> {
    let (host, _switches, running) = with_sample(program, name, &[])?;
    masters(&running, count)?;
    // What it says comes a moment before what it does.
    let mut last = held(&host)?;
    let all = wait_for("nothing to change any more", LIMIT, || {
        std::thread::sleep(Duration::from_millis(500));
        let now = held(&host).ok()?;
        let before = std::mem::replace(&mut last, now.clone());
        (before == now).then_some(now)
    })?;
    running.stop(LIMIT)?;
    Ok(all)
}

#[test]
fn keepaliveds_samples_hold_what_they_name() -> io::Result<()> {
    // All at once: each waits for its adverts most of the time.
    std::thread::scope(|scope| {
        let run = |(name, count): &'static (&str, usize)| {
            let of = |program| scope.spawn(move || held_with(program, name, *count));
            (*name, of(Program::Original), of(Program::Ours))
        };
        let runs: Vec<_> = SAMPLES.iter().map(run).collect();
        for (name, theirs, ours) in runs {
            let (theirs, ours) = (theirs.join().expect("an outcome")?, ours.join().expect("an outcome")?);
            assert_eq!(theirs, ours, "{name}");
        }
        Ok(())
    })
}

/// The file that Red Hat's package installs as it is: a virtual router and three virtual servers.
#[test]
fn the_installed_sample_starts() -> io::Result<()> {
    let (host, _switches, running) = with_sample(Program::Ours, "sample", &["--simulate-ipvs"])?;
    masters(&running, 1)?;
    let all = held(&host)?;
    for address in ["192.168.101.16/32", "192.168.101.17/32", "192.168.101.18/32"] {
        assert!(all.iter().any(|line| line.contains(address)), "{address}: {all:?}");
    }
    let said = running.output();
    for server in ["192.168.101.100]:tcp:443", "10.20.30.2]:tcp:1358", "10.20.30.3]:tcp:1358"] {
        assert!(said.contains(server), "{server}: {said}");
    }
    assert!(running.stop(LIMIT)?.success());
    Ok(())
}
