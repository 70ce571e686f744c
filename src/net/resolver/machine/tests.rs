use super::*;

/// A surrounding that remembers.
#[derive(Default)]
struct Notes {
    sent: Vec<(usize, bool, Vec<u8>)>,
    answers: Vec<(usize, Result<Vec<String>, u16>)>,
    lines: Vec<String>,
    counter: u32,
    broken: Vec<usize>,
}

impl Link for Notes {
    fn send(&mut self, server: usize, tcp: bool, query: &[u8]) -> bool {
        self.sent.push((server, tcp, query.to_vec()));
        !self.broken.contains(&server)
    }

    fn answer(&mut self, waiter: usize, answer: Result<Answer, Unknown>) {
        let shown = answer.map_err(|unknown| unknown.code.0).map(|answer| match answer.records {
            Records::Addresses(all) => all.iter().map(IpAddr::to_string).collect(),
            Records::Services(all) => all.iter().map(|one| format!("{}:{}", one.priority, one.port)).collect(),
        });
        self.answers.push((waiter, shown));
    }

    fn log(&mut self, text: &str) {
        self.lines.push(text.to_owned());
    }

    fn random(&mut self) -> u32 {
        self.counter += 1;
        self.counter
    }
}

fn key(name: &str) -> Key {
    Key { service: false, name: name.as_bytes().to_vec() }
}

const fn at(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn machine(servers: usize, ipv6: bool) -> Machine {
    Machine::new(Rules { servers, valid: 0, ipv4: true, ipv6 })
}

/// The response to a query: flags, and records of a type, a time to live and data.
fn reply(query: &[u8], flags: u16, records: &[(u16, u32, &[u8])]) -> Vec<u8> {
    let mut message = query.to_vec();
    message[2..4].copy_from_slice(&flags.to_be_bytes());
    message[6..8].copy_from_slice(&(records.len() as u16).to_be_bytes());
    for (kind, ttl, data) in records {
        message.extend_from_slice(&[0xc0, 12]);
        message.extend_from_slice(&kind.to_be_bytes());
        message.extend_from_slice(&[0, 1]);
        message.extend_from_slice(&ttl.to_be_bytes());
        message.extend_from_slice(&(data.len() as u16).to_be_bytes());
        message.extend_from_slice(data);
    }
    message
}

const OK: u16 = 0x8180;
const ADDRESS: (u16, u32, &[u8]) = (1, 3, &[10, 0, 0, 1]);

fn last(notes: &Notes) -> Vec<u8> {
    notes.sent.last().expect("a query").2.clone()
}

#[test]
fn one_query_is_in_flight_for_a_name() {
    let (mut machine, mut notes) = (machine(1, false), Notes::default());
    let first = machine.ask(key("a.ex"), at(0), &mut notes);
    let second = machine.ask(key("a.ex"), at(1), &mut notes);
    assert_eq!(notes.sent.len(), 1);
    let query = last(&notes);
    machine.receive(&reply(&query, OK, &[ADDRESS]), false, at(1), &mut notes);
    let found = Ok(vec!["10.0.0.1".to_owned()]);
    assert_eq!(notes.answers, [(first, found.clone()), (second, found.clone())]);
    // Known for as long as the record says, and asked for anew behind that.
    let third = machine.ask(key("a.ex"), at(4), &mut notes);
    assert_eq!((notes.answers.last(), notes.sent.len()), (Some(&(third, found)), 1));
    machine.ask(key("a.ex"), at(5), &mut notes);
    assert_eq!(notes.sent.len(), 2);
}

#[test]
fn both_families_are_waited_for() {
    let (mut machine, mut notes) = (machine(1, true), Notes::default());
    machine.ask(key("a.ex"), at(0), &mut notes);
    let (four, six) = (notes.sent[0].2.clone(), notes.sent[1].2.clone());
    machine.receive(&reply(&four, OK, &[ADDRESS]), false, at(0), &mut notes);
    assert!(notes.answers.is_empty());
    machine.receive(&reply(&six, OK, &[]), false, at(0), &mut notes);
    assert_eq!(notes.answers, [(0, Ok(vec!["10.0.0.1".to_owned()]))]);
    // An error in either is an error.
    machine.ask(key("b.ex"), at(0), &mut notes);
    let (four, six) = (notes.sent[2].2.clone(), notes.sent[3].2.clone());
    machine.receive(&reply(&six, OK | 2, &[]), false, at(0), &mut notes);
    machine.receive(&reply(&four, OK, &[ADDRESS]), false, at(0), &mut notes);
    assert_eq!(notes.answers.last(), Some(&(1, Err(2))));
}

#[test]
fn a_silent_server_is_followed_by_the_next_after_five_seconds() {
    let (mut machine, mut notes) = (machine(2, false), Notes::default());
    let waiter = machine.ask(key("a.ex"), at(0), &mut notes);
    assert_eq!(machine.tick(at(4), &mut notes), Some(at(5)));
    machine.tick(at(5), &mut notes);
    machine.tick(at(10), &mut notes);
    let servers: Vec<usize> = notes.sent.iter().map(|(server, ..)| *server).collect();
    assert_eq!(servers, [0, 1, 0]);
    // Nobody waits: nothing is asked, and the name is gone.
    machine.cancel(waiter);
    machine.tick(at(15), &mut notes);
    assert_eq!((notes.sent.len(), machine.is_empty()), (3, true));
}

#[test]
fn a_server_that_cannot_be_sent_to_is_followed_by_the_next_at_once() {
    let (mut machine, mut notes) = (machine(2, false), Notes { broken: vec![0], ..Notes::default() });
    machine.ask(key("a.ex"), at(0), &mut notes);
    let servers: Vec<usize> = notes.sent.iter().map(|(server, ..)| *server).collect();
    assert_eq!(servers, [0, 1]);
    machine.ask(key("b.ex"), at(0), &mut notes);
    assert_eq!(notes.sent.last().map(|(server, ..)| *server), Some(1));
}

#[test]
fn lies_are_logged_and_change_nothing() {
    let (mut machine, mut notes) = (machine(1, false), Notes::default());
    machine.ask(key("a.ex"), at(0), &mut notes);
    let query = last(&notes);
    let mut wrong = reply(&query, OK, &[(1, 3, &[6, 6, 6, 6])]);
    wrong[1] ^= 1;
    machine.receive(&wrong, false, at(0), &mut notes);
    let mut other = query.clone();
    other[13] = b'b';
    machine.receive(&reply(&other, OK, &[ADDRESS]), false, at(0), &mut notes);
    machine.receive(&reply(&query, OK | 1, &[]), false, at(0), &mut notes);
    machine.receive(&reply(&query, OK, &[(16, 3, b"\x01x")]), false, at(0), &mut notes);
    assert_eq!(
        notes.lines,
        [
            "wrong ident 0 in DNS response for a.ex, expect 1",
            "unexpected DNS response for b.ex",
            "DNS error (1: Format error), query id:1, name:\"a.ex\"",
            "unexpected RR type 16 in DNS response",
            "no A or CNAME types in DNS response",
        ]
    );
    assert!(notes.answers.is_empty());
}

#[test]
fn a_truncated_answer_is_asked_for_over_tcp() {
    let (mut machine, mut notes) = (machine(2, false), Notes::default());
    machine.ask(key("a.ex"), at(0), &mut notes);
    let query = last(&notes);
    machine.receive(&reply(&query, OK | 0x0200, &[]), false, at(0), &mut notes);
    assert_eq!(notes.sent.last(), Some(&(0, true, query.clone())));
    machine.receive(&reply(&query, OK, &[ADDRESS]), true, at(0), &mut notes);
    assert_eq!(notes.answers, [(0, Ok(vec!["10.0.0.1".to_owned()]))]);
}

#[test]
fn aliases_are_followed_and_circles_are_left() {
    let (mut machine, mut notes) = (machine(1, false), Notes::default());
    machine.ask(key("a.ex"), at(0), &mut notes);
    let query = last(&notes);
    machine.receive(&reply(&query, OK, &[(5, 3, b"\x01b\xc0\x0e")]), false, at(0), &mut notes);
    let query = last(&notes);
    assert!(query.windows(5).any(|part| part == b"\x01b\x02ex"));
    machine.receive(&reply(&query, OK, &[ADDRESS]), false, at(0), &mut notes);
    assert_eq!(notes.answers, [(0, Ok(vec!["10.0.0.1".to_owned()]))]);
    machine.ask(key("x.ex"), at(0), &mut notes);
    let query = last(&notes);
    machine.receive(&reply(&query, OK, &[(5, 3, b"\xc0\x0c")]), false, at(0), &mut notes);
    assert_eq!(notes.answers.last(), Some(&(1, Err(3))));
}

#[test]
fn names_without_an_answer_are_asked_for_again() {
    let (mut machine, mut notes) = (machine(1, false), Notes::default());
    for (event_loop, flags) in [OK | 3, OK | 2, OK].into_iter().enumerate() {
        machine.ask(key("a.ex"), at(0), &mut notes);
        assert_eq!(notes.sent.len(), event_loop + 1);
        let query = last(&notes);
        machine.receive(&reply(&query, flags, &[]), false, at(0), &mut notes);
    }
    let codes: Vec<_> = notes.answers.iter().map(|(_, answer)| answer.clone().err()).collect();
    assert_eq!(codes, [Some(3), Some(2), Some(3)]);
    assert!(machine.is_empty());
    machine.ask(key("a..ex"), at(0), &mut notes);
    assert_eq!((notes.answers.last(), notes.sent.len()), (Some(&(3, Err(3))), 3));
}

#[test]
fn names_are_forgotten_half_a_minute_after_their_last_use() {
    let (mut machine, mut notes) =
        (Machine::new(Rules { servers: 1, valid: 600, ipv4: true, ipv6: false }), Notes::default());
    machine.ask(key("a.ex"), at(0), &mut notes);
    let query = last(&notes);
    machine.receive(&reply(&query, OK, &[ADDRESS]), false, at(0), &mut notes);
    machine.ask(key("a.ex"), at(20), &mut notes);
    assert!(machine.tick(at(45), &mut notes).is_some());
    assert_eq!(machine.tick(at(60), &mut notes), None);
    assert!(machine.is_empty());
}

#[test]
fn services_are_known_in_the_order_of_their_priorities() {
    let (mut machine, mut notes) = (machine(1, true), Notes::default());
    machine.ask(Key { service: true, name: b"_http._tcp.a.ex".to_vec() }, at(0), &mut notes);
    assert_eq!(notes.sent.len(), 1);
    let query = last(&notes);
    let record = |priority, port| [0, priority, 0, 1, 0, port, 1, b'x', 0xc0, 12];
    let answer = reply(&query, OK, &[(33, 3, &record(2, 80)), (33, 3, &record(1, 81))]);
    machine.receive(&answer, false, at(0), &mut notes);
    assert_eq!(notes.answers, [(0, Ok(vec!["1:81".to_owned(), "2:80".to_owned()]))]);
}
