//! h2load and openssl as load generators: HTTP/2, and handshakes.

use std::io;
use std::net::SocketAddr;
use std::process::Command;
use std::time::Duration;

use crate::load::Figures;
use crate::wrk::children;

/// What a command says, and the processor time it took. No other child may end meanwhile.
fn said(mut command: Command) -> io::Result<(String, Duration)> {
    let name = command.get_program().to_string_lossy().into_owned();
    let before = children()?;
    let output = command.output().map_err(|error| io::Error::new(error.kind(), format!("{name}: {error}")))?;
    let processor = children()?.saturating_sub(before);
    Ok((String::from_utf8_lossy(&output.stdout).into_owned(), processor))
}

/// The number before a word.
fn before(text: &str, word: &str) -> Option<u64> {
    let words: Vec<&str> = text.split([' ', ',', '\n']).filter(|word| !word.is_empty()).collect();
    words.windows(2).find(|pair| pair[1] == word).and_then(|pair| pair[0].parse().ok())
}

/// Asks for a URL for a second; `words` are h2load's.
///
/// # Errors
/// When h2load is missing or says something else than expected.
pub fn h2load(words: &[&str], url: &str) -> io::Result<Figures> {
    let mut command = Command::new("h2load");
    command.args(["-t1", "-D1"]).args(words).arg(url);
    let (text, processor) = said(command)?;
    let number = |word| before(&text, word).ok_or_else(|| io::Error::other(format!("h2load said: {text}")));
    let (answers, refused) = (number("2xx")?, number("4xx")? + number("5xx")?);
    let failed = number("errored")? + number("timeout")?;
    let complaint = (refused + failed > 0).then(|| format!("{refused} refused, {failed} failed"));
    let elapsed = Duration::from_secs(1);
    Ok(Figures { answers, wrong: refused, failed, complaint, elapsed, processor, latencies: Vec::new() })
}

/// Shakes hands for a second, on one connection after the other; `words` are those of `openssl s_time`.
///
/// # Errors
/// When openssl is missing or says something else than expected.
pub fn handshakes(words: &[&str], address: SocketAddr) -> io::Result<Figures> {
    let mut command = Command::new("openssl");
    command.args(["s_time", "-time", "1", "-connect", &address.to_string()]).args(words);
    let (text, processor) = said(command)?;
    let answers = before(&text, "connections").ok_or_else(|| io::Error::other(format!("openssl said: {text}")))?;
    Ok(Figures { answers, elapsed: Duration::from_secs(1), processor, ..Figures::default() })
}

#[cfg(test)]
mod tests {
    use super::before;

    #[test]
    fn numbers_are_found_before_their_words() {
        let text = "requests: 12 total, 3 errored, 0 timeout\nstatus codes: 9 2xx, 1 3xx";
        assert_eq!(["total", "errored", "2xx", "x"].map(|word| before(text, word)), [Some(12), Some(3), Some(9), None]);
    }
}
