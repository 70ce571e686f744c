//! `global_defs`: what concerns the whole daemon, and defaults of all instances.

use super::group::no_mail;
use crate::conf::diagnostic::Diagnostic;
use crate::conf::directive::{Arity, Directive, Opens, Support};
use crate::conf::module::{Conf, Module, Scope};
use crate::conf::slot::Custom;
use crate::conf::tree::Statement;
use crate::conf::walk::Setting;
use crate::keepalived::contexts::GLOBAL;
use crate::keepalived::slot::{
    Name, Nothing, Present, SECOND, Seconds, Switch, Whole, complain, first, seconds, whole,
};
use std::net::{Ipv4Addr, Ipv6Addr};
use std::time::Duration;

/// The keywords of the whole daemon.
pub const MODULE: Module =
    Module { name: "global_defs", directives: DIRECTIVES, scopes: &[Scope::of::<Global>(GLOBAL)] };

const COUNT: std::ops::RangeInclusive<i64> = 0..=i32::MAX as i64;

const fn inert(name: &'static str, arity: Arity, why: &'static str) -> Directive {
    Directive::new(name, GLOBAL, arity, &Nothing)
        .support(Support::Inert(why))
        .doc("Is accepted, and makes no difference here.")
}

const DIRECTIVES: &[Directive] = &[
    Directive::new("process_names", GLOBAL, Arity::AtLeast(0), &Present(|c: &mut Global| &mut c.process_names, true))
        .doc("Names each process by its part."),
    Directive::new("process_name", GLOBAL, Arity::AtLeast(1), &Name(|c: &mut Global| &mut c.process_name))
        .doc("Names the parent process."),
    Directive::new("vrrp_process_name", GLOBAL, Arity::AtLeast(1), &Name(|c: &mut Global| &mut c.vrrp_process_name))
        .doc("Names the VRRP process."),
    inert("lvs_process_name", Arity::AtLeast(0), "there is no such process yet"),
    inert("bfd_process_name", Arity::AtLeast(0), "there is no such process yet"),
    Directive::new("router_id", GLOBAL, Arity::AtLeast(1), &Name(|c: &mut Global| &mut c.router_id))
        .doc("Names this host in mails and dumps."),
    inert("notification_email_from", Arity::AtLeast(0), "no mail is sent: smtp_alert itself is refused"),
    inert("smtp_server", Arity::AtLeast(0), "no mail is sent: smtp_alert itself is refused"),
    inert("smtp_helo_name", Arity::AtLeast(0), "no mail is sent: smtp_alert itself is refused"),
    inert("smtp_connect_timeout", Arity::AtLeast(0), "no mail is sent: smtp_alert itself is refused"),
    inert(
        "notification_email",
        Arity::MaybeBlock(0, 255, Opens::Rows),
        "no mail is sent: smtp_alert itself is refused",
    ),
    Directive::new("smtp_alert", GLOBAL, Arity::AtLeast(0), &Custom(smtp_alert))
        .support(Support::Partial("mail is not sent: only `false` is accepted"))
        .doc("Chooses whether mail is sent at each change."),
    Directive::missing("startup_script", GLOBAL, Arity::AtLeast(0)),
    Directive::missing("startup_script_timeout", GLOBAL, Arity::AtLeast(0)),
    Directive::missing("shutdown_script", GLOBAL, Arity::AtLeast(0)),
    Directive::missing("shutdown_script_timeout", GLOBAL, Arity::AtLeast(0)),
    inert("max_auto_priority", Arity::AtLeast(0), "the process never takes more priority by itself"),
    inert("min_auto_priority_delay", Arity::AtLeast(0), "the process never takes more priority by itself"),
    Directive::new("smtp_alert_vrrp", GLOBAL, Arity::AtLeast(0), &Custom(smtp_alert))
        .support(Support::Partial("mail is not sent: only `false` is accepted"))
        .doc("Chooses whether mail is sent at each change."),
    inert("smtp_alert_checker", Arity::AtLeast(0), "no mail is sent: smtp_alert itself is refused"),
    inert("checker_log_all_failures", Arity::AtLeast(0), "concerns virtual servers only, which are refused"),
    Directive::new(
        "dynamic_interfaces",
        GLOBAL,
        Arity::AtLeast(0),
        &Present(|c: &mut Global| &mut c.dynamic_interfaces, true),
    )
    .doc("Lets interfaces be missing at start."),
    inert("no_email_faults", Arity::AtLeast(0), "no mail is sent: smtp_alert itself is refused"),
    Directive::new("default_interface", GLOBAL, Arity::AtLeast(1), &Name(|c: &mut Global| &mut c.default_interface))
        .doc("Sets the interface of static addresses without one."),
    Directive::missing("lvs_timeouts", GLOBAL, Arity::AtLeast(0)),
    Directive::missing("lvs_flush", GLOBAL, Arity::AtLeast(0)),
    Directive::missing("lvs_flush_onstop", GLOBAL, Arity::AtLeast(0)),
    Directive::missing("lvs_sync_daemon", GLOBAL, Arity::AtLeast(0)),
    Directive::new("vrrp_mcast_group4", GLOBAL, Arity::AtLeast(1), &Custom(group4))
        .doc("Sets the group IPv4 adverts are sent to."),
    Directive::new("vrrp_mcast_group6", GLOBAL, Arity::AtLeast(1), &Custom(group6))
        .doc("Sets the group IPv6 adverts are sent to."),
    Directive::new(
        "vrrp_garp_master_delay",
        GLOBAL,
        Arity::AtLeast(1),
        &Whole(|c: &mut Global| &mut c.garp_delay, 0..=4294),
    )
    .doc("Sets garp_master_delay for all instances."),
    Directive::new(
        "vrrp_garp_master_repeat",
        GLOBAL,
        Arity::AtLeast(1),
        &Whole(|c: &mut Global| &mut c.garp_repeat, COUNT),
    )
    .doc("Sets garp_master_repeat for all instances."),
    Directive::new(
        "vrrp_garp_master_refresh",
        GLOBAL,
        Arity::AtLeast(1),
        &Whole(|c: &mut Global| &mut c.garp_refresh, 0..=4294),
    )
    .doc("Sets garp_master_refresh for all instances."),
    Directive::new(
        "vrrp_garp_master_refresh_repeat",
        GLOBAL,
        Arity::AtLeast(1),
        &Whole(|c: &mut Global| &mut c.garp_refresh_repeat, COUNT),
    )
    .doc("Sets garp_master_refresh_repeat for all instances."),
    Directive::new(
        "vrrp_garp_lower_prio_delay",
        GLOBAL,
        Arity::AtLeast(1),
        &Whole(|c: &mut Global| &mut c.garp_lower_delay, 0..=4294),
    )
    .doc("Sets garp_lower_prio_delay for all instances."),
    Directive::new(
        "vrrp_garp_lower_prio_repeat",
        GLOBAL,
        Arity::AtLeast(1),
        &Whole(|c: &mut Global| &mut c.garp_lower_repeat, COUNT),
    )
    .doc("Sets garp_lower_prio_repeat for all instances."),
    Directive::new("vrrp_garp_interval", GLOBAL, Arity::AtLeast(1), &Custom(garp_interval))
        .doc("Sets the seconds between two announcements of IPv4 addresses."),
    Directive::new("vrrp_gna_interval", GLOBAL, Arity::AtLeast(1), &Custom(gna_interval))
        .doc("Sets the seconds between two announcements of IPv6 addresses."),
    Directive::new("vrrp_min_garp", GLOBAL, Arity::AtLeast(0), &Switch(|c: &mut Global| &mut c.min_garp))
        .doc("Announces each address once."),
    Directive::new(
        "vrrp_lower_prio_no_advert",
        GLOBAL,
        Arity::AtLeast(0),
        &Switch(|c: &mut Global| &mut c.lower_prio_no_advert),
    )
    .doc("Sets lower_prio_no_advert for all instances."),
    Directive::new(
        "vrrp_higher_prio_send_advert",
        GLOBAL,
        Arity::AtLeast(0),
        &Switch(|c: &mut Global| &mut c.higher_prio_send_advert),
    )
    .doc("Sets higher_prio_send_advert for all instances."),
    Directive::new("vrrp_version", GLOBAL, Arity::AtLeast(1), &Custom(version))
        .doc("Sets the version of the protocol for all instances."),
    inert("vrrp_iptables", Arity::AtLeast(0), "no firewall rules are made: what would need them is refused"),
    inert("vrrp_ipsets", Arity::AtLeast(0), "no firewall rules are made: what would need them is refused"),
    inert("nftables", Arity::AtLeast(0), "no firewall rules are made: what would need them is refused"),
    inert("nftables_priority", Arity::AtLeast(0), "no firewall rules are made: what would need them is refused"),
    inert("nftables_counters", Arity::AtLeast(0), "no firewall rules are made: what would need them is refused"),
    inert("nftables_ifindex", Arity::AtLeast(0), "no firewall rules are made: what would need them is refused"),
    Directive::new(
        "vrrp_check_unicast_src",
        GLOBAL,
        Arity::AtLeast(0),
        &Present(|c: &mut Global| &mut c.check_unicast_src, true),
    )
    .doc("Sets check_unicast_src for all instances."),
    Directive::new(
        "vrrp_skip_check_adv_addr",
        GLOBAL,
        Arity::AtLeast(0),
        &Present(|c: &mut Global| &mut c.skip_check_adv_addr, true),
    )
    .doc("Sets skip_check_adv_addr for all instances."),
    Directive::new("vrrp_strict", GLOBAL, Arity::AtLeast(0), &Present(|c: &mut Global| &mut c.strict, true))
        .doc("Sets strict_mode for all instances."),
    Directive::new("vrrp_priority", GLOBAL, Arity::AtLeast(1), &Whole(|c: &mut Global| &mut c.nice, -20..=19))
        .doc("Sets the niceness of the VRRP process."),
    Directive::new("vrrp_no_swap", GLOBAL, Arity::AtLeast(0), &Present(|c: &mut Global| &mut c.no_swap, true))
        .doc("Keeps the VRRP process in memory."),
    Directive::new("vrrp_rt_priority", GLOBAL, Arity::AtLeast(1), &Whole(|c: &mut Global| &mut c.realtime, 1..=99))
        .doc("Sets the real-time priority of the VRRP process."),
    Directive::missing("vrrp_cpu_affinity", GLOBAL, Arity::AtLeast(0)),
    inert("vrrp_rlimit_rttime", Arity::AtLeast(0), "the process never takes more priority by itself"),
    inert("vrrp_rlimit_rtime", Arity::AtLeast(0), "the process never takes more priority by itself"),
    Directive::new("notify_fifo", GLOBAL, Arity::AtLeast(1), &Name(|c: &mut Global| &mut c.notify_fifo))
        .doc("Sets a FIFO every change is written to."),
    Directive::missing("notify_fifo_script", GLOBAL, Arity::AtLeast(0)),
    Directive::new("vrrp_notify_fifo", GLOBAL, Arity::AtLeast(1), &Name(|c: &mut Global| &mut c.vrrp_notify_fifo))
        .doc("Sets a FIFO every change of virtual routers is written to."),
    Directive::missing("vrrp_notify_fifo_script", GLOBAL, Arity::AtLeast(0)),
    Directive::new(
        "vrrp_notify_priority_changes",
        GLOBAL,
        Arity::AtLeast(0),
        &Switch(|c: &mut Global| &mut c.notify_priority_changes),
    )
    .doc("Sets notify_priority_changes for all instances."),
    Directive::missing("lvs_notify_fifo", GLOBAL, Arity::AtLeast(0)),
    Directive::missing("lvs_notify_fifo_script", GLOBAL, Arity::AtLeast(0)),
    inert("checker_priority", Arity::AtLeast(0), "there is no such process yet"),
    inert("checker_no_swap", Arity::AtLeast(0), "there is no such process yet"),
    inert("checker_rt_priority", Arity::AtLeast(0), "there is no such process yet"),
    inert("checker_cpu_affinity", Arity::AtLeast(0), "there is no such process yet"),
    inert("checker_rlimit_rttime", Arity::AtLeast(0), "there is no such process yet"),
    inert("checker_rlimit_rtime", Arity::AtLeast(0), "there is no such process yet"),
    inert("bfd_priority", Arity::AtLeast(0), "there is no such process yet"),
    inert("bfd_no_swap", Arity::AtLeast(0), "there is no such process yet"),
    inert("bfd_rt_priority", Arity::AtLeast(0), "there is no such process yet"),
    inert("bfd_cpu_affinity", Arity::AtLeast(0), "there is no such process yet"),
    inert("bfd_rlimit_rttime", Arity::AtLeast(0), "there is no such process yet"),
    inert("bfd_rlimit_rtime", Arity::AtLeast(0), "there is no such process yet"),
    Directive::missing("snmp_socket", GLOBAL, Arity::AtLeast(0)),
    Directive::missing("enable_traps", GLOBAL, Arity::AtLeast(0)),
    Directive::missing("enable_snmp_vrrp", GLOBAL, Arity::AtLeast(0)),
    Directive::missing("enable_snmp_keepalived", GLOBAL, Arity::AtLeast(0)),
    Directive::missing("enable_snmp_rfc", GLOBAL, Arity::AtLeast(0)),
    Directive::missing("enable_snmp_rfcv2", GLOBAL, Arity::AtLeast(0)),
    Directive::missing("enable_snmp_rfcv3", GLOBAL, Arity::AtLeast(0)),
    Directive::missing("enable_snmp_checker", GLOBAL, Arity::AtLeast(0)),
    Directive::missing("enable_dbus", GLOBAL, Arity::AtLeast(0)),
    Directive::missing("dbus_service_name", GLOBAL, Arity::AtLeast(0)),
    Directive::new("script_user", GLOBAL, Arity::AtLeast(1), &Custom(script_user))
        .doc("Sets the user and the group scripts run as."),
    Directive::new(
        "enable_script_security",
        GLOBAL,
        Arity::AtLeast(0),
        &Present(|c: &mut Global| &mut c.script_security, true),
    )
    .doc("Refuses scripts of root that others could change."),
    inert("vrrp_netlink_cmd_rcv_bufs", Arity::AtLeast(0), "buffers are large, and what is lost is asked for again"),
    inert(
        "vrrp_netlink_cmd_rcv_bufs_force",
        Arity::AtLeast(0),
        "buffers are large, and what is lost is asked for again",
    ),
    inert("vrrp_netlink_monitor_rcv_bufs", Arity::AtLeast(0), "buffers are large, and what is lost is asked for again"),
    inert(
        "vrrp_netlink_monitor_rcv_bufs_force",
        Arity::AtLeast(0),
        "buffers are large, and what is lost is asked for again",
    ),
    inert("process_monitor_rcv_bufs", Arity::AtLeast(0), "buffers are large, and what is lost is asked for again"),
    inert(
        "process_monitor_rcv_bufs_force",
        Arity::AtLeast(0),
        "buffers are large, and what is lost is asked for again",
    ),
    inert("lvs_netlink_cmd_rcv_bufs", Arity::AtLeast(0), "buffers are large, and what is lost is asked for again"),
    inert(
        "lvs_netlink_cmd_rcv_bufs_force",
        Arity::AtLeast(0),
        "buffers are large, and what is lost is asked for again",
    ),
    inert("lvs_netlink_monitor_rcv_bufs", Arity::AtLeast(0), "buffers are large, and what is lost is asked for again"),
    inert(
        "lvs_netlink_monitor_rcv_bufs_force",
        Arity::AtLeast(0),
        "buffers are large, and what is lost is asked for again",
    ),
    inert("rs_init_notifies", Arity::AtLeast(0), "concerns virtual servers only, which are refused"),
    inert("no_checker_emails", Arity::AtLeast(0), "concerns virtual servers only, which are refused"),
    inert("vrrp_rx_bufs_policy", Arity::AtLeast(0), "adverts are read at once, so no buffer can be too small"),
    inert("vrrp_rx_bufs_multiplier", Arity::AtLeast(0), "adverts are read at once, so no buffer can be too small"),
    Directive::new(
        "vrrp_startup_delay",
        GLOBAL,
        Arity::AtLeast(1),
        &Seconds(|c: &mut Global| &mut c.startup_delay, 0..=4294 * SECOND),
    )
    .doc("Sets the seconds before anything is sent."),
    Directive::new(
        "log_unknown_vrids",
        GLOBAL,
        Arity::AtLeast(0),
        &Present(|c: &mut Global| &mut c.log_unknown_vrids, true),
    )
    .doc("Logs adverts of routers nobody here takes part in."),
    Directive::missing("umask", GLOBAL, Arity::AtLeast(0)),
    inert("random_seed", Arity::AtLeast(0), "nothing that is served is random"),
    Directive::missing("reload_time_file", GLOBAL, Arity::AtLeast(0)),
    Directive::missing("reload_repeat", GLOBAL, Arity::AtLeast(0)),
    inert("checker_process_name", Arity::AtLeast(0), "there is no such process yet"),
    Directive::missing("config_save_dir", GLOBAL, Arity::AtLeast(0)),
    Directive::missing("data_use_instance", GLOBAL, Arity::AtLeast(0)),
    Directive::missing("dbus_no_interface_name", GLOBAL, Arity::AtLeast(0)),
    Directive::missing("disable_local_igmp", GLOBAL, Arity::AtLeast(0)),
    Directive::missing("fifo_write_vrrp_states_on_reload", GLOBAL, Arity::AtLeast(0)),
    Directive::missing("include_check", GLOBAL, Arity::AtLeast(0)),
    Directive::missing("iproute_etc_dir", GLOBAL, Arity::AtLeast(0)),
    Directive::missing("iproute_usr_dir", GLOBAL, Arity::AtLeast(0)),
    Directive::missing("json_dump_file", GLOBAL, Arity::AtLeast(0)),
    Directive::missing("json_version", GLOBAL, Arity::AtLeast(0)),
    Directive::missing("lvs_flush_on_stop", GLOBAL, Arity::AtLeast(0)),
    inert("nftables_ipvs", Arity::AtLeast(0), "no firewall rules are made: what would need them is refused"),
    inert("nftables_ipvs_priority", Arity::AtLeast(0), "no firewall rules are made: what would need them is refused"),
    inert(
        "nftables_ipvs_start_fwmark",
        Arity::AtLeast(0),
        "no firewall rules are made: what would need them is refused",
    ),
    Directive::missing("reload_check_config", GLOBAL, Arity::AtLeast(0)),
    Directive::missing("reload_file", GLOBAL, Arity::AtLeast(0)),
    Directive::missing("set_supplementary_groups", GLOBAL, Arity::AtLeast(0)),
    Directive::missing("snmp_rs_stats_update_interval", GLOBAL, Arity::AtLeast(0)),
    Directive::missing("snmp_vs_stats_update_interval", GLOBAL, Arity::AtLeast(0)),
    Directive::missing("state_dump_file", GLOBAL, Arity::AtLeast(0)),
    Directive::missing("stats_dump_file", GLOBAL, Arity::AtLeast(0)),
    Directive::missing("tmp_config_directory", GLOBAL, Arity::AtLeast(0)),
    Directive::missing("use_symlink_paths", GLOBAL, Arity::AtLeast(0)),
    Directive::missing("v3_checksum_as_v2", GLOBAL, Arity::AtLeast(0)),
    Directive::missing("vmac_addr_prefix", GLOBAL, Arity::AtLeast(0)),
    Directive::missing("vmac_prefix", GLOBAL, Arity::AtLeast(0)),
    Directive::missing("vrrp_delay_after_boot", GLOBAL, Arity::AtLeast(0)),
    Directive::new(
        "vrrp_down_timer_adverts",
        GLOBAL,
        Arity::AtLeast(1),
        &Whole(|c: &mut Global| &mut c.down_timer_adverts, 1..=100),
    )
    .doc("Sets down_timer_adverts for all instances."),
    Directive::missing("vrrp_garp_extra_if", GLOBAL, Arity::AtLeast(0)),
    Directive::missing("vrrp_owner_ignore_adverts", GLOBAL, Arity::AtLeast(0)),
    Directive::missing("vrrp_vmac_garp_intvl", GLOBAL, Arity::AtLeast(0)),
];

/// What concerns the whole daemon; what was not given is `None`.
#[derive(Clone, Debug, Default)]
pub struct Global {
    pub router_id: Option<String>,
    pub script_user: Option<(String, Option<String>)>,
    pub script_security: Option<bool>,
    pub dynamic_interfaces: Option<bool>,
    pub default_interface: Option<String>,
    pub mcast_group4: Option<Ipv4Addr>,
    pub mcast_group6: Option<Ipv6Addr>,
    pub garp_delay: Option<i64>,
    pub garp_repeat: Option<i64>,
    pub garp_refresh: Option<i64>,
    pub garp_refresh_repeat: Option<i64>,
    pub garp_lower_delay: Option<i64>,
    pub garp_lower_repeat: Option<i64>,
    pub garp_interval: Option<Duration>,
    pub gna_interval: Option<Duration>,
    pub min_garp: Option<bool>,
    pub lower_prio_no_advert: Option<bool>,
    pub higher_prio_send_advert: Option<bool>,
    pub version: Option<i64>,
    pub check_unicast_src: Option<bool>,
    pub skip_check_adv_addr: Option<bool>,
    pub strict: Option<bool>,
    pub down_timer_adverts: Option<i64>,
    pub nice: Option<i64>,
    pub no_swap: Option<bool>,
    pub realtime: Option<i64>,
    pub startup_delay: Option<Duration>,
    pub log_unknown_vrids: Option<bool>,
    pub notify_priority_changes: Option<bool>,
    pub process_name: Option<String>,
    pub vrrp_process_name: Option<String>,
    pub process_names: Option<bool>,
    pub notify_fifo: Option<String>,
    pub vrrp_notify_fifo: Option<String>,
}

impl Conf for Global {
    fn inherit(&mut self, _: &Self) {}
}

type Outcome = Result<(), Diagnostic>;

fn script_user(_: &mut Setting<'_>, global: &mut Global, statement: &Statement) -> Outcome {
    let group = statement.arguments().get(1).map(|word| word.text().into_owned());
    global.script_user = Some((first(statement), group));
    Ok(())
}

fn smtp_alert(cx: &mut Setting<'_>, _: &mut Global, statement: &Statement) -> Outcome {
    no_mail(cx, statement)
}

fn group4(_: &mut Setting<'_>, global: &mut Global, statement: &Statement) -> Outcome {
    let text = first(statement);
    let invalid = |_| complain(format!("Configuration error: Cannot parse vrrp_mcast_group4 '{text}'"));
    global.mcast_group4 = Some(text.parse().map_err(invalid)?);
    Ok(())
}

fn group6(_: &mut Setting<'_>, global: &mut Global, statement: &Statement) -> Outcome {
    let text = first(statement);
    let invalid = |_| complain(format!("Configuration error: Cannot parse vrrp_mcast_group6 '{text}'"));
    global.mcast_group6 = Some(text.parse().map_err(invalid)?);
    Ok(())
}

/// Seconds between two frames: never zero when given.
fn pace(cx: &mut Setting<'_>, statement: &Statement) -> Result<Duration, Diagnostic> {
    let text = first(statement);
    seconds(&text, &(1..=4_294_967_295)).map_err(|complaint| {
        cx.report(complaint.at(statement.span));
        complain(format!("{} '{text}' is invalid", cx.row.name))
    })
}

fn garp_interval(cx: &mut Setting<'_>, global: &mut Global, statement: &Statement) -> Outcome {
    global.garp_interval = Some(pace(cx, statement)?);
    Ok(())
}

fn gna_interval(cx: &mut Setting<'_>, global: &mut Global, statement: &Statement) -> Outcome {
    global.gna_interval = Some(pace(cx, statement)?);
    Ok(())
}

fn version(cx: &mut Setting<'_>, global: &mut Global, statement: &Statement) -> Outcome {
    global.version = Some(whole(&first(statement), &(2..=3)).map_err(|complaint| {
        cx.report(complaint.at(statement.span));
        complain("VRRP Error: Version must be either 2 or 3")
    })?);
    Ok(())
}
