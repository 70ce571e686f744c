//! `ngx_http_rewrite_module`: `set`, `if`, `rewrite`, `return` and `break`, one program a place.
//!
//! The rules of an `if` are part of the program of the block it is in; in a location it is also a place of its own,
//! whose settings hold for the rest of the request once it was entered.

mod compile;
mod condition;
mod replace;
mod run;

use crate::conf::diagnostic::Diagnostic;
use crate::conf::directive::{Arity, Directive, Opens};
use crate::conf::module::{Conf, Scope, inherit};
use crate::conf::slot::{Block, Custom, Flag};
use crate::conf::source::Span;
use crate::conf::tree::{Statement, Word};
use crate::conf::value;
use crate::conf::walk::Setting;
use crate::http::heart::module::Module;
use crate::script::regex::Expression;
use crate::session::contexts::{HTTP_ANY, HTTP_LEVELS, IF_IN_LOCATION, IF_IN_SERVER, LOCATION, SERVER};
use crate::session::pattern;
use crate::session::used;
use condition::Condition;
use std::sync::Arc;

/// The module.
pub fn modules() -> Vec<Module> {
    vec![Module::new(MODULE).declare(compile::declare).install(compile::install)]
}

const PLACES: crate::conf::directive::Contexts = SERVER.or(LOCATION).or(IF_IN_SERVER).or(IF_IN_LOCATION);

const FLAGS: crate::conf::directive::Contexts = HTTP_ANY.or(IF_IN_SERVER).or(IF_IN_LOCATION);

const IF: Block<Rules> = Block(condition::if_, |_| Ok(()));

const MODULE: crate::conf::module::Module = crate::conf::module::Module {
    name: "ngx_http_rewrite_module",
    directives: &[
        Directive::new("return", PLACES, Arity::Between(1, 2), &Custom(return_))
            .doc("Ends a request with a status, and a text or the address to go to."),
        Directive::new("break", PLACES, Arity::Exactly(0), &Custom(break_))
            .doc("Ends the rules of the place; the path stays as it is."),
        Directive::new("rewrite", PLACES, Arity::Between(2, 3), &Custom(rewrite))
            .words(&["last", "break", "redirect", "permanent"])
            .doc("Replaces the path where an expression matches it, or redirects there."),
        Directive::new("if", SERVER, Arity::BlockAtLeast(1, Opens::Context(IF_IN_SERVER)), &IF)
            .doc("Opens rules for requests that a condition fits."),
        Directive::new("if", LOCATION, Arity::BlockAtLeast(1, Opens::Context(IF_IN_LOCATION)), &IF).doc(
            "Opens rules and settings for requests that a condition fits; of several, the last one's settings hold.",
        ),
        Directive::new("rewrite_log", FLAGS, Arity::Flag, &Flag(|c: &mut Rules| &mut c.log))
            .default("off")
            .doc("Logs what the rules do, at level notice."),
        Directive::new("uninitialized_variable_warn", FLAGS, Arity::Flag, &Flag(|c: &mut Rules| &mut c.warn))
            .default("on")
            .doc("Logs the use of variables that no rule has given a value."),
        Directive::new("set", PLACES, Arity::Exactly(2), &Custom(set)).doc("Gives a variable a value."),
    ],
    scopes: &[Scope::of::<Rules>(HTTP_LEVELS)],
};

/// A rule as written, and where.
struct Rule {
    what: What,
    span: Span,
}

/// What a rule does.
enum What {
    Return {
        status: u16,
        text: Option<Word>,
    },
    Set {
        name: Word,
        value: Word,
    },
    Break,
    Rewrite {
        pattern: Pattern,
        replacement: Word,
        end: End,
    },
    /// The rules of an `if`, by its number in the place.
    If(usize),
}

/// An expression as written, and compiled.
struct Pattern {
    word: Word,
    expression: Arc<Expression>,
}

/// What follows a rewrite that took place.
#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    /// The next rule.
    Next,
    /// The search for the location.
    Last,
    /// The location's other settings.
    Break,
    /// The client, with this status.
    Redirect(u16),
}

/// Rules in the order written; never inherited.
#[derive(Default)]
struct Rules {
    rules: Vec<Rule>,
    /// Of an `if`.
    condition: Option<Condition>,
    log: Option<bool>,
    warn: Option<bool>,
}

impl Conf for Rules {
    fn inherit(&mut self, outer: &Self) {
        inherit!(self, outer; log, warn);
    }
}

/// Compiles an expression.
fn expression(word: &Word, caseless: bool) -> Result<Pattern, Diagnostic> {
    let expression = pattern::compile(word, &word.text(), caseless)?;
    Ok(Pattern { word: word.clone(), expression: Arc::new(expression) })
}

fn return_(cx: &mut Setting<'_>, conf: &mut Rules, statement: &Statement) -> Result<(), Diagnostic> {
    let [first, rest @ ..] = statement.arguments() else { return Ok(()) };
    let (status, text) = match (value::number(&first.bytes), rest) {
        (None, []) if is_address(&first.bytes) => (302, Some(first.clone())),
        (Some(code @ 0..=999), []) => (code as u16, None),
        (Some(code @ 0..=999), [text]) => (code as u16, Some(text.clone())),
        _ => {
            let text = format!("invalid return code \"{}\"", first.text());
            return Err(Diagnostic::emerg(text).point(first.span));
        }
    };
    if let Some(text) = &text {
        used::word(cx, text)?;
    }
    conf.rules.push(Rule { what: What::Return { status, text }, span: statement.span });
    Ok(())
}

/// Whether a text is the address of another server, to which the client is sent.
fn is_address(text: &[u8]) -> bool {
    text.starts_with(b"http://") || text.starts_with(b"https://") || text.starts_with(b"$scheme")
}

fn break_(_: &mut Setting<'_>, conf: &mut Rules, statement: &Statement) -> Result<(), Diagnostic> {
    conf.rules.push(Rule { what: What::Break, span: statement.span });
    Ok(())
}

fn rewrite(cx: &mut Setting<'_>, conf: &mut Rules, statement: &Statement) -> Result<(), Diagnostic> {
    let [pattern, replacement, rest @ ..] = statement.arguments() else { return Ok(()) };
    if replacement.bytes.is_empty() {
        return Err(Diagnostic::emerg("empty replacement").point(replacement.span));
    }
    let pattern = expression(pattern, false)?;
    let end = match rest.first() {
        None => None,
        Some(word) => Some(match &*word.bytes {
            b"last" => End::Last,
            b"break" => End::Break,
            b"redirect" => End::Redirect(302),
            b"permanent" => End::Redirect(301),
            _ => return Err(Diagnostic::emerg(format!("invalid parameter \"{}\"", word.text())).point(word.span)),
        }),
    };
    let end = match end {
        Some(redirect @ End::Redirect(_)) => redirect,
        _ if is_address(&replacement.bytes) => End::Redirect(302),
        end => end.unwrap_or(End::Next),
    };
    used::word(cx, replacement)?;
    let what = What::Rewrite { pattern, replacement: replacement.clone(), end };
    conf.rules.push(Rule { what, span: statement.span });
    Ok(())
}

fn set(cx: &mut Setting<'_>, conf: &mut Rules, statement: &Statement) -> Result<(), Diagnostic> {
    let [name, value] = statement.arguments() else { return Ok(()) };
    let own = used::name(name)?;
    used::uses(cx, &own);
    used::word(cx, value)?;
    conf.rules.push(Rule { what: What::Set { name: name.clone(), value: value.clone() }, span: statement.span });
    Ok(())
}
