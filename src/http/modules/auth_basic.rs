//! `ngx_http_auth_basic_module`: names and passwords (RFC 7617).
//!
//! Slow hashes are computed on the loop's blocking threads. A password that was right is known by a keyed digest of it and of
//! the hash in the file, so that it is hashed once however many requests carry it.

mod crypt;
mod users;

use crate::conf::bytes;
use crate::conf::diagnostic::Diagnostic;
use crate::conf::directive::{Arity, Directive};
use crate::conf::module::{Conf, Scope, inherit};
use crate::conf::tree::Word;
use crate::conf::walk::{Levels, errno};
use crate::http::heart::handler::{Flow, Handler, Phase};
use crate::http::heart::module::{Compile, LocationBuilder, Module, Text};
use crate::http::heart::request::Request;
use crate::http::route::credentials::credentials;
use crate::log::Level;
use crate::session::contexts::{HTTP_ANY, HTTP_LEVELS, LIMIT_EXCEPT};
use crate::session::slot::Value;
use crate::zone::table::{Oldest, Table};
use aws_lc_rs::hmac;
use std::fs::File;
use std::io::{self, Read as _};
use std::sync::Arc;
use users::Found;

/// The module.
pub fn modules() -> Vec<Module> {
    vec![Module::new(MODULE).install(install)]
}

const MODULE: crate::conf::module::Module = crate::conf::module::Module {
    name: "ngx_http_auth_basic_module",
    directives: DIRECTIVES,
    scopes: &[Scope::of::<AuthBasic>(HTTP_LEVELS)],
};

const DIRECTIVES: &[Directive] = &[
    Directive::new(
        "auth_basic",
        HTTP_ANY.or(LIMIT_EXCEPT),
        Arity::Exactly(1),
        &Value(|c: &mut AuthBasic| &mut c.realm),
    )
    .default("off")
    .doc("Asks for a name and password, with the given text."),
    Directive::new(
        "auth_basic_user_file",
        HTTP_ANY.or(LIMIT_EXCEPT),
        Arity::Exactly(1),
        &Value(|c: &mut AuthBasic| &mut c.user_file),
    )
    .doc("Sets the file of names and passwords; hashes may be those of crypt(3), apr1, {PLAIN}, {SHA} and {SSHA}."),
];

/// Settings of the module.
#[derive(Default)]
struct AuthBasic {
    realm: Option<Word>,
    user_file: Option<Word>,
}

impl Conf for AuthBasic {
    fn inherit(&mut self, outer: &Self) {
        inherit!(self, outer; realm, user_file);
    }
}

/// The module at work.
struct Basic {
    realm: Text,
    /// The file, and the folder in which it is looked for.
    file: Text,
    folder: Vec<u8>,
    right: Arc<Right>,
}

fn install(levels: &Levels<'_>, place: &mut LocationBuilder, cx: &mut Compile<'_, '_>) -> Result<(), Diagnostic> {
    let Some(conf) = levels.get::<AuthBasic>() else { return Ok(()) };
    let (Some(realm), Some(file)) = (&conf.realm, &conf.user_file) else { return Ok(()) };
    let folder = bytes::raw(cx.build.folder).into_owned();
    place.step(
        Phase::Access,
        Basic { realm: cx.text(realm)?, file: cx.text(file)?, folder, right: cx.build.zones.kept() },
    );
    Ok(())
}

/// Bytes for the digests of passwords that were right.
const MEMORY: u64 = 1 << 20;

/// The passwords that were right.
struct Right {
    key: Option<hmac::Key>,
    digests: Table<()>,
}

impl Default for Right {
    fn default() -> Self {
        let random = aws_lc_rs::rand::SystemRandom::new();
        Self { key: hmac::Key::generate(hmac::HMAC_SHA256, &random).ok(), digests: Table::new(MEMORY, 32) }
    }
}

impl Right {
    fn digest(&self, stored: &[u8], password: &[u8]) -> Option<hmac::Tag> {
        let mut context = hmac::Context::with_key(self.key.as_ref()?);
        context.update(&(stored.len() as u64).to_be_bytes());
        context.update(stored);
        context.update(password);
        Some(context.sign())
    }

    /// Whether a password was right before.
    fn knows(&self, stored: &[u8], password: &[u8]) -> bool {
        let mut known = false;
        if let Some(digest) = self.digest(stored, password) {
            self.digests.release(digest.as_ref(), |()| {
                known = true;
                false
            });
        }
        known
    }

    /// Whether a password is right, found out by its hash.
    fn check(&self, stored: &[u8], password: &[u8]) -> bool {
        // Another request may have asked the same meanwhile.
        if self.knows(stored, password) {
            return true;
        }
        let right = crypt::verify(stored, password);
        if let Some(digest) = self.digest(stored, password).filter(|_| right) {
            let first = |short: bool, removed, (): &()| {
                if short && removed == 0 { Oldest::Remove } else { Oldest::Keep }
            };
            let _ = self.digests.update_evicting(digest.as_ref(), first, || (), |()| ());
        }
        right
    }
}

impl Handler for Basic {
    fn run<'r>(&'r self, request: &'r mut Request) -> Flow<'r> {
        let realm = self.realm.text(request);
        if realm == b"off" {
            return Flow::Next;
        }
        let Some((user, password)) = credentials(request) else {
            request.log(Level::Info, "no user/password was provided for basic authentication");
            return challenge(request, &realm);
        };
        let mut path = self.file.text(request);
        if !path.starts_with(b"/") {
            path.splice(..0, self.folder.iter().copied());
        }
        let file = match read(request, &path) {
            Ok(file) => file,
            Err(status) => return Flow::Finish(status),
        };
        let stored = match users::find(&file, &user) {
            Found::Password(stored) => stored,
            Found::Nothing => {
                let (user, path) = (bytes::text(&user), bytes::text(&path));
                request.log(Level::Error, &format!("user \"{user}\" was not found in \"{path}\""));
                return challenge(request, &realm);
            }
        };
        if crypt::is_quick(stored) {
            let right = crypt::verify(stored, &password);
            return verdict(request, right, &user, &realm);
        }
        if self.right.knows(stored, &password) {
            return Flow::Pass;
        }
        let (stored, known) = (stored.to_vec(), self.right.clone());
        Flow::Wait(Box::pin(async move {
            match tokio::task::spawn_blocking(move || known.check(&stored, &password)).await {
                Ok(right) => verdict(request, right, &user, &realm),
                Err(_) => {
                    request.log(Level::Crit, "the password's hash cannot be computed");
                    Flow::Finish(500)
                }
            }
        }))
    }
}

/// The file of names and passwords; 403 where there is none, 500 where it cannot be read.
fn read(request: &Request, path: &[u8]) -> Result<Vec<u8>, u16> {
    let shown = bytes::text(path);
    let mut file = match File::open(bytes::path(&shown)) {
        Ok(file) => file,
        Err(error) => {
            let lacks = error.kind() == io::ErrorKind::NotFound;
            let (level, status) = if lacks { (Level::Error, 403) } else { (Level::Crit, 500) };
            request.log(level, &format!("open() \"{shown}\" failed ({})", errno(&error)));
            return Err(status);
        }
    };
    let mut text = Vec::new();
    match file.read_to_end(&mut text) {
        Ok(_) => Ok(text),
        Err(error) => {
            request.log(Level::Crit, &format!("pread() \"{shown}\" failed ({})", errno(&error)));
            Err(500)
        }
    }
}

fn verdict(request: &mut Request, right: bool, user: &[u8], realm: &[u8]) -> Flow<'static> {
    if right {
        return Flow::Pass;
    }
    request.log(Level::Error, &format!("user \"{}\": password mismatch", bytes::text(user)));
    challenge(request, realm)
}

/// 401, and what is asked for.
fn challenge(request: &mut Request, realm: &[u8]) -> Flow<'static> {
    request.response.forget_challenge();
    request.response.headers.add(b"WWW-Authenticate", &[b"Basic realm=\"", realm, b"\""].concat());
    Flow::Finish(401)
}

#[cfg(test)]
mod tests;
