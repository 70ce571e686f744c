//! `ngx_stream_core_module` and the groups of servers as members of the list; their rows are elsewhere.

use crate::session::contexts::STREAM_ANY;
use crate::session::resolver;
use crate::stream::core;
use crate::stream::module::Module;
use crate::upstream::directives::STREAM_MODULES;

const RESOLVER: crate::conf::module::Module = crate::conf::module::Module {
    name: "ngx_stream_core_module",
    directives: &resolver::rows(STREAM_ANY, Some("1.11.3")),
    scopes: &[],
};

/// The modules.
pub fn modules() -> Vec<Module> {
    let core = Module::new(core::MODULE);
    let resolver = Module::new(RESOLVER).declare(|levels, cx| resolver::declare(levels, cx.build));
    [core, resolver].into_iter().chain(STREAM_MODULES.iter().copied().map(Module::new)).collect()
}
