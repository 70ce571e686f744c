//! The modules that hand requests on: proxy, FastCGI, uwsgi, SCGI, gRPC and memcached.

use super::{FLAG, ONE, SOME, TWO};
use crate::conf::directive::{Arity, Directive};
use crate::conf::module::Module;
use crate::session::contexts::{HTTP, HTTP_ANY, IF_IN_LOCATION, LIMIT_EXCEPT, LOCATION};

/// The rows every gateway has.
macro_rules! gateway {
    ($module:literal, $prefix:literal) => {
        Module {
            name: $module,
            directives: &[
                Directive::missing(concat!($prefix, "bind"), HTTP_ANY, Arity::Between(1, 2)),
                Directive::missing(concat!($prefix, "buffer_size"), HTTP_ANY, ONE),
                Directive::missing(concat!($prefix, "connect_timeout"), HTTP_ANY, ONE),
                Directive::missing(concat!($prefix, "hide_header"), HTTP_ANY, ONE),
                Directive::missing(concat!($prefix, "ignore_headers"), HTTP_ANY, SOME),
                Directive::missing(concat!($prefix, "intercept_errors"), HTTP_ANY, FLAG),
                Directive::missing(concat!($prefix, "next_upstream"), HTTP_ANY, SOME),
                Directive::missing(concat!($prefix, "next_upstream_timeout"), HTTP_ANY, ONE),
                Directive::missing(concat!($prefix, "next_upstream_tries"), HTTP_ANY, ONE),
                Directive::missing(concat!($prefix, "pass_header"), HTTP_ANY, ONE),
                Directive::missing(concat!($prefix, "read_timeout"), HTTP_ANY, ONE),
                Directive::missing(concat!($prefix, "send_timeout"), HTTP_ANY, ONE),
                Directive::missing(concat!($prefix, "socket_keepalive"), HTTP_ANY, FLAG),
            ],
            scopes: &[],
        }
    };
}

/// The rows of the gateways that buffer, store and cache.
macro_rules! caching_gateway {
    ($module:literal, $prefix:literal) => {
        Module {
            name: $module,
            directives: &[
                Directive::missing(concat!($prefix, "buffering"), HTTP_ANY, FLAG),
                Directive::missing(concat!($prefix, "buffers"), HTTP_ANY, TWO),
                Directive::missing(concat!($prefix, "busy_buffers_size"), HTTP_ANY, ONE),
                Directive::missing(concat!($prefix, "cache"), HTTP_ANY, ONE),
                Directive::missing(concat!($prefix, "cache_bypass"), HTTP_ANY, SOME),
                Directive::missing(concat!($prefix, "cache_key"), HTTP_ANY, ONE),
                Directive::missing(concat!($prefix, "cache_lock"), HTTP_ANY, FLAG),
                Directive::missing(concat!($prefix, "cache_lock_age"), HTTP_ANY, ONE),
                Directive::missing(concat!($prefix, "cache_lock_timeout"), HTTP_ANY, ONE),
                Directive::missing(concat!($prefix, "cache_max_range_offset"), HTTP_ANY, ONE),
                Directive::missing(concat!($prefix, "cache_methods"), HTTP_ANY, SOME),
                Directive::missing(concat!($prefix, "cache_min_uses"), HTTP_ANY, ONE),
                Directive::missing(concat!($prefix, "cache_path"), HTTP, Arity::AtLeast(2)),
                Directive::missing(concat!($prefix, "cache_revalidate"), HTTP_ANY, FLAG),
                Directive::missing(concat!($prefix, "cache_use_stale"), HTTP_ANY, SOME),
                Directive::missing(concat!($prefix, "cache_valid"), HTTP_ANY, SOME),
                Directive::missing(concat!($prefix, "force_ranges"), HTTP_ANY, FLAG),
                Directive::missing(concat!($prefix, "ignore_client_abort"), HTTP_ANY, FLAG),
                Directive::missing(concat!($prefix, "limit_rate"), HTTP_ANY, ONE),
                Directive::missing(concat!($prefix, "max_temp_file_size"), HTTP_ANY, ONE),
                Directive::missing(concat!($prefix, "no_cache"), HTTP_ANY, SOME),
                Directive::missing(concat!($prefix, "pass_request_body"), HTTP_ANY, FLAG),
                Directive::missing(concat!($prefix, "pass_request_headers"), HTTP_ANY, FLAG),
                Directive::missing(concat!($prefix, "request_buffering"), HTTP_ANY, FLAG),
                Directive::missing(concat!($prefix, "store"), HTTP_ANY, ONE),
                Directive::missing(concat!($prefix, "store_access"), HTTP_ANY, Arity::Between(1, 3)),
                Directive::missing(concat!($prefix, "temp_file_write_size"), HTTP_ANY, ONE),
                Directive::missing(concat!($prefix, "temp_path"), HTTP_ANY, Arity::Between(1, 4)),
            ],
            scopes: &[],
        }
    };
}

/// The rows of the gateways that speak TLS.
macro_rules! secure_gateway {
    ($module:literal, $prefix:literal) => {
        Module {
            name: $module,
            directives: &[
                Directive::missing(concat!($prefix, "ssl_certificate"), HTTP_ANY, ONE),
                Directive::missing(concat!($prefix, "ssl_certificate_key"), HTTP_ANY, ONE),
                Directive::missing(concat!($prefix, "ssl_ciphers"), HTTP_ANY, ONE),
                Directive::missing(concat!($prefix, "ssl_conf_command"), HTTP_ANY, TWO),
                Directive::missing(concat!($prefix, "ssl_crl"), HTTP_ANY, ONE),
                Directive::missing(concat!($prefix, "ssl_name"), HTTP_ANY, ONE),
                Directive::missing(concat!($prefix, "ssl_password_file"), HTTP_ANY, ONE),
                Directive::missing(concat!($prefix, "ssl_protocols"), HTTP_ANY, SOME),
                Directive::missing(concat!($prefix, "ssl_server_name"), HTTP_ANY, FLAG),
                Directive::missing(concat!($prefix, "ssl_session_reuse"), HTTP_ANY, FLAG),
                Directive::missing(concat!($prefix, "ssl_trusted_certificate"), HTTP_ANY, ONE),
                Directive::missing(concat!($prefix, "ssl_verify"), HTTP_ANY, FLAG),
                Directive::missing(concat!($prefix, "ssl_verify_depth"), HTTP_ANY, ONE),
            ],
            scopes: &[],
        }
    };
}

/// The modules of this file.
pub const MODULES: &[Module] = &[
    gateway!("ngx_http_proxy_module", "proxy_"),
    caching_gateway!("ngx_http_proxy_module", "proxy_"),
    secure_gateway!("ngx_http_proxy_module", "proxy_"),
    Module {
        name: "ngx_http_proxy_module",
        directives: &[
            Directive::missing("proxy_cache_background_update", HTTP_ANY, FLAG),
            Directive::missing("proxy_cache_convert_head", HTTP_ANY, FLAG),
            Directive::missing("proxy_cookie_domain", HTTP_ANY, Arity::Between(1, 2)),
            Directive::missing("proxy_cookie_flags", HTTP_ANY, Arity::Between(1, 4)),
            Directive::missing("proxy_cookie_path", HTTP_ANY, Arity::Between(1, 2)),
            Directive::missing("proxy_headers_hash_bucket_size", HTTP_ANY, ONE),
            Directive::missing("proxy_headers_hash_max_size", HTTP_ANY, ONE),
            Directive::missing("proxy_http_version", HTTP_ANY, ONE),
            Directive::missing("proxy_method", HTTP_ANY, ONE),
            Directive::missing("proxy_pass", LOCATION.or(IF_IN_LOCATION).or(LIMIT_EXCEPT), ONE),
            Directive::missing("proxy_redirect", HTTP_ANY, Arity::Between(1, 2)),
            Directive::missing("proxy_send_lowat", HTTP_ANY, ONE),
            Directive::missing("proxy_set_body", HTTP_ANY, ONE),
            Directive::missing("proxy_set_header", HTTP_ANY, TWO),
        ],
        scopes: &[],
    },
    gateway!("ngx_http_fastcgi_module", "fastcgi_"),
    caching_gateway!("ngx_http_fastcgi_module", "fastcgi_"),
    Module {
        name: "ngx_http_fastcgi_module",
        directives: &[
            Directive::missing("fastcgi_cache_background_update", HTTP_ANY, FLAG),
            Directive::missing("fastcgi_catch_stderr", HTTP_ANY, ONE),
            Directive::missing("fastcgi_index", HTTP_ANY, ONE),
            Directive::missing("fastcgi_keep_conn", HTTP_ANY, FLAG),
            Directive::missing("fastcgi_param", HTTP_ANY, Arity::Between(2, 3)),
            Directive::missing("fastcgi_pass", LOCATION.or(IF_IN_LOCATION), ONE),
            Directive::missing("fastcgi_send_lowat", HTTP_ANY, ONE),
            Directive::missing("fastcgi_split_path_info", HTTP_ANY, ONE),
        ],
        scopes: &[],
    },
    gateway!("ngx_http_uwsgi_module", "uwsgi_"),
    caching_gateway!("ngx_http_uwsgi_module", "uwsgi_"),
    secure_gateway!("ngx_http_uwsgi_module", "uwsgi_"),
    Module {
        name: "ngx_http_uwsgi_module",
        directives: &[
            Directive::missing("uwsgi_cache_background_update", HTTP_ANY, ONE),
            Directive::missing("uwsgi_modifier1", HTTP_ANY, ONE),
            Directive::missing("uwsgi_modifier2", HTTP_ANY, ONE),
            Directive::missing("uwsgi_param", HTTP_ANY, Arity::Between(2, 3)),
            Directive::missing("uwsgi_pass", LOCATION.or(IF_IN_LOCATION), ONE),
            Directive::missing("uwsgi_string", HTTP_ANY, ONE),
        ],
        scopes: &[],
    },
    gateway!("ngx_http_scgi_module", "scgi_"),
    caching_gateway!("ngx_http_scgi_module", "scgi_"),
    Module {
        name: "ngx_http_scgi_module",
        directives: &[
            Directive::missing("scgi_cache_background_update", HTTP_ANY, FLAG),
            Directive::missing("scgi_param", HTTP_ANY, Arity::Between(2, 3)),
            Directive::missing("scgi_pass", LOCATION.or(IF_IN_LOCATION), ONE),
        ],
        scopes: &[],
    },
    gateway!("ngx_http_grpc_module", "grpc_"),
    secure_gateway!("ngx_http_grpc_module", "grpc_"),
    Module {
        name: "ngx_http_grpc_module",
        directives: &[
            Directive::missing("grpc_pass", LOCATION.or(IF_IN_LOCATION), ONE),
            Directive::missing("grpc_set_header", HTTP_ANY, TWO),
        ],
        scopes: &[],
    },
    Module {
        name: "ngx_http_memcached_module",
        directives: &[
            Directive::missing("memcached_bind", HTTP_ANY, Arity::Between(1, 2)),
            Directive::missing("memcached_buffer_size", HTTP_ANY, ONE),
            Directive::missing("memcached_connect_timeout", HTTP_ANY, ONE),
            Directive::missing("memcached_gzip_flag", HTTP_ANY, ONE),
            Directive::missing("memcached_next_upstream", HTTP_ANY, SOME),
            Directive::missing("memcached_next_upstream_timeout", HTTP_ANY, ONE),
            Directive::missing("memcached_next_upstream_tries", HTTP_ANY, ONE),
            Directive::missing("memcached_pass", LOCATION.or(IF_IN_LOCATION), ONE),
            Directive::missing("memcached_read_timeout", HTTP_ANY, ONE),
            Directive::missing("memcached_send_timeout", HTTP_ANY, ONE),
            Directive::missing("memcached_socket_keepalive", HTTP_ANY, FLAG),
        ],
        scopes: &[],
    },
];
