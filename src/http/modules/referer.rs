//! `ngx_http_referer_module`: from which pages requests may come. Checked, not served yet.

use crate::conf::diagnostic::Diagnostic;
use crate::conf::directive::{Arity, Directive};
use crate::conf::module::{Conf, Scope, inherit};
use crate::conf::slot::{Custom, Number};
use crate::conf::tree::Statement;
use crate::conf::walk::{Levels, Setting};
use crate::http::module::{Compile, Module};
use crate::script::hash::is_hostname;
use crate::session::hashing::{self, Sizes};
use crate::script::regex::Expression;
use crate::session::contexts::{HTTP_LEVELS, LOCATION, SERVER};

/// The module.
pub fn modules() -> Vec<Module> {
 vec![Module::new(MODULE).check(check)]
}

const MODULE: crate::conf::module::Module = crate::conf::module::Module { name: "ngx_http_referer_module", directives: DIRECTIVES, scopes: &[Scope::of::<Referers>(HTTP_LEVELS)] };

const DIRECTIVES: &[Directive] = &[
Directive::checked("valid_referers", SERVER.or(LOCATION), Arity::AtLeast(1), &Custom(valid_referers)).doc("Sets the pages requests may come from."),
Directive::checked("referer_hash_max_size", SERVER.or(LOCATION), Arity::Exactly(1), &Number(|c: &mut Referers| &mut c.hash_max_size, 0..=u64::MAX)).default("2048").since("1.0.5").doc("Sizes the table of referers."),
Directive::checked("referer_hash_bucket_size", SERVER.or(LOCATION), Arity::Exactly(1), &Number(|c: &mut Referers| &mut c.hash_bucket_size, 0..=u64::MAX)).default("64").since("1.0.5").doc("Sizes the table of referers."),
];


/// Settings of the module.
#[derive(Default)]
struct Referers {
 hash_max_size: Option<u64>,
 hash_bucket_size: Option<u64>,
given: bool, none: bool, names: Vec<Vec<u8>>, server_names: bool,}

impl Conf for Referers {
 fn inherit(&mut self, outer: &Self) { inherit!(self, outer; hash_max_size, hash_bucket_size); }
}

fn check(levels: &Levels<'_>, cx: &mut Compile<'_, '_>) -> Result<(), Diagnostic> {
    if let (Some(own), Some(conf)) = (levels.level.own::<Referers>(), levels.get::<Referers>()) {
        let sizes = Sizes { most: conf.hash_max_size.unwrap_or(2048), bucket: conf.hash_bucket_size.unwrap_or(64) };
        let exact = own.names.iter().filter(|name| !name.contains(&b'*')).map(Vec::as_slice);
        cx.build.complaints.extend(hashing::check("referer_hash", exact, sizes)?);
    }
    match levels.level.own::<Referers>() {
        Some(conf) if conf.none && conf.names.is_empty() && !conf.server_names => Err(Diagnostic::emerg(
            "the \"none\" or \"blocked\" referers are specified in the \"valid_referers\" directive without any valid referer",
        )
        .unlined()),
        _ => Ok(()),
    }
}

fn valid_referers(cx: &mut Setting<'_>, conf: &mut Referers, statement: &Statement) -> Result<(), Diagnostic> {
    conf.given = true;
    for word in statement.arguments() {
        match &*word.bytes {
            b"" => return Err(Diagnostic::emerg("invalid referer \"\"").point(word.span)),
            b"none" | b"blocked" => conf.none = true,
            b"server_names" => conf.server_names = true,
            b"~" => return Err(Diagnostic::emerg("empty regex in \"~\"").point(word.span)),
            [b'~', pattern @ ..] => {
                Expression::compile(&String::from_utf8_lossy(pattern), true).map_err(Diagnostic::emerg)?;
            }
            name => {
                let name = name.split(|byte| *byte == b'/').next().unwrap_or_default().to_ascii_lowercase();
                let shown = String::from_utf8_lossy(&name).into_owned();
                if !is_hostname(&name) {
                    return Err(Diagnostic::emerg(format!("invalid hostname or wildcard \"{shown}\"")));
                }
                let first = cx.first_here("referer", &name, word.span);
                if conf.names.contains(&name) {
                    let complaint = Diagnostic::emerg(format!("conflicting parameter \"{shown}\""));
                    return Err(complaint.point(word.span).earlier(first));
                }
                conf.names.push(name);
            }
        }
    }
    Ok(())
}
