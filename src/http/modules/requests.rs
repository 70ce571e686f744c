//! Rows of `ngx_http_core_module` on reading requests and pacing answers. Checked, not served yet.

use crate::conf::diagnostic::Diagnostic;
use crate::conf::directive::{Arity, Directive, Opens, Support};
use crate::conf::effect::Omission;
use crate::conf::module::{Conf, Scope, inherit};
use crate::conf::slot::{Block, Choice, Flag, Number, Text, Time};
use crate::conf::tree::{Statement, Word};
use crate::conf::value;
use crate::conf::walk::{Levels, Setting};
use crate::http::gateway::hints::EarlyHints;
use crate::http::heart::module::{Compile, LocationBuilder, Module, Text as Value};
use crate::http::heart::pace::{Rate, Rates};
use crate::http::heart::settings::{FileOnly, MsieRefresh};
use crate::session::contexts::{HTTP_ANY, HTTP_ANY_IF, HTTP_LEVELS, HTTP_SERVER, LIMIT_EXCEPT, LOCATION, SERVER};
use crate::session::slot::{Lowat, Predicates, SizeValue};
use std::time::Duration;

/// The module.
pub fn modules() -> Vec<Module> {
    vec![Module::new(MODULE).install(install)]
}

const MODULE: crate::conf::module::Module = crate::conf::module::Module {
    name: "ngx_http_core_module",
    directives: DIRECTIVES,
    scopes: &[Scope::of::<Requests>(HTTP_LEVELS)],
};

const DIRECTIVES: &[Directive] = &[
    Directive::new(
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
    .doc("Opens settings for requests with other methods than the given ones."),
    Directive::new("auth_delay", HTTP_ANY, Arity::Exactly(1), &Time(|c: &mut Requests| &mut c.auth_delay))
        .default("0s")
        .since("1.17.10")
        .doc("Delays the answer to requests that are refused with 401."),
    Directive::new(
        "max_headers",
        HTTP_SERVER,
        Arity::Exactly(1),
        &Number(|c: &mut Requests| &mut c.max_headers, 0..=u64::MAX),
    )
    .since("1.29.8")
    .doc(
        "Sets how many header lines a request may have; more are answered with 400. Without it any number may be sent.",
    ),
    Directive::new("early_hints", HTTP_ANY, Arity::AtLeast(1), &Predicates(|c: &mut Requests| &mut c.early_hints))
        .since("1.29.0")
        .support(Support::Parts("those of gRPC servers are not passed on"))
        .doc("Passes 103 responses of servers on where a text is neither empty nor 0."),
    Directive::new(
        "client_body_early_read",
        HTTP_SERVER,
        Arity::AtLeast(1),
        &Predicates(|c: &mut Requests| &mut c.client_body_early_read),
    )
    .since("1.31.5")
    .doc(
        "Reads the body before a location is chosen, with the server's own settings, where a text is neither empty nor 0.",
    ),
    Directive::new(
        "client_body_in_file_only",
        HTTP_ANY,
        Arity::Exactly(1),
        &Choice(|c: &mut Requests| &mut c.client_body_in_file_only, KEEP),
    )
    .default("off")
    .doc(
        "Puts every request body that is read into a file of client_body_temp_path (mode 0600), whose name \
         $request_body_file has; \"clean\" removes it with its request. Bodies that are passed on as they come are not.",
    ),
    Directive::checked(
        "client_body_in_single_buffer",
        HTTP_ANY,
        Arity::Flag,
        &Flag(|c: &mut Requests| &mut c.client_body_in_single_buffer),
    )
    .default("off")
    .omitted(Omission::Tunes("only how a body lies in memory"))
    .doc("Keeps a request body in one buffer."),
    Directive::new("limit_rate", HTTP_ANY_IF, Arity::Exactly(1), &SizeValue(|c: &mut Requests| &mut c.limit_rate))
        .default("0")
        .doc("Sets how many bytes a second a response is sent with."),
    Directive::new(
        "limit_rate_after",
        HTTP_ANY_IF,
        Arity::Exactly(1),
        &SizeValue(|c: &mut Requests| &mut c.limit_rate_after),
    )
    .default("0")
    .since("0.8.0")
    .doc("Sets how much of it is sent before that holds."),
    Directive::new("msie_refresh", HTTP_ANY, Arity::Flag, &Flag(|c: &mut Requests| &mut c.msie_refresh))
        .default("off")
        .doc("Redirects Internet Explorer by a page that leads on."),
    Directive::new("post_action", HTTP_ANY_IF, Arity::Exactly(1), &Text(|c: &mut Requests| &mut c.post_action))
        .doc("Takes a request that has ended to another location, whose response nobody gets."),
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
const KEEP: &[(&str, FileOnly)] = &[("off", FileOnly::Off), ("on", FileOnly::On), ("clean", FileOnly::Clean)];

/// Where a request goes that has ended.
pub struct PostAction(pub Vec<u8>);

/// How many header lines a request to a server may have.
pub struct MaxHeaders(pub usize);

/// For which requests the body is read before a location is chosen: those for which a text is neither empty nor 0.
pub struct EarlyBody(pub Vec<Value>);

/// Settings of the module.
#[derive(Default)]
struct Requests {
    auth_delay: Option<Duration>,
    max_headers: Option<u64>,
    early_hints: Vec<Word>,
    client_body_early_read: Vec<Word>,
    client_body_in_file_only: Option<FileOnly>,
    client_body_in_single_buffer: Option<bool>,
    limit_rate: Option<Word>,
    limit_rate_after: Option<Word>,
    msie_refresh: Option<bool>,
    post_action: Option<Word>,
    send_lowat: Option<u64>,
    /// Of a `limit_except`: the methods it is not for.
    allowed: Vec<Box<[u8]>>,
}

impl Conf for Requests {
    fn inherit(&mut self, outer: &Self) {
        inherit!(self, outer; auth_delay, client_body_in_file_only, client_body_in_single_buffer, limit_rate, limit_rate_after, msie_refresh, post_action, send_lowat);
        inherit!(self, outer; list early_hints, client_body_early_read; max_headers);
    }
}

fn install(levels: &Levels<'_>, place: &mut LocationBuilder, cx: &mut Compile<'_, '_>) -> Result<(), Diagnostic> {
    if let Some(own) = levels.level.own::<Requests>() {
        place.allowed.clone_from(&own.allowed);
    }
    let Some(conf) = levels.get::<Requests>() else { return Ok(()) };
    if let Some(most) = conf.max_headers.filter(|_| place.context == SERVER) {
        place.attach(MaxHeaders(usize::try_from(most).unwrap_or(usize::MAX)));
    }
    if !conf.client_body_early_read.is_empty() && place.context == SERVER {
        let texts = conf.client_body_early_read.iter().map(|word| cx.text(word)).collect::<Result<_, _>>()?;
        place.attach(EarlyBody(texts));
    }
    if !conf.early_hints.is_empty() {
        let texts = conf.early_hints.iter().map(|word| cx.text(word)).collect::<Result<_, _>>()?;
        place.attach(EarlyHints(texts));
    }
    if let Some(target) = &conf.post_action {
        place.attach(PostAction(target.bytes.to_vec()));
    }
    if conf.msie_refresh == Some(true) {
        place.attach(MsieRefresh);
    }
    place.auth_delay = conf.auth_delay.unwrap_or_default();
    place.body_in_file = conf.client_body_in_file_only.unwrap_or_default();
    if conf.limit_rate.is_some() || conf.limit_rate_after.is_some() {
        let rates = cx.once(conf, |cx| {
            Ok(Rates { rate: rate(conf.limit_rate.as_ref(), cx)?, after: rate(conf.limit_rate_after.as_ref(), cx)? })
        });
        place.rates = Some(rates?);
    }
    Ok(())
}

fn rate(word: Option<&Word>, cx: &mut Compile<'_, '_>) -> Result<Option<Rate>, Diagnostic> {
    let Some(word) = word else { return Ok(None) };
    Ok(Some(match value::size(&word.bytes, false) {
        Some(size) => Rate::Fixed(size),
        None => Rate::Text(cx.text(word)?),
    }))
}

fn limit_except(_: &mut Setting<'_>, conf: &mut Requests, statement: &Statement) -> Result<(), Diagnostic> {
    let unknown = |word: &&Word| !METHODS.iter().any(|method| word.bytes.eq_ignore_ascii_case(method.as_bytes()));
    match statement.arguments().iter().find(unknown) {
        Some(word) => Err(Diagnostic::emerg(format!("invalid method \"{}\"", word.text())).point(word.span)),
        None => {
            conf.allowed = statement.arguments().iter().map(|word| word.bytes.to_ascii_uppercase().into()).collect();
            if conf.allowed.iter().any(|method| **method == *b"GET") {
                conf.allowed.push(b"HEAD".as_slice().into());
            }
            Ok(())
        }
    }
}
