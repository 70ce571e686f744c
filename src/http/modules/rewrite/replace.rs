//! `rewrite`: a path that matches is replaced, or the client is sent elsewhere.

use super::End;
use super::compile::Matcher;
use super::run::{Run, Tracer, write};
use crate::conf::diagnostic::Diagnostic;
use crate::conf::tree::Word;
use crate::http::heart::handler::Flow;
use crate::http::heart::module::{Compile, Text};
use crate::http::heart::request::Request;
use crate::log::Level;

/// A `rewrite` at work.
pub struct Replace {
    matcher: Matcher,
    /// The new path; of a redirect, the whole address.
    path: Text,
    /// The new arguments, if the replacement names any.
    args: Option<Text>,
    /// Whether the old arguments follow: not where the replacement ends in `?`.
    keeps_args: bool,
    /// Whether there is a `?` in the address of a redirect.
    marked: bool,
    end: End,
}

impl Replace {
    /// Compiles a replacement.
    ///
    /// # Errors
    /// nginx's words for a text that does not compile.
    pub fn new(matcher: Matcher, text: &Word, end: End, cx: &mut Compile<'_, '_>) -> Result<Self, Diagnostic> {
        let whole = text.bytes.strip_suffix(b"?");
        let keeps_args = whole.is_none();
        let whole = whole.unwrap_or(&text.bytes);
        let mark = memchr::memchr(b'?', whole);
        let split = mark.filter(|_| !matches!(end, End::Redirect(_)));
        let mut part = |bytes: &[u8]| cx.text(&Word { bytes: bytes.into(), ..text.clone() });
        let path = part(whole.get(..split.unwrap_or(whole.len())).unwrap_or_default())?;
        let args = split.map(|at| part(whole.get(at + 1..).unwrap_or_default())).transpose()?;
        Ok(Self { matcher, path, args, keeps_args, marked: mark.is_some(), end })
    }

    /// Replaces what matches; gives the flow where no further rule is to run.
    pub fn apply(&self, request: &mut Request, run: &mut Run, tracer: &mut impl Tracer) -> Option<Flow<'static>> {
        let hit = match self.matcher.find(request, None) {
            Ok(hit) => hit,
            Err(status) => return Some(Flow::Finish(status)),
        };
        if run.log {
            let verb = if hit { "matches" } else { "does not match" };
            let path = String::from_utf8_lossy(&request.uri);
            request.log(Level::Notice, &format!("\"{}\" {verb} \"{path}\"", self.matcher.text));
        }
        if !hit {
            return None;
        }
        let flow = match self.end {
            End::Redirect(status) => Some(self.redirect(status, request, run, tracer)),
            End::Next | End::Last | End::Break => self.replace(request, run, tracer),
        };
        run.quote = false;
        flow
    }

    fn redirect(&self, status: u16, request: &mut Request, run: &mut Run, tracer: &mut impl Tracer) -> Flow<'static> {
        let mut made = Vec::new();
        write(&self.path, request, true, &mut made);
        let mut target = unescaped(&made);
        if self.keeps_args && !request.args.is_empty() {
            target.push(if self.marked { b'&' } else { b'?' });
            target.extend_from_slice(&request.args);
        }
        let shown = String::from_utf8_lossy(&target);
        if run.log {
            request.log(Level::Notice, &format!("rewritten redirect: \"{shown}\""));
        }
        tracer.tell(|| {
            let path = String::from_utf8_lossy(&request.uri);
            format!("\"{}\" matches \"{path}\": the client is sent to {shown} with {status}", self.matcher.text)
        });
        request.response.redirect(&target);
        Flow::Finish(status)
    }

    fn replace(&self, request: &mut Request, run: &mut Run, tracer: &mut impl Tracer) -> Option<Flow<'static>> {
        let breaks = self.end == End::Break;
        request.internal = true;
        request.uri_as_sent = false;
        request.uri_changed = !breaks;
        request.valid_location &= !breaks;
        run.made.clear();
        write(&self.path, request, false, &mut run.made);
        if let Some(args) = &self.args {
            let mut made = Vec::new();
            write(args, request, true, &mut made);
            if self.keeps_args && !request.args.is_empty() {
                made.push(b'&');
                made.extend_from_slice(&request.args);
            }
            request.args = made;
            request.has_args = true;
        } else if !self.keeps_args {
            request.args.clear();
        }
        if run.log {
            let (path, args) = (String::from_utf8_lossy(&run.made), String::from_utf8_lossy(&request.args));
            request.log(Level::Notice, &format!("rewritten data: \"{path}\", args: \"{args}\""));
        }
        tracer.tell(|| self.described(request, &run.made));
        std::mem::swap(&mut request.uri, &mut run.made);
        if request.uri.is_empty() {
            request.log(Level::Error, "the rewritten URI has a zero length");
            return Some(Flow::Finish(500));
        }
        (self.end != End::Next).then_some(Flow::Next)
    }

    fn described(&self, request: &Request, path: &[u8]) -> String {
        let (before, path) = (String::from_utf8_lossy(&request.uri), String::from_utf8_lossy(path));
        let args = if request.args.is_empty() {
            "no arguments".to_owned()
        } else {
            format!("the arguments {}", String::from_utf8_lossy(&request.args))
        };
        let then = match self.end {
            End::Next | End::Redirect(_) => "the next rules follow",
            End::Last => "last: the location is searched",
            End::Break => "break: it stays in this place",
        };
        format!("\"{}\" matches \"{before}\": it becomes \"{path}\" with {args}; {then}", self.matcher.text)
    }
}

/// Resolves the escapes of a redirect's address up to its `?`: those of characters that need none there.
fn unescaped(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((byte, after)) = rest.split_first() {
        rest = after;
        if *byte == b'?' {
            out.push(b'?');
            break;
        }
        if *byte != b'%' {
            out.push(*byte);
            continue;
        }
        let digit = |at: usize| after.get(at).and_then(|digit| (*digit as char).to_digit(16));
        let Some(high) = digit(0) else {
            // A `%` that begins no escape goes, and what follows it stays as it is.
            out.extend(after.first());
            rest = after.get(1..).unwrap_or_default();
            continue;
        };
        rest = after.get(2..).unwrap_or_default();
        let Some(low) = digit(1) else { continue };
        match (high << 4 | low) as u8 {
            b'?' => {
                out.push(b'?');
                break;
            }
            plain @ 0x26..0x7f => out.push(plain),
            _ => out.extend(text_of(after)),
        }
    }
    out.extend_from_slice(rest);
    out
}

/// An escape as it was written.
fn text_of(digits: &[u8]) -> impl Iterator<Item = u8> {
    std::iter::once(b'%').chain(digits.iter().copied().take(2))
}

#[cfg(test)]
mod tests {
    use super::unescaped;

    #[test]
    fn a_redirect_keeps_the_escapes_it_needs() {
        let shown = |text: &str| String::from_utf8(unescaped(text.as_bytes())).expect("text");
        assert_eq!(shown("/a%20b%26c%25%7e"), "/a%20b&c%25~");
        assert_eq!(shown("/a%3Fb%26?x=%26"), "/a?b%26?x=%26");
        assert_eq!(shown("/a%zz%4"), "/azz");
    }
}
