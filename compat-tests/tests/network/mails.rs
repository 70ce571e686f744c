//! What others are told of changes: mail, and the script that reads the FIFO.

use std::fs;
use std::io::{self, BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::process::Command;
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

/// A virtual server with a check of two real servers: the first at a port where the test listens, the second at none.
fn checked(more: &str) -> String {
    let check = "TCP_CHECK {\n connect_timeout 1\n }\n";
    let reals = [8081, 8082].map(|port| format!(" real_server 127.0.0.1 {port} {{\n weight 1\n {check} }}\n")).concat();
    format!(
        "global_defs {{\n router_id x\n notification_email {{\n a@host\n }}\n notification_email_from from@host\n \
         smtp_server 192.168.110.11\n smtp_helo_name helo\n smtp_alert_checker\n \
         notify_fifo /tmp/all.fifo\n lvs_notify_fifo /tmp/lvs.fifo\n}}\n\
         virtual_server 10.9.9.1 80 {{\n delay_loop 1\n warmup 0\n retry 1\n delay_before_retry 1\n lb_algo rr\n lb_kind NAT\n \
         protocol TCP\n{more}{reals}}}\n"
    )
}

/// What is told of virtual servers: mails, and the lines of both FIFOs.
#[derive(Debug, PartialEq)]
struct Told {
    mails: Vec<String>,
    all: String,
    lvs: String,
}

/// What a host tells while the first real server goes and comes, and what with its end.
fn told(program: Program, more: &str) -> io::Result<(Told, Told)> {
    let mut pair = Pair::new(program, Program::Ours)?;
    let heard = Heard::default();
    let own = Arc::clone(&heard);
    pair.a.host.run(move || -> io::Result<()> {
        let listener = TcpListener::bind("192.168.110.11:25")?;
        thread::spawn(move || serve(&listener, &own));
        for path in ["/tmp/all.fifo", "/tmp/lvs.fifo"] {
            nix::unistd::mkfifo(path, nix::sys::stat::Mode::from_bits_truncate(0o600))?;
        }
        Ok(())
    })??;
    // The original ends the scripts that read FIFOs before it writes its last lines: a process of our own reads them.
    let mut reader = Command::new("sh");
    reader.args(["-c", "cat /tmp/all.fifo > /tmp/all & cat /tmp/lvs.fifo > /tmp/lvs & wait"]);
    let _reader = pair.a.host.start(reader)?;
    let side = &mut pair.a;
    let read = |side: &super::pair::Side, path: &'static str| {
        side.host.run(move || fs::read_to_string(path)).ok().and_then(Result::ok).unwrap_or_default()
    };
    // The lines of both FIFOs, and the mails; as many as are expected.
    let take = |side: &super::pair::Side, lines: usize, mails: usize| {
        let known = || {
            let mut mails = heard.lock().expect("no thread fails").clone();
            // One that was begun at the end.
            mails.retain(|mail| !mail.is_empty());
            mails.sort();
            Told { mails, all: read(side, "/tmp/all"), lvs: read(side, "/tmp/lvs") }
        };
        let enough = |told: &Told| {
            told.mails.len() >= mails && [&told.all, &told.lvs].iter().all(|text| text.lines().count() >= lines)
        };
        wait_for("what is told", LIMIT, || Some(known()).filter(enough))
            .map_err(|error| io::Error::other(format!("{}: {error}: {:?}; {}", program.name(), known(), side.log())))
    };
    let listen = |side: &super::pair::Side| side.host.run(|| TcpListener::bind("127.0.0.1:8081"));
    let listener = listen(side)??;
    side.start_without_ipvs(&checked(more))?;
    // The quorum is there, and the second real server is not.
    take(side, 2, 2)?;
    drop(listener);
    take(side, 4, 4)?;
    let _listener = listen(side)??;
    let running = take(side, 6, 6)?;
    side.signal(Signal::SIGTERM);
    side.says("Stopped Keepalived")?;
    let lines = if more.contains("omega") { 8 } else { 6 };
    let mails = if more.contains("omega") && program == Program::Ours { 8 } else { 6 };
    Ok((running, take(side, lines, mails)?))
}

#[test]
fn virtual_servers_are_told_of_as_keepalived_tells_of_them() -> io::Result<()> {
    let (ours, end) = told(Program::Ours, "")?;
    let (theirs, their_end) = told(Program::Original, "")?;
    assert_eq!(
        ours.lvs,
        "VS [10.9.9.1]:tcp:80 UP\nRS [127.0.0.1]:tcp:8082 [10.9.9.1]:tcp:80 DOWN\n\
         RS [127.0.0.1]:tcp:8081 [10.9.9.1]:tcp:80 DOWN\nVS [10.9.9.1]:tcp:80 DOWN\n\
         RS [127.0.0.1]:tcp:8081 [10.9.9.1]:tcp:80 UP\nVS [10.9.9.1]:tcp:80 UP\n"
    );
    assert_eq!(ours, theirs);
    assert_eq!(end, ours);
    assert_eq!(their_end, theirs);
    Ok(())
}

#[test]
fn the_end_is_mailed_where_omega_asks_for_it() -> io::Result<()> {
    let (ours, end) = told(Program::Ours, " omega\n")?;
    let (theirs, their_end) = told(Program::Original, " omega\n")?;
    assert_eq!(ours, theirs);
    assert_eq!((&end.lvs, &end.all), (&their_end.lvs, &their_end.all));
    assert!(
        end.lvs.ends_with("RS [127.0.0.1]:tcp:8081 [10.9.9.1]:tcp:80 DOWN\nVS [10.9.9.1]:tcp:80 DOWN\n"),
        "{end:?}"
    );
    // Ours waits for its mail; theirs ends before it has sent any.
    let shut = |told: &Told| told.mails.iter().filter(|mail| mail.contains("=> Shutting down <=")).count();
    assert_eq!((shut(&end), shut(&their_end)), (2, 0), "{end:?}");
    Ok(())
}

#[test]
fn the_lines_of_the_end_reach_the_script_that_reads_the_fifo() -> io::Result<()> {
    let mut pair = Pair::new(Program::Ours, Program::Ours)?;
    pair.a.host.run(|| {
        fs::write("/tmp/reader", "#!/bin/sh\nwhile read line; do echo \"$line\" >> /tmp/lines; done < $1\n")
    })??;
    let servers = "virtual_server 10.9.9.1 80 {\n lb_algo rr\n lb_kind NAT\n protocol TCP\n omega\n real_server 127.0.0.1 81 {\n \
                   }\n}\n";
    let fifo = " lvs_notify_fifo /tmp/fifo\n lvs_notify_fifo_script \"/bin/sh /tmp/reader\"\n";
    pair.a.start_without_ipvs(&format!("global_defs {{\n script_user root\n{fifo}}}\n{servers}"))?;
    pair.a.says("Gained quorum")?;
    pair.a.stop()?;
    let lines = pair.a.host.run(|| fs::read_to_string("/tmp/lines"))??;
    let expected = "VS [10.9.9.1]:tcp:80 UP\nRS [127.0.0.1]:tcp:81 [10.9.9.1]:tcp:80 DOWN\nVS [10.9.9.1]:tcp:80 DOWN\n";
    assert_eq!(lines, expected);
    assert!(!pair.a.host.run(|| fs::exists("/tmp/fifo"))??);
    Ok(())
}
