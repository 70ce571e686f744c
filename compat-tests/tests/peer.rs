//! The live comparison with the installed nginx: status, headers, body, the log line, and the request as the backend saw it.
//!
//! Each file of `fixtures/nginx/peer` is a group. nginx is compared with itself first: a case that it does not answer twice
//! alike, or not with the status its title says, proves nothing. `RHA_CASE=words` runs only the cases whose names hold them;
//! `RHA_OURS=1` asks rnginx for groups that are not READY yet.

use std::fs;

use compat_tests::case::{Case, Group, parse};
use compat_tests::peer::{Bench, Outcome, difference, statuses};
use compat_tests::program::Program;

/// The groups that are asked of rnginx too.
const READY: &[&str] = &[
    "requests",
    "connections",
    "names",
    "files",
    "answers",
    "values",
    "proxy",
    "upstreams",
    "access",
    "streams",
    "rewrites",
    "ifs",
    "realip",
    "tables",
];

fn groups(name: &str) -> Vec<Group> {
    let path = compat_tests::root().join(format!("fixtures/nginx/peer/{name}.cases"));
    let mut groups = parse(&fs::read_to_string(path).expect("a file of cases")).expect("cases");
    if let Ok(words) = std::env::var("RHA_CASE") {
        groups.iter_mut().for_each(|group| group.cases.retain(|case| case.name.contains(&words)));
        groups.retain(|group| !group.cases.is_empty());
    }
    groups
}

/// What is wrong with a case as nginx answers it.
fn unproved(case: &Case, first: &Result<Outcome, String>, second: &Result<Outcome, String>) -> Option<String> {
    match (first, second) {
        (Ok(first), Ok(second)) => {
            if let Some(text) = difference(first, second) {
                return Some(format!("nginx differs from itself\n{text}"));
            }
            let expected = case.statuses.as_ref()?;
            let found: Vec<_> = first.answers.iter().map(|answer| statuses(case, answer)).collect();
            let wrong = found.iter().any(|found| found != expected);
            wrong.then(|| format!("nginx answers {found:?}, the title says {expected:?}"))
        }
        (Err(error), _) | (_, Err(error)) => Some(format!("nginx: {error}")),
    }
}

type Run = std::io::Result<Vec<Result<Outcome, String>>>;

/// Whether the same program did the same twice.
fn agree(one: &Run, two: &Run) -> bool {
    let (Ok(one), Ok(two)) = (one, two) else { return true };
    one.iter().zip(two).all(|outcomes| match outcomes {
        (Ok(one), Ok(two)) => difference(one, two).is_none(),
        _ => true,
    })
}

/// What is wrong with our outcome.
fn verdict(case: &Case, original: &Outcome, ours: &Outcome) -> Option<String> {
    let Some(text) = &case.newer else { return difference(original, ours) };
    let holds = |answer: &Vec<u8>| answer.windows(text.len()).any(|window| window == text);
    let missing = ours.answers.iter().find(|answer| !holds(answer))?;
    Some(format!("    nginx 1.23 says {}, ours: {}", text.escape_ascii(), missing.escape_ascii()))
}

/// Runs a group and reports everything that is wrong at once.
fn compare(name: &str) {
    let (first, second) = (Bench::new(Program::Original), Bench::new(Program::Original));
    let (first, second) = (first.expect("a host with nginx"), second.expect("another"));
    let asked = READY.contains(&name) || std::env::var_os("RHA_OURS").is_some();
    let ours = asked.then(|| Bench::new(Program::Ours).expect("a host with rnginx"));
    let (mut wrong, mut count) = (Vec::new(), 0);
    for group in groups(name) {
        let (mut one, mut two) = (first.run(&group), second.run(&group));
        // A busy machine may cut what nginx sends late: then it does not agree with itself, and is asked again.
        for _ in 0..2 {
            if agree(&one, &two) {
                break;
            }
            (one, two) = (first.run(&group), second.run(&group));
        }
        let runs = (one, two, ours.as_ref().map(|ours| ours.run(&group)).transpose());
        let (one, two, our) = match runs {
            (Ok(one), Ok(two), Ok(our)) => (one, two, our),
            (Err(error), ..) | (_, Err(error), _) => {
                wrong.push(format!("nginx, before \"{}\": {error}", group.cases[0].name));
                continue;
            }
            (.., Err(error)) => {
                wrong.push(format!(
                    "rnginx, before \"{}\" and {} more: {error}",
                    group.cases[0].name,
                    group.cases.len()
                ));
                continue;
            }
        };
        for (place, case) in group.cases.iter().enumerate() {
            count += 1;
            if let Some(text) = unproved(case, &one[place], &two[place]) {
                wrong.push(format!("{}: {text}", case.name));
                continue;
            }
            let (Ok(original), Some(our)) = (&one[place], our.as_ref().map(|our| &our[place])) else { continue };
            match our {
                Ok(our) => wrong.extend(verdict(case, original, our).map(|text| format!("{}\n{text}", case.name))),
                Err(error) => wrong.push(format!("{}: rnginx: {error}", case.name)),
            }
        }
    }
    let whom = if ours.is_some() { "nginx and rnginx" } else { "nginx alone" };
    println!("{name}: {count} cases on {whom}, {} wrong", wrong.len());
    assert!(wrong.is_empty(), "{} of {count} cases of {name}:\n{}", wrong.len(), wrong.join("\n"));
    assert!(count > 0, "no cases");
}

#[test]
fn requests_are_read_as_nginx_reads_them() {
    compare("requests");
}

#[test]
fn connections_and_bodies_are_kept_as_nginx_keeps_them() {
    compare("connections");
}

#[test]
fn servers_and_locations_are_chosen_as_nginx_chooses_them() {
    compare("names");
}

#[test]
fn files_are_sent_as_nginx_sends_them() {
    compare("files");
}

#[test]
fn answers_and_error_pages_are_nginxs() {
    compare("answers");
}

#[test]
fn variables_have_nginxs_values() {
    compare("values");
}

#[test]
fn backends_see_what_nginx_shows_them() {
    compare("proxy");
}

#[test]
fn upstreams_are_balanced_as_nginx_balances_them() {
    compare("upstreams");
}

#[test]
fn access_is_granted_as_nginx_grants_it() {
    compare("access");
}

#[test]
fn paths_are_rewritten_as_nginx_rewrites_them() {
    compare("rewrites");
}

#[test]
fn ifs_hold_as_they_do_in_nginx() {
    compare("ifs");
}

#[test]
fn clients_are_who_trusted_proxies_say() {
    compare("realip");
}

#[test]
fn addresses_and_shares_have_nginxs_values() {
    compare("tables");
}

#[test]
fn streams_flow_as_through_nginx() {
    compare("streams");
}
