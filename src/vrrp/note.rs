//! The log lines of a router, in keepalived's words; the line's `(<instance>) ` is the logger's.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use super::refusal::Refusal;
use std::fmt;
use std::net::IpAddr;
use std::time::Duration;

/// One line of the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Note {
    /// A new backup; `initial` when nothing had to be waited for at start.
    EnteringBackup {
        /// The first state ever.
        initial: bool,
    },
    /// A new master.
    EnteringMaster,
    /// The router is in fault.
    EnteringFault {
        /// The first state ever, and nothing had to be waited for.
        initial: bool,
    },
    /// The master has been silent for too long.
    AdvertTimeout,
    /// Addresses are blocked before they come.
    SettingFirewall,
    /// Addresses come.
    SettingAddresses,
    /// Addresses that are not on the wire come.
    SettingExcluded,
    /// Routes come.
    SettingRoutes,
    /// Routing rules come.
    SettingRules,
    /// Routing rules go.
    RemovingRules,
    /// Routes go.
    RemovingRoutes,
    /// Addresses go.
    RemovingAddresses,
    /// Addresses that are not on the wire go.
    RemovingExcluded,
    /// Addresses that went are not blocked any more.
    RemovingFirewall,
    /// A master's adverts were so late that another may have taken over; how late the last one is.
    ///
    /// Differs from keepalived: the line names the instance. [test: a_master_whose_adverts_are_late_gives_way]
    TimerExpired(Duration),
    /// Priority 0 was sent.
    SentZero,
    /// A backup heard a lower priority than its own.
    Discarding {
        /// The priority heard.
        priority: u8,
        /// Who sent it.
        source: IpAddr,
    },
    /// A backup received priority 0 from its master.
    BackupZero,
    /// A master received priority 0.
    MasterZero,
    /// A master received an advert of lower priority.
    Lower {
        /// The priority heard.
        priority: u8,
        /// Ours.
        ours: u8,
        /// Who sent it.
        source: IpAddr,
        /// It is answered with an advert.
        advertises: bool,
    },
    /// A master that received a lower priority continues from the sequence number in its authentication header.
    SequenceAdopted,
    /// A peer's checksums cover the multicast group.
    OldChecksum,
    /// A master received an advert of higher priority.
    Higher {
        /// The priority heard.
        priority: u8,
        /// Ours.
        ours: u8,
        /// Who sent it.
        source: IpAddr,
    },
    /// A master received an advert of equal priority from a higher address.
    HigherAddress {
        /// The priority of both.
        priority: u8,
        /// Who sent it.
        source: IpAddr,
    },
    /// A master received its own advert.
    OurAddress,
    /// Two hosts own the addresses.
    TwoOwners,
    /// A lower master is tolerated for a while.
    StartPreemptDelay(Duration),
    /// A higher master has appeared meanwhile.
    StopPreemptDelay,
    /// Tracked things changed the priority.
    PriorityChanged {
        /// Before.
        from: u8,
        /// Now.
        to: u8,
        /// The router is master.
        master: bool,
    },
    /// A packet was not for us.
    Refused(Refusal),
    /// Lines of one kind that were not written, because too many came at once: the last of them, and how many.
    Repeated {
        /// The last line.
        last: Box<Self>,
        /// How many there were.
        count: u32,
    },
    /// A VRRPv3 backup hears adverts in another interval than before.
    IntervalChanged {
        /// The interval before.
        mine: Duration,
        /// The advert's.
        received: Duration,
    },
    /// It adopts the interval of its master (RFC 9568 §6.4.2).
    IntervalUpdated {
        /// The interval from now on.
        to: Duration,
        /// The interval before.
        from: Duration,
    },
    /// A VRRPv3 master adopts the interval of the one that replaces it.
    IntervalOfHigher {
        /// The interval before.
        from: Duration,
        /// The interval from now on.
        to: Duration,
    },
    /// The clock of a sender is away by more than half of what is accepted.
    ClockSkew {
        /// The seconds it is behind.
        skew: i32,
        /// The sender.
        source: IpAddr,
        /// The seconds it may be away.
        window: u32,
    },
    /// A new VRRPv3 master advertises in its own interval.
    OwnInterval(Duration),
}

impl Note {
    /// Whether it is said only to those who ask for detail (`-D`).
    pub const fn is_detail(&self) -> bool {
        matches!(
            self,
            Self::AdvertTimeout
                | Self::SettingFirewall
                | Self::RemovingFirewall
                | Self::SettingAddresses
                | Self::SettingExcluded
                | Self::SettingRoutes
                | Self::SettingRules
                | Self::RemovingRules
                | Self::RemovingRoutes
                | Self::RemovingAddresses
                | Self::RemovingExcluded
                | Self::StartPreemptDelay(_)
                | Self::StopPreemptDelay
        )
    }
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::EnteringBackup { initial: true } => write!(f, "Entering BACKUP STATE (init)"),
            Self::EnteringBackup { initial: false } => write!(f, "Entering BACKUP STATE"),
            Self::EnteringMaster => write!(f, "Entering MASTER STATE"),
            Self::EnteringFault { initial: true } => write!(f, "entering FAULT state"),
            Self::EnteringFault { initial: false } => write!(f, "Entering FAULT STATE"),
            Self::AdvertTimeout => write!(f, "Receive advertisement timeout"),
            Self::SettingFirewall => write!(f, "setting firewall drop rule"),
            Self::RemovingFirewall => write!(f, "removing firewall drop rule"),
            Self::SettingAddresses => write!(f, "setting VIPs."),
            Self::SettingExcluded => write!(f, "setting E-VIPs."),
            Self::SettingRoutes => write!(f, "setting Virtual Routes"),
            Self::SettingRules => write!(f, "setting Virtual Rules"),
            Self::RemovingRules => write!(f, "removing Virtual Rules"),
            Self::RemovingRoutes => write!(f, "removing Virtual Routes"),
            Self::RemovingAddresses => write!(f, "removing VIPs."),
            Self::RemovingExcluded => write!(f, "removing E-VIPs."),
            Self::SequenceAdopted => write!(f, "IPSEC-AH : Syncing seq_num - Increment seq"),
            Self::OldChecksum => write!(f, "Setting unicast VRRPv3 checksum to old version"),
            Self::TimerExpired(late) => {
                write!(f, "VRRP thread timer expired {}.{:06} seconds ago", late.as_secs(), late.subsec_micros())
            }
            Self::SentZero => write!(f, "sent 0 priority"),
            Self::Discarding { priority, source } => {
                write!(f, "received lower priority ({priority}) advert from {source} - discarding")
            }
            Self::BackupZero => write!(f, "Backup received priority 0 advertisement"),
            Self::MasterZero => write!(f, "Master received priority 0 message"),
            Self::Lower { priority, ours, source, advertises } => {
                let election = if *advertises { ", forcing new election" } else { "" };
                write!(f, "Received advert from {source} with lower priority {priority}, ours {ours}{election}")
            }
            Self::Higher { priority, ours, source } => {
                write!(f, "Master received advert from {source} with higher priority {priority}, ours {ours}")
            }
            Self::HigherAddress { priority, source } => write!(
                f,
                "Master received advert from {source} with same priority {priority} but higher IP address than ours"
            ),
            Self::OurAddress => {
                write!(f, "WARNING - equal priority advert received from remote host with our IP address.")
            }
            Self::TwoOwners => write!(
                f,
                "CONFIGURATION ERROR: local instance and a remote instance are both configured as address owner, please \
                 fix - reducing local priority"
            ),
            Self::StartPreemptDelay(delay) => {
                write!(f, "start preempt delay ({}.{:06})", delay.as_secs(), delay.subsec_micros())
            }
            Self::StopPreemptDelay => write!(f, "stop preempt delay"),
            Self::PriorityChanged { from, to, .. } => write!(f, "Changing effective priority from {from} to {to}"),
            Self::Refused(refusal) => refusal.fmt(f),
            Self::Repeated { last, count } => write!(f, "{last} - {count} more in the last second"),
            Self::IntervalChanged { mine, received } => {
                let (mine, received) = (mine.as_millis(), received.as_millis());
                write!(f, "advertisement interval changed: mine={mine} milli-sec, rcved={received} milli-sec")
            }
            Self::IntervalUpdated { to, from } => {
                let (to, from) = (to.as_millis(), from.as_millis());
                write!(f, "advertisement interval updated to {to} milli-sec from {from} milli-sec")
            }
            Self::IntervalOfHigher { from, to } => {
                let (from, to) = (from.as_millis(), to.as_millis());
                write!(f, "advertisement interval updated from {from} to {to} milli-sec from higher priority master")
            }
            Self::ClockSkew { skew, source, window } => {
                write!(f, "authentication clock skew {skew} sec from {source} approaching window {window} sec")
            }
            Self::OwnInterval(interval) => {
                write!(f, "using locally configured advertisement interval ({} milli-sec)", interval.as_millis())
            }
        }
    }
}
