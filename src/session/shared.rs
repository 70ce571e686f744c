//! The shared memory zones a configuration names, noted while it is read: one name, one user, one size.

use crate::conf::diagnostic::Diagnostic;
use crate::conf::module::Conf;
use crate::conf::tree::Word;
use crate::conf::value;
use crate::conf::walk::Setting;
use crate::zone::registry::Declared;

/// The least a zone may measure: eight pages of nginx's slab.
pub const LEAST: u64 = 8 * 4096;

/// All zones, of http and of stream.
#[derive(Default)]
pub struct Shared {
    declared: Declared,
}

impl Conf for Shared {
    fn inherit(&mut self, _: &Self) {}
}

impl Shared {
    /// nginx's words for the first zone that is used and nowhere given a size.
    ///
    /// # Errors
    /// When there is one.
    pub fn finish(&self) -> Result<(), String> {
        self.declared.finish()
    }
}

/// Notes a zone that the module `kind` uses; a size of 0 refers to one defined elsewhere.
///
/// # Errors
/// nginx's words when the name is taken by another kind or size.
pub fn declare(cx: &mut Setting<'_>, name: &str, size: u64, kind: &'static str) -> Result<(), Diagnostic> {
    let here = cx.here();
    let mut first = |kind, wanted: bool| here.filter(|_| wanted).and_then(|here| cx.first(kind, name.as_bytes(), here));
    let (sized, named) = (first("sized zone", size > 0), first("zone", true));
    let taken = cx.conf::<Shared>().map_or(Ok(()), |shared| shared.declared.declare(name, size, kind));
    taken.map_err(|text| Diagnostic::emerg(text).earlier(sized.or(named)))
}

/// The name and size of `zone=NAME:SIZE`, whose value is `text`.
///
/// # Errors
/// nginx's words for a size that lacks, is none, or is too small.
pub fn name_and_size(word: &Word, text: &[u8]) -> Result<(String, u64), Diagnostic> {
    let fail = |what: String| Err(Diagnostic::emerg(what).point(word.span));
    let invalid = || format!("invalid zone size \"{}\"", word.text());
    let Some(colon) = memchr::memchr(b':', text) else { return fail(invalid()) };
    let (name, size) = text.split_at(colon);
    match value::size(size.get(1..).unwrap_or_default(), false) {
        None => fail(invalid()),
        Some(size) if size < LEAST => fail(format!("zone \"{}\" is too small", word.text())),
        Some(size) => Ok((crate::conf::bytes::text(name).into_owned(), size)),
    }
}
