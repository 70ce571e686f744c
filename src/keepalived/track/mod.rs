//! Where tracked facts come from: scripts, files; and whether a script may be run at all.

pub mod file;
pub mod script;
pub mod security;
