//! rmigrate: tells an operator, before switching, what will be the same and what will differ.
//!
//! Every subcommand is one file with its `Args` and a `run` that returns a `report::Report`: data, no text. `render`
//! turns a report into text for a terminal, JSON, markdown or one HTML page; `cli` chooses, writes and exits.

pub mod cli;
mod dialect;
mod diff;
mod drawing;
mod explain;
mod fragment;
mod input;
mod lint;
pub mod manual;
mod probe;
mod render;
mod report;
mod secret;
mod survey;
mod switch;
