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

/// What is said of an answer that is not the one that was required.
pub const MISMATCH: &str = "UDP check to {rs} reply data mismatch.";

/// What is sent, and what a good answer is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exchange {
    /// What is sent; [`PAYLOAD`] where nothing is given.
    pub payload: Option<Vec<u8>>,
    /// What is required of the answer; none is required where this is absent.
    pub reply: Option<Reply>,
}

/// What is required of an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    /// Its first bytes; its lengths do not count where there are none.
    pub data: Vec<Masked>,
    /// Its least length.
    pub least: usize,
    /// Its greatest length.
    pub most: usize,
}

/// A byte of which some bits do not count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Masked {
    /// The byte.
    pub byte: u8,
    /// The bits that count.
    pub bits: u8,
}

/// Bytes in hexadecimal, in groups of any length between blanks; `x` is four bits that do not count, where that is allowed.
/// `None` for other texts, and for no bytes.
pub fn hexadecimal(text: &str, masks: bool) -> Option<Vec<Masked>> {
    let digit = |c: char| match c {
        'x' | 'X' if masks => Some(Masked { byte: 0, bits: 0 }),
        _ => Some(Masked { byte: c.to_digit(16)? as u8, bits: 0x0f }),
    };
    let mut all = Vec::new();
    for group in text.split_ascii_whitespace() {
        let digits: Option<Vec<Masked>> = group.chars().map(digit).collect();
        all.extend(digits?.chunks(2).map(|pair| {
            // A digit that is alone is the lower one.
            pair.iter().fold(Masked { byte: 0, bits: if pair.len() == 1 { 0x0f } else { 0 } }, |whole, half| Masked {
                byte: whole.byte << 4 | half.byte,
                bits: whole.bits << 4 | half.bits,
            })
        }));
    }
    (!all.is_empty()).then_some(all)
}

impl Reply {
    /// Whether an answer is a good one.
    pub fn fits(&self, packet: &[u8]) -> bool {
        let same = |(wanted, byte): (&Masked, &u8)| (wanted.byte ^ byte) & wanted.bits == 0;
        self.data.is_empty()
            || (self.least..=self.most).contains(&packet.len()) && self.data.iter().zip(packet).all(same)
    }
}

/// What came back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// A packet.
    Packet,
    /// One that is not what was required.
    Mismatch,
    /// An error, as ICMP tells them.
    Error,
    /// Nothing in time.
    Silence,
}

/// Whether the server is up.
pub const fn is_good(answer: Answer, require_reply: bool) -> bool {
    match answer {
        Answer::Packet => true,
        Answer::Error | Answer::Mismatch => false,
        Answer::Silence => !require_reply,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_compared_with_the_bits_that_count() {
        let reply = |text: &str, least, most| Reply { data: hexadecimal(text, true).unwrap(), least, most };
        let wanted = reply("12 34x6", 0, 255);
        assert!(wanted.fits(b"\x12\x34\x56") && wanted.fits(b"\x12\x34\xf6\xff") && wanted.fits(b"\x12"));
        assert!(!wanted.fits(b"\x12\x34\x57") && !wanted.fits(b"\x13"));
        assert!(!reply("12", 2, 3).fits(b"\x12") && !reply("12", 2, 3).fits(b"\x12345"));
        assert!(Reply { data: Vec::new(), least: 9, most: 9 }.fits(b"any"));
        let bytes = |text| hexadecimal(text, false).map(|all| all.iter().map(|one| one.byte).collect::<Vec<_>>());
        assert_eq!(bytes("0a 1 ff0"), Some(vec![0x0a, 1, 0xff, 0]));
        assert_eq!((bytes("0x"), bytes(""), bytes("zz")), (None, None, None));
    }

    #[test]
    fn silence_is_good_unless_an_answer_is_required() {
        let all = |require| [Answer::Packet, Answer::Error, Answer::Silence].map(|answer| is_good(answer, require));
        assert_eq!((all(false), all(true)), ([true, false, true], [true, false, false]));
    }
}
