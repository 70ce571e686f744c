//! `ngx_http_memcached_module`: answers taken from memcached.

use crate::conf::diagnostic::Diagnostic;
use crate::conf::directive::{Arity, Directive};
use crate::conf::module::{Conf, Scope, inherit};
use crate::conf::slot::{Custom, Number};
use crate::conf::tree::{Statement, Word};
use crate::conf::walk::{Levels, Setting};
use crate::http::codec::h1::Method;
use crate::http::codec::memcached;
use crate::http::gateway::conf::gateway::MEMCACHED;
use crate::http::gateway::conf::{Dialect, Gateway, GatewayConf, NEXT_MEMCACHED, connection_rows};
use crate::http::gateway::engine::Engine;
use crate::http::gateway::params::Destination;
use crate::http::gateway::pass;
use crate::http::gateway::protocol::{BodyLength, Protocol, Target};
use crate::http::heart::handler::{Explain, Flow, Handler};
use crate::http::heart::location::Pattern;
use crate::http::heart::module::{Compile, LocationBuilder, Module, Text};
use crate::http::heart::request::Request;
use crate::http::heart::upstream::Pool;
use crate::http::modules::core::opened;
use crate::http::modules::static_;
use crate::log::Level;
use crate::session::contexts::{HTTP_ANY, HTTP_LEVELS, IF_IN_LOCATION, LOCATION};
use crate::session::slot::free;
use crate::session::used;
use std::sync::Arc;

/// The module.
pub fn modules() -> Vec<Module> {
    let mut modules: Vec<Module> = GATEWAY.map(Module::new).to_vec();
    modules.push(Module::new(OWN).declare(declare).install(install));
    modules
}

const GATEWAY: [crate::conf::module::Module; 1] = [rows(
    &connection_rows!("memcached", MEMCACHED, NEXT_MEMCACHED),
    &[Scope::of::<GatewayConf<MEMCACHED>>(HTTP_LEVELS)],
)];

const OWN: crate::conf::module::Module = rows(DIRECTIVES, &[Scope::of::<Memcached>(HTTP_LEVELS)]);

const fn rows(directives: &'static [Directive], scopes: &'static [Scope]) -> crate::conf::module::Module {
    crate::conf::module::Module { name: "ngx_http_memcached_module", directives, scopes }
}

const DIRECTIVES: &[Directive] = &[
    Directive::new("memcached_pass", LOCATION.or(IF_IN_LOCATION), Arity::Exactly(1), &Custom(pass_))
        .doc("Sets the server that is asked for the key in $memcached_key."),
    Directive::new(
        "memcached_gzip_flag",
        HTTP_ANY,
        Arity::Exactly(1),
        &Number(|c: &mut Memcached| &mut c.flag, 0..=u64::MAX),
    )
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
        Some(word) => pass::look_up(word, &word.bytes, None, cx),
        None => Ok(()),
    }
}

fn install(levels: &Levels<'_>, place: &mut LocationBuilder, cx: &mut Compile<'_, '_>) -> Result<(), Diagnostic> {
    let Some(conf) = levels.get::<Memcached>() else { return Ok(()) };
    let Some(pass) = levels.level.own::<Memcached>().and_then(|conf| conf.pass.as_ref()) else { return Ok(()) };
    let Some(gateway) = levels.get::<GatewayConf<MEMCACHED>>() else { return Ok(()) };
    let mut gateway = Gateway::new(&gateway.fixed(), "memcached", cx)?;
    gateway.dialect = Dialect::Memcached { gzip: conf.flag.unwrap_or(0) };
    let key = Word { bytes: b"$memcached_key".as_slice().into(), ..pass.clone() };
    let protocol = Get { destination: Destination::fixed(pass, &pass.bytes, false, cx)?, key: cx.text(&key)? };
    place.adds_slash |=
        matches!(opened(levels.level), Some(Pattern::Exact(name) | Pattern::Prefix(name, _)) if name.ends_with(b"/"));
    place.content(Values {
        engine: Engine { gateway: Arc::new(gateway), protocol, tls: None, caching: None, store: None },
    });
    Ok(())
}

fn pass_(cx: &mut Setting<'_>, conf: &mut Memcached, statement: &Statement) -> Result<(), Diagnostic> {
    free(cx, &conf.pass)?;
    let Some(word) = statement.arguments().first() else { return Ok(()) };
    pass::plain(word, &word.bytes)?;
    used::uses(cx, "memcached_key");
    conf.pass = Some(word.clone());
    Ok(())
}

/// Requests of a location, asked of memcached.
struct Get {
    destination: Destination,
    key: Text,
}

/// The handler: only GET and HEAD are asked, and the type is that of the path's extension.
struct Values {
    engine: Engine<Get>,
}

impl Handler for Values {
    fn is_gateway(&self) -> bool {
        true
    }

    fn run<'r>(&'r self, request: &'r mut Request) -> Flow<'r> {
        if !matches!(request.method, Method::Get | Method::Head) {
            return Flow::Finish(405);
        }
        if let Err(status) = request.skip_body() {
            return Flow::Finish(status);
        }
        static_::set_content_type(request);
        self.engine.run(request)
    }

    fn explains(&self) -> Option<&dyn Explain> {
        self.engine.explains()
    }
}

impl Protocol for Get {
    fn target(&self, request: &Request) -> Result<Target, u16> {
        self.destination.target(request, |text| (text, false))
    }

    fn pool(&self) -> Option<&Arc<Pool>> {
        self.destination.pool()
    }

    fn encode(&self, request: &Request, _: &Target, _: BodyLength, out: &mut Vec<u8>) -> Result<(), u16> {
        let key = self.key.text(request);
        if key.is_empty() {
            request.log(Level::Error, "the \"$memcached_key\" variable is not set");
            return Err(500);
        }
        memcached::get(&key, out);
        Ok(())
    }

    fn passes_chunks(&self, _: &Request) -> bool {
        false
    }

    fn scheme(&self, _: bool) -> &'static str {
        "memcached://"
    }
}
