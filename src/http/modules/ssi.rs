//! `ngx_http_ssi_filter_module`: server side includes. Checked, not served yet.

use crate::conf::directive::{Arity, Directive};
use crate::conf::effect::Need;
use crate::conf::module::{Conf, Scope, inherit};
use crate::conf::slot::{Flag, Size};
use crate::http::heart::module::Module;
use crate::session::contexts::{HTTP_ANY, HTTP_ANY_IF, HTTP_LEVELS};
use crate::session::slot::MimeTypes;

/// The module.
pub fn modules() -> Vec<Module> {
    vec![Module::new(MODULE)]
}

const MODULE: crate::conf::module::Module = crate::conf::module::Module {
    name: "ngx_http_ssi_filter_module",
    directives: DIRECTIVES,
    scopes: &[Scope::of::<Ssi>(HTTP_LEVELS)],
};

const DIRECTIVES: &[Directive] = &[
    Directive::checked("ssi", HTTP_ANY_IF, Arity::Flag, &Flag(|c: &mut Ssi| &mut c.ssi))
        .default("off")
        .doc("Carries out the commands in responses."),
    Directive::checked("ssi_silent_errors", HTTP_ANY, Arity::Flag, &Flag(|c: &mut Ssi| &mut c.silent_errors))
        .default("off")
        .needs(Need::Rows(&["ssi"]))
        .doc("Leaves out the message for commands that fail."),
    Directive::checked(
        "ssi_ignore_recycled_buffers",
        HTTP_ANY,
        Arity::Flag,
        &Flag(|c: &mut Ssi| &mut c.ignore_recycled_buffers),
    )
    .default("off")
    .needs(Need::Rows(&["ssi"]))
    .doc("Does not keep buffers that are used again."),
    Directive::checked("ssi_min_file_chunk", HTTP_ANY, Arity::Exactly(1), &Size(|c: &mut Ssi| &mut c.min_file_chunk))
        .default("1k")
        .needs(Need::Rows(&["ssi"]))
        .doc("Sets the least part of a file that is sent by itself."),
    Directive::checked("ssi_value_length", HTTP_ANY, Arity::Exactly(1), &Size(|c: &mut Ssi| &mut c.value_length))
        .default("256")
        .needs(Need::Rows(&["ssi"]))
        .doc("Sets how long a parameter may be."),
    Directive::checked("ssi_types", HTTP_ANY, Arity::AtLeast(1), &MimeTypes(|c: &mut Ssi| &mut c.types, "text/html"))
        .needs(Need::Rows(&["ssi"]))
        .doc("Sets the MIME types that are looked into beside text/html."),
    Directive::checked("ssi_last_modified", HTTP_ANY, Arity::Flag, &Flag(|c: &mut Ssi| &mut c.last_modified))
        .default("off")
        .since("1.5.1")
        .needs(Need::Rows(&["ssi"]))
        .doc("Keeps the Last-Modified header."),
];

/// Settings of the module.
#[derive(Default)]
struct Ssi {
    ssi: Option<bool>,
    silent_errors: Option<bool>,
    ignore_recycled_buffers: Option<bool>,
    min_file_chunk: Option<u64>,
    value_length: Option<u64>,
    types: Vec<Box<[u8]>>,
    last_modified: Option<bool>,
}

impl Conf for Ssi {
    fn inherit(&mut self, outer: &Self) {
        inherit!(self, outer; list types; ssi, silent_errors, ignore_recycled_buffers, min_file_chunk, value_length, last_modified);
    }
}
