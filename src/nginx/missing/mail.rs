//! The mail proxy.

use super::{FLAG, ONE, SOME, TWO};
use crate::conf::directive::{Arity, Directive, Opens};
use crate::conf::module::Module;
use crate::session::contexts::{MAIL, MAIL_ANY, MAIL_SERVER};

/// The modules of this file.
pub const MODULES: &[Module] = &[
    Module {
        name: "ngx_mail_auth_http_module",
        directives: &[
            Directive::missing("auth_http", MAIL_ANY, ONE),
            Directive::missing("auth_http_header", MAIL_ANY, TWO),
            Directive::missing("auth_http_pass_client_cert", MAIL_ANY, FLAG),
            Directive::missing("auth_http_timeout", MAIL_ANY, ONE),
        ],
        scopes: &[],
    },
    Module {
        name: "ngx_mail_core_module",
        directives: &[
            Directive::missing("error_log", MAIL_ANY, SOME),
            Directive::missing("listen", MAIL_SERVER, SOME),
            Directive::missing("max_errors", MAIL_ANY, ONE),
            Directive::missing("protocol", MAIL_SERVER, ONE),
            Directive::missing("resolver", MAIL_ANY, SOME),
            Directive::missing("resolver_timeout", MAIL_ANY, ONE),
            Directive::missing("server", MAIL, Arity::Block(0, 0, Opens::Context(MAIL_SERVER))),
            Directive::missing("server_name", MAIL_ANY, ONE),
            Directive::missing("timeout", MAIL_ANY, ONE),
        ],
        scopes: &[],
    },
    Module {
        name: "ngx_mail_imap_module",
        directives: &[
            Directive::missing("imap_auth", MAIL_ANY, SOME),
            Directive::missing("imap_capabilities", MAIL_ANY, SOME),
            Directive::missing("imap_client_buffer", MAIL_ANY, ONE),
        ],
        scopes: &[],
    },
    Module {
        name: "ngx_mail_pop3_module",
        directives: &[
            Directive::missing("pop3_auth", MAIL_ANY, SOME),
            Directive::missing("pop3_capabilities", MAIL_ANY, SOME),
        ],
        scopes: &[],
    },
    Module {
        name: "ngx_mail_proxy_module",
        directives: &[
            Directive::missing("proxy", MAIL_ANY, FLAG),
            Directive::missing("proxy_buffer", MAIL_ANY, ONE),
            Directive::missing("proxy_pass_error_message", MAIL_ANY, FLAG),
            Directive::missing("proxy_protocol", MAIL_ANY, FLAG),
            Directive::missing("proxy_smtp_auth", MAIL_ANY, FLAG),
            Directive::missing("proxy_timeout", MAIL_ANY, ONE),
            Directive::missing("xclient", MAIL_ANY, FLAG),
        ],
        scopes: &[],
    },
    Module {
        name: "ngx_mail_realip_module",
        directives: &[Directive::missing("set_real_ip_from", MAIL_ANY, ONE)],
        scopes: &[],
    },
    Module {
        name: "ngx_mail_smtp_module",
        directives: &[
            Directive::missing("smtp_auth", MAIL_ANY, SOME),
            Directive::missing("smtp_capabilities", MAIL_ANY, SOME),
            Directive::missing("smtp_client_buffer", MAIL_ANY, ONE),
            Directive::missing("smtp_greeting_delay", MAIL_ANY, ONE),
        ],
        scopes: &[],
    },
];
