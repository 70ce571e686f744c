use super::*;
use crate::conf::source::Memory;
use proptest::prelude::*;

fn expanded(text: &str) -> Vec<String> {
    let mut sources = Sources::default();
    let environment =
        Environment { id: "a".to_owned(), instance: "a".to_owned(), seed: 1, checks: None, mark: Some("#@me") };
    let mut loader = Memory::of("/etc/k.conf", text);
    loader.texts.insert("/etc/more.conf".to_owned(), b"in ${_PWD}\n".to_vec());
    let expanded = read((&loader, &mut sources), &["/etc/k.conf".into()], &environment).unwrap();
    expanded.lines.into_iter().map(|line| String::from_utf8_lossy(&line.bytes).into_owned()).collect()
}

#[test]
fn comments_end_lines_except_in_quotes() {
    assert_eq!(expanded("! all\n a b # 主备\n\tc \"d ! e\" ! f\r\ng \\# h\n"), ["a b", "c \"d ! e\"", "g # h"]);
}

#[test]
fn comments_with_the_mark_are_lines() {
    assert_eq!(expanded("#@me a \"b # c\" # d\n x !@me\n"), ["#@me a \"b # c\"", "x", "#@me"]);
    assert_eq!(expanded("# @me a\n#@meb\n#me\n##@me\n\"#@me a\"\n"), ["\"#@me a\""]);
    assert_eq!(expanded("$X=1\n#@me $X ${_HASH}\n"), ["#@me 1 #"]);
    assert_eq!(expanded("@a #@me one\n@b #@me two\n@^b !@me three\n"), ["#@me one", "#@me three"]);
    assert_eq!(expanded("a \\ #@me x\n b\n"), ["#@me x", "a  b"]);
    assert_eq!(expanded("$X=a \\\n#@me x\nb\n$X\n"), ["a", "b"]);
}

#[test]
fn variables_are_put_in_and_may_hold_lines() {
    assert_eq!(expanded("$X=1 2\na $X\nb ${X}3\nc $X/4 $X,5\n"), ["a 1 2", "b 1 23", "c $X/4 1 2,5"]);
    assert_eq!(expanded("$B=x \\\n y \\\n z\na\n$B\n$C = 1\n"), ["a", "x", "y", "z", "$C = 1"]);
}

#[test]
fn conditions_keep_lines_for_one_host() {
    assert_eq!(expanded("@a one\n@b two\n@^b three\n@^a four\n"), ["one", "three"]);
}

#[test]
fn sequences_and_lists_repeat_their_line() {
    assert_eq!(expanded("~SEQ(i, 1, 3) v $i\n"), ["v 1", "v 2", "v 3"]);
    assert_eq!(expanded("$B=v $i \\\n w $i\n~SEQ(i, 1, 2) $B\n"), ["v 1", "w 1", "v 2", "w 2"]);
    assert_eq!(expanded("~SEQx(i, 9, 10) v${i}\n"), ["v9", "va"]);
    assert_eq!(expanded("~LST({a, b}, {1,2}, {3,4}) ${a}-$b\n"), ["1-2", "3-4"]);
}

#[test]
fn files_include_files_from_their_own_folder() {
    assert_eq!(expanded("include more.conf\ninclude nothing.conf\nlast\n"), ["in /etc", "last"]);
}

#[test]
fn a_file_that_includes_itself_ends() {
    let text = "a\ninclude k.conf\ninclude k.conf\nb\n";
    let mut sources = Sources::default();
    let loader = Memory::of("/etc/k.conf", text);
    let read = read((&loader, &mut sources), &["/etc/k.conf".into()], &Environment::default()).unwrap();
    assert!(sources.iter().len() <= MOST_FILES && read.lines.len() < 2 * MOST_FILES + 2);
    assert!(read.complaints[0].message.starts_with("'k.conf' is not included"), "{:?}", read.complaints[0]);
}

#[test]
fn what_a_variable_stands_for_is_read_as_a_line_of_the_file() {
    assert_eq!(expanded("$IF_A=@a\n$IF_B=@b\n$IF_A one\n$IF_B two\n$NOT=@^a\n$NOT three\n"), ["one"]);
    assert_eq!(expanded("$INC=include more.conf\n$INC\n"), ["in /etc"]);
    assert_eq!(expanded("$D=$E=7\n$D\nv $E\n"), ["v 7"]);
    assert_eq!(expanded("$B=x \\\n @b y \\\n @a z\n$B\n"), ["x", "z"]);
    assert_eq!(expanded("a ${_HASH} b\nc \"${_HASH}\"\n"), ["a", "c \"#\""]);
    assert_eq!(expanded("$X=1\na \"$X\" \"$X \" ${X}\n"), ["a \"$X\" \"1 \" 1"]);
}

#[test]
fn quotes_that_stay_open_are_said_before_the_host_is_asked() {
    let text = "@b a \"b # c\n$X=\"d\na \\\"e\nf # \"\n";
    let mut sources = Sources::default();
    let read = read((&Memory::of("/k", text), &mut sources), &["/k".into()], &Environment::default()).unwrap();
    let said: Vec<_> = read.complaints.iter().map(|complaint| complaint.message.as_str()).collect();
    assert_eq!(said, ["Unterminated quote '@b a \"b # c'", "Unterminated quote '$X=\"d'"]);
}

#[test]
fn an_include_names_what_follows_it_as_a_pattern_with_braces() {
    let mut loader = Memory::of("/etc/k.conf", "include d/{b,a}.conf\ninclude \"d/a.conf\"\ninclude d/a.conf x\n");
    for name in ["a", "b"] {
        loader.texts.insert(format!("/etc/d/{name}.conf"), format!("in {name}\n").into_bytes());
    }
    let mut sources = Sources::default();
    let read = read((&loader, &mut sources), &["/etc/k.conf".into()], &Environment::default()).unwrap();
    let lines: Vec<_> = read.lines.iter().map(|line| String::from_utf8_lossy(&line.bytes)).collect();
    assert_eq!(lines, ["in b", "in a"]);
    let said: Vec<_> = read.complaints.iter().map(|one| (one.severity, one.message.as_str())).collect();
    let missing = ["No config files matched '\"d/a.conf\"'.", "No config files matched 'd/a.conf x'."];
    assert_eq!(said, missing.map(|message| (Severity::Notice, message)));
}

#[test]
fn a_variable_that_holds_itself_ends() {
    assert!(expanded("$X=a $X\n$X\n").len() <= 1);
}

#[test]
fn what_a_line_becomes_is_bounded() {
    let doubling: String = (0..40).map(|n| format!("$V{}=$V{n} $V{n}\n", n + 1)).collect();
    for text in [
        format!("$V0=x\n{doubling}$V40\nlast\n"),
        "~SEQ(i, 1, 4000000000) ~SEQ(j, 1, 4000000000) v $i $j\nlast\n".to_owned(),
    ] {
        let mut sources = Sources::default();
        let read =
            read((&Memory::of("/etc/k", &text), &mut sources), &["/etc/k".into()], &Environment::default()).unwrap();
        assert!(read.lines.len() <= 2 * MOST_LINES, "{}", read.lines.len());
        assert!(read.lines.iter().map(|line| line.bytes.len()).sum::<usize>() < 64 << 20);
        assert!(read.complaints[0].message.starts_with("The line becomes more than"), "{:?}", read.complaints[0]);
        assert_eq!(read.lines.last().unwrap().bytes, b"last");
    }
}

proptest! {
    #[test]
    fn no_text_whatever_makes_the_reader_panic(text in "[-$~@{}()\\\\\"!#=,a-c0-9 \n]{0,80}") {
        let _ = expanded(&text);
    }
}

#[test]
fn checks_of_includes_hold_until_the_end_of_their_file() {
    let complaints = |text: &str| -> Vec<(String, Severity)> {
        let environment = Environment { checks: Some("check"), ..Environment::default() };
        let mut loader = Memory::of("/etc/k.conf", text);
        loader.texts.insert("/etc/loose.conf".to_owned(), b"check -match -wildcard_match\ninclude none2\n".to_vec());
        let mut sources = Sources::default();
        let expanded = read((&loader, &mut sources), &["/etc/k.conf".into()], &environment).unwrap();
        expanded.complaints.into_iter().map(|one| (one.message, one.severity)).collect()
    };
    let missing = |name: &str, severity| (format!("Config files missing '{name}'."), severity);
    assert_eq!(complaints("include none\n"), [("No config files matched 'none'.".to_owned(), Severity::Notice)]);
    assert_eq!(complaints("check\ninclude none\n"), [missing("none", Severity::Error)]);
    let matched = ("No config files matched 'd/*'.".to_owned(), Severity::Error);
    assert_eq!(complaints("check\ninclude d/*\n"), std::slice::from_ref(&matched));
    assert_eq!(complaints("check match\ninclude d/*\ninclude none\n"), [missing("none", Severity::Error)]);
    assert_eq!(complaints("check match\ncheck +wildcard_match\ninclude d/*\n"), [matched]);
    // The file that is included loosens the checks for itself alone.
    let text = "check\ninclude loose.conf\ninclude none\n";
    assert_eq!(complaints(text), [missing("none2", Severity::Warn), missing("none", Severity::Error)]);
}
