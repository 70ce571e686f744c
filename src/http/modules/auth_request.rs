//! `ngx_http_auth_request_module`: a subrequest decides who may.

use crate::conf::diagnostic::Diagnostic;
use crate::conf::directive::{Arity, Directive};
use crate::conf::module::{Conf, Scope, inherit};
use crate::conf::slot::Custom;
use crate::conf::tree::{Statement, Word};
use crate::conf::walk::{Levels, Setting};
use crate::http::heart::handler::{Explain, Flow, Handler, Phase};
use crate::http::heart::module::{Compile, LocationBuilder, Module, Text};
use crate::http::heart::request::Request;
use crate::log::Level;
use crate::script::variable::{Assign, Definition, Duplicate, SlotId};
use crate::session::contexts::{HTTP_ANY, HTTP_LEVELS};
use crate::session::used;

/// The module.
pub fn modules() -> Vec<Module> {
    vec![Module::new(MODULE).declare(declare).install(install)]
}

const MODULE: crate::conf::module::Module = crate::conf::module::Module {
    name: "ngx_http_auth_request_module",
    directives: &[
        Directive::new("auth_request", HTTP_ANY, Arity::Exactly(1), &Custom(auth_request))
            .doc("Sets the URI of a subrequest whose status decides: 2xx lets in, 401 and 403 keep out."),
        Directive::new("auth_request_set", HTTP_ANY, Arity::Exactly(2), &Custom(auth_request_set))
            .doc("Gives a variable a value after the subrequest."),
    ],
    scopes: &[Scope::of::<Auth>(HTTP_LEVELS)],
};

#[derive(Default)]
struct Auth {
    uri: Option<Word>,
    set: Vec<(Word, Word)>,
}

impl Conf for Auth {
    fn inherit(&mut self, outer: &Self) {
        inherit!(self, outer; list set; uri);
    }
}

struct AuthRequest {
    uri: Vec<u8>,
    set: Vec<(Destination, Text)>,
}

/// Where a value goes.
enum Destination {
    /// To a name of the configuration.
    Slot(SlotId),
    /// To a built-in, such as `$args`.
    Builtin(Assign<Request>),
}

/// What can be set of the built-in called `name`.
fn builtin(name: &str, cx: &Compile<'_, '_>) -> Option<Assign<Request>> {
    cx.names.builtin(name).and_then(|variable| variable.assign)
}

fn name_of(word: &Word) -> String {
    String::from_utf8_lossy(word.after("$").unwrap_or_default()).into_owned()
}

fn declare(levels: &Levels<'_>, cx: &mut Compile<'_, '_>) -> Result<(), Diagnostic> {
    let Some(auth) = levels.level.own::<Auth>() else { return Ok(()) };
    for (name, _) in &auth.set {
        let text = name_of(name);
        if builtin(&text, cx).is_none() {
            cx.names.define(&text, Definition::Stored).map_err(|duplicate| duplicate.complaint().at(name.span))?;
        }
    }
    Ok(())
}

fn install(levels: &Levels<'_>, place: &mut LocationBuilder, cx: &mut Compile<'_, '_>) -> Result<(), Diagnostic> {
    let Some(auth) = levels.get::<Auth>() else { return Ok(()) };
    let Some(uri) = auth.uri.as_ref().filter(|uri| !uri.is("off")) else { return Ok(()) };
    let mut set = Vec::new();
    for (name, value) in &auth.set {
        let value = cx.text(value)?;
        let name = name_of(name);
        let destination = match builtin(&name, cx) {
            Some(assign) => Destination::Builtin(assign),
            None => Destination::Slot(cx.names.define(&name, Definition::Stored).map_err(Duplicate::complaint)?),
        };
        set.push((destination, value));
    }
    place.step(Phase::Access, AuthRequest { uri: uri.bytes.to_vec(), set });
    Ok(())
}

impl Handler for AuthRequest {
    fn run<'r>(&'r self, request: &'r mut Request) -> Flow<'r> {
        Flow::Wait(Box::pin(async move {
            let sub = request.subrequest(&self.uri).await;
            self.answered(request, &sub)
        }))
    }

    fn explains(&self) -> Option<&dyn Explain> {
        Some(self)
    }
}

impl Explain for AuthRequest {
    fn asks(&self) -> Option<&[u8]> {
        Some(&self.uri)
    }

    fn answered(&self, request: &mut Request, answer: &Request) -> Flow<'static> {
        for (destination, value) in &self.set {
            let text = value.text(answer);
            match destination {
                Destination::Slot(id) => request.slots.put(*id, &text),
                Destination::Builtin(assign) => assign(request, &text),
            }
        }
        match answer.response.final_status() {
            200..300 => Flow::Pass,
            401 => {
                let headers = answer.response.headers.iter();
                for (_, value) in headers.filter(|(name, _)| name.eq_ignore_ascii_case(b"WWW-Authenticate")) {
                    request.response.headers.add(b"WWW-Authenticate", value);
                }
                Flow::Finish(401)
            }
            403 => Flow::Finish(403),
            status => {
                request.log(Level::Error, &format!("auth request unexpected status: {status}"));
                Flow::Finish(500)
            }
        }
    }
}

fn auth_request(cx: &mut Setting<'_>, conf: &mut Auth, statement: &Statement) -> Result<(), Diagnostic> {
    if conf.uri.is_some() {
        return Err(cx.duplicate());
    }
    conf.uri = statement.words.get(1).cloned();
    Ok(())
}

fn auth_request_set(cx: &mut Setting<'_>, conf: &mut Auth, statement: &Statement) -> Result<(), Diagnostic> {
    let [name, value] = statement.arguments() else { return Ok(()) };
    let own = used::name(name)?;
    used::uses(cx, &own);
    used::word(cx, value)?;
    conf.set.push((name.clone(), value.clone()));
    Ok(())
}
