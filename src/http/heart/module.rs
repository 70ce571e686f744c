//! What an http module is, and the two doors from configuration to run time: `declare` and `install`.

use crate::conf::diagnostic::Diagnostic;
use crate::conf::directive::Contexts;
use crate::conf::tree::Word;
use crate::conf::walk::Levels;
use crate::http::heart::filter::Filter;
use crate::http::heart::handler::{Handler, PHASES, Phase};
use crate::http::heart::pace::Rates;
use crate::http::heart::referers::Referers;
use crate::http::heart::request::Request;
use crate::http::heart::script::Script;
use crate::http::heart::secure::ServerTls;
use crate::http::heart::settings::{FileOnly, FileSettings};
use crate::http::heart::upstream::Upstreams;
use crate::script::template::Template;
use crate::script::variable::{Names, Variable};
use crate::session::build::Build;
use hashbrown::HashMap;
use std::any::{Any, TypeId};
use std::sync::Arc;
use std::time::Duration;

/// Compiled text with request variables.
pub type Text = Template<Request>;

/// Turns merged settings into what is served at one place.
pub type Install = fn(&Levels<'_>, &mut LocationBuilder, &mut Compile<'_, '_>) -> Result<(), Diagnostic>;

/// Gives names a meaning before anything is installed.
pub type Declare = fn(&Levels<'_>, &mut Compile<'_, '_>) -> Result<(), Diagnostic>;

/// Checks merged settings of a server or a block inside one; a complaint without a place gets that of http's `}`.
pub type Check = fn(&Levels<'_>, &mut Compile<'_, '_>) -> Result<(), Diagnostic>;

/// An http module.
#[derive(Clone, Copy)]
pub struct Module {
    /// Rows and scopes.
    pub conf: crate::conf::module::Module,
    /// The variables it brings.
    pub variables: &'static [Variable<Request>],
    /// Run once for every level, before any `install`.
    pub declare: Option<Declare>,
    /// Run once for every server and every block in it, before any `install`.
    pub check: Option<Check>,
    /// Run once for every server and location.
    pub install: Option<Install>,
}

impl Module {
    /// A module of rows and scopes only.
    pub const fn new(conf: crate::conf::module::Module) -> Self {
        Self { conf, variables: &[], declare: None, check: None, install: None }
    }

    /// The same with variables.
    pub const fn variables(mut self, variables: &'static [Variable<Request>]) -> Self {
        self.variables = variables;
        self
    }

    /// The same with a `declare`.
    pub const fn declare(mut self, declare: Declare) -> Self {
        self.declare = Some(declare);
        self
    }

    /// The same with a `check`.
    pub const fn check(mut self, check: Check) -> Self {
        self.check = Some(check);
        self
    }

    /// The same with an `install`.
    pub const fn install(mut self, install: Install) -> Self {
        self.install = Some(install);
        self
    }
}

/// A server or location under construction.
pub struct LocationBuilder {
    /// What kind of block it is.
    pub context: Contexts,
    /// The handlers of each phase.
    pub steps: [Vec<Arc<dyn Handler>>; PHASES],
    /// The filters, first one first to see a response.
    pub filters: Vec<Box<dyn Filter>>,
    /// The location's own content handler, which excludes all others.
    pub content: Option<Arc<dyn Handler>>,
    /// Whether a request for the location's name without its last slash is redirected.
    pub adds_slash: bool,
    /// Whether reading a variable that no rule gave a value is logged.
    pub warns: bool,
    /// TLS of a server.
    pub tls: Option<Arc<ServerTls>>,
    /// How FastCGI's script and path are told apart.
    pub script: Option<Arc<Script>>,
    /// The pages requests may come from.
    pub referers: Option<Arc<Referers>>,
    /// `auth_delay`.
    pub auth_delay: Duration,
    /// `client_body_in_file_only`.
    pub body_in_file: FileOnly,
    /// `limit_rate` and `limit_rate_after`.
    pub rates: Option<Arc<Rates>>,
    /// Settings that modules find again while serving, one of a type.
    pub attached: Vec<Box<dyn Any + Send + Sync>>,
    /// In a `limit_except`: the methods it is not for.
    pub allowed: Vec<Box<[u8]>>,
    /// How its files are opened and read.
    pub files: Arc<FileSettings>,
}

impl LocationBuilder {
    /// An empty place.
    pub fn new(context: Contexts) -> Self {
        Self {
            context,
            steps: Default::default(),
            filters: Vec::new(),
            content: None,
            adds_slash: false,
            warns: true,
            tls: None,
            script: None,
            referers: None,
            auth_delay: Duration::ZERO,
            body_in_file: FileOnly::Off,
            rates: None,
            attached: Vec::new(),
            allowed: Vec::new(),
            files: Arc::default(),
        }
    }

    /// Adds a handler to a phase.
    pub fn step(&mut self, phase: Phase, handler: impl Handler + 'static) {
        self.share(phase, Arc::new(handler));
    }

    /// Adds a handler that other places have too.
    pub fn share(&mut self, phase: Phase, handler: Arc<dyn Handler>) {
        if let Some(steps) = self.steps.get_mut(phase as usize) {
            steps.reserve_exact(1);
            steps.push(handler);
        }
    }

    /// Keeps settings for [`crate::http::heart::site::Location::attached`].
    pub fn attach<T: Any + Send + Sync>(&mut self, settings: T) {
        self.attached.push(Box::new(settings));
    }

    /// Adds a filter.
    pub fn filter(&mut self, filter: impl Filter + 'static) {
        let at = self.filters.partition_point(|other| other.slot() <= filter.slot());
        self.filters.insert(at, Box::new(filter));
    }

    /// Makes `handler` the location's content.
    pub fn content(&mut self, handler: impl Handler + 'static) {
        self.content = Some(Arc::new(handler));
    }
}

/// What modules may use while a configuration compiles.
pub struct Compile<'a, 'b> {
    /// What the product opens afterwards.
    pub build: &'a mut Build<'b>,
    /// Every variable's name.
    pub names: Names<Request>,
    /// The upstream blocks, and addresses used like them.
    pub upstreams: Upstreams,
    /// What was made of settings that hold in several places, by where those are kept and what was made.
    pub made: HashMap<(usize, TypeId), Arc<dyn Any + Send + Sync>>,
}

impl Compile<'_, '_> {
    /// What `make` makes of settings, made once for all places where they hold.
    ///
    /// # Errors
    /// Those of `make`.
    pub fn once<C, T: Send + Sync + 'static>(
        &mut self,
        conf: &C,
        make: impl FnOnce(&mut Self) -> Result<T, Diagnostic>,
    ) -> Result<Arc<T>, Diagnostic> {
        let key = (std::ptr::from_ref(conf) as usize, TypeId::of::<T>());
        if let Some(made) = self.made.get(&key).cloned().and_then(|made| made.downcast().ok()) {
            return Ok(made);
        }
        let made = Arc::new(make(self)?);
        self.made.insert(key, made.clone());
        Ok(made)
    }

    /// Compiles a word of the configuration.
    ///
    /// # Errors
    /// nginx's words, pointing at the word.
    pub fn text(&mut self, word: &Word) -> Result<Text, Diagnostic> {
        Template::compile(&word.bytes, &mut self.names).map_err(|text| Diagnostic::emerg(text).at(word.span))
    }
}
