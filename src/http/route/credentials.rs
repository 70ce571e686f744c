//! The name and password of a request with the Basic scheme (RFC 7617).

use crate::http::codec::base64::{Alphabet, decode};
use crate::http::heart::head::Known;
use crate::http::heart::request::Request;

/// The name and password of a request; nothing where it brings none.
pub fn credentials(request: &Request) -> Option<(Vec<u8>, Vec<u8>)> {
    let (scheme, text) = request.header(Known::Authorization)?.split_at_checked(6)?;
    if !scheme.eq_ignore_ascii_case(b"basic ") {
        return None;
    }
    let start = text.iter().position(|byte| *byte != b' ')?;
    let mut user = decode(text.get(start..)?, Alphabet::Standard)?;
    let colon = memchr::memchr(b':', &user).filter(|at| *at > 0)?;
    let password = user.split_off(colon).split_off(1);
    Some((user, password))
}
