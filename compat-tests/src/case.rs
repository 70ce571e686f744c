//! Comparison cases as text: configurations, and under each the requests that are made of it.
//!
//! ```text
//! # a remark
//! == server                          a piece of configuration: main, http, server or stream; a group may have several
//! location / { root html; }
//! -- A file is found => 200          a case: a sentence, and the statuses nginx answers with
//! @from 127.0.0.7                    wishes, see `Case`
//! GET /a.txt HTTP/1.1                the request; lines end in CRLF, \r \n \t \0 \\ \xHH are escapes
//! Host: localhost
//! ++                                 then, on the same connection, once the answer is there
//! && is the same without waiting     (pipelining)
//! ```
//!
//! A request without an empty line gets one; what follows an empty line is the body, without a line end of its own.

use std::io;

/// Pieces of one configuration.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Config {
    /// Outside all blocks.
    pub main: String,
    /// Inside `http { }`.
    pub http: String,
    /// Inside the `server { }` that listens on 8080.
    pub server: Option<String>,
    /// Inside `stream { }`.
    pub stream: Option<String>,
}

/// One request of a conversation.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Request {
    /// The bytes.
    pub bytes: Vec<u8>,
    /// Sent together with the request before.
    pub pipelined: bool,
}

impl Request {
    /// Whether the answer has no body whatever it says.
    pub fn is_head(&self) -> bool {
        self.bytes.starts_with(b"HEAD ")
    }
}

/// One case.
#[derive(Debug, Clone, Default)]
pub struct Case {
    /// A sentence.
    pub name: String,
    /// The statuses nginx answers with.
    pub statuses: Option<Vec<u16>>,
    /// `@port`: where to connect; 8080 if not said.
    pub port: Option<u16>,
    /// `@from`: the addresses the conversation is held from, one after the other.
    pub from: Vec<String>,
    /// `@times`: how often it is held.
    pub times: usize,
    /// `@reply`: what the backends answer.
    pub reply: Option<Vec<u8>>,
    /// `@reply-from PORT`: only this backend answers so.
    pub reply_from: Option<u16>,
    /// `@tcp`: not HTTP; the answer is whatever comes until the server closes or is silent.
    pub tcp: bool,
    /// `@half-close`: the client sends FIN after its last request.
    pub half_close: bool,
    /// `@sorted`: answers, backend requests and log lines are compared as sets.
    pub sorted: bool,
    /// `@errors`: the error log is compared too, without its times and processes.
    pub errors: bool,
    /// `@newer TEXT`: since 1.23 nginx answers otherwise; ours is asked for this text instead of for equality.
    pub newer: Option<Vec<u8>>,
    /// What is sent.
    pub requests: Vec<Request>,
}

/// A configuration and its cases.
#[derive(Debug, Clone, Default)]
pub struct Group {
    /// The configuration.
    pub config: Config,
    /// The cases.
    pub cases: Vec<Case>,
}

/// Reads a file of groups.
pub fn parse(text: &str) -> io::Result<Vec<Group>> {
    let mut groups: Vec<Group> = Vec::new();
    let mut piece: Option<String> = None;
    let mut lines: Vec<&str> = Vec::new();
    for line in text.lines().filter(|line| !line.starts_with('#')).chain(["== end"]) {
        if let Some(name) = line.strip_prefix("-- ").or(line.strip_prefix("== ")) {
            finish(&mut groups, piece.take(), &mut lines)?;
            let kind = &line[..2];
            if kind == "==" && name != "end" && groups.last().is_none_or(|group| !group.cases.is_empty()) {
                groups.push(Group::default());
            }
            piece = Some(format!("{kind}{name}"));
        } else {
            lines.push(line);
        }
    }
    Ok(groups)
}

/// Files the lines since the last marker.
fn finish(groups: &mut [Group], piece: Option<String>, lines: &mut Vec<&str>) -> io::Result<()> {
    let body = std::mem::take(lines);
    let (Some(piece), Some(group)) = (piece, groups.last_mut()) else { return Ok(()) };
    let config = &mut group.config;
    match piece.split_at(2) {
        ("--", name) => group.cases.push(case(name, &body)?),
        (_, "main") => config.main += &(body.join("\n") + "\n"),
        (_, "http") => config.http += &(body.join("\n") + "\n"),
        (_, "server") => *config.server.get_or_insert_default() += &(body.join("\n") + "\n"),
        (_, "stream") => *config.stream.get_or_insert_default() += &(body.join("\n") + "\n"),
        (_, other) => return Err(io::Error::other(format!("== {other} is no piece of a configuration"))),
    }
    Ok(())
}

fn case(title: &str, lines: &[&str]) -> io::Result<Case> {
    let (name, statuses) = match title.split_once(" => ") {
        Some((name, list)) => (name, Some(numbers(title, list)?)),
        None => (title, None),
    };
    let mut case = Case { name: name.to_owned(), statuses, times: 1, ..Case::default() };
    let mut rest = lines;
    while let Some((wish, after)) = rest.split_first().and_then(|(line, after)| Some((line.strip_prefix('@')?, after)))
    {
        let (word, value) = wish.split_once(' ').unwrap_or((wish, ""));
        match word {
            "port" => case.port = numbers(title, value)?.first().copied(),
            "from" => case.from = value.split(' ').map(str::to_owned).collect(),
            "times" => case.times = value.parse().map_err(io::Error::other)?,
            "reply" => case.reply = Some(unescape(value)),
            "reply-from" => case.reply_from = numbers(title, value)?.first().copied(),
            "newer" => case.newer = Some(unescape(value)),
            "tcp" => case.tcp = true,
            "half-close" => case.half_close = true,
            "sorted" => case.sorted = true,
            "errors" => case.errors = true,
            _ => return Err(io::Error::other(format!("{title}: @{word} is no wish"))),
        }
        rest = after;
    }
    let mut pipelined = false;
    for part in rest.split_inclusive(|line| *line == "++" || *line == "&&") {
        let (last, before) = part.split_last().unwrap_or((&"", &[]));
        let separated = *last == "++" || *last == "&&";
        let bytes = request(if separated { before } else { part }, case.tcp);
        case.requests.push(Request { bytes, pipelined });
        pipelined = *last == "&&";
    }
    Ok(case)
}

fn numbers(title: &str, list: &str) -> io::Result<Vec<u16>> {
    list.split_whitespace()
        .map(|word| word.parse().map_err(|_| io::Error::other(format!("{title}: {word} is no number"))))
        .collect()
}

/// The bytes of one request.
fn request(lines: &[&str], tcp: bool) -> Vec<u8> {
    // Empty lines at the end separate cases for the reader's eye; a body that needs one writes \r\n.
    let end = lines.iter().rposition(|line| !line.is_empty()).map_or(0, |last| last + 1);
    let text = lines[..end].join("\\r\\n");
    let mut bytes = unescape(&text);
    let has_end = bytes.windows(4).any(|window| window == b"\r\n\r\n") || text.ends_with("\\.");
    if !tcp && !has_end {
        bytes.extend(b"\r\n\r\n");
    }
    bytes
}

/// Resolves the escapes; `\.` is empty and says that nothing is to be added at the end.
fn unescape(text: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut left = text.bytes();
    while let Some(byte) = left.next() {
        if byte != b'\\' {
            bytes.push(byte);
            continue;
        }
        match left.next() {
            Some(b'r') => bytes.push(b'\r'),
            Some(b'n') => bytes.push(b'\n'),
            Some(b't') => bytes.push(b'\t'),
            Some(b'0') => bytes.push(0),
            Some(b'.') | None => {}
            Some(b'x') => {
                let digit = |byte: Option<u8>| byte.and_then(|byte| (byte as char).to_digit(16)).unwrap_or(0) as u8;
                let high = digit(left.next());
                bytes.push(high << 4 | digit(left.next()));
            }
            // \*1000a writes the letter a thousand times.
            Some(b'*') => {
                let mut count = 0_usize;
                for byte in left.by_ref() {
                    match (byte as char).to_digit(10) {
                        Some(digit) => count = count * 10 + digit as usize,
                        None => {
                            bytes.extend(std::iter::repeat_n(byte, count));
                            break;
                        }
                    }
                }
            }
            Some(other) => bytes.push(other),
        }
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_of_cases_is_read() {
        let groups = parse("# x\n== server\na;\n-- One => 200\n@port 8081\nGET / HTTP/1.0\n\n-- Two\nPOST /\\x41 HTTP/1.1\n\nbody\n&&\nGET /\\*3b\\.\n== http\nb;\n-- Three\nGET /\n")
            .expect("cases");
        assert_eq!(groups.len(), 2);
        let cases = &groups[0].cases;
        assert_eq!(cases[0].requests[0].bytes, b"GET / HTTP/1.0\r\n\r\n");
        assert_eq!((cases[0].port, cases[0].statuses.as_deref()), (Some(8081), Some(&[200][..])));
        assert_eq!(cases[1].requests[0].bytes, b"POST /A HTTP/1.1\r\n\r\nbody");
        assert_eq!(cases[1].requests[1], Request { bytes: b"GET /bbb".to_vec(), pipelined: true });
        assert_eq!(groups[1].config.http, "b;\n");
    }
}
