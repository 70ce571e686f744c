//! The manuals, the table of what is served and the completions, all made from the rows and option tables the programs
//! themselves read. The files under `man/` and `completions/` and a part of README are what this renders, and a test holds
//! them to it.

use super::cli::command;
use crate::conf::directive::{Arity, Contexts, Directive, Opens, Support};
use crate::conf::effect::Omission;
use crate::conf::module::Module;
use crate::keepalived;
use crate::nginx;
use clap::{Arg, ArgAction, Command, ValueHint};
use clap_complete::Shell;
use std::collections::BTreeMap;
use std::fmt::Write as _;

/// The release the pages speak of.
const VERSION: &str = env!("CARGO_PKG_VERSION");

/// The files that are rendered, with what belongs in them, by their path in the repository.
pub fn files() -> Vec<(String, String)> {
    let mut files = vec![
        ("man/rnginx.8".to_owned(), daemon_page(&rnginx())),
        ("man/rkeepalived.8".to_owned(), daemon_page(&rkeepalived())),
        ("man/rmigrate.1".to_owned(), tool_page()),
        ("man/rha-switch.7".to_owned(), switch_page()),
        ("man/rnginx.conf.5".to_owned(), nginx_rows().page()),
        ("man/rkeepalived.conf.5".to_owned(), keepalived_rows().page()),
    ];
    files.extend(subcommand_pages());
    for (shell, ending) in [(Shell::Bash, "bash"), (Shell::Zsh, "zsh"), (Shell::Fish, "fish")] {
        for mut command in [completed(&rnginx()), completed(&rkeepalived()), command()] {
            let name = command.get_name().to_owned();
            let mut text = Vec::new();
            clap_complete::generate(shell, &mut command, &name, &mut text);
            files.push((format!("completions/{name}.{ending}"), String::from_utf8_lossy(&text).into_owned()));
        }
    }
    files
}

/// rha-switch(7): the way from nginx and keepalived to this package and back.
fn switch_page() -> String {
    let mut out = heading("rha-switch", 7);
    let _ = writeln!(out, ".SH NAME\nrha\\-switch \\- from nginx and keepalived to rnginx and rkeepalived, and back");
    for (title, steps) in super::switch::CHAPTERS {
        let _ = writeln!(out, ".SH {title}");
        for (text, commands) in *steps {
            let _ = writeln!(out, ".PP\n{}", roff(text));
            if !commands.is_empty() {
                let _ = writeln!(out, ".PP\n.RS\n.nf\n{}\n.fi\n.RE", roff(commands));
            }
        }
    }
    let _ = writeln!(
        out,
        ".SH SEE ALSO\n{}",
        roff("rnginx(8), rkeepalived(8), rmigrate(1), rnginx.conf(5), rkeepalived.conf(5)")
    );
    out
}

/// SUPPORT.md: every directive and keyword by how it is served.
pub fn support_page() -> String {
    let mut out = String::from(
        "# What is served\n\nMade from the registry. Known and checked is everything; a start with something that is not served \
         and has an effect in the file is refused by name, unless `--allow-unserved` is given.\n",
    );
    for book in [nginx_rows(), keepalived_rows()] {
        let _ = writeln!(out, "\n## {}s of {}\n", capital(book.row), book.name);
        for (chapter, rows) in &book.chapters {
            let _ = writeln!(out, "### {chapter}\n");
            for row in rows {
                let _ = writeln!(out, "- `{}`: {}", row.name, book.served(row));
            }
            out.push('\n');
        }
    }
    format!("{}\n", out.trim_end())
}

/// README's table: how many directives and keywords are served how.
pub fn support_counts() -> String {
    let mut out = String::from(
        "| | all | served | with a named difference | without effect | checked, not served | refused for good |\n|---|---|---|---|---|---|---|\n",
    );
    for book in [nginx_rows(), keepalived_rows()] {
        let mut counts = [0; 6];
        for row in book.chapters.iter().flat_map(|(_, rows)| rows) {
            let at = match (row.support, row.omission) {
                (Support::Full, _) => 1,
                (Support::Partial(_) | Support::Parts(_), _) => 2,
                (Support::Inert(_), _) | (Support::Missing, Omission::Tunes(_)) => 3,
                (Support::Missing, _) => 4,
                (Support::Refused(_), _) => 5,
            };
            for index in [0, at] {
                if let Some(count) = counts.get_mut(index) {
                    *count += 1;
                }
            }
        }
        let [all, full, partial, inert, missing, refused] = counts;
        let _ = writeln!(
            out,
            "| {}s of {} | {all} | {full} | {partial} | {inert} | {missing} | {refused} |",
            book.row, book.name
        );
    }
    out
}

/// Rows without a paragraph that ends in a full stop.
pub fn undocumented() -> Vec<String> {
    let books = [nginx_rows(), keepalived_rows()];
    let rows = books
        .iter()
        .flat_map(|book| book.chapters.iter().flat_map(|(name, rows)| rows.iter().map(move |row| (name, row))));
    let bad = rows.filter(|(_, row)| !row.doc.ends_with('.') || row.doc.contains('\n'));
    bad.map(|(chapter, row)| format!("{chapter}: {}", row.name)).collect()
}

fn capital(word: &str) -> String {
    let mut letters = word.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}

/// An option: letter, long name, what its argument is called, help.
#[derive(Clone, Copy)]
struct Choice {
    short: Option<char>,
    long: Option<&'static str>,
    value: Option<&'static str>,
    help: &'static str,
}

impl Choice {
    /// As an operator writes it.
    fn names(&self) -> Vec<String> {
        let short = self.short.map(|letter| format!("-{letter}"));
        short.into_iter().chain(self.long.map(|name| format!("--{name}"))).collect()
    }
}

/// A program with options read as the original reads them.
struct Daemon {
    name: &'static str,
    title: &'static str,
    synopsis: String,
    description: &'static str,
    options: Vec<Choice>,
    signals: &'static [(&'static str, &'static str)],
    codes: &'static [(&'static str, &'static str)],
    see: &'static str,
}

fn rnginx() -> Daemon {
    Daemon {
        name: "rnginx",
        title: "runs nginx.conf files",
        synopsis: "[-?hvVtTq] [-s signal] [-p prefix] [-e filename] [-c filename] [-g directives] [--allow-unserved] [--explain] [--json] [--help] [--version]".to_owned(),
        description: "rnginx is an http, reverse proxy and TCP proxy server that runs existing nginx configurations unchanged, \
with nginx's command line, signals, log lines and messages. One unprivileged worker process runs as many event loops as \
worker_processes asks for; a reload is built beside the running configuration inside that worker, so that no connection is cut \
and a broken file changes nothing. With NOTIFY_SOCKET in its environment it tells the service manager when it serves, reloads and stops, as sd_notify(3) describes, and with WATCHDOG_USEC that it is alive. Directives that are known and not served yet are refused by name at a start and by -t where the file gives them an effect; with --allow-unserved they are left out, and what they protect stays closed.",
        options: nginx::options().map(choice).collect(),
        signals: &[
            ("TERM, INT", "End at once."),
            ("QUIT", "Accept no more, and end when all connections are done."),
            ("HUP", "Read the configuration again and go over to it, or keep the old one and log why."),
            ("USR1", "Open the log files anew."),
            ("USR2", "Start a new program beside this one, with the same sockets."),
            ("WINCH", "End the worker and stay."),
        ],
        codes: &[("0", "All went well."), ("1", "The configuration or the command line is wrong, or the start or signal failed.")],
        see: "rnginx.conf(5), rmigrate(1), rha-switch(7)",
    }
}

fn rkeepalived() -> Daemon {
    Daemon {
        name: "rkeepalived",
        title: "runs keepalived.conf files",
        synopsis: "[options] | status | watch | explain INSTANCE | plan [-f FILE]".to_owned(),
        description: "rkeepalived keeps virtual addresses on one of several hosts with VRRP, as existing keepalived configurations \
ask for, and speaks with real keepalived. A parent process keeps one child, the router, and starts it again should it end. \
With NOTIFY_SOCKET in its environment the parent tells the service manager when the router runs, reloads and stops, as \
sd_notify(3) describes, and with WATCHDOG_USEC that it is alive; scripts do not get these variables. Where systemd's journal \
hears /dev/log, a line about an instance has its name in the field VRRP_INSTANCE (journalctl VRRP_INSTANCE=VI_1). Keywords that are known and not served yet are refused by name at a start.

The parent also answers at a control socket, which only its owner can use: beside the pid file, /run/keepalived.sock unless \
another pid file or socket is given. No query reaches the router. status shows every instance, group and script; watch shows each \
change from now on; explain shows how the priority of an instance comes about and what keeps it from being master; plan shows \
what a reload with FILE would change. Each takes --socket PATH and --json. The socket speaks HTTP (/status, /watch, \
/configuration, which has digests in the place of passwords, /metrics).",
        options: keepalived::options().map(choice).collect(),
        signals: &[
            ("TERM, INT", "Give the addresses up and end."),
            (
                "HUP",
                "Read the configuration again; what did not change goes on undisturbed, and a broken file changes nothing.",
            ),
            ("USR1", "Write the state to /tmp/keepalived.data."),
            ("USR2", "Write the counters to /tmp/keepalived.stats."),
        ],
        codes: &[
            ("0", "All went well."),
            ("1", "The command line is wrong or the start failed."),
            ("3", "The configuration cannot be run."),
            ("4", "-t: the configuration has mistakes."),
            ("5", "-t: scripts would run insecurely."),
        ],
        see: "rkeepalived.conf(5), rmigrate(1), rha-switch(7)",
    }
}

fn choice(
    (short, long, value, help): (Option<char>, Option<&'static str>, Option<&'static str>, &'static str),
) -> Choice {
    Choice { short, long, value, help }
}

/// Text that roff leaves alone.
fn roff(text: &str) -> String {
    let text = text.replace('\\', "\\e").replace('-', "\\-");
    let lines =
        text.lines().map(|line| if line.starts_with(['.', '\'']) { format!("\\&{line}") } else { line.to_owned() });
    lines.collect::<Vec<_>>().join("\n")
}

fn heading(name: &str, section: u8) -> String {
    format!(".TH {} {section} \"\" \"rha {VERSION}\"\n", name.to_uppercase())
}

fn daemon_page(daemon: &Daemon) -> String {
    let mut out = heading(daemon.name, 8);
    let _ = writeln!(out, ".SH NAME\n{} \\- {}", daemon.name, roff(daemon.title));
    let _ = writeln!(out, ".SH SYNOPSIS\n.B {}\n{}", daemon.name, roff(&daemon.synopsis));
    let _ = writeln!(out, ".SH DESCRIPTION\n{}", roff(daemon.description));
    out.push_str(".SH OPTIONS\n");
    for choice in &daemon.options {
        let names = choice.names().join(", ");
        let value = choice.value.map_or_else(String::new, |value| format!(" {value}"));
        let _ = writeln!(out, ".TP\n.B {}\n{}", roff(&format!("{names}{value}")), roff(choice.help));
    }
    for (title, rows) in [("SIGNALS", daemon.signals), ("EXIT STATUS", daemon.codes)] {
        let _ = writeln!(out, ".SH {title}");
        for (name, text) in rows {
            let _ = writeln!(out, ".TP\n.B {}\n{}", roff(name), roff(text));
        }
    }
    let _ = writeln!(out, ".SH DATA\n{}\n.PP\n.nf\n{}\n.fi", roff(DATA), roff(FORM));
    let _ = writeln!(out, ".SH SEE ALSO\n{}", roff(daemon.see));
    out
}

/// What `--json` prints, in words.
const DATA: &str = "With --json standard output holds one object; fixtures/schema/test.schema.json in \
the sources is its JSON Schema. format is 1 as long as a program that reads it need not change. verdict is ok or failed. severity is emerg, crit, alert, \
error, warn or notice. The file and line of a diagnostic are those its line names without --json; span is the place --explain \
underlines, with lines and columns from 1, columns in bytes, and its end behind the last byte. What the original names no place \
for has null there; help may be null. code tells what a diagnostic is about and stays the same from version to version: value, \
conflict, syntax, unknown-directive, misplaced-directive, unknown-variable, expression, file, unknown-host, not-served, brace, \
quote, arguments, duplicate, block-name, user, interface. With --sarif the same diagnostics are a log of SARIF 2.1.0 whose rules \
are these codes.";

/// What `--json` prints, by example.
const FORM: &str = r#"{ "format": 1, "program": "...", "version": "...", "file": "...", "verdict": "failed",
  "diagnostics": [ {
    "severity": "emerg", "code": "value", "message": "...", "file": "...", "line": 3,
    "span": { "file": "...", "line": 3, "column": 5, "end_line": 3, "end_column": 9 },
    "labels": [ { "message": "first defined here", "span": { } } ],
    "notes": [ "..." ], "help": "..." } ] }"#;

/// A program's options as the completion generators want them.
fn completed(daemon: &Daemon) -> Command {
    let mut command = Command::new(daemon.name).about(daemon.title).disable_help_flag(true).disable_version_flag(true);
    for choice in &daemon.options {
        let id = choice.long.map_or_else(|| choice.short.map(String::from).unwrap_or_default(), str::to_owned);
        let mut arg = Arg::new(id).help(choice.help);
        if let Some(short) = choice.short {
            arg = arg.short(short);
        }
        if let Some(long) = choice.long {
            arg = arg.long(long);
        }
        arg = match choice.value {
            // nginx's signals are the one closed set of words.
            Some("signal") => arg.action(ArgAction::Set).value_parser(["stop", "quit", "reopen", "reload"]),
            Some(value) => arg.action(ArgAction::Set).value_name(value).value_hint(ValueHint::AnyPath),
            None => arg.action(ArgAction::SetTrue),
        };
        command = command.arg(arg);
    }
    command
}

fn tool_page() -> String {
    let mut command = command();
    command.build();
    let mut text = Vec::new();
    let man = clap_mangen::Man::new(command.clone()).date("").source(format!("rha {VERSION}")).manual("");
    let _ = man.render(&mut text);
    for sub in command.get_subcommands().filter(|sub| !sub.is_hide_set() && sub.get_name() != "help") {
        let name = format!("rmigrate {}", sub.get_name());
        let _ = writeln_bytes(&mut text, &format!(".SH {}", name.to_uppercase()));
        let about = sub.get_long_about().or_else(|| sub.get_about()).map(ToString::to_string).unwrap_or_default();
        let _ = writeln_bytes(&mut text, &roff(&about));
        for arg in
            sub.get_arguments().filter(|arg| !arg.is_hide_set() && !arg.is_global_set() && arg.get_id() != "help")
        {
            let shown = arg.to_string();
            let help = arg.get_long_help().or_else(|| arg.get_help()).map(ToString::to_string).unwrap_or_default();
            let _ = writeln_bytes(&mut text, &format!(".TP\n.B {}\n{}", roff(&shown), roff(&help)));
        }
    }
    let _ = writeln_bytes(&mut text, &format!(".SH SEE ALSO\n{}", roff("rnginx(8), rkeepalived(8)")));
    String::from_utf8_lossy(&text).into_owned()
}

/// rmigrate-survey(1) and its like: one page a subcommand.
fn subcommand_pages() -> Vec<(String, String)> {
    let mut command = command();
    command.build();
    let shown = command.get_subcommands().filter(|sub| !sub.is_hide_set() && sub.get_name() != "help");
    let page = |sub: &Command| {
        let name = format!("rmigrate-{}", sub.get_name());
        let sub = sub.clone().name(name.clone()).bin_name(format!("rmigrate {}", sub.get_name()));
        let man = clap_mangen::Man::new(sub).date("").source(format!("rha {VERSION}")).manual("");
        let mut text = Vec::new();
        let _ = man.render(&mut text);
        let _ = writeln_bytes(&mut text, &format!(".SH EXIT STATUS\n{}", roff(EXIT)));
        let examples = EXAMPLES.iter().filter(|(of, ..)| format!("rmigrate-{of}") == name);
        for (number, (_, what, line)) in examples.enumerate() {
            let head = if number == 0 { ".SH EXAMPLES\n" } else { "" };
            let _ = writeln_bytes(
                &mut text,
                &format!("{head}.PP\n{}\n.PP\n.RS\n.nf\n{}\n.fi\n.RE", roff(what), roff(line)),
            );
        }
        let _ = writeln_bytes(&mut text, &format!(".SH SEE ALSO\n{}", roff("rmigrate(1), rnginx(8), rkeepalived(8)")));
        (format!("man/{name}.1"), String::from_utf8_lossy(&text).into_owned())
    };
    shown.map(page).collect()
}

/// What the exit code of every subcommand says.
const EXIT: &str =
    "0: nothing to say. 1: something was found. 2: the command line is wrong, or an input cannot be read.";

/// Subcommand, what is wanted, the command line.
const EXAMPLES: &[(&str, &str, &str)] = &[
    (
        "survey",
        "What of the files of this machine is served:",
        "rmigrate survey /etc/nginx/nginx.conf /etc/keepalived/keepalived.conf",
    ),
    (
        "survey",
        "The same for files that were copied from another machine:",
        "rmigrate --root ./copy survey /etc/nginx/nginx.conf",
    ),
    ("diff", "What a change means, and its lines:", "rmigrate diff --text nginx.conf.old nginx.conf"),
    (
        "diff",
        "What two nodes of a pair should not have different:",
        "rmigrate diff --nodes a/keepalived.conf b/keepalived.conf",
    ),
    (
        "explain",
        "Which server, location and peer a request meets:",
        "rmigrate explain https://shop.example/cart -c nginx.conf --from 192.0.2.7",
    ),
    (
        "explain",
        "Who is master when what fails, as a page with a timeline:",
        "rmigrate --format html -o pair.html explain --vrrp a/keepalived.conf b/keepalived.conf",
    ),
    (
        "lint",
        "Mistakes of a pair of nodes:",
        "rmigrate lint --node a=a/nginx.conf,a/keepalived.conf --node b=b/nginx.conf,b/keepalived.conf",
    ),
    (
        "lint",
        "The same for a forge that shows them beside the lines of a change:",
        "rmigrate --format sarif -o lint.sarif lint nginx.conf",
    ),
    (
        "probe",
        "Whether yesterday's requests would be answered the same:",
        "rmigrate probe /etc/nginx/nginx.conf --log /var/log/nginx/access.log.1",
    ),
];

fn writeln_bytes(out: &mut Vec<u8>, text: &str) -> std::io::Result<()> {
    use std::io::Write as _;
    writeln!(out, "{text}")
}

/// The rows of a configuration language, chapter by chapter.
struct Book {
    name: &'static str,
    title: &'static str,
    introduction: &'static str,
    /// What a row is called.
    row: &'static str,
    places: &'static [(Contexts, &'static str)],
    chapters: Vec<(String, Vec<&'static Directive>)>,
    see: &'static str,
}

fn nginx_rows() -> Book {
    let mut chapters: Vec<(String, Vec<&'static Directive>)> = Vec::new();
    for module in nginx::modules::modules() {
        gather(&mut chapters, &module, module.name);
    }
    Book {
        name: "rnginx.conf",
        title: "what rnginx reads",
        introduction: "A configuration is made of directives: words that end in a semicolon or a block in braces. Every directive \
of nginx 1.23.4 is known here with the places it may stand in, and its arguments are checked as nginx checks them; what is not \
served yet says so.",
        row: "directive",
        places: crate::session::contexts::PLACES,
        chapters,
        see: "rnginx(8), rmigrate(1)",
    }
}

fn keepalived_rows() -> Book {
    let mut rows: BTreeMap<u64, Vec<&'static Directive>> = BTreeMap::new();
    for row in keepalived::rows() {
        rows.entry(1 << row.contexts.0.trailing_zeros()).or_default().push(row);
    }
    let chapters =
        keepalived::PLACES.iter().filter_map(|(place, name)| Some(((*name).to_owned(), rows.remove(&place.0)?)));
    Book {
        name: "rkeepalived.conf",
        title: "what rkeepalived reads",
        introduction: "A configuration is made of keywords, one on a line, and of blocks in braces. Every keyword of keepalived \
2.1.5, and those later ones that files in the wild use, is known here with the block it belongs to, and its arguments are checked \
as keepalived checks them; what is not served yet says so.",
        row: "keyword",
        places: keepalived::PLACES,
        chapters: chapters.collect(),
        see: "rkeepalived(8), rmigrate(1)",
    }
}

/// Puts a module's rows into its chapter.
fn gather(chapters: &mut Vec<(String, Vec<&'static Directive>)>, module: &Module, name: &str) {
    let at = match chapters.iter().position(|(chapter, _)| chapter == name) {
        Some(at) => at,
        None => {
            chapters.push((name.to_owned(), Vec::new()));
            chapters.len() - 1
        }
    };
    if let Some((_, rows)) = chapters.get_mut(at) {
        rows.extend(module.directives);
    }
}

impl Book {
    fn page(&self) -> String {
        let mut out = heading(self.name, 5);
        let _ = writeln!(out, ".SH NAME\n{} \\- {}", self.name, roff(self.title));
        let _ = writeln!(out, ".SH DESCRIPTION\n{}", roff(self.introduction));
        for (chapter, rows) in &self.chapters {
            if rows.is_empty() {
                continue;
            }
            let _ = writeln!(out, ".SH {}", roff(chapter));
            for row in rows {
                self.entry(&mut out, row);
            }
        }
        let _ = writeln!(out, ".SH SEE ALSO\n{}", roff(self.see));
        out
    }

    fn entry(&self, out: &mut String, row: &Directive) {
        let _ = writeln!(out, ".SS {}", roff(row.name));
        if !row.doc.is_empty() {
            let _ = writeln!(out, "{}", roff(row.doc));
        }
        let mut facts = vec![("Arguments", arguments(row.arity)), ("Context", self.places(row.contexts))];
        facts.extend(row.default.or(row.implied).map(|text| ("Default", text.to_owned())));
        facts.extend(Some(row.since).filter(|since| !since.is_empty()).map(|since| ("Since", since.to_owned())));
        facts.push(("Served", self.served(row)));
        for (name, text) in facts {
            let _ = writeln!(out, ".br\n{name}: {}", roff(&text));
        }
    }

    fn served(&self, row: &Directive) -> String {
        match (row.support, row.omission) {
            (Support::Full, _) => "yes".to_owned(),
            (Support::Partial(how) | Support::Parts(how), _) => format!("with a difference: {how}"),
            (Support::Inert(why), _) | (Support::Missing, Omission::Tunes(why)) => format!("without effect: {why}"),
            (Support::Refused(why), _) => format!("never: {why}; refused at a start where it has an effect"),
            (Support::Missing, _) => {
                format!("not yet; the {} is checked, and refused at a start where it has an effect", self.row)
            }
        }
    }

    fn places(&self, contexts: Contexts) -> String {
        let names = self.places.iter().filter(|(place, _)| place.meets(contexts)).map(|(_, name)| *name);
        names.collect::<Vec<_>>().join(", ")
    }
}

/// What a row's arity says, in words.
fn arguments(arity: Arity) -> String {
    let count = |from: u8, to: u8| match (from, to) {
        (0, 0) => "none".to_owned(),
        (from, to) if from == to => from.to_string(),
        (from, to) => format!("{from} to {to}"),
    };
    let block = |opens: Opens| match opens {
        Opens::Context(_) => ", and a block",
        Opens::Rows => ", and a block of rows",
    };
    match arity {
        Arity::Flag => "on or off".to_owned(),
        Arity::Exactly(number) => count(number, number),
        Arity::Between(from, to) => count(from, to),
        Arity::AtLeast(from) => format!("{from} or more"),
        Arity::OneOf(bits) => {
            let counts = (0..8).filter(|number| bits & (1 << number) != 0).map(|number: u8| number.to_string());
            counts.collect::<Vec<_>>().join(" or ")
        }
        Arity::Block(from, to, opens) => format!("{}{}", count(from, to), block(opens)),
        Arity::BlockAtLeast(from, opens) => format!("{from} or more{}", block(opens)),
        Arity::MaybeBlock(from, to, opens) => format!("{}{}, which may be left out", count(from, to), block(opens)),
    }
}
