//! `ngx_http_browser_module`: which browsers are modern.

use crate::conf::diagnostic::Diagnostic;
use crate::conf::directive::{Arity, Directive};
use crate::conf::module::{Conf, Scope, inherit};
use crate::conf::slot::Custom;
use crate::conf::tree::{Statement, Word};
use crate::conf::walk::{Levels, Setting};
use crate::http::heart::head::Known;
use crate::http::heart::module::{Compile, LocationBuilder, Module};
use crate::http::heart::request::Request;
use crate::script::variable::Variable;
use crate::session::contexts::{HTTP_ANY, HTTP_LEVELS};
use memchr::memmem;

/// The module.
pub fn modules() -> Vec<Module> {
    vec![Module::new(MODULE).variables(VARIABLES).install(install)]
}

const MODULE: crate::conf::module::Module = crate::conf::module::Module {
    name: "ngx_http_browser_module",
    directives: DIRECTIVES,
    scopes: &[Scope::of::<Browser>(HTTP_LEVELS)],
};

const DIRECTIVES: &[Directive] = &[
    Directive::new("modern_browser", HTTP_ANY, Arity::Between(1, 2), &Custom(modern_browser)).doc(
        "Sets from which version on a browser is modern: opera, msie, gecko, safari, konqueror, or those unlisted.",
    ),
    Directive::new("ancient_browser", HTTP_ANY, Arity::AtLeast(1), &Custom(ancient_browser))
        .doc("Sets words that mark a browser as ancient."),
    Directive::new("modern_browser_value", HTTP_ANY, Arity::Exactly(1), &Custom(browser_value))
        .doc("Sets the value of the variable of modern browsers."),
    Directive::new("ancient_browser_value", HTTP_ANY, Arity::Exactly(1), &Custom(browser_value))
        .doc("Sets the value of the variable of ancient browsers."),
];

static VARIABLES: &[Variable<Request>] = &[
    Variable::new("msie", msie).changeable(),
    Variable::new("modern_browser", |request, _, out| put(request, true, out)).changeable(),
    Variable::new("ancient_browser", |request, _, out| put(request, false, out)).changeable(),
];

/// A kind of browser, how much of its name's beginning is passed over, and the word before its version.
struct Kind {
    name: &'static str,
    skip: usize,
    word: &'static [u8],
    /// How many bytes the word and what follows it take.
    add: usize,
}

const fn kind(name: &'static str, skip: &str, word: &'static [u8], add: usize) -> Kind {
    Kind { name, skip: skip.len(), word, add }
}

/// In the order they are looked for: Opera calls itself by others' names.
const KINDS: [Kind; 5] = [
    kind("opera", "", b"Opera", 6),
    kind("msie", "Mozilla/4.0 (compatible; ", b"MSIE ", 5),
    kind("gecko", "Mozilla/5.0 (", b"rv:", 3),
    kind("safari", "Mozilla/5.0 (", b"Safari/", 7),
    kind("konqueror", "Mozilla/5.0 (compatible; ", b"Konqueror/", 10),
];
/// A version that no browser has.
const NEVER: u64 = 4_001_000_000;

/// Settings of the module.
#[derive(Default)]
struct Browser {
    /// Kinds by number, and their first modern versions.
    modern: Vec<(usize, u64)>,
    unlisted: bool,
    ancient: Vec<Word>,
    netscape4: bool,
    modern_value: Option<Word>,
    ancient_value: Option<Word>,
}

impl Conf for Browser {
    fn inherit(&mut self, outer: &Self) {
        if self.modern.is_empty() && !self.unlisted {
            self.modern.clone_from(&outer.modern);
            self.unlisted = outer.unlisted;
        }
        if self.ancient.is_empty() && !self.netscape4 {
            self.ancient.clone_from(&outer.ancient);
            self.netscape4 = outer.netscape4;
        }
        inherit!(self, outer; modern_value, ancient_value);
    }
}

/// The settings of a place.
///
/// Differs from nginx: `modern_browser` of the http block holds for its servers; there it is never prepared for use. [test: modern_browsers_of_the_http_block_hold_for_its_servers]
struct Browsers {
    modern: Vec<(usize, u64)>,
    unlisted: bool,
    ancient: Vec<Vec<u8>>,
    netscape4: bool,
    /// What the variables of modern and of ancient browsers are.
    values: [Vec<u8>; 2],
}

fn install(levels: &Levels<'_>, place: &mut LocationBuilder, _: &mut Compile<'_, '_>) -> Result<(), Diagnostic> {
    let Some(conf) = levels.get::<Browser>() else { return Ok(()) };
    let mut modern = conf.modern.clone();
    if !modern.is_empty() && !modern.iter().any(|(kind, _)| *kind == 0) {
        modern.push((0, NEVER));
    }
    modern.sort_by_key(|(kind, _)| *kind);
    let value = |word: &Option<Word>| word.as_ref().map_or_else(|| b"1".to_vec(), |word| word.bytes.to_vec());
    place.attach(Browsers {
        modern,
        unlisted: conf.unlisted,
        ancient: conf.ancient.iter().map(|word| word.bytes.to_vec()).collect(),
        netscape4: conf.netscape4,
        values: [value(&conf.modern_value), value(&conf.ancient_value)],
    });
    Ok(())
}

/// Whether a browser is Internet Explorer, which Opera calls itself too.
fn msie(request: &Request, _: u32, out: &mut Vec<u8>) -> bool {
    let agent = request.header(Known::UserAgent).unwrap_or_default();
    let has = |word: &[u8]| memmem::find(agent, word).is_some();
    if has(b"MSIE ") && !has(b"Opera") {
        out.push(b'1');
    }
    true
}

/// The value of the variable of modern or of ancient browsers.
fn put(request: &Request, modern: bool, out: &mut Vec<u8>) -> bool {
    let agent = request.header(Known::UserAgent);
    let browsers = request.location.attached::<Browsers>();
    if browsers.is_some_and(|browsers| browsers.is_modern(agent)) == modern {
        let value = browsers.and_then(|browsers| browsers.values.get(usize::from(!modern)));
        out.extend_from_slice(value.map_or(b"1", Vec::as_slice));
    }
    true
}

impl Browsers {
    fn is_modern(&self, agent: Option<&[u8]>) -> bool {
        let Some(agent) = agent else { return self.unlisted };
        for (number, least) in &self.modern {
            let Some(kind) = KINDS.get(*number) else { continue };
            let rest = agent.get(kind.skip..).filter(|rest| !rest.is_empty());
            let found = rest.and_then(|rest| rest.get(memmem::find(rest, kind.word)? + kind.add..));
            if let Some(version) = found.filter(|version| !version.is_empty()) {
                return version_of(version).0 >= *least;
            }
        }
        if !self.modern.is_empty() && !self.unlisted {
            return false;
        }
        let netscape = agent.len() > "Mozilla/4.72 ".len()
            && agent.starts_with(b"Mozilla/")
            && agent.get(8).is_some_and(|digit| (b'1'..b'5').contains(digit));
        if self.netscape4 && netscape || self.ancient.iter().any(|word| memmem::find(agent, word).is_some()) {
            return false;
        }
        self.unlisted
    }
}

/// `1.2.3.4` as one number, and what follows it.
fn version_of(text: &[u8]) -> (u64, &[u8]) {
    let end = text.iter().position(|byte| !byte.is_ascii_digit() && *byte != b'.').unwrap_or(text.len());
    let (digits, rest) = text.split_at(end);
    let scales = [1_000_000, 10_000, 100, 1].into_iter().chain(std::iter::repeat(0));
    let number =
        |part: &[u8]| part.iter().fold(0_u64, |sum, digit| sum.wrapping_mul(10).wrapping_add(u64::from(digit - b'0')));
    let parts = digits.split(|byte| *byte == b'.').zip(scales);
    (parts.fold(0, |sum, (part, scale)| sum.wrapping_add(number(part).wrapping_mul(scale))), rest)
}

fn modern_browser(_: &mut Setting<'_>, conf: &mut Browser, statement: &Statement) -> Result<(), Diagnostic> {
    let [name, rest @ ..] = statement.arguments() else { return Ok(()) };
    let Some(version) = rest.first() else {
        if name.is("unlisted") {
            conf.unlisted = true;
            return Ok(());
        }
        return Err(Diagnostic::silent());
    };
    let Some(kind) = KINDS.iter().position(|kind| name.bytes.eq_ignore_ascii_case(kind.name.as_bytes())) else {
        return Err(Diagnostic::emerg(format!("unknown browser name \"{}\"", name.text())).point(name.span));
    };
    match version_of(&version.bytes) {
        (number, []) => conf.modern.push((kind, number)),
        _ => return Err(Diagnostic::emerg(format!("invalid browser version \"{}\"", version.text()))),
    }
    Ok(())
}

fn ancient_browser(_: &mut Setting<'_>, conf: &mut Browser, statement: &Statement) -> Result<(), Diagnostic> {
    for word in statement.arguments() {
        if word.is("netscape4") {
            conf.netscape4 = true;
        } else {
            conf.ancient.push(word.clone());
        }
    }
    Ok(())
}

fn browser_value(cx: &mut Setting<'_>, conf: &mut Browser, statement: &Statement) -> Result<(), Diagnostic> {
    let word = statement.arguments().first().cloned();
    if cx.row.name == "modern_browser_value" {
        conf.modern_value = word;
    } else {
        conf.ancient_value = word;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_numbers_of_four_parts() {
        assert_eq!(version_of(b"5.0"), (5_000_000, &b""[..]));
        assert_eq!(version_of(b"1.2.3.4.5 x"), (1_020_304, &b" x"[..]));
        assert_eq!(version_of(b"x"), (0, &b"x"[..]));
    }
}
