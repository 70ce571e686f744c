//! HTTP/2 clients that do nothing but make work: what they may do is bounded, and others are served meanwhile.

use std::io;
use std::net::TcpListener;
use std::thread;

use compat_tests::client;
use compat_tests::http2::{RawConnection, Request, block, exchange, frame};
use compat_tests::program::Program;
use compat_tests::testbed::{LIMIT, TestBed, local};

const CONF: &str = r#"worker_processes 1;
events { }
http {
    access_log off;
    client_header_timeout 1s;
    error_log logs/error.log info;
    server {
        listen 127.0.0.1:8080 http2;
        keepalive_requests 1000000;
        location / { return 200 "text\n"; }
        location /wait { proxy_pass http://127.0.0.1:8089; }
    }
    server {
        listen 127.0.0.1:8081 http2;
        keepalive_requests 10;
        location / { return 200 "text\n"; }
    }
    server {
        listen 127.0.0.1:8082;
        location / { return 200 "text\n"; }
    }
}
"#;

/// GOAWAY's errors.
const PROTOCOL_ERROR: u32 = 1;
const ENHANCE_YOUR_CALM: u32 = 11;

fn started(program: Program) -> TestBed {
    let testbed = TestBed::new(program).expect("a host");
    testbed.write(CONF).expect("a configuration");
    testbed.command(&[]).expect("a start");
    testbed
}

fn fields(path: &'static str) -> [(&'static str, &'static str); 4] {
    [(":method", "GET"), (":scheme", "http"), (":authority", "a"), (":path", path)]
}

/// Sends bytes up to that often while the other side is read; the error of the GOAWAY that comes.
fn flood(mut bare: RawConnection, bytes: Vec<u8>, times: usize) -> io::Result<Option<u32>> {
    let mut reader = bare.reader()?;
    let writer = thread::spawn(move || (0..times).take_while(|_| bare.raw(&bytes).is_ok()).count());
    let code = reader.goaway();
    drop(writer.join());
    code
}

fn lines(testbed: &TestBed, text: &str) -> usize {
    testbed.file("logs/error.log").expect("a log").matches(text).count()
}

#[test]
fn frames_that_are_all_overhead_end_the_connection_as_in_nginx() {
    let kinds: [(&str, Vec<u8>); 3] = [
        ("PING", frame(6, 0, 0, &[0; 8])),
        ("SETTINGS", frame(4, 0, 0, &[0, 4, 0, 0, 0xff, 0xff])),
        ("unknown", frame(99, 0, 0, &[0; 8])),
    ];
    let told = [Program::Original, Program::Ours].map(|program| {
        let testbed = started(program);
        let codes = kinds.clone().map(|(kind, one)| {
            let bytes = one.repeat(65_536 / one.len());
            let code = testbed.host().run(move || flood(RawConnection::new(local(8080), LIMIT)?, bytes, 1000));
            (kind, code.expect("a host").unwrap_or(None))
        });
        (codes, lines(&testbed, "http2 flood detected while processing HTTP/2 connection"))
    });
    assert_eq!(told[1].1, kinds.len(), "{:?}", told[1].0);
    assert_eq!(told[0], told[1]);
}

#[test]
fn a_flood_does_not_keep_others_waiting() {
    let testbed = started(Program::Ours);
    let served = testbed.host().run(|| {
        let bytes = frame(6, 0, 0, &[0; 8]).repeat(4096);
        let bare = RawConnection::new(local(8080), LIMIT)?;
        let flooder = thread::spawn(move || flood(bare, bytes, 1000));
        let mut served = 0;
        while !flooder.is_finished() {
            served += usize::from(client::get(local(8082), "/", &[], LIMIT)?.status == 200);
        }
        drop(flooder.join());
        io::Result::Ok(served)
    });
    let served = served.expect("a host").expect("answers");
    assert!(served > 1, "{served} requests were answered");
}

#[test]
fn streams_opened_to_be_reset_end_the_connection() {
    let testbed = started(Program::Ours);
    let code = testbed.host().run(|| {
        let _silent = TcpListener::bind(local(8089))?;
        let mut bare = RawConnection::new(local(8080), LIMIT)?;
        let head = block(&fields("/wait"));
        for round in 0..400_u32 {
            let streams = (0..10).map(|one| (round * 10 + one) * 2 + 1);
            let opened: Vec<u8> = streams.clone().flat_map(|stream| frame(1, 5, stream, &head)).collect();
            // The answer to the ping shows that the streams' requests have begun.
            if bare.raw(&[opened, frame(6, 0, 0, &[0; 8])].concat()).is_err() {
                break;
            }
            loop {
                match bare.frame()? {
                    Some(frame) if frame.kind == 7 => {
                        return Ok(frame.payload.get(4..8).map(|code| code.to_vec()));
                    }
                    Some(frame) if frame.kind == 6 => break,
                    Some(_) => {}
                    None => return Ok(None),
                }
            }
            let resets: Vec<u8> = streams.flat_map(|stream| frame(3, 0, stream, &[0, 0, 0, 8])).collect();
            if bare.raw(&resets).is_err() {
                break;
            }
        }
        bare.goaway().map(|code| code.map(|code| code.to_be_bytes().to_vec()))
    });
    let code: io::Result<Option<Vec<u8>>> = code.expect("a host");
    assert_eq!(code.expect("frames"), Some(ENHANCE_YOUR_CALM.to_be_bytes().to_vec()));
    assert_eq!(lines(&testbed, "client sent too many refused streams while processing HTTP/2 connection"), 1);
    testbed.wait_for_text(8082, "/", "text").expect("others are served");
}

#[test]
fn streams_beyond_the_limit_are_refused_and_then_end_the_connection() {
    let testbed = started(Program::Ours);
    let seen = testbed.host().run(|| {
        let _silent = TcpListener::bind(local(8089))?;
        let mut bare = RawConnection::new(local(8080), LIMIT)?;
        let head = block(&fields("/wait"));
        let bytes: Vec<u8> = (0..1000_u32).flat_map(|one| frame(1, 5, one * 2 + 1, &head)).collect();
        // What is left over cannot be written any more.
        let _ = bare.raw(&bytes);
        let mut refused = 0;
        while let Some(frame) = bare.frame()? {
            match frame.kind {
                3 if frame.payload == [0, 0, 0, 7] => refused += 1,
                7 => return Ok((refused, frame.payload.get(4..8).map(<[u8]>::to_vec))),
                _ => {}
            }
        }
        io::Result::Ok((refused, None))
    });
    let (refused, code) = seen.expect("a host").expect("frames");
    assert!(refused > 100, "{refused}");
    assert_eq!(code, Some(ENHANCE_YOUR_CALM.to_be_bytes().to_vec()));
}

#[test]
fn a_head_without_end_is_cut_off() {
    let testbed = started(Program::Ours);
    let code = testbed.host().run(|| {
        let mut bare = RawConnection::new(local(8080), LIMIT)?;
        bare.send(1, 1, 1, &block(&fields("/")))?;
        flood(bare, frame(9, 0, 1, &block(&[("x-a", &"x".repeat(8000))])), 1000)
    });
    assert_eq!(code.expect("a host").expect("frames"), Some(ENHANCE_YOUR_CALM));
}

#[test]
fn half_a_head_is_waited_for_as_long_as_client_header_timeout_says() {
    let testbed = started(Program::Ours);
    let head = frame(1, 5, 1, &block(&fields("/")));
    let unended = frame(1, 1, 1, &block(&fields("/")));
    for half in [head[..head.len() - 1].to_vec(), unended] {
        let code = testbed.host().run(move || {
            let mut bare = RawConnection::new(local(8080), LIMIT)?;
            bare.raw(&half)?;
            bare.goaway()
        });
        assert_eq!(code.expect("a host").expect("frames"), Some(PROTOCOL_ERROR));
    }
    let line = "client timed out (110: Connection timed out) while processing HTTP/2 connection";
    assert_eq!(lines(&testbed, line), 2);
}

#[test]
fn a_client_that_does_not_heed_goaway_is_cut_off() {
    let testbed = started(Program::Ours);
    let answered = testbed.host().run(|| {
        let mut bare = RawConnection::new(local(8081), LIMIT)?;
        let head = block(&fields("/"));
        let mut answered = 0;
        for one in 0..5000_u32 {
            if bare.send(1, 5, one * 2 + 1, &head).is_err() {
                break;
            }
            loop {
                match bare.frame() {
                    Ok(Some(frame)) if frame.kind == 0 && frame.flags & 1 == 1 => {
                        answered += 1;
                        break;
                    }
                    Ok(Some(_)) => {}
                    Ok(None) | Err(_) => return io::Result::Ok(answered),
                }
            }
        }
        Ok(answered)
    });
    let answered = answered.expect("a host").expect("answers");
    assert!((10..1000).contains(&answered), "{answered}");
}

#[test]
fn window_updates_of_zero_and_beyond_the_most_are_errors_as_in_nginx() {
    let updates: [(u32, u32); 4] = [(0, 0), (0, 0x7fff_ffff), (1, 0), (1, 0x7fff_ffff)];
    let told = [Program::Original, Program::Ours].map(|program| {
        let testbed = started(program);
        updates.map(|(stream, by)| {
            let error = testbed.host().run(move || {
                let _silent = TcpListener::bind(local(8089))?;
                let mut bare = RawConnection::new(local(8080), LIMIT)?;
                bare.headers(1, &fields("/wait"), true)?;
                bare.send(8, 0, stream, &by.to_be_bytes())?;
                while let Some(frame) = bare.frame()? {
                    match frame.kind {
                        3 => return Ok((3, frame.payload)),
                        7 => return Ok((7, frame.payload.get(4..8).unwrap_or_default().to_vec())),
                        _ => {}
                    }
                }
                io::Result::Ok((0, Vec::new()))
            });
            error.expect("a host").expect("frames")
        })
    });
    assert_eq!(told[0], told[1]);
}

#[test]
fn heads_that_are_too_large_are_refused_and_the_connection_serves_on() {
    let heads = [(1, 20_000), (6, 7000), (40, 900), (400, 60)];
    let told = [Program::Original, Program::Ours].map(|program| {
        let testbed = started(program);
        heads.map(|(count, length)| {
            let mut request = Request::get("/");
            for number in 0..count {
                request = request.header(&format!("x-{number}"), &"v".repeat(length));
            }
            let answers = testbed.host().run(move || exchange(local(8080), &[request, Request::get("/")], LIMIT));
            answers.expect("a host").map_or([0, 0], |answers| [answers[0].status, answers[1].status])
        })
    });
    assert_eq!(told[1], [[400, 200], [400, 200], [400, 200], [200, 200]]);
    // nginx ends the connection.
    assert_eq!(told[0], [[0, 0], [0, 0], [0, 0], [200, 200]]);
}

#[test]
fn a_small_block_that_unpacks_to_much_ends_the_connection() {
    let testbed = started(Program::Ours);
    let kinds = testbed.host().run(|| {
        let mut bare = RawConnection::new(local(8080), LIMIT)?;
        let mut head = block(&fields("/"));
        // A field of 4,000 bytes goes into the table, and is then named by one byte each.
        let mut bomb = block(&[("x", &"v".repeat(4000))]);
        bomb[0] = 0x40;
        head.extend(bomb);
        head.extend([0xbe; 8000]);
        bare.send(1, 5, 1, &head)?;
        let mut kinds = Vec::new();
        while let Some(frame) = bare.frame()? {
            kinds.push(frame.kind);
        }
        io::Result::Ok(kinds)
    });
    let kinds = kinds.expect("a host").expect("frames");
    assert!(kinds.contains(&7) && !kinds.contains(&0), "{kinds:?}");
    testbed.wait_for_text(8082, "/", "text").expect("others are served");
}
