//! The commands of a page, and what they have set for the rest of it.

use super::parser::Parser;
use super::state;
use super::text::{self, Wrong};
use crate::conf::bytes;
use crate::http::codec::uri;
use crate::http::heart::filter::{Include, Pieces};
use crate::http::heart::request::Request;
use crate::http::heart::wire::{Sink, Wire};
use crate::log::Level;

/// The message for errors before a page sets its own.
const MESSAGE: &[u8] = b"[an error occurred while processing the directive]";

/// What an unknown variable is shown as.
const NONE: &[u8] = b"(none)";

/// Parameters a command may have.
const MOST: usize = 16;

/// The commands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Command {
    Include,
    Echo,
    Config,
    Set,
    If,
    Elif,
    Else,
    Endif,
    Block,
    Endblock,
}

impl Command {
    fn named(name: &[u8]) -> Option<Self> {
        Some(match name {
            b"include" => Self::Include,
            b"echo" => Self::Echo,
            b"config" => Self::Config,
            b"set" => Self::Set,
            b"if" => Self::If,
            b"elif" => Self::Elif,
            b"else" => Self::Else,
            b"endif" => Self::Endif,
            b"block" => Self::Block,
            b"endblock" => Self::Endblock,
            _ => return None,
        })
    }

    /// The names of its parameters, and how many of them must be there.
    const fn parameters(self) -> (&'static [&'static str], usize) {
        match self {
            Self::Include => (&["virtual", "file", "wait", "set", "stub"], 0),
            Self::Echo => (&["var", "default", "encoding"], 1),
            Self::Config => (&["errmsg", "timefmt"], 0),
            Self::Set => (&["var", "value"], 2),
            Self::If | Self::Elif => (&["expr"], 1),
            Self::Block => (&["name"], 1),
            Self::Else | Self::Endif | Self::Endblock => (&[], 0),
        }
    }

    /// The branch it may follow at most; nothing for those that may be anywhere.
    const fn follows(self) -> Option<Branch> {
        match self {
            Self::Elif | Self::Else => Some(Branch::If),
            Self::Endif => Some(Branch::Else),
            _ => None,
        }
    }
}

/// The branch of an `if` that a page is in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Branch {
    If,
    Else,
}

/// How values are shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Encoding {
    Plain,
    Url,
    Entity,
}

/// A page on its way.
pub struct Page {
    /// Whether its text is sent.
    sends: bool,
    /// Whether a branch of the `if` it is in has been sent.
    chosen: bool,
    branch: Option<Branch>,
    in_block: bool,
    encoding: Encoding,
    message: Option<Vec<u8>>,
}

impl Default for Page {
    fn default() -> Self {
        Self { sends: true, chosen: false, branch: None, in_block: false, encoding: Encoding::Entity, message: None }
    }
}

/// The values of a command's parameters, in the order of its names.
type Values = [Option<Vec<u8>>; 5];

impl Page {
    /// What is shown in place of a command that fails.
    pub fn error_message(&self) -> &[u8] {
        self.message.as_deref().unwrap_or(MESSAGE)
    }

    /// Sends text, or keeps it in the block the page is in.
    pub fn put(&self, request: &Request, text: Vec<u8>, out: &mut Pieces<'_>) {
        if self.sends && !text.is_empty() {
            out.bytes().extend_from_slice(&text);
        } else if self.in_block {
            request.includes.shared().borrow_mut().extend_block(&text);
        }
    }

    /// Carries out the command that was read; whether the page waits for a response.
    pub fn run(&mut self, request: &mut Request, read: &mut Parser, out: &mut Pieces<'_>) -> Result<bool, Wrong> {
        let name = bytes::text(&read.command).into_owned();
        let wrong = |text: String| {
            request.log(Level::Error, &text);
            Wrong
        };
        let Some(command) = Command::named(&read.command) else {
            return if self.sends { Err(wrong(format!("invalid SSI command: \"{name}\""))) } else { Ok(false) };
        };
        if !self.sends && command != Command::Endblock {
            if self.in_block {
                request.includes.shared().borrow_mut().extend_block(&written(read));
                return Ok(false);
            }
            if command.follows().is_none() {
                return Ok(false);
            }
        }
        if let Some(last) = command.follows()
            && self.branch.is_none_or(|branch| branch > last)
        {
            return Err(wrong(format!("invalid context of SSI command: \"{name}\"")));
        }
        if read.parameters.len() > MOST {
            return Err(wrong(format!("too many SSI command parameters: \"{name}\"")));
        }
        let (names, mandatory) = command.parameters();
        let mut values = Values::default();
        for (key, value) in read.parameters.drain(..) {
            let shown = bytes::text(&key).into_owned();
            let place = names.iter().position(|name| name.as_bytes() == key).and_then(|place| values.get_mut(place));
            let Some(place) = place else {
                return Err(wrong(format!("invalid parameter name: \"{shown}\" in \"{name}\" SSI command")));
            };
            if place.is_some() {
                return Err(wrong(format!("duplicate \"{shown}\" parameter in \"{name}\" SSI command")));
            }
            *place = Some(value);
        }
        for (key, value) in names.iter().zip(&values).take(mandatory) {
            if value.is_none() {
                return Err(wrong(format!("mandatory \"{key}\" parameter is absent in \"{name}\" SSI command")));
            }
        }
        self.carry_out(command, request, values, out)
    }

    fn carry_out(
        &mut self,
        command: Command,
        request: &mut Request,
        values: Values,
        out: &mut Pieces<'_>,
    ) -> Result<bool, Wrong> {
        match command {
            Command::Include => return include(request, values, out),
            Command::Echo => self.echo(request, values, out),
            Command::Config => {
                let [message, times, ..] = values;
                if times.is_some() {
                    request.includes.times = times;
                }
                self.message = message.or_else(|| self.message.take());
            }
            Command::Set => {
                let [name, value, ..] = values.map(Option::unwrap_or_default);
                let value = text::evaluate(request, &value)?;
                request.includes.shared().borrow_mut().set(&name.to_ascii_lowercase(), value);
            }
            Command::If | Command::Elif => {
                if command == Command::If && self.branch.is_some() {
                    request.log(Level::Error, "the \"if\" command inside the \"if\" command");
                    return Err(Wrong);
                }
                if self.chosen {
                    self.sends = false;
                    return Ok(false);
                }
                let [expression, ..] = values.map(Option::unwrap_or_default);
                self.sends = text::holds(request, &expression)?;
                self.chosen = self.sends;
                self.branch = Some(Branch::If);
            }
            Command::Else => {
                self.sends = !self.chosen;
                self.branch = Some(Branch::Else);
            }
            Command::Endif => (self.sends, self.chosen, self.branch) = (true, false, None),
            Command::Block => {
                let [name, ..] = values.map(Option::unwrap_or_default);
                request.includes.shared().borrow_mut().begin_block(&name);
                (self.sends, self.in_block) = (false, true);
            }
            Command::Endblock => (self.sends, self.in_block) = (true, false),
        }
        Ok(false)
    }

    fn echo(&mut self, request: &Request, values: Values, out: &mut Pieces<'_>) {
        let [name, default, encoding, ..] = values;
        let mut value = Vec::new();
        if !state::value(request, &name.unwrap_or_default().to_ascii_lowercase(), &mut value) {
            value = default.unwrap_or_else(|| NONE.to_vec());
        }
        if value.is_empty() {
            return;
        }
        match encoding.as_deref() {
            None => {}
            Some(b"none") => self.encoding = Encoding::Plain,
            Some(b"url") => self.encoding = Encoding::Url,
            Some(b"entity") => self.encoding = Encoding::Entity,
            Some(other) => {
                let shown = bytes::text(other);
                request.log(Level::Error, &format!("unknown encoding \"{shown}\" in the \"echo\" command"));
            }
        }
        let out = out.bytes();
        match self.encoding {
            Encoding::Plain => out.extend_from_slice(&value),
            Encoding::Url => uri::escape(&value, uri::HTML, out),
            Encoding::Entity => uri::escape_html(&value, out),
        }
    }
}

/// A command as a page writes it.
fn written(read: &Parser) -> Vec<u8> {
    let mut text = [super::parser::OPENING, &read.command].concat();
    for (key, value) in &read.parameters {
        for part in [b" ", key.as_slice(), b"=\"", value, b"\""] {
            text.extend_from_slice(part);
        }
    }
    text.extend_from_slice(b" -->");
    text
}

/// `include`: another request's response is put here, or kept in a variable.
fn include(request: &mut Request, values: Values, out: &mut Pieces<'_>) -> Result<bool, Wrong> {
    let [virtual_path, file, wait, set, stub] = values;
    let wrong = |text: String| {
        request.log(Level::Error, &text);
        Wrong
    };
    let shown = |value: &[u8]| bytes::text(value).into_owned();
    let (target, is_file) = match (virtual_path, file) {
        (Some(path), Some(file)) => {
            let (path, file) = (shown(&path), shown(&file));
            return Err(wrong(format!("inclusion may be either virtual=\"{path}\" or file=\"{file}\"")));
        }
        (None, None) => return Err(wrong("no parameter in \"include\" SSI command".to_owned())),
        (Some(path), None) => (path, false),
        (None, Some(file)) => (file, true),
    };
    if set.is_some() && stub.is_some() {
        let text = "\"set\" and \"stub\" cannot be used together in \"include\" SSI command";
        return Err(wrong(text.to_owned()));
    }
    let waits = match wait {
        None => is_file,
        Some(_) if is_file => {
            return Err(wrong(format!("\"wait\" cannot be used with file=\"{}\"", shown(&target))));
        }
        Some(wait) if wait.eq_ignore_ascii_case(b"no") => false,
        Some(wait) if wait.eq_ignore_ascii_case(b"yes") => true,
        Some(wait) => return Err(wrong(format!("invalid value \"{}\" in the \"wait\" parameter", shown(&wait)))),
    };
    let target = text::path(request, &target)?;
    let (uri, args) =
        uri::safe(&target).ok_or_else(|| wrong(format!("unsafe URI \"{}\" was detected", shown(&target))))?;
    let args = args.map(<[u8]>::to_vec);
    let shared = request.includes.shared().clone();
    let stub = match stub {
        None => None,
        Some(name) => match shared.borrow().block(&name) {
            Some(block) => Some(block.to_vec()),
            None => return Err(wrong(format!("\"stub\"=\"{}\" for \"include\" not found", shown(&name)))),
        },
    };
    let waits = waits || set.is_some();
    let keep = set.map(|name| -> Box<dyn FnOnce(Vec<u8>)> {
        let name = name.to_ascii_lowercase();
        if shared.borrow().get(&name).is_none() {
            shared.borrow_mut().set(&name, Vec::new());
        }
        Box::new(move |value| shared.borrow_mut().set(&name, value))
    });
    if request.is_deepest() {
        return Err(wrong(format!("subrequests cycle while processing \"{}\"", shown(&uri))));
    }
    if matches!(request.wire, Wire::Sub(Sink::Memory(_))) {
        return Err(wrong(format!("nested in-memory subrequest \"{}\"", shown(&uri))));
    }
    out.include(Include { uri, args, stub, keep, repeats: false });
    Ok(waits)
}
