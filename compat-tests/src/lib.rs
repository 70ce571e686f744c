//! The lab: hosts as network namespaces, programs started and stopped in them, clients and stand-ins that talk to them.
//!
//! Everything here needs root (or a user namespace of its own) and nothing but the kernel: no package, no `ip` command.

pub mod arena;
pub mod backend;
pub mod case;
pub mod certificates;
pub mod client;
pub mod cluster;
pub mod compare;
pub mod datagrams;
pub mod http2;
pub mod idle;
pub mod instructions;
pub mod ipvs;
pub mod link;
pub mod load;
pub mod measure;
pub mod mount;
pub mod mqtt;
pub mod mutate;
pub mod net;
pub mod peer;
pub mod process;
pub mod program;
pub mod recorded;
pub mod reflect;
pub mod service;
pub mod soak;
pub mod spoil;
pub mod testbed;
pub mod tools;
pub mod verdict;
pub mod watch;
pub mod web;
pub mod websocket;
pub mod wide;
pub mod wire;
pub mod wrk;

use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// The repository's root: where cargo runs us, or else where this was built (which another checkout may have done).
pub fn root() -> PathBuf {
    let member =
        std::env::var_os("CARGO_MANIFEST_DIR").map(PathBuf::from).filter(|member| member.ends_with("compat-tests"));
    let member = member.unwrap_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")));
    member.parent().map_or_else(PathBuf::new, Path::to_path_buf)
}

/// Asks every few milliseconds until the answer is `Some` or the time is over; `what` names the wait in the error.
pub fn wait_for<T>(what: &str, limit: Duration, mut ask: impl FnMut() -> Option<T>) -> io::Result<T> {
    let end = Instant::now() + limit;
    loop {
        if let Some(answer) = ask() {
            return Ok(answer);
        }
        if Instant::now() >= end {
            return Err(io::Error::new(io::ErrorKind::TimedOut, format!("waited {limit:?} for {what}")));
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Notes a test that cannot run here, for the count at the end of `compat-tests/run`.
pub fn skipped(test: &str, why: &str) {
    println!("skipped: {test}: {why}");
    if let Some(path) = std::env::var_os("RHA_SKIPPED") {
        let file = std::fs::OpenOptions::new().append(true).create(true).open(path);
        let written = file.and_then(|mut file| io::Write::write_all(&mut file, format!("{test}: {why}\n").as_bytes()));
        assert!(written.is_ok(), "the skipped test cannot be noted: {written:?}");
    }
}

/// A temporary folder of this process, removed when dropped.
#[derive(Debug)]
pub struct Scratch {
    path: PathBuf,
}

impl Scratch {
    /// Makes a fresh folder whose name tells what it is for.
    pub fn new(purpose: &str) -> io::Result<Self> {
        Self::within(&std::env::temp_dir(), purpose)
    }

    /// The same inside this folder.
    pub fn within(parent: &Path, purpose: &str) -> io::Result<Self> {
        static NUMBER: std::sync::atomic::AtomicUsize = std::sync::atomic::AtomicUsize::new(0);
        let number = NUMBER.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let path = parent.join(format!("rha-{purpose}-{}-{number}", std::process::id()));
        std::fs::create_dir_all(&path)?;
        // Workers that gave up root must be able to reach files below.
        std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o755))?;
        Ok(Self { path })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if std::env::var_os("RHA_KEEP").is_none() {
            let _ = std::fs::remove_dir_all(&self.path);
        }
    }
}
