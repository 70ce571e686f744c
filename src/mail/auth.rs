//! `ngx_mail_auth_http_module`: whom a client's name and password are shown to.

use super::row::row;
use crate::conf::diagnostic::Diagnostic;
use crate::conf::directive::Arity;
use crate::conf::module::{Conf, Module, Scope, inherit};
use crate::conf::slot::{Custom, Flag, Pairs, Time};
use crate::conf::tree::{Statement, Word};
use crate::conf::walk::Setting;
use crate::net::address;
use crate::session::contexts::MAIL_ANY;
use std::time::Duration;

/// The module.
pub const MODULE: Module = Module {
    name: "ngx_mail_auth_http_module",
    directives: &[
        row("auth_http", MAIL_ANY, Arity::Exactly(1), &Custom(auth_http))
            .doc("Sets the address that is asked whether a client may come in, and where its mail is."),
        row("auth_http_timeout", MAIL_ANY, Arity::Exactly(1), &Time(|c: &mut Auth| &mut c.timeout))
            .default("60s")
            .doc("Sets how long the answer may take."),
        row("auth_http_header", MAIL_ANY, Arity::Exactly(2), &Pairs(|c: &mut Auth| &mut c.headers))
            .doc("Adds a field to what is asked."),
        row("auth_http_pass_client_cert", MAIL_ANY, Arity::Flag, &Flag(|c: &mut Auth| &mut c.pass_certificate))
            .default("off")
            .since("1.7.11")
            .doc("Adds the client's certificate to what is asked."),
    ],
    scopes: &[Scope::of::<Auth>(MAIL_ANY)],
};

/// Settings of the question.
#[derive(Default)]
pub struct Auth {
    /// `auth_http`.
    pub url: Option<Word>,
    timeout: Option<Duration>,
    headers: Vec<(Word, Word)>,
    pass_certificate: Option<bool>,
}

impl Conf for Auth {
    fn inherit(&mut self, outer: &Self) {
        inherit!(self, outer; list headers; url, timeout, pass_certificate);
    }
}

/// The address without its scheme, and its part before the path.
pub fn place(url: &str) -> (&str, &str) {
    let rest = url.strip_prefix("http://").unwrap_or(url);
    let host = if rest.starts_with("unix:") { rest } else { rest.split(['/', '?']).next().unwrap_or_default() };
    (rest, host)
}

fn auth_http(_: &mut Setting<'_>, conf: &mut Auth, statement: &Statement) -> Result<(), Diagnostic> {
    let Some(word) = statement.arguments().first() else { return Ok(()) };
    let text = word.text();
    let (rest, host) = place(&text);
    address::parse(host, false)
        .map_err(|what| Diagnostic::emerg(format!("{what} in auth_http \"{rest}\"")).point(word.span))?;
    conf.url = Some(word.clone());
    Ok(())
}
