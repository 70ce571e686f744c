//! Memory that was used once and is given back to the system.

use nix::sys::mman::{MmapAdvise, madvise};
use std::ffi::c_void;
use std::fs;
use std::num::NonZero;
use std::ptr::NonNull;

/// From now on what is large is mapped by itself, so that freeing it gives it back to the system. By itself the allocator
/// raises that limit with the first such block it frees, and keeps the memory of those that follow.
#[expect(unsafe_code, reason = "mallopt has no safe form")]
pub fn map_large_blocks() {
    const LARGE: libc::c_int = 64 * 1024;
    // SAFETY: the calls take numbers; the allocator keeps its limits if it refuses them.
    unsafe {
        libc::mallopt(libc::M_MMAP_THRESHOLD, LARGE);
        libc::mallopt(libc::M_TRIM_THRESHOLD, LARGE);
    }
}

/// Gives back what the start of a process has used and the rest of its life does not: free memory, and the pages of program
/// and libraries. Those are the files' own, which the system keeps and maps again where they are used.
#[expect(unsafe_code, reason = "madvise and malloc_trim have no safe form")]
pub fn end_start() {
    // SAFETY: the call takes a number and touches only what the allocator has free.
    unsafe {
        libc::malloc_trim(0);
    }
    // Without a list of its mappings a process keeps its pages.
    let mappings = fs::read_to_string("/proc/self/smaps").unwrap_or_default();
    for (start, length) in clean(&mappings) {
        let start = NonNull::<c_void>::without_provenance(start);
        // SAFETY: the mapping is one of a file, is not writable, and has no page of its own: every page that is dropped is
        // read from the file again, with the same bytes, when it is used. Nothing unmaps it meanwhile: it belongs to the
        // program or to a library that stays loaded.
        let outcome = unsafe { madvise(start, length, MmapAdvise::MADV_DONTNEED) };
        // Locked memory stays, as it should.
        let _ = outcome;
    }
}

/// The mappings of files, by `/proc/self/smaps`, that nobody can write to and whose pages are all the files' own: address
/// and length.
fn clean(smaps: &str) -> Vec<(NonZero<usize>, usize)> {
    let mut all = Vec::new();
    let mut current = None;
    for line in smaps.lines() {
        if let Some(mapping) = mapping(line) {
            current = mapping;
        } else if let Some(size) = line.strip_prefix("Anonymous:") {
            // Relocated data is read-only as well, but differs from the file.
            all.extend(current.take().filter(|_| size.trim() == "0 kB"));
        }
    }
    all
}

/// The address and the length that a line which begins a mapping tells, if it is one of a file and not writable; `None`
/// for another line.
fn mapping(line: &str) -> Option<Option<(NonZero<usize>, usize)>> {
    let mut words = line.split_ascii_whitespace();
    let (start, end) = words.next()?.split_once('-')?;
    let number = |text| usize::from_str_radix(text, 16).ok();
    let (start, end) = (NonZero::new(number(start)?)?, number(end)?);
    let is_private = words.next().is_some_and(|flags| flags.starts_with("r-") && flags.ends_with('p'));
    let is_file = words.nth(3).is_some_and(|path| path.starts_with('/'));
    let length = end.checked_sub(start.get())?;
    Some(Some((start, length)).filter(|_| is_private && is_file))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_clean_mappings_of_files_are_dropped() {
        let smaps = "55d0a000-55d0b000 r-xp 00001000 fe:00 12 /usr/sbin/rkeepalived\nSize: 4 kB\nAnonymous: 0 kB\n\
                     55d0b000-55d0c000 r--p 00002000 fe:00 12 /usr/sbin/rkeepalived\nAnonymous: 4 kB\n\
                     55d0c000-55d0e000 rw-p 00003000 fe:00 12 /usr/sbin/rkeepalived\nAnonymous: 0 kB\n\
                     55d0e000-55d0f000 r--s 00000000 fe:00 13 /usr/share/zone\nAnonymous: 0 kB\n\
                     55d0f000-55d11000 rw-p 00000000 00:00 0 [heap]\nAnonymous: 8 kB\n\
                     7f000000-7f002000 r--p 00000000 00:00 0\nAnonymous: 0 kB\n\
                     7f002000-7f005000 r--p 00000000 fe:00 14 /lib/libc.so.6\nAnonymous: 0 kB\n\
                     ffff0000-ffff1000 r-xp 00000000 00:00 0 [vsyscall]\nAnonymous: 0 kB\n";
        let shown: Vec<(usize, usize)> =
            clean(smaps).into_iter().map(|(start, length)| (start.get(), length)).collect();
        assert_eq!(shown, [(0x55d0_a000, 0x1000), (0x7f00_2000, 0x3000)]);
    }

    #[test]
    fn a_process_that_gave_its_pages_back_goes_on() {
        static TABLE: [&str; 3] = ["one", "two", "three"];
        let resident = || -> u64 {
            let text = fs::read_to_string("/proc/self/statm").unwrap();
            text.split(' ').nth(1).unwrap().parse().unwrap()
        };
        let kept: Vec<String> = TABLE.iter().map(|word| (*word).to_owned()).collect();
        let before = resident();
        end_start();
        let after = resident();
        assert_eq!(kept, TABLE);
        assert!(after < before, "{before} {after}");
    }
}
