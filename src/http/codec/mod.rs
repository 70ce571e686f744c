//! Pure codecs: bytes in, meaning out.

pub mod h1;
