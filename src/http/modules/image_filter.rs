//! `ngx_http_image_filter_module`: pictures turned and resized. Checked, not served yet.

use crate::conf::diagnostic::Diagnostic;
use crate::conf::directive::{Arity, Directive};
use crate::conf::effect::Need;
use crate::conf::module::{Conf, Scope, inherit};
use crate::conf::slot::{Custom, Flag, Size};
use crate::conf::tree::{Statement, Word};
use crate::conf::value;
use crate::conf::walk::Setting;
use crate::http::heart::module::Module;
use crate::session::contexts::{HTTP_ANY, HTTP_LEVELS, LOCATION};
use crate::session::used;

/// The module.
pub fn modules() -> Vec<Module> {
    vec![Module::new(MODULE)]
}

const MODULE: crate::conf::module::Module = crate::conf::module::Module {
    name: "ngx_http_image_filter_module",
    directives: DIRECTIVES,
    scopes: &[Scope::of::<Image>(HTTP_LEVELS)],
};

const DIRECTIVES: &[Directive] = &[
    Directive::checked("image_filter", LOCATION, Arity::Between(1, 3), &Custom(image_filter))
        .words(&["off", "test", "size", "rotate", "resize", "crop"])
        .default("off")
        .doc("Sets what is done to pictures."),
    Directive::checked("image_filter_jpeg_quality", HTTP_ANY, Arity::Exactly(1), &Custom(quality))
        .default("75")
        .needs(Need::Rows(&["image_filter"]))
        .doc("Sets the quality of JPEG pictures."),
    Directive::checked("image_filter_webp_quality", HTTP_ANY, Arity::Exactly(1), &Custom(quality))
        .default("80")
        .since("1.11.6")
        .needs(Need::Rows(&["image_filter"]))
        .doc("Sets the quality of WebP pictures."),
    Directive::checked("image_filter_sharpen", HTTP_ANY, Arity::Exactly(1), &Custom(quality))
        .default("0")
        .needs(Need::Rows(&["image_filter"]))
        .doc("Sharpens pictures that were resized."),
    Directive::checked("image_filter_transparency", HTTP_ANY, Arity::Flag, &Flag(|c: &mut Image| &mut c.transparency))
        .default("on")
        .needs(Need::Rows(&["image_filter"]))
        .doc("Keeps the transparency of GIF and PNG pictures."),
    Directive::checked("image_filter_interlace", HTTP_ANY, Arity::Flag, &Flag(|c: &mut Image| &mut c.interlace))
        .default("off")
        .since("1.3.15")
        .needs(Need::Rows(&["image_filter"]))
        .doc("Interlaces pictures."),
    Directive::checked("image_filter_buffer", HTTP_ANY, Arity::Exactly(1), &Size(|c: &mut Image| &mut c.buffer))
        .default("1M")
        .needs(Need::Rows(&["image_filter"]))
        .doc("Sets the largest picture that is read."),
];

/// Settings of the module.
#[derive(Default)]
struct Image {
    transparency: Option<bool>,
    interlace: Option<bool>,
    buffer: Option<u64>,
    action: Option<Word>,
    numbers: Vec<(&'static str, Word)>,
}

impl Conf for Image {
    fn inherit(&mut self, outer: &Self) {
        inherit!(self, outer; transparency, interlace, buffer);
        inherit!(self, outer; list numbers; action);
    }
}

fn number(text: &[u8]) -> Option<u64> {
    if text == b"-" { Some(u64::MAX) } else { value::number(text) }
}

fn image_filter(cx: &mut Setting<'_>, conf: &mut Image, statement: &Statement) -> Result<(), Diagnostic> {
    let fail = |word: &Word| Err(Diagnostic::emerg(format!("invalid parameter \"{}\"", word.text())).point(word.span));
    let numbers = match statement.arguments() {
        [word] if word.is("off") || word.is("test") || word.is("size") => &[][..],
        [word, degrees] if word.is("rotate") => {
            let right = [b"90".as_slice(), b"180", b"270"].contains(&&*degrees.bytes);
            if !right && !used::varies(&degrees.bytes) {
                return fail(degrees);
            }
            std::slice::from_ref(degrees)
        }
        [word, sizes @ ..] if sizes.len() == 2 && (word.is("resize") || word.is("crop")) => sizes,
        [word, ..] => return fail(word),
        [] => return Ok(()),
    };
    for word in numbers {
        used::word(cx, word)?;
        if !used::varies(&word.bytes) && number(&word.bytes).is_none_or(|number| number == 0) {
            return fail(word);
        }
    }
    conf.action = statement.arguments().first().cloned();
    Ok(())
}

fn quality(cx: &mut Setting<'_>, conf: &mut Image, statement: &Statement) -> Result<(), Diagnostic> {
    let name = cx.row.name;
    if conf.numbers.iter().any(|(known, _)| *known == name) {
        return Err(cx.complain("is duplicate"));
    }
    let Some(word) = statement.arguments().first() else { return Ok(()) };
    used::word(cx, word)?;
    let bad = !used::varies(&word.bytes) && number(&word.bytes).is_none_or(|number| number == 0);
    // nginx takes any text for the sharpness.
    if bad && name != "image_filter_sharpen" {
        return Err(Diagnostic::emerg(format!("invalid value \"{}\"", word.text())).point(word.span));
    }
    conf.numbers.push((name, word.clone()));
    Ok(())
}
