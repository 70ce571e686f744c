//! The processes the parent keeps: what is known of each kind, and the state of each.
//!
//! The parent starts, signals, reaps and stops all of them in one way; what differs is a row of [`Role`].

use crate::keepalived::blocks::global::Global;
use crate::keepalived::options::Options;
use crate::keepalived::report::Receiver;
use crate::keepalived::site::Site;
use crate::run::supervise::Respawn;
use nix::sys::signal::Signal;
use nix::unistd::Pid;
use std::path::PathBuf;
use std::time::Instant;

/// A process by its task.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// The virtual routers.
    Vrrp,
    /// The health checks of virtual servers.
    Checkers,
    /// The BFD sessions.
    Bfd,
}

/// What keepalived calls a process.
#[derive(Clone, Copy, Debug)]
pub struct Names {
    /// In lines of the parent about it.
    pub line: &'static str,
    /// As a program: in the log lines of its own, and when it crashes.
    pub program: &'static str,
    /// In the name of its pid file.
    pub pid_file: &'static str,
    /// When it does not end.
    pub short: &'static str,
}

impl Role {
    /// All, in the order signals are passed on and pid files are looked at.
    pub const ALL: [Self; 3] = [Self::Vrrp, Self::Checkers, Self::Bfd];
    /// All, in the order they are started.
    pub const START: [Self; 3] = [Self::Checkers, Self::Vrrp, Self::Bfd];

    /// What keepalived calls it.
    pub const fn names(self) -> Names {
        match self {
            Self::Vrrp => Names { line: "VRRP", program: "Keepalived_vrrp", pid_file: "vrrp", short: "vrrp" },
            Self::Checkers => Names {
                line: "Healthcheck",
                program: "Keepalived_healthcheckers",
                pid_file: "checkers",
                short: "checker",
            },
            Self::Bfd => Names { line: "BFD", program: "Keepalived_bfd", pid_file: "bfd", short: "bfd" },
        }
    }

    /// Whether the command line lets it run.
    pub const fn is_allowed(self, options: &Options) -> bool {
        match self {
            Self::Vrrp => options.vrrp,
            Self::Checkers => options.checkers,
            Self::Bfd => options.bfd,
        }
    }

    /// Whether the configuration has something for it to do, or `--all` was given.
    pub const fn is_wanted(self, site: &Site, options: &Options) -> bool {
        let has_work = match self {
            Self::Vrrp => !site.instances.is_empty(),
            Self::Checkers => site.has_servers,
            Self::Bfd => site.has_sessions,
        };
        options.all || has_work
    }

    /// The pid file that the command line names.
    pub fn given_pid_file(self, options: &Options) -> Option<&str> {
        match self {
            Self::Vrrp => options.vrrp_pid.as_deref(),
            Self::Checkers => options.checkers_pid.as_deref(),
            Self::Bfd => options.bfd_pid.as_deref(),
        }
    }

    /// The name that the configuration gives the process.
    pub fn process_name(self, global: &Global) -> Option<&str> {
        match self {
            Self::Vrrp => global.vrrp_process_name.as_deref(),
            Self::Checkers => global.checkers.name.as_deref(),
            Self::Bfd => global.bfd.name.as_deref(),
        }
    }

    /// Whether it reports that it has read the configuration.
    pub fn reports_reading(self) -> bool {
        self != Self::Checkers
    }

    /// Whether a signal is for it.
    pub fn takes(self, number: i32) -> bool {
        self == Self::Vrrp || [Signal::SIGHUP as i32, Signal::SIGUSR1 as i32].contains(&number)
    }
}

/// The state of a process.
#[derive(Clone, Copy, Debug)]
pub enum Child {
    /// There is nothing for it to do.
    None,
    /// It runs.
    Running {
        /// Its process id.
        pid: Pid,
        /// When it was started.
        since: Instant,
    },
    /// It died and is started again then.
    Waiting {
        /// When.
        until: Instant,
    },
}

/// One of the processes.
#[derive(Debug)]
pub struct Part {
    /// Its task.
    pub role: Role,
    /// The configuration has something for it to do.
    pub wanted: bool,
    /// Its state.
    pub child: Child,
    /// When it is started again.
    pub respawn: Respawn,
    /// Its pid file.
    pub pid_file: PathBuf,
    /// What it reports.
    pub reports: Option<Receiver>,
    /// It reads the configuration.
    pub reading: bool,
}

impl Part {
    /// A process that does not run yet.
    pub fn new(role: Role, wanted: bool, pid_file: PathBuf) -> Self {
        Self { role, wanted, child: Child::None, respawn: Respawn::default(), pid_file, reports: None, reading: false }
    }

    /// Its process id, while it runs.
    pub const fn pid(&self) -> Option<Pid> {
        match self.child {
            Child::Running { pid, .. } => Some(pid),
            Child::None | Child::Waiting { .. } => None,
        }
    }

    /// When it is to be started, if it waits for that.
    pub const fn poll_timeout(&self) -> Option<Instant> {
        match self.child {
            Child::Waiting { until } => Some(until),
            Child::None | Child::Running { .. } => None,
        }
    }
}
