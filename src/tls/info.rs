//! The values of `$ssl_*`: pure functions over what is known of a connection.
//!
//! The lists of the ClientHello are read while it is there ([`Offer`]); everything else comes from the rustls connection
//! and the certificates the client has shown.

use super::dn;
#[cfg(test)]
use super::facts::Facts;
use super::pem;
use super::suites;
use aws_lc_rs::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};
use data_encoding::HEXLOWER;
use rustls::server::ClientHello;
use rustls::{CipherSuite, CommonState, HandshakeKind, NamedGroup, ServerConnection};
use x509_parser::prelude::{FromDer as _, X509Certificate};
use x509_parser::time::ASN1Time;

/// What a ClientHello offers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Offer {
    ciphers: Vec<CipherSuite>,
    groups: Vec<NamedGroup>,
}

impl Offer {
    /// The lists of a ClientHello.
    pub fn of(hello: &ClientHello<'_>) -> Self {
        Self { ciphers: hello.cipher_suites().to_vec(), groups: hello.named_groups().unwrap_or_default().to_vec() }
    }

    /// `$ssl_ciphers`.
    pub fn ciphers(&self) -> String {
        self.ciphers.iter().map(|suite| suites::name(*suite)).collect::<Vec<_>>().join(":")
    }

    /// `$ssl_curves`.
    pub fn curves(&self) -> String {
        self.groups.iter().map(|group| suites::group_name(*group)).collect::<Vec<_>>().join(":")
    }
}

/// `$ssl_protocol`.
pub fn protocol(connection: &CommonState) -> &'static str {
    connection.protocol_version().map_or("", suites::version_name)
}

/// `$ssl_cipher`.
pub fn cipher(connection: &CommonState) -> String {
    connection.negotiated_cipher_suite().map(|suite| suites::name(suite.suite())).unwrap_or_default()
}

/// `$ssl_curve`.
///
/// Differs from nginx: it is empty where a session of TLS 1.2 is resumed, as no keys are exchanged then. [test: no_curve_is_named_where_none_is_used]
pub fn curve(connection: &CommonState) -> String {
    connection.negotiated_key_exchange_group().map(|group| suites::group_name(group.name())).unwrap_or_default()
}

/// `$ssl_session_reused`.
pub fn session_reused(connection: &CommonState) -> &'static str {
    if connection.handshake_kind() == Some(HandshakeKind::Resumed) { "r" } else { "." }
}

/// `$ssl_session_id`. Called once the ClientHello has been answered: a new session gets an id that its tickets carry.
///
/// Differs from nginx: resumed sessions keep it with TLS 1.3, and get another with TLS 1.2. [test: a_session_keeps_its_id]
pub fn session_id(connection: &mut ServerConnection) -> String {
    let mut id = [0; 32];
    match connection.received_resumption_data() {
        Some(known) if known.len() == id.len() => id.copy_from_slice(known),
        _ if aws_lc_rs::rand::fill(&mut id).is_err() => return String::new(),
        _ => {}
    }
    connection.set_resumption_data(&id);
    HEXLOWER.encode(&id)
}

/// A certificate a client has shown.
pub struct ClientCertificate<'a> {
    der: &'a [u8],
    parsed: X509Certificate<'a>,
}

impl<'a> ClientCertificate<'a> {
    /// The leaf of what a client has shown.
    pub fn of(connection: &'a CommonState) -> Option<Self> {
        Self::read(connection.peer_certificates()?.first()?)
    }

    /// Reads one; nothing where its encoding is wrong.
    pub fn read(der: &'a [u8]) -> Option<Self> {
        X509Certificate::from_der(der).ok().map(|(_, parsed)| Self { der, parsed })
    }

    /// `$ssl_client_raw_cert`.
    pub fn raw(&self) -> String {
        pem::encode("CERTIFICATE", self.der)
    }

    /// `$ssl_client_cert`: the lines after the first begin with a tab.
    pub fn tabbed(&self) -> String {
        self.raw().trim_end_matches('\n').replace('\n', "\n\t")
    }

    /// `$ssl_client_escaped_cert`.
    pub fn escaped(&self) -> String {
        let mut out = String::new();
        for byte in self.raw().bytes() {
            if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') {
                out.push(char::from(byte));
            } else {
                out.push_str(&format!("%{byte:02X}"));
            }
        }
        out
    }

    /// `$ssl_client_s_dn`.
    pub fn subject(&self) -> String {
        dn::rfc2253(self.parsed.subject().as_raw())
    }

    /// `$ssl_client_i_dn`.
    pub fn issuer(&self) -> String {
        dn::rfc2253(self.parsed.issuer().as_raw())
    }

    /// `$ssl_client_s_dn_legacy`.
    pub fn subject_legacy(&self) -> String {
        dn::oneline(self.parsed.subject().as_raw())
    }

    /// `$ssl_client_i_dn_legacy`.
    pub fn issuer_legacy(&self) -> String {
        dn::oneline(self.parsed.issuer().as_raw())
    }

    /// `$ssl_client_serial`.
    pub fn serial(&self) -> String {
        serial(self.parsed.raw_serial())
    }

    /// `$ssl_client_fingerprint`.
    pub fn fingerprint(&self) -> String {
        HEXLOWER.encode(digest(&SHA1_FOR_LEGACY_USE_ONLY, self.der).as_ref())
    }

    /// `$ssl_client_v_start`.
    pub fn starts(&self) -> String {
        time(&self.parsed.validity().not_before)
    }

    /// `$ssl_client_v_end`.
    pub fn ends(&self) -> String {
        time(&self.parsed.validity().not_after)
    }

    /// `$ssl_client_v_remain`: whole days from `now` (in seconds since 1970).
    pub fn remains(&self, now: i64) -> String {
        const DAY: i64 = 86_400;
        let left = self.parsed.validity().not_after.timestamp() - now;
        if left < DAY { "0".to_owned() } else { (left / DAY).to_string() }
    }

    /// What verification asks of it.
    #[cfg(test)]
    pub fn facts(&self) -> Option<Facts> {
        Facts::read(self.der)
    }
}

/// A serial number in hexadecimal digits, a negative one with its sign, a long one in lines of 35 bytes.
fn serial(raw: &[u8]) -> String {
    let negative = raw.first().is_some_and(|byte| byte & 0x80 != 0);
    let mut bytes = raw.to_vec();
    if negative {
        let mut carry = true;
        for byte in bytes.iter_mut().rev() {
            (*byte, carry) = (!*byte).overflowing_add(u8::from(carry));
        }
    }
    let magnitude = super::der::unsigned(&bytes);
    if magnitude.is_empty() {
        return "00".to_owned();
    }
    let mut out = String::from(if negative { "-" } else { "" });
    for (index, byte) in magnitude.iter().enumerate() {
        if index > 0 && index % 35 == 0 {
            out.push_str("\\\n");
        }
        out.push_str(&format!("{byte:02X}"));
    }
    out
}

/// A time as OpenSSL prints it.
fn time(time: &ASN1Time) -> String {
    const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let time = time.to_datetime();
    let month = MONTHS.get(usize::from(u8::from(time.month())) - 1).copied().unwrap_or_default();
    let (hour, minute, second) = time.to_hms();
    format!("{month} {:2} {hour:02}:{minute:02}:{second:02} {} GMT", time.day(), time.year())
}

#[cfg(test)]
mod tests;
