//! PEM: text blocks with a label, headers and base64, as OpenSSL reads and writes them.

use data_encoding::BASE64;

/// One block.
#[derive(Clone, Debug)]
pub struct Block {
    /// The label between `BEGIN` and the dashes.
    pub label: String,
    /// The headers, as `Proc-Type: 4,ENCRYPTED`.
    pub headers: Vec<(String, String)>,
    /// The bytes.
    pub contents: Vec<u8>,
}

impl Block {
    /// The value of a header.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }
}

/// The base64 of a block is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BadBase64;

/// The blocks of a text, in order; text outside of them is skipped, a block without an end is none.
pub fn blocks(bytes: &[u8]) -> impl Iterator<Item = Result<Block, BadBase64>> {
    let mut lines = bytes.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii);
    std::iter::from_fn(move || {
        loop {
            let label = lines.find_map(|line| boundary(line, b"-----BEGIN "))?;
            let mut headers = Vec::new();
            let mut body = Vec::new();
            let mut ended = false;
            for line in lines.by_ref() {
                if let Some(end) = boundary(line, b"-----END ") {
                    ended = end == label;
                    break;
                }
                match memchr::memchr(b':', line) {
                    Some(at) if body.is_empty() => headers.push(header(line, at)),
                    _ => body.extend_from_slice(line),
                }
            }
            if !ended {
                continue;
            }
            let contents = BASE64.decode(&body).map_err(|_| BadBase64);
            return Some(contents.map(|contents| Block { label, headers, contents }));
        }
    })
}

fn boundary(line: &[u8], start: &[u8]) -> Option<String> {
    let label = line.strip_prefix(start)?.strip_suffix(b"-----")?;
    String::from_utf8(label.to_vec()).ok()
}

fn header(line: &[u8], at: usize) -> (String, String) {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
    (text(line.get(..at).unwrap_or_default()), text(line.get(at + 1..).unwrap_or_default()))
}

/// A block of `contents`: lines of 64 characters, a line break at the end.
pub fn encode(label: &str, contents: &[u8]) -> String {
    let text = BASE64.encode(contents);
    let mut out = format!("-----BEGIN {label}-----\n");
    let mut rest = text.as_str();
    while !rest.is_empty() {
        let (line, after) = rest.split_at(rest.len().min(64));
        out.push_str(line);
        out.push('\n');
        rest = after;
    }
    out.push_str("-----END ");
    out.push_str(label);
    out.push_str("-----\n");
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_come_back_as_they_were_written() {
        let long = vec![0xa5; 100];
        let text = format!("words\n{}between\r\n{}", encode("A", &long), encode("B C", b""));
        let read: Vec<_> = blocks(text.as_bytes()).map(|block| block.expect("base64")).collect();
        assert_eq!(read.iter().map(|block| block.label.as_str()).collect::<Vec<_>>(), ["A", "B C"]);
        assert_eq!(read[0].contents, long);
        assert!(encode("A", &long).lines().all(|line| line.len() <= 64));
    }

    #[test]
    fn headers_and_faults_are_seen() {
        let text = b"-----BEGIN K-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: X,00\n\nAAEC\n-----END K-----\n";
        let block = blocks(text).next().expect("a block").expect("base64");
        assert_eq!((block.header("Proc-Type"), block.header("DEK-Info")), (Some("4,ENCRYPTED"), Some("X,00")));
        assert_eq!(block.contents, [0, 1, 2]);
        assert_eq!(
            blocks(b"-----BEGIN K-----\n*\n-----END K-----").next().map(|block| block.err()),
            Some(Some(BadBase64))
        );
        assert!(blocks(b"-----BEGIN K-----\nAAEC\n").next().is_none());
        assert!(blocks(b"-----BEGIN K-----\nAAEC\n-----END L-----\n").next().is_none());
    }
}
