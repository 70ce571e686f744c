//! `HTTP_GET` and `SSL_GET`: a server that gives each page as it should is up.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use super::report::{Judgement, Known, Ran};
use super::schedule::Schedule;
use md5::{Digest, Md5};
use std::net::SocketAddr;
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
    /// Checks follow each other at once until the state is known.
    pub fast_recovery: bool,
    /// They are asked for over TLS.
    pub secure: bool,
    /// The name is given in the TLS handshake too.
    pub server_name: bool,
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
        url.host.as_deref().or(self.host.as_deref()).filter(|_| self.server_name)
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
    head: Vec<u8>,
    /// The status, once the head is there.
    status: Option<u16>,
    body: Md5,
}

/// The longest head.
const HEAD: usize = 4095;

impl Response {
    /// Takes bytes; false where nothing more is of use.
    pub fn take(&mut self, bytes: &[u8]) -> bool {
        if self.status.is_some() {
            self.body.update(bytes);
            return true;
        }
        let room = HEAD.saturating_sub(self.head.len());
        let (own, rest) = bytes.split_at(bytes.len().min(room));
        self.head.extend(own);
        let Some(end) = self.head.windows(4).position(|four| four == b"\r\n\r\n") else {
            return self.head.len() < HEAD;
        };
        self.status = Some(status(&self.head));
        self.body.update(self.head.get(end + 4..).unwrap_or_default());
        self.body.update(rest);
        true
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
        match url.digest {
            Some(digest) if self.body.finalize().as_slice() != digest => Err("MD5 digest error to"),
            Some(_) => Ok("MD5 digest"),
            None => Ok("HTTP status code"),
        }
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
    url: usize,
    /// The page that failed last.
    failed: Option<usize>,
}

impl Progress {
    /// The page that is asked for next.
    pub fn url(self, get: &Get) -> Option<&Url> {
        get.urls.get(self.url)
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
            let path = get.urls.get(self.url).map(|url| url.path.as_str()).unwrap_or_default();
            judged.lines.push(format!("{by} success to {real} url({path})"));
        }
        let last = self.url + 1 >= get.urls.len();
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
            fast_recovery: false,
            secure: false,
            server_name: false,
        }
    }

    fn known(up: bool, has_run: bool) -> Known<'static> {
        Known { up, has_run, log_all: false, real: "r", server: "v" }
    }

    fn answer(parts: &[&str], url: &Url) -> Result<&'static str, &'static str> {
        let mut response = Response::default();
        for part in parts {
            response.take(part.as_bytes());
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
        assert_eq!(Get { server_name: true, ..get.clone() }.name(&get.urls[0]), Some("www"));
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
