//! `client_body_in_file_only` and `$request_body_file` beside the installed nginx: which bodies are in files, what is in
//! these, and what is left of them.

use std::io::{self, Write as _};
use std::path::Path;

use compat_tests::peer::PREFIX;
use compat_tests::program::Program;
use compat_tests::testbed::{LIMIT, TestBed, local};
use compat_tests::{client, mount, wait_for};

use crate::filters::texts;

const CONF: &str = r#"worker_processes 1;
events { }
http {
    server_tokens off;
    access_log off;
    error_log logs/error.log info;
    client_body_temp_path html/bodies 1;
    server {
        listen 127.0.0.1:8080;
        client_body_buffer_size 1k;
        proxy_set_header X-File $request_body_file;
        location /off/ { proxy_pass http://127.0.0.1:8081; }
        location /on/ { client_body_in_file_only on; proxy_pass http://127.0.0.1:8081; }
        location /clean/ { client_body_in_file_only clean; proxy_pass http://127.0.0.1:8081; }
        location /streamed/ { client_body_in_file_only on; proxy_request_buffering off; proxy_http_version 1.1; proxy_pass http://127.0.0.1:8081; }
        location /unread/ { client_body_in_file_only on; return 200 "unread\n"; }
        location /mirrored/ { client_body_in_file_only clean; mirror /copy/; proxy_pass http://127.0.0.1:8081; }
        location /copy/ { internal; proxy_pass http://127.0.0.1:8081; }
        location /refused/ { client_body_in_file_only on; client_max_body_size 100; proxy_pass http://127.0.0.1:8081; }
    }
    server {
        listen 127.0.0.1:8081;
        location / { return 200 "file $http_x_file.\n"; }
    }
}
"#;

const PLACES: &[&str] = &["off", "on", "clean", "streamed", "unread", "mirrored", "refused"];

/// Bodies: none, an empty one, small and large ones, in chunks or not.
fn requests(place: &str) -> Vec<String> {
    let head =
        |method: &str, more: &str| format!("{method} /{place}/ HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{more}");
    let sized = |size: usize| head("POST", &format!("Content-Length: {size}\r\n\r\n{}", "x".repeat(size)));
    let chunked = |size: usize| {
        let chunk = if size > 0 { format!("{size:x}\r\n{}\r\n", "y".repeat(size)) } else { String::new() };
        head("PUT", &format!("Transfer-Encoding: chunked\r\n\r\n{chunk}0\r\n\r\n"))
    };
    let mut all = vec![head("GET", "\r\n")];
    // Without a word about files, what does not fit into its buffer stays in memory here.
    let sizes: &[usize] = if place == "off" { &[0, 10] } else { &[0, 10, 5000] };
    all.extend(sizes.iter().flat_map(|size| [sized(*size), chunked(*size)]));
    all
}

/// The start of a file's number is the process's own.
fn numbered(text: &str) -> String {
    let end = |part: &str| match part.get(..10) {
        Some(number) if number.bytes().all(|byte| byte.is_ascii_digit()) => part[5..].to_owned(),
        _ => part.to_owned(),
    };
    text.split('/').map(end).collect::<Vec<_>>().join("/")
}

/// The files below a folder: name, mode and content.
fn files(folder: &Path) -> io::Result<Vec<(String, u32, String)>> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            found.extend(files(&path)?);
        } else {
            let mode = std::os::unix::fs::PermissionsExt::mode(&path.metadata()?.permissions()) & 0o777;
            found.push((numbered(&path.to_string_lossy()), mode, std::fs::read_to_string(&path)?));
        }
    }
    found.sort();
    Ok(found)
}

type Seen = (Vec<(String, String)>, Vec<(String, u32, String)>, Vec<String>);

fn seen(program: Program) -> io::Result<Seen> {
    let testbed = TestBed::new(program)?;
    testbed.write(CONF)?;
    testbed.host().run(|| mount::folder(&format!("{PREFIX}/html")))??;
    testbed.command(&[])?;
    testbed.wait_for_text(8081, "/", "file")?;
    let answers = testbed.host().run(|| {
        let mut answers = Vec::new();
        for (place, request) in PLACES.iter().flat_map(|place| requests(place).into_iter().map(move |one| (place, one)))
        {
            let answer = client::raw(local(8080), request.as_bytes(), LIMIT)?;
            let text = String::from_utf8_lossy(&answer).into_owned();
            let body = text.split_once("\r\n\r\n").map_or("", |(_, body)| body);
            answers.push((format!("{place}: {}", request.chars().take(90).collect::<String>()), numbered(body)));
        }
        io::Result::Ok(answers)
    })??;
    let master = testbed.master()?;
    testbed.command(&["-s", "quit"])?;
    testbed.wait_for_end(master)?;
    let left = testbed.host().run(|| files(Path::new(&format!("{PREFIX}/html/bodies"))))??;
    let log = testbed.file("logs/error.log")?;
    let lines = log.lines().filter(|line| line.contains("client request body is buffered"));
    let lines = lines
        .map(|line| line.split_once("] ").map_or(line, |(start, _)| start).rsplit(' ').next().unwrap_or("").to_owned());
    let lines = lines.chain(texts(&log).iter().map(|text| numbered(text))).collect();
    Ok((answers, left, lines))
}

#[test]
fn bodies_are_in_files_where_nginx_has_them_there() {
    let [original, ours] = [Program::Original, Program::Ours].map(|program| seen(program).expect("answers"));
    for (original, ours) in original.0.iter().zip(&ours.0) {
        assert_eq!(original, ours);
    }
    assert_eq!(original.1, ours.1);
    assert_eq!(original.2, ours.2);
    assert_eq!(ours.1.len(), 10);
}

#[test]
fn a_file_of_an_earlier_process_is_not_in_the_way() {
    let testbed = TestBed::new(Program::Ours).expect("a host");
    testbed.write(CONF).expect("a configuration");
    let taken = || -> io::Result<()> {
        for process in 1..100_u64 {
            for serial in 0..20 {
                let name = format!("{:010}", process * 100_000 + serial);
                let folder = format!("{PREFIX}/html/bodies/{}", &name[9..]);
                mount::folder(&folder)?;
                mount::file(&format!("{folder}/{name}"), b"earlier", 0o600)?;
            }
        }
        // As the worker's own.
        for digit in 0..10 {
            let mode = std::os::unix::fs::PermissionsExt::from_mode(0o777);
            std::fs::set_permissions(format!("{PREFIX}/html/bodies/{digit}"), mode)?;
        }
        Ok(())
    };
    testbed.host().run(taken).expect("a host").expect("files");
    testbed.command(&[]).expect("a start");
    testbed.wait_for_text(8081, "/", "file").expect("an answer");
    let send = || -> io::Result<Vec<(String, u32, String)>> {
        for _ in 0..5 {
            let answer = client::raw(local(8080), requests("on")[3].as_bytes(), LIMIT)?;
            assert!(answer.starts_with(b"HTTP/1.1 200"), "{}", answer.escape_ascii());
        }
        files(Path::new(&format!("{PREFIX}/html/bodies")))
    };
    let left = testbed.host().run(send).expect("a host").expect("files");
    let of = |text: &str| left.iter().filter(|(_, _, content)| content == text).count();
    assert_eq!((of("earlier"), of(&"x".repeat(10)), left.len()), (1980, 5, 1985));
}

#[test]
fn half_a_body_leaves_no_file() {
    let testbed = TestBed::new(Program::Ours).expect("a host");
    testbed.write(CONF).expect("a configuration");
    testbed.host().run(|| mount::folder(&format!("{PREFIX}/html"))).expect("a host").expect("a folder");
    testbed.command(&[]).expect("a start");
    testbed.wait_for_text(8081, "/", "file").expect("an answer");
    let leave = || -> io::Result<()> {
        for place in ["on", "clean"] {
            let mut stream = client::connect(local(8080), LIMIT)?;
            let head = format!("POST /{place}/ HTTP/1.1\r\nHost: x\r\nContent-Length: 5000\r\n\r\n");
            stream.write_all(&[head.as_bytes(), &[b'x'; 2500]].concat())?;
        }
        Ok(())
    };
    testbed.host().run(leave).expect("a host").expect("requests");
    let left = || {
        let log = testbed.file("logs/error.log").ok()?;
        let info = log.matches("client prematurely closed connection").count();
        (info == 2).then_some(())
    };
    wait_for("both clients to be missed", LIMIT, left).expect("lines");
    let folder = || files(Path::new(&format!("{PREFIX}/html/bodies")));
    assert_eq!(testbed.host().run(folder).expect("a host").expect("files"), []);
}
