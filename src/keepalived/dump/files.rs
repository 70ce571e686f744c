//! Tracked files and the groups of static entries.

use super::{Seen, View};
use crate::keepalived::site::{Tracking, What};
use std::fmt::Write as _;

/// What a file weighs unless told.
const WEIGHT: i32 = 1;

/// `------< VRRP Track files >------`. Writing to a `String` cannot fail, so outcomes are not looked at.
pub fn tracked(out: &mut String, view: &View<'_>) {
    if view.site.files.is_empty() {
        return;
    }
    out.push_str("------< VRRP Track files >------\n");
    for file in &view.site.files {
        let value = view.files.iter().find(|one| one.name == file.name).map_or(0, |one| one.value());
        let reverse = if file.reverse { " reverse" } else { "" };
        let _ = writeln!(out, " Track file = {}", file.name);
        let _ = writeln!(out, "   File = {}", file.path.as_deref().unwrap_or_default());
        let _ = writeln!(out, "   Status = {value}");
        let _ = writeln!(out, "   Weight = {}{reverse}", file.weight.unwrap_or(WEIGHT));
        tracking(out, &view.instances, &What::File(file.name.clone()));
    }
}

/// The instances that track something, with what it weighs for each.
fn tracking(out: &mut String, instances: &[Seen<'_>], what: &What) {
    for seen in instances {
        if let Some(Tracking { weight, reverse, .. }) = seen.instance.tracking.iter().find(|one| one.what == *what) {
            let reverse = if *reverse { " reverse" } else { "" };
            let _ = writeln!(out, "     {}, weight {weight}{reverse}", seen.instance.name);
        }
    }
}

/// `------< Static Track groups >------`.
pub fn groups(out: &mut String, view: &View<'_>) {
    let groups = &view.site.root.track_groups;
    if groups.is_empty() {
        return;
    }
    out.push_str("------< Static Track groups >------\n");
    for group in groups {
        let _ = writeln!(out, " Static Track Group = {}", group.name);
        let known = |name: &&String| view.instances.iter().any(|seen| seen.instance.name == **name);
        let members: Vec<&String> = group.members.iter().filter(known).collect();
        if !members.is_empty() {
            out.push_str("   VRRP member instances :\n");
        }
        members.iter().for_each(|name| {
            let _ = writeln!(out, "     {name}");
        });
    }
}
