use super::*;

#[test]
fn a_queued_signal_is_read_with_its_sender() {
    let number = realtime_first() + 3;
    assert!(number < realtime_last());
    let queue = SignalQueue::new(&[number]).expect("a queue");
    assert_eq!(queue.next(), None);
    // To this thread alone: the others do not block it.
    let thread = nix::unistd::gettid().as_raw();
    #[expect(unsafe_code, reason = "nix sends no real-time signals")]
    // SAFETY: the call takes three integers.
    let sent = unsafe { libc::syscall(libc::SYS_tgkill, std::process::id(), thread, number) };
    assert_eq!(sent, 0);
    assert_eq!(queue.next(), Some(Arrived { number, pid: std::process::id() }));
    assert_eq!(queue.next(), None);
}
