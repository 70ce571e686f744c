//! keepalived's text level: comments, continued lines, `@id` conditions, `$VAR`, `~SEQ` and `~LST`, `include`.
//!
//! Everything here happens before words are words, so a variable may hold half a block, a condition or an `include`.
//! What comes out are lines that still know where they came from.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use super::brace;
use super::diagnostic::{self, Diagnostic, Severity, reason};
use super::source::{Kind, Loader, Named, SourceId, Sources, Span};
use include::{Checks, Include};
use std::collections::BTreeMap;

mod include;

/// Lines one line may become: sequences of sequences end here.
const MOST_LINES: usize = 65_536;

/// Bytes a line may grow to.
const MOST_BYTES: usize = 65_536;

/// Variables inside variables, files inside files.
const DEPTH: usize = 32;

/// Files that are read in all.
const MOST_FILES: usize = 4096;

/// A line of the configuration as its words will be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// Its text.
    pub bytes: Vec<u8>,
    /// Where it stands in its file.
    pub span: Span,
    /// The text of the file with its comment, for what is said of its quotes.
    written: Vec<u8>,
    /// Whether its text is the file's own, so that a part of it can be pointed at.
    exact: bool,
}

impl Line {
    /// Where the bytes from `start` to `end` stand.
    pub fn part(&self, start: usize, end: usize) -> Span {
        if !self.exact {
            return self.span;
        }
        Span { start: self.span.start + start as u32, end: self.span.start + end as u32, ..self.span }
    }
}

/// What the expansion depends on besides the text.
#[derive(Clone, Debug, Default)]
pub struct Environment {
    /// What `@` conditions are compared with (`-i`, or the host's name up to the first dot).
    pub id: String,
    /// What `${_INSTANCE}` stands for.
    pub instance: String,
    /// What `${_RANDOM}` draws from.
    pub seed: u64,
    /// The word of lines that say what includes insist on.
    pub checks: Option<&'static str>,
    /// The word, with its `#`, of comments that are lines: whatever else reads the file skips them. `!` is as good.
    pub mark: Option<&'static str>,
}

/// Everything a configuration file says, expanded.
#[derive(Debug, Default)]
pub struct Expanded {
    /// The lines.
    pub lines: Vec<Line>,
    /// What could not be read.
    pub complaints: Vec<Diagnostic>,
}

/// A file to read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Input {
    /// Its path.
    pub path: String,
    /// What complaints call it.
    pub shown: String,
}

impl From<&str> for Input {
    fn from(path: &str) -> Self {
        Self { path: path.to_owned(), shown: path.to_owned() }
    }
}

/// Reads files and what they include, as one text.
///
/// # Errors
/// One of the files itself could not be read.
pub fn read(
    (loader, sources): (&dyn Loader, &mut Sources),
    inputs: &[Input],
    environment: &Environment,
) -> std::io::Result<Expanded> {
    let mut expander = Expander {
        loader,
        sources,
        environment,
        variables: BTreeMap::new(),
        out: Expanded::default(),
        random: environment.seed,
        folder: String::new(),
        made: 0,
        checks: Checks::default(),
    };
    for input in inputs {
        expander.file(&input.path, &input.shown, 0)?;
    }
    Ok(expander.out)
}

struct Expander<'a> {
    loader: &'a dyn Loader,
    sources: &'a mut Sources,
    environment: &'a Environment,
    /// A variable's lines.
    variables: BTreeMap<Vec<u8>, Vec<Vec<u8>>>,
    out: Expanded,
    random: u64,
    /// Where the current file lies; relative includes start there.
    folder: String,
    /// Lines the current line of the file has become so far.
    made: usize,
    /// What includes insist on from here on.
    checks: Checks,
}

/// The start of a line, and whether a variable is being defined over several.
enum Kept {
    Dropped,
    Text(Line),
}

impl Expander<'_> {
    /// Reads a file; complaints name it as it was named.
    fn file(&mut self, path: &str, named: &str, depth: usize) -> std::io::Result<()> {
        let text = self.loader.load(path)?;
        let folder = path.rsplit_once('/').map_or_else(String::new, |(folder, _)| format!("{folder}/"));
        let outer = std::mem::replace(&mut self.folder, folder);
        let id = self.sources.add(named, Kind::File, text);
        let bytes = self.sources.text(id).map(|source| source.text.clone()).unwrap_or_else(|| [].into());
        let mut lines = lines(&bytes, id, self.environment.mark).into_iter();
        while let Some(line) = lines.next() {
            self.quotes(&line.written, line.span);
            let Kept::Text(line) = self.condition(line) else { continue };
            if let Some((name, value)) = definition(&line.bytes) {
                self.define(name, value, &mut lines);
            } else {
                self.made = 0;
                self.expand(line.bytes.clone(), (&line, depth), 0);
            }
        }
        self.folder = outer;
        Ok(())
    }

    /// `@id` keeps a line for one host, `@^id` for all others.
    fn condition(&self, mut line: Line) -> Kept {
        let Some(rest) = line.bytes.strip_prefix(b"@") else { return Kept::Text(line) };
        let (negated, rest) = rest.strip_prefix(b"^").map_or((false, rest), |rest| (true, rest));
        let name = rest.iter().position(u8::is_ascii_whitespace).unwrap_or(rest.len());
        let matches = rest.get(..name) == Some(self.environment.id.as_bytes());
        if matches == negated {
            return Kept::Dropped;
        }
        let text = rest.get(name..).unwrap_or_default().trim_ascii_start().to_vec();
        if text.is_empty() {
            return Kept::Dropped;
        }
        line.span.start = line.span.end.saturating_sub(text.len() as u32);
        line.bytes = text;
        Kept::Text(line)
    }

    /// A value ends with its line, unless that ends in a backslash.
    fn define(&mut self, name: Vec<u8>, first: Vec<u8>, lines: &mut dyn Iterator<Item = Line>) {
        let mut value = vec![first];
        while let Some(kept) = value.last().and_then(|line| line.strip_suffix(b"\\")).map(<[u8]>::to_vec) {
            if let Some(last) = value.last_mut() {
                *last = kept.trim_ascii_end().to_vec();
            }
            match lines.next() {
                Some(line) if self.is_marked(&line.bytes) => {
                    let message =
                        format!("'{}' is inside a definition - ignoring", crate::conf::bytes::text(&line.bytes));
                    self.out.complaints.push(Diagnostic::new(Severity::Error, message).at(line.span));
                    // The definition goes on with the next line.
                    if let Some(last) = value.last_mut() {
                        last.push(b'\\');
                    }
                }
                Some(line) => {
                    self.quotes(&line.written, line.span);
                    value.push(line.bytes);
                }
                None => break,
            }
        }
        value.retain(|line| !line.is_empty());
        self.variables.insert(name, value);
    }

    /// Whether a line was a comment with the mark.
    fn is_marked(&self, bytes: &[u8]) -> bool {
        self.environment.mark.is_some_and(|mark| bytes.starts_with(mark.as_bytes()))
    }

    /// Quotes come in pairs; one after a backslash does not count.
    fn quotes(&mut self, text: &[u8], span: Span) {
        if is_open(text) {
            let message = format!("Unterminated quote '{}'", crate::conf::bytes::text(text));
            self.out.complaints.push(Diagnostic::new(Severity::Error, message).kind(diagnostic::Kind::Quote).at(span));
        }
    }

    /// Puts in what the first `~SEQ`, `~LST` or variable of a line stands for, then the next; `origin` is the file's
    /// line, and how deep its file is included.
    fn expand(&mut self, bytes: Vec<u8>, origin: (&Line, usize), depth: usize) {
        let span = origin.0.span;
        if depth > DEPTH || self.made > MOST_LINES || bytes.len() > MOST_BYTES {
            self.bounded(span);
            return;
        }
        match sequence(&bytes) {
            Some(Ok(repeated)) => {
                if repeated.rounds.len() >= MOST_LINES {
                    self.bounded(span);
                }
                self.repeat(repeated, origin, depth + 1);
                return;
            }
            Some(Err(why)) => {
                let text = crate::conf::bytes::text(&bytes).into_owned();
                let kind = if text.contains("~LST") { "LST" } else { "SEQ" };
                let messages = why.map(|why| format!("{why} '{text}'")).into_iter();
                let messages = messages.chain([format!("Invalid ~{kind} specification '{text}'")]);
                self.out.complaints.extend(messages.map(|text| Diagnostic::new(Severity::Error, text).at(span)));
                return;
            }
            None => {}
        }
        match self.variable(&bytes) {
            Some(lines) => lines.into_iter().for_each(|line| self.expand(line, origin, depth + 1)),
            None => self.expanded(bytes, origin),
        }
    }

    /// Takes a line without variables. One that had some is read as a line of a file is: it may be a condition, a
    /// comment or a definition.
    fn expanded(&mut self, bytes: Vec<u8>, (origin, depth): (&Line, usize)) {
        self.made += 1;
        let same = bytes == origin.bytes;
        let mut line = Line { bytes, exact: origin.exact && same, ..origin.clone() };
        if !same {
            self.quotes(&line.bytes, line.span);
            if !self.is_marked(&line.bytes) {
                line.bytes = uncomment(&line.bytes).trim_ascii().to_vec();
            }
            match self.condition(line) {
                Kept::Text(kept) => line = kept,
                Kept::Dropped => return,
            }
            line.span = origin.span;
            if let Some((name, value)) = definition(&line.bytes) {
                return self.define(name, value, &mut std::iter::empty());
            }
        }
        line.bytes = unescape(&line.bytes);
        line.exact &= line.bytes == origin.bytes;
        if let Some(words) = self.environment.checks.and_then(|keyword| include::checks(&line.bytes, keyword)) {
            self.checks = self.checks.after(words);
        }
        match include::find(&line.bytes) {
            Some(include) => {
                // What a file says of checks holds until its end.
                let before = self.checks;
                self.include(&include.checked(before), (line.span, depth + 1));
                self.checks = before;
            }
            None if line.bytes.is_empty() => {}
            None => self.out.lines.push(line),
        }
    }

    /// Each round of a sequence is its line with the round's variables, which may stand inside other variables.
    fn repeat(&mut self, repeated: Repeated, origin: (&Line, usize), depth: usize) {
        let mut outer = Vec::new();
        for pairs in &repeated.rounds {
            if self.made > MOST_LINES {
                break;
            }
            for (name, value) in pairs {
                let before = self.variables.insert(name.clone(), vec![value.clone()]);
                if !outer.iter().any(|(known, _)| known == name) {
                    outer.push((name.clone(), before));
                }
            }
            self.expand(repeated.line.clone(), origin, depth);
        }
        for (name, before) in outer {
            match before {
                Some(value) => self.variables.insert(name, value),
                None => self.variables.remove(&name),
            };
        }
    }

    /// What a line becomes has an end; said once a line.
    ///
    /// Differs from keepalived: what one line may become is bounded, and the rest is left out with a complaint. [test: what_a_line_becomes_is_bounded]
    fn bounded(&mut self, span: Span) {
        let message =
            format!("The line becomes more than {MOST_LINES} lines or {MOST_BYTES} bytes - the rest is left out");
        let complaint = Diagnostic::new(Severity::Error, message).at(span);
        if self.out.complaints.last() != Some(&complaint) {
            self.out.complaints.push(complaint);
        }
    }

    /// The lines that come of putting in the first variable of a line; `None` when there is none.
    fn variable(&mut self, bytes: &[u8]) -> Option<Vec<Vec<u8>>> {
        let mut from = 0;
        while let Some(at) = bytes.get(from..)?.iter().position(|byte| *byte == b'$').map(|at| at + from) {
            let rest = bytes.get(at + 1..)?;
            let (name, length) = match rest.strip_prefix(b"{") {
                Some(inside) => {
                    let end = inside.iter().position(|byte| *byte == b'}').unwrap_or(inside.len());
                    (inside.get(..end)?.to_vec(), end + 2)
                }
                None => {
                    let end = rest.iter().position(|byte| !is_name(*byte)).unwrap_or(rest.len());
                    (rest.get(..end)?.to_vec(), end)
                }
            };
            // Without braces a name ends at a blank, a comma or a bracket, and nowhere else.
            let ends = |byte: &u8| byte.is_ascii_whitespace() || matches!(byte, b',' | b')');
            let whole = rest.starts_with(b"{") || rest.get(length).is_none_or(ends);
            if let Some(value) = whole.then(|| self.value(&name)).flatten() {
                let (before, after) = (bytes.get(..at)?, bytes.get(at + 1 + length..).unwrap_or_default());
                return Some(put_in(before, &value, after));
            }
            from = at + 1;
        }
        None
    }

    fn value(&mut self, name: &[u8]) -> Option<Vec<Vec<u8>>> {
        if let Some(value) = self.variables.get(name) {
            return Some(value.clone());
        }
        let one = |text: &str| Some(vec![text.as_bytes().to_vec()]);
        let text = crate::conf::bytes::text(name).into_owned();
        let mut words = text.split_ascii_whitespace();
        match words.next()? {
            "_PWD" => one(self.folder.strip_suffix('/').unwrap_or("/")),
            "_INSTANCE" => one(&self.environment.instance),
            "_HASH" => one("#"),
            "_BANG" => one("!"),
            "_RANDOM" => {
                let low = words.next().and_then(|word| word.parse::<u64>().ok()).unwrap_or(0);
                let high = words.next().and_then(|word| word.parse::<u64>().ok()).unwrap_or(32_767).max(low);
                // xorshift64*: nothing here needs to be unpredictable.
                self.random ^= self.random >> 12;
                self.random ^= self.random << 25;
                self.random ^= self.random >> 27;
                let draw = self.random.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 16;
                one(&(low + draw % (high - low).saturating_add(1)).to_string())
            }
            _ => None,
        }
    }

    /// Reads the files an `include` names, in its place.
    ///
    /// Differs from keepalived: a file that includes itself is read a bounded number of times, not for ever. [test: a_file_that_includes_itself_ends]
    fn include(&mut self, include: &Include, (span, depth): (Span, usize)) {
        let pattern = crate::conf::bytes::text(&include.pattern).into_owned();
        if depth > DEPTH || self.sources.iter().len() >= MOST_FILES {
            let message = format!("'{pattern}' is not included: more than {DEPTH} files deep, or {MOST_FILES} in all");
            self.out.complaints.push(Diagnostic::new(Severity::Error, message).kind(diagnostic::Kind::Quote).at(span));
            return;
        }
        let full = if pattern.starts_with('/') { pattern.clone() } else { format!("{}{pattern}", self.folder) };
        let named = |name: String| (self.loader.named(&name), name);
        let names: Vec<(Named, String)> = brace::glob(self.loader, &full).into_iter().map(named).collect();
        if names.is_empty() {
            self.out.complaints.extend(include.missing(span));
            return;
        }
        let mut opened = 0;
        for (kind, name) in names {
            let shown =
                name.strip_prefix(&self.folder).filter(|_| !pattern.starts_with('/')).unwrap_or(&name).to_owned();
            let outcome = match kind {
                Named::Folder => continue,
                Named::Text => {
                    self.file(&name, &shown, depth).map_err(|error| format!("open problem ({})", reason(&error)))
                }
                Named::Other => Err("is not a regular non-executable file".to_owned()),
            };
            match outcome {
                Ok(()) => opened += 1,
                Err(why) => {
                    let message = format!("Configuration file '{shown}' {why} - skipping");
                    self.out.complaints.push(include.skipped(message, span));
                }
            }
        }
        if opened == 0 {
            self.out.complaints.push(include.skipped(format!("{pattern} - no matching file"), span));
        }
    }
}

/// A comment that begins with the mark, as a line: with the mark's own first byte, and without a comment behind it.
fn marked(comment: &[u8], mark: Option<&'static str>) -> Option<Vec<u8>> {
    let mark = mark?.as_bytes();
    let rest = comment.get(1..)?.strip_prefix(mark.get(1..)?)?;
    let ends = rest.first().is_none_or(u8::is_ascii_whitespace);
    ends.then(|| [mark, uncomment(rest).trim_ascii_end()].concat())
}

/// The text's lines: comments gone, blanks around gone, continued lines joined, empty ones left out. A comment with the
/// mark is a line behind its own; behind an `@id` alone, that is its condition.
fn lines(text: &[u8], source: SourceId, mark: Option<&'static str>) -> Vec<Line> {
    let mut lines: Vec<Line> = Vec::new();
    let mut start = 0;
    let mut continued = false;
    for raw in text.split(|byte| *byte == b'\n') {
        let begin = start;
        start += raw.len() + 1;
        let kept = uncomment(raw);
        let skip = kept.len() - kept.trim_ascii_start().len();
        let bytes = kept.trim_ascii();
        let own = marked(raw.get(kept.len()..).unwrap_or_default(), mark);
        let conditional = own.is_some() && bytes.starts_with(b"@") && !bytes.iter().any(u8::is_ascii_whitespace);
        let own = own.map(|own| {
            let (at, condition) =
                if conditional { (begin + skip, [bytes, b" "].concat()) } else { (begin + kept.len(), Vec::new()) };
            let span = Span { source, start: at as u32, end: (begin + raw.trim_ascii_end().len()) as u32 };
            // Its quotes are judged without the mark, behind which all is a comment.
            let written = own.get(1..).unwrap_or_default().to_vec();
            Line { bytes: [condition, own].concat(), span, written, exact: !conditional }
        });
        let bytes = if conditional { &[] } else { bytes };
        let at = (begin + skip) as u32;
        let span = Span { source, start: at, end: at + bytes.len() as u32 };
        let more = bytes.ends_with(b"\\") && !is_definition(lines.last(), bytes, continued);
        let body = if more { bytes.get(..bytes.len() - 1).unwrap_or_default() } else { bytes };
        match lines.last_mut().filter(|_| continued) {
            Some(line) => {
                line.bytes.push(b' ');
                line.bytes.extend(body);
                line.written.push(b' ');
                line.written.extend(raw.trim_ascii());
                line.exact = false;
            }
            None if !bytes.is_empty() => {
                let written = raw.trim_ascii().to_vec();
                lines.push(Line { bytes: body.to_vec(), span, written, exact: true });
            }
            None => {}
        }
        // A line that goes on stays the last one.
        let place = lines.len() - usize::from(more && !lines.is_empty());
        lines.splice(place..place, own);
        continued = more;
    }
    lines
}

/// Whether the backslash at the end of `bytes` belongs to the value of a variable, which keeps its lines apart.
fn is_definition(last: Option<&Line>, bytes: &[u8], continued: bool) -> bool {
    if continued {
        return false;
    }
    definition(bytes).is_some() || last.is_some_and(|line| line.bytes.ends_with(b"\\"))
}

/// Whether a quote is not closed before the comment; one after a backslash does not count.
fn is_open(line: &[u8]) -> bool {
    let (mut quoted, mut escaped) = (false, false);
    for byte in uncomment(line) {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'"' => quoted = !quoted,
            _ => {}
        }
    }
    quoted
}

/// What stands before a `!` or `#` outside quotes; after a backslash they are themselves.
fn uncomment(line: &[u8]) -> &[u8] {
    let mut quoted = false;
    let mut escaped = false;
    for (at, byte) in line.iter().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'"' => quoted = !quoted,
            b'!' | b'#' if !quoted => return line.get(..at).unwrap_or_default(),
            _ => {}
        }
    }
    line
}

fn unescape(bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(bytes.len());
    let mut quoted = false;
    let mut at = bytes.iter().copied().peekable();
    while let Some(byte) = at.next() {
        quoted ^= byte == b'"';
        if byte == b'\\' && !quoted && at.peek().is_some_and(|next| matches!(next, b'!' | b'#')) {
            continue;
        }
        out.push(byte);
    }
    out
}

const fn is_name(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}

/// `$NAME=value`, without a blank before the `=`.
fn definition(line: &[u8]) -> Option<(Vec<u8>, Vec<u8>)> {
    let rest = line.strip_prefix(b"$").filter(|rest| !rest.first().is_some_and(u8::is_ascii_digit))?;
    let end = rest.iter().position(|byte| !is_name(*byte))?;
    let value = rest.get(end..)?.strip_prefix(b"=")?;
    (end > 0).then(|| (rest.get(..end).unwrap_or_default().to_vec(), value.trim_ascii().to_vec()))
}

/// `value` between `before` and `after`: several lines stay several lines.
fn put_in(before: &[u8], value: &[Vec<u8>], after: &[u8]) -> Vec<Vec<u8>> {
    let last = value.len().saturating_sub(1);
    if value.is_empty() {
        return vec![[before, after].concat()];
    }
    let line = |(index, part): (usize, &Vec<u8>)| {
        let head: &[u8] = if index == 0 { before } else { b"" };
        let tail: &[u8] = if index == last { after } else { b"" };
        [head, part, tail].concat()
    };
    value.iter().enumerate().map(line).collect()
}

/// A line that is read once for each round, with the round's variables.
struct Repeated {
    line: Vec<u8>,
    rounds: Rounds,
}

/// For each round the names and values of its variables.
type Rounds = Vec<Vec<(Vec<u8>, Vec<u8>)>>;

/// What is wrong with a sequence, beyond that something is.
type Why = Option<&'static str>;

/// What a `~SEQ(var, [start,] [step,] end)` or `~LST(var, a, b)` stands for, or what is wrong with it.
fn sequence(bytes: &[u8]) -> Option<Result<Repeated, Why>> {
    let at = bytes.windows(4).position(|four| four == b"~SEQ" || four == b"~LST")?;
    Some(repeated(bytes, at))
}

fn repeated(bytes: &[u8], at: usize) -> Result<Repeated, Why> {
    let tail = bytes.get(at + 4..).unwrap_or_default();
    let (hexadecimal, tail) = tail.strip_prefix(b"x").map_or((false, tail), |tail| (true, tail));
    let inside = tail.strip_prefix(b"(").ok_or(None)?;
    let end = inside.iter().position(|byte| *byte == b')').ok_or(None)?;
    let arguments = split(inside.get(..end).unwrap_or_default());
    let rest = inside.get(end + 1..).unwrap_or_default();
    let line = [bytes.get(..at).unwrap_or_default(), rest].concat();
    let rounds = match bytes.get(at..at + 4) {
        Some(b"~LST") => list(&arguments)?,
        _ => numbers(&arguments, hexadecimal)?,
    };
    Ok(Repeated { line, rounds })
}

fn numbers(arguments: &[Vec<u8>], hexadecimal: bool) -> Result<Rounds, Why> {
    const DEFINITION: Option<&str> = Some("Invalid ~SEQ definition");
    let name = arguments.first().ok_or(DEFINITION)?;
    let number = |word: &Vec<u8>| std::str::from_utf8(word).ok()?.parse::<i64>().ok();
    let numbers: Option<Vec<i64>> = arguments.get(1..).unwrap_or_default().iter().map(number).collect();
    let (start, step, stop) = match *numbers.ok_or(DEFINITION)?.as_slice() {
        [stop] => (1, 1, stop),
        [start, stop] => (start, if stop < start { -1 } else { 1 }, stop),
        [start, step, stop] => (start, step, stop),
        _ => return Err(DEFINITION),
    };
    if step == 0 || (step > 0) != (stop >= start) {
        return Err(Some("Invalid ~SEQ values"));
    }
    if hexadecimal && (start < 0 || stop < 0) {
        return Err(Some("~SEQx is only valid for positive numbers"));
    }
    let mut rounds = Vec::new();
    let mut value = start;
    while (step > 0 && value <= stop || step < 0 && value >= stop) && rounds.len() < MOST_LINES {
        let text = if hexadecimal { format!("{value:x}") } else { value.to_string() };
        rounds.push(vec![(name.clone(), text.into_bytes())]);
        let Some(next) = value.checked_add(step) else { break };
        value = next;
    }
    Ok(rounds)
}

fn list(arguments: &[Vec<u8>]) -> Result<Rounds, Why> {
    let names = tuple(arguments.first().ok_or(None)?);
    let values = arguments.get(1..).filter(|values| !values.is_empty()).ok_or(None)?;
    let round = |values: &Vec<u8>| {
        let values = tuple(values);
        if values.len() > names.len() {
            return Err(Some("~LST specification has too many values"));
        }
        Ok(names.iter().cloned().zip(values).collect())
    };
    values.iter().map(round).collect()
}

/// `{a,b}` as its members; anything else as itself.
fn tuple(word: &[u8]) -> Vec<Vec<u8>> {
    match word.strip_prefix(b"{").and_then(|word| word.strip_suffix(b"}")) {
        Some(inside) => inside.split(|byte| *byte == b',').map(|part| part.trim_ascii().to_vec()).collect(),
        None => vec![word.to_vec()],
    }
}

/// Arguments at their commas, except inside braces.
fn split(arguments: &[u8]) -> Vec<Vec<u8>> {
    let mut parts = vec![Vec::new()];
    let mut depth = 0_usize;
    for &byte in arguments {
        match byte {
            b'{' => depth += 1,
            b'}' => depth = depth.saturating_sub(1),
            _ => {}
        }
        match parts.last_mut() {
            Some(part) if byte != b',' || depth > 0 => part.push(byte),
            _ => parts.push(Vec::new()),
        }
    }
    parts.into_iter().map(|part| part.trim_ascii().to_vec()).collect()
}

#[cfg(test)]
mod tests;
