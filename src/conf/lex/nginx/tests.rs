use super::*;

fn words(text: &str) -> Vec<Vec<String>> {
    file(text.as_bytes(), SourceId(0))
        .statements()
        .map(|statement| statement.words.iter().map(|word| word.text().into_owned()).collect())
        .collect()
}

fn complaint(text: &str) -> String {
    let mut block = file(text.as_bytes(), SourceId(0));
    loop {
        match block.nodes.pop() {
            Some(Node::Broken(complaint)) => return complaint.message,
            Some(Node::Statement(Statement { block: Some(inner), .. })) => block = inner,
            _ => return String::new(),
        }
    }
}

#[test]
fn words_quotes_and_comments_are_told_apart() {
    assert_eq!(words("a b; # c\n d 'e f' \"g\\\"h\";"), [vec!["a", "b"], vec!["d", "e f", "g\"h"]]);
    assert_eq!(words("a ${b}c d\\;e;"), [["a", "${b}c", "d\\;e"]]);
    assert_eq!(words("if ($a = \"b\") { c; }"), [["if", "($a", "=", "b", ")"]]);
    assert_eq!(words("a#b c;\r\n# 因为\n d\t e;"), [vec!["a#b", "c"], vec!["d", "e"]]);
}

#[test]
fn broken_places_get_nginxs_words() {
    assert_eq!(complaint("a b"), "unexpected end of file, expecting \";\" or \"}\"");
    assert_eq!(complaint("a { b c; "), "unexpected end of file, expecting \"}\"");
    assert_eq!(complaint("}"), "unexpected \"}\"");
    assert_eq!(complaint("a b }"), "unexpected \"}\"");
    assert_eq!(complaint("a \"b\"c;"), "unexpected \"c\"");
    assert_eq!(complaint(";"), "unexpected \";\"");
    assert_eq!(complaint("{"), "unexpected \"{\"");
    assert_eq!(complaint(&format!("a {};", "x".repeat(5000))), "too long parameter \"xxxxxxxxxx...\" started");
}

proptest::proptest! {
    #[test]
    fn any_bytes_are_read_without_a_panic(text: Vec<u8>) {
        let _ = file(&text, SourceId(0));
        let _ = parameters(&text, SourceId(0));
    }

    #[test]
    fn any_lively_text_is_read_without_a_panic(text in "[a-c${}\\\\;'\"# \n)]{0,200}") {
        let _ = file(text.as_bytes(), SourceId(0));
    }
}
