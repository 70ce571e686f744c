//! Names become indices and text becomes templates while the configuration compiles; nothing is looked up by name later.

pub mod hash;
pub mod regex;
pub mod template;
pub mod variable;
