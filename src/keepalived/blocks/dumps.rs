//! The files of `keepalived.data`, `keepalived.stats` and `keepalived.json`, and where names of iproute2 are.

use super::global::Global;
use crate::conf::diagnostic::Diagnostic;
use crate::conf::directive::Set;
use crate::conf::tree::Statement;
use crate::conf::walk::Setting;
use crate::keepalived::slot::{Kind, also, complain, first, number};
use std::any::{Any, TypeId};

/// The form of the JSON dump.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum JsonVersion {
    /// A list of instances.
    #[default]
    One,
    /// An object with the list as `vrrp`, and tracked processes.
    Two,
}

/// Where dumps are written, and how.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Dumps {
    /// `state_dump_file`.
    pub data: Option<String>,
    /// `stats_dump_file`.
    pub stats: Option<String>,
    /// `json_dump_file`.
    pub json: Option<String>,
    /// `data_use_instance`.
    pub use_instance: Option<bool>,
    /// `json_version`.
    pub json_version: JsonVersion,
}

/// The slot of a dump file: one path that is not empty.
pub struct DumpFile(pub fn(&mut Dumps) -> &mut Option<String>);

impl Set for DumpFile {
    fn target(&self) -> TypeId {
        TypeId::of::<Global>()
    }

    fn set(&self, cx: &mut Setting<'_>, conf: &mut dyn Any, statement: &Statement) -> Result<(), Diagnostic> {
        let Some(global) = conf.downcast_mut::<Global>() else { return Ok(()) };
        if statement.arguments().len() != 1 || first(statement).is_empty() {
            return Err(complain(format!("{} requires a non-empty path", cx.row.name)));
        }
        *(self.0)(&mut global.dumps) = Some(first(statement));
        Ok(())
    }
}

/// A keyword of one path, which is looked for before the walk.
pub struct OnePath;

impl Set for OnePath {
    fn target(&self) -> TypeId {
        TypeId::of::<()>()
    }

    fn set(&self, cx: &mut Setting<'_>, _: &mut dyn Any, statement: &Statement) -> Result<(), Diagnostic> {
        let one = statement.arguments().len() == 1;
        if one { Ok(()) } else { Err(complain(format!("{} requires path", cx.row.name))) }
    }
}

/// Reads `json_version`.
pub fn json_version(cx: &mut Setting<'_>, global: &mut Global, statement: &Statement) -> Result<(), Diagnostic> {
    if statement.arguments().is_empty() {
        return Err(complain(format!("{} requires version", cx.row.name)));
    }
    let version = number(Kind::Unsigned, &first(statement), &(1..=2))
        .map_err(|complaint| also(cx, statement, complaint, "Invalid JSON version"))?;
    global.dumps.json_version = if version == 2 { JsonVersion::Two } else { JsonVersion::One };
    Ok(())
}

/// Where keepalived writes unless told otherwise.
const FOLDER: &str = "/tmp";

impl Dumps {
    /// The path of `keepalived.data`; `part` is the ending of the process, `_bfd`, and `names` are those of the network
    /// namespace and the instance.
    pub fn data_file(&self, part: &str, names: (Option<&str>, Option<&str>)) -> String {
        let (folder, file) = place(self.data.as_deref(), "keepalived.data");
        let (stem, extension) = file.split_at(file.rfind('.').unwrap_or(file.len()));
        let names = if self.use_instance == Some(true) {
            let both: Vec<&str> = [names.0, names.1].into_iter().flatten().collect();
            if both.is_empty() { String::new() } else { format!(".{}", both.join("_")) }
        } else {
            String::new()
        };
        format!("{folder}/{stem}{part}{names}{extension}")
    }

    /// The path of `keepalived.stats`.
    ///
    /// Differs from keepalived: its newest release reads `stats_dump_file` and writes elsewhere. [test: dumps_are_written_where_the_configuration_says]
    pub fn stats_file(&self) -> String {
        let (folder, file) = place(self.stats.as_deref(), "keepalived.stats");
        format!("{folder}/{file}")
    }

    /// The path of `keepalived.json`.
    ///
    /// Differs from keepalived: its newest release reads `json_dump_file` and writes elsewhere. [test: dumps_are_written_where_the_configuration_says]
    pub fn json_file(&self) -> String {
        let (folder, file) = place(self.json.as_deref(), "keepalived.json");
        format!("{folder}/{file}")
    }
}

/// The file of `config_save_dir` with what a process knows before or after a reload.
pub fn saved(folder: &str, process: &str, reloads: u32, when: &str) -> String {
    let pid = std::process::id();
    format!("{}/keepalived_{process}.{pid}.{reloads}.{when}", folder.strip_suffix('/').unwrap_or(folder))
}

/// The folder and the name of a dump: a path that ends in / is a folder, one that does not begin with / is below the usual
/// folder.
fn place<'a>(given: Option<&'a str>, usual: &'a str) -> (&'a str, &'a str) {
    let given = given.unwrap_or(usual);
    let (folder, file) = given.rsplit_once('/').unwrap_or((FOLDER, given));
    let folder = if given.starts_with('/') { folder } else { FOLDER };
    (folder, if file.is_empty() { usual } else { file })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_names_of_dumps_are_keepaliveds() {
        let data = |file: Option<&str>, use_instance, names| {
            let file = file.map(str::to_owned);
            Dumps { data: file, use_instance: Some(use_instance), ..Dumps::default() }.data_file("_bfd", names)
        };
        let both = (Some("red"), Some("blue"));
        assert_eq!(data(None, false, both), "/tmp/keepalived_bfd.data");
        assert_eq!(data(None, true, both), "/tmp/keepalived_bfd.red_blue.data");
        assert_eq!(data(None, true, (None, Some("blue"))), "/tmp/keepalived_bfd.blue.data");
        assert_eq!(data(None, true, (None, None)), "/tmp/keepalived_bfd.data");
        assert_eq!(data(Some("/run/k/"), false, both), "/run/k/keepalived_bfd.data");
        assert_eq!(data(Some("/run/k.d/state"), true, both), "/run/k.d/state_bfd.red_blue");
        assert_eq!(data(Some("/state.txt"), false, both), "/state_bfd.txt");
        assert_eq!(data(Some("a/state.txt"), false, both), "/tmp/state_bfd.txt");
        assert_eq!(Dumps::default().stats_file(), "/tmp/keepalived.stats");
        let stats = Dumps { stats: Some("/run/k/".to_owned()), ..Dumps::default() };
        assert_eq!(
            (stats.stats_file(), stats.json_file()),
            ("/run/k/keepalived.stats".into(), "/tmp/keepalived.json".into())
        );
    }
}
