//! Certificates and keys in files: what OpenSSL says when they cannot be read, and whether they belong together.

use super::der::{Fields, unsigned};
use super::key::KeyError;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use std::io::{self, ErrorKind};
use x509_parser::pem::Pem;
use x509_parser::prelude::{FromDer as _, GeneralName, ParsedExtension, X509Certificate};
use x509_parser::public_key::PublicKey;

const BAD_DER: &str = "error:068000A8:asn1 encoding routines::wrong tag error:0688010A:asn1 encoding routines::nested \
                       asn1 error:Type=X509 error:0488000D:PEM routines::ASN1 lib";
const BAD_BASE64: &str = "error:04800064:PEM routines::bad base64 decode";
const NO_START: &str = "error:0480006C:PEM routines::no start line:Expecting: ";
const NO_KEY: &str = "error:1E08010C:DECODER routines::unsupported:No supported data to decode. Input type: PEM";
const NO_PASSWORD: &str = "error:1400006B:UI routines::processing error:while reading strings error:0480006D:PEM \
    routines::problems getting password error:07880109:common libcrypto routines::interrupted or cancelled \
    error:07880109:common libcrypto routines::interrupted or cancelled error:1C80009F:Provider routines::unable to get \
    passphrase error:1400006B:UI routines::processing error:while reading strings error:0480006D:PEM \
    routines::problems getting password error:07880109:common libcrypto routines::interrupted or cancelled \
    error:04800068:PEM routines::bad password read";

/// OpenSSL's words for a file it cannot open in `mode`.
pub fn unopened(path: &str, mode: &str, error: &io::Error) -> String {
    let errno = error.raw_os_error().unwrap_or_default();
    let shown = crate::conf::walk::errno(error);
    let text = shown.split_once(": ").map_or("", |(_, text)| text);
    let after = if error.kind() == ErrorKind::NotFound {
        "error:10000080:BIO routines::no such file"
    } else {
        "error:10080002:BIO routines::system lib"
    };
    format!("error:{:08X}:system library::{text}:calling fopen({path}, {mode}) {after}", 0x8000_0000_u32 + errno as u32)
}

/// Text blocks between `-----BEGIN x-----` and `-----END x-----`.
fn blocks(bytes: &[u8]) -> impl Iterator<Item = Result<Pem, &'static str>> {
    Pem::iter_from_buffer(bytes).map(|block| block.map_err(|_| BAD_BASE64))
}

fn is_certificate(label: &str) -> bool {
    matches!(label, "CERTIFICATE" | "X509 CERTIFICATE" | "TRUSTED CERTIFICATE")
}

/// The public half of a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Public {
    /// The modulus.
    Rsa(Vec<u8>),
    /// The curve's identifier and the point, empty where it is not written down.
    Ec(Vec<u8>, Vec<u8>),
    /// Of another kind.
    Other,
}

impl Public {
    /// Whether the two can belong together; keys of different kinds do not meet.
    pub fn fits(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Rsa(a), Self::Rsa(b)) => a == b,
            (Self::Ec(curve, point), Self::Ec(other, its)) => {
                curve == other && (point.is_empty() || its.is_empty() || point == its)
            }
            _ => true,
        }
    }
}

/// What a certificate file holds.
#[derive(Clone, Debug)]
pub struct Certificate {
    /// The leaf's key.
    pub key: Public,
    /// The bits of an RSA key.
    pub rsa_bits: Option<usize>,
    /// The issuer's name, as encoded.
    pub issuer: Vec<u8>,
    /// The names of the certificates behind the leaf.
    pub chain: Vec<Vec<u8>>,
    /// Where its standing is asked for.
    pub responder: Option<String>,
}

impl Certificate {
    /// Reads a chain.
    ///
    /// # Errors
    /// The call that fails, and OpenSSL's words.
    pub fn read(bytes: &[u8]) -> Result<Self, (&'static str, String)> {
        let mut found = None;
        for block in blocks(bytes) {
            let call = if found.is_none() { "PEM_read_bio_X509_AUX()" } else { "PEM_read_bio_X509()" };
            let block = block.map_err(|text| (call, text.to_owned()))?;
            if !is_certificate(&block.label) {
                continue;
            }
            let (_, one) = X509Certificate::from_der(&block.contents).map_err(|_| (call, BAD_DER.to_owned()))?;
            match &mut found {
                None => found = Some(Self::leaf(&one)),
                Some(leaf) => leaf.chain.push(one.subject().as_raw().to_vec()),
            }
        }
        found.ok_or_else(|| ("PEM_read_bio_X509_AUX()", format!("{NO_START}TRUSTED CERTIFICATE")))
    }

    /// The OCSP responder a certificate names.
    pub fn responder_of(der: &[u8]) -> Option<String> {
        X509Certificate::from_der(der).ok().and_then(|(_, one)| responder(&one))
    }

    fn leaf(one: &X509Certificate<'_>) -> Self {
        let info = one.public_key();
        let key = match info.parsed() {
            Ok(PublicKey::RSA(key)) => Public::Rsa(unsigned(key.modulus).to_vec()),
            Ok(PublicKey::EC(point)) => {
                let curve = info.algorithm.parameters.as_ref().map(|any| any.data.to_vec()).unwrap_or_default();
                Public::Ec(curve, point.data().to_vec())
            }
            _ => Public::Other,
        };
        let bits = |modulus: &[u8]| modulus.len() * 8 - modulus.first().map_or(0, |byte| byte.leading_zeros() as usize);
        let rsa_bits = match &key {
            Public::Rsa(modulus) => Some(bits(modulus)),
            _ => None,
        };
        let issuer = one.issuer().as_raw().to_vec();
        Self { key, rsa_bits, issuer, chain: Vec::new(), responder: responder(one) }
    }
}

fn responder(one: &X509Certificate<'_>) -> Option<String> {
    one.extensions().iter().find_map(|extension| {
        let ParsedExtension::AuthorityInfoAccess(access) = extension.parsed_extension() else { return None };
        access.accessdescs.iter().find_map(|description| match &description.access_location {
            GeneralName::URI(uri) if description.access_method.to_id_string() == "1.3.6.1.5.5.7.48.1" => {
                Some((*uri).to_owned())
            }
            _ => None,
        })
    })
}

/// The certificates of a chain's text, the leaf first; what a trusted one has behind it for OpenSSL is left out.
pub fn chain(bytes: &[u8]) -> Vec<CertificateDer<'static>> {
    let certificates = blocks(bytes).filter_map(Result::ok).filter(|block| is_certificate(&block.label));
    let whole = |block: Pem| Some(CertificateDer::from(Fields::new(&block.contents).any()?.whole.to_vec()));
    certificates.filter_map(whole).collect()
}

/// The names of the certificates in a file of trusted ones, and how many lists of revoked ones there are.
pub fn bundle(bytes: &[u8]) -> (Vec<Vec<u8>>, usize) {
    let mut names = Vec::new();
    let mut lists = 0;
    for block in blocks(bytes).filter_map(Result::ok) {
        if is_certificate(&block.label) {
            names.extend(
                X509Certificate::from_der(&block.contents).ok().map(|(_, one)| one.subject().as_raw().to_vec()),
            );
        } else if block.label == "X509 CRL" {
            lists += 1;
        }
    }
    (names, lists)
}

/// The public half of a private key.
pub fn public(key: &PrivateKeyDer<'_>) -> Public {
    let public = match key {
        PrivateKeyDer::Pkcs1(der) => rsa(der.secret_pkcs1_der()),
        PrivateKeyDer::Sec1(der) => ec(der.secret_sec1_der(), None),
        PrivateKeyDer::Pkcs8(der) => pkcs8(der.secret_pkcs8_der()),
        _ => None,
    };
    public.unwrap_or(Public::Other)
}

/// OpenSSL's words for a private key that cannot be read.
pub fn unread_key(error: KeyError) -> String {
    let bad_decrypt = "error:1C800064:Provider routines::bad decrypt";
    match error {
        KeyError::Unreadable => NO_KEY.to_owned(),
        KeyError::NoPassword => NO_PASSWORD.to_owned(),
        KeyError::WrongPassword => format!("{bad_decrypt} error:04800065:PEM routines::bad decrypt"),
        KeyError::WrongPkcs8Password => {
            let last = "error:11800074:PKCS12 routines::pkcs12 cipherfinal error:maybe wrong password";
            format!("{bad_decrypt} {last} {bad_decrypt} {last}")
        }
        KeyError::Unsupported(what) => format!("{what} is not supported"),
    }
}

/// The bits of the prime in a file of Diffie-Hellman parameters.
///
/// # Errors
/// OpenSSL's words.
pub fn dh_bits(bytes: &[u8]) -> Result<usize, String> {
    let block = blocks(bytes).filter_map(Result::ok).find(|block| block.label.ends_with("DH PARAMETERS"));
    let prime = block.as_ref().and_then(|block| field(&block.contents, 0x30)).and_then(|(body, _)| field(body, 2));
    let (prime, _) = prime.ok_or_else(|| format!("{NO_START}DH PARAMETERS"))?;
    Ok(unsigned(prime).len() * 8)
}

/// Whether the bytes can be an OCSP response.
pub fn is_response(bytes: &[u8]) -> bool {
    field(bytes, 0x30).is_some()
}

/// The body of the DER field `bytes` begin with, if its tag is `tag`, and what follows it.
fn field(bytes: &[u8], tag: u8) -> Option<(&[u8], &[u8])> {
    let field = Fields::new(bytes).any().filter(|field| field.tag == tag)?;
    Some((field.body, bytes.get(field.whole.len()..)?))
}

fn rsa(der: &[u8]) -> Option<Public> {
    let (body, _) = field(der, 0x30)?;
    let (_, rest) = field(body, 2)?;
    let (modulus, _) = field(rest, 2)?;
    Some(Public::Rsa(unsigned(modulus).to_vec()))
}

fn ec(der: &[u8], curve: Option<&[u8]>) -> Option<Public> {
    let (body, _) = field(der, 0x30)?;
    let (_, rest) = field(body, 2)?;
    let (_, mut rest) = field(rest, 4)?;
    let mut curve = curve.map(<[u8]>::to_vec);
    if let Some((parameters, after)) = field(rest, 0xa0) {
        curve = curve.or_else(|| field(parameters, 6).map(|(id, _)| id.to_vec()));
        rest = after;
    }
    let point =
        field(rest, 0xa1).and_then(|(body, _)| field(body, 3)).map(|(bits, _)| bits.get(1..).unwrap_or_default());
    Some(Public::Ec(curve?, point.unwrap_or_default().to_vec()))
}

fn pkcs8(der: &[u8]) -> Option<Public> {
    let (body, _) = field(der, 0x30)?;
    let (_, rest) = field(body, 2)?;
    let (algorithm, rest) = field(rest, 0x30)?;
    let (kind, parameters) = field(algorithm, 6)?;
    let (inner, _) = field(rest, 4)?;
    match kind {
        [0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 1] => rsa(inner),
        [0x2a, 0x86, 0x48, 0xce, 0x3d, 2, 1] => ec(inner, field(parameters, 6).map(|(id, _)| id)),
        _ => Some(Public::Other),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tls::testing::fixture;

    #[test]
    fn only_the_certificate_of_a_trusted_one_is_sent() {
        let plain = chain(&fixture("root.crt"));
        // Behind the certificate: an alias, as `openssl x509 -setalias x -trustout` writes it.
        let trusted =
            crate::tls::pem::encode("TRUSTED CERTIFICATE", &[&plain[0][..], &[0x30, 3, 0x0c, 1, b'x']].concat());
        assert_eq!(chain(trusted.as_bytes()), plain);
        assert_eq!(Certificate::read(trusted.as_bytes()).map(|leaf| leaf.rsa_bits), Ok(None));
    }
}
