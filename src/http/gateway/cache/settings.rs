//! The settings of a cache at one place, without any `Option` left to decide, and the caches a configuration defines.

use super::{CacheConf, CachePaths, kind};
use crate::conf::diagnostic::Diagnostic;
use crate::conf::module::Merged as _;
use crate::conf::tree::Word;
use crate::conf::walk::Levels;
use crate::http::codec::h1::Method;
use crate::http::gateway::conf::next;
use crate::http::heart::module::{Compile, Text};
use crate::http::heart::request::Request;
use crate::log::Level;
use crate::session::used;
use crate::zone::cache::{Cache, Zone};
use std::sync::Arc;
use std::time::Duration;

/// The caches a configuration defines, and whose each is.
pub struct Caches {
    list: Vec<(&'static str, Arc<Cache>)>,
}

impl Caches {
    /// Makes, or finds again, the caches of an http block.
    fn new(paths: &CachePaths, cx: &mut Compile<'_, '_>) -> Result<Self, Diagnostic> {
        let mut list = Vec::new();
        for path in &paths.list {
            let settings = path.settings.clone();
            cx.build.declare(&settings.name, settings.size, path.kind, path.span)?;
            cx.build.declared.keep_below(&settings.name, &settings.folder, &settings.levels);
            cx.build.folder(&settings.folder);
            let zone = cx.build.zones.open(&settings.name, settings.size, path.kind, || Zone::new(settings.size));
            list.push((path.kind, Arc::new(Cache::new(settings, zone))));
        }
        Ok(Self { list })
    }

    /// The cache of a gateway with this name.
    fn get(&self, kind: &str, name: &str) -> Option<&Arc<Cache>> {
        let same = |(of, cache): &&(&str, Arc<Cache>)| *of == kind && cache.settings.name == name;
        self.list.iter().find(same).map(|(_, cache)| cache)
    }
}

/// The caches of an http level.
///
/// # Errors
/// nginx's words for a name that is taken.
pub fn caches(levels: &Levels<'_>, cx: &mut Compile<'_, '_>) -> Result<Vec<Arc<Cache>>, Diagnostic> {
    let Some(paths) = levels.get::<CachePaths>() else { return Ok(Vec::new()) };
    let caches = cx.once(paths, |cx| Caches::new(paths, cx))?;
    Ok(caches.list.iter().map(|(_, cache)| cache.clone()).collect())
}

/// Which cache a place uses.
enum Which {
    One(Arc<Cache>),
    /// A text with variables names one of these.
    Named(Text, Arc<Caches>),
}

/// How a place uses a cache.
pub struct Caching {
    which: Which,
    kind: &'static str,
    /// `*_`, as settings begin.
    pub prefix: &'static str,
    /// `*_cache_key`.
    pub key: Option<Text>,
    bypass: Vec<Text>,
    refuse: Vec<Text>,
    methods: u32,
    /// `*_cache_min_uses`.
    pub min_uses: u64,
    /// `*_cache_lock`: how long one may fetch, and how long others wait.
    pub lock: Option<(Duration, Duration)>,
    /// `*_cache_use_stale`, as bits of `*_next_upstream`.
    pub use_stale: u32,
    /// `*_cache_revalidate`.
    pub revalidate: bool,
    /// `*_cache_background_update`.
    pub background: bool,
    /// `proxy_cache_convert_head`.
    pub convert_head: bool,
    max_range_offset: Option<u64>,
    valid: Vec<(u16, Duration)>,
}

impl Caching {
    /// How a place uses a cache; nothing where it uses none.
    ///
    /// # Errors
    /// Texts that do not compile.
    pub fn new<const P: u8>(
        levels: &Levels<'_>,
        prefix: &'static str,
        convert_head: bool,
        cx: &mut Compile<'_, '_>,
    ) -> Result<Option<Arc<Self>>, Diagnostic> {
        let Some(conf) = levels.get::<CacheConf<P>>() else { return Ok(None) };
        let (Some(Some(zone)), Some(paths)) = (&conf.zone, levels.get::<CachePaths>()) else { return Ok(None) };
        let caches = cx.once(paths, |cx| Caches::new(paths, cx))?;
        let which = if used::varies(&zone.bytes) {
            Which::Named(cx.text(zone)?, caches)
        } else {
            match caches.get(kind::<P>(), &zone.text()) {
                Some(cache) => Which::One(cache.clone()),
                None => return Ok(None),
            }
        };
        let mut texts = |words: &[Word]| words.iter().map(|word| cx.text(word)).collect::<Result<Vec<_>, _>>();
        let (bypass, refuse) = (texts(&conf.bypass)?, texts(&conf.refuse)?);
        let key = conf.key.as_ref().map(|word| cx.text(word)).transpose()?;
        let mut use_stale = conf.use_stale.merged()?;
        if use_stale & next::ERROR != 0 {
            use_stale |= next::NO_LIVE;
        }
        if use_stale & next::OFF != 0 {
            use_stale = 0;
        }
        let lock = match conf.lock.merged()? {
            true => Some((conf.lock_age.merged()?, conf.lock_timeout.merged()?)),
            false => None,
        };
        Ok(Some(Arc::new(Self {
            which,
            kind: kind::<P>(),
            prefix,
            key,
            bypass,
            refuse,
            methods: conf.methods.merged()? | 3,
            min_uses: conf.min_uses.merged()?,
            lock,
            use_stale,
            revalidate: conf.revalidate.merged()?,
            background: conf.background.unwrap_or(false),
            convert_head,
            max_range_offset: conf.max_range_offset,
            valid: conf.valid.clone(),
        })))
    }

    /// Whether answers to requests with this method are kept.
    pub const fn takes(&self, method: Method) -> bool {
        let bit = match method {
            Method::Get => 1,
            Method::Head => 2,
            Method::Post => 4,
            _ => 0,
        };
        self.methods & bit != 0
    }

    /// The cache of a request; nothing where a text says that there is none.
    ///
    /// # Errors
    /// The status to answer with where there is no such cache; logged.
    pub fn cache(&self, request: &Request) -> Result<Option<Arc<Cache>>, u16> {
        let (text, caches) = match &self.which {
            Which::One(cache) => return Ok(Some(cache.clone())),
            Which::Named(text, caches) => (text.text(request), caches),
        };
        if text.is_empty() || text == b"off" {
            return Ok(None);
        }
        let name = crate::conf::bytes::text(&text);
        let found = caches.get(self.kind, &name).cloned();
        if found.is_none() {
            request.log(Level::Error, &format!("cache \"{name}\" not found"));
        }
        found.map(Some).ok_or(500)
    }

    /// Whether `*_cache_bypass` says that the cache is not asked.
    pub fn bypasses(&self, request: &Request) -> bool {
        any(&self.bypass, request)
    }

    /// Whether `*_no_cache` says that an answer is not kept.
    pub fn refuses(&self, request: &Request) -> bool {
        any(&self.refuse, request)
    }

    /// For how many seconds an answer with this status is kept; 0 for not at all.
    pub fn valid(&self, status: u16) -> i64 {
        let found = self.valid.iter().find(|(of, _)| *of == 0 || *of == status);
        found.map_or(0, |(_, time)| i64::try_from(time.as_secs()).unwrap_or(i64::MAX))
    }

    /// Whether a range a client asks for begins so late that the answer is fetched past the cache.
    pub fn is_beyond(&self, range: &[u8]) -> bool {
        let Some(most) = self.max_range_offset else { return false };
        if most == 0 {
            return true;
        }
        let Some((unit, rest)) = range.split_at_checked(6) else { return false };
        if !unit.eq_ignore_ascii_case(b"bytes=") || rest.is_empty() {
            return false;
        }
        let rest = rest.trim_ascii_start();
        let digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
        let first = crate::conf::value::number(rest.get(..digits).unwrap_or_default());
        rest.starts_with(b"-") || first.is_some_and(|first| first >= most)
    }
}

/// Whether any of the texts is neither empty nor 0.
fn any(texts: &[Text], request: &Request) -> bool {
    texts.iter().any(|text| !matches!(&*text.text(request), b"" | b"0"))
}
