//! `ngx_http_addition_filter_module`: text before and after a response.

use crate::conf::diagnostic::Diagnostic;
use crate::conf::directive::{Arity, Directive};
use crate::conf::module::{Conf, Scope, inherit};
use crate::conf::slot::Text;
use crate::conf::tree::Word;
use crate::conf::walk::Levels;
use crate::http::heart::filter::{BodyFilter, Failed, Filter, Include, Pieces, Slot, Then};
use crate::http::heart::module::{Compile, LocationBuilder, Module};
use crate::http::heart::request::Request;
use crate::session::contexts::{HTTP_ANY, HTTP_LEVELS};
use crate::session::slot::{MimeTypes, is_among};

/// The module.
pub fn modules() -> Vec<Module> {
    vec![Module::new(MODULE).install(install)]
}

const MODULE: crate::conf::module::Module = crate::conf::module::Module {
    name: "ngx_http_addition_filter_module",
    directives: DIRECTIVES,
    scopes: &[Scope::of::<Addition>(HTTP_LEVELS)],
};

const DIRECTIVES: &[Directive] = &[
    Directive::new("add_before_body", HTTP_ANY, Arity::Exactly(1), &Text(|c: &mut Addition| &mut c.add_before_body))
        .doc("Puts the answer to a subrequest before responses."),
    Directive::new("add_after_body", HTTP_ANY, Arity::Exactly(1), &Text(|c: &mut Addition| &mut c.add_after_body))
        .doc("Puts the answer to a subrequest after responses."),
    Directive::new(
        "addition_types",
        HTTP_ANY,
        Arity::AtLeast(1),
        &MimeTypes(|c: &mut Addition| &mut c.addition_types, "text/html"),
    )
    .since("0.7.9")
    .doc("Sets the MIME types of responses that are added to beside text/html."),
];

/// Settings of the module.
#[derive(Default)]
struct Addition {
    add_before_body: Option<Word>,
    add_after_body: Option<Word>,
    addition_types: Vec<Box<[u8]>>,
}

impl Conf for Addition {
    fn inherit(&mut self, outer: &Self) {
        inherit!(self, outer; list addition_types; add_before_body, add_after_body);
    }
}

fn install(levels: &Levels<'_>, place: &mut LocationBuilder, _: &mut Compile<'_, '_>) -> Result<(), Diagnostic> {
    let Some(conf) = levels.get::<Addition>() else { return Ok(()) };
    let named = |word: &Option<Word>| word.as_ref().map(|word| word.bytes.to_vec()).filter(|uri| !uri.is_empty());
    let (before, after) = (named(&conf.add_before_body), named(&conf.add_after_body));
    if before.is_some() || after.is_some() {
        place.filter(Adder { before, after, types: conf.addition_types.clone() });
    }
    Ok(())
}

/// `add_before_body` and `add_after_body` at a place.
struct Adder {
    before: Option<Vec<u8>>,
    after: Option<Vec<u8>>,
    types: Vec<Box<[u8]>>,
}

impl Filter for Adder {
    fn slot(&self) -> Slot {
        Slot::Addition
    }

    fn head(&self, request: &mut Request) -> Option<Box<dyn BodyFilter>> {
        let response = &mut request.response;
        if response.status != 200
            || request.parent.is_some()
            || !is_among(&self.types, "text/html", &response.content_type)
        {
            return None;
        }
        response.change_body();
        response.weaken_etag();
        Some(Box::new(Added { before: self.before.clone(), after: self.after.clone() }))
    }
}

/// What is still to be added to a response.
struct Added {
    before: Option<Vec<u8>>,
    after: Option<Vec<u8>>,
}

impl BodyFilter for Added {
    fn body(&mut self, _: &mut Request, bytes: &[u8], then: Then, out: &mut Pieces<'_>) -> Result<(), Failed> {
        if let Some(uri) = self.before.take() {
            out.include(Include { uri, ..Include::default() });
        }
        out.bytes().extend_from_slice(bytes);
        if then == Then::Last
            && let Some(uri) = self.after.take()
        {
            out.include(Include { uri, ..Include::default() });
        }
        Ok(())
    }
}
