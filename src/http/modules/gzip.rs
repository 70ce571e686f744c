//! `ngx_http_gzip_filter_module`, with the rows of the core that only it reads: responses compressed on their way out.
//! Checked, not served yet.

use crate::conf::diagnostic::Diagnostic;
use crate::conf::directive::{Arity, Directive};
use crate::conf::effect::Omission;
use crate::conf::module::{Conf, Scope, inherit};
use crate::conf::slot::{Buffers, Choice, Custom, Flag, Mask, Number, Size};
use crate::conf::tree::Statement;
use crate::conf::value;
use crate::conf::walk::Setting;
use crate::http::module::Module;
use crate::script::regex::Expression;
use crate::session::contexts::{HTTP_ANY, HTTP_ANY_IF, HTTP_LEVELS};
use crate::session::slot::{MimeTypes, free};

/// The module.
pub fn modules() -> Vec<Module> {
    vec![Module::new(MODULE)]
}

const MODULE: crate::conf::module::Module = crate::conf::module::Module {
    name: "ngx_http_gzip_filter_module",
    directives: DIRECTIVES,
    scopes: &[Scope::of::<Gzip>(HTTP_LEVELS)],
};

/// What sets how responses are compressed.
const UNCOMPRESSED: Omission = Omission::Tunes("responses are not compressed");

const DIRECTIVES: &[Directive] = &[
    Directive::checked("gzip", HTTP_ANY_IF, Arity::Flag, &Flag(|c: &mut Gzip| &mut c.gzip))
        .default("off")
        .omitted(Omission::Transparent("responses are not compressed"))
        .doc("Compresses responses."),
    Directive::checked("gzip_buffers", HTTP_ANY, Arity::Exactly(2), &Buffers(|c: &mut Gzip| &mut c.buffers))
        .default("32 4k")
        .omitted(UNCOMPRESSED)
        .doc("Sets the number and size of buffers for compressing."),
    Directive::checked("gzip_types", HTTP_ANY, Arity::AtLeast(1), &MimeTypes(|c: &mut Gzip| &mut c.types, "text/html"))
        .omitted(UNCOMPRESSED)
        .doc("Sets the MIME types that are compressed beside text/html; an asterisk stands for any."),
    Directive::checked(
        "gzip_comp_level",
        HTTP_ANY,
        Arity::Exactly(1),
        &Number(|c: &mut Gzip| &mut c.comp_level, 1..=9),
    )
    .default("1")
    .omitted(UNCOMPRESSED)
    .doc("Sets how hard to compress."),
    Directive::checked("gzip_window", HTTP_ANY, Arity::Exactly(1), &Custom(gzip_window))
        .omitted(UNCOMPRESSED)
        .doc("Sets the window of the compression."),
    Directive::checked("gzip_hash", HTTP_ANY, Arity::Exactly(1), &Custom(gzip_hash))
        .omitted(UNCOMPRESSED)
        .doc("Sets the memory of the compression."),
    Directive::checked(
        "postpone_gzipping",
        HTTP_ANY,
        Arity::Exactly(1),
        &Size(|c: &mut Gzip| &mut c.postpone_gzipping),
    )
    .default("0")
    .omitted(UNCOMPRESSED)
    .doc("Holds the compression back until there are so many bytes."),
    Directive::checked("gzip_no_buffer", HTTP_ANY, Arity::Flag, &Flag(|c: &mut Gzip| &mut c.no_buffer))
        .default("off")
        .omitted(UNCOMPRESSED)
        .doc("Passes on what is compressed at once."),
    Directive::checked("gzip_min_length", HTTP_ANY, Arity::Exactly(1), &Size(|c: &mut Gzip| &mut c.min_length))
        .default("20")
        .omitted(UNCOMPRESSED)
        .doc("Sets the least length of a response that is compressed."),
    Directive::checked("gzip_vary", HTTP_ANY, Arity::Flag, &Flag(|c: &mut Gzip| &mut c.vary))
        .default("off")
        .omitted(UNCOMPRESSED)
        .doc("Adds a Vary header to responses that could be compressed."),
    Directive::checked(
        "gzip_http_version",
        HTTP_ANY,
        Arity::Exactly(1),
        &Choice(|c: &mut Gzip| &mut c.http_version, VERSIONS),
    )
    .default("1.1")
    .omitted(UNCOMPRESSED)
    .doc("Sets the least HTTP version of requests whose responses are compressed."),
    Directive::checked("gzip_proxied", HTTP_ANY, Arity::AtLeast(1), &Mask(|c: &mut Gzip| &mut c.proxied, PROXIED))
        .default("off")
        .omitted(UNCOMPRESSED)
        .doc("Sets which responses to requests from proxies are compressed."),
    Directive::checked("gzip_disable", HTTP_ANY, Arity::AtLeast(1), &Custom(gzip_disable))
        .omitted(UNCOMPRESSED)
        .doc("Compresses nothing for browsers whose names match."),
];

const VERSIONS: &[(&str, u8)] = &[("1.0", 10), ("1.1", 11)];
const PROXIED: &[(&str, u32)] = &[
    ("off", 1),
    ("expired", 1 << 1),
    ("no-cache", 1 << 2),
    ("no-store", 1 << 3),
    ("private", 1 << 4),
    ("no_last_modified", 1 << 5),
    ("no_etag", 1 << 6),
    ("auth", 1 << 7),
    ("any", 1 << 8),
];

/// Settings of the module.
#[derive(Default)]
struct Gzip {
    gzip: Option<bool>,
    buffers: Option<(u64, u64)>,
    types: Vec<Box<[u8]>>,
    comp_level: Option<u64>,
    postpone_gzipping: Option<u64>,
    no_buffer: Option<bool>,
    min_length: Option<u64>,
    vary: Option<bool>,
    http_version: Option<u8>,
    proxied: Option<u32>,
    window: Option<u64>,
    hash: Option<u64>,
    disabled: Vec<String>,
}

impl Conf for Gzip {
    fn inherit(&mut self, outer: &Self) {
        inherit!(self, outer; list types; gzip, buffers, comp_level, postpone_gzipping, no_buffer, min_length, vary, http_version, proxied);
        inherit!(self, outer; list disabled; window, hash);
    }
}

/// A size that is a power of two between 512 and `most`.
fn power(cx: &Setting<'_>, statement: &Statement, most: u64, words: &str) -> Result<u64, Diagnostic> {
    let size = statement.arguments().first().and_then(|word| value::size(&word.bytes, false));
    let size = size.ok_or_else(|| cx.complain("invalid value"))?;
    if size.is_power_of_two() && (512..=most).contains(&size) { Ok(size) } else { Err(cx.complain(words)) }
}

fn gzip_window(cx: &mut Setting<'_>, conf: &mut Gzip, statement: &Statement) -> Result<(), Diagnostic> {
    free(cx, &conf.window)?;
    conf.window = Some(power(cx, statement, 32 << 10, "must be 512, 1k, 2k, 4k, 8k, 16k, or 32k")?);
    Ok(())
}

fn gzip_hash(cx: &mut Setting<'_>, conf: &mut Gzip, statement: &Statement) -> Result<(), Diagnostic> {
    free(cx, &conf.hash)?;
    conf.hash = Some(power(cx, statement, 128 << 10, "must be 512, 1k, 2k, 4k, 8k, 16k, 32k, 64k, or 128k")?);
    Ok(())
}

fn gzip_disable(_: &mut Setting<'_>, conf: &mut Gzip, statement: &Statement) -> Result<(), Diagnostic> {
    for word in statement.arguments() {
        if !word.is("msie6") {
            Expression::compile(&word.text(), true).map_err(|text| Diagnostic::emerg(text).point(word.span))?;
        }
        conf.disabled.push(word.text().into_owned());
    }
    Ok(())
}
