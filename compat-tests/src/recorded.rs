//! What keepalived 2.1.5 said, recorded: tables of `fixtures/keepalived`, whose last cell is a code and lines.
//!
//! The installed keepalived may be a newer one, with other words. `RHA_RECORD=path BLESS=1` writes a table anew with the
//! keepalived at that path (which must be visible in a host of the lab: not below `/tmp`).

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::net::Host;
use crate::program::Program;

/// The keepalived that tables are to be recorded with.
pub fn recorder() -> Option<PathBuf> {
    std::env::var_os("BLESS")?;
    std::env::var_os("RHA_RECORD").map(PathBuf::from)
}

/// A table of `fixtures/keepalived`: rows of cells.
pub fn read(name: &str) -> io::Result<Vec<Vec<String>>> {
    let text = fs::read_to_string(path(name))?;
    Ok(text.lines().map(|line| line.split('\t').map(str::to_owned).collect()).collect())
}

/// Writes such a table.
pub fn write(name: &str, rows: &[Vec<String>]) -> io::Result<()> {
    let text: String = rows.iter().map(|row| row.join("\t") + "\n").collect();
    fs::write(path(name), text)
}

fn path(name: &str) -> PathBuf {
    crate::root().join("fixtures/keepalived").join(name)
}

/// The code and the lines of `-t` for a file of a host; the file's own name is `FILE`. Ours leaves out what it does not
/// serve.
pub fn told(host: &Host, keepalived: &Path, file: &str) -> io::Result<String> {
    let (program, name) = (keepalived.to_owned(), file.to_owned());
    let allowed: &[&str] = if program == Program::Ours.keepalived()? { &["--allow-unserved"] } else { &[] };
    let output = host.run(move || Command::new(program).args(["-t", "-f", &name]).args(allowed).output())??;
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    let own = |line: &&str| !line.starts_with("rkeepalived: not served: ");
    let lines = said.lines().filter(own).map(|line| line.replace(file, "FILE").replace('\t', " "));
    let code = output.status.code().map_or_else(|| "died".to_owned(), |code| code.to_string());
    Ok(std::iter::once(code).chain(lines).collect::<Vec<_>>().join(" | "))
}

/// Holds our outcomes against recorded ones. `known` are rows that differ, by their first cells, and why.
pub fn differences(recorded: &[Vec<String>], ours: &[Vec<String>], known: &[(&[&str], &str)]) -> Vec<String> {
    let mut wrong = Vec::new();
    if recorded.len() != ours.len() {
        wrong.push(format!("{} rows are recorded, and there are {}", recorded.len(), ours.len()));
    }
    for (theirs, ours) in recorded.iter().zip(ours) {
        let why = known.iter().find(|(cells, _)| theirs.iter().zip(*cells).all(|(one, other)| one == other));
        match (theirs == ours, why) {
            (false, None) => wrong.push(format!("theirs {}\nours   {}", theirs.join("\t"), ours.join("\t"))),
            (true, Some((cells, why))) => wrong.push(format!("{cells:?}: no longer different ({why})")),
            _ => {}
        }
    }
    wrong
}
