//! Who of two nodes is master when what fails, and after how long.

use crate::migrate::input::Given;
use crate::migrate::report::{Failure, Report};

/// Explains a pair of nodes.
///
/// # Errors
/// As [`super::run`].
pub fn run(nodes: &[String], _given: &Given) -> Result<Report, Failure> {
    Err(Failure(format!("{}: not yet", nodes.join(" "))))
}
