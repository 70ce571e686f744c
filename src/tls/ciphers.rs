//! OpenSSL's cipher strings: whether anything is left after all of its words.
//!
//! The list beside this file is OpenSSL 3.0's, TLS 1.3's suites left out: name, version, key exchange, authentication,
//! encryption and MAC.

const LIST: &str = include_str!("ciphers.txt");

/// Why a cipher string cannot be used, in OpenSSL's words.
pub const NO_MATCH: &str = "error:0A0000B9:SSL routines::no cipher match";
const BAD_COMMAND: &str = "error:0A000118:SSL routines::invalid command";

struct Cipher<'a> {
    name: &'a str,
    version: &'a str,
    exchange: &'a str,
    authentication: &'a str,
    encryption: &'a str,
    mac: &'a str,
}

fn all() -> impl Iterator<Item = Cipher<'static>> {
    LIST.lines().filter_map(|line| {
        let mut parts = line.split(' ');
        Some(Cipher {
            name: parts.next()?,
            version: parts.next()?,
            exchange: parts.next()?,
            authentication: parts.next()?,
            encryption: parts.next()?,
            mac: parts.next()?,
        })
    })
}

/// Whether the string selects a cipher.
///
/// # Errors
/// OpenSSL's words.
pub fn check(text: &str) -> Result<(), &'static str> {
    let mut chosen: Vec<&str> = Vec::new();
    let mut banned: Vec<&str> = Vec::new();
    for word in text.split([':', ' ', ';', ',']).filter(|word| !word.is_empty()) {
        if let Some(command) = word.strip_prefix('@') {
            if command != "STRENGTH" && !command.starts_with("SECLEVEL=") {
                return Err(BAD_COMMAND);
            }
            continue;
        }
        let (sign, name) = match word.chars().next() {
            Some(sign @ ('!' | '-' | '+')) => (sign, word.get(1..).unwrap_or_default()),
            _ => (' ', word),
        };
        let name = name.split('@').next().unwrap_or_default();
        let hits = all().filter(|cipher| name.split('+').all(|part| cipher.is(part))).map(|cipher| cipher.name);
        match sign {
            ' ' => chosen.extend(hits.filter(|name| !banned.contains(name)).collect::<Vec<_>>()),
            '+' => {}
            _ => {
                let gone: Vec<_> = hits.collect();
                chosen.retain(|name| !gone.contains(name));
                if sign == '!' {
                    banned.extend(gone);
                }
            }
        }
    }
    if chosen.is_empty() { Err(NO_MATCH) } else { Ok(()) }
}

/// The security level a cipher string asks for; 2 where it asks for none.
pub fn level(text: Option<&str>) -> u32 {
    let asked = text.and_then(|text| text.rsplit_once("@SECLEVEL=")).and_then(|(_, level)| level.get(..1));
    asked.and_then(|digit| digit.parse().ok()).unwrap_or(2)
}

impl Cipher<'_> {
    /// Whether the cipher is the one called `word`, or one of the group.
    fn is(&self, word: &str) -> bool {
        let null = self.encryption == "None";
        let kx = self.exchange;
        let au = self.authentication;
        match word {
            "ALL" => !null,
            "COMPLEMENTOFALL" | "NULL" | "eNULL" => null,
            "DEFAULT" => !null && au != "None",
            "COMPLEMENTOFDEFAULT" => au == "None" && !null,
            "HIGH" => !null && !self.bulk("3DES") && !self.bulk("RC4"),
            "MEDIUM" => self.bulk("3DES") || self.bulk("RC4") || self.bulk("SEED") || self.bulk("IDEA"),
            "kRSA" => kx == "RSA",
            "RSA" => kx == "RSA" || au == "RSA",
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
            "FIPS" => !null,
            name => name == self.name,
        }
    }

    fn bulk(&self, kind: &str) -> bool {
        self.encryption.starts_with(kind)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_string_must_leave_a_cipher() {
        assert_eq!(check("HIGH:!aNULL:!MD5:FOO"), Ok(()));
        assert_eq!(check("ECDHE-RSA-AES128-GCM-SHA256:!ECDHE"), Err(NO_MATCH));
        assert_eq!(check("TLS_AES_128_GCM_SHA256"), Err(NO_MATCH));
        assert_eq!((check(""), check("PROFILE=SYSTEM")), (Err(NO_MATCH), Err(NO_MATCH)));
        assert_eq!(check("!aNULL:@FOO"), Err(BAD_COMMAND));
        assert_eq!(check("ECDH+AESGCM:DH+AESGCM"), Ok(()));
        assert_eq!((level(None), level(Some("DEFAULT@SECLEVEL=0"))), (2, 0));
    }
}
