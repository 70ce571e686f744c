//! What verification asks of a certificate or a CRL, taken from its encoding once.

use super::der::{Fields, tag};
use super::dn;
use rustls::crypto::WebPkiSupportedAlgorithms;
use rustls::pki_types::{CertificateDer, SignatureVerificationAlgorithm};
use std::net::IpAddr;
use std::sync::LazyLock;
use x509_parser::extensions::{GeneralName, GeneralSubtree, ParsedExtension};
use x509_parser::prelude::{FromDer as _, X509Certificate};
use x509_parser::revocation_list::CertificateRevocationList;

/// A signature with what it covers.
#[derive(Clone, Debug)]
pub struct Signed {
    covers: Vec<u8>,
    /// The contents of the algorithm's identifier.
    algorithm: Vec<u8>,
    signature: Vec<u8>,
}

impl Signed {
    /// The three fields of everything that is signed in X.509: what is covered, the algorithm, the signature.
    pub fn read(der: &[u8]) -> Option<Self> {
        let mut outer = Fields::new(der).enter(tag::SEQUENCE)?;
        let covers = outer.any()?.whole.to_vec();
        let algorithm = outer.take(tag::SEQUENCE)?.to_vec();
        let signature = outer.take(tag::BITS)?.strip_prefix(&[0])?.to_vec();
        Some(Self { covers, algorithm, signature })
    }

    /// Whether that key made the signature.
    pub fn is_by(&self, key: &PublicKey) -> bool {
        key.verifies(&self.covers, &self.algorithm, &self.signature)
    }

    /// Whether the signature is of MD5 or SHA-1, which levels from 1 on refuse.
    pub fn is_weak(&self) -> bool {
        const RSA_SHA1: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 5];
        const RSA_MD5: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 4];
        const ECDSA_SHA1: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 4, 1];
        let oid = Fields::new(&self.algorithm).take(tag::OID).unwrap_or_default();
        [RSA_SHA1, RSA_MD5, ECDSA_SHA1].contains(&oid)
    }
}

/// A public key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublicKey {
    /// The contents of the algorithm's identifier.
    algorithm: Vec<u8>,
    /// The key itself.
    pub bits: Vec<u8>,
}

impl PublicKey {
    /// The key in a SubjectPublicKeyInfo.
    pub fn read(info: &[u8]) -> Option<Self> {
        let mut fields = Fields::new(info).enter(tag::SEQUENCE)?;
        let algorithm = fields.take(tag::SEQUENCE)?.to_vec();
        Some(Self { algorithm, bits: fields.take(tag::BITS)?.get(1..)?.to_vec() })
    }

    /// Whether `algorithm` of the provider is for keys of this kind.
    pub fn is_for(&self, algorithm: &dyn SignatureVerificationAlgorithm) -> bool {
        algorithm.public_key_alg_id().as_ref() == self.algorithm
    }

    fn verifies(&self, message: &[u8], signed_with: &[u8], signature: &[u8]) -> bool {
        static ALGORITHMS: LazyLock<WebPkiSupportedAlgorithms> =
            LazyLock::new(|| rustls::crypto::aws_lc_rs::default_provider().signature_verification_algorithms);
        let mut algorithms = ALGORITHMS.all.iter();
        algorithms.any(|algorithm| {
            self.is_for(*algorithm)
                && algorithm.signature_alg_id().as_ref() == signed_with
                && algorithm.verify_signature(&self.bits, message, signature).is_ok()
        })
    }

    /// The bits of an RSA key.
    pub fn rsa_bits(&self) -> Option<usize> {
        const RSA: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 1];
        if Fields::new(&self.algorithm).take(tag::OID) != Some(RSA) {
            return None;
        }
        let modulus = Fields::new(&self.bits).enter(tag::SEQUENCE)?.take(tag::INTEGER)?;
        Some(super::der::unsigned(modulus).len() * 8)
    }
}

/// A name as constraints see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Name {
    /// A host.
    Dns(String),
    /// A mail address.
    Email(String),
    /// An address, or a network with its mask.
    Ip(Vec<u8>),
    /// A distinguished name in the form in which names are compared.
    Directory(Vec<u8>),
    /// A URI.
    Uri(String),
    /// Another kind.
    Other,
}

impl Name {
    fn of(name: &GeneralName<'_>) -> Self {
        match name {
            GeneralName::DNSName(name) => Self::Dns((*name).to_owned()),
            GeneralName::RFC822Name(name) => Self::Email((*name).to_owned()),
            GeneralName::IPAddress(bytes) => Self::Ip(bytes.to_vec()),
            GeneralName::DirectoryName(name) => Self::Directory(dn::canonical(name.as_raw())),
            GeneralName::URI(uri) => Self::Uri((*uri).to_owned()),
            _ => Self::Other,
        }
    }
}

/// Whom a key usage extension lets a key do what.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeyUsage(pub u16);

impl KeyUsage {
    /// digitalSignature, keyEncipherment, keyAgreement, keyCertSign, cRLSign.
    pub const SIGNATURE: u16 = 1;
    /// keyEncipherment.
    pub const ENCIPHERMENT: u16 = 1 << 2;
    /// keyAgreement.
    pub const AGREEMENT: u16 = 1 << 4;
    /// keyCertSign.
    pub const CERT_SIGN: u16 = 1 << 5;
    /// cRLSign.
    pub const CRL_SIGN: u16 = 1 << 6;
}

/// Purposes of an extended key usage extension.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Purposes {
    /// clientAuth.
    pub client: bool,
    /// serverAuth, or one of the old server gated ones.
    pub server: bool,
    /// OCSPSigning.
    pub ocsp: bool,
}

/// What verification asks of a certificate.
#[derive(Clone, Debug)]
pub struct Facts {
    /// Its whole encoding.
    pub der: Vec<u8>,
    /// The subject, as encoded.
    pub subject: Vec<u8>,
    /// The issuer, as encoded.
    pub issuer: Vec<u8>,
    /// The subject in the form in which names are compared.
    pub subject_form: Vec<u8>,
    /// The issuer in that form.
    pub issuer_form: Vec<u8>,
    /// The serial number, without zeros before it.
    pub serial: Vec<u8>,
    /// The subject's common name.
    pub common_name: Option<String>,
    /// The key.
    pub key: PublicKey,
    /// The signature.
    pub signed: Signed,
    /// From when it is valid, in seconds since 1970.
    pub starts: i64,
    /// Until when.
    pub ends: i64,
    /// Whether it has basic constraints, and whether they say it is a CA.
    pub ca: Option<bool>,
    /// How many CAs may follow below.
    pub path_length: Option<u32>,
    /// The key usage.
    pub usage: Option<KeyUsage>,
    /// The extended key usage.
    pub purposes: Option<Purposes>,
    /// The subject's key identifier.
    pub key_id: Option<Vec<u8>>,
    /// The issuer's key identifier.
    pub issuer_key_id: Option<Vec<u8>>,
    /// The issuer's certificate's serial number.
    pub issuer_serial: Option<Vec<u8>>,
    /// The alternative names.
    pub names: Vec<Name>,
    /// Names CAs below may sign for; nothing where all.
    pub permitted: Vec<Name>,
    /// Names they may not sign for.
    pub excluded: Vec<Name>,
    /// Whether a critical extension is not understood.
    pub unknown_critical: bool,
    /// X.509's version 1, without extensions.
    pub is_v1: bool,
}

impl Facts {
    /// Reads a certificate; nothing where its encoding is wrong.
    pub fn read(der: &[u8]) -> Option<Self> {
        let (_, one) = X509Certificate::from_der(der).ok()?;
        let common_name = one.subject().iter_common_name().last().and_then(|name| name.as_str().ok());
        let mut facts = Self {
            der: der.to_vec(),
            subject: one.subject().as_raw().to_vec(),
            issuer: one.issuer().as_raw().to_vec(),
            subject_form: dn::canonical(one.subject().as_raw()),
            issuer_form: dn::canonical(one.issuer().as_raw()),
            serial: super::der::unsigned(one.raw_serial()).to_vec(),
            common_name: common_name.map(str::to_owned),
            key: PublicKey::read(one.public_key().raw)?,
            signed: Signed::read(der)?,
            starts: one.validity().not_before.timestamp(),
            ends: one.validity().not_after.timestamp(),
            ca: None,
            path_length: None,
            usage: None,
            purposes: None,
            key_id: None,
            issuer_key_id: None,
            issuer_serial: None,
            names: Vec::new(),
            permitted: Vec::new(),
            excluded: Vec::new(),
            unknown_critical: false,
            is_v1: one.version.0 == 0,
        };
        for extension in one.extensions() {
            if !facts.extension(extension.parsed_extension()) && extension.critical {
                facts.unknown_critical = true;
            }
        }
        Some(facts)
    }

    /// Notes an extension; false where it is not understood.
    fn extension(&mut self, extension: &ParsedExtension<'_>) -> bool {
        match extension {
            ParsedExtension::BasicConstraints(basic) => {
                (self.ca, self.path_length) = (Some(basic.ca), basic.path_len_constraint);
            }
            ParsedExtension::KeyUsage(usage) => self.usage = Some(KeyUsage(usage.flags)),
            ParsedExtension::ExtendedKeyUsage(usage) => {
                const GATED: [&str; 2] = ["1.3.6.1.4.1.311.10.3.3", "2.16.840.1.113730.4.1"];
                let gated = usage.other.iter().any(|id| GATED.contains(&id.to_id_string().as_str()));
                let server = usage.server_auth || gated;
                self.purposes = Some(Purposes { client: usage.client_auth, server, ocsp: usage.ocsp_signing });
            }
            ParsedExtension::SubjectKeyIdentifier(id) => self.key_id = Some(id.0.to_vec()),
            ParsedExtension::AuthorityKeyIdentifier(id) => {
                self.issuer_key_id = id.key_identifier.as_ref().map(|id| id.0.to_vec());
                self.issuer_serial = id.authority_cert_serial.map(|serial| super::der::unsigned(serial).to_vec());
            }
            ParsedExtension::SubjectAlternativeName(names) => {
                self.names = names.general_names.iter().map(Name::of).collect();
            }
            ParsedExtension::NameConstraints(constraints) => {
                let names = |list: &Option<Vec<GeneralSubtree<'_>>>| -> Vec<Name> {
                    list.iter().flatten().map(|subtree| Name::of(&subtree.base)).collect()
                };
                self.permitted = names(&constraints.permitted_subtrees);
                self.excluded = names(&constraints.excluded_subtrees);
            }
            ParsedExtension::CertificatePolicies(_)
            | ParsedExtension::PolicyMappings(_)
            | ParsedExtension::PolicyConstraints(_)
            | ParsedExtension::InhibitAnyPolicy(_)
            | ParsedExtension::IssuerAlternativeName(_)
            | ParsedExtension::CRLDistributionPoints(_)
            | ParsedExtension::NSCertType(_) => {}
            _ => return false,
        }
        true
    }

    /// Whether subject and issuer are the same.
    pub fn is_self_issued(&self) -> bool {
        self.subject_form == self.issuer_form
    }

    /// Whether it names itself as its issuer.
    pub fn is_self_signed(&self) -> bool {
        self.may_be_issued_by(self)
    }

    /// Whether the names and identifiers of an issuer fit.
    pub fn may_be_issued_by(&self, issuer: &Self) -> bool {
        let fits = |asked: &Option<Vec<u8>>, have: Option<&Vec<u8>>| match (asked, have) {
            (Some(asked), Some(have)) => asked == have,
            _ => true,
        };
        self.issuer_form == issuer.subject_form
            && fits(&self.issuer_key_id, issuer.key_id.as_ref())
            && fits(&self.issuer_serial, Some(&issuer.serial))
    }

    /// Whether it is valid at that time.
    pub const fn is_valid_at(&self, now: i64) -> bool {
        self.starts <= now && now <= self.ends
    }

    /// Whether it may sign certificates, as OpenSSL decides it.
    pub fn is_ca(&self) -> bool {
        if self.usage.is_some_and(|usage| usage.0 & KeyUsage::CERT_SIGN == 0) {
            return false;
        }
        match self.ca {
            Some(ca) => ca,
            // Version 1 and self-signed, or a key usage that says so.
            None => (self.is_v1 && self.is_self_signed()) || self.usage.is_some(),
        }
    }

    /// Whether it is for that host: an address, or a name that its alternative names or else its common name match.
    ///
    /// Differs from nginx: an address is found among the addresses, too. [test: an_address_matches_an_address]
    pub fn is_for_host(&self, host: &str) -> bool {
        if let Ok(address) = host.parse::<IpAddr>() {
            let bytes = match address {
                IpAddr::V4(address) => address.octets().to_vec(),
                IpAddr::V6(address) => address.octets().to_vec(),
            };
            if self.names.contains(&Name::Ip(bytes)) {
                return true;
            }
        }
        let mut names = self.names.iter().filter_map(|name| match name {
            Name::Dns(name) => Some(name.as_str()),
            _ => None,
        });
        let mut any = false;
        let found = names.any(|name| {
            any = true;
            host_matches(name, host)
        });
        found || (!any && self.common_name.as_deref().is_some_and(|name| host_matches(name, host)))
    }
}

/// Whether a name of a certificate covers a host: `*.b.c` covers one label below `b.c`, as OpenSSL takes wildcards.
fn host_matches(pattern: &str, host: &str) -> bool {
    if pattern.eq_ignore_ascii_case(host) {
        return !host.is_empty();
    }
    let Some((label, rest)) = pattern.split_once('.') else { return false };
    let Some((first, after)) = host.split_once('.') else { return false };
    let Some((before, behind)) = label.split_once('*') else { return false };
    let enough = rest.contains('.') && !rest.contains('*') && !behind.contains('*');
    let lower = |text: &str| text.to_ascii_lowercase();
    let (label, first_lower) = (label, lower(first));
    // A wildcard covers part of a label, but none of an internationalized one.
    let part = label == "*"
        || (!lower(label).starts_with("xn--")
            && !first_lower.starts_with("xn--")
            && first.len() >= before.len() + behind.len()
            && first_lower.starts_with(&lower(before))
            && first_lower.ends_with(&lower(behind)));
    enough && part && !first.is_empty() && rest.eq_ignore_ascii_case(after)
}

/// What verification asks of a list of revoked certificates.
#[derive(Clone, Debug)]
pub struct Crl {
    /// Who issued it, in the form in which names are compared.
    pub issuer_form: Vec<u8>,
    /// From when it is valid, in seconds since 1970.
    pub starts: i64,
    /// Until when, if it says.
    pub ends: Option<i64>,
    /// The serial numbers of the revoked.
    revoked: hashbrown::HashSet<Vec<u8>>,
    /// The signature.
    pub signed: Signed,
}

impl Crl {
    /// Reads a list; nothing where its encoding is wrong.
    pub fn read(der: &[u8]) -> Option<Self> {
        let (_, list) = CertificateRevocationList::from_der(der).ok()?;
        let removed = |entry: &&x509_parser::revocation_list::RevokedCertificate<'_>| {
            entry.reason_code().is_none_or(|(_, reason)| reason.0 != 8)
        };
        let revoked = list.iter_revoked_certificates().filter(removed);
        Some(Self {
            issuer_form: dn::canonical(list.issuer().as_raw()),
            starts: list.last_update().timestamp(),
            ends: list.next_update().map(|time| time.timestamp()),
            revoked: revoked.map(|entry| super::der::unsigned(entry.raw_serial()).to_vec()).collect(),
            signed: Signed::read(der)?,
        })
    }

    /// Whether it lists that certificate of its issuer.
    pub fn lists(&self, certificate: &Facts) -> bool {
        self.revoked.contains(&certificate.serial)
    }

    /// Whether it is valid at that time.
    pub fn is_valid_at(&self, now: i64) -> bool {
        self.starts <= now && self.ends.is_none_or(|ends| now <= ends)
    }
}

/// The facts of certificates; those whose encoding is wrong are left out.
pub fn of(chain: &[CertificateDer<'_>]) -> Vec<Facts> {
    chain.iter().filter_map(|one| Facts::read(one)).collect()
}
