//! The web application: like the article's Tomcats it keeps its sessions to itself, counts each, and says who answered.

use std::collections::HashMap;
use std::io::{self, BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};

use crate::client;
use crate::service::Service;

/// What one application remembers.
#[derive(Debug)]
struct Application {
    host: String,
    sessions: Mutex<HashMap<String, u64>>,
}

/// Serves the application on a listener; `host` is what it calls itself in answers.
pub fn start(listener: TcpListener, host: &str) -> io::Result<Service> {
    let application = Arc::new(Application { host: host.to_owned(), sessions: Mutex::default() });
    Service::start(listener, move |stream, from| {
        let _ = application.converse(stream, from);
    })
}

impl Application {
    fn converse(&self, stream: TcpStream, from: SocketAddr) -> io::Result<()> {
        let mut writer = stream.try_clone()?;
        let mut reader = BufReader::new(stream);
        loop {
            let mut line = String::new();
            if reader.read_line(&mut line)? == 0 {
                return Ok(());
            }
            let headers = client::headers(&mut reader)?;
            let value = |name: &str| {
                headers.iter().find(|(own, _)| own.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
            };
            if let Some(length) = value("content-length").and_then(|text| text.parse().ok()) {
                client::exactly(&mut reader, length)?;
            }
            let (id, count, fresh) = self.count(value("cookie"));
            let target = line.split(' ').nth(1).unwrap_or("/");
            let body = format!("host={} session={id} count={count} target={target} from={}\n", self.host, from.ip());
            let cookie =
                if fresh { format!("Set-Cookie: JSESSIONID={id}; Path=/ACS; HttpOnly\r\n") } else { String::new() };
            let keep = line.trim_end().ends_with("HTTP/1.1") && value("connection") != Some("close");
            let connection = if keep { "keep-alive" } else { "close" };
            write!(
                writer,
                "HTTP/1.1 200 OK\r\n{cookie}Content-Type: text/plain\r\nContent-Length: {}\r\nConnection: {connection}\r\n\r\n{body}",
                body.len()
            )?;
            if !keep {
                return Ok(());
            }
        }
    }

    /// The session of a request: its name, how often it was here, and whether it is new.
    fn count(&self, cookie: Option<&str>) -> (String, u64, bool) {
        let mut sessions = self.sessions.lock().unwrap_or_else(PoisonError::into_inner);
        let sent = cookie
            .and_then(|text| text.split(';').find_map(|pair| pair.trim().strip_prefix("JSESSIONID=")))
            .filter(|id| sessions.contains_key(*id))
            .map(str::to_owned);
        let fresh = sent.is_none();
        let id = sent.unwrap_or_else(|| format!("{:04}.{}", sessions.len() + 1, self.host));
        let count = sessions.entry(id.clone()).or_insert(0);
        *count += 1;
        (id, *count, fresh)
    }
}
