//! `HTTP_GET` and `SSL_GET`: a server that gives each page as it should is up.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use super::report::{Judgement, Known, Ran};
use super::schedule::Schedule;
use md5::{Digest, Md5};
use std::fmt::Debug;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

/// What is asked, and what a good answer is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Get {
    /// The pages, in order.
    pub urls: Vec<Url>,
    /// The version of HTTP.
    pub version: Version,
    /// The name that is asked for where a page has none of its own.
    pub host: Option<String>,
    /// That name is the check's own, not its server's.
    pub own_host: bool,
    /// Checks follow each other at once until the state is known.
    pub fast_recovery: bool,
    /// They are asked for over TLS.
    pub secure: bool,
    /// The name that is given in the TLS handshake.
    pub server_name: ServerName,
    /// The end of a TLS connection is told to the server.
    pub tls_compliant: bool,
}

/// The name that is given in the TLS handshake.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum ServerName {
    /// None.
    #[default]
    Absent,
    /// The page's, or this one where it has none.
    OfHost(Option<String>),
    /// This one.
    Given(String),
}

/// A page.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Url {
    /// Its path.
    pub path: String,
    /// The name that is asked for.
    pub host: Option<String>,
    /// The MD5 digest of a good answer.
    pub digest: Option<[u8; 16]>,
    /// The first and last of status codes that are good; 200 to 299 where there is none.
    pub statuses: Vec<(u16, u16)>,
    /// The expression a good answer matches, or does not match.
    pub regex: Option<Box<Regex>>,
    /// The end of a TLS connection is told to the server.
    pub tls_compliant: bool,
}

/// An expression answers are held against.
#[derive(Clone, Debug)]
pub struct Regex {
    /// As it was given.
    pub pattern: Vec<u8>,
    /// PCRE2's options.
    pub options: u32,
    /// A good answer does not match.
    pub no_match: bool,
    /// A match begins here at the earliest.
    pub min: usize,
    /// And here at the latest.
    pub max: Option<usize>,
    /// The size of the stack of compiled code, at first and at most.
    pub stack: Option<(usize, usize)>,
    /// What searches for it.
    pub engine: Arc<dyn Engine>,
}

impl PartialEq for Regex {
    fn eq(&self, other: &Self) -> bool {
        let of = |one: &Self| (one.options, one.no_match, one.min, one.max);
        self.pattern == other.pattern && of(self) == of(other)
    }
}

impl Eq for Regex {}

/// What searches for an expression.
pub trait Engine: Debug + Send + Sync {
    /// How many bytes before its begin a match may look at.
    fn lookbehind(&self) -> usize;
    /// Looks for a match that begins at `from` or later.
    fn search(&self, text: &[u8], from: usize) -> Found;
}

/// What a search came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Found {
    /// A match begins here.
    Match(usize),
    /// One may begin here: that depends on what comes next.
    Partial(usize),
    /// There is none.
    Nothing,
    /// The search ended early; what is said of it.
    Failed(String),
}

/// The version of HTTP that is asked with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Version {
    /// 1.0.
    #[default]
    V10,
    /// 1.0 with `Connection: close`.
    V10Close,
    /// 1.1 with `Connection: close`.
    V11,
}

impl Get {
    /// The name that is given in the TLS handshake.
    pub fn name<'a>(&'a self, url: &'a Url) -> Option<&'a str> {
        match &self.server_name {
            ServerName::Absent => None,
            ServerName::Given(name) => Some(name),
            ServerName::OfHost(host) => url.host.as_deref().or(host.as_deref()),
        }
    }

    /// The request for a page of the server at `to`.
    pub fn request(&self, url: &Url, to: SocketAddr) -> Vec<u8> {
        let host = match url.host.as_ref().or(self.host.as_ref()) {
            Some(host) => host.clone(),
            None => to.to_string(),
        };
        let minor = u8::from(self.version == Version::V11);
        let close = if self.version == Version::V10 { "" } else { "Connection: close\r\n" };
        let path = &url.path;
        format!("GET {path} HTTP/1.{minor}\r\nUser-Agent: KeepAliveClient\r\n{close}Host: {host}\r\n\r\n").into_bytes()
    }
}

/// A response while it comes in.
#[derive(Debug, Default)]
pub struct Response {
    /// The head, until it is whole; then what an expression has still to see.
    buffer: Vec<u8>,
    /// The status, once the head is there.
    status: Option<u16>,
    body: Md5,
    scan: Scan,
    /// What there is to say of the search.
    pub said: Vec<String>,
}

/// How far an expression has been searched for.
#[derive(Debug, Default)]
struct Scan {
    matched: bool,
    /// How much was searched through before what is in the buffer.
    before: usize,
    /// Where in the buffer the next search begins at the earliest.
    from: usize,
}

/// The longest head, and the longest text that is searched at once.
const BUFFER: usize = 4095;

impl Response {
    /// Takes bytes of the answer to a request for `url`; false where nothing more is of use.
    pub fn take(&mut self, mut bytes: &[u8], url: &Url) -> bool {
        while !bytes.is_empty() {
            let (own, rest) = bytes.split_at(bytes.len().min(BUFFER.saturating_sub(self.buffer.len())));
            bytes = rest;
            if own.is_empty() {
                return false;
            }
            self.buffer.extend(own);
            let body = match self.status {
                Some(_) => own,
                None => {
                    let Some(end) = self.buffer.windows(4).position(|four| four == b"\r\n\r\n") else { continue };
                    self.status = Some(status(&self.buffer));
                    self.buffer.get(end + 4..).unwrap_or_default()
                }
            };
            if url.digest.is_some() {
                self.body.update(body);
            }
            // What comes with the head in one piece is searched with it, as keepalived does.
            let searched = url.regex.as_ref().filter(|_| !body.is_empty());
            if !searched.is_some_and(|regex| self.scan.keep(regex, &mut self.buffer, &mut self.said)) {
                self.buffer.clear();
            }
        }
        self.status.is_some() || self.buffer.len() < BUFFER
    }

    /// Whether its head is there.
    pub const fn has_head(&self) -> bool {
        self.status.is_some()
    }

    /// Whether this is a good answer, and by what that was judged; or what is wrong.
    ///
    /// # Errors
    /// It is none.
    pub fn judge(self, url: &Url) -> Result<&'static str, &'static str> {
        let Some(status) = self.status else { return Err("Read, no data received from ") };
        let usual = [(200, 299)];
        let statuses = if url.statuses.is_empty() { usual.as_slice() } else { &url.statuses };
        if !statuses.iter().any(|(first, last)| (*first..=*last).contains(&status)) {
            return Err("HTTP status code error to");
        }
        if url.digest.is_some_and(|digest| self.body.finalize().as_slice() != digest) {
            return Err("MD5 digest error to");
        }
        match &url.regex {
            Some(regex) if self.scan.matched == regex.no_match => Err("Regex match failed"),
            Some(_) => Ok("Regex match"),
            None if url.digest.is_some() => Ok("MD5 digest"),
            None => Ok("HTTP status code"),
        }
    }
}

impl Scan {
    /// Searches what is in the buffer; whether that is kept, as a match may go on in what comes next.
    fn keep(&mut self, regex: &Regex, buffer: &mut Vec<u8>, said: &mut Vec<String>) -> bool {
        let lookbehind = regex.engine.lookbehind();
        let end = self.before + buffer.len();
        let late = regex.max.is_some_and(|max| self.before + self.from > max);
        if self.matched || late || regex.min > 0 && end < regex.min.saturating_sub(lookbehind) {
            self.before = end;
            return false;
        }
        let from = self.from.max(regex.min.saturating_sub(self.before));
        self.from = 0;
        match regex.engine.search(buffer, from) {
            Found::Match(at) => self.matched = regex.max.is_none_or(|max| self.before + at <= max),
            Found::Nothing => {}
            Found::Failed(line) => said.push(line),
            Found::Partial(at) => {
                let seen = at.saturating_sub(lookbehind);
                if seen > 0 {
                    self.from = at - seen;
                    self.before += seen;
                    buffer.drain(..seen);
                    return true;
                }
                if buffer.len() < BUFFER {
                    return true;
                }
                said.push("Regex partial match preserve too large - discarding".to_owned());
            }
        }
        self.before = end;
        false
    }
}

/// The number between the first two blanks of a head; 0 for none.
fn status(head: &[u8]) -> u16 {
    let line = head.split(|byte| *byte == b'\r').next().unwrap_or_default();
    let mut words = line.splitn(3, |byte| *byte == b' ');
    match (words.next(), words.next(), words.next()) {
        (Some(_), Some(code), Some(_)) if code.len() == 3 => {
            std::str::from_utf8(code).ok().and_then(|code| code.parse().ok()).unwrap_or_default()
        }
        _ => 0,
    }
}

/// Which page is asked for next.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    url: u32,
    /// The page that failed last.
    failed: Option<u32>,
}

impl Progress {
    /// The page that is asked for next.
    pub fn url(self, get: &Get) -> Option<&Url> {
        get.urls.get(self.url as usize)
    }

    /// The page that failed last.
    pub fn failed(self, get: &Get) -> Option<&Url> {
        get.urls.get(self.failed? as usize)
    }

    /// Judges the answer to one page.
    pub fn judge(
        &mut self,
        schedule: &mut Schedule,
        known: Known<'_>,
        get: &Get,
        outcome: Result<&'static str, &'static str>,
    ) -> Judgement {
        let mut judged = match outcome {
            Ok(by) => self.good(schedule, known, get, by),
            Err(failure) => self.bad(schedule, known, failure),
        };
        // A verdict that was just reached counts.
        let up = judged.verdict.unwrap_or(known.up);
        let has_run = known.has_run || judged.ran == Ran::Before || judged.verdict.is_some();
        if get.fast_recovery && (!has_run || !up && self.failed.is_none()) {
            judged.wait = Duration::ZERO;
        }
        judged
    }

    fn good(&mut self, schedule: &mut Schedule, known: Known<'_>, get: &Get, by: &str) -> Judgement {
        let mut judged = Judgement { ran: Ran::Not, wait: schedule.timing().delay, ..Judgement::default() };
        let real = known.real;
        if !known.up {
            let path = get.urls.get(self.url as usize).map(|url| url.path.as_str()).unwrap_or_default();
            judged.lines.push(format!("{by} success to {real} url({path})"));
        }
        let last = self.url as usize + 1 >= get.urls.len();
        self.url = if last { 0 } else { self.url + 1 };
        schedule.reset();
        if self.failed.take().is_some() {
            // All pages are asked for again.
            self.url = 0;
        } else if last && known.is_news(true) {
            judged.lines.push(format!("Remote Web server {real} succeed on service."));
            judged.verdict = Some(true);
            judged.mail = (!known.up).then(|| "=> CHECK succeed on service <=".to_owned());
        }
        if !known.has_run && judged.verdict.is_none() {
            schedule.exhaust();
        }
        judged
    }

    fn bad(&mut self, schedule: &mut Schedule, known: Known<'_>, failure: &str) -> Judgement {
        let mut judged = Judgement { ran: Ran::Before, ..Judgement::default() };
        let timing = schedule.timing();
        if known.up || !known.has_run {
            if known.log_all {
                judged.lines.push(format!("{failure} server {}.", known.real));
            }
            if schedule.is_exhausted() {
                if known.up {
                    let real = known.real;
                    judged.lines.push(match timing.retry {
                        0 => format!("HTTP_CHECK on service {real} failed."),
                        retry => format!("HTTP_CHECK on service {real} failed after {retry} retry."),
                    });
                    judged.verdict = Some(false);
                    judged.mail = Some("=> CHECK failed on service : HTTP request failed <=".to_owned());
                }
                self.failed = Some(self.url);
            } else {
                schedule.retry();
            }
        }
        judged.wait = match self.failed {
            Some(_) => timing.delay_before_retry.max(timing.delay),
            None => timing.delay_before_retry,
        };
        judged
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::schedule::Timing;

    const TIMING: Timing = Timing {
        delay: Duration::from_secs(6),
        retry: 1,
        delay_before_retry: Duration::from_secs(3),
        warmup: Duration::ZERO,
    };

    fn url(path: &str) -> Url {
        Url { path: path.to_owned(), ..Url::default() }
    }

    fn get(paths: &[&str]) -> Get {
        Get {
            urls: paths.iter().map(|path| url(path)).collect(),
            version: Version::V10,
            host: None,
            own_host: false,
            fast_recovery: false,
            secure: false,
            server_name: ServerName::Absent,
            tls_compliant: false,
        }
    }

    fn known(up: bool, has_run: bool) -> Known<'static> {
        Known { up, has_run, log_all: false, real: "r", server: "v" }
    }

    fn answer(parts: &[&str], url: &Url) -> Result<&'static str, &'static str> {
        let mut response = Response::default();
        for part in parts {
            response.take(part.as_bytes(), url);
        }
        response.judge(url)
    }

    #[test]
    fn requests_are_keepaliveds() {
        let mut get = get(&["/a"]);
        let to = "10.0.0.1:81".parse().unwrap();
        let text = |get: &Get, to| String::from_utf8(get.request(&get.urls[0], to)).unwrap();
        let agent = "User-Agent: KeepAliveClient\r\n";
        assert_eq!(text(&get, to), format!("GET /a HTTP/1.0\r\n{agent}Host: 10.0.0.1:81\r\n\r\n"));
        let six = "[fd00::1]:81".parse().unwrap();
        assert_eq!(text(&get, six), format!("GET /a HTTP/1.0\r\n{agent}Host: [fd00::1]:81\r\n\r\n"));
        (get.host, get.version) = (Some("www".to_owned()), Version::V11);
        assert_eq!(get.name(&get.urls[0]), None);
        let named = |server_name| Get { server_name, ..get.clone() };
        let own = Url { host: Some("own".to_owned()), ..url("/") };
        let of_host = named(ServerName::OfHost(Some("www".to_owned())));
        assert_eq!((of_host.name(&get.urls[0]), of_host.name(&own)), (Some("www"), Some("own")));
        assert_eq!(named(ServerName::Given("sni".to_owned())).name(&own), Some("sni"));
        assert_eq!(text(&get, to), format!("GET /a HTTP/1.1\r\n{agent}Connection: close\r\nHost: www\r\n\r\n"));
    }

    #[test]
    fn answers_are_judged_by_status_and_digest() {
        let plain = url("/");
        assert_eq!(answer(&["HTTP/1.0 200 OK\r\n\r", "\nbody"], &plain), Ok("HTTP status code"));
        assert_eq!(answer(&["HTTP/1.0 404 No\r\n\r\n"], &plain), Err("HTTP status code error to"));
        assert_eq!(answer(&["HTTP/1.0 200\r\n\r\n"], &plain), Err("HTTP status code error to"));
        assert_eq!(answer(&["HTTP/1.0 200 OK\r\n"], &plain), Err("Read, no data received from "));
        assert_eq!(answer(&[], &plain), Err("Read, no data received from "));
        let found = Url { statuses: vec![(301, 302), (404, 404)], ..url("/") };
        assert_eq!(answer(&["HTTP/1.0 404 No\r\n\r\n"], &found), Ok("HTTP status code"));
        // The digest of "body".
        let digest =
            Some([0x84, 0x1a, 0x2d, 0x68, 0x9a, 0xd8, 0x6b, 0xd1, 0x61, 0x14, 0x47, 0x45, 0x3c, 0x22, 0xc6, 0xfc]);
        let digested = Url { digest, ..url("/") };
        assert_eq!(answer(&["HTTP/1.0 200 OK\r\n\r\nbo", "dy"], &digested), Ok("MD5 digest"));
        assert_eq!(answer(&["HTTP/1.0 200 OK\r\n\r\nbod"], &digested), Err("MD5 digest error to"));
    }

    /// Looks for one text.
    #[derive(Debug)]
    struct Literal(&'static [u8]);

    impl Engine for Literal {
        fn lookbehind(&self) -> usize {
            0
        }

        fn search(&self, text: &[u8], from: usize) -> Found {
            let rest = &text[from.min(text.len())..];
            if let Some(at) = rest.windows(self.0.len()).position(|part| part == self.0) {
                return Found::Match(from + at);
            }
            let partial = (0..rest.len()).find(|at| self.0.starts_with(&rest[*at..]));
            partial.map_or(Found::Nothing, |at| Found::Partial(from + at))
        }
    }

    fn matching(text: &'static str, no_match: bool, min: usize, max: Option<usize>) -> Url {
        let (pattern, engine) = (text.as_bytes().to_vec(), Arc::new(Literal(text.as_bytes())));
        let regex = Regex { pattern, options: 0, no_match, min, max, stack: None, engine };
        Url { regex: Some(Box::new(regex)), ..url("/") }
    }

    #[test]
    fn an_expression_is_searched_for_across_pieces() {
        let (head, failed) = ("HTTP/1.0 200 OK\r\n\r\n", Err("Regex match failed"));
        let long = "x".repeat(9000);
        for (parts, url, outcome) in [
            (vec![head, "hello wor", "ld"], matching("world", false, 0, None), Ok("Regex match")),
            (vec![head, &long, "hello wor", "ld"], matching("world", false, 9000, None), Ok("Regex match")),
            (vec![head, "hello wor", "th"], matching("world", false, 0, None), failed),
            (vec![head, "hello"], matching("world", true, 0, None), Ok("Regex match")),
            (vec![head, "world"], matching("world", true, 0, None), failed),
            (vec![head, "hello world"], matching("world", false, 6, Some(6)), Ok("Regex match")),
            (vec![head, "hello world"], matching("world", false, 7, None), failed),
            (vec![head, "hello world"], matching("world", false, 0, Some(5)), failed),
            (vec![head, &long, "world"], matching("world", false, 0, Some(5)), failed),
            // The head is searched where the body came with it.
            (vec!["HTTP/1.0 200 OK\r\n\r\nbody"], matching("OK", false, 0, None), Ok("Regex match")),
            (vec![head, "body"], matching("OK", false, 0, None), failed),
        ] {
            assert_eq!(answer(&parts, &url), outcome, "{parts:?} {url:?}");
        }
    }

    #[test]
    fn a_server_is_up_once_all_its_pages_are() {
        let get = get(&["/a", "/b"]);
        let (mut progress, mut schedule) = (Progress::default(), Schedule::new(TIMING));
        let first = progress.judge(&mut schedule, known(true, false), &get, Ok("HTTP status code"));
        assert_eq!((first.verdict, first.ran), (None, Ran::Not));
        let second = progress.judge(&mut schedule, known(true, false), &get, Ok("HTTP status code"));
        assert_eq!(
            (second.verdict, second.lines),
            (Some(true), vec!["Remote Web server r succeed on service.".into()])
        );
    }

    #[test]
    fn a_page_that_failed_comes_first_and_then_all() {
        let get = get(&["/a", "/b"]);
        let (mut progress, mut schedule) = (Progress::default(), Schedule::resume(TIMING, 0));
        let bad = Err("HTTP status code error to");
        assert_eq!(progress.judge(&mut schedule, known(true, true), &get, bad).wait, TIMING.delay_before_retry);
        let failed = progress.judge(&mut schedule, known(true, true), &get, bad);
        assert_eq!(failed.lines, ["HTTP_CHECK on service r failed after 1 retry."]);
        assert_eq!((failed.verdict, failed.wait), (Some(false), TIMING.delay));
        for (lines, verdict) in [
            (vec!["HTTP status code success to r url(/a)"], None),
            (vec!["HTTP status code success to r url(/a)"], None),
            (vec!["HTTP status code success to r url(/b)", "Remote Web server r succeed on service."], Some(true)),
        ] {
            let good = progress.judge(&mut schedule, known(false, true), &get, Ok("HTTP status code"));
            assert_eq!((good.lines, good.verdict), (lines.into_iter().map(str::to_owned).collect(), verdict));
        }
    }
}
