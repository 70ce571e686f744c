//! `static_ipaddress`: what is held from start to stop.

use super::root::Root;
use crate::conf::diagnostic::Diagnostic;
use crate::conf::module::Module;
use crate::conf::tree::Statement;
use crate::conf::walk::Setting;

/// No keywords of its own: lines are those of `address`.
pub const MODULE: Module = Module { name: "static_ipaddress", directives: &[], scopes: &[] };

/// `static_ipaddress {`.
///
/// # Errors
/// None; complaints are about single lines.
pub fn addresses(cx: &mut Setting<'_>, root: &mut Root, statement: &Statement) -> Result<(), Diagnostic> {
    super::address::read(&mut root.addresses, cx, statement);
    Ok(())
}
