#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| rha::nginx::fuzz::configuration(bytes));
