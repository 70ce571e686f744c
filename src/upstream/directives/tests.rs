use super::testing::Plain;
use super::*;
use crate::conf::lex;
use crate::conf::registry::Registry;
use crate::conf::source::{Memory, Sources};
use crate::conf::walk::{Bases, Dialect, Walk, Walked};
use crate::upstream::{Group, Inputs};

fn read(context: Contexts, text: &str) -> Walked {
    let registry = Registry::new(&[HTTP_MODULES, STREAM_MODULES].concat());
    let loader = Memory::of("/c", text);
    let mut sources = Sources::default();
    let dialect = Dialect { lex: lex::nginx::file, stop: true, every: false, wording: &Plain };
    let mut walk = Walk::new(&registry, dialect, (&loader, &mut sources), Bases::default(), context);
    let fatal = walk.file("/c").err();
    walk.finish(fatal)
}

fn complaint(context: Contexts, inside: &str) -> Option<String> {
    read(context, &format!("upstream u {{ {inside} }}")).fatal.map(|complaint| complaint.message)
}

#[test]
fn bad_servers_get_nginxs_words() {
    let of = |inside: &str| complaint(HTTP, inside).unwrap_or_default();
    assert_eq!(of(""), "no servers are inside upstream");
    for word in ["weight=0", "weight=x", "max_fails=", "max_conns=-1", "fail_timeout=1ms", "slow_start=x", "Backup"] {
        assert_eq!(of(&format!("server 127.0.0.1 {word};")), format!("invalid parameter \"{word}\""));
    }
    assert_eq!(of("ip_hash; server 127.0.0.1 backup;"), "balancing method does not support parameter \"backup\"");
    assert_eq!(of("hash a; server 127.0.0.1 backup;"), "balancing method does not support parameter \"backup\"");
    for method in ["ip_hash", "hash a", "random"] {
        let text = "balancing method does not support parameter \"slow_start=1s\"";
        assert_eq!(of(&format!("{method}; server 127.0.0.1 slow_start=1s;")), text);
    }
    assert_eq!(of("server 127.0.0.1; queue 0;"), "invalid value \"0\"");
    assert_eq!(of("server 127.0.0.1; queue 1 time=1s;"), "invalid parameter \"time=1s\"");
    assert_eq!(of("server 127.0.0.1; queue 1; queue 2;"), "\"queue\" directive is duplicate");
    assert_eq!(of("server 127.0.0.1:0;"), "invalid port in upstream \"127.0.0.1:0\"");
    assert_eq!(of("server unix:;"), "no path in the unix domain socket in upstream \"unix:\"");
    assert_eq!(of("server \"\";"), "no host in upstream \"\"");
    assert_eq!(of("server a; hash $x other;"), "invalid parameter \"other\"");
    assert_eq!(of("server a; random three;"), "invalid parameter \"three\"");
    assert_eq!(of("server a; random two most;"), "invalid parameter \"most\"");
    assert_eq!(of("server a; keepalive 0;"), "invalid value \"0\" in \"keepalive\" directive");
    assert_eq!(of("server a; keepalive 1; keepalive 2;"), "\"keepalive\" directive is duplicate");
    assert_eq!(of("server a; zone z x;"), "invalid zone size \"x\"");
    assert_eq!(of("server a; zone z 16k;"), "zone \"z\" is too small");
    assert_eq!(of("server a; zone \"\" 64k;"), "invalid zone name \"\"");
    let twice = read(HTTP, "upstream u { server a; } upstream U { server a; }").fatal.expect("a complaint");
    assert_eq!(twice.message, "duplicate upstream \"U\"");
}

#[test]
fn least_time_and_local_are_checked_as_nginx_checks_them() {
    let of = |context, inside: &str| complaint(context, inside);
    assert_eq!(of(HTTP, "least_time Header inflight; server a backup; keepalive 1 local;"), None);
    assert_eq!(of(HTTP, "least_time last_byte; server a;"), None);
    assert_eq!(of(STREAM, "least_time connect; server 127.0.0.1:1;"), None);
    assert_eq!(of(STREAM, "least_time first_byte inflight; server 127.0.0.1:1;"), None);
    let refused = |context, inside: &str| of(context, inside).unwrap_or_default();
    assert_eq!(refused(HTTP, "server a; least_time connect;"), "invalid value \"connect\"");
    assert_eq!(refused(STREAM, "server a:1; least_time header;"), "invalid value \"header\"");
    assert_eq!(refused(HTTP, "server a; least_time x y;"), "invalid parameter \"y\"");
    assert_eq!(
        refused(HTTP, "server a; least_time header; least_time header;"),
        "\"least_time\" directive is duplicate"
    );
    assert_eq!(
        refused(HTTP, "server a; keepalive 1 locally;"),
        "invalid number of arguments in \"keepalive\" directive"
    );
}

#[test]
fn slow_start_and_queue_are_kept() {
    let text = "upstream u { least_conn; server a slow_start=1500ms; server b; queue 7 timeout=2s; }";
    let walked = read(HTTP, text);
    assert!(walked.fatal.is_none() && walked.complaints.is_empty());
    let conf = walked.level.children[0].own::<Upstream>().expect("settings");
    assert_eq!(conf.servers.iter().map(|server| server.slow_start).collect::<Vec<_>>(), [2, 0]);
    assert_eq!(conf.queue, Some((7, Duration::from_secs(2))));
    let late = read(HTTP, "upstream u { server a; queue 1; least_conn; }");
    let warnings: Vec<_> = late.complaints.iter().map(|complaint| complaint.message.as_str()).collect();
    assert_eq!(warnings, ["load balancing method redefined"]);
}

#[test]
fn good_groups_are_kept_whole() {
    let text = "upstream u { server a:81 weight=2 max_fails=3 fail_timeout=1m max_conns=4 down; least_conn; \
                server b backup; keepalive 5; zone z 64k; }";
    let walked = read(HTTP, text);
    assert!(walked.fatal.is_none() && walked.complaints.is_empty());
    let conf = walked.level.children[0].own::<Upstream>().expect("settings");
    let first = &conf.servers[0];
    assert_eq!((first.weight, first.max_fails, first.fail_timeout, first.max_conns, first.down), (2, 3, 60, 4, true));
    assert!(conf.servers[1].backup && conf.balancer == Some(Balancer::LeastConn));
    assert_eq!((conf.keepalive, conf.keepalive_requests), (Some(5), Some(1000)));
    assert_eq!(conf.keepalive_time, Some(Duration::from_secs(3600)));
}

#[test]
fn a_second_method_is_a_warning() {
    for (methods, warned) in
        [("ip_hash; least_conn;", true), ("keepalive 4; least_conn;", true), ("least_conn; keepalive 4;", false)]
    {
        let walked = read(HTTP, &format!("upstream u {{ {methods} server a; }}"));
        let warnings: Vec<_> = walked.complaints.iter().map(|complaint| complaint.message.as_str()).collect();
        assert!(walked.fatal.is_none());
        assert_eq!(warnings == ["load balancing method redefined"], warned, "{methods}: {warnings:?}");
    }
}

#[test]
fn ip_hash_stands_in_stream_too() {
    assert_eq!(complaint(STREAM, "ip_hash; server 127.0.0.1:1883;"), None);
    assert_eq!(complaint(STREAM, "server 127.0.0.1;").as_deref(), Some("no port in upstream \"127.0.0.1\""));
    assert_eq!(complaint(STREAM, "server a:1; keepalive 1;").as_deref(), Some("not allowed keepalive"));
}

#[test]
fn names_become_peers_and_backups_alone_are_refused() {
    let walked = read(HTTP, "upstream u { server a weight=3; server unix:/s backup; }");
    let conf = walked.level.children[0].own::<Upstream>().expect("settings");
    let mut both = |_: &str| Ok(vec!["127.0.0.1".parse().expect("ip"), "127.0.0.2".parse().expect("ip")]);
    let group = conf.group("u", None, 80, &mut both).expect("a group");
    let names: Vec<_> = group.peers().map(|(peer, backup)| (&*peer.name, peer.weight, backup)).collect();
    assert_eq!(names, [("127.0.0.1:80", 3, false), ("127.0.0.2:80", 3, false), ("unix:/s", 1, true)]);
    let mut none = |_: &str| Ok(Vec::new());
    let missing = conf.group("u", None, 80, &mut none).err().expect("a complaint");
    assert_eq!(missing.message, "host not found in upstream \"a\"");
    let walked = read(STREAM, "upstream u { server a; }");
    let conf = walked.level.children[0].own::<Upstream>().expect("settings");
    let refused = [&mut both as crate::upstream::settings::Resolve<'_>, &mut none]
        .map(|resolve| conf.group("u", None, 0, resolve).err());
    let refused = refused.map(|complaint| complaint.expect("a complaint").message);
    assert_eq!(refused, ["no port in upstream \"a\"", "host not found in upstream \"a\""]);
    let walked = read(HTTP, "upstream u { server 127.0.0.1 backup; }");
    let conf = walked.level.children[0].own::<Upstream>().expect("settings");
    let refused = conf.group("u", None, 80, &mut none).err().expect("a complaint");
    assert_eq!(refused.message, "no servers in upstream \"u\"");
}

const GROUPS: &str = include_str!("../../../fixtures/oracle/upstream/upstreams.conf");
const ANSWERS: &str = include_str!("../../../fixtures/oracle/upstream/answers.tsv");

/// Asks peers until one answers, as nginx's proxy does; ports above 18190 refuse.
fn ask(group: &Group, client: &str, key: &str) -> String {
    let mut pick = group.pick(Inputs { client: client.parse().ok(), key: key.as_bytes(), session: b"" });
    let mut asked = Vec::new();
    loop {
        let Some(at) = group.select(&mut pick, 1000) else {
            asked.push(group.name.clone());
            break;
        };
        let name = group.peer(at).expect("a peer").name.clone();
        let refused = name.contains(":1819");
        group.free(at, refused, &mut pick, 1000);
        asked.push(name.to_string());
        if !refused || pick.left() == 0 {
            break;
        }
    }
    asked.join(", ")
}

#[test]
fn servers_are_asked_in_the_order_nginx_asked_them() {
    let walked = read(HTTP, GROUPS);
    assert!(walked.fatal.is_none(), "{:?}", walked.fatal);
    let mut localhost = |_: &str| Ok(vec!["127.0.0.1".parse().expect("ip")]);
    let groups: Vec<Group> = walked
        .level
        .children
        .iter()
        .map(|level| {
            let conf = level.own::<Upstream>().expect("settings");
            conf.group(&level.words[1].text(), level.span, 80, &mut localhost).expect("a group")
        })
        .collect();
    let mut wrong = Vec::new();
    for line in ANSWERS.lines() {
        let [name, client, key, addresses] = line.split('\t').collect::<Vec<_>>()[..] else { panic!("{line}") };
        let group = groups.iter().find(|group| group.name == name).expect("the group");
        let ours = ask(group, client, key);
        if ours != addresses {
            wrong.push(format!("{line}: we ask {ours}"));
        }
    }
    assert!(wrong.is_empty(), "{} of {}: {:#?}", wrong.len(), ANSWERS.lines().count(), &wrong[..wrong.len().min(20)]);
}

#[test]
fn a_service_needs_a_domain_that_is_looked_up_while_serving() {
    let complaint = |server: &str| {
        let walked = read(HTTP, &format!("upstream u {{ server {server}; }}"));
        walked.fatal.map(|complaint| complaint.message)
    };
    let cases = [
        ("a.ex service=http", "service upstream \"a.ex\" requires \"resolve\" parameter"),
        ("a.ex:80 service=http resolve", "service upstream \"a.ex:80\" may not have port"),
        ("127.0.0.1 service=http resolve", "service upstream \"127.0.0.1\" requires domain name"),
        ("a.ex service= resolve", "service is empty"),
        ("a.ex resolved", "invalid parameter \"resolved\""),
    ];
    for (server, expected) in cases {
        assert_eq!(complaint(server).as_deref(), Some(expected), "{server}");
    }
    assert_eq!(complaint("a.ex service=http resolve"), None);
}
