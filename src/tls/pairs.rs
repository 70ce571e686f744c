//! Certificates with their keys, as rustls presents them: several for one server, of which a client gets one it can verify.

use super::check::{Files, Pair};
use super::facts::{Facts, PublicKey};
use super::kept::Cache;
use super::key::Passwords;
use crate::conf::diagnostic::Diagnostic;
use crate::conf::tree::Word;
use parking_lot::RwLock;
use rustls::crypto::aws_lc_rs::sign::any_supported_type;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use std::sync::Arc;

/// A pair as rustls takes it, with an OCSP response to staple.
///
/// Differs from nginx: RSA keys below 2048 bits are refused at every security level. [test: small_keys_are_refused]
///
/// # Errors
/// A key rustls cannot sign with.
pub fn certified(pair: Pair, response: Option<Vec<u8>>) -> Result<Arc<CertifiedKey>, Diagnostic> {
    let Pair { chain, key, key_path, .. } = pair;
    let signer = any_supported_type(&key).map_err(|_| {
        let kinds = "RSA from 2048 to 8192 bits, ECDSA on prime256v1, secp384r1 and secp521r1, and Ed25519 are";
        Diagnostic::emerg(format!("certificate key \"{key_path}\" is of a kind that is not supported: {kinds}"))
    })?;
    let mut certified = CertifiedKey::new(chain, signer);
    certified.ocsp = response;
    Ok(Arc::new(certified))
}

/// The pairs of a server.
#[derive(Debug, Default)]
pub struct Certificates {
    pairs: Vec<RwLock<Arc<CertifiedKey>>>,
}

impl Certificates {
    /// A server's pairs, in the order of the configuration. One whose key is of another kind than its certificate is never
    /// presented, as in OpenSSL, which holds the two apart.
    pub fn new(pairs: Vec<Arc<CertifiedKey>>) -> Self {
        let fits = |pair: &Arc<CertifiedKey>| {
            let certificate = pair.cert.first().and_then(|leaf| Facts::read(leaf));
            let public = pair.key.public_key().and_then(|info| PublicKey::read(&info));
            certificate.zip(public).is_none_or(|(certificate, key)| certificate.key == key)
        };
        Self { pairs: pairs.into_iter().filter(fits).map(RwLock::new).collect() }
    }

    /// The leaves, as encoded.
    pub fn leaves(&self) -> Vec<Vec<u8>> {
        let leaf = |pair: &RwLock<Arc<CertifiedKey>>| pair.read().cert.first().map(|leaf| leaf.to_vec());
        self.pairs.iter().filter_map(leaf).collect()
    }

    /// The chains, as encoded.
    pub fn chains(&self) -> Vec<Vec<Vec<u8>>> {
        let chain = |pair: &RwLock<Arc<CertifiedKey>>| pair.read().cert.iter().map(|one| one.to_vec()).collect();
        self.pairs.iter().map(chain).collect()
    }

    /// Staples a response to the pair with that leaf from the next handshake on; `None` staples none.
    pub fn staple(&self, leaf: &[u8], response: Option<&[u8]>) {
        for pair in &self.pairs {
            let mut pair = pair.write();
            if pair.cert.first().is_some_and(|have| &**have == leaf) {
                let mut certified = CertifiedKey::clone(&pair);
                certified.ocsp = response.map(<[u8]>::to_vec);
                *pair = Arc::new(certified);
            }
        }
    }
}

impl ResolvesServerCert for Certificates {
    /// The first pair that can sign with the scheme the client prefers most; rustls has left out schemes that fit no
    /// suite of both sides. Where none can, the first pair lets rustls find that suites or schemes are missing, which the
    /// client is told as OpenSSL tells it (40, handshake_failure).
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let fitting = hello.signature_schemes().iter().find_map(|scheme| {
            let mut pairs = self.pairs.iter().map(|pair| pair.read().clone());
            pairs.find(|pair| pair.key.choose_scheme(&[*scheme]).is_some())
        });
        fitting.or_else(|| self.pairs.first().map(|pair| pair.read().clone()))
    }
}

/// A pair that is wanted; the names of its files have no variables any more.
#[derive(Clone, Copy)]
pub struct Wanted<'a> {
    /// The certificate's file, or its text after `data:`.
    pub certificate: &'a Word,
    /// The key's.
    pub key: &'a Word,
    /// What may open the key.
    pub passwords: Option<&'a Passwords>,
    /// OpenSSL's security level.
    pub level: u32,
}

/// A pair, read from its files unless they are as they were.
///
/// # Errors
/// nginx's and OpenSSL's words.
pub fn load(
    wanted: &Wanted<'_>,
    files: &Files<'_>,
    cache: &Cache<CertifiedKey>,
) -> Result<Arc<CertifiedKey>, Diagnostic> {
    let with = wanted.passwords.map(Passwords::digest).unwrap_or_default();
    cache.get((&[wanted.certificate, wanted.key], &with), files, || {
        certified(files.pair(wanted.certificate, wanted.key, wanted.passwords, wanted.level)?, None)
    })
}
