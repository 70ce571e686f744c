//! What an nginx configuration does otherwise than it looks, above all as a balancer.

use super::levels::{Level, Levels, Line};
use super::node::Node;
use super::peers::{Peer, groups, listeners, targets};
use super::{Found, Rule};
use crate::conf::value;
use crate::migrate::report::Severity;
use std::time::Duration;

/// The rules.
pub const RULES: [Rule; 11] = [
    rule("ip-hash-clients", Severity::Note, "ip_hash takes all clients of one /24 for one", ip_hash),
    rule("ip-hash-proxied", Severity::Warning, "ip_hash behind a proxy sees one client", ip_hash_proxied),
    rule("max-fails-two-peers", Severity::Note, "one failure takes one of two servers out", max_fails),
    rule(
        "proxy-protocol-sent",
        Severity::Error,
        "a server is sent the PROXY header and does not expect it",
        proxy_sent,
    ),
    rule(
        "proxy-protocol-missing",
        Severity::Error,
        "a server expects the PROXY header and does not get it",
        proxy_missing,
    ),
    rule("mqtt-timeout", Severity::Warning, "proxy_timeout is below the MQTT keep-alive", mqtt_timeout),
    rule("websocket-timeout", Severity::Warning, "a quiet WebSocket is closed", websocket_timeout),
    rule("websocket-version", Severity::Error, "Upgrade is sent on with HTTP/1.0", websocket_version),
    rule("stream-buffer", Severity::Warning, "every connection may take a large buffer twice", stream_buffer),
    rule("content-unused", Severity::Note, "root and index have no effect beside proxy_pass", unused),
    rule("error-page-unused", Severity::Note, "a server's own errors do not reach error_page", error_page),
];

const fn rule(id: &'static str, severity: Severity, title: &'static str, check: fn(&[Node], &mut Found<'_>)) -> Rule {
    Rule { id, severity, title, check }
}

/// Every configuration of nginx.
pub fn files(nodes: &[Node]) -> impl Iterator<Item = &Levels> {
    nodes.iter().flat_map(|node| &node.nginx)
}

/// Every `proxy_pass` and the level it is in.
pub fn passes(levels: &Levels) -> impl Iterator<Item = (usize, &Level, &Line)> {
    levels.all().flat_map(|(index, level)| {
        level.lines.iter().filter(|line| line.name == "proxy_pass").map(move |line| (index, level, line))
    })
}

fn ip_hash(nodes: &[Node], found: &mut Found<'_>) {
    for levels in files(nodes) {
        for group in groups(levels).into_iter().filter(|group| group.peers.len() > 1) {
            if let Some(line) = levels.own(group.index, "ip_hash").next() {
                let text = format!(
                    "upstream {}: ip_hash goes by the first three numbers of an IPv4 address: all clients of one /24, an \
                     office's or a device network's, have one server, and the others stand idle",
                    group.name
                );
                let help = "hash $remote_addr consistent, or a cookie: hash $cookie_JSESSIONID consistent";
                found.add(std::slice::from_ref(&line.place), text, help);
            }
        }
    }
}

fn ip_hash_proxied(nodes: &[Node], found: &mut Found<'_>) {
    for levels in files(nodes) {
        for group in groups(levels).into_iter().filter(|group| !group.stream && group.peers.len() > 1) {
            let Some(line) = levels.own(group.index, "ip_hash").next() else { continue };
            for (index, _, pass) in passes(levels) {
                let asks =
                    pass.first().split("://").nth(1).and_then(|rest| rest.split('/').next()) == Some(&group.name);
                let sign = proxied(levels, index).filter(|_| asks && !taken(levels, index));
                if let Some((sign, header)) = sign {
                    let text = format!(
                        "upstream {}: the clients come through a proxy ({sign}), whose address ip_hash takes for the only \
                         client's",
                        group.name
                    );
                    let help = format!("set_real_ip_from and real_ip_header {header}");
                    found.add(&[line.place.clone(), pass.place.clone()], text, &help);
                }
            }
        }
    }
}

/// What shows that the clients of a level come through a proxy, and the header that tells who they are.
fn proxied(levels: &Levels, index: usize) -> Option<(&'static str, &'static str)> {
    let (server, _) = levels.server(index)?;
    if listeners(levels).iter().any(|one| one.server == server && one.has("proxy_protocol")) {
        return Some(("listen ... proxy_protocol", "proxy_protocol"));
    }
    // A log may show what is mostly empty; what decides something, or is passed on as the client's, is expected to be there.
    let lines = levels.around(index).flat_map(|(_, level)| &level.lines).filter(|line| line.name != "log_format");
    let headers = [
        ("$http_x_forwarded_for", ("$http_x_forwarded_for is used", "X-Forwarded-For")),
        ("$http_x_real_ip", ("$http_x_real_ip is used", "X-Real-IP")),
        ("$http_cf_connecting_ip", ("$http_cf_connecting_ip is used", "CF-Connecting-IP")),
    ];
    let mut words = lines.flat_map(|line| &line.words);
    words.find_map(|word| headers.iter().find(|(name, _)| word.contains(name)).map(|(_, sign)| *sign))
}

/// Whether the address of who is behind a proxy is taken for the client's.
fn taken(levels: &Levels, index: usize) -> bool {
    !levels.effective(index, "set_real_ip_from").is_empty()
}

fn max_fails(nodes: &[Node], found: &mut Found<'_>) {
    for levels in files(nodes) {
        for group in groups(levels) {
            let active: Vec<&Peer> = group.peers.iter().filter(|peer| peer.is_active()).collect();
            let nervous =
                active.iter().filter(|peer| peer.option("max_fails").is_none_or(|times| times == "1")).count();
            if active.len() == 2 && nervous == 2 {
                let seconds = active.first().and_then(|peer| peer.option("fail_timeout")).unwrap_or("10s");
                let text = format!(
                    "upstream {}: max_fails is 1: one failed connection takes a server out for {seconds}, and the other has \
                     all the load",
                    group.name
                );
                found.add(std::slice::from_ref(&group.place), text, "max_fails=2 or 3 with a shorter fail_timeout");
            }
        }
    }
}

/// Whether a connection of the stream module is sent the PROXY header.
fn sends(levels: &Levels, index: usize) -> bool {
    levels.word(index, "proxy_protocol") == Some("on")
}

/// A listener of the cluster a server's address leads to: whether it expects the PROXY header, and its place.
fn expects(nodes: &[Node], peer: &Peer) -> Vec<(bool, String)> {
    let mut out = super::emqx::listening(nodes, peer);
    for node in nodes {
        let here = peer.ip().is_some() && peer.ip() == node.address || peer.is_loopback();
        for listener in node.nginx.iter().flat_map(listeners).filter(|one| here && one.port == peer.port) {
            out.push((listener.has("proxy_protocol"), listener.place.to_owned()));
        }
    }
    out
}

fn proxy_sent(nodes: &[Node], found: &mut Found<'_>) {
    for levels in files(nodes) {
        for (index, _, pass) in passes(levels).filter(|(index, ..)| levels.in_stream(*index) && sends(levels, *index)) {
            let own =
                levels.effective(index, "proxy_protocol").first().map(|line| line.place.clone()).unwrap_or_default();
            for peer in targets(levels, true, pass) {
                for (_, place) in expects(nodes, &peer).into_iter().filter(|(expected, _)| !expected) {
                    let text = format!(
                        "proxy_protocol on sends {} the PROXY header, which that listener does not expect: it takes it for a \
                         malformed packet and closes every connection",
                        peer.title()
                    );
                    let help = "turn proxy_protocol on at the listener as well, or off here";
                    found.add(&[own.clone(), place], text, help);
                }
            }
        }
    }
}

fn proxy_missing(nodes: &[Node], found: &mut Found<'_>) {
    for levels in files(nodes) {
        for (index, _, pass) in passes(levels) {
            let stream = levels.in_stream(index);
            if stream && sends(levels, index) {
                continue;
            }
            for peer in targets(levels, stream, pass) {
                for (_, place) in expects(nodes, &peer).into_iter().filter(|(expected, _)| *expected) {
                    let text = format!(
                        "{} expects the PROXY header and waits for it in vain: no connection comes about",
                        peer.title()
                    );
                    found.add(
                        &[pass.place.clone(), place],
                        text,
                        "proxy_protocol on, which only the stream module has",
                    );
                }
            }
        }
    }
}

/// The keep-alive most clients of MQTT have, and how far a broker stretches it.
const KEEP_ALIVE: Duration = Duration::from_secs(60);

/// Ports of MQTT brokers.
const MQTT: [u16; 2] = [1883, 8883];

fn mqtt_timeout(nodes: &[Node], found: &mut Found<'_>) {
    let told = super::emqx::keep_alive(nodes);
    let keep = told.as_ref().map_or(KEEP_ALIVE, |(time, _)| *time);
    let whose = if told.is_some() { "EMQX gives its clients" } else { "most clients have" };
    for levels in files(nodes) {
        for (index, _, pass) in passes(levels).filter(|(index, ..)| levels.in_stream(*index)) {
            if !targets(levels, true, pass).iter().any(|peer| MQTT.contains(&peer.port)) {
                continue;
            }
            let time = levels.time(index, "proxy_timeout", Duration::from_secs(600));
            if time < keep.mul_f64(1.5) {
                let place = levels.effective(index, "proxy_timeout").first().map(|line| line.place.clone());
                let text = format!(
                    "proxy_timeout is {} s, and the keep-alive {whose} {} s, of which half again may pass in silence: quiet \
                     devices are cut off",
                    time.as_secs_f64(),
                    keep.as_secs_f64()
                );
                let places =
                    [place.unwrap_or_else(|| pass.place.clone()), told.clone().map(|(_, at)| at).unwrap_or_default()];
                found.add(&places, text, "at least twice the longest keep-alive");
            }
        }
    }
}

/// The levels that hand an upgrade on.
fn upgrades(levels: &Levels) -> impl Iterator<Item = (usize, &Line)> {
    passes(levels).filter_map(|(index, _, _)| {
        let headers = levels.effective(index, "proxy_set_header");
        let header = headers.into_iter().find(|line| {
            line.first().eq_ignore_ascii_case("upgrade")
                && line.words.get(1).is_some_and(|value| value == "$http_upgrade")
        });
        header.map(|line| (index, line))
    })
}

fn websocket_timeout(nodes: &[Node], found: &mut Found<'_>) {
    for levels in files(nodes) {
        for (index, header) in upgrades(levels) {
            let time = levels.time(index, "proxy_read_timeout", Duration::from_secs(60));
            let headers = levels.own(index, "proxy_set_header").next().is_some();
            if time <= Duration::from_secs(60) && headers {
                let text = format!(
                    "a WebSocket whose server is silent for {} s is closed: that is proxy_read_timeout",
                    time.as_secs_f64()
                );
                found.add(
                    std::slice::from_ref(&header.place),
                    text,
                    "proxy_read_timeout and proxy_send_timeout of an hour",
                );
            }
        }
    }
}

fn websocket_version(nodes: &[Node], found: &mut Found<'_>) {
    for levels in files(nodes) {
        for (index, header) in upgrades(levels) {
            if levels.word(index, "proxy_http_version") != Some("1.1") {
                let text =
                    "Upgrade is sent on, and the request is of HTTP/1.0, which has no upgrade: no WebSocket opens";
                found.add(std::slice::from_ref(&header.place), text, "proxy_http_version 1.1");
            }
        }
    }
}

/// A buffer past this is no slip of the pen any more.
const LARGE: u64 = 1 << 20;

fn stream_buffer(nodes: &[Node], found: &mut Found<'_>) {
    for levels in files(nodes) {
        for (_, level) in levels.all().filter(|(index, _)| levels.in_stream(*index)) {
            for line in level.lines.iter().filter(|line| line.name == "proxy_buffer_size") {
                if value::size(line.first().as_bytes(), false).is_some_and(|bytes| bytes >= LARGE) {
                    let text = format!(
                        "proxy_buffer_size {}: each connection asks for a buffer of this size in each direction; for a thousand \
                         devices that is two thousand",
                        line.first()
                    );
                    found.add(
                        std::slice::from_ref(&line.place),
                        text,
                        "16k, the default, is enough for MQTT: the buffer is no limit for a message",
                    );
                }
            }
        }
    }
}

fn unused(nodes: &[Node], found: &mut Found<'_>) {
    for levels in files(nodes) {
        for (index, level, pass) in passes(levels).filter(|(_, level, _)| level.kind == "location") {
            // Files are looked for by these, by locations inside, and where an answer is stored.
            let needed = ["try_files", "proxy_store", "error_page", "auth_request", "mirror", "rewrite"];
            let inside = levels.inside(index).next().is_some();
            if inside || level.lines.iter().any(|line| needed.contains(&line.name.as_str())) {
                continue;
            }
            let odd: Vec<&Line> = level
                .lines
                .iter()
                .filter(|line| ["root", "index", "autoindex"].contains(&line.name.as_str()))
                .collect();
            if !odd.is_empty() {
                let names: Vec<&str> = odd.iter().map(|line| line.name.as_str()).collect();
                let text = format!(
                    "location {}: {} of no effect: every request goes to {}",
                    level.words.join(" "),
                    if names.len() == 1 {
                        format!("{} is", names.join(""))
                    } else {
                        format!("{} are", names.join(" and "))
                    },
                    pass.first()
                );
                let places: Vec<String> = odd.iter().map(|line| line.place.clone()).collect();
                found.add(&places, text, "");
            }
        }
    }
}

/// What nginx says by itself when a server it asks does not answer.
const OWN_CODES: [&str; 2] = ["502", "504"];

fn error_page(nodes: &[Node], found: &mut Found<'_>) {
    for levels in files(nodes) {
        for (index, level, pass) in passes(levels).filter(|(index, ..)| !levels.in_stream(*index)) {
            if levels.word(index, "proxy_intercept_errors") == Some("on") || level.kind != "location" {
                continue;
            }
            for page in levels.effective(index, "error_page") {
                let codes: Vec<&str> = page.words.iter().map(String::as_str).filter(|word| word.len() == 3).collect();
                let lost: Vec<&str> =
                    codes.into_iter().filter(|code| code.starts_with('5') && !OWN_CODES.contains(code)).collect();
                if !lost.is_empty() {
                    let text = format!(
                        "error_page is not used for a {} that the asked server says itself, only for nginx's own",
                        lost.join(" or ")
                    );
                    found.add(
                        &[page.place.clone(), pass.place.clone()],
                        text,
                        "proxy_intercept_errors on, if that is meant",
                    );
                }
            }
        }
    }
}
