//! The stream servers of a sandbox: other ports, and stand-ins that take a line.

use super::{Place, Rewriter, place, port};
use crate::migrate::probe::backend::Speech;
use crate::migrate::probe::text::Row;
use crate::migrate::report::Failure;

impl Rewriter<'_> {
    pub(super) fn stream(&mut self, rows: Vec<Row>) -> Result<Vec<Row>, Failure> {
        let mut out = Vec::new();
        for mut row in rows {
            match row.name().as_str() {
                "upstream" => {
                    row.inside = Some(self.upstream(Speech::Line, row.inside.unwrap_or_default())?);
                    out.push(row);
                }
                "server" => {
                    if let Some(inside) = self.stream_server(row.inside.take().unwrap_or_default())? {
                        row.inside = Some(inside);
                        out.push(row);
                    }
                }
                _ => out.extend(self.stream_line(&mut row)?),
            }
        }
        Ok(out)
    }

    /// A server; nothing of one that listens on nothing that can be asked.
    fn stream_server(&mut self, rows: Vec<Row>) -> Result<Option<Vec<Row>>, Failure> {
        let (mut out, mut seen) = (Vec::new(), Vec::new());
        for mut row in rows {
            if row.name() != "listen" {
                out.extend(self.stream_line(&mut row)?);
                continue;
            }
            let words = row.rest(2);
            let udp = words.iter().any(|word| word == "udp");
            let Some(port) = port(&row.word(1)).filter(|_| !udp) else {
                self.note(if udp { "listen udp is left out" } else { "listen unix: is left out" });
                continue;
            };
            let address = place(&mut self.streams, port)?.address;
            if seen.contains(&address) {
                continue;
            }
            seen.push(address);
            let mut listen = vec!["listen".to_owned(), address.to_string()];
            for word in words {
                match word.as_str() {
                    "proxy_protocol" => {
                        self.streams.insert(port, Place { address, proxied: true });
                        listen.push(word);
                    }
                    "ssl" => self.note("listen ssl: a plain line is said instead"),
                    _ => {}
                }
            }
            out.push(Row::new(&listen.iter().map(String::as_str).collect::<Vec<_>>()));
        }
        Ok(Some(out).filter(|_| !seen.is_empty()))
    }

    fn stream_line(&mut self, row: &mut Row) -> Result<Option<Row>, Failure> {
        match row.name().as_str() {
            "proxy_pass" if !self.live => {
                let to = row.word(1);
                if !self.stream_groups.contains(&to) {
                    if to.contains('$') {
                        self.note(&format!("proxy_pass {to}: one stand-in for all that the variable may be"));
                    }
                    row.set(1, &self.backends.of(Speech::Line, &to)?.to_string());
                }
                Ok(Some(row.clone()))
            }
            "proxy_ssl" if !self.live => {
                self.note("proxy_ssl is left out: the stand-ins speak no TLS");
                Ok(None)
            }
            _ => self.line(row),
        }
    }
}
