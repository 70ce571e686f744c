//! Single settings of TLS, beside the installed nginx.

use std::io::{self, Read};

use compat_tests::peer::PREFIX;
use compat_tests::program::Program;
use compat_tests::testbed::{LIMIT, TestBed, local};
use compat_tests::{client, mount, wait_for};

use crate::tls::{curl, prepared, shell};

const CONF: &str = r#"worker_processes 1;
events { }
http {
    access_log off;
    error_log logs/error.log info;
    ssl_certificate ec.pem;
    ssl_certificate_key ec.key;
    ssl_protocols TLSv1.2 TLSv1.3;
    proxy_ssl_protocols TLSv1.2 TLSv1.3;
    proxy_ssl_session_reuse off;
    error_page 495 496 =200 /refused;
    server { listen 127.0.0.1:8440 ssl; ssl_client_certificate ca.pem; ssl_verify_client on; ssl_crl revoked.crl; location / { return 200 "$ssl_client_verify\n"; } }
    server { listen 127.0.0.1:8441 ssl; ssl_client_certificate ca.pem; ssl_verify_client on; ssl_crl clean.crl; location / { return 200 "$ssl_client_verify\n"; } }
    server { listen 127.0.0.1:8442 ssl; ssl_client_certificate ca.pem; ssl_verify_client on; location / { return 200 "$ssl_client_verify\n"; } }
    server { listen 127.0.0.1:8443 ssl; ssl_client_certificate ca.pem; ssl_verify_client on; ssl_verify_depth 2; location / { return 200 "$ssl_client_verify\n"; } }
    server { listen 127.0.0.1:8444 ssl; ssl_client_certificate twice.pem; ssl_verify_client optional; location / { return 200 "$ssl_client_verify\n"; } }
    server { listen 127.0.0.1:8445 ssl; ssl_buffer_size 4k; root html; }
    server { listen 127.0.0.1:8446 ssl; root html; }
    server { listen 127.0.0.1:8447 ssl; ssl_session_timeout 2s; ssl_session_cache shared:short:1m; location / { return 200 "[$ssl_session_reused]\n"; } }
    server { listen 127.0.0.1:8448 ssl; ssl_conf_command Ciphersuites TLS_CHACHA20_POLY1305_SHA256; location / { return 200 "$ssl_cipher\n"; } }
    server { listen 127.0.0.1:8449 ssl; ssl_conf_command MinProtocol TLSv1.3; location / { return 200 "$ssl_protocol\n"; } }
    server { listen 127.0.0.1:8451 ssl; ssl_certificate client.pem; ssl_certificate_key client.key; location / { return 200 "backend\n"; } }
    server { listen 127.0.0.1:8453 ssl; ssl_session_timeout 1h; ssl_session_cache shared:long:1m; location / { return 200 "[$ssl_session_reused][$ssl_curve]\n"; } }
    server { listen 127.0.0.1:8454 ssl; ssl_early_data on; ssl_session_ticket_key ticket80; location / { return 200 "[$ssl_session_reused]\n"; } }
    server { listen 127.0.0.1:8455 ssl; ssl_ecdh_curve secp384r1; location / { return 200 "$ssl_curve\n"; } }
    server { listen 127.0.0.1:8456 ssl; ssl_protocols TLSv1.2; ssl_prefer_server_ciphers on; ssl_ciphers ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-ECDSA-AES128-GCM-SHA256; location / { return 200 "$ssl_cipher\n"; } }
    server { listen 127.0.0.1:8457 ssl; ssl_protocols TLSv1.2; ssl_ciphers ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-ECDSA-AES128-GCM-SHA256; location / { return 200 "$ssl_cipher\n"; } }
    server { listen 127.0.0.1:8458 ssl; ssl_session_tickets off; location / { return 200 "[$ssl_session_reused]\n"; } }
    server { listen 127.0.0.1:8459 ssl; ssl_session_tickets off; ssl_session_cache shared:untold:1m; location / { return 200 "[$ssl_session_reused]\n"; } }
    upstream one { server 127.0.0.1:8453; }
    server { listen 127.0.0.1:8452 ssl; ssl_client_certificate ca.pem; ssl_verify_client optional; location / { return 200 "$ssl_client_verify\n"; } }
    server {
        listen 127.0.0.1:8080;
        location / { return 200 "plain\n"; }
        location /revoked { proxy_pass https://127.0.0.1:8451/; proxy_ssl_verify on; proxy_ssl_trusted_certificate ca.pem; proxy_ssl_name client; proxy_ssl_crl revoked.crl; }
        location /clean { proxy_pass https://127.0.0.1:8451/; proxy_ssl_verify on; proxy_ssl_trusted_certificate ca.pem; proxy_ssl_name client; proxy_ssl_crl clean.crl; }
        location /first { proxy_ssl_session_reuse on; proxy_pass https://one/; }
        location /second { proxy_ssl_session_reuse on; proxy_pass https://one/; }
        location /shown { proxy_pass https://127.0.0.1:8452/; proxy_ssl_certificate $arg_name; proxy_ssl_certificate_key $arg_key; }
    }
    server { listen 127.0.0.1:8081; location = /refused { return 200 "$ssl_client_verify\n"; } }
}
stream {
    error_log logs/stream.log info;
    server { listen 127.0.0.1:9101 ssl; ssl_certificate ec.pem; ssl_certificate_key ec.key; ssl_handshake_timeout 1s; return "stream"; }
}
"#;

/// Lists of revoked certificates, and an issuer between the root and a client.
const MAKE: &str = r"set -e
key='-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes'
printf '[ca]\ndefault_ca=one\n[one]\ndatabase=index\ncrlnumber=number\ndefault_md=sha256\ndefault_crl_days=3650\n' > ca.cnf
: > index; echo 01 > number
openssl ca -config ca.cnf -gencrl -keyfile ca.key -cert ca.pem -out clean.crl
openssl ca -config ca.cnf -revoke client.pem -keyfile ca.key -cert ca.pem
openssl ca -config ca.cnf -gencrl -keyfile ca.key -cert ca.pem -out revoked.crl
printf 'basicConstraints=critical,CA:TRUE\n' > mid.ext
openssl req $key -keyout mid.key -out mid.csr -subj /CN=middle
openssl x509 -req -in mid.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 3650 -extfile mid.ext -out mid.pem
openssl req $key -keyout leaf.key -out leaf.csr -subj /CN=leaf
openssl x509 -req -in leaf.csr -CA mid.pem -CAkey mid.key -CAcreateserial -days 3650 -out one.pem
cat one.pem mid.pem > leaf.pem
cat ca.pem ca.pem > twice.pem
openssl pkey -aes256 -passout pass:secret -in client.key -out closed.key
";

/// Makes them on a host that has all other certificates.
pub fn make(testbed: &TestBed) {
    let text = shell(testbed, &format!("cd {PREFIX}/conf; ({MAKE}) 2>&1 && echo made"));
    assert!(text.ends_with("made\n"), "{text}");
}

fn started(program: Program) -> TestBed {
    let testbed = prepared(program, CONF);
    make(&testbed);
    testbed.command(&[]).expect("a start");
    testbed
}

#[test]
fn certificates_of_clients_are_judged_as_by_nginx() {
    let [original, ours] = [Program::Original, Program::Ours].map(|program| {
        let testbed = started(program);
        let mut all = Vec::new();
        for port in 8440..=8443 {
            for name in ["client", "leaf"] {
                all.push(curl(&testbed, &format!("--cert {name}.pem --key {name}.key https://127.0.0.1:{port}/")));
            }
        }
        let log = testbed.file("logs/error.log").expect("a log");
        let lines = log.lines().filter_map(|line| line.split_once("client SSL certificate verify error"));
        let reasons: Vec<String> =
            lines.map(|(_, rest)| rest.split(" while").next().unwrap_or_default().to_owned()).collect();
        (all, reasons)
    });
    assert_eq!(original, ours);
    assert!(ours.0.iter().any(|answer| answer.starts_with("SUCCESS")), "{ours:?}");
    assert!(ours.1.iter().any(|reason| reason.contains("(23:")), "{ours:?}");
}

const BARE: &str = r#"events { }
http {
    server { listen 127.0.0.1:8450 ssl; server_name first; ssl_certificate ec.pem; ssl_certificate_key ec.key; location / { return 200 "first\n"; } }
    server { listen 127.0.0.1:8450 ssl; server_name bare; ssl_verify_client on; location / { return 200 "bare\n"; } }
}
"#;

#[test]
fn a_server_without_a_certificate_still_wants_that_of_clients() {
    let [original, ours] = [Program::Original, Program::Ours].map(|program| {
        let testbed = prepared(program, BARE);
        testbed.command(&[]).expect("a start");
        let to = "--connect-to ::127.0.0.1:8450";
        ["https://bare/", "https://first/", "-H 'Host: bare' https://first/"]
            .map(|words| curl(&testbed, &format!("-o /dev/null {to} {words}")))
    });
    assert_eq!(original, ours);
    assert!(ours[0].starts_with("|400|"), "{ours:?}");
}

#[test]
fn a_name_is_told_to_clients_once() {
    let [original, ours] = [Program::Original, Program::Ours].map(|program| {
        let testbed = started(program);
        let text = shell(&testbed, "echo | openssl s_client -connect 127.0.0.1:8444 2>&1");
        text.lines().filter(|line| *line == "CN = issuer").map(str::to_owned).collect::<Vec<_>>()
    });
    assert_eq!(original, ours);
    assert_eq!(ours.len(), 1, "{ours:?}");
}

/// The length of the longest record of a response.
fn longest(testbed: &TestBed, port: u16) -> usize {
    let get = "printf 'GET /big.bin HTTP/1.0\\r\\n\\r\\n'; sleep 1";
    let ask = format!("openssl s_client -connect 127.0.0.1:{port} -tls1_2 -ign_eof -msg 2>&1");
    let text = shell(testbed, &format!("({get}) | {ask} | grep -a -A1 '^<<< .*RecordHeader' | grep -a '^    17'"));
    let length = |line: &str| usize::from_str_radix(&line.split_whitespace().skip(3).collect::<String>(), 16).ok();
    text.lines().filter_map(length).max().unwrap_or(0)
}

#[test]
fn records_are_as_long_as_ssl_buffer_size_says() {
    let [original, ours] = [Program::Original, Program::Ours].map(|program| {
        let testbed = started(program);
        let put = || mount::file(&format!("{PREFIX}/html/big.bin"), &vec![b'x'; 200_000], 0o644);
        testbed.host().run(put).expect("a host").expect("a file");
        // What encryption adds depends on the cipher.
        [8445, 8446].map(|port| longest(&testbed, port) / 1024)
    });
    assert_eq!(original, ours);
    assert_eq!(ours, [4, 16]);
}

#[test]
fn sessions_end_after_ssl_session_timeout() {
    let [original, ours] = [Program::Original, Program::Ours].map(|program| {
        let testbed = started(program);
        ["-tls1_2 -no_ticket", "-tls1_2", "-tls1_3"].map(|version| {
            let get = "printf 'GET / HTTP/1.0\\r\\n\\r\\n'; sleep 0.3";
            let ask = format!("openssl s_client -connect 127.0.0.1:8447 -ign_eof {version}");
            let text = format!(
                "cd /tmp; ({get}) | {ask} -sess_out a 2>&1; ({get}) | {ask} -sess_in a 2>&1; sleep 4; ({get}) | {ask} -sess_in a 2>&1"
            );
            let said = shell(&testbed, &text);
            said.lines().filter(|line| *line == "[r]" || *line == "[.]").map(str::to_owned).collect::<Vec<_>>()
        })
    });
    assert_eq!(original, ours);
    assert_eq!(ours[0], ["[.]", "[r]", "[.]"]);
}

#[test]
fn settings_of_openssl_hold() {
    let [original, ours] = [Program::Original, Program::Ours].map(|program| {
        let testbed = started(program);
        ["https://127.0.0.1:8448/", "https://127.0.0.1:8449/", "-o /dev/null --tls-max 1.2 https://127.0.0.1:8449/"]
            .map(|words| curl(&testbed, words))
    });
    assert_eq!(original, ours);
    assert!(ours[0].starts_with("TLS_CHACHA20_POLY1305_SHA256\n") && ours[1].starts_with("TLSv1.3\n"), "{ours:?}");
}

#[test]
fn certificates_of_servers_are_judged_by_proxy_ssl_crl() {
    let [original, ours] = [Program::Original, Program::Ours].map(|program| {
        let testbed = started(program);
        let answers =
            ["/clean", "/revoked"].map(|path| testbed.get(8080, path).map(|answer| answer.status).unwrap_or(0));
        let log = testbed.file("logs/error.log").expect("a log");
        let line = log.lines().find_map(|line| line.split_once("upstream SSL certificate verify error"));
        (answers, line.map(|(_, rest)| rest.split(" while").next().unwrap_or_default().to_owned()))
    });
    assert_eq!(original, ours);
    assert_eq!(ours.0, [200, 502]);
}

#[test]
fn a_certificate_whose_name_comes_to_nothing_is_not_shown() {
    let [original, ours] = [Program::Original, Program::Ours].map(|program| {
        let testbed = started(program);
        ["/shown", "/shown?name=client.pem&key=client.key"]
            .map(|target| testbed.get(8080, target).map(|answer| answer.text()).unwrap_or_default())
    });
    assert_eq!(original, ours);
    assert_eq!(ours, ["NONE\n", "SUCCESS\n"]);
}

#[test]
fn a_session_that_does_not_shake_hands_ends() {
    let [original, ours] = [Program::Original, Program::Ours].map(|program| {
        let testbed = started(program);
        for first in [&b""[..], &[0x16, 3, 1]] {
            let first = first.to_vec();
            let bytes = testbed.host().run(move || {
                let mut stream = client::connect(local(9101), LIMIT)?;
                io::Write::write_all(&mut stream, &first)?;
                let mut rest = Vec::new();
                stream.read_to_end(&mut rest)
            });
            bytes.expect("a host").expect("an end");
        }
        let line = "client timed out (110: Connection timed out) while SSL handshaking";
        let lines = || testbed.file("logs/stream.log").ok().filter(|log| log.matches(line).count() == 2);
        wait_for("lines of both", LIMIT, lines).is_ok()
    });
    // nginx says nothing.
    assert_eq!((original, ours), (false, true));
}

/// A pipe gives its bytes once.
#[test]
fn passwords_may_come_through_a_pipe() {
    for program in [Program::Original, Program::Ours] {
        let conf = "events { }\nhttp {\n    ssl_password_file pipe;\n    ssl_certificate cert.pem;\n    ssl_certificate_key sealed.key;\n    server { listen 127.0.0.1:8443 ssl; location / { return 200 \"opened\\n\"; } }\n}\n";
        let testbed = prepared(program, conf);
        let program = format!("{PREFIX}/sbin/nginx -p {PREFIX} -c conf/nginx.conf");
        shell(&testbed, &format!("cd {PREFIX}/conf; mkfifo pipe; (echo secret > pipe) & timeout 8 {program}"));
        assert_eq!(curl(&testbed, "https://127.0.0.1:8443/"), "opened\n|200|1.1");
    }
}

#[test]
fn tools_are_told_of_sni() {
    for program in [Program::Original, Program::Ours] {
        let testbed = prepared(program, "events { }\n");
        let told = testbed.command(&["-V"]).expect("-V");
        assert!(told.lines().any(|line| line == "TLS SNI support enabled"), "{told}");
    }
}

#[test]
fn small_keys_are_refused() {
    let conf = "events { }\nhttp { server { listen 8443 ssl; ssl_certificate small.pem; ssl_certificate_key small.key; ssl_ciphers DEFAULT:@SECLEVEL=0; } }\n";
    let [original, ours] = [Program::Original, Program::Ours]
        .map(|program| prepared(program, conf).command(&["-t"]).map(drop).map_err(|error| error.to_string()));
    assert_eq!(original, Ok(()));
    assert!(ours.is_err_and(|text| text.contains("is of a kind that is not supported: RSA from 2048")));
}

#[test]
fn no_curve_is_named_where_none_is_used() {
    let [original, ours] = [Program::Original, Program::Ours].map(|program| {
        let testbed = started(program);
        let get = "printf 'GET / HTTP/1.0\\r\\n\\r\\n'; sleep 0.3";
        let ask = "openssl s_client -connect 127.0.0.1:8453 -ign_eof -tls1_2 -curves P-256";
        let said =
            shell(&testbed, &format!("cd /tmp; ({get}) | {ask} -sess_out a 2>&1; ({get}) | {ask} -sess_in a 2>&1"));
        let lines = said.lines().filter(|line| line.starts_with("[r]") || line.starts_with("[.]"));
        lines.map(str::to_owned).collect::<Vec<_>>()
    });
    assert_eq!(original, ["[.][prime256v1]", "[r][prime256v1]"]);
    assert_eq!(ours, ["[.][prime256v1]", "[r][]"]);
}

#[test]
fn sessions_with_servers_belong_to_their_location() {
    let [original, ours] = [Program::Original, Program::Ours].map(|program| {
        let testbed = started(program);
        ["/first", "/first", "/second"].map(|path| {
            let text = testbed.get(8080, path).map(|answer| answer.text()).unwrap_or_default();
            text.split(']').next().unwrap_or_default().to_owned()
        })
    });
    assert_eq!(original, ["[.", "[r", "[r"]);
    assert_eq!(ours, ["[.", "[r", "[."]);
}

/// Tickets of a key file hold over a restart; sessions that are stored do not.
#[test]
fn early_data_needs_stored_sessions() {
    let [original, ours] = [Program::Original, Program::Ours].map(|program| {
        let testbed = started(program);
        let get = "printf 'GET / HTTP/1.0\\r\\n\\r\\n'; sleep 0.3";
        let ask = "openssl s_client -connect 127.0.0.1:8454 -ign_eof -tls1_2";
        shell(&testbed, &format!("cd /tmp; ({get}) | {ask} -sess_out a 2>&1"));
        let master = testbed.master().expect("a master");
        testbed.command(&["-s", "stop"]).expect("-s stop");
        testbed.wait_for_end(master).expect("it ends");
        testbed.command(&[]).expect("a start");
        testbed.wait_for_text(8080, "/", "plain").expect("an answer");
        shell(&testbed, &format!("cd /tmp; ({get}) | {ask} -sess_in a 2>&1")).contains("\n[r]")
    });
    assert_eq!((original, ours), (true, false));
}

#[test]
fn curves_and_the_order_of_ciphers_are_the_servers_where_it_says_so() {
    let [original, ours] = [Program::Original, Program::Ours].map(|program| {
        let testbed = started(program);
        let offered = "--tls-max 1.2 --ciphers ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-ECDSA-CHACHA20-POLY1305";
        let mut all: Vec<String> = [
            "https://127.0.0.1:8455/".to_owned(),
            "--tls-max 1.2 https://127.0.0.1:8455/".to_owned(),
            format!("{offered} https://127.0.0.1:8456/"),
            format!("{offered} https://127.0.0.1:8457/"),
        ]
        .iter()
        .map(|words| curl(&testbed, words))
        .collect();
        all.push(curl(&testbed, "-o /dev/null --curves X25519 https://127.0.0.1:8455/"));
        all
    });
    assert_eq!(original, ours);
    let first: Vec<&str> = ours.iter().map(|answer| answer.lines().next().unwrap_or_default()).collect();
    let [chacha, aes] = ["ECDHE-ECDSA-CHACHA20-POLY1305", "ECDHE-ECDSA-AES128-GCM-SHA256"];
    assert_eq!(first, ["secp384r1", "secp384r1", chacha, aes, "|000|0"]);
}

#[test]
fn without_tickets_sessions_are_those_of_the_cache() {
    let [original, ours] = [Program::Original, Program::Ours].map(|program| {
        let testbed = started(program);
        let ask = |port: u16, version: &str| {
            let get = "printf 'GET / HTTP/1.0\\r\\n\\r\\n'; sleep 0.3";
            let ask = format!("openssl s_client -connect 127.0.0.1:{port} -ign_eof {version}");
            let text = format!("cd /tmp; rm -f a; ({get}) | {ask} -sess_out a 2>&1; ({get}) | {ask} -sess_in a 2>&1");
            let said = shell(&testbed, &text);
            assert!(said.contains("\n[.]"), "{said}");
            said.contains("\n[r]")
        };
        [8458, 8459].map(|port| ["-tls1_2", "-tls1_3"].map(|version| ask(port, version)))
    });
    assert_eq!(original, ours);
    assert_eq!(ours, [[false, false], [true, true]]);
}
