//! `ngx_stream_log_module`: `access_log` and `log_format`.

use crate::conf::diagnostic::Diagnostic;
use crate::conf::directive::{Arity, Directive, Support};
use crate::conf::module::{Conf, Scope, inherit};
use crate::conf::slot::Custom;
use crate::conf::tree::Statement;
use crate::conf::walk::{Levels, Setting};
use crate::log::Level;
use crate::net::symlinks::{self, Failed};
use crate::session::contexts::{STREAM, STREAM_ANY};
use crate::session::format::{self, AccessLog, AccessText, Format, FormatText};
use crate::session::open_logs::Files;
use crate::stream::module::{Compile, Module, ServerBuilder};
use crate::stream::session::Session;
use crate::stream::site::{Flow, Handler, Phase};
use std::ffi::OsStr;
use std::fs::{File, Metadata};
use std::os::unix::ffi::OsStrExt as _;
use std::sync::Arc;

/// The module.
pub fn modules() -> Vec<Module> {
    vec![Module::new(MODULE).install(install)]
}

const MODULE: crate::conf::module::Module = crate::conf::module::Module {
    name: "ngx_stream_log_module",
    directives: &[
        Directive::new("log_format", STREAM, Arity::AtLeast(2), &Custom(log_format))
            .words(&["escape=default", "escape=json", "escape=none"])
            .since("1.11.4")
            .doc("Gives a name to a line of text and variables."),
        Directive::new("access_log", STREAM_ANY, Arity::AtLeast(1), &Custom(access_log))
            .words(format::WORDS)
            .support(Support::Parts("an empty path, by which nginx means its standard error, is refused"))
            .since("1.11.4")
            .doc("Sets where connections are logged, and in which format."),
        Directive::new("open_log_file_cache", STREAM_ANY, Arity::Between(1, 4), &Custom(open_log_file_cache))
            .words(&["max=", "min_uses=", "inactive=", "valid=", "off"])
            .since("1.11.4")
            .default("off")
            .doc("Keeps log files open whose names have variables."),
    ],
    scopes: &[Scope::of::<Formats>(STREAM), Scope::of::<Logs>(STREAM_ANY)],
};

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
    logs: Vec<AccessLog<Session>>,
}

fn install(levels: &Levels<'_>, place: &mut ServerBuilder, cx: &mut Compile<'_, '_>) -> Result<(), Diagnostic> {
    let texts = levels.get::<Logs>().and_then(|logs| logs.logs.as_deref()).unwrap_or_default();
    let kept = levels.get::<Logs>().and_then(|logs| logs.open.clone()).flatten();
    let formats = levels.get::<Formats>().map(|conf| conf.formats.as_slice()).unwrap_or_default();
    let mut logs = Vec::new();
    for text in texts {
        let Some(format) = formats.iter().find(|format| format.name == text.format) else { continue };
        let format = Arc::new(Format::new(format, &mut cx.names)?);
        logs.push(AccessLog::new(text, format, &mut cx.names, cx.build)?.kept(kept.clone()));
    }
    if !logs.is_empty() {
        place.step(Phase::Log, Log { logs });
    }
    Ok(())
}

/// The files of logs.
struct Places;

impl Files for Places {
    fn open(&self, path: &[u8]) -> Result<File, Failed> {
        symlinks::append(path, None)
    }

    fn info(&self, path: &[u8]) -> Result<Metadata, Failed> {
        std::fs::metadata(OsStr::from_bytes(path)).map_err(|error| Failed { call: "stat()", error })
    }
}

impl Handler for Log {
    fn run(&self, session: &mut Session) -> Flow {
        let event_loop = session.event_loop().clone();
        for log in &self.logs {
            if let Err(text) = log.write(session, &event_loop, &Places) {
                session.log(Level::Crit, &text, "");
            }
        }
        Flow::Next
    }
}

fn log_format(cx: &mut Setting<'_>, conf: &mut Formats, statement: &Statement) -> Result<(), Diagnostic> {
    let format = format::log_format(cx, &conf.formats, statement)?;
    conf.formats.push(format);
    Ok(())
}

fn access_log(cx: &mut Setting<'_>, conf: &mut Logs, statement: &Statement) -> Result<(), Diagnostic> {
    let known = cx.conf::<Formats>().map(|formats| formats.formats.clone()).unwrap_or_default();
    let log = format::access_log(cx, &known, None, statement)?;
    conf.logs.get_or_insert_with(Vec::new).extend(log);
    Ok(())
}

fn open_log_file_cache(cx: &mut Setting<'_>, conf: &mut Logs, statement: &Statement) -> Result<(), Diagnostic> {
    format::open_log_file_cache(cx, &mut conf.open, statement)
}
