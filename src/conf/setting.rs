//! What a setter may ask for beside its own conf.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use super::contexts::Contexts;
use super::diagnostic::{self, Diagnostic};
use super::dialect::Dialect;
use super::directive::Directive;
use super::firsts::{Firsts, place};
use super::level::Level;
use super::load::{Bases, beside, errno, full, load};
use super::module::Scopes;
use super::omission::Omission;
use super::print::line;
use super::source::{Loader, Sources, Span};
use super::tree::{Block, Statement, Word};
use std::any::{Any, TypeId};

/// An occurrence of a row that is not served, or of one of which a part is not, as the walk notes it.
pub struct Occurrence {
    pub(super) row: &'static Directive,
    pub(super) omission: Omission,
    /// Whether only a part of the row is not served.
    pub(super) part: bool,
    pub(super) words: Vec<Word>,
    pub(super) what: String,
    pub(super) complaint: Diagnostic,
}

/// What a setter may ask for beside its own conf.
pub struct Setting<'a> {
    /// The row being set.
    pub row: &'static Directive,
    /// Levels from the outermost to the one the statement stands in (or opens).
    pub(super) levels: &'a mut Vec<Level>,
    pub(super) scopes: &'a Scopes,
    pub(super) dialect: Dialect,
    pub(super) loader: &'a dyn Loader,
    pub(super) sources: &'a mut Sources,
    pub(super) complaints: &'a mut Vec<Diagnostic>,
    pub(super) unserved: &'a mut Vec<Occurrence>,
    pub(super) bases: &'a Bases,
    pub(super) end: Option<Span>,
    pub(super) firsts: &'a mut Firsts,
}

impl Setting<'_> {
    /// `"name" directive …`, the form of most of nginx's complaints.
    pub fn complain(&self, what: &str) -> Diagnostic {
        Diagnostic::emerg(format!("\"{}\" directive {what}", self.row.name))
    }

    /// The directive was given before.
    pub fn duplicate(&self) -> Diagnostic {
        self.complain("is duplicate").kind(diagnostic::Kind::Again)
    }

    /// Adds a warning that does not stop the reading.
    pub fn warn(&mut self, statement: &Statement, message: impl Into<String>) {
        self.complaints.push(Diagnostic::warn(message).at(statement.span));
    }

    /// Adds a complaint after which the setter goes on, as one about a line among many.
    pub fn report(&mut self, complaint: Diagnostic) {
        self.complaints.push(complaint);
    }

    /// The kind of block the statement stands in (or opens).
    pub fn context(&self) -> Contexts {
        self.levels.last().map_or(Contexts(0), |level| level.context)
    }

    /// The block around the one the statement opens.
    pub fn around(&self) -> Option<&Level> {
        self.levels.iter().rev().nth(1)
    }

    /// Notes that the statement gives a value to the row `name` as well, whose default is not wanted then.
    pub fn gives(&mut self, name: &'static str) {
        if let Some(level) = self.levels.last_mut() {
            level.given.push(name);
        }
    }

    /// The `}` of the block that is being closed.
    pub const fn end(&self) -> Option<Span> {
        self.end
    }

    /// The whole, as far as it has been read.
    pub fn outermost(&self) -> Option<&Level> {
        self.levels.first()
    }

    /// The innermost level.
    pub fn level(&self) -> Option<&Level> {
        self.levels.last()
    }

    /// The nearest `C` given so far, looking outward.
    pub fn seen<C: Any>(&self) -> Option<&C> {
        self.levels.iter().rev().find_map(Level::own)
    }

    /// The settings of type `C` of the nearest level that has them, made if nothing was given yet.
    pub fn conf<C: Any>(&mut self) -> Option<&mut C> {
        let scope = self.scopes.of(TypeId::of::<C>())?;
        let at = self.levels.iter().rposition(|level| level.context.meets(scope.contexts))?;
        self.conf_at(at)
    }

    /// Those of the block around the one the statement opens.
    pub fn conf_around<C: Any>(&mut self) -> Option<&mut C> {
        self.conf_at(self.levels.len().checked_sub(2)?)
    }

    fn conf_at<C: Any>(&mut self, at: usize) -> Option<&mut C> {
        let of = TypeId::of::<C>();
        let (scope, level) = (self.scopes.of(of)?, self.levels.get_mut(at)?);
        if level.find(of).is_none() {
            level.put(of, (scope.new)());
        }
        level.confs.iter_mut().find(|(have, _)| *have == of).and_then(|(_, conf)| conf.downcast_mut())
    }

    /// `path` as it is used: relative paths start at the main file's folder.
    pub fn full(&self, path: &str) -> String {
        full(&self.bases.conf, path)
    }

    /// `path` as logs and data use it: relative paths start at the prefix.
    pub fn full_prefix(&self, path: &str) -> String {
        full(&self.bases.prefix, path)
    }

    /// `file:line` of a place, as nginx names an earlier one.
    pub fn place(&self, span: Span) -> String {
        let line = line(span, self.sources);
        self.sources.text(span.source).map_or_else(String::new, |source| format!("{}:{line}", source.name))
    }

    /// The bytes of a file a setter must look into.
    ///
    /// # Errors
    /// nginx's words for a file that cannot be read.
    pub fn read(&self, path: &str) -> Result<Vec<u8>, Diagnostic> {
        self.loader.load(path).map_err(|error| {
            let call = if error.kind() == std::io::ErrorKind::IsADirectory { "read()" } else { "open()" };
            let complaint = Diagnostic::emerg(format!("{call} \"{path}\" failed ({})", errno(&error))).machine();
            beside(complaint, path, self.loader, self.dialect)
        })
    }

    /// Whether a file is there.
    pub fn exists(&self, path: &str) -> bool {
        self.loader.glob(path).is_ok_and(|names| !names.is_empty())
    }

    /// The statements of the files `pattern` names, for blocks that read their rows themselves.
    ///
    /// # Errors
    /// What `include` says when a file cannot be read.
    pub fn include(&mut self, pattern: &str) -> Result<Vec<Block>, Diagnostic> {
        let full = self.full(pattern);
        load(self.loader, self.sources, self.dialect, &full)
    }

    /// Where a `kind` of thing called `name` was given before, in whatever block; noted as given `here` if it was not.
    pub fn first(&mut self, kind: &'static str, name: &[u8], here: Span) -> Option<Span> {
        self.firsts.note((kind, None, name.into()), here)
    }

    /// The same of what may be given once in each block.
    pub fn first_here(&mut self, kind: &'static str, name: &[u8], here: Span) -> Option<Span> {
        let level = self.levels.last().map(place);
        self.firsts.note((kind, level, name.into()), here)
    }

    /// Where a row was given first in this block.
    pub fn given(&self, row: &'static str) -> Option<Span> {
        self.firsts.given(row, self.levels.last())
    }

    /// The statement that is being set.
    pub const fn here(&self) -> Option<Span> {
        self.firsts.here()
    }

    /// Notes that part of a served row is known and not served: it is checked as the original checks it, and a start
    /// is refused because of it.
    pub fn unserved(&mut self, statement: &Statement, what: &str) {
        self.omits(statement, what, Omission::Changes);
    }

    /// The same of a part without which something stays closed.
    pub fn omits(&mut self, statement: &Statement, what: &str, omission: Omission) {
        let complaint = Diagnostic::emerg(self.dialect.wording.unserved(what)).at(statement.span);
        if let Some(level) = self.levels.last_mut() {
            level.unserved.push(self.unserved.len());
        }
        self.unserved.push(Occurrence {
            row: self.row,
            omission,
            part: true,
            words: Vec::new(),
            what: what.to_owned(),
            complaint,
        });
    }
}
