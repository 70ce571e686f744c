//! `genhash`: asks for a page and prints the digest that `digest` of a web check compares with.
//!
//! It is the program where it is called by that name, and the first word of rkeepalived's arguments otherwise.

use super::cli::{code, version};
use crate::conf::disk::Disk;
use crate::tls::ClientConf;
use crate::tls::check::Files;
use crate::tls::kept::Kept;
use crate::tls::upstream::ClientContext;
use md5::{Digest as _, Md5};
use rustls::{ClientConnection, Stream};
use socket2::{Domain, Protocol, Socket, Type};
use std::io::{self, Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream};
use std::time::{Duration, Instant};

/// The name it goes by.
pub const NAME: &str = "genhash";
/// How much is read at once.
const PIECE: usize = 4096;

/// An option: letter, long name, whether it takes a value.
const OPTIONS: &[(char, &str, bool)] = &[
    ('r', "release", false),
    ('h', "help", false),
    ('v', "verbose", false),
    ('S', "use-ssl", false),
    ('I', "use-sni", false),
    ('s', "server", true),
    ('H', "hash", true),
    ('V', "use-virtualhost", true),
    ('p', "port", true),
    ('u', "url", true),
    ('m', "fwmark", true),
    ('P', "protocol", true),
    ('t', "timeout", true),
];

/// What is asked for.
#[derive(Debug)]
struct Wanted {
    server: Option<IpAddr>,
    port: Option<u16>,
    url: Option<String>,
    host: Option<String>,
    secure: bool,
    server_name: bool,
    verbose: bool,
    mark: u32,
    /// The minor version of HTTP, and what is said of the connection.
    protocol: (u8, &'static str),
    timeout: Duration,
}

impl Default for Wanted {
    fn default() -> Self {
        Self {
            server: None,
            port: None,
            url: None,
            host: None,
            secure: false,
            server_name: false,
            verbose: false,
            mark: 0,
            protocol: (0, ""),
            timeout: Duration::from_secs(5),
        }
    }
}

/// Runs it with these arguments.
///
/// Differs from keepalived: a page that cannot be had is said to be, and the exit code is 1; there nothing is said, and the code is 0 where nobody answers. [test: genhash_prints_what_keepaliveds_prints]
pub fn main(program: &str, words: &[String]) -> u8 {
    let wanted = match read(program, words) {
        Ok(wanted) => wanted,
        Err(text) => {
            complain(&text);
            return code::FAILED;
        }
    };
    if wanted.server.is_none() && wanted.port.is_none() && wanted.url.is_none() {
        return code::FAILED;
    }
    let to = SocketAddr::new(wanted.server.unwrap_or(IpAddr::V4(Ipv4Addr::LOCALHOST)), wanted.port.unwrap_or_default());
    let mut out = io::stdout();
    match ask(&wanted, to, &mut out).and_then(|()| out.flush()) {
        Ok(()) => code::OK,
        Err(error) => {
            complain(&format!("{NAME}: no page from {to}: {error}\n"));
            code::FAILED
        }
    }
}

fn complain(text: &str) {
    // With standard error closed there is nobody to tell.
    let _ = io::stderr().write_all(text.as_bytes());
}

/// Reads the arguments as getopt_long(3) does.
///
/// # Errors
/// What is said of them.
fn read(program: &str, words: &[String]) -> Result<Wanted, String> {
    let mut wanted = Wanted::default();
    let mut stray = Vec::new();
    let mut rest = words.iter();
    let misused = |text: String| format!("{program}: {text}\n{}", usage(program));
    while let Some(word) = rest.next() {
        if word == "--" {
            stray.extend(rest.by_ref());
        } else if let Some(long) = word.strip_prefix("--") {
            let (name, value) = long.split_once('=').map_or((long, None), |(name, value)| (name, Some(value)));
            let mut near = OPTIONS.iter().filter(|(_, own, _)| own.starts_with(name));
            let row = near.next().filter(|(_, own, _)| *own == name || near.next().is_none());
            let Some((letter, _, takes)) = row else {
                return Err(misused(format!("unrecognized option '{word}'")));
            };
            let value = match (takes, value) {
                (false, Some(_)) => return Err(misused(format!("option '--{name}' doesn't allow an argument"))),
                (true, None) => rest.next().map(String::as_str),
                (_, value) => value,
            };
            let lacks = || misused(format!("option '{word}' requires an argument"));
            wanted.set(program, *letter, if *takes { value.ok_or_else(lacks)? } else { "" })?;
        } else if let Some(letters) = word.strip_prefix('-').filter(|letters| !letters.is_empty()) {
            for (at, letter) in letters.char_indices() {
                let Some((_, _, takes)) = OPTIONS.iter().find(|(own, ..)| *own == letter) else {
                    return Err(misused(format!("invalid option -- '{letter}'")));
                };
                if !takes {
                    wanted.set(program, letter, "")?;
                    continue;
                }
                let attached = letters.get(at + letter.len_utf8()..).filter(|text| !text.is_empty());
                let value = attached.or_else(|| rest.next().map(String::as_str));
                let lacks = || misused(format!("option requires an argument -- '{letter}'"));
                wanted.set(program, letter, value.ok_or_else(lacks)?)?;
                break;
            }
        } else {
            stray.push(word);
        }
    }
    if stray.is_empty() {
        return Ok(wanted);
    }
    let stray: String = stray.iter().map(|word| format!("{word} ")).collect();
    Err(format!("Unexpected argument(s): {stray}\n"))
}

impl Wanted {
    fn set(&mut self, program: &str, letter: char, value: &str) -> Result<(), String> {
        let number = || value.trim_start_matches([' ', '\t']).parse::<u32>();
        match letter {
            'r' => complain(&format!("{}\n", version())),
            'h' => complain(&usage(program)),
            'v' => self.verbose = true,
            'S' => self.secure = true,
            'I' => self.server_name = true,
            's' => {
                self.server = Some(value.parse().map_err(|_| format!("server should be an IP, not {value}\n"))?);
            }
            'H' if value.eq_ignore_ascii_case("MD5") => {}
            'H' => return Err(format!("unknown hash algorithm: {value}\n")),
            'V' => self.host = Some(value.to_owned()),
            'p' => {
                let port = value.parse().ok().filter(|port| *port > 0);
                self.port = Some(port.ok_or_else(|| format!("invalid port number '{value}'\n"))?);
            }
            'u' => self.url = Some(value.to_owned()),
            'm' => self.mark = number().map_err(|_| format!("invalid fwmark '{value}'\n"))?,
            'P' => {
                self.protocol = match value {
                    "1.0" => (0, ""),
                    "1.0c" | "1.0C" => (0, "Connection: close\r\n"),
                    "1.1" => (1, "Connection: close\r\n"),
                    "1.0k" => (0, "Connection: keep-alive\r\n"),
                    "1.1k" => (1, "Connection: keep-alive\r\n"),
                    _ => return Err(format!("invalid HTTP protocol version '{value}'\n")),
                };
            }
            _ => {
                let seconds = number().map_err(|_| format!("invalid timeout '{value}'\n"))?;
                self.timeout = Duration::from_secs(u64::from(seconds));
            }
        }
        Ok(())
    }

    /// The request for the page of the server at `to`.
    fn request(&self, to: SocketAddr) -> String {
        let host = self.host.clone().unwrap_or_else(|| to.to_string());
        let (url, (minor, connection)) = (self.url.as_deref().unwrap_or("/"), self.protocol);
        format!("GET {url} HTTP/1.{minor}\r\nUser-Agent: KeepAlive GenHash Client\r\n{connection}Host: {host}\r\n\r\n")
    }
}

/// A connection that may be TLS.
trait Wire: Read + Write {}

impl<T: Read + Write> Wire for T {}

/// Asks for the page and prints its digest.
fn ask(wanted: &Wanted, to: SocketAddr, out: &mut dyn Write) -> io::Result<()> {
    let began = Instant::now();
    let mut stream = connect(wanted, to)?;
    let mut tls = if wanted.secure { Some(session(wanted)?) } else { None };
    let mut secure;
    let wire: &mut dyn Wire = match &mut tls {
        None => &mut stream,
        Some(tls) => {
            secure = Stream::new(tls, &mut stream);
            &mut secure
        }
    };
    wire.write_all(wanted.request(to).as_bytes())?;
    let mut page = Page::default();
    let mut buffer = [0; PIECE];
    loop {
        let length = match wire.read(&mut buffer) {
            Ok(0) => break,
            Ok(length) => length,
            // A server that does not tell of the end of TLS has ended the page.
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof && page.length.is_some() => break,
            Err(error) => return Err(error),
        };
        page.take(buffer.get(..length).unwrap_or_default(), wanted.verbose, out)?;
    }
    page.finish(wanted.verbose, out)?;
    if wanted.verbose {
        let (url, took) = (wanted.url.as_deref().unwrap_or("/"), began.elapsed().as_micros());
        writeln!(out, "Global response time for [{url}] ={took}")?;
    }
    Ok(())
}

fn connect(wanted: &Wanted, to: SocketAddr) -> io::Result<TcpStream> {
    let socket = Socket::new(Domain::for_address(to), Type::STREAM, Some(Protocol::TCP))?;
    if wanted.mark != 0 {
        socket.set_mark(wanted.mark)?;
    }
    let timeout = Some(wanted.timeout).filter(|timeout| !timeout.is_zero());
    match timeout {
        Some(timeout) => socket.connect_timeout(&to.into(), timeout)?,
        None => socket.connect(&to.into())?,
    }
    socket.set_read_timeout(timeout)?;
    socket.set_write_timeout(timeout)?;
    Ok(socket.into())
}

/// TLS that takes every certificate.
fn session(wanted: &Wanted) -> io::Result<ClientConnection> {
    let conf = ClientConf { server_name: Some(wanted.server_name), ..ClientConf::default() };
    let files = Files { loader: &Disk, folder: "/", resolve: &|_| Vec::new(), merged_at: None };
    let context = ClientContext::new(&conf.settings(), &files, &Kept::default(), &mut |_| ());
    let context = context.map_err(|error| io::Error::other(error.message))?;
    context.connect(wanted.host.as_deref().unwrap_or_default(), None).map_err(io::Error::other)
}

/// A page while it comes in.
#[derive(Default)]
struct Page {
    /// The head, until it is whole.
    head: Vec<u8>,
    /// The length the head tells, once it is whole.
    length: Option<Option<usize>>,
    /// How much of the body has come.
    received: usize,
    digest: Md5,
}

/// The longest head.
const HEAD: usize = 1 << 20;

impl Page {
    fn take(&mut self, bytes: &[u8], verbose: bool, out: &mut dyn Write) -> io::Result<()> {
        if self.length.is_some() {
            return self.body(bytes, verbose, out);
        }
        if self.head.len() > HEAD {
            return Err(io::Error::other("the head of the answer has no end"));
        }
        let before = self.head.len();
        self.head.extend(bytes);
        let end = self.head.windows(4).position(|four| four == b"\r\n\r\n").map(|at| at + 4);
        let (own, rest) = bytes.split_at(end.unwrap_or(self.head.len()).saturating_sub(before).min(bytes.len()));
        if verbose {
            out.write_all(b"-----------------------[    HTTP Header Buffer    ]-----------------------\n")?;
            dump(own, out)?;
            out.write_all(b"-----------------------[ HTTP Header Ascii Buffer ]-----------------------\n")?;
            // Up to the first zero byte, with what came behind the head.
            out.write_all(bytes.split(|byte| *byte == 0).next().unwrap_or_default())?;
            out.write_all(b"\n")?;
        }
        let Some(end) = end else { return Ok(()) };
        self.length = Some(content_length(self.head.get(..end).unwrap_or_default()));
        if verbose && !rest.is_empty() {
            out.write_all(b"-----------------------[        HTML Buffer        ]-----------------------\n")?;
        }
        self.body(rest, verbose, out)
    }

    fn body(&mut self, bytes: &[u8], verbose: bool, out: &mut dyn Write) -> io::Result<()> {
        if verbose {
            dump(bytes, out)?;
        }
        let most = self.length.flatten().map_or(bytes.len(), |length| length.saturating_sub(self.received));
        self.digest.update(bytes.get(..most).unwrap_or(bytes));
        self.received = self.received.saturating_add(bytes.len());
        Ok(())
    }

    fn finish(self, verbose: bool, out: &mut dyn Write) -> io::Result<()> {
        let digest = self.digest.finalize();
        if verbose {
            out.write_all(b"\n-----------------------[    HTML hash resulting    ]-----------------------\n")?;
            dump(&digest, out)?;
            out.write_all(b"-----------------------[ HTML hash final resulting ]-----------------------\n")?;
        }
        write!(out, "MD5SUM = {digest:x}")?;
        if let Some(length) = self.length.flatten().filter(|length| *length != self.received) {
            let text = "does not match received bytes";
            write!(out, "\nWARNING - Content-Length ({length}) {text} ({}).", self.received)?;
        }
        out.write_all(b"\n\n")
    }
}

/// The length a head tells; the name of its line is written as usual.
fn content_length(head: &[u8]) -> Option<usize> {
    let mut lines = head.split(|byte| matches!(byte, b'\r' | b'\n'));
    let value = lines.find_map(|line| line.strip_prefix(b"Content-Length:"))?;
    std::str::from_utf8(value).ok()?.trim_start().parse().ok()
}

/// Bytes in hexadecimal and as text, sixteen a line.
fn dump(bytes: &[u8], out: &mut dyn Write) -> io::Result<()> {
    for (at, line) in bytes.chunks(16).enumerate() {
        write!(out, "{:04} ", (at * 16) & 0xffff)?;
        for place in 0..16 {
            match line.get(place) {
                Some(byte) => write!(out, " {byte:02x}")?,
                None => out.write_all(b"   ")?,
            }
            out.write_all(if place == 7 { b" -" } else { b"" })?;
        }
        let shown = |place| match line.get(place) {
            Some(byte @ 0x20..=0x7e) => char::from(*byte),
            Some(_) => '.',
            None => ' ',
        };
        let text: String = (0..16).map(shown).collect();
        writeln!(out, "   {text}")?;
    }
    Ok(())
}

/// What `-h` prints.
fn usage(program: &str) -> String {
    let mut text = format!(
        "{}\n\nUsage: {program} COMMAND [OPTIONS]\nCommands:\n   -s server-address -p port -u url\n   -S -s server-address -p \
         port -u url\n   -h\n   -r\n\nOptions:\nEither long or short options are allowed.\n",
        version()
    );
    for (letter, name, help) in [
        ('S', "use-ssl", "Use SSL connection to remote server."),
        ('I', "use-sni", "Use SNI during SSL handshake (uses virtualhost setting; see -V)."),
        ('s', "server", "Use the specified remote server address."),
        ('p', "port", "Use the specified remote server port."),
        ('u', "url", "Use the specified remote server url."),
        ('V', "use-virtualhost", "Use the specified virtualhost in GET query."),
        ('H', "hash", "Use the specified hash algorithm."),
        ('v', "verbose", "Use verbose mode output."),
        ('h', "help", "Display this short inlined help screen."),
        ('r', "release", "Display the release number."),
        ('m', "fwmark", "Use the specified FW mark."),
        ('P', "protocol", "Use the specified HTTP protocol - '1.0', 1.0c', '1.1'."),
        ('t', "timeout", "Timeout in seconds"),
    ] {
        text.push_str(&format!("   --{name:<16}-{letter}       {help}\n"));
        if letter == 'P' {
            text.push_str("                                1.0c means 1.0 with 'Connection: close'\n");
        }
    }
    text + "\nSupported hash algorithms:\n  MD5 (default)\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    fn printed(parts: &[&str], verbose: bool) -> String {
        let (mut page, mut out) = (Page::default(), Vec::new());
        for part in parts {
            page.take(part.as_bytes(), verbose, &mut out).unwrap();
        }
        page.finish(verbose, &mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn digests_are_printed_as_keepaliveds_are() {
        let page = ["HTTP/1.0 200 OK\r\n\r\n", "hello wor", "ld, state=ok end"];
        assert_eq!(printed(&page, false), "MD5SUM = 469131f22c526ab7d9cb55229acd9cde\n\n");
        let long = ["HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\nhello world"];
        let warning = "WARNING - Content-Length (5) does not match received bytes (11).";
        assert_eq!(printed(&long, false), format!("MD5SUM = 5d41402abc4b2a76b9719d911017c592\n{warning}\n\n"));
        // As recorded with 2.1.5.
        let recorded = include_str!("genhash.txt");
        assert_eq!(printed(&page, true), recorded.replace("\\r", "\r"));
    }

    #[test]
    fn arguments_are_read_as_keepaliveds_are() {
        let read = |words: &[&str]| read("g", &words.iter().map(|&word| word.to_owned()).collect::<Vec<_>>());
        let wanted = read(&["-Sv", "-s127.0.0.1", "--port=81", "--url", "/x", "-P", "1.1", "-t", "3"]).unwrap();
        let text = "GET /x HTTP/1.1\r\nUser-Agent: KeepAlive GenHash Client\r\nConnection: close\r\nHost: 127.0.0.1:81\r\n\r\n";
        assert_eq!(wanted.request("127.0.0.1:81".parse().unwrap()), text);
        assert_eq!((wanted.secure, wanted.verbose, wanted.timeout), (true, true, Duration::from_secs(3)));
        for (words, text) in [
            (&["-s", "nonsense"][..], "server should be an IP, not nonsense\n"),
            (&["-p", "0"], "invalid port number '0'\n"),
            (&["-m", "x"], "invalid fwmark 'x'\n"),
            (&["-P", "2"], "invalid HTTP protocol version '2'\n"),
            (&["-t", "x"], "invalid timeout 'x'\n"),
            (&["-H", "sha1"], "unknown hash algorithm: sha1\n"),
            (&["a", "b"], "Unexpected argument(s): a b \n"),
        ] {
            assert_eq!(read(words).unwrap_err(), text);
        }
        assert!(read(&["-Q"]).unwrap_err().starts_with("g: invalid option -- 'Q'\nKeepalived v2.1.5"));
        assert!(read(&["-s"]).unwrap_err().starts_with("g: option requires an argument -- 's'\n"));
    }
}
