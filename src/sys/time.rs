//! The local time zone, which std does not know.

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
