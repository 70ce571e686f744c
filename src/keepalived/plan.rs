//! What a reload comes to: old configuration × new one → changes. Pure.

use super::blocks::address::Address;
use super::site::{Instance, Site};
use std::sync::Arc;

/// What a reload does to one instance; the numbers are places in the old and the new list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// It goes.
    Remove {
        /// Its place among the old ones.
        old: usize,
    },
    /// It is new.
    Add {
        /// Its place among the new ones.
        new: usize,
    },
    /// It stays what it is, master or not, under a new configuration.
    Keep {
        /// Its place among the old ones.
        old: usize,
        /// Its place among the new ones.
        new: usize,
        /// Addresses it no longer has, or has in another form.
        gone: Vec<Address>,
        /// Whether it has addresses it did not have.
        more: bool,
    },
}

/// What to change, removals first. An instance is the same when its identity is; its name plays no part.
pub fn plan(old: &Site, new: &Site) -> Vec<Change> {
    let place =
        |list: &[Arc<Instance>], one: &Instance| list.iter().position(|other| other.identity() == one.identity());
    let mut changes: Vec<Change> = (0..)
        .zip(&old.instances)
        .filter(|(_, instance)| place(&new.instances, instance).is_none())
        .map(|(old, _)| Change::Remove { old })
        .collect();
    for (at, instance) in new.instances.iter().enumerate() {
        let before = place(&old.instances, instance).and_then(|at| old.instances.get(at).map(|before| (at, before)));
        let Some((old, before)) = before else {
            changes.push(Change::Add { new: at });
            continue;
        };
        let same = |a: &Address, b: &Address| Address { span: b.span, ..a.clone() } == *b;
        let gone =
            before.addresses.iter().filter(|a| !instance.addresses.iter().any(|b| same(a, b))).cloned().collect();
        let more = instance.addresses.iter().any(|a| !before.addresses.iter().any(|b| same(a, b)));
        changes.push(Change::Keep { old, new: at, gone, more });
    }
    changes
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conf::expand::Environment;
    use crate::conf::source::Memory;
    use crate::keepalived::read::read;
    use crate::keepalived::slot::Machine;

    fn site(instances: &[(&str, u8, &str)]) -> Site {
        let text: String = instances
            .iter()
            .map(|(name, vrid, ip)| {
                format!("vrrp_instance {name} {{\ninterface e\nvirtual_router_id {vrid}\nvirtual_ipaddress {{\n{ip}\n}}\n}}\n")
            })
            .collect();
        let machine = Machine { has_interface: &|_| true, has_user: &|_, _| true, read_secret: &|_| None };
        read(&Memory::of("k", &text), "k", &Environment::default(), &machine).unwrap().site
    }

    #[test]
    fn an_instance_is_known_again_by_what_it_is_not_by_its_name() {
        let changes = plan(
            &site(&[("A", 1, "1.1.1.1"), ("B", 2, "2.2.2.2")]),
            &site(&[("X", 2, "2.2.2.2"), ("C", 3, "3.3.3.3")]),
        );
        assert_eq!(
            changes,
            [
                Change::Remove { old: 0 },
                Change::Keep { old: 1, new: 0, gone: Vec::new(), more: false },
                Change::Add { new: 1 }
            ]
        );
    }

    #[test]
    fn addresses_that_change_their_form_go_and_come() {
        let changes = plan(&site(&[("A", 1, "1.1.1.1/24")]), &site(&[("A", 1, "1.1.1.1/32")]));
        let [Change::Keep { gone, more: true, .. }] = changes.as_slice() else { panic!("{changes:?}") };
        assert_eq!(gone.len(), 1);
    }
}
