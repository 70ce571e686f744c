//! `cargo bench-vs`: nginx, rnginx and HAProxy on the same work, alternately, one processor each; what each unit of work
//! costs the server. A wrong answer voids a figure.

use std::io;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use compat_tests::arena::{Arena, Contestant, FOUNTAIN, Server, Size, pattern};
use compat_tests::load::{Figures, Plan, run};
use compat_tests::measure::{busy, median, processor, quantile};
use compat_tests::{instructions, soak, tools, wide, wrk};

const USAGE: &str = "usage: cargo bench-vs [-- --only WORDS] [--rounds N] [--quick] [--plain] [--self]
  --only WORDS  only the rows whose names hold the words
  --rounds N    how often each contestant runs each row (15)
  --quick       three rounds, a tenth of the idle connections
  --self        the installed nginx instead of rnginx: what the measurement itself is worth
  --plain       without the rows and servers of TLS, HTTP/2 and gzip, which an earlier rnginx cannot read
  --soak N      no rows: N minutes of mixed traffic, reloads, dying servers, slow and malformed clients
  --against P   the rnginx at path P instead of the installed nginx: what a change costs";

/// What a row is to reach.
#[derive(Clone, Copy)]
enum Goal {
    /// nginx's cost divided by ours.
    Cost(f64),
    /// Our rate divided by nginx's, while server and client together cost no more.
    Rate(f64),
}

/// A load generator that was not written for this bench.
#[derive(Clone, Copy)]
enum Tool {
    /// wrk asks for that.
    Wrk(&'static str, &'static str),
    /// h2load asks for that, with these words.
    H2load(&'static str, &'static [&'static str]),
    /// openssl shakes hands, with these words.
    Handshakes(&'static [&'static str]),
}

/// One row of the table.
struct Work {
    name: &'static str,
    goal: Goal,
    service: u16,
    request: Vec<u8>,
    body: Vec<u8>,
    connections: usize,
    fresh: bool,
    plain: bool,
    haproxy: bool,
    two: bool,
    /// Another program asks, for a second; the answers' bytes are checked in other rows.
    tool: Option<Tool>,
}

struct Options {
    only: String,
    rounds: usize,
    time: Duration,
    idle: usize,
    second: Contestant,
    plain: bool,
    earlier: Option<PathBuf>,
    soak: Option<u64>,
}

fn options() -> Option<Options> {
    let mut options = Options {
        only: String::new(),
        rounds: 15,
        time: Duration::from_millis(350),
        idle: 10_000,
        second: Contestant::Ours,
        plain: false,
        earlier: None,
        soak: None,
    };
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--only" => options.only = arguments.next()?,
            "--rounds" => options.rounds = arguments.next()?.parse().ok()?,
            "--quick" => {
                options.rounds = 3;
                options.idle = 1000;
            }
            "--against" => options.earlier = Some(arguments.next()?.into()),
            "--soak" => options.soak = Some(arguments.next()?.parse().ok()?),
            "--plain" => options.plain = true,
            "--self" => options.second = Contestant::NginxAgain,
            _ => return None,
        }
    }
    Some(options)
}

fn get(target: &str) -> Vec<u8> {
    format!("GET {target} HTTP/1.1\r\nHost: localhost\r\n\r\n").into_bytes()
}

fn works() -> Vec<Work> {
    let hello = || b"hello\n".to_vec();
    let http = |name, cost, request, body, connections| Work {
        name,
        goal: Goal::Cost(cost),
        service: 1,
        request,
        body,
        connections,
        fresh: false,
        plain: false,
        haproxy: true,
        two: false,
        tool: None,
    };
    let mut post = b"POST /kept/post HTTP/1.1\r\nHost: localhost\r\nContent-Length: 65536\r\n\r\n".to_vec();
    post.extend(pattern(65536));
    let close = b"GET /ret HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".to_vec();
    let ping = [&[b'.'; 99][..], b"\n"].concat();
    let stream = |name, cost, service, request: &[u8], body| Work {
        plain: true,
        service,
        ..http(name, cost, request.to_vec(), body, 32)
    };
    let large = |name, target, length| Work {
        goal: Goal::Rate(1.2),
        haproxy: false,
        ..http(name, 1.0, get(target), pattern(length), 16)
    };
    let by_wrk = |name, target, length| Work { tool: Some(Tool::Wrk("http", target)), ..large(name, target, length) };
    vec![
        http("return 200", 1.05, get("/ret"), hello(), 32),
        Work { haproxy: false, ..http("return 200, access_log on", 1.2, get("/log/ret"), hello(), 32) },
        http("static 1 KiB", 1.4, get("/1k.bin"), pattern(1024), 32),
        large("static 100 KiB", "/100k.bin", 100 << 10),
        large("static 1 MiB", "/1m.bin", 1 << 20),
        by_wrk("static 100 KiB, wrk", "/100k.bin", 100 << 10),
        by_wrk("static 1 MiB, wrk", "/1m.bin", 1 << 20),
        Work { fresh: true, ..http("connection per request", 1.0, close, hello(), 16) },
        Work { two: true, ..http("return 200, two workers", 1.05, get("/ret"), hello(), 32) },
        http("proxy, kept, 32 clients", 1.1, get("/kept/ret"), hello(), 32),
        http("proxy, kept, 64 clients", 1.4, get("/kept/ret"), hello(), 64),
        http("proxy, new connections", 1.15, get("/new/ret"), hello(), 32),
        http("proxy, 100 KiB body", 2.0, get("/kept/100k.bin"), pattern(100 << 10), 16),
        http("proxy, 64 KiB POST", 4.0, post, hello(), 16),
        stream("stream, 100-byte ping-pong", 1.05, 2, &ping, ping.clone()),
        Work { fresh: true, connections: 16, ..stream("stream, connection rate", 1.0, 2, &ping, ping.clone()) },
        Work { connections: 1, ..stream("stream, bulk (per GiB)", 2.3, 3, b"\n", vec![b'.'; FOUNTAIN]) },
        Work {
            connections: 1,
            haproxy: false,
            ..stream("stream, bulk, buffer 3M (per GiB)", 1.0, 4, b"\n", vec![b'.'; FOUNTAIN])
        },
    ]
}

/// The rows other programs ask for; ours warms up on the first service.
fn tool_works() -> Vec<Work> {
    let hello = || b"hello\n".to_vec();
    let by = |name, cost, service, tool, body| Work {
        name,
        goal: Goal::Cost(cost),
        service,
        request: get("/ret"),
        body,
        connections: 16,
        fresh: false,
        plain: false,
        haproxy: true,
        two: false,
        tool: Some(tool),
    };
    let (one, all): (&[&str], &[&str]) = (&["-c8", "-m1"], &["-c8", "-m32"]);
    let zip: &[&str] = &["--h1", "-c16", "-m1", "-Haccept-encoding: gzip"];
    vec![
        by("TLS, full handshake, ECDSA", 1.9, 5, Tool::Handshakes(&["-new", "-tls1_3"]), hello()),
        by("TLS, full handshake, RSA-2048", 1.3, 6, Tool::Handshakes(&["-new", "-tls1_3"]), hello()),
        by("TLS, resumed handshake", 1.9, 5, Tool::Handshakes(&["-reuse", "-tls1_2"]), hello()),
        by("TLS, static 1 KiB", 1.1, 5, Tool::Wrk("https", "/1k.bin"), pattern(1024)),
        Work { haproxy: false, ..by("TLS, static 1 MiB", 1.8, 5, Tool::Wrk("https", "/1m.bin"), pattern(1 << 20)) },
        Work { haproxy: false, ..by("TLS stream, 6-byte answers", 1.05, 7, Tool::Wrk("https", "/ret"), hello()) },
        Work { haproxy: false, ..by("TLS stream, 1 MiB", 1.8, 7, Tool::Wrk("https", "/1m.bin"), pattern(1 << 20)) },
        by("HTTP/2, static 1 KiB, 8 x 32", 1.1, 5, Tool::H2load("/1k.bin", all), hello()),
        by("HTTP/2, static 1 KiB, 8 x 1", 1.1, 5, Tool::H2load("/1k.bin", one), hello()),
        by("HTTP/2, proxied, 8 x 32", 1.1, 5, Tool::H2load("/kept/ret", all), hello()),
        Work { haproxy: false, ..by("gzip, 100 KiB of text", 1.2, 9, Tool::H2load("/100k.txt", zip), hello()) },
    ]
}

/// What one contestant's runs of one row gave.
#[derive(Default)]
struct Column {
    /// Server microseconds for each unit of work.
    cost: Vec<f64>,
    /// Server and client together.
    total: Vec<f64>,
    rate: Vec<f64>,
    /// Microseconds until half, and all but one in a hundred, of a round's answers were there.
    half: Vec<f64>,
    most: Vec<f64>,
    /// Processors that somebody else kept busy meanwhile.
    foreign: Vec<f64>,
    void: Option<String>,
}

fn main() -> ExitCode {
    let Some(options) = options() else {
        eprintln!("{USAGE}");
        return ExitCode::FAILURE;
    };
    let done = match options.soak {
        Some(minutes) => Arena::new(None, false).and_then(|arena| soak::run(&arena, minutes)),
        None => bench(&options).map(|()| true),
    };
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("bench: {error}");
            ExitCode::FAILURE
        }
    }
}

fn bench(options: &Options) -> io::Result<()> {
    let arena = Arena::new(options.earlier.clone(), options.plain)?;
    let first = if options.earlier.is_some() { Contestant::Earlier } else { Contestant::Nginx };
    let contestants = [first, options.second, Contestant::Haproxy];
    println!(
        "server CPU per unit in microseconds (medians of {} alternating runs)\n\
         ratio: the first column's cost / the second's in the same round: median, then the middle half of the rounds\n\
         congestion control: {}\n",
        options.rounds,
        arena.congestion_control()?
    );
    print!("{:36}", "");
    contestants.iter().for_each(|contestant| print!("{:>12}", contestant.name()));
    println!(
        "{:>9}{:>13}{:>11}{:>12}{:>8}{:>8}{:>9}{:>17}{:>17}",
        "ratio", "half within", "goal", "HAProxy's", "rate", "total", "foreign", "p50 us", "p99 us"
    );
    for two in [false, true] {
        let size = if two { Size::TWO } else { Size::FAST };
        let works: Vec<_> = works()
            .into_iter()
            .chain(if options.plain { Vec::new() } else { tool_works() })
            .filter(|work| work.two == two && work.name.contains(&options.only))
            .collect();
        if works.is_empty() {
            continue;
        }
        let servers = contestants.map(|contestant| arena.start(contestant, size));
        for work in works {
            print_row(&work, &measure(&arena, &servers, &work, options));
        }
        for server in servers.into_iter().flatten() {
            server.stop()?;
        }
    }
    println!();
    wide::report(&arena, &contestants, options.idle, options.rounds, &options.only);
    instructions::report(&arena, &[first, options.second], &options.only);
    Ok(())
}

/// A B A B: every contestant in every round.
fn measure(arena: &Arena, servers: &[io::Result<Server>; 3], work: &Work, options: &Options) -> [Column; 3] {
    let mut columns = [Column::default(), Column::default(), Column::default()];
    for round in 0..options.rounds {
        for place in 0..servers.len() {
            // Who goes first changes, so that a neighbour's rhythm hits everybody.
            let place = (place + round) % servers.len();
            let column = &mut columns[place];
            match &servers[place] {
                Ok(server) if server.contestant() != Contestant::Haproxy || work.haproxy => {
                    if let Err(error) = sample(arena, server, work, options.time, column) {
                        column.void = Some(error.to_string());
                    }
                }
                Ok(_) => {}
                Err(error) => column.void = Some(error.to_string()),
            }
        }
    }
    columns
}

/// One run.
fn sample(arena: &Arena, server: &Server, work: &Work, time: Duration, column: &mut Column) -> io::Result<()> {
    let plan = Plan {
        address: server.contestant().address(work.service),
        request: work.request.clone(),
        body: Arc::new(work.body.clone()),
        plain: work.plain,
        connections: work.connections,
        fresh: work.fresh,
    };
    let pids = server.processes()?;
    if work.tool.is_none() {
        let warm = plan.clone();
        arena.load(move || run(&warm, time / 10, &AtomicBool::new(false)))??;
    }
    let (before, busy_before) = (processor(&pids), busy());
    let (tool, length) = (work.tool, work.body.len());
    let figures: Figures = arena.load(move || match tool {
        Some(Tool::Wrk(scheme, target)) => wrk::run(plan.address, scheme, target, (length, plan.connections)),
        Some(Tool::H2load(target, words)) => {
            let scheme = if words.contains(&"--h1") { "http" } else { "https" };
            tools::h2load(words, &format!("{scheme}://{}{target}", plan.address))
        }
        Some(Tool::Handshakes(words)) => tools::handshakes(words, plan.address),
        None => run(&plan, time, &AtomicBool::new(false)),
    })??;
    let spent = processor(&pids).saturating_sub(before);
    let others = busy().saturating_sub(busy_before).saturating_sub(spent + figures.processor);
    if figures.wrong > 0 || figures.failed > 0 || figures.answers == 0 {
        let complaint = figures.complaint.unwrap_or_default();
        return Err(io::Error::other(format!("{} wrong, {} failed: {complaint}", figures.wrong, figures.failed)));
    }
    let units = if work.body.len() == FOUNTAIN {
        figures.answers as f64 * FOUNTAIN as f64 / (1_u64 << 30) as f64
    } else {
        figures.answers as f64
    };
    column.cost.push(spent.as_secs_f64() * 1e6 / units);
    column.total.push((spent + figures.processor).as_secs_f64() * 1e6 / units);
    let latencies: Vec<f64> = figures.latencies.iter().map(|micros| f64::from(*micros)).collect();
    if !latencies.is_empty() {
        column.half.push(quantile(&latencies, 0.5));
        column.most.push(quantile(&latencies, 0.99));
    }
    column.rate.push(units / figures.elapsed.as_secs_f64());
    column.foreign.push(others.as_secs_f64() / figures.elapsed.as_secs_f64());
    Ok(())
}

fn print_row(work: &Work, columns: &[Column; 3]) {
    let [nginx, ours, haproxy] = columns;
    print!("{:36}", work.name);
    for column in columns {
        match (&column.void, column.cost.is_empty()) {
            (Some(_), _) => print!("{:>12}", "VOID"),
            (None, true) => print!("{:>12}", "-"),
            (None, false) => print!("{:>12.2}", median(&column.cost)),
        }
    }
    // The machine's own speed drifts by a half within seconds: what is compared ran in the same round.
    let ratios = |column: &Column, field: fn(&Column) -> &Vec<f64>| {
        if nginx.void.is_some() || column.void.is_some() {
            return Vec::new();
        }
        field(nginx).iter().zip(field(column)).map(|(theirs, own)| theirs / own).collect()
    };
    let shown = |figure: f64| if figure.is_nan() { "-".to_owned() } else { format!("{figure:.2}") };
    let costs = ratios(ours, |column| &column.cost);
    println!(
        "{:>9}{:>13}{:>11}{:>12}{:>8}{:>8}{:>9}{:>17}{:>17}",
        shown(median(&costs)),
        format!("{}-{}", shown(quantile(&costs, 0.25)), shown(quantile(&costs, 0.75))),
        match work.goal {
            Goal::Cost(ratio) => format!("{ratio:.2}"),
            Goal::Rate(ratio) => format!("rate {ratio:.2}"),
        },
        shown(median(&ratios(haproxy, |column| &column.cost))),
        shown(1.0 / median(&ratios(ours, |column| &column.rate))),
        shown(median(&ratios(ours, |column| &column.total))),
        shown(median(&ours.foreign)),
        format!("{:.0} / {:.0}", median(&nginx.half), median(&ours.half)),
        format!("{:.0} / {:.0}", median(&nginx.most), median(&ours.most))
    );
    for column in columns {
        if let Some(why) = &column.void {
            println!("    VOID: {}", why.chars().take(300).collect::<String>());
        }
    }
}
