//! `ngx_stream_core_module` and the groups of servers as members of the list; their rows stand elsewhere.

use crate::stream::core;
use crate::stream::module::Module;
use crate::upstream::directives::STREAM_MODULES;

/// The modules.
pub fn modules() -> Vec<Module> {
    let core = Module::new(core::MODULE);
    std::iter::once(core).chain(STREAM_MODULES.iter().copied().map(Module::new)).collect()
}
