//! Rows of `ngx_http_core_module` on reading requests and pacing answers. Checked, not served yet.

use crate::conf::diagnostic::Diagnostic;
use crate::conf::directive::{Arity, Directive, Opens};
use crate::conf::effect::{Need, Omission};
use crate::conf::module::{Conf, Scope, inherit};
use crate::conf::slot::{Block, Choice, Custom, Flag, Text, Time};
use crate::conf::tree::{Statement, Word};
use crate::conf::walk::{Levels, Setting};
use crate::http::heart::module::{Compile, Module};
use crate::http::modules::proxy;
use crate::session::contexts::{HTTP_ANY, HTTP_ANY_IF, HTTP_LEVELS, LIMIT_EXCEPT, LOCATION};
use crate::session::resolver::{self, ResolverText};
use crate::session::slot::{Lowat, SizeValue, free};
use std::time::Duration;

/// The module.
pub fn modules() -> Vec<Module> {
    vec![Module::new(MODULE).declare(declare)]
}

const MODULE: crate::conf::module::Module = crate::conf::module::Module {
    name: "ngx_http_core_module",
    directives: DIRECTIVES,
    scopes: &[Scope::of::<Requests>(HTTP_LEVELS)],
};

const DIRECTIVES: &[Directive] = &[
    Directive::checked(
        "limit_except",
        LOCATION,
        Arity::BlockAtLeast(1, Opens::Context(LIMIT_EXCEPT)),
        &Block(limit_except, |_| Ok(())),
    )
    .words(&[
        "GET",
        "HEAD",
        "POST",
        "PUT",
        "DELETE",
        "MKCOL",
        "COPY",
        "MOVE",
        "OPTIONS",
        "PROPFIND",
        "PROPPATCH",
        "LOCK",
        "UNLOCK",
        "PATCH",
    ])
    .omitted(Omission::ClosesHere("requests are answered with 503"))
    .doc("Opens settings for requests with other methods than the given ones."),
    Directive::checked("auth_delay", HTTP_ANY, Arity::Exactly(1), &Time(|c: &mut Requests| &mut c.auth_delay))
        .default("0s")
        .since("1.17.10")
        .doc("Delays the answer to requests that are refused with 401."),
    Directive::checked(
        "client_body_in_file_only",
        HTTP_ANY,
        Arity::Exactly(1),
        &Choice(|c: &mut Requests| &mut c.client_body_in_file_only, KEEP),
    )
    .default("off")
    .doc("Puts every request body into a file."),
    Directive::checked(
        "client_body_in_single_buffer",
        HTTP_ANY,
        Arity::Flag,
        &Flag(|c: &mut Requests| &mut c.client_body_in_single_buffer),
    )
    .default("off")
    .omitted(Omission::Tunes("only how a body lies in memory"))
    .doc("Keeps a request body in one buffer."),
    Directive::checked("limit_rate", HTTP_ANY_IF, Arity::Exactly(1), &SizeValue(|c: &mut Requests| &mut c.limit_rate))
        .default("0")
        .doc("Sets how many bytes a second a response is sent with."),
    Directive::checked(
        "limit_rate_after",
        HTTP_ANY_IF,
        Arity::Exactly(1),
        &SizeValue(|c: &mut Requests| &mut c.limit_rate_after),
    )
    .default("0")
    .since("0.8.0")
    .needs(Need::Rows(&["limit_rate"]))
    .doc("Sets how much of it is sent before that holds."),
    Directive::checked("msie_refresh", HTTP_ANY, Arity::Flag, &Flag(|c: &mut Requests| &mut c.msie_refresh))
        .default("off")
        .doc("Redirects old browsers by a page."),
    Directive::checked("post_action", HTTP_ANY_IF, Arity::Exactly(1), &Text(|c: &mut Requests| &mut c.post_action))
        .neutral(&["off"])
        .doc("Asks another location when a request has ended."),
    Directive::checked("resolver", HTTP_ANY, Arity::AtLeast(1), &Custom(resolver))
        .words(&["valid=", "ipv4=", "ipv6="])
        .needs(Need::Where(proxy::looks_up, "no \"proxy_pass\" has a variable where it holds"))
        .doc("Sets the name servers that look up hosts while serving."),
    Directive::checked(
        "resolver_timeout",
        HTTP_ANY,
        Arity::Exactly(1),
        &Time(|c: &mut Requests| &mut c.resolver_timeout),
    )
    .default("30s")
    .needs(Need::Where(proxy::looks_up, "no \"proxy_pass\" has a variable where it holds"))
    .doc("Sets how long a look-up may take."),
    Directive::checked("send_lowat", HTTP_ANY, Arity::Exactly(1), &Lowat(|c: &mut Requests| &mut c.send_lowat))
        .omitted(Omission::Tunes("the system has no use for it"))
        .doc("Sets how much the kernel must take at once."),
];

const METHODS: [&str; 14] = [
    "GET",
    "HEAD",
    "POST",
    "PUT",
    "DELETE",
    "MKCOL",
    "COPY",
    "MOVE",
    "OPTIONS",
    "PROPFIND",
    "PROPPATCH",
    "LOCK",
    "UNLOCK",
    "PATCH",
];
const KEEP: &[(&str, u8)] = &[("off", 0), ("on", 1), ("clean", 2)];

/// Settings of the module.
#[derive(Default)]
struct Requests {
    auth_delay: Option<Duration>,
    client_body_in_file_only: Option<u8>,
    client_body_in_single_buffer: Option<bool>,
    limit_rate: Option<Word>,
    limit_rate_after: Option<Word>,
    msie_refresh: Option<bool>,
    post_action: Option<Word>,
    resolver_timeout: Option<Duration>,
    send_lowat: Option<u64>,
    resolvers: Option<ResolverText>,
}

impl Conf for Requests {
    fn inherit(&mut self, outer: &Self) {
        inherit!(self, outer; auth_delay, client_body_in_file_only, client_body_in_single_buffer, limit_rate, limit_rate_after, msie_refresh, post_action, resolver_timeout, send_lowat);
        inherit!(self, outer; resolvers);
    }
}

fn declare(levels: &Levels<'_>, cx: &mut Compile<'_, '_>) -> Result<(), Diagnostic> {
    let own = levels.level.own::<Requests>().and_then(|conf| conf.resolvers.as_ref());
    own.map_or(Ok(()), |resolver| resolver.check(cx.build))
}

fn resolver(cx: &mut Setting<'_>, conf: &mut Requests, statement: &Statement) -> Result<(), Diagnostic> {
    free(cx, &conf.resolvers)?;
    conf.resolvers = Some(resolver::parse(statement)?);
    Ok(())
}

fn limit_except(_: &mut Setting<'_>, _: &mut Requests, statement: &Statement) -> Result<(), Diagnostic> {
    let unknown = |word: &&Word| !METHODS.iter().any(|method| word.bytes.eq_ignore_ascii_case(method.as_bytes()));
    match statement.arguments().iter().find(unknown) {
        Some(word) => Err(Diagnostic::emerg(format!("invalid method \"{}\"", word.text())).point(word.span)),
        None => Ok(()),
    }
}
