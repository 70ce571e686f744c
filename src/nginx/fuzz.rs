//! What the fuzzers of this product run (`fuzz/run`).

use super::generation::{Inputs, Reading, compile};
use crate::conf::print;
use crate::conf::source::Memory;
use crate::session::build::Anywhere;
use std::sync::Arc;

pub use crate::http::fuzz::codec;

/// Reads any text as a configuration, as a start and as `--explain` does.
pub fn configuration(text: &[u8]) {
    let memory = Memory { texts: [("/c/nginx.conf".to_owned(), text.to_vec())].into(), ..Memory::default() };
    for every in [false, true] {
        let (prefix, conf) = ("/p/".to_owned(), "/c/nginx.conf".to_owned());
        let inputs = Inputs { prefix, conf, every, ..Inputs::default() };
        let Reading { sources, complaints, outcome, .. } =
            compile(&inputs, &memory, &Anywhere { elsewhere: true }, &Arc::default());
        for complaint in complaints.iter().chain(outcome.err().iter().map(|(complaint, _)| complaint)) {
            let _ = (print::nginx(complaint, &sources), print::picture(complaint, &sources, false));
        }
    }
}

/// Reads any bytes as a PROXY protocol header of either version.
pub fn proxy_header(bytes: &[u8]) {
    if let Ok((length, header)) = crate::net::proxy_protocol::parse(bytes) {
        assert!(length <= bytes.len(), "a header is part of what was read");
        if let Some(header) = header {
            let _ = (header.option(b"ssl_cn"), header.option(b"0x1"), header.option(b"alpn"));
        }
    }
}
