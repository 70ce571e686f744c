//! What every subcommand reads: files of the two programs as statements, includes in their place.

use super::dialect::Dialect;
use super::fragment::{Around, Place, base, may_be_elsewhere};
use super::report::{self, Failure, Finding};
use crate::conf::diagnostic::Diagnostic;
use crate::conf::directive::Contexts;
use crate::conf::disk::Disk;
use crate::conf::effect::Unserved;
use crate::conf::lex;
use crate::conf::registry::Registry;
use crate::conf::source::{Kind, Loader, Named, Sources, Span};
use crate::conf::tree::{Block, Node, Statement};
use crate::conf::walk::{errno, full};
use crate::nginx::view::{Said, View};
use std::io;

/// How files are found and taken; the same for all subcommands.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct Given {
    /// What the files configure, where their content does not tell.
    #[arg(long, global = true, value_enum)]
    pub kind: Option<Dialect>,
    /// The block nginx's files belong in, where they are parts of a configuration and their content does not tell.
    #[arg(long, global = true, value_enum)]
    pub context: Option<Place>,
    /// The folder in which the files of another machine lie: absolute paths start there.
    #[arg(long, global = true, value_name = "DIR")]
    pub root: Option<String>,
    /// What keepalived's @ conditions are compared with (its -i).
    #[arg(long, global = true, value_name = "NAME", default_value = "")]
    pub id: String,
}

impl Loader for Given {
    fn load(&self, path: &str) -> io::Result<Vec<u8>> {
        Disk.load(&self.below(path))
    }

    fn glob(&self, pattern: &str) -> io::Result<Vec<String>> {
        let names = Disk.glob(&self.below(pattern))?;
        let root = self.root.as_deref().map_or("", |root| root.trim_end_matches('/'));
        let back = |name: String| match name.strip_prefix(root) {
            Some(rest) if pattern.starts_with('/') => rest.to_owned(),
            _ => name,
        };
        Ok(names.into_iter().map(back).collect())
    }

    fn named(&self, path: &str) -> Named {
        Disk.named(&self.below(path))
    }
}

/// A configuration file as statements, and everything that is known of it without running it.
pub struct Text {
    /// The program it is for.
    pub dialect: Dialect,
    /// The file's name as it was given.
    pub name: String,
    /// The statements of all files; those of an included file follow the `include`, which stays. Of a part of a
    /// configuration with the blocks it belongs in around it.
    pub tree: Block,
    /// Of a part of a configuration, the block it belongs in, and whether its content had to tell.
    pub part: Option<(Place, bool)>,
    /// The texts.
    pub sources: Sources,
    /// What is known and not served, as the product itself judges it, with `file:line`.
    pub unserved: Vec<(String, Unserved)>,
    /// What the product complains of, with `file:line` where it has one.
    pub complaints: Vec<Complaint>,
}

/// What a product says of a file.
pub struct Complaint {
    /// `file:line`, where it has one.
    pub place: String,
    /// In the product's words.
    pub text: String,
    /// What follows.
    pub gravity: Gravity,
}

/// What follows from a complaint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Gravity {
    /// Nothing.
    Warned,
    /// The product does not run the file where a file or user it names is missing, as on this machine; or keepalived's
    /// own test fails, though keepalived starts.
    Here,
    /// The product does not run the file.
    Refused,
}

impl Gravity {
    fn of(complaint: &Diagnostic) -> Self {
        match complaint.is_error() {
            true if complaint.machine => Self::Here,
            true => Self::Refused,
            false => Self::Warned,
        }
    }
}

impl Given {
    fn below(&self, path: &str) -> String {
        match &self.root {
            Some(root) if path.starts_with('/') => format!("{}{path}", root.trim_end_matches('/')),
            _ => path.to_owned(),
        }
    }

    /// The program a file is for.
    ///
    /// # Errors
    /// The file cannot be read, or nothing tells what it is.
    pub fn dialect(&self, path: &str) -> Result<Dialect, Failure> {
        let text = self.load(path).map_err(|error| Failure::file(path, &error))?;
        let unknown = || Failure(format!("{path}: nothing in it tells what it configures; say --kind"));
        self.kind.or_else(|| Dialect::of(&text)).ok_or_else(unknown)
    }

    /// A file of nginx or keepalived, with what it includes.
    ///
    /// # Errors
    /// The file cannot be read, or is neither's.
    pub fn read(&self, path: &str) -> Result<Text, Failure> {
        match self.dialect(path)? {
            Dialect::Nginx => self.nginx(path),
            Dialect::Keepalived => self.keepalived(path),
            Dialect::Emqx => Err(Failure(format!("{path}: this needs files of nginx or keepalived, and it is emqx's"))),
        }
    }

    fn nginx(&self, path: &str) -> Result<Text, Failure> {
        if let Some(place) = self.place_of(path)? {
            return Ok(self.part(path, place));
        }
        let bytes = self.load(path).map_err(|error| Failure::file(path, &error))?;
        let (tree, sources) = spliced(self, path, bytes);
        let mut view = crate::nginx::view::view(self, path);
        if view.fatal.as_ref().is_some_and(|fatal| fatal.complaint.machine) {
            // What this machine lacks is no end on another one: what else is wrong?
            view = crate::nginx::view::every(self, path);
        }
        Ok(text(path, (tree, sources), view, None))
    }

    /// Where a file of nginx belongs, if it is a part of a configuration.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn place_of(&self, path: &str) -> Result<Option<Place>, Failure> {
        let bytes = self.load(path).map_err(|error| Failure::file(path, &error))?;
        Ok(Some(self.context.unwrap_or_else(|| Place::of(&bytes))).filter(|place| *place != Place::Main))
    }

    /// The whole a part of a configuration is read in, and the name the part has there.
    pub fn around(&self, path: &str, place: Place) -> (Around<'_>, String) {
        let whole = std::path::absolute(path).map_or_else(|_| path.to_owned(), |path| path.display().to_string());
        let name = format!("{}(around {path})", base(path, self));
        (Around { files: self, name, text: place.around(&whole) }, whole)
    }

    /// A part of a configuration, in the blocks it belongs in.
    fn part(&self, path: &str, place: Place) -> Text {
        let (around, whole) = self.around(path, place);
        let (tree, mut sources) = spliced(&around, &around.name, around.text.clone().into_bytes());
        let mut view = crate::nginx::view::every(&around, &around.name);
        sources.rename(&whole, path);
        view.sources.rename(&whole, path);
        view.complaints.extend(view.fatal.take());
        for Said { place, complaint } in &mut view.complaints {
            complaint.message = complaint.message.replace(&whole, path);
            *place = place.replace(&whole, path);
        }
        view.complaints.retain(|one| !may_be_elsewhere(&one.complaint.message));
        text(path, (tree, sources), view, Some((place, self.context.is_none())))
    }

    fn keepalived(&self, path: &str) -> Result<Text, Failure> {
        let view = crate::keepalived::view::view(self, path, &self.id).map_err(|error| Failure::file(path, &error))?;
        let unserved = with_places(&view.unserved, &view.sources);
        let refused = view.refused;
        let complaint = |(text, fails): (String, bool)| {
            let gravity = match fails {
                true if refused.as_ref() == Some(&text) => Gravity::Refused,
                true => Gravity::Here,
                false => Gravity::Warned,
            };
            Complaint { place: String::new(), text, gravity }
        };
        let complaints = view.complaints.into_iter().map(complaint).collect();
        let (tree, sources, name) = (view.tree, view.sources, path.to_owned());
        Ok(Text { dialect: Dialect::Keepalived, name, tree, part: None, sources, unserved, complaints })
    }
}

/// A file's statements, with those of the files it includes.
fn spliced(loader: &dyn Loader, path: &str, bytes: Vec<u8>) -> (Block, Sources) {
    let mut sources = Sources::default();
    let id = sources.add(path, Kind::File, bytes);
    let base = path.rsplit_once('/').map_or_else(String::new, |(folder, _)| format!("{folder}/"));
    let text = sources.text(id).map(|source| source.text.clone()).unwrap_or_else(|| [].into());
    let mut splice = Splice { loader, sources: &mut sources, base, left: MOST_FILES };
    let tree = splice.block(lex::nginx::file(&text, id), 0);
    (tree, sources)
}

fn text(path: &str, (tree, sources): (Block, Sources), view: View, part: Option<(Place, bool)>) -> Text {
    let complaint = |one: &Said| Complaint {
        place: one.place.clone(),
        text: one.complaint.message.clone(),
        gravity: Gravity::of(&one.complaint),
    };
    let complaints = view.complaints.iter().chain(&view.fatal).map(complaint).collect();
    let unserved = with_places(&view.unserved, &view.sources);
    Text { dialect: Dialect::Nginx, name: path.to_owned(), tree, part, sources, unserved, complaints }
}

fn with_places(unserved: &[Unserved], sources: &Sources) -> Vec<(String, Unserved)> {
    unserved.iter().map(|one| (place_of(&one.complaint, sources), one.clone())).collect()
}

impl Text {
    /// What the product refuses to run the file for, on whatever machine.
    pub fn refusals(&self) -> impl Iterator<Item = &Complaint> {
        self.complaints.iter().filter(|complaint| complaint.gravity == Gravity::Refused)
    }

    /// `file:line` of a place.
    pub fn place(&self, span: Span) -> String {
        place(span, &self.sources)
    }

    /// The product's rows, and the context the file begins in.
    pub fn registry(&self) -> (Registry, Contexts) {
        match self.dialect {
            Dialect::Keepalived => crate::keepalived::view::registry(),
            Dialect::Nginx | Dialect::Emqx => crate::nginx::view::registry(),
        }
    }

    /// The files it consists of, in the order they were opened.
    pub fn files(&self) -> Vec<String> {
        let made = usize::from(self.part.is_some());
        self.sources.iter().skip(made).map(|source| source.name.clone()).collect()
    }

    /// Whether a statement is in one of the files, and not put around them.
    pub fn is_own(&self, statement: &Statement) -> bool {
        self.part.is_none() || statement.span.source.0 != 0
    }

    /// Of a part of a configuration, in which block it was read.
    pub fn remark(&self) -> Option<Finding> {
        let (place, guessed) = self.part?;
        let (name, place) = (&self.name, place.shown());
        let finding = Finding::new(
            report::Severity::Note,
            "part",
            format!("{name} is read as part of a configuration, inside {place}"),
        );
        Some(if guessed { finding.help("say --context where it belongs elsewhere") } else { finding })
    }
}

/// `file:line` of a statement: the line it begins in, for a reader to open.
fn place(span: Span, sources: &Sources) -> String {
    let line = sources.position(span.source, span.start).0;
    sources.text(span.source).map_or_else(String::new, |source| format!("{}:{line}", source.name))
}

fn place_of(complaint: &Diagnostic, sources: &Sources) -> String {
    match complaint.at {
        crate::conf::diagnostic::At::Span(span) => place(span, sources),
        _ => String::new(),
    }
}

/// Files inside files: past this depth, or number, a cycle is certain.
const DEPTH: usize = 40;
const MOST_FILES: usize = 10_000;

/// Puts the statements of included files where they are included.
struct Splice<'a> {
    loader: &'a dyn Loader,
    sources: &'a mut Sources,
    base: String,
    /// Files that may still be opened.
    left: usize,
}

impl Splice<'_> {
    fn block(&mut self, block: Block, depth: usize) -> Block {
        let mut nodes = Vec::with_capacity(block.nodes.len());
        for node in block.nodes {
            match node {
                Node::Statement(mut statement) => {
                    statement.block = statement.block.map(|inner| self.block(inner, depth));
                    let inside = self.included(&statement, depth);
                    nodes.push(Node::Statement(statement));
                    nodes.extend(inside);
                }
                Node::Broken(_) => nodes.push(node),
            }
        }
        Block { nodes, ..block }
    }

    fn included(&mut self, statement: &Statement, depth: usize) -> Vec<Node> {
        let [name, pattern] = statement.words.as_slice() else { return Vec::new() };
        if !name.is("include") || statement.block.is_some() {
            return Vec::new();
        }
        let path = full(&self.base, &pattern.text());
        let names =
            if path.contains(['*', '?', '[']) { self.loader.glob(&path).unwrap_or_default() } else { vec![path] };
        names.iter().flat_map(|name| self.file(name, statement, depth)).collect()
    }

    fn file(&mut self, name: &str, from: &Statement, depth: usize) -> Vec<Node> {
        let broken = |text: String| vec![Node::Broken(Diagnostic::emerg(text).at(from.span))];
        if depth >= DEPTH || self.left == 0 {
            return broken(format!("\"{name}\" includes itself"));
        }
        self.left -= 1;
        match self.loader.load(name) {
            Ok(bytes) => {
                let id = self.sources.add(name, Kind::File, bytes);
                let text = self.sources.text(id).map(|source| source.text.clone()).unwrap_or_else(|| [].into());
                self.block(lex::nginx::file(&text, id), depth + 1).nodes
            }
            Err(error) => broken(format!("open() \"{name}\" failed ({})", errno(&error))),
        }
    }
}
