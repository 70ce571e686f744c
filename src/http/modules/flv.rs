//! `ngx_http_flv_module`: Flash videos from a given byte on.

use crate::conf::diagnostic::Diagnostic;
use crate::conf::directive::{Arity, Directive};
use crate::conf::module::{Conf, Scope};
use crate::conf::slot::Custom;
use crate::conf::tree::Statement;
use crate::conf::value;
use crate::conf::walk::{Levels, Setting};
use crate::http::heart::handler::{Flow, Handler};
use crate::http::heart::module::{Compile, LocationBuilder, Module};
use crate::http::heart::request::Request;
use crate::http::modules::static_;
use crate::session::contexts::{HTTP_LEVELS, LOCATION};

/// The module.
pub fn modules() -> Vec<Module> {
    vec![Module::new(MODULE).install(install)]
}

const MODULE: crate::conf::module::Module = crate::conf::module::Module {
    name: "ngx_http_flv_module",
    directives: DIRECTIVES,
    scopes: &[Scope::of::<Flv>(HTTP_LEVELS)],
};

const DIRECTIVES: &[Directive] = &[Directive::new("flv", LOCATION, Arity::Exactly(0), &Custom(flv))
    .doc("Answers from the byte the argument start names.")];

/// Settings of the module.
#[derive(Default)]
struct Flv {
    here: bool,
}

impl Conf for Flv {
    fn inherit(&mut self, _: &Self) {}
}

fn flv(_: &mut Setting<'_>, conf: &mut Flv, _: &Statement) -> Result<(), Diagnostic> {
    conf.here = true;
    Ok(())
}

/// The head of a video whose begin is left out.
const HEAD: &[u8] = b"FLV\x01\x05\x00\x00\x00\x09\x00\x00\x00\x00";

/// `flv` at a place.
struct Video;

fn install(levels: &Levels<'_>, place: &mut LocationBuilder, _: &mut Compile<'_, '_>) -> Result<(), Diagnostic> {
    if levels.level.own::<Flv>().is_some_and(|conf| conf.here) {
        place.content(Video);
    }
    Ok(())
}

impl Handler for Video {
    fn run<'r>(&'r self, request: &'r mut Request) -> Flow<'r> {
        let opened = match static_::video(request) {
            Ok(opened) => opened,
            Err(flow) => return flow,
        };
        let size = opened.about.len();
        let start = request.argument(b"start").and_then(value::number).filter(|start| (1..size).contains(start));
        static_::respond(request, opened.clone());
        if let Some(start) = start {
            static_::respond_part(request, opened, HEAD.to_vec(), start..size);
        }
        Flow::Done
    }
}
