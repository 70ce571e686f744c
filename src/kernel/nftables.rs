//! nftables over netlink: batches of tables, chains, sets and rules, each taken as a whole or not at all.

use super::message::Body;
use netlink_sys::{Socket, SocketAddr, protocols::NETLINK_NETFILTER};
use nix::errno::Errno;
use std::io;

const BATCH_BEGIN: u16 = 0x10;
const BATCH_END: u16 = 0x11;
const SUBSYSTEM: u16 = 10;
const NLM_F_REQUEST: u16 = 1;
const NLM_F_ACK: u16 = 4;
const NLM_F_CREATE: u16 = 0x400;
const NLM_F_APPEND: u16 = 0x800;
const NLMSG_ERROR: u16 = 2;
/// Marks an attribute that holds attributes.
const NESTED: u16 = 0x8000;
const ELEMENT: u16 = 1;
/// An acknowledgement and the header of what it is about.
const BUFFER: usize = 8 * 1024;

/// The family of a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    /// `ip`.
    Ipv4 = 2,
    /// `ip6`.
    Ipv6 = 10,
}

/// The requests that are used.
#[derive(Clone, Copy)]
enum Message {
    NewTable = 0,
    GetTable = 1,
    DeleteTable = 2,
    NewChain = 3,
    NewRule = 6,
    NewSet = 9,
    NewElements = 12,
    DeleteElements = 14,
}

/// Where a chain is called, and in which order among others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hook {
    /// The hook.
    pub at: HookPoint,
    /// Smaller ones come first.
    pub priority: i32,
}

/// The hooks that are used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HookPoint {
    /// Packets to this host.
    Input = 1,
    /// Packets of this host.
    Output = 3,
}

/// What the keys of a set are, by the numbers `nft` shows them with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyType {
    /// `ipv4_addr`.
    Ipv4Address,
    /// `ipv6_addr`.
    Ipv6Address,
    /// `icmpv6_type`.
    Icmpv6Type,
    /// `iface_index`.
    InterfaceIndex,
    /// `ipv6_addr . iface_index`.
    Ipv6AddressAndIndex,
    /// `ipv6_addr . ifname`.
    Ipv6AddressAndName,
}

impl KeyType {
    /// Its number and its length in bytes.
    const fn shown(self) -> (u32, u32) {
        const BITS: u32 = 6;
        const ADDRESS: u32 = 8;
        match self {
            Self::Ipv4Address => (7, 4),
            Self::Ipv6Address => (ADDRESS, 16),
            Self::Icmpv6Type => (29, 1),
            Self::InterfaceIndex => (20, 4),
            Self::Ipv6AddressAndIndex => ((ADDRESS << BITS) | 20, 20),
            Self::Ipv6AddressAndName => ((ADDRESS << BITS) | 41, 32),
        }
    }
}

/// A set, or a map to interface numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Set {
    /// Its name.
    pub name: &'static str,
    /// What its keys are.
    pub keys: KeyType,
    /// Keys lead to interface numbers.
    pub map: bool,
    /// Its elements never change.
    pub constant: bool,
}

/// The registers a rule works with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Register {
    /// The first.
    One = 1,
    /// The second.
    Two = 2,
}

/// The header a packet's bytes are taken from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Header {
    /// IP.
    Network = 1,
    /// What follows it.
    Transport = 2,
}

/// What is known about a packet beside its bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Meta {
    /// The number of the interface it came in by.
    InputIndex = 4,
    /// The number of the interface it leaves by.
    OutputIndex = 5,
    /// The name of the interface it came in by.
    InputName = 6,
    /// The name of the interface it leaves by.
    OutputName = 7,
}

/// A step of a rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Loads bytes of the packet: header, offset, length.
    Load(Register, Header, u32, u32),
    /// Loads something known about the packet.
    LoadMeta(Register, Meta),
    /// Loads these bytes.
    Put(Register, Vec<u8>),
    /// Keeps the bits of this mask.
    Mask(Register, Vec<u8>),
    /// Ends the rule unless the register holds these bytes.
    Equal(Register, Vec<u8>),
    /// Ends the rule unless the set has the key.
    Member(Register, &'static str),
    /// The same for a map; what the key leads to is loaded into the register.
    Translate(Register, &'static str),
    /// Sends a copy to the address in one register by the interface in the other.
    Duplicate(Register, Register),
    /// Counts packets and bytes.
    Count,
    /// Drops the packet.
    Drop,
    /// Accepts the packet.
    Accept,
    /// Goes on in another chain.
    GoTo(&'static str),
}

fn big(value: u32) -> [u8; 4] {
    value.to_be_bytes()
}

fn nest(body: &mut Body, kind: u16, inner: &Body) {
    body.attribute(kind | NESTED, inner.bytes());
}

/// A value inside an attribute.
fn value(bytes: &[u8]) -> Body {
    let mut body = Body::new(&[]);
    body.attribute(1, bytes);
    body
}

fn verdict(code: u32, chain: Option<&str>) -> Body {
    let (mut inner, mut data, mut body) = (Body::new(&[]), Body::new(&[]), Body::new(&[]));
    inner.attribute(1, &big(code));
    if let Some(chain) = chain {
        inner.name(2, chain);
    }
    nest(&mut data, 2, &inner);
    body.attribute(1, &big(0));
    nest(&mut body, 2, &data);
    body
}

impl Step {
    /// The name of its expression, and what it is set to.
    fn expression(&self) -> (&'static str, Body) {
        const DROP: u32 = 0;
        const ACCEPT: u32 = 1;
        const GOTO: u32 = u32::MAX - 3;
        let mut body = Body::new(&[]);
        let numbers = |body: &mut Body, all: &[(u16, u32)]| {
            all.iter().for_each(|(kind, value)| body.attribute(*kind, &big(*value)));
        };
        let name = match self {
            Self::Load(register, header, offset, length) => {
                numbers(&mut body, &[(1, *register as u32), (2, *header as u32), (3, *offset), (4, *length)]);
                "payload"
            }
            Self::LoadMeta(register, meta) => {
                numbers(&mut body, &[(2, *meta as u32), (1, *register as u32)]);
                "meta"
            }
            Self::Put(register, bytes) => {
                numbers(&mut body, &[(1, *register as u32)]);
                nest(&mut body, 2, &value(bytes));
                "immediate"
            }
            Self::Mask(register, mask) => {
                let length = u32::try_from(mask.len()).unwrap_or_default();
                numbers(&mut body, &[(1, *register as u32), (2, *register as u32), (3, length)]);
                nest(&mut body, 4, &value(mask));
                nest(&mut body, 5, &value(&vec![0; mask.len()]));
                "bitwise"
            }
            Self::Equal(register, bytes) => {
                numbers(&mut body, &[(1, *register as u32), (2, 0)]);
                nest(&mut body, 3, &value(bytes));
                "cmp"
            }
            Self::Member(register, set) => {
                numbers(&mut body, &[(2, *register as u32)]);
                body.name(1, set);
                "lookup"
            }
            Self::Translate(register, set) => {
                numbers(&mut body, &[(2, *register as u32), (3, *register as u32)]);
                body.name(1, set);
                "lookup"
            }
            Self::Duplicate(address, device) => {
                numbers(&mut body, &[(1, *address as u32), (2, *device as u32)]);
                "dup"
            }
            Self::Count => "counter",
            Self::Drop => return ("immediate", verdict(DROP, None)),
            Self::Accept => return ("immediate", verdict(ACCEPT, None)),
            Self::GoTo(chain) => return ("immediate", verdict(GOTO, Some(chain))),
        };
        (name, body)
    }
}

/// Changes of one table that are made together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Batch {
    table: String,
    messages: Vec<(u16, u16, Vec<u8>)>,
    sets: u32,
}

impl Batch {
    /// No change yet, of the tables of this name.
    pub fn new(table: &str) -> Self {
        Self { table: table.to_owned(), messages: Vec::new(), sets: 0 }
    }

    /// Whether there is nothing to do.
    pub fn is_empty(&self) -> bool {
        self.messages.is_empty()
    }

    fn push(&mut self, message: Message, flags: u16, body: &Body) {
        self.messages.push(((SUBSYSTEM << 8) | message as u16, flags, body.bytes().to_vec()));
    }

    /// The beginning of every message: the family, and the table's name.
    fn body(&self, family: Family) -> Body {
        let mut body = Body::new(&[family as u8, 0, 0, 0]);
        body.name(1, &self.table);
        body
    }

    /// Adds the table.
    pub fn add_table(&mut self, family: Family) {
        let body = self.body(family);
        self.push(Message::NewTable, NLM_F_CREATE, &body);
    }

    /// Removes the table and everything in it.
    pub fn remove_table(&mut self, family: Family) {
        let body = self.body(family);
        self.push(Message::DeleteTable, 0, &body);
    }

    /// Adds a chain; with a hook, one that accepts what its rules leave.
    pub fn add_chain(&mut self, family: Family, name: &str, hook: Option<Hook>) {
        const ACCEPT: u32 = 1;
        let mut body = self.body(family);
        body.name(3, name);
        if let Some(hook) = hook {
            let mut place = Body::new(&[]);
            place.attribute(1, &big(hook.at as u32));
            place.attribute(2, &hook.priority.to_be_bytes());
            nest(&mut body, 4, &place);
            body.attribute(5, &big(ACCEPT));
            body.name(7, "filter");
        }
        self.push(Message::NewChain, NLM_F_CREATE, &body);
    }

    /// Adds a set or a map.
    pub fn add_set(&mut self, family: Family, set: Set) {
        const CONSTANT: u32 = 2;
        const MAP: u32 = 8;
        /// Keys and values are in the host's byte order, for `nft`.
        const BYTE_ORDERS: [[u8; 2]; 2] = [[0, 4], [1, 4]];
        let (kind, length) = set.keys.shown();
        let flags = if set.map { MAP } else { 0 } | if set.constant { CONSTANT } else { 0 };
        let mut body = self.body(family);
        body.name(2, set.name);
        body.attribute(3, &big(flags));
        body.attribute(4, &big(kind));
        body.attribute(5, &big(length));
        if set.map {
            let (kind, length) = KeyType::InterfaceIndex.shown();
            body.attribute(6, &big(kind));
            body.attribute(7, &big(length));
        }
        self.sets += 1;
        body.attribute(10, &big(self.sets));
        if set.map {
            let orders = BYTE_ORDERS.iter().flat_map(|begin| begin.iter().copied().chain(1_u32.to_ne_bytes()));
            body.attribute(13, &orders.collect::<Vec<u8>>());
        }
        self.push(Message::NewSet, NLM_F_CREATE, &body);
    }

    /// Adds a rule at the end of a chain.
    pub fn add_rule(&mut self, family: Family, chain: &str, steps: &[Step]) {
        let mut list = Body::new(&[]);
        for (name, set) in steps.iter().map(Step::expression) {
            let mut one = Body::new(&[]);
            one.name(1, name);
            nest(&mut one, 2, &set);
            nest(&mut list, ELEMENT, &one);
        }
        let mut body = self.body(family);
        body.name(2, chain);
        nest(&mut body, 4, &list);
        self.push(Message::NewRule, NLM_F_CREATE | NLM_F_APPEND, &body);
    }

    /// The elements of a message: keys, and what they lead to.
    fn elements(&self, family: Family, set: &str, elements: &[(Vec<u8>, Option<u32>)]) -> Body {
        let mut list = Body::new(&[]);
        for (key, target) in elements {
            let mut one = Body::new(&[]);
            nest(&mut one, 1, &value(key));
            if let Some(target) = target {
                nest(&mut one, 2, &value(&target.to_ne_bytes()));
            }
            nest(&mut list, ELEMENT, &one);
        }
        let mut body = self.body(family);
        body.name(2, set);
        nest(&mut body, 3, &list);
        body
    }

    /// Adds elements to a set.
    pub fn add_elements(&mut self, family: Family, set: &str, elements: &[(Vec<u8>, Option<u32>)]) {
        let body = self.elements(family, set, elements);
        self.push(Message::NewElements, NLM_F_CREATE, &body);
    }

    /// Removes elements from a set.
    pub fn remove_elements(&mut self, family: Family, set: &str, elements: &[(Vec<u8>, Option<u32>)]) {
        let body = self.elements(family, set, elements);
        self.push(Message::DeleteElements, 0, &body);
    }

    /// The messages as they are sent, between the marks of a batch.
    fn bytes(&self) -> Vec<u8> {
        let mark = [0, 0, 0, SUBSYSTEM as u8];
        let mut bytes = Vec::new();
        let mut sequence = 0_u32;
        let mut put = |kind: u16, flags: u16, body: &[u8]| {
            sequence += 1;
            bytes.extend(message((kind, flags, sequence), body));
        };
        put(BATCH_BEGIN, 0, &mark);
        for (kind, flags, body) in &self.messages {
            put(*kind, *flags | NLM_F_ACK, body);
        }
        put(BATCH_END, 0, &mark);
        bytes
    }

    /// Has the kernel make the changes.
    ///
    /// # Errors
    /// What the kernel answered; then no change was made.
    pub fn commit(&self) -> io::Result<()> {
        if self.is_empty() {
            return Ok(());
        }
        let socket = open()?;
        socket.send(&self.bytes(), 0)?;
        let mut buffer = vec![0; BUFFER];
        let mut waiting = self.messages.len();
        while waiting > 0 {
            let length = socket.recv(&mut buffer.as_mut_slice(), 0)?;
            for code in errors(buffer.get(..length).unwrap_or_default()) {
                if code != 0 {
                    return Err(io::Error::from_raw_os_error(code.saturating_neg()));
                }
                waiting = waiting.saturating_sub(1);
            }
        }
        Ok(())
    }
}

/// A message with its header.
fn message((kind, flags, sequence): (u16, u16, u32), body: &[u8]) -> Vec<u8> {
    const HEADER: usize = 16;
    let length = u32::try_from(HEADER.saturating_add(body.len())).unwrap_or(u32::MAX);
    let mut bytes = length.to_ne_bytes().to_vec();
    bytes.extend(kind.to_ne_bytes());
    bytes.extend((NLM_F_REQUEST | flags).to_ne_bytes());
    bytes.extend(sequence.to_ne_bytes());
    bytes.extend([0; 4]);
    bytes.extend(body);
    bytes.resize(bytes.len().next_multiple_of(4), 0);
    bytes
}

fn open() -> io::Result<Socket> {
    let mut socket = Socket::new(NETLINK_NETFILTER)?;
    socket.bind_auto()?;
    socket.connect(&SocketAddr::new(0, 0))?;
    Ok(socket)
}

/// The codes of the acknowledgements in a datagram; 0 for success.
fn errors(mut bytes: &[u8]) -> Vec<i32> {
    let mut codes = Vec::new();
    while let Some(length) = bytes.first_chunk().map(|length| u32::from_ne_bytes(*length) as usize) {
        let kind = bytes.get(4..6).and_then(|kind| kind.try_into().ok()).map(u16::from_ne_bytes);
        let code = bytes.get(16..20).and_then(|code| code.try_into().ok()).map(i32::from_ne_bytes);
        codes.extend(code.filter(|_| kind == Some(NLMSG_ERROR)));
        let next = length.max(16).next_multiple_of(4);
        bytes = bytes.get(next..).unwrap_or_default();
    }
    codes
}

/// Whether there is a table of this family and name.
///
/// # Errors
/// What the kernel answered.
pub fn has_table(family: Family, name: &str) -> io::Result<bool> {
    let mut body = Body::new(&[family as u8, 0, 0, 0]);
    body.name(1, name);
    let socket = open()?;
    socket.send(&message(((SUBSYSTEM << 8) | Message::GetTable as u16, NLM_F_ACK, 1), body.bytes()), 0)?;
    let mut buffer = vec![0; BUFFER];
    loop {
        let length = socket.recv(&mut buffer.as_mut_slice(), 0)?;
        match errors(buffer.get(..length).unwrap_or_default()).first() {
            Some(0) => return Ok(true),
            Some(code) if *code == -(Errno::ENOENT as i32) => return Ok(false),
            Some(code) => return Err(io::Error::from_raw_os_error(code.saturating_neg())),
            // The table itself comes first.
            None => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_batch_begins_and_ends_with_a_mark() {
        let mut batch = Batch::new("keepalived");
        assert!(batch.is_empty());
        batch.add_table(Family::Ipv4);
        let bytes = batch.bytes();
        let begin = message((BATCH_BEGIN, 0, 1), &[0, 0, 0, 10]);
        let mut table = vec![2, 0, 0, 0, 15, 0, 1, 0];
        table.extend(b"keepalived\0\0");
        let table = message((0x0a00, NLM_F_CREATE | NLM_F_ACK, 2), &table);
        let end = message((BATCH_END, 0, 3), &[0, 0, 0, 10]);
        assert_eq!(bytes, [begin, table, end].concat());
    }

    proptest! {
        #[test]
        fn no_answer_of_the_kernel_makes_the_reader_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = errors(&bytes);
        }
    }
}
