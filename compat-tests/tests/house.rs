//! The rules of the house that are executed: floors, purity, unsafe only in `sys`, sizes, marks.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use compat_tests::root;

/// The floor table in `src/lib.rs`: room to the rooms it may use.
fn floors() -> BTreeMap<String, BTreeSet<String>> {
    let map = fs::read_to_string(root().join("src/lib.rs")).expect("src/lib.rs");
    map.lines()
        .filter_map(|line| line.strip_prefix("//! | "))
        .map(|row| row.split('|').map(str::trim).collect::<Vec<_>>())
        .filter(|cells| cells.len() >= 4 && cells[1].parse::<u8>().is_ok())
        .map(|cells| {
            let uses = cells[2].split(", ").filter(|room| *room != "-").map(str::to_owned).collect();
            (cells[0].to_owned(), uses)
        })
        .collect()
}

fn visit(dir: &Path, see: &mut impl FnMut(&Path, &str)) {
    let mut entries: Vec<_> =
        fs::read_dir(dir).expect("a folder").map(|entry| entry.expect("an entry").path()).collect();
    entries.sort();
    for path in entries {
        if path.is_dir() {
            visit(&path, see);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            see(&path, &fs::read_to_string(&path).expect("UTF-8 source"));
        }
    }
}

/// Every source file by its path below the root.
pub fn sources(see: &mut impl FnMut(&str, &str)) {
    let root = root();
    for part in ["src", "compat-tests"] {
        visit(&root.join(part), &mut |path, text| {
            see(path.strip_prefix(&root).expect("below the root").to_str().expect("UTF-8 path"), text);
        });
    }
}

fn room_of(path: &str) -> Option<&str> {
    let rest = path.strip_prefix("src/")?;
    let room = rest.split('/').next()?.trim_end_matches(".rs");
    (room != "lib" && room != "bin").then_some(room)
}

#[test]
fn imports_point_down() {
    let floors = floors();
    assert!(floors.len() > 10, "the floor table of src/lib.rs was not read");
    let mut wrong = Vec::new();
    sources(&mut |path, text| {
        let Some(room) = room_of(path) else { return };
        let Some(allowed) = floors.get(room) else {
            wrong.push(format!("{path}: room {room} is not in the table of src/lib.rs"));
            return;
        };
        for (number, line) in text.lines().enumerate().filter(|(_, line)| !line.trim_start().starts_with("//")) {
            for piece in line.split("crate::").skip(1) {
                let to: String = piece.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
                if to != room && !allowed.contains(&to) {
                    wrong.push(format!("{path}:{}: {room} may not use {to}", number + 1));
                }
            }
            if line.contains("super::super::") {
                wrong.push(format!("{path}:{}: super::super:: hides where a thing lives", number + 1));
            }
        }
    });
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// The inner floors in `src/http/mod.rs`.
fn inner_floors() -> BTreeMap<String, u8> {
    let map = fs::read_to_string(root().join("src/http/mod.rs")).expect("src/http/mod.rs");
    map.lines()
        .filter_map(|line| line.strip_prefix("//! | "))
        .map(|row| row.split('|').map(str::trim).collect::<Vec<_>>())
        .filter_map(|cells| Some(((*cells.get(1)?).to_owned(), cells.first()?.parse().ok()?)))
        .collect()
}

#[test]
fn imports_inside_http_point_down() {
    let floors = inner_floors();
    assert!(floors.len() > 5, "the table of src/http/mod.rs was not read");
    let (mut wrong, mut seen) = (Vec::new(), 0);
    sources(&mut |path, text| {
        let Some((room, _)) = path.strip_prefix("src/http/").and_then(|rest| rest.split_once('/')) else { return };
        let Some(own) = floors.get(room) else {
            wrong.push(format!("{path}: room {room} is not in the table of src/http/mod.rs"));
            return;
        };
        for line in text.lines().filter(|line| !line.trim_start().starts_with("//")) {
            for (at, _) in line.match_indices("crate::http::") {
                let rest = &line[at + "crate::http::".len()..];
                let name = rest.split(|char: char| !char.is_alphanumeric() && char != '_').next().unwrap_or_default();
                seen += 1;
                if floors.get(name).is_none_or(|floor| floor > own) {
                    wrong.push(format!("{path}: {}", line.trim()));
                }
            }
        }
    });
    assert!(seen > 100, "the imports of http were not read");
    assert!(wrong.is_empty(), "imports that point up:\n{}", wrong.join("\n"));
}

#[test]
fn pure_files_ask_for_the_purity_lint() {
    let line = "#![deny(clippy::disallowed_methods, clippy::disallowed_types)]";
    let mut wrong = Vec::new();
    sources(&mut |path, text| {
        let pure = (path.starts_with("src/vrrp")
            || path.starts_with("src/check")
            || path.contains("/codec/")
            || path.starts_with("src/conf/"))
            && path != "src/conf/disk.rs"
            && !path.ends_with("mod.rs")
            && !path.ends_with("tests.rs");
        if pure && !text.contains(line) {
            wrong.push(path.to_owned());
        }
    });
    assert!(wrong.is_empty(), "without {line}: {wrong:#?}");
}

#[test]
fn unsafe_stays_in_sys() {
    let mut wrong = Vec::new();
    sources(&mut |path, text| {
        if path.starts_with("src/") && !path.starts_with("src/sys/") && text.contains("expect(unsafe_code") {
            wrong.push(path.to_owned());
        }
    });
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn files_stay_readable() {
    let mut wrong = Vec::new();
    sources(&mut |path, text| {
        let lines = text.lines().count();
        if lines > 800 {
            wrong.push(format!("{path}: {lines} lines, 800 at most"));
        }
        if path.starts_with("src/") && path.ends_with("/mod.rs") && lines > 60 {
            wrong.push(format!("{path}: {lines} lines, a front door has 60 at most"));
        }
        if !text.starts_with("//!") && !text.starts_with("#![") && !path.ends_with("tests.rs") {
            wrong.push(format!("{path}: opens without saying what it is"));
        }
    });
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn every_divergence_is_named_by_a_test() {
    let mut marks = Vec::new();
    let mut tests = String::new();
    sources(&mut |path, text| {
        if path.starts_with("compat-tests/tests") || path.ends_with("tests.rs") || text.contains("#[cfg(test)]") {
            tests.push_str(text);
        }
        if path.starts_with("src/") {
            for line in text.lines() {
                for whose in ["Differs from nginx:", "Differs from keepalived:"] {
                    if let Some((_, rest)) = line.split_once(whose) {
                        let name = rest.rsplit_once("[test: ").and_then(|(_, name)| name.split_once(']'));
                        marks.push((path.to_owned(), line.to_owned(), name.map(|(name, _)| name.to_owned())));
                    }
                }
            }
        }
    });
    let wrong: Vec<_> = marks
        .iter()
        .filter(|(_, _, name)| name.as_ref().is_none_or(|name| !tests.contains(&format!("fn {name}("))))
        .collect();
    assert!(wrong.is_empty(), "each mark ends in [test: name_of_a_test], on its own line: {wrong:#?}");
}

#[test]
fn the_repository_speaks_of_the_project_alone() {
    let mut wrong = Vec::new();
    sources(&mut |path, text| {
        for word in ["/work/", "artifactory"] {
            if text.contains(word) && path != "compat-tests/tests/house.rs" {
                wrong.push(format!("{path}: {word}"));
            }
        }
    });
    assert!(wrong.is_empty(), "{wrong:#?}");
}
