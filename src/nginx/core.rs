//! `ngx_core_module`, `ngx_events_module` and their kin: the rows of the main and events blocks.
//!
//! Differs from nginx: all event loops live in one worker process, so accept_mutex and kin have no effect. [test: inert_rows_say_why]

use crate::conf::diagnostic::Diagnostic;
use crate::conf::directive::{Arity, Directive, Opens, Support};
use crate::conf::module::{Conf, Module, Scope};
use crate::conf::slot::{Block, Custom, Flag, Include, Number, Text, Time};
use crate::conf::tree::{Statement, Word};
use crate::conf::value;
use crate::conf::walk::Setting;
use crate::session::contexts::{ANYWHERE, EVENTS, MAIN};
use crate::session::errorlog;
use std::time::Duration;

/// The modules of this file.
pub const MODULES: [Module; 5] = [
    Module {
        name: "ngx_conf_module",
        directives: &[Directive::new("include", ANYWHERE, Arity::Exactly(1), &Include)
            .doc("Reads files in the place of this line.")],
        scopes: &[],
    },
    Module { name: "ngx_core_module", directives: CORE, scopes: &[Scope::of::<Core>(MAIN)] },
    Module {
        name: "ngx_errlog_module",
        directives: &[Directive::new("error_log", MAIN, Arity::AtLeast(1), &Custom(error_log))
            .words(errorlog::WORDS)
            .doc("Sets where errors are logged, and from which level on.")],
        scopes: &[],
    },
    Module {
        name: "ngx_events_module",
        directives: &[Directive::new(
            "events",
            MAIN,
            Arity::Block(0, 0, Opens::Context(EVENTS)),
            &Block(events, |_| Ok(())),
        )
        .doc("Opens the settings of connection handling.")],
        scopes: &[],
    },
    Module { name: "ngx_event_core_module", directives: EVENT_ROWS, scopes: &[Scope::of::<Events>(EVENTS)] },
];

const ONE_PROCESS: Support = Support::Inert("one worker process holds all event loops, which take turns in the kernel");

const CORE: &[Directive] = &[
    Directive::new("daemon", MAIN, Arity::Flag, &Flag(|c: &mut Core| &mut c.daemon))
        .default("on")
        .doc("Leaves the terminal after start."),
    Directive::new("master_process", MAIN, Arity::Flag, &Flag(|c: &mut Core| &mut c.master))
        .default("on")
        .doc("Runs a parent and a worker; without, one process does all, for development."),
    Directive::new("user", MAIN, Arity::Between(1, 2), &Custom(user)).doc("Sets the user and group of the worker."),
    Directive::new("worker_processes", MAIN, Arity::Exactly(1), &Custom(worker_processes))
        .words(&["auto"])
        .support(Support::Partial("so many event loops in one worker process, one where nginx would have no worker"))
        .doc("Sets how many event loops there are; auto is one for each CPU."),
    Directive::new(
        "worker_rlimit_nofile",
        MAIN,
        Arity::Exactly(1),
        &Number(|c: &mut Core| &mut c.rlimit_nofile, 0..=u64::MAX),
    )
    .doc("Sets how many descriptors the worker may open."),
    Directive::new("worker_priority", MAIN, Arity::Exactly(1), &Custom(worker_priority))
        .doc("Sets the worker's niceness, -20 to 20."),
    Directive::new("worker_shutdown_timeout", MAIN, Arity::Exactly(1), &Time(|c: &mut Core| &mut c.shutdown_timeout))
        .doc("Sets how long connections may finish their work after a stop or reload."),
    Directive::new("working_directory", MAIN, Arity::Exactly(1), &Text(|c: &mut Core| &mut c.working_directory))
        .doc("Sets the worker's folder."),
    Directive::new("pid", MAIN, Arity::Exactly(1), &Text(|c: &mut Core| &mut c.pid))
        .doc("Sets the file that holds the parent's process id."),
    Directive::new("lock_file", MAIN, Arity::Exactly(1), &Text(|c: &mut Core| &mut c.lock_file))
        .support(ONE_PROCESS)
        .doc("Sets a file for nginx's locks."),
    Directive::new("timer_resolution", MAIN, Arity::Exactly(1), &Time(|c: &mut Core| &mut c.timer_resolution))
        .support(Support::Inert("the clock is looked at once for each batch of events anyway"))
        .doc("Sets how often nginx looks at the clock."),
    Directive::new("env", MAIN, Arity::Exactly(1), &Custom(env))
        .support(Support::Parts("the worker keeps the whole environment; a value given here is refused"))
        .doc("Keeps an environment variable for the worker, or sets one."),
    Directive::new("pcre_jit", MAIN, Arity::Flag, &Flag(|c: &mut Core| &mut c.pcre_jit))
        .default("off")
        .support(Support::Inert("expressions are always compiled just in time where the library can"))
        .doc("Compiles expressions just in time."),
    Directive::new("load_module", MAIN, Arity::Exactly(1), &Custom(load_module))
        .support(Support::Parts(
            "modules that are built in are accepted by name, others where their file is there; none is loaded",
        ))
        .doc("Loads a module."),
];

const EVENT_ROWS: &[Directive] = &[
    Directive::new("worker_connections", EVENTS, Arity::Exactly(1), &Custom(worker_connections))
        .default("512")
        .doc("Sets how many connections one event loop may hold."),
    Directive::new("use", EVENTS, Arity::Exactly(1), &Custom(use_))
        .support(Support::Inert("epoll is what there is"))
        .doc("Sets the way events are waited for."),
    Directive::new("multi_accept", EVENTS, Arity::Flag, &Flag(|c: &mut Events| &mut c.multi_accept))
        .default("off")
        .support(Support::Inert("as many connections are accepted as are there"))
        .doc("Accepts all waiting connections at once."),
    Directive::new("accept_mutex", EVENTS, Arity::Flag, &Flag(|c: &mut Events| &mut c.accept_mutex))
        .default("off")
        .support(ONE_PROCESS)
        .doc("Lets workers take turns in accepting."),
    Directive::new("accept_mutex_delay", EVENTS, Arity::Exactly(1), &Time(|c: &mut Events| &mut c.accept_mutex_delay))
        .default("500ms")
        .support(ONE_PROCESS)
        .doc("Sets how long a worker waits for its turn."),
];

/// Settings of the main block.
#[derive(Default)]
pub struct Core {
    /// `daemon`.
    pub daemon: Option<bool>,
    /// `master_process`.
    pub master: Option<bool>,
    /// `user`: names of user and group.
    pub user: Option<(String, Option<String>)>,
    /// `worker_processes`.
    pub loops: Option<usize>,
    /// `worker_rlimit_nofile`.
    pub rlimit_nofile: Option<u64>,
    /// `worker_priority`.
    pub priority: Option<i32>,
    /// `worker_shutdown_timeout`.
    pub shutdown_timeout: Option<Duration>,
    /// `working_directory`.
    pub working_directory: Option<Word>,
    /// `pid`.
    pub pid: Option<Word>,
    /// `error_log`.
    pub error_logs: Vec<errorlog::Target>,
    /// Whether there is an `events {}`.
    pub events: bool,
    loaded: Vec<String>,
    lock_file: Option<Word>,
    timer_resolution: Option<Duration>,
    pcre_jit: Option<bool>,
}

impl Conf for Core {
    fn inherit(&mut self, _: &Self) {}
}

/// Settings of the events block.
#[derive(Default)]
pub struct Events {
    /// `worker_connections`.
    pub connections: Option<u64>,
    method: Option<String>,
    multi_accept: Option<bool>,
    accept_mutex: Option<bool>,
    accept_mutex_delay: Option<Duration>,
}

impl Conf for Events {
    fn inherit(&mut self, _: &Self) {}
}

fn events(cx: &mut Setting<'_>, conf: &mut Core, _: &Statement) -> Result<(), Diagnostic> {
    if std::mem::replace(&mut conf.events, true) {
        return Err(cx.duplicate());
    }
    Ok(())
}

fn user(cx: &mut Setting<'_>, conf: &mut Core, statement: &Statement) -> Result<(), Diagnostic> {
    if conf.user.is_some() {
        return Err(cx.duplicate());
    }
    let names: Vec<String> = statement.arguments().iter().map(|word| word.text().into_owned()).collect();
    let Some(user) = names.first().cloned() else { return Ok(()) };
    if !nix::unistd::geteuid().is_root() {
        cx.warn(
            statement,
            "the \"user\" directive makes sense only if the master process runs with super-user privileges, ignored",
        );
        conf.user = Some((user, None));
        return Ok(());
    }
    if !matches!(nix::unistd::User::from_name(&user), Ok(Some(_))) {
        return Err(Diagnostic::emerg(format!("getpwnam(\"{user}\") failed")).machine());
    }
    let group = names.get(1).cloned();
    let group_name = group.as_deref().unwrap_or(&user);
    if !matches!(nix::unistd::Group::from_name(group_name), Ok(Some(_))) {
        return Err(Diagnostic::emerg(format!("getgrnam(\"{group_name}\") failed")).machine());
    }
    conf.user = Some((user, group));
    Ok(())
}

fn worker_processes(cx: &mut Setting<'_>, conf: &mut Core, statement: &Statement) -> Result<(), Diagnostic> {
    if conf.loops.is_some() {
        return Err(cx.duplicate());
    }
    let Some(word) = statement.words.get(1) else { return Ok(()) };
    conf.loops = Some(if word.is("auto") {
        std::thread::available_parallelism().map_or(1, std::num::NonZero::get)
    } else {
        match value::number(&word.bytes) {
            None => return Err(cx.complain("invalid value").point(word.span)),
            Some(count) => count as usize,
        }
    });
    Ok(())
}

fn worker_priority(cx: &mut Setting<'_>, conf: &mut Core, statement: &Statement) -> Result<(), Diagnostic> {
    if conf.priority.is_some_and(|priority| priority != 0) {
        return Err(cx.duplicate());
    }
    let Some(word) = statement.words.get(1) else { return Ok(()) };
    let (sign, digits) = match &*word.bytes {
        [b'-', digits @ ..] => (-1, digits),
        [b'+', digits @ ..] => (1, digits),
        digits => (1, digits),
    };
    match value::number(digits) {
        Some(value) => conf.priority = Some(sign * i32::try_from(value).unwrap_or(i32::MAX)),
        None => return Err(cx.complain("invalid number").point(word.span)),
    }
    Ok(())
}

fn env(cx: &mut Setting<'_>, _: &mut Core, statement: &Statement) -> Result<(), Diagnostic> {
    if statement.arguments().iter().any(|word| word.bytes.contains(&b'=')) {
        cx.unserved(statement, "\"env\" with a value");
    }
    Ok(())
}

fn error_log(cx: &mut Setting<'_>, conf: &mut Core, statement: &Statement) -> Result<(), Diagnostic> {
    let target = errorlog::parse(cx, statement)?;
    conf.error_logs.push(target);
    Ok(())
}

/// Modules nginx may load that are built in here, or known here.
const BUILT_IN: [&str; 13] = [
    "ngx_stream_module.so",
    "ngx_mail_module.so",
    "ngx_http_geoip_module.so",
    "ngx_stream_geoip_module.so",
    "ngx_http_image_filter_module.so",
    "ngx_http_perl_module.so",
    "ngx_http_xslt_filter_module.so",
    "ngx_http_brotli_filter_module.so",
    "ngx_http_brotli_static_module.so",
    "ngx_http_zstd_filter_module.so",
    "ngx_http_zstd_static_module.so",
    "ngx_http_geoip2_module.so",
    "ngx_stream_geoip2_module.so",
];

fn load_module(cx: &mut Setting<'_>, conf: &mut Core, statement: &Statement) -> Result<(), Diagnostic> {
    let Some(word) = statement.words.get(1) else { return Ok(()) };
    if cx.level().is_some_and(|main| !main.children.is_empty()) {
        return Err(cx.complain("is specified too late"));
    }
    let path = cx.full_prefix(&word.text());
    let name = path.rsplit('/').next().unwrap_or_default();
    if BUILT_IN.contains(&name) {
        let first = cx.first("module", name.as_bytes(), word.span);
        if conf.loaded.iter().any(|loaded| loaded == name) {
            let name = name.trim_end_matches(".so");
            return Err(Diagnostic::emerg(format!("module \"{name}\" is already loaded"))
                .point(word.span)
                .earlier(first));
        }
        conf.loaded.push(name.to_owned());
        return Ok(());
    }
    if cx.exists(&path) {
        // What it would bring is unknown, and refused where the file uses it.
        return Ok(());
    }
    let text =
        format!("dlopen() \"{path}\" failed ({path}: cannot open shared object file: No such file or directory)");
    Err(Diagnostic::emerg(text).help("rnginx has no loadable modules").machine())
}

fn worker_connections(cx: &mut Setting<'_>, conf: &mut Events, statement: &Statement) -> Result<(), Diagnostic> {
    if conf.connections.is_some() {
        return Err(cx.duplicate());
    }
    let Some(word) = statement.words.get(1) else { return Ok(()) };
    match value::number(&word.bytes) {
        Some(count) => conf.connections = Some(count),
        None => return Err(Diagnostic::emerg(format!("invalid number \"{}\"", word.text())).point(word.span)),
    }
    Ok(())
}

fn use_(cx: &mut Setting<'_>, conf: &mut Events, statement: &Statement) -> Result<(), Diagnostic> {
    if conf.method.is_some() {
        return Err(cx.duplicate());
    }
    let Some(word) = statement.words.get(1) else { return Ok(()) };
    if !word.is("epoll") {
        return Err(Diagnostic::emerg(format!("invalid event type \"{}\"", word.text())).point(word.span));
    }
    conf.method = Some(word.text().into_owned());
    Ok(())
}
