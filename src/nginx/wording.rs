//! nginx's words for what the walk over a configuration finds.

use crate::conf::walk::Wording;

/// nginx's exact texts.
pub struct Nginx;

impl Wording for Nginx {
    fn unknown(&self, name: &str) -> String {
        format!("unknown directive \"{name}\"")
    }

    fn not_allowed(&self, name: &str) -> String {
        format!("\"{name}\" directive is not allowed here")
    }

    fn unterminated(&self, name: &str) -> String {
        format!("directive \"{name}\" is not terminated by \";\"")
    }

    fn no_block(&self, name: &str) -> String {
        format!("directive \"{name}\" has no opening \"{{\"")
    }

    fn arity(&self, name: &str) -> String {
        format!("invalid number of arguments in \"{name}\" directive")
    }

    fn unserved(&self, what: &str) -> String {
        format!("directive {what} is known but not supported yet")
    }
}
