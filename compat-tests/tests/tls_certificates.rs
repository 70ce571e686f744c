//! Which certificate a server shows, and whose certificates of clients it trusts, beside the installed nginx.

use compat_tests::program::Program;
use compat_tests::testbed::{LIMIT, TestBed, local};
use compat_tests::{certificates, client};

use crate::tls::{curl, prepared, shell};

fn conf() -> String {
    let files = certificates::all().expect("certificates");
    let text = |name: &str| {
        let file = files.iter().find(|(known, _)| known == name).expect("a file");
        String::from_utf8_lossy(&file.1).into_owned()
    };
    format!(
        r#"worker_processes 1;
events {{ }}
http {{
    access_log off;
    ssl_protocols TLSv1.2 TLSv1.3;
    map $ssl_server_name $shown {{ default "{}"; }}
    map $ssl_server_name $secret {{ default "{}"; }}
    server {{
        listen 127.0.0.1:8441 ssl;
        ssl_certificate cert.pem;
        ssl_certificate_key key.pem;
        ssl_certificate ec.pem;
        ssl_certificate_key ec.key;
        location / {{ return 200 "$ssl_cipher\n"; }}
    }}
    server {{
        listen 127.0.0.1:8442 ssl;
        ssl_certificate data:$shown;
        ssl_certificate_key data:$secret;
        location / {{ return 200 "from variables\n"; }}
    }}
    ssl_certificate ec.pem;
    ssl_certificate_key ec.key;
    server {{
        listen 127.0.0.1:8443 ssl;
        ssl_client_certificate ec.pem;
        ssl_trusted_certificate ca.pem;
        ssl_verify_client optional;
        location / {{ return 200 "$ssl_client_verify\n"; }}
    }}
    server {{
        listen 127.0.0.1:8444 ssl;
        ssl_client_certificate ec.pem;
        ssl_verify_client optional;
        location / {{ return 200 "$ssl_client_verify\n"; }}
    }}
}}
"#,
        text("ec.pem"),
        text("ec.key")
    )
}

fn started(program: Program) -> TestBed {
    let testbed = prepared(program, &conf());
    testbed.command(&[]).expect("a start");
    testbed
}

#[test]
fn the_certificate_is_of_the_kind_a_client_can_check() {
    let [original, ours] = [Program::Original, Program::Ours].map(|program| {
        let testbed = started(program);
        let mut all: Vec<String> = ["RSA", "ECDSA"]
            .map(|kind| {
                curl(
                    &testbed,
                    &format!("--tls-max 1.2 --ciphers ECDHE-{kind}-AES128-GCM-SHA256 https://127.0.0.1:8441/"),
                )
            })
            .into();
        for kinds in ["rsa_pss_rsae_sha256", "ecdsa_secp256r1_sha256"] {
            let ask = format!("echo | openssl s_client -connect 127.0.0.1:8441 -tls1_3 -sigalgs {kinds} 2>&1");
            let said = shell(&testbed, &ask);
            all.extend(said.lines().find(|line| line.starts_with("subject=")).map(str::to_owned));
        }
        all
    });
    assert_eq!(original, ours);
    let wanted = ["ECDHE-RSA-", "ECDHE-ECDSA-", "subject=CN = example.com", "subject=CN = ec"];
    assert_eq!(ours.len(), wanted.len(), "{ours:?}");
    assert!(ours.iter().zip(wanted).all(|(given, wanted)| given.starts_with(wanted)), "{ours:?}");
}

#[test]
fn a_certificate_may_be_a_text_of_the_configuration() {
    let [original, ours] = [Program::Original, Program::Ours].map(|program| {
        let testbed = started(program);
        let said = shell(&testbed, "echo | openssl s_client -connect 127.0.0.1:8442 -servername x 2>&1");
        let subject = said.lines().find(|line| line.starts_with("subject=")).map(str::to_owned);
        (curl(&testbed, "--connect-to ::127.0.0.1:8442 https://x/"), subject)
    });
    assert_eq!(original, ours);
    assert_eq!(ours, ("from variables\n|200|1.1".to_owned(), Some("subject=CN = ec".to_owned())));
}

#[test]
fn issuers_that_clients_are_not_told_of_are_trusted_all_the_same() {
    let [original, ours] = [Program::Original, Program::Ours].map(|program| {
        let testbed = started(program);
        let answers = [8443, 8444].map(|port| {
            let answer = curl(&testbed, &format!("--cert client.pem --key client.key https://127.0.0.1:{port}/"));
            answer.starts_with("SUCCESS").to_string()
                + answer.rsplit_once('|').map_or("", |(head, _)| &head[head.len() - 3..])
        });
        let said = shell(&testbed, "echo | openssl s_client -connect 127.0.0.1:8443 2>&1");
        let told: Vec<String> =
            said.lines().filter(|line| ["CN = ec", "CN = issuer"].contains(line)).map(str::to_owned).collect();
        (answers, told)
    });
    assert_eq!(original, ours);
    assert_eq!(ours.0, ["true200", "false400"]);
    assert_eq!(ours.1, ["CN = ec"]);
}

/// What nginx from 1.25.1 on has; the installed one is older.
#[test]
fn http2_is_spoken_where_the_server_says_so() {
    let conf = "events { }\nhttp {\n    ssl_certificate ec.pem;\n    ssl_certificate_key ec.key;\n    server { listen 127.0.0.1:8443 ssl; listen 127.0.0.1:8080; http2 on; return 200 \"$http2 $server_protocol\\n\"; }\n    server { listen 127.0.0.1:8444 ssl; return 200 \"$http2 $server_protocol\\n\"; }\n}\n";
    let testbed = prepared(Program::Ours, conf);
    testbed.command(&[]).expect("a start");
    for (words, wanted) in [
        ("--http2 https://127.0.0.1:8443/", "h2 HTTP/2.0\n|200|2"),
        ("--http1.1 https://127.0.0.1:8443/", " HTTP/1.1\n|200|1.1"),
        ("--http2-prior-knowledge http://127.0.0.1:8080/", "h2c HTTP/2.0\n|200|2"),
        ("--http2 https://127.0.0.1:8444/", " HTTP/1.1\n|200|1.1"),
    ] {
        assert_eq!(curl(&testbed, words), wanted, "{words}");
    }
    let plain = testbed.host().run(|| client::get(local(8080), "/", &[], LIMIT)).expect("a host").expect("an answer");
    assert_eq!(plain.text(), " HTTP/1.1\n");
}

#[test]
fn what_has_no_effect_with_rustls_is_said() {
    let conf = "events { }\nhttp { server { listen 8443 ssl; ssl_certificate ec.pem; ssl_certificate_key ec.key; ssl_dhparam dh2048.pem; ssl_protocols TLSv1.1 TLSv1.2; ssl_ciphers AES128-SHA:ECDHE-ECDSA-AES128-GCM-SHA256; } }\n";
    let told = prepared(Program::Ours, conf).command(&["-t"]).expect("a warning");
    for word in ["ssl_dhparam", "TLSv1.1", "AES128-SHA"] {
        assert!(told.contains(word), "{word}: {told}");
    }
    let conf = conf.replace("TLSv1.1 TLSv1.2", "TLSv1.1");
    let refused = prepared(Program::Ours, &conf).command(&["-t"]).expect_err("nothing to speak").to_string();
    assert!(refused.contains("[emerg]"), "{refused}");
}
