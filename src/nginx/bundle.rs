//! What a parent ships to its running worker for a reload: every text and answer the build used, and descriptors.
//!
//! The data travels in a memory file, because a datagram of a socket pair is small; descriptors follow in their order.

use super::generation::Inputs;
use crate::conf::source::{Loader, Memory};
use crate::session::build::Resolve;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::io;
use std::net::IpAddr;

/// Texts, globs and addresses by name.
#[derive(Clone, Debug, Default)]
pub struct Bundle {
    /// What the run was asked to do.
    pub inputs: Inputs,
    /// Texts and globs.
    pub memory: Memory,
    /// Host names and their addresses.
    pub hosts: BTreeMap<String, Vec<IpAddr>>,
    /// Names of the descriptors that follow, in order.
    pub descriptors: Vec<String>,
}

impl Resolve for Bundle {
    fn resolve(&self, host: &str) -> Vec<IpAddr> {
        self.hosts.get(host).cloned().unwrap_or_default()
    }
}

impl Bundle {
    /// The bundle as bytes.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::new();
        let inputs = &self.inputs;
        for text in
            [&inputs.prefix, &inputs.conf, &inputs.parameters, &inputs.error_log, &inputs.pid, &inputs.access_log]
        {
            put(&mut out, text.as_bytes());
        }
        put(&mut out, inputs.temp.as_deref().unwrap_or_default().as_bytes());
        put(&mut out, if inputs.allow_unserved { b"1" } else { b"" });
        list(&mut out, self.memory.texts.iter(), |out, (name, text)| {
            put(out, name.as_bytes());
            put(out, text);
        });
        list(&mut out, self.memory.globs.iter(), |out, (pattern, names)| {
            put(out, pattern.as_bytes());
            list(out, names.iter(), |out, name| put(out, name.as_bytes()));
        });
        list(&mut out, self.hosts.iter(), |out, (host, addresses)| {
            put(out, host.as_bytes());
            list(out, addresses.iter(), |out, address| put(out, address.to_string().as_bytes()));
        });
        list(&mut out, self.descriptors.iter(), |out, name| put(out, name.as_bytes()));
        out
    }

    /// The bundle of such bytes; nothing when they are not one.
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let mut at = bytes;
        let prefix = text(&mut at)?;
        let conf = text(&mut at)?;
        let parameters = text(&mut at)?;
        let error_log = text(&mut at)?;
        let pid = text(&mut at)?;
        let access_log = text(&mut at)?;
        let temp = Some(text(&mut at)?).filter(|temp| !temp.is_empty());
        let allow_unserved = !take(&mut at)?.is_empty();
        let inputs =
            Inputs { prefix, conf, parameters, error_log, pid, access_log, temp, allow_unserved, every: false };
        let mut bundle = Self { inputs, ..Self::default() };
        for _ in 0..number(&mut at)? {
            let name = text(&mut at)?;
            let body = take(&mut at)?.to_vec();
            bundle.memory.texts.insert(name, body);
        }
        for _ in 0..number(&mut at)? {
            let pattern = text(&mut at)?;
            let count = number(&mut at)?;
            let names = (0..count).map(|_| text(&mut at)).collect::<Option<_>>()?;
            bundle.memory.globs.insert(pattern, names);
        }
        for _ in 0..number(&mut at)? {
            let host = text(&mut at)?;
            let count = number(&mut at)?;
            let found = (0..count).map(|_| text(&mut at)?.parse().ok()).collect::<Option<_>>()?;
            bundle.hosts.insert(host, found);
        }
        let count = number(&mut at)?;
        bundle.descriptors = (0..count).map(|_| text(&mut at)).collect::<Option<_>>()?;
        Some(bundle)
    }
}

fn put(out: &mut Vec<u8>, bytes: &[u8]) {
    out.extend_from_slice(&(bytes.len() as u64).to_le_bytes());
    out.extend_from_slice(bytes);
}

fn list<T>(out: &mut Vec<u8>, items: impl ExactSizeIterator<Item = T>, write: impl Fn(&mut Vec<u8>, T)) {
    out.extend_from_slice(&(items.len() as u64).to_le_bytes());
    for item in items {
        write(out, item);
    }
}

fn number(at: &mut &[u8]) -> Option<usize> {
    let (head, rest) = at.split_first_chunk::<8>()?;
    *at = rest;
    usize::try_from(u64::from_le_bytes(*head)).ok()
}

fn take<'a>(at: &mut &'a [u8]) -> Option<&'a [u8]> {
    let length = number(at)?;
    let (head, rest) = at.split_at_checked(length)?;
    *at = rest;
    Some(head)
}

fn text(at: &mut &[u8]) -> Option<String> {
    String::from_utf8(take(at)?.to_vec()).ok()
}

/// A loader that remembers what it was asked and what it answered.
pub struct Recorder<'a> {
    inner: &'a dyn Loader,
    /// What was loaded.
    pub memory: RefCell<Memory>,
}

impl<'a> Recorder<'a> {
    /// Remembers what `inner` answers.
    pub fn new(inner: &'a dyn Loader) -> Self {
        Self { inner, memory: RefCell::default() }
    }
}

impl Loader for Recorder<'_> {
    fn load(&self, path: &str) -> io::Result<Vec<u8>> {
        let text = self.inner.load(path)?;
        self.memory.borrow_mut().texts.insert(path.to_owned(), text.clone());
        Ok(text)
    }

    fn glob(&self, pattern: &str) -> io::Result<Vec<String>> {
        let names = self.inner.glob(pattern)?;
        self.memory.borrow_mut().globs.insert(pattern.to_owned(), names.clone());
        Ok(names)
    }
}

/// The system's resolver, remembering its answers.
#[derive(Default)]
pub struct SystemResolver {
    /// Host names and what was found.
    pub hosts: RefCell<BTreeMap<String, Vec<IpAddr>>>,
}

impl Resolve for SystemResolver {
    fn resolve(&self, host: &str) -> Vec<IpAddr> {
        if let Some(known) = self.hosts.borrow().get(host) {
            return known.clone();
        }
        let found = crate::sys::lookup::addresses(host);
        self.hosts.borrow_mut().insert(host.to_owned(), found.clone());
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bundle_survives_its_journey() {
        let mut bundle = Bundle {
            inputs: Inputs { prefix: "/p/".into(), conf: "/c".into(), temp: Some("/t".into()), ..Inputs::default() },
            ..Bundle::default()
        };
        bundle.memory.texts.insert("/c".into(), b"events {}\n\xff".to_vec());
        bundle.memory.globs.insert("/d/*".into(), vec!["/d/a".into()]);
        bundle.hosts.insert("h".into(), vec!["::1".parse().expect("an address")]);
        bundle.descriptors = vec!["listen x".into()];
        let back = Bundle::decode(&bundle.encode()).expect("decodes");
        assert_eq!(format!("{back:?}"), format!("{bundle:?}"));
        assert!(Bundle::decode(b"\x05").is_none());
    }
}
