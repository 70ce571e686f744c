//! Routers that move together (`vrrp_sync_group`): who must follow whom.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use super::machine::StateKind;

/// Whether a member must be held in fault: any member's own fault holds them all.
pub fn held(own_faults: impl IntoIterator<Item = bool>) -> bool {
    own_faults.into_iter().any(|fault| fault)
}

/// Whether a member whose master is dead may become master: only when all the others could as well.
pub fn elects(others_ready: impl IntoIterator<Item = bool>) -> bool {
    others_ready.into_iter().all(|ready| ready)
}

/// Whether a member in state `own` follows when another's becomes `changed`. At the start each goes its own way, unless
/// it had to wait.
pub const fn follows((own, waited): (StateKind, bool), changed: StateKind) -> bool {
    match own {
        StateKind::Initialise => waited && matches!(changed, StateKind::Backup),
        StateKind::Backup => matches!(changed, StateKind::Master | StateKind::Fault),
        StateKind::Master => matches!(changed, StateKind::Backup | StateKind::Fault),
        StateKind::Fault => matches!(changed, StateKind::Backup),
    }
}

/// The state a group as a whole is in.
pub fn state(members: impl IntoIterator<Item = StateKind>) -> StateKind {
    let mut whole = None;
    for member in members {
        whole = Some(match (whole, member) {
            (_, StateKind::Fault) | (Some(StateKind::Fault), _) => StateKind::Fault,
            (_, StateKind::Initialise) | (Some(StateKind::Initialise), _) => StateKind::Initialise,
            (_, StateKind::Backup) | (Some(StateKind::Backup), _) => StateKind::Backup,
            (_, StateKind::Master) => StateKind::Master,
        });
    }
    whole.unwrap_or(StateKind::Initialise)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_group_is_master_only_as_a_whole() {
        assert_eq!(state([StateKind::Master, StateKind::Master]), StateKind::Master);
        assert_eq!(state([StateKind::Master, StateKind::Backup]), StateKind::Backup);
        assert_eq!(state([StateKind::Master, StateKind::Fault]), StateKind::Fault);
        assert!(held([false, true]) && !held([false, false]));
    }
}
