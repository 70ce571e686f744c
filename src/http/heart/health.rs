//! `health_check` of a location: what its servers are asked, and which answers are good (`match`).

use crate::http::heart::module::Text;
use crate::http::heart::request::Request;
use crate::http::heart::upstream::Pool;
use crate::script::regex::{Expression, MatchError};
use crate::upstream::health::Check;
use crate::upstream::peer::Peer;
use std::any::Any;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

/// Bytes of a response's body that are examined.
pub const BODY: usize = 256 * 1024;

/// A location's check of its servers.
pub struct HealthCheck {
    /// When it is made, and what its results come to.
    pub check: Arc<Check>,
    /// Whose servers are asked.
    pub pool: Arc<Pool>,
    /// What is asked.
    pub question: Question,
    /// How long a connection serves checks; nothing where each has one of its own.
    pub keepalive: Option<Duration>,
}

/// What a server is asked.
pub enum Question {
    /// `uri=` and `match=`.
    Get {
        /// Path and arguments.
        uri: Box<[u8]>,
        /// What a good answer is; nothing for any status of 200 to 399.
        tests: Option<Tests>,
    },
    /// `type=grpc`: the gRPC Health Checking Protocol.
    Grpc {
        /// The service; empty for the server as a whole.
        service: String,
        /// `grpc_status=`: a status other than 0 that is good too.
        status: Option<u32>,
    },
}

impl HealthCheck {
    /// What log lines add.
    pub fn context(&self, peer: &Peer) -> String {
        let name = match &self.question {
            Question::Get { tests: Some(tests), .. } => &*tests.name,
            Question::Get { .. } | Question::Grpc { .. } => "",
        };
        let port = self.check.port.map(|port| format!(", port {port}")).unwrap_or_default();
        let (peer, group) = (&peer.name, &self.pool.group.name);
        format!(", health check \"{name}\" of peer {peer} in upstream \"{group}\"{port}")
    }
}

/// What a check of a server came to.
pub struct Asked {
    /// Whether it passed; nothing where this side could not ask.
    pub passed: Option<bool>,
    /// What it was at, in the words of log lines.
    pub action: &'static str,
}

impl Asked {
    /// This side could not ask.
    pub const fn unable(action: &'static str) -> Self {
        Self { passed: None, action }
    }

    /// The verdict of tests.
    pub fn judged(outcome: Result<&'static str, &'static str>) -> Self {
        let (Ok(action) | Err(action)) = outcome;
        Self { passed: Some(outcome.is_ok()), action }
    }
}

/// The future of a check.
pub type Asking<'r> = Pin<Box<dyn Future<Output = Asked> + 'r>>;

/// A connection that goes from one check to the next.
pub type Kept = Option<Box<dyn Any>>;

/// A gateway whose servers can be checked.
pub trait Checkable {
    /// The group that is known beforehand.
    fn pool(&self) -> Option<&Arc<Pool>>;

    /// Asks a server; `request` is the server's own.
    fn check<'r>(
        &'r self,
        request: &'r mut Request,
        health: &'r HealthCheck,
        peer: &'r Peer,
        kept: &'r mut Kept,
    ) -> Asking<'r>;
}

/// A `match` block.
pub struct Tests {
    /// Its name.
    pub name: String,
    /// All that must hold.
    pub list: Vec<Test>,
}

/// A row of `match`.
pub enum Test {
    /// The status is in one of the ranges, or in none of them.
    Status(Vec<(u16, u16)>, bool),
    /// A header.
    Header(Box<[u8]>, HeaderTest),
    /// The body matches, or does not.
    Body(Expression, bool),
    /// The variables are neither empty nor `0`.
    Require(Vec<Text>),
}

/// What must be true of a header.
pub enum HeaderTest {
    /// It is there.
    Present,
    /// It is not.
    Absent,
    /// It is there with this value, or only with others.
    Equals(Box<[u8]>, bool),
    /// It is there with a value that matches, or only with others.
    Matches(Expression, bool),
}

const STATUS: &str = "checking status code";
const HEADER: &str = "checking header";
const VARIABLES: &str = "checking variables";
/// What a test of a body is called.
pub const CHECKING_BODY: &str = "checking body";

/// Judges the status where there is no `match`.
///
/// # Errors
/// What is wrong.
pub const fn usual(status: u16) -> Result<&'static str, &'static str> {
    if matches!(status, 200..=399) { Ok(STATUS) } else { Err(STATUS) }
}

impl Tests {
    /// Whether the body is looked at.
    pub fn has_body(&self) -> bool {
        self.list.iter().any(|test| matches!(test, Test::Body(..)))
    }

    /// Judges a response's head.
    ///
    /// # Errors
    /// The test that failed; an expression that could not be run is logged.
    pub fn judge_head<'a>(
        &self,
        request: &Request,
        status: u16,
        fields: impl Fn() -> Box<dyn Iterator<Item = (&'a [u8], &'a [u8])> + 'a>,
    ) -> Result<&'static str, &'static str> {
        let mut last = STATUS;
        for test in &self.list {
            match test {
                Test::Status(ranges, not) => {
                    let is_in = ranges.iter().any(|(first, end)| (*first..=*end).contains(&status));
                    hold(is_in != *not, STATUS)?;
                }
                Test::Header(name, test) => {
                    last = HEADER;
                    let mut values = fields().filter(|(own, _)| own.eq_ignore_ascii_case(name)).map(|(_, value)| value);
                    let holds = match test {
                        HeaderTest::Present => values.next().is_some(),
                        HeaderTest::Absent => values.next().is_none(),
                        HeaderTest::Equals(wanted, not) => one(values, *not, |value| value == &**wanted),
                        HeaderTest::Matches(wanted, not) => {
                            one(values, *not, |value| run(request, wanted.matches(value)))
                        }
                    };
                    hold(holds, HEADER)?;
                }
                Test::Body(..) | Test::Require(_) => {}
            }
        }
        Ok(last)
    }

    /// Judges a response's body, and the variables.
    ///
    /// # Errors
    /// The test that failed.
    pub fn judge_rest(
        &self,
        request: &Request,
        body: &[u8],
        mut last: &'static str,
    ) -> Result<&'static str, &'static str> {
        for test in &self.list {
            match test {
                Test::Body(expression, not) => {
                    last = CHECKING_BODY;
                    hold(run(request, expression.matches(body)) != *not, CHECKING_BODY)?;
                }
                Test::Require(variables) => {
                    let holds = |text: &Text| !matches!(&*text.text(request), b"" | b"0");
                    hold(variables.iter().all(holds), VARIABLES)?;
                }
                Test::Status(..) | Test::Header(..) => {}
            }
        }
        Ok(last)
    }
}

const fn hold(holds: bool, action: &'static str) -> Result<(), &'static str> {
    if holds { Ok(()) } else { Err(action) }
}

/// Whether there is a value that is wanted; with `not`, whether there are values and none of them is.
fn one<'a>(values: impl Iterator<Item = &'a [u8]>, not: bool, mut is_wanted: impl FnMut(&'a [u8]) -> bool) -> bool {
    let (mut count, mut found) = (0, false);
    for value in values {
        count += 1;
        found |= is_wanted(value);
    }
    count > 0 && found != not
}

/// Whether an expression matches; one that gave up does not, and is logged.
fn run(request: &Request, outcome: Result<bool, MatchError>) -> bool {
    outcome.unwrap_or_else(|error| {
        request.log(crate::log::Level::Alert, &error.to_string());
        false
    })
}
