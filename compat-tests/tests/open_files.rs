//! `open_file_cache`, beside the installed nginx: files that are replaced, changed, removed and made between requests.

use std::fs;
use std::io;
use std::os::unix::fs::{PermissionsExt as _, symlink};

use compat_tests::client;
use compat_tests::compare::{alike, both, steady};
use compat_tests::peer::PREFIX;
use compat_tests::program::Program;
use compat_tests::testbed::{LIMIT, TestBed, local};

const CONF: &str = r#"worker_processes 1;
error_log logs/error.log info;
events { }
http {
    access_log off;
    server_tokens off;
    etag off;
    add_header Last-Modified "";
    open_file_cache max=100 inactive=1h;
    open_file_cache_valid 1h;
    server {
        listen 127.0.0.1:8080;
        root html;
        location /kept/ { }
        location /errors/ { open_file_cache_errors on; open_file_cache_events on; }
        location /sent/ { sendfile on; }
        location /looked/ { open_file_cache_valid 0; }
        location /looked/errors/ { open_file_cache_valid 0; open_file_cache_errors on; }
        location /uses/ { open_file_cache max=100; open_file_cache_min_uses 3; }
        location /two/ { open_file_cache max=2; }
        location /off/ { open_file_cache off; }
        location /tried/ { open_file_cache max=100; open_file_cache_errors on; try_files $uri $uri/index.html =410; }
        location /tested/ { open_file_cache max=100; if (-f $request_filename) { return 200 file; } if (-d $request_filename) { return 200 folder; } return 200 none; }
        location /packed/ { gzip_static always; max_ranges 0; }
        location /links/ { disable_symlinks on; alias html/links/; }
        location /followed/ { disable_symlinks on; alias html/links/; if ($arg_f) { set $x 1; } location /followed/on/ { disable_symlinks off; alias html/links/; } }
        location /listed/ { autoindex on; open_file_cache_errors on; }
    }
}
"#;

/// What happens to the files, and what is asked.
#[derive(Clone, Copy, Debug)]
enum Step {
    /// A request.
    Get(&'static str),
    /// A file is put in the place of what was there.
    Put(&'static str, &'static str),
    /// A file is written over.
    Write(&'static str, &'static str),
    Remove(&'static str),
    Folder(&'static str),
    RemoveFolder(&'static str),
    /// Nobody but root may read a file.
    Close(&'static str),
    Link(&'static str, &'static str),
}

use Step::{Close, Folder, Get, Link, Put, Remove, RemoveFolder, Write};

impl Step {
    fn run(self) -> io::Result<Option<String>> {
        let place = |name: &str| format!("{PREFIX}/html/{name}");
        match self {
            Get(target) => {
                let request = format!("GET {target} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
                let answer = client::raw(local(8080), request.as_bytes(), LIMIT)?;
                return Ok(Some(steady(&String::from_utf8_lossy(&answer))));
            }
            Put(name, text) => {
                let new = place("new");
                fs::write(&new, text)?;
                fs::set_permissions(&new, fs::Permissions::from_mode(0o644))?;
                fs::rename(new, place(name))?;
            }
            Write(name, text) => fs::write(place(name), text)?,
            Remove(name) => fs::remove_file(place(name))?,
            Folder(name) => fs::create_dir_all(place(name))?,
            RemoveFolder(name) => fs::remove_dir(place(name))?,
            Close(name) => fs::set_permissions(place(name), fs::Permissions::from_mode(0o600))?,
            Link(to, name) => symlink(to, place(name))?,
        }
        Ok(None)
    }
}

/// Answers in order, and the lines of the error log.
type Outcome = (Vec<(&'static str, String)>, Vec<String>);

fn outcome(program: Program, steps: &'static [Step]) -> io::Result<Outcome> {
    let testbed = TestBed::new(program)?;
    testbed.write(CONF)?;
    testbed.host().run(|| {
        let folders = [
            "kept",
            "sent",
            "errors",
            "looked/errors",
            "uses",
            "two",
            "off",
            "tried",
            "tested",
            "packed",
            "links",
            "listed",
        ];
        folders.iter().try_for_each(|name| fs::create_dir_all(format!("{PREFIX}/html/{name}")))
    })??;
    testbed.command(&[])?;
    testbed.wait_for_listener()?;
    let answers = testbed.host().run(move || {
        let mut answers = Vec::new();
        for step in steps {
            if let (Some(answer), Get(target)) = (step.run()?, *step) {
                answers.push((target, answer));
            }
        }
        Ok::<_, io::Error>(answers)
    })??;
    let text = |line: &str| Some(line.split_once(": *")?.1.split_once(' ')?.1.to_owned());
    let log = testbed.file("logs/error.log")?;
    let mut lines: Vec<String> = log.lines().filter(|line| line.contains("request: ")).filter_map(text).collect();
    lines.dedup();
    Ok((answers, lines))
}

fn compare(steps: &'static [Step]) {
    let [original, ours] = both(|program| outcome(program, steps));
    alike("answer", &original.0, &ours.0);
    alike("line", &original.1, &ours.1);
}

#[test]
fn a_file_is_what_it_was_until_somebody_looks_again() {
    compare(&[
        Put("kept/a", "one"),
        Put("looked/a", "one"),
        Get("/kept/a"),
        Get("/looked/a"),
        Put("kept/a", "replaced"),
        Put("looked/a", "replaced"),
        Get("/kept/a"),
        Get("/looked/a"),
        Write("kept/a", "written over"),
        Write("looked/a", "written over"),
        Get("/kept/a"),
        Get("/looked/a"),
        Close("kept/a"),
        Close("looked/a"),
        Get("/kept/a"),
        Get("/looked/a"),
        Remove("kept/a"),
        Remove("looked/a"),
        Get("/kept/a"),
        Get("/looked/a"),
        Folder("kept/a"),
        Folder("looked/a"),
        Get("/kept/a"),
        Get("/looked/a"),
        Get("/looked/a"),
        RemoveFolder("looked/a"),
        Get("/looked/a"),
        Put("looked/a", "again"),
        Get("/looked/a"),
        Put("kept/b", "grows"),
        Get("/kept/b"),
        Write("kept/b", "grows and grows"),
        Get("/kept/b"),
        Put("kept/c", "closed"),
        Close("kept/c"),
        Get("/kept/c"),
        Get("/kept/c"),
        Get("/kept/none"),
        Put("kept/none", "made"),
        Get("/kept/none"),
    ]);
}

#[test]
fn errors_and_folders_are_kept_like_nginx_keeps_them() {
    compare(&[
        Get("/errors/a"),
        Put("errors/a", "made"),
        Get("/errors/a"),
        Get("/looked/errors/a"),
        Put("looked/errors/a", "made"),
        Get("/looked/errors/a"),
        Remove("looked/errors/a"),
        Get("/looked/errors/a"),
        Get("/looked/errors/a"),
        Put("errors/closed", "closed"),
        Close("errors/closed"),
        Get("/errors/closed"),
        Get("/errors/closed"),
        Folder("errors/folder"),
        Get("/errors/folder"),
        RemoveFolder("errors/folder"),
        Get("/errors/folder"),
        Get("/errors/folder/"),
        Put("errors/folder", "a file"),
        Get("/errors/folder"),
        Get("/errors/folder/"),
        Folder("errors/index"),
        Get("/errors/index/"),
        Put("errors/index/index.html", "index"),
        Get("/errors/index/"),
        Folder("listed/a"),
        Get("/listed/a/"),
        Put("listed/a/index.html", "index"),
        Get("/listed/a/"),
        Get("/errors/a/b"),
    ]);
}

#[test]
fn files_stay_open_after_enough_uses_and_while_there_is_room() {
    compare(&[
        Put("uses/a", "1"),
        Get("/uses/a"),
        Put("uses/a", "22"),
        Get("/uses/a"),
        Put("uses/a", "333"),
        Get("/uses/a"),
        Put("uses/a", "4444"),
        Get("/uses/a"),
        Put("two/a", "1"),
        Put("two/b", "1"),
        Put("two/c", "1"),
        Get("/two/a"),
        Get("/two/b"),
        Get("/two/a"),
        Get("/two/c"),
        Put("two/a", "22"),
        Put("two/b", "22"),
        Put("two/c", "22"),
        Get("/two/c"),
        Get("/two/a"),
        Get("/two/b"),
        Get("/two/a"),
        Get("/two/c"),
        Put("off/a", "1"),
        Get("/off/a"),
        Put("off/a", "22"),
        Get("/off/a"),
    ]);
}

#[test]
fn whoever_looks_at_files_looks_through_the_cache() {
    compare(&[
        Get("/tried/a"),
        Put("tried/a", "made"),
        Get("/tried/a"),
        Put("tried/b", "one"),
        Get("/tried/b"),
        Remove("tried/b"),
        Get("/tried/b"),
        Folder("tried/c"),
        Put("tried/c/index.html", "index"),
        Get("/tried/c"),
        Put("tried/closed", "closed"),
        Close("tried/closed"),
        Get("/tried/closed"),
        Get("/tested/a"),
        Put("tested/a", "made"),
        Get("/tested/a"),
        Remove("tested/a"),
        Get("/tested/a"),
        Folder("tested/b"),
        Get("/tested/b"),
        RemoveFolder("tested/b"),
        Get("/tested/b"),
        Put("tested/closed", "closed"),
        Close("tested/closed"),
        Get("/tested/closed"),
        Put("packed/a.gz", "one"),
        Get("/packed/a"),
        Put("packed/a.gz", "other"),
        Get("/packed/a"),
        Put("links/a", "one"),
        Link("a", "links/b"),
        Get("/links/a"),
        Get("/links/b"),
        Get("/followed/on/b"),
        Get("/followed/b"),
        Get("/followed/on/b"),
        Put("links/a", "other"),
        Get("/links/a"),
        Get("/followed/a"),
        Get("/followed/on/a"),
        Get("/followed/on/b"),
    ]);
}

const fn text<const LENGTH: usize>(bytes: &'static [u8; LENGTH]) -> &'static str {
    match std::str::from_utf8(bytes) {
        Ok(text) => text,
        Err(_) => "",
    }
}

#[test]
fn a_file_that_became_shorter_is_not_sent_and_said() {
    const STEPS: &[Step] = &[
        Put("kept/one", text(&[b'x'; 10_000])),
        Get("/kept/one"),
        Write("kept/one", text(&[b'y'; 3000])),
        Get("/kept/one"),
        Put("sent/one", text(&[b'x'; 200_000])),
        Get("/sent/one"),
        Write("sent/one", text(&[b'y'; 3000])),
        Get("/sent/one"),
    ];
    compare(STEPS);
}
