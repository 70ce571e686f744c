//! The manual in `man/` is what the registry renders, and groff has nothing against it. `BLESS=1` writes it again.

use std::fs;
use std::io;
use std::process::Command;

use compat_tests::root;

#[test]
fn the_manual_is_what_the_registry_renders() -> io::Result<()> {
    let folder = root().join("man");
    let mut wrong = Vec::new();
    for (name, text) in rha::migrate::manual::pages() {
        let path = folder.join(name);
        if std::env::var_os("BLESS").is_some() {
            fs::write(&path, &text)?;
        }
        if fs::read_to_string(&path).unwrap_or_default() != text {
            wrong.push(name);
        }
    }
    assert!(wrong.is_empty(), "not as rendered: {wrong:?}; BLESS=1 writes them");
    Ok(())
}

#[test]
fn groff_has_no_warnings_about_the_manual() -> io::Result<()> {
    for (name, _) in rha::migrate::manual::pages() {
        let mut command = Command::new("groff");
        command.args(["-man", "-Tutf8", "-ww", "-z"]).arg(root().join("man").join(name));
        let output = match command.output() {
            Ok(output) => output,
            // It is not installed everywhere.
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(error),
        };
        assert!(
            output.status.success() && output.stderr.is_empty(),
            "{name}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
    }
    Ok(())
}
