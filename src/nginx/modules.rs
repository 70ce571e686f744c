//! Every module of the product. Their order is behaviour.

use crate::conf::directive::{Directive, Support};
use crate::conf::module::Module;

/// Rows that nginx 1.23.4 does not have; the reason for each is at its definition.
pub const EXTENSIONS: &[&str] = &[
    "http2",
    "ip_hash",
    "max_headers",
    "early_hints",
    "client_body_early_read",
    "add_header_inherit",
    "add_trailer_inherit",
    "resolver",
    "resolver_timeout",
    "sticky",
    "least_time",
    "proxy_socket_rcvbuf",
    "proxy_socket_sndbuf",
    "fastcgi_socket_rcvbuf",
    "fastcgi_socket_sndbuf",
    "uwsgi_socket_rcvbuf",
    "uwsgi_socket_sndbuf",
    "scgi_socket_rcvbuf",
    "scgi_socket_sndbuf",
    "grpc_socket_rcvbuf",
    "grpc_socket_sndbuf",
    "proxy_pass_trailers",
    "ssl_certificate_cache",
    "proxy_ssl_certificate_cache",
    "grpc_ssl_certificate_cache",
    "uwsgi_ssl_certificate_cache",
    "brotli",
    "brotli_buffers",
    "brotli_types",
    "brotli_comp_level",
    "brotli_window",
    "brotli_min_length",
    "brotli_static",
    "zstd",
    "zstd_comp_level",
    "zstd_types",
    "zstd_buffers",
    "zstd_min_length",
    "zstd_static",
    "geoip2",
    "geoip2_proxy",
    "geoip2_proxy_recursive",
    "health_check",
    "health_check_timeout",
    "match",
    "queue",
    "check",
    "check_http_send",
    "check_http_expect_alive",
    "check_keepalive_requests",
    "check_fastcgi_param",
    "check_shm_size",
    "check_status",
];

/// Every module, with every row of nginx 1.23.4's, served or not.
pub fn modules() -> Vec<Module> {
    let mut modules = super::core::MODULES.to_vec();
    modules.extend(crate::http::modules::all().iter().map(|module| module.conf));
    modules.extend_from_slice(crate::upstream::directives::HTTP_MODULES);
    modules.extend(crate::stream::modules::all().iter().map(|module| module.conf));
    modules.extend(crate::mail::modules());
    modules.extend_from_slice(&super::tuning::MODULES);
    modules
}

/// The modules that are built into nginx only on request, each with the word for it.
const OPTIONAL: &[(&str, &str)] = &[
    ("ngx_http_ssl_module", "http_ssl_module"),
    ("ngx_http_v2_module", "http_v2_module"),
    ("ngx_http_realip_module", "http_realip_module"),
    ("ngx_http_addition_filter_module", "http_addition_module"),
    ("ngx_http_xslt_filter_module", "http_xslt_module"),
    ("ngx_http_image_filter_module", "http_image_filter_module"),
    ("ngx_http_geoip_module", "http_geoip_module"),
    ("ngx_http_sub_filter_module", "http_sub_module"),
    ("ngx_http_dav_module", "http_dav_module"),
    ("ngx_http_flv_module", "http_flv_module"),
    ("ngx_http_mp4_module", "http_mp4_module"),
    ("ngx_http_gunzip_filter_module", "http_gunzip_module"),
    ("ngx_http_gzip_static_module", "http_gzip_static_module"),
    ("ngx_http_auth_request_module", "http_auth_request_module"),
    ("ngx_http_random_index_module", "http_random_index_module"),
    ("ngx_http_secure_link_module", "http_secure_link_module"),
    ("ngx_http_degradation_module", "http_degradation_module"),
    ("ngx_http_slice_filter_module", "http_slice_module"),
    ("ngx_http_stub_status_module", "http_stub_status_module"),
    ("ngx_http_perl_module", "http_perl_module"),
    ("ngx_mail_core_module", "mail"),
    ("ngx_mail_ssl_module", "mail_ssl_module"),
    ("ngx_stream_core_module", "stream"),
    ("ngx_stream_ssl_module", "stream_ssl_module"),
    ("ngx_stream_realip_module", "stream_realip_module"),
    ("ngx_stream_geoip_module", "stream_geoip_module"),
    ("ngx_stream_ssl_preread_module", "stream_ssl_preread_module"),
];

/// The configure arguments of what is served, as `-V` shows them: tools look for `--with-http_realip_module`.
pub fn configured() -> String {
    let modules = modules();
    let serves = |row: &Directive| row.support.is_served() && !matches!(row.support, Support::Inert(_));
    let built = |name: &str| modules.iter().any(|module| module.name == name && module.directives.iter().any(serves));
    OPTIONAL.iter().filter(|(name, _)| built(name)).map(|(_, word)| format!(" --with-{word}")).collect()
}

#[cfg(test)]
mod tests;
