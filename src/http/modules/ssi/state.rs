//! What names mean in a page.

use crate::http::heart::request::Request;
use crate::script::variable;
use crate::sys::time;
use std::ffi::CString;

/// How times are shown before a page asks for another format.
const TIMES: &str = "%A, %d-%b-%Y %H:%M:%S %Z";

/// Appends the value a page or the configuration gives to a name in lower case, and tells whether there is one.
pub fn value(request: &Request, name: &[u8], out: &mut Vec<u8>) -> bool {
    if let Some(value) = request.includes.shared().borrow().get(name) {
        out.extend_from_slice(value);
        return true;
    }
    std::str::from_utf8(name).is_ok_and(|name| variable::find(request, name, out))
}

/// `$date_local` and `$date_gmt`: now, as the page asks.
pub fn date(request: &Request, local: u32, out: &mut Vec<u8>) -> bool {
    let now = request.event_loop().clock.now().as_secs();
    let format = request.includes.times.as_deref().unwrap_or(TIMES.as_bytes());
    if format == b"%s" {
        out.extend_from_slice(itoa::Buffer::new().format(now).as_bytes());
        return true;
    }
    let text = CString::new(format).ok().and_then(|format| time::formatted(now as i64, local != 0, &format));
    text.is_some_and(|text| {
        out.extend_from_slice(&text);
        true
    })
}
