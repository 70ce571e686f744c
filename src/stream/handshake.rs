//! A TLS handshake with a client, before anything of its bytes is read.

use super::session::Session;
use crate::log::Level;
use crate::net::deadline::Deadline;
use crate::net::tls_session::{Hello, TlsError, tell};
use crate::net::transport::Transport;
use crate::session::tls::{FALLBACK, Shaken, failed};
use crate::tls::clients::{self, Verdict};
use crate::tls::context::{INAPPROPRIATE_FALLBACK, alert};
use crate::tls::info::{self, Offer};
use rustls::ServerConnection;
use std::future::poll_fn;
use std::io;
use std::task::Poll;

/// Shakes hands with the session's client.
///
/// Differs from nginx: a handshake that takes too long is logged, as http logs it. [test: a_session_that_does_not_shake_hands_ends]
///
/// # Errors
/// The status the session ends with.
pub async fn shake(session: &mut Session, stream: &Transport) -> Result<(), u16> {
    begin(session, stream).await.map_err(|text| {
        session.log(Level::Info, &format!("{text} while SSL handshaking"), "");
        500
    })
}

async fn begin(session: &mut Session, stream: &Transport) -> Result<(), String> {
    let server = session.server.clone();
    let Some(secure) = &server.tls else { return Err("the server has no certificate".to_owned()) };
    let mut deadline = Deadline::new();
    deadline.set(session.event_loop().clock.instant(), secure.timeout);
    let mut hello = Hello::default();
    let mut bytes = session.event_loop().buffer();
    let accepted = loop {
        let ready = poll_fn(|cx| match stream.poll_readable(cx) {
            Poll::Ready(()) => Poll::Ready(true),
            Poll::Pending => deadline.poll(cx).map(|()| false),
        });
        if !ready.await {
            return Err(timed_out());
        }
        bytes.start = 0;
        bytes.end = 0;
        match stream.try_read(bytes.room()) {
            Ok(0) => return Err(failed(&TlsError::Closed)),
            Ok(count) => bytes.end = count,
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => continue,
            Err(error) => return Err(failed(&TlsError::Io(error))),
        }
        if let Some(accepted) = hello.take(&mut bytes, stream.tcp()).map_err(|error| failed(&error))? {
            break accepted;
        }
    };
    let config = {
        let client = accepted.client_hello();
        let asked = client.server_name().map(Box::from);
        session.shaken = Some(Box::new(Shaken::new(asked, true, Offer::of(&client))));
        if secure.context.is_fallback(&client) {
            let _ = stream.tcp().try_output(|socket| socket.send(&alert(INAPPROPRIATE_FALLBACK)));
            return Err(FALLBACK.to_owned());
        }
        match &secure.named {
            None => secure.context.config(&client),
            Some(named) => secure.context.with_pairs(&client, named.load(session)?),
        }
    };
    let mut connection: ServerConnection = accepted.into_connection(config).map_err(|(error, alert)| {
        tell(alert, stream.tcp());
        failed(&TlsError::Protocol(error))
    })?;
    let session_id = info::session_id(&mut connection);
    stream.secure(connection.into(), bytes.filled());
    session.event_loop().give(bytes);
    let outcome = poll_fn(|cx| match stream.poll_handshake(cx) {
        Poll::Ready(outcome) => Poll::Ready(Some(outcome)),
        Poll::Pending => deadline.poll(cx).map(|()| None),
    });
    match outcome.await {
        None => return Err(timed_out()),
        Some(Err(error)) => return Err(failed(&error)),
        Some(Ok(())) => {}
    }
    let now = session.event_loop().clock.now().as_secs() as i64;
    let judge = |tls: &crate::net::tls_session::Session| {
        tls.look(|state| secure.context.clients().verdict(state.peer_certificates(), now))
    };
    let verdict = stream.tls().map_or(Verdict::Absent, judge);
    if let Some(shaken) = &session.shaken {
        let _ = shaken.session_id.set(session_id);
        shaken.verdict.set(verdict);
    }
    match clients::refusal(secure.verify, verdict) {
        Some(refusal) => Err(refusal.to_string()),
        None => Ok(()),
    }
}

fn timed_out() -> String {
    "client timed out (110: Connection timed out)".to_owned()
}
