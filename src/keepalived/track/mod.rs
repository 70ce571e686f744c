//! Where tracked facts come from: scripts, files, processes; and whether a script may be run at all.

pub mod file;
pub mod probe;
pub mod process;
pub mod script;
pub mod security;
