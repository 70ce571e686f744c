//! Users who never stop trying: what they see when something behind the virtual address breaks.

use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::client;
use crate::mqtt::Client;
use crate::net::Host;

/// How often a user tries.
const PAUSE: Duration = Duration::from_millis(10);
/// How long a user waits for one answer before trying anew.
const PATIENCE: Duration = Duration::from_millis(400);

/// One user in a thread of its own.
#[derive(Debug)]
pub struct Watch {
    stop: Arc<AtomicBool>,
    answers: Arc<Mutex<Vec<Instant>>>,
    lost: Arc<AtomicUsize>,
    thread: Option<JoinHandle<()>>,
}

impl Watch {
    /// Starts a user on this host. `attempt` is called again and again and says whether it worked.
    pub fn start(host: &Host, mut attempt: impl FnMut() -> io::Result<()> + Send + 'static) -> io::Result<Self> {
        let (stop, answers) = (Arc::new(AtomicBool::new(false)), Arc::new(Mutex::new(Vec::new())));
        let lost = Arc::new(AtomicUsize::new(0));
        let (stopped, kept, failed) = (Arc::clone(&stop), Arc::clone(&answers), Arc::clone(&lost));
        let thread = host.spawn(move || {
            while !stopped.load(Ordering::Relaxed) {
                match attempt() {
                    Ok(()) => kept.lock().unwrap_or_else(PoisonError::into_inner).push(Instant::now()),
                    Err(_) => {
                        failed.fetch_add(1, Ordering::Relaxed);
                    }
                }
                std::thread::sleep(PAUSE);
            }
        })?;
        Ok(Self { stop, answers, lost, thread: Some(thread) })
    }

    /// A user of the web application, with a connection per request.
    pub fn web(host: &Host, address: SocketAddr) -> io::Result<Self> {
        Self::start(host, move || {
            let answer = client::get(address, "/ACS/watch", &[], PATIENCE)?;
            if answer.status == 200 { Ok(()) } else { Err(io::Error::other(answer.line)) }
        })
    }

    /// A device that keeps an MQTT connection and opens a new one when it breaks.
    pub fn mqtt(host: &Host, address: SocketAddr, websocket: bool) -> io::Result<Self> {
        let mut connected: Option<Client> = None;
        Self::start(host, move || {
            let mut client = match connected.take() {
                Some(client) => client,
                None => {
                    let stream = client::connect(address, PATIENCE)?;
                    if websocket {
                        Client::websocket(stream, "localhost", "watch")?
                    } else {
                        Client::tcp(stream, "watch")?
                    }
                }
            };
            client.ping()?;
            connected = Some(client);
            Ok(())
        })
    }

    /// The last answer, if there was one.
    pub fn last(&self) -> Option<Instant> {
        self.answers.lock().unwrap_or_else(PoisonError::into_inner).last().copied()
    }

    /// How many attempts were answered, and how many were not.
    pub fn attempts(&self) -> (usize, usize) {
        let answered = self.answers.lock().unwrap_or_else(PoisonError::into_inner).len();
        (answered, self.lost.load(Ordering::Relaxed))
    }

    /// The longest time without an answer between two moments (a moment without answers counts up to `until`).
    pub fn cut_off(&self, since: Instant, until: Instant) -> Duration {
        let answers = self.answers.lock().unwrap_or_else(PoisonError::into_inner);
        let before = answers.iter().rev().find(|at| **at <= since).copied().unwrap_or(since);
        let mut longest = Duration::ZERO;
        let mut previous = before;
        for at in answers.iter().filter(|at| **at > since && **at <= until).chain([&until]) {
            longest = longest.max(at.duration_since(previous));
            previous = *at;
        }
        longest
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
