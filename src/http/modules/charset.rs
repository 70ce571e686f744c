//! `ngx_http_charset_filter_module`: charsets named and converted.

use crate::conf::diagnostic::Diagnostic;
use crate::conf::directive::{Arity, Directive, Opens};
use crate::conf::module::{Conf, Merged as _, Scope, inherit};
use crate::conf::slot::{Custom, Flag};
use crate::conf::tree::{Statement, Word};
use crate::conf::walk::{Levels, Setting};
use crate::http::heart::filter::{BodyFilter, Failed, Filter, Pieces, Slot, Then};
use crate::http::heart::module::{Compile, LocationBuilder, Module, Text};
use crate::http::heart::request::Request;
use crate::log::Level;
use crate::session::contexts::{HTTP, HTTP_ANY, HTTP_ANY_IF, HTTP_LEVELS};
use crate::session::rows::each;
use crate::session::slot::{MimeTypes, charset_at, free, is_among};
use crate::session::used;
use hashbrown::HashMap;
use std::io::Write as _;
use std::sync::Arc;

/// What a gateway does when the head of a response comes.
const READING: &str = " while reading response header from upstream";

/// The MIME types charsets are named for where no row says which.
const TYPES: [&str; 6] =
    ["text/html", "text/xml", "text/plain", "text/vnd.wap.wml", "application/javascript", "application/rss+xml"];

/// The module.
pub fn modules() -> Vec<Module> {
    vec![Module::new(MODULE).check(check).install(install)]
}

const MODULE: crate::conf::module::Module = crate::conf::module::Module {
    name: "ngx_http_charset_filter_module",
    directives: DIRECTIVES,
    scopes: &[Scope::of::<Maps>(HTTP), Scope::of::<Charset>(HTTP_LEVELS)],
};

const DIRECTIVES: &[Directive] = &[
    Directive::new("charset", HTTP_ANY_IF, Arity::Exactly(1), &Custom(charset))
        .default("off")
        .doc("Names the charset of responses, converted from source_charset where they differ."),
    Directive::new("source_charset", HTTP_ANY_IF, Arity::Exactly(1), &Custom(source_charset))
        .doc("Sets the charset responses have."),
    Directive::new("override_charset", HTTP_ANY_IF, Arity::Flag, &Flag(|c: &mut Charset| &mut c.override_charset))
        .default("off")
        .doc("Converts responses of backends that name a charset."),
    Directive::new(
        "charset_types",
        HTTP_ANY,
        Arity::AtLeast(1),
        &MimeTypes(|c: &mut Charset| &mut c.charset_types, "text/html"),
    )
    .doc("Sets the MIME types charsets are named for beside text/html."),
    Directive::new("charset_map", HTTP, Arity::Block(2, 2, Opens::Rows), &Custom(charset_map))
        .doc("Sets how one charset is converted to another."),
];

/// The maps of an http block: which charsets are converted to which.
#[derive(Default)]
struct Maps {
    pairs: Vec<(String, String)>,
    /// What the rows of each pair say: a byte of the first charset, and the bytes of the second it becomes.
    rows: Vec<Vec<(u8, Vec<u8>)>>,
    /// Every charset a row names.
    names: Vec<String>,
}

impl Maps {
    /// A charset's name as the first row has it that names the charset.
    fn first<'a>(&'a self, name: &'a str) -> &'a str {
        self.names.iter().find(|known| known.eq_ignore_ascii_case(name)).map_or(name, String::as_str)
    }
}

impl Conf for Maps {
    fn inherit(&mut self, _: &Self) {}
}

/// What a charset row names.
#[derive(Clone)]
enum Kind {
    Off,
    Variable(Word),
    Name(String),
}

/// Settings of the module.
#[derive(Default)]
struct Charset {
    override_charset: Option<bool>,
    charset_types: Vec<Box<[u8]>>,
    charset: Option<Kind>,
    source: Option<Kind>,
}

impl Conf for Charset {
    fn inherit(&mut self, outer: &Self) {
        inherit!(self, outer; list charset_types; override_charset);
        inherit!(self, outer; charset, source);
    }
}

fn check(levels: &Levels<'_>, _: &mut Compile<'_, '_>) -> Result<(), Diagnostic> {
    let Some(conf) = levels.get::<Charset>() else { return Ok(()) };
    let (Some(Kind::Name(to)), Some(Kind::Name(from))) = (&conf.charset, &conf.source) else { return Ok(()) };
    let same = |a: &str, b: &str| a.eq_ignore_ascii_case(b);
    let pairs = levels.get::<Maps>().map(|maps| maps.pairs.as_slice()).unwrap_or_default();
    let known = pairs.iter().any(|(a, b)| same(a, from) && same(b, to) || same(b, from) && same(a, to));
    if known || same(from, to) {
        return Ok(());
    }
    let text = format!("no \"charset_map\" between the charsets \"{from}\" and \"{to}\"");
    Err(Diagnostic::emerg(text).unlined())
}

/// What the argument names; a variable is noted.
fn kind(cx: &mut Setting<'_>, word: &Word) -> Result<Kind, Diagnostic> {
    if !word.bytes.starts_with(b"$") {
        let name = word.text().into_owned();
        if let Some(maps) = cx.conf::<Maps>() {
            maps.names.push(name.clone());
        }
        return Ok(Kind::Name(name));
    }
    let name = used::name(word)?;
    used::uses(cx, &name);
    Ok(Kind::Variable(word.clone()))
}

fn charset(cx: &mut Setting<'_>, conf: &mut Charset, statement: &Statement) -> Result<(), Diagnostic> {
    free(cx, &conf.charset)?;
    let Some(word) = statement.arguments().first() else { return Ok(()) };
    conf.charset = Some(if word.is("off") { Kind::Off } else { kind(cx, word)? });
    Ok(())
}

fn source_charset(cx: &mut Setting<'_>, conf: &mut Charset, statement: &Statement) -> Result<(), Diagnostic> {
    free(cx, &conf.source)?;
    let Some(word) = statement.arguments().first() else { return Ok(()) };
    conf.source = Some(kind(cx, word)?);
    Ok(())
}

fn charset_map(cx: &mut Setting<'_>, conf: &mut Maps, statement: &Statement) -> Result<(), Diagnostic> {
    let [from, to] = statement.arguments() else { return Ok(()) };
    let (from, to) = (from.text().into_owned(), to.text().into_owned());
    let same = |a: &str, b: &str| a.eq_ignore_ascii_case(b);
    if same(&from, &to) {
        let text = format!("\"charset_map\" between the same charsets \"{from}\" and \"{to}\"");
        return Err(Diagnostic::emerg(text));
    }
    let mut pair = [from.to_lowercase(), to.to_lowercase()];
    pair.sort();
    let first = cx.first("charsets", pair.join(" ").as_bytes(), statement.span);
    if conf.pairs.iter().any(|(a, b)| same(a, &from) && same(b, &to) || same(a, &to) && same(b, &from)) {
        let text = format!("duplicate \"charset_map\" between \"{from}\" and \"{to}\"");
        return Err(Diagnostic::emerg(text).earlier(first));
    }
    let wide = same(&to, UTF8);
    conf.names.extend([from.clone(), to.clone()]);
    conf.pairs.push((from, to));
    let mut rows = Vec::new();
    each(cx, statement, &mut |_, row| {
        let [from, to] = row.words.as_slice() else { return Err(Diagnostic::emerg("invalid parameters number")) };
        let fail = |word: &Word| Diagnostic::emerg(format!("invalid value \"{}\"", word.text()));
        let source = byte(&from.bytes).ok_or_else(|| fail(from))?;
        let target = match wide {
            true => to.bytes.chunks(2).map(byte).collect::<Option<Vec<u8>>>().filter(|bytes| begins_a_text(bytes)),
            false => byte(&to.bytes).map(|byte| vec![byte]),
        };
        rows.push((source, target.ok_or_else(|| fail(to))?));
        Ok(())
    })?;
    conf.rows.push(rows);
    Ok(())
}

/// The charset whose characters have several bytes.
const UTF8: &str = "utf-8";

/// Whether bytes begin with a character of UTF-8.
fn begins_a_text(bytes: &[u8]) -> bool {
    bytes.utf8_chunks().next().is_some_and(|chunk| !chunk.valid().is_empty())
}

/// A byte in hexadecimal digits.
fn byte(text: &[u8]) -> Option<u8> {
    let digit = |sum: u32, byte: &u8| Some(sum.checked_mul(16)? + (*byte as char).to_digit(16)?);
    let number = text.iter().try_fold(0_u32, digit).filter(|_| !text.is_empty())?;
    u8::try_from(number).ok()
}

fn install(levels: &Levels<'_>, place: &mut LocationBuilder, cx: &mut Compile<'_, '_>) -> Result<(), Diagnostic> {
    let (Some(conf), Some(maps)) = (levels.get::<Charset>(), levels.get::<Maps>()) else { return Ok(()) };
    let mut named = |kind: &Option<Kind>| {
        Ok(match kind {
            None | Some(Kind::Off) => Named::Off,
            Some(Kind::Name(name)) => Named::Fixed(maps.first(name).as_bytes().to_vec()),
            Some(Kind::Variable(word)) => Named::Variable(cx.text(word)?),
        })
    };
    let (charset, source) = (named(&conf.charset)?, named(&conf.source)?);
    let charsets = cx.once(maps, |_| Ok(Charsets::new(maps)))?;
    if matches!(charset, Named::Off) && charsets.tables.is_empty() && charsets.names.is_empty() {
        return Ok(());
    }
    place.filter(Converter {
        charset,
        source,
        overrides: conf.override_charset.merged()?,
        types: conf.charset_types.clone(),
        charsets,
    });
    Ok(())
}

/// A charset of a place.
enum Named {
    Off,
    Fixed(Vec<u8>),
    Variable(Text),
}

impl Named {
    /// Its name; none with `off`.
    fn name(&self, request: &Request) -> Option<Vec<u8>> {
        match self {
            Self::Off => None,
            Self::Fixed(name) => Some(name.clone()),
            Self::Variable(text) => Some(text.text(request)),
        }
    }
}

/// The charsets of an http block.
struct Charsets {
    /// In lower case.
    names: Vec<Vec<u8>>,
    /// How to convert, by both names in lower case.
    tables: HashMap<(Vec<u8>, Vec<u8>), Arc<Table>>,
}

/// How one charset is converted to another.
enum Table {
    /// Byte by byte.
    Bytes(Vec<u8>),
    /// Each byte to a character of UTF-8.
    ToUtf8(Vec<Vec<u8>>),
    /// Characters of UTF-8 to bytes.
    FromUtf8(HashMap<u32, u8>),
}

impl Charsets {
    fn new(maps: &Maps) -> Self {
        let names = maps.names.iter().map(|name| name.to_lowercase().into_bytes()).collect();
        let mut tables = HashMap::new();
        for ((from, to), rows) in maps.pairs.iter().zip(&maps.rows) {
            let (from, to) = (from.to_lowercase(), to.to_lowercase());
            let (there, back) = if to == UTF8 { wide(rows) } else { narrow(rows) };
            let (from, to) = (from.into_bytes(), to.into_bytes());
            tables.insert((from.clone(), to.clone()), Arc::new(there));
            tables.insert((to, from), Arc::new(back));
        }
        Self { names, tables }
    }

    fn knows(&self, name: &[u8]) -> bool {
        self.names.iter().any(|known| known.eq_ignore_ascii_case(name))
    }
}

/// The tables of a map to UTF-8.
fn wide(rows: &[(u8, Vec<u8>)]) -> (Table, Table) {
    let mut there: Vec<Vec<u8>> = (0..=255_u8).map(|byte| vec![if byte < 128 { byte } else { b'?' }]).collect();
    let mut back: HashMap<u32, u8> = (0..128_u8).map(|byte| (u32::from(byte), byte)).collect();
    for (source, target) in rows {
        if let Character::Known(character, _) = decode(target) {
            back.insert(character, *source);
        }
        if let Some(slot) = there.get_mut(usize::from(*source)) {
            slot.clone_from(target);
        }
    }
    (Table::ToUtf8(there), Table::FromUtf8(back))
}

/// The tables of a map between charsets of one byte a character.
fn narrow(rows: &[(u8, Vec<u8>)]) -> (Table, Table) {
    let usual = || (0..=255_u8).map(|byte| if byte < 128 { byte } else { b'?' }).collect::<Vec<u8>>();
    let (mut there, mut back) = (usual(), usual());
    for (source, target) in rows {
        let target = target.first().copied().unwrap_or_default();
        if let (Some(there), Some(back)) = (there.get_mut(usize::from(*source)), back.get_mut(usize::from(target))) {
            (*there, *back) = (target, *source);
        }
    }
    (Table::Bytes(there), Table::Bytes(back))
}

/// What a text in UTF-8 begins with.
#[derive(Debug, PartialEq, Eq)]
enum Character {
    /// A character, and its length.
    Known(u32, usize),
    /// No character: so many bytes.
    Invalid(usize),
    /// The begin of one.
    Part,
}

/// Reads a character as nginx does: surrogates are characters, longer forms of shorter ones are not.
fn decode(text: &[u8]) -> Character {
    let Some((first, rest)) = text.split_first() else { return Character::Part };
    let (mut value, least, length) = match first {
        0..0x80 => return Character::Known(u32::from(*first), 1),
        0xc2..0xe0 => (u32::from(first & 0x1f), 0x7f, 1),
        0xe0..0xf0 => (u32::from(first & 0x0f), 0x7ff, 2),
        0xf0..0xf8 => (u32::from(first & 0x07), 0xffff, 3),
        _ => return Character::Invalid(1),
    };
    let Some(rest) = rest.get(..length) else { return Character::Part };
    for (number, byte) in rest.iter().enumerate() {
        if *byte < 0x80 {
            return Character::Invalid(number + 2);
        }
        value = value << 6 | u32::from(byte & 0x3f);
    }
    if value > least { Character::Known(value, length + 1) } else { Character::Invalid(length + 1) }
}

/// The charset settings of a place.
struct Converter {
    charset: Named,
    source: Named,
    overrides: bool,
    types: Vec<Box<[u8]>>,
    charsets: Arc<Charsets>,
}

/// Splits a Content-Type: where the charset parameter begins, and its value; as nginx reads those of backends.
pub fn parameter(content_type: &[u8]) -> Option<(usize, &[u8])> {
    let end = charset_at(content_type)?;
    let equals = memchr::memchr(b'=', content_type.get(end..)?)?;
    let value = content_type.get(end + equals + 1..)?;
    let value = value.strip_prefix(b"\"").unwrap_or(value);
    Some((end, value.strip_suffix(b"\"").unwrap_or(value)))
}

impl Converter {
    /// The charset a response gets; none where it stays as it is.
    fn destination(&self, request: &Request) -> Option<Vec<u8>> {
        let response = &request.response;
        if let Some(parent) = &request.parent {
            return parent.charset.clone();
        }
        if response.content_type.is_empty() {
            return None;
        }
        if let Some(name) = response.forced_charset.as_ref().filter(|name| !name.is_empty()) {
            if self.charsets.knows(name) {
                return Some(name.clone());
            }
            let shown = String::from_utf8_lossy(name);
            request.log(Level::Error, &format!("unknown charset \"{shown}\" to override{READING}"));
            return None;
        }
        if matches!(self.charset, Named::Off) {
            return None;
        }
        let fits = match parameter(&response.content_type) {
            Some((_, name)) if !name.is_empty() => self.overrides,
            _ if self.types.is_empty() => TYPES.iter().any(|usual| is_among(&[], usual, &response.content_type)),
            _ => is_among(&self.types, "", &response.content_type),
        };
        if fits { self.charset.name(request) } else { None }
    }
}

/// Names the charset of a response, but for redirects and what goes into other responses.
fn name(request: &mut Request, charset: &[u8]) {
    let response = &mut request.response;
    let bare = parameter(&response.content_type).map(|(end, _)| end);
    if request.parent.is_some() {
        return;
    }
    if let Some(end) = bare {
        response.content_type.truncate(end);
    }
    if !matches!(response.status, 301 | 302) && !charset.is_empty() {
        response.content_type.extend_from_slice(b"; charset=");
        response.content_type.extend_from_slice(charset);
    }
}

impl Filter for Converter {
    fn slot(&self) -> Slot {
        Slot::Charset
    }

    fn head(&self, request: &mut Request) -> Option<Box<dyn BodyFilter>> {
        let destination = self.destination(request)?;
        let own = parameter(&request.response.content_type).map(|(_, name)| name.to_vec());
        let Some(source) = own.filter(|name| !name.is_empty()).or_else(|| self.source.name(request)) else {
            name(request, &destination);
            return None;
        };
        if source.eq_ignore_ascii_case(&destination) {
            name(request, &destination);
            return None;
        }
        let both = (source.to_ascii_lowercase(), destination.to_ascii_lowercase());
        let known = self.charsets.knows(&source) && self.charsets.knows(&destination);
        if known && request.response.header(b"Content-Encoding").is_some_and(|coding| !coding.is_empty()) {
            return None;
        }
        let Some(table) = self.charsets.tables.get(&both).filter(|_| known) else {
            let (from, to) = (String::from_utf8_lossy(&source), String::from_utf8_lossy(&destination));
            let text = format!("no \"charset_map\" between the charsets \"{from}\" and \"{to}\"");
            let proxied = request.attempts.current_url().is_some();
            let action = if proxied { READING } else { " while sending response to client" };
            request.log(Level::Error, &format!("{text}{action}"));
            return None;
        };
        name(request, &destination);
        if !matches!(**table, Table::Bytes(_)) && request.parent.is_none() {
            request.response.length = None;
        }
        Some(Box::new(Converted { table: table.clone(), part: Vec::new() }))
    }
}

/// A response that is converted.
struct Converted {
    table: Arc<Table>,
    /// The begin of a character.
    part: Vec<u8>,
}

impl BodyFilter for Converted {
    fn body(&mut self, _: &mut Request, bytes: &[u8], _: Then, out: &mut Pieces<'_>) -> Result<(), Failed> {
        if !bytes.is_empty() {
            self.convert(bytes, out.bytes());
        }
        Ok(())
    }
}

impl Converted {
    fn convert(&mut self, bytes: &[u8], out: &mut Vec<u8>) {
        match &*self.table {
            Table::Bytes(table) => {
                out.extend(bytes.iter().map(|byte| table.get(usize::from(*byte)).copied().unwrap_or(b'?')));
            }
            Table::ToUtf8(table) => {
                for byte in bytes {
                    out.extend_from_slice(table.get(usize::from(*byte)).map(Vec::as_slice).unwrap_or_default());
                }
            }
            Table::FromUtf8(table) if self.part.is_empty() => self.part = from_utf8(table, bytes, out),
            Table::FromUtf8(table) => {
                let text = [&self.part, bytes].concat();
                self.part = from_utf8(table, &text, out);
            }
        }
    }
}

/// Appends what a text in UTF-8 becomes, its other characters as references; gives back the begin of a character at its end.
fn from_utf8(table: &HashMap<u32, u8>, mut text: &[u8], out: &mut Vec<u8>) -> Vec<u8> {
    while let Some(first) = text.first() {
        if *first < 0x80 {
            let plain = text.iter().position(|byte| *byte >= 0x80).unwrap_or(text.len());
            out.extend_from_slice(text.get(..plain).unwrap_or_default());
            text = text.get(plain..).unwrap_or_default();
            continue;
        }
        let length = match decode(text) {
            Character::Part => break,
            Character::Invalid(length) => {
                out.push(b'?');
                length
            }
            Character::Known(character, length) => {
                match table.get(&character) {
                    Some(byte) => out.push(*byte),
                    None if character > 0x0010_ffff => out.push(b'?'),
                    None => {
                        let _ = write!(out, "&#{character};");
                    }
                }
                length
            }
        };
        text = text.get(length..).unwrap_or_default();
    }
    text.to_vec()
}

#[cfg(test)]
mod tests;
