//! `ngx_http_autoindex_module`: listings of folders.

mod listing;

use crate::conf::bytes;
use crate::conf::diagnostic::Diagnostic;
use crate::conf::directive::{Arity, Directive};
use crate::conf::module::{Conf, Merged as _, Scope, inherit};
use crate::conf::slot::{Choice, Flag};
use crate::conf::walk::Levels;
use crate::http::codec::h1::Method;
use crate::http::heart::filter::Then;
use crate::http::heart::handler::{Explain, Flow, Handler, Phase};
use crate::http::heart::module::{Compile, LocationBuilder, Module};
use crate::http::heart::request::Request;
use crate::http::heart::response::Content;
use crate::http::heart::trace::Trace;
use crate::http::modules::charset;
use crate::log::Level;
use crate::session::contexts::{HTTP_ANY, HTTP_LEVELS};
use listing::{Entry, Kind};
use std::fs::{ReadDir, read_dir};
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::MetadataExt as _;

/// The module.
pub fn modules() -> Vec<Module> {
    vec![Module::new(MODULE).install(install)]
}

const MODULE: crate::conf::module::Module = crate::conf::module::Module {
    name: "ngx_http_autoindex_module",
    directives: DIRECTIVES,
    scopes: &[Scope::of::<Autoindex>(HTTP_LEVELS)],
};

const DIRECTIVES: &[Directive] = &[
    Directive::new("autoindex", HTTP_ANY, Arity::Flag, &Flag(|c: &mut Autoindex| &mut c.autoindex))
        .default("off")
        .doc("Lists folders that have no index file."),
    Directive::new(
        "autoindex_format",
        HTTP_ANY,
        Arity::Exactly(1),
        &Choice(|c: &mut Autoindex| &mut c.autoindex_format, FORMATS),
    )
    .default("html")
    .since("1.7.9")
    .doc("Sets the format of listings."),
    Directive::new("autoindex_localtime", HTTP_ANY, Arity::Flag, &Flag(|c: &mut Autoindex| &mut c.autoindex_localtime))
        .default("off")
        .doc("Shows times of the server's zone instead of UTC."),
    Directive::new(
        "autoindex_exact_size",
        HTTP_ANY,
        Arity::Flag,
        &Flag(|c: &mut Autoindex| &mut c.autoindex_exact_size),
    )
    .default("on")
    .doc("Shows sizes in bytes instead of rounded."),
];

/// A format of listings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// A page.
    Html,
    /// A list of objects.
    Json,
    /// The same as the argument of a function the client names.
    Jsonp,
    /// A list of elements.
    Xml,
}

const FORMATS: &[(&str, Format)] =
    &[("html", Format::Html), ("json", Format::Json), ("jsonp", Format::Jsonp), ("xml", Format::Xml)];

/// Settings of the module.
#[derive(Default)]
struct Autoindex {
    autoindex: Option<bool>,
    autoindex_format: Option<Format>,
    autoindex_localtime: Option<bool>,
    autoindex_exact_size: Option<bool>,
}

impl Conf for Autoindex {
    fn inherit(&mut self, outer: &Self) {
        inherit!(self, outer; autoindex, autoindex_format, autoindex_localtime, autoindex_exact_size);
    }
}

/// `autoindex on` at a place.
struct Lister {
    format: Format,
    local: bool,
    exact: bool,
}

fn install(levels: &Levels<'_>, place: &mut LocationBuilder, _: &mut Compile<'_, '_>) -> Result<(), Diagnostic> {
    let Some(conf) = levels.get::<Autoindex>().filter(|conf| conf.autoindex == Some(true)) else { return Ok(()) };
    place.step(
        Phase::Content,
        Lister {
            format: conf.autoindex_format.merged()?,
            local: conf.autoindex_localtime.merged()?,
            exact: conf.autoindex_exact_size.merged()?,
        },
    );
    Ok(())
}

impl Lister {
    fn suits(request: &Request) -> bool {
        request.uri.ends_with(b"/") && matches!(request.method, Method::Get | Method::Head)
    }
}

impl Handler for Lister {
    fn run<'r>(&'r self, request: &'r mut Request) -> Flow<'r> {
        if !Self::suits(request) {
            return Flow::Next;
        }
        if let Err(status) = request.skip_body() {
            return Flow::Finish(status);
        }
        if request.lost_alias() {
            return Flow::Finish(500);
        }
        let mut path = request.file_path();
        if path.len() > 1 {
            path.pop();
        }
        let (format, callback) = match (self.format, callback(request)) {
            (Format::Jsonp, Err(Refused)) => return Flow::Finish(400),
            (Format::Jsonp, Ok(None)) => (Format::Json, None),
            (Format::Jsonp, Ok(name)) => (Format::Jsonp, name),
            (format, _) => (format, None),
        };
        let folder = match open(request, &path) {
            Ok(folder) => folder,
            Err(status) => return Flow::Finish(status),
        };
        Flow::Wait(Box::pin(async move {
            self.list(request, (&path, folder), format, callback.as_deref()).await;
            Flow::Done
        }))
    }

    fn explains(&self) -> Option<&dyn Explain> {
        Some(self)
    }
}

impl Explain for Lister {
    fn explain(&self, request: &mut Request, trace: &mut Trace) -> Option<Flow<'static>> {
        if !Self::suits(request) {
            return Some(Flow::Next);
        }
        trace.notes("autoindex", format!("lists {}", bytes::text(&request.file_path())));
        request.response.status = 200;
        Some(Flow::Done)
    }
}

impl Lister {
    /// Sends the head, whose charset says how long names are, and then the listing.
    async fn list(
        &self,
        request: &mut Request,
        (path, folder): (&[u8], ReadDir),
        format: Format,
        callback: Option<&[u8]>,
    ) {
        let response = &mut request.response;
        let kind: &[u8] = match format {
            Format::Html => b"text/html",
            Format::Json => b"application/json",
            Format::Jsonp => b"application/javascript",
            Format::Xml => b"text/xml; charset=utf-8",
        };
        response.status = 200;
        response.content_type.clear();
        response.content_type.extend_from_slice(kind);
        response.content = Content::Streamed;
        request.start();
        let Ok(mut entries) = entries(request, path, folder) else {
            request.cut();
            return;
        };
        entries.sort_by(|a, b| {
            let order = |entry: &Entry| entry.kind != Kind::Folder;
            (order(a), &a.name).cmp(&(order(b), &b.name))
        });
        let charset = charset::parameter(&request.response.content_type);
        let utf8 = charset.is_some_and(|(_, name)| name.eq_ignore_ascii_case(b"utf-8"));
        let now = request.event_loop().clock.now().as_secs() as i64;
        let offset = if self.local { i64::from(crate::sys::time::offset(now)) } else { 0 };
        let text = match format {
            Format::Html => listing::html(&request.uri, &entries, utf8, offset, self.exact),
            Format::Json => listing::json(&entries, None),
            Format::Jsonp => listing::json(&entries, callback),
            Format::Xml => listing::xml(&entries),
        };
        request.take(&text, Then::Last);
        request.response.complete = request.response.head_only || request.response.complete;
        request.flush().await;
    }
}

/// A callback's name that is not one.
struct Refused;

/// The function a client names for JSONP.
fn callback(request: &Request) -> Result<Option<Vec<u8>>, Refused> {
    let Some(name) = request.argument(b"callback").filter(|name| !name.is_empty()) else { return Ok(None) };
    let shown = bytes::text(name);
    if name.len() > 128 {
        request.log(Level::Info, &format!("client sent too long callback name: \"{shown}\""));
        return Err(Refused);
    }
    if !name.iter().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.')) {
        request.log(Level::Info, &format!("client sent invalid callback name: \"{shown}\""));
        return Err(Refused);
    }
    Ok(Some(name.to_vec()))
}

/// Opens a folder.
///
/// # Errors
/// The status to answer with.
pub fn open(request: &Request, path: &[u8]) -> Result<ReadDir, u16> {
    read_dir(std::ffi::OsStr::from_bytes(path)).map_err(|error| {
        let (level, status) = match error.raw_os_error().unwrap_or_default() {
            libc::ENOENT | libc::ENOTDIR | libc::ENAMETOOLONG => (Level::Error, 404),
            libc::EACCES => (Level::Error, 403),
            _ => (Level::Crit, 500),
        };
        let text = crate::conf::walk::errno(&error);
        request.log(level, &format!("opendir() \"{}\" failed ({text})", bytes::text(path)));
        status
    })
}

/// The status for a folder that cannot be read to its end.
pub fn unreadable(request: &Request, path: &[u8], error: &io::Error) -> u16 {
    let text = crate::conf::walk::errno(error);
    request.log(Level::Crit, &format!("readdir() \"{}\" failed ({text})", bytes::text(path)));
    500
}

/// What is in a folder, but hidden names and what may not be looked at.
fn entries(request: &Request, path: &[u8], folder: ReadDir) -> Result<Vec<Entry>, u16> {
    let mut entries = Vec::new();
    for entry in folder {
        let entry = entry.map_err(|error| unreadable(request, path, &error))?;
        let name = entry.file_name().as_bytes().to_vec();
        if name.starts_with(b".") {
            continue;
        }
        let place = entry.path();
        let failed = |call: &str, error: &io::Error| {
            let text = crate::conf::walk::errno(error);
            let shown = bytes::text(place.as_os_str().as_bytes());
            request.log(Level::Crit, &format!("{call} \"{shown}\" failed ({text})"));
        };
        let about = match std::fs::metadata(&place) {
            Ok(about) => about,
            Err(error) => match error.raw_os_error() {
                Some(libc::ENOENT | libc::ELOOP) => std::fs::symlink_metadata(&place).map_err(|error| {
                    failed("lstat()", &error);
                    500_u16
                })?,
                code => {
                    failed("stat()", &error);
                    if code == Some(libc::EACCES) {
                        continue;
                    }
                    return Err(500);
                }
            },
        };
        let kind = match about.file_type() {
            kind if kind.is_dir() => Kind::Folder,
            kind if kind.is_file() => Kind::File,
            _ => Kind::Other,
        };
        entries.push(Entry { name, kind, mtime: about.mtime(), size: about.len() });
    }
    Ok(entries)
}
