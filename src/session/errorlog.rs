//! `error_log` and `syslog:` arguments: parsed here for every place that takes them, opened by the product.

use crate::conf::diagnostic::Diagnostic;
use crate::conf::source::Span;
use crate::conf::tree::{Statement, Word};
use crate::conf::walk::Setting;
use crate::log::level::LEVELS;
use crate::log::syslog::{FACILITIES, Server, Syslog};
use crate::log::{Level, Log, Sink};
use crate::net::address::{self, Host};
use crate::session::build::Build;
use crate::session::format::LogFiles;
use std::sync::Arc;

/// What `error_log` takes: levels, and behind `syslog:` its parameters and facilities.
pub const WORDS: &[&str] = &[
    "debug",
    "info",
    "notice",
    "warn",
    "error",
    "crit",
    "alert",
    "emerg",
    "server=",
    "facility=",
    "severity=",
    "tag=",
    "nohostname",
    "kern",
    "user",
    "mail",
    "daemon",
    "auth",
    "intern",
    "lpr",
    "news",
    "uucp",
    "clock",
    "authpriv",
    "ftp",
    "ntp",
    "audit",
    "cron",
    "local0",
    "local1",
    "local2",
    "local3",
    "local4",
    "local5",
    "local6",
    "local7",
];

/// Where an error log goes, as written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// The sink.
    pub sink: SinkText,
    /// The least bad level.
    pub level: Level,
}

/// A sink that is not opened yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SinkText {
    /// A file's full path.
    File(String),
    /// `stderr`.
    Stderr,
    /// `syslog:`.
    Syslog(SyslogText),
}

/// What `syslog:` says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SyslogText {
    /// `server=`.
    pub server: String,
    /// `facility=`, as an index into the facilities.
    pub facility: u8,
    /// `severity=`.
    pub severity: Level,
    /// `tag=`.
    pub tag: String,
    /// `nohostname` was not given.
    pub hostname: bool,
    /// Where it is written.
    pub span: Span,
}

/// Parses `error_log TARGET [LEVEL]`.
///
/// # Errors
/// nginx's words.
pub fn parse(cx: &mut Setting<'_>, statement: &Statement) -> Result<Target, Diagnostic> {
    let [_, target, levels @ ..] = statement.words.as_slice() else { return Err(cx.complain("invalid value")) };
    let sink = if target.is("stderr") {
        SinkText::Stderr
    } else if let Some(parameters) = target.after("syslog:") {
        SinkText::Syslog(syslog(target, parameters)?)
    } else if target.after("memory:").is_some() {
        return Err(Diagnostic::emerg("nginx was built without debug support"));
    } else {
        let path = cx.full_prefix(&target.text());
        LogFiles::name(cx, &path);
        SinkText::File(path)
    };
    let level = level(levels)?;
    Ok(Target { sink, level })
}

/// The areas `debug_…` names; a log that has one of them has every line.
const AREAS: [&str; 7] =
    ["debug_core", "debug_alloc", "debug_mutex", "debug_event", "debug_http", "debug_mail", "debug_stream"];

/// The level of these words: one level, or areas of debugging and then perhaps nothing else.
fn level(words: &[Word]) -> Result<Level, Diagnostic> {
    let mut level = None;
    let mut areas = false;
    for word in words {
        if let Some((_, found)) = LEVELS.iter().find(|(name, _)| word.is(name)) {
            if level.is_some() {
                let complaint = Diagnostic::emerg(format!("duplicate log level \"{}\"", word.text()));
                return Err(complaint.point(word.span).earlier(words.first().map(|first| first.span)));
            }
            level = Some(*found);
        } else if AREAS.iter().any(|area| word.is(area)) && (areas || level.is_none()) {
            (level, areas) = (Some(Level::Debug), true);
        } else {
            return Err(Diagnostic::emerg(format!("invalid log level \"{}\"", word.text())).point(word.span));
        }
    }
    Ok(level.unwrap_or(Level::Error))
}

/// Parses what follows `syslog:`.
///
/// # Errors
/// nginx's words.
pub fn syslog(word: &Word, parameters: &[u8]) -> Result<SyslogText, Diagnostic> {
    let text = crate::conf::bytes::text(parameters);
    let (mut server, mut facility, mut severity, mut tag, mut hostname) = (None, None, None, None, true);
    let fail = |message: String| Err(Diagnostic::emerg(message).point(word.span));
    for part in text.split(',') {
        if let Some(value) = part.strip_prefix("server=") {
            if server.replace(value.to_owned()).is_some() {
                return fail("duplicate syslog \"server\"".to_owned());
            }
        } else if let Some(value) = part.strip_prefix("facility=") {
            let Some(index) = FACILITIES.iter().position(|name| *name == value) else {
                return fail(format!("unknown syslog facility \"{value}\""));
            };
            if facility.replace(index as u8).is_some() {
                return fail("duplicate syslog \"facility\"".to_owned());
            }
        } else if let Some(value) = part.strip_prefix("severity=") {
            let Some((_, level)) = LEVELS.iter().find(|(name, _)| *name == value) else {
                return fail(format!("unknown syslog severity \"{value}\""));
            };
            if severity.replace(*level).is_some() {
                return fail("duplicate syslog \"severity\"".to_owned());
            }
        } else if let Some(value) = part.strip_prefix("tag=") {
            if !value.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_') {
                return fail("syslog \"tag\" only allows alphanumeric characters and underscore".to_owned());
            }
            if value.len() > 32 {
                return fail("syslog tag length exceeds 32".to_owned());
            }
            if tag.replace(value.to_owned()).is_some() {
                return fail("duplicate syslog \"tag\"".to_owned());
            }
        } else if part == "nohostname" {
            hostname = false;
        } else {
            return fail(format!("unknown syslog parameter \"{part}\""));
        }
    }
    let Some(server) = server else { return fail("no syslog server specified".to_owned()) };
    if let Err(what) = address::parse(&server, false) {
        return fail(format!("{what} in syslog server \"{server}\""));
    }
    Ok(SyslogText {
        server,
        facility: facility.unwrap_or(23),
        severity: severity.unwrap_or(Level::Info),
        tag: tag.unwrap_or_else(|| "nginx".to_owned()),
        hostname,
        span: word.span,
    })
}

/// The log of these targets, its files to be opened with all others.
///
/// # Errors
/// A syslog server whose address cannot be understood.
pub fn log(targets: &[Target], build: &mut Build<'_>) -> Result<Log, Diagnostic> {
    let mut sinks = Vec::new();
    for target in targets {
        let sink = match &target.sink {
            SinkText::File(path) => Sink::File(build.log(path, 0)),
            SinkText::Stderr => Sink::Stderr,
            SinkText::Syslog(text) => Sink::Syslog(Arc::new(sender(text, build)?)),
        };
        sinks.push((target.level, sink));
    }
    Ok(Log::new(sinks))
}

/// The sender of a `syslog:` parameter.
///
/// # Errors
/// An address that cannot be understood or found.
pub fn sender(text: &SyslogText, build: &Build<'_>) -> Result<Syslog, Diagnostic> {
    let fail = |what: &str| Diagnostic::emerg(format!("{what} in syslog server \"{}\"", text.server)).at(text.span);
    let endpoint = address::parse(&text.server, false).map_err(fail)?;
    let port = endpoint.port.unwrap_or(514);
    let server = match endpoint.host {
        Host::Unix(path) => Server::Unix(path),
        Host::Ip(ip) => Server::Udp((ip, port).into()),
        Host::Any => return Err(fail("no host")),
        Host::Name(name) => {
            let found = build.resolver.resolve(&name);
            Server::Udp((*found.first().ok_or_else(|| fail("host not found"))?, port).into())
        }
    };
    let host = text.hostname.then(|| nix::unistd::gethostname().unwrap_or_default().to_string_lossy().into_owned());
    Ok(Syslog::new(server, text.facility, text.severity, text.tag.clone(), host))
}
