//! The command line: nginx's options, texts and exit codes.

use super::bundle::{Recorder, SystemResolver};
use super::generation::{self, Generation, Inputs, Reading};
use super::layout::Layout;
use super::modules;
use super::open::{self, Listeners};
use super::options::{Form, Options, parse, usage};
use super::parent::{self, Parent};
use super::unserved::Judged;
use super::verdict;
use crate::conf::bytes;
use crate::conf::diagnostic::{Diagnostic, Severity};
use crate::conf::disk::Disk;
use crate::conf::print;
use crate::conf::source::Sources;
use crate::log::clock;
use crate::log::file::File;
use crate::log::{Level as LogLevel, Log, Sink};
use crate::run::service::ServiceManager;
use crate::run::terminal::takes_colours;
use crate::sys::process::{Side, Title, fork, silence};
use crate::zone::registry::Registry as Zones;
use hashbrown::HashSet;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::cell::RefCell;
use std::ffi::OsString;
use std::fs;
use std::io::{Read as _, Write as _};
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

/// What `-V` and the log say this is built by.
const BUILDER: &str = concat!("rustc (rnginx ", env!("CARGO_PKG_VERSION"), ")");

/// Runs the program with these arguments.
pub fn main(arguments: Vec<OsString>) -> ExitCode {
    let options = match parse(&arguments) {
        Ok(options) => options,
        Err(text) => return fail(&text),
    };
    let program = arguments.first().cloned().unwrap_or_default();
    let layout = Layout::of(Path::new(&program));
    if options.version {
        version(&options, &layout);
        if !options.test {
            return ExitCode::SUCCESS;
        }
    }
    let run = Run::new(options, &layout);
    run.go(arguments)
}

fn say(text: &str) {
    let _ = std::io::stderr().write_all(&bytes::raw(text));
}

fn fail(text: &str) -> ExitCode {
    say(&format!("nginx: {text}\n"));
    ExitCode::FAILURE
}

fn version(options: &Options, layout: &Layout) {
    say(&format!("nginx version: {}\n", crate::http::SERVER_BUILD));
    if options.help {
        say(&usage(layout));
    }
    if options.build {
        let prefix = layout.prefix.trim_end_matches('/');
        let arguments = modules::configured();
        say(&format!(
            "built by {BUILDER}\nTLS SNI support enabled\nconfigure arguments: --prefix={prefix}{arguments}\n"
        ));
    }
}

/// One run.
struct Run {
    options: Options,
    inputs: Inputs,
    /// The error log until the configuration's own is open.
    log: Log,
    /// What `--json` will print.
    data: RefCell<Vec<serde_json::Value>>,
    /// How bad what `--explain` showed was.
    shown: RefCell<Vec<Severity>>,
}

impl Run {
    fn new(options: Options, layout: &Layout) -> Self {
        let mut prefix = options.prefix.clone().unwrap_or_else(|| layout.prefix.clone());
        if !prefix.ends_with('/') {
            prefix.push('/');
        }
        let full = |path: &str| crate::conf::walk::full(&prefix, path);
        let conf = full(options.conf.as_deref().unwrap_or(&layout.conf));
        let error_log = match options.error_log.as_deref().unwrap_or(&layout.error_log) {
            "stderr" => "stderr".to_owned(),
            path => full(path),
        };
        let (pid, access_log) = (full(&layout.pid), full(&layout.access_log));
        let parameters = options.parameters.clone();
        let allow_unserved = options.allow_unserved;
        let inputs = Inputs {
            prefix,
            conf,
            parameters,
            error_log,
            pid,
            access_log,
            // With a prefix of its own, everything is below that.
            temp: layout.temp.clone().filter(|_| options.prefix.is_none()),
            allow_unserved,
            every: options.form != Form::Lines,
        };
        Self { options, inputs, log: Log::default(), data: RefCell::default(), shown: RefCell::default() }
    }

    /// Shows a complaint as nginx does while it has its standard error: there and in the log it has at that time.
    fn show(&self, severity: Severity, text: &str) {
        self.show_in(&self.log, severity, text);
    }

    fn show_in(&self, log: &Log, severity: Severity, text: &str) {
        if self.options.form != Form::Lines {
            return self.complain(&Diagnostic::new(severity, text), &Sources::default());
        }
        let level = open::level(severity);
        log.without_stderr().write(level, None, &bytes::raw(text));
        if log.on_stderr(level) {
            // Bytes that are no UTF-8 are shown as they are.
            let (stamp, pid) = (clock::error_stamp(), std::process::id());
            say(&format!("{stamp} [{}] {pid}#{pid}: {text}\n", level.word()));
        } else if level <= LogLevel::Warn {
            say(&format!("nginx: [{}] {text}\n", level.word()));
        }
    }

    /// Opens the error log that is compiled in or that `-e` names. Without it, lines go to standard error.
    fn open_log(&mut self) {
        let name = &self.inputs.error_log;
        let mut sink = Sink::Stderr;
        if name != "stderr" {
            let file = File::new(name, bytes::path(name), 0);
            match file.open() {
                Ok(()) => sink = Sink::File(Arc::new(file)),
                Err(error) => {
                    let text = crate::conf::walk::errno(&error);
                    let text = format!("could not open error log file: open() \"{name}\" failed ({text})");
                    self.show(Severity::Alert, &text);
                }
            }
        }
        self.log = Log::new(vec![(LogLevel::Notice, sink)]);
    }

    fn complain(&self, complaint: &Diagnostic, sources: &Sources) {
        match self.options.form {
            _ if complaint.message.is_empty() => {}
            Form::Lines => self.show(complaint.severity, &print::nginx(complaint, sources)),
            Form::Pictures => {
                self.shown.borrow_mut().push(complaint.severity);
                say(&print::picture(complaint, sources, takes_colours()));
            }
            Form::Data(format) => self.data.borrow_mut().push(format.one(complaint, sources)),
        }
    }

    /// What a test says beside complaints.
    fn remark(&self, text: &str) {
        if !matches!(self.options.form, Form::Data(_)) {
            say(text);
        }
    }

    /// Says how much `--explain` showed; prints what `--json` collected.
    #[expect(clippy::print_stdout, reason = "the data goes to standard output")]
    fn deliver(&self, fine: bool) {
        match self.options.form {
            Form::Lines => {}
            Form::Pictures => say(&print::count(&self.shown.take())),
            Form::Data(format) => print!("{}", format.whole("rnginx", &self.inputs.conf, fine, &self.data.take())),
        }
    }

    fn go(mut self, arguments: Vec<OsString>) -> ExitCode {
        self.open_log();
        if let Some(text) = std::env::var_os(parent::INHERIT) {
            let text = format!("using inherited sockets from \"{}\"", text.to_string_lossy());
            self.log.write(LogLevel::Notice, None, &text);
        }
        let disk = Disk;
        let recorder = Recorder::new(&disk);
        let resolver = SystemResolver::default();
        let zones = Arc::new(Zones::default());
        let Reading { tree, sources, complaints, late, unserved, outcome } =
            generation::compile(&self.inputs, &recorder, &resolver, &zones);
        for complaint in &complaints {
            self.complain(complaint, &sources);
        }
        let test = self.options.test;
        if test {
            // The run ends soon: taking a large configuration apart would be for nothing.
            std::mem::forget(tree);
        }
        let fine = || {
            if test && !self.options.quiet {
                self.remark(&format!("nginx: the configuration file {} syntax is ok\n", self.inputs.conf));
            }
            for complaint in &late {
                self.complain(complaint, &sources);
            }
        };
        let generation = match outcome {
            Ok(generation) => generation,
            Err((complaint, parsed)) => {
                if parsed {
                    fine();
                }
                self.complain(&complaint, &sources);
                return self.test_failed();
            }
        };
        if let (Some(signal), false) = (&self.options.signal, test) {
            return self.send(signal, &generation.process.pid);
        }
        fine();
        let judged = Judged::new(&unserved, self.inputs.allow_unserved);
        for complaint in judged.refusals.iter().chain(&judged.warnings) {
            self.complain(complaint, &sources);
        }
        if let Some(summary) = judged.summary(&self.inputs.conf) {
            self.show(Severity::Emerg, &summary);
            return self.test_failed();
        }
        let mut listeners = parent::inherited();
        if !self.open(&generation, &mut listeners) {
            return self.test_failed();
        }
        if test {
            self.leave_sockets(&listeners);
            if self.options.dump {
                dump(&sources);
            }
            if !self.options.quiet {
                self.remark(&format!("nginx: configuration file {} test is successful\n", self.inputs.conf));
            }
            self.deliver(true);
            std::mem::forget(generation);
            return ExitCode::SUCCESS;
        }
        // Those who read the configuration's logs only see them as well.
        let rest = generation.log.without(&self.inputs.error_log);
        for warning in &judged.warnings {
            rest.write(LogLevel::Warn, None, &bytes::raw(&print::nginx(warning, &sources)));
        }
        self.start(generation, listeners, arguments)
    }

    /// Opens what was declared, and shows what cannot be opened: the first only unless every complaint is wanted.
    fn open(&self, generation: &Generation, listeners: &mut Listeners) -> bool {
        let test = self.options.test;
        let pid = || if test { open::pid(&generation.process.pid, true) } else { Ok(()) };
        let log = &generation.log;
        let mut sockets = || open::sockets(generation, listeners, test, &|level, text| self.show_in(log, level, text));
        // The configuration's log is open when it comes to sockets.
        let parts = std::iter::once_with(pid)
            .chain(std::iter::once_with(|| open::folders(generation)))
            .chain(generation.logs.iter().map(|log| open::log(log)))
            .map(|outcome| (&self.log, outcome))
            .chain(std::iter::once_with(|| (log, sockets())));
        let most = if self.inputs.every { usize::MAX } else { 1 };
        let wrong = parts.filter_map(|(log, outcome)| Some((log, outcome.err()?))).take(most);
        wrong.map(|(log, (severity, text))| self.show_in(log, severity, &text)).count() == 0
    }

    fn leave_sockets(&self, listeners: &Listeners) {
        for name in listeners.keys() {
            open::unlink(name);
        }
    }

    fn test_failed(&self) -> ExitCode {
        if self.options.test {
            self.deliver(false);
            self.remark(&format!("nginx: configuration file {} test failed\n", self.inputs.conf));
        }
        ExitCode::FAILURE
    }

    /// `-s`: signals the parent whose pid is in the file.
    fn send(&self, signal: &str, path: &str) -> ExitCode {
        self.log.write(LogLevel::Notice, None, "signal process started");
        let mut text = String::new();
        let read = fs::File::open(path).map_err(|error| (Severity::Error, "open()", error)).and_then(|mut file| {
            let mut bytes = Vec::new();
            file.read_to_end(&mut bytes).map_err(|error| (Severity::Crit, "pread()", error))?;
            text = String::from_utf8_lossy(&bytes).into_owned();
            Ok(())
        });
        if let Err((severity, call, error)) = read {
            self.show(severity, &format!("{call} \"{path}\" failed ({})", crate::conf::walk::errno(&error)));
            return ExitCode::FAILURE;
        }
        let digits = text.trim_end_matches(['\r', '\n']);
        let pid = if digits.bytes().all(|byte| byte.is_ascii_digit()) { digits.parse::<i32>().ok() } else { None };
        let Some(pid) = pid.filter(|_| !digits.is_empty()) else {
            self.show(Severity::Error, &format!("invalid PID number \"{digits}\" in \"{path}\""));
            return ExitCode::FAILURE;
        };
        let signal = match signal {
            "stop" => Signal::SIGTERM,
            "quit" => Signal::SIGQUIT,
            "reopen" => Signal::SIGUSR1,
            _ => Signal::SIGHUP,
        };
        let question = if signal == Signal::SIGHUP { verdict::ask(pid as u32) } else { None };
        if let Err(error) = kill(Pid::from_raw(pid), signal) {
            let text = crate::conf::walk::errno(&error.into());
            self.show(Severity::Alert, &format!("kill({pid}, {}) failed ({text})", signal as i32));
            return ExitCode::FAILURE;
        }
        match question.and_then(verdict::Question::answer) {
            Some(text) if !text.is_empty() => {
                // The master wrote it to the log.
                self.show_in(&Log::default(), Severity::Emerg, &text);
                ExitCode::FAILURE
            }
            _ => ExitCode::SUCCESS,
        }
    }

    fn start(self, generation: Generation, listeners: Listeners, arguments: Vec<OsString>) -> ExitCode {
        greet(&generation.log);
        let manager = ServiceManager::take();
        let mut ready = None;
        if generation.process.daemon && std::env::var_os(parent::INHERIT).is_none() {
            match leave_terminal() {
                Ok(Left::Starter(code)) => return code,
                Ok(Left::Daemon(pipe)) => ready = Some(pipe),
                Err(error) => {
                    let text = format!("fork() failed ({})", crate::conf::walk::errno(&error));
                    self.show_in(&generation.log, Severity::Emerg, &text);
                    return ExitCode::FAILURE;
                }
            }
        }
        if let Err((severity, text)) = open::pid(&generation.process.pid, false) {
            self.show_in(&generation.log, severity, &text);
            return ExitCode::FAILURE;
        }
        if ready.is_some()
            && let Err(error) = silence()
        {
            let text = format!("dup2() failed ({})", crate::conf::walk::errno(&error));
            self.show_in(&generation.log, Severity::Emerg, &text);
            return ExitCode::FAILURE;
        }
        let tell = move || {
            if let Some(mut pipe) = ready {
                let _ = pipe.write_all(&[0]);
            }
        };
        if !generation.process.master {
            tell();
            let pid = generation.process.pid.clone();
            let code = super::worker::run(&generation, listeners, (None, super::liveness::listen()), manager);
            let _ = fs::remove_file(pid);
            return ExitCode::from(code);
        }
        Parent::new(self.inputs, generation, listeners, arguments, Title::take(), manager).run(tell)
    }
}

/// What a start logs first: the program, the system and its limits.
fn greet(log: &Log) {
    use nix::sys::resource::{Resource, getrlimit};
    let say = |text: &str| log.write(LogLevel::Notice, None, text);
    say(parent::EPOLL);
    say(crate::http::SERVER);
    say(&format!("built by {BUILDER}"));
    if let Ok(system) = nix::sys::utsname::uname() {
        let (name, release) = (system.sysname().to_string_lossy(), system.release().to_string_lossy());
        say(&format!("OS: {name} {release}"));
    }
    if let Ok((soft, hard)) = getrlimit(Resource::RLIMIT_NOFILE) {
        // No limit is -1.
        say(&format!("getrlimit(RLIMIT_NOFILE): {}:{}", soft.cast_signed(), hard.cast_signed()));
    }
}

/// Which side of the fork a start is on.
enum Left {
    Starter(ExitCode),
    Daemon(fs::File),
}

/// Leaves the terminal; the starter waits until the daemon's worker runs.
fn leave_terminal() -> std::io::Result<Left> {
    let (reader, writer) = nix::unistd::pipe2(nix::fcntl::OFlag::O_CLOEXEC)?;
    if let Side::Parent(_) = fork()? {
        drop(writer);
        let mut code = [1];
        let told = fs::File::from(reader).read_exact(&mut code).is_ok() && code == [0];
        return Ok(Left::Starter(if told { ExitCode::SUCCESS } else { ExitCode::FAILURE }));
    }
    nix::unistd::setsid()?;
    // Every file is made with the mode it shall have.
    nix::sys::stat::umask(nix::sys::stat::Mode::empty());
    Ok(Left::Daemon(fs::File::from(writer)))
}

fn dump(sources: &Sources) {
    let mut printed = HashSet::new();
    for source in sources.iter().filter(|source| source.kind == crate::conf::source::Kind::File) {
        // A file that is included again is not printed again.
        if !printed.insert(source.name.as_str()) {
            continue;
        }
        let mut out = std::io::stdout();
        let head = format!("# configuration file {}:\n", source.name);
        let _ = out.write_all(&bytes::raw(&head)).and_then(|()| out.write_all(&source.text));
        let _ = out.write_all(b"\n");
    }
}
