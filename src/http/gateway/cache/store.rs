//! `*_store`: answers that become files for good, in place of the backend's.

use super::CacheConf;
use crate::conf::diagnostic::Diagnostic;
use crate::conf::walk::Levels;
use crate::http::gateway::upstream_response::UpstreamResponse;
use crate::http::heart::module::{Compile, Text};
use crate::http::heart::request::Request;
use crate::log::clock::parse_http_date;
use std::sync::Arc;

/// Where answers become files.
pub struct Store {
    /// The path; nothing where it is that of the file the request names.
    path: Option<Text>,
    /// The rights of the files.
    pub access: u32,
}

impl Store {
    /// Where answers of a place become files; nothing where they do not.
    ///
    /// # Errors
    /// A text that does not compile.
    pub fn new<const P: u8>(levels: &Levels<'_>, cx: &mut Compile<'_, '_>) -> Result<Option<Arc<Self>>, Diagnostic> {
        let Some(conf) = levels.get::<CacheConf<P>>() else { return Ok(None) };
        let Some(Some(word)) = &conf.store else { return Ok(None) };
        let path = if word.is("on") { None } else { Some(cx.text(word)?) };
        Ok(Some(Arc::new(Self { path, access: conf.store_access.unwrap_or(0o600) })))
    }

    /// The path of the file a request's answer becomes.
    pub fn path(&self, request: &Request) -> Vec<u8> {
        self.path.as_ref().map_or_else(|| request.file_path(), |path| path.text(request))
    }
}

/// Whether an answer becomes a file, and Last-Modified, which is then the file's.
pub fn judge(reply: &UpstreamResponse, head: &[u8]) -> Option<Option<i64>> {
    let modified = |(name, _): &(&[u8], &[u8])| name.eq_ignore_ascii_case(b"last-modified");
    let modified = reply.named(head).find(modified).and_then(|(_, value)| parse_http_date(value));
    (reply.status == 200 && reply.head > 0).then_some(modified)
}
