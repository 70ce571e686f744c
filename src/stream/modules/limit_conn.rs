//! `ngx_stream_limit_conn_module`: the stream half of a twin.

use crate::conf::diagnostic::Diagnostic;
use crate::conf::walk::Levels;
use crate::session::limit_conn::{Entry, Limiter, Limits, Zones};
use crate::stream::module::{Compile, Module, ServerBuilder};
use crate::stream::session::Session;
use crate::stream::site::{Flow, Handler, Phase};

/// The module.
pub fn modules() -> Vec<Module> {
    vec![Module::twin("ngx_stream_limit_conn_module").install(install)]
}

fn install(levels: &Levels<'_>, place: &mut ServerBuilder, cx: &mut Compile<'_, '_>) -> Result<(), Diagnostic> {
    let Some(limits) = levels.get::<Limits>() else { return Ok(()) };
    if let Some(limiter) = Limiter::<Session>::new(limits, levels.get::<Zones>(), &mut cx.names, cx.build)? {
        place.step(Phase::Preaccess, limiter);
    }
    Ok(())
}

impl Handler for Limiter<Session> {
    fn run(&self, session: &mut Session) -> Flow {
        match self.enter(session) {
            Entry::Passed(tickets) => {
                session.limit_conn_status = "PASSED";
                session.tickets = tickets;
                Flow::Next
            }
            Entry::Refused(zone) => {
                let dry = if self.dry_run { ", dry run," } else { "" };
                session.log(
                    self.level,
                    &format!("limiting connections{dry} by zone \"{zone}\" while initializing session"),
                    "",
                );
                if self.dry_run {
                    session.limit_conn_status = "REJECTED_DRY_RUN";
                    return Flow::Next;
                }
                session.limit_conn_status = "REJECTED";
                Flow::Finish(503)
            }
        }
    }
}
