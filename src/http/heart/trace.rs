//! What `explain` says of a request instead of serving it.

use crate::conf::source::Span;
use crate::upstream::group::Choice;

/// A choice of a location.
#[derive(Clone, Debug)]
pub struct Chosen {
    /// The path it was chosen for.
    pub path: String,
    /// The location and its place; nothing where no location fits and the server's own settings hold.
    pub location: Option<(String, Option<Span>)>,
    /// What was looked at: location, place, verdict.
    pub considered: Vec<(String, Option<Span>, &'static str)>,
}

/// A request that is passed on.
#[derive(Clone, Debug)]
pub struct Passed {
    /// `http://` and the name of the group.
    pub group: String,
    /// The head as it is sent.
    pub head: String,
    /// Who is asked.
    pub choice: Choice,
}

/// What becomes of a request.
#[derive(Clone, Debug, Default)]
pub struct Trace {
    /// The listening address.
    pub listener: String,
    /// The server: its first name, its place, and why it was chosen.
    pub server: (String, Option<Span>, String),
    /// The locations that were chosen, the last one answers.
    pub chosen: Vec<Chosen>,
    /// What happened on the way: where, what, and by which rule.
    pub steps: Vec<(&'static str, String, Option<Span>)>,
    /// Where the request goes, if it is passed on.
    pub passed: Option<Passed>,
    /// The file that is served.
    pub file: Option<String>,
    /// The answer's status.
    pub status: u16,
    /// The `if`s whose settings took the place of those before, in order.
    pub entered: Vec<Span>,
    /// The requests the server makes before it goes on: what for, and what becomes of them.
    pub inner: Vec<(String, Self)>,
    /// The head of the answer; of a passed request, what is added to an answer of 200.
    pub answer: Vec<(String, String)>,
}

impl Trace {
    /// Notes that the request is passed on.
    pub fn passes(&mut self, scheme: &str, group: &str, head: Vec<u8>, choice: Choice) {
        let head = String::from_utf8_lossy(&head).into_owned();
        self.passed = Some(Passed { group: format!("{scheme}{group}"), head, choice });
    }

    /// Notes that something happened on the way.
    pub fn notes(&mut self, name: &'static str, text: String) {
        self.steps.push((name, text, None));
    }

    /// Notes what a rewrite rule did.
    pub fn rule(&mut self, span: Option<Span>, text: String) {
        self.steps.push(("rewrite", text, span));
    }
}
