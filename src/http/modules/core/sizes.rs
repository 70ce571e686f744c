//! The sizes of nginx's tables and pools, which it checks and we only judge alike.

use crate::http::modules::core::{LocationConf, Main, ServerConf};
use crate::session::hashing::Sizes;

impl Main {
    /// The sizes of nginx's table of server names.
    pub fn server_names(&self) -> Sizes {
        Sizes { most: self.names_max.unwrap_or(512), bucket: self.names_bucket.unwrap_or(64) }
    }

    /// The sizes of nginx's table of variables, where they are given.
    pub fn variables(&self) -> Option<Sizes> {
        let bucket = self.variables_bucket.unwrap_or(64);
        self.variables_max.map(|most| Sizes { most, bucket })
    }
}

impl LocationConf {
    /// The sizes of nginx's table of types.
    pub fn types_sizes(&self) -> Sizes {
        Sizes { most: self.unused.unwrap_or(1024), bucket: self.unused2.unwrap_or(64) }
    }
}

impl ServerConf {
    /// Whether a large buffer for heads is smaller than nginx's memory for a connection.
    pub fn has_small_heads(&self) -> bool {
        let (_, size) = self.large_client_header_buffers.unwrap_or((4, 8192));
        size < self.pools[0].unwrap_or(512)
    }
}
