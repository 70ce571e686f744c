//! `geoip_country`, `geoip_org`, `geoip_city`: where clients are, by MaxMind's old databases, in http and in stream.

use crate::conf::diagnostic::Diagnostic;
use crate::conf::directive::{Arity, Contexts, Directive};
use crate::conf::module::{Conf, Module, Scope};
use crate::conf::slot::{Custom, Flag};
use crate::conf::tree::Statement;
use crate::conf::value::{self, Network};
use crate::conf::walk::{Levels, Setting};
use crate::script::variable::{Compute, Duplicate, Names, Subject};
use crate::session::contexts::{HTTP, STREAM};
use crate::session::forwarded::Believed;
use crate::session::geo::Source;
use database::{City, Country, Database, edition, region_name};
use std::io::Write as _;
use std::sync::Arc;

mod database;
pub mod second;

/// The rows of both products.
pub const MODULES: [Module; 2] = [
    Module {
        name: "ngx_http_geoip_module",
        directives: &[
            COUNTRY.row("geoip_country", HTTP),
            ORG.row("geoip_org", HTTP),
            CITY.row("geoip_city", HTTP),
            Directive::new("geoip_proxy", HTTP, Arity::Exactly(1), &Custom(geoip_proxy))
                .since("1.3.0")
                .doc("Sets the networks whose word on the client is taken."),
            Directive::new("geoip_proxy_recursive", HTTP, Arity::Flag, &Flag(|c: &mut GeoIp| &mut c.recursive))
                .default("off")
                .since("1.3.0")
                .doc("Takes the last address that is not trusted itself."),
        ],
        scopes: &[Scope::of::<GeoIp>(HTTP.or(STREAM))],
    },
    Module {
        name: "ngx_stream_geoip_module",
        directives: &[
            COUNTRY.row("geoip_country", STREAM),
            ORG.row("geoip_org", STREAM),
            CITY.row("geoip_city", STREAM),
        ],
        scopes: &[],
    },
];

/// A kind of database.
struct Kind {
    slot: fn(&mut GeoIp) -> &mut Option<Arc<Loaded>>,
    editions: &'static [&'static [u8]],
    /// What nginx calls it where it is another.
    word: &'static str,
    doc: &'static str,
}

const COUNTRY: Kind = Kind {
    slot: |conf| &mut conf.country,
    editions: &[&[edition::COUNTRY, edition::COUNTRY_V6]],
    word: "",
    doc: "Sets the database of countries.",
};
const ORG: Kind = Kind {
    slot: |conf| &mut conf.org,
    editions: &[&edition::NAMES, &edition::NAMES_V6],
    word: "",
    doc: "Sets the database of organisations.",
};
const CITY: Kind = Kind {
    slot: |conf| &mut conf.city,
    editions: &[&[edition::CITY_REV0, edition::CITY_REV1, edition::CITY_REV0_V6, edition::CITY_REV1_V6]],
    word: "City ",
    doc: "Sets the database of cities.",
};

impl Kind {
    const fn row(&self, name: &'static str, contexts: Contexts) -> Directive {
        Directive::new(name, contexts, Arity::Between(1, 2), &Custom(database)).words(&["utf8"]).doc(self.doc)
    }

    /// The kind of a row.
    fn of(name: &str) -> Self {
        match name {
            "geoip_country" => COUNTRY,
            "geoip_org" => ORG,
            _ => CITY,
        }
    }
}

/// Settings of an http or stream block.
#[derive(Default)]
pub struct GeoIp {
    country: Option<Arc<Loaded>>,
    org: Option<Arc<Loaded>>,
    city: Option<Arc<Loaded>>,
    proxies: Vec<Network>,
    recursive: Option<bool>,
}

impl Conf for GeoIp {
    fn inherit(&mut self, _: &Self) {}
}

/// A database and whether its texts are sent as UTF-8.
struct Loaded {
    database: Database,
    utf8: bool,
}

fn database(cx: &mut Setting<'_>, conf: &mut GeoIp, statement: &Statement) -> Result<(), Diagnostic> {
    let kind = Kind::of(cx.row.name);
    let slot = (kind.slot)(conf);
    if slot.is_some() {
        return Err(cx.duplicate());
    }
    let [file, rest @ ..] = statement.arguments() else { return Ok(()) };
    let path = file.text();
    let Some(database) = cx.read(&path).ok().and_then(Database::new) else {
        return Err(Diagnostic::emerg(format!("GeoIP_open(\"{path}\") failed")).point(file.span));
    };
    if let Some(word) = rest.first().filter(|word| !word.is("utf8")) {
        return Err(Diagnostic::emerg(format!("invalid parameter \"{}\"", word.text())).point(word.span));
    }
    if !kind.editions.iter().any(|editions| editions.contains(&database.edition)) {
        let text = format!("invalid GeoIP {}database \"{path}\" type:{}", kind.word, database.edition);
        return Err(Diagnostic::emerg(text).point(file.span));
    }
    *slot = Some(Arc::new(Loaded { database, utf8: !rest.is_empty() }));
    Ok(())
}

/// A network of proxies whose header names the client.
fn proxy(cx: &mut Setting<'_>, statement: &Statement) -> Result<Option<Network>, Diagnostic> {
    let Some(word) = statement.arguments().first() else { return Ok(None) };
    let Some((network, odd)) = value::network(&word.bytes) else {
        return Err(Diagnostic::emerg(format!("invalid network \"{}\"", word.text())).point(word.span));
    };
    if odd {
        cx.warn(statement, format!("low address bits of {} are meaningless", word.text()));
    }
    Ok(Some(network))
}

fn geoip_proxy(cx: &mut Setting<'_>, conf: &mut GeoIp, statement: &Statement) -> Result<(), Diagnostic> {
    conf.proxies.extend(proxy(cx, statement)?);
    Ok(())
}

/// What a variable tells.
#[derive(Clone, Copy)]
enum What {
    Country(fn(&Country, bool) -> &'static str),
    Org,
    /// Of a city's country.
    CityCountry(fn(&Country, bool) -> &'static str),
    City(fn(&City<'_>, bool, &mut Vec<u8>) -> bool),
}

const VARIABLES: [(&str, What); 16] = [
    ("geoip_country_code", What::Country(|country, _| country.code)),
    ("geoip_country_code3", What::Country(|country, _| country.code3)),
    ("geoip_country_name", What::Country(Country::name)),
    ("geoip_org", What::Org),
    ("geoip_city_continent_code", What::CityCountry(|country, _| country.continent)),
    ("geoip_city_country_code", What::CityCountry(|country, _| country.code)),
    ("geoip_city_country_code3", What::CityCountry(|country, _| country.code3)),
    ("geoip_city_country_name", What::CityCountry(Country::name)),
    ("geoip_region", What::City(|city, _, out| some(city.region, out))),
    (
        "geoip_region_name",
        What::City(|city, _, out| {
            region_name(city.country.code, city.region).is_some_and(|name| some(name.as_bytes(), out))
        }),
    ),
    (
        "geoip_city",
        What::City(|city, utf8, out| if utf8 { some(&latin1(city.city), out) } else { some(city.city, out) }),
    ),
    ("geoip_postal_code", What::City(|city, _, out| some(city.postal, out))),
    ("geoip_latitude", What::City(|city, _, out| fixed(f64::from(city.latitude), 4, out))),
    ("geoip_longitude", What::City(|city, _, out| fixed(f64::from(city.longitude), 4, out))),
    ("geoip_dma_code", What::City(|city, _, out| write!(out, "{}", city.metro).is_ok())),
    ("geoip_area_code", What::City(|city, _, out| write!(out, "{}", city.area).is_ok())),
];

/// Appends a text, if there is any.
fn some(text: &[u8], out: &mut Vec<u8>) -> bool {
    out.extend_from_slice(text);
    !text.is_empty()
}

/// ISO 8859-1 as UTF-8.
fn latin1(text: &[u8]) -> Vec<u8> {
    text.iter().map(|byte| char::from(*byte)).collect::<String>().into_bytes()
}

/// Appends a number with so many digits behind the point, rounded as nginx rounds it.
fn fixed(number: f64, digits: u32, out: &mut Vec<u8>) -> bool {
    let scale = 10_u64.pow(digits);
    let size = number.abs();
    let (mut whole, mut rest) = (size as u64, (size.fract() * scale as f64 + 0.5) as u64);
    if rest == scale {
        (whole, rest) = (whole + 1, 0);
    }
    let sign = if number < 0.0 { "-" } else { "" };
    write!(out, "{sign}{whole}.{rest:0width$}", width = digits as usize).is_ok()
}

/// The databases of a block.
struct Databases {
    country: Option<Arc<Loaded>>,
    org: Option<Arc<Loaded>>,
    city: Option<Arc<Loaded>>,
}

/// A variable of the module.
struct Located<S: Subject> {
    what: What,
    databases: Arc<Databases>,
    source: Arc<Source<S>>,
}

impl<S: Subject> Compute<S> for Located<S> {
    fn compute(&self, subject: &S, out: &mut Vec<u8>) -> bool {
        let Databases { country, org, city } = &*self.databases;
        let address = || self.source.address(subject);
        let text = |text: &str, out: &mut Vec<u8>| some(text.as_bytes(), out);
        match self.what {
            What::Country(tell) => country.as_ref().is_some_and(|loaded| {
                loaded.database.country(address()).is_some_and(|country| text(tell(&country, loaded.utf8), out))
            }),
            What::Org => org.as_ref().is_some_and(|loaded| {
                let Some(name) = loaded.database.name(address()) else { return false };
                out.extend_from_slice(&if loaded.utf8 { latin1(name) } else { name.to_vec() });
                true
            }),
            What::CityCountry(tell) => city.as_ref().is_some_and(|loaded| {
                loaded.database.city(address()).is_some_and(|city| text(tell(&city.country, loaded.utf8), out))
            }),
            What::City(tell) => city.as_ref().is_some_and(|loaded| {
                loaded.database.city(address()).is_some_and(|city| tell(&city, loaded.utf8, out))
            }),
        }
    }
}

/// Brings the module's variables into a block.
///
/// # Errors
/// A name that the configuration has defined.
pub fn declare<S: Subject>(levels: &Levels<'_>, names: &mut Names<S>) -> Result<(), Diagnostic> {
    if !HTTP.or(STREAM).meets(levels.level.context) {
        return Ok(());
    }
    let empty = GeoIp::default();
    let conf = levels.level.own::<GeoIp>().unwrap_or(&empty);
    let GeoIp { country, org, city, proxies, recursive } = conf;
    let databases = Databases { country: country.clone(), org: org.clone(), city: city.clone() };
    let databases = Arc::new(databases);
    let believed = Believed { networks: proxies.clone(), recursive: *recursive == Some(true), ..Believed::default() };
    let source = Arc::new(Source::client(believed, names)?);
    for (name, what) in VARIABLES {
        let located = Located { what, databases: databases.clone(), source: source.clone() };
        names.bring(name, Arc::new(located)).map_err(Duplicate::complaint)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::fixed;

    #[test]
    fn numbers_are_rounded_as_nginx_rounds_them() {
        let text = |number: f64, digits: u32| {
            let mut out = Vec::new();
            assert!(fixed(number, digits, &mut out));
            String::from_utf8_lossy(&out).into_owned()
        };
        assert_eq!(text(37.335_29, 4), "37.3353");
        assert_eq!(text(-121.8938, 4), "-121.8938");
        assert_eq!(text(0.0, 5), "0.00000");
        assert_eq!(text(-0.000_01, 4), "-0.0000");
        assert_eq!(text(1.999_99, 4), "2.0000");
    }
}
