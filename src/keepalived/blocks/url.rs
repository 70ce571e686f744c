//! `url` of a web check: a page, and what a good answer is.

use super::checker::Checker;
use crate::check::http::{self, Engine, Found, Regex};
use crate::conf::diagnostic::{Diagnostic, Severity};
use crate::conf::directive::{Arity, Directive, Set};
use crate::conf::module::{Conf, Module, Scope};
use crate::conf::slot::Custom;
use crate::conf::tree::Statement;
use crate::conf::walk::Setting;
use crate::keepalived::contexts::URL;
use crate::keepalived::slot::{CommandLine, Present, Switch, Text, again, complain, first};
use crate::sys::pcre::{self, Pattern, Search};
use std::sync::Arc;

/// The keywords of pages.
pub const MODULE: Module = Module { name: "url", directives: DIRECTIVES, scopes: &[Scope::of::<Url>(URL)] };

const BARE: Arity = Arity::AtLeast(0);

const fn row(name: &'static str, arity: Arity, set: &'static dyn Set) -> Directive {
    Directive::new(name, URL, arity, set)
}

const DIRECTIVES: &[Directive] = &[
    row("path", Arity::AtLeast(1), &Custom(path)).doc("The path that is asked for."),
    row("digest", Arity::AtLeast(1), &Custom(digest))
        .doc("The MD5 digest a good answer has, without its head; genhash prints it."),
    row("status_code", BARE, &Custom(status_code)).doc("The status codes a good answer may have."),
    row("virtualhost", BARE, &Text(|c: &mut Url| &mut c.page.host, "Missing HTTP_GET virtualhost name"))
        .doc("The host name that web checks ask for."),
    row("tls_compliant", BARE, &Switch(|c: &mut Url| &mut c.tls_compliant, "Invalid {k} option {v}"))
        .doc("Tells the server when a TLS connection ends, as the standard asks for."),
    row("regex", BARE, &CommandLine(regex)).doc(
        "An expression of PCRE2 the answer must match. It is searched for in at most 4095 bytes at a time, and a match that \
         reaches the end of what has come waits for more.",
    ),
    row("regex_no_match", BARE, &Present(|c: &mut Url| &mut c.no_match, true))
        .doc("The answer must not match the expression."),
    row("regex_options", BARE, &Custom(options)).doc("Options of PCRE2 the expression is compiled with, by name."),
    row("regex_min_offset", BARE, &Custom(min)).doc("Where in the answer the match may begin at the earliest, in bytes."),
    row("regex_max_offset", BARE, &Custom(max)).doc("Where in the answer the match may begin at the latest, in bytes."),
    row("regex_stack", BARE, &Custom(stack))
        .doc("The size of the stack expressions are matched with, in bytes: at first, and at most."),
];

/// A page as configured.
#[derive(Clone, Debug, Default)]
pub struct Url {
    /// All but its expression.
    pub page: http::Url,
    pattern: Option<Vec<u8>>,
    options: u32,
    no_match: Option<bool>,
    min: usize,
    max: Option<usize>,
    stack: Option<(usize, usize)>,
    tls_compliant: Option<bool>,
}

impl Conf for Url {
    fn inherit(&mut self, _: &Self) {}
}

type Outcome = Result<(), Diagnostic>;

/// `url {`.
///
/// # Errors
/// None.
pub fn open(_: &mut Setting<'_>, _: &mut Url, _: &Statement) -> Outcome {
    Ok(())
}

/// `}` of a page.
///
/// # Errors
/// It has no path, or its expression is none.
pub fn close(cx: &mut Setting<'_>) -> Outcome {
    let own = cx.level().and_then(|level| level.own::<Url>()).cloned();
    let Some(url) = own.filter(|url| !url.page.path.is_empty()) else {
        return Err(complain("HTTP/SSL_GET checker url has no path - ignoring"));
    };
    let regex = url.regex(&mut |text| cx.report(note(text)))?;
    let page = http::Url { regex, tls_compliant: url.tls_compliant == Some(true), ..url.page };
    if let Some(checker) = cx.conf::<Checker>() {
        checker.urls.push(page);
    }
    Ok(())
}

/// What keepalived logs, and takes for no error.
fn note(text: impl Into<String>) -> Diagnostic {
    Diagnostic::new(Severity::Notice, text)
}

impl Url {
    /// The expression, ready to be searched for.
    ///
    /// Differs from keepalived: a url whose expression cannot be compiled is an error of the configuration and left out; there the process of health checks crashes. [test: an_expression_that_cannot_be_compiled_is_refused]
    fn regex(&self, report: &mut dyn FnMut(String)) -> Result<Option<Box<Regex>>, Diagnostic> {
        let Some(pattern) = self.pattern.clone() else {
            let more = self.options != 0 || self.no_match.is_some() || self.min > 0;
            if more || self.max.is_some() || self.stack.is_some() {
                report("regex parameters specified without regex".to_owned());
            }
            return Ok(None);
        };
        let compiled = Pattern::compile(&pattern, self.options, self.stack).map_err(|invalid| {
            let text = String::from_utf8_lossy(&pattern);
            complain(format!("Invalid regex: '{text}' at offset {}: {}", invalid.offset, invalid.text))
        })?;
        let (mut min, mut max) = (self.min, self.max);
        if let Some(latest) = max.filter(|max| min > *max) {
            report(format!("regex min offset {min} > regex_max_offset {latest} - ignoring"));
            (min, max) = (0, None);
        }
        let (options, stack, no_match) = (self.options, self.stack, self.no_match == Some(true));
        let engine = Arc::new(compiled);
        Ok(Some(Box::new(Regex { pattern, options, no_match, min, max, stack, engine })))
    }
}

impl Engine for Pattern {
    fn lookbehind(&self) -> usize {
        Self::lookbehind(self)
    }

    fn search(&self, text: &[u8], from: usize) -> Found {
        match Self::search(self, text, from) {
            Search::Match(at) => Found::Match(at),
            Search::Partial(at) => Found::Partial(at),
            Search::None => Found::Nothing,
            Search::Failed(pcre::BAD_OPTION) => Found::Failed("A bad option was passed to regex".to_owned()),
            Search::Failed(pcre::NO_MEMORY) => Found::Failed("Regex an out of memory".to_owned()),
            Search::Failed(number) => Found::Failed(format!("Unknown regex error {number}")),
        }
    }
}

fn path(_: &mut Setting<'_>, url: &mut Url, statement: &Statement) -> Outcome {
    url.page.path = first(statement);
    Ok(())
}

fn digest(_: &mut Setting<'_>, url: &mut Url, statement: &Statement) -> Outcome {
    const LENGTH: usize = 32;
    let text = first(statement);
    if url.page.digest.is_some() {
        return Err(again(format!("Digest '{text}' is a duplicate")));
    }
    if text.len() != LENGTH {
        let length = text.len();
        return Err(complain(format!("digest '{text}' character length should be {LENGTH} rather than {length}")));
    }
    if let Some(at) = text.bytes().position(|byte| !byte.is_ascii_hexdigit()) {
        let pair = at - at % 2;
        let text = format!("Unable to interpret hex digit in '{text}' at offset {pair}/{}", pair + 1);
        return Err(complain(text));
    }
    url.page.digest = u128::from_str_radix(&text, 16).ok().map(u128::to_be_bytes);
    Ok(())
}

fn status_code(cx: &mut Setting<'_>, url: &mut Url, statement: &Statement) -> Outcome {
    for word in statement.arguments() {
        let text = word.text();
        let (low, high) = text.split_once('-').unwrap_or((&text, &text));
        let code = |part: &str| part.parse::<u16>().ok().filter(|code| (100..600).contains(code));
        match (code(low), code(high)) {
            (Some(low), Some(high)) if low <= high => url.page.statuses.push((low, high)),
            _ => cx.report(complain(format!("Invalid HTTP_GET status code '{text}'")).at(statement.span)),
        }
    }
    Ok(())
}

fn regex(_: &mut Setting<'_>, url: &mut Url, statement: &Statement) -> Outcome {
    let [word] = statement.arguments() else { return Err(note("regex missing or too many fields")) };
    url.pattern = Some(word.bytes.to_vec());
    Ok(())
}

fn options(_: &mut Setting<'_>, url: &mut Url, statement: &Statement) -> Outcome {
    for word in statement.arguments() {
        // Unknown ones are passed over, as there.
        let bits = pcre::OPTIONS.iter().filter(|(name, _)| word.is(name)).map(|(_, bit)| bit);
        url.options |= bits.fold(0, |all, bit| all | bit);
    }
    Ok(())
}

fn min(cx: &mut Setting<'_>, url: &mut Url, statement: &Statement) -> Outcome {
    url.min = offset(cx, statement, "min");
    Ok(())
}

fn max(cx: &mut Setting<'_>, url: &mut Url, statement: &Statement) -> Outcome {
    url.max = Some(offset(cx, statement, "max"));
    Ok(())
}

/// An offset; 0 for one that is none.
fn offset(cx: &mut Setting<'_>, statement: &Statement, which: &str) -> usize {
    let [word] = statement.arguments() else {
        cx.report(note(format!("Missing or too may options for regex_{which}_offset")).at(statement.span));
        return 0;
    };
    word.text().parse().unwrap_or_else(|_| {
        cx.report(note(format!("Invalid regex_{which}_offset {} specified", word.text())).at(statement.span));
        0
    })
}

fn stack(_: &mut Setting<'_>, url: &mut Url, statement: &Statement) -> Outcome {
    let [first, most] = statement.arguments() else {
        return Err(note("regex_stack requires start and max values"));
    };
    let first: usize = first.text().parse().map_err(|_| note("regex_stack invalid start value"))?;
    let most: usize = most.text().parse().map_err(|_| note("regex_stack invalid max value"))?;
    if first > most {
        return Err(note("regex stack start cannot exceed max value"));
    }
    url.stack = Some((first, most));
    Ok(())
}
