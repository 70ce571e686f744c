//! `ngx_http_perl_module`: handlers and variables in Perl. Checked, and refused for good.

use crate::conf::diagnostic::Diagnostic;
use crate::conf::directive::{Arity, Directive};
use crate::conf::effect::{Need, Omission};
use crate::conf::module::{Conf, Scope, inherit};
use crate::conf::slot::{Custom, List};
use crate::conf::tree::{Statement, Word};
use crate::conf::walk::{Levels, Setting};
use crate::http::heart::module::{Compile, Module};
use crate::script::variable::Definition;
use crate::session::contexts::{HTTP, HTTP_LEVELS, LIMIT_EXCEPT, LOCATION};
use crate::session::slot::free;
use crate::session::used;

/// The module.
pub fn modules() -> Vec<Module> {
    vec![Module::new(MODULE).declare(declare)]
}

const MODULE: crate::conf::module::Module = crate::conf::module::Module {
    name: "ngx_http_perl_module",
    directives: DIRECTIVES,
    scopes: &[Scope::of::<Perl>(HTTP), Scope::of::<Answer>(HTTP_LEVELS)],
};

/// Why Perl is not served.
const WHY: &str = "no program is run inside the server: pass such requests on to one, with proxy_pass or fastcgi_pass";

const DIRECTIVES: &[Directive] = &[
    Directive::checked("perl_modules", HTTP, Arity::Exactly(1), &List(|c: &mut Perl| &mut c.modules))
        .needs(Need::Rows(&["perl", "perl_set"]))
        .refused(WHY)
        .doc("Sets where Perl modules are."),
    Directive::checked("perl_require", HTTP, Arity::Exactly(1), &List(|c: &mut Perl| &mut c.require))
        .needs(Need::Rows(&["perl", "perl_set"]))
        .refused(WHY)
        .doc("Names a module to load."),
    Directive::checked("perl_set", HTTP, Arity::Exactly(2), &Custom(perl_set))
        .refused(WHY)
        .doc("Defines a variable by a function."),
    Directive::checked("perl", LOCATION.or(LIMIT_EXCEPT), Arity::Exactly(1), &Custom(perl))
        .omitted(Omission::ClosesHere("requests are answered with 503"))
        .refused(WHY)
        .doc("Answers by a function."),
];

/// The function of a location.
#[derive(Default)]
struct Answer {
    function: Option<Word>,
}

impl Conf for Answer {
    fn inherit(&mut self, _: &Self) {}
}

/// Settings of the module.
#[derive(Default)]
struct Perl {
    modules: Vec<Word>,
    require: Vec<Word>,
    variables: Vec<Word>,
}

impl Conf for Perl {
    fn inherit(&mut self, outer: &Self) {
        inherit!(self, outer; list modules, require);
    }
}

fn declare(levels: &Levels<'_>, cx: &mut Compile<'_, '_>) -> Result<(), Diagnostic> {
    for word in levels.level.own::<Perl>().map(|conf| conf.variables.as_slice()).unwrap_or_default() {
        cx.names
            .define(&used::name(word)?, Definition::Stored)
            .map_err(|duplicate| duplicate.complaint().at(word.span))?;
    }
    Ok(())
}

fn perl_set(_: &mut Setting<'_>, conf: &mut Perl, statement: &Statement) -> Result<(), Diagnostic> {
    let Some(word) = statement.arguments().first() else { return Ok(()) };
    used::name(word)?;
    conf.variables.push(word.clone());
    Ok(())
}

fn perl(cx: &mut Setting<'_>, conf: &mut Answer, statement: &Statement) -> Result<(), Diagnostic> {
    free(cx, &conf.function)?;
    conf.function = statement.arguments().first().cloned();
    Ok(())
}
