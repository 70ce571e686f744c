//! wrk as the load generator: a client that was not written for this bench, which reads in pieces of 8 KiB.

use std::io;
use std::net::SocketAddr;
use std::process::Command;
use std::time::Duration;

use nix::sys::resource::{UsageWho, getrusage};

use crate::load::Figures;

/// The processor time of this process's ended children.
pub fn children() -> io::Result<Duration> {
    let usage = getrusage(UsageWho::RUSAGE_CHILDREN)?;
    let spent = |time: nix::sys::time::TimeVal| Duration::new(time.tv_sec() as u64, time.tv_usec() as u32 * 1000);
    Ok(spent(usage.user_time()) + spent(usage.system_time()))
}

/// Loads a server with `GET target` on some connections for a second. wrk looks at no body; what it read in all is compared
/// with what that many answers with bodies of `length` bytes hold. No other child may end meanwhile.
///
/// # Errors
/// When wrk is missing or said something else than expected.
pub fn run(
    address: SocketAddr,
    scheme: &str,
    target: &str,
    (length, connections): (usize, usize),
) -> io::Result<Figures> {
    let mut command = Command::new("wrk");
    command.args(["-t1", "-d1", &format!("-c{connections}"), &format!("{scheme}://{address}{target}")]);
    let before = children()?;
    let output = command.output().map_err(|error| io::Error::new(error.kind(), format!("wrk: {error}")))?;
    let processor = children()?.saturating_sub(before);
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let strange = || io::Error::other(format!("wrk said: {text}"));
    let line = text.lines().find(|line| line.contains(" requests in ")).ok_or_else(strange)?;
    let [answers, _, _, seconds, read, _] = line.split_whitespace().collect::<Vec<_>>()[..] else {
        return Err(strange());
    };
    let answers: u64 = answers.parse().map_err(|_| strange())?;
    let elapsed: f64 = seconds.trim_end_matches("s,").parse().map_err(|_| strange())?;
    let read = bytes(read).ok_or_else(strange)?;
    let odd = text.lines().find(|line| line.contains("Socket errors") || line.contains("Non-2xx"));
    // The figure has three digits; of the last answers only a part was read.
    let least = answers as f64 * length as f64 * 0.99;
    let complaint = match odd {
        Some(line) => Some(line.trim().to_owned()),
        None if read < least => Some(format!("{read:.0} bytes are fewer than {least:.0}")),
        None => None,
    };
    let wrong = u64::from(complaint.is_some());
    Ok(Figures {
        answers,
        wrong,
        failed: 0,
        complaint,
        elapsed: Duration::from_secs_f64(elapsed),
        processor,
        latencies: Vec::new(),
    })
}

/// A size as wrk writes it.
fn bytes(word: &str) -> Option<f64> {
    let units = [("KB", 10), ("MB", 20), ("GB", 30), ("TB", 40), ("B", 0)];
    let (number, power) = units.iter().find_map(|(unit, power)| Some((word.strip_suffix(unit)?, *power)))?;
    Some(number.parse::<f64>().ok()? * 2_f64.powi(power))
}

#[cfg(test)]
mod tests {
    use super::bytes;

    #[test]
    fn sizes_are_read() {
        assert_eq!(bytes("1.50MB"), Some(1.5 * 1048576.0));
        assert_eq!(bytes("12B"), Some(12.0));
        assert_eq!(bytes("read"), None);
    }
}
