//! Files that are part of a configuration, as those of `conf.d/` and `sites-enabled/`: in which block they belong, and the
//! whole they are read in.

use crate::conf::directive::{Contexts, Opens};
use crate::conf::lex;
use crate::conf::registry::Registry;
use crate::conf::source::{Loader, Named, SourceId};
use crate::conf::tree::{Block, Statement};
use clap::ValueEnum;
use std::io;
use std::path::Path;

/// The block a file's statements belong in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Place {
    /// None: the file is whole.
    Main,
    /// `http {}`.
    Http,
    /// `server {}` in http.
    Server,
    /// `location {}`.
    Location,
    /// `upstream {}` in http.
    Upstream,
    /// `events {}`.
    Events,
    /// `stream {}`.
    Stream,
    /// `server {}` in stream.
    StreamServer,
    /// `upstream {}` in stream.
    StreamUpstream,
    /// `mail {}`.
    Mail,
    /// `server {}` in mail.
    MailServer,
}

impl Place {
    /// The blocks around, outermost first.
    const fn blocks(self) -> &'static [&'static str] {
        match self {
            Self::Main => &[],
            Self::Http => &["http"],
            Self::Server => &["http", "server"],
            Self::Location => &["http", "server", "location /"],
            Self::Upstream => &["http", "upstream fragment"],
            Self::Events => &["events"],
            Self::Stream => &["stream"],
            Self::StreamServer => &["stream", "server"],
            Self::StreamUpstream => &["stream", "upstream fragment"],
            Self::Mail => &["mail"],
            Self::MailServer => &["mail", "server"],
        }
    }

    /// The place in words.
    pub fn shown(self) -> String {
        let words = |block: &&str| block.split(' ').next().unwrap_or_default().to_owned();
        self.blocks().iter().map(words).rev().collect::<Vec<_>>().join(" in ")
    }

    /// The text of a configuration that has only this file in it.
    pub fn around(self, path: &str) -> String {
        let events = if matches!(self, Self::Events) { "" } else { "events { } " };
        let opened: String = self.blocks().iter().map(|block| format!("{block} {{ ")).collect();
        format!("{events}{opened}include \"{path}\"; {}\n", "} ".repeat(self.blocks().len()))
    }

    /// Where a text belongs: the place in which most of its statements may stand. Of several, blocks seen more often come
    /// first, as this list has them.
    pub fn of(text: &[u8]) -> Self {
        let tree = lex::nginx::every(text, SourceId(u32::MAX));
        let (registry, main) = crate::nginx::view::registry();
        let whole =
            |statement: &Statement| statement.block.is_some() && PRODUCT.iter().any(|name| statement.name() == *name);
        if tree.statements().any(whole) {
            return Self::Main;
        }
        let mut best = (0, Self::Main);
        for place in Self::value_variants() {
            let context = place.blocks().iter().try_fold(main, |context, block| opened(&registry, block, context));
            let known = context.map_or(0, |context| known(&registry, &tree, context));
            if known > best.0 {
                best = (known, *place);
            }
        }
        best.1
    }
}

/// The blocks only a whole configuration has.
const PRODUCT: [&str; 4] = ["events", "http", "stream", "mail"];

fn opened(registry: &Registry, block: &str, context: Contexts) -> Option<Contexts> {
    let name = block.split(' ').next().unwrap_or_default();
    match registry.find(name.as_bytes(), context)?.arity.opens() {
        Some(Opens::Context(inner)) => Some(inner),
        Some(Opens::Rows) | None => None,
    }
}

/// How many statements are where they may be; those behind an unknown one's brace do not count.
fn known(registry: &Registry, block: &Block, context: Contexts) -> usize {
    let one = |statement: &Statement| {
        let row = statement.words.first().and_then(|word| registry.find(&word.bytes, context));
        let row = row.filter(|row| row.arity.needs_block() == statement.block.is_some());
        let inside = match (row.and_then(|row| row.arity.opens()), &statement.block) {
            (Some(Opens::Context(inner)), Some(block)) => known(registry, block, inner),
            _ => 0,
        };
        usize::from(row.is_some()) + inside
    };
    block.statements().map(one).sum()
}

/// Files as they are, and one around them that is nowhere.
pub struct Around<'a> {
    /// Where the others are.
    pub files: &'a dyn Loader,
    /// The name of the one that is not there.
    pub name: String,
    /// What it would hold.
    pub text: String,
}

impl Loader for Around<'_> {
    fn load(&self, path: &str) -> io::Result<Vec<u8>> {
        if path == self.name { Ok(self.text.clone().into_bytes()) } else { self.files.load(path) }
    }

    fn glob(&self, pattern: &str) -> io::Result<Vec<String>> {
        self.files.glob(pattern)
    }

    fn named(&self, path: &str) -> Named {
        if path == self.name { Named::Text } else { self.files.named(path) }
    }
}

/// The folder relative paths of a fragment start at: the nearest around it that holds an `nginx.conf`, else its own.
pub fn base(path: &str, loader: &dyn Loader) -> String {
    let absolute = std::path::absolute(path).map_or_else(|_| path.to_owned(), |path| path.display().to_string());
    let folders =
        || Path::new(&absolute).ancestors().skip(1).map(|folder| format!("{}/", folder.display()).replace("//", "/"));
    let main = folders().find(|folder| loader.load(&format!("{folder}nginx.conf")).is_ok());
    main.or_else(|| folders().next()).unwrap_or_default()
}

/// What a fragment cannot know: it is defined in what is around it.
const ELSEWHERE: [&str; 7] = [
    "unknown log format",
    "unknown \"",
    "no port in upstream",
    "zero size shared memory zone",
    "no servers are inside upstream",
    "no \"ssl_certificate\"",
    "no \"auth_http\"",
];

/// Whether a complaint may come of what is around a fragment.
pub fn may_be_elsewhere(message: &str) -> bool {
    ELSEWHERE.iter().any(|words| message.starts_with(words))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fragment_belongs_where_its_statements_may_stand() {
        let cases = [
            ("server { listen 80; location / { root /x; } }", Place::Http),
            ("upstream u { server 1.2.3.4; }\nserver { listen 80; }", Place::Http),
            ("listen 80; server_name x;", Place::Server),
            ("server { listen 1883; proxy_pass u; proxy_timeout 1h; }", Place::Stream),
            ("server { listen 25; protocol smtp; }", Place::Mail),
            ("listen 1883; proxy_pass u;", Place::StreamServer),
            ("server 1.2.3.4 weight=2; server 1.2.3.5;", Place::Upstream),
            ("proxy_set_header Host $host;", Place::Http),
            ("fastcgi_param A b; try_files $uri =404;", Place::Server),
            ("user nginx; worker_processes 2;", Place::Main),
            ("events { }\nserver { }", Place::Main),
            ("nothing known;", Place::Main),
        ];
        for (text, place) in cases {
            assert_eq!(Place::of(text.as_bytes()), place, "{text}");
        }
    }
}
