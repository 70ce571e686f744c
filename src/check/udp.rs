//! `UDP_CHECK`: a server that does not refuse a packet is up, or one that answers it.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use super::report::Words;

/// What is said of its results.
pub const WORDS: Words = Words {
    good: "UDP connection to {rs} success.",
    bad: "UDP_CHECK on service {rs} failed.",
    bad_after: "UDP_CHECK on service {rs} failed after {n} retries.",
    good_mail: "=> UDP CHECK succeed on service <=",
    bad_mail: "=> UDP CHECK failed on service <=",
    retries_when_down: false,
};

/// What is said of an attempt that failed.
pub const FAILURE: &str = "UDP connection to {rs} failed.";

/// What is sent.
pub const PAYLOAD: &[u8; 32] = b"keepalived check - keepalived ch";

/// What came back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// A packet.
    Packet,
    /// An error, as ICMP tells them.
    Error,
    /// Nothing in time.
    Silence,
}

/// Whether the server is up.
pub const fn is_good(answer: Answer, require_reply: bool) -> bool {
    match answer {
        Answer::Packet => true,
        Answer::Error => false,
        Answer::Silence => !require_reply,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn silence_is_good_unless_an_answer_is_required() {
        let all = |require| [Answer::Packet, Answer::Error, Answer::Silence].map(|answer| is_good(answer, require));
        assert_eq!((all(false), all(true)), ([true, false, true], [true, false, false]));
    }
}
