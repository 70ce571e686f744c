//! OCSP beside the installed nginx, with `openssl ocsp` as the responder: stapled responses and clients' certificates.

use std::process::Command;

use crate::resolver::NameServer;

use compat_tests::peer::PREFIX;
use compat_tests::process::Running;
use compat_tests::program::Program;
use compat_tests::testbed::{LIMIT, TestBed};
use compat_tests::wait_for;

const CONF: &str = r#"worker_processes 1;
events { }
http {
    access_log off;
    error_log logs/error.log info;
    ssl_trusted_certificate root.pem;
    ssl_client_certificate root.pem;
    ssl_certificate server.pem;
    ssl_certificate_key server.key;
    ssl_stapling on;
    server { listen 127.0.0.1:8441 ssl; }
    server { listen 127.0.0.1:8442 ssl; ssl_certificate revoked.pem; ssl_certificate_key revoked.key; }
    server { listen 127.0.0.1:8443 ssl; ssl_stapling_responder http://127.0.0.1:8889/; }
    server { listen 127.0.0.1:8444 ssl; ssl_stapling_verify on; }
    server {
        listen 127.0.0.1:8445 ssl;
        ssl_stapling off;
        ssl_verify_client on;
        ssl_ocsp on;
        ssl_ocsp_cache shared:ocsp:1m;
        location / { return 200 "$ssl_client_verify\n"; }
        error_page 495 =200 /refused;
        location = /refused { return 200 "$ssl_client_verify\n"; }
    }
    server {
        listen 127.0.0.1:8446 ssl;
        ssl_stapling off;
        ssl_verify_client on;
        ssl_ocsp leaf;
        ssl_ocsp_responder http://127.0.0.1:8889/;
        location / { return 200 "$ssl_client_verify\n"; }
        error_page 495 =200 /refused;
        location = /refused { return 200 "$ssl_client_verify\n"; }
    }
}
"#;

/// A root, and certificates it has issued: one of its own is revoked, one it does not know.
const MAKE: &str = r"set -e
key='-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes'
openssl req -x509 $key -keyout root.key -out root.pem -days 3650 -subj /CN=root
while read name serial; do
    openssl req $key -keyout $name.key -out $name.csr -subj /CN=$name
    printf 'authorityInfoAccess=OCSP;URI:http://127.0.0.1:8888/\n' > extensions
    openssl x509 -req -in $name.csr -CA root.pem -CAkey root.key -set_serial $serial -days 3650 -extfile extensions -out $name.pem
done <<END
server 16
good 17
revoked 18
unknown 19
END
printf 'V\t401231000000Z\t\t10\tunknown\t/CN=server\n' > index
printf 'V\t401231000000Z\t\t11\tunknown\t/CN=good\n' >> index
printf 'R\t401231000000Z\t260101000000Z\t12\tunknown\t/CN=revoked\n' >> index
";

/// What a command of the shell prints; how it ends does not matter.
fn shell(testbed: &TestBed, text: &str) -> String {
    let mut command = Command::new("sh");
    command.arg("-c").arg(format!("cd {PREFIX}/conf\n{text}")).current_dir("/");
    let running = testbed.host().start(command).expect("a shell");
    let _ = running.success(LIMIT);
    running.output()
}

/// The program, and a responder beside it.
fn started(program: Program, (make, conf): (&str, &str)) -> (TestBed, Running) {
    let testbed = TestBed::new(program).expect("a host");
    shell(&testbed, make);
    let mut command = Command::new("sh");
    let serve = "exec openssl ocsp -port 8888 -index index -CA root.pem -rsigner root.pem -rkey root.key -ndays 1";
    command.arg("-c").arg(format!("cd {PREFIX}/conf && {serve}")).current_dir("/");
    let responder = testbed.host().start(command).expect("a responder");
    let ask = "openssl ocsp -issuer root.pem -cert good.pem -url http://127.0.0.1:8888/ -CAfile root.pem 2>&1";
    let up = || shell(&testbed, ask).contains("good.pem: good").then_some(());
    wait_for("the responder", LIMIT, up).expect("a responder");
    testbed.write(conf).expect("a configuration");
    testbed.command(&[]).expect("a start");
    (testbed, responder)
}

/// What a handshake staples: the status in the response, if there is one.
fn stapled(testbed: &TestBed, port: u16) -> Option<String> {
    let said = shell(testbed, &format!("echo | openssl s_client -status -connect 127.0.0.1:{port} 2>&1"));
    assert!(said.contains("OCSP response"), "{said}");
    said.lines().find_map(|line| line.trim().strip_prefix("Cert Status: ").map(str::to_owned))
}

/// The texts of the log's lines about responders.
fn complaints(testbed: &TestBed) -> Vec<String> {
    let log = testbed.file("logs/error.log").expect("a log");
    let lines = log.lines().filter(|line| line.contains("requesting certificate status"));
    let mut texts: Vec<String> = lines
        .filter_map(|line| line.split_once("[error] ")?.1.split_once(": "))
        .map(|(_, text)| text.strip_prefix('*').and_then(|text| text.split_once(' ')).map_or(text, |(_, rest)| rest))
        // nginx has two lines for a connection that is refused; ours says connect().
        .filter(|text| !text.starts_with("OCSP responder prematurely closed connection"))
        .map(|text| {
            text.replace("recv() failed (111: Connection refused)", "connect() failed (111: Connection refused)")
        })
        .collect();
    texts.sort();
    texts.dedup();
    texts
}

#[test]
fn responses_are_stapled_as_by_nginx() {
    let told = [Program::Original, Program::Ours].map(|program| {
        let (testbed, _responder) = started(program, (MAKE, CONF));
        let first = [8441, 8442, 8443, 8444].map(|port| stapled(&testbed, port));
        for port in [8441, 8444] {
            wait_for("a stapled response", LIMIT, || stapled(&testbed, port)).expect("a response");
        }
        let lines = || Some(complaints(&testbed)).filter(|lines| lines.len() >= 2);
        let lines = wait_for("complaints", LIMIT, lines).expect("complaints");
        (first, [8441, 8442, 8443, 8444].map(|port| stapled(&testbed, port)), lines)
    });
    assert_eq!(told[1].0, [const { None }; 4]);
    assert_eq!(told[1].1, [Some("good".to_owned()), None, None, Some("good".to_owned())]);
    assert_eq!(told[0], told[1]);
}

#[test]
fn clients_are_asked_about_as_by_nginx() {
    let told = [Program::Original, Program::Ours].map(|program| {
        let (testbed, responder) = started(program, (MAKE, CONF));
        let ask = |name: &str, port: u16| {
            shell(&testbed, &format!("curl -sk -m 8 --cert {name}.pem --key {name}.key https://127.0.0.1:{port}/"))
        };
        let mut said = ["good", "revoked", "unknown"].map(|name| ask(name, 8445)).to_vec();
        said.push(ask("good", 8446));
        responder.stop(LIMIT).expect("an end");
        // Kept answers need no responder.
        said.extend(["good", "revoked", "server"].map(|name| ask(name, 8445)));
        (said, complaints(&testbed))
    });
    let failed = "FAILED:certificate status request failed\n";
    let (good, revoked) = ("SUCCESS\n", "FAILED:certificate revoked\n");
    let unknown = "FAILED:certificate status unknown\n";
    assert_eq!(told[1].0, [good, revoked, unknown, failed, good, revoked, failed]);
    assert_eq!(told[0], told[1]);
}

/// Responders that have names, with and without a resolver.
const NAMED: &str = r#"worker_processes 1;
error_log logs/error.log warn;
events { }
http {
    access_log off;
    error_log logs/error.log info;
    ssl_trusted_certificate root.pem;
    ssl_client_certificate root.pem;
    ssl_certificate server.pem;
    ssl_certificate_key server.key;
    server {
        listen 127.0.0.1:8441 ssl;
        resolver 127.0.0.1:5353 ipv6=off;
        ssl_stapling on;
        ssl_stapling_responder http://localhost:8888/;
    }
    server { listen 127.0.0.1:8442 ssl; ssl_stapling on; ssl_stapling_responder http://localhost:8888/; }
    server {
        listen 127.0.0.1:8445 ssl;
        resolver 127.0.0.1:5353 ipv6=off;
        ssl_verify_client on;
        ssl_ocsp leaf;
        location / { return 200 "$ssl_client_verify\n"; }
        error_page 495 =200 /refused;
        location = /refused { return 200 "$ssl_client_verify\n"; }
    }
    server {
        listen 127.0.0.1:8446 ssl;
        ssl_verify_client on;
        ssl_ocsp leaf;
        location / { return 200 "$ssl_client_verify\n"; }
        error_page 495 =200 /refused;
        location = /refused { return 200 "$ssl_client_verify\n"; }
    }
}
"#;

#[test]
fn responders_are_looked_up_as_by_nginx() {
    let make = MAKE.replace("URI:http://127.0.0.1:8888/", "URI:http://'$name'.ex:8888/");
    let told = [Program::Original, Program::Ours].map(|program| {
        let (testbed, _responder) = started(program, (&make, NAMED));
        let names = NameServer::start(&testbed, 5353, false).expect("a name server");
        let staples = [8441, 8442]
            .map(|port| wait_for("a stapled response", LIMIT, || stapled(&testbed, port)).expect("a response"));
        let ask = |name: &str, port: u16| {
            shell(&testbed, &format!("curl -sk -m 8 --cert {name}.pem --key {name}.key https://127.0.0.1:{port}/"))
        };
        let said =
            [("good", 8445), ("revoked", 8445), ("unknown", 8445), ("good", 8446)].map(|(name, port)| ask(name, port));
        let log = testbed.file("logs/error.log").expect("a log");
        let warned = log.lines().any(|line| {
            line.contains("[warn]")
                && line.contains("no resolver defined to resolve localhost while requesting certificate")
        });
        (staples, said, complaints(&testbed), warned, names.asked())
    });
    assert_eq!(told[1].0, ["good", "good"]);
    let failed = "FAILED:certificate status request failed\n";
    assert_eq!(told[1].1, ["SUCCESS\n", "FAILED:certificate revoked\n", failed, failed]);
    assert!(told[1].3 && told[1].4.iter().any(|line| line.contains("localhost.")), "{told:?}");
    assert_eq!(told[0], told[1]);
}

/// Responses from files; nobody is asked.
const FILED: &str = r"events { }
http {
    access_log off;
    error_log logs/error.log info;
    ssl_stapling on;
    server { listen 127.0.0.1:8441 ssl; ssl_certificate server.pem; ssl_certificate_key server.key; ssl_stapling_file server.der; }
    server { listen 127.0.0.1:8442 ssl; ssl_certificate revoked.pem; ssl_certificate_key revoked.key; ssl_stapling_file revoked.der; }
}
";

const RESPOND: &str = r"set -e
for name in server revoked; do
    openssl ocsp -index index -CA root.pem -rsigner root.pem -rkey root.key -ndays 1 -issuer root.pem -cert $name.pem -respout $name.der
done
";

#[test]
fn responses_of_files_are_stapled_from_the_first_handshake_on() {
    let told = [Program::Original, Program::Ours].map(|program| {
        let testbed = TestBed::new(program).expect("a host");
        shell(&testbed, &format!("({MAKE}{RESPOND}) 2>&1"));
        testbed.write(FILED).expect("a configuration");
        testbed.command(&[]).expect("a start");
        [8441, 8442].map(|port| stapled(&testbed, port))
    });
    assert_eq!(told[0], told[1]);
    assert_eq!(told[1], [Some("good".to_owned()), Some("revoked".to_owned())]);
}
