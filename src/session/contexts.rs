//! The places nginx's directives may stand in, as bits; named as nginx names them.

use crate::conf::directive::Contexts;

/// Outside all blocks.
pub const MAIN: Contexts = Contexts(1);
/// `events {}`.
pub const EVENTS: Contexts = Contexts(1 << 1);
/// `http {}`.
pub const HTTP: Contexts = Contexts(1 << 2);
/// `server {}` in http.
pub const SERVER: Contexts = Contexts(1 << 3);
/// `location {}`.
pub const LOCATION: Contexts = Contexts(1 << 4);
/// `if {}` in a server.
pub const IF_IN_SERVER: Contexts = Contexts(1 << 5);
/// `if {}` in a location.
pub const IF_IN_LOCATION: Contexts = Contexts(1 << 6);
/// `limit_except {}`.
pub const LIMIT_EXCEPT: Contexts = Contexts(1 << 7);
/// `upstream {}` in http.
pub const UPSTREAM: Contexts = Contexts(1 << 8);
/// `stream {}`.
pub const STREAM: Contexts = Contexts(1 << 9);
/// `server {}` in stream.
pub const STREAM_SERVER: Contexts = Contexts(1 << 10);
/// `upstream {}` in stream.
pub const STREAM_UPSTREAM: Contexts = Contexts(1 << 11);
/// `mail {}`.
pub const MAIL: Contexts = Contexts(1 << 12);
/// `server {}` in mail.
pub const MAIL_SERVER: Contexts = Contexts(1 << 13);

/// http, server, location.
pub const HTTP_ANY: Contexts = HTTP.or(SERVER).or(LOCATION);
/// http, server.
pub const HTTP_SERVER: Contexts = HTTP.or(SERVER);
/// http, server, location, if in location.
pub const HTTP_ANY_IF: Contexts = HTTP_ANY.or(IF_IN_LOCATION);
/// Every block of http that has location settings.
pub const HTTP_LEVELS: Contexts = HTTP_ANY.or(IF_IN_SERVER).or(IF_IN_LOCATION).or(LIMIT_EXCEPT);
/// stream, server.
pub const STREAM_ANY: Contexts = STREAM.or(STREAM_SERVER);
/// mail, server.
pub const MAIL_ANY: Contexts = MAIL.or(MAIL_SERVER);
/// Every block there is.
pub const ANYWHERE: Contexts = Contexts((1 << 14) - 1);

/// The places by name, as nginx's reference names them.
pub const PLACES: &[(Contexts, &str)] = &[
    (MAIN, "main"),
    (EVENTS, "events"),
    (HTTP, "http"),
    (SERVER, "server"),
    (LOCATION, "location"),
    (IF_IN_SERVER, "if in server"),
    (IF_IN_LOCATION, "if in location"),
    (LIMIT_EXCEPT, "limit_except"),
    (UPSTREAM, "upstream"),
    (STREAM, "stream"),
    (STREAM_SERVER, "server in stream"),
    (STREAM_UPSTREAM, "upstream in stream"),
    (MAIL, "mail"),
    (MAIL_SERVER, "server in mail"),
];
