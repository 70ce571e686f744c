//! `ngx_http_mp4_module`: MP4 videos from a given second on.

use crate::conf::bytes;
use crate::conf::diagnostic::Diagnostic;
use crate::conf::directive::{Arity, Directive};
use crate::conf::module::{Conf, Merged as _, Scope, inherit};
use crate::conf::slot::{Custom, Flag, Size};
use crate::conf::tree::Statement;
use crate::conf::walk::{Levels, Setting};
use crate::http::codec::mp4::{self as codec, Asked, Limits, Part, Source};
use crate::http::heart::handler::{Flow, Handler};
use crate::http::heart::module::{Compile, LocationBuilder, Module};
use crate::http::heart::request::Request;
use crate::http::modules::static_;
use crate::log::Level;
use crate::net::open_file::Opened;
use crate::session::contexts::{HTTP_ANY, HTTP_LEVELS, LOCATION};
use std::io;
use std::os::unix::fs::FileExt as _;

/// The module.
pub fn modules() -> Vec<Module> {
    vec![Module::new(MODULE).install(install)]
}

const MODULE: crate::conf::module::Module = crate::conf::module::Module {
    name: "ngx_http_mp4_module",
    directives: DIRECTIVES,
    scopes: &[Scope::of::<Mp4>(HTTP_LEVELS)],
};

const DIRECTIVES: &[Directive] = &[
    Directive::new("mp4", LOCATION, Arity::Exactly(0), &Custom(mp4))
        .doc("Answers from the second the argument start names to the one end names."),
    Directive::new("mp4_buffer_size", HTTP_ANY, Arity::Exactly(1), &Size(|c: &mut Mp4| &mut c.buffer_size))
        .default("512k")
        .doc("Sets the first size of the buffer for a video's tables."),
    Directive::new("mp4_max_buffer_size", HTTP_ANY, Arity::Exactly(1), &Size(|c: &mut Mp4| &mut c.max_buffer_size))
        .default("10m")
        .doc("Sets how large that buffer may get."),
    Directive::new("mp4_start_key_frame", HTTP_ANY, Arity::Flag, &Flag(|c: &mut Mp4| &mut c.start_key_frame))
        .default("off")
        .since("1.21.4")
        .doc("Begins at a key frame."),
];

/// Settings of the module.
#[derive(Default)]
struct Mp4 {
    buffer_size: Option<u64>,
    max_buffer_size: Option<u64>,
    start_key_frame: Option<bool>,
    here: bool,
}

impl Conf for Mp4 {
    fn inherit(&mut self, outer: &Self) {
        inherit!(self, outer; buffer_size, max_buffer_size, start_key_frame);
    }
}

fn mp4(_: &mut Setting<'_>, conf: &mut Mp4, _: &Statement) -> Result<(), Diagnostic> {
    conf.here = true;
    Ok(())
}

/// `mp4` at a place.
struct Video(Limits);

fn install(levels: &Levels<'_>, place: &mut LocationBuilder, _: &mut Compile<'_, '_>) -> Result<(), Diagnostic> {
    if !levels.level.own::<Mp4>().is_some_and(|conf| conf.here) {
        return Ok(());
    }
    let Some(conf) = levels.get::<Mp4>() else { return Ok(()) };
    place.content(Video(Limits {
        buffer: conf.buffer_size.merged()?,
        largest: conf.max_buffer_size.merged()?,
        key_frame: conf.start_key_frame.merged()?,
    }));
    Ok(())
}

impl Source for Opened {
    fn read_at(&self, into: &mut [u8], offset: u64) -> io::Result<usize> {
        let mut read = 0;
        while let Some(rest) = into.get_mut(read..).filter(|rest| !rest.is_empty()) {
            match self.file.read_at(rest, offset + read as u64) {
                Ok(0) => break,
                Ok(count) => read += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(read)
    }
}

/// Milliseconds of a number of seconds, of whose decimal places the first three count.
fn milliseconds(text: &[u8]) -> Option<u64> {
    let (whole, fraction) = text.split_at(memchr::memchr(b'.', text).unwrap_or(text.len()));
    let fraction = fraction.strip_prefix(b".").unwrap_or_default();
    if text.is_empty() || !whole.iter().chain(fraction).all(u8::is_ascii_digit) {
        return None;
    }
    let places = fraction.iter().chain([b'0'; 3].iter()).take(3);
    whole
        .iter()
        .chain(places)
        .try_fold(0_u64, |sum, digit| sum.checked_mul(10)?.checked_add(u64::from(digit - b'0')))
        .filter(|sum| i64::try_from(*sum).is_ok())
}

/// The part of the video that is asked for; nothing for all of the file as it is.
fn asked(request: &Request) -> Option<Asked> {
    let start = request.argument(b"start").and_then(milliseconds);
    let end = request.argument(b"end").and_then(milliseconds).filter(|end| *end > 0);
    let start = start.or_else(|| end.map(|_| 0))?;
    Some(Asked { start, length: end.map_or(0, |end| end.saturating_sub(start)) })
}

impl Handler for Video {
    /// Differs from nginx: a part without media data is sent; nginx logs an alert, and may leave the client waiting. [test: a_part_without_media_data_is_sent]
    fn run<'r>(&'r self, request: &'r mut Request) -> Flow<'r> {
        let opened = match static_::video(request) {
            Ok(opened) => opened,
            Err(flow) => return flow,
        };
        let asked = asked(request);
        let part = match asked.map(|asked| codec::cut(&*opened, opened.about.len(), asked, self.0)).transpose() {
            Ok(part) => part.flatten(),
            Err(fault) => {
                let level = if fault.is_of_system() { Level::Crit } else { Level::Error };
                request.log(level, &fault.text(&bytes::text(&opened.path)));
                return Flow::Finish(500);
            }
        };
        static_::respond(request, opened.clone());
        request.response.single_range = asked.is_some();
        if let Some(Part { head, data }) = part {
            static_::respond_part(request, opened, head, data);
        }
        Flow::Done
    }
}

#[cfg(test)]
mod tests {
    use super::milliseconds;

    #[test]
    fn of_a_fraction_three_places_count() {
        for (text, expected) in [
            ("1", Some(1000)),
            ("1.5", Some(1500)),
            ("0.1239999", Some(123)),
            (".5", Some(500)),
            ("5.", Some(5000)),
            (".", Some(0)),
            ("", None),
            ("1.2.3", None),
            ("-1", None),
            ("1e3", None),
            ("9223372036854775.807", Some(9_223_372_036_854_775_807)),
            ("9223372036854775.808", None),
            ("99999999999999999999", None),
        ] {
            assert_eq!(milliseconds(text.as_bytes()), expected, "{text}");
        }
    }
}
