//! Who woke a relay last, for the words of log lines.

use crate::http::heart::request::Request;

/// Who woke a relay without buffers: nginx's log lines say what it is at by that.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Wakes {
    last: Option<Woken>,
    /// Nobody could go on since.
    pub(super) waits: bool,
}

/// Who went on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Woken {
    /// The server: there was something to read.
    Server,
    /// The client: there was room.
    Client,
}

impl Wakes {
    /// Notes who went on after both had waited.
    pub(super) const fn by(&mut self, who: Woken) {
        if self.waits {
            self.last = Some(who);
            self.waits = false;
        }
    }

    /// What nginx's log lines say it is at.
    pub(super) const fn action(self, request: &Request) -> &'static str {
        match self.last {
            Some(Woken::Server) => "reading upstream",
            Some(Woken::Client) => "sending to client",
            None if request.response.sent == 0 => "reading response header from upstream",
            None => "sending to client",
        }
    }
}
