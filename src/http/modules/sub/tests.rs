use super::{Search, Searcher};
use std::sync::Arc;

/// What `text` becomes when it comes in these pieces; the pattern of number n becomes `<n>`.
fn replaced(patterns: &[&str], once: bool, pieces: &[&str]) -> String {
    let patterns: Vec<&[u8]> = patterns.iter().map(|pattern| pattern.as_bytes()).collect();
    let mut search = Search::new(Arc::new(Searcher::new(&patterns)), once);
    let mut out = Vec::new();
    for (number, piece) in pieces.iter().enumerate() {
        let last = number + 1 == pieces.len();
        search.run(piece.as_bytes(), last, &mut out, |which, out| out.extend(format!("<{which}>").bytes()));
    }
    String::from_utf8(out).expect("text")
}

const CASES: &[(&[&str], bool, &str, &str)] = &[
    (&["a"], false, "banana", "b<0>n<0>n<0>"),
    (&["a"], true, "banana", "b<0>nana"),
    (&["ANA"], false, "banana bAnAnas", "b<0>na b<0>nas"),
    (&["ab", "abc"], false, "abc ab", "<0>c <0>"),
    (&["abc", "ab"], false, "abc abd", "<0> <1>d"),
    (&["abc", "ab"], false, "xab", "xab"),
    (&["a", "b"], true, "aabbc", "<0>a<1>bc"),
    (&["aa"], false, "aaaaa", "<0><0>a"),
    (&["abab", "b"], false, "ababab b", "<0>a<1> <1>"),
    (&["one", "two", "three", "t"], false, "onetwothreet ten", "<0><1><2><3> <3>en"),
    (&["</body>"], false, "<html></body></html>", "<html><0></html>"),
    (&["x"], false, "", ""),
];

#[test]
fn texts_are_replaced_wherever_the_pieces_end() {
    for (patterns, once, text, expected) in CASES {
        assert_eq!(&replaced(patterns, *once, &[text]), expected, "{patterns:?} {text}");
        for first in 0..=text.len() {
            for second in first..=text.len() {
                let pieces = [&text[..first], &text[first..second], &text[second..]];
                assert_eq!(&replaced(patterns, *once, &pieces), expected, "{patterns:?} {pieces:?}");
            }
        }
    }
}
