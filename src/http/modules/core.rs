//! `ngx_http_core_module`: the rows every http configuration uses, and their settings.
//!
//! Differs from nginx: `*_hash_*` and pool sizes are accepted and have no effect, tables here need no tuning. [test: inert_rows_say_why]

pub mod listen;
pub mod location;
mod sizes;

use crate::conf::diagnostic::Diagnostic;
use crate::conf::directive::{Arity, Directive, Opens, Support};
use crate::conf::module::{Conf, Module, Scope, inherit};
use crate::conf::slot::{Block, Buffers, Choice, Custom, Flag, Mask, Number, Offset, Plain, Size, Text, Time};
use crate::conf::tree::{Statement, Word};
use crate::conf::walk::{Level, Setting};
use crate::http::gateway::cache::CachePaths;
use crate::http::heart::location::Pattern;
use crate::http::heart::settings::Answer;
use crate::http::heart::settings::Lingering;
use crate::http::heart::settings::Modified;
use crate::http::heart::settings::Satisfy;
use crate::http::heart::settings::TempPath;
use crate::http::heart::settings::Tokens;
use crate::http::modules::core::listen::Listening;
use crate::session::contexts::{HTTP, HTTP_ANY, HTTP_ANY_IF, HTTP_LEVELS, HTTP_SERVER, LOCATION, MAIN, SERVER, STREAM};
use crate::session::errorlog;
use crate::session::format::LogFiles;
use crate::session::paths::Paths;
use crate::session::pools::Pools;
use crate::session::rows::each;
use crate::session::shared::Shared;
use crate::session::slot::MimeLists;
use crate::session::used::{self, Used};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// What the front end must know of the module.
pub const MODULE: Module = Module {
    name: "ngx_http_core_module",
    directives: DIRECTIVES,
    scopes: &[
        Scope::of::<Shared>(MAIN),
        Scope::of::<LogFiles>(MAIN),
        Scope::of::<Paths>(MAIN),
        Scope::of::<Pools>(MAIN),
        Scope::of::<MimeLists>(HTTP),
        Scope::of::<CachePaths>(HTTP),
        Scope::of::<Used>(HTTP.or(STREAM)),
        Scope::of::<Main>(HTTP),
        Scope::of::<ServerConf>(HTTP_SERVER),
        Scope::of::<LocationConf>(HTTP_LEVELS),
        Scope::of::<Opened>(LOCATION),
    ],
};

const UNTUNED: Support = Support::Inert("hash tables here grow by themselves");
const UNPOOLED: Support = Support::Inert("requests do not allocate from pools here");

const DIRECTIVES: &[Directive] = &[
    Directive::new("http", MAIN, Arity::Block(0, 0, Opens::Context(HTTP)), &Block(http, |_| Ok(())))
        .doc("Opens the block of http settings and servers."),
    Directive::new("server", HTTP, Arity::Block(0, 0, Opens::Context(SERVER)), &Plain).doc("Opens a virtual server."),
    Directive::new("listen", SERVER, Arity::AtLeast(1), &Custom(listen::listen))
        .words(listen::WORDS)
        .doc("Sets an address and port, or a socket path, on which the server takes requests, with its options."),
    Directive::new("server_name", SERVER, Arity::AtLeast(1), &Custom(listen::server_name))
        .doc("Sets the names of a virtual server: exact, with a leading or trailing wildcard, or expressions."),
    Directive::new(
        "location",
        SERVER.or(LOCATION),
        Arity::Block(1, 2, Opens::Context(LOCATION)),
        &Custom(location::location),
    )
    .doc("Opens settings for requests whose path begins with, equals or matches the argument."),
    Directive::new("types", HTTP_ANY, Arity::Block(0, 0, Opens::Rows), &Custom(types))
        .doc("Maps file name extensions to MIME types."),
    Directive::new("default_type", HTTP_ANY, Arity::Exactly(1), &Text(|c: &mut LocationConf| &mut c.default_type))
        .default("text/plain")
        .doc("Sets the MIME type of files without a mapped extension."),
    Directive::new("root", HTTP_ANY_IF, Arity::Exactly(1), &Custom(root))
        .doc("Sets the folder that a request's path is appended to."),
    Directive::new("alias", LOCATION, Arity::Exactly(1), &Custom(root))
        .doc("Sets what replaces the location's prefix in a request's path."),
    Directive::new("internal", LOCATION, Arity::Exactly(0), &Custom(internal))
        .doc("Makes a location serve internal redirects only; other requests get 404."),
    Directive::new("error_page", HTTP_ANY_IF, Arity::AtLeast(2), &Custom(error_page))
        .doc("Sets the URI shown for the given statuses, and optionally the status to answer with."),
    Directive::new(
        "recursive_error_pages",
        HTTP_ANY,
        Arity::Flag,
        &Flag(|c: &mut LocationConf| &mut c.recursive_error_pages),
    )
    .default("off")
    .doc("Allows an error page to lead to another error page."),
    Directive::new("error_log", HTTP_ANY, Arity::AtLeast(1), &Custom(error_log))
        .words(errorlog::WORDS)
        .doc("Sets where errors are logged, and from which level on."),
    Directive::new(
        "client_max_body_size",
        HTTP_ANY,
        Arity::Exactly(1),
        &Offset(|c: &mut LocationConf| &mut c.client_max_body_size),
    )
    .default("1m")
    .doc("Sets the largest allowed request body in bytes; 0 allows any."),
    Directive::new(
        "client_body_buffer_size",
        HTTP_ANY,
        Arity::Exactly(1),
        &Size(|c: &mut LocationConf| &mut c.client_body_buffer_size),
    )
    .default("16k")
    .support(Support::Partial("a body over this size goes to memory up to the loop's budget before it goes to a file"))
    .doc("Sets how many bytes of a request body are kept in memory."),
    Directive::new(
        "client_body_timeout",
        HTTP_ANY,
        Arity::Exactly(1),
        &Time(|c: &mut LocationConf| &mut c.client_body_timeout),
    )
    .default("60s")
    .doc("Sets the time between two reads of a request body, after which 408 is answered."),
    Directive::new("client_body_temp_path", HTTP_ANY, Arity::Between(1, 4), &Custom(temp_path))
        .default("client_body_temp")
        .doc("Sets the folder, and its levels, for request bodies that do not fit into memory."),
    Directive::new(
        "client_header_buffer_size",
        HTTP_SERVER,
        Arity::Exactly(1),
        &Size(|c: &mut ServerConf| &mut c.client_header_buffer_size),
    )
    .default("1k")
    .doc("Sets the size in bytes of the first buffer for a request head."),
    Directive::new(
        "large_client_header_buffers",
        HTTP_SERVER,
        Arity::Exactly(2),
        &Buffers(|c: &mut ServerConf| &mut c.large_client_header_buffers),
    )
    .default("4 8k")
    .doc("Sets the number and size of buffers for large request heads; a line must fit into one."),
    Directive::new(
        "client_header_timeout",
        HTTP_SERVER,
        Arity::Exactly(1),
        &Time(|c: &mut ServerConf| &mut c.client_header_timeout),
    )
    .default("60s")
    .doc("Sets the time for a whole request head, after which 408 is answered."),
    Directive::new(
        "ignore_invalid_headers",
        HTTP_SERVER,
        Arity::Flag,
        &Flag(|c: &mut ServerConf| &mut c.ignore_invalid_headers),
    )
    .default("on")
    .doc("Leaves out headers whose names have unusual characters."),
    Directive::new(
        "underscores_in_headers",
        HTTP_SERVER,
        Arity::Flag,
        &Flag(|c: &mut ServerConf| &mut c.underscores_in_headers),
    )
    .default("off")
    .doc("Takes underscores in header names as usual characters."),
    Directive::new("merge_slashes", HTTP_SERVER, Arity::Flag, &Flag(|c: &mut ServerConf| &mut c.merge_slashes))
        .default("on")
        .doc("Takes several slashes in a path as one."),
    Directive::new("keepalive_timeout", HTTP_ANY, Arity::Between(1, 2), &Custom(keepalive_timeout))
        .default("75s")
        .doc("Sets how long an idle connection is kept, and the time told in a Keep-Alive header."),
    Directive::new(
        "keepalive_requests",
        HTTP_ANY,
        Arity::Exactly(1),
        &Number(|c: &mut LocationConf| &mut c.keepalive_requests, 0..=u64::MAX),
    )
    .default("1000")
    .doc("Sets how many requests one connection may bring."),
    Directive::new("keepalive_time", HTTP_ANY, Arity::Exactly(1), &Time(|c: &mut LocationConf| &mut c.keepalive_time))
        .default("1h")
        .since("1.19.10")
        .doc("Sets how long one connection may bring requests."),
    Directive::new(
        "keepalive_disable",
        HTTP_ANY,
        Arity::Between(1, 2),
        &Mask(|c: &mut LocationConf| &mut c.keepalive_disable, KEEPALIVE_DISABLE),
    )
    .default("msie6")
    .doc("Closes connections of browsers that misbehave."),
    Directive::new("send_timeout", HTTP_ANY, Arity::Exactly(1), &Time(|c: &mut LocationConf| &mut c.send_timeout))
        .default("60s")
        .doc("Sets the time between two writes to a client, after which the connection is closed."),
    Directive::new(
        "lingering_close",
        HTTP_ANY,
        Arity::Exactly(1),
        &Choice(|c: &mut LocationConf| &mut c.lingering_close, LINGERING),
    )
    .default("on")
    .doc("Reads what a client still sends before its connection is closed."),
    Directive::new("lingering_time", HTTP_ANY, Arity::Exactly(1), &Time(|c: &mut LocationConf| &mut c.lingering_time))
        .default("30s")
        .doc("Sets how long such bytes are read at most."),
    Directive::new(
        "lingering_timeout",
        HTTP_ANY,
        Arity::Exactly(1),
        &Time(|c: &mut LocationConf| &mut c.lingering_timeout),
    )
    .default("5s")
    .doc("Sets how long to wait for more such bytes."),
    Directive::new(
        "reset_timedout_connection",
        HTTP_ANY,
        Arity::Flag,
        &Flag(|c: &mut LocationConf| &mut c.reset_timedout_connection),
    )
    .default("off")
    .doc("Resets timed-out connections, so that nothing of them stays in the kernel."),
    Directive::new("sendfile", HTTP_ANY_IF, Arity::Flag, &Flag(|c: &mut LocationConf| &mut c.sendfile))
        .default("off")
        .support(Support::Partial("large files are always sent by sendfile(2); the answer is the same"))
        .doc("Sends files without copying them through user space."),
    Directive::new(
        "sendfile_max_chunk",
        HTTP_ANY,
        Arity::Exactly(1),
        &Size(|c: &mut LocationConf| &mut c.sendfile_max_chunk),
    )
    .default("2m")
    .doc("Sets how much of a file is sent before other connections get their turn."),
    Directive::new("tcp_nopush", HTTP_ANY, Arity::Flag, &Flag(|c: &mut LocationConf| &mut c.tcp_nopush))
        .default("off")
        .support(Support::Inert("head and body always leave together"))
        .doc("Sends the head and the beginning of a file in one packet."),
    Directive::new("tcp_nodelay", HTTP_ANY, Arity::Flag, &Flag(|c: &mut LocationConf| &mut c.tcp_nodelay))
        .default("on")
        .doc("Sends small packets at once."),
    Directive::new(
        "postpone_output",
        HTTP_ANY,
        Arity::Exactly(1),
        &Size(|c: &mut LocationConf| &mut c.postpone_output),
    )
    .default("1460")
    .support(Support::Inert("output is sent when there is enough of it or nothing more at hand"))
    .doc("Holds output back until there are so many bytes."),
    Directive::new(
        "server_tokens",
        HTTP_ANY,
        Arity::Exactly(1),
        &Choice(|c: &mut LocationConf| &mut c.server_tokens, TOKENS),
    )
    .default("on")
    .doc("Tells the version in error pages and the Server header."),
    Directive::new("etag", HTTP_ANY, Arity::Flag, &Flag(|c: &mut LocationConf| &mut c.etag))
        .default("on")
        .doc("Gives files an ETag header."),
    Directive::new(
        "if_modified_since",
        HTTP_ANY,
        Arity::Exactly(1),
        &Choice(|c: &mut LocationConf| &mut c.if_modified_since, MODIFIED),
    )
    .default("exact")
    .doc("Sets how a file's time is compared with If-Modified-Since."),
    Directive::new(
        "max_ranges",
        HTTP_ANY,
        Arity::Exactly(1),
        &Number(|c: &mut LocationConf| &mut c.max_ranges, 0..=i64::MAX as u64),
    )
    .doc("Sets how many ranges a request may ask for; more are answered with the whole."),
    Directive::new("absolute_redirect", HTTP_ANY, Arity::Flag, &Flag(|c: &mut LocationConf| &mut c.absolute_redirect))
        .default("on")
        .doc("Sends redirects with scheme and host."),
    Directive::new(
        "server_name_in_redirect",
        HTTP_ANY,
        Arity::Flag,
        &Flag(|c: &mut LocationConf| &mut c.server_name_in_redirect),
    )
    .default("off")
    .doc("Takes the host of a redirect from server_name instead of the request."),
    Directive::new("port_in_redirect", HTTP_ANY, Arity::Flag, &Flag(|c: &mut LocationConf| &mut c.port_in_redirect))
        .default("on")
        .doc("Names the port in redirects."),
    Directive::new("satisfy", HTTP_ANY, Arity::Exactly(1), &Choice(|c: &mut LocationConf| &mut c.satisfy, SATISFY))
        .default("all")
        .doc("Asks for all access checks to agree, or for any one."),
    Directive::new("log_not_found", HTTP_ANY, Arity::Flag, &Flag(|c: &mut LocationConf| &mut c.log_not_found))
        .default("on")
        .doc("Logs files that are not there."),
    Directive::new("log_subrequest", HTTP_ANY, Arity::Flag, &Flag(|c: &mut LocationConf| &mut c.log_subrequest))
        .default("off")
        .doc("Logs subrequests to the access log."),
    Directive::new("msie_padding", HTTP_ANY, Arity::Flag, &Flag(|c: &mut LocationConf| &mut c.msie_padding))
        .default("on")
        .doc("Pads error pages for browsers that replace short ones."),
    Directive::new(
        "chunked_transfer_encoding",
        HTTP_ANY,
        Arity::Flag,
        &Flag(|c: &mut LocationConf| &mut c.chunked_transfer_encoding),
    )
    .default("on")
    .doc("Sends bodies of unknown length in chunks to HTTP/1.1 clients."),
    Directive::new(
        "types_hash_max_size",
        HTTP_ANY,
        Arity::Exactly(1),
        &Number(|c: &mut LocationConf| &mut c.unused, 0..=u64::MAX),
    )
    .support(UNTUNED)
    .doc("Sizes nginx's table of types."),
    Directive::new(
        "types_hash_bucket_size",
        HTTP_ANY,
        Arity::Exactly(1),
        &Number(|c: &mut LocationConf| &mut c.unused2, 0..=u64::MAX),
    )
    .support(UNTUNED)
    .doc("Sizes nginx's table of types."),
    Directive::new(
        "server_names_hash_max_size",
        HTTP,
        Arity::Exactly(1),
        &Number(|c: &mut Main| &mut c.names_max, 0..=u64::MAX),
    )
    .support(UNTUNED)
    .doc("Sizes nginx's table of server names."),
    Directive::new(
        "server_names_hash_bucket_size",
        HTTP,
        Arity::Exactly(1),
        &Number(|c: &mut Main| &mut c.names_bucket, 0..=u64::MAX),
    )
    .support(UNTUNED)
    .doc("Sizes nginx's table of server names."),
    Directive::new(
        "variables_hash_max_size",
        HTTP,
        Arity::Exactly(1),
        &Number(|c: &mut Main| &mut c.variables_max, 0..=u64::MAX),
    )
    .support(UNTUNED)
    .doc("Sizes nginx's table of variables."),
    Directive::new(
        "variables_hash_bucket_size",
        HTTP,
        Arity::Exactly(1),
        &Number(|c: &mut Main| &mut c.variables_bucket, 0..=u64::MAX),
    )
    .support(UNTUNED)
    .doc("Sizes nginx's table of variables."),
    Directive::new("connection_pool_size", HTTP_SERVER, Arity::Exactly(1), &Custom(connection_pool_size))
        .support(UNPOOLED)
        .doc("Sizes nginx's memory for a connection."),
    Directive::new("request_pool_size", HTTP_SERVER, Arity::Exactly(1), &Custom(request_pool_size))
        .support(UNPOOLED)
        .doc("Sizes nginx's memory for a request."),
];

const KEEPALIVE_DISABLE: &[(&str, u32)] = &[("none", 1), ("msie6", 2), ("safari", 4)];
const LINGERING: &[(&str, Lingering)] =
    &[("off", Lingering::Off), ("on", Lingering::On), ("always", Lingering::Always)];
const TOKENS: &[(&str, Tokens)] = &[("off", Tokens::Off), ("on", Tokens::On), ("build", Tokens::Build)];
const MODIFIED: &[(&str, Modified)] =
    &[("off", Modified::Off), ("exact", Modified::Exact), ("before", Modified::Before)];
const SATISFY: &[(&str, Satisfy)] = &[("all", Satisfy::All), ("any", Satisfy::Any)];

/// Settings of the http block alone.
#[derive(Default)]
pub struct Main {
    names_max: Option<u64>,
    names_bucket: Option<u64>,
    variables_max: Option<u64>,
    variables_bucket: Option<u64>,
    opened: bool,
}

impl Conf for Main {
    fn inherit(&mut self, _: &Self) {}
}

/// A server's settings.
#[derive(Default)]
pub struct ServerConf {
    /// `listen`, in order.
    pub listens: Vec<Listening>,
    /// `server_name`, in order.
    pub names: Vec<Word>,
    /// `client_header_buffer_size`.
    pub client_header_buffer_size: Option<u64>,
    /// `large_client_header_buffers`.
    pub large_client_header_buffers: Option<(u64, u64)>,
    /// `client_header_timeout`.
    pub client_header_timeout: Option<Duration>,
    /// `ignore_invalid_headers`.
    pub ignore_invalid_headers: Option<bool>,
    /// `underscores_in_headers`.
    pub underscores_in_headers: Option<bool>,
    /// `merge_slashes`.
    pub merge_slashes: Option<bool>,
    pools: [Option<u64>; 2],
}

impl Conf for ServerConf {
    fn inherit(&mut self, outer: &Self) {
        inherit!(self, outer; client_header_buffer_size, large_client_header_buffers, client_header_timeout);
        inherit!(self, outer; ignore_invalid_headers, underscores_in_headers, merge_slashes);
        for (own, outer) in self.pools.iter_mut().zip(outer.pools) {
            *own = own.or(outer);
        }
    }
}

/// `root` or `alias`.
#[derive(Clone, Debug)]
pub struct Root {
    /// As written, without the `/` an alias-less root may end in.
    pub path: Word,
    /// Whether it is `alias`.
    pub alias: bool,
    /// How much of a path the name of its location takes; nothing where that is an expression.
    pub replaced: Option<usize>,
}

/// One status of an `error_page`.
#[derive(Clone, Debug)]
pub struct ErrorPage {
    /// The status it is for.
    pub status: u16,
    /// `=` (taken from what the page answers) or `=200`.
    pub answer: Answer,
    /// The URI, named location or address.
    pub target: Word,
}

/// What a location was opened with.
#[derive(Default)]
pub struct Opened {
    /// Its name or expression.
    pub pattern: Option<Pattern>,
}

/// What the location of a level was opened with, if it is one.
pub fn opened(level: &Level) -> Option<&Pattern> {
    level.own::<Opened>().and_then(|opened| opened.pattern.as_ref())
}

impl Conf for Opened {
    fn inherit(&mut self, _: &Self) {}
}

/// A location's settings; every block inside http may have them.
#[derive(Default)]
pub struct LocationConf {
    /// `types`: extension to type.
    pub types: Option<Arc<BTreeMap<Vec<u8>, Vec<u8>>>>,
    /// `default_type`.
    pub default_type: Option<Word>,
    /// `root` or `alias`.
    pub root: Option<Root>,
    /// `internal`.
    pub internal: bool,
    /// `error_page`.
    pub error_pages: Vec<ErrorPage>,
    /// `recursive_error_pages`.
    pub recursive_error_pages: Option<bool>,
    /// `error_log`.
    pub error_logs: Vec<errorlog::Target>,
    /// `client_max_body_size`.
    pub client_max_body_size: Option<u64>,
    /// `client_body_buffer_size`.
    pub client_body_buffer_size: Option<u64>,
    /// `client_body_timeout`.
    pub client_body_timeout: Option<Duration>,
    /// `client_body_temp_path`.
    pub client_body_temp_path: Option<TempPath>,
    /// `keepalive_timeout`: the time, and the header's.
    pub keepalive_timeout: Option<(Duration, Option<Duration>)>,
    /// `keepalive_requests`.
    pub keepalive_requests: Option<u64>,
    /// `keepalive_time`.
    pub keepalive_time: Option<Duration>,
    /// `keepalive_disable`.
    pub keepalive_disable: Option<u32>,
    /// `send_timeout`.
    pub send_timeout: Option<Duration>,
    /// `lingering_close`.
    pub lingering_close: Option<Lingering>,
    /// `lingering_time`.
    pub lingering_time: Option<Duration>,
    /// `lingering_timeout`.
    pub lingering_timeout: Option<Duration>,
    /// `reset_timedout_connection`.
    pub reset_timedout_connection: Option<bool>,
    /// `sendfile`.
    pub sendfile: Option<bool>,
    /// `sendfile_max_chunk`.
    pub sendfile_max_chunk: Option<u64>,
    tcp_nopush: Option<bool>,
    /// `tcp_nodelay`.
    pub tcp_nodelay: Option<bool>,
    postpone_output: Option<u64>,
    /// `server_tokens`.
    pub server_tokens: Option<Tokens>,
    /// `etag`.
    pub etag: Option<bool>,
    /// `if_modified_since`.
    pub if_modified_since: Option<Modified>,
    /// `max_ranges`.
    pub max_ranges: Option<u64>,
    /// `absolute_redirect`.
    pub absolute_redirect: Option<bool>,
    /// `server_name_in_redirect`.
    pub server_name_in_redirect: Option<bool>,
    /// `port_in_redirect`.
    pub port_in_redirect: Option<bool>,
    /// `satisfy`.
    pub satisfy: Option<Satisfy>,
    /// `log_not_found`.
    pub log_not_found: Option<bool>,
    /// `log_subrequest`.
    pub log_subrequest: Option<bool>,
    /// `msie_padding`.
    pub msie_padding: Option<bool>,
    /// `chunked_transfer_encoding`.
    pub chunked_transfer_encoding: Option<bool>,
    unused: Option<u64>,
    unused2: Option<u64>,
}

impl Conf for LocationConf {
    fn inherit(&mut self, outer: &Self) {
        inherit!(self, outer; list error_pages, error_logs; types, default_type, root, recursive_error_pages);
        inherit!(self, outer; client_max_body_size, client_body_buffer_size, client_body_timeout, client_body_temp_path);
        inherit!(self, outer; keepalive_timeout, keepalive_requests, keepalive_time, keepalive_disable, send_timeout);
        inherit!(self, outer; lingering_close, lingering_time, lingering_timeout, reset_timedout_connection);
        inherit!(self, outer; sendfile, sendfile_max_chunk, tcp_nopush, tcp_nodelay, postpone_output, server_tokens);
        inherit!(self, outer; etag, if_modified_since, max_ranges, absolute_redirect, server_name_in_redirect);
        inherit!(self, outer; port_in_redirect, satisfy, log_not_found, log_subrequest, msie_padding);
        inherit!(self, outer; chunked_transfer_encoding, unused, unused2);
    }
}

fn http(cx: &mut Setting<'_>, conf: &mut Main, _: &Statement) -> Result<(), Diagnostic> {
    let children = cx.around().map_or(0, |main| main.children.iter().filter(|level| level.context == HTTP).count());
    if conf.opened || children > 0 {
        return Err(cx.duplicate());
    }
    conf.opened = true;
    Ok(())
}

fn types(cx: &mut Setting<'_>, conf: &mut LocationConf, statement: &Statement) -> Result<(), Diagnostic> {
    let table = Arc::make_mut(conf.types.get_or_insert_default());
    each(cx, statement, &mut |cx, row| {
        let Some((kind, extensions)) = row.words.split_first() else { return Ok(()) };
        if kind.is("include") {
            return Err(Diagnostic::emerg("invalid number of arguments in \"include\" directive"));
        }
        for extension in extensions {
            let key = extension.bytes.to_ascii_lowercase();
            let first = cx.first_here("extension", &key, extension.span);
            if let Some(previous) = table.insert(key, kind.bytes.to_vec()) {
                let previous = crate::conf::bytes::text(&previous).into_owned();
                let (name, kind) = (extension.text(), kind.text());
                let text = format!(
                    "duplicate extension \"{name}\", content type: \"{kind}\", previous content type: \"{previous}\""
                );
                cx.report(Diagnostic::warn(text).at(row.span).point(extension.span).earlier(first));
            }
        }
        Ok(())
    })
}

fn root(cx: &mut Setting<'_>, conf: &mut LocationConf, statement: &Statement) -> Result<(), Diagnostic> {
    let alias = cx.row.name == "alias";
    if let Some(root) = &conf.root {
        if root.alias == alias {
            return Err(cx.duplicate());
        }
        let other = if root.alias { "alias" } else { "root" };
        return Err(cx
            .complain(&format!("is duplicate, \"{other}\" directive was specified earlier"))
            .kind(crate::conf::diagnostic::Kind::Again)
            .earlier(cx.given(other)));
    }
    let Some(path) = statement.words.get(1) else { return Ok(()) };
    if alias && matches!(cx.level().and_then(opened), Some(Pattern::Named(_))) {
        return Err(Diagnostic::emerg("the \"alias\" directive cannot be used inside the named location"));
    }
    for name in ["document_root", "realpath_root"] {
        let text = path.text();
        if text.contains(&format!("${name}")) || text.contains(&format!("${{{name}}}")) {
            let row = cx.row.name;
            return Err(Diagnostic::emerg(format!("the ${name} variable cannot be used in the \"{row}\" directive")));
        }
    }
    used::word(cx, path)?;
    let mut path = path.clone();
    if !alias && path.bytes.ends_with(b"/") {
        path.bytes = path.bytes.strip_suffix(b"/").unwrap_or_default().into();
    }
    let replaced = match cx.level().and_then(opened) {
        Some(Pattern::Exact(name) | Pattern::Prefix(name, _)) => Some(name.len()),
        _ => None,
    };
    conf.root = Some(Root { path, alias, replaced });
    Ok(())
}

fn internal(cx: &mut Setting<'_>, conf: &mut LocationConf, _: &Statement) -> Result<(), Diagnostic> {
    if std::mem::replace(&mut conf.internal, true) {
        return Err(cx.duplicate());
    }
    Ok(())
}

fn error_page(cx: &mut Setting<'_>, conf: &mut LocationConf, statement: &Statement) -> Result<(), Diagnostic> {
    let Some((target, mut rest)) = statement.arguments().split_last() else { return Ok(()) };
    let mut answer = Answer::Kept;
    if let Some((last, statuses)) = rest.split_last()
        && let Some(code) = last.after("=")
    {
        if statuses.is_empty() {
            return Err(Diagnostic::emerg(format!("invalid value \"{}\"", last.text())).point(last.span));
        }
        answer = match (code, crate::conf::value::number(code)) {
            ([], _) => Answer::Own,
            (_, Some(code)) => Answer::Fixed(u16::try_from(code).unwrap_or(u16::MAX)),
            _ => return Err(Diagnostic::emerg(format!("invalid value \"{}\"", last.text())).point(last.span)),
        };
        rest = statuses;
    }
    used::word(cx, target)?;
    for word in rest {
        let Some(status) = crate::conf::value::number(&word.bytes).and_then(|code| u16::try_from(code).ok()) else {
            return Err(Diagnostic::emerg(format!("invalid value \"{}\"", word.text())).point(word.span));
        };
        if status == 499 {
            return Err(Diagnostic::emerg(format!("invalid value \"{}\"", word.text())).point(word.span));
        }
        if !(300..=599).contains(&status) {
            let text = format!("value \"{}\" must be between 300 and 599", word.text());
            return Err(Diagnostic::emerg(text).point(word.span));
        }
        let answer = match (answer, status) {
            // nginx: 494 to 497 are shown as 400 unless told otherwise.
            (Answer::Kept, 494..=497) => Answer::Fixed(400),
            (answer, _) => answer,
        };
        conf.error_pages.push(ErrorPage { status, answer, target: target.clone() });
    }
    Ok(())
}

fn error_log(cx: &mut Setting<'_>, conf: &mut LocationConf, statement: &Statement) -> Result<(), Diagnostic> {
    let target = errorlog::parse(cx, statement)?;
    conf.error_logs.push(target);
    Ok(())
}

fn temp_path(cx: &mut Setting<'_>, conf: &mut LocationConf, statement: &Statement) -> Result<(), Diagnostic> {
    if conf.client_body_temp_path.is_some() {
        return Err(cx.duplicate());
    }
    conf.client_body_temp_path = Some(TempPath::of(cx, statement)?);
    Ok(())
}

fn keepalive_timeout(cx: &mut Setting<'_>, conf: &mut LocationConf, statement: &Statement) -> Result<(), Diagnostic> {
    if conf.keepalive_timeout.is_some() {
        return Err(cx.duplicate());
    }
    let mut times = statement.arguments().iter();
    let time = |word: Option<&Word>, seconds| word.and_then(|word| crate::conf::value::time(&word.bytes, seconds));
    let Some(idle) = time(times.next(), false) else { return Err(cx.complain("invalid value")) };
    let header = match times.next() {
        None => None,
        Some(word) => match time(Some(word), true) {
            Some(header) => Some(header),
            None => return Err(cx.complain("invalid value")),
        },
    };
    conf.keepalive_timeout = Some((idle, header));
    Ok(())
}

fn pool(cx: &Setting<'_>, slot: &mut Option<u64>, statement: &Statement) -> Result<(), Diagnostic> {
    if slot.is_some() {
        return Err(cx.duplicate());
    }
    let size = statement.words.get(1).and_then(|word| crate::conf::value::size(&word.bytes, false));
    let size = size.ok_or_else(|| cx.complain("invalid value"))?;
    if size < 112 {
        return Err(Diagnostic::emerg("the pool size must be no less than 112"));
    }
    if size % 16 != 0 {
        return Err(Diagnostic::emerg("the pool size must be a multiple of 16"));
    }
    *slot = Some(size);
    Ok(())
}

fn connection_pool_size(cx: &mut Setting<'_>, conf: &mut ServerConf, statement: &Statement) -> Result<(), Diagnostic> {
    pool(cx, &mut conf.pools[0], statement)
}

fn request_pool_size(cx: &mut Setting<'_>, conf: &mut ServerConf, statement: &Statement) -> Result<(), Diagnostic> {
    pool(cx, &mut conf.pools[1], statement)
}
