//! Merged statements → the settings that requests are served by.

use crate::conf::diagnostic::Diagnostic;
use crate::conf::module::Merged as _;
use crate::conf::tree::Word;
use crate::http::heart::module::Compile;
use crate::http::heart::settings::Page;
use crate::http::heart::settings::RootText;
use crate::http::heart::settings::Settings;
use crate::http::heart::settings::TempPath;
use crate::http::heart::settings::Types;
use crate::http::heart::site::HeadSettings;
use crate::http::modules::core::{LocationConf, Root, ServerConf};
use crate::log::Log;
use crate::script::template::Template;
use std::sync::Arc;

impl HeadSettings {
    /// The runtime form of merged settings.
    ///
    /// # Errors
    /// Settings that were not merged.
    pub fn new(conf: &ServerConf) -> Result<Self, Diagnostic> {
        let (large_count, large_size) = conf.large_client_header_buffers.merged()?;
        Ok(Self {
            first: conf.client_header_buffer_size.merged()? as usize,
            large_count: large_count as usize,
            large_size: large_size as usize,
            timeout: conf.client_header_timeout.merged()?,
            ignore_invalid: conf.ignore_invalid_headers.merged()?,
            underscores: conf.underscores_in_headers.merged()?,
            merge_slashes: conf.merge_slashes.merged()?,
        })
    }
}

impl Settings {
    /// The runtime form of merged settings.
    ///
    /// # Errors
    /// Texts that do not compile.
    pub fn new(
        conf: &LocationConf,
        types: Arc<Types>,
        error_log: Log,
        cx: &mut Compile<'_, '_>,
    ) -> Result<Self, Diagnostic> {
        let (keepalive_timeout, header) = conf.keepalive_timeout.merged()?;
        let chunk = conf.sendfile_max_chunk.merged()?;
        Ok(Self {
            root: root_text(conf, cx)?,
            types,
            default_type: Arc::from(&*conf.default_type.as_ref().merged()?.bytes),
            error_pages: pages(conf, cx)?,
            recursive_error_pages: conf.recursive_error_pages.merged()?,
            error_log,
            client_max_body_size: conf.client_max_body_size.merged()?,
            client_body_buffer_size: conf.client_body_buffer_size.merged()? as usize,
            client_body_timeout: conf.client_body_timeout.merged()?,
            body_temp: body_temp(conf, cx)?,
            keepalive_timeout,
            keepalive_header: header.map_or(0, |header| header.as_secs()),
            keepalive_requests: conf.keepalive_requests.merged()?,
            keepalive_time: conf.keepalive_time.merged()?,
            keepalive_disable: conf.keepalive_disable.merged()?,
            send_timeout: conf.send_timeout.merged()?,
            lingering: conf.lingering_close.merged()?,
            lingering_time: conf.lingering_time.merged()?,
            lingering_timeout: conf.lingering_timeout.merged()?,
            reset_timedout: conf.reset_timedout_connection.merged()?,
            sendfile: conf.sendfile.merged()?,
            // Without a limit the largest piece is nginx's own.
            sendfile_max_chunk: if chunk > 0 { chunk } else { 2 << 20 } as usize,
            tcp_nodelay: conf.tcp_nodelay.merged()?,
            server_tokens: conf.server_tokens.merged()?,
            etag: conf.etag.merged()?,
            if_modified_since: conf.if_modified_since.merged()?,
            max_ranges: conf.max_ranges.unwrap_or(u64::MAX),
            absolute_redirect: conf.absolute_redirect.merged()?,
            server_name_in_redirect: conf.server_name_in_redirect.merged()?,
            port_in_redirect: conf.port_in_redirect.merged()?,
            satisfy_any: conf.satisfy.merged()? == crate::http::heart::settings::Satisfy::Any,
            log_not_found: conf.log_not_found.merged()?,
            log_subrequest: conf.log_subrequest.merged()?,
            msie_padding: conf.msie_padding.merged()?,
            chunked: conf.chunked_transfer_encoding.merged()?,
        })
    }
}

/// The folder for request bodies, below the prefix, to be there before serving.
fn body_temp(conf: &LocationConf, cx: &mut Compile<'_, '_>) -> Result<TempPath, Diagnostic> {
    let mut temp = conf.client_body_temp_path.clone().merged()?;
    temp.path = match temp.path.as_str() {
        // The row's default.
        "client_body_temp" => cx.build.default_temp("client_body"),
        path => cx.build.full(path),
    };
    cx.build.folder(&temp.path);
    Ok(temp)
}

fn root_text(conf: &LocationConf, cx: &mut Compile<'_, '_>) -> Result<RootText, Diagnostic> {
    let Some(Root { path, alias, replaced }) = &conf.root else {
        let html = crate::conf::bytes::raw(&cx.build.full("html")).into_owned();
        let path = Template::compile(&html, &mut cx.names).map_err(Diagnostic::emerg)?;
        return Ok(RootText { path, alias: false, prefix_length: None });
    };
    let mut path: Word = path.clone();
    if !path.bytes.starts_with(b"/") && !path.bytes.starts_with(b"$") {
        path.bytes = crate::conf::bytes::raw(&cx.build.full(&path.text())).into();
    }
    Ok(RootText { path: cx.text(&path)?, alias: *alias, prefix_length: *replaced })
}

fn pages(conf: &LocationConf, cx: &mut Compile<'_, '_>) -> Result<Vec<Page>, Diagnostic> {
    conf.error_pages
        .iter()
        .map(|page| Ok(Page { status: page.status, answer: page.answer, target: cx.text(&page.target)? }))
        .collect()
}
