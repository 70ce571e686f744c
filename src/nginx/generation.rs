//! config → everything declared, then everything open and ready to serve.
//!
//! `compile` is pure but for host names: texts in, a `Generation` out. `open` opens what it declared. A worker does the
//! first over the texts its parent shipped and takes the second's descriptors from the parent.

use super::core::{Core, Events};
use super::modules;
use super::tuning::Tuning;
use super::wording::Nginx;
use crate::conf::diagnostic::Diagnostic;
use crate::conf::effect::Unserved;
use crate::conf::lex;
use crate::conf::registry::Registry;
use crate::conf::source::{Loader, Sources};
use crate::conf::walk::{Bases, Dialect, Level, Levels, Walk};
use crate::http;
use crate::log::file::File;
use crate::log::{Level as LogLevel, Log};
use crate::net::address::Address;
use crate::net::listen::Options;
use crate::session::build::{Build, Resolve};
use crate::session::contexts::{EVENTS, HTTP, MAIL, MAIN, STREAM};
use crate::session::errorlog;
use crate::session::format::LogFiles;
use crate::session::pools::Pools;
use crate::session::shared::Shared;
use std::sync::Arc;
use std::time::Duration;

/// What a run is asked to do.
#[derive(Clone, Debug, Default)]
pub struct Inputs {
    /// `-p`, ending in a slash.
    pub prefix: String,
    /// `-c`, in full.
    pub conf: String,
    /// `-g`.
    pub parameters: String,
    /// `-e`, in full, or `stderr`.
    pub error_log: String,
    /// The pid file where the configuration names none.
    pub pid: String,
    /// The access log of servers that name none.
    pub access_log: String,
    /// The folder of temporary files the configuration names no place for; without one they are below the prefix.
    pub temp: Option<String>,
    /// `--allow-unserved`: what is not served is left out, where a start would otherwise be refused.
    pub allow_unserved: bool,
    /// Every complaint is wanted, not only the first.
    pub every: bool,
}

/// Settings of the process.
#[derive(Clone, Debug)]
pub struct Process {
    /// `daemon`.
    pub daemon: bool,
    /// `master_process`.
    pub master: bool,
    /// `user` and group.
    pub user: Option<(String, Option<String>)>,
    /// Event loops.
    pub loops: usize,
    /// `worker_rlimit_nofile`.
    pub rlimit_nofile: Option<u64>,
    /// `worker_priority`.
    pub priority: Option<i32>,
    /// `worker_shutdown_timeout`.
    pub shutdown_timeout: Option<Duration>,
    /// `working_directory`.
    pub working_directory: Option<String>,
    /// The pid file's path.
    pub pid: String,
    /// `worker_connections`.
    pub connections: u64,
    /// Whether the worker binds addresses that are not this machine's (`transparent`).
    pub transparent: bool,
}

/// Something to listen on.
#[derive(Clone)]
pub struct Socket {
    /// Where.
    pub address: Address,
    /// How.
    pub options: Options,
    /// Who serves it.
    pub service: Service,
}

/// Who serves a socket.
#[derive(Clone)]
pub enum Service {
    /// The http server.
    Http(Arc<http::Port>),
    /// The stream server.
    Stream(Arc<crate::stream::Port>),
}

/// One configuration at work.
pub struct Generation {
    /// Settings of the process.
    pub process: Process,
    /// The main error log.
    pub log: Log,
    /// The http server, if there is one.
    pub http: Option<Arc<http::Site>>,
    /// The stream server, if there is one.
    pub stream: Option<Arc<crate::stream::Site>>,
    /// What is listened on.
    pub sockets: Vec<Socket>,
    /// Log files.
    pub logs: Vec<Arc<File>>,
    /// Folders that must be there.
    pub folders: Vec<String>,
    /// The zones of the process.
    pub zones: Arc<crate::zone::registry::Registry>,
    /// Which of them this configuration names.
    pub named_zones: hashbrown::HashSet<String>,
    /// How it declares them.
    pub declared: crate::zone::registry::Declared,
}

/// A reading that ended: what it found on the way, and what stopped it.
pub struct Reading {
    /// What was read, kept so that a run that ends at once need not take it apart.
    pub tree: Option<Level>,
    /// Every text that was read.
    pub sources: Sources,
    /// Warnings.
    pub complaints: Vec<Diagnostic>,
    /// Warnings that come after it is known that the syntax is fine.
    pub late: Vec<Diagnostic>,
    /// What is checked and not served, and what leaving it out comes to.
    pub unserved: Vec<Unserved>,
    /// The generation, or the fatal complaint and whether the syntax was fine.
    pub outcome: Result<Generation, (Diagnostic, bool)>,
}

/// nginx's dialect.
pub const DIALECT: Dialect = Dialect { lex: lex::nginx::file, stop: true, every: false, wording: &Nginx };

/// The same, going on behind what is wrong.
const EVERY: Dialect = Dialect { lex: lex::nginx::every, stop: true, every: true, wording: &Nginx };

/// Reads and compiles a configuration.
pub fn compile(
    inputs: &Inputs,
    loader: &dyn Loader,
    resolver: &dyn Resolve,
    zones: &Arc<crate::zone::registry::Registry>,
) -> Reading {
    let registry = Registry::new(&modules::modules());
    let mut sources = Sources::default();
    let folder = inputs.conf.rsplit_once('/').map_or_else(String::new, |(folder, _)| format!("{folder}/"));
    let bases = Bases { conf: folder.clone(), prefix: inputs.prefix.clone() };
    let dialect = if inputs.every { EVERY } else { DIALECT };
    let mut walk = Walk::new(&registry, dialect, (loader, &mut sources), bases, MAIN);
    let read = if inputs.parameters.is_empty() { Ok(()) } else { walk.parameters(&inputs.parameters) };
    let read = read.and_then(|()| walk.file(&inputs.conf));
    let walked = walk.finish(read.err());
    let mut complaints = walked.complaints;
    if let Some(fatal) = walked.fatal {
        let zones = Default::default();
        let build = || fresh(inputs, &folder, (loader, resolver), &zones);
        let early = Some(()).filter(|()| !inputs.every).and_then(|()| found_early(&walked.level, inputs, build()));
        let fatal = early.unwrap_or(fatal);
        return Reading {
            tree: None,
            sources,
            complaints,
            late: Vec::new(),
            unserved: walked.unserved,
            outcome: Err((fatal, false)),
        };
    }
    let mut build = fresh(inputs, &folder, (loader, resolver), zones);
    let (made, mut fatal) = match generation(&walked.level, inputs, &mut build) {
        Ok(made) => (Some(made), None),
        Err(fatal) => {
            let zones = Default::default();
            let again = fresh(inputs, &folder, (loader, resolver), &zones);
            let early =
                Some(again).filter(|_| !inputs.every).and_then(|again| found_early(&walked.level, inputs, again));
            (None, Some(early.map_or(fatal, |early| (early, false))))
        }
    };
    let faults = walked.faults;
    let unfit = !faults.none() || build.failed() > 0;
    if !faults.none() {
        // Part of it was left out: what may follow from that, and what is only odd, waits until that is mended.
        build.complaints.retain(|complaint| complaint.is_error() && faults.stands(complaint, &sources));
        build.late.clear();
        fatal =
            fatal.filter(|(complaint, _)| faults.stands(complaint, &sources)).map(|(complaint, _)| (complaint, false));
    }
    complaints.append(&mut build.complaints);
    let last = complaints.iter().rposition(Diagnostic::is_error).filter(|_| unfit);
    let fatal = fatal.or_else(|| last.map(|last| (complaints.remove(last), false)));
    let outcome = match (made, fatal) {
        (Some(mut made), None) => {
            made.zones = zones.clone();
            made.named_zones = build.declared.names();
            made.declared = std::mem::take(&mut build.declared);
            Ok(made)
        }
        (_, fatal) => Err(fatal.unwrap_or_else(|| (Diagnostic::silent(), false))),
    };
    let mut unserved = walked.unserved;
    unserved.append(&mut build.unserved);
    let late = build.late;
    Reading { tree: Some(walked.level), sources, complaints, late, unserved, outcome }
}

/// What a compilation fills, empty.
fn fresh<'a>(
    inputs: &'a Inputs,
    folder: &'a str,
    (files, resolver): (&'a dyn Loader, &'a dyn Resolve),
    zones: &'a crate::zone::registry::Registry,
) -> Build<'a> {
    Build {
        prefix: inputs.prefix.clone(),
        folder,
        files,
        access_log_path: &inputs.access_log,
        temp: inputs.temp.as_deref(),
        resolver,
        logs: Default::default(),
        folders: Vec::new(),
        every: inputs.every,
        complaints: Vec::new(),
        late: Vec::new(),
        unserved: Vec::new(),
        zones,
        declared: Default::default(),
        noted: Default::default(),
        used: Default::default(),
        named_at: Default::default(),
        transparent: false,
    }
}

/// What nginx finds wrong while it reads a configuration, and this program only when it compiles it: of what was read
/// before a fatal complaint, the first.
fn found_early(main: &Level, inputs: &Inputs, mut build: Build<'_>) -> Option<Diagnostic> {
    build.every = true;
    let fatal = generation(main, inputs, &mut build).err().map(|(complaint, _)| complaint);
    let early = build.complaints.into_iter().chain(fatal).filter(|complaint| complaint.early);
    early.min_by_key(|complaint| complaint.place().map(|place| (place.source.0, place.start)))
}

fn generation(main: &Level, inputs: &Inputs, build: &mut Build<'_>) -> Result<Generation, (Diagnostic, bool)> {
    let syntax = |complaint| (complaint, false);
    let none = Core::default();
    let core = main.own::<Core>().unwrap_or(&none);
    let log = main_log(core, inputs, build);
    let log = build.part(log).map_err(syntax)?.unwrap_or_else(|| Log::new(Vec::new()));
    let levels = Levels::of(main);
    let child = |context| main.children.iter().find(|level| level.context == context);
    let mut sockets = Vec::new();
    let (mut http, mut stream) = (None, None);
    // As written: nginx is done with one block before it reads the next.
    for level in &main.children {
        let inside = levels.inside(level);
        if level.context == HTTP {
            let site = http::site(&inside, &http::modules::all(), build, &log);
            let Some(site) = build.part(site).map_err(syntax)? else { continue };
            sockets.extend(site.ports.iter().map(|port| Socket {
                address: (*port.address).clone(),
                options: port.options.clone(),
                service: Service::Http(port.clone()),
            }));
            http = Some(Arc::new(site));
        } else if level.context == STREAM {
            let site = crate::stream::site(&inside, build, &log);
            let Some(site) = build.part(site).map_err(syntax)? else { continue };
            sockets.extend(site.ports.iter().map(|port| Socket {
                address: port.address.clone(),
                options: port.options.clone(),
                service: Service::Stream(port.clone()),
            }));
            stream = Some(Arc::new(site));
        } else if level.context == MAIL {
            let checked = crate::mail::check(&inside, build);
            build.part(checked).map_err(syntax)?;
        }
    }
    if let Some(masks) = main.own::<Tuning>().and_then(|tuning| tuning.masks).filter(|masks| *masks > 1)
        && masks != core.loops.unwrap_or(1)
    {
        let text = "the number of \"worker_processes\" is not equal to the number of \"worker_cpu_affinity\" masks, \
                    using last mask for remaining worker processes";
        build.late.push(Diagnostic::warn(text));
    }
    let later = |text: String| (Diagnostic::emerg(text), true);
    let pools = main.own::<Tuning>().map(Tuning::pools).unwrap_or_default();
    if let Some(unknown) = main.own::<Pools>().and_then(|used| used.unknown(pools)) {
        return Err((unknown, true));
    }
    main.own::<Shared>().map_or(Ok(()), Shared::finish).map_err(later)?;
    if build.failed() == 0 {
        // What was left out may be what gives a zone its size.
        build.declared.finish().map_err(later)?;
    }
    let Some(events) = child(EVENTS).filter(|_| core.events) else {
        return Err(later("no \"events\" section in configuration".to_owned()));
    };
    let connections = events.own::<Events>().and_then(|events| events.connections).unwrap_or(512);
    if connections < sockets.len() as u64 + 1 {
        let count = sockets.len();
        return Err(later(format!("{connections} worker_connections are not enough for {count} listening sockets")));
    }
    let named = main.own::<LogFiles>().map(LogFiles::named).unwrap_or_default();
    for path in named {
        build.log(path, 0);
    }
    let mut logs: Vec<_> = build.logs.values().cloned().collect();
    // In the order of their first mention, as nginx opens them.
    let order: hashbrown::HashMap<&str, usize> =
        named.iter().enumerate().map(|(at, path)| (path.as_str(), at)).collect();
    logs.sort_by_key(|log| (order.get(log.name()).copied().unwrap_or(usize::MAX), log.name().to_owned()));
    Ok(Generation {
        process: Process { transparent: build.transparent, ..process(core, inputs, connections) },
        log,
        http,
        stream,
        sockets,
        logs,
        folders: std::mem::take(&mut build.folders),
        zones: Arc::default(),
        named_zones: Default::default(),
        declared: Default::default(),
    })
}

fn main_log(core: &Core, inputs: &Inputs, build: &mut Build<'_>) -> Result<Log, Diagnostic> {
    if !core.error_logs.is_empty() {
        return errorlog::log(&core.error_logs, build);
    }
    let sink = match inputs.error_log.as_str() {
        "stderr" => errorlog::SinkText::Stderr,
        path => errorlog::SinkText::File(path.to_owned()),
    };
    errorlog::log(&[errorlog::Target { sink, level: LogLevel::Error }], build)
}

fn process(core: &Core, inputs: &Inputs, connections: u64) -> Process {
    let full = |path: &str| crate::conf::walk::full(&inputs.prefix, path);
    Process {
        daemon: core.daemon.unwrap_or(true),
        master: core.master.unwrap_or(true),
        user: core.user.clone(),
        loops: core.loops.unwrap_or(1).max(1),
        rlimit_nofile: core.rlimit_nofile,
        priority: core.priority,
        shutdown_timeout: core.shutdown_timeout,
        working_directory: core.working_directory.as_ref().map(|word| word.text().into_owned()),
        pid: full(
            &core
                .pid
                .as_ref()
                .filter(|word| !word.bytes.is_empty())
                .map_or_else(|| inputs.pid.clone(), |word| word.text().into_owned()),
        ),
        connections,
        transparent: false,
    }
}

#[cfg(test)]
mod tests;
