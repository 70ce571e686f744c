use super::*;
use crate::conf::expand::{Environment, read};
use crate::conf::source::{Memory, Sources};

fn shape(block: &Block) -> String {
    let node = |node: &Node| match node {
        Node::Statement(statement) => {
            let words: Vec<_> = statement.words.iter().map(|word| word.text().into_owned()).collect();
            let block = statement.block.as_ref().map(|block| format!("{{{}}}", shape(block))).unwrap_or_default();
            format!("{}{block}", words.join("|"))
        }
        Node::Broken(complaint) => format!("!{}", complaint.message),
    };
    block.nodes.iter().map(node).collect::<Vec<_>>().join(";")
}

fn read_text(text: &str) -> String {
    let mut sources = Sources::default();
    let expanded = read((&Memory::of("k", text), &mut sources), &["k".into()], &Environment::default()).unwrap();
    let keywords = Keywords { opens: &|name| name != b"plain", command: &|name| name == b"run" };
    let (block, wrong) = tree(&expanded.lines, &keywords);
    let wrong = wrong.iter().map(|complaint| format!("; {}", complaint.message));
    std::iter::once(shape(&block)).chain(wrong).collect()
}

#[test]
fn braces_stand_where_they_like() {
    let all = "a|x{b|y;c{d};e}";
    assert_eq!(read_text("a x {\n b y\n c {\n d\n }\n e\n}\n"), all);
    assert_eq!(read_text("a x\n{\n b y\n c { d }\n e }\n"), all);
    assert_eq!(read_text("a \"x\"{b y\n c {d}\n e}"), all);
}

#[test]
fn a_missing_brace_is_an_error_and_no_crash() {
    assert_eq!(read_text("a {\n b\n"), "a{b}; There are 1 missing '}'s or extra '{'s");
    assert_eq!(read_text("a\n}\nb\n"), "a;b; Extra '}' found; Unknown keyword '}'");
    assert_eq!(read_text("{\n a\n}\n"), "!Unexpected '{' - ignoring;a");
}

#[test]
fn a_brace_behind_a_plain_keyword_means_nothing_and_counts() {
    assert_eq!(read_text("a {\n plain x {\n b\n }\n c\n}\n"), "a{plain|x;!Unexpected '{' - ignoring;b};c");
    assert_eq!(
        read_text("a {\n plain x {\n b\n }\n"),
        "a{plain|x;!Unexpected '{' - ignoring;b}; There are 1 missing '}'s or extra '{'s"
    );
}

#[test]
fn quotes_keep_words_together() {
    assert_eq!(read_text("a \"b {c} d\" e\n"), "a|b {c} d|e");
    assert_eq!(read_text("a \"b\nc\n"), "a;c; Unmatched quote: 'a \"b'");
    assert_eq!(read_text("a b\"c d\"e 'f g'\n"), "a|b|c d|e|'f|g'");
}

#[test]
fn the_words_of_a_command_have_both_quotes_and_escapes() {
    assert_eq!(read_text("run '/x \"a b\"' root\n"), "run|/x \"a b\"|root");
    assert_eq!(read_text("run \"/x \\\"a b\\\"\" a\\ b \\x41\n"), "run|/x \"a b\"|a b|A");
    assert_eq!(read_text("run '/x a\nb\n"), "!String 'run '/x a': missing terminating ';b");
    // Braces know the double quote alone.
    assert_eq!(read_text("run '/x {a'\n}\n"), "!String 'run '/x': missing terminating ';!Unexpected '{' - ignoring;a'");
}
