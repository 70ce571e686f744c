//! `ngx_stream_return_module`: a fixed answer.

use crate::conf::diagnostic::Diagnostic;
use crate::conf::directive::{Arity, Directive};
use crate::conf::module::{Conf, Scope};
use crate::conf::slot::Text as TextSlot;
use crate::conf::tree::Word;
use crate::conf::walk::Levels;
use crate::log::Level;
use crate::session::contexts::STREAM_SERVER;
use crate::stream::datagrams;
use crate::stream::datagrams::Client;
use crate::stream::module::{Compile, Module, ServerBuilder};
use crate::stream::session::{Session, Text, Wire};
use crate::stream::site::{Content, Ending, Work};
use std::io;

/// The module.
pub fn modules() -> Vec<Module> {
    vec![Module::new(MODULE).install(install)]
}

const MODULE: crate::conf::module::Module = crate::conf::module::Module {
    name: "ngx_stream_return_module",
    directives: &[Directive::new("return", STREAM_SERVER, Arity::Exactly(1), &TextSlot(|c: &mut Fixed| &mut c.text))
        .since("1.11.2")
        .doc("Sends a text, which may have variables in it, and closes the connection.")],
    scopes: &[Scope::of::<Fixed>(STREAM_SERVER)],
};

#[derive(Default)]
struct Fixed {
    text: Option<Word>,
}

impl Conf for Fixed {
    fn inherit(&mut self, _: &Self) {}
}

struct Answer {
    text: Text,
}

fn install(levels: &Levels<'_>, place: &mut ServerBuilder, cx: &mut Compile<'_, '_>) -> Result<(), Diagnostic> {
    if let Some(word) = levels.level.own::<Fixed>().and_then(|conf| conf.text.as_ref()) {
        place.content(Answer { text: cx.text(word)? });
    }
    Ok(())
}

impl Content for Answer {
    fn explain(&self, session: &Session) -> Ending {
        Ending::Answers(String::from_utf8_lossy(&self.text.text(session)).into_owned())
    }

    fn run<'s>(&'s self, session: &'s mut Session) -> Work<'s> {
        Box::pin(async move {
            let text = self.text.text(session);
            let stream = match session.wire.clone() {
                Wire::Stream(stream) => stream,
                Wire::Datagrams(client) => return datagram(session, &client, &text),
            };
            let mut rest = text.as_slice();
            while !rest.is_empty() {
                match stream.try_write(rest) {
                    Ok(count) => {
                        session.sent += count as u64;
                        rest = rest.get(count..).unwrap_or_default();
                    }
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                        stream.writable().await;
                    }
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                    Err(_) => return 500,
                }
            }
            200
        })
    }

    fn datagrams(&self) -> u64 {
        1
    }
}

/// Answers a datagram with one.
fn datagram(session: &mut Session, client: &Client, text: &[u8]) -> u16 {
    if text.is_empty() {
        return 200;
    }
    match client.send(text) {
        Ok(()) => {
            session.sent += text.len() as u64;
            200
        }
        Err(error) => {
            let text = format!("sendmsg() failed ({}) while returning text", crate::conf::walk::errno(&error));
            session.log(datagrams::gravity(&error, Level::Info), &text, "");
            500
        }
    }
}
