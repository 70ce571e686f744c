//! `ngx_http_referer_module`: from which pages requests may come.

use crate::conf::diagnostic::Diagnostic;
use crate::conf::directive::{Arity, Directive, Support};
use crate::conf::module::{Conf, Scope, inherit};
use crate::conf::slot::{Custom, Number};
use crate::conf::tree::{Statement, Word};
use crate::conf::walk::{Levels, Setting};
use crate::http::heart::head::Known;
use crate::http::heart::module::{Compile, LocationBuilder, Module};
use crate::http::heart::referers::Referers;
use crate::http::heart::request::Request;
use crate::http::modules::core::ServerConf;
use crate::log::Level;
use crate::script::hash::{Wildcards, is_hostname};
use crate::script::regex::Expression;
use crate::script::variable::{Compute, Definition, Duplicate};
use crate::session::contexts::{HTTP, HTTP_LEVELS, LOCATION, SERVER};
use crate::session::hashing::{self, Sizes};
use crate::session::pattern;
use std::sync::Arc;

/// The module.
pub fn modules() -> Vec<Module> {
    vec![Module::new(MODULE).declare(declare).check(check).install(install)]
}

const MODULE: crate::conf::module::Module = crate::conf::module::Module {
    name: "ngx_http_referer_module",
    directives: DIRECTIVES,
    scopes: &[Scope::of::<Given>(HTTP_LEVELS)],
};

const UNTUNED: Support = Support::Inert("hash tables here grow by themselves");

const DIRECTIVES: &[Directive] = &[
    Directive::new("valid_referers", SERVER.or(LOCATION), Arity::AtLeast(1), &Custom(valid_referers))
        .doc("Sets the pages requests may come from: $invalid_referer is 1 for all others."),
    Directive::new(
        "referer_hash_max_size",
        SERVER.or(LOCATION),
        Arity::Exactly(1),
        &Number(|c: &mut Given| &mut c.hash_max_size, 0..=u64::MAX),
    )
    .support(UNTUNED)
    .default("2048")
    .since("1.0.5")
    .doc("Sizes the table of referers."),
    Directive::new(
        "referer_hash_bucket_size",
        SERVER.or(LOCATION),
        Arity::Exactly(1),
        &Number(|c: &mut Given| &mut c.hash_bucket_size, 0..=u64::MAX),
    )
    .support(UNTUNED)
    .default("64")
    .since("1.0.5")
    .doc("Sizes the table of referers."),
];

/// `$invalid_referer`, which rules may set.
struct Invalid;

impl Compute<Request> for Invalid {
    fn compute(&self, request: &Request, out: &mut Vec<u8>) -> bool {
        let page = request.header(Known::Referer);
        match request.location.referers.as_ref().map_or(Ok(true), |referers| referers.take(page)) {
            Ok(true) => true,
            Ok(false) => {
                out.push(b'1');
                true
            }
            Err(error) => {
                request.log(Level::Alert, &error.to_string());
                false
            }
        }
    }
}

fn declare(levels: &Levels<'_>, cx: &mut Compile<'_, '_>) -> Result<(), Diagnostic> {
    if levels.level.context == HTTP && cx.names.uses("invalid_referer") {
        let id = cx.names.define("invalid_referer", Definition::Computed(Arc::new(Invalid)));
        return id.map(drop).map_err(Duplicate::complaint);
    }
    Ok(())
}

/// Settings of the module.
#[derive(Default)]
struct Given {
    hash_max_size: Option<u64>,
    hash_bucket_size: Option<u64>,
    pages: Option<Pages>,
}

/// `valid_referers` as written.
#[derive(Clone, Default)]
struct Pages {
    none: bool,
    blocked: bool,
    server_names: bool,
    /// Names, and the paths behind them.
    names: Vec<(Vec<u8>, Vec<u8>)>,
    expressions: Vec<Word>,
}

impl Conf for Given {
    fn inherit(&mut self, outer: &Self) {
        inherit!(self, outer; hash_max_size, hash_bucket_size, pages);
    }
}

fn check(levels: &Levels<'_>, cx: &mut Compile<'_, '_>) -> Result<(), Diagnostic> {
    let (Some(own), Some(conf)) = (levels.level.own::<Given>(), levels.get::<Given>()) else { return Ok(()) };
    let Some(pages) = &own.pages else { return Ok(()) };
    let sizes = Sizes { most: conf.hash_max_size.unwrap_or(2048), bucket: conf.hash_bucket_size.unwrap_or(64) };
    let exact = pages.names.iter().map(|(name, _)| name).filter(|name| !name.contains(&b'*'));
    cx.build.complaints.extend(hashing::check("referer_hash", exact.map(Vec::as_slice), sizes)?);
    if (pages.none || pages.blocked) && pages.names.is_empty() && !pages.server_names {
        let text = "the \"none\" or \"blocked\" referers are specified in the \"valid_referers\" directive without any valid referer";
        return Err(Diagnostic::emerg(text).unlined());
    }
    Ok(())
}

fn install(levels: &Levels<'_>, place: &mut LocationBuilder, _: &mut Compile<'_, '_>) -> Result<(), Diagnostic> {
    let Some(pages) = levels.get::<Given>().and_then(|conf| conf.pages.as_ref()) else { return Ok(()) };
    let mut referers = Referers {
        none: pages.none,
        blocked: pages.blocked,
        names: Wildcards::default(),
        hosts: Vec::new(),
        expressions: Vec::new(),
    };
    for (name, path) in &pages.names {
        referers.names.add(name, path.as_slice().into());
    }
    let compile = |text: &[u8]| Expression::compile(&String::from_utf8_lossy(text), true).map_err(Diagnostic::emerg);
    for word in &pages.expressions {
        referers.expressions.push(compile(word.after("~").unwrap_or_default())?);
    }
    let own = levels.get::<ServerConf>().filter(|_| pages.server_names);
    for word in own.map(|conf| conf.names.as_slice()).unwrap_or_default() {
        match word.after("~") {
            Some(pattern) => referers.hosts.push(compile(pattern)?),
            None => {
                referers.names.add(&word.bytes.to_ascii_lowercase(), Arc::from(&b""[..]));
            }
        }
    }
    place.referers = Some(Arc::new(referers));
    Ok(())
}

fn valid_referers(cx: &mut Setting<'_>, conf: &mut Given, statement: &Statement) -> Result<(), Diagnostic> {
    let pages = conf.pages.get_or_insert_default();
    for word in statement.arguments() {
        match &*word.bytes {
            b"" => return Err(Diagnostic::emerg("invalid referer \"\"").point(word.span)),
            b"none" => pages.none = true,
            b"blocked" => pages.blocked = true,
            b"server_names" => pages.server_names = true,
            b"~" => return Err(Diagnostic::emerg("empty regex in \"~\"").point(word.span)),
            [b'~', pattern @ ..] => {
                pattern::compile(word, &String::from_utf8_lossy(pattern), true)?;
                pages.expressions.push(word.clone());
            }
            name => pages.name(name, word, cx)?,
        }
    }
    Ok(())
}

impl Pages {
    /// Takes a host, perhaps with a path behind it.
    fn name(&mut self, text: &[u8], word: &Word, cx: &mut Setting<'_>) -> Result<(), Diagnostic> {
        let (name, path) = text.split_at(memchr::memchr(b'/', text).unwrap_or(text.len()));
        let name = name.to_ascii_lowercase();
        let shown = crate::conf::bytes::text(&name).into_owned();
        if !is_hostname(&name) {
            return Err(Diagnostic::emerg(format!("invalid hostname or wildcard \"{shown}\"")));
        }
        let first = cx.first_here("referer", &name, word.span);
        if self.names.iter().any(|(known, _)| *known == name) {
            let complaint = Diagnostic::emerg(format!("conflicting parameter \"{shown}\""));
            return Err(complaint.point(word.span).earlier(first));
        }
        self.names.push((name, path.to_vec()));
        Ok(())
    }
}
