//! The loader over files and globs; the one impure file of this room.

use super::bytes;
use super::source::{Loader, Named};
use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::MetadataExt as _;

/// Texts from the file system.
#[derive(Clone, Copy, Debug, Default)]
pub struct Disk;

impl Loader for Disk {
    fn load(&self, path: &str) -> io::Result<Vec<u8>> {
        fs::read(bytes::path(path))
    }

    /// Expands `*`, `?` and `[…]` in each part of the path, sorted, as glob(3) does.
    fn glob(&self, pattern: &str) -> io::Result<Vec<String>> {
        let mut found = vec![if pattern.starts_with('/') { "/".to_owned() } else { String::new() }];
        for part in pattern.split('/').filter(|part| !part.is_empty()) {
            found = found.iter().flat_map(|base| step(base, part)).collect();
        }
        Ok(found)
    }

    fn named(&self, path: &str) -> Named {
        match fs::metadata(bytes::path(path)) {
            Ok(at) if at.is_dir() => Named::Folder,
            Ok(at) if !at.is_file() || at.mode() & 0o111 != 0 => Named::Other,
            Ok(_) | Err(_) => Named::Text,
        }
    }
}

fn step(base: &str, part: &str) -> Vec<String> {
    let join = |name: &str| match base {
        "" => name.to_owned(),
        base if base.ends_with('/') => format!("{base}{name}"),
        base => format!("{base}/{name}"),
    };
    if !part.contains(['*', '?', '[']) {
        let path = join(part);
        return if fs::symlink_metadata(bytes::path(&path)).is_ok() { vec![path] } else { Vec::new() };
    }
    let Ok(entries) = fs::read_dir(if base.is_empty() { ".".into() } else { bytes::path(base) }) else {
        return Vec::new();
    };
    let mut names: Vec<String> = entries
        .filter_map(|entry| Some(bytes::text(entry.ok()?.file_name().as_bytes()).into_owned()))
        .filter(|name| {
            (!name.starts_with('.') || part.starts_with('.')) && matches(&bytes::raw(part), &bytes::raw(name))
        })
        .collect();
    names.sort_by(|one, other| bytes::raw(one).cmp(&bytes::raw(other)));
    names.iter().map(|name| join(name)).collect()
}

/// fnmatch(3) for one part of a path.
fn matches(pattern: &[u8], name: &[u8]) -> bool {
    match (pattern, name) {
        ([], []) => true,
        ([b'*', rest @ ..], _) => (0..=name.len()).any(|skip| matches(rest, name.get(skip..).unwrap_or_default())),
        ([b'?', rest @ ..], [_, name @ ..]) => matches(rest, name),
        ([b'[', set @ ..], [byte, tail @ ..]) => match set_matches(set, *byte) {
            Some((true, rest)) => matches(rest, tail),
            Some((false, _)) => false,
            None => *byte == b'[' && matches(set, tail),
        },
        ([b'\\', literal, rest @ ..], [byte, tail @ ..]) => literal == byte && matches(rest, tail),
        ([literal, rest @ ..], [byte, tail @ ..]) => literal == byte && matches(rest, tail),
        _ => false,
    }
}

/// Whether `byte` is in the set that `pattern` begins with, and what follows the set's `]`.
fn set_matches(pattern: &[u8], byte: u8) -> Option<(bool, &[u8])> {
    let (negated, body) = match pattern {
        [b'!' | b'^', rest @ ..] => (true, rest),
        rest => (false, rest),
    };
    let end = body.iter().skip(1).position(|b| *b == b']')? + 1;
    let mut set = body.get(..end)?;
    let mut found = false;
    while let [low, rest @ ..] = set {
        match rest {
            [b'-', high, after @ ..] => {
                found |= (*low..=*high).contains(&byte);
                set = after;
            }
            _ => {
                found |= *low == byte;
                set = rest;
            }
        }
    }
    Some((found != negated, body.get(end + 1..)?))
}

#[cfg(test)]
mod tests {
    use super::matches;

    #[test]
    fn patterns_match_as_the_shell_does() {
        assert!(matches(b"*.conf", b"a.conf") && !matches(b"*.conf", b"a.con"));
        assert!(matches(b"[a-c]?.x", b"b1.x") && !matches(b"[!a-c]?.x", b"b1.x"));
        assert!(matches(b"a**b", b"ab") && matches(b"[", b"["));
    }
}
