//! Merged settings → a site: every module declares, then every place is installed, then names and addresses are joined.

use crate::conf::diagnostic::{At, Diagnostic};
use crate::conf::module::Merged as _;
use crate::conf::source::Span;
use crate::conf::walk::{Kinds, Level, Levels};
use crate::http::heart::handler::{Handler, Phase};
use crate::http::heart::health::HealthCheck;
use crate::http::heart::location::{Locations, Pattern};
use crate::http::heart::module::{Check, Compile, LocationBuilder, Module};
use crate::http::heart::port::{Port, Virtual};
use crate::http::heart::secure::ServerTls;
use crate::http::heart::settings::{Settings, Types};
use crate::http::heart::site::{Except, HeadSettings, Kept, Location, Server, Site};
use crate::http::heart::upstream::Upstreams;
use crate::http::modules::core::listen;
use crate::http::modules::core::listen::Listening;
use crate::http::modules::core::{LocationConf, Main, Opened, ServerConf, opened};
use crate::http::modules::{http2, ssl};
use crate::http::route::closed::Closed;
use crate::log::Log;
use crate::net::address::Address;
use crate::script::variable::{Definition, Names};
use crate::session::build::Build;
use crate::session::contexts::{IF_IN_LOCATION, LIMIT_EXCEPT, LOCATION, SERVER};
use crate::session::hashing::{self, Sizes};
use crate::session::used::{self, Used};
use hashbrown::HashMap;
use std::any::TypeId;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;

/// Builds the site of an `http {}` level; `outer` is the log of the main block.
///
/// # Errors
/// The first fatal complaint.
pub fn site(levels: &Levels<'_>, modules: &[Module], build: &mut Build<'_>, outer: &Log) -> Result<Site, Diagnostic> {
    let variables =
        crate::http::route::variables::VARIABLES.iter().chain(modules.iter().flat_map(|module| module.variables));
    let mut names = Names::new(variables.copied(), crate::http::route::variables::FAMILIES.to_vec());
    let used = levels.level.own::<Used>();
    for name in used.into_iter().flat_map(Used::names) {
        let _ = names.meaning(name);
    }
    let upstreams = Upstreams::new(levels, &mut names, build)?;
    let mut cx = Compile { build, names, upstreams, made: HashMap::new() };
    let caches = crate::http::gateway::cache::caches(levels, &mut cx);
    let caches = cx.build.part(caches)?.unwrap_or_default();
    declare(levels, modules, &mut cx)?;
    check(levels, modules, &mut cx)?;
    let mut builder = Builder { modules, types: Vec::new(), plain: None, outer, checked: Vec::new() };
    let mut checked = Vec::new();
    let mut servers = Vec::new();
    for child in levels.level.children.iter().filter(|child| child.context == SERVER) {
        let server = levels.inside(child);
        let made = builder.server(&server, &mut cx);
        let server = cx.build.part(made)?;
        let own = std::mem::take(&mut builder.checked);
        if let Some(server) = &server {
            checked.extend(own.into_iter().map(|place| (server.clone(), place)));
        }
        servers.extend(server.map(|server| (server, child)));
    }
    let ports = ports(levels, &servers, &mut cx)?;
    let Compile { names, upstreams, .. } = cx;
    if let Some(sizes) = levels.level.own::<Main>().and_then(Main::variables) {
        let warning = hashing::check("variables_hash", names.all().map(str::as_bytes), sizes)?;
        build.complaints.extend(warning);
    }
    let kept = Kept {
        upstream: names.uses("upstream_http_") || names.uses("upstream_cookie_"),
        sent: names.uses("sent_http_"),
    };
    used::unknown(used, &names, build)?;
    let definitions = names.finish().map_err(|text| Diagnostic::emerg(text).unlined())?;
    Ok(Site { ports, definitions, upstreams, kept, caches, checked })
}

/// Merged settings, module by module and server by server, as nginx merges them when the http block ends.
fn check(levels: &Levels<'_>, modules: &[Module], cx: &mut Compile<'_, '_>) -> Result<(), Diagnostic> {
    let placed = |complaint: Diagnostic| match (complaint.at, levels.level.end) {
        (At::Nowhere, Some(end)) => complaint.at(end),
        _ => complaint,
    };
    for (module, run) in modules.iter().filter_map(|module| Some((module, module.check?))) {
        let kin = modules.iter().filter(|other| other.conf.name == module.conf.name);
        let scopes = kin.flat_map(|other| other.conf.scopes);
        let types: Vec<TypeId> = scopes.map(|scope| (scope.type_of)()).collect();
        let mut kinds = Kinds::default();
        types.iter().for_each(|of| kinds.add(*of));
        let check = Checked { types, kinds, run };
        for child in levels.level.children.iter().filter(|child| child.context == SERVER) {
            check.inside(&levels.inside(child), cx, &placed)?;
        }
    }
    Ok(())
}

/// A module's check, and the settings it is about.
struct Checked {
    types: Vec<TypeId>,
    kinds: Kinds,
    run: Check,
}

impl Checked {
    fn inside(
        &self,
        levels: &Levels<'_>,
        cx: &mut Compile<'_, '_>,
        placed: &dyn Fn(Diagnostic) -> Diagnostic,
    ) -> Result<(), Diagnostic> {
        // Where a level has nothing of its own, all was found in order at the level around it.
        let own = levels.level.has(&self.types);
        if own || self.types.is_empty() || levels.level.context == SERVER {
            let checked = (self.run)(levels, cx).map_err(placed);
            cx.build.part(checked)?;
        }
        let all = self.types.is_empty();
        let mut children = levels.level.children.iter().filter(|child| all || child.may_hold(self.kinds));
        children.try_for_each(|child| self.inside(&levels.inside(child), cx, placed))
    }
}

fn declare(levels: &Levels<'_>, modules: &[Module], cx: &mut Compile<'_, '_>) -> Result<(), Diagnostic> {
    for declare in modules.iter().filter_map(|module| module.declare) {
        let declared = declare(levels, cx);
        cx.build.part(declared)?;
    }
    for child in &levels.level.children {
        let declared = declare_names(child, cx);
        cx.build.part(declared)?;
        declare(&levels.inside(child), modules, cx)?;
    }
    Ok(())
}

/// The names that expressions of server names and locations bring.
fn declare_names(level: &Level, cx: &mut Compile<'_, '_>) -> Result<(), Diagnostic> {
    let mut names = Vec::new();
    if let Some(conf) = level.own::<ServerConf>() {
        for word in &conf.names {
            let expression = word.after("~").and_then(|name| listen::expression(name).ok());
            names.extend(expression.map(|expression| (expression, Some(word.span))));
        }
    }
    if let Some(Pattern::Regex(text, caseless)) = opened(level) {
        let expression = crate::script::regex::Expression::compile(text, *caseless).ok();
        names.extend(expression.map(|expression| (expression, level.span)));
    }
    for (expression, span) in &names {
        for (_, name) in expression.names() {
            cx.names.define(name, Definition::Stored).map_err(|duplicate| match span {
                Some(span) => duplicate.complaint().at(*span),
                None => duplicate.complaint(),
            })?;
        }
    }
    Ok(())
}

/// Whether a place must not answer; an `if` is passed on as its location is.
fn is_closed(levels: &Levels<'_>) -> bool {
    let shares = [IF_IN_LOCATION, LIMIT_EXCEPT].contains(&levels.level.context);
    let around = levels.outer.filter(|_| shares);
    levels.level.is_closed() || around.is_some_and(|outer| outer.level.is_closed())
}

/// A location, the TLS of a server, and the methods a `limit_except` is not for.
type Made = (Location, Option<Arc<ServerTls>>, Vec<Box<[u8]>>);

/// Types as configured: extension to type.
type TypeMap = BTreeMap<Vec<u8>, Vec<u8>>;

struct Builder<'a> {
    modules: &'a [Module],
    /// Type tables made so far, by the map they come from.
    types: Vec<(Arc<TypeMap>, Arc<Types>)>,
    /// The map of those who have none.
    plain: Option<Arc<TypeMap>>,
    outer: &'a Log,
    /// Locations whose servers are checked.
    checked: Vec<Arc<Location>>,
}

impl Builder<'_> {
    fn server(&mut self, levels: &Levels<'_>, cx: &mut Compile<'_, '_>) -> Result<Arc<Server>, Diagnostic> {
        let conf = levels.get::<ServerConf>();
        let own = levels.level.own::<ServerConf>();
        let (base, tls, _) = self.place(levels, cx)?;
        let base = Arc::new(base);
        let locations = self.locations(levels, cx)?;
        let name = own.and_then(|conf| conf.names.first()).map(|word| word.bytes.to_vec()).unwrap_or_default();
        let name = if name == b"$hostname" { host_name() } else { name };
        let head = HeadSettings::new(conf.merged()?)?;
        let name = name.strip_prefix(b".").map(<[u8]>::to_vec).unwrap_or(name);
        let h2 = http2::settings(levels)?;
        Ok(Arc::new(Server { name, base, locations, head, tls, h2 }))
    }

    fn locations(&mut self, levels: &Levels<'_>, cx: &mut Compile<'_, '_>) -> Result<Locations, Diagnostic> {
        let mut all = Vec::new();
        for child in levels.level.children.iter().filter(|child| child.context == LOCATION) {
            let made = self.location(&levels.inside(child), cx);
            let Some(place) = cx.build.part(made)?.map(Arc::new) else { continue };
            self.checked.extend(place.attached::<HealthCheck>().map(|_| place.clone()));
            all.push(place);
        }
        Locations::new(all, &mut |complaint| cx.build.part::<()>(Err(complaint)).map(|_| ()))
    }

    /// The `if`s of a location, which pass requests on as it does unless they say otherwise.
    fn ifs(
        &mut self,
        levels: &Levels<'_>,
        content: Option<&Arc<dyn Handler>>,
        cx: &mut Compile<'_, '_>,
    ) -> Result<Box<[Arc<Location>]>, Diagnostic> {
        let mut ifs = Vec::new();
        for child in levels.level.children.iter().filter(|child| child.context == IF_IN_LOCATION) {
            let made = self.location(&levels.inside(child), cx);
            ifs.extend(cx.build.part(made)?.map(|place| {
                let content = place.content.clone().or_else(|| content.cloned());
                Arc::new(Location { content, ..place })
            }));
        }
        Ok(ifs.into())
    }

    fn location(&mut self, levels: &Levels<'_>, cx: &mut Compile<'_, '_>) -> Result<Location, Diagnostic> {
        Ok(self.place(levels, cx)?.0)
    }

    /// The `limit_except` of a location, which passes requests on as it does unless it says otherwise.
    fn except(
        &mut self,
        levels: &Levels<'_>,
        content: Option<&Arc<dyn Handler>>,
        cx: &mut Compile<'_, '_>,
    ) -> Result<Option<Except>, Diagnostic> {
        let Some(child) = levels.level.children.iter().find(|child| child.context == LIMIT_EXCEPT) else {
            return Ok(None);
        };
        let made = self.place(&levels.inside(child), cx);
        let made = cx.build.part(made)?;
        Ok(made.map(|(place, _, allowed)| {
            let content = place.content.clone().or_else(|| content.filter(|content| content.is_gateway()).cloned());
            Except { allowed: allowed.into(), place: Arc::new(Location { content, ..place }) }
        }))
    }

    /// A location, for a server's base its TLS, and the methods a `limit_except` is not for.
    fn place(&mut self, levels: &Levels<'_>, cx: &mut Compile<'_, '_>) -> Result<Made, Diagnostic> {
        let context = levels.level.context;
        let mut place = LocationBuilder::new(context);
        let span = levels.level.span;
        if is_closed(levels) && cx.build.closes() {
            place.step(Phase::Preaccess, Closed);
        }
        for install in self.modules.iter().filter_map(|module| module.install) {
            let installed = install(levels, &mut place, cx).map_err(|complaint| match (complaint.at, span) {
                (At::Nowhere, Some(span)) => complaint.at(span),
                _ => complaint,
            });
            cx.build.part(installed)?;
        }
        let own = levels.level.own::<LocationConf>();
        let conf = levels.get::<LocationConf>().merged()?;
        let settings = cx.once(conf, |cx| self.settings(conf, cx))?;
        let holds = context == LOCATION && levels.level.children.iter().any(|child| child.context == LOCATION);
        let inner = if holds { Some(Box::new(self.locations(levels, cx)?)) } else { None };
        let groups = match opened(levels.level) {
            Some(Pattern::Regex(text, caseless)) => {
                let expression =
                    crate::script::regex::Expression::compile(text, *caseless).map_err(Diagnostic::emerg)?;
                expression.names().to_vec()
            }
            _ => Vec::new(),
        };
        let ifs = self.ifs(levels, place.content.as_ref(), cx)?;
        let except = self.except(levels, place.content.as_ref(), cx)?;
        let tls = place.tls.take();
        let location = Location {
            groups,
            pattern: levels.get::<Opened>().and_then(|opened| opened.pattern.clone()),
            ifs,
            warns: place.warns,
            script: place.script,
            referers: place.referers,
            except,
            auth_delay: place.auth_delay,
            body_in_file: place.body_in_file,
            rates: place.rates,
            attached: place.attached.into(),
            files: place.files,
            span,
            inner,
            steps: place.steps.map(Vec::into_boxed_slice),
            filters: place.filters.into_boxed_slice(),
            content: place.content,
            internal: own.is_some_and(|conf| conf.internal),
            adds_slash: place.adds_slash,
            settings,
        };
        Ok((location, tls, place.allowed))
    }

    fn settings(&mut self, conf: &LocationConf, cx: &mut Compile<'_, '_>) -> Result<Settings, Diagnostic> {
        let log = if conf.error_logs.is_empty() {
            self.outer.clone()
        } else {
            crate::session::errorlog::log(&conf.error_logs, cx.build)?
        };
        Settings::new(conf, self.types(conf), log, cx)
    }

    fn types(&mut self, conf: &LocationConf) -> Arc<Types> {
        let map = match &conf.types {
            Some(map) => map.clone(),
            None => self.plain.get_or_insert_with(plain_types).clone(),
        };
        if let Some((_, table)) = self.types.iter().find(|(known, _)| Arc::ptr_eq(known, &map)) {
            return table.clone();
        }
        let table: Types =
            map.iter().map(|(extension, kind)| (extension.as_slice().into(), kind.as_slice().into())).collect();
        let table = Arc::new(table);
        self.types.push((map, table.clone()));
        table
    }
}

/// The types of servers that name none.
fn plain_types() -> Arc<TypeMap> {
    let row = |(extension, kind): (&str, &str)| (extension.as_bytes().to_vec(), kind.as_bytes().to_vec());
    Arc::new([("html", "text/html"), ("gif", "image/gif"), ("jpg", "image/jpeg")].map(row).into())
}

fn host_name() -> Vec<u8> {
    nix::unistd::gethostname().map(|name| name.to_string_lossy().to_lowercase().into_bytes()).unwrap_or_default()
}

/// One address with everything said about it.
struct Entry {
    address: Address,
    listening: Listening,
    servers: Vec<Arc<Server>>,
    /// The names, and where each was given first.
    names: HashMap<Vec<u8>, Option<Span>>,
    default: Option<Arc<Server>>,
    default_at: Span,
    options_set: bool,
    options_at: Span,
    wild: crate::script::hash::Wildcards<Arc<Server>>,
    /// What nginx warns of where it must tell servers apart by name.
    conflicts: Vec<Diagnostic>,
    captures: bool,
    protocols: Protocols,
}

/// Which of `proxy_protocol`, `ssl` and `http2` the listens of an address ask for, as bits.
#[derive(Default)]
struct Protocols {
    all: u8,
    agreed: Option<u8>,
    changed: bool,
}

impl Protocols {
    /// Takes those of one more listen; `set` and `was_set` tell where socket options were given. True where nginx
    /// warns that they differ.
    const fn join(&mut self, more: u8, set: bool, was_set: bool) -> bool {
        let (added, removed) = (more & !self.all != 0, self.all & !more != 0);
        let disagrees = matches!(self.agreed, Some(agreed) if agreed != more);
        let redefined = if added {
            was_set && !set || self.changed || removed
        } else if removed {
            set || disagrees
        } else {
            set && self.changed || disagrees
        };
        self.agreed = Some(if added { self.all } else { more });
        self.changed |= added || removed;
        self.all |= more;
        redefined
    }
}

const fn protocols(listening: &Listening) -> u8 {
    listening.proxy_protocol as u8 | (listening.ssl as u8) << 1 | (listening.http2 as u8) << 2
}

fn ports(
    levels: &Levels<'_>,
    servers: &[(Arc<Server>, &Level)],
    cx: &mut Compile<'_, '_>,
) -> Result<Vec<Arc<Port>>, Diagnostic> {
    let mut entries: Vec<Entry> = Vec::new();
    for (server, level) in servers {
        let conf = level.own::<ServerConf>();
        let mut listens = conf.map(|conf| conf.listens.clone()).unwrap_or_default();
        if listens.is_empty() {
            listens.push(default_listen(level));
        }
        let names = conf.map(|conf| conf.names.clone()).unwrap_or_default();
        let mut own: Vec<(Address, Span)> = Vec::new();
        for listening in listens {
            let resolve = |host: &str| Some(cx.build.resolver.resolve(host));
            let found = listen::addresses(&listening, resolve);
            for address in cx.build.part(found)?.unwrap_or_default() {
                if let Some((_, first)) = own.iter().find(|(known, _)| *known == address) {
                    let text = format!("a duplicate listen {}", shown(&address));
                    let complaint = Diagnostic::emerg(text).at(listening.span).earlier(Some(*first)).early();
                    cx.build.part::<()>(Err(complaint))?;
                    continue;
                }
                own.push((address.clone(), listening.span));
                let joined = join(&mut entries, address, (&listening, server), &mut cx.build.complaints);
                if let Some(entry) = cx.build.part(joined)?.and_then(|index| entries.get_mut(index)) {
                    let named = name_all(entry, server, &names);
                    cx.build.part(named)?;
                }
            }
        }
    }
    let sizes = levels.level.own::<Main>().map_or(Sizes { most: 512, bucket: 64 }, Main::server_names);
    for entry in entries.iter_mut().filter(|entry| entry.servers.len() > 1 || entry.captures) {
        cx.build.complaints.append(&mut entry.conflicts);
        let exact =
            entry.names.keys().filter(|name| !name.contains(&b'*')).map(|name| name.strip_prefix(b".").unwrap_or(name));
        cx.build.complaints.extend(hashing::check("server_names_hash", exact, sizes)?);
    }
    let places: Vec<_> = servers.iter().map(|(server, level)| (server, levels.inside(level))).collect();
    for entry in &entries {
        cx.build.part(certificates(entry, &places))?;
    }
    let secured = places.iter().filter(|(_, levels)| ssl::is_on(levels)).map(|(server, _)| *server);
    let secured: Vec<&Arc<Server>> = secured.collect();
    Ok(sockets(entries, &secured))
}

/// Every server of an address with TLS that may be asked for has a certificate, or refuses handshakes.
fn certificates(entry: &Entry, places: &[(&Arc<Server>, Levels<'_>)]) -> Result<(), Diagnostic> {
    if entry.protocols.all & 2 == 0 {
        return Ok(());
    }
    let of =
        |server: &Arc<Server>| places.iter().find(|(known, _)| Arc::ptr_eq(known, server)).map(|(_, levels)| levels);
    let default = entry.default.iter().chain(entry.servers.first()).next();
    let bare = default.and_then(of).is_some_and(ssl::is_bare);
    let all = entry.servers.iter().filter(|_| bare);
    match default.into_iter().chain(all).filter_map(of).find_map(ssl::lacks_certificate) {
        Some(complaint) => Err(complaint),
        None => Ok(()),
    }
}

fn default_listen(level: &Level) -> Listening {
    let span = level.span.unwrap_or(Span { source: crate::conf::source::SourceId(0), start: 0, end: 0 });
    let port = if nix::unistd::geteuid().is_root() { 80 } else { 8000 };
    Listening {
        endpoint: crate::net::address::Endpoint {
            host: crate::net::address::Host::Any,
            port: Some(port),
            last_port: None,
        },
        text: format!("*:{port}"),
        options: Default::default(),
        set: false,
        bind: false,
        default_server: false,
        proxy_protocol: false,
        ssl: false,
        http2: false,
        span,
    }
}

fn join(
    entries: &mut Vec<Entry>,
    address: Address,
    (listening, server): (&Listening, &Arc<Server>),
    complaints: &mut Vec<Diagnostic>,
) -> Result<usize, Diagnostic> {
    if let Some((index, entry)) = entries.iter_mut().enumerate().find(|(_, entry)| entry.address == address) {
        let was_set = entry.options_set;
        if listening.set {
            if entry.options_set {
                let text = format!("duplicate listen options for {}", shown(&address));
                return Err(Diagnostic::emerg(text).at(listening.span).earlier(Some(entry.options_at)).early());
            }
            entry.options_set = true;
            entry.options_at = listening.span;
            entry.listening.options = listening.options.clone();
            entry.listening.bind |= listening.bind;
        }
        entry.listening.proxy_protocol |= listening.proxy_protocol;
        if listening.default_server {
            if entry.default.is_some() {
                let text = format!("a duplicate default server for {}", shown(&address));
                return Err(Diagnostic::emerg(text).at(listening.span).earlier(Some(entry.default_at)).early());
            }
            entry.default = Some(server.clone());
            entry.default_at = listening.span;
        }
        if entry.protocols.join(protocols(listening), listening.set, was_set) {
            let text = format!("protocol options redefined for {}", shown(&address));
            complaints.push(Diagnostic::warn(text).at(listening.span).earlier(Some(entry.listening.span)));
        }
        entry.servers.push(server.clone());
        return Ok(index);
    }
    entries.push(Entry {
        address,
        listening: listening.clone(),
        servers: vec![server.clone()],
        names: HashMap::new(),
        default: listening.default_server.then(|| server.clone()),
        default_at: listening.span,
        options_set: listening.set,
        options_at: listening.span,
        conflicts: Vec::new(),
        captures: false,
        protocols: Protocols { all: protocols(listening), ..Protocols::default() },
        wild: Default::default(),
    });
    Ok(entries.len() - 1)
}

fn name_all(entry: &mut Entry, server: &Arc<Server>, names: &[crate::conf::tree::Word]) -> Result<(), Diagnostic> {
    let empty = [Vec::new()];
    let texts: Vec<Vec<u8>> = names.iter().map(|word| word.bytes.to_ascii_lowercase()).collect();
    for (index, name) in if texts.is_empty() { &empty[..] } else { &texts[..] }.iter().enumerate() {
        if name.starts_with(b"~") {
            let pattern = names.get(index).and_then(|word| word.after("~")).unwrap_or_default();
            let expression = listen::expression(pattern).map_err(Diagnostic::emerg)?;
            entry.captures |= entry.servers.len() == 1 && expression.captures_anything();
            entry.wild.add_expression(expression, server.clone());
            continue;
        }
        let name = if name == b"$hostname" { host_name() } else { name.clone() };
        let here = names.get(index).map(|word| word.span);
        let first = entry.names.get(&name).copied();
        if first.is_some() || !entry.wild.add(&name, server.clone()) {
            let text = crate::conf::bytes::text(&name);
            let text = format!("conflicting server name \"{text}\" on {}, ignored", shown(&entry.address));
            let complaint = Diagnostic::warn(text).earlier(first.flatten());
            entry.conflicts.push(here.map_or_else(|| complaint.clone(), |span| complaint.clone().point(span)));
        }
        entry.names.entry(name).or_insert(here);
    }
    Ok(())
}

/// An address as nginx shows it in complaints.
fn shown(address: &Address) -> String {
    match address {
        Address::Ip(ip) => ip.to_string(),
        Address::Unix(path) => format!("unix:{path}"),
    }
}

/// Joins specific addresses onto a wildcard socket of the same port, unless they ask for a socket of their own.
fn sockets(entries: Vec<Entry>, secured: &[&Arc<Server>]) -> Vec<Arc<Port>> {
    let wildcard = |address: &Address, of: &SocketAddr| match address {
        Address::Ip(ip) => ip.ip().is_unspecified() && ip.port() == of.port() && ip.is_ipv4() == of.is_ipv4(),
        Address::Unix(_) => false,
    };
    let bound: Vec<Address> = entries.iter().map(|entry| entry.address.clone()).collect();
    let mut ports: Vec<(Address, crate::net::listen::Options, Vec<Arc<Virtual>>)> = Vec::new();
    let mut guests: Vec<(Address, Arc<Virtual>)> = Vec::new();
    for entry in entries {
        let Entry { address, listening, servers, default, wild, protocols, .. } = entry;
        let Some(default) = default.or_else(|| servers.first().cloned()) else { continue };
        let proxy_protocol = listening.proxy_protocol;
        let secure =
            protocols.all & 2 != 0 || servers.iter().any(|server| secured.iter().any(|one| Arc::ptr_eq(one, server)));
        let http2 = protocols.all & 4 != 0;
        let joined =
            Arc::new(Virtual { address: address.clone(), default, names: wild, proxy_protocol, secure, http2 });
        let host = match &address {
            Address::Ip(ip) if !listening.bind && !ip.ip().is_unspecified() => {
                bound.iter().find(|other| wildcard(other, ip))
            }
            _ => None,
        };
        match host {
            Some(host) => guests.push((host.clone(), joined)),
            None => ports.push((address, listening.options, vec![joined])),
        }
    }
    for (host, joined) in guests {
        if let Some((_, _, virtuals)) = ports.iter_mut().find(|(address, ..)| *address == host) {
            virtuals.insert(0, joined);
        }
    }
    ports
        .into_iter()
        .map(|(address, options, virtuals)| Arc::new(Port { address: Arc::new(address), options, virtuals }))
        .collect()
}
