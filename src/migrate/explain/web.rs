//! Which server, location, steps and peer a request meets, told by the objects that would serve it.

use super::Args;
use crate::migrate::diff;
use crate::migrate::drawing::{Drawing, Station};
use crate::migrate::input::Given;
use crate::migrate::report::{Failure, Report, Section, Table};
use crate::nginx::explain::{Choice, Ending, Oracle, Question, Trace};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// Settings of the location that a reader of an explanation asks for, by how they begin.
const TOLD: [&str; 23] = [
    "limit_",
    "client_max_body_size",
    "client_body_",
    "access_log",
    "error_log",
    "allow and deny",
    "auth_",
    "satisfy",
    "proxy_",
    "error_page",
    "recursive_error_pages",
    "add_header",
    "expires",
    "root",
    "alias",
    "index",
    "try_files",
    "keepalive_",
    "send_timeout",
    "gzip",
    "rewrite steps",
    "sub_filter",
    "internal",
];

/// Settings that are told elsewhere in the report.
const ELSEWHERE: [&str; 2] = ["proxy_set_header", "proxy_pass"];

/// The parts of a URL.
struct Url<'a> {
    scheme: &'a str,
    /// As the Host header has it.
    authority: &'a str,
    host: &'a str,
    port: u16,
    path: &'a str,
}

/// Explains a request or a connection.
///
/// # Errors
/// As [`super::run`].
pub fn run(url: &str, args: &Args, given: &Given) -> Result<Report, Failure> {
    let parts = parse(url).ok_or_else(|| Failure(format!("\"{url}\" is no URL of a request")))?;
    let oracle = oracle(given, &args.conf)?;
    let literal = parts.host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>().ok();
    let any = match args.from {
        IpAddr::V4(_) => IpAddr::V4(Ipv4Addr::LOCALHOST),
        IpAddr::V6(_) => IpAddr::V6(Ipv6Addr::LOCALHOST),
    };
    let to = SocketAddr::new(args.to.or(literal).unwrap_or(any), parts.port);
    let from = SocketAddr::new(args.from, 40_000);
    let mut report = Report::new(format!("{} {url} from {}", args.method, args.from));
    if matches!(parts.scheme, "tcp" | "stream" | "udp") {
        report.title = format!("{url} from {}", args.from);
        connection(&mut report, &oracle, (from, to), parts.scheme == "udp")?;
    } else {
        let secure = parts.scheme == "https";
        let trace = oracle.http(Question { head: head(&parts, args), from, to, secure }).map_err(Failure)?;
        if secure {
            let text = "This is what follows a handshake for the host of the URL. Whether protocols, ciphers and a certificate \
                        of the client fit is not part of the answer.";
            report.section(Section::new("TLS").text(text));
        }
        request(&mut report, &trace, &oracle);
        settings(&mut report, &trace, (&oracle, args, given))?;
    }
    report.section(Section::new("Names without an address here").list(oracle.unknown.clone()));
    let unserved =
        format!("{} places of the file are not served, and are not part of this answer.", oracle.unserved.len());
    if !oracle.unserved.is_empty() {
        report.section(Section::new("Not served").text(unserved).list(oracle.unserved.clone()));
    }
    Ok(report)
}

/// The configuration that is asked; a part of one in the blocks it belongs in.
fn oracle(given: &Given, conf: &str) -> Result<Oracle, Failure> {
    let Some(place) = given.place_of(conf)? else { return Oracle::new(given, conf).map_err(Failure) };
    let (around, whole) = given.around(conf, place);
    let mut oracle = Oracle::new(&around, &around.name).map_err(|text| Failure(text.replace(&whole, conf)))?;
    oracle.rename(&whole, conf);
    Ok(oracle)
}

fn parse(url: &str) -> Option<Url<'_>> {
    let (scheme, rest) = url.split_once("://")?;
    let default = match scheme {
        "http" => Some(80),
        "https" => Some(443),
        "tcp" | "stream" | "udp" => None,
        _ => return None,
    };
    let at = rest.find(['/', '?']).unwrap_or(rest.len());
    let (authority, path) = rest.split_at_checked(at)?;
    let (host, port) = match authority.rsplit_once(':') {
        Some((host, port)) if !port.is_empty() && !port.ends_with(']') => (host, port.parse().ok()?),
        _ => (authority, default?),
    };
    Some(Url { scheme, authority, host, port, path }).filter(|url| !url.host.is_empty())
}

fn head(url: &Url<'_>, args: &Args) -> Vec<u8> {
    let given = |name: &str| {
        args.headers
            .iter()
            .any(|header| header.split_once(':').is_some_and(|(known, _)| known.trim().eq_ignore_ascii_case(name)))
    };
    let path = match url.path {
        "" => "/".to_owned(),
        path if path.starts_with('?') => format!("/{path}"),
        path => path.to_owned(),
    };
    let mut head = format!("{} {path} HTTP/1.1\r\n", args.method);
    if !given("host") {
        head.push_str(&format!("Host: {}\r\n", url.authority));
    }
    for header in &args.headers {
        head.push_str(&format!("{}\r\n", header.replace(['\r', '\n'], " ")));
    }
    head.push_str("\r\n");
    head.into_bytes()
}

fn at(place: &str) -> String {
    if place.is_empty() { String::new() } else { format!(" ({place})") }
}

fn request(report: &mut Report, trace: &Trace, oracle: &Oracle) {
    let (name, span, why) = &trace.server;
    let shown = if name.is_empty() { "without a name" } else { name };
    let server = Section::new("Server").list(vec![
        format!("listener: {}", trace.listener),
        format!("server: {shown}{}", at(&oracle.place(*span))),
        format!("why: {why}"),
    ]);
    report.section(server.drawing(Drawing::Path { stations: stations(trace, oracle) }));
    way(report, trace, oracle, "");
    for (uri, inner) in &trace.inner {
        way(report, inner, oracle, &format!(" (inner request {uri})"));
        if inner.passed.is_none() {
            let text = format!("It is answered with {}.", inner.status);
            report.section(Section::new(format!("Answer (inner request {uri})")).text(text));
        }
    }
    let mut table = Table::new(&["header", "value"]);
    const PLAIN: [&str; 4] = ["Date", "Server", "Connection", "Transfer-Encoding"];
    for (name, value) in trace.answer.iter().filter(|(name, _)| !PLAIN.contains(&name.as_str())) {
        table.row([name, value]);
    }
    let mut answer = Section::new("Answer");
    let location = trace.chosen.last().and_then(|chosen| chosen.location.as_ref());
    let place = location.map_or_else(|| "the server".to_owned(), |(name, _)| format!("location {name}"));
    let verdict = match &trace.passed {
        Some(passed) => {
            let none = if table.rows.is_empty() { " there are none." } else { "" };
            answer = answer.text(format!("Headers that are added to an answer of 200:{none}"));
            let first = passed.choice.order.first().cloned().unwrap_or_else(|| "nobody".to_owned());
            let first = if passed.choice.sticks() { first } else { format!("{first} or another of the group") };
            format!("{place} passes it on to {}: {first}", passed.group)
        }
        None => {
            let file = trace.file.as_ref().map(|file| format!(", the file {file}"));
            format!("{place} answers with {}{}", trace.status, file.unwrap_or_default())
        }
    };
    report.section(answer.table(table));
    report.conclude(false, verdict);
}

/// What a request meets, one after the other.
fn stations(trace: &Trace, oracle: &Oracle) -> Vec<Station> {
    let (name, span, _) = &trace.server;
    let server = if name.is_empty() { "server".to_owned() } else { format!("server {name}") };
    let mut all = vec![Station::new(format!("listener {}", trace.listener), "the client connects")];
    all.push(Station::new(server, oracle.place(*span)));
    for chosen in &trace.chosen {
        all.push(match &chosen.location {
            Some((name, span)) => {
                Station::new(format!("location {name}"), format!("{} for {}", oracle.place(*span), chosen.path))
            }
            None => Station::new("no location", format!("the server's own settings hold for {}", chosen.path)),
        });
    }
    match &trace.passed {
        Some(passed) => {
            let first = passed.choice.order.first().map_or("nobody", String::as_str);
            let others = passed.choice.order.len().saturating_sub(1);
            let more = if others == 0 { String::new() } else { format!(", {others} more in the group") };
            all.push(Station::new(&passed.group, format!("chosen by {}", passed.choice.method)));
            all.push(Station::new(first, format!("the server that is asked{more}")));
        }
        None => {
            let file = trace
                .file
                .as_ref()
                .map_or_else(|| "nothing is passed on".to_owned(), |file| format!("the file {file}"));
            all.push(Station::new(format!("answer {}", trace.status), file));
        }
    }
    all
}

/// The locations, rules and backends a request meets; `whose` tells which request.
fn way(report: &mut Report, trace: &Trace, oracle: &Oracle, whose: &str) {
    for chosen in &trace.chosen {
        let mut table = Table::new(&["location", "place", "verdict"]);
        for (name, span, thought) in &chosen.considered {
            table.row([name.clone(), oracle.place(*span), (*thought).to_owned()]);
        }
        let text = match &chosen.location {
            Some((name, span)) => format!("{} is served by location {name}{}.", chosen.path, at(&oracle.place(*span))),
            None => format!("{} fits no location: the server's own settings hold.", chosen.path),
        };
        report.section(Section::new(format!("Location{whose}")).text(text).table(table));
    }
    let steps = trace.steps.iter().map(|(phase, text, span)| format!("{phase}: {text}{}", at(&oracle.place(*span))));
    let located = whose.is_empty() && !trace.chosen.is_empty();
    let granted = located && !trace.steps.iter().any(|(phase, ..)| *phase == "access");
    let verdict = granted.then(|| "access: nobody refuses the client".to_owned());
    report.section(Section::new(format!("On the way{whose}")).list(verdict.into_iter().chain(steps).collect()));
    if let Some(passed) = &trace.passed {
        let section = Section::new(format!("Passed on{whose}")).text(format!("To {}.", passed.group));
        report.section(choice(section, &passed.choice));
        let section = Section::new(format!("The request as it is sent{whose}"));
        report.section(section.verbatim(passed.head.trim_end()));
    }
}

/// Who of a group is asked.
fn choice(section: Section, choice: &Choice) -> Section {
    let key = choice.key.as_ref().map(|key| format!(" with the key \"{key}\"")).unwrap_or_default();
    let mut table = Table::new(&["asked", "peer"]);
    for (index, peer) in choice.order.iter().enumerate() {
        let when = if index == 0 { "first" } else { "when those before cannot be reached" };
        table.row([when, peer]);
    }
    let near = match choice.method {
        "ip_hash" => " Of an IPv4 address three bytes count: all clients of its /24 network go the same way.",
        _ => "",
    };
    let section = section.text(format!("Chosen by {}{key}.{near}", choice.method)).table(table);
    if choice.sticks() {
        return section;
    }
    let section =
        section.text("The next request may be sent to another peer: a running server is somewhere in its cycle.");
    if choice.turns.is_empty() { section } else { section.text(format!("The cycle: {}.", choice.turns.join(", "))) }
}

fn settings(
    report: &mut Report,
    trace: &Trace,
    (oracle, args, given): (&Oracle, &Args, &Given),
) -> Result<(), Failure> {
    let last = trace.chosen.last().and_then(|chosen| chosen.location.as_ref());
    let place = oracle.place(last.map_or(trace.server.1, |(_, span)| *span));
    let text = given.read(&args.conf)?;
    let mut table = Table::new(&["setting", "value", "place"]);
    let inner = trace.entered.last().map(|span| diff::given(&text, &oracle.place(Some(*span)))).unwrap_or_default();
    let kind = |name: &str| name.split(' ').next().unwrap_or_default().to_owned();
    let own: Vec<String> = inner.iter().map(|(name, ..)| kind(name)).collect();
    let around = diff::effective(&text, &place).into_iter().filter(|(name, ..)| !own.contains(&kind(name)));
    for (name, value, place) in around.chain(inner.clone()) {
        let told = TOLD.iter().any(|start| name.starts_with(start));
        if told && !ELSEWHERE.iter().any(|start| name.starts_with(start)) {
            table.row([name, value, place]);
        }
    }
    report.section(Section::new("Settings that hold there").table(table));
    Ok(())
}

fn connection(
    report: &mut Report,
    oracle: &Oracle,
    (from, to): (SocketAddr, SocketAddr),
    udp: bool,
) -> Result<(), Failure> {
    let trace = oracle.stream(from, to, udp).map_err(Failure)?;
    let what = if udp { "session" } else { "connection" };
    let mut facts = vec![format!("listener: {}", trace.listener)];
    if trace.announced {
        facts.push("the client has to begin with a PROXY protocol head".to_owned());
    }
    report.section(Section::new("Server").list(facts));
    let verdict = match &trace.ending {
        Ending::Refused(status) => format!("the {what} is refused with {status}"),
        Ending::Answers(text) => format!("it is answered with \"{text}\""),
        Ending::Fails(why) => format!("it fails: {why}"),
        Ending::Passes { group, choice: chosen, announces } => {
            let head = if *announces {
                "The server is sent a PROXY protocol head first."
            } else {
                "The bytes are passed as they are."
            };
            let section = Section::new("Passed on").text(format!("To {group}. {head}"));
            report.section(choice(section, chosen));
            let first = chosen.order.first().cloned().unwrap_or_else(|| "nobody".to_owned());
            let first = if chosen.sticks() { first } else { format!("{first} or another of the group") };
            format!("it is passed on to {group}: {first}")
        }
    };
    report.conclude(false, verdict);
    Ok(())
}
