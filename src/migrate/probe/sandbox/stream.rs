//! The stream servers of a sandbox: other ports, and stand-ins that take a line.

use super::Rewriter;
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
            out.extend(self.listen(&row, Speech::Line, &mut seen)?);
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
