//! `ngx_http_log_module`: `access_log` and `log_format`.

use crate::conf::bytes;
use crate::conf::diagnostic::Diagnostic;
use crate::conf::directive::{Arity, Directive, Support};
use crate::conf::module::{Conf, Scope, inherit};
use crate::conf::slot::Custom;
use crate::conf::source::{SourceId, Span};
use crate::conf::tree::{Statement, Word};
use crate::conf::walk::{Levels, Setting};
use crate::http::heart::handler::{Flow, Handler, Phase};
use crate::http::heart::module::{Compile, LocationBuilder, Module};
use crate::http::heart::request::Request;
use crate::log::Level;
use crate::net::symlinks::{self, Failed};
use crate::session::contexts::{HTTP, HTTP_ANY, HTTP_ANY_IF, HTTP_LEVELS, LIMIT_EXCEPT};
use crate::session::format::{self, AccessLog, AccessText, Escape, Format, FormatText};
use crate::session::open_logs::Files;
use std::fs::{File, Metadata};
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
            .support(Support::Parts("an empty path, by which nginx means its standard error, is refused"))
            .doc("Sets where requests are logged, and in which format."),
        Directive::new("open_log_file_cache", HTTP_ANY, Arity::Between(1, 4), &Custom(open_log_file_cache))
            .words(&["max=", "min_uses=", "inactive=", "valid=", "off"])
            .default("off")
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
    open: Option<format::Kept>,
}

impl Conf for Logs {
    fn inherit(&mut self, outer: &Self) {
        inherit!(self, outer; logs, open);
    }
}

struct Log {
    logs: Vec<AccessLog<Request>>,
}

fn install(levels: &Levels<'_>, place: &mut LocationBuilder, cx: &mut Compile<'_, '_>) -> Result<(), Diagnostic> {
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
        Some(conf) => {
            let kept = conf.open.clone().flatten();
            cx.once(conf, |cx| open(conf.logs.as_deref().unwrap_or(&default), formats, kept, cx))?
        }
        None => Arc::new(open(&default, formats, None, cx)?),
    };
    if !log.logs.is_empty() {
        place.share(Phase::Log, log);
    }
    Ok(())
}

fn open(
    texts: &[AccessText],
    formats: &Formats,
    kept: format::Kept,
    cx: &mut Compile<'_, '_>,
) -> Result<Log, Diagnostic> {
    let mut logs = Vec::new();
    for text in texts {
        let format = Arc::new(Format::new(&find(formats, &text.format), &mut cx.names)?);
        logs.push(AccessLog::new(text, format, &mut cx.names, cx.build)?.kept(kept.clone()));
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
        let event_loop = request.event_loop().clone();
        for log in &self.logs {
            if log.varies() && !has_root(request) {
                continue;
            }
            if let Err(text) = log.write(request, &event_loop, &Places(request)) {
                request.log(Level::Crit, &format!("{text} while logging request"));
            }
        }
        Flow::Next
    }
}

/// The files of logs, as `disable_symlinks` of the request's location allows.
struct Places<'a>(&'a Request);

impl Files for Places<'_> {
    fn open(&self, path: &[u8]) -> Result<File, Failed> {
        symlinks::append(path, self.0.walk(path))
    }

    fn info(&self, path: &[u8]) -> Result<Metadata, Failed> {
        self.0.file_info(path)
    }
}

/// Whether the folder files are served from is there: without it no log file is made for a name a client may have chosen.
fn has_root(request: &Request) -> bool {
    let path = request.location.settings.root.path.text(request);
    let shown = bytes::text(&path);
    let failed = match request.folder_info(&path) {
        Ok(about) if about.is_dir() => return true,
        Ok(_) => std::io::Error::from_raw_os_error(libc::ENOTDIR),
        Err(failed) => failed.error,
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
