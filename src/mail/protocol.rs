//! `ngx_mail_pop3_module`, `ngx_mail_imap_module` and `ngx_mail_smtp_module`: what each protocol offers.

use super::row::row;
use crate::conf::directive::Arity;
use crate::conf::module::{Conf, Module, Scope, inherit};
use crate::conf::slot::{List, Mask, Size, Time};
use crate::conf::tree::Word;
use crate::session::contexts::MAIL_ANY;
use std::time::Duration;

/// What a server speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// POP3.
    Pop3,
    /// IMAP.
    Imap,
    /// SMTP.
    Smtp,
}

impl Protocol {
    /// The protocol of that name.
    pub fn named(name: &str) -> Option<Self> {
        match name {
            "pop3" => Some(Self::Pop3),
            "imap" => Some(Self::Imap),
            "smtp" => Some(Self::Smtp),
            _ => None,
        }
    }

    /// The protocol usually spoken on a port.
    pub const fn on(port: u16) -> Option<Self> {
        match port {
            110 | 995 => Some(Self::Pop3),
            143 | 993 => Some(Self::Imap),
            25 | 465 | 587 => Some(Self::Smtp),
            _ => None,
        }
    }
}

const ONE: Arity = Arity::Exactly(1);
const SOME: Arity = Arity::AtLeast(1);

/// The three modules.
pub const MODULES: [Module; 3] = [
    Module {
        name: "ngx_mail_pop3_module",
        directives: &[
            row(
                "pop3_auth",
                MAIL_ANY,
                SOME,
                &Mask(
                    |c: &mut Offers| &mut c.pop3_auth,
                    &[("plain", 2), ("apop", 8), ("cram-md5", 16), ("external", 32)],
                ),
            )
            .default("plain")
            .doc("Sets how POP3 clients may authenticate."),
            row("pop3_capabilities", MAIL_ANY, SOME, &List(|c: &mut Offers| &mut c.pop3_capabilities))
                .default("TOP USER UIDL")
                .doc("Sets what CAPA answers."),
        ],
        scopes: &[Scope::of::<Offers>(MAIL_ANY)],
    },
    Module {
        name: "ngx_mail_imap_module",
        directives: &[
            row("imap_client_buffer", MAIL_ANY, ONE, &Size(|c: &mut Offers| &mut c.imap_buffer))
                .default("4k")
                .doc("Sets the buffer for a client's commands."),
            row(
                "imap_auth",
                MAIL_ANY,
                SOME,
                &Mask(
                    |c: &mut Offers| &mut c.imap_auth,
                    &[("plain", 2), ("login", 4), ("cram-md5", 16), ("external", 32)],
                ),
            )
            .default("plain")
            .doc("Sets how IMAP clients may authenticate."),
            row("imap_capabilities", MAIL_ANY, SOME, &List(|c: &mut Offers| &mut c.imap_capabilities))
                .default("IMAP4 IMAP4rev1 UIDPLUS")
                .doc("Sets what CAPABILITY answers."),
        ],
        scopes: &[],
    },
    Module {
        name: "ngx_mail_smtp_module",
        directives: &[
            row("smtp_client_buffer", MAIL_ANY, ONE, &Size(|c: &mut Offers| &mut c.smtp_buffer))
                .default("4k")
                .doc("Sets the buffer for a client's commands."),
            row("smtp_greeting_delay", MAIL_ANY, ONE, &Time(|c: &mut Offers| &mut c.greeting_delay))
                .default("0")
                .doc("Sets how long a client must wait for its greeting."),
            row("smtp_capabilities", MAIL_ANY, SOME, &List(|c: &mut Offers| &mut c.smtp_capabilities))
                .doc("Sets what EHLO answers."),
            row(
                "smtp_auth",
                MAIL_ANY,
                SOME,
                &Mask(
                    |c: &mut Offers| &mut c.smtp_auth,
                    &[("plain", 2), ("login", 4), ("cram-md5", 16), ("external", 32), ("none", 64)],
                ),
            )
            .default("plain login")
            .doc("Sets how SMTP clients may authenticate."),
        ],
        scopes: &[],
    },
];

/// What the protocols offer.
#[derive(Default)]
pub struct Offers {
    pop3_auth: Option<u32>,
    pop3_capabilities: Vec<Word>,
    imap_buffer: Option<u64>,
    imap_auth: Option<u32>,
    imap_capabilities: Vec<Word>,
    smtp_buffer: Option<u64>,
    greeting_delay: Option<Duration>,
    smtp_capabilities: Vec<Word>,
    smtp_auth: Option<u32>,
}

impl Conf for Offers {
    fn inherit(&mut self, outer: &Self) {
        inherit!(self, outer; list pop3_capabilities, imap_capabilities, smtp_capabilities; pop3_auth, imap_auth);
        inherit!(self, outer; imap_buffer, smtp_buffer, greeting_delay, smtp_auth);
    }
}
