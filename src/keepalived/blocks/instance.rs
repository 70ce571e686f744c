//! `vrrp_instance`: a virtual router as configured.

use super::address::{Address, Addresses};
use super::group::no_mail;
use super::track::{Track, Tracks};
use crate::conf::diagnostic::Diagnostic;
use crate::conf::directive::{Arity, Directive, Opens, Support};
use crate::conf::module::{Conf, Module, Scope};
use crate::conf::slot::{Custom, Plain};
use crate::conf::source::Span;
use crate::conf::tree::Statement;
use crate::conf::walk::Setting;
use crate::keepalived::contexts::{AUTHENTICATION, HMAC, INSTANCE, PEER};
use crate::keepalived::slot::{
    Command, Nothing, Present, Run, SECOND, Switch, Whole, command, complain, first, seconds, truth, whole,
};
use std::net::IpAddr;
use std::time::Duration;

/// The keywords of virtual routers.
pub const MODULE: Module =
    Module { name: "vrrp_instance", directives: DIRECTIVES, scopes: &[Scope::of::<Instance>(INSTANCE)] };

const BARE: Arity = Arity::AtLeast(0);
const ONE: Arity = Arity::AtLeast(1);
const LINES: Arity = Arity::Block(0, 0, Opens::Rows);
const COUNT: std::ops::RangeInclusive<i64> = 0..=i32::MAX as i64;

const DIRECTIVES: &[Directive] = &[
    Directive::new("state", INSTANCE, ONE, &Custom(state))
        .doc("Names the expected state; only an address owner skips the first election because of it."),
    Directive::new("interface", INSTANCE, ONE, &Custom(interface))
        .doc("Sets the interface adverts are sent and heard on."),
    Directive::new("virtual_router_id", INSTANCE, ONE, &Custom(vrid)).doc("Sets the number of the virtual router."),
    Directive::new("priority", INSTANCE, ONE, &Custom(priority)).doc("Sets the priority; the highest becomes master."),
    Directive::new("version", INSTANCE, ONE, &Whole(|c: &mut Instance| &mut c.version, 2..=3))
        .doc("Sets the version of the protocol."),
    Directive::new("advert_int", INSTANCE, ONE, &Custom(advert_int)).doc("Sets the seconds between two adverts."),
    Directive::new("nopreempt", INSTANCE, BARE, &Present(|c: &mut Instance| &mut c.preempt, false))
        .doc("Leaves a master of lower priority in peace."),
    Directive::new("preempt", INSTANCE, BARE, &Present(|c: &mut Instance| &mut c.preempt, true))
        .doc("Takes over from a master of lower priority."),
    Directive::new("preempt_delay", INSTANCE, ONE, &Custom(preempt_delay))
        .doc("Sets the seconds a master of lower priority is borne with."),
    Directive::new("authentication", INSTANCE, Arity::Block(0, 0, Opens::Context(AUTHENTICATION)), &Plain)
        .doc("Holds how adverts prove where they come from."),
    Directive::new("auth_type", AUTHENTICATION, ONE, &Custom(auth_type))
        .support(Support::Partial("AH is refused"))
        .doc("Sets the kind of authentication."),
    Directive::new("auth_pass", AUTHENTICATION, ONE, &Custom(auth_pass)).doc("Sets the password, at most 8 bytes."),
    Directive::new("virtual_ipaddress", INSTANCE, LINES, &Addresses(|c: &mut Instance| &mut c.addresses))
        .doc("Lists the addresses that move with the router."),
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
    Directive::new("unicast_ttl", INSTANCE, ONE, &Whole(|c: &mut Instance| &mut c.unicast_ttl, 0..=255))
        .doc("Sets the TTL of unicast adverts."),
    Directive::new("check_unicast_src", INSTANCE, BARE, &Present(|c: &mut Instance| &mut c.check_unicast_src, true))
        .doc("Drops unicast adverts from others than the peers."),
    Directive::new("native_ipv6", INSTANCE, BARE, &Present(|c: &mut Instance| &mut c.native_ipv6, true))
        .doc("Speaks IPv6; the first address decides as well."),
    Directive::new("dont_track_primary", INSTANCE, BARE, &Present(|c: &mut Instance| &mut c.track_primary, false))
        .doc("Ignores the state of the instance's own interface."),
    Directive::new("track_interface", INSTANCE, LINES, &Tracks(|c: &mut Instance| &mut c.interfaces))
        .doc("Lists further interfaces that matter."),
    Directive::new("track_script", INSTANCE, LINES, &Tracks(|c: &mut Instance| &mut c.scripts))
        .doc("Lists scripts that matter."),
    Directive::new("track_file", INSTANCE, LINES, &Tracks(|c: &mut Instance| &mut c.files))
        .doc("Lists files that matter."),
    Directive::new("skip_check_adv_addr", INSTANCE, BARE, &Custom(skip_check_adv_addr))
        .doc("Believes the master last heard without a look at its addresses."),
    Directive::new("strict_mode", INSTANCE, BARE, &Switch(|c: &mut Instance| &mut c.strict))
        .support(Support::Partial("no firewall rules are made: addresses stay reachable"))
        .doc("Keeps to the letter of the RFC."),
    Directive::new(
        "promote_secondaries",
        INSTANCE,
        BARE,
        &Present(|c: &mut Instance| &mut c.promote_secondaries, true),
    )
    .doc("Keeps the other addresses of a network when the first is taken away."),
    Directive::new("accept", INSTANCE, BARE, &Nothing)
        .support(Support::Inert("traffic to the addresses is always accepted"))
        .doc("Accepts traffic to the addresses."),
    Directive::new("debug", INSTANCE, BARE, &Nothing)
        .support(Support::Inert("keepalived 2.1.5 does nothing with it either"))
        .doc("Sets how much is logged."),
    Directive::new("kernel_rx_buf_size", INSTANCE, ONE, &Nothing)
        .support(Support::Inert("adverts are read at once, so no buffer can be too small"))
        .doc("Sets the size of the receive buffer."),
    Directive::new("notify_master", INSTANCE, ONE, &Run(|c: &mut Instance| &mut c.notify.master))
        .doc("Sets what is run when the instance becomes master."),
    Directive::new("notify_backup", INSTANCE, ONE, &Run(|c: &mut Instance| &mut c.notify.backup))
        .doc("Sets what is run when the instance becomes backup."),
    Directive::new("notify_fault", INSTANCE, ONE, &Run(|c: &mut Instance| &mut c.notify.fault))
        .doc("Sets what is run when the instance enters fault."),
    Directive::new("notify_stop", INSTANCE, ONE, &Run(|c: &mut Instance| &mut c.notify.stop))
        .doc("Sets what is run at the end."),
    Directive::new("notify_deleted", INSTANCE, BARE, &Custom(notify_deleted))
        .doc("Sets what is run when a reload removes the instance; the bare keyword says DELETED instead of FAULT."),
    Directive::new("notify", INSTANCE, ONE, &Run(|c: &mut Instance| &mut c.notify.any))
        .doc("Sets what is run at each change, with INSTANCE, name, state and priority as arguments."),
    Directive::new(
        "notify_master_rx_lower_pri",
        INSTANCE,
        ONE,
        &Run(|c: &mut Instance| &mut c.notify.master_rx_lower_pri),
    )
    .doc("Sets what is run when a master hears a lower priority."),
    Directive::new(
        "notify_priority_changes",
        INSTANCE,
        BARE,
        &Switch(|c: &mut Instance| &mut c.notify_priority_changes),
    )
    .doc("Tells scripts and FIFOs of changed priorities as well."),
    Directive::new("smtp_alert", INSTANCE, BARE, &Custom(smtp_alert))
        .support(Support::Partial("mail is not sent: only `false` is accepted"))
        .doc("Chooses whether mail is sent at each change."),
    Directive::new("garp_master_delay", INSTANCE, ONE, &Whole(|c: &mut Instance| &mut c.garp_delay, 0..=4294))
        .doc("Sets the seconds until addresses are announced again."),
    Directive::new("garp_master_repeat", INSTANCE, ONE, &Whole(|c: &mut Instance| &mut c.garp_repeat, COUNT))
        .doc("Sets how often each address is announced in a batch."),
    Directive::new("garp_master_refresh", INSTANCE, ONE, &Whole(|c: &mut Instance| &mut c.garp_refresh, 0..=4294))
        .doc("Sets the seconds between announcements while master."),
    Directive::new(
        "garp_master_refresh_repeat",
        INSTANCE,
        ONE,
        &Whole(|c: &mut Instance| &mut c.garp_refresh_repeat, COUNT),
    )
    .doc("Sets how often each address is announced then."),
    Directive::new(
        "garp_lower_prio_delay",
        INSTANCE,
        ONE,
        &Whole(|c: &mut Instance| &mut c.garp_lower_delay, 0..=4294),
    )
    .doc("Sets the seconds until addresses are announced again after a lower priority was heard."),
    Directive::new("garp_lower_prio_repeat", INSTANCE, ONE, &Whole(|c: &mut Instance| &mut c.garp_lower_repeat, COUNT))
        .doc("Sets how often each address is announced after a lower priority was heard."),
    Directive::new("lower_prio_no_advert", INSTANCE, BARE, &Switch(|c: &mut Instance| &mut c.lower_prio_no_advert))
        .doc("Stays silent when a master hears a lower priority."),
    Directive::new(
        "higher_prio_send_advert",
        INSTANCE,
        BARE,
        &Switch(|c: &mut Instance| &mut c.higher_prio_send_advert),
    )
    .doc("Sends one more advert when a master hears a higher priority."),
    Directive::new("down_timer_adverts", INSTANCE, ONE, &Whole(|c: &mut Instance| &mut c.down_timer_adverts, 1..=100))
        .doc("Sets how many missed adverts make a master dead."),
    Directive::missing("use_vmac", INSTANCE, BARE),
    Directive::missing("vmac_xmit_base", INSTANCE, BARE),
    Directive::missing("use_vmac_addr", INSTANCE, BARE),
    Directive::missing("vmac_garp_intvl", INSTANCE, BARE),
    Directive::missing("use_ipvlan", INSTANCE, BARE),
    Directive::missing("vrf", INSTANCE, BARE),
    Directive::missing("old_unicast_checksum", INSTANCE, BARE),
    Directive::missing("v3_checksum_as_v2", INSTANCE, BARE),
    Directive::missing("unicast_fault_no_peer", INSTANCE, BARE),
    Directive::missing("mcast_dst_ip", INSTANCE, BARE),
    Directive::missing("track_process", INSTANCE, LINES),
    Directive::missing("track_bfd", INSTANCE, LINES),
    Directive::missing("linkbeat_use_polling", INSTANCE, BARE),
    Directive::missing("virtual_routes", INSTANCE, LINES),
    Directive::missing("virtual_rules", INSTANCE, LINES),
    Directive::missing("no_accept", INSTANCE, BARE),
    Directive::missing("no_virtual_ipaddress", INSTANCE, BARE),
    Directive::missing("garp_extra_if", INSTANCE, BARE),
    Directive::missing("owner_ignore_adverts", INSTANCE, BARE),
    Directive::missing("thread_timer_expired", INSTANCE, BARE),
    Directive::missing("timer_expired_backup", INSTANCE, BARE),
    Directive::missing("lvs_sync_daemon_interface", INSTANCE, BARE),
    Directive::missing("auth_hmac", INSTANCE, Arity::Block(0, 0, Opens::Context(HMAC))),
    Directive::missing("key", HMAC, BARE),
    Directive::missing("active_key", HMAC, BARE),
    Directive::missing("anti_replay", HMAC, BARE),
    Directive::missing("mode", HMAC, BARE),
    Directive::missing("time_window", HMAC, BARE),
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
}

impl Conf for Instance {
    fn inherit(&mut self, _: &Self) {}
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

type Outcome = Result<(), Diagnostic>;

fn interface(_: &mut Setting<'_>, instance: &mut Instance, statement: &Statement) -> Outcome {
    instance.interface = Some(first(statement));
    instance.interface_span = Some(statement.span);
    Ok(())
}

fn state(_: &mut Setting<'_>, instance: &mut Instance, statement: &Statement) -> Outcome {
    let text = first(statement);
    instance.master = Some(text == "MASTER");
    match text.as_str() {
        "MASTER" | "BACKUP" => Ok(()),
        other => Err(complain(format!("({}) unknown state '{other}', defaulting to BACKUP", instance.name))),
    }
}

/// A complaint about a number, then one about the keyword.
fn twice(cx: &mut Setting<'_>, statement: &Statement, complaint: Diagnostic, text: String) -> Diagnostic {
    cx.report(complaint.at(statement.span));
    complain(text)
}

fn vrid(cx: &mut Setting<'_>, instance: &mut Instance, statement: &Statement) -> Outcome {
    let name = instance.name.clone();
    instance.vrid = Some(whole(&first(statement), &(1..=255)).map_err(|complaint| {
        twice(
            cx,
            statement,
            complaint,
            format!("({name}): VRID '{}' not valid - must be between 1 & 255", first(statement)),
        )
    })?);
    Ok(())
}

fn priority(cx: &mut Setting<'_>, instance: &mut Instance, statement: &Statement) -> Outcome {
    match whole(&first(statement), &(1..=255)) {
        Ok(priority) => instance.priority = Some(priority),
        Err(complaint) => {
            instance.priority = Some(100);
            let text = format!("({}) Priority not valid! must be between 1 & 255. Using default 100", instance.name);
            return Err(twice(cx, statement, complaint, text));
        }
    }
    Ok(())
}

fn advert_int(cx: &mut Setting<'_>, instance: &mut Instance, statement: &Statement) -> Outcome {
    match seconds(&first(statement), &(SECOND / 100..=255 * SECOND)) {
        Ok(interval) => instance.interval = Some(interval),
        Err(complaint) => {
            let given = first(statement);
            let text = format!("({}) Advert interval ({given}) not valid! Must be > 0 - ignoring", instance.name);
            return Err(twice(cx, statement, complaint, text));
        }
    }
    Ok(())
}

fn preempt_delay(cx: &mut Setting<'_>, instance: &mut Instance, statement: &Statement) -> Outcome {
    match seconds(&first(statement), &(0..=1000 * SECOND)) {
        Ok(delay) => instance.preempt_delay = Some(delay),
        Err(complaint) => {
            let text = format!("({}) Preempt_delay not valid! must be between 0-1000", instance.name);
            return Err(twice(cx, statement, complaint, text));
        }
    }
    Ok(())
}

fn auth_type(_: &mut Setting<'_>, instance: &mut Instance, statement: &Statement) -> Outcome {
    match first(statement).as_str() {
        "PASS" => instance.auth_pass_type = Some(true),
        "AH" => return Err(complain("keyword \"auth_type AH\" is known but not supported yet")),
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
        match peer(&instance.name, &line) {
            Ok(peer) => instance.peers.push(peer),
            Err(complaint) => cx.report(complaint.at(line.span)),
        }
    }
    Ok(())
}

fn peer(name: &str, line: &Statement) -> Result<Peer, Diagnostic> {
    let text = line.name();
    let Ok(address) = text.parse() else {
        let prefix = format!("Configuration error: VRRP instance[{name}]");
        return Err(complain(format!("{prefix} malformed unicast peer address[{text}]. Skipping...")));
    };
    let mut peer = Peer { address, least: 0, most: 255 };
    let mut words = line.arguments().iter();
    while let Some(word) = words.next() {
        let value = words.next().map(|word| word.text().into_owned()).unwrap_or_default();
        match &*word.bytes {
            b"min_ttl" => peer.least = whole(&value, &(0..=255))? as u8,
            b"max_ttl" => peer.most = whole(&value, &(0..=255))? as u8,
            _ => return Err(complain(format!("({name}) unknown unicast_peer option {}", word.text()))),
        }
    }
    Ok(peer)
}

fn source(_: &mut Setting<'_>, instance: &mut Instance, statement: &Statement) -> Outcome {
    let text = first(statement);
    match text.parse() {
        Ok(address) => instance.source = Some(address),
        Err(_) => {
            let text = format!(
                "Configuration error: VRRP instance[{}] malformed src address[{text}]. Skipping...",
                instance.name
            );
            return Err(complain(text));
        }
    }
    Ok(())
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

fn smtp_alert(cx: &mut Setting<'_>, _: &mut Instance, statement: &Statement) -> Outcome {
    no_mail(cx, statement)
}
