//! What the daemon is doing, as data: the VRRP process reports it, the parent keeps the only copy and answers queries from
//! it. Times are seconds since 1970.

pub mod server;

use self::server::VirtualServer;
use serde::{Deserialize, Deserializer, Serialize};
use std::borrow::Cow;
use std::collections::VecDeque;
use std::time::{SystemTime, UNIX_EPOCH};

/// State changes of an instance that are kept, the latest last.
pub const TRANSITIONS: usize = 16;

/// A word or a reason that is mostly one of a few, which take no memory then.
pub type Word = Cow<'static, str>;

/// Words and reasons that take no memory.
const KNOWN: &[&str] = &[
    "INIT",
    "BACKUP",
    "MASTER",
    "FAULT",
    "script",
    "interface",
    "file",
    "process",
    "bfd",
    "good",
    "bad",
    "unknown",
    "unused",
    reason::START,
    reason::TIMEOUT,
    reason::RECOVERED,
    reason::RESIGNED,
    reason::OWNER,
    reason::STOP,
    reason::GROUP,
];

/// Why states change, where nothing else is told.
pub mod reason {
    /// It has just started.
    pub const START: &str = "start";
    /// A backup became master.
    pub const TIMEOUT: &str = "no advert of a master came in time";
    /// It was in fault.
    pub const RECOVERED: &str = "nothing keeps it in fault";
    /// A master became backup.
    pub const RESIGNED: &str = "it gave up";
    /// An address owner became master.
    pub const OWNER: &str = "it owns its addresses";
    /// It ends.
    pub const STOP: &str = "stop";
    /// Its group is in fault.
    pub const GROUP: &str = "a member of its group is in fault";
}

/// Reads a word; one that is known takes no memory.
fn word<'a, D: Deserializer<'a>>(deserializer: D) -> Result<Word, D::Error> {
    let text = String::deserialize(deserializer)?;
    let known = KNOWN.iter().find(|known| **known == text);
    Ok(known.map_or_else(|| Word::Owned(text), |known| Word::Borrowed(known)))
}

/// Everything that is known.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Status {
    /// The program's version.
    pub version: String,
    /// The parent process.
    pub pid: u32,
    /// When the parent started.
    pub started: f64,
    /// The VRRP process.
    pub vrrp: Vrrp,
    /// When the VRRP process last reported.
    pub updated: Option<f64>,
    /// The reads of the configuration since the start.
    pub reloads: Reloads,
    /// How late the VRRP process wakes up.
    pub lateness: Lateness,
    /// The virtual routers, in the order of the file.
    pub instances: Vec<Instance>,
    /// The sync groups.
    pub groups: Vec<Group>,
    /// The tracked scripts.
    pub scripts: Vec<Script>,
    /// The process of health checks, while it runs.
    pub checkers: Option<i32>,
    /// The virtual servers, in the order of the file.
    pub virtual_servers: Vec<VirtualServer>,
}

/// The VRRP process, as its parent sees it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Vrrp {
    /// Its process id, while it runs.
    pub pid: Option<i32>,
    /// Its configuration is in use.
    pub serving: bool,
    /// How often it ended without being asked to.
    pub deaths: u64,
}

/// Reloads.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Reloads {
    /// Those that were used.
    pub used: u64,
    /// Those that were refused; the configuration before stays.
    pub refused: u64,
    /// The last one was refused.
    pub last_refused: bool,
    /// When the last one was.
    pub at: Option<f64>,
}

/// How late the loop of the VRRP process reaches its deadlines.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Lateness {
    /// Deadlines reached.
    pub deadlines: u64,
    /// Deadlines reached more than 10 ms late.
    pub late: u64,
    /// The sum of all delays, in seconds.
    pub seconds: f64,
    /// The greatest delay, in seconds.
    pub worst: f64,
}

/// A virtual router.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Instance {
    /// Its name.
    pub name: String,
    /// INIT, BACKUP, MASTER or FAULT.
    #[serde(deserialize_with = "word")]
    pub state: Word,
    /// Since when.
    pub since: f64,
    /// Its virtual router id.
    pub vrid: u8,
    /// The version of the protocol.
    pub version: u8,
    /// Its interface.
    pub interface: String,
    /// The address its adverts carry.
    pub source: Option<String>,
    /// The configured priority.
    pub base_priority: u8,
    /// The priority that counts.
    pub priority: u8,
    /// What everything it tracks does to the priority.
    pub tracks: Vec<Contribution>,
    /// The master it listens to; nothing while it is master itself.
    pub master: Option<Master>,
    /// The addresses it has when it is master.
    pub addresses: Vec<String>,
    /// How many of them the kernel holds for it.
    pub held: usize,
    /// What keeps it from being master, in words; empty for a master.
    pub obstacles: Vec<String>,
    /// Other hosts that hold the addresses of this master as well, in words; only with `--detect-conflicts`.
    pub conflicts: Vec<String>,
    /// How often its state changed.
    pub changes: u64,
    /// The latest changes of state.
    pub transitions: VecDeque<Transition>,
    /// What it has counted.
    pub counters: Counters,
}

/// The master a backup listens to.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Master {
    /// Its address.
    pub address: String,
    /// Its priority.
    pub priority: u8,
}

/// What a tracked thing does to a router's priority.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Contribution {
    /// script, interface, file, process or bfd.
    #[serde(deserialize_with = "word")]
    pub kind: Word,
    /// Its name.
    pub name: String,
    /// good, bad, unknown, unused, or the number of a file.
    #[serde(deserialize_with = "word")]
    pub reading: Word,
    /// The configured weight.
    pub weight: i32,
    /// Good and bad change places.
    pub reverse: bool,
    /// What it adds to the priority now.
    pub adds: i32,
    /// It puts the router in fault now.
    pub fault: bool,
}

/// A change of state.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Transition {
    /// When.
    pub at: f64,
    /// The state before.
    #[serde(deserialize_with = "word")]
    pub from: Word,
    /// The state after.
    #[serde(deserialize_with = "word")]
    pub to: Word,
    /// Why.
    #[serde(deserialize_with = "word")]
    pub reason: Word,
}

/// What an instance has counted since the VRRP process started.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counters {
    /// Adverts of its virtual router received.
    pub adverts_received: u64,
    /// Adverts sent.
    pub adverts_sent: u64,
    /// Adverts that could not be sent, to all or some of their receivers.
    pub adverts_failed: u64,
    /// Adverts of priority 0 received.
    pub priority_zero_received: u64,
    /// Adverts of priority 0 sent.
    pub priority_zero_sent: u64,
    /// Times it became master.
    pub became_master: u64,
    /// Times it stopped being master.
    pub released_master: u64,
    /// Gratuitous ARPs and neighbour advertisements of its addresses.
    pub announcements: u64,
    /// Packets that were not taken, by reason.
    pub errors: Errors,
}

/// Packets that were not taken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Errors {
    /// Of a wrong length.
    pub packet_length: u64,
    /// That crossed a router.
    pub ttl: u64,
    /// That were no adverts.
    pub invalid_type: u64,
    /// Sent at another interval.
    pub advertise_interval: u64,
    /// About other addresses.
    pub address_list: u64,
    /// Of an unknown authentication type.
    pub authentication_invalid: u64,
    /// Of another authentication type.
    pub authentication_mismatch: u64,
    /// With a wrong password or check value.
    pub authentication_failure: u64,
}

impl Errors {
    /// Every kind and its count.
    pub const fn each(&self) -> [(&'static str, u64); 8] {
        [
            ("packet_length", self.packet_length),
            ("ttl", self.ttl),
            ("invalid_type", self.invalid_type),
            ("advertise_interval", self.advertise_interval),
            ("address_list", self.address_list),
            ("authentication_invalid", self.authentication_invalid),
            ("authentication_mismatch", self.authentication_mismatch),
            ("authentication_failure", self.authentication_failure),
        ]
    }
}

/// A sync group.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Group {
    /// Its name.
    pub name: String,
    /// The state it was last notified of; INIT before that.
    #[serde(deserialize_with = "word")]
    pub state: Word,
    /// Its members.
    pub members: Vec<String>,
}

/// A tracked script.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Script {
    /// Its name.
    pub name: String,
    /// good, bad, unknown, or disabled where it may not be run.
    #[serde(deserialize_with = "word")]
    pub reading: Word,
    /// It runs now.
    pub running: bool,
    /// How often it ended.
    pub runs: u64,
    /// How often it failed, timeouts included.
    pub failures: u64,
    /// How often it took too long.
    pub timeouts: u64,
    /// How its last run ended.
    pub last_result: Option<String>,
    /// How long that took, in seconds.
    pub last_duration: Option<f64>,
    /// When that was.
    pub last_at: Option<f64>,
}

/// A time as the status has it.
pub fn seconds(time: SystemTime) -> f64 {
    time.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64()
}

/// The time now, as the status has it.
pub fn now() -> f64 {
    seconds(SystemTime::now())
}
