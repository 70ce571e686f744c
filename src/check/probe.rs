//! The checks of the well-known module upstream_check: what is sent, and which answers are good.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

/// What a server is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Probe {
    /// To keep a connection open.
    Tcp,
    /// To answer this with a status of one of the [classes](CLASSES).
    Http(Vec<u8>, u32),
    /// The same of a FastCGI program; any answer is good where there are no classes.
    FastCgi(Vec<u8>, u32),
    /// To answer a TLS ClientHello.
    SslHello,
    /// To greet as MySQL does.
    Mysql,
    /// To answer an AJP CPing.
    Ajp,
}

/// Classes of statuses by name.
pub const CLASSES: &[(&str, u32)] = &[("http_2xx", 1), ("http_3xx", 2), ("http_4xx", 4), ("http_5xx", 8)];
/// The classes of `type=http` where none are named.
pub const USUAL: u32 = 3;
/// The request of `type=http` where none is written.
pub const GET: &[u8] = b"GET / HTTP/1.0\r\n\r\n";
/// The parameters of `type=fastcgi` where none are written.
pub const PARAMS: [(&[u8], &[u8]); 3] =
    [(b"REQUEST_METHOD", b"GET"), (b"REQUEST_URI", b"/"), (b"SCRIPT_FILENAME", b"index.php")];
/// Bytes of an answer that are examined.
pub const MOST: usize = 64 * 1024;

/// What the bytes of an answer come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// More is needed.
    More,
    /// It is good.
    Good,
    /// It is not.
    Bad,
}

use Verdict::{Bad, Good, More};

impl Probe {
    /// Its name in `type=`.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Tcp => "tcp",
            Self::Http(..) => "http",
            Self::FastCgi(..) => "fastcgi",
            Self::SslHello => "ssl_hello",
            Self::Mysql => "mysql",
            Self::Ajp => "ajp",
        }
    }

    /// What is sent.
    pub fn request(&self) -> Vec<u8> {
        match self {
            Self::Tcp | Self::Mysql => Vec::new(),
            Self::Http(request, _) | Self::FastCgi(request, _) => request.clone(),
            Self::SslHello => client_hello(),
            Self::Ajp => vec![0x12, 0x34, 0, 1, 0x0a],
        }
    }

    /// Whether a connection may serve another check.
    pub const fn keeps(&self) -> bool {
        matches!(self, Self::Tcp | Self::Http(..))
    }

    /// Judges the bytes that have come.
    pub fn judge(&self, bytes: &[u8]) -> Verdict {
        let verdict = match self {
            Self::Tcp => Good,
            Self::Http(_, classes) => http(bytes, *classes),
            Self::FastCgi(_, classes) => fastcgi(bytes, *classes),
            // A handshake record that begins with a ServerHello.
            Self::SslHello => match bytes {
                [0x16, _, _, _, _, 2, ..] => Good,
                _ => partial(bytes, 6),
            },
            // The first packet has the number 0.
            Self::Mysql => match bytes {
                [_, _, _, 0, _, _, ..] => Good,
                _ => partial(bytes, 6),
            },
            Self::Ajp => match bytes {
                [0x41, 0x42, 0, 1, 9, ..] => Good,
                _ => partial(bytes, 5),
            },
        };
        if verdict == More && bytes.len() >= MOST { Bad } else { verdict }
    }
}

const fn partial(bytes: &[u8], least: usize) -> Verdict {
    if bytes.len() < least { More } else { Bad }
}

/// Judges a status by its class.
fn of_class(status: u16, classes: u32) -> Verdict {
    let class = match status {
        200..=299 => 1,
        300..=399 => 2,
        400..=499 => 4,
        500..=599 => 8,
        _ => 0,
    };
    if class & classes != 0 { Good } else { Bad }
}

fn status(text: &[u8]) -> Option<u16> {
    std::str::from_utf8(text.get(..3)?).ok()?.parse().ok()
}

fn http(bytes: &[u8], classes: u32) -> Verdict {
    let Some(end) = bytes.iter().position(|byte| *byte == b'\n') else {
        let begun = bytes.get(..5).unwrap_or(bytes);
        return if b"HTTP/".starts_with(begun) { More } else { Bad };
    };
    let line = bytes.get(..end).unwrap_or_default();
    let code = match line {
        [b'H', b'T', b'T', b'P', b'/', major, b'.', minor, b' ', rest @ ..]
            if major.is_ascii_digit() && minor.is_ascii_digit() =>
        {
            status(rest)
        }
        _ => None,
    };
    code.map_or(Bad, |code| of_class(code, classes))
}

const STDOUT: u8 = 6;

/// Judges the first record of a FastCGI program: that it has an answer, and the status it names.
fn fastcgi(bytes: &[u8], classes: u32) -> Verdict {
    let [version, kind, _, _, high, low, _, _, rest @ ..] = bytes else {
        return match bytes {
            [1, STDOUT, ..] | [1] | [] => More,
            _ => Bad,
        };
    };
    let length = usize::from(u16::from_be_bytes([*high, *low]));
    if *version != 1 || *kind != STDOUT || length == 0 {
        return Bad;
    }
    let Some(content) = rest.get(..length) else { return More };
    if classes == 0 {
        return Good;
    }
    let head = content.split(|byte| *byte == b'\n').take_while(|line| !matches!(*line, b"" | b"\r"));
    let named = head.filter_map(|line| {
        let (name, value) = line.split_at_checked(7)?;
        name.eq_ignore_ascii_case(b"status:").then(|| value.trim_ascii_start())
    });
    named.last().map_or(Good, |value| status(value).map_or(Bad, |code| of_class(code, classes)))
}

/// A FastCGI request with these parameters and no body.
pub fn fastcgi_request<'a>(params: impl Iterator<Item = (&'a [u8], &'a [u8])>) -> Vec<u8> {
    let mut content = Vec::new();
    for (name, value) in params {
        for length in [name.len(), value.len()] {
            match u8::try_from(length) {
                Ok(short @ 0..=127) => content.push(short),
                _ => content.extend_from_slice(&(length as u32 | 1 << 31).to_be_bytes()),
            }
        }
        content.extend_from_slice(name);
        content.extend_from_slice(value);
    }
    content.truncate(usize::from(u16::MAX));
    let mut request = vec![1, 1, 0, 1, 0, 8, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0];
    let padding = (8 - content.len() % 8) % 8;
    let [high, low] = (content.len() as u16).to_be_bytes();
    request.extend_from_slice(&[1, 4, 0, 1, high, low, padding as u8, 0]);
    request.extend_from_slice(&content);
    request.resize(request.len() + padding, 0);
    // The end of the parameters, and a body without bytes.
    request.extend_from_slice(&[1, 4, 0, 1, 0, 0, 0, 0, 1, 5, 0, 1, 0, 0, 0, 0]);
    request
}

/// A ClientHello of TLS 1.2 (RFC 5246 §7.4.1.2) that any server should answer.
fn client_hello() -> Vec<u8> {
    const CIPHERS: [u16; 12] =
        [0xc02b, 0xc02f, 0xc02c, 0xc030, 0xcca9, 0xcca8, 0xc009, 0xc013, 0xc00a, 0xc014, 0x009c, 0x002f];
    const CURVES: [u16; 3] = [29, 23, 24];
    const SIGNATURES: [u16; 9] = [0x0403, 0x0503, 0x0603, 0x0804, 0x0805, 0x0806, 0x0401, 0x0501, 0x0601];
    let listed = |values: &[u16]| -> Vec<u8> { values.iter().flat_map(|value| value.to_be_bytes()).collect() };
    let with_length = |bytes: &[u8]| [&(bytes.len() as u16).to_be_bytes()[..], bytes].concat();
    let extension = |kind: u16, content: &[u8]| [&kind.to_be_bytes()[..], &with_length(content)].concat();
    let extensions = [
        extension(10, &with_length(&listed(&CURVES))),
        extension(11, &[1, 0]),
        extension(13, &with_length(&listed(&SIGNATURES))),
    ]
    .concat();
    // No secret depends on the random bytes: the handshake never ends.
    let body =
        [&[3, 3][..], &[0x5a; 32], &[0], &with_length(&listed(&CIPHERS)), &[1, 0], &with_length(&extensions)].concat();
    let [_, length @ ..] = (body.len() as u32).to_be_bytes();
    let handshake = [&[1][..], &length, &body].concat();
    [&[0x16, 3, 1][..], &with_length(&handshake)].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The verdict of a whole answer; of every part of it more is wanted.
    fn judge(probe: &Probe, bytes: &[u8]) -> Verdict {
        for count in 0..bytes.len() {
            let part = bytes.get(..count).unwrap_or_default();
            if probe.judge(part) != More {
                return probe.judge(part);
            }
        }
        probe.judge(bytes)
    }

    #[test]
    fn http_is_judged_by_the_class_of_its_status() {
        let usual = Probe::Http(GET.to_vec(), USUAL);
        for (answer, verdict) in [
            ("HTTP/1.0 200 OK\r\n", Good),
            ("HTTP/1.1 302 Found\n", Good),
            ("HTTP/1.1 404 Not Found\r\n", Bad),
            ("HTTP/1.1 999 X\r\n", Bad),
            ("HTTP/1.1 2x0 X\r\n", Bad),
            ("ICY 200 OK\r\n", Bad),
            ("HTTP/1.1 20", More),
        ] {
            assert_eq!(judge(&usual, answer.as_bytes()), verdict, "{answer}");
        }
        assert_eq!(judge(&Probe::Http(GET.to_vec(), 12), b"HTTP/1.1 503 X\r\n"), Good);
        assert_eq!(usual.judge(&[b"HTTP/", &[b' '; MOST][..]].concat()), Bad, "a line without end");
    }

    #[test]
    fn programs_answer_on_standard_output() {
        let record = |kind: u8, content: &[u8]| {
            [&[1, kind, 0, 1, 0, content.len() as u8, 0, 0][..], content, &[1, 3, 0, 1, 0, 8, 0, 0]].concat()
        };
        let any = Probe::FastCgi(Vec::new(), 0);
        let usual = Probe::FastCgi(Vec::new(), USUAL);
        assert_eq!(judge(&any, &record(6, b"Status: 500 X\r\n\r\n")), Good);
        assert_eq!(judge(&usual, &record(6, b"Content-Type: a\r\nStatus: 500 X\r\n\r\nx")), Bad);
        assert_eq!(judge(&usual, &record(6, b"status:302 X\n\nStatus: 500 X\n")), Good);
        assert_eq!(judge(&usual, &record(6, b"Content-Type: a\r\n\r\n")), Good);
        for wrong in [record(7, b"oops"), record(3, b"12345678"), record(6, b""), b"HTTP/1.1 200 OK".to_vec()] {
            assert_eq!(judge(&any, &wrong), Bad);
        }
        let request = fastcgi_request([(&b"A"[..], &b"b"[..]), (b"C", &[b'd'; 200])].into_iter());
        let params = [&[1, 1, b'A', b'b', 1, 0x80, 0, 0, 200, b'C'][..], &[b'd'; 200]].concat();
        assert_eq!(
            request.get(..24),
            Some(&[1, 1, 0, 1, 0, 8, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 1, 4, 0, 1, 0, 210, 6, 0][..])
        );
        assert_eq!(request.get(24..234), Some(&params[..]));
        assert_eq!(request.get(240..), Some(&[1, 4, 0, 1, 0, 0, 0, 0, 1, 5, 0, 1, 0, 0, 0, 0][..]));
    }

    #[test]
    fn other_protocols_are_known_by_their_first_bytes() {
        assert_eq!(judge(&Probe::SslHello, &[0x16, 3, 3, 0, 80, 2, 0]), Good);
        assert_eq!(judge(&Probe::SslHello, &[0x15, 3, 3, 0, 2, 2, 40]), Bad);
        assert_eq!(judge(&Probe::Mysql, &[74, 0, 0, 0, 10, b'8']), Good);
        assert_eq!(judge(&Probe::Mysql, b"HTTP/1.1"), Bad);
        assert_eq!(judge(&Probe::Ajp, &[0x41, 0x42, 0, 1, 9]), Good);
        assert_eq!(judge(&Probe::Ajp, b"HTTP/"), Bad);
        let hello = client_hello();
        assert_eq!(hello.len() - 5, usize::from(u16::from_be_bytes([hello[3], hello[4]])));
        assert_eq!(hello.len() - 9, u32::from_be_bytes([0, hello[6], hello[7], hello[8]]) as usize);
    }
}
