//! What `-t` says of a configuration: the installed nginx and ours, line for line, over the files of
//! `fixtures/nginx/verdict`. `RHA_CASE=words` runs only the cases whose titles hold them.

use std::fs;
use std::io;

use compat_tests::net::Host;
use compat_tests::program::Program;
use compat_tests::verdict::{difference, parse};

/// Runs the cases of a file and reports everything that is wrong at once.
fn compare(name: &str) -> io::Result<()> {
    if Program::Original.nginx().is_err() {
        return Ok(());
    }
    let host = Host::new("reader")?;
    let file = fs::read(compat_tests::root().join(format!("fixtures/nginx/verdict/{name}.verdicts")))?;
    let words = std::env::var("RHA_CASE").unwrap_or_default();
    let cases: Vec<_> = parse(&file).into_iter().filter(|case| case.title.contains(&words)).collect();
    assert!(!cases.is_empty() || !words.is_empty(), "{name} holds no case");
    let mut wrong = Vec::new();
    for case in &cases {
        wrong.extend(difference(&host, case)?);
    }
    assert!(wrong.is_empty(), "{} of {} differ\n{}", wrong.len(), cases.len(), wrong.join("\n----\n"));
    Ok(())
}

#[test]
fn filters_are_judged_as_nginx_judges_them() -> io::Result<()> {
    compare("filters")
}

#[test]
fn main_and_events_are_judged_as_nginx_judges_them() -> io::Result<()> {
    compare("core")
}

#[test]
fn mail_is_judged_as_nginx_judges_it() -> io::Result<()> {
    compare("mail")
}

#[test]
fn streams_are_judged_as_nginx_judges_them() -> io::Result<()> {
    compare("streams")
}

#[test]
fn tls_is_judged_as_nginx_judges_it() -> io::Result<()> {
    compare("tls")
}

#[test]
fn rules_are_judged_as_nginx_judges_them() -> io::Result<()> {
    compare("rules")
}

#[test]
fn servers_are_judged_as_nginx_judges_them() -> io::Result<()> {
    compare("servers")
}

#[test]
fn gateways_are_judged_as_nginx_judges_them() -> io::Result<()> {
    compare("gateways")
}

#[test]
fn the_same_names_may_be_defined_anew() -> io::Result<()> {
    if Program::Original.nginx().is_err() {
        return Ok(());
    }
    let host = Host::new("reader")?;
    let names = fs::read_to_string(compat_tests::root().join("fixtures/nginx/variables.txt"))?;
    let mut wrong = Vec::new();
    for name in names.lines() {
        for text in [format!("server {{ set ${name} x; }}"), format!("map $uri ${name} {{ a b; }}")] {
            let text = format!("events {{ }} http {{ {text} }}\n").into_bytes();
            let case = compat_tests::verdict::Case { title: name.to_owned(), text, expected: None };
            wrong.extend(difference(&host, &case)?);
        }
    }
    assert!(wrong.is_empty(), "{} differ\n{}", wrong.len(), wrong.join("\n----\n"));
    Ok(())
}
