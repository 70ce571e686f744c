//! `ngx_http_brotli_filter_module`, a third party's module: responses compressed with brotli (RFC 7932).

use crate::conf::diagnostic::Diagnostic;
use crate::conf::directive::{Arity, Directive, Support};
use crate::conf::module::{Conf, Merged as _, Scope, inherit};
use crate::conf::slot::{Buffers, Custom, Flag, Number, Size};
use crate::conf::tree::Statement;
use crate::conf::value;
use crate::conf::walk::{Levels, Setting};
use crate::http::heart::filter::Then;
use crate::http::heart::module::{Compile, LocationBuilder, Module};
use crate::http::heart::request::Request;
use crate::http::heart::response::Coding;
use crate::http::modules::coding::{self, Encode, Encoder};
use crate::http::modules::gzip;
use crate::script::variable::Variable;
use crate::session::contexts::{HTTP_ANY, HTTP_ANY_IF, HTTP_LEVELS};
use crate::session::slot::{MimeTypes, free};
use ::brotli::CompressorWriter;
use std::io::{self, Write as _};

/// The module.
pub fn modules() -> Vec<Module> {
    vec![Module::new(MODULE).variables(VARIABLES).install(install)]
}

const MODULE: crate::conf::module::Module = crate::conf::module::Module {
    name: "ngx_http_brotli_filter_module",
    directives: DIRECTIVES,
    scopes: &[Scope::of::<Brotli>(HTTP_LEVELS)],
};

const VARIABLES: &[Variable<Request>] = &[Variable::new("brotli_ratio", brotli_ratio)];

const DIRECTIVES: &[Directive] = &[
    Directive::new("brotli", HTTP_ANY_IF, Arity::Flag, &Flag(|c: &mut Brotli| &mut c.brotli))
        .default("off")
        .doc("Compresses responses with brotli, for clients that take it; gzip is then not used."),
    Directive::new("brotli_buffers", HTTP_ANY, Arity::Exactly(2), &Buffers(|c: &mut Brotli| &mut c.buffers))
        .support(Support::Inert("the module does not use it either"))
        .doc("Has no effect."),
    Directive::new("brotli_types", HTTP_ANY, Arity::AtLeast(1), &MimeTypes(|c: &mut Brotli| &mut c.types, "text/html"))
        .doc("Sets the MIME types that are compressed beside text/html; an asterisk stands for any."),
    Directive::new(
        "brotli_comp_level",
        HTTP_ANY,
        Arity::Exactly(1),
        &Number(|c: &mut Brotli| &mut c.comp_level, 0..=11),
    )
    .default("6")
    .doc("Sets how hard to compress."),
    Directive::new("brotli_window", HTTP_ANY, Arity::Exactly(1), &Custom(brotli_window))
        .default("512k")
        .doc("Sets the window of the compression."),
    Directive::new("brotli_min_length", HTTP_ANY, Arity::Exactly(1), &Size(|c: &mut Brotli| &mut c.min_length))
        .default("20")
        .doc("Sets the least length of a response that is compressed."),
];

/// The bits of the smallest and the largest window.
const WINDOWS: std::ops::RangeInclusive<u32> = 10..=24;

/// Settings of the module.
#[derive(Default)]
struct Brotli {
    brotli: Option<bool>,
    buffers: Option<(u64, u64)>,
    types: Vec<Box<[u8]>>,
    comp_level: Option<u64>,
    /// In bits.
    window: Option<u32>,
    min_length: Option<u64>,
}

impl Conf for Brotli {
    fn inherit(&mut self, outer: &Self) {
        inherit!(self, outer; list types; brotli, buffers, comp_level, window, min_length);
    }
}

fn brotli_window(cx: &mut Setting<'_>, conf: &mut Brotli, statement: &Statement) -> Result<(), Diagnostic> {
    free(cx, &conf.window)?;
    let size = statement.arguments().first().and_then(|word| value::size(&word.bytes, false));
    let size = size.ok_or_else(|| cx.complain("invalid value"))?;
    let bits = size.checked_ilog2().filter(|bits| size.is_power_of_two() && WINDOWS.contains(bits));
    let words = "must be 1k, 2k, 4k, 8k, 16k, 32k, 64k, 128k, 256k, 512k, 1m, 2m, 4m, 8m or 16m";
    conf.window = Some(bits.ok_or_else(|| cx.complain(words))?);
    Ok(())
}

fn install(levels: &Levels<'_>, place: &mut LocationBuilder, cx: &mut Compile<'_, '_>) -> Result<(), Diagnostic> {
    let Some(conf) = levels.get::<Brotli>().filter(|conf| conf.brotli == Some(true)) else { return Ok(()) };
    let level = u32::try_from(conf.comp_level.merged()?).unwrap_or(6);
    let most = conf.window.merged()?;
    place.filter(Encoder {
        coding: Coding::Brotli,
        types: conf.types.clone(),
        min_length: conf.min_length.merged()?,
        clients: gzip::clients(levels, cx)?,
        make: Box::new(move |length| {
            let stream = CompressorWriter::new(Vec::new(), 4096, level, window(most, length));
            Ok(Box::new(Stream(Some(stream))))
        }),
    });
    Ok(())
}

/// The bits of the window for a response: fewer where its length is known and needs no more.
fn window(most: u32, length: Option<u64>) -> u32 {
    let enough = length.filter(|length| *length > 0).map_or(most, |length| length.next_power_of_two().ilog2());
    enough.clamp(*WINDOWS.start(), most)
}

/// A stream that has not ended.
struct Stream(Option<CompressorWriter<Vec<u8>>>);

impl Encode for Stream {
    fn encode(&mut self, bytes: &[u8], then: Then, out: &mut Vec<u8>) -> io::Result<()> {
        let Some(stream) = &mut self.0 else { return Ok(()) };
        stream.write_all(bytes)?;
        match then {
            Then::More => {}
            Then::Flush => stream.flush()?,
            Then::Last => {
                if let Some(stream) = self.0.take() {
                    out.extend_from_slice(&stream.into_inner());
                }
                return Ok(());
            }
        }
        out.append(stream.get_mut());
        Ok(())
    }
}

/// How many times larger the response was, with two digits.
fn brotli_ratio(request: &Request, _: u32, out: &mut Vec<u8>) -> bool {
    coding::ratio(request, Coding::Brotli).is_some_and(|ratio| coding::write_hundredths(ratio, out))
}

#[cfg(test)]
mod tests {
    use super::window;

    #[test]
    fn the_window_is_no_larger_than_a_response_needs() {
        for (most, length, bits) in
            [(19, None, 19), (19, Some(0), 19), (19, Some(1), 10), (19, Some(1024), 10), (19, Some(1025), 11)]
        {
            assert_eq!(window(most, length), bits, "{length:?}");
        }
        assert_eq!((window(19, Some(1 << 40)), window(10, Some(5000))), (19, 10));
    }
}
