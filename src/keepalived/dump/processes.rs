//! A tracked process in keepalived.json.

use super::{Members, quoted};
use crate::keepalived::blocks::process::ParamMatch;
use crate::keepalived::site::{Instance, What};
use crate::keepalived::slot::general;
use crate::keepalived::track::process::ProcessRunner;

/// The processes an instance tracks, by name.
pub fn tracked(instance: &Instance) -> impl Iterator<Item = String> {
    instance.tracking.iter().filter_map(|tracking| match &tracking.what {
        What::Process(name) => Some(name.clone()),
        _ => None,
    })
}

/// The object of a process, in the form of `json_version 2`.
pub fn json(runner: &ProcessRunner) -> String {
    let process = &runner.process;
    let mut data = Members::default();
    data.add("process", quoted(&process.name));
    if !process.parameters.is_empty() {
        let words: Vec<_> = process.parameters.split(|byte| *byte == 0).map(String::from_utf8_lossy).collect();
        data.add("parameters", quoted(words.join(" ").trim_end()));
    }
    let matched = match process.param_match {
        None => "none",
        Some(ParamMatch::Exact) => "exact",
        Some(ParamMatch::Partial) => "partial",
        Some(ParamMatch::Initial) => "initial",
    };
    data.add("param_match", quoted(matched));
    data.add("min_processes", process.quorum);
    if let Some(most) = process.quorum_max {
        data.add("max_processes", most);
    }
    data.add("current_processes", runner.count());
    data.add("have_quorum", runner.has_quorum());
    data.add("weight", if process.reverse { -process.weight } else { process.weight });
    data.add("terminate_delay", general(process.terminate_delay.as_secs_f64()));
    data.add("fork_delay", general(process.fork_delay.as_secs_f64()));
    let (forking, terminating) = runner.delays();
    data.add("fork_delay_timer_running", forking);
    data.add("terminate_delay_timer_running", terminating);
    data.add("full_command", process.full_command);
    data.object()
}
