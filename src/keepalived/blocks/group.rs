//! `vrrp_sync_group`: virtual routers that change state together.

use super::instance::Notify;
use super::track::{Track, Tracked, Tracks};
use crate::conf::diagnostic::Diagnostic;
use crate::conf::directive::{Arity, Directive, Opens};
use crate::conf::module::{Conf, Module, Scope};
use crate::conf::slot::Custom;
use crate::conf::source::Span;
use crate::conf::tree::Statement;
use crate::conf::walk::Setting;
use crate::keepalived::contexts::GROUP;
use crate::keepalived::slot::{Present, Run, Switch, again, at_end, complain};

/// The keywords of groups.
pub const MODULE: Module =
    Module { name: "vrrp_sync_group", directives: DIRECTIVES, scopes: &[Scope::of::<Group>(GROUP)] };

const TRACKS: Arity = Arity::Block(0, 255, Opens::Rows);

const TWICE: &str = "vrrp group {n}: {k} script already specified - ignoring {v}";

const DIRECTIVES: &[Directive] = &[
    Directive::new("group", GROUP, TRACKS, &Custom(members)).doc("Lists the instances."),
    Directive::new("track_interface", GROUP, TRACKS, &Tracks(Tracked::Interface, |c: &mut Group| &mut c.interfaces))
        .doc("Lists interfaces all members track."),
    Directive::new("track_script", GROUP, TRACKS, &Tracks(Tracked::Script, |c: &mut Group| &mut c.scripts))
        .doc("Lists scripts all members track."),
    Directive::new("track_file", GROUP, TRACKS, &Tracks(Tracked::File, |c: &mut Group| &mut c.files))
        .doc("Lists files all members track."),
    Directive::new("track_process", GROUP, TRACKS, &Tracks(Tracked::Process, |c: &mut Group| &mut c.processes))
        .doc("Lists processes all members track."),
    Directive::new("track_bfd", GROUP, TRACKS, &Tracks(Tracked::Bfd, |c: &mut Group| &mut c.sessions))
        .doc("Lists BFD sessions all members track."),
    Directive::new("notify_master", GROUP, Arity::AtLeast(1), &Run(|c: &mut Group| &mut c.notify.master, TWICE))
        .doc("Sets what is run when the group becomes master."),
    Directive::new("notify_backup", GROUP, Arity::AtLeast(1), &Run(|c: &mut Group| &mut c.notify.backup, TWICE))
        .doc("Sets what is run when the group becomes backup."),
    Directive::new("notify_fault", GROUP, Arity::AtLeast(1), &Run(|c: &mut Group| &mut c.notify.fault, TWICE))
        .doc("Sets what is run when the group enters fault."),
    Directive::new("notify_stop", GROUP, Arity::AtLeast(1), &Run(|c: &mut Group| &mut c.notify.stop, TWICE))
        .doc("Sets what is run at the end."),
    Directive::new("notify", GROUP, Arity::AtLeast(1), &Run(|c: &mut Group| &mut c.notify.any, TWICE))
        .doc("Sets what is run at each change, with GROUP, name, state and priority as arguments."),
    Directive::new(
        "smtp_alert",
        GROUP,
        Arity::AtLeast(0),
        &Switch(|c: &mut Group| &mut c.smtp_alert, "Invalid vrrp_group {k} parameter {v}"),
    )
    .doc("Chooses whether mail is sent at each change."),
    Directive::new("global_tracking", GROUP, Arity::AtLeast(0), &Custom(old_tracking))
        .doc("Older name of sync_group_tracking_weight."),
    Directive::new(
        "sync_group_tracking_weight",
        GROUP,
        Arity::AtLeast(0),
        &Present(|c: &mut Group| &mut c.weighted, true),
    )
    .doc("Lets members of the group track with weights."),
];

/// A group as configured.
#[derive(Clone, Debug, Default)]
pub struct Group {
    /// Its name.
    pub name: String,
    /// `group`.
    pub members: Vec<String>,
    /// `track_interface`.
    pub interfaces: Vec<Track>,
    /// `track_script`.
    pub scripts: Vec<Track>,
    /// `track_file`.
    pub files: Vec<Track>,
    /// `track_process`.
    pub processes: Vec<Track>,
    /// `track_bfd`.
    pub sessions: Vec<Track>,
    /// `notify` and its kin.
    pub notify: Notify,
    /// `smtp_alert`.
    pub smtp_alert: Option<bool>,
    /// `sync_group_tracking_weight`.
    pub weighted: Option<bool>,
    /// Where it begins.
    pub span: Option<Span>,
}

impl Conf for Group {
    fn inherit(&mut self, _: &Self) {}
}

/// `vrrp_sync_group NAME {`.
///
/// # Errors
/// The name is missing or taken.
pub fn open(cx: &mut Setting<'_>, group: &mut Group, statement: &Statement) -> Result<(), Diagnostic> {
    group.name = super::root::name(cx, statement)?;
    group.span = Some(statement.span);
    Ok(())
}

fn members(cx: &mut Setting<'_>, group: &mut Group, statement: &Statement) -> Result<(), Diagnostic> {
    if !group.members.is_empty() {
        return Err(again(format!("Group list already specified for sync group {}", group.name)));
    }
    group.members = super::track::words(cx, statement).iter().map(|word| word.text().into_owned()).collect();
    if group.members.is_empty() {
        return Err(at_end(statement, format!("Warning - sync group {} has empty group block", group.name)));
    }
    Ok(())
}

fn old_tracking(_: &mut Setting<'_>, group: &mut Group, _: &Statement) -> Result<(), Diagnostic> {
    group.weighted = Some(true);
    let name = &group.name;
    let text = format!("({name}) global_tracking is deprecated. Use track_interface/script/file on the sync group");
    Err(complain(text))
}
