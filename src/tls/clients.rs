//! Certificates of clients: they are asked for in the handshake, which succeeds with any of them, and judged afterwards.
//!
//! As in nginx it is the request that is refused, with 495 or 496:
//!
//! ```text
//! let verdict = context.clients().verdict(connection.peer_certificates(), now);
//! if let Some(refusal) = context.clients().refusal(&verdict) { /* log refusal, answer refusal.status() */ }
//! ```

use super::check::{Files, given};
use super::ciphers;
use super::directives::{TlsConf, Verify};
use super::facts::{Crl, Facts};
use super::kept::Kept;
use super::pem;
use super::signature;
use super::verify::{Failure, Role, Trust};
use crate::conf::diagnostic::Diagnostic;
use crate::conf::tree::Word;
use rustls::client::danger::HandshakeSignatureValid;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{DigitallySignedStruct, DistinguishedName, Error, SignatureScheme};
use std::fmt::{self, Display};
use std::sync::Arc;

/// What a client's certificate is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It has shown none.
    Absent,
    /// It is accepted.
    Accepted,
    /// It is not.
    Failed(Failure),
    /// It is, but its issuer has revoked it, or the responder does not know it.
    Refused(&'static str),
}

impl Verdict {
    /// `$ssl_client_verify`.
    pub fn text(self) -> String {
        match self {
            Self::Absent => "NONE".to_owned(),
            Self::Accepted => "SUCCESS".to_owned(),
            Self::Failed(failure) => format!("FAILED:{}", failure.text()),
            Self::Refused(reason) => format!("FAILED:{reason}"),
        }
    }
}

/// Why a request is refused, in nginx's words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// There is no certificate.
    Missing,
    /// There is a bad one.
    Bad(Failure),
    /// There is one that is revoked, or whose status is not known.
    Status(&'static str),
}

impl Refusal {
    /// nginx's status: 496 and 495.
    pub const fn status(self) -> u16 {
        match self {
            Self::Missing => 496,
            Self::Bad(_) | Self::Status(_) => 495,
        }
    }
}

impl Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing => f.write_str("client sent no required SSL certificate"),
            Self::Bad(failure) => {
                write!(f, "client SSL certificate verify error: ({}:{})", failure.0, failure.text())
            }
            Self::Status(reason) => write!(f, "client SSL certificate verify error: {reason}"),
        }
    }
}

/// What a server asks of clients' certificates.
#[derive(Debug)]
pub struct Clients {
    mode: Verify,
    trust: Trust,
    /// The subjects of `ssl_client_certificate`, which are told to clients.
    hints: Arc<[DistinguishedName]>,
}

impl Clients {
    /// Reads the issuers and CRLs of a server; their files were checked before.
    ///
    /// # Errors
    /// nginx's and OpenSSL's words.
    pub fn new(conf: &TlsConf, files: &Files<'_>, kept: &Kept) -> Result<Self, Diagnostic> {
        let mode = conf.verify.unwrap_or(Verify::Off);
        let asks = mode != Verify::Off;
        let told = anchors(conf.client_certificate.as_ref().filter(|_| asks), files, kept)?;
        let mut subjects: Vec<&[u8]> = Vec::new();
        for one in told.iter().flat_map(|file| file.iter()) {
            if !subjects.contains(&&*one.subject) {
                subjects.push(&one.subject);
            }
        }
        let hints = subjects.into_iter().map(|subject| DistinguishedName::from(subject.to_vec())).collect();
        let trusted = told.into_iter().chain(anchors(conf.trusted_certificate.as_ref(), files, kept)?);
        let text = conf.ciphers.as_ref().map(Word::text);
        let trust = Trust {
            anchors: trusted.collect(),
            crls: crls(conf.crl.as_ref(), files, kept)?,
            depth: usize::try_from(conf.verify_depth.unwrap_or(1)).unwrap_or(usize::MAX),
            role: Role::Client,
            level: ciphers::level(text.as_deref()),
        };
        Ok(Self { mode, trust, hints })
    }

    /// The judgement on what a client has shown, at that time (in seconds since 1970).
    pub fn verdict(&self, shown: Option<&[CertificateDer<'_>]>, now: i64) -> Verdict {
        match shown.filter(|chain| !chain.is_empty()).map(|chain| self.trust.verify(chain, now)) {
            None => Verdict::Absent,
            Some(Ok(())) => Verdict::Accepted,
            Some(Err(failure)) => Verdict::Failed(failure),
        }
    }

    /// The chain that was accepted, from the leaf to the trusted certificate: whose status `ssl_ocsp` asks for.
    pub fn chain(&self, shown: &[CertificateDer<'_>], now: i64) -> Vec<Facts> {
        self.trust.path(shown, now)
    }

    /// The trusted certificates, among which the issuer of a server's own is looked for.
    pub fn trusted(&self) -> impl Iterator<Item = &Facts> {
        self.trust.anchors.iter().flat_map(|file| file.iter())
    }

    /// Whether requests are refused after that verdict.
    #[cfg(test)]
    pub fn refusal(&self, verdict: Verdict) -> Option<Refusal> {
        refusal(self.mode, verdict)
    }

    /// What rustls asks during the handshake; nothing where no certificate is asked for.
    pub fn verifier(&self, provider: &Arc<CryptoProvider>) -> Option<Arc<dyn ClientCertVerifier>> {
        if self.mode == Verify::Off {
            return None;
        }
        Some(Arc::new(AnyCertificate { hints: self.hints.clone(), provider: provider.clone() }))
    }
}

/// Whether requests to a server with this `ssl_verify_client` are refused after that verdict.
pub fn refusal(mode: Verify, verdict: Verdict) -> Option<Refusal> {
    match (mode, verdict) {
        (Verify::On, Verdict::Absent) => Some(Refusal::Missing),
        (Verify::OptionalNoCa, Verdict::Failed(failure)) if failure.is_optional() => None,
        (Verify::On | Verify::Optional | Verify::OptionalNoCa, Verdict::Failed(failure)) => Some(Refusal::Bad(failure)),
        (Verify::On | Verify::Optional | Verify::OptionalNoCa, Verdict::Refused(reason)) => {
            Some(Refusal::Status(reason))
        }
        _ => None,
    }
}

/// The certificates of a file of trusted ones.
///
/// # Errors
/// nginx's and OpenSSL's words.
pub fn anchors(file: Option<&Word>, files: &Files<'_>, kept: &Kept) -> Result<Option<Arc<Vec<Facts>>>, Diagnostic> {
    let Some(file) = given(file) else { return Ok(None) };
    let load = || {
        files.trusted("SSL_CTX_load_verify_locations", file)?;
        let bytes = files.loader.load(&files.path(file)).unwrap_or_default();
        Ok(Arc::new(super::facts::of(&super::certificate::chain(&bytes))))
    };
    kept.anchors.get((&[file], &[]), files, load).map(Some)
}

/// The lists of a file of revoked certificates.
///
/// # Errors
/// nginx's and OpenSSL's words.
pub fn crls(file: Option<&Word>, files: &Files<'_>, kept: &Kept) -> Result<Option<Arc<Vec<Crl>>>, Diagnostic> {
    let Some(file) = given(file) else { return Ok(None) };
    let load = || {
        files.trusted("X509_LOOKUP_load_file", file)?;
        let bytes = files.loader.load(&files.path(file)).unwrap_or_default();
        let lists = pem::blocks(&bytes).filter_map(Result::ok).filter(|block| block.label == "X509 CRL");
        Ok(Arc::new(lists.filter_map(|block| Crl::read(&block.contents)).collect()))
    };
    kept.crls.get((&[file], &[]), files, load).map(Some)
}

/// Takes every certificate whose key signs the handshake.
#[derive(Debug)]
struct AnyCertificate {
    hints: Arc<[DistinguishedName]>,
    provider: Arc<CryptoProvider>,
}

impl ClientCertVerifier for AnyCertificate {
    fn client_auth_mandatory(&self) -> bool {
        false
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &self.hints
    }

    fn verify_client_cert(
        &self,
        leaf: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        signature::key(leaf).map(|_| ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        signature::tls12(message, certificate, signed, &self.provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        signature::tls13(message, certificate, signed, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests;
