//! `geoip2`, a third party's directive: any field of MaxMind's databases (`.mmdb`) as a variable, in http and in stream.
//!
//! Differs from nginx: the module has no room for a number of 128 bits and sends other bytes of its memory; here the number is whole. [test: numbers_of_128_bits_are_told_whole]

use super::{fixed, proxy};
use crate::conf::diagnostic::Diagnostic;
use crate::conf::directive::{Arity, Contexts, Directive, Opens};
use crate::conf::module::{Conf, Module, Scope};
use crate::conf::slot::{Custom, Flag};
use crate::conf::tree::{Statement, Word};
use crate::conf::value::{self, Network};
use crate::conf::walk::{Levels, Setting};
use crate::script::variable::{Compute, Definition, Names, Subject};
use crate::session::contexts::{HTTP, STREAM};
use crate::session::forwarded::Believed;
use crate::session::geo::Source;
use crate::session::rows::each;
use crate::session::used;
use file::{File, Value};
use maxminddb::PathElement;
use std::io::Write as _;
use std::sync::Arc;
use std::time::Duration;

mod file;

/// The rows of both products.
pub const MODULES: [Module; 2] = [
    Module {
        name: "ngx_http_geoip2_module",
        directives: &[
            row(HTTP),
            Directive::new("geoip2_proxy", HTTP, Arity::Exactly(1), &Custom(geoip2_proxy))
                .doc("Sets the networks whose word on the client is taken."),
            Directive::new("geoip2_proxy_recursive", HTTP, Arity::Flag, &Flag(|c: &mut GeoIp2| &mut c.recursive))
                .default("off")
                .doc("Takes the last address that is not trusted itself."),
        ],
        scopes: &[Scope::of::<GeoIp2>(HTTP.or(STREAM))],
    },
    Module { name: "ngx_stream_geoip2_module", directives: &[row(STREAM)], scopes: &[] },
];

const fn row(contexts: Contexts) -> Directive {
    Directive::new("geoip2", contexts, Arity::Block(1, 1, Opens::Rows), &Custom(geoip2)).doc(
        "Opens a database: each row of the block defines a variable by a field of it. \"auto_reload\" sets how often \
         the file is looked at; a new one is read beside the event loops.",
    )
}

/// Settings of an http or stream block.
#[derive(Default)]
pub struct GeoIp2 {
    files: Vec<Arc<File>>,
    variables: Vec<Defined>,
    proxies: Vec<Network>,
    recursive: Option<bool>,
}

impl Conf for GeoIp2 {
    fn inherit(&mut self, _: &Self) {}
}

/// A variable as written.
struct Defined {
    name: Word,
    file: Arc<File>,
    what: Field,
}

/// What a variable tells of its database.
#[derive(Clone)]
enum Field {
    /// Of the file itself.
    About(About),
    /// A field, what stands for it, and whose address is looked up.
    Path { path: Vec<String>, default: Option<Vec<u8>>, source: Option<Word> },
}

/// What `metadata` tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum About {
    Built,
    Checked,
    Changed,
    Unknown,
}

fn geoip2(cx: &mut Setting<'_>, conf: &mut GeoIp2, statement: &Statement) -> Result<(), Diagnostic> {
    let Some(word) = statement.arguments().first() else { return Ok(()) };
    let path = cx.full_prefix(&word.text());
    if conf.files.iter().any(|file| file.path() == path) {
        return Err(Diagnostic::emerg(format!("Duplicate GeoIP2 mmdb - {path}")).point(word.span));
    }
    let fail = |why: &str| Diagnostic::emerg(format!("MMDB_open(\"{path}\") failed - {why}")).point(word.span);
    let bytes = cx.read(&path).map_err(|_| fail(file::UNREADABLE))?;
    let (mut interval, mut variables) = (None, Vec::new());
    let first = File::new(&path, bytes).map_err(fail)?;
    each(cx, statement, &mut |cx, row| match row.words.as_slice() {
        [name, rest @ ..] if name.bytes.starts_with(b"$") => {
            variables.push((name.clone(), field(cx, name, rest)?));
            Ok(())
        }
        [name, time @ ..] if name.is("auto_reload") => {
            let [time] = time else { return Err(Diagnostic::emerg("invalid number of arguments for auto_reload")) };
            let parsed = value::time(&time.bytes, true);
            let wrong = || Diagnostic::emerg(format!("invalid interval for auto_reload \"{}\"", time.text()));
            interval = Some(parsed.ok_or_else(wrong)?);
            Ok(())
        }
        [name, ..] => Err(Diagnostic::emerg(format!("invalid setting \"{}\"", name.text()))),
        [] => Ok(()),
    })?;
    let file = Arc::new(first.every(interval.filter(|interval| *interval > Duration::ZERO)));
    conf.files.push(file.clone());
    conf.variables.extend(variables.into_iter().map(|(name, what)| Defined { name, file: file.clone(), what }));
    Ok(())
}

/// What a row behind a variable's name says.
fn field(cx: &mut Setting<'_>, name: &Word, words: &[Word]) -> Result<Field, Diagnostic> {
    used::name(name)?;
    if let [metadata, about @ ..] = words
        && metadata.is("metadata")
    {
        let [about] = about else { return Err(Diagnostic::emerg("invalid number of arguments for metadata")) };
        let known = [("build_epoch", About::Built), ("last_check", About::Checked), ("last_change", About::Changed)];
        let known = known.iter().find(|(name, _)| about.bytes.starts_with(name.as_bytes()));
        return Ok(Field::About(known.map_or(About::Unknown, |(_, about)| *about)));
    }
    let (mut default, mut source) = (None, None);
    let settings = words.iter().take_while(|word| word.bytes.contains(&b'=')).count();
    let (settings, path) = words.split_at(settings);
    for word in settings {
        let again = |what: &str| {
            Diagnostic::emerg(format!("{what} has already been declared for  \"{}\"", name.text())).point(word.span)
        };
        if let Some(text) = word.after("default=").filter(|text| !text.is_empty()) {
            if default.replace(text.to_vec()).is_some() {
                return Err(again("default"));
            }
        } else if let Some(text) = word.after("source=").filter(|text| !text.is_empty()) {
            if source.is_some() {
                return Err(again("source"));
            }
            let variable = Word { bytes: text.into(), ..word.clone() };
            if !text.starts_with(b"$") {
                let text = format!("invalid source variable name \"{}\"", variable.text());
                return Err(Diagnostic::emerg(text).point(word.span));
            }
            used::word(cx, &variable)?;
            source = Some(variable);
        } else {
            let text = format!("invalid setting \"{}\" for \"{}\"", word.text(), name.text());
            return Err(Diagnostic::emerg(text).point(word.span));
        }
    }
    Ok(Field::Path { path: path.iter().map(|word| word.text().into_owned()).collect(), default, source })
}

fn geoip2_proxy(cx: &mut Setting<'_>, conf: &mut GeoIp2, statement: &Statement) -> Result<(), Diagnostic> {
    conf.proxies.extend(proxy(cx, statement)?);
    Ok(())
}

/// Defines the variables of a block.
///
/// # Errors
/// Names that cannot be defined, texts that cannot be compiled.
pub fn declare<S: Subject>(levels: &Levels<'_>, names: &mut Names<S>) -> Result<(), Diagnostic> {
    let Some(conf) = levels.level.own::<GeoIp2>() else { return Ok(()) };
    let believed =
        Believed { networks: conf.proxies.clone(), recursive: conf.recursive == Some(true), ..Believed::default() };
    let client = Arc::new(Source::client(believed, names)?);
    for variable in &conf.variables {
        let source = match &variable.what {
            Field::Path { source: Some(word), .. } => {
                Arc::new(Source::text(&word.bytes, names).map_err(|complaint| complaint.at(word.span))?)
            }
            Field::Path { source: None, .. } | Field::About(_) => client.clone(),
        };
        let found: Arc<dyn Compute<S>> =
            Arc::new(Found { file: variable.file.clone(), what: variable.what.clone(), source });
        let defined = names.define(&used::name(&variable.name)?, Definition::Computed(found));
        defined.map_err(|duplicate| duplicate.complaint().at(variable.name.span))?;
    }
    Ok(())
}

/// The files of a block that are looked at again while it serves.
pub fn watched(levels: &Levels<'_>) -> Vec<Arc<File>> {
    let files = levels.get::<GeoIp2>().map(|conf| conf.files.as_slice()).unwrap_or_default();
    files.iter().filter(|file| file.is_watched()).cloned().collect()
}

pub use file::File as Watched;

/// A variable at work.
struct Found<S: Subject> {
    file: Arc<File>,
    what: Field,
    source: Arc<Source<S>>,
}

impl<S: Subject> Compute<S> for Found<S> {
    fn compute(&self, subject: &S, out: &mut Vec<u8>) -> bool {
        match &self.what {
            Field::About(about) => {
                let number = match about {
                    About::Built => self.file.built().cast_signed(),
                    About::Checked => self.file.checked(),
                    About::Changed => self.file.changed(),
                    About::Unknown => return false,
                };
                write!(out, "{number}").is_ok()
            }
            Field::Path { path, default, .. } => {
                let found = self.source.address(subject).and_then(|address| self.file.value(address, &elements(path)));
                if found.is_some_and(|value| write_value(&value, out)) {
                    return true;
                }
                default.as_ref().is_some_and(|text| {
                    out.extend_from_slice(text);
                    true
                })
            }
        }
    }
}

/// The path to a field: names of maps and numbers of lists.
fn elements(path: &[String]) -> Vec<PathElement<'_>> {
    let element = |word: &'_ String| word.parse::<usize>().ok().map(PathElement::Index);
    path.iter().map(|word| element(word).unwrap_or(PathElement::Key(word))).collect()
}

fn write_value(value: &Value, out: &mut Vec<u8>) -> bool {
    match value {
        Value::Bool(value) => write!(out, "{}", u8::from(*value)).is_ok(),
        Value::Bytes(bytes) => {
            out.extend_from_slice(bytes);
            true
        }
        Value::Float(number) => fixed(*number, 5, out),
        Value::Unsigned(number) => write!(out, "{number}").is_ok(),
        Value::Signed(number) => write!(out, "{number}").is_ok(),
        Value::Long(number) => write!(out, "0x{number:032x}").is_ok(),
    }
}
