//! keepalived_bfd.data: the BFD sessions.
//!
//! Differs from keepalived: the addresses of its threads are left out. [test: the_bfd_process_shows_its_sessions]

use crate::bfd::session::Facts;
use crate::keepalived::bfd::Session;
use crate::keepalived::site::Site;
use crate::log::clock::ctime;
use std::fmt::Write as _;
use std::time::{SystemTime, UNIX_EPOCH};

/// A session as it is now.
pub struct Seen<'a> {
    /// As configured.
    pub session: &'a Session,
    /// What it knows.
    pub facts: Facts,
    /// The socket it sends through.
    pub sender: Option<i32>,
    /// Its last packet could not be sent.
    pub failing: bool,
}

/// The whole dump; `near` and `far` are the sockets packets come in at, over one hop and over several.
pub fn data(site: &Site, (near, far): (Option<i32>, Option<i32>), seen: &[Seen<'_>]) -> String {
    let mut out = String::new();
    super::globals::write(&mut out, site, false);
    out.push_str("------< BFD Data >------\n");
    for (what, number) in [("fd_in", near), ("multihop fd_in", far)] {
        if let Some(number) = number {
            let _ = writeln!(out, " {what} = {number}");
        }
    }
    if !seen.is_empty() {
        out.push_str("------< BFD Topology >------\n");
    }
    seen.iter().for_each(|seen| session(&mut out, seen));
    out
}

fn session(out: &mut String, seen: &Seen<'_>) {
    let Seen { session, facts, .. } = seen;
    let (ends, config) = (&session.ends, &session.config);
    let _ = writeln!(out, " BFD Instance = {}", session.name);
    let mut line = |text: String| {
        let _ = writeln!(out, "   {text}");
    };
    let millis = |micros: u32| micros / 1000;
    let answer = |yes: bool| if yes { "Yes" } else { "No" };
    line(format!("Neighbor IP = {}", ends.neighbour));
    if let Some(source) = ends.source {
        line(format!("Source IP = {source}"));
    }
    line(format!("Required min RX interval = {} ms", millis(config.min_rx)));
    line(format!("Desired min TX interval = {} ms", millis(config.min_tx)));
    line(format!("Desired idle TX interval = {} ms", millis(config.idle_tx)));
    line(format!("Detection multiplier = {}", config.multiplier));
    line(format!("{} = {}", if ends.neighbour.is_ipv6() { "hoplimit" } else { "TTL" }, ends.hops));
    line(format!("max_hops = {}", ends.max_hops.map_or(-1, i32::from)));
    line(format!("passive = {}", config.passive));
    line(format!("send event to VRRP process = {}", answer(session.for_routers)));
    line(format!("send event to checker process = {}", answer(session.for_checkers)));
    line(format!("fd_out {}", seen.sender.unwrap_or(-1)));
    for timer in ["out", "exp", "rst"] {
        line(format!("sands_{timer} = [disabled]"));
    }
    line(format!("send error = {}", seen.failing));
    line(format!("local state = {}", facts.states.0));
    line(format!("remote state = {}", facts.states.1));
    line(format!("local discriminator = {:#x}", facts.numbers.0));
    line(format!("remote discriminator = {:#x}", facts.numbers.1));
    line(format!("local diag = {}", facts.diagnostics.0));
    line(format!("remote diag = {}", facts.diagnostics.1));
    let (min_tx, min_rx, multiplier) = facts.remote;
    line(format!("remote min tx intv = {} ms", millis(min_tx)));
    line(format!("remote min rx intv = {} ms", millis(min_rx)));
    line("local demand = 0".to_owned());
    line(format!("remote demand = {}", u8::from(facts.demand)));
    line(format!("remote detect multiplier = {multiplier}"));
    line(format!("{}poll, !final", if facts.poll { "" } else { "!" }));
    line(format!("local tx intv = {} ms", millis(facts.intervals.0)));
    line(format!("remote tx intv = {} ms", millis(facts.intervals.1)));
    line(format!("local detection time = {} ms", facts.detection.0 / 1000));
    line(format!("remote detection time = {} ms", facts.detection.1 / 1000));
    match facts.heard.and_then(|heard| SystemTime::now().checked_sub(heard.elapsed())) {
        None => line("last_seen = [never]".to_owned()),
        Some(heard) => {
            let since = heard.duration_since(UNIX_EPOCH).unwrap_or_default();
            let (seconds, micros) = (since.as_secs(), since.subsec_micros());
            line(format!("last seen = {seconds}.{micros:06} ({}.{micros:06})", ctime(seconds as i64)));
        }
    }
}
