//! The plain wording that tests of rows are read with.

use crate::conf::walk::Wording;

/// Words that name what is wrong and nothing else.
pub struct Plain;

impl Wording for Plain {
    fn unknown(&self, name: &str) -> String {
        format!("unknown {name}")
    }
    fn not_allowed(&self, name: &str) -> String {
        format!("not allowed {name}")
    }
    fn unterminated(&self, name: &str) -> String {
        name.to_owned()
    }
    fn no_block(&self, name: &str) -> String {
        name.to_owned()
    }
    fn arity(&self, name: &str) -> String {
        format!("arity {name}")
    }
    fn unserved(&self, what: &str) -> String {
        what.to_owned()
    }
}
