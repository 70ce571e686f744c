//! `ngx_http_gzip_static_module`: files that were compressed before.

use crate::conf::bytes;
use crate::conf::diagnostic::Diagnostic;
use crate::conf::directive::{Arity, Directive};
use crate::conf::module::{Conf, Scope, inherit};
use crate::conf::slot::Choice;
use crate::conf::walk::Levels;
use crate::http::codec::h1::Method;
use crate::http::heart::handler::{Flow, Handler, Phase};
use crate::http::heart::module::{Compile, LocationBuilder, Module};
use crate::http::heart::request::Request;
use crate::http::heart::response::Coding;
use crate::http::modules::coding;
use crate::http::modules::gzip;
use crate::http::modules::gzip::Clients;
use crate::http::modules::static_;
use crate::log::Level;
use crate::session::contexts::{HTTP_ANY, HTTP_LEVELS};
use std::sync::Arc;

/// The module.
pub fn modules() -> Vec<Module> {
    vec![Module::new(MODULE).install(install)]
}

const MODULE: crate::conf::module::Module = crate::conf::module::Module {
    name: "ngx_http_gzip_static_module",
    directives: DIRECTIVES,
    scopes: &[Scope::of::<GzipStatic>(HTTP_LEVELS)],
};

const DIRECTIVES: &[Directive] = &[Directive::new(
    "gzip_static",
    HTTP_ANY,
    Arity::Exactly(1),
    &Choice(|c: &mut GzipStatic| &mut c.gzip_static, WHEN),
)
.default("off")
.doc("Answers with the file whose name has .gz added, for clients that take it or always.")];

/// The words of `gzip_static` and its like.
pub const WHEN: &[(&str, u8)] = &[("off", 0), ("on", 1), ("always", 2)];

/// Settings of the module.
#[derive(Default)]
struct GzipStatic {
    gzip_static: Option<u8>,
}

impl Conf for GzipStatic {
    fn inherit(&mut self, outer: &Self) {
        inherit!(self, outer; gzip_static);
    }
}

fn install(levels: &Levels<'_>, place: &mut LocationBuilder, cx: &mut Compile<'_, '_>) -> Result<(), Diagnostic> {
    let when = levels.get::<GzipStatic>().and_then(|conf| conf.gzip_static).unwrap_or_default();
    if when != 0 {
        place.step(Phase::Content, Compressed::new(Coding::Gzip, when == 2, gzip::clients(levels, cx)?));
    }
    Ok(())
}

/// What is added to the name of a file that was compressed.
const fn suffix(coding: Coding) -> &'static [u8] {
    match coding {
        Coding::Gzip => b".gz",
        Coding::Brotli => b".br",
        Coding::Zstd => b".zst",
    }
}

/// `gzip_static` or its like at a place.
pub struct Compressed {
    coding: Coding,
    always: bool,
    clients: Arc<Clients>,
}

impl Compressed {
    /// The handler of a place.
    pub const fn new(coding: Coding, always: bool, clients: Arc<Clients>) -> Self {
        Self { coding, always, clients }
    }
}

impl Handler for Compressed {
    fn run<'r>(&'r self, request: &'r mut Request) -> Flow<'r> {
        if !matches!(request.method, Method::Get | Method::Head) || request.uri.ends_with(b"/") {
            return Flow::Next;
        }
        let suits = self.always
            || match self.coding {
                Coding::Gzip => self.clients.suit(request),
                other => coding::suits(request, other),
            };
        if !suits && !self.clients.vary {
            return Flow::Next;
        }
        if request.lost_alias() {
            return Flow::Finish(500);
        }
        let mut path = request.file_path();
        path.extend_from_slice(suffix(self.coding));
        let opened = match request.open_file(&path) {
            Ok(opened) => opened,
            Err(failed) => {
                let level = match failed.error.raw_os_error().unwrap_or_default() {
                    libc::ENOENT | libc::ENOTDIR | libc::ENAMETOOLONG => return Flow::Next,
                    libc::EACCES | libc::EMLINK | libc::ELOOP => Level::Error,
                    _ => Level::Crit,
                };
                request.log_failed(level, &path, &failed);
                return Flow::Next;
            }
        };
        if !self.always {
            request.response.vary |= self.clients.vary;
            if !suits {
                return Flow::Next;
            }
        }
        if opened.about.is_dir() {
            return Flow::Next;
        }
        if !opened.about.is_file() {
            request.log(Level::Crit, &format!("\"{}\" is not a regular file", bytes::text(&path)));
            return Flow::Finish(404);
        }
        if let Err(status) = request.skip_body() {
            return Flow::Finish(status);
        }
        static_::respond(request, opened);
        request.response.headers.add(b"Content-Encoding", self.coding.name());
        request.response.ranges &= self.coding == Coding::Gzip;
        Flow::Done
    }
}
