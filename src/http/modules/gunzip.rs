//! `ngx_http_gunzip_filter_module`: compressed responses for clients that cannot read them.

use crate::conf::diagnostic::Diagnostic;
use crate::conf::directive::{Arity, Directive};
use crate::conf::effect::Omission;
use crate::conf::module::{Conf, Scope, inherit};
use crate::conf::slot::{Buffers, Flag};
use crate::conf::walk::Levels;
use crate::http::heart::filter::{BodyFilter, Failed, Filter, Pieces, Slot, Then};
use crate::http::heart::module::{Compile, LocationBuilder, Module};
use crate::http::heart::request::Request;
use crate::http::modules::gzip;
use crate::http::modules::gzip::Clients;
use crate::log::Level;
use crate::session::contexts::{HTTP_ANY, HTTP_LEVELS};
use crate::sys::zlib::{Inflate, ZlibError};
use std::borrow::Cow;
use std::sync::Arc;

/// The module.
pub fn modules() -> Vec<Module> {
    vec![Module::new(MODULE).install(install)]
}

const MODULE: crate::conf::module::Module = crate::conf::module::Module {
    name: "ngx_http_gunzip_filter_module",
    directives: DIRECTIVES,
    scopes: &[Scope::of::<Gunzip>(HTTP_LEVELS)],
};

const DIRECTIVES: &[Directive] = &[
    Directive::new("gunzip", HTTP_ANY, Arity::Flag, &Flag(|c: &mut Gunzip| &mut c.gunzip))
        .default("off")
        .since("1.3.6")
        .doc("Decompresses responses for clients that do not take compressed ones."),
    Directive::checked("gunzip_buffers", HTTP_ANY, Arity::Exactly(2), &Buffers(|c: &mut Gunzip| &mut c.gunzip_buffers))
        .default("32 4k")
        .since("1.3.6")
        .omitted(Omission::Tunes("only the memory of gunzip"))
        .doc("Sets the number and size of buffers for decompressing."),
];

/// Settings of the module.
#[derive(Default)]
struct Gunzip {
    gunzip: Option<bool>,
    gunzip_buffers: Option<(u64, u64)>,
}

impl Conf for Gunzip {
    fn inherit(&mut self, outer: &Self) {
        inherit!(self, outer; gunzip, gunzip_buffers);
    }
}

fn install(levels: &Levels<'_>, place: &mut LocationBuilder, cx: &mut Compile<'_, '_>) -> Result<(), Diagnostic> {
    if levels.get::<Gunzip>().is_some_and(|conf| conf.gunzip == Some(true)) {
        place.filter(Decompressor(gzip::clients(levels, cx)?));
    }
    Ok(())
}

/// `gunzip on` at a place.
struct Decompressor(Arc<Clients>);

impl Filter for Decompressor {
    fn slot(&self) -> Slot {
        Slot::Gunzip
    }

    fn head(&self, request: &mut Request) -> Option<Box<dyn BodyFilter>> {
        let coding = request.response.header(b"Content-Encoding")?;
        if !coding.eq_ignore_ascii_case(b"gzip") {
            return None;
        }
        request.response.vary |= self.0.vary;
        if self.0.suit(request) {
            return None;
        }
        let response = &mut request.response;
        response.headers.remove(b"Content-Encoding");
        response.change_body();
        response.weaken_etag();
        Some(Box::new(Decompressed { inflate: None, held: Vec::new(), more: false }))
    }
}

/// Bytes that are decompressed before they are sent.
const PIECE: usize = 64 * 1024;

/// A response on its way through the decompression.
struct Decompressed {
    /// None before its first bytes.
    inflate: Option<Inflate>,
    /// What is to be decompressed when what there is has been sent.
    held: Vec<u8>,
    /// Whether there is more, of those bytes or of what zlib has read already.
    more: bool,
}

impl BodyFilter for Decompressed {
    fn body(&mut self, request: &mut Request, bytes: &[u8], then: Then, out: &mut Pieces<'_>) -> Result<(), Failed> {
        let inflate = match &mut self.inflate {
            Some(inflate) => inflate,
            none => match Inflate::new() {
                Ok(inflate) => none.insert(inflate),
                Err(ZlibError(code)) => {
                    request.log_filter(Level::Alert, &format!("inflateInit2() failed: {code}"));
                    return Err(Failed);
                }
            },
        };
        // zlib's names of how to go on: 0 (not to flush), 2 (to flush), 4 (to finish).
        let how = match then {
            Then::More => 0,
            Then::Flush => 2,
            Then::Last => 4,
        };
        let held = std::mem::take(&mut self.held);
        let input: Cow<'_, [u8]> = if held.is_empty() { bytes.into() } else { [&held, bytes].concat().into() };
        let out = out.bytes();
        match inflate.run(&input, PIECE, out) {
            Ok(read) => self.held = input.get(read..).unwrap_or_default().to_vec(),
            Err(ZlibError(code)) => {
                request.log_filter(Level::Error, &format!("inflate() failed: {how}, {code}"));
                return Err(Failed);
            }
        }
        self.more = !self.held.is_empty() || out.len() >= PIECE && !inflate.is_ended();
        if then == Then::Last && !self.more && !inflate.is_ended() {
            request.log_filter(Level::Error, "inflate() returned -5 on response end");
            return Err(Failed);
        }
        Ok(())
    }

    fn holds(&self) -> bool {
        self.more
    }
}

#[cfg(test)]
mod tests;
