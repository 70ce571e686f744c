//! TLS beside the installed nginx: the same handshakes and requests by curl and openssl, the same answers and log lines.

use std::io::{self, Read, Write};
use std::net::TcpListener;
use std::process::Command;

use compat_tests::peer::PREFIX;
use compat_tests::program::Program;
use compat_tests::testbed::{LIMIT, TestBed, local};
use compat_tests::{certificates, client, mount, wait_for};

const CONF: &str = r#"worker_processes 1;
events { }
http {
    server_tokens off;
    log_format line "$status|$ssl_protocol|$ssl_cipher|$ssl_curve|$ssl_server_name|$ssl_session_reused|$ssl_client_verify|$ssl_client_s_dn|$ssl_client_i_dn|$ssl_client_serial|$ssl_client_fingerprint|$ssl_client_v_end|$https|$scheme|$server_protocol|$http2|$ssl_alpn_protocol|$request";
    access_log logs/access.log line;
    ssl_certificate ec.pem;
    ssl_certificate_key ec.key;
    ssl_protocols TLSv1.2 TLSv1.3;
    proxy_ssl_protocols TLSv1.2 TLSv1.3;
    # nginx shares sessions with a server among locations, and with them what came of another's verification.
    proxy_ssl_session_reuse off;
    ssl_session_cache shared:sessions:1m;
    server {
        listen 127.0.0.1:8443 ssl http2;
        server_name ec;
        root html;
        location = /who { return 200 "$server_name $https $scheme $ssl_protocol\n"; }
        location = /moved { return 301 /who; }
        location /back { proxy_pass https://127.0.0.1:8443/who; }
        location /named { proxy_pass https://127.0.0.1:8443/; proxy_ssl_server_name on; proxy_ssl_name example.com; proxy_set_header Host example.com; }
        location /trusted { proxy_pass https://127.0.0.1:8443/who; proxy_ssl_verify on; proxy_ssl_trusted_certificate ec.pem; proxy_ssl_name ec; }
        location /untrusted { proxy_pass https://127.0.0.1:8443/who; proxy_ssl_verify on; proxy_ssl_trusted_certificate cert.pem; proxy_ssl_name ec; }
        location /misnamed { proxy_pass https://127.0.0.1:8443/who; proxy_ssl_verify on; proxy_ssl_trusted_certificate ec.pem; proxy_ssl_name other; }
        location /shown { proxy_pass https://127.0.0.1:8444/; proxy_ssl_certificate client.pem; proxy_ssl_certificate_key client.key; }
        location /plain { proxy_pass https://127.0.0.1:8080; }
        location /early { proxy_pass https://127.0.0.1:9100; }
    }
    server {
        listen 127.0.0.1:8443 ssl;
        server_name example.com;
        ssl_certificate cert.pem;
        ssl_certificate_key sealed.key;
        ssl_password_file password;
        location / { return 200 "example $ssl_server_name\n"; }
    }
    server { listen 127.0.0.1:8443 ssl; server_name refused; ssl_reject_handshake on; }
    server {
        listen 127.0.0.1:8443 ssl;
        server_name clients;
        ssl_client_certificate ca.pem;
        ssl_verify_client on;
        location / { return 200 "clients\n"; }
    }
    server { listen 127.0.0.1:8444 ssl; ssl_client_certificate ca.pem; ssl_verify_client on; location / { return 200 "$ssl_client_s_dn\n"; } }
    server { listen 127.0.0.1:8445 ssl; ssl_client_certificate ca.pem; ssl_verify_client optional; location / { return 200 "$ssl_client_verify\n"; } }
    server { listen 127.0.0.1:8446 ssl; ssl_verify_client optional_no_ca; location / { return 200 "$ssl_client_verify\n"; } }
    server { listen 127.0.0.1:8447 ssl proxy_protocol; location / { return 200 "$proxy_protocol_addr $https\n"; } }
    server { listen 127.0.0.1:8448 ssl; ssl_protocols TLSv1.2; ssl_ciphers ECDHE-ECDSA-CHACHA20-POLY1305; location / { return 200 "$ssl_cipher\n"; } }
    server { listen 127.0.0.1:8449 ssl; error_page 497 =200 /told; location = /told { return 200 "told\n"; } }
    server {
        listen 127.0.0.1:8450 ssl;
        ssl_certificate $ssl_server_name.pem;
        ssl_certificate_key $ssl_server_name.key;
        location / { return 200 "$ssl_server_name\n"; }
    }
    server { listen 127.0.0.1:8451; ssl on; location / { return 200 "on $https\n"; } }
    server { listen 127.0.0.1:8452 ssl; ssl_early_data on; location / { return 200 "early [$ssl_early_data]\n"; } }
    server { listen 127.0.0.1:8453 ssl; ssl_session_ticket_key ticket80; ssl_session_cache off; location / { return 200 "[$ssl_session_reused]\n"; } }
    server { listen 127.0.0.1:8080; location / { return 200 plain; } }
}
stream {
    log_format line "$status|$ssl_protocol|$ssl_server_name|$ssl_client_verify|$ssl_preread_server_name|$ssl_preread_protocol|$ssl_preread_alpn_protocols|$bytes_sent";
    access_log logs/stream.log line;
    ssl_protocols TLSv1.2 TLSv1.3;
    proxy_ssl_protocols TLSv1.2 TLSv1.3;
    map $ssl_preread_server_name $to { example.com 127.0.0.1:8443; default 127.0.0.1:9103; }
    server { listen 127.0.0.1:9101 ssl; ssl_certificate ec.pem; ssl_certificate_key ec.key; proxy_pass 127.0.0.1:9103; }
    server { listen 127.0.0.1:9102; proxy_pass 127.0.0.1:9101; proxy_ssl on; }
    server { listen 127.0.0.1:9103; return "plain $remote_addr"; }
    server { listen 127.0.0.1:9104; ssl_preread on; proxy_pass $to; }
    server {
        listen 127.0.0.1:9105 ssl;
        ssl_certificate ec.pem;
        ssl_certificate_key ec.key;
        ssl_client_certificate ca.pem;
        ssl_verify_client on;
        return "seen $ssl_client_verify";
    }
    server { listen 127.0.0.1:9107 ssl; ssl_certificate ec.pem; ssl_certificate_key ec.key; ssl_alpn mqtt; return "agreed on $ssl_alpn_protocol"; }
    server { listen 127.0.0.1:9106; proxy_pass 127.0.0.1:9101; proxy_ssl on; proxy_ssl_verify on; proxy_ssl_trusted_certificate cert.pem; }
}
"#;

/// A host with all certificates and this configuration, on which nothing runs.
pub fn prepared(program: Program, conf: &str) -> TestBed {
    let testbed = TestBed::new(program).expect("a host");
    let files = certificates::all().expect("certificates");
    let put = move || {
        for (name, bytes) in files {
            mount::file(&format!("{PREFIX}/conf/{name}"), bytes, 0o644)?;
        }
        let text: String = (0..200_000).map(|number| format!("{number}\n")).collect();
        mount::file(&format!("{PREFIX}/html/big.txt"), text.as_bytes(), 0o644)
    };
    testbed.host().run(put).expect("a host").expect("files");
    testbed.write(conf).expect("a configuration");
    testbed
}

fn started(program: Program) -> TestBed {
    let testbed = prepared(program, CONF);
    testbed.command(&[]).expect("a start");
    testbed
}

/// What a command of the shell prints; how it ends does not matter.
pub fn shell(testbed: &TestBed, text: &str) -> String {
    let mut command = Command::new("sh");
    command.arg("-c").arg(text).current_dir("/");
    let running = testbed.host().start(command).expect("a shell");
    let _ = running.success(LIMIT);
    running.output()
}

/// One request by curl: the body, the status and the version; `words` are curl's.
pub fn curl(testbed: &TestBed, words: &str) -> String {
    let ask = "curl -sk -m 8 --cacert /dev/null";
    shell(testbed, &format!("cd {PREFIX}/conf && {ask} -w '|%{{http_code}}|%{{http_version}}' {words} 2>&1"))
}

const TO: &str = "--connect-to ::127.0.0.1:8443";

fn requests() -> Vec<String> {
    let mut all: Vec<String> = Vec::new();
    for version in ["--http1.1", "--http2"] {
        for path in ["who", "moved", "big.txt", "none"] {
            all.push(format!("{TO} {version} https://ec/{path}"));
        }
    }
    for path in ["back", "named", "trusted", "untrusted", "misnamed", "shown", "plain"] {
        all.push(format!("{TO} https://ec/{path}"));
    }
    all.push(format!("{TO} --tls-max 1.2 https://ec/who"));
    all.push(format!("{TO} https://example.com/"));
    all.push(format!("{TO} https://unknown/who"));
    all.push(format!("{TO} -H 'Host: example.com' https://unknown/"));
    all.push(format!("{TO} -H 'Host: clients' https://ec/"));
    all.push(format!("{TO} -H 'Host: clients' https://unknown/"));
    all.push("-o /dev/null http://127.0.0.1:8443/who".to_owned());
    all.push("http://127.0.0.1:8449/".to_owned());
    for port in [8444, 8445, 8446] {
        for shown in ["", "--cert client.pem --key client.key", "--cert cert.pem --key key.pem"] {
            all.push(format!("{shown} https://127.0.0.1:{port}/"));
        }
    }
    all.push(format!("{TO} --cert client.pem --key client.key https://clients/"));
    all.push(format!("{TO} https://clients/"));
    all.push("--haproxy-protocol https://127.0.0.1:8447/".to_owned());
    all.push("https://127.0.0.1:8448/".to_owned());
    all.push("https://127.0.0.1:8451/".to_owned());
    all.push("--connect-to ::127.0.0.1:8450 https://ec/".to_owned());
    all.push("--connect-to ::127.0.0.1:9104 https://example.com/".to_owned());
    all
}

#[test]
fn requests_over_tls_are_answered_and_logged_as_by_nginx() {
    let [original, ours] = [Program::Original, Program::Ours].map(|program| {
        let testbed = started(program);
        let answers: Vec<String> = requests().iter().map(|words| curl(&testbed, words)).collect();
        let last = || testbed.file("logs/access.log").ok().filter(|log| log.contains("|GET / HTTP/1.1\n"));
        let log = wait_for("lines of requests", LIMIT, last).expect("lines");
        // A hello where plain HTTP is spoken is random; of a misdirected stream nginx has no request line yet.
        let lines = log.lines().filter(|line| !line.contains("\\x16"));
        let known = |line: &str| match line.rsplit_once('|') {
            Some((head, _)) if line.starts_with("421|") => head.to_owned(),
            _ => line.to_owned(),
        };
        let mut lines: Vec<String> = lines.map(known).collect();
        lines.sort();
        (answers, lines)
    });
    for ((words, original), ours) in requests().iter().zip(&original.0).zip(&ours.0) {
        assert_eq!(original, ours, "curl {words}");
    }
    assert_eq!(original.1, ours.1);
}

#[test]
fn what_is_refused_gets_nginxs_alert() {
    let [original, ours] = [Program::Original, Program::Ours].map(|program| {
        let testbed = started(program);
        let asked = [
            "8443 -servername refused",
            "9107 -alpn other",
            "8443 -tls1_2 -fallback_scsv",
            "9101 -tls1_2 -fallback_scsv",
            "8448 -tls1_2 -fallback_scsv",
        ];
        asked.map(|words| {
            let said = shell(&testbed, &format!("echo | openssl s_client -connect 127.0.0.1:{words} 2>&1"));
            let number = said.lines().find_map(|line| line.rsplit_once("SSL alert number "));
            number.map(|(_, number)| number.to_owned())
        })
    });
    assert_eq!(original, ours);
    assert_eq!(ours.map(|number| number.unwrap_or_default()), ["112", "120", "86", "86", ""]);
}

#[test]
fn sessions_are_resumed_with_both_versions() {
    let [original, ours] = [Program::Original, Program::Ours].map(|program| {
        let testbed = started(program);
        ["-tls1_2", "-tls1_3"].map(|version| {
            let get = "printf 'GET /who HTTP/1.0\\r\\n\\r\\n'; sleep 0.3";
            let ask = format!("openssl s_client -connect 127.0.0.1:8443 {version} -ign_eof");
            let text =
                format!("cd /tmp; ({get}) | {ask} -sess_out s{version} 2>&1; ({get}) | {ask} -sess_in s{version} 2>&1");
            let said = shell(&testbed, &text);
            let kinds: Vec<String> = said
                .lines()
                .filter(|line| line.starts_with("New, ") || line.starts_with("Reused, "))
                .map(str::to_owned)
                .collect();
            kinds
        })
    });
    assert_eq!(original, ours);
    assert!(ours.iter().all(|kinds| kinds.iter().any(|kind| kind.starts_with("Reused"))), "{ours:?}");
}

/// What openssl shows of a request on a connection; `words` are s_client's.
fn request(testbed: &TestBed, port: u16, words: &str) -> String {
    let get = "printf 'GET / HTTP/1.0\\r\\n\\r\\n'; sleep 0.5";
    shell(testbed, &format!("cd /tmp; ({get}) | openssl s_client -connect 127.0.0.1:{port} -ign_eof {words} 2>&1"))
}

#[test]
fn a_request_in_early_data_is_answered() {
    let [original, ours] = [Program::Original, Program::Ours].map(|program| {
        let testbed = started(program);
        let ask = "openssl s_client -connect 127.0.0.1:8452 -ign_eof -tls1_3 -sess_in early -early_data get";
        let asked = || {
            request(&testbed, 8452, "-tls1_3 -sess_out early");
            let get = "printf 'GET / HTTP/1.0\\r\\n\\r\\n' > get";
            let said = shell(&testbed, &format!("cd /tmp; {get}; sleep 1 | {ask} 2>&1"));
            ["Early data was accepted", "early [1]"].map(|text| said.contains(text))
        };
        // A request that is looked at when the client's last message of the handshake is there has come in time.
        (0..10).map(|_| asked()).find(|told| told[1]).unwrap_or_default()
    });
    assert_eq!((original, ours), ([true, true], [true, true]));
}

#[test]
fn tickets_of_a_key_file_are_taken_after_a_restart() {
    for program in [Program::Original, Program::Ours] {
        let testbed = started(program);
        request(&testbed, 8453, "-sess_out ticket");
        let master = testbed.master().expect("a master");
        testbed.command(&["-s", "stop"]).expect("-s stop");
        testbed.wait_for_end(master).expect("it ends");
        testbed.command(&[]).expect("a start");
        testbed.wait_for_text(8080, "/", "plain").expect("an answer");
        let said = request(&testbed, 8453, "-sess_in ticket");
        assert!(said.contains("\n[r]"), "{program:?}: {said}");
    }
}

#[test]
fn streams_over_tls_are_relayed_and_logged_as_by_nginx() {
    let [original, ours] = [Program::Original, Program::Ours].map(|program| {
        let testbed = started(program);
        let secured = |port: u16, more: &str| {
            let text = format!(
                "cd {PREFIX}/conf; sleep 0.5 | openssl s_client -quiet -connect 127.0.0.1:{port} {more} 2>/dev/null"
            );
            shell(&testbed, &text)
        };
        let plain = |port: u16| {
            let bytes = testbed.host().run(move || client::raw(local(port), b"", LIMIT)).expect("a host");
            String::from_utf8_lossy(&bytes.expect("bytes")).into_owned()
        };
        let answers = vec![
            secured(9101, "-servername a.example"),
            plain(9102),
            secured(9105, "-cert client.pem -key client.key"),
            secured(9105, ""),
            secured(9107, "-alpn mqtt"),
            plain(9106),
            curl(&testbed, "--connect-to ::127.0.0.1:9104 https://example.com/"),
        ];
        let lines = || testbed.file("logs/stream.log").ok().filter(|log| log.lines().count() >= 10);
        let log = wait_for("lines of sessions", LIMIT, lines).expect("lines");
        // How long a whole handshake is depends on the tickets in it.
        let long = |line: &str| match line.rsplit_once('|') {
            Some((head, count)) if count.len() > 2 => format!("{head}|many"),
            _ => line.to_owned(),
        };
        let mut lines: Vec<String> = log.lines().map(long).collect();
        lines.sort();
        (answers, lines)
    });
    assert_eq!(original, ours);
}

#[test]
fn a_client_hello_in_pieces_is_read_ahead_as_by_nginx() {
    let [original, ours] = [Program::Original, Program::Ours].map(|program| {
        let testbed = started(program);
        let seen = testbed.host().run(|| {
            let hello = hello();
            let mut stream = client::connect(local(9104), LIMIT)?;
            for byte in &hello {
                stream.write_all(&[*byte])?;
            }
            let mut answer = [0; 1];
            stream.read_exact(&mut answer)?;
            // A handshake record: the answer is TLS.
            io::Result::Ok(answer)
        });
        seen.expect("a host").expect("an answer")
    });
    assert_eq!((original, ours), ([0x16], [0x16]));
}

/// A ClientHello for example.com with TLS 1.2 and 1.3, as openssl would write it, but short.
fn hello() -> Vec<u8> {
    let extension = |kind: u16, body: Vec<u8>| {
        let mut bytes = kind.to_be_bytes().to_vec();
        bytes.extend((body.len() as u16).to_be_bytes());
        bytes.extend(body);
        bytes
    };
    let name = b"example.com";
    let mut names = vec![0, name.len() as u8 + 3, 0, 0, name.len() as u8];
    names.extend(name);
    let extensions = [
        extension(0, names),
        extension(10, vec![0, 2, 0, 0x17]),
        extension(11, vec![1, 0]),
        extension(13, vec![0, 4, 4, 1, 8, 4]),
    ]
    .concat();
    let mut body = vec![3, 3];
    body.extend([7; 32]);
    body.extend([0, 0, 2, 0xc0, 0x2f, 1, 0]);
    body.extend((extensions.len() as u16).to_be_bytes());
    body.extend(extensions);
    let mut message = vec![1, 0];
    message.extend((body.len() as u16).to_be_bytes());
    message.extend(body);
    let mut record = vec![0x16, 3, 1];
    record.extend((message.len() as u16).to_be_bytes());
    record.extend(message);
    record
}

#[test]
fn a_server_that_speaks_before_the_handshake_is_not_believed() {
    let testbed = started(Program::Ours);
    let backend = testbed.host().run(|| TcpListener::bind(local(9100))).expect("a host").expect("a backend");
    let speaks = std::thread::spawn(move || {
        let (mut stream, _) = backend.accept()?;
        stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nfalse")?;
        let mut rest = Vec::new();
        let _ = stream.read_to_end(&mut rest);
        io::Result::Ok(rest)
    });
    let answer = curl(&testbed, &format!("{TO} https://ec/early"));
    assert!(answer.contains("|502|") && !answer.contains("false"), "{answer}");
    let heard = speaks.join().expect("a thread").expect("bytes");
    let text = String::from_utf8_lossy(&heard);
    assert!(!text.contains("GET "), "the request was sent before the handshake: {text}");
}

#[test]
fn a_handshake_that_is_never_finished_ends() {
    let testbed = started(Program::Ours);
    testbed.write(&CONF.replace("server_tokens off;", "server_tokens off; client_header_timeout 1s;")).expect("a file");
    testbed.command(&["-s", "reload"]).expect("a reload");
    testbed.wait_for_text(8080, "/", "plain").expect("an answer");
    let ended = || {
        let begun = testbed.host().run(|| {
            let mut stream = client::connect(local(8443), LIMIT)?;
            stream.write_all(&hello()[..20])?;
            let mut rest = Vec::new();
            stream.read_to_end(&mut rest)
        });
        begun.expect("a host").ok()
    };
    ended().expect("an end");
}
