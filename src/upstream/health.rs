//! What active checks of a group's servers are, and what their results come to.

use crate::check::health::{Results, Rule};
use std::sync::Arc;
use std::time::Duration;

/// A check of all servers of a group.
#[derive(Debug)]
pub struct Check {
    /// What is asked, in words: results of the same question are kept over a reload.
    pub key: String,
    /// What results come to.
    pub rule: Rule,
    /// Between two checks of a server.
    pub interval: Duration,
    /// The longest random delay of a check.
    pub jitter: Duration,
    /// The port that is connected to, where it is not the server's.
    pub port: Option<u16>,
}

/// What one check has found of a peer.
#[derive(Clone, Debug)]
pub struct Checked {
    /// The check.
    pub check: Arc<Check>,
    /// Its results.
    pub results: Results,
}

impl Checked {
    /// A peer nobody has checked.
    pub fn new(check: Arc<Check>) -> Self {
        let results = check.rule.initial();
        Self { check, results }
    }

    /// Takes over what was found before: all of it within a configuration, else what a reload keeps.
    pub fn carry_over(&mut self, before: &[Self]) {
        let same = before.iter().find(|old| Arc::ptr_eq(&old.check, &self.check));
        if let Some(same) = same {
            self.results = same.results;
        } else if let Some(known) = before.iter().find(|old| old.check.key == self.check.key) {
            self.results = self.check.rule.reloaded(known.results);
        }
    }
}
