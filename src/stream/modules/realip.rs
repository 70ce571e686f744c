//! `ngx_stream_realip_module`: the client a trusted PROXY protocol head names.

use crate::conf::diagnostic::Diagnostic;
use crate::conf::directive::{Arity, Directive};
use crate::conf::module::{Conf, Scope, inherit};
use crate::conf::slot::Custom;
use crate::conf::tree::{Statement, Word};
use crate::conf::value::{self, Network};
use crate::conf::walk::{Levels, Setting};
use crate::net::address::Address;
use crate::session::contexts::STREAM_ANY;
use crate::stream::module::{Compile, Flow, Handler, Module, Phase, Place};
use crate::stream::session::Session;
use std::net::{IpAddr, SocketAddr};

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

#[derive(Clone, Debug)]
enum Trusted {
    Unix,
    Network(Network),
    Host(Word),
}

#[derive(Default)]
struct From {
    from: Vec<Trusted>,
}

impl Conf for From {
    fn inherit(&mut self, outer: &Self) {
        inherit!(self, outer; list from);
    }
}

struct RealIp {
    networks: Vec<Network>,
    unix: bool,
}

fn install(levels: &Levels<'_>, place: &mut Place, cx: &mut Compile<'_, '_>) -> Result<(), Diagnostic> {
    let Some(conf) = levels.get::<From>().filter(|conf| !conf.from.is_empty()) else { return Ok(()) };
    let mut step = RealIp { networks: Vec::new(), unix: false };
    for trusted in &conf.from {
        match trusted {
            Trusted::Unix => step.unix = true,
            Trusted::Network(network) => step.networks.push(*network),
            Trusted::Host(word) => {
                let found = cx.build.resolver.resolve(&word.text());
                if found.is_empty() {
                    let text = format!("host not found in set_real_ip_from \"{}\"", word.text());
                    return Err(Diagnostic::emerg(text).at(word.span));
                }
                let whole = |ip: IpAddr| Network { address: ip, bits: if ip.is_ipv4() { 32 } else { 128 } };
                step.networks.extend(found.into_iter().map(whole));
            }
        }
    }
    place.step(Phase::PostAccept, step);
    Ok(())
}

impl Handler for RealIp {
    fn run(&self, session: &mut Session) -> Flow {
        let Some(header) = &session.proxied else { return Flow::Next };
        let trusted = match &session.peer {
            Address::Ip(peer) => self.networks.iter().any(|network| network.holds(peer.ip())),
            Address::Unix(_) => self.unix,
        };
        if trusted && let Ok(ip) = header.source.parse::<IpAddr>() {
            session.real = Some(Box::new(Address::Ip(SocketAddr::new(ip, header.source_port))));
        }
        Flow::Next
    }
}

fn set_real_ip_from(cx: &mut Setting<'_>, conf: &mut From, statement: &Statement) -> Result<(), Diagnostic> {
    let Some(word) = statement.arguments().first() else { return Ok(()) };
    if word.is("unix:") {
        conf.from.push(Trusted::Unix);
        return Ok(());
    }
    conf.from.push(match value::network(&word.bytes) {
        Some((network, odd)) => {
            if odd {
                cx.warn(statement, format!("low address bits of {} are meaningless", word.text()));
            }
            Trusted::Network(network)
        }
        None => Trusted::Host(word.clone()),
    });
    Ok(())
}
