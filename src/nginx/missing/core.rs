//! The modules outside http, stream and mail: the program itself and its events.

use super::{FLAG, ONE, SOME};
use crate::conf::directive::{Arity, Directive, Opens};
use crate::conf::module::Module;
use crate::session::contexts::{ANYWHERE, EVENTS, HTTP, MAIL, MAIN, STREAM};

/// The modules of this file.
pub const MODULES: &[Module] = &[
    Module { name: "ngx_conf_module", directives: &[Directive::missing("include", ANYWHERE, ONE)], scopes: &[] },
    Module {
        name: "ngx_core_module",
        directives: &[
            Directive::missing("daemon", MAIN, FLAG),
            Directive::missing("debug_points", MAIN, ONE),
            Directive::missing("env", MAIN, ONE),
            Directive::missing("load_module", MAIN, ONE),
            Directive::missing("lock_file", MAIN, ONE),
            Directive::missing("master_process", MAIN, FLAG),
            Directive::missing("pid", MAIN, ONE),
            Directive::missing("timer_resolution", MAIN, ONE),
            Directive::missing("user", MAIN, Arity::Between(1, 2)),
            Directive::missing("worker_cpu_affinity", MAIN, SOME),
            Directive::missing("worker_priority", MAIN, ONE),
            Directive::missing("worker_processes", MAIN, ONE),
            Directive::missing("worker_rlimit_core", MAIN, ONE),
            Directive::missing("worker_rlimit_nofile", MAIN, ONE),
            Directive::missing("worker_shutdown_timeout", MAIN, ONE),
            Directive::missing("working_directory", MAIN, ONE),
        ],
        scopes: &[],
    },
    Module { name: "ngx_errlog_module", directives: &[Directive::missing("error_log", MAIN, SOME)], scopes: &[] },
    Module { name: "ngx_openssl_module", directives: &[Directive::missing("ssl_engine", MAIN, ONE)], scopes: &[] },
    Module { name: "ngx_regex_module", directives: &[Directive::missing("pcre_jit", MAIN, FLAG)], scopes: &[] },
    Module {
        name: "ngx_thread_pool_module",
        directives: &[Directive::missing("thread_pool", MAIN, Arity::Between(2, 3))],
        scopes: &[],
    },
    Module {
        name: "ngx_epoll_module",
        directives: &[
            Directive::missing("epoll_events", EVENTS, ONE),
            Directive::missing("worker_aio_requests", EVENTS, ONE),
        ],
        scopes: &[],
    },
    Module {
        name: "ngx_event_core_module",
        directives: &[
            Directive::missing("accept_mutex", EVENTS, FLAG),
            Directive::missing("accept_mutex_delay", EVENTS, ONE),
            Directive::missing("debug_connection", EVENTS, ONE),
            Directive::missing("multi_accept", EVENTS, FLAG),
            Directive::missing("use", EVENTS, ONE),
            Directive::missing("worker_connections", EVENTS, ONE),
        ],
        scopes: &[],
    },
    Module {
        name: "ngx_events_module",
        directives: &[Directive::missing("events", MAIN, Arity::Block(0, 0, Opens::Context(EVENTS)))],
        scopes: &[],
    },
    Module {
        name: "ngx_http_module",
        directives: &[Directive::missing("http", MAIN, Arity::Block(0, 0, Opens::Context(HTTP)))],
        scopes: &[],
    },
    Module {
        name: "ngx_mail_module",
        directives: &[Directive::missing("mail", MAIN, Arity::Block(0, 0, Opens::Context(MAIL)))],
        scopes: &[],
    },
    Module {
        name: "ngx_stream_module",
        directives: &[Directive::missing("stream", MAIN, Arity::Block(0, 0, Opens::Context(STREAM)))],
        scopes: &[],
    },
    Module {
        name: "ngx_google_perftools_module",
        directives: &[Directive::missing("google_perftools_profiles", MAIN, ONE)],
        scopes: &[],
    },
    Module {
        name: "ngx_devpoll_module",
        directives: &[
            Directive::missing("devpoll_changes", EVENTS, ONE),
            Directive::missing("devpoll_events", EVENTS, ONE),
        ],
        scopes: &[],
    },
    Module {
        name: "ngx_eventport_module",
        directives: &[Directive::missing("eventport_events", EVENTS, ONE)],
        scopes: &[],
    },
    Module {
        name: "ngx_iocp_module",
        directives: &[
            Directive::missing("acceptex_read", EVENTS, FLAG),
            Directive::missing("iocp_threads", EVENTS, ONE),
            Directive::missing("post_acceptex", EVENTS, ONE),
        ],
        scopes: &[],
    },
    Module {
        name: "ngx_kqueue_module",
        directives: &[
            Directive::missing("kqueue_changes", EVENTS, ONE),
            Directive::missing("kqueue_events", EVENTS, ONE),
        ],
        scopes: &[],
    },
];
