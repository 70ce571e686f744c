//! The questions of a `#@rkeepalived check`, asked in the loop of the VRRP process: nothing here waits.
//!
//! A question has a deadline. The connection to rnginx stays open between questions: its end is noticed at once and asked
//! about anew, so that a worker that was started again answers, and one that is gone counts as down without a wait.

use crate::check::http::{Get, Response, Url};
use crate::conf::diagnostic::reason;
use crate::keepalived::blocks::probe::Target;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{AddressFamily, SockFlag, SockType, UnixAddr, connect, getsockopt, socket, sockopt};
use socket2::{Domain, Socket, Type};
use std::fs;
use std::io::{self, Read as _, Write as _};
use std::net::SocketAddr;
use std::os::fd::{AsFd as _, AsRawFd as _, BorrowedFd};
use std::os::unix::fs::MetadataExt as _;
use std::time::{Duration, Instant};

/// Bytes of an answer that are read in one turn of the loop.
const A_TURN: usize = 16_384;

/// What a question came to.
#[derive(Debug, PartialEq, Eq)]
pub struct Answer {
    /// What is wrong, in words for the log; nothing where all is well.
    pub failure: Option<String>,
    /// There was none in time.
    pub timed_out: bool,
    /// How long it took.
    pub took: Duration,
}

/// Asks a target again and again.
pub struct ProbeRunner {
    target: Target,
    timeout: Duration,
    question: Option<Question>,
    /// The connection to rnginx, while nothing is asked.
    idle: Option<Socket>,
    /// The end of the connection was followed by a question before its time.
    early: bool,
}

/// A question without an answer.
struct Question {
    socket: Socket,
    began: Instant,
    until: Instant,
    stage: Stage,
}

enum Stage {
    /// The connection is being made; then this is sent.
    Connecting(Vec<u8>),
    /// A request is being sent.
    Sending(Vec<u8>),
    /// A page is coming.
    Receiving(Response),
    /// rnginx was asked, over a connection that is new or was idle.
    Waiting { fresh: bool },
}

/// What there is to say of a question now.
enum Step {
    Wait(Stage),
    Good,
    Bad(String),
    /// The idle connection was at its end.
    Closed,
}

impl ProbeRunner {
    /// Asks nothing yet.
    pub const fn new(target: Target, timeout: Duration) -> Self {
        Self { target, timeout, question: None, idle: None, early: false }
    }

    /// Whether a question waits for its answer.
    pub const fn is_busy(&self) -> bool {
        self.question.is_some()
    }

    /// When an answer is too late.
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.question.as_ref().map(|question| question.until)
    }

    /// What to wait for.
    pub fn descriptor(&self) -> Option<PollFd<'_>> {
        let (fd, flags): (BorrowedFd<'_>, _) = match (&self.question, &self.idle) {
            (Some(question), _) => (question.socket.as_fd(), question.stage.flags()),
            (None, Some(idle)) => (idle.as_fd(), PollFlags::POLLIN),
            (None, None) => return None,
        };
        Some(PollFd::new(fd, flags))
    }

    /// Ends a question and the connection.
    pub fn abandon(&mut self) {
        (self.question, self.idle) = (None, None);
    }

    /// Asks; the answer may be there at once.
    pub fn start(&mut self, now: Instant) -> Option<Answer> {
        self.early = false;
        self.ask(now)
    }

    fn ask(&mut self, now: Instant) -> Option<Answer> {
        match self.open() {
            Ok((socket, stage)) => {
                self.question = Some(Question { socket, began: now, until: now + self.timeout, stage });
                self.advance(now)
            }
            Err(failure) => Some(Answer { failure: Some(failure), timed_out: false, took: Duration::ZERO }),
        }
    }

    /// Goes as far as it can without waiting.
    pub fn advance(&mut self, now: Instant) -> Option<Answer> {
        let Some(question) = self.question.take() else { return self.look_at_idle(now) };
        let Question { mut socket, began, until, stage } = question;
        let took = now.saturating_duration_since(began);
        let answer = |failure| Some(Answer { failure, timed_out: false, took });
        let ahead = match stage.advance(&socket, &self.target) {
            Step::Closed => self.reconnect(&mut socket),
            step => step,
        };
        match ahead {
            Step::Good => {
                if matches!(self.target, Target::Rnginx(_)) {
                    self.idle = Some(socket);
                }
                answer(None)
            }
            Step::Bad(failure) => answer(Some(failure)),
            Step::Closed => answer(Some("connection closed".to_owned())),
            Step::Wait(_) if until <= now => {
                Some(Answer { failure: Some("timed out".to_owned()), timed_out: true, took })
            }
            Step::Wait(stage) => {
                self.question = Some(Question { socket, began, until, stage });
                None
            }
        }
    }

    /// The end of an idle connection is asked about at once, but once between two questions that are due.
    fn look_at_idle(&mut self, now: Instant) -> Option<Answer> {
        self.idle.take_if(|idle| has_ended(idle))?;
        let again = std::mem::replace(&mut self.early, true);
        if again { None } else { self.ask(now) }
    }

    /// Asks over a new connection, in the time that is left.
    fn reconnect(&mut self, socket: &mut Socket) -> Step {
        match self.open() {
            Ok((new, stage)) => {
                *socket = new;
                stage.advance(socket, &self.target)
            }
            Err(failure) => Step::Bad(failure),
        }
    }

    fn open(&mut self) -> Result<(Socket, Stage), String> {
        match &self.target {
            Target::Tcp(to) => Ok((open_tcp(*to)?, Stage::Connecting(Vec::new()))),
            Target::Http(to, get) => {
                let request = get.urls.first().map(|url| get.request(url, *to)).unwrap_or_default();
                Ok((open_tcp(*to)?, Stage::Connecting(request)))
            }
            Target::Rnginx(path) => {
                let (socket, fresh) = match self.idle.take() {
                    Some(socket) => (socket, false),
                    None => (open_rnginx(path)?, true),
                };
                // An end that shows here is found when the answer is read.
                let _ = (&socket).write(b"?");
                Ok((socket, Stage::Waiting { fresh }))
            }
        }
    }
}

impl Stage {
    fn flags(&self) -> PollFlags {
        match self {
            Self::Connecting(_) | Self::Sending(_) => PollFlags::POLLOUT,
            Self::Receiving(_) | Self::Waiting { .. } => PollFlags::POLLIN,
        }
    }

    fn advance(self, socket: &Socket, target: &Target) -> Step {
        match self {
            Self::Connecting(request) => {
                if !is_ready(socket, PollFlags::POLLOUT) {
                    return Step::Wait(Self::Connecting(request));
                }
                match socket.take_error() {
                    Ok(None) if request.is_empty() => Step::Good,
                    Ok(None) => Self::Sending(request).advance(socket, target),
                    Ok(Some(error)) | Err(error) => Step::Bad(reason(&error)),
                }
            }
            Self::Sending(mut request) => match (&*socket).write(&request) {
                Ok(sent) if sent < request.len() => {
                    request.drain(..sent);
                    Step::Wait(Self::Sending(request))
                }
                Ok(_) => Self::Receiving(Response::default()).advance(socket, target),
                Err(error) if is_early(&error) => Step::Wait(Self::Sending(request)),
                Err(error) => Step::Bad(reason(&error)),
            },
            Self::Receiving(response) => receive(response, socket, target),
            Self::Waiting { fresh } => {
                let mut answer = [0; 16];
                match (&*socket).read(&mut answer) {
                    Ok(1..) => Step::Good,
                    Err(error) if is_early(&error) => Step::Wait(Self::Waiting { fresh }),
                    Ok(0) | Err(_) if fresh => Step::Bad("connection closed".to_owned()),
                    Ok(0) | Err(_) => Step::Closed,
                }
            }
        }
    }
}

/// Reads of a page what is there; its head decides.
fn receive(mut response: Response, socket: &Socket, target: &Target) -> Step {
    let Target::Http(_, get) = target else { return Step::Good };
    let page = page(get);
    let judge = |response: Response| match response.judge(page) {
        Ok(_) => Step::Good,
        Err(_) => Step::Bad("HTTP status".to_owned()),
    };
    let mut bytes = [0; A_TURN];
    match (&*socket).read(&mut bytes) {
        Ok(0) if !response.has_head() => Step::Bad("connection closed".to_owned()),
        Ok(length) => {
            let more = response.take(bytes.get(..length).unwrap_or_default(), page);
            match response.has_head() {
                true => judge(response),
                false if more => Step::Wait(Stage::Receiving(response)),
                false => Step::Bad("no HTTP head".to_owned()),
            }
        }
        Err(error) if is_early(&error) => Step::Wait(Stage::Receiving(response)),
        Err(error) => Step::Bad(reason(&error)),
    }
}

fn page(get: &Get) -> &Url {
    const NONE: &Url =
        &Url { path: String::new(), host: None, digest: None, statuses: Vec::new(), regex: None, tls_compliant: false };
    get.urls.first().unwrap_or(NONE)
}

fn is_early(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted)
}

fn is_ready(socket: &Socket, flags: PollFlags) -> bool {
    poll(&mut [PollFd::new(socket.as_fd(), flags)], PollTimeout::ZERO).is_ok_and(|ready| ready > 0)
}

/// Whether nothing comes over an idle connection any more. What was not asked for is its end too.
fn has_ended(socket: &Socket) -> bool {
    is_ready(socket, PollFlags::POLLIN)
}

fn open_tcp(to: SocketAddr) -> Result<Socket, String> {
    let open = || {
        let socket = Socket::new(Domain::for_address(to), Type::STREAM.nonblocking().cloexec(), None)?;
        match socket.connect(&to.into()) {
            Err(error) if error.raw_os_error() != Some(nix::errno::Errno::EINPROGRESS as i32) => Err(error),
            _ => Ok(socket),
        }
    };
    open().map_err(|error| reason(&error))
}

/// Connects with the rnginx of a pid file. The socket's name could be anybody's: it is root's, or the file's owner's.
fn open_rnginx(path: &str) -> Result<Socket, String> {
    let file = fs::metadata(path).and_then(|file| Ok((file.uid(), fs::read_to_string(path)?)));
    let (owner, text) = file.map_err(|error| format!("pid file: {}", reason(&error)))?;
    let pid: u32 = text.trim().parse().map_err(|_| "pid file without a number".to_owned())?;
    let open = || {
        let flags = SockFlag::SOCK_NONBLOCK | SockFlag::SOCK_CLOEXEC;
        let fd = socket(AddressFamily::Unix, SockType::Stream, flags, None)?;
        connect(fd.as_raw_fd(), &UnixAddr::new_abstract(format!("rnginx/{pid}/liveness").as_bytes())?)?;
        let peer = getsockopt(&fd, sockopt::PeerCredentials)?.uid();
        nix::Result::Ok((fd, peer == 0 || peer == owner))
    };
    match open() {
        Ok((fd, true)) => Ok(fd.into()),
        Ok((_, false)) => Err("the socket is another user's".to_owned()),
        Err(error) => Err(reason(&error.into())),
    }
}

#[cfg(test)]
mod tests;
