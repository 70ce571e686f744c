//! `reload_time_file` and `reload_repeat`: a reload at the time a file names.

use std::fs;
use std::io;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::pair::{LIMIT, Pair, configuration};
use compat_tests::program::Program;
use compat_tests::wait_for;

/// The file, in a folder of its own.
const FILE: &str = "/tmp/times/reload";

/// The time of day so many seconds from now, in UTC.
fn time_in(seconds: u64) -> String {
    let at = SystemTime::now() + Duration::from_secs(seconds);
    let of_day = at.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs() % 86_400;
    format!("{:02}:{:02}:{:02}Z\n", of_day / 3600, of_day / 60 % 60, of_day % 60)
}

fn write(pair: &Pair, text: &str) -> io::Result<()> {
    let text = text.to_owned();
    pair.a.host.run(move || fs::write(FILE, text))?
}

fn is_there(pair: &Pair) -> io::Result<bool> {
    pair.a.host.run(|| fs::exists(FILE))?
}

/// How often the log has this.
fn count(pair: &Pair, line: &str) -> usize {
    pair.a.log().matches(line).count()
}

#[test]
fn a_reload_comes_when_a_file_says_and_once_unless_it_repeats() -> io::Result<()> {
    for program in [Program::Original, Program::Ours] {
        let mut pair = Pair::new(program, Program::Ours)?;
        pair.a.host.run(|| fs::create_dir("/tmp/times"))??;
        let with = |more: &str| {
            let line = format!("global_defs {{\n reload_time_file {FILE}\n{more}");
            configuration("BACKUP", 120, "").replacen("global_defs {\n", &line, 1)
        };
        pair.a.start(&with(""))?;
        pair.a.becomes_master()?;
        for (text, line) in [
            ("11:00\n", "Invalid reload time '11:00' specified - ignoring"),
            ("25:00:00\n", "Reload date/time 25:00:00 invalid - ignoring"),
            ("2001-02-29 11:00:00\n", "Reload time 2001-02-29 11:00:00 is not valid - ignoring"),
            ("2001-02-28 11:00:00\n", "Reload time 2001-02-28 11:00:00 is in the past - ignoring"),
            ("2037-01-02 03:04:05\n", "Scheduling reload for 2037-01-02 03:04:05"),
            ("2037-01-02 03:04:06\n", "Reload time updated from 2037-01-02 03:04:05 to 2037-01-02 03:04:06"),
        ] {
            write(&pair, text)?;
            pair.a.says(line)?;
        }
        pair.a.host.run(|| fs::remove_file(FILE))??;
        pair.a.says("Cancelling reload scheduled for 2037-01-02 03:04:06")?;
        write(&pair, &time_in(2))?;
        wait_for("the reload", LIMIT, || (count(&pair, "Reloading ...") == 1).then_some(()))
            .map_err(|error| io::Error::other(format!("{}: {error}: {}", program.name(), pair.a.log())))?;
        wait_for("the end of the file", LIMIT, || (!is_there(&pair).ok()?).then_some(()))?;
        // The new configuration repeats it each day.
        pair.a.configure(&with(" reload_repeat\n"))?;
        write(&pair, &time_in(2))?;
        wait_for("the second reload", LIMIT, || (count(&pair, "Reloading ...") == 2).then_some(()))?;
        write(&pair, &time_in(2))?;
        wait_for("the third reload", LIMIT, || (count(&pair, "Reloading ...") == 3).then_some(()))?;
        wait_for("the time of tomorrow", LIMIT, || (count(&pair, "Scheduling reload for ") >= 5).then_some(()))?;
        assert!(is_there(&pair)? && pair.a.is_master(), "{}: {}", program.name(), pair.a.log());
        pair.a.stop()?;
    }
    Ok(())
}
