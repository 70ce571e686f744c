//! `ssl_certificate_cache` and its kin, as of nginx 1.27.4: files of certificates whose names have variables are read once.

use std::io;

use compat_tests::certificates;
use compat_tests::mount;
use compat_tests::peer::PREFIX;
use compat_tests::program::Program;
use compat_tests::testbed::TestBed;

const CONF: &str = r#"worker_processes 1;
events { }
http {
    access_log off;
    proxy_ssl_session_reuse off;
    proxy_ssl_server_name on;
    proxy_ssl_name $arg_name;
    server {
        listen 127.0.0.1:8080;
        location /http { proxy_pass https://127.0.0.1:8443; }
        location /plain { proxy_pass https://127.0.0.1:8444; }
        location /stream { proxy_pass https://127.0.0.1:8445; }
        location /shown {
            proxy_pass https://127.0.0.1:8446;
            proxy_ssl_certificate $arg_name.pem;
            proxy_ssl_certificate_key $arg_name.key;
            proxy_ssl_certificate_cache max=8 valid=1h;
        }
        location /shown/plain {
            proxy_pass https://127.0.0.1:8446;
            proxy_ssl_certificate $arg_name.pem;
            proxy_ssl_certificate_key $arg_name.key;
            proxy_ssl_certificate_cache off;
        }
        location /relayed { proxy_pass http://127.0.0.1:8081; }
    }
    server {
        listen 127.0.0.1:8443 ssl;
        ssl_certificate $ssl_server_name.pem;
        ssl_certificate_key $ssl_server_name.key;
        ssl_certificate_cache max=8 valid=1h;
        location / { return 200 ok; }
    }
    server {
        listen 127.0.0.1:8444 ssl;
        ssl_certificate $ssl_server_name.pem;
        ssl_certificate_key $ssl_server_name.key;
        location / { return 200 ok; }
    }
    server {
        listen 127.0.0.1:8446 ssl;
        ssl_certificate kept.pem;
        ssl_certificate_key kept.key;
        ssl_verify_client optional_no_ca;
        location / { return 200 $ssl_client_s_dn; }
    }
    server { listen 127.0.0.1:9161; location / { return 200 ok; } }
}
stream {
    map $server_port $client { default one; }
    server {
        listen 127.0.0.1:8445 ssl;
        ssl_certificate $ssl_server_name.pem;
        ssl_certificate_key $ssl_server_name.key;
        ssl_certificate_cache max=8 valid=1h;
        proxy_pass 127.0.0.1:9161;
    }
    server {
        listen 127.0.0.1:8081;
        proxy_pass 127.0.0.1:8446;
        proxy_ssl on;
        proxy_ssl_session_reuse off;
        proxy_ssl_certificate $client.pem;
        proxy_ssl_certificate_key $client.key;
        proxy_ssl_certificate_cache max=8 valid=1h;
    }
}
"#;

/// Puts a certificate and its key under another name.
fn put(testbed: &TestBed, from: &str, name: &str) {
    let all = certificates::all().expect("certificates");
    for end in ["pem", "key"] {
        let file = if from == "cert" && end == "key" { "key.pem".to_owned() } else { format!("{from}.{end}") };
        let (_, bytes) = all.iter().find(|(known, _)| *known == file).expect("a certificate");
        let path = format!("{PREFIX}/conf/{name}.{end}");
        testbed.host().run(move || mount::file(&path, bytes, 0o644)).expect("a host").expect("a file");
    }
}

fn take_away(testbed: &TestBed, name: &str) {
    for end in ["pem", "key"] {
        let path = format!("{PREFIX}/conf/{name}.{end}");
        testbed.host().run(move || std::fs::remove_file(path)).expect("a host").expect("it was there");
    }
}

fn get(testbed: &TestBed, target: &str) -> (u16, String) {
    let answer: io::Result<_> = testbed.get(8080, target);
    let answer = answer.expect("an answer");
    (answer.status, if answer.status == 200 { answer.text() } else { String::new() })
}

#[test]
fn files_of_certificates_are_read_once_where_that_is_asked_for() {
    let testbed = TestBed::new(Program::Ours).expect("a host");
    for name in ["one", "kept"] {
        put(&testbed, if name == "one" { "ec" } else { "cert" }, name);
    }
    testbed.write(CONF).expect("a file");
    testbed.command(&[]).expect("it starts");
    testbed.wait_for_listener().expect("a listener");
    let answers = |wanted: [(u16, &str); 6]| {
        let targets = ["/http", "/plain", "/stream", "/shown", "/shown/plain", "/relayed"];
        for (target, (status, text)) in targets.into_iter().zip(wanted) {
            assert_eq!(get(&testbed, &format!("{target}?name=one")), (status, text.to_owned()), "{target}");
        }
    };
    answers([(200, "ok"), (200, "ok"), (200, "ok"), (200, "CN=ec"), (200, "CN=ec"), (200, "CN=ec")]);
    take_away(&testbed, "one");
    answers([(200, "ok"), (502, ""), (200, "ok"), (200, "CN=ec"), (500, ""), (200, "CN=ec")]);
    put(&testbed, "cert", "one");
    let kept = "CN=ec";
    answers([(200, "ok"), (200, "ok"), (200, "ok"), (200, kept), (200, "CN=example.com"), (200, kept)]);
}

#[test]
fn a_cache_needs_a_size() {
    let testbed = TestBed::new(Program::Ours).expect("a host");
    put(&testbed, "cert", "kept");
    for (given, line) in [
        ("ssl_certificate_cache inactive=5s;", "\"ssl_certificate_cache\" must have the \"max\" parameter"),
        ("ssl_certificate_cache max=0;", "invalid parameter \"max=0\""),
        ("ssl_certificate_cache max=1 valid=x;", "invalid parameter \"valid=x\""),
        ("ssl_certificate_cache off; ssl_certificate_cache off;", "\"ssl_certificate_cache\" directive is duplicate"),
        ("proxy_ssl_certificate_cache valid=1s;", "\"proxy_ssl_certificate_cache\" must have the \"max\" parameter"),
        ("grpc_ssl_certificate_cache on;", "invalid parameter \"on\""),
        ("uwsgi_ssl_certificate_cache max=1 inactive=1s valid=1s; ssl_certificate_cache off;", ""),
    ] {
        testbed.write(&format!("events {{ }}\nhttp {{ {given} }}")).expect("a file");
        let said = match testbed.command(&["-t"]) {
            Ok(said) => said,
            Err(error) => error.to_string(),
        };
        let fine = said.contains("test is successful");
        assert!(said.contains(line) && fine == line.is_empty(), "{given}: {said}");
    }
}
