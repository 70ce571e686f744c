//! `ngx_http_xslt_filter_module`: XML turned by style sheets. Checked, and refused for good.

use crate::conf::diagnostic::{Diagnostic, Severity};
use crate::conf::directive::{Arity, Directive};
use crate::conf::effect::Need;
use crate::conf::module::{Conf, Scope, inherit};
use crate::conf::slot::{Custom, Flag, Text};
use crate::conf::tree::{Statement, Word};
use crate::conf::walk::Setting;
use crate::http::heart::module::Module;
use crate::session::contexts::{HTTP_ANY, HTTP_LEVELS, LOCATION};
use crate::session::slot::MimeTypes;
use crate::session::used;

/// The module.
pub fn modules() -> Vec<Module> {
    vec![Module::new(MODULE)]
}

const MODULE: crate::conf::module::Module = crate::conf::module::Module {
    name: "ngx_http_xslt_filter_module",
    directives: DIRECTIVES,
    scopes: &[Scope::of::<Xslt>(HTTP_LEVELS)],
};

/// Why style sheets are not served.
const WHY: &str = "no maintained library in Rust transforms XSLT: transform in the program behind proxy_pass, or before the files are published";

const DIRECTIVES: &[Directive] = &[
    Directive::checked("xml_entities", HTTP_ANY, Arity::Exactly(1), &Text(|c: &mut Xslt| &mut c.xml_entities))
        .needs(Need::Rows(&["xslt_stylesheet"]))
        .refused(WHY)
        .doc("Sets the file of entities."),
    Directive::checked("xslt_stylesheet", LOCATION, Arity::AtLeast(1), &Custom(xslt_stylesheet))
        .refused(WHY)
        .doc("Sets a style sheet and its parameters."),
    Directive::checked("xslt_param", HTTP_ANY, Arity::Exactly(2), &Custom(xslt_param))
        .since("1.1.18")
        .needs(Need::Rows(&["xslt_stylesheet"]))
        .refused(WHY)
        .doc("Sets a parameter, an XPath expression."),
    Directive::checked("xslt_string_param", HTTP_ANY, Arity::Exactly(2), &Custom(xslt_param))
        .since("1.1.18")
        .needs(Need::Rows(&["xslt_stylesheet"]))
        .refused(WHY)
        .doc("Sets a parameter, a string."),
    Directive::checked("xslt_types", HTTP_ANY, Arity::AtLeast(1), &MimeTypes(|c: &mut Xslt| &mut c.types, "text/xml"))
        .needs(Need::Rows(&["xslt_stylesheet"]))
        .refused(WHY)
        .doc("Sets the MIME types that are turned beside text/xml."),
    Directive::checked("xslt_last_modified", HTTP_ANY, Arity::Flag, &Flag(|c: &mut Xslt| &mut c.last_modified))
        .default("off")
        .since("1.5.1")
        .needs(Need::Rows(&["xslt_stylesheet"]))
        .refused(WHY)
        .doc("Keeps the Last-Modified header."),
];

/// Settings of the module.
#[derive(Default)]
struct Xslt {
    xml_entities: Option<Word>,
    types: Vec<Box<[u8]>>,
    last_modified: Option<bool>,
    sheets: Vec<Word>,
    parameters: Vec<Word>,
}

impl Conf for Xslt {
    fn inherit(&mut self, outer: &Self) {
        inherit!(self, outer; list sheets, parameters, types; xml_entities, last_modified);
    }
}

fn xslt_stylesheet(cx: &mut Setting<'_>, conf: &mut Xslt, statement: &Statement) -> Result<(), Diagnostic> {
    let [sheet, parameters @ ..] = statement.arguments() else { return Ok(()) };
    for word in parameters {
        used::word(cx, word)?;
    }
    let path = cx.full(&sheet.text());
    if cx.read(&path).is_err() {
        let text = format!("xsltParseStylesheetFile(\"{path}\") failed");
        return Err(Diagnostic::new(Severity::Error, text).point(sheet.span));
    }
    conf.sheets.push(sheet.clone());
    Ok(())
}

fn xslt_param(cx: &mut Setting<'_>, conf: &mut Xslt, statement: &Statement) -> Result<(), Diagnostic> {
    let [name, value] = statement.arguments() else { return Ok(()) };
    used::word(cx, value)?;
    conf.parameters.push(name.clone());
    Ok(())
}
