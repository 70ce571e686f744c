//! The command line: nginx's options, texts and exit codes.

use super::bundle::{Recorder, SystemResolver};
use super::generation::{self, Inputs, Reading};
use super::layout::Layout;
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
use crate::log::Level as LogLevel;
use crate::log::clock;
use crate::sys::process::{Side, Title, fork, silence};
use crate::zone::registry::Registry as Zones;
use hashbrown::HashSet;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::cell::RefCell;
use std::ffi::OsString;
use std::fs::File;
use std::io::{IsTerminal as _, Read as _, Write as _};
use std::path::Path;
use std::process::ExitCode;

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
        let mut names: Vec<&str> = super::modules::modules().iter().map(|module| module.name).collect();
        names.dedup();
        say(&format!(
            "built by rustc\nconfigure arguments: --prefix={} --with-http_stub_status_module --with-http_auth_request_module --with-stream\n",
            layout.prefix.trim_end_matches('/')
        ));
    }
}

/// One run.
struct Run {
    options: Options,
    inputs: Inputs,
    /// The default error log could not be opened: complaints take the log's form.
    log_form: bool,
    /// What `--json` will print.
    data: RefCell<Vec<serde_json::Value>>,
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
            allow_unserved,
            every: options.form != Form::Lines,
        };
        Self { options, inputs, log_form: false, data: RefCell::default() }
    }

    /// Shows a complaint as nginx does before its log is open.
    fn show(&self, level: &str, text: &str) {
        if self.options.form == Form::Data {
            let named = [Severity::Crit, Severity::Alert, Severity::Error, Severity::Warn, Severity::Notice];
            let severity = named.into_iter().find(|severity| severity.word() == level).unwrap_or(Severity::Emerg);
            let complaint = Diagnostic::new(severity, text);
            self.data.borrow_mut().push(print::data(&complaint, &Sources::default()));
        } else if self.log_form {
            let (stamp, pid) = (clock::error_stamp(), std::process::id());
            say(&format!("{stamp} [{level}] {pid}#{pid}: {text}\n"));
        } else {
            say(&format!("nginx: [{level}] {text}\n"));
        }
    }

    fn complain(&self, complaint: &Diagnostic, sources: &Sources) {
        match self.options.form {
            _ if complaint.message.is_empty() => {}
            Form::Lines => self.show(complaint.severity.word(), &print::nginx(complaint, sources)),
            Form::Pictures => say(&print::picture(complaint, sources, std::io::stderr().is_terminal())),
            Form::Data => self.data.borrow_mut().push(print::data(complaint, sources)),
        }
    }

    /// What a test says beside complaints.
    fn remark(&self, text: &str) {
        if self.options.form != Form::Data {
            say(text);
        }
    }

    /// Prints what `--json` collected.
    #[expect(clippy::print_stdout, reason = "the data goes to standard output")]
    fn deliver(&self, fine: bool) {
        if self.options.form == Form::Data {
            print!("{}", print::report("rnginx", &self.inputs.conf, fine, self.data.take()));
        }
    }

    fn go(mut self, arguments: Vec<OsString>) -> ExitCode {
        if self.inputs.error_log != "stderr" {
            let opened = File::options().append(true).create(true).open(bytes::path(&self.inputs.error_log));
            if let Err(error) = opened {
                let (path, text) = (&self.inputs.error_log, crate::conf::walk::errno(&error));
                let text = format!("could not open error log file: open() \"{path}\" failed ({text})");
                self.show("alert", &text);
                self.log_form = true;
            }
        }
        let disk = Disk;
        let recorder = Recorder::new(&disk);
        let resolver = SystemResolver::default();
        let zones = std::sync::Arc::new(Zones::default());
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
            self.show(Severity::Emerg.word(), &summary);
            return self.test_failed();
        }
        let mut listeners = parent::inherited();
        let wrong = self.open(&generation, &mut listeners);
        for (level, text) in &wrong {
            self.show(level.word(), text);
        }
        if !wrong.is_empty() {
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
        for warning in &judged.warnings {
            generation.log.write(LogLevel::Warn, None, &print::nginx(warning, &sources));
        }
        self.start(generation, listeners, arguments)
    }

    /// Opens what was declared; what cannot be opened, the first only unless every complaint is wanted.
    fn open(&self, generation: &generation::Generation, listeners: &mut Listeners) -> Vec<open::Complaint> {
        let test = self.options.test;
        let pid = || if test { open::pid(&generation.process.pid, true) } else { Ok(()) };
        let sockets = || {
            open::sockets(generation, listeners, test, &|level, text| {
                self.show(level.word(), text);
                generation.log.write(level, None, text);
            })
        };
        let parts = std::iter::once_with(pid)
            .chain(std::iter::once_with(|| open::folders(generation)))
            .chain(generation.logs.iter().map(|log| open::log(log)))
            .chain(std::iter::once_with(sockets));
        let most = if self.inputs.every { usize::MAX } else { 1 };
        parts.filter_map(Result::err).take(most).collect()
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
        let mut text = String::new();
        let read = File::open(path).map_err(|error| ("error", "open()", error)).and_then(|mut file| {
            let mut bytes = Vec::new();
            file.read_to_end(&mut bytes).map_err(|error| ("crit", "pread()", error))?;
            text = String::from_utf8_lossy(&bytes).into_owned();
            Ok(())
        });
        if let Err((level, call, error)) = read {
            self.show(level, &format!("{call} \"{path}\" failed ({})", crate::conf::walk::errno(&error)));
            return ExitCode::FAILURE;
        }
        let digits = text.trim_end_matches(['\r', '\n']);
        let pid = if digits.bytes().all(|byte| byte.is_ascii_digit()) { digits.parse::<i32>().ok() } else { None };
        let Some(pid) = pid.filter(|_| !digits.is_empty()) else {
            self.show("error", &format!("invalid PID number \"{digits}\" in \"{path}\""));
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
            self.show("alert", &format!("kill({pid}, {}) failed ({text})", signal as i32));
            return ExitCode::FAILURE;
        }
        match question.and_then(verdict::Question::answer) {
            Some(text) if !text.is_empty() => {
                self.show("emerg", &text);
                ExitCode::FAILURE
            }
            _ => ExitCode::SUCCESS,
        }
    }

    fn start(self, generation: generation::Generation, listeners: Listeners, arguments: Vec<OsString>) -> ExitCode {
        let mut ready = None;
        if generation.process.daemon && std::env::var_os(parent::INHERIT).is_none() {
            match leave_terminal() {
                Ok(Left::Starter(code)) => return code,
                Ok(Left::Daemon(pipe)) => ready = Some(pipe),
                Err(error) => {
                    self.show("emerg", &format!("fork() failed ({})", crate::conf::walk::errno(&error)));
                    return ExitCode::FAILURE;
                }
            }
        }
        if let Err((level, text)) = open::pid(&generation.process.pid, false) {
            self.show(level.word(), &text);
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
            let code = super::worker::run(&generation, listeners, None);
            let _ = std::fs::remove_file(pid);
            return ExitCode::from(code);
        }
        Parent::new(self.inputs, generation, listeners, arguments, Title::take()).run(tell)
    }
}

/// Which side of the fork a start is on.
enum Left {
    Starter(ExitCode),
    Daemon(File),
}

/// Leaves the terminal; the starter waits until the daemon's worker runs.
fn leave_terminal() -> std::io::Result<Left> {
    let (reader, writer) = nix::unistd::pipe2(nix::fcntl::OFlag::O_CLOEXEC)?;
    if let Side::Parent(_) = fork()? {
        drop(writer);
        let mut code = [1];
        let told = File::from(reader).read_exact(&mut code).is_ok() && code == [0];
        return Ok(Left::Starter(if told { ExitCode::SUCCESS } else { ExitCode::FAILURE }));
    }
    nix::unistd::setsid()?;
    silence()?;
    Ok(Left::Daemon(File::from(writer)))
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
