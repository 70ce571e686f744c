//! Virtual servers as the process of health checks reports them.

use serde::{Deserialize, Serialize};

/// A virtual server.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct VirtualServer {
    /// Its name in log lines.
    pub name: String,
    /// Its real servers are enough.
    pub quorum_up: bool,
    /// The weight that is enough.
    pub quorum: i64,
    /// How far the weight must be above the quorum to gain it, or below to lose it.
    pub hysteresis: i64,
    /// The weight of the real servers that are up.
    pub weight: i64,
    /// The sorry server's name.
    pub sorry: Option<String>,
    /// The sorry server answers.
    pub sorry_answers: bool,
    /// A script is run when the quorum is gained.
    pub quorum_up_script: bool,
    /// A script is run when the quorum is lost.
    pub quorum_down_script: bool,
    /// Mail is sent when the quorum changes.
    pub mails: bool,
    /// No checks are made, as `ha_suspend` says: this host has none of its addresses.
    pub suspended: bool,
    /// Its real servers, in the order of the file.
    pub real_servers: Vec<RealServer>,
}

/// A real server.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct RealServer {
    /// Its name in log lines.
    pub name: String,
    /// All its checks are good.
    pub up: bool,
    /// Its weight.
    pub weight: i64,
    /// A failure sets its weight to 0 and leaves it in the kernel's table.
    pub inhibit_on_failure: bool,
    /// A script is run when it comes.
    pub notify_up_script: bool,
    /// A script is run when it goes.
    pub notify_down_script: bool,
    /// Mail is sent when it comes or goes.
    pub mails: bool,
    /// How many checks it has.
    pub checks: usize,
    /// Those that failed.
    pub failures: Vec<Failure>,
}

/// A check that failed.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Failure {
    /// Its block.
    pub check: String,
    /// What was wrong at the last attempt.
    pub reason: String,
    /// Since when that is so; nothing where no attempt was made.
    pub since: Option<f64>,
}

impl VirtualServer {
    /// Whether it is meant by `name`: its own in log lines, `ADDRESS:PORT`, or its group's.
    pub fn is_called(&self, name: &str) -> bool {
        let short = self.name.strip_prefix('[').and_then(|rest| rest.split_once("]:"));
        let is_short = short.is_some_and(|(own, rest)| match rest.split_once(':') {
            Some((_, port)) => name.strip_prefix(own) == Some(&format!(":{port}")),
            None => name == own,
        });
        self.name == name || is_short
    }

    /// Whether a weight would be enough now.
    pub const fn is_enough(&self, weight: i64) -> bool {
        if self.quorum_up {
            weight > 0 && weight >= self.quorum - self.hysteresis
        } else {
            weight >= self.quorum + self.hysteresis
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_virtual_server_is_called_by_its_line_its_address_or_its_group() {
        let named = |name: &str| VirtualServer { name: name.to_owned(), ..VirtualServer::default() };
        assert!(
            named("[10.0.0.1]:tcp:80").is_called("10.0.0.1:80") && !named("[10.0.0.1]:tcp:80").is_called("10.0.0.1")
        );
        assert!(named("[web]:0").is_called("web") && named("[web]:0").is_called("[web]:0"));
        assert!(named("FWM 5").is_called("FWM 5") && !named("FWM 5").is_called("5"));
    }

    #[test]
    fn hysteresis_counts_both_ways() {
        let server = |quorum_up| VirtualServer { quorum: 3, hysteresis: 1, quorum_up, ..VirtualServer::default() };
        assert_eq!([1, 2, 3, 4].map(|weight| server(true).is_enough(weight)), [false, true, true, true]);
        assert_eq!([1, 2, 3, 4].map(|weight| server(false).is_enough(weight)), [false, false, false, true]);
    }
}
