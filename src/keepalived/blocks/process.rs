//! `vrrp_track_process`. Not served yet.

use crate::conf::directive::{Arity, Directive};
use crate::conf::module::Module;
use crate::keepalived::contexts::PROCESS;

/// The keywords of watched processes.
pub const MODULE: Module = Module { name: "vrrp_track_process", directives: DIRECTIVES, scopes: &[] };

const DIRECTIVES: &[Directive] = &[
    Directive::missing("process", PROCESS, Arity::AtLeast(0)),
    Directive::missing("param_match", PROCESS, Arity::AtLeast(0)),
    Directive::missing("weight", PROCESS, Arity::AtLeast(0)),
    Directive::missing("quorum", PROCESS, Arity::AtLeast(0)),
    Directive::missing("quorum_max", PROCESS, Arity::AtLeast(0)),
    Directive::missing("delay", PROCESS, Arity::AtLeast(0)),
    Directive::missing("terminate_delay", PROCESS, Arity::AtLeast(0)),
    Directive::missing("fork_delay", PROCESS, Arity::AtLeast(0)),
    Directive::missing("full_command", PROCESS, Arity::AtLeast(0)),
];
