use super::*;

fn manager(address: &str, watchdog: Option<&str>, now: Instant) -> ServiceManager {
    ServiceManager::new(Some(address.into()), watchdog.map(OsString::from), now)
}

/// A socket at a path and one at an abstract name, each with its address as the variable has it.
fn sockets(test: &str) -> [(UnixDatagram, String); 2] {
    let name = format!("rha-service-{test}-{}", std::process::id());
    let path = std::env::temp_dir().join(format!("{name}.socket"));
    let _ = std::fs::remove_file(&path);
    let hidden = UnixDatagram::bind_addr(&SocketAddr::from_abstract_name(&name).unwrap()).unwrap();
    [(UnixDatagram::bind(&path).unwrap(), path.display().to_string()), (hidden, format!("@{name}"))]
}

fn received(socket: &UnixDatagram) -> Vec<String> {
    socket.set_nonblocking(true).unwrap();
    let mut buffer = [0; 1000];
    std::iter::from_fn(|| {
        let length = socket.recv(&mut buffer).ok()?;
        Some(String::from_utf8_lossy(&buffer[..length]).into_owned())
    })
    .collect()
}

#[test]
fn the_manager_is_told_at_a_path_and_at_an_abstract_name() {
    let pid = std::process::id();
    for (socket, address) in sockets("told") {
        let manager = manager(&address, None, Instant::now());
        let before = monotonic().as_micros();
        manager.ready("Serving\nwell");
        manager.reloading();
        manager.stopping();
        manager.hand_over(7);
        let messages = received(&socket);
        assert_eq!(messages.len(), 4, "{address}: {messages:?}");
        assert_eq!(messages[0], format!("READY=1\nMAINPID={pid}\nSTATUS=Serving well"));
        let time = messages[1].strip_prefix("RELOADING=1\nMONOTONIC_USEC=").unwrap().split('\n').next().unwrap();
        assert!(time.parse::<u128>().unwrap() >= before, "{}", messages[1]);
        assert_eq!(messages[2..], ["STOPPING=1\nSTATUS=Stopping", "MAINPID=7"]);
        assert_eq!(manager.poll_timeout(), None);
    }
}

#[test]
fn a_sign_of_life_comes_twice_in_the_time_of_the_watchdog() {
    let [_, (socket, address)] = sockets("alive");
    let start = Instant::now();
    let mut manager = manager(&address, Some("2000000"), start);
    for (after, signs) in [(0, 1), (999, 0), (1000, 1), (1500, 0), (2500, 1)] {
        let now = start + Duration::from_millis(after);
        manager.sign_of_life(now);
        assert_eq!(received(&socket), vec!["WATCHDOG=1"; signs], "after {after} ms");
    }
}

#[test]
fn without_a_socket_nothing_is_sent_and_nothing_is_due() {
    for address in ["", "relative", "vsock:2:1234"] {
        let mut manager = manager(address, Some("2000000"), Instant::now());
        assert_eq!(manager.poll_timeout(), None, "{address}");
        manager.sign_of_life(Instant::now());
        manager.ready("");
    }
}
