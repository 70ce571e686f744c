//! `allow` and `deny`, in http and in stream: the first rule that fits the client decides.

use crate::conf::diagnostic::Diagnostic;
use crate::conf::directive::{Arity, Contexts, Directive};
use crate::conf::module::{Conf, Module, Scope, inherit};
use crate::conf::slot::Custom;
use crate::conf::tree::Statement;
use crate::conf::value::{self, Network};
use crate::conf::walk::Setting;
use crate::net::address::Address;
use crate::session::contexts::{HTTP_ANY, HTTP_LEVELS, LIMIT_EXCEPT, STREAM_ANY};

/// The rows of both products.
pub const MODULES: [Module; 2] = [
    Module {
        name: "ngx_http_access_module",
        directives: &directives(HTTP_ANY.or(LIMIT_EXCEPT)),
        scopes: &[Scope::of::<Rules>(HTTP_LEVELS.or(STREAM_ANY))],
    },
    Module { name: "ngx_stream_access_module", directives: &directives(STREAM_ANY), scopes: &[] },
];

const fn directives(contexts: Contexts) -> [Directive; 2] {
    [
        Directive::new("allow", contexts, Arity::Exactly(1), &Custom(rule))
            .words(&["all", "unix:"])
            .doc("Lets clients of a network in."),
        Directive::new("deny", contexts, Arity::Exactly(1), &Custom(rule))
            .words(&["all", "unix:"])
            .doc("Keeps clients of a network out."),
    ]
}

/// Whom a rule is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Whom {
    All,
    Unix,
    Network(Network),
}

/// Rules in order: whom, and whether they are refused.
#[derive(Clone, Debug, Default)]
pub struct Rules {
    rules: Vec<(Whom, bool)>,
}

impl Conf for Rules {
    fn inherit(&mut self, outer: &Self) {
        inherit!(self, outer; list rules);
    }
}

impl Rules {
    /// Whether there is no rule.
    pub const fn is_empty(&self) -> bool {
        self.rules.is_empty()
    }

    /// What the first fitting rule says: let in (true), kept out (false), or nothing.
    pub fn verdict(&self, client: &Address) -> Option<bool> {
        self.rules
            .iter()
            .find(|(whom, _)| match (whom, client) {
                (Whom::All, _) | (Whom::Unix, Address::Unix(_)) => true,
                (Whom::Network(network), Address::Ip(address)) => network.holds(address.ip()),
                _ => false,
            })
            .map(|(_, deny)| !deny)
    }
}

fn rule(cx: &mut Setting<'_>, conf: &mut Rules, statement: &Statement) -> Result<(), Diagnostic> {
    let Some(word) = statement.words.get(1) else { return Ok(()) };
    let whom = if word.is("all") {
        Whom::All
    } else if word.is("unix:") {
        Whom::Unix
    } else {
        let Some((network, odd)) = value::network(&word.bytes) else {
            return Err(Diagnostic::emerg(format!("invalid parameter \"{}\"", word.text())).point(word.span));
        };
        if odd {
            cx.warn(statement, format!("low address bits of {} are meaningless", word.text()));
        }
        Whom::Network(network)
    };
    conf.rules.push((whom, cx.row.name == "deny"));
    Ok(())
}
