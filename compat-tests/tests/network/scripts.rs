//! The scripts of the parent: `startup_script` and `shutdown_script`.

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt as _;

use super::pair::{LIMIT, Pair, configuration};
use compat_tests::program::Program;
use compat_tests::wait_for;
use nix::sys::signal::Signal;

/// Writes its name, its umask and its end to a file; the script of the start reports whether there is a VRRP process.
const SCRIPT: &str = "#!/bin/sh
name=$1
trap 'echo $name ended >> /tmp/told; exit 1' TERM
test -e /run/vrrp.pid -o -e /run/keepalived/vrrp.pid && vrrp=here || vrrp=absent
echo $name $(umask) $vrrp >> /tmp/told
sleep $2
echo $name done >> /tmp/told
exit $3
";

/// A host with the script, and nothing that runs.
fn host(program: Program) -> io::Result<Pair> {
    let pair = Pair::new(program, Program::Ours)?;
    pair.a.host.run(|| {
        fs::write("/tmp/script", SCRIPT)?;
        fs::set_permissions("/tmp/script", fs::Permissions::from_mode(0o755))
    })??;
    Ok(pair)
}

/// A virtual router with these lines in `global_defs`.
fn with(lines: &str) -> String {
    configuration("BACKUP", 120, "").replacen(
        "global_defs {\n",
        &format!("global_defs {{\n script_user root\n{lines}"),
        1,
    )
}

/// What the scripts have written.
fn told(pair: &Pair) -> io::Result<Vec<String>> {
    let text = pair.a.host.run(|| fs::read_to_string("/tmp/told").unwrap_or_default())?;
    Ok(text.lines().map(str::to_owned).collect())
}

fn wait_told(pair: &Pair, line: &str) -> io::Result<()> {
    wait_for(line, LIMIT, || told(pair).ok()?.iter().any(|one| one == line).then_some(()))
        .map_err(|error| io::Error::other(format!("{error}; {}", pair.a.log())))
}

#[test]
fn scripts_are_run_before_the_start_and_after_the_end() -> io::Result<()> {
    for program in [Program::Original, Program::Ours] {
        let mut pair = host(program)?;
        let lines = " startup_script \"/tmp/script up 1 3\"\n shutdown_script \"/tmp/script down 1 0\"\n";
        pair.a.start(&with(lines))?;
        pair.a.says("Running startup script /tmp/script")?;
        pair.a.says("script failed, status 3")?;
        pair.a.becomes_master()?;
        pair.a.signal(Signal::SIGTERM);
        pair.a.says("Running shutdown script /tmp/script")?;
        pair.a.says("script succeeded")?;
        pair.a.says("Stopped ")?;
        pair.a.stop()?;
        let name = program.name();
        assert_eq!(told(&pair)?, ["up 0177 absent", "up done", "down 0177 absent", "down done"], "{name}");
        assert!(!pair.a.is_master(), "{name}: the address is still here");
    }
    Ok(())
}

#[test]
fn a_script_that_overruns_its_time_is_ended() -> io::Result<()> {
    for program in [Program::Original, Program::Ours] {
        let mut pair = host(program)?;
        let lines = " startup_script \"/tmp/script up 60 0\"\n startup_script_timeout 1\n \
                     shutdown_script \"/tmp/script down 60 0\"\n shutdown_script_timeout 1\n";
        pair.a.start(&with(lines))?;
        pair.a.says("startup script timed out")?;
        pair.a.becomes_master()?;
        pair.a.signal(Signal::SIGTERM);
        pair.a.says("shutdown script timed out")?;
        pair.a.stop()?;
        assert_eq!(
            told(&pair)?,
            ["up 0177 absent", "up ended", "down 0177 absent", "down ended"],
            "{}",
            program.name()
        );
    }
    Ok(())
}

#[test]
fn a_script_that_ignores_sigterm_is_killed_and_one_that_cannot_be_started_is_no_obstacle() -> io::Result<()> {
    for program in [Program::Original, Program::Ours] {
        let mut pair = host(program)?;
        pair.a.host.run(|| {
            fs::write("/tmp/deaf", "#!/bin/sh\ntrap '' TERM\nsleep 60\n")?;
            fs::write("/tmp/broken-script", "#!/no/such/interpreter\n")?;
            fs::set_permissions("/tmp/broken-script", fs::Permissions::from_mode(0o755))?;
            fs::set_permissions("/tmp/deaf", fs::Permissions::from_mode(0o755))
        })??;
        let lines = " startup_script /tmp/broken-script\n shutdown_script /tmp/deaf\n shutdown_script_timeout 1\n";
        pair.a.start(&with(lines))?;
        if program == Program::Ours {
            pair.a.says("Error exec-ing command '/tmp/broken-script', error 2: No such file or directory")?;
        }
        pair.a.becomes_master()?;
        pair.a.signal(Signal::SIGTERM);
        pair.a.says("shutdown script timed out")?;
        pair.a.stop()?;
    }
    Ok(())
}

#[test]
fn a_reload_changes_the_shutdown_script() -> io::Result<()> {
    for program in [Program::Original, Program::Ours] {
        let mut pair = host(program)?;
        pair.a.start(&with(" shutdown_script \"/tmp/script old 0 0\"\n"))?;
        pair.a.becomes_master()?;
        pair.a.configure(&with(" shutdown_script \"/tmp/script new 0 4\"\n"))?;
        pair.a.signal(Signal::SIGHUP);
        pair.a.says("Reloading")?;
        pair.a.signal(Signal::SIGTERM);
        pair.a.says("script failed, status 4")?;
        pair.a.stop()?;
        assert_eq!(told(&pair)?, ["new 0177 absent", "new done"], "{}", program.name());
    }
    Ok(())
}

#[test]
fn a_reload_during_the_startup_script_waits_for_it() -> io::Result<()> {
    let mut pair = host(Program::Ours)?;
    pair.a.start(&with(" startup_script \"/tmp/script up 3 0\"\n"))?;
    wait_told(&pair, "up 0177 absent")?;
    pair.a.signal(Signal::SIGHUP);
    pair.a.says("Reloading ...")?;
    pair.a.becomes_master()?;
    let log = pair.a.log();
    assert_eq!(log.matches("Starting VRRP child process").count(), 1, "{log}");
    assert!(log.find("startup script succeeded") < log.find("Starting VRRP child process"), "{log}");
    Ok(())
}

#[test]
fn a_startup_script_ends_before_the_shutdown_script_is_run() -> io::Result<()> {
    let mut pair = host(Program::Ours)?;
    let lines = " startup_script \"/tmp/script up 60 0\"\n shutdown_script \"/tmp/script down 0 0\"\n";
    pair.a.start(&with(lines))?;
    wait_told(&pair, "up 0177 absent")?;
    pair.a.signal(Signal::SIGTERM);
    wait_told(&pair, "down done")?;
    pair.a.stop()?;
    assert_eq!(told(&pair)?, ["up 0177 absent", "up ended", "down 0177 absent", "down done"]);
    assert!(!pair.a.log().contains("Starting VRRP child process"), "{}", pair.a.log());
    Ok(())
}
