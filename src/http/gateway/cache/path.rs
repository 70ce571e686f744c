//! `*_cache_path`: a folder, its zone, and how long and how much it keeps.

use super::kind;
use crate::conf::diagnostic::Diagnostic;
use crate::conf::module::Conf;
use crate::conf::tree::{Statement, Word};
use crate::conf::value;
use crate::conf::walk::Setting;
use crate::session::paths::{self, Owner};
use crate::session::shared;

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

/// The caches of an http block: whose, and the zone's name.
#[derive(Default)]
pub struct CachePaths {
    zones: Vec<(&'static str, String)>,
}

impl Conf for CachePaths {
    fn inherit(&mut self, _: &Self) {}
}

impl CachePaths {
    /// Whether a gateway has a cache of that name.
    pub fn defines(&self, kind: &str, name: &str) -> bool {
        self.zones.iter().any(|(of, known)| *of == kind && known == name)
    }
}

/// The setter.
pub fn cache_path<const P: u8>(
    cx: &mut Setting<'_>,
    conf: &mut CachePaths,
    statement: &Statement,
) -> Result<(), Diagnostic> {
    let [folder, parameters @ ..] = statement.arguments() else { return Ok(()) };
    let (mut zone, mut levels) = (None, Vec::new());
    for word in parameters {
        if let Some(text) = word.after("levels=") {
            levels = self::levels(text)
                .ok_or_else(|| Diagnostic::emerg(format!("invalid \"levels\" \"{}\"", word.text())).point(word.span))?;
        } else if let Some(text) = word.after("keys_zone=") {
            zone = Some(keys_zone(word, text)?);
        } else {
            parameter(word)?;
        }
    }
    let Some((name, size)) = zone.filter(|(name, _)| !name.is_empty()) else {
        return Err(Diagnostic::emerg(format!("\"{}\" must have \"keys_zone\" parameter", cx.row.name)));
    };
    let path = folder.text();
    let path = path.strip_suffix('/').unwrap_or(&path);
    paths::add(cx, path, &levels, Owner::Cache, statement)?;
    shared::declare(cx, &name, size, kind::<P>())?;
    let first = cx.first("cache", name.as_bytes(), statement.span);
    if conf.zones.iter().any(|(_, known)| *known == name) {
        return Err(Diagnostic::emerg(format!("duplicate zone \"{name}\"")).earlier(first));
    }
    conf.zones.push((kind::<P>(), name));
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

fn parameter(word: &Word) -> Result<(), Diagnostic> {
    let text = word.text();
    let (name, value) = text.split_once('=').unwrap_or((&text, ""));
    let bytes = value.as_bytes();
    let fine = match name {
        "use_temp_path" => {
            return match value {
                "on" | "off" => Ok(()),
                _ => {
                    let text = format!("invalid use_temp_path value \"{text}\", it must be \"on\" or \"off\"");
                    Err(Diagnostic::emerg(text).point(word.span))
                }
            };
        }
        "inactive" => value::time(bytes, true).is_some(),
        "max_size" | "min_free" => value::size(bytes, true).is_some(),
        "loader_files" | "manager_files" => value::number(bytes).is_some(),
        "loader_sleep" | "loader_threshold" | "manager_sleep" | "manager_threshold" => {
            value::time(bytes, false).is_some()
        }
        _ => return Err(Diagnostic::emerg(format!("invalid parameter \"{text}\"")).point(word.span)),
    };
    if fine && text.contains('=') {
        return Ok(());
    }
    Err(Diagnostic::emerg(format!("invalid {name} value \"{text}\"")).point(word.span))
}
