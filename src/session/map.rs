//! `map`: a variable whose value depends on another's, in http and in stream.

use crate::conf::diagnostic::Diagnostic;
use crate::conf::directive::{Arity, Contexts, Directive, Opens, Support};
use crate::conf::module::{Conf, Module, Scope};
use crate::conf::slot::{Custom, Number};
use crate::conf::tree::{Statement, Word};
use crate::conf::walk::{Levels, Setting};
use crate::script::hash::{Wildcards, is_hostname};
use crate::script::regex::{Captures, Expression};
use crate::script::template::Template;
use crate::script::variable::{Compute, Definition, Names, Subject};
use crate::session::build::Build;
use crate::session::contexts::{HTTP, STREAM};
use crate::session::hashing::{self, Sizes};
use crate::session::pattern;
use crate::session::rows::each;
use crate::session::used;
use hashbrown::HashMap;
use std::sync::Arc;

/// The rows of both products.
pub const MODULES: [Module; 2] = [
    Module {
        name: "ngx_http_map_module",
        directives: &directives(HTTP),
        scopes: &[Scope::of::<Maps>(HTTP.or(STREAM))],
    },
    Module { name: "ngx_stream_map_module", directives: &directives(STREAM), scopes: &[] },
];

const UNTUNED: Support = Support::Inert("hash tables here grow by themselves");

const fn directives(contexts: Contexts) -> [Directive; 3] {
    [
        Directive::new("map", contexts, Arity::Block(2, 2, Opens::Rows), &Custom(map))
            .doc("Defines a variable whose value is looked up by the value of the first argument."),
        Directive::new(
            "map_hash_max_size",
            contexts,
            Arity::Exactly(1),
            &Number(|c: &mut Maps| &mut c.max, 0..=u64::MAX),
        )
        .support(UNTUNED)
        .doc("Sizes nginx's tables of maps."),
        Directive::new(
            "map_hash_bucket_size",
            contexts,
            Arity::Exactly(1),
            &Number(|c: &mut Maps| &mut c.bucket, 0..=u64::MAX),
        )
        .support(UNTUNED)
        .doc("Sizes nginx's tables of maps."),
    ]
}

/// One map as written.
#[derive(Clone)]
struct Map {
    source: Word,
    name: Word,
    rows: Vec<(Word, Word)>,
    default: Option<Word>,
    hostnames: bool,
    volatile: bool,
}

/// The maps of an http or stream block.
#[derive(Default)]
pub struct Maps {
    maps: Vec<Map>,
    max: Option<u64>,
    bucket: Option<u64>,
}

impl Conf for Maps {
    fn inherit(&mut self, _: &Self) {}
}

/// Defines the variables of all maps of a level.
///
/// # Errors
/// Names that cannot be defined, texts and expressions that do not compile.
pub fn declare<S: Subject>(levels: &Levels<'_>, names: &mut Names<S>, build: &mut Build<'_>) -> Result<(), Diagnostic> {
    let Some(conf) = levels.level.own::<Maps>() else { return Ok(()) };
    let sizes = Sizes { most: conf.max.unwrap_or(2048), bucket: conf.bucket.unwrap_or(64) };
    for map in &conf.maps {
        let keys = map.rows.iter().map(|(key, _)| key).filter(|key| key.after("~").is_none());
        build.complaints.extend(hashing::check("map_hash", keys.map(|key| &*key.bytes), sizes)?);
    }
    for map in &conf.maps {
        let table = Table::new(map, names);
        let name = crate::conf::bytes::text(map.name.after("$").unwrap_or_default()).into_owned();
        let definition = match build.part(table)? {
            Some(table) => Definition::Computed(Arc::new(table)),
            None => Definition::Stored,
        };
        let defined = names.define(&name, definition).map_err(|duplicate| duplicate.complaint().at(map.name.span));
        build.part(defined)?;
    }
    Ok(())
}

/// A map at work.
struct Table<S: Subject> {
    source: Template<S>,
    exact: HashMap<Vec<u8>, usize>,
    names: Wildcards<usize>,
    values: Vec<Template<S>>,
    default: Option<usize>,
    volatile: bool,
}

impl<S: Subject> Table<S> {
    fn new(map: &Map, names: &mut Names<S>) -> Result<Self, Diagnostic> {
        let compile = |word: &Word, names: &mut Names<S>| {
            Template::compile(&word.bytes, names).map_err(|text| Diagnostic::emerg(text).at(word.span))
        };
        let mut table = Self {
            source: compile(&map.source, names)?,
            exact: HashMap::new(),
            names: Wildcards::default(),
            values: Vec::new(),
            default: None,
            volatile: map.volatile,
        };
        for (key, value) in &map.rows {
            let index = table.values.len();
            table.values.push(compile(value, names)?);
            if let Some(pattern) = key.after("~") {
                let (pattern, caseless) = pattern.strip_prefix(b"*").map_or((pattern, false), |rest| (rest, true));
                let text = crate::conf::bytes::text(pattern);
                let expression = pattern::compile(key, &text, caseless).map_err(|complaint| complaint.at(key.span))?;
                for (_, name) in expression.names() {
                    names.define(name, Definition::Stored).map_err(|duplicate| duplicate.complaint().at(key.span))?;
                }
                table.names.add_expression(expression, index);
                continue;
            }
            let lower = key.bytes.strip_prefix(b"\\").unwrap_or(&key.bytes).to_ascii_lowercase();
            let fresh = if map.hostnames && lower.iter().any(|byte| *byte == b'*' || *byte == b'.') {
                table.names.add(&lower, index)
            } else {
                table.exact.insert(lower, index).is_none()
            };
            if !fresh {
                let first =
                    map.rows.iter().map(|(other, _)| other).find(|other| meet(other, key)).map(|word| word.span);
                let complaint = Diagnostic::emerg(format!("conflicting parameter \"{}\"", key.text()));
                return Err(complaint.at(key.span).earlier(first.filter(|first| *first != key.span)));
            }
        }
        if let Some(default) = &map.default {
            table.default = Some(table.values.len());
            table.values.push(compile(default, names)?);
        }
        Ok(table)
    }
}

impl<S: Subject> Table<S> {
    /// The first expression that matches. One that PCRE2 gives up ends the search: the value is the default.
    fn matching(&self, subject: &S, text: &[u8], captures: &mut Captures) -> Option<(&Expression, &usize)> {
        for (expression, index) in self.names.expressions() {
            match expression.capture(text, captures) {
                Ok(false) => {}
                Ok(true) => return Some((expression, index)),
                Err(error) => {
                    subject.alert(&error.to_string());
                    return None;
                }
            }
        }
        None
    }
}

impl<S: Subject> Compute<S> for Table<S> {
    fn compute(&self, subject: &S, out: &mut Vec<u8>) -> bool {
        let text = self.source.text(subject);
        let lower = text.to_ascii_lowercase();
        let host = lower.strip_suffix(b".").unwrap_or(&lower);
        let mut captures = Captures::default();
        let found = self
            .exact
            .get(lower.as_slice())
            .or_else(|| self.names.find_name(host))
            .copied()
            .or_else(|| {
                let (expression, index) = self.matching(subject, &text, &mut captures)?;
                for (number, name) in expression.names() {
                    if let (Some(value), Some(id)) = (captures.group(*number), subject.definitions().named(name)) {
                        subject.slots().put(id, value);
                    }
                }
                subject.captures().replace(captures.clone());
                Some(*index)
            })
            .or(self.default);
        if let Some(value) = found.and_then(|index| self.values.get(index)) {
            value.write(subject, out);
        }
        true
    }

    fn volatile(&self) -> bool {
        self.volatile
    }
}

fn map(cx: &mut Setting<'_>, conf: &mut Maps, statement: &Statement) -> Result<(), Diagnostic> {
    let [source, name] = statement.arguments() else { return Ok(()) };
    used::word(cx, source)?;
    used::name(name)?;
    let mut map = Map {
        source: source.clone(),
        name: name.clone(),
        rows: vec![],
        default: None,
        hostnames: false,
        volatile: false,
    };
    each(cx, statement, &mut |cx, row| add(cx, &mut map, row))?;
    conf.maps.push(map);
    Ok(())
}

fn add(cx: &mut Setting<'_>, map: &mut Map, row: &Statement) -> Result<(), Diagnostic> {
    match row.words.as_slice() {
        [only] if only.is("hostnames") => map.hostnames = true,
        [only] if only.is("volatile") => map.volatile = true,
        [key, value] => {
            used::word(cx, value)?;
            if key.is("default") {
                if let Some(first) = map.default.replace(value.clone()) {
                    let complaint = Diagnostic::emerg("duplicate default map parameter");
                    return Err(complaint.earlier(Some(first.span)));
                }
                return Ok(());
            }
            check_key(map, key)?;
            map.rows.push((key.clone(), value.clone()));
        }
        _ => return Err(Diagnostic::emerg("invalid number of the map parameters")),
    }
    Ok(())
}

/// What nginx finds wrong with a key when it reads it.
fn check_key(map: &Map, key: &Word) -> Result<(), Diagnostic> {
    if let Some(pattern) = key.after("~") {
        let (pattern, caseless) = pattern.strip_prefix(b"*").map_or((pattern, false), |rest| (rest, true));
        pattern::compile(key, &String::from_utf8_lossy(pattern), caseless)?;
        return Ok(());
    }
    let plain = |word: &Word| word.bytes.strip_prefix(b"\\").unwrap_or(&word.bytes).to_ascii_lowercase();
    if map.hostnames && !is_hostname(&plain(key)) {
        return Err(Diagnostic::emerg(format!("invalid hostname or wildcard \"{}\"", key.text())));
    }
    let twin = map.rows.iter().find(|(other, _)| other.after("~").is_none() && plain(other) == plain(key));
    match twin {
        Some((first, _)) => {
            let text = format!("conflicting parameter \"{}\"", crate::conf::bytes::text(&plain(key)));
            Err(Diagnostic::emerg(text).point(key.span).earlier(Some(first.span)))
        }
        None => Ok(()),
    }
}

/// Whether two names with wildcards exclude each other.
fn meet(one: &Word, other: &Word) -> bool {
    let mut both = Wildcards::default();
    let mut add = |word: &Word| both.add(&word.bytes.to_ascii_lowercase(), 0);
    word_with_stars(one) && add(one) && !add(other)
}

/// Whether a key is a name with wildcards, and no expression.
fn word_with_stars(word: &Word) -> bool {
    word.after("~").is_none() && word.bytes.iter().any(|byte| matches!(byte, b'*' | b'.'))
}
