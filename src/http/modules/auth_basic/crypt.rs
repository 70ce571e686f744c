//! Password hashes as nginx checks them: `$apr1$`, `{PLAIN}`, `{SHA}` and `{SSHA}`, all others as crypt(3) does.

use crate::http::codec::base64::{Alphabet, decode};
use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};
use data_encoding::BASE64;
use md5::{Digest as _, Md5};
use yescrypt::{PasswordHashRef, PasswordVerifier as _, Yescrypt};

/// Whether a password is checked fast enough to be checked between other requests.
pub fn is_quick(stored: &[u8]) -> bool {
    let slow = [&b"$2"[..], b"$5$", b"$6$", b"$7$", b"$y$", b"$sha1$", b"_"];
    !slow.iter().any(|prefix| stored.starts_with(prefix))
}

/// Whether `stored` is the hash of a password.
pub fn verify(stored: &[u8], password: &[u8]) -> bool {
    // Both are C strings in the original.
    let [stored, password] = [stored, password].map(|text| text.split(|byte| *byte == 0).next().unwrap_or_default());
    if let Some(rest) = stored.strip_prefix(b"$apr1$") {
        same(stored, &md5_crypt(b"$apr1$", rest, password))
    } else if let Some(rest) = stored.strip_prefix(b"$1$") {
        same(stored, &md5_crypt(b"$1$", rest, password))
    } else if let Some(plain) = stored.strip_prefix(b"{PLAIN}") {
        same(plain, password)
    } else if let Some(rest) = stored.strip_prefix(b"{SSHA}") {
        same(rest, &salted_sha1(rest, password))
    } else if let Some(rest) = stored.strip_prefix(b"{SHA}") {
        let hash = digest(&SHA1_FOR_LEGACY_USE_ONLY, password);
        same(rest, BASE64.encode(hash.as_ref()).as_bytes())
    } else {
        std::str::from_utf8(stored).is_ok_and(|stored| crypt(stored, password))
    }
}

fn same(one: &[u8], other: &[u8]) -> bool {
    verify_slices_are_equal(one, other).is_ok()
}

/// crypt(3): yescrypt, bcrypt, SHA-512, SHA-256, SHA-1 and DES.
fn crypt(stored: &str, password: &[u8]) -> bool {
    if stored.starts_with("$y$") {
        let hash = PasswordHashRef::new(stored);
        return hash.is_ok_and(|hash| Yescrypt::default().verify_password(password, hash).is_ok());
    }
    pwhash::unix::verify(password, stored)
}

/// `base64(SHA1(password salt) salt)` with the salt of `stored`.
fn salted_sha1(stored: &[u8], password: &[u8]) -> Vec<u8> {
    let decoded = decode(stored, Alphabet::Standard).unwrap_or_default();
    let salt = decoded.get(20..).unwrap_or_default();
    let hash = digest(&SHA1_FOR_LEGACY_USE_ONLY, &[password, salt].concat());
    BASE64.encode(&[hash.as_ref(), salt].concat()).into_bytes()
}

/// Poul-Henning Kamp's hash, which Apache uses with a magic word of its own; `rest` is what follows that word in a hash.
fn md5_crypt(magic: &[u8], rest: &[u8], password: &[u8]) -> Vec<u8> {
    let end = rest.iter().take(8).position(|byte| *byte == b'$').unwrap_or_else(|| rest.len().min(8));
    let salt = rest.get(..end).unwrap_or_default();
    let mut round: [u8; 16] = Md5::digest([password, salt, password].concat()).into();
    let mut first = Md5::new();
    first.update([password, magic, salt].concat());
    for chunk in password.chunks(16) {
        first.update(round.get(..chunk.len()).unwrap_or_default());
    }
    let mut left = password.len();
    while left > 0 {
        first.update(if left & 1 == 1 { &[0][..] } else { password.get(..1).unwrap_or_default() });
        left >>= 1;
    }
    round = first.finalize().into();
    for number in 0..1000 {
        let odd = number % 2 == 1;
        let mut hash = Md5::new();
        hash.update(if odd { password } else { &round[..] });
        if number % 3 != 0 {
            hash.update(salt);
        }
        if number % 7 != 0 {
            hash.update(password);
        }
        hash.update(if odd { &round[..] } else { password });
        round = hash.finalize().into();
    }
    let mut out = [magic, salt, b"$"].concat();
    let mut put = |value: u32, digits: u32| {
        const DIGITS: &[u8; 64] = b"./0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
        out.extend((0..digits).filter_map(|place| DIGITS.get((value >> (6 * place) & 63) as usize)));
    };
    let [a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p] = round.map(u32::from);
    for (high, middle, low) in [(a, g, m), (b, h, n), (c, i, o), (d, j, p), (e, k, f)] {
        put(high << 16 | middle << 8 | low, 4);
    }
    put(l, 2);
    out
}

#[cfg(test)]
mod tests;
