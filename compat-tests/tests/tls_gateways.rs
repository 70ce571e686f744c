//! TLS to servers behind proxy_pass, grpc_pass and uwsgi_pass: each setting beside the installed nginx.

use compat_tests::program::Program;
use compat_tests::testbed::TestBed;

use crate::tls::prepared;
use crate::tls_settings::make;

/// The settings of a location by its name, with `P_` for the gateway's prefix.
const SETTINGS: &[(&str, &str)] = &[
    ("plain", ""),
    ("verified", "P_ssl_verify on; P_ssl_trusted_certificate ca.pem; P_ssl_name client;"),
    ("untrusted", "P_ssl_verify on; P_ssl_trusted_certificate ec.pem; P_ssl_name client;"),
    ("misnamed", "P_ssl_verify on; P_ssl_trusted_certificate ca.pem; P_ssl_name other;"),
    ("deep", "P_ssl_verify on; P_ssl_trusted_certificate ca.pem; P_ssl_name leaf;"),
    ("depth", "P_ssl_verify on; P_ssl_trusted_certificate ca.pem; P_ssl_name leaf; P_ssl_verify_depth 2;"),
    ("clean", "P_ssl_verify on; P_ssl_trusted_certificate ca.pem; P_ssl_name client; P_ssl_crl clean.crl;"),
    ("revoked", "P_ssl_verify on; P_ssl_trusted_certificate ca.pem; P_ssl_name client; P_ssl_crl revoked.crl;"),
    ("shown", "P_ssl_certificate client.pem; P_ssl_certificate_key client.key;"),
    ("sealed", "P_ssl_certificate client.pem; P_ssl_certificate_key closed.key; P_ssl_password_file password;"),
    ("cipher", "P_ssl_protocols TLSv1.2; P_ssl_ciphers ECDHE-ECDSA-CHACHA20-POLY1305;"),
    ("newest", "P_ssl_protocols TLSv1.3;"),
    ("conf", "P_ssl_protocols TLSv1.3; P_ssl_conf_command Ciphersuites TLS_CHACHA20_POLY1305_SHA256;"),
    ("named", "P_ssl_server_name on; P_ssl_name example.com;"),
    ("reused", "P_ssl_session_reuse on; P_ssl_protocols TLSv1.2;"),
];

/// The gateways: prefix, what is before an address, and the ports of the servers with a short and with a long chain.
const GATEWAYS: &[(&str, &str, u16, u16)] =
    &[("proxy", "https", 8461, 8462), ("grpc", "grpcs", 8461, 8462), ("uwsgi", "suwsgi", 9461, 9462)];

fn conf() -> String {
    let mut locations = String::new();
    for (prefix, scheme, short, long) in GATEWAYS {
        for (name, settings) in SETTINGS {
            let port = if name.starts_with("dep") || *name == "deep" { long } else { short };
            let reuse = if *name == "reused" { "" } else { "P_ssl_session_reuse off; " };
            let settings = format!("{reuse}{settings}").replace("P_", &format!("{prefix}_"));
            locations += &format!(
                "        location /{prefix}/{name} {{ {prefix}_pass {scheme}://127.0.0.1:{port}; {settings} }}\n"
            );
        }
    }
    let protocols: String =
        GATEWAYS.iter().map(|(prefix, ..)| format!("    {prefix}_ssl_protocols TLSv1.2 TLSv1.3;\n")).collect();
    let told = "$ssl_client_verify $ssl_protocol $ssl_cipher [$ssl_server_name] $ssl_session_reused";
    let chains = [("client.pem", "client.key", 8461, 9461), ("leaf.pem", "leaf.key", 8462, 9462)];
    let (mut servers, mut streams) = (String::new(), String::new());
    for (certificate, key, http, stream) in chains {
        let common =
            format!("ssl_certificate {certificate}; ssl_certificate_key {key}; ssl_protocols TLSv1.2 TLSv1.3; ");
        servers += &format!(
            "    server {{ listen 127.0.0.1:{http} ssl http2; {common} ssl_session_cache shared:s{http}:1m; ssl_client_certificate ca.pem; ssl_verify_client optional; location / {{ return 200 \"{told}\\n\"; }} }}\n"
        );
        streams += &format!(
            "    server {{ listen 127.0.0.1:{stream} ssl; {common} ssl_session_cache shared:s{stream}:1m; ssl_client_certificate ca.pem; ssl_verify_client optional; return \"HTTP/1.1 200 OK\\r\\n\\r\\n{told}\\n\"; }}\n"
        );
    }
    format!(
        "worker_processes 1;\nevents {{ }}\nhttp {{\n    access_log off;\n    error_log logs/error.log info;\n{protocols}    server {{\n        listen 127.0.0.1:8080;\n{locations}    }}\n{servers}}}\nstream {{\n{streams}}}\n"
    )
}

/// The status, and what the server was told, of each gateway's locations.
fn answers(testbed: &TestBed) -> Vec<String> {
    let mut all = Vec::new();
    for (prefix, ..) in GATEWAYS {
        for (name, _) in SETTINGS {
            let target = format!("/{prefix}/{name}");
            if *name == "reused" {
                let _ = testbed.get(8080, &target);
            }
            let answer = testbed.get(8080, &target).expect("an answer");
            let text = if answer.status == 200 { answer.text() } else { String::new() };
            all.push(format!("{target}: {} {text}", answer.status));
        }
    }
    all
}

#[test]
fn settings_of_tls_to_servers_hold_for_every_gateway() {
    let [original, ours] = [Program::Original, Program::Ours].map(|program| {
        let testbed = prepared(program, &conf());
        make(&testbed);
        testbed.command(&[]).expect("a start");
        answers(&testbed)
    });
    compat_tests::compare::alike("answer", &original, &ours);
    for (prefix, ..) in GATEWAYS {
        let of = |name: &str| {
            let head = format!("/{prefix}/{name}: ");
            ours.iter().find_map(|answer| answer.strip_prefix(&head)).unwrap_or_default().to_owned()
        };
        for (name, wanted) in [
            ("plain", "200 NONE"),
            ("verified", "200 "),
            ("untrusted", "502 "),
            ("misnamed", "502 "),
            ("depth", "200 "),
            ("clean", "200 "),
            ("revoked", "502 "),
            ("shown", "200 SUCCESS"),
            ("sealed", "200 SUCCESS"),
            ("cipher", "200 NONE TLSv1.2 ECDHE-ECDSA-CHACHA20-POLY1305"),
            ("newest", "200 NONE TLSv1.3"),
            ("conf", "200 NONE TLSv1.3 TLS_CHACHA20_POLY1305_SHA256"),
        ] {
            assert!(of(name).starts_with(wanted), "{prefix} {name}: {}", of(name));
        }
        assert!(of("named").contains("[example.com]"), "{prefix}: {}", of("named"));
        assert!(of("reused").ends_with(" r\n"), "{prefix}: {}", of("reused"));
    }
}
