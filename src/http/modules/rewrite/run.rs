//! A program at work: one step after the other, until a rule ends it.

use super::compile::Matcher;
use super::replace::Replace;
use crate::conf::bytes;
use crate::conf::source::Span;
use crate::http::codec::uri;
use crate::http::heart::handler::{Explain, Flow, Handler};
use crate::http::heart::module::Text;
use crate::http::heart::request::Request;
use crate::http::heart::response::Content;
use crate::http::heart::trace::Trace;
use crate::http::modules::static_;
use crate::log::Level;
use crate::script::template::Part;
use crate::script::variable::{Assign, SlotId};
use std::os::unix::fs::PermissionsExt as _;
use std::sync::Arc;

/// The rules of a place.
pub struct Program {
    /// In order.
    pub steps: Box<[Step]>,
    /// `rewrite_log`.
    pub log: bool,
}

/// One rule, and where it is written.
pub struct Step {
    /// What it does.
    pub act: Act,
    /// Its position in the configuration.
    pub span: Span,
}

/// What a step does.
pub enum Act {
    /// `return` with a status, and a text or address.
    Return(u16, Option<Text>),
    /// `return` with a text without variables.
    Literal(u16, Arc<[u8]>),
    /// `set` of a name of the configuration.
    Store(Box<str>, SlotId, Text),
    /// `set` of a built-in.
    Assign(Box<str>, Assign<Request>, Text),
    /// `rewrite`.
    Rewrite(Replace),
    /// `break`.
    Break,
    /// `if`.
    If {
        /// What is tested.
        check: Check,
        /// Whether it must not be so.
        not: bool,
        /// As written.
        text: Box<str>,
        /// The number of its settings among those of the location.
        place: Option<usize>,
        /// The step behind its rules.
        after: usize,
    },
}

/// What an `if` tests.
pub enum Check {
    /// Whether a value is neither empty nor `0`.
    Holds(Text),
    /// Whether two are equal.
    Equals(Text, Text),
    /// Whether one matches.
    Matches(Text, Matcher),
    /// What a path is.
    File(u8, Text),
}

/// Traces what the rules do.
pub trait Tracer {
    /// One thing that was done.
    fn tell(&mut self, text: impl FnOnce() -> String);
    /// The rule that is at work.
    fn at(&mut self, _span: Span) {}
    /// The settings of the rule took the place of those before.
    fn enters(&mut self) {}
}

/// No trace.
struct Silence;

impl Tracer for Silence {
    fn tell(&mut self, _: impl FnOnce() -> String) {}
}

/// Writes what the rules do into a trace.
struct Traced<'a> {
    trace: &'a mut Trace,
    span: Option<Span>,
}

impl Tracer for Traced<'_> {
    fn tell(&mut self, text: impl FnOnce() -> String) {
        self.trace.rule(self.span, text());
    }

    fn at(&mut self, span: Span) {
        self.span = Some(span);
    }

    fn enters(&mut self) {
        self.trace.entered.extend(self.span);
    }
}

/// The state of a run.
pub struct Run {
    /// Whether captures are escaped as in arguments; so until a `rewrite` has matched.
    pub quote: bool,
    /// `rewrite_log`.
    pub log: bool,
    /// Room for texts.
    pub made: Vec<u8>,
}

impl Handler for Program {
    fn run<'r>(&'r self, request: &'r mut Request) -> Flow<'r> {
        self.runs(request, &mut Silence)
    }

    fn explains(&self) -> Option<&dyn Explain> {
        Some(self)
    }
}

impl Explain for Program {
    fn explain(&self, request: &mut Request, trace: &mut Trace) -> Option<Flow<'static>> {
        Some(self.runs(request, &mut Traced { trace, span: None }))
    }
}

impl Program {
    fn runs(&self, request: &mut Request, tracer: &mut impl Tracer) -> Flow<'static> {
        let mut run = Run { quote: true, log: self.log, made: request.event_loop().text() };
        let flow = self.all(request, &mut run, tracer);
        request.event_loop().give_text(run.made);
        flow
    }

    fn all(&self, request: &mut Request, run: &mut Run, tracer: &mut impl Tracer) -> Flow<'static> {
        let mut home: Option<Arc<crate::http::heart::site::Location>> = None;
        let mut at = 0;
        while let Some(step) = self.steps.get(at) {
            tracer.at(step.span);
            at += 1;
            match &step.act {
                Act::If { check, not, text, place, after } => {
                    let holds = match check.holds(request, run) {
                        Ok(holds) => holds != *not,
                        Err(status) => return Flow::Finish(status),
                    };
                    tracer.tell(|| format!("if ({text}) {}", verdict(holds, place.is_some())));
                    if !holds {
                        at = *after;
                    } else if let Some(number) = place {
                        let home = home.get_or_insert_with(|| request.location.clone());
                        if let Some(place) = home.ifs.get(*number).cloned() {
                            request.enter(place);
                            tracer.enters();
                        }
                    }
                }
                Act::Rewrite(replace) => {
                    if let Some(end) = replace.apply(request, run, tracer) {
                        return end;
                    }
                }
                Act::Store(name, id, value) => {
                    run.make(value, request);
                    request.slots.put(*id, &run.made);
                    tracer.tell(|| format!("${name} becomes \"{}\"", String::from_utf8_lossy(&run.made)));
                }
                Act::Assign(name, assign, value) => {
                    run.make(value, request);
                    assign(request, &run.made);
                    tracer.tell(|| format!("${name} becomes \"{}\"", String::from_utf8_lossy(&run.made)));
                }
                Act::Break => {
                    tracer.tell(|| "break: no further rule of this place".to_owned());
                    request.valid_location &= !request.uri_changed;
                    request.uri_changed = false;
                    return Flow::Next;
                }
                Act::Literal(status, text) => {
                    tracer.tell(|| format!("return {status}"));
                    return literal(request, *status, text);
                }
                Act::Return(status, text) => {
                    tracer.tell(|| format!("return {status}"));
                    return answer(request, *status, text.as_ref());
                }
            }
        }
        Flow::Next
    }
}

impl Run {
    /// Writes a text into the room for it.
    fn make(&mut self, text: &Text, request: &Request) {
        self.made.clear();
        write(text, request, self.quote, &mut self.made);
    }
}

/// Appends a text; with `quote`, captures are escaped if the client's path was.
pub fn write(text: &Text, request: &Request, quote: bool, out: &mut Vec<u8>) {
    for part in text.parts() {
        match part {
            Part::Capture(number) if quote && request.escapes_captures() => {
                let captures = request.captures.borrow();
                uri::escape(captures.group(*number).unwrap_or_default(), uri::ARGS, out);
            }
            part => {
                part.write(request, out);
            }
        }
    }
}

impl Matcher {
    /// Whether the text (or the path) matches; then captures are its own, else there are none.
    ///
    /// # Errors
    /// 500 when PCRE2 gives it up.
    pub fn find(&self, request: &Request, text: Option<&[u8]>) -> Result<bool, u16> {
        let hit = {
            let mut captures = request.captures.borrow_mut();
            let hit = self.expression.capture(text.unwrap_or(&request.uri), &mut captures);
            if hit != Ok(true) {
                captures.clear();
            }
            hit
        };
        let hit = hit.map_err(|error| {
            request.log(Level::Alert, &error.to_string());
            500_u16
        })?;
        if hit && !self.groups.is_empty() {
            let captures = request.captures.borrow();
            for (number, id) in &self.groups {
                request.slots.put(*id, captures.group(*number).unwrap_or_default());
            }
        }
        Ok(hit)
    }
}

impl Check {
    /// Whether it holds.
    ///
    /// # Errors
    /// As [`Matcher::find`].
    fn holds(&self, request: &Request, run: &mut Run) -> Result<bool, u16> {
        Ok(match self {
            Self::Holds(value) => {
                run.make(value, request);
                !matches!(run.made.as_slice(), b"" | b"0")
            }
            Self::Equals(left, right) => {
                run.make(left, request);
                let middle = run.made.len();
                write(right, request, run.quote, &mut run.made);
                let (left, right) = run.made.split_at(middle);
                left == right
            }
            Self::Matches(value, matcher) => {
                run.make(value, request);
                let hit = matcher.find(request, Some(&run.made))?;
                if run.log {
                    let verb = if hit { "matches" } else { "does not match" };
                    let value = bytes::text(&run.made);
                    request.log(Level::Notice, &format!("\"{}\" {verb} \"{value}\"", matcher.text));
                }
                hit
            }
            Self::File(letter, path) => {
                run.make(path, request);
                is(*letter, &run.made, request)
            }
        })
    }
}

/// What is told of an `if`.
const fn verdict(holds: bool, has_settings: bool) -> &'static str {
    match (holds, has_settings) {
        (true, true) => "holds: its settings take the place of those before",
        (true, false) => "holds",
        (false, _) => "does not hold",
    }
}

/// Whether a path is a file, a folder, anything, or may be run by its owner.
fn is(letter: u8, path: &[u8], request: &Request) -> bool {
    if path.contains(&0) {
        return false;
    }
    match request.file_info(path) {
        Ok(about) => match letter {
            b'f' => about.is_file(),
            b'd' => about.is_dir(),
            b'x' => about.permissions().mode() & 0o100 != 0,
            _ => true,
        },
        Err(failed) => {
            let quiet = matches!(failed.error.raw_os_error(), Some(libc::ENOENT | libc::ENOTDIR | libc::ENAMETOOLONG));
            if !quiet {
                request.log_failed(Level::Crit, path, &failed);
            }
            false
        }
    }
}

/// Answers with a text of the configuration, without copying it before it is sent.
fn literal(request: &mut Request, status: u16, text: &Arc<[u8]>) -> Flow<'static> {
    if let Err(status) = request.skip_body() {
        return Flow::Finish(status);
    }
    static_::set_content_type(request);
    let response = &mut request.response;
    response.status = status;
    response.length = Some(text.len() as u64);
    response.content = Content::Shared(text.clone());
    Flow::Done
}

fn answer(request: &mut Request, status: u16, text: Option<&Text>) -> Flow<'static> {
    if text.is_none() && status >= 400 || status == 444 {
        return Flow::Finish(status);
    }
    if let Err(status) = request.skip_body() {
        return Flow::Finish(status);
    }
    match status {
        301 | 302 | 303 | 307 | 308 => {
            let target = text.map(|text| text.text(request)).unwrap_or_default();
            request.response.redirect(&target);
            Flow::Finish(status)
        }
        499 => Flow::Finish(499),
        _ => {
            request.response.status = status;
            let body = text.map(|text| text.text(request)).unwrap_or_default();
            static_::set_content_type(request);
            let response = &mut request.response;
            response.length = Some(body.len() as u64);
            response.content = Content::Bytes(body.into());
            Flow::Done
        }
    }
}
