//! `log_format` and `access_log` arguments, and lines made of them, in http and in stream.

use crate::conf::diagnostic::Diagnostic;
use crate::conf::module::Conf;
use crate::conf::source::Span;
use crate::conf::tree::{Statement, Word};
use crate::conf::value;
use crate::conf::walk::Setting;
use crate::log::file::File;
use crate::log::syslog::Syslog;
use crate::net::event_loop::EventLoop;
use crate::script::template::{Part, Template};
use crate::script::variable::{Names, Subject};
use crate::session::build::Build;
use crate::session::errorlog::{self, SyslogText};
use crate::session::open_logs::{Files, Limits, OpenLogs};
use crate::session::slot::free;
use crate::session::used;
use std::io::{self, Write as _};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// What `access_log` takes beside its target and format.
pub const WORDS: &[&str] =
    &["buffer=", "gzip", "gzip=", "flush=", "if=", "off", "server=", "facility=", "severity=", "tag=", "nohostname"];

/// `escape=`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Escape {
    /// `\xXX` for quotes, backslashes and what is not printable.
    #[default]
    Default,
    /// As JSON strings want it.
    Json,
    /// Not at all.
    None,
}

/// A `log_format` as written.
#[derive(Clone, Debug)]
pub struct FormatText {
    /// Its name.
    pub name: String,
    /// How values are escaped.
    pub escape: Escape,
    /// Where it is written.
    pub span: Span,
    /// Its pieces; a name ends where its piece does.
    pub pieces: Vec<Word>,
}

/// Parses `log_format NAME [escape=…] TEXT…`.
///
/// # Errors
/// nginx's words.
pub fn log_format(cx: &mut Setting<'_>, known: &[FormatText], statement: &Statement) -> Result<FormatText, Diagnostic> {
    let [name, rest @ ..] = statement.arguments() else { return Err(Diagnostic::emerg("invalid value")) };
    let name = name.text().into_owned();
    if let Some(first) = known.iter().find(|format| format.name == name) {
        let complaint = Diagnostic::emerg(format!("duplicate \"log_format\" name \"{name}\""));
        return Err(complaint.earlier(Some(first.span)));
    }
    let mut escape = Escape::Default;
    let mut pieces = rest;
    if let [first, after @ ..] = rest
        && let Some(kind) = first.after("escape=")
    {
        escape = match kind {
            b"default" => Escape::Default,
            b"json" => Escape::Json,
            b"none" => Escape::None,
            _ => {
                let text = format!("unknown log format escaping \"{}\"", crate::conf::bytes::text(kind));
                return Err(Diagnostic::emerg(text).point(first.span));
            }
        };
        pieces = after;
    }
    for piece in pieces {
        check_piece(cx, piece)?;
    }
    Ok(FormatText { name, escape, span: statement.span, pieces: pieces.to_vec() })
}

/// Checks one argument of a format, and notes its variables; here `$1` is a name like any other.
fn check_piece(cx: &mut Setting<'_>, word: &Word) -> Result<(), Diagnostic> {
    let mut rest = &*word.bytes;
    while let Some(at) = memchr::memchr(b'$', rest) {
        let from = rest.get(at..).unwrap_or_default();
        let after = from.get(1..).unwrap_or_default();
        let (braced, body) = after.strip_prefix(b"{").map_or((false, after), |body| (true, body));
        let end = body.iter().position(|byte| !byte.is_ascii_alphanumeric() && *byte != b'_').unwrap_or(body.len());
        let (name, tail) = body.split_at(end);
        let shown = crate::conf::bytes::text(name).into_owned();
        rest = match (braced, tail.strip_prefix(b"}")) {
            (true, None) if !after.is_empty() => {
                let text = format!("the closing bracket in \"{shown}\" variable is missing");
                return Err(Diagnostic::emerg(text).point(word.span));
            }
            (true, Some(tail)) => tail,
            _ => tail,
        };
        if name.is_empty() {
            let text = format!("invalid parameter \"{}\"", crate::conf::bytes::text(from));
            return Err(Diagnostic::emerg(text).point(word.span));
        }
        used::uses(cx, &shown);
    }
    Ok(())
}

/// A log file's buffer: its size, flush time and compression.
type Buffering = (u64, Option<Duration>, Option<u8>);

/// The buffers of log files by path: one file, one way.
#[derive(Default)]
pub struct LogFiles {
    files: Vec<(String, Buffering, Span)>,
    named: Vec<String>,
}

impl LogFiles {
    /// Notes a log file: nginx opens each, used or not.
    pub fn name(cx: &mut Setting<'_>, path: &str) {
        if let Some(files) = cx.conf::<Self>()
            && !files.named.iter().any(|known| known == path)
        {
            files.named.push(path.to_owned());
        }
    }

    /// Every log file that is named.
    pub fn named(&self) -> &[String] {
        &self.named
    }
}

impl Conf for LogFiles {
    fn inherit(&mut self, _: &Self) {}
}

/// The files of an `open_log_file_cache`; none for `off`.
pub type Kept = Option<Arc<OpenLogs>>;

/// `open_log_file_cache`.
///
/// # Errors
/// nginx's words.
pub fn open_log_file_cache(
    cx: &mut Setting<'_>,
    slot: &mut Option<Kept>,
    statement: &Statement,
) -> Result<(), Diagnostic> {
    free(cx, slot)?;
    let minute = Duration::from_secs(60);
    let (mut limits, mut off) = (Limits { most: 0, inactive: minute, valid: minute, min_uses: 1 }, false);
    for word in statement.arguments() {
        let fail = || Diagnostic::emerg(format!("invalid \"open_log_file_cache\" parameter \"{}\"", word.text()));
        if let Some(number) = word.after("max=") {
            limits.most = value::number(number).and_then(|most| usize::try_from(most).ok()).ok_or_else(fail)?;
        } else if let Some(number) = word.after("min_uses=") {
            limits.min_uses = value::number(number).ok_or_else(fail)?;
        } else if let Some(time) = word.after("inactive=") {
            limits.inactive = value::time(time, true).ok_or_else(fail)?;
        } else if let Some(time) = word.after("valid=") {
            limits.valid = value::time(time, true).ok_or_else(fail)?;
        } else if word.is("off") {
            off = true;
        } else {
            return Err(fail());
        }
    }
    if limits.most == 0 && !off {
        return Err(Diagnostic::emerg("\"open_log_file_cache\" must have \"max\" parameter"));
    }
    *slot = Some((!off).then(|| Arc::new(OpenLogs::new(limits))));
    Ok(())
}

/// An `access_log` as written.
#[derive(Clone, Debug)]
pub struct AccessText {
    /// The path, or nothing for syslog.
    pub path: Option<String>,
    /// `syslog:`.
    pub syslog: Option<SyslogText>,
    /// The format's name.
    pub format: String,
    /// The path, where it has variables.
    pub varying: Option<Word>,
    /// `gzip`: the level.
    pub gzip: Option<u8>,
    /// `buffer=`.
    pub buffer: u64,
    /// `flush=`.
    pub flush: Option<Duration>,
    /// `if=`.
    pub condition: Option<Word>,
}

/// Parses `access_log PATH [FORMAT [PARAMETER…]]`; `off` gives nothing.
///
/// # Errors
/// nginx's words.
pub fn access_log(
    cx: &mut Setting<'_>,
    known: &[FormatText],
    default: Option<&str>,
    statement: &Statement,
) -> Result<Option<AccessText>, Diagnostic> {
    let [target, rest @ ..] = statement.arguments() else { return Ok(None) };
    if target.is("off") {
        return match rest {
            [] => Ok(None),
            [word, ..] => Err(Diagnostic::emerg(format!("invalid parameter \"{}\"", word.text())).point(word.span)),
        };
    }
    let varies = used::varies(&target.bytes) && target.after("syslog:").is_none();
    if varies {
        used::word(cx, target)?;
    }
    let syslog = target.after("syslog:").map(|parameters| errorlog::syslog(target, parameters)).transpose()?;
    if target.bytes.is_empty() {
        cx.unserved(statement, "\"access_log\" without a path");
    }
    let path = (syslog.is_none() && !varies && !target.bytes.is_empty()).then(|| cx.full_prefix(&target.text()));
    let (format, parameters) = match rest {
        [] => (default.ok_or_else(|| Diagnostic::emerg("log format is not specified"))?.to_owned(), rest),
        [format, parameters @ ..] => (format.text().into_owned(), parameters),
    };
    if Some(format.as_str()) != default && !known.iter().any(|row| row.name == format) {
        let names: Vec<&str> = known.iter().map(|row| row.name.as_str()).chain(default).collect();
        let complaint = Diagnostic::emerg(format!("unknown log format \"{format}\"")).depends();
        let word = rest.first().map(|word| word.span);
        return Err(Diagnostic { point: word, ..complaint.among("formats", &format, &names) });
    }
    let varying = varies.then(|| {
        let bytes = crate::conf::bytes::raw(&cx.full_prefix(&target.text())).into();
        Word { bytes, ..target.clone() }
    });
    let mut log = AccessText { path, syslog, format, varying, gzip: None, buffer: 0, flush: None, condition: None };
    for word in parameters {
        if word.is("gzip") || word.after("gzip=").is_some() {
            log.gzip = Some(compression(word)?);
            log.buffer = if log.buffer == 0 { 64 << 10 } else { log.buffer };
            continue;
        }
        parameter(&mut log, word).map_err(|complaint| complaint.point(word.span))?;
        if let Some(text) = word.after("if=") {
            used::text(cx, text)?;
        }
    }
    if log.flush.is_some() && log.buffer == 0 {
        return Err(Diagnostic::emerg(format!("no buffer is defined for access_log \"{}\"", target.text())));
    }
    if log.buffer > 0 && varies {
        return Err(Diagnostic::emerg("buffered logs cannot have variables in name"));
    }
    if log.buffer > 0 && log.syslog.is_some() {
        return Err(Diagnostic::emerg("logs to syslog cannot be buffered"));
    }
    if let (Some(path), true, Some(known)) = (&log.path, log.buffer > 0, cx.conf::<LogFiles>()) {
        let settings = (log.buffer, log.flush, log.gzip);
        match known.files.iter().find(|(known, ..)| known == path) {
            Some((_, earlier, first)) if *earlier != settings => {
                let text = format!("access_log \"{}\" already defined with conflicting parameters", target.text());
                return Err(Diagnostic::emerg(text).earlier(Some(*first)));
            }
            Some(_) => {}
            None => known.files.push((path.clone(), settings, statement.span)),
        }
    }
    if let Some(path) = &log.path {
        LogFiles::name(cx, path);
    }
    Ok(Some(log))
}

/// `gzip` or `gzip=LEVEL`.
fn compression(word: &Word) -> Result<u8, Diagnostic> {
    let Some(level) = word.after("gzip=") else { return Ok(1) };
    let number = value::number(level).filter(|level| (1..=9).contains(level));
    number.and_then(|level| u8::try_from(level).ok()).ok_or_else(|| {
        let text = format!("invalid compression level \"{}\"", crate::conf::bytes::text(level));
        Diagnostic::emerg(text).point(word.span)
    })
}

fn parameter(log: &mut AccessText, word: &Word) -> Result<(), Diagnostic> {
    let shown = |text: &[u8]| crate::conf::bytes::text(text).into_owned();
    if let Some(text) = word.after("buffer=") {
        log.buffer = value::size(text, false)
            .filter(|size| *size > 0)
            .ok_or_else(|| Diagnostic::emerg(format!("invalid buffer size \"{}\"", shown(text))))?;
    } else if let Some(text) = word.after("flush=") {
        let time = value::time(text, false).filter(|time| !time.is_zero());
        log.flush = Some(time.ok_or_else(|| Diagnostic::emerg(format!("invalid flush time \"{}\"", shown(text))))?);
    } else if let Some(text) = word.after("if=") {
        let mut condition = word.clone();
        condition.bytes = text.into();
        log.condition = Some(condition);
    } else {
        return Err(Diagnostic::emerg(format!("invalid parameter \"{}\"", word.text())));
    }
    Ok(())
}

/// A format compiled.
pub struct Format<S: Subject> {
    pieces: Vec<Template<S>>,
    escape: Escape,
}

impl<S: Subject> Format<S> {
    /// Compiles a format's text.
    ///
    /// # Errors
    /// nginx's words.
    pub fn new(text: &FormatText, names: &mut Names<S>) -> Result<Self, Diagnostic> {
        let compile = |piece: &Word| Template::compile(&piece.bytes, names);
        let pieces: Result<_, String> = text.pieces.iter().map(compile).collect();
        let pieces = pieces.map_err(|what| Diagnostic::emerg(what).at(text.span))?;
        Ok(Self { pieces, escape: text.escape })
    }

    /// Appends a line.
    pub fn line(&self, subject: &S, out: &mut Vec<u8>) {
        for part in self.pieces.iter().flat_map(Template::parts) {
            if let Part::Text(text) = part {
                out.extend_from_slice(text);
                continue;
            }
            let start = out.len();
            let found = part.write(subject, out);
            if !found {
                out.truncate(start);
                if self.escape == Escape::Default {
                    out.push(b'-');
                }
                continue;
            }
            self.escape(out, start);
        }
    }

    fn escape(&self, out: &mut Vec<u8>, start: usize) {
        let value = out.get(start..).unwrap_or_default();
        let must = |byte: u8| match self.escape {
            Escape::None => false,
            Escape::Default => matches!(byte, 0..0x20 | b'"' | b'\\' | 0x7f..),
            Escape::Json => matches!(byte, 0..0x20 | b'"' | b'\\'),
        };
        if !value.iter().any(|byte| must(*byte)) {
            return;
        }
        let value = value.to_vec();
        out.truncate(start);
        for byte in value {
            if !must(byte) {
                out.push(byte);
            } else if self.escape == Escape::Json {
                json(byte, out);
            } else {
                out.extend_from_slice(format!("\\x{byte:02X}").as_bytes());
            }
        }
    }
}

fn json(byte: u8, out: &mut Vec<u8>) {
    match byte {
        b'"' | b'\\' => out.extend_from_slice(&[b'\\', byte]),
        b'\n' => out.extend_from_slice(b"\\n"),
        b'\r' => out.extend_from_slice(b"\\r"),
        b'\t' => out.extend_from_slice(b"\\t"),
        0x08 => out.extend_from_slice(b"\\b"),
        0x0c => out.extend_from_slice(b"\\f"),
        _ => out.extend_from_slice(format!("\\u{byte:04X}").as_bytes()),
    }
}

/// Appends a line to a file.
fn append(
    path: &[u8],
    line: &[u8],
    (now, kept): (Instant, Option<&OpenLogs>),
    files: &dyn Files,
) -> Result<(), String> {
    let failed = |call: &str, error: &io::Error| {
        let (path, text) = (crate::conf::bytes::text(path), crate::conf::walk::errno(error));
        format!("{call} \"{path}\" failed ({text})")
    };
    let file = match kept {
        Some(kept) => kept.file(path, now, files),
        None => files.open(path).map(Arc::new),
    };
    let file = file.map_err(|why| failed(why.call, &why.error))?;
    (&*file).write_all(line).map_err(|error| failed("write() to", &error))
}

/// An access log at work.
pub struct AccessLog<S: Subject> {
    file: Option<Arc<File>>,
    /// The path, where it has variables: the file is opened for each line, or kept open.
    varying: Option<Template<S>>,
    kept: Kept,
    syslog: Option<Syslog>,
    format: Arc<Format<S>>,
    condition: Option<Template<S>>,
}

impl<S: Subject> AccessLog<S> {
    /// The runtime form.
    ///
    /// # Errors
    /// Texts that do not compile, servers that are not found.
    pub fn new(
        text: &AccessText,
        format: Arc<Format<S>>,
        names: &mut Names<S>,
        build: &mut Build<'_>,
    ) -> Result<Self, Diagnostic> {
        let condition = match &text.condition {
            None => None,
            Some(word) => {
                Some(Template::compile(&word.bytes, names).map_err(|what| Diagnostic::emerg(what).at(word.span))?)
            }
        };
        let syslog = text.syslog.as_ref().map(|text| errorlog::sender(text, build)).transpose()?;
        let varying = match &text.varying {
            None => None,
            Some(word) => {
                Some(Template::compile(&word.bytes, names).map_err(|what| Diagnostic::emerg(what).at(word.span))?)
            }
        };
        let open = |path: &String| build.access_log(path, text.buffer as usize, text.flush, text.gzip);
        let file = text.path.as_ref().map(open);
        Ok(Self { file, varying, kept: None, syslog, format, condition })
    }

    /// The same log, with the files that are kept open where its path has variables.
    pub fn kept(self, kept: Kept) -> Self {
        Self { kept, ..self }
    }

    /// Whether its path has variables.
    pub const fn varies(&self) -> bool {
        self.varying.is_some()
    }

    /// Writes the session's line, unless its condition is empty or `0`.
    ///
    /// # Errors
    /// Why a file whose path has variables could not be opened.
    pub fn write(&self, subject: &S, event_loop: &EventLoop, files: &dyn Files) -> Result<(), String> {
        if let Some(condition) = &self.condition {
            let text = condition.text(subject);
            if text.is_empty() || text == b"0" {
                return Ok(());
            }
        }
        let mut line = event_loop.line();
        self.format.line(subject, &mut line);
        if let Some(syslog) = &self.syslog {
            syslog.send(syslog.severity, &line);
        }
        line.push(b'\n');
        if let Some(file) = &self.file {
            event_loop.log(file, &line);
        }
        let outcome = self.varying.as_ref().map_or(Ok(()), |path| {
            append(&path.text(subject), &line, (event_loop.clock.instant(), self.kept.as_deref()), files)
        });
        event_loop.give_line(line);
        outcome
    }
}
