//! Where things are when the command line does not say: beside the program, or where distributions put them.

use std::path::{Path, PathBuf};

/// The folder of temporary files where distributions configure nginx.
pub const TEMP: &str = "/var/lib/nginx";

/// Default places.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layout {
    /// `-p`, ending in a slash.
    pub prefix: String,
    /// `-c`.
    pub conf: String,
    /// `-e`.
    pub error_log: String,
    /// `pid`.
    pub pid: String,
    /// The access log of servers that name none.
    pub access_log: String,
    /// The folder of temporary files; without one they are below the prefix.
    pub temp: Option<String>,
}

impl Layout {
    /// The layout for a program started by this name: `PREFIX/sbin/nginx` has its files in `PREFIX`; otherwise those of
    /// /etc/nginx where it exists; otherwise those of /usr/local/nginx.
    pub fn of(program: &Path) -> Self {
        if let Some(prefix) = beside(program) {
            return Self::compiled(&prefix);
        }
        if Path::new("/etc/nginx/nginx.conf").exists() {
            return Self::distribution();
        }
        Self::compiled("/usr/local/nginx/")
    }

    fn distribution() -> Self {
        Self {
            prefix: "/usr/share/nginx/".to_owned(),
            conf: "/etc/nginx/nginx.conf".to_owned(),
            error_log: "/var/log/nginx/error.log".to_owned(),
            pid: "/run/nginx.pid".to_owned(),
            access_log: "/var/log/nginx/access.log".to_owned(),
            temp: Some(TEMP.to_owned()),
        }
    }

    fn compiled(prefix: &str) -> Self {
        Self {
            prefix: prefix.to_owned(),
            conf: "conf/nginx.conf".to_owned(),
            error_log: "logs/error.log".to_owned(),
            pid: "logs/nginx.pid".to_owned(),
            access_log: "logs/access.log".to_owned(),
            temp: None,
        }
    }
}

/// The folder around `sbin/`, if a configuration is there.
fn beside(program: &Path) -> Option<String> {
    let full: PathBuf = if program.components().count() > 1 {
        std::path::absolute(program).ok()?
    } else {
        let path = std::env::var_os("PATH")?;
        std::env::split_paths(&path).map(|folder| folder.join(program)).find(|full| full.is_file())?
    };
    let sbin = full.parent().filter(|folder| folder.ends_with("sbin"))?;
    let prefix = sbin.parent()?;
    prefix.join("conf/nginx.conf").is_file().then(|| format!("{}/", prefix.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn temporary_files_are_below_the_prefix_of_a_build_from_source_only() {
        assert_eq!(Layout::compiled("/opt/nginx/").temp, None);
        assert_eq!(Layout::distribution().temp.as_deref(), Some("/var/lib/nginx"));
    }
}
