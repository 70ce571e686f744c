//! Signatures of handshakes, with the key of whatever certificate the peer shows.
//!
//! webpki reads certificates of X.509's version 3 only, and not those with a critical extension it does not know; OpenSSL
//! lets them shake hands. So the key is taken out of the certificate here, and the provider's algorithms check with it.

use super::facts::{Facts, PublicKey};
use rustls::client::danger::HandshakeSignatureValid;
use rustls::crypto::WebPkiSupportedAlgorithms;
use rustls::pki_types::CertificateDer;
use rustls::{CertificateError, DigitallySignedStruct, Error, SignatureScheme};

fn bad(error: CertificateError) -> Error {
    Error::InvalidCertificate(error)
}

/// The key of a certificate.
///
/// # Errors
/// The encoding is wrong.
pub fn key(certificate: &CertificateDer<'_>) -> Result<PublicKey, Error> {
    Facts::read(certificate).map(|facts| facts.key).ok_or_else(|| bad(CertificateError::BadEncoding))
}

/// Checks a signature of TLS 1.2, where a scheme is for every curve.
///
/// # Errors
/// It is not the certificate's.
pub fn tls12(
    message: &[u8],
    certificate: &CertificateDer<'_>,
    signed: &DigitallySignedStruct,
    algorithms: &WebPkiSupportedAlgorithms,
) -> Result<HandshakeSignatureValid, Error> {
    check(message, certificate, signed, algorithms, usize::MAX)
}

/// Checks a signature of TLS 1.3, where a scheme is for one curve and RSA has PSS alone.
///
/// # Errors
/// It is not the certificate's.
pub fn tls13(
    message: &[u8],
    certificate: &CertificateDer<'_>,
    signed: &DigitallySignedStruct,
    algorithms: &WebPkiSupportedAlgorithms,
) -> Result<HandshakeSignatureValid, Error> {
    use SignatureScheme as S;
    let old = [S::RSA_PKCS1_SHA1, S::ECDSA_SHA1_Legacy, S::RSA_PKCS1_SHA256, S::RSA_PKCS1_SHA384, S::RSA_PKCS1_SHA512];
    if old.contains(&signed.scheme) {
        return Err(bad(CertificateError::BadSignature));
    }
    check(message, certificate, signed, algorithms, 1)
}

fn check(
    message: &[u8],
    certificate: &CertificateDer<'_>,
    signed: &DigitallySignedStruct,
    algorithms: &WebPkiSupportedAlgorithms,
    most: usize,
) -> Result<HandshakeSignatureValid, Error> {
    let key = key(certificate)?;
    let known = algorithms.mapping.iter().find(|(scheme, _)| *scheme == signed.scheme);
    let mut fitting = known.into_iter().flat_map(|(_, list)| list.iter().take(most));
    let valid = fitting.any(|algorithm| {
        key.is_for(*algorithm) && algorithm.verify_signature(&key.bits, message, signed.signature()).is_ok()
    });
    if valid { Ok(HandshakeSignatureValid::assertion()) } else { Err(bad(CertificateError::BadSignature)) }
}
