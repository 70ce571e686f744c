//! `sticky`: which server a request's session belongs to, and the cookie that says so.

use crate::http::heart::module::Text;
use crate::http::heart::request::Request;
use crate::log::clock;
use crate::script::template::Template;
use crate::script::variable::Names;
use crate::upstream::sticky::{CookieText, Expires, StickyText, is_samesite};

/// The `sticky` of a group.
pub struct Sticky {
    /// The first that is not empty names the server.
    lookups: Vec<Text>,
    cookie: Option<Cookie>,
}

/// The cookie clients are given.
struct Cookie {
    /// The name and `=`.
    start: Vec<u8>,
    expires: Option<Expires>,
    domain: Option<Text>,
    /// `httponly` and `secure`.
    flags: &'static [u8],
    samesite: Option<Text>,
    /// `; path=…`, or nothing.
    path: Vec<u8>,
}

impl Sticky {
    /// What a row asks for.
    ///
    /// # Errors
    /// A text that does not compile.
    pub fn new(text: &StickyText, variables: &mut Names<Request>) -> Result<Self, String> {
        match text {
            StickyText::Route(words) => {
                let lookups = words.iter().map(|word| Template::compile(&word.bytes, variables));
                Ok(Self { lookups: lookups.collect::<Result<_, _>>()?, cookie: None })
            }
            StickyText::Cookie(text) => {
                let lookup = [b"$cookie_", &*text.name.bytes].concat();
                let lookups = vec![Template::compile(&lookup, variables)?];
                Ok(Self { lookups, cookie: Some(Cookie::new(text, variables)?) })
            }
        }
    }

    /// The id of the server a request belongs to; empty where none is known.
    pub fn server(&self, request: &Request) -> Vec<u8> {
        self.lookups.iter().map(|text| text.text(request)).find(|id| !id.is_empty()).unwrap_or_default()
    }

    /// Gives the client the cookie of the server that is asked; of those of several attempts the last counts.
    pub fn mark(&self, request: &mut Request, id: &str, is_marked: bool) {
        let Some(cookie) = &self.cookie else { return };
        let value = cookie.value(request, id);
        if is_marked {
            request.response.headers.replace(b"Set-Cookie", &value);
        } else {
            request.response.headers.add(b"Set-Cookie", &value);
        }
    }
}

impl Cookie {
    fn new(text: &CookieText, variables: &mut Names<Request>) -> Result<Self, String> {
        let domain = text.domain.as_ref().map(|word| Template::compile(&word.bytes, variables)).transpose()?;
        let samesite = text.samesite.as_ref().map(|word| Template::compile(&word.bytes, variables)).transpose()?;
        let path = text.path.as_ref().map(|word| [b"; path=", &*word.bytes].concat()).unwrap_or_default();
        let flags: &[u8] = match (text.httponly, text.secure) {
            (true, true) => b"; httponly; secure",
            (true, false) => b"; httponly",
            (false, true) => b"; secure",
            (false, false) => b"",
        };
        let start = [&*text.name.bytes, b"="].concat();
        Ok(Self { start, expires: text.expires, domain, flags, samesite, path })
    }

    fn value(&self, request: &Request, id: &str) -> Vec<u8> {
        let mut out = [&self.start, id.as_bytes()].concat();
        match self.expires {
            None => {}
            Some(Expires::Max) => {
                out.extend_from_slice(b"; expires=Thu, 31-Dec-37 23:55:55 GMT; max-age=315360000");
            }
            Some(Expires::After(seconds)) => {
                let now = request.turn().clock.now().as_secs();
                let date = clock::cookie_date(now.saturating_add(seconds) as i64);
                out.extend_from_slice(format!("; expires={date}; max-age={seconds}").as_bytes());
            }
        }
        let domain = self.domain.as_ref().map(|text| text.text(request)).unwrap_or_default();
        if !domain.is_empty() {
            out.extend_from_slice(b"; domain=");
            out.extend_from_slice(&domain);
        }
        out.extend_from_slice(self.flags);
        let samesite = self.samesite.as_ref().map(|text| text.text(request)).unwrap_or_default();
        if !samesite.is_empty() {
            out.extend_from_slice(b"; samesite=");
            out.extend_from_slice(if is_samesite(&samesite) { &samesite } else { b"strict" });
        }
        out.extend_from_slice(&self.path);
        out
    }
}
