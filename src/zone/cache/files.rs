//! The files of a cache by digest, and what a file system says of them.

use crate::conf::bytes;
use std::fs::Metadata;
use std::os::unix::fs::MetadataExt as _;

/// A digest of what a response is kept by; its file is named after it.
pub type Digest = [u8; 16];

/// The digest in hexadecimal digits.
pub fn hex(digest: &Digest) -> String {
    digest.iter().fold(String::with_capacity(32), |mut text, byte| {
        use std::fmt::Write as _;
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// The file of a digest below a folder: the last digits name the folders between.
pub fn path(folder: &str, levels: &[usize], digest: &Digest) -> String {
    let hex = hex(digest);
    let (mut path, mut end) = (folder.to_owned(), hex.len());
    for digits in levels {
        let start = end.saturating_sub(*digits);
        path.push('/');
        path.push_str(hex.get(start..end).unwrap_or_default());
        end = start;
    }
    path.push('/');
    path.push_str(&hex);
    path
}

/// The digest a file is named after.
pub fn digest_of(name: &[u8]) -> Option<Digest> {
    let mut digest = Digest::default();
    let hex = name.get(name.len().checked_sub(32)?..)?;
    for (byte, pair) in digest.iter_mut().zip(hex.chunks_exact(2)) {
        let digits = std::str::from_utf8(pair).ok().filter(|text| text.bytes().all(|byte| byte.is_ascii_hexdigit()))?;
        *byte = u8::from_str_radix(digits, 16).ok()?;
    }
    Some(digest)
}

/// Whether a file is one that is not complete yet: a dot and ten characters follow its name.
pub fn is_temporary(name: &[u8]) -> bool {
    name.len() >= 32 + 11 && name.get(name.len() - 11) == Some(&b'.')
}

/// Bytes of a block of the file system a folder lies on.
pub fn block_size(folder: &str) -> u64 {
    let size = nix::sys::statvfs::statvfs(&bytes::path(folder)).map_or(512, |about| about.block_size());
    if size == 0 || !size.is_multiple_of(512) || size > 4096 { 512 } else { size }
}

/// Bytes that are free for the user on the file system a folder lies on.
pub fn free(folder: &str) -> u64 {
    let about = nix::sys::statvfs::statvfs(&bytes::path(folder));
    about.map_or(u64::MAX, |about| about.block_size().saturating_mul(about.blocks_available()))
}

/// How many blocks a file takes.
pub fn blocks(about: &Metadata, block_size: u64) -> u64 {
    about.blocks().saturating_mul(512).div_ceil(block_size.max(1))
}
