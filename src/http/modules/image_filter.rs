//! `ngx_http_image_filter_module`: pictures turned and made smaller.
//!
//! A picture is read into memory, changed on a thread of its own, and sent with the head that fits it.

use crate::conf::diagnostic::Diagnostic;
use crate::conf::directive::{Arity, Directive, Support};
use crate::conf::module::{Conf, Merged as _, Scope, inherit};
use crate::conf::slot::{Custom, Flag, Size};
use crate::conf::tree::{Statement, Word};
use crate::conf::value;
use crate::conf::walk::{Levels, Setting};
use crate::http::codec::picture::{self, Action, Change, Format, Made, Refused};
use crate::http::heart::held::{AtPlace, Decision, HeldResponse, Making, Progress, Whole};
use crate::http::heart::module::{Compile, LocationBuilder, Module, Text};
use crate::http::heart::request::Request;
use crate::log::Level;
use crate::session::contexts::{HTTP_ANY, HTTP_LEVELS, LOCATION};
use crate::session::used;
use std::sync::Arc;
use tokio::sync::Semaphore;

/// The module.
pub fn modules() -> Vec<Module> {
    vec![Module::new(MODULE).install(install)]
}

const MODULE: crate::conf::module::Module = crate::conf::module::Module {
    name: "ngx_http_image_filter_module",
    directives: DIRECTIVES,
    scopes: &[Scope::of::<Image>(HTTP_LEVELS)],
};

const DIRECTIVES: &[Directive] = &[
    Directive::new("image_filter", LOCATION, Arity::Between(1, 3), &Custom(image_filter))
        .words(&["off", "test", "size", "rotate", "resize", "crop"])
        .default("off")
        .doc("Sets what is done to pictures."),
    Directive::new("image_filter_jpeg_quality", HTTP_ANY, Arity::Exactly(1), &Custom(quality))
        .default("75")
        .doc("Sets the quality of JPEG pictures."),
    Directive::new("image_filter_webp_quality", HTTP_ANY, Arity::Exactly(1), &Custom(quality))
        .default("80")
        .support(Support::Partial("checked; WebP pictures are sent without loss"))
        .since("1.11.6")
        .doc("Sets the quality of WebP pictures."),
    Directive::new("image_filter_sharpen", HTTP_ANY, Arity::Exactly(1), &Custom(quality))
        .default("0")
        .doc("Sharpens pictures that were resized."),
    Directive::new("image_filter_transparency", HTTP_ANY, Arity::Flag, &Flag(|c: &mut Image| &mut c.transparency))
        .default("on")
        .doc("Keeps the transparency of GIF and PNG pictures."),
    Directive::new("image_filter_interlace", HTTP_ANY, Arity::Flag, &Flag(|c: &mut Image| &mut c.interlace))
        .default("off")
        .support(Support::Partial("JPEG pictures become progressive; PNG and GIF pictures stay as they are"))
        .since("1.3.15")
        .doc("Interlaces pictures."),
    Directive::new("image_filter_buffer", HTTP_ANY, Arity::Exactly(1), &Size(|c: &mut Image| &mut c.buffer))
        .default("1M")
        .doc("Sets the largest picture that is read."),
];

/// What is done to pictures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Task {
    Off,
    /// Others are refused.
    Test,
    /// Their size is sent instead.
    Size,
    Make(Action),
}

/// Settings of the module.
#[derive(Default)]
struct Image {
    transparency: Option<bool>,
    interlace: Option<bool>,
    buffer: Option<u64>,
    task: Option<Task>,
    sizes: Option<(Word, Word)>,
    angle: Option<Word>,
    jpeg_quality: Option<Word>,
    webp_quality: Option<Word>,
    sharpen: Option<Word>,
}

impl Conf for Image {
    fn inherit(&mut self, outer: &Self) {
        if self.task.is_none() {
            inherit!(self, outer; sizes, angle);
        }
        inherit!(self, outer; transparency, interlace, buffer, task, jpeg_quality, webp_quality, sharpen);
    }
}

fn number(text: &[u8]) -> Option<u64> {
    if text == b"-" { Some(u64::MAX) } else { value::number(text) }
}

fn image_filter(cx: &mut Setting<'_>, conf: &mut Image, statement: &Statement) -> Result<(), Diagnostic> {
    let fail = |word: &Word| Err(Diagnostic::emerg(format!("invalid parameter \"{}\"", word.text())).point(word.span));
    let numbers = match statement.arguments() {
        [word] if word.is("off") || word.is("test") || word.is("size") => &[][..],
        [word, degrees] if word.is("rotate") => {
            let right = [b"90".as_slice(), b"180", b"270"].contains(&&*degrees.bytes);
            if !right && !used::varies(&degrees.bytes) {
                return fail(degrees);
            }
            std::slice::from_ref(degrees)
        }
        [word, sizes @ ..] if sizes.len() == 2 && (word.is("resize") || word.is("crop")) => sizes,
        [word, ..] => return fail(word),
        [] => return Ok(()),
    };
    for word in numbers {
        used::word(cx, word)?;
        if !used::varies(&word.bytes) && number(&word.bytes).is_none_or(|number| number == 0) {
            return fail(word);
        }
    }
    let makes = matches!(conf.task, Some(Task::Make(Action::Resize | Action::Crop)));
    conf.task = match (statement.arguments(), numbers) {
        ([word, ..], [width, height]) => {
            conf.sizes = Some((width.clone(), height.clone()));
            Some(Task::Make(if word.is("resize") { Action::Resize } else { Action::Crop }))
        }
        (_, [degrees]) => {
            conf.angle = Some(degrees.clone());
            if makes { conf.task } else { Some(Task::Make(Action::Rotate)) }
        }
        ([word, ..], _) if word.is("test") => Some(Task::Test),
        ([word, ..], _) if word.is("size") => Some(Task::Size),
        _ => Some(Task::Off),
    };
    Ok(())
}

fn quality(cx: &mut Setting<'_>, conf: &mut Image, statement: &Statement) -> Result<(), Diagnostic> {
    let name = cx.row.name;
    let Some(word) = statement.arguments().first() else { return Ok(()) };
    used::word(cx, word)?;
    let bad = !used::varies(&word.bytes) && number(&word.bytes).is_none_or(|number| number == 0);
    // nginx takes any text for the sharpness.
    if bad && name != "image_filter_sharpen" {
        return Err(Diagnostic::emerg(format!("invalid value \"{}\"", word.text())).point(word.span));
    }
    let place = match name {
        "image_filter_jpeg_quality" => &mut conf.jpeg_quality,
        "image_filter_webp_quality" => &mut conf.webp_quality,
        _ => &mut conf.sharpen,
    };
    *place = Some(word.clone());
    Ok(())
}

/// `image_filter` at a place.
struct ImageFilter {
    task: Task,
    width: Option<Text>,
    height: Option<Text>,
    angle: Option<Text>,
    jpeg_quality: Option<Text>,
    webp_quality: Option<Text>,
    sharpen: Option<Text>,
    transparency: bool,
    interlace: bool,
    buffer: u64,
}

fn install(levels: &Levels<'_>, place: &mut LocationBuilder, cx: &mut Compile<'_, '_>) -> Result<(), Diagnostic> {
    let Some(conf) = levels.get::<Image>() else { return Ok(()) };
    let Some(task) = conf.task.filter(|task| *task != Task::Off) else { return Ok(()) };
    let mut text = |word: Option<&Word>| word.map(|word| cx.text(word)).transpose();
    let filter = ImageFilter {
        task,
        width: text(conf.sizes.as_ref().map(|(width, _)| width))?,
        height: text(conf.sizes.as_ref().map(|(_, height)| height))?,
        angle: text(conf.angle.as_ref())?,
        jpeg_quality: text(conf.jpeg_quality.as_ref())?,
        webp_quality: text(conf.webp_quality.as_ref())?,
        sharpen: text(conf.sharpen.as_ref())?,
        transparency: conf.transparency.merged()?,
        interlace: conf.interlace.merged()?,
        buffer: conf.buffer.merged()?,
    };
    place.attach(AtPlace(Arc::new(filter)));
    Ok(())
}

/// How many pictures are changed at a time.
const JOBS: usize = 2;

static TURNS: Semaphore = Semaphore::const_new(JOBS);

impl ImageFilter {
    /// How a picture is changed for a request.
    fn change(&self, request: &Request, format: Format, action: Action) -> Change {
        let value = |text: &Option<Text>| text.as_ref().and_then(|text| number(&text.text(request))).unwrap_or(0);
        let quality = if format == Format::Webp { &self.webp_quality } else { &self.jpeg_quality };
        Change {
            action,
            width: value(&self.width),
            height: value(&self.height),
            angle: value(&self.angle),
            sharpen: value(&self.sharpen),
            transparency: self.transparency,
            interlace: self.interlace,
            quality: value(quality),
        }
    }

    /// Sends the size of a picture; nothing of what is none.
    fn describe(&self, request: &mut Request, format: Option<Format>, bytes: &[u8]) -> Vec<u8> {
        let response = &mut request.response;
        response.clear_headers();
        response.reason.clear();
        (response.status, response.error) = (200, 0);
        response.content_type = b"application/json".to_vec();
        let size = format.and_then(|format| Some((format.name(), picture::size(format, bytes)?)));
        match size {
            Some((name, size)) => {
                let (width, height) = (size.width, size.height);
                format!("{{ \"img\" : {{ \"width\": {width}, \"height\": {height}, \"type\": \"{name}\" }} }}\r\n")
                    .into_bytes()
            }
            None => b"{}\r\n".to_vec(),
        }
    }

    /// Changes a picture.
    async fn change_picture(
        &self,
        request: &mut Request,
        action: Action,
        format: Format,
        bytes: Vec<u8>,
    ) -> Result<Vec<u8>, u16> {
        let change = self.change(request, format, action);
        let event_loop = TURNS.acquire().await;
        let job = move || {
            let made = picture::make(format, &bytes, picture::size(format, &bytes), change);
            (made, bytes)
        };
        let outcome = tokio::task::spawn_blocking(job).await;
        drop(event_loop);
        // A picture that breaks the decoder is one that cannot be read.
        let (made, bytes) = outcome.unwrap_or_else(|_| (Err(Refused::Unreadable(format)), Vec::new()));
        match made {
            Ok(Made::AsItIs) => Ok(bytes),
            Ok(Made::New(bytes)) => {
                request.response.weaken_etag();
                Ok(bytes)
            }
            Err(refused) => {
                if let Some(text) = refused.text() {
                    request.log_filter(Level::Error, &text);
                }
                Err(415)
            }
        }
    }
}

/// The type of responses that have no end.
const ENDLESS: &[u8] = b"multipart/x-mixed-replace";

impl Whole for ImageFilter {
    fn head(&self, request: &mut Request) -> Decision {
        let kind = request.response.content_type.get(..ENDLESS.len());
        if kind.is_some_and(|kind| kind.eq_ignore_ascii_case(ENDLESS)) {
            request.log_filter(Level::Error, "image filter: multipart/x-mixed-replace response");
            return Decision::Cut;
        }
        let length = request.response.length;
        if let Some(length) = length.filter(|length| *length > self.buffer) {
            request.log_filter(Level::Error, &format!("image filter: too big response: {length}"));
            return Decision::Refuse(415);
        }
        request.response.headers.remove(b"Refresh");
        request.response.ranges = false;
        Decision::Hold(length.unwrap_or(self.buffer))
    }

    fn begin(&self, request: &mut Request, held: &HeldResponse) -> Progress {
        if held.bytes.len() < picture::ENOUGH && !held.is_all {
            return Progress::More;
        }
        let Some(format) = Format::of(&held.bytes) else {
            return if self.task == Task::Size { Progress::Enough } else { Progress::Refuse(415) };
        };
        if self.task != Task::Test {
            if held.bytes.len() as u64 <= held.most {
                return Progress::More;
            }
            request.log_filter(Level::Error, "image filter: too big response");
            return Progress::Refuse(415);
        }
        request.response.content_type = format.media_type().into();
        Progress::Pass
    }

    fn make<'r>(&'r self, request: &'r mut Request, bytes: Vec<u8>) -> Making<'r> {
        Box::pin(async move {
            match (Format::of(&bytes), self.task) {
                (Some(format), Task::Make(action)) => {
                    request.response.content_type = format.media_type().into();
                    self.change_picture(request, action, format, bytes).await
                }
                (format, _) => Ok(self.describe(request, format, &bytes)),
            }
        })
    }
}
