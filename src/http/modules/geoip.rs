//! `ngx_http_geoip_module` and the third party's `ngx_http_geoip2_module`: the http halves of twins.

use crate::conf::diagnostic::Diagnostic;
use crate::conf::walk::Levels;
use crate::http::heart::handler::{Flow, Handler, Phase};
use crate::http::heart::module::{Compile, LocationBuilder, Module};
use crate::http::heart::request::Request;
use crate::session::geoip::second::Watched;
use crate::session::geoip::{self, second};
use std::sync::Arc;

/// The modules, with stream's rows beside their own.
pub fn modules() -> Vec<Module> {
    let ([http, stream], [http2, stream2]) = (geoip::MODULES, second::MODULES);
    let first = Module::new(http).declare(|levels, cx| geoip::declare(levels, &mut cx.names));
    let second = Module::new(http2).declare(|levels, cx| second::declare(levels, &mut cx.names)).install(install);
    vec![first, Module::new(stream), second, Module::new(stream2)]
}

fn install(levels: &Levels<'_>, place: &mut LocationBuilder, _: &mut Compile<'_, '_>) -> Result<(), Diagnostic> {
    let files = second::watched(levels);
    if !files.is_empty() {
        place.step(Phase::Log, Watch { files });
    }
    Ok(())
}

/// Looks at the files under `auto_reload` when a request has ended.
struct Watch {
    files: Vec<Arc<Watched>>,
}

impl Handler for Watch {
    fn run<'r>(&'r self, request: &'r mut Request) -> Flow<'r> {
        for (level, text) in self.files.iter().filter_map(Watched::watch) {
            request.log(level, &format!("{text} while logging request"));
        }
        Flow::Next
    }
}
