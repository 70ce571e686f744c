//! `ngx_mail_ssl_module`: what mail alone has beside the rows every server with TLS has.

use super::row::row;
use crate::conf::diagnostic::Diagnostic;
use crate::conf::directive::{Arity, Set as _};
use crate::conf::module::{Conf, Module, Scope, inherit};
use crate::conf::slot::{Choice, Custom, Flag};
use crate::conf::source::Span;
use crate::conf::tree::Statement;
use crate::conf::walk::Setting;
use crate::session::contexts::MAIL_ANY;

/// The module.
pub const MODULE: Module = Module {
    name: "ngx_mail_ssl_module",
    directives: &[
        row("ssl", MAIL_ANY, Arity::Flag, &Custom(ssl))
            .default("off")
            .doc("Speaks TLS from the first byte; the ssl parameter of listen has taken its place."),
        row("starttls", MAIL_ANY, Arity::Exactly(1), &Custom(starttls))
            .default("off")
            .doc("Offers STLS and STARTTLS; with only, clients must use them."),
    ],
    scopes: &[Scope::of::<MailTls>(MAIL_ANY)],
};

/// `starttls`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StartTls {
    /// Not offered.
    Off,
    /// Offered.
    On,
    /// Asked for.
    Only,
}

/// Settings of TLS that mail alone has.
#[derive(Default)]
pub struct MailTls {
    enabled: Option<bool>,
    starttls: Option<StartTls>,
    /// The last `listen … ssl` of the server.
    pub listen: Option<Span>,
    /// Where `ssl` or `starttls` is written.
    written: Option<Span>,
}

impl Conf for MailTls {
    fn inherit(&mut self, outer: &Self) {
        inherit!(self, outer; enabled, starttls, written);
    }
}

impl MailTls {
    /// The directive that asks for certificates, and its place.
    pub fn mode(&self) -> Option<(&'static str, Option<Span>)> {
        if self.listen.is_some() {
            return Some(("listen ... ssl", self.listen));
        }
        if self.enabled == Some(true) {
            return Some(("ssl", self.written));
        }
        (self.starttls.unwrap_or(StartTls::Off) != StartTls::Off).then_some(("starttls", self.written))
    }
}

fn written(statement: &Statement) -> Option<Span> {
    // A default is written nowhere.
    (statement.span.source.0 != u32::MAX).then_some(statement.span)
}

fn ssl(cx: &mut Setting<'_>, conf: &mut MailTls, statement: &Statement) -> Result<(), Diagnostic> {
    Flag(|c: &mut MailTls| &mut c.enabled).set(cx, conf, statement)?;
    let Some(at) = written(statement) else { return Ok(()) };
    cx.warn(statement, "the \"ssl\" directive is deprecated, use the \"listen ... ssl\" directive instead");
    if conf.enabled == Some(true) && conf.starttls.is_some_and(|mode| mode != StartTls::Off) {
        return Err(Diagnostic::emerg("\"starttls\" directive conflicts with \"ssl on\"").earlier(cx.given("starttls")));
    }
    conf.written = Some(at);
    Ok(())
}

fn starttls(cx: &mut Setting<'_>, conf: &mut MailTls, statement: &Statement) -> Result<(), Diagnostic> {
    let modes = &[("off", StartTls::Off), ("on", StartTls::On), ("only", StartTls::Only)];
    Choice(|c: &mut MailTls| &mut c.starttls, modes).set(cx, conf, statement)?;
    if conf.enabled == Some(true) && conf.starttls != Some(StartTls::Off) {
        return Err(Diagnostic::emerg("\"ssl\" directive conflicts with \"starttls\"").earlier(cx.given("ssl")));
    }
    conf.written = written(statement).or(conf.written);
    Ok(())
}
