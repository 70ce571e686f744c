//! Access logs whose paths have variables, and those that are compressed, beside the installed nginx.

use std::io::{self, Write};
use std::process::{Command, Stdio};

use compat_tests::peer::PREFIX;
use compat_tests::program::Program;
use compat_tests::stand::{LIMIT, Stand, local};
use compat_tests::{client, mount};

use crate::filters::texts;

const CONF: &str = r#"worker_processes 1;
events { }
http {
    server_tokens off;
    log_format short "$request_uri $status";
    access_log off;
    root html;
    server {
        listen 127.0.0.1:8080;
        access_log html/logs/$arg_name.log short if=$arg_name;
        location /rootless/ { root $arg_root; return 200 x; }
        location /packed/ { access_log logs/packed.gz short gzip=9 flush=1h; }
        location /many/ {
            OTHERS
            access_log html/logs/now.log short;
        }
    }
}
"#;

const TARGETS: &[&str] = &[
    "/a?name=one",
    "/b?name=two",
    "/c?name=one",
    "/d",
    "/e?name=no/folder",
    "/rootless/f?name=root&root=/none",
    "/rootless/g?name=root&root=/etc/passwd",
    "/rootless/h?name=root&root=/etc",
    "/packed/i",
    "/packed/j",
];

fn seen(program: Program) -> io::Result<(Vec<String>, Vec<u8>, Vec<String>)> {
    let stand = Stand::new(program)?;
    stand.write(&CONF.replace("OTHERS", ""))?;
    stand.host().run(|| {
        let folder = format!("{PREFIX}/html/logs");
        std::fs::create_dir_all(&folder)?;
        std::fs::set_permissions(folder, std::os::unix::fs::PermissionsExt::from_mode(0o777))?;
        mount::file(&format!("{PREFIX}/html/index.html"), b"x", 0o644)
    })??;
    stand.command(&[])?;
    stand
        .host()
        .run(|| TARGETS.iter().try_for_each(|target| client::get(local(8080), target, &[], LIMIT).map(|_| ())))??;
    let files = ["one", "two", "root"].map(|name| stand.file(&format!("html/logs/{name}.log")).unwrap_or_default());
    let master = stand.master()?;
    stand.command(&["-s", "quit"])?;
    stand.wait_for_end(master)?;
    let packed = stand.host().run(|| std::fs::read(format!("{PREFIX}/logs/packed.gz")))??;
    Ok((files.to_vec(), packed, texts(&stand.file("logs/error.log")?)))
}

/// What gzip makes of its own format.
fn unpacked(bytes: &[u8]) -> io::Result<Vec<u8>> {
    let mut gzip = Command::new("gzip").arg("-dc").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
    gzip.stdin.take().ok_or(io::ErrorKind::BrokenPipe)?.write_all(bytes)?;
    Ok(gzip.wait_with_output()?.stdout)
}

#[test]
fn logs_with_variables_and_compressed_logs_are_nginxs() {
    let [original, ours] = [Program::Original, Program::Ours].map(|program| seen(program).expect("logs"));
    assert_eq!(original.0, ours.0);
    assert_eq!(
        ours.0,
        ["/a?name=one 404\n/c?name=one 404\n", "/b?name=two 404\n", "/rootless/h?name=root&root=/etc 200\n"]
    );
    assert_eq!(unpacked(&ours.1).expect("gzip"), b"/packed/i 404\n/packed/j 404\n");
    assert!(original.1 == ours.1, "other bytes");
    assert_eq!(original.2, ours.2);
}

#[test]
fn a_client_that_sees_its_connection_end_finds_its_line() {
    for program in [Program::Original, Program::Ours] {
        let stand = Stand::new(program).expect("a host");
        // All before it are written first.
        let others: String = (0..100).map(|number| format!("access_log html/logs/{number}.log short; ")).collect();
        stand.write(&CONF.replace("OTHERS", &others)).expect("a configuration");
        let folder = || std::fs::create_dir_all(format!("{PREFIX}/html/logs"));
        stand.host().run(folder).expect("a host").expect("a folder");
        stand.command(&[]).expect("a start");
        let asked = || -> io::Result<Vec<usize>> {
            let text = b"GET /many/ HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
            let count = |_| {
                client::raw(local(8080), text, LIMIT)?;
                std::fs::read_to_string(format!("{PREFIX}/html/logs/now.log")).map(|text| text.lines().count())
            };
            (0..200).map(count).collect()
        };
        let counts = stand.host().run(asked).expect("a host").expect("answers");
        assert_eq!(counts, (1..=200).collect::<Vec<_>>(), "{program:?}");
    }
}
