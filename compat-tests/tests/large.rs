//! Files of 10 MiB, and files nested 100,000 deep: the installed programs and ours come to the same verdict, within bounded
//! memory. A run that does not come to an end is ended.

use std::fs;
use std::io;
use std::path::Path;
use std::process::{Command, Output};

use compat_tests::net::Host;
use compat_tests::program::Program;

const SIZE: usize = 10 << 20;

/// Address space a run may take, in bytes.
const MEMORY: u64 = 3 << 30;

/// Seconds after which a run hangs for certain.
const HANGS: u32 = 240;

/// A folder of the host's own.
const FOLDER: &str = "/tmp/large";

/// Writes a file where the host sees it.
fn written(host: &Host, name: &str, text: Vec<u8>) -> io::Result<()> {
    let name = name.to_owned();
    host.run(move || {
        let folders = [&format!("{FOLDER}/logs"), "/var/log/nginx", "/var/lib/nginx"];
        folders.iter().try_for_each(fs::create_dir_all).and_then(|()| fs::write(name, text))
    })?
}

/// What a run prints, ended where it takes too much.
fn run(host: &Host, program: &Path, words: &[&str]) -> io::Result<Output> {
    let mut command = Command::new("prlimit");
    command.arg(format!("--as={MEMORY}")).args(["timeout", &HANGS.to_string()]).arg(program).args(words);
    host.run(move || command.output())?
}

/// The first complaint of a test, from its level on, without the file's name.
fn complaint(output: &Output) -> Option<String> {
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    let line = text.lines().find(|line| line.contains("[emerg]"))?;
    let (_, rest) = line.split_once("[emerg] ")?;
    Some(rest.split_once("#").and_then(|(_, rest)| rest.split_once(": ")).map_or(rest, |(_, rest)| rest).to_owned())
}

/// Bytes nobody wrote, the same every time.
fn junk() -> Vec<u8> {
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    let mut byte = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 24) as u8
    };
    (0..SIZE).map(|_| byte()).collect()
}

/// Pieces until there are enough, between a head and a tail.
fn filled(head: &str, piece: impl Fn(usize) -> String, tail: &str) -> Vec<u8> {
    let mut text = head.to_owned();
    (0..).map_while(|number| (text.len() < SIZE).then(|| text.push_str(&piece(number)))).for_each(drop);
    (text + tail).into_bytes()
}

fn server(number: usize) -> String {
    let port = 20000 + number % 50;
    let body = format!("return 200 '{}';", "x".repeat(2000));
    format!("server {{ listen 127.0.0.1:{port}; server_name h{number}.x; location / {{ {body} }} }}\n")
}

fn nginx_cases() -> Vec<(&'static str, Vec<u8>)> {
    let head = "events {}\nhttp {\nserver_names_hash_max_size 100000;\n";
    let mut comment = b"events {}\n#".to_vec();
    comment.resize(SIZE, b'a');
    let mut token = b"events {}\nhttp { server_name ".to_vec();
    token.resize(SIZE, b'a');
    let mut quoted = b"events {}\nhttp { log_format a '".to_vec();
    quoted.resize(SIZE, b'a');
    vec![
        ("valid", filled(head, server, "}\n")),
        ("a mistake at the end", filled(head, server, "gzip maybe;\n}\n")),
        ("junk", junk()),
        ("zeros", vec![0; SIZE]),
        ("a comment", comment),
        ("a word", token),
        ("a quote", quoted),
        ("semicolons", vec![b';'; SIZE]),
        ("braces", "{".repeat(100_000).into_bytes()),
        ("unknown blocks", "foo {".repeat(100_000).into_bytes()),
        ("mistakes", filled("events {}\n", |number| format!("foo{number} bar;\n"), "")),
    ]
}

#[test]
fn large_files_are_judged_as_nginx_judges_them() -> io::Result<()> {
    let host = Host::new("reader")?;
    let (name, prefix) = (format!("{FOLDER}/nginx.conf"), FOLDER);
    let mut wrong = Vec::new();
    for (title, text) in nginx_cases() {
        written(&host, &name, text)?;
        let words = ["-t", "-e", "stderr", "-p", prefix, "-c", &name, "-g", "pid x.pid;"];
        let ours = run(&host, &Program::Ours.nginx()?, &words)?;
        let said = complaint(&ours);
        if let Ok(original) = Program::Original.nginx() {
            let theirs = run(&host, &original, &words)?;
            let same = (theirs.status.code(), ours.status.code());
            // Bytes that are no text are shown otherwise; the place and the beginning are the same.
            let alike = |text: Option<String>| {
                text.map(|text| (text.get(..17).map(str::to_owned), text.rsplit(':').next().map(str::to_owned)))
            };
            if same.0 != same.1 || alike(complaint(&theirs)) != alike(said.clone()) {
                wrong.push(format!("{title}: {same:?}, nginx {:?}, ours {said:?}", complaint(&theirs)));
            }
        }
        for form in ["--explain", "--json"] {
            let long = run(&host, &Program::Ours.nginx()?, &[&words[..], &[form]].concat())?;
            let size = long.stdout.len() + long.stderr.len();
            if long.status.code() != ours.status.code() || size > 2 << 20 {
                wrong.push(format!("{title} {form}: {:?}, {size} bytes", long.status));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    Ok(())
}

#[test]
fn blocks_nested_without_end_are_refused() -> io::Result<()> {
    let (host, name) = (Host::new("reader")?, format!("{FOLDER}/nginx.conf"));
    let text = format!("events {{}}\nhttp {{ server {{ {}", "location / { ".repeat(100_000));
    written(&host, &name, text.into_bytes())?;
    for form in [None, Some("--explain"), Some("--json")] {
        let words: Vec<&str> = ["-t", "-e", "stderr", "-c", &name].into_iter().chain(form).collect();
        let ours = run(&host, &Program::Ours.nginx()?, &words)?;
        let text = format!("{}{}", String::from_utf8_lossy(&ours.stdout), String::from_utf8_lossy(&ours.stderr));
        assert_eq!(ours.status.code(), Some(1), "{text}");
        assert!(text.contains("blocks are nested too deeply"), "{text}");
    }
    Ok(())
}

fn script(number: usize) -> String {
    format!("vrrp_script s{number} {{\n    script \"/bin/true {number} {}\"\n    interval 2\n}}\n", "x".repeat(500))
}

#[test]
fn large_files_are_judged_as_keepalived_judges_them() -> io::Result<()> {
    let (host, name) = (Host::new("reader")?, format!("{FOLDER}/keepalived.conf"));
    let tail = "vrrp_instance V {\n priority 300\n}\n";
    let cases = [
        ("valid", filled("", script, "")),
        ("a mistake at the end", filled("", script, tail)),
        ("junk", junk()),
        ("braces", "{\n".repeat(100_000).into_bytes()),
        ("nested", "vrrp_instance V {\n".repeat(100_000).into_bytes()),
    ];
    let mut wrong = Vec::new();
    for (title, text) in cases {
        written(&host, &name, text)?;
        // keepalived crashes over junk.
        let fine = |output: &Output| output.status.success();
        let ours = run(&host, &Program::Ours.keepalived()?, &["-t", "-f", &name])?;
        if ours.status.code().is_none() {
            wrong.push(format!("{title}: ours {:?}", ours.status));
        }
        if let Ok(original) = Program::Original.keepalived() {
            let theirs = run(&host, &original, &["-t", "-f", &name])?;
            if fine(&theirs) != fine(&ours) {
                wrong.push(format!("{title}: keepalived {:?}, ours {:?}", theirs.status, ours.status));
            }
        }
        for form in ["--explain", "--json"] {
            let long = run(&host, &Program::Ours.keepalived()?, &["-t", "-f", &name, form])?;
            if long.status.code() != ours.status.code() {
                wrong.push(format!("{title} {form}: {:?}", long.status));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    Ok(())
}
