use super::*;

fn tracked(path: &str) -> Process {
    Process { name: "p".to_owned(), path: path.to_owned(), ..Process::default() }
}

fn named(name: &str) -> Identity {
    Identity { name: name.to_owned(), command: Vec::new() }
}

fn with(command: &str) -> Identity {
    Identity { name: "x".to_owned(), command: command.replace(' ', "\0").into_bytes() }
}

#[test]
fn parameters_match_exactly_at_first_or_in_part() {
    let process = |parameters: &str, how| Process {
        full_command: true,
        param_match: how,
        parameters: parameters.replace(' ', "\0").into_bytes(),
        ..tracked("/a")
    };
    // keepalived 2.1.5 judges the same; each argument ends with a zero byte.
    for (parameters, how, command, matches) in [
        ("", None, "/a b ", true),
        ("", None, "/b ", false),
        ("", Some(ParamMatch::Exact), "/a ", true),
        ("", Some(ParamMatch::Exact), "/a b ", false),
        ("b c ", Some(ParamMatch::Exact), "/a b c ", true),
        ("b c ", Some(ParamMatch::Exact), "/a b c d ", false),
        ("b c ", Some(ParamMatch::Partial), "/a b c d ", true),
        ("b c ", Some(ParamMatch::Partial), "/a b cd ", false),
        ("b c ", Some(ParamMatch::Initial), "/a b cd ", true),
        ("b c ", Some(ParamMatch::Initial), "/a b ", false),
        ("b c ", Some(ParamMatch::Initial), "/a", false),
    ] {
        assert_eq!(is_match(&process(parameters, how), &with(command)), matches, "{parameters:?} {how:?} {command:?}");
    }
    assert!(is_match(&tracked("a"), &named("a")) && !is_match(&tracked("a"), &named("ab")));
}

#[test]
fn forks_execs_and_exits_change_the_quorum() {
    let now = Instant::now();
    let process = Process { quorum: 2, quorum_max: Some(3), ..tracked("a") };
    let mut runner = ProcessRunner::new(process, &[(5, named("a")), (6, named("b"))]);
    assert_eq!((runner.count(), runner.has_quorum()), (1, false));
    let look = |pid: i32| Some(named(if pid < 20 { "a" } else { "b" }));
    let mut step = |event| {
        runner.handle_event(now, &event, &look);
        (runner.count(), runner.has_quorum())
    };
    assert_eq!(step(ProcessEvent::Fork { parent: 6, child: 7 }), (1, false));
    assert_eq!(step(ProcessEvent::Fork { parent: 5, child: 8 }), (2, true));
    assert_eq!(step(ProcessEvent::Exec(9)), (3, true));
    assert_eq!(step(ProcessEvent::Name(30, "a".to_owned())), (4, false));
    assert_eq!(step(ProcessEvent::Exec(30)), (3, true));
    assert_eq!(step(ProcessEvent::Name(9, "c".to_owned())), (2, true));
    assert_eq!(step(ProcessEvent::Exit(5)), (1, false));
    assert_eq!(step(ProcessEvent::Exit(6)), (1, false));
}

#[test]
fn a_process_that_runs_its_program_anew_counts_once() {
    let mut runner = ProcessRunner::new(tracked("a"), &[(5, named("a"))]);
    runner.handle_event(Instant::now(), &ProcessEvent::Exec(5), &|_| Some(named("a")));
    assert_eq!(runner.count(), 1);
}

#[test]
fn delays_put_off_what_forks_and_exits_change() {
    let now = Instant::now();
    let (short, long) = (Duration::from_secs(1), Duration::from_secs(3));
    let process = Process { quorum: 1, fork_delay: short, terminate_delay: long, ..tracked("a") };
    let mut runner = ProcessRunner::new(process, &[(5, named("a"))]);
    let look = |_: i32| Some(named("a"));
    runner.handle_event(now, &ProcessEvent::Exit(5), &look);
    assert_eq!((runner.has_quorum(), runner.poll_timeout()), (true, Some(now + long)));
    // Back in time: nothing has changed.
    runner.handle_event(now, &ProcessEvent::Exec(6), &look);
    assert_eq!((runner.has_quorum(), runner.poll_timeout()), (true, None));
    runner.handle_event(now, &ProcessEvent::Exit(6), &look);
    runner.handle_timeout(now + long);
    assert_eq!((runner.has_quorum(), runner.poll_timeout()), (false, None));
    // As in keepalived, a program that starts counts at once.
    runner.handle_event(now, &ProcessEvent::Exec(7), &look);
    assert!(runner.has_quorum());
}

#[test]
fn a_recount_takes_over_what_runs() {
    let now = Instant::now();
    let mut runner = ProcessRunner::new(tracked("a"), &[]);
    runner.recount(now, &[(5, named("a"))]);
    assert!(runner.has_quorum());
    runner.recount(now, &[]);
    assert!(!runner.has_quorum());
}

#[test]
fn the_own_process_is_found_among_all() {
    let pid = std::process::id() as i32;
    let all = running(true);
    let own = all.iter().find(|(found, _)| *found == pid).map(|(_, identity)| identity);
    assert!(own.is_some_and(|own| !own.name.is_empty() && own.command.ends_with(&[0])), "{own:?}");
}
