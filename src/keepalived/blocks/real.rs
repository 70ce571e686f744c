//! `real_server` of a virtual server.

use super::checker::Checker;
use super::server::{LONGEST, MOST_SECONDS, Server, method, port};
use crate::conf::diagnostic::Diagnostic;
use crate::conf::directive::{Arity, Contexts, Directive, Opens, Set};
use crate::conf::module::{Conf, Module, Scope};
use crate::conf::slot::{Block, Custom};
use crate::conf::source::Span;
use crate::conf::tree::Statement;
use crate::conf::walk::Setting;
use crate::keepalived::contexts::{
    BFD_CHECK, DNS_CHECK, FILE_CHECK, HTTP_GET, MISC_CHECK, PING_CHECK, REAL_SERVER, SMTP_CHECK, TCP_CHECK, UDP_CHECK,
};
use crate::keepalived::slot::{
    Command, MICROSECOND, Run, Seconds, Switch, Text, Unsigned, address, complain, first, worded,
};
use crate::kernel::ipvs::Method;
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

/// The keywords of real servers.
pub const MODULE: Module =
    Module { name: "real_server", directives: DIRECTIVES, scopes: &[Scope::of::<Real>(REAL_SERVER)] };

const BARE: Arity = Arity::AtLeast(0);
const ONE: Arity = Arity::AtLeast(1);
/// The largest number without a sign.
const WIDE: i64 = u32::MAX as i64;
const TWICE: &str = "((null)) {k} script already specified - ignoring {v}";

const fn row(name: &'static str, arity: Arity, set: &'static dyn Set) -> Directive {
    Directive::new(name, REAL_SERVER, arity, set)
}

const CHECK: Block<Checker> = Block(super::checker::open, super::checker::close);

const fn served(name: &'static str, context: Contexts) -> Directive {
    row(name, Arity::Block(0, 255, Opens::Context(context)), &CHECK)
}

const DIRECTIVES: &[Directive] = &[
    row(
        "weight",
        ONE,
        &Unsigned(
            |c: &mut Real| &mut c.weight,
            0..=i32::MAX as i64,
            "Real server weight {v} is outside range 0-2147483647",
        ),
    )
    .doc("The weight of the server."),
    row("lvs_method", ONE, &Custom(forwarding))
        .words(&["NAT", "DR", "TUN"])
        .doc("How packets reach the servers: NAT, DR or TUN, with the kind of tunnel."),
    row("uthreshold", ONE, &Unsigned(|c: &mut Real| &mut c.most, 0..=WIDE, "Invalid real_server {k} '{v}' - ignoring"))
        .doc("The most connections the server may have."),
    row(
        "lthreshold",
        ONE,
        &Unsigned(|c: &mut Real| &mut c.least, 0..=WIDE, "Invalid real_server {k} '{v}' - ignoring"),
    )
    .doc("At how many connections a full server takes more again."),
    row("inhibit_on_failure", BARE, &Switch(|c: &mut Real| &mut c.inhibit, "Invalid {k} parameter {v}"))
        .doc("Sets the weight of a failed server to zero, where it would otherwise be taken out."),
    row("notify_up", ONE, &Run(|c: &mut Real| &mut c.up, TWICE)).doc("A script that is run when the server comes."),
    row("notify_down", ONE, &Run(|c: &mut Real| &mut c.down, TWICE)).doc("A script that is run when the server goes."),
    row("alpha", BARE, &Switch(|c: &mut Real| &mut c.alpha, "Invalid {k} parameter {v}"))
        .doc("Servers count as down until their first check succeeds."),
    row("retry", ONE, &Unsigned(|c: &mut Real| &mut c.retry, 1..=WIDE, "retry value invalid - {v}"))
        .doc("How often a failed check is repeated before the server counts as down."),
    row(
        "delay_before_retry",
        ONE,
        &Seconds(|c: &mut Real| &mut c.retry_delay, 0.0..=LONGEST, "real server {k} '{v}' invalid - ignoring"),
    )
    .doc("Seconds between a failed check and its repetition."),
    row(
        "warmup",
        ONE,
        &Seconds(|c: &mut Real| &mut c.warmup, 0.0..=LONGEST, "real server {k} '{v}' invalid - ignoring"),
    )
    .doc("The longest random delay before the first check, so that checks do not start together."),
    row(
        "connect_timeout",
        ONE,
        &Seconds(|c: &mut Real| &mut c.timeout, MICROSECOND..=MOST_SECONDS, "real server {k} {v} invalid - ignoring"),
    )
    .doc("Seconds after which a connection that is not made counts as failed."),
    row(
        "delay_loop",
        ONE,
        &Seconds(|c: &mut Real| &mut c.delay, MICROSECOND..=LONGEST, "real server {k} '{v}' invalid - ignoring"),
    )
    .doc("Seconds between two checks."),
    row("smtp_alert", BARE, &Switch(|c: &mut Real| &mut c.mails, "Invalid real_server {k} parameter {v}"))
        .doc("Whether mail is sent when a server comes or goes."),
    row("virtualhost", BARE, &Text(|c: &mut Real| &mut c.host, "real server {k} missing"))
        .doc("The host name that web checks ask for."),
    served("MISC_CHECK", MISC_CHECK).doc("A check by a script."),
    served("SMTP_CHECK", SMTP_CHECK).doc("A check by a mail server's greeting."),
    served("TCP_CHECK", TCP_CHECK).doc("A check by a TCP connection."),
    served("PING_CHECK", PING_CHECK).doc("A check by ICMP echo."),
    served("UDP_CHECK", UDP_CHECK).doc("A check by a UDP packet."),
    served("HTTP_GET", HTTP_GET).doc("A check by web pages."),
    served("SSL_GET", HTTP_GET).doc("A check by web pages over TLS."),
    served("DNS_CHECK", DNS_CHECK).doc("A check by a DNS question."),
    served("FILE_CHECK", FILE_CHECK).doc("A check by the number in a file."),
    served("BFD_CHECK", BFD_CHECK).doc("A check by a BFD session."),
    row("snmp_name", BARE, &Custom(snmp_name)).doc("The name shown over SNMP."),
];

/// A real server as configured.
#[derive(Clone, Debug)]
pub struct Real {
    /// Where it stands.
    pub span: Option<Span>,
    /// Its address.
    pub address: IpAddr,
    /// Its port.
    pub port: u16,
    /// The port checks go to, whatever becomes of that of the server.
    pub check_port: u16,
    /// `weight`.
    pub weight: Option<i64>,
    /// `lvs_method`.
    pub method: Option<Method>,
    /// `uthreshold`.
    pub most: Option<i64>,
    /// `lthreshold`.
    pub least: Option<i64>,
    /// `inhibit_on_failure`.
    pub inhibit: Option<bool>,
    /// `notify_up`.
    pub up: Option<Command>,
    /// `notify_down`.
    pub down: Option<Command>,
    /// `alpha`.
    pub alpha: Option<bool>,
    /// `retry`.
    pub retry: Option<i64>,
    /// `delay_before_retry`.
    pub retry_delay: Option<Duration>,
    /// `warmup`.
    pub warmup: Option<Duration>,
    /// `connect_timeout`.
    pub timeout: Option<Duration>,
    /// `delay_loop`.
    pub delay: Option<Duration>,
    /// `virtualhost`.
    pub host: Option<String>,
    /// `smtp_alert`.
    pub mails: Option<bool>,
    /// Its checks.
    pub checks: Vec<Checker>,
}

impl Default for Real {
    fn default() -> Self {
        Self {
            span: None,
            address: IpAddr::V4(Ipv4Addr::UNSPECIFIED),
            port: 0,
            check_port: 0,
            weight: None,
            method: None,
            most: None,
            least: None,
            inhibit: None,
            up: None,
            down: None,
            alpha: None,
            retry: None,
            retry_delay: None,
            warmup: None,
            timeout: None,
            delay: None,
            host: None,
            mails: None,
            checks: Vec::new(),
        }
    }
}

impl Conf for Real {
    fn inherit(&mut self, _: &Self) {}
}

type Outcome = Result<(), Diagnostic>;

/// `real_server ADDRESS [PORT] {`.
///
/// # Errors
/// It is no address.
pub fn open(cx: &mut Setting<'_>, real: &mut Real, statement: &Statement) -> Outcome {
    let ip = first(statement);
    let given = statement.arguments().get(1);
    let shown = given.map_or_else(|| "(null)".into(), |word| word.text());
    let invalid = || complain(format!("Invalid real server ip address/port {ip}/{shown} - skipping"));
    let port = port(given).map_err(|wrong| {
        cx.report(wrong.at(statement.span));
        invalid()
    })?;
    real.span = Some(statement.span);
    real.address = address(&ip).ok_or_else(invalid)?;
    real.port = match given {
        Some(_) => port,
        None => cx.seen::<Server>().map_or(0, Server::port),
    };
    real.check_port = real.port;
    Ok(())
}

/// `}` of a real server.
///
/// # Errors
/// Its family is not the virtual server's.
pub fn close(cx: &mut Setting<'_>) -> Outcome {
    let Some(real) = cx.seen::<Real>().cloned() else { return Ok(()) };
    let ipv6 = real.address.is_ipv6();
    let Some(server) = cx.conf::<Server>() else { return Ok(()) };
    if server.ipv6.is_some_and(|other| other != ipv6) {
        return Err(complain(format!(
            "Address family of virtual server and real server {} don't match - skipping real server.",
            real.address
        )));
    }
    server.ipv6 = Some(ipv6);
    server.reals.push(real);
    Ok(())
}

fn forwarding(_: &mut Setting<'_>, real: &mut Real, statement: &Statement) -> Outcome {
    real.method = Some(method(statement, "real")?);
    Ok(())
}

fn snmp_name(cx: &mut Setting<'_>, _: &mut Real, statement: &Statement) -> Outcome {
    if statement.arguments().len() == 1 {
        return Ok(());
    }
    Err(complain(worded("real server {k} missing or extra parameters", cx, "")))
}
