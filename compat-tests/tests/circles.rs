//! Files that import each other in a circle: how long such circles may be.

use std::collections::{BTreeMap, BTreeSet};

use crate::house::sources;

/// Files of a circle at most.
const LONGEST: usize = 3;

/// Circles that are longer still, by the folder their files have in common, and how long they may be.
const LONGER: [(&str, usize); 2] = [("http/heart", usize::MAX), ("keepalived", usize::MAX)];

/// The files that each file imports, by their paths as modules.
type Imports = BTreeMap<String, BTreeSet<String>>;

/// The paths that a tree of `use` names.
fn expand(tree: &str) -> Vec<String> {
    let Some((before, rest)) = tree.split_once('{') else { return vec![tree.trim().to_owned()] };
    let inside = rest.rsplit_once('}').map_or(rest, |(inside, _)| inside);
    let (mut parts, mut depth) = (vec![String::new()], 0);
    for letter in inside.chars() {
        match letter {
            ',' if depth == 0 => parts.push(String::new()),
            _ => {
                depth += i32::from(letter == '{') - i32::from(letter == '}');
                parts.last_mut().expect("a part").push(letter);
            }
        }
    }
    let parts = parts.iter().filter(|part| !part.trim().is_empty());
    parts.flat_map(|part| expand(&format!("{}{}", before.trim(), part.trim()))).collect()
}

/// The module a file is, as `http/gateway/relay`.
fn module_of(path: &str) -> Option<&str> {
    let module = path.strip_prefix("src/")?.strip_suffix(".rs")?;
    let is_tests = module.ends_with("/tests") || module == "lib" || module.starts_with("bin/");
    (!is_tests).then(|| module.strip_suffix("/mod").unwrap_or(module))
}

/// The module that a path of `use` in the file `from` names.
fn target(from: &str, path: &str, modules: &BTreeMap<String, String>) -> Option<String> {
    let path = path.split(" as ").next()?;
    let mut words: Vec<&str> = path.split("::").collect();
    let mut base: Vec<&str> = from.split('/').collect();
    match words.remove(0) {
        "crate" => base.clear(),
        "super" => drop(base.pop()),
        "self" => {}
        _ => return None,
    }
    base.extend(words);
    (1..=base.len()).rev().map(|length| base[..length].join("/")).find(|module| modules.contains_key(module))
}

fn imports() -> Imports {
    let mut modules = BTreeMap::new();
    sources(&mut |path, text| {
        if let Some(module) = module_of(path) {
            let code = text.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default();
            modules.insert(module.to_owned(), code.to_owned());
        }
    });
    let of = |module: &str, code: &str| {
        let uses = code.split("use ").skip(1).filter_map(|rest| rest.split(';').next());
        let paths = uses.filter(|tree| ["crate::", "super::", "self::"].iter().any(|first| tree.starts_with(first)));
        let targets = paths.flat_map(expand).filter_map(|path| target(module, &path, &modules));
        targets.filter(|target| target != module).collect()
    };
    modules.iter().map(|(module, code)| (module.clone(), of(module, code))).collect()
}

/// What can be reached from a file over imports.
fn reached<'a>(from: &'a str, imports: &'a Imports) -> BTreeSet<&'a str> {
    let (mut found, mut open) = (BTreeSet::new(), vec![from]);
    while let Some(module) = open.pop() {
        for next in imports.get(module).into_iter().flatten() {
            if found.insert(next.as_str()) {
                open.push(next);
            }
        }
    }
    found
}

/// The files that reach each other, each circle once.
fn circles(imports: &Imports) -> BTreeSet<BTreeSet<&str>> {
    let reach: BTreeMap<&str, BTreeSet<&str>> =
        imports.keys().map(|module| (module.as_str(), reached(module, imports))).collect();
    let together = |module: &str| reach[module].iter().copied().filter(|other| reach[other].contains(module)).collect();
    reach.keys().map(|module| together(module)).filter(|circle: &BTreeSet<&str>| circle.len() > 1).collect()
}

/// The folder that the files of a circle have in common.
fn folder(circle: &BTreeSet<&str>) -> String {
    let mut common: Option<Vec<&str>> = None;
    for module in circle {
        let words: Vec<&str> = module.split('/').collect();
        common = Some(match common {
            None => words[..words.len() - 1].to_vec(),
            Some(known) => known.iter().zip(&words).take_while(|(a, b)| a == b).map(|(a, _)| *a).collect(),
        });
    }
    common.unwrap_or_default().join("/")
}

#[test]
fn no_circle_of_imports_is_long() {
    let imports = imports();
    assert!(imports.values().map(BTreeSet::len).sum::<usize>() > 1000, "the imports were not read");
    let mut wrong = Vec::new();
    for circle in circles(&imports) {
        let folder = folder(&circle);
        let most = LONGER.iter().find(|(of, _)| *of == folder).map_or(LONGEST, |(_, most)| *most);
        if circle.len() > most {
            wrong.push(format!("{folder}: {} files import each other, {most} at most: {circle:?}", circle.len()));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn circles_of_imports_are_found() {
    let imports = [("a/b", "a/c"), ("a/c", "a/d"), ("a/d", "a/b"), ("a/e", "a/b")];
    let imports = imports.map(|(from, to)| (from.to_owned(), BTreeSet::from([to.to_owned()]))).into();
    assert_eq!(circles(&imports), BTreeSet::from([BTreeSet::from(["a/b", "a/c", "a/d"])]));
    let named = expand("super::{cache::{self, Fetch}, relay}");
    assert_eq!(named, ["super::cache::self", "super::cache::Fetch", "super::relay"]);
}
