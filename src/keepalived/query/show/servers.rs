//! Virtual servers as tables, and what happens when which real server fails.

use super::{head, table, time};
use crate::keepalived::status::server::{Failure, RealServer, VirtualServer};
use std::fmt::Write as _;

const fn word(up: bool) -> &'static str {
    if up { "up" } else { "down" }
}

/// A failed check and its reason, with the time since when that is so.
fn failure(failure: &Failure) -> String {
    let since = failure.since.map(|since| format!(" (since {} UTC)", time(since))).unwrap_or_default();
    format!("{}: {}{since}", failure.check, failure.reason)
}

/// Who answers the clients of a virtual server.
fn answers(server: &VirtualServer) -> String {
    if server.sorry_answers {
        return format!("sorry server {}", server.sorry.as_deref().unwrap_or_default());
    }
    let up = server.real_servers.iter().filter(|real| real.up).count();
    format!("{up} of {} real servers", server.real_servers.len())
}

/// The tables of `rkeepalived status`.
pub fn tables(servers: &[VirtualServer]) -> String {
    if servers.is_empty() {
        return String::new();
    }
    let mut rows = vec![head(&["VIRTUAL SERVER", "QUORUM", "WEIGHT", "NEEDED", "ANSWERED BY"])];
    rows.extend(servers.iter().map(|server| {
        let (quorum, weight, needed) = (word(server.quorum_up), server.weight.to_string(), server.quorum.to_string());
        vec![server.name.clone(), quorum.to_owned(), weight, needed, answers(server)]
    }));
    let mut out = format!("\n{}", table(&rows));
    let mut rows = vec![head(&["REAL SERVER", "VIRTUAL SERVER", "STATE", "WEIGHT", "FAILED CHECKS"])];
    for server in servers {
        rows.extend(server.real_servers.iter().map(|real| {
            let failed: Vec<String> =
                real.failures.iter().map(|one| format!("{}: {}", one.check, one.reason)).collect();
            let (state, weight) = (word(real.up).to_owned(), real.weight.to_string());
            vec![real.name.clone(), server.name.clone(), state, weight, failed.join("; ")]
        }));
    }
    let _ = write!(out, "\n{}", table(&rows));
    out
}

/// `rkeepalived explain` of a virtual server.
pub fn explain(server: &VirtualServer) -> String {
    let mut out = String::new();
    let VirtualServer { name, weight, quorum, hysteresis, .. } = server;
    let _ = writeln!(out, "{name} is answered by {}", answers(server));
    let margin = if *hysteresis > 0 { format!(", hysteresis {hysteresis}") } else { String::new() };
    let state = if server.quorum_up { "has its quorum" } else { "lacks its quorum" };
    let _ = writeln!(out, "it {state}: weight {weight}, quorum {quorum}{margin}");
    if server.suspended {
        let _ = writeln!(out, "no checks are made: this host has none of its addresses (ha_suspend)");
    }
    for real in &server.real_servers {
        let checks = match real.checks {
            0 => "no checks".to_owned(),
            1 => "1 check".to_owned(),
            count => format!("{count} checks"),
        };
        let _ = writeln!(out, "real server {} is {}, weight {}, {checks}", real.name, word(real.up), real.weight);
        for one in &real.failures {
            let _ = writeln!(out, "  {}", failure(one));
        }
        let _ = writeln!(out, "  {}", if real.up { fails(server, real) } else { comes(server, real) });
    }
    out
}

/// What is done beside the kernel's table.
fn told(script: Option<&str>, mails: bool) -> String {
    let mut told = String::new();
    if let Some(script) = script {
        let _ = write!(told, ", {script} runs");
    }
    if mails {
        told.push_str(", mail is sent");
    }
    told
}

/// What happens when a real server that is up fails.
fn fails(server: &VirtualServer, real: &RealServer) -> String {
    let left = server.weight - real.weight;
    let leaves = if real.inhibit_on_failure { "its weight becomes 0" } else { "it is removed" };
    let own = told(real.notify_down_script.then_some("notify_down"), real.mails);
    let then = if !server.quorum_up {
        "the quorum stays lost".to_owned()
    } else if server.is_enough(left) {
        "the others answer".to_owned()
    } else {
        let who = match &server.sorry {
            Some(sorry) => format!("sorry server {sorry} answers alone"),
            None if left > 0 => "the others answer all the same".to_owned(),
            None => "nobody answers".to_owned(),
        };
        let told = told(server.quorum_down_script.then_some("quorum_down"), server.mails);
        format!("the quorum is lost, {who}{told}")
    };
    format!("if it fails: {leaves}{own}; weight {left} is left, {then}")
}

/// What happens when a real server that is down succeeds.
fn comes(server: &VirtualServer, real: &RealServer) -> String {
    let weight = server.weight + real.weight;
    let comes = if real.inhibit_on_failure { "it gets its weight" } else { "it is added" };
    let own = told(real.notify_up_script.then_some("notify_up"), real.mails);
    let then = if server.quorum_up {
        "the quorum is kept".to_owned()
    } else if server.is_enough(weight) {
        let who = if server.sorry_answers { "the sorry server leaves" } else { "nothing else changes" };
        let told = told(server.quorum_up_script.then_some("quorum_up"), server.mails);
        format!("the quorum is gained, {who}{told}")
    } else {
        "the quorum stays lost".to_owned()
    };
    format!("if all its checks succeed: {comes}{own}; the weight becomes {weight}, {then}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn real(name: &str, up: bool) -> RealServer {
        RealServer { name: name.to_owned(), up, weight: 1, checks: 1, ..RealServer::default() }
    }

    #[test]
    fn what_happens_when_which_real_server_fails_is_told() {
        let reals = vec![real("a", true), real("b", true), real("c", false)];
        let server = VirtualServer {
            name: "v".to_owned(),
            quorum_up: true,
            quorum: 2,
            weight: 2,
            quorum_down_script: true,
            mails: true,
            sorry: Some("s".to_owned()),
            real_servers: reals,
            ..VirtualServer::default()
        };
        let text = explain(&server);
        let lost = "if it fails: it is removed; weight 1 is left, the quorum is lost, sorry server s answers alone, \
                    quorum_down runs, mail is sent\n";
        assert_eq!(text.matches(lost).count(), 2, "{text}");
        let kept = "if all its checks succeed: it is added; the weight becomes 3, the quorum is kept\n";
        assert!(text.contains(kept), "{text}");
        let text = explain(&VirtualServer { quorum: 1, ..server.clone() });
        assert!(text.contains("weight 1 is left, the others answer\n") && !text.contains("is lost"), "{text}");
        let down = VirtualServer { quorum_up: false, sorry_answers: true, weight: 1, ..server };
        let text = explain(&down);
        assert!(
            text.starts_with("v is answered by sorry server s\nit lacks its quorum: weight 1, quorum 2\n"),
            "{text}"
        );
        assert!(
            text.contains("the weight becomes 2, the quorum is gained, the sorry server leaves, mail is sent\n"),
            "{text}"
        );
    }
}
