//! Attempts of checks: each is made, judged, and its judgement carried out.

use super::drive::{self, Echo, Tls, Unconnected, pair};
use super::{Place, Running, State};
use crate::check::http::{Get, Progress, Url};
use crate::check::misc::Run;
use crate::check::report::{Judgement, Known, Ran};
use crate::check::schedule::Schedule;
use crate::check::smtp::Dialogue;
use crate::check::tcp::Connected;
use crate::check::udp::Answer;
use crate::check::{dns, misc, ping, smtp, tcp, udp};
use crate::conf::diagnostic::reason;
use crate::keepalived::site::server::{Check, Connection, Misc, Probe};
use crate::keepalived::slot::Command;
use crate::keepalived::track::security::{Policy, Program};
use std::cell::RefCell;
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::net::SocketAddr;
use std::path::Path;
use std::rc::Rc;
use std::time::{Duration, Instant};
use tokio::task::JoinSet;

/// What a check remembers between its attempts.
#[derive(Clone, Debug)]
pub struct CheckState {
    /// Its attempts.
    pub schedule: Schedule,
    /// The page that is asked for next.
    pub progress: Progress,
    /// The exit status that was last taken.
    pub status: u32,
}

impl CheckState {
    /// A check that has not been made.
    pub fn new(check: &Check) -> Self {
        // The first failure decides, but not of a mail server.
        let schedule = match check.probe {
            Probe::Smtp(..) => Schedule::resume(check.timing.clone(), 0),
            _ => Schedule::new(check.timing.clone()),
        };
        Self { schedule, progress: Progress::default(), status: 0 }
    }
}

/// When checks are made next, the first one first.
pub type Due = BinaryHeap<Reverse<(Instant, Place)>>;

/// Makes each check when it is due, again and again. Only attempts are tasks: most checks wait most of the time.
pub async fn repeat(state: Rc<RefCell<State>>, mut due: Due) {
    let mut running = JoinSet::new();
    loop {
        let now = Instant::now();
        while let Some(Reverse((_, place))) = due.peek().copied().filter(|Reverse((at, _))| *at <= now) {
            due.pop();
            let attempt = running.spawn_local(turn(state.clone(), place));
            state.borrow_mut().attempts.insert(place, attempt);
        }
        tokio::select! {
            () = super::until(due.peek().map(|Reverse((at, _))| *at)) => {}
            Some(ended) = running.join_next() => {
                let Ok((place, wait)) = ended else { continue };
                state.borrow_mut().attempts.remove(&place);
                due.extend(wait.map(|wait| Reverse((Instant::now() + wait, place))));
            }
        }
    }
}

/// Makes a check once, if it is made at present; the time until the next turn.
async fn turn(state: Rc<RefCell<State>>, place: Place) -> (Place, Option<Duration>) {
    let Some(check) = state.borrow().check(place) else { return (place, None) };
    if !state.borrow().servers.get(place.0).is_some_and(Running::is_enabled) {
        return (place, Some(check.timing.delay));
    }
    (place, attempt(&state, place, &check).await)
}

/// Makes a check once; the time until the next one.
async fn attempt(state: &RefCell<State>, place: Place, check: &Check) -> Option<Duration> {
    let unable = |why: Unconnected, line: &str| state.borrow().unable(place, check, why, line);
    match &check.probe {
        Probe::Tcp(connection) => {
            let connected = match drive::connect(connection).await {
                Ok(_) => Connected::Yes,
                Err(Unconnected::Failed) => Connected::Refused,
                Err(Unconnected::Unreachable) => Connected::Unreachable,
                Err(Unconnected::TimedOut) => Connected::TimedOut,
                Err(why) => return unable(why, "TCP socket bind failed. Rescheduling."),
            };
            let (good, failure) = (connected == Connected::Yes, connected.failure());
            let why = (!good).then(|| failure.unwrap_or("the network is unreachable").to_owned());
            state.borrow_mut().judge(place, check, why, |check_state, known| {
                tcp::WORDS.judge(&mut check_state.schedule, known, good, failure)
            })
        }
        Probe::Http(connection, get) => {
            let progress = state.borrow().check_state(place)?.progress;
            let url = progress.url(get)?;
            let tls = match state.borrow().secure(get, url) {
                Ok(tls) => tls,
                Err(line) => return unable(Unconnected::Unable(None), &line),
            };
            let request = get.request(url, connection.to);
            let say = |line: &str| state.borrow().log.say(line);
            let outcome = match drive::fetch(connection, tls, (&request, url), &say).await {
                Ok(outcome) => outcome.and_then(|response| response.judge(url)),
                Err(why) => return unable(why, "WEB socket bind failed. Rescheduling"),
            };
            let why = outcome.err().map(|failure| format!("{} server {{rs}}, {}", failure.trim_end(), url.path));
            state.borrow_mut().judge(place, check, why, |check_state, known| {
                check_state.progress.judge(&mut check_state.schedule, known, get, outcome)
            })
        }
        Probe::Udp(connection, exchange) => {
            let answer = match drive::datagram(connection, exchange).await {
                Ok(answer) => answer,
                Err(why) => return unable(why, "UDP connect fail to create socket. Rescheduling."),
            };
            let good = udp::is_good(answer, exchange.reply.is_some());
            let failure = if answer == Answer::Mismatch { udp::MISMATCH } else { udp::FAILURE };
            let failure = Some(failure).filter(|_| !good);
            state.borrow_mut().judge(place, check, failure.map(str::to_owned), |check_state, known| {
                udp::WORDS.judge(&mut check_state.schedule, known, good, failure)
            })
        }
        Probe::Dns(connection, kind, name) => {
            let id = state.borrow_mut().random.next() as u16;
            let outcome = match drive::ask(connection, &dns::query(id, *kind, name), id).await {
                Ok(outcome) => outcome,
                Err(why) => return unable(why, "DNS_CHECK ({rs}) UDP socket bind failed. Rescheduling."),
            };
            let why = outcome.as_ref().err().cloned();
            state
                .borrow_mut()
                .judge(place, check, why, |check_state, known| dns::judge(&mut check_state.schedule, known, outcome))
        }
        Probe::Ping(connection) => echo(state, place, check, connection).await,
        Probe::Smtp(connection, helo) => converse(state, place, check, (connection, helo)).await,
        Probe::Misc(misc) => run(state, place, check, misc).await,
        Probe::File(..) | Probe::Session(_) => None,
    }
}

/// Sends an echo request.
async fn echo(state: &RefCell<State>, place: Place, check: &Check, connection: &Connection) -> Option<Duration> {
    let sequence = state.borrow_mut().random.next() as u16;
    let version = if connection.to.is_ipv6() { "v6" } else { "" };
    let failure = match drive::echo(connection, sequence).await {
        Ok(Echo::Reply) => None,
        Ok(Echo::Silence) => Some(ping::SILENCE),
        Ok(Echo::Failed(line)) => {
            state.borrow().log.say(line);
            Some(ping::FAILURE)
        }
        Err(why) => {
            let line = format!("ICMP{version} connect fail to create socket. Rescheduling.");
            return state.borrow().unable(place, check, why, &line);
        }
    };
    state.borrow_mut().judge(place, check, failure.map(str::to_owned), |check_state, known| {
        ping::WORDS.judge(&mut check_state.schedule, known, failure.is_none(), failure)
    })
}

/// Speaks with a mail server.
async fn converse(
    state: &RefCell<State>,
    place: Place,
    check: &Check,
    (connection, helo): (&Connection, &str),
) -> Option<Duration> {
    let real = state.borrow().servers.get(place.0)?.given.reals.get(place.1)?.destination.clone();
    let outcome = match drive::speak(connection, Dialogue::new(helo)).await {
        Ok(outcome) => outcome.map_err(|what| format!("{what} {}", pair(connection.to))),
        Err(Unconnected::Unreachable) => {
            let own = pair(SocketAddr::new(real.ip, real.port));
            Err(format!("Network unreachable for server {} - real server {own}", connection.to.ip()))
        }
        Err(why) => return state.borrow().unable(place, check, why, "SMTP_CHECK socket bind failed. Rescheduling."),
    };
    let why = outcome.as_ref().err().cloned();
    state
        .borrow_mut()
        .judge(place, check, why, |check_state, known| smtp::judge(&mut check_state.schedule, known, outcome))
}

/// Runs the script of a check.
async fn run(state: &RefCell<State>, place: Place, check: &Check, misc: &Misc) -> Option<Duration> {
    let (program, children) = {
        let state = state.borrow();
        (Policy::of(&state.site.global).judge(&misc.command).program, state.children.clone())
    };
    let began = Instant::now();
    let Some(program) = program else { return Some(check.timing.delay) };
    let exit = match drive::run(&program, misc.limit, &children).await {
        Ok(exit) => exit,
        Err(error) => {
            state.borrow().log.say(format!("Couldn't run {program}: {}", reason(&error)));
            return Some(check.timing.delay);
        }
    };
    let name = found(&misc.command, &program);
    let (dynamic, weight) = (misc.dynamic, misc.weight);
    let run = Run { exit, program: &name, dynamic, weight, took: began.elapsed() };
    let why = exit.failure(dynamic).map(|how| format!("{name} {how}"));
    state.borrow_mut().judge(place, check, why, |check_state, known| {
        misc::judge(&mut check_state.schedule, &mut check_state.status, known, run)
    })
}

/// How keepalived names a program: its folder as it is found, its file as it is given.
fn found(command: &Command, program: &Program) -> String {
    let given = command.words.first().map(Path::new);
    let folder = given.and_then(Path::parent).filter(|_| given.is_some_and(Path::is_absolute));
    let folder = folder.and_then(|folder| std::fs::canonicalize(folder).ok());
    let path = folder.zip(given.and_then(Path::file_name)).map(|(folder, name)| folder.join(name));
    path.as_ref().unwrap_or(&program.path).display().to_string()
}

impl State {
    pub(super) fn check(&self, (server, real, check): Place) -> Option<Check> {
        self.servers.get(server)?.given.reals.get(real)?.checks.get(check).cloned()
    }

    fn check_state(&self, (server, real, check): Place) -> Option<&CheckState> {
        self.servers.get(server)?.check_states.get(real)?.get(check)
    }

    /// How log lines name the real server of a check.
    pub(super) fn name(&self, (server, real, _): Place) -> Option<String> {
        Some(self.servers.get(server)?.machine.config().reals.get(real)?.name.to_string())
    }

    /// A TLS connection for a page, where it is asked for over TLS.
    fn secure(&self, get: &Get, url: &Url) -> Result<Option<Tls>, String> {
        if !get.secure {
            return Ok(None);
        }
        let context = self.tls.as_ref().ok_or_else(|| "SSL error: cannot create new SSL context".to_owned())?;
        let session = context.connect(get.name(url).unwrap_or_default(), None);
        let session = session.map(Box::new).map_err(|error| format!("SSL error: {error}"))?;
        Ok(Some(Tls { session, compliant: get.tls_compliant || url.tls_compliant }))
    }

    /// Says why a check could not be made; the time until the next attempt.
    fn unable(&self, place: Place, check: &Check, why: Unconnected, line: &str) -> Option<Duration> {
        if let Unconnected::Unable(Some(reason)) = why {
            self.log.say(reason);
        }
        self.log.say(line.replace("{rs}", &self.name(place)?));
        Some(check.timing.delay)
    }

    /// Judges an attempt, whose failure is `why`, and carries the judgement out; the time until the next one.
    fn judge(
        &mut self,
        place: Place,
        check: &Check,
        why: Option<String>,
        judge: impl FnOnce(&mut CheckState, Known<'_>) -> Judgement,
    ) -> Option<Duration> {
        let (server, real, number) = place;
        let running = self.servers.get_mut(server)?;
        let known = running.machine.check(real, number)?;
        let config = running.given.config.clone();
        let named = Known {
            up: known.up,
            has_run: known.has_run,
            log_all: check.log_all,
            real: &config.reals.get(real)?.name,
            server: &config.name,
        };
        let judged = judge(running.check_states.get_mut(real)?.get_mut(number)?, named);
        let why = why.map(|why| named.fill(&why));
        self.reporting.attempted(place, why);
        if let Some(weight) = judged.weight {
            self.with_real((server, real), |machine, actions| machine.set_weight(real, weight, true, actions));
        }
        judged.lines.iter().for_each(|line| self.log.say(line));
        if judged.ran == Ran::Before {
            self.with(server, |machine, _| machine.attempted(real, number));
        }
        if let Some(good) = judged.verdict {
            self.decide(place, good, check.alpha, judged.mail.as_deref());
        }
        if judged.ran == Ran::After {
            self.with(server, |machine, _| machine.attempted(real, number));
        }
        Some(judged.wait)
    }

    /// Gives a result to the virtual server, and mails it.
    pub(super) fn decide(&mut self, (server, real, number): Place, good: bool, alpha: bool, mail: Option<&str>) {
        let is_alive = |state: &Self| state.servers.get(server).is_some_and(|one| one.machine.is_alive(real));
        let before = is_alive(self);
        self.with_real((server, real), |machine, actions| machine.result(real, number, good, alpha, actions));
        let alive = is_alive(self);
        let Some(given) = self.servers.get(server).map(|one| one.given.clone()) else { return };
        let mails = given.reals.get(real).is_some_and(|real| real.mails);
        let wanted = mails && (before != alive || self.site.lvs.no_checker_mails != Some(true));
        if let Some(text) = mail.filter(|_| wanted) {
            self.teller.mail_real(&given, real, alive, text, &self.log);
        }
    }
}
