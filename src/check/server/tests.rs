use super::*;

/// Writes down what is asked of it.
#[derive(Default)]
struct Recorder {
    changes: Vec<String>,
    lines: Vec<String>,
    events: Vec<Event>,
    refuses: bool,
}

impl Pool for Recorder {
    fn apply(&mut self, change: Change) -> bool {
        self.changes.push(match change {
            Change::Service(verb) => format!("{verb:?} service"),
            Change::Member { verb, member: Member::Real(at), weight, .. } => format!("{verb:?} {at} weight {weight}"),
            Change::Member { verb, weight, .. } => format!("{verb:?} sorry weight {weight}"),
        });
        !self.refuses
    }

    fn say(&mut self, line: String) {
        self.lines.push(line);
    }

    fn tell(&mut self, event: Event) {
        self.events.push(event);
    }
}

/// What is asked by old and by new places.
struct Two(Recorder, Recorder);

impl Pools for Two {
    fn of_old(&mut self) -> &mut dyn Pool {
        &mut self.0
    }

    fn of_new(&mut self) -> &mut dyn Pool {
        &mut self.1
    }
}

impl Recorder {
    fn changes(&mut self) -> Vec<String> {
        std::mem::take(&mut self.changes)
    }

    fn lines(&mut self) -> Vec<String> {
        std::mem::take(&mut self.lines)
    }

    fn forget(&mut self) {
        *self = Self::default();
    }
}

fn real(name: &str, weight: i64) -> RealConfig {
    RealConfig { name: name.into(), weight, inhibit: false, alphas: [false].into() }
}

fn config(reals: Vec<RealConfig>) -> Config {
    Config {
        name: "[10.9.9.1]:tcp:80".to_owned(),
        group: false,
        quorum: 1,
        hysteresis: 0,
        omega: false,
        init_notifies: false,
        reals,
        sorry: None,
    }
}

fn started(config: Config) -> (VirtualServer, Recorder) {
    let (mut server, mut pool) = (VirtualServer::new(Arc::new(config)), Recorder::default());
    server.start(&mut pool);
    (server, pool)
}

#[test]
fn servers_are_in_the_pool_from_the_start() {
    let (_, mut pool) = started(config(vec![real("a", 3), real("b", 0)]));
    assert_eq!(pool.changes(), ["Add service", "Add 0 weight 3", "Add 1 weight 1"]);
    assert_eq!(pool.lines(), ["Gained quorum 1+0=1 <= 4 for VS [10.9.9.1]:tcp:80"]);
}

#[test]
fn a_failed_server_leaves_and_comes_back() {
    let (mut server, mut pool) = started(config(vec![real("a", 1), real("b", 1)]));
    pool.forget();
    server.result(0, 0, false, false, &mut pool);
    assert_eq!(
        (pool.changes(), pool.lines()),
        (vec!["Delete 0 weight 1".into()], vec!["Removing service a to VS [10.9.9.1]:tcp:80".into()])
    );
    server.result(1, 0, false, false, &mut pool);
    assert_eq!(
        pool.lines(),
        ["Removing service b to VS [10.9.9.1]:tcp:80", "Lost quorum 1-0=1 > 0 for VS [10.9.9.1]:tcp:80"]
    );
    server.result(0, 0, true, false, &mut pool);
    assert_eq!(pool.changes(), ["Delete 1 weight 1", "Add 0 weight 1"]);
    assert_eq!(
        pool.events.last(),
        Some(&Event::Quorum { up: true, text: "=> Gained quorum 1+0=1 <= 1 <=".to_owned() })
    );
}

#[test]
fn all_checks_of_a_server_must_be_good() {
    let two = RealConfig { alphas: [false, false].into(), ..real("a", 1) };
    let (mut server, mut pool) = started(config(vec![two]));
    for (check, up, alive) in [(0, false, false), (1, false, false), (0, true, false), (1, true, true)] {
        server.result(0, check, up, false, &mut pool);
        assert_eq!(server.is_alive(0), alive, "{check} {up}");
    }
}

#[test]
fn an_inhibited_server_stays_with_weight_0() {
    let (mut server, mut pool) = started(config(vec![RealConfig { inhibit: true, ..real("a", 5) }]));
    pool.changes();
    server.result(0, 0, false, false, &mut pool);
    server.result(0, 0, true, false, &mut pool);
    assert_eq!(pool.changes(), ["Edit 0 weight 0", "Edit 0 weight 5"]);
    assert!(pool.lines().contains(&"Disabling service a to VS [10.9.9.1]:tcp:80".to_owned()));
}

#[test]
fn alpha_waits_for_the_first_success() {
    let alpha = RealConfig { alphas: [true].into(), ..real("a", 1) };
    let (mut server, mut pool) = started(config(vec![alpha]));
    assert_eq!(pool.changes(), ["Add service"]);
    server.result(0, 0, false, true, &mut pool);
    assert_eq!(pool.events, [Event::Real { real: 0, up: false }]);
    server.result(0, 0, true, true, &mut pool);
    assert_eq!(pool.changes(), ["Add 0 weight 1"]);
}

#[test]
fn the_sorry_server_answers_while_the_quorum_is_lost() {
    let sorry = SorryConfig { name: "s".to_owned(), inhibit: false, duplicates: false };
    let reals = vec![real("a", 1), real("b", 1)];
    let (mut server, mut pool) = started(Config { quorum: 2, hysteresis: 0, sorry: Some(sorry), ..config(reals) });
    pool.forget();
    server.result(0, 0, false, false, &mut pool);
    assert_eq!(pool.changes(), ["Delete 0 weight 1", "Delete 1 weight 1", "Add sorry weight 1"]);
    assert_eq!(
        pool.lines(),
        [
            "Removing service a to VS [10.9.9.1]:tcp:80",
            "Lost quorum 2-0=2 > 1 for VS [10.9.9.1]:tcp:80",
            "Adding sorry server s to VS [10.9.9.1]:tcp:80",
            "Removing alive servers from the pool for VS [10.9.9.1]:tcp:80",
        ]
    );
    server.result(0, 0, true, false, &mut pool);
    assert_eq!(pool.changes(), ["Delete sorry weight 1", "Add 0 weight 1", "Add 1 weight 1"]);
}

#[test]
fn hysteresis_keeps_the_quorum_from_flapping() {
    let reals = vec![real("a", 1), real("b", 1), real("c", 1)];
    let (mut server, mut pool) = started(Config { quorum: 2, hysteresis: 1, ..config(reals) });
    pool.lines();
    server.result(0, 0, false, false, &mut pool);
    server.result(1, 0, false, false, &mut pool);
    assert!(!pool.lines().iter().any(|line| line.starts_with("Lost")));
    server.result(2, 0, false, false, &mut pool);
    assert!(pool.lines().contains(&"Lost quorum 2-1=1 > 0 for VS [10.9.9.1]:tcp:80".to_owned()));
    server.result(0, 0, true, false, &mut pool);
    server.result(1, 0, true, false, &mut pool);
    assert!(!pool.lines().iter().any(|line| line.starts_with("Gained")));
    server.result(2, 0, true, false, &mut pool);
    assert!(pool.lines().contains(&"Gained quorum 2+1=3 <= 3 for VS [10.9.9.1]:tcp:80".to_owned()));
}

#[test]
fn a_kernel_that_refuses_leaves_the_server_as_it_was() {
    let (mut server, mut pool) = started(config(vec![real("a", 1)]));
    pool.refuses = true;
    server.result(0, 0, false, false, &mut pool);
    assert!(server.is_alive(0));
    pool.refuses = false;
    server.result(0, 0, false, false, &mut pool);
    assert!(!server.is_alive(0));
}

#[test]
fn a_weight_that_changes_is_edited() {
    let (mut server, mut pool) = started(config(vec![real("a", 1)]));
    pool.forget();
    server.set_weight(0, 20, true, &mut pool);
    assert_eq!(pool.changes(), ["Edit 0 weight 20"]);
    assert_eq!(pool.lines(), ["Changing weight from 1 to 20 for active service a of VS [10.9.9.1]:tcp:80"]);
}

#[test]
fn the_end_takes_everything_down() {
    let (mut server, mut pool) = started(config(vec![real("a", 1)]));
    pool.forget();
    server.stop(Flush::Each, true, &mut pool);
    assert_eq!(pool.changes(), ["Delete 0 weight 1", "Delete service"]);
    assert_eq!(pool.lines(), ["Shutting down service a from VS [10.9.9.1]:tcp:80"]);
    assert_eq!(pool.events, []);
    let (mut server, mut pool) = started(Config { omega: true, ..config(vec![real("a", 1)]) });
    pool.events.clear();
    server.stop(Flush::Each, true, &mut pool);
    let text = "=> Shutting down <=";
    assert_eq!(
        pool.events,
        [
            Event::Real { real: 0, up: false },
            Event::RealGone { real: 0, text },
            Event::Quorum { up: false, text: text.to_owned() }
        ]
    );
}

#[test]
fn a_reload_changes_only_what_changed() {
    let (mut server, mut pool) = started(config(vec![real("a", 1), real("b", 1), real("c", 1)]));
    server.result(1, 0, false, false, &mut pool);
    pool.forget();
    let next = config(vec![real("b", 1), real("c", 7), real("d", 1)]);
    let before = Before { checks: vec![vec![Some(0)], vec![Some(0)], vec![None]], ..Before::default() };
    let previous = server.config().clone();
    let mut pools = Two(Recorder::default(), pool);
    let (mut server, attempts) = server.reload(Arc::new(next), &before, &mut pools);
    let Two(mut old, mut pool) = pools;
    server.refill(&previous, &mut pool);
    assert_eq!(old.changes(), ["Delete 0 weight 1"]);
    assert_eq!(old.lines(), ["service a no longer exist", "Removing service a from VS [10.9.9.1]:tcp:80"]);
    assert_eq!(pool.changes(), ["Edit 1 weight 7", "Add 2 weight 1"]);
    assert_eq!(attempts, [vec![Attempts::Of(0)], vec![Attempts::Of(0)], vec![Attempts::None]]);
    assert_eq!((server.is_alive(0), server.is_alive(1), server.is_alive(2)), (false, true, true));
}
