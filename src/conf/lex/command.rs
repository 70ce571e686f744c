//! The words of a keepalived command: quoted with `"` or `'`, with the escapes of C, which count inside both.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use crate::conf::diagnostic::{Diagnostic, Severity};

/// One word.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CommandWord {
    /// Its bytes, quotes and escapes resolved.
    pub bytes: Vec<u8>,
    /// Whether a part of it was quoted.
    pub quoted: bool,
    /// Where it begins and ends in the text.
    pub place: (usize, usize),
}

/// Splits a text into words.
///
/// # Errors
/// What is missing at the end: a quote, or the character after a backslash.
pub fn words(text: &[u8]) -> Result<Vec<CommandWord>, char> {
    let mut reader = Reader { text, at: 0 };
    let mut words = Vec::new();
    loop {
        while reader.peek().is_some_and(u8::is_ascii_whitespace) {
            reader.at += 1;
        }
        if reader.peek().is_none() {
            return Ok(words);
        }
        words.push(reader.word()?);
    }
}

/// The complaint about a text that ends too early.
pub fn unterminated(text: &str, missing: char) -> Diagnostic {
    match missing {
        '\\' => Diagnostic::new(Severity::Notice, format!("Missing escape char at end: '{text}'")),
        quote => Diagnostic::new(Severity::Error, format!("String '{text}': missing terminating {quote}")),
    }
}

struct Reader<'a> {
    text: &'a [u8],
    at: usize,
}

impl Reader<'_> {
    fn peek(&self) -> Option<&u8> {
        self.text.get(self.at)
    }

    /// The next byte if `takes` holds for it.
    fn next_if(&mut self, takes: impl Fn(&u8) -> bool) -> Option<u8> {
        let byte = *self.peek().filter(|byte| takes(byte))?;
        self.at += 1;
        Some(byte)
    }

    fn word(&mut self) -> Result<CommandWord, char> {
        let start = self.at;
        let (mut bytes, mut open, mut quoted) = (Vec::new(), None, false);
        while let Some(byte) = self.next_if(|byte| open.is_some() || !byte.is_ascii_whitespace()) {
            match byte {
                b'\\' => bytes.push(self.escape().ok_or('\\')?),
                byte if Some(byte) == open => open = None,
                b'"' | b'\'' if open.is_none() => (open, quoted) = (Some(byte), true),
                byte => bytes.push(byte),
            }
        }
        // An argument ends at a zero byte, however it was written.
        let length = bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes.len());
        bytes.truncate(length);
        open.map_or(Ok(CommandWord { bytes, quoted, place: (start, self.at) }), |quote| Err(char::from(quote)))
    }

    /// What follows a backslash: `x` and hexadecimal digits, up to three octal ones, `c` and a character for that with
    /// Control, a letter for a control character; anything else is itself.
    fn escape(&mut self) -> Option<u8> {
        let byte = self.next_if(|_| true)?;
        let digit = |byte: u8| char::from(byte).to_digit(16).unwrap_or_default() as u8;
        Some(match byte {
            b'x' if self.peek().is_some_and(u8::is_ascii_hexdigit) => {
                let mut value = 0_u8;
                while let Some(byte) = self.next_if(u8::is_ascii_hexdigit) {
                    value = value << 4 | digit(byte);
                }
                value
            }
            b'0'..=b'7' => {
                let mut value = digit(byte);
                for _ in 0..2 {
                    match self.next_if(|byte| matches!(byte, b'0'..=b'7')) {
                        Some(byte) => value = (value << 3).wrapping_add(digit(byte)),
                        None => break,
                    }
                }
                value
            }
            b'c' => self.next_if(|_| true).map_or(b'c', |byte| byte & 0x1f),
            b'a' => 0x07,
            b'b' => 0x08,
            b'E' => 0x1b,
            b'f' => 0x0c,
            b'n' => b'\n',
            b'r' => b'\r',
            b't' => b'\t',
            b'v' => 0x0b,
            other => other,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::words;

    fn joined(text: &str) -> Option<String> {
        let words = words(text.as_bytes()).ok()?;
        Some(words.iter().map(|word| String::from_utf8_lossy(&word.bytes).into_owned()).collect::<Vec<_>>().join("|"))
    }

    #[test]
    fn both_quotes_keep_words_together() {
        assert_eq!(joined("/bin/echo 'a b' \"c\" d").as_deref(), Some("/bin/echo|a b|c|d"));
        assert_eq!(joined("/bin/sh -c \"x > y | z\"").as_deref(), Some("/bin/sh|-c|x > y | z"));
        assert_eq!(joined("a'b c'\"d e\" '' f").as_deref(), Some("ab cd e||f"));
        assert_eq!(joined("a \"it's\" '\"'").as_deref(), Some("a|it's|\""));
    }

    #[test]
    fn escapes_are_those_of_c_and_count_inside_quotes() {
        assert_eq!(joined("a\\ b \"c\\\"d\" 'e\\'f'").as_deref(), Some("a b|c\"d|e'f"));
        assert_eq!(joined("\\x41 \\101 \\t\\E\\q \\cA \\1012 \\xg").as_deref(), Some("A|A|\t\x1bq|\x01|A2|xg"));
        assert_eq!(joined("a\\0b c").as_deref(), Some("a|c"));
    }

    #[test]
    fn what_is_missing_at_the_end_is_named() {
        assert_eq!(words(b"a 'b"), Err('\''));
        assert_eq!(words(b"a \"b'"), Err('"'));
        assert_eq!(words(b"a \\"), Err('\\'));
    }
}
