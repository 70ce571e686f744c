//! `split_clients`: a variable whose value depends on the hash of a text, in http and in stream. Checked, not served yet.

use crate::conf::diagnostic::Diagnostic;
use crate::conf::directive::{Arity, Contexts, Directive, Opens};
use crate::conf::module::{Conf, Module, Scope};
use crate::conf::slot::Custom;
use crate::conf::tree::{Statement, Word};
use crate::conf::value;
use crate::conf::walk::{Levels, Setting};
use crate::script::variable::{Definition, Names, Subject};
use crate::session::contexts::{HTTP, STREAM};
use crate::session::rows::each;
use crate::session::used;

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
    Directive::checked("split_clients", contexts, Arity::Block(2, 2, Opens::Rows), &Custom(split_clients))
        .doc("Defines a variable that has one of several values, each for a share of all texts.")
}

/// The variables of an http or stream block.
#[derive(Default)]
pub struct Splits {
    names: Vec<Word>,
}

impl Conf for Splits {
    fn inherit(&mut self, _: &Self) {}
}

/// Defines the variables of a level.
///
/// # Errors
/// Names that cannot be defined.
pub fn declare<S: Subject>(levels: &Levels<'_>, names: &mut Names<S>) -> Result<(), Diagnostic> {
    for word in levels.level.own::<Splits>().map(|conf| conf.names.as_slice()).unwrap_or_default() {
        let name = used::name(word)?;
        names.define(&name, Definition::Stored).map_err(|text| Diagnostic::emerg(text).at(word.span))?;
    }
    Ok(())
}

fn split_clients(cx: &mut Setting<'_>, conf: &mut Splits, statement: &Statement) -> Result<(), Diagnostic> {
    let [text, name] = statement.arguments() else { return Ok(()) };
    used::word(cx, text)?;
    used::name(name)?;
    let mut total = 0;
    each(cx, statement, &mut |_, row| {
        let Some(share) = row.words.first() else { return Ok(()) };
        if share.bytes.starts_with(b"*") {
            return Ok(());
        }
        let number = share.bytes.strip_suffix(b"%").and_then(|number| value::fixed_point(number, 2));
        let Some(number) = number.filter(|number| *number > 0) else {
            return Err(Diagnostic::emerg(format!("invalid percent value \"{}\"", share.text())));
        };
        total += number;
        Ok(())
    })?;
    if total > 10_000 {
        let complaint = Diagnostic::emerg("percent total is greater than 100%");
        let end = statement.block.as_ref().and_then(|block| block.end);
        return Err(end.map_or_else(|| complaint.clone(), |end| complaint.clone().at(end)));
    }
    conf.names.push(name.clone());
    Ok(())
}
