//! `static_ipaddress` and `track_group`: what is held from start to stop, and which routers its interfaces matter to.

use super::root::Root;
use crate::conf::diagnostic::{Diagnostic, Severity};
use crate::conf::directive::{Arity, Directive, Opens};
use crate::conf::module::{Conf, Module, Scope};
use crate::conf::slot::Custom;
use crate::conf::tree::Statement;
use crate::conf::walk::Setting;
use crate::keepalived::contexts::TRACK_GROUP;
use crate::keepalived::slot::{again, at_end};

/// The keywords of `track_group`; the lines of `static_ipaddress` are those of `address`.
pub const MODULE: Module =
    Module { name: "track_group", directives: DIRECTIVES, scopes: &[Scope::of::<TrackGroup>(TRACK_GROUP)] };

const DIRECTIVES: &[Directive] = &[Directive::new("group", TRACK_GROUP, Arity::Block(0, 255, Opens::Rows), &Custom(members))
    .doc("Lists the instances that are in fault while the interface of a static address, route or rule of the group is down.")];

/// Virtual routers that track the interfaces of static addresses, routes and rules.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TrackGroup {
    /// Its name.
    pub name: String,
    /// The instances, by name.
    pub members: Vec<String>,
}

impl Conf for TrackGroup {
    fn inherit(&mut self, _: &Self) {}
}

/// `static_ipaddress {`.
///
/// # Errors
/// None; complaints are about single lines.
pub fn addresses(cx: &mut Setting<'_>, root: &mut Root, statement: &Statement) -> Result<(), Diagnostic> {
    super::address::read(&mut root.addresses, cx, statement);
    Ok(())
}

/// `track_group NAME {`.
///
/// # Errors
/// The name is missing or taken.
pub fn open(cx: &mut Setting<'_>, group: &mut TrackGroup, statement: &Statement) -> Result<(), Diagnostic> {
    group.name = super::root::name(cx, statement)?;
    Ok(())
}

/// `group {` of a track group.
fn members(cx: &mut Setting<'_>, group: &mut TrackGroup, statement: &Statement) -> Result<(), Diagnostic> {
    if !group.members.is_empty() {
        return Err(again(format!("Group list already specified for sync group {}", group.name)));
    }
    group.members = super::track::words(cx, statement).iter().map(|word| word.text().into_owned()).collect();
    if group.members.is_empty() {
        let text = format!("Warning - track group {} has empty group block", group.name);
        return Err(at_end(statement, text));
    }
    Ok(())
}

/// Where static things with a `track_group` are said to be: the interface of each, by group; what is wrong with one.
pub fn tracked(root: &Root, default: &str, complaints: &mut Vec<Diagnostic>) -> Vec<(String, String)> {
    let mut all = Vec::new();
    let mut add = |what: &str, group: &Option<String>, dev: Option<&str>, tracked: bool| {
        let (Some(group), Some(dev)) = (group, dev) else { return };
        if tracked {
            all.push((group.clone(), dev.to_owned()));
        } else {
            let text = format!("Static {what} has both track_group and no_track set - not tracking");
            complaints.push(Diagnostic::new(Severity::Notice, text));
        }
    };
    for address in &root.addresses {
        add("address", &address.group, Some(address.dev.as_deref().unwrap_or(default)), address.track);
    }
    for given in &root.routes {
        add("route", &given.group, given.route.dev.as_deref(), given.tracked);
    }
    for given in &root.rules {
        add("rule", &given.group, given.rule.input.as_deref(), given.tracked);
    }
    all
}
