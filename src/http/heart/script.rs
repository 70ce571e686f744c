//! Script and path of a request for FastCGI (`fastcgi_split_path_info`, `fastcgi_index`).

use crate::http::heart::request::Request;
use crate::log::Level;
use crate::script::regex::{Captures, Expression};

/// How a location parts script and path.
#[derive(Default)]
pub struct Script {
    /// What a script's name that ends in a slash is completed by.
    pub index: Box<[u8]>,
    /// Matches script and path.
    pub split: Option<Expression>,
}

impl Request {
    /// The script's name and the path behind it; nothing where PCRE2 gives the expression up.
    pub fn script(&self) -> Option<(Vec<u8>, Vec<u8>)> {
        let Some(split) = self.location.script.as_ref().and_then(|script| script.split.as_ref()) else {
            return Some((self.uri.clone(), Vec::new()));
        };
        let mut captures = Captures::default();
        match split.capture(&self.uri, &mut captures) {
            Ok(true) => {
                let group = |number| captures.group(number).unwrap_or_default().to_vec();
                Some((group(1), group(2)))
            }
            Ok(false) => Some((self.uri.clone(), Vec::new())),
            Err(error) => {
                self.log(Level::Alert, &error.to_string());
                None
            }
        }
    }

    /// What completes a script's name that ends in a slash.
    pub fn script_index(&self) -> &[u8] {
        self.location.script.as_ref().map(|script| &*script.index).unwrap_or_default()
    }
}
