//! TLS towards real servers, with the files `SSL` names.

use crate::conf::disk::Disk;
use crate::conf::tree::Word;
use crate::keepalived::blocks::server::Tls;
use crate::keepalived::log::Log;
use crate::keepalived::site::server::{Probe, VirtualServer};
use crate::tls::ClientConf;
use crate::tls::check::Files;
use crate::tls::kept::Kept;
use crate::tls::key;
use crate::tls::upstream::ClientContext;

/// Whether a virtual server has a check over TLS.
pub fn is_needed(servers: &[VirtualServer]) -> bool {
    let checks = servers.iter().flat_map(|server| &server.reals).flat_map(|real| &real.checks);
    checks.into_iter().any(|check| matches!(&check.probe, Probe::Http(_, get) if get.secure))
}

/// TLS that takes every certificate, as keepalived's does; says which file cannot be read.
///
/// Differs from keepalived: the password is not logged. [test: files_of_ssl_that_cannot_be_read_end_the_checks]
pub fn client(given: Option<&Tls>, log: &Log) -> Option<ClientContext> {
    let none = Tls::default();
    let context = connect(given.unwrap_or(&none));
    let failure = match context {
        Ok(context) => return Some(context),
        Err(failure) => failure,
    };
    log.say(failure);
    log.say("Error Initialize SSL, ctx Instance");
    let path = |word: Option<&Word>| word.map_or_else(|| "(null)".to_owned(), |word| word.text().into_owned());
    log.say(format!("  SSL  keyfile:{}", path(given.and_then(|tls| tls.key.as_ref()))));
    let hidden = if given.is_some_and(|tls| tls.password.is_some()) { "********" } else { "(null)" };
    log.say(format!("  SSL password:{hidden}"));
    log.say(format!("  SSL   cafile:{}", path(given.and_then(|tls| tls.ca.as_ref()))));
    log.say("Terminate...");
    None
}

/// The context; keepalived's line about what it lacks.
fn connect(given: &Tls) -> Result<ClientContext, &'static str> {
    const KEY: &str = "SSL error : Cant load key file...";
    let files = Files { loader: &Disk, folder: "/", resolve: &|_| Vec::new(), merged_at: None };
    let certificates = |file: &Option<Word>| file.as_ref().is_none_or(|file| files.trusted("", file).is_ok());
    if !certificates(&given.certificate) {
        return Err("SSL error : Cant load certificate file...");
    }
    if let Some(file) = &given.key {
        let text = files.text(file).map_err(|_| KEY)?.1;
        key::read(&text, given.password.as_ref()).map_err(|_| KEY)?;
    }
    if !certificates(&given.ca) {
        return Err("SSL error : Cant load CA file...");
    }
    let conf = ClientConf {
        server_name: Some(true),
        // One without the other is not shown, as in OpenSSL.
        certificate: given.certificate.clone().filter(|_| given.key.is_some()),
        key: given.key.clone(),
        password_file: given.password.clone(),
        ..ClientConf::default()
    };
    // What is left is a key that is not the certificate's.
    ClientContext::new(&conf.settings(), &files, &Kept::default(), &mut |_| ()).map_err(|_| KEY)
}
