//! Finds the commands in a page, piece by piece: `<!--#name key="value" … -->`.

/// How a command begins.
pub const OPENING: &[u8] = b"<!--#";

/// The length of a name at most.
const NAME: usize = 32;

/// What comes next in a page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// Nothing: the piece is at its end.
    More,
    /// A command, which [`Parser::command`] and [`Parser::parameters`] tell.
    Command,
    /// A command that is not one; why is in [`Parser::complaints`].
    Malformed,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Outside of commands; so many bytes of [`OPENING`] have been seen.
    Text(usize),
    BeforeName,
    Name,
    BeforeKey,
    Key,
    BeforeEqual,
    BeforeValue,
    /// In a value that this quote ends.
    Value(u8),
    /// Behind a backslash in such a value.
    Escaped(u8),
    AfterValue,
    /// Behind the first `-` of the end.
    End0,
    End1,
    /// In a malformed command.
    Bad,
    BadEnd0,
    BadEnd1,
}

/// A page as far as it has been read.
pub struct Parser {
    state: State,
    /// The length of a value at most.
    value_length: usize,
    /// The name of the last command.
    pub command: Vec<u8>,
    /// Its keys and values, as written.
    pub parameters: Vec<(Vec<u8>, Vec<u8>)>,
    /// What is wrong with commands, for the log.
    pub complaints: Vec<String>,
}

impl Parser {
    /// At the begin of a page.
    pub const fn new(value_length: usize) -> Self {
        Self {
            state: State::Text(0),
            value_length,
            command: Vec::new(),
            parameters: Vec::new(),
            complaints: Vec::new(),
        }
    }

    /// Reads from a piece of the page up to the end of a command or of the piece; appends what is no command to `text`. How
    /// much was read, and what comes next.
    pub fn run(&mut self, piece: &[u8], text: &mut Vec<u8>) -> (usize, Event) {
        let mut at = 0;
        while let Some(byte) = piece.get(at).copied() {
            if self.state == State::Text(0) {
                let rest = piece.get(at..).unwrap_or_default();
                let plain = memchr::memchr(b'<', rest).unwrap_or(rest.len());
                text.extend_from_slice(rest.get(..plain).unwrap_or_default());
                at += plain;
                if at < piece.len() {
                    at += 1;
                    self.state = State::Text(1);
                }
                continue;
            }
            at += 1;
            match self.step(byte, text) {
                Event::More => {}
                event => return (at, event),
            }
        }
        (at, Event::More)
    }

    /// What of an opening the page has ended in.
    pub fn held(&self) -> &'static [u8] {
        match self.state {
            State::Text(seen) => OPENING.get(..seen).unwrap_or_default(),
            _ => b"",
        }
    }

    fn step(&mut self, byte: u8, text: &mut Vec<u8>) -> Event {
        match self.state {
            State::Text(seen) => self.open(seen, byte, text),
            State::End1 if byte == b'>' => {
                self.state = State::Text(0);
                return Event::Command;
            }
            State::BadEnd1 if byte == b'>' => {
                self.state = State::Text(0);
                return Event::Malformed;
            }
            State::Bad | State::BadEnd0 | State::BadEnd1 => {
                self.state = match (self.state, byte) {
                    (State::Bad, b'-') => State::BadEnd0,
                    (State::BadEnd0, b'-') => State::BadEnd1,
                    _ => State::Bad,
                };
            }
            State::BeforeName | State::Name | State::BeforeKey | State::Key => self.name(byte),
            State::BeforeEqual | State::BeforeValue | State::AfterValue => self.between(byte),
            State::Value(quote) => self.value(quote, byte),
            State::Escaped(quote) => {
                self.state = State::Value(quote);
                self.push_value(byte);
            }
            State::End0 | State::End1 => match (self.state, byte) {
                (State::End0, b'-') => self.state = State::End1,
                _ => self.unexpected(byte, None, State::Bad),
            },
        }
        Event::More
    }

    fn open(&mut self, seen: usize, byte: u8, text: &mut Vec<u8>) {
        if OPENING.get(seen) == Some(&byte) {
            self.state = State::Text(seen + 1);
            if seen + 1 == OPENING.len() {
                self.state = State::BeforeName;
            }
            return;
        }
        text.extend_from_slice(OPENING.get(..seen).unwrap_or_default());
        if byte == b'<' {
            self.state = State::Text(1);
        } else {
            text.push(byte);
            self.state = State::Text(0);
        }
    }

    /// In the name of the command or of a parameter, or before one.
    fn name(&mut self, byte: u8) {
        let blank = is_blank(byte);
        match self.state {
            State::BeforeName if blank => {}
            State::BeforeName => {
                self.command.clear();
                self.command.push(byte);
                self.parameters.clear();
                self.state = State::Name;
            }
            State::Name if blank => self.state = State::BeforeKey,
            State::Name | State::BeforeKey if byte == b'-' => self.state = State::End0,
            State::Name if self.command.len() == NAME => {
                let shown = shown(&self.command);
                self.complain(format!("the \"{shown}{}...\" SSI command is too long", char::from(byte)), State::Bad);
            }
            State::Name => self.command.push(byte),
            State::BeforeKey if blank => {}
            State::BeforeKey => {
                self.parameters.push((vec![byte], Vec::new()));
                self.state = State::Key;
            }
            _ if blank => self.state = State::BeforeEqual,
            _ if byte == b'=' => self.state = State::BeforeValue,
            _ if byte == b'-' => self.unexpected(byte, Some("after"), State::BadEnd0),
            _ => match self.parameters.last_mut() {
                Some((key, _)) if key.len() < NAME => key.push(byte),
                _ => {
                    let (key, command) = (shown(self.key()), shown(&self.command));
                    let byte = char::from(byte);
                    let text = format!("too long \"{key}{byte}...\" parameter in \"{command}\" SSI command");
                    self.complain(text, State::Bad);
                }
            },
        }
    }

    /// Before the equals sign, before a value, or behind one.
    fn between(&mut self, byte: u8) {
        let bad = if byte == b'-' { State::BadEnd0 } else { State::Bad };
        match (self.state, byte) {
            (State::AfterValue, byte) if is_blank(byte) => self.state = State::BeforeKey,
            (_, byte) if is_blank(byte) => {}
            (State::BeforeEqual, b'=') => self.state = State::BeforeValue,
            (State::BeforeEqual, _) => self.unexpected(byte, Some("after"), bad),
            (State::BeforeValue, b'"' | b'\'') => self.state = State::Value(byte),
            (State::BeforeValue, _) => self.unexpected(byte, Some("before value of"), bad),
            (_, b'-') => self.state = State::End0,
            _ => {
                let value = shown(self.parameters.last().map(|(_, value)| value.as_slice()).unwrap_or_default());
                self.unexpected(byte, Some(&format!("after \"{value}\" value of")), State::Bad);
            }
        }
    }

    fn value(&mut self, quote: u8, byte: u8) {
        if byte == quote {
            self.state = State::AfterValue;
            return;
        }
        if byte == b'\\' {
            self.state = State::Escaped(quote);
        }
        self.push_value(byte);
    }

    fn push_value(&mut self, byte: u8) {
        let most = self.value_length;
        match self.parameters.last_mut() {
            Some((_, value)) if value.len() < most => value.push(byte),
            last => {
                let (key, value) = last.map(|(key, value)| (shown(key), shown(value))).unwrap_or_default();
                let (command, byte) = (shown(&self.command), char::from(byte));
                let text =
                    format!("too long \"{value}{byte}...\" value of \"{key}\" parameter in \"{command}\" SSI command");
                self.complain(text, State::Bad);
            }
        }
    }

    fn key(&self) -> &[u8] {
        self.parameters.last().map(|(key, _)| key.as_slice()).unwrap_or_default()
    }

    /// Complains of a byte, and where it is beside the last parameter.
    fn unexpected(&mut self, byte: u8, place: Option<&str>, next: State) {
        let (command, byte) = (shown(&self.command), char::from(byte));
        let text = match place {
            None => format!("unexpected \"{byte}\" symbol in \"{command}\" SSI command"),
            Some(place) => {
                let key = shown(self.key());
                format!("unexpected \"{byte}\" symbol {place} \"{key}\" parameter in \"{command}\" SSI command")
            }
        };
        self.complain(text, next);
    }

    fn complain(&mut self, text: String, next: State) {
        self.complaints.push(text);
        self.state = next;
    }
}

const fn is_blank(byte: u8) -> bool {
    matches!(byte, b' ' | b'\r' | b'\n' | b'\t')
}

fn shown(text: &[u8]) -> String {
    crate::conf::bytes::text(text).into_owned()
}

#[cfg(test)]
mod tests;
