//! Near misses: the word that was probably meant, for complaints about one that is not known.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use super::diagnostic::Diagnostic;
use super::tree::Statement;

/// More words than this are not listed.
const LISTED: usize = 24;

impl Diagnostic {
    /// The same complaint about `given`, which is none of `words`: which there are, and which may have been meant. A
    /// word that takes a value ends in its `=`; `what` is what the words are called.
    pub fn among(self, what: &str, given: &str, words: &[&str]) -> Self {
        let head = given.split_inclusive(['=', ':']).next().unwrap_or_default();
        if words.is_empty() || words.contains(&head) {
            return self;
        }
        let complaint = match words.len() {
            1..=LISTED => self.note(format!("known {what}: {}", words.join(", "))),
            _ => self,
        };
        match near(head, words.iter().copied()) {
            Some(meant) => complaint.help(format!("did you mean \"{meant}\"?")),
            None => complaint,
        }
    }

    /// The same complaint of a setter about one of a statement's arguments, with the row's known words beside it.
    pub fn meant(self, statement: &Statement, words: &[&str]) -> Self {
        const ABOUT: [&str; 4] = ["nvalid", "nknown", "unsupported", "expect"];
        if words.is_empty()
            || self.help.is_some()
            || !self.notes.is_empty()
            || !ABOUT.iter().any(|about| self.message.contains(about))
        {
            return self;
        }
        let arguments = statement.arguments();
        let named =
            |text: &str| ['"', '\''].iter().any(|quote| self.message.contains(&format!("{quote}{text}{quote}")));
        let shown = |text: &str| named(text) || self.message.ends_with(&format!(" {text}"));
        let pointed = || arguments.iter().find(|word| Some(word.span) == self.point);
        let only = || arguments.first().filter(|_| arguments.len() == 1);
        // A word may be a list itself, of which one part is wrong: `syslog:server=a,facilty=b`.
        let part = arguments.iter().find_map(|word| {
            let text = word.text();
            let mut parts = text.split([',', ':']).chain(text.split([',', ':', '=']));
            parts.find(|part| !part.is_empty() && named(part)).map(|part| (word, part.to_owned()))
        });
        let whole = || {
            let word = arguments.iter().find(|word| shown(&word.text())).or_else(pointed).or_else(only)?;
            Some((word, word.text().into_owned()))
        };
        let Some((word, given)) = part.or_else(whole) else { return self };
        let what = if words.iter().any(|word| word.ends_with('=')) { "parameters" } else { "values" };
        let point = self.point.unwrap_or(word.span);
        let complaint = self.among(what, &given, words);
        if complaint.notes.is_empty() && complaint.help.is_none() { complaint } else { complaint.point(point) }
    }
}

/// The word that is nearest to `name`, if one is near.
pub fn near<'a>(name: &str, words: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    if name.len() > 100 {
        return None;
    }
    let most = |word: &str| 1 + word.len() / 5;
    words
        .filter(|word| name.len().abs_diff(word.len()) <= most(word))
        .map(|word| (distance(name.as_bytes(), word.as_bytes()), word))
        .min_by_key(|(far, _)| *far)
        .filter(|(far, word)| *far <= most(word) && *far < word.len())
        .map(|(_, word)| word)
}

/// How many letters must be put in, left out, changed, or swapped with the next one.
fn distance(a: &[u8], b: &[u8]) -> usize {
    let (mut before, mut row): (Vec<usize>, Vec<usize>) = (Vec::new(), (0..=b.len()).collect());
    for (i, x) in a.iter().enumerate() {
        let mut next = vec![i + 1];
        for (j, y) in b.iter().enumerate() {
            let at = |row: &[usize], column: usize| row.get(column).copied().unwrap_or(usize::MAX - 1);
            let mut least = (at(&row, j) + usize::from(x != y)).min(at(&row, j + 1) + 1).min(at(&next, j) + 1);
            let swapped = i > 0 && j > 0 && a.get(i - 1) == Some(y) && b.get(j - 1) == Some(x);
            if swapped {
                least = least.min(at(&before, j - 1) + 1);
            }
            next.push(least);
        }
        before = std::mem::replace(&mut row, next);
    }
    row.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_is_near_where_a_letter_or_two_are_wrong() {
        let words = ["weight=", "max_fails=", "backup", "on"];
        for (given, meant) in [
            ("wieght=2", Some("weight=")),
            ("back_up", Some("backup")),
            ("no", Some("on")),
            ("maxfails=x", Some("max_fails=")),
        ] {
            let complaint = Diagnostic::emerg("").among("parameters", given, &words);
            assert_eq!(complaint.help.as_deref(), meant.map(|word| format!("did you mean \"{word}\"?")).as_deref());
        }
        for given in ["slow_start=3", "x", "weight=x"] {
            assert_eq!(Diagnostic::emerg("").among("parameters", given, &words).help, None, "{given}");
        }
    }
}
