//! The classics: well-formed nginx configurations that let strangers in.

use super::levels::{Level, Levels, Line};
use super::nginx::{files, passes};
use super::node::Node;
use super::{Found, Rule};
use crate::migrate::report::Severity;
use std::collections::BTreeSet;
use std::net::IpAddr;

/// The rules.
pub const RULES: [Rule; 19] = [
    rule("alias-traversal", Severity::Error, "a location without a slash has an alias with one", alias),
    rule(
        "uri-in-header",
        Severity::Error,
        "a decoded URI is put into a header: line breaks come with it",
        uri_in_header,
    ),
    rule("header-lost", Severity::Warning, "headers of an outer level are lost in an inner one", header_lost),
    rule(
        "proxy-header-lost",
        Severity::Note,
        "request headers of an outer level are lost in an inner one",
        proxy_header_lost,
    ),
    rule("host-spoofing", Severity::Warning, "a server is told the host the client chose to say", host_spoofing),
    rule(
        "host-in-redirect",
        Severity::Note,
        "a server for every name redirects to the host the client said",
        host_in_redirect,
    ),
    rule("if-in-location", Severity::Warning, "if does in a location what it does not look like", if_in_location),
    rule("referer-none", Severity::Note, "valid_referers lets requests without a referrer pass", referer),
    rule("resolver-external", Severity::Warning, "names are asked of a server in the Internet", resolver),
    rule("php-any-file", Severity::Warning, "what is no script may be run as one", php),
    rule("php-in-uploads", Severity::Warning, "uploaded files may be run as scripts", uploads),
    rule("proxy-to-client-host", Severity::Error, "the client says which server is asked", client_host),
    rule("regex-unanchored", Severity::Note, "an expression for an ending has no end", unanchored),
    rule("autoindex", Severity::Note, "folders are listed", autoindex),
    rule("server-tokens", Severity::Note, "the version is shown", tokens),
    rule("status-open", Severity::Note, "everybody may see the status page", status),
    rule("old-tls", Severity::Warning, "protocols that are no longer safe", old_tls),
    rule("real-ip-from-all", Severity::Warning, "everybody may say what his address is", real_ip),
    rule("server-name-localhost", Severity::Note, "server_name localhost is a name no client says", localhost),
];

const fn rule(id: &'static str, severity: Severity, title: &'static str, check: fn(&[Node], &mut Found<'_>)) -> Rule {
    Rule { id, severity, title, check }
}

/// A location's modifier and path.
fn location(level: &Level) -> (&str, &str) {
    match level.words.as_slice() {
        [modifier, path, ..] => (modifier, path),
        [one] => {
            let modifier = ["^~", "~*", "=", "~"].into_iter().find(|mark| one.starts_with(mark)).unwrap_or("");
            (modifier, one.get(modifier.len()..).unwrap_or_default())
        }
        [] => ("", ""),
    }
}

fn is_regex(level: &Level) -> bool {
    location(level).0.starts_with('~')
}

/// Every line of a name in the http part, with its level.
fn lines<'a>(levels: &'a Levels, name: &'a str) -> impl Iterator<Item = (usize, &'a Level, &'a Line)> {
    levels.all().flat_map(move |(index, level)| {
        level.lines.iter().filter(move |line| line.name == name).map(move |line| (index, level, line))
    })
}

/// Whether a text uses a variable: `$name` or `${name}`, and not a longer one.
fn uses(text: &str, name: &str) -> bool {
    let braced = text.contains(&format!("${{{name}}}"));
    let plain = text.match_indices(&format!("${name}")).any(|(at, found)| {
        let after = text.get(at + found.len()..).and_then(|rest| rest.chars().next());
        !after.is_some_and(|c| c.is_ascii_alphanumeric() || c == '_')
    });
    braced || plain
}

fn alias(nodes: &[Node], found: &mut Found<'_>) {
    for levels in files(nodes) {
        for (_, level, line) in lines(levels, "alias").filter(|(_, level, _)| level.kind == "location") {
            let (modifier, path) = location(level);
            if matches!(modifier, "" | "^~") && !path.ends_with('/') && line.first().ends_with('/') {
                let text = format!(
                    "{path}../ leads out of {}: the location has no slash at its end and the alias has one",
                    line.first()
                );
                found.add(&[line.place.clone(), level.place.clone()], text, "end both with a slash, or neither");
            }
        }
    }
}

fn uri_in_header(nodes: &[Node], found: &mut Found<'_>) {
    let decoded = |word: &str| ["uri", "document_uri"].into_iter().find(|name| uses(word, name));
    for levels in files(nodes) {
        let heads = ["return", "rewrite", "add_header", "proxy_set_header"];
        for (_, _, line) in heads.into_iter().flat_map(|name| lines(levels, name)) {
            let code = line.first().parse::<u16>();
            let words = match line.name.as_str() {
                "return" if code.is_ok_and(|code| ![301, 302, 303, 307, 308].contains(&code)) => continue,
                "rewrite" => {
                    let flag = line.words.get(2).map(String::as_str);
                    let target = line.words.get(1).map_or("", String::as_str);
                    let leaves = matches!(flag, Some("redirect" | "permanent"))
                        || ["http://", "https://", "$scheme"].iter().any(|start| target.starts_with(start));
                    if !leaves {
                        continue;
                    }
                    line.words.get(1..2).unwrap_or_default()
                }
                _ => line.words.as_slice(),
            };
            if let Some(name) = words.iter().find_map(|word| decoded(word)) {
                let text = format!(
                    "{} {}: ${name} is decoded: with %0d%0a in its path a request writes headers of its own",
                    line.name,
                    line.first()
                );
                found.add(std::slice::from_ref(&line.place), text, "$request_uri is as it came");
            }
        }
    }
}

/// Looks for levels whose own lines hide lines of a level around them.
fn lost(nodes: &[Node], directive: &str, found: &mut Found<'_>, help: &str) {
    for levels in files(nodes) {
        for (index, level) in
            levels.all().filter(|(_, level)| ["server", "location", "if"].contains(&level.kind.as_str()))
        {
            let own: BTreeSet<String> =
                levels.own(index, directive).map(|line| line.first().to_ascii_lowercase()).collect();
            let Some(first) = levels.own(index, directive).next() else { continue };
            let outer = level.parent.map(|parent| levels.effective(parent, directive)).unwrap_or_default();
            let gone: Vec<&Line> =
                outer.into_iter().filter(|line| !own.contains(&line.first().to_ascii_lowercase())).collect();
            if !gone.is_empty() {
                let names: BTreeSet<&str> = gone.iter().map(|line| line.first()).collect();
                let names: Vec<&str> = names.into_iter().collect();
                let head = format!("{} {}", level.kind, level.words.join(" "));
                let text = format!(
                    "{}: its own {directive} takes the place of all outer ones: {} is lost",
                    head.trim_end(),
                    names.join(", ")
                );
                let places: Vec<String> =
                    [first.place.clone()].into_iter().chain(gone.iter().map(|line| line.place.clone())).collect();
                found.add(&places, text, help);
            }
        }
    }
}

fn header_lost(nodes: &[Node], found: &mut Found<'_>) {
    lost(nodes, "add_header", found, "repeat them, or put them into a file that every level includes");
}

fn proxy_header_lost(nodes: &[Node], found: &mut Found<'_>) {
    lost(nodes, "proxy_set_header", found, "repeat those the server needs");
}

fn host_spoofing(nodes: &[Node], found: &mut Found<'_>) {
    for levels in files(nodes) {
        for (_, _, line) in lines(levels, "proxy_set_header") {
            let value = line.words.get(1).map_or("", String::as_str);
            if line.first().eq_ignore_ascii_case("host") && uses(value, "http_host") {
                let text = "the server is told $http_host: with an absolute URL in its request line a client says one host to \
                            nginx and another to the server";
                found.add(std::slice::from_ref(&line.place), text, "$host");
            }
        }
    }
}

fn host_in_redirect(nodes: &[Node], found: &mut Found<'_>) {
    for levels in files(nodes) {
        for (index, _, line) in lines(levels, "return").chain(lines(levels, "rewrite")) {
            let Some((server, _)) = levels.server(index) else { continue };
            let named = levels
                .own(server, "server_name")
                .flat_map(|line| &line.words)
                .any(|name| name != "_" && !name.is_empty());
            let chosen =
                levels.own(server, "listen").any(|line| line.words.iter().any(|word| word == "default_server"));
            let target = line.words.iter().skip(1).find(|word| word.contains("://"));
            let said = target.is_some_and(|word| uses(word, "host") || uses(word, "http_host"));
            if said && (!named || chosen) {
                let text = "this server takes every name, and redirects to the one the client said: a cache or a mail may carry \
                            a stranger's";
                found.add(
                    std::slice::from_ref(&line.place),
                    text,
                    "write the name, or give the server a server_name and another one the rest",
                );
            }
        }
    }
}

/// What an `if` in a location may hold without surprises.
const SAFE: [&str; 8] =
    ["return", "rewrite", "set", "break", "access_log", "limit_rate", "limit_rate_after", "expires"];

fn if_in_location(nodes: &[Node], found: &mut Found<'_>) {
    for levels in files(nodes) {
        for (_, level) in levels.kind("if") {
            let parent = level.parent.and_then(|parent| levels.level(parent));
            let Some(parent) = parent.filter(|parent| parent.kind == "location") else { continue };
            let ends = level.lines.iter().any(|line| line.name == "return");
            let odd = level.lines.iter().find(|line| !SAFE.contains(&line.name.as_str()));
            // An `if` is a location of its own: what its location does by try_files or proxy_pass is not done in it.
            let content = ["try_files", "alias"].iter().any(|name| parent.lines.iter().any(|line| line.name == *name));
            let last = level.lines.iter().any(|line| line.name == "rewrite");
            match odd {
                Some(line) if !ends => {
                    let text = format!(
                        "{} in an if of a location: the last if that holds is the only one that counts",
                        line.name
                    );
                    found.add(std::slice::from_ref(&line.place), text, "map and variables, or another location");
                }
                _ if content && !ends && !last => {
                    let text = "where this if holds, the location's try_files or alias does not work as written";
                    found.add(std::slice::from_ref(&level.place), text, "map and variables, or another location");
                }
                _ => {}
            }
        }
    }
}

fn referer(nodes: &[Node], found: &mut Found<'_>) {
    for levels in files(nodes) {
        for (_, _, line) in
            lines(levels, "valid_referers").filter(|(_, _, line)| line.words.iter().any(|word| word == "none"))
        {
            let text = "valid_referers none: a page needs only to forbid its visitors' browsers to send a referrer";
            found.add(
                std::slice::from_ref(&line.place),
                text,
                "a referrer keeps nobody out; leave none away where it has to",
            );
        }
    }
}

fn is_private(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => {
            let [first, second, ..] = ip.octets();
            ip.is_private() || ip.is_loopback() || ip.is_link_local() || first == 100 && (64..128).contains(&second)
        }
        IpAddr::V6(ip) => {
            ip.is_loopback()
                || ip.segments().first().is_some_and(|part| part & 0xfe00 == 0xfc00 || part & 0xffc0 == 0xfe80)
        }
    }
}

fn resolver(nodes: &[Node], found: &mut Found<'_>) {
    for levels in files(nodes) {
        for (_, _, line) in lines(levels, "resolver") {
            let public = |word: &&String| {
                let plain = word.trim_start_matches('[').split(']').next().unwrap_or_default();
                let ip = plain.parse().or_else(|_| word.split(':').next().unwrap_or_default().parse::<IpAddr>());
                ip.is_ok_and(|ip| !is_private(ip))
            };
            if let Some(word) = line.words.iter().find(public) {
                let text = format!(
                    "resolver {word} is in the Internet: who forges its answers chooses the servers that are asked"
                );
                found.add(std::slice::from_ref(&line.place), text, "a resolver on this machine or in this network");
            }
        }
    }
}

/// Locations that run scripts by the ending of a path.
fn scripts(levels: &Levels) -> impl Iterator<Item = (usize, &Level)> {
    levels.kind("location").filter(|(index, level)| {
        is_regex(level) && location(level).1.contains("\\.php") && levels.own(*index, "fastcgi_pass").next().is_some()
    })
}

fn php(nodes: &[Node], found: &mut Found<'_>) {
    for levels in files(nodes) {
        for (index, level) in scripts(levels) {
            let checked = levels.own(index, "try_files").next().is_some()
                || levels.inside(index).any(|(_, inner)| inner.kind == "if" && inner.words.join(" ").contains("-f"));
            // The expression for a path after the script's name is checked by what it splits.
            let split = levels.own(index, "fastcgi_split_path_info").next().is_some();
            if !checked && !split {
                let text = format!(
                    "location {}: no try_files: for /pictures/x.jpg/y.php PHP may run x.jpg (cgi.fix_pathinfo)",
                    level.words.join(" ")
                );
                found.add(std::slice::from_ref(&level.place), text, "try_files $fastcgi_script_name =404");
            }
        }
    }
}

fn uploads(nodes: &[Node], found: &mut Found<'_>) {
    const FOLDERS: [&str; 4] = ["upload", "files", "media", "attachments"];
    for levels in files(nodes) {
        for (_, script) in scripts(levels) {
            let Some(parent) = script.parent else { continue };
            for (index, level) in levels.inside(parent).filter(|(_, level)| level.kind == "location") {
                let (modifier, path) = location(level);
                let named = FOLDERS.iter().any(|name| path.contains(name));
                let served = ["proxy_pass", "return", "deny", "internal"]
                    .iter()
                    .any(|name| levels.own(index, name).next().is_some());
                if modifier.is_empty() && named && !served {
                    let text = format!(
                        "location {path} does not hold for {path}x.php: the expression {} goes before it",
                        location(script).1
                    );
                    found.add(&[level.place.clone(), script.place.clone()], text, &format!("location ^~ {path}"));
                }
            }
        }
    }
}

fn client_host(nodes: &[Node], found: &mut Found<'_>) {
    for levels in files(nodes) {
        for (index, level, line) in passes(levels).filter(|(index, ..)| !levels.in_stream(*index)) {
            let url = line.first();
            let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
            let authority = rest.split('/').next().unwrap_or_default();
            let named = ["$arg_", "${arg_", "$http_", "${http_", "$cookie_", "${cookie_"]
                .iter()
                .any(|start| authority.starts_with(start));
            let captured = is_regex(level) && ["$1", "$2", "$3"].iter().any(|group| authority.starts_with(group));
            let host = uses(authority, "host") && authority.starts_with('$');
            let fixed = levels.server(index).is_some_and(|(server, _)| {
                let names: Vec<&String> = levels.own(server, "server_name").flat_map(|line| &line.words).collect();
                let plain = |name: &&String| !name.is_empty() && !name.starts_with(['~', '_', '*', '.']);
                let others =
                    levels.own(server, "listen").any(|line| line.words.iter().any(|word| word == "default_server"));
                host && !names.is_empty() && names.iter().all(plain) && !others
            });
            let internal = levels.own(index, "internal").next().is_some();
            if (named || captured || host) && !internal && !fixed {
                let text =
                    format!("proxy_pass {url}: the client says which server is asked, also one inside this network");
                found.add(std::slice::from_ref(&line.place), text, "a map from what may be asked to where it is");
            }
        }
    }
}

fn unanchored(nodes: &[Node], found: &mut Found<'_>) {
    for levels in files(nodes) {
        for (_, level) in scripts(levels) {
            let path = location(level).1;
            let after = path.split_once("\\.php").map_or("", |(_, after)| after);
            let ended =
                after.contains('$') || after.starts_with("(/") || after.starts_with("(?:/") || after.starts_with('/');
            if !ended {
                let text = format!("location {}: it also holds for x.php.jpg", level.words.join(" "));
                found.add(std::slice::from_ref(&level.place), text, "\\.php$");
            }
        }
    }
}

/// Looks for a switch that is on.
fn switched(nodes: &[Node], found: &mut Found<'_>, name: &str, text: &str) {
    for levels in files(nodes) {
        for (_, _, line) in lines(levels, name).filter(|(_, _, line)| line.first() == "on") {
            found.add(std::slice::from_ref(&line.place), text, "");
        }
    }
}

fn autoindex(nodes: &[Node], found: &mut Found<'_>) {
    switched(nodes, found, "autoindex", "autoindex on: who guesses a folder's name sees all that is in it");
}

fn tokens(nodes: &[Node], found: &mut Found<'_>) {
    switched(nodes, found, "server_tokens", "server_tokens on: answers tell the version");
}

fn status(nodes: &[Node], found: &mut Found<'_>) {
    for levels in files(nodes) {
        for (index, level, line) in lines(levels, "stub_status") {
            let kept = ["allow", "deny", "auth_basic", "auth_request", "internal"]
                .iter()
                .any(|name| !levels.effective(index, name).is_empty());
            let local = levels.server(index).is_some_and(|(server, _)| {
                let mut listens = levels.own(server, "listen").peekable();
                listens.peek().is_some()
                    && listens.all(|line| {
                        ["127.", "unix:", "[::1]", "localhost"].iter().any(|start| line.first().starts_with(start))
                    })
            });
            if !kept && !local {
                let head = format!("{} {}", level.kind, level.words.join(" "));
                let text = format!("{}: everybody may see how much is going on here", head.trim_end());
                found.add(std::slice::from_ref(&line.place), text, "allow and deny");
            }
        }
    }
}

fn old_tls(nodes: &[Node], found: &mut Found<'_>) {
    const OLD: [&str; 4] = ["SSLv2", "SSLv3", "TLSv1", "TLSv1.1"];
    for levels in files(nodes) {
        for (_, _, line) in lines(levels, "ssl_protocols") {
            let old: Vec<&str> = line.words.iter().map(String::as_str).filter(|word| OLD.contains(word)).collect();
            if !old.is_empty() {
                found.add(
                    std::slice::from_ref(&line.place),
                    format!("{} may be spoken", old.join(", ")),
                    "ssl_protocols TLSv1.2 TLSv1.3",
                );
            }
        }
    }
}

fn real_ip(nodes: &[Node], found: &mut Found<'_>) {
    for levels in files(nodes) {
        for (_, _, line) in
            lines(levels, "set_real_ip_from").filter(|(_, _, line)| matches!(line.first(), "0.0.0.0/0" | "::/0"))
        {
            let text =
                format!("set_real_ip_from {}: a client that sends the header is who it says it is", line.first());
            found.add(std::slice::from_ref(&line.place), text, "the proxies' addresses");
        }
    }
}

fn localhost(nodes: &[Node], found: &mut Found<'_>) {
    for node in nodes.iter().filter(|node| node.instances().any(|one| !one.addresses.is_empty())) {
        for levels in &node.nginx {
            for (index, _) in levels.kind("server").filter(|(index, _)| !levels.in_stream(*index)) {
                let names: Vec<&Line> = levels.own(index, "server_name").collect();
                let only = names.iter().flat_map(|line| &line.words).all(|name| name == "localhost");
                let local = levels.own(index, "listen").any(|line| line.first().starts_with("127."));
                if let Some(line) = names.first().filter(|_| only && !local) {
                    let text = "server_name localhost: clients ask for the virtual address; they come here only because no other \
                                server is on this port, or this is the first";
                    found.add(std::slice::from_ref(&line.place), text, "default_server at the listen says it");
                }
            }
        }
    }
}
