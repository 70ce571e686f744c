//! `FILE_CHECK`: a number in a file takes a real server out of its pool, or changes its weight.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use super::server::MOST_WEIGHT;

/// How the number in a file counts.
///
/// Differs from keepalived: a product that is too large for a weight counts as the largest; there it overflows. [test: with_a_weight_it_changes_that_of_the_server]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Factor {
    /// What it is multiplied with; 0 where a number that is not 0 takes the server down.
    pub weight: i64,
    /// It counts the other way round.
    pub reverse: bool,
}

/// What a change of the number comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// Nothing.
    None,
    /// The server is down.
    Down,
    /// It is up again.
    Up,
    /// Its weight changes by so much.
    Weight(i64),
}

impl Factor {
    /// What a number adds to the weight; `None` where it takes the server down.
    fn worth(self, number: i64) -> Option<i64> {
        if self.weight == 0 {
            return ((number != 0) == self.reverse).then_some(0);
        }
        let sign = if self.reverse { -1 } else { 1 };
        let worth = number.saturating_mul(self.weight).saturating_mul(sign);
        (worth > -MOST_WEIGHT).then(|| worth.min(MOST_WEIGHT - 1))
    }

    /// What a server begins with: what is added to its weight, and whether it is down.
    ///
    /// As in keepalived 2.1.5, only numbers that count the other way round are added at the start, with their sign.
    pub fn start(self, number: i64) -> (i64, bool) {
        if self.weight == 0 {
            return (0, number != 0);
        }
        let worth = if self.reverse { number.saturating_mul(self.weight) } else { 0 };
        if worth <= -MOST_WEIGHT { (0, true) } else { (worth.min(MOST_WEIGHT - 1), false) }
    }

    /// What a change of the number comes to.
    pub fn change(self, before: i64, now: i64) -> Change {
        match (self.worth(before), self.worth(now)) {
            (before, now) if before == now => Change::None,
            (_, None) => Change::Down,
            (None, Some(_)) => Change::Up,
            (Some(before), Some(now)) => Change::Weight(now - before),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn factor(weight: i64, reverse: bool) -> Factor {
        Factor { weight, reverse }
    }

    #[test]
    fn without_a_weight_a_number_takes_the_server_down() {
        assert_eq!(factor(0, false).change(0, 1), Change::Down);
        assert_eq!(factor(0, false).change(1, 5), Change::None);
        assert_eq!(factor(0, false).change(5, 0), Change::Up);
        assert_eq!(factor(0, true).change(0, 1), Change::Up);
        assert_eq!(factor(0, false).start(3), (0, true));
    }

    #[test]
    fn with_a_weight_it_changes_that_of_the_server() {
        assert_eq!(factor(2, false).change(3, 5), Change::Weight(4));
        assert_eq!(factor(-3, true).change(1, 2), Change::Weight(3));
        assert_eq!(factor(2, false).change(0, -2_000_000_000), Change::Down);
        assert_eq!(factor(2, false).change(0, i64::MAX), Change::Weight(MOST_WEIGHT - 1));
        assert_eq!((factor(2, false).start(3), factor(-3, true).start(1)), ((0, false), (-3, false)));
    }
}
