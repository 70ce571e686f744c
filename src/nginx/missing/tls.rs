//! Termination of TLS, in http, mail and stream.

use super::{FLAG, ONE, SOME, TWO};
use crate::conf::directive::{Arity, Directive};
use crate::conf::module::Module;
use crate::session::contexts::{HTTP_SERVER, MAIL_ANY, STREAM_ANY};

/// The rows of every server that terminates TLS.
macro_rules! tls {
    ($module:literal, $contexts:expr) => {
        Module {
            name: $module,
            directives: &[
                Directive::missing("ssl_certificate", $contexts, ONE),
                Directive::missing("ssl_certificate_key", $contexts, ONE),
                Directive::missing("ssl_ciphers", $contexts, ONE),
                Directive::missing("ssl_client_certificate", $contexts, ONE),
                Directive::missing("ssl_conf_command", $contexts, TWO),
                Directive::missing("ssl_crl", $contexts, ONE),
                Directive::missing("ssl_dhparam", $contexts, ONE),
                Directive::missing("ssl_ecdh_curve", $contexts, ONE),
                Directive::missing("ssl_password_file", $contexts, ONE),
                Directive::missing("ssl_prefer_server_ciphers", $contexts, FLAG),
                Directive::missing("ssl_protocols", $contexts, SOME),
                Directive::missing("ssl_session_cache", $contexts, Arity::Between(1, 2)),
                Directive::missing("ssl_session_ticket_key", $contexts, ONE),
                Directive::missing("ssl_session_tickets", $contexts, FLAG),
                Directive::missing("ssl_session_timeout", $contexts, ONE),
                Directive::missing("ssl_trusted_certificate", $contexts, ONE),
                Directive::missing("ssl_verify_client", $contexts, ONE),
                Directive::missing("ssl_verify_depth", $contexts, ONE),
            ],
            scopes: &[],
        }
    };
}

/// The modules of this file.
pub const MODULES: &[Module] = &[
    tls!("ngx_http_ssl_module", HTTP_SERVER),
    Module {
        name: "ngx_http_ssl_module",
        directives: &[
            Directive::missing("ssl", HTTP_SERVER, FLAG),
            Directive::missing("ssl_buffer_size", HTTP_SERVER, ONE),
            Directive::missing("ssl_early_data", HTTP_SERVER, FLAG),
            Directive::missing("ssl_ocsp", HTTP_SERVER, FLAG),
            Directive::missing("ssl_ocsp_cache", HTTP_SERVER, ONE),
            Directive::missing("ssl_ocsp_responder", HTTP_SERVER, ONE),
            Directive::missing("ssl_reject_handshake", HTTP_SERVER, FLAG),
            Directive::missing("ssl_stapling", HTTP_SERVER, FLAG),
            Directive::missing("ssl_stapling_file", HTTP_SERVER, ONE),
            Directive::missing("ssl_stapling_responder", HTTP_SERVER, ONE),
            Directive::missing("ssl_stapling_verify", HTTP_SERVER, FLAG),
        ],
        scopes: &[],
    },
    tls!("ngx_mail_ssl_module", MAIL_ANY),
    Module {
        name: "ngx_mail_ssl_module",
        directives: &[Directive::missing("ssl", MAIL_ANY, FLAG), Directive::missing("starttls", MAIL_ANY, ONE)],
        scopes: &[],
    },
    tls!("ngx_stream_ssl_module", STREAM_ANY),
    Module {
        name: "ngx_stream_ssl_module",
        directives: &[
            Directive::missing("ssl_alpn", STREAM_ANY, SOME),
            Directive::missing("ssl_handshake_timeout", STREAM_ANY, ONE),
        ],
        scopes: &[],
    },
];
