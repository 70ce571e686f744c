//! `ngx_http_mirror_module`: copies of requests.

use crate::conf::bytes;
use crate::conf::diagnostic::Diagnostic;
use crate::conf::directive::{Arity, Directive};
use crate::conf::module::{Conf, Scope, inherit};
use crate::conf::slot::{Custom, Flag};
use crate::conf::tree::{Statement, Word};
use crate::conf::walk::{Levels, Setting};
use crate::http::heart::handler::{Explain, Flow, Handler, Phase};
use crate::http::heart::module::{Compile, LocationBuilder, Module};
use crate::http::heart::request::Request;
use crate::http::heart::trace::Trace;
use crate::net::event_loop;
use crate::session::contexts::{HTTP_ANY, HTTP_LEVELS};

/// The module.
pub fn modules() -> Vec<Module> {
    vec![Module::new(MODULE).install(install)]
}

const MODULE: crate::conf::module::Module = crate::conf::module::Module {
    name: "ngx_http_mirror_module",
    directives: DIRECTIVES,
    scopes: &[Scope::of::<Mirror>(HTTP_LEVELS)],
};

const DIRECTIVES: &[Directive] = &[
    Directive::new("mirror", HTTP_ANY, Arity::Exactly(1), &Custom(mirror))
        .default("off")
        .since("1.13.4")
        .doc("Sends a copy of requests to another URI, and ignores the answer."),
    Directive::new("mirror_request_body", HTTP_ANY, Arity::Flag, &Flag(|c: &mut Mirror| &mut c.request_body))
        .default("on")
        .since("1.13.4")
        .doc("Sends the bodies too."),
];

/// Settings of the module.
#[derive(Default)]
struct Mirror {
    request_body: Option<bool>,
    targets: Option<Vec<Word>>,
}

impl Conf for Mirror {
    fn inherit(&mut self, outer: &Self) {
        inherit!(self, outer; request_body);
        inherit!(self, outer; targets);
    }
}

/// Sends copies of requests to other places.
struct Mirrors {
    targets: Vec<Vec<u8>>,
    request_body: bool,
}

fn install(levels: &Levels<'_>, place: &mut LocationBuilder, _: &mut Compile<'_, '_>) -> Result<(), Diagnostic> {
    let Some(conf) = levels.get::<Mirror>() else { return Ok(()) };
    let targets: Vec<Vec<u8>> = conf.targets.iter().flatten().map(|word| word.bytes.to_vec()).collect();
    if !targets.is_empty() {
        place.step(Phase::Precontent, Mirrors { targets, request_body: conf.request_body.unwrap_or(true) });
    }
    Ok(())
}

impl Mirrors {
    /// Starts the copies.
    ///
    /// Differs from nginx: the next request of a connection does not wait for them. [test: mirrors_do_not_hold_up_the_next_request]
    fn send(&self, request: &Request) {
        for uri in &self.targets {
            let mut copy = request.made_for(uri);
            // All of it is the path, as in nginx.
            copy.set_uri(uri, request.has_args.then_some(request.args.as_slice()));
            copy.method = request.method;
            copy.forced_get = request.forced_get;
            copy.body = request.body.shared();
            if copy.is_too_deep() {
                continue;
            }
            event_loop::spawn(async move { copy.run_inner().await });
        }
    }
}

impl Handler for Mirrors {
    fn run<'r>(&'r self, request: &'r mut Request) -> Flow<'r> {
        if request.is_subrequest() {
            return Flow::Next;
        }
        if !self.request_body {
            self.send(request);
            return Flow::Next;
        }
        Flow::Wait(Box::pin(async move {
            if let Err(status) = request.save_body(request.location.body_in_file).await {
                return Flow::Finish(status);
            }
            self.send(request);
            Flow::Next
        }))
    }

    fn explains(&self) -> Option<&dyn Explain> {
        Some(self)
    }
}

impl Explain for Mirrors {
    fn explain(&self, _: &mut Request, trace: &mut Trace) -> Option<Flow<'static>> {
        for uri in &self.targets {
            trace.notes("mirror", format!("a copy goes to {}", bytes::text(uri)));
        }
        Some(Flow::Next)
    }
}

fn mirror(cx: &mut Setting<'_>, conf: &mut Mirror, statement: &Statement) -> Result<(), Diagnostic> {
    let Some(word) = statement.arguments().first() else { return Ok(()) };
    match (&mut conf.targets, word.is("off")) {
        (Some(_), true) => return Err(cx.duplicate()),
        (Some(targets), false) if targets.is_empty() => return Err(cx.duplicate()),
        (Some(targets), false) => targets.push(word.clone()),
        (none, true) => *none = Some(Vec::new()),
        (none, false) => *none = Some(vec![word.clone()]),
    }
    Ok(())
}
