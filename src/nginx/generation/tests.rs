use super::*;
use crate::conf::fuzz;
use crate::conf::print;
use crate::conf::source::Memory;
use crate::conf::tree::{Block, Statement, Word};
use crate::session::build::Anywhere;
use std::net::IpAddr;
use std::path::Path;

struct Nobody;

impl Resolve for Nobody {
    fn resolve(&self, _: &str) -> Vec<IpAddr> {
        Vec::new()
    }
}

/// The configurations of the corpus, and the files they include.
fn corpus() -> (Vec<Vec<u8>>, Memory) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/nginx/corpus");
    let read = |path: &Path| {
        let entries = std::fs::read_dir(path).expect("the corpus").map(|entry| entry.expect("an entry").path());
        entries.filter(|path| path.is_file()).map(|path| (path.clone(), std::fs::read(path).expect("a file")))
    };
    let texts = read(&folder).map(|(_, text)| text).filter(|text| text.len() < 20_000).collect();
    let mut memory = Memory::default();
    for below in ["", "snippets", "sites", "streams"] {
        for (path, text) in read(&folder.join("include").join(below)) {
            let name = path.strip_prefix(folder.join("include")).expect("below").display().to_string();
            memory.texts.insert(format!("/c/{name}"), text);
        }
    }
    (texts, memory)
}

/// What is said of a text; it is enough that something is.
fn read(memory: &Memory, text: &[u8]) -> usize {
    let mut memory = memory.clone();
    memory.texts.insert("/c/nginx.conf".to_owned(), text.to_vec());
    let base = Inputs { prefix: "/p/".to_owned(), conf: "/c/nginx.conf".to_owned(), ..Inputs::default() };
    let mut said = 0;
    for every in [false, true] {
        let inputs = Inputs { every, ..base.clone() };
        let Reading { sources, complaints, outcome, .. } = compile(&inputs, &memory, &Nobody, &Arc::default());
        let fatal = outcome.err().map(|(complaint, _)| complaint);
        for complaint in complaints.iter().chain(&fatal) {
            said += print::nginx(complaint, &sources).len();
            said += if every { print::picture(complaint, &sources, false).len() } else { 0 };
        }
    }
    said
}

/// Every statement of a block, and of the blocks in it.
fn statements<'a>(block: &'a Block, all: &mut Vec<&'a Statement>) {
    for statement in block.statements() {
        all.push(statement);
        statement.block.iter().for_each(|block| statements(block, all));
    }
}

/// Their last argument is the name by which others know them.
const NAMED_LAST: [&str; 4] = ["map", "geo", "split_clients", "limit_conn_zone"];

/// A text with a mistake in one statement: a letter too much in its name, its last argument gone, five too many.
fn mistakes(text: &[u8], statement: &Statement) -> Vec<Vec<u8>> {
    let ends = |word: &Word| {
        let quote = usize::from(word.quoted);
        (word.span.start as usize - quote, word.span.end as usize + quote)
    };
    let change = |start: usize, end: usize, with: &[u8]| {
        let mut text = text.to_vec();
        text.splice(start..end, with.iter().copied());
        text
    };
    let words: Vec<_> = statement.words.iter().map(ends).collect();
    let (Some((_, name)), Some((_, last))) = (words.first(), words.last()) else { return Vec::new() };
    let mut changed = vec![change(*name, *name, &text[name - 1..*name]), change(*last, *last, b" a b c d e")];
    // Groups of a regular expression may be missed one by one.
    let groups = statement.words.iter().any(|word| word.bytes.contains(&b'('));
    if let ([_, .., (_, kept), _], false) = (words.as_slice(), groups || NAMED_LAST.contains(&&*statement.name())) {
        changed.push(change(*kept, *last, b""));
    }
    changed
}

/// The errors of a text, in one run.
fn errors(memory: &Memory, text: &[u8]) -> Vec<String> {
    let mut memory = memory.clone();
    memory.texts.insert("/c/nginx.conf".to_owned(), text.to_vec());
    let inputs =
        Inputs { prefix: "/p/".to_owned(), conf: "/c/nginx.conf".to_owned(), every: true, ..Inputs::default() };
    let Reading { sources, complaints, outcome, .. } =
        compile(&inputs, &memory, &Anywhere { elsewhere: true }, &Arc::default());
    let fatal = outcome.err().map(|(complaint, _)| complaint);
    let all = complaints.iter().chain(&fatal).filter(|complaint| complaint.is_error());
    all.map(|complaint| print::nginx(complaint, &sources)).collect()
}

#[test]
fn what_follows_from_a_mistake_is_not_said_beside_it() {
    let (texts, memory) = corpus();
    let (mut count, mut wrong) = (0, Vec::new());
    for text in texts.iter().filter(|text| errors(&memory, text).is_empty()) {
        let tree = lex::nginx::file(text, crate::conf::source::SourceId(0));
        let mut all = Vec::new();
        statements(&tree, &mut all);
        for statement in all.into_iter().skip(count % 7).step_by(7) {
            for text in mistakes(text, statement) {
                let found = errors(&memory, &text);
                count += 1;
                if found.len() > 1 {
                    wrong.push(format!("{}: {found:#?}", statement.name()));
                }
            }
        }
    }
    assert!(count > 1000 && wrong.is_empty(), "{} of {count}\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn no_text_makes_the_reading_panic() {
    let (seeds, memory) = corpus();
    let count = fuzz::run(&seeds, 0, 300, |text| {
        read(&memory, text);
    });
    assert_eq!(count, 300);
}

/// `RHA_FUZZ_SECONDS=600 cargo test … -- --ignored nginx_for_a_time` looks longer.
#[test]
#[ignore = "runs as long as it is told"]
fn nginx_for_a_time() {
    let seconds = std::env::var("RHA_FUZZ_SECONDS").ok().and_then(|text| text.parse().ok()).unwrap_or(10);
    let (seeds, memory) = corpus();
    let count = fuzz::run(&seeds, seconds, 1, |text| {
        read(&memory, text);
    });
    eprintln!("{count} texts in {seconds} s, at most {} KiB", fuzz::most_memory());
}
