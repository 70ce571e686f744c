//! Keywords of the file itself: the blocks it may have, and what concerns all processes.

use crate::conf::diagnostic::Diagnostic;
use crate::conf::directive::{Arity, Directive, Opens, Set, Support};
use crate::conf::module::{Conf, Module, Scope};
use crate::conf::slot::{Block, Custom, Plain};
use crate::conf::tree::Statement;
use crate::conf::walk::Setting;
use crate::keepalived::contexts::{
    BFD, FILE, GARP_GROUP, GLOBAL, GROUP, INSTANCE, PROCESS, ROOT, SCRIPT, SERVER, SSL, TRACK_GROUP,
};
use crate::keepalived::slot::{Nothing, Present, Unsigned, again, complain, first};
use std::any::{Any, TypeId};

/// The keywords of the file itself.
pub const MODULE: Module = Module { name: "root", directives: DIRECTIVES, scopes: &[Scope::of::<Root>(ROOT)] };

const BARE: Arity = Arity::AtLeast(0);
const LINES: Arity = Arity::Block(0, 255, Opens::Rows);

const DIRECTIVES: &[Directive] = &[
    Directive::new("global_defs", ROOT, Arity::Block(0, 255, Opens::Context(GLOBAL)), &Plain)
        .doc("Holds what concerns the whole daemon."),
    Directive::new("vrrp_script", ROOT, one(SCRIPT), &Block(super::script::open, super::script::close))
        .doc("Defines a script whose result virtual routers may track."),
    Directive::new("vrrp_instance", ROOT, named(INSTANCE), &Block(super::instance::open, super::instance::close))
        .doc("Defines a virtual router."),
    Directive::new("vrrp_sync_group", ROOT, named(GROUP), &Custom(super::group::open)).doc(
        "Defines virtual routers that change state together: master only when each could be, in fault when one is.",
    ),
    Directive::new("static_ipaddress", ROOT, LINES, &Custom(super::fixed::addresses))
        .doc("Lists addresses that are held from start to stop."),
    Directive::new("track_file", ROOT, one(FILE), &Block(super::file::open, super::file::close))
        .doc("Defines a file whose number virtual routers may track."),
    Directive::new("vrrp_track_file", ROOT, one(FILE), &Block(super::file::open, super::file::close))
        .doc("The older name of track_file."),
    Directive::new("instance", ROOT, BARE, &Once(|c: &mut Root| &mut c.instance))
        .doc("Names this daemon, as more than one may run: its name is part of those of its pid files."),
    Directive::new("use_pid_dir", ROOT, Arity::AtLeast(0), &Present(|c: &mut Root| &mut c.use_pid_dir, true))
        .doc("Puts the pid files into a folder of their own."),
    Directive::new(
        "child_wait_time",
        ROOT,
        Arity::AtLeast(1),
        &Unsigned(|c: &mut Root| &mut c.child_wait_time, 0..=u32::MAX as i64, "Invalid {k} {v}"),
    )
    .doc("Sets how many seconds the parent waits for its children at the end."),
    Directive::new("linkbeat_use_polling", ROOT, BARE, &Present(|c: &mut Root| &mut c.linkbeat_everywhere, true))
        .doc("Asks the driver of each instance's interface for the state of its link, once a second."),
    Directive::new("net_namespace", ROOT, BARE, &Once(|c: &mut Root| &mut c.net_namespace)).doc(
        "Runs everything in this network namespace, scripts too, with pid files of its own below /run/keepalived; \
         --namespace counts before it.",
    ),
    Directive::missing("net_namespace_ipvs", ROOT, BARE)
        .judged(&Custom(ipvs_namespace))
        .doc("Sets the network namespace of IPVS."),
    Directive::new("namespace_with_ipsets", ROOT, BARE, &Nothing)
        .support(Support::Inert("firewall rules are made with nftables"))
        .doc("Uses IP sets in a network namespace."),
    Directive::new("track_group", ROOT, named(TRACK_GROUP), &Custom(super::fixed::open))
        .doc("Defines virtual routers that track the interfaces of static addresses, routes and rules."),
    Directive::new("static_routes", ROOT, LINES, &Custom(super::route::static_routes))
        .doc("Routes that are held from the start."),
    Directive::new("static_rules", ROOT, LINES, &Custom(super::rule::static_rules))
        .doc("Routing rules that are held from the start."),
    Directive::new("garp_group", ROOT, named(GARP_GROUP), &Block(super::interface::open, super::interface::close))
        .doc("Defines interfaces that share a least time between two announcements."),
    Directive::new("linkbeat_interfaces", ROOT, LINES, &Custom(super::interface::linkbeat))
        .doc("Lists interfaces whose driver is asked for the state of the link once a second, and how: MII, ETHTOOL or IOCTL."),
    Directive::new("interface_up_down_delays", ROOT, LINES, &Custom(super::interface::delays)).doc(
        "Lists interfaces, with the seconds before a link counts as down and, if they are given, as up; a link that comes \
         back before has not been away.",
    ),
    Directive::new("vrrp_track_process", ROOT, one(PROCESS), &Block(super::process::open, super::process::close))
        .doc("Defines a program whose running processes virtual routers may track."),
    Directive::new("SSL", ROOT, named(SSL), &Custom(super::server::open_ssl))
        .doc("The keys and certificates of checks over TLS."),
    Directive::new("virtual_server_group", ROOT, Arity::Block(1, 255, Opens::Rows), &Custom(super::server::group))
        .doc("Addresses, ports and firewall marks that are one virtual server."),
    Directive::new("virtual_server", ROOT, one(SERVER), &Block(super::server::open, super::server::close))
        .doc("A virtual server of IPVS and its real servers."),
    Directive::new("bfd_instance", ROOT, one(BFD), &Block(super::bfd::open, super::bfd::close))
        .doc("Defines a session of bidirectional forwarding detection."),
];

const fn named(context: crate::conf::directive::Contexts) -> Arity {
    Arity::Block(0, 255, Opens::Context(context))
}

/// A block whose name is counted as an argument.
const fn one(context: crate::conf::directive::Contexts) -> Arity {
    Arity::Block(1, 255, Opens::Context(context))
}

/// What the file says outside all blocks.
#[derive(Clone, Debug, Default)]
pub struct Root {
    /// `instance`.
    pub instance: Option<String>,
    /// `net_namespace`, or `-s` once the daemon runs.
    pub net_namespace: Option<String>,
    /// `net_namespace_ipvs`; no name is that of the whole machine.
    pub ipvs_namespace: Option<String>,
    /// `use_pid_dir`.
    pub use_pid_dir: Option<bool>,
    /// `child_wait_time`.
    pub child_wait_time: Option<i64>,
    /// `static_ipaddress`.
    pub addresses: Vec<super::address::Address>,
    /// Interfaces that blocks outside instances name.
    pub needs: Vec<super::line::Need>,
    /// `linkbeat_interfaces`.
    pub linkbeat: Vec<(String, Option<super::interface::Method>)>,
    /// `interface_up_down_delays`.
    pub delays: Vec<super::interface::LinkDelay>,
    /// `linkbeat_use_polling`.
    pub linkbeat_everywhere: Option<bool>,
    /// `static_routes`.
    pub routes: Vec<super::route::Given>,
    /// `static_rules`.
    pub rules: Vec<super::rule::Given>,
    /// Of the next rules that name none.
    pub preferences: super::rule::Preferences,
    /// `virtual_server_group`.
    pub server_groups: Vec<super::server::ServerGroup>,
    /// `track_group`.
    pub track_groups: Vec<super::fixed::TrackGroup>,
}

impl Conf for Root {
    fn inherit(&mut self, _: &Self) {}
}

/// A name that is given once.
struct Once(fn(&mut Root) -> &mut Option<String>);

impl Set for Once {
    fn target(&self) -> TypeId {
        TypeId::of::<Root>()
    }

    fn set(&self, cx: &mut Setting<'_>, conf: &mut dyn Any, statement: &Statement) -> Result<(), Diagnostic> {
        let (Some(root), keyword) = (conf.downcast_mut::<Root>(), cx.row.name) else { return Ok(()) };
        let (slot, name) = ((self.0)(root), first(statement));
        match slot {
            _ if statement.arguments().is_empty() => Err(complain(format!("{keyword} name missing - ignoring"))),
            Some(_) => Err(again(format!("Duplicate {keyword} definition {name} - ignoring"))),
            None => {
                *slot = Some(name);
                Ok(())
            }
        }
    }
}

fn ipvs_namespace(cx: &mut Setting<'_>, root: &mut Root, statement: &Statement) -> Result<(), Diagnostic> {
    let name = first(statement);
    if root.ipvs_namespace.is_some() {
        return Err(again(format!("Duplicate {} definition {name} - ignoring", cx.row.name)));
    }
    root.ipvs_namespace = Some(name);
    Ok(())
}

/// The name a block was opened with, which nobody else may have.
///
/// # Errors
/// There is none, or it is taken.
pub fn name(cx: &Setting<'_>, statement: &Statement) -> Result<String, Diagnostic> {
    let name = first(statement);
    let keyword = cx.row.name;
    if statement.arguments().len() != 1 && cx.row.arity.takes(0) {
        let skipping = if keyword == "vrrp_instance" { "" } else { " - skipping" };
        return Err(complain(format!("{keyword} must have a name{skipping}")));
    }
    let known = ["vrrp_instance", "vrrp_sync_group", "track_group"].contains(&keyword);
    if let Some(first) = known.then(|| super::track::definition(cx, cx.context(), &name)).flatten() {
        let shown = if keyword == "track_group" { keyword.to_owned() } else { keyword.replace('_', " ") };
        return Err(complain(format!("{shown} {name} already defined")).earlier(first.span));
    }
    Ok(name)
}
