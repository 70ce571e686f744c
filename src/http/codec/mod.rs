//! Pure codecs: bytes in, meaning out.

pub mod base64;
pub mod cached;
pub mod fastcgi;
pub mod h1;
pub mod h2;
pub mod memcached;
pub mod params;
pub mod uri;
