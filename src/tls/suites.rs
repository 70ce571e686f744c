//! The cipher suites, groups and versions of rustls under OpenSSL's names.

use super::ciphers;
use rustls::crypto::SupportedKxGroup;
use rustls::crypto::aws_lc_rs::{cipher_suite as suite, kx_group};
use rustls::{CipherSuite, NamedGroup, ProtocolVersion, SupportedCipherSuite};

/// TLS 1.2's suites.
const TLS12: [(&str, SupportedCipherSuite); 6] = [
    ("ECDHE-ECDSA-AES256-GCM-SHA384", suite::TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384),
    ("ECDHE-RSA-AES256-GCM-SHA384", suite::TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384),
    ("ECDHE-ECDSA-CHACHA20-POLY1305", suite::TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256),
    ("ECDHE-RSA-CHACHA20-POLY1305", suite::TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256),
    ("ECDHE-ECDSA-AES128-GCM-SHA256", suite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256),
    ("ECDHE-RSA-AES128-GCM-SHA256", suite::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256),
];

/// TLS 1.3's suites, in OpenSSL's order.
const TLS13: [(&str, SupportedCipherSuite); 3] = [
    ("TLS_AES_256_GCM_SHA384", suite::TLS13_AES_256_GCM_SHA384),
    ("TLS_CHACHA20_POLY1305_SHA256", suite::TLS13_CHACHA20_POLY1305_SHA256),
    ("TLS_AES_128_GCM_SHA256", suite::TLS13_AES_128_GCM_SHA256),
];

/// TLS 1.3's suites OpenSSL knows and rustls does not.
const UNSPOKEN13: [(&str, u16); 2] = [("TLS_AES_128_CCM_SHA256", 0x1304), ("TLS_AES_128_CCM_8_SHA256", 0x1305)];

/// A suite of TLS 1.2 by OpenSSL's name.
pub fn tls12(name: &str) -> Option<SupportedCipherSuite> {
    TLS12.iter().find(|(known, _)| *known == name).map(|(_, suite)| *suite)
}

/// A suite of TLS 1.3 by its name.
pub fn tls13(name: &str) -> Option<SupportedCipherSuite> {
    TLS13.iter().find(|(known, _)| *known == name).map(|(_, suite)| *suite)
}

/// TLS 1.3's suites in OpenSSL's order.
pub fn default13() -> Vec<SupportedCipherSuite> {
    TLS13.iter().map(|(_, suite)| *suite).collect()
}

/// Whether a suite encrypts with ChaCha20.
pub fn is_chacha(suite: CipherSuite) -> bool {
    name(suite).contains("CHACHA20")
}

/// OpenSSL's name of a suite; its number where OpenSSL has none.
pub fn name(suite: CipherSuite) -> String {
    let number = u16::from(suite);
    let new = TLS13.iter().map(|(name, suite)| (*name, u16::from(suite.suite()))).chain(UNSPOKEN13);
    let found =
        new.chain(ciphers::all().map(|cipher| (cipher.name, cipher.number))).find(|(_, known)| *known == number);
    found.map_or_else(|| format!("0x{number:04x}"), |(name, _)| name.to_owned())
}

/// The groups that are spoken, each under the names OpenSSL takes for it.
const GROUPS: [(&[&str], &dyn SupportedKxGroup); 5] = [
    (&["X25519", "x25519"], kx_group::X25519),
    (&["prime256v1", "P-256", "secp256r1"], kx_group::SECP256R1),
    (&["secp384r1", "P-384"], kx_group::SECP384R1),
    (&["X25519MLKEM768"], kx_group::X25519MLKEM768),
    (&["SecP256r1MLKEM768"], kx_group::SECP256R1MLKEM768),
];

/// A group by OpenSSL's name.
pub fn group(name: &str) -> Option<&'static dyn SupportedKxGroup> {
    GROUPS.iter().find(|(names, _)| names.contains(&name)).map(|(_, group)| *group)
}

/// What `ssl_ecdh_curve auto` means for a server.
///
/// Differs from nginx: the hybrid with ML-KEM is there, as in OpenSSL 3.5. [test: a_client_with_a_hybrid_gets_it]
pub fn default_groups() -> Vec<&'static dyn SupportedKxGroup> {
    vec![kx_group::X25519MLKEM768, kx_group::X25519, kx_group::SECP256R1, kx_group::SECP384R1]
}
/// The groups a client offers: without the hybrid, whose share does not fit a packet.
pub fn client_groups() -> Vec<&'static dyn SupportedKxGroup> {
    vec![kx_group::X25519, kx_group::SECP256R1, kx_group::SECP384R1]
}

/// OpenSSL's name of a group, as `$ssl_curve` prints it; its number where OpenSSL 3.0 has none.
pub fn group_name(group: NamedGroup) -> String {
    const KNOWN: [(u16, &str); 15] = [
        (0x0015, "secp224r1"),
        (0x0016, "secp256k1"),
        (0x0017, "prime256v1"),
        (0x0018, "secp384r1"),
        (0x0019, "secp521r1"),
        (0x001a, "brainpoolP256r1"),
        (0x001b, "brainpoolP384r1"),
        (0x001c, "brainpoolP512r1"),
        (0x001d, "X25519"),
        (0x001e, "X448"),
        (0x0100, "ffdhe2048"),
        (0x0101, "ffdhe3072"),
        (0x0102, "ffdhe4096"),
        (0x11ec, "X25519MLKEM768"),
        (0x11eb, "SecP256r1MLKEM768"),
    ];
    let number = u16::from(group);
    let found = KNOWN.iter().find(|(known, _)| *known == number);
    found.map_or_else(|| format!("0x{number:04x}"), |(_, name)| (*name).to_owned())
}

/// OpenSSL's name of a version.
pub const fn version_name(version: ProtocolVersion) -> &'static str {
    match version {
        ProtocolVersion::SSLv2 => "SSLv2",
        ProtocolVersion::SSLv3 => "SSLv3",
        ProtocolVersion::TLSv1_0 => "TLSv1",
        ProtocolVersion::TLSv1_1 => "TLSv1.1",
        ProtocolVersion::TLSv1_2 => "TLSv1.2",
        ProtocolVersion::TLSv1_3 => "TLSv1.3",
        _ => "unknown",
    }
}
