//! What a start, a reload and a test say of what is not served.

use crate::conf::diagnostic::{Diagnostic, Kind, Severity};
use crate::conf::effect::{Effect, Unserved, refusal};

/// What a configuration has that is not served, and what follows.
pub struct Judged {
    /// What is left out, for a start that is not refused.
    pub warnings: Vec<Diagnostic>,
    /// Why a start is refused, each with its place.
    pub refusals: Vec<Diagnostic>,
}

impl Judged {
    /// Sorts the occurrences; where they are allowed, nothing refuses a start.
    pub fn new(unserved: &[Unserved], allowed: bool) -> Self {
        let refuses = |one: &&Unserved| one.refuses() && !allowed;
        let refusals = unserved.iter().filter(refuses).map(|one| one.complaint.clone().kind(Kind::Unserved)).collect();
        let rest = unserved.iter().filter(|one| !refuses(one));
        Self { warnings: rest.filter_map(warning).collect(), refusals }
    }

    /// The line that ends a refusal; none where there is none.
    pub fn summary(&self, conf: &str) -> Option<String> {
        let count = self.refusals.len();
        (count > 0).then(|| format!("configuration file {conf} {}", refusal(count, "directive")))
    }
}

/// What is said of an occurrence that is left out; nothing where that changes nothing.
fn warning(one: &Unserved) -> Option<Diagnostic> {
    let what = match &one.effect {
        Effect::Nothing(_) => return None,
        Effect::Refused(None) => String::new(),
        Effect::Refused(Some(instead)) => format!(": {instead}"),
    };
    let message = format!("{}, left out{what}", one.complaint.message);
    Some(Diagnostic { severity: Severity::Warn, kind: Kind::Unserved, message, ..one.complaint.clone() })
}

#[cfg(test)]
mod tests;
