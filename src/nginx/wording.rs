//! nginx's words for what the walk over a configuration finds.

use crate::conf::directive::Contexts;
use crate::conf::walk::Wording;
use crate::session::contexts::{HTTP, MAIL, PLACES, STREAM};

/// nginx's exact texts.
pub struct Nginx;

impl Wording for Nginx {
    fn unknown(&self, name: &str) -> String {
        let name = shown(name);
        format!("unknown directive \"{name}\"")
    }

    fn not_allowed(&self, name: &str) -> String {
        let name = shown(name);
        format!("\"{name}\" directive is not allowed here")
    }

    fn unterminated(&self, name: &str) -> String {
        let name = shown(name);
        format!("directive \"{name}\" is not terminated by \";\"")
    }

    fn no_block(&self, name: &str) -> String {
        let name = shown(name);
        format!("directive \"{name}\" has no opening \"{{\"")
    }

    fn arity(&self, name: &str) -> String {
        let name = shown(name);
        format!("invalid number of arguments in \"{name}\" directive")
    }

    fn places(&self) -> &'static [(Contexts, &'static str)] {
        PLACES
    }

    fn origin(&self, name: &str) -> Option<String> {
        super::foreign::origin(name)
    }

    fn unserved(&self, what: &str) -> String {
        format!("{what} is not served")
    }

    fn groups(&self) -> Contexts {
        HTTP.or(STREAM).or(MAIL)
    }
}

/// A name as nginx shows it: what follows a zero byte is lost on the way.
fn shown(name: &str) -> &str {
    name.split('\0').next().unwrap_or_default()
}
