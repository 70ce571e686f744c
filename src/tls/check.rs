//! What nginx finds while it makes a TLS context: ciphers, certificates, keys and their side files, in its order.

use super::certificate::{self, Certificate};
use super::directives::{TlsConf, Verify};
use super::key::Passwords;
use super::{ciphers, key, names};
use crate::conf::diagnostic::Diagnostic;
use crate::conf::source::{Loader, Span};
use crate::conf::tree::Word;
use crate::conf::walk::{errno, full};
use crate::net::address::{self, Host};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use std::io::ErrorKind;
use std::net::IpAddr;

/// Where the files are, and who finds hosts.
pub struct Files<'a> {
    /// Reads them.
    pub loader: &'a dyn Loader,
    /// Where relative paths start.
    pub folder: &'a str,
    /// Finds the hosts of responders.
    pub resolve: &'a dyn Fn(&str) -> Vec<IpAddr>,
    /// Where nginx merges, which is the place it names for keys of session tickets.
    pub merged_at: Option<Span>,
}

/// A certificate with its key.
pub struct Pair {
    /// The certificate's file, or the text after `data:` with it.
    pub path: String,
    /// What the leaf says.
    pub leaf: Certificate,
    /// The certificates, the leaf first.
    pub chain: Vec<CertificateDer<'static>>,
    /// The key's file.
    pub key_path: String,
    /// The key.
    pub key: PrivateKeyDer<'static>,
}

/// A complaint, fatal or not; none of them names a line unless it is given one.
pub type Outcome = Result<(), Diagnostic>;

/// nginx's complaint about a call of OpenSSL's.
pub fn failed(call: &str, object: &str, words: &str) -> Diagnostic {
    Diagnostic::emerg(format!("{call}(\"{object}\") failed (SSL: {words})"))
}

impl Files<'_> {
    /// The full name of a file.
    pub fn path(&self, word: &Word) -> String {
        full(self.folder, &word.text())
    }

    /// A file's bytes; a folder reads as nothing, as it does for OpenSSL.
    pub fn read(&self, path: &str, mode: &str) -> Result<Vec<u8>, String> {
        match self.loader.load(path) {
            Ok(bytes) => Ok(bytes),
            Err(error) if error.kind() == ErrorKind::IsADirectory => Ok(Vec::new()),
            Err(error) => Err(certificate::unopened(path, mode, &error)),
        }
    }

    /// The texts of a certificate or key: `data:` holds them itself.
    pub fn text(&self, word: &Word) -> Result<(String, Vec<u8>), Diagnostic> {
        if let Some(data) = word.after("data:") {
            return Ok((word.text().into_owned(), data.to_vec()));
        }
        let path = self.path(word);
        let bytes = self
            .read(&path, "r")
            .map_err(|words| Diagnostic::emerg(format!("{path}\": BIO_new_file() failed (SSL: {words})")).machine())?;
        Ok((path, bytes))
    }

    /// Reads a certificate and its key.
    ///
    /// Differs from nginx: keys of engines are refused. [test: what_is_not_spoken_is_said_once_or_refused]
    ///
    /// # Errors
    /// nginx's and OpenSSL's words.
    pub fn pair(
        &self,
        certificate: &Word,
        key: &Word,
        passwords: Option<&Passwords>,
        level: u32,
    ) -> Result<Pair, Diagnostic> {
        let unread = |what: &str, complaint: Diagnostic| {
            Diagnostic::emerg(format!("cannot load {what} \"{}", complaint.message))
        };
        let (path, bytes) = self.text(certificate).map_err(|complaint| unread("certificate", complaint))?;
        let leaf = Certificate::read(&bytes).map_err(|(call, words)| {
            Diagnostic::emerg(format!("cannot load certificate \"{path}\": {call} failed (SSL: {words})"))
        })?;
        let least = if level > 1 { 2048 } else { 1024 };
        if level > 0 && leaf.rsa_bits.is_some_and(|bits| bits < least) {
            return Err(failed("SSL_CTX_use_certificate", &path, "error:0A00018F:SSL routines::ee key too small"));
        }
        if key.after("engine:").is_some() {
            let text = format!("cannot load certificate key \"{}\": keys of engines are not supported", key.text());
            return Err(Diagnostic::emerg(text));
        }
        let (key_path, key_bytes) = self.text(key).map_err(|complaint| unread("certificate key", complaint))?;
        let secret = key::read(&key_bytes, passwords).map_err(|error| {
            let words = certificate::unread_key(error);
            Diagnostic::emerg(format!(
                "cannot load certificate key \"{key_path}\": PEM_read_bio_PrivateKey() failed (SSL: {words})"
            ))
        })?;
        if !leaf.key.fits(&certificate::public(&secret)) {
            let words = "error:05800074:x509 certificate routines::key values mismatch";
            return Err(failed("SSL_CTX_use_PrivateKey", &key_path, words));
        }
        Ok(Pair { path, leaf, chain: certificate::chain(&bytes), key_path, key: secret })
    }

    /// The names in a file of trusted certificates.
    ///
    /// # Errors
    /// nginx's and OpenSSL's words.
    pub fn trusted(&self, call: &str, file: &Word) -> Result<Vec<Vec<u8>>, Diagnostic> {
        let path = self.path(file);
        let after = " error:05880002:x509 certificate routines::system lib";
        let bytes = self.read(&path, "r").map_err(|words| failed(call, &path, &format!("{words}{after}")))?;
        match certificate::bundle(&bytes) {
            (names, lists) if names.is_empty() && lists == 0 => {
                let words = "error:05800088:x509 certificate routines::no certificate or crl found";
                Err(failed(call, &path, words))
            }
            (names, _) => Ok(names),
        }
    }

    /// A list of revoked certificates.
    ///
    /// # Errors
    /// nginx's and OpenSSL's words.
    pub fn revoked(&self, file: Option<&Word>) -> Outcome {
        match given(file) {
            Some(file) => self.trusted("X509_LOOKUP_load_file", file).map(|_| ()),
            None => Ok(()),
        }
    }

    fn parameters(&self, file: &Word, level: u32) -> Outcome {
        let path = self.path(file);
        let bytes = self.read(&path, "r").map_err(|words| failed("BIO_new_file", &path, &words))?;
        let bits = certificate::dh_bits(&bytes).map_err(|words| failed("PEM_read_bio_DHparams", &path, &words))?;
        let least = [0, 1024, 2048].get(level as usize).copied().unwrap_or(3072);
        if bits < least {
            return Err(failed("SSL_CTX_set_tmp_dh", &path, "error:0A00018A:SSL routines::dh key too small"));
        }
        Ok(())
    }

    fn ticket_key(&self, file: &Word) -> Outcome {
        let path = self.path(file);
        let bytes = match self.loader.load(&path) {
            Ok(bytes) => bytes,
            Err(error) => {
                return Err(Diagnostic::emerg(format!("open() \"{path}\" failed ({})", errno(&error))).machine());
            }
        };
        if [48, 80].contains(&bytes.len()) {
            return Ok(());
        }
        Err(Diagnostic::emerg(format!("\"{path}\" must be 48 or 80 bytes")))
    }
}

/// The word, unless it is empty: nginx takes an empty file name as none.
pub fn given(word: Option<&Word>) -> Option<&Word> {
    word.filter(|word| !word.bytes.is_empty())
}

/// Ciphers, as given or by default.
///
/// # Errors
/// nginx's and OpenSSL's words.
pub fn cipher_list(text: Option<&Word>) -> Outcome {
    let Some(text) = text.map(Word::text) else { return Ok(()) };
    ciphers::select(&text).map(|_| ()).map_err(|words| failed("SSL_CTX_set_cipher_list", &text, words))
}

/// `ssl_conf_command` and its kin.
///
/// # Errors
/// nginx's and OpenSSL's words.
pub fn commands(pairs: &[(Word, Word)]) -> Outcome {
    for (name, value) in pairs {
        let (name, value) = (name.text(), value.text());
        names::command(&name, &value).map_err(|words| {
            Diagnostic::emerg(format!("SSL_CONF_cmd(\"{name}\", \"{value}\") failed (SSL: {words})"))
        })?;
    }
    Ok(())
}

/// What is wrong where a server that speaks TLS lacks certificates; `mode` is the directive that asks for them.
pub fn lacking(conf: &TlsConf, mode: &str) -> Option<Diagnostic> {
    let (certificates, keys) = (&conf.certificates, &conf.keys);
    let text = match certificates.last() {
        None => format!("no \"ssl_certificate\" is defined for the \"{mode}\" directive"),
        Some(_) if keys.is_empty() => format!("no \"ssl_certificate_key\" is defined for the \"{mode}\" directive"),
        Some(last) if keys.len() < certificates.len() => {
            format!(
                "no \"ssl_certificate_key\" is defined for certificate \"{}\" and the \"{mode}\" directive",
                last.text()
            )
        }
        Some(_) => return None,
    };
    Some(Diagnostic::emerg(text))
}

/// Whether nginx loads the certificates at the first handshake only: one of them has variables.
pub fn by_name(conf: &TlsConf) -> bool {
    conf.certificates.iter().chain(&conf.keys).any(|word| word.bytes.contains(&b'$'))
}

/// Everything a server's context is made of; `variables` tells whether files may have variables in their names.
///
/// # Errors
/// nginx's and OpenSSL's words.
pub fn server(conf: &TlsConf, files: &Files<'_>, variables: bool, warn: &mut dyn FnMut(Diagnostic)) -> Outcome {
    cipher_list(conf.ciphers.as_ref())?;
    let cipher_text = conf.ciphers.as_ref().map(Word::text);
    let level = ciphers::level(cipher_text.as_deref());
    let mut chains = Vec::new();
    if !(variables && by_name(conf)) {
        for (certificate, key) in conf.certificates.iter().zip(&conf.keys) {
            chains.push(files.pair(certificate, key, conf.password_file.as_ref(), level)?);
        }
    }
    let mut trusted = client_certificates(conf, files)?;
    if let Some(file) = given(conf.trusted_certificate.as_ref()) {
        trusted.extend(files.trusted("SSL_CTX_load_verify_locations", file)?);
    }
    files.revoked(conf.crl.as_ref())?;
    ocsp(conf, files)?;
    if let Some(file) = given(conf.dhparam.as_ref()) {
        files.parameters(file, level)?;
    }
    if let Some(list) = given(conf.ecdh_curve.as_ref()).map(Word::text) {
        names::groups(&list).map_err(|words| failed("SSL_CTX_set1_curves_list", &list, &words))?;
    }
    for file in &conf.ticket_keys {
        files.ticket_key(file).map_err(|complaint| match files.merged_at {
            Some(end) => complaint.at(end),
            None => complaint,
        })?;
    }
    stapling(conf, files, &chains, &trusted, warn)?;
    commands(&conf.commands)
}

fn client_certificates(conf: &TlsConf, files: &Files<'_>) -> Result<Vec<Vec<u8>>, Diagnostic> {
    let verify = conf.verify.unwrap_or(Verify::Off);
    if verify == Verify::Off {
        return Ok(Vec::new());
    }
    match given(conf.client_certificate.as_ref()) {
        Some(file) => files.trusted("SSL_CTX_load_verify_locations", file),
        None if verify == Verify::OptionalNoCa => Ok(Vec::new()),
        None => Err(Diagnostic::emerg("no ssl_client_certificate for ssl_verify_client")),
    }
}

fn ocsp(conf: &TlsConf, files: &Files<'_>) -> Outcome {
    if conf.ocsp.unwrap_or(0) == 0 {
        return Ok(());
    }
    if conf.verify == Some(Verify::OptionalNoCa) {
        return Err(Diagnostic::emerg("\"ssl_ocsp\" is incompatible with \"ssl_verify_client optional_no_ca\""));
    }
    match given(conf.ocsp_responder.as_ref()).map(Word::text) {
        Some(url) => responder(&url, files).map_err(|(what, url)| {
            Diagnostic::emerg(format!("{what} in OCSP responder \"{url}\" in \"ssl_ocsp_responder\""))
        }),
        None => Ok(()),
    }
}

/// What is wrong with a responder's address, and the part of it nginx shows.
fn responder(url: &str, files: &Files<'_>) -> Result<(), (String, String)> {
    let Some(rest) = url.get(..7).filter(|scheme| scheme.eq_ignore_ascii_case("http://")).and_then(|_| url.get(7..))
    else {
        return Err(("invalid URL prefix".to_owned(), url.to_owned()));
    };
    let place = rest.split(['/', '?']).next().unwrap_or_default();
    let endpoint = address::parse(place, false).map_err(|what| (what.to_owned(), rest.to_owned()))?;
    match &endpoint.host {
        Host::Name(name) if (files.resolve)(name).is_empty() => Err(("host not found".to_owned(), rest.to_owned())),
        _ => Ok(()),
    }
}

fn stapling(
    conf: &TlsConf,
    files: &Files<'_>,
    chains: &[Pair],
    trusted: &[Vec<u8>],
    warn: &mut dyn FnMut(Diagnostic),
) -> Outcome {
    if conf.stapling != Some(true) {
        return Ok(());
    }
    if let Some(file) = given(conf.stapling_file.as_ref()) {
        let path = files.path(file);
        let bytes = files.read(&path, "rb").map_err(|words| failed("BIO_new_file", &path, &words))?;
        if !certificate::is_response(&bytes) {
            let words = "error:0680008E:asn1 encoding routines::not enough data";
            return Err(failed("d2i_OCSP_RESPONSE_bio", &path, words));
        }
        return Ok(());
    }
    for Pair { path, leaf, .. } in chains {
        let known = leaf.chain.iter().chain(trusted).any(|name| *name == leaf.issuer);
        if !known {
            let text = format!("\"ssl_stapling\" ignored, issuer certificate not found for certificate \"{path}\"");
            warn(Diagnostic::warn(text));
            continue;
        }
        let given = given(conf.stapling_responder.as_ref()).map(|word| word.text().into_owned());
        let Some(url) = given.or_else(|| leaf.responder.clone()) else {
            let text = format!("\"ssl_stapling\" ignored, no OCSP responder URL in the certificate \"{path}\"");
            warn(Diagnostic::warn(text));
            continue;
        };
        if let Err((what, url)) = responder(&url, files) {
            let text =
                format!("\"ssl_stapling\" ignored, {what} in OCSP responder \"{url}\" in the certificate \"{path}\"");
            warn(Diagnostic::warn(text));
        }
    }
    Ok(())
}
