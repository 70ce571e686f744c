//! The blocks keywords may stand in.

use crate::conf::directive::Contexts;

/// The file itself.
pub const ROOT: Contexts = Contexts(1);
/// `global_defs`.
pub const GLOBAL: Contexts = Contexts(1 << 1);
/// `vrrp_instance`.
pub const INSTANCE: Contexts = Contexts(1 << 2);
/// `authentication` of an instance.
pub const AUTHENTICATION: Contexts = Contexts(1 << 3);
/// `auth_hmac` of an instance.
pub const HMAC: Contexts = Contexts(1 << 4);
/// A line of `unicast_peer`.
pub const PEER: Contexts = Contexts(1 << 5);
/// A line of `virtual_ipaddress` or `virtual_ipaddress_excluded`.
pub const ADDRESS: Contexts = Contexts(1 << 6);
/// A line of `static_ipaddress`.
pub const STATIC_ADDRESS: Contexts = Contexts(1 << 7);
/// A line of `virtual_routes`.
pub const VIRTUAL_ROUTE: Contexts = Contexts(1 << 8);
/// A line of `static_routes`.
pub const STATIC_ROUTE: Contexts = Contexts(1 << 9);
/// A line of `virtual_rules`.
pub const VIRTUAL_RULE: Contexts = Contexts(1 << 10);
/// A line of `static_rules`.
pub const STATIC_RULE: Contexts = Contexts(1 << 11);
/// `vrrp_sync_group`.
pub const GROUP: Contexts = Contexts(1 << 12);
/// `vrrp_script`.
pub const SCRIPT: Contexts = Contexts(1 << 13);
/// `vrrp_track_process`.
pub const PROCESS: Contexts = Contexts(1 << 14);
/// `track_file`.
pub const FILE: Contexts = Contexts(1 << 15);
/// `track_group`.
pub const TRACK_GROUP: Contexts = Contexts(1 << 16);
/// `garp_group`.
pub const GARP_GROUP: Contexts = Contexts(1 << 17);
/// `SSL`.
pub const SSL: Contexts = Contexts(1 << 18);
/// `virtual_server_group`.
pub const SERVER_GROUP: Contexts = Contexts(1 << 19);
/// `virtual_server`.
pub const SERVER: Contexts = Contexts(1 << 20);
/// `real_server`.
pub const REAL_SERVER: Contexts = Contexts(1 << 21);
/// `HTTP_GET` and `SSL_GET`.
pub const HTTP_GET: Contexts = Contexts(1 << 22);
/// `url` of those.
pub const URL: Contexts = Contexts(1 << 23);
/// `TCP_CHECK`.
pub const TCP_CHECK: Contexts = Contexts(1 << 24);
/// `SMTP_CHECK`.
pub const SMTP_CHECK: Contexts = Contexts(1 << 25);
/// `host` of that.
pub const SMTP_HOST: Contexts = Contexts(1 << 26);
/// `DNS_CHECK`.
pub const DNS_CHECK: Contexts = Contexts(1 << 27);
/// `MISC_CHECK`.
pub const MISC_CHECK: Contexts = Contexts(1 << 28);
/// `UDP_CHECK`.
pub const UDP_CHECK: Contexts = Contexts(1 << 29);
/// `PING_CHECK`.
pub const PING_CHECK: Contexts = Contexts(1 << 30);
/// `FILE_CHECK`.
pub const FILE_CHECK: Contexts = Contexts(1 << 31);
/// `BFD_CHECK`.
pub const BFD_CHECK: Contexts = Contexts(1 << 32);
/// `bfd_instance`.
pub const BFD: Contexts = Contexts(1 << 33);

/// The blocks by name.
pub const PLACES: &[(Contexts, &str)] = &[
    (ROOT, "the file itself"),
    (GLOBAL, "global_defs"),
    (INSTANCE, "vrrp_instance"),
    (AUTHENTICATION, "authentication"),
    (HMAC, "auth_hmac"),
    (PEER, "unicast_peer"),
    (ADDRESS, "virtual_ipaddress"),
    (STATIC_ADDRESS, "static_ipaddress"),
    (VIRTUAL_ROUTE, "virtual_routes"),
    (STATIC_ROUTE, "static_routes"),
    (VIRTUAL_RULE, "virtual_rules"),
    (STATIC_RULE, "static_rules"),
    (GROUP, "vrrp_sync_group"),
    (SCRIPT, "vrrp_script"),
    (PROCESS, "vrrp_track_process"),
    (FILE, "track_file"),
    (TRACK_GROUP, "track_group"),
    (GARP_GROUP, "garp_group"),
    (SSL, "SSL"),
    (SERVER_GROUP, "virtual_server_group"),
    (SERVER, "virtual_server"),
    (REAL_SERVER, "real_server"),
    (HTTP_GET, "HTTP_GET"),
    (URL, "url"),
    (TCP_CHECK, "TCP_CHECK"),
    (SMTP_CHECK, "SMTP_CHECK"),
    (SMTP_HOST, "host"),
    (DNS_CHECK, "DNS_CHECK"),
    (MISC_CHECK, "MISC_CHECK"),
    (UDP_CHECK, "UDP_CHECK"),
    (PING_CHECK, "PING_CHECK"),
    (FILE_CHECK, "FILE_CHECK"),
    (BFD_CHECK, "BFD_CHECK"),
    (BFD, "bfd_instance"),
];
