//! The command line's options: nginx's letters, and the long words that are ours.

use super::layout::Layout;
use crate::conf::print::Format;
use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt as _;

/// What was asked for.
#[derive(Debug, Default)]
#[expect(clippy::struct_excessive_bools, reason = "each is an option of its own")]
pub struct Options {
    /// `-h`, `-?`.
    pub help: bool,
    /// `-v`, and what implies it.
    pub version: bool,
    /// `-V`.
    pub build: bool,
    /// `-t`, and what implies it.
    pub test: bool,
    /// `-T`.
    pub dump: bool,
    /// `-q`.
    pub quiet: bool,
    /// `-p`.
    pub prefix: Option<String>,
    /// `-c`.
    pub conf: Option<String>,
    /// `-e`.
    pub error_log: Option<String>,
    /// `-g`.
    pub parameters: String,
    /// `-s`.
    pub signal: Option<String>,
    /// `--allow-unserved`.
    pub allow_unserved: bool,
    /// `--explain`, `--json`.
    pub form: Form,
}

/// How complaints are shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Form {
    /// nginx's lines.
    #[default]
    Lines,
    /// `--explain`.
    Pictures,
    /// `--json` and `--sarif`.
    Data(Format),
}

/// The letters, what they take, and what they do, in the order of nginx's help.
const LETTERS: &[(&str, &str, &str)] = &[
    ("?,-h", "", "this help"),
    ("v", "", "show version and exit"),
    ("V", "", "show version and configure options then exit"),
    ("t", "", "test configuration and exit"),
    ("T", "", "test configuration, dump it and exit"),
    ("q", "", "suppress non-error messages during configuration testing"),
    ("s", "signal", "send signal to a master process: stop, quit, reopen, reload"),
    ("p", "prefix", "set prefix path"),
    ("e", "filename", "set error log file"),
    ("c", "filename", "set configuration file"),
    ("g", "directives", "set global directives out of configuration file"),
];

/// The words nginx does not have; its help stays as it is.
const WORDS: &[(&str, &str)] = &[
    (
        "allow-unserved",
        "start although some directives are not served; they are left out, and what they protect stays closed",
    ),
    ("explain", "test configuration and show every error with its place, what was there first, and what would help"),
    ("json", "test configuration and print every error as JSON on standard output"),
    ("sarif", "test configuration and print every error as SARIF on standard output"),
    ("help", "this help"),
    ("version", "show version and exit"),
];

/// nginx's help.
pub fn usage(layout: &Layout) -> String {
    let mut text = "Usage: nginx [-?hvVtTq] [-s signal] [-p prefix]\n             [-e filename] [-c filename] [-g directives]\n\nOptions:\n"
        .to_owned();
    for (letter, takes, does) in LETTERS {
        let option = format!("-{letter} {takes}");
        let default = match *letter {
            "p" => format!(" (default: {})", layout.prefix),
            "e" => format!(" (default: {})", layout.error_log),
            "c" => format!(" (default: {})", layout.conf),
            _ => String::new(),
        };
        text.push_str(&format!("  {option:<14}: {does}{default}\n"));
    }
    text.push('\n');
    text
}

/// Every option for the manual and the completions: letter, long name, what the argument is called, help.
pub fn all() -> impl Iterator<Item = (Option<char>, Option<&'static str>, Option<&'static str>, &'static str)> {
    let letters = LETTERS.iter().map(|(letter, takes, does)| {
        (letter.chars().last(), None, Some(*takes).filter(|takes| !takes.is_empty()), *does)
    });
    letters.chain(WORDS.iter().map(|(word, does)| (None, Some(*word), None, *does)))
}

/// Reads the arguments, the program's name first, as nginx reads them.
///
/// Differs from nginx: `--help` and `--version` mean what `-h` and `-v` mean. [test: long_help_and_version_are_known]
///
/// # Errors
/// nginx's words for what is wrong.
pub fn parse(arguments: &[OsString]) -> Result<Options, String> {
    let mut options = Options::default();
    let mut rest = arguments.iter().skip(1).map(|argument| crate::conf::bytes::text(argument.as_bytes()).into_owned());
    while let Some(argument) = rest.next() {
        match argument.as_str() {
            "--allow-unserved" => options.allow_unserved = true,
            "--explain" => (options.test, options.form) = (true, Form::Pictures),
            "--json" => (options.test, options.form) = (true, Form::Data(Format::Json)),
            "--sarif" => (options.test, options.form) = (true, Form::Data(Format::Sarif)),
            "--help" => (options.version, options.help) = (true, true),
            "--version" => options.version = true,
            _ => letters(&mut options, &argument, &mut rest)?,
        }
    }
    Ok(options)
}

/// Reads one word of letters, with the next word where a letter takes one.
fn letters(options: &mut Options, argument: &str, rest: &mut impl Iterator<Item = String>) -> Result<(), String> {
    let Some(letters) = argument.strip_prefix('-') else { return Err(format!("invalid option: \"{argument}\"")) };
    let mut letters = letters.chars();
    while let Some(letter) = letters.next() {
        match letter {
            '?' | 'h' => (options.version, options.help) = (true, true),
            'v' => options.version = true,
            'V' => (options.version, options.build) = (true, true),
            't' => options.test = true,
            'T' => (options.test, options.dump) = (true, true),
            'q' => options.quiet = true,
            'p' | 'e' | 'c' | 'g' | 's' => {
                let glued: String = letters.by_ref().collect();
                let value = if glued.is_empty() { rest.next() } else { Some(glued) };
                take(options, letter, value.filter(|value| !value.is_empty() || letter == 'g'))?;
            }
            other => return Err(format!("invalid option: \"{other}\"")),
        }
    }
    Ok(())
}
fn take(options: &mut Options, letter: char, value: Option<String>) -> Result<(), String> {
    let Some(value) = value else {
        let what = match letter {
            'p' => "directory name",
            'e' | 'c' => "file name",
            _ => "parameter",
        };
        return Err(format!("option \"-{letter}\" requires {what}"));
    };
    match letter {
        'p' => options.prefix = Some(value),
        'e' => options.error_log = Some(value),
        'c' => options.conf = Some(value),
        'g' => options.parameters = value,
        _ => {
            if !["stop", "quit", "reopen", "reload"].contains(&value.as_str()) {
                return Err(format!("invalid option: \"-s {value}\""));
            }
            options.signal = Some(value);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(line: &str) -> Result<Options, String> {
        parse(&std::iter::once("nginx").chain(line.split(' ')).map(OsString::from).collect::<Vec<_>>())
    }

    #[test]
    fn long_help_and_version_are_known() {
        let (help, version) = (read("--help").unwrap(), read("--version").unwrap());
        assert!(help.help && help.version && !version.help && version.version);
        assert_eq!(read("--helper").unwrap_err(), "invalid option: \"-\"");
        assert_eq!(read("-t --version").map(|options| (options.test, options.version)), Ok((true, true)));
    }
}
