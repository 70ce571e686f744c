//! `ngx_http_static_module`: files below `root` or `alias`; without rows of its own.

use crate::conf::bytes;
use crate::conf::diagnostic::Diagnostic;
use crate::conf::walk::Levels;
use crate::http::codec::h1::Method;
use crate::http::heart::handler::{Flow, Handler, Phase};
use crate::http::heart::module::{Compile, LocationBuilder, Module};
use crate::http::heart::request::Request;
use crate::http::heart::response::Content;
use crate::log::Level;
use crate::net::open_file::Opened;
use std::io;
use std::ops::Range;
use std::os::unix::fs::MetadataExt as _;
use std::rc::Rc;
use std::sync::Arc;

/// The module.
pub fn modules() -> Vec<Module> {
    vec![Module::new(MODULE).install(install)]
}

const MODULE: crate::conf::module::Module =
    crate::conf::module::Module { name: "ngx_http_static_module", directives: &[], scopes: &[] };

struct Static;

fn install(_: &Levels<'_>, place: &mut LocationBuilder, _: &mut Compile<'_, '_>) -> Result<(), Diagnostic> {
    place.step(Phase::Content, Static);
    Ok(())
}

impl Handler for Static {
    fn run<'r>(&'r self, request: &'r mut Request) -> Flow<'r> {
        match request.method {
            Method::Get | Method::Head | Method::Post => {}
            _ => return Flow::Finish(405),
        }
        if request.uri.ends_with(b"/") {
            return Flow::Next;
        }
        if request.lost_alias() {
            return Flow::Finish(500);
        }
        let path = request.file_path();
        let opened = match request.open_file(&path) {
            Ok(opened) => opened,
            Err(failed) => return Flow::Finish(refused(request, &path, failed.call, &failed.error)),
        };
        if opened.about.is_dir() {
            let uri = request.uri.clone();
            return Flow::Finish(slash(request, &uri));
        }
        if !opened.about.is_file() {
            request.log(Level::Crit, &format!("\"{}\" is not a regular file", bytes::text(&path)));
            return Flow::Finish(404);
        }
        if request.method == Method::Post {
            return Flow::Finish(405);
        }
        if let Err(status) = request.skip_body() {
            return Flow::Finish(status);
        }
        respond(request, opened);
        Flow::Done
    }
}

/// The status for a file that cannot be opened, logged as nginx logs it.
pub fn refused(request: &Request, path: &[u8], call: &str, error: &io::Error) -> u16 {
    let code = error.raw_os_error().unwrap_or_default();
    let (level, status) = match code {
        libc::ENOENT | libc::ENOTDIR | libc::ENAMETOOLONG => (Level::Error, 404),
        libc::EACCES | libc::EMLINK | libc::ELOOP => (Level::Error, 403),
        _ => (Level::Crit, 500),
    };
    if status != 404 || request.location.settings.log_not_found {
        let text = crate::conf::walk::errno(error);
        request.log(level, &format!("{call} \"{}\" failed ({text})", bytes::text(path)));
    }
    status
}

/// Redirects to the folder's name with a slash behind it.
pub fn slash(request: &mut Request, uri: &[u8]) -> u16 {
    let mut target = Vec::new();
    crate::http::codec::uri::escape(uri, crate::http::codec::uri::PATH, &mut target);
    target.push(b'/');
    if request.has_args && !request.args.is_empty() {
        target.push(b'?');
        target.extend_from_slice(&request.args);
    }
    request.response.redirect(&target);
    301
}

/// Opens the video a request names, whose handlers come before this one.
///
/// # Errors
/// How the request goes on where there is none.
pub fn video(request: &mut Request) -> Result<Rc<Opened>, Flow<'static>> {
    if !matches!(request.method, Method::Get | Method::Head) {
        return Err(Flow::Finish(405));
    }
    if request.uri.ends_with(b"/") {
        return Err(Flow::Next);
    }
    request.skip_body().map_err(Flow::Finish)?;
    if request.lost_alias() {
        return Err(Flow::Finish(500));
    }
    let path = request.file_path();
    let opened = request.open_file(&path);
    let opened = opened.map_err(|failed| Flow::Finish(refused(request, &path, failed.call, &failed.error)))?;
    if opened.about.is_file() { Ok(opened) } else { Err(Flow::Next) }
}

/// Puts bytes and a part of a file into a response that was the whole file.
pub fn respond_part(request: &mut Request, opened: Rc<Opened>, before: Vec<u8>, part: Range<u64>) {
    let length = before.len() as u64 + part.end - part.start;
    let response = &mut request.response;
    response.length = Some(length);
    if !response.etag.is_empty() {
        response.clear_etag();
        response.set_etag(format!("\"{:x}-{length:x}\"", opened.about.mtime()).as_bytes());
    }
    response.content = Content::File(opened, vec![(before, part)], Vec::new());
}

/// Makes a file the response.
pub fn respond(request: &mut Request, opened: Rc<Opened>) {
    set_content_type(request);
    let about = &opened.about;
    let etag = request.location.settings.etag;
    let response = &mut request.response;
    response.status = 200;
    response.length = Some(about.len());
    response.last_modified = Some(about.mtime());
    response.ranges = true;
    if etag {
        response.set_etag(format!("\"{:x}-{:x}\"", about.mtime(), about.len()).as_bytes());
    }
    response.content = if about.len() == 0 {
        Content::None
    } else {
        let whole = vec![(Vec::new(), 0..about.len())];
        Content::File(opened, whole, Vec::new())
    };
}

/// Puts the type of the path's extension into the response, unless it has one.
pub fn set_content_type(request: &mut Request) {
    if !request.response.content_type.is_empty() {
        return;
    }
    let mut kind = std::mem::take(&mut request.response.content_type);
    kind.extend_from_slice(&kind_of(request));
    request.response.content_type = kind;
}

/// The type of the path's extension.
fn kind_of(request: &Request) -> Arc<[u8]> {
    let settings = &request.location.settings;
    let name = request.uri.rsplit(|byte| *byte == b'/').next().unwrap_or_default();
    let extension = match memchr::memrchr(b'.', name) {
        Some(dot) => name.get(dot + 1..).unwrap_or_default(),
        None => b"",
    };
    if !extension.is_empty() {
        if let Some(kind) = settings.types.get(extension) {
            return kind.clone();
        }
        if let Some(kind) = settings.types.get(extension.to_ascii_lowercase().as_slice()) {
            return kind.clone();
        }
    }
    settings.default_type.clone()
}
