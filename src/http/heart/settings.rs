//! A location's settings, ready to serve.

use crate::conf::diagnostic::Diagnostic;
use crate::conf::tree::Statement;
use crate::conf::walk::Setting;
use crate::http::heart::module::Text;
use crate::log::Log;
use crate::net::file_cache::Rules;
use crate::net::symlinks::Refuse;
use crate::session::paths::{self, Owner};
use hashbrown::HashMap;
use std::sync::Arc;
use std::time::Duration;

/// `root` or `alias`, compiled.
pub struct RootText {
    /// The folder, absolute when it has no variables.
    pub path: Text,
    /// Whether the location's name is replaced.
    pub alias: bool,
    /// How much of the path the location's name takes; nothing for expressions, whose alias is the whole path.
    pub prefix_length: Option<usize>,
}

/// An `error_page` row, compiled.
pub struct Page {
    /// The status it is for.
    pub status: u16,
    /// The status it answers with.
    pub answer: Answer,
    /// Where it leads.
    pub target: Text,
}

/// MIME types by extension.
pub type Types = HashMap<Box<[u8]>, Arc<[u8]>>;

/// A location's settings without any `Option` left to decide.
pub struct Settings {
    /// The merged statement form, for the plain fields.
    pub root: RootText,
    /// `types`.
    pub types: Arc<Types>,
    /// `default_type`.
    pub default_type: Arc<[u8]>,
    /// `error_page`.
    pub error_pages: Vec<Page>,
    /// `recursive_error_pages`.
    pub recursive_error_pages: bool,
    /// `error_log`.
    pub error_log: Log,
    /// `client_max_body_size`; 0 for any.
    pub client_max_body_size: u64,
    /// `client_body_buffer_size`.
    pub client_body_buffer_size: usize,
    /// `client_body_timeout`.
    pub client_body_timeout: Duration,
    /// `client_body_temp_path`.
    pub body_temp: TempPath,
    /// `keepalive_timeout`.
    pub keepalive_timeout: Duration,
    /// The time in a Keep-Alive header, in seconds; 0 for none.
    pub keepalive_header: u64,
    /// `keepalive_requests`.
    pub keepalive_requests: u64,
    /// `keepalive_time`.
    pub keepalive_time: Duration,
    /// `keepalive_disable`.
    pub keepalive_disable: u32,
    /// `send_timeout`.
    pub send_timeout: Duration,
    /// `lingering_close`.
    pub lingering: Lingering,
    /// `lingering_time`.
    pub lingering_time: Duration,
    /// `lingering_timeout`.
    pub lingering_timeout: Duration,
    /// `reset_timedout_connection`.
    pub reset_timedout: bool,
    /// `sendfile`.
    pub sendfile: bool,
    /// `sendfile_max_chunk`.
    pub sendfile_max_chunk: usize,
    /// `tcp_nodelay`.
    pub tcp_nodelay: bool,
    /// `server_tokens`.
    pub server_tokens: Tokens,
    /// `etag`.
    pub etag: bool,
    /// `if_modified_since`.
    pub if_modified_since: Modified,
    /// `max_ranges`.
    pub max_ranges: u64,
    /// `absolute_redirect`.
    pub absolute_redirect: bool,
    /// `server_name_in_redirect`.
    pub server_name_in_redirect: bool,
    /// `port_in_redirect`.
    pub port_in_redirect: bool,
    /// `satisfy any`.
    pub satisfy_any: bool,
    /// `log_not_found`.
    pub log_not_found: bool,
    /// `log_subrequest`.
    pub log_subrequest: bool,
    /// `msie_padding`.
    pub msie_padding: bool,
    /// `chunked_transfer_encoding`.
    pub chunked: bool,
}

/// `lingering_close`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lingering {
    /// Never.
    Off,
    /// When there may be more.
    On,
    /// Always.
    Always,
}

/// `server_tokens`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tokens {
    /// `nginx`.
    Off,
    /// `nginx/1.23.4`.
    On,
    /// With the build's name.
    Build,
}

/// `if_modified_since`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Modified {
    /// The header is ignored.
    Off,
    /// Times must be equal.
    Exact,
    /// The file may be older.
    Before,
}

/// `satisfy`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Satisfy {
    /// Every check must agree.
    All,
    /// One is enough.
    Any,
}

/// The status an error page is sent with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// That of the error.
    Kept,
    /// Whatever the page's own answer has.
    Own,
    /// This one.
    Fixed(u16),
}

/// `client_body_temp_path` and the like.
#[derive(Clone, Debug)]
pub struct TempPath {
    /// The folder.
    pub path: String,
    /// Digits a level of folders.
    pub levels: Vec<usize>,
}

impl TempPath {
    /// A folder and its levels, as `*_temp_path` takes them.
    pub fn of(cx: &mut Setting<'_>, statement: &Statement) -> Result<Self, Diagnostic> {
        let mut words = statement.arguments().iter();
        let path = words.next().map(|word| word.text().into_owned()).unwrap_or_default();
        let mut levels = Vec::new();
        for word in words {
            match crate::conf::value::number(&word.bytes) {
                Some(digits @ 1..=1000) => levels.push(digits as usize),
                _ => return Err(cx.complain("invalid value").point(word.span)),
            }
        }
        if levels.iter().map(|digits| digits + 1).sum::<usize>() > 10 + levels.len() {
            return Err(cx.complain("invalid value"));
        }
        let bare = path.strip_suffix('/').unwrap_or(&path);
        paths::add(cx, bare, &levels, Owner::Temporary, statement)?;
        Ok(Self { path, levels })
    }
}

/// `client_body_in_file_only`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum FileOnly {
    /// Bodies are in files that have lost their names, if they are in files.
    #[default]
    Off,
    /// Every body is in a file, which stays.
    On,
    /// Every body is in a file, which is removed with its request.
    Clean,
}

/// `disable_symlinks`.
pub struct Symlinks {
    /// Which links are not followed.
    pub refuse: Refuse,
    /// The beginning of paths in which they are.
    pub from: Option<Text>,
}

/// `msie_refresh on` at a place: redirects are pages.
pub struct MsieRefresh;

/// How files are opened and read at a place.
#[derive(Default)]
pub struct FileSettings {
    /// `disable_symlinks`; nothing for `off`.
    pub symlinks: Option<Symlinks>,
    /// `open_file_cache`; nothing for `off`.
    pub cache: Option<Rules>,
    /// `subrequest_output_buffer_size`.
    pub subrequest_output_buffer_size: u64,
}
