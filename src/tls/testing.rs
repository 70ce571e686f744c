//! Handshakes in memory, for the tests of this room.

use super::check::Files;
use super::context::{Purpose, ServerContext, Setup};
use super::directives::TlsConf;
use super::kept::Kept;
use crate::conf::diagnostic::Diagnostic;
use crate::conf::disk::Disk;
use crate::conf::source::{SourceId, Span};
use crate::conf::tree::Word;
use crate::zone::registry::Registry;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::Acceptor;
use rustls::{ClientConfig, ClientConnection, DigitallySignedStruct, Error, ServerConnection, SignatureScheme};
use std::sync::Arc;

/// Where the certificates are.
pub const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/tls/");

/// The bytes of a fixture.
pub fn fixture(name: &str) -> Vec<u8> {
    std::fs::read(format!("{FOLDER}{name}")).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// The certificates of a fixture, as encoded.
pub fn certificates(name: &str) -> Vec<CertificateDer<'static>> {
    super::certificate::chain(&fixture(name))
}

/// A word of a configuration.
pub fn word(text: &str) -> Word {
    Word { bytes: text.as_bytes().into(), span: span(), quoted: false }
}

/// Some place in a configuration.
pub const fn span() -> Span {
    Span { source: SourceId(0), start: 0, end: 1 }
}

/// The settings of a server with those pairs.
pub fn server(pairs: &[&str]) -> TlsConf {
    let mut conf = TlsConf::default();
    for pair in pairs {
        conf.certificates.push(word(&format!("{pair}.crt")));
        conf.keys.push(word(&format!("{pair}.key")));
    }
    conf
}

/// What servers of one process share.
#[derive(Default)]
pub struct World {
    /// Kept over reloads.
    pub kept: Kept,
    /// Zones.
    pub zones: Registry,
    /// The warnings of the last context.
    pub warnings: Vec<String>,
    /// `ssl_early_data`.
    pub early_data: bool,
    /// Whether names may have variables.
    pub variables: bool,
    /// Who serves; http where nothing is said.
    pub purpose: Option<Purpose>,
}

/// Looks for files among the fixtures.
pub fn files() -> Files<'static> {
    Files { loader: &Disk, folder: FOLDER, resolve: &|_| Vec::new(), merged_at: None }
}

impl World {
    /// A server's context.
    pub fn build(&mut self, conf: &TlsConf) -> Result<ServerContext, Diagnostic> {
        let (at, files) = (Some(span()), files());
        let Self { kept, zones, warnings, early_data, variables, purpose } = self;
        let (early_data, variables) = (*early_data, *variables);
        let purpose = purpose.unwrap_or(Purpose::Http);
        let setup = Setup { files: &files, kept, zones, purpose, at, variables, early_data };
        warnings.clear();
        ServerContext::new(conf, &setup, &mut |warning| warnings.push(warning.message))
    }

    /// The context of settings that are fine.
    pub fn good(&mut self, conf: &TlsConf) -> ServerContext {
        self.build(conf).unwrap_or_else(|error| panic!("{}", error.message))
    }
}

/// Takes every server's certificate.
#[derive(Debug)]
struct Anything(Arc<CryptoProvider>);

impl ServerCertVerifier for Anything {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        rustls::crypto::verify_tls12_signature(message, certificate, signed, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, certificate, signed, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

/// A client that trusts everybody and speaks what `change` leaves of the provider; `pair` is what it shows.
pub fn client(
    versions: &[&'static rustls::SupportedProtocolVersion],
    pair: Option<&str>,
    change: impl FnOnce(&mut CryptoProvider),
) -> ClientConfig {
    let mut provider = aws_lc_rs::default_provider();
    change(&mut provider);
    let provider = Arc::new(provider);
    let builder = ClientConfig::builder_with_provider(provider.clone())
        .with_protocol_versions(versions)
        .expect("versions")
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Anything(provider)));
    match pair {
        None => builder.with_no_client_auth(),
        Some(name) => {
            let key = super::key::read(&fixture(&format!("{name}.key")), None).expect("a key");
            let key = aws_lc_rs::sign::any_supported_type(&key).expect("a kind rustls knows");
            let certified = rustls::sign::CertifiedKey::new(certificates(&format!("{name}.crt")), key);
            builder.with_client_cert_resolver(Arc::new(rustls::sign::SingleCertAndKey::from(certified)))
        }
    }
}

/// All versions there are.
pub const ALL: &[&rustls::SupportedProtocolVersion] = &[&rustls::version::TLS13, &rustls::version::TLS12];

/// A client of all versions without certificate.
pub fn plain_client() -> Arc<ClientConfig> {
    Arc::new(client(ALL, None, |_| ()))
}

/// Both ends after a handshake.
pub type Ends = (ClientConnection, ServerConnection);

/// Shakes hands; the error is the server's if it has one.
pub fn shake(context: &ServerContext, config: &Arc<ClientConfig>, name: &str) -> Result<Ends, Error> {
    let name = ServerName::try_from(name.to_owned()).expect("a name");
    let client = ClientConnection::new(config.clone(), name)?;
    shake_with(client, |hello| context.config(hello))
}

/// Shakes hands with what `choose` finds for the ClientHello.
pub fn shake_with(
    mut client: ClientConnection,
    choose: impl Fn(&rustls::server::ClientHello<'_>) -> Arc<rustls::ServerConfig>,
) -> Result<Ends, Error> {
    let mut acceptor = Acceptor::default();
    let mut wire = Vec::new();
    client.write_tls(&mut wire).expect("memory");
    acceptor.read_tls(&mut &wire[..]).expect("memory");
    let accepted = acceptor.accept().map_err(|(error, _)| error)?.expect("a whole ClientHello");
    let config = choose(&accepted.client_hello());
    let mut server = accepted.into_connection(config).map_err(|(error, _)| error)?;
    pump(&mut client, &mut server)?;
    Ok((client, server))
}

/// Carries bytes both ways until there are none.
pub fn pump(client: &mut ClientConnection, server: &mut ServerConnection) -> Result<(), Error> {
    while client.wants_write() || server.wants_write() {
        let mut wire = Vec::new();
        while server.wants_write() {
            server.write_tls(&mut wire).expect("memory");
        }
        let mut rest = &wire[..];
        while !rest.is_empty() {
            client.read_tls(&mut rest).expect("memory");
            client.process_new_packets()?;
        }
        wire.clear();
        while client.wants_write() {
            client.write_tls(&mut wire).expect("memory");
        }
        let mut rest = &wire[..];
        while !rest.is_empty() {
            server.read_tls(&mut rest).expect("memory");
            server.process_new_packets()?;
        }
    }
    Ok(())
}
