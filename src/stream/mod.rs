//! The stream server: connections relayed as they come.

use crate::conf::diagnostic::Diagnostic;
use crate::conf::walk::Levels;
use crate::log::Log;
use crate::net::address::Address;
use crate::net::listen::Options;
use crate::session::build::Build;
use std::sync::Arc;

/// A socket and who is served on it.
pub struct Port {
    /// What it is bound to.
    pub address: Address,
    /// Its options.
    pub options: Options,
}

/// A stream configuration, ready to serve.
pub struct Site {
    /// The sockets.
    pub ports: Vec<Arc<Port>>,
}

/// Builds the site of a `stream {}` level.
///
/// # Errors
/// The first fatal complaint.
pub fn site(_: &Levels<'_>, _: &mut Build<'_>, _: &Log) -> Result<Site, Diagnostic> {
    Ok(Site { ports: Vec::new() })
}

/// Serves one accepted connection to its end.
pub async fn serve(
    _: std::rc::Rc<crate::net::turn::Turn>,
    _: Arc<Site>,
    _: Arc<Port>,
    _: (crate::net::stream::Stream, Address),
) {
}
