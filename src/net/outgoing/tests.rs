use super::*;
use socket2::{Domain, Type};

fn socket() -> Socket {
    Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket")
}

#[test]
fn buffers_have_the_sizes_of_the_configuration() {
    let socket = socket();
    let before = socket.send_buffer_size().expect("a size");
    BufferSizes::new(Some(32_768), Some(0)).set(&socket);
    // The kernel doubles what it is given, for its own needs (socket(7)).
    assert_eq!(socket.recv_buffer_size().expect("a size"), 65_536);
    assert_eq!(socket.send_buffer_size().expect("a size"), before);
    BufferSizes::new(None, Some(16_384)).set(&socket);
    assert_eq!(socket.send_buffer_size().expect("a size"), 32_768);
}

#[test]
fn an_address_of_another_machine_is_named_as_it_was_given() {
    for (text, call) in [("192.0.2.1:0", "bind(192.0.2.1)"), ("192.0.2.1:80", "bind(192.0.2.1:80)")] {
        let local = Local { address: text.parse().expect("an address"), transparent: false };
        let Err(Unconnected::Local { call: failed, level, error }) = local.bind(&socket(), false) else {
            panic!("{text} is this machine's")
        };
        assert_eq!((failed.as_str(), level), (call, Level::Crit));
        assert_eq!(error.raw_os_error(), Some(libc::EADDRNOTAVAIL));
    }
}

#[test]
fn what_a_network_does_is_no_fault_of_the_machine() {
    let of = |code| severity(&io::Error::from_raw_os_error(code));
    assert_eq!(
        [libc::ECONNREFUSED, libc::ENETUNREACH, libc::EADDRNOTAVAIL].map(of),
        [Level::Error, Level::Error, Level::Crit]
    );
}
