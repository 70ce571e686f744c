//! What is served: servers, locations and their settings, immutable and shared by all loops.

use super::core::{Answer, LocationConf, Modified, Root, ServerConf, TempPath, Tokens};
use super::filter::Filter;
use super::h2;
use super::listen::Port;
use super::location::{Locations, Pattern};
use super::module::{Compile, Text};
use super::modules::files::FileSettings;
use super::modules::referer::Referers;
use super::phase::{Handler, PHASES};
use super::request::Request;
use super::secure::ServerTls;
use super::upstream::Upstreams;
use crate::conf::diagnostic::Diagnostic;
use crate::conf::module::Merged as _;
use crate::conf::source::Span;
use crate::conf::tree::Word;
use crate::log::Log;
use crate::script::template::Template;
use crate::script::variable::Definitions;
use hashbrown::HashMap;
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
    pub h2: h2::Settings,
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

impl HeadSettings {
    /// The runtime form of merged settings.
    ///
    /// # Errors
    /// Settings that were not merged.
    pub fn new(conf: &ServerConf) -> Result<Self, Diagnostic> {
        let (large_count, large_size) = conf.large_client_header_buffers.merged()?;
        Ok(Self {
            first: conf.client_header_buffer_size.merged()? as usize,
            large_count: large_count as usize,
            large_size: large_size as usize,
            timeout: conf.client_header_timeout.merged()?,
            ignore_invalid: conf.ignore_invalid_headers.merged()?,
            underscores: conf.underscores_in_headers.merged()?,
            merge_slashes: conf.merge_slashes.merged()?,
        })
    }
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
    /// `valid_referers`.
    pub referers: Option<Arc<Referers>>,
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

/// `root` or `alias`, compiled.
pub struct RootText {
    /// The folder, absolute when it has no variables.
    pub path: Text,
    /// Whether the location's name is replaced.
    pub alias: bool,
    /// How much of the path the location's name takes; nothing for expressions, whose alias is the whole path.
    pub prefix_length: Option<usize>,
}

/// An `error_page` row, compiled.
pub struct Page {
    /// The status it is for.
    pub status: u16,
    /// The status it answers with.
    pub answer: Answer,
    /// Where it leads.
    pub target: Text,
}

/// MIME types by extension.
pub type Types = HashMap<Box<[u8]>, Arc<[u8]>>;

/// A location's settings without any `Option` left to decide.
pub struct Settings {
    /// The merged statement form, for the plain fields.
    pub root: RootText,
    /// `types`.
    pub types: Arc<Types>,
    /// `default_type`.
    pub default_type: Arc<[u8]>,
    /// `error_page`.
    pub error_pages: Vec<Page>,
    /// `recursive_error_pages`.
    pub recursive_error_pages: bool,
    /// `error_log`.
    pub error_log: Log,
    /// `client_max_body_size`; 0 for any.
    pub client_max_body_size: u64,
    /// `client_body_buffer_size`.
    pub client_body_buffer_size: usize,
    /// `client_body_timeout`.
    pub client_body_timeout: Duration,
    /// `client_body_temp_path`.
    pub body_temp: TempPath,
    /// `keepalive_timeout`.
    pub keepalive_timeout: Duration,
    /// The time in a Keep-Alive header, in seconds; 0 for none.
    pub keepalive_header: u64,
    /// `keepalive_requests`.
    pub keepalive_requests: u64,
    /// `keepalive_time`.
    pub keepalive_time: Duration,
    /// `keepalive_disable`.
    pub keepalive_disable: u32,
    /// `send_timeout`.
    pub send_timeout: Duration,
    /// `lingering_close`.
    pub lingering: super::core::Lingering,
    /// `lingering_time`.
    pub lingering_time: Duration,
    /// `lingering_timeout`.
    pub lingering_timeout: Duration,
    /// `reset_timedout_connection`.
    pub reset_timedout: bool,
    /// `sendfile_max_chunk`.
    pub sendfile_max_chunk: usize,
    /// `tcp_nodelay`.
    pub tcp_nodelay: bool,
    /// `server_tokens`.
    pub server_tokens: Tokens,
    /// `etag`.
    pub etag: bool,
    /// `if_modified_since`.
    pub if_modified_since: Modified,
    /// `max_ranges`.
    pub max_ranges: u64,
    /// `absolute_redirect`.
    pub absolute_redirect: bool,
    /// `server_name_in_redirect`.
    pub server_name_in_redirect: bool,
    /// `port_in_redirect`.
    pub port_in_redirect: bool,
    /// `satisfy any`.
    pub satisfy_any: bool,
    /// `log_not_found`.
    pub log_not_found: bool,
    /// `log_subrequest`.
    pub log_subrequest: bool,
    /// `msie_padding`.
    pub msie_padding: bool,
    /// `chunked_transfer_encoding`.
    pub chunked: bool,
}

impl Settings {
    /// The runtime form of merged settings.
    ///
    /// # Errors
    /// Texts that do not compile.
    pub fn new(
        conf: &LocationConf,
        types: Arc<Types>,
        error_log: Log,
        cx: &mut Compile<'_, '_>,
    ) -> Result<Self, Diagnostic> {
        let (keepalive_timeout, header) = conf.keepalive_timeout.merged()?;
        let chunk = conf.sendfile_max_chunk.merged()?;
        Ok(Self {
            root: root_text(conf, cx)?,
            types,
            default_type: Arc::from(&*conf.default_type.as_ref().merged()?.bytes),
            error_pages: pages(conf, cx)?,
            recursive_error_pages: conf.recursive_error_pages.merged()?,
            error_log,
            client_max_body_size: conf.client_max_body_size.merged()?,
            client_body_buffer_size: conf.client_body_buffer_size.merged()? as usize,
            client_body_timeout: conf.client_body_timeout.merged()?,
            body_temp: body_temp(conf, cx)?,
            keepalive_timeout,
            keepalive_header: header.map_or(0, |header| header.as_secs()),
            keepalive_requests: conf.keepalive_requests.merged()?,
            keepalive_time: conf.keepalive_time.merged()?,
            keepalive_disable: conf.keepalive_disable.merged()?,
            send_timeout: conf.send_timeout.merged()?,
            lingering: conf.lingering_close.merged()?,
            lingering_time: conf.lingering_time.merged()?,
            lingering_timeout: conf.lingering_timeout.merged()?,
            reset_timedout: conf.reset_timedout_connection.merged()?,
            // Without a limit the largest piece is nginx's own.
            sendfile_max_chunk: if chunk > 0 { chunk } else { 2 << 20 } as usize,
            tcp_nodelay: conf.tcp_nodelay.merged()?,
            server_tokens: conf.server_tokens.merged()?,
            etag: conf.etag.merged()?,
            if_modified_since: conf.if_modified_since.merged()?,
            max_ranges: conf.max_ranges.unwrap_or(u64::MAX),
            absolute_redirect: conf.absolute_redirect.merged()?,
            server_name_in_redirect: conf.server_name_in_redirect.merged()?,
            port_in_redirect: conf.port_in_redirect.merged()?,
            satisfy_any: conf.satisfy.merged()? == super::core::Satisfy::Any,
            log_not_found: conf.log_not_found.merged()?,
            log_subrequest: conf.log_subrequest.merged()?,
            msie_padding: conf.msie_padding.merged()?,
            chunked: conf.chunked_transfer_encoding.merged()?,
        })
    }
}

/// The folder for request bodies, below the prefix, to be there before serving.
fn body_temp(conf: &LocationConf, cx: &mut Compile<'_, '_>) -> Result<TempPath, Diagnostic> {
    let mut temp = conf.client_body_temp_path.clone().merged()?;
    temp.path = cx.build.full(&temp.path);
    cx.build.folder(&temp.path);
    Ok(temp)
}

fn root_text(conf: &LocationConf, cx: &mut Compile<'_, '_>) -> Result<RootText, Diagnostic> {
    let Some(Root { path, alias, replaced }) = &conf.root else {
        let html = crate::conf::bytes::raw(&cx.build.full("html")).into_owned();
        let path = Template::compile(&html, &mut cx.names).map_err(Diagnostic::emerg)?;
        return Ok(RootText { path, alias: false, prefix_length: None });
    };
    let mut path: Word = path.clone();
    if !path.bytes.starts_with(b"/") && !path.bytes.starts_with(b"$") {
        path.bytes = crate::conf::bytes::raw(&cx.build.full(&path.text())).into();
    }
    Ok(RootText { path: cx.text(&path)?, alias: *alias, prefix_length: *replaced })
}

fn pages(conf: &LocationConf, cx: &mut Compile<'_, '_>) -> Result<Vec<Page>, Diagnostic> {
    conf.error_pages
        .iter()
        .map(|page| Ok(Page { status: page.status, answer: page.answer, target: cx.text(&page.target)? }))
        .collect()
}
