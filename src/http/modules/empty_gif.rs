//! `ngx_http_empty_gif_module`: one transparent pixel.

use crate::conf::diagnostic::Diagnostic;
use crate::conf::directive::{Arity, Directive};
use crate::conf::module::{Conf, Scope};
use crate::conf::slot::Custom;
use crate::conf::tree::Statement;
use crate::conf::walk::{Levels, Setting};
use crate::http::codec::h1::Method;
use crate::http::heart::handler::{Flow, Handler};
use crate::http::heart::module::{Compile, LocationBuilder, Module};
use crate::http::heart::request::Request;
use crate::session::contexts::{HTTP_LEVELS, LOCATION};
use std::borrow::Cow;

/// The module.
pub fn modules() -> Vec<Module> {
    vec![Module::new(MODULE).install(install)]
}

const MODULE: crate::conf::module::Module = crate::conf::module::Module {
    name: "ngx_http_empty_gif_module",
    directives: DIRECTIVES,
    scopes: &[Scope::of::<EmptyGif>(HTTP_LEVELS)],
};

const DIRECTIVES: &[Directive] = &[Directive::new("empty_gif", LOCATION, Arity::Exactly(0), &Custom(empty_gif))
    .doc("Answers with a picture of one transparent pixel.")];

/// Settings of the module.
#[derive(Default)]
struct EmptyGif {
    here: bool,
}

impl Conf for EmptyGif {
    fn inherit(&mut self, _: &Self) {}
}

fn empty_gif(_: &mut Setting<'_>, conf: &mut EmptyGif, _: &Statement) -> Result<(), Diagnostic> {
    conf.here = true;
    Ok(())
}

/// The picture: GIF89a, one pixel of two colours, of which the second is transparent.
const PIXEL: &[u8; 43] = b"GIF89a\x01\x00\x01\x00\x80\x01\x00\x00\x00\x00\xff\xff\xff\x21\xf9\x04\x01\x00\x00\x01\x00\
\x2c\x00\x00\x00\x00\x01\x00\x01\x00\x00\x02\x02\x4c\x01\x00\x3b";

/// The Last-Modified of the picture: the first second of 28 September 1970.
const MADE: i64 = 23_349_600;

/// `empty_gif` at a place.
struct Pixel;

fn install(levels: &Levels<'_>, place: &mut LocationBuilder, _: &mut Compile<'_, '_>) -> Result<(), Diagnostic> {
    if levels.level.own::<EmptyGif>().is_some_and(|conf| conf.here) {
        place.content(Pixel);
    }
    Ok(())
}

impl Handler for Pixel {
    fn run<'r>(&'r self, request: &'r mut Request) -> Flow<'r> {
        if !matches!(request.method, Method::Get | Method::Head) {
            return Flow::Finish(405);
        }
        if let Err(status) = request.skip_body() {
            return Flow::Finish(status);
        }
        request.response.set(200, b"image/gif", Cow::Borrowed(PIXEL));
        request.response.last_modified = Some(MADE);
        Flow::Done
    }
}
