//! `*_cache_path`: a folder, its zone, and how long and how much it keeps.

use super::kind;
use crate::conf::diagnostic::Diagnostic;
use crate::conf::module::Conf;
use crate::conf::source::Span;
use crate::conf::tree::{Statement, Word};
use crate::conf::value;
use crate::conf::walk::Setting;
use crate::session::paths::{self, Owner};
use crate::session::shared;
use crate::zone::cache::Settings;
use std::time::Duration;

/// What `*_cache_path` takes beside the folder.
pub const PATH_WORDS: &[&str] = &[
    "levels=",
    "use_temp_path=on",
    "use_temp_path=off",
    "keys_zone=",
    "inactive=",
    "max_size=",
    "min_free=",
    "manager_files=",
    "manager_sleep=",
    "manager_threshold=",
    "loader_files=",
    "loader_sleep=",
    "loader_threshold=",
];

/// A cache of an http block.
pub struct CachePath {
    /// Whose.
    pub kind: &'static str,
    /// What is said of it.
    pub settings: Settings,
    /// Where.
    pub span: Span,
}

/// The caches of an http block.
#[derive(Default)]
pub struct CachePaths {
    /// In the order written.
    pub list: Vec<CachePath>,
}

impl Conf for CachePaths {
    fn inherit(&mut self, _: &Self) {}
}

impl CachePaths {
    /// Whether a gateway has a cache of that name.
    pub fn defines(&self, kind: &str, name: &str) -> bool {
        self.list.iter().any(|path| path.kind == kind && path.settings.name == name)
    }
}

/// The setter.
pub fn cache_path<const P: u8>(
    cx: &mut Setting<'_>,
    conf: &mut CachePaths,
    statement: &Statement,
) -> Result<(), Diagnostic> {
    let [folder, parameters @ ..] = statement.arguments() else { return Ok(()) };
    let path = folder.text();
    let path = path.strip_suffix('/').unwrap_or(&path).to_owned();
    let mut settings = Settings::new(cx.full_prefix(&path));
    for word in parameters {
        if let Some(text) = word.after("levels=") {
            settings.levels = levels(text)
                .ok_or_else(|| Diagnostic::emerg(format!("invalid \"levels\" \"{}\"", word.text())).point(word.span))?;
        } else if let Some(text) = word.after("keys_zone=") {
            (settings.name, settings.size) = keys_zone(word, text)?;
        } else {
            parameter(word, &mut settings)?;
        }
    }
    if settings.name.is_empty() {
        return Err(Diagnostic::emerg(format!("\"{}\" must have \"keys_zone\" parameter", cx.row.name)));
    }
    paths::add(cx, &path, &settings.levels, Owner::Cache, statement)?;
    shared::declare(cx, &settings.name, settings.size, kind::<P>())?;
    let first = cx.first("cache", settings.name.as_bytes(), statement.span);
    if conf.list.iter().any(|known| known.settings.name == settings.name) {
        return Err(Diagnostic::emerg(format!("duplicate zone \"{}\"", settings.name)).earlier(first));
    }
    conf.list.push(CachePath { kind: kind::<P>(), settings, span: statement.span });
    Ok(())
}

/// `1:2:2`, at most three levels of one or two digits.
fn levels(text: &[u8]) -> Option<Vec<usize>> {
    if text.is_empty() {
        return Some(Vec::new());
    }
    let parts: Vec<_> = text.split(|byte| *byte == b':').collect();
    let digit = |part: &&[u8]| match part {
        [digit @ b'1'..=b'2'] => Some(usize::from(digit - b'0')),
        _ => None,
    };
    if parts.len() > 3 { None } else { parts.iter().map(digit).collect() }
}

fn keys_zone(word: &Word, text: &[u8]) -> Result<(String, u64), Diagnostic> {
    let fail = |what: &str, shown: &str| Err(Diagnostic::emerg(format!("{what} \"{shown}\"")).point(word.span));
    let colon = memchr::memchr(b':', text);
    let parts = colon.map(|at| (text.get(..at).unwrap_or_default(), text.get(at + 1..).unwrap_or_default()));
    match parts.and_then(|(name, size)| Some((name, value::size(size, false)?))) {
        Some((name, size)) if size >= 8192 => Ok((crate::conf::bytes::text(name).into_owned(), size)),
        Some(_) => Err(Diagnostic::emerg(format!("keys zone \"{}\" is too small", word.text())).point(word.span)),
        None => fail("invalid keys zone size", &word.text()),
    }
}

fn parameter(word: &Word, settings: &mut Settings) -> Result<(), Diagnostic> {
    let text = word.text();
    let (name, value) = text.split_once('=').unwrap_or((&text, ""));
    let bytes = value.as_bytes();
    let read = |ok: bool| {
        if ok && text.contains('=') {
            return Ok(());
        }
        Err(Diagnostic::emerg(format!("invalid {name} value \"{text}\"")).point(word.span))
    };
    let time = |slot: &mut Duration, seconds| read(value::time(bytes, seconds).map(|time| *slot = time).is_some());
    let count = |slot: &mut u64| read(value::number(bytes).map(|number| *slot = number).is_some());
    let size = value::size(bytes, true);
    match name {
        "use_temp_path" => {
            settings.use_temp_path = value == "on";
            match value {
                "on" | "off" => Ok(()),
                _ => {
                    let text = format!("invalid use_temp_path value \"{text}\", it must be \"on\" or \"off\"");
                    Err(Diagnostic::emerg(text).point(word.span))
                }
            }
        }
        "inactive" => time(&mut settings.inactive, true),
        "max_size" => {
            settings.max_size = size;
            read(size.is_some())
        }
        "min_free" => {
            settings.min_free = size.unwrap_or_default();
            read(size.is_some())
        }
        "loader_files" => count(&mut settings.loader.files),
        "manager_files" => count(&mut settings.manager.files),
        "loader_sleep" => time(&mut settings.loader.sleep, false),
        "loader_threshold" => time(&mut settings.loader.threshold, false),
        "manager_sleep" => time(&mut settings.manager.sleep, false),
        "manager_threshold" => time(&mut settings.manager.threshold, false),
        _ => Err(Diagnostic::emerg(format!("invalid parameter \"{text}\"")).point(word.span)),
    }
}
