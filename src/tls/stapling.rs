//! `ssl_stapling`: OCSP responses about a server's certificates, fetched when handshakes find them missing or old.

use super::facts::Facts;
use super::ocsp::{self, Answer, Status};
use super::pairs::Certificates;
use super::responder::{Responder, Via};
use parking_lot::Mutex;
use std::sync::Arc;

/// A certificate whose status is asked for, to be stapled.
#[derive(Debug)]
pub struct Staple {
    /// The certificate.
    pub certificate: Facts,
    /// Its issuer.
    pub issuer: Facts,
    /// Who is asked.
    pub responder: Responder,
    /// `ssl_stapling_verify`.
    pub verify: bool,
    /// The certificate's file.
    pub name: String,
    /// Where the response is presented.
    pub certificates: Arc<Certificates>,
    /// When it was fetched, and how long it holds.
    pub state: Mutex<State>,
}

/// The state of a stapled response; times are seconds since 1970.
#[derive(Debug, Default)]
pub struct State {
    /// A request is under way.
    loading: bool,
    /// When the next request is made.
    refresh: i64,
    /// Until when the response that is stapled holds.
    valid: Option<i64>,
}

impl Staple {
    /// Whether the caller is to call [`Self::refresh`]; a response that is too old is not stapled any more.
    pub fn is_due(&self, now: i64) -> bool {
        let mut state = self.state.lock();
        if state.valid.is_some_and(|valid| valid < now) {
            state.valid = None;
            self.certificates.staple(&self.certificate.der, None);
        }
        if state.loading || state.refresh >= now {
            return false;
        }
        state.loading = true;
        true
    }

    /// Asks the responder and staples its response; the next request is made before it expires, but not within five
    /// minutes, and after an hour at most.
    ///
    /// # Errors
    /// Why there is none, in nginx's words; the next request is made in five minutes.
    pub async fn refresh(&self, via: Via<'_>) -> Result<(), String> {
        let named = |text: &str| format!("{text}, certificate: \"{}\"", self.name);
        let warn = |text: &str| (via.warn)(&named(text));
        let request = ocsp::request(&self.certificate, &self.issuer);
        let outcome = self.responder.ask(&request, Via { warn: &warn, ..via }).await;
        let now = via.event_loop.clock.now().as_secs() as i64;
        let outcome = outcome.map_err(|failure| failure.to_string()).and_then(|(response, peer)| {
            let answer = ocsp::read(&response, &self.certificate, &self.issuer, self.verify, now);
            let said = |text: &str| self.responder.failure(text, Some(peer)).to_string();
            match answer {
                Ok(Answer { status: Status::Good, until }) => Ok((response, until.unwrap_or(i64::MAX))),
                Ok(answer) => {
                    Err(said(&format!("certificate status \"{}\" in the OCSP response", answer.status.text())))
                }
                Err(fault) => Err(said(&fault.to_string())),
            }
        });
        let mut state = self.state.lock();
        state.loading = false;
        match outcome {
            Ok((response, valid)) => {
                self.certificates.staple(&self.certificate.der, Some(&response));
                state.valid = Some(valid);
                state.refresh = valid.saturating_sub(300).min(now + 3600).max(now + 300);
                Ok(())
            }
            Err(text) => {
                state.refresh = now + 300;
                Err(named(&text))
            }
        }
    }
}
