use super::*;
use std::future::poll_fn;
use std::net::UdpSocket;

/// No datagram over IP is longer.
const LONGEST: usize = 65_535;

/// Runs a future on a loop.
fn run<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(future)
}

/// A listening socket and where it can be reached.
fn listener(host: &str) -> (UdpListener, SocketAddr) {
    let socket = UdpSocket::bind((host, 0)).expect("a port");
    socket.set_nonblocking(true).expect("non-blocking");
    let bound = socket.local_addr().expect("its address");
    (UdpListener::new(socket.into(), &Address::Ip(bound)).expect("a listener"), bound)
}

async fn next(listener: &UdpListener, into: &mut [u8]) -> Received {
    loop {
        poll_fn(|cx| listener.poll_readable(cx)).await;
        if let Ok(received) = listener.try_receive(into) {
            return received;
        }
    }
}

#[test]
fn a_wildcard_socket_answers_from_the_address_that_was_asked() {
    run(async {
        for (host, asked) in [("0.0.0.0", "127.0.0.9"), ("::", "::1"), ("127.0.0.1", "127.0.0.1")] {
            let (listener, bound) = listener(host);
            let client = UdpSocket::bind((if asked.contains(':') { "::1" } else { "127.0.0.1" }, 0)).expect("a client");
            client.connect((asked, bound.port())).expect("connected");
            client.send(b"question").expect("sent");
            let mut bytes = [0; LONGEST];
            let received = next(&listener, &mut bytes).await;
            assert_eq!(&bytes[..received.length], b"question");
            assert_eq!(received.from, Address::Ip(client.local_addr().expect("its address")));
            let wildcard = bound.ip().is_unspecified();
            assert_eq!(received.to, wildcard.then(|| asked.parse().expect("an address")));
            listener.try_send(b"answer", &received.from, received.to).expect("sent");
            // A connected socket takes nothing from another address.
            let length = client.recv(&mut bytes).expect("an answer");
            assert_eq!(&bytes[..length], b"answer");
        }
    });
}

#[test]
fn a_server_that_refuses_is_learned_of() {
    run(async {
        let nobody = UdpSocket::bind("127.0.0.1:0").expect("a port").local_addr().expect("its address");
        let Ok(server) = Udp::connect(&Address::Ip(nobody), None, BufferSizes::default()) else {
            panic!("not connected")
        };
        for _ in 0..2 {
            server.try_send(b"question").expect("sent");
            let mut bytes = [0; 16];
            let error = loop {
                server.readable().await;
                match server.try_receive(&mut bytes) {
                    Err(error) if error.kind() == FULL => {}
                    other => break other.expect_err("nobody answers"),
                }
            };
            assert_eq!(error.raw_os_error(), Some(libc::ECONNREFUSED));
        }
    });
}

#[test]
fn empty_and_longest_datagrams_pass() {
    run(async {
        let (listener, bound) = listener("127.0.0.1");
        let Ok(server) = Udp::connect(&Address::Ip(bound), None, BufferSizes::default()) else {
            panic!("not connected")
        };
        let mut bytes = vec![0; LONGEST];
        for length in [0, 1, 65_507] {
            server.try_send(&vec![b'x'; length]).expect("sent");
            let received = next(&listener, &mut bytes).await;
            assert_eq!((received.length, received.is_cut), (length, false));
            listener.try_send(&bytes[..length], &received.from, None).expect("sent");
            server.readable().await;
            assert_eq!(server.try_receive(&mut bytes).ok(), Some(length));
        }
    });
}

#[test]
fn a_test_takes_no_datagrams_away_from_a_server() {
    use crate::net::listen::{Options, open};
    let options = Options { udp: true, ..Options::default() };
    let first = open(&Address::Ip(([127, 0, 0, 1], 0).into()), &options, false).expect("a socket");
    let bound = UdpSocket::from(first.try_clone().expect("a copy")).local_addr().expect("its address");
    let error = open(&Address::Ip(bound), &options, true).expect_err("it is in use").error;
    assert_eq!(error.raw_os_error(), Some(libc::EADDRINUSE));
    drop(open(&Address::Ip(bound), &options, false).expect("a second server"));
}
