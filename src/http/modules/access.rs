//! `ngx_http_access_module`: the http half of a twin.

use crate::conf::diagnostic::Diagnostic;
use crate::conf::walk::Levels;
use crate::http::heart::handler::{Flow, Handler, Phase};
use crate::http::heart::module::{Compile, LocationBuilder, Module};
use crate::http::heart::request::Request;
use crate::log::Level;
use crate::session::access::{self, Rules};

/// The module, with stream's rows beside its own.
pub fn modules() -> Vec<Module> {
    let [http, stream] = access::MODULES;
    vec![Module::new(http).install(install), Module::new(stream)]
}

struct Access {
    rules: Rules,
}

fn install(levels: &Levels<'_>, place: &mut LocationBuilder, _: &mut Compile<'_, '_>) -> Result<(), Diagnostic> {
    if let Some(rules) = levels.get::<Rules>().filter(|rules| !rules.is_empty()) {
        place.step(Phase::Access, Access { rules: rules.clone() });
    }
    Ok(())
}

impl Handler for Access {
    fn run<'r>(&'r self, request: &'r mut Request) -> Flow<'r> {
        match self.rules.verdict(request.client()) {
            None => Flow::Next,
            Some(true) => Flow::Pass,
            Some(false) => {
                if !request.location.settings.satisfy_any {
                    request.log(Level::Error, "access forbidden by rule");
                }
                Flow::Finish(403)
            }
        }
    }
}
