//! The modules that choose, answer, limit or record requests.

use super::{FLAG, NONE, ONE, SOME, THREE, TWO};
use crate::conf::directive::{Arity, Directive, Opens};
use crate::conf::module::Module;
use crate::session::contexts::{
    HTTP, HTTP_ANY, HTTP_ANY_IF, IF_IN_LOCATION, IF_IN_SERVER, LIMIT_EXCEPT, LOCATION, SERVER,
};

/// The modules of this file.
pub const MODULES: &[Module] = &[
    Module {
        name: "ngx_http_access_module",
        directives: &[
            Directive::missing("allow", HTTP_ANY.or(LIMIT_EXCEPT), ONE),
            Directive::missing("deny", HTTP_ANY.or(LIMIT_EXCEPT), ONE),
        ],
        scopes: &[],
    },
    Module {
        name: "ngx_http_auth_basic_module",
        directives: &[
            Directive::missing("auth_basic", HTTP_ANY.or(LIMIT_EXCEPT), ONE),
            Directive::missing("auth_basic_user_file", HTTP_ANY.or(LIMIT_EXCEPT), ONE),
        ],
        scopes: &[],
    },
    Module {
        name: "ngx_http_auth_request_module",
        directives: &[
            Directive::missing("auth_request", HTTP_ANY, ONE),
            Directive::missing("auth_request_set", HTTP_ANY, TWO),
        ],
        scopes: &[],
    },
    Module {
        name: "ngx_http_autoindex_module",
        directives: &[
            Directive::missing("autoindex", HTTP_ANY, FLAG),
            Directive::missing("autoindex_exact_size", HTTP_ANY, FLAG),
            Directive::missing("autoindex_format", HTTP_ANY, ONE),
            Directive::missing("autoindex_localtime", HTTP_ANY, FLAG),
        ],
        scopes: &[],
    },
    Module {
        name: "ngx_http_browser_module",
        directives: &[
            Directive::missing("ancient_browser", HTTP_ANY, SOME),
            Directive::missing("ancient_browser_value", HTTP_ANY, ONE),
            Directive::missing("modern_browser", HTTP_ANY, Arity::Between(1, 2)),
            Directive::missing("modern_browser_value", HTTP_ANY, ONE),
        ],
        scopes: &[],
    },
    Module {
        name: "ngx_http_dav_module",
        directives: &[
            Directive::missing("create_full_put_path", HTTP_ANY, FLAG),
            Directive::missing("dav_access", HTTP_ANY, Arity::Between(1, 3)),
            Directive::missing("dav_methods", HTTP_ANY, SOME),
            Directive::missing("min_delete_depth", HTTP_ANY, ONE),
        ],
        scopes: &[],
    },
    Module {
        name: "ngx_http_empty_gif_module",
        directives: &[Directive::missing("empty_gif", LOCATION, NONE)],
        scopes: &[],
    },
    Module { name: "ngx_http_flv_module", directives: &[Directive::missing("flv", LOCATION, NONE)], scopes: &[] },
    Module {
        name: "ngx_http_geo_module",
        directives: &[Directive::missing("geo", HTTP, Arity::Block(1, 2, Opens::Rows))],
        scopes: &[],
    },
    Module {
        name: "ngx_http_gzip_static_module",
        directives: &[Directive::missing("gzip_static", HTTP_ANY, ONE)],
        scopes: &[],
    },
    Module { name: "ngx_http_index_module", directives: &[Directive::missing("index", HTTP_ANY, SOME)], scopes: &[] },
    Module {
        name: "ngx_http_limit_conn_module",
        directives: &[
            Directive::missing("limit_conn", HTTP_ANY, TWO),
            Directive::missing("limit_conn_dry_run", HTTP_ANY, FLAG),
            Directive::missing("limit_conn_log_level", HTTP_ANY, ONE),
            Directive::missing("limit_conn_status", HTTP_ANY, ONE),
            Directive::missing("limit_conn_zone", HTTP, TWO),
        ],
        scopes: &[],
    },
    Module {
        name: "ngx_http_limit_req_module",
        directives: &[
            Directive::missing("limit_req", HTTP_ANY, Arity::Between(1, 3)),
            Directive::missing("limit_req_dry_run", HTTP_ANY, FLAG),
            Directive::missing("limit_req_log_level", HTTP_ANY, ONE),
            Directive::missing("limit_req_status", HTTP_ANY, ONE),
            Directive::missing("limit_req_zone", HTTP, THREE),
        ],
        scopes: &[],
    },
    Module {
        name: "ngx_http_log_module",
        directives: &[
            Directive::missing("access_log", HTTP_ANY_IF.or(LIMIT_EXCEPT), SOME),
            Directive::missing("log_format", HTTP, Arity::AtLeast(2)),
            Directive::missing("open_log_file_cache", HTTP_ANY, Arity::Between(1, 4)),
        ],
        scopes: &[],
    },
    Module {
        name: "ngx_http_map_module",
        directives: &[
            Directive::missing("map", HTTP, Arity::Block(2, 2, Opens::Rows)),
            Directive::missing("map_hash_bucket_size", HTTP, ONE),
            Directive::missing("map_hash_max_size", HTTP, ONE),
        ],
        scopes: &[],
    },
    Module {
        name: "ngx_http_mirror_module",
        directives: &[
            Directive::missing("mirror", HTTP_ANY, ONE),
            Directive::missing("mirror_request_body", HTTP_ANY, FLAG),
        ],
        scopes: &[],
    },
    Module {
        name: "ngx_http_mp4_module",
        directives: &[
            Directive::missing("mp4", LOCATION, NONE),
            Directive::missing("mp4_buffer_size", HTTP_ANY, ONE),
            Directive::missing("mp4_max_buffer_size", HTTP_ANY, ONE),
            Directive::missing("mp4_start_key_frame", HTTP_ANY, FLAG),
        ],
        scopes: &[],
    },
    Module {
        name: "ngx_http_random_index_module",
        directives: &[Directive::missing("random_index", LOCATION, FLAG)],
        scopes: &[],
    },
    Module {
        name: "ngx_http_realip_module",
        directives: &[
            Directive::missing("real_ip_header", HTTP_ANY, ONE),
            Directive::missing("real_ip_recursive", HTTP_ANY, FLAG),
            Directive::missing("set_real_ip_from", HTTP_ANY, ONE),
        ],
        scopes: &[],
    },
    Module {
        name: "ngx_http_referer_module",
        directives: &[
            Directive::missing("referer_hash_bucket_size", SERVER.or(LOCATION), ONE),
            Directive::missing("referer_hash_max_size", SERVER.or(LOCATION), ONE),
            Directive::missing("valid_referers", SERVER.or(LOCATION), SOME),
        ],
        scopes: &[],
    },
    Module {
        name: "ngx_http_rewrite_module",
        directives: &[
            Directive::missing("break", SERVER.or(LOCATION).or(IF_IN_SERVER).or(IF_IN_LOCATION), NONE),
            Directive::missing("if", SERVER, Arity::BlockAtLeast(1, Opens::Context(IF_IN_SERVER))),
            Directive::missing("if", LOCATION, Arity::BlockAtLeast(1, Opens::Context(IF_IN_LOCATION))),
            Directive::missing("return", SERVER.or(LOCATION).or(IF_IN_SERVER).or(IF_IN_LOCATION), Arity::Between(1, 2)),
            Directive::missing(
                "rewrite",
                SERVER.or(LOCATION).or(IF_IN_SERVER).or(IF_IN_LOCATION),
                Arity::Between(2, 3),
            ),
            Directive::missing("rewrite_log", HTTP_ANY.or(IF_IN_SERVER).or(IF_IN_LOCATION), FLAG),
            Directive::missing("set", SERVER.or(LOCATION).or(IF_IN_SERVER).or(IF_IN_LOCATION), TWO),
            Directive::missing("uninitialized_variable_warn", HTTP_ANY.or(IF_IN_SERVER).or(IF_IN_LOCATION), FLAG),
        ],
        scopes: &[],
    },
    Module {
        name: "ngx_http_secure_link_module",
        directives: &[
            Directive::missing("secure_link", HTTP_ANY, ONE),
            Directive::missing("secure_link_md5", HTTP_ANY, ONE),
            Directive::missing("secure_link_secret", HTTP_ANY, ONE),
        ],
        scopes: &[],
    },
    Module {
        name: "ngx_http_split_clients_module",
        directives: &[Directive::missing("split_clients", HTTP, Arity::Block(2, 2, Opens::Rows))],
        scopes: &[],
    },
    Module {
        name: "ngx_http_stub_status_module",
        directives: &[Directive::missing("stub_status", SERVER.or(LOCATION), Arity::Between(0, 1))],
        scopes: &[],
    },
    Module {
        name: "ngx_http_try_files_module",
        directives: &[Directive::missing("try_files", SERVER.or(LOCATION), Arity::AtLeast(2))],
        scopes: &[],
    },
    Module {
        name: "ngx_http_degradation_module",
        directives: &[Directive::missing("degradation", HTTP, ONE), Directive::missing("degrade", HTTP_ANY, ONE)],
        scopes: &[],
    },
    Module {
        name: "ngx_http_geoip_module",
        directives: &[
            Directive::missing("geoip_city", HTTP, Arity::Between(1, 2)),
            Directive::missing("geoip_country", HTTP, Arity::Between(1, 2)),
            Directive::missing("geoip_org", HTTP, Arity::Between(1, 2)),
            Directive::missing("geoip_proxy", HTTP, ONE),
            Directive::missing("geoip_proxy_recursive", HTTP, FLAG),
        ],
        scopes: &[],
    },
    Module {
        name: "ngx_http_perl_module",
        directives: &[
            Directive::missing("perl", LOCATION.or(LIMIT_EXCEPT), ONE),
            Directive::missing("perl_modules", HTTP, ONE),
            Directive::missing("perl_require", HTTP, ONE),
            Directive::missing("perl_set", HTTP, TWO),
        ],
        scopes: &[],
    },
];
