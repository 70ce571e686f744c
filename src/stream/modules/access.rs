//! `ngx_stream_access_module`: the stream half of a twin.

use crate::conf::diagnostic::Diagnostic;
use crate::conf::walk::Levels;
use crate::log::Level;
use crate::session::access::Rules;
use crate::stream::module::{Compile, Module, ServerBuilder};
use crate::stream::session::Session;
use crate::stream::site::{Flow, Handler, Phase};

/// The module.
pub fn modules() -> Vec<Module> {
    vec![Module::twin("ngx_stream_access_module").install(install)]
}

struct Access {
    rules: Rules,
}

fn install(levels: &Levels<'_>, place: &mut ServerBuilder, _: &mut Compile<'_, '_>) -> Result<(), Diagnostic> {
    if let Some(rules) = levels.get::<Rules>().filter(|rules| !rules.is_empty()) {
        place.step(Phase::Access, Access { rules: rules.clone() });
    }
    Ok(())
}

impl Handler for Access {
    fn run(&self, session: &mut Session) -> Flow {
        match self.rules.verdict(session.client_address()) {
            None => Flow::Next,
            Some(true) => Flow::Pass,
            Some(false) => {
                session.log(Level::Error, "access forbidden by rule while initializing session", "");
                Flow::Finish(403)
            }
        }
    }
}
