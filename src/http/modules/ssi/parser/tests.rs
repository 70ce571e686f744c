use super::{Event, Parser};

/// What a page comes to: its text, with each command in brackets.
fn read(page: &[u8], piece: usize) -> (String, Vec<String>) {
    let mut parser = Parser::new(8);
    let mut text = Vec::new();
    for mut rest in page.chunks(piece) {
        loop {
            let (read, event) = parser.run(rest, &mut text);
            rest = &rest[read..];
            match event {
                Event::More => break,
                Event::Malformed => text.extend_from_slice(b"[!]"),
                Event::Command => {
                    text.extend_from_slice(format!("[{}", parser.command.escape_ascii()).as_bytes());
                    for (key, value) in &parser.parameters {
                        text.extend_from_slice(format!(" {}={}", key.escape_ascii(), value.escape_ascii()).as_bytes());
                    }
                    text.push(b']');
                }
            }
        }
    }
    text.extend_from_slice(b"|");
    text.extend_from_slice(parser.held());
    (String::from_utf8(text).unwrap(), parser.complaints)
}

const PAGES: &[(&str, &str, &[&str])] = &[
    ("plain", "plain|", &[]),
    ("<<!-<!--<!---<!--#a-->x", "<<!-<!--<!---[a]x|", &[]),
    ("<!--# echo var=\"a b\" default='' -->", "[echo var=a b default=]|", &[]),
    ("<!--#set\tvar = \"\\\"q\"\r\n-->.", "[set var=\\\\\\\"q].|", &[]),
    (
        "<!--#a b='it''x' -->-->",
        "[!]-->|",
        &["unexpected \"'\" symbol after \"it\" value of \"b\" parameter in \"a\" SSI command"],
    ),
    ("<!--#a b-->c", "[!]c|", &["unexpected \"-\" symbol after \"b\" parameter in \"a\" SSI command"]),
    ("<!--#a b=c-->d", "[!]d|", &["unexpected \"c\" symbol before value of \"b\" parameter in \"a\" SSI command"]),
    ("<!--#a b x=\"\"-->d", "[!]d|", &["unexpected \"x\" symbol after \"b\" parameter in \"a\" SSI command"]),
    (
        "<!--#a b=\"123456789\"-->d",
        "[!]d|",
        &["too long \"123456789...\" value of \"b\" parameter in \"a\" SSI command"],
    ),
    ("<!--#a -x-->d", "[!]d|", &["unexpected \"x\" symbol in \"a\" SSI command"]),
    ("<!--#a --x -- - -->d", "[!]d|", &["unexpected \"x\" symbol in \"a\" SSI command"]),
    ("end <!-", "end |<!-", &[]),
    ("open <!--#echo var", "open |", &[]),
];

/// Wherever the pieces of a page end.
#[test]
fn commands_are_found_in_pieces() {
    for (page, wanted, complaints) in PAGES {
        for piece in 1..=page.len() {
            let (text, complained) = read(page.as_bytes(), piece);
            assert_eq!(
                (text.as_str(), complained.as_slice()),
                (*wanted, complaints.map_owned().as_slice()),
                "{page} by {piece}"
            );
        }
    }
}

/// Texts as the parser keeps them.
trait Owned {
    fn map_owned(&self) -> Vec<String>;
}

impl Owned for &[&str] {
    fn map_owned(&self) -> Vec<String> {
        self.iter().map(|text| (*text).to_owned()).collect()
    }
}
