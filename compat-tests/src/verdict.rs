//! What `-t` says of a configuration, asked of the installed nginx and of ours: cases as text, and the two runs.
//!
//! ```text
//! # a remark
//! == A sentence                      a case: the main file follows as it is, byte for byte
//! http { }
//! == [server] Another                the same inside `events { } http { server {` … `} }`; also [http], [location],
//! gzip maybe;                        [upstream], [events], [stream], [stream-server], [mail]; line numbers are the text's own
//! == [http] One newer than nginx     a case that cannot be compared says itself what is expected
//! gzip on;
//! -- exit 1
//! -- nginx: [emerg] … in nginx.conf:1
//! ```
//!
//! Each run has the same fresh prefix, `/prefix/`, with `conf/`, `logs/`, `html/`. nginx loads its dynamic modules; rnginx
//! may leave out what it does not serve, and what it says of that is not compared.

use std::fs;
use std::io;
use std::path::Path;
use std::process::Command;
use std::sync::OnceLock;

use crate::certificates;
use crate::net::Host;
use crate::program::Program;

/// One configuration and what is known of it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Case {
    /// A sentence.
    pub title: String,
    /// The main file.
    pub text: Vec<u8>,
    /// What is said of it, where the installed nginx cannot be asked.
    pub expected: Option<Verdict>,
}

/// What a program says of a configuration.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Verdict {
    /// Its exit status.
    pub status: Option<i32>,
    /// Its lines.
    pub lines: Vec<String>,
}

/// The blocks around a case's text, which begin on its first line.
/// What ours alone says: what it leaves out, and what rustls does not speak.
const OURS: [&str; 2] = [" is not served, left out", " and the like name what is not supported and ignored"];

const AROUND: [(&str, &str, &str); 8] = [
    ("http", "events { } http { ", "}\n"),
    ("server", "events { } http { server { ", "} }\n"),
    ("location", "events { } http { server { location / { ", "} } }\n"),
    ("upstream", "events { } http { upstream u { ", "} }\n"),
    ("events", "events { ", "}\n"),
    ("stream", "events { } stream { ", "}\n"),
    ("stream-server", "events { } stream { server { ", "} }\n"),
    ("mail", "events { } mail { ", "}\n"),
];

/// The cases of a file.
pub fn parse(file: &[u8]) -> Vec<Case> {
    let mut cases: Vec<Case> = Vec::new();
    let mut end = "";
    for line in file.split_inclusive(|byte| *byte == b'\n') {
        let text = String::from_utf8_lossy(line);
        if let Some(title) = text.strip_prefix("== ") {
            finish(&mut cases, end);
            let title = title.trim_end();
            let around = AROUND.iter().find(|(name, ..)| title.starts_with(&format!("[{name}]")));
            end = around.map_or("", |(.., end)| end);
            let text = around.map_or("", |(_, begin, _)| begin).as_bytes().to_vec();
            cases.push(Case { title: title.to_owned(), text, expected: None });
        } else if let (Some(case), Some(said)) = (cases.last_mut(), text.strip_prefix("-- ")) {
            let expected = case.expected.get_or_insert_default();
            match said.trim_end().strip_prefix("exit ") {
                Some(status) => expected.status = status.parse().ok(),
                None => expected.lines.push(said.trim_end().to_owned()),
            }
        } else if let Some(case) = cases.last_mut() {
            case.text.extend_from_slice(line);
        }
    }
    finish(&mut cases, end);
    cases
}

fn finish(cases: &mut [Case], end: &str) {
    if let Some(case) = cases.last_mut() {
        case.text.extend_from_slice(end.as_bytes());
    }
}

/// Where a run happens, the same for both programs.
const PREFIX: &str = "/prefix";

/// What `program` says of `text` in `host`.
pub fn ask(host: &Host, program: Program, text: &[u8]) -> io::Result<Verdict> {
    run(host, (program, "-t"), text, &[]).map(|(verdict, _)| verdict)
}

/// The same with `-T`, and what it prints; `files` are put in place of those of their names.
pub fn dump(host: &Host, program: Program, text: &[u8], files: &[(String, Vec<u8>)]) -> io::Result<(Verdict, Vec<u8>)> {
    run(host, (program, "-T"), text, files)
}

fn run(
    host: &Host,
    (program, option): (Program, &'static str),
    text: &[u8],
    files: &[(String, Vec<u8>)],
) -> io::Result<(Verdict, Vec<u8>)> {
    let (path, text, files) = (program.nginx()?, text.to_vec(), files.to_vec());
    let side = side_files()?;
    let modules = modules()?;
    host.run(move || {
        prepare(&text, side)?;
        files.iter().try_for_each(|(name, bytes)| fs::write(name, bytes))?;
        let mut command = Command::new(path);
        command.args([option, "-p", PREFIX, "-c", "conf/nginx.conf", "-e", "logs/error.log"]);
        match program {
            Program::Original => command.args(["-g", &modules]),
            Program::Ours => command.arg("--allow-unserved"),
        };
        let output = command.output()?;
        let lines = output.stderr.split(|byte| *byte == b'\n').map(|line| String::from_utf8_lossy(line).into_owned());
        let own = |line: &String| !line.is_empty() && !OURS.iter().any(|own| line.contains(own));
        let verdict = Verdict { status: output.status.code(), lines: lines.filter(own).map(undated).collect() };
        Ok((verdict, output.stdout))
    })?
}

/// A fresh prefix with the configuration, and the files that cases name, which stay from case to case.
fn prepare(text: &[u8], side: &[(String, Vec<u8>)]) -> io::Result<()> {
    let prefix = Path::new(PREFIX);
    let conf = prefix.join("conf");
    for entry in fs::read_dir(prefix).into_iter().flatten() {
        let path = entry?.path();
        if path != conf {
            if path.is_dir() { fs::remove_dir_all(path)? } else { fs::remove_file(path)? }
        }
    }
    for folder in ["logs", "html"] {
        fs::create_dir_all(prefix.join(folder))?;
    }
    if !conf.exists() {
        for folder in ["/var/lib/nginx", "/var/log/nginx"] {
            fs::create_dir_all(folder)?;
        }
        for (name, bytes) in side {
            let path = conf.join(name);
            fs::create_dir_all(path.parent().unwrap_or(&conf))?;
            fs::write(path, bytes)?;
        }
    }
    fs::write(conf.join("nginx.conf"), text)
}

/// The files beside every configuration: those of the fixtures, and certificates.
pub fn side_files() -> io::Result<&'static [(String, Vec<u8>)]> {
    static FILES: OnceLock<Vec<(String, Vec<u8>)>> = OnceLock::new();
    if let Some(files) = FILES.get() {
        return Ok(files);
    }
    let mut files = certificates::all()?.to_vec();
    for folder in ["fixtures/nginx/verdict/files", "fixtures/nginx/corpus/include"] {
        gather(&crate::root().join(folder), "", &mut files)?;
    }
    Ok(FILES.get_or_init(|| files))
}

fn gather(folder: &Path, name: &str, files: &mut Vec<(String, Vec<u8>)>) -> io::Result<()> {
    if !folder.exists() {
        return Ok(());
    }
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let below = format!("{name}{}", entry.file_name().to_string_lossy());
        if entry.path().is_dir() {
            gather(&entry.path(), &format!("{below}/"), files)?;
        } else {
            files.push((below, fs::read(entry.path())?));
        }
    }
    Ok(())
}

/// What makes the installed nginx load every module that is a file; one that is missing would be judged as unknown.
fn modules() -> io::Result<String> {
    let names = [
        ("stream", "stream"),
        ("mail", "mail"),
        ("http_geoip", "http-geoip"),
        ("stream_geoip", "stream-geoip"),
        ("http_image_filter", "http-image-filter"),
        ("http_perl", "http-perl"),
        ("http_xslt_filter", "http-xslt-filter"),
    ];
    let loads = names.map(|(module, package)| {
        let path = format!("/usr/lib/nginx/modules/ngx_{module}_module.so");
        if Path::new(&path).exists() {
            return Ok(format!("load_module {path};"));
        }
        Err(io::Error::other(format!("{path} is missing; compat-tests/run installs it (libnginx-mod-{package})")))
    });
    loads.into_iter().collect()
}

/// A line without the time and process it may begin with.
fn undated(line: String) -> String {
    match line.split_once("#0: ") {
        Some((head, tail)) if line.starts_with(|first: char| first.is_ascii_digit()) => {
            let level = head.split(['[', ']']).nth(1).unwrap_or_default();
            format!("nginx: [{level}] {tail}")
        }
        _ => line,
    }
}

/// What is wrong with our verdict on a case, if anything.
pub fn difference(host: &Host, case: &Case) -> io::Result<Option<String>> {
    let theirs = match &case.expected {
        Some(expected) => expected.clone(),
        None => ask(host, Program::Original, &case.text)?,
    };
    let ours = ask(host, Program::Ours, &case.text)?;
    let text = String::from_utf8_lossy(&case.text);
    let text = text.get(..text.len().min(2000)).unwrap_or_default();
    let report = || format!("{}\n{text}\n  nginx {theirs:#?}\n  ours {ours:#?}", case.title);
    Ok((theirs != ours).then(report))
}
