//! IPVS for the original: a library that is loaded into it and acknowledges what it asks of the kernel.

use std::fs;
use std::io;
use std::process::Command;
use std::sync::OnceLock;

use crate::Scratch;

/// The library, made when it is first asked for.
pub fn library() -> io::Result<&'static [u8]> {
    static MADE: OnceLock<Vec<u8>> = OnceLock::new();
    if let Some(bytes) = MADE.get() {
        return Ok(bytes);
    }
    let scratch = Scratch::new("ipvs")?;
    let (source, path) = (scratch.path().join("ipvs.c"), scratch.path().join("ipvs.so"));
    fs::write(&source, include_str!("ipvs.c"))?;
    let mut compiler = Command::new("cc");
    compiler.args(["-shared", "-fPIC", "-O1", "-o"]).arg(&path).arg(&source).arg("-ldl");
    if !compiler.status()?.success() {
        return Err(io::Error::other("the library for IPVS does not compile"));
    }
    let bytes = fs::read(&path)?;
    Ok(MADE.get_or_init(|| bytes))
}
