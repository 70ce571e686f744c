//! `ssl_ocsp`: whether clients' certificates are revoked, asked of OCSP responders and kept in a zone.

use super::certificate::Certificate;
use super::check::given;
use super::context::Setup;
use super::directives::TlsConf;
use super::facts::Facts;
use super::ocsp::{self, Answer, Status};
use super::responder::{Responder, Via};
use hashbrown::HashMap;
use parking_lot::Mutex;
use std::sync::Arc;

/// About what an answer takes in a zone.
const ENTRY: u64 = 256;
/// How long an answer without an end is kept, in seconds.
const HOUR: i64 = 3600;

/// How clients' certificates are checked.
#[derive(Debug)]
pub struct Revocation {
    /// `leaf`: the issuers' certificates are not asked about.
    leaf_only: bool,
    /// `ssl_ocsp_responder`.
    responder: Option<Responder>,
    /// `ssl_ocsp_cache`.
    answers: Option<Arc<Answers>>,
}

impl Revocation {
    /// What a server's settings ask for.
    pub fn new(conf: &TlsConf, setup: &Setup<'_>) -> Option<Self> {
        let leaf_only = match conf.ocsp {
            Some(1) => false,
            Some(2) => true,
            _ => return None,
        };
        let zone = conf.ocsp_zone.iter().flatten().next();
        let open = |zone: &super::directives::ZoneText| {
            let most = usize::try_from(zone.size / ENTRY).unwrap_or(usize::MAX);
            setup.zones.open(&zone.name, zone.size, "ssl_ocsp_cache", || Answers { most, entries: Mutex::default() })
        };
        let responder = given(conf.ocsp_responder.as_ref()).and_then(|word| Responder::parse(&word.text()));
        let responder = responder.map(|responder| responder.found(setup.files.resolve));
        Some(Self { leaf_only, responder, answers: zone.map(open) })
    }

    /// Why a verified chain is refused, as `$ssl_client_verify` has it after `FAILED:`; `say` is given the responders'
    /// failures.
    pub async fn refusal(&self, chain: &[Facts], via: Via<'_>, say: impl Fn(&str)) -> Option<&'static str> {
        for (certificate, issuer) in ocsp::to_ask(chain, self.leaf_only) {
            let request = ocsp::request(certificate, issuer);
            let kept = self.answers.as_ref().and_then(|answers| answers.get(&request, now(via)));
            let outcome = match kept {
                Some(status) => Ok(Answer { status, until: None }),
                None => self.ask(certificate, issuer, request, via, &say).await,
            };
            if let Some(reason) = ocsp::refusal(outcome) {
                return Some(reason);
            }
        }
        None
    }

    async fn ask(
        &self,
        certificate: &Facts,
        issuer: &Facts,
        request: Vec<u8>,
        via: Via<'_>,
        say: impl Fn(&str),
    ) -> Result<Answer, ocsp::Fault> {
        let own = || Certificate::responder_of(&certificate.der).and_then(|url| Responder::parse(&url));
        let Some(responder) = self.responder.clone().or_else(own) else {
            say("no OCSP responder URL in certificate");
            return Err(ocsp::Fault::NotFound);
        };
        let (response, peer) = responder.ask(&request, via).await.map_err(|failure| {
            say(&failure.to_string());
            ocsp::Fault::Unreadable
        })?;
        let answer = ocsp::read(&response, certificate, issuer, true, now(via)).inspect_err(|fault| {
            say(&responder.failure(&fault.to_string(), Some(peer)).to_string());
        })?;
        if let Some(answers) = &self.answers {
            answers.put(request, answer.status, (now(via), answer.until));
        }
        Ok(answer)
    }
}

fn now(via: Via<'_>) -> i64 {
    via.event_loop.clock.now().as_secs() as i64
}

/// Answers by their requests, each until it ends.
#[derive(Debug)]
pub struct Answers {
    most: usize,
    entries: Mutex<HashMap<Vec<u8>, (Status, i64)>>,
}

impl Answers {
    fn get(&self, request: &[u8], now: i64) -> Option<Status> {
        let entries = self.entries.lock();
        entries.get(request).filter(|(_, until)| *until >= now).map(|(status, _)| *status)
    }

    fn put(&self, request: Vec<u8>, status: Status, (now, until): (i64, Option<i64>)) {
        let until = until.unwrap_or(now + HOUR);
        if until < now {
            return;
        }
        let mut entries = self.entries.lock();
        if entries.len() >= self.most {
            entries.retain(|_, (_, until)| *until >= now);
        }
        if entries.len() >= self.most {
            let soonest = entries.iter().min_by_key(|(_, (_, until))| *until).map(|(request, _)| request.clone());
            soonest.map(|request| entries.remove(&request));
        }
        entries.insert(request, (status, until));
    }
}

#[cfg(test)]
mod tests;
