//! The ends of replies that a protocol of its own marks: memcached's trailer, FastCGI's records, HTTP/2's frames; and
//! the fields behind a body (RFC 9110 §6.5).

use super::{Framing, Relay};
use crate::conf::bytes::text;
use crate::http::codec::h1::{self, Next, Part};
use crate::http::codec::memcached::Trailer;
use crate::http::gateway::hints;
use crate::http::heart::filter::Then;
use crate::log::Level;

impl Relay<'_, '_> {
    /// Ends the reply behind memcached's trailer, or where something else is in its place.
    pub(super) fn end_of_value(&mut self, state: Trailer) {
        match state {
            Trailer::Expected => return,
            Trailer::Complete => {}
            Trailer::Invalid => {
                self.leftover = true;
                self.request.log(Level::Error, &format!("memcached sent invalid trailer while {}", self.action()));
            }
        }
        self.give(b"", Then::Last);
        self.end(true);
    }

    /// The body bytes of a server's frames; `more` where they are more than it announced.
    pub(super) fn take_frames(&mut self, bytes: &[u8], more: bool) {
        let Some(frames) = self.source.as_mut().and_then(|(exchange, _)| exchange.frames.as_mut()) else { return };
        let over = frames.is_over();
        let lacks = over && matches!(self.framing, Framing::Frames(Some(1..), _));
        if more || lacks {
            let what = if more {
                "upstream sent response body larger than indicated content length"
            } else {
                "upstream prematurely closed stream"
            };
            self.request.log(Level::Error, &format!("{what} while {}", self.action()));
            return self.end(false);
        }
        if !over {
            return self.give(bytes, self.then());
        }
        for field in std::mem::take(&mut frames.trailers) {
            self.trailer(&field.name, &field.value);
        }
        self.give(bytes, Then::Last);
        self.end(true);
    }

    /// Whether the fields behind the chunks are no larger than a head may be; logged where they are.
    fn has_room_for_trailers(&self) -> bool {
        let fits = self.chunks.trailers().len() <= self.gateway.buffer_size;
        if !fits {
            self.request.log(Level::Error, &format!("upstream sent too big trailers while {}", self.action()));
        }
        fits
    }

    /// Ends the reply where the fields behind its chunks are larger than a head may be.
    pub(super) fn bound_trailers(&mut self) {
        if !self.has_room_for_trailers() {
            self.end(false);
        }
    }

    /// Takes the fields behind the last chunk, where they are passed on; false where they cannot be.
    pub(super) fn take_trailers(&mut self) -> bool {
        if !self.has_room_for_trailers() {
            return false;
        }
        let block = self.chunks.trailers().to_vec();
        let mut at = 0;
        loop {
            match h1::header_line(&block, at, true) {
                Ok(Next::Header(header)) => {
                    at = header.end;
                    let part = |part: Part| block.get(part.start as usize..part.end as usize).unwrap_or_default();
                    self.trailer(part(header.name), part(header.value));
                }
                Ok(Next::End(_) | Next::More) => return true,
                Err(place) => {
                    let shown = text(block.get(at as usize..place as usize).unwrap_or_default());
                    let odd = block.get(place as usize).copied().unwrap_or_default();
                    let line = format!("upstream sent invalid trailer: \"{shown}\\x{odd:02x}...\"");
                    self.request.log(Level::Error, &format!("{line} while {}", self.action()));
                    return false;
                }
            }
        }
    }

    /// Keeps a field behind the body for `$upstream_trailer_…`, and passes it on where that is asked for.
    ///
    /// Differs from nginx: a field that frames a body or is a connection's own is not passed on (RFC 9110 §6.5.1). [test: trailers_do_not_frame_a_body]
    fn trailer(&mut self, name: &[u8], value: &[u8]) {
        self.request.attempts.trailers.add(name, value);
        if self.gateway.pass_trailers && !self.gateway.hides(name) && !hints::frames_a_body(name) {
            self.request.response.trailers.add(name, value);
        }
    }

    /// Ends the reply where the FastCGI server ended it, or where `enough` of it has come.
    pub(super) fn end_of_records(&mut self, enough: bool) {
        let Some(records) = self.source.as_ref().and_then(|(exchange, _)| exchange.records.as_deref()) else { return };
        let what = if records.is_ended { "request" } else { "stdout" };
        let over = records.is_over();
        let lacks = (records.is_ended || records.is_closed) && matches!(self.framing, Framing::Records(Some(1..)));
        if !enough && lacks {
            self.request
                .log(Level::Error, &format!("upstream prematurely closed FastCGI {what} while {}", self.action()));
            return self.end(false);
        }
        if enough || over {
            self.leftover |= !records.is_clean() || !self.gateway.keep;
            self.give(b"", Then::Last);
            self.end(true);
        }
    }
}
