//! Groups of servers in http.

use super::{NONE, ONE, SOME};
use crate::conf::directive::{Arity, Directive, Opens};
use crate::conf::module::Module;
use crate::session::contexts::{HTTP, UPSTREAM};

/// The modules of this file.
pub const MODULES: &[Module] = &[
    Module {
        name: "ngx_http_upstream_hash_module",
        directives: &[Directive::missing("hash", UPSTREAM, Arity::Between(1, 2))],
        scopes: &[],
    },
    Module {
        name: "ngx_http_upstream_ip_hash_module",
        directives: &[Directive::missing("ip_hash", UPSTREAM, NONE)],
        scopes: &[],
    },
    Module {
        name: "ngx_http_upstream_keepalive_module",
        directives: &[
            Directive::missing("keepalive", UPSTREAM, ONE),
            Directive::missing("keepalive_requests", UPSTREAM, ONE),
            Directive::missing("keepalive_time", UPSTREAM, ONE),
            Directive::missing("keepalive_timeout", UPSTREAM, ONE),
        ],
        scopes: &[],
    },
    Module {
        name: "ngx_http_upstream_least_conn_module",
        directives: &[Directive::missing("least_conn", UPSTREAM, NONE)],
        scopes: &[],
    },
    Module {
        name: "ngx_http_upstream_module",
        directives: &[
            Directive::missing("server", UPSTREAM, SOME),
            Directive::missing("upstream", HTTP, Arity::Block(1, 1, Opens::Context(UPSTREAM))),
        ],
        scopes: &[],
    },
    Module {
        name: "ngx_http_upstream_random_module",
        directives: &[Directive::missing("random", UPSTREAM, Arity::Between(0, 2))],
        scopes: &[],
    },
    Module {
        name: "ngx_http_upstream_zone_module",
        directives: &[Directive::missing("zone", UPSTREAM, Arity::Between(1, 2))],
        scopes: &[],
    },
];
