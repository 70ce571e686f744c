//! The lines of `track_interface`, `track_script` and `track_file`: a name, and what it weighs.

use crate::conf::diagnostic::Diagnostic;
use crate::conf::directive::Set;
use crate::conf::source::Span;
use crate::conf::tree::{Node, Statement, Word};
use crate::conf::walk::Setting;
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

/// A block of such lines.
pub struct Tracks<C>(pub fn(&mut C) -> &mut Vec<Track>);

impl<C: 'static> Set for Tracks<C> {
    fn target(&self) -> TypeId {
        TypeId::of::<C>()
    }

    fn set(&self, cx: &mut Setting<'_>, conf: &mut dyn Any, statement: &Statement) -> Result<(), Diagnostic> {
        let Some(conf) = conf.downcast_mut() else { return Ok(()) };
        let list = (self.0)(conf);
        for line in lines(cx, statement) {
            match track(&line) {
                Ok(track) if list.iter().any(|other| other.name == track.name) => {
                    cx.report(complain(format!("duplicate track {} - ignoring", track.name)).at(line.span));
                }
                Ok(track) => list.push(track),
                Err(complaint) => cx.report(complaint.at(line.span)),
            }
        }
        Ok(())
    }
}

/// The lines of a block that reads its rows itself; broken places are reported.
pub fn lines(cx: &mut Setting<'_>, statement: &Statement) -> Vec<Statement> {
    let mut lines = Vec::new();
    for node in statement.block.iter().flat_map(|block| &block.nodes) {
        match node {
            Node::Statement(line) if line.block.is_some() => {
                cx.report(complain(format!("Unexpected block '{}' - ignoring", line.name())).at(line.span));
            }
            Node::Statement(line) => lines.push(line.clone()),
            Node::Broken(complaint) => cx.report(complaint.clone()),
        }
    }
    lines
}

/// All words of a block, for lists of names.
pub fn words(cx: &mut Setting<'_>, statement: &Statement) -> Vec<Word> {
    lines(cx, statement).into_iter().flat_map(|line| line.words).collect()
}

fn track(line: &Statement) -> Result<Track, Diagnostic> {
    let mut track = Track { name: line.name().into_owned(), weight: None, reverse: None, span: line.span };
    let mut words = line.arguments().iter();
    while let Some(word) = words.next() {
        match &*word.bytes {
            b"weight" => {
                let text = words.next().map(|word| word.text().into_owned()).unwrap_or_default();
                track.weight = Some(whole(&text, &(-254..=254))? as i32);
            }
            b"reverse" => track.reverse = Some(true),
            b"noreverse" => track.reverse = Some(false),
            _ => return Err(complain(format!("unknown track option '{}' for {} - ignoring", word.text(), track.name))),
        }
    }
    Ok(track)
}
