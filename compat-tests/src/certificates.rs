//! Certificates, keys and their side files, made by the installed `openssl` when they are first asked for.

use std::fs;
use std::io;
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use crate::Scratch;

/// The commands that make them, in a folder of their own.
const COMMANDS: &[&str] = &[
    "req -x509 -newkey rsa:2048 -nodes -keyout key.pem -out cert.pem -days 3650 -subj /CN=example.com",
    "req -x509 -newkey rsa:1024 -nodes -keyout small.key -out small.pem -days 3650 -subj /CN=small.example.com",
    "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -keyout ec.key -out ec.pem -days 3650 -subj /CN=ec",
    "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -keyout ca.key -out ca.pem -days 3650 -subj /CN=issuer",
    "req -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -keyout client.key -out client.csr -subj /C=DE/CN=client",
    "x509 -req -in client.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 3650 -out client.pem",
    "genrsa -out other.key 2048",
    "rsa -aes256 -passout pass:secret -in key.pem -out sealed.key",
    "ecparam -genkey -name secp384r1 -out ec384.key",
    "genpkey -algorithm ed25519 -out ed.key",
    "dhparam -dsaparam -out dh1024.pem 1024",
    "dhparam -dsaparam -out dh2048.pem 2048",
];

/// Every file: its name and bytes. None where there is no `openssl`.
pub fn all() -> io::Result<&'static [(String, Vec<u8>)]> {
    static FILES: OnceLock<Vec<(String, Vec<u8>)>> = OnceLock::new();
    if let Some(files) = FILES.get() {
        return Ok(files);
    }
    let made = make()?;
    Ok(FILES.get_or_init(|| made))
}

fn make() -> io::Result<Vec<(String, Vec<u8>)>> {
    let scratch = Scratch::new("certificates")?;
    for command in COMMANDS {
        let mut openssl = Command::new("openssl");
        openssl.args(command.split(' ')).current_dir(scratch.path());
        if openssl.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status().is_err() {
            break;
        }
    }
    let broken = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    let whole = fs::read_to_string(scratch.path().join("cert.pem")).unwrap_or_default();
    let mut files = vec![
        ("password".to_owned(), b"secret\n".to_vec()),
        ("empty".to_owned(), Vec::new()),
        ("junk.pem".to_owned(), b"junk\n".to_vec()),
        ("broken.pem".to_owned(), broken.as_bytes().to_vec()),
        ("chain.pem".to_owned(), format!("{whole}{broken}").into_bytes()),
        ("ticket".to_owned(), vec![7; 48]),
        ("ticket80".to_owned(), vec![7; 80]),
        ("short".to_owned(), vec![7; 20]),
    ];
    for entry in fs::read_dir(scratch.path())? {
        let entry = entry?;
        files.push((entry.file_name().to_string_lossy().into_owned(), fs::read(entry.path())?));
    }
    Ok(files)
}
