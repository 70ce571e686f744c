//! OpenSSL's cipher strings: which ciphers one selects, in which order.
//!
//! The list beside this file is OpenSSL 3.0's in its own order, TLS 1.3's suites left out: name, version, key exchange,
//! authentication, encryption, MAC, the number on the wire and whether FIPS allows it.

use std::borrow::Cow;

const LIST: &str = include_str!("ciphers.txt");

/// The word that asks for the system's policy. The OpenSSL of Red Hat's distributions knows it, and their nginx.conf has
/// it; a system without that file has an OpenSSL that does not.
const PROFILE: &str = "PROFILE=SYSTEM";
const POLICY: &str = "/etc/crypto-policies/back-ends/openssl.config";

/// Why a cipher string cannot be used, in OpenSSL's words.
pub const NO_MATCH: &str = "error:0A0000B9:SSL routines::no cipher match";
const BAD_COMMAND: &str = "error:0A000118:SSL routines::invalid command";

/// What `DEFAULT` at the start of a string means.
const DEFAULT: &str = "ALL:!COMPLEMENTOFDEFAULT:!eNULL";

/// One cipher of TLS 1.2 and below.
#[derive(Clone, Copy, Debug)]
pub struct Cipher {
    /// OpenSSL's name.
    pub name: &'static str,
    version: &'static str,
    exchange: &'static str,
    authentication: &'static str,
    encryption: &'static str,
    mac: &'static str,
    /// The number on the wire.
    pub number: u16,
    fips: bool,
}

/// All ciphers, in OpenSSL's order.
pub fn all() -> impl Iterator<Item = Cipher> {
    LIST.lines().filter_map(|line| {
        let mut parts = line.split(' ');
        Some(Cipher {
            name: parts.next()?,
            version: parts.next()?,
            exchange: parts.next()?,
            authentication: parts.next()?,
            encryption: parts.next()?,
            mac: parts.next()?,
            number: u16::from_str_radix(parts.next()?, 16).ok()?,
            fips: parts.next()? == "fips",
        })
    })
}

/// What a cipher string selects.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Selection {
    /// OpenSSL's names, most preferred first.
    pub names: Vec<&'static str>,
    /// The words that add ciphers, each with what it added.
    pub words: Vec<(String, Vec<&'static str>)>,
}

/// The list OpenSSL applies the words of a string to: ciphers keep their place while they are not selected.
struct List(Vec<(Cipher, bool)>);

impl List {
    /// Splits off the ciphers `wanted` agrees to.
    fn split(&mut self, wanted: impl Fn(&Cipher, bool) -> bool) -> Vec<Cipher> {
        let (out, rest) = self.0.drain(..).partition(|(cipher, active)| wanted(cipher, *active));
        self.0 = rest;
        let out: Vec<(Cipher, bool)> = out;
        out.into_iter().map(|(cipher, _)| cipher).collect()
    }

    /// Applies one word; answers what it added.
    fn apply(&mut self, sign: char, name: &str) -> Vec<&'static str> {
        let hit = |cipher: &Cipher| name.split('+').all(|part| cipher.is(part));
        match sign {
            '!' => drop(self.split(|cipher, _| hit(cipher))),
            '-' => {
                let gone = self.split(|cipher, active| active && hit(cipher));
                self.0.splice(0..0, gone.into_iter().map(|cipher| (cipher, false)));
            }
            '+' => {
                let moved = self.split(|cipher, active| active && hit(cipher));
                self.0.extend(moved.into_iter().map(|cipher| (cipher, true)));
            }
            _ => {
                let added = self.split(|cipher, active| !active && hit(cipher));
                let names = added.iter().map(|cipher| cipher.name).collect();
                self.0.extend(added.into_iter().map(|cipher| (cipher, true)));
                return names;
            }
        }
        Vec::new()
    }

    /// `@STRENGTH`: longer keys first.
    fn by_strength(&mut self) {
        let mut active = self.split(|_, active| active);
        active.sort_by_key(|cipher| std::cmp::Reverse(cipher.bits()));
        self.0.extend(active.into_iter().map(|cipher| (cipher, true)));
    }

    fn rules(&mut self, text: &str, words: &mut Vec<(String, Vec<&'static str>)>) -> Result<(), &'static str> {
        for word in text.split([':', ' ', ';', ',']).filter(|word| !word.is_empty()) {
            if let Some(command) = word.strip_prefix('@') {
                match command {
                    "STRENGTH" => self.by_strength(),
                    level if level.starts_with("SECLEVEL=") => {}
                    _ => return Err(BAD_COMMAND),
                }
                continue;
            }
            let (sign, name) = match word.chars().next() {
                Some(sign @ ('!' | '-' | '+')) => (sign, word.get(1..).unwrap_or_default()),
                _ => (' ', word),
            };
            let name = name.split('@').next().unwrap_or_default();
            let added = self.apply(sign, name);
            if sign == ' ' {
                words.push((name.to_owned(), added));
            }
        }
        Ok(())
    }
}

/// The ciphers a string selects.
///
/// # Errors
/// OpenSSL's words.
pub fn select(text: &str) -> Result<Selection, &'static str> {
    let Some(rest) = text.strip_prefix(PROFILE) else { return selected(text) };
    match std::fs::read_to_string(POLICY) {
        Ok(policy) => of_policy(policy.trim(), rest),
        Err(_) => Err(NO_MATCH),
    }
}

/// The ciphers of a policy with `rest` behind it. The operator has not written its words: they count as one.
fn of_policy(policy: &str, rest: &str) -> Result<Selection, &'static str> {
    let Selection { names, .. } = selected(&format!("{policy}{rest}"))?;
    Ok(Selection { words: vec![(PROFILE.to_owned(), names.clone())], names })
}

fn selected(text: &str) -> Result<Selection, &'static str> {
    let mut list = List(all().map(|cipher| (cipher, false)).collect());
    let mut words = Vec::new();
    let rest = match text.strip_prefix("DEFAULT") {
        Some(rest) => {
            list.rules(DEFAULT, &mut Vec::new())?;
            rest
        }
        None => text,
    };
    list.rules(rest, &mut words)?;
    let names: Vec<_> = list.0.iter().filter(|(_, active)| *active).map(|(cipher, _)| cipher.name).collect();
    if names.is_empty() { Err(NO_MATCH) } else { Ok(Selection { names, words }) }
}

/// The security level a cipher string asks for; 2 where it asks for none.
pub fn level(text: Option<&str>) -> u32 {
    let text = text.map(|text| match text.strip_prefix(PROFILE) {
        Some(rest) => Cow::Owned(std::fs::read_to_string(POLICY).unwrap_or_default() + rest),
        None => Cow::Borrowed(text),
    });
    let asked = text.as_deref().and_then(|text| text.rsplit_once("@SECLEVEL=")).and_then(|(_, level)| level.get(..1));
    asked.and_then(|digit| digit.parse().ok()).unwrap_or(2)
}

impl Cipher {
    /// The bits of the key, as they count for `@STRENGTH`.
    fn bits(&self) -> u32 {
        let digits = self.encryption.split_once('(').map_or("", |(_, rest)| rest.trim_end_matches(')'));
        let bits = digits.parse().unwrap_or(0);
        if self.bulk("3DES") { 112 } else { bits }
    }

    /// Whether the cipher is the one called `word`, or one of the group.
    fn is(&self, word: &str) -> bool {
        let null = self.encryption == "None";
        let kx = self.exchange;
        let au = self.authentication;
        match word {
            "ALL" => !null,
            "COMPLEMENTOFALL" | "NULL" | "eNULL" => null,
            "COMPLEMENTOFDEFAULT" => {
                let rare = ["ARIA", "AESCCM", "Camellia"].iter().any(|kind| self.bulk(kind));
                !null && (rare || au == "None" || au == "DSS")
            }
            "HIGH" => !null && !self.bulk("3DES") && !self.bulk("RC4"),
            "MEDIUM" => self.bulk("3DES") || self.bulk("RC4") || self.bulk("SEED") || self.bulk("IDEA"),
            "kRSA" => kx == "RSA",
            "RSA" => kx == "RSA" && au == "RSA",
            "aRSA" => au == "RSA",
            "kDHE" | "kEDH" | "DH" => kx == "DH",
            "DHE" | "EDH" => kx == "DH" && au != "None",
            "kECDHE" | "kEECDH" | "ECDH" => kx == "ECDH",
            "ECDHE" | "EECDH" => kx == "ECDH" && au != "None",
            "ADH" => kx == "DH" && au == "None",
            "AECDH" => kx == "ECDH" && au == "None",
            "aNULL" => au == "None",
            "aECDSA" | "ECDSA" => au == "ECDSA",
            "aDSS" | "DSS" => au == "DSS",
            "PSK" => kx.ends_with("PSK"),
            "aPSK" => au == "PSK",
            "kPSK" => kx == "PSK",
            "kRSAPSK" => kx == "RSAPSK",
            "kDHEPSK" => kx == "DHEPSK",
            "kECDHEPSK" => kx == "ECDHEPSK",
            "SRP" | "kSRP" => kx == "SRP",
            "aSRP" => au == "SRP",
            "AES" => self.bulk("AES"),
            "AES128" => self.bulk("AES") && self.encryption.ends_with("(128)"),
            "AES256" => self.bulk("AES") && self.encryption.ends_with("(256)"),
            "AESGCM" => self.bulk("AESGCM"),
            "AESCCM" => self.bulk("AESCCM"),
            "AESCCM8" => self.bulk("AESCCM8"),
            "ARIA" | "ARIAGCM" => self.bulk("ARIA"),
            "ARIA128" => self.bulk("ARIA") && self.encryption.ends_with("(128)"),
            "ARIA256" => self.bulk("ARIA") && self.encryption.ends_with("(256)"),
            "CAMELLIA" => self.bulk("Camellia"),
            "CAMELLIA128" => self.bulk("Camellia") && self.encryption.ends_with("(128)"),
            "CAMELLIA256" => self.bulk("Camellia") && self.encryption.ends_with("(256)"),
            "CHACHA20" => self.bulk("CHACHA20"),
            "SHA1" | "SHA" => self.mac == "SHA1",
            "SHA256" => self.mac == "SHA256",
            "SHA384" => self.mac == "SHA384",
            "SSLv3" | "TLSv1.2" | "TLSv1" | "TLSv1.0" => {
                self.version == word || (word == "TLSv1.0" && self.version == "TLSv1")
            }
            "FIPS" => self.fips,
            name => name == self.name,
        }
    }

    fn bulk(&self, kind: &str) -> bool {
        self.encryption.starts_with(kind)
    }
}

#[cfg(test)]
mod tests;
