//! `ngx_stream_realip_module`: the client a trusted PROXY protocol head names.

use crate::conf::diagnostic::Diagnostic;
use crate::conf::directive::{Arity, Directive};
use crate::conf::module::{Conf, Scope, inherit};
use crate::conf::slot::Custom;
use crate::conf::tree::Statement;
use crate::conf::value;
use crate::conf::walk::{Levels, Setting};
use crate::net::address::Address;
use crate::session::contexts::STREAM_ANY;
use crate::session::forwarded::{self, Believed, Trusted};
use crate::stream::module::{Compile, Module, ServerBuilder};
use crate::stream::session::Session;
use crate::stream::site::{Flow, Handler, Phase};
use std::net::SocketAddr;

/// The module.
pub fn modules() -> Vec<Module> {
    vec![Module::new(MODULE).install(install)]
}

const MODULE: crate::conf::module::Module = crate::conf::module::Module {
    name: "ngx_stream_realip_module",
    directives: &[Directive::new("set_real_ip_from", STREAM_ANY, Arity::Exactly(1), &Custom(set_real_ip_from))
        .since("1.11.4")
        .doc("Names a network whose PROXY protocol heads are believed.")],
    scopes: &[Scope::of::<From>(STREAM_ANY)],
};

#[derive(Default)]
struct From {
    from: Vec<Trusted>,
}

impl Conf for From {
    fn inherit(&mut self, outer: &Self) {
        inherit!(self, outer; list from);
    }
}

struct RealIp(Believed);

fn install(levels: &Levels<'_>, place: &mut ServerBuilder, cx: &mut Compile<'_, '_>) -> Result<(), Diagnostic> {
    let Some(conf) = levels.get::<From>().filter(|conf| !conf.from.is_empty()) else { return Ok(()) };
    place.step(Phase::PostAccept, RealIp(Believed::new(&conf.from, cx.build.resolver)?));
    Ok(())
}

impl Handler for RealIp {
    fn run(&self, session: &mut Session) -> Flow {
        let Some(header) = &session.proxied else { return Flow::Next };
        let trusted = self.0.holds(&session.peer);
        if trusted && let Some(ip) = value::ip(header.source.as_bytes()) {
            session.real = Some(Box::new(Address::Ip(SocketAddr::new(ip, header.source_port))));
        }
        Flow::Next
    }
}

fn set_real_ip_from(cx: &mut Setting<'_>, conf: &mut From, statement: &Statement) -> Result<(), Diagnostic> {
    conf.from.extend(forwarded::trusted(cx, statement));
    Ok(())
}
