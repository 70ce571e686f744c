use super::*;
use nix::sys::socket::{AddressFamily, ControlMessage, SockFlag, SockType, sendmsg, socketpair};
use std::fs::File;
use std::io::{IoSlice, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};

fn is_closed_on_exec(fd: &impl AsFd) -> bool {
    let flags = nix::fcntl::fcntl(fd.as_fd(), nix::fcntl::FcntlArg::F_GETFD).expect("flags");
    flags & libc::FD_CLOEXEC != 0
}

#[test]
fn descriptors_come_with_their_message() {
    let (a, b) = socketpair(AddressFamily::Unix, SockType::SeqPacket, None, SockFlag::SOCK_CLOEXEC).expect("a pair");
    let (out, into) = nix::unistd::pipe().expect("a pipe");
    let rights = [out.as_raw_fd(), into.as_raw_fd()];
    let message = [ControlMessage::ScmRights(&rights)];
    sendmsg::<UnixAddr>(a.as_raw_fd(), &[IoSlice::new(b"two")], &message, MsgFlags::empty(), None).expect("sent");
    let mut buffer = [0; 16];
    let (length, mut descriptors) = receive(&b, &mut buffer).expect("a message");
    assert_eq!((&buffer[..length], descriptors.len()), (&b"two"[..], 2));
    assert!(descriptors.iter().all(is_closed_on_exec));
    // They are the pipe: what goes in at the second comes out of the first.
    File::from(descriptors.remove(1)).write_all(b"x").expect("written");
    let mut byte = [0];
    File::from(descriptors.remove(0)).read_exact(&mut byte).expect("read");
    assert_eq!(&byte, b"x");
}

#[test]
fn only_what_is_not_closed_on_exec_is_inherited_and_only_once() {
    let own = File::open("/dev/null").expect("a file");
    assert!(take(own.as_raw_fd()).is_none());
    assert!([-1, 0, 1, 2, i32::MAX].into_iter().all(|number| take(number).is_none()));
    let left_open = File::open("/dev/null").expect("a file");
    nix::fcntl::fcntl(&left_open, nix::fcntl::FcntlArg::F_SETFD(nix::fcntl::FdFlag::empty())).expect("a flag");
    // As an older program would leave it: with a number and no owner.
    let number = std::os::fd::IntoRawFd::into_raw_fd(left_open);
    let found = inherited(&[number, number]);
    assert_eq!(found.iter().map(AsRawFd::as_raw_fd).collect::<Vec<_>>(), [number]);
    assert!(is_closed_on_exec(&found[0]));
    assert!(inherited(&[number]).is_empty());
}

#[test]
fn a_connection_is_accepted_without_blocking_and_closed_on_exec() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a listener");
    let client = TcpStream::connect(listener.local_addr().expect("an address")).expect("a connection");
    let (stream, peer) = accept(&listener).expect("a connection");
    assert_eq!(peer.as_socket(), client.local_addr().ok());
    assert!(is_closed_on_exec(&stream));
    let mut byte = [0];
    assert_eq!((&stream).read(&mut byte).map_err(|error| error.kind()), Err(io::ErrorKind::WouldBlock));
    listener.set_nonblocking(true).expect("an option");
    assert!(accept(&listener).is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock));
}

#[test]
fn a_shared_listener_is_readable_when_somebody_connects() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let listener = TcpListener::bind("127.0.0.1:0").expect("a listener");
    runtime.block_on(async {
        let watched = watch(exclusive(&listener).expect("a descriptor")).expect("watched");
        let _client = TcpStream::connect(listener.local_addr().expect("an address")).expect("a connection");
        assert!(watched.readable().await.is_ok());
    });
}

#[test]
fn options_are_set() {
    let listener = Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).expect("a socket");
    defer_accept(&listener, 1);
    fast_open(&listener, 5);
    bind_without_port(&listener);
    let option = |level, name| {
        let mut value = 0_i32;
        let mut size = size_of::<i32>() as libc::socklen_t;
        #[expect(unsafe_code, reason = "getsockopt of options without a wrapper")]
        // SAFETY: pointers to live values of the given size.
        let outcome =
            unsafe { libc::getsockopt(listener.as_raw_fd(), level, name, (&raw mut value).cast(), &raw mut size) };
        assert_eq!(outcome, 0);
        value
    };
    assert!(option(libc::IPPROTO_TCP, libc::TCP_DEFER_ACCEPT) >= 1);
    assert_eq!(option(libc::IPPROTO_IP, libc::IP_BIND_ADDRESS_NO_PORT), 1);
}
