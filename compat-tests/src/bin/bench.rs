//! `cargo bench-vs`.
fn main() {}
