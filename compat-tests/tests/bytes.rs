//! Names and values that are no UTF-8, as files written under GBK have them: nginx and ours read the same files, make the
//! same logs, and say the same bytes.

use std::ffi::OsStr;
use std::fs;
use std::io::{self, Read as _, Write as _};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use compat_tests::Scratch;
use compat_tests::program::Program;

/// A word in GBK.
const WORD: &[u8] = b"\xd6\xd0\xce\xc4";

/// A text with [`WORD`] for each `@`.
fn gbk(text: &str) -> Vec<u8> {
    text.bytes().flat_map(|byte| if byte == b'@' { WORD.to_vec() } else { vec![byte] }).collect()
}

/// Names of files that are there afterwards, what was printed to standard error and output, and the exit code.
struct Outcome {
    names: Vec<Vec<u8>>,
    error: Vec<u8>,
    output: Vec<u8>,
    code: Option<i32>,
}

/// `-T` in a folder of its own, which is called HERE in what is printed.
fn test(program: Program, main: &str) -> io::Result<Outcome> {
    let scratch = Scratch::new("bytes")?;
    let here = |name: &[u8]| -> PathBuf { scratch.path().join(OsStr::from_bytes(name)) };
    fs::create_dir(here(b"sites"))?;
    fs::write(here(&gbk("sites/@.conf")), "server { listen 127.0.0.1:1; }")?;
    fs::write(here(&gbk("sites/a@.conf")), "server { listen 127.0.0.1:2; }")?;
    fs::write(here(&gbk("@.inc")), gbk("access_log @.log; error_log @.err;"))?;
    fs::write(here(b"nginx.conf"), gbk(main))?;
    let done = Command::new(program.nginx()?)
        .arg("-p")
        .arg(format!("{}/", scratch.path().display()))
        .args(["-e", "error.log", "-c", "nginx.conf", "-T"])
        .output()?;
    let mut names = Vec::new();
    for entry in fs::read_dir(scratch.path())? {
        names.push(entry?.file_name().as_bytes().to_vec());
    }
    names.sort();
    let plain = |said: &[u8]| replaced(said, scratch.path().as_os_str().as_bytes(), b"HERE");
    Ok(Outcome { names, error: plain(&done.stderr), output: plain(&done.stdout), code: done.status.code() })
}

/// Bytes with `to` for each `from`.
fn replaced(bytes: &[u8], from: &[u8], to: &[u8]) -> Vec<u8> {
    let (mut out, mut rest) = (Vec::new(), bytes);
    while let [first, tail @ ..] = rest {
        match rest.strip_prefix(from) {
            Some(behind) => {
                out.extend_from_slice(to);
                rest = behind;
            }
            None => {
                out.push(*first);
                rest = tail;
            }
        }
    }
    out
}

#[test]
fn what_is_no_utf8_is_read_written_and_said_as_it_is() -> io::Result<()> {
    let fine = "pid @.pid; events {} http { include @.inc; client_body_temp_path @temp; include sites/*.conf; }";
    let wrong = [
        "events {} http { @ on; }",
        "events {} http { gzip @; }",
        "events {} http { include @@; }",
        "events {} http { access_log x @@; }",
        "events {} http { server { listen 127.0.0.1:1 @; } }",
        "events {} http { upstream @ { server 127.0.0.1:1 @=1; } }",
    ];
    for main in std::iter::once(fine).chain(wrong) {
        let ours = test(Program::Ours, main)?;
        let said = String::from_utf8_lossy(&ours.error).into_owned();
        assert_eq!(ours.code, Some(i32::from(main != fine)), "{said}");
        if main == fine {
            for name in ["@.log", "@.err", "@.pid", "@temp"] {
                assert!(ours.names.contains(&gbk(name)), "{name} is not there: {said}");
            }
            let dumped = replaced(&ours.output, &gbk("HERE/sites/a@.conf:\nserver"), b"");
            assert!(dumped.len() < ours.output.len(), "{}", String::from_utf8_lossy(&ours.output));
        } else {
            assert!(replaced(&ours.error, WORD, b"").len() < ours.error.len(), "{main}: {said}");
        }
        if Program::Original.nginx().is_ok() {
            let theirs = test(Program::Original, main)?;
            assert_eq!(theirs.error, ours.error, "{}\n{said}", String::from_utf8_lossy(&theirs.error));
            assert_eq!(theirs.code, ours.code);
            // What nginx was built to make of its own is not made here.
            assert!(theirs.output == ours.output && ours.names.iter().all(|name| theirs.names.contains(name)));
        }
    }
    Ok(())
}

/// The answer of a server whose folder has such a name.
fn answer(program: Program, target: &str) -> io::Result<Vec<u8>> {
    let scratch = Scratch::new("bytes")?;
    let folder = scratch.path().join(OsStr::from_bytes(WORD));
    fs::create_dir(&folder)?;
    fs::write(folder.join("a.txt"), "here\n")?;
    let conf = "daemon off; master_process off; pid p; events {} http { access_log off; server { listen unix:s; root @;
        add_header X-Root $document_root; location /real { return 200 $realpath_root; } } }";
    let here = scratch.path().display().to_string();
    let conf = conf.replace("unix:s", &format!("unix:{here}/s"));
    fs::write(scratch.path().join("nginx.conf"), gbk(&conf))?;
    let path = program.nginx()?;
    let mut server =
        Command::new(path).arg("-p").arg(format!("{here}/")).args(["-e", "stderr", "-c", "nginx.conf"]).spawn()?;
    let ask = || -> io::Result<Vec<u8>> {
        let mut socket = UnixStream::connect(scratch.path().join("s"))?;
        socket.write_all(format!("GET {target} HTTP/1.0\r\n\r\n").as_bytes())?;
        let mut answer = Vec::new();
        socket.read_to_end(&mut answer)?;
        Ok(answer)
    };
    let mut answered = ask();
    for _ in 0..200 {
        if answered.is_ok() {
            break;
        }
        std::thread::sleep(Duration::from_millis(20));
        answered = ask();
    }
    server.kill()?;
    server.wait()?;
    let answer = replaced(&answered?, here.as_bytes(), b"HERE");
    // Date, what differs from file to file, and the length of the folder's name.
    let lines = answer.split_inclusive(|byte| *byte == b'\n');
    let varies = [&b"Server:"[..], b"Date:", b"ETag:", b"Last-Modified:", b"Content-Length:"];
    Ok(lines.filter(|line| !varies.iter().any(|name| line.starts_with(name))).flatten().copied().collect())
}

#[test]
fn a_folder_whose_name_is_no_utf8_is_served() -> io::Result<()> {
    for target in ["/a.txt", "/real", "/none"] {
        let ours = answer(Program::Ours, target)?;
        let said = String::from_utf8_lossy(&ours).into_owned();
        assert!(replaced(&ours, &gbk("HERE/@"), b"").len() < ours.len() || target == "/none", "{said}");
        if Program::Original.nginx().is_ok() {
            let theirs = answer(Program::Original, target)?;
            let plain = |said: &[u8]| replaced(said, b"1.22.1", b"1.23.4");
            assert_eq!(plain(&theirs), plain(&ours), "{}\n{said}", String::from_utf8_lossy(&theirs));
        }
    }
    Ok(())
}
