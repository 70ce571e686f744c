//! `vrrp_sync_group`: virtual routers that change state together.

use super::instance::Notify;
use super::track::{Track, Tracks};
use crate::conf::diagnostic::Diagnostic;
use crate::conf::directive::{Arity, Directive, Opens, Support};
use crate::conf::module::{Conf, Module, Scope};
use crate::conf::slot::Custom;
use crate::conf::source::Span;
use crate::conf::tree::Statement;
use crate::conf::walk::Setting;
use crate::keepalived::contexts::GROUP;
use crate::keepalived::slot::{Nothing, Present, Run, complain, truth};

/// The keywords of groups.
pub const MODULE: Module =
    Module { name: "vrrp_sync_group", directives: DIRECTIVES, scopes: &[Scope::of::<Group>(GROUP)] };

const TRACKS: Arity = Arity::Block(0, 0, Opens::Rows);

const DIRECTIVES: &[Directive] = &[
    Directive::new("group", GROUP, TRACKS, &Custom(members)).doc("Lists the instances."),
    Directive::new("track_interface", GROUP, TRACKS, &Tracks(|c: &mut Group| &mut c.interfaces))
        .doc("Lists interfaces all members track."),
    Directive::new("track_script", GROUP, TRACKS, &Tracks(|c: &mut Group| &mut c.scripts))
        .doc("Lists scripts all members track."),
    Directive::new("track_file", GROUP, TRACKS, &Tracks(|c: &mut Group| &mut c.files))
        .doc("Lists files all members track."),
    Directive::missing("track_process", GROUP, TRACKS),
    Directive::missing("track_bfd", GROUP, TRACKS),
    Directive::new("notify_master", GROUP, Arity::AtLeast(1), &Run(|c: &mut Group| &mut c.notify.master))
        .doc("Sets what is run when the group becomes master."),
    Directive::new("notify_backup", GROUP, Arity::AtLeast(1), &Run(|c: &mut Group| &mut c.notify.backup))
        .doc("Sets what is run when the group becomes backup."),
    Directive::new("notify_fault", GROUP, Arity::AtLeast(1), &Run(|c: &mut Group| &mut c.notify.fault))
        .doc("Sets what is run when the group enters fault."),
    Directive::new("notify_stop", GROUP, Arity::AtLeast(1), &Run(|c: &mut Group| &mut c.notify.stop))
        .doc("Sets what is run at the end."),
    Directive::new("notify", GROUP, Arity::AtLeast(1), &Run(|c: &mut Group| &mut c.notify.any))
        .doc("Sets what is run at each change, with GROUP, name, state and priority as arguments."),
    Directive::new("smtp_alert", GROUP, Arity::AtLeast(0), &Custom(smtp_alert))
        .support(Support::Partial("mail is not sent: only `false` is accepted"))
        .doc("Chooses whether mail is sent at each change."),
    Directive::new("global_tracking", GROUP, Arity::AtLeast(0), &Nothing)
        .support(Support::Inert("keepalived ignores it as well"))
        .doc("Has no effect any more."),
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
    /// `notify` and its kin.
    pub notify: Notify,
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
        return Err(complain(format!("({}) Group members already specified - ignoring", group.name)));
    }
    group.members = super::track::words(cx, statement).iter().map(|word| word.text().into_owned()).collect();
    if group.members.is_empty() {
        return Err(complain(format!("({}) empty group block", group.name)));
    }
    Ok(())
}

fn smtp_alert(cx: &mut Setting<'_>, _: &mut Group, statement: &Statement) -> Result<(), Diagnostic> {
    no_mail(cx, statement)
}

/// Mail is not sent yet, so only its absence may be asked for.
///
/// # Errors
/// Mail is asked for.
pub fn no_mail(cx: &Setting<'_>, statement: &Statement) -> Result<(), Diagnostic> {
    match truth(statement.arguments().first()) {
        Some(false) => Ok(()),
        _ => Err(complain(format!("keyword \"{}\" is known but not supported yet", cx.row.name))),
    }
}
