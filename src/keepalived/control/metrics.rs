//! The numbers as Prometheus reads them. What keepalived-exporter measures has its names and labels, so that dashboards and
//! alerts go on working; what it does not know begins with `rkeepalived_`.

use crate::keepalived::status::server::{RealServer, VirtualServer};
use crate::keepalived::status::{Instance, Status};
use std::fmt::Write as _;

/// The media type.
pub const KIND: &str = "text/plain; version=0.0.4; charset=utf-8";

/// A number of an instance.
type Number = fn(&Instance) -> u64;

/// Counters of instances, by name.
const COUNTERS: [(&str, &str, Number); 19] = [
    ("keepalived_advertisements_received_total", "Adverts received.", |one| one.counters.adverts_received),
    ("keepalived_advertisements_sent_total", "Adverts sent.", |one| one.counters.adverts_sent),
    ("keepalived_become_master_total", "Times the instance became master.", |one| one.counters.became_master),
    ("keepalived_release_master_total", "Times it stopped being master.", |one| one.counters.released_master),
    ("keepalived_packet_length_errors_total", "Packets of a wrong length.", |one| one.counters.errors.packet_length),
    ("keepalived_advertisements_interval_errors_total", "Adverts sent at another interval.", |one| {
        one.counters.errors.advertise_interval
    }),
    ("keepalived_ip_ttl_errors_total", "Packets that crossed a router.", |one| one.counters.errors.ttl),
    ("keepalived_invalid_type_received_total", "Packets that were no adverts.", |one| one.counters.errors.invalid_type),
    ("keepalived_address_list_errors_total", "Adverts about other addresses.", |one| one.counters.errors.address_list),
    ("keepalived_authentication_invalid_total", "Packets of an unknown authentication type.", |one| {
        one.counters.errors.authentication_invalid
    }),
    ("keepalived_authentication_mismatch_total", "Packets of another authentication type.", |one| {
        one.counters.errors.authentication_mismatch
    }),
    ("keepalived_authentication_failure_total", "Packets with a wrong password or check value.", |one| {
        one.counters.errors.authentication_failure
    }),
    ("keepalived_priority_zero_received_total", "Adverts of priority 0 received.", |one| {
        one.counters.priority_zero_received
    }),
    ("keepalived_priority_zero_sent_total", "Adverts of priority 0 sent.", |one| one.counters.priority_zero_sent),
    ("rkeepalived_advertisements_failed_total", "Adverts that could not be sent to everybody.", |one| {
        one.counters.adverts_failed
    }),
    ("rkeepalived_announcements_total", "Gratuitous ARPs and neighbour advertisements.", |one| {
        one.counters.announcements
    }),
    ("rkeepalived_transitions_total", "Changes of state.", |one| one.changes),
    ("rkeepalived_conflicts", "Other hosts that hold the addresses of this master.", |one| one.conflicts.len() as u64),
    ("rkeepalived_obstacles", "Reasons that keep the instance from being master.", |one| one.obstacles.len() as u64),
];

/// Every metric.
pub fn metrics(status: &Status) -> String {
    let mut out = String::new();
    let up = u64::from(status.vrrp.serving && status.vrrp.pid.is_some());
    head(&mut out, "keepalived_up", "Whether the VRRP process runs.");
    let _ = writeln!(out, "keepalived_up {up}");
    head(&mut out, "keepalived_vrrp_state", "The state: 0 INIT, 1 BACKUP, 2 MASTER, 3 FAULT.");
    for one in &status.instances {
        let state =
            ["INIT", "BACKUP", "MASTER", "FAULT"].iter().position(|word| *word == one.state).unwrap_or_default();
        let address = |ip: &String| ip.split('/').next().unwrap_or_default().to_owned();
        for ip in one.addresses.iter().map(address) {
            let _ = writeln!(out, "keepalived_vrrp_state{{{},ip_address=\"{ip}\"}} {state}", labels(one));
        }
    }
    head(&mut out, "rkeepalived_priority", "The priority that counts.");
    for one in &status.instances {
        let _ = writeln!(out, "rkeepalived_priority{{{}}} {}", labels(one), one.priority);
    }
    for (name, help, number) in COUNTERS {
        head(&mut out, name, help);
        for one in &status.instances {
            let _ = writeln!(out, "{name}{{{}}} {}", labels(one), number(one));
        }
    }
    scripts(&mut out, status);
    servers(&mut out, status);
    process(&mut out, status);
    out
}

fn scripts(out: &mut String, status: &Status) {
    head(out, "keepalived_script_state", "Whether the last verdict about the script was good.");
    for script in &status.scripts {
        let good = u64::from(script.reading == "good");
        let _ = writeln!(out, "keepalived_script_state{{name=\"{}\"}} {good}", escaped(&script.name));
    }
    let numbers = |script: &crate::keepalived::status::Script| {
        [
            ("rkeepalived_script_runs_total", script.runs as f64),
            ("rkeepalived_script_failures_total", script.failures as f64),
            ("rkeepalived_script_timeouts_total", script.timeouts as f64),
            ("rkeepalived_script_duration_seconds", script.last_duration.unwrap_or_default()),
        ]
    };
    let helps = ["Runs that ended.", "Runs that failed.", "Runs that took too long.", "How long the last run took."];
    for (at, help) in helps.into_iter().enumerate() {
        let each = status.scripts.iter().filter_map(|script| Some((script, *numbers(script).get(at)?)));
        for (index, (script, (name, number))) in each.enumerate() {
            if index == 0 {
                head(out, name, help);
            }
            let _ = writeln!(out, "{name}{{name=\"{}\"}} {number}", escaped(&script.name));
        }
    }
}

/// A number of a virtual server, and of one of its real servers.
type OfServer = fn(&VirtualServer) -> i64;
type OfReal = fn(&RealServer) -> i64;

/// Virtual servers and their real servers.
fn servers(out: &mut String, status: &Status) {
    const SERVERS: [(&str, &str, OfServer); 4] = [
        ("rkeepalived_virtual_server_quorum_up", "Whether its real servers are enough.", |one| one.quorum_up.into()),
        ("rkeepalived_virtual_server_weight", "The weight of its real servers that are up.", |one| one.weight),
        ("rkeepalived_virtual_server_quorum", "The weight that is enough.", |one| one.quorum),
        ("rkeepalived_virtual_server_sorry", "Whether its sorry server answers.", |one| one.sorry_answers.into()),
    ];
    const REALS: [(&str, &str, OfReal); 3] = [
        ("rkeepalived_real_server_up", "Whether all checks of the real server are good.", |one| one.up.into()),
        ("rkeepalived_real_server_weight", "Its weight.", |one| one.weight),
        ("rkeepalived_real_server_failed_checks", "Its checks that failed.", |one| one.failures.len() as i64),
    ];
    if status.virtual_servers.is_empty() {
        return;
    }
    for (name, help, number) in SERVERS {
        head(out, name, help);
        for server in &status.virtual_servers {
            let _ = writeln!(out, "{name}{{virtual_server=\"{}\"}} {}", escaped(&server.name), number(server));
        }
    }
    for (name, help, number) in REALS {
        head(out, name, help);
        for server in &status.virtual_servers {
            let of = escaped(&server.name);
            for real in &server.real_servers {
                let own = escaped(&real.name);
                let _ = writeln!(out, "{name}{{virtual_server=\"{of}\",real_server=\"{own}\"}} {}", number(real));
            }
        }
    }
}

fn process(out: &mut String, status: &Status) {
    let late = &status.lateness;
    for (name, help, number) in [
        ("rkeepalived_vrrp_deaths_total", "Times the VRRP process ended by itself.", status.vrrp.deaths as f64),
        ("rkeepalived_reloads_total", "Reloads that were used.", status.reloads.used as f64),
        ("rkeepalived_reloads_refused_total", "Reloads that were refused.", status.reloads.refused as f64),
        ("rkeepalived_start_time_seconds", "When the daemon started.", status.started),
        ("rkeepalived_report_time_seconds", "When the VRRP process last reported.", status.updated.unwrap_or_default()),
        ("rkeepalived_deadlines_total", "Deadlines the VRRP process reached.", late.deadlines as f64),
        ("rkeepalived_deadlines_late_total", "Deadlines reached more than 10 ms late.", late.late as f64),
        ("rkeepalived_lateness_seconds_total", "The sum of all delays.", late.seconds),
        ("rkeepalived_lateness_worst_seconds", "The greatest delay.", late.worst),
    ] {
        head(out, name, help);
        let _ = writeln!(out, "{name} {number}");
    }
}

fn head(out: &mut String, name: &str, help: &str) {
    let kind = if name.ends_with("_total") { "counter" } else { "gauge" };
    let _ = writeln!(out, "# HELP {name} {help}\n# TYPE {name} {kind}");
}

/// What tells an instance from others.
fn labels(instance: &Instance) -> String {
    let (name, interface, vrid) = (escaped(&instance.name), escaped(&instance.interface), instance.vrid);
    format!("iname=\"{name}\",intf=\"{interface}\",vrid=\"{vrid}\"")
}

/// A label's value: backslash, quote and end of line are escaped.
fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_metric_has_one_head_and_labels_are_escaped() {
        let instance = |name: &str| Instance {
            name: name.to_owned(),
            state: "MASTER".into(),
            addresses: vec!["10.0.0.1/24".to_owned()],
            ..Instance::default()
        };
        let status = Status { instances: vec![instance("a\"\\b"), instance("c")], ..Status::default() };
        let text = metrics(&status);
        let line = "keepalived_vrrp_state{iname=\"a\\\"\\\\b\",intf=\"\",vrid=\"0\",ip_address=\"10.0.0.1\"} 2";
        assert!(text.lines().any(|one| one == line), "{text}");
        let mut heads: Vec<&str> = text.lines().filter(|line| line.starts_with("# TYPE ")).collect();
        let count = heads.len();
        heads.sort_unstable();
        heads.dedup();
        assert_eq!((heads.len(), count > 30), (count, true), "{text}");
        assert!(text.lines().all(|line| line.starts_with('#') || line.split(' ').count() == 2), "{text}");
    }
}
