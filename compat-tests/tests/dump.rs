//! `-T` over the whole corpus: the installed nginx and ours print the same bytes, and what ours prints can be cut into
//! files again that are judged and printed as before.

use std::fs;
use std::io;

use compat_tests::net::Host;
use compat_tests::program::Program;
use compat_tests::verdict;

/// The files of a dump; each stands behind a line with its name and before one more line end.
fn cut(dump: &[u8]) -> Vec<(String, Vec<u8>)> {
    let mut files: Vec<(String, Vec<u8>)> = Vec::new();
    for line in dump.split_inclusive(|byte| *byte == b'\n') {
        let text = String::from_utf8_lossy(line);
        let name = text.strip_prefix("# configuration file ").and_then(|rest| rest.strip_suffix(":\n"));
        match (name, files.last_mut()) {
            (Some(name), _) => files.push((name.to_owned(), Vec::new())),
            (None, Some((_, bytes))) => bytes.extend_from_slice(line),
            (None, None) => {}
        }
    }
    for (_, bytes) in &mut files {
        bytes.pop();
    }
    files
}

#[test]
fn a_dump_is_nginxs_and_can_be_cut_into_files_again() -> io::Result<()> {
    let host = Host::new("dumper")?;
    let compare = Program::Original.nginx().is_ok();
    let (mut wrong, mut dumped) = (Vec::new(), 0);
    for entry in fs::read_dir(compat_tests::root().join("fixtures/nginx/corpus"))? {
        let path = entry?.path();
        if path.extension().is_none_or(|extension| extension != "conf") {
            continue;
        }
        let text = fs::read(&path)?;
        let (verdict, ours) = verdict::dump(&host, Program::Ours, &text, &[])?;
        if verdict.status != Some(0) {
            continue;
        }
        dumped += 1;
        let files = cut(&ours);
        let main = files.first().map(|(_, bytes)| bytes.clone()).unwrap_or_default();
        if verdict::dump(&host, Program::Ours, &main, &files)? != (verdict, ours.clone()) || main != text {
            wrong.push(format!("{}: not the same again", path.display()));
        }
        if compare {
            let (theirs, bytes) = verdict::dump(&host, Program::Original, &text, &[])?;
            if theirs.status == Some(0) && bytes != ours {
                wrong.push(format!("{}: not what nginx prints", path.display()));
            }
        }
    }
    assert!(dumped >= 100, "{dumped} files were printed");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    Ok(())
}
