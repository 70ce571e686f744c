//! Requests the server makes for a request: same head, another URI, and the answer stays here.

use crate::http::codec::h1::Method;
use crate::http::drivers::phase;
use crate::http::heart::body::Body;
use crate::http::heart::head::Head;
use crate::http::heart::request::{Parent, Request, RequestScratch};
use crate::http::heart::wire::{Sink, Wire};
use crate::http::modules::charset;
use crate::net::event_loop::Buffer;

/// Subrequests inside subrequests, as deep as nginx allows.
const DEPTH: u8 = 51;

impl Request {
    /// Runs a subrequest for `uri` and gives it back with its response.
    pub async fn subrequest(&mut self, uri: &[u8]) -> Self {
        let mut sub = self.made_for(uri);
        if sub.is_too_deep() {
            sub.response.status = 500;
            return sub;
        }
        sub.run_inner().await;
        // A request and those made for it are counted once.
        self.limit_conn_status = sub.limit_conn_status;
        self.limit_req_status = sub.limit_req_status;
        sub
    }

    /// Takes a request of the server's own through its phases, and logs it where that is asked for.
    pub async fn run_inner(&mut self) {
        Box::pin(phase::run(self)).await;
        self.send_stub().await;
        if self.location.settings.log_subrequest {
            phase::log(self);
        }
    }

    /// The same request once more, from its location on.
    pub fn repeated(&self) -> Self {
        let mut copy = self.made_for(b"");
        copy.set_uri(&self.uri, self.has_args.then_some(self.args.as_slice()));
        copy.uri_as_sent = self.uri_as_sent;
        copy.location = self.location.clone();
        copy.valid_location = self.valid_location;
        copy.method = self.method;
        copy.forced_get = self.forced_get;
        copy.captures = self.captures.clone();
        copy.body = self.body.shared();
        copy.slices = self.slices.clone();
        copy
    }

    /// Takes a request that has its location to its answer, and logs it where that is asked for.
    pub async fn run_content(&mut self) {
        Box::pin(phase::run_content(self)).await;
        if self.location.settings.log_subrequest {
            phase::log(self);
        }
    }

    /// Whether subrequests are nested more deeply than is allowed.
    pub fn is_too_deep(&self) -> bool {
        self.parent.as_ref().is_some_and(|parent| parent.depth > DEPTH)
    }

    /// Whether it may make no requests of its own.
    pub fn is_deepest(&self) -> bool {
        self.parent.as_ref().is_some_and(|parent| parent.depth >= DEPTH)
    }

    /// A subrequest for `uri` that has not begun.
    pub fn made_for(&self, uri: &[u8]) -> Self {
        let depth = self.parent.as_ref().map_or(0, |parent| parent.depth) + 1;
        let mut sub = Self::new(
            self.connection.clone(),
            (self.site.clone(), self.server.clone()),
            self.copied_head(),
            RequestScratch::default(),
        );
        sub.method = Method::Get;
        sub.forced_get = true;
        sub.host = self.host.clone();
        let (path, args) = crate::http::codec::uri::split(uri);
        sub.set_uri(path, args);
        if !sub.has_args {
            sub.args = Vec::new();
        }
        sub.internal = true;
        sub.wire = Wire::Sub(Sink::Nowhere);
        sub.real = self.real.clone();
        sub.started = self.started;
        sub.serial = self.serial;
        sub.secure_link.clone_from(&self.secure_link);
        sub.client_id.clone_from(&self.client_id);
        sub.limit_conn_status = self.limit_conn_status;
        sub.limit_req_status = self.limit_req_status;
        sub.body = Body::default();
        sub.slots = self.slots.clone();
        let charset = match &self.parent {
            Some(parent) => parent.charset.clone(),
            None => charset::parameter(&self.response.content_type).map(|(_, name)| name.to_vec()),
        };
        sub.includes = self.includes.inherited();
        sub.parent = Some(Box::new(Parent { uri: self.uri.clone(), charset, depth, stub: None }));
        sub
    }

    fn copied_head(&self) -> Head {
        let end = self.head.end as usize;
        let mut bytes = Buffer::new(end.max(1));
        if let Some(room) = bytes.all().get_mut(..end) {
            room.copy_from_slice(self.head.bytes.at(0, end));
        }
        bytes.start = end;
        bytes.end = end;
        let mut head = Head::new(bytes);
        head.line = self.head.line.clone();
        head.end = self.head.end;
        for header in &self.head.headers {
            let _ = head.add(header.name.clone(), header.value.clone());
        }
        head
    }
}
