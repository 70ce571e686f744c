//! PCRE2 expressions and what they captured.

use pcre2::bytes::{CaptureLocations, Regex, RegexBuilder};
use std::sync::{Mutex, OnceLock};

/// PCRE2's error code where the stack of compiled code is too small.
const JIT_STACK_LIMIT: i32 = -46;

/// A compiled expression.
pub struct Expression {
    regex: Regex,
    caseless: bool,
    kept: Box<Kept>,
    names: Vec<(usize, String)>,
}

/// What an expression keeps between texts.
#[derive(Default)]
struct Kept {
    /// The expression for the interpreter, compiled when the stack of compiled code is too small for a text.
    interpreted: OnceLock<Option<Regex>>,
    /// Room for groups.
    locations: Mutex<Option<CaptureLocations>>,
}

/// An expression that cannot be compiled.
#[derive(Debug, PartialEq, Eq)]
pub struct Invalid {
    /// nginx's words, with PCRE2's text and the rest of the pattern from where it went wrong.
    pub message: String,
    /// How many bytes of the pattern that rest has.
    pub rest: usize,
}

impl From<Invalid> for String {
    fn from(invalid: Invalid) -> Self {
        invalid.message
    }
}

/// A match that PCRE2 gave up: a limit was reached. It is neither a match nor none.
#[derive(Debug, PartialEq, Eq)]
pub struct MatchError(String);

impl MatchError {
    fn new(code: i32, text: &[u8], pattern: &str) -> Self {
        let text = String::from_utf8_lossy(text);
        Self(format!("pcre2_match() failed: {code} on \"{text}\" using \"{pattern}\""))
    }
}

impl std::fmt::Display for MatchError {
    fn fmt(&self, to: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        to.write_str(&self.0)
    }
}

impl Expression {
    /// Compiles `pattern`.
    ///
    /// # Errors
    /// Why PCRE2 does not take the pattern.
    pub fn compile(pattern: &str, caseless: bool) -> Result<Self, Invalid> {
        let regex = RegexBuilder::new().caseless(caseless).jit_if_available(true).build(pattern).map_err(|error| {
            let text = error.to_string();
            let text = text.rsplit_once(": ").map_or(text.as_str(), |(_, tail)| tail);
            let rest = error.offset().and_then(|offset| pattern.get(offset..)).unwrap_or_default();
            let at = if rest.is_empty() { String::new() } else { format!(" at \"{rest}\"") };
            Invalid { message: format!("pcre2_compile() failed: {text} in \"{pattern}\"{at}"), rest: rest.len() }
        })?;
        let names = regex
            .capture_names()
            .iter()
            .enumerate()
            .filter_map(|(number, name)| name.clone().map(|name| (number, name)))
            .collect();
        Ok(Self { regex, caseless, kept: Box::default(), names })
    }

    /// The named groups and their numbers.
    pub fn names(&self) -> &[(usize, String)] {
        &self.names
    }

    /// How many groups the expression has.
    pub fn groups(&self) -> usize {
        self.regex.captures_len() - 1
    }

    /// Whether the expression has groups at all.
    pub fn captures_anything(&self) -> bool {
        self.regex.captures_len() > 1
    }

    /// Whether it matches `text`.
    ///
    /// # Errors
    /// When PCRE2 reaches a limit.
    pub fn matches(&self, text: &[u8]) -> Result<bool, MatchError> {
        self.run(text, |regex| regex.is_match(text))
    }

    /// Matches and keeps what the groups captured: nothing for an expression without groups. `into` stays as it is when
    /// the text does not match.
    ///
    /// # Errors
    /// When PCRE2 reaches a limit.
    pub fn capture(&self, text: &[u8], into: &mut Captures) -> Result<bool, MatchError> {
        if !self.captures_anything() {
            let hit = self.matches(text)?;
            if hit {
                into.clear();
            }
            return Ok(hit);
        }
        self.capture_all(text, into)
    }

    /// The same, the text as a whole included, which is group 0.
    ///
    /// # Errors
    /// When PCRE2 reaches a limit.
    pub fn capture_all(&self, text: &[u8], into: &mut Captures) -> Result<bool, MatchError> {
        let spare = self.kept.locations.try_lock().ok().and_then(|mut spare| spare.take());
        let mut locations = spare.unwrap_or_else(|| self.regex.capture_locations());
        let hit = self.run(text, |regex| Ok(regex.captures_read(&mut locations, text)?.is_some()))?;
        if hit {
            into.take(text, &locations);
        }
        if let Ok(mut spare) = self.kept.locations.try_lock() {
            *spare = Some(locations);
        }
        Ok(hit)
    }

    /// Runs the compiled code, and the interpreter where the stack of the code is too small.
    fn run(&self, text: &[u8], mut of: impl FnMut(&Regex) -> Result<bool, pcre2::Error>) -> Result<bool, MatchError> {
        let result = match of(&self.regex) {
            Err(error) if error.code() == JIT_STACK_LIMIT => match self.interpreted() {
                Some(regex) => of(regex),
                None => Err(error),
            },
            result => result,
        };
        result.map_err(|error| MatchError::new(error.code(), text, self.regex.as_str()))
    }

    fn interpreted(&self) -> Option<&Regex> {
        let compile = || RegexBuilder::new().caseless(self.caseless).build(self.regex.as_str()).ok();
        self.kept.interpreted.get_or_init(compile).as_ref()
    }
}

/// What the last matching expression captured.
#[derive(Clone, Debug, Default)]
pub struct Captures {
    text: Vec<u8>,
    groups: Vec<Option<(usize, usize)>>,
}

impl Captures {
    /// Whether nothing was captured.
    pub const fn is_empty(&self) -> bool {
        self.groups.is_empty()
    }

    fn take(&mut self, text: &[u8], locations: &CaptureLocations) {
        self.text.clear();
        self.text.extend_from_slice(text);
        self.groups.clear();
        self.groups.extend((0..locations.len()).map(|number| locations.get(number)));
    }

    /// Forgets everything.
    pub fn clear(&mut self) {
        self.text.clear();
        self.groups.clear();
    }

    /// Group `number`, if it took part.
    pub fn group(&self, number: usize) -> Option<&[u8]> {
        let (start, end) = self.groups.get(number).copied().flatten()?;
        self.text.get(start..end)
    }

    /// Appends group `number` and tells whether it took part.
    pub fn write(&self, number: usize, out: &mut Vec<u8>) -> bool {
        match self.group(number) {
            Some(text) => {
                out.extend_from_slice(text);
                true
            }
            None => false,
        }
    }
}

#[cfg(test)]
mod tests;
