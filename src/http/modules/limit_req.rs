//! `ngx_http_limit_req_module`: how fast a key may send requests.
//!
//! Each zone keeps a leaky bucket a key ([`bucket`]). A request is counted in the last zone of its list as it is looked up
//! there, and in the zones before only when all of them let it pass.

mod bucket;

use crate::conf::bytes;
use crate::conf::diagnostic::Diagnostic;
use crate::conf::directive::{Arity, Directive};
use crate::conf::module::{Conf, Scope, inherit};
use crate::conf::slot::{Choice, Custom, Flag, Number};
use crate::conf::tree::{Statement, Word};
use crate::conf::value;
use crate::conf::walk::{Levels, Setting};
use crate::http::heart::handler::{Flow, Handler, Phase};
use crate::http::heart::module::{Compile, LocationBuilder, Module, Text};
use crate::http::heart::request::Request;
use crate::log::Level;
use crate::script::variable::Variable;
use crate::session::contexts::{HTTP, HTTP_ANY, HTTP_LEVELS};
use crate::session::shared;
use crate::session::used;
use bucket::{Buckets, Counted, Pace};
use std::sync::Arc;
use std::time::Duration;

/// The module.
pub fn modules() -> Vec<Module> {
    vec![Module::new(MODULE).variables(VARIABLES).declare(declare).install(install)]
}

const MODULE: crate::conf::module::Module = crate::conf::module::Module {
    name: "ngx_http_limit_req_module",
    directives: DIRECTIVES,
    scopes: &[Scope::of::<Zones>(HTTP), Scope::of::<Limits>(HTTP_LEVELS)],
};

const DIRECTIVES: &[Directive] = &[
    Directive::new("limit_req_zone", HTTP, Arity::Exactly(3), &Custom(limit_req_zone))
        .words(&["zone=", "rate="])
        .doc("Sets the zone that counts, the key it counts by, and the rate."),
    Directive::new("limit_req", HTTP_ANY, Arity::Between(1, 3), &Custom(limit_req))
        .words(&["zone=", "burst=", "delay=", "nodelay"])
        .doc("Sets the zone, and how many requests may be early, delayed or not."),
    Directive::new(
        "limit_req_log_level",
        HTTP_ANY,
        Arity::Exactly(1),
        &Choice(|c: &mut Limits| &mut c.log_level, LEVELS),
    )
    .default("error")
    .since("0.8.18")
    .doc("Sets the level refusals are logged at; delays one below."),
    Directive::new("limit_req_status", HTTP_ANY, Arity::Exactly(1), &Number(|c: &mut Limits| &mut c.status, 400..=599))
        .default("503")
        .since("1.3.15")
        .doc("Sets the status of a refused request."),
    Directive::new("limit_req_dry_run", HTTP_ANY, Arity::Flag, &Flag(|c: &mut Limits| &mut c.dry_run))
        .default("off")
        .since("1.17.1")
        .doc("Counts and logs, but delays and refuses nobody."),
];

const LEVELS: &[(&str, Level)] =
    &[("info", Level::Info), ("notice", Level::Notice), ("warn", Level::Warn), ("error", Level::Error)];
const KIND: &str = "limit_req";

static VARIABLES: &[Variable<Request>] = &[Variable::new("limit_req_status", |request, _, out| {
    out.extend_from_slice(request.limit_req_status.as_bytes());
    !request.limit_req_status.is_empty()
})];

/// A zone as written.
struct ZoneConf {
    name: String,
    key: Word,
    size: u64,
    /// Thousandths of requests a second.
    rate: u64,
}

/// The zones of an http block.
#[derive(Default)]
struct Zones {
    zones: Vec<ZoneConf>,
}

impl Conf for Zones {
    fn inherit(&mut self, _: &Self) {}
}

/// A `limit_req` as written.
#[derive(Clone)]
struct LimitConf {
    zone: String,
    burst: u64,
    /// How many early requests are not delayed; nothing for `nodelay`.
    delay: Option<u64>,
}

/// Settings of the module.
#[derive(Default)]
struct Limits {
    log_level: Option<Level>,
    status: Option<u64>,
    dry_run: Option<bool>,
    limits: Vec<LimitConf>,
}

impl Conf for Limits {
    fn inherit(&mut self, outer: &Self) {
        inherit!(self, outer; list limits; log_level, status, dry_run);
    }
}

/// A limit at work.
struct Limit {
    zone: String,
    /// The key as written.
    name: String,
    key: Text,
    buckets: Arc<Buckets>,
    pace: Pace,
    /// Thousandths of requests that are not delayed.
    delay: i64,
}

/// The limits of a place.
struct Limiter {
    limits: Vec<Limit>,
    status: u16,
    level: Level,
    delay_level: Level,
    dry_run: bool,
}

fn declare(levels: &Levels<'_>, cx: &mut Compile<'_, '_>) -> Result<(), Diagnostic> {
    for zone in levels.level.own::<Zones>().into_iter().flat_map(|conf| &conf.zones) {
        cx.build.declare(&zone.name, zone.size, KIND, zone.key.span)?;
        cx.build.declared.bind(&zone.name, "limit_req", &zone.key.text());
        cx.build.zones.open(&zone.name, zone.size, KIND, || Buckets::new(zone.size));
    }
    Ok(())
}

fn install(levels: &Levels<'_>, place: &mut LocationBuilder, cx: &mut Compile<'_, '_>) -> Result<(), Diagnostic> {
    let Some(conf) = levels.get::<Limits>().filter(|conf| !conf.limits.is_empty()) else { return Ok(()) };
    let zones = levels.get::<Zones>();
    let mut limits = Vec::new();
    for limit in &conf.limits {
        let known = zones.and_then(|zones| zones.zones.iter().find(|zone| zone.name == limit.zone));
        let Some(zone) = known else {
            cx.build.declared.declare(&limit.zone, 0, KIND).map_err(Diagnostic::emerg)?;
            continue;
        };
        limits.push(Limit {
            zone: zone.name.clone(),
            name: zone.key.text().into_owned(),
            key: cx.text(&zone.key)?,
            buckets: cx.build.zones.open(&zone.name, zone.size, KIND, || Buckets::new(zone.size)),
            pace: Pace { rate: i64::try_from(zone.rate).unwrap_or(i64::MAX), burst: thousand(limit.burst) },
            delay: limit.delay.map_or(i64::MAX, thousand),
        });
    }
    let level = conf.log_level.unwrap_or(Level::Error);
    place.step(
        Phase::Preaccess,
        Limiter {
            limits,
            status: conf.status.unwrap_or(503) as u16,
            level,
            delay_level: match level {
                Level::Error => Level::Warn,
                Level::Warn => Level::Notice,
                _ => Level::Info,
            },
            dry_run: conf.dry_run.unwrap_or(false),
        },
    );
    Ok(())
}

/// A number of requests in thousandths.
fn thousand(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX).saturating_mul(1000)
}

/// What the zones say of a request.
enum Verdict {
    /// No zone counts it.
    Uncounted,
    /// It goes on.
    Passed,
    /// It waits; the excess and the zone that asks for it.
    Delayed(Duration, i64, String),
    /// It is refused; the excess and the zone, unless a zone had no room.
    Refused(Option<(i64, String)>),
}

impl Limiter {
    fn judge(&self, request: &Request) -> Verdict {
        let now = request.event_loop().clock.instant();
        let mut held: Vec<(&Limit, Vec<u8>)> = Vec::new();
        let mut excess = None;
        for (index, limit) in self.limits.iter().enumerate() {
            let key = limit.key.text(request);
            if key.is_empty() {
                continue;
            }
            if key.len() > 65535 {
                let (name, key) = (&limit.name, bytes::text(&key));
                request
                    .log(Level::Error, &format!("the value of the \"{name}\" key is more than 65535 bytes: \"{key}\""));
                continue;
            }
            match limit.buckets.enter(&key, now, limit.pace, index + 1 == self.limits.len()) {
                Ok(Counted::Early) => held.push((limit, key)),
                Ok(Counted::Now(now)) => excess = Some((now, limit)),
                outcome => {
                    held.iter().for_each(|(limit, key)| limit.buckets.leave(key));
                    if outcome.is_err() {
                        let text = format!("could not allocate node in limit_req zone \"{}\"", limit.zone);
                        request.location.settings.error_log.write(Level::Alert, None, &bytes::raw(&text));
                    }
                    return Verdict::Refused(match outcome {
                        Ok(Counted::Busy(excess)) => Some((excess, limit.zone.clone())),
                        _ => None,
                    });
                }
            }
        }
        if held.is_empty() && excess.is_none() {
            return Verdict::Uncounted;
        }
        let mut longest = excess.map_or((0, 0, ""), |(excess, limit)| (limit.wait(excess), excess, &limit.zone));
        for (limit, key) in held.iter().rev() {
            let excess = limit.buckets.account(key, now, limit.pace);
            let wait = limit.wait(excess);
            if wait > longest.0 {
                longest = (wait, excess, &limit.zone);
            }
        }
        match longest {
            (0, ..) => Verdict::Passed,
            (wait, excess, zone) => Verdict::Delayed(Duration::from_millis(wait), excess, zone.to_owned()),
        }
    }
}

impl Limit {
    /// How many milliseconds a request with so much excess waits.
    fn wait(&self, excess: i64) -> u64 {
        let late = excess.saturating_sub(self.delay).max(0);
        (late.saturating_mul(1000) / self.pace.rate.max(1)).unsigned_abs()
    }
}

impl Handler for Limiter {
    fn run<'r>(&'r self, request: &'r mut Request) -> Flow<'r> {
        if !request.limit_req_status.is_empty() {
            return Flow::Next;
        }
        let shown = |excess: i64| format!("{}.{:03}", excess / 1000, excess % 1000);
        let dry = if self.dry_run { ", dry run" } else { "" };
        match self.judge(request) {
            Verdict::Uncounted => Flow::Next,
            Verdict::Passed => {
                request.limit_req_status = "PASSED";
                Flow::Next
            }
            Verdict::Refused(why) => {
                if let Some((excess, zone)) = why {
                    let excess = shown(excess);
                    request.log(self.level, &format!("limiting requests{dry}, excess: {excess} by zone \"{zone}\""));
                }
                if self.dry_run {
                    request.limit_req_status = "REJECTED_DRY_RUN";
                    return Flow::Next;
                }
                request.limit_req_status = "REJECTED";
                Flow::Finish(self.status)
            }
            Verdict::Delayed(wait, excess, zone) => {
                let excess = shown(excess);
                request.log(self.delay_level, &format!("delaying request{dry}, excess: {excess}, by zone \"{zone}\""));
                if self.dry_run {
                    request.limit_req_status = "DELAYED_DRY_RUN";
                    return Flow::Next;
                }
                request.limit_req_status = "DELAYED";
                Flow::Wait(Box::pin(
                    async move { if request.stays(wait).await { Flow::Next } else { Flow::Finish(499) } },
                ))
            }
        }
    }
}

fn limit_req_zone(cx: &mut Setting<'_>, conf: &mut Zones, statement: &Statement) -> Result<(), Diagnostic> {
    let [key, parameters @ ..] = statement.arguments() else { return Ok(()) };
    used::word(cx, key)?;
    let (mut zone, mut rate) = (None, 1000);
    for word in parameters {
        if let Some(text) = word.after("zone=") {
            zone = Some(shared::name_and_size(word, text)?);
        } else if let Some(text) = word.after("rate=") {
            let (number, scale) = match (text.strip_suffix(b"r/s"), text.strip_suffix(b"r/m")) {
                (Some(number), _) => (number, 1),
                (_, Some(number)) => (number, 60),
                _ => (text, 1),
            };
            let Some(number) = value::number(number).filter(|rate| *rate > 0) else {
                return Err(Diagnostic::emerg(format!("invalid rate \"{}\"", word.text())).point(word.span));
            };
            rate = number.saturating_mul(1000) / scale;
        } else {
            return Err(Diagnostic::emerg(format!("invalid parameter \"{}\"", word.text())).point(word.span));
        }
    }
    let Some((name, size)) = zone.filter(|(name, _)| !name.is_empty()) else {
        return Err(Diagnostic::emerg(format!("\"{}\" must have \"zone\" parameter", cx.row.name)));
    };
    shared::declare(cx, &name, size, KIND)?;
    if let Some(earlier) = conf.zones.iter().find(|zone| zone.name == name).map(|zone| &zone.key) {
        let (row, key) = (cx.row.name, earlier.text());
        return Err(Diagnostic::emerg(format!("{row} \"{name}\" is already bound to key \"{key}\""))
            .earlier(Some(earlier.span)));
    }
    conf.zones.push(ZoneConf { name, key: key.clone(), size, rate });
    Ok(())
}

fn limit_req(cx: &mut Setting<'_>, conf: &mut Limits, statement: &Statement) -> Result<(), Diagnostic> {
    let (mut zone, mut burst, mut delay) = (None, 0, Some(0));
    for word in statement.arguments() {
        let number = |text: &[u8]| value::number(text).filter(|number| *number > 0);
        let fail = |what: &str| Err(Diagnostic::emerg(format!("{what} \"{}\"", word.text())).point(word.span));
        if let Some(name) = word.after("zone=") {
            let name = bytes::text(name).into_owned();
            shared::declare(cx, &name, 0, KIND)?;
            zone = Some(name);
        } else if let Some(text) = word.after("burst=") {
            match number(text) {
                Some(number) => burst = number,
                None => return fail("invalid burst value"),
            }
        } else if let Some(text) = word.after("delay=") {
            match number(text) {
                Some(number) => delay = Some(number),
                None => return fail("invalid delay value"),
            }
        } else if word.is("nodelay") {
            delay = None;
        } else {
            return fail("invalid parameter");
        }
    }
    let Some(zone) = zone else {
        return Err(Diagnostic::emerg(format!("\"{}\" must have \"zone\" parameter", cx.row.name)));
    };
    let first = cx.first_here("limit_req of", zone.as_bytes(), statement.span);
    if conf.limits.iter().any(|limit| limit.zone == zone) {
        return Err(cx.duplicate().earlier(first));
    }
    conf.limits.push(LimitConf { zone, burst, delay });
    Ok(())
}
