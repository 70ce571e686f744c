use super::*;
use crate::conf::source::Memory;

fn pair(a: &str, b: &str) -> Pair {
    let mut loader = Memory::of("a", a);
    loader.texts.insert("b".to_owned(), b.as_bytes().to_vec());
    Pair::read(&loader, ["a", "b"], "").unwrap_or_else(|(path, error)| panic!("{path}: {error}"))
}

fn node(priority: u8, more: &str) -> String {
    format!(
        "vrrp_script s {{\n script /bin/true\n interval 2\n fall 3\n rise 2\n}}\n\
         vrrp_instance V {{\n interface eth0\n virtual_router_id 51\n priority {priority}\n {more}\n \
         track_script {{\n s\n }}\n virtual_ipaddress {{\n 192.0.2.100\n }}\n}}\n"
    )
}

fn one(pair: &Pair, earlier: &[Failure], failure: Option<&Failure>) -> Outcome {
    let mut all = pair.after(earlier, failure);
    assert_eq!(all.len(), 1);
    all.remove(0)
}

fn millis(time: Duration) -> u128 {
    (time.as_micros() + 500) / 1000
}

/// Three adverts and the skew of the backup's priority: (256 - 100) / 256 s = 0.609375 s.
#[test]
fn a_dead_master_is_missed_after_three_adverts_and_the_skew() {
    let pair = pair(&node(150, ""), &node(100, ""));
    let start = one(&pair, &[], None);
    assert_eq!((start.after.as_slice(), millis(start.settled.1)), (&[0][..], 3414));
    let dead = one(&pair, &[], Some(&Failure::Dies(0)));
    assert_eq!(dead.after, [1]);
    assert_eq!((millis(dead.settled.0), millis(dead.settled.1)), (2609, 3609));
    assert_eq!((millis(dead.vacant.0), millis(dead.vacant.1)), (2609, 3609));
    assert_eq!(dead.doubled, Duration::ZERO);
}

#[test]
fn a_master_that_is_stopped_says_so_and_only_the_skew_is_waited() {
    let stopped = one(&pair(&node(150, ""), &node(100, "")), &[], Some(&Failure::Stops(0)));
    assert_eq!((stopped.after.as_slice(), millis(stopped.settled.1)), (&[1][..], 609));
}

/// Three failures, two seconds apart; the first run after the failure comes at once or after a whole interval.
#[test]
fn a_failing_script_costs_its_runs_and_the_skew() {
    let pair = pair(&node(150, ""), &node(100, ""));
    let fails = Failure::ScriptFails(0, "s".to_owned());
    let failed = one(&pair, &[], Some(&fails));
    assert_eq!((failed.after.as_slice(), failed.states[0]), (&[1][..], Some(StateKind::Fault)));
    assert_eq!((millis(failed.settled.0), millis(failed.settled.1)), (4609, 6609));
    let both = one(&pair, &[fails], Some(&Failure::ScriptFails(1, "s".to_owned())));
    assert!(both.after.is_empty() && both.before == [1]);
}

#[test]
fn nopreempt_keeps_the_backup_master_unless_state_is_master() {
    let back = [Failure::Dies(0)];
    let returns = Some(&Failure::Returns(0));
    let quiet = pair(&node(150, "nopreempt"), &node(100, "nopreempt"));
    assert_eq!(one(&quiet, &back, returns).after, [1]);
    let loud = pair(&node(150, "state MASTER\n nopreempt"), &node(100, "nopreempt"));
    let outcome = one(&loud, &back, returns);
    assert_eq!((outcome.before.as_slice(), outcome.after.as_slice()), (&[1][..], &[0][..]));
    assert_eq!(outcome.vacant.1, Duration::ZERO);
}

#[test]
fn a_split_makes_both_master_and_healing_ends_it() {
    let pair = pair(&node(150, ""), &node(100, ""));
    assert_eq!(one(&pair, &[], Some(&Failure::Split)).after, [0, 1]);
    let healed = one(&pair, &[Failure::Split], Some(&Failure::Heals));
    assert_eq!((healed.before.as_slice(), healed.after.as_slice()), (&[0, 1][..], &[0][..]));
}

#[test]
fn nodes_that_disagree_about_the_password_are_both_master() {
    let auth = |word: &str| format!("authentication {{\n auth_type PASS\n auth_pass {word}\n }}");
    let pair = pair(&node(150, &auth("one")), &node(100, &auth("two")));
    assert_eq!(one(&pair, &[], None).after, [0, 1]);
}

#[test]
fn a_group_moves_as_a_whole() {
    let site = |priority: u8| {
        let instance = |name: &str, vrid: u8, dev: &str| {
            format!(
                "vrrp_instance {name} {{\n interface {dev}\n virtual_router_id {vrid}\n priority {priority}\n \
                 virtual_ipaddress {{\n 192.0.2.{vrid}\n }}\n}}\n"
            )
        };
        format!(
            "vrrp_sync_group G {{\n group {{\n I\n O\n }}\n}}\n{}{}",
            instance("I", 1, "eth0"),
            instance("O", 2, "eth1")
        )
    };
    let pair = pair(&site(150), &site(100));
    for outcome in pair.after(&[], Some(&Failure::LinkDown(0, "eth0".to_owned()))) {
        assert_eq!((outcome.before.as_slice(), outcome.after.as_slice()), (&[0][..], &[1][..]), "{}", outcome.instance);
    }
}
