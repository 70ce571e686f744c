//! A host's own view of the file system: the machine's files below, private ones on top. Nothing of the machine is touched.

use std::fs;
use std::io;
use std::os::unix::fs::{DirBuilderExt, symlink};
use std::path::Path;

use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::unistd::{chdir, pivot_root};

/// Where the machine's own `/etc` and `/usr/local` stay reachable beside their private copies.
const BELOW: &str = "/run/below";

/// What every host has for itself.
const PRIVATE: [&str; 6] = ["dev", "etc", "proc", "run", "tmp", "lost+found"];

/// Puts an empty folder of our own over `path`.
pub fn tmpfs(path: &str, mode: &str) -> io::Result<()> {
    mount(Some("tmpfs"), path, Some("tmpfs"), MsFlags::MS_NOSUID, Some(format!("mode={mode}").as_str()))
        .map_err(|error| io::Error::other(format!("mount tmpfs on {path}: {error}")))
}

/// Shows one folder or file at another place too.
pub fn bind(from: &Path, to: &Path) -> io::Result<()> {
    mount(Some(from), to, None::<&str>, MsFlags::MS_BIND | MsFlags::MS_REC, None::<&str>)
        .map_err(|error| io::Error::other(format!("bind {} on {}: {error}", from.display(), to.display())))
}

/// Gives the thread's mount namespace a root folder of its own. The machine's folders appear in it as they are; `/etc` and
/// `/usr/local` may be changed without anybody else seeing it; `/dev`, `/run`, `/tmp`, `/var/log` and `/var/lib` are empty.
pub fn machine() -> io::Result<()> {
    mount(None::<&str>, "/", None::<&str>, MsFlags::MS_REC | MsFlags::MS_PRIVATE, None::<&str>)?;
    let root = "/tmp";
    tmpfs(root, "0755")?;
    chdir(root)?;
    for entry in fs::read_dir("/")? {
        let entry = entry?;
        let name = entry.file_name();
        let own = Path::new(root).join(&name);
        if entry.file_type()?.is_symlink() {
            symlink(fs::read_link(entry.path())?, own)?;
        } else if entry.file_type()?.is_dir() {
            fs::create_dir(&own)?;
            if !PRIVATE.iter().any(|private| name == *private) {
                bind(&entry.path(), &own)?;
            }
        }
    }
    // A user namespace may mount a /proc of its own only while it sees a whole one.
    for path in ["etc", "dev", "proc"] {
        folder(&format!("/tmp/run/below/{path}"))?;
        bind(&Path::new("/").join(path), &Path::new("/tmp/run/below").join(path))?;
    }
    fs::copy("/proc/self/uid_map", "/tmp/run/below/uid_map")?;
    pivot_root(".", ".")?;
    umount2(".", MntFlags::MNT_DETACH)?;
    chdir("/")?;
    folder("/tmp")?;
    fs::set_permissions("/tmp", std::os::unix::fs::PermissionsExt::from_mode(0o1777))?;
    for path in ["/var/log", "/var/lib"] {
        tmpfs(path, "0755")?;
    }
    links("/etc")?;
    accounts()?;
    folder("/run/below/usr/local")?;
    bind(Path::new("/usr/local"), Path::new("/run/below/usr/local"))?;
    tmpfs("/usr/local", "0755")?;
    links("/usr/local")?;
    devices()
}

/// Shows the entries of the machine's folder as links in its private copy.
fn links(path: &str) -> io::Result<()> {
    for entry in fs::read_dir(format!("{BELOW}{path}"))? {
        let entry = entry?;
        symlink(entry.path(), Path::new(path).join(entry.file_name()))?;
    }
    Ok(())
}

/// In a user namespace of one user the accounts a server wants to become do not exist: there they are names of that user.
fn accounts() -> io::Result<()> {
    let map = fs::read_to_string("/run/below/uid_map")?;
    if map.split_whitespace().nth(2) != Some("1") {
        return Ok(());
    }
    file("/etc/passwd", b"root:x:0:0::/:/bin/sh\nnobody:x:0:0::/:/bin/sh\nwww-data:x:0:0::/:/bin/sh\n", 0o644)?;
    file("/etc/group", b"root:x:0:\nnogroup:x:0:\nnobody:x:0:\nwww-data:x:0:\n", 0o644)
}

/// A `/dev` where a host may have a `/dev/log` of its own.
fn devices() -> io::Result<()> {
    for name in ["null", "zero", "full", "random", "urandom", "tty"] {
        let node = Path::new("/dev").join(name);
        fs::write(&node, "")?;
        bind(&Path::new(BELOW).join("dev").join(name), &node)?;
    }
    folder("/dev/shm")?;
    symlink("/proc/self/fd", "/dev/fd")
}

/// Makes a folder and its parents, all of them root's and writable by nobody else.
pub fn folder(path: &str) -> io::Result<()> {
    fs::DirBuilder::new().recursive(true).mode(0o755).create(path)
}

/// Writes a file with this mode, replacing a link or file of that name.
pub fn file(path: &str, content: &[u8], mode: u32) -> io::Result<()> {
    if let Some(parent) = Path::new(path).parent().and_then(Path::to_str) {
        folder(parent)?;
    }
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    fs::write(path, content)?;
    fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(mode))
}

/// Replaces a link to one of the machine's folders by a private, empty folder.
pub fn replace(path: &str) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    folder(path)
}

/// Replaces a link to one of the machine's folders by a private folder with links to what is in it.
pub fn unfold(path: &str) -> io::Result<()> {
    let entries = fs::read_dir(path).map_or_else(|_| Vec::new(), |all| all.flatten().collect());
    let targets: Vec<_> = entries.iter().map(|entry| (fs::canonicalize(entry.path()), entry.file_name())).collect();
    replace(path)?;
    for (target, name) in targets {
        if let Ok(target) = target {
            symlink(target, Path::new(path).join(name))?;
        }
    }
    Ok(())
}
