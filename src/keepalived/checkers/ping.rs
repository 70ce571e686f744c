//! The groups whose processes may send echo requests without a raw socket (ping_group_range).

use crate::conf::diagnostic::reason;
use crate::keepalived::log::Log;
use crate::keepalived::site::server::{Probe, VirtualServer};
use std::fs;

/// The first and last of them.
const RANGE: &str = "/proc/sys/net/ipv4/ping_group_range";

/// The range before it was changed.
#[derive(Debug, Default)]
pub struct PingGroups(Option<(u32, u32)>);

impl PingGroups {
    /// Lets every group from the first on send them, where a check of these virtual servers must.
    pub fn open<'a>(&mut self, servers: impl Iterator<Item = &'a VirtualServer>, log: &Log) {
        let mut checks = servers.flat_map(|server| &server.reals).flat_map(|real| &real.checks);
        if self.0.is_some() || !checks.any(|check| matches!(check.probe, Probe::Ping(_))) {
            return;
        }
        let Some((first, last)) = fs::read_to_string(RANGE).ok().and_then(|text| range(&text)) else { return };
        if first == 0 {
            return;
        }
        if first > 1 && last > 1 {
            log.say(format!("Warning: {RANGE} being expanded from {first} {last} to 0 {last}"));
        }
        self.0 = Some((first, last));
        if let Err(error) = write((0, last)) {
            log.say(format!("Write {RANGE} failed - {}", reason(&error)));
        }
    }

    /// Gives the range back.
    pub fn close(&mut self) {
        if let Some(before) = self.0.take() {
            // A system that refuses keeps the wider range.
            let _ = write(before);
        }
    }
}

fn write((first, last): (u32, u32)) -> std::io::Result<()> {
    fs::write(RANGE, format!("{first}\t{last}\n"))
}

fn range(text: &str) -> Option<(u32, u32)> {
    let mut words = text.split_ascii_whitespace();
    Some((words.next()?.parse().ok()?, words.next()?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_is_two_numbers() {
        assert_eq!((range("1\t0\n"), range("0\t2147483647\n")), (Some((1, 0)), Some((0, 2_147_483_647))));
        assert_eq!((range(""), range("1 x")), (None, None));
    }
}
