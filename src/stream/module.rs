//! What a stream module is, and the two doors from configuration to run time: `declare` and `install`.

use super::session::{Session, Text};
use super::site::{Content, Handler, HealthCheck, PHASES, Phase, Secure};
use super::upstream::Upstreams;
use crate::conf::diagnostic::Diagnostic;
use crate::conf::tree::Word;
use crate::conf::walk::Levels;
use crate::script::template::Template;
use crate::script::variable::Names;
use crate::session::build::Build;

/// Turns merged settings into what a server does.
pub type Install = fn(&Levels<'_>, &mut ServerBuilder, &mut Compile<'_, '_>) -> Result<(), Diagnostic>;

/// Gives names a meaning before anything is installed.
pub type Declare = fn(&Levels<'_>, &mut Compile<'_, '_>) -> Result<(), Diagnostic>;

/// A stream module.
#[derive(Clone, Copy)]
pub struct Module {
    /// Rows and scopes.
    pub conf: crate::conf::module::Module,
    /// Run once for every level, before any `install`.
    pub declare: Option<Declare>,
    /// Run once for every server.
    pub install: Option<Install>,
}

impl Module {
    /// A module of rows and scopes only.
    pub const fn new(conf: crate::conf::module::Module) -> Self {
        Self { conf, declare: None, install: None }
    }

    /// The half of a twin whose rows http's half brings along.
    pub const fn twin(name: &'static str) -> Self {
        Self::new(crate::conf::module::Module { name, directives: &[], scopes: &[] })
    }

    /// The same with a `declare`.
    pub const fn declare(mut self, declare: Declare) -> Self {
        self.declare = Some(declare);
        self
    }

    /// The same with an `install`.
    pub const fn install(mut self, install: Install) -> Self {
        self.install = Some(install);
        self
    }
}

/// A server under construction.
#[derive(Default)]
pub struct ServerBuilder {
    /// The steps of each phase.
    pub steps: [Vec<Box<dyn Handler>>; PHASES],
    /// TLS of the server.
    pub tls: Option<Secure>,
    /// The content; the last one installed wins, as in nginx.
    pub content: Option<Box<dyn Content>>,
    /// `health_check`.
    pub health: Option<HealthCheck>,
}

impl ServerBuilder {
    /// Adds a step to a phase.
    pub fn step(&mut self, phase: Phase, handler: impl Handler + 'static) {
        if let Some(steps) = self.steps.get_mut(phase as usize) {
            steps.push(Box::new(handler));
        }
    }

    /// Makes `content` the server's content.
    pub fn content(&mut self, content: impl Content + 'static) {
        self.content = Some(Box::new(content));
    }
}

/// What modules may use while a configuration compiles.
pub struct Compile<'a, 'b> {
    /// What the product opens afterwards.
    pub build: &'a mut Build<'b>,
    /// Every variable's name.
    pub names: Names<Session>,
    /// The upstream blocks, and addresses used like them.
    pub upstreams: Upstreams,
}

impl Compile<'_, '_> {
    /// Compiles a word of the configuration.
    ///
    /// # Errors
    /// nginx's words, pointing at the word.
    pub fn text(&mut self, word: &Word) -> Result<Text, Diagnostic> {
        self.build.uses(word);
        Template::compile(&word.bytes, &mut self.names).map_err(|text| Diagnostic::emerg(text).at(word.span))
    }
}
