//! `vrrp_instance`: a virtual router as configured.

use super::address::{Address, Addresses};
use super::hmac::{self, Hmac};
use super::line::Need;
use super::track::{Track, Tracked, Tracks};
use super::vmac::{self, ExtraGarp, Vmac};
use crate::conf::diagnostic::Diagnostic;
use crate::conf::directive::{Arity, Directive, Opens, Support};
use crate::conf::module::{Conf, Module, Scope};
use crate::conf::slot::{Custom, Plain};
use crate::conf::source::Span;
use crate::conf::tree::Statement;
use crate::conf::walk::Setting;
use crate::keepalived::contexts::{AUTHENTICATION, HMAC, INSTANCE, PEER};
use crate::keepalived::slot::{
    Command, CommandLine, Judged, Kind, Nothing, Positive, Present, Run, Switch, Unsigned, address as ip_address, also,
    command, complain, count, first, number, seconds, truth, worded,
};
use crate::vrrp::config::Checksum;
use std::net::IpAddr;
use std::time::Duration;

/// The keywords of virtual routers.
pub const MODULE: Module =
    Module { name: "vrrp_instance", directives: DIRECTIVES, scopes: &[Scope::of::<Instance>(INSTANCE)] };

const BARE: Arity = Arity::AtLeast(0);
const ONE: Arity = Arity::AtLeast(1);
const LINES: Arity = Arity::Block(0, 255, Opens::Rows);
/// The largest number without a sign.
const WIDE: i64 = u32::MAX as i64;
/// What is said of a number that is none.
pub const INVALID: &str = "({n}): {k} '{v}' invalid - ignoring";
const TWICE: &str = "({n}) {k} script already specified - ignoring {v}";
const ZERO: &str = "({n}): {k} must be greater than 0, setting to 1";

const DIRECTIVES: &[Directive] = &[
    Directive::new("state", INSTANCE, ONE, &Custom(state))
        .words(&["MASTER", "BACKUP"])
        .implied("BACKUP").doc("Names the expected state; an address owner (priority 255) skips the first election unless this is BACKUP."),
    Directive::new("interface", INSTANCE, ONE, &Custom(interface))
        .doc("Sets the interface adverts are sent and heard on."),
    Directive::new("virtual_router_id", INSTANCE, ONE, &Custom(vrid)).doc("Sets the number of the virtual router."),
    Directive::new("priority", INSTANCE, ONE, &Custom(priority)).doc("Sets the priority; the highest becomes master."),
    Directive::new("version", INSTANCE, ONE, &Custom(version)).doc("Sets the version of the protocol."),
    Directive::new("advert_int", INSTANCE, ONE, &Custom(advert_int)).implied("1").doc("Sets the seconds between two adverts."),
    Directive::new("nopreempt", INSTANCE, BARE, &Present(|c: &mut Instance| &mut c.preempt, false))
        .doc("Leaves a master of lower priority in peace."),
    Directive::new("preempt", INSTANCE, BARE, &Present(|c: &mut Instance| &mut c.preempt, true))
        .implied("preempt").doc("Takes over from a master of lower priority."),
    Directive::new("preempt_delay", INSTANCE, ONE, &Custom(preempt_delay))
        .implied("0").doc("Sets the seconds a master of lower priority is borne with."),
    Directive::new("authentication", INSTANCE, Arity::Block(0, 255, Opens::Context(AUTHENTICATION)), &Plain)
        .doc("Holds how adverts prove where they come from."),
    Directive::new("auth_type", AUTHENTICATION, ONE, &Custom(auth_type))
        .words(&["PASS", "AH"])
        .doc("Sets the kind of authentication."),
    Directive::new("auth_pass", AUTHENTICATION, ONE, &Custom(auth_pass)).doc("Sets the password, at most 8 bytes."),
    Directive::new("virtual_ipaddress", INSTANCE, LINES, &Addresses(|c: &mut Instance| &mut c.addresses))
        .doc("Lists the addresses that move with the router; where one has an interface of its own, that is tracked too, unless it says `no_track`."),
    Directive::new("virtual_ipaddress_excluded", INSTANCE, LINES, &Addresses(|c: &mut Instance| &mut c.excluded))
        .doc("Lists addresses that move with the router and are not in its adverts."),
    Directive::new("unicast_peer", INSTANCE, LINES, &Custom(unicast_peer))
        .doc("Lists the peers; adverts go to each of them instead of to the group."),
    Directive::new("min_ttl", PEER, ONE, &Nothing).doc("Sets the least TTL a peer's adverts may arrive with."),
    Directive::new("max_ttl", PEER, ONE, &Nothing).doc("Sets the largest TTL a peer's adverts may arrive with."),
    Directive::new("mcast_src_ip", INSTANCE, ONE, &Custom(source)).doc("Sets the source address of adverts."),
    Directive::new("unicast_src_ip", INSTANCE, ONE, &Custom(source)).doc("Sets the source address of adverts."),
    Directive::new("track_src_ip", INSTANCE, BARE, &Present(|c: &mut Instance| &mut c.track_source, true))
        .doc("Faults the instance while the configured source address is absent."),
    Directive::new(
        "unicast_ttl",
        INSTANCE,
        ONE,
        &Unsigned(
            |c: &mut Instance| &mut c.unicast_ttl,
            0..=255,
            "({n}): TTL '{v}' not valid - must be between 0 & 255",
        ),
    )
    .doc("Sets the TTL of unicast adverts."),
    Directive::new("check_unicast_src", INSTANCE, BARE, &Custom(check_unicast_src))
        .doc("Drops unicast adverts from others than the peers."),
    Directive::new("native_ipv6", INSTANCE, BARE, &Custom(native_ipv6))
        .doc("Speaks IPv6; the first address decides as well."),
    Directive::new("dont_track_primary", INSTANCE, BARE, &Present(|c: &mut Instance| &mut c.track_primary, false))
        .doc("Ignores the state of the instance's own interface."),
    Directive::new(
        "track_interface",
        INSTANCE,
        LINES,
        &Tracks(Tracked::Interface, |c: &mut Instance| &mut c.interfaces),
    )
    .doc("Lists further interfaces that matter."),
    Directive::new("track_script", INSTANCE, LINES, &Tracks(Tracked::Script, |c: &mut Instance| &mut c.scripts))
        .doc("Lists scripts that matter; `reverse` takes away what the weight would add, and the reverse."),
    Directive::new("track_file", INSTANCE, LINES, &Tracks(Tracked::File, |c: &mut Instance| &mut c.files))
        .doc("Lists files that matter."),
    Directive::new("skip_check_adv_addr", INSTANCE, BARE, &Custom(skip_check_adv_addr))
        .doc("Believes the master last heard without a look at its addresses."),
    Directive::new(
        "strict_mode",
        INSTANCE,
        BARE,
        &Switch(|c: &mut Instance| &mut c.strict, "({n}) invalid {k} {v} specified"),
    )
    .doc("Keeps to the letter of the RFC; among others, packets to the addresses are dropped unless the router owns them."),
    Directive::new(
        "promote_secondaries",
        INSTANCE,
        BARE,
        &Present(|c: &mut Instance| &mut c.promote_secondaries, true),
    )
    .doc("Keeps the other addresses of a network when the first is taken away."),
    Directive::new("accept", INSTANCE, BARE, &Present(|c: &mut Instance| &mut c.accept, true))
        .implied("accept").doc("Accepts packets to the addresses, as without strict mode."),
    Directive::new(
        "debug",
        INSTANCE,
        ONE,
        &Judged(Kind::Unsigned, 0..=4, "({n}) Debug value '{v}' not valid; must be between 0-4", ""),
    )
    .support(Support::Inert("keepalived 2.1.5 does nothing with it either"))
    .doc("Sets how much is logged."),
    Directive::new("kernel_rx_buf_size", INSTANCE, BARE, &Custom(buffer))
        .support(Support::Inert("adverts are read at once, so no buffer can be too small"))
        .doc("Sets the size of the receive buffer."),
    Directive::new("notify_master", INSTANCE, ONE, &Run(|c: &mut Instance| &mut c.notify.master, TWICE))
        .doc("Sets what is run when the instance becomes master."),
    Directive::new("notify_backup", INSTANCE, ONE, &Run(|c: &mut Instance| &mut c.notify.backup, TWICE))
        .doc("Sets what is run when the instance becomes backup."),
    Directive::new("notify_fault", INSTANCE, ONE, &Run(|c: &mut Instance| &mut c.notify.fault, TWICE))
        .doc("Sets what is run when the instance enters fault."),
    Directive::new("notify_stop", INSTANCE, ONE, &Run(|c: &mut Instance| &mut c.notify.stop, TWICE))
        .doc("Sets what is run at the end."),
    Directive::new("notify_deleted", INSTANCE, BARE, &CommandLine(notify_deleted))
        .doc("Sets what is run when a reload removes the instance; the bare keyword says DELETED instead of FAULT."),
    Directive::new("notify", INSTANCE, ONE, &Run(|c: &mut Instance| &mut c.notify.any, TWICE))
        .doc("Sets what is run at each change, with INSTANCE, name, state and priority as arguments."),
    Directive::new(
        "notify_master_rx_lower_pri",
        INSTANCE,
        ONE,
        &Run(|c: &mut Instance| &mut c.notify.master_rx_lower_pri, TWICE),
    )
    .doc("Sets what is run when a master hears a lower priority."),
    Directive::new(
        "notify_priority_changes",
        INSTANCE,
        BARE,
        &Switch(|c: &mut Instance| &mut c.notify_priority_changes, "({n}) Invalid value '{v}' for {k} specified"),
    )
    .doc("Tells scripts and FIFOs of changed priorities as well."),
    Directive::new(
        "smtp_alert",
        INSTANCE,
        BARE,
        &Switch(|c: &mut Instance| &mut c.smtp_alert, "Invalid vrrp_instance {k} parameter {v}"),
    )
    .doc("Chooses whether mail is sent at each change."),
    Directive::new(
        "garp_master_delay",
        INSTANCE,
        ONE,
        &Unsigned(|c: &mut Instance| &mut c.garp_delay, 0..=4294, INVALID),
    )
    .doc("Sets the seconds until addresses are announced again."),
    Directive::new(
        "garp_master_repeat",
        INSTANCE,
        ONE,
        &Positive(|c: &mut Instance| &mut c.garp_repeat, WIDE, INVALID, ZERO),
    )
    .doc("Sets how often each address is announced in a batch."),
    Directive::new(
        "garp_master_refresh",
        INSTANCE,
        ONE,
        &Unsigned(|c: &mut Instance| &mut c.garp_refresh, 0..=WIDE, "({n}): Invalid {k} '{v}' - ignoring"),
    )
    .doc("Sets the seconds between announcements while master; each goes with an advert."),
    Directive::new(
        "garp_master_refresh_repeat",
        INSTANCE,
        ONE,
        &Positive(|c: &mut Instance| &mut c.garp_refresh_repeat, WIDE, INVALID, ZERO),
    )
    .doc("Sets how often each address is announced then."),
    Directive::new(
        "garp_lower_prio_delay",
        INSTANCE,
        ONE,
        &Unsigned(|c: &mut Instance| &mut c.garp_lower_delay, 0..=4294, INVALID),
    )
    .doc("Sets the seconds until addresses are announced again after a lower priority was heard."),
    Directive::new(
        "garp_lower_prio_repeat",
        INSTANCE,
        ONE,
        &Unsigned(|c: &mut Instance| &mut c.garp_lower_repeat, 0..=i32::MAX as i64, "({n}): Invalid {k} '{v}'"),
    )
    .doc("Sets how often each address is announced after a lower priority was heard."),
    Directive::new(
        "lower_prio_no_advert",
        INSTANCE,
        BARE,
        &Switch(|c: &mut Instance| &mut c.lower_prio_no_advert, "({n}) invalid {k} {v} specified"),
    )
    .doc("Stays silent when a master hears a lower priority."),
    Directive::new(
        "higher_prio_send_advert",
        INSTANCE,
        BARE,
        &Switch(|c: &mut Instance| &mut c.higher_prio_send_advert, "({n}) invalid {k} {v} specified"),
    )
    .doc("Sends one more advert when a master hears a higher priority."),
    Directive::new(
        "down_timer_adverts",
        INSTANCE,
        ONE,
        &Unsigned(|c: &mut Instance| &mut c.down_timer_adverts, 1..=100, "({n}): Invalid {k} [1:100] '{v}'"),
    )
    .doc("Sets how many missed adverts make a master dead."),
    Directive::new("use_vmac", INSTANCE, BARE, &Custom(vmac::use_vmac))
        .doc("Uses the virtual MAC address of the standard, by a macvlan interface that is made for it; a name may be given."),
    Directive::new("vmac_xmit_base", INSTANCE, BARE, &Present(|c: &mut Instance| &mut c.xmit_base, true))
        .doc("Sends and hears adverts on the underlying interface instead of the one of use_vmac."),
    Directive::missing("use_vmac_addr", INSTANCE, BARE)
        .doc("Uses a virtual MAC address for addresses on other interfaces too."),
    Directive::new("vmac_garp_intvl", INSTANCE, BARE, &Custom(vmac::vmac_garp)).doc("The older name of garp_extra_if."),
    Directive::missing("use_ipvlan", INSTANCE, BARE)
        .judged(&Custom(vmac::use_ipvlan))
        .doc("Uses an ipvlan interface of its own."),
    Directive::missing("vrf", INSTANCE, ONE).judged(&Custom(vmac::vrf)).doc("The VRF the interfaces are put into."),
    Directive::new("old_unicast_checksum", INSTANCE, BARE, &Custom(old_checksum))
        .doc("Computes the checksum of unicast packets as older versions did."),
    Directive::new(
        "v3_checksum_as_v2",
        INSTANCE,
        BARE,
        &Switch(|c: &mut Instance| &mut c.checksum_as_v2, "({n}) invalid {k} {v} specified"),
    )
    .doc("Leaves the addresses of the IP header out of the checksum of version 3 over IPv4."),
    Directive::new(
        "unicast_fault_no_peer",
        INSTANCE,
        BARE,
        &Present(|c: &mut Instance| &mut c.fault_without_peers, true),
    )
    .doc("Keeps the instance in fault while it has no unicast peers; otherwise it sends by multicast."),
    Directive::new("mcast_dst_ip", INSTANCE, ONE, &Custom(destination))
        .doc("Sets the multicast group adverts are sent to."),
    Directive::new("track_process", INSTANCE, LINES, &Tracks(Tracked::Process, |c: &mut Instance| &mut c.processes))
        .doc("Lists processes that matter."),
    Directive::new("track_bfd", INSTANCE, LINES, &Tracks(Tracked::Bfd, |c: &mut Instance| &mut c.sessions))
        .doc("Lists BFD sessions that matter."),
    Directive::new("linkbeat_use_polling", INSTANCE, BARE, &Custom(old_linkbeat))
        .doc("Older form of linkbeat_interfaces, for the instance's interface."),
    Directive::new("virtual_routes", INSTANCE, LINES, &Custom(super::route::virtual_routes))
        .doc("Routes that the master holds."),
    Directive::new("virtual_rules", INSTANCE, LINES, &Custom(super::rule::virtual_rules))
        .doc("Routing rules that the master holds."),
    Directive::new("no_accept", INSTANCE, BARE, &Present(|c: &mut Instance| &mut c.accept, false))
        .doc("Drops packets to the addresses by firewall rules, unless the router owns them."),
    Directive::new(
        "no_virtual_ipaddress",
        INSTANCE,
        BARE,
        &Present(|c: &mut Instance| &mut c.no_addresses, true),
    )
    .doc("Says that the instance has no addresses in its adverts, and that this is meant."),
    Directive::new("garp_extra_if", INSTANCE, BARE, &Custom(vmac::extra_garp)).doc(
        "Sets the seconds between announcements of one address on each other interface of a master's addresses; that is \
         done with `all` only, else for VMACs of single addresses, of which there are none.",
    ),
    Directive::new(
        "owner_ignore_adverts",
        INSTANCE,
        BARE,
        &Switch(|c: &mut Instance| &mut c.owner_ignore_adverts, "({n}) invalid {k} {v} specified"),
    )
    .doc("Drops the adverts of others while the instance owns its addresses (priority 255)."),
    Directive::new("thread_timer_expired", INSTANCE, BARE, &Custom(old_timer_expired))
        .doc("The older name of timer_expired_backup."),
    Directive::new("timer_expired_backup", INSTANCE, BARE, &Custom(timer_expired)).doc(
        "Makes a master backup whose adverts are late, for want of a processor, by so much that another may be master \
         now; the highest priority of the others may be given, 254 unless it is. Needs nopreempt.",
    ),
    Directive::new("lvs_sync_daemon_interface", INSTANCE, BARE, &Custom(super::sync::of_instance))
        .doc("Runs the sync daemon of IPVS over this interface, in the state of the instance; lvs_sync_daemon is newer."),
    Directive::new("auth_hmac", INSTANCE, Arity::Block(0, 255, Opens::Context(HMAC)), &Custom(hmac::block)).doc(
        "Protects adverts by a trailer with an HMAC and the time of day, as keepalived does since 2.4; both protocol \
         versions, over IPv4 and IPv6. Excludes authentication.",
    ),
    Directive::new("key", HMAC, BARE, &Custom(hmac::key)).doc(
        "Adds a key: its number, 1 to 255, and 32 to 64 bytes as text, as hex:DIGITS or as file:PATH of a file that \
         holds either.",
    ),
    Directive::new("active_key", HMAC, ONE, &Custom(hmac::active)).doc("Sets the number of the key that signs."),
    Directive::new("anti_replay", HMAC, ONE, &Custom(hmac::anti_replay)).words(&["time", "monotonic"]).doc(
        "Refuses adverts that were sent before: by the time of day and a sequence (time), or by the sequence alone.",
    ),
    Directive::new("mode", HMAC, ONE, &Custom(hmac::mode)).words(&["enforce", "permissive", "receive-only"]).doc(
        "Demands trailers (enforce), sends them and accepts adverts without one (permissive), or only judges those that \
         come (receive-only).",
    ),
    Directive::new("time_window", HMAC, ONE, &Custom(hmac::window)).doc(
        "Sets how many seconds the clocks of two routers may be apart; three advert intervals unless given, at least 5.",
    ),
];

/// What is run when states change.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Notify {
    /// `notify_master`.
    pub master: Option<Command>,
    /// `notify_backup`.
    pub backup: Option<Command>,
    /// `notify_fault`.
    pub fault: Option<Command>,
    /// `notify_stop`.
    pub stop: Option<Command>,
    /// `notify_deleted` with a command.
    pub deleted: Option<Command>,
    /// `notify_master_rx_lower_pri`.
    pub master_rx_lower_pri: Option<Command>,
    /// `notify`.
    pub any: Option<Command>,
}

impl Notify {
    /// Nothing is run.
    pub const fn none() -> Self {
        Self {
            master: None,
            backup: None,
            fault: None,
            stop: None,
            deleted: None,
            master_rx_lower_pri: None,
            any: None,
        }
    }

    /// All of them that are given.
    pub fn commands(&self) -> impl Iterator<Item = &Command> {
        let all =
            [&self.master, &self.backup, &self.fault, &self.stop, &self.deleted, &self.master_rx_lower_pri, &self.any];
        all.into_iter().flatten()
    }
}

/// A peer as configured.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Peer {
    /// Its address.
    pub address: IpAddr,
    /// `min_ttl`.
    pub least: u8,
    /// `max_ttl`.
    pub most: u8,
}

/// A password, kept out of every dump.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Secret(pub Vec<u8>);

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "…")
    }
}

/// A virtual router as configured; what was not given is `None`.
#[derive(Clone, Debug, Default)]
pub struct Instance {
    pub name: String,
    /// `lvs_sync_daemon_interface`.
    pub sync: Option<super::sync::Sync>,
    pub span: Option<Span>,
    /// `state MASTER`.
    pub master: Option<bool>,
    pub interface: Option<String>,
    /// Where the interface is named.
    pub interface_span: Option<Span>,
    pub vrid: Option<i64>,
    pub priority: Option<i64>,
    pub version: Option<i64>,
    pub interval: Option<Duration>,
    pub preempt: Option<bool>,
    pub preempt_delay: Option<Duration>,
    /// `auth_type PASS`.
    pub auth_pass_type: Option<bool>,
    pub auth_pass: Option<Secret>,
    /// `auth_hmac`.
    pub hmac: Option<Hmac>,
    pub addresses: Vec<Address>,
    pub excluded: Vec<Address>,
    pub peers: Vec<Peer>,
    pub source: Option<IpAddr>,
    pub track_source: Option<bool>,
    pub unicast_ttl: Option<i64>,
    pub check_unicast_src: Option<bool>,
    pub native_ipv6: Option<bool>,
    /// Unless `dont_track_primary`.
    pub track_primary: Option<bool>,
    pub interfaces: Vec<Track>,
    pub scripts: Vec<Track>,
    pub files: Vec<Track>,
    pub skip_check_adv_addr: Option<bool>,
    pub strict: Option<bool>,
    pub promote_secondaries: Option<bool>,
    pub notify: Notify,
    /// `notify_deleted` without a command.
    pub notify_deleted: bool,
    pub notify_priority_changes: Option<bool>,
    pub garp_delay: Option<i64>,
    pub garp_repeat: Option<i64>,
    pub garp_refresh: Option<i64>,
    pub garp_refresh_repeat: Option<i64>,
    pub garp_lower_delay: Option<i64>,
    pub garp_lower_repeat: Option<i64>,
    pub lower_prio_no_advert: Option<bool>,
    pub higher_prio_send_advert: Option<bool>,
    pub down_timer_adverts: Option<i64>,
    pub owner_ignore_adverts: Option<bool>,
    /// `timer_expired_backup`.
    pub highest_other_priority: Option<i64>,
    pub processes: Vec<Track>,
    pub sessions: Vec<Track>,
    /// `linkbeat_use_polling`.
    pub linkbeat: bool,
    /// `accept` or `no_accept`.
    pub accept: Option<bool>,
    /// `use_vmac` or `use_ipvlan`.
    pub virtual_interface: Option<bool>,
    /// `use_vmac`.
    pub vmac: Option<Vmac>,
    /// `mcast_dst_ip`.
    pub group: Option<IpAddr>,
    /// `unicast_fault_no_peer`.
    pub fault_without_peers: Option<bool>,
    /// `v3_checksum_as_v2`.
    pub checksum_as_v2: Option<bool>,
    /// `garp_extra_if`.
    pub extra_garp: Option<ExtraGarp>,
    /// `no_virtual_ipaddress`.
    pub no_addresses: Option<bool>,
    /// `use_ipvlan` without an address.
    pub ipvlan_lacks_address: bool,
    pub xmit_base: Option<bool>,
    /// Interfaces its routes and rules name.
    pub needs: Vec<Need>,
    /// `old_unicast_checksum`.
    pub checksum: Option<Checksum>,
    /// `smtp_alert`.
    pub smtp_alert: Option<bool>,
    /// `virtual_routes`.
    pub routes: Vec<super::route::Given>,
    /// `virtual_rules`.
    pub rules: Vec<super::rule::Given>,
    /// In a group, where weights count or not.
    pub grouped: Option<bool>,
}

impl Conf for Instance {
    fn inherit(&mut self, _: &Self) {}
}

impl Instance {
    /// Whether it speaks IPv6, as soon as something says so.
    pub fn family(&self) -> Option<bool> {
        let address = self.addresses.first().map(|address| address.ip);
        let given = address.or(self.source).or_else(|| self.peers.first().map(|peer| peer.address));
        given.map(|ip| ip.is_ipv6()).or(self.native_ipv6)
    }
}

/// `vrrp_instance NAME {`.
///
/// # Errors
/// The name is missing or taken.
pub fn open(cx: &mut Setting<'_>, instance: &mut Instance, statement: &Statement) -> Result<(), Diagnostic> {
    instance.name = super::root::name(cx, statement)?;
    instance.span = Some(statement.span);
    Ok(())
}

/// `}` of a virtual router.
///
/// Differs from keepalived: 2.1.5 has no VMAC beside unicast peers; later versions send through the interface below. [test: unicast_goes_by_the_interface_below]
///
/// # Errors
/// None; the last of several complaints is handed over.
pub fn close(cx: &mut Setting<'_>) -> Result<(), Diagnostic> {
    let end = cx.end();
    let Some(instance) = cx.conf::<Instance>() else { return Ok(()) };
    let name = instance.name.clone();
    let mut said = Vec::new();
    if instance.peers.is_empty() && instance.unicast_ttl.take().is_some() {
        said.push(format!("({name}): Cannot use unicast_ttl without unicast peers - resetting"));
    }
    let virtual_one = instance.virtual_interface == Some(true);
    if !instance.peers.is_empty() && virtual_one && instance.xmit_base.is_none() {
        instance.xmit_base = Some(true);
        said.push(format!("({name}) unicast with use_vmac requires vmac_xmit_base - setting"));
    }
    for text in said {
        let complaint = complain(text);
        cx.report(match end {
            Some(at) => complaint.at(at),
            None => complaint,
        });
    }
    Ok(())
}

type Outcome = Result<(), Diagnostic>;

fn interface(_: &mut Setting<'_>, instance: &mut Instance, statement: &Statement) -> Outcome {
    let name = first(statement);
    if name == "lo" {
        let text = format!("({}) cannot use a loopback interface ({name}) for vrrp - ignoring", instance.name);
        return Err(complain(text));
    }
    instance.interface = Some(first(statement));
    instance.interface_span = Some(statement.span);
    Ok(())
}

fn timer_expired(cx: &mut Setting<'_>, instance: &mut Instance, statement: &Statement) -> Outcome {
    let mut highest = 254;
    if !statement.arguments().is_empty() {
        let template = "({n}) timer_expired_backup highest_other_priority not valid! must be between 1 & 254";
        highest = count(&first(statement), &(1..=254)).map_err(|complaint| also(cx, statement, complaint, template))?;
    }
    instance.highest_other_priority = Some(highest);
    Ok(())
}

fn old_timer_expired(cx: &mut Setting<'_>, instance: &mut Instance, statement: &Statement) -> Outcome {
    let text = "thread_timer_expired - please replace with keyword 'timer_expired_backup'";
    cx.report(complain(format!("({}) {text}", instance.name)).at(statement.span));
    timer_expired(cx, instance, statement)
}

fn state(_: &mut Setting<'_>, instance: &mut Instance, statement: &Statement) -> Outcome {
    let text = first(statement);
    match text.as_str() {
        "MASTER" => instance.master = Some(true),
        "BACKUP" if instance.master == Some(true) => {
            let name = &instance.name;
            return Err(complain(format!("({name}) state previously set as MASTER - ignoring BACKUP")));
        }
        "BACKUP" => instance.master = Some(false),
        other => {
            instance.master = Some(false);
            return Err(complain(format!("({}) unknown state '{other}', defaulting to BACKUP", instance.name)));
        }
    }
    Ok(())
}

/// `version 2|3`: the first counts, and IPv6 addresses before it are version 3.
fn version(cx: &mut Setting<'_>, instance: &mut Instance, statement: &Statement) -> Outcome {
    let judged = number(Kind::Signed, &first(statement), &(2..=3));
    let version = judged.map_err(|wrong| also(cx, statement, wrong, "({n}): Version must be either 2 or 3"))?;
    let known = instance.version;
    if known.is_some_and(|known| known != version) || (version == 2 && instance.family() == Some(true)) {
        let (name, known) = (&instance.name, known.unwrap_or_default());
        let text = format!("vrrp_version {version} conflicts with configured or deduced version {known}; ignoring.");
        return Err(complain(format!("({name}) {text}")));
    }
    instance.version = Some(version);
    Ok(())
}

fn vrid(cx: &mut Setting<'_>, instance: &mut Instance, statement: &Statement) -> Outcome {
    let template = "({n}): VRID '{v}' not valid - must be between 1 & 255";
    let judged = count(&first(statement), &(1..=255));
    instance.vrid = Some(judged.map_err(|wrong| also(cx, statement, wrong, template))?);
    Ok(())
}

fn priority(cx: &mut Setting<'_>, instance: &mut Instance, statement: &Statement) -> Outcome {
    let template = "({n}) Priority not valid! must be between 1 & 255. Using default 100";
    let judged = count(&first(statement), &(1..=255));
    instance.priority = Some(*judged.as_ref().unwrap_or(&100));
    judged.map(|_| ()).map_err(|wrong| also(cx, statement, wrong, template))
}

fn advert_int(cx: &mut Setting<'_>, instance: &mut Instance, statement: &Statement) -> Outcome {
    let template = "({n}) Advert interval ({v}) not valid! Must be > 0 - ignoring";
    // The lower bound is a single-precision number.
    let judged = seconds(&first(statement), &(f64::from(0.01_f32)..=255.0));
    instance.interval = Some(judged.map_err(|complaint| also(cx, statement, complaint, template))?);
    Ok(())
}

fn preempt_delay(cx: &mut Setting<'_>, instance: &mut Instance, statement: &Statement) -> Outcome {
    let template = "({n}) Preempt_delay not valid! must be between 0-1000";
    let judged = seconds(&first(statement), &(0.0..=1000.0));
    instance.preempt_delay = Some(judged.map_err(|complaint| also(cx, statement, complaint, template))?);
    Ok(())
}

fn auth_type(_: &mut Setting<'_>, instance: &mut Instance, statement: &Statement) -> Outcome {
    match first(statement).as_str() {
        "PASS" => instance.auth_pass_type = Some(true),
        "AH" => instance.auth_pass_type = Some(false),
        other => return Err(complain(format!("({}) unknown authentication type '{other}'", instance.name))),
    }
    Ok(())
}

fn auth_pass(_: &mut Setting<'_>, instance: &mut Instance, statement: &Statement) -> Outcome {
    let bytes = statement.arguments().first().map(|word| word.bytes.to_vec()).unwrap_or_default();
    let length = bytes.len();
    instance.auth_pass = Some(Secret(bytes.into_iter().take(8).collect()));
    if length > 8 { Err(complain("Truncating auth_pass to 8 characters")) } else { Ok(()) }
}

fn unicast_peer(cx: &mut Setting<'_>, instance: &mut Instance, statement: &Statement) -> Outcome {
    for line in super::track::lines(cx, statement) {
        match peer(cx, instance, &line) {
            Ok(peer) => instance.peers.push(peer),
            Err(complaint) => cx.report(complaint.at(line.span)),
        }
    }
    Ok(())
}

fn peer(cx: &mut Setting<'_>, instance: &Instance, line: &Statement) -> Result<Peer, Diagnostic> {
    let (text, name) = (line.name(), &instance.name);
    let prefix = format!("Configuration error: VRRP instance[{name}]");
    let Some(address) = ip_address(&text) else {
        return Err(complain(format!("{prefix} malformed unicast peer address[{text}]. Skipping...")));
    };
    if instance.family().is_some_and(|ipv6| ipv6 != address.is_ipv6()) {
        let text = format!("{prefix} and unicast peer address[{text}] MUST be of the same family !!! Skipping...");
        return Err(complain(text));
    }
    let mut peer = Peer { address, least: 0, most: 255 };
    let mut words = line.arguments().iter();
    while let Some(word) = words.next() {
        let option = word.text();
        let wrong = |what: String| complain(format!("({name}) {what}")).at(line.span);
        let Some(value) = words.next() else {
            cx.report(wrong(format!("{option} is missing a value")));
            break;
        };
        let bound = match &*option {
            "min_ttl" => &mut peer.least,
            "max_ttl" => &mut peer.most,
            _ => {
                cx.report(wrong(format!("unknown unicast_peer option {option}")));
                break;
            }
        };
        match count(&value.text(), &(0..=255)) {
            Ok(hops) => *bound = hops as u8,
            Err(complaint) => cx.report(complaint.at(line.span)),
        }
    }
    if peer.least > peer.most {
        let text = format!("({name}) min_ttl {} > max_ttl {} - all packets will be discarded", peer.least, peer.most);
        cx.report(complain(text).at(line.span));
    }
    Ok(peer)
}

fn source(_: &mut Setting<'_>, instance: &mut Instance, statement: &Statement) -> Outcome {
    let (text, name) = (first(statement), &instance.name);
    let prefix = format!("Configuration error: VRRP instance[{name}]");
    let Some(address) = ip_address(&text) else {
        return Err(complain(format!("{prefix} malformed src address[{text}]. Skipping...")));
    };
    if instance.family().is_some_and(|ipv6| ipv6 != address.is_ipv6()) {
        return Err(complain(format!("{prefix} and src address[{text}] MUST be of the same family !!! Skipping...")));
    }
    instance.source = Some(address);
    Ok(())
}

fn check_unicast_src(_: &mut Setting<'_>, instance: &mut Instance, _: &Statement) -> Outcome {
    instance.check_unicast_src = Some(true);
    Ok(())
}

fn native_ipv6(_: &mut Setting<'_>, instance: &mut Instance, _: &Statement) -> Outcome {
    if instance.family() == Some(false) {
        return Err(complain(format!("({}) Cannot specify native_ipv6 with IPv4 addresses", instance.name)));
    }
    instance.native_ipv6 = Some(true);
    instance.version = Some(3);
    Ok(())
}

/// `old_unicast_checksum [never]`.
fn old_checksum(_: &mut Setting<'_>, instance: &mut Instance, statement: &Statement) -> Outcome {
    instance.checksum = Some(match statement.arguments().first() {
        None => Checksum::Group,
        Some(word) if word.is("never") => Checksum::Standard,
        Some(word) => {
            let name = &instance.name;
            let text = format!("({name}) Unknown old_unicast_chksum mode {} - ignoring", word.text());
            return Err(complain(text));
        }
    });
    Ok(())
}

fn destination(_: &mut Setting<'_>, instance: &mut Instance, statement: &Statement) -> Outcome {
    let (text, name) = (first(statement), &instance.name);
    let Ok(address) = text.parse::<IpAddr>() else {
        return Err(complain(format!("({name}) malformed mcast dest address {text}. Skipping...")));
    };
    if instance.family().is_some_and(|ipv6| ipv6 != address.is_ipv6()) {
        return Err(complain(format!(
            "({name}) mcast dest address {text} MUST match VRRP instance family. Skipping..."
        )));
    }
    if !address.is_multicast() {
        return Err(complain(format!("({name}) mcast_dst_ip {text} not multicast. Skipping...")));
    }
    instance.group = Some(address);
    Ok(())
}

fn old_linkbeat(_: &mut Setting<'_>, instance: &mut Instance, _: &Statement) -> Outcome {
    instance.linkbeat = true;
    let name = &instance.name;
    let text = format!("({name}) 'linkbeat_use_polling' in vrrp instance deprecated - use linkbeat_interfaces block");
    Err(complain(text))
}

fn buffer(cx: &mut Setting<'_>, _: &mut Instance, statement: &Statement) -> Outcome {
    let template = "({n}) invalid kernel_rx_buf_size specified";
    if statement.arguments().len() != 1 {
        return Err(complain(worded(template, cx, "")));
    }
    let judged = count(&first(statement), &(0..=WIDE));
    judged.map(|_| ()).map_err(|wrong| also(cx, statement, wrong, template))
}

fn notify_deleted(_: &mut Setting<'_>, instance: &mut Instance, statement: &Statement) -> Outcome {
    instance.notify.deleted = command(statement.arguments())?;
    instance.notify_deleted = true;
    Ok(())
}

fn skip_check_adv_addr(_: &mut Setting<'_>, instance: &mut Instance, statement: &Statement) -> Outcome {
    let Some(value) = truth(statement.arguments().first()) else {
        let text = first(statement);
        return Err(complain(format!("({}) invalid skip_check_adv_addr {text} specified", instance.name)));
    };
    instance.skip_check_adv_addr = Some(value);
    Ok(())
}
