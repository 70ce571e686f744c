//! `ngx_http_degradation_module`: answers where memory is short. Checked, not served yet.

use crate::conf::diagnostic::Diagnostic;
use crate::conf::directive::{Arity, Directive};
use crate::conf::effect::Omission;
use crate::conf::module::{Conf, Scope, inherit};
use crate::conf::slot::{Choice, Custom};
use crate::conf::tree::Statement;
use crate::conf::value;
use crate::conf::walk::Setting;
use crate::http::heart::module::Module;
use crate::session::contexts::{HTTP, HTTP_ANY, HTTP_LEVELS};

/// The module.
pub fn modules() -> Vec<Module> {
    vec![Module::new(MODULE)]
}

const MODULE: crate::conf::module::Module = crate::conf::module::Module {
    name: "ngx_http_degradation_module",
    directives: DIRECTIVES,
    scopes: &[Scope::of::<Degradation>(HTTP_LEVELS)],
};

const DIRECTIVES: &[Directive] = &[
    Directive::checked("degradation", HTTP, Arity::Exactly(1), &Custom(degradation))
        .words(&["sbrk="])
        .omitted(Omission::Tunes("it watches the memory of nginx's own processes"))
        .doc("Sets how much memory may be used before requests are refused."),
    Directive::checked("degrade", HTTP_ANY, Arity::Exactly(1), &Choice(|c: &mut Degradation| &mut c.degrade, ANSWERS))
        .omitted(Omission::Tunes("it watches the memory of nginx's own processes"))
        .doc("Sets the status requests are refused with."),
];

const ANSWERS: &[(&str, u8)] = &[("204", 0), ("444", 1)];
/// Settings of the module.
#[derive(Default)]
struct Degradation {
    degrade: Option<u8>,
    memory: Option<u64>,
}

impl Conf for Degradation {
    fn inherit(&mut self, outer: &Self) {
        inherit!(self, outer; degrade);
    }
}

fn degradation(cx: &mut Setting<'_>, conf: &mut Degradation, statement: &Statement) -> Result<(), Diagnostic> {
    let Some(word) = statement.arguments().first() else { return Ok(()) };
    let size = word.after("sbrk=").map(|text| value::size(text, true));
    match size {
        Some(Some(size)) => conf.memory = Some(size),
        Some(None) => return Err(Diagnostic::emerg(format!("invalid sbrk size \"{}\"", word.text()))),
        None => return Err(Diagnostic::emerg(format!("invalid parameter \"{}\"", word.text()))),
    }
    let _ = cx;
    Ok(())
}
