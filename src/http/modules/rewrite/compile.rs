//! Rules as written → one program a place, with the rules of its `if`s in it.

use super::condition::{Condition, Test};
use super::replace::Replace;
use super::run::{Act, Check, Program, Step};
use super::{Pattern, Rules, What};
use crate::conf::diagnostic::Diagnostic;
use crate::conf::source::Span;
use crate::conf::tree::Word;
use crate::conf::walk::Levels;
use crate::http::heart::handler::Phase;
use crate::http::heart::module::{Compile, LocationBuilder};
use crate::script::regex::Expression;
use crate::script::variable::{Definition, SlotId};
use crate::session::contexts::{IF_IN_LOCATION, IF_IN_SERVER, SERVER};

/// An expression whose named groups have their slots.
pub struct Matcher {
    /// As written, for the log.
    pub text: Box<str>,
    /// Compiled.
    pub expression: std::sync::Arc<Expression>,
    /// Named groups: which group goes where.
    pub groups: Box<[(usize, SlotId)]>,
}

fn name_of(word: &Word) -> String {
    String::from_utf8_lossy(word.after("$").unwrap_or_default()).into_owned()
}

/// Gives the names that rules set, and those of groups, their meaning.
///
/// # Errors
/// nginx's words for a name that cannot be set.
pub fn declare(levels: &Levels<'_>, cx: &mut Compile<'_, '_>) -> Result<(), Diagnostic> {
    let Some(rules) = levels.level.own::<Rules>() else { return Ok(()) };
    let tested = match rules.condition.as_ref().map(|condition| &condition.test) {
        Some(Test::Matches(_, pattern)) => Some(pattern),
        _ => None,
    };
    let groups = |pattern: &Pattern, cx: &mut Compile<'_, '_>| matcher(pattern, cx).map(drop);
    tested.map_or(Ok(()), |pattern| groups(pattern, cx))?;
    for rule in &rules.rules {
        match &rule.what {
            What::Rewrite { pattern, .. } => groups(pattern, cx)?,
            What::Set { name, .. } => {
                let text = name_of(name);
                if cx.names.builtin(&text).is_none_or(|variable| variable.assign.is_none()) {
                    cx.names.write(&text).map_err(|duplicate| duplicate.complaint().at(name.span))?;
                }
            }
            What::Return { .. } | What::Break | What::If(_) => {}
        }
    }
    Ok(())
}

fn matcher(pattern: &Pattern, cx: &mut Compile<'_, '_>) -> Result<Matcher, Diagnostic> {
    let names = pattern.expression.names().iter();
    let groups = names.map(|(number, name)| {
        let id = cx.names.define(name, Definition::Stored);
        id.map(|id| (*number, id)).map_err(|duplicate| duplicate.complaint().at(pattern.word.span))
    });
    let groups = groups.collect::<Result<_, _>>()?;
    Ok(Matcher { text: pattern.word.text().into(), expression: pattern.expression.clone(), groups })
}

/// Puts a place's program where it runs.
///
/// # Errors
/// nginx's words for a text that does not compile.
pub fn install(levels: &Levels<'_>, place: &mut LocationBuilder, cx: &mut Compile<'_, '_>) -> Result<(), Diagnostic> {
    let Some(holding) = levels.get::<Rules>() else { return Ok(()) };
    place.warns = holding.warn.unwrap_or(true);
    if place.context == IF_IN_LOCATION {
        return Ok(());
    }
    let mut steps = Vec::new();
    rules(levels, &mut steps, cx)?;
    if !steps.is_empty() {
        let phase = if place.context == SERVER { Phase::ServerRewrite } else { Phase::Rewrite };
        place.step(phase, Program { steps: steps.into(), log: holding.log.unwrap_or(false) });
    }
    Ok(())
}

/// Appends the rules of a level.
fn rules(levels: &Levels<'_>, steps: &mut Vec<Step>, cx: &mut Compile<'_, '_>) -> Result<(), Diagnostic> {
    let Some(own) = levels.level.own::<Rules>() else { return Ok(()) };
    for rule in &own.rules {
        let act = match &rule.what {
            What::If(number) => {
                branch(levels, (*number, rule.span), steps, cx)?;
                continue;
            }
            What::Return { status, text: Some(text) } if is_literal(*status, text) => {
                Act::Literal(*status, text.bytes.as_ref().into())
            }
            What::Return { status, text } => Act::Return(*status, text.as_ref().map(|text| cx.text(text)).transpose()?),
            What::Set { name, value } => set(name, value, cx)?,
            What::Break => Act::Break,
            What::Rewrite { pattern, replacement, end } => {
                Act::Rewrite(Replace::new(matcher(pattern, cx)?, replacement, *end, cx)?)
            }
        };
        steps.push(Step { act, span: rule.span });
    }
    Ok(())
}

/// Whether a `return` sends a text as it is written.
fn is_literal(status: u16, text: &Word) -> bool {
    !text.bytes.contains(&b'$') && (status < 300 || (400..1000).contains(&status)) && !matches!(status, 444 | 499)
}

fn set(name: &Word, value: &Word, cx: &mut Compile<'_, '_>) -> Result<Act, Diagnostic> {
    let (name, value) = (name_of(name), cx.text(value)?);
    Ok(match cx.names.builtin(&name).and_then(|variable| variable.assign) {
        Some(assign) => Act::Assign(name.into(), assign, value),
        None => {
            Act::Store(name.as_str().into(), cx.names.write(&name).map_err(|duplicate| duplicate.complaint())?, value)
        }
    })
}

/// Appends an `if`: its test, and its rules, which are passed over where it does not hold.
fn branch(
    levels: &Levels<'_>,
    (number, span): (usize, Span),
    steps: &mut Vec<Step>,
    cx: &mut Compile<'_, '_>,
) -> Result<(), Diagnostic> {
    let is_if = |context| context == IF_IN_LOCATION || context == IF_IN_SERVER;
    let Some(child) = levels.level.children.iter().filter(|child| is_if(child.context)).nth(number) else {
        return Ok(());
    };
    let Some(condition) = child.own::<Rules>().and_then(|rules| rules.condition.as_ref()) else { return Ok(()) };
    let check = check(condition, cx)?;
    let place = (child.context == IF_IN_LOCATION).then_some(number);
    let at = steps.len();
    steps.push(Step { act: Act::Break, span });
    rules(&levels.inside(child), steps, cx)?;
    let after = steps.len();
    if let Some(step) = steps.get_mut(at) {
        step.act = Act::If { check, not: condition.not, text: condition.text.as_str().into(), place, after };
    }
    Ok(())
}

fn check(condition: &Condition, cx: &mut Compile<'_, '_>) -> Result<Check, Diagnostic> {
    Ok(match &condition.test {
        Test::Holds(name) => Check::Holds(cx.text(name)?),
        Test::Equals(name, value) => Check::Equals(cx.text(name)?, cx.text(value)?),
        Test::Matches(name, pattern) => Check::Matches(cx.text(name)?, matcher(pattern, cx)?),
        Test::File(letter, path) => Check::File(*letter, cx.text(path)?),
    })
}
