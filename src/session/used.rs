//! Which variables a configuration uses, noted while it is read: nginx looks them up where the http or stream block
//! ends, in the order of their first use, whether or not the place that uses them is ever reached.

use crate::conf::diagnostic::Diagnostic;
use crate::conf::module::Conf;
use crate::conf::tree::Word;
use crate::conf::walk::Setting;
use crate::script::template::{Piece, pieces};
use hashbrown::HashSet;

/// The names used in an http or stream block, in order.
#[derive(Default)]
pub struct Used {
    names: Vec<String>,
    seen: HashSet<String>,
}

impl Conf for Used {
    fn inherit(&mut self, _: &Self) {}
}

impl Used {
    /// The names, in the order of first use.
    pub fn names(&self) -> &[String] {
        &self.names
    }
}

/// Notes that the variable `name` is used.
pub fn uses(cx: &mut Setting<'_>, name: &str) {
    if let Some(used) = cx.conf::<Used>()
        && !used.seen.contains(name)
    {
        used.seen.insert(name.to_owned());
        used.names.push(name.to_owned());
    }
}

/// Checks a text that may hold variables, and notes them.
///
/// # Errors
/// nginx's words for a `$` without a name or a `${` without its `}`.
pub fn text(cx: &mut Setting<'_>, text: &[u8]) -> Result<(), Diagnostic> {
    for piece in pieces(text) {
        if let Piece::Name(name) = piece.map_err(Diagnostic::emerg)? {
            uses(cx, name);
        }
    }
    Ok(())
}

/// [`text`] of a word.
///
/// # Errors
/// As `text`.
pub fn word(cx: &mut Setting<'_>, word: &Word) -> Result<(), Diagnostic> {
    text(cx, &word.bytes).map_err(|complaint| complaint.point(word.span))
}

/// The name of a variable argument, `$name`.
///
/// # Errors
/// nginx's words where the `$` or the name lacks.
pub fn name(word: &Word) -> Result<String, Diagnostic> {
    match word.after("$") {
        Some(name) if !name.is_empty() => Ok(String::from_utf8_lossy(name).into_owned()),
        _ => Err(Diagnostic::emerg(format!("invalid variable name \"{}\"", word.text())).point(word.span)),
    }
}

/// Whether a text holds variables.
pub fn varies(text: &[u8]) -> bool {
    text.contains(&b'$')
}
