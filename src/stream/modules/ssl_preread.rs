//! `ngx_stream_ssl_preread_module`: what a client's first bytes say, without ending TLS here.

use crate::conf::directive::{Arity, Directive, Support};
use crate::conf::effect::{Need, Omission};
use crate::conf::module::{Conf, Scope, inherit};
use crate::conf::slot::Flag;
use crate::session::contexts::STREAM_ANY;
use crate::session::used;
use crate::stream::module::Module;

/// The module.
pub fn modules() -> Vec<Module> {
    vec![Module::new(MODULE)]
}

const MODULE: crate::conf::module::Module = crate::conf::module::Module {
    name: "ngx_stream_ssl_preread_module",
    directives: &[Directive::new("ssl_preread", STREAM_ANY, Arity::Flag, &Flag(|c: &mut Preread| &mut c.enabled))
        .default("off")
        .since("1.11.5")
        .support(Support::Missing)
        .omitted(Omission::Closes("the addresses of the server are not opened"))
        .needs(Need::Where(|levels| used::any(levels, &["ssl_preread_"]), "no variable of the module is used"))
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
