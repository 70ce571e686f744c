//! The rows every gateway has, instanced per prefix, and their settings.

use crate::conf::diagnostic::Diagnostic;
use crate::conf::module::{Conf, Merged as _, inherit};
use crate::conf::tree::{Statement, Word};
use crate::conf::walk::{Levels, Setting};
use crate::http::heart::module::{Compile, Text};
use crate::http::heart::request::Request;
use crate::http::heart::settings::TempPath;
use crate::log::Level;
use crate::net::outgoing::{BufferSizes, Local};
use crate::session::listening;
use crate::session::used;
use std::time::Duration;

/// Conditions of `*_next_upstream`, as bits.
pub mod next {
    /// A connection that fails.
    pub const ERROR: u32 = 1;
    /// A timeout.
    pub const TIMEOUT: u32 = 1 << 1;
    /// A response that cannot be read.
    pub const INVALID_HEADER: u32 = 1 << 2;
    /// Also requests that must not be repeated.
    pub const NON_IDEMPOTENT: u32 = 1 << 3;
    /// Status 500.
    pub const HTTP_500: u32 = 1 << 4;
    /// Status 502.
    pub const HTTP_502: u32 = 1 << 5;
    /// Status 503.
    pub const HTTP_503: u32 = 1 << 6;
    /// Status 504.
    pub const HTTP_504: u32 = 1 << 7;
    /// Status 403.
    pub const HTTP_403: u32 = 1 << 8;
    /// Status 404.
    pub const HTTP_404: u32 = 1 << 9;
    /// Status 429.
    pub const HTTP_429: u32 = 1 << 10;
    /// A stale answer while the cache is updated (`*_cache_use_stale`).
    pub const UPDATING: u32 = 1 << 11;
    /// No server is live: a stale answer is given wherever one is given for errors.
    pub const NO_LIVE: u32 = 1 << 12;
    /// Never.
    pub const OFF: u32 = 1 << 31;
}

/// The words of `*_next_upstream`.
pub const NEXT: &[(&str, u32)] = &[
    ("error", next::ERROR),
    ("timeout", next::TIMEOUT),
    ("invalid_header", next::INVALID_HEADER),
    ("non_idempotent", next::NON_IDEMPOTENT),
    ("http_500", next::HTTP_500),
    ("http_502", next::HTTP_502),
    ("http_503", next::HTTP_503),
    ("http_504", next::HTTP_504),
    ("http_403", next::HTTP_403),
    ("http_404", next::HTTP_404),
    ("http_429", next::HTTP_429),
    ("updating", next::UPDATING),
    ("off", next::OFF),
];

/// The words of `*_next_upstream` for FastCGI, uwsgi and SCGI.
pub const NEXT_FASTCGI: &[(&str, u32)] = &[
    ("error", next::ERROR),
    ("timeout", next::TIMEOUT),
    ("invalid_header", next::INVALID_HEADER),
    ("non_idempotent", next::NON_IDEMPOTENT),
    ("http_500", next::HTTP_500),
    ("http_503", next::HTTP_503),
    ("http_403", next::HTTP_403),
    ("http_404", next::HTTP_404),
    ("http_429", next::HTTP_429),
    ("updating", next::UPDATING),
    ("off", next::OFF),
];

/// The words of `grpc_next_upstream`.
pub const NEXT_GRPC: &[(&str, u32)] = &[
    ("error", next::ERROR),
    ("timeout", next::TIMEOUT),
    ("invalid_header", next::INVALID_HEADER),
    ("non_idempotent", next::NON_IDEMPOTENT),
    ("http_500", next::HTTP_500),
    ("http_502", next::HTTP_502),
    ("http_503", next::HTTP_503),
    ("http_504", next::HTTP_504),
    ("http_403", next::HTTP_403),
    ("http_404", next::HTTP_404),
    ("http_429", next::HTTP_429),
    ("off", next::OFF),
];

/// The words of `memcached_next_upstream`.
pub const NEXT_MEMCACHED: &[(&str, u32)] = &[
    ("error", next::ERROR),
    ("timeout", next::TIMEOUT),
    ("invalid_response", next::INVALID_HEADER),
    ("not_found", next::HTTP_404),
    ("off", next::OFF),
];

/// The words of `*_ignore_headers`.
pub const IGNORE: &[(&str, u32)] = &[
    ("X-Accel-Redirect", 1),
    ("X-Accel-Expires", 2),
    ("X-Accel-Limit-Rate", 4),
    ("X-Accel-Buffering", 8),
    ("X-Accel-Charset", 16),
    ("Expires", 32),
    ("Cache-Control", 64),
    ("Set-Cookie", 128),
    ("Vary", 256),
];

/// The gateways that share rows, as numbers that tell their settings apart.
pub mod gateway {
    /// `proxy_`
    pub const PROXY: u8 = 0;
    /// `fastcgi_`
    pub const FASTCGI: u8 = 1;
    /// `uwsgi_`
    pub const UWSGI: u8 = 2;
    /// `scgi_`
    pub const SCGI: u8 = 3;
    /// `grpc_`
    pub const GRPC: u8 = 4;
    /// `memcached_`
    pub const MEMCACHED: u8 = 5;
}

/// Settings every gateway has.
#[derive(Default)]
pub struct GatewayConf<const P: u8> {
    /// `*_bind`: nothing, `off`, or an address, and whether it is transparent.
    pub bind: Option<Option<(Word, bool)>>,
    /// `*_buffer_size`.
    pub buffer_size: Option<u64>,
    /// `*_buffering`.
    pub buffering: Option<bool>,
    /// `*_buffers`.
    pub buffers: Option<(u64, u64)>,
    /// `*_busy_buffers_size`.
    pub busy: Option<u64>,
    /// `*_connect_timeout`.
    pub connect_timeout: Option<Duration>,
    /// `*_send_timeout`.
    pub send_timeout: Option<Duration>,
    /// `*_read_timeout`.
    pub read_timeout: Option<Duration>,
    /// `*_hide_header`.
    pub hide: Vec<Word>,
    /// `*_pass_header`.
    pub pass: Vec<Word>,
    /// `*_ignore_client_abort`.
    pub ignore_client_abort: Option<bool>,
    /// `*_ignore_headers`.
    pub ignore_headers: Option<u32>,
    /// `*_intercept_errors`.
    pub intercept_errors: Option<bool>,
    /// `*_max_temp_file_size`.
    pub max_temp: Option<u64>,
    /// `*_temp_file_write_size`.
    pub temp_write: Option<u64>,
    /// `*_temp_path`.
    pub temp_path: Option<TempPath>,
    /// `*_next_upstream`.
    pub next: Option<u32>,
    /// `*_next_upstream_timeout`.
    pub next_timeout: Option<Duration>,
    /// `*_next_upstream_tries`.
    pub next_tries: Option<u64>,
    /// `*_pass_request_body`.
    pub pass_body: Option<bool>,
    /// `*_pass_request_headers`.
    pub pass_headers: Option<bool>,
    /// `*_request_buffering`.
    pub request_buffering: Option<bool>,
    /// `*_socket_keepalive`.
    pub socket_keepalive: Option<bool>,
    /// `*_force_ranges`.
    pub force_ranges: Option<bool>,
    /// `*_limit_rate`.
    pub limit_rate: Option<u64>,
    /// `proxy_pass_trailers`.
    pub pass_trailers: Option<bool>,
    /// `*_socket_rcvbuf`.
    pub socket_rcvbuf: Option<u64>,
    /// `*_socket_sndbuf`.
    pub socket_sndbuf: Option<u64>,
}

impl<const P: u8> Conf for GatewayConf<P> {
    fn inherit(&mut self, outer: &Self) {
        inherit!(self, outer; list hide, pass; bind, buffer_size, buffering, buffers, busy, connect_timeout);
        inherit!(self, outer; send_timeout, read_timeout, ignore_client_abort, ignore_headers, intercept_errors);
        inherit!(self, outer; max_temp, temp_write, temp_path, next, next_timeout, next_tries, pass_body);
        inherit!(self, outer; pass_headers, request_buffering, socket_keepalive, force_ranges, limit_rate, pass_trailers);
        inherit!(self, outer; socket_rcvbuf, socket_sndbuf);
    }
}

impl GatewayConf<{ gateway::MEMCACHED }> {
    /// With what nginx sets for memcached and has no rows for.
    pub fn fixed(&self) -> Self {
        let mut fixed = Self {
            buffering: Some(false),
            ignore_client_abort: Some(false),
            intercept_errors: Some(true),
            max_temp: Some(0),
            pass_body: Some(false),
            pass_headers: Some(false),
            request_buffering: Some(true),
            ..Self::default()
        };
        fixed.inherit(self);
        fixed
    }
}

impl GatewayConf<{ gateway::GRPC }> {
    /// With what nginx sets for gRPC and has no rows for.
    pub fn fixed(&self) -> Self {
        let mut fixed = Self {
            buffering: Some(false),
            ignore_client_abort: Some(false),
            max_temp: Some(0),
            pass_body: Some(true),
            pass_headers: Some(true),
            request_buffering: Some(false),
            pass_trailers: Some(true),
            ..Self::default()
        };
        fixed.inherit(self);
        fixed
    }
}

/// How servers are spoken to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialect {
    /// HTTP/1 both ways.
    Http,
    /// A binary head, then the body; answers are a CGI program's, or begin with a status line.
    Cgi,
    /// Records both ways; answers are a CGI program's.
    FastCgi,
    /// A `get` of one key, the value as the answer.
    Memcached {
        /// `memcached_gzip_flag`; 0 for none.
        gzip: u64,
    },
    /// HTTP/2 both ways, one request at a time, as a gRPC server speaks it.
    Grpc,
    /// The same with an HTTP server.
    Http2,
}

impl Dialect {
    /// Whether requests and answers are frames of HTTP/2.
    pub const fn has_frames(self) -> bool {
        matches!(self, Self::Grpc | Self::Http2)
    }
}

/// Settings without any `Option` left to decide.
pub struct Gateway {
    /// How servers are spoken to.
    pub dialect: Dialect,
    /// Whether a FastCGI server is asked to leave the connection open.
    pub keep: bool,
    /// `fastcgi_catch_stderr`.
    pub catch: Vec<Box<[u8]>>,
    /// The local address to connect from, and whether it is transparent.
    pub bind: Option<(Text, bool)>,
    /// How large a response head may be.
    pub buffer_size: usize,
    /// How much of a response waits for its client in memory.
    pub memory: usize,
    /// Whether responses are read ahead of the client.
    pub buffering: bool,
    /// `*_connect_timeout`.
    pub connect_timeout: Duration,
    /// `*_send_timeout`.
    pub send_timeout: Duration,
    /// `*_read_timeout`.
    pub read_timeout: Duration,
    /// Response headers that are not passed on, in lower case.
    pub hidden: Vec<Vec<u8>>,
    /// Whether a backend's Server is passed on; where an HTTP backend sends none, there is none.
    pub passes_server: bool,
    /// The same of Date.
    pub passes_date: bool,
    /// `*_force_ranges`.
    pub force_ranges: bool,
    /// `*_ignore_client_abort`.
    pub ignore_client_abort: bool,
    /// `*_ignore_headers`.
    pub ignore_headers: u32,
    /// `*_intercept_errors`.
    pub intercept_errors: bool,
    /// `*_limit_rate`; 0 for any.
    pub limit_rate: u64,
    /// `*_max_temp_file_size`.
    pub max_temp: u64,
    /// `*_temp_path`.
    pub temp_path: String,
    /// `*_next_upstream`.
    pub next: u32,
    /// `*_next_upstream_timeout`; zero for none.
    pub next_timeout: Duration,
    /// `*_next_upstream_tries`; 0 for any.
    pub next_tries: u32,
    /// `*_pass_request_body`.
    pub pass_body: bool,
    /// `*_pass_request_headers`.
    pub pass_headers: bool,
    /// `*_request_buffering`.
    pub request_buffering: bool,
    /// `*_socket_keepalive`.
    pub socket_keepalive: bool,
    /// `*_socket_rcvbuf` and `*_socket_sndbuf`.
    pub buffers: BufferSizes,
    /// `proxy_pass_trailers`, and with gRPC always.
    pub pass_trailers: bool,
}

/// Response headers no gateway passes on unless told to.
pub const HIDDEN: [&str; 8] = [
    "Date",
    "Server",
    "X-Pad",
    "X-Accel-Expires",
    "X-Accel-Redirect",
    "X-Accel-Limit-Rate",
    "X-Accel-Buffering",
    "X-Accel-Charset",
];

/// The same of gRPC servers.
pub const HIDDEN_GRPC: [&str; 7] = [
    "Date",
    "Server",
    "X-Accel-Expires",
    "X-Accel-Redirect",
    "X-Accel-Limit-Rate",
    "X-Accel-Buffering",
    "X-Accel-Charset",
];

/// The same of those that speak to CGI programs.
pub const HIDDEN_CGI: [&str; 6] =
    ["Status", "X-Accel-Expires", "X-Accel-Redirect", "X-Accel-Limit-Rate", "X-Accel-Buffering", "X-Accel-Charset"];

impl Gateway {
    /// Whether a header of a response is not passed on.
    pub fn hides(&self, name: &[u8]) -> bool {
        self.hidden.iter().any(|hidden| hidden.len() == name.len() && name.eq_ignore_ascii_case(hidden))
    }

    /// The runtime form of merged settings.
    ///
    /// # Errors
    /// Sizes that do not go together, in nginx's words; texts that do not compile.
    pub fn new<const P: u8>(conf: &GatewayConf<P>, prefix: &str, cx: &mut Compile<'_, '_>) -> Result<Self, Diagnostic> {
        let buffer_size = conf.buffer_size.merged()?;
        let passed = |name: &[u8]| conf.pass.iter().any(|word| word.bytes.eq_ignore_ascii_case(name));
        let (dialect, own) = match P {
            gateway::FASTCGI => (Dialect::FastCgi, &HIDDEN_CGI[..]),
            gateway::SCGI => (Dialect::Cgi, &HIDDEN_CGI[..]),
            // The Status of an uwsgi application is passed on, as in nginx.
            gateway::UWSGI => (Dialect::Cgi, HIDDEN_CGI.get(1..).unwrap_or_default()),
            gateway::MEMCACHED => (Dialect::Memcached { gzip: 0 }, &[][..]),
            gateway::GRPC => (Dialect::Grpc, &HIDDEN_GRPC[..]),
            _ => (Dialect::Http, &HIDDEN[..]),
        };
        let mut hidden: Vec<Vec<u8>> = own.iter().map(|name| name.to_ascii_lowercase().into_bytes()).collect();
        hidden.retain(|name| !passed(name));
        hidden.extend(conf.hide.iter().map(|word| word.bytes.to_ascii_lowercase()));
        let bind = match &conf.bind {
            Some(Some((word, transparent))) => {
                cx.build.transparent |= transparent;
                Some((cx.text(word)?, *transparent))
            }
            _ => None,
        };
        let temp_path = match &conf.temp_path {
            Some(temp) => cx.build.full(&temp.path),
            None => cx.build.default_temp(prefix),
        };
        // Nothing of memcached's and gRPC servers' answers is buffered.
        if P != gateway::MEMCACHED && P != gateway::GRPC {
            cx.build.folder(&temp_path);
        }
        let next = conf.next.merged()?;
        Ok(Self {
            dialect,
            keep: false,
            catch: Vec::new(),
            bind,
            buffer_size: buffer_size as usize,
            memory: conf.buffers.map_or(8 * 4096, |(count, size)| count.saturating_mul(size) as usize),
            buffering: conf.buffering.merged()?,
            connect_timeout: conf.connect_timeout.merged()?,
            send_timeout: conf.send_timeout.merged()?,
            read_timeout: conf.read_timeout.merged()?,
            passes_server: !hidden.iter().any(|name| name == b"server"),
            passes_date: !hidden.iter().any(|name| name == b"date"),
            hidden,
            force_ranges: conf.force_ranges.unwrap_or(false),
            ignore_client_abort: conf.ignore_client_abort.merged()?,
            ignore_headers: conf.ignore_headers.unwrap_or(0),
            intercept_errors: conf.intercept_errors.merged()?,
            limit_rate: conf.limit_rate.unwrap_or(0),
            max_temp: conf.max_temp.merged()?,
            temp_path,
            next: if next & next::OFF != 0 { 0 } else { next },
            next_timeout: conf.next_timeout.merged()?,
            next_tries: conf.next_tries.merged()? as u32,
            pass_body: conf.pass_body.merged()?,
            pass_headers: conf.pass_headers.merged()?,
            request_buffering: conf.request_buffering.merged()?,
            socket_keepalive: conf.socket_keepalive.merged()?,
            buffers: BufferSizes::new(conf.socket_rcvbuf, conf.socket_sndbuf),
            pass_trailers: conf.pass_trailers == Some(true),
        })
    }

    /// The address `*_bind` names for this request.
    pub fn local(&self, request: &Request) -> Option<Local> {
        let (text, transparent) = self.bind.as_ref()?;
        let text = text.text(request);
        let local = listening::local(&String::from_utf8_lossy(&text));
        if local.is_none() && !text.is_empty() {
            let shown = crate::conf::bytes::text(&text);
            request.log(Level::Error, &format!("invalid local address \"{shown}\""));
        }
        local.map(|address| Local { address, transparent: *transparent })
    }
}

/// Sizes that must go together.
///
/// # Errors
/// nginx's words for the first that do not.
pub fn check_sizes<const P: u8>(levels: &Levels<'_>, prefix: &str) -> Result<(), Diagnostic> {
    let Some(conf) = levels.get::<GatewayConf<P>>() else { return Ok(()) };
    let buffer_size = conf.buffer_size.merged()?;
    let (count, size) = conf.buffers.unwrap_or((8, 4096));
    let fail = |text: String| Err(Diagnostic::emerg(text));
    let least = buffer_size.max(size);
    let ruler = format!("the maximum of the value of \"{prefix}_buffer_size\" and one of the \"{prefix}_buffers\"");
    if count < 2 {
        return fail(format!("there must be at least 2 \"{prefix}_buffers\""));
    }
    let busy = conf.busy.unwrap_or(2 * least);
    if busy < least {
        return fail(format!("\"{prefix}_busy_buffers_size\" must be equal to or greater than {ruler}"));
    }
    if busy > (count - 1) * size {
        return fail(format!(
            "\"{prefix}_busy_buffers_size\" must be less than the size of all \"{prefix}_buffers\" minus one buffer"
        ));
    }
    if conf.temp_write.is_some_and(|write| write < least) {
        return fail(format!("\"{prefix}_temp_file_write_size\" must be equal to or greater than {ruler}"));
    }
    if conf.max_temp.is_some_and(|most| most != 0 && most < least) {
        return fail(format!(
            "\"{prefix}_max_temp_file_size\" must be equal to zero to disable temporary files usage or must be equal to or greater than {ruler}"
        ));
    }
    Ok(())
}

/// The setter of `*_bind`.
pub fn bind<const P: u8>(
    cx: &mut Setting<'_>,
    conf: &mut GatewayConf<P>,
    statement: &Statement,
) -> Result<(), Diagnostic> {
    if conf.bind.is_some() {
        return Err(cx.duplicate());
    }
    let [word, rest @ ..] = statement.arguments() else { return Ok(()) };
    if word.is("off") && rest.is_empty() {
        conf.bind = Some(None);
        return Ok(());
    }
    if !word.bytes.contains(&b'$') && listening::local(&word.text()).is_none() {
        return Err(Diagnostic::emerg(format!("invalid address \"{}\"", word.text())).point(word.span));
    }
    used::word(cx, word)?;
    if let Some(word) = rest.first().filter(|word| !word.is("transparent")) {
        return Err(Diagnostic::emerg(format!("invalid parameter \"{}\"", word.text())).point(word.span));
    }
    conf.bind = Some(Some((word.clone(), !rest.is_empty())));
    Ok(())
}

/// The setter of `*_temp_path`.
pub fn temp_path<const P: u8>(
    cx: &mut Setting<'_>,
    conf: &mut GatewayConf<P>,
    statement: &Statement,
) -> Result<(), Diagnostic> {
    if conf.temp_path.is_some() {
        return Err(cx.duplicate());
    }
    conf.temp_path = Some(TempPath::of(cx, statement)?);
    Ok(())
}

/// The rows of every gateway: connections and the next server.
macro_rules! connection_rows {
    ($prefix:literal, $gateway:expr, $next:expr) => {{
        use crate::conf::directive::{Arity, Directive};
        use crate::conf::slot::{Custom, Flag, Mask, Number, Size, Time};
        use crate::http::gateway::conf::{GatewayConf as G, bind};
        use crate::session::contexts::HTTP_ANY as ANY;
        [
            Directive::new(concat!($prefix, "_bind"), ANY, Arity::Between(1, 2), &Custom(bind::<{ $gateway }>))
                .words(&["transparent", "off"])
                .doc("Sets the address connections to backends come from; with transparent it need not be this machine's."),
            Directive::new(
                concat!($prefix, "_buffer_size"),
                ANY,
                Arity::Exactly(1),
                &Size(|c: &mut G<{ $gateway }>| &mut c.buffer_size),
            )
            .default("4k")
            .doc("Sets how large the head of a response may be."),
            Directive::new(
                concat!($prefix, "_connect_timeout"),
                ANY,
                Arity::Exactly(1),
                &Time(|c: &mut G<{ $gateway }>| &mut c.connect_timeout),
            )
            .default("60s")
            .doc("Sets the time to connect to a backend."),
            Directive::new(
                concat!($prefix, "_send_timeout"),
                ANY,
                Arity::Exactly(1),
                &Time(|c: &mut G<{ $gateway }>| &mut c.send_timeout),
            )
            .default("60s")
            .doc("Sets the time between two writes to a backend."),
            Directive::new(
                concat!($prefix, "_read_timeout"),
                ANY,
                Arity::Exactly(1),
                &Time(|c: &mut G<{ $gateway }>| &mut c.read_timeout),
            )
            .default("60s")
            .doc("Sets the time between two reads from a backend."),
            Directive::new(
                concat!($prefix, "_next_upstream"),
                ANY,
                Arity::AtLeast(1),
                &Mask(|c: &mut G<{ $gateway }>| &mut c.next, $next),
            )
            .default("error timeout")
            .doc("Sets when a request is passed on to another server."),
            Directive::new(
                concat!($prefix, "_next_upstream_timeout"),
                ANY,
                Arity::Exactly(1),
                &Time(|c: &mut G<{ $gateway }>| &mut c.next_timeout),
            )
            .default("0")
            .doc("Sets how long a request may be passed on; 0 for any time."),
            Directive::new(
                concat!($prefix, "_next_upstream_tries"),
                ANY,
                Arity::Exactly(1),
                &Number(|c: &mut G<{ $gateway }>| &mut c.next_tries, 0..=u32::MAX as u64),
            )
            .default("0")
            .doc("Sets how many servers a request may be passed to; 0 for all."),
            Directive::new(
                concat!($prefix, "_socket_keepalive"),
                ANY,
                Arity::Flag,
                &Flag(|c: &mut G<{ $gateway }>| &mut c.socket_keepalive),
            )
            .default("off")
            .doc("Sets SO_KEEPALIVE on connections to backends."),
        ]
    }};
}
pub(crate) use connection_rows;

/// The rows of the gateways that size their sockets' buffers.
macro_rules! socket_rows {
    ($prefix:literal, $gateway:expr) => {{
        use crate::conf::directive::{Arity, Directive};
        use crate::conf::slot::Size;
        use crate::http::gateway::conf::GatewayConf as G;
        use crate::session::contexts::HTTP_ANY as ANY;
        [
            Directive::new(
                concat!($prefix, "_socket_rcvbuf"),
                ANY,
                Arity::Exactly(1),
                &Size(|c: &mut G<{ $gateway }>| &mut c.socket_rcvbuf),
            )
            .default("0")
            .since("1.31.3")
            .doc("Sets SO_RCVBUF on connections to backends; 0 leaves it to the system."),
            Directive::new(
                concat!($prefix, "_socket_sndbuf"),
                ANY,
                Arity::Exactly(1),
                &Size(|c: &mut G<{ $gateway }>| &mut c.socket_sndbuf),
            )
            .default("0")
            .since("1.31.3")
            .doc("Sets SO_SNDBUF on connections to backends; 0 leaves it to the system."),
        ]
    }};
}
pub(crate) use socket_rows;

/// The rows of the gateways whose answers have heads: which of their headers count.
macro_rules! header_rows {
    ($prefix:literal, $gateway:expr) => {{
        use crate::conf::directive::{Arity, Directive};
        use crate::conf::slot::{Flag, List, Mask};
        use crate::http::gateway::conf::{GatewayConf as G, IGNORE};
        use crate::session::contexts::HTTP_ANY as ANY;
        [
            Directive::new(
                concat!($prefix, "_hide_header"),
                ANY,
                Arity::Exactly(1),
                &List(|c: &mut G<{ $gateway }>| &mut c.hide),
            )
            .doc("Keeps a response header from the client."),
            Directive::new(
                concat!($prefix, "_pass_header"),
                ANY,
                Arity::Exactly(1),
                &List(|c: &mut G<{ $gateway }>| &mut c.pass),
            )
            .doc("Passes a response header on that would be hidden."),
            Directive::new(
                concat!($prefix, "_ignore_headers"),
                ANY,
                Arity::AtLeast(1),
                &Mask(|c: &mut G<{ $gateway }>| &mut c.ignore_headers, IGNORE),
            )
            .doc("Does not act on the given response headers."),
            Directive::new(
                concat!($prefix, "_intercept_errors"),
                ANY,
                Arity::Flag,
                &Flag(|c: &mut G<{ $gateway }>| &mut c.intercept_errors),
            )
            .default("off")
            .doc("Shows error pages of the configuration instead of a backend's."),
        ]
    }};
}
pub(crate) use header_rows;

/// The rows of the gateways that buffer requests and responses.
macro_rules! buffer_rows {
    ($prefix:literal, $gateway:expr) => {{
        use crate::conf::directive::{Arity, Directive, Support};
        use crate::conf::slot::{Buffers, Custom, Flag, Size};
        use crate::http::gateway::conf::{GatewayConf as G, temp_path};
        use crate::session::contexts::HTTP_ANY as ANY;
        [
            Directive::new(
                concat!($prefix, "_buffering"),
                ANY,
                Arity::Flag,
                &Flag(|c: &mut G<{ $gateway }>| &mut c.buffering),
            )
            .default("on")
            .doc("Reads responses as fast as backends send them, ahead of the client."),
            Directive::new(
                concat!($prefix, "_buffers"),
                ANY,
                Arity::Exactly(2),
                &Buffers(|c: &mut G<{ $gateway }>| &mut c.buffers),
            )
            .support(Support::Partial("their product is how much of a response waits in memory, in one run"))
            .doc("Sets the number and size of the buffers for a response."),
            Directive::new(
                concat!($prefix, "_busy_buffers_size"),
                ANY,
                Arity::Exactly(1),
                &Size(|c: &mut G<{ $gateway }>| &mut c.busy),
            )
            .support(Support::Partial("checked; what is at hand is always sent"))
            .doc("Sets how much may be on its way to the client while a response is still read."),
            Directive::new(
                concat!($prefix, "_ignore_client_abort"),
                ANY,
                Arity::Flag,
                &Flag(|c: &mut G<{ $gateway }>| &mut c.ignore_client_abort),
            )
            .default("off")
            .doc("Finishes a backend's work although the client is gone."),
            Directive::new(
                concat!($prefix, "_max_temp_file_size"),
                ANY,
                Arity::Exactly(1),
                &Size(|c: &mut G<{ $gateway }>| &mut c.max_temp),
            )
            .default("1024m")
            .doc("Sets how much of a response may wait in a file for a slow client; 0 for nothing."),
            Directive::new(
                concat!($prefix, "_temp_file_write_size"),
                ANY,
                Arity::Exactly(1),
                &Size(|c: &mut G<{ $gateway }>| &mut c.temp_write),
            )
            .support(Support::Partial("checked; a file is written as responses come"))
            .doc("Sets how much is written to such a file at a time."),
            Directive::new(
                concat!($prefix, "_temp_path"),
                ANY,
                Arity::Between(1, 4),
                &Custom(temp_path::<{ $gateway }>),
            )
            .support(Support::Partial("such files have no names, so levels do not matter"))
            .doc("Sets the folder of such files."),
            Directive::new(
                concat!($prefix, "_pass_request_body"),
                ANY,
                Arity::Flag,
                &Flag(|c: &mut G<{ $gateway }>| &mut c.pass_body),
            )
            .default("on")
            .doc("Passes the request's body on."),
            Directive::new(
                concat!($prefix, "_pass_request_headers"),
                ANY,
                Arity::Flag,
                &Flag(|c: &mut G<{ $gateway }>| &mut c.pass_headers),
            )
            .default("on")
            .doc("Passes the request's headers on."),
            Directive::new(
                concat!($prefix, "_request_buffering"),
                ANY,
                Arity::Flag,
                &Flag(|c: &mut G<{ $gateway }>| &mut c.request_buffering),
            )
            .default("on")
            .doc("Reads the whole request body before a backend is asked."),
            Directive::new(
                concat!($prefix, "_force_ranges"),
                ANY,
                Arity::Flag,
                &Flag(|c: &mut G<{ $gateway }>| &mut c.force_ranges),
            )
            .default("off")
            .since("1.7.7")
            .doc("Answers requests for ranges whatever a backend says of them."),
            Directive::new(
                concat!($prefix, "_limit_rate"),
                ANY,
                Arity::Exactly(1),
                &Size(|c: &mut G<{ $gateway }>| &mut c.limit_rate),
            )
            .default("0")
            .since("1.7.7")
            .doc(
                "Sets how many bytes a second are read from a backend, where responses are buffered; 0 for any number.",
            ),
        ]
    }};
}
pub(crate) use buffer_rows;
