//! What is served: servers, locations and their settings, immutable and shared by all loops.

use crate::conf::source::Span;
use crate::http::heart::filter::Filter;
use crate::http::heart::handler::{Handler, PHASES};
use crate::http::heart::location::{Locations, Pattern};
use crate::http::heart::pace::Rates;
use crate::http::heart::port::Port;
use crate::http::heart::referers::Referers;
use crate::http::heart::request::Request;
use crate::http::heart::script::Script;
use crate::http::heart::secure::ServerTls;
use crate::http::heart::settings::{FileOnly, FileSettings, Settings};
use crate::http::heart::upstream::Upstreams;
use crate::script::variable::Definitions;
use crate::zone::cache::Cache;
use std::any::Any;
use std::sync::Arc;
use std::time::Duration;

/// One http configuration, ready to serve.
pub struct Site {
    /// The sockets and who is served on them.
    pub ports: Vec<Arc<Port>>,
    /// What the configuration's own variables mean.
    pub definitions: Definitions<Request>,
    /// The groups of backends.
    pub upstreams: Upstreams,
    /// What is kept of heads for variables.
    pub kept: Kept,
    /// The caches of its gateways.
    pub caches: Vec<Arc<Cache>>,
    /// The locations whose servers are checked, each with its server.
    pub checked: Vec<(Arc<Server>, Arc<Location>)>,
}

/// Which heads some variable of the configuration shows, so that they are kept until the log line.
#[derive(Clone, Copy, Debug)]
pub struct Kept {
    /// A backend's: `$upstream_http_…`, `$upstream_cookie_…`.
    pub upstream: bool,
    /// The client's: `$sent_http_…`.
    pub sent: bool,
}

/// A virtual server.
pub struct Server {
    /// The first name, for `$server_name`.
    pub name: Vec<u8>,
    /// Its settings before a location is chosen.
    pub base: Arc<Location>,
    /// Its locations.
    pub locations: Locations,
    /// The settings that concern request heads.
    pub head: HeadSettings,
    /// TLS, where it is configured.
    pub tls: Option<Arc<ServerTls>>,
    /// The settings of HTTP/2.
    pub h2: Http2,
}

/// How a server reads request heads.
#[derive(Clone, Debug)]
pub struct HeadSettings {
    /// `client_header_buffer_size`.
    pub first: usize,
    /// `large_client_header_buffers`: how many.
    pub large_count: usize,
    /// `large_client_header_buffers`: how large.
    pub large_size: usize,
    /// `client_header_timeout`.
    pub timeout: Duration,
    /// `ignore_invalid_headers`.
    pub ignore_invalid: bool,
    /// `underscores_in_headers`.
    pub underscores: bool,
    /// `merge_slashes`.
    pub merge_slashes: bool,
}

/// A location: steps, filters and settings.
pub struct Location {
    /// What it was opened with; none for a server's base.
    pub pattern: Option<Pattern>,
    /// The named groups of its expression.
    pub groups: Vec<(usize, String)>,
    /// Where it is written.
    pub span: Option<Span>,
    /// Locations inside it.
    pub inner: Option<Box<Locations>>,
    /// The handlers of each phase.
    pub steps: [Box<[Arc<dyn Handler>]>; PHASES],
    /// The filters.
    pub filters: Box<[Box<dyn Filter>]>,
    /// Its own content handler; an `if` without one has its location's.
    pub content: Option<Arc<dyn Handler>>,
    /// The `if`s in it, in order.
    pub ifs: Box<[Arc<Self>]>,
    /// How FastCGI's script and path are told apart.
    pub script: Option<Arc<Script>>,
    /// `valid_referers`.
    pub referers: Option<Arc<Referers>>,
    /// `limit_except`.
    pub except: Option<Except>,
    /// `auth_delay`.
    pub auth_delay: Duration,
    /// `client_body_in_file_only`.
    pub body_in_file: FileOnly,
    /// `limit_rate` and `limit_rate_after`.
    pub rates: Option<Arc<Rates>>,
    /// Settings of modules.
    pub attached: Box<[Box<dyn Any + Send + Sync>]>,
    /// How its files are opened and read.
    pub files: Arc<FileSettings>,
    /// Whether reading a variable that no rule gave a value is logged.
    pub warns: bool,
    /// Whether only internal redirects come here.
    pub internal: bool,
    /// Whether its name without the last slash redirects here.
    pub adds_slash: bool,
    /// Everything else.
    pub settings: Arc<Settings>,
}

impl Location {
    /// What a module attached to the place.
    pub fn attached<T: Any>(&self) -> Option<&T> {
        self.attached.iter().find_map(|settings| settings.downcast_ref())
    }
}

/// A `limit_except` of a location.
pub struct Except {
    /// The methods it is not for.
    pub allowed: Box<[Box<[u8]>]>,
    /// What requests with others take for the location.
    pub place: Arc<Location>,
}

/// How a server speaks HTTP/2.
#[derive(Clone, Copy, Debug)]
pub struct Http2 {
    /// `http2 on`.
    pub enabled: bool,
    /// `http2_max_concurrent_streams`.
    pub streams: u32,
    /// `http2_body_preread_size`: the window of a stream.
    pub window: u32,
}
