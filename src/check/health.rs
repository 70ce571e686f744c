//! Whether a server is healthy: what so many failed or passed checks in a row come to.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

/// How many results in a row decide.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rule {
    /// Failed checks after which a server is unhealthy; at least 1.
    pub fails: u32,
    /// Passed checks after which it is healthy again; at least 1.
    pub passes: u32,
    /// Whether a server is not used before its first check.
    pub mandatory: bool,
    /// Whether one that was healthy before a reload is used after it without a check.
    pub persistent: bool,
    /// Whether a server nobody has checked is unhealthy.
    pub down: bool,
}

/// What a check says of a server.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum State {
    /// It is used.
    #[default]
    Healthy,
    /// It is not.
    Unhealthy,
    /// It is not used before it is known to be healthy.
    Checking,
}

/// The results of a check of one server.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Results {
    /// What they come to.
    pub state: State,
    /// Failed checks in a row.
    pub fails: u32,
    /// Passed checks in a row.
    pub passes: u32,
    /// Checks so far.
    pub checks: u64,
}

impl Rule {
    /// A server nobody has checked.
    pub const fn initial(self) -> Results {
        let state = match self {
            Self { down: true, .. } => State::Unhealthy,
            Self { mandatory: true, .. } => State::Checking,
            _ => State::Healthy,
        };
        Results { state, fails: 0, passes: 0, checks: 0 }
    }

    /// What is kept of results over a reload.
    pub const fn reloaded(self, before: Results) -> Results {
        match before.state {
            State::Unhealthy => before,
            State::Healthy if self.persistent || !self.mandatory => before,
            State::Healthy | State::Checking => self.initial(),
        }
    }
}

impl Results {
    /// Takes the result of a check; the state it changes to, if it does.
    pub fn take(&mut self, rule: Rule, good: bool) -> Option<State> {
        self.checks += 1;
        let next = if good {
            (self.passes, self.fails) = (self.passes.saturating_add(1), 0);
            (self.passes >= rule.passes).then_some(State::Healthy)
        } else {
            (self.fails, self.passes) = (self.fails.saturating_add(1), 0);
            (self.fails >= rule.fails).then_some(State::Unhealthy)
        };
        let next = next.filter(|next| *next != self.state)?;
        self.state = next;
        Some(next)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RULE: Rule = Rule { fails: 2, passes: 3, mandatory: false, persistent: false, down: false };

    fn run(rule: Rule, results: &[bool]) -> Vec<Option<State>> {
        let mut all = rule.initial();
        results.iter().map(|good| all.take(rule, *good)).collect()
    }

    #[test]
    fn results_in_a_row_decide() {
        let (down, up) = (Some(State::Unhealthy), Some(State::Healthy));
        assert_eq!(run(RULE, &[false, true, false, false, false]), [None, None, None, down, None]);
        assert_eq!(
            run(RULE, &[false, false, true, true, false, true, true, true]),
            [None, down, None, None, None, None, None, up]
        );
    }

    #[test]
    fn a_server_that_must_be_checked_is_not_used_before() {
        let rule = Rule { mandatory: true, passes: 1, ..RULE };
        assert_eq!(rule.initial().state, State::Checking);
        assert_eq!(run(rule, &[true, true]), [Some(State::Healthy), None]);
        assert_eq!(run(rule, &[false, false]), [None, Some(State::Unhealthy)]);
    }

    #[test]
    fn a_reload_keeps_who_is_unhealthy_and_with_persistent_who_is_healthy() {
        let of = |state| Results { state, fails: 1, passes: 0, checks: 5 };
        for (mandatory, persistent, before, after) in [
            (false, false, State::Unhealthy, State::Unhealthy),
            (true, true, State::Unhealthy, State::Unhealthy),
            (false, false, State::Healthy, State::Healthy),
            (true, false, State::Healthy, State::Checking),
            (true, true, State::Healthy, State::Healthy),
            (true, true, State::Checking, State::Checking),
            (false, false, State::Checking, State::Healthy),
        ] {
            let rule = Rule { mandatory, persistent, ..RULE };
            assert_eq!(rule.reloaded(of(before)).state, after, "{mandatory} {persistent} {before:?}");
        }
    }
}
