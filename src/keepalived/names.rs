//! The names that iproute2 gives to routing tables, protocols, scopes, realms, types of service and groups of interfaces.
//!
//! Lines of routes, rules and addresses get numbers in the place of these names before they are read.
//!
//! Differs from keepalived: as its newest release, and unlike 2.1.5, it reads the files below `rt_tables.d` and its kin, and those of /usr/share/iproute2. [test: names_of_iproute2_are_numbers]

use crate::conf::source::Loader;
use crate::conf::tree::{Block, Node, Statement, Word};
use std::collections::BTreeMap;

/// Where the files are unless the configuration says otherwise: those of the administrator, and those they replace.
const FOLDERS: [&str; 2] = ["/etc/iproute2", "/usr/share/iproute2"];

/// Words that a name follows, and the file it is in.
type Keywords = &'static [(&'static str, &'static str)];

const ROUTES: Keywords = &[
    ("table", "rt_tables"),
    ("tos", "rt_dsfield"),
    ("dsfield", "rt_dsfield"),
    ("protocol", "rt_protos"),
    ("scope", "rt_scopes"),
    ("realms", "rt_realms"),
];
const RULES: Keywords = &[
    ("table", "rt_tables"),
    ("lookup", "rt_tables"),
    ("tos", "rt_dsfield"),
    ("dsfield", "rt_dsfield"),
    ("protocol", "rt_protos"),
    ("realms", "rt_realms"),
    ("suppress_ifgroup", "group"),
];
const ADDRESSES: Keywords = &[("scope", "rt_scopes")];

/// The words with names in a block.
fn keywords(block: &str) -> Option<Keywords> {
    match block {
        "virtual_routes" | "static_routes" => Some(ROUTES),
        "virtual_rules" | "static_rules" => Some(RULES),
        "virtual_ipaddress" | "virtual_ipaddress_excluded" | "static_ipaddress" => Some(ADDRESSES),
        _ => None,
    }
}

/// The names that have been looked for.
struct Names<'a> {
    loader: &'a dyn Loader,
    folders: [String; 2],
    files: BTreeMap<&'static str, BTreeMap<String, u32>>,
}

/// Puts numbers in the place of names.
pub fn resolve(tree: &mut Block, loader: &dyn Loader) {
    let mut folders = FOLDERS.map(str::to_owned);
    for global in tree.statements().filter(|statement| statement.name() == "global_defs") {
        for row in global.block.iter().flat_map(Block::statements) {
            let at = ["iproute_etc_dir", "iproute_usr_dir"].iter().position(|name| row.name() == *name);
            if let (Some(folder), [path]) = (at.and_then(|at| folders.get_mut(at)), row.arguments()) {
                *folder = path.text().into_owned();
            }
        }
    }
    let mut names = Names { loader, folders, files: BTreeMap::new() };
    for statement in statements(tree) {
        if statement.name() == "vrrp_instance" {
            statement.block.iter_mut().flat_map(statements).for_each(|inside| names.block(inside));
        } else {
            names.block(statement);
        }
    }
}

fn statements(block: &mut Block) -> impl Iterator<Item = &mut Statement> {
    block.nodes.iter_mut().filter_map(|node| match node {
        Node::Statement(statement) => Some(statement),
        Node::Broken(_) => None,
    })
}

impl Names<'_> {
    fn block(&mut self, statement: &mut Statement) {
        if let (Some(keywords), Some(block)) = (keywords(&statement.name()), &mut statement.block) {
            self.lines(block, keywords);
        }
    }

    fn lines(&mut self, block: &mut Block, keywords: Keywords) {
        for line in statements(block) {
            for at in 1..line.words.len() {
                let Some([before, word]) = line.words.get_mut(at - 1..=at) else { continue };
                if let Some((_, file)) = keywords.iter().find(|(keyword, _)| before.is(keyword)) {
                    self.word(word, file);
                }
            }
            line.block.iter_mut().for_each(|inside| self.lines(inside, keywords));
        }
    }

    /// Both parts of a word that is `SOURCE/DESTINATION`, or the whole.
    fn word(&mut self, word: &mut Word, file: &'static str) {
        let text = word.text().into_owned();
        let numbers: Option<Vec<String>> =
            text.split('/').map(|part| self.number(part, file).map(|number| number.to_string())).collect();
        if let Some(numbers) = numbers {
            word.bytes = numbers.join("/").into_bytes().into();
        }
    }

    fn number(&mut self, name: &str, file: &'static str) -> Option<u32> {
        number(name).or_else(|| self.file(file).get(name).copied())
    }

    /// The names of a file, read once.
    fn file(&mut self, file: &'static str) -> &BTreeMap<String, u32> {
        let (loader, [etc, usr]) = (self.loader, &self.folders);
        self.files.entry(file).or_insert_with(|| {
            let mut names = BTreeMap::new();
            let whole = [etc, usr].into_iter().find_map(|folder| loader.load(&format!("{folder}/{file}")).ok());
            let parts = |folder: &str| loader.glob(&format!("{folder}/{file}.d/*.conf")).unwrap_or_default();
            let own = parts(etc);
            let base = |path: &str| path.rsplit('/').next().unwrap_or_default().to_owned();
            let others = parts(usr).into_iter().filter(|path| !own.iter().any(|one| base(one) == base(path)));
            let parts: Vec<String> = others.chain(own.iter().cloned()).collect();
            for text in whole.into_iter().chain(parts.iter().filter_map(|path| loader.load(path).ok())) {
                for (number, name) in String::from_utf8_lossy(&text).lines().filter_map(entry) {
                    // The first of two counts.
                    names.entry(name).or_insert(number);
                }
            }
            names
        })
    }
}

/// A line `NUMBER NAME`.
fn entry(line: &str) -> Option<(u32, String)> {
    let mut words = line.split(['#', '!']).next()?.split_ascii_whitespace();
    let (first, name) = (words.next()?, words.next()?);
    if words.next().is_some() { None } else { Some((number(first)?, name.to_owned())) }
}

/// A number, also in hexadecimal and octal, as strtoul(3) reads it.
fn number(text: &str) -> Option<u32> {
    let (digits, base) = match text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")) {
        Some(digits) => (digits, 16),
        None if text.len() > 1 && text.starts_with('0') => (text, 8),
        None => (text, 10),
    };
    u32::from_str_radix(digits, base).ok().filter(|_| !digits.starts_with('+'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_iproute2_are_a_number_and_a_name() {
        assert_eq!(entry("0x10\tmgmt # comment"), Some((16, "mgmt".to_owned())));
        assert_eq!(entry(" 100  red"), Some((100, "red".to_owned())));
        assert_eq!([entry("#"), entry("100"), entry("100 a b"), entry("x y")], [None, None, None, None]);
    }
}
