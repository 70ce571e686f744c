//! An nginx configuration as nested levels, and what holds in each of them.

use crate::conf::tree::{Block, Statement};
use crate::conf::value;
use crate::migrate::input::Text;
use std::time::Duration;

/// A configuration, flattened: a level knows the one around it.
pub struct Levels {
    all: Vec<Level>,
}

/// A block: `http`, a server, a location.
pub struct Level {
    /// Its name.
    pub kind: String,
    /// What stands between its name and its brace.
    pub words: Vec<String>,
    /// `file:line`.
    pub place: String,
    /// The level around it.
    pub parent: Option<usize>,
    /// Its statements that have no block.
    pub lines: Vec<Line>,
}

/// A statement.
#[derive(Clone)]
pub struct Line {
    /// Its name.
    pub name: String,
    /// Its arguments.
    pub words: Vec<String>,
    /// `file:line`.
    pub place: String,
}

impl Line {
    /// The first argument.
    pub fn first(&self) -> &str {
        self.words.first().map_or("", String::as_str)
    }
}

impl Levels {
    /// The levels of a file.
    pub fn of(text: &Text) -> Self {
        let mut all = Vec::new();
        level(text, ("main".to_owned(), Vec::new(), text.name.clone()), &text.tree, None, &mut all);
        Self { all }
    }

    /// A level.
    pub fn level(&self, index: usize) -> Option<&Level> {
        self.all.get(index)
    }

    /// All levels of a kind, with their indices.
    pub fn kind<'a>(&'a self, kind: &'a str) -> impl Iterator<Item = (usize, &'a Level)> {
        self.all.iter().enumerate().filter(move |(_, level)| level.kind == kind)
    }

    /// Every level.
    pub fn all(&self) -> impl Iterator<Item = (usize, &Level)> {
        self.all.iter().enumerate()
    }

    /// The levels right inside another.
    pub fn inside(&self, index: usize) -> impl Iterator<Item = (usize, &Level)> {
        self.all.iter().enumerate().filter(move |(_, level)| level.parent == Some(index))
    }

    /// The level itself and those around it, from inside out.
    pub fn around(&self, index: usize) -> impl Iterator<Item = (usize, &Level)> {
        std::iter::successors(Some(index), |at| self.all.get(*at)?.parent)
            .filter_map(|at| Some((at, self.all.get(at)?)))
    }

    /// Whether a level is in the stream module's part.
    pub fn in_stream(&self, index: usize) -> bool {
        self.around(index).any(|(_, level)| level.kind == "stream")
    }

    /// The server a level is in.
    pub fn server(&self, index: usize) -> Option<(usize, &Level)> {
        self.around(index).find(|(_, level)| level.kind == "server")
    }

    /// What a level itself says for a directive.
    pub fn own<'a>(&'a self, index: usize, name: &'a str) -> impl Iterator<Item = &'a Line> {
        self.all.get(index).into_iter().flat_map(|level| &level.lines).filter(move |line| line.name == name)
    }

    /// What holds for a directive in a level: its own lines, or those of the nearest level around that has some.
    pub fn effective<'a>(&'a self, index: usize, name: &'a str) -> Vec<&'a Line> {
        self.around(index)
            .map(|(at, _)| self.own(at, name).collect::<Vec<_>>())
            .find(|lines| !lines.is_empty())
            .unwrap_or_default()
    }

    /// The single word that holds for a directive.
    pub fn word<'a>(&'a self, index: usize, name: &'a str) -> Option<&'a str> {
        self.effective(index, name).first().map(|line| line.first())
    }

    /// The time that holds for a directive.
    pub fn time(&self, index: usize, name: &str, default: Duration) -> Duration {
        self.word(index, name).and_then(|word| value::time(word.as_bytes(), false)).unwrap_or(default)
    }
}

fn level(
    text: &Text,
    (kind, words, place): (String, Vec<String>, String),
    block: &Block,
    parent: Option<usize>,
    all: &mut Vec<Level>,
) {
    let index = all.len();
    let plain = block.statements().filter(|statement| statement.block.is_none() && statement.name() != "include");
    let lines = plain.map(|statement| Line {
        name: statement.name().into_owned(),
        words: words_of(statement),
        place: text.place(statement.span),
    });
    all.push(Level { kind, words, place, parent, lines: lines.collect() });
    for statement in block.statements() {
        if let Some(inner) = &statement.block {
            let head = (statement.name().into_owned(), words_of(statement), text.place(statement.span));
            level(text, head, inner, Some(index), all);
        }
    }
}

fn words_of(statement: &Statement) -> Vec<String> {
    statement.arguments().iter().map(|word| word.text().into_owned()).collect()
}
