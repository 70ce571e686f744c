//! `limit_conn`: how many connections (stream) or requests (http) a key may have at once.

use crate::conf::bytes;
use crate::conf::diagnostic::{At, Diagnostic};
use crate::conf::directive::{Arity, Contexts, Directive};
use crate::conf::module::{Conf, Module, Scope, inherit};
use crate::conf::slot::{Choice, Custom, Flag, Number};
use crate::conf::tree::{Statement, Word};
use crate::conf::value;
use crate::conf::walk::Setting;
use crate::log::Level;
use crate::script::template::Template;
use crate::script::variable::{Names, Subject};
use crate::session::build::Build;
use crate::session::contexts::{HTTP, HTTP_ANY, HTTP_LEVELS, STREAM, STREAM_ANY};
use crate::session::{shared, used};
use crate::zone::table::Table;
use std::sync::Arc;

/// The rows of both products.
pub const MODULES: [Module; 2] = [
    Module {
        name: "ngx_http_limit_conn_module",
        directives: &[
            zone_row(HTTP),
            limit_row(HTTP_ANY),
            level_row(HTTP_ANY),
            dry_row(HTTP_ANY),
            Directive::new(
                "limit_conn_status",
                HTTP_ANY,
                Arity::Exactly(1),
                &Number(|c: &mut Limits| &mut c.status, 400..=599),
            )
            .default("503")
            .since("1.3.15")
            .doc("Sets the status of a refused request."),
        ],
        scopes: &[Scope::of::<Zones>(HTTP.or(STREAM)), Scope::of::<Limits>(HTTP_LEVELS.or(STREAM_ANY))],
    },
    Module {
        name: "ngx_stream_limit_conn_module",
        directives: &[zone_row(STREAM), limit_row(STREAM_ANY), level_row(STREAM_ANY), dry_row(STREAM_ANY)],
        scopes: &[],
    },
];

const fn zone_row(contexts: Contexts) -> Directive {
    Directive::new("limit_conn_zone", contexts, Arity::Exactly(2), &Custom(limit_conn_zone))
        .words(&["zone="])
        .doc("Sets the zone that counts, and the key it counts by.")
}

const fn limit_row(contexts: Contexts) -> Directive {
    Directive::new("limit_conn", contexts, Arity::Exactly(2), &Custom(limit_conn))
        .doc("Sets how many connections a key of the zone may have.")
}

const fn level_row(contexts: Contexts) -> Directive {
    Directive::new("limit_conn_log_level", contexts, Arity::Exactly(1), &Choice(|c: &mut Limits| &mut c.level, LEVELS))
        .default("error")
        .doc("Sets the level refusals are logged at.")
}

const fn dry_row(contexts: Contexts) -> Directive {
    Directive::new("limit_conn_dry_run", contexts, Arity::Flag, &Flag(|c: &mut Limits| &mut c.dry_run))
        .default("off")
        .since("1.17.6")
        .doc("Counts and logs, but refuses nobody.")
}

const LEVELS: &[(&str, Level)] =
    &[("info", Level::Info), ("notice", Level::Notice), ("warn", Level::Warn), ("error", Level::Error)];
const KIND: &str = "limit_conn";
/// Bytes of nginx's node beside the key.
const NODE: usize = 44;

/// The zones of an http or stream block.
#[derive(Default)]
pub struct Zones {
    zones: Vec<(String, Word, u64)>,
}

impl Conf for Zones {
    fn inherit(&mut self, _: &Self) {}
}

/// The limits of a level.
#[derive(Default)]
pub struct Limits {
    limits: Vec<(String, u32)>,
    status: Option<u64>,
    level: Option<Level>,
    dry_run: Option<bool>,
}

impl Conf for Limits {
    fn inherit(&mut self, outer: &Self) {
        inherit!(self, outer; list limits; status, level, dry_run);
    }
}

/// Limits at work.
pub struct Limiter<S: Subject> {
    limits: Vec<Limit<S>>,
    /// The status of a refusal.
    pub status: u16,
    /// The level it is logged at.
    pub level: Level,
    /// Whether it is only logged.
    pub dry_run: bool,
}

struct Limit<S: Subject> {
    zone: String,
    /// The key as written.
    name: String,
    key: Template<S>,
    table: Arc<Table<u32>>,
    most: u32,
}

/// What a limiter says of a session.
pub enum Entry {
    /// It may go on; it is counted until the tickets are dropped.
    Passed(Vec<Ticket>),
    /// The zone's name, and why in nginx's words.
    Refused(String),
}

/// A place in a zone, given back on drop.
pub struct Ticket {
    table: Arc<Table<u32>>,
    key: Vec<u8>,
}

impl Drop for Ticket {
    fn drop(&mut self) {
        self.table.release(&self.key, |count| {
            *count = count.saturating_sub(1);
            *count == 0
        });
    }
}

impl<S: Subject> Limiter<S> {
    /// The runtime form of merged settings; nothing where there are no limits.
    ///
    /// # Errors
    /// A zone that is not defined, or a key that does not compile.
    pub fn new(
        conf: &Limits,
        zones: Option<&Zones>,
        names: &mut Names<S>,
        build: &mut Build<'_>,
    ) -> Result<Option<Self>, Diagnostic> {
        if conf.limits.is_empty() {
            return Ok(None);
        }
        let mut limits = Vec::new();
        for (zone, most) in &conf.limits {
            let known = zones.and_then(|zones| zones.zones.iter().find(|(name, ..)| name == zone));
            let Some((name, key, size)) = known else {
                build.declared.declare(zone, 0, KIND).map_err(Diagnostic::emerg)?;
                continue;
            };
            build
                .declare(name, *size, KIND, key.span)
                .map_err(|complaint| Diagnostic { at: At::Nowhere, ..complaint })?;
            build.declared.bind(name, "limit_conn_zone", &key.text());
            let name = key.text().into_owned();
            let key = Template::compile(&key.bytes, names).map_err(|text| Diagnostic::emerg(text).at(key.span))?;
            let table = build.zones.open(zone, *size, KIND, || Table::new(*size, NODE));
            limits.push(Limit { zone: zone.clone(), name, key, table, most: *most });
        }
        Ok(Some(Self {
            limits,
            status: conf.status.unwrap_or(503) as u16,
            level: conf.level.unwrap_or(Level::Error),
            dry_run: conf.dry_run.unwrap_or(false),
        }))
    }

    /// Counts a session, unless a zone is full or a key is at its limit.
    pub fn enter(&self, subject: &S) -> Entry {
        let mut tickets = Vec::with_capacity(self.limits.len());
        for limit in &self.limits {
            let key = limit.key.text(subject);
            if key.is_empty() {
                continue;
            }
            if key.len() > 255 {
                let (name, key) = (&limit.name, bytes::text(&key));
                subject.error(&format!("the value of the \"{name}\" key is more than 255 bytes: \"{key}\""));
                continue;
            }
            let entered = limit.table.update(
                &key,
                || 0,
                |count| {
                    if *count >= limit.most {
                        return false;
                    }
                    *count += 1;
                    true
                },
            );
            match entered {
                Ok(true) => tickets.push(Ticket { table: limit.table.clone(), key }),
                Ok(false) | Err(_) => return Entry::Refused(limit.zone.clone()),
            }
        }
        Entry::Passed(tickets)
    }
}

fn limit_conn_zone(cx: &mut Setting<'_>, conf: &mut Zones, statement: &Statement) -> Result<(), Diagnostic> {
    let [key, parameter] = statement.arguments() else { return Ok(()) };
    let fail = |text: String| Err(Diagnostic::emerg(text).point(parameter.span));
    used::word(cx, key)?;
    let Some(text) = parameter.after("zone=") else {
        return fail(format!("invalid parameter \"{}\"", parameter.text()));
    };
    let (name, size) = shared::name_and_size(parameter, text)?;
    if name.is_empty() {
        return fail("\"limit_conn_zone\" must have \"zone\" parameter".to_owned());
    }
    shared::declare(cx, &name, size, KIND)?;
    if let Some((_, earlier, _)) = conf.zones.iter().find(|(known, ..)| *known == name) {
        let (row, key) = (cx.row.name, earlier.text());
        let text = format!("{row} \"{name}\" is already bound to key \"{key}\"");
        return fail(text).map_err(|complaint| complaint.earlier(Some(earlier.span)));
    }
    conf.zones.push((name, key.clone(), size));
    Ok(())
}

fn limit_conn(cx: &mut Setting<'_>, conf: &mut Limits, statement: &Statement) -> Result<(), Diagnostic> {
    let [zone, most] = statement.arguments() else { return Ok(()) };
    let name = zone.text().into_owned();
    shared::declare(cx, &name, 0, KIND)?;
    let first = cx.first_here("limit_conn of", name.as_bytes(), statement.span);
    if conf.limits.iter().any(|(known, _)| *known == name) {
        return Err(cx.duplicate().earlier(first));
    }
    match value::number(&most.bytes) {
        None | Some(0) => {
            let text = format!("invalid number of connections \"{}\"", most.text());
            Err(Diagnostic::emerg(text).point(most.span))
        }
        Some(most) if most > 65535 => Err(Diagnostic::emerg("connection limit must be less 65536")),
        Some(most) => {
            conf.limits.push((name, most as u32));
            Ok(())
        }
    }
}
