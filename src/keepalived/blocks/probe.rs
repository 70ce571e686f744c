//! `#@rkeepalived check …` in a `vrrp_script`: what rkeepalived asks itself instead of running the script.
//!
//! keepalived takes the line for a comment and runs the script, so that one file serves both. `weight`, `rise` and `fall`
//! are the script's.

use super::script::Script;
use crate::check::http::{Get, ServerName, Url, Version};
use crate::conf::diagnostic::Diagnostic;
use crate::conf::tree::Statement;
use crate::conf::walk::Setting;
use crate::keepalived::slot::{again, complain, count, seconds};
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

/// How lines begin that keepalived takes for comments; `!@rkeepalived` is as good.
pub const MARK: &str = "#@rkeepalived";

/// The shortest and the longest time, in seconds.
const TIMES: std::ops::RangeInclusive<f64> = 0.01..=3600.0;

/// What is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// Whether a server accepts a connection.
    Tcp(SocketAddr),
    /// Whether a page is answered with a good status.
    Http(SocketAddr, Box<Get>),
    /// Whether every event loop of the rnginx with this pid file has turns.
    Rnginx(String),
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(to) => write!(f, "tcp {to}"),
            Self::Http(to, get) => {
                let path = get.urls.first().map(|url| url.path.as_str()).unwrap_or_default();
                write!(f, "http http://{to}{path}")
            }
            Self::Rnginx(path) => write!(f, "rnginx {path}"),
        }
    }
}

/// A check as configured.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Probe {
    /// What is asked.
    pub target: Target,
    /// Between two questions, where it is not the script's interval.
    pub interval: Option<Duration>,
    /// How long an answer may take, where it is not the interval.
    pub timeout: Option<Duration>,
}

/// `#@rkeepalived check KIND WHAT [interval SECONDS] [timeout SECONDS]`.
///
/// # Errors
/// A word is unknown or missing, or the script has a check.
pub fn probe(_: &mut Setting<'_>, script: &mut Script, statement: &Statement) -> Result<(), Diagnostic> {
    let name = &script.name;
    let about = |text: String| complain(format!("vrrp_script {name} {MARK}: {text}"));
    let mut words = statement.arguments().iter().map(|word| word.text().into_owned());
    match words.next().as_deref() {
        Some("check") => {}
        Some(word) => return Err(about(format!("unknown word '{word}', expected check"))),
        None => return Err(about("check is missing".to_owned())),
    }
    if script.probe.is_some() {
        return Err(again(format!("vrrp_script {name} {MARK}: there is a check already - ignoring")));
    }
    script.probe = Some(read(&mut words).map_err(about)?);
    Ok(())
}

fn read(words: &mut dyn Iterator<Item = String>) -> Result<Probe, String> {
    let kind = words.next().ok_or("check needs tcp, http or rnginx")?;
    let wanted = match kind.as_str() {
        "tcp" => "an address and port",
        "http" => "an address such as http://127.0.0.1/path",
        "rnginx" => "the path of a pid file",
        _ => return Err(format!("unknown check '{kind}', expected tcp, http or rnginx")),
    };
    let text = words.next().ok_or_else(|| format!("check {kind} needs {wanted}"))?;
    let wrong = || format!("'{text}' is not {wanted}");
    let target = match kind.as_str() {
        "tcp" => Target::Tcp(text.parse().map_err(|_| wrong())?),
        "http" => page(&text).ok_or_else(wrong)?,
        _ if text.starts_with('/') => Target::Rnginx(text),
        _ => return Err(wrong()),
    };
    let mut probe = Probe { target, interval: None, timeout: None };
    while let Some(word) = words.next() {
        let value = words.next().ok_or_else(|| format!("{word} needs a value"))?;
        let time = || seconds(&value, &TIMES).map(Some).map_err(|wrong| format!("{word} {}", wrong.message));
        match (word.as_str(), &mut probe.target) {
            ("interval", _) => probe.interval = time()?,
            ("timeout", _) => probe.timeout = time()?,
            ("host", Target::Http(_, get)) if is_plain(&value) => get.host = Some(value),
            ("host", Target::Http(..)) => return Err(format!("host '{value}' is not a name")),
            ("status", Target::Http(_, get)) => {
                let range = statuses(&value).ok_or_else(|| format!("status '{value}' is not a code or a range"))?;
                get.urls.iter_mut().for_each(|url| url.statuses.push(range));
            }
            _ => return Err(format!("unknown word '{word}'")),
        }
    }
    Ok(probe)
}

/// `http://ADDRESS[:PORT][/PATH]`.
fn page(text: &str) -> Option<Target> {
    let rest = text.strip_prefix("http://")?;
    let (server, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    let bare = server.strip_prefix('[').and_then(|server| server.strip_suffix(']')).unwrap_or(server);
    let to = server.parse().ok().or_else(|| Some(SocketAddr::new(bare.parse::<IpAddr>().ok()?, 80)))?;
    let path = if path.is_empty() { "/" } else { path };
    let url = Url { path: path.to_owned(), ..Url::default() };
    let get = Get {
        urls: vec![url],
        version: Version::V11,
        host: None,
        own_host: false,
        fast_recovery: false,
        secure: false,
        server_name: ServerName::Absent,
        tls_compliant: false,
    };
    is_plain(path).then(|| Target::Http(to, Box::new(get)))
}

/// Whether it can stand in the head of a request.
fn is_plain(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_graphic())
}

/// `200` or `200-299`.
fn statuses(text: &str) -> Option<(u16, u16)> {
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let code = |text: &str| count(text, &(100..=599)).ok().map(|code| code as u16);
    let range = (code(first)?, code(last)?);
    (range.0 <= range.1).then_some(range)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str) -> Result<Probe, String> {
        read(&mut text.split(' ').map(str::to_owned))
    }

    #[test]
    fn checks_are_read() {
        let tcp = of("tcp 127.0.0.1:80 interval 0.1 timeout 0.05").unwrap();
        assert_eq!(tcp.target, Target::Tcp("127.0.0.1:80".parse().unwrap()));
        assert_eq!((tcp.interval, tcp.timeout), (Some(Duration::from_millis(100)), Some(Duration::from_millis(50))));
        assert_eq!(of("rnginx /run/nginx.pid").unwrap().target, Target::Rnginx("/run/nginx.pid".to_owned()));
        let Target::Http(to, get) = of("http http://[::1]/a?b status 200-399 status 404 host www").unwrap().target
        else {
            panic!("it is no page");
        };
        assert_eq!((to, get.urls[0].path.as_str()), ("[::1]:80".parse().unwrap(), "/a?b"));
        assert_eq!(
            (get.urls[0].statuses.as_slice(), get.host.as_deref()),
            ([(200, 399), (404, 404)].as_slice(), Some("www"))
        );
        assert_eq!(of("http http://10.0.0.1:8080").unwrap().target.to_string(), "http http://10.0.0.1:8080/");
    }

    #[test]
    fn words_that_are_unknown_or_wrong_are_errors() {
        for (text, error) in [
            ("udp 1.2.3.4:5", "unknown check 'udp', expected tcp, http or rnginx"),
            ("tcp", "check tcp needs an address and port"),
            ("tcp 1.2.3.4", "'1.2.3.4' is not an address and port"),
            ("tcp 1.2.3.4:5 status 200", "unknown word 'status'"),
            ("tcp 1.2.3.4:5 interval", "interval needs a value"),
            ("tcp 1.2.3.4:5 interval 0", "interval number '0' outside range [0.01, 3600]"),
            ("http www.example.com", "'www.example.com' is not an address such as http://127.0.0.1/path"),
            ("http http://1.2.3.4/ status 400-200", "status '400-200' is not a code or a range"),
            ("http http://1.2.3.4/ host a\rb", "host 'a\rb' is not a name"),
            ("rnginx nginx.pid", "'nginx.pid' is not the path of a pid file"),
        ] {
            assert_eq!(of(text).unwrap_err(), error);
        }
    }
}
