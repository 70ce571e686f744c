//! `geo` with `ranges`: kept in blocks of 65536 addresses, as nginx keeps them, because its complaints name them so.

use crate::conf::diagnostic::Diagnostic;
use crate::conf::source::Span;
use crate::conf::tree::{Statement, Word};
use crate::conf::value;
use crate::conf::walk::Setting;
use hashbrown::HashMap;
use std::net::Ipv4Addr;

/// A range's value, and where it was given.
type Value = (String, Span);

/// Ranges of addresses.
#[derive(Clone, Default)]
pub struct Ranges {
    default: Option<(String, Span)>,
    /// By the high half of the address: first, last, value and place, later ranges behind.
    blocks: HashMap<u16, Vec<(u16, u16, Value)>>,
}

impl Ranges {
    /// Takes a row.
    ///
    /// # Errors
    /// Ranges that are none, or overlap.
    pub fn add(&mut self, cx: &mut Setting<'_>, row: &Statement, key: &Word, value: &Word) -> Result<(), Diagnostic> {
        if key.is("default") {
            let text = value.text().into_owned();
            if let Some((old, first)) = &self.default {
                let text = format!("duplicate default geo range value: \"{text}\", old value: \"{old}\"");
                cx.report(Diagnostic::warn(text).at(row.span).earlier(Some(*first)));
            }
            self.default = Some((text, row.span));
            return Ok(());
        }
        let delete = key.is("delete");
        let net = if delete { value } else { key };
        let Some((first, last)) = range(&net.text()) else {
            return Err(Diagnostic::emerg(format!("invalid range \"{}\"", net.text())));
        };
        if delete {
            // Every part is looked for, whatever became of the others.
            let found: Vec<bool> = pieces(first, last).map(|piece| self.remove(piece)).collect();
            if found.contains(&false) {
                cx.warn(row, format!("no address range \"{}\" to delete", net.text()));
            }
            return Ok(());
        }
        let text = value.text().into_owned();
        for piece in pieces(first, last) {
            if let Some((old, first)) = self.insert(piece, &net.text(), (&text, row.span))? {
                let net = net.text();
                let text = format!("duplicate range \"{net}\", value: \"{text}\", old value: \"{old}\"");
                cx.report(Diagnostic::warn(text).at(row.span).earlier(Some(first)));
            }
        }
        Ok(())
    }

    /// The value of an address.
    pub fn value(&self, ip: Ipv4Addr) -> Option<&str> {
        let [a, b, c, d] = ip.octets();
        let (high, low) = (u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d]));
        let block = self.blocks.get(&high).map(Vec::as_slice).unwrap_or_default();
        let at = block.partition_point(|(_, last, _)| *last < low);
        let found = block.get(at).filter(|(first, ..)| *first <= low).map(|(.., value)| value);
        found.or(self.default.as_ref()).map(|(value, _)| value.as_str())
    }

    fn remove(&mut self, (high, first, last): (u16, u16, u16)) -> bool {
        let Some(block) = self.blocks.get_mut(&high) else { return false };
        let found = block.iter().position(|(from, to, _)| (*from, *to) == (first, last));
        found.map(|at| block.remove(at)).is_some()
    }

    /// Puts a piece in; the old value where the very same range was there.
    fn insert(
        &mut self,
        (high, first, last): (u16, u16, u16),
        net: &str,
        (value, place): (&str, Span),
    ) -> Result<Option<Value>, Diagnostic> {
        let block = self.blocks.entry(high).or_default();
        let Some(at) = block.iter().rposition(|(from, to, _)| last >= *from && first <= *to) else {
            let behind = block.iter().position(|(from, ..)| *from > last).unwrap_or(block.len());
            block.insert(behind, (first, last, (value.to_owned(), place)));
            return Ok(None);
        };
        let Some((from, to, old)) = block.get(at).cloned() else { return Ok(None) };
        let piece = (first, last, (value.to_owned(), place));
        if (first, last) == (from, to) {
            if let Some(slot) = block.get_mut(at) {
                *slot = piece;
            }
            return Ok(Some(old));
        }
        if first < from || last > to {
            let [a, b] = high.to_be_bytes();
            let ([c, d], [e, f]) = (from.to_be_bytes(), to.to_be_bytes());
            let text = format!("range \"{net}\" overlaps \"{a}.{b}.{c}.{d}-{a}.{b}.{e}.{f}\"");
            return Err(Diagnostic::emerg(text).earlier(Some(old.1)));
        }
        let before = (first > from).then(|| (from, first - 1, old.clone()));
        let after = (last < to).then(|| (last + 1, to, old));
        block.splice(at..=at, before.into_iter().chain([piece]).chain(after));
        Ok(None)
    }
}

/// `first-last`.
fn range(text: &str) -> Option<(u32, u32)> {
    let (first, last) = text.split_once('-')?;
    let number = |text: &str| value::ipv4(text.as_bytes()).filter(|ip| *ip != Ipv4Addr::BROADCAST).map(u32::from);
    let (first, last) = (number(first)?, value::ipv4(last.as_bytes()).map(u32::from)?);
    (first <= last).then_some((first, last))
}

/// The parts of a range in each block: the block, first and last in it.
fn pieces(first: u32, last: u32) -> impl Iterator<Item = (u16, u16, u16)> {
    let half = |number: u32| (number & 0xffff) as u16;
    (first >> 16..=last >> 16).map(move |high| {
        let from = if high == first >> 16 { half(first) } else { 0 };
        let to = if high == last >> 16 { half(last) } else { u16::MAX };
        (high as u16, from, to)
    })
}
