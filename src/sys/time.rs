//! The local time zone and the monotonic clock's number, which std does not know.

use std::time::Duration;

/// Seconds east of Greenwich at `unix` (seconds since 1970).
pub fn offset(unix: i64) -> i32 {
    let mut parts = std::mem::MaybeUninit::<libc::tm>::zeroed();
    #[expect(unsafe_code, reason = "localtime_r has no safe wrapper")]
    // SAFETY: both pointers are valid for the call; a zeroed `tm` is a valid value, so it may be read even on failure.
    let parts = unsafe {
        libc::localtime_r(&raw const unix, parts.as_mut_ptr());
        parts.assume_init()
    };
    i32::try_from(parts.tm_gmtoff).unwrap_or_default()
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
