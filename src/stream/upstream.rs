//! stream's view of backends: groups by name, and addresses used like them.

use super::session::{Session, Text};
use crate::conf::diagnostic::{Diagnostic, Kind};
use crate::conf::walk::Levels;
use crate::net::address::Endpoint;
use crate::net::event_loop::EventLoop;
use crate::script::template::Template;
use crate::script::variable::Names;
use crate::session::build::Build;
use crate::session::contexts::STREAM_UPSTREAM;
use crate::upstream::checks::{ChecksConf, GroupCheck};
use crate::upstream::group::Choice;
use crate::upstream::names::{self, Changing, Live};
use crate::upstream::settings::{self, Upstream};
use crate::upstream::watch::{self, Running};
use crate::upstream::{Group, Inputs, Pick};
use hashbrown::HashMap;
use std::rc::Rc;
use std::sync::Arc;

/// A group and what its choice depends on.
pub struct Pool {
    /// The servers and who is next.
    pub group: Group,
    /// The key of `hash`.
    key: Option<Arc<Text>>,
    /// What changes its servers while it serves.
    live: Option<Live<Self>>,
    /// Whether the group has a `zone`.
    pub zoned: bool,
    /// `check`.
    group_check: Option<GroupCheck>,
}

impl Changing for Pool {
    fn group(&self) -> &Group {
        &self.group
    }

    fn live(&self) -> Option<&Live<Self>> {
        self.live.as_ref()
    }

    fn with(&self, group: Group) -> Self {
        Self { group, key: self.key.clone(), live: None, zoned: self.zoned, group_check: None }
    }
}

impl Pool {
    /// The pool of a group without a key.
    pub const fn of(group: Group) -> Self {
        Self { group, key: None, live: None, zoned: false, group_check: None }
    }

    /// A session's way through the group.
    pub fn pick(&self, session: &Session) -> Pick {
        let key = self.key.as_ref().map(|key| key.text(session)).unwrap_or_default();
        self.group.pick(Inputs { client: session.client_address().ip(), key: &key, session: b"" })
    }

    /// How the group would choose for a session.
    pub fn explain(&self, session: &Session, tries: u32) -> Choice {
        let key = self.key.as_ref().map(|key| key.text(session));
        let inputs =
            Inputs { client: session.client_address().ip(), key: key.as_deref().unwrap_or_default(), session: b"" };
        let mut choice = self.group.explain(inputs, tries).keyed(key.as_deref());
        choice.order.extend(self.live.iter().flat_map(|live| live.texts().map(str::to_owned)));
        choice
    }
}

/// All groups of a site by name, in lower case.
#[derive(Default)]
pub struct Upstreams {
    named: HashMap<String, Arc<Pool>>,
    implicit: HashMap<String, Arc<Pool>>,
}

impl Upstreams {
    /// The groups of the upstream blocks of a stream level.
    ///
    /// # Errors
    /// A server that is not found, a group without servers.
    pub fn new(levels: &Levels<'_>, variables: &mut Names<Session>, build: &mut Build<'_>) -> Result<Self, Diagnostic> {
        let mut all = Self::default();
        for level in levels.level.children.iter().filter(|level| level.context == STREAM_UPSTREAM) {
            let name = level.words.get(1).map(|word| word.text().into_owned()).unwrap_or_default();
            let Some(conf) = level.own::<Upstream>() else { continue };
            let group_check = level.own::<ChecksConf>().and_then(ChecksConf::group_check);
            let declared = conf.declare(&mut build.declared, level.span);
            build.part(declared)?;
            let group = conf.groups(&name, level.span, 0, build)?;
            let key = conf.key().map(|word| {
                build.uses(word);
                Template::compile(&word.bytes, variables).map_err(|text| Diagnostic::emerg(text).at(word.span))
            });
            let key = build.part(key.transpose())?.flatten().map(Arc::new);
            let servers = conf.names(&name, level.span, 0, &levels.inside(level), build);
            let live = build.part(servers)?.flatten().map(Live::new);
            let pool = Arc::new(Pool { group, key, live, zoned: conf.zone.is_some(), group_check });
            if let Some(group_check) = &pool.group_check {
                pool.group.add_check(&group_check.check);
            }
            all.named.insert(name.to_lowercase(), pool);
        }
        Ok(all)
    }

    /// The group called `name`.
    pub fn get(&self, name: &str) -> Option<&Arc<Pool>> {
        self.named.get(name).or_else(|| self.named.get(&name.to_lowercase()))
    }

    /// The group of an address that `proxy_pass` names.
    ///
    /// # Errors
    /// `host not found` for a name without addresses.
    pub fn implicit(&mut self, text: &str, endpoint: &Endpoint, build: &Build<'_>) -> Result<Arc<Pool>, Diagnostic> {
        if let Some(pool) = self.implicit.get(text) {
            return Ok(pool.clone());
        }
        let host = text.rsplit_once(':').map_or(text, |(host, _)| host);
        let found = settings::addresses(endpoint, 0, &mut |host| Ok(build.resolver.resolve(host))).map_err(|_| {
            let complaint = Diagnostic::emerg(format!("host not found in upstream \"{host}\"")).kind(Kind::Host);
            let mut names: Vec<&str> = self.named.keys().filter(|_| build.every).map(String::as_str).collect();
            names.sort_unstable();
            complaint.among("upstreams", host, &names)
        })?;
        let pool = Arc::new(Pool::of(Group::implicit(text, found.into_iter())));
        self.implicit.insert(text.to_owned(), pool.clone());
        Ok(pool)
    }

    /// Takes over what an earlier site knew of its servers.
    pub fn carry_over(&self, old: &Self) {
        for (pools, known) in [(&self.named, &old.named), (&self.implicit, &old.implicit)] {
            for (name, pool) in pools {
                if let Some(old) = known.get(name) {
                    pool.carry_over(old);
                }
            }
        }
    }

    /// Makes the checks of `check` for as long as the results are held; to be called on one loop.
    pub fn check(&self, event_loop: &Rc<EventLoop>) -> Vec<Running> {
        let checks = self.named.values().filter_map(|pool| Some((pool, pool.group_check.as_ref()?)));
        checks.map(|(pool, own)| watch::watch(pool, &own.check, own.asker(event_loop), event_loop)).collect()
    }

    /// Looks up the names of servers for as long as the groups are there; to be called on one loop.
    pub fn follow(&self, event_loop: &Rc<EventLoop>) {
        self.named.values().for_each(|pool| names::follow(pool, event_loop));
    }
}
