//! Phases, and the handlers a configuration puts into them.
//!
//! nginx's phases under nginx's names; its two `POST_…` phases are the closing rules of the phases before them. A
//! handler that does not wait is a plain call; one that waits boxes one future.

use crate::http::heart::health::Checkable;
use crate::http::heart::request::Request;
use crate::http::heart::site::Location;
use crate::http::heart::trace::Trace;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

/// Where a request is on its way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Phase {
    /// Before anything else (realip).
    PostRead,
    /// A server's rewrite rules.
    ServerRewrite,
    /// A location's rewrite rules.
    Rewrite,
    /// Limits.
    Preaccess,
    /// Who may.
    Access,
    /// try_files, mirror.
    Precontent,
    /// What makes the response.
    Content,
    /// After the response.
    Log,
}

/// How many phases there are.
pub const PHASES: usize = 8;

/// The future of a handler that waits.
pub type Wait<'r> = Pin<Box<dyn Future<Output = Flow<'static>> + 'r>>;

/// Where a request goes next.
pub enum Flow<'r> {
    /// To the next handler of this phase (`NGX_DECLINED`).
    Next,
    /// To the next phase (`NGX_OK`); in the access phase: granted.
    Pass,
    /// The response is ready or sent.
    Done,
    /// To the answer for this status.
    Finish(u16),
    /// To another location.
    Restart(Target),
    /// The future knows.
    Wait(Wait<'r>),
}

/// Where an internal redirect leads.
pub enum Target {
    /// `request.uri` has changed: choose the location again, from the server's rewrite rules on.
    Uri,
    /// A rewrite rule changed `request.uri`: choose the location again.
    Search,
    /// A named location, from its rewrite rules on.
    Named(Arc<Location>),
}

/// Something a configuration put into a phase.
pub trait Handler: Send + Sync {
    /// Handles the request.
    fn run<'r>(&'r self, request: &'r mut Request) -> Flow<'r>;

    /// Whether it passes requests on to other servers.
    fn is_gateway(&self) -> bool {
        false
    }

    /// How its servers are checked; nothing where it has none.
    fn checks(&self) -> Option<&dyn Checkable> {
        None
    }

    /// How it tells what it would do; nothing where running does no harm and asks nobody.
    fn explains(&self) -> Option<&dyn Explain> {
        None
    }
}

/// A step that tells what it would do beyond this process, instead of doing it.
pub trait Explain {
    /// Tells what running would do; nothing where running does no harm.
    fn explain(&self, _request: &mut Request, _story: &mut Trace) -> Option<Flow<'static>> {
        None
    }

    /// The URI of the request the server makes before this step, whose answer [`Self::answered`] is shown.
    fn asks(&self) -> Option<&[u8]> {
        None
    }

    /// Where a request goes after the answer to what the step asked.
    fn answered(&self, _request: &mut Request, _answer: &Request) -> Flow<'static> {
        Flow::Next
    }
}

/// Times a request may change its URI.
pub const URI_CHANGES: u8 = 10;

impl Flow<'_> {
    /// The flow when whatever it waits for is over.
    pub async fn settled(self) -> Flow<'static> {
        match self {
            Flow::Wait(wait) => wait.await,
            Flow::Next => Flow::Next,
            Flow::Pass => Flow::Pass,
            Flow::Done => Flow::Done,
            Flow::Finish(status) => Flow::Finish(status),
            Flow::Restart(target) => Flow::Restart(target),
        }
    }
}
