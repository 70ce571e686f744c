//! PCRE2 expressions and what they captured.

use pcre2::bytes::{CaptureLocations, Regex, RegexBuilder};

/// A compiled expression.
pub struct Expression {
    regex: Regex,
    names: Vec<(usize, String)>,
}

impl Expression {
    /// Compiles `pattern`.
    ///
    /// # Errors
    /// nginx's words, with PCRE2's text and the rest of the pattern from where it went wrong.
    pub fn compile(pattern: &str, caseless: bool) -> Result<Self, String> {
        let regex = RegexBuilder::new().caseless(caseless).jit_if_available(true).build(pattern).map_err(|error| {
            let text = error.to_string();
            let text = text.rsplit_once(": ").map_or(text.as_str(), |(_, tail)| tail);
            match error.offset().and_then(|offset| pattern.get(offset..)).filter(|rest| !rest.is_empty()) {
                Some(rest) => format!("pcre2_compile() failed: {text} in \"{pattern}\" at \"{rest}\""),
                None => format!("pcre2_compile() failed: {text} in \"{pattern}\""),
            }
        })?;
        let names = regex
            .capture_names()
            .iter()
            .enumerate()
            .filter_map(|(number, name)| name.clone().map(|name| (number, name)))
            .collect();
        Ok(Self { regex, names })
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

    /// Whether it matches `text`; an error (a match limit) counts as no.
    pub fn matches(&self, text: &[u8]) -> bool {
        self.regex.is_match(text).unwrap_or(false)
    }

    /// Matches and keeps what the groups captured. A text that does not match costs no allocation.
    pub fn capture(&self, text: &[u8], into: &mut Captures) -> bool {
        if !self.matches(text) {
            return false;
        }
        let mut locations = self.regex.capture_locations();
        if !matches!(self.regex.captures_read(&mut locations, text), Ok(Some(_))) {
            return false;
        }
        into.take(text, &locations);
        true
    }
}

/// What the last matching expression captured.
#[derive(Clone, Debug, Default)]
pub struct Captures {
    text: Vec<u8>,
    groups: Vec<Option<(usize, usize)>>,
}

impl Captures {
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
