//! Phases, handlers, and the runner that takes a request through them.
//!
//! nginx's phases under nginx's names; its two `POST_…` phases are the closing rules of the phases before them. A
//! handler that does not wait is a plain call; one that waits boxes one future.

use crate::conf::bytes;
use crate::http::heart::body::Body;
use crate::http::heart::handler::Flow;
use crate::http::heart::handler::Handler;
use crate::http::heart::handler::Phase;
use crate::http::heart::handler::Target;
use crate::http::heart::location::Found;
use crate::http::heart::request::Request;
use crate::http::heart::site::Location;
use crate::http::heart::wire::{Sink, Wire};
use crate::http::modules::requests::{EarlyBody, PostAction};
use crate::http::route::conditional;
use crate::http::route::finish;
use crate::http::route::hold::Released;
use crate::http::route::range;
use crate::log::Level;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

/// Runs the handlers: for real, or as a dry run for `explain`.
pub trait Runner {
    /// Takes one step to its end.
    fn settle(
        &mut self,
        step: &dyn Handler,
        request: &mut Request,
        phase: Phase,
    ) -> impl Future<Output = Flow<'static>>;

    /// Waits before a refusal; false when the client leaves meanwhile.
    fn pause(&mut self, _request: &mut Request, _time: Duration) -> impl Future<Output = bool> {
        std::future::ready(true)
    }

    /// Hears that a location was chosen.
    fn located(&mut self, _request: &Request) {}

    /// Hears that the answer is to be this status.
    fn finishes(&mut self, _request: &Request, _status: u16) {}
}

/// Runs the handlers for real.
struct Execute;

impl Runner for Execute {
    async fn settle(&mut self, step: &dyn Handler, request: &mut Request, _: Phase) -> Flow<'static> {
        step.run(request).settled().await
    }

    async fn pause(&mut self, request: &mut Request, time: Duration) -> bool {
        request.log(Level::Info, "delaying unauthorized request");
        request.stays(time).await
    }
}

/// What came of the phases.
enum Outcome {
    Done,
    Finish(u16),
    Restart(Target),
}

/// Takes the request through all phases until its response is sent (or cannot be).
pub async fn run(request: &mut Request) {
    match read_early(request).await {
        None => pass(&mut Execute, request).await,
        Some(status) => follow(&mut Execute, request, Outcome::Finish(status)).await,
    }
    answer(request).await;
    if !request.is_subrequest() {
        post_action(request).await;
    }
}

/// Reads the body before a location is chosen, where `client_body_early_read` asks for it; the status where that fails.
async fn read_early(request: &mut Request) -> Option<u16> {
    let server = request.server.clone();
    let EarlyBody(texts) = server.base.attached()?;
    if request.is_subrequest() || !texts.iter().any(|text| !matches!(&*text.text(request), b"" | b"0")) {
        return None;
    }
    if let Some(status) = request.check_body_size() {
        return Some(status);
    }
    Box::pin(request.save_body(request.location.body_in_file)).await.err()
}

/// Takes a request that has its location already through the content phase, until its response is sent.
pub async fn run_content(request: &mut Request) {
    let location = request.location.clone();
    let outcome = content(&mut Execute, &location, request).await;
    follow(&mut Execute, request, outcome).await;
    answer(request).await;
}

/// Sends the response, or the one that takes its place when all of it is known.
async fn answer(request: &mut Request) {
    request.respond().await;
    while let Released::Refused(status) = request.release().await {
        Box::pin(follow(&mut Execute, request, Outcome::Finish(status))).await;
        request.respond().await;
    }
}

/// Takes a request that has ended to the place its location names, which answers nobody.
///
/// Differs from nginx: a place that inherits `post_action` is not taken to itself again and again. [test: an_ended_request_goes_to_its_post_action]
async fn post_action(request: &mut Request) {
    let location = request.location.clone();
    let Some(PostAction(target)) = location.attached::<PostAction>() else { return };
    if request.response.status == 444 {
        return;
    }
    let wire = std::mem::replace(&mut request.wire, Wire::Sub(Sink::Nowhere));
    let sent = std::mem::take(&mut request.response);
    let abandoned = std::mem::take(&mut request.abandoned);
    let next =
        if target.starts_with(b"/") { finish::jump(request, target, None) } else { finish::named(request, target) };
    let outcome = match next {
        finish::Next::Send => Outcome::Done,
        finish::Next::Restart(target) => Outcome::Restart(target),
    };
    Box::pin(follow(&mut Execute, request, outcome)).await;
    let made = std::mem::replace(&mut request.response, sent);
    request.response.status = made.status;
    if made.error != 0 {
        request.response.error = made.error;
    }
    request.wire = wire;
    request.abandoned |= abandoned;
}

/// Answers a request whose head was refused with this status, through its error page where there is one.
pub async fn refuse(request: &mut Request, status: u16) {
    if !request.body.is_pending() {
        // Where its body begins is not known.
        request.body = Body::default();
    }
    request.body.refuse();
    follow(&mut Execute, request, Outcome::Finish(status)).await;
    answer(request).await;
}

/// Takes the request through all phases until its response is known.
pub async fn pass(runner: &mut impl Runner, request: &mut Request) {
    let from = if request.internal { Start::ServerRewrite } else { Start::PostRead };
    let outcome = phases(runner, request, from).await;
    follow(runner, request, outcome).await;
}

/// Takes the request through the phases again for as long as they send it elsewhere.
async fn follow(runner: &mut impl Runner, request: &mut Request, mut outcome: Outcome) {
    loop {
        let next = match outcome {
            Outcome::Finish(status) => {
                runner.finishes(request, status);
                if stub(request) { finish::Next::Send } else { finish::special(request, status) }
            }
            other => other.into(),
        };
        let from = match next {
            finish::Next::Send => match unsatisfied(request) {
                Some(status) => {
                    outcome = Outcome::Finish(status);
                    continue;
                }
                None => break,
            },
            finish::Next::Restart(Target::Uri) => {
                request.valid_location = true;
                request.uri_behind_alias = false;
                request.location = request.server.base.clone();
                Start::ServerRewrite
            }
            finish::Next::Restart(Target::Search) => {
                request.location = request.server.base.clone();
                Start::Search
            }
            finish::Next::Restart(Target::Named(location)) => {
                request.uri_changed = false;
                request.lost_upstream = false;
                request.choose(location);
                runner.located(request);
                Start::Rewrite
            }
        };
        outcome = phases(runner, request, from).await;
    }
}

/// Puts the stub of a request of the server's own in place of its error.
fn stub(request: &mut Request) -> bool {
    if request.response.head_made {
        return false;
    }
    let Some((kind, bytes)) = request.take_stub() else { return false };
    request.response.set(200, &kind, bytes.into());
    true
}

/// 412 or 416 when the response is not what the request's conditions or ranges ask for and the location has a page for that.
fn unsatisfied(request: &mut Request) -> Option<u16> {
    let pages = &request.location.settings.error_pages;
    let has = |status: u16| pages.iter().any(|page| page.status == status);
    let (precondition, range) = (has(412), has(416));
    if request.error_page || request.response.final_status() != 200 || request.response.head_made || request.abandoned {
        return None;
    }
    if precondition && conditional::fails(request) {
        request.response.clear_headers();
        return Some(412);
    }
    if range && range::is_unsatisfiable(request) {
        range::say_length(request);
        request.response.clear_last_modified();
        return Some(416);
    }
    None
}

impl From<Outcome> for finish::Next {
    fn from(outcome: Outcome) -> Self {
        match outcome {
            Outcome::Done | Outcome::Finish(_) => Self::Send,
            Outcome::Restart(target) => Self::Restart(target),
        }
    }
}

/// Where the way through the phases begins.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Start {
    PostRead,
    ServerRewrite,
    Search,
    Rewrite,
}

async fn phases(runner: &mut impl Runner, request: &mut Request, from: Start) -> Outcome {
    if from == Start::PostRead {
        let base = request.location.clone();
        if let Some(end) = plain(runner, &base, request, Phase::PostRead).await {
            return end;
        }
    }
    if from <= Start::ServerRewrite {
        let base = request.location.clone();
        if let Some(end) = plain(runner, &base, request, Phase::ServerRewrite).await {
            return end;
        }
    }
    if from <= Start::Search {
        let refused = find(request);
        runner.located(request);
        if let Some(status) = refused {
            return Outcome::Finish(status);
        }
    }
    let location = request.location.clone();
    if let Some(end) = plain(runner, &location, request, Phase::Rewrite).await {
        return end;
    }
    if request.uri_changed {
        return searched_again(request);
    }
    // An `if` may have taken the location's place.
    let location = request.location.clone();
    if let Some(end) = plain(runner, &location, request, Phase::Preaccess).await {
        return end;
    }
    if let Some(end) = access(runner, &location, request).await {
        let delayed = matches!(end, Outcome::Finish(401)) && location.auth_delay > Duration::ZERO;
        if delayed && !runner.pause(request, location.auth_delay).await {
            return Outcome::Finish(499);
        }
        return end;
    }
    if let Some(end) = plain(runner, &location, request, Phase::Precontent).await {
        return end;
    }
    content(runner, &location, request).await
}

/// POST_REWRITE: the location is chosen again, so many times.
fn searched_again(request: &mut Request) -> Outcome {
    request.uri_changes = request.uri_changes.saturating_sub(1);
    if request.uri_changes > 0 {
        return Outcome::Restart(Target::Search);
    }
    let shown = bytes::text(&request.uri).into_owned();
    request.log(Level::Error, &format!("rewrite or internal redirection cycle while processing \"{shown}\""));
    Outcome::Finish(500)
}

/// FIND_CONFIG: chooses the location and applies what its settings say of any request.
fn find(request: &mut Request) -> Option<u16> {
    request.uri_changed = false;
    request.lost_upstream = false;
    let server = request.server.clone();
    let found = {
        let mut captures = request.captures.borrow_mut();
        server.locations.find(&request.uri, &mut captures)
    };
    match found {
        Err(error) => {
            request.log(Level::Alert, &error.to_string());
            return Some(500);
        }
        Ok(Found::Location(location)) => {
            request.keep_groups(&location.groups);
            request.choose(location);
        }
        Ok(Found::AddSlash(location)) => {
            request.location = location;
            request.redirect_to_slash();
            return Some(301);
        }
        Ok(Found::None) => request.location = server.base.clone(),
    }
    if request.location.internal && !request.internal {
        return Some(404);
    }
    request.keepalive = request.keepalive && request.may_keep();
    request.check_body_size()
}

fn steps(location: &Location, phase: Phase) -> &[Arc<dyn Handler>] {
    location.steps.get(phase as usize).map(|steps| &**steps).unwrap_or_default()
}

async fn plain(runner: &mut impl Runner, location: &Location, request: &mut Request, phase: Phase) -> Option<Outcome> {
    for step in steps(location, phase) {
        match runner.settle(&**step, request, phase).await {
            Flow::Next | Flow::Wait(_) => {}
            Flow::Pass => break,
            Flow::Done => return Some(Outcome::Done),
            Flow::Finish(status) => return Some(Outcome::Finish(status)),
            Flow::Restart(target) => return Some(Outcome::Restart(target)),
        }
    }
    None
}

/// `satisfy all`: every step must agree; `satisfy any`: one that grants is enough, a refusal is kept till the end.
async fn access(runner: &mut impl Runner, location: &Location, request: &mut Request) -> Option<Outcome> {
    if request.is_subrequest() {
        return None;
    }
    let any = location.settings.satisfy_any;
    let mut refused = None;
    for step in steps(location, Phase::Access) {
        match runner.settle(&**step, request, Phase::Access).await {
            Flow::Next | Flow::Wait(_) => {}
            Flow::Pass if any => {
                request.response.forget_challenge();
                return None;
            }
            Flow::Pass => {}
            Flow::Finish(status @ (401 | 403)) if any => {
                if refused != Some(401) {
                    refused = Some(status);
                }
            }
            Flow::Done => return Some(Outcome::Done),
            Flow::Finish(status) => return Some(Outcome::Finish(status)),
            Flow::Restart(target) => return Some(Outcome::Restart(target)),
        }
    }
    let status = refused?;
    if status == 403 {
        request.log(Level::Error, "access forbidden by rule");
    }
    Some(Outcome::Finish(status))
}

async fn content(runner: &mut impl Runner, location: &Location, request: &mut Request) -> Outcome {
    if let Some(handler) = &location.content {
        match runner.settle(&**handler, request, Phase::Content).await {
            Flow::Next => {}
            Flow::Pass | Flow::Done | Flow::Wait(_) => return Outcome::Done,
            Flow::Finish(status) => return Outcome::Finish(status),
            Flow::Restart(target) => return Outcome::Restart(target),
        }
    }
    if request.lost_upstream {
        request.log(Level::Alert, "no upstream configuration");
        return Outcome::Finish(500);
    }
    for step in steps(location, Phase::Content) {
        match runner.settle(&**step, request, Phase::Content).await {
            Flow::Next | Flow::Wait(_) => {}
            Flow::Pass | Flow::Done => return Outcome::Done,
            Flow::Finish(status) => return Outcome::Finish(status),
            Flow::Restart(target) => return Outcome::Restart(target),
        }
    }
    if request.uri.ends_with(b"/") {
        let path = request.file_path();
        request.log(Level::Error, &format!("directory index of \"{}\" is forbidden", bytes::text(&path)));
        return Outcome::Finish(403);
    }
    request.log(Level::Error, "no handler found");
    Outcome::Finish(404)
}

/// Runs the log phase.
pub fn log(request: &mut Request) {
    let location = request.location.clone();
    for step in steps(&location, Phase::Log) {
        let _ = step.run(request);
    }
}
