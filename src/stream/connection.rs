//! From an accepted socket to its log line: PROXY protocol head, phases, content.

use super::handshake;
use super::session::{Accepted, LoopState, Session, Wire};
use super::site::{Flow, Phase, Port, Site};
use crate::log::Level;
use crate::net::address::Address;
use crate::net::deadline::Deadline;
use crate::net::proxy_protocol::{self, MAX_HEADER};
use crate::net::transport::Transport;
use nix::sys::socket::{MsgFlags, recv};
use std::future::poll_fn;
use std::io;
use std::os::fd::AsRawFd as _;
use std::rc::Rc;
use std::sync::Arc;
use std::task::Poll;

/// Serves one accepted connection to its end.
pub async fn serve(loop_state: Rc<LoopState>, site: Arc<Site>, port: Arc<Port>, (stream, peer): (Transport, Address)) {
    let local = match port.virtuals.len() {
        0 | 1 => None,
        _ => stream.socket().local_addr().ok().and_then(|name| name.as_socket()),
    };
    let Some(entry) = port.of(local) else { return };
    let stream = Rc::new(stream);
    let accepted = Accepted { wire: Wire::Stream(stream.clone()), peer, bound: entry.address.clone(), local };
    let (announced, secure) = (entry.proxy_protocol, entry.secure);
    let mut session = Session::new(loop_state, site, entry.server.clone(), accepted);
    drop(port);
    let server = session.server.clone();
    session.event_loop().clock.update();
    if server.tcp_nodelay && matches!(session.peer, Address::Ip(_)) {
        let _ = stream.socket().set_tcp_nodelay(true);
    }
    greet(&session);
    let refused = if announced { announce(&mut session, &stream).await.err() } else { None };
    let mut ended = refused.or_else(|| enter(&mut session));
    if secure && ended.is_none() {
        ended = Box::pin(handshake::shake(&mut session, &stream)).await.err();
    }
    if ended.is_none() && !server.steps.get(Phase::Preread as usize).is_none_or(|steps| steps.is_empty()) {
        ended = Box::pin(preread(&mut session, &stream)).await.err();
    }
    let status = match ended {
        Some(status) => status,
        None => server.content.run(&mut session).await,
    };
    finish(&mut session, status);
}

/// Says that a client is there.
pub fn greet(session: &Session) {
    if session.logs(Level::Info) {
        let (kind, peer, bound) = (session.kind(), &session.peer, &session.bound);
        session.log_bare(Level::Info, &format!("{kind}client {peer} connected to {bound}"));
    }
}

/// Runs the log phase of a session that ended with `status`.
pub fn finish(session: &mut Session, status: u16) {
    session.status = status;
    session.event_loop().clock.update();
    let server = session.server.clone();
    for step in server.steps.get(Phase::Log as usize).into_iter().flatten() {
        step.run(session);
    }
}

/// Reads what the steps of the preread phase want to see.
async fn preread(session: &mut Session, stream: &Transport) -> Result<(), u16> {
    let server = session.server.clone();
    let mut deadline = Deadline::new();
    deadline.set(session.event_loop().clock.instant(), server.preread_timeout);
    for step in server.steps.get(Phase::Preread as usize).into_iter().flatten() {
        loop {
            match step.run(session) {
                Flow::Next => break,
                Flow::Pass => return Ok(()),
                Flow::Finish(status) => return Err(status),
                Flow::More => {}
            }
            if session.preread.len() >= server.preread_size {
                session.log(Level::Error, "preread buffer full while prereading client data", "");
                return Err(400);
            }
            let ready = poll_fn(|cx| match stream.poll_readable(cx) {
                Poll::Ready(()) => Poll::Ready(true),
                Poll::Pending => deadline.poll(cx).map(|()| false),
            });
            if !ready.await {
                return Err(200);
            }
            let mut buffer = session.event_loop().buffer();
            let most = buffer.size().min(server.preread_size - session.preread.len());
            let outcome = stream.try_read(buffer.all().get_mut(..most).unwrap_or_default());
            if let Ok(count) = outcome {
                session.preread.extend_from_slice(buffer.at(0, count));
                session.received += count as u64;
            }
            session.event_loop().give(buffer);
            match outcome {
                Ok(1..) => {}
                Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => {}
                Ok(_) | Err(_) => return Err(200),
            }
        }
    }
    Ok(())
}

/// Runs the phases before the handshake; a status where one of them ends the session.
pub fn enter(session: &mut Session) -> Option<u16> {
    let server = session.server.clone();
    for phase in [Phase::PostAccept, Phase::Preaccess, Phase::Access] {
        for step in server.steps.get(phase as usize).into_iter().flatten() {
            match step.run(session) {
                Flow::Next | Flow::More => {}
                Flow::Pass => break,
                Flow::Finish(status) => return Some(status),
            }
        }
    }
    None
}

/// Reads the PROXY protocol head a listener asks for, and not a byte more.
async fn announce(session: &mut Session, stream: &Transport) -> Result<(), u16> {
    const WHILE: &str = " while reading PROXY protocol";
    let mut deadline = Deadline::new();
    deadline.set(session.event_loop().clock.instant(), session.server.proxy_protocol_timeout);
    let mut buffer = session.event_loop().buffer();
    let outcome = loop {
        let ready = poll_fn(|cx| match stream.poll_readable(cx) {
            Poll::Ready(()) => Poll::Ready(io::Result::Ok(())),
            Poll::Pending => deadline.poll(cx).map(|()| Err(io::ErrorKind::TimedOut.into())),
        });
        if ready.await.is_err() {
            session.log(Level::Info, &format!("client timed out (110: Connection timed out){WHILE}"), "");
            break Err(200);
        }
        let room = buffer.all().get_mut(..MAX_HEADER).unwrap_or_default();
        match peek(stream, room) {
            Ok(count) => break head(session, buffer.at(0, count), WHILE),
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => {}
            Err(error) => {
                let text = format!("recv() failed ({}){WHILE}", crate::conf::walk::errno(&error));
                session.log(Level::Info, &text, "");
                break Err(200);
            }
        }
    };
    let outcome = match outcome {
        Ok(length) => {
            let taken = stream.try_read(buffer.all().get_mut(..length).unwrap_or_default());
            if taken.is_ok_and(|count| count == length) { Ok(()) } else { Err(500) }
        }
        Err(status) => Err(status),
    };
    session.event_loop().give(buffer);
    outcome
}

fn head(session: &mut Session, bytes: &[u8], doing: &str) -> Result<usize, u16> {
    match proxy_protocol::parse(bytes) {
        Ok((length, header)) => {
            session.proxied = header.map(Box::new);
            Ok(length)
        }
        Err(broken) => {
            if let Some(text) = broken.message() {
                session.log(Level::Error, &format!("{text}{doing}"), "");
            }
            Err(400)
        }
    }
}

/// Reads without taking.
fn peek(stream: &Transport, into: &mut [u8]) -> io::Result<usize> {
    stream.tcp().try_input(|socket| Ok(recv(socket.as_raw_fd(), into, MsgFlags::MSG_PEEK)?))
}
