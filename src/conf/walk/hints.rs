//! What a complaint of the walk says beside the original's words: what was probably meant, and where.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use super::Walk;
use crate::conf::diagnostic::{self, At, Diagnostic};
use crate::conf::directive::{Arity, Contexts, Directive};
use crate::conf::tree::{Statement, Word};

impl Walk<'_> {
    /// A name that no row has here.
    pub(super) fn stranger(&mut self, name: &str, context: Contexts) -> Diagnostic {
        if self.registry.named(name.as_bytes()).next().is_some() {
            let places = self.allowed(name);
            return Diagnostic::emerg(self.dialect.wording.not_allowed(name))
                .kind(diagnostic::Kind::Misplaced)
                .note(format!("\"{name}\" is allowed in: {places}"));
        }
        let complaint = Diagnostic::emerg(self.dialect.wording.unknown(name)).kind(diagnostic::Kind::Keyword);
        if let Some(origin) = self.dialect.wording.origin(name) {
            self.faults.foreign(name);
            return complaint.help(origin);
        }
        let near = self.registry.nearest(name, context);
        self.faults.meant(near);
        if let Some(near) = near {
            return complaint.help(format!("did you mean \"{near}\"?"));
        }
        match self.registry.nearest(name, Contexts(u64::MAX)).filter(|_| self.dialect.stop) {
            Some(near) => {
                let places = self.allowed(near);
                complaint.help(format!("did you mean \"{near}\"? It is allowed in: {places}"))
            }
            None => complaint,
        }
    }

    /// Where a directive is allowed, in words.
    fn allowed(&self, name: &str) -> String {
        let allowed = self.registry.places(name.as_bytes());
        let places = self.dialect.wording.places().iter().filter(|(place, _)| place.meets(allowed));
        places.map(|(_, name)| *name).collect::<Vec<_>>().join(", ")
    }

    /// A wrong number of arguments.
    pub(super) fn miscounted(&self, name: &str, row: &Directive) -> Diagnostic {
        Diagnostic::emerg(self.dialect.wording.arity(name))
            .kind(diagnostic::Kind::Argument)
            .note(format!("\"{name}\" takes {}", row.arity.words()))
    }

    /// The same complaint about a statement. A word of it that is a directive and begins a line lacks a `;` before it;
    /// where the row's known words are not told, its usual form is.
    pub(super) fn hinted(&self, complaint: Diagnostic, statement: &Statement) -> Diagnostic {
        if !self.dialect.every || complaint.at != At::Span(statement.span) {
            return complaint;
        }
        let context = self.levels.last().map_or(Contexts(0), |level| level.context);
        let line = |word: &Word| self.sources.position(word.span.source, word.span.start).0;
        let row = |word: &Word| self.registry.find(&word.bytes, context);
        let swallowed = statement.words.windows(2).find_map(|pair| match pair {
            [before, word] if !word.quoted && line(word) > line(before) => row(word).map(|_| line(before)),
            _ => None,
        });
        let complaint = match swallowed.filter(|_| complaint.help.is_none()) {
            Some(line) => complaint.help(format!("is a \";\" missing at the end of line {line}?")),
            None => complaint,
        };
        let kinds = matches!(complaint.kind, diagnostic::Kind::Other | diagnostic::Kind::Argument);
        match statement.words.first().and_then(row).and_then(form).filter(|_| kinds && !complaint.is_conflict()) {
            Some(form) => complaint.note(format!("usual form: {form}")),
            None => complaint,
        }
    }
}

/// A directive as it is usually written, where its row tells.
fn form(row: &Directive) -> Option<String> {
    match (row.arity, row.default) {
        (Arity::Flag, _) => Some(format!("{} on | off;", row.name)),
        (_, Some(default)) if !default.is_empty() => Some(format!("{} {default};", row.name)),
        _ => None,
    }
}
