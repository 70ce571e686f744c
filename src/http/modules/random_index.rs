//! `ngx_http_random_index_module`: any file of a folder.

use crate::conf::bytes;
use crate::conf::diagnostic::Diagnostic;
use crate::conf::directive::{Arity, Directive};
use crate::conf::module::{Conf, Scope, inherit};
use crate::conf::slot::Flag;
use crate::conf::walk::Levels;
use crate::http::codec::h1::Method;
use crate::http::heart::handler::{Flow, Handler, Phase};
use crate::http::heart::module::{Compile, LocationBuilder, Module};
use crate::http::heart::request::Request;
use crate::http::modules::autoindex;
use crate::http::modules::index::restart;
use crate::log::Level;
use crate::session::contexts::{HTTP_LEVELS, LOCATION};
use std::hash::{BuildHasher as _, Hasher as _};
use std::os::unix::ffi::OsStrExt as _;

/// The module.
pub fn modules() -> Vec<Module> {
    vec![Module::new(MODULE).install(install)]
}

const MODULE: crate::conf::module::Module = crate::conf::module::Module {
    name: "ngx_http_random_index_module",
    directives: DIRECTIVES,
    scopes: &[Scope::of::<RandomIndex>(HTTP_LEVELS)],
};

const DIRECTIVES: &[Directive] =
    &[Directive::new("random_index", LOCATION, Arity::Flag, &Flag(|c: &mut RandomIndex| &mut c.random_index))
        .default("off")
        .doc("Answers requests that end in a slash with a file chosen by lot.")];

/// Settings of the module.
#[derive(Default)]
struct RandomIndex {
    random_index: Option<bool>,
}

impl Conf for RandomIndex {
    fn inherit(&mut self, outer: &Self) {
        inherit!(self, outer; random_index);
    }
}

/// `random_index on` at a place.
struct Lot;

fn install(levels: &Levels<'_>, place: &mut LocationBuilder, _: &mut Compile<'_, '_>) -> Result<(), Diagnostic> {
    if levels.get::<RandomIndex>().is_some_and(|conf| conf.random_index == Some(true)) {
        place.step(Phase::Content, Lot);
    }
    Ok(())
}

impl Handler for Lot {
    fn run<'r>(&'r self, request: &'r mut Request) -> Flow<'r> {
        if !request.uri.ends_with(b"/") || !matches!(request.method, Method::Get | Method::Head | Method::Post) {
            return Flow::Next;
        }
        if request.lost_alias() {
            return Flow::Finish(500);
        }
        let path = request.file_path();
        let folder = path.strip_suffix(b"/").unwrap_or(&path);
        let names = match names(request, folder) {
            Ok(names) => names,
            Err(status) => return Flow::Finish(status),
        };
        let mut hasher = request.connection.loop_state.random.build_hasher();
        hasher.write_u64(request.connection.number);
        hasher.write_u64(request.serial);
        hasher.write_u128(request.event_loop().clock.now().as_nanos());
        let lot = ((u128::from(hasher.finish()) * names.len() as u128) >> 64) as usize;
        let Some(name) = names.get(lot) else { return Flow::Next };
        let uri = [request.uri.as_slice(), name].concat();
        restart(request, &uri)
    }
}

/// The names of the files in a folder, but hidden ones.
fn names(request: &Request, folder: &[u8]) -> Result<Vec<Vec<u8>>, u16> {
    let mut names = Vec::new();
    for entry in autoindex::open(request, folder)? {
        let entry = entry.map_err(|error| autoindex::unreadable(request, folder, &error))?;
        let name = entry.file_name();
        if name.as_bytes().starts_with(b".") {
            continue;
        }
        let kind = match entry.file_type() {
            Ok(kind) if !kind.is_symlink() => kind,
            _ => match std::fs::metadata(entry.path()) {
                Ok(about) => about.file_type(),
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => continue,
                Err(error) => {
                    let (path, text) = (entry.path(), crate::conf::walk::errno(&error));
                    let shown = bytes::text(path.as_os_str().as_bytes());
                    request.log(Level::Crit, &format!("stat() \"{shown}\" failed ({text})"));
                    return Err(500);
                }
            },
        };
        if kind.is_file() {
            names.push(name.as_bytes().to_vec());
        }
    }
    Ok(names)
}
