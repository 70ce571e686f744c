//! The order of the http modules, which is behaviour.
//!
//! Handlers of a phase run in list order. nginx runs its own list backwards within a phase, so here the later nginx
//! module comes first where both have handlers in one phase. A module with computed variables comes before those that
//! define names, so that a name that is taken is refused where it is defined.

use super::{
    access, addition, auth_basic, auth_request, autoindex, browser, charset, coding, core_rows, dav, degradation,
    empty_gif, fastcgi, files, flv, geo, geoip, grpc, gunzip, gzip, gzip_static, headers, health_check, http2,
    image_filter, index, limit_conn, limit_req, log, map, memcached, mirror, mp4, perl, proxy, random_index, realip,
    referer, requests, resolver, rewrite, scgi, secure_link, slice, split_clients, ssi, ssl, static_, stub_status, sub,
    try_files, userid, uwsgi, xslt,
};
use crate::http::heart::module::Module;

/// Every module, in order.
pub fn all() -> Vec<Module> {
    [
        geoip::modules(),
        core_rows::modules(),
        rewrite::modules(),
        map::modules(),
        realip::modules(),
        limit_req::modules(),
        limit_conn::modules(),
        access::modules(),
        auth_basic::modules(),
        auth_request::modules(),
        try_files::modules(),
        mirror::modules(),
        proxy::modules(),
        stub_status::modules(),
        random_index::modules(),
        index::modules(),
        autoindex::modules(),
        dav::modules(),
        coding::modules(),
        gzip_static::modules(),
        static_::modules(),
        headers::modules(),
        log::modules(),
        ssl::modules(),
        gzip::modules(),
        gunzip::modules(),
        empty_gif::modules(),
        flv::modules(),
        mp4::modules(),
        addition::modules(),
        slice::modules(),
        ssi::modules(),
        sub::modules(),
        userid::modules(),
        secure_link::modules(),
        browser::modules(),
        degradation::modules(),
        referer::modules(),
        charset::modules(),
        http2::modules(),
        files::modules(),
        requests::modules(),
        resolver::modules(),
        image_filter::modules(),
        xslt::modules(),
        perl::modules(),
        geo::modules(),
        split_clients::modules(),
        fastcgi::modules(),
        uwsgi::modules(),
        scgi::modules(),
        grpc::modules(),
        memcached::modules(),
        health_check::modules(),
    ]
    .concat()
}
