use super::*;

#[test]
fn the_loopback_interface_runs_and_has_no_transceiver() {
    let query = LinkQuery::open().unwrap();
    // A namespace of its own may have it down, and even then it answers.
    assert!(query.runs("lo").is_ok());
    assert!(query.transceiver("lo").is_err() && query.register("lo", 0, 1).is_err());
    assert_eq!(query.runs("no-such-link").unwrap_err().raw_os_error(), Some(libc::ENODEV));
    assert_eq!(query.ethtool("a-name-that-is-too-long").unwrap_err().kind(), io::ErrorKind::InvalidInput);
    assert_eq!(
        [size_of::<MiiRequest>(), size_of::<FlagsRequest>(), size_of::<EthtoolRequest>()],
        [size_of::<libc::ifreq>(); 3]
    );
}
