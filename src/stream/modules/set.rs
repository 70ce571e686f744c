//! `ngx_stream_set_module`: `set`.

use crate::conf::diagnostic::Diagnostic;
use crate::conf::directive::{Arity, Directive};
use crate::conf::module::{Conf, Scope};
use crate::conf::slot::Custom;
use crate::conf::tree::{Statement, Word};
use crate::conf::walk::{Levels, Setting};
use crate::script::variable::{SlotId, Subject as _};
use crate::session::contexts::STREAM_SERVER;
use crate::stream::module::{Compile, Module, ServerBuilder};
use crate::stream::session::{Session, Text};
use crate::stream::site::{Flow, Handler, Phase};

/// The module.
pub fn modules() -> Vec<Module> {
    vec![Module::new(MODULE).declare(declare).install(install)]
}

const MODULE: crate::conf::module::Module = crate::conf::module::Module {
    name: "ngx_stream_set_module",
    directives: &[Directive::new("set", STREAM_SERVER, Arity::Exactly(2), &Custom(set))
        .since("1.19.3")
        .doc("Gives a variable a value, which may have variables in it.")],
    scopes: &[Scope::of::<Sets>(STREAM_SERVER)],
};

#[derive(Default)]
struct Sets {
    sets: Vec<(Word, Word)>,
}

impl Conf for Sets {
    fn inherit(&mut self, _: &Self) {}
}

struct Assign {
    to: SlotId,
    value: Text,
}

fn name(word: &Word) -> String {
    word.text().strip_prefix('$').unwrap_or_default().to_owned()
}

fn sets<'a>(levels: &Levels<'a>) -> &'a [(Word, Word)] {
    levels.level.own::<Sets>().map(|conf| conf.sets.as_slice()).unwrap_or_default()
}

fn declare(levels: &Levels<'_>, cx: &mut Compile<'_, '_>) -> Result<(), Diagnostic> {
    for (to, _) in sets(levels) {
        cx.names.write(&name(to)).map_err(|duplicate| duplicate.complaint().at(to.span))?;
    }
    Ok(())
}

fn install(levels: &Levels<'_>, place: &mut ServerBuilder, cx: &mut Compile<'_, '_>) -> Result<(), Diagnostic> {
    for (to, value) in sets(levels) {
        let id = cx.names.write(&name(to)).map_err(|duplicate| duplicate.complaint().at(to.span))?;
        let value = cx.text(value)?;
        place.step(Phase::PostAccept, Assign { to: id, value });
    }
    Ok(())
}

impl Handler for Assign {
    fn run(&self, session: &mut Session) -> Flow {
        let value = self.value.text(session);
        session.slots().put(self.to, &value);
        Flow::Next
    }
}

fn set(_: &mut Setting<'_>, conf: &mut Sets, statement: &Statement) -> Result<(), Diagnostic> {
    let [to, value] = statement.arguments() else { return Ok(()) };
    if name(to).is_empty() {
        return Err(Diagnostic::emerg(format!("invalid variable name \"{}\"", to.text())).point(to.span));
    }
    conf.sets.push((to.clone(), value.clone()));
    Ok(())
}
