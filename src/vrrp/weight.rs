//! Tracked things → effective priority, fault, or "not known yet".
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

/// The priority of the address owner, which no weight changes (RFC 9568 §5.2.4).
pub const OWNER: u8 = 255;

/// What is known about a tracked thing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Nothing yet.
    Unknown,
    /// It is well.
    Good,
    /// It is not.
    Bad,
}

/// A tracked thing and its effect on a router.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tracked {
    /// Zero faults the router while the thing is bad; more adds while good, less takes away while bad.
    pub weight: i32,
    /// What would be added is taken away, and the reverse; with weight zero good and bad are swapped.
    pub reverse: bool,
    /// What is known.
    pub verdict: Verdict,
}

impl Tracked {
    /// What it adds to the priority now.
    pub const fn adds(self) -> i32 {
        let counts = match self.verdict {
            Verdict::Unknown => false,
            Verdict::Good => self.weight > 0,
            Verdict::Bad => self.weight < 0,
        };
        match (counts, self.reverse) {
            (false, _) => 0,
            (true, false) => self.weight,
            (true, true) => self.weight.saturating_neg(),
        }
    }
}

/// Whether a router may take part, and with which priority, from everything it tracks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Eligibility {
    /// The priority to advertise and to compare with.
    pub priority: u8,
    /// It may not take part.
    pub fault: bool,
    /// It may not start before more is known.
    pub waiting: bool,
}

/// Whether a thing is well, as a verdict.
pub const fn verdict(good: bool) -> Verdict {
    if good { Verdict::Good } else { Verdict::Bad }
}

/// Whether a tracked thing puts the routers that track it into fault.
pub fn is_fault(tracked: Tracked) -> bool {
    tracked.weight == 0 && (tracked.verdict == Verdict::Bad) != tracked.reverse
}

/// A number times its weight is added to the priority; -254, or any number but 0 with weight 0, is a fault.
pub fn of_value(value: i64, weight: i32, reverse: bool) -> Tracked {
    let sign = if reverse { -1 } else { 1 };
    let product = value.saturating_mul(i64::from(weight)).saturating_mul(sign).clamp(-254, 253) as i32;
    let fault = if weight == 0 { (value != 0) != reverse } else { product == -254 };
    match product {
        _ if fault => Tracked { weight: 0, reverse: false, verdict: Verdict::Bad },
        0 => Tracked { weight: 0, reverse: false, verdict: Verdict::Good },
        product => Tracked { weight: product, reverse: false, verdict: verdict(product > 0) },
    }
}

/// The eligibility of a router of priority `base`.
pub fn eligibility(base: u8, tracked: impl IntoIterator<Item = Tracked>) -> Eligibility {
    let mut eligibility = Eligibility { priority: base, fault: false, waiting: false };
    let mut total = i32::from(base);
    for one in tracked {
        eligibility.waiting |= one.weight == 0 && one.verdict == Verdict::Unknown;
        eligibility.fault |= one.verdict != Verdict::Unknown && is_fault(one);
        total = total.saturating_add(one.adds());
    }
    if base != OWNER {
        eligibility.priority = total.clamp(1, i32::from(OWNER) - 1) as u8;
    }
    eligibility
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tracked(weight: i32, verdict: Verdict) -> Tracked {
        Tracked { weight, reverse: false, verdict }
    }

    #[test]
    fn weights_add_while_good_and_take_away_while_bad() {
        assert_eq!(eligibility(125, [tracked(-30, Verdict::Bad)]).priority, 95);
        assert_eq!(eligibility(125, [tracked(-30, Verdict::Good)]).priority, 125);
        assert_eq!(eligibility(100, [tracked(20, Verdict::Good), tracked(7, Verdict::Bad)]).priority, 120);
        let reverse = |weight, verdict| eligibility(100, [Tracked { reverse: true, ..tracked(weight, verdict) }]);
        assert_eq!([Verdict::Good, Verdict::Bad].map(|verdict| reverse(20, verdict).priority), [80, 100]);
        assert_eq!([Verdict::Good, Verdict::Bad].map(|verdict| reverse(-20, verdict).priority), [100, 120]);
        assert_eq!([Verdict::Good, Verdict::Bad].map(|verdict| reverse(0, verdict).fault), [true, false]);
    }

    #[test]
    fn priorities_stay_between_one_and_two_hundred_fifty_four() {
        assert_eq!(eligibility(100, [tracked(253, Verdict::Good)]).priority, 254);
        assert_eq!(eligibility(100, [tracked(-253, Verdict::Bad)]).priority, 1);
        assert_eq!(eligibility(255, [tracked(-253, Verdict::Bad)]).priority, 255);
    }

    #[test]
    fn weight_zero_faults_or_holds() {
        assert!(eligibility(100, [tracked(0, Verdict::Bad)]).fault);
        assert!(eligibility(100, [tracked(0, Verdict::Unknown)]).waiting);
        assert!(!eligibility(100, [tracked(5, Verdict::Unknown)]).waiting);
    }

    #[test]
    fn a_files_number_is_a_weight_or_a_fault() {
        let of = |value, weight, reverse| eligibility(100, [of_value(value, weight, reverse)]);
        for (value, weight, reverse, priority) in
            [(0, 1, false, 100), (7, 1, false, 107), (7, -2, false, 86), (7, 2, true, 86), (900, 1, false, 254)]
        {
            let eligibility = of(value, weight, reverse);
            assert_eq!((eligibility.priority, eligibility.fault), (priority, false), "{value} {weight} {reverse}");
        }
        for (value, weight, reverse, fault) in
            [(-254, 1, false, true), (0, 0, false, false), (1, 0, false, true), (0, 0, true, true), (1, 0, true, false)]
        {
            assert_eq!(of(value, weight, reverse).fault, fault, "{value} {weight} {reverse}");
        }
    }
}
