//! Stories told twice: real keepalived and ours live through the same events, and must say the same of them.

use std::fs;
use std::io;
use std::net::Ipv4Addr;
use std::process::Command;
use std::thread;
use std::time::Duration;

use compat_tests::link;
use compat_tests::net::{Host, Switch};
use compat_tests::process::Running;
use compat_tests::program::Program;
use compat_tests::{mount, wait_for};

use super::pair::{LIMIT, PORT};

/// The second interface of the host in question.
const SECOND: &str = "ens34";
/// Where it looks for what its script tests.
const FILE: &str = "/tmp/ok";

/// What happens.
#[derive(Clone, Copy)]
enum Step {
    /// Our own daemon is started on the other host with this configuration.
    Other(&'static str),
    /// It is told to end.
    OtherEnds,
    /// The daemon in question is started.
    Start,
    /// It is told to read its file again.
    Reload,
    /// Its second interface goes down or up.
    Second(bool),
    /// The file its script tests comes or goes.
    File(bool),
}

/// Events, each with the seconds until the next.
struct Story {
    configuration: String,
    steps: Vec<(Step, u64)>,
}

/// What is compared: states, priorities, groups, scripts, adverts. Not the announcements, whose pace is ours.
fn told(line: &str) -> Option<String> {
    const WORDS: [&str; 16] = [
        "Entering ",
        "entering ",
        "Syncing",
        "Changing effective",
        "lower priority",
        "higher priority",
        "Receive advertisement",
        "Netlink reports",
        " VIPs",
        "E-VIPs",
        "VRRP_Script",
        "now returning",
        "0 priority",
        "priority 0",
        "tracked",
        "address owner",
    ];
    let text = line.get(24..).map_or(line, |rest| rest.trim_start_matches([':', ' ']));
    WORDS.iter().any(|word| text.contains(word)).then(|| text.to_owned())
}

fn daemon(host: &Host, program: Program, text: String) -> io::Result<Running> {
    host.run(|| fs::write("/etc/keepalived/keepalived.conf", text))??;
    let mut command = Command::new(program.keepalived()?);
    command.args(["-n", "-l", "-D", "-f", "/etc/keepalived/keepalived.conf"]);
    host.start(command)
}

/// What a program said between each step and the next, a step's lines in no order.
fn live(story: &Story, program: Program) -> io::Result<Vec<Vec<String>>> {
    let switch = Switch::new()?;
    let host = |name: &str, number: u8| -> io::Result<Host> {
        let host = Host::new(name)?;
        host.run(|| mount::replace("/etc/keepalived"))??;
        switch.plug(&host, PORT, Ipv4Addr::new(192, 168, 110, number), 24)?;
        Ok(host)
    };
    let (own, other) = (host("own", 11)?, host("other", 12)?);
    // A switch has one port for each host.
    let second = Switch::new()?;
    second.plug(&own, SECOND, Ipv4Addr::new(192, 168, 111, 11), 24)?;
    let (mut running, mut opposite): (Option<Running>, Option<Running>) = (None, None);
    let (mut seen, mut phases) = (0, Vec::new());
    for (step, seconds) in &story.steps {
        match *step {
            Step::Other(text) => opposite = Some(daemon(&other, Program::Ours, text.to_owned())?),
            Step::OtherEnds => {
                if let Some(opposite) = opposite.take() {
                    opposite.stop(LIMIT)?;
                }
            }
            Step::Start => running = Some(daemon(&own, program, story.configuration.clone())?),
            Step::Reload => {
                if let Some(running) = &running {
                    running.signal(nix::sys::signal::Signal::SIGHUP);
                }
            }
            Step::Second(up) => own.run(move || link::set_up(SECOND, up))??,
            Step::File(true) => own.run(|| fs::write(FILE, ""))??,
            Step::File(false) => own.run(|| fs::remove_file(FILE))??,
        }
        thread::sleep(Duration::from_secs(*seconds));
        let text = running.as_ref().map_or_else(String::new, Running::output);
        let mut lines: Vec<String> = text.lines().skip(seen).filter_map(told).collect();
        seen = text.lines().count();
        lines.sort_unstable();
        phases.push(lines);
    }
    if let Some(running) = running.take() {
        running.stop(LIMIT)?;
        wait_for("an end", LIMIT, || running.ended().map(|_| ()))?;
    }
    Ok(phases)
}

/// Both programs at once, each on a network of its own.
fn same(story: Story) -> io::Result<()> {
    let [original, ours] = thread::scope(|scope| {
        let story = &story;
        let both = [Program::Original, Program::Ours].map(|program| scope.spawn(move || live(story, program)));
        both.map(|one| one.join().unwrap_or_else(|_| Err(io::Error::other("a panic"))))
    });
    let (original, ours) = (original?, ours?);
    assert!(
        original.iter().any(|phase| phase.iter().any(|line| line.contains("Entering MASTER STATE"))),
        "{original:?}"
    );
    for (at, (theirs, own)) in original.iter().zip(&ours).enumerate() {
        assert_eq!(theirs, own, "keepalived's lines and ours after step {at} differ");
    }
    Ok(())
}

const GLOBAL: &str = "global_defs {\n router_id x\n script_user root\n enable_script_security\n}\n";

fn instance(name: &str, state: &str, (vrid, priority): (u8, u8), more: &str) -> String {
    format!(
        "vrrp_instance {name} {{\n state {state}\n interface {PORT}\n virtual_router_id {vrid}\n priority {priority}\n \
         virtual_ipaddress {{\n 192.168.110.{vrid}\n }}\n{more}\n}}\n"
    )
}

fn grouped(members: [String; 2]) -> String {
    [GLOBAL.to_owned(), "vrrp_sync_group G {\n group {\n A\n B\n }\n}\n".to_owned(), members.concat()].concat()
}

const STRONGER: &str = "global_defs {\n router_id y\n}\nvrrp_instance A {\n interface ens33\n virtual_router_id 51\n priority \
                        200\n virtual_ipaddress {\n 192.168.110.51\n }\n}\n";
const OWNER: &str = "global_defs {\n router_id y\n}\nvrrp_instance A {\n state MASTER\n interface ens33\n virtual_router_id \
                     51\n priority 255\n virtual_ipaddress {\n 192.168.110.51\n }\n}\n";

#[test]
fn a_group_becomes_master_only_as_a_whole() -> io::Result<()> {
    let configuration = grouped([instance("A", "BACKUP", (51, 100), ""), instance("B", "BACKUP", (52, 90), "")]);
    same(Story {
        configuration,
        steps: vec![(Step::Other(STRONGER), 5), (Step::Start, 9), (Step::OtherEnds, 4), (Step::Reload, 1)],
    })
}

#[test]
fn an_addresss_interface_is_tracked_and_its_fault_is_the_groups() -> io::Result<()> {
    let second = format!(" virtual_ipaddress_excluded {{\n 192.168.111.51 dev {SECOND}\n }}\n");
    let configuration = grouped([instance("A", "BACKUP", (51, 100), ""), instance("B", "BACKUP", (52, 100), &second)]);
    same(Story {
        configuration,
        steps: vec![(Step::Start, 5), (Step::Second(false), 3), (Step::Reload, 2), (Step::Second(true), 7)],
    })
}

#[test]
fn reversed_weights_are_counted_as_keepalived_counts_them() -> io::Result<()> {
    let script = |name: &str| format!("vrrp_script {name} {{\n script \"/usr/bin/test -e {FILE}\"\n interval 1\n}}\n");
    let tracked = |one: &str| format!(" track_script {{\n {one}\n }}\n");
    let configuration = [
        GLOBAL.to_owned(),
        script("s"),
        script("t"),
        script("u").replace("interval 1", "interval 1\n fall 2\n init_fail"),
        instance("A", "BACKUP", (51, 100), &tracked("s weight 30 reverse")),
        instance("B", "BACKUP", (52, 100), &tracked("t weight -20 reverse")),
        instance("C", "BACKUP", (53, 100), &tracked("u weight 7")),
    ];
    same(Story {
        configuration: configuration.concat(),
        steps: vec![(Step::Start, 5), (Step::File(true), 3), (Step::File(false), 4)],
    })
}

#[test]
fn an_owner_that_is_no_master_by_its_state_listens_first_and_gives_way_to_another() -> io::Result<()> {
    same(Story {
        configuration: [GLOBAL.to_owned(), instance("A", "BACKUP", (51, 255), "")].concat(),
        steps: vec![(Step::Start, 2), (Step::File(true), 3), (Step::Other(OWNER), 3)],
    })
}
