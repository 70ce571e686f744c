//! The thread pools a configuration names, noted while it is read: each must be defined somewhere.

use crate::conf::bytes;
use crate::conf::diagnostic::Diagnostic;
use crate::conf::module::Conf;
use crate::conf::source::Span;
use crate::conf::tree::Word;
use crate::conf::walk::Setting;

/// The names in use, and where each is used first.
#[derive(Default)]
pub struct Pools {
    used: Vec<(Box<[u8]>, Span)>,
}

impl Conf for Pools {
    fn inherit(&mut self, _: &Self) {}
}

impl Pools {
    /// Notes that the pool `name` is used.
    pub fn uses(cx: &mut Setting<'_>, name: &[u8]) {
        let here = cx.here();
        if let (Some(pools), Some(here)) = (cx.conf::<Self>(), here)
            && !pools.used.iter().any(|(known, _)| **known == *name)
        {
            pools.used.push((name.into(), here));
        }
    }

    /// nginx's words for the first name that is used and not `defined`; one is always there.
    pub fn unknown(&self, defined: &[Word]) -> Option<Diagnostic> {
        let is_defined = |name: &[u8]| name == b"default" || defined.iter().any(|word| *word.bytes == *name);
        let (name, at) = self.used.iter().find(|(name, _)| !is_defined(name))?;
        Some(Diagnostic::emerg(format!("unknown thread pool \"{}\"", bytes::text(name))).at(*at))
    }
}
