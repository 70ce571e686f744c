//! `geo`: a variable whose value depends on the client's address, in http and in stream.

use crate::conf::diagnostic::Diagnostic;
use crate::conf::directive::{Arity, Contexts, Directive, Opens};
use crate::conf::module::{Conf, Module, Scope};
use crate::conf::slot::Custom;
use crate::conf::source::Span;
use crate::conf::tree::{Statement, Word};
use crate::conf::value::{self, Network};
use crate::conf::walk::{Levels, Setting};
use crate::script::variable::{Compute, Definition, Names, Subject};
use crate::session::contexts::{HTTP, STREAM};
use crate::session::forwarded::Believed;
use crate::session::rows::each;
use crate::session::used;
use lookup::Lookup;
pub use lookup::Source;
use ranges::Ranges;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

mod lookup;
mod ranges;

/// The rows of both products.
pub const MODULES: [Module; 2] = [
    Module { name: "ngx_http_geo_module", directives: &[row(HTTP)], scopes: &[Scope::of::<Geos>(HTTP.or(STREAM))] },
    Module { name: "ngx_stream_geo_module", directives: &[row(STREAM)], scopes: &[] },
];

const fn row(contexts: Contexts) -> Directive {
    Directive::new("geo", contexts, Arity::Block(1, 2, Opens::Rows), &Custom(geo))
        .doc("Defines a variable whose value depends on the client's address, or that of another variable.")
}

/// The variables of an http or stream block.
#[derive(Default)]
pub struct Geos {
    blocks: Vec<Geo>,
}

/// One block as written.
struct Geo {
    /// The variable whose address is looked up, if it is not the client's.
    source: Option<Word>,
    name: Word,
    table: Table,
}

impl Conf for Geos {
    fn inherit(&mut self, _: &Self) {}
}

/// Defines the variables of a level.
///
/// # Errors
/// Names that cannot be defined.
pub fn declare<S: Subject>(levels: &Levels<'_>, names: &mut Names<S>) -> Result<(), Diagnostic> {
    for geo in levels.level.own::<Geos>().map(|conf| conf.blocks.as_slice()).unwrap_or_default() {
        let lookup: Arc<dyn Compute<S>> = Arc::new(Lookup::new(geo, names)?);
        let defined = names.define(&used::name(&geo.name)?, Definition::Computed(lookup));
        defined.map_err(|duplicate| duplicate.complaint().at(geo.name.span))?;
    }
    Ok(())
}

/// The rows of a block so far.
#[derive(Default)]
struct Table {
    networks: Option<Vec<(Network, String, Span)>>,
    ranges: Option<Ranges>,
    /// Proxies whose header names the client.
    proxies: Believed,
}

fn geo(cx: &mut Setting<'_>, conf: &mut Geos, statement: &Statement) -> Result<(), Diagnostic> {
    let (source, name) = match statement.arguments() {
        [name] => (None, name),
        [source, name] => {
            used::uses(cx, &used::name(source)?);
            (Some(source.clone()), name)
        }
        _ => return Ok(()),
    };
    used::name(name)?;
    let mut table = Table::default();
    each(cx, statement, &mut |cx, row| add(cx, &mut table, row))?;
    conf.blocks.push(Geo { source, name: name.clone(), table });
    Ok(())
}

fn add(cx: &mut Setting<'_>, table: &mut Table, row: &Statement) -> Result<(), Diagnostic> {
    match row.words.as_slice() {
        [only] if only.is("ranges") => {
            if table.networks.is_some() {
                let text = "the \"ranges\" directive must be the first directive inside \"geo\" block";
                return Err(Diagnostic::emerg(text));
            }
            table.ranges.get_or_insert_default();
            Ok(())
        }
        [only] if only.is("proxy_recursive") => {
            table.proxies.recursive = true;
            Ok(())
        }
        [key, value] if key.is("proxy") => {
            table.proxies.networks.push(network(cx, row, value)?);
            Ok(())
        }
        [key, value] => match &mut table.ranges {
            Some(ranges) => ranges.add(cx, row, key, value),
            None => network_row(cx, table.networks.get_or_insert_default(), row),
        },
        _ => Err(Diagnostic::emerg("invalid number of the geo parameters")),
    }
}

fn network(cx: &mut Setting<'_>, row: &Statement, word: &Word) -> Result<Network, Diagnostic> {
    let Some((network, odd)) = value::network(&word.bytes) else {
        return Err(Diagnostic::emerg(format!("invalid network \"{}\"", word.text())));
    };
    if odd {
        cx.warn(row, format!("low address bits of {} are meaningless", word.text()));
    }
    Ok(network)
}

fn network_row(
    cx: &mut Setting<'_>,
    table: &mut Vec<(Network, String, Span)>,
    row: &Statement,
) -> Result<(), Diagnostic> {
    let [key, value] = row.words.as_slice() else { return Ok(()) };
    if key.is("default") {
        for address in [IpAddr::V4(Ipv4Addr::UNSPECIFIED), IpAddr::V6(Ipv6Addr::UNSPECIFIED)] {
            insert(cx, table, row, Network { address, bits: 0 });
        }
        return Ok(());
    }
    if key.is("delete") {
        let gone = network(cx, row, value)?;
        match table.iter().position(|(known, ..)| *known == gone) {
            Some(at) => {
                table.remove(at);
            }
            None => cx.warn(row, format!("no network \"{}\" to delete", value.text())),
        }
        return Ok(());
    }
    let network = network(cx, row, key)?;
    insert(cx, table, row, network);
    Ok(())
}

fn insert(cx: &mut Setting<'_>, table: &mut Vec<(Network, String, Span)>, row: &Statement, network: Network) {
    let [key, value] = row.words.as_slice() else { return };
    let value = value.text().into_owned();
    let around = table.iter().filter(|(known, ..)| known.holds(network.address));
    let old = around.max_by_key(|(known, ..)| known.bits).map(|(_, old, _)| old.clone()).unwrap_or_default();
    match table.iter_mut().find(|(known, ..)| *known == network) {
        Some((_, have, first)) => {
            let text = format!("duplicate network \"{}\", value: \"{value}\", old value: \"{old}\"", key.text());
            cx.report(Diagnostic::warn(text).at(row.span).earlier(Some(*first)));
            *have = value;
        }
        None => table.push((network, value, row.span)),
    }
}
