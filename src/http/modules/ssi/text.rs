//! Values of parameters: variables and quotes in them, and the expressions of `if`.

use super::state;
use crate::http::heart::request::Request;
use crate::log::Level;
use crate::script::regex::{Captures, Expression};

/// Why a command is not carried out; logged, and the page shows its message for errors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wrong;

/// A value with its variables read and its quotes taken off.
pub fn evaluate(request: &Request, text: &[u8]) -> Result<Vec<u8>, Wrong> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text;
    while !rest.is_empty() {
        let Some(reference) = rest.strip_prefix(b"$") else {
            let end = literal(rest, &mut out);
            rest = rest.get(end..).unwrap_or_default();
            continue;
        };
        let (braced, body) = match reference.strip_prefix(b"{") {
            Some(body) => (true, body),
            None => (false, reference),
        };
        let end = body.iter().position(|byte| !byte.is_ascii_alphanumeric() && *byte != b'_').unwrap_or(body.len());
        let (name, after) = body.split_at(end);
        rest = match (braced && !body.is_empty(), after) {
            (false, after) => after,
            (true, [b'}', after @ ..]) => after,
            (true, _) => {
                let shown = crate::conf::bytes::text(name);
                request.log(Level::Error, &format!("the closing bracket in \"{shown}\" variable is missing"));
                return Err(Wrong);
            }
        };
        if name.is_empty() {
            let shown = crate::conf::bytes::text(text);
            request.log(Level::Error, &format!("invalid variable name in \"{shown}\""));
            return Err(Wrong);
        }
        state::value(request, &name.to_ascii_lowercase(), &mut out);
    }
    Ok(out)
}

/// The same for a path, which without a slash at its begin is below the folder of the page.
pub fn path(request: &Request, text: &[u8]) -> Result<Vec<u8>, Wrong> {
    let mut path = evaluate(request, text)?;
    if path.first() != Some(&b'/') && (!path.is_empty() || !text.contains(&b'$')) {
        let folder = memchr::memrchr(b'/', &request.uri).map_or(0, |slash| slash + 1);
        path.splice(..0, request.uri.iter().take(folder).copied());
    }
    Ok(path)
}

/// Appends the text before the next variable without the backslashes of its quotes; its length.
fn literal(text: &[u8], out: &mut Vec<u8>) -> usize {
    let mut quoted = false;
    for (at, byte) in text.iter().enumerate() {
        if std::mem::take(&mut quoted) {
            if !matches!(byte, b'\\' | b'\'' | b'"' | b'$') {
                out.push(b'\\');
            }
        } else if *byte == b'\\' {
            quoted = true;
            continue;
        } else if *byte == b'$' {
            return at;
        }
        out.push(*byte);
    }
    text.len()
}

/// Whether an expression of `if` or `elif` is true.
pub fn holds(request: &Request, expression: &[u8]) -> Result<bool, Wrong> {
    let is_left = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'$' | b'{' | b'}' | b'_' | b'"' | b'\'');
    let end = expression.iter().position(|byte| !is_left(byte)).unwrap_or(expression.len());
    let (left, rest) = expression.split_at(end);
    let left = left.to_ascii_lowercase();
    let invalid = || {
        let shown = [&left, rest].concat();
        request.log(Level::Error, &format!("invalid expression in \"{}\"", crate::conf::bytes::text(&shown)));
        Wrong
    };
    let value = evaluate(request, &left)?;
    let rest = trimmed(rest);
    let (negative, right) = match rest {
        [] => return Ok(!value.is_empty()),
        [b'=', right @ ..] => (false, trimmed(right)),
        [b'!', b'=', right @ ..] => (true, trimmed(right)),
        _ => return Err(invalid()),
    };
    let same = match right {
        [b'/', pattern @ .., b'/'] => {
            let pattern = evaluate(request, pattern)?;
            matches(request, &pattern, &value)?
        }
        [b'/', _, ..] => return Err(invalid()),
        [b'\\', right @ ..] if right.first() == Some(&b'/') => evaluate(request, right)? == value,
        right => evaluate(request, right)? == value,
    };
    Ok(same != negative)
}

fn trimmed(text: &[u8]) -> &[u8] {
    let spaces = text.iter().take_while(|byte| **byte == b' ').count();
    text.get(spaces..).unwrap_or_default()
}

/// Whether a text matches; its groups are kept for the rest of the response.
fn matches(request: &Request, pattern: &[u8], text: &[u8]) -> Result<bool, Wrong> {
    let wrong = |level: Level, complaint: &str| {
        request.log(level, complaint);
        Wrong
    };
    let expression = Expression::compile(&String::from_utf8_lossy(pattern), false);
    let expression = expression.map_err(|invalid| wrong(Level::Error, &invalid.message))?;
    let mut captures = Captures::default();
    let found = expression.capture_all(text, &mut captures);
    if !found.map_err(|error| wrong(Level::Alert, &error.to_string()))? {
        return Ok(false);
    }
    let mut groups: Vec<Option<&[u8]>> = (0..=expression.groups()).map(|number| captures.group(number)).collect();
    while groups.last() == Some(&None) {
        groups.pop();
    }
    let groups = groups.into_iter().map(|group| group.unwrap_or_default().to_vec()).collect();
    let mut shared = request.includes.shared().borrow_mut();
    shared.keep_groups(groups);
    for (number, name) in expression.names() {
        shared.set(&name.to_ascii_lowercase().into_bytes(), captures.group(*number).unwrap_or_default().to_vec());
    }
    Ok(true)
}
