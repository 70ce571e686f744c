//! `ngx_http_charset_filter_module`: charsets named and converted. Checked, not served yet.

use crate::conf::diagnostic::Diagnostic;
use crate::conf::directive::{Arity, Directive, Opens};
use crate::conf::effect::Need;
use crate::conf::module::{Conf, Scope, inherit};
use crate::conf::slot::{Custom, Flag};
use crate::conf::tree::{Statement, Word};
use crate::conf::walk::{Levels, Setting};
use crate::http::module::{Compile, Module};
use crate::session::contexts::{HTTP, HTTP_ANY, HTTP_ANY_IF, HTTP_LEVELS};
use crate::session::rows::each;
use crate::session::slot::{MimeTypes, free};
use crate::session::used;

/// The module.
pub fn modules() -> Vec<Module> {
    vec![Module::new(MODULE).check(check)]
}

const MODULE: crate::conf::module::Module = crate::conf::module::Module {
    name: "ngx_http_charset_filter_module",
    directives: DIRECTIVES,
    scopes: &[Scope::of::<Maps>(HTTP), Scope::of::<Charset>(HTTP_LEVELS)],
};

const DIRECTIVES: &[Directive] = &[
    Directive::checked("charset", HTTP_ANY_IF, Arity::Exactly(1), &Custom(charset))
        .default("off")
        .doc("Names the charset of responses, converted from source_charset where they differ."),
    Directive::checked("source_charset", HTTP_ANY_IF, Arity::Exactly(1), &Custom(source_charset))
        .needs(Need::Rows(&["charset"]))
        .doc("Sets the charset responses have."),
    Directive::checked("override_charset", HTTP_ANY_IF, Arity::Flag, &Flag(|c: &mut Charset| &mut c.override_charset))
        .default("off")
        .needs(Need::Rows(&["charset"]))
        .doc("Converts responses of backends that name a charset."),
    Directive::checked(
        "charset_types",
        HTTP_ANY,
        Arity::AtLeast(1),
        &MimeTypes(|c: &mut Charset| &mut c.charset_types, "text/html"),
    )
    .needs(Need::Rows(&["charset"]))
    .doc("Sets the MIME types charsets are named for beside text/html."),
    Directive::checked("charset_map", HTTP, Arity::Block(2, 2, Opens::Rows), &Custom(charset_map))
        .needs(Need::Rows(&["charset", "source_charset"]))
        .doc("Sets how one charset is converted to another."),
];

/// The maps of an http block: which charsets are converted to which.
#[derive(Default)]
struct Maps {
    pairs: Vec<(String, String)>,
}

impl Conf for Maps {
    fn inherit(&mut self, _: &Self) {}
}

/// What a charset row names.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Kind {
    Off,
    Variable,
    Name(String),
}

/// Settings of the module.
#[derive(Default)]
struct Charset {
    override_charset: Option<bool>,
    charset_types: Vec<Box<[u8]>>,
    charset: Option<Kind>,
    source: Option<Kind>,
}

impl Conf for Charset {
    fn inherit(&mut self, outer: &Self) {
        inherit!(self, outer; list charset_types; override_charset);
        inherit!(self, outer; charset, source);
    }
}

fn check(levels: &Levels<'_>, _: &mut Compile<'_, '_>) -> Result<(), Diagnostic> {
    let Some(conf) = levels.get::<Charset>() else { return Ok(()) };
    let (Some(Kind::Name(to)), Some(Kind::Name(from))) = (&conf.charset, &conf.source) else { return Ok(()) };
    let same = |a: &str, b: &str| a.eq_ignore_ascii_case(b);
    let pairs = levels.get::<Maps>().map(|maps| maps.pairs.as_slice()).unwrap_or_default();
    let known = pairs.iter().any(|(a, b)| same(a, from) && same(b, to) || same(b, from) && same(a, to));
    if known || same(from, to) {
        return Ok(());
    }
    let text = format!("no \"charset_map\" between the charsets \"{from}\" and \"{to}\"");
    Err(Diagnostic::emerg(text).unlined())
}

/// What the argument names; a variable is noted.
fn kind(cx: &mut Setting<'_>, word: &Word) -> Result<Kind, Diagnostic> {
    if !word.bytes.starts_with(b"$") {
        return Ok(Kind::Name(word.text().into_owned()));
    }
    let name = used::name(word)?;
    used::uses(cx, &name);
    Ok(Kind::Variable)
}

fn charset(cx: &mut Setting<'_>, conf: &mut Charset, statement: &Statement) -> Result<(), Diagnostic> {
    free(cx, &conf.charset)?;
    let Some(word) = statement.arguments().first() else { return Ok(()) };
    conf.charset = Some(if word.is("off") { Kind::Off } else { kind(cx, word)? });
    Ok(())
}

fn source_charset(cx: &mut Setting<'_>, conf: &mut Charset, statement: &Statement) -> Result<(), Diagnostic> {
    free(cx, &conf.source)?;
    let Some(word) = statement.arguments().first() else { return Ok(()) };
    conf.source = Some(kind(cx, word)?);
    Ok(())
}

fn charset_map(cx: &mut Setting<'_>, conf: &mut Maps, statement: &Statement) -> Result<(), Diagnostic> {
    let [from, to] = statement.arguments() else { return Ok(()) };
    let (from, to) = (from.text().into_owned(), to.text().into_owned());
    let same = |a: &str, b: &str| a.eq_ignore_ascii_case(b);
    if same(&from, &to) {
        let text = format!("\"charset_map\" between the same charsets \"{from}\" and \"{to}\"");
        return Err(Diagnostic::emerg(text));
    }
    let mut pair = [from.to_lowercase(), to.to_lowercase()];
    pair.sort();
    let first = cx.first("charsets", pair.join(" ").as_bytes(), statement.span);
    if conf.pairs.iter().any(|(a, b)| same(a, &from) && same(b, &to) || same(a, &to) && same(b, &from)) {
        let text = format!("duplicate \"charset_map\" between \"{from}\" and \"{to}\"");
        return Err(Diagnostic::emerg(text).earlier(first));
    }
    let wide = same(&to, "utf-8");
    conf.pairs.push((from, to));
    each(cx, statement, &mut |_, row| {
        let [from, to] = row.words.as_slice() else { return Err(Diagnostic::emerg("invalid parameters number")) };
        let fail = |word: &Word| Err(Diagnostic::emerg(format!("invalid value \"{}\"", word.text())));
        if byte(&from.bytes).is_none() {
            return fail(from);
        }
        let fine = match wide {
            true => {
                to.bytes.chunks(2).map(byte).collect::<Option<Vec<u8>>>().is_some_and(|bytes| begins_a_text(&bytes))
            }
            false => byte(&to.bytes).is_some(),
        };
        if fine { Ok(()) } else { fail(to) }
    })
}

/// Whether bytes begin with a character of UTF-8.
fn begins_a_text(bytes: &[u8]) -> bool {
    bytes.utf8_chunks().next().is_some_and(|chunk| !chunk.valid().is_empty())
}

/// A byte in hexadecimal digits.
fn byte(text: &[u8]) -> Option<u8> {
    let digit = |sum: u32, byte: &u8| Some(sum.checked_mul(16)? + (*byte as char).to_digit(16)?);
    let number = text.iter().try_fold(0_u32, digit).filter(|_| !text.is_empty())?;
    u8::try_from(number).ok()
}
