use super::{EXTENSIONS, modules};
use crate::conf::directive::{Arity, Contexts, Directive, Support};
use crate::conf::lex;
use crate::conf::module::Module;
use crate::conf::registry::Registry;
use crate::conf::source::{Memory, Sources};
use crate::conf::walk::{Bases, Dialect, Walk};
use crate::nginx::wording::Nginx;
use crate::session::contexts::*;
use std::any::TypeId;

const TABLE: &str = include_str!("../../../fixtures/nginx/directives.tsv");

struct Line {
    name: &'static str,
    contexts: Contexts,
    arguments: &'static str,
    block: bool,
}

fn context(word: &str) -> Contexts {
    match word {
        "any" => ANYWHERE,
        "main" => MAIN,
        "events" => EVENTS,
        "http" => HTTP,
        "server" => SERVER,
        "location" => LOCATION,
        "if-in-server" => IF_IN_SERVER,
        "if-in-location" => IF_IN_LOCATION,
        "limit_except" => LIMIT_EXCEPT,
        "upstream" => UPSTREAM,
        "stream" => STREAM,
        "stream-server" => STREAM_SERVER,
        "stream-upstream" => STREAM_UPSTREAM,
        "mail" => MAIL,
        "mail-server" => MAIL_SERVER,
        other => panic!("context {other}"),
    }
}

fn table() -> Vec<Line> {
    let cells = TABLE.lines().skip(1).map(|line| line.split('\t').collect::<Vec<_>>());
    cells
        .filter(|cells| !cells[4].starts_with("inside"))
        .map(|cells| Line {
            name: cells[0],
            contexts: cells[4].split(',').map(context).fold(Contexts(0), Contexts::or),
            arguments: cells[5],
            block: cells[6] == "yes",
        })
        .collect()
}

/// Which numbers of arguments up to eight are right.
fn counts(arguments: &str) -> Vec<usize> {
    match arguments {
        "flag" => vec![1],
        "any" => (0..=8).collect(),
        "1more" => (1..=8).collect(),
        "2more" => (2..=8).collect(),
        list => list.split(',').map(|count| count.parse().expect("a count")).collect(),
    }
}

/// Rows that take the arguments of a later version too.
const WIDER: [&str; 1] = ["keepalive"];

fn differences(rows: &[&'static Directive]) -> Vec<String> {
    let mut wrong = Vec::new();
    for line in table() {
        let here: Vec<_> =
            rows.iter().filter(|row| row.name == line.name && row.contexts.meets(line.contexts)).collect();
        let union = here.iter().fold(Contexts(0), |sum, row| sum.or(row.contexts));
        let bits: u32 = here.iter().map(|row| row.contexts.0.count_ones()).sum();
        if union != line.contexts || bits != line.contexts.0.count_ones() {
            wrong.push(format!("{}: {} rows, contexts {:b} for {:b}", line.name, here.len(), union.0, line.contexts.0));
        }
        let want = counts(line.arguments);
        for row in here {
            let is_wider = WIDER.contains(&row.name) && row.contexts.meets(UPSTREAM);
            let takes = |count| row.arity.takes(count) && !(is_wider && count > 1);
            if !(0..=8).all(|count| takes(count) == want.contains(&count)) {
                wrong.push(format!("{}: takes {:?} for {}", line.name, row.arity, line.arguments));
            }
            if (row.arity == Arity::Flag) != (line.arguments == "flag") || row.arity.needs_block() != line.block {
                wrong.push(format!("{}: is {:?}, flag {}, block {}", line.name, row.arity, line.arguments, line.block));
            }
        }
    }
    wrong
}

fn rows(modules: &[Module]) -> Vec<&'static Directive> {
    modules.iter().flat_map(|module| module.directives).collect()
}

#[test]
fn every_directive_of_nginx_is_one_row() {
    let wrong = differences(&rows(&modules()));
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn no_name_stands_twice_in_a_context() {
    let rows = rows(&modules());
    let mut wrong = Vec::new();
    for (index, row) in rows.iter().enumerate() {
        let twins = rows.iter().skip(index + 1).filter(|twin| twin.name == row.name);
        wrong.extend(twins.filter(|twin| twin.contexts.meets(row.contexts)).map(|twin| twin.name));
    }
    assert!(wrong.is_empty(), "{wrong:?}");
}

#[test]
fn rows_beyond_nginxs_are_listed() {
    let table = table();
    let strangers: Vec<_> = rows(&modules())
        .into_iter()
        .filter(|row| !table.iter().any(|line| line.name == row.name && line.contexts.meets(row.contexts)))
        .filter(|row| !EXTENSIONS.contains(&row.name))
        .map(|row| row.name)
        .collect();
    assert!(strangers.is_empty(), "{strangers:?}");
}

#[test]
fn served_rows_are_documented() {
    let wrong: Vec<_> = rows(&modules())
        .into_iter()
        .filter(|row| row.support.is_served())
        .filter(|row| !row.doc.ends_with('.') || row.doc.contains('\n'))
        .map(|row| row.name)
        .collect();
    assert!(wrong.is_empty(), "{wrong:?}");
}

#[test]
fn setters_write_to_settings_their_contexts_have() {
    let registry = Registry::new(&modules());
    let mut wrong = Vec::new();
    for (row, module) in registry.rows() {
        let target = row.set.target();
        if target == TypeId::of::<()>() {
            continue;
        }
        match registry.scopes().of(target) {
            Some(scope) if scope.contexts.meets(row.contexts) || row.arity.opens().is_some() => {}
            Some(_) => wrong.push(format!("{module}: {}: not in its scope's contexts", row.name)),
            None => wrong.push(format!("{module}: {}: no scope", row.name)),
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn defaults_are_accepted_by_their_own_setters() {
    let registry = Registry::new(&modules());
    let dialect = Dialect { lex: lex::nginx::file, stop: true, every: false, wording: &Nginx };
    let mut wrong = Vec::new();
    for (row, _) in registry.rows() {
        let Some(default) = row.default else { continue };
        let loader = Memory::default();
        let mut sources = Sources::default();
        let context = Contexts(1 << row.contexts.0.trailing_zeros());
        let mut walk = Walk::new(&registry, dialect, (&loader, &mut sources), Bases::default(), context);
        if let Err(complaint) = walk.parameters(&format!("{} {default};", row.name)) {
            wrong.push(format!("{} {default}: {}", row.name, complaint.message));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn inert_rows_say_why() {
    for row in modules().iter().flat_map(|module| module.directives) {
        if let Support::Inert(why) | Support::Partial(why) | Support::Parts(why) | Support::Refused(why) = row.support {
            assert!(why.len() > 10, "{}: {why}", row.name);
        }
    }
}

#[test]
fn the_configure_arguments_name_what_is_served() {
    let known = modules();
    for (name, _) in super::OPTIONAL {
        assert!(known.iter().any(|module| module.name == *name), "{name}");
    }
    let words = super::configured();
    for word in
        ["http_realip_module", "http_auth_request_module", "http_stub_status_module", "stream", "stream_realip_module"]
    {
        assert!(words.split(' ').any(|given| given == format!("--with-{word}")), "{word}: {words}");
    }
    for word in ["http_perl_module", "http_xslt_module"] {
        assert!(!words.contains(word), "{word}: {words}");
    }
}
