//! `ngx_http_limit_conn_module`: the http half of a twin.

use crate::conf::diagnostic::Diagnostic;
use crate::conf::walk::Levels;
use crate::http::heart::handler::{Flow, Handler, Phase};
use crate::http::heart::module::{Compile, LocationBuilder, Module};
use crate::http::heart::request::Request;
use crate::session::limit_conn::{self, Entry, Limiter, Limits, Zones};

/// The module, with stream's rows beside its own.
pub fn modules() -> Vec<Module> {
    let [http, stream] = limit_conn::MODULES;
    vec![Module::new(http).install(install), Module::new(stream)]
}

fn install(levels: &Levels<'_>, place: &mut LocationBuilder, cx: &mut Compile<'_, '_>) -> Result<(), Diagnostic> {
    let Some(limits) = levels.get::<Limits>() else { return Ok(()) };
    if let Some(limiter) = Limiter::<Request>::new(limits, levels.get::<Zones>(), &mut cx.names, cx.build)? {
        place.step(Phase::Preaccess, limiter);
    }
    Ok(())
}

impl Handler for Limiter<Request> {
    fn run<'r>(&'r self, request: &'r mut Request) -> Flow<'r> {
        if !request.limit_conn_status.is_empty() {
            return Flow::Next;
        }
        match self.enter(request) {
            Entry::Passed(tickets) => {
                // Nothing is counted for an empty key.
                if !tickets.is_empty() {
                    request.limit_conn_status = "PASSED";
                }
                request.held.extend(tickets.into_iter().map(|ticket| Box::new(ticket) as Box<dyn std::any::Any>));
                Flow::Next
            }
            Entry::Refused(zone) => {
                let dry = if self.dry_run { ", dry run," } else { "" };
                request.log(self.level, &format!("limiting connections{dry} by zone \"{zone}\""));
                if self.dry_run {
                    request.limit_conn_status = "REJECTED_DRY_RUN";
                    return Flow::Next;
                }
                request.limit_conn_status = "REJECTED";
                Flow::Finish(self.status)
            }
        }
    }
}
