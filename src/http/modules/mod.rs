//! The http modules, one file each; the list's order is behaviour.
//!
//! Handlers of a phase run in list order. nginx runs its own list backwards within a phase, so here the later nginx
//! module stands first where both have handlers in one phase.

use super::module::Module;

macro_rules! modules {
    ($($name:ident),* $(,)?) => {
        $(pub mod $name;)*
        /// Every served module, in order.
        pub fn all() -> Vec<Module> {
            [$($name::modules()),*].concat()
        }
    };
}

modules! {
    core_rows, rewrite, map, limit_conn, access, auth_request, try_files, proxy, stub_status, index, static_, headers, log, ssl,
    gzip, gunzip, gzip_static, auth_basic, autoindex, dav, empty_gif, flv, mp4, addition, slice, ssi, sub, userid, mirror,
    random_index, secure_link, browser, degradation, limit_req, realip, referer, charset, http2, files, requests, geoip,
    image_filter, xslt, perl, geo, split_clients, fastcgi, uwsgi, scgi, grpc,
    memcached,
}
