//! Carries out checks: the only place where they meet sockets and processes.

use crate::check::dns;
use crate::check::http::{Response, Url};
use crate::check::misc::Exit;
use crate::check::ping;
use crate::check::smtp::{Dialogue, Next};
use crate::check::udp::{Answer, Exchange, PAYLOAD};
use crate::conf::diagnostic::reason;
use crate::keepalived::log::cause;
use crate::keepalived::site::server::Connection;
use crate::keepalived::track::script;
use crate::keepalived::track::security::Program;
use crate::sys::socket::{Watched, watch};
use nix::errno::Errno;
use nix::sys::signal::{Signal, killpg};
use nix::sys::socket::setsockopt;
use nix::sys::socket::sockopt::{Ipv4RecvErr, Ipv6RecvErr};
use nix::unistd::Pid;
use rustls::ClientConnection;
use socket2::{Domain, Protocol, Socket, Type};
use std::io::{self, Read, Write};
use std::net::SocketAddr;
use std::os::unix::process::ExitStatusExt;
use std::time::Duration;
use tokio::io::Interest;
use tokio::sync::Notify;
use tokio::time::{Instant, timeout, timeout_at};

/// Why there is no connection.
#[derive(Debug)]
pub enum Unconnected {
    /// The system knew at once that the other end refuses, or cannot be reached.
    Unreachable,
    /// The other end refused, or cannot be reached.
    Failed,
    /// It did not answer in time.
    TimedOut,
    /// The check could not be made; what is said of it.
    Unable(Option<String>),
}

/// How long the kernel goes on sending what a closed connection still holds.
const LINGER: Duration = Duration::from_secs(5);
/// How much is read at once.
const PIECE: usize = 4096;

type Io = Watched<Socket>;

/// Connects.
///
/// # Errors
/// It came to nothing.
pub async fn connect(wanted: &Connection) -> Result<Io, Unconnected> {
    let socket = open(wanted, Type::STREAM, Protocol::TCP)?;
    // Without it the socket is closed at once, and nothing is lost.
    let _ = socket.set_linger(Some(LINGER));
    let socket = begin(socket, wanted)?;
    match timeout(wanted.options.timeout, socket.writable()).await {
        Err(_) => return Err(Unconnected::TimedOut),
        Ok(Err(_)) => return Err(Unconnected::Failed),
        Ok(Ok(_)) => {}
    }
    match socket.get_ref().take_error() {
        Ok(None) => Ok(socket),
        Ok(Some(error)) if error.raw_os_error() == Some(Errno::ETIMEDOUT as i32) => Err(Unconnected::TimedOut),
        Ok(Some(_)) | Err(_) => Err(Unconnected::Failed),
    }
}

/// A socket with everything a check asks for but its connection.
fn open(wanted: &Connection, kind: Type, protocol: Protocol) -> Result<Socket, Unconnected> {
    let socket = Socket::new(Domain::for_address(wanted.to), kind.nonblocking(), Some(protocol));
    let socket = socket.map_err(|_| Unconnected::Unable(None))?;
    let told = |what: String| move |error: io::Error| Unconnected::Unable(Some(format!("{what}: {}", reason(&error))));
    if wanted.options.mark != 0 {
        let what = format!("Error setting fwmark {} to socket", wanted.options.mark);
        socket.set_mark(wanted.options.mark).map_err(told(what))?;
    }
    if let Some(interface) = &wanted.options.interface {
        let what = format!("Checker can't bind to device {interface}");
        socket.bind_device(Some(interface.as_bytes())).map_err(told(what))?;
    }
    if let Some(from) = wanted.options.from {
        socket.bind(&from.into()).map_err(told("Checker bind failed".to_owned()))?;
    }
    Ok(socket)
}

/// Begins to connect.
fn begin(socket: Socket, wanted: &Connection) -> Result<Io, Unconnected> {
    match socket.connect(&wanted.to.into()) {
        Ok(()) => {}
        Err(error) if error.raw_os_error() == Some(Errno::EINPROGRESS as i32) => {}
        Err(error) if is_answer(&error) => return Err(Unconnected::Unreachable),
        Err(error) => {
            let (code, words) = cause(&error);
            return Err(Unconnected::Unable(Some(format!("socket connect error {code} - {words}"))));
        }
    }
    watch(socket).map_err(|_| Unconnected::Unable(None))
}

/// Whether an error of connect(2) says something about the other end.
fn is_answer(error: &io::Error) -> bool {
    const ANSWERS: [Errno; 8] = [
        Errno::ENETUNREACH,
        Errno::EHOSTUNREACH,
        Errno::ECONNREFUSED,
        Errno::EHOSTDOWN,
        Errno::ENETDOWN,
        Errno::ECONNRESET,
        Errno::ECONNABORTED,
        Errno::ETIMEDOUT,
    ];
    error.raw_os_error().is_some_and(|code| ANSWERS.contains(&Errno::from_raw(code)))
}

/// An address and port as keepalived names them.
pub fn pair(of: SocketAddr) -> String {
    format!("[{}]:{}", of.ip(), of.port())
}

/// Reads what there is, waiting for it until then; `None` where nothing came.
async fn receive(socket: &Io, buffer: &mut [u8], until: Instant) -> Option<io::Result<usize>> {
    // What ICMP tells is an error of the socket, with nothing to read.
    let interest = Interest::READABLE | Interest::ERROR;
    let read = socket.async_io(interest, |mut socket| socket.read(buffer));
    timeout_at(until, read).await.ok()
}

/// Asks for a page and reads all of the answer; over TLS where a connection for it is given.
///
/// Differs from keepalived: a server that sends no more behind the head of its answer fails the check over TLS as well; there it is waited for without end. [test: a_tls_server_that_stalls_fails_the_check]
///
/// # Errors
/// keepalived's words for what went wrong; or the check could not be made.
pub async fn fetch(
    wanted: &Connection,
    tls: Option<Tls>,
    (request, url): (&[u8], &Url),
    say: &dyn Fn(&str),
) -> Result<Result<Response, &'static str>, Unconnected> {
    let mut stream = match connect(wanted).await {
        Ok(socket) => Stream { socket, tls, heard: false },
        Err(Unconnected::Unreachable) => return Ok(Err("HTTP_CHECK - network unreachable")),
        Err(Unconnected::Failed) => return Ok(Err("Connection failed")),
        Err(Unconnected::TimedOut) => return Ok(Err("Timeout connecting")),
        Err(unable @ Unconnected::Unable(_)) => return Err(unable),
    };
    let secure = stream.tls.is_some();
    match timeout(wanted.options.timeout, stream.shake()).await {
        Err(_) => return Ok(Err("Timeout connecting")),
        // The socket's own error counts before what TLS makes of it.
        Ok(Err(error)) if error.raw_os_error().is_some() => return Ok(Err("Connection failed")),
        Ok(Err(_)) => return Ok(Err("SSL handshake/communication error connecting to")),
        Ok(Ok(())) => {}
    }
    match timeout(wanted.options.timeout, stream.write(request)).await {
        Err(_) => return Ok(Err("Timeout WEB write")),
        Ok(Err(_)) => return Ok(Err("Cannot send get request to")),
        Ok(Ok(())) => {}
    }
    let mut response = Response::default();
    let mut buffer = [0; PIECE];
    let mut silence = "Timeout WEB read";
    loop {
        match timeout(wanted.options.timeout, stream.read(&mut buffer)).await {
            Err(_) => {
                stream.end();
                return Ok(Err(if secure && stream.heard { "Timeout SSL read" } else { silence }));
            }
            // What came over TLS before an error is judged.
            Ok(Err(_)) if !secure => return Ok(Err("Read error with")),
            Ok(Err(_) | Ok(0)) => break,
            Ok(Ok(length)) => {
                let more = response.take(buffer.get(..length).unwrap_or_default(), url);
                response.said.drain(..).for_each(|line| say(&line));
                if !more {
                    break;
                }
            }
        }
        silence = "Timeout HTTP read";
    }
    stream.end();
    Ok(Ok(response))
}

/// The TLS of a connection.
pub struct Tls {
    /// What speaks it.
    pub session: Box<ClientConnection>,
    /// The server is told when it ends.
    pub compliant: bool,
}

/// A connection, over TLS or not.
struct Stream {
    socket: Io,
    tls: Option<Tls>,
    /// Something came over TLS behind the handshake, if only a ticket.
    heard: bool,
}

impl Stream {
    /// Shakes hands, where it is TLS.
    async fn shake(&mut self) -> io::Result<()> {
        let Some(Tls { session: tls, .. }) = &mut self.tls else { return Ok(()) };
        while tls.is_handshaking() {
            flush(&self.socket, tls).await?;
            if tls.is_handshaking() && fill(&self.socket, tls).await? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
        flush(&self.socket, tls).await
    }

    async fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        match &mut self.tls {
            None => self.socket.async_io(Interest::WRITABLE, |mut socket| socket.write(bytes)).await.map(drop),
            Some(Tls { session: tls, .. }) => {
                tls.writer().write_all(bytes)?;
                flush(&self.socket, tls).await
            }
        }
    }

    /// Tells the server of the end, where it is to know; without waiting.
    fn end(&mut self) {
        let Some(Tls { session, compliant: true }) = &mut self.tls else { return };
        session.send_close_notify();
        // The connection closes either way.
        let _ = session.write_tls(&mut self.socket.get_ref());
    }

    async fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let Some(Tls { session: tls, .. }) = &mut self.tls else {
            return self.socket.async_io(Interest::READABLE, |mut socket| socket.read(buffer)).await;
        };
        loop {
            match tls.reader().read(buffer) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                outcome => return outcome,
            }
            fill(&self.socket, tls).await?;
            self.heard = true;
        }
    }
}

/// Sends what TLS has to send.
async fn flush(socket: &Io, tls: &mut ClientConnection) -> io::Result<()> {
    while tls.wants_write() {
        socket.async_io(Interest::WRITABLE, |mut socket| tls.write_tls(&mut socket)).await?;
    }
    Ok(())
}

/// Reads once for TLS; how much.
async fn fill(socket: &Io, tls: &mut ClientConnection) -> io::Result<usize> {
    let length = socket.async_io(Interest::READABLE, |mut socket| tls.read_tls(&mut socket)).await?;
    tls.process_new_packets().map_err(io::Error::other)?;
    Ok(length)
}

/// Speaks with a mail server; what went wrong.
///
/// # Errors
/// The check could not be made, or the server cannot be reached.
pub async fn speak(wanted: &Connection, mut dialogue: Dialogue<'_>) -> Result<Result<(), &'static str>, Unconnected> {
    let socket = match connect(wanted).await {
        Ok(socket) => socket,
        Err(Unconnected::Failed) => return Ok(Err("Could not connect to server")),
        Err(Unconnected::TimedOut) => return Ok(Err("Connection timeout to server")),
        Err(why) => return Err(why),
    };
    let mut buffer = [0; PIECE];
    loop {
        let length = match receive(&socket, &mut buffer, Instant::now() + wanted.options.timeout).await {
            None => return Ok(Err("Read timeout from server")),
            Some(Err(_) | Ok(0)) => return Ok(Err("Read failure from server")),
            Some(Ok(length)) => length,
        };
        match dialogue.take(buffer.get(..length).unwrap_or_default()) {
            Next::Read => {}
            Next::Done => return Ok(Ok(())),
            Next::Failed(what) => return Ok(Err(what)),
            Next::Send(line) => {
                let sent = socket.async_io(Interest::WRITABLE, |mut socket| socket.write(line.as_bytes()));
                match timeout(wanted.options.timeout, sent).await {
                    Err(_) => return Ok(Err("Write timeout to server")),
                    Ok(Err(_) | Ok(0)) => return Ok(Err("Write failure to server")),
                    Ok(Ok(_)) => {}
                }
            }
        }
    }
}

/// Sends a UDP packet and waits for what comes back.
///
/// # Errors
/// The check could not be made.
pub async fn datagram(wanted: &Connection, exchange: &Exchange) -> Result<Answer, Unconnected> {
    let socket = open(wanted, Type::DGRAM, Protocol::UDP)?;
    // Where it is refused only errors that end a connection are seen.
    let _ = if wanted.to.is_ipv6() {
        setsockopt(&socket, Ipv6RecvErr, &true)
    } else {
        setsockopt(&socket, Ipv4RecvErr, &true)
    };
    let Ok(socket) = begin(socket, wanted) else { return Ok(Answer::Error) };
    if socket.get_ref().send(exchange.payload.as_deref().unwrap_or(PAYLOAD)).is_err() {
        return Ok(Answer::Error);
    }
    // One byte more than the longest good answer has.
    let mut buffer = vec![0; exchange.reply.as_ref().map_or(1, |reply| reply.most.saturating_add(1))];
    Ok(match receive(&socket, &mut buffer, Instant::now() + wanted.options.timeout).await {
        None => Answer::Silence,
        Some(Ok(length)) => match &exchange.reply {
            Some(reply) if !reply.fits(buffer.get(..length).unwrap_or_default()) => Answer::Mismatch,
            _ => Answer::Packet,
        },
        Some(Err(_)) => Answer::Error,
    })
}

/// Asks a name server; what is wrong with the answer.
///
/// # Errors
/// The check could not be made.
pub async fn ask(wanted: &Connection, query: &[u8], id: u16) -> Result<Result<(), String>, Unconnected> {
    let socket = match open(wanted, Type::DGRAM, Protocol::UDP).and_then(|socket| begin(socket, wanted)) {
        Ok(socket) => socket,
        Err(Unconnected::Unable(line)) => return Err(Unconnected::Unable(line)),
        Err(_) => return Ok(Err(format!("network unreachable for {}", pair(wanted.to)))),
    };
    let until = Instant::now() + wanted.options.timeout;
    match socket.get_ref().send(query) {
        Ok(sent) if sent == query.len() => {}
        Ok(_) => return Ok(Err("failed to write all of the datagram.".to_owned())),
        Err(_) => return Ok(Err("failed to write socket.".to_owned())),
    }
    let mut buffer = [0; dns::LONGEST];
    loop {
        match receive(&socket, &mut buffer, until).await {
            None => return Ok(Err("read timeout from socket".to_owned())),
            Some(Err(error)) => {
                let (code, words) = cause(&error);
                return Ok(Err(format!("failed to read socket; errno {code} ({words})")));
            }
            Some(Ok(length)) => {
                if let Some(answer) = dns::answer(buffer.get(..length).unwrap_or_default(), id) {
                    return Ok(answer);
                }
            }
        }
    }
}

/// What an echo request comes to.
pub enum Echo {
    /// It was answered.
    Reply,
    /// Nothing came.
    Silence,
    /// Something else; what is said of it.
    Failed(String),
}

/// Sends an echo request and waits for its answer.
///
/// # Errors
/// The check could not be made.
pub async fn echo(wanted: &Connection, sequence: u16) -> Result<Echo, Unconnected> {
    let ipv6 = wanted.to.is_ipv6();
    let (protocol, version) = if ipv6 { (Protocol::ICMPV6, "ICMPv6") } else { (Protocol::ICMPV4, "ICMP") };
    let socket = Socket::new(Domain::for_address(wanted.to), Type::DGRAM.nonblocking(), Some(protocol));
    let socket = socket.and_then(watch).map_err(|_| Unconnected::Unable(None))?;
    if let Err(error) = socket.get_ref().send_to(&ping::request(ipv6, sequence), &wanted.to.into()) {
        let code = if ipv6 { format!(" - errno {}", cause(&error).0) } else { String::new() };
        return Ok(Echo::Failed(format!("send {version} packet fail{code}")));
    }
    let mut buffer = [0; ping::LONGEST];
    Ok(match receive(&socket, &mut buffer, Instant::now() + wanted.options.timeout).await {
        None => Echo::Silence,
        Some(Err(_)) => Echo::Failed(format!("recv {version} packet error")),
        Some(Ok(length)) => match ping::answer(buffer.get(..length).unwrap_or_default(), ipv6) {
            Ok(()) => Echo::Reply,
            Err(line) => Echo::Failed(line),
        },
    })
}

/// Runs a script to its end; one that takes too long is ended.
///
/// # Errors
/// It could not be started.
pub async fn run(program: &Program, limit: Duration, children: &Notify) -> io::Result<Exit> {
    /// A script that was told to end gets this long.
    const GRACE: Duration = Duration::from_secs(2);
    let mut child = script::start(program)?;
    let group = Pid::from_raw(child.id() as i32);
    let mut guard = Group(Some(group));
    let mut signals = [Signal::SIGTERM, Signal::SIGKILL].into_iter();
    let mut until = Instant::now() + limit;
    let mut ending = false;
    let status = loop {
        // Asked for first, so that an end between the two is not missed.
        let ended = children.notified();
        if let Some(status) = child.try_wait()? {
            break status;
        }
        if timeout_at(until, ended).await.is_err() {
            let signal = signals.next().unwrap_or(Signal::SIGKILL);
            // A group that is gone already has nothing left to end.
            let _ = killpg(group, signal);
            (ending, until) = (true, Instant::now() + GRACE);
        }
    };
    // The group of a script that ended by itself is left alone.
    guard.0 = guard.0.filter(|_| ending);
    Ok(match (status.code(), status.signal()) {
        (_, Some(signal)) if ending && [Signal::SIGTERM as i32, Signal::SIGKILL as i32].contains(&signal) => {
            Exit::TimedOut
        }
        (Some(code), _) => Exit::Status(code.cast_unsigned()),
        (None, signal) => Exit::Signal(signal.unwrap_or_default()),
    })
}

/// A script's group, which ends with the check.
struct Group(Option<Pid>);

impl Drop for Group {
    fn drop(&mut self) {
        if let Some(group) = self.0 {
            // A group that is gone already has nothing left to end.
            let _ = killpg(group, Signal::SIGTERM).and_then(|()| killpg(group, Signal::SIGKILL));
        }
    }
}
