#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| rha::keepalived::fuzz::replies(bytes));
