//! URI → location: the search nginx makes (exact, longest prefix, expressions in order).

use crate::conf::diagnostic::Diagnostic;
use crate::http::heart::site::Location;
use crate::script::regex::{Captures, Expression, MatchError};
use hashbrown::HashMap;
use std::sync::Arc;

/// What a location was opened with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Pattern {
    /// `= /path`
    Exact(Box<[u8]>),
    /// `/path`; the flag is `^~`.
    Prefix(Box<[u8]>, bool),
    /// `~ expression`; the flag is `~*`.
    Regex(String, bool),
    /// `@name`
    Named(Box<[u8]>),
}

impl Pattern {
    /// The name as nginx keeps it.
    pub fn name(&self) -> &[u8] {
        match self {
            Self::Exact(name) | Self::Prefix(name, _) | Self::Named(name) => name,
            Self::Regex(text, _) => text.as_bytes(),
        }
    }

    /// As written, with its modifier.
    pub fn text(&self) -> String {
        let modifier = match self {
            Self::Exact(_) => "= ",
            Self::Prefix(_, true) => "^~ ",
            Self::Regex(_, false) => "~ ",
            Self::Regex(_, true) => "~* ",
            Self::Prefix(_, false) | Self::Named(_) => "",
        };
        format!("{modifier}{}", String::from_utf8_lossy(self.name()))
    }
}

struct Prefix {
    name: Box<[u8]>,
    /// The longest other name that this one begins with.
    shorter: Option<usize>,
    location: Arc<Location>,
}

/// The locations of a server, or inside a location.
#[derive(Default)]
pub struct Locations {
    exact: HashMap<Box<[u8]>, Arc<Location>>,
    prefixes: Vec<Prefix>,
    expressions: Vec<(Expression, Arc<Location>)>,
    /// Names ending in a slash whose location redirects to it, by the name without it.
    redirects: HashMap<Box<[u8]>, Arc<Location>>,
    named: HashMap<Box<[u8]>, Arc<Location>>,
}

/// What a search found.
pub enum Found {
    /// A location.
    Location(Arc<Location>),
    /// The path lacks the slash its location ends in.
    AddSlash(Arc<Location>),
    /// Nothing.
    None,
}

/// What a search finds, and whether it is found for want of a slash.
type Hit = (Option<Arc<Location>>, bool);

impl Location {
    /// What is found among the locations inside it.
    fn within(&self, path: &[u8], captures: &mut Captures) -> Result<Hit, MatchError> {
        self.inner.as_ref().map_or(Ok((None, false)), |inner| inner.search(path, captures))
    }
}

impl Locations {
    /// The table of `all`, in the order written.
    ///
    /// # Errors
    /// What `refuse` makes of `duplicate location "x"`.
    pub fn new(
        all: Vec<Arc<Location>>,
        refuse: &mut dyn FnMut(Diagnostic) -> Result<(), Diagnostic>,
    ) -> Result<Self, Diagnostic> {
        let mut table = Self::default();
        let mut names = HashMap::new();
        for location in all {
            table.add(location, &mut names).or_else(&mut *refuse)?;
        }
        table.prefixes.sort_by(|a, b| a.name.cmp(&b.name));
        let mut open: Vec<usize> = Vec::new();
        for index in 0..table.prefixes.len() {
            let name = table.prefixes.get(index).map(|prefix| &*prefix.name).unwrap_or_default();
            while let Some(last) = open.last().and_then(|last| table.prefixes.get(*last))
                && !name.starts_with(&last.name)
            {
                open.pop();
            }
            if let Some(prefix) = table.prefixes.get_mut(index) {
                prefix.shorter = open.last().copied();
            }
            open.push(index);
        }
        Ok(table)
    }

    /// Adds a location; `names` tells the places of the prefixes.
    fn add(&mut self, location: Arc<Location>, names: &mut HashMap<Box<[u8]>, usize>) -> Result<(), Diagnostic> {
        let duplicate = |name: &[u8], location: &Location, first: &Location| {
            let complaint = Diagnostic::emerg(format!("duplicate location \"{}\"", crate::conf::bytes::text(name)))
                .earlier(first.span);
            location.span.map_or_else(|| complaint.clone(), |span| complaint.clone().at(span))
        };
        match &location.pattern {
            None => {}
            Some(Pattern::Exact(name)) => {
                if let Some(first) = self.exact.get(name) {
                    return Err(duplicate(name, &location, first));
                }
                self.redirect(name, &location);
                self.exact.insert(name.clone(), location.clone());
            }
            Some(Pattern::Prefix(name, _)) => {
                let first = names.insert(name.clone(), self.prefixes.len());
                if let Some(first) = first.and_then(|at| self.prefixes.get(at)) {
                    return Err(duplicate(name, &location, &first.location));
                }
                self.redirect(name, &location);
                self.prefixes.push(Prefix { name: name.clone(), shorter: None, location: location.clone() });
            }
            Some(Pattern::Regex(text, caseless)) => {
                let expression = Expression::compile(text, *caseless).map_err(Diagnostic::emerg)?;
                self.expressions.push((expression, location.clone()));
            }
            Some(Pattern::Named(name)) => {
                // The first of a name is found.
                self.named.entry(name.clone()).or_insert_with(|| location.clone());
            }
        }
        Ok(())
    }

    fn redirect(&mut self, name: &[u8], location: &Arc<Location>) {
        if let Some(bare) = name.strip_suffix(b"/")
            && location.adds_slash
        {
            self.redirects.insert(bare.into(), location.clone());
        }
    }

    /// The location `@name`.
    pub fn named(&self, name: &[u8]) -> Option<&Arc<Location>> {
        self.named.get(name)
    }

    /// The location of a decoded path.
    ///
    /// # Errors
    /// When PCRE2 gives up the expression of a location.
    pub fn find(&self, path: &[u8], captures: &mut Captures) -> Result<Found, MatchError> {
        Ok(match self.search(path, captures)? {
            (Some(found), true) => Found::AddSlash(found),
            (Some(found), false) => Found::Location(found),
            (None, _) => Found::None,
        })
    }

    /// What is found here or further in.
    fn search(&self, path: &[u8], captures: &mut Captures) -> Result<Hit, MatchError> {
        if let Some(location) = self.exact.get(path) {
            return Ok((Some(location.clone()), false));
        }
        if !self.redirects.is_empty()
            && let Some(location) = self.redirects.get(path)
        {
            return Ok((Some(location.clone()), true));
        }
        let mut best = self.longest(path).cloned();
        let mut final_ = false;
        if let Some(prefix) = &best {
            final_ = matches!(prefix.pattern, Some(Pattern::Prefix(_, true)));
            let (inner, slash) = prefix.within(path, captures)?;
            if let Some(inner) = inner {
                let exact = matches!(inner.pattern, Some(Pattern::Exact(_) | Pattern::Regex(..)));
                if slash || exact {
                    return Ok((Some(inner), slash));
                }
                final_ |= matches!(inner.pattern, Some(Pattern::Prefix(_, true)));
                best = Some(inner);
            }
        }
        if !final_ {
            for (expression, location) in &self.expressions {
                if expression.capture(path, captures)? {
                    let (inner, slash) = location.within(path, captures)?;
                    return Ok((Some(inner.unwrap_or_else(|| location.clone())), slash));
                }
            }
        }
        Ok((best, false))
    }

    /// The locations a search for `path` looks at, in its order, and what it thinks of each; for a reader. The choice
    /// itself is [`Self::find`]'s.
    pub fn considered(&self, path: &[u8]) -> Vec<(Arc<Location>, &'static str)> {
        if let Some(location) = self.exact.get(path) {
            return vec![(location.clone(), "is exactly the path: the search ends")];
        }
        if let Some(location) = self.redirects.get(path) {
            return vec![(location.clone(), "is the path with a slash behind it: redirects there")];
        }
        let mut seen = Vec::new();
        let mut fitting: Vec<&Prefix> = self.prefixes.iter().filter(|prefix| path.starts_with(&prefix.name)).collect();
        fitting.sort_by_key(|prefix| std::cmp::Reverse(prefix.name.len()));
        let mut ends = false;
        for (index, prefix) in fitting.into_iter().enumerate() {
            let stops = matches!(prefix.location.pattern, Some(Pattern::Prefix(_, true)));
            let thought = match (index, stops) {
                (0, true) => "is the longest prefix, and ^~ ends the search",
                (0, false) => "is the longest prefix: kept while expressions are tried",
                _ => "is a shorter prefix",
            };
            seen.push((prefix.location.clone(), thought));
            if index == 0 {
                ends = stops;
                seen.extend(prefix.location.inner.iter().flat_map(|inner| inner.considered(path)));
            }
        }
        for (expression, location) in self.expressions.iter().filter(|_| !ends) {
            let hit = expression.matches(path);
            let thought = match hit {
                Ok(true) => "matches: the search ends",
                Ok(false) => "does not match",
                Err(_) => "reaches a limit of PCRE2: the request ends with 500",
            };
            seen.push((location.clone(), thought));
            if hit == Ok(true) {
                seen.extend(location.inner.iter().flat_map(|inner| inner.considered(path)));
            }
            if hit != Ok(false) {
                break;
            }
        }
        seen
    }

    fn longest(&self, path: &[u8]) -> Option<&Arc<Location>> {
        let after = self.prefixes.partition_point(|prefix| *prefix.name <= *path);
        let mut at = after.checked_sub(1);
        while let Some(prefix) = at.and_then(|index| self.prefixes.get(index)) {
            if path.starts_with(&prefix.name) {
                return Some(&prefix.location);
            }
            at = prefix.shorter;
        }
        None
    }
}
