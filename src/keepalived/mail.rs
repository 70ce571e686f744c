//! Mail about changes of state (`smtp_alert`), over SMTP (RFC 5321).
//!
//! A thread of its own sends each one: a server that does not answer must not hold up a router.

use super::log::Log;
use crate::conf::diagnostic::reason;
use crate::log::clock::{Civil, civil};
use crate::sys::{process, time};
use crate::vrrp::machine::StateKind;
use crate::vrrp::node::Occasion;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream, ToSocketAddrs};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Who sends mail, to whom, and how.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// The server: host and port.
    pub server: (String, u16),
    /// How long it may take to connect and to answer.
    pub timeout: Duration,
    /// What is said with HELO.
    pub helo: String,
    /// The sender.
    pub from: String,
    /// The receivers.
    pub to: Vec<String>,
    /// This host, in subjects.
    pub router_id: String,
    /// Nothing about faults.
    pub no_faults: bool,
}

/// One mail.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mail {
    /// The subject.
    pub subject: String,
    /// The text.
    pub body: String,
}

/// The subject's end and the text about an instance; nothing about what no mail is sent of.
pub const fn instance(occasion: Occasion) -> Option<(&'static str, &'static str)> {
    const GONE: &str = "=> VRRP Instance is no longer owning VRRP VIPs <=";
    Some(match occasion {
        Occasion::State(StateKind::Master) => ("Entering MASTER state", "=> VRRP Instance is now owning VRRP VIPs <="),
        Occasion::State(StateKind::Backup) => ("Entering BACKUP state", GONE),
        Occasion::State(StateKind::Fault) => ("Entering FAULT state", GONE),
        Occasion::State(StateKind::Initialise) => ("Stopping", "=> VRRP Instance stopping <="),
        Occasion::Deleted => ("Deleted", "=> VRRP Deleted at reload <="),
        Occasion::Priority { .. } | Occasion::HeardLower => return None,
    })
}

/// The same about a group.
pub const fn group(state: StateKind) -> (&'static str, &'static str) {
    match state {
        StateKind::Master => ("Entering MASTER state", "=> All VRRP group instances are now in MASTER state <="),
        StateKind::Backup => ("Entering BACKUP state", "=> All VRRP group instances are now in BACKUP state <="),
        StateKind::Fault => ("Entering FAULT state", "=> All VRRP group instances are now in FAULT state <="),
        StateKind::Initialise => ("Stopping", "=> All VRRP group instances are now stopping <="),
    }
}

/// Sends mail, one thread a mail.
pub struct Mailer {
    /// Mails that are being sent.
    sending: usize,
    ended: (Sender<()>, Receiver<()>),
}

impl Default for Mailer {
    fn default() -> Self {
        Self { sending: 0, ended: channel() }
    }
}

/// More mails than this are not sent at once: the rest of a storm is dropped, with a line.
const MOST: usize = 64;
/// The stack of a thread that sends.
const STACK: usize = 256 << 10;

impl Mailer {
    /// Begins to send a mail.
    pub fn send(&mut self, settings: &Settings, mail: Mail, log: &Log) {
        self.reap();
        if self.sending >= MOST {
            return log.say(format!("SMTP alert not sent, as {MOST} are being sent: {}", mail.subject));
        }
        let (settings, own, ended) = (settings.clone(), log.another(), self.ended.0.clone());
        let work = move || {
            // Real-time priority is for adverts.
            let _ = process::ordinary();
            deliver(&settings, &mail, &own);
            // The receiver may have been dropped.
            let _ = ended.send(());
        };
        match thread::Builder::new().name("mail".to_owned()).stack_size(STACK).spawn(work) {
            Ok(_) => self.sending += 1,
            Err(error) => log.say(format!("SMTP alert not sent: {}", reason(&error))),
        }
    }

    fn reap(&mut self) {
        while self.ended.1.try_recv().is_ok() {
            self.sending = self.sending.saturating_sub(1);
        }
    }

    /// Waits for mails that are being sent, but not longer than this.
    pub fn finish(&mut self, patience: Duration) {
        self.reap();
        while self.sending > 0 && self.ended.1.recv_timeout(patience).is_ok() {
            self.sending -= 1;
        }
    }
}

/// Why a mail was not taken.
#[derive(Debug)]
enum Failure {
    /// The server answered with another code.
    Refused(&'static str, u16),
    /// It closed the connection.
    Closed,
    /// It did not answer in time.
    Silent,
    /// The system did not let it through.
    System,
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => Self::Silent,
            io::ErrorKind::UnexpectedEof => Self::Closed,
            _ => Self::System,
        }
    }
}

/// Sends one mail, and says what came of it.
fn deliver(settings: &Settings, mail: &Mail, log: &Log) {
    let (host, port) = &settings.server;
    let Ok(Some(address)) = (host.as_str(), *port).to_socket_addrs().map(|mut all| all.next()) else {
        return log.say(format!("Invalid smtp server {host} {port}"));
    };
    let shown = shown(address);
    let stream = match TcpStream::connect_timeout(&address, settings.timeout) {
        Ok(stream) => stream,
        Err(error) if error.kind() == io::ErrorKind::TimedOut => {
            return log.say(format!("Timeout connecting SMTP server {shown}."));
        }
        Err(_) => return log.say(format!("SMTP connection ERROR to {shown}.")),
    };
    log.say(format!("Remote SMTP server {shown} connected."));
    let limits = [stream.set_read_timeout(Some(settings.timeout)), stream.set_write_timeout(Some(settings.timeout))];
    let outcome = match limits.into_iter().find_map(Result::err) {
        Some(error) => Err(error.into()),
        None => converse(&stream, settings, &written(settings, mail)),
    };
    log.say(match outcome {
        Ok(()) => "SMTP alert successfully sent.".to_owned(),
        Err(Failure::Refused("connect", code)) => {
            format!("Error connecting SMTP server {shown}. SMTP status code = {code}")
        }
        Err(Failure::Refused(command, code)) => {
            format!("Error processing {command} cmd on SMTP server {shown}. SMTP status code = {code}")
        }
        Err(Failure::Closed) => format!("Remote SMTP server {shown} has closed the connection."),
        Err(Failure::Silent) => format!("Timeout reading data to remote SMTP server {shown}."),
        Err(Failure::System) => format!("Error reading data from remote SMTP server {shown}."),
    });
}

/// An address and its port, as keepalived shows them.
fn shown(address: SocketAddr) -> String {
    format!("[{}]:{}", address.ip(), address.port())
}

/// The commands, one after the other, each with the code that must answer it.
fn converse<S>(stream: &S, settings: &Settings, text: &str) -> Result<(), Failure>
where
    for<'a> &'a S: Read + Write,
{
    let mut reader = BufReader::new(stream);
    let mut expect = |command: &'static str, code: u16| match answer(&mut reader)? {
        received if received == code => Ok(()),
        received => Err(Failure::Refused(command, received)),
    };
    let mut writer = stream;
    let mut send = |text: &str| writer.write_all(text.as_bytes()).map_err(Failure::from);
    expect("connect", 220)?;
    send(&format!("HELO {}\r\n", settings.helo))?;
    expect("HELO", 250)?;
    send(&format!("MAIL FROM:<{}>\r\n", settings.from))?;
    expect("MAIL", 250)?;
    for to in &settings.to {
        send(&format!("RCPT TO:<{to}>\r\n"))?;
        expect("RCPT", 250)?;
    }
    send("DATA\r\n")?;
    expect("DATA", 354)?;
    send(text)?;
    expect("DOT", 250)?;
    // What it says to that changes nothing.
    let _ = send("QUIT\r\n");
    Ok(())
}

/// The longest line of an answer.
const LINE: u64 = 512;

/// The code of an answer; lines before the last have a `-` behind it.
fn answer(reader: &mut impl BufRead) -> Result<u16, Failure> {
    loop {
        let mut line = Vec::new();
        reader.by_ref().take(LINE).read_until(b'\n', &mut line)?;
        let Some(code) = line.first_chunk::<3>() else { return Err(Failure::Closed) };
        if line.get(3) != Some(&b'-') {
            let digits = code.map(|digit| u16::from(digit.wrapping_sub(b'0')));
            return Ok(digits.iter().fold(0, |sum, digit| sum * 10 + digit.min(&9)));
        }
    }
}

/// The mail with its head and the dot that ends it.
fn written(settings: &Settings, mail: &Mail) -> String {
    let seconds = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    let date = date(i64::try_from(seconds).unwrap_or_default());
    let Settings { from, to, router_id, .. } = settings;
    let Mail { subject, body } = mail;
    let to = to.join(", ");
    let head = format!("Date: {date}\r\nFrom: {from}\r\nSubject: [{router_id}] {subject}\r\n");
    format!("{head}X-Mailer: Keepalived\r\nTo: {to}\r\n\r\n{body}\r\n\r\n.\r\n")
}

/// A time as mails have it (RFC 5322 §3.3), in the local zone.
fn date(unix: i64) -> String {
    let offset = time::offset(unix);
    let Civil { year, month, day, hour, minute, second, weekday, .. } = civil(unix + i64::from(offset));
    let (sign, minutes) = (if offset < 0 { '-' } else { '+' }, offset.unsigned_abs() / 60);
    let (day_name, month_name) = (name(&DAYS, weekday), name(&MONTHS, month.saturating_sub(1)));
    let zone = format!("{sign}{:02}{:02}", minutes / 60, minutes % 60);
    format!("{day_name}, {day:02} {month_name} {year} {hour:02}:{minute:02}:{second:02} {zone}")
}

const DAYS: [&str; 7] = ["Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"];
const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

fn name(names: &[&'static str], at: u8) -> &'static str {
    names.get(usize::from(at)).copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;

    fn settings(port: u16) -> Settings {
        Settings {
            server: ("127.0.0.1".to_owned(), port),
            timeout: Duration::from_secs(10),
            helo: "host".to_owned(),
            from: "from@host".to_owned(),
            to: vec!["a@host".to_owned(), "b@host".to_owned()],
            router_id: "id".to_owned(),
            no_faults: false,
        }
    }

    /// What a server hears that gives these answers.
    fn served(answers: &'static [&'static str]) -> (Result<(), String>, String) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let server = thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut heard = String::new();
            let mut reader = BufReader::new(stream.try_clone().unwrap());
            for answer in answers {
                stream.write_all(answer.as_bytes()).unwrap();
                let end = if answer.starts_with("354") { "\r\n.\r\n" } else { "\r\n" };
                let before = heard.len();
                while !heard[before..].ends_with(end) && reader.read_line(&mut heard).unwrap() > 0 {}
            }
            heard
        });
        let stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
        let settings = settings(port);
        let mail = Mail { subject: "VRRP Instance V - Stopping".to_owned(), body: "=> text <=".to_owned() };
        let outcome =
            converse(&stream, &settings, &written(&settings, &mail)).map_err(|failure| format!("{failure:?}"));
        drop(stream);
        (outcome, server.join().unwrap())
    }

    #[test]
    fn a_mail_is_sent_in_keepaliveds_words() {
        let (outcome, heard) = served(&[
            "220 here\r\n",
            "250-one\r\n250 two\r\n",
            "250 ok\r\n",
            "250 ok\r\n",
            "250 ok\r\n",
            "354 go on\r\n",
            "250 taken\r\n",
        ]);
        assert_eq!(outcome, Ok(()));
        let (head, rest) = heard.split_once("Date: ").unwrap();
        assert_eq!(head, "HELO host\r\nMAIL FROM:<from@host>\r\nRCPT TO:<a@host>\r\nRCPT TO:<b@host>\r\nDATA\r\n");
        let (_, rest) = rest.split_once("\r\n").unwrap();
        let text = "From: from@host\r\nSubject: [id] VRRP Instance V - Stopping\r\nX-Mailer: Keepalived\r\n\
                    To: a@host, b@host\r\n\r\n=> text <=\r\n\r\n.\r\nQUIT\r\n";
        assert_eq!(rest, text);
    }

    #[test]
    fn a_refusal_ends_the_conversation() {
        let (outcome, heard) = served(&["220 here\r\n", "250 ok\r\n", "550 no\r\n"]);
        assert_eq!(outcome, Err("Refused(\"MAIL\", 550)".to_owned()));
        assert_eq!(heard, "HELO host\r\nMAIL FROM:<from@host>\r\n");
        let (outcome, _) = served(&["421 busy\r\n"]);
        assert_eq!(outcome, Err("Refused(\"connect\", 421)".to_owned()));
    }

    #[test]
    fn dates_are_written_as_mails_have_them() {
        let shown = date(1_795_991_901);
        assert!(shown.starts_with("Sun, 29 Nov 2026 ") || shown.starts_with("Mon, 30 Nov 2026 "), "{shown}");
        assert_eq!(shown.len(), "Sun, 29 Nov 2026 22:38:21 +0000".len());
    }
}
