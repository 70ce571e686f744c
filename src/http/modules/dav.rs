//! `ngx_http_dav_module`: files changed by PUT, DELETE, MKCOL, COPY and MOVE. Checked, not served yet.

use crate::conf::directive::{Arity, Directive};
use crate::conf::effect::Need;
use crate::conf::module::{Conf, Scope, inherit};
use crate::conf::slot::{Flag, Mask, Number};
use crate::http::heart::module::Module;
use crate::session::contexts::{HTTP_ANY, HTTP_LEVELS};
use crate::session::slot::Access;

/// The module.
pub fn modules() -> Vec<Module> {
    vec![Module::new(MODULE)]
}

const MODULE: crate::conf::module::Module = crate::conf::module::Module {
    name: "ngx_http_dav_module",
    directives: DIRECTIVES,
    scopes: &[Scope::of::<Dav>(HTTP_LEVELS)],
};

const DIRECTIVES: &[Directive] = &[
    Directive::checked("dav_methods", HTTP_ANY, Arity::AtLeast(1), &Mask(|c: &mut Dav| &mut c.dav_methods, METHODS))
        .default("off")
        .doc("Sets the methods that may change files."),
    Directive::checked("create_full_put_path", HTTP_ANY, Arity::Flag, &Flag(|c: &mut Dav| &mut c.create_full_put_path))
        .default("off")
        .needs(Need::Rows(&["dav_methods"]))
        .doc("Makes the folders a file is put into."),
    Directive::checked(
        "min_delete_depth",
        HTTP_ANY,
        Arity::Exactly(1),
        &Number(|c: &mut Dav| &mut c.min_delete_depth, 0..=u64::MAX),
    )
    .default("0")
    .needs(Need::Rows(&["dav_methods"]))
    .doc("Refuses to delete what lies less deep."),
    Directive::checked("dav_access", HTTP_ANY, Arity::Between(1, 3), &Access(|c: &mut Dav| &mut c.dav_access))
        .default("user:rw")
        .needs(Need::Rows(&["dav_methods"]))
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
