use super::*;
use std::io::{Read as _, Write as _};
use std::os::fd::AsFd as _;
use std::os::unix::net::UnixStream;

#[test]
fn bytes_go_from_socket_to_socket() {
    let pipe = Pipe::new(65_536).expect("a pipe");
    let ((mut from, into), (out, mut to)) = (UnixStream::pair().expect("a pair"), UnixStream::pair().expect("a pair"));
    from.write_all(b"hello").expect("written");
    assert_eq!(pipe.fill(into.as_fd(), 100).expect("filled"), 5);
    assert_eq!(pipe.drain(out.as_fd(), 3).expect("drained"), 3);
    let mut got = [0; 3];
    to.read_exact(&mut got).expect("read");
    assert_eq!(&got, b"hel");
    let mut rest = [0; 8];
    assert_eq!((pipe.read(&mut rest).expect("read"), &rest[..2]), (2, &b"lo"[..]));
    assert!(pipe.read(&mut rest).is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock));
}

#[test]
fn a_size_that_is_not_allowed_leaves_a_pipe_that_works() {
    let pipe = Pipe::new(i32::MAX).expect("a pipe");
    let (mut from, into) = UnixStream::pair().expect("a pair");
    from.write_all(b"x").expect("written");
    assert_eq!(pipe.fill(into.as_fd(), 1).expect("filled"), 1);
}
