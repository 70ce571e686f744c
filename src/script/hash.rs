//! Names with wildcards: exact, `*.tail` and `.tail`, `head.*`, then expressions in order, as `server_name` and `map`.

use super::regex::{Captures, Expression, MatchError};
use hashbrown::HashMap;

/// A table from host-like names to values.
pub struct Wildcards<T> {
    exact: HashMap<Box<[u8]>, T>,
    leading: HashMap<Box<[u8]>, T>,
    trailing: HashMap<Box<[u8]>, T>,
    expressions: Vec<(Expression, T)>,
}

impl<T> Default for Wildcards<T> {
    fn default() -> Self {
        Self { exact: HashMap::new(), leading: HashMap::new(), trailing: HashMap::new(), expressions: Vec::new() }
    }
}

/// Whether a table of host names takes the key: no empty label, and at most one asterisk, as a label of its own in front
/// or behind.
pub fn is_hostname(key: &[u8]) -> bool {
    let stars = key.iter().filter(|byte| **byte == b'*').count();
    if stars > 1 || key.windows(2).any(|pair| pair == b"..") || key.contains(&0) {
        return false;
    }
    let leading = key.len() > 1 && key.starts_with(b".") || key.len() > 2 && key.starts_with(b"*.");
    stars == 0 || leading || key.len() > 2 && key.ends_with(b".*")
}

impl<T: Clone> Wildcards<T> {
    /// Adds a name (lower case); false when it is there already.
    pub fn add(&mut self, name: &[u8], value: T) -> bool {
        let insert = |table: &mut HashMap<Box<[u8]>, T>, key: &[u8], value| {
            if table.contains_key(key) {
                return false;
            }
            table.insert(key.into(), value);
            true
        };
        if let Some(tail) = name.strip_prefix(b"*.") {
            return insert(&mut self.leading, tail, value);
        }
        if let Some(tail) = name.strip_prefix(b".") {
            let both = insert(&mut self.exact, tail, value.clone());
            return insert(&mut self.leading, tail, value) && both;
        }
        if let Some(head) = name.strip_suffix(b".*") {
            return insert(&mut self.trailing, head, value);
        }
        insert(&mut self.exact, name, value)
    }

    /// Adds an expression, tried after all names, in the order added.
    pub fn add_expression(&mut self, expression: Expression, value: T) {
        self.expressions.push((expression, value));
    }

    /// The value of `name` (lower case): exact, longest leading wildcard, longest trailing wildcard.
    pub fn find_name(&self, name: &[u8]) -> Option<&T> {
        if let Some(value) = self.exact.get(name) {
            return Some(value);
        }
        if !self.leading.is_empty() {
            for dot in memchr::memchr_iter(b'.', name) {
                if let Some(value) = name.get(dot + 1..).and_then(|tail| self.leading.get(tail)) {
                    return Some(value);
                }
            }
        }
        if !self.trailing.is_empty() {
            for dot in memchr::memrchr_iter(b'.', name) {
                if let Some(value) = name.get(..dot).and_then(|head| self.trailing.get(head)) {
                    return Some(value);
                }
            }
        }
        None
    }

    /// What of the table gives `name` its value, in words; nothing when it has none.
    pub fn how(&self, name: &[u8]) -> Option<&'static str> {
        if self.exact.contains_key(name) {
            return Some("exact name");
        }
        let leading = memchr::memchr_iter(b'.', name)
            .any(|dot| name.get(dot + 1..).is_some_and(|tail| self.leading.contains_key(tail)));
        let by_name = if leading { "wildcard in front" } else { "wildcard behind" };
        let hit = || self.expressions.iter().any(|(expression, _)| matches!(expression.matches(name), Ok(true)));
        self.find_name(name).map(|_| by_name).or_else(|| hit().then_some("regular expression"))
    }

    /// The value of `name`, by name or by the first expression that matches, which `matched` is shown.
    ///
    /// # Errors
    /// When PCRE2 gives up an expression.
    pub fn find<'a>(
        &'a self,
        name: &[u8],
        captures: &mut Captures,
        mut matched: impl FnMut(&'a Expression),
    ) -> Result<Option<&'a T>, MatchError> {
        if let Some(value) = self.find_name(name) {
            return Ok(Some(value));
        }
        for (expression, value) in &self.expressions {
            if expression.capture(name, captures)? {
                matched(expression);
                return Ok(Some(value));
            }
        }
        Ok(None)
    }

    /// The expressions, in order.
    pub fn expressions(&self) -> impl Iterator<Item = (&Expression, &T)> {
        self.expressions.iter().map(|(expression, value)| (expression, value))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exact_beats_leading_beats_trailing_beats_expressions() {
        let mut table = Wildcards::default();
        for (name, value) in [("a.b.c", 1), ("*.b.c", 2), ("a.b.*", 3), (".d.e", 4), ("*.c", 5)] {
            assert!(table.add(name.as_bytes(), value));
        }
        table.add_expression(Expression::compile("^x(\\d+)$", true).expect("a pattern"), 6);
        let mut captures = Captures::default();
        let mut find = |name: &str| table.find(name.as_bytes(), &mut captures, |_| ()).expect("no limit").copied();
        assert_eq!([find("a.b.c"), find("z.b.c"), find("y.z.b.c")], [Some(1), Some(2), Some(2)]);
        assert_eq!([find("q.c"), find("a.b.q"), find("d.e")], [Some(5), Some(3), Some(4)]);
        assert_eq!([find("w.d.e"), find("x77"), find("none")], [Some(4), Some(6), None]);
        assert_eq!(captures.group(1), Some(&b"77"[..]));
    }
}
