//! What others are told of changes: mail, and the script that reads the FIFO.

use std::fs;
use std::io::{self, BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

use compat_tests::program::Program;
use compat_tests::{mount, wait_for};
use nix::sys::signal::Signal;

use super::pair::{LIMIT, Pair, configuration};

/// The mails a server has got, each with the commands before it.
type Heard = Arc<Mutex<Vec<String>>>;

/// Takes mail until nobody can send any more.
fn serve(listener: &TcpListener, heard: &Heard) {
    for stream in listener.incoming().flatten() {
        let heard = Arc::clone(heard);
        thread::spawn(move || {
            if let Ok(mail) = take(&stream) {
                heard.lock().expect("no thread fails").push(mail);
            }
        });
    }
}

/// Takes one mail; its date is left out.
fn take(mut stream: &TcpStream) -> io::Result<String> {
    let mut mail = String::new();
    let mut reader = BufReader::new(stream);
    stream.write_all(b"220 here\r\n")?;
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line)? == 0 || line.starts_with("QUIT") {
            return Ok(mail);
        }
        if !line.starts_with("Date: ") {
            mail.push_str(&line);
        }
        if line.starts_with("DATA") {
            stream.write_all(b"354 go on\r\n")?;
            while line != ".\r\n" {
                line.clear();
                reader.read_line(&mut line)?;
                if !line.starts_with("Date: ") {
                    mail.push_str(&line);
                }
            }
        }
        stream.write_all(b"250 ok\r\n")?;
    }
}

#[test]
fn changes_are_mailed_as_keepalived_mails_them() -> io::Result<()> {
    let mut all = Vec::new();
    for program in [Program::Ours, Program::Original] {
        let mut pair = Pair::new(program, Program::Ours)?;
        let heard = Heard::default();
        let own = Arc::clone(&heard);
        pair.a.host.run(move || -> io::Result<()> {
            let listener = TcpListener::bind("192.168.110.11:25")?;
            thread::spawn(move || serve(&listener, &own));
            Ok(())
        })??;
        let global = "global_defs {\n router_id x\n notification_email {\n a@host\n b@host\n }\n \
                      notification_email_from from@host\n smtp_server 192.168.110.11\n smtp_helo_name helo\n smtp_alert_vrrp\n";
        let text = configuration("BACKUP", 100, "").replace("global_defs {\n router_id x\n", global);
        pair.a.start(&text)?;
        pair.a.becomes_master()?;
        let mails = |count: usize| {
            let known = || heard.lock().expect("no thread fails").clone();
            wait_for("mail", LIMIT, || Some(known()).filter(|mails| mails.len() >= count))
                .map_err(|error| io::Error::other(format!("{error}: {:?}; {}", known(), pair.a.log())))
        };
        let mut got = mails(2)?;
        pair.a.says("SMTP alert successfully sent.")?;
        got.sort();
        assert!(
            got.iter().any(|mail| mail.contains("Subject: [x] VRRP Instance nginx - Entering MASTER state\r\n")),
            "{got:?}"
        );
        all.push(got);
    }
    assert_eq!(all.first(), all.last());
    Ok(())
}

#[test]
fn a_script_is_started_that_reads_the_fifo() -> io::Result<()> {
    for program in [Program::Ours, Program::Original] {
        let mut pair = Pair::new(program, Program::Ours)?;
        pair.a
            .host
            .run(|| mount::file("/etc/keepalived/reader", b"#!/bin/sh\nexec cat \"$2\" > \"$1\"\n", 0o755))??;
        let more = " router_id x\n vrrp_notify_fifo /tmp/fifo\n vrrp_notify_fifo_script \"/etc/keepalived/reader /tmp/read\"\n";
        pair.a.start(&configuration("BACKUP", 100, "").replace(" router_id x\n", more))?;
        let read = || pair.a.host.run(|| fs::read_to_string("/tmp/read")).ok()?.ok();
        wait_for("the script", LIMIT, || read().filter(|text| text.contains("INSTANCE \"nginx\" MASTER 100\n")))
            .map_err(|error| io::Error::other(format!("{}: {error}; {}", program.name(), pair.a.log())))?;
        let running = || pair.a.host.processes("cat").map(|all| all.len());
        assert_eq!(running()?, 1);
        pair.a.signal(Signal::SIGTERM);
        wait_for("the end of the script", LIMIT, || (running().ok()? == 0).then_some(()))?;
    }
    Ok(())
}
