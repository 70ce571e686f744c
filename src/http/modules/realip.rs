//! `ngx_http_realip_module`: the client a trusted proxy names, for as long as the request lasts.

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
use crate::net::address::Address;
use crate::script::variable::Variable;
use crate::session::contexts::{HTTP_ANY, HTTP_LEVELS};
use crate::session::forwarded::{self, Believed, Trusted};
use crate::session::slot::free;
use std::io::Write as _;
use std::net::SocketAddr;
use std::sync::Arc;

/// The module.
pub fn modules() -> Vec<Module> {
    vec![Module::new(MODULE).variables(VARIABLES).declare(declare).install(install)]
}

const MODULE: crate::conf::module::Module = crate::conf::module::Module {
    name: "ngx_http_realip_module",
    directives: &[
        Directive::new("set_real_ip_from", HTTP_ANY, Arity::Exactly(1), &Custom(set_real_ip_from))
            .doc("Sets the networks and hosts whose word on the client is taken."),
        Directive::new("real_ip_header", HTTP_ANY, Arity::Exactly(1), &Custom(real_ip_header))
            .default("X-Real-IP")
            .doc("Sets the header that names the client."),
        Directive::new("real_ip_recursive", HTTP_ANY, Arity::Flag, &Flag(|c: &mut RealIp| &mut c.recursive))
            .default("off")
            .since("1.3.0")
            .doc("Takes the last address that is not trusted itself."),
    ],
    scopes: &[Scope::of::<RealIp>(HTTP_LEVELS)],
};

static VARIABLES: &[Variable<Request>] = &[
    Variable::new("realip_remote_addr", |request, _, out| match &request.connection.peer {
        Address::Ip(address) => write!(out, "{}", address.ip()).is_ok(),
        Address::Unix(_) => out.write_all(b"unix:").is_ok(),
    }),
    Variable::new("realip_remote_port", |request, _, out| match &request.connection.peer {
        Address::Ip(address) if address.port() > 0 => write!(out, "{}", address.port()).is_ok(),
        _ => true,
    }),
];

/// Settings of the module.
#[derive(Default)]
struct RealIp {
    recursive: Option<bool>,
    from: Vec<Trusted>,
    header: Option<Word>,
}

impl Conf for RealIp {
    fn inherit(&mut self, outer: &Self) {
        inherit!(self, outer; list from; header, recursive);
    }
}

/// Where the client is named.
enum Header {
    /// `X-Forwarded-For`, of which there may be several.
    Forwarded,
    /// The PROXY protocol head.
    Protocol,
    /// The first of a name.
    Named(Vec<u8>),
}

/// The module at work.
struct Names {
    believed: Believed,
    header: Header,
}

fn declare(levels: &Levels<'_>, cx: &mut Compile<'_, '_>) -> Result<(), Diagnostic> {
    let Some(conf) = levels.level.own::<RealIp>() else { return Ok(()) };
    Believed::new(&conf.from, cx.build.resolver).map(drop)
}

fn install(levels: &Levels<'_>, place: &mut LocationBuilder, cx: &mut Compile<'_, '_>) -> Result<(), Diagnostic> {
    let Some(conf) = levels.get::<RealIp>().filter(|conf| !conf.from.is_empty()) else { return Ok(()) };
    let mut believed = Believed::new(&conf.from, cx.build.resolver)?;
    believed.recursive = conf.recursive.unwrap_or(false);
    let header = conf.header.as_ref().map(|word| word.bytes.to_ascii_lowercase()).unwrap_or_default();
    let header = match header.as_slice() {
        b"" => Header::Named(b"x-real-ip".to_vec()),
        b"x-forwarded-for" => Header::Forwarded,
        b"proxy_protocol" => Header::Protocol,
        name => Header::Named(name.to_vec()),
    };
    let names = Arc::new(Names { believed, header });
    place.step(Phase::PostRead, Step(names.clone()));
    place.step(Phase::Preaccess, Step(names));
    Ok(())
}

/// The module has handlers in two phases: the second uses the location's own settings.
struct Step(Arc<Names>);

impl Handler for Step {
    fn run<'r>(&'r self, request: &'r mut Request) -> Flow<'r> {
        // Once a request is enough.
        if request.real.is_none() {
            request.real = self.0.client(request).map(Address::Ip);
        }
        Flow::Next
    }

    fn explains(&self) -> Option<&dyn Explain> {
        Some(self)
    }
}

impl Explain for Step {
    fn explain(&self, request: &mut Request, trace: &mut Trace) -> Option<Flow<'static>> {
        let before = request.client().host_text();
        let _ = self.run(request);
        let after = request.client().host_text();
        if before != after {
            trace.notes("real_ip", format!("{before} is believed: the client is {after}"));
        }
        Some(Flow::Next)
    }
}

impl Names {
    fn client(&self, request: &Request) -> Option<SocketAddr> {
        match &self.header {
            Header::Protocol => {
                let proxied = request.connection.proxied.borrow();
                let head = proxied.as_ref()?;
                let found = self.believed.client(&request.connection.peer, std::iter::once(head.source.as_bytes()))?;
                Some(SocketAddr::new(found.ip(), head.source_port))
            }
            Header::Forwarded => {
                let lines: Vec<&[u8]> = request.head.named(b"x_forwarded_for").collect();
                self.believed.client(&request.connection.peer, lines.into_iter().rev())
            }
            Header::Named(name) => {
                let mut lines = request.head.iter();
                let (_, line, _) = lines.find(|(header, _, _)| header.eq_ignore_ascii_case(name))?;
                self.believed.client(&request.connection.peer, std::iter::once(line))
            }
        }
    }
}

fn set_real_ip_from(cx: &mut Setting<'_>, conf: &mut RealIp, statement: &Statement) -> Result<(), Diagnostic> {
    conf.from.extend(forwarded::trusted(cx, statement));
    Ok(())
}

fn real_ip_header(cx: &mut Setting<'_>, conf: &mut RealIp, statement: &Statement) -> Result<(), Diagnostic> {
    free(cx, &conf.header)?;
    conf.header = statement.arguments().first().cloned();
    Ok(())
}
