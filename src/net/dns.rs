//! DNS messages (RFC 1035, RFC 2782, RFC 3596): queries for addresses and services, and what is read of responses.
//!
//! A response that is wrong is described in nginx's words. Differs from nginx: names with a label of more than 63 bytes, which no DNS message can carry, are not found, without a malformed query. [test: names_that_no_message_can_carry_are_not_asked]
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use std::fmt::{self, Display};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Bytes of a message before its question.
const HEADER: usize = 12;
/// Bytes of a resource record between its name and its data.
const RECORD: usize = 10;
const CNAME: u16 = 5;
const DNAME: u16 = 39;
const IN: u16 = 1;
/// Labels and pointers of a name; pointers could lead in circles.
const STEPS: usize = 128;

/// What a query asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// IPv4 addresses.
    A,
    /// IPv6 addresses.
    Aaaa,
    /// Servers of a service.
    Srv,
}

impl Kind {
    const fn number(self) -> u16 {
        match self {
            Self::A => 1,
            Self::Aaaa => 28,
            Self::Srv => 33,
        }
    }
}

/// Why there is no answer: a response code, or [`Code::TIMED_OUT`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Code(pub u16);

impl Code {
    /// The server cannot read the query.
    pub const FORMAT_ERROR: Self = Self(1);
    /// There is no such name.
    pub const NOT_FOUND: Self = Self(3);
    /// The last code that ends a query.
    const REFUSED: u16 = 5;
    /// Nobody answered (`ETIMEDOUT`).
    pub const TIMED_OUT: Self = Self(110);
}

impl Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = match self.0 {
            1 => "Format error",
            2 => "Server failure",
            3 => "Host not found",
            4 => "Unimplemented",
            5 => "Operation refused",
            110 => "Operation timed out",
            _ => "Unknown error",
        };
        write!(f, "{}: {text}", self.0)
    }
}

/// What is wrong with a response.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// It ends early.
    Short,
    /// It is no response to a standard query.
    Flags(&'static str, u16, u16),
    /// It reports an error that does not end the query; the message's id.
    Code(Code, u16),
    /// It does not repeat one question.
    Questions,
    /// The question's name has a pointer.
    Pointer,
    /// The question's name is the root.
    Root,
    /// A record's name is the root.
    Name,
    /// The question's class.
    Class(u16),
    /// The question's type.
    Type(u16),
    /// A record's class.
    RecordClass(u16),
    /// A record's type.
    RecordType(u16),
    /// A record of the other address family.
    Unexpected(&'static str),
    /// A record of the wrong length.
    Invalid(&'static str),
    /// A label that is neither text nor pointer.
    Label,
    /// A name leads out of the message.
    Outside,
    /// Pointers lead in a circle.
    Loop,
}

impl Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Short => f.write_str("short DNS response"),
            Self::Flags(wire, id, flags) => write!(f, "invalid {wire} DNS response {id} fl:{flags:04X}"),
            Self::Code(code, id) => write!(f, "DNS error ({code}), query id:{id}"),
            Self::Questions => f.write_str("invalid number of questions in DNS response"),
            Self::Pointer => f.write_str("unexpected compression pointer in DNS response"),
            Self::Root => f.write_str("zero-length domain name in DNS response"),
            Self::Name => f.write_str("invalid name in DNS response"),
            Self::Class(class) => write!(f, "unknown query class {class} in DNS response"),
            Self::Type(kind) => write!(f, "unknown query type {kind} in DNS response"),
            Self::RecordClass(class) => write!(f, "unexpected RR class {class} in DNS response"),
            Self::RecordType(kind) => write!(f, "unexpected RR type {kind} in DNS response"),
            Self::Unexpected(kind) => write!(f, "unexpected {kind} record in DNS response"),
            Self::Invalid(kind) => write!(f, "invalid {kind} record in DNS response"),
            Self::Label => f.write_str("invalid label type in DNS response"),
            Self::Outside => f.write_str("name is out of DNS response"),
            Self::Loop => f.write_str("compression pointers loop in DNS response"),
        }
    }
}

/// A query for a name without a final dot; nothing for a name DNS has no room for.
pub fn query(id: u16, kind: Kind, name: &[u8]) -> Option<Vec<u8>> {
    let mut message = Vec::with_capacity(HEADER + name.len() + 6);
    message.extend_from_slice(&id.to_be_bytes());
    // Recursion is desired; one question, nothing else.
    message.extend_from_slice(&[1, 0, 0, 1, 0, 0, 0, 0, 0, 0]);
    for label in name.split(|byte| *byte == b'.') {
        let length = u8::try_from(label.len()).ok().filter(|length| (1..=63).contains(length))?;
        message.push(length);
        message.extend_from_slice(label);
    }
    message.push(0);
    message.extend_from_slice(&kind.number().to_be_bytes());
    message.extend_from_slice(&IN.to_be_bytes());
    Some(message)
}

/// A server of a service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Service {
    /// The lower, the earlier it is asked.
    pub priority: u16,
    /// Its share among those of its priority; at least 1.
    pub weight: u16,
    /// Its port.
    pub port: u16,
    /// Its name, in lower case.
    pub name: Vec<u8>,
}

/// A response to a query, up to its records.
#[derive(Clone, Debug)]
pub struct Response<'a> {
    message: &'a [u8],
    /// The query's id.
    pub id: u16,
    /// The response code; 0 is success.
    pub code: u16,
    /// Whether the answer did not fit.
    pub truncated: bool,
    /// What was asked for.
    pub kind: Kind,
    /// The name that was asked for, in lower case.
    pub name: Vec<u8>,
    /// How many records there are.
    pub count: usize,
    records: usize,
}

/// The records of a response.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Records {
    /// The least time to live.
    pub ttl: u32,
    /// Addresses of the family that was asked for.
    pub addresses: Vec<IpAddr>,
    /// Servers of a service, in the order of their priorities.
    pub services: Vec<Service>,
    /// Where the last alias is.
    alias: Option<usize>,
}

fn number(bytes: &[u8], at: usize) -> Option<u16> {
    bytes.get(at..at + 2)?.try_into().ok().map(u16::from_be_bytes)
}

impl<'a> Response<'a> {
    /// Reads a response's header and question.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(message: &'a [u8], tcp: bool) -> Result<Self, Fault> {
        let field = |at| number(message, at).ok_or(Fault::Short);
        if message.len() < HEADER {
            return Err(Fault::Short);
        }
        let (id, flags, questions, count) = (field(0)?, field(2)?, field(4)?, field(6)?);
        let truncated = flags & 0x0200 != 0;
        if flags & 0xf870 != 0x8000 || truncated && tcp {
            return Err(Fault::Flags(if tcp { "TCP" } else { "UDP" }, id, flags));
        }
        let code = flags & 0xf;
        if code == Code::FORMAT_ERROR.0 || code > Code::REFUSED {
            return Err(Fault::Code(Code(code), id));
        }
        if questions != 1 {
            return Err(Fault::Questions);
        }
        let mut at = HEADER;
        loop {
            match message.get(at) {
                None => return Err(Fault::Short),
                Some(0) => break,
                Some(length) if length & 0xc0 != 0 => return Err(Fault::Pointer),
                Some(length) => at += 1 + usize::from(*length),
            }
        }
        if at == HEADER {
            return Err(Fault::Root);
        }
        let question = at + 1;
        let records = question + 4;
        let count = usize::from(count);
        if records + count * (2 + RECORD) > message.len() {
            return Err(Fault::Short);
        }
        let class = field(question + 2)?;
        if class != IN {
            return Err(Fault::Class(class));
        }
        let kind = match field(question)? {
            1 => Kind::A,
            28 => Kind::Aaaa,
            33 => Kind::Srv,
            other => return Err(Fault::Type(other)),
        };
        let name = name(message, HEADER)?;
        Ok(Self { message, id, code, truncated, kind, name, count, records })
    }

    /// Reads the records; `report` is given what is skipped.
    ///
    /// # Errors
    /// What is wrong with one of them.
    pub fn records(&self, report: &mut dyn FnMut(Fault)) -> Result<Records, Fault> {
        let mut found = Records { ttl: u32::MAX, ..Records::default() };
        let mut at = self.records;
        for _ in 0..self.count {
            at = self.after_name(at)?;
            if at + RECORD >= self.message.len() {
                return Err(Fault::Short);
            }
            let field = |offset| number(self.message, at + offset).ok_or(Fault::Short);
            let (kind, class, length) = (field(0)?, field(2)?, usize::from(field(8)?));
            if class != IN {
                return Err(Fault::RecordClass(class));
            }
            let ttl = u32::from(field(4)?) << 16 | u32::from(field(6)?);
            // A negative number, as old servers send it, is none (RFC 2181, 8).
            found.ttl = found.ttl.min(if ttl > i32::MAX as u32 { 0 } else { ttl });
            at += RECORD;
            match kind {
                CNAME => found.alias = Some(at),
                DNAME => {}
                1 if self.kind != Kind::Srv => found.addresses.push(self.address::<4>(at, length, Kind::A)?.into()),
                28 if self.kind != Kind::Srv => {
                    found.addresses.push(self.address::<16>(at, length, Kind::Aaaa)?.into());
                }
                33 if self.kind == Kind::Srv => found.services.push(self.service(at)?),
                other => report(Fault::RecordType(other)),
            }
            at += length;
        }
        found.services.sort_by_key(|service| service.priority);
        Ok(found)
    }

    fn after_name(&self, start: usize) -> Result<usize, Fault> {
        let mut at = start;
        loop {
            match self.message.get(at) {
                None => return Err(Fault::Short),
                Some(length) if length & 0xc0 != 0 => return Ok(at + 2),
                Some(0) if at == start => return Err(Fault::Name),
                Some(0) => return Ok(at + 1),
                Some(length) => at += 1 + usize::from(*length),
            }
        }
    }

    fn address<const N: usize>(&self, at: usize, length: usize, kind: Kind) -> Result<[u8; N], Fault> {
        let called = if kind == Kind::A { "A" } else { "AAAA" };
        if self.kind != kind {
            return Err(Fault::Unexpected(called));
        }
        if length != N {
            return Err(Fault::Invalid(called));
        }
        self.message.get(at..at + N).and_then(|bytes| bytes.try_into().ok()).ok_or(Fault::Short)
    }

    fn service(&self, at: usize) -> Result<Service, Fault> {
        let field = |offset| number(self.message, at + offset).ok_or(Fault::Short);
        let (priority, weight, port) = (field(0)?, field(2)?.max(1), field(4)?);
        Ok(Service { priority, weight, port, name: name(self.message, at + 6)? })
    }

    /// The name the question's name is an alias of, in lower case.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn alias(&self, records: &Records) -> Option<Result<Vec<u8>, Fault>> {
        records.alias.map(|at| name(self.message, at))
    }
}

/// The name at `start`, in lower case and without a final dot.
fn name(message: &[u8], start: usize) -> Result<Vec<u8>, Fault> {
    let mut text = Vec::new();
    let mut at = start;
    for _ in 0..STEPS {
        let length = *message.get(at).ok_or(Fault::Outside)?;
        at += 1;
        match length {
            0 => {
                text.pop();
                return Ok(text);
            }
            _ if length & 0xc0 == 0xc0 => {
                let low = *message.get(at).ok_or(Fault::Outside)?;
                at = usize::from(length & 0x3f) << 8 | usize::from(low);
            }
            _ if length & 0xc0 != 0 => return Err(Fault::Label),
            _ => {
                let label = message.get(at..at + usize::from(length)).ok_or(Fault::Outside)?;
                text.extend(label.iter().map(u8::to_ascii_lowercase));
                text.push(b'.');
                at += usize::from(length);
            }
        }
        if at >= message.len() {
            return Err(Fault::Outside);
        }
    }
    Err(Fault::Loop)
}

/// The addresses of both families as an attempt uses them: IPv4 first; a cached answer begins anywhere in either.
pub fn order(four: &[Ipv4Addr], six: &[Ipv6Addr], random: Option<&mut dyn FnMut() -> u32>) -> Vec<IpAddr> {
    let mut all: Vec<IpAddr> = four.iter().copied().map(IpAddr::from).collect();
    all.extend(six.iter().copied().map(IpAddr::from));
    if let (Some(random), true) = (random, all.len() > 1) {
        let mut at = |length: usize| if length == 0 { 0 } else { random() as usize % length };
        let whole = at(all.len());
        let (fours, sixes) = all.split_at_mut(four.len());
        let (first, second) = (at(fours.len()), at(sixes.len()));
        fours.rotate_left(first);
        sixes.rotate_left(second);
        all.rotate_right(whole);
    }
    all
}

#[cfg(test)]
mod tests;
