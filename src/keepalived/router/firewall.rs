//! The nftables rules of the process: they keep a VMAC's multicast membership reports off the VMAC.
//!
//! A report that left by the VMAC would teach switches that the virtual router's Ethernet address is here, master or not;
//! it leaves by the interface below instead. The tables are made when they are first needed and removed at the end.

use crate::kernel::nftables::{Batch, Family, Header, Hook, HookPoint, KeyType, Meta, Register, Set, Step, has_table};
use std::io;

/// The name of the tables.
const TABLE: &str = "keepalived";
/// The place of their chains among others.
const PRIORITY: i32 = -1;
/// From VMACs to the interfaces below them.
const VMACS: Set = Set { name: "vmac_map", keys: KeyType::InterfaceIndex, map: true };

/// What has been set up in a family.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Parts {
    table: bool,
    vmacs: bool,
}

/// The rules as far as they are in the kernel.
#[derive(Debug, Default)]
pub(super) struct Firewall {
    ipv4: Parts,
    ipv6: Parts,
}

/// A VMAC by number, and the interface below.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Redirection {
    /// The VMAC.
    pub(super) vmac: u32,
    /// The interface below.
    pub(super) base: u32,
}

impl Firewall {
    fn parts(&mut self, family: Family) -> &mut Parts {
        match family {
            Family::Ipv4 => &mut self.ipv4,
            Family::Ipv6 => &mut self.ipv6,
        }
    }

    /// Adds the table of a family; tables an earlier process left behind are removed first, and named to `old`.
    fn table(&mut self, batch: &mut Batch, family: Family, old: &mut dyn FnMut(Family, &str)) -> io::Result<()> {
        if self.parts(family).table {
            return Ok(());
        }
        if !self.ipv4.table && !self.ipv6.table {
            for family in [Family::Ipv4, Family::Ipv6] {
                if has_table(family, TABLE)? {
                    old(family, TABLE);
                    batch.remove_table(family);
                }
            }
        }
        batch.add_table(family);
        batch.add_chain(family, "out", Some(Hook { at: HookPoint::Output, priority: PRIORITY }));
        self.parts(family).table = true;
        Ok(())
    }

    /// Has the membership reports of a VMAC leave by the interface below.
    pub(super) fn redirect(
        &mut self,
        families: &[Family],
        redirection: Redirection,
        old: &mut dyn FnMut(Family, &str),
    ) -> io::Result<()> {
        let mut batch = Batch::new(TABLE);
        for family in families.iter().copied() {
            self.table(&mut batch, family, old)?;
            if !std::mem::replace(&mut self.parts(family).vmacs, true) {
                batch.add_set(family, VMACS);
                batch.add_rule(family, "out", &reports(family));
            }
            let element = (redirection.vmac.to_ne_bytes().to_vec(), Some(redirection.base));
            batch.add_elements(family, VMACS.name, &[element]);
        }
        batch.commit()
    }

    /// Forgets a VMAC.
    pub(super) fn forget(&mut self, families: &[Family], redirection: Redirection) -> io::Result<()> {
        let mut batch = Batch::new(TABLE);
        for family in families.iter().copied().filter(|family| self.parts(*family).vmacs).collect::<Vec<_>>() {
            let element = (redirection.vmac.to_ne_bytes().to_vec(), Some(redirection.base));
            batch.remove_elements(family, VMACS.name, &[element]);
        }
        batch.commit()
    }

    /// Removes the tables.
    pub(super) fn remove(&mut self) -> io::Result<()> {
        let mut batch = Batch::new(TABLE);
        for family in [Family::Ipv4, Family::Ipv6] {
            if std::mem::take(self.parts(family)).table {
                batch.remove_table(family);
            }
        }
        batch.commit()
    }
}

/// The rule about membership reports: those of a VMAC are copied to the interface below and dropped.
fn reports(family: Family) -> [Step; 7] {
    // IGMPv3 (RFC 3376 §4.2.14) and MLDv2 (RFC 3810 §5.2.14).
    let (offset, group) = match family {
        Family::Ipv4 => (16, vec![224, 0, 0, 22]),
        Family::Ipv6 => (24, vec![0xff, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x16]),
    };
    let length = u32::try_from(group.len()).unwrap_or_default();
    [
        Step::Load(Register::One, Header::Network, offset, length),
        Step::Equal(Register::One, group.clone()),
        Step::Put(Register::One, group),
        Step::LoadMeta(Register::Two, Meta::OutputIndex),
        Step::Translate(Register::Two, VMACS.name),
        Step::Duplicate(Register::One, Register::Two),
        Step::Drop,
    ]
}
