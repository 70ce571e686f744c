//! The second step: log files, folders and listening sockets that a generation declared.

use super::generation::Generation;
use super::layout;
use crate::conf::bytes;
use crate::conf::diagnostic::Severity;
use crate::log::file::File;
use crate::log::{Level, Log};
use crate::net::address::Address;
use crate::net::listen;
use std::collections::BTreeMap;
use std::io::{self, ErrorKind, Write as _};
use std::os::fd::OwnedFd;
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::Path;
use std::time::Duration;

/// Listening sockets by name; they stay open from one generation to the next.
pub type Listeners = BTreeMap<String, OwnedFd>;

/// A complaint in nginx's words: how bad it is, and its text.
pub type Complaint = (Severity, String);

/// The level a complaint has in a log.
pub const fn level(severity: Severity) -> Level {
    match severity {
        Severity::Emerg => Level::Emerg,
        Severity::Alert => Level::Alert,
        Severity::Crit => Level::Crit,
        Severity::Error => Level::Error,
        Severity::Warn => Level::Warn,
        Severity::Notice => Level::Notice,
    }
}

fn emerg(text: String) -> Complaint {
    (Severity::Emerg, text)
}

/// The name of a socket: its address, and which one of several with `reuseport`.
pub fn name(address: &Address, udp: bool, index: usize) -> String {
    format!("{}{address}#{index}", if udp { "udp " } else { "" })
}

/// How many sockets an address gets: one for each loop with `reuseport`, else one for all.
pub const fn copies(reuseport: bool, loops: usize) -> usize {
    if reuseport { loops } else { 1 }
}

/// Whether loop `number` of so many receives from a socket of datagrams that they share: one loop does, so that a client
/// has one session.
pub fn receives(name: &str, (number, loops): (usize, usize)) -> bool {
    crc32fast::hash(name.as_bytes()) as usize % loops.max(1) == number
}

/// Creates folders for bodies and responses that do not fit into memory; new or not, they are the workers'.
///
/// # Errors
/// `mkdir() "x" failed (…)`, or `chown("x", …)`, or `chmod() "x"`.
pub fn folders(generation: &Generation) -> Result<(), Complaint> {
    let name = generation.process.user.as_ref().map_or("nobody", |(user, _)| user.as_str());
    let owner = nix::unistd::User::from_name(name).ok().flatten().filter(|_| nix::unistd::geteuid().is_root());
    for folder in &generation.folders {
        let path = bytes::path(folder);
        // What a package of nginx would have brought.
        if path.parent() == Some(Path::new(layout::TEMP)) {
            let _ = std::fs::create_dir(layout::TEMP);
        }
        match std::fs::create_dir(&path) {
            Ok(()) => {
                let _ = std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o700));
            }
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
            Err(error) => {
                return Err(emerg(format!("mkdir() \"{folder}\" failed ({})", crate::conf::walk::errno(&error))));
            }
        }
        if let Some(owner) = &owner {
            own(&path, owner.uid).map_err(|(what, error)| {
                let call = if what == "chown" {
                    format!("chown(\"{folder}\", {})", owner.uid)
                } else {
                    format!("{what} \"{folder}\"")
                };
                emerg(format!("{call} failed ({})", crate::conf::walk::errno(&error)))
            })?;
        }
    }
    Ok(())
}

/// Gives a folder to the workers' user, who may do everything in it; else the call that failed.
fn own(path: &Path, user: nix::unistd::Uid) -> Result<(), (&'static str, io::Error)> {
    let state = std::fs::metadata(path).map_err(|error| ("stat()", error))?;
    if state.uid() != user.as_raw() {
        nix::unistd::chown(path, Some(user), None).map_err(|error| ("chown", error.into()))?;
    }
    let mode = state.permissions().mode();
    if mode & 0o700 != 0o700 {
        let permissions = std::fs::Permissions::from_mode(mode | 0o700);
        std::fs::set_permissions(path, permissions).map_err(|error| ("chmod()", error))?;
    }
    Ok(())
}

/// Opens every log file.
///
/// # Errors
/// `open() "x" failed (…)`.
pub fn logs(generation: &Generation) -> Result<(), Complaint> {
    generation.logs.iter().try_for_each(|log| self::log(log))
}

/// Opens a log file.
///
/// # Errors
/// `open() "x" failed (…)`.
pub fn log(log: &File) -> Result<(), Complaint> {
    log.open()
        .map_err(|error| emerg(format!("open() \"{}\" failed ({})", log.name(), crate::conf::walk::errno(&error))))
}

/// Opens the sockets that are not open yet. A test passes over addresses in use; a start tries five times.
///
/// # Errors
/// nginx's words for the first that cannot be opened.
pub fn sockets(
    generation: &Generation,
    open: &mut Listeners,
    test: bool,
    say: &dyn Fn(Severity, &str),
) -> Result<(), Complaint> {
    let tries = if test { 1 } else { 5 };
    for round in 0..tries {
        let mut busy = false;
        for socket in &generation.sockets {
            for index in 0..copies(socket.options.reuseport, generation.process.loops) {
                let name = name(&socket.address, socket.options.udp, index);
                if open.contains_key(&name) {
                    continue;
                }
                match listen::open(&socket.address, &socket.options, test) {
                    Ok(fd) => {
                        open.insert(name, fd);
                    }
                    Err(failed) if failed.error.raw_os_error() == Some(libc::EADDRINUSE) => {
                        busy = true;
                        if !test {
                            say(Severity::Emerg, &words(&socket.address, &failed));
                        }
                    }
                    Err(failed) => return Err(emerg(words(&socket.address, &failed))),
                }
            }
        }
        if !busy || test {
            return Ok(());
        }
        if round < tries {
            say(Severity::Notice, "try again to bind() after 500ms");
            std::thread::sleep(Duration::from_millis(500));
        }
    }
    Err(emerg("still could not bind()".to_owned()))
}

fn words(address: &Address, failed: &listen::Failed) -> String {
    let text = crate::conf::walk::errno(&failed.error);
    match failed.call {
        "bind()" => format!("bind() to {address} failed ({text})"),
        "listen()" => format!("listen() to {address}, backlog failed ({text})"),
        call => format!("{call} {address} failed ({text})"),
    }
}

/// Closes sockets the generation does not name, and removes their files.
pub fn trim(generation: &Generation, open: &mut Listeners) {
    let mut wanted = Vec::new();
    for socket in &generation.sockets {
        for index in 0..copies(socket.options.reuseport, generation.process.loops) {
            wanted.push(name(&socket.address, socket.options.udp, index));
        }
    }
    open.retain(|name, _| {
        let keep = wanted.contains(name);
        if !keep {
            unlink(name);
        }
        keep
    });
}

/// Removes a socket's file.
pub fn unlink(name: &str) {
    if let Some(path) = name.trim_start_matches("udp ").strip_prefix("unix:") {
        let path = path.rsplit_once('#').map_or(path, |(path, _)| path);
        let _ = std::fs::remove_file(path);
    }
}

/// Writes the pid file.
///
/// # Errors
/// `open() "x" failed (…)`.
pub fn pid(path: &str, test: bool) -> Result<(), Complaint> {
    let write = || -> io::Result<()> {
        let mut options = std::fs::OpenOptions::new();
        options.create(true).mode(0o644);
        if test {
            options.append(true).open(bytes::path(path)).map(|_| ())
        } else {
            let mut file = options.write(true).truncate(true).open(bytes::path(path))?;
            file.write_all(format!("{}\n", std::process::id()).as_bytes())
        }
    };
    write().map_err(|error| emerg(format!("open() \"{path}\" failed ({})", crate::conf::walk::errno(&error))))
}

/// Lets the worker's user open the logs again, as nginx does when it reopens them.
pub fn hand_over_logs(generation: &Generation, log: &Log) {
    let user = generation.process.user.as_ref().map_or("nobody", |(user, _)| user.as_str());
    let Ok(Some(user)) = nix::unistd::User::from_name(user) else { return };
    if !nix::unistd::geteuid().is_root() {
        return;
    }
    for file in &generation.logs {
        if let Err(error) = nix::unistd::chown(file.path(), Some(user.uid), None) {
            let error = crate::conf::walk::errno(&error.into());
            log.write(Level::Emerg, None, &format!("chown(\"{}\", {}) failed ({error})", file.name(), user.uid));
        }
    }
}
