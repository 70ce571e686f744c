//! The command line, as getopt_long(3) reads it.

use crate::conf::print::Format;
use std::net::SocketAddr;

/// What the command line asks for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "each is an option of its own")]
pub struct Options {
    /// `-f`.
    pub file: Option<String>,
    /// `-n`.
    pub foreground: bool,
    /// `-l`.
    pub console: bool,
    /// `-D`.
    pub detail: bool,
    /// `-S`.
    pub facility: Option<u8>,
    /// `-G`.
    pub no_syslog: bool,
    /// `-d`.
    pub dump: bool,
    /// `-V`.
    pub keep_addresses: bool,
    /// `-B` was not given.
    pub bfd: bool,
    /// `-b`.
    pub bfd_pid: Option<String>,
    /// `-R`.
    pub no_respawn: bool,
    /// `-a`.
    pub watch_addresses: bool,
    /// `-p`.
    pub pid: Option<String>,
    /// `-r`.
    pub vrrp_pid: Option<String>,
    /// `-i`.
    pub id: Option<String>,
    /// `-s`.
    pub namespace: Option<String>,
    /// `-t`, with the file its lines go to.
    pub test: Option<Option<String>>,
    /// `-u`.
    pub umask: Option<u32>,
    /// `-m`.
    pub core: bool,
    /// `-C` was not given.
    pub vrrp: bool,
    /// `-P` was not given.
    pub checkers: bool,
    /// `-c`.
    pub checkers_pid: Option<String>,
    /// `--all`.
    pub all: bool,
    /// `-I`.
    pub keep_servers: bool,
    /// `--simulate-ipvs`.
    pub simulate_ipvs: bool,
    /// `--allow-unserved`.
    pub allow_unserved: bool,
    /// `--fault-on-disabled-script`.
    pub fault_on_disabled_script: bool,
    /// `--read-processes`.
    pub read_processes: bool,
    /// `--detect-conflicts`.
    pub detect_conflicts: bool,
    /// `--explain-start`.
    pub explain_start: bool,
    /// `--control-socket`.
    pub control_socket: Option<String>,
    /// `--no-control-socket`.
    pub no_control_socket: bool,
    /// `--metrics-address`.
    pub metrics: Option<SocketAddr>,
    /// `--explain` or `--json`, which are tests.
    pub form: Form,
    /// `--record`.
    pub record: Option<String>,
    /// Words that belong to no option.
    pub stray: Vec<String>,
}

/// How a test shows complaints.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Form {
    /// keepalived's lines.
    #[default]
    Lines,
    /// Pictures of the places.
    Pictures,
    /// Data.
    Data(Format),
}

/// What is to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wish {
    /// Run, or test the configuration.
    Run(Box<Options>),
    /// `-v`.
    Version,
    /// `-h`.
    Help,
    /// `--signum`.
    Signal(String),
    /// Something is wrong; usage follows.
    Usage(String),
}

/// Whether an option takes an argument.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Takes {
    Nothing,
    Argument,
    /// Only when attached: `-tFILE`, `--config-test=FILE`.
    Attached,
}

use Takes::{Argument, Attached, Nothing};

/// Short letter (or a number above ASCII), long name, argument, help.
const TABLE: &[(char, &str, Takes, &str)] = &[
    ('f', "use-file", Argument, "Use the specified configuration file"),
    ('P', "vrrp", Nothing, "Only run with VRRP subsystem"),
    ('C', "check", Nothing, "Only run with Health-checker subsystem"),
    ('B', "no_bfd", Nothing, "Don't run BFD subsystem"),
    ('\u{100}', "all", Nothing, "Force all child processes to run, even if have no configuration"),
    ('l', "log-console", Nothing, "Log messages to local console"),
    ('D', "log-detail", Nothing, "Detailed log messages"),
    ('S', "log-facility", Argument, "Set syslog facility to LOG_LOCAL[0-7]"),
    ('g', "log-file", Attached, "Also log to FILE (default /tmp/keepalived.log)"),
    ('\u{101}', "flush-log-file", Nothing, "Flush log file on write"),
    ('G', "no-syslog", Nothing, "Don't log via syslog"),
    ('u', "umask", Argument, "umask for file creation (in numeric form)"),
    ('X', "release-vips", Nothing, "Drop VIP on transition from signal."),
    ('V', "dont-release-vrrp", Nothing, "Don't remove VRRP VIPs and VROUTEs on daemon stop"),
    ('I', "dont-release-ipvs", Nothing, "Don't remove IPVS topology on daemon stop"),
    ('R', "dont-respawn", Nothing, "Don't respawn child processes"),
    ('n', "dont-fork", Nothing, "Don't fork the daemon process"),
    ('d', "dump-conf", Nothing, "Dump the configuration data"),
    ('p', "pid", Argument, "Use specified pidfile for parent process"),
    ('r', "vrrp_pid", Argument, "Use specified pidfile for VRRP child process"),
    ('c', "checkers_pid", Argument, "Use specified pidfile for checkers child process"),
    ('b', "bfd_pid", Argument, "Use specified pidfile for BFD child process"),
    ('a', "address-monitoring", Nothing, "Report all address additions/deletions notified via netlink"),
    ('s', "namespace", Argument, "Run in network namespace NAME (overrides config)"),
    ('m', "core-dump", Nothing, "Produce core dump if terminate abnormally"),
    ('M', "core-dump-pattern", Attached, "Also set /proc/sys/kernel/core_pattern to PATN (default 'core')"),
    ('i', "config-id", Argument, "Skip any configuration lines beginning '@' that don't match ID"),
    ('\u{102}', "signum", Argument, "Return signal number for STOP, RELOAD, DATA, STATS, STATS_CLEAR, JSON"),
    ('t', "config-test", Attached, "Check the configuration for obvious errors, output to stderr by default"),
    ('\u{103}', "record", Argument, "Write events and actions of the virtual routers to FILE"),
    ('\u{104}', "allow-unserved", Nothing, "Start although some keywords are known and not served"),
    ('\u{107}', "fault-on-disabled-script", Nothing, "A tracked script that may not be run counts as failed"),
    (
        '\u{108}',
        "read-processes",
        Nothing,
        "Read the list of processes each second where the kernel does not report them",
    ),
    (
        '\u{10d}',
        "detect-conflicts",
        Nothing,
        "Report other hosts that hold the addresses of a master, found in adverts, ARP packets and neighbour advertisements",
    ),
    ('\u{10e}', "explain-start", Nothing, "Log at the start what keeps each instance from being master"),
    (
        '\u{10f}',
        "simulate-ipvs",
        Nothing,
        "Keep virtual servers in memory, check their real servers, and program no kernel",
    ),
    ('\u{10a}', "control-socket", Argument, "Answer `rkeepalived status` at this socket, not beside the pid file"),
    ('\u{10b}', "no-control-socket", Nothing, "Answer at no socket"),
    ('\u{10c}', "metrics-address", Argument, "Tell Prometheus the numbers at this IP:PORT"),
    ('\u{105}', "explain", Nothing, "Check the configuration and show the places of its errors"),
    ('\u{106}', "json", Nothing, "Check the configuration and print its errors as JSON"),
    ('\u{109}', "sarif", Nothing, "Check the configuration and print its errors as SARIF"),
    ('v', "version", Nothing, "Display the version number"),
    ('h', "help", Nothing, "Display this help message"),
];

/// The options: letter, long name, what the argument is called, help.
pub fn all() -> impl Iterator<Item = (Option<char>, Option<&'static str>, Option<&'static str>, &'static str)> {
    TABLE.iter().map(|(short, long, takes, help)| {
        let value = (*takes != Nothing).then_some("VALUE");
        (Some(*short).filter(char::is_ascii), Some(*long), value, *help)
    })
}

/// Reads the arguments behind the program's name.
pub fn parse(arguments: &[String]) -> Wish {
    let mut options = Options { vrrp: true, checkers: true, bfd: true, ..Options::default() };
    let mut rest = arguments.iter();
    while let Some(word) = rest.next() {
        if word == "--" {
            options.stray.extend(rest.cloned());
            break;
        }
        let outcome = if let Some(long) = word.strip_prefix("--") {
            let (name, value) =
                long.split_once('=').map_or((long, None), |(name, value)| (name, Some(value.to_owned())));
            match find(name) {
                Some((letter, takes)) => one(&mut options, (letter, takes, word), value, &mut rest),
                None => Err(Wish::Usage(format!("Unknown option --{name}"))),
            }
        } else if let Some(letters) = word.strip_prefix('-').filter(|letters| !letters.is_empty()) {
            cluster(&mut options, letters, &mut rest)
        } else {
            options.stray.push(word.clone());
            Ok(())
        };
        if let Err(wish) = outcome {
            return wish;
        }
    }
    Wish::Run(Box::new(options))
}

/// A long name, or the beginning of exactly one.
fn find(name: &str) -> Option<(char, Takes)> {
    let exact = TABLE.iter().find(|(_, long, ..)| *long == name);
    let mut near = TABLE.iter().filter(|(_, long, ..)| long.starts_with(name));
    let row = exact.or_else(|| near.next().filter(|_| near.next().is_none()))?;
    Some((row.0, row.2))
}

fn cluster(options: &mut Options, letters: &str, rest: &mut std::slice::Iter<'_, String>) -> Result<(), Wish> {
    for (at, letter) in letters.char_indices() {
        let row = TABLE.iter().find(|(short, ..)| *short == letter && letter.is_ascii());
        let Some(&(_, _, takes, _)) = row else { return Err(Wish::Usage(format!("Unknown option -{letter}"))) };
        let attached = letters.get(at + letter.len_utf8()..).filter(|text| !text.is_empty() && takes != Nothing);
        one(options, (letter, takes, &format!("-{letter}")), attached.map(str::to_owned), rest)?;
        if attached.is_some() {
            break;
        }
    }
    Ok(())
}

fn one(
    options: &mut Options,
    (letter, takes, shown): (char, Takes, &str),
    attached: Option<String>,
    rest: &mut std::slice::Iter<'_, String>,
) -> Result<(), Wish> {
    let value = match (takes, attached) {
        (Nothing, Some(_)) => return Err(Wish::Usage(format!("option '{shown}' doesn't allow an argument"))),
        (Argument, None) => match rest.next() {
            Some(next) => Some(next.clone()),
            None => return Err(Wish::Usage(format!("option '{shown}' requires an argument"))),
        },
        (_, attached) => attached,
    };
    let wrong = |what: &str| Wish::Usage(format!("Invalid {what} '{}'", value.as_deref().unwrap_or_default()));
    match letter {
        'f' => options.file = value,
        'n' => options.foreground = true,
        'l' => options.console = true,
        'D' => options.detail = true,
        'S' => {
            let local = value.as_deref().and_then(|text| text.parse::<u8>().ok()).filter(|local| *local < 8);
            options.facility = Some(16 + local.ok_or_else(|| wrong("log facility"))?);
        }
        'G' => options.no_syslog = true,
        'd' => options.dump = true,
        'V' => options.keep_addresses = true,
        'R' => options.no_respawn = true,
        'a' => options.watch_addresses = true,
        'p' => options.pid = value,
        'r' => options.vrrp_pid = value,
        'i' => options.id = value,
        's' => options.namespace = value,
        't' => options.test = Some(value),
        'u' => {
            let mask = value.as_deref().and_then(|text| u32::from_str_radix(text, 8).ok());
            options.umask = Some(mask.filter(|mask| *mask <= 0o777).ok_or_else(|| wrong("umask"))?);
        }
        'm' => options.core = true,
        'B' => options.bfd = false,
        'b' => options.bfd_pid = value,
        'C' => options.vrrp = false,
        'P' => options.checkers = false,
        'c' => options.checkers_pid = value,
        '\u{100}' => {
            options.all = true;
            (options.vrrp, options.checkers, options.bfd) = (true, true, true);
        }
        '\u{102}' => return Err(Wish::Signal(value.unwrap_or_default())),
        '\u{103}' => options.record = value,
        '\u{104}' => options.allow_unserved = true,
        '\u{107}' => options.fault_on_disabled_script = true,
        '\u{108}' => options.read_processes = true,
        '\u{10d}' => options.detect_conflicts = true,
        '\u{10e}' => options.explain_start = true,
        '\u{10f}' => options.simulate_ipvs = true,
        'I' => options.keep_servers = true,
        '\u{10a}' => options.control_socket = value,
        '\u{10b}' => options.no_control_socket = true,
        '\u{10c}' => {
            let address = value.as_deref().and_then(|text| text.parse().ok());
            options.metrics = Some(address.ok_or_else(|| wrong("metrics address"))?);
        }
        '\u{105}' => {
            options.form = Form::Pictures;
            options.test.get_or_insert_default();
        }
        '\u{106}' => {
            options.form = Form::Data(Format::Json);
            options.test.get_or_insert_default();
        }
        '\u{109}' => {
            options.form = Form::Data(Format::Sarif);
            options.test.get_or_insert_default();
        }
        'v' => return Err(Wish::Version),
        'h' => return Err(Wish::Help),
        // Accepted because what they speak of is not there: a log file, and releasing addresses is the rule.
        'X' | '\u{101}' => {}
        _ => return Err(Wish::Usage(format!("option '{shown}' is known but not supported yet"))),
    }
    Ok(())
}

/// The usage text.
pub fn usage(program: &str) -> String {
    let mut text = format!("Usage: {program} [OPTION...]\n");
    for (letter, long, takes, help) in TABLE {
        let short = if letter.is_ascii() { format!("-{letter}, ") } else { "    ".to_owned() };
        let argument = match takes {
            Nothing => "",
            Argument => "=ARG",
            Attached => "[=ARG]",
        };
        text.push_str(&format!("  {short}--{:<22} {help}\n", format!("{long}{argument}")));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wish(line: &str) -> Wish {
        parse(&line.split_whitespace().map(str::to_owned).collect::<Vec<_>>())
    }

    fn options(line: &str) -> Options {
        match wish(line) {
            Wish::Run(options) => *options,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn short_and_long_options_mean_the_same() {
        assert_eq!(options("-nlDf /a -p/b"), options("--dont-fork --log-console --log-detail --use-file=/a --pid /b"));
        assert_eq!(options("-t").test, Some(None));
        assert_eq!(options("-t/x").test, Some(Some("/x".to_owned())));
        assert_eq!(options("--config-test=/x").test, Some(Some("/x".to_owned())));
        assert_eq!(options("-S 3").facility, Some(19));
        assert_eq!(options("--metrics-address=[::1]:9100").metrics, "[::1]:9100".parse().ok());
        assert_eq!(options("a -n b").stray, ["a", "b"]);
        let parts = |line: &str| {
            let options = options(line);
            [options.vrrp, options.checkers, options.bfd, options.all]
        };
        assert_eq!(parts("-n"), [true, true, true, false]);
        assert_eq!(parts("-P -B"), [true, false, false, false]);
        assert_eq!(parts("-C -P"), [false, false, true, false]);
        assert_eq!(parts("-C -B --all"), [true, true, true, true]);
    }

    #[test]
    fn what_is_wrong_ends_in_usage() {
        for line in ["-Z", "--nothing", "-f", "-S 9", "-n --pid", "--metrics-address 9100", "--metrics-address host:1"]
        {
            assert!(matches!(wish(line), Wish::Usage(_)), "{line}");
        }
        assert_eq!(
            (wish("-v"), wish("--help"), wish("--signum=DATA")),
            (Wish::Version, Wish::Help, Wish::Signal("DATA".into()))
        );
    }
}
