use super::*;
use crate::conf::fuzz;
use crate::conf::print;
use crate::conf::source::Memory;
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
