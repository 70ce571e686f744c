//! What `docs/` says of the sources is so: the pieces it shows are there, the functions it names exist, and the map is that
//! of `src/lib.rs`; BLESS=1 draws the map again.

use std::collections::BTreeSet;
use std::fs;

use compat_tests::root;

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

#[test]
fn the_pieces_of_code_are_those_of_the_sources() {
    let text = read("docs/directive.md");
    let mut count = 0;
    for piece in text.split("```rust\n// ").skip(1) {
        let (path, rest) = piece.split_once('\n').expect("a path");
        let (code, _) = rest.split_once("```").expect("an end");
        assert!(read(path).contains(code), "{path} does not hold\n{code}");
        count += code.lines().count();
    }
    assert!(count >= 15, "{count} lines");
}

#[test]
fn the_functions_of_a_request_are_there() {
    let text = read("docs/request.md");
    let names: BTreeSet<&str> = text.split('`').skip(1).step_by(2).filter(|name| name.starts_with("src/")).collect();
    assert!(names.len() > 12, "{names:?}");
    for name in names {
        let (path, function) = name.split_once("::").map_or((name, None), |(path, function)| (path, Some(function)));
        let source = read(path);
        let there = |function| ["(", "<"].iter().any(|end| source.contains(&format!("fn {function}{end}")));
        assert!(function.is_none_or(there), "{name}");
    }
}

/// The rows of the table in `src/lib.rs`: a room, its floor, what it may use.
fn rooms() -> Vec<(String, String, Vec<String>)> {
    let source = read("src/lib.rs");
    let rows = source.lines().filter_map(|line| line.strip_prefix("//! | ")).skip(1);
    let rows = rows.map(|row| row.split('|').map(|cell| cell.trim().to_owned()).collect::<Vec<String>>());
    let rows = rows.filter(|cells| cells.get(1).is_some_and(|floor| floor.parse::<u8>().is_ok()));
    rows.map(|cells| {
        let uses = cells[2].split(", ").filter(|name| *name != "-").map(str::to_owned).collect();
        (cells[0].clone(), cells[1].clone(), uses)
    })
    .collect()
}

#[test]
fn the_map_is_drawn_from_the_table_of_rooms() {
    let rooms = rooms();
    assert!(rooms.len() > 15, "{rooms:?}");
    let mut text = String::from(
        "# The map\n\nDrawn from the table in `src/lib.rs`, which tells what each room may use and must never know. Arrows point \
         to what is used; what follows from other arrows is left out.\n\n```mermaid\nflowchart TD\n",
    );
    let mut floors: Vec<&str> = rooms.iter().map(|(_, floor, _)| floor.as_str()).collect();
    floors.dedup();
    for floor in floors.iter().rev() {
        text.push_str(&format!("  subgraph floor{floor}[floor {floor}]\n"));
        rooms.iter().filter(|(_, of, _)| of == floor).for_each(|(room, ..)| text.push_str(&format!("    {room}\n")));
        text.push_str("  end\n");
    }
    let uses =
        |name: &str| rooms.iter().find(|(room, ..)| room == name).map(|(.., uses)| uses.clone()).unwrap_or_default();
    let reached = |from: &str| {
        let (mut all, mut open) = (BTreeSet::new(), uses(from));
        while let Some(name) = open.pop() {
            if all.insert(name.clone()) {
                open.extend(uses(&name));
            }
        }
        all
    };
    for (room, _, own) in &rooms {
        for used in own {
            let through = own.iter().any(|other| other != used && reached(other).contains(used));
            if !through {
                text.push_str(&format!("  {room} --> {used}\n"));
            }
        }
    }
    text.push_str("```\n");
    let path = root().join("docs/map.md");
    if std::env::var_os("BLESS").is_some() {
        fs::write(&path, &text).expect("the map can be written");
    }
    assert_eq!(fs::read_to_string(&path).unwrap_or_default(), text);
}
