//! Statements back into a text that nginx reads as the same statements.

use crate::conf::tree::{Block, Node, Statement};

/// A statement being rewritten: words and, maybe, what is inside.
#[derive(Clone, Debug)]
pub struct Row {
    /// Name and arguments.
    pub words: Vec<Vec<u8>>,
    /// What stands between its braces.
    pub inside: Option<Vec<Self>>,
}

impl Row {
    /// A statement without a block.
    pub fn new(words: &[&str]) -> Self {
        Self { words: words.iter().map(|word| word.as_bytes().to_vec()).collect(), inside: None }
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
    Ok(Row { words, inside: statement.block.as_ref().map(rows).transpose()? })
}

/// The text of statements.
pub fn print(rows: &[Row]) -> Vec<u8> {
    let mut out = Vec::new();
    rows.iter().for_each(|row| line(row, 0, &mut out));
    out
}

fn line(row: &Row, depth: usize, out: &mut Vec<u8>) {
    out.extend(std::iter::repeat_n(b' ', depth * 4));
    for (at, bytes) in row.words.iter().enumerate() {
        if at > 0 {
            out.push(b' ');
        }
        word(bytes, out);
    }
    match &row.inside {
        None => out.extend_from_slice(b";\n"),
        Some(inside) => {
            out.extend_from_slice(b" {\n");
            inside.iter().for_each(|row| line(row, depth + 1, out));
            out.extend(std::iter::repeat_n(b' ', depth * 4));
            out.extend_from_slice(b"}\n");
        }
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
    use super::{print, rows};
    use crate::conf::lex;
    use crate::conf::source::SourceId;

    #[test]
    fn what_is_printed_reads_as_what_was_read() {
        let text = br#"http { map $a $b { "~*\.x\"y" 'its' ; default ""; } if ($a ~ "^\\d+\t;{2}$") { set $x ${y}z; } }
            log_format f '$a "$b" \n'; location ~ \.php$ { return 200 "a\\b"; }"#;
        let words = |text: &[u8]| {
            let read = rows(&lex::nginx::file(text, SourceId(0))).unwrap_or_default();
            (format!("{read:?}"), print(&read))
        };
        let (first, printed) = words(text);
        assert_eq!(first, words(&printed).0, "{}", String::from_utf8_lossy(&printed));
        assert!(first.len() > 300);
    }
}
