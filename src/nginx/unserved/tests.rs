use super::*;
use crate::conf::source::Memory;
use crate::nginx::generation::{Generation, Inputs, Reading, compile};
use crate::session::build::Anywhere;
use std::sync::Arc;

fn read(text: &str) -> (Vec<Unserved>, Generation) {
    let mut memory = Memory::default();
    memory.texts.insert("/c/nginx.conf".to_owned(), format!("events {{ }}\n{text}").into_bytes());
    memory.texts.insert("/c/x.xsl".to_owned(), b"<x/>".to_vec());
    let inputs = Inputs { prefix: "/p/".to_owned(), conf: "/c/nginx.conf".to_owned(), ..Inputs::default() };
    let Reading { unserved, outcome, .. } = compile(&inputs, &memory, &Anywhere { elsewhere: false }, &Arc::default());
    (unserved, outcome.map_err(|(complaint, _)| complaint.message).expect(text))
}

/// What refuses a start, by name.
fn refused(text: &str) -> Vec<String> {
    read(text).0.into_iter().filter(Unserved::refuses).map(|one| one.what).collect()
}

fn http(text: &str) -> String {
    format!("http {{ {text} }}")
}

#[test]
fn what_asks_for_nothing_refuses_nothing() {
    for text in [
        "gzip off; server { }",
        "ssi off; autoindex off; proxy_cache off; disable_symlinks off; server { }",
        "server { location / { ssi OFF; dav_methods off; msie_refresh off; slice 0; } }",
        "aio threads; directio 4m; open_file_cache max=10; output_buffers 1 32k; server { }",
        "server { add_before_body \"\"; }",
    ] {
        assert_eq!(refused(&http(text)), [""; 0], "{text}");
    }
    for text in ["worker_cpu_affinity auto;", "thread_pool a threads=4;", "worker_rlimit_core 10m;", "mail { }"] {
        assert_eq!(refused(text), [""; 0], "{text}");
    }
}

#[test]
fn what_nobody_uses_refuses_nothing() {
    let here = |user: &str| http(&format!("perl_modules x; server {{ location / {{ {user} }} }}"));
    assert_eq!(refused(&here("")), [""; 0]);
    assert!(refused(&here("perl a::b;")).contains(&"\"perl_modules\"".to_owned()));
    let tls = "ssl_protocols TLSv1.2; ssl_session_cache shared:a:1m; server { listen 81; }";
    assert_eq!(refused(&http(tls)), [""; 0]);
    let stream = "stream { proxy_ssl_verify_depth 3; ssl_preread on; server { listen 81; proxy_pass 127.0.0.1:1; } }";
    assert_eq!(refused(stream), [""; 0]);
}

/// The flags among them, where `USER` is a location that needs them.
fn refused_flags(text: &str) -> Vec<String> {
    let text = http(text).replace("USER", "location /x/ { xslt_stylesheet x.xsl; }");
    refused(&text).into_iter().filter(|what| what == "\"xslt_last_modified\"").collect()
}

#[test]
fn a_value_counts_where_a_block_receives_it() {
    let twice = "xslt_last_modified on; server { xslt_last_modified on; USER } server { USER xslt_last_modified on; }";
    assert_eq!(refused_flags(twice).len(), 2, "what every server gives anew has no effect itself");
    let off = "server { xslt_last_modified off; USER }";
    assert_eq!(refused_flags(&format!("xslt_last_modified on; {off} {off}")), [""; 0]);
    assert_eq!(refused_flags(&format!("xslt_last_modified on; {off} server {{ USER }}")).len(), 1);
    assert_eq!(refused_flags("xslt_last_modified on;"), [""; 0], "there is no server");
    assert_eq!(refused_flags("server { xslt_last_modified on; location / { } }"), [""; 0], "nobody needs it");
    assert_eq!(refused_flags("server { location / { xslt_last_modified on; xslt_stylesheet x.xsl; } }").len(), 1);
}

#[test]
fn what_is_refused_for_good_says_what_to_use_instead() {
    let (unserved, _) = read(&http("server { location / { perl a::b; } }"));
    let helps: Vec<_> = unserved.iter().filter_map(|one| one.complaint.help.as_deref()).collect();
    assert!(matches!(helps[..], [help] if help.contains("proxy_pass")), "{helps:?}");
}

#[test]
fn refusals_are_counted() {
    let (unserved, _) = read(&http("server { location / { perl a::b; } location /a { perl a::c; } }"));
    let judged = Judged::new(&unserved, false);
    let end = "will not start: 2 directives are not served; --allow-unserved leaves them out";
    assert_eq!(judged.summary("/f"), Some(format!("configuration file /f {end}")));
    let allowed = Judged::new(&unserved, true);
    assert_eq!((allowed.summary("/f"), allowed.warnings.len()), (None, 2));
}

#[test]
fn what_must_not_be_open_is_not_opened() {
    let (_, made) = read(&http("server { listen 1; ssl off; } server { listen 2; }"));
    assert_eq!(made.sockets.len(), 2);
}

#[test]
fn every_row_says_what_its_need_lacks() {
    let known: Vec<&str> = crate::nginx::modules::modules()
        .iter()
        .flat_map(|module| module.directives)
        .filter(|row| !row.support.is_served() || ["listen", "proxy_pass"].contains(&row.name))
        .map(|row| row.name)
        .collect();
    for row in crate::nginx::modules::modules().iter().flat_map(|module| module.directives) {
        if let crate::conf::effect::Need::Rows(names) | crate::conf::effect::Need::AnyOf(names, _) = row.need {
            let unknown: Vec<_> = names.iter().filter(|name| !known.contains(name)).collect();
            assert!(unknown.is_empty(), "{}: {unknown:?}", row.name);
        }
    }
}
