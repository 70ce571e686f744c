//! The local time zone and the monotonic clock's number, which std does not know.

use std::time::Duration;

use std::ffi::CStr;

/// Bytes that a formatted time may have.
const ROOM: usize = 2048;

/// Seconds east of Greenwich at `unix` (seconds since 1970).
pub fn offset(unix: i64) -> i32 {
    i32::try_from(parts(unix, true).tm_gmtoff).unwrap_or_default()
}

/// The calendar's view of `unix`, in the local time zone or in Greenwich's.
fn parts(unix: i64, local: bool) -> libc::tm {
    let mut parts = std::mem::MaybeUninit::<libc::tm>::zeroed();
    #[expect(unsafe_code, reason = "localtime_r and gmtime_r have no safe wrapper")]
    // SAFETY: both pointers are valid for the call; a zeroed `tm` is a valid value, so it may be read even on failure.
    unsafe {
        if local {
            libc::localtime_r(&raw const unix, parts.as_mut_ptr());
        } else {
            libc::gmtime_r(&raw const unix, parts.as_mut_ptr());
        }
        parts.assume_init()
    }
}

/// `unix` in a format of `strftime(3)`; nothing where that comes to no bytes, or to too many.
pub fn formatted(unix: i64, local: bool, format: &CStr) -> Option<Vec<u8>> {
    let parts = parts(unix, local);
    let mut text = vec![0_u8; ROOM];
    #[expect(unsafe_code, reason = "strftime has no safe wrapper")]
    // SAFETY: the buffer is valid for the length that is given, the format ends in a zero byte, and the parts are valid.
    let length = unsafe { libc::strftime(text.as_mut_ptr().cast(), text.len(), format.as_ptr(), &raw const parts) };
    text.truncate(length);
    (!text.is_empty()).then_some(text)
}

/// The monotonic clock as the kernel counts it, which other processes see alike.
pub fn monotonic() -> Duration {
    let mut now = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    #[expect(unsafe_code, reason = "clock_gettime has no safe wrapper")]
    // SAFETY: the pointer is to a live local.
    unsafe {
        libc::clock_gettime(libc::CLOCK_MONOTONIC, &raw mut now);
    }
    Duration::new(now.tv_sec.unsigned_abs(), u32::try_from(now.tv_nsec).unwrap_or_default())
}
