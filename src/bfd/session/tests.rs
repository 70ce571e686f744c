use super::*;

fn config(min: u32, passive: bool) -> Config {
    Config { min_rx: min, min_tx: min, idle_tx: 1_000_000, multiplier: 5, passive }
}

/// Two sessions whose packets reach each other at once, unless `cut`.
struct Wire {
    now: Instant,
    ends: [Session; 2],
    cut: bool,
    events: Vec<(usize, bool)>,
    sent: u32,
}

impl Wire {
    fn new(a: Config, b: Config) -> Self {
        let now = Instant::now();
        let ends = [Session::new(a, now, 7), Session::new(b, now, 99)];
        Self { now, ends, cut: false, events: Vec::new(), sent: 0 }
    }

    fn run(&mut self, span: Duration) {
        let end = self.now + span;
        loop {
            while (0..2).any(|at| self.deliver(at)) {}
            let due = self.ends.iter().filter_map(Session::poll_timeout).min();
            let Some(due) = due.filter(|due| *due <= end) else { break };
            self.now = due.max(self.now);
            self.ends.iter_mut().for_each(|session| session.handle_timeout(self.now));
        }
        self.now = end;
    }

    fn deliver(&mut self, at: usize) -> bool {
        match self.ends[at].poll_action() {
            None => return false,
            Some(Action::Send(packet)) => {
                self.sent += 1;
                let packet = Packet::parse(&packet.emit()).unwrap();
                if !self.cut && (packet.yours == 0 || packet.yours == self.ends[1 - at].number()) {
                    self.ends[1 - at].handle(self.now, &packet);
                }
            }
            Some(Action::Event(up)) => self.events.push((at, up)),
            Some(Action::Note(_)) => {}
        }
        true
    }

    fn states(&self) -> [State; 2] {
        [self.ends[0].state(), self.ends[1].state()]
    }
}

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn two_ends_come_up_agree_on_times_and_notice_silence() {
    let mut wire = Wire::new(config(10_000, false), config(50_000, false));
    wire.run(5 * SECOND);
    assert_eq!((wire.states(), wire.events.len()), ([State::Up; 2], 2));
    // The slower of what one sends and the other receives.
    assert_eq!([wire.ends[0].interval, wire.ends[1].interval], [50_000; 2]);
    assert_eq!([wire.ends[0].detection, wire.ends[1].detection], [250_000; 2]);
    let before = wire.sent;
    wire.run(SECOND);
    let count = wire.sent - before;
    // Every packet is 10 to 25 per cent early.
    assert!((44..=56).contains(&count), "{count}");
    wire.cut = true;
    wire.run(Duration::from_millis(250));
    assert_eq!(wire.states(), [State::Down; 2]);
    let mut downs = wire.events[2..].to_vec();
    downs.sort_unstable();
    assert_eq!(downs, [(0, false), (1, false)]);
    wire.cut = false;
    wire.run(5 * SECOND);
    assert_eq!((wire.states(), wire.events.len()), ([State::Up; 2], 6));
}

#[test]
fn a_passive_end_waits_and_two_wait_for_ever() {
    let mut wire = Wire::new(config(10_000, true), config(10_000, false));
    wire.run(5 * SECOND);
    assert_eq!(wire.states(), [State::Up; 2]);
    let mut wire = Wire::new(config(10_000, true), config(10_000, true));
    wire.run(10 * SECOND);
    assert_eq!((wire.states(), wire.sent), ([State::Down; 2], 0));
}

#[test]
fn an_end_that_is_down_takes_the_other_down() {
    let mut wire = Wire::new(config(10_000, false), config(10_000, false));
    wire.run(5 * SECOND);
    let now = wire.now;
    wire.ends[1].fall(now, Diagnostic::EXPIRED);
    wire.run(2 * SECOND);
    assert!(wire.events[2..].contains(&(0, false)), "{:?}", wire.events);
    wire.run(5 * SECOND);
    assert_eq!(wire.states(), [State::Up; 2]);
}

#[test]
fn an_end_that_is_turned_off_is_no_failure() {
    let mut wire = Wire::new(config(10_000, false), config(10_000, false));
    wire.run(5 * SECOND);
    let packet =
        Packet { state: State::AdminDown, poll: false, last: false, ..packet(&wire.ends[1], wire.ends[0].number()) };
    wire.ends[0].handle(wire.now, &packet);
    wire.cut = true;
    wire.run(Duration::from_millis(5));
    assert_eq!((wire.ends[0].state(), wire.events.len()), (State::Down, 2));
}

fn packet(from: &Session, yours: u32) -> Packet {
    Packet {
        diagnostic: Diagnostic::NONE,
        state: from.state(),
        poll: false,
        last: false,
        authenticated: false,
        demand: false,
        multiplier: 5,
        mine: from.number(),
        yours,
        min_tx: 10_000,
        min_rx: 10_000,
    }
}

#[test]
fn new_times_are_asked_for_and_answered_while_the_session_stays_up() {
    let mut wire = Wire::new(config(10_000, false), config(10_000, false));
    wire.run(5 * SECOND);
    let now = wire.now;
    wire.ends[0].reconfigure(now, config(100_000, false));
    wire.run(2 * SECOND);
    assert_eq!((wire.states(), wire.events.len()), ([State::Up; 2], 2));
    assert_eq!([wire.ends[0].interval, wire.ends[1].interval], [100_000; 2]);
    assert_eq!([wire.ends[0].poll, wire.ends[1].poll], [false; 2]);
}

#[test]
fn an_end_that_wants_no_packets_gets_none() {
    let mut wire = Wire::new(config(10_000, false), config(10_000, false));
    wire.run(5 * SECOND);
    let (now, yours) = (wire.now, wire.ends[0].number());
    let packet = Packet { demand: true, ..packet(&wire.ends[1], yours) };
    wire.ends[0].handle(now, &packet);
    assert_eq!(wire.ends[0].send_at, None);
}
