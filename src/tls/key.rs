//! Private keys in PEM, also encrypted ones: PKCS #8 with PBES2 or PBE-SHA1-3DES, and the older `Proc-Type: 4,ENCRYPTED`.
#![expect(deprecated, reason = "keys that DES or 3DES encrypts open as they do in OpenSSL")]

use super::der::{Fields, small, tag};
use super::pem::{self, Block};
use aws_lc_rs::cipher::{
    AES_128, AES_192, AES_256, Algorithm, DES_EDE3_FOR_LEGACY_USE_ONLY, DES_FOR_LEGACY_USE_ONLY, DecryptionContext,
    PaddedBlockDecryptingKey, UnboundCipherKey,
};
use aws_lc_rs::digest::{SHA1_FOR_LEGACY_USE_ONLY, SHA256, digest};
use aws_lc_rs::iv::FixedLength;
use aws_lc_rs::pbkdf2::{self, PBKDF2_HMAC_SHA1, PBKDF2_HMAC_SHA256, PBKDF2_HMAC_SHA384, PBKDF2_HMAC_SHA512};
use data_encoding::HEXUPPER_PERMISSIVE;
use md5::{Digest as _, Md5};
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs1KeyDer, PrivatePkcs8KeyDer, PrivateSec1KeyDer};
use std::fmt::{self, Debug};
use std::num::NonZeroU32;
use std::sync::Arc;

/// The passwords of a file, one a line; one empty password where there are none.
#[derive(Clone)]
pub struct Passwords(Arc<[Vec<u8>]>);

impl Passwords {
    /// Those in a file. It is read once for a configuration, so that it may be a pipe.
    pub fn read(file: &[u8]) -> Self {
        let lines = file.split(|byte| *byte == b'\n').map(|line| line.strip_suffix(b"\r").unwrap_or(line));
        let mut passwords: Vec<_> = lines.filter(|line| !line.is_empty()).map(<[u8]>::to_vec).collect();
        if passwords.is_empty() {
            passwords.push(Vec::new());
        }
        Self(passwords.into())
    }

    /// What tells them from others without containing them.
    pub fn digest(&self) -> Vec<u8> {
        digest(&SHA256, &self.0.join(&b'\n')).as_ref().to_vec()
    }
}

impl Debug for Passwords {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Passwords").finish_non_exhaustive()
    }
}

/// Why a key cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyError {
    /// No block is a key, or its encoding is wrong.
    Unreadable,
    /// It is encrypted and there are no passwords.
    NoPassword,
    /// No password opens an older key.
    WrongPassword,
    /// No password opens a PKCS #8 key.
    WrongPkcs8Password,
    /// It is encrypted in a way that is not supported, by name.
    Unsupported(&'static str),
}

/// The first private key of a PEM text; encrypted ones are opened by the first password that fits.
///
/// # Errors
/// Why there is none.
pub fn read(bytes: &[u8], passwords: Option<&Passwords>) -> Result<PrivateKeyDer<'static>, KeyError> {
    for block in pem::blocks(bytes) {
        let block = block.map_err(|_| KeyError::Unreadable)?;
        if block.label == "ENCRYPTED PRIVATE KEY" {
            let passwords = passwords.ok_or(KeyError::NoPassword)?;
            return first(passwords, KeyError::WrongPkcs8Password, |password| open_pkcs8(&block.contents, password));
        }
        if !block.label.ends_with("PRIVATE KEY") {
            continue;
        }
        if block.header("Proc-Type").is_some_and(|kind| kind.contains("ENCRYPTED")) {
            let passwords = passwords.ok_or(KeyError::NoPassword)?;
            return first(passwords, KeyError::WrongPassword, |password| open_legacy(&block, password));
        }
        return typed(&block.label, block.contents).ok_or(KeyError::Unreadable);
    }
    Err(KeyError::Unreadable)
}

/// The key the first fitting password opens; `wrong` where none fits.
fn first(
    Passwords(passwords): &Passwords,
    wrong: KeyError,
    open: impl Fn(&[u8]) -> Result<Option<PrivateKeyDer<'static>>, KeyError>,
) -> Result<PrivateKeyDer<'static>, KeyError> {
    for password in passwords.iter() {
        if let Some(key) = open(password)? {
            return Ok(key);
        }
    }
    Err(wrong)
}

/// The key of a block with that label; DSA has no place in TLS here.
fn typed(label: &str, contents: Vec<u8>) -> Option<PrivateKeyDer<'static>> {
    Fields::new(&contents).enter(tag::SEQUENCE)?;
    match label {
        "RSA PRIVATE KEY" => Some(PrivatePkcs1KeyDer::from(contents).into()),
        "EC PRIVATE KEY" => Some(PrivateSec1KeyDer::from(contents).into()),
        "PRIVATE KEY" => Some(PrivatePkcs8KeyDer::from(contents).into()),
        _ => None,
    }
}

/// A block cipher in CBC mode.
#[derive(Clone, Copy)]
struct Cbc {
    algorithm: &'static Algorithm,
    key: usize,
}

const DES: Cbc = Cbc { algorithm: &DES_FOR_LEGACY_USE_ONLY, key: 8 };
const DES3: Cbc = Cbc { algorithm: &DES_EDE3_FOR_LEGACY_USE_ONLY, key: 24 };
const AES128: Cbc = Cbc { algorithm: &AES_128, key: 16 };
const AES192: Cbc = Cbc { algorithm: &AES_192, key: 24 };
const AES256: Cbc = Cbc { algorithm: &AES_256, key: 32 };

impl Cbc {
    /// The plain text, if the padding is right.
    fn open(self, key: &[u8], iv: &[u8], text: &[u8]) -> Option<Vec<u8>> {
        let key = UnboundCipherKey::new(self.algorithm, key.get(..self.key)?).ok()?;
        let key = PaddedBlockDecryptingKey::cbc_pkcs7(key).ok()?;
        let context = match iv.len() {
            8 => DecryptionContext::Iv64(FixedLength::<8>::try_from(iv).ok()?),
            _ => DecryptionContext::Iv128(FixedLength::<16>::try_from(iv).ok()?),
        };
        let mut text = text.to_vec();
        key.decrypt(&mut text, context).ok().map(|plain| plain.to_vec())
    }
}

/// Opens a key under `Proc-Type: 4,ENCRYPTED`: its cipher and initialization vector are in `DEK-Info`.
fn open_legacy(block: &Block, password: &[u8]) -> Result<Option<PrivateKeyDer<'static>>, KeyError> {
    let info = block.header("DEK-Info").unwrap_or_default();
    let (name, iv) = info.split_once(',').ok_or(KeyError::Unreadable)?;
    let cbc = match name.trim() {
        "DES-CBC" => DES,
        "DES-EDE3-CBC" => DES3,
        "AES-128-CBC" => AES128,
        "AES-192-CBC" => AES192,
        "AES-256-CBC" => AES256,
        _ => return Err(KeyError::Unsupported("another cipher than AES-CBC and DES-CBC in DEK-Info")),
    };
    let iv = HEXUPPER_PERMISSIVE.decode(iv.trim().as_bytes()).map_err(|_| KeyError::Unreadable)?;
    let salt = iv.get(..8).ok_or(KeyError::Unreadable)?;
    let mut key: Vec<u8> = Vec::new();
    let mut last: Vec<u8> = Vec::new();
    while key.len() < cbc.key {
        last = Md5::new().chain_update(&last).chain_update(password).chain_update(salt).finalize().to_vec();
        key.extend_from_slice(&last);
    }
    Ok(cbc.open(&key, &iv, &block.contents).and_then(|plain| typed(&block.label, plain)))
}

const PBES2: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 5, 13];
const PBKDF2: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 5, 12];
const SCRYPT: &[u8] = &[0x2b, 6, 1, 4, 1, 0xda, 0x47, 4, 11];
const PBE_SHA1_3DES: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 12, 1, 3];
const HMACS: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 2];
const DES3_CBC: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 3, 7];
const NIST_AES: &[u8] = &[0x60, 0x86, 0x48, 1, 0x65, 3, 4, 1];

/// Opens an encrypted PKCS #8 key.
fn open_pkcs8(der: &[u8], password: &[u8]) -> Result<Option<PrivateKeyDer<'static>>, KeyError> {
    let parts = || {
        let mut outer = Fields::new(der).enter(tag::SEQUENCE)?;
        let mut scheme = outer.enter(tag::SEQUENCE)?;
        Some((scheme.take(tag::OID)?, scheme.enter(tag::SEQUENCE)?, outer.take(tag::OCTETS)?))
    };
    let (scheme, parameters, text) = parts().ok_or(KeyError::Unreadable)?;
    let plain = match scheme {
        PBES2 => pbes2(parameters, password, text)?,
        PBE_SHA1_3DES => pbe_sha1_3des(parameters, password, text).ok_or(KeyError::Unreadable)?,
        _ => return Err(KeyError::Unsupported("another scheme than PBES2 and PBE-SHA1-3DES")),
    };
    Ok(plain.and_then(|plain| typed("PRIVATE KEY", plain)))
}

fn pbes2(mut parameters: Fields<'_>, password: &[u8], text: &[u8]) -> Result<Option<Vec<u8>>, KeyError> {
    let mut parts = || {
        let mut derivation = parameters.enter(tag::SEQUENCE)?;
        let mut cipher = parameters.enter(tag::SEQUENCE)?;
        Some((
            derivation.take(tag::OID)?,
            derivation.enter(tag::SEQUENCE)?,
            cipher.take(tag::OID)?,
            cipher.take(tag::OCTETS)?,
        ))
    };
    let (function, mut derivation, cipher, iv) = parts().ok_or(KeyError::Unreadable)?;
    if function == SCRYPT {
        return Err(KeyError::Unsupported("scrypt"));
    }
    if function != PBKDF2 {
        return Err(KeyError::Unsupported("another key derivation than PBKDF2"));
    }
    let cbc = match (cipher, cipher.strip_prefix(NIST_AES)) {
        (DES3_CBC, _) => DES3,
        (_, Some([2])) => AES128,
        (_, Some([22])) => AES192,
        (_, Some([42])) => AES256,
        _ => return Err(KeyError::Unsupported("another cipher than AES-CBC and DES-EDE3-CBC")),
    };
    let salt = derivation.take(tag::OCTETS).ok_or(KeyError::Unreadable)?;
    let rounds = derivation.take(tag::INTEGER).and_then(small).and_then(|count| u32::try_from(count).ok());
    let rounds = rounds.and_then(NonZeroU32::new).ok_or(KeyError::Unreadable)?;
    derivation.take(tag::INTEGER);
    let hmac = derivation.enter(tag::SEQUENCE).and_then(|mut prf| prf.take(tag::OID));
    let hmac = match hmac.map(|name| name.strip_prefix(HMACS)) {
        None | Some(Some([7])) => PBKDF2_HMAC_SHA1,
        Some(Some([9])) => PBKDF2_HMAC_SHA256,
        Some(Some([10])) => PBKDF2_HMAC_SHA384,
        Some(Some([11])) => PBKDF2_HMAC_SHA512,
        _ => return Err(KeyError::Unsupported("another HMAC than SHA-1, SHA-256, SHA-384 and SHA-512")),
    };
    let mut key = vec![0; cbc.key];
    pbkdf2::derive(hmac, rounds, salt, password, &mut key);
    Ok(cbc.open(&key, iv, text))
}

/// PKCS #12's scheme: its own key derivation with SHA-1 (RFC 7292, appendix B), then 3DES.
fn pbe_sha1_3des(mut parameters: Fields<'_>, password: &[u8], text: &[u8]) -> Option<Option<Vec<u8>>> {
    let salt = parameters.take(tag::OCTETS)?;
    let rounds = small(parameters.take(tag::INTEGER)?)?;
    let wide: Vec<u8> = password.iter().flat_map(|byte| [0, *byte]).chain([0, 0]).collect();
    let key = pkcs12(1, &wide, salt, rounds, 24);
    let iv = pkcs12(2, &wide, salt, rounds, 8);
    Some(DES3.open(&key, &iv, text))
}

/// RFC 7292, appendix B.2, with SHA-1's sizes.
fn pkcs12(id: u8, password: &[u8], salt: &[u8], rounds: u64, length: usize) -> Vec<u8> {
    const BLOCK: usize = 64;
    let stretch = |bytes: &[u8]| -> Vec<u8> {
        bytes
            .iter()
            .copied()
            .cycle()
            .take(if bytes.is_empty() { 0 } else { bytes.len().next_multiple_of(BLOCK) })
            .collect()
    };
    let mut input = stretch(salt);
    input.extend(stretch(password));
    let mut out = Vec::new();
    while out.len() < length {
        let mut hash = digest(&SHA1_FOR_LEGACY_USE_ONLY, &[&[id; BLOCK][..], &input].concat()).as_ref().to_vec();
        for _ in 1..rounds {
            hash = digest(&SHA1_FOR_LEGACY_USE_ONLY, &hash).as_ref().to_vec();
        }
        out.extend_from_slice(&hash);
        let addend: Vec<u8> = hash.iter().copied().cycle().take(BLOCK).collect();
        for block in input.chunks_mut(BLOCK) {
            let mut carry = 1_u16;
            for (byte, add) in block.iter_mut().zip(&addend).rev() {
                carry += u16::from(*byte) + u16::from(*add);
                *byte = carry as u8;
                carry >>= 8;
            }
        }
    }
    out.truncate(length);
    out
}

#[cfg(test)]
mod tests;
