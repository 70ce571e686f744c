//! The lines of `track_interface` and its kin: a name, and what it weighs.

use super::bfd::Bfd;
use super::process::Process;
use super::script::Script;
use crate::conf::diagnostic::{At, Diagnostic, Kind};
use crate::conf::directive::{Contexts, Set};
use crate::conf::source::Span;
use crate::conf::tree::{Block, Node, Statement, Word};
use crate::conf::walk::{Level, Setting};
use crate::keepalived::contexts::{BFD, FILE, PROCESS, SCRIPT};
use crate::keepalived::slot::{complain, whole};
use std::any::{Any, TypeId};

/// Something an instance or a group tracks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Track {
    /// Its name.
    pub name: String,
    /// What it weighs here; `None` as it weighs where it is defined.
    pub weight: Option<i32>,
    /// Good and bad change places; `None` as where it is defined.
    pub reverse: Option<bool>,
    /// Where it stands.
    pub span: Span,
}

/// The kinds of things that can be tracked, with keepalived's words for each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tracked {
    /// An interface.
    Interface,
    /// A `vrrp_script`.
    Script,
    /// A `track_file`.
    File,
    /// A `vrrp_track_process`.
    Process,
    /// A `bfd_instance`.
    Bfd,
}

/// A block of such lines.
pub struct Tracks<C>(pub Tracked, pub fn(&mut C) -> &mut Vec<Track>);

impl<C: 'static> Set for Tracks<C> {
    fn target(&self) -> TypeId {
        TypeId::of::<C>()
    }

    fn set(&self, cx: &mut Setting<'_>, conf: &mut dyn Any, statement: &Statement) -> Result<(), Diagnostic> {
        let Some(conf) = conf.downcast_mut() else { return Ok(()) };
        let list = (self.1)(conf);
        let block = cx.level().and_then(|level| level.words.get(1)).map(|word| word.text().into_owned());
        let block = block.unwrap_or_default();
        for line in lines(cx, statement) {
            let mut reader = Reader { what: self.0, block: &block, complaints: Vec::new() };
            let track = reader.track(cx, list, &line);
            let complaints = reader.complaints;
            complaints.into_iter().for_each(|complaint| cx.report(complaint.at(line.span)));
            list.extend(track);
        }
        Ok(())
    }
}

impl Tracked {
    /// The context its definitions open, if it has any.
    const fn definition(self) -> Option<Contexts> {
        match self {
            Self::Interface => None,
            Self::Script => Some(SCRIPT),
            Self::File => Some(FILE),
            Self::Process => Some(PROCESS),
            Self::Bfd => Some(BFD),
        }
    }

    const fn name(self) -> &'static str {
        match self {
            Self::Interface => "interface",
            Self::Script => "script",
            Self::File => "file",
            Self::Process => "process",
            Self::Bfd => "bfd",
        }
    }

    /// The largest weight.
    const fn most(self) -> i64 {
        match self {
            Self::Interface | Self::Script | Self::File | Self::Process => 254,
            Self::Bfd => 253,
        }
    }
}

/// Reads one line.
struct Reader<'a> {
    what: Tracked,
    /// The instance or group.
    block: &'a str,
    complaints: Vec<Diagnostic>,
}

impl Reader<'_> {
    fn say(&mut self, text: String) {
        self.complaints.push(complain(format!("({}) {text}", self.block)));
    }

    fn track(&mut self, cx: &Setting<'_>, list: &[Track], line: &Statement) -> Option<Track> {
        let name = line.name().into_owned();
        let kind = self.what.name();
        if self.what.definition().is_some_and(|context| !defined(cx, context, &name)) {
            self.say(format!("track {kind} {name} not found, ignoring..."));
            return None;
        }
        if let Some(first) = list.iter().find(|other| other.name == name) {
            self.say(format!("duplicate track_{kind} {name} - ignoring"));
            if let Some(complaint) = self.complaints.last_mut() {
                *complaint = complaint.clone().earlier(Some(first.span));
            }
            return None;
        }
        let mut track = Track { name, weight: None, reverse: None, span: line.span };
        let mut words = line.arguments().iter();
        match words.next() {
            None => {}
            Some(word) if word.is("weight") => self.weight(&mut track, words.next(), words.next())?,
            Some(word) => {
                self.option(&track.name, &word.text());
                return None;
            }
        }
        Some(track)
    }

    fn option(&mut self, name: &str, option: &str) {
        self.say(match self.what {
            Tracked::Interface => format!("unknown track_interface {name} option {option} - ignoring"),
            Tracked::Bfd => format!("unknown track bfd {name} option {option} - ignoring"),
            Tracked::Script | Tracked::File | Tracked::Process => {
                format!("unknown track {} option {option} - ignoring", self.what.name())
            }
        });
    }

    fn weight(&mut self, track: &mut Track, value: Option<&Word>, option: Option<&Word>) -> Option<()> {
        let (kind, name) = (self.what.name(), track.name.clone());
        let Some(value) = value else {
            let joint = if self.what == Tracked::Interface { "_" } else { " " };
            self.say(format!("weight without value specified for track{joint}{kind} {name} - ignoring"));
            return None;
        };
        let (text, most) = (value.text(), self.what.most());
        match whole(&text, &(-most..=most)) {
            Ok(weight) => {
                track.weight = Some(weight as i32);
                if matches!(self.what, Tracked::Interface | Tracked::Script) && weight.abs() == 254 {
                    self.say(format!("weight for {name} cannot be +/-254. Setting to +/-253"));
                    track.weight = Some(weight.clamp(-253, 253) as i32);
                }
            }
            Err(complaint) => {
                self.complaints.push(complaint);
                self.say(match self.what {
                    Tracked::Interface => {
                        format!("weight {text} for {name} must be between [-253..253] inclusive. Ignoring...")
                    }
                    Tracked::Script => {
                        format!("track script {name}: weight must be between [-253..253] inclusive, ignoring...")
                    }
                    Tracked::File | Tracked::Process | Tracked::Bfd => {
                        format!("weight for track {kind} {name} must be in [-{most}..{most}] inclusive. Ignoring...")
                    }
                });
            }
        }
        match option {
            None => {}
            Some(word) if word.is("reverse") => track.reverse = Some(true),
            Some(word) if word.is("noreverse") && self.what != Tracked::Interface => track.reverse = Some(false),
            Some(word) => {
                let joint = if matches!(self.what, Tracked::File | Tracked::Bfd) { " " } else { "_" };
                // keepalived's own spelling.
                let kind = if self.what == Tracked::Interface { "interace" } else { kind };
                self.say(format!("unknown track{joint}{kind} {name} weight option {} - ignoring", word.text()));
                if matches!(self.what, Tracked::File | Tracked::Bfd) {
                    return None;
                }
            }
        }
        Some(())
    }
}

/// Whether the file has defined something of this name so far.
pub fn defined(cx: &Setting<'_>, context: Contexts, name: &str) -> bool {
    definition(cx, context, name).is_some()
}

/// The block of a kind that has a name; a script without a command is none, nor is a process without a program, nor a
/// session that virtual routers do not hear of.
pub fn definition<'a>(cx: &'a Setting<'_>, context: Contexts, name: &str) -> Option<&'a Level> {
    let kept = |level: &Level| match level.context {
        SCRIPT => level.own::<Script>().is_some_and(|one| one.command.is_some()),
        BFD => level.own::<Bfd>().is_none_or(Bfd::is_for_routers),
        PROCESS => level.own::<Process>().is_some_and(|one| !one.path.is_empty()),
        _ => true,
    };
    let named = |level: &&Level| level.words.get(1).is_some_and(|word| word.is(name)) && kept(level);
    cx.outermost()?.children.iter().filter(|level| level.context == context).find(named)
}

/// The lines of a block that reads its rows itself; broken places are reported. A brace inside is a line like others.
pub fn lines(cx: &mut Setting<'_>, statement: &Statement) -> Vec<Statement> {
    let takes_none = cx.row.arity.takes(0);
    if let Some(word) = statement.arguments().first().filter(|_| takes_none) {
        let text = format!("Block {} has extra parameters {} ...", cx.row.name, word.text());
        cx.report(complain(text).at(statement.span));
    }
    let mut lines = Vec::new();
    if let Some(block) = &statement.block {
        flatten(cx, block, &mut lines);
    }
    lines
}

fn flatten(cx: &mut Setting<'_>, block: &Block, lines: &mut Vec<Statement>) {
    for node in &block.nodes {
        match node {
            Node::Statement(line) => {
                lines.push(Statement { block: None, ..line.clone() });
                if let Some(inside) = &line.block {
                    lines.extend(inside.start.map(brace));
                    flatten(cx, inside, lines);
                }
            }
            Node::Broken(complaint) => match complaint.at {
                At::Span(span) if complaint.kind == Kind::Brace => lines.push(brace(span)),
                _ => cx.report(complaint.clone()),
            },
        }
    }
}

fn brace(span: Span) -> Statement {
    let word = Word { bytes: b"{".as_slice().into(), span, quoted: false };
    Statement { words: vec![word], block: None, span }
}

/// All words of a block, for lists of names.
pub fn words(cx: &mut Setting<'_>, statement: &Statement) -> Vec<Word> {
    lines(cx, statement).into_iter().flat_map(|line| line.words).collect()
}
