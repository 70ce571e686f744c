//! Tree × registry → settings: context, arity, duplicates, includes, defaults, inheritance.
//!
//! The walk opens a [`Level`] for each block that is a context. A level holds a conf only for what was given there;
//! [`Levels`] looks outward for the rest. When the outermost level of a scope closes, defaults are put in through the
//! rows' own setters and every inner conf takes from the nearest outer one what it leaves unset, as nginx merges.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use super::contexts::Contexts;
use super::diagnostic::{self, At, Diagnostic, MOST};
use super::directive::{Directive, Opens};
use super::effect::{self, Unserved};
use super::firsts::Firsts;
use super::level::{AnyConf, find};
use super::lex;
use super::load::{load, load_one, names};
use super::module::Scope;
use super::registry::Registry;
use super::setting::Occurrence;
use super::source::{Kind, Loader, Sources, Span};
use super::tree::{Block, Node, Statement, Word};
use faults::Faults;
use std::any::TypeId;

pub use super::dialect::{Dialect, Wording};
pub use super::level::{Kinds, Level, Levels};
pub use super::load::{Bases, errno, full};
pub use super::setting::Setting;

mod faults;
mod hints;
mod unserved;

/// A configuration that was read: its outermost level, or what is wrong.
pub struct Walked {
    /// The whole, merged.
    pub level: Level,
    /// Warnings, and where the dialect goes on, errors.
    pub complaints: Vec<Diagnostic>,
    /// What was checked and is not served; of nested blocks the outermost.
    pub unserved: Vec<Unserved>,
    /// The complaint that ended the reading.
    pub fatal: Option<Diagnostic>,
    /// What was left out because it is wrong.
    pub faults: Faults,
}

/// Reads a configuration against a registry.
pub struct Walk<'a> {
    registry: &'a Registry,
    dialect: Dialect,
    loader: &'a dyn Loader,
    sources: &'a mut Sources,
    bases: Bases,
    levels: Vec<Level>,
    complaints: Vec<Diagnostic>,
    unserved: Vec<Occurrence>,
    /// Inside a block that is not served, what it holds is not reported once more.
    inside_unserved: bool,
    depth: usize,
    /// The patterns of the includes that are being read.
    open: Vec<String>,
    /// No further complaint is wanted: files include each other for ever.
    ended: bool,
    /// What follows the statement that is read, or the end of its block.
    next: Option<Span>,
    /// Where things were given first.
    firsts: Firsts,
    /// What was left out, where the dialect goes on all the same.
    faults: Faults,
    /// Blocks around here that were left out.
    aside: usize,
}

/// Files including files: past this depth a cycle is certain.
const INCLUDE_DEPTH: usize = 200;

impl<'a> Walk<'a> {
    /// A walk whose relative paths start at `bases` and whose outermost level is `context`.
    pub fn new(
        registry: &'a Registry,
        dialect: Dialect,
        (loader, sources): (&'a dyn Loader, &'a mut Sources),
        bases: Bases,
        context: Contexts,
    ) -> Self {
        Self {
            registry,
            dialect,
            loader,
            sources,
            bases,
            levels: vec![Level::new(context, None)],
            complaints: Vec::new(),
            unserved: Vec::new(),
            inside_unserved: false,
            depth: 0,
            open: Vec::new(),
            ended: false,
            next: None,
            firsts: Firsts::new(dialect.every || !dialect.stop),
            faults: Faults::default(),
            aside: 0,
        }
    }

    /// Reads statements given on the command line before the file.
    ///
    /// # Errors
    /// The first fatal complaint.
    pub fn parameters(&mut self, text: &str) -> Result<(), Diagnostic> {
        let id = self.sources.add("command line", Kind::CommandLine, text.as_bytes().to_vec());
        self.block(lex::nginx::parameters(text.as_bytes(), id))
    }

    /// Reads the file `path`.
    ///
    /// # Errors
    /// The first fatal complaint.
    pub fn file(&mut self, path: &str) -> Result<(), Diagnostic> {
        let blocks = load(self.loader, self.sources, self.dialect, path)?;
        self.open.push(path.to_owned());
        blocks.into_iter().try_for_each(|block| self.block(block))
    }

    /// Reads statements that were made elsewhere.
    ///
    /// # Errors
    /// The first fatal complaint.
    pub fn tree(&mut self, block: Block) -> Result<(), Diagnostic> {
        self.block(block)
    }

    /// How many complaints there are so far.
    pub fn found(&self) -> usize {
        self.complaints.len()
    }

    /// Closes the outermost level.
    pub fn finish(mut self, mut fatal: Option<Diagnostic>) -> Walked {
        if fatal.is_none() {
            fatal = self.merge().err();
        }
        self.levels.truncate(1);
        let mut level = self.levels.pop().unwrap_or_else(|| Level::new(Contexts(0), None));
        let groups = self.dialect.wording.groups();
        let unserved = effect::judge(&mut level, self.registry, self.unserved, groups);
        Walked { level, complaints: self.complaints, unserved, fatal, faults: self.faults }
    }

    /// Reads the statements of a block, and lets go of each when it has been read.
    fn block(&mut self, block: Block) -> Result<(), Diagnostic> {
        let end = block.end;
        let mut nodes = block.nodes.into_iter();
        let mut before = self.levels.last().and_then(|level| level.span);
        while let Some(node) = nodes.next() {
            let next = nodes.as_slice().first().and_then(Node::place).or(end);
            let place = match &node {
                Node::Statement(statement) => Some(faults::whole(statement)),
                Node::Broken(_) => node.place().map(|place| faults::around(before, place, next)),
            };
            before = place;
            let outcome = match node {
                Node::Statement(mut statement) if self.swallows(&statement) => {
                    // A block without a brace is what follows, to the end of the block that holds it.
                    self.lacks_brace(&statement, next);
                    statement.block = Some(Block { nodes: nodes.collect(), end, start: None });
                    if let Err(complaint) = self.statement(&mut statement) {
                        self.complaints.push(placed(complaint, &statement));
                    }
                    return Ok(());
                }
                Node::Statement(mut statement) => {
                    self.next = next;
                    self.statement(&mut statement)
                        .map_err(|complaint| self.hinted(placed(complaint, &statement), &statement))
                }
                Node::Broken(complaint) => Err(complaint),
            };
            if let Err(complaint) = outcome {
                if self.dialect.stop && (!self.dialect.every || self.ended) {
                    return Err(complaint);
                }
                if self.dialect.every && self.complaints.len() >= MOST {
                    self.ended = true;
                    return Err(complaint.note("there are too many mistakes: the reading ends here"));
                }
                if next.is_none() {
                    // The block has no end: who knows what belongs to it.
                    self.faults.unread();
                }
                let around = self.levels.last().and_then(|level| level.span);
                let follows = complaint.depends && (self.aside > 0 || !self.faults.stands(&complaint, self.sources));
                self.faults.leave(place, around);
                if !follows {
                    self.complaints.push(complaint);
                }
            }
        }
        Ok(())
    }

    /// Whether a statement lacks the brace of its rows, where the dialect goes on.
    fn swallows(&self, statement: &Statement) -> bool {
        let context = self.levels.last().map_or(Contexts(0), |level| level.context);
        let row = || self.registry.find(&statement.words.first()?.bytes, context);
        !self.dialect.stop
            && statement.block.is_none()
            && row().is_some_and(|row| match row.arity.opens() {
                Some(Opens::Rows) => row.arity.needs_block(),
                Some(Opens::Context(_)) => row.arity.needs_block() && self.levels.len() > 1,
                None => false,
            })
    }

    /// Says that a context was opened without a brace; lists of rows are silent about it.
    fn lacks_brace(&mut self, statement: &Statement, next: Option<Span>) {
        let context = self.levels.last().map_or(Contexts(0), |level| level.context);
        let row = statement.words.first().and_then(|word| self.registry.find(&word.bytes, context));
        if row.is_some_and(|row| matches!(row.arity.opens(), Some(Opens::Context(_)))) {
            let complaint = Diagnostic::emerg(self.dialect.wording.no_block(&statement.name()));
            self.complaints
                .push(next.map_or_else(|| placed(complaint.clone(), statement), |at| complaint.clone().at(at)));
        }
    }

    fn statement(&mut self, statement: &mut Statement) -> Result<(), Diagnostic> {
        let context = self.levels.last().map_or(Contexts(0), |level| level.context);
        let Some(word) = statement.words.first() else { return Ok(()) };
        let (name, place) = (word.text(), word.span);
        let Some(row) = self.registry.find(&word.bytes, context) else {
            let complaint = self.stranger(&name, context).point(place);
            return Err(self.left_out(statement, complaint));
        };
        if statement.block.is_some() && row.arity.opens().is_none() {
            let complaint = Diagnostic::emerg(self.dialect.wording.unterminated(&name)).kind(diagnostic::Kind::Brace);
            return if self.dialect.stop { Err(complaint) } else { self.stray(statement, complaint) };
        }
        if statement.block.is_none() && row.arity.needs_block() {
            let complaint = Diagnostic::emerg(self.dialect.wording.no_block(&name));
            return Err(match self.next.filter(|_| !self.dialect.stop) {
                Some(next) => complaint.at(next),
                None => complaint,
            });
        }
        if !row.arity.takes(statement.arguments().len()) {
            let complaint = self.miscounted(&name, row);
            return Err(self.left_out(statement, complaint));
        }
        if row.set.includes() {
            return self.include(statement);
        }
        let around = self.inside_unserved;
        if !row.support.is_served() && !around {
            self.omitted(row, statement, place);
            self.inside_unserved = true;
        }
        let outcome = self.set(row, statement);
        self.inside_unserved = around;
        outcome
    }

    /// A statement that is left out; where every complaint is wanted, what its block holds is looked at all the same.
    /// The complaint that is returned is the last of them.
    fn left_out(&mut self, statement: &mut Statement, complaint: Diagnostic) -> Diagnostic {
        let name = statement.words.first().map(|word| word.bytes.clone()).unwrap_or_default();
        let mut contexts = self.registry.named(&name).filter_map(|row| match row.arity.opens() {
            Some(Opens::Context(context)) => Some(context),
            Some(Opens::Rows) | None => None,
        });
        let context = contexts.next().filter(|context| contexts.all(|other| other == *context));
        let Some(context) = context else { return complaint };
        self.levels.push(Level::new(context, Some(statement)));
        let complaint = self.look_inside(statement, complaint);
        self.levels.pop();
        complaint
    }

    /// The same, in the level that was opened for it.
    fn look_inside(&mut self, statement: &mut Statement, complaint: Diagnostic) -> Diagnostic {
        let Some(block) = statement.block.take_if(|_| self.dialect.every) else { return complaint };
        self.complaints.push(placed(complaint.clone(), statement));
        self.aside += 1;
        let ended = self.block(block).err();
        self.aside -= 1;
        ended.or_else(|| self.complaints.pop()).unwrap_or(complaint)
    }

    /// A brace behind a statement that opens nothing: it is left out, and what it holds is read where it stands.
    fn stray(&mut self, statement: &mut Statement, complaint: Diagnostic) -> Result<(), Diagnostic> {
        let block = statement.block.take().unwrap_or_default();
        if let Err(wrong) = self.statement(statement) {
            self.complaints.push(placed(wrong, statement));
        }
        self.complaints
            .push(block.start.map_or_else(|| placed(complaint.clone(), statement), |at| complaint.clone().at(at)));
        self.block(block)
    }

    fn include(&mut self, statement: &Statement) -> Result<(), Diagnostic> {
        let pattern = statement.arguments().first().map(Word::text).unwrap_or_default();
        let path = full(&self.bases.conf, &pattern);
        if self.dialect.every && self.open.contains(&path) {
            let text = format!("open() \"{path}\" failed (24: Too many open files)");
            return Err(Diagnostic::emerg(text).note("the file includes itself"));
        }
        self.depth += 1;
        if self.depth > INCLUDE_DEPTH {
            self.ended = true;
            return Err(Diagnostic::emerg(format!("open() \"{path}\" failed (24: Too many open files)")));
        }
        let names = names(self.loader, &path);
        self.open.push(path);
        // One after the other: what a file includes is read before the next file is opened, and printed so by `-T`.
        let outcome = names.and_then(|names| {
            names.iter().try_for_each(|name| {
                let block = load_one(self.loader, self.sources, self.dialect, name)?;
                self.block(block)
            })
        });
        if outcome.is_err() {
            self.faults.unread();
        }
        self.open.pop();
        self.depth -= 1;
        outcome
    }

    fn set(&mut self, row: &'static Directive, statement: &mut Statement) -> Result<(), Diagnostic> {
        if row.default.is_some()
            && let Some(level) = self.levels.last_mut()
        {
            level.given.push(row.name);
        }
        let first = self.firsts.row(row.name, self.levels.last(), statement.span);
        // What is said of a row given twice knows the first.
        let again = |complaint: Diagnostic| match first.filter(|_| complaint.kind == diagnostic::Kind::Again) {
            Some(first) if complaint.beside.is_none() => complaint.earlier(Some(first)),
            _ => complaint,
        };
        let context = match row.arity.opens() {
            Some(Opens::Context(context)) if statement.block.is_some() => context,
            _ => {
                let before = self.complaints.len();
                let outcome = self.apply(row, statement);
                for complaint in self.complaints.iter_mut().skip(before).filter(|_| !row.words.is_empty()) {
                    *complaint = complaint.clone().meant(statement, row.words);
                }
                return outcome.map_err(|complaint| again(complaint).meant(statement, row.words));
            }
        };
        self.levels.push(Level::new(context, Some(statement)));
        let opened = self.apply(row, statement).map_err(|complaint| again(complaint).meant(statement, row.words));
        let outcome = match opened {
            Ok(()) => self.inside(row, statement).map_err(|complaint| again(complaint).meant(statement, row.words)),
            Err(complaint) => Err(self.look_inside(statement, complaint)),
        };
        // What was read of a block before the reading ends is kept; one that complains is left out where it goes on.
        let ends = outcome.is_err() && self.dialect.stop && !self.dialect.every;
        if ends {
            let _ = self.merge();
        }
        if let Some(level) = self.levels.pop()
            && (outcome.is_ok() || ends)
            && let Some(around) = self.levels.last_mut()
        {
            around.kinds.0 |= level.kinds.0;
            around.children.push(level);
        }
        outcome
    }

    fn inside(&mut self, row: &'static Directive, statement: &mut Statement) -> Result<(), Diagnostic> {
        if let Some(level) = self.levels.last_mut() {
            level.words = std::mem::take(&mut statement.words);
        }
        let block = statement.block.take().unwrap_or_default();
        let end = block.end;
        let before = self.complaints.len();
        self.block(block)?;
        // What is said of a block as a whole may follow from what was left out of it.
        if !self.dialect.every || !self.complaints.iter().skip(before).any(Diagnostic::is_error) {
            let mut cx = self.setting(row);
            cx.end = end;
            row.set.close(&mut cx).map_err(|complaint| match end {
                Some(end) if complaint.at == At::Nowhere => complaint.at(end),
                _ => complaint,
            })?;
        }
        self.merge()
    }

    fn setting(&mut self, row: &'static Directive) -> Setting<'_> {
        Setting {
            row,
            levels: &mut self.levels,
            scopes: self.registry.scopes(),
            dialect: self.dialect,
            loader: self.loader,
            sources: self.sources,
            complaints: &mut self.complaints,
            unserved: &mut self.unserved,
            bases: &self.bases,
            end: None,
            firsts: &mut self.firsts,
        }
    }

    /// Runs a row's setter on the conf it writes to, in the innermost level that has one.
    fn apply(&mut self, row: &'static Directive, statement: &Statement) -> Result<(), Diagnostic> {
        let target = row.set.target();
        let Some(scope) = self.registry.scopes().of(target).copied() else {
            return row.set.set(&mut self.setting(row), &mut (), statement);
        };
        let Some(at) = self.levels.iter().rposition(|level| level.context.meets(scope.contexts)) else {
            return row.set.set(&mut self.setting(row), &mut (), statement);
        };
        let mut conf = self.levels.get_mut(at).and_then(|level| level.take(target)).unwrap_or_else(scope.new);
        let outcome = row.set.set(&mut self.setting(row), conf.as_mut(), statement);
        if let Some(level) = self.levels.get_mut(at) {
            level.put(target, conf);
        }
        outcome
    }

    /// Where the innermost level is the outermost of a scope: defaults, then inheritance through what is inside.
    fn merge(&mut self) -> Result<(), Diagnostic> {
        let Some(context) = self.levels.last().map(|level| level.context) else { return Ok(()) };
        let around = self.levels.iter().rev().skip(1).fold(Contexts(0), |sum, level| sum.or(level.context));
        let registry = self.registry;
        let here = |scope: &Scope| scope.contexts.meets(context) && !scope.contexts.meets(around);
        for scope in registry.scopes().all().iter().filter(|scope| here(scope)) {
            self.defaults((scope.type_of)(), context)?;
        }
        if let Some(level) = self.levels.last_mut() {
            for scope in registry.scopes().all().iter().filter(|scope| here(scope)) {
                let of = (scope.type_of)();
                if level.find(of).is_none() {
                    level.put(of, (scope.new)());
                }
            }
            level.given = Vec::new();
            level.confs.shrink_to_fit();
            level.children.shrink_to_fit();
            let Level { confs, children, .. } = level;
            let frame = Frame { context, confs, outer: None };
            for child in children {
                pass_down(child, registry, &frame, &here);
            }
        }
        Ok(())
    }

    fn defaults(&mut self, target: TypeId, context: Contexts) -> Result<(), Diagnostic> {
        let registry = self.registry;
        for row in registry.with_default(target) {
            let given = self.levels.last().is_some_and(|level| level.given.contains(&row.name));
            let Some(text) = row.default else { continue };
            if given || !row.contexts.meets(context) {
                continue;
            }
            self.apply(row, &statement_of(row.name, text))?;
        }
        Ok(())
    }
}

/// A merged level around the one that is being merged.
struct Frame<'a> {
    context: Contexts,
    confs: &'a [(TypeId, AnyConf)],
    outer: Option<&'a Self>,
}

impl Frame<'_> {
    /// The nearest settings of a scope, through levels that may have them.
    fn nearest(&self, scope: &Scope) -> Option<&AnyConf> {
        let mut at = Some(self);
        while let Some(frame) = at.filter(|frame| frame.context.meets(scope.contexts)) {
            if let Some(conf) = find(frame.confs, (scope.type_of)()) {
                return Some(conf);
            }
            at = frame.outer;
        }
        None
    }
}

/// Lets a level's settings, and those inside it, take what they leave unset, for the scopes that are merged `here`.
fn pass_down(level: &mut Level, registry: &Registry, outer: &Frame<'_>, here: &dyn Fn(&Scope) -> bool) {
    for (of, conf) in &mut level.confs {
        let scope = registry.scopes().of(*of).filter(|scope| here(scope));
        if let Some(scope) = scope
            && let Some(nearest) = outer.nearest(scope)
        {
            (scope.inherit)(conf.as_mut(), nearest.as_ref());
        }
    }
    let Level { context, confs, children, .. } = level;
    let frame = Frame { context: *context, confs, outer: Some(outer) };
    for child in children {
        pass_down(child, registry, &frame, here);
    }
}

/// The statement a default's text stands for.
pub fn statement_of(name: &str, text: &str) -> Statement {
    let source = super::source::SourceId(u32::MAX);
    let block = lex::nginx::parameters(format!("{name} {text};").as_bytes(), source);
    block.statements().next().cloned().unwrap_or(Statement {
        words: Vec::new(),
        block: None,
        span: Span { source, start: 0, end: 0 },
    })
}

fn placed(complaint: Diagnostic, statement: &Statement) -> Diagnostic {
    if complaint.at == At::Nowhere { complaint.at(statement.span) } else { complaint }
}
