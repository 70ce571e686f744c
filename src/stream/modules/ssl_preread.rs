//! `ngx_stream_ssl_preread_module`: what a client's first bytes say, without ending TLS here.

use crate::conf::diagnostic::Diagnostic;
use crate::conf::directive::{Arity, Directive};
use crate::conf::module::{Conf, Scope, inherit};
use crate::conf::slot::Flag;
use crate::conf::walk::Levels;
use crate::session::contexts::STREAM_ANY;
use crate::stream::module::{Compile, Module, ServerBuilder};
use crate::stream::session::Session;
use crate::stream::site::{Flow, Handler, Phase};
use crate::tls::preread::{self, Preread as Read};

/// The module.
pub fn modules() -> Vec<Module> {
    vec![Module::new(MODULE).install(install)]
}

const MODULE: crate::conf::module::Module = crate::conf::module::Module {
    name: "ngx_stream_ssl_preread_module",
    directives: &[Directive::new("ssl_preread", STREAM_ANY, Arity::Flag, &Flag(|c: &mut Preread| &mut c.enabled))
        .default("off")
        .since("1.11.5")
        .doc("Reads the server's name and the protocols from the client's first message.")],
    scopes: &[Scope::of::<Preread>(STREAM_ANY)],
};

/// Whether first messages are read.
#[derive(Default)]
struct Preread {
    enabled: Option<bool>,
}

impl Conf for Preread {
    fn inherit(&mut self, outer: &Self) {
        inherit!(self, outer; enabled);
    }
}

fn install(levels: &Levels<'_>, place: &mut ServerBuilder, _: &mut Compile<'_, '_>) -> Result<(), Diagnostic> {
    if levels.get::<Preread>().is_some_and(|conf| conf.enabled == Some(true)) {
        place.step(Phase::Preread, Step);
    }
    Ok(())
}

/// Reads the client's first message.
struct Step;

impl Handler for Step {
    fn run(&self, session: &mut Session) -> Flow {
        match preread::read(&session.preread) {
            Read::More => Flow::More,
            Read::NotTls => Flow::Next,
            Read::Hello(hello) => {
                session.hello = Some(Box::new(hello));
                Flow::Pass
            }
        }
    }
}
