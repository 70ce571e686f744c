//! `ngx_http_auth_basic_module`: names and passwords. Checked, not served yet.

use crate::conf::directive::{Arity, Directive};
use crate::conf::effect::{Need, Omission};
use crate::conf::module::{Conf, Scope, inherit};
use crate::conf::tree::Word;
use crate::http::heart::module::Module;
use crate::session::contexts::{HTTP_ANY, HTTP_LEVELS, LIMIT_EXCEPT};
use crate::session::slot::Value;

/// The module.
pub fn modules() -> Vec<Module> {
    vec![Module::new(MODULE)]
}

const MODULE: crate::conf::module::Module = crate::conf::module::Module {
    name: "ngx_http_auth_basic_module",
    directives: DIRECTIVES,
    scopes: &[Scope::of::<AuthBasic>(HTTP_LEVELS)],
};

const DIRECTIVES: &[Directive] = &[
    Directive::checked(
        "auth_basic",
        HTTP_ANY.or(LIMIT_EXCEPT),
        Arity::Exactly(1),
        &Value(|c: &mut AuthBasic| &mut c.auth_basic),
    )
    .default("off")
    .omitted(Omission::Closes("requests are answered with 503"))
    .doc("Asks for a name and password, with the given text."),
    Directive::checked(
        "auth_basic_user_file",
        HTTP_ANY.or(LIMIT_EXCEPT),
        Arity::Exactly(1),
        &Value(|c: &mut AuthBasic| &mut c.auth_basic_user_file),
    )
    .needs(Need::Rows(&["auth_basic"]))
    .doc("Sets the file of names and passwords."),
];

/// Settings of the module.
#[derive(Default)]
struct AuthBasic {
    auth_basic: Option<Word>,
    auth_basic_user_file: Option<Word>,
}

impl Conf for AuthBasic {
    fn inherit(&mut self, outer: &Self) {
        inherit!(self, outer; auth_basic, auth_basic_user_file);
    }
}
