//! Folders listed and files changed, beside the installed nginx: answers, what is left on the disk, and the lines of the logs.

use std::fs::Permissions;
use std::io;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};
use std::path::Path;
use std::time::{Duration, SystemTime};

use compat_tests::peer::PREFIX;
use compat_tests::program::Program;
use compat_tests::testbed::{LIMIT, TestBed, local};
use compat_tests::{client, mount};

use crate::filters::texts;

const CONF: &str = r#"worker_processes 1;
events { }
http {
    server_tokens off;
    access_log off;
    types { text/html html; video/x-flv flv; }
    root html;
    client_body_temp_path html/temp;
    server {
        listen 127.0.0.1:8080;
        location /list/ { autoindex on; alias html/list/; }
        location /utf/ { autoindex on; charset utf-8; autoindex_exact_size off; autoindex_localtime on; alias html/list/; }
        location /json/ { autoindex on; autoindex_format json; alias html/list/; }
        location /jsonp/ { autoindex on; autoindex_format jsonp; alias html/list/; }
        location /xml/ { autoindex on; autoindex_format xml; charset koi8-r; alias html/list/; }
        location /xmls/ { autoindex on; autoindex_format xml; alias html/list/; }
        location /file/ { autoindex on; alias html/list/a; }
        location /gone/ { autoindex on; }
        location /lot/ { random_index on; alias html/one/; }
        location /hidden/ { random_index on; autoindex on; alias html/hidden/; }
        location /pixel { empty_gif; }
        location /flv/ { flv; alias html/flv/; }
        location /dav/ { dav_methods PUT DELETE MKCOL COPY MOVE; dav_access group:rw all:r; alias html/dav/; }
        location /full/ { dav_methods PUT; create_full_put_path on; alias html/dav/full/; }
        location /deep/ { dav_methods DELETE; min_delete_depth 3; alias html/dav/; }
        location /puts/ { dav_methods PUT; alias html/dav/; }
    }
}
"#;

/// Makes the files, all of the same time.
fn made(testbed: &TestBed) -> io::Result<()> {
    testbed.host().run(|| {
        let long = "n".repeat(60);
        let wide = "ж".repeat(55);
        let names = [
            "list/a",
            "list/b&<c>.html",
            "list/sp ace",
            "list/q\"'.txt",
            "list/50%",
            "list/Zed",
            "list/k\u{1}\\.txt",
            "list/dir/x",
            "list/Dir two/y",
            "list/.hidden",
            "list/ж.txt",
            "one/only.html",
            "hidden/.x",
            "flv/v.flv",
            "dav/old",
            "dav/tree/a",
            "dav/tree/in/b",
            "dav/other/c",
            "dav/file/d",
        ];
        let names = names.iter().map(|name| (*name).to_owned());
        let many = ["list/", "list/d"].map(|begin| format!("{begin}{long}"));
        let wides =
            [format!("list/{wide}"), format!("list/{}/x", "ж".repeat(50)), format!("list/{}/x", "m".repeat(50))];
        for name in names.chain(many).chain(wides) {
            let size = name.len() * 997;
            mount::file(&format!("{PREFIX}/html/{name}"), "0123456789".repeat(size / 10).as_bytes(), 0o644)?;
        }
        for size in [0, 1023, 9999, 10_000, 1_048_575, 1_600_000, 3 << 20] {
            mount::file(&format!("{PREFIX}/html/list/size{size}"), &vec![b'x'; size], 0o644)?;
        }
        symlink("a", format!("{PREFIX}/html/list/link"))?;
        symlink("nowhere", format!("{PREFIX}/html/list/broken"))?;
        symlink("../dav/other", format!("{PREFIX}/html/list/folder"))?;
        for name in ["dav", "dav/tree", "dav/tree/in", "dav/other", "dav/file", "temp"] {
            let path = format!("{PREFIX}/html/{name}");
            std::fs::create_dir_all(&path)?;
            std::fs::set_permissions(path, Permissions::from_mode(0o777))?;
        }
        dated(Path::new(&format!("{PREFIX}/html")))
    })?
}

/// Gives all files and folders below a path the same time.
fn dated(path: &Path) -> io::Result<()> {
    if path.symlink_metadata()?.is_symlink() {
        return if path.exists() { Ok(()) } else { std::fs::remove_file(path) };
    }
    if path.is_dir() {
        for entry in std::fs::read_dir(path)? {
            dated(&entry?.path())?;
        }
    }
    std::fs::File::open(path)?.set_modified(SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000_000))
}

fn started(program: Program) -> io::Result<TestBed> {
    let testbed = TestBed::new(program)?;
    testbed.write(CONF)?;
    made(&testbed)?;
    testbed.command(&[])?;
    Ok(testbed)
}

/// Requests: method, target, headers, body.
type Asked = (&'static str, &'static str, &'static str, &'static str);

/// What comes back, without what differs from run to run.
fn answers(testbed: &TestBed, requests: &'static [Asked]) -> io::Result<Vec<String>> {
    testbed.host().run(move || {
        let mut answers = Vec::new();
        for (method, target, headers, body) in requests {
            let length = if body.is_empty() { String::new() } else { format!("Content-Length: {}\r\n", body.len()) };
            let head = format!(
                "{method} {target} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{length}{headers}\r\n{body}"
            );
            let answer = client::raw(local(8080), head.as_bytes(), LIMIT)?;
            let text = String::from_utf8_lossy(&answer);
            let kept = text.lines().filter(|line| !line.starts_with("Date: ") && !line.starts_with("Server: "));
            answers.push(format!("{method} {target} {headers}\n{}", kept.collect::<Vec<_>>().join("\n")));
        }
        Ok(answers)
    })?
}

/// What is below a path: names, rights, lengths, and the times that were set.
fn listed(path: &Path, all: &mut Vec<String>) -> io::Result<()> {
    let about = path.symlink_metadata()?;
    let old = about.mtime() < 1_500_000_000;
    let length = if about.is_dir() { 0 } else { about.len() };
    let time = if old { about.mtime() } else { 0 };
    all.push(format!("{} {:o} {length} {time}", path.display(), about.mode()));
    if about.is_dir() {
        let mut inner = std::fs::read_dir(path)?.map(|entry| Ok(entry?.path())).collect::<io::Result<Vec<_>>>()?;
        inner.sort();
        for path in inner {
            listed(&path, all)?;
        }
    }
    Ok(())
}

/// Compares answers, files and logs.
fn same(requests: &'static [Asked]) {
    let [original, ours] = [Program::Original, Program::Ours].map(|program| {
        let testbed = started(program).expect("a host");
        let answers = answers(&testbed, requests).expect("answers");
        let files = testbed.host().run(|| {
            let mut files = Vec::new();
            listed(Path::new(&format!("{PREFIX}/html/dav")), &mut files).map(|()| files)
        });
        let log = texts(&testbed.file("logs/error.log").expect("a log"));
        // The names of temporary files are numbers.
        let log = log.into_iter().map(|line| line.split("/temp/").next().unwrap_or_default().to_owned());
        (answers, files.expect("a host").expect("files"), log.collect::<Vec<_>>())
    });
    for (original, ours) in original.0.iter().zip(&ours.0) {
        assert!(original == ours, "{original}\n\nours: {ours}");
    }
    assert_eq!(original.1, ours.1);
    assert_eq!(original.2, ours.2);
}

#[test]
fn folders_are_listed_as_by_nginx() {
    same(&[
        ("GET", "/list/", "", ""),
        ("HEAD", "/list/", "", ""),
        ("POST", "/list/", "", "x"),
        ("GET", "/list/dir", "", ""),
        ("GET", "/list/dir/", "", ""),
        ("GET", "/utf/", "", ""),
        ("GET", "/utf/Dir%20two/", "", ""),
        ("GET", "/json/", "", ""),
        ("GET", "/jsonp/", "", ""),
        ("GET", "/jsonp/?callback=a.b_1", "", ""),
        ("GET", "/jsonp/?callback=a-b", "", ""),
        ("GET", "/jsonp/?callback=", "", ""),
        ("GET", "/json/dir/?callback=x", "", ""),
        ("GET", "/xml/", "", ""),
        ("GET", "/xmls/", "", ""),
        ("GET", "/gone/", "", ""),
        ("GET", "/lot/", "", ""),
        ("POST", "/lot/", "", ""),
        ("GET", "/lot/only.html", "", ""),
        ("GET", "/hidden/", "", ""),
    ]);
}

#[test]
fn pictures_and_videos_are_sent_as_by_nginx() {
    same(&[
        ("GET", "/pixel", "", ""),
        ("HEAD", "/pixel", "", ""),
        ("POST", "/pixel", "", "x"),
        ("GET", "/pixel", "If-Modified-Since: Mon, 28 Sep 1970 06:00:00 GMT\r\n", ""),
        ("GET", "/flv/v.flv", "", ""),
        ("GET", "/flv/v.flv?start=20", "", ""),
        ("GET", "/flv/v.flv?start=20", "Range: bytes=5-29\r\n", ""),
        ("GET", "/flv/v.flv?start=20", "Range: bytes=-7\r\n", ""),
        ("GET", "/flv/v.flv?start=x", "", ""),
        ("GET", "/flv/v.flv?start=99999999", "", ""),
        ("HEAD", "/flv/v.flv?start=3", "", ""),
        ("GET", "/flv/none.flv", "", ""),
        ("GET", "/flv/", "", ""),
        ("POST", "/flv/v.flv", "", "x"),
    ]);
}

#[test]
fn files_are_changed_as_by_nginx() {
    same(&[
        ("PUT", "/dav/new%20file", "Date: Sun, 09 Sep 2001 01:46:41 GMT\r\n", "some text"),
        ("PUT", "/dav/old", "", "other text"),
        ("PUT", "/dav/empty", "Content-Length: 0\r\n", ""),
        ("PUT", "/dav/none", "", ""),
        ("PUT", "/dav/chunks", "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n", ""),
        ("PUT", "/dav/folder/", "", "x"),
        ("PUT", "/dav/tree", "", "x"),
        ("PUT", "/dav/no/folder", "", "x"),
        ("PUT", "/dav/part", "Content-Range: bytes 1-2/3\r\n", "xy"),
        ("PUT", "/full/a/b/c", "", "deep"),
        ("PUT", "/full/a/b/c", "", "deeper"),
        ("MKCOL", "/dav/made/", "", ""),
        ("MKCOL", "/dav/made/", "", ""),
        ("MKCOL", "/dav/made", "", ""),
        ("MKCOL", "/dav/no/made/", "", ""),
        ("MKCOL", "/dav/more/", "", "x"),
        ("MKCOL", "/puts/x/", "", ""),
        ("DELETE", "/puts/old", "", ""),
        ("COPY", "/dav/old", "Destination: /dav/copied\r\n", ""),
        ("COPY", "/dav/old", "Destination: http://localhost/dav/copied\r\nOverwrite: F\r\n", ""),
        ("COPY", "/dav/old", "Destination: http://localhost/dav/copied%20too\r\nOverwrite: t\r\nDepth: 0\r\n", ""),
        ("COPY", "/dav/old", "Destination: http://else/dav/copied\r\n", ""),
        ("COPY", "/dav/old", "Destination: https://localhost/dav/copied\r\n", ""),
        ("COPY", "/dav/old", "Destination: http://localhost\r\n", ""),
        ("COPY", "/dav/old", "Destination: /dav/../x\r\n", ""),
        ("COPY", "/dav/old", "Destination: /dav/copied/\r\n", ""),
        ("COPY", "/dav/old", "Destination: /dav/copied\r\nOverwrite: maybe\r\n", ""),
        ("COPY", "/dav/old", "Destination: /dav/copied\r\nDepth: 1\r\n", ""),
        ("COPY", "/dav/old", "Destination: /dav/copied\r\nDepth: x\r\n", ""),
        ("COPY", "/dav/old", "Destination: /dav/tree\r\n", ""),
        ("COPY", "/dav/old", "Destination: /dav/no/copied\r\n", ""),
        ("COPY", "/dav/old", "", ""),
        ("COPY", "/dav/none", "Destination: /dav/copied\r\n", ""),
        ("COPY", "/dav/old", "Destination: /dav/copied\r\n", "x"),
        ("COPY", "/dav/tree/", "Destination: /dav/grove/\r\n", ""),
        ("COPY", "/dav/tree/", "Destination: /dav/other/\r\n", ""),
        ("COPY", "/dav/tree/", "Destination: /dav/other/\r\nOverwrite: F\r\n", ""),
        ("COPY", "/dav/tree", "Destination: /dav/woods\r\n", ""),
        ("MOVE", "/dav/grove/", "Destination: /dav/wood/\r\n", ""),
        ("MOVE", "/dav/grove/", "Destination: /dav/wood/\r\nDepth: 0\r\n", ""),
        ("MOVE", "/dav/copied", "Destination: /dav/far/away/moved\r\n", ""),
        ("MOVE", "/dav/none", "Destination: /dav/moved\r\n", ""),
        ("DELETE", "/deep/tree/a", "", ""),
        ("DELETE", "/deep/tree/", "", ""),
        ("DELETE", "/deep/old", "", ""),
        ("DELETE", "/dav/new%20file", "Depth: 1\r\n", ""),
        ("DELETE", "/dav/new%20file", "Depth: infinity\r\n", ""),
        ("DELETE", "/dav/new%20file", "", ""),
        ("DELETE", "/dav/old/", "", ""),
        ("DELETE", "/dav/other", "", ""),
        ("DELETE", "/dav/other/", "Depth: 0\r\n", ""),
        ("DELETE", "/dav/other/", "", ""),
        ("DELETE", "/dav/made/", "", "x"),
        ("PATCH", "/dav/old", "", "x"),
    ]);
}

/// nginx deletes what is in a folder that a link leads to.
#[test]
fn links_in_deleted_folders_are_not_followed() {
    let testbed = started(Program::Ours).expect("a host");
    let link = || symlink("../other", format!("{PREFIX}/html/dav/tree/link"));
    testbed.host().run(link).expect("a host").expect("a link");
    let answers = answers(&testbed, &[("DELETE", "/dav/tree/", "", "")]).expect("an answer");
    assert!(answers[0].contains(" 204 "), "{answers:?}");
    let left =
        testbed.host().run(|| ["tree", "other/c"].map(|name| Path::new(&format!("{PREFIX}/html/dav/{name}")).exists()));
    assert_eq!(left.expect("a host"), [false, true]);
}
