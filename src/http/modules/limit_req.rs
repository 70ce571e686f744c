//! `ngx_http_limit_req_module`: how fast a key may send requests. Checked, not served yet.

use crate::conf::diagnostic::Diagnostic;
use crate::conf::directive::{Arity, Directive};
use crate::conf::effect::{Need, Omission};
use crate::conf::module::{Conf, Scope, inherit};
use crate::conf::slot::{Choice, Custom, Flag, Number};
use crate::conf::tree::{Statement, Word};
use crate::conf::value;
use crate::conf::walk::Setting;
use crate::http::heart::module::Module;
use crate::session::contexts::{HTTP, HTTP_ANY, HTTP_LEVELS};
use crate::session::shared;
use crate::session::used;

/// The module.
pub fn modules() -> Vec<Module> {
    vec![Module::new(MODULE)]
}

const MODULE: crate::conf::module::Module = crate::conf::module::Module {
    name: "ngx_http_limit_req_module",
    directives: DIRECTIVES,
    scopes: &[Scope::of::<Zones>(HTTP), Scope::of::<Limits>(HTTP_LEVELS)],
};

const DIRECTIVES: &[Directive] = &[
    Directive::checked("limit_req_zone", HTTP, Arity::Exactly(3), &Custom(limit_req_zone))
        .words(&["zone=", "rate="])
        .needs(Need::Rows(&["limit_req"]))
        .doc("Sets the zone that counts, the key it counts by, and the rate."),
    Directive::checked("limit_req", HTTP_ANY, Arity::Between(1, 3), &Custom(limit_req))
        .words(&["zone=", "burst=", "delay=", "nodelay"])
        .omitted(Omission::Closes("requests are answered with 503"))
        .doc("Sets the zone, and how many requests may be early, delayed or not."),
    Directive::checked(
        "limit_req_log_level",
        HTTP_ANY,
        Arity::Exactly(1),
        &Choice(|c: &mut Limits| &mut c.log_level, LEVELS),
    )
    .default("error")
    .since("0.8.18")
    .needs(Need::Rows(&["limit_req"]))
    .doc("Sets the level refusals are logged at; delays one below."),
    Directive::checked(
        "limit_req_status",
        HTTP_ANY,
        Arity::Exactly(1),
        &Number(|c: &mut Limits| &mut c.status, 400..=599),
    )
    .default("503")
    .since("1.3.15")
    .needs(Need::Rows(&["limit_req"]))
    .doc("Sets the status of a refused request."),
    Directive::checked("limit_req_dry_run", HTTP_ANY, Arity::Flag, &Flag(|c: &mut Limits| &mut c.dry_run))
        .default("off")
        .since("1.17.1")
        .needs(Need::Rows(&["limit_req"]))
        .doc("Counts and logs, but delays and refuses nobody."),
];

const LEVELS: &[(&str, u8)] = &[("info", 0), ("notice", 1), ("warn", 2), ("error", 3)];
const KIND: &str = "limit_req";

/// The zones of an http block.
#[derive(Default)]
struct Zones {
    zones: Vec<(String, Word)>,
}

impl Conf for Zones {
    fn inherit(&mut self, _: &Self) {}
}

/// Settings of the module.
#[derive(Default)]
struct Limits {
    log_level: Option<u8>,
    status: Option<u64>,
    dry_run: Option<bool>,
    limits: Vec<String>,
}

impl Conf for Limits {
    fn inherit(&mut self, outer: &Self) {
        inherit!(self, outer; list limits; log_level, status, dry_run);
    }
}

fn limit_req_zone(cx: &mut Setting<'_>, conf: &mut Zones, statement: &Statement) -> Result<(), Diagnostic> {
    let [key, parameters @ ..] = statement.arguments() else { return Ok(()) };
    used::word(cx, key)?;
    let mut zone = None;
    for word in parameters {
        if let Some(text) = word.after("zone=") {
            zone = Some(shared::name_and_size(word, text)?);
        } else if let Some(text) = word.after("rate=") {
            let number = text.strip_suffix(b"r/s").or_else(|| text.strip_suffix(b"r/m")).unwrap_or(text);
            if value::number(number).is_none_or(|rate| rate == 0) {
                return Err(Diagnostic::emerg(format!("invalid rate \"{}\"", word.text())).point(word.span));
            }
        } else {
            return Err(Diagnostic::emerg(format!("invalid parameter \"{}\"", word.text())).point(word.span));
        }
    }
    let Some((name, size)) = zone.filter(|(name, _)| !name.is_empty()) else {
        return Err(Diagnostic::emerg(format!("\"{}\" must have \"zone\" parameter", cx.row.name)));
    };
    shared::declare(cx, &name, size, KIND)?;
    if let Some((_, earlier)) = conf.zones.iter().find(|(known, _)| *known == name) {
        let (row, key) = (cx.row.name, earlier.text());
        return Err(Diagnostic::emerg(format!("{row} \"{name}\" is already bound to key \"{key}\""))
            .earlier(Some(earlier.span)));
    }
    conf.zones.push((name, key.clone()));
    Ok(())
}

fn limit_req(cx: &mut Setting<'_>, conf: &mut Limits, statement: &Statement) -> Result<(), Diagnostic> {
    let mut zone = None;
    for word in statement.arguments() {
        let number = |text: &[u8]| value::number(text).filter(|number| *number > 0);
        let fail = |what: &str| Err(Diagnostic::emerg(format!("{what} \"{}\"", word.text())).point(word.span));
        if let Some(name) = word.after("zone=") {
            let name = crate::conf::bytes::text(name).into_owned();
            shared::declare(cx, &name, 0, KIND)?;
            zone = Some(name);
        } else if let Some(text) = word.after("burst=") {
            if number(text).is_none() {
                return fail("invalid burst value");
            }
        } else if let Some(text) = word.after("delay=") {
            if number(text).is_none() {
                return fail("invalid delay value");
            }
        } else if !word.is("nodelay") {
            return fail("invalid parameter");
        }
    }
    let Some(zone) = zone else {
        return Err(Diagnostic::emerg(format!("\"{}\" must have \"zone\" parameter", cx.row.name)));
    };
    let first = cx.first_here("limit_req of", zone.as_bytes(), statement.span);
    if conf.limits.contains(&zone) {
        return Err(cx.complain("is duplicate").earlier(first));
    }
    conf.limits.push(zone);
    Ok(())
}
