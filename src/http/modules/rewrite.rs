//! `ngx_http_rewrite_module`: `return` and `set` are served; `if`, `rewrite` and `break` are checked.

mod condition;

use crate::conf::diagnostic::Diagnostic;
use crate::conf::directive::{Arity, Directive, Opens};
use crate::conf::module::{Conf, Scope, inherit};
use crate::conf::slot::{Block, Custom, Flag};
use crate::conf::source::Span;
use crate::conf::tree::{Statement, Word};
use crate::conf::value;
use crate::conf::walk::{Levels, Setting};
use crate::http::module::{Compile, Module, Place, Text};
use crate::http::phase::{Flow, Handler, Phase};
use crate::http::request::Request;
use crate::http::response::Content;
use crate::script::regex::Expression;
use crate::session::used;
use crate::script::variable::{Assign, Definition, SlotId};
use std::sync::Arc;
use crate::session::contexts::{HTTP_ANY, HTTP_LEVELS, IF_IN_LOCATION, IF_IN_SERVER, LOCATION, SERVER};

/// The module.
pub fn modules() -> Vec<Module> {
    vec![Module::new(MODULE).declare(declare).install(install)]
}

const PLACES: crate::conf::directive::Contexts = SERVER.or(LOCATION).or(IF_IN_SERVER).or(IF_IN_LOCATION);

const FLAGS: crate::conf::directive::Contexts = HTTP_ANY.or(IF_IN_SERVER).or(IF_IN_LOCATION);

const IF: Block<Rules> = Block(condition::if_, |_| Ok(()));

const MODULE: crate::conf::module::Module = crate::conf::module::Module {
    name: "ngx_http_rewrite_module",
    directives: &[
        Directive::new("return", PLACES, Arity::Between(1, 2), &Custom(return_))
            .doc("Ends a request with a status, and a text or the address to go to."),
        Directive::checked("break", PLACES, Arity::Exactly(0), &Custom(|_, _: &mut Rules, _| Ok(())))
            .doc("Ends the rules of the place."),
        Directive::checked("rewrite", PLACES, Arity::Between(2, 3), &Custom(rewrite)).words(&["last", "break", "redirect", "permanent"])
            .doc("Replaces the path where an expression matches it."),
        Directive::checked("if", SERVER, Arity::BlockAtLeast(1, Opens::Context(IF_IN_SERVER)), &IF)
            .doc("Opens rules for requests that a condition fits."),
        Directive::checked("if", LOCATION, Arity::BlockAtLeast(1, Opens::Context(IF_IN_LOCATION)), &IF)
            .doc("Opens rules and settings for requests that a condition fits."),
        Directive::checked("rewrite_log", FLAGS, Arity::Flag, &Flag(|c: &mut Rules| &mut c.log))
            .default("off")
            .doc("Logs what the rules do."),
        Directive::checked("uninitialized_variable_warn", FLAGS, Arity::Flag, &Flag(|c: &mut Rules| &mut c.warn))
            .default("on")
            .doc("Logs the use of variables without a value."),
        Directive::new("set", PLACES, Arity::Exactly(2), &Custom(set)).doc("Gives a variable a value."),
    ],
    scopes: &[Scope::of::<Rules>(HTTP_LEVELS)],
};

/// A rule as written.
#[derive(Clone)]
enum Rule {
    Return { status: u16, text: Option<Word> },
    Set { name: Word, value: Word },
}

/// Rules in the order written; never inherited.
#[derive(Default)]
struct Rules {
    rules: Vec<Rule>,
    /// Names of groups in expressions.
    groups: Vec<(String, Span)>,
    log: Option<bool>,
    warn: Option<bool>,
}

impl Conf for Rules {
    fn inherit(&mut self, outer: &Self) {
        inherit!(self, outer; log, warn);
    }
}

impl Rules {
    /// Checks an expression, and notes the names it brings.
    fn expression(&mut self, word: &Word, caseless: bool) -> Result<(), Diagnostic> {
        let expression = Expression::compile(&word.text(), caseless).map_err(Diagnostic::emerg)?;
        self.groups.extend(expression.names().iter().map(|(_, name)| (name.clone(), word.span)));
        Ok(())
    }
}

/// A rule at work.
enum Step {
    Return(u16, Option<Text>),
    /// A text without variables.
    Literal(u16, Arc<[u8]>),
    Store(SlotId, Text),
    Assign(Assign<Request>, Text),
}

struct Rewrite {
    steps: Vec<Step>,
}

fn name_of(word: &Word) -> String {
    String::from_utf8_lossy(word.after("$").unwrap_or_default()).into_owned()
}

fn declare(levels: &Levels<'_>, cx: &mut Compile<'_, '_>) -> Result<(), Diagnostic> {
    let Some(rules) = levels.level.own::<Rules>() else { return Ok(()) };
    for (name, span) in &rules.groups {
        cx.names.define(name, Definition::Stored).map_err(|text| Diagnostic::emerg(text).at(*span))?;
    }
    for rule in &rules.rules {
        if let Rule::Set { name, .. } = rule {
            let text = name_of(name);
            if cx.names.builtin(&text).is_none_or(|variable| variable.assign.is_none()) {
                cx.names.define(&text, Definition::Stored).map_err(|text| Diagnostic::emerg(text).at(name.span))?;
            }
        }
    }
    Ok(())
}

fn install(levels: &Levels<'_>, place: &mut Place, cx: &mut Compile<'_, '_>) -> Result<(), Diagnostic> {
    let Some(rules) = levels.level.own::<Rules>() else { return Ok(()) };
    let mut steps = Vec::new();
    for rule in &rules.rules {
        steps.push(match rule {
            Rule::Return { status, text: Some(text) }
                if !text.bytes.contains(&b'$') && (*status < 300 || (400..1000).contains(status)) && !matches!(status, 444 | 499) =>
            {
                Step::Literal(*status, text.bytes.as_ref().into())
            }
            Rule::Return { status, text } => Step::Return(*status, text.as_ref().map(|text| cx.text(text)).transpose()?),
            Rule::Set { name, value } => {
                let value = cx.text(value)?;
                match cx.names.builtin(&name_of(name)).and_then(|variable| variable.assign) {
                    Some(assign) => Step::Assign(assign, value),
                    None => {
                        let id = cx.names.define(&name_of(name), Definition::Stored).map_err(Diagnostic::emerg)?;
                        Step::Store(id, value)
                    }
                }
            }
        });
    }
    if !steps.is_empty() {
        let phase = if place.context == SERVER { Phase::ServerRewrite } else { Phase::Rewrite };
        place.step(phase, Rewrite { steps });
    }
    Ok(())
}

impl Handler for Rewrite {
    fn run<'r>(&'r self, request: &'r mut Request) -> Flow<'r> {
        for step in &self.steps {
            match step {
                Step::Store(id, value) => {
                    let text = value.text(request);
                    request.slots.put(*id, &text);
                }
                Step::Assign(assign, value) => {
                    let text = value.text(request);
                    assign(request, &text);
                }
                Step::Literal(status, text) => return literal(request, *status, text),
                Step::Return(status, text) => return answer(request, *status, text.as_ref()),
            }
        }
        Flow::Next
    }
}

/// Answers with a text of the configuration, without copying it before it is sent.
fn literal(request: &mut Request, status: u16, text: &Arc<[u8]>) -> Flow<'static> {
    super::static_::set_content_type(request);
    let response = &mut request.response;
    response.status = status;
    response.length = Some(text.len() as u64);
    response.content = Content::Shared(text.clone());
    Flow::Done
}

fn answer(request: &mut Request, status: u16, text: Option<&Text>) -> Flow<'static> {
    if text.is_none() && status >= 400 || status == 444 {
        return Flow::Finish(status);
    }
    match status {
        301 | 302 | 303 | 307 | 308 => {
            let target = text.map(|text| text.text(request)).unwrap_or_default();
            request.response.redirect(&target);
            Flow::Finish(status)
        }
        499 => Flow::Finish(499),
        _ => {
            request.response.status = status;
            let body = text.map(|text| text.text(request)).unwrap_or_default();
            let kind = super::static_::content_type(request);
            request.response.set(status, &kind, body.into());
            Flow::Done
        }
    }
}

fn return_(cx: &mut Setting<'_>, conf: &mut Rules, statement: &Statement) -> Result<(), Diagnostic> {
    let [first, rest @ ..] = statement.arguments() else { return Ok(()) };
    let rule = match (value::number(&first.bytes), rest) {
        (None, []) => {
            let text = &first.bytes;
            let url = text.starts_with(b"http://") || text.starts_with(b"https://") || text.starts_with(b"$scheme");
            if !url {
                let text = format!("invalid return code \"{}\"", first.text());
                return Err(Diagnostic::emerg(text).point(first.span));
            }
            Rule::Return { status: 302, text: Some(first.clone()) }
        }
        (Some(code @ 0..=999), []) => Rule::Return { status: code as u16, text: None },
        (Some(code @ 0..=999), [text]) => Rule::Return { status: code as u16, text: Some(text.clone()) },
        _ => {
            let text = format!("invalid return code \"{}\"", first.text());
            return Err(Diagnostic::emerg(text).point(first.span));
        }
    };
    if let Rule::Return { text: Some(text), .. } = &rule {
        used::word(cx, text)?;
    }
    conf.rules.push(rule);
    Ok(())
}

fn rewrite(cx: &mut Setting<'_>, conf: &mut Rules, statement: &Statement) -> Result<(), Diagnostic> {
    let [pattern, replacement, rest @ ..] = statement.arguments() else { return Ok(()) };
    if replacement.bytes.is_empty() {
        return Err(Diagnostic::emerg("empty replacement").point(replacement.span));
    }
    conf.expression(pattern, false)?;
    if let Some(word) = rest.first()
        && !["last", "break", "redirect", "permanent"].iter().any(|known| word.is(known))
    {
        return Err(Diagnostic::emerg(format!("invalid parameter \"{}\"", word.text())).point(word.span));
    }
    used::word(cx, replacement)
}

fn set(cx: &mut Setting<'_>, conf: &mut Rules, statement: &Statement) -> Result<(), Diagnostic> {
    let [name, value] = statement.arguments() else { return Ok(()) };
    let own = used::name(name)?;
    used::uses(cx, &own);
    used::word(cx, value)?;
    if own.eq_ignore_ascii_case("limit_rate") {
        cx.unserved(statement, "\"set\" of $limit_rate");
        return Ok(());
    }
    conf.rules.push(Rule::Set { name: name.clone(), value: value.clone() });
    Ok(())
}
