//! The stream modules.

use super::{FLAG, NONE, ONE, SOME, TWO};
use crate::conf::directive::{Arity, Directive, Opens};
use crate::conf::module::Module;
use crate::session::contexts::{STREAM, STREAM_ANY, STREAM_SERVER, STREAM_UPSTREAM};

/// The modules of this file.
pub const MODULES: &[Module] = &[
    Module {
        name: "ngx_stream_access_module",
        directives: &[Directive::missing("allow", STREAM_ANY, ONE), Directive::missing("deny", STREAM_ANY, ONE)],
        scopes: &[],
    },
    Module {
        name: "ngx_stream_core_module",
        directives: &[
            Directive::missing("error_log", STREAM_ANY, SOME),
            Directive::missing("listen", STREAM_SERVER, SOME),
            Directive::missing("preread_buffer_size", STREAM_ANY, ONE),
            Directive::missing("preread_timeout", STREAM_ANY, ONE),
            Directive::missing("proxy_protocol_timeout", STREAM_ANY, ONE),
            Directive::missing("resolver", STREAM_ANY, SOME),
            Directive::missing("resolver_timeout", STREAM_ANY, ONE),
            Directive::missing("server", STREAM, Arity::Block(0, 0, Opens::Context(STREAM_SERVER))),
            Directive::missing("tcp_nodelay", STREAM_ANY, FLAG),
            Directive::missing("variables_hash_bucket_size", STREAM, ONE),
            Directive::missing("variables_hash_max_size", STREAM, ONE),
        ],
        scopes: &[],
    },
    Module {
        name: "ngx_stream_geo_module",
        directives: &[Directive::missing("geo", STREAM, Arity::Block(1, 2, Opens::Rows))],
        scopes: &[],
    },
    Module {
        name: "ngx_stream_limit_conn_module",
        directives: &[
            Directive::missing("limit_conn", STREAM_ANY, TWO),
            Directive::missing("limit_conn_dry_run", STREAM_ANY, FLAG),
            Directive::missing("limit_conn_log_level", STREAM_ANY, ONE),
            Directive::missing("limit_conn_zone", STREAM, TWO),
        ],
        scopes: &[],
    },
    Module {
        name: "ngx_stream_log_module",
        directives: &[
            Directive::missing("access_log", STREAM_ANY, SOME),
            Directive::missing("log_format", STREAM, Arity::AtLeast(2)),
            Directive::missing("open_log_file_cache", STREAM_ANY, Arity::Between(1, 4)),
        ],
        scopes: &[],
    },
    Module {
        name: "ngx_stream_map_module",
        directives: &[
            Directive::missing("map", STREAM, Arity::Block(2, 2, Opens::Rows)),
            Directive::missing("map_hash_bucket_size", STREAM, ONE),
            Directive::missing("map_hash_max_size", STREAM, ONE),
        ],
        scopes: &[],
    },
    Module {
        name: "ngx_stream_proxy_module",
        directives: &[
            Directive::missing("proxy_bind", STREAM_ANY, Arity::Between(1, 2)),
            Directive::missing("proxy_buffer_size", STREAM_ANY, ONE),
            Directive::missing("proxy_connect_timeout", STREAM_ANY, ONE),
            Directive::missing("proxy_download_rate", STREAM_ANY, ONE),
            Directive::missing("proxy_downstream_buffer", STREAM_ANY, ONE),
            Directive::missing("proxy_half_close", STREAM_ANY, FLAG),
            Directive::missing("proxy_next_upstream", STREAM_ANY, FLAG),
            Directive::missing("proxy_next_upstream_timeout", STREAM_ANY, ONE),
            Directive::missing("proxy_next_upstream_tries", STREAM_ANY, ONE),
            Directive::missing("proxy_pass", STREAM_SERVER, ONE),
            Directive::missing("proxy_protocol", STREAM_ANY, FLAG),
            Directive::missing("proxy_requests", STREAM_ANY, ONE),
            Directive::missing("proxy_responses", STREAM_ANY, ONE),
            Directive::missing("proxy_socket_keepalive", STREAM_ANY, FLAG),
            Directive::missing("proxy_ssl", STREAM_ANY, FLAG),
            Directive::missing("proxy_ssl_certificate", STREAM_ANY, ONE),
            Directive::missing("proxy_ssl_certificate_key", STREAM_ANY, ONE),
            Directive::missing("proxy_ssl_ciphers", STREAM_ANY, ONE),
            Directive::missing("proxy_ssl_conf_command", STREAM_ANY, TWO),
            Directive::missing("proxy_ssl_crl", STREAM_ANY, ONE),
            Directive::missing("proxy_ssl_name", STREAM_ANY, ONE),
            Directive::missing("proxy_ssl_password_file", STREAM_ANY, ONE),
            Directive::missing("proxy_ssl_protocols", STREAM_ANY, SOME),
            Directive::missing("proxy_ssl_server_name", STREAM_ANY, FLAG),
            Directive::missing("proxy_ssl_session_reuse", STREAM_ANY, FLAG),
            Directive::missing("proxy_ssl_trusted_certificate", STREAM_ANY, ONE),
            Directive::missing("proxy_ssl_verify", STREAM_ANY, FLAG),
            Directive::missing("proxy_ssl_verify_depth", STREAM_ANY, ONE),
            Directive::missing("proxy_timeout", STREAM_ANY, ONE),
            Directive::missing("proxy_upload_rate", STREAM_ANY, ONE),
            Directive::missing("proxy_upstream_buffer", STREAM_ANY, ONE),
        ],
        scopes: &[],
    },
    Module {
        name: "ngx_stream_realip_module",
        directives: &[Directive::missing("set_real_ip_from", STREAM_ANY, ONE)],
        scopes: &[],
    },
    Module {
        name: "ngx_stream_return_module",
        directives: &[Directive::missing("return", STREAM_SERVER, ONE)],
        scopes: &[],
    },
    Module { name: "ngx_stream_set_module", directives: &[Directive::missing("set", STREAM_SERVER, TWO)], scopes: &[] },
    Module {
        name: "ngx_stream_split_clients_module",
        directives: &[Directive::missing("split_clients", STREAM, Arity::Block(2, 2, Opens::Rows))],
        scopes: &[],
    },
    Module {
        name: "ngx_stream_ssl_preread_module",
        directives: &[Directive::missing("ssl_preread", STREAM_ANY, FLAG)],
        scopes: &[],
    },
    Module {
        name: "ngx_stream_upstream_hash_module",
        directives: &[Directive::missing("hash", STREAM_UPSTREAM, Arity::Between(1, 2))],
        scopes: &[],
    },
    Module {
        name: "ngx_stream_upstream_least_conn_module",
        directives: &[Directive::missing("least_conn", STREAM_UPSTREAM, NONE)],
        scopes: &[],
    },
    Module {
        name: "ngx_stream_upstream_module",
        directives: &[
            Directive::missing("server", STREAM_UPSTREAM, SOME),
            Directive::missing("upstream", STREAM, Arity::Block(1, 1, Opens::Context(STREAM_UPSTREAM))),
        ],
        scopes: &[],
    },
    Module {
        name: "ngx_stream_upstream_random_module",
        directives: &[Directive::missing("random", STREAM_UPSTREAM, Arity::Between(0, 2))],
        scopes: &[],
    },
    Module {
        name: "ngx_stream_upstream_zone_module",
        directives: &[Directive::missing("zone", STREAM_UPSTREAM, Arity::Between(1, 2))],
        scopes: &[],
    },
    Module {
        name: "ngx_stream_geoip_module",
        directives: &[
            Directive::missing("geoip_city", STREAM, Arity::Between(1, 2)),
            Directive::missing("geoip_country", STREAM, Arity::Between(1, 2)),
            Directive::missing("geoip_org", STREAM, Arity::Between(1, 2)),
        ],
        scopes: &[],
    },
];
