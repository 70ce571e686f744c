//! `fixtures/vrrp/*.steps` on a fake clock: events in, and exactly the actions that stand there out.
//!
//! Where a file says so, keepalived 2.1.5 was run with its configuration on one end of a link, its adverts were sent from the
//! other end at its times, and what the file has behind `say` is what keepalived logged, in this order.

use compat_tests::root;
use std::fs;

/// BLESS=1 writes what came out; whoever does so reads the difference.
#[test]
fn every_recorded_step_is_taken_again() {
    let mut wrong = Vec::new();
    let mut seen = 0;
    for entry in fs::read_dir(root().join("fixtures/vrrp")).expect("the fixtures").flatten() {
        let path = entry.path();
        if path.extension().is_none_or(|extension| extension != "steps") {
            continue;
        }
        seen += 1;
        let text = fs::read_to_string(&path).expect("UTF-8");
        let now = rha::keepalived::replay(&text).unwrap_or_else(|why| panic!("{}: {why}", path.display()));
        if std::env::var_os("BLESS").is_some() {
            fs::write(&path, &now).expect("the fixture can be written");
        } else if now != text {
            let place = now.lines().zip(text.lines()).find(|(now, then)| now != then);
            wrong.push(format!("{}: {place:?}", path.display()));
        }
    }
    assert!(seen >= 50, "only {seen} fixtures");
    assert!(wrong.is_empty(), "{wrong:#?}");
}
