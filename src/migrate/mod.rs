//! rmigrate: tells an operator, before switching, what will be the same and what will differ.

pub mod cli;
pub mod manual;
mod survey;
