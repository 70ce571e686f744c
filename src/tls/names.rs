//! Names OpenSSL knows: groups of key exchange, commands of `ssl_conf_command` and their values.

/// Groups OpenSSL takes for `ssl_ecdh_curve`, and the hybrids OpenSSL 3.5 knows.
const GROUPS: &[&str] = &[
    "sect163k1",
    "K-163",
    "sect163r1",
    "sect163r2",
    "B-163",
    "sect193r1",
    "sect193r2",
    "sect233k1",
    "K-233",
    "sect233r1",
    "B-233",
    "sect239k1",
    "sect283k1",
    "K-283",
    "sect283r1",
    "B-283",
    "sect409k1",
    "K-409",
    "sect409r1",
    "B-409",
    "sect571k1",
    "K-571",
    "sect571r1",
    "B-571",
    "secp160k1",
    "secp160r1",
    "secp160r2",
    "secp192k1",
    "secp192r1",
    "prime192v1",
    "P-192",
    "secp224k1",
    "secp224r1",
    "P-224",
    "secp256k1",
    "secp256r1",
    "prime256v1",
    "P-256",
    "secp384r1",
    "P-384",
    "secp521r1",
    "P-521",
    "brainpoolP256r1",
    "brainpoolP384r1",
    "brainpoolP512r1",
    "X25519",
    "x25519",
    "X448",
    "x448",
    "ffdhe2048",
    "ffdhe3072",
    "ffdhe4096",
    "ffdhe6144",
    "ffdhe8192",
    "X25519MLKEM768",
    "SecP256r1MLKEM768",
];

const COMMANDS: &[&str] = &[
    "SignatureAlgorithms",
    "ClientSignatureAlgorithms",
    "Curves",
    "Groups",
    "ECDHParameters",
    "CipherString",
    "Ciphersuites",
    "Protocol",
    "MinProtocol",
    "MaxProtocol",
    "Options",
    "VerifyMode",
    "Certificate",
    "PrivateKey",
    "ServerInfoFile",
    "ChainCAPath",
    "ChainCAFile",
    "VerifyCAPath",
    "VerifyCAFile",
    "RequestCAFile",
    "ClientCAFile",
    "RequestCAPath",
    "ClientCAPath",
    "DHParameters",
    "RecordPadding",
    "NumTickets",
];

const OPTIONS: &[&str] = &[
    "SessionTicket",
    "EmptyFragments",
    "Bugs",
    "Compression",
    "ServerPreference",
    "NoResumptionOnRenegotiation",
    "DHSingle",
    "ECDHSingle",
    "UnsafeLegacyRenegotiation",
    "UnsafeLegacyServerConnect",
    "ClientRenegotiation",
    "EncryptThenMac",
    "NoRenegotiation",
    "AllowNoDHEKEX",
    "PrioritizeChaCha",
    "MiddleboxCompat",
    "AntiReplay",
    "ExtendedMasterSecret",
    "CANames",
    "KTLS",
];

const PROTOCOLS: &[&str] = &["None", "SSLv3", "TLSv1", "TLSv1.1", "TLSv1.2", "TLSv1.3", "DTLSv1", "DTLSv1.2"];

const SUITES: &[&str] = &[
    "TLS_AES_128_GCM_SHA256",
    "TLS_AES_256_GCM_SHA384",
    "TLS_CHACHA20_POLY1305_SHA256",
    "TLS_AES_128_CCM_SHA256",
    "TLS_AES_128_CCM_8_SHA256",
];

/// What is wrong with a list of groups.
///
/// # Errors
/// OpenSSL's words.
pub fn groups(list: &str) -> Result<(), String> {
    if list == "auto" {
        return Ok(());
    }
    match list.split(':').find(|name| !GROUPS.contains(name)) {
        Some(name) => Err(format!("error:0A080106:SSL routines::passed invalid argument:group '{name}' cannot be set")),
        None => Ok(()),
    }
}

/// What is wrong with a command of `ssl_conf_command`.
///
/// # Errors
/// OpenSSL's words.
pub fn command(name: &str, value: &str) -> Result<(), String> {
    let Some(known) = COMMANDS.iter().find(|command| command.eq_ignore_ascii_case(name)) else {
        return Err(format!("error:0A000182:SSL routines::unknown cmd name:cmd={name}"));
    };
    let bad = || format!("error:0A000180:SSL routines::bad value:cmd={name}, value={value}");
    let among = |list: &[&str], word: &str| {
        let word = word.trim_start_matches(['+', '-']);
        list.iter().any(|known| known.eq_ignore_ascii_case(word))
    };
    match *known {
        "Options" if !value.split(',').all(|word| among(OPTIONS, word)) => Err(bad()),
        "MinProtocol" | "MaxProtocol" if !PROTOCOLS.contains(&value) => Err(bad()),
        "Protocol" if !value.split(',').all(|word| among(PROTOCOLS, word) || among(&["ALL"], word)) => Err(bad()),
        "Ciphersuites" if !value.split(':').all(|word| SUITES.contains(&word)) => {
            Err(format!("{} {}", super::ciphers::NO_MATCH, bad()))
        }
        "Curves" | "Groups" => groups(value).map_err(|text| format!("{text} {}", bad())),
        _ => Ok(()),
    }
}
