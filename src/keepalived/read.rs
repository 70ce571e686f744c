//! From a configuration file to a checked site, with everything there is to complain about.

use super::blocks::MODULES;
use super::blocks::fixed::TrackGroup;
use super::blocks::interface::Pace;
use super::blocks::lvs::Lvs;
use super::blocks::probe::MARK;
use super::blocks::real::Real;
use super::blocks::server::{Server, Tls};
use super::blocks::{
    bfd::Bfd, file::File, global::Global, group::Group, instance::Instance, process::Process, root::Root,
    script::Script,
};
use super::contexts::{
    BFD, FILE, GARP_GROUP, GLOBAL, GROUP, INSTANCE, PLACES, PROCESS, ROOT, SCRIPT, SSL, TRACK_GROUP,
};
use super::names;
use super::site::{self, Blocks, Site};
use super::slot::{Command, Machine};
use crate::conf::diagnostic::{self, At, Diagnostic, Severity};
use crate::conf::directive::Contexts;
use crate::conf::effect::Unserved;
use crate::conf::expand::{self, Environment, Input, Line};
use crate::conf::lex;
use crate::conf::registry::Registry;
use crate::conf::source::{Loader, SourceId, Sources, Span};
use crate::conf::tree::{Block, Node, Statement};
use crate::conf::walk::{Bases, Dialect, Level, Walk, Wording};
use std::any::Any;
use std::collections::BTreeMap;
use std::io;

/// What a configuration file came to.
pub struct Reading {
    /// What it says, as far as it could be understood.
    pub site: Site,
    /// Everything that is wrong, as the lines to print, in keepalived's order.
    pub complaints: Vec<Complaint>,
    /// The same, before they became lines; then what is not served, as warnings.
    pub diagnostics: Vec<Diagnostic>,
    /// Every text that was read.
    pub sources: Sources,
    /// What is known and not served, as lines, once a keyword.
    pub unserved: Vec<String>,
    /// The text, with everything put in; what a recording begins with.
    pub text: String,
    /// The scripts of virtual servers.
    pub checks: Vec<Command>,
    /// The statements.
    pub tree: Block,
    /// What is known and not served, with its places, every time.
    pub places: Vec<Unserved>,
}

/// One line about a configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Complaint {
    /// How bad it is.
    pub gravity: Gravity,
    /// What it is about.
    pub kind: diagnostic::Kind,
    /// The line.
    pub text: String,
    /// Which of keepalived's processes says it.
    pub pass: Pass,
    /// The processes that say it once more.
    pub also: &'static [Pass],
    /// The number of its line, in the order lines are read; `None` for the end.
    pub place: Option<usize>,
}

/// How bad a complaint is, by what the exit code will say.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Gravity {
    /// Worth a line at a run, and nothing else.
    Notice,
    /// Told in a test, which does not fail because of it.
    Warning,
    /// Wrong: a configuration test fails because of it.
    Error,
    /// The configuration cannot be run.
    Fatal,
    /// A required include file is missing.
    NoFile,
    /// A keyword lacks its argument.
    Missing,
}

impl Reading {
    /// The site alone; everything else goes.
    pub fn into_site(self) -> Site {
        self.site
    }

    /// The worst that was found.
    pub fn worst(&self) -> Option<Gravity> {
        self.complaints.iter().map(|complaint| complaint.gravity).max()
    }

    /// The worst that a configuration test fails for: what is missing ends each process, but otherwise the process that
    /// reads the file last, that of virtual routers, forgets what the others found.
    pub fn worst_of_test(&self) -> Option<Gravity> {
        let counts = |one: &&Complaint| {
            one.pass >= Pass::Router || one.also.contains(&Pass::Router) || one.gravity >= Gravity::NoFile
        };
        self.complaints.iter().filter(counts).map(|complaint| complaint.gravity).max()
    }

    /// The complaints of all processes, one after the other: what is wrong with the shape of the file is said by each.
    pub fn told(&self) -> Vec<(Pass, &Complaint)> {
        let mut told: Vec<(Pass, &Complaint)> = self.complaints.iter().map(|one| (one.pass, one)).collect();
        for pass in [Pass::Checkers, Pass::Router] {
            // From behind, as each comes before the others of its line.
            for one in self.complaints.iter().filter(|complaint| complaint.also.contains(&pass)).rev() {
                let later =
                    |other: &Complaint| one.place.is_some_and(|own| other.place.is_none_or(|place| place >= own));
                let at = told.iter().position(|(of, other)| *of > pass || *of == pass && later(other));
                told.insert(at.unwrap_or(told.len()), (pass, one));
            }
        }
        if self.complaints.iter().any(|complaint| complaint.gravity == Gravity::NoFile) {
            // The parent ends before the others start.
            told.retain(|(pass, _)| *pass == Pass::Parent);
        }
        let end = told.iter().position(|(_, complaint)| complaint.gravity == Gravity::Missing);
        told.truncate(end.map_or(told.len(), |end| end + 1));
        told
    }
}

/// keepalived's words.
struct Words;

impl Wording for Words {
    fn unknown(&self, name: &str) -> String {
        format!("Unknown keyword '{name}'")
    }

    fn not_allowed(&self, name: &str) -> String {
        format!("Unknown keyword '{name}'")
    }

    fn unterminated(&self, _: &str) -> String {
        "Unexpected '{' - ignoring".to_owned()
    }

    fn no_block(&self, _: &str) -> String {
        "Missing '{' at beginning of configuration block".to_owned()
    }

    fn arity(&self, name: &str) -> String {
        format!(
            "*** Configuration line starting `{name}` is missing a parameter after keyword `{name}` at word position 2"
        )
    }

    fn places(&self) -> &'static [(Contexts, &'static str)] {
        PLACES
    }

    fn unserved(&self, what: &str) -> String {
        format!("keyword {what}")
    }
}

/// Every keyword.
pub fn registry() -> Registry {
    Registry::new(MODULES)
}

/// Reads `path`.
///
/// # Errors
/// The file could not be read.
pub fn read(loader: &dyn Loader, path: &str, environment: &Environment, machine: &Machine<'_>) -> io::Result<Reading> {
    read_all(loader, &[path.into()], environment, machine)
}

/// Reads files as one configuration.
///
/// # Errors
/// A file could not be read.
pub fn read_all(
    loader: &dyn Loader,
    inputs: &[Input],
    environment: &Environment,
    machine: &Machine<'_>,
) -> io::Result<Reading> {
    let mut sources = Sources::default();
    let expanded = expand::read((loader, &mut sources), inputs, environment)?;
    let registry = registry();
    let dialect = Dialect { lex: |_, _| Block::default(), stop: false, every: false, wording: &Words };
    let mut walk = Walk::new(&registry, dialect, (loader, &mut sources), Bases::default(), ROOT);
    let opens = |name: &[u8]| {
        let mut rows = registry.named(name).peekable();
        rows.peek().is_none() || rows.any(|row| row.arity.opens().is_some())
    };
    let command = |name: &[u8]| registry.named(name).any(|row| row.set.is_command());
    let keywords = lex::keepalived::Keywords { opens: &opens, command: &command };
    let (mut tree, shape) = lex::keepalived::tree(&expanded.lines, &keywords);
    let mut passes: Vec<(Pass, &'static [Pass])> = Vec::new();
    let mut numbered = tree.clone();
    names::resolve(&mut numbered, loader);
    let mut nodes = numbered.nodes.iter().enumerate();
    while let Some((at, node)) = nodes.next() {
        let end = numbered.nodes.get(at + 1).and_then(Node::place).or(numbered.end);
        let alone = Block { nodes: vec![node.clone()], end, ..Block::default() };
        // A dialect that goes on never ends the walk.
        let _ = walk.tree(alone);
        passes.resize(walk.found(), (Pass::of(node), repeated(node, &registry)));
        if let Some(whole) = unopened(node, numbered.nodes.get(at + 1..).unwrap_or_default()) {
            let length = whole.block.as_ref().map_or(0, |block| block.nodes.len());
            let _ = walk.tree(Block { nodes: vec![Node::Statement(whole)], ..Block::default() });
            passes.resize(walk.found(), (Pass::Parent, &[]));
            nodes.by_ref().take(length).for_each(drop);
        }
    }
    let walked = walk.finish(None);
    let (mut site, mut finishing) = site::complete(blocks(&walked.level), machine);
    let given: Vec<&Server> = walked.level.children.iter().filter_map(|level| level.own::<Server>()).collect();
    let checks = given.iter().flat_map(|server| scripts(server)).collect();
    site.lvs = each::<Lvs>(&walked.level, GLOBAL).pop().unwrap_or_default();
    // One of an instance was named first: a later one is ignored.
    let of_instances = each::<Instance>(&walked.level, INSTANCE).into_iter().find_map(|instance| instance.sync);
    site.lvs.sync = of_instances.or(site.lvs.sync);
    site.tls = each::<Tls>(&walked.level, SSL).pop();
    finishing.extend(site.follow_router());
    let defaults = site::server::Defaults { lvs: &site.lvs, smtp_alert: site.global.smtp_alert, files: &site.files };
    let (servers, about_servers) = site::server::complete(&given, &site.root.server_groups, defaults);
    (site.servers, site.has_servers) = (servers, !given.is_empty());
    let mut found: Vec<Found> = Vec::new();
    found.extend(walked.complaints.into_iter().zip(passes).map(|(complaint, (pass, also))| Found {
        pass: pass.but(&complaint),
        also,
        ..Found::new(Pass::Parent, complaint)
    }));
    found.extend(about_servers.into_iter().map(|complaint| Found::new(Pass::CheckersEnd, complaint)));
    found.sort_by_key(|one| one.pass);
    let order = Order::of(&expanded.lines);
    tree.nodes.extend(shape.iter().cloned().map(Node::Broken));
    for complaint in shape.into_iter().rev().chain(expanded.complaints.into_iter().rev()) {
        let also = if complaint.is_error() && complaint.kind != diagnostic::Kind::File { OTHERS } else { &[] };
        settle(&mut found, Found { also, ..Found::new(Pass::Parent, complaint) }, &order);
    }
    for complaint in finishing {
        let pass = match complaint.at {
            At::Nowhere | At::Unlined => Pass::RouterEnd,
            At::Span(_) if complaint.kind == diagnostic::Kind::User => Pass::Parent,
            At::Span(_) => Pass::Router,
        };
        settle(&mut found, Found { finishing: true, ..Found::new(pass, complaint) }, &order);
    }
    let mut complaints: Vec<Complaint> = found.iter().map(|one| line(&sources, one, &order)).collect();
    // keepalived ends where a word is missing.
    if let Some(last) = complaints.iter().position(|complaint| complaint.gravity == Gravity::Missing) {
        complaints.truncate(last + 1);
    }
    let places = walked.unserved;
    let refusing: Vec<&Diagnostic> = places.iter().filter(|one| one.refuses()).map(|one| &one.complaint).collect();
    let diagnostics = diagnostics(&found, &refusing);
    let text = expanded.lines.iter().map(|line| format!("{}\n", as_written(&line.bytes))).collect();
    let mut unserved: Vec<String> = Vec::new();
    for complaint in &refusing {
        let line = format!("not served: {}", shown(&sources, complaint, " "));
        if !unserved.contains(&line) {
            unserved.push(line);
        }
    }
    Ok(Reading { site, complaints, diagnostics, sources, unserved, text, checks, tree, places })
}

/// A complaint and who says it.
struct Found {
    pass: Pass,
    /// It is found when everything is read.
    finishing: bool,
    /// The processes that say it once more.
    also: &'static [Pass],
    complaint: Diagnostic,
}

impl Found {
    fn new(pass: Pass, complaint: Diagnostic) -> Self {
        Self { pass, finishing: false, also: &[], complaint }
    }
}

/// The order in which lines are read, those of an included file in its place.
struct Order(BTreeMap<(SourceId, u32), usize>);

impl Order {
    fn of(lines: &[Line]) -> Self {
        Self(lines.iter().enumerate().map(|(at, line)| ((line.span.source, line.span.start), at)).collect())
    }

    /// The number of the line a place is in; `None` behind all.
    fn place(&self, at: At) -> Option<usize> {
        let At::Span(Span { source, start, .. }) = at else { return None };
        let before = self.0.range((source, 0)..=(source, start)).next_back();
        before.or_else(|| self.0.range((source, start)..).next()).map(|(_, at)| *at)
    }
}

/// What is told with its place, in order: only what ends a run is more than an error.
fn diagnostics(found: &[Found], unserved: &[&Diagnostic]) -> Vec<Diagnostic> {
    let told = found.iter().filter(|one| one.complaint.severity != Severity::Notice);
    let told = told.map(|Found { finishing, complaint, .. }| {
        let severity = if complaint.is_error() && !finishing { Severity::Error } else { complaint.severity };
        Diagnostic { severity, message: without_secrets(complaint), ..complaint.clone() }
    });
    let unserved = unserved.iter().map(|complaint| {
        let message = format!("not served: {}", complaint.message);
        Diagnostic { severity: Severity::Warn, kind: diagnostic::Kind::Unserved, message, ..(*complaint).clone() }
    });
    told.chain(unserved).collect()
}

/// A line as a file would have it: what is no comment now must not become one.
fn as_written(line: &[u8]) -> String {
    let mut quoted = false;
    let mut text = String::new();
    for c in String::from_utf8_lossy(line).chars() {
        quoted ^= c == '"';
        let own = text.is_empty() && line.starts_with(MARK.as_bytes());
        if !quoted && !own && matches!(c, '!' | '#') {
            text.push('\\');
        }
        text.push(c);
    }
    text
}

/// `global_defs` without its brace, with what is its own all the same: everything up to the brace that closes nothing.
fn unopened(node: &Node, rest: &[Node]) -> Option<Statement> {
    let Node::Statement(statement) = node else { return None };
    if statement.block.is_some() || statement.name() != "global_defs" {
        return None;
    }
    let own = rest.iter().take_while(|node| matches!(node, Node::Statement(_)));
    let block = Block { nodes: own.cloned().collect(), ..Block::default() };
    Some(Statement { block: Some(block), ..statement.clone() })
}

/// The processes of keepalived, each of which reads its own part of the file, one after the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Pass {
    /// The parent: what concerns all, and the shape of the whole.
    Parent,
    /// Virtual servers.
    Checkers,
    /// Virtual servers as a whole.
    CheckersEnd,
    /// Virtual routers.
    Router,
    /// Virtual routers as a whole.
    RouterEnd,
    /// BFD sessions.
    Bfd,
}

impl Pass {
    /// Who reads a node of the outermost level.
    fn of(node: &Node) -> Self {
        let Node::Statement(statement) = node else { return Self::Parent };
        match &*statement.name() {
            "virtual_server" | "virtual_server_group" | "SSL" | "track_file" | "vrrp_track_file" => Self::Checkers,
            "bfd_instance" => Self::Bfd,
            "vrrp_instance"
            | "vrrp_script"
            | "vrrp_sync_group"
            | "static_ipaddress"
            | "static_routes"
            | "static_rules"
            | "track_group"
            | "garp_group"
            | "linkbeat_interfaces"
            | "linkbeat_use_polling"
            | "vrrp_track_process"
            | "interface_up_down_delays" => Self::Router,
            _ => Self::Parent,
        }
    }

    /// Who says a thing first: the checkers need to know of sessions.
    fn but(self, complaint: &Diagnostic) -> Self {
        match (self, complaint.kind) {
            (
                Self::Bfd,
                diagnostic::Kind::Keyword
                | diagnostic::Kind::Misplaced
                | diagnostic::Kind::Name
                | diagnostic::Kind::Brace,
            ) => Self::Checkers,
            _ => self,
        }
    }
}

/// The processes behind the parent, which read the same file.
const OTHERS: &[Pass] = &[Pass::Checkers, Pass::Router];

/// Which processes say again what is wrong with a node of the outermost level: each what belongs to none, and two what
/// both read.
fn repeated(node: &Node, registry: &Registry) -> &'static [Pass] {
    match node {
        Node::Broken(_) => OTHERS,
        Node::Statement(statement) => match &*statement.name() {
            "track_file" | "vrrp_track_file" => &[Pass::Router],
            name if registry.find(name.as_bytes(), ROOT).is_none() => OTHERS,
            _ => &[],
        },
    }
}

/// Puts a complaint where keepalived has it: beside the others of its process about its line, or behind them. What is
/// wrong with the shape of a line comes before what its words mean.
fn settle(found: &mut Vec<Found>, own: Found, order: &Order) {
    let next = match order.place(own.complaint.at) {
        // Behind all of its pass; the passes are in order.
        None => found.partition_point(|other| other.pass <= own.pass),
        Some(place) => {
            let after = |other: &Found| match order.place(other.complaint.at) {
                None => true,
                Some(other_place) if !own.also.is_empty() => other_place >= place,
                Some(other_place) => other_place > place,
            };
            let next = found.iter().position(|other| other.pass > own.pass || other.pass == own.pass && after(other));
            next.unwrap_or(found.len())
        }
    };
    found.insert(next, own);
}

fn scripts(server: &Server) -> Vec<Command> {
    let checks = |real: &Real| real.checks.iter().filter_map(|check| check.command.clone()).collect::<Vec<_>>();
    let own = |real: &Real| real.up.iter().chain(&real.down).cloned().collect::<Vec<_>>();
    let reals = server.reals.iter().flat_map(|real| own(real).into_iter().chain(checks(real)));
    server.up.iter().chain(&server.down).cloned().chain(reals).collect()
}

/// A complaint with its place before it.
fn shown(sources: &Sources, complaint: &Diagnostic, after: &str) -> String {
    let place = match complaint.at {
        At::Nowhere | At::Unlined => String::new(),
        At::Span(span) => {
            let name = sources.text(span.source).map(|source| source.name.clone()).unwrap_or_default();
            format!("({name}: Line {}){after}", sources.position(span.source, span.start).0)
        }
    };
    format!("{place}{}", without_secrets(complaint))
}

fn line(sources: &Sources, found: &Found, order: &Order) -> Complaint {
    let complaint = &found.complaint;
    let gravity = match complaint.severity {
        Severity::Notice => Gravity::Notice,
        Severity::Warn => Gravity::Warning,
        _ if complaint.kind == diagnostic::Kind::Argument => Gravity::Missing,
        Severity::Error if complaint.kind == diagnostic::Kind::File => Gravity::NoFile,
        Severity::Emerg if found.finishing => Gravity::Fatal,
        Severity::Emerg | Severity::Crit | Severity::Alert | Severity::Error => Gravity::Error,
    };
    let text = shown(sources, complaint, " ");
    Complaint {
        gravity,
        kind: complaint.kind,
        text,
        pass: found.pass,
        also: found.also,
        place: order.place(complaint.at),
    }
}

/// A complaint that quotes a whole line must not quote a password.
fn without_secrets(complaint: &Diagnostic) -> String {
    const KEYWORDS: [&str; 2] = ["auth_pass", "'key "];
    let message = &complaint.message;
    let secret = |keyword: &&str| Some(message.find(*keyword)? + keyword.trim_end().len());
    match KEYWORDS.iter().find_map(secret) {
        Some(end) if complaint.kind == diagnostic::Kind::Quote => {
            format!("{} …'", message.get(..end).unwrap_or_default())
        }
        _ => message.clone(),
    }
}

fn blocks(level: &Level) -> Blocks {
    Blocks {
        root: Root {
            track_groups: each::<TrackGroup>(level, TRACK_GROUP),
            ..level.own::<Root>().cloned().unwrap_or_default()
        },
        global: each::<Global>(level, GLOBAL).pop().unwrap_or_default(),
        scripts: each::<Script>(level, SCRIPT),
        files: each::<File>(level, FILE),
        processes: each::<Process>(level, PROCESS),
        instances: each::<Instance>(level, INSTANCE),
        groups: each::<Group>(level, GROUP),
        paces: each::<Pace>(level, GARP_GROUP),
        sessions: each::<Bfd>(level, BFD),
    }
}

fn each<C: Any + Clone>(level: &Level, context: Contexts) -> Vec<C> {
    let of = level.children.iter().filter(|child| child.context == context);
    of.filter_map(|child| child.own::<C>().cloned()).collect()
}

#[cfg(test)]
mod tests;
