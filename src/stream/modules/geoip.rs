//! `ngx_stream_geoip_module` and the third party's `ngx_stream_geoip2_module`: the stream halves of twins.

use crate::conf::diagnostic::Diagnostic;
use crate::conf::walk::Levels;
use crate::session::geoip::second::Watched;
use crate::session::geoip::{self, second};
use crate::stream::module::{Compile, Module, ServerBuilder};
use crate::stream::session::Session;
use crate::stream::site::{Flow, Handler, Phase};
use std::sync::Arc;

/// The modules.
pub fn modules() -> Vec<Module> {
    let first = Module::twin("ngx_stream_geoip_module").declare(|levels, cx| geoip::declare(levels, &mut cx.names));
    let second = Module::twin("ngx_stream_geoip2_module").declare(|levels, cx| second::declare(levels, &mut cx.names));
    vec![first, second.install(install)]
}

fn install(levels: &Levels<'_>, place: &mut ServerBuilder, _: &mut Compile<'_, '_>) -> Result<(), Diagnostic> {
    let files = second::watched(levels);
    if !files.is_empty() {
        place.step(Phase::Log, Watch { files });
    }
    Ok(())
}

/// Looks at the files under `auto_reload` when a session has ended.
struct Watch {
    files: Vec<Arc<Watched>>,
}

impl Handler for Watch {
    fn run(&self, session: &mut Session) -> Flow {
        for (level, text) in self.files.iter().filter_map(Watched::watch) {
            session.log(level, &text, "");
        }
        Flow::Next
    }
}
