//! A TLS handshake before a connection's first request: whose certificate is shown, and who is refused.

use crate::http::drivers::connection::wait;
use crate::http::heart::client::Closed;
use crate::http::heart::client::Connection;
use crate::http::heart::port::Virtual;
use crate::http::heart::request::Request;
use crate::http::heart::secure::{Contexts, ServerTls};
use crate::http::heart::site::Server;
use crate::http::route::target;
use crate::log::Level;
use crate::net::deadline::Deadline;
use crate::net::event_loop::Buffer;
use crate::net::resolver::Lookup;
use crate::net::tls_session::{Hello, TlsError};
use crate::script::regex::Captures;
use crate::session::tls::{self, Shaken};
use crate::tls::clients::{self, Verdict};
use crate::tls::context::{INAPPROPRIATE_FALLBACK, alert};
use crate::tls::directives::Verify;
use crate::tls::info::{self, Offer};
use crate::tls::responder::Via;
use rustls::ServerConnection;
use std::future::poll_fn;
use std::rc::Rc;
use std::sync::Arc;
use std::task::Poll;

/// What a connection to an address with TLS began with.
pub enum Begun {
    /// TLS; the server its client named, if one has that name.
    Secure(Option<Arc<Server>>),
    /// Something else: what was read of it.
    Plain(Box<Buffer>),
}

/// The level and text of a line about a handshake that failed.
type Complaint = (Level, String);

/// `unrecognized_name` (RFC 6066 §3).
const UNRECOGNIZED_NAME: u8 = 112;
/// `internal_error` (RFC 8446 §6.2).
const INTERNAL_ERROR: u8 = 80;

/// Shakes hands with a client; `first` was read from it already.
pub async fn shake(connection: &Rc<Connection>, entry: &Virtual, first: Option<Box<Buffer>>) -> Result<Begun, Closed> {
    match begin(connection, entry, first).await {
        Ok(begun) => Ok(begun),
        Err((level, text)) => {
            let log = &entry.default.base.settings.error_log;
            let (client, bound) = (connection.peer.host_text(), &connection.bound);
            let text = format!("{text} while SSL handshaking, client: {client}, server: {bound}");
            log.write(level, Some(connection.number), &text);
            Err(Closed)
        }
    }
}

async fn begin(connection: &Rc<Connection>, entry: &Virtual, first: Option<Box<Buffer>>) -> Result<Begun, Complaint> {
    let mut deadline = Deadline::new();
    deadline.set(connection.loop_state.event_loop.clock.instant(), entry.default.head.timeout);
    let mut bytes = match first {
        Some(bytes) => bytes,
        None => Box::new(more(connection, &mut deadline).await?),
    };
    if bytes.filled().first().is_none_or(|byte| *byte != 0x16 && byte & 0x80 == 0) {
        return Ok(Begun::Plain(bytes));
    }
    let mut hello = Hello::default();
    let accepted = loop {
        match hello.take(&mut bytes, connection.stream.tcp()) {
            Ok(Some(accepted)) => break accepted,
            Ok(None) => {}
            Err(error) => return Err(failed(&error)),
        }
        connection.loop_state.event_loop.give(*bytes);
        bytes = Box::new(more(connection, &mut deadline).await?);
    };
    let (shaken, named) = {
        let client = accepted.client_hello();
        let named = client.server_name().and_then(|name| find(entry, name));
        (Shaken::new(client.server_name().map(Box::from), named.is_some(), Offer::of(&client)), named)
    };
    let shaken = connection.shaken.get_or_init(|| Box::new(shaken));
    let server = named.as_ref().unwrap_or(&entry.default);
    let own = server.tls.as_deref();
    // A server without a certificate shows that of the address's first.
    let tls = own.filter(|tls| tls.context.is_some() || tls.rejects).or(entry.default.tls.as_deref());
    let refused = |description: u8| {
        let _ = connection.stream.tcp().try_output(|socket| socket.send(&alert(description)));
    };
    let Some(ServerTls { context: Some(contexts), rejects: false, .. }) = tls else {
        refused(UNRECOGNIZED_NAME);
        return Err((Level::Info, "SSL_do_handshake() failed (SSL: the server's name is not served)".to_owned()));
    };
    if contexts.is_fallback(&accepted.client_hello()) {
        refused(INAPPROPRIATE_FALLBACK);
        return Err((Level::Info, tls::FALLBACK.to_owned()));
    }
    let config = {
        let http2 = entry.http2 || server.h2.enabled;
        let request = || Request::begin(connection, server, Buffer::new(0));
        contexts.config(http2, &accepted.client_hello(), request)
    };
    refresh(connection, contexts, server);
    let config = config.map_err(|text| {
        refused(INTERNAL_ERROR);
        (Level::Error, text)
    })?;
    let mut secured: ServerConnection = match accepted.into_connection(config) {
        Ok(secured) => secured,
        Err((error, alert)) => {
            crate::net::tls_session::tell(alert, connection.stream.tcp());
            return Err(failed(&TlsError::Protocol(error)));
        }
    };
    let _ = shaken.session_id.set(info::session_id(&mut secured));
    connection.stream.secure(secured.into(), bytes.filled());
    connection.loop_state.event_loop.give(*bytes);
    let outcome = poll_fn(|cx| match connection.stream.poll_handshake(cx) {
        Poll::Ready(outcome) => Poll::Ready(Some(outcome)),
        Poll::Pending => deadline.poll(cx).map(|()| None),
    });
    match outcome.await {
        None => return Err(timed_out()),
        Some(Err(error)) => return Err(failed(&error)),
        Some(Ok(())) => {}
    }
    connection.secure.set(true);
    let now = connection.loop_state.event_loop.clock.now().as_secs() as i64;
    shaken.verdict.set(judge(connection, contexts, server, now).await);
    Ok(Begun::Secure(named))
}

/// Fetches the OCSP responses that are due, for the handshakes to come.
fn refresh(connection: &Rc<Connection>, contexts: &Contexts, server: &Arc<Server>) {
    let event_loop = connection.loop_state.event_loop.clone();
    for staple in contexts.due(event_loop.clock.now().as_secs() as i64) {
        let (staple, server, event_loop) = (staple.clone(), server.clone(), event_loop.clone());
        crate::net::event_loop::spawn(async move {
            // No connection asks, so that the main log has the line.
            let log = event_loop.errors.borrow().clone();
            let warn = |text: &str| log.write(Level::Warn, None, text);
            let via = Via { lookup: server.base.attached::<Lookup>(), event_loop: &event_loop, warn: &warn };
            if let Err(text) = staple.refresh(via).await {
                log.write(Level::Error, None, &text);
            }
        });
    }
}

/// What the certificate a client has shown is; `ssl_ocsp` asks those who vouch for it.
async fn judge(connection: &Rc<Connection>, contexts: &Contexts, server: &Server, now: i64) -> Verdict {
    let Some(tls) = connection.stream.tls() else { return Verdict::Absent };
    let verdict = tls.look(|state| contexts.verdict(state, now));
    if verdict != Verdict::Accepted {
        return verdict;
    }
    let Some((revocation, chain)) = tls.look(|state| contexts.revocation(state, now)) else { return verdict };
    let log = |level, text: &str| server.base.settings.error_log.write(level, Some(connection.number), text);
    let event_loop = &*connection.loop_state.event_loop;
    let warn = |text: &str| log(Level::Warn, text);
    let via = Via { lookup: server.base.attached::<Lookup>(), event_loop, warn: &warn };
    let refusal = revocation.refusal(&chain, via, |text| log(Level::Error, text)).await;
    refusal.map_or(verdict, Verdict::Refused)
}

fn timed_out() -> Complaint {
    (Level::Info, "client timed out (110: Connection timed out)".to_owned())
}

fn failed(error: &TlsError) -> Complaint {
    (Level::Info, tls::failed(error))
}

/// The next bytes of a client.
async fn more(connection: &Connection, deadline: &mut Deadline) -> Result<Buffer, Complaint> {
    loop {
        wait(&connection.stream, deadline).await.map_err(|_| timed_out())?;
        match connection.input() {
            Ok(Some(bytes)) => return Ok(bytes),
            Ok(None) => {}
            Err(Closed) => return Err(failed(&TlsError::Closed)),
        }
    }
}

/// The server of a name.
fn find(entry: &Virtual, name: &str) -> Option<Arc<Server>> {
    let mut host = Vec::new();
    if !target::validate_into(name.as_bytes(), &mut host) {
        return None;
    }
    // What an expression captures here, a request captures again.
    entry.names.find(&host, &mut Captures::default(), |_| {}).ok().flatten().cloned()
}

/// What a request on a connection with TLS is refused for: a client that spoke plain HTTP, or a certificate.
pub fn check(request: &Request, entry: &Virtual) -> Option<(u16, String)> {
    if !entry.secure {
        return None;
    }
    if !request.connection.secure.get() {
        return Some((497, "client sent plain HTTP request to HTTPS port".to_owned()));
    }
    let verify = request.server.tls.as_ref().map_or(Verify::Off, |tls| tls.verify);
    let verdict = request.connection.shaken.get().map_or(Verdict::Absent, |shaken| shaken.verdict.get());
    clients::refusal(verify, verdict).map(|refusal| (refusal.status(), refusal.to_string()))
}
