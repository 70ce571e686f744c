//! `disable_symlinks` and `msie_refresh` beside the installed nginx: what is answered, and the lines of the error log.

use std::io;
use std::os::unix::fs::{lchown, symlink};
use std::time::{Duration, SystemTime};

use compat_tests::compare::{alike, both};
use compat_tests::peer::PREFIX;
use compat_tests::program::Program;
use compat_tests::testbed::{LIMIT, TestBed, local};
use compat_tests::{client, mount, wait_for};

use crate::filters::texts;

const CONF: &str = r#"worker_processes 1;
user root;
events { }
http {
    types { text/html html; }
    root html;
    index link.html own.html dir.html real.html;
    access_log off;
    server {
        listen 127.0.0.1:8080;
        disable_symlinks on from=$document_root;
        location / { }
        location /off/ { disable_symlinks off; }
        location /owner/ { disable_symlinks if_not_owner from=$document_root; }
        location /whole/ { disable_symlinks on; }
        location /slash/ { disable_symlinks on from=$document_root/; }
        location /inside/ { disable_symlinks on from=$document_root/inside/dirlink; }
        location /all/ { disable_symlinks on from=$request_filename; }
        location /nowhere/ { disable_symlinks if_not_owner from=/none; }
        location /gz/ { gzip_static on; gzip_vary on; }
        location /try/ { try_files $uri.x $uri /try/dir/inner.html; }
        location /if/ {
            if (-f $request_filename) { return 200 "a file"; }
            if (-d $request_filename) { return 200 "a folder"; }
            if (!-e $request_filename) { return 200 "nothing"; }
        }
        location /logged/ { access_log logs/$arg_log.log; log_not_found off; }
    }
}
"#;

const PLACES: &[&str] = &["on", "off", "owner", "whole", "slash", "inside", "all", "nowhere", "gz", "try", "if"];

const FILES: &[&str] = &[
    "real.html",
    "link.html",
    "own.html",
    "foreign.html",
    "dangling.html",
    "none.html",
    "dir",
    "dir/",
    "dir/inner.html",
    "dirlink",
    "dirlink/",
    "dirlink/inner.html",
    "dirlink/link.html",
    "foreigndir/inner.html",
    "indexed/",
    "nodir/",
    "real.html/",
    "packed.html",
];

/// Files and links in each place. Links named foreign are another user's.
fn put(place: &str) -> io::Result<()> {
    let root = format!("{PREFIX}/html/{place}");
    let file = |name: &str, text: &str| mount::file(&format!("{root}/{name}"), text.as_bytes(), 0o644);
    for folder in ["", "/dir", "/indexed"] {
        mount::folder(&format!("{root}{folder}"))?;
    }
    file("real.html", "real")?;
    file("dir/inner.html", "inner")?;
    file("indexed/real.html", "index")?;
    file("packed.html", "plain")?;
    for (target, link) in [
        ("real.html", "link.html"),
        ("real.html", "own.html"),
        ("real.html", "foreign.html"),
        ("nothing", "dangling.html"),
        ("dir", "dirlink"),
        ("dir", "foreigndir"),
        ("inner.html", "dir/link.html"),
        ("real.html", "packed.html.gz"),
        ("real.html", "indexed/own.html"),
    ] {
        symlink(target, format!("{root}/{link}"))?;
        if link.starts_with("foreign") {
            lchown(format!("{root}/{link}"), Some(12_345), None)?;
        }
    }
    for name in ["real.html", "dir/inner.html", "indexed/real.html", "packed.html"] {
        let file = std::fs::File::options().write(true).open(format!("{root}/{name}"))?;
        file.set_modified(SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000_000))?;
    }
    Ok(())
}

fn answers(program: Program) -> io::Result<Vec<String>> {
    let testbed = TestBed::new(program)?;
    testbed.write(CONF)?;
    testbed.host().run(|| {
        for place in PLACES.iter().chain(&["logged"]) {
            put(place)?;
        }
        symlink("target.log", format!("{PREFIX}/logs/link.log"))
    })??;
    testbed.command(&[])?;
    let mut seen = testbed.host().run(|| {
        let mut all = Vec::new();
        for (place, file) in PLACES.iter().flat_map(|place| FILES.iter().map(move |file| (place, file))) {
            let target = format!("/{place}/{file}");
            let answer = client::get(local(8080), &target, &[("Accept-Encoding", "gzip")], LIMIT)?;
            // nginx 1.22 sends no ranges of files that were compressed, 1.23 does.
            let hidden = ["Date", "Server", "Accept-Ranges"];
            let kept: Vec<_> = answer.headers.iter().filter(|(name, _)| !hidden.contains(&name.as_str())).collect();
            let text = if answer.status >= 300 { String::new() } else { answer.text() };
            all.push(format!("{target}: {} {kept:?} {text}", answer.status));
        }
        for log in ["real", "link"] {
            let answer = client::get(local(8080), &format!("/logged/real.html?log={log}"), &[], LIMIT)?;
            all.push(format!("logged by {log}: {}", answer.status));
        }
        io::Result::Ok(all)
    })??;
    // The last line is written behind the answer.
    wait_for("the line of a log that is a link", LIMIT, || {
        testbed.file("logs/error.log").ok().filter(|log| log.contains("link.log")).map(|_| ())
    })?;
    let there = |name: &str| format!("{name}: {}", testbed.file(name).map_or(0, |text| text.lines().count()));
    seen.extend(["logs/real.log", "logs/target.log"].map(there));
    seen.extend(texts(&testbed.file("logs/error.log")?));
    Ok(seen)
}

/// The answers of both programs, which must be the same.
fn same(answers: fn(Program) -> io::Result<Vec<String>>) -> Vec<String> {
    let [original, ours] = both(answers);
    alike("line", &original, &ours);
    ours
}

#[test]
fn links_are_refused_as_by_nginx() {
    let ours = same(answers);
    let with = |text: &str| ours.iter().any(|line| line.contains(text));
    assert!(with("/on/link.html: 403") && with("/owner/link.html: 200") && with("openat() "), "{ours:#?}");
}

const REFRESHED: &str = r#"worker_processes 1;
events { }
http {
    access_log logs/access.log;
    log_format plain "$request_uri $status $sent_http_location";
    server {
        listen 127.0.0.1:8080;
        access_log logs/access.log plain;
        msie_refresh on;
        location /found { return 302 "/a?b=<c>&d='e'&f=%20~{g} h"; }
        location /moved { return 301 http://elsewhere/; }
        location /other { return 303 /x; }
        location /page { error_page 404 =307 /gone; return 404; }
        location /away { error_page 404 http://elsewhere/gone; return 404; }
        location /off { msie_refresh off; return 302 /x; }
        location /folder { root html; }
    }
}
"#;

fn refreshed(program: Program) -> io::Result<Vec<String>> {
    let testbed = TestBed::new(program)?;
    testbed.write(REFRESHED)?;
    testbed.host().run(|| mount::folder(&format!("{PREFIX}/html/folder")))??;
    testbed.command(&[])?;
    let mut all = testbed.host().run(|| {
        let mut all = Vec::new();
        for target in ["/found", "/moved", "/other", "/page", "/away", "/off", "/folder"] {
            for agent in ["x", "MSIE 9.0", "MSIE 9", "Mozilla (MSIE 5.5; x)", "MSIE 6.0 Opera"] {
                for method in ["GET", "HEAD"] {
                    let text = format!(
                        "{method} {target} HTTP/1.1\r\nHost: h\r\nConnection: close\r\nUser-Agent: {agent}\r\n\r\n"
                    );
                    let answer = client::raw(local(8080), text.as_bytes(), LIMIT)?;
                    let text = String::from_utf8_lossy(&answer).replace("nginx/1.22.1", "nginx/1.23.4");
                    let kept: Vec<_> = text.lines().filter(|line| !line.starts_with("Date: ")).collect();
                    all.push(format!("{method} {target} {agent}: {}", kept.join("\n")));
                }
            }
        }
        io::Result::Ok(all)
    })??;
    all.push(testbed.file("logs/access.log")?);
    Ok(all)
}

#[test]
fn internet_explorer_is_redirected_by_a_page_as_by_nginx() {
    let ours = same(refreshed);
    let page = "URL=/a?b=%3Cc%3E&d=%27e%27&f=%20%7E%7Bg}%20h\"></head>";
    assert!(ours.iter().any(|text| text.contains(page)), "{ours:#?}");
}
