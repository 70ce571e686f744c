//! `ngx_http_realip_module`: the client a trusted proxy names. Checked, not served yet.

use crate::conf::diagnostic::Diagnostic;
use crate::conf::directive::{Arity, Directive};
use crate::conf::module::{Conf, Scope, inherit};
use crate::conf::slot::{Custom, Flag};
use crate::conf::source::Span;
use crate::conf::tree::{Statement, Word};
use crate::conf::value;
use crate::conf::walk::{Levels, Setting};
use crate::http::module::{Compile, Module};
use crate::session::contexts::{HTTP_ANY, HTTP_LEVELS};
use crate::session::slot::free;

/// The module.
pub fn modules() -> Vec<Module> {
 vec![Module::new(MODULE).declare(declare)]
}

const MODULE: crate::conf::module::Module = crate::conf::module::Module { name: "ngx_http_realip_module", directives: DIRECTIVES, scopes: &[Scope::of::<RealIp>(HTTP_LEVELS)] };

const DIRECTIVES: &[Directive] = &[
Directive::checked("set_real_ip_from", HTTP_ANY, Arity::Exactly(1), &Custom(set_real_ip_from)).doc("Sets the networks and hosts whose word on the client is taken."),
Directive::checked("real_ip_header", HTTP_ANY, Arity::Exactly(1), &Custom(real_ip_header)).default("X-Real-IP").doc("Sets the header that names the client."),
Directive::checked("real_ip_recursive", HTTP_ANY, Arity::Flag, &Flag(|c: &mut RealIp| &mut c.recursive)).default("off").since("1.3.0").doc("Takes the last address that is not trusted itself."),
];

/// Whose word is taken.
#[derive(Clone)]
enum Trusted {
    Unix,
    Network,
    Host(Word, Span),
}

/// Settings of the module.
#[derive(Default)]
struct RealIp {
 recursive: Option<bool>,
from: Vec<Trusted>, header: Option<Word>,}

impl Conf for RealIp {
 fn inherit(&mut self, outer: &Self) { inherit!(self, outer; recursive);inherit!(self, outer; list from; header); }
}

fn declare(levels: &Levels<'_>, cx: &mut Compile<'_, '_>) -> Result<(), Diagnostic> {
    for trusted in levels.level.own::<RealIp>().map(|conf| conf.from.as_slice()).unwrap_or_default() {
        if let Trusted::Host(word, span) = trusted
            && cx.build.resolver.resolve(&word.text()).is_empty()
        {
            let text = format!("host not found in set_real_ip_from \"{}\"", word.text());
            return Err(Diagnostic::emerg(text).at(*span));
        }
    }
    Ok(())
}

fn set_real_ip_from(cx: &mut Setting<'_>, conf: &mut RealIp, statement: &Statement) -> Result<(), Diagnostic> {
    let Some(word) = statement.arguments().first() else { return Ok(()) };
    conf.from.push(match value::network(&word.bytes) {
        _ if word.is("unix:") => Trusted::Unix,
        Some((_, odd)) => {
            if odd {
                cx.warn(statement, format!("low address bits of {} are meaningless", word.text()));
            }
            Trusted::Network
        }
        None => Trusted::Host(word.clone(), statement.span),
    });
    Ok(())
}

fn real_ip_header(cx: &mut Setting<'_>, conf: &mut RealIp, statement: &Statement) -> Result<(), Diagnostic> {
    free(cx, &conf.header)?;
    conf.header = statement.arguments().first().cloned();
    Ok(())
}
