//! The built-in names of stream and what they mean.

use super::session::{Attempt, Session, text};
use crate::net::address::Address;
use crate::script::variable::{Family, Variable};
use crate::session::tls;
use crate::tls::preread::Hello;
use std::io::Write as _;
use std::time::Duration;

/// Names the modules bring.
pub static VARIABLES: &[Variable<Session>] = &[
    Variable::new("binary_remote_addr", binary_remote_addr),
    Variable::new("remote_addr", |s, _, out| put(out, s.client().as_bytes())),
    Variable::new("remote_port", |s, _, out| port(s.client_address(), out)),
    Variable::new("realip_remote_addr", |s, _, out| put(out, text(&s.peer).as_bytes())),
    Variable::new("realip_remote_port", |s, _, out| port(&s.peer, out)),
    Variable::new("proxy_protocol_addr", proxied).data(0),
    Variable::new("proxy_protocol_port", proxied).data(1),
    Variable::new("proxy_protocol_server_addr", proxied).data(2),
    Variable::new("proxy_protocol_server_port", proxied).data(3),
    Variable::new("server_addr", server_addr),
    Variable::new("server_port", server_port),
    Variable::new("bytes_sent", |s, _, out| number(out, s.sent)),
    Variable::new("bytes_received", |s, _, out| number(out, s.received)),
    Variable::new("session_time", |s, _, out| seconds(out, s.since.elapsed())),
    Variable::new("status", |s, _, out| write!(out, "{:03}", s.status).is_ok()),
    Variable::new("connection", |s, _, out| number(out, s.number)),
    Variable::new("hostname", hostname),
    Variable::new("pid", |_, _, out| number(out, u64::from(std::process::id()))),
    Variable::new("msec", |s, _, out| seconds(out, s.event_loop().clock.now())),
    Variable::new("time_iso8601", |s, _, out| put(out, s.event_loop().clock.forms().iso.as_bytes())),
    Variable::new("time_local", |s, _, out| put(out, s.event_loop().clock.forms().common.as_bytes())),
    Variable::new("protocol", |s, _, out| put(out, if s.stream().is_some() { b"TCP" } else { b"UDP" })),
    Variable::new("nginx_version", |_, _, out| put(out, b"1.23.4")),
    Variable::new("limit_conn_status", |s, _, out| some(out, s.limit_conn_status)),
    Variable::new("upstream_addr", |s, _, out| each(s, out, |attempt, out| put(out, attempt.peer.as_bytes()))),
    Variable::new("upstream_bytes_sent", |s, _, out| each(s, out, |attempt, out| number(out, attempt.sent))),
    Variable::new("upstream_bytes_received", |s, _, out| each(s, out, |attempt, out| number(out, attempt.received))),
    Variable::new("upstream_connect_time", |s, _, out| each(s, out, |attempt, out| time(out, attempt.connect))),
    Variable::new("upstream_first_byte_time", |s, _, out| each(s, out, |attempt, out| time(out, attempt.first_byte))),
    Variable::new("upstream_session_time", |s, _, out| each(s, out, |attempt, out| time(out, attempt.session))),
    Variable::new("ssl_protocol", |s, _, out| secure(s, "protocol", out)).changeable(),
    Variable::new("ssl_cipher", |s, _, out| secure(s, "cipher", out)).changeable(),
    Variable::new("ssl_ciphers", |s, _, out| secure(s, "ciphers", out)).changeable(),
    Variable::new("ssl_curve", |s, _, out| secure(s, "curve", out)).changeable(),
    Variable::new("ssl_curves", |s, _, out| secure(s, "curves", out)).changeable(),
    Variable::new("ssl_session_id", |s, _, out| secure(s, "session_id", out)).changeable(),
    Variable::new("ssl_session_reused", |s, _, out| secure(s, "session_reused", out)).changeable(),
    Variable::new("ssl_server_name", |s, _, out| secure(s, "server_name", out)).changeable(),
    Variable::new("ssl_alpn_protocol", |s, _, out| secure(s, "alpn_protocol", out)).changeable(),
    Variable::new("ssl_client_cert", |s, _, out| secure(s, "client_cert", out)).changeable(),
    Variable::new("ssl_client_raw_cert", |s, _, out| secure(s, "client_raw_cert", out)).changeable(),
    Variable::new("ssl_client_s_dn", |s, _, out| secure(s, "client_s_dn", out)).changeable(),
    Variable::new("ssl_client_i_dn", |s, _, out| secure(s, "client_i_dn", out)).changeable(),
    Variable::new("ssl_client_serial", |s, _, out| secure(s, "client_serial", out)).changeable(),
    Variable::new("ssl_client_fingerprint", |s, _, out| secure(s, "client_fingerprint", out)).changeable(),
    Variable::new("ssl_client_verify", |s, _, out| secure(s, "client_verify", out)).changeable(),
    Variable::new("ssl_client_v_start", |s, _, out| secure(s, "client_v_start", out)).changeable(),
    Variable::new("ssl_client_v_end", |s, _, out| secure(s, "client_v_end", out)).changeable(),
    Variable::new("ssl_client_v_remain", |s, _, out| secure(s, "client_v_remain", out)).changeable(),
    Variable::new("ssl_preread_protocol", |s, _, out| hello(s, out, |hello| hello.protocol().as_bytes())),
    Variable::new("ssl_preread_server_name", |s, _, out| hello(s, out, |hello| &hello.server_name)),
    Variable::new("ssl_preread_alpn_protocols", |s, _, out| hello(s, out, |hello| &hello.protocols)),
];

/// Names by prefix.
pub static FAMILIES: [Family<Session>; 1] = [Family { prefix: "proxy_protocol_tlv_", get: option }];

fn put(out: &mut Vec<u8>, text: &[u8]) -> bool {
    out.extend_from_slice(text);
    true
}

fn some(out: &mut Vec<u8>, text: &str) -> bool {
    out.extend_from_slice(text.as_bytes());
    !text.is_empty()
}

fn number(out: &mut Vec<u8>, value: u64) -> bool {
    put(out, itoa::Buffer::new().format(value).as_bytes())
}

/// Seconds with three places.
fn seconds(out: &mut Vec<u8>, time: Duration) -> bool {
    write!(out, "{}.{:03}", time.as_secs(), time.subsec_millis()).is_ok()
}

fn time(out: &mut Vec<u8>, time: Option<Duration>) -> bool {
    match time {
        Some(time) => seconds(out, time),
        None => put(out, b"-"),
    }
}

fn port(address: &Address, out: &mut Vec<u8>) -> bool {
    match address {
        Address::Ip(address) => number(out, u64::from(address.port())),
        Address::Unix(_) => true,
    }
}

fn binary_remote_addr(session: &Session, _: u32, out: &mut Vec<u8>) -> bool {
    match session.client_address().ip() {
        Some(std::net::IpAddr::V4(ip)) => put(out, &ip.octets()),
        Some(std::net::IpAddr::V6(ip)) => put(out, &ip.octets()),
        None => put(out, b"unix:"),
    }
}

fn server_addr(session: &Session, _: u32, out: &mut Vec<u8>) -> bool {
    match (&session.bound, session.local()) {
        (Address::Unix(path), _) => write!(out, "unix:{path}").is_ok(),
        (_, Some(local)) => write!(out, "{}", local.ip()).is_ok(),
        (_, None) => false,
    }
}

fn server_port(session: &Session, _: u32, out: &mut Vec<u8>) -> bool {
    session.local().is_none_or(|local| number(out, u64::from(local.port())))
}

fn proxied(session: &Session, which: u32, out: &mut Vec<u8>) -> bool {
    let Some(header) = &session.proxied else { return false };
    match which {
        0 => put(out, header.source.as_bytes()),
        1 => header.source_port == 0 || number(out, u64::from(header.source_port)),
        2 => put(out, header.destination.as_bytes()),
        _ => header.destination_port == 0 || number(out, u64::from(header.destination_port)),
    }
}

fn option(session: &Session, name: &[u8], out: &mut Vec<u8>) -> bool {
    let value = session.proxied.as_ref().and_then(|header| header.option(name));
    value.is_some_and(|value| put(out, &value))
}

fn hostname(_: &Session, _: u32, out: &mut Vec<u8>) -> bool {
    nix::unistd::gethostname().is_ok_and(|name| put(out, name.to_string_lossy().to_lowercase().as_bytes()))
}

/// One value for each server that was tried.
fn each(session: &Session, out: &mut Vec<u8>, value: fn(&Attempt, &mut Vec<u8>) -> bool) -> bool {
    for (index, attempt) in session.attempts.iter().enumerate() {
        if index > 0 {
            out.extend_from_slice(b", ");
        }
        value(attempt, out);
    }
    !session.attempts.is_empty()
}

/// What is known of TLS with the client.
fn secure(session: &Session, name: &str, out: &mut Vec<u8>) -> bool {
    let now = session.event_loop().clock.now().as_secs() as i64;
    tls::value(name, session.stream().and_then(|stream| stream.tls()), session.shaken.as_deref(), now, out)
}

/// What the client's first message says.
fn hello(session: &Session, out: &mut Vec<u8>, of: impl FnOnce(&Hello) -> &[u8]) -> bool {
    let Some(hello) = &session.hello else { return false };
    out.extend_from_slice(of(hello));
    true
}
