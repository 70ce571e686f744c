use super::*;
use crate::vrrp::config::{Authentication, Peer, Version};
use crate::vrrp::wire::{HOPS, IPV4_HEADER, emit};
use proptest::prelude::*;

const OWN: &str = "192.0.2.11";
const OTHER: &str = "192.0.2.12";

fn config(priority: u8) -> Config {
    Config::new(1, priority, vec!["192.0.2.10".parse().unwrap()])
}

fn owner() -> Config {
    let mut config = config(255);
    config.owner = true;
    config
}

fn good(priority: u8) -> Event {
    Event::Eligibility(Eligibility { priority, fault: false, waiting: false })
}

/// A reload that gives the router this configuration and nothing tracked.
fn reconfigured(config: Config, announce: bool) -> Event {
    let eligibility = Eligibility { priority: config.priority, fault: false, waiting: false };
    Event::Reconfigure { config: Arc::new(config), eligibility, announce }
}

fn heard(config: &Config, source: &str, priority: u8) -> Event {
    let (source, group) = (source.parse().unwrap(), "224.0.0.18".parse().unwrap());
    let payload = emit(config, priority, source, group);
    Event::Received(Datagram {
        source,
        destination: Some(group),
        hops: HOPS,
        header: IPV4_HEADER,
        ah: None,
        payload,
        clock: 0,
    })
}

fn unicast_advert(config: &Config, source: &str, priority: u8) -> Event {
    let (source, own) = (source.parse().unwrap(), OWN.parse().unwrap());
    let payload = emit(config, priority, source, own);
    Event::Received(Datagram {
        source,
        destination: Some(own),
        hops: 64,
        header: IPV4_HEADER,
        ah: None,
        payload,
        clock: 0,
    })
}

/// A router that has started, the time it did, and a place for what it wants.
fn started(config: Config) -> (Router, Instant) {
    let now = Instant::now();
    let priority = config.priority;
    let mut router = Router::new(config, Some(OWN.parse().unwrap()));
    router.handle(now, good(priority));
    (router, now)
}

fn actions(router: &mut Router) -> Vec<Action> {
    std::iter::from_fn(|| router.poll_action()).collect()
}

fn seconds(seconds: f64) -> Duration {
    Duration::from_secs_f64(seconds)
}

fn master(config: Config) -> (Router, Instant) {
    let (mut router, _) = started(config);
    let now = router.poll_timeout().unwrap();
    router.handle_timeout(now);
    assert_eq!(router.state(), StateKind::Master);
    actions(&mut router);
    (router, now)
}

#[test]
fn a_backup_takes_over_after_three_silent_intervals_and_its_skew() {
    for (priority, wait) in [(120, 3.53125), (100, 3.609375), (1, 3.99609375)] {
        let (router, now) = started(config(priority));
        assert_eq!(router.poll_timeout(), Some(now + seconds(wait)));
    }
}

#[test]
fn a_new_master_advertises_before_it_announces() {
    let (mut router, _) = started(config(100));
    let due = router.poll_timeout().unwrap();
    actions(&mut router);
    router.handle_timeout(due);
    let all = actions(&mut router);
    let place = |wanted: &Action| all.iter().position(|action| action == wanted).unwrap();
    let ip = "192.0.2.10".parse().unwrap();
    let order = [Action::Hold, Action::Advertise(100, 0), Action::Announce(ip), Action::Changed(StateKind::Master)];
    assert!(order.windows(2).all(|pair| place(&pair[0]) < place(&pair[1])), "{all:?}");
    assert_eq!(all.iter().filter(|action| **action == Action::Announce(ip)).count(), 5);
}

#[test]
fn the_owner_of_the_addresses_does_not_wait_at_its_start() {
    let (mut router, now) = started(owner());
    assert_eq!(router.state(), StateKind::Master);
    assert!(actions(&mut router).contains(&Action::Advertise(255, 0)));
    // After a fault it does, and so does a priority of 255 without `state MASTER`, as with keepalived.
    router.handle(now, Event::Eligibility(Eligibility { priority: 255, fault: true, waiting: false }));
    router.handle(now, good(255));
    assert_eq!(router.state(), StateKind::Backup);
    assert_eq!(started(config(255)).0.state(), StateKind::Backup);
}

#[test]
fn paced_announcements_do_not_collapse() {
    let mut config = config(100);
    config.announcing.arp_interval = Duration::from_millis(1);
    let (mut router, _) = started(config);
    let mut count = 0;
    let end = router.poll_timeout().unwrap() + seconds(6.0);
    while let Some(due) = router.poll_timeout().filter(|due| *due <= end) {
        router.handle_timeout(due);
        count += actions(&mut router).iter().filter(|action| matches!(action, Action::Announce(_))).count();
    }
    assert_eq!(count, 10);
}

#[test]
fn a_higher_priority_wins_and_a_lower_one_does_not() {
    let (mut router, now) = master(config(100));
    router.handle(now, heard(&config(100), OTHER, 99));
    assert_eq!(router.state(), StateKind::Master);
    assert!(actions(&mut router).contains(&Action::Advertise(100, 0)));
    router.handle(now, heard(&config(100), OTHER, 101));
    assert_eq!(router.state(), StateKind::Backup);
    assert!(actions(&mut router).contains(&Action::Release));
}

#[test]
fn among_equals_the_higher_address_wins() {
    let (mut router, now) = master(config(100));
    router.handle(now, heard(&config(100), "192.0.2.9", 100));
    assert_eq!(router.state(), StateKind::Master);
    router.handle(now, heard(&config(100), OTHER, 100));
    assert_eq!(router.state(), StateKind::Backup);
    let (mut router, now) = master(config(100));
    router.handle(now, heard(&config(100), OWN, 100));
    assert_eq!(actions(&mut router), [Action::Note(Note::OurAddress)]);
}

#[test]
fn an_owner_that_hears_another_gives_way_and_stays_at_254() {
    let (mut router, now) = master(owner());
    router.handle(now, heard(&config(255), OTHER, 255));
    assert_eq!((router.state(), router.priority()), (StateKind::Backup, 254));
    router.handle(now, good(255));
    assert_eq!(router.priority(), 254);
    router.handle(now, reconfigured(owner(), false));
    assert_eq!(router.priority(), 255);
}

#[test]
fn an_owner_that_ignores_adverts_stays_master_and_says_so_once() {
    let mut config = owner();
    config.owner_ignores_adverts = true;
    let other = Config { addresses: vec!["192.0.2.77".parse().unwrap()], ..config.clone() };
    let (mut router, now) = started(config.clone());
    actions(&mut router);
    router.handle(now, heard(&config, OTHER, 255));
    router.handle(now, heard(&other, OTHER, 255));
    let said = lines(&actions(&mut router));
    assert_eq!(said, ["Dropping packet(s) from 192.0.2.12 since we are address owner"]);
    assert_eq!((router.state(), router.priority(), router.counters().received), (StateKind::Master, 255, 0));
    // A packet that is no advert of ours is refused as ever.
    router.handle(now, heard(&Config { interval: seconds(2.0), ..config }, OTHER, 255));
    assert_eq!(lines(&actions(&mut router)), ["advertisement interval mismatch mine=1 sec rcv'd=2 sec"]);
}

#[test]
fn a_master_whose_adverts_are_late_gives_way() {
    for (version, expiry) in [(Version::V2, 3.609_375), (Version::V3, 3.609_375)] {
        let late = |highest: Option<u8>, wait: f64, hears: bool| {
            let mut config = config(120);
            (config.version, config.preempt, config.highest_other_priority) = (version, false, highest);
            let (mut router, since) = master(config.clone());
            let now = since + seconds(wait);
            if hears {
                router.handle(now, heard(&config, OTHER, 100));
            } else {
                router.handle_timeout(now);
            }
            (router.state(), lines(&actions(&mut router)))
        };
        assert_eq!(late(None, 60.0, false).0, StateKind::Master);
        assert_eq!(late(Some(100), expiry - 0.001, false).0, StateKind::Master);
        for hears in [false, true] {
            let (state, said) = late(Some(100), expiry, hears);
            let expected = ["VRRP thread timer expired 2.609375 seconds ago", "Entering BACKUP STATE"];
            assert_eq!((state, said[..2].to_vec()), (StateKind::Backup, expected.map(str::to_owned).to_vec()));
        }
    }
}

#[test]
fn a_reload_does_not_make_a_backup_wait_anew() {
    let (mut router, now) = started(config(100));
    let due = router.poll_timeout();
    router.handle(now + seconds(2.0), reconfigured(config(100), false));
    assert_eq!(router.poll_timeout(), due);
}

#[test]
fn a_grouped_router_waits_until_its_group_is_ready() {
    let mut grouped = config(100);
    grouped.grouped = true;
    let (mut router, now) = started(grouped.clone());
    actions(&mut router);
    let due = router.poll_timeout().unwrap();
    router.handle_timeout(due);
    assert_eq!(actions(&mut router), [Action::Note(Note::AdvertTimeout), Action::Ready]);
    assert_eq!((router.state(), router.is_ready()), (StateKind::Backup, true));
    assert_eq!(router.poll_timeout(), Some(due + router.master_down()));
    // A master that is heard takes the readiness away, one that is discarded does not.
    router.handle(due, heard(&grouped, OTHER, 50));
    assert!(router.is_ready());
    router.handle(due, heard(&grouped, OTHER, 150));
    assert!(!router.is_ready());
    router.handle(due, Event::Follow(StateKind::Master));
    assert_eq!(router.state(), StateKind::Master);
    assert!(now < due);
}

#[test]
fn a_member_that_follows_into_fault_gives_up_once() {
    let zeros = |follow: bool| {
        let (mut router, now) = master(config(100));
        let fault = Event::Eligibility(Eligibility { priority: 100, fault: true, waiting: false });
        router.handle(now, if follow { Event::Follow(StateKind::Fault) } else { fault });
        assert_eq!(router.state(), StateKind::Fault);
        actions(&mut router).iter().filter(|action| **action == Action::Advertise(0, 0)).count()
    };
    assert_eq!((zeros(false), zeros(true)), (2, 1));
}

#[test]
fn every_lower_advert_has_a_second_batch_of_its_own() {
    let mut paced = config(100);
    paced.announcing.lower_delay = seconds(1.0);
    (paced.announcing.lower_repeat, paced.announcing.repeat) = (1, 1);
    let (mut router, now) = master(paced.clone());
    for at in [0.25, 0.5] {
        router.handle(now + seconds(at), heard(&paced, OTHER, 50));
    }
    actions(&mut router);
    let mut batches = Vec::new();
    while let Some(due) = router.poll_timeout().filter(|due| *due <= now + seconds(6.0)) {
        router.handle_timeout(due);
        let some = actions(&mut router).iter().any(|action| matches!(action, Action::Announce(_)));
        batches.extend(some.then(|| due.duration_since(now)));
    }
    assert_eq!(batches, [seconds(1.25), seconds(1.5), seconds(5.0)]);
}

#[test]
fn a_refresh_goes_with_an_advert() {
    let mut refreshing = config(100);
    refreshing.announcing.refresh = seconds(2.0);
    refreshing.announcing.delay = Duration::ZERO;
    (refreshing.announcing.lower_repeat, refreshing.announcing.lower_delay) = (0, Duration::ZERO);
    let (mut router, now) = master(refreshing.clone());
    router.handle(now + seconds(0.5), heard(&refreshing, OTHER, 50));
    actions(&mut router);
    let mut refreshed = Vec::new();
    while let Some(due) = router.poll_timeout().filter(|due| *due <= now + seconds(5.0)) {
        router.handle_timeout(due);
        let some = actions(&mut router).iter().any(|action| matches!(action, Action::Announce(_)));
        refreshed.extend(some.then(|| due.duration_since(now)));
    }
    assert_eq!(refreshed, [seconds(2.5), seconds(4.5)]);
    // Adverts that are a moment late, now one and now the other, carry every refresh all the same.
    let (mut router, now) = master(refreshing);
    let mut count = 0;
    for turn in 1..=10 {
        let late = if turn % 4 < 2 { 0.003 } else { 0.001 };
        router.handle_timeout(now + seconds(f64::from(turn) + late));
        count += usize::from(actions(&mut router).iter().any(|action| matches!(action, Action::Announce(_))));
    }
    assert_eq!(count, 5);
}

#[test]
fn a_master_that_gives_up_is_followed_after_the_skew() {
    let (mut router, now) = started(config(100));
    router.handle(now, heard(&config(100), OTHER, 120));
    let later = now + seconds(1.0);
    router.handle(later, heard(&config(100), OTHER, 0));
    assert_eq!(router.poll_timeout(), Some(later + seconds(0.609375)));
}

#[test]
fn a_lower_advert_does_not_hold_a_backup_back_unless_it_may_not_preempt() {
    let (mut router, now) = started(config(100));
    let due = router.poll_timeout();
    router.handle(now + seconds(1.0), heard(&config(100), OTHER, 50));
    assert_eq!(router.poll_timeout(), due);
    let mut patient = config(100);
    patient.preempt = false;
    let (mut router, now) = started(patient);
    router.handle(now + seconds(1.0), heard(&config(100), OTHER, 50));
    assert_eq!(router.poll_timeout(), Some(now + seconds(4.609375)));
    assert_eq!(router.heard().map(|heard| heard.priority), Some(50));
}

#[test]
fn a_preempt_delay_bears_a_lower_master_for_a_while() {
    let mut config = config(100);
    config.preempt_delay = seconds(5.0);
    let (mut router, start) = started(config.clone());
    let mut at = start;
    while router.state() == StateKind::Backup {
        at += seconds(0.5);
        if router.poll_timeout().is_some_and(|due| due <= at) {
            router.handle_timeout(at);
        } else {
            router.handle(at, heard(&config, OTHER, 50));
        }
    }
    // The last advert that was borne with came just before the delay ended.
    let waited = (at - start).as_secs_f64();
    assert!((8.5..9.5).contains(&waited), "{waited}");
}

#[test]
fn a_master_of_no_lower_priority_ends_a_preempt_delay() {
    for priority in [100, 101] {
        let mut config = config(100);
        config.preempt_delay = seconds(5.0);
        let (mut router, now) = started(config.clone());
        router.handle(now, heard(&config, OTHER, 50));
        actions(&mut router);
        router.handle(now + seconds(1.0), heard(&config, OTHER, priority));
        assert_eq!(actions(&mut router), [Action::Note(Note::StopPreemptDelay)], "{priority}");
        // The next lower one is borne with for the whole delay again.
        router.handle(now + seconds(5.5), heard(&config, OTHER, 50));
        assert_eq!(actions(&mut router), [Action::Note(Note::StartPreemptDelay(seconds(5.0)))]);
    }
}

#[test]
fn a_trusted_master_may_have_more_addresses_than_we_know_of() {
    let mut config = config(100);
    config.skip_check_adv_addr = true;
    let mut wider = config.clone();
    wider.addresses.push("192.0.2.77".parse().unwrap());
    let (mut router, now) = started(config.clone());
    router.handle(now, heard(&config, OTHER, 200));
    let (at, down) = (now + seconds(1.0), router.master_down());
    router.handle(at, heard(&wider, OTHER, 200));
    assert_eq!(router.poll_timeout(), Some(at + down));
    // From anybody else it is looked at.
    router.handle(at + seconds(1.0), heard(&wider, "192.0.2.9", 200));
    assert_eq!(router.poll_timeout(), Some(at + down));
}

#[test]
fn a_malformed_packet_touches_no_timer() {
    let (mut router, now) = master(config(100));
    let due = router.poll_timeout();
    let Event::Received(mut packet) = heard(&config(100), OTHER, 200) else { panic!() };
    packet.payload[2] = 201;
    router.handle(now + seconds(0.5), Event::Received(packet));
    assert_eq!((router.poll_timeout(), router.state()), (due, StateKind::Master));
    assert!(matches!(actions(&mut router).as_slice(), [Action::Note(Note::Refused(_))]));
}

#[test]
fn a_fault_gives_up_twice_and_recovery_waits_in_full() {
    let (mut router, now) = master(config(100));
    router.handle(now, Event::Eligibility(Eligibility { priority: 100, fault: true, waiting: false }));
    let zero = actions(&mut router).iter().filter(|action| **action == Action::Advertise(0, 0)).count();
    assert_eq!((zero, router.state(), router.poll_timeout()), (2, StateKind::Fault, None));
    router.handle(now, good(100));
    assert_eq!(router.poll_timeout(), Some(now + seconds(3.609375)));
}

#[test]
fn a_changed_priority_moves_the_deadline_by_the_difference() {
    let (mut router, now) = started(config(100));
    router.handle(now, good(120));
    assert_eq!(router.poll_timeout(), Some(now + seconds(3.53125)));
}

#[test]
fn a_third_version_backup_adopts_the_masters_interval() {
    let mut fast = config(100);
    fast.version = Version::V3;
    fast.interval = seconds(0.1);
    let (mut router, now) = started(config(100));
    let mut slow = fast.clone();
    slow.interval = seconds(1.0);
    router.handle(now, reconfigured(fast, false));
    actions(&mut router);
    router.handle(now, heard(&slow, OTHER, 120));
    assert_eq!(router.poll_timeout(), Some(now + seconds(3.609375)));
    let told = [
        "advertisement interval changed: mine=100 milli-sec, rcved=1000 milli-sec",
        "advertisement interval updated to 1000 milli-sec from 100 milli-sec",
    ];
    assert_eq!(lines(&actions(&mut router)), told);
    router.handle_timeout(now + seconds(3.609375));
    let own = "using locally configured advertisement interval (100 milli-sec)".to_owned();
    assert!(lines(&actions(&mut router)).contains(&own));
}

#[test]
fn a_reload_judges_the_known_master_anew() {
    let peer = |source: &str| Peer { address: source.parse().unwrap(), hops: 0..=255 };
    let mut unicast = config(100);
    unicast.skip_check_adv_addr = true;
    unicast.peers = vec![peer(OTHER)];
    let (mut router, now) = started(unicast.clone());
    let advert = || unicast_advert(&unicast, OTHER, 120);
    router.handle(now, advert());
    assert_eq!(router.heard().map(|heard| heard.priority), Some(120));
    let mut strict = unicast.clone();
    strict.check_unicast_src = true;
    strict.peers = vec![peer("192.0.2.99")];
    router.handle(now, reconfigured(strict, false));
    actions(&mut router);
    router.handle(now, advert());
    let refusal = Refusal::Peer { source: OTHER.parse().unwrap() };
    assert_eq!(actions(&mut router), [Action::Note(Note::Refused(refusal))]);
}

#[test]
fn a_configured_priority_changes_without_a_word_and_a_weight_is_told() {
    let (mut router, now) = master(config(150));
    let eligibility = Eligibility { priority: 145, fault: false, waiting: false };
    router.handle(now, Event::Reconfigure { config: Arc::new(config(140)), eligibility, announce: false });
    let all = actions(&mut router);
    let changed = Action::Note(Note::PriorityChanged { from: 140, to: 145, master: true });
    assert!(all.contains(&changed) && all.contains(&Action::Advertise(145, 0)), "{all:?}");
    router.handle(now, reconfigured(config(130), false));
    let all = actions(&mut router);
    assert!(!all.iter().any(|action| matches!(action, Action::Note(Note::PriorityChanged { .. }))), "{all:?}");
}

/// A flood of packets of one kind within a second, and what a router does about it until the second is over.
fn flooded(mut router: Router, now: Instant, event: &Event) -> Vec<Action> {
    for _ in 0..1000 {
        router.handle(now, event.clone());
    }
    router.handle_timeout(now + seconds(1.0));
    actions(&mut router)
}

fn lines(all: &[Action]) -> Vec<String> {
    let line = |action: &Action| if let Action::Note(note) = action { Some(note.to_string()) } else { None };
    all.iter().filter_map(line).collect()
}

#[test]
fn a_flood_of_packets_writes_a_bounded_number_of_lines() {
    let mut other = config(100);
    other.authentication = Authentication::Pass(*b"wrong\0\0\0");
    let refused = heard(&other, OTHER, 120);
    let lower = heard(&config(50), OTHER, 50);
    let (backup, now) = started(config(100));
    for (router, event, text) in [
        (backup, &refused, "received a 1 auth, expecting 0!"),
        (started(config(100)).0, &lower, "received lower priority (50) advert from 192.0.2.12 - discarding"),
        (master(config(100)).0, &lower, "lower priority 50, ours 100, forcing new election"),
        (master(config(100)).0, &heard(&config(50), OTHER, 0), "Master received priority 0 message"),
    ] {
        let lines = lines(&flooded(router, now, event));
        assert_eq!(lines.iter().filter(|line| line.ends_with(text)).count(), 10, "{text}: {lines:?}");
        let count = format!("{text} - 990 more in the last second");
        assert_eq!(lines.iter().filter(|line| line.ends_with(&count)).count(), 1, "{count}: {lines:?}");
    }
}

#[test]
fn a_flood_of_packets_gets_a_bounded_number_of_answers() {
    for priority in [0, 50] {
        let (router, now) = master(config(100));
        let all = flooded(router, now, &heard(&config(50), OTHER, priority));
        let adverts = all.iter().filter(|action| matches!(action, Action::Advertise(..))).count();
        // Ten answers, and the advert that is due after a second.
        assert_eq!(adverts, 11, "priority {priority}");
        assert!(all.iter().filter(|action| **action == Action::HeardLower).count() <= 10);
        assert!(all.iter().filter(|action| matches!(action, Action::Announce(_))).count() <= 50);
    }
}

#[test]
fn a_reload_keeps_a_master_master() {
    let (mut router, now) = master(config(100));
    let mut more = config(100);
    more.addresses.push("192.0.2.20".parse().unwrap());
    router.handle(now, reconfigured(more, true));
    let all = actions(&mut router);
    assert_eq!(router.state(), StateKind::Master);
    assert!(all.contains(&Action::Hold) && all.contains(&Action::Announce("192.0.2.20".parse().unwrap())));
}

proptest! {
    /// Whatever two routers do on a healthy wire, in the end one of them is master and the other is not.
    #[test]
    fn two_routers_agree_on_one_master(a in 1_u8..=254, b in 1_u8..=254, start in 0_u64..4000, preempt: bool) {
        let now = Instant::now();
        let mut configs = [config(a), config(b)];
        configs[0].preempt = preempt;
        let sources = [OWN, OTHER];
        let mut routers = [0, 1].map(|at| Router::new(configs[at].clone(), Some(sources[at].parse().unwrap())));
        let starts = [now, now + Duration::from_millis(start)];
        let mut begun = [false, false];
        let end = now + seconds(30.0);
        let mut clock = now;
        while clock < end {
            for at in [0, 1] {
                if !begun[at] && starts[at] <= clock {
                    begun[at] = true;
                    routers[at].handle(clock, good(configs[at].priority));
                }
                if routers[at].poll_timeout().is_some_and(|due| due <= clock) {
                    routers[at].handle_timeout(clock);
                }
                let adverts: Vec<u8> = actions(&mut routers[at]).into_iter().filter_map(|action| match action {
                    Action::Advertise(priority, _) => Some(priority),
                    _ => None,
                }).collect();
                for priority in adverts {
                    let event = heard(&configs[at], sources[at], priority);
                    routers[1 - at].handle(clock, event);
                }
            }
            clock += Duration::from_millis(7);
        }
        let masters = routers.iter().filter(|router| router.state() == StateKind::Master).count();
        prop_assert_eq!(masters, 1);
        if preempt {
            let best = if a > b { 0 } else { 1 };
            if a != b { prop_assert_eq!(routers[best].state(), StateKind::Master); }
        }
    }
}

#[test]
fn adverts_with_an_authentication_header_are_numbered() {
    let mut config = config(100);
    config.authentication = Authentication::Ah(*b"secret\0\0");
    let (mut router, _) = started(config.clone());
    let heard = |priority, sequence| {
        let (source, group) = (OTHER.parse().unwrap(), "224.0.0.18".parse().unwrap());
        Event::Received(
            wire::datagram(&config, priority, (source, group), (HOPS, wire::Numbers { ah: sequence, hmac: 1 }))
                .unwrap(),
        )
    };
    let now = router.poll_timeout().unwrap();
    // A backup goes on from what its master has sent last.
    router.handle(now, heard(120, 40));
    let due = router.poll_timeout().unwrap();
    router.handle_timeout(due);
    let sent = |router: &mut Router| -> Vec<u32> {
        let number = |action| if let Action::Advertise(_, number) = action { Some(number) } else { None };
        actions(router).into_iter().filter_map(number).collect()
    };
    assert_eq!(sent(&mut router), [41]);
    router.handle_timeout(due + Duration::from_secs(1));
    assert_eq!(sent(&mut router), [42]);
    router.handle(due + Duration::from_secs(1), heard(90, 70));
    assert_eq!(sent(&mut router), [72], "it goes on from the number of a lesser master");
    router.handle(due + Duration::from_secs(1), heard(200, 60));
    assert_eq!(router.state(), StateKind::Master, "a number that was seen is no advert");
    assert_eq!(router.counters().auth_failure, 1);
}
