//! The manual, rendered from the same rows the programs run on.

use crate::keepalived;
use crate::nginx;

/// The pages of the manual by file name.
pub fn pages() -> Vec<(&'static str, String)> {
    vec![
        ("rnginx.8", nginx::manual::program()),
        ("rnginx.conf.5", nginx::manual::configuration()),
        ("rkeepalived.8", keepalived::manual::program()),
        ("rkeepalived.conf.5", keepalived::manual::configuration()),
    ]
}
