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
use serde_json::Value;

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

/// The schema of what one program prints.
pub fn schema(name: &str) -> io::Result<jsonschema::Validator> {
    let text = fs::read_to_string(root().join(format!("fixtures/schema/{name}.schema.json")))?;
    let schema: Value = serde_json::from_str(&text).map_err(io::Error::other)?;
    jsonschema::validator_for(&schema).map_err(|error| io::Error::other(error.to_string()))
}

/// JSON as its schema has it, and a SARIF result for every complaint with the same lines.
fn shape(schema: &jsonschema::Validator, json: &[u8], sarif: &[u8]) -> Result<(), String> {
    let read = |text: &[u8]| serde_json::from_slice::<Value>(text).map_err(|error| error.to_string());
    let (json, sarif) = (read(json)?, read(sarif)?);
    if let Some(error) = schema.iter_errors(&json).next() {
        return Err(format!("{error} at {}", error.instance_path()));
    }
    let list = |value: &Value, path: &str| value.pointer(path).and_then(Value::as_array).cloned().unwrap_or_default();
    let place = "/locations/0/physicalLocation/region/startLine";
    let ours: Vec<_> = list(&json, "/diagnostics").iter().map(|one| one.pointer("/span/line").cloned()).collect();
    let theirs: Vec<_> = list(&sarif, "/runs/0/results").iter().map(|one| one.pointer(place).cloned()).collect();
    let rules: Vec<_> = list(&sarif, "/runs/0/tool/driver/rules").iter().map(|rule| rule["id"].clone()).collect();
    let known = list(&sarif, "/runs/0/results").iter().all(|one| rules.contains(&one["ruleId"]));
    if ours.is_empty() || ours != theirs || !known || sarif["version"] != "2.1.0" {
        return Err(format!("lines {ours:?} in JSON, {theirs:?} in SARIF"));
    }
    Ok(())
}

fn compare(dialect: &str, least: usize) -> io::Result<()> {
    let (files, mut wrong) = (cases(dialect)?, Vec::new());
    let schema = schema("test")?;
    assert!(files.len() >= least, "{} files", files.len());
    let (switch, host) = (Switch::new()?, Host::new("reader")?);
    switch.plug(&host, "ens33", Ipv4Addr::new(192, 0, 2, 11), 24)?;
    for file in &files {
        let plain = test(&host, dialect, file, &[])?;
        let explained = test(&host, dialect, file, &["--explain"])?;
        let data = test(&host, dialect, file, &["--json"])?;
        let sarif = test(&host, dialect, file, &["--sarif"])?;
        let (shown, json) = (text(&explained.stderr, file), text(&data.stdout, file));
        hold(&file.with_extension("explain"), &shown, &mut wrong)?;
        hold(&file.with_extension("json"), &json, &mut wrong)?;
        wrong.extend(
            shape(&schema, &data.stdout, &sarif.stdout).err().map(|what| format!("{}: {what}", file.display())),
        );
        let codes = [&plain, &explained, &data, &sarif].map(|output| output.status.code());
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
