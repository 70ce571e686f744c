//! As much of HOCON as an emqx.conf uses: nested keys with dots, texts, lists; and the flat form of EMQX 4.

use std::collections::BTreeMap;

/// Keys with dots, their values and the lines they stand in.
#[derive(Debug, Default)]
pub struct Hocon {
    values: BTreeMap<String, (Vec<String>, usize)>,
}

impl Hocon {
    /// A value that is one word.
    pub fn word(&self, key: &str) -> Option<&str> {
        self.values.get(key).and_then(|(values, _)| values.first()).map(String::as_str)
    }

    /// A value that is a list; one word is a list of one, and so is a row of words between commas.
    pub fn list(&self, key: &str) -> Vec<&str> {
        let values = self.values.get(key).map(|(values, _)| values.as_slice()).unwrap_or_default();
        values.iter().flat_map(|value| value.split(',')).map(str::trim).filter(|value| !value.is_empty()).collect()
    }

    /// The line a key stands in.
    pub fn line(&self, key: &str) -> Option<usize> {
        self.values.get(key).map(|(_, line)| *line)
    }

    /// All keys.
    pub fn keys(&self) -> impl Iterator<Item = &str> {
        self.values.keys().map(String::as_str)
    }
}

/// A piece of the text.
#[derive(Debug, PartialEq, Eq)]
enum Token {
    Word(String),
    Open,
    Close,
    ListOpen,
    ListClose,
    Equals,
    /// A comma or the end of a line.
    Next,
}

/// Reads a text; what makes no sense is passed over.
pub fn read(text: &str) -> Hocon {
    let mut reader = Reader { tokens: tokens(text).into_iter().peekable(), out: Hocon::default() };
    while reader.tokens.peek().is_some() {
        reader.block("");
    }
    reader.out
}

struct Reader {
    tokens: std::iter::Peekable<std::vec::IntoIter<(Token, usize)>>,
    out: Hocon,
}

impl Reader {
    fn block(&mut self, prefix: &str) {
        let mut key: Option<String> = None;
        while let Some((token, line)) = self.tokens.next() {
            match token {
                Token::Close => return,
                Token::Next | Token::Equals | Token::ListOpen | Token::ListClose => {}
                Token::Word(word) => key = Some(word),
                Token::Open => {
                    let inner = joined(prefix, &key.take().unwrap_or_default());
                    self.block(&inner);
                    continue;
                }
            }
            if key.is_some() && self.tokens.peek().is_some_and(|(token, _)| *token == Token::Equals) {
                self.tokens.next();
                let name = joined(prefix, &key.take().unwrap_or_default());
                self.value(name, line);
            }
        }
    }

    fn value(&mut self, name: String, line: usize) {
        let mut words = Vec::new();
        let mut list = false;
        while let Some((token, _)) = self.tokens.peek() {
            match token {
                Token::Open if words.is_empty() && !list => {
                    self.tokens.next();
                    return self.block(&name);
                }
                Token::ListOpen => list = true,
                Token::ListClose => list = false,
                Token::Word(word) => words.push(word.clone()),
                Token::Next if list => {}
                _ => break,
            }
            self.tokens.next();
        }
        self.out.values.insert(name, (words, line));
    }
}

fn joined(prefix: &str, key: &str) -> String {
    match (prefix, key) {
        ("", key) => key.to_owned(),
        (prefix, "") => prefix.to_owned(),
        (prefix, key) => format!("{prefix}.{key}"),
    }
}

fn tokens(text: &str) -> Vec<(Token, usize)> {
    let mut out = Vec::new();
    for (index, row) in text.lines().enumerate() {
        let mut rest = row.trim_start();
        while let Some(first) = rest.chars().next() {
            if first == '#' || rest.starts_with("//") {
                break;
            }
            let (token, after) = token(rest, first);
            out.push((token, index + 1));
            rest = after.trim_start();
        }
        out.push((Token::Next, index + 1));
    }
    out
}

fn token(rest: &str, first: char) -> (Token, &str) {
    let after = rest.get(first.len_utf8()..).unwrap_or_default();
    match first {
        '{' => (Token::Open, after),
        '}' => (Token::Close, after),
        '[' => (Token::ListOpen, after),
        ']' => (Token::ListClose, after),
        '=' | ':' => (Token::Equals, after),
        ',' => (Token::Next, after),
        '"' => {
            let (word, after) = after.split_once('"').unwrap_or((after, ""));
            (Token::Word(word.to_owned()), after)
        }
        _ => {
            // A colon ends a key and is part of an address.
            let ends = |(at, c): (usize, char)| {
                let followed = rest.get(at + 1..).unwrap_or_default().starts_with([' ', '\t', '"', '{', '[']);
                matches!(c, '{' | '}' | '[' | ']' | '=' | ',' | '"' | '#') || c.is_whitespace() || c == ':' && followed
            };
            let end = rest.char_indices().find(|at| ends(*at)).map_or(rest.len(), |(at, _)| at);
            let (word, after) = rest.split_at(end.max(first.len_utf8()));
            (Token::Word(word.to_owned()), after)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::read;

    #[test]
    fn nested_dotted_and_flat_keys_are_one() {
        let text = "node { name = \"emqx@10.0.0.1\" # x\n cookie = c }\ncluster.static { seeds = [\"a@1\",\n \"b@2\"] }\n\
                    listeners.tcp.default { bind = \"0.0.0.0:1883\"\n proxy_protocol = true }\nx: { y: 1 }\n";
        let values = read(text);
        assert_eq!(values.word("node.name"), Some("emqx@10.0.0.1"));
        assert_eq!(values.word("node.cookie"), Some("c"));
        assert_eq!(values.list("cluster.static.seeds"), ["a@1", "b@2"]);
        assert_eq!(values.word("listeners.tcp.default.bind"), Some("0.0.0.0:1883"));
        assert_eq!(
            (values.word("listeners.tcp.default.proxy_protocol"), values.word("x.y")),
            (Some("true"), Some("1"))
        );
        assert_eq!(values.line("x.y"), Some(7));
        let flat = read("listener.tcp.external = 0.0.0.0:1883\ncluster.static.seeds = a@1, b@2\n");
        assert_eq!(flat.word("listener.tcp.external"), Some("0.0.0.0:1883"));
        assert_eq!(flat.list("cluster.static.seeds").first(), Some(&"a@1"));
    }

    #[test]
    fn what_makes_no_sense_ends() {
        for text in ["}}}{{", "a = [", "\"", "= = =", "a = {{", "[[]]", "a b c", ": x"] {
            assert!(read(text).keys().count() < 3, "{text}");
        }
    }
}
