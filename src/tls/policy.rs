//! Which versions, suites and groups a context speaks: OpenSSL's settings in terms of rustls.
//!
//! rustls has TLS 1.2 and 1.3, ECDHE and AEAD ciphers only. What a configuration names beyond that is collected, to be
//! said in one warning; a configuration that leaves nothing is refused.

use super::{ciphers, suites};
use crate::conf::diagnostic::Diagnostic;
use crate::conf::tree::Word;
use rustls::crypto::{CryptoProvider, SupportedKxGroup, aws_lc_rs};
use rustls::version::{TLS12, TLS13};
use rustls::{SupportedCipherSuite, SupportedProtocolVersion};
use std::sync::Arc;

/// Bits of `ssl_protocols`.
const BIT_TLS12: u32 = 32;
const BIT_TLS13: u32 = 64;
/// `TLSv1 TLSv1.1 TLSv1.2 TLSv1.3`, where nothing else is said.
const DEFAULT: u32 = 8 | 16 | BIT_TLS12 | BIT_TLS13;

/// The settings a policy is made of, with the names of their directives.
#[derive(Clone, Copy)]
pub struct Asked<'a> {
    /// What the directives' names begin with: `ssl`, `proxy_ssl`.
    pub prefix: &'a str,
    /// The bits of `*_protocols`, if it is given.
    pub protocols: Option<u32>,
    /// `*_ciphers`, if it is given.
    pub ciphers: Option<&'a Word>,
    /// `*_ecdh_curve`, if it is given.
    pub groups: Option<&'a Word>,
    /// `*_conf_command`.
    pub commands: &'a [(Word, Word)],
}

/// What is spoken.
#[derive(Clone, Debug)]
pub struct Policy {
    /// The provider with the suites and groups, most preferred first.
    pub provider: Arc<CryptoProvider>,
    /// The versions.
    pub versions: Vec<&'static SupportedProtocolVersion>,
    /// `Options ServerPreference`, if it is given.
    pub server_order: Option<bool>,
    /// `Options SessionTicket`, if it is given.
    pub tickets: Option<bool>,
    /// `NumTickets`, if it is given.
    pub ticket_count: Option<usize>,
    /// `Options PrioritizeChaCha`: a client whose first suite is ChaCha20 gets it.
    pub chacha_first: bool,
    /// What is named and not spoken.
    pub unspoken: Vec<String>,
}

/// Settings while commands change them.
struct Draft {
    versions: u32,
    text: Option<String>,
    new: Vec<SupportedCipherSuite>,
    groups: Option<String>,
    server_order: Option<bool>,
    tickets: Option<bool>,
    ticket_count: Option<usize>,
    chacha_first: bool,
    unspoken: Vec<String>,
}

/// Names of versions and their bits, as `MinProtocol` has them.
const VERSIONS: [(&str, u32); 5] = [("SSLv3", 4), ("TLSv1", 8), ("TLSv1.1", 16), ("TLSv1.2", 32), ("TLSv1.3", 64)];

/// What rustls does anyway, never does, or does as well without being told.
const INERT: [(&str, bool); 18] = [
    ("Bugs", true),
    ("EmptyFragments", true),
    ("EmptyFragments", false),
    ("Compression", false),
    ("NoResumptionOnRenegotiation", true),
    ("DHSingle", true),
    ("ECDHSingle", true),
    ("UnsafeLegacyRenegotiation", false),
    ("UnsafeLegacyServerConnect", false),
    ("ClientRenegotiation", false),
    ("NoRenegotiation", true),
    ("EncryptThenMac", true),
    ("EncryptThenMac", false),
    ("MiddleboxCompat", true),
    ("AntiReplay", true),
    ("ExtendedMasterSecret", true),
    ("CANames", true),
    ("KTLS", true),
];

impl Policy {
    /// The policy of a server or a client.
    ///
    /// # Errors
    /// A command that has no counterpart, or settings that leave nothing to speak.
    pub fn new(asked: &Asked<'_>, default_groups: Vec<&'static dyn SupportedKxGroup>) -> Result<Self, Diagnostic> {
        let mut draft = Draft {
            versions: asked.protocols.unwrap_or(BIT_TLS12 | BIT_TLS13),
            text: asked.ciphers.map(|word| word.text().into_owned()),
            new: suites::default13(),
            groups: asked.groups.map(|word| word.text().into_owned()),
            server_order: None,
            tickets: None,
            ticket_count: None,
            chacha_first: false,
            unspoken: Vec::new(),
        };
        // What is not said is not complained of: the default names old versions too.
        for (name, bit) in super::directives::PROTOCOLS.iter().filter(|_| asked.protocols != Some(DEFAULT)) {
            if asked.protocols.is_some_and(|bits| bits & bit != 0) && bit & (BIT_TLS12 | BIT_TLS13) == 0 {
                draft.unspoken.push((*name).to_owned());
            }
        }
        for (name, value) in asked.commands {
            draft.command(asked.prefix, name, value)?;
        }
        draft.finish(asked, default_groups)
    }
}

impl Draft {
    fn finish(
        mut self,
        asked: &Asked<'_>,
        default_groups: Vec<&'static dyn SupportedKxGroup>,
    ) -> Result<Policy, Diagnostic> {
        let refused = |what: &str, word: Option<&Word>| {
            let complaint = Diagnostic::emerg(format!("\"{}_{what}", asked.prefix));
            match word {
                Some(word) => complaint.at(word.span),
                None => complaint,
            }
        };
        if self.versions & (BIT_TLS12 | BIT_TLS13) == 0 {
            return Err(refused("protocols\" leaves no version: TLSv1.2 and TLSv1.3 are supported", None));
        }
        let old = self.old_suites()?;
        let mut versions: Vec<&'static SupportedProtocolVersion> = Vec::new();
        if self.versions & BIT_TLS12 != 0 {
            if old.is_empty() {
                if self.versions & BIT_TLS13 == 0 {
                    let text = "ciphers\" leaves no cipher: ECDHE with AES-GCM or ChaCha20-Poly1305 is supported";
                    return Err(refused(text, asked.ciphers));
                }
                self.unspoken.push("TLSv1.2 with these ciphers".to_owned());
            } else {
                versions.push(&TLS12);
            }
        }
        if self.versions & BIT_TLS13 != 0 {
            versions.push(&TLS13);
        }
        let groups = self.groups(default_groups);
        if groups.is_empty() {
            let text = "ecdh_curve\" leaves no group: X25519, prime256v1 and secp384r1 are supported";
            return Err(refused(text, asked.groups));
        }
        let cipher_suites = self.new.iter().chain(&old).copied().collect();
        let provider = CryptoProvider { cipher_suites, kx_groups: groups, ..aws_lc_rs::default_provider() };
        Ok(Policy {
            provider: Arc::new(provider),
            versions,
            server_order: self.server_order,
            tickets: self.tickets,
            ticket_count: self.ticket_count,
            chacha_first: self.chacha_first,
            unspoken: self.unspoken,
        })
    }

    /// TLS 1.2's suites in the order of the cipher string; words of it that add none of them are collected.
    fn old_suites(&mut self) -> Result<Vec<SupportedCipherSuite>, Diagnostic> {
        let text = self.text.as_deref().unwrap_or("HIGH:!aNULL:!MD5");
        let selection = ciphers::select(text)
            .map_err(|words| Diagnostic::emerg(format!("SSL_CTX_set_cipher_list(\"{text}\") failed (SSL: {words})")))?;
        for (word, added) in &selection.words {
            let spoken = added.is_empty() || added.iter().any(|name| suites::tls12(name).is_some());
            if !spoken && !self.unspoken.contains(word) {
                self.unspoken.push(word.clone());
            }
        }
        Ok(selection.names.iter().filter_map(|name| suites::tls12(name)).collect())
    }

    fn groups(&mut self, default: Vec<&'static dyn SupportedKxGroup>) -> Vec<&'static dyn SupportedKxGroup> {
        let Some(list) = self.groups.as_deref().filter(|list| !list.is_empty() && *list != "auto") else {
            return default;
        };
        let mut found = Vec::new();
        for name in list.split(':') {
            match suites::group(name) {
                Some(group) => found.push(group),
                None => self.unspoken.push(name.to_owned()),
            }
        }
        found
    }

    fn command(&mut self, prefix: &str, name: &Word, value: &Word) -> Result<(), Diagnostic> {
        let (command, text) = (name.text(), value.text());
        let refuse = || {
            let text = format!("\"{prefix}_conf_command\" {command} \"{text}\" is not supported");
            Diagnostic::emerg(text).at(name.span)
        };
        match &*command.to_ascii_lowercase() {
            "ciphersuites" => {
                let unknown = text.split(':').filter(|name| suites::tls13(name).is_none()).map(str::to_owned);
                self.unspoken.extend(unknown);
                self.new = text.split(':').filter_map(suites::tls13).collect();
                if self.new.is_empty() {
                    return Err(refuse());
                }
            }
            "cipherstring" => self.text = Some(text.into_owned()),
            "curves" | "groups" | "ecdhparameters" => self.groups = Some(text.into_owned()),
            "minprotocol" => self.versions &= !(version(&text).unwrap_or(0).saturating_sub(1)),
            "maxprotocol" => {
                let highest = version(&text).unwrap_or(BIT_TLS13);
                self.versions &= (highest << 1).wrapping_sub(1);
            }
            "protocol" => self.protocols(&text),
            "numtickets" => self.ticket_count = Some(text.parse().map_err(|_| refuse())?),
            "options" => {
                for option in text.split(',') {
                    self.option(option.trim()).ok_or_else(refuse)?;
                }
            }
            // Nothing here agrees on keys by DHE.
            "dhparameters" => {}
            _ => return Err(refuse()),
        }
        Ok(())
    }

    /// `Protocol`: a list of versions to add (`ALL`, `TLSv1.2`) or to take away (`-TLSv1`).
    fn protocols(&mut self, list: &str) {
        for word in list.split(',').map(str::trim) {
            let (off, name) = match word.strip_prefix('-') {
                Some(name) => (true, name),
                None => (false, word.trim_start_matches('+')),
            };
            let bits = if name.eq_ignore_ascii_case("ALL") { u32::MAX } else { version(name).unwrap_or(0) };
            self.versions = if off { self.versions & !bits } else { self.versions | bits };
        }
    }

    /// One word of `Options`; nothing where it asks for what is not done here.
    fn option(&mut self, word: &str) -> Option<()> {
        let (on, name) = match word.strip_prefix('-') {
            Some(name) => (false, name),
            None => (true, word.trim_start_matches('+')),
        };
        match &*name.to_ascii_lowercase() {
            "serverpreference" => self.server_order = Some(on),
            "sessionticket" => self.tickets = Some(on),
            "prioritizechacha" => self.chacha_first = on,
            _ => {
                INERT.iter().find(|(known, state)| known.eq_ignore_ascii_case(name) && *state == on)?;
            }
        }
        Some(())
    }
}

fn version(name: &str) -> Option<u32> {
    VERSIONS.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, bit)| *bit)
}

/// The one warning about what is named and not spoken.
pub fn warning(prefix: &str, unspoken: &[String]) -> Option<Diagnostic> {
    let list = unspoken.join(", ");
    (!unspoken.is_empty()).then(|| {
        Diagnostic::warn(format!(
            "\"{prefix}_protocols\", \"{prefix}_ciphers\" and the like name what is not supported and ignored: {list}"
        ))
    })
}
