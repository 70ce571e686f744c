//! `log_format` and `access_log` arguments, and lines made of them, in http and in stream.

use crate::conf::diagnostic::Diagnostic;
use crate::conf::tree::{Statement, Word};
use crate::conf::value;
use crate::conf::walk::Setting;
use crate::log::file::File;
use crate::log::syslog::Syslog;
use crate::net::turn::Turn;
use crate::script::template::{Part, Template};
use crate::script::variable::{Names, Subject};
use crate::session::build::Build;
use crate::session::errorlog::{self, SyslogText};
use std::sync::Arc;

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
    /// Its pieces joined.
    pub text: Word,
}

/// Parses `log_format NAME [escape=…] TEXT…`.
///
/// # Errors
/// nginx's words.
pub fn log_format(cx: &mut Setting<'_>, known: &[FormatText], statement: &Statement) -> Result<FormatText, Diagnostic> {
    let _ = cx;
    let [name, rest @ ..] = statement.arguments() else { return Err(Diagnostic::emerg("invalid value")) };
    let name = name.text().into_owned();
    if known.iter().any(|format| format.name == name) {
        return Err(Diagnostic::emerg(format!("duplicate \"log_format\" name \"{name}\"")));
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
                let text = format!("unknown log format escaping \"{}\"", String::from_utf8_lossy(kind));
                return Err(Diagnostic::emerg(text).point(first.span));
            }
        };
        pieces = after;
    }
    let bytes: Vec<u8> = pieces.iter().flat_map(|word| word.bytes.iter().copied()).collect();
    let text = Word { bytes: bytes.into(), span: statement.span, quoted: true };
    Ok(FormatText { name, escape, text })
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
    /// `buffer=`.
    pub buffer: u64,
    /// `flush=`.
    pub flush: Option<std::time::Duration>,
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
    if target.bytes.contains(&b'$') {
        return Err(
            Diagnostic::emerg("variables in \"access_log\" paths are known but not supported yet").point(target.span)
        );
    }
    let syslog = target.after("syslog:").map(|parameters| errorlog::syslog(target, parameters)).transpose()?;
    let path = syslog.is_none().then(|| cx.full_prefix(&target.text()));
    let (format, parameters) = match rest {
        [] => (default.ok_or_else(|| Diagnostic::emerg("log format is not specified"))?.to_owned(), rest),
        [format, parameters @ ..] => (format.text().into_owned(), parameters),
    };
    if Some(format.as_str()) != default && !known.iter().any(|row| row.name == format) {
        return Err(Diagnostic::emerg(format!("unknown log format \"{format}\"")));
    }
    let mut log = AccessText { path, syslog, format, buffer: 0, flush: None, condition: None };
    for word in parameters {
        parameter(&mut log, word).map_err(|complaint| complaint.point(word.span))?;
    }
    if log.flush.is_some() && log.buffer == 0 {
        return Err(Diagnostic::emerg(format!("no buffer is defined for access_log \"{}\"", target.text())));
    }
    if log.buffer > 0 && log.syslog.is_some() {
        return Err(Diagnostic::emerg("logs to syslog cannot be buffered"));
    }
    Ok(Some(log))
}

fn parameter(log: &mut AccessText, word: &Word) -> Result<(), Diagnostic> {
    let shown = |text: &[u8]| String::from_utf8_lossy(text).into_owned();
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
    } else if word.is("gzip") || word.after("gzip=").is_some() {
        return Err(Diagnostic::emerg("the \"gzip\" parameter of \"access_log\" is known but not supported yet"));
    } else {
        return Err(Diagnostic::emerg(format!("invalid parameter \"{}\"", word.text())));
    }
    Ok(())
}

/// A format compiled.
pub struct Format<S: Subject> {
    template: Template<S>,
    escape: Escape,
}

impl<S: Subject> Format<S> {
    /// Compiles a format's text.
    ///
    /// # Errors
    /// nginx's words.
    pub fn new(text: &FormatText, names: &mut Names<S>) -> Result<Self, Diagnostic> {
        let template =
            Template::compile(&text.text.bytes, names).map_err(|what| Diagnostic::emerg(what).at(text.text.span))?;
        Ok(Self { template, escape: text.escape })
    }

    /// Appends a line.
    pub fn line(&self, subject: &S, out: &mut Vec<u8>) {
        for part in self.template.parts() {
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

/// An access log at work.
pub struct AccessLog<S: Subject> {
    file: Option<Arc<File>>,
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
        let file = text.path.as_ref().map(|path| build.access_log(path, text.buffer as usize, text.flush));
        Ok(Self { file, syslog, format, condition })
    }

    /// Writes the session's line, unless its condition is empty or `0`.
    pub fn write(&self, subject: &S, turn: &Turn) {
        if let Some(condition) = &self.condition {
            let text = condition.text(subject);
            if text.is_empty() || text == b"0" {
                return;
            }
        }
        let mut line = turn.line();
        self.format.line(subject, &mut line);
        if let Some(syslog) = &self.syslog {
            syslog.send(syslog.severity, &line);
        }
        line.push(b'\n');
        if let Some(file) = &self.file {
            turn.log(file, &line);
        }
        turn.give_line(line);
    }
}
