//! OCSP (RFC 6960): requests, responses and what they say of a certificate. Pure functions; who fetches is elsewhere.
//!
//! Two users: `ssl_stapling` asks about the server's certificate and staples the answer, `ssl_ocsp` asks about clients'.

use super::der::{Fields, small, tag, unsigned, wrap};
use super::facts::{Facts, Signed};
use aws_lc_rs::digest::{Algorithm, SHA1_FOR_LEGACY_USE_ONLY, SHA256, digest};
use data_encoding::BASE64;
use std::fmt::{self, Display};

const SHA1_ID: &[u8] = &[0x2b, 0x0e, 3, 2, 0x1a];
const SHA256_ID: &[u8] = &[0x60, 0x86, 0x48, 1, 0x65, 3, 4, 2, 1];
const BASIC: &[u8] = &[0x2b, 6, 1, 5, 5, 7, 0x30, 1, 1];
const ENUMERATED: u8 = 0x0a;
const GENERALIZED_TIME: u8 = 0x18;

/// What a responder says of a certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// It is not revoked.
    Good,
    /// It is.
    Revoked,
    /// The responder does not know it.
    Unknown,
}

impl Status {
    /// OpenSSL's word.
    pub const fn text(self) -> &'static str {
        match self {
            Self::Good => "good",
            Self::Revoked => "revoked",
            Self::Unknown => "unknown",
        }
    }
}

/// A response that holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Answer {
    /// What it says.
    pub status: Status,
    /// Until when, in seconds since 1970, if it says.
    pub until: Option<i64>,
}

/// Why a response does not hold, in nginx's words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// It cannot be read.
    Unreadable,
    /// The responder refused.
    NotSuccessful(u64),
    /// It has no basic response.
    NotBasic,
    /// Nobody who may has signed it.
    NotSigned,
    /// It is about other certificates.
    NotFound,
    /// It is too old, or not valid yet.
    NotValid,
}

impl Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreadable => f.write_str("d2i_OCSP_RESPONSE() failed"),
            Self::NotSuccessful(status) => {
                let text = match status {
                    1 => "malformedrequest",
                    2 => "internalerror",
                    3 => "trylater",
                    5 => "sigrequired",
                    6 => "unauthorized",
                    _ => "(UNKNOWN)",
                };
                write!(f, "OCSP response not successful ({status}: {text})")
            }
            Self::NotBasic => f.write_str("OCSP_response_get1_basic() failed"),
            Self::NotSigned => f.write_str("OCSP_basic_verify() failed"),
            Self::NotFound => f.write_str("certificate status not found in the OCSP response"),
            Self::NotValid => f.write_str("OCSP_check_validity() failed"),
        }
    }
}

/// What names a certificate in requests: hashes of its issuer's name and key, and its serial number.
fn certificate_id(certificate: &Facts, issuer: &Facts, algorithm: &'static Algorithm) -> (Vec<u8>, Vec<u8>, Vec<u8>) {
    let hash = |bytes: &[u8]| digest(algorithm, bytes).as_ref().to_vec();
    (hash(&certificate.issuer), hash(&issuer.key.bits), certificate.serial.clone())
}

/// A request about one certificate.
pub fn request(certificate: &Facts, issuer: &Facts) -> Vec<u8> {
    const NULL: [u8; 2] = [5, 0];
    let (name, key, mut serial) = certificate_id(certificate, issuer, &SHA1_FOR_LEGACY_USE_ONLY);
    if serial.first().is_none_or(|byte| byte & 0x80 != 0) {
        serial.insert(0, 0);
    }
    let algorithm = wrap(tag::SEQUENCE, &[&wrap(tag::OID, &[SHA1_ID]), &NULL]);
    let parts = [wrap(tag::OCTETS, &[&name]), wrap(tag::OCTETS, &[&key]), wrap(tag::INTEGER, &[&serial])];
    let id = wrap(tag::SEQUENCE, &[&algorithm, &parts.concat()]);
    // OCSPRequest, TBSRequest, requestList, Request around the CertID.
    (0..4).fold(id, |inner, _| wrap(tag::SEQUENCE, &[&inner]))
}

/// The HTTP request nginx asks a responder with: `uri` is the path of its URL.
pub fn http_request(uri: &str, host: &str, request: &[u8]) -> String {
    let text = BASE64.encode(request).replace('+', "%2B").replace('/', "%2F").replace('=', "%3D");
    let slash = if uri.ends_with('/') { "" } else { "/" };
    format!("GET {uri}{slash}{text} HTTP/1.0\r\nHost: {host}\r\n\r\n")
}

/// A basic response, read.
struct Basic<'a> {
    signed: Signed,
    responses: Fields<'a>,
    certificates: Vec<Facts>,
}

fn basic(der: &[u8]) -> Result<Basic<'_>, Fault> {
    let mut outer = Fields::new(der).enter(tag::SEQUENCE).ok_or(Fault::Unreadable)?;
    let status = outer.take(ENUMERATED).and_then(small).ok_or(Fault::Unreadable)?;
    if status != 0 {
        return Err(Fault::NotSuccessful(status));
    }
    let mut bytes = outer.enter(0xa0).and_then(|mut tagged| tagged.enter(tag::SEQUENCE)).ok_or(Fault::NotBasic)?;
    if bytes.take(tag::OID) != Some(BASIC) {
        return Err(Fault::NotBasic);
    }
    let inner = bytes.take(tag::OCTETS).ok_or(Fault::NotBasic)?;
    let read = || {
        let signed = Signed::read(inner)?;
        let mut fields = Fields::new(inner).enter(tag::SEQUENCE)?;
        let mut data = fields.enter(tag::SEQUENCE)?;
        fields.any()?;
        fields.any()?;
        let mut certificates = Vec::new();
        if let Some(mut list) = fields.enter(0xa0).and_then(|mut tagged| tagged.enter(tag::SEQUENCE)) {
            while let Some(one) = list.any() {
                certificates.extend(Facts::read(one.whole));
            }
        }
        data.take(0xa0);
        // Who has answered is found by the signature; when does not matter.
        data.any()?;
        data.take(GENERALIZED_TIME)?;
        Some(Basic { signed, responses: data.enter(tag::SEQUENCE)?, certificates })
    };
    read().ok_or(Fault::NotBasic)
}

/// Reads a response about a certificate, at that time (in seconds since 1970).
///
/// It must be signed by the issuer, or by a responder the issuer has signed for that purpose. Without `verify`, as
/// `ssl_stapling_verify off` has it, any certificate in the response may have signed.
///
/// # Errors
/// Why it does not hold.
pub fn read(der: &[u8], certificate: &Facts, issuer: &Facts, verify: bool, now: i64) -> Result<Answer, Fault> {
    let Basic { signed, mut responses, certificates } = basic(der)?;
    let delegated = |one: &&Facts| {
        let allowed = one.purposes.is_some_and(|purposes| purposes.ocsp) && one.is_valid_at(now);
        !verify || (allowed && one.may_be_issued_by(issuer) && one.signed.is_by(&issuer.key))
    };
    let mut signers = std::iter::once(issuer).chain(certificates.iter().filter(delegated));
    if !signers.any(|signer| signed.is_by(&signer.key)) {
        return Err(Fault::NotSigned);
    }
    while let Some(mut one) = responses.enter(tag::SEQUENCE) {
        let Some(id) = one.enter(tag::SEQUENCE) else { continue };
        if !is_about(id, certificate, issuer) {
            continue;
        }
        let status = match one.any().map(|field| field.tag & 0x1f) {
            Some(0) => Status::Good,
            Some(1) => Status::Revoked,
            _ => Status::Unknown,
        };
        let from = one.take(GENERALIZED_TIME).and_then(time).ok_or(Fault::NotValid)?;
        let until = match one.enter(0xa0) {
            Some(mut tagged) => Some(tagged.take(GENERALIZED_TIME).and_then(time).ok_or(Fault::NotValid)?),
            None => None,
        };
        // Clocks may differ by five minutes.
        let stale = until.is_some_and(|until| until < now - 300 || until < from);
        return if from > now + 300 || stale { Err(Fault::NotValid) } else { Ok(Answer { status, until }) };
    }
    Err(Fault::NotFound)
}

fn is_about(mut id: Fields<'_>, certificate: &Facts, issuer: &Facts) -> bool {
    let algorithm = match id.enter(tag::SEQUENCE).and_then(|mut algorithm| algorithm.take(tag::OID)) {
        Some(SHA1_ID) => &SHA1_FOR_LEGACY_USE_ONLY,
        Some(SHA256_ID) => &SHA256,
        _ => return false,
    };
    let (name, key, serial) = certificate_id(certificate, issuer, algorithm);
    id.take(tag::OCTETS) == Some(&name[..])
        && id.take(tag::OCTETS) == Some(&key[..])
        && id.take(tag::INTEGER).map(unsigned) == Some(&serial[..])
}

/// `20261129215539Z` in seconds since 1970.
fn time(text: &[u8]) -> Option<i64> {
    let digits = text.strip_suffix(b"Z").filter(|digits| digits.len() == 14)?;
    let number =
        |from: usize, to: usize| -> Option<i64> { std::str::from_utf8(digits.get(from..to)?).ok()?.parse().ok() };
    let (year, month, day) = (number(0, 4)?, number(4, 6)?, number(6, 8)?);
    // The year begins in March, so that the odd day is its last.
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let days = 365 * year + year / 4 - year / 100 + year / 400 + (153 * month + 2) / 5 + day - 1 - 719_468;
    Some(days * 86_400 + number(8, 10)? * 3600 + number(10, 12)? * 60 + number(12, 14)?)
}

/// `ssl_ocsp`: why a client's certificate is refused after its status was asked for, as `$ssl_client_verify` has it
/// after `FAILED:`; nothing where it is good.
pub const fn refusal(outcome: Result<Answer, Fault>) -> Option<&'static str> {
    match outcome {
        Ok(Answer { status: Status::Good, .. }) => None,
        Ok(Answer { status: Status::Revoked, .. }) => Some("certificate revoked"),
        Ok(Answer { status: Status::Unknown, .. }) => Some("certificate status unknown"),
        Err(_) => Some("certificate status request failed"),
    }
}

/// Whose status `ssl_ocsp` asks for in a verified chain: each with its issuer; the leaf alone for `leaf`.
pub fn to_ask(chain: &[Facts], leaf_only: bool) -> impl Iterator<Item = (&Facts, &Facts)> {
    let most = if leaf_only { 1 } else { usize::MAX };
    chain.iter().zip(chain.iter().skip(1)).take(most)
}

#[cfg(test)]
mod tests;
