//! `split_clients`: a variable whose value depends on the hash of a text, in http and in stream.

use crate::conf::diagnostic::Diagnostic;
use crate::conf::directive::{Arity, Contexts, Directive, Opens};
use crate::conf::module::{Conf, Module, Scope};
use crate::conf::slot::Custom;
use crate::conf::tree::{Statement, Word};
use crate::conf::value;
use crate::conf::walk::{Levels, Setting};
use crate::script::template::Template;
use crate::script::variable::{Compute, Definition, Names, Subject};
use crate::session::contexts::{HTTP, STREAM};
use crate::session::rows::each;
use crate::session::used;
use std::sync::Arc;

/// The rows of both products.
pub const MODULES: [Module; 2] = [
    Module {
        name: "ngx_http_split_clients_module",
        directives: &[row(HTTP)],
        scopes: &[Scope::of::<Splits>(HTTP.or(STREAM))],
    },
    Module { name: "ngx_stream_split_clients_module", directives: &[row(STREAM)], scopes: &[] },
];

const fn row(contexts: Contexts) -> Directive {
    Directive::new("split_clients", contexts, Arity::Block(2, 2, Opens::Rows), &Custom(split_clients))
        .doc("Defines a variable that has one of several values, each for a share of all texts.")
}

/// The variables of an http or stream block.
#[derive(Default)]
pub struct Splits {
    splits: Vec<Split>,
}

/// One block as written.
struct Split {
    text: Word,
    name: Word,
    /// In hundredths of a percent.
    shares: Vec<Share<u64>>,
}

/// Where a share ends, nothing for the rest, and its value.
type Share<T> = (Option<T>, Box<[u8]>);

/// A block at work.
struct Shares<S: Subject> {
    text: Template<S>,
    /// By the hash they end before.
    ends: Box<[Share<u32>]>,
}

impl<S: Subject> Shares<S> {
    fn new(split: &Split, names: &mut Names<S>) -> Result<Self, Diagnostic> {
        let text = Template::compile(&split.text.bytes, names);
        let text = text.map_err(|text| Diagnostic::emerg(text).at(split.text.span))?;
        let mut last = 0_u32;
        let ends = split.shares.iter().map(|(share, value)| {
            let end = share.map(|share| {
                last = last.wrapping_add((share * u64::from(u32::MAX) / 10_000) as u32);
                last
            });
            (end, value.clone())
        });
        Ok(Self { text, ends: ends.collect() })
    }
}

impl<S: Subject> Compute<S> for Shares<S> {
    fn compute(&self, subject: &S, out: &mut Vec<u8>) -> bool {
        let hash = murmur2(&self.text.text(subject));
        let fits = |end: &Option<u32>| end.is_none_or(|end| hash < end);
        if let Some((_, value)) = self.ends.iter().find(|(end, _)| fits(end)) {
            out.extend_from_slice(value);
        }
        true
    }
}

/// MurmurHash2 with the seed 0, by Austin Appleby.
fn murmur2(text: &[u8]) -> u32 {
    const MULTIPLIER: u32 = 0x5bd1_e995;
    let mut hash = text.len() as u32;
    let mut words = text.chunks_exact(4);
    for word in &mut words {
        let mut part = word.iter().rev().fold(0, |sum, byte| sum << 8 | u32::from(*byte)).wrapping_mul(MULTIPLIER);
        part = (part ^ part >> 24).wrapping_mul(MULTIPLIER);
        hash = hash.wrapping_mul(MULTIPLIER) ^ part;
    }
    let rest = words.remainder();
    if !rest.is_empty() {
        let part = rest.iter().rev().fold(0, |sum, byte| sum << 8 | u32::from(*byte));
        hash = (hash ^ part).wrapping_mul(MULTIPLIER);
    }
    hash = (hash ^ hash >> 13).wrapping_mul(MULTIPLIER);
    hash ^ hash >> 15
}

impl Conf for Splits {
    fn inherit(&mut self, _: &Self) {}
}

/// Defines the variables of a level.
///
/// # Errors
/// Names that cannot be defined, texts that do not compile.
pub fn declare<S: Subject>(levels: &Levels<'_>, names: &mut Names<S>) -> Result<(), Diagnostic> {
    for split in levels.level.own::<Splits>().map(|conf| conf.splits.as_slice()).unwrap_or_default() {
        let shares: Arc<dyn Compute<S>> = Arc::new(Shares::new(split, names)?);
        let name = used::name(&split.name)?;
        let defined = names.define(&name, Definition::Computed(shares));
        defined.map_err(|duplicate| duplicate.complaint().at(split.name.span))?;
    }
    Ok(())
}

fn split_clients(cx: &mut Setting<'_>, conf: &mut Splits, statement: &Statement) -> Result<(), Diagnostic> {
    let [text, name] = statement.arguments() else { return Ok(()) };
    used::word(cx, text)?;
    used::name(name)?;
    let mut split = Split { text: text.clone(), name: name.clone(), shares: Vec::new() };
    let mut total = 0;
    each(cx, statement, &mut |_, row| {
        let Some(share) = row.words.first() else { return Ok(()) };
        let value: Box<[u8]> = row.words.get(1).map(|word| word.bytes.clone()).unwrap_or_default();
        if share.bytes.starts_with(b"*") {
            split.shares.push((None, value));
            return Ok(());
        }
        let number = share.bytes.strip_suffix(b"%").and_then(|number| value::fixed_point(number, 2));
        let Some(number) = number.filter(|number| *number > 0) else {
            return Err(Diagnostic::emerg(format!("invalid percent value \"{}\"", share.text())));
        };
        total += number;
        split.shares.push((Some(number), value));
        Ok(())
    })?;
    if total > 10_000 {
        let complaint = Diagnostic::emerg("percent total is greater than 100%");
        let end = statement.block.as_ref().and_then(|block| block.end);
        return Err(end.map_or_else(|| complaint.clone(), |end| complaint.clone().at(end)));
    }
    conf.splits.push(split);
    Ok(())
}
