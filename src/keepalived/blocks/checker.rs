//! Health checks of real servers. Not served yet: judged as keepalived judges them.

use super::real::Real;
use super::server::{LONGEST, MOST_SECONDS, Server, trio};
use crate::check::dns;
use crate::check::http::{Url, Version};
use crate::conf::diagnostic::{Diagnostic, Severity};
use crate::conf::directive::{Arity, Contexts, Directive, Opens, Set};
use crate::conf::module::{Conf, Module, Scope};
use crate::conf::slot::{Block, Custom};
use crate::conf::tree::Statement;
use crate::conf::walk::Setting;
use crate::keepalived::contexts::{
    BFD, BFD_CHECK, DNS_CHECK, FILE, FILE_CHECK, HTTP_GET, MISC_CHECK, PING_CHECK, SMTP_CHECK, SMTP_HOST, TCP_CHECK,
    UDP_CHECK, URL,
};
use crate::keepalived::slot::{
    Command, CommandLine, MICROSECOND, Present, Seconds, Switch, Text, Unsigned, again, also, command, complain, count,
    first, whole,
};
use std::net::IpAddr;
use std::time::Duration;

/// The keywords of health checks.
pub const MODULE: Module = Module {
    name: "checkers",
    directives: DIRECTIVES,
    scopes: &[Scope::of::<Checker>(EVERY.or(FILE_CHECK).or(BFD_CHECK)), Scope::of::<Url>(URL)],
};

const BARE: Arity = Arity::AtLeast(0);
const ONE: Arity = Arity::AtLeast(1);
/// The largest number without a sign.
const WIDE: i64 = u32::MAX as i64;
/// Checks that connect somewhere.
const CONNECTING: Contexts =
    HTTP_GET.or(TCP_CHECK).or(SMTP_CHECK).or(SMTP_HOST).or(DNS_CHECK).or(UDP_CHECK).or(PING_CHECK);
/// Checks that have a rhythm of their own.
const EVERY: Contexts = CONNECTING.or(MISC_CHECK);

const fn row(name: &'static str, contexts: Contexts, arity: Arity, set: &'static dyn Set) -> Directive {
    Directive::new(name, contexts, arity, set)
}

/// A row that is checked and not served.
const fn missing(name: &'static str, contexts: Contexts, arity: Arity, set: &'static dyn Set) -> Directive {
    Directive::missing(name, contexts, arity).judged(set)
}

const DIRECTIVES: &[Directive] = &[
    row("connect_ip", CONNECTING, ONE, &Custom(connect_ip))
        .doc("The address that is checked, where it is not that of the real server."),
    row(
        "connect_port",
        CONNECTING,
        ONE,
        &Unsigned(|c: &mut Checker| &mut c.port, 1..=65_535, "Invalid checker {k} '{v}'"),
    )
    .doc("The port that is checked, where it is not that of the real server."),
    row("bindto", CONNECTING, ONE, &Custom(bind_to)).doc("The address the check is made from."),
    row(
        "bind_port",
        CONNECTING,
        ONE,
        &Unsigned(|c: &mut Checker| &mut c.bind_port, 1..=65_535, "Invalid checker {k} '{v}'"),
    )
    .doc("The port the check is made from."),
    row("bind_if", CONNECTING, ONE, &Custom(bind_interface)).doc("The interface the check is made through."),
    row(
        "connect_timeout",
        CONNECTING,
        ONE,
        &Seconds(|c: &mut Checker| &mut c.timeout, MICROSECOND..=MOST_SECONDS, "{k} {v} invalid - ignoring"),
    )
    .doc("Seconds after which a connection that is not made counts as failed."),
    row(
        "fwmark",
        CONNECTING,
        ONE,
        &Unsigned(|c: &mut Checker| &mut c.mark, 0..=WIDE, "Invalid {k} connection value '{v}'"),
    )
    .doc("The firewall mark of the packets of the check."),
    row("retry", EVERY, ONE, &Unsigned(|c: &mut Checker| &mut c.retry, 0..=WIDE, "Invalid {k} connection value '{v}'"))
        .doc("How often a failed check is repeated before the server counts as down."),
    row(
        "delay_before_retry",
        EVERY,
        ONE,
        &Seconds(|c: &mut Checker| &mut c.retry_delay, 0.0..=LONGEST, "Invalid {k} connection value '{v}'"),
    )
    .doc("Seconds between a failed check and its repetition."),
    row(
        "warmup",
        EVERY,
        ONE,
        &Seconds(|c: &mut Checker| &mut c.warmup, 0.0..=LONGEST, "Invalid {k} connection value '{v}'"),
    )
    .doc("The longest random delay before the first check, so that checks do not start together."),
    row(
        "delay_loop",
        EVERY,
        ONE,
        &Seconds(|c: &mut Checker| &mut c.delay, MICROSECOND..=LONGEST, "{k} '{v}' is invalid - ignoring"),
    )
    .doc("Seconds between two checks."),
    row("alpha", EVERY.or(BFD_CHECK), BARE, &Switch(|c: &mut Checker| &mut c.alpha, "Invalid {k} parameter {v}"))
        .doc("Servers count as down until their first check succeeds."),
    row("log_all_failures", EVERY, BARE, &Switch(|c: &mut Checker| &mut c.log_all, "Invalid {k} parameter {v}"))
        .doc("Logs every failed attempt, not only the last."),
    row("nb_get_retry", HTTP_GET, BARE, &Custom(old_retry)).doc("The old name of retry."),
    row("virtualhost", HTTP_GET, BARE, &Text(|c: &mut Checker| &mut c.host, "HTTP_GET virtualhost name missing"))
        .doc("The host name that web checks ask for."),
    row("http_protocol", HTTP_GET, BARE, &Custom(http_protocol)).doc("The version of HTTP that is asked with."),
    row("enable_sni", HTTP_GET, BARE, &Switch(|c: &mut Checker| &mut c.server_name, "Invalid {k} parameter {v}"))
        .doc("Names the virtual host in the TLS handshake."),
    row("fast_recovery", HTTP_GET, BARE, &Switch(|c: &mut Checker| &mut c.fast_recovery, "Invalid {k} parameter {v}"))
        .doc("One success is enough for a server to be up again."),
    row("url", HTTP_GET, Arity::Block(0, 255, Opens::Context(URL)), &Block(open_url, close_url))
        .doc("One page that is asked for, and what a good answer is."),
    Directive::missing("sni_name", HTTP_GET, BARE).doc("The name given in the TLS handshake."),
    Directive::missing("tls_compliant", HTTP_GET, BARE).doc("Refuses what the TLS standard does not allow."),
    row("path", URL, ONE, &Custom(path)).doc("The path that is asked for, or the file that is watched."),
    row("digest", URL, ONE, &Custom(digest)).doc("The MD5 digest a good answer has."),
    row("status_code", URL, BARE, &Custom(status_code)).doc("The status codes a good answer may have."),
    row("virtualhost", URL, BARE, &Text(|c: &mut Url| &mut c.host, "Missing HTTP_GET virtualhost name"))
        .doc("The host name that web checks ask for."),
    Directive::missing("regex", URL, BARE).doc("An expression the answer must match."),
    Directive::missing("regex_no_match", URL, BARE).doc("An expression the answer must not match."),
    Directive::missing("regex_options", URL, BARE).doc("Options the expression is compiled with."),
    Directive::missing("regex_min_offset", URL, BARE).doc("Where in the answer the match may begin at the earliest."),
    Directive::missing("regex_max_offset", URL, BARE)
        .doc("Where in the answer the match must have begun at the latest."),
    Directive::missing("regex_stack", URL, BARE)
        .doc("The size of the stack expressions are matched with: at first, and at most."),
    row("helo_name", SMTP_CHECK, BARE, &Text(|c: &mut Checker| &mut c.name, "SMTP_CHECK helo name missing"))
        .doc("The name given to the mail server."),
    row("host", SMTP_CHECK, Arity::Block(0, 255, Opens::Context(SMTP_HOST)), &Block(open, close_host))
        .doc("One mail server that is checked."),
    row("type", DNS_CHECK, ONE, &Custom(dns_type)).doc("The type of the record that is asked for."),
    row("name", DNS_CHECK, ONE, &Custom(dns_name)).doc("The name that is asked for."),
    row("misc_path", MISC_CHECK, BARE, &CommandLine(misc_path)).doc("The script that is run, with its arguments."),
    row(
        "misc_timeout",
        MISC_CHECK,
        ONE,
        &Unsigned(|c: &mut Checker| &mut c.limit, 0..=WIDE, "Invalid {k} value '{v}'"),
    )
    .doc("Seconds after which the script is ended."),
    row("misc_dynamic", MISC_CHECK, BARE, &Present(|c: &mut Checker| &mut c.dynamic, true))
        .doc("The exit code of the script sets the weight of the server."),
    row("user", MISC_CHECK, BARE, &Custom(misc_user)).doc("The user, and the group, the script is run as."),
    row("require_reply", UDP_CHECK, BARE, &Custom(reply)).doc("A server that does not answer is down."),
    missing("payload", UDP_CHECK, BARE, &Custom(payload)).doc("The bytes that are sent, in hexadecimal."),
    missing(
        "min_reply_length",
        UDP_CHECK,
        ONE,
        &Unsigned(
            |c: &mut Checker| &mut c.least_reply,
            0..=65_535,
            "UDP_CHECK min length {v} not valid - must be between 0 & 65535",
        ),
    )
    .doc("The least length of a good answer."),
    missing(
        "max_reply_length",
        UDP_CHECK,
        ONE,
        &Unsigned(
            |c: &mut Checker| &mut c.most_reply,
            0..=65_535,
            "UDP_CHECK max length {v} not valid - must be between 0 & 65535",
        ),
    )
    .doc("How much of an answer is looked at."),
    missing("track_file", FILE_CHECK, ONE, &Custom(track_file)).doc("The tracked file that decides."),
    missing("weight", FILE_CHECK, BARE, &Custom(file_weight))
        .doc("What the value is multiplied with to give the weight of the server."),
    missing("name", BFD_CHECK, BARE, &Custom(bfd_name)).doc("The name that is asked for."),
];

/// A check as configured; each kind uses its own part.
#[derive(Clone, Debug, Default)]
pub struct Checker {
    /// The name of its block.
    pub kind: &'static str,
    pub address: Option<IpAddr>,
    pub port: Option<i64>,
    pub bind: Option<IpAddr>,
    pub bind_port: Option<i64>,
    pub bind_interface: Option<String>,
    pub timeout: Option<Duration>,
    pub mark: Option<i64>,
    pub retry: Option<i64>,
    pub retry_delay: Option<Duration>,
    pub warmup: Option<Duration>,
    pub delay: Option<Duration>,
    pub alpha: Option<bool>,
    /// `log_all_failures`.
    pub log_all: Option<bool>,
    pub host: Option<String>,
    /// The `url` blocks that were kept.
    pub urls: Vec<Url>,
    /// `http_protocol`.
    pub version: Version,
    /// The `host` blocks of a mail check.
    pub hosts: Vec<Self>,
    /// `enable_sni`.
    pub server_name: Option<bool>,
    /// `fast_recovery`.
    pub fast_recovery: Option<bool>,
    /// The number of the record type that is asked for.
    pub record: Option<u16>,
    /// `require_reply`.
    pub require_reply: bool,
    /// `helo_name`, `name`, `track_file`.
    pub name: Option<String>,
    /// A name was given, whether or not it was any good.
    pub named: bool,
    pub command: Option<Command>,
    pub limit: Option<i64>,
    pub dynamic: Option<bool>,
    pub weight: Option<i64>,
    pub least_reply: Option<i64>,
    pub most_reply: Option<i64>,
}

impl Conf for Checker {
    fn inherit(&mut self, _: &Self) {}
}

impl Conf for Url {
    fn inherit(&mut self, _: &Self) {}
}

type Outcome = Result<(), Diagnostic>;

/// The `{` of a check.
///
/// # Errors
/// None.
pub fn open(_: &mut Setting<'_>, _: &mut Checker, _: &Statement) -> Outcome {
    Ok(())
}

/// The real server as keepalived names it.
fn shown(cx: &Setting<'_>) -> String {
    let protocol = cx.seen::<Server>().and_then(|server| server.protocol);
    cx.seen::<Real>().map_or_else(String::new, |real| trio(real.address, protocol, real.port))
}

/// `}` of a check.
///
/// # Errors
/// It lacks what it cannot do without.
pub fn close(cx: &mut Setting<'_>) -> Outcome {
    let mut checker = cx.level().and_then(|level| level.own::<Checker>()).cloned().unwrap_or_default();
    let lacks = match cx.row.name {
        "HTTP_GET" | "SSL_GET" if checker.urls.is_empty() => {
            "HTTP/SSL_GET checker has no urls specified - ignoring".to_owned()
        }
        "MISC_CHECK" if checker.command.is_none() => {
            "No script path has been specified for MISC_CHECKER - skipping".to_owned()
        }
        "FILE_CHECK" if checker.name.is_none() => "FILE_CHECK has no track_file specified - ignoring".to_owned(),
        "BFD_CHECK" if !checker.named => {
            format!("({}) No name has been specified for BFD_CHECKER - skipping", shown(cx))
        }
        "UDP_CHECK" if checker.least_reply.unwrap_or(0) > checker.most_reply.unwrap_or(255) => format!(
            "UDP_CHECK min_reply length {} > max_reply_length {} - will always fail",
            checker.least_reply.unwrap_or(0),
            checker.most_reply.unwrap_or(255)
        ),
        _ => {
            let local = checker.address.filter(|_| checker.bind_interface.is_none());
            if let Some(IpAddr::V6(ip)) = local
                && ip.is_unicast_link_local()
            {
                return Err(complain(format!("Checker link local address {ip} requires a bind_if")));
            }
            checker.kind = cx.row.name;
            if !checker.hosts.is_empty() {
                let text = "The SMTP_CHECK host block is deprecated. Please define additional checkers.";
                cx.report(Diagnostic::new(Severity::Notice, text));
            }
            if let Some(real) = cx.conf::<Real>() {
                real.checks.push(checker);
            }
            return Ok(());
        }
    };
    Err(complain(lacks))
}

/// `}` of a host of a mail check.
///
/// # Errors
/// It is on a link, and none is named.
fn close_host(cx: &mut Setting<'_>) -> Outcome {
    let host = cx.level().and_then(|level| level.own::<Checker>()).cloned().unwrap_or_default();
    if let Some(IpAddr::V6(ip)) = host.address.filter(|_| host.bind_interface.is_none())
        && ip.is_unicast_link_local()
    {
        return Err(complain(format!("Checker link local address {ip} requires a bind_if")));
    }
    if let Some(check) = cx.conf_around::<Checker>() {
        check.hosts.push(host);
    }
    Ok(())
}

fn connect_ip(_: &mut Setting<'_>, checker: &mut Checker, statement: &Statement) -> Outcome {
    let text = first(statement);
    let address: IpAddr =
        text.parse().map_err(|_| complain(format!("Invalid connect_ip address {text} - ignoring")))?;
    if checker.bind.is_some_and(|bind| bind.is_ipv6() != address.is_ipv6()) {
        let text = format!("connect_ip address {text} does not match address family of bindto - skipping");
        return Err(complain(text));
    }
    checker.address = Some(address);
    Ok(())
}

fn bind_to(cx: &mut Setting<'_>, checker: &mut Checker, statement: &Statement) -> Outcome {
    let text = first(statement);
    let address: IpAddr = text.parse().map_err(|_| complain(format!("Invalid bindto address {text} - ignoring")))?;
    // A mail check takes the real server's address only at its end.
    let real = cx.seen::<Real>().map(|real| real.address).filter(|_| cx.context() != SMTP_CHECK);
    if checker.address.or(real).is_some_and(|other| other.is_ipv6() != address.is_ipv6()) {
        let text = format!("bindto address {text} does not match address family of connect_ip - skipping");
        return Err(complain(text));
    }
    checker.bind = Some(address);
    Ok(())
}

fn bind_interface(_: &mut Setting<'_>, checker: &mut Checker, statement: &Statement) -> Outcome {
    let name = first(statement);
    if name.len() > 15 {
        return Err(complain(format!("Interface name {name} is too long - ignoring")));
    }
    checker.bind_interface = Some(name);
    Ok(())
}

fn old_retry(cx: &mut Setting<'_>, checker: &mut Checker, statement: &Statement) -> Outcome {
    cx.report(complain("nb_get_retry is deprecated - please use 'retry'").at(statement.span));
    if statement.arguments().is_empty() {
        let start = "*** Configuration line starting `nb_get_retry` is missing a parameter after keyword";
        return Err(complain(format!("{start} `nb_get_retry` at word position 2")));
    }
    let judged = count(&first(statement), &(0..=WIDE));
    checker.retry = Some(judged.map_err(|wrong| also(cx, statement, wrong, "Invalid nb_get_retry value '{v}'"))?);
    Ok(())
}

fn http_protocol(_: &mut Setting<'_>, checker: &mut Checker, statement: &Statement) -> Outcome {
    checker.version = match &*first(statement) {
        "" => return Err(complain("Missing http_protocol version")),
        "1.0" => Version::V10,
        "1.1" => Version::V11,
        "1.0c" | "1.0C" => Version::V10Close,
        other => return Err(complain(format!("Invalid http_protocol version {other}"))),
    };
    Ok(())
}

fn open_url(_: &mut Setting<'_>, _: &mut Url, _: &Statement) -> Outcome {
    Ok(())
}

fn close_url(cx: &mut Setting<'_>) -> Outcome {
    let own = cx.level().and_then(|level| level.own::<Url>()).cloned();
    let Some(url) = own.filter(|url| !url.path.is_empty()) else {
        return Err(complain("HTTP/SSL_GET checker url has no path - ignoring"));
    };
    if let Some(checker) = cx.conf::<Checker>() {
        checker.urls.push(url);
    }
    Ok(())
}

fn path(_: &mut Setting<'_>, url: &mut Url, statement: &Statement) -> Outcome {
    url.path = first(statement);
    Ok(())
}

fn digest(_: &mut Setting<'_>, url: &mut Url, statement: &Statement) -> Outcome {
    const LENGTH: usize = 32;
    let text = first(statement);
    if text.len() != LENGTH {
        let length = text.len();
        return Err(complain(format!("digest '{text}' character length should be {LENGTH} rather than {length}")));
    }
    if let Some(at) = text.bytes().position(|byte| !byte.is_ascii_hexdigit()) {
        let pair = at - at % 2;
        let text = format!("Unable to interpret hex digit in '{text}' at offset {pair}/{}", pair + 1);
        return Err(complain(text));
    }
    url.digest = u128::from_str_radix(&text, 16).ok().map(u128::to_be_bytes);
    Ok(())
}

fn status_code(cx: &mut Setting<'_>, url: &mut Url, statement: &Statement) -> Outcome {
    for word in statement.arguments() {
        let text = word.text();
        let (low, high) = text.split_once('-').unwrap_or((&text, &text));
        let code = |part: &str| part.parse::<u16>().ok().filter(|code| (100..600).contains(code));
        match (code(low), code(high)) {
            (Some(low), Some(high)) if low <= high => url.statuses.push((low, high)),
            _ => cx.report(complain(format!("Invalid HTTP_GET status code '{text}'")).at(statement.span)),
        }
    }
    Ok(())
}

fn dns_type(_: &mut Setting<'_>, checker: &mut Checker, statement: &Statement) -> Outcome {
    let text = first(statement);
    let found = dns::TYPES.iter().find(|(name, _)| name.eq_ignore_ascii_case(&text));
    let Some((_, number)) = found else {
        return Err(complain(format!("Unknown DNS check type {text} - ignoring")));
    };
    checker.record = Some(*number);
    Ok(())
}

fn dns_name(_: &mut Setting<'_>, checker: &mut Checker, statement: &Statement) -> Outcome {
    let text = first(statement);
    if checker.name.is_some() {
        return Err(again("DNS_CHECK name already specified - ignoring"));
    }
    if text.starts_with('.') || text.contains("..") {
        return Err(complain(format!("DNS_CHECK name '{text}' has empty label - ignoring")));
    }
    checker.name = Some(text);
    Ok(())
}

fn misc_path(_: &mut Setting<'_>, checker: &mut Checker, statement: &Statement) -> Outcome {
    if let Some(command) = command(statement.arguments().get(..1).unwrap_or_default())? {
        checker.command = Some(command);
    }
    Ok(())
}

fn misc_user(_: &mut Setting<'_>, checker: &mut Checker, statement: &Statement) -> Outcome {
    let group = statement.arguments().get(1).map(|word| word.text().into_owned());
    let script = checker.command.as_ref().and_then(|command| command.words.first().cloned()).unwrap_or_default();
    if statement.arguments().is_empty() {
        return Err(complain(format!("No user specified for misc checker script '{script}'")));
    }
    if let Some(command) = &mut checker.command {
        command.user = Some((first(statement), group));
    }
    Ok(())
}

/// Whether keepalived reads a text as bytes in hexadecimal.
fn is_hexadecimal(statement: &Statement) -> bool {
    let digit = |c: char| c.is_ascii_hexdigit() || matches!(c, 'x' | 'X');
    statement.arguments().iter().all(|word| word.text().chars().all(digit))
}

fn reply(_: &mut Setting<'_>, checker: &mut Checker, statement: &Statement) -> Outcome {
    checker.require_reply = true;
    if is_hexadecimal(statement) { Ok(()) } else { Err(complain("Invalid hex string for UDP_CHECK reply")) }
}

fn payload(_: &mut Setting<'_>, _: &mut Checker, statement: &Statement) -> Outcome {
    if statement.arguments().is_empty() {
        return Err(complain("UDP_CHECK payload requires a payload"));
    }
    let plain = statement.arguments().iter().all(|word| !word.text().contains(['x', 'X']));
    if plain && is_hexadecimal(statement) {
        return Ok(());
    }
    Err(complain("Invalid hex string for UDP_CHECK payload"))
}

fn track_file(cx: &mut Setting<'_>, checker: &mut Checker, statement: &Statement) -> Outcome {
    let name = first(statement);
    if !super::track::defined(cx, FILE, &name) {
        return Err(complain(format!("track_file {name} not found")));
    }
    checker.name = Some(name);
    Ok(())
}

fn file_weight(cx: &mut Setting<'_>, checker: &mut Checker, statement: &Statement) -> Outcome {
    if statement.arguments().is_empty() {
        return Err(complain("track file weight missing"));
    }
    let template = "weight for track file must be in [-2147483647..2147483647] inclusive. Ignoring...";
    let judged = whole(&first(statement), &(-2_147_483_647..=2_147_483_647));
    checker.weight = Some(judged.map_err(|wrong| also(cx, statement, wrong, template))?);
    match statement.arguments().get(1) {
        Some(word) if !word.is("reverse") && !word.is("noreverse") => {
            Err(complain(format!("unknown track file weight option {} - ignoring", word.text())))
        }
        _ => Ok(()),
    }
}

fn bfd_name(cx: &mut Setting<'_>, checker: &mut Checker, statement: &Statement) -> Outcome {
    checker.named = true;
    let prefix = format!("({}) BFD_CHECK -", shown(cx));
    let [word] = statement.arguments() else {
        return Err(complain(format!("{prefix} No or too many names specified - skipping checker")));
    };
    let name = word.text();
    if !super::track::defined(cx, BFD, &name) {
        return Err(complain(format!("{prefix} BFD {name} not configured")));
    }
    checker.name = Some(name.into_owned());
    Ok(())
}
