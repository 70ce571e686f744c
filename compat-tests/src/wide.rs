//! The rows of the bench that are not requests per second: memory of idle connections, reloads, starts.

use std::io::{self, BufReader, Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};

use crate::arena::{Arena, Contestant, Size, raise_limit};
use crate::idle::{UPGRADE, open};
use crate::load::{Plan, run};
use crate::measure::{median, memory, quantile};
use crate::{client, idle, load};

/// How long one step of a client may take.
pub const LIMIT: Duration = Duration::from_secs(5);

/// One measurement of one contestant, as text.
pub type Cell = io::Result<String>;
type Row = (&'static str, fn(&Arena, Contestant, usize, usize) -> Cell);

const ROWS: [Row; 12] = [
    ("2,000 kept connections, all at once", bursts),
    ("small requests beside an upload", beside_an_upload),
    ("20 MB to a slow reader: how long the backend is held", slow_reader),
    ("idle keep-alive connections: memory", idle::keepalive),
    ("idle WebSocket tunnels: memory", idle::tunnels),
    ("idle wss tunnels: memory", idle::secure_tunnels),
    ("idle HTTP/2 connections: memory", idle::http2),
    ("1,000 WebSockets over 10 reloads", tunnels_over_reloads),
    ("20 reloads under load", reloads_under_load),
    ("first response after start", first_response),
    ("worker killed: first response of the next", next_worker),
    ("-t on the article's nginx.conf", test_time),
];

/// Measures and prints every row whose name holds `only`.
pub fn report(arena: &Arena, contestants: &[Contestant], idle: usize, rounds: usize, only: &str) {
    for (name, measure) in ROWS.iter().filter(|(name, _)| name.contains(only)) {
        println!("{name}");
        for contestant in contestants {
            let reloads = ["reload", "-t", "worker"].iter().any(|word| name.contains(word));
            if *contestant == Contestant::Haproxy && reloads {
                continue;
            }
            let cell = measure(arena, *contestant, idle, rounds).unwrap_or_else(|error| format!("VOID: {error}"));
            println!("    {:14}{cell}", contestant.name());
        }
    }
}

/// Bytes as MiB.
pub fn mib(bytes: u64) -> String {
    format!("{:.1} MiB", bytes as f64 / (1 << 20) as f64)
}

/// How many of the tunnels no longer carry a message there and back.
fn cut(streams: &mut [TcpStream]) -> usize {
    let mut answer = [0; 4];
    let mut alive = |stream: &mut TcpStream| -> io::Result<bool> {
        stream.write_all(b"ping")?;
        stream.read_exact(&mut answer)?;
        Ok(answer == *b"ping")
    };
    streams.iter_mut().filter_map(|stream| (!alive(stream).unwrap_or(false)).then_some(())).count()
}

fn tunnels_over_reloads(arena: &Arena, contestant: Contestant, idle: usize, _: usize) -> Cell {
    let (part, address) = (idle / 100, contestant.address(1));
    let server = arena.start(contestant, Size::FAST)?;
    let streams = arena.load(move || open(address, part * 10, UPGRADE))??;
    std::thread::sleep(Duration::from_millis(200));
    let calm = memory(&server.processes()?);
    drop(streams);
    server.stop()?;
    // The same number of tunnels, but a tenth of them from before each reload.
    let server = arena.start(contestant, Size::FAST)?;
    let mut streams = Vec::new();
    for _ in 0..10 {
        streams.extend(arena.load(move || open(address, part, UPGRADE))??);
        arena.reload(&server)?;
        std::thread::sleep(Duration::from_millis(150));
    }
    let processes = server.processes()?;
    let after = memory(&processes);
    let count = streams.len();
    let cut = arena.load(move || cut(&mut streams))?;
    server.stop()?;
    let growth = 100.0 * (after as f64 / calm as f64 - 1.0);
    Ok(format!(
        "{count} tunnels: {} processes, {} (without reloads {}, {growth:+.0} %), {cut} cut",
        processes.len(),
        mib(after),
        mib(calm)
    ))
}

fn reloads_under_load(arena: &Arena, contestant: Contestant, _: usize, _: usize) -> Cell {
    let server = arena.start(contestant, Size::FAST)?;
    let (web, stream) = (contestant.address(1), contestant.address(2));
    let mut tunnels = arena.load(move || open(web, 100, UPGRADE))??;
    let mut devices =
        arena.load(move || (0..100).map(|_| client::connect(stream, LIMIT)).collect::<io::Result<Vec<_>>>())??;
    let before = memory(&server.processes()?);
    let stop = Arc::new(AtomicBool::new(false));
    let (plan_stop, plan) = (
        Arc::clone(&stop),
        Plan {
            address: web,
            request: b"GET /ret HTTP/1.1\r\nHost: localhost\r\n\r\n".to_vec(),
            body: Arc::new(b"hello\n".to_vec()),
            plain: false,
            connections: 16,
            fresh: false,
        },
    );
    let figures: io::Result<load::Figures> = std::thread::scope(|scope| {
        let load = scope.spawn(|| arena.load(move || run(&plan, Duration::from_secs(60), &plan_stop))?);
        let reloads: io::Result<()> = (0..20).try_for_each(|_| {
            std::thread::sleep(Duration::from_millis(50));
            arena.reload(&server)
        });
        std::thread::sleep(Duration::from_millis(100));
        stop.store(true, Ordering::Relaxed);
        let figures = load.join().unwrap_or_else(|_| Err(io::Error::other("the load generator panicked")))?;
        reloads.map(|()| figures)
    });
    let figures = figures?;
    let (web_cut, stream_cut) = arena.load(move || (cut(&mut tunnels), cut(&mut devices)))?;
    let after = memory(&server.processes()?);
    server.stop()?;
    Ok(format!(
        "{} answers, {} wrong, {} failed; {web_cut} WebSocket and {stream_cut} MQTT connections cut; memory {} -> {}",
        figures.answers,
        figures.wrong,
        figures.failed,
        mib(before),
        mib(after)
    ))
}

fn first_response(arena: &Arena, contestant: Contestant, _: usize, rounds: usize) -> Cell {
    let address = contestant.address(1);
    let mut times = Vec::new();
    for _ in 0..rounds.max(5) {
        let begin = Instant::now();
        let server = arena.launch(contestant, Size::FAST)?;
        let end = arena.load(move || {
            while begin.elapsed() < LIMIT {
                let answer = client::get(address, "/ret", &[], LIMIT);
                if answer.is_ok_and(|answer| answer.status == 200) {
                    return Some(begin.elapsed());
                }
                std::thread::sleep(Duration::from_micros(300));
            }
            None
        })?;
        times.push(end.ok_or_else(|| io::Error::other("no answer within 5 s"))?.as_secs_f64() * 1e3);
        server.stop()?;
    }
    Ok(format!("{:.1} ms", median(&times)))
}

fn next_worker(arena: &Arena, contestant: Contestant, _: usize, rounds: usize) -> Cell {
    let address = contestant.address(1);
    let server = arena.start(contestant, Size::FAST)?;
    let mut times = Vec::new();
    for _ in 0..rounds.max(5) {
        let workers = server.processes()?.into_iter().filter(|pid| *pid != server.pid());
        for worker in workers {
            kill(worker, Signal::SIGKILL)?;
        }
        let begin = Instant::now();
        // The connection may be one the dead worker still held.
        let end = arena.load(move || {
            while begin.elapsed() < LIMIT {
                if client::get(address, "/ret", &[], LIMIT).is_ok_and(|answer| answer.status == 200) {
                    return Some(begin.elapsed());
                }
            }
            None
        })?;
        times.push(end.ok_or_else(|| io::Error::other("no answer within 5 s"))?.as_secs_f64() * 1e3);
        std::thread::sleep(Duration::from_millis(100));
    }
    server.stop()?;
    Ok(format!("{:.1} ms", median(&times)))
}

fn test_time(arena: &Arena, contestant: Contestant, _: usize, rounds: usize) -> Cell {
    let times: io::Result<Vec<f64>> =
        (0..rounds * 4).map(|_| Ok(arena.test_article(contestant)?.as_secs_f64() * 1e3)).collect();
    Ok(format!("{:.1} ms", median(&times?)))
}

/// Microseconds as text: half of them, all but one in a hundred, and the longest.
fn spread(latencies: &[u32]) -> String {
    let all: Vec<f64> = latencies.iter().map(|micros| f64::from(*micros) / 1e3).collect();
    format!(
        "p50 {:.2} ms, p99 {:.2} ms, longest {:.2} ms",
        quantile(&all, 0.5),
        quantile(&all, 0.99),
        quantile(&all, 1.0)
    )
}

fn bursts(arena: &Arena, contestant: Contestant, idle: usize, _: usize) -> Cell {
    const REQUEST: &[u8] = b"GET /ret HTTP/1.1\r\nHost: localhost\r\n\r\n";
    let count = (idle / 5).min(raise_limit()?);
    let server = arena.start(contestant, Size::FAST)?;
    let address = contestant.address(1);
    let outcome = arena.load(move || -> io::Result<(usize, Vec<u32>)> {
        let mut streams = open(address, count, REQUEST)?;
        let (mut unanswered, mut latencies) = (0, Vec::new());
        for _ in 0..15 {
            let begin = Instant::now();
            streams.iter_mut().try_for_each(|stream| stream.write_all(REQUEST))?;
            for stream in &mut streams {
                let left = Duration::from_millis(1500).saturating_sub(begin.elapsed());
                stream.set_read_timeout(Some(left.max(Duration::from_millis(1))))?;
                match client::response(&mut BufReader::with_capacity(512, &*stream), false) {
                    Ok(_) => latencies.push(u32::try_from(begin.elapsed().as_micros()).unwrap_or(u32::MAX)),
                    Err(_) => unanswered += 1,
                }
            }
            if unanswered > 0 {
                break;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        Ok((unanswered, latencies))
    })??;
    server.stop()?;
    Ok(format!("{} unanswered after 1.5 s; {}", outcome.0, spread(&outcome.1)))
}

fn beside_an_upload(arena: &Arena, contestant: Contestant, _: usize, _: usize) -> Cell {
    let server = arena.start(contestant, Size::FAST)?;
    let address = contestant.address(1);
    let stop = Arc::new(AtomicBool::new(false));
    let uploads_stop = stop.clone();
    let upload = move || -> io::Result<u64> {
        let piece = vec![b'x'; 1 << 20];
        let mut sent = 0;
        while !uploads_stop.load(Ordering::Relaxed) {
            let mut stream = client::connect(address, LIMIT)?;
            write!(stream, "POST /up HTTP/1.0\r\nContent-Length: {}\r\n\r\n", 256 << 20)?;
            for _ in 0..256 {
                if uploads_stop.load(Ordering::Relaxed) || stream.write_all(&piece).is_err() {
                    break;
                }
                sent += piece.len() as u64;
            }
        }
        Ok(sent)
    };
    let plan = Plan {
        address,
        request: b"GET /ret HTTP/1.1\r\nHost: localhost\r\n\r\n".to_vec(),
        body: Arc::new(b"hello\n".to_vec()),
        plain: false,
        connections: 4,
        fresh: false,
    };
    let (sent, figures) = std::thread::scope(|scope| {
        let uploading = scope.spawn(|| arena.load(upload));
        let figures = arena.load(move || run(&plan, Duration::from_secs(2), &AtomicBool::new(false)));
        stop.store(true, Ordering::Relaxed);
        let sent = uploading.join().unwrap_or_else(|_| Err(io::Error::other("the upload panicked")));
        (sent, figures)
    });
    let (sent, figures) = (sent??, figures??);
    server.stop()?;
    Ok(format!("{}; {} sent meanwhile; {}", figures.answers, mib(sent), spread(&figures.latencies)))
}

fn slow_reader(arena: &Arena, contestant: Contestant, _: usize, _: usize) -> Cell {
    const LENGTH: usize = 20_000_000;
    let server = arena.start(contestant, Size::FAST)?;
    let address = contestant.address(1);
    let held = arena.load(move || -> io::Result<Option<Duration>> {
        let backend = std::net::TcpListener::bind("127.0.0.1:20014")?;
        let mut client = client::connect(address, LIMIT)?;
        client.write_all(b"GET /slowly HTTP/1.0\r\n\r\n")?;
        let (mut request, _) = backend.accept()?;
        let begin = Instant::now();
        let writes = std::thread::spawn(move || -> io::Result<Duration> {
            let mut head = [0; 1000];
            let _ = request.read(&mut head)?;
            write!(request, "HTTP/1.0 200 OK\r\nContent-Length: {LENGTH}\r\n\r\n")?;
            request.write_all(&vec![b'x'; LENGTH])?;
            Ok(begin.elapsed())
        });
        // 512 kB a second.
        let mut piece = vec![0; 51_200];
        while begin.elapsed() < Duration::from_secs(8) && !writes.is_finished() {
            client.read_exact(&mut piece)?;
            std::thread::sleep(Duration::from_millis(100));
        }
        drop(client);
        Ok(writes.join().ok().and_then(Result::ok))
    })??;
    server.stop()?;
    Ok(held.map_or_else(|| "until the client left".to_owned(), |held| format!("{:.2} s", held.as_secs_f64())))
}
