//! What `--explain` and `--json` make of every file of `fixtures/nginx/bad` and `fixtures/keepalived/bad`, beside each
//! as `.explain` and `.json`; `BLESS=1` writes them again. The file's own name is shown as `FILE`,
//! and its folder as `FOLDER`.

use std::fs;
use std::io;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use compat_tests::net::{Host, Switch};
use compat_tests::program::Program;
use compat_tests::root;

/// The files with mistakes of one dialect, sorted.
fn cases(dialect: &str) -> io::Result<Vec<PathBuf>> {
    let entries = fs::read_dir(root().join("fixtures").join(dialect).join("bad"))?;
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.map(|entry| entry.path())).collect::<io::Result<_>>()?;
    files.retain(|path| path.extension().is_some_and(|extension| extension == "conf"));
    files.sort();
    Ok(files)
}

fn test(host: &Host, dialect: &str, file: &Path, form: &[&str]) -> io::Result<Output> {
    let mut command = match dialect {
        "nginx" => {
            let mut command = Command::new(Program::Ours.nginx()?);
            let prefix = std::env::temp_dir();
            command
                .args(["-t", "-e", "stderr", "-g", "pid rha-diagnostics.pid;", "-p"])
                .arg(prefix)
                .arg("-c")
                .arg(file);
            command
        }
        _ => {
            let mut command = Command::new(Program::Ours.keepalived()?);
            command.arg("-t").arg("-f").arg(file);
            command
        }
    };
    command.args(form);
    host.run(move || command.output())?
}

fn text(bytes: &[u8], file: &Path) -> String {
    let folder = file.parent().unwrap_or(file).display().to_string();
    String::from_utf8_lossy(bytes).replace(&file.display().to_string(), "FILE").replace(&folder, "FOLDER")
}

/// The message of the first complaint of a plain test, without its place.
fn message(plain: &str, dialect: &str) -> Option<String> {
    if dialect == "nginx" {
        let line = plain.lines().find_map(|line| line.split_once("[emerg] ").map(|(_, rest)| rest))?;
        // With `-e stderr` a line has the form of the log: the process id precedes the message.
        let (_, line) = line.split_once(": ")?;
        return Some(line.split(" in FILE:").next().unwrap_or(line).to_owned());
    }
    let line = plain.lines().find(|line| line.starts_with("(FILE: Line "))?;
    line.split_once(") ").map(|(_, rest)| rest.to_owned())
}

/// Compares, or writes where blessed.
fn hold(expected: &Path, have: &str, wrong: &mut Vec<String>) -> io::Result<()> {
    if std::env::var_os("BLESS").is_some() {
        return fs::write(expected, have);
    }
    let want = fs::read_to_string(expected).unwrap_or_default();
    if want != have {
        wrong.push(format!("{}\nwanted\n{want}\nhave\n{have}", expected.display()));
    }
    Ok(())
}

fn compare(dialect: &str, least: usize) -> io::Result<()> {
    let (files, mut wrong) = (cases(dialect)?, Vec::new());
    assert!(files.len() >= least, "{} files", files.len());
    let (switch, host) = (Switch::new()?, Host::new("reader")?);
    switch.plug(&host, "ens33", Ipv4Addr::new(192, 0, 2, 11), 24)?;
    for file in &files {
        let plain = test(&host, dialect, file, &[])?;
        let explained = test(&host, dialect, file, &["--explain"])?;
        let data = test(&host, dialect, file, &["--json"])?;
        let (shown, json) = (text(&explained.stderr, file), text(&data.stdout, file));
        hold(&file.with_extension("explain"), &shown, &mut wrong)?;
        hold(&file.with_extension("json"), &json, &mut wrong)?;
        let codes = [&plain, &explained, &data].map(|output| output.status.code());
        if codes.iter().any(|code| *code != codes[0]) || !data.stderr.is_empty() || shown.contains('\x1b') {
            wrong.push(format!("{}: {codes:?} {}", file.display(), text(&data.stderr, file)));
        }
        // All errors begin with the one the original knows.
        let first = message(&text(&plain.stderr, file), dialect);
        if first.as_ref().is_some_and(|first| !shown.contains(first.as_str())) {
            wrong.push(format!("{}: {first:?} is not in\n{shown}", file.display()));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n----\n"));
    Ok(())
}

#[test]
fn every_mistake_of_an_nginx_file_is_shown_with_its_place() -> io::Result<()> {
    compare("nginx", 40)
}

#[test]
fn every_mistake_of_a_keepalived_file_is_shown_with_its_place() -> io::Result<()> {
    compare("keepalived", 15)
}
