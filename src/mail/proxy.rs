//! `ngx_mail_proxy_module` and `ngx_mail_realip_module`: the way to the mail server, and who the client really is.

use super::row::row;
use crate::conf::diagnostic::Diagnostic;
use crate::conf::directive::Arity;
use crate::conf::module::{Conf, Module, Scope, inherit};
use crate::conf::slot::{Custom, Flag, Size, Time};
use crate::conf::tree::{Statement, Word};
use crate::conf::value;
use crate::conf::walk::Setting;
use crate::session::contexts::MAIL_ANY;
use std::time::Duration;

/// The two modules.
pub const MODULES: [Module; 2] = [
    Module {
        name: "ngx_mail_proxy_module",
        directives: &[
            row("proxy", MAIL_ANY, Arity::Flag, &Flag(|c: &mut Proxy| &mut c.enabled))
                .doc("Switches proxying on or off."),
            row("proxy_buffer", MAIL_ANY, Arity::Exactly(1), &Size(|c: &mut Proxy| &mut c.buffer))
                .default("4k")
                .doc("Sets the buffer a connection is relayed through."),
            row("proxy_timeout", MAIL_ANY, Arity::Exactly(1), &Time(|c: &mut Proxy| &mut c.timeout))
                .default("24h")
                .doc("Sets how long a relayed connection may be silent."),
            row("proxy_pass_error_message", MAIL_ANY, Arity::Flag, &Flag(|c: &mut Proxy| &mut c.pass_errors))
                .default("off")
                .doc("Shows clients the mail server's own words when it refuses them."),
            row("xclient", MAIL_ANY, Arity::Flag, &Flag(|c: &mut Proxy| &mut c.xclient))
                .default("on")
                .doc("Tells SMTP servers the client with XCLIENT."),
            row("proxy_smtp_auth", MAIL_ANY, Arity::Flag, &Flag(|c: &mut Proxy| &mut c.smtp_auth))
                .default("off")
                .since("1.19.4")
                .doc("Authenticates the client at the SMTP server."),
            row("proxy_protocol", MAIL_ANY, Arity::Flag, &Flag(|c: &mut Proxy| &mut c.protocol))
                .default("off")
                .since("1.19.8")
                .doc("Sends servers a PROXY protocol head that names the client."),
        ],
        scopes: &[Scope::of::<Proxy>(MAIL_ANY)],
    },
    Module {
        name: "ngx_mail_realip_module",
        directives: &[row("set_real_ip_from", MAIL_ANY, Arity::Exactly(1), &Custom(set_real_ip_from))
            .doc("Names a network whose PROXY protocol heads are believed.")],
        scopes: &[Scope::of::<From>(MAIL_ANY)],
    },
];

/// Settings of the way to the mail server.
#[derive(Default)]
pub struct Proxy {
    enabled: Option<bool>,
    buffer: Option<u64>,
    timeout: Option<Duration>,
    pass_errors: Option<bool>,
    xclient: Option<bool>,
    smtp_auth: Option<bool>,
    protocol: Option<bool>,
}

impl Conf for Proxy {
    fn inherit(&mut self, outer: &Self) {
        inherit!(self, outer; enabled, buffer, timeout, pass_errors, xclient, smtp_auth, protocol);
    }
}

/// Hosts among the believed that must be found.
#[derive(Default)]
pub struct From {
    /// `set_real_ip_from` with a host's name.
    pub hosts: Vec<Word>,
}

impl Conf for From {
    fn inherit(&mut self, outer: &Self) {
        inherit!(self, outer; list hosts);
    }
}

fn set_real_ip_from(cx: &mut Setting<'_>, conf: &mut From, statement: &Statement) -> Result<(), Diagnostic> {
    let Some(word) = statement.arguments().first().filter(|word| !word.is("unix:")) else { return Ok(()) };
    match value::network(&word.bytes) {
        Some((_, true)) => cx.warn(statement, format!("low address bits of {} are meaningless", word.text())),
        Some(_) => {}
        None => conf.hosts.push(word.clone()),
    }
    Ok(())
}
