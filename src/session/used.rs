//! Which variables a configuration uses, noted while it is read: nginx looks them up where the http or stream block
//! ends, in the order of their first use, whether or not the place that uses them is ever reached.

use crate::conf::diagnostic::{Diagnostic, Kind};
use crate::conf::module::Conf;
use crate::conf::source::Span;
use crate::conf::tree::Word;
use crate::conf::walk::Setting;
use crate::script::template::{Piece, pieces};
use crate::script::variable::{Names, Subject};
use crate::session::build::Build;
use hashbrown::HashSet;

/// The names used in an http or stream block, in order.
#[derive(Default)]
pub struct Used {
    names: Vec<(String, Option<Span>)>,
    seen: HashSet<String>,
}

impl Conf for Used {
    fn inherit(&mut self, _: &Self) {}
}

impl Used {
    /// The names, in the order of first use.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.names.iter().map(|(name, _)| name.as_str())
    }

    /// Where a name is used first, as far as a place is known.
    pub fn place(&self, name: &str) -> Option<Span> {
        self.names.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).and_then(|(_, at)| *at)
    }
}

/// Notes that the variable `name` is used.
pub fn uses(cx: &mut Setting<'_>, name: &str) {
    let here = cx.here();
    note(cx, name, here);
}

fn note(cx: &mut Setting<'_>, name: &str, at: Option<Span>) {
    let Some(used) = cx.conf::<Used>() else { return };
    if !used.seen.contains(name) {
        used.seen.insert(name.to_owned());
        used.names.push((name.to_owned(), at));
    }
}

/// Where every complaint is wanted, notes each variable nobody defines, with the place of its first use and the name that
/// may have been meant.
///
/// # Errors
/// The last of them.
pub fn unknown<S: Subject>(used: Option<&Used>, names: &Names<S>, build: &mut Build<'_>) -> Result<(), Diagnostic> {
    if !build.every {
        return Ok(());
    }
    if let Some(lost) = build.complaints.iter().find(|complaint| complaint.kind == Kind::Redefined) {
        // What was to be defined behind it would be called unknown.
        return Err(lost.clone());
    }
    let unknown = names.unknown();
    let set: HashSet<&str> = unknown.iter().map(String::as_str).collect();
    let known: Vec<&str> = names.all().filter(|name| !set.contains(name)).collect();
    let mut last = Ok(());
    for name in &unknown {
        let complaint = Diagnostic::emerg(format!("unknown \"{name}\" variable")).kind(Kind::Variable);
        let complaint = complaint.among("variables", name, &known);
        let place = used.and_then(|used| used.place(name)).or_else(|| build.used.get(name).copied());
        let complaint = Diagnostic { point: place, ..complaint };
        if let Err(earlier) = std::mem::replace(&mut last, Err(complaint)) {
            build.part::<()>(Err(earlier))?;
        }
    }
    last
}

/// Checks a text that may hold variables, and notes them.
///
/// # Errors
/// nginx's words for a `$` without a name or a `${` without its `}`.
pub fn text(cx: &mut Setting<'_>, text: &[u8]) -> Result<(), Diagnostic> {
    let here = cx.here();
    text_at(cx, text, here)
}

fn text_at(cx: &mut Setting<'_>, text: &[u8], at: Option<Span>) -> Result<(), Diagnostic> {
    for piece in pieces(text) {
        if let Piece::Name(name) = piece.map_err(Diagnostic::emerg)? {
            note(cx, name, at);
        }
    }
    Ok(())
}

/// [`text`] of a word.
///
/// # Errors
/// As `text`.
pub fn word(cx: &mut Setting<'_>, word: &Word) -> Result<(), Diagnostic> {
    text_at(cx, &word.bytes, Some(word.span)).map_err(|complaint| complaint.point(word.span))
}

/// The name of a variable argument, `$name`.
///
/// # Errors
/// nginx's words where the `$` or the name lacks.
pub fn name(word: &Word) -> Result<String, Diagnostic> {
    match word.after("$") {
        Some(name) if !name.is_empty() => Ok(crate::conf::bytes::text(name).into_owned()),
        _ => Err(Diagnostic::emerg(format!("invalid variable name \"{}\"", word.text())).point(word.span)),
    }
}

/// Whether a text holds variables.
pub fn varies(text: &[u8]) -> bool {
    text.contains(&b'$')
}
