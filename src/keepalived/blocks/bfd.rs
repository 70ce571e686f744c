//! `bfd_instance`. Not served yet.

use crate::conf::directive::{Arity, Directive};
use crate::conf::module::Module;
use crate::keepalived::contexts::BFD;

/// The keywords of BFD sessions.
pub const MODULE: Module = Module { name: "bfd_instance", directives: DIRECTIVES, scopes: &[] };

const DIRECTIVES: &[Directive] = &[
    Directive::missing("source_ip", BFD, Arity::AtLeast(0)),
    Directive::missing("neighbor_ip", BFD, Arity::AtLeast(0)),
    Directive::missing("neighbour_ip", BFD, Arity::AtLeast(0)),
    Directive::missing("min_rx", BFD, Arity::AtLeast(0)),
    Directive::missing("min_tx", BFD, Arity::AtLeast(0)),
    Directive::missing("idle_tx", BFD, Arity::AtLeast(0)),
    Directive::missing("multiplier", BFD, Arity::AtLeast(0)),
    Directive::missing("passive", BFD, Arity::AtLeast(0)),
    Directive::missing("ttl", BFD, Arity::AtLeast(0)),
    Directive::missing("hoplimit", BFD, Arity::AtLeast(0)),
    Directive::missing("max_hops", BFD, Arity::AtLeast(0)),
    Directive::missing("weight", BFD, Arity::AtLeast(0)),
    Directive::missing("vrrp", BFD, Arity::AtLeast(0)),
    Directive::missing("checker", BFD, Arity::AtLeast(0)),
    Directive::missing("multihop", BFD, Arity::AtLeast(0)),
];
