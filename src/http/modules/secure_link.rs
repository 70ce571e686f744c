//! `ngx_http_secure_link_module`: links that cannot be made up. Checked, not served yet.

use crate::conf::diagnostic::Diagnostic;
use crate::conf::directive::{Arity, Directive};
use crate::conf::effect::{Need, Omission};
use crate::conf::module::{Conf, Scope, inherit};
use crate::conf::slot::Text;
use crate::conf::tree::Word;
use crate::conf::walk::Levels;
use crate::http::heart::module::{Compile, Module};
use crate::session::contexts::{HTTP_ANY, HTTP_LEVELS};
use crate::session::slot::Value;
use crate::session::used;

/// The module.
pub fn modules() -> Vec<Module> {
    vec![Module::new(MODULE).check(check)]
}

const MODULE: crate::conf::module::Module = crate::conf::module::Module {
    name: "ngx_http_secure_link_module",
    directives: DIRECTIVES,
    scopes: &[Scope::of::<SecureLink>(HTTP_LEVELS)],
};

/// Its variables; the places that have its directives are closed themselves.
pub const VARIABLES: [&str; 2] = ["secure_link", "secure_link_expires"];

/// Without its variables the module refuses nobody.
const LINKS: Need = Need::Where(|levels| used::any(levels, &VARIABLES), "no variable of the module is used");

const DIRECTIVES: &[Directive] = &[
    Directive::checked("secure_link", HTTP_ANY, Arity::Exactly(1), &Value(|c: &mut SecureLink| &mut c.secure_link))
        .omitted(Omission::Closes("requests are answered with 503"))
        .needs(LINKS)
        .doc("Sets where the checksum and the end of a link stand."),
    Directive::checked("secure_link_md5", HTTP_ANY, Arity::Exactly(1), &Value(|c: &mut SecureLink| &mut c.md5))
        .omitted(Omission::Closes("requests are answered with 503"))
        .needs(LINKS)
        .doc("Sets the text the checksum is of."),
    Directive::checked("secure_link_secret", HTTP_ANY, Arity::Exactly(1), &Text(|c: &mut SecureLink| &mut c.secret))
        .omitted(Omission::Closes("requests are answered with 503"))
        .needs(LINKS)
        .doc("Sets the secret word of links with a checksum in their paths."),
];

/// Settings of the module.
#[derive(Default)]
struct SecureLink {
    secure_link: Option<Word>,
    md5: Option<Word>,
    secret: Option<Word>,
}

impl Conf for SecureLink {
    fn inherit(&mut self, outer: &Self) {
        if self.secret.is_none() {
            inherit!(self, outer; secure_link, md5);
        }
        if self.secure_link.is_none() && self.md5.is_none() {
            inherit!(self, outer; secret);
        }
    }
}

fn check(levels: &Levels<'_>, _: &mut Compile<'_, '_>) -> Result<(), Diagnostic> {
    match levels.level.own::<SecureLink>() {
        Some(conf) if conf.secret.is_some() && (conf.secure_link.is_some() || conf.md5.is_some()) => Err(
            Diagnostic::emerg("\"secure_link_secret\" cannot be mixed with \"secure_link\" and \"secure_link_md5\""),
        ),
        _ => Ok(()),
    }
}
