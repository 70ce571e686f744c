//! Rows of main and events that are known and not served: thread pools, CPU masks, debugging, the events of other systems.

use crate::conf::diagnostic::Diagnostic;
use crate::conf::directive::{Arity, Contexts, Directive, Set, Support};
use crate::conf::effect::Omission;
use crate::conf::module::{Conf, Module, Scope};
use crate::conf::slot::{Choice, Custom, Number, Offset, Text};
use crate::conf::tree::{Statement, Word};
use crate::conf::value;
use crate::conf::walk::Setting;
use crate::session::contexts::{EVENTS, MAIN};

const ONE: Arity = Arity::Exactly(1);

const fn row(name: &'static str, contexts: Contexts, arity: Arity, set: &'static dyn Set) -> Directive {
    Directive::new(name, contexts, arity, set).support(Support::Missing)
}

const fn foreign(name: &'static str, arity: Arity) -> Directive {
    row(name, EVENTS, arity, &Custom(unknown))
        .refused("nginx does not know it on Linux either")
        .doc("Belongs to a way of waiting that other systems have.")
}

/// The modules of this file.
pub const MODULES: [Module; 10] = [
    Module {
        name: "ngx_core_module",
        directives: &[
            row(
                "debug_points",
                MAIN,
                ONE,
                &Choice(|c: &mut Tuning| &mut c.debug_points, &[("stop", true), ("abort", false)]),
            )
            .omitted(Omission::Tunes("it is for finding mistakes in nginx itself"))
            .doc("Stops or aborts the program where it finds itself in disorder."),
            row("worker_cpu_affinity", MAIN, Arity::AtLeast(1), &Custom(worker_cpu_affinity))
                .omitted(Omission::Tunes("the system places event loops on processors"))
                .doc("Sets which processors each worker may use."),
            row("worker_rlimit_core", MAIN, ONE, &Offset(|c: &mut Tuning| &mut c.core))
                .omitted(Omission::Tunes("the limit the program is started with holds"))
                .doc("Limits the size of a worker's core file."),
        ],
        scopes: &[Scope::of::<Tuning>(MAIN)],
    },
    Module {
        name: "ngx_openssl_module",
        directives: &[row("ssl_engine", MAIN, ONE, &Custom(ssl_engine))
            .refused("TLS is not OpenSSL's here: keys are read from files")
            .doc("Names OpenSSL's hardware engine.")],
        scopes: &[],
    },
    Module {
        name: "ngx_thread_pool_module",
        directives: &[row("thread_pool", MAIN, Arity::Between(2, 3), &Custom(thread_pool))
            .default("default threads=32 max_queue=65536")
            .since("1.7.11")
            .omitted(Omission::Tunes("files are read by the event loops"))
            .doc("Names a pool of threads that read files.")],
        scopes: &[],
    },
    Module {
        name: "ngx_google_perftools_module",
        directives: &[row("google_perftools_profiles", MAIN, ONE, &Text(|c: &mut Tuning| &mut c.profiles))
            .omitted(Omission::Tunes("no profile is written"))
            .doc("Sets the files a profiler writes.")],
        scopes: &[],
    },
    Module {
        name: "ngx_epoll_module",
        directives: &[
            row("epoll_events", EVENTS, ONE, &Number(|c: &mut Waiting| &mut c.epoll_events, 0..=u64::MAX))
                .default("512")
                .omitted(Omission::Tunes("the event loops size themselves"))
                .doc("Sets how many events one call brings."),
            row("worker_aio_requests", EVENTS, ONE, &Number(|c: &mut Waiting| &mut c.aio_requests, 0..=u64::MAX))
                .default("32")
                .omitted(Omission::Tunes("the event loops size themselves"))
                .doc("Sets how many asynchronous reads a worker may have under way."),
        ],
        scopes: &[Scope::of::<Waiting>(EVENTS)],
    },
    Module {
        name: "ngx_event_core_module",
        directives: &[row("debug_connection", EVENTS, ONE, &Custom(debug_connection))
            .omitted(Omission::Tunes("nothing is logged at the level debug"))
            .doc("Logs everything about some clients' connections.")],
        scopes: &[],
    },
    Module {
        name: "ngx_devpoll_module",
        directives: &[foreign("devpoll_changes", ONE), foreign("devpoll_events", ONE)],
        scopes: &[],
    },
    Module { name: "ngx_eventport_module", directives: &[foreign("eventport_events", ONE)], scopes: &[] },
    Module {
        name: "ngx_iocp_module",
        directives: &[
            foreign("acceptex_read", Arity::Flag),
            foreign("iocp_threads", ONE),
            foreign("post_acceptex", ONE),
        ],
        scopes: &[],
    },
    Module {
        name: "ngx_kqueue_module",
        directives: &[foreign("kqueue_changes", ONE), foreign("kqueue_events", ONE)],
        scopes: &[],
    },
];

/// Settings of the main block that nothing reads yet, but for the checks.
#[derive(Default)]
pub struct Tuning {
    debug_points: Option<bool>,
    core: Option<u64>,
    profiles: Option<Word>,
    engine: Option<Word>,
    pools: Vec<Word>,
    /// How many masks `worker_cpu_affinity` gives; 0 where it says `auto`.
    pub masks: Option<usize>,
}

impl Tuning {
    /// The pools that `thread_pool` defines.
    pub fn pools(&self) -> &[Word] {
        &self.pools
    }
}

impl Conf for Tuning {
    fn inherit(&mut self, _: &Self) {}
}

/// The same of the events block.
#[derive(Default)]
pub struct Waiting {
    epoll_events: Option<u64>,
    aio_requests: Option<u64>,
}

impl Conf for Waiting {
    fn inherit(&mut self, _: &Self) {}
}

fn unknown(cx: &mut Setting<'_>, _: &mut Waiting, _: &Statement) -> Result<(), Diagnostic> {
    let text = format!("unknown directive \"{}\"", cx.row.name);
    Err(Diagnostic::emerg(text).help("it belongs to nginx on another system"))
}

/// As many processors as a mask may name.
const PROCESSORS: usize = 1024;

fn worker_cpu_affinity(cx: &mut Setting<'_>, conf: &mut Tuning, statement: &Statement) -> Result<(), Diagnostic> {
    if conf.masks.is_some() {
        return Err(cx.duplicate());
    }
    let automatic = statement.arguments().first().is_some_and(|word| word.is("auto"));
    let masks = statement.arguments().get(usize::from(automatic)..).unwrap_or_default();
    if automatic && masks.len() > 1 {
        return Err(Diagnostic::emerg("invalid number of arguments in \"worker_cpu_affinity\" directive"));
    }
    for mask in masks {
        if mask.bytes.len() > PROCESSORS {
            let text = format!("\"worker_cpu_affinity\" supports up to {PROCESSORS} CPUs only");
            return Err(Diagnostic::emerg(text).point(mask.span));
        }
        if let Some(bad) = mask.bytes.iter().rev().find(|byte| !matches!(byte, b' ' | b'0' | b'1')) {
            let text = format!("invalid character \"{}\" in \"worker_cpu_affinity\"", char::from(*bad));
            return Err(Diagnostic::emerg(text).point(mask.span));
        }
    }
    conf.masks = Some(if automatic { 0 } else { masks.len() });
    Ok(())
}

/// Where OpenSSL looks for engines.
const ENGINES: &str = "/usr/lib/x86_64-linux-gnu/engines-3/";

fn ssl_engine(cx: &mut Setting<'_>, conf: &mut Tuning, statement: &Statement) -> Result<(), Diagnostic> {
    if conf.engine.is_some() {
        return Err(cx.duplicate());
    }
    let Some(word) = statement.arguments().first() else { return Ok(()) };
    conf.engine = Some(word.clone());
    let (id, file) = (word.text(), format!("{ENGINES}{}.so", word.text()));
    if ["dynamic", "rdrand"].contains(&&*id) {
        return Ok(());
    }
    let text = format!(
        "ENGINE_by_id(\"{id}\") failed (SSL: error:12800067:DSO support routines::could not load the shared \
         library:filename({file}): {file}: cannot open shared object file: No such file or directory \
         error:12800067:DSO support routines::could not load the shared library error:13000084:engine routines::dso \
         not found error:13000074:engine routines::no such engine:id={id})"
    );
    Err(Diagnostic::emerg(text).unlined().help("rnginx has no engines"))
}

fn thread_pool(_: &mut Setting<'_>, conf: &mut Tuning, statement: &Statement) -> Result<(), Diagnostic> {
    let [name, parameters @ ..] = statement.arguments() else { return Ok(()) };
    if let Some(first) = conf.pools.iter().find(|pool| pool.bytes == name.bytes) {
        let complaint = Diagnostic::emerg(format!("duplicate thread pool \"{}\"", name.text()));
        return Err(complaint.point(name.span).earlier(Some(first.span)));
    }
    let mut threads = 0;
    for word in parameters {
        let invalid =
            |what: &str| Diagnostic::emerg(format!("invalid {what} value \"{}\"", word.text())).point(word.span);
        if let Some(count) = word.after("threads=") {
            threads = value::number(count).filter(|count| *count > 0).ok_or_else(|| invalid("threads"))?;
        } else if let Some(count) = word.after("max_queue=") {
            value::number(count).ok_or_else(|| invalid("max_queue"))?;
        }
    }
    if threads == 0 {
        return Err(Diagnostic::emerg("\"thread_pool\" must have \"threads\" parameter"));
    }
    // The default pool may be given once too.
    if statement.span.source.0 != u32::MAX {
        conf.pools.push(name.clone());
    }
    Ok(())
}

fn debug_connection(cx: &mut Setting<'_>, _: &mut Waiting, statement: &Statement) -> Result<(), Diagnostic> {
    let text = "\"debug_connection\" is ignored, you need to rebuild nginx using --with-debug option to enable it";
    cx.warn(statement, text);
    Ok(())
}
