use super::*;
use crate::conf::source::{Kind, SourceId};

/// What opens the block the faults are in.
const BLOCK: Span = Span { source: SourceId(7), start: 1, end: 2 };

const TEXT: &str = "map $uri $lang extra { }\nserver_name ~^(?<part>a;\nupstream backend x { }\n";

/// Faults over the whole of [`TEXT`].
fn faults() -> (Faults, Sources) {
    let mut sources = Sources::default();
    let source = sources.add("a.conf", Kind::File, TEXT.as_bytes().to_vec());
    let mut faults = Faults::default();
    assert!(faults.none());
    faults.leave(Some(Span { source, start: 0, end: TEXT.len() as u32 }), Some(BLOCK));
    (faults, sources)
}

#[test]
fn what_was_left_out_may_have_defined_what_is_missing() {
    let (mut faults, sources) = faults();
    faults.meant(Some("events"));
    faults.foreign("brotli_comp_level");
    for (message, stands) in [
        ("unknown \"lang\" variable", false),
        ("unknown \"LANG\" variable", false),
        ("unknown \"part\" variable", false),
        ("unknown \"lan\" variable", true),
        ("unknown \"langs\" variable", true),
        ("unknown \"brotli_ratio\" variable", false),
        ("unknown \"brot\" variable", true),
        ("host not found in upstream \"backend:8080\"", false),
        ("host not found in upstream \"back:8080\"", true),
        ("host not found in upstream \"\"", true),
        ("no \"events\" section", false),
        ("no names at all", true),
    ] {
        assert_eq!(faults.stands(&Diagnostic::emerg(message), &sources), stands, "{message}");
    }
}

#[test]
fn a_block_may_lack_what_was_left_out_of_it() {
    let (faults, sources) = faults();
    let complaint = |start| Diagnostic::emerg("no servers in upstream \"u\"").at(Span { start, ..BLOCK });
    assert!(!faults.stands(&complaint(1), &sources) && faults.stands(&complaint(0), &sources));
}

#[test]
fn a_conflict_is_one_whatever_was_left_out() {
    let (mut faults, sources) = faults();
    let conflict = |first| Diagnostic::emerg("duplicate upstream \"backend\"").earlier(first);
    let (first, alone) = (faults.spans.first().copied(), conflict(None));
    assert!(faults.stands(&conflict(first), &sources) && !faults.stands(&alone, &sources));
    let other = Diagnostic::emerg("unknown \"other\" variable");
    assert!(faults.stands(&other, &sources));
    faults.unread();
    assert!(faults.stands(&conflict(first), &sources) && !faults.stands(&other, &sources));
}
