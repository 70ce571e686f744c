use super::*;

fn context(name: &str) -> ContextId {
    ContextId::new(&[name.as_bytes()])
}

fn tickets(keys: &Arc<TicketKeys>, name: &str) -> Tickets {
    Tickets::new(keys.clone(), context(name), 300)
}

#[test]
fn a_ticket_opens_under_its_own_context_only() {
    let keys = Arc::new(TicketKeys::default());
    let (a, b) = (tickets(&keys, "a"), tickets(&keys, "b"));
    let ticket = a.seal(1000, b"secrets").expect("a ticket");
    assert_eq!(a.open(1001, &ticket).as_deref(), Some(&b"secrets"[..]));
    assert_eq!(b.open(1001, &ticket), None);
    let mut spoiled = ticket.clone();
    for at in 0..ticket.len() {
        spoiled[at] ^= 1;
        assert_eq!(a.open(1001, &spoiled), None, "byte {at}");
        assert_eq!(a.open(1001, &ticket[..at]), None, "cut at {at}");
        spoiled[at] ^= 1;
    }
}

#[test]
fn the_parts_of_a_context_do_not_run_together() {
    assert_ne!(ContextId::new(&[b"ab", b"c"]), ContextId::new(&[b"a", b"bc"]));
}

#[test]
fn keys_made_here_are_replaced_and_kept_while_tickets_need_them() {
    let keys = Arc::new(TicketKeys::default());
    let a = tickets(&keys, "a");
    let early = a.seal(1000, b"x").expect("a ticket");
    let late = a.seal(1299, b"x").expect("a ticket");
    let next = a.seal(1300, b"x").expect("a ticket");
    assert_eq!(early[..16], late[..16]);
    assert_ne!(late[..16], next[..16]);
    assert_eq!((a.open(1299, &early).is_some(), a.open(1300, &early).is_some()), (true, false));
    assert!(a.open(1598, &late).is_some());
    a.seal(1700, b"x");
    assert_eq!(keys.keys.read().len(), 2);
}

#[test]
fn a_short_time_replaces_keys_as_often() {
    let keys = Arc::new(TicketKeys::default());
    let short = Tickets::new(keys, ContextId::new(&[b"a"]), 2);
    let names = [1000, 1001, 1002].map(|now| short.seal(now, b"x").expect("a ticket")[..16].to_vec());
    assert!(names[0] == names[1] && names[1] != names[2]);
}

#[test]
fn the_first_file_encrypts_and_all_decrypt() {
    let (one, two) = (vec![1; 48], vec![2; 80]);
    let before = Arc::new(TicketKeys::from_files(std::slice::from_ref(&one)).expect("one key"));
    let after = Arc::new(TicketKeys::from_files(&[two, one]).expect("two keys"));
    let old = tickets(&before, "a").seal(1000, b"x").expect("a ticket");
    assert!(tickets(&after, "a").open(1001, &old).is_some());
    let new = tickets(&after, "a").seal(1000, b"x").expect("a ticket");
    assert!(new.starts_with(&[2; 16]));
    assert!(tickets(&before, "a").open(1001, &new).is_none());
    assert!(TicketKeys::from_files(&[vec![0; 47]]).is_none());
}

#[test]
fn a_zone_drops_the_oldest_and_what_has_ended() {
    let zone = SessionZone::new(1 << 20, 3);
    for name in 0..4_u8 {
        assert!(zone.put(10, vec![name], vec![name], 20));
    }
    assert_eq!(zone.get(10, &[0], false), None);
    assert_eq!(zone.get(10, &[1], false), Some(vec![1]));
    assert_eq!(zone.get(10, &[1], true), Some(vec![1]));
    assert_eq!(zone.get(10, &[1], true), None);
    assert_eq!(zone.get(20, &[2], false), None);
    assert!(zone.put(30, vec![9], vec![9], 40));
    assert_eq!(zone.len(), 1);
    assert!(!SessionZone::new(100, 9).put(0, vec![1], vec![0; 200], 1));
}

#[test]
fn a_zone_stays_below_its_bytes() {
    let zone = SessionZone::new(10_000, usize::MAX);
    for number in 0..1000_u16 {
        zone.put(0, number.to_be_bytes().to_vec(), vec![0; 100], 9);
        // The same session again takes no more.
        zone.put(0, number.to_be_bytes().to_vec(), vec![0; 50], 9);
        assert!(zone.sessions.lock().used <= 10_000);
    }
    assert!(zone.len() > 40);
    let sessions = zone.sessions.lock();
    assert!(sessions.queue.len() <= 2 * sessions.by_name.len() + 65);
    drop(sessions);
    assert_eq!(zone.get(0, &999_u16.to_be_bytes(), false), Some(vec![0; 50]));
}

#[test]
fn a_stored_session_is_found_under_its_own_context_only() {
    let zone = Arc::new(SessionZone::new(1 << 20, 10));
    let store = |name: &str| ContextStore { store: Store::Zone(zone.clone()), context: context(name), timeout: 300 };
    assert!(StoresServerSessions::put(&store("a"), b"k".to_vec(), b"v".to_vec()));
    assert_eq!(store("b").get(b"k"), None);
    assert_eq!(store("a").get(b"k"), Some(b"v".to_vec()));
    assert_eq!(store("a").take(b"k"), Some(b"v".to_vec()));
    let off = ContextStore { store: Store::Off, ..store("a") };
    let pretend = ContextStore { store: Store::Pretend, ..store("a") };
    assert_eq!(
        (off.can_cache(), pretend.can_cache(), StoresServerSessions::put(&pretend, vec![1], vec![1])),
        (false, true, false)
    );
}
