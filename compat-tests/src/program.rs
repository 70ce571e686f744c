//! Which program plays a part: the installed original or ours, built when asked for.

use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// Whose programs are run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Program {
    /// The nginx and keepalived installed on this machine.
    Original,
    /// rnginx and rkeepalived.
    Ours,
}

impl Program {
    /// The name people know it by.
    pub fn name(self) -> &'static str {
        match self {
            Self::Original => "original",
            Self::Ours => "ours",
        }
    }

    /// The web server.
    pub fn nginx(self) -> io::Result<PathBuf> {
        match self {
            Self::Original => installed("nginx"),
            Self::Ours => built("rnginx"),
        }
    }

    /// The VRRP daemon.
    pub fn keepalived(self) -> io::Result<PathBuf> {
        match self {
            Self::Original => installed("keepalived"),
            Self::Ours => built("rkeepalived"),
        }
    }
}

/// Finds an installed program.
pub fn installed(name: &str) -> io::Result<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .chain(["/usr/sbin", "/sbin", "/usr/bin"].map(PathBuf::from))
        .map(|folder| folder.join(name))
        .find(|file| file.is_file())
        .ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, format!("{name} is not installed")))
}

/// The folder cargo puts this build's programs into, and the profile's name.
fn build_folder() -> io::Result<(PathBuf, String)> {
    let own = std::env::current_exe()?;
    let mut folder = own.parent().unwrap_or(Path::new("/"));
    if folder.ends_with("deps") {
        folder = folder.parent().unwrap_or(folder);
    }
    let name = folder.file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned());
    Ok((folder.to_owned(), if name == "debug" { "dev".to_owned() } else { name }))
}

/// One of our programs. Cargo builds them first if they are older than their sources: a dependency's programs are not
/// built with a member that depends on its library.
fn built(name: &str) -> io::Result<PathBuf> {
    static BUILT: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    let build = || {
        if let Some(folder) = std::env::var_os("RHA_PROGRAMS") {
            return Ok(PathBuf::from(folder));
        }
        let (folder, profile) = build_folder().map_err(|error| error.to_string())?;
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let output = Command::new(cargo)
            // Both packages, so that the library is built with the features it has already been built with.
            .args(["build", "--quiet", "--package", "rha", "--package", "compat-tests", "--profile", &profile])
            .args(["--bin", "rnginx", "--bin", "rkeepalived"])
            .arg("--target-dir")
            .arg(folder.parent().unwrap_or(&folder))
            .current_dir(crate::root())
            .output()
            .map_err(|error| format!("cargo build: {error}"))?;
        if output.status.success() { Ok(folder) } else { Err(String::from_utf8_lossy(&output.stderr).into_owned()) }
    };
    let folder = BUILT.get_or_init(build).as_ref().map_err(|error| io::Error::other(error.clone()))?;
    let program = folder.join(name);
    if program.is_file() {
        return Ok(program);
    }
    Err(io::Error::new(io::ErrorKind::NotFound, format!("{} was not built", program.display())))
}
