//! Whether a chain leads to a certificate that is trusted, in OpenSSL's words.
//!
//! nginx lets OpenSSL go on after a fault and looks at the result when the handshake is over: what it shows is the last
//! fault OpenSSL finds. The steps here are OpenSSL's and in its order, so that the last fault is the same one: the chain is
//! built, extensions, keys, revocation, signatures and times (the root first), then name constraints.

use super::facts::{self, Crl, Facts, KeyUsage, Name};
use rustls::pki_types::CertificateDer;
use std::sync::Arc;

/// Why a certificate is not accepted: OpenSSL's number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Failure(pub u8);

macro_rules! failures {
    ($($name:ident $code:literal $text:literal)*) => {
        impl Failure {
            $(#[doc = $text] pub const $name: Self = Self($code);)*

            /// OpenSSL's text.
            pub const fn text(self) -> &'static str {
                match self.0 {
                    $($code => $text,)*
                    _ => "certificate verification error",
                }
            }
        }
    };
}

failures! {
    NO_ISSUER 2 "unable to get issuer certificate"
    NO_CRL 3 "unable to get certificate CRL"
    BAD_SIGNATURE 7 "certificate signature failure"
    BAD_CRL_SIGNATURE 8 "CRL signature failure"
    NOT_YET_VALID 9 "certificate is not yet valid"
    EXPIRED 10 "certificate has expired"
    CRL_NOT_YET_VALID 11 "CRL is not yet valid"
    CRL_EXPIRED 12 "CRL has expired"
    SELF_SIGNED 18 "self-signed certificate"
    SELF_SIGNED_IN_CHAIN 19 "self-signed certificate in certificate chain"
    NO_LOCAL_ISSUER 20 "unable to get local issuer certificate"
    UNVERIFIED_LEAF 21 "unable to verify the first certificate"
    TOO_LONG 22 "certificate chain too long"
    REVOKED 23 "certificate revoked"
    PATH_LENGTH 25 "path length constraint exceeded"
    PURPOSE 26 "unsuitable certificate purpose"
    UNTRUSTED 27 "certificate not trusted"
    UNKNOWN_EXTENSION 34 "unhandled critical extension"
    NO_CRL_SIGN 35 "key usage does not include CRL signing"
    NOT_PERMITTED 47 "permitted subtree violation"
    EXCLUDED 48 "excluded subtree violation"
    UNKNOWN_CONSTRAINT 51 "unsupported name constraint type"
    WEAK_LEAF_KEY 66 "EE certificate key too weak"
    WEAK_CA_KEY 67 "CA certificate key too weak"
    WEAK_SIGNATURE 68 "CA signature digest algorithm too weak"
    NO_CA 79 "invalid CA certificate"
}

impl Failure {
    /// Whether `ssl_verify_client optional_no_ca` lets the request go on.
    pub const fn is_optional(self) -> bool {
        matches!(self, Self::SELF_SIGNED | Self::SELF_SIGNED_IN_CHAIN | Self::NO_LOCAL_ISSUER)
            || matches!(self, Self::UNTRUSTED | Self::UNVERIFIED_LEAF)
    }
}

/// Whom a certificate must be for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Clients.
    Client,
    /// Servers.
    Server,
}

/// Whom is trusted, and how far.
#[derive(Debug)]
pub struct Trust {
    /// Trusted certificates, from several files.
    pub anchors: Vec<Arc<Vec<Facts>>>,
    /// Lists of revoked ones; where they are given, the issuer of each certificate of a chain must have one.
    pub crls: Option<Arc<Vec<Crl>>>,
    /// How many CAs may be between a certificate and a trusted one.
    pub depth: usize,
    /// Whom leaves are for.
    pub role: Role,
    /// OpenSSL's security level.
    pub level: u32,
}

/// A chain while it is built: so many from the peer, then trusted ones.
struct Path<'a> {
    chain: Vec<&'a Facts>,
    untrusted: usize,
}

impl Trust {
    /// Whether the peer's chain, the leaf first, is accepted at that time (in seconds since 1970).
    ///
    /// # Errors
    /// The fault OpenSSL finds last.
    pub fn verify(&self, chain: &[CertificateDer<'_>], now: i64) -> Result<(), Failure> {
        let Some((leaf, others)) = read(chain) else { return Err(Failure::NO_LOCAL_ISSUER) };
        self.check(&leaf, &others, now).map_or(Ok(()), Err)
    }

    /// The chain that was verified: from the leaf to the trusted certificate.
    pub fn path(&self, chain: &[CertificateDer<'_>], now: i64) -> Vec<Facts> {
        let Some((leaf, others)) = read(chain) else { return Vec::new() };
        self.build(&leaf, &others, now, &mut None).chain.into_iter().cloned().collect()
    }

    fn check(&self, leaf: &Facts, others: &[Facts], now: i64) -> Option<Failure> {
        let mut last = (!self.key_is_strong(leaf)).then_some(Failure::WEAK_LEAF_KEY);
        let path = self.build(leaf, others, now, &mut last);
        self.extensions(&path.chain, &mut last);
        for (index, one) in path.chain.iter().enumerate() {
            if index > 0 && !self.key_is_strong(one) {
                last = Some(Failure::WEAK_CA_KEY);
            }
            if self.level > 0 && index + 1 < path.chain.len() && one.signed.is_weak() {
                last = Some(Failure::WEAK_SIGNATURE);
            }
        }
        if let Some(lists) = &self.crls {
            for index in 0..path.chain.len() {
                revocation(lists, &path.chain, index, now, &mut last);
            }
        }
        signatures(&path.chain, now, &mut last);
        constraints(&path.chain, &mut last);
        last
    }

    fn key_is_strong(&self, one: &Facts) -> bool {
        let least = [0, 1024, 2048, 3072, 7680, 15_360].get(self.level as usize).copied().unwrap_or(15_360);
        one.key.rsa_bits().is_none_or(|bits| bits >= least)
    }

    /// The first issuer that is valid now, or else the one that is valid longest.
    fn issuer<'a>(of: &Facts, among: &mut dyn Iterator<Item = &'a Facts>, now: i64) -> Option<&'a Facts> {
        let mut best: Option<&Facts> = None;
        for one in among.filter(|one| of.may_be_issued_by(one)) {
            if one.is_valid_at(now) {
                return Some(one);
            }
            if best.is_none_or(|best| one.ends > best.ends) {
                best = Some(one);
            }
        }
        best
    }

    /// Builds the chain: at each step a trusted issuer is preferred to one the peer sent.
    fn build<'a>(&'a self, leaf: &'a Facts, others: &'a [Facts], now: i64, last: &mut Option<Failure>) -> Path<'a> {
        let most = self.depth.saturating_add(1);
        let mut path = Path { chain: vec![leaf], untrusted: 1 };
        let mut top = leaf;
        let mut from_peer = true;
        let mut trusted = false;
        loop {
            let room = path.chain.len() <= most;
            // Two that name each other as issuers do not follow each other for ever.
            let fresh = |one: &&Facts| top.is_self_signed() || path.chain.iter().all(|have| have.der != one.der);
            let mut among = self.anchors.iter().flat_map(|file| file.iter()).filter(fresh);
            let issuer = room.then(|| Self::issuer(top, &mut among, now)).flatten();
            // A self-signed one is its own issuer: it is trusted if it is among the trusted ones to the byte.
            let issuer = issuer.filter(|issuer| !top.is_self_signed() || issuer.der == top.der);
            if let Some(issuer) = issuer {
                from_peer = false;
                if top.is_self_signed() {
                    path.chain.pop();
                    path.untrusted -= 1;
                }
                path.chain.push(issuer);
                top = issuer;
                trusted = issuer.is_self_signed();
                if !trusted {
                    continue;
                }
                break;
            }
            let fresh = |one: &&Facts| path.chain.iter().all(|have| have.der != one.der);
            let more = from_peer && room && !top.is_self_signed();
            let issuer = more.then(|| Self::issuer(top, &mut others.iter().filter(fresh), now)).flatten();
            let Some(issuer) = issuer else { break };
            path.chain.push(issuer);
            path.untrusted += 1;
            top = issuer;
        }
        if !trusted {
            if path.chain.len() > most {
                *last = Some(Failure::TOO_LONG);
            }
            *last = Some(match (top.is_self_signed(), path.chain.len()) {
                (true, 1) => Failure::SELF_SIGNED,
                (true, _) => Failure::SELF_SIGNED_IN_CHAIN,
                (false, length) if path.untrusted < length => Failure::NO_ISSUER,
                (false, _) => Failure::NO_LOCAL_ISSUER,
            });
        }
        path
    }

    fn extensions(&self, chain: &[&Facts], last: &mut Option<Failure>) {
        let mut below = 0_u32;
        for (index, one) in chain.iter().enumerate() {
            if one.unknown_critical {
                *last = Some(Failure::UNKNOWN_EXTENSION);
            }
            let must_sign = index > 0;
            if must_sign && !one.is_ca() {
                *last = Some(Failure::NO_CA);
            }
            if !self.is_for_role(one, must_sign) {
                *last = Some(Failure::PURPOSE);
            }
            if index > 1 && one.path_length.is_some_and(|most| below > most) {
                *last = Some(Failure::PATH_LENGTH);
            }
            if index > 0 && !one.is_self_issued() {
                below += 1;
            }
        }
    }

    fn is_for_role(&self, one: &Facts, must_sign: bool) -> bool {
        let purpose = one.purposes.is_none_or(|purposes| match self.role {
            Role::Client => purposes.client,
            Role::Server => purposes.server,
        });
        let usage = match self.role {
            Role::Client => KeyUsage::SIGNATURE | KeyUsage::AGREEMENT,
            Role::Server => KeyUsage::SIGNATURE | KeyUsage::AGREEMENT | KeyUsage::ENCIPHERMENT,
        };
        let may = if must_sign { one.is_ca() } else { one.usage.is_none_or(|have| have.0 & usage != 0) };
        purpose && may
    }
}

/// The leaf and the other certificates a peer has shown; nothing where the leaf cannot be read.
fn read(chain: &[CertificateDer<'_>]) -> Option<(Facts, Vec<Facts>)> {
    let (leaf, others) = chain.split_first()?;
    Some((Facts::read(leaf)?, facts::of(others)))
}

/// Looks a certificate up in the list of its issuer.
fn revocation(lists: &[Crl], chain: &[&Facts], index: usize, now: i64, last: &mut Option<Failure>) {
    let Some(one) = chain.get(index) else { return };
    // The root is its own issuer.
    let issuer =
        chain.get(index + 1).or_else(|| chain.get(index)).filter(|issuer| one.issuer_form == issuer.subject_form);
    let mut lists = lists.iter().filter(|list| list.issuer_form == one.issuer_form);
    let current = lists.clone().find(|list| list.is_valid_at(now));
    let Some(list) = current.or_else(|| lists.next()) else {
        *last = Some(Failure::NO_CRL);
        return;
    };
    if let Some(issuer) = issuer {
        if issuer.usage.is_some_and(|usage| usage.0 & KeyUsage::CRL_SIGN == 0) {
            *last = Some(Failure::NO_CRL_SIGN);
        }
        if now < list.starts {
            *last = Some(Failure::CRL_NOT_YET_VALID);
        }
        if list.ends.is_some_and(|ends| now > ends) {
            *last = Some(Failure::CRL_EXPIRED);
        }
        if !list.signed.is_by(&issuer.key) {
            *last = Some(Failure::BAD_CRL_SIGNATURE);
        }
    } else {
        *last = Some(Failure::NO_CRL);
    }
    if list.lists(one) {
        *last = Some(Failure::REVOKED);
    }
}

/// Signatures and times, the root first.
fn signatures(chain: &[&Facts], now: i64, last: &mut Option<Failure>) {
    let mut note = |one: &Facts| {
        if now < one.starts {
            *last = Some(Failure::NOT_YET_VALID);
        } else if now > one.ends {
            *last = Some(Failure::EXPIRED);
        }
    };
    let mut rest = chain.iter().rev();
    let Some(mut issuer) = rest.next().copied() else { return };
    if issuer.is_self_signed() {
        note(issuer);
    } else if chain.len() == 1 {
        note(issuer);
        // The time comes after this fault in OpenSSL, too.
        if issuer.is_valid_at(now) {
            *last = Some(Failure::UNVERIFIED_LEAF);
        }
        return;
    }
    for one in rest {
        let signed = one.signed.is_by(&issuer.key);
        if !signed {
            *last = Some(Failure::BAD_SIGNATURE);
        }
        if now < one.starts {
            *last = Some(Failure::NOT_YET_VALID);
        } else if now > one.ends {
            *last = Some(Failure::EXPIRED);
        }
        issuer = one;
    }
}

/// The names of each certificate against the constraints of those above it.
fn constraints(chain: &[&Facts], last: &mut Option<Failure>) {
    for (index, one) in chain.iter().enumerate().rev() {
        if index > 0 && one.is_self_issued() {
            continue;
        }
        let names = names_of(one, index == 0);
        for above in chain.iter().skip(index + 1) {
            if let Some(failure) = names.iter().find_map(|name| violated(name, above)) {
                *last = Some(failure);
            }
        }
    }
}

/// The names constraints are about: the subject, the alternative names, and of a leaf without hosts the common name.
fn names_of(one: &Facts, leaf: bool) -> Vec<Name> {
    let mut names = one.names.clone();
    if !one.subject_form.is_empty() {
        names.push(Name::Directory(one.subject_form.clone()));
    }
    let hosts = one.names.iter().any(|name| matches!(name, Name::Dns(_)));
    if leaf && !hosts {
        names.extend(one.common_name.iter().filter(|name| is_host(name)).cloned().map(Name::Dns));
    }
    names
}

/// Whether a common name can be a host's.
fn is_host(name: &str) -> bool {
    let label = |label: &str| {
        let bytes = label.as_bytes();
        !bytes.is_empty()
            && bytes.iter().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    name.contains('.') && name.split('.').all(label)
}

fn violated(name: &Name, above: &Facts) -> Option<Failure> {
    let mut same_kind = false;
    let mut permitted = false;
    for base in &above.permitted {
        if let Some(within) = is_within(name, base) {
            same_kind = true;
            permitted |= within;
        }
    }
    if same_kind && !permitted {
        return Some(Failure::NOT_PERMITTED);
    }
    if above.excluded.iter().any(|base| is_within(name, base) == Some(true)) {
        return Some(Failure::EXCLUDED);
    }
    let unknown =
        *name == Name::Other && above.permitted.iter().chain(&above.excluded).any(|base| *base == Name::Other);
    unknown.then_some(Failure::UNKNOWN_CONSTRAINT)
}

/// Whether a name is within a constraint; nothing where they are of different kinds.
fn is_within(name: &Name, base: &Name) -> Option<bool> {
    Some(match (name, base) {
        (Name::Dns(name), Name::Dns(base)) => is_below(name, base),
        (Name::Email(name), Name::Email(base)) => {
            let host = name.rsplit_once('@').map_or(name.as_str(), |(_, host)| host);
            if base.contains('@') { name == base } else { is_host_within(host, base) }
        }
        (Name::Uri(uri), Name::Uri(base)) => {
            let rest = uri.split_once("://").map_or("", |(_, rest)| rest);
            let place = rest.split(['/', '?', '#']).next().unwrap_or_default();
            let host = place.rsplit_once('@').map_or(place, |(_, host)| host);
            is_host_within(host.split(':').next().unwrap_or_default(), base)
        }
        (Name::Ip(address), Name::Ip(network)) => {
            let (network, mask) = network.split_at(network.len() / 2);
            let masked = address.iter().zip(mask).map(|(byte, mask)| byte & mask);
            address.len() == network.len() && masked.eq(network.iter().zip(mask).map(|(byte, mask)| byte & mask))
        }
        (Name::Directory(name), Name::Directory(base)) => name.starts_with(base),
        _ => return None,
    })
}

/// `b.c` and everything below it; `.b.c` only what is below.
fn is_below(name: &str, base: &str) -> bool {
    let (name, base) = (name.to_ascii_lowercase(), base.to_ascii_lowercase());
    let Some(before) = name.strip_suffix(&base) else { return false };
    before.is_empty() || base.is_empty() || base.starts_with('.') || before.ends_with('.')
}

/// A host, or with a dot before it all hosts below.
fn is_host_within(host: &str, base: &str) -> bool {
    if base.starts_with('.') { is_below(host, base) } else { host.eq_ignore_ascii_case(base) }
}

#[cfg(test)]
mod tests;
