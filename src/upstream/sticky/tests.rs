use super::*;
use crate::conf::lex;
use crate::conf::registry::Registry;
use crate::conf::source::{Memory, Sources};
use crate::conf::walk::{Bases, Dialect, Walk, Walked};
use crate::session::contexts::HTTP;
use crate::upstream::directives::HTTP_MODULES;
use crate::upstream::directives::testing::Plain;

fn read(row: &str) -> Walked {
    let registry = Registry::new(HTTP_MODULES);
    let text = format!("upstream u {{ server 127.0.0.1; {row} }}");
    let loader = Memory::of("/c", &text);
    let mut sources = Sources::default();
    let dialect = Dialect { lex: lex::nginx::file, stop: true, every: false, wording: &Plain };
    let mut walk = Walk::new(&registry, dialect, (&loader, &mut sources), Bases::default(), HTTP);
    let fatal = walk.file("/c").err();
    walk.finish(fatal)
}

#[test]
fn bad_rows_get_nginxs_words() {
    let cases = [
        ("sticky cookie \"\";", "\"sticky\" directive empty cookie name"),
        ("sticky cookie a b;", "unknown parameter \"b\""),
        ("sticky cookie a domain=;", "\"sticky\" directive no value for \"domain\""),
        ("sticky cookie a path=;", "\"sticky\" directive no value for \"path\""),
        ("sticky cookie a path=/ path=/;", "\"sticky\" directive parameter \"path\" is duplicate"),
        ("sticky cookie a expires=x;", "\"sticky\" directive invalid \"expires\" parameter value"),
        ("sticky cookie a secure secure;", "\"sticky\" directive parameter \"secure\" is duplicate"),
        ("sticky cookie a samesite=x;", "\"sticky\" directive invalid \"samesite\" parameter value"),
        ("sticky cookie a; sticky cookie b;", "\"sticky\" directive is duplicate"),
        ("sticky route a;", "invalid variable name \"a\""),
        ("sticky other a;", "unknown parameter \"other\""),
        ("server 127.0.0.2 route=;", "route is empty"),
        ("server 127.0.0.2 route=123456789012345678901234567890123;", "route is longer than 32"),
    ];
    for (row, expected) in cases {
        assert_eq!(read(row).fatal.map(|complaint| complaint.message).as_deref(), Some(expected), "{row}");
    }
}

#[test]
fn good_rows_are_kept_and_learn_is_not_served() {
    let walked = read(
        "sticky cookie a expires=1h domain=.x path=/ httponly secure samesite=Lax; server 127.0.0.2 drain route=b;",
    );
    let conf = walked.level.children[0].own::<Upstream>().expect("settings");
    let Some(StickyText::Cookie(cookie)) = &conf.sticky else { panic!("no cookie") };
    assert_eq!((cookie.expires, cookie.httponly, cookie.secure), (Some(Expires::After(3600)), true, true));
    let server = &conf.servers[1];
    assert_eq!((server.drain, server.route.as_deref()), (true, Some("b")));
    let walked = read("sticky learn create=$a lookup=$b zone=z:1m;");
    assert_eq!(walked.unserved.len(), 1);
}
