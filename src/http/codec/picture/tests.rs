use super::{Action, Change, Format, Made, Refused, Size, make, size};
use image::{DynamicImage, ImageFormat, Rgba, RgbaImage};
use std::io::Cursor;

const CHANGE: Change = Change {
    action: Action::Resize,
    width: 10,
    height: 10,
    angle: 0,
    sharpen: 0,
    transparency: true,
    interlace: false,
    quality: 75,
};

/// A picture whose left half is red and whose right half is blue.
fn picture(format: ImageFormat, width: u32, height: u32) -> Vec<u8> {
    let half = |x, _| if x < width / 2 { Rgba([250, 0, 0, 255]) } else { Rgba([0, 0, 250, 255]) };
    let picture = DynamicImage::ImageRgba8(RgbaImage::from_fn(width, height, half));
    let mut out = Cursor::new(Vec::new());
    let rgb = DynamicImage::ImageRgb8(picture.to_rgb8());
    rgb.write_to(&mut out, format).expect("a picture");
    out.into_inner()
}

const FORMATS: [(Format, ImageFormat); 4] = [
    (Format::Jpeg, ImageFormat::Jpeg),
    (Format::Gif, ImageFormat::Gif),
    (Format::Png, ImageFormat::Png),
    (Format::Webp, ImageFormat::WebP),
];

fn read(bytes: &[u8], format: ImageFormat) -> RgbaImage {
    image::load_from_memory_with_format(bytes, format).expect("a picture").to_rgba8()
}

#[test]
fn pictures_are_known_by_their_first_bytes() {
    for (format, kind) in FORMATS {
        let bytes = picture(kind, 30, 20);
        assert_eq!(Format::of(&bytes), Some(format));
        assert_eq!(size(format, &bytes), Some(Size { width: 30, height: 20, is_heavy: false }), "{format:?}");
        assert_eq!(Format::of(&bytes[..15]), None);
    }
    assert_eq!(Format::of(b"GIF88a0123456789"), None);
    assert_eq!(size(Format::Jpeg, &[0xff, 0xd8, 0xff, 0xff, 0xff, 0xff]), None);
}

#[test]
fn pictures_get_nginxs_sizes() {
    for (format, kind) in FORMATS {
        let bytes = picture(kind, 40, 20);
        for (change, expected) in [
            (CHANGE, (10, 5)),
            (Change { width: 3, height: u64::MAX, ..CHANGE }, (3, 1)),
            (Change { width: u64::MAX, height: 4, ..CHANGE }, (8, 4)),
            (Change { action: Action::Crop, ..CHANGE }, (10, 10)),
            (Change { action: Action::Crop, width: 30, height: 40, ..CHANGE }, (30, 20)),
            (Change { action: Action::Rotate, angle: 90, ..CHANGE }, (20, 40)),
            (Change { action: Action::Rotate, angle: 180, sharpen: 100, ..CHANGE }, (40, 20)),
            (Change { angle: 270, interlace: true, ..CHANGE }, (5, 10)),
            (Change { action: Action::Crop, angle: 90, width: 8, height: 30, ..CHANGE }, (8, 30)),
        ] {
            let Ok(Made::New(made)) = make(format, &bytes, size(format, &bytes), change) else {
                panic!("{format:?} {change:?}")
            };
            assert_eq!(Format::of(&made), Some(format));
            assert_eq!(read(&made, kind).dimensions(), expected, "{format:?} {change:?}");
        }
        let as_it_is = make(format, &bytes, size(format, &bytes), Change { width: 40, height: 20, ..CHANGE });
        assert_eq!(as_it_is, Ok(Made::AsItIs));
    }
}

#[test]
fn pictures_are_turned_against_the_clock() {
    let bytes = picture(ImageFormat::Png, 40, 20);
    for (angle, red) in [(90, (10, 35)), (180, (35, 10)), (270, (10, 5))] {
        let change = Change { action: Action::Rotate, angle, ..CHANGE };
        let Ok(Made::New(made)) = make(Format::Png, &bytes, None, change) else { panic!("{angle}") };
        assert_eq!(read(&made, ImageFormat::Png).get_pixel(red.0, red.1).0[0], 250, "{angle}");
    }
}

#[test]
fn what_is_invalid_is_refused() {
    let bytes = picture(ImageFormat::Jpeg, 40, 20);
    for change in [
        Change { width: 0, ..CHANGE },
        Change { height: 0, ..CHANGE },
        Change { quality: 0, ..CHANGE },
        Change { action: Action::Rotate, angle: 91, ..CHANGE },
    ] {
        assert_eq!(make(Format::Jpeg, &bytes, None, change), Err(Refused::Numbers), "{change:?}");
    }
    for (format, kind) in FORMATS {
        let bytes = picture(kind, 40, 20);
        let cut = make(format, &bytes[..24], None, CHANGE);
        assert_eq!(cut, Err(Refused::Unreadable(format)));
        for at in 0..bytes.len() {
            let mut spoiled = bytes.clone();
            spoiled[at] ^= 0xff;
            let _ = make(format, &spoiled, size(format, &spoiled), CHANGE);
        }
    }
}

#[test]
fn a_picture_of_too_many_pixels_is_refused() {
    let mut bytes = picture(ImageFormat::Png, 40, 20);
    bytes[16..24].copy_from_slice(&[0, 0, 0xff, 0xff, 0, 0, 0xff, 0xff]);
    // The chunk's sum.
    let sum = crc32fast::hash(&bytes[12..29]);
    bytes[29..33].copy_from_slice(&sum.to_be_bytes());
    assert_eq!(make(Format::Png, &bytes, size(Format::Png, &bytes), CHANGE), Err(Refused::TooLarge));
}
