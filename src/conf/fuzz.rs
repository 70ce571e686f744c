//! Broken texts for the tests that look for panics: pieces of whole ones cut, joined and mixed with odd bytes.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

/// What is put in between.
const ODD: &[&[u8]] = &[
    b"{",
    b"}",
    b";",
    b"\"",
    b"'",
    b"\\",
    b"$",
    b"${",
    b"#",
    b"\0",
    b"\xff",
    b"\n",
    b"\r",
    b" ",
    b"(",
    b")",
    b"[",
    b"*",
    b"~(",
    b"!",
    b"@",
    b"99999999999999999999",
    b"-1",
    b"0",
    b"on",
    b"off",
    b"default",
    b"include",
    b"$a",
    b"${a",
    b"%",
    b"/",
    b"::",
    b".",
    b"..",
    b"\xe4\xb8",
    b"1.2.3.4/33",
    b"[::1]:x",
    b"unix:",
    b"{{{{{{{{",
    b"}}}}}}}}",
    b"~SEQ(a,1,9)",
    b"$_A=",
    b"@x",
];

/// Numbers that come again for the same beginning.
pub struct Dice(pub u64);

impl Dice {
    /// A number below `sides`.
    pub fn roll(&mut self, sides: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        if sides == 0 { 0 } else { (self.0 >> 33) as usize % sides }
    }
}

/// A text made of `seeds`.
pub fn text(seeds: &[Vec<u8>], dice: &mut Dice) -> Vec<u8> {
    let any = |dice: &mut Dice| seeds.get(dice.roll(seeds.len())).cloned().unwrap_or_default();
    let mut text = any(dice);
    for _ in 0..=dice.roll(6) {
        let at = dice.roll(text.len() + 1);
        let end = (at + dice.roll(40)).min(text.len());
        match dice.roll(5) {
            0 => drop(text.splice(at..end, [])),
            1 => drop(text.splice(at..at, ODD.get(dice.roll(ODD.len())).copied().unwrap_or_default().to_vec())),
            2 => {
                let piece = text.get(at..end).unwrap_or_default().to_vec();
                let to = dice.roll(text.len() + 1);
                drop(text.splice(to..to, piece));
            }
            3 => {
                let other = any(dice);
                let from = dice.roll(other.len());
                let piece = other.get(from..(from + dice.roll(200)).min(other.len())).unwrap_or_default().to_vec();
                drop(text.splice(at..at, piece));
            }
            _ => {
                if let Some(byte) = text.get_mut(at) {
                    *byte = dice.roll(256) as u8;
                }
            }
        }
    }
    text
}

/// Runs `read` over made texts until `seconds` have gone by, or `least` texts where that is later; tells how many there were.
/// The process may take 4 GiB, so that a text that eats memory ends the run. `RHA_FUZZ_SEED` makes other texts.
#[expect(clippy::disallowed_methods, reason = "a fuzzer runs for a time")]
pub fn run(seeds: &[Vec<u8>], seconds: u64, least: usize, read: impl Fn(&[u8])) -> usize {
    use nix::sys::resource::{Resource, setrlimit};
    assert!(!seeds.is_empty());
    if seconds > 0 {
        let _ = setrlimit(Resource::RLIMIT_AS, 4 << 30, 4 << 30);
    }
    let start = std::time::Instant::now();
    let seed = std::env::var("RHA_FUZZ_SEED").ok().and_then(|text| text.parse().ok()).unwrap_or(0x9e37_79b9);
    let mut dice = Dice(seed);
    let mut count = 0;
    while count < least || start.elapsed().as_secs() < seconds {
        let made = text(seeds, &mut dice);
        let before = worked();
        read(&made);
        let took = worked() - before;
        assert!(seconds == 0 || took < 10, "{took} s for {}", String::from_utf8_lossy(&made));
        count += 1;
    }
    count
}

/// The most memory this process ever held, in KiB.
pub fn most_memory() -> i64 {
    use nix::sys::resource::{UsageWho, getrusage};
    getrusage(UsageWho::RUSAGE_SELF).map_or(0, |usage| usage.max_rss())
}

/// Seconds this thread has worked; how long it waited for a busy machine does not count.
fn worked() -> i64 {
    use nix::sys::resource::{UsageWho, getrusage};
    getrusage(UsageWho::RUSAGE_THREAD).map_or(0, |usage| usage.user_time().tv_sec())
}
