//! `ngx_mail_core_module`: servers, their addresses and protocols.

use super::listen;
use super::protocol::Protocol;
use super::row::row;
use super::settings::{MailConf, Main, Server};
use crate::conf::diagnostic::Diagnostic;
use crate::conf::directive::{Arity, Directive, Opens};
use crate::conf::effect::{Need, Omission};
use crate::conf::module::{Module, Scope};
use crate::conf::slot::{Block, Custom, Number, Text, Time};
use crate::conf::tree::Statement;
use crate::conf::walk::{Levels, Setting};
use crate::session::contexts::{MAIL, MAIL_ANY, MAIL_SERVER, MAIN};
use crate::session::errorlog;
use crate::session::resolver;

/// The module.
pub const MODULE: Module = Module {
    name: "ngx_mail_core_module",
    directives: DIRECTIVES,
    scopes: &[Scope::of::<Main>(MAIL), Scope::of::<MailConf>(MAIL_ANY), Scope::of::<Server>(MAIL_SERVER)],
};

const ONE: Arity = Arity::Exactly(1);

const DIRECTIVES: &[Directive] = &[
    row("mail", MAIN, Arity::Block(0, 0, Opens::Context(MAIL)), &Block(mail, |_| Ok(())))
        .omitted(Omission::Withholds("its addresses are not opened"))
        .needs(Need::Where(has_server, "it has no server"))
        .doc("Opens the block of the mail proxy."),
    row("server", MAIL, Arity::Block(0, 0, Opens::Context(MAIL_SERVER)), &Block(|_, _: &mut Server, _| Ok(()), close))
        .doc("Opens a server of one protocol."),
    row("listen", MAIL_SERVER, Arity::AtLeast(1), &Custom(listen::listen))
        .words(listen::WORDS)
        .doc("Sets an address and port, or a socket path, on which the server takes connections."),
    row("protocol", MAIL_SERVER, ONE, &Custom(protocol)).doc("Sets the protocol where the port does not tell it."),
    row("server_name", MAIL_ANY, ONE, &Text(|c: &mut MailConf| &mut c.server_name))
        .doc("Sets the name clients are greeted with."),
    row("timeout", MAIL_ANY, ONE, &Time(|c: &mut MailConf| &mut c.timeout))
        .default("60s")
        .doc("Sets how long a client may be silent before it is proxied."),
    row("max_errors", MAIL_ANY, ONE, &Number(|c: &mut MailConf| &mut c.max_errors, 0..=u64::MAX))
        .default("5")
        .since("1.21.0")
        .doc("Sets how many protocol errors a client may make."),
    row("resolver", MAIL_ANY, Arity::AtLeast(1), &Custom(resolver))
        .words(&["valid=", "ipv4=", "ipv6="])
        .doc("Sets the name servers that find clients' host names."),
    row("resolver_timeout", MAIL_ANY, ONE, &Time(|c: &mut MailConf| &mut c.resolver_timeout))
        .default("30s")
        .doc("Sets how long finding a name may take."),
    row("error_log", MAIL_ANY, Arity::AtLeast(1), &Custom(error_log))
        .words(errorlog::WORDS)
        .doc("Sets where errors are logged, and from which level on."),
];

fn has_server(levels: &Levels<'_>) -> bool {
    levels.level.children.iter().any(|level| level.context == MAIL && !level.children.is_empty())
}

fn mail(cx: &mut Setting<'_>, _: &mut Main, _: &Statement) -> Result<(), Diagnostic> {
    let again = cx.around().is_some_and(|main| main.children.iter().any(|level| level.context == MAIL));
    if again { Err(cx.duplicate()) } else { Ok(()) }
}

fn close(cx: &mut Setting<'_>) -> Result<(), Diagnostic> {
    let span = cx.level().and_then(|level| level.span);
    match (cx.conf::<Server>(), span) {
        (Some(server), Some(span)) if server.listens.is_empty() => {
            Err(Diagnostic::emerg("no \"listen\" is defined for server").at(span))
        }
        _ => Ok(()),
    }
}

fn protocol(_: &mut Setting<'_>, conf: &mut Server, statement: &Statement) -> Result<(), Diagnostic> {
    let Some(word) = statement.arguments().first() else { return Ok(()) };
    let found = Protocol::named(&word.text());
    let unknown = || Diagnostic::emerg(format!("unknown protocol \"{}\"", word.text())).point(word.span);
    conf.protocol = Some(found.ok_or_else(unknown)?);
    Ok(())
}

fn resolver(cx: &mut Setting<'_>, conf: &mut MailConf, statement: &Statement) -> Result<(), Diagnostic> {
    if conf.resolver.is_some() {
        return Err(cx.duplicate());
    }
    let off = statement.arguments().first().is_some_and(|word| word.is("off"));
    conf.resolver = Some(if off { None } else { Some(resolver::parse(statement)?) });
    Ok(())
}

fn error_log(cx: &mut Setting<'_>, conf: &mut MailConf, statement: &Statement) -> Result<(), Diagnostic> {
    let target = errorlog::parse(cx, statement)?;
    conf.error_logs.push(target);
    Ok(())
}
