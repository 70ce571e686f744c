//! Making a picture smaller, turning it and cutting it, in nginx's sizes.

#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use super::{Format, Size};
use image::codecs::gif::GifEncoder;
use image::codecs::png::{CompressionType, FilterType, PngEncoder};
use image::codecs::webp::WebPEncoder;
use image::imageops;
use image::{
    DynamicImage, ExtendedColorType, ImageDecoder as _, ImageEncoder as _, ImageFormat, ImageReader, RgbaImage,
};
use jpeg_encoder::{ColorType, Encoder};
use std::io::Cursor;

/// A picture of more pixels is refused.
pub const PIXELS: u64 = 40_000_000;

/// What is done besides turning.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Nothing.
    Rotate,
    /// It is made smaller, until it fits.
    Resize,
    /// It is made smaller, until one side fits, and the other side is cut.
    Crop,
}

/// How a picture is changed.
#[derive(Clone, Copy, Debug)]
pub struct Change {
    /// What is done besides turning.
    pub action: Action,
    /// Its largest width; 0 for one that is invalid.
    pub width: u64,
    /// Its largest height; 0 for one that is invalid.
    pub height: u64,
    /// By how many degrees it is turned, against the clock.
    pub angle: u64,
    /// How much sharper it becomes, in percent.
    pub sharpen: u64,
    /// Whether colours of a palette stay transparent.
    pub transparency: bool,
    /// Whether it is shown coarsely before all of it is there.
    pub interlace: bool,
    /// The quality of JPEG, and of WebP; 0 for one that is invalid.
    pub quality: u64,
}

/// What became of a picture.
#[derive(Debug, PartialEq, Eq)]
pub enum Made {
    /// It needs no change.
    AsItIs,
    /// It was made anew.
    New(Vec<u8>),
}

/// Why a picture cannot be changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// The numbers of the configuration are none.
    Numbers,
    /// It cannot be read.
    Unreadable(Format),
    /// It has too many pixels.
    TooLarge,
    /// It cannot be written.
    Unwritable(Format),
}

impl Refused {
    /// What is logged, in nginx's words: it names the functions of the library it uses.
    pub fn text(self) -> Option<String> {
        let name = |format: Format| match format {
            Format::Jpeg => "Jpeg",
            Format::Gif => "Gif",
            Format::Png => "Png",
            Format::Webp => "Webp",
        };
        match self {
            Self::Numbers => None,
            Self::Unreadable(format) => Some(format!("gdImageCreateFrom{}Ptr() failed", name(format))),
            Self::TooLarge => Some(format!("image filter: more than {PIXELS} pixels")),
            Self::Unwritable(format) => Some(format!("gdImage{}Ptr() failed", name(format))),
        }
    }
}

/// Changes a picture whose size is known, or not.
///
/// # Errors
/// Why it cannot be changed.
pub fn make(format: Format, bytes: &[u8], size: Option<Size>, change: Change) -> Result<Made, Refused> {
    match change.action {
        Action::Rotate if !matches!(change.angle, 90 | 180 | 270) => return Err(Refused::Numbers),
        Action::Resize | Action::Crop if change.width == 0 || change.height == 0 => return Err(Refused::Numbers),
        _ => {}
    }
    let is_heavy = size.is_some_and(|size| size.is_heavy);
    let fits = |width, height| {
        change.action != Action::Rotate
            && change.angle == 0
            && !is_heavy
            && width <= change.width
            && height <= change.height
    };
    if size.is_some_and(|size| fits(size.width, size.height)) {
        return Ok(Made::AsItIs);
    }
    let mut picture = read(format, bytes, change.transparency)?;
    if fits(u64::from(picture.width()), u64::from(picture.height())) {
        return Ok(Made::AsItIs);
    }
    let (width, height) = smaller(change, (u64::from(picture.width()), u64::from(picture.height())));
    if (width, height) != picture.dimensions() {
        picture = imageops::thumbnail(&picture, width, height);
    }
    picture = match change.angle {
        90 => imageops::rotate270(&picture),
        180 => imageops::rotate180(&picture),
        270 => imageops::rotate90(&picture),
        _ => picture,
    };
    if change.action == Action::Crop {
        let (width, height) = picture.dimensions();
        let over = |side: u32, most: u64| u32::try_from(u64::from(side).saturating_sub(most)).unwrap_or(0);
        let (x, y) = (over(width, change.width), over(height, change.height));
        if (x, y) != (0, 0) {
            picture = imageops::crop_imm(&picture, x / 2, y / 2, width - x, height - y).to_image();
        }
    }
    if change.sharpen > 0 {
        sharpen(&mut picture, change.sharpen.min(1000) as f32);
    }
    if matches!(format, Format::Jpeg | Format::Webp) && change.quality == 0 {
        return Err(Refused::Numbers);
    }
    write(format, &picture, change).ok_or(Refused::Unwritable(format)).map(Made::New)
}

/// Reads the first picture of a file.
///
/// Differs from nginx: a picture of more than 40 million pixels is refused. [test: a_picture_of_too_many_pixels_is_refused]
fn read(format: Format, bytes: &[u8], transparency: bool) -> Result<RgbaImage, Refused> {
    let kind = match format {
        Format::Jpeg => ImageFormat::Jpeg,
        Format::Gif => ImageFormat::Gif,
        Format::Png => ImageFormat::Png,
        Format::Webp => ImageFormat::WebP,
    };
    let unreadable = |_| Refused::Unreadable(format);
    let decoder = ImageReader::with_format(Cursor::new(bytes), kind).into_decoder().map_err(unreadable)?;
    let (width, height) = decoder.dimensions();
    if u64::from(width) * u64::from(height) > PIXELS {
        return Err(Refused::TooLarge);
    }
    let mut picture = DynamicImage::from_decoder(decoder).map_err(unreadable)?.into_rgba8();
    // The kind of its colours is in the first chunk; 3 is a palette.
    let has_palette = format == Format::Gif || format == Format::Png && bytes.get(25) == Some(&3);
    if has_palette && !transparency {
        picture.pixels_mut().for_each(|pixel| pixel.0[3] = u8::MAX);
    }
    Ok(picture)
}

/// The size a picture is made smaller to.
fn smaller(change: Change, (mut width, mut height): (u64, u64)) -> (u32, u32) {
    let narrow = |width: &mut u64, height: &mut u64| {
        if *width > change.width {
            (*width, *height) = (change.width, (*height * change.width / *width).max(1));
        }
    };
    let lower = |width: &mut u64, height: &mut u64| {
        if *height > change.height {
            (*width, *height) = ((*width * change.height / *height).max(1), change.height);
        }
    };
    match change.action {
        Action::Rotate => {}
        Action::Resize => {
            narrow(&mut width, &mut height);
            lower(&mut width, &mut height);
        }
        Action::Crop if (width as f64 / height as f64) < change.width as f64 / change.height as f64 => {
            narrow(&mut width, &mut height);
        }
        Action::Crop => lower(&mut width, &mut height),
    }
    (width as u32, height as u32)
}

/// Lessens what neighbours have of each other's colours: columns first, then rows.
fn sharpen(picture: &mut RgbaImage, percent: f32) {
    let outer = -percent / 400.0;
    let inner = 1.0 - 2.0 * outer;
    for step in [(0, 1), (1, 0)] {
        let before = picture.clone();
        let (width, height) = before.dimensions();
        for (x, y, pixel) in picture.enumerate_pixels_mut() {
            let back = (x.saturating_sub(step.0), y.saturating_sub(step.1));
            let on = ((x + step.0).min(width - 1), (y + step.1).min(height - 1));
            let sides = [before.get_pixel_checked(back.0, back.1), before.get_pixel_checked(on.0, on.1)];
            for (channel, value) in pixel.0.iter_mut().enumerate().take(3) {
                let around: f32 =
                    sides.iter().flatten().filter_map(|side| side.0.get(channel)).map(|side| f32::from(*side)).sum();
                *value = (inner * f32::from(*value) + outer * around).round().clamp(0.0, 255.0) as u8;
            }
        }
    }
}

fn write(format: Format, picture: &RgbaImage, change: Change) -> Option<Vec<u8>> {
    let (width, height) = picture.dimensions();
    let is_opaque = || picture.pixels().all(|pixel| pixel.0[3] == u8::MAX);
    let opaque = || DynamicImage::ImageRgba8(picture.clone()).into_rgb8().into_raw();
    let mut out = Vec::new();
    match format {
        Format::Jpeg => {
            let mut encoder = Encoder::new(&mut out, change.quality.min(100) as u8);
            encoder.set_progressive(change.interlace);
            let (width, height) = (width.try_into().ok()?, height.try_into().ok()?);
            encoder.encode(&opaque(), width, height, ColorType::Rgb).ok()?;
        }
        Format::Gif => {
            GifEncoder::new_with_speed(&mut out, 10).encode(picture, width, height, ExtendedColorType::Rgba8).ok()?
        }
        Format::Png => {
            let encoder = PngEncoder::new_with_quality(&mut out, CompressionType::Default, FilterType::Adaptive);
            match is_opaque() {
                true => encoder.write_image(&opaque(), width, height, ExtendedColorType::Rgb8).ok()?,
                false => encoder.write_image(picture, width, height, ExtendedColorType::Rgba8).ok()?,
            }
        }
        Format::Webp => {
            let encoder = WebPEncoder::new_lossless(&mut out);
            match is_opaque() {
                true => encoder.write_image(&opaque(), width, height, ExtendedColorType::Rgb8).ok()?,
                false => encoder.write_image(picture, width, height, ExtendedColorType::Rgba8).ok()?,
            }
        }
    }
    Some(out)
}
