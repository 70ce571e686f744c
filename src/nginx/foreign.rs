//! Names nginx 1.23.4 does not know, and where they are from: said as help beside nginx's own line.

/// Where a directive is from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Origin {
    /// A later nginx: since which version.
    Since(&'static str),
    /// NGINX Plus alone.
    Plus,
    /// Angie.
    Angie,
    /// Tengine.
    Tengine,
    /// A module of somebody else's.
    Module(&'static str),
    /// An earlier nginx: until which version.
    Until(&'static str),
}

use Origin::{Angie, Module, Plus, Since, Tengine, Until};

/// Names of one origin.
const NAMES: &[(Origin, &str)] = &[
    (
        Since("1.25.0"),
        "http3 http3_hq http3_max_concurrent_streams http3_stream_buffer_size quic_active_connection_id_limit \
         quic_bpf quic_gso quic_host_key quic_retry",
    ),
    (Since("1.25.5"), "pass"),
    (Since("1.27.4"), "ssl_object_cache_inheritable keepalive_min_timeout"),
    (Since("1.27.5"), "ssl_key_log proxy_ssl_key_log grpc_ssl_key_log uwsgi_ssl_key_log"),
    (Since("1.29.3"), "proxy_bind_dynamic ssl_ech_file"),
    (Since("1.31.0"), "tunnel_pass"),
    (
        Until("1.9.5"),
        "spdy_headers_comp spdy_chunk_size spdy_recv_buffer_size spdy_keepalive_timeout spdy_max_concurrent_streams",
    ),
    (Until("1.15.0"), "imap"),
    (
        Plus,
        "status status_format status_zone api upstream_conf slow_start state \
         zone_sync zone_sync_server zone_sync_interval zone_sync_timeout zone_sync_connect_timeout \
         zone_sync_connect_retry_interval zone_sync_buffers zone_sync_recv_buffer_size zone_sync_ssl \
         zone_sync_ssl_certificate zone_sync_ssl_certificate_key zone_sync_ssl_ciphers zone_sync_ssl_conf_command \
         zone_sync_ssl_crl zone_sync_ssl_name zone_sync_ssl_password_file zone_sync_ssl_protocols \
         zone_sync_ssl_server_name zone_sync_ssl_trusted_certificate zone_sync_ssl_verify zone_sync_ssl_verify_depth \
         keyval keyval_zone mqtt mqtt_preread mqtt_set_connect mqtt_buffers mqtt_rewrite_buffer_size auth_jwt auth_jwt_claim_set auth_jwt_header_set \
         auth_jwt_key_cache auth_jwt_key_file auth_jwt_key_request auth_jwt_leeway auth_jwt_type auth_jwt_require \
         auth_oidc oidc_provider f4f f4f_buffer_size hls hls_buffers hls_forward_args hls_fragment hls_mp4_buffer_size \
         hls_mp4_max_buffer_size session_log session_log_format session_log_zone proxy_cache_purge fastcgi_cache_purge \
         scgi_cache_purge uwsgi_cache_purge ntlm internal_redirect mgmt usage_report license_token enforce_initial_report \
         resolver_zone num_map app_protect_enable app_protect_policy_file app_protect_security_log proxy_ssl_alpn",
    ),
    (
        Angie,
        "api_config_files prometheus prometheus_template metric_zone acme acme_client acme_client_path acme_dns_port acme_hook \
         upstream_probe upstream_probe_timeout response_time_factor sticky_secret sticky_strict backup_switch auto_redirect \
         proxy_http3_hq proxy_http3_max_concurrent_streams proxy_http3_max_table_capacity proxy_http3_stream_buffer_size \
         proxy_quic_active_connection_id_limit proxy_quic_gso proxy_quic_host_key proxy_protocol_version proxy_protocol_tlv \
         docker_endpoint docker_max_object_size feedback rdp_preread client_certificate_revocation bind_conn",
    ),
    (
        Tengine,
        "session_sticky session_sticky_hide_cookie req_status_zone req_status req_status_show req_status_zone_add_indecator \
         concat concat_max_files concat_unique concat_delimiter concat_types concat_ignore_file_error footer footer_types \
         trim trim_js trim_css trim_types sysguard sysguard_load sysguard_mem sysguard_cpu dyups_interface dyups_upstream_conf \
         dynamic_resolve user_agent consistent_hash vnswrr proxy_connect_address \
         proxy_connect_bind unbuffered_recv reqstat server_info server_admin force_exit multi_upstream tfs_pass tfs_upstream \
         slab_stat ssl_async dlname",
    ),
    (
        Module("lua-nginx-module"),
        "lua_package_path lua_package_cpath lua_shared_dict lua_code_cache lua_socket_log_errors lua_check_client_abort \
         lua_max_running_timers lua_max_pending_timers lua_need_request_body lua_regex_match_limit lua_regex_cache_max_entries \
         lua_ssl_ciphers lua_ssl_crl lua_ssl_protocols lua_ssl_trusted_certificate lua_ssl_verify_depth lua_http10_buffering \
         lua_socket_keepalive_timeout lua_socket_connect_timeout lua_socket_pool_size lua_socket_read_timeout \
         lua_socket_send_timeout lua_socket_buffer_size lua_capture_error_log lua_load_resty_core lua_transform_underscores_in_response_headers \
         init_by_lua init_by_lua_block init_by_lua_file init_worker_by_lua init_worker_by_lua_block init_worker_by_lua_file \
         set_by_lua set_by_lua_block set_by_lua_file rewrite_by_lua rewrite_by_lua_block rewrite_by_lua_file \
         rewrite_by_lua_no_postpone access_by_lua access_by_lua_block access_by_lua_file content_by_lua content_by_lua_block \
         content_by_lua_file header_filter_by_lua header_filter_by_lua_block header_filter_by_lua_file body_filter_by_lua \
         body_filter_by_lua_block body_filter_by_lua_file log_by_lua log_by_lua_block log_by_lua_file \
         balancer_by_lua_block balancer_by_lua_file ssl_certificate_by_lua_block ssl_certificate_by_lua_file \
         ssl_session_fetch_by_lua_block ssl_session_store_by_lua_block ssl_client_hello_by_lua_block preread_by_lua_block \
         server_rewrite_by_lua_block exit_worker_by_lua_block lua_add_variable",
    ),
    (Module("headers-more"), "more_set_headers more_clear_headers more_set_input_headers more_clear_input_headers"),
    (
        Module("echo"),
        "echo echo_duplicate echo_flush echo_sleep echo_blocking_sleep echo_reset_timer \
         echo_read_request_body echo_location echo_location_async echo_subrequest echo_subrequest_async \
         echo_foreach_split echo_end echo_request_body echo_exec echo_status echo_before_body echo_after_body",
    ),
    (
        Module("set-misc"),
        "set_if_empty set_quote_sql_str set_quote_pgsql_str set_quote_json_str set_unescape_uri \
         set_escape_uri set_hashed_upstream set_encode_base32 set_decode_base32 set_misc_base32_padding \
         set_misc_base32_alphabet set_encode_base64 set_decode_base64 set_encode_base64url \
         set_decode_base64url set_encode_hex set_decode_hex set_sha1 set_md5 set_hmac_sha1 set_hmac_sha256 \
         set_random set_secure_random_alphanum set_secure_random_lcalpha set_rotate set_local_today \
         set_formatted_gmt_time set_formatted_local_time",
    ),
    (
        Module("njs"),
        "js_import js_path js_set js_content js_body_filter js_header_filter js_access js_preread js_filter \
         js_var js_periodic js_preload_object js_shared_dict_zone js_include js_engine js_context_reuse \
         js_fetch_buffer_size js_fetch_ciphers js_fetch_max_response_buffer_size js_fetch_protocols \
         js_fetch_timeout js_fetch_trusted_certificate js_fetch_verify js_fetch_verify_depth",
    ),
    (Module("zstd"), "zstd_dict_file"),
    (
        Module("vts"),
        "vhost_traffic_status vhost_traffic_status_zone vhost_traffic_status_display \
         vhost_traffic_status_display_format vhost_traffic_status_display_jsonp vhost_traffic_status_filter \
         vhost_traffic_status_filter_by_host vhost_traffic_status_filter_by_set_key \
         vhost_traffic_status_filter_check_duplicate vhost_traffic_status_filter_max_node \
         vhost_traffic_status_limit vhost_traffic_status_limit_traffic vhost_traffic_status_dump \
         vhost_traffic_status_histogram_buckets vhost_traffic_status_bypass_limit \
         vhost_traffic_status_bypass_stats vhost_traffic_status_stats_by_upstream server_traffic_status \
         server_traffic_status_zone",
    ),
    (
        Module("rtmp"),
        "rtmp rtmp_stat rtmp_stat_stylesheet rtmp_control rtmp_auto_push application live record record_path \
         record_suffix record_max_size push pull exec exec_push exec_publish on_publish on_play on_done \
         chunk_size max_streams meta interleave wait_key wait_video dash dash_path dash_fragment hls_path \
         hls_playlist_length hls_cleanup hls_nested hls_continuous",
    ),
    (
        Module("modsecurity"),
        "modsecurity modsecurity_rules modsecurity_rules_file modsecurity_rules_remote \
         modsecurity_transaction_id modsecurity_use_error_log",
    ),
    (Module("naxsi"), "SecRulesEnabled SecRulesDisabled LearningMode MainRule BasicRule CheckRule DeniedUrl"),
    (Module("pagespeed"), "pagespeed"),
    (
        Module("passenger"),
        "passenger_root passenger_enabled passenger_ruby passenger_app_root passenger_env_var \
         passenger_min_instances passenger_max_pool_size passenger_pre_start",
    ),
    (Module("cache-purge"), "cache_purge_response_type"),
    (
        Module("fancyindex"),
        "fancyindex fancyindex_css_href fancyindex_default_sort fancyindex_exact_size fancyindex_footer \
         fancyindex_header fancyindex_ignore fancyindex_localtime fancyindex_name_length fancyindex_show_path \
         fancyindex_time_format fancyindex_hide_symlinks",
    ),
    (
        Module("nchan"),
        "nchan_publisher nchan_subscriber nchan_pubsub nchan_channel_id nchan_message_buffer_length \
         nchan_message_timeout nchan_redis_url nchan_store_messages nchan_websocket_ping_interval \
         nchan_max_reserved_memory",
    ),
    (
        Module("upload"),
        "upload_pass upload_store upload_set_form_field upload_pass_form_field upload_cleanup \
         upload_aggregate_form_field upload_limit_rate upload_resumable upload_pass_args",
    ),
    (Module("upload-progress"), "upload_progress track_uploads report_uploads upload_progress_json_output"),
    (Module("auth-pam"), "auth_pam auth_pam_service_name"),
    (Module("auth-ldap"), "auth_ldap auth_ldap_servers ldap_server auth_ldap_cache_enabled"),
    (Module("subs-filter"), "subs_filter subs_filter_types subs_filter_bypass"),
    (Module("sticky-ng"), "sticky_no_fallback"),
    (Module("dyups"), "dyups_shm_zone_size dyups_read_msg_timeout dyups_read_msg_log dyups_trylock"),
    (Module("upsync"), "upsync upsync_dump_path upsync_lb upstream_show"),
    (
        Module("proxy-connect"),
        "proxy_connect proxy_connect_allow proxy_connect_data_timeout proxy_connect_send_timeout",
    ),
    (Module("nginx-acme"), "acme_issuer acme_shared_zone acme_certificate"),
    (
        Module("nginx-otel"),
        "otel_exporter otel_service_name otel_resource_attr otel_trace otel_trace_context otel_span_name \
         otel_span_attr",
    ),
    (
        Module("opentracing"),
        "opentracing opentracing_load_tracer opentracing_operation_name opentracing_tag \
         opentracing_propagate_context opentracing_trace_locations opentracing_fastcgi_propagate_context \
         opentracing_grpc_propagate_context",
    ),
    (
        Module("memc"),
        "memc_pass memc_cmds_allowed memc_connect_timeout memc_read_timeout memc_send_timeout \
         memc_buffer_size memc_flags_to_last_modified",
    ),
    (
        Module("redis"),
        "redis_pass redis2_pass redis2_query redis2_raw_query redis2_raw_queries redis2_literal_raw_query \
         redis2_connect_timeout redis2_read_timeout redis2_send_timeout redis2_buffer_size \
         redis2_next_upstream",
    ),
    (
        Module("srcache"),
        "srcache_fetch srcache_store srcache_fetch_skip srcache_store_skip srcache_store_max_size \
         srcache_store_statuses srcache_methods srcache_response_cache_control",
    ),
    (Module("array-var"), "array_split array_join array_map array_map_op"),
    (
        Module("vod"),
        "vod vod_mode vod_metadata_cache vod_response_cache vod_segment_duration vod_last_modified_types \
         vod_upstream_location vod_fallback_upstream_location",
    ),
    (
        Module("testcookie"),
        "testcookie testcookie_name testcookie_session testcookie_arg testcookie_secret \
         testcookie_max_attempts testcookie_fallback testcookie_get_only testcookie_whitelist",
    ),
    (Module("http-flv-live"), "flv_live"),
    (Module("ct"), "ssl_ct ssl_ct_static_scts"),
    (
        Module("rds-json"),
        "rds_json rds_json_format rds_json_root drizzle_pass drizzle_query drizzle_server postgres_pass \
         postgres_query postgres_server",
    ),
    (Module("xss"), "xss_get xss_callback_arg xss_override_status xss_check_status xss_input_types"),
    (Module("form-input"), "set_form_input set_form_input_multi"),
    (
        Module("encrypted-session"),
        "encrypted_session_key encrypted_session_iv encrypted_session_expires set_encrypt_session \
         set_decrypt_session",
    ),
    (Module("iconv"), "set_iconv iconv_buffer_size iconv_filter"),
    (Module("coolkit"), "override_method"),
    (
        Module("slowfs"),
        "slowfs_cache slowfs_cache_key slowfs_cache_path slowfs_cache_purge slowfs_cache_valid \
         slowfs_temp_path",
    ),
    (Module("upstream-fair"), "fair upstream_fair_shm_size"),
    (Module("upstream-jdomain"), "jdomain"),
    (Module("length-hiding"), "length_hiding length_hiding_max"),
    (Module("cookie-flag"), "set_cookie_flag"),
    (Module("ip2location"), "ip2location_database ip2location_proxy ip2location_proxy_recursive"),
    (Module("tcp-proxy"), "tcp websocket_pass"),
];

/// Names that rnginx serves although nginx does not know them.
const SERVED: &[(Origin, &str)] = &[
    (Plus, "health_check health_check_timeout match queue"),
    (
        Module("upstream_check"),
        "check check_http_send check_http_expect_alive check_keepalive_requests check_fastcgi_param check_shm_size check_status",
    ),
    (Module("brotli"), "brotli brotli_types brotli_comp_level brotli_window brotli_min_length brotli_static"),
    (Module("zstd"), "zstd zstd_comp_level zstd_types zstd_buffers zstd_min_length zstd_static"),
    (Module("geoip2"), "geoip2 geoip2_proxy geoip2_proxy_recursive"),
];

/// Of a directive that rnginx serves and no nginx: where it is from.
pub fn borrowed(name: &str) -> Option<String> {
    let (origin, _) = SERVED.iter().find(|(_, names)| names.split_ascii_whitespace().any(|known| known == name))?;
    let from = match origin {
        Plus => "of NGINX Plus".to_owned(),
        Tengine => "of Tengine".to_owned(),
        Angie => "of Angie".to_owned(),
        Module(module) => format!("of the third-party module {module}"),
        Since(version) => format!("since {version}"),
        Until(version) => format!("until {version}"),
    };
    Some(format!("\"{name}\" is a directive {from}; nginx 1.23.4 itself does not know it"))
}

/// Where `name` is from, in a sentence's words.
pub fn origin(name: &str) -> Option<String> {
    let (origin, _) = NAMES.iter().find(|(_, names)| names.split_ascii_whitespace().any(|known| known == name))?;
    Some(match origin {
        Since(version) => format!("\"{name}\" is in nginx since {version}; rnginx knows 1.23.4's directives"),
        Until(version) => format!("\"{name}\" was in nginx until {version}"),
        Plus => format!("\"{name}\" is a directive of NGINX Plus"),
        Angie => format!("\"{name}\" is a directive of Angie"),
        Tengine => format!("\"{name}\" is a directive of Tengine"),
        Module(module) => format!("\"{name}\" is a directive of the third-party module {module}"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nginx::modules::{EXTENSIONS, modules};

    #[test]
    fn foreign_names_are_told_apart() {
        assert!(origin("keepalive_min_timeout").is_some_and(|text| text.contains("since 1.27.4")));
        assert!(origin("keyval").is_some_and(|text| text.contains("NGINX Plus")));
        assert!(borrowed("health_check").is_some_and(|text| text.contains("NGINX Plus")));
        assert!(borrowed("brotli").is_some_and(|text| text.contains("third-party module brotli")));
        assert_eq!((borrowed("gzip"), borrowed("keyval")), (None, None));
        assert!(origin("more_set_headers").is_some_and(|text| text.contains("headers-more")));
        assert_eq!(origin("gzip"), None);
    }

    #[test]
    fn no_foreign_name_is_known_and_none_stands_twice() {
        let known: Vec<&str> = modules().iter().flat_map(|module| module.directives).map(|row| row.name).collect();
        let mut all: Vec<&str> = NAMES.iter().flat_map(|(_, names)| names.split_ascii_whitespace()).collect();
        let wrong: Vec<_> = all.iter().filter(|name| known.contains(name)).collect();
        assert!(wrong.is_empty(), "{wrong:?}");
        let count = all.len();
        all.sort_unstable();
        all.dedup();
        assert_eq!(all.len(), count);
        let served = SERVED.iter().flat_map(|(_, names)| names.split_ascii_whitespace());
        let wrong: Vec<_> = served.filter(|name| !known.contains(name) || !EXTENSIONS.contains(name)).collect();
        assert!(wrong.is_empty(), "{wrong:?}");
    }
}
