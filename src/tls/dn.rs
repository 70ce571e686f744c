//! Distinguished names in text: as RFC 2253 has them, and in one line as OpenSSL wrote them before.
//!
//! The list beside this file is OpenSSL's: identifiers of attributes with their short names.

use super::der::{Fields, tag};

const NAMES: &str = include_str!("names.txt");

/// One attribute: its identifier and its value.
struct Attribute<'a> {
    id: &'a [u8],
    tag: u8,
    value: &'a [u8],
    whole: &'a [u8],
}

/// The relative names of an encoded name, in order.
fn relative(name: &[u8]) -> Vec<Vec<Attribute<'_>>> {
    const SET: u8 = 0x31;
    let mut out = Vec::new();
    let Some(mut fields) = Fields::new(name).enter(tag::SEQUENCE) else { return out };
    while let Some(mut set) = fields.enter(SET) {
        let mut attributes = Vec::new();
        while let Some(mut pair) = set.enter(tag::SEQUENCE) {
            let (Some(id), Some(value)) = (pair.take(tag::OID), pair.any()) else { continue };
            attributes.push(Attribute { id, tag: value.tag, value: value.body, whole: value.whole });
        }
        out.push(attributes);
    }
    out
}

/// An identifier with dots.
fn dotted(id: &[u8]) -> String {
    let mut out = String::new();
    let mut number = 0_u64;
    for byte in id {
        number = number << 7 | u64::from(byte & 0x7f);
        if byte & 0x80 != 0 {
            continue;
        }
        if out.is_empty() {
            let first = (number / 40).min(2);
            out.push_str(&format!("{first}.{}", number - first * 40));
        } else {
            out.push_str(&format!(".{number}"));
        }
        number = 0;
    }
    out
}

impl Attribute<'_> {
    /// OpenSSL's short name.
    fn name(&self) -> Option<&'static str> {
        let id = dotted(self.id);
        NAMES.lines().find_map(|line| line.split_once(' ').filter(|(known, _)| *known == id)).map(|(_, name)| name)
    }

    /// The characters, if the value is a string.
    fn characters(&self) -> Option<Vec<char>> {
        const UTF8: u8 = 12;
        // Numeric, printable, T.61, IA5, the two times, graphic, visible and general strings: one byte a character.
        const NARROW: [u8; 8] = [18, 19, 20, 22, 23, 24, 26, 27];
        const UNIVERSAL: u8 = 28;
        const BMP: u8 = 30;
        let wide = |size: usize| {
            let number = |bytes: &[u8]| bytes.iter().fold(0, |sum, byte| sum << 8 | u32::from(*byte));
            let exact = self.value.len().is_multiple_of(size);
            exact.then(|| {
                self.value.chunks(size).map(|bytes| char::from_u32(number(bytes)).unwrap_or('\u{fffd}')).collect()
            })
        };
        match self.tag {
            UTF8 => std::str::from_utf8(self.value).ok().map(|text| text.chars().collect()),
            UNIVERSAL => wide(4),
            BMP => wide(2),
            narrow if NARROW.contains(&narrow) => wide(1),
            _ => None,
        }
    }

    fn print(&self, out: &mut String) {
        let name = self.name();
        match name {
            Some(name) => out.push_str(name),
            None => out.push_str(&dotted(self.id)),
        }
        out.push('=');
        let characters = self.characters().filter(|_| name.is_some());
        let Some(characters) = characters else {
            out.push('#');
            self.whole.iter().for_each(|byte| out.push_str(&format!("{byte:02X}")));
            return;
        };
        let last = characters.len().saturating_sub(1);
        for (index, character) in characters.into_iter().enumerate() {
            let edge = (character == ' ' && (index == 0 || index == last)) || (character == '#' && index == 0);
            match character {
                ',' | '+' | '"' | '\\' | '<' | '>' | ';' => out.extend(['\\', character]),
                _ if edge => out.extend(['\\', character]),
                '\0'..='\x1f' | '\x7f'.. => {
                    let mut bytes = [0; 4];
                    character.encode_utf8(&mut bytes).bytes().for_each(|byte| out.push_str(&format!("\\{byte:02X}")));
                }
                _ => out.push(character),
            }
        }
    }
}

/// Writes bytes with their length before them.
fn counted(out: &mut Vec<u8>, bytes: &[u8]) {
    out.extend_from_slice(&(bytes.len() as u64).to_be_bytes());
    out.extend_from_slice(bytes);
}

/// A name in the form in which OpenSSL compares names: strings of whatever type in UTF-8, in small ASCII letters, without
/// blanks around them and with one blank for several. The first parts of a name are the beginning of its form.
pub fn canonical(name: &[u8]) -> Vec<u8> {
    // UTF-8, printable, T.61, IA5, visible, universal and BMP strings.
    const COMPARED: [u8; 7] = [12, 19, 20, 22, 26, 28, 30];
    let mut out = Vec::new();
    for part in relative(name) {
        let mut attributes: Vec<Vec<u8>> = part
            .iter()
            .map(|attribute| {
                let mut bytes = Vec::new();
                counted(&mut bytes, attribute.id);
                match attribute.characters().filter(|_| COMPARED.contains(&attribute.tag)) {
                    Some(characters) => {
                        let text: String =
                            characters.into_iter().map(|character| character.to_ascii_lowercase()).collect();
                        let words: Vec<&str> = text.split_ascii_whitespace().collect();
                        bytes.push(12);
                        bytes.extend_from_slice(words.join(" ").as_bytes());
                    }
                    None => bytes.extend_from_slice(attribute.whole),
                }
                bytes
            })
            .collect();
        attributes.sort_unstable();
        let mut whole = Vec::new();
        attributes.iter().for_each(|attribute| counted(&mut whole, attribute));
        counted(&mut out, &whole);
    }
    out
}

/// A name as RFC 2253 has it: the last part first.
pub fn rfc2253(name: &[u8]) -> String {
    let mut out = String::new();
    for part in relative(name).iter().rev() {
        if !out.is_empty() {
            out.push(',');
        }
        for (index, attribute) in part.iter().rev().enumerate() {
            if index > 0 {
                out.push('+');
            }
            attribute.print(&mut out);
        }
    }
    out
}

/// A name in one line, as `/C=DE/CN=x`.
pub fn oneline(name: &[u8]) -> String {
    let mut out = String::new();
    for part in relative(name) {
        for (index, attribute) in part.iter().enumerate() {
            out.push(if index == 0 { '/' } else { '+' });
            out.push_str(attribute.name().unwrap_or(&dotted(attribute.id)));
            out.push('=');
            let zeros = matches!(attribute.tag, 28 | 30);
            for byte in attribute.value.iter().filter(|byte| !zeros || **byte != 0) {
                match byte {
                    b'/' | b'+' => out.extend(['\\', char::from(*byte)]),
                    b' '..=b'~' => out.push(char::from(*byte)),
                    _ => out.push_str(&format!("\\x{byte:02X}")),
                }
            }
        }
    }
    out
}

#[cfg(test)]
mod tests;
