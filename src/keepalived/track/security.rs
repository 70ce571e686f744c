//! Whether a script may be run, and as whom: keepalived's rules.

use crate::conf::diagnostic::reason;
use crate::keepalived::blocks::global::Global;
use crate::keepalived::slot::Command;
use nix::unistd::{AccessFlags, Group, User};
use std::ffi::CString;
use std::fmt;
use std::fs::{self, Metadata};
use std::os::unix::fs::MetadataExt;
use std::path::{Component, Path, PathBuf};

/// The user scripts run as when nothing says otherwise.
const DEFAULT_USER: &str = "keepalived_script";

/// A command that may be run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Program {
    /// The file.
    pub path: PathBuf,
    /// Its arguments.
    pub arguments: Vec<String>,
    /// The user.
    pub uid: u32,
    /// The group.
    pub gid: u32,
    /// The supplementary groups of the user; none unless the configuration asks for them.
    pub groups: Vec<u32>,
}

impl fmt::Display for Program {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "'{}'", self.path.display())?;
        self.arguments.iter().try_for_each(|argument| write!(f, " '{argument}'"))
    }
}

/// Why a command may not be run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unusable {
    /// There is no user to run it as.
    User,
    /// There is no such file, or no access to it.
    Missing,
    /// Its user may not execute it.
    NotExecutable,
    /// Others than root may change it, and the rules are enforced.
    Insecure,
}

/// What came of judging a command.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Judged {
    /// It may be run.
    pub program: Option<Program>,
    /// It may not, for this reason.
    pub unusable: Option<Unusable>,
    /// It exists and is meant to be run as root.
    pub root: bool,
    /// Somebody else than root could change what root would run.
    pub insecure: bool,
    /// No user was named, and the default one does not exist.
    pub no_default_user: bool,
    /// What there is to say.
    pub lines: Vec<String>,
}

/// What is said where the default user is missing.
pub const NO_DEFAULT_USER: &str =
    "WARNING - default user 'keepalived_script' for script execution does not exist - please create.";

/// What the rules depend on.
#[derive(Clone, Debug, Default)]
pub struct Policy {
    /// `enable_script_security`.
    pub enforced: bool,
    /// `script_user`.
    pub user: Option<(String, Option<String>)>,
    /// `set_supplementary_groups`.
    pub supplementary_groups: bool,
    /// `use_symlink_paths`.
    pub symlink_paths: bool,
}

impl Policy {
    /// The rules of a configuration.
    pub fn of(global: &Global) -> Self {
        Self {
            enforced: global.script_security == Some(true),
            user: global.script_user.clone(),
            supplementary_groups: global.supplementary_groups == Some(true),
            symlink_paths: global.symlink_paths == Some(true),
        }
    }

    /// Judges `command`.
    pub fn judge(&self, command: &Command) -> Judged {
        let mut judged = Judged::default();
        match self.program(command, &mut judged) {
            Ok(program) => judged.program = Some(program),
            Err(why) => judged.unusable = Some(why),
        }
        judged
    }

    fn program(&self, command: &Command, judged: &mut Judged) -> Result<Program, Unusable> {
        let Some((name, arguments)) = command.words.split_first() else {
            judged.lines.push("script is empty".to_owned());
            return Err(Unusable::Missing);
        };
        let Identity { uid, gid, groups } = self.identity(command, judged)?;
        let Some(found) = find(name) else {
            judged.lines.push(format!("Cannot find script {name} in path - disabling"));
            return Err(Unusable::Missing);
        };
        if !name.starts_with('/') {
            let path = found.display();
            judged.lines.push(format!(
                "WARNING - script `{name}` resolved by path search to `{path}`. Please specify full path."
            ));
        }
        let (real, file) = match fs::canonicalize(&found).and_then(|path| Ok((fs::metadata(&path)?, path))) {
            Ok((file, path)) => (path, file),
            Err(error) => {
                let words = reason(&error);
                judged.lines.push(format!("Script {name} cannot be accessed - {words}"));
                return Err(Unusable::Missing);
            }
        };
        let path = if self.symlink_paths { clean(&found) } else { real.clone() };
        let shown = path.display();
        judged.root = uid == 0;
        if !file.is_file() || !executable(&file, uid, gid) {
            let line = format!("WARNING - script '{shown}' is not executable for uid:gid {uid}:{gid} - disabling.");
            judged.lines.push(line);
            return Err(Unusable::NotExecutable);
        }
        let setuid = file.mode() & 0o4000 != 0 && file.uid() == 0 || file.mode() & 0o2000 != 0 && file.gid() == 0;
        // A link's own folders are looked at as well as those of what it leads to.
        let paths = [Some(&path), Some(&real).filter(|real| **real != path)];
        for path in paths.into_iter().flatten().filter(|_| uid == 0 || gid == 0 || setuid) {
            if path.ancestors().all(safe) {
                continue;
            }
            judged.insecure = true;
            let tail = if self.enforced { " - disabling." } else { "." };
            judged.lines.push(format!("Unsafe permissions found for script '{}'{tail}", path.display()));
        }
        if judged.insecure && self.enforced {
            return Err(Unusable::Insecure);
        }
        Ok(Program { path, arguments: arguments.to_vec(), uid, gid, groups })
    }

    /// Whom a script runs as that says nothing of it, and whom a FIFO belongs to: the user and the group.
    pub fn default_user(&self) -> (u32, u32) {
        let (user, group) = self.user.as_ref().map_or((DEFAULT_USER, None), |(user, group)| (user, group.as_deref()));
        ids(user, group).unwrap_or_default()
    }

    fn identity(&self, command: &Command, judged: &mut Judged) -> Result<Identity, Unusable> {
        let (user, group) = match command.user.as_ref().or(self.user.as_ref()) {
            Some((user, group)) => (user.as_str(), group.as_deref()),
            None if is_known(DEFAULT_USER, None) => (DEFAULT_USER, None),
            None => {
                judged.no_default_user = true;
                let root = Identity { uid: 0, gid: 0, groups: Vec::new() };
                return if self.enforced { Err(Unusable::User) } else { Ok(root) };
            }
        };
        let (uid, gid) = ids(user, group).map_err(|line| {
            judged.lines.push(line);
            Unusable::User
        })?;
        let groups = if self.supplementary_groups { supplementary_groups(user) } else { Vec::new() };
        Ok(Identity { uid, gid, groups })
    }
}

/// Whom a script runs as.
struct Identity {
    uid: u32,
    gid: u32,
    groups: Vec<u32>,
}

/// The groups of a user, the first among them.
fn supplementary_groups(user: &str) -> Vec<u32> {
    let Some(found) = User::from_name(user).ok().flatten() else { return Vec::new() };
    let Ok(name) = CString::new(user) else { return Vec::new() };
    let groups = nix::unistd::getgrouplist(&name, found.gid).unwrap_or_default();
    groups.into_iter().map(nix::unistd::Gid::as_raw).collect()
}

/// A path without `.`, `..` and empty parts, its links left in; it begins at the root.
fn clean(path: &Path) -> PathBuf {
    let mut cleaned = PathBuf::from("/");
    for part in path.components() {
        match part {
            Component::Normal(name) => cleaned.push(name),
            // The root is its own parent.
            Component::ParentDir => drop(cleaned.pop()),
            Component::CurDir | Component::RootDir | Component::Prefix(_) => {}
        }
    }
    cleaned
}

/// Whether there is such a user, and such a group.
pub fn is_known(user: &str, group: Option<&str>) -> bool {
    ids(user, group).is_ok()
}

fn ids(user: &str, group: Option<&str>) -> Result<(u32, u32), String> {
    let found = User::from_name(user).ok().flatten();
    let found = found.ok_or_else(|| format!("Script user '{user}' does not exist"))?;
    let gid = match group {
        None => found.gid,
        Some(group) => {
            let found = Group::from_name(group).ok().flatten();
            found.ok_or_else(|| format!("Script group '{group}' does not exist"))?.gid
        }
    };
    Ok((found.uid.as_raw(), gid.as_raw()))
}

fn find(name: &str) -> Option<PathBuf> {
    if name.contains('/') {
        return Some(PathBuf::from(name));
    }
    let path = std::env::var("PATH").unwrap_or_else(|_| "/usr/sbin:/usr/bin:/sbin:/bin".to_owned());
    let mut candidates = path.split(':').map(|folder| Path::new(folder).join(name));
    candidates.find(|file| nix::unistd::access(file, AccessFlags::X_OK).is_ok())
}

fn executable(file: &Metadata, uid: u32, gid: u32) -> bool {
    let bits = match () {
        () if uid == 0 => 0o111,
        () if file.uid() == uid => 0o100,
        () if file.gid() == gid => 0o010,
        () => 0o001,
    };
    file.mode() & bits != 0
}

/// Whether only root can change what lies at `path`: a sticky folder protects what is root's inside it.
fn safe(path: &Path) -> bool {
    let Ok(at) = fs::metadata(path) else { return false };
    let sticky = at.is_dir() && at.mode() & 0o1000 != 0;
    let by_group = at.gid() != 0 && at.mode() & 0o020 != 0;
    let by_others = at.mode() & 0o002 != 0;
    at.uid() == 0 && (sticky || !(by_group || by_others))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    fn command(words: &[&str]) -> Command {
        Command { words: words.iter().map(|word| (*word).to_owned()).collect(), user: None }
    }

    fn root(enforced: bool) -> Policy {
        Policy { enforced, user: Some(("root".to_owned(), None)), ..Policy::default() }
    }

    #[test]
    fn a_script_of_the_system_may_be_run() {
        let judged = root(true).judge(&command(&["/bin/true", "x"]));
        let program = judged.program.unwrap();
        assert_eq!((program.uid, program.gid, program.arguments.as_slice()), (0, 0, ["x".to_owned()].as_slice()));
        assert!(judged.lines.is_empty() && !judged.insecure);
    }

    #[test]
    fn a_script_others_may_write_to_is_refused_under_script_security() {
        let path = std::env::temp_dir().join(format!("rha-script-{}", std::process::id()));
        fs::write(&path, "#!/bin/sh\n").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o777)).unwrap();
        let words = [path.to_str().unwrap()];
        let judged = root(true).judge(&command(&words));
        assert_eq!(judged.program, None);
        assert_eq!(judged.lines, [format!("Unsafe permissions found for script '{}' - disabling.", path.display())]);
        assert!(root(false).judge(&command(&words)).insecure);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        let judged = root(true).judge(&command(&words));
        let line = format!("WARNING - script '{}' is not executable for uid:gid 0:0 - disabling.", path.display());
        assert_eq!((judged.unusable, judged.root, judged.lines), (Some(Unusable::NotExecutable), true, vec![line]));
        fs::remove_file(&path).unwrap();
        let judged = root(true).judge(&command(&words));
        let line = format!("Script {} cannot be accessed - No such file or directory", path.display());
        assert_eq!((judged.unusable, judged.root, judged.lines), (Some(Unusable::Missing), false, vec![line]));
        let judged = root(true).judge(&command(&["no-such-script-in-path"]));
        assert_eq!(judged.lines, ["Cannot find script no-such-script-in-path in path - disabling"]);
    }

    #[test]
    fn a_link_is_run_by_its_own_path_if_that_is_asked_for() {
        let link = std::env::temp_dir().join(format!("rha-link-{}", std::process::id()));
        std::os::unix::fs::symlink("/bin/true", &link).unwrap();
        let given = format!("/./etc/..{}", link.display());
        let path = |symlink_paths| {
            let policy = Policy { symlink_paths, ..root(false) };
            policy.judge(&command(&[&given])).program.map(|program| program.path)
        };
        let real = fs::canonicalize("/bin/true").unwrap();
        assert_eq!((path(true), path(false)), (Some(link.clone()), Some(real)));
        fs::remove_file(&link).unwrap();
    }

    #[test]
    fn supplementary_groups_are_those_of_the_user() {
        let groups = |supplementary_groups| {
            let policy = Policy { supplementary_groups, ..root(false) };
            policy.judge(&command(&["/bin/true"])).program.map(|program| program.groups)
        };
        assert_eq!(groups(false), Some(Vec::new()));
        assert!(groups(true).is_some_and(|groups| groups.contains(&0)));
    }

    #[test]
    fn a_missing_default_user_is_root_unless_the_rules_are_enforced() {
        if is_known(DEFAULT_USER, None) {
            return;
        }
        let judged = |enforced| Policy { enforced, ..Policy::default() }.judge(&command(&["/bin/true"]));
        assert!(judged(false).no_default_user && judged(false).program.is_some_and(|program| program.uid == 0));
        assert_eq!((judged(true).no_default_user, judged(true).unusable), (true, Some(Unusable::User)));
    }
}
