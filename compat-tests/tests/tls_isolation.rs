//! What must not pass: sessions of one server to another that asks for certificates, and plain text of a server that is to
//! shake hands first.

use std::io::{self, Read, Write};
use std::net::TcpListener;

use compat_tests::client;
use compat_tests::peer::PREFIX;
use compat_tests::program::Program;
use compat_tests::testbed::{LIMIT, TestBed, local};

use crate::tls::{curl, prepared, shell};

const SESSIONS: &str = r#"worker_processes 1;
events { }
http {
    access_log off;
    ssl_certificate ec.pem;
    ssl_certificate_key ec.key;
    ssl_protocols TLSv1.2 TLSv1.3;
    ssl_session_cache shared:all:1m;
    server { listen 127.0.0.1:8443 ssl; server_name open; return 200 "open [$ssl_session_reused] $ssl_client_verify\n"; }
    server {
        listen 127.0.0.1:8443 ssl;
        server_name first;
        ssl_client_certificate ca.pem;
        ssl_verify_client on;
        return 200 "first [$ssl_session_reused] $ssl_client_verify\n";
    }
    server {
        listen 127.0.0.1:8443 ssl;
        server_name second;
        ssl_client_certificate cert.pem;
        ssl_verify_client on;
        return 200 "second [$ssl_session_reused] $ssl_client_verify\n";
    }
    server {
        listen 127.0.0.1:8443 ssl;
        server_name maybe;
        ssl_client_certificate cert.pem;
        ssl_verify_client optional;
        return 200 "maybe [$ssl_session_reused] $ssl_client_verify\n";
    }
}
"#;

/// What a client that is known to `first` gets of server `to` with a session of server `from`: the text, or the status.
fn resumed(testbed: &TestBed, (version, keeps): (&str, &str), (from, to): (&str, &str)) -> String {
    let ask = |name: &str, session: &str| {
        let get = format!("printf 'GET / HTTP/1.1\\r\\nHost: {name}\\r\\nConnection: close\\r\\n\\r\\n'; sleep 0.3");
        let shown = "-cert client.pem -key client.key";
        let words = format!("-connect 127.0.0.1:8443 {version} {keeps} -servername {name} {shown} -ign_eof");
        let text = format!("cd {PREFIX}/conf; ({get}) | openssl s_client {words} {session} 2>&1");
        shell(testbed, &text)
    };
    let first = ask(from, "-sess_out /tmp/session");
    assert!(first.contains(&format!("{from} [.]")), "{from}: {first}");
    let said = ask(to, "-sess_in /tmp/session");
    let text = said.lines().find(|line| line.starts_with(&format!("{to} [")));
    let status = || said.split("HTTP/1.1 ").nth(1).and_then(|rest| rest.get(..3));
    text.or_else(status).unwrap_or("refused").to_owned()
}

#[test]
fn sessions_do_not_pass_between_servers_that_ask_for_certificates() {
    let pairs = [
        ("open", "open", "open [r] NONE"),
        ("first", "first", "first [r] SUCCESS"),
        ("open", "first", "first [.] SUCCESS"),
        ("first", "open", "open [.] NONE"),
        ("first", "second", "400"),
        ("first", "maybe", "400"),
        ("open", "second", "400"),
    ];
    let [original, ours] = [Program::Original, Program::Ours].map(|program| {
        let testbed = prepared(program, SESSIONS);
        testbed.command(&[]).expect("a start");
        let kinds = [("-tls1_2", ""), ("-tls1_3", ""), ("-tls1_2", "-no_ticket")];
        kinds.map(|kind| pairs.map(|(from, to, _)| resumed(&testbed, kind, (from, to))))
    });
    for (original, ours) in original.iter().zip(&ours) {
        assert_eq!(ours.each_ref().map(String::as_str), pairs.map(|(_, _, wanted)| wanted));
        // nginx resumes the session, and then refuses the request for the sake of the name.
        assert_eq!(original[..2], ours[..2]);
        let refuses = |given: &String| given == "421" || given == "refused";
        assert!(original[4..].iter().all(refuses), "{original:?}");
    }
}

const PLAIN: &str = r#"worker_processes 1;
events { }
http {
    access_log off;
    server {
        listen 127.0.0.1:8080;
        listen 127.0.0.1:8081 http2;
        location /https { proxy_pass https://127.0.0.1:9100; }
        location /buffered { proxy_pass https://127.0.0.1:9100; proxy_buffering off; proxy_http_version 1.1; }
        location /grpcs { grpc_pass grpcs://127.0.0.1:9100; }
        location /suwsgi { uwsgi_pass suwsgi://127.0.0.1:9100; }
    }
}
stream { server { listen 127.0.0.1:9102; proxy_pass 127.0.0.1:9100; proxy_ssl on; } }
"#;

#[test]
fn plain_text_before_the_handshake_of_a_server_is_passed_to_nobody() {
    let testbed = prepared(Program::Ours, PLAIN);
    let backend = testbed.host().run(|| TcpListener::bind(local(9100))).expect("a host").expect("a backend");
    testbed.command(&[]).expect("a start");
    let exchanges = 5;
    let speaks = std::thread::spawn(move || -> io::Result<Vec<Vec<u8>>> {
        let mut heard = Vec::new();
        for _ in 0..exchanges {
            let (mut stream, _) = backend.accept()?;
            stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nfalse")?;
            let mut all = Vec::new();
            let _ = stream.read_to_end(&mut all);
            heard.push(all);
        }
        Ok(heard)
    });
    for path in ["https", "buffered", "suwsgi"] {
        let answer = curl(&testbed, &format!("http://127.0.0.1:8080/{path}"));
        assert!(answer.contains("|502|") && !answer.contains("false"), "{path}: {answer}");
    }
    let answer = curl(&testbed, "--http2-prior-knowledge http://127.0.0.1:8081/grpcs");
    assert!(answer.contains("|502|") && !answer.contains("false"), "grpcs: {answer}");
    let relayed = testbed.host().run(|| client::raw(local(9102), b"secret\n", LIMIT)).expect("a host");
    assert!(relayed.as_ref().is_ok_and(Vec::is_empty) || relayed.is_err(), "{relayed:?}");
    for heard in speaks.join().expect("a thread").expect("bytes") {
        // A handshake's first byte, and nothing of what was to be sent under its protection.
        assert_eq!(heard.first(), Some(&22));
        let text = String::from_utf8_lossy(&heard);
        let told = ["GET ", "/https", "/suwsgi", "secret"].iter().any(|words| text.contains(words));
        assert!(!told, "sent before the handshake: {text}");
    }
}
