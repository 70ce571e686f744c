//! Noting what is checked and not served, at the level that has it.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use super::Walk;
use crate::conf::diagnostic::Diagnostic;
use crate::conf::directive::{Directive, Support};
use crate::conf::setting::Occurrence;
use crate::conf::source::Span;
use crate::conf::tree::Statement;

impl Walk<'_> {
    /// Notes an occurrence of a row that is not served.
    pub(super) fn omitted(&mut self, row: &'static Directive, statement: &Statement, place: Span) {
        let what = format!("\"{}\"", statement.name());
        let complaint = Diagnostic::emerg(self.dialect.wording.unserved(&what)).at(statement.span).point(place);
        let complaint = match row.support {
            Support::Refused(why) => complaint.help(why),
            _ => complaint,
        };
        if let Some(level) = self.levels.last_mut() {
            level.unserved.push(self.unserved.len());
        }
        let words = statement.arguments().to_vec();
        self.unserved.push(Occurrence { row, omission: row.omission, part: false, words, what, complaint });
    }
}
