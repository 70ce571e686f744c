//! `ngx_http_userid_filter_module`: cookies that tell clients apart. Checked, not served yet.

use crate::conf::diagnostic::Diagnostic;
use crate::conf::directive::{Arity, Directive};
use crate::conf::effect::Need;
use crate::conf::module::{Conf, Scope, inherit};
use crate::conf::slot::{Choice, Custom, Mask, Number, Text};
use crate::conf::tree::{Statement, Word};
use crate::conf::value;
use crate::conf::walk::Setting;
use crate::http::heart::module::Module;
use crate::session::contexts::{HTTP_ANY, HTTP_LEVELS};
use crate::session::slot::free;
use std::time::Duration;

/// The module.
pub fn modules() -> Vec<Module> {
    vec![Module::new(MODULE)]
}

const MODULE: crate::conf::module::Module = crate::conf::module::Module {
    name: "ngx_http_userid_filter_module",
    directives: DIRECTIVES,
    scopes: &[Scope::of::<Userid>(HTTP_LEVELS)],
};

const DIRECTIVES: &[Directive] = &[
    Directive::checked("userid", HTTP_ANY, Arity::Exactly(1), &Choice(|c: &mut Userid| &mut c.userid, STATES))
        .default("off")
        .doc("Gives clients a cookie."),
    Directive::checked(
        "userid_service",
        HTTP_ANY,
        Arity::Exactly(1),
        &Number(|c: &mut Userid| &mut c.service, 0..=u64::MAX),
    )
    .needs(Need::Rows(&["userid"]))
    .doc("Sets the number of the service that gives it."),
    Directive::checked("userid_name", HTTP_ANY, Arity::Exactly(1), &Text(|c: &mut Userid| &mut c.name))
        .default("uid")
        .needs(Need::Rows(&["userid"]))
        .doc("Sets the cookie's name."),
    Directive::checked("userid_domain", HTTP_ANY, Arity::Exactly(1), &Text(|c: &mut Userid| &mut c.domain))
        .default("none")
        .needs(Need::Rows(&["userid"]))
        .doc("Sets the cookie's domain."),
    Directive::checked("userid_path", HTTP_ANY, Arity::Exactly(1), &Text(|c: &mut Userid| &mut c.path))
        .default("/")
        .needs(Need::Rows(&["userid"]))
        .doc("Sets the cookie's path."),
    Directive::checked("userid_expires", HTTP_ANY, Arity::Exactly(1), &Custom(userid_expires))
        .default("off")
        .needs(Need::Rows(&["userid"]))
        .doc("Sets how long the cookie lives."),
    Directive::checked("userid_flags", HTTP_ANY, Arity::Between(1, 3), &Mask(|c: &mut Userid| &mut c.flags, FLAGS))
        .default("off")
        .since("1.19.3")
        .needs(Need::Rows(&["userid"]))
        .doc("Sets the cookie's flags."),
    Directive::checked("userid_p3p", HTTP_ANY, Arity::Exactly(1), &Text(|c: &mut Userid| &mut c.p3p))
        .default("none")
        .needs(Need::Rows(&["userid"]))
        .doc("Sets the P3P header."),
    Directive::checked("userid_mark", HTTP_ANY, Arity::Exactly(1), &Custom(userid_mark))
        .default("off")
        .needs(Need::Rows(&["userid"]))
        .doc("Sets the letter that marks cookies a client got before."),
];

const STATES: &[(&str, u8)] = &[("off", 0), ("log", 1), ("v1", 2), ("on", 3)];
const FLAGS: &[(&str, u32)] =
    &[("off", 1), ("secure", 2), ("httponly", 4), ("samesite=strict", 8), ("samesite=lax", 16), ("samesite=none", 32)];

/// Settings of the module.
#[derive(Default)]
struct Userid {
    userid: Option<u8>,
    service: Option<u64>,
    name: Option<Word>,
    domain: Option<Word>,
    path: Option<Word>,
    flags: Option<u32>,
    p3p: Option<Word>,
    expires: Option<Option<Duration>>,
    mark: Option<u8>,
}

impl Conf for Userid {
    fn inherit(&mut self, outer: &Self) {
        inherit!(self, outer; userid, service, name, domain, path, flags, p3p);
        inherit!(self, outer; expires, mark);
    }
}

fn userid_expires(cx: &mut Setting<'_>, conf: &mut Userid, statement: &Statement) -> Result<(), Diagnostic> {
    free(cx, &conf.expires)?;
    let Some(word) = statement.arguments().first() else { return Ok(()) };
    conf.expires = Some(match &*word.bytes {
        b"off" => None,
        b"max" => Some(Duration::MAX),
        time => Some(value::time(time, true).ok_or_else(|| cx.complain("invalid value"))?),
    });
    Ok(())
}

fn userid_mark(cx: &mut Setting<'_>, conf: &mut Userid, statement: &Statement) -> Result<(), Diagnostic> {
    free(cx, &conf.mark)?;
    conf.mark = Some(match statement.arguments().first().map(|word| &*word.bytes) {
        Some(b"off") => 0,
        Some([mark]) if mark.is_ascii_alphanumeric() || *mark == b'=' => *mark,
        _ => return Err(cx.complain("value must be \"off\" or a single letter, digit or \"=\"")),
    });
    Ok(())
}
