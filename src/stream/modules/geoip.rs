//! `ngx_stream_geoip_module`: where clients are, by MaxMind's old databases.

use crate::conf::diagnostic::Diagnostic;
use crate::conf::directive::{Arity, Contexts, Directive, Support};
use crate::conf::effect::Need;
use crate::conf::module::{Conf, Scope};
use crate::conf::slot::Custom;
use crate::conf::tree::Statement;
use crate::conf::walk::Setting;
use crate::session::contexts::STREAM;
use crate::session::used;
use crate::stream::module::Module;

/// The module.
pub fn modules() -> Vec<Module> {
    vec![Module::new(MODULE)]
}

/// Without its variables the module does nothing.
const PLACES: Need = Need::Where(|levels| used::any(levels, &["geoip_"]), "no variable of the module is used");

const fn row(name: &'static str, contexts: Contexts) -> Directive {
    Directive::new(name, contexts, Arity::Between(1, 2), &Custom(database))
        .words(&["utf8"])
        .support(Support::Missing)
        .needs(PLACES)
}

const MODULE: crate::conf::module::Module = crate::conf::module::Module {
    name: "ngx_stream_geoip_module",
    directives: &[
        row("geoip_country", STREAM).doc("Sets the database of countries."),
        row("geoip_org", STREAM).doc("Sets the database of organisations."),
        row("geoip_city", STREAM).doc("Sets the database of cities."),
    ],
    scopes: &[Scope::of::<Databases>(STREAM)],
};

/// Which databases were named.
#[derive(Default)]
struct Databases {
    named: Vec<&'static str>,
}

impl Conf for Databases {
    fn inherit(&mut self, _: &Self) {}
}

fn database(cx: &mut Setting<'_>, conf: &mut Databases, statement: &Statement) -> Result<(), Diagnostic> {
    if conf.named.contains(&cx.row.name) {
        return Err(cx.complain("is duplicate"));
    }
    let [file, rest @ ..] = statement.arguments() else { return Ok(()) };
    if cx.read(&file.text()).is_err() {
        let text = format!("GeoIP_open(\"{}\") failed", file.text());
        return Err(Diagnostic::emerg(text).point(file.span));
    }
    if let Some(word) = rest.first().filter(|word| !word.is("utf8")) {
        return Err(Diagnostic::emerg(format!("invalid parameter \"{}\"", word.text())).point(word.span));
    }
    conf.named.push(cx.row.name);
    Ok(())
}
