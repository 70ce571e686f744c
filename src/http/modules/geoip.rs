//! `ngx_http_geoip_module`: where clients are, by MaxMind's old databases. Checked, not served yet.

use crate::conf::diagnostic::Diagnostic;
use crate::conf::directive::{Arity, Directive};
use crate::conf::effect::Need;
use crate::conf::module::{Conf, Scope, inherit};
use crate::conf::slot::{Custom, Flag};
use crate::conf::tree::Statement;
use crate::conf::value::{self, Network};
use crate::conf::walk::Setting;
use crate::http::heart::module::Module;
use crate::session::contexts::HTTP;
use crate::session::used;

/// The module.
pub fn modules() -> Vec<Module> {
    vec![Module::new(MODULE)]
}

const MODULE: crate::conf::module::Module = crate::conf::module::Module {
    name: "ngx_http_geoip_module",
    directives: DIRECTIVES,
    scopes: &[Scope::of::<GeoIp>(HTTP)],
};

/// Without its variables the module does nothing.
const PLACES: Need = Need::Where(|levels| used::any(levels, &["geoip_"]), "no variable of the module is used");

const DIRECTIVES: &[Directive] = &[
    Directive::checked("geoip_country", HTTP, Arity::Between(1, 2), &Custom(database))
        .words(&["utf8"])
        .needs(PLACES)
        .doc("Sets the database of countries."),
    Directive::checked("geoip_org", HTTP, Arity::Between(1, 2), &Custom(database))
        .words(&["utf8"])
        .needs(PLACES)
        .doc("Sets the database of organisations."),
    Directive::checked("geoip_city", HTTP, Arity::Between(1, 2), &Custom(database))
        .words(&["utf8"])
        .needs(PLACES)
        .doc("Sets the database of cities."),
    Directive::checked("geoip_proxy", HTTP, Arity::Exactly(1), &Custom(geoip_proxy))
        .since("1.3.0")
        .needs(PLACES)
        .doc("Sets the networks whose word on the client is taken."),
    Directive::checked("geoip_proxy_recursive", HTTP, Arity::Flag, &Flag(|c: &mut GeoIp| &mut c.proxy_recursive))
        .default("off")
        .since("1.3.0")
        .needs(PLACES)
        .doc("Takes the last address that is not trusted itself."),
];

/// Settings of the module.
#[derive(Default)]
struct GeoIp {
    proxy_recursive: Option<bool>,
    databases: Vec<&'static str>,
    proxies: Vec<Network>,
}

impl Conf for GeoIp {
    fn inherit(&mut self, outer: &Self) {
        inherit!(self, outer; proxy_recursive);
    }
}

fn database(cx: &mut Setting<'_>, conf: &mut GeoIp, statement: &Statement) -> Result<(), Diagnostic> {
    if conf.databases.contains(&cx.row.name) {
        return Err(cx.complain("is duplicate"));
    }
    if let Some(file) = statement.arguments().first()
        && cx.read(&file.text()).is_err()
    {
        return Err(Diagnostic::emerg(format!("GeoIP_open(\"{}\") failed", file.text())).point(file.span));
    }
    if let [_, word] = statement.arguments()
        && !word.is("utf8")
    {
        return Err(Diagnostic::emerg(format!("invalid parameter \"{}\"", word.text())).point(word.span));
    }
    conf.databases.push(cx.row.name);
    Ok(())
}

fn geoip_proxy(cx: &mut Setting<'_>, conf: &mut GeoIp, statement: &Statement) -> Result<(), Diagnostic> {
    let Some(word) = statement.arguments().first() else { return Ok(()) };
    let Some((network, odd)) = value::network(&word.bytes) else {
        return Err(Diagnostic::emerg(format!("invalid network \"{}\"", word.text())).point(word.span));
    };
    if odd {
        cx.warn(statement, format!("low address bits of {} are meaningless", word.text()));
    }
    conf.proxies.push(network);
    Ok(())
}
