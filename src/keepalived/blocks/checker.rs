//! Health checks of real servers.

use super::bfd::Bfd;
use super::real::Real;
use super::server::{LONGEST, MOST_SECONDS, Server, trio};
use crate::check::dns;
use crate::check::http::{Url, Version};
use crate::check::udp::{self, Masked};
use crate::conf::diagnostic::{Diagnostic, Severity};
use crate::conf::directive::{Arity, Contexts, Directive, Opens, Set};
use crate::conf::module::{Conf, Module, Scope};
use crate::conf::slot::{Block, Custom};
use crate::conf::tree::Statement;
use crate::conf::walk::{Level, Setting};
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
    scopes: &[Scope::of::<Checker>(EVERY.or(FILE_CHECK).or(BFD_CHECK))],
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
    row("url", HTTP_GET, Arity::Block(0, 255, Opens::Context(URL)), &Block(super::url::open, super::url::close))
        .doc("One page that is asked for, and what a good answer is."),
    row("sni_name", HTTP_GET, BARE, &Custom(sni_name))
        .doc("The name given in the TLS handshake, which is then always done; without one, as enable_sni."),
    row("tls_compliant", HTTP_GET, BARE, &Switch(|c: &mut Checker| &mut c.tls_compliant, "Invalid {k} option {v}"))
        .doc("Tells the server when a TLS connection ends, as the standard asks for."),
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
    row("payload", UDP_CHECK, BARE, &Custom(payload)).doc("The bytes that are sent, in hexadecimal."),
    row(
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
    row(
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
    row("track_file", FILE_CHECK, ONE, &Custom(track_file)).doc("The tracked file that decides."),
    row("weight", FILE_CHECK, BARE, &Custom(file_weight))
        .doc("What the value is multiplied with to give the weight of the server."),
    row("name", BFD_CHECK, BARE, &Custom(bfd_name)).doc("The name that is asked for."),
];

/// A check as configured; each kind uses its own part.
#[derive(Clone, Debug, Default)]
pub struct Checker {
    /// The name of its block.
    pub kind: &'static str,
    /// `connect_ip`.
    pub address: Option<IpAddr>,
    /// `connect_port`.
    pub port: Option<i64>,
    /// `bindto`.
    pub bind: Option<IpAddr>,
    /// `bind_port`.
    pub bind_port: Option<i64>,
    /// `bind_if`.
    pub bind_interface: Option<String>,
    /// `connect_timeout`.
    pub timeout: Option<Duration>,
    /// `fwmark`.
    pub mark: Option<i64>,
    /// `retry`.
    pub retry: Option<i64>,
    /// `delay_before_retry`.
    pub retry_delay: Option<Duration>,
    /// `warmup`.
    pub warmup: Option<Duration>,
    /// `delay_loop`.
    pub delay: Option<Duration>,
    /// `alpha`.
    pub alpha: Option<bool>,
    /// `log_all_failures`.
    pub log_all: Option<bool>,
    /// `virtualhost`.
    pub host: Option<String>,
    /// The `url` blocks that were kept.
    pub urls: Vec<Url>,
    /// `http_protocol`.
    pub version: Version,
    /// The `host` blocks of a mail check.
    pub hosts: Vec<Self>,
    /// `enable_sni`.
    pub server_name: Option<bool>,
    /// `sni_name`.
    pub sni_name: Option<String>,
    /// `tls_compliant`.
    pub tls_compliant: Option<bool>,
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
    /// `misc_path`.
    pub command: Option<Command>,
    /// `misc_timeout`, in seconds.
    pub limit: Option<i64>,
    /// `misc_dynamic`.
    pub dynamic: Option<bool>,
    /// `weight`.
    pub weight: Option<i64>,
    /// `weight … reverse`.
    pub reverse: bool,
    /// `payload`.
    pub payload: Option<Vec<u8>>,
    /// What an answer begins with.
    pub reply: Vec<Masked>,
    /// `min_reply_length`.
    pub least_reply: Option<i64>,
    /// `max_reply_length`.
    pub most_reply: Option<i64>,
}

impl Conf for Checker {
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

fn sni_name(_: &mut Setting<'_>, checker: &mut Checker, statement: &Statement) -> Outcome {
    let given = statement.arguments().first().map(|word| word.text().into_owned());
    if let (Some(old), None) = (&checker.sni_name, &given) {
        return Err(again(format!("sni_name already specified as {old} - ignoring setting to default")));
    }
    checker.server_name = Some(true);
    match (std::mem::replace(&mut checker.sni_name, given), &checker.sni_name) {
        (Some(old), Some(new)) => Err(again(format!("Duplicate sni_name - overwriting {old} with {new}"))),
        _ => Ok(()),
    }
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

/// The words of a line, with a blank between two.
fn joined(statement: &Statement) -> String {
    statement.arguments().iter().map(|word| word.text().into_owned()).collect::<Vec<_>>().join(" ")
}

fn reply(_: &mut Setting<'_>, checker: &mut Checker, statement: &Statement) -> Outcome {
    checker.require_reply = true;
    if statement.arguments().is_empty() {
        return Ok(());
    }
    let wrong = || complain("Invalid hex string for UDP_CHECK reply");
    checker.reply = udp::hexadecimal(&joined(statement), true).ok_or_else(wrong)?;
    Ok(())
}

fn payload(_: &mut Setting<'_>, checker: &mut Checker, statement: &Statement) -> Outcome {
    if statement.arguments().is_empty() {
        return Err(complain("UDP_CHECK payload requires a payload"));
    }
    let wrong = || complain("Invalid hex string for UDP_CHECK payload");
    let bytes = udp::hexadecimal(&joined(statement), false).ok_or_else(wrong)?;
    checker.payload = Some(bytes.iter().map(|masked| masked.byte).collect());
    Ok(())
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
    let weight = judged.map_err(|wrong| also(cx, statement, wrong, template))?;
    let reverse = match statement.arguments().get(1) {
        None => false,
        Some(word) if word.is("noreverse") => false,
        Some(word) if word.is("reverse") => true,
        Some(word) => return Err(complain(format!("unknown track file weight option {} - ignoring", word.text()))),
    };
    (checker.weight, checker.reverse) = (Some(weight), reverse);
    Ok(())
}

fn bfd_name(cx: &mut Setting<'_>, checker: &mut Checker, statement: &Statement) -> Outcome {
    checker.named = true;
    let prefix = format!("({}) BFD_CHECK -", shown(cx));
    let [word] = statement.arguments() else {
        return Err(complain(format!("{prefix} No or too many names specified - skipping checker")));
    };
    let name = word.text();
    let named = |level: &&Level| level.context == BFD && level.words.get(1).is_some_and(|word| word.is(&name));
    let known = cx.outermost().and_then(|file| file.children.iter().find(named));
    if !known.is_some_and(|level| level.own::<Bfd>().is_none_or(Bfd::is_for_checkers)) {
        return Err(complain(format!("{prefix} BFD {name} not configured")));
    }
    checker.name = Some(name.into_owned());
    Ok(())
}
