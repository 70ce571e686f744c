//! `ngx_http_log_module`: `access_log` and `log_format`.

use crate::conf::bytes;
use crate::conf::diagnostic::Diagnostic;
use crate::conf::directive::{Arity, Directive, Support};
use crate::conf::effect::Omission;
use crate::conf::module::{Conf, Scope, inherit};
use crate::conf::slot::Custom;
use crate::conf::source::{SourceId, Span};
use crate::conf::tree::{Statement, Word};
use crate::conf::walk::{Levels, Setting};
use crate::http::heart::handler::{Flow, Handler, Phase};
use crate::http::heart::module::{Compile, Module, Place};
use crate::http::heart::request::Request;
use crate::log::Level;
use crate::session::contexts::{HTTP, HTTP_ANY, HTTP_ANY_IF, HTTP_LEVELS, LIMIT_EXCEPT};
use crate::session::format::{self, AccessLog, AccessText, Escape, Format, FormatText};
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::sync::Arc;

/// The module.
pub fn modules() -> Vec<Module> {
    vec![Module::new(MODULE).install(install)]
}

const MODULE: crate::conf::module::Module = crate::conf::module::Module {
    name: "ngx_http_log_module",
    directives: &[
        Directive::new("log_format", HTTP, Arity::AtLeast(2), &Custom(log_format))
            .words(&["escape=default", "escape=json", "escape=none"])
            .doc("Gives a name to a line of text and variables."),
        Directive::new("access_log", HTTP_ANY_IF.or(LIMIT_EXCEPT), Arity::AtLeast(1), &Custom(access_log))
            .words(format::WORDS)
            .support(Support::Parts("an empty path is not served"))
            .doc("Sets where requests are logged, and in which format."),
        Directive::checked("open_log_file_cache", HTTP_ANY, Arity::Between(1, 4), &Custom(open_log_file_cache))
            .words(&["max=", "min_uses=", "inactive=", "valid=", "off"])
            .default("off")
            .omitted(Omission::Tunes("only how log files are opened"))
            .doc("Keeps log files open whose names have variables."),
    ],
    scopes: &[Scope::of::<Formats>(HTTP), Scope::of::<Logs>(HTTP_LEVELS)],
};

const COMBINED: &str = "$remote_addr - $remote_user [$time_local] \"$request\" $status $body_bytes_sent \"$http_referer\" \"$http_user_agent\"";

#[derive(Default)]
struct Formats {
    formats: Vec<FormatText>,
}

impl Conf for Formats {
    fn inherit(&mut self, _: &Self) {}
}

#[derive(Default)]
struct Logs {
    logs: Option<Vec<AccessText>>,
    open: Option<u64>,
}

impl Conf for Logs {
    fn inherit(&mut self, outer: &Self) {
        inherit!(self, outer; logs, open);
    }
}

struct Log {
    logs: Vec<AccessLog<Request>>,
}

fn install(levels: &Levels<'_>, place: &mut Place, cx: &mut Compile<'_, '_>) -> Result<(), Diagnostic> {
    let default = [AccessText {
        path: Some(cx.build.access_log_path.to_owned()),
        syslog: None,
        format: "combined".to_owned(),
        buffer: 0,
        varying: None,
        gzip: None,
        flush: None,
        condition: None,
    }];
    let none = Formats::default();
    let formats = levels.get::<Formats>().unwrap_or(&none);
    let log = match levels.get::<Logs>() {
        Some(conf) => cx.once(conf, |cx| open(conf.logs.as_deref().unwrap_or(&default), formats, cx))?,
        None => Arc::new(open(&default, formats, cx)?),
    };
    if !log.logs.is_empty() {
        place.share(Phase::Log, log);
    }
    Ok(())
}

fn open(texts: &[AccessText], formats: &Formats, cx: &mut Compile<'_, '_>) -> Result<Log, Diagnostic> {
    let mut logs = Vec::new();
    for text in texts {
        let format = Arc::new(Format::new(&find(formats, &text.format), &mut cx.names)?);
        logs.push(AccessLog::new(text, format, &mut cx.names, cx.build)?);
    }
    Ok(Log { logs })
}

fn find(formats: &Formats, name: &str) -> FormatText {
    let span = Span { source: SourceId(u32::MAX), start: 0, end: 0 };
    formats.formats.iter().find(|format| format.name == name).cloned().unwrap_or_else(|| FormatText {
        name: name.to_owned(),
        escape: Escape::Default,
        span,
        pieces: vec![Word { bytes: COMBINED.as_bytes().into(), span, quoted: true }],
    })
}

impl Handler for Log {
    fn run<'r>(&'r self, request: &'r mut Request) -> Flow<'r> {
        let turn = request.turn().clone();
        for log in &self.logs {
            if log.varies() && !has_root(request) {
                continue;
            }
            if let Err(text) = log.write(request, &turn) {
                request.log(Level::Crit, &format!("{text} while logging request"));
            }
        }
        Flow::Next
    }
}

/// Whether the folder files are served from is there: without it no log file is made for a name a client may have chosen.
fn has_root(request: &Request) -> bool {
    let path = request.location.settings.root.path.text(request);
    let shown = bytes::text(&path);
    let failed = match std::fs::metadata(OsStr::from_bytes(&path)) {
        Ok(about) if about.is_dir() => return true,
        Ok(_) => std::io::Error::from_raw_os_error(libc::ENOTDIR),
        Err(error) => error,
    };
    let text = crate::conf::walk::errno(&failed);
    request.log(Level::Error, &format!("testing \"{shown}\" existence failed ({text}) while logging request"));
    false
}

fn log_format(cx: &mut Setting<'_>, conf: &mut Formats, statement: &Statement) -> Result<(), Diagnostic> {
    if statement.words.get(1).is_some_and(|name| name.is("combined")) {
        let complaint = Diagnostic::emerg("duplicate \"log_format\" name \"combined\"");
        return Err(complaint.note("\"combined\" is built in"));
    }
    let format = format::log_format(cx, &conf.formats, statement)?;
    conf.formats.push(format);
    Ok(())
}

fn access_log(cx: &mut Setting<'_>, conf: &mut Logs, statement: &Statement) -> Result<(), Diagnostic> {
    let known = cx.conf::<Formats>().map(|formats| formats.formats.clone()).unwrap_or_default();
    let log = format::access_log(cx, &known, Some("combined"), statement)?;
    conf.logs.get_or_insert_with(Vec::new).extend(log);
    Ok(())
}

fn open_log_file_cache(cx: &mut Setting<'_>, conf: &mut Logs, statement: &Statement) -> Result<(), Diagnostic> {
    format::open_log_file_cache(cx, &mut conf.open, statement)
}
