//! `check` and its kin, directives of the third-party module upstream_check: checks of a group's servers that need no
//! location, for http and for stream.
//!
//! Differs from nginx: a check that cannot connect is logged, with its server. [test: every_type_of_check_judges_servers_in_http_and_in_stream]

use super::health::Check;
use super::peer::Peer;
use super::watch::{Ask, Outcome};
use crate::check::health::{Rule, State};
use crate::check::probe::{self, CLASSES, Probe, Verdict};
use crate::conf::diagnostic::Diagnostic;
use crate::conf::directive::{Arity, Contexts, Directive};
use crate::conf::module::Conf;
use crate::conf::slot::{Custom, Mask, Pairs};
use crate::conf::tree::{Statement, Word};
use crate::conf::value;
use crate::conf::walk::Setting;
use crate::log::{Level, Log};
use crate::net::address::Address;
use crate::net::event_loop::EventLoop;
use crate::net::outgoing::Unconnected;
use crate::net::transport::{self, Outgoing, Transport};
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

/// The checks of a group as written.
#[derive(Default)]
pub struct ChecksConf {
    check: Option<CheckText>,
    send: Option<Word>,
    alive: Option<u32>,
    keepalive_requests: Option<u64>,
    params: Vec<(Word, Word)>,
}

impl Conf for ChecksConf {
    fn inherit(&mut self, _: &Self) {}
}

/// A `check` as written.
struct CheckText {
    interval: Duration,
    timeout: Duration,
    rise: u32,
    fall: u32,
    port: Option<u16>,
    down: bool,
    kind: Kind,
}

#[derive(Clone, Copy)]
enum Kind {
    Tcp,
    Http,
    FastCgi,
    SslHello,
    Mysql,
    Ajp,
}

const KINDS: [(&[u8], Kind); 6] = [
    (b"tcp", Kind::Tcp),
    (b"http", Kind::Http),
    (b"ssl_hello", Kind::SslHello),
    (b"mysql", Kind::Mysql),
    (b"ajp", Kind::Ajp),
    (b"fastcgi", Kind::FastCgi),
];

/// The rows of `upstream {}`.
pub const fn rows(contexts: Contexts) -> [Directive; 5] {
    [
        Directive::new("check", contexts, Arity::AtLeast(1), &Custom(check))
            .words(&["interval=", "rise=", "fall=", "timeout=", "default_down=", "type=", "port="])
            .doc("Checks the servers of the group, by default over TCP; a directive of the module upstream_check."),
        Directive::new("check_http_send", contexts, Arity::Exactly(1), &Custom(send))
            .doc("Sets what a check sends; a directive of the module upstream_check."),
        Directive::new(
            "check_http_expect_alive",
            contexts,
            Arity::AtLeast(1),
            &Mask(|c: &mut ChecksConf| &mut c.alive, CLASSES),
        )
        .doc("Sets the statuses of a server that is well, http_2xx http_3xx unless set; a directive of the module upstream_check."),
        Directive::new("check_keepalive_requests", contexts, Arity::Exactly(1), &Custom(keepalive_requests))
            .doc("Sets how many checks a connection serves, 1 unless set; a directive of the module upstream_check."),
        Directive::new(
            "check_fastcgi_param",
            contexts,
            Arity::Exactly(2),
            &Pairs(|c: &mut ChecksConf| &mut c.params),
        )
        .doc("Sets a parameter of checks of type fastcgi; a directive of the module upstream_check."),
    ]
}

fn check(_: &mut Setting<'_>, conf: &mut ChecksConf, statement: &Statement) -> Result<(), Diagnostic> {
    let mut text = CheckText {
        interval: Duration::from_secs(30),
        timeout: Duration::from_secs(1),
        rise: 2,
        fall: 5,
        port: None,
        down: true,
        kind: conf.check.as_ref().map_or(Kind::Tcp, |check| check.kind),
    };
    for word in statement.arguments() {
        if let Some(value) = word.after("default_down=") {
            text.down = match value.to_ascii_lowercase().as_slice() {
                b"true" => true,
                b"false" => false,
                _ => {
                    let complaint = format!("invalid value \"{}\", it must be \"true\" or \"false\"", word.text());
                    return Err(Diagnostic::emerg(complaint).point(word.span));
                }
            };
            continue;
        }
        let invalid = || Diagnostic::emerg(format!("invalid parameter \"{}\"", word.text())).point(word.span);
        parameter(&mut text, word).ok_or_else(invalid)?;
    }
    conf.check = Some(text);
    Ok(())
}

/// Reads a word of `check`; nothing for one that is no good.
fn parameter(text: &mut CheckText, word: &Word) -> Option<()> {
    let number = |value: &[u8]| value::number(value).filter(|number| *number > 0);
    let count = |value: &[u8]| number(value).map(|number| u32::try_from(number).unwrap_or(u32::MAX));
    if let Some(value) = word.after("type=") {
        text.kind = KINDS.iter().find(|(name, _)| *name == value)?.1;
    } else if let Some(value) = word.after("port=") {
        text.port = Some(u16::try_from(number(value)?).ok()?);
    } else if let Some(value) = word.after("interval=") {
        text.interval = Duration::from_millis(number(value)?);
    } else if let Some(value) = word.after("timeout=") {
        text.timeout = Duration::from_millis(number(value)?);
    } else if let Some(value) = word.after("rise=") {
        text.rise = count(value)?;
    } else {
        text.fall = count(word.after("fall=")?)?;
    }
    Some(())
}

fn send(_: &mut Setting<'_>, conf: &mut ChecksConf, statement: &Statement) -> Result<(), Diagnostic> {
    conf.send = statement.arguments().first().cloned();
    Ok(())
}

fn keepalive_requests(cx: &mut Setting<'_>, conf: &mut ChecksConf, statement: &Statement) -> Result<(), Diagnostic> {
    let word = statement.arguments().first();
    let count = word.and_then(|word| value::number(&word.bytes)).filter(|count| *count > 0);
    conf.keepalive_requests = Some(count.ok_or_else(|| cx.complain("invalid value"))?);
    Ok(())
}

/// The checks of a group at work.
pub struct GroupCheck {
    /// When they are made, and what their results come to.
    pub check: Arc<Check>,
    /// What is asked.
    pub probe: Arc<Probe>,
    timeout: Duration,
    keepalive_requests: u64,
}

impl ChecksConf {
    /// The checks of the group; nothing without `check`.
    pub fn group_check(&self) -> Option<GroupCheck> {
        let text = self.check.as_ref()?;
        let sent = self.send.as_ref().filter(|word| !word.bytes.is_empty()).map(|word| word.bytes.to_vec());
        let params = || {
            let written = self.params.iter().map(|(name, value)| (&*name.bytes, &*value.bytes));
            match self.params.is_empty() {
                true => probe::fastcgi_request(probe::PARAMS.into_iter()),
                false => probe::fastcgi_request(written),
            }
        };
        let probe = match text.kind {
            Kind::Tcp => Probe::Tcp,
            Kind::Http => Probe::Http(sent.unwrap_or_else(|| probe::GET.to_vec()), self.alive.unwrap_or(probe::USUAL)),
            Kind::FastCgi => Probe::FastCgi(sent.unwrap_or_else(params), self.alive.unwrap_or(0)),
            Kind::SslHello => Probe::SslHello,
            Kind::Mysql => Probe::Mysql,
            Kind::Ajp => Probe::Ajp,
        };
        let rule = Rule { fails: text.fall, passes: text.rise, mandatory: false, persistent: true, down: text.down };
        // As in the module, what is known of a server is kept whatever is asked.
        let key = "check".to_owned();
        let check = Check { key, rule, interval: text.interval, jitter: Duration::ZERO, port: text.port };
        let keepalive_requests = self.keepalive_requests.unwrap_or(1);
        Some(GroupCheck { check: Arc::new(check), probe: Arc::new(probe), timeout: text.timeout, keepalive_requests })
    }
}

impl GroupCheck {
    /// What asks the servers.
    pub fn asker(&self, event_loop: &Rc<EventLoop>) -> Rc<Asker> {
        Rc::new(Asker {
            probe: self.probe.clone(),
            timeout: self.timeout,
            keepalive_requests: self.keepalive_requests,
            port: self.check.port,
            event_loop: event_loop.clone(),
        })
    }
}

/// Asks the servers of a group.
pub struct Asker {
    probe: Arc<Probe>,
    timeout: Duration,
    keepalive_requests: u64,
    port: Option<u16>,
    event_loop: Rc<EventLoop>,
}

/// A connection between two checks, and how many it has served.
pub type Kept = Option<(Transport, u64)>;

/// Why a check failed.
enum Fault {
    /// The server's: what is logged.
    Server(Option<String>),
    /// This side's.
    Local,
}

impl Asker {
    fn say(&self, text: &str) {
        let log: Log = self.event_loop.errors.borrow().clone();
        log.write(Level::Error, None, &crate::conf::bytes::raw(text));
    }

    fn address(&self, peer: &Peer) -> Address {
        match (&peer.address, self.port) {
            (Address::Ip(ip), Some(port)) => Address::Ip(SocketAddr::new(ip.ip(), port)),
            (address, _) => address.clone(),
        }
    }

    async fn try_ask(&self, address: &Address, kept: &mut Kept) -> Result<(), Fault> {
        let again = kept.take().filter(|(stream, _)| is_idle(stream));
        let (stream, served) = match again {
            Some(again) => again,
            None => (self.connect(address).await?, 0),
        };
        let failed = |call: &str, error: &io::Error| {
            Fault::Server(Some(format!("{call}() failed ({})", crate::conf::walk::errno(error))))
        };
        let request = self.probe.request();
        let mut rest = &*request;
        while !rest.is_empty() {
            match stream.try_write(rest) {
                Ok(count) => rest = rest.get(count..).unwrap_or_default(),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => stream.writable().await,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(failed("send", &error)),
            }
        }
        if *self.probe == Probe::Tcp {
            if !is_idle(&stream) {
                return Err(Fault::Server(None));
            }
        } else {
            self.read(&stream, &failed).await?;
        }
        if self.probe.keeps() && served + 1 < self.keepalive_requests {
            *kept = Some((stream, served + 1));
        }
        Ok(())
    }

    async fn connect(&self, address: &Address) -> Result<Transport, Fault> {
        let refused = |error: &io::Error| {
            let text = crate::conf::walk::errno(error);
            Fault::Server(Some(format!("connect() failed ({text})")))
        };
        let (stream, pending) = match transport::connect(address, &Outgoing::default()) {
            Ok(begun) => begun,
            Err(Unconnected::Server(error)) => return Err(refused(&error)),
            Err(Unconnected::Local { call, error, .. }) => {
                self.say(&format!("{call} failed ({}) for a check of {address}", crate::conf::walk::errno(&error)));
                return Err(Fault::Local);
            }
        };
        if pending && !stream.is_connected() {
            stream.writable().await;
            let outcome = stream.socket().take_error().and_then(|error| error.map_or(Ok(()), Err));
            outcome.map_err(|error| refused(&error))?;
        }
        Ok(stream)
    }

    async fn read(&self, stream: &Transport, failed: &impl Fn(&str, &io::Error) -> Fault) -> Result<(), Fault> {
        let mut answer = Vec::new();
        let mut piece = [0; 2048];
        loop {
            match stream.try_read(&mut piece) {
                Ok(0) => return Err(Fault::Server(None)),
                Ok(count) => answer.extend_from_slice(piece.get(..count).unwrap_or_default()),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    stream.readable().await;
                    continue;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(failed("recv", &error)),
            }
            match self.probe.judge(&answer) {
                Verdict::More => {}
                Verdict::Good => return Ok(()),
                Verdict::Bad => return Err(Fault::Server(Some(format!("check protocol {} error", self.probe.name())))),
            }
        }
    }
}

/// Whether a connection is open; what its server still says is passed over.
fn is_idle(stream: &Transport) -> bool {
    let mut piece = [0; 4096];
    for _ in 0..16 {
        match stream.try_read(&mut piece) {
            Ok(0) => return false,
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return !stream.has_input(),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(_) => return false,
        }
    }
    false
}

impl Ask for Asker {
    type Kept = Kept;

    fn ask<'a>(&'a self, peer: &'a Peer, kept: &'a mut Kept) -> Pin<Box<dyn Future<Output = Outcome> + 'a>> {
        Box::pin(async move {
            let address = self.address(peer);
            let outcome = tokio::time::timeout(self.timeout, self.try_ask(&address, kept)).await;
            match outcome {
                Ok(Ok(())) => Some(true),
                Ok(Err(Fault::Local)) => None,
                Ok(Err(Fault::Server(text))) => {
                    text.iter().for_each(|text| self.say(&format!("{text} with peer: {address} ")));
                    Some(false)
                }
                Err(_) => {
                    self.say(&format!("check time out with peer: {address} "));
                    Some(false)
                }
            }
        })
    }

    fn changed(&self, peer: &Peer, _: &mut Kept, state: State) {
        let what = if state == State::Healthy { "enable" } else { "disable" };
        self.say(&format!("{what} check peer: {} ", self.address(peer)));
    }
}
