//! The settings of the mail block and of its servers.

use super::protocol::Protocol;
use crate::conf::module::{Conf, inherit};
use crate::conf::source::Span;
use crate::conf::tree::Word;
use crate::net::address::Endpoint;
use crate::session::errorlog::Target;
use crate::session::resolver::ResolverText;
use std::time::Duration;

/// Settings of the mail block itself.
#[derive(Default)]
pub struct Main {
    /// Every address and port listened on so far.
    pub taken: Vec<String>,
}

impl Conf for Main {
    fn inherit(&mut self, _: &Self) {}
}

/// Settings of a server that may stand outside it too.
#[derive(Default)]
pub struct MailConf {
    /// `server_name`.
    pub server_name: Option<Word>,
    /// `timeout`.
    pub timeout: Option<Duration>,
    /// `max_errors`.
    pub max_errors: Option<u64>,
    /// `resolver`; `off` is nothing.
    pub resolver: Option<Option<ResolverText>>,
    /// `resolver_timeout`.
    pub resolver_timeout: Option<Duration>,
    /// `error_log`.
    pub error_logs: Vec<Target>,
}

impl Conf for MailConf {
    fn inherit(&mut self, outer: &Self) {
        inherit!(self, outer; list error_logs; server_name, timeout, max_errors, resolver, resolver_timeout);
    }
}

/// What only a server has.
#[derive(Default)]
pub struct Server {
    /// `listen`, in order.
    pub listens: Vec<Listening>,
    /// `protocol`, or what the first telling port says.
    pub protocol: Option<Protocol>,
}

impl Conf for Server {
    fn inherit(&mut self, _: &Self) {}
}

/// One `listen` of a server.
#[derive(Clone, Debug)]
pub struct Listening {
    /// The address it names.
    pub endpoint: Endpoint,
    /// As written.
    pub text: String,
    /// Where it is written.
    pub span: Span,
}
