//! `ngx_http_dav_module`: files changed by PUT, DELETE, MKCOL, COPY and MOVE.

mod collection;
mod tree;

use crate::conf::bytes;
use crate::conf::diagnostic::Diagnostic;
use crate::conf::directive::{Arity, Directive};
use crate::conf::module::{Conf, Merged as _, Scope, inherit};
use crate::conf::slot::{Flag, Mask, Number};
use crate::conf::walk::Levels;
use crate::http::codec::uri;
use crate::http::heart::handler::{Explain, Flow, Handler, Phase};
use crate::http::heart::module::{Compile, LocationBuilder, Module};
use crate::http::heart::request::Request;
use crate::http::heart::trace::Trace;
use crate::http::route::rename::{self, folder_access, log_failure, make_folder, os};
use crate::log::Level;
use crate::log::clock::parse_http_date;
use crate::session::contexts::{HTTP_ANY, HTTP_LEVELS};
use crate::session::slot::Access;
use std::io;
use std::time::{Duration, SystemTime};

/// The module.
pub fn modules() -> Vec<Module> {
    vec![Module::new(MODULE).install(install)]
}

const MODULE: crate::conf::module::Module = crate::conf::module::Module {
    name: "ngx_http_dav_module",
    directives: DIRECTIVES,
    scopes: &[Scope::of::<Dav>(HTTP_LEVELS)],
};

const DIRECTIVES: &[Directive] = &[
    Directive::new("dav_methods", HTTP_ANY, Arity::AtLeast(1), &Mask(|c: &mut Dav| &mut c.dav_methods, METHODS))
        .default("off")
        .doc("Sets the methods that may change files."),
    Directive::new("create_full_put_path", HTTP_ANY, Arity::Flag, &Flag(|c: &mut Dav| &mut c.create_full_put_path))
        .default("off")
        .doc("Makes the folders a file is put into."),
    Directive::new(
        "min_delete_depth",
        HTTP_ANY,
        Arity::Exactly(1),
        &Number(|c: &mut Dav| &mut c.min_delete_depth, 0..=u64::MAX),
    )
    .default("0")
    .doc("Refuses to delete what lies less deep."),
    Directive::new("dav_access", HTTP_ANY, Arity::Between(1, 3), &Access(|c: &mut Dav| &mut c.dav_access))
        .default("user:rw")
        .doc("Sets the rights of files and folders that are made."),
];

const METHODS: &[(&str, u32)] = &[("off", 1), ("put", 2), ("delete", 4), ("mkcol", 8), ("copy", 16), ("move", 32)];

/// Settings of the module.
#[derive(Default)]
struct Dav {
    dav_methods: Option<u32>,
    create_full_put_path: Option<bool>,
    min_delete_depth: Option<u64>,
    dav_access: Option<u32>,
}

impl Conf for Dav {
    fn inherit(&mut self, outer: &Self) {
        inherit!(self, outer; dav_methods, create_full_put_path, min_delete_depth, dav_access);
    }
}

fn install(levels: &Levels<'_>, place: &mut LocationBuilder, _: &mut Compile<'_, '_>) -> Result<(), Diagnostic> {
    let Some(conf) = levels.get::<Dav>() else { return Ok(()) };
    let methods = conf.dav_methods.merged()?;
    if methods & !1 != 0 {
        place.step(
            Phase::Content,
            Files {
                methods,
                full_path: conf.create_full_put_path.merged()?,
                min_depth: conf.min_delete_depth.merged()?,
                access: conf.dav_access.merged()?,
            },
        );
    }
    Ok(())
}

/// `dav_methods` at a place.
struct Files {
    methods: u32,
    full_path: bool,
    min_depth: u64,
    /// The rights of a file; a folder may be entered by those who may read it.
    access: u32,
}

/// What a request asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Method {
    Put,
    Delete,
    Mkcol,
    Copy,
    Move,
}

/// How deep a request goes (RFC 4918 §10.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Depth {
    Zero,
    One,
    Infinity,
}

impl Files {
    /// The method of a request, where it is served.
    fn method(&self, request: &Request) -> Option<Method> {
        let (method, name) = match request.method_name() {
            b"PUT" => (Method::Put, "put"),
            b"DELETE" => (Method::Delete, "delete"),
            b"MKCOL" => (Method::Mkcol, "mkcol"),
            b"COPY" => (Method::Copy, "copy"),
            b"MOVE" => (Method::Move, "move"),
            _ => return None,
        };
        METHODS.iter().any(|(known, bit)| *known == name && self.methods & bit != 0).then_some(method)
    }
}

impl Handler for Files {
    fn run<'r>(&'r self, request: &'r mut Request) -> Flow<'r> {
        let Some(method) = self.method(request) else { return Flow::Next };
        let outcome = match method {
            Method::Put => {
                if let Err(status) = check_put(request) {
                    return Flow::Finish(status);
                }
                return Flow::Wait(Box::pin(async move {
                    match self.put(request).await {
                        Ok(status) => {
                            request.response.status = status;
                            request.response.length = (status == 201).then_some(0);
                            Flow::Done
                        }
                        Err(status) => Flow::Finish(status),
                    }
                }));
            }
            Method::Delete => self.delete(request),
            Method::Mkcol => self.mkcol(request),
            Method::Copy | Method::Move => self.copy_or_move(request, method),
        };
        Flow::Finish(outcome.unwrap_or_else(|status| status))
    }

    fn explains(&self) -> Option<&dyn Explain> {
        Some(self)
    }
}

impl Explain for Files {
    fn explain(&self, request: &mut Request, trace: &mut Trace) -> Option<Flow<'static>> {
        let method = self.method(request);
        if let Some(method) = method {
            trace.notes("dav", format!("{method:?} changes {}", bytes::text(&request.file_path())));
            request.response.status = if method == Method::Mkcol { 201 } else { 204 };
        }
        Some(if method.is_some() { Flow::Done } else { Flow::Next })
    }
}

/// Whether a file can be put.
fn check_put(request: &Request) -> Result<(), u16> {
    if request.uri.ends_with(b"/") {
        request.log(Level::Error, "cannot PUT to a collection");
        return Err(409);
    }
    if request.header(crate::http::heart::head::Known::ContentRange).is_some() {
        request.log(Level::Error, "PUT with range is unsupported");
        return Err(501);
    }
    Ok(())
}

/// A path as the system takes it.
/// The status for a call that failed, logged as nginx logs it; `not_found` where there is nothing of that name.
fn failed(request: &Request, call: &str, path: &[u8], error: &io::Error, not_found: u16) -> u16 {
    let (level, status) = match error.raw_os_error().unwrap_or_default() {
        libc::ENOENT | libc::ENOTDIR | libc::ENAMETOOLONG => (Level::Error, not_found),
        libc::EACCES | libc::EPERM => (Level::Error, 403),
        libc::EEXIST => (Level::Error, 405),
        libc::ENOSPC => (Level::Crit, 507),
        _ => (Level::Crit, 500),
    };
    log_failure(request, level, call, path, error);
    status
}

impl Files {
    /// Puts the body where the path leads; 201 for a new file, 204 for one that was there.
    async fn put(&self, request: &mut Request) -> Result<u16, u16> {
        if !request.body.is_announced() {
            request.log(Level::Error, "PUT request body must be in a file");
            return Err(500);
        }
        let (file, temp) = request.body_in_file().await?;
        let temp = bytes::raw(&temp).into_owned();
        let remove = |request: &Request| {
            if let Err(error) = std::fs::remove_file(os(&temp)) {
                log_failure(request, Level::Crit, "unlink()", &temp, &error);
            }
        };
        if request.lost_alias() {
            remove(request);
            return Err(500);
        }
        let path = request.file_path();
        let about = std::fs::metadata(os(&path));
        if about.as_ref().is_ok_and(std::fs::Metadata::is_dir) {
            let text = crate::conf::walk::errno(&io::Error::from_raw_os_error(libc::EISDIR));
            request.log(Level::Error, &format!("\"{}\" could not be created ({text})", bytes::text(&path)));
            remove(request);
            return Err(409);
        }
        let date = request.head.named(b"date").next().and_then(parse_http_date);
        if let Some(date) = date.and_then(|date| u64::try_from(date).ok()) {
            let date = SystemTime::UNIX_EPOCH + Duration::from_secs(date);
            if let Err(error) = file.set_times(std::fs::FileTimes::new().set_accessed(date).set_modified(date)) {
                log_failure(request, Level::Crit, "utimes()", &temp, &error);
                remove(request);
                return Err(500);
            }
        }
        let renamed = rename::Rename { access: Some(self.access), folders: self.full_path.then_some(self.access) };
        if let Err(rename::Failed) = renamed.run(request, &temp, &path) {
            remove(request);
            return Err(500);
        }
        if about.is_ok() {
            return Ok(204);
        }
        say_location(request);
        Ok(201)
    }

    /// Makes a folder.
    fn mkcol(&self, request: &mut Request) -> Result<u16, u16> {
        refuse_body(request, "MKCOL with body is unsupported")?;
        if !request.uri.ends_with(b"/") {
            request.log(Level::Error, "MKCOL can create a collection only");
            return Err(409);
        }
        if request.lost_alias() {
            return Err(500);
        }
        let mut path = request.file_path();
        path.pop();
        make_folder(&path, folder_access(self.access))
            .map_err(|error| failed(request, "mkdir()", &path, &error, 409))?;
        say_location(request);
        Ok(201)
    }
}

/// 415 where the request has a body.
fn refuse_body(request: &Request, text: &str) -> Result<(), u16> {
    if request.body.announced().is_some_and(|length| length > 0) || request.body.is_chunked() {
        request.log(Level::Error, text);
        return Err(415);
    }
    Ok(())
}

/// Says where the new resource is.
fn say_location(request: &mut Request) {
    let mut target = Vec::new();
    uri::escape(&request.uri, uri::PATH, &mut target);
    request.response.redirect(&target);
}

/// The Depth header; what is there instead is logged.
fn depth(request: &Request, usual: Depth) -> Option<Depth> {
    let Some(value) = request.head.named(b"depth").next() else { return Some(usual) };
    match value {
        b"0" => Some(Depth::Zero),
        b"1" => Some(Depth::One),
        b"infinity" => Some(Depth::Infinity),
        value => {
            let shown = bytes::text(value);
            request.log(Level::Error, &format!("client sent invalid \"Depth\" header: \"{shown}\""));
            None
        }
    }
}
