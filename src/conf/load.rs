//! Reads the files that a configuration names: the main one, those of `include`, and those that setters look into.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use super::diagnostic::{self, Diagnostic, Severity, reason};
use super::dialect::Dialect;
use super::near::near;
use super::source::{Kind, Loader, Sources};
use super::tree::Block;

/// Where relative paths start; both end in a slash.
#[derive(Clone, Debug, Default)]
pub struct Bases {
    /// The main file's folder, for files of the configuration.
    pub conf: String,
    /// The prefix, for everything else.
    pub prefix: String,
}

/// `path`, starting at `base` unless it is absolute.
pub fn full(base: &str, path: &str) -> String {
    if path.starts_with('/') { path.to_owned() } else { format!("{base}{path}") }
}

/// The statements of the files a pattern names.
///
/// # Errors
/// What nginx says of a file that cannot be read.
pub fn load(
    loader: &dyn Loader,
    sources: &mut Sources,
    dialect: Dialect,
    path: &str,
) -> Result<Vec<Block>, Diagnostic> {
    names(loader, path)?.iter().map(|name| load_one(loader, sources, dialect, name)).collect()
}

/// The files a pattern names.
///
/// # Errors
/// What nginx says of a folder that cannot be read.
pub fn names(loader: &dyn Loader, path: &str) -> Result<Vec<String>, Diagnostic> {
    if path.contains(['*', '?', '[']) {
        loader.glob(path).map_err(|error| Diagnostic::emerg(format!("glob() \"{path}\" failed ({})", errno(&error))))
    } else {
        Ok(vec![path.to_owned()])
    }
}

/// The statements of a file.
///
/// # Errors
/// What nginx says of a file that cannot be read.
pub fn load_one(loader: &dyn Loader, sources: &mut Sources, dialect: Dialect, name: &str) -> Result<Block, Diagnostic> {
    let text = loader.load(name).map_err(|error| beside(unreadable(name, &error), name, loader, dialect))?;
    let id = sources.add(name, Kind::File, text);
    let bytes = sources.text(id).map(|source| source.text.clone()).unwrap_or_else(|| [].into());
    Ok((dialect.lex)(&bytes, id))
}

fn unreadable(name: &str, error: &std::io::Error) -> Diagnostic {
    if error.kind() == std::io::ErrorKind::IsADirectory {
        return Diagnostic::new(Severity::Crit, format!("pread() \"{name}\" failed ({})", errno(error))).unlined();
    }
    Diagnostic::emerg(format!("open() \"{name}\" failed ({})", errno(error)))
}

/// `2: No such file or directory`, nginx's form of an errno.
pub fn errno(error: &std::io::Error) -> String {
    match error.raw_os_error() {
        Some(code) => format!("{code}: {}", reason(error)),
        None => reason(error),
    }
}

/// The same complaint about a file that cannot be read, with the file beside it whose name is near.
pub fn beside(complaint: Diagnostic, path: &str, loader: &dyn Loader, dialect: Dialect) -> Diagnostic {
    let complaint = complaint.kind(diagnostic::Kind::File);
    let Some((folder, name)) = path.rsplit_once('/').filter(|_| dialect.every) else { return complaint };
    let names = loader.glob(&format!("{folder}/*")).unwrap_or_default();
    let names = names.iter().filter_map(|path| path.rsplit_once('/').map(|(_, name)| name));
    match near(name, names.filter(|other| *other != name)) {
        Some(near) => complaint.help(format!("did you mean \"{folder}/{near}\"?")),
        None => complaint,
    }
}
