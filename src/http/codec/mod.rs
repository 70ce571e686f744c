//! Pure codecs: bytes in, meaning out.

pub mod h1;
pub mod h2;
pub mod uri;
