//! `ngx_http_index_module`: the file shown for a path that ends in a slash.

use crate::conf::bytes;
use crate::conf::diagnostic::Diagnostic;
use crate::conf::directive::{Arity, Directive};
use crate::conf::module::{Conf, Scope, inherit};
use crate::conf::slot::Custom;
use crate::conf::tree::{Statement, Word};
use crate::conf::walk::{Levels, Setting};
use crate::http::codec::h1::Method;
use crate::http::heart::handler::{Flow, Handler, Phase};
use crate::http::heart::module::{Compile, LocationBuilder, Module, Text};
use crate::http::heart::request::Request;
use crate::http::route::finish;
use crate::log::Level;
use crate::session::contexts::{HTTP_ANY, HTTP_LEVELS};
use crate::session::used;

/// The module.
pub fn modules() -> Vec<Module> {
    vec![Module::new(MODULE).install(install)]
}

const MODULE: crate::conf::module::Module = crate::conf::module::Module {
    name: "ngx_http_index_module",
    directives: &[Directive::new("index", HTTP_ANY, Arity::AtLeast(1), &Custom(index))
        .default("index.html")
        .doc("Sets the files shown for a folder: the first that is there; a path may stand last.")],
    scopes: &[Scope::of::<Indices>(HTTP_LEVELS)],
};

#[derive(Default)]
struct Indices {
    names: Vec<Word>,
}

impl Conf for Indices {
    fn inherit(&mut self, outer: &Self) {
        inherit!(self, outer; list names);
    }
}

struct Index {
    names: Vec<Text>,
}

fn install(levels: &Levels<'_>, place: &mut LocationBuilder, cx: &mut Compile<'_, '_>) -> Result<(), Diagnostic> {
    let Some(conf) = levels.get::<Indices>() else { return Ok(()) };
    let texts = |cx: &mut Compile<'_, '_>| conf.names.iter().map(|name| cx.text(name)).collect::<Result<_, _>>();
    let index = cx.once(conf, |cx| Ok(Index { names: texts(cx)? }))?;
    place.share(Phase::Content, index);
    Ok(())
}

impl Handler for Index {
    fn run<'r>(&'r self, request: &'r mut Request) -> Flow<'r> {
        if !request.uri.ends_with(b"/") || !matches!(request.method, Method::Get | Method::Head | Method::Post) {
            return Flow::Next;
        }
        if request.lost_alias() {
            return Flow::Finish(500);
        }
        let folder = request.file_path();
        let mut folder_seen = false;
        for name in &self.names {
            let name = name.text(request);
            if name.starts_with(b"/") {
                return restart(request, &name);
            }
            let mut path = folder.clone();
            path.extend_from_slice(&name);
            match request.file_info(&path) {
                Ok(_) => {
                    let mut uri = request.uri.clone();
                    uri.extend_from_slice(&name);
                    return restart(request, &uri);
                }
                Err(failed) => match failed.error.raw_os_error().unwrap_or_default() {
                    libc::EMLINK | libc::ELOOP => return Flow::Finish(403),
                    libc::ENOENT => {
                        if !std::mem::replace(&mut folder_seen, true)
                            && let Some(status) = missing_folder(request, &folder, &path)
                        {
                            return Flow::Finish(status);
                        }
                    }
                    libc::ENOTDIR | libc::ENAMETOOLONG | libc::EACCES => {
                        return Flow::Finish(unusable(request, &path, &failed.error));
                    }
                    _ => {
                        request.log_failed(Level::Crit, &path, &failed);
                        return Flow::Finish(500);
                    }
                },
            }
        }
        Flow::Next
    }
}

/// The status for an index file that cannot be looked at, logged as nginx logs it.
fn unusable(request: &Request, path: &[u8], error: &std::io::Error) -> u16 {
    let (shown, text) = (bytes::text(path), crate::conf::walk::errno(error));
    if error.raw_os_error() == Some(libc::EACCES) {
        request.log(Level::Error, &format!("\"{shown}\" is forbidden ({text})"));
        return 403;
    }
    if request.location.settings.log_not_found {
        request.log(Level::Error, &format!("\"{shown}\" is not found ({text})"));
    }
    404
}

/// The status where the folder of the index file `path` is none.
fn missing_folder(request: &Request, folder: &[u8], path: &[u8]) -> Option<u16> {
    let bare = folder.strip_suffix(b"/").unwrap_or(folder);
    let failed = match request.folder_info(bare) {
        Ok(about) if about.is_dir() => return None,
        Ok(_) => {
            request.log(Level::Alert, &format!("\"{}\" is not a directory", bytes::text(path)));
            return Some(500);
        }
        Err(failed) => failed,
    };
    match failed.error.raw_os_error() {
        Some(libc::EMLINK | libc::ELOOP) => Some(403),
        Some(libc::ENOENT) => Some(unusable(request, path, &failed.error)),
        Some(libc::EACCES) => None,
        _ => {
            request.log_failed(Level::Crit, bare, &failed);
            Some(500)
        }
    }
}

/// Sends the request to another path, with its arguments.
pub fn restart(request: &mut Request, uri: &[u8]) -> Flow<'static> {
    let (args, has) = (request.args.clone(), request.has_args);
    match finish::redirect(request, uri) {
        finish::Next::Send => Flow::Done,
        finish::Next::Restart(target) => {
            request.uri.clear();
            request.uri.extend_from_slice(uri);
            request.args = args;
            request.has_args = has;
            Flow::Restart(target)
        }
    }
}

fn index(cx: &mut Setting<'_>, conf: &mut Indices, statement: &Statement) -> Result<(), Diagnostic> {
    let last = statement.arguments().len().saturating_sub(1);
    for (at, word) in statement.arguments().iter().enumerate() {
        if word.bytes.is_empty() {
            // nginx names the first, whichever is empty.
            let first = statement.arguments().first().map(|word| word.text()).unwrap_or_default();
            let text = format!("index \"{first}\" in \"index\" directive is invalid");
            return Err(Diagnostic::emerg(text).point(word.span));
        }
        if word.bytes.starts_with(b"/") && at != last {
            cx.warn(statement, "only the last index in \"index\" directive should be absolute");
        }
        used::word(cx, word)?;
        conf.names.push(word.clone());
    }
    Ok(())
}
