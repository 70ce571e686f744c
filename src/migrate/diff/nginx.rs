//! An nginx configuration as named things: what holds in a location is what it was given or inherits.

use super::model::{Meaning, Thing, Value};
use crate::conf::directive::Contexts;
use crate::conf::registry::Registry;
use crate::conf::tree::{Block, Statement};
use crate::migrate::input::Text;
use crate::migrate::secret;
use crate::session::contexts::{HTTP, LOCATION, MAIL, MAIL_SERVER, MAIN, SERVER, STREAM, STREAM_SERVER};
use std::collections::{BTreeMap, BTreeSet};

/// Directives that hold only in the block they stand in.
const OWN: [&str; 26] = [
    "listen",
    "server_name",
    "rewrite",
    "return",
    "set",
    "break",
    "if",
    "try_files",
    "proxy_pass",
    "fastcgi_pass",
    "uwsgi_pass",
    "scgi_pass",
    "grpc_pass",
    "memcached_pass",
    "internal",
    "alias",
    "stub_status",
    "empty_gif",
    "flv",
    "mp4",
    "perl",
    "mirror",
    "limit_except",
    "include",
    "js_content",
    "random_index",
];

/// Directives that are one list, in the order they are asked.
const STEPS: [&str; 5] = ["rewrite", "return", "set", "break", "if"];

/// Directives of which there may be many, each recognised by its first argument.
const KEYED: [&str; 16] = [
    "add_header",
    "add_trailer",
    "proxy_set_header",
    "grpc_set_header",
    "fastcgi_param",
    "uwsgi_param",
    "scgi_param",
    "proxy_hide_header",
    "proxy_pass_header",
    "env",
    "limit_req",
    "limit_conn",
    "access_log",
    "error_log",
    "set_real_ip_from",
    "load_module",
];

/// Definitions that other directives use by name, and the argument that names them.
const NAMED: [(&str, &str); 11] = [
    ("log_format", ""),
    ("limit_req_zone", "zone="),
    ("limit_conn_zone", "zone="),
    ("limit_zone", ""),
    ("proxy_cache_path", "keys_zone="),
    ("fastcgi_cache_path", "keys_zone="),
    ("uwsgi_cache_path", "keys_zone="),
    ("scgi_cache_path", "keys_zone="),
    ("perl_set", ""),
    ("js_set", ""),
    ("auth_jwt_claim_set", ""),
];

/// What was given for a directive: its arguments, and where.
type Given = BTreeMap<String, Vec<(Vec<String>, String)>>;

/// What the block that begins at `place` gives by itself, rules left out.
pub fn given_at(text: &Text, place: &str) -> Thing {
    fn find<'a>(text: &Text, block: &'a Block, place: &str) -> Option<&'a Block> {
        block.statements().find_map(|statement| {
            let inner = statement.block.as_ref()?;
            if text.place(statement.span) == place { Some(inner) } else { find(text, inner, place) }
        })
    }
    let maker = Maker { text, registry: text.registry().0 };
    let mut thing = Thing::new("block", "", place);
    if let Some(block) = find(text, &text.tree, place) {
        maker.settings(&mut thing, &maker.given(block));
    }
    thing
}

/// The things of a configuration.
pub fn things(text: &Text) -> Vec<Thing> {
    let maker = Maker { text, registry: text.registry().0 };
    let mut process = Thing::new("process", "", "");
    let mut listeners = BTreeMap::new();
    let mut things = Vec::new();
    let main = maker.given(&text.tree);
    maker.settings(&mut process, &main);
    for statement in text.tree.statements() {
        let Some(block) = &statement.block else { continue };
        match &*statement.name() {
            "events" => maker.settings(&mut process, &maker.given(block)),
            "http" => maker.service((HTTP, SERVER), block, &main, &mut listeners, &mut things),
            "stream" => maker.service((STREAM, STREAM_SERVER), block, &main, &mut listeners, &mut things),
            "mail" => maker.service((MAIL, MAIL_SERVER), block, &main, &mut listeners, &mut things),
            _ => things.push(maker.other(statement, block)),
        }
    }
    things.push(process);
    things.extend(listeners.into_values());
    things
}

/// A value in a form in which what means the same is the same.
pub fn normal(name: &str, value: &str) -> String {
    const TIMES: [&str; 8] = ["time", "valid", "expires", "interval", "delay", "age", "ttl", "inactive"];
    let time = TIMES.iter().any(|word| name.contains(word));
    let words = value.split(' ').map(|word| if time { seconds(word) } else { bytes(word) });
    words.map(|word| word.unwrap_or_else(|plain| plain)).collect::<Vec<_>>().join(" ")
}

fn bytes(word: &str) -> Result<String, String> {
    let (digits, unit) = word.split_at(word.trim_end_matches(|c: char| c.is_ascii_alphabetic()).len());
    let factor: u64 = match unit {
        "" => 1,
        "k" | "K" => 1 << 10,
        "m" | "M" => 1 << 20,
        "g" | "G" => 1 << 30,
        _ => return Err(word.to_owned()),
    };
    digits.parse::<u64>().map(|number| number.saturating_mul(factor).to_string()).map_err(|_| word.to_owned())
}

/// Milliseconds of `1h30m`, `60`, `500ms`.
fn seconds(word: &str) -> Result<String, String> {
    let plain = || word.to_owned();
    let mut rest = word;
    let mut sum = 0_u64;
    while !rest.is_empty() {
        let digits = rest.len() - rest.trim_start_matches(|c: char| c.is_ascii_digit()).len();
        let number: u64 = rest.get(..digits).and_then(|text| text.parse().ok()).ok_or_else(plain)?;
        rest = rest.get(digits..).unwrap_or_default();
        let letters = rest.len() - rest.trim_start_matches(|c: char| c.is_ascii_alphabetic()).len();
        let factor = match rest.get(..letters).unwrap_or_default() {
            "" | "s" => 1000,
            "ms" => 1,
            "m" => 60_000,
            "h" => 3_600_000,
            "d" => 86_400_000,
            "w" => 604_800_000,
            "M" => 2_592_000_000,
            "y" => 31_536_000_000,
            _ => return Err(plain()),
        };
        sum = sum.saturating_add(number.saturating_mul(factor));
        rest = rest.get(letters..).unwrap_or_default();
    }
    Ok(format!("{sum} ms"))
}

struct Maker<'a> {
    text: &'a Text,
    registry: Registry,
}

impl Maker<'_> {
    /// `http` or `stream`: its servers with what holds in them, and its definitions.
    fn service(
        &self,
        (outer, server): (Contexts, Contexts),
        block: &Block,
        main: &Given,
        listeners: &mut BTreeMap<String, Thing>,
        things: &mut Vec<Thing>,
    ) {
        let level = self.down(main, self.given(block), outer);
        for statement in block.statements() {
            let Some(inner) = &statement.block else {
                things.extend(self.definition(statement));
                continue;
            };
            match &*statement.name() {
                "server" => things.push(self.server(statement, inner, &level, server, listeners)),
                "upstream" => things.push(self.upstream(statement, inner, outer == STREAM)),
                "map" | "geo" | "split_clients" | "match" => things.push(self.rows(statement, inner)),
                "types" => {}
                _ => things.push(self.other(statement, inner)),
            }
        }
    }

    fn server(
        &self,
        statement: &Statement,
        block: &Block,
        outer: &Given,
        context: Contexts,
        listeners: &mut BTreeMap<String, Thing>,
    ) -> Thing {
        let own = self.given(block);
        let arguments = |name: &str| own.get(name).cloned().unwrap_or_default();
        let mut names: Vec<String> = arguments("server_name").iter().flat_map(|(words, _)| words.clone()).collect();
        names.iter_mut().for_each(|name| *name = name.to_ascii_lowercase());
        let title = names.first().cloned().unwrap_or_default();
        if names.is_empty() {
            names.push(String::new());
        }
        let mut listens = arguments("listen");
        if listens.is_empty() && context == SERVER {
            listens.push((vec!["80".to_owned()], self.text.place(statement.span)));
        }
        let addresses: Vec<String> = listens.iter().map(|(words, _)| address(words)).collect();
        let mut thing = Thing {
            kind: match context {
                SERVER => "server",
                MAIL_SERVER => "mail server",
                _ => "stream server",
            },
            name: format!("{title} on {}", addresses.join(" ")).trim_start().to_owned(),
            ids: addresses.iter().flat_map(|at| names.iter().map(move |name| format!("{at} {name}"))).collect(),
            place: self.text.place(statement.span),
            ..Thing::default()
        };
        // The same names elsewhere are more alike than nothing.
        thing.ids.extend(names.iter().filter(|name| !name.is_empty()).map(|name| format!("name {name}")));
        for ((words, place), address) in listens.iter().zip(&addresses) {
            listen(listeners, address, (words, place), &thing.name, context == SERVER);
            thing.set(format!("listen {address}"), Value::text("", place));
        }
        for name in names.iter().filter(|name| !name.is_empty()) {
            let place = arguments("server_name").first().map(|(_, place)| place.clone()).unwrap_or_default();
            thing.set(format!("server_name {name}"), Value::text("", place));
        }
        let given: BTreeSet<String> = own.keys().cloned().collect();
        let level = self.down(outer, own, context);
        self.settings(&mut thing, &level);
        thing.inherited = level.keys().filter(|name| !given.contains(*name)).cloned().collect();
        self.program(&mut thing, block);
        self.locations(&mut thing, block, &level);
        thing
    }

    fn locations(&self, around: &mut Thing, block: &Block, outer: &Given) {
        let mut expressions = Vec::new();
        for statement in block.statements().filter(|statement| statement.name() == "location") {
            let Some(inner) = &statement.block else { continue };
            let name = location(&words(statement.arguments()));
            if name.starts_with('~') {
                expressions.push(name.clone());
            }
            let mut thing = Thing::new("location", name, self.text.place(statement.span));
            let own = self.given(inner);
            let given: BTreeSet<String> = own.keys().cloned().collect();
            let level = self.down(outer, own, LOCATION);
            self.settings(&mut thing, &level);
            thing.inherited = level.keys().filter(|name| !given.contains(*name)).cloned().collect();
            self.program(&mut thing, inner);
            self.locations(&mut thing, inner, &level);
            around.inside.push(thing);
        }
        if !expressions.is_empty() {
            around.set("order of expressions", Value::expressions(expressions));
        }
    }

    /// The peers by address; their order only where it decides who is asked.
    fn upstream(&self, statement: &Statement, block: &Block, stream: bool) -> Thing {
        let kind = if stream { "stream upstream" } else { "upstream" };
        let mut thing = Thing::new(kind, words(statement.arguments()).join(" "), self.text.place(statement.span));
        let mut peers = Vec::new();
        let mut given = self.given(block);
        for (arguments, place) in given.remove("server").unwrap_or_default() {
            let Some((address, rest)) = arguments.split_first() else { continue };
            let plain = ["weight=1", "max_fails=1", "fail_timeout=10s", "fail_timeout=10", "max_conns=0"];
            let mut rest: Vec<&str> = rest.iter().map(String::as_str).filter(|word| !plain.contains(word)).collect();
            rest.sort_unstable();
            peers.push(address.clone());
            thing.set(format!("server {address}"), Value::text(rest.join(" "), place));
        }
        let hashed = given.contains_key("ip_hash")
            || given
                .get("hash")
                .is_some_and(|all| all.iter().all(|(words, _)| !words.iter().any(|word| word == "consistent")));
        if hashed {
            thing.set("order of peers", Value::order(peers));
        }
        self.settings(&mut thing, &given);
        thing
    }

    /// `map` and its like: a row is a setting; the order counts where rows are tried one after the other.
    fn rows(&self, statement: &Statement, block: &Block) -> Thing {
        let arguments = words(statement.arguments());
        let name = arguments.last().cloned().unwrap_or_default();
        let kind = match &*statement.name() {
            "map" => "map",
            "geo" => "geo",
            "match" => "match",
            _ => "split_clients",
        };
        let mut thing = Thing::new(kind, name, self.text.place(statement.span));
        if arguments.len() > 1 {
            let from = arguments.first().cloned().unwrap_or_default();
            thing.set("from", Value::text(from, self.text.place(statement.span)));
        }
        let mut ordered = Vec::new();
        for row in block.statements().filter(|row| row.name() != "include") {
            let key = row.name().into_owned();
            if kind == "split_clients" || key.starts_with('~') {
                ordered.push(key.clone());
            }
            thing.set(key, Value::text(words(row.arguments()).join(" "), self.text.place(row.span)));
        }
        thing.set("order", if kind == "split_clients" { Value::order(ordered) } else { Value::expressions(ordered) });
        thing
    }

    fn definition(&self, statement: &Statement) -> Option<Thing> {
        let (kind, mark) = NAMED.into_iter().find(|(name, _)| statement.name() == *name)?;
        let arguments = words(statement.arguments());
        let name = if mark.is_empty() {
            arguments.first().cloned()?
        } else {
            let marked = arguments.iter().find_map(|word| word.strip_prefix(mark))?;
            marked.split(':').next().unwrap_or_default().to_owned()
        };
        let mut thing = Thing::new(kind, name, self.text.place(statement.span));
        thing.set("definition", Value::text(arguments.join(" "), self.text.place(statement.span)));
        Some(thing)
    }

    /// A block nothing more is known of: its statements, flattened.
    fn other(&self, statement: &Statement, block: &Block) -> Thing {
        let mut thing = Thing::new("block", words(&statement.words).join(" "), self.text.place(statement.span));
        for inner in block.statements() {
            match &inner.block {
                Some(block) => thing.inside.push(self.other(inner, block)),
                None => {
                    let value = self.value(&inner.name(), &words(inner.arguments()), self.text.place(inner.span));
                    thing.set(inner.name(), value);
                }
            }
        }
        thing
    }

    /// What a block gives, by directive; blocks that are settings themselves are flattened into words.
    fn given(&self, block: &Block) -> Given {
        let mut given = Given::new();
        for statement in block.statements() {
            let name = statement.name().into_owned();
            let mut arguments = words(statement.arguments());
            match &statement.block {
                Some(inner) if matches!(name.as_str(), "types" | "limit_except") => {
                    arguments.push(flat(inner, name == "types"))
                }
                Some(_) => continue,
                None if name == "include" || NAMED.iter().any(|(known, _)| *known == name) => continue,
                None => {}
            }
            given.entry(name).or_default().push((arguments, self.text.place(statement.span)));
        }
        given
    }

    /// What holds in a block inside `outer`: its own, and of the rest what is inherited.
    fn down(&self, outer: &Given, own: Given, context: Contexts) -> Given {
        let mut level = own;
        for (name, all) in outer {
            let fits = |name: &str| self.registry.find(name.as_bytes(), context).is_some();
            let covered = level.contains_key(name)
                || matches!(name.as_str(), "allow" | "deny")
                    && (level.contains_key("allow") || level.contains_key("deny"))
                || name == "root" && level.contains_key("alias");
            let whole = self.registry.find(name.as_bytes(), MAIN).is_some() && name != "error_log";
            if !covered && !OWN.contains(&name.as_str()) && fits(name) && !whole {
                level.insert(name.clone(), all.clone());
            }
        }
        level
    }

    fn settings(&self, thing: &mut Thing, given: &Given) {
        for (name, all) in given {
            if STEPS.contains(&name.as_str()) || matches!(name.as_str(), "listen" | "server_name" | "allow" | "deny") {
                continue;
            }
            if KEYED.contains(&name.as_str()) || name == "error_page" {
                for (arguments, place) in all {
                    let at = if name == "error_page" { arguments.len().saturating_sub(1) } else { 1 };
                    let (key, rest) = arguments.split_at_checked(at).unwrap_or((arguments, &[]));
                    let words: Vec<String> = key.iter().chain(rest).cloned().collect();
                    let mut value = self.value(name, &words, place.clone());
                    if secret::visible(&[&[name.clone()][..], &words].concat()) > words.len() {
                        value = Value::text(rest.join(" "), place);
                    }
                    thing.set(format!("{name} {}", key.join(" ")), value);
                }
                continue;
            }
            if name == "ssl_certificate" {
                self.certificates(thing, all, given.get("ssl_certificate_key").map(Vec::as_slice).unwrap_or_default());
                continue;
            }
            if name == "ssl_certificate_key" && given.contains_key("ssl_certificate") {
                continue;
            }
            let arguments: Vec<String> = all.iter().flat_map(|(words, _)| words.clone()).collect();
            let place = all.first().map(|(_, place)| place.clone()).unwrap_or_default();
            thing.set(name, self.value(name, &arguments, place));
        }
    }

    /// Certificates by path, each with its key's path; the order in which they are named means nothing.
    fn certificates(&self, thing: &mut Thing, all: &[(Vec<String>, String)], keys: &[(Vec<String>, String)]) {
        for (index, (arguments, place)) in all.iter().enumerate() {
            let key = keys.get(index).map(|(words, _)| words.join(" ")).unwrap_or_default();
            let value = self.value("ssl_certificate_key", &[key], place.clone());
            thing.set(format!("ssl_certificate {}", arguments.join(" ")), value);
        }
    }

    fn value(&self, name: &str, arguments: &[String], place: String) -> Value {
        let all: Vec<String> = std::iter::once(name.to_owned()).chain(arguments.iter().cloned()).collect();
        let text = arguments.join(" ");
        let shown = if secret::visible(&all) < all.len() { secret::HIDDEN.to_owned() } else { text.clone() };
        Value { shown, meaning: Meaning::Text(normal(name, &text)), place }
    }

    /// What is done in order: rewrites, and who is let in.
    fn program(&self, thing: &mut Thing, block: &Block) {
        for (title, names) in [("rewrite steps", &STEPS[..]), ("allow and deny", &["allow", "deny"][..])] {
            let of = |statement: &&Statement| names.contains(&&*statement.name());
            let steps: Vec<&Statement> = block.statements().filter(of).collect();
            let Some(first) = steps.first() else { continue };
            let texts = |steps: &[&Statement]| steps.iter().map(|step| step_text(step)).collect::<Vec<_>>().join("; ");
            let (shown, place) = (texts(&steps), self.text.place(first.span));
            let meaning = Meaning::Text(texts(&settled(steps)));
            thing.set(title, Value { shown, meaning, place });
        }
    }
}

/// Steps in an order that is the same for all orders that mean the same.
fn settled(mut steps: Vec<&Statement>) -> Vec<&Statement> {
    for end in 1..steps.len() {
        let mut at = end;
        while at > 0
            && let [one, other] = steps.get(at - 1..=at).unwrap_or_default()
            && indifferent(one, other)
            && step_text(other) < step_text(one)
        {
            steps.swap(at - 1, at);
            at -= 1;
        }
    }
    steps
}

/// Whether two steps that follow each other may change places: two that let in, or keep out, and two variables of which
/// neither is made of the other.
fn indifferent(one: &Statement, other: &Statement) -> bool {
    let (name, words) = (one.name(), |step: &Statement| words(step.arguments()));
    if name != other.name() || one.block.is_some() || other.block.is_some() {
        return false;
    }
    match (&*name, words(one).as_slice(), words(other).as_slice()) {
        ("allow" | "deny", ..) => true,
        ("set", [first, value], [second, next]) => {
            let free = |name: &str, value: &str| {
                let bare = name.trim_start_matches('$');
                !value.contains(name) && !value.contains(&format!("${{{bare}}}"))
            };
            first != second && free(first, next) && free(second, value)
        }
        _ => false,
    }
}

fn step_text(statement: &Statement) -> String {
    let own = words(&statement.words);
    let shown = secret::visible(&own);
    let hidden = if shown < own.len() { format!(" {}", secret::HIDDEN) } else { String::new() };
    let own = format!("{}{hidden}", own.get(..shown).unwrap_or_default().join(" "));
    match &statement.block {
        Some(inner) => format!("{own} {{ {} }}", flat(inner, false)),
        None => own,
    }
}

/// A block in one line.
fn flat(block: &Block, sorted: bool) -> String {
    let mut all: Vec<String> = block.statements().map(step_text).collect();
    if sorted {
        all.sort();
    }
    all.join("; ")
}

fn words(words: &[crate::conf::tree::Word]) -> Vec<String> {
    words.iter().map(|word| word.text().into_owned()).collect()
}

/// A location as it is known: modifier and path, however they are written.
fn location(arguments: &[String]) -> String {
    match arguments {
        [one] => {
            let modifier = ["^~", "~*", "=", "~"].into_iter().find(|mark| one.starts_with(mark));
            match modifier {
                Some(mark) => format!("{mark} {}", one.get(mark.len()..).unwrap_or_default()),
                None => one.clone(),
            }
        }
        all => all.join(" "),
    }
}

/// A listening address however it is written: port 80 and every address where it does not say.
fn address(words: &[String]) -> String {
    let at = words.first().map_or("", String::as_str);
    if at.starts_with("unix:") {
        return at.to_owned();
    }
    if at.bytes().all(|byte| byte.is_ascii_digit()) {
        return format!("*:{at}");
    }
    let port =
        at.rsplit_once(':').is_some_and(|(_, port)| !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit()));
    let full = if port && !at.ends_with(']') { at.to_owned() } else { format!("{at}:80") };
    full.strip_prefix("0.0.0.0:").map_or_else(|| full.clone(), |port| format!("*:{port}"))
}

/// Adds what one server says of a listening address.
fn listen(
    listeners: &mut BTreeMap<String, Thing>,
    address: &str,
    (words, place): (&[String], &str),
    server: &str,
    http: bool,
) {
    let thing = listeners.entry(address.to_owned()).or_insert_with(|| Thing::new("listener", address, place));
    let mut options: BTreeSet<String> = thing
        .settings
        .get("options")
        .map(|value| value.shown.split(' ').filter(|word| !word.is_empty()).map(str::to_owned).collect())
        .unwrap_or_default();
    let chosen = words.iter().skip(1).any(|word| word == "default_server" || word == "default");
    options.extend(words.iter().skip(1).filter(|word| !matches!(word.as_str(), "default_server" | "default")).cloned());
    if !options.is_empty() {
        thing.set("options", Value::text(options.into_iter().collect::<Vec<_>>().join(" "), place));
    }
    if http && (chosen || !thing.settings.contains_key("default server")) {
        let name = server.split(" on ").next().unwrap_or_default();
        thing.set("default server", Value::text(name, place));
    }
}
