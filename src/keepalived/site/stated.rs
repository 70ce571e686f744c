//! What the blocks of virtual and real servers say that only dumps show: the rest is in what it comes to.

use crate::keepalived::blocks::real::Real;
use crate::keepalived::blocks::server::Server;
use crate::kernel::ipvs::Method;
use std::time::Duration;

/// What the checks of a block inherit where they say nothing themselves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stated {
    /// `alpha`.
    pub alpha: bool,
    /// `connect_timeout`.
    pub timeout: Duration,
    /// `delay_loop`.
    pub delay: Duration,
    /// `retry`.
    pub retry: Option<u32>,
    /// `delay_before_retry`.
    pub retry_delay: Option<Duration>,
    /// `warmup`.
    pub warmup: Option<Duration>,
    /// `virtualhost`.
    pub host: Option<String>,
}

/// The same of a virtual server, and what its real servers inherit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StatedServer {
    /// For checks.
    pub checks: Stated,
    /// `inhibit_on_failure`.
    pub inhibit: bool,
    /// How packets reach real servers that say nothing of it.
    pub method: Method,
    /// `persistence_granularity`: a mask in network order for IPv4, a prefix length for IPv6.
    pub granularity: Option<u32>,
}

impl Stated {
    /// What a real server says, or its virtual server; the name is its own only.
    pub fn of(real: &Real, server: &Server, (delay, timeout): (Duration, Duration)) -> Self {
        Self {
            alpha: real.alpha.or(server.alpha) == Some(true),
            timeout: real.timeout.or(server.timeout).unwrap_or(timeout),
            delay: real.delay.or(server.delay).unwrap_or(delay),
            retry: real.retry.or(server.retry).map(|retry| retry as u32),
            retry_delay: real.retry_delay.or(server.retry_delay),
            warmup: real.warmup.or(server.warmup),
            host: real.host.clone(),
        }
    }
}

impl StatedServer {
    /// What a virtual server says; `delay` and `timeout` where it says none.
    pub fn of(server: &Server, (delay, timeout): (Duration, Duration)) -> Self {
        Self {
            checks: Stated {
                alpha: server.alpha == Some(true),
                timeout: server.timeout.unwrap_or(timeout),
                delay: server.delay.unwrap_or(delay),
                retry: server.retry.map(|retry| retry as u32),
                retry_delay: server.retry_delay,
                warmup: server.warmup,
                host: server.host.clone(),
            },
            inhibit: server.inhibit == Some(true),
            method: server.method.unwrap_or(Method::Nat),
            granularity: server.granularity,
        }
    }
}
