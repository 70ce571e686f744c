//! `ngx_http_stub_status_module`: how busy the worker is, as text.

use crate::conf::diagnostic::Diagnostic;
use crate::conf::directive::{Arity, Directive};
use crate::conf::module::{Conf, Scope};
use crate::conf::slot::Custom;
use crate::conf::tree::Statement;
use crate::conf::walk::{Levels, Setting};
use crate::http::codec::h1::Method;
use crate::http::heart::client::Counters;
use crate::http::heart::handler::{Flow, Handler};
use crate::http::heart::module::{Compile, LocationBuilder, Module};
use crate::http::heart::request::Request;
use crate::script::variable::Variable;
use crate::session::contexts::{HTTP_LEVELS, LOCATION, SERVER};
use std::io::Write as _;
use std::sync::atomic::{AtomicU64, Ordering};

/// The module.
pub fn modules() -> Vec<Module> {
    vec![Module::new(MODULE).variables(VARIABLES).install(install)]
}

const MODULE: crate::conf::module::Module = crate::conf::module::Module {
    name: "ngx_http_stub_status_module",
    directives: &[Directive::new("stub_status", SERVER.or(LOCATION), Arity::OneOf(0b11), &Custom(stub_status))
        .doc("Answers requests with the numbers of connections and requests.")],
    scopes: &[Scope::of::<Status>(HTTP_LEVELS)],
};

static VARIABLES: &[Variable<Request>] = &[
    Variable::new("connections_active", |r, _, out| number(&r.connection.loop_state.counters.active, out)),
    Variable::new("connections_reading", |r, _, out| number(&r.connection.loop_state.counters.reading, out)),
    Variable::new("connections_writing", |r, _, out| number(&r.connection.loop_state.counters.writing, out)),
    Variable::new("connections_waiting", |r, _, out| number(&r.connection.loop_state.counters.waiting, out)),
];

fn number(counter: &AtomicU64, out: &mut Vec<u8>) -> bool {
    write!(out, "{}", counter.load(Ordering::Relaxed)).is_ok()
}

#[derive(Default)]
struct Status {
    on: bool,
}

impl Conf for Status {
    fn inherit(&mut self, _: &Self) {}
}

struct StubStatus;

fn install(levels: &Levels<'_>, place: &mut LocationBuilder, _: &mut Compile<'_, '_>) -> Result<(), Diagnostic> {
    if levels.level.own::<Status>().is_some_and(|status| status.on) {
        place.content(StubStatus);
    }
    Ok(())
}

impl Handler for StubStatus {
    fn run<'r>(&'r self, request: &'r mut Request) -> Flow<'r> {
        if !matches!(request.method, Method::Get | Method::Head) {
            return Flow::Finish(405);
        }
        if let Err(status) = request.skip_body() {
            return Flow::Finish(status);
        }
        let text = text(&request.connection.loop_state.counters);
        request.response.set(200, b"text/plain", text.into_bytes().into());
        Flow::Done
    }
}

fn text(counters: &Counters) -> String {
    let of = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
    let accepted = of(&counters.accepted);
    format!(
        "Active connections: {} \nserver accepts handled requests\n {accepted} {accepted} {} \nReading: {} Writing: {} Waiting: {} \n",
        of(&counters.active),
        of(&counters.requests),
        of(&counters.reading),
        of(&counters.writing),
        of(&counters.waiting),
    )
}

fn stub_status(_: &mut Setting<'_>, conf: &mut Status, _: &Statement) -> Result<(), Diagnostic> {
    conf.on = true;
    Ok(())
}
