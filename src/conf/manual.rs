//! The registry as manual pages: roff for options and for every directive of a product.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use super::directive::{Arity, Contexts, Directive, Opens, Support};
use super::registry::Registry;

/// A page of roff, built from the top.
pub struct Page {
    text: String,
}

impl Page {
    /// An empty page.
    pub fn new(name: &str, section: u8, what: &str) -> Self {
        let title = name.to_uppercase();
        let mut page = Self { text: format!(".TH {title} {section}\n") };
        page.section("NAME");
        page.text.push_str(&format!("{name} \\- {what}\n", name = escaped(name), what = escaped(what)));
        page
    }

    /// A heading.
    pub fn section(&mut self, name: &str) {
        self.text.push_str(&format!(".SH {}\n", quoted(name)));
    }

    /// A paragraph.
    pub fn paragraph(&mut self, text: &str) {
        self.text.push_str(&format!(".PP\n{}\n", escaped(text)));
    }

    /// Lines shown as they are.
    pub fn literal(&mut self, text: &str) {
        self.text.push_str(".PP\n.nf\n");
        text.lines().for_each(|line| self.text.push_str(&format!("{}\n", escaped(line))));
        self.text.push_str(".fi\n");
    }

    /// Something bold, and a paragraph about it.
    pub fn item(&mut self, term: &str, text: &str) {
        self.text.push_str(&format!(".TP\n.B {}\n{}\n", quoted(term), escaped(text)));
    }

    /// A section for each module, with its directives; what is in several modules is there each time.
    pub fn registry(&mut self, registry: &Registry, places: &[(Contexts, &str)]) {
        let mut module = "";
        for (_, row, of) in registry.rows() {
            if of != module {
                self.section(of);
                module = of;
            }
            self.directive(row, places);
        }
    }

    fn directive(&mut self, row: &Directive, places: &[(Contexts, &str)]) {
        let of = places.iter().filter(|(place, _)| place.meets(row.contexts));
        let names: Vec<&str> = of.map(|(_, name)| *name).collect();
        self.item(&syntax(row), row.doc);
        let mut facts = vec![format!("Context: {}.", names.join(", "))];
        facts.extend(row.default.map(|text| format!("Default: {text}")));
        if !row.since.is_empty() {
            facts.push(format!("Since {}.", row.since));
        }
        match row.support {
            Support::Full => {}
            Support::Partial(how) => facts.push(format!("Differs: {how}")),
            Support::Inert(why) => facts.push(format!("Has no effect: {why}")),
            Support::Missing => facts.push("Known and checked, but not served yet.".to_owned()),
        }
        for (index, fact) in facts.iter().enumerate() {
            let space = if index == 0 && row.doc.is_empty() { "" } else { ".br\n" };
            self.text.push_str(&format!("{space}{}\n", escaped(fact)));
        }
    }

    /// What `--json` prints.
    pub fn data(&mut self, program: &str) {
        self.paragraph(
            "With --json standard output holds one object. verdict is \"ok\" or \"failed\". A diagnostic's file and line are \
             those its line names without --json; span is the place --explain underlines, with lines and columns from 1, \
             columns in bytes, and its end behind the last byte. What the original names no place for has null there.",
        );
        self.literal(&format!(
            "{{\n  \"program\": \"{program}\", \"file\": \"...\", \"verdict\": \"failed\",\n  \"diagnostics\": [ {{\n    \
             \"severity\": \"emerg\", \"message\": \"...\", \"file\": \"...\", \"line\": 3,\n    \"span\": {{ \"file\": \"...\", \
             \"line\": 3, \"column\": 5, \"end_line\": 3, \"end_column\": 9 }},\n    \"labels\": [ {{ \"message\": \"first defined here\", \
             \"span\": {{ ... }} }} ],\n    \"notes\": [ \"...\" ], \"help\": \"...\"\n  }} ]\n}}"
        ));
        self.paragraph("severity is emerg, crit, alert, error, warn or notice. help may be null.");
    }

    /// The finished page.
    pub fn finish(self) -> String {
        self.text.lines().filter(|line| !line.is_empty()).map(|line| format!("{line}\n")).collect()
    }
}

/// A directive with its arguments, as they may be written.
fn syntax(row: &Directive) -> String {
    let arguments = match row.arity {
        Arity::Flag => " on | off".to_owned(),
        Arity::Exactly(count) => " ARG".repeat(count.into()),
        Arity::Between(from, to) | Arity::Block(from, to, _) | Arity::MaybeBlock(from, to, _) => {
            let more =
                if to.saturating_sub(from) > 3 { " [ARG ...]".to_owned() } else { " [ARG]".repeat((to - from).into()) };
            format!("{}{more}", " ARG".repeat(from.into()))
        }
        Arity::AtLeast(from) | Arity::BlockAtLeast(from, _) => format!("{} [ARG ...]", " ARG".repeat(from.into())),
        Arity::OneOf(_) => format!(" ({})", row.arity.words()),
    };
    let block = match row.arity.opens() {
        Some(Opens::Context(_) | Opens::Rows) => " { ... }",
        None => "",
    };
    format!("{}{arguments}{block}", row.name)
}

/// Text that roff shows as it is.
fn escaped(text: &str) -> String {
    let text = text.replace('\\', "\\e").replace('-', "\\-");
    if text.starts_with(['.', '\'']) { format!("\\&{text}") } else { text }
}

/// A macro's argument.
fn quoted(text: &str) -> String {
    format!("\"{}\"", escaped(text).replace('"', "\\(dq"))
}
