//! Holding a response back until its whole body is there: the filters before the one that needs it work as ever, their
//! output is kept, and the head follows when the body is made.

use crate::http::heart::filter::Then;
use crate::http::heart::held::{AtPlace, Decision, HeldResponse, Progress};
use crate::http::heart::request::Request;
use crate::http::heart::response::Content;

/// What became of a response that was held back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Released {
    /// Nothing was held back, or what there was is sent.
    Sent,
    /// This status takes its place.
    Refused(u16),
}

impl Request {
    /// Begins to hold the response back, where its place needs the whole body; whether it does.
    pub fn hold(&mut self) -> bool {
        let location = self.location.clone();
        let Some(AtPlace(whole)) = location.attached::<AtPlace>() else { return false };
        let response = &self.response;
        if response.was_held || response.upgrade || response.final_status() == 304 || self.is_for_its_head() {
            return false;
        }
        self.response.was_held = true;
        let decision = whole.head(self);
        let most = match decision {
            Decision::Hold(most) => most,
            Decision::Refuse(_) | Decision::Cut => 0,
        };
        let mut held = HeldResponse::new(whole.clone(), most);
        held.keeps_headers = matches!(decision, Decision::Refuse(_));
        self.response.held = Some(Box::new(held));
        match decision {
            Decision::Refuse(status) => self.refuse_held(status),
            Decision::Cut => self.cut(),
            Decision::Hold(_) => {}
        }
        true
    }

    /// Has nothing more of the response made: another takes its place.
    fn refuse_held(&mut self, status: u16) {
        if let Some(held) = &mut self.response.held {
            held.refused = Some(status);
            held.bytes = Vec::new();
            self.response.broken = true;
        }
    }

    /// Keeps bytes of a body that is held back.
    pub fn keep_held(&mut self, mut held: Box<HeldResponse>, bytes: &[u8], then: Then) {
        held.is_all |= then == Then::Last;
        if held.is_enough || held.refused.is_some() {
            self.response.held = Some(held);
            return;
        }
        held.bytes.extend_from_slice(bytes);
        match held.whole.clone().begin(self, &held) {
            Progress::More => self.response.held = Some(held),
            Progress::Enough => {
                held.is_enough = true;
                self.response.held = Some(held);
            }
            Progress::Pass => {
                self.send_head();
                self.take(&held.bytes, then);
            }
            Progress::Refuse(status) => {
                self.response.held = Some(held);
                self.refuse_held(status);
            }
        }
    }

    /// Makes the body of a response that is held back, and sends it.
    pub async fn release(&mut self) -> Released {
        let Some(held) = self.response.held.take() else { return Released::Sent };
        let HeldResponse { whole, bytes, is_all, is_enough, refused, keeps_headers, .. } = *held;
        let outcome = match refused {
            Some(status) => Err(status),
            // It has no end, so there is nothing to answer with.
            None if self.response.broken || !is_all && !is_enough => {
                self.cut();
                return Released::Sent;
            }
            None => whole.make(self, bytes).await,
        };
        self.attempts.url = None;
        self.response.filters.clear();
        self.response.later = None;
        self.response.complete = false;
        match outcome {
            Ok(body) => {
                self.response.length = Some(body.len() as u64);
                self.response.content = Content::Streamed;
                self.send_head();
                self.take(&body, Then::Last);
                self.response.complete |= self.response.later.is_none();
                self.flush().await;
                Released::Sent
            }
            Err(status) => {
                // An error page that is refused has none of its own.
                self.error_page |= self.response.error != 0 && !self.location.settings.recursive_error_pages;
                (self.response.broken, self.malformed) = (false, false);
                (self.response.head_made, self.response.error) = (false, 0);
                if !keeps_headers {
                    self.response.clear_headers();
                }
                Released::Refused(status)
            }
        }
    }
}
