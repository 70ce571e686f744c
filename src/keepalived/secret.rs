//! A configuration's text without its passwords: a digest is in the place of each, which tells whether two are equal and
//! not what they are. The key of the digests is the text's first line, a comment to keepalived.

use super::slot::{LONGEST_SECRET, SecretFile};
use md5::{Digest as _, Md5};
use std::fs::File;
use std::hash::{BuildHasher as _, RandomState};
use std::io::Read as _;
use std::os::unix::fs::MetadataExt as _;

/// Keywords whose words are secret.
const SECRETS: [&str; 3] = ["auth_pass", "password", KEY];
/// The one whose words are a number and a secret.
const KEY: &str = "key";
/// What the first line begins with.
const HEAD: &str = "! key ";

/// A line with a secret: what is before it, with its keyword and the number of a key, and the secret.
fn find(line: &str) -> Option<(&str, &str)> {
    let secret = |name: &&'static str| {
        let at = line.find(*name)?;
        let (before, rest) = (line.get(..at)?, line.get(at + name.len()..)?);
        let alone = before.chars().next_back().is_none_or(|c| c.is_whitespace() || matches!(c, '{' | '"'));
        // A word like any other, where it does not begin a statement.
        let begins = *name != KEY || before.trim_end().is_empty() || before.trim_end().ends_with(['{', '>']);
        let ends = rest.starts_with(|c: char| c.is_whitespace() || c == '"');
        (alone && begins && ends).then_some(at + name.len())
    };
    let end = SECRETS.iter().find_map(secret)?;
    let rest = line.get(end..)?;
    // A key has a number before its value.
    let number = rest.split_whitespace().next().filter(|word| word.bytes().all(|byte| byte.is_ascii_digit()));
    let blanks = rest.len() - rest.trim_start().len();
    let length = number
        .filter(|_| line.get(..end).is_some_and(|text| text.ends_with(KEY)))
        .map_or(0, |word| blanks + word.len());
    let end = if rest.get(length..).is_some_and(|value| !value.trim().is_empty()) { end + length } else { end };
    line.split_at_checked(end)
}

/// A line with stars in the place of its secret, as many as a secret needs to be a valid one.
pub fn covered(line: &str) -> String {
    let Some((before, _)) = find(line) else { return line.to_owned() };
    let number = before.trim_end().ends_with(|c: char| c.is_ascii_digit());
    format!("{before} {}", "*".repeat(if number { 32 } else { 8 }))
}

/// What is in the file of a key.
pub fn read(path: &str) -> Option<SecretFile> {
    let file = File::open(path).ok()?;
    let exposed = file.metadata().is_ok_and(|about| about.mode() & 0o077 != 0);
    let mut bytes = Vec::new();
    // A folder can be opened and not read.
    file.take(LONGEST_SECRET as u64 + 1).read_to_end(&mut bytes).ok()?;
    Some(SecretFile { bytes, exposed })
}

/// The key of the digests of one text.
pub struct Key(String);

impl Key {
    /// A key that nobody can guess.
    pub fn new() -> Self {
        let half = || RandomState::new().hash_one(0_u8);
        Self(format!("{:016x}{:016x}", half(), half()))
    }

    /// The key that a text was made with.
    pub fn of(text: &str) -> Option<Self> {
        text.lines().next()?.strip_prefix(HEAD).map(|key| Self(key.to_owned()))
    }

    /// The text with its key and without its passwords.
    pub fn masked(&self, text: &str) -> String {
        let lines = text.lines().map(|line| format!("{}\n", self.line(line)));
        std::iter::once(format!("{HEAD}{}\n", self.0)).chain(lines).collect()
    }

    fn line(&self, line: &str) -> String {
        let Some((before, rest)) = find(line) else { return line.to_owned() };
        let (mut quoted, mut closed) = (false, 0);
        for c in rest.chars() {
            quoted ^= c == '"';
            closed += usize::from(c == '}' && !quoted);
        }
        let digest = Md5::new().chain_update(&self.0).chain_update(rest.trim()).finalize();
        format!("{before} {digest:x}{}", " }".repeat(closed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords_are_compared_and_not_shown() {
        let text = "vrrp_instance V {\n authentication {\n  auth_type PASS\n  auth_pass one\n }\n}\n";
        let key = Key::new();
        let masked = key.masked(text);
        assert!(
            !masked.contains("one") && masked.contains("  auth_pass ") && masked.contains("auth_type PASS\n"),
            "{masked}"
        );
        assert_eq!(masked, Key::of(&masked).expect("a key").masked(text));
        assert_ne!(masked, key.masked(&text.replace("one", "two")));
        assert_ne!(masked, Key::new().masked(text));
    }

    #[test]
    fn the_number_of_a_key_stays_and_the_key_goes() {
        let key = Key::new();
        let line = |text: &str| key.masked(text).lines().nth(1).unwrap_or_default().to_owned();
        let masked = line("  key 1 hex:000102");
        let digest = masked.strip_prefix("  key 1 ").expect("the number");
        // As long as a key must be.
        assert!(digest.len() == 32 && masked != line("  key 1 hex:000103"), "{masked}");
        assert_eq!(line("notify \"/x key 1 a\""), "notify \"/x key 1 a\"");
        assert_eq!(line("active_key 2"), "active_key 2");
        assert_eq!(covered("auth_hmac > key 1 hex:00"), format!("auth_hmac > key 1 {}", "*".repeat(32)));
        assert_eq!(covered(" auth_pass 1234"), " auth_pass ********");
    }

    #[test]
    fn braces_behind_a_password_stay() {
        let key = Key::new();
        let line = |text: &str| key.masked(text).lines().nth(1).unwrap_or_default().to_owned();
        assert!(line("authentication { auth_pass a\"}\"b } }").ends_with(" } }"));
        assert_eq!(line("authentication { auth_pass \"}secret\" }").matches('}').count(), 1);
        assert_eq!(line("script \"/x --no_password y\""), "script \"/x --no_password y\"");
    }
}
