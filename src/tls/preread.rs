//! `ssl_preread`: what a ClientHello says before anybody answers it.
//!
//! A pure function over the bytes read so far. As in nginx, a record is looked at when all of it is there, a ClientHello may
//! span records, and the lengths inside an extension decide where it ends.

/// What a ClientHello says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Hello {
    /// `$ssl_preread_server_name`.
    pub server_name: Vec<u8>,
    /// `$ssl_preread_alpn_protocols`: with commas between them.
    pub protocols: Vec<u8>,
    /// The highest version, as on the wire.
    version: [u8; 2],
}

impl Hello {
    /// `$ssl_preread_protocol`.
    pub const fn protocol(&self) -> &'static str {
        match self.version {
            [0, 2] => "SSLv2",
            [3, 0] => "SSLv3",
            [3, 1] => "TLSv1",
            [3, 2] => "TLSv1.1",
            [3, 3] => "TLSv1.2",
            [3, 4] => "TLSv1.3",
            _ => "",
        }
    }
}

/// What the bytes are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Preread {
    /// The beginning of a ClientHello.
    More,
    /// No ClientHello: the variables are not found.
    NotTls,
    /// A ClientHello.
    Hello(Hello),
}

/// Looks at all bytes a client has sent so far.
pub fn read(bytes: &[u8]) -> Preread {
    let mut message = Vec::new();
    let mut rest = bytes;
    while let [kind, major, third, fourth, fifth, after @ ..] = rest {
        if kind & 0x80 != 0 && *third == 1 && matches!(fourth, 0 | 3) {
            return Preread::Hello(Hello { version: [*fourth, *fifth], ..Hello::default() });
        }
        if (*kind, *major) != (0x16, 3) {
            return Preread::NotTls;
        }
        let length = usize::from(*fourth) << 8 | usize::from(*fifth);
        let Some((record, after)) = after.split_at_checked(length) else { break };
        message.extend_from_slice(record);
        match parse(&message) {
            Ok(hello) => return Preread::Hello(hello),
            Err(Stop::NotTls) => return Preread::NotTls,
            Err(Stop::More) => rest = after,
        }
    }
    Preread::More
}

enum Stop {
    More,
    NotTls,
}

/// The bytes of a handshake message, and how many it says are left of it.
struct Message<'a> {
    bytes: &'a [u8],
    left: usize,
}

impl<'a> Message<'a> {
    fn take(&mut self, count: usize) -> Result<&'a [u8], Stop> {
        self.left = self.left.checked_sub(count).ok_or(Stop::NotTls)?;
        let (taken, rest) = self.bytes.split_at_checked(count).ok_or(Stop::More)?;
        self.bytes = rest;
        Ok(taken)
    }

    /// A number of that many bytes.
    fn number(&mut self, count: usize) -> Result<usize, Stop> {
        Ok(self.take(count)?.iter().fold(0, |sum, byte| sum << 8 | usize::from(*byte)))
    }

    /// Skips what a number of that many bytes tells the length of.
    fn skip(&mut self, count: usize) -> Result<(), Stop> {
        let length = self.number(count)?;
        self.take(length).map(|_| ())
    }
}

fn parse(bytes: &[u8]) -> Result<Hello, Stop> {
    let mut message = Message { bytes, left: 4 };
    if message.number(1)? != 1 {
        return Err(Stop::NotTls);
    }
    message.left = message.number(3)?;
    let mut hello = Hello::default();
    hello.version.copy_from_slice(message.take(2)?);
    message.take(32)?;
    message.skip(1)?;
    message.skip(2)?;
    message.skip(1)?;
    if message.left == 0 {
        return Ok(hello);
    }
    message.take(2)?;
    let (mut named, mut listed) = (false, false);
    while message.left > 0 {
        match message.number(2)? {
            0 if !named => {
                message.take(2)?;
                named = true;
                server_name(&mut message, &mut hello)?;
            }
            16 if !listed => {
                message.take(2)?;
                listed = true;
                protocols(&mut message, &mut hello)?;
            }
            43 => {
                message.take(2)?;
                message.skip(1)?;
                hello.version = [3, 4];
            }
            _ => message.skip(2)?,
        }
    }
    Ok(hello)
}

fn server_name(message: &mut Message<'_>, hello: &mut Hello) -> Result<(), Stop> {
    let all = message.number(2)?;
    if message.number(1)? != 0 {
        return Err(Stop::NotTls);
    }
    let length = message.number(2)?;
    let rest = all.checked_sub(3 + length).ok_or(Stop::NotTls)?;
    hello.server_name = message.take(length)?.to_vec();
    message.take(rest).map(|_| ())
}

fn protocols(message: &mut Message<'_>, hello: &mut Hello) -> Result<(), Stop> {
    let mut rest = message.number(2)?;
    loop {
        let length = message.number(1)?;
        if length == 0 {
            return Err(Stop::NotTls);
        }
        rest = rest.checked_sub(1 + length).ok_or(Stop::NotTls)?;
        hello.protocols.extend_from_slice(message.take(length)?);
        if rest == 0 {
            return Ok(());
        }
        hello.protocols.push(b',');
    }
}

#[cfg(test)]
mod tests;
