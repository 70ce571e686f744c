//! Answers of servers kept in files: the cache and store rows of the gateways that have them, and what they do.
//!
//! [`mod@look`] asks the cache before a server is asked, [`fetch`] judges what the server answers, [`save`] writes it to a file.

use super::conf::gateway::PROXY;
use crate::conf::diagnostic::Diagnostic;
use crate::conf::module::{Conf, inherit};
use crate::conf::tree::{Statement, Word};
use crate::conf::value;
use crate::conf::walk::{Levels, Setting};
use crate::http::heart::module::Compile;
use crate::session::slot::free;
use crate::session::{shared, used};
use std::time::Duration;

mod fetch;
mod fresh;
mod look;
mod path;
mod save;
mod settings;
mod store;

pub use fetch::Fetch;
pub use look::{Looked, etag, last_modified, look, ranges};
pub use path::{CachePaths, PATH_WORDS, cache_path};
pub use save::{Keep, Saving};
pub use settings::{Caching, caches};
pub use store::Store;

/// Settings of a gateway's cache and store.
#[derive(Default)]
pub struct CacheConf<const P: u8> {
    /// `*_cache`: nothing for off.
    pub zone: Option<Option<Word>>,
    /// `*_cache_key`.
    pub key: Option<Word>,
    /// `*_cache_background_update`.
    pub background: Option<bool>,
    /// `*_cache_bypass`.
    pub bypass: Vec<Word>,
    /// `*_no_cache`.
    pub refuse: Vec<Word>,
    /// `*_cache_lock`.
    pub lock: Option<bool>,
    /// `*_cache_lock_age`.
    pub lock_age: Option<Duration>,
    /// `*_cache_lock_timeout`.
    pub lock_timeout: Option<Duration>,
    /// `*_cache_max_range_offset`.
    pub max_range_offset: Option<u64>,
    /// `*_cache_methods`.
    pub methods: Option<u32>,
    /// `*_cache_min_uses`.
    pub min_uses: Option<u64>,
    /// `*_cache_revalidate`.
    pub revalidate: Option<bool>,
    /// `*_cache_use_stale`.
    pub use_stale: Option<u32>,
    /// `*_cache_valid`: statuses and how long; status 0 is any.
    pub valid: Vec<(u16, Duration)>,
    /// `*_store`: nothing for off.
    pub store: Option<Option<Word>>,
    /// `*_store_access`.
    pub store_access: Option<u32>,
}

impl<const P: u8> Conf for CacheConf<P> {
    fn inherit(&mut self, outer: &Self) {
        if self.store.is_none() && self.zone.is_none() {
            inherit!(self, outer; store, zone);
        }
        inherit!(self, outer; list bypass, refuse, valid; key, background, lock, lock_age, lock_timeout);
        inherit!(self, outer; max_range_offset, methods, min_uses, revalidate, use_stale, store_access);
    }
}

/// The words of `*_cache_methods`.
pub const METHODS: &[(&str, u32)] = &[("GET", 1), ("HEAD", 2), ("POST", 4)];

/// What zones of a gateway's cache are for.
const KINDS: [&str; 6] = ["proxy cache", "fastcgi cache", "uwsgi cache", "scgi cache", "", ""];

/// The kind of zones of a gateway.
fn kind<const P: u8>() -> &'static str {
    KINDS.get(usize::from(P)).copied().unwrap_or_default()
}

/// Checks merged settings.
///
/// # Errors
/// A zone that no `*_cache_path` defines.
pub fn check<const P: u8>(levels: &Levels<'_>, prefix: &str, cx: &mut Compile<'_, '_>) -> Result<(), Diagnostic> {
    let Some(own) = levels.level.own::<CacheConf<P>>() else { return Ok(()) };
    let Some(Some(zone)) = &own.zone else { return Ok(()) };
    let paths = levels.get::<CachePaths>();
    let known = paths.is_some_and(|paths| paths.defines(kind::<P>(), &zone.text()));
    if !used::varies(&zone.bytes) && !known {
        return Err(Diagnostic::emerg(format!("\"{prefix}_cache\" zone \"{}\" is unknown", zone.text())));
    }
    if P != PROXY && own.key.is_none() {
        let complaint = Diagnostic::warn(format!("no \"{prefix}_cache_key\" for \"{prefix}_cache\""));
        let end = levels.outer.into_iter().flat_map(outermost).find_map(|level| level.end);
        cx.build.complaints.push(end.map_or_else(|| complaint.clone(), |end| complaint.clone().at(end)));
    }
    Ok(())
}

/// The http level around a place, whose `}` is where nginx merges.
fn outermost<'a>(levels: &'a Levels<'a>) -> Option<&'a crate::conf::walk::Level> {
    let mut at = levels;
    while let Some(outer) = at.outer.filter(|outer| outer.level.span.is_some()) {
        at = outer;
    }
    Some(at.level)
}

/// The setter of `*_cache`.
pub fn cache<const P: u8>(
    cx: &mut Setting<'_>,
    conf: &mut CacheConf<P>,
    statement: &Statement,
) -> Result<(), Diagnostic> {
    free(cx, &conf.zone)?;
    let Some(word) = statement.arguments().first() else { return Ok(()) };
    if word.is("off") {
        conf.zone = Some(None);
        return Ok(());
    }
    if matches!(conf.store, Some(Some(_))) {
        let prefix = cx.row.name.strip_suffix("_cache").unwrap_or_default();
        return Err(cx.complain(&format!("is incompatible with \"{prefix}_store\"")));
    }
    used::word(cx, word)?;
    if !used::varies(&word.bytes) {
        shared::declare(cx, &word.text(), 0, kind::<P>())?;
    }
    conf.zone = Some(Some(word.clone()));
    Ok(())
}

/// The setter of `*_store`.
pub fn store<const P: u8>(
    cx: &mut Setting<'_>,
    conf: &mut CacheConf<P>,
    statement: &Statement,
) -> Result<(), Diagnostic> {
    free(cx, &conf.store)?;
    let Some(word) = statement.arguments().first() else { return Ok(()) };
    if word.is("off") {
        conf.store = Some(None);
        return Ok(());
    }
    if matches!(conf.zone, Some(Some(_))) {
        let prefix = cx.row.name.strip_suffix("_store").unwrap_or_default();
        return Err(cx.complain(&format!("is incompatible with \"{prefix}_cache\"")));
    }
    used::word(cx, word)?;
    conf.store = Some(Some(word.clone()));
    Ok(())
}

/// The setter of `*_cache_valid`.
pub fn valid<const P: u8>(
    _: &mut Setting<'_>,
    conf: &mut CacheConf<P>,
    statement: &Statement,
) -> Result<(), Diagnostic> {
    let Some((last, statuses)) = statement.arguments().split_last() else { return Ok(()) };
    let Some(time) = value::time(&last.bytes, true) else {
        return Err(Diagnostic::emerg(format!("invalid time value \"{}\"", last.text())).point(last.span));
    };
    if statuses.is_empty() {
        conf.valid.extend([200, 301, 302].map(|status| (status, time)));
    }
    for word in statuses {
        let number = value::number(&word.bytes).filter(|status| (100..600).contains(status));
        let Some(status) = number.or_else(|| word.is("any").then_some(0)) else {
            return Err(Diagnostic::emerg(format!("invalid status \"{}\"", word.text())).point(word.span));
        };
        conf.valid.push((status as u16, time));
    }
    Ok(())
}

/// The rows of a gateway's cache and store.
macro_rules! cache_rows {
    ($prefix:literal, $gateway:expr, $next:expr) => {{
        use crate::conf::directive::{Arity, Directive};
        use crate::conf::slot::{Custom, Flag, Mask, Number, Offset, Time};
        use crate::http::gateway::cache::{self, CacheConf as C, METHODS};
        use crate::session::contexts::{HTTP, HTTP_ANY as ANY};
        use crate::session::slot::{Access, Predicates, Value};
        [
            Directive::new(concat!($prefix, "_cache"), ANY, Arity::Exactly(1), &Custom(cache::cache::<{ $gateway }>))
                .default("off")
                .doc("Names the zone of the cache for answers."),
            Directive::new(
                concat!($prefix, "_cache_bypass"),
                ANY,
                Arity::AtLeast(1),
                &Predicates(|c: &mut C<{ $gateway }>| &mut c.bypass),
            )
            .doc("Sets when the cache is not asked: where any of the texts is neither empty nor 0."),
            Directive::new(
                concat!($prefix, "_no_cache"),
                ANY,
                Arity::AtLeast(1),
                &Predicates(|c: &mut C<{ $gateway }>| &mut c.refuse),
            )
            .doc("Sets when an answer is not kept: where any of the texts is neither empty nor 0."),
            Directive::new(
                concat!($prefix, "_cache_key"),
                ANY,
                Arity::Exactly(1),
                &Value(|c: &mut C<{ $gateway }>| &mut c.key),
            )
            .doc("Sets the key answers are kept by."),
            Directive::new(
                concat!($prefix, "_cache_path"),
                HTTP,
                Arity::AtLeast(2),
                &Custom(cache::cache_path::<{ $gateway }>),
            )
            .words($crate::http::gateway::cache::PATH_WORDS)
            .doc("Sets the folder of a cache, its zone, and how long and how much it keeps."),
            Directive::new(
                concat!($prefix, "_cache_lock"),
                ANY,
                Arity::Flag,
                &Flag(|c: &mut C<{ $gateway }>| &mut c.lock),
            )
            .default("off")
            .since("1.1.12")
            .doc("Lets one request at a time fetch what is not cached."),
            Directive::new(
                concat!($prefix, "_cache_lock_age"),
                ANY,
                Arity::Exactly(1),
                &Time(|c: &mut C<{ $gateway }>| &mut c.lock_age),
            )
            .default("5s")
            .since("1.7.8")
            .doc("Sets after which time another request may fetch it."),
            Directive::new(
                concat!($prefix, "_cache_lock_timeout"),
                ANY,
                Arity::Exactly(1),
                &Time(|c: &mut C<{ $gateway }>| &mut c.lock_timeout),
            )
            .default("5s")
            .since("1.1.12")
            .doc("Sets how long a request waits for that."),
            Directive::new(
                concat!($prefix, "_cache_max_range_offset"),
                ANY,
                Arity::Exactly(1),
                &Offset(|c: &mut C<{ $gateway }>| &mut c.max_range_offset),
            )
            .since("1.11.6")
            .doc("Sets from which byte on a range is fetched past the cache."),
            Directive::new(
                concat!($prefix, "_cache_methods"),
                ANY,
                Arity::AtLeast(1),
                &Mask(|c: &mut C<{ $gateway }>| &mut c.methods, METHODS),
            )
            .default("GET HEAD")
            .since("0.7.59")
            .doc("Sets the methods whose answers are kept."),
            Directive::new(
                concat!($prefix, "_cache_min_uses"),
                ANY,
                Arity::Exactly(1),
                &Number(|c: &mut C<{ $gateway }>| &mut c.min_uses, 0..=u64::MAX),
            )
            .default("1")
            .doc("Sets how often an answer must be asked for to be kept."),
            Directive::new(
                concat!($prefix, "_cache_revalidate"),
                ANY,
                Arity::Flag,
                &Flag(|c: &mut C<{ $gateway }>| &mut c.revalidate),
            )
            .default("off")
            .since("1.5.7")
            .doc("Asks whether what has expired has changed."),
            Directive::new(
                concat!($prefix, "_cache_use_stale"),
                ANY,
                Arity::AtLeast(1),
                &Mask(|c: &mut C<{ $gateway }>| &mut c.use_stale, $next),
            )
            .default("off")
            .doc("Sets when an answer that has expired is given."),
            Directive::new(
                concat!($prefix, "_cache_valid"),
                ANY,
                Arity::AtLeast(1),
                &Custom(cache::valid::<{ $gateway }>),
            )
            .doc("Sets how long answers are kept, by status."),
            Directive::new(concat!($prefix, "_store"), ANY, Arity::Exactly(1), &Custom(cache::store::<{ $gateway }>))
                .default("off")
                .doc("Keeps answers as files for good."),
            Directive::new(
                concat!($prefix, "_store_access"),
                ANY,
                Arity::Between(1, 3),
                &Access(|c: &mut C<{ $gateway }>| &mut c.store_access),
            )
            .default("user:rw")
            .doc("Sets the rights of such files."),
        ]
    }};
}
pub(crate) use cache_rows;
