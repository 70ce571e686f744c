//! `rmigrate lint`: every rule finds its fixture and leaves the near miss alone; the article's nodes; the corpora.
//!
//! A fixture holds the files of a mistake behind `=== found` and those of a near miss behind `=== quiet`; `--- A/name` is
//! a file of node A, `--- name` one of the only node. `BLESS=1` writes the article's findings anew.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use compat_tests::{Scratch, root};
use rha::migrate::cli::answer;
use serde_json::Value;

/// What lint says, and its exit code.
fn lint(words: &[&str]) -> (String, u8) {
    answer(&[&["rmigrate", "lint", "--format", "json"][..], words].concat())
}

/// Whether findings of `rule` are in an answer.
fn says(answer: &str, rule: &str) -> bool {
    answer.contains(&format!("\"rule\": \"{rule}\"")) || answer.contains(&format!("\"rule\":\"{rule}\""))
}

/// The rules, as the program lists them.
fn rules() -> Vec<String> {
    let (text, code) = answer(&["rmigrate", "lint", "--rules", "--format", "json"]);
    assert_eq!(code, 0, "{text}");
    text.split("\"rule\":").skip(1).filter_map(|rest| Some(rest.split('"').nth(1)?.to_owned())).collect()
}

/// Writes one half of a fixture and gives the words that name its files.
fn written(text: &str, folder: &Path) -> Vec<String> {
    let mut nodes: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for part in text.split("--- ").skip(1) {
        let (name, body) = part.split_once('\n').expect("a file has a name");
        let path = folder.join(name);
        fs::create_dir_all(path.parent().expect("a file is in a folder")).expect("the folder can be made");
        fs::write(&path, body).expect("the file can be written");
        let node = name.split_once('/').map_or("", |(node, _)| node);
        nodes.entry(node.to_owned()).or_default().push(path.to_string_lossy().into_owned());
    }
    let node = |(name, files): (String, Vec<String>)| match name.as_str() {
        "" => files,
        name => vec!["--node".to_owned(), format!("{name}={}", files.join(","))],
    };
    nodes.into_iter().flat_map(node).collect()
}

#[test]
fn every_rule_finds_its_mistake_and_leaves_the_near_miss_alone() {
    let folder = root().join("fixtures/migrate/lint/rules");
    let mut wrong = Vec::new();
    let rules = rules();
    assert!(rules.len() > 60, "{rules:?}");
    // What these look at are permissions, which a repository does not keep.
    for rule in rules.iter().filter(|rule| !["script-missing", "script-unsafe"].contains(&rule.as_str())) {
        let Ok(text) = fs::read_to_string(folder.join(format!("{rule}.txt"))) else {
            wrong.push(format!("{rule} has no fixture"));
            continue;
        };
        let (found, quiet) = text.split_once("=== quiet\n").expect("a fixture has both halves");
        for (half, wanted) in [(found, true), (quiet, false)] {
            let scratch = Scratch::new("lint").expect("a folder");
            let words = written(half, scratch.path());
            let (said, code) = lint(&words.iter().map(String::as_str).collect::<Vec<_>>());
            if says(&said, rule) != wanted || code > 1 {
                wrong.push(format!("{rule}: wanted {wanted}, exit code {code}\n{said}"));
            }
        }
    }
    let stray = fs::read_dir(&folder).expect("the fixtures are there").filter_map(Result::ok).filter(|entry| {
        let name = entry.file_name().to_string_lossy().trim_end_matches(".txt").to_owned();
        !rules.contains(&name)
    });
    wrong.extend(stray.map(|entry| format!("{:?} is no rule's", entry.file_name())));
    assert!(wrong.is_empty(), "{}", wrong.join("\n----\n"));
}

/// The first finding of a rule in a half of its fixture: what lint says, and what would help.
fn said(half: &str, rule: &str) -> Option<(String, Option<String>)> {
    let scratch = Scratch::new("lint").expect("a folder");
    let words = written(half, scratch.path());
    let (text, _) = lint(&words.iter().map(String::as_str).collect::<Vec<_>>());
    let answer: Value = serde_json::from_str(&text).ok()?;
    let parts = answer["sections"].as_array()?.iter().filter_map(|section| section["parts"].as_array()).flatten();
    let mut findings = parts.filter_map(|part| part["findings"].as_array()).flatten();
    let finding = findings.find(|finding| finding["rule"] == rule)?;
    let folder = format!("{}/", scratch.path().display());
    let plain = |value: &Value| value.as_str().map(|text| text.replace(&folder, ""));
    Some((plain(&finding["text"])?, plain(&finding["help"])))
}

/// docs/lint.md: each rule with the files of its fixture, what it says of them, and what would help.
fn page() -> String {
    let (list, _) = answer(&["rmigrate", "lint", "--rules", "--format", "json"]);
    let list: Value = serde_json::from_str(&list).expect("JSON");
    let rows = list["sections"][0]["parts"][0]["rows"].as_array().cloned().unwrap_or_default();
    let mut out = String::from(
        "# The rules of rmigrate lint\n\nMade from the rules and their fixtures. Each has files in which it finds something, \
         what it says of them, what would help, and files that are near it and well.\n",
    );
    for row in rows {
        let cell = |name: &str| row[name].as_str().unwrap_or_default().to_owned();
        let rule = cell("rule");
        out.push_str(&format!("\n## {rule}\n\n{}: {}.\n", cell("severity"), cell("what is looked for")));
        let path = root().join(format!("fixtures/migrate/lint/rules/{rule}.txt"));
        let Ok(text) = fs::read_to_string(path) else { continue };
        let Some((found, quiet)) = text.split_once("=== quiet\n") else { continue };
        let found = found.trim_start_matches("=== found\n");
        out.push_str(&format!("\n```\n{}\n```\n", found.trim_end()));
        if let Some((text, help)) = said(found, &rule) {
            out.push_str(&format!("\n> {}\n", text.replace('\n', "\n> ")));
            out.push_str(&help.map(|help| format!(">\n> help: {}\n", help.replace('\n', "\n> "))).unwrap_or_default());
        }
        out.push_str(&format!("\nNothing is found in:\n\n```\n{}\n```\n", quiet.trim_end()));
    }
    out
}

#[test]
fn the_page_of_the_rules_is_what_they_say() {
    let (path, page) = (root().join("docs/lint.md"), page());
    if std::env::var_os("BLESS").is_some() {
        fs::write(&path, &page).expect("the page can be written");
    }
    assert!(page.matches("\n> ").count() > 60 && !page.contains("/tmp/"), "{page}");
    assert!(fs::read_to_string(&path).unwrap_or_default() == page, "write it anew with BLESS=1");
}

#[test]
fn scripts_are_looked_up_below_the_root() {
    let scratch = Scratch::new("lint").expect("a folder");
    let folder = scratch.path();
    fs::create_dir_all(folder.join("etc/keepalived")).expect("the folder can be made");
    let conf = "global_defs {\n script_user root\n enable_script_security\n}\n\
                vrrp_script s {\n script \"/etc/keepalived/s.sh\"\n}\n\
                vrrp_instance V {\n interface eth0\n virtual_router_id 5\n priority 9\n track_script {\n s\n }\n \
                virtual_ipaddress {\n 192.0.2.1\n }\n}\n";
    fs::write(folder.join("etc/keepalived/keepalived.conf"), conf).expect("the file can be written");
    let asked = || lint(&["--root", &folder.to_string_lossy(), "/etc/keepalived/keepalived.conf"]).0;
    assert!(says(&asked(), "script-missing"));
    let script = folder.join("etc/keepalived/s.sh");
    fs::write(&script, "#!/bin/sh\npidof nginx\n").expect("the file can be written");
    let mode = |bits| fs::set_permissions(&script, fs::Permissions::from_mode(bits)).expect("the mode can be set");
    mode(0o644);
    assert!(says(&asked(), "script-unsafe") && !says(&asked(), "script-missing"));
    mode(0o777);
    assert!(says(&asked(), "script-unsafe"));
    mode(0o755);
    assert!(!says(&asked(), "script-unsafe") && !says(&asked(), "script-never-fails"));
    fs::write(&script, "#!/bin/sh\npidof nginx || nginx\nexit 0\n").expect("the file can be written");
    assert!(says(&asked(), "script-never-fails") && says(&asked(), "script-restarts"));
}

#[test]
fn of_the_articles_nodes_its_mistakes_are_found_and_no_others() {
    let fixtures = root().join("fixtures");
    let site = "/site/article";
    let emqx = "/migrate/lint/article/emqx";
    let nodes = [
        format!("192.168.110.60={site}/nginx.conf,{site}/keepalived.conf,{site}/nginx_check.sh,{emqx}.60.conf"),
        format!("192.168.110.58={site}/nginx.conf,{site}/keepalived.backup.conf,{site}/nginx_check.sh"),
        format!("192.168.110.57={emqx}.57.conf"),
    ];
    let root = fixtures.to_string_lossy();
    let (now, code) = answer(&[
        "rmigrate",
        "lint",
        "--root",
        &root,
        "--allow",
        "script-missing",
        "--node",
        &nodes[0],
        "--node",
        &nodes[1],
        "--node",
        &nodes[2],
    ]);
    assert_eq!(code, 1, "{now}");
    let path = fixtures.join("migrate/lint/article/expected.txt");
    if std::env::var_os("BLESS").is_some() {
        fs::write(&path, &now).expect("the fixture can be written");
    }
    assert_eq!(now, fs::read_to_string(&path).unwrap_or_default());
}

#[test]
fn the_corpora_are_looked_through() {
    let fixtures = root().join("fixtures");
    let mut looked = 0;
    for (folder, kind) in [("nginx/corpus", "nginx"), ("keepalived/corpus", "keepalived")] {
        for entry in fs::read_dir(fixtures.join(folder)).expect("the corpus is there").filter_map(Result::ok) {
            let path = entry.path();
            if path.extension().is_some_and(|ending| ending == "conf") && path.is_file() {
                let (said, code) = lint(&["--kind", kind, &path.to_string_lossy()]);
                assert!(code < 2, "{}: {said}", path.display());
                looked += 1;
            }
        }
    }
    assert!(looked > 200, "{looked}");
}

/// What `words` say of a text, and the exit code.
fn said_of(text: &str, words: &[&str]) -> (String, u8) {
    let scratch = Scratch::new("refused").expect("a folder");
    let file = scratch.path().join("nginx.conf");
    fs::write(&file, text).expect("the file can be written");
    let file = file.to_string_lossy().into_owned();
    answer(&[&["rmigrate"][..], words, &["--kind", "nginx", file.as_str()]].concat())
}

#[test]
fn lint_and_survey_fail_on_what_nginx_refuses() {
    for text in [
        "events { } http { server { listen 80; }",
        "events { } http { nonsense; }",
        "events { } http { gzip maybe; }",
        "events { } http { server { listen 80 foo; } }",
        "events { } http { upstream u { } }",
        "events { } http { server { location / { proxy_pass foo; } } }",
        "events { } http { server { location / { } location / { } } }",
        "events { } http { server { return 200 $nope; } }",
        "events { } http { server { limit_req zone=a; } }",
        "events { } http { server { listen 80 default_server; } server { listen 80 default_server; } }",
        "events { } stream { server { listen 80; } }",
        "events { } } http { }",
        "http { }",
    ] {
        let (lint, code) = said_of(text, &["lint"]);
        assert!(code == 1 && lint.contains("nginx refuses the file: "), "{text}\n{lint}");
        let (survey, code) = said_of(text, &["survey"]);
        assert!(code == 1 && survey.contains("nginx refuses "), "{text}\n{survey}");
    }
    let other = "user nobody-here; events { } http { server { listen 80; } }";
    let (lint, code) = said_of(other, &["lint", "--fail-on", "error"]);
    assert_eq!(code, 0, "a user of another machine's is no mistake: {lint}");
}

#[test]
fn a_survey_judges_values() {
    let plain = "events { } env PATH; http { server { listen 80; access_log logs/a.log; xslt_last_modified off; xslt_types text/a; \
        location / { proxy_pass http://127.0.0.1:1; proxy_bind 127.0.0.1; } } } \
        stream { server { listen 81; proxy_pass 127.0.0.1:1; } }";
    let (survey, code) = said_of(plain, &["survey"]);
    // Lines are broken where they get too long, which depends on the file's name.
    let survey = survey.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(code == 0 && survey.contains(" 0 served with a difference"), "{survey}");
    for why in [
        "xslt_last_modified has no effect: it asks for what is done without it",
        "xslt_types has no effect: nothing has \"xslt_stylesheet\" where it holds",
    ] {
        assert!(survey.contains(why), "{survey}");
    }
    let (survey, code) = said_of("events { } http { server { location / { perl a::handler; } } }", &["survey"]);
    assert!(code == 1 && survey.contains("\"perl\" is not served"), "{survey}");
    let survey = survey.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(survey.contains("is not served, and never will be: no program is run inside the server"), "{survey}");
    assert_eq!(survey.matches("\"perl\" is not served").count(), 1, "{survey}");
    let plus = "events { } http { upstream u { zone u 64k; server 127.0.0.1:1; queue 1; check interval=1; } \
        server { location / { proxy_pass http://u; health_check; } } }";
    let (survey, code) = said_of(plus, &["survey"]);
    let survey = survey.split_whitespace().collect::<Vec<_>>().join(" ");
    assert_eq!(code, 0, "{survey}");
    for (name, origin) in [
        ("health_check", "of NGINX Plus"),
        ("queue", "of NGINX Plus"),
        ("check", "of the third-party module upstream_check"),
    ] {
        let text = format!("\"{name}\" is a directive {origin}; nginx 1.23.4 itself does not know it");
        assert!(survey.contains(&text), "{text}: {survey}");
    }
}
