//! Broken configurations out of whole ones: one small change each, found again by its number.

/// Numbers that look random and come again for the same seed (xorshift).
#[derive(Debug, Clone)]
pub struct Dice(u64);

impl Dice {
    /// Dice for a seed.
    pub fn new(seed: u64) -> Self {
        let mut dice = Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
        for _ in 0..4 {
            dice.roll(2);
        }
        dice
    }

    /// A number below `sides`; 0 where there are none.
    pub fn roll(&mut self, sides: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        if sides == 0 { 0 } else { (self.0 >> 16) as usize % sides }
    }

    /// One of several; nothing of none.
    pub fn pick<'a, T>(&mut self, of: &'a [T]) -> Option<&'a T> {
        of.get(self.roll(of.len()))
    }
}

/// A piece of a configuration: a word, or one of `;`, `{`, `}`; where it begins and ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Piece {
    start: usize,
    end: usize,
    mark: bool,
    /// Whether it is the first word of its statement.
    first: bool,
}

/// The pieces of a text, comments and blanks left out.
pub fn pieces(text: &[u8]) -> Vec<Piece> {
    let mut found = Vec::new();
    let (mut at, mut first) = (0, true);
    while let Some(byte) = text.get(at).copied() {
        let start = at;
        at += 1;
        match byte {
            b' ' | b'\t' | b'\r' | b'\n' => {}
            b'#' => at = text[at..].iter().position(|byte| *byte == b'\n').map_or(text.len(), |line| at + line),
            b';' | b'{' | b'}' => {
                found.push(Piece { start, end: at, mark: true, first: false });
                first = true;
            }
            quote @ (b'"' | b'\'') => {
                while at < text.len() && text[at] != quote {
                    at += if text[at] == b'\\' { 2 } else { 1 };
                }
                at = (at + 1).min(text.len());
                found.push(Piece { start, end: at, mark: false, first });
                first = false;
            }
            _ => {
                while at < text.len() && !b" \t\r\n;{".contains(&text[at]) {
                    at += if text[at..].starts_with(b"${") || text[at] == b'\\' { 2 } else { 1 };
                }
                at = at.min(text.len());
                found.push(Piece { start, end: at, mark: false, first });
                first = false;
            }
        }
    }
    found
}

/// Words that are wrong in most places.
const WRONG: &[&str] = &[
    "foo",
    "-1",
    "0",
    "10q",
    "99999999999999999999",
    "\"\"",
    "on",
    "off",
    "$nosuch",
    "/nosuch/file",
    "1.5",
    "1k 2k",
    "~(",
    "127.0.0.1:99999",
    "nosuch.invalid",
    "http://",
    "300.1.1.1/99",
    "auto",
    "default",
    "${x",
    "a=b",
    "TLSv9",
    "*",
    "10s5",
];

/// Statements of many places, to be put where they do not belong.
const STRANGERS: &[&str] = &[
    "gzip on;",
    "listen 81;",
    "server { }",
    "location /zz { }",
    "worker_processes 2;",
    "events { }",
    "upstream zz { }",
    "proxy_pass http://127.0.0.1:1;",
    "return 200;",
    "ssl_certificate cert.pem;",
    "use epoll;",
    "auth_http 127.0.0.1:1;",
    "map $a $b { }",
    "include nosuch.conf;",
    "root /x;",
    "server 127.0.0.1;",
    "error_page 404 /x;",
    "if ($a) { }",
    "set $zz 1;",
    "allow all;",
    "protocol imap;",
    "ssl_preread on;",
    "user nosuchuser;",
    "types { }",
    "geo $zzz { }",
];

/// Bytes that do not belong into a text.
const JUNK: &[&[u8]] =
    &[b"\0", b"\xff\xfe", b"\x1b[0m", b"\\", b"\"", b"'", b"{", b"}", b";", b";;", b"#", b"$", b"\xe4\xbd", b"\x0b"];

fn replaced(text: &[u8], (start, end): (usize, usize), with: &[u8]) -> Vec<u8> {
    [&text[..start], with, &text[end..]].concat()
}

/// The text with one thing wrong; which one, the number tells. Some changes do no harm.
pub fn mutate(text: &[u8], seed: u64) -> Vec<u8> {
    let mut dice = Dice::new(seed);
    let all = pieces(text);
    let words: Vec<Piece> = all.iter().copied().filter(|piece| !piece.mark).collect();
    let names: Vec<Piece> = words.iter().copied().filter(|piece| piece.first).collect();
    let values: Vec<Piece> = words.iter().copied().filter(|piece| !piece.first).collect();
    let marks: Vec<Piece> = all.iter().copied().filter(|piece| piece.mark).collect();
    let whole = |piece: Piece| (piece.start, piece.end);
    let bytes = |piece: Piece| &text[piece.start..piece.end];
    let Some(any) = dice.pick(&all).copied() else { return text.to_vec() };
    let word = dice.pick(&words).copied().unwrap_or(any);
    let name = dice.pick(&names).copied().unwrap_or(any);
    let value = dice.pick(&values).copied().unwrap_or(word);
    let mark = dice.pick(&marks).copied().unwrap_or(any);
    match dice.roll(16) {
        0 => replaced(text, whole(any), b""),
        1 => replaced(text, (any.end, any.end), &[b" ", bytes(any)].concat()),
        2 | 3 => replaced(text, whole(value), dice.pick(WRONG).map_or(b"", |word| word.as_bytes())),
        4 | 5 => replaced(text, whole(name), &misspelled(bytes(name), &mut dice)),
        6 => replaced(text, whole(mark), b""),
        7 => replaced(text, whole(mark), dice.pick(&[b"}", b"{", b";"]).map_or(b"", |mark| *mark)),
        8 | 9 => replaced(text, (mark.end, mark.end), dice.pick(STRANGERS).map_or(b"", |row| row.as_bytes())),
        10 => moved(text, any, word),
        11 => twice(text, name, &all),
        12 => swapped(text, word, value),
        13 => replaced(text, (any.start, any.start), dice.pick(JUNK).map_or(b"", |junk| junk)),
        14 => replaced(text, (value.end, value.end), b" extra"),
        _ => text[..any.end].to_vec(),
    }
}

/// A name with a letter dropped, doubled or changed, or in capitals.
fn misspelled(name: &[u8], dice: &mut Dice) -> Vec<u8> {
    let at = dice.roll(name.len());
    match dice.roll(4) {
        0 => replaced(name, (at, at + 1), b""),
        1 => replaced(name, (at, at), &name[at..=at]),
        2 => replaced(name, (at, at + 1), b"x"),
        _ => name.to_ascii_uppercase(),
    }
}

/// `piece` taken out of its place and put behind `to`.
fn moved(text: &[u8], piece: Piece, to: Piece) -> Vec<u8> {
    let put = replaced(text, (to.end, to.end), &[b" ", &text[piece.start..piece.end]].concat());
    let shift = if to.end <= piece.start { piece.end - piece.start + 1 } else { 0 };
    replaced(&put, (piece.start + shift, piece.end + shift), b"")
}

/// The statement that begins with `name`, up to its `;` or `{`, written twice; of a block only an empty one comes again.
fn twice(text: &[u8], name: Piece, all: &[Piece]) -> Vec<u8> {
    let Some(end) = all.iter().find(|piece| piece.mark && piece.start >= name.end) else { return text.to_vec() };
    let mut row = text[name.start..end.end].to_vec();
    if row.ends_with(b"{") {
        row.extend_from_slice(b" }");
    }
    row.push(b' ');
    replaced(text, (name.start, name.start), &row)
}

fn swapped(text: &[u8], a: Piece, b: Piece) -> Vec<u8> {
    let (first, second) = if a.start <= b.start { (a, b) } else { (b, a) };
    if first.end > second.start {
        return text.to_vec();
    }
    let (one, two) = (&text[first.start..first.end], &text[second.start..second.end]);
    [&text[..first.start], two, &text[first.end..second.start], one, &text[second.end..]].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_number_makes_the_same_change() {
        let text = b"a b; # c\nd \"e;\" { f 'g' ; }\n";
        let words: Vec<_> = pieces(text).iter().map(|piece| text[piece.start..piece.end].to_vec()).collect();
        assert_eq!(words.len(), 10);
        let changed = (0..100).filter(|seed| mutate(text, *seed) != text).count();
        assert!(changed > 80, "{changed}");
        for seed in 0..100 {
            assert_eq!(mutate(text, seed), mutate(text, seed));
        }
    }
}
