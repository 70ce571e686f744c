//! `ngx_http_memcached_module`: answers taken from memcached. Checked, not served yet.

use crate::conf::diagnostic::Diagnostic;
use crate::conf::directive::{Arity, Directive};
use crate::conf::effect::{Need, Omission, needing};
use crate::conf::module::{Conf, Scope, inherit};
use crate::conf::slot::{Custom, Number};
use crate::conf::tree::{Statement, Word};
use crate::conf::walk::{Levels, Setting};
use crate::http::gateway::conf::gateway::MEMCACHED;
use crate::http::gateway::conf::{GatewayConf, NEXT_MEMCACHED, connection_rows, unserved};
use crate::http::gateway::pass;
use crate::http::heart::module::{Compile, Module};
use crate::session::contexts::{HTTP_ANY, HTTP_LEVELS, IF_IN_LOCATION, LOCATION};
use crate::session::slot::free;
use crate::session::used;

/// The module.
pub fn modules() -> Vec<Module> {
    let mut modules: Vec<Module> = GATEWAY.map(Module::new).to_vec();
    modules.push(Module::new(OWN).declare(declare));
    modules
}

/// What uses the rows.
const PASS: Need = Need::Rows(&["memcached_pass"]);

const GATEWAY: [crate::conf::module::Module; 1] = [rows(
    &needing(unserved(connection_rows!("memcached", MEMCACHED, NEXT_MEMCACHED)), PASS),
    &[Scope::of::<GatewayConf<MEMCACHED>>(HTTP_LEVELS)],
)];

const OWN: crate::conf::module::Module = rows(DIRECTIVES, &[Scope::of::<Memcached>(HTTP_LEVELS)]);

const fn rows(directives: &'static [Directive], scopes: &'static [Scope]) -> crate::conf::module::Module {
    crate::conf::module::Module { name: "ngx_http_memcached_module", directives, scopes }
}

const DIRECTIVES: &[Directive] = &[
    Directive::checked("memcached_pass", LOCATION.or(IF_IN_LOCATION), Arity::Exactly(1), &Custom(pass_))
        .omitted(Omission::ClosesHere("requests are answered with 503"))
        .doc("Sets the server that is asked for the key in $memcached_key."),
    Directive::checked(
        "memcached_gzip_flag",
        HTTP_ANY,
        Arity::Exactly(1),
        &Number(|c: &mut Memcached| &mut c.flag, 0..=u64::MAX),
    )
    .needs(PASS)
    .doc("Sets the flag of values that are compressed."),
];

/// Settings of the module.
#[derive(Default)]
struct Memcached {
    pass: Option<Word>,
    flag: Option<u64>,
}

impl Conf for Memcached {
    fn inherit(&mut self, outer: &Self) {
        inherit!(self, outer; flag);
    }
}

fn declare(levels: &Levels<'_>, cx: &mut Compile<'_, '_>) -> Result<(), Diagnostic> {
    match levels.level.own::<Memcached>().and_then(|conf| conf.pass.as_ref()) {
        Some(word) => pass::look_up(word, address(word), None, cx),
        None => Ok(()),
    }
}

/// What follows the scheme, where there is one.
fn address(word: &Word) -> &[u8] {
    &word.bytes
}

fn pass_(cx: &mut Setting<'_>, conf: &mut Memcached, statement: &Statement) -> Result<(), Diagnostic> {
    free(cx, &conf.pass)?;
    let Some(word) = statement.arguments().first() else { return Ok(()) };
    pass::plain(word, address(word))?;
    used::uses(cx, "memcached_key");
    conf.pass = Some(word.clone());
    Ok(())
}
