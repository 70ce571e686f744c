//! Keywords of the file itself: the blocks it may have, and what concerns all processes.

use crate::conf::diagnostic::Diagnostic;
use crate::conf::directive::{Arity, Directive, Opens};
use crate::conf::module::{Conf, Module, Scope};
use crate::conf::slot::{Block, Custom, Plain};
use crate::conf::tree::Statement;
use crate::conf::walk::Setting;
use crate::keepalived::contexts::{FILE, GARP_GROUP, GLOBAL, GROUP, INSTANCE, ROOT, SCRIPT, SERVER, TRACK_GROUP};
use crate::keepalived::slot::{Name, Present, Whole, complain, first};

/// The keywords of the file itself.
pub const MODULE: Module = Module { name: "root", directives: DIRECTIVES, scopes: &[Scope::of::<Root>(ROOT)] };

const DIRECTIVES: &[Directive] = &[
    Directive::new("global_defs", ROOT, Arity::Block(0, 255, Opens::Context(GLOBAL)), &Plain)
        .doc("Holds what concerns the whole daemon."),
    Directive::new("vrrp_script", ROOT, named(SCRIPT), &Block(super::script::open, super::script::close))
        .doc("Defines a script whose result virtual routers may track."),
    Directive::new("vrrp_instance", ROOT, named(INSTANCE), &Custom(super::instance::open))
        .doc("Defines a virtual router."),
    Directive::new("vrrp_sync_group", ROOT, named(GROUP), &Custom(super::group::open))
        .doc("Defines virtual routers that change state together."),
    Directive::new("static_ipaddress", ROOT, Arity::Block(0, 0, Opens::Rows), &Custom(super::fixed::addresses))
        .doc("Lists addresses that are held from start to stop."),
    Directive::new("track_file", ROOT, named(FILE), &Custom(super::file::open))
        .doc("Defines a file whose number virtual routers may track."),
    Directive::new("vrrp_track_file", ROOT, named(FILE), &Custom(super::file::open))
        .doc("The older name of track_file."),
    Directive::new("instance", ROOT, Arity::AtLeast(1), &Name(|c: &mut Root| &mut c.instance))
        .doc("Names this daemon: its pid files lie in a folder of their own."),
    Directive::new("use_pid_dir", ROOT, Arity::AtLeast(0), &Present(|c: &mut Root| &mut c.use_pid_dir, true))
        .doc("Puts the pid files into a folder of their own."),
    Directive::new(
        "child_wait_time",
        ROOT,
        Arity::AtLeast(1),
        &Whole(|c: &mut Root| &mut c.child_wait_time, 0..=u32::MAX as i64),
    )
    .doc("Sets how many seconds the parent waits for its children at the end."),
    Directive::missing("linkbeat_use_polling", ROOT, Arity::AtLeast(0)),
    Directive::missing("net_namespace", ROOT, Arity::AtLeast(0)),
    Directive::missing("net_namespace_ipvs", ROOT, Arity::AtLeast(0)),
    Directive::missing("namespace_with_ipsets", ROOT, Arity::AtLeast(0)),
    Directive::missing("track_group", ROOT, Arity::Block(0, 255, Opens::Context(TRACK_GROUP))),
    Directive::missing("group", TRACK_GROUP, Arity::Block(0, 255, Opens::Rows)),
    Directive::missing("static_routes", ROOT, Arity::Block(0, 255, Opens::Rows)),
    Directive::missing("static_rules", ROOT, Arity::Block(0, 255, Opens::Rows)),
    Directive::missing("garp_group", ROOT, Arity::Block(0, 255, Opens::Context(GARP_GROUP))),
    Directive::missing("garp_interval", GARP_GROUP, Arity::AtLeast(1)),
    Directive::missing("gna_interval", GARP_GROUP, Arity::AtLeast(1)),
    Directive::missing("interface", GARP_GROUP, Arity::AtLeast(1)),
    Directive::missing("interfaces", GARP_GROUP, Arity::Block(0, 255, Opens::Rows)),
    Directive::missing("linkbeat_interfaces", ROOT, Arity::Block(0, 255, Opens::Rows)),
    Directive::missing("vrrp_track_process", ROOT, Arity::Block(0, 255, Opens::Rows)),
    Directive::missing("SSL", ROOT, Arity::Block(0, 255, Opens::Rows)),
    Directive::missing("virtual_server_group", ROOT, Arity::Block(0, 255, Opens::Rows)),
    Directive::missing("virtual_server", ROOT, Arity::Block(0, 255, Opens::Context(SERVER))),
    Directive::missing("bfd_instance", ROOT, Arity::Block(0, 255, Opens::Rows)),
    Directive::missing("interface_up_down_delays", ROOT, Arity::MaybeBlock(0, 255, Opens::Rows)),
];

const fn named(context: crate::conf::directive::Contexts) -> Arity {
    Arity::Block(0, 255, Opens::Context(context))
}

/// What the file says outside all blocks.
#[derive(Clone, Debug, Default)]
pub struct Root {
    /// `instance`.
    pub instance: Option<String>,
    /// `use_pid_dir`.
    pub use_pid_dir: Option<bool>,
    /// `child_wait_time`.
    pub child_wait_time: Option<i64>,
    /// `static_ipaddress`.
    pub addresses: Vec<super::address::Address>,
}

impl Conf for Root {
    fn inherit(&mut self, _: &Self) {}
}

/// The name a block was opened with, which nobody else may have.
///
/// # Errors
/// There is none, or it is taken.
pub fn name(cx: &Setting<'_>, statement: &Statement) -> Result<String, Diagnostic> {
    let name = first(statement);
    let keyword = cx.row.name;
    if name.is_empty() {
        return Err(complain(format!("{keyword} must have a name")));
    }
    let taken = cx.around().is_some_and(|around| {
        around
            .children
            .iter()
            .any(|child| child.context == cx.context() && child.words.get(1).is_some_and(|word| word.is(&name)))
    });
    if taken {
        return Err(complain(format!("{} {name} already defined", keyword.replacen("vrrp_", "vrrp ", 1))));
    }
    Ok(name)
}
