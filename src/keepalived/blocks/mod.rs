//! Every keyword, one block type a file; [`MODULES`] is all of them.

pub mod address;
pub mod bfd;
pub mod checker;
pub mod daemon;
pub mod dumps;
pub mod encap;
pub mod file;
pub mod fixed;
pub mod global;
pub mod group;
pub mod hmac;
pub mod instance;
pub mod interface;
pub mod line;
pub mod lvs;
pub mod probe;
pub mod process;
pub mod real;
pub mod root;
pub mod route;
pub mod rule;
pub mod script;
pub mod server;
pub mod sync;
pub mod track;
pub mod url;
pub mod vmac;

use crate::conf::module::Module;

/// The keywords in the manual's order.
pub const MODULES: &[Module] = &[
    root::MODULE,
    global::MODULE,
    fixed::MODULE,
    script::MODULE,
    process::MODULE,
    file::MODULE,
    instance::MODULE,
    address::MODULE,
    route::MODULE,
    rule::MODULE,
    group::MODULE,
    lvs::MODULE,
    server::MODULE,
    real::MODULE,
    checker::MODULE,
    url::MODULE,
    bfd::MODULE,
    interface::MODULE,
];
