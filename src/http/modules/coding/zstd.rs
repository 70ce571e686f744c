//! `ngx_http_zstd_filter_module`, a third party's module: responses compressed with zstd (RFC 8878).
//!
//! Differs from nginx: the module takes `zstd;q=0` for a yes, and finds `zstd` only where the header's first mention of it is a coding; here the header is read as for brotli. [test: codings_are_chosen_by_accept_encoding]

use crate::conf::diagnostic::Diagnostic;
use crate::conf::directive::{Arity, Directive, Support};
use crate::conf::module::{Conf, Merged as _, Scope, inherit};
use crate::conf::slot::{Buffers, Custom, Flag, Size};
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
use ::zstd::stream::raw::{InBuffer, Operation as _, OutBuffer};
use std::io::{self, Write as _};

/// The module.
pub fn modules() -> Vec<Module> {
    vec![Module::new(MODULE).variables(VARIABLES).install(install)]
}

const MODULE: crate::conf::module::Module = crate::conf::module::Module {
    name: "ngx_http_zstd_filter_module",
    directives: DIRECTIVES,
    scopes: &[Scope::of::<Zstd>(HTTP_LEVELS)],
};

const VARIABLES: &[Variable<Request>] = &[Variable::new("zstd_ratio", zstd_ratio)];

const DIRECTIVES: &[Directive] = &[
    Directive::new("zstd", HTTP_ANY_IF, Arity::Flag, &Flag(|c: &mut Zstd| &mut c.zstd)).default("off").doc(
        "Compresses responses with zstd, for clients that take it; brotli and gzip are then not used. \
         \"zstd_dict_file\" is not known.",
    ),
    Directive::new("zstd_comp_level", HTTP_ANY, Arity::Exactly(1), &Custom(zstd_comp_level))
        .default("1")
        .doc("Sets how hard to compress."),
    Directive::new("zstd_types", HTTP_ANY, Arity::AtLeast(1), &MimeTypes(|c: &mut Zstd| &mut c.types, "text/html"))
        .doc("Sets the MIME types that are compressed beside text/html; an asterisk stands for any."),
    Directive::new("zstd_buffers", HTTP_ANY, Arity::Exactly(2), &Buffers(|c: &mut Zstd| &mut c.buffers))
        .support(Support::Inert("what is compressed is in the buffers of the response"))
        .doc("Has no effect: what is compressed is in the buffers of the response."),
    Directive::new("zstd_min_length", HTTP_ANY, Arity::AtLeast(1), &Size(|c: &mut Zstd| &mut c.min_length))
        .default("20")
        .doc("Sets the least length of a response that is compressed."),
];

/// Settings of the module.
#[derive(Default)]
struct Zstd {
    zstd: Option<bool>,
    buffers: Option<(u64, u64)>,
    types: Vec<Box<[u8]>>,
    comp_level: Option<i32>,
    min_length: Option<u64>,
}

impl Conf for Zstd {
    fn inherit(&mut self, outer: &Self) {
        inherit!(self, outer; list types; zstd, buffers, comp_level, min_length);
    }
}

fn zstd_comp_level(cx: &mut Setting<'_>, conf: &mut Zstd, statement: &Statement) -> Result<(), Diagnostic> {
    free(cx, &conf.comp_level)?;
    let Some(word) = statement.arguments().first() else { return Ok(()) };
    let (digits, sign) = word.bytes.strip_prefix(b"-").map_or((&*word.bytes, 1), |digits| (digits, -1));
    let number = value::number(digits).and_then(|number| i64::try_from(number).ok());
    let number = number.ok_or_else(|| cx.complain("invalid number"))? * sign;
    let range = ::zstd::compression_level_range();
    match i32::try_from(number).ok().filter(|level| *level != 0 && range.contains(level)) {
        Some(level) => conf.comp_level = Some(level),
        None => {
            let (least, most) = (range.start(), range.end());
            let text = format!("zstd compress level must between {least} and {most} excluding 0");
            return Err(Diagnostic::emerg(text).point(word.span));
        }
    }
    Ok(())
}

fn install(levels: &Levels<'_>, place: &mut LocationBuilder, cx: &mut Compile<'_, '_>) -> Result<(), Diagnostic> {
    let Some(conf) = levels.get::<Zstd>().filter(|conf| conf.zstd == Some(true)) else { return Ok(()) };
    let level = conf.comp_level.merged()?;
    place.filter(Encoder {
        coding: Coding::Zstd,
        types: conf.types.clone(),
        min_length: conf.min_length.merged()?,
        clients: gzip::clients(levels, cx)?,
        make: Box::new(move |_| Ok(Box::new(Stream(::zstd::stream::raw::Encoder::new(level)?)))),
    });
    Ok(())
}

/// A frame that has not ended.
struct Stream(::zstd::stream::raw::Encoder<'static>);

/// Bytes of output that are made room for at a time.
const PIECE: usize = 4096;

impl Encode for Stream {
    fn encode(&mut self, bytes: &[u8], then: Then, out: &mut Vec<u8>) -> io::Result<()> {
        let mut input = InBuffer::around(bytes);
        while input.pos() < bytes.len() {
            self.step(out, |encoder, room| encoder.run(&mut input, room))?;
        }
        loop {
            let left = match then {
                Then::More => 0,
                Then::Flush => self.step(out, |encoder, room| encoder.flush(room))?,
                Then::Last => self.step(out, |encoder, room| encoder.finish(room, true))?,
            };
            if left == 0 {
                return Ok(());
            }
        }
    }
}

impl Stream {
    /// One call of the library, with room behind `out`.
    fn step(
        &mut self,
        out: &mut Vec<u8>,
        call: impl FnOnce(&mut ::zstd::stream::raw::Encoder<'static>, &mut OutBuffer<'_, Vec<u8>>) -> io::Result<usize>,
    ) -> io::Result<usize> {
        out.reserve(PIECE);
        let begun = out.len();
        call(&mut self.0, &mut OutBuffer::around_pos(out, begun))
    }
}

/// How many times larger the response was, with three digits.
fn zstd_ratio(request: &Request, _: u32, out: &mut Vec<u8>) -> bool {
    let Some((before, after)) = coding::ratio(request, Coding::Zstd) else { return false };
    write!(out, "{}.{:03}", before / after, before * 1000 / after % 1000).is_ok()
}
