use super::*;
use crate::check::http::{ServerName, Version};
use std::net::{TcpListener, TcpStream};
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::net::{SocketAddr as UnixAddress, UnixListener, UnixStream};
use std::path::PathBuf;

/// Longer than a test takes.
const TIMEOUT: Duration = Duration::from_secs(60);

/// Turns the loop until there is an answer, and what is wrong by it; `serve` is the other side.
fn answer(runner: &mut ProbeRunner, serve: &mut dyn FnMut()) -> Option<String> {
    let mut answer = runner.start(Instant::now());
    for _ in 0..1000 {
        if let Some(answer) = answer {
            return answer.failure;
        }
        serve();
        std::thread::sleep(Duration::from_millis(2));
        answer = runner.advance(Instant::now());
    }
    panic!("no answer");
}

fn page(listener: &TcpListener, statuses: &[(u16, u16)]) -> ProbeRunner {
    let url = Url { path: "/health".to_owned(), statuses: statuses.to_vec(), ..Url::default() };
    let (version, host) = (Version::V11, None);
    let (server_name, tls_compliant) = (ServerName::Absent, false);
    let get = Get {
        urls: vec![url],
        version,
        host,
        own_host: false,
        fast_recovery: false,
        secure: false,
        server_name,
        tls_compliant,
    };
    ProbeRunner::new(Target::Http(listener.local_addr().unwrap(), Box::new(get)), TIMEOUT)
}

#[test]
fn a_connection_is_an_answer() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut runner = ProbeRunner::new(Target::Tcp(listener.local_addr().unwrap()), TIMEOUT);
    assert_eq!(answer(&mut runner, &mut || {}), None);
    drop(listener);
    assert_eq!(answer(&mut runner, &mut || {}), Some("Connection refused".to_owned()));
}

#[test]
fn a_page_is_judged_by_its_status_and_its_end_is_not_waited_for() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let mut open: Vec<TcpStream> = Vec::new();
    let mut ask = |statuses: &[(u16, u16)], head: &str| {
        let mut serve = || {
            if let Ok((mut stream, _)) = listener.accept() {
                stream.set_nonblocking(false).unwrap();
                let mut request = [0; 1024];
                let length = stream.read(&mut request).unwrap();
                assert!(request[..length].starts_with(b"GET /health HTTP/1.1\r\n"));
                stream.write_all(head.as_bytes()).unwrap();
                open.push(stream);
            }
        };
        answer(&mut page(&listener, statuses), &mut serve)
    };
    let bad = "HTTP/1.1 503 No\r\nA: b\r\n\r\n";
    assert_eq!(ask(&[], "HTTP/1.1 204 No\r\n\r\n"), None);
    assert_eq!(ask(&[], bad), Some("HTTP status".to_owned()));
    assert_eq!(ask(&[(500, 503)], bad), None);
    assert_eq!(ask(&[], &"x".repeat(5000)), Some("no HTTP head".to_owned()));
}

#[test]
fn an_answer_that_does_not_come_is_a_failure() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut runner = page(&listener, &[]);
    let now = Instant::now();
    assert_eq!(runner.start(now), None);
    assert_eq!(runner.poll_timeout(), Some(now + TIMEOUT));
    let late = runner.advance(now + TIMEOUT).unwrap();
    assert_eq!((late.failure.as_deref(), late.timed_out), (Some("timed out"), true));
    assert!(!runner.is_busy() && runner.poll_timeout().is_none());
}

/// A master of a number nobody has, and the pid file that names it.
struct Master {
    listener: UnixListener,
    path: PathBuf,
}

impl Master {
    fn new(name: &str) -> Self {
        // Larger than any process id.
        let pid = u64::from(std::process::id()) + 100_000_000;
        let path = std::env::temp_dir().join(format!("liveness-{name}-{pid}.pid"));
        fs::write(&path, format!("{pid}\n")).unwrap();
        let address = UnixAddress::from_abstract_name(format!("rnginx/{pid}/liveness")).unwrap();
        let listener = UnixListener::bind_addr(&address).unwrap();
        listener.set_nonblocking(true).unwrap();
        Self { listener, path }
    }

    fn accept(&self) -> Option<UnixStream> {
        let (stream, _) = self.listener.accept().ok()?;
        stream.set_nonblocking(true).unwrap();
        Some(stream)
    }
}

impl Drop for Master {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.path);
    }
}

#[test]
fn the_end_of_rnginxs_connection_is_asked_about_at_once() {
    let master = Master::new("once");
    let mut runner = ProbeRunner::new(Target::Rnginx(master.path.display().to_string()), TIMEOUT);
    let mut worker: Option<UnixStream> = None;
    let mut connections = 0;
    let mut serve = |worker: &mut Option<UnixStream>| {
        if let Some(stream) = master.accept() {
            *worker = Some(stream);
            connections += 1;
        }
        if let Some(mut stream) = worker.as_ref()
            && matches!(stream.read(&mut [0; 16]), Ok(1..))
        {
            stream.write_all(b"\n").unwrap();
        }
    };
    // Two questions over one connection, then one that a new worker is asked.
    for _ in 0..2 {
        assert_eq!(answer(&mut runner, &mut || serve(&mut worker)), None);
    }
    assert!(runner.descriptor().is_some() && !runner.is_busy());
    worker = None;
    assert_eq!(runner.advance(Instant::now()), None);
    assert!(runner.is_busy(), "the end was not noticed");
    let mut found = None;
    for _ in 0..1000 {
        serve(&mut worker);
        found = runner.advance(Instant::now());
        if found.is_some() {
            break;
        }
        std::thread::sleep(Duration::from_millis(2));
    }
    assert_eq!(found.map(|answer| answer.failure), Some(None));
    assert_eq!(connections, 2);
    // The next end before the next question is not asked about.
    drop(worker);
    assert_eq!(runner.advance(Instant::now()), None);
    assert!(!runner.is_busy());
    drop(master);
    let failure = runner.start(Instant::now()).unwrap().failure.unwrap();
    assert!(failure.starts_with("pid file: "), "{failure}");
}
