//! `ngx_http_core_module` as a member of the list; its rows are in `http::core`.

use crate::conf::diagnostic::Diagnostic;
use crate::conf::walk::Levels;
use crate::http::heart::module::{Compile, Module};
use crate::http::modules::core::{LocationConf, ServerConf};
use crate::session::contexts::SERVER;
use crate::session::hashing::{self, Sizes};
use crate::session::slot::MimeLists;
use std::collections::BTreeMap;

/// The module.
pub fn modules() -> Vec<Module> {
    vec![Module::new(crate::http::modules::core::MODULE).check(check)]
}

fn check(levels: &Levels<'_>, cx: &mut Compile<'_, '_>) -> Result<(), Diagnostic> {
    if levels.get::<ServerConf>().is_some_and(ServerConf::has_small_heads) {
        let text = "the \"large_client_header_buffers\" size must be equal to or greater than \"connection_pool_size\"";
        return Err(Diagnostic::emerg(text));
    }
    if let (Some(conf), Some(types)) = (levels.get::<LocationConf>(), of_own(levels)) {
        let warning = hashing::check("types_hash", types.keys().map(Vec::as_slice), conf.types_sizes())?;
        cx.build.complaints.extend(warning);
    }
    if !is_first(levels) {
        return Ok(());
    }
    let lists = levels.get::<MimeLists>().map(MimeLists::kinds).unwrap_or_default();
    let sizes = Sizes { most: 2048, bucket: 64 };
    lists.iter().try_for_each(|kind| hashing::check("test_types_hash", [&**kind].into_iter(), sizes).map(|_| ()))
}

/// The types a level gives itself; http's are looked at once, with the first server.
fn of_own<'a>(levels: &Levels<'a>) -> Option<&'a BTreeMap<Vec<u8>, Vec<u8>>> {
    let own = levels.level.own::<LocationConf>().and_then(|conf| conf.types.as_ref());
    let outer = || levels.get::<LocationConf>().filter(|_| is_first(levels)).and_then(|conf| conf.types.as_ref());
    own.or_else(outer).map(|types| &**types)
}

/// Whether a level is the first server.
fn is_first(levels: &Levels<'_>) -> bool {
    let around = levels.outer.filter(|_| levels.level.context == SERVER);
    let servers = around.and_then(|outer| outer.level.children.iter().find(|level| level.context == SERVER));
    servers.is_some_and(|first| std::ptr::eq(first, levels.level))
}
