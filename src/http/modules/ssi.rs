//! `ngx_http_ssi_filter_module`: server side includes: commands in pages, carried out on their way to the client.
//!
//! Differs from nginx: the end of a page that could begin a command is sent; nginx leaves these bytes out. [test: the_end_of_a_page_is_sent]

mod command;
mod parser;
mod state;
mod text;

use crate::conf::diagnostic::Diagnostic;
use crate::conf::directive::{Arity, Directive};
use crate::conf::effect::Omission;
use crate::conf::module::{Conf, Merged as _, Scope, inherit};
use crate::conf::slot::{Flag, Size};
use crate::conf::walk::Levels;
use crate::http::heart::filter::{BodyFilter, Failed, Filter, Pieces, Slot, Then};
use crate::http::heart::module::{Compile, LocationBuilder, Module};
use crate::http::heart::request::Request;
use crate::log::Level;
use crate::script::variable::Variable;
use crate::session::contexts::{HTTP_ANY, HTTP_ANY_IF, HTTP_LEVELS};
use crate::session::slot::{MimeTypes, is_among};
use command::Page;
use parser::{Event, Parser};
use std::borrow::Cow;
use text::Wrong;

/// The module.
pub fn modules() -> Vec<Module> {
    vec![Module::new(MODULE).variables(VARIABLES).install(install)]
}

const MODULE: crate::conf::module::Module = crate::conf::module::Module {
    name: "ngx_http_ssi_filter_module",
    directives: DIRECTIVES,
    scopes: &[Scope::of::<Ssi>(HTTP_LEVELS)],
};

const VARIABLES: &[Variable<Request>] =
    &[Variable::new("date_local", state::date).data(1), Variable::new("date_gmt", state::date)];

const DIRECTIVES: &[Directive] = &[
    Directive::new("ssi", HTTP_ANY_IF, Arity::Flag, &Flag(|c: &mut Ssi| &mut c.ssi))
        .default("off")
        .doc("Carries out the commands in responses."),
    Directive::new("ssi_silent_errors", HTTP_ANY, Arity::Flag, &Flag(|c: &mut Ssi| &mut c.silent_errors))
        .default("off")
        .doc("Leaves out the message for commands that fail."),
    Directive::new(
        "ssi_ignore_recycled_buffers",
        HTTP_ANY,
        Arity::Flag,
        &Flag(|c: &mut Ssi| &mut c.ignore_recycled_buffers),
    )
    .default("off")
    .omitted(Omission::Tunes("only the memory of pages"))
    .doc("Does not keep buffers that are used again."),
    Directive::new("ssi_min_file_chunk", HTTP_ANY, Arity::Exactly(1), &Size(|c: &mut Ssi| &mut c.min_file_chunk))
        .default("1k")
        .omitted(Omission::Tunes("only how parts of files are read"))
        .doc("Sets the least part of a file that is sent by itself."),
    Directive::new("ssi_value_length", HTTP_ANY, Arity::Exactly(1), &Size(|c: &mut Ssi| &mut c.value_length))
        .default("256")
        .doc("Sets how long a parameter may be."),
    Directive::new("ssi_types", HTTP_ANY, Arity::AtLeast(1), &MimeTypes(|c: &mut Ssi| &mut c.types, "text/html"))
        .doc("Sets the MIME types that are looked into beside text/html."),
    Directive::new("ssi_last_modified", HTTP_ANY, Arity::Flag, &Flag(|c: &mut Ssi| &mut c.last_modified))
        .default("off")
        .since("1.5.1")
        .doc("Keeps the Last-Modified header."),
];

/// Settings of the module.
#[derive(Default)]
struct Ssi {
    ssi: Option<bool>,
    silent_errors: Option<bool>,
    ignore_recycled_buffers: Option<bool>,
    min_file_chunk: Option<u64>,
    value_length: Option<u64>,
    types: Vec<Box<[u8]>>,
    last_modified: Option<bool>,
}

impl Conf for Ssi {
    fn inherit(&mut self, outer: &Self) {
        inherit!(self, outer; list types; ssi, silent_errors, ignore_recycled_buffers, min_file_chunk, value_length, last_modified);
    }
}

fn install(levels: &Levels<'_>, place: &mut LocationBuilder, _: &mut Compile<'_, '_>) -> Result<(), Diagnostic> {
    let Some(conf) = levels.get::<Ssi>().filter(|conf| conf.ssi == Some(true)) else { return Ok(()) };
    place.filter(Reader {
        types: conf.types.clone(),
        silent_errors: conf.silent_errors.merged()?,
        value_length: conf.value_length.merged()? as usize,
        last_modified: conf.last_modified.merged()?,
    });
    Ok(())
}

/// `ssi on` at a place.
struct Reader {
    types: Vec<Box<[u8]>>,
    silent_errors: bool,
    value_length: usize,
    last_modified: bool,
}

impl Filter for Reader {
    fn slot(&self) -> Slot {
        Slot::Ssi
    }

    fn head(&self, request: &mut Request) -> Option<Box<dyn BodyFilter>> {
        let response = &mut request.response;
        if response.length == Some(0) || !is_among(&self.types, "text/html", &response.content_type) {
            return None;
        }
        if !request.is_subrequest() {
            let response = &mut request.response;
            response.change_body();
            if self.last_modified {
                response.weaken_etag();
            } else {
                response.clear_last_modified();
                response.clear_etag();
            }
        }
        request.includes.times = None;
        let (parser, page) = (Parser::new(self.value_length), Page::default());
        Some(Box::new(Reading { parser, page, silent_errors: self.silent_errors, held: Vec::new(), waits: false }))
    }
}

/// A page whose commands are carried out.
struct Reading {
    parser: Parser,
    page: Page,
    silent_errors: bool,
    /// What follows a command that is waited for.
    held: Vec<u8>,
    waits: bool,
}

impl BodyFilter for Reading {
    fn body(&mut self, request: &mut Request, bytes: &[u8], then: Then, out: &mut Pieces<'_>) -> Result<(), Failed> {
        let held = std::mem::take(&mut self.held);
        let input: Cow<'_, [u8]> = if held.is_empty() { bytes.into() } else { [&held, bytes].concat().into() };
        self.waits = false;
        let mut rest = &*input;
        loop {
            let mut plain = Vec::new();
            let (read, event) = self.parser.run(rest, &mut plain);
            rest = rest.get(read..).unwrap_or_default();
            self.page.put(request, plain, out);
            for complaint in self.parser.complaints.drain(..) {
                request.log(Level::Error, &complaint);
            }
            let outcome = match event {
                Event::More => break,
                Event::Malformed => Err(Wrong),
                Event::Command => self.page.run(request, &mut self.parser, out),
            };
            match outcome {
                Ok(false) => {}
                Ok(true) => {
                    self.held = rest.to_vec();
                    self.waits = true;
                    return Ok(());
                }
                Err(Wrong) if self.silent_errors => {}
                Err(Wrong) => out.bytes().extend_from_slice(self.page.error_message()),
            }
        }
        if then == Then::Last {
            self.page.put(request, self.parser.held().to_vec(), out);
        }
        Ok(())
    }

    fn holds(&self) -> bool {
        self.waits
    }
}
