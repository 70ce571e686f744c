//! Pure codecs: bytes in, meaning out.

pub mod fastcgi;
pub mod h1;
pub mod h2;
pub mod params;
pub mod uri;
