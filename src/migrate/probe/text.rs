//! Statements back into a text that nginx reads as the same statements.

use crate::conf::source::Span;
use crate::conf::tree::{Block, Node, Statement};

/// A statement being rewritten: words and, maybe, what is inside.
#[derive(Clone, Debug)]
pub struct Row {
    /// Name and arguments.
    pub words: Vec<Vec<u8>>,
    /// What stands between its braces.
    pub inside: Option<Vec<Self>>,
    /// Where the operator's file has it.
    pub from: Option<Span>,
}

impl Row {
    /// A statement without a block.
    pub fn new(words: &[&str]) -> Self {
        Self { words: words.iter().map(|word| word.as_bytes().to_vec()).collect(), inside: None, from: None }
    }

    /// Its name.
    pub fn name(&self) -> String {
        self.word(0)
    }

    /// A word, or nothing.
    pub fn word(&self, at: usize) -> String {
        self.words.get(at).map(|word| String::from_utf8_lossy(word).into_owned()).unwrap_or_default()
    }

    /// Replaces a word, if it is there.
    pub fn set(&mut self, at: usize, text: &str) {
        if let Some(word) = self.words.get_mut(at) {
            *word = text.as_bytes().to_vec();
        }
    }

    /// The words from `at` on.
    pub fn rest(&self, at: usize) -> Vec<String> {
        (at..self.words.len()).map(|at| self.word(at)).collect()
    }
}

/// The statements of a block whose includes are already in it; the complaint where one could not be read.
///
/// # Errors
/// A place that is no statement.
pub fn rows(block: &Block) -> Result<Vec<Row>, String> {
    let mut out = Vec::new();
    for node in &block.nodes {
        match node {
            Node::Broken(complaint) => return Err(complaint.message.clone()),
            Node::Statement(statement) if statement.name() == "include" && statement.block.is_none() => {}
            Node::Statement(statement) => out.push(row(statement)?),
        }
    }
    Ok(out)
}

fn row(statement: &Statement) -> Result<Row, String> {
    let words = statement.words.iter().map(|word| word.bytes.to_vec()).collect();
    Ok(Row { words, inside: statement.block.as_ref().map(rows).transpose()?, from: Some(statement.span) })
}

/// The text of statements.
pub fn print(rows: &[Row]) -> Vec<u8> {
    print_with_places(rows).0
}

/// The text of statements, and where the operator's file has what begins in each of its lines.
pub fn print_with_places(rows: &[Row]) -> (Vec<u8>, Vec<Option<Span>>) {
    let (mut out, mut places) = (Vec::new(), Vec::new());
    rows.iter().for_each(|row| line(row, 0, &mut out, &mut places));
    (out, places)
}

fn line(row: &Row, depth: usize, out: &mut Vec<u8>, places: &mut Vec<Option<Span>>) {
    let start = out.len();
    out.extend(std::iter::repeat_n(b' ', depth * 4));
    for (at, bytes) in row.words.iter().enumerate() {
        if at > 0 {
            out.push(b' ');
        }
        word(bytes, out);
    }
    out.extend_from_slice(if row.inside.is_some() { b" {\n" } else { b";\n" });
    let written = out.get(start..).unwrap_or_default();
    // A word may hold line ends.
    places.extend(std::iter::repeat_n(row.from, written.iter().filter(|byte| **byte == b'\n').count()));
    if let Some(inside) = &row.inside {
        inside.iter().for_each(|row| line(row, depth + 1, out, places));
        out.extend(std::iter::repeat_n(b' ', depth * 4));
        out.extend_from_slice(b"}\n");
        places.push(row.from);
    }
}

fn word(bytes: &[u8], out: &mut Vec<u8>) {
    let plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"_./:=*-+,@~^$|?%&()[]<>!".contains(byte);
    if !bytes.is_empty() && bytes.iter().all(plain) {
        return out.extend_from_slice(bytes);
    }
    out.push(b'"');
    for byte in bytes {
        if matches!(byte, b'"' | b'\\') {
            out.push(b'\\');
        }
        out.push(*byte);
    }
    out.push(b'"');
}

#[cfg(test)]
mod tests {
    use super::{Row, print, print_with_places, rows};
    use crate::conf::lex;
    use crate::conf::source::SourceId;

    /// The same without their places.
    fn bare(rows: Vec<Row>) -> Vec<Row> {
        rows.into_iter().map(|row| Row { inside: row.inside.map(bare), from: None, ..row }).collect()
    }

    #[test]
    fn every_printed_line_knows_where_it_is_from() {
        let text = b"http {\n server {\n\n  return 200 'a\nb';\n } }";
        let read = rows(&lex::nginx::file(text, SourceId(0))).unwrap_or_default();
        let (printed, places) = print_with_places(&read);
        let starts: Vec<Option<u32>> = places.iter().map(|place| place.map(|span| span.start)).collect();
        // The closing braces are those of their blocks.
        assert_eq!(
            starts,
            [Some(0), Some(8), Some(20), Some(20), Some(8), Some(0)],
            "{}",
            String::from_utf8_lossy(&printed)
        );
    }

    #[test]
    fn what_is_printed_reads_as_what_was_read() {
        let text = br#"http { map $a $b { "~*\.x\"y" 'its' ; default ""; } if ($a ~ "^\\d+\t;{2}$") { set $x ${y}z; } }
            log_format f '$a "$b" \n'; location ~ \.php$ { return 200 "a\\b"; }"#;
        let words = |text: &[u8]| {
            let read = rows(&lex::nginx::file(text, SourceId(0))).unwrap_or_default();
            (format!("{:?}", bare(read.clone())), print(&read))
        };
        let (first, printed) = words(text);
        assert_eq!(first, words(&printed).0, "{}", String::from_utf8_lossy(&printed));
        assert!(first.len() > 300);
    }
}
