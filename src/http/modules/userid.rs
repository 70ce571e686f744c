//! `ngx_http_userid_filter_module`: cookies that tell clients apart.

use crate::conf::bytes;
use crate::conf::diagnostic::Diagnostic;
use crate::conf::directive::{Arity, Directive};
use crate::conf::module::{Conf, Scope, inherit};
use crate::conf::slot::{Choice, Custom, Mask, Number, Text as TextSlot};
use crate::conf::tree::{Statement, Word};
use crate::conf::value;
use crate::conf::walk::{Levels, Setting};
use crate::http::codec::base64::{Alphabet, decode};
use crate::http::heart::filter::{BodyFilter, Filter, Slot};
use crate::http::heart::head::cookie_of;
use crate::http::heart::module::{Compile, LocationBuilder, Module, Text};
use crate::http::heart::notes::Client;
use crate::http::heart::request::Request;
use crate::log::{Level, clock};
use crate::script::template::Template;
use crate::script::variable::Variable;
use crate::session::contexts::{HTTP_ANY, HTTP_LEVELS};
use crate::session::slot::free;
use std::io::Write as _;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// The module.
pub fn modules() -> Vec<Module> {
    vec![Module::new(MODULE).variables(VARIABLES).install(install)]
}

const MODULE: crate::conf::module::Module = crate::conf::module::Module {
    name: "ngx_http_userid_filter_module",
    directives: DIRECTIVES,
    scopes: &[Scope::of::<Userid>(HTTP_LEVELS)],
};

const DIRECTIVES: &[Directive] = &[
    Directive::new("userid", HTTP_ANY, Arity::Exactly(1), &Choice(|c: &mut Userid| &mut c.userid, STATES))
        .default("off")
        .doc("Gives clients a cookie."),
    Directive::new(
        "userid_service",
        HTTP_ANY,
        Arity::Exactly(1),
        &Number(|c: &mut Userid| &mut c.service, 0..=u64::MAX),
    )
    .doc("Sets the number of the service that gives it."),
    Directive::new("userid_name", HTTP_ANY, Arity::Exactly(1), &TextSlot(|c: &mut Userid| &mut c.name))
        .default("uid")
        .doc("Sets the cookie's name."),
    Directive::new("userid_domain", HTTP_ANY, Arity::Exactly(1), &TextSlot(|c: &mut Userid| &mut c.domain))
        .default("none")
        .doc("Sets the cookie's domain."),
    Directive::new("userid_path", HTTP_ANY, Arity::Exactly(1), &TextSlot(|c: &mut Userid| &mut c.path))
        .default("/")
        .doc("Sets the cookie's path."),
    Directive::new("userid_expires", HTTP_ANY, Arity::Exactly(1), &Custom(userid_expires))
        .default("off")
        .doc("Sets how long the cookie lives."),
    Directive::new("userid_flags", HTTP_ANY, Arity::Between(1, 3), &Mask(|c: &mut Userid| &mut c.flags, FLAGS))
        .default("off")
        .since("1.19.3")
        .doc("Sets the cookie's flags."),
    Directive::new("userid_p3p", HTTP_ANY, Arity::Exactly(1), &TextSlot(|c: &mut Userid| &mut c.p3p))
        .default("none")
        .doc("Sets the P3P header."),
    Directive::new("userid_mark", HTTP_ANY, Arity::Exactly(1), &Custom(userid_mark))
        .default("off")
        .doc("Sets the letter that marks cookies a client got before."),
];

const STATES: &[(&str, State)] = &[("off", State::Off), ("log", State::Log), ("v1", State::V1), ("on", State::On)];
const FLAGS: &[(&str, u32)] =
    &[("off", 1), ("secure", 2), ("httponly", 4), ("samesite=strict", 8), ("samesite=lax", 16), ("samesite=none", 32)];

/// Settings of the module.
#[derive(Default)]
struct Userid {
    userid: Option<State>,
    service: Option<u64>,
    name: Option<Word>,
    domain: Option<Word>,
    path: Option<Word>,
    flags: Option<u32>,
    p3p: Option<Word>,
    expires: Option<Option<Duration>>,
    mark: Option<u8>,
}

impl Conf for Userid {
    fn inherit(&mut self, outer: &Self) {
        inherit!(self, outer; userid, service, name, domain, path, flags, p3p);
        inherit!(self, outer; expires, mark);
    }
}

/// How clients are told apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum State {
    Off,
    /// Cookies are read.
    Log,
    /// Cookies are given, with numbers in the machine's order.
    V1,
    /// Cookies are given, with numbers in the network's order.
    On,
}

/// The settings of a place, as they are used.
struct Identity {
    state: State,
    service: Option<u32>,
    name: Vec<u8>,
    /// What follows the value before the flags: domain and path.
    scope: Vec<u8>,
    flags: Vec<u8>,
    p3p: Option<Vec<u8>>,
    expires: Option<Duration>,
    mark: Option<u8>,
    /// `$uid_reset`.
    reset: Text,
    numbers: Arc<Numbers>,
}

/// What tells the identities apart that a process gives in one second.
struct Numbers {
    start: u32,
    first: AtomicU32,
    second: AtomicU32,
}

/// The first number of a process.
const FIRST: u32 = 0x0303_0302;
/// From one to the next.
const STEP: u32 = 0x100;

impl Default for Numbers {
    fn default() -> Self {
        let micros = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |now| now.subsec_micros());
        let start = (micros / 20) << 16 | std::process::id();
        Self { start, first: AtomicU32::new(1), second: AtomicU32::new(FIRST) }
    }
}

impl Numbers {
    fn next(&self, state: State) -> u32 {
        if state == State::V1 {
            return self.first.fetch_add(STEP, Ordering::Relaxed);
        }
        let step = |number: u32| Some(number.wrapping_add(STEP).max(FIRST));
        self.second.fetch_update(Ordering::Relaxed, Ordering::Relaxed, step).unwrap_or(FIRST)
    }
}

fn install(levels: &Levels<'_>, place: &mut LocationBuilder, cx: &mut Compile<'_, '_>) -> Result<(), Diagnostic> {
    let Some(conf) = levels.get::<Userid>() else { return Ok(()) };
    let state = conf.userid.unwrap_or(State::Off);
    if state == State::Off {
        return Ok(());
    }
    let reset = Template::compile(b"$uid_reset", &mut cx.names).map_err(Diagnostic::emerg)?;
    let text = |word: &Option<Word>| word.as_ref().map(|word| word.bytes.to_vec());
    let named = |word: &Option<Word>| text(word).filter(|text| text != b"none");
    let mut scope = Vec::new();
    if let Some(domain) = named(&conf.domain) {
        scope.extend([&b"; domain="[..], &domain].concat());
    }
    scope.extend([&b"; path="[..], &text(&conf.path).unwrap_or_else(|| b"/".to_vec())].concat());
    let flags: Vec<u8> = FLAGS
        .iter()
        .skip(1)
        .filter(|(_, bit)| conf.flags.unwrap_or(1) & bit != 0)
        .flat_map(|(name, _)| format!("; {name}").into_bytes())
        .collect();
    place.attach(Identity {
        state,
        service: conf.service.map(|service| service as u32),
        name: text(&conf.name).unwrap_or_else(|| b"uid".to_vec()),
        scope,
        flags,
        p3p: named(&conf.p3p),
        expires: conf.expires.flatten().filter(|time| !time.is_zero()),
        mark: conf.mark.filter(|mark| *mark != 0),
        reset,
        numbers: cx.build.zones.kept(),
    });
    if state >= State::V1 {
        place.filter(Giver);
    }
    Ok(())
}

static VARIABLES: &[Variable<Request>] = &[
    Variable::new("uid_got", |request, _, out| {
        let Some(identity) = request.location.attached::<Identity>() else { return false };
        let client = identity.client(request);
        client.got[3] != 0 && identity.show(client.got, out)
    }),
    Variable::new("uid_set", |request, _, out| {
        let identity = request.location.attached::<Identity>().filter(|identity| identity.state >= State::V1);
        let Some(identity) = identity else { return false };
        let client = identity.identified(request);
        client.set[3] != 0 && identity.show(client.set, out)
    }),
    Variable::new("uid_reset", |_, _, _| true).changeable(),
];

impl Identity {
    /// `name=` and the numbers in hexadecimal.
    fn show(&self, numbers: [u32; 4], out: &mut Vec<u8>) -> bool {
        out.extend_from_slice(&self.name);
        let [a, b, c, d] = numbers;
        write!(out, "={a:08X}{b:08X}{c:08X}{d:08X}").is_ok()
    }

    /// What the request's cookie says.
    fn client(&self, request: &Request) -> Client {
        if let Some(client) = &*request.client_id.borrow() {
            return (**client).clone();
        }
        let mut client = Client::default();
        let line = request.head.named(b"cookie").find(|line| cookie_of(line, &self.name).is_some());
        if let Some((line, cookie)) = line.and_then(|line| Some((line, cookie_of(line, &self.name)?))) {
            client.cookie = cookie.to_vec();
            let shown = || bytes::text(line).into_owned();
            match cookie.get(..22).map(|start| decode(start, Alphabet::Standard)) {
                None => {
                    request.log(Level::Error, &format!("client sent too short userid cookie \"{}\"", shown()));
                }
                Some(None) => {
                    request.log(Level::Error, &format!("client sent invalid userid cookie \"{}\"", shown()));
                }
                Some(Some(bytes)) => {
                    for (number, byte) in bytes.iter().take(16).enumerate() {
                        if let Some(word) = client.got.get_mut(number / 4) {
                            *word |= u32::from(*byte) << (8 * (number % 4));
                        }
                    }
                }
            }
        }
        *request.client_id.borrow_mut() = Some(Box::new(client.clone()));
        client
    }

    /// The same, with the identity the client is given, if it is given one.
    fn identified(&self, request: &Request) -> Client {
        let mut client = self.client(request);
        if client.set[3] != 0 {
            return client;
        }
        if client.got[3] != 0 {
            let reset = self.reset.text(request);
            if reset.is_empty() || reset == b"0" {
                let marked = |mark: u8| client.cookie.get(22..24) == Some(&[mark, b'=']);
                if self.mark.is_some_and(|mark| !marked(mark)) {
                    client.set = client.got;
                    *request.client_id.borrow_mut() = Some(Box::new(client.clone()));
                }
                return client;
            }
            client.is_reset = true;
            if reset == b"log" {
                let mut shown = Vec::new();
                self.show(client.got, &mut shown);
                request.log(Level::Notice, &format!("userid cookie \"{}\" was reset", bytes::text(&shown)));
            }
        }
        let now = request.event_loop().clock.now().as_secs() as u32;
        let (start, number) = (self.numbers.start, self.numbers.next(self.state));
        client.set = if self.state == State::V1 {
            [self.service.unwrap_or(0), now, start, number]
        } else {
            let server = self.service.map_or_else(|| server(request), u32::to_be);
            [server, now.to_be(), start.to_be(), number.to_be()]
        };
        *request.client_id.borrow_mut() = Some(Box::new(client.clone()));
        client
    }

    /// The value of the cookie that is given, with what follows it.
    fn cookie(&self, client: &Client, now: u64) -> Vec<u8> {
        let mut out = [&self.name[..], b"="].concat();
        if client.got[3] == 0 || client.is_reset {
            let bytes: Vec<u8> = client.set.iter().flat_map(|number| number.to_le_bytes()).collect();
            let mut text = data_encoding::BASE64.encode(&bytes).into_bytes();
            if let (Some(mark), Some(place)) = (self.mark, text.get_mut(22)) {
                *place = mark;
            }
            out.extend(text);
        } else {
            out.extend_from_slice(client.cookie.get(..22).unwrap_or_default());
            out.extend([self.mark.unwrap_or_default(), b'=']);
        }
        match self.expires {
            Some(Duration::MAX) => out.extend_from_slice(b"; expires=Thu, 31-Dec-37 23:55:55 GMT"),
            Some(time) => {
                out.extend_from_slice(b"; expires=");
                out.extend(clock::cookie_date(now.saturating_add(time.as_secs()) as i64).into_bytes());
            }
            None => {}
        }
        out.extend_from_slice(&self.scope);
        out.extend_from_slice(&self.flags);
        out
    }
}

/// The server's address as a number of the machine.
fn server(request: &Request) -> u32 {
    match request.connection.local().map(|local| local.ip()) {
        Some(IpAddr::V4(ip)) => u32::from_le_bytes(ip.octets()),
        Some(IpAddr::V6(ip)) => {
            let [.., a, b, c, d] = ip.octets();
            u32::from_le_bytes([a, b, c, d])
        }
        None => 0,
    }
}

/// Gives clients their cookies.
struct Giver;

impl Filter for Giver {
    fn slot(&self) -> Slot {
        Slot::Userid
    }

    fn head(&self, request: &mut Request) -> Option<Box<dyn BodyFilter>> {
        if request.is_subrequest() {
            return None;
        }
        let location = request.location.clone();
        let identity = location.attached::<Identity>()?;
        let client = identity.identified(request);
        if client.set[3] == 0 {
            return None;
        }
        let cookie = identity.cookie(&client, request.event_loop().clock.now().as_secs());
        let headers = &mut request.response.headers;
        headers.add(b"Set-Cookie", &cookie);
        if let Some(p3p) = &identity.p3p {
            headers.add(b"P3P", p3p);
        }
        None
    }
}

fn userid_expires(cx: &mut Setting<'_>, conf: &mut Userid, statement: &Statement) -> Result<(), Diagnostic> {
    free(cx, &conf.expires)?;
    let Some(word) = statement.arguments().first() else { return Ok(()) };
    conf.expires = Some(match &*word.bytes {
        b"off" => None,
        b"max" => Some(Duration::MAX),
        time => Some(value::time(time, true).ok_or_else(|| cx.complain("invalid value"))?),
    });
    Ok(())
}

fn userid_mark(cx: &mut Setting<'_>, conf: &mut Userid, statement: &Statement) -> Result<(), Diagnostic> {
    free(cx, &conf.mark)?;
    conf.mark = Some(match statement.arguments().first().map(|word| &*word.bytes) {
        Some(b"off") => 0,
        Some([mark]) if mark.is_ascii_alphanumeric() || *mark == b'=' => *mark,
        _ => return Err(cx.complain("value must be \"off\" or a single letter, digit or \"=\"")),
    });
    Ok(())
}
