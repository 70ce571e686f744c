use super::*;
use crate::conf::source::Memory;
use crate::keepalived::site::What;
use crate::keepalived::slot::Command;
use crate::vrrp::config::{Authentication, Version};
use std::time::Duration;

fn reading(text: &str) -> Reading {
    let machine =
        Machine { has_interface: &|name| name == "ens33", has_user: &|user, _| user == "root", read_secret: &|_| None };
    read(&Memory::of("/k.conf", text), "/k.conf", &Environment::default(), &machine).unwrap()
}

/// The same on a machine that has every interface.
fn anywhere(text: &str) -> Reading {
    let machine = Machine { has_interface: &|_| true, has_user: &|_, _| true, read_secret: &|_| None };
    read(&Memory::of("/k.conf", text), "/k.conf", &Environment::default(), &machine).unwrap()
}

fn said(text: &str) -> Vec<String> {
    reading(text).complaints.into_iter().map(|complaint| complaint.text).collect()
}

#[test]
fn a_line_that_keepalived_skips_is_read_again_from_a_recording() {
    let machine = Machine { has_interface: &|_| true, has_user: &|_, _| true, read_secret: &|_| None };
    let environment = Environment { mark: Some(MARK), ..Environment::default() };
    let text =
        "vrrp_script s {\n script /bin/true\n interval 5\n !@rkeepalived check tcp 127.0.0.1:80 timeout 0.5\n}\n";
    let once = read(&Memory::of("/k.conf", text), "/k.conf", &environment, &machine).unwrap();
    let twice = read(&Memory::of("/k.conf", &once.text), "/k.conf", &environment, &machine).unwrap();
    let [script] = twice.site.scripts.as_slice() else { panic!("{:?}", twice.site.scripts) };
    assert!(script.probe.is_some() && once.site.scripts == twice.site.scripts, "{}", once.text);
    assert_eq!((script.interval, script.timeout), (Duration::from_secs(5), Duration::from_millis(500)));
    // Without the mark it is a comment.
    let other = read(&Memory::of("/k.conf", text), "/k.conf", &Environment::default(), &machine).unwrap();
    assert_eq!(other.site.scripts[0].probe, None);
}

const ARTICLE: &str = include_str!("article.conf");

#[test]
fn the_articles_file_says_what_it_says_in_keepalived() {
    let reading = reading(ARTICLE);
    let [only] = reading.complaints.as_slice() else { panic!("{:?}", reading.complaints) };
    assert_eq!(only.text, "(nginx) Warning - nopreempt will not work with initial state MASTER - clearing");
    let [instance] = reading.site.instances.as_slice() else { panic!() };
    assert_eq!((instance.name.as_str(), instance.interface.as_str()), ("nginx", "ens33"));
    assert_eq!((instance.router.vrid, instance.router.priority, instance.router.preempt), (51, 120, true));
    assert_eq!(instance.router.authentication, Authentication::Pass(*b"123456\0\0"));
    assert_eq!(instance.router.announcing.arp_interval, Duration::from_millis(1));
    assert!(instance.router.skip_check_adv_addr);
    let [script] = reading.site.scripts.as_slice() else { panic!() };
    assert_eq!((script.interval, script.timeout), (Duration::from_secs(2), Duration::from_secs(2)));
    assert_eq!(script.command.words, ["/etc/keepalived/nginx_check.sh"]);
}

/// Another instance, as a group has at least two.
const OTHER: &str =
    "vrrp_instance W {\n interface ens33\n virtual_router_id 9\n virtual_ipaddress {\n 1.2.3.9\n }\n}\n";

fn instance(inside: &str) -> String {
    format!(
        "vrrp_instance V {{\n interface ens33\n virtual_router_id 5\n virtual_ipaddress {{\n 1.2.3.4\n}}\n{inside}\n}}\n"
    )
}

#[test]
fn mistakes_get_keepaliveds_words_and_line() {
    assert_eq!(said("foo bar\n")[0], "(/k.conf: Line 1) Unknown keyword 'foo'");
    assert_eq!(
        said(&instance(" priority 300")),
        [
            "(/k.conf: Line 7) number '300' outside range [1, 255]",
            "(/k.conf: Line 7) (V) Priority not valid! must be between 1 & 255. Using default 100"
        ]
    );
    assert_eq!(
        said(&instance(" priority")),
        [
            "(/k.conf: Line 7) *** Configuration line starting `priority` is missing a parameter after keyword `priority` at \
          word position 2"
        ]
    );
    assert_eq!(said(&instance(" state FOO")), ["(/k.conf: Line 7) (V) unknown state 'FOO', defaulting to BACKUP"]);
    assert_eq!(said("vrrp_instance {\n}\n"), ["(/k.conf: Line 1) vrrp_instance must have a name"]);
    assert_eq!(
        said(&instance(" authentication {\n auth_type FOO\n auth_pass 1234567890\n }")),
        [
            "(/k.conf: Line 8) (V) unknown authentication type 'FOO'",
            "(/k.conf: Line 9) Truncating auth_pass to 8 characters"
        ]
    );
    assert_eq!(
        said(&instance(" advert_int 0.5")),
        ["(V) VRRPv2 advertisement interval 0.500000s must be an integer. rounding"]
    );
    assert_eq!(
        said("vrrp_instance V {\n interface foo0\n virtual_router_id 5\n virtual_ipaddress {\n 1.2.3.4 }\n}\n"),
        [
            "(/k.conf: Line 2) WARNING - interface foo0 for vrrp_instance V doesn't exist",
            "Non-existent interface specified in configuration"
        ]
    );
}

#[test]
fn a_line_that_is_quoted_whole_shows_no_password() {
    let said = said(&instance(" authentication {\n auth_type PASS\n auth_pass \"topsecret\n }"));
    assert_eq!(said[0], "(/k.conf: Line 9) Unterminated quote 'auth_pass …'");
    assert!(!said.concat().contains("topsecret"));
}

proptest::proptest! {
    #[test]
    fn no_configuration_whatever_makes_the_reader_panic(words in proptest::collection::vec(0_usize..LIVELY.len(), 0..40)) {
        let text: String = words.into_iter().map(|at| LIVELY[at]).collect();
        let _ = reading(&text);
    }
}

const LIVELY: [&str; 26] = [
    "vrrp_instance V {\n",
    "vrrp_script s {\n",
    "vrrp_sync_group G {\n",
    "global_defs {\n",
    "}\n",
    "\n",
    " ",
    "{",
    "interface ens33\n",
    "virtual_router_id 51\n",
    "priority 300\n",
    "virtual_ipaddress {\n",
    "1.2.3.4/99 dev\n",
    "fe80::1/0 broadcast +\n",
    "track_script {\n",
    "s weight -999\n",
    "\"",
    "group {\n V\n V\n}\n",
    "authentication {\nauth_pass \n",
    "advert_int 99999999999999999999\n",
    "$X=$X\n",
    "$X",
    "~SEQ(a,1,9) b\n",
    "static_ipaddress {\n",
    "notify \"a 'b\" c d e\n",
    "track_file f {\nweight\n",
];

#[test]
fn an_unknown_block_is_skipped_as_a_block() {
    let reading = reading(&instance(" foo {\n a b\n }\n priority 50"));
    assert_eq!(reading.complaints[0].text, "(/k.conf: Line 7) Unknown keyword 'foo'");
    assert_eq!(reading.site.instances[0].router.priority, 50);
}

#[test]
fn a_keyword_that_is_not_served_is_refused_by_name() {
    let reading = reading("net_namespace_ipvs x\n");
    assert_eq!(reading.unserved, ["not served: (/k.conf: Line 1) keyword \"net_namespace_ipvs\""]);
}

#[test]
fn an_unknown_or_removed_script_is_not_tracked() {
    let interface_alone = |text: &str, said: &str| {
        let reading = reading(text);
        assert!(reading.complaints.iter().any(|one| one.text.ends_with(said)), "{:?}", reading.complaints);
        assert_eq!(reading.site.instances[0].tracking.len(), 1, "{text}");
    };
    let tracks = instance(" track_script {\n nope\n }");
    interface_alone(&tracks, "Line 8) (V) track script nope not found, ignoring...");
    for inside in ["", " script \"/x a'b\"\n", " script '/x\n", " script \"/x\"\n user nobody-here\n"] {
        let text = format!("vrrp_script nope {{\n{inside}}}\n{tracks}");
        interface_alone(&text, "(V) track script nope not found, ignoring...");
    }
}

#[test]
fn a_group_of_one_is_removed_and_its_member_may_be_in_another() {
    let groups = "vrrp_sync_group G {\n group {\n V\n V\n }\n}\nvrrp_sync_group H {\n group {\n V\n W\n }\n}\n";
    let reading = reading(&[&instance(""), OTHER, groups].concat());
    let said: Vec<&str> = reading.complaints.iter().map(|one| one.text.as_str()).collect();
    let removed = "Sync group G has only 1 virtual router(s) - this probably isn't what you want - removing";
    assert_eq!(said, ["Virtual router V cannot exist in more than one sync group; ignoring G", removed]);
    let names: Vec<&str> = reading.site.groups.iter().map(|group| group.name.as_str()).collect();
    assert_eq!(names, ["H"]);
}

#[test]
fn a_command_is_read_with_its_own_quotes_wherever_it_is() {
    let text = instance(" notify_master '/x \"a b\"' root\n notify \"/y \\\"c d\\\" \\x41\"");
    let site = reading(&text).site;
    let notify = site.instances[0].notify();
    let words = |command: &Option<Command>| command.as_ref().map(|command| command.words.join("|"));
    assert_eq!(words(&notify.master).as_deref(), Some("/x|a b"));
    assert_eq!(notify.master.as_ref().and_then(|one| one.user.clone()), Some(("root".to_owned(), None)));
    assert_eq!(words(&notify.any).as_deref(), Some("/y|c d|A"));
    // A script's user has a keyword of its own.
    let script = &reading("vrrp_script s {\n script /x a b\n}\n").site.scripts[0];
    assert_eq!((script.command.words.join("|"), script.command.user.clone()), ("/x".to_owned(), None));
}

#[test]
fn a_test_fails_for_what_the_last_process_finds_and_all_say_what_is_wrong_with_the_shape() {
    let worst = |text: &str| reading(text).worst_of_test();
    assert_eq!(worst("global_defs {\n vrrp_version 9\n}\n"), None);
    assert_eq!(worst("virtual_server 1.2.3.4 80 {\n delay_loop x\n}\n"), None);
    assert_eq!(worst(&instance(" state FOO")), Some(Gravity::Error));
    assert_eq!(worst("foo\n"), Some(Gravity::Error));
    assert_eq!(worst("track_file f {\n}\n"), Some(Gravity::Error));
    let text = format!("foo\n{}}}\n", instance(" state FOO"));
    let reading = reading(&text);
    let told: Vec<String> = reading.told().iter().map(|(pass, one)| format!("{pass:?} {}", one.text)).collect();
    let each = |pass: &str| {
        ["1) Unknown keyword 'foo'", "10) Extra '}' found", "10) Unknown keyword '}'"]
            .map(|text| format!("{pass} (/k.conf: Line {text}"))
    };
    let state = "Router (/k.conf: Line 8) (V) unknown state 'FOO', defaulting to BACKUP".to_owned();
    let [first, second, third] = each("Router");
    assert_eq!(told, [&each("Parent")[..], &each("Checkers")[..], &[first, state, second, third]].concat());
}

#[test]
fn the_weight_of_a_members_interface_counts_although_it_is_said_to_be_ignored() {
    let group = "vrrp_sync_group G {\n group {\n V\n W\n }\n}\n";
    let reading = anywhere(&[group, OTHER, &instance(" track_interface {\n eth1 weight -20\n eth2\n }")].concat());
    let said = "(V) ignoring eth1 tracked interface weight due to SYNC group";
    assert!(reading.complaints.iter().any(|one| one.text == said), "{:?}", reading.complaints);
    let tracked = |name: &str| What::Interface(name.to_owned());
    let whats: Vec<_> = reading.site.instances[1].tracking.iter().map(|one| (one.what.clone(), one.weight)).collect();
    assert_eq!(whats, [(tracked("ens33"), 0), (tracked("eth1"), -20), (tracked("eth2"), 0)]);
}

#[test]
fn the_interfaces_of_addresses_are_tracked_unless_they_say_not_to_be() {
    let more = " virtual_ipaddress {\n 192.0.2.1 dev eth1\n 192.0.2.2 dev eth2 no_track\n 192.0.2.3 dev eth1\n }";
    let reading = anywhere(&instance(more));
    let names: Vec<_> = reading.site.instances[0].tracking.iter().map(|one| one.what.clone()).collect();
    assert_eq!(names, [What::Interface("ens33".to_owned()), What::Interface("eth1".to_owned())]);
}

#[test]
fn an_owner_begins_as_master_unless_its_state_or_its_group_says_otherwise() {
    let owner = |more: &str| anywhere(&instance(&format!(" priority 255\n{more}"))).site.instances[0].router.owner;
    assert_eq!(["", " state MASTER", " state BACKUP"].map(owner), [true, true, false]);
    let other = "vrrp_instance W {\n interface ens33\n virtual_router_id 9\n priority 100\n}\n";
    let group = "vrrp_sync_group G {\n group {\n V\n W\n }\n}\n";
    let both = anywhere(&[group, &instance(" priority 255\n state MASTER"), other].concat());
    assert!(both.site.instances.iter().all(|one| !one.router.owner && one.router.grouped));
    assert!(both.complaints.iter().any(|one| one.text.ends_with("not as address owner. This won't work.")));
}

#[test]
fn a_members_script_counts() {
    let script = "vrrp_script s {\n script /bin/true\n}\n";
    let group = "vrrp_sync_group G {\n group {\n V\n W\n }\n}\n";
    let reading = anywhere(&[script, &instance(" track_script {\n s\n }"), OTHER, group].concat());
    assert!(reading.site.instances[0].tracking.iter().any(|one| one.what == What::Script("s".to_owned())));
    assert!(!reading.complaints.iter().any(|one| one.text.contains("not used")));
}

#[test]
fn what_a_group_tracks_weighs_what_its_script_does() {
    let script = "vrrp_script s {\n script /bin/true\n weight -30\n}\n";
    let group = "vrrp_sync_group G {\n group {\n V\n W\n }\n track_script {\n s\n }\n}\n";
    let reading = anywhere(&[script, &instance(""), OTHER, group].concat());
    let tracked = reading.site.instances[0].tracking.iter().find(|one| matches!(one.what, What::Script(_)));
    assert_eq!(tracked.map(|one| one.weight), Some(-30));
}

#[test]
fn the_batch_after_a_lower_advert_has_the_global_size_unless_told_otherwise() {
    let of = |text: &str| {
        let announcing = anywhere(text).site.instances[0].router.announcing.clone();
        (announcing.lower_repeat, announcing.lower_delay.as_secs())
    };
    assert_eq!(of(&instance(" garp_master_repeat 1\n garp_master_delay 2")), (5, 5));
    let global = "global_defs {\n vrrp_garp_master_repeat 2\n vrrp_garp_master_delay 3\n}\n";
    assert_eq!(of(&[global, &instance("")].concat()), (2, 3));
    assert_eq!(of(&[global, &instance(" garp_lower_prio_repeat 7\n garp_lower_prio_delay 1")].concat()), (7, 1));
}

/// Every keyword of the recorded table is a row in its context, and nothing else is.
#[test]
fn the_rows_are_keepaliveds_keywords() {
    let table = include_str!("../../../fixtures/keepalived/keywords.tsv");
    let registry = registry();
    let mut missing = Vec::new();
    for line in table.lines().skip(1) {
        let mut cells = line.split('\t');
        let (path, keyword) = (cells.next().unwrap(), cells.next().unwrap());
        if path.starts_with("(parser)") || keyword.starts_with('<') {
            continue;
        }
        for path in path.trim_start_matches("(newer) ").split(", ") {
            let context = context(path).unwrap_or_else(|| panic!("{path}"));
            if registry.find(keyword.as_bytes(), context).is_none() {
                missing.push(format!("{path} {keyword}"));
            }
        }
    }
    assert!(missing.is_empty(), "{missing:#?}");
}

#[test]
fn served_rows_are_documented() {
    for (row, module) in registry().rows() {
        let documented = !row.support.is_served() || (row.doc.ends_with('.') && !row.doc.contains('\n'));
        assert!(documented, "{module} {}", row.name);
    }
}

#[test]
fn no_name_stands_twice_in_a_context() {
    let registry = registry();
    for (row, _) in registry.rows() {
        let here = registry.named(row.name.as_bytes()).filter(|other| other.contexts.meets(row.contexts));
        assert_eq!(here.count(), 1, "{}", row.name);
    }
}

fn context(path: &str) -> Option<Contexts> {
    use crate::keepalived::contexts as c;
    Some(match path.rsplit('.').next()? {
        "(root)" => ROOT,
        "global_defs" => GLOBAL,
        "vrrp_instance" => INSTANCE,
        "authentication" => c::AUTHENTICATION,
        "auth_hmac" => c::HMAC,
        "unicast_peer" => c::PEER,
        "virtual_ipaddress" | "virtual_ipaddress_excluded" => c::ADDRESS,
        "static_ipaddress" => c::STATIC_ADDRESS,
        "virtual_routes" => c::VIRTUAL_ROUTE,
        "static_routes" => c::STATIC_ROUTE,
        "virtual_rules" => c::VIRTUAL_RULE,
        "static_rules" => c::STATIC_RULE,
        "vrrp_sync_group" => GROUP,
        "vrrp_script" => SCRIPT,
        "vrrp_track_process" => PROCESS,
        "track_file" | "vrrp_track_file" => FILE,
        "track_group" => TRACK_GROUP,
        "garp_group" => GARP_GROUP,
        "SSL" => SSL,
        "virtual_server_group" => c::SERVER_GROUP,
        "virtual_server" => c::SERVER,
        "real_server" => c::REAL_SERVER,
        "HTTP_GET" | "SSL_GET" => c::HTTP_GET,
        "url" => c::URL,
        "TCP_CHECK" => c::TCP_CHECK,
        "SMTP_CHECK" => c::SMTP_CHECK,
        "host" => c::SMTP_HOST,
        "DNS_CHECK" => c::DNS_CHECK,
        "MISC_CHECK" => c::MISC_CHECK,
        "UDP_CHECK" => c::UDP_CHECK,
        "PING_CHECK" => c::PING_CHECK,
        "FILE_CHECK" => c::FILE_CHECK,
        "BFD_CHECK" => c::BFD_CHECK,
        "bfd_instance" => BFD,
        _ => return None,
    })
}

/// Whatever a text holds, something is said of it.
fn fuzz(seconds: u64, least: usize) -> usize {
    let blocks = ["fixtures/keepalived", "fixtures/site"]
        .map(|folder| std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(folder));
    let mut seeds = vec![ARTICLE.as_bytes().to_vec(), instance(" track_script {\n s weight 2\n}\n").into_bytes()];
    for keyword in include_str!("../../../fixtures/keepalived/keywords.tsv").lines().skip(1) {
        let cells: Vec<&str> = keyword.split('\t').collect();
        if let [block, name, ..] = cells.as_slice() {
            seeds.push(format!("{block} {{\n {name} 1 2\n}}\n").into_bytes());
        }
    }
    for folder in blocks.iter().filter(|folder| folder.is_dir()) {
        let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
        seeds.extend(entries.filter(|path| path.is_file()).map(|path| std::fs::read(path).unwrap()));
    }
    crate::conf::fuzz::run(&seeds, seconds, least, |text| {
        let memory = Memory { texts: [("/k.conf".to_owned(), text.to_vec())].into(), ..Memory::default() };
        let machine = Machine {
            has_interface: &|name| name == "ens33",
            has_user: &|user, _| user == "root",
            read_secret: &|_| None,
        };
        let Ok(reading) = read(&memory, "/k.conf", &Environment::default(), &machine) else { return };
        for complaint in reading.diagnostics.iter().chain(reading.places.iter().map(|one| &one.complaint)) {
            let _ = crate::conf::print::picture(complaint, &reading.sources, false);
        }
    })
}

#[test]
fn no_text_makes_the_reading_panic() {
    assert_eq!(fuzz(0, 2000), 2000);
}

/// `RHA_FUZZ_SECONDS=600 cargo test … -- --ignored keepalived_for_a_time` looks longer.
#[test]
#[ignore = "runs as long as it is told"]
fn keepalived_for_a_time() {
    let seconds = std::env::var("RHA_FUZZ_SECONDS").ok().and_then(|text| text.parse().ok()).unwrap_or(10);
    let count = fuzz(seconds, 1);
    eprintln!("{count} texts in {seconds} s, at most {} KiB", crate::conf::fuzz::most_memory());
}

#[test]
fn what_must_not_be_left_out_keeps_an_instance_in_fault() {
    for (text, closed) in [
        (" use_ipvlan", true),
        (" use_vmac", false),
        (" authentication {\n auth_type AH\n auth_pass a\n }", false),
        (" authentication {\n auth_type PASS\n auth_pass a\n }", false),
        (" priority 50", false),
    ] {
        assert_eq!(reading(&instance(text)).site.instances[0].closed, closed, "{text}");
    }
}

/// What is tracked, and with which weight.
type Weights = Vec<(What, i32)>;

/// What is tracked, and what was said.
fn tracked(text: &str) -> (Weights, Vec<String>) {
    let reading = anywhere(text);
    let all = reading.site.instances.first().map_or(Vec::new(), |one| one.tracking.clone());
    let said = reading.complaints.iter().map(|one| one.text.clone()).collect();
    (all.into_iter().map(|one| (one.what, one.weight)).collect(), said)
}

#[test]
fn what_is_said_to_be_ignored_has_no_effect_but_for_a_members_interface() {
    let defined = "vrrp_script s {\n script /bin/true\n weight 5\n}\nvrrp_script t {\n script /bin/true\n}\n\
                   track_file f {\n file /tmp/f\n}\n";
    let group = &[OTHER, "vrrp_sync_group G {\n group {\n V\n W\n }\n}\n"].concat();
    let owner = " priority 255\n";
    let interfaces = " track_interface {\n ens33 weight 5\n eth1 weight 7\n }\n";
    let scripts = " track_script {\n s\n t\n }\n";
    let files = " track_file {\n f\n }\n";
    let (own, eth1) = (What::Interface("ens33".to_owned()), What::Interface("eth1".to_owned()));
    let t = What::Script("t".to_owned());
    let primary = (own, 0);
    let cases: [(&str, String, &str, Weights); 7] = [
        (
            "",
            interfaces.to_owned(),
            "(V) Ignoring track_interface ens33 since own interface",
            vec![primary.clone(), (eth1.clone(), 7)],
        ),
        (
            group,
            interfaces.to_owned(),
            "(V) ignoring eth1 tracked interface weight due to SYNC group",
            vec![primary.clone(), (eth1, 7)],
        ),
        (
            group,
            scripts.to_owned(),
            "(V) ignoring tracked script s with weights due to SYNC group",
            vec![primary.clone(), (t, 0)],
        ),
        (
            group,
            files.to_owned(),
            "(V) ignoring weight from tracked file f due to SYNC group. specify weight 0",
            vec![primary.clone()],
        ),
        (
            "",
            [owner, scripts].concat(),
            "(V) ignoring tracked script s with weights due to address_owner",
            vec![primary.clone()],
        ),
        (
            "",
            [owner, files].concat(),
            "(V) ignoring weight from tracked file f due to address_owner. specify weight 0",
            vec![primary.clone()],
        ),
        (
            "",
            " track_script {\n nowhere\n }\n".to_owned(),
            "(V) track script nowhere not found, ignoring...",
            vec![primary],
        ),
    ];
    for (before, inside, line, expected) in cases {
        let (all, said) = tracked(&[defined, &instance(&inside), before].concat());
        assert!(said.iter().any(|text| text.ends_with(line)), "{line}: {said:?}");
        assert_eq!(all, expected, "{line}");
    }
}

#[test]
fn an_instance_may_say_that_it_has_no_addresses() {
    let bare = |more: &str| {
        let reading = anywhere(&format!("vrrp_instance V {{\n interface ens33\n virtual_router_id 51\n{more}}}\n"));
        let said = reading.complaints.iter().filter(|one| one.text.contains("No VIP specified")).count();
        (said, reading.site.instances.len())
    };
    assert_eq!(bare(""), (2, 1));
    assert_eq!(bare(" version 3\n"), (1, 0));
    assert_eq!(bare(" no_virtual_ipaddress\n"), (0, 1));
    assert_eq!(bare(" version 3\n no_virtual_ipaddress\n"), (0, 1));
}

#[test]
fn strict_mode_refuses_what_keepalived_refuses() {
    let said =
        |text: &str| anywhere(text).complaints.into_iter().map(|one| (one.text, one.gravity)).collect::<Vec<_>>();
    let fatal = |text: &str, line: &str| {
        let said = said(text);
        assert!(said.contains(&(line.to_owned(), Gravity::Fatal)), "{line}: {said:?}");
    };
    let strict = " strict_mode on\n";
    let peers = " unicast_peer {\n 192.0.2.9\n }\n";
    fatal(&instance(&[strict, peers].concat()), "(V) Unicast peers are not supported in strict mode");
    let bare = |more: &str| format!("vrrp_instance V {{\n interface ens33\n virtual_router_id 51\n{more}}}\n");
    fatal(&bare(strict), "(V) No VIP specified; at least one is required");
    fatal(&bare(" version 3\n"), "(V) No VIP specified; at least one is required");
    fatal(
        &bare(" native_ipv6\n virtual_ipaddress_excluded {\n 192.0.2.1\n }\n"),
        "(V) No VIP specified; at least one is required",
    );
    let ipv6 = |more: &str| bare(&format!(" version 2\n{more} virtual_ipaddress {{\n fe80::9\n }}\n"));
    let version = |text: &str| anywhere(text).site.instances.first().map(|one| one.router.version);
    assert_eq!(version(&ipv6("")), Some(Version::V2));
    assert_eq!(version(&ipv6(strict)), Some(Version::V3));
    let line = "(V) cannot use IPv6 with VRRP version 2; setting version 3";
    assert!(said(&ipv6(strict)).iter().any(|(text, _)| text == line));
}

#[test]
fn strict_mode_changes_announcements_of_lower_priorities_only() {
    let announcing = anywhere(&instance(" strict_mode on\n")).site.instances[0].router.announcing.clone();
    assert_eq!((announcing.repeat, announcing.delay.as_secs()), (5, 5));
    assert_eq!((announcing.lower_repeat, announcing.lower_delay.as_secs()), (0, 0));
}

#[test]
fn addresses_without_room_in_an_advert_are_excluded() {
    let many: String = (0..300).map(|at| format!(" 10.1.{}.{}\n", at / 200, at % 200 + 1)).collect();
    let text =
        format!("vrrp_instance V {{\n interface ens33\n virtual_router_id 51\n virtual_ipaddress {{\n{many} }}\n}}\n");
    let reading = anywhere(&text);
    let router = &reading.site.instances[0].router;
    assert_eq!((router.addresses.len(), router.excluded.len()), (254, 46));
    let line = "(V) Number of VIPs (300) exceeds maximum/space available in packet (max 255 addresses) - excess moved to eVIPs";
    assert!(reading.complaints.iter().any(|one| one.text == line), "{:?}", reading.complaints);
}

#[test]
fn an_address_of_the_other_family_is_ignored_and_excluded_ones_stay_excluded() {
    let more = " virtual_ipaddress {\n 192.0.2.7\n fe80::7\n }\n virtual_ipaddress_excluded {\n 192.0.2.8\n }\n";
    let text = format!("vrrp_instance V {{\n interface ens33\n virtual_router_id 51\n{more}}}\n");
    let router = anywhere(&text).site.instances[0].router.clone();
    let ip = |text: &str| text.parse::<std::net::IpAddr>().unwrap();
    assert_eq!((&router.addresses, &router.excluded), (&vec![ip("192.0.2.7")], &vec![ip("192.0.2.8")]));
}

#[test]
fn global_tracking_is_an_older_name_of_sync_group_tracking_weight() {
    let group = "vrrp_sync_group G {\n group {\n V\n }\n global_tracking\n}\n";
    let script = "vrrp_script s {\n script /bin/true\n weight 20\n}\n";
    let (all, said) = tracked(&[script, group, &instance(" track_script {\n s\n }\n")].concat());
    assert!(all.contains(&(What::Script("s".to_owned()), 20)), "{all:?} {said:?}");
}

#[test]
fn a_group_with_an_address_owner_tracks_without_weights() {
    let defined = "vrrp_script s {\n script /bin/true\n weight 5\n}\ntrack_file f {\n file /tmp/f\n}\n";
    let other = "vrrp_instance W {\n interface ens33\n virtual_router_id 9\n virtual_ipaddress {\n 192.0.2.99\n }\n}\n";
    for weighted in ["", " sync_group_tracking_weight\n"] {
        let group = format!(
            "vrrp_sync_group G {{\n group {{\n W\n V\n }}\n{weighted} track_script {{\n s\n }}\n track_file {{\n f\n }}\n \
             track_interface {{\n eth1 weight 4\n }}\n}}\n"
        );
        let (all, said) = tracked(&[defined, &group, other, &instance(" priority 255\n")].concat());
        let of_group: Vec<_> =
            all.into_iter().filter(|(what, _)| *what != What::Interface("ens33".to_owned())).collect();
        let (s, f) = (What::Script("s".to_owned()), What::File("f".to_owned()));
        assert_eq!(of_group, [(s, 0), (f, 0), (What::Interface("eth1".to_owned()), 0)]);
        for (kind, end) in [
            ("script 's'", "clearing weight"),
            ("file 'f'", "setting weight 0"),
            ("interface 'eth1'", "clearing weight"),
        ] {
            let line = format!("(G) Cannot have weighted track {kind} with member having priority 255 - {end}");
            assert!(said.contains(&line), "{line}: {said:?}");
        }
    }
}

#[test]
fn a_version_that_conflicts_with_what_is_known_is_ignored() {
    let text = |inside: &str| format!("vrrp_instance V {{\n interface ens33\n virtual_router_id 51\n{inside}}}\n");
    let ipv6 = " virtual_ipaddress {\n fe80::9\n }\n";
    for (inside, expected, known) in [
        ([ipv6, " version 2\n"].concat(), Version::V3, Some(0)),
        ([" native_ipv6\n version 2\n", ipv6].concat(), Version::V3, Some(3)),
        (" version 2\n version 3\n virtual_ipaddress {\n 192.0.2.9\n }\n".to_owned(), Version::V2, Some(2)),
        ([" version 2\n", ipv6].concat(), Version::V2, None),
    ] {
        let reading = anywhere(&text(&inside));
        assert_eq!(reading.site.instances[0].router.version, expected, "{inside}");
        let conflict = |known| format!("conflicts with configured or deduced version {known}; ignoring.");
        let said = known.is_none_or(|known| reading.complaints.iter().any(|one| one.text.ends_with(&conflict(known))));
        assert!(said, "{inside}: {:?}", reading.complaints);
    }
}

const PROCESS_P: &str = "vrrp_track_process p {\n process nginx\n weight 7\n}\n";

#[test]
fn the_processes_of_a_group_are_nobodys() {
    let group = "vrrp_sync_group G {\n group {\n W\n V\n }\n track_process {\n p weight 9\n }\n}\n";
    let other = "vrrp_instance W {\n interface ens33\n virtual_router_id 9\n virtual_ipaddress {\n 192.0.2.99\n }\n}\n";
    let p = || What::Process("p".to_owned());
    for (own, counted) in [("", &[][..]), (" track_process {\n p\n }\n", &[(p(), 7)])] {
        let (all, said) = tracked(&[PROCESS_P, group, &instance(own), other].concat());
        let found: Vec<_> = all.into_iter().filter(|(what, _)| *what == p()).collect();
        assert_eq!(found, counted, "{said:?}");
    }
    // An address owner and a member of a group keep their weighted processes.
    for more in [" priority 255\n track_process {\n p\n }\n", " track_process {\n p\n }\n"] {
        let (all, said) = tracked(&[PROCESS_P, &instance(more)].concat());
        assert!(all.contains(&(p(), 7)), "{all:?} {said:?}");
    }
}

#[test]
fn a_tracked_process_is_read_as_keepalived_reads_it() {
    use crate::keepalived::blocks::process::ParamMatch;
    let process = |inside: &str| {
        let reading = anywhere(&format!("vrrp_track_process p {{\n{inside}}}\n"));
        let said: Vec<String> = reading.complaints.into_iter().map(|complaint| complaint.text).collect();
        (reading.site.processes.into_iter().next(), said)
    };
    let (one, said) = process(" process /usr/bin/a -b c\n delay 2\n fork_delay 0.5\n quorum_max 4\n quorum 2\n");
    let one = one.unwrap();
    assert_eq!((one.path.as_str(), one.parameters.as_slice()), ("/usr/bin/a", b"-b\0c\0".as_slice()));
    assert_eq!((one.full_command, one.param_match), (true, Some(ParamMatch::Exact)));
    assert_eq!((one.terminate_delay, one.fork_delay), (Duration::from_secs(2), Duration::from_millis(500)));
    assert_eq!((one.quorum, one.quorum_max, said), (2, Some(4), Vec::new()));
    let (one, said) = process(" param_match initial\n process a b\n quorum_max 0\n");
    let one = one.unwrap();
    assert_eq!((one.param_match, one.quorum, one.quorum_max), (Some(ParamMatch::Initial), 0, Some(0)));
    assert!(said.is_empty(), "{said:?}");
    let (_, said) = process(" process a\n param_match exact\n");
    assert!(said.iter().any(|line| line.ends_with("Invalid param_match type exact - ignoring")), "{said:?}");
    let (none, said) = process(" quorum 2\n");
    assert!(none.is_none() && said.iter().any(|line| line.ends_with("process name not specified")), "{said:?}");
}

#[test]
fn an_owner_ignores_adverts_if_it_is_to() {
    let ignores = |all: &str, own: &str| {
        let text = format!("global_defs {{\n{all}\n}}\n{}", instance(own));
        let reading = reading(&text);
        let said: Vec<String> = reading.complaints.into_iter().map(|complaint| complaint.text).collect();
        (reading.site.instances[0].router.owner_ignores_adverts, said)
    };
    let all = "vrrp_owner_ignore_adverts";
    assert_eq!(ignores(all, " priority 255"), (true, Vec::new()));
    assert_eq!(ignores(all, " priority 100"), (false, Vec::new()));
    assert_eq!(ignores(all, " priority 255\n owner_ignore_adverts off"), (false, Vec::new()));
    assert_eq!(ignores("", " priority 255\n owner_ignore_adverts"), (true, Vec::new()));
    let strict = " strict_mode\n state MASTER\n priority 255";
    assert!(!ignores("", strict).0);
    let said = |own: &str| ignores("", own).1;
    let line = "(V) ignoring owner_ignore_adverts since priority is not 255".to_owned();
    assert_eq!(said(" priority 99\n owner_ignore_adverts"), [line]);
    let (ignored, said) = ignores("", &format!("{strict}\n owner_ignore_adverts off"));
    let line = "(V) strict_mode with priority 255 requires owner_ignore_adverts".to_owned();
    assert!(ignored && said.contains(&line), "{said:?}");
}

#[test]
fn a_late_master_gives_way_only_where_it_does_not_preempt() {
    let highest = |inside: &str| {
        let reading = reading(&instance(inside));
        let said: Vec<String> = reading.complaints.into_iter().map(|complaint| complaint.text).collect();
        (reading.site.instances[0].router.highest_other_priority, said)
    };
    assert_eq!(highest(" nopreempt\n timer_expired_backup"), (Some(254), Vec::new()));
    assert_eq!(highest(" nopreempt\n timer_expired_backup 120"), (Some(120), Vec::new()));
    let line = "(V) expired_timer_backup requires nopreempt - resetting".to_owned();
    assert_eq!(highest(" timer_expired_backup 120"), (None, vec![line]));
    let wrong = "(/k.conf: Line 8) (V) timer_expired_backup highest_other_priority not valid! must be between 1 & 254";
    let number = "(/k.conf: Line 8) number '255' outside range [1, 254]";
    assert_eq!(highest(" nopreempt\n timer_expired_backup 255"), (None, vec![number.into(), wrong.into()]));
    let old = "(/k.conf: Line 8) (V) thread_timer_expired - please replace with keyword 'timer_expired_backup'";
    assert_eq!(highest(" nopreempt\n thread_timer_expired 9"), (Some(9), vec![old.into()]));
}

#[test]
fn dump_files_need_one_path_and_a_form_there_is() {
    let dumps = |inside: &str| {
        let reading = reading(&format!("global_defs {{\n{inside}\n}}\n{}", instance("")));
        let said: Vec<String> = reading.complaints.into_iter().map(|complaint| complaint.text).collect();
        (reading.site.global.dumps, said)
    };
    let given = "state_dump_file /a/\nstats_dump_file /b\njson_dump_file c\njson_version 2\ndata_use_instance";
    let (known, said) = dumps(given);
    assert_eq!((known.data.as_deref(), known.stats.as_deref()), (Some("/a/"), Some("/b")));
    assert_eq!((known.json.as_deref(), known.use_instance, said), (Some("c"), Some(true), Vec::new()));
    assert_eq!(known.json_version, crate::keepalived::blocks::dumps::JsonVersion::Two);
    assert_eq!(dumps("state_dump_file").1, ["(/k.conf: Line 2) state_dump_file requires a non-empty path"]);
    assert_eq!(dumps("json_version").1, ["(/k.conf: Line 2) json_version requires version"]);
    let lines = ["(/k.conf: Line 2) number '3' outside range [1, 2]", "(/k.conf: Line 2) Invalid JSON version"];
    assert_eq!(dumps("json_version 3").1, lines);
}

#[test]
fn a_network_namespace_and_an_instance_are_named_once() {
    let text = "net_namespace red\nnet_namespace blue\ninstance a\ninstance b\ninstance\nnet_namespace_ipvs\nnet_namespace_ipvs x\n";
    let reading = reading(text);
    let root = &reading.site.root;
    assert_eq!((root.net_namespace.as_deref(), root.instance.as_deref()), (Some("red"), Some("a")));
    let said: Vec<&str> = reading.complaints.iter().map(|complaint| complaint.text.as_str()).collect();
    assert_eq!(
        said,
        [
            "(/k.conf: Line 2) Duplicate net_namespace definition blue - ignoring",
            "(/k.conf: Line 4) Duplicate instance definition b - ignoring",
            "(/k.conf: Line 5) instance name missing - ignoring",
            "(/k.conf: Line 7) Duplicate net_namespace_ipvs definition x - ignoring",
        ]
    );
}

#[test]
fn names_of_iproute2_are_numbers() {
    let text = "global_defs {\n iproute_etc_dir /e\n iproute_usr_dir /u\n}\nstatic_ipaddress {\n 1.2.3.5 dev ens33 scope near\n}\n\
                static_routes {\n 10.1.0.0/16 dev ens33 table red protocol mine realms a/b no_track\n 10.2.0.0/16 dev ens33 table blue\n \
                10.3.0.0/16 dev ens33 table 0x21\n 10.4.0.0/16 dev ens33 table green\n}\nstatic_rules {\n from 10.0.0.0/8 lookup red\n}\n";
    let files = [
        ("/k.conf", text),
        ("/e/rt_tables", "255 local\n100 red\n101 red\n"),
        ("/u/rt_tables", "102 green\n"),
        ("/u/rt_tables.d/x.conf", "200 blue\n"),
        ("/u/rt_tables.d/y.conf", "103 green\n"),
        ("/e/rt_tables.d/y.conf", "# none\n"),
        ("/e/rt_protos", "77 mine\n"),
        ("/u/rt_realms", "3 a\n4 b\n"),
        ("/e/rt_scopes", "0xc9 near\n"),
    ];
    let texts = files.iter().map(|(name, text)| ((*name).to_owned(), text.as_bytes().to_vec())).collect();
    let globs = [("/u", vec!["x.conf", "y.conf"]), ("/e", vec!["y.conf"])];
    let globs = globs.map(|(folder, names)| {
        let folder = format!("{folder}/rt_tables.d");
        (format!("{folder}/*.conf"), names.into_iter().map(|name| format!("{folder}/{name}")).collect())
    });
    let loader = Memory { texts, globs: globs.into_iter().collect() };
    let machine = Machine { has_interface: &|_| true, has_user: &|_, _| true, read_secret: &|_| None };
    let reading = read(&loader, "/k.conf", &Environment::default(), &machine).unwrap();
    let root = &reading.site.root;
    let tables: Vec<u32> = root.routes.iter().map(|given| given.route.table).collect();
    assert_eq!(tables, [100, 200, 33]);
    let first = &root.routes[0].route;
    assert_eq!((first.protocol, first.realms, root.addresses[0].scope), (Some(77), Some(0x0003_0004), 201));
    assert_eq!(root.rules[0].rule.action, crate::kernel::rule::Action::Table(100));
    let said: Vec<&str> = reading.complaints.iter().map(|complaint| complaint.text.as_str()).collect();
    assert_eq!(
        said.iter().filter(|line| line.contains("Routing table green not found for route")).count(),
        1,
        "{said:?}"
    );
}

#[test]
fn an_expression_that_cannot_be_compiled_is_refused() {
    let server = |inside: &str| {
        let check = format!("HTTP_GET {{\n url {{\n path /\n{inside}\n }}\n }}");
        format!(
            "virtual_server 10.0.0.1 80 {{\n lb_algo rr\n lb_kind NAT\n protocol TCP\n real_server 10.0.0.2 80 {{\n{check}\n }}\n}}\n"
        )
    };
    assert!(
        said(&server(" regex \"a(b\""))
            .iter()
            .any(|text| text == "(/k.conf: Line 10) Invalid regex: 'a(b' at offset 3: missing closing parenthesis")
    );
    let reading = reading(&server(
        " regex \"a\\\\d b\"\n regex_options caseless nonsense\n regex_min_offset 9\n regex_max_offset 3",
    ));
    let texts: Vec<&str> = reading.complaints.iter().map(|one| one.text.as_str()).collect();
    assert_eq!(texts, ["regex min offset 9 > regex_max_offset 3 - ignoring"]);
    let checks = &reading.site.servers[0].reals[0].checks;
    let site::server::Probe::Http(_, get) = &checks[0].probe else { panic!() };
    let regex = get.urls[0].regex.as_ref().unwrap();
    assert_eq!((regex.pattern.as_slice(), regex.min, regex.max), (&b"a\\d b"[..], 0, None));
}
