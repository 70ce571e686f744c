//! The long form: the complaint, the lines it is about with the word underlined, what was there first, and what would help.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use crate::conf::diagnostic::{Diagnostic, Mark, Severity};
use crate::conf::source::{Source, Sources, Span};
use annotate_snippets::{Annotation, AnnotationKind, Group, Level, Renderer, Snippet};
use std::ops::Range;

/// Draws a complaint and an empty line behind it; in colour where `colour` says so.
pub fn picture(complaint: &Diagnostic, sources: &Sources, colour: bool) -> String {
    let word = complaint.severity.word();
    let level = if complaint.is_error() { Level::ERROR } else { Level::WARNING }.with_name(word);
    let mut group = Group::with_title(level.primary_title(complaint.message.as_str()));
    let far = complaint.place().filter(|span| is_long(sources, *span));
    match far {
        Some(span) => group = group.element(Level::NOTE.message(where_in_words(sources, span))),
        None => {
            for snippet in snippets(complaint, sources) {
                group = group.element(snippet);
            }
        }
    }
    group = group.elements(complaint.notes.iter().map(|note| Level::NOTE.message(note.as_str())));
    group = group.elements(complaint.help.iter().map(|help| Level::HELP.message(&**help)));
    let renderer = if colour { Renderer::styled() } else { Renderer::plain() };
    format!("{}\n\n", crate::conf::bytes::shown(&renderer.render(&[group])))
}

/// How many complaints of each severity there are, in a line of its own; nothing where there are none.
pub fn count(severities: &[Severity]) -> String {
    const ALL: [Severity; 6] =
        [Severity::Emerg, Severity::Crit, Severity::Alert, Severity::Error, Severity::Warn, Severity::Notice];
    let each = ALL.iter().map(|severity| (severity.word(), severities.iter().filter(|one| *one == severity).count()));
    let each: Vec<String> =
        each.filter(|(_, count)| *count > 0).map(|(word, count)| format!("{count} {word}")).collect();
    if each.is_empty() { String::new() } else { format!("{}\n", each.join(", ")) }
}

/// Places of one text that are farther apart are shown one after the other.
const APART: u32 = 1 << 16;

/// A longer line is told of and not shown.
const LONG: usize = 4096;

/// Whether the lines of a place are too long to be shown.
fn is_long(sources: &Sources, span: Span) -> bool {
    let Some(source) = sources.text(span.source) else { return false };
    let (start, end) = (span.start as usize, span.end as usize);
    let near = |from: usize, to: usize| source.text.get(from..to.min(source.text.len())).unwrap_or_default();
    let before = near(start.saturating_sub(LONG), start);
    let after = near(end, end.saturating_add(LONG));
    let no_end = |text: &[u8]| text.len() == LONG && memchr::memchr(b'\n', text).is_none();
    no_end(before) || no_end(after) || end.saturating_sub(start) > LONG * 4
}

fn where_in_words(sources: &Sources, span: Span) -> String {
    let name = sources.text(span.source).map_or("", |source| source.name.as_str());
    let (line, column) = sources.position(span.source, span.start);
    format!("in {name}:{line}:{column}, in a line that is too long to be shown")
}

/// What a span is: the place itself, or one beside it.
type Marked = (Span, Option<Mark>);

fn snippets<'a>(complaint: &Diagnostic, sources: &'a Sources) -> Vec<Snippet<'a, Annotation<'a>>> {
    let here = complaint.place().map(|span| (span, None));
    let first = complaint.beside.as_deref().map(|beside| (beside.span, Some(beside.mark)));
    let together = matches!((&here, &first), (Some((here, _)), Some((first, _)))
        if here.source == first.source && here.start.abs_diff(first.start) < APART);
    if together {
        return here.and_then(|(span, mark)| snippet(sources, [Some((span, mark)), first])).into_iter().collect();
    }
    [here, first].into_iter().filter_map(|mark| snippet(sources, [mark, None])).collect()
}

/// The lines from the first mark to the last, all of one text.
fn snippet(sources: &Sources, marks: [Option<Marked>; 2]) -> Option<Snippet<'_, Annotation<'_>>> {
    let spans = || marks.iter().flatten().map(|(span, _)| *span);
    let source = sources.text(spans().next()?.source)?;
    let from = line_start(source, spans().map(|span| span.start as usize).min()?);
    let to = line_end(source, spans().map(|span| span.end as usize).max()?);
    let text = shown(source.text.get(from..to)?);
    let (line, _) = sources.position(spans().next()?.source, from as u32);
    let marks = marks.into_iter().flatten().map(|(span, mark)| {
        let range = whole_characters(
            &text,
            (span.start as usize).saturating_sub(from)..(span.end as usize).saturating_sub(from),
        );
        match mark {
            None => AnnotationKind::Primary.span(range),
            Some(mark) => AnnotationKind::Context.span(range).label(mark.label()),
        }
    });
    let marks: Vec<_> = marks.collect();
    Some(Snippet::source(text).line_start(line as usize).path(source.name.as_str()).annotations(marks))
}

fn line_start(source: &Source, at: usize) -> usize {
    let before = source.text.get(..at).unwrap_or_default();
    memchr::memrchr(b'\n', before).map_or(0, |end| end + 1)
}

fn line_end(source: &Source, at: usize) -> usize {
    let after = source.text.get(at..).unwrap_or_default();
    at.min(source.text.len()) + memchr::memchr(b'\n', after).unwrap_or(after.len())
}

/// The bytes as text of the same length: one question mark for each byte that belongs to no character.
fn shown(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        text.push_str(chunk.valid());
        text.extend(chunk.invalid().iter().map(|_| '?'));
    }
    text
}

fn whole_characters(text: &str, range: Range<usize>) -> Range<usize> {
    let mut start = range.start.min(text.len());
    while !text.is_char_boundary(start) {
        start -= 1;
    }
    let mut end = range.end.clamp(start, text.len());
    while !text.is_char_boundary(end) {
        end += 1;
    }
    start..end
}
