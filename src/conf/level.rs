//! What was given in one block, and the blocks around it.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use super::contexts::Contexts;
use super::source::Span;
use super::tree::{Statement, Word};
use std::any::{Any, TypeId};
use std::hash::{Hash as _, Hasher};

/// A conf whose type is known to its scope only.
pub type AnyConf = Box<dyn Any + Send + Sync>;

/// The settings given in one block.
pub struct Level {
    /// What the block is.
    pub context: Contexts,
    /// The words that opened it.
    pub words: Vec<Word>,
    /// From its first word to its `{`.
    pub span: Option<Span>,
    /// Its `}`: the place nginx names for what it finds while merging.
    pub end: Option<Span>,
    /// Blocks inside it, in order.
    pub children: Vec<Self>,
    /// By type.
    pub(super) confs: Vec<(TypeId, AnyConf)>,
    /// The [`Kinds`] of settings here and further in.
    pub(super) kinds: Kinds,
    /// The occurrences here of rows that are not served.
    pub(super) unserved: Vec<usize>,
    /// Whether it must not answer without what is left out.
    pub(super) closed: bool,
    /// The rows with a default that were given, until the level is merged.
    pub(super) given: Vec<&'static str>,
}

impl Level {
    pub(super) fn new(context: Contexts, statement: Option<&Statement>) -> Self {
        Self {
            context,
            words: Vec::new(),
            span: statement.map(|statement| statement.span),
            end: statement.and_then(|statement| statement.block.as_ref()).and_then(|block| block.end),
            children: Vec::new(),
            confs: Vec::new(),
            kinds: Kinds::default(),
            unserved: Vec::new(),
            closed: false,
            given: Vec::new(),
        }
    }

    /// What was given here, and after merging what holds here, if this level has a `C` of its own.
    pub fn own<C: Any>(&self) -> Option<&C> {
        self.find(TypeId::of::<C>()).and_then(|conf| conf.downcast_ref())
    }

    /// Whether it must not answer: what protects it, or makes its answers, is not served.
    pub const fn is_closed(&self) -> bool {
        self.closed
    }

    /// Whether settings of these kinds may stand here or further in.
    pub const fn may_hold(&self, kinds: Kinds) -> bool {
        self.kinds.0 & kinds.0 != 0
    }

    /// Whether settings of one of these types stand at this level.
    pub fn has(&self, types: &[TypeId]) -> bool {
        self.confs.iter().any(|(of, _)| types.contains(of))
    }

    pub(super) fn find(&self, type_of: TypeId) -> Option<&AnyConf> {
        find(&self.confs, type_of)
    }

    pub(super) fn take(&mut self, type_of: TypeId) -> Option<AnyConf> {
        let index = self.confs.binary_search_by_key(&type_of, |(of, _)| *of).ok()?;
        Some(self.confs.remove(index).1)
    }

    pub(super) fn put(&mut self, type_of: TypeId, conf: AnyConf) {
        self.kinds.add(type_of);
        match self.confs.binary_search_by_key(&type_of, |(of, _)| *of) {
            Ok(index) => {
                if let Some((_, place)) = self.confs.get_mut(index) {
                    *place = conf;
                }
            }
            Err(index) => self.confs.insert(index, (type_of, conf)),
        }
    }
}

/// A set of types of settings, as a sum of one bit each; several types may share a bit.
#[derive(Clone, Copy, Default)]
pub struct Kinds(pub(super) u64);

impl Kinds {
    /// Adds a type.
    pub fn add(&mut self, type_of: TypeId) {
        let mut bits = Bits(0);
        type_of.hash(&mut bits);
        self.0 |= 1 << (bits.0 & 63);
    }
}

/// Takes the last word of what is hashed: a type's identity is a hash already.
struct Bits(u64);

impl Hasher for Bits {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = self.0 << 8 | u64::from(*byte);
        }
    }

    fn write_u64(&mut self, value: u64) {
        self.0 = value;
    }
}

/// A level and what encloses it, outermost first.
#[derive(Clone, Copy)]
pub struct Levels<'a> {
    /// The enclosing levels.
    pub outer: Option<&'a Self>,
    /// The level itself.
    pub level: &'a Level,
}

impl<'a> Levels<'a> {
    /// A level with nothing around it.
    pub const fn of(level: &'a Level) -> Self {
        Self { outer: None, level }
    }

    /// A level inside this one.
    pub const fn inside(&'a self, level: &'a Level) -> Self {
        Levels { outer: Some(self), level }
    }

    /// The settings that hold here.
    pub fn get<C: Any>(&self) -> Option<&'a C> {
        let mut at = Some(self);
        while let Some(levels) = at {
            if let Some(conf) = levels.level.own::<C>() {
                return Some(conf);
            }
            at = levels.outer;
        }
        None
    }
}

/// The conf of a type among `confs`, which are in the order of their types.
pub(super) fn find(confs: &[(TypeId, AnyConf)], type_of: TypeId) -> Option<&AnyConf> {
    let index = confs.binary_search_by_key(&type_of, |(of, _)| *of).ok()?;
    confs.get(index).map(|(_, conf)| conf)
}
