//! Merged settings → a site: every module declares, then every server is installed, then sockets are joined.

use super::core::{Listens, ServerConf};
use super::listen::Listening;
use super::module::{Compile, Module, ServerBuilder};
use super::site::{Port, Server, Site, Virtual};
use super::upstream::Upstreams;
use super::variables;
use crate::conf::diagnostic::Diagnostic;
use crate::conf::module::Merged as _;
use crate::conf::walk::Levels;
use crate::log::Log;
use crate::net::address::Address;
use crate::script::variable::Names;
use crate::session::build::Build;
use crate::session::contexts::STREAM_SERVER;
use crate::session::errorlog;
use crate::session::resolver;
use crate::session::used::{self, Used};
use std::sync::Arc;

/// Builds the site of a `stream {}` level; `outer` is the log of the main block.
///
/// # Errors
/// The first fatal complaint.
pub fn site(levels: &Levels<'_>, build: &mut Build<'_>, outer: &Log) -> Result<Site, Diagnostic> {
    let modules = &super::modules::all();
    let mut names = Names::new(variables::VARIABLES.iter().copied(), variables::FAMILIES.to_vec());
    let upstreams = Upstreams::new(levels, &mut names, build)?;
    let mut cx = Compile { build, names, upstreams };
    declare(levels, modules, &mut cx)?;
    let (mut entries, mut checked) = (Vec::new(), Vec::new());
    for child in levels.level.children.iter().filter(|child| child.context == STREAM_SERVER) {
        let at = levels.inside(child);
        let server = server(&at, modules, &mut cx, outer);
        let Some(Some(server)) = cx.build.part(server)? else { continue };
        checked.extend(server.health.as_ref().map(|_| server.clone()));
        let listens = child.own::<Listens>().map(|conf| conf.listens.as_slice()).unwrap_or_default();
        for listening in listens {
            let found = listening.addresses(|host| cx.build.resolver.resolve(host));
            let found = cx.build.part(found)?.unwrap_or_default();
            entries.extend(found.into_iter().map(|address| (address, listening, server.clone())));
        }
    }
    let ports = sockets(entries);
    let Compile { build, names, upstreams } = cx;
    let used = levels.level.own::<Used>();
    used::unknown(used, &names, build)?;
    let definitions = names.finish().map_err(Diagnostic::emerg)?;
    Ok(Site { ports, definitions, upstreams, checked })
}

fn declare(levels: &Levels<'_>, modules: &[Module], cx: &mut Compile<'_, '_>) -> Result<(), Diagnostic> {
    for declare in modules.iter().filter_map(|module| module.declare) {
        let declared = declare(levels, cx);
        cx.build.part(declared)?;
    }
    levels.level.children.iter().try_for_each(|child| declare(&levels.inside(child), modules, cx))
}

fn server(
    levels: &Levels<'_>,
    modules: &[Module],
    cx: &mut Compile<'_, '_>,
    outer: &Log,
) -> Result<Option<Arc<Server>>, Diagnostic> {
    let before = cx.build.failed();
    let mut place = ServerBuilder::default();
    for install in modules.iter().filter_map(|module| module.install) {
        let installed = install(levels, &mut place, cx);
        cx.build.part(installed)?;
    }
    if cx.build.failed() > before {
        return Ok(None);
    }
    let Some(content) = place.content else {
        let complaint = Diagnostic::emerg("no handler for server");
        return Err(match levels.level.span {
            Some(span) => complaint.at(span),
            None => complaint,
        });
    };
    let conf = levels.get::<ServerConf>().merged()?;
    let resolver = resolver::lookup(levels, cx.build)?;
    let error_log = match conf.error_logs.as_slice() {
        [] => outer.clone(),
        logs => errorlog::log(logs, cx.build)?,
    };
    Ok(Some(Arc::new(Server {
        steps: place.steps.map(Vec::into_boxed_slice),
        content,
        tls: place.tls,
        preread_size: usize::try_from(conf.preread_buffer_size.merged()?).unwrap_or(usize::MAX),
        preread_timeout: conf.preread_timeout.merged()?,
        error_log,
        resolver,
        tcp_nodelay: conf.tcp_nodelay.merged()?,
        proxy_protocol_timeout: conf.proxy_protocol_timeout.merged()?,
        health: place.health,
    })))
}

/// Joins specific addresses onto a wildcard socket of the same port, unless they ask for a socket of their own.
fn sockets(entries: Vec<(Address, &Listening, Arc<Server>)>) -> Vec<Arc<Port>> {
    let wildcards: Vec<(Address, bool)> = entries
        .iter()
        .map(|(address, listening, _)| (address.clone(), listening.options.udp))
        .filter(|(address, _)| address.ip().is_some_and(|ip| ip.is_unspecified()))
        .collect();
    let mut ports: Vec<Port> = Vec::new();
    let mut guests = Vec::new();
    for (address, listening, server) in entries {
        let entry = Virtual {
            address: address.clone(),
            server,
            proxy_protocol: listening.proxy_protocol,
            secure: listening.ssl,
        };
        let udp = listening.options.udp;
        let host = wildcards.iter().find(|(wildcard, other)| {
            !listening.bind && *other == udp && *wildcard != address && covers(wildcard, &address)
        });
        match host {
            Some((host, _)) => guests.push((host.clone(), udp, entry)),
            None => ports.push(Port { address, options: listening.options.clone(), virtuals: vec![entry] }),
        }
    }
    for (host, udp, entry) in guests {
        if let Some(port) = ports.iter_mut().find(|port| port.address == host && port.options.udp == udp) {
            port.virtuals.insert(0, entry);
        }
    }
    ports.into_iter().map(Arc::new).collect()
}

fn covers(wildcard: &Address, address: &Address) -> bool {
    match (wildcard, address) {
        (Address::Ip(any), Address::Ip(one)) => any.port() == one.port() && any.is_ipv4() == one.is_ipv4(),
        _ => false,
    }
}
