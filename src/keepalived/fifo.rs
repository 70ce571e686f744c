//! FIFOs that changes are written to, and the scripts that read them.

use super::log::Log;
use super::slot::Command as Given;
use super::track::script::command;
use super::track::security::Policy;
use crate::conf::diagnostic::reason;
use crate::sys::process::on_its_own;
use nix::fcntl::OFlag;
use nix::sys::signal::{Signal, killpg};
use nix::sys::stat::Mode;
use nix::unistd::Pid;
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::process::Child;
use std::time::{Duration, Instant};

/// A FIFO, and the script that reads it.
struct Fifo {
    file: File,
    path: String,
    /// It was made here.
    made: bool,
    /// The script as configured.
    given: Option<Given>,
    /// The script while it runs.
    reader: Option<Child>,
}

/// The FIFOs of a process.
#[derive(Default)]
pub struct Fifos(Vec<Fifo>);

impl Fifos {
    /// Has these FIFOs from now on, each a path and the script that reads it; one that stays keeps what nobody has read
    /// yet. The scripts of those that are closed are returned.
    ///
    /// Differs from keepalived: a reload closes no FIFO that stays, and its script runs on. [test: a_fifo_gets_a_line_a_change_and_keeps_it_over_a_reload]
    pub fn adopt(&mut self, wanted: &[(&String, Option<&Given>)], policy: &Policy, log: &Log) -> Vec<Child> {
        let stays = |fifo: &Fifo| wanted.contains(&(&fifo.path, fifo.given.as_ref()));
        let (kept, gone) = std::mem::take(&mut self.0).into_iter().partition(stays);
        self.0 = gone;
        let ended = self.close();
        self.0 = kept;
        for (path, given) in wanted {
            if self.0.iter().any(|fifo| fifo.path == **path) {
                continue;
            }
            let made = nix::unistd::mkfifo(path.as_str(), Mode::from_bits_truncate(0o600)).is_ok();
            // Read and write: a line written before the reader comes stays in the pipe.
            let flags = (OFlag::O_NONBLOCK | OFlag::O_NOFOLLOW).bits();
            match OpenOptions::new().read(true).write(true).custom_flags(flags).open(path) {
                Ok(file) => {
                    let reader = given.and_then(|given| reader(given, path, policy, log));
                    self.0.push(Fifo { file, path: (*path).clone(), made, given: given.cloned(), reader });
                }
                Err(error) => log.say(format!("Unable to open fifo {path} - {}", reason(&error))),
            }
        }
        ended
    }

    /// Writes a line to all; `whose` says what it is about where that fails.
    pub fn write(&mut self, line: &str, whose: &str, log: &Log) {
        for Fifo { file, path, .. } in &mut self.0 {
            // A pipe nobody empties is full some day; the daemon must not wait for it.
            if let Err(error) = file.write_all(line.as_bytes()) {
                log.say(format!("Failed to write fifo {path} for {whose} - {}", reason(&error)));
            }
        }
    }

    /// Forgets the scripts that have ended; `of` names the process in the line about it.
    pub fn reap(&mut self, of: &str, log: &Log) {
        for fifo in &mut self.0 {
            if fifo.reader.as_mut().is_some_and(|reader| !matches!(reader.try_wait(), Ok(None))) {
                fifo.reader = None;
                log.say(format!("{of} notify fifo script terminated"));
            }
        }
    }

    /// Ends all of them: scripts read what is left and the end of it, and get so long for that before they are ended.
    ///
    /// Differs from keepalived: the scripts of FIFOs get the lines of the end; there they are ended before they have read them. [test: the_lines_of_the_end_reach_the_script_that_reads_the_fifo]
    pub fn finish(&mut self, patience: Duration) -> Vec<Child> {
        const STEP: Duration = Duration::from_millis(10);
        let mut readers = Vec::new();
        // Where nobody writes any more a script reads an end of file.
        for Fifo { file, path, made, reader, .. } in std::mem::take(&mut self.0) {
            drop(file);
            if made {
                // One that is gone already is as good.
                let _ = std::fs::remove_file(path);
            }
            readers.extend(reader);
        }
        let until = Instant::now() + patience;
        while Instant::now() < until && readers.iter_mut().any(|reader| matches!(reader.try_wait(), Ok(None))) {
            std::thread::sleep(STEP);
        }
        for reader in &mut readers {
            if matches!(reader.try_wait(), Ok(None)) {
                // A group that is gone already has nothing left to end.
                let _ = killpg(Pid::from_raw(reader.id() as i32), Signal::SIGTERM);
            }
        }
        readers
    }

    /// Takes away the FIFOs that were made here, and ends their scripts, which are returned.
    pub fn close(&mut self) -> Vec<Child> {
        let mut ended = Vec::new();
        for Fifo { path, made, reader, .. } in std::mem::take(&mut self.0) {
            if let Some(reader) = reader {
                // A group that is gone already has nothing left to end.
                let _ = killpg(Pid::from_raw(reader.id() as i32), Signal::SIGTERM);
                ended.push(reader);
            }
            if made {
                // One that is gone already is as good.
                let _ = std::fs::remove_file(path);
            }
        }
        ended
    }
}

/// Starts the script that reads a FIFO, whose path is its last argument.
fn reader(given: &Given, path: &str, policy: &Policy, log: &Log) -> Option<Child> {
    // What is wrong with it was said at the start.
    let program = policy.judge(given).program?;
    let mut command = command(&program);
    command.arg(path);
    on_its_own(&mut command, Signal::SIGTERM);
    match command.spawn() {
        Ok(child) => Some(child),
        Err(error) => {
            log.say(format!("Unable to execute FIFO notify script {program}: {}", reason(&error)));
            None
        }
    }
}
