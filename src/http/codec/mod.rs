//! Pure codecs: bytes in, meaning out.

pub mod base64;
pub mod cached;
pub mod fastcgi;
pub mod grpc;
pub mod h1;
pub mod h2;
pub mod hpack;
pub mod memcached;
pub mod mp4;
pub mod params;
pub mod picture;
pub mod uri;
