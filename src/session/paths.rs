//! The folders a configuration names for caches and temporary files: one folder, one owner, one depth.

use crate::conf::diagnostic::Diagnostic;
use crate::conf::module::Conf;
use crate::conf::source::Span;
use crate::conf::tree::Statement;
use crate::conf::walk::Setting;

/// What a folder is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Owner {
    /// Bodies and responses that do not fit into memory.
    Temporary,
    /// A cache; no two caches share a folder.
    Cache,
}

/// All folders of a configuration.
#[derive(Default)]
pub struct Paths {
    paths: Vec<(String, Vec<usize>, Owner, Span)>,
}

impl Conf for Paths {
    fn inherit(&mut self, _: &Self) {}
}

/// Notes a folder.
///
/// # Errors
/// nginx's words when it is named elsewhere for something else, or with other levels.
pub fn add(
    cx: &mut Setting<'_>,
    path: &str,
    levels: &[usize],
    owner: Owner,
    statement: &Statement,
) -> Result<(), Diagnostic> {
    let full = cx.full_prefix(path);
    if cx.place(statement.span).is_empty() {
        // A default: nginx puts it in last, where nobody has named the folder.
        return Ok(());
    }
    let Some(paths) = cx.conf::<Paths>() else { return Ok(()) };
    let Some((_, have, of, first)) = paths.paths.iter().find(|(known, ..)| *known == full) else {
        paths.paths.push((full, levels.to_vec(), owner, statement.span));
        return Ok(());
    };
    let (first, for_two, differ) = (*first, owner == Owner::Cache || *of == Owner::Cache, have != levels);
    let at = cx.place(first);
    if for_two {
        let text = format!("the same path name \"{full}\" used in {at} and");
        return Err(Diagnostic::emerg(text).earlier(Some(first)));
    }
    if differ {
        let text = format!("the same path name \"{full}\" in {at} has the different levels than");
        return Err(Diagnostic::emerg(text).earlier(Some(first)));
    }
    Ok(())
}
