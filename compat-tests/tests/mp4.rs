//! Parts of MP4 videos, beside the installed nginx: whole files, and files whose sizes lie.

use std::fs::File;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::io;
use std::time::{Duration, SystemTime};

use compat_tests::compare::{alike, both};
use compat_tests::peer::PREFIX;
use compat_tests::program::Program;
use compat_tests::testbed::{LIMIT, TestBed, local};
use compat_tests::{client, mount};

const CONF: &str = r#"worker_processes 1;
error_log logs/error.log info;
events { }
http {
    access_log off;
    server_tokens off;
    types { video/mp4 mp4; }
    server {
        listen 127.0.0.1:8080;
        root html;
        location /v/ { mp4; }
        location /key/ { mp4; mp4_start_key_frame on; alias html/v/; }
        location /small/ { mp4; mp4_buffer_size 64; mp4_max_buffer_size 1k; mp4_start_key_frame on; alias html/v/; }
        location /tight/ { mp4; mp4_buffer_size 200; mp4_max_buffer_size 2k; alias html/v/; }
        location /plain/ { alias html/v/; }
    }
}
"#;

/// An atom of parts.
fn atom(name: &str, parts: &[&[u8]]) -> Vec<u8> {
    let data = parts.concat();
    [&(data.len() as u32 + 8).to_be_bytes(), name.as_bytes(), data.as_slice()].concat()
}

/// Numbers of 32 bits.
fn words(numbers: &[u32]) -> Vec<u8> {
    numbers.iter().flat_map(|number| number.to_be_bytes()).collect()
}

/// A table behind its version and its count.
fn table(name: &str, each: usize, numbers: &[u32]) -> Vec<u8> {
    atom(name, &[&words(&[0, (numbers.len() / each) as u32]), &words(numbers)])
}

/// How a video is made.
#[derive(Clone, Copy)]
struct Form {
    /// Whether times are of 64 bits, and places of chunks.
    long: bool,
    /// Whether the media data comes first.
    data_first: bool,
    /// Whether the second track's samples have one size.
    uniform: bool,
}

/// The track of a picture of 50 samples, 5 a second, in chunks of 4; with a key frame every 10.
fn picture(form: Form, at: u32) -> Vec<u8> {
    let mut sizes = vec![0, 0, 50];
    sizes.extend((0..50).map(|sample| 10 + sample % 7));
    let mut places = Vec::new();
    let mut place = at;
    for sample in 0..50 {
        if sample % 4 == 0 {
            places.push(place);
        }
        place += 10 + sample % 7;
    }
    let offsets: Vec<u32> = (0..25).flat_map(|pair| [2, pair % 3]).collect();
    let stbl = atom(
        "stbl",
        &[
            &atom("stsd", &[&words(&[0, 1, 16]), b"avc1", &[0; 8]]),
            &table("stts", 2, &[20, 200, 5, 200, 25, 200]),
            &table("stss", 1, &[1, 11, 21, 31, 41]),
            &table("ctts", 2, &offsets),
            &table("stsc", 3, &[1, 4, 1, 13, 2, 1]),
            &atom("stsz", &[&words(&sizes)]),
            &chunks(form, &places),
        ],
    );
    let minf = atom("minf", &[&atom("vmhd", &[&[0; 12]]), &atom("dinf", &[&[0; 16]]), &stbl]);
    track(form, &minf, 10_000)
}

/// The track of a sound of 20 samples, 2 a second, in chunks of 5.
fn sound(form: Form, at: u32) -> Vec<u8> {
    let mut sizes = if form.uniform { vec![0, 8, 20] } else { vec![0, 0, 20] };
    if !form.uniform {
        sizes.extend([8; 20]);
    }
    let stbl = atom(
        "stbl",
        &[
            &atom("stsd", &[&words(&[0, 1, 16]), b"mp4a", &[0; 8]]),
            &table("stts", 2, &[20, 500]),
            &table("stsc", 3, &[1, 5, 1]),
            &atom("stsz", &[&words(&sizes)]),
            &chunks(form, &[at, at + 40, at + 80, at + 120]),
        ],
    );
    track(form, &atom("minf", &[&atom("smhd", &[&[0; 8]]), &stbl]), 10_000)
}

fn chunks(form: Form, places: &[u32]) -> Vec<u8> {
    match form.long {
        false => table("stco", 1, places),
        true => table("co64", 2, &places.iter().flat_map(|place| [0, *place]).collect::<Vec<_>>()),
    }
}

fn track(form: Form, minf: &[u8], duration: u32) -> Vec<u8> {
    let (tkhd, mdhd) = match form.long {
        false => (words(&[0, 0, 0, 1, 0, duration]), words(&[0, 0, 0, 1000, duration, 0])),
        true => (
            words(&[0x0100_0000, 0, 0, 0, 0, 1, 0, 0, duration]),
            words(&[0x0100_0000, 0, 0, 0, 0, 1000, 0, duration, 0]),
        ),
    };
    let mdia = atom("mdia", &[&atom("mdhd", &[&mdhd]), &atom("hdlr", &[&[0; 20]]), minf]);
    atom("trak", &[&atom("tkhd", &[&tkhd, &[0; 60]]), &mdia])
}

/// A whole video of 10 seconds.
fn video(form: Form) -> Vec<u8> {
    let ftyp = atom("ftyp", &[b"isom", &[0; 8]]);
    let mdat = atom("mdat", &[&(0..1000).map(|byte| byte as u8).collect::<Vec<_>>()]);
    let moov = |at: u32| {
        let mvhd = match form.long {
            false => words(&[0, 0, 0, 1000, 10_000]),
            true => words(&[0x0100_0000, 0, 0, 0, 0, 1000, 0, 10_000]),
        };
        atom(
            "moov",
            &[&atom("mvhd", &[&mvhd, &[0; 80]]), &picture(form, at), &sound(form, at + 700), &atom("udta", &[&[7; 9]])],
        )
    };
    let free = atom("free", &[&[0; 5]]);
    match form.data_first {
        true => [ftyp.clone(), mdat, moov(ftyp.len() as u32 + 8), free].concat(),
        false => {
            let at = ftyp.len() + moov(0).len() + free.len() + 8;
            [ftyp, moov(at as u32), free, mdat].concat()
        }
    }
}

const FORMS: [(&str, Form); 5] = [
    ("a", Form { long: false, data_first: false, uniform: false }),
    ("b", Form { long: false, data_first: true, uniform: false }),
    ("c", Form { long: true, data_first: false, uniform: false }),
    ("d", Form { long: true, data_first: true, uniform: true }),
    ("e", Form { long: false, data_first: false, uniform: true }),
];

/// Where the atoms of a file begin, and how long they are.
fn atoms(bytes: &[u8], from: usize, to: usize, out: &mut Vec<(usize, usize)>) {
    let mut at = from;
    while at + 8 <= to {
        let size = u32::from_be_bytes(bytes[at..at + 4].try_into().expect("four bytes")) as usize;
        out.push((at, size));
        if matches!(&bytes[at + 4..at + 8], b"moov" | b"trak" | b"mdia" | b"minf" | b"stbl") {
            atoms(bytes, at + 8, at + size, out);
        }
        at += size;
    }
}

/// Files out of a whole one: every atom with another size or name, doubled, cut off, and with other numbers inside.
fn spoiled(whole: &[u8]) -> Vec<Vec<u8>> {
    let mut found = Vec::new();
    atoms(whole, 0, whole.len(), &mut found);
    let mut files = Vec::new();
    for (at, size) in found {
        let number = size as u32;
        for other in [0, 1, 7, 8, 12, number - 1, number + 1, number + 4, number * 2, 0x7fff_ffff, u32::MAX] {
            let mut file = whole.to_vec();
            file[at..at + 4].copy_from_slice(&other.to_be_bytes());
            files.push(file);
        }
        for name in [b"free", b"trak", b"cmov", b"stco", b"mdat"] {
            let mut file = whole.to_vec();
            file[at + 4..at + 8].copy_from_slice(name);
            files.push(file);
        }
        files.push([&whole[..at + size], &whole[at..]].concat());
        files.extend([2, 4, 8, 12].map(|more| whole[..(at + more).min(whole.len())].to_vec()));
        for field in (at + 8..at + size.min(40)).step_by(4).filter(|field| field + 4 <= whole.len()) {
            for other in [0, 1, 3, 0x0100_0000, 0x7fff_ffff, u32::MAX] {
                let mut file = whole.to_vec();
                file[field..field + 4].copy_from_slice(&other.to_be_bytes());
                files.push(file);
            }
        }
    }
    files
}

/// A head without the date, how long the body is, and its sum; nothing where no answer comes.
type Answer = Option<(String, usize, u64)>;

fn answer(bytes: &[u8]) -> Answer {
    let end = bytes.windows(4).position(|window| window == b"\r\n\r\n")? + 4;
    let head = String::from_utf8_lossy(&bytes[..end]);
    let steady = |line: &&str| !line.starts_with("Date: ") && !line.starts_with("Server: ");
    let mut sum = DefaultHasher::new();
    // The original names its product in its own pages.
    let body = &bytes[end..];
    if head.starts_with("HTTP/1.1 20") {
        body.hash(&mut sum);
    }
    Some((head.lines().filter(steady).collect::<Vec<_>>().join("\n"), body.len(), sum.finish()))
}

/// Answers with the lines of the error log.
fn outcome(
    program: Program,
    files: &[Vec<u8>],
    asked: &[String],
    limit: Duration,
) -> io::Result<(Vec<Answer>, Vec<String>)> {
    let testbed = TestBed::new(program)?;
    testbed.write(CONF)?;
    let files = files.to_vec();
    testbed.host().run(move || {
        let then = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000_000);
        files.iter().enumerate().try_for_each(|(number, bytes)| {
            let path = format!("{PREFIX}/html/v/{number}.mp4");
            mount::file(&path, bytes, 0o644)?;
            File::options().write(true).open(&path)?.set_modified(then)
        })
    })??;
    testbed.command(&[])?;
    testbed.wait_for_listener()?;
    let asked = asked.to_vec();
    let answers = testbed.host().run(move || {
        asked
            .iter()
            .map(|text| client::raw(local(8080), text.as_bytes(), limit).ok().and_then(|bytes| answer(&bytes)))
            .collect()
    })?;
    let text = |line: &str| Some(line.split_once(": *")?.1.split_once(' ')?.1.to_owned());
    // What the original says of empty buffers of its own.
    let is_meant = |line: &String| line.contains("mp4") && !line.contains("zero size buf");
    let mut lines: Vec<String> = testbed.file("logs/error.log")?.lines().filter_map(text).filter(is_meant).collect();
    lines.dedup();
    Ok((answers, lines))
}

fn get(method: &str, target: &str, headers: &str) -> String {
    format!("{method} {target} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{headers}\r\n")
}

/// Parts of ten seconds.
const PARTS: [&str; 17] = [
    "",
    "?start=0",
    "?start=1",
    "?start=2.5&end=5",
    "?end=4",
    "?start=0.3",
    "?start=4.4&end=4.7",
    "?start=9.9",
    "?start=10",
    "?start=11",
    "?start=x",
    "?start=1.2.3",
    "?start=5&end=2",
    "?start=2&end=99",
    "?end=.9",
    "?START=1.9999",
    "?start=3.2&end=9.99",
];

#[test]
fn parts_of_videos_are_nginxs() {
    let files: Vec<_> = FORMS.iter().map(|(_, form)| video(*form)).collect();
    let mut asked = Vec::new();
    for number in 0..files.len() {
        for place in ["v", "key", "small", "tight"] {
            asked.extend(PARTS.iter().map(|part| get("GET", &format!("/{place}/{number}.mp4{part}"), "")));
        }
        for headers in
            ["Range: bytes=0-99\r\n", "Range: bytes=10-20,30-40\r\n", "Range: bytes=700-\r\n", "Range: bytes=-10\r\n"]
        {
            asked.push(get("GET", &format!("/v/{number}.mp4?start=2"), headers));
            // The boundary between several ranges is a number of each server's own.
            if !headers.contains(',') {
                asked.push(get("GET", &format!("/v/{number}.mp4"), headers));
            }
        }
        asked.push(get("HEAD", &format!("/v/{number}.mp4?start=2"), ""));
        asked.push(get("POST", &format!("/v/{number}.mp4?start=2"), ""));
        asked.push(get("GET", &format!("/v/{number}.mp4?start=2"), "If-None-Match: *\r\n"));
    }
    asked.extend(["/v/none.mp4?start=1", "/v?start=1", "/v/?start=1"].map(|target| get("GET", target, "")));
    let [original, ours] = both(|program| outcome(program, &files, &asked, LIMIT));
    for ((text, original), ours) in asked.iter().zip(&original.0).zip(&ours.0) {
        assert_eq!(original, ours, "{text}");
    }
    alike("line", &original.1, &ours.1);
    assert!(ours.0.iter().flatten().any(|(head, ..)| head.contains(" 206 ")), "no range was sent");
}

#[test]
fn videos_whose_sizes_lie_are_judged_like_nginx() {
    let files = spoiled(&video(FORMS[0].1));
    assert!(files.len() > 500, "{} files", files.len());
    let parts = ["?start=1", "?start=4.4", "?start=2&end=7", "?end=3"];
    let places = ["v", "key", "tight"];
    let asked: Vec<_> = (0..files.len())
        .map(|number| get("GET", &format!("/{}/{number}.mp4{}", places[number % 3], parts[number % 4]), ""))
        .collect();
    let [original, ours] = both(|program| outcome(program, &files, &asked, Duration::from_secs(1)));
    let refused = |answer: &Answer| answer.as_ref().is_some_and(|(head, ..)| head.starts_with("HTTP/1.1 500 "));
    let (mut silent, mut stricter) = (0, 0);
    for ((text, original), ours) in asked.iter().zip(&original.0).zip(&ours.0) {
        assert!(ours.is_some(), "no answer to {text}");
        // The original gives no answer where the part is without data, or it reads outside its memory; releases with later
        // checks refuse these.
        // Where all samples are said to have one size, it counts a table that it does not send.
        let original =
            &original.clone().filter(|(head, length, _)| head.contains(&format!("Content-Length: {length}\n")));
        silent += usize::from(original.is_none());
        let is_stricter = refused(original) && !refused(ours);
        stricter += usize::from(is_stricter);
        assert!(original.is_none() || is_stricter || original == ours, "{text}: {original:?} {ours:?}");
    }
    let count = files.len();
    assert!((silent + stricter) * 50 < count, "of {count} no answer to {silent}, {stricter} refused");
    assert!(ours.0.iter().filter(|answer| refused(answer)).count() * 4 > count, "too few are refused");
}

#[test]
fn a_part_without_media_data_is_sent() -> io::Result<()> {
    let files = [video(FORMS[0].1)];
    let (answers, _) = outcome(Program::Ours, &files, &[get("GET", "/v/0.mp4?start=4.21&end=4.22", "")], LIMIT)?;
    let Some((head, length, _)) = answers.into_iter().flatten().next() else { panic!("no answer") };
    assert!(head.starts_with("HTTP/1.1 200 ") && head.contains(&format!("Content-Length: {length}\n")), "{head}");
    Ok(())
}
