//! `global_defs`: what concerns the whole daemon, and defaults of all instances.
//!
//! Differs from keepalived: what it says it ignores is ignored; there a delay or firewall mark that is no number becomes 0 (smtp_connect_timeout 1), a connect_ip that is no address becomes what lies in memory, and HTTP_GET without a url ends the process. [test: what_keepalived_says_it_ignores_is_ignored]

use super::daemon::{
    INCLUDE_CHECK, ReloadFile, dynamic_interfaces, extra_garp, fifo_script, include_check, iptables, max_auto_priority,
    nftables, notification_email, notify_fifo, old_rlimit, own_cpu_affinity, own_memory, own_name, own_priority,
    own_rt_priority, parent_name, process_names, reload_check, reload_file, reload_time_file, rx_multiplier, rx_policy,
    shutdown_script, shutdown_script_timeout, smtp_helo, smtp_server, smtp_timeout, snmp_socket, startup_script,
    startup_script_timeout, umask, vmac_garp, vmac_prefix, vrrp_cpu_affinity, vrrp_fifo, vrrp_name, vrrp_priority,
    vrrp_rt_priority,
};
use super::dumps::{DumpFile, Dumps, OnePath, json_version};
use super::vmac::ExtraGarp;
use crate::conf::diagnostic::Diagnostic;
use crate::conf::directive::{Arity, Directive, Opens, Set, Support};
use crate::conf::effect::{Need, Omission};
use crate::conf::module::{Conf, Module, Scope};
use crate::conf::slot::Custom;
use crate::conf::source::Span;
use crate::conf::tree::Statement;
use crate::conf::walk::Setting;
use crate::keepalived::contexts::GLOBAL;
use crate::keepalived::slot::{
    Command, CommandLine, Judged, JudgedSwitch, Kind, MICROSECOND, Needed, Nothing, Positive, Present, Seconds, Signed,
    Switch, Text, Unsigned, complain, first,
};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

/// The keywords of the whole daemon.
pub const MODULE: Module =
    Module { name: "global_defs", directives: DIRECTIVES, scopes: &[Scope::of::<Global>(GLOBAL)] };

const BARE: Arity = Arity::AtLeast(0);
const ONE: Arity = Arity::AtLeast(1);
const LINES: Arity = Arity::Block(0, 255, Opens::Rows);
/// The largest number without a sign.
const WIDE: i64 = u32::MAX as i64;
/// Without one of these, nothing is told over SNMP.
const AGENT: Need = Need::Rows(&[
    "enable_snmp_vrrp",
    "enable_snmp_keepalived",
    "enable_snmp_rfc",
    "enable_snmp_rfcv2",
    "enable_snmp_rfcv3",
]);
/// Without this, nothing is told on D-Bus.
const BUS: Need = Need::Rows(&["enable_dbus"]);
const ANY: std::ops::RangeInclusive<i64> = i32::MIN as i64..=i32::MAX as i64;

const fn inert(name: &'static str, arity: Arity, set: &'static dyn Set, why: &'static str) -> Directive {
    Directive::new(name, GLOBAL, arity, set)
        .support(Support::Inert(why))
        .doc("Is accepted, and makes no difference here.")
}

const DIRECTIVES: &[Directive] = &[
    Directive::new("process_names", GLOBAL, BARE, &Custom(process_names)).doc("Names each process by its part."),
    Directive::new("process_name", GLOBAL, ONE, &Custom(parent_name)).doc("Names the parent process."),
    Directive::new("vrrp_process_name", GLOBAL, ONE, &Custom(vrrp_name)).doc("Names the VRRP process."),
    Directive::new("lvs_process_name", GLOBAL, ONE, &Custom(own_name)).doc("Names the process of health checks."),
    Directive::new("checker_process_name", GLOBAL, ONE, &Custom(own_name))
        .doc("Names the process of health checks."),
    Directive::new("bfd_process_name", GLOBAL, ONE, &Custom(own_name)).doc("Names the BFD process."),
    Directive::new(
        "router_id",
        GLOBAL,
        BARE,
        &Text(|c: &mut Global| &mut c.router_id, "routerid name missing - ignoring"),
    )
    .doc("Names this host in mails and dumps."),
    Directive::new(
        "notification_email_from",
        GLOBAL,
        BARE,
        &Text(|c: &mut Global| &mut c.mail_from, "emailfrom missing - ignoring"),
    )
    .doc("Sets the sender of mail."),
    Directive::new("smtp_server", GLOBAL, ONE, &Custom(smtp_server))
        .doc("Sets the server mail is sent through, and perhaps its port; without one no mail is sent."),
    Directive::new("smtp_helo_name", GLOBAL, BARE, &Custom(smtp_helo)).doc("Sets the name that is said with HELO."),
    Directive::new("smtp_connect_timeout", GLOBAL, ONE, &Custom(smtp_timeout))
        .doc("Sets how many seconds a mail server may take to answer."),
    Directive::new("notification_email", GLOBAL, LINES, &Custom(notification_email))
        .doc("Lists who gets mail; without anybody no mail is sent."),
    Directive::new(
        "smtp_alert",
        GLOBAL,
        BARE,
        &Switch(|c: &mut Global| &mut c.smtp_alert, "Invalid value '{v}' for global smtp_alert specified"),
    )
    .doc("Chooses whether mail is sent at each change."),
    Directive::new(
        "smtp_alert_vrrp",
        GLOBAL,
        BARE,
        &Switch(|c: &mut Global| &mut c.smtp_alert_vrrp, "Invalid value '{v}' for global smtp_alert_vrrp specified"),
    )
    .doc("Chooses whether mail is sent at each change of a virtual router or group."),
    Directive::new("startup_script", GLOBAL, BARE, &CommandLine(startup_script))
        .doc("Sets a script that is run before the VRRP process starts; its end is waited for."),
    Directive::new("startup_script_timeout", GLOBAL, BARE, &Custom(startup_script_timeout))
        .doc("Sets the seconds after which the startup script is ended; 10 unless given."),
    Directive::new("shutdown_script", GLOBAL, BARE, &CommandLine(shutdown_script))
        .doc("Sets a script that is run after the VRRP process has stopped; its end is waited for."),
    Directive::new("shutdown_script_timeout", GLOBAL, BARE, &Custom(shutdown_script_timeout))
        .doc("Sets the seconds after which the shutdown script is ended; 10 unless given."),
    inert("max_auto_priority", BARE, &Custom(max_auto_priority), "the process never takes more priority by itself"),
    inert(
        "min_auto_priority_delay",
        BARE,
        &Judged(
            Kind::Signed,
            1..=10_000_000,
            "{k} '{v}' must be in [1, 10000000] - ignoring",
            "{k} requires delay time",
        ),
        "the process never takes more priority by itself",
    ),
    Directive::new("dynamic_interfaces", GLOBAL, BARE, &Custom(dynamic_interfaces))
        .doc("Lets interfaces be named that are not there yet."),
    Directive::new("no_email_faults", GLOBAL, BARE, &Present(|c: &mut Global| &mut c.no_email_faults, true))
        .doc("Sends no mail about faults."),
    Directive::new(
        "default_interface",
        GLOBAL,
        BARE,
        &Text(|c: &mut Global| &mut c.default_interface, "default_interface requires interface name"),
    )
    .doc("Sets the interface of addresses that name none."),
    Directive::new("vrrp_mcast_group4", GLOBAL, ONE, &Custom(group4)).implied("224.0.0.18").doc("Sets the group of IPv4 adverts."),
    Directive::new("vrrp_mcast_group6", GLOBAL, ONE, &Custom(group6)).implied("ff02::12").doc("Sets the group of IPv6 adverts."),
    Directive::new(
        "vrrp_garp_master_delay",
        GLOBAL,
        ONE,
        &Unsigned(|c: &mut Global| &mut c.garp_delay, 0..=4294, "{k} '{v}' invalid - ignoring"),
    )
    .implied("5").doc("Sets garp_master_delay for all instances."),
    Directive::new(
        "vrrp_garp_master_repeat",
        GLOBAL,
        ONE,
        &Positive(
            |c: &mut Global| &mut c.garp_repeat,
            WIDE,
            "{k} '{v}' invalid - ignoring",
            "{k} must be greater than 0, setting to 1",
        ),
    )
    .implied("5").doc("Sets garp_master_repeat for all instances."),
    Directive::new(
        "vrrp_garp_master_refresh",
        GLOBAL,
        ONE,
        &Unsigned(|c: &mut Global| &mut c.garp_refresh, 0..=WIDE, "Invalid {k} '{v}' - ignoring"),
    )
    .implied("0").doc("Sets garp_master_refresh for all instances."),
    Directive::new(
        "vrrp_garp_master_refresh_repeat",
        GLOBAL,
        ONE,
        &Positive(
            |c: &mut Global| &mut c.garp_refresh_repeat,
            WIDE,
            "{k} '{v}' invalid - ignoring",
            "{k} must be greater than 0, setting to 1",
        ),
    )
    .implied("1").doc("Sets garp_master_refresh_repeat for all instances."),
    Directive::new(
        "vrrp_garp_lower_prio_delay",
        GLOBAL,
        ONE,
        &Unsigned(|c: &mut Global| &mut c.garp_lower_delay, 0..=4294, "{k} '{v}' invalid - ignoring"),
    )
    .doc("Sets garp_lower_prio_delay for all instances."),
    Directive::new(
        "vrrp_garp_lower_prio_repeat",
        GLOBAL,
        ONE,
        &Unsigned(|c: &mut Global| &mut c.garp_lower_repeat, 0..=i32::MAX as i64, "Invalid {k} '{v}'"),
    )
    .doc("Sets garp_lower_prio_repeat for all instances."),
    Directive::new(
        "vrrp_garp_interval",
        GLOBAL,
        ONE,
        &Seconds(|c: &mut Global| &mut c.garp_interval, MICROSECOND..=4294.0, "{k} '{v}' is invalid"),
    )
    .implied("0").doc("Sets the seconds between two announcements of IPv4 addresses."),
    Directive::new(
        "vrrp_gna_interval",
        GLOBAL,
        ONE,
        &Seconds(|c: &mut Global| &mut c.gna_interval, MICROSECOND..=4294.0, "{k} '{v}' is invalid"),
    )
    .implied("0").doc("Sets the seconds between two announcements of IPv6 addresses."),
    Directive::new(
        "vrrp_min_garp",
        GLOBAL,
        BARE,
        &Switch(|c: &mut Global| &mut c.min_garp, "Invalid value for {k} specified"),
    )
    .doc("Announces each address once."),
    Directive::new(
        "vrrp_lower_prio_no_advert",
        GLOBAL,
        BARE,
        &Switch(|c: &mut Global| &mut c.lower_prio_no_advert, "Invalid value for {k} specified"),
    )
    .doc("Sets lower_prio_no_advert for all instances."),
    Directive::new(
        "vrrp_higher_prio_send_advert",
        GLOBAL,
        BARE,
        &Switch(|c: &mut Global| &mut c.higher_prio_send_advert, "Invalid value for {k} specified"),
    )
    .doc("Sets higher_prio_send_advert for all instances."),
    Directive::new(
        "vrrp_version",
        GLOBAL,
        ONE,
        &Signed(|c: &mut Global| &mut c.version, 2..=3, "VRRP Error: Version must be either 2 or 3"),
    )
    .implied("2").doc("Sets the version of the protocol for all instances."),
    inert("vrrp_iptables", BARE, &Custom(iptables), "firewall rules are made with nftables"),
    inert("vrrp_ipsets", BARE, &Nothing, "firewall rules are made with nftables"),
    Directive::new("nftables", GLOBAL, BARE, &Custom(nftables)).doc(
        "Names the tables of nftables that are used where an instance needs firewall rules; keepalived unless given.",
    ),
    Directive::new(
        "nftables_priority",
        GLOBAL,
        ONE,
        &Signed(|c: &mut Global| &mut c.nftables_priority, ANY, "invalid nftables chain priority '{v}'"),
    )
    .doc("Sets the priority of the chains; -1 unless given."),
    Directive::new("nftables_counters", GLOBAL, BARE, &Present(|c: &mut Global| &mut c.nftables_counters, true))
        .doc("Lets the firewall rules count packets."),
    Directive::new("nftables_ifindex", GLOBAL, BARE, &Present(|c: &mut Global| &mut c.nftables_ifindex, true))
        .doc("Lets the firewall rules match interfaces by number, never by name."),
    inert("nftables_ipvs", BARE, &Nothing, "groups are given to IPVS entry by entry, without a firewall mark"),
    inert(
        "nftables_ipvs_priority",
        ONE,
        &Judged(Kind::Signed, ANY, "invalid ipvs nftables chain priority '{v}'", ""),
        "groups are given to IPVS entry by entry, without a firewall mark",
    ),
    inert(
        "nftables_ipvs_start_fwmark",
        ONE,
        &Judged(Kind::Unsigned, 1..=WIDE, "invalid ipvs nftables start_fwmark priority '{v}'", ""),
        "groups are given to IPVS entry by entry, without a firewall mark",
    ),
    Directive::new("vrrp_check_unicast_src", GLOBAL, BARE, &Present(|c: &mut Global| &mut c.check_unicast_src, true))
        .doc("Sets check_unicast_src for all instances."),
    Directive::new(
        "vrrp_skip_check_adv_addr",
        GLOBAL,
        BARE,
        &Present(|c: &mut Global| &mut c.skip_check_adv_addr, true),
    )
    .doc("Sets skip_check_adv_addr for all instances."),
    Directive::new("vrrp_strict", GLOBAL, BARE, &Present(|c: &mut Global| &mut c.strict, true))
        .doc("Sets strict_mode for all instances."),
    Directive::new("vrrp_priority", GLOBAL, BARE, &Custom(vrrp_priority)).doc("Sets the niceness of the VRRP process."),
    Directive::new("vrrp_no_swap", GLOBAL, BARE, &Present(|c: &mut Global| &mut c.no_swap, true))
        .doc("Keeps the VRRP process in memory."),
    Directive::new("vrrp_rt_priority", GLOBAL, BARE, &Custom(vrrp_rt_priority))
        .doc("Sets the real-time priority of the VRRP process."),
    Directive::new("vrrp_cpu_affinity", GLOBAL, BARE, &Custom(vrrp_cpu_affinity))
        .doc("Lists the processors the VRRP process may run on, by number."),
    inert(
        "vrrp_rlimit_rttime",
        ONE,
        &Judged(Kind::Unsigned, 1..=WIDE, "Invalid vrrp real-time limit - {v}", ""),
        "the process never takes more priority by itself",
    ),
    inert("vrrp_rlimit_rtime", ONE, &Custom(old_rlimit), "the process never takes more priority by itself"),
    Directive::new("checker_priority", GLOBAL, BARE, &Custom(own_priority))
        .doc("Sets the niceness of the process of health checks."),
    Directive::new("checker_no_swap", GLOBAL, BARE, &Custom(own_memory))
        .doc("Keeps the process of health checks in memory."),
    Directive::new("checker_rt_priority", GLOBAL, BARE, &Custom(own_rt_priority))
        .doc("Sets the real-time priority of the process of health checks."),
    Directive::new("checker_cpu_affinity", GLOBAL, BARE, &Custom(own_cpu_affinity))
        .doc("Lists the processors the process of health checks may run on, by number."),
    inert(
        "checker_rlimit_rttime",
        ONE,
        &Judged(Kind::Unsigned, 1..=WIDE, "Invalid checker real-time limit - {v}", ""),
        "the process never takes more priority by itself",
    ),
    inert("checker_rlimit_rtime", ONE, &Custom(old_rlimit), "the process never takes more priority by itself"),
    Directive::new("bfd_priority", GLOBAL, BARE, &Custom(own_priority)).doc("Sets the niceness of the BFD process."),
    Directive::new("bfd_no_swap", GLOBAL, BARE, &Custom(own_memory))
        .doc("Keeps the BFD process in memory."),
    Directive::new("bfd_rt_priority", GLOBAL, BARE, &Custom(own_rt_priority))
        .doc("Sets the real-time priority of the BFD process."),
    Directive::new("bfd_cpu_affinity", GLOBAL, BARE, &Custom(own_cpu_affinity))
        .doc("Lists the processors the BFD process may run on, by number."),
    inert(
        "bfd_rlimit_rttime",
        ONE,
        &Judged(Kind::Unsigned, 1..=WIDE, "Invalid bfd real-time limit - {v}", ""),
        "the process never takes more priority by itself",
    ),
    inert("bfd_rlimit_rtime", ONE, &Custom(old_rlimit), "the process never takes more priority by itself"),
    Directive::new("notify_fifo", GLOBAL, BARE, &Custom(notify_fifo)).doc("Sets a FIFO every change is written to."),
    Directive::new("notify_fifo_script", GLOBAL, BARE, &CommandLine(fifo_script))
        .doc("Sets a script that is started to read the notify FIFO, with its path as last argument."),
    Directive::new("vrrp_notify_fifo", GLOBAL, BARE, &Custom(vrrp_fifo))
        .doc("Sets a FIFO every change of virtual routers is written to."),
    Directive::new("vrrp_notify_fifo_script", GLOBAL, BARE, &CommandLine(fifo_script)).doc(
        "Sets a script that is started to read the notify FIFO of virtual routers, with its path as last argument.",
    ),
    Directive::new(
        "vrrp_notify_priority_changes",
        GLOBAL,
        BARE,
        &Switch(|c: &mut Global| &mut c.notify_priority_changes, "Invalid value '{v}' for global {k} specified"),
    )
    .doc("Sets notify_priority_changes for all instances."),
    Directive::missing("snmp_socket", GLOBAL, BARE)
        .judged(&Custom(snmp_socket))
        .needs(AGENT)
        .doc("Where the SNMP agent is reached."),
    Directive::missing("enable_traps", GLOBAL, BARE).needs(AGENT).doc("Sends SNMP traps."),
    Directive::missing("enable_snmp_vrrp", GLOBAL, BARE).doc("Tells virtual routers over SNMP, as keepalived does."),
    Directive::missing("enable_snmp_keepalived", GLOBAL, BARE)
        .doc("Tells virtual routers over SNMP, in the older spelling."),
    Directive::missing("enable_snmp_rfc", GLOBAL, BARE).doc("Tells virtual routers over SNMP, as both standards do."),
    Directive::missing("enable_snmp_rfcv2", GLOBAL, BARE).doc("Tells virtual routers over SNMP, as RFC 2787 does."),
    Directive::missing("enable_snmp_rfcv3", GLOBAL, BARE).doc("Tells virtual routers over SNMP, as RFC 6527 does."),
    Directive::missing("enable_snmp_checker", GLOBAL, BARE)
        .omitted(Omission::Tunes("concerns SNMP only, which is refused"))
        .doc("Tells virtual servers over SNMP."),
    Directive::missing("enable_dbus", GLOBAL, BARE).doc("Tells virtual routers over D-Bus."),
    Directive::missing("dbus_service_name", GLOBAL, BARE)
        .judged(&Needed("{k} missing - ignoring"))
        .needs(BUS)
        .doc("The name taken on D-Bus."),
    Directive::new("script_user", GLOBAL, BARE, &Custom(script_user))
        .doc("Sets the user and the group scripts run as."),
    Directive::new("enable_script_security", GLOBAL, BARE, &Present(|c: &mut Global| &mut c.script_security, true))
        .doc("Refuses scripts of root that others could change."),
    inert(
        "vrrp_netlink_cmd_rcv_bufs",
        BARE,
        &Judged(Kind::Unsigned, 0..=WIDE, "{k} size ({v}) invalid", "{k} size missing"),
        "buffers are large, and what is lost is asked for again",
    ),
    inert(
        "vrrp_netlink_cmd_rcv_bufs_force",
        BARE,
        &JudgedSwitch("Invalid value '{v}' for global {k} specified"),
        "buffers are large, and what is lost is asked for again",
    ),
    inert(
        "vrrp_netlink_monitor_rcv_bufs",
        BARE,
        &Judged(Kind::Unsigned, 0..=WIDE, "{k} size ({v}) invalid", "{k} size missing"),
        "buffers are large, and what is lost is asked for again",
    ),
    inert(
        "vrrp_netlink_monitor_rcv_bufs_force",
        BARE,
        &JudgedSwitch("Invalid value '{v}' for global {k} specified"),
        "buffers are large, and what is lost is asked for again",
    ),
    inert(
        "process_monitor_rcv_bufs",
        BARE,
        &Judged(Kind::Unsigned, 0..=WIDE, "{k} size ({v}) invalid", "{k} size missing"),
        "buffers are large, and what is lost is asked for again",
    ),
    inert(
        "process_monitor_rcv_bufs_force",
        BARE,
        &JudgedSwitch("Invalid value '{v}' for global {k} specified"),
        "buffers are large, and what is lost is asked for again",
    ),
    inert(
        "lvs_netlink_cmd_rcv_bufs",
        BARE,
        &Judged(Kind::Unsigned, 0..=WIDE, "{k} size ({v}) invalid", "{k} size missing"),
        "buffers are large, and what is lost is asked for again",
    ),
    inert(
        "lvs_netlink_cmd_rcv_bufs_force",
        BARE,
        &JudgedSwitch("Invalid value '{v}' for global {k} specified"),
        "buffers are large, and what is lost is asked for again",
    ),
    inert(
        "lvs_netlink_monitor_rcv_bufs",
        BARE,
        &Judged(Kind::Unsigned, 0..=WIDE, "{k} size ({v}) invalid", "{k} size missing"),
        "buffers are large, and what is lost is asked for again",
    ),
    inert(
        "lvs_netlink_monitor_rcv_bufs_force",
        BARE,
        &JudgedSwitch("Invalid value '{v}' for global {k} specified"),
        "buffers are large, and what is lost is asked for again",
    ),
    inert("vrrp_rx_bufs_policy", BARE, &Custom(rx_policy), "adverts are read at once, so no buffer can be too small"),
    inert(
        "vrrp_rx_bufs_multiplier",
        BARE,
        &Custom(rx_multiplier),
        "adverts are read at once, so no buffer can be too small",
    ),
    Directive::new(
        "vrrp_startup_delay",
        GLOBAL,
        ONE,
        &Seconds(|c: &mut Global| &mut c.startup_delay, 1e-9..=4294.0, "{k} '{v}' is invalid"),
    )
    .doc("Sets the seconds before anything is sent."),
    Directive::new("log_unknown_vrids", GLOBAL, BARE, &Present(|c: &mut Global| &mut c.log_unknown_vrids, true))
        .doc("Logs adverts of routers nobody here takes part in."),
    Directive::new("umask", GLOBAL, ONE, &Custom(umask))
        .doc("Sets the permissions that files are created without, as a number or by names; --umask counts before it."),
    inert(
        "random_seed",
        ONE,
        &Judged(Kind::Unsigned, 0..=WIDE, "{k} {v} invalid", ""),
        "nothing that is served is random",
    ),
    Directive::new("reload_time_file", GLOBAL, BARE, &Custom(reload_time_file)).doc(
        "Sets the file with the time of the next reload, [[YY]YY-MM-DD ]hh:mm:ss[Z]; it is removed when that comes.",
    ),
    Directive::new("reload_repeat", GLOBAL, BARE, &Present(|c: &mut Global| &mut c.reload_repeat, true))
        .doc("Keeps the file with the time of the next reload, if it has no date: the reload comes each day."),
    Directive::new("config_save_dir", GLOBAL, ONE, &Text(|c: &mut Global| &mut c.config_save_dir, "")).doc(
        "Sets a folder that gets the text of each configuration that is read, and what each process knows before and \
         after a reload; it is made where it is not there.",
    ),
    Directive::new(
        "data_use_instance",
        GLOBAL,
        BARE,
        &Switch(
            |c: &mut Global| &mut c.dumps.use_instance,
            "Invalid value '{v}' for global date_use_instance specified",
        ),
    )
    .doc("Puts network namespace and instance into the name of keepalived.data, before its extension."),
    Directive::missing("dbus_no_interface_name", GLOBAL, BARE)
        .needs(BUS)
        .doc("Leaves interfaces out of the names on D-Bus."),
    Directive::new("disable_local_igmp", GLOBAL, BARE, &Present(|c: &mut Global| &mut c.disable_local_igmp, true))
        .doc("Keeps the kernel from reporting memberships of 224.0.0.0/24, from start to stop."),
    Directive::new(
        "fifo_write_vrrp_states_on_reload",
        GLOBAL,
        BARE,
        &Present(|c: &mut Global| &mut c.states_on_reload, true),
    )
    .doc("Writes to the notify FIFOs, after a reload, the states that it did not change."),
    Directive::new(INCLUDE_CHECK, GLOBAL, BARE, &Custom(include_check)).doc(
        "Makes includes errors that name files which cannot be read (readable), are missing (match), match no pattern \
         (wildcard_match) or not each of the braces (brace_match); all without words. + and - change what holds.",
    ),
    Directive::new("iproute_etc_dir", GLOBAL, BARE, &OnePath)
        .doc("Sets the folder with the names of tables, protocols and scopes; /etc/iproute2 unless given."),
    Directive::new("iproute_usr_dir", GLOBAL, BARE, &OnePath)
        .doc("Sets the folder with those names that are not in the first; /usr/share/iproute2 unless given."),
    Directive::new("json_dump_file", GLOBAL, BARE, &DumpFile(|dumps| &mut dumps.json))
        .doc("Sets the file of the JSON dump; a name that ends in / is a folder."),
    Directive::new("json_version", GLOBAL, BARE, &Custom(json_version)).doc(
        "Sets the form of the JSON dump: 1, a list of instances, or 2, an object with instances and tracked processes.",
    ),
    Directive::new("reload_check_config", GLOBAL, BARE, &Custom(reload_check)).doc(
        "Tests a configuration before it is reloaded, as `-t` does; what is wrong is written to the file, and the daemon \
         goes on with what it has.",
    ),
    Directive::new("reload_file", GLOBAL, BARE, &Custom(reload_file)).doc(
        "Sets a file that is there while the configuration is read at a reload, and removed afterwards; keepalived.reload \
         beside the pid file unless given.",
    ),
    Directive::new(
        "set_supplementary_groups",
        GLOBAL,
        BARE,
        &Switch(|c: &mut Global| &mut c.supplementary_groups, "Invalid set_supplementary_groups parameter {v}"),
    )
    .doc("Runs scripts with the supplementary groups of their user."),
    Directive::missing("snmp_rs_stats_update_interval", GLOBAL, BARE)
        .omitted(Omission::Tunes("concerns SNMP only, which is refused"))
        .doc("How old the counters of real servers shown over SNMP may be."),
    Directive::missing("snmp_vs_stats_update_interval", GLOBAL, BARE)
        .omitted(Omission::Tunes("concerns SNMP only, which is refused"))
        .doc("How old the counters of virtual servers shown over SNMP may be."),
    Directive::new("state_dump_file", GLOBAL, BARE, &DumpFile(|dumps| &mut dumps.data))
        .doc("Sets the file of the dump of the data; a name that ends in / is a folder."),
    Directive::new("stats_dump_file", GLOBAL, BARE, &DumpFile(|dumps| &mut dumps.stats))
        .doc("Sets the file of the dump of the counters; a name that ends in / is a folder."),
    inert(
        "tmp_config_directory",
        BARE,
        &Needed("{k} missing directory name"),
        "no copy of the configuration is made",
    ),
    Directive::new(
        "use_symlink_paths",
        GLOBAL,
        BARE,
        &Switch(|c: &mut Global| &mut c.symlink_paths, "Invalid value '{v}' for global use_symlink_path specified"),
    )
    .doc("Runs scripts by the path that is given, its symbolic links left in."),
    Directive::new(
        "v3_checksum_as_v2",
        GLOBAL,
        BARE,
        &Switch(|c: &mut Global| &mut c.checksum_as_v2, "Invalid value '{v}' for global {k} specified"),
    )
    .doc("Sets v3_checksum_as_v2 for all instances."),
    Directive::missing("vmac_addr_prefix", GLOBAL, ONE).doc("How the interfaces of use_vmac_addr are called."),
    Directive::new("vmac_prefix", GLOBAL, ONE, &Custom(vmac_prefix))
        .doc("Sets what the names of the interfaces of use_vmac begin with; vrrp unless given."),
    Directive::new(
        "vrrp_delay_after_boot",
        GLOBAL,
        BARE,
        &Seconds(|c: &mut Global| &mut c.delay_after_boot, 1e-9..=4294.0, "{k} '{v}' is invalid"),
    )
    .doc("Sets how many seconds the machine must be up before anything is sent."),
    Directive::new(
        "vrrp_down_timer_adverts",
        GLOBAL,
        ONE,
        &Unsigned(|c: &mut Global| &mut c.down_timer_adverts, 1..=100, "Invalid {k} [1:100] '{v}'"),
    )
    .doc("Sets down_timer_adverts for all instances."),
    Directive::new("vrrp_garp_extra_if", GLOBAL, BARE, &Custom(extra_garp))
        .doc("Sets garp_extra_if for all instances."),
    Directive::new(
        "vrrp_owner_ignore_adverts",
        GLOBAL,
        BARE,
        &Switch(|c: &mut Global| &mut c.owner_ignore_adverts, "Invalid value '{k}' for global {v} specified"),
    )
    .doc("Sets owner_ignore_adverts for all instances with priority 255."),
    Directive::new("vrrp_vmac_garp_intvl", GLOBAL, BARE, &Custom(vmac_garp))
        .doc("The older name of vrrp_garp_extra_if."),
];

/// What a process asks of the system.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Runtime {
    /// Its name.
    pub name: Option<String>,
    /// Its niceness.
    pub nice: Option<i64>,
    /// Its real-time priority.
    pub realtime: Option<i64>,
    /// It stays in memory.
    pub no_swap: Option<bool>,
    /// The processors it may run on; all where there is none.
    pub processors: Vec<usize>,
}

/// What concerns the whole daemon; what was not given is `None`.
#[derive(Clone, Debug, Default)]
pub struct Global {
    /// `router_id`.
    pub router_id: Option<String>,
    /// `notification_email_from`.
    pub mail_from: Option<String>,
    /// `notification_email`.
    pub mail_to: Vec<String>,
    /// `smtp_server`.
    pub smtp_server: Option<(String, u16)>,
    /// `smtp_helo_name`.
    pub smtp_helo: Option<String>,
    /// `smtp_connect_timeout`.
    pub smtp_timeout: Option<Duration>,
    /// `smtp_alert`.
    pub smtp_alert: Option<bool>,
    /// `smtp_alert_vrrp`.
    pub smtp_alert_vrrp: Option<bool>,
    /// `no_email_faults`.
    pub no_email_faults: Option<bool>,
    /// `script_user`.
    pub script_user: Option<(String, Option<String>)>,
    /// Where that is said.
    pub script_user_span: Option<Span>,
    /// `enable_script_security`.
    pub script_security: Option<bool>,
    /// `dynamic_interfaces`.
    pub dynamic_interfaces: Option<bool>,
    /// `default_interface`.
    pub default_interface: Option<String>,
    /// `vrrp_mcast_group4`.
    pub mcast_group4: Option<Ipv4Addr>,
    /// `vrrp_mcast_group6`.
    pub mcast_group6: Option<Ipv6Addr>,
    /// `vrrp_garp_master_delay`.
    pub garp_delay: Option<i64>,
    /// `vrrp_garp_master_repeat`.
    pub garp_repeat: Option<i64>,
    /// `vrrp_garp_master_refresh`.
    pub garp_refresh: Option<i64>,
    /// `vrrp_garp_master_refresh_repeat`.
    pub garp_refresh_repeat: Option<i64>,
    /// `vrrp_garp_lower_prio_delay`.
    pub garp_lower_delay: Option<i64>,
    /// `vrrp_garp_lower_prio_repeat`.
    pub garp_lower_repeat: Option<i64>,
    /// `vrrp_garp_interval`.
    pub garp_interval: Option<Duration>,
    /// `vrrp_gna_interval`.
    pub gna_interval: Option<Duration>,
    /// `vrrp_min_garp`.
    pub min_garp: Option<bool>,
    /// `vrrp_lower_prio_no_advert`.
    pub lower_prio_no_advert: Option<bool>,
    /// `vrrp_higher_prio_send_advert`.
    pub higher_prio_send_advert: Option<bool>,
    /// `vrrp_version`.
    pub version: Option<i64>,
    /// `vrrp_check_unicast_src`.
    pub check_unicast_src: Option<bool>,
    /// `vrrp_skip_check_adv_addr`.
    pub skip_check_adv_addr: Option<bool>,
    /// `vrrp_strict`.
    pub strict: Option<bool>,
    /// `vrrp_down_timer_adverts`.
    pub down_timer_adverts: Option<i64>,
    /// `vrrp_priority`.
    pub nice: Option<i64>,
    /// `vrrp_no_swap`.
    pub no_swap: Option<bool>,
    /// `vrrp_rt_priority`.
    pub realtime: Option<i64>,
    /// `vrrp_startup_delay`.
    pub startup_delay: Option<Duration>,
    /// `log_unknown_vrids`.
    pub log_unknown_vrids: Option<bool>,
    /// `vrrp_notify_priority_changes`.
    pub notify_priority_changes: Option<bool>,
    /// `process_name`.
    pub process_name: Option<String>,
    /// `vrrp_process_name`.
    pub vrrp_process_name: Option<String>,
    /// `notify_fifo`.
    pub notify_fifo: Option<String>,
    /// `vrrp_notify_fifo`.
    pub vrrp_notify_fifo: Option<String>,
    /// `startup_script`.
    pub startup_script: Option<Command>,
    /// Where it is given.
    pub startup_script_span: Option<Span>,
    /// `startup_script_timeout`.
    pub startup_script_timeout: Option<Duration>,
    /// `shutdown_script`.
    pub shutdown_script: Option<Command>,
    /// Where it is given.
    pub shutdown_script_span: Option<Span>,
    /// `shutdown_script_timeout`.
    pub shutdown_script_timeout: Option<Duration>,
    /// `v3_checksum_as_v2`.
    pub checksum_as_v2: Option<bool>,
    /// `umask`.
    pub umask: Option<u32>,
    /// `vrrp_cpu_affinity`.
    pub processors: Vec<usize>,
    /// `disable_local_igmp`.
    pub disable_local_igmp: Option<bool>,
    /// `vmac_prefix`.
    pub vmac_prefix: Option<String>,
    /// `vrrp_delay_after_boot`.
    pub delay_after_boot: Option<Duration>,
    /// `vrrp_garp_extra_if`.
    pub extra_garp: Option<ExtraGarp>,
    /// `nftables`: the name of the tables.
    pub nftables: Option<String>,
    /// `nftables_priority`.
    pub nftables_priority: Option<i64>,
    /// `nftables_counters`.
    pub nftables_counters: Option<bool>,
    /// `nftables_ifindex`.
    pub nftables_ifindex: Option<bool>,
    /// `reload_time_file`.
    pub reload_time_file: Option<String>,
    /// `config_save_dir`.
    pub config_save_dir: Option<String>,
    /// `reload_check_config`: where what is wrong is written.
    pub reload_check: Option<String>,
    /// `reload_file`.
    pub reload_file: Option<ReloadFile>,
    /// `reload_repeat`.
    pub reload_repeat: Option<bool>,
    /// `vrrp_owner_ignore_adverts`.
    pub owner_ignore_adverts: Option<bool>,
    /// `fifo_write_vrrp_states_on_reload`.
    pub states_on_reload: Option<bool>,
    /// `set_supplementary_groups`.
    pub supplementary_groups: Option<bool>,
    /// `use_symlink_paths`.
    pub symlink_paths: Option<bool>,
    /// `state_dump_file` and its kin.
    pub dumps: Dumps,
    /// `bfd_process_name` and its kin.
    pub bfd: Runtime,
    /// `lvs_process_name`, `checker_priority` and their kin.
    pub checkers: Runtime,
    /// Which of the following were given.
    pub fifo_scripts_given: Vec<&'static str>,
    /// `notify_fifo_script` and `vrrp_notify_fifo_script`.
    pub fifo_scripts: Vec<(&'static str, Command)>,
}

impl Conf for Global {
    fn inherit(&mut self, _: &Self) {}
}

type Outcome = Result<(), Diagnostic>;

fn script_user(_: &mut Setting<'_>, global: &mut Global, statement: &Statement) -> Outcome {
    if statement.arguments().is_empty() {
        return Err(complain("No script username specified"));
    }
    let group = statement.arguments().get(1).map(|word| word.text().into_owned());
    global.script_user_span = Some(statement.span);
    global.script_user = Some((first(statement), group));
    Ok(())
}

/// The address of a group of receivers.
fn group(cx: &Setting<'_>, statement: &Statement, ipv6: bool) -> Result<IpAddr, Diagnostic> {
    let (text, keyword) = (first(statement), cx.row.name);
    let refuse = |why: &str| complain(format!("{keyword} [{text}] is not {why}. Skipping"));
    let address: IpAddr =
        text.parse().map_err(|_| complain(format!("Configuration error: Cant parse {keyword} [{text}]. Skipping")))?;
    if address.is_ipv6() != ipv6 {
        return Err(refuse(if ipv6 { "IPv6" } else { "IPv4" }));
    }
    if address.is_multicast() { Ok(address) } else { Err(refuse("multicast")) }
}

fn group4(cx: &mut Setting<'_>, global: &mut Global, statement: &Statement) -> Outcome {
    if let IpAddr::V4(address) = group(cx, statement, false)? {
        global.mcast_group4 = Some(address);
    }
    Ok(())
}

fn group6(cx: &mut Setting<'_>, global: &mut Global, statement: &Statement) -> Outcome {
    if let IpAddr::V6(address) = group(cx, statement, true)? {
        global.mcast_group6 = Some(address);
    }
    Ok(())
}
