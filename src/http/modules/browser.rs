//! `ngx_http_browser_module`: which browsers are modern. Checked, not served yet.

use crate::conf::diagnostic::Diagnostic;
use crate::conf::directive::{Arity, Directive};
use crate::conf::effect::Need;
use crate::conf::module::{Conf, Scope, inherit};
use crate::conf::slot::Custom;
use crate::conf::tree::{Statement, Word};
use crate::conf::value;
use crate::conf::walk::Setting;
use crate::http::heart::module::Module;
use crate::session::contexts::{HTTP_ANY, HTTP_LEVELS};
use crate::session::used;

/// The module.
pub fn modules() -> Vec<Module> {
    vec![Module::new(MODULE)]
}

const MODULE: crate::conf::module::Module = crate::conf::module::Module {
    name: "ngx_http_browser_module",
    directives: DIRECTIVES,
    scopes: &[Scope::of::<Browser>(HTTP_LEVELS)],
};

/// Without its variables the module does nothing.
const BROWSER: Need = Need::Where(
    |levels| used::any(levels, &["modern_browser", "ancient_browser", "msie"]),
    "no variable of the module is used",
);

const DIRECTIVES: &[Directive] = &[
    Directive::checked("modern_browser", HTTP_ANY, Arity::Between(1, 2), &Custom(modern_browser))
        .needs(BROWSER)
        .doc("Sets from which version on a browser is modern."),
    Directive::checked("ancient_browser", HTTP_ANY, Arity::AtLeast(1), &Custom(ancient_browser))
        .needs(BROWSER)
        .doc("Sets words that mark a browser as ancient."),
    Directive::checked("modern_browser_value", HTTP_ANY, Arity::Exactly(1), &Custom(browser_value))
        .needs(BROWSER)
        .doc("Sets the value of the variable of modern browsers."),
    Directive::checked("ancient_browser_value", HTTP_ANY, Arity::Exactly(1), &Custom(browser_value))
        .needs(BROWSER)
        .doc("Sets the value of the variable of ancient browsers."),
];

const NAMES: [&str; 7] = ["opera", "msie", "gecko", "konqueror", "safari", "chrome", "unlisted"];
/// Settings of the module.
#[derive(Default)]
struct Browser {
    modern: Vec<(Word, u32)>,
    ancient: Vec<Word>,
    values: Vec<(bool, Word)>,
}

impl Conf for Browser {
    fn inherit(&mut self, outer: &Self) {
        inherit!(self, outer; list modern, ancient, values);
    }
}

fn modern_browser(_: &mut Setting<'_>, conf: &mut Browser, statement: &Statement) -> Result<(), Diagnostic> {
    let [name, rest @ ..] = statement.arguments() else { return Ok(()) };
    let Some(version) = rest.first() else {
        if name.is("unlisted") {
            conf.modern.push((name.clone(), 0));
            return Ok(());
        }
        return Err(Diagnostic::silent());
    };
    let known = NAMES.iter().any(|known| name.bytes.eq_ignore_ascii_case(known.as_bytes()) && *known != "unlisted");
    let known = known || [&b"mozilla"[..], b"netscape"].iter().any(|other| name.bytes.eq_ignore_ascii_case(other));
    if !known {
        return Err(Diagnostic::emerg(format!("unknown browser name \"{}\"", name.text())).point(name.span));
    }
    let number = version_of(&version.bytes);
    let number = number.ok_or_else(|| Diagnostic::emerg(format!("invalid browser version \"{}\"", version.text())))?;
    conf.modern.push((name.clone(), number));
    Ok(())
}

/// `1.2.3.4` as one number.
fn version_of(text: &[u8]) -> Option<u32> {
    let mut parts = text.split(|byte| *byte == b'.');
    let number = |part: &[u8]| part.iter().all(u8::is_ascii_digit).then(|| value::number(part).unwrap_or(0));
    let all: Option<Vec<u64>> = parts.by_ref().map(number).collect();
    let all = all.filter(|all| all.len() <= 4)?;
    Some(all.iter().fold(0, |sum, part| sum * 100 + (*part % 10_000) as u32))
}

fn ancient_browser(_: &mut Setting<'_>, conf: &mut Browser, statement: &Statement) -> Result<(), Diagnostic> {
    conf.ancient.extend(statement.arguments().iter().cloned());
    Ok(())
}

fn browser_value(cx: &mut Setting<'_>, conf: &mut Browser, statement: &Statement) -> Result<(), Diagnostic> {
    let modern = cx.row.name == "modern_browser_value";
    conf.values.retain(|(known, _)| *known != modern);
    let Some(word) = statement.arguments().first() else { return Ok(()) };
    conf.values.push((modern, word.clone()));
    Ok(())
}
