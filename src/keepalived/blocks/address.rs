//! The lines of `virtual_ipaddress` and its kin: an address and how the kernel is to hold it.

use crate::conf::diagnostic::Diagnostic;
use crate::conf::directive::{Arity, Contexts, Directive, Set};
use crate::conf::module::Module;
use crate::conf::source::Span;
use crate::conf::tree::{Statement, Word};
use crate::conf::walk::Setting;
use crate::keepalived::contexts::{ADDRESS, STATIC_ADDRESS, TRACK_GROUP};
use crate::keepalived::slot::{Nothing, complain, count};
use std::any::{Any, TypeId};
use std::net::{IpAddr, Ipv4Addr};

/// The words of address lines. Lines are read by [`Addresses`]; the rows say what they may hold.
pub const MODULE: Module = Module { name: "virtual_ipaddress", directives: DIRECTIVES, scopes: &[] };

const LINES: Contexts = ADDRESS.or(STATIC_ADDRESS);

const DIRECTIVES: &[Directive] = &[
    word("dev", Arity::Exactly(1), "Sets the interface the address is put on."),
    word("scope", Arity::Exactly(1), "Sets the address's scope (IPv4)."),
    word("broadcast", Arity::Exactly(1), "Sets the broadcast address; `+` sets all host bits (IPv4)."),
    word("brd", Arity::Exactly(1), "The short form of broadcast."),
    word("label", Arity::Exactly(1), "Labels the address, as old tools want it (IPv4)."),
    word("peer", Arity::Exactly(1), "Sets the far end of a point-to-point link."),
    word("home", Arity::Exactly(0), "Marks a mobile node's home address (IPv6)."),
    word("-nodad", Arity::Exactly(0), "Has duplicates detected before the address is used (IPv6)."),
    word("mngtmpaddr", Arity::Exactly(0), "Lets temporary addresses be made from this one (IPv6)."),
    word("noprefixroute", Arity::Exactly(0), "Makes no route for the address's network."),
    word("autojoin", Arity::Exactly(0), "Joins the multicast group the address is."),
    word("no_track", Arity::Exactly(0), "Lets others take the address away without consequence."),
    word("preferred_lft", Arity::Exactly(1), "Sets the seconds the address is preferred as a source."),
    Directive::new("track_group", STATIC_ADDRESS, Arity::Exactly(1), &Nothing)
        .doc("Names the group of instances that track the address's interface."),
];

const fn word(name: &'static str, arity: Arity, doc: &'static str) -> Directive {
    Directive::new(name, LINES, arity, &Nothing).doc(doc)
}

/// An address as configured.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address {
    /// The address.
    pub ip: IpAddr,
    /// Its network's length.
    pub prefix: u8,
    /// `dev`.
    pub dev: Option<String>,
    /// `scope`, in the kernel's numbers.
    pub scope: u8,
    /// `broadcast`.
    pub broadcast: Option<Ipv4Addr>,
    /// `label`.
    pub label: Option<String>,
    /// `peer`.
    pub peer: Option<(IpAddr, u8)>,
    /// `home`.
    pub home: bool,
    /// Unless `-nodad`.
    pub nodad: bool,
    /// `mngtmpaddr`.
    pub manage_temporary: bool,
    /// `noprefixroute`.
    pub no_prefix_route: bool,
    /// `autojoin`.
    pub auto_join: bool,
    /// Unless `no_track`.
    pub track: bool,
    /// `preferred_lft`; `None` for ever.
    pub preferred: Option<u32>,
    /// `track_group`.
    pub group: Option<String>,
    /// Where it stands.
    pub span: Span,
}

impl Address {
    /// As keepalived shows it: with its length, unless that is all of it.
    pub fn shown(&self) -> String {
        let whole = if self.ip.is_ipv6() { 128 } else { 32 };
        if self.prefix == whole { self.ip.to_string() } else { format!("{}/{}", self.ip, self.prefix) }
    }
}

/// A block of such lines.
pub struct Addresses<C>(pub fn(&mut C) -> &mut Vec<Address>);

impl<C: 'static> Set for Addresses<C> {
    fn target(&self) -> TypeId {
        TypeId::of::<C>()
    }

    fn set(&self, cx: &mut Setting<'_>, conf: &mut dyn Any, statement: &Statement) -> Result<(), Diagnostic> {
        let Some(conf) = conf.downcast_mut() else { return Ok(()) };
        read((self.0)(conf), cx, statement);
        Ok(())
    }
}

/// Adds the lines of a block to `list`; what is wrong with one is reported and costs only that.
pub fn read(list: &mut Vec<Address>, cx: &mut Setting<'_>, statement: &Statement) {
    let fixed = cx.row.name == "static_ipaddress";
    for line in super::track::lines(cx, statement) {
        let mut complaints = Vec::new();
        let mut address = address(&line, fixed, &mut complaints);
        let unknown = |group: &mut String| !super::track::defined(cx, TRACK_GROUP, group);
        if let Some(group) = address.as_mut().and_then(|address| address.group.take_if(unknown)) {
            complaints.push(complain(format!("track_group {group} not found")));
        }
        list.extend(address);
        complaints.into_iter().for_each(|complaint| cx.report(complaint.at(line.span)));
    }
}

fn address(line: &Statement, fixed: bool, complaints: &mut Vec<Diagnostic>) -> Option<Address> {
    let text = line.name().into_owned();
    let Some((ip, prefix)) = ip_and_prefix(&text, complaints) else {
        complaints.push(complain(format!("VRRP parsed invalid IP {text}. skipping IP...")));
        return None;
    };
    let mut address = Address {
        ip,
        prefix,
        dev: None,
        scope: 0,
        broadcast: None,
        label: None,
        peer: None,
        home: false,
        nodad: true,
        manage_temporary: false,
        no_prefix_route: false,
        auto_join: false,
        track: true,
        // A host address of IPv6 is not to become the source of the host's own traffic.
        preferred: (ip.is_ipv6() && prefix == 128).then_some(0),
        group: None,
        span: line.span,
    };
    let (mut words, mut broadcast) = (line.arguments().iter(), None);
    while let Some(word) = words.next() {
        let outcome = match &*word.bytes {
            b"track_group" if fixed => value(&text, word, &mut words).map(|group| address.group = Some(group)),
            b"broadcast" | b"brd" if !ip.is_ipv6() => value(&text, word, &mut words).and_then(|value| {
                broadcast = Some(Broadcast::of(&value)?);
                Ok(())
            }),
            _ => option(&mut address, (&text, word), &mut words),
        };
        if let Err(wrong) = outcome {
            let removes = wrong.removes;
            complaints.extend(wrong.before.into_iter().chain([wrong.text]).map(complain));
            if removes {
                return None;
            }
        }
    }
    match broadcast.map_or(Ok(None), |broadcast| broadcast.address(&address)) {
        Ok(broadcast) => address.broadcast = broadcast,
        Err(text) => complaints.push(complain(text)),
    }
    Some(address)
}

/// The word behind an option; without one the address is left out.
fn value<'a>(text: &str, option: &Word, rest: &mut impl Iterator<Item = &'a Word>) -> Result<String, Wrong> {
    match rest.next() {
        Some(word) => Ok(word.text().into_owned()),
        None => Err(Wrong::removing(format!("No {} parameter specified for {text}", option.text()))),
    }
}

/// `broadcast`: an address, or the bits of the host all set or all clear.
enum Broadcast {
    Given(Ipv4Addr),
    Ones,
    Zeros,
}

impl Broadcast {
    fn of(text: &str) -> Result<Self, Wrong> {
        let invalid = || format!("VRRP is trying to assign invalid broadcast {text}. skipping VIP...");
        match text {
            "+" => Ok(Self::Ones),
            "-" => Ok(Self::Zeros),
            text => text.parse().map(Self::Given).map_err(|_| Wrong::removing(invalid())),
        }
    }

    /// The address, once all options are known.
    fn address(&self, address: &Address) -> Result<Option<Ipv4Addr>, String> {
        let IpAddr::V4(ip) = address.ip else { return Ok(None) };
        let host_bits = u32::MAX.checked_shr(u32::from(address.prefix)).unwrap_or_default();
        match self {
            _ if address.peer.is_some() => {
                Err("Cannot specify broadcast and peer addresses - ignoring broadcast address".to_owned())
            }
            Self::Given(given) => Ok(Some(*given)),
            Self::Ones | Self::Zeros if address.prefix > 30 => {
                Err(format!("Address prefix length {} too long for broadcast", address.prefix))
            }
            Self::Ones => Ok(Some(Ipv4Addr::from_bits(ip.to_bits() | host_bits))),
            Self::Zeros => Ok(Some(Ipv4Addr::from_bits(ip.to_bits() & !host_bits))),
        }
    }
}

/// An address with or without the length of its network; what is wrong with that is reported.
pub fn ip_and_prefix(text: &str, complaints: &mut Vec<Diagnostic>) -> Option<(IpAddr, u8)> {
    let (ip, length) = text.split_once('/').map_or((text, None), |(ip, length)| (ip, Some(length)));
    let ip: IpAddr = ip.parse().ok()?;
    let most = if ip.is_ipv6() { 128 } else { 32 };
    let Some(length) = length else { return Some((ip, most)) };
    match count(length, &(0..=i64::from(most))) {
        Ok(length) => Some((ip, length as u8)),
        Err(complaint) => {
            complaints.push(complaint);
            let text = format!("Invalid address prefix len {length} for address {text} - using {most}");
            complaints.push(complain(text));
            Some((ip, most))
        }
    }
}

/// What is wrong with an option: what is said before, and whether the whole line is left out.
struct Wrong {
    before: Option<String>,
    text: String,
    removes: bool,
}

impl Wrong {
    /// Wrong enough to leave out the line.
    fn removing(text: String) -> Self {
        Self { before: None, text, removes: true }
    }
}

impl From<String> for Wrong {
    fn from(text: String) -> Self {
        Self { before: None, text, removes: false }
    }
}

fn option<'a>(
    address: &mut Address,
    (text, word): (&str, &Word),
    rest: &mut impl Iterator<Item = &'a Word>,
) -> Result<(), Wrong> {
    let name = word.text();
    match &*name {
        "dev" => {
            let dev = value(text, word, rest)?;
            if address.dev.is_some() {
                let message = format!("Cannot specify static ipaddress device more than once for {text}");
                return Err(Wrong::removing(message));
            }
            address.dev = Some(dev);
        }
        "scope" => address.scope = scope(&value(text, word, rest)?, address)?,
        "broadcast" | "brd" => {
            value(text, word, rest)?;
            return Err(Wrong::removing(format!(
                "VRRP is trying to assign a broadcast {name} to the IPv6 address {text} !!?? WTF... skipping VIP..."
            )));
        }
        "label" => address.label = label(value(text, word, rest)?, address)?,
        "peer" => return peer(address, &value(text, word, rest)?),
        "home" => address.home = true,
        "-nodad" => address.nodad = false,
        "mngtmpaddr" => address.manage_temporary = true,
        "noprefixroute" => address.no_prefix_route = true,
        "autojoin" => address.auto_join = true,
        "no_track" => address.track = false,
        "preferred_lft" => {
            let lifetime = value(text, word, rest)?;
            address.preferred = match lifetime.as_str() {
                "forever" => None,
                number => match count(number, &(0..=i64::from(u32::MAX))) {
                    Ok(seconds) => Some(seconds as u32),
                    Err(complaint) => {
                        let wrong = format!("preferred_lft {lifetime} is invalid");
                        return Err(Wrong { before: Some(complaint.message), ..wrong.into() });
                    }
                },
            };
        }
        other => return Err(format!("Unknown configuration entry '{other}' for ip address - ignoring").into()),
    }
    Ok(())
}

fn peer(address: &mut Address, text: &str) -> Result<(), Wrong> {
    if address.peer.is_some() {
        return Err(format!("Peer {text} - another peer has already been specified").into());
    }
    // A length is no part of it: the peer is the one host at the other end.
    let Ok(peer) = text.parse::<IpAddr>() else {
        let wrong: Wrong = format!("Invalid peer address {text}").into();
        return Err(Wrong { before: Some(format!("VRRP parsed invalid IP {text}. skipping IP...")), ..wrong });
    };
    if peer.is_ipv6() != address.ip.is_ipv6() {
        return Err(format!("Peer address {text} does not match address family").into());
    }
    let whole = if peer.is_ipv6() { 128 } else { 32 };
    let had_prefix = std::mem::replace(&mut address.prefix, whole) != whole;
    address.peer = Some((peer, whole));
    if had_prefix {
        return Err("Cannot specify address prefix when specifying peer address - ignoring".to_owned().into());
    }
    Ok(())
}

fn scope(text: &str, address: &Address) -> Result<u8, Wrong> {
    let shown = address.shown();
    if address.ip.is_ipv6() {
        return Err(format!("Cannot specify scope for IPv6 addresses ({shown}) - ignoring scope").into());
    }
    Ok(match text {
        "global" => 0,
        "site" => 200,
        "link" => 253,
        "host" => 254,
        "nowhere" => 255,
        number => number.parse().map_err(|_| format!("Invalid scope '{text}' specified for {shown} - ignoring"))?,
    })
}

fn label(text: String, address: &Address) -> Result<Option<String>, Wrong> {
    if address.ip.is_ipv6() {
        let shown = address.shown();
        return Err(format!("Cannot specify label for IPv6 addresses ({shown}) - ignoring label").into());
    }
    // The kernel judges its length when the address is put on its interface.
    Ok(Some(text))
}
