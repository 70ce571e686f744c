//! The rows of `upstream {}`, for http and for stream.
//!
//! Differs from nginx: `ip_hash` may stand in stream, as EMQX's guide asks. [test: ip_hash_stands_in_stream_too]

use super::checks::{self, ChecksConf};
use super::settings::{Balancer, Server, Upstream, Zone};
use super::sticky;
use super::times::{Point, Rule};
use crate::conf::diagnostic::Diagnostic;
use crate::conf::directive::{Arity, Contexts, Directive, Opens};
use crate::conf::module::{Conf, Module, Scope};
use crate::conf::slot::{Block, Custom, Number, Time};
use crate::conf::source::Span;
use crate::conf::tree::{Statement, Word};
use crate::conf::value;
use crate::conf::walk::Setting;
use crate::net::address::{self, Host};
use crate::session::contexts::{HTTP, HTTP_LEVELS, STREAM, STREAM_ANY, STREAM_UPSTREAM, UPSTREAM};
use crate::session::resolver::{self, ResolverConf};
use crate::session::{shared, used};
use hashbrown::HashMap;
use hashbrown::hash_map::Entry;
use std::time::Duration;

const fn group(contexts: Contexts, opens: Contexts) -> Directive {
    Directive::new("upstream", contexts, Arity::Block(1, 1, Opens::Context(opens)), &Block::<Upstream>(upstream, close))
        .doc("Defines a group of servers that other directives name.")
}

const fn hash_row(contexts: Contexts) -> Directive {
    Directive::new("hash", contexts, Arity::Between(1, 2), &Custom(hash))
        .words(&["consistent"])
        .since("1.7.2")
        .doc("Asks the server a key hashes to; with consistent, few keys move when servers come and go.")
}

const fn ip_hash_row(contexts: Contexts) -> Directive {
    Directive::new("ip_hash", contexts, Arity::Exactly(0), &Custom(ip_hash))
        .doc("Asks the same server for all clients of a network: three bytes of an IPv4 address, all of an IPv6 one.")
}

const fn least_conn_row(contexts: Contexts) -> Directive {
    Directive::new("least_conn", contexts, Arity::Exactly(0), &Custom(least_conn))
        .since("1.3.1")
        .doc("Asks the server with the fewest connections for its weight.")
}

const fn least_time_row(contexts: Contexts, words: &'static [&'static str]) -> Directive {
    Directive::new("least_time", contexts, Arity::Between(1, 2), &Custom(least_time))
        .words(words)
        .since("1.31.0")
        .doc("Asks the server that would be the first to finish, by its average time and its connections.")
}

const fn random_row(contexts: Contexts) -> Directive {
    Directive::new("random", contexts, Arity::Between(0, 2), &Custom(random))
        .words(&["two", "least_conn"])
        .since("1.15.1")
        .doc("Asks a server chosen by lot; with two, the less busy of two.")
}

const fn zone_row(contexts: Contexts) -> Directive {
    Directive::new("zone", contexts, Arity::Between(1, 2), &Custom(zone))
        .since("1.9.0")
        .doc("Names the memory the group is shared in; the event loops of a worker share it in any case.")
}

const SERVER_WORDS: &[&str] =
    &["weight=", "max_conns=", "max_fails=", "fail_timeout=", "slow_start=", "backup", "down", "resolve", "service="];
const HTTP_SERVER_WORDS: &[&str] = &[
    "weight=",
    "max_conns=",
    "max_fails=",
    "fail_timeout=",
    "slow_start=",
    "backup",
    "down",
    "drain",
    "route=",
    "resolve",
    "service=",
];
const SERVER_DOC: &str = "Adds a server to the group, with its weight, limits and role.";

macro_rules! module {
    ($name:literal, $rows:expr) => {
        Module { name: $name, directives: &$rows, scopes: &[] }
    };
}

/// The modules of http.
pub const HTTP_MODULES: &[Module] = &[
    Module {
        name: "ngx_http_upstream_module",
        directives: &[
            group(HTTP, UPSTREAM),
            Directive::new("server", UPSTREAM, Arity::AtLeast(1), &Custom(server))
                .words(HTTP_SERVER_WORDS)
                .doc(SERVER_DOC),
            Directive::new("queue", UPSTREAM, Arity::Between(1, 2), &Custom(queue)).words(&["timeout="]).doc(
                "Lets so many requests wait for a server that can be asked, for 60s or the time given; a directive of NGINX \
                 Plus.",
            ),
        ],
        scopes: &[Scope::of::<Upstream>(UPSTREAM.or(STREAM_UPSTREAM)), Scope::of::<Groups>(HTTP.or(STREAM))],
    },
    Module {
        name: "ngx_http_upstream_module",
        directives: &resolver::rows(UPSTREAM, Some("1.27.3")),
        scopes: &[Scope::of::<ResolverConf>(HTTP_LEVELS.or(UPSTREAM).or(STREAM_ANY).or(STREAM_UPSTREAM))],
    },
    module!("ngx_http_upstream_hash_module", [hash_row(UPSTREAM)]),
    module!("ngx_http_upstream_ip_hash_module", [ip_hash_row(UPSTREAM)]),
    module!("ngx_http_upstream_least_conn_module", [least_conn_row(UPSTREAM)]),
    module!("ngx_http_upstream_least_time_module", [least_time_row(UPSTREAM, &["header", "last_byte", "inflight"])]),
    module!("ngx_http_upstream_random_module", [random_row(UPSTREAM)]),
    module!("ngx_http_upstream_keepalive_module", KEEPALIVE),
    module!(
        "ngx_http_upstream_sticky_module",
        [Directive::new("sticky", UPSTREAM, Arity::AtLeast(2), &Custom(sticky::set))
            .words(sticky::WORDS)
            .since("1.29.6")
            .doc("Sends the requests of a session to the server that a cookie or a variable names, or that began it.")]
    ),
    module!("ngx_http_upstream_zone_module", [zone_row(UPSTREAM)]),
    Module {
        name: "ngx_http_upstream_check_module",
        directives: &checks::rows(UPSTREAM),
        scopes: &[Scope::of::<ChecksConf>(UPSTREAM.or(STREAM_UPSTREAM))],
    },
];

/// The modules of stream; the settings are those of http's.
pub const STREAM_MODULES: &[Module] = &[
    module!(
        "ngx_stream_upstream_module",
        [
            group(STREAM, STREAM_UPSTREAM),
            Directive::new("server", STREAM_UPSTREAM, Arity::AtLeast(1), &Custom(server))
                .words(SERVER_WORDS)
                .doc(SERVER_DOC),
        ]
    ),
    module!("ngx_stream_upstream_module", resolver::rows(STREAM_UPSTREAM, Some("1.27.3"))),
    module!("ngx_stream_upstream_hash_module", [hash_row(STREAM_UPSTREAM)]),
    module!("ngx_stream_upstream_ip_hash_module", [ip_hash_row(STREAM_UPSTREAM)]),
    module!("ngx_stream_upstream_least_conn_module", [least_conn_row(STREAM_UPSTREAM)]),
    module!(
        "ngx_stream_upstream_least_time_module",
        [least_time_row(STREAM_UPSTREAM, &["connect", "first_byte", "last_byte", "inflight"])]
    ),
    module!("ngx_stream_upstream_random_module", [random_row(STREAM_UPSTREAM)]),
    module!("ngx_stream_upstream_zone_module", [zone_row(STREAM_UPSTREAM)]),
    module!("ngx_stream_upstream_check_module", checks::rows(STREAM_UPSTREAM)),
];

const KEEPALIVE: [Directive; 4] = [
    Directive::new("keepalive", UPSTREAM, Arity::Between(1, 2), &Custom(keepalive))
        .words(&["local"])
        .since("1.1.4")
        .doc("Keeps so many idle connections to the group's servers; with local, for the location that made them."),
    Directive::new(
        "keepalive_requests",
        UPSTREAM,
        Arity::Exactly(1),
        &Number(|c: &mut Upstream| &mut c.keepalive_requests, 0..=u64::MAX),
    )
    .default("1000")
    .since("1.15.3")
    .doc("Closes a connection after so many requests."),
    Directive::new("keepalive_time", UPSTREAM, Arity::Exactly(1), &Time(|c: &mut Upstream| &mut c.keepalive_time))
        .default("1h")
        .since("1.19.10")
        .doc("Closes a connection when it has served so long."),
    Directive::new(
        "keepalive_timeout",
        UPSTREAM,
        Arity::Exactly(1),
        &Time(|c: &mut Upstream| &mut c.keepalive_timeout),
    )
    .default("60s")
    .since("1.15.3")
    .doc("Closes a connection that has been idle so long."),
];

/// The groups of an http or stream block so far: their names in lower case, and where each is opened.
#[derive(Default)]
struct Groups {
    opened: HashMap<Vec<u8>, Span>,
}

impl Conf for Groups {
    fn inherit(&mut self, _: &Self) {}
}

fn upstream(cx: &mut Setting<'_>, _: &mut Upstream, statement: &Statement) -> Result<(), Diagnostic> {
    let (Some(name), Some(groups)) = (statement.arguments().first(), cx.conf::<Groups>()) else { return Ok(()) };
    match groups.opened.entry(name.bytes.to_ascii_lowercase()) {
        Entry::Occupied(first) => Err(Diagnostic::emerg(format!("duplicate upstream \"{}\"", name.text()))
            .point(name.span)
            .earlier(Some(*first.get()))),
        Entry::Vacant(free) => {
            free.insert(statement.span);
            Ok(())
        }
    }
}

fn close(cx: &mut Setting<'_>) -> Result<(), Diagnostic> {
    match cx.conf::<Upstream>() {
        Some(conf) if !conf.servers.is_empty() => Ok(()),
        _ => Err(Diagnostic::emerg("no servers are inside upstream")),
    }
}

/// What a word of `server` does, or `None` for a word that is no good.
fn parameter(server: &mut Server, word: &Word) -> Option<()> {
    let number = |prefix| word.after(prefix).map(value::number);
    if let Some(weight) = number("weight=") {
        server.weight = weight.and_then(|weight| u32::try_from(weight).ok()).filter(|weight| *weight > 0)?;
    } else if let Some(most) = number("max_conns=") {
        server.max_conns = usize::try_from(most?).ok()?;
    } else if let Some(most) = number("max_fails=") {
        server.max_fails = u32::try_from(most?).ok()?;
    } else if let Some(time) = word.after("fail_timeout=") {
        server.fail_timeout = value::time(time, true)?.as_secs();
    } else if let Some(time) = word.after("slow_start=") {
        server.slow_start = value::time(time, false)?.as_millis().div_ceil(1000).try_into().ok()?;
    } else if word.is("backup") {
        server.backup = true;
    } else if word.is("down") {
        server.down = true;
    } else if word.is("resolve") {
        server.resolve = true;
    } else {
        return None;
    }
    Some(())
}

/// Whether a word of `server` is about sessions, as only http has them.
fn session(server: &mut Server, word: &Word) -> Result<bool, Diagnostic> {
    if word.is("drain") {
        server.drain = true;
        return Ok(true);
    }
    let Some(route) = word.after("route=") else { return Ok(false) };
    let refused = |text: String| Err(Diagnostic::emerg(text).point(word.span));
    match route.len() {
        0 => refused("route is empty".to_owned()),
        1..=sticky::LONGEST => {
            server.route = Some(crate::conf::bytes::text(route).into_owned());
            Ok(true)
        }
        _ => refused(format!("route is longer than {}", sticky::LONGEST)),
    }
}

fn server(cx: &mut Setting<'_>, conf: &mut Upstream, statement: &Statement) -> Result<(), Diagnostic> {
    let [address, parameters @ ..] = statement.arguments() else { return Ok(()) };
    let text = address.text().into_owned();
    let mut server = Server {
        endpoint: address::Endpoint { host: Host::Any, port: None, last_port: None },
        at: statement.span,
        weight: 1,
        max_conns: 0,
        max_fails: 1,
        fail_timeout: 10,
        down: false,
        backup: false,
        needs_port: false,
        drain: false,
        route: None,
        resolve: false,
        service: None,
        slow_start: 0,
        text,
    };
    for word in parameters {
        let hashed = !matches!(conf.balancer, None | Some(Balancer::LeastConn | Balancer::LeastTime(_)));
        if (word.is("backup") || word.after("slow_start=").is_some()) && hashed {
            let complaint = format!("balancing method does not support parameter \"{}\"", word.text());
            return Err(Diagnostic::emerg(complaint).point(word.span));
        }
        if cx.context() == UPSTREAM && session(&mut server, word)? {
            continue;
        }
        match word.after("service=") {
            Some(b"") => return Err(Diagnostic::emerg("service is empty").point(word.span)),
            Some(service) => server.service = Some(crate::conf::bytes::text(service).into_owned()),
            None => parameter(&mut server, word).ok_or_else(|| invalid(word))?,
        }
    }
    let refused =
        |what: &str| Diagnostic::emerg(format!("{what} in upstream \"{}\"", address.text())).point(address.span);
    let service = |text: &str| {
        let text = format!("service upstream \"{}\" {text}", address.text());
        Err(Diagnostic::emerg(text).point(address.span))
    };
    if server.service.is_some() && !server.resolve {
        return service("requires \"resolve\" parameter");
    }
    server.endpoint = address::parse(&server.text, false).map_err(refused)?;
    if server.service.is_some() && server.endpoint.port.is_some() {
        return service("may not have port");
    }
    // There is nothing to look up for an address.
    server.resolve &= matches!(server.endpoint.host, Host::Name(_));
    if server.service.is_some() && !server.resolve {
        return service("requires domain name");
    }
    let portless = server.endpoint.port.is_none() && !matches!(server.endpoint.host, Host::Unix(_));
    if portless && server.service.is_none() && cx.context() == STREAM_UPSTREAM {
        // nginx looks a name up before it misses the port, unless it is looked up while serving.
        server.needs_port = matches!(server.endpoint.host, Host::Name(_)) && !server.resolve;
        if !server.needs_port {
            return Err(refused("no port"));
        }
    }
    conf.servers.push(server);
    Ok(())
}

fn invalid(word: &Word) -> Diagnostic {
    Diagnostic::emerg(format!("invalid parameter \"{}\"", word.text())).point(word.span)
}

fn choose(cx: &mut Setting<'_>, conf: &mut Upstream, statement: &Statement, balancer: Balancer) {
    let first = cx.first_here("balancer", b"", statement.span);
    if conf.balancer.is_some() || conf.keepalive.is_some() || conf.queue.is_some() {
        let complaint = Diagnostic::warn("load balancing method redefined").at(statement.span);
        cx.report(complaint.earlier(first));
    }
    conf.balancer = Some(balancer);
}

fn hash(cx: &mut Setting<'_>, conf: &mut Upstream, statement: &Statement) -> Result<(), Diagnostic> {
    let (key, consistent) = match statement.arguments() {
        [key] => (key, false),
        [key, word] if word.is("consistent") => (key, true),
        [_, word, ..] => return Err(invalid(word)),
        [] => return Ok(()),
    };
    used::word(cx, key)?;
    choose(cx, conf, statement, Balancer::Hash(key.clone(), consistent));
    Ok(())
}

fn ip_hash(cx: &mut Setting<'_>, conf: &mut Upstream, statement: &Statement) -> Result<(), Diagnostic> {
    choose(cx, conf, statement, Balancer::IpHash);
    Ok(())
}

fn least_conn(cx: &mut Setting<'_>, conf: &mut Upstream, statement: &Statement) -> Result<(), Diagnostic> {
    choose(cx, conf, statement, Balancer::LeastConn);
    Ok(())
}

fn least_time(cx: &mut Setting<'_>, conf: &mut Upstream, statement: &Statement) -> Result<(), Diagnostic> {
    let [word, rest @ ..] = statement.arguments() else { return Ok(()) };
    let again = matches!(conf.balancer, Some(Balancer::LeastTime(_)));
    let mut rule = Rule { point: Point::LastByte, inflight: !rest.is_empty() };
    choose(cx, conf, statement, Balancer::LeastTime(rule));
    if let Some(other) = rest.first().filter(|other| !other.is("inflight")) {
        return Err(invalid(other));
    }
    if again {
        return Err(cx.duplicate());
    }
    let own: &[(&str, Point)] = match cx.context() {
        STREAM_UPSTREAM => &[("connect", Point::Connect), ("first_byte", Point::FirstByte)],
        _ => &[("header", Point::Header)],
    };
    let known = own.iter().chain(&[("last_byte", Point::LastByte)]);
    let Some((_, point)) = known.into_iter().find(|(name, _)| word.bytes.eq_ignore_ascii_case(name.as_bytes())) else {
        return Err(Diagnostic::emerg(format!("invalid value \"{}\"", word.text())).point(word.span));
    };
    rule.point = *point;
    conf.balancer = Some(Balancer::LeastTime(rule));
    Ok(())
}

fn random(cx: &mut Setting<'_>, conf: &mut Upstream, statement: &Statement) -> Result<(), Diagnostic> {
    let two = match statement.arguments() {
        [] => false,
        [two] | [two, _] if !two.is("two") => return Err(invalid(two)),
        [_, by] if !by.is("least_conn") => return Err(invalid(by)),
        _ => true,
    };
    choose(cx, conf, statement, Balancer::Random(two));
    Ok(())
}

fn keepalive(cx: &mut Setting<'_>, conf: &mut Upstream, statement: &Statement) -> Result<(), Diagnostic> {
    let is_local = match statement.arguments() {
        // The words of nginx 1.23.4, which knows no second argument.
        [_, word] if !word.is("local") => {
            let complaint = Diagnostic::emerg("invalid number of arguments in \"keepalive\" directive");
            return Err(complaint.point(word.span));
        }
        arguments => arguments.len() > 1,
    };
    if conf.keepalive.is_some() {
        return Err(cx.duplicate());
    }
    let [word, ..] = statement.arguments() else { return Ok(()) };
    let Some(count) = value::number(&word.bytes).filter(|count| *count > 0) else {
        let complaint = format!("invalid value \"{}\" in \"keepalive\" directive", word.text());
        return Err(Diagnostic::emerg(complaint).point(word.span));
    };
    (conf.keepalive, conf.keepalive_local) = (Some(count), is_local);
    Ok(())
}

fn queue(cx: &mut Setting<'_>, conf: &mut Upstream, statement: &Statement) -> Result<(), Diagnostic> {
    if conf.queue.is_some() {
        return Err(cx.duplicate());
    }
    let [count, rest @ ..] = statement.arguments() else { return Ok(()) };
    let wrong = || Diagnostic::emerg(format!("invalid value \"{}\"", count.text())).point(count.span);
    let most = value::number(&count.bytes).filter(|most| *most > 0).ok_or_else(wrong)?;
    let mut timeout = Duration::from_secs(60);
    for word in rest {
        timeout = word.after("timeout=").and_then(|time| value::time(time, false)).ok_or_else(|| invalid(word))?;
    }
    conf.queue = Some((most, timeout));
    Ok(())
}

fn zone(cx: &mut Setting<'_>, conf: &mut Upstream, statement: &Statement) -> Result<(), Diagnostic> {
    let [name, rest @ ..] = statement.arguments() else { return Ok(()) };
    let text = name.text().into_owned();
    if text.is_empty() {
        return Err(Diagnostic::emerg(format!("invalid zone name \"{text}\"")).point(name.span));
    }
    let size = match rest.first() {
        None => 0,
        Some(word) => value::size(&word.bytes, false)
            .ok_or_else(|| Diagnostic::emerg(format!("invalid zone size \"{}\"", word.text())).point(word.span))?,
    };
    if !rest.is_empty() && size < shared::LEAST {
        return Err(Diagnostic::emerg(format!("zone \"{text}\" is too small")).point(name.span));
    }
    shared::declare(cx, &text, size, if cx.context() == STREAM_UPSTREAM { "stream upstream" } else { "upstream" })?;
    conf.zone = Some(Zone { name: text, size });
    Ok(())
}

#[cfg(test)]
pub mod testing;
#[cfg(test)]
mod tests;
