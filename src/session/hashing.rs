//! What nginx says of its hash tables: whether keys fit into buckets of a size. Tables here need no tuning, but a
//! configuration that nginx refuses or warns of is judged alike.

use crate::conf::diagnostic::Diagnostic;

/// The sizes of a table, as configured.
#[derive(Clone, Copy, Debug)]
pub struct Sizes {
    /// `*_hash_max_size`.
    pub most: u64,
    /// `*_hash_bucket_size`.
    pub bucket: u64,
}

/// A pointer, and what sizes are rounded up to.
const POINTER: u64 = 8;
/// Buckets are rounded up to the processor's cache lines.
const LINE: u64 = 64;

/// The bytes an entry takes in a bucket.
const fn entry(length: usize) -> u64 {
    POINTER + (length as u64 + 2).next_multiple_of(POINTER)
}

/// nginx's hash of a key.
fn hash(key: &[u8]) -> u64 {
    key.iter().fold(0_u64, |sum, byte| sum.wrapping_mul(31).wrapping_add(u64::from(byte.to_ascii_lowercase())))
}

/// Checks the table `name` of these keys; a warning when it would be built, but not well.
///
/// # Errors
/// nginx's words when it would not be built.
pub fn check<'a>(
    name: &str,
    keys: impl Iterator<Item = &'a [u8]>,
    sizes: Sizes,
) -> Result<Option<Diagnostic>, Diagnostic> {
    let keys: Vec<(u64, u64)> = keys.map(|key| (hash(key), entry(key.len()))).collect();
    let Sizes { most, bucket } = sizes;
    let bucket = bucket.next_multiple_of(LINE);
    let fail = |text: String| Err(Diagnostic::emerg(text).unlined());
    if keys.is_empty() {
        return Ok(None);
    }
    if most == 0 {
        return fail(format!("could not build {name}, you should increase {name}_max_size: {most}"));
    }
    if keys.iter().any(|(_, size)| bucket < size + POINTER) {
        return fail(format!("could not build {name}, you should increase {name}_bucket_size: {bucket}"));
    }
    let room = bucket - POINTER;
    let count = keys.len() as u64;
    let least = if most > 10_000 && most / count < 100 { most - 1000 } else { (count / (room / 16)).max(1) };
    if (least..=most).any(|size| fits(&keys, size, room)) {
        return Ok(None);
    }
    let text = format!(
        "could not build optimal {name}, you should increase either {name}_max_size: {most} or {name}_bucket_size: \
         {bucket}; ignoring {name}_bucket_size"
    );
    Ok(Some(Diagnostic::warn(text).unlined()))
}

/// Whether no bucket of so many overflows.
fn fits(keys: &[(u64, u64)], buckets: u64, room: u64) -> bool {
    let mut filled = vec![0; usize::try_from(buckets).unwrap_or(1)];
    keys.iter().all(|(hash, size)| {
        let slot = filled.get_mut((hash % buckets) as usize);
        slot.is_some_and(|slot: &mut u64| {
            *slot += size;
            *slot <= room
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_must_fit_into_a_bucket() {
        let long = [b'a'; 47];
        let sizes = Sizes { most: 512, bucket: 32 };
        assert!(check("x_hash", [&long[..]].into_iter(), sizes).is_err_and(|what| what.message.ends_with("size: 64")));
        assert!(check("x_hash", [&long[..46]].into_iter(), sizes).is_ok_and(|warning| warning.is_none()));
    }

    #[test]
    fn too_few_buckets_are_warned_of() {
        let keys: [&[u8]; 5] = [b"a", b"b", b"c", b"d", b"e"];
        let warned = |most| check("x_hash", keys.into_iter(), Sizes { most, bucket: 64 }).expect("a table").is_some();
        assert!(warned(1) && !warned(512));
    }
}
