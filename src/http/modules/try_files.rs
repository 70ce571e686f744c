//! `ngx_http_try_files_module`: the first file that is there, or where to go when none is.

use crate::conf::diagnostic::Diagnostic;
use crate::conf::directive::{Arity, Directive};
use crate::conf::module::{Conf, Scope};
use crate::conf::slot::Custom;
use crate::conf::tree::{Statement, Word};
use crate::conf::value;
use crate::conf::walk::{Levels, Setting};
use crate::http::heart::handler::{Flow, Handler, Phase};
use crate::http::heart::module::{Compile, LocationBuilder, Module, Text};
use crate::http::heart::request::Request;
use crate::http::route::finish;
use crate::log::Level;
use crate::session::contexts::{HTTP_LEVELS, LOCATION, SERVER};
use crate::session::used;

/// The module.
pub fn modules() -> Vec<Module> {
    vec![Module::new(MODULE).install(install)]
}

const MODULE: crate::conf::module::Module = crate::conf::module::Module {
    name: "ngx_http_try_files_module",
    directives: &[Directive::new("try_files", SERVER.or(LOCATION), Arity::AtLeast(2), &Custom(try_files))
        .doc("Looks for files in order and serves the first that is there, else goes to the last argument.")],
    scopes: &[Scope::of::<Files>(HTTP_LEVELS)],
};

/// The last argument.
#[derive(Clone)]
enum Last {
    Status(u16),
    Target(Word),
}

#[derive(Default)]
struct Files {
    names: Vec<Word>,
    last: Option<Last>,
}

impl Conf for Files {
    fn inherit(&mut self, _: &Self) {}
}

enum Fallback {
    Status(u16),
    Target(Text),
}

/// A name that is tried.
struct Name {
    text: Text,
    /// Whether a folder is meant.
    folder: bool,
    /// Whether the text has variables: only then it may begin with the location's prefix.
    variable: bool,
}

struct TryFiles {
    names: Vec<Name>,
    last: Fallback,
}

fn install(levels: &Levels<'_>, place: &mut LocationBuilder, cx: &mut Compile<'_, '_>) -> Result<(), Diagnostic> {
    let Some(Files { names, last: Some(last) }) = levels.level.own::<Files>() else { return Ok(()) };
    let mut compiled = Vec::new();
    for name in names {
        let folder = name.bytes.ends_with(b"/");
        let mut bare = name.clone();
        if folder {
            bare.bytes = name.bytes.strip_suffix(b"/").unwrap_or_default().into();
        }
        compiled.push(Name { text: cx.text(&bare)?, folder, variable: name.bytes.contains(&b'$') });
    }
    let last = match last {
        Last::Status(status) => Fallback::Status(*status),
        Last::Target(word) => Fallback::Target(cx.text(word)?),
    };
    place.step(Phase::Precontent, TryFiles { names: compiled, last });
    Ok(())
}

impl Handler for TryFiles {
    fn run<'r>(&'r self, request: &'r mut Request) -> Flow<'r> {
        for name in &self.names {
            let found = Found::new(name, request);
            let about = match request.file_info(&found.path) {
                Ok(about) => about,
                Err(failed) => {
                    let code = failed.error.raw_os_error();
                    if !matches!(code, Some(libc::ENOENT | libc::ENOTDIR | libc::ENAMETOOLONG)) {
                        request.log_failed(Level::Crit, &found.path, &failed);
                    }
                    continue;
                }
            };
            if about.is_dir() == name.folder {
                if let Some(uri) = found.uri {
                    request.uri = uri;
                    request.uri_behind_alias = found.behind_alias;
                    request.uri_as_sent = false;
                }
                return Flow::Next;
            }
        }
        match &self.last {
            Fallback::Status(status) => Flow::Finish(*status),
            Fallback::Target(target) => {
                let target = target.text(request);
                let next = match target.first() {
                    Some(b'@') => finish::named(request, &target),
                    _ => {
                        let next = finish::redirect(request, &target);
                        request.has_args = true;
                        next
                    }
                };
                match next {
                    finish::Next::Send => Flow::Done,
                    finish::Next::Restart(target) => Flow::Restart(target),
                }
            }
        }
    }
}

/// The file of a name, and the path of a request for it.
struct Found {
    path: Vec<u8>,
    /// `None`: stays as it is.
    uri: Option<Vec<u8>>,
    /// Whether the file of `uri` is `alias` with all of it behind.
    behind_alias: bool,
}

impl Found {
    fn new(name: &Name, request: &Request) -> Self {
        let root = &request.location.settings.root;
        let mut path = root.path.text(request);
        let text = name.text.text(request);
        match root.prefix_length {
            Some(length) if root.alias => {
                let prefix = request.uri.get(..length).unwrap_or_default();
                let rest = text.strip_prefix(prefix).filter(|_| name.variable).unwrap_or(&text);
                path.extend_from_slice(rest);
                Self { path, uri: Some([prefix, rest].concat()), behind_alias: false }
            }
            _ => {
                path.extend_from_slice(&text);
                // The alias of an expression is a whole path: that of a folder needs nothing behind it.
                let uri = (!root.alias || !name.folder).then_some(text);
                Self { path, uri, behind_alias: root.alias }
            }
        }
    }
}

fn try_files(cx: &mut Setting<'_>, conf: &mut Files, statement: &Statement) -> Result<(), Diagnostic> {
    if conf.last.is_some() {
        return Err(cx.duplicate());
    }
    let Some((last, names)) = statement.arguments().split_last() else { return Ok(()) };
    for word in statement.arguments() {
        used::word(cx, word)?;
    }
    conf.names = names.to_vec();
    conf.last = Some(match last.after("=") {
        Some(code) => match value::number(code) {
            Some(code @ 0..=999) => Last::Status(code as u16),
            _ => return Err(Diagnostic::emerg(format!("invalid code \"{}\"", last.text())).point(last.span)),
        },
        None => Last::Target(last.clone()),
    });
    Ok(())
}
