//! What a folder looks like in each format.

use crate::http::codec::uri;
use crate::http::heart::response::date;
use crate::log::clock::civil;
use std::borrow::Cow;
use std::io::Write as _;

/// Characters of a name that are shown.
const NAME: usize = 50;

/// The kind of a directory entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A folder.
    Folder,
    /// A file.
    File,
    /// A link to nowhere, a device, a socket.
    Other,
}

/// A name in a folder.
#[derive(Clone, Debug)]
pub struct Entry {
    /// The name.
    pub name: Vec<u8>,
    /// Its kind.
    pub kind: Kind,
    /// When it was changed, in seconds since 1970.
    pub mtime: i64,
    /// How large it is.
    pub size: u64,
}

impl Entry {
    /// The word for its kind.
    const fn word(&self) -> &'static str {
        match self.kind {
            Kind::Folder => "directory",
            Kind::File => "file",
            Kind::Other => "other",
        }
    }
}

/// A page, with times so many seconds east of Greenwich.
pub fn html(path: &[u8], entries: &[Entry], utf8: bool, offset: i64, exact: bool) -> Vec<u8> {
    let mut out = b"<html>\r\n<head><title>Index of ".to_vec();
    uri::escape_html(path, &mut out);
    out.extend_from_slice(b"</title></head>\r\n<body>\r\n<h1>Index of ");
    uri::escape_html(path, &mut out);
    out.extend_from_slice(b"</h1><hr><pre><a href=\"../\">../</a>\r\n");
    for entry in entries {
        link(entry, utf8, &mut out);
        let at = civil(entry.mtime + offset);
        let month = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
        let month = month.get(usize::from(at.month) - 1).copied().unwrap_or_default();
        let size = match (entry.kind, exact) {
            (Kind::Folder, _) => "-".to_owned(),
            (_, true) => entry.size.to_string(),
            (_, false) => rounded(entry.size),
        };
        let width = if exact { 19 } else { 7 };
        let _ = write!(out, " {:02}-{month}-{} {:02}:{:02} {size:>width$}\r\n", at.day, at.year, at.hour, at.minute);
    }
    out.extend_from_slice(b"</pre><hr></body>\r\n</html>\r\n");
    out
}

/// A link to a name, padded to the width of the column.
fn link(entry: &Entry, utf8: bool, out: &mut Vec<u8>) {
    let is_folder = entry.kind == Kind::Folder;
    out.extend_from_slice(b"<a href=\"");
    uri::escape(&entry.name, uri::COMPONENT, out);
    out.extend_from_slice(if is_folder { b"/\">" } else { b"\">" });
    let text = if utf8 { std::str::from_utf8(&entry.name).ok() } else { None };
    let mut length = text.map_or(entry.name.len(), |text| text.chars().count());
    if length > NAME {
        let end = text.map_or(NAME - 3, |text| text.char_indices().nth(NAME - 3).map_or(text.len(), |(at, _)| at));
        uri::escape_html(entry.name.get(..end).unwrap_or_default(), out);
        out.extend_from_slice(b"..&gt;</a>");
        return;
    }
    uri::escape_html(&entry.name, out);
    if is_folder && length < NAME {
        out.push(b'/');
        length += 1;
    }
    out.extend_from_slice(b"</a>");
    out.resize(out.len() + (NAME - length), b' ');
}

/// A size with the largest unit that fits; a space where there is none.
fn rounded(size: u64) -> String {
    const UNITS: [(u64, u64, char); 3] = [(1 << 30, 1 << 30, 'G'), (1 << 20, 1 << 20, 'M'), (10_000, 1 << 10, 'K')];
    for (least, unit, name) in UNITS {
        if size >= least {
            return format!("{}{name}", size / unit + u64::from(size % unit >= unit / 2));
        }
    }
    size.to_string()
}

/// A list of objects, perhaps as the argument of a function.
pub fn json(entries: &[Entry], callback: Option<&[u8]>) -> Vec<u8> {
    let mut out = Vec::new();
    if let Some(name) = callback {
        out.extend_from_slice(b"/* callback */\r\n");
        out.extend_from_slice(name);
        out.push(b'(');
    }
    out.push(b'[');
    for (number, entry) in entries.iter().enumerate() {
        out.extend_from_slice(if number == 0 { b"\r\n{ \"name\":\"" } else { b",\r\n{ \"name\":\"" });
        escape_json(&entry.name, &mut out);
        let _ = write!(out, "\", \"type\":\"{}\", \"mtime\":\"{}\"", entry.word(), date(entry.mtime));
        if entry.kind == Kind::File {
            let _ = write!(out, ", \"size\":{}", entry.size);
        }
        out.extend_from_slice(b" }");
    }
    out.extend_from_slice(b"\r\n]");
    if callback.is_some() {
        out.extend_from_slice(b");");
    }
    out
}

fn escape_json(text: &[u8], out: &mut Vec<u8>) {
    for byte in text {
        let escape: Cow<'_, str> = match byte {
            b'"' => "\\\"".into(),
            b'\\' => "\\\\".into(),
            b'\n' => "\\n".into(),
            b'\r' => "\\r".into(),
            b'\t' => "\\t".into(),
            8 => "\\b".into(),
            12 => "\\f".into(),
            0..=0x1f => format!("\\u00{byte:02X}").into(),
            byte => {
                out.push(*byte);
                continue;
            }
        };
        out.extend_from_slice(escape.as_bytes());
    }
}

/// A list of elements.
pub fn xml(entries: &[Entry]) -> Vec<u8> {
    let mut out = b"<?xml version=\"1.0\"?>\r\n<list>\r\n".to_vec();
    for entry in entries {
        let (word, at) = (entry.word(), civil(entry.mtime));
        let _ = write!(
            out,
            "<{word} mtime=\"{:4}-{:02}-{:02}T{:02}:{:02}:{:02}Z\"",
            at.year, at.month, at.day, at.hour, at.minute, at.second
        );
        if entry.kind == Kind::File {
            let _ = write!(out, " size=\"{}\"", entry.size);
        }
        out.push(b'>');
        uri::escape_html(&entry.name, &mut out);
        let _ = write!(out, "</{word}>\r\n");
    }
    out.extend_from_slice(b"</list>\r\n");
    out
}
