//! `ngx_http_mp4_module`: MP4 videos from a given second on. Checked, not served yet.

use crate::conf::diagnostic::Diagnostic;
use crate::conf::directive::{Arity, Directive};
use crate::conf::effect::Need;
use crate::conf::module::{Conf, Scope, inherit};
use crate::conf::slot::{Custom, Flag, Size};
use crate::conf::tree::Statement;
use crate::conf::walk::Setting;
use crate::http::heart::module::Module;
use crate::session::contexts::{HTTP_ANY, HTTP_LEVELS, LOCATION};

/// The module.
pub fn modules() -> Vec<Module> {
    vec![Module::new(MODULE)]
}

const MODULE: crate::conf::module::Module = crate::conf::module::Module {
    name: "ngx_http_mp4_module",
    directives: DIRECTIVES,
    scopes: &[Scope::of::<Mp4>(HTTP_LEVELS)],
};

const DIRECTIVES: &[Directive] = &[
    Directive::checked("mp4", LOCATION, Arity::Exactly(0), &Custom(mp4))
        .doc("Answers from the second the argument start names to the one end names."),
    Directive::checked("mp4_buffer_size", HTTP_ANY, Arity::Exactly(1), &Size(|c: &mut Mp4| &mut c.buffer_size))
        .default("512k")
        .needs(Need::Rows(&["mp4"]))
        .doc("Sets the first size of the buffer for a video's tables."),
    Directive::checked("mp4_max_buffer_size", HTTP_ANY, Arity::Exactly(1), &Size(|c: &mut Mp4| &mut c.max_buffer_size))
        .default("10m")
        .needs(Need::Rows(&["mp4"]))
        .doc("Sets how large that buffer may get."),
    Directive::checked("mp4_start_key_frame", HTTP_ANY, Arity::Flag, &Flag(|c: &mut Mp4| &mut c.start_key_frame))
        .default("off")
        .since("1.21.4")
        .needs(Need::Rows(&["mp4"]))
        .doc("Begins at a key frame."),
];

/// Settings of the module.
#[derive(Default)]
struct Mp4 {
    buffer_size: Option<u64>,
    max_buffer_size: Option<u64>,
    start_key_frame: Option<bool>,
    here: bool,
}

impl Conf for Mp4 {
    fn inherit(&mut self, outer: &Self) {
        inherit!(self, outer; buffer_size, max_buffer_size, start_key_frame);
    }
}

fn mp4(_: &mut Setting<'_>, conf: &mut Mp4, _: &Statement) -> Result<(), Diagnostic> {
    conf.here = true;
    Ok(())
}
