//! Pictures changed by `image_filter`, beside the installed nginx: status, type and size in pixels are the same; the bytes
//! of another encoder are not.

use std::io::{self, Cursor};

use compat_tests::compare::{alike, both};
use compat_tests::http2::{Request, exchange};
use compat_tests::peer::PREFIX;
use compat_tests::program::Program;
use compat_tests::testbed::{LIMIT, TestBed, local};
use compat_tests::{client, mount};
use image::{DynamicImage, ImageFormat, Rgba, RgbaImage};

const CONF: &str = r#"load_module /usr/lib/nginx/modules/ngx_http_image_filter_module.so;
worker_processes 1;
error_log logs/error.log info;
events { }
http {
    access_log off;
    server_tokens off;
    add_header X-Added yes;
    types { image/jpeg jpg; image/png png; image/gif gif; image/webp webp; text/html html; text/plain txt; }
    root html;
    server {
        listen 127.0.0.1:8080;
        listen 127.0.0.1:8082 http2;
        location /test/ { image_filter test; alias html/p/; }
        location /size/ { image_filter size; alias html/p/; }
        location /resize/ { image_filter resize 20 20; alias html/p/; }
        location /large/ { image_filter resize 500 500; alias html/p/; }
        location /wide/ { image_filter resize - 10; image_filter_sharpen 50; alias html/p/; }
        location /crop/ { image_filter crop 15 15; image_filter_jpeg_quality 30; image_filter_interlace on; alias html/p/; }
        location /rotate/ { image_filter rotate 90; alias html/p/; }
        location /both/ { image_filter crop 30 12; image_filter rotate 270; image_filter_transparency off; alias html/p/; }
        location /asked/ { image_filter resize $arg_w $arg_h; image_filter rotate $arg_r; image_filter_jpeg_quality $arg_q; image_filter_sharpen $arg_s; image_filter_webp_quality $arg_q; alias html/p/; }
        location /turned/ { image_filter rotate $arg_r; alias html/p/; }
        location /little/ { image_filter resize 20 20; image_filter_buffer 300; alias html/p/; }
        location /paged/ { image_filter test; error_page 415 = /p/text.html; alias html/p/; }
        location /named/ { image_filter resize 20 20; error_page 415 @named; alias html/p/; }
        location @named { return 200 "named $uri\n"; }
        location /off/ { image_filter off; alias html/p/; }
        location /passed/ { image_filter resize 20 20; proxy_pass http://127.0.0.1:8081/p/; }
        location /chunks/ { image_filter resize 20 20; proxy_pass http://127.0.0.1:8081/chunks/; }
        location /chunks/little/ { image_filter resize 20 20; image_filter_buffer 300; proxy_pass http://127.0.0.1:8081/chunks/; }
        location /chunks/test/ { image_filter test; image_filter_buffer 300; proxy_pass http://127.0.0.1:8081/chunks/; }
        location /chunks/size/ { image_filter size; image_filter_buffer 300; proxy_pass http://127.0.0.1:8081/chunks/; }
        location /packed/ { image_filter resize 20 20; gzip on; gzip_types image/png; gzip_min_length 0; alias html/p/; }
        location /word/ { image_filter test; return 200 "a word, and more than sixteen bytes\n"; }
        location /moved/ { image_filter test; return 301 /p/; }
        location /empty/ { image_filter size; empty_gif; }
    }
    server {
        listen 127.0.0.1:8081;
        location /chunks/ { add_before_body /p/none.txt; addition_types *; chunked_transfer_encoding on; alias html/p/; }
        location /p/ { }
    }
}
"#;

/// A picture with a transparent stripe.
fn picture(format: ImageFormat, width: u32, height: u32) -> Vec<u8> {
    let colour = |x: u32, y: u32| {
        Rgba([(x * 5) as u8, (y * 7) as u8, ((x ^ y) * 3) as u8, if x.is_multiple_of(9) { 0 } else { 255 }])
    };
    let picture = DynamicImage::ImageRgba8(RgbaImage::from_fn(width, height, colour));
    let picture = if format == ImageFormat::Jpeg { DynamicImage::ImageRgb8(picture.to_rgb8()) } else { picture };
    let mut out = Cursor::new(Vec::new());
    picture.write_to(&mut out, format).expect("a picture");
    out.into_inner()
}

fn files() -> Vec<(String, Vec<u8>)> {
    let mut files = Vec::new();
    for (name, format) in
        [("jpg", ImageFormat::Jpeg), ("png", ImageFormat::Png), ("gif", ImageFormat::Gif), ("webp", ImageFormat::WebP)]
    {
        let whole = picture(format, 60, 40);
        files.push((format!("cut.{name}"), whole[..20].to_vec()));
        files.push((format!("broken.{name}"), [&whole[..30], &[0x55; 100]].concat()));
        files.push((format!("small.{name}"), picture(format, 12, 9)));
        files.push((format!("odd.{name}"), picture(format, 37, 91)));
        files.push((format!("wrong-{name}.txt"), whole.clone()));
        files.push((format!("a.{name}"), whole));
    }
    // More than a twentieth says something about the picture.
    let plain = picture(ImageFormat::Jpeg, 12, 9);
    files.push(("heavy.jpg".to_owned(), [&plain[..2], &[0xff, 0xe1, 0x00, 0x82], &[0; 128], &plain[2..]].concat()));
    files.push(("text.html".to_owned(), b"<html>text, and more than sixteen bytes</html>\n".to_vec()));
    files.push(("short.txt".to_owned(), b"short\n".to_vec()));
    files.push(("none.txt".to_owned(), Vec::new()));
    files
}

/// An answer: its head without what depends on the encoder, and what its body is.
fn shown(head: &str, body: &[u8]) -> String {
    let is_steady = |line: &&str| {
        let line = line.to_ascii_lowercase();
        !["date: ", "server: ", "last-modified: ", "content-length: "].iter().any(|name| line.starts_with(name))
    };
    let etag = |line: &str| match line.split_once("ETag: ") {
        Some((_, value)) => format!("ETag: {}", if value.starts_with("W/") { "weak" } else { "strong" }),
        None => line.to_owned(),
    };
    let head = head.lines().filter(is_steady).map(etag).collect::<Vec<_>>().join("\n");
    let body = match image::guess_format(body) {
        Ok(format) => match image::load_from_memory(body) {
            Ok(picture) => format!("{format:?} {}x{}", picture.width(), picture.height()),
            Err(_) => format!("{format:?}, {} bytes", body.len()),
        },
        Err(_) => String::from_utf8_lossy(body).into_owned(),
    };
    format!("{head}\n\n{body}")
}

/// The answers to what is asked, and the lines of the error log.
fn outcome(program: Program, asked: &[String]) -> io::Result<(Vec<String>, Vec<String>)> {
    let testbed = TestBed::new(program)?;
    testbed.write(CONF)?;
    testbed.host().run(|| {
        let mut files = files().into_iter();
        files.try_for_each(|(name, bytes)| mount::file(&format!("{PREFIX}/html/p/{name}"), &bytes, 0o644))
    })??;
    testbed.command(&[])?;
    testbed.wait_for_listener()?;
    let asked = asked.to_vec();
    let answers = testbed.host().run(move || {
        asked
            .iter()
            .map(|text| {
                let bytes = client::raw(local(8080), text.as_bytes(), LIMIT)?;
                let end = bytes.windows(4).position(|window| window == b"\r\n\r\n").map_or(bytes.len(), |at| at + 4);
                Ok(shown(&String::from_utf8_lossy(&bytes[..end]), &bytes[end..]))
            })
            .collect::<io::Result<Vec<_>>>()
    })??;
    let text = |line: &str| Some(line.split_once(": *")?.1.split_once(' ')?.1.to_owned());
    let log = testbed.file("logs/error.log")?;
    let mut lines: Vec<String> = log.lines().filter(|line| line.contains("request: ")).filter_map(text).collect();
    lines.dedup();
    Ok((answers, lines))
}

fn get(method: &str, target: &str, headers: &str) -> String {
    format!("{method} {target} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{headers}\r\n")
}

fn compare(asked: &[String]) {
    let [original, ours] = both(|program| outcome(program, asked));
    for ((text, original), ours) in asked.iter().zip(&original.0).zip(&ours.0) {
        assert_eq!(original, ours, "{text}");
    }
    alike("line", &original.1, &ours.1);
}

#[test]
fn pictures_come_in_nginxs_sizes() {
    let mut asked = Vec::new();
    for kind in ["jpg", "png", "gif", "webp"] {
        for place in ["test", "size", "resize", "large", "wide", "crop", "rotate", "both", "off", "passed", "packed"] {
            for name in ["a", "small", "odd"] {
                asked.push(get("GET", &format!("/{place}/{name}.{kind}"), ""));
            }
            asked.push(get(
                "HEAD",
                &format!("/{place}/a.{kind}"),
                if place == "passed" { "X-Skip: 1\r\n" } else { "" },
            ));
            asked.push(get("GET", &format!("/{place}/a.{kind}"), "Range: bytes=0-9\r\n"));
            asked.push(get("GET", &format!("/{place}/wrong-{kind}.txt"), ""));
        }
        for args in [
            "w=10&h=10",
            "w=10&h=10&r=90",
            "w=10&h=10&r=45",
            "w=0&h=10",
            "w=x&h=10",
            "w=-&h=10",
            "h=10",
            "w=100&h=100&r=180",
            "w=10&h=10&q=90",
            "w=10&h=10&q=0",
            "w=10&h=10&q=500",
            "w=10&h=10&s=99&q=1",
            "w=1&h=1&q=1",
        ] {
            asked.push(get("GET", &format!("/asked/a.{kind}?{args}"), ""));
        }
        for degrees in ["90", "180", "270", "0", "360", "", "-"] {
            asked.push(get("GET", &format!("/turned/odd.{kind}?r={degrees}"), ""));
        }
    }
    asked.retain(|text| !text.contains("X-Skip"));
    asked.push(get("GET", "/resize/heavy.jpg", ""));
    asked.push(get("GET", "/size/heavy.jpg", ""));
    asked.push(get("GET", "/empty/x", ""));
    compare(&asked);
}

#[test]
fn what_is_no_picture_is_refused_like_nginx_refuses_it() {
    let mut asked = Vec::new();
    for place in ["test", "size", "resize", "large", "rotate", "paged", "named", "little", "passed"] {
        for name in ["text.html", "short.txt", "missing.txt", "a.png", "cut.png", "cut.gif", "cut.jpg", "broken.png"] {
            asked.push(get("GET", &format!("/{place}/{name}"), ""));
        }
        asked.push(get("GET", &format!("/{place}/a.png"), "If-None-Match: *\r\n"));
    }
    for target in
        ["/word/", "/moved/", "/test/", "/resize", "/chunks/a.png", "/chunks/little/a.png", "/chunks/text.html"]
    {
        asked.push(get("GET", target, ""));
    }
    for target in ["/chunks/test/a.png", "/chunks/test/text.html", "/chunks/size/a.gif", "/chunks/size/text.html"] {
        asked.push(get("GET", target, ""));
    }
    compare(&asked);
}

#[test]
fn pictures_are_changed_over_http2_and_behind_one_another() -> io::Result<()> {
    let testbed = TestBed::new(Program::Ours)?;
    testbed.write(CONF)?;
    testbed.host().run(|| {
        let mut files = files().into_iter();
        files.try_for_each(|(name, bytes)| mount::file(&format!("{PREFIX}/html/p/{name}"), &bytes, 0o644))
    })??;
    testbed.command(&[])?;
    testbed.wait_for_listener()?;
    let targets =
        ["/resize/a.png", "/passed/a.jpg", "/resize/text.html", "/size/a.gif", "/named/text.html", "/rotate/a.webp"];
    let answers = testbed.host().run(move || {
        let requests: Vec<Request> = targets.iter().map(|target| Request::get(target)).collect();
        exchange(local(8082), &requests, LIMIT)
    })??;
    let shown: Vec<String> = answers
        .iter()
        .map(|answer| match image::load_from_memory(&answer.body) {
            Ok(picture) => format!("{} {}x{}", answer.status, picture.width(), picture.height()),
            Err(_) => format!("{} {}", answer.status, answer.body.len()),
        })
        .collect();
    let json = "{ \"img\" : { \"width\": 60, \"height\": 40, \"type\": \"gif\" } }\r\n".len();
    let page = answers[2].body.len();
    let expected = ["200 20x13", "200 20x13", &format!("415 {page}"), &format!("200 {json}"), "415 23", "200 40x60"];
    assert_eq!(shown, expected);
    Ok(())
}
