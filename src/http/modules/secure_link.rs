//! `ngx_http_secure_link_module`: links that only who knows a secret can make.

use crate::conf::diagnostic::Diagnostic;
use crate::conf::directive::{Arity, Directive};
use crate::conf::module::{Conf, Scope, inherit};
use crate::conf::slot::Text as TextSlot;
use crate::conf::tree::Word;
use crate::conf::value;
use crate::conf::walk::Levels;
use crate::http::codec::base64::{Alphabet, decode};
use crate::http::heart::module::{Compile, LocationBuilder, Module, Text};
use crate::http::heart::notes::Link;
use crate::http::heart::request::Request;
use crate::script::variable::Variable;
use crate::session::contexts::{HTTP_ANY, HTTP_LEVELS};
use crate::session::slot::Value;
use aws_lc_rs::constant_time::verify_slices_are_equal;
use md5::{Digest as _, Md5};

/// The module.
pub fn modules() -> Vec<Module> {
    vec![Module::new(MODULE).variables(VARIABLES).check(check).install(install)]
}

const MODULE: crate::conf::module::Module = crate::conf::module::Module {
    name: "ngx_http_secure_link_module",
    directives: DIRECTIVES,
    scopes: &[Scope::of::<SecureLink>(HTTP_LEVELS)],
};

const DIRECTIVES: &[Directive] = &[
    Directive::new("secure_link", HTTP_ANY, Arity::Exactly(1), &Value(|c: &mut SecureLink| &mut c.secure_link))
        .doc("Sets the checksum of a link, and behind a comma the second it ends, as base64url and a number."),
    Directive::new("secure_link_md5", HTTP_ANY, Arity::Exactly(1), &Value(|c: &mut SecureLink| &mut c.md5))
        .doc("Sets the text the checksum is of."),
    Directive::new("secure_link_secret", HTTP_ANY, Arity::Exactly(1), &TextSlot(|c: &mut SecureLink| &mut c.secret))
        .doc("Sets the secret word of links with a checksum in their paths."),
];

static VARIABLES: &[Variable<Request>] = &[
    Variable::new("secure_link", |request, _, out| put(&link(request).value, out)),
    Variable::new("secure_link_expires", |request, _, out| put(&link_so_far(request), out)),
];

fn put(value: &Option<Vec<u8>>, out: &mut Vec<u8>) -> bool {
    out.extend_from_slice(value.as_deref().unwrap_or_default());
    value.is_some()
}

/// Settings of the module.
#[derive(Default)]
struct SecureLink {
    secure_link: Option<Word>,
    md5: Option<Word>,
    secret: Option<Word>,
}

impl Conf for SecureLink {
    fn inherit(&mut self, outer: &Self) {
        if self.secret.is_none() {
            inherit!(self, outer; secure_link, md5);
        }
        if self.secure_link.is_none() && self.md5.is_none() {
            inherit!(self, outer; secret);
        }
    }
}

/// How the links of a place are checked.
enum Check {
    /// By a checksum in the path, of the rest of it and this word.
    Secret(Vec<u8>),
    /// By the text that has the checksum, and the one it is of.
    Texts(Text, Text),
}

fn check(levels: &Levels<'_>, _: &mut Compile<'_, '_>) -> Result<(), Diagnostic> {
    match levels.level.own::<SecureLink>() {
        Some(conf) if conf.secret.is_some() && (conf.secure_link.is_some() || conf.md5.is_some()) => Err(
            Diagnostic::emerg("\"secure_link_secret\" cannot be mixed with \"secure_link\" and \"secure_link_md5\""),
        ),
        _ => Ok(()),
    }
}

fn install(levels: &Levels<'_>, place: &mut LocationBuilder, cx: &mut Compile<'_, '_>) -> Result<(), Diagnostic> {
    let Some(conf) = levels.get::<SecureLink>() else { return Ok(()) };
    let check = match (&conf.secret, &conf.secure_link, &conf.md5) {
        (Some(secret), ..) => Check::Secret(secret.bytes.to_vec()),
        (None, Some(link), Some(md5)) => Check::Texts(cx.text(link)?, cx.text(md5)?),
        _ => return Ok(()),
    };
    place.attach(check);
    Ok(())
}

fn link(request: &Request) -> &Link {
    request.secure_link.get_or_init(|| {
        Box::new(match request.location.attached::<Check>() {
            None => Link::default(),
            Some(Check::Secret(secret)) => Link { value: by_secret(request.raw_uri(), secret), expires: None },
            Some(Check::Texts(link, md5)) => {
                by_texts(&link.text(request), || md5.text(request), request.event_loop().clock.now().as_secs())
            }
        })
    })
}

/// The end of a link that was checked already: nothing is known before.
fn link_so_far(request: &Request) -> Option<Vec<u8>> {
    request.secure_link.get().and_then(|link| link.expires.clone())
}

/// `/prefix/hash/link`, where the hash is of the link and the secret.
fn by_secret(uri: &[u8], secret: &[u8]) -> Option<Vec<u8>> {
    let behind = |text: &[u8]| memchr::memchr(b'/', text).map(|at| at + 1);
    let rest = uri.get(1..)?;
    let rest = rest.get(behind(rest)?..)?;
    let (hash, link) = rest.split_at_checked(behind(rest)?)?;
    let hash = hash.strip_suffix(b"/")?;
    if hash.len() != 32 || link.is_empty() {
        return None;
    }
    let digest = Md5::digest([link, secret].concat());
    let written = data_encoding::HEXLOWER_PERMISSIVE.decode(hash).ok()?;
    verify_slices_are_equal(&written, &digest).is_ok().then(|| link.to_vec())
}

/// `hash` or `hash,seconds`, where the hash is of another text.
fn by_texts(link: &[u8], text: impl FnOnce() -> Vec<u8>, now: u64) -> Link {
    let (hash, ends) = match memchr::memchr(b',', link) {
        Some(comma) => (link.get(..comma).unwrap_or_default(), link.get(comma + 1..)),
        None => (link, None),
    };
    let seconds = ends.map(|ends| value::number(ends).filter(|seconds| *seconds > 0));
    if seconds == Some(None) {
        return Link::default();
    }
    let expires = ends.map(<[u8]>::to_vec);
    let right = (hash.len() <= 24).then(|| decode(hash, Alphabet::Url)).flatten();
    if right.is_none_or(|hash| verify_slices_are_equal(&hash, &Md5::digest(text())).is_err()) {
        return Link { value: None, expires };
    }
    let over = seconds.flatten().is_some_and(|seconds| seconds < now);
    Link { value: Some(if over { b"0".to_vec() } else { b"1".to_vec() }), expires }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_with_a_secret_have_their_checksum_in_the_path() {
        // md5 of "linksecret".
        let hash: String = Md5::digest(b"linksecret").iter().map(|byte| format!("{byte:02x}")).collect();
        let of = |uri: String| by_secret(uri.as_bytes(), b"secret");
        assert_eq!(of(format!("/p/{hash}/link")).as_deref(), Some(&b"link"[..]));
        assert_eq!(of(format!("/p/{}/link", hash.to_uppercase())).as_deref(), Some(&b"link"[..]));
        assert_eq!(of(format!("/p/{hash}/Link")), None);
        assert_eq!(of(format!("/p/{hash}/")), None);
        assert_eq!(of(format!("/p/{hash}")), None);
        assert_eq!(of(format!("/{hash}/link")), None);
        assert_eq!(of("/p/zz/link".to_owned()), None);
        assert_eq!(of("/".to_owned()), None);
        assert_eq!(of(String::new()), None);
    }

    #[test]
    fn links_may_end() {
        let hash = data_encoding::BASE64URL_NOPAD.encode(&Md5::digest(b"text"));
        let of = |link: String| by_texts(link.as_bytes(), || b"text".to_vec(), 1000);
        let value = |link: String| of(link).value.map(|value| String::from_utf8_lossy(&value).into_owned());
        assert_eq!(value(hash.clone()).as_deref(), Some("1"));
        assert_eq!(value(format!("{hash}==")).as_deref(), Some("1"));
        assert_eq!(value(format!("{hash},1000")).as_deref(), Some("1"));
        assert_eq!(value(format!("{hash},999")).as_deref(), Some("0"));
        for wrong in [
            format!("{hash},"),
            format!("{hash},0"),
            format!("{hash},x"),
            format!("{hash}==="),
            "x".to_owned(),
            String::new(),
        ] {
            assert_eq!(value(wrong.clone()), None, "{wrong}");
        }
        assert_eq!(of("wrong,5".to_owned()).expires.as_deref(), Some(&b"5"[..]));
    }
}
