//! What is asked: a list, an access log, or what the configuration itself suggests.

use super::Args;
use crate::conf::source::Loader as _;
use crate::conf::tree::{Block, Statement};
use crate::migrate::input::{Given, Text};
use crate::migrate::report::Failure;

/// The method of a connection to the stream server.
pub const TCP: &str = "TCP";
/// The method of a datagram for the stream server.
pub const UDP: &str = "UDP";

/// A request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ask {
    /// GET and its like, or [`TCP`] or [`UDP`].
    pub method: String,
    /// The host, as it is said to the server.
    pub host: String,
    /// The port of the configuration.
    pub port: u16,
    /// Path and query.
    pub target: String,
    /// More headers.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: String,
}

impl Ask {
    /// A connection to a port of the stream server, on which a line is said.
    pub fn line(port: u16, line: &str) -> Self {
        Self::said(TCP, port, line)
    }

    /// A datagram for a port of the stream server.
    pub fn datagram(port: u16, text: &str) -> Self {
        Self::said(UDP, port, text)
    }

    fn said(method: &str, port: u16, text: &str) -> Self {
        let (method, host, body) = (method.to_owned(), "localhost".to_owned(), text.to_owned());
        Self { method, host, port, target: String::new(), headers: Vec::new(), body }
    }

    /// Whether it is one to the stream server.
    pub fn is_line(&self) -> bool {
        self.method == TCP
    }

    /// Whether it is a datagram.
    pub fn is_datagram(&self) -> bool {
        self.method == UDP
    }

    /// How a reader knows it.
    pub fn title(&self) -> String {
        if self.is_line() || self.is_datagram() {
            let scheme = self.method.to_ascii_lowercase();
            return format!("{} {scheme}://{}:{} < {}", self.method, self.host, self.port, self.body);
        }
        let port = if self.port == 80 { String::new() } else { format!(":{}", self.port) };
        let headers: String = self.headers.iter().map(|(name, value)| format!(" [{name}: {value}]")).collect();
        let body = if self.body.is_empty() { String::new() } else { format!(" < {}", self.body) };
        format!("{} http://{}{port}{}{headers}{body}", self.method, self.host, self.target)
    }
}

/// The requests in question; `said` is what the stream servers are asked where nothing is given.
///
/// # Errors
/// A file cannot be read, or a line of a list makes no sense.
pub fn collect(args: &Args, given: &Given, text: &Text, said: Vec<Ask>) -> Result<Vec<Ask>, Failure> {
    let read = |path: &String| {
        let bytes = given.load(path).map_err(|error| Failure::file(path, &error))?;
        Ok::<String, Failure>(String::from_utf8_lossy(&bytes).into_owned())
    };
    if let Some(path) = &args.requests {
        let lines = read(path)?;
        let wanted = lines.lines().enumerate().filter(|(_, line)| !line.trim().is_empty() && !line.starts_with('#'));
        return wanted
            .map(|(at, line)| listed(line).ok_or_else(|| Failure(format!("{path}:{}: no request: {line}", at + 1))))
            .collect();
    }
    if let Some(path) = &args.log {
        let found: Vec<Ask> = read(path)?.lines().filter_map(|line| logged(line, &args.host)).collect();
        return if found.is_empty() { Err(Failure(format!("{path}: there is no request in it"))) } else { Ok(found) };
    }
    Ok(suggested(&text.tree).into_iter().chain(said).collect())
}

/// `GET http://host:port/path [Name: value] < body`, `TCP tcp://host:port < line`, or `UDP udp://host:port < datagram`.
fn listed(line: &str) -> Option<Ask> {
    let (line, body) = line.split_once(" < ").unwrap_or((line, ""));
    let (head, rest) = line.split_once(" [").unwrap_or((line, ""));
    let (method, url) = head.trim().split_once(char::is_whitespace)?;
    let (scheme, url) = url.trim().split_once("://")?;
    let kinds = [("tcp", TCP), ("udp", UDP)];
    if kinds.iter().any(|(own, kind)| scheme == *own || method == *kind) {
        let fits = kinds.contains(&(scheme, method)) && rest.is_empty();
        let (_, port) = url.rsplit_once(':').filter(|_| fits)?;
        return Some(Ask::said(method, port.parse().ok()?, body));
    }
    let (authority, target) = url.split_at(url.find('/').unwrap_or(url.len()));
    let (host, port) = match authority.rsplit_once(':') {
        Some((host, port)) => (host, port.parse().ok()?),
        None => (authority, if scheme == "https" { 443 } else { 80 }),
    };
    let headers = rest.trim_end().trim_end_matches(']').split("] [").filter(|text| !text.is_empty());
    let header =
        |text: &str| text.split_once(':').map(|(name, value)| (name.trim().to_owned(), value.trim().to_owned()));
    Some(Ask {
        method: method.to_owned(),
        host: host.to_owned(),
        port,
        target: if target.is_empty() { "/".to_owned() } else { target.to_owned() },
        headers: headers.map(header).collect::<Option<_>>()?,
        body: body.to_owned(),
    })
}

/// A line of a log in the common or combined format.
fn logged(line: &str, host: &str) -> Option<Ask> {
    let mut quoted = line.split('"').skip(1).step_by(2);
    let mut words = quoted.next()?.split(' ');
    let (method, target) = (words.next()?, words.next()?);
    let sane = !method.is_empty() && method.bytes().all(|byte| byte.is_ascii_uppercase()) && target.starts_with('/');
    let named = ["Referer", "User-Agent"].into_iter().zip(quoted).filter(|(_, value)| *value != "-");
    let headers = named.map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
    let (host, target, body) = (host.to_owned(), target.to_owned(), String::new());
    sane.then(|| Ask { method: method.to_owned(), host, port: 80, target, headers, body })
}

/// For every server and location one request, and one for what is not there.
fn suggested(tree: &Block) -> Vec<Ask> {
    let mut out = Vec::new();
    let http = tree.statements().filter(|statement| statement.name() == "http").filter_map(|http| http.block.as_ref());
    for server in http.flat_map(Block::statements).filter(|statement| statement.name() == "server") {
        let Some(block) = &server.block else { continue };
        let argument = |statement: &Statement| statement.arguments().first().map(|word| word.text().into_owned());
        let first = |name: &str| block.statements().find(|one| one.name() == name).and_then(argument);
        let host = first("server_name").filter(|name| !name.contains(['~', '*', '$', '_']) && !name.is_empty());
        let port =
            first("listen").and_then(|at| at.rsplit(':').next().and_then(|port| port.parse().ok())).unwrap_or(80);
        let ask = |target: &str| Ask {
            method: "GET".to_owned(),
            host: host.clone().unwrap_or_else(|| "localhost".to_owned()),
            port,
            target: target.to_owned(),
            headers: Vec::new(),
            body: String::new(),
        };
        out.push(ask("/"));
        out.push(ask("/there/is/no.such?page=1"));
        let mut paths = Vec::new();
        locations(block, &mut paths);
        out.extend(paths.iter().map(|path| ask(path)));
    }
    out.dedup();
    out
}

fn locations(block: &Block, out: &mut Vec<String>) {
    for location in block.statements().filter(|statement| statement.name() == "location") {
        let words: Vec<String> = location.arguments().iter().map(|word| word.text().into_owned()).collect();
        let path = match words.as_slice() {
            [path] => path.trim_start_matches(['=', '^', '~', '*']).to_owned(),
            [mark, path] if !mark.starts_with('~') => path.clone(),
            _ => String::new(),
        };
        if path.starts_with('/') && path != "/" && !path.contains([' ', '(', '\\']) {
            out.push(path);
        }
        location.block.iter().for_each(|inner| locations(inner, out));
    }
}

#[cfg(test)]
mod tests {
    use super::{listed, logged};

    #[test]
    fn lists_and_logs_are_understood() {
        let one = listed("POST http://a.b:81/x?y=1 [Cookie: a=b; c] [X-Y: http://z] < a=b&c < d").expect("a request");
        assert_eq!(one.body, "a=b&c < d");
        assert_eq!((one.host.as_str(), one.port, one.target.as_str()), ("a.b", 81, "/x?y=1"));
        assert_eq!(
            one.headers,
            [("Cookie".to_owned(), "a=b; c".to_owned()), ("X-Y".to_owned(), "http://z".to_owned())]
        );
        assert_eq!(listed(&one.title()), Some(one));
        let line = listed("TCP tcp://localhost:1883 < hello").expect("a line");
        assert_eq!((line.port, line.body.as_str()), (1883, "hello"));
        assert_eq!(listed(&line.title()), Some(line));
        assert!(listed("GET tcp://h:1").is_none() && listed("TCP http://h:1/").is_none());
        let datagram = listed("UDP udp://localhost:53 < hello").expect("a datagram");
        assert_eq!((datagram.is_datagram(), datagram.port, datagram.body.as_str()), (true, 53, "hello"));
        assert_eq!(datagram.title(), "UDP udp://localhost:53 < hello");
        assert!(listed("TCP udp://h:1").is_none() && listed("udp udp://h:1").is_none());
        assert_eq!(listed("GET https://h").map(|ask| (ask.port, ask.target)), Some((443, "/".to_owned())));
        assert!(listed("GET /no/host").is_none() && listed("nonsense").is_none());
        let line = r#"1.2.3.4 - - [26/Nov/2026:00:00:00 +0000] "GET /a?b HTTP/1.1" 200 5 "-" "curl/8 (x)""#;
        let one = logged(line, "h").expect("a request");
        assert_eq!(
            (one.target.as_str(), one.headers),
            ("/a?b", vec![("User-Agent".to_owned(), "curl/8 (x)".to_owned())])
        );
        assert!(logged(r#"1.2.3.4 - - [x] "\x16\x03" 400 0 "-" "-""#, "h").is_none());
    }
}
